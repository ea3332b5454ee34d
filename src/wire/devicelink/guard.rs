//! A check that a binary property list is not a bomb, before anything is built from it.
//!
//! Objects of a binary list refer to each other by number. A few hundred bytes can name the same array twice at each
//! of forty levels, which unfolds into 2^40 values, or nest a million levels, which overflows the stack when the
//! value is dropped. The reader of the `plist` crate stops at neither. So the references are walked here first,
//! without building anything, with a budget for depth, objects and unfolded bytes.

use super::WireError;
use plist::Value;
use std::io::Cursor;

/// Deepest nesting that is read. An archived object of a backup's manifest nests below 10.
pub const MAX_DEPTH: usize = 64;
/// Most values that a list may unfold into.
pub const MAX_OBJECTS: u64 = 4 << 20;
/// Most bytes of texts and data that a list may unfold into.
pub const MAX_UNFOLDED: u64 = 128 << 20;

const WHAT: &str = "binary property list";

/// Reads a binary property list from outside.
///
/// # Errors
/// [`WireError::Malformed`] for what is none, [`WireError::TooLong`] for one that unfolds beyond the budget.
pub fn binary_plist(bytes: &[u8]) -> Result<Value, WireError> {
    check(bytes)?;
    Value::from_reader(Cursor::new(bytes)).map_err(|err| WireError::malformed(WHAT, err.to_string()))
}

/// What one object refers to.
enum Object {
    /// Texts, data and scalars: bytes.
    Leaf(u64),
    /// Where its references begin and how many they are.
    Branch { at: usize, count: usize },
}

/// A binary property list whose objects are looked at one by one, without building values: for a single field out of
/// many small lists. Every lookup is checked, none follows a chain by itself.
pub struct Table<'a> {
    bytes: &'a [u8],
    offset_size: usize,
    ref_size: usize,
    objects: usize,
    table_at: usize,
}

/// Walks the list without building it.
///
/// # Errors
/// As [`binary_plist`].
pub fn check(bytes: &[u8]) -> Result<(), WireError> {
    let table = Table::open(bytes)?;
    let top = table.number_at(bytes.len() - 16, 8)?;
    // Each level: where the next reference is and how many are left.
    let mut stack: Vec<(usize, usize)> = Vec::with_capacity(MAX_DEPTH);
    let (mut objects, mut unfolded) = (0u64, 0u64);
    let mut next = Some(top);
    loop {
        if let Some(index) = next.take() {
            objects += 1;
            if objects > MAX_OBJECTS {
                return Err(WireError::TooLong { what: WHAT, length: objects, cap: MAX_OBJECTS });
            }
            match table.object(index)? {
                Object::Leaf(size) => unfolded += size,
                Object::Branch { at, count } => {
                    if stack.len() >= MAX_DEPTH {
                        return Err(WireError::TooLong {
                            what: "nesting of a property list",
                            length: stack.len() as u64 + 1,
                            cap: MAX_DEPTH as u64,
                        });
                    }
                    stack.push((at, count));
                }
            }
            if unfolded > MAX_UNFOLDED {
                return Err(WireError::TooLong { what: WHAT, length: unfolded, cap: MAX_UNFOLDED });
            }
        }
        match stack.last_mut() {
            None => return Ok(()),
            Some((_, 0)) => {
                stack.pop();
            }
            Some((at, left)) => {
                next = Some(table.number_at(*at, table.ref_size)?);
                *at += table.ref_size;
                *left -= 1;
            }
        }
    }
}

impl<'a> Table<'a> {
    /// # Errors
    /// [`WireError::Malformed`] for what is no binary property list.
    pub fn open(bytes: &'a [u8]) -> Result<Self, WireError> {
        if !bytes.starts_with(b"bplist00") || bytes.len() < 8 + 32 {
            return Err(WireError::malformed(WHAT, "no header or trailer"));
        }
        let trailer = bytes.len() - 32;
        let mut table = Table { bytes, offset_size: 0, ref_size: 0, objects: 0, table_at: 0 };
        table.offset_size = table.number_at(trailer + 6, 1)?;
        table.ref_size = table.number_at(trailer + 7, 1)?;
        table.objects = table.number_at(trailer + 8, 8)?;
        table.table_at = table.number_at(trailer + 24, 8)?;
        let widths = 1..=8;
        let end = table.objects.checked_mul(table.offset_size).and_then(|size| size.checked_add(table.table_at));
        let sane = widths.contains(&table.offset_size) && widths.contains(&table.ref_size);
        match end {
            Some(end) if sane && end <= trailer => Ok(table),
            _ => Err(WireError::malformed(WHAT, "trailer points outside")),
        }
    }

    fn number_at(&self, at: usize, width: usize) -> Result<usize, WireError> {
        let outside = || WireError::malformed(WHAT, "an object lies outside");
        let end = at.checked_add(width).ok_or_else(outside)?;
        let bytes = self.bytes.get(at..end).ok_or_else(outside)?;
        let number = bytes.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
        usize::try_from(number).map_err(|_| outside())
    }

    fn object(&self, index: usize) -> Result<Object, WireError> {
        if index >= self.objects {
            return Err(WireError::malformed(WHAT, "refers to an object that is not there"));
        }
        let at = self.number_at(self.table_at + index * self.offset_size, self.offset_size)?;
        let token = self.number_at(at, 1)?;
        let (kind, low) = (token >> 4, token & 0x0F);
        let unit = match kind {
            0x4 | 0x5 => 1,
            0x6 => 2,
            0xA => self.ref_size,
            0xD => 2 * self.ref_size,
            _ => return Ok(Object::Leaf(16)),
        };
        let (count, body) = if low == 0x0F {
            let width = 1 << (self.number_at(at + 1, 1)? & 3);
            (self.number_at(at + 2, width)?, at + 2 + width)
        } else {
            (low, at + 1)
        };
        let size =
            count.checked_mul(unit).filter(|size| body.checked_add(*size).is_some_and(|e| e <= self.bytes.len()));
        let size = size.ok_or_else(|| WireError::malformed(WHAT, "an object is longer than the list"))?;
        Ok(match kind {
            0xA => Object::Branch { at: body, count },
            0xD => Object::Branch { at: body, count: count * 2 },
            _ => Object::Leaf(size as u64),
        })
    }

    /// The number of the outermost object.
    pub fn top(&self) -> Option<usize> {
        self.number_at(self.bytes.len().checked_sub(16)?, 8).ok()
    }

    fn token(&self, index: usize) -> Option<(usize, usize)> {
        if index >= self.objects {
            return None;
        }
        let at = self.number_at(self.table_at + index * self.offset_size, self.offset_size).ok()?;
        Some((at, self.number_at(at, 1).ok()?))
    }

    /// The value of `key` in the dictionary `index`.
    pub fn get(&self, index: usize, key: &str) -> Option<usize> {
        let (_, token) = self.token(index)?;
        let Object::Branch { at, count } = self.object(index).ok().filter(|_| token >> 4 == 0xD)? else { return None };
        let pairs = count / 2;
        let nth = |n: usize| self.number_at(at + n * self.ref_size, self.ref_size).ok();
        let found = (0..pairs).find(|n| nth(*n).is_some_and(|k| self.ascii(k) == Some(key.as_bytes())))?;
        nth(pairs + found)
    }

    /// The item `n` of the array `index`.
    pub fn item(&self, index: usize, n: usize) -> Option<usize> {
        let (_, token) = self.token(index)?;
        match self.object(index).ok()? {
            Object::Branch { at, count } if token >> 4 == 0xA && n < count => {
                self.number_at(at + n * self.ref_size, self.ref_size).ok()
            }
            _ => None,
        }
    }

    fn ascii(&self, index: usize) -> Option<&'a [u8]> {
        self.leaf(index, 0x5)
    }

    fn leaf(&self, index: usize, kind: usize) -> Option<&'a [u8]> {
        let (at, token) = self.token(index)?;
        let Object::Leaf(size) = self.object(index).ok().filter(|_| token >> 4 == kind)? else { return None };
        let body = match token & 0x0F {
            0x0F => at + 2 + (1 << (self.number_at(at + 1, 1).ok()? & 3)),
            _ => at + 1,
        };
        self.bytes.get(body..body + size as usize)
    }

    /// The bytes of a data object.
    pub fn data(&self, index: usize) -> Option<&'a [u8]> {
        self.leaf(index, 0x4)
    }

    /// An integer.
    pub fn integer(&self, index: usize) -> Option<i64> {
        let (at, token) = self.token(index)?;
        let width = match token {
            0x10..=0x13 => 1 << (token & 3),
            _ => return None,
        };
        self.number_at(at + 1, width).ok().map(|n| n as i64)
    }

    /// A reference of an archive (`UID`).
    pub fn uid(&self, index: usize) -> Option<usize> {
        let (at, token) = self.token(index)?;
        match token {
            0x80..=0x87 => self.number_at(at + 1, (token & 7) + 1).ok(),
            _ => None,
        }
    }
}
