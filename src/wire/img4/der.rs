//! The little DER that IMG4 needs, by hand.
//!
//! Apple writes fourccs as private tag numbers (`MANP` is private tag 0x4D414E50, five bytes of high tag
//! form), which general DER crates either refuse or hide. What is needed is small: read one element after
//! the other out of a slice, and write elements around bytes. The reader never allocates, never recurses
//! and checks every sum, so hostile lengths end as [`WireError`].

use crate::wire::WireError;

pub const BOOLEAN: Tag = Tag::universal(0x01);
pub const INTEGER: Tag = Tag::universal(0x02);
pub const OCTETS: Tag = Tag::universal(0x04);
pub const IA5: Tag = Tag::universal(0x16);
pub const SEQUENCE: Tag = Tag { class: 0, constructed: true, number: 0x10 };
pub const SET: Tag = Tag { class: 0, constructed: true, number: 0x11 };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// 0 universal, 2 context, 3 private.
    pub class: u8,
    pub constructed: bool,
    pub number: u32,
}

impl Tag {
    const fn universal(number: u32) -> Self {
        Tag { class: 0, constructed: false, number }
    }

    /// `[n]` of a container.
    pub const fn context(number: u32) -> Self {
        Tag { class: 2, constructed: true, number }
    }

    /// A fourcc as Apple tags it.
    pub const fn fourcc(fourcc: [u8; 4]) -> Self {
        Tag { class: 3, constructed: true, number: u32::from_be_bytes(fourcc) }
    }
}

/// One element: its whole bytes with the head, and its value.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    pub tag: Tag,
    pub whole: &'a [u8],
    pub value: &'a [u8],
}

impl<'a> Element<'a> {
    /// Reads inside a constructed element.
    pub fn inside(&self, what: &'static str) -> Reader<'a> {
        Reader::new(what, self.value)
    }
}

/// Reads elements one after the other.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Reader { what, rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    fn short(&self) -> WireError {
        WireError::Short { what: self.what }
    }

    fn bad(&self, why: impl Into<String>) -> WireError {
        WireError::malformed(self.what, why)
    }

    /// The next element, whatever it is; none at the end.
    pub fn next(&mut self) -> Result<Option<Element<'a>>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let bytes = self.rest;
        let mut at = 0;
        let mut byte = || {
            let b = bytes.get(at).copied();
            at += 1;
            b
        };
        let first = byte().ok_or_else(|| self.short())?;
        let mut number = u32::from(first & 0x1F);
        if number == 0x1F {
            number = 0;
            for place in 0.. {
                if place == 5 || number > u32::MAX >> 7 {
                    return Err(self.bad("a tag number beyond 32 bits"));
                }
                let b = byte().ok_or_else(|| self.short())?;
                number = number << 7 | u32::from(b & 0x7F);
                if b & 0x80 == 0 {
                    break;
                }
            }
        }
        let tag = Tag { class: first >> 6, constructed: first & 0x20 != 0, number };
        let length = match byte().ok_or_else(|| self.short())? {
            short @ 0..=0x7F => usize::from(short),
            long @ 0x81..=0x84 => {
                let mut length = 0_u32;
                for _ in 0..long & 0x7F {
                    length = length << 8 | u32::from(byte().ok_or_else(|| self.short())?);
                }
                usize::try_from(length).map_err(|_| self.bad("a length beyond this machine"))?
            }
            _ => return Err(self.bad("a length of no definite form")),
        };
        let end = at.checked_add(length).ok_or_else(|| self.short())?;
        let (Some(whole), Some(value)) = (bytes.get(..end), bytes.get(at..end)) else { return Err(self.short()) };
        self.rest = &bytes[end..];
        Ok(Some(Element { tag, whole, value }))
    }

    /// The next element, which must be tagged so.
    pub fn expect(&mut self, tag: Tag) -> Result<Element<'a>, WireError> {
        match self.next()? {
            Some(element) if element.tag == tag => Ok(element),
            Some(element) => Err(self.bad(format!("tag {:?} where {tag:?} belongs", element.tag))),
            None => Err(self.short()),
        }
    }

    /// A four-character word such as `IM4P`.
    pub fn word(&mut self) -> Result<[u8; 4], WireError> {
        let value = self.expect(IA5)?.value;
        value.try_into().map_err(|_| self.bad(format!("a word of {} bytes instead of 4", value.len())))
    }

    /// The word that opens a container.
    pub fn magic(&mut self, magic: &[u8; 4]) -> Result<(), WireError> {
        let found = self.word()?;
        if &found == magic {
            return Ok(());
        }
        Err(self.bad(format!("{:?} where {:?} belongs", super::word(found), super::word(*magic))))
    }

    /// Nothing may follow.
    pub fn end(&self) -> Result<(), WireError> {
        match self.rest.len() {
            0 => Ok(()),
            more => Err(self.bad(format!("{more} bytes after the end"))),
        }
    }
}

/// A non-negative integer of at most 64 bits; none when it is negative or longer.
pub fn unsigned(value: &[u8]) -> Option<u64> {
    let digits = match value {
        [] => return None,
        [0, rest @ ..] => rest,
        [first, ..] if first & 0x80 != 0 => return None,
        all => all,
    };
    if digits.len() > 8 {
        return None;
    }
    Some(digits.iter().fold(0, |sum, b| sum << 8 | u64::from(*b)))
}

/// Appends the head of an element whose value has `length` bytes.
///
/// # Panics
/// Never: lengths past 4 GiB are cut by the callers' caps before they come here.
pub fn head(out: &mut Vec<u8>, tag: Tag, length: usize) {
    let first = tag.class << 6 | u8::from(tag.constructed) << 5;
    if tag.number < 0x1F {
        out.push(first | tag.number as u8);
    } else {
        out.push(first | 0x1F);
        let groups = (32 - tag.number.leading_zeros()).div_ceil(7);
        for group in (0..groups).rev() {
            let more = if group > 0 { 0x80 } else { 0 };
            out.push((tag.number >> (group * 7)) as u8 & 0x7F | more);
        }
    }
    let bytes = (length as u32).to_be_bytes();
    match length {
        0..=0x7F => out.push(length as u8),
        0x80..=0xFF => out.extend([0x81, bytes[3]]),
        0x100..=0xFFFF => out.extend([&[0x82], &bytes[2..]].concat()),
        0x1_0000..=0xFF_FFFF => out.extend([&[0x83], &bytes[1..]].concat()),
        _ => out.extend([&[0x84], &bytes[..]].concat()),
    }
}

/// Appends a whole element.
pub fn element(out: &mut Vec<u8>, tag: Tag, value: &[u8]) {
    head(out, tag, value.len());
    out.extend_from_slice(value);
}

/// Appends a container whose content `fill` writes.
pub fn container(out: &mut Vec<u8>, tag: Tag, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    fill(&mut inner);
    element(out, tag, &inner);
}

pub fn text(out: &mut Vec<u8>, text: &[u8]) {
    element(out, IA5, text);
}

pub fn integer(out: &mut Vec<u8>, value: u64) {
    let bytes = value.to_be_bytes();
    let zeros = bytes.iter().take(7).take_while(|b| **b == 0).count();
    let mut digits = bytes[zeros..].to_vec();
    if digits[0] & 0x80 != 0 {
        digits.insert(0, 0);
    }
    element(out, INTEGER, &digits);
}

pub fn boolean(out: &mut Vec<u8>, value: bool) {
    element(out, BOOLEAN, &[if value { 0xFF } else { 0 }]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_tags_are_written_as_der_has_them() {
        let mut out = Vec::new();
        integer(&mut out, 0x8110);
        assert_eq!(out, [2, 3, 0, 0x81, 0x10]);
        out.clear();
        integer(&mut out, 0);
        assert_eq!(out, [2, 1, 0]);
        out.clear();
        head(&mut out, Tag::fourcc(*b"MANP"), 300);
        assert_eq!(out, [0xFF, 0x84, 0xEA, 0x85, 0x9C, 0x50, 0x82, 1, 44]);
        for value in [0, 1, 0x7F, 0x80, 0xFFFF, u64::MAX, 1 << 63] {
            out.clear();
            integer(&mut out, value);
            let element = Reader::new("n", &out).expect(INTEGER).unwrap();
            assert_eq!(unsigned(element.value), Some(value));
        }
    }

    #[test]
    fn lengths_that_lie_are_errors() {
        for bytes in
            [&[0x30_u8, 0x84, 0xFF, 0xFF, 0xFF, 0xFF][..], &[0x30, 0x80, 0, 0], &[0x30, 5, 1], &[0x3F], &[0x04]]
        {
            assert!(Reader::new("x", bytes).next().is_err(), "{bytes:?}");
        }
        assert!(Reader::new("x", &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0]).next().is_err());
        assert!(unsigned(&[0x80]).is_none() && unsigned(&[1; 9]).is_none() && unsigned(&[]).is_none());
    }
}
