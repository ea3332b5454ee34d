//! FLS, the parts of Infineon's modems (iPhone 4): a chain of elements, one of which (0x0C) has the code.
//!
//! An element: type, its length with this header, a zero, and by type more: 0x0C has the length of its data
//! in the eighth word and where in the file they are in the tenth; 0x10 and 0x14 have that in the fourth and
//! the sixth. The code begins with a header of its own, whose word at 0x10 is the length of all of it and
//! whose word at 0x14 is where its signature begins: that one reaches to the end and is replaced, whatever
//! its new length. A ticket goes before the code, filled up to four bytes with 0xFF; there the code's own
//! words stay as they are. Everything from one public tool; nobody here has such a phone.

use super::{WireError, bad, put, sum, word};

const CODE: usize = 0x0C;
const MAX_ELEMENTS: usize = 4096;
/// In the code's own header.
const LENGTH_AT: usize = 0x10;
const SIGNATURE_AT: usize = 0x14;

struct Element<'a> {
    kind: usize,
    header: &'a [u8],
    data: &'a [u8],
}

/// Length of the header, and where in it the data's length and place stand.
fn layout(kind: usize) -> (usize, Option<(usize, usize)>) {
    match kind {
        CODE => (40, Some((0x1C, 0x24))),
        0x10 | 0x14 => (24, Some((0x0C, 0x14))),
        _ => (12, None),
    }
}

fn parse(mut bytes: &[u8]) -> Result<Vec<Element<'_>>, WireError> {
    let mut elements = Vec::new();
    while !bytes.is_empty() {
        let (kind, size) = (word(bytes, 0)?, word(bytes, 4)?);
        let (head, _) = layout(kind);
        let (Some(header), Some(data), Some(rest)) = (bytes.get(..head), bytes.get(head..size), bytes.get(size..))
        else {
            return Err(bad(format!("an element of {size} bytes, where {} are left", bytes.len())));
        };
        if elements.len() == MAX_ELEMENTS {
            return Err(bad("too many elements"));
        }
        elements.push(Element { kind, header, data });
        bytes = rest;
    }
    match elements.iter().filter(|e| e.kind == CODE).count() {
        1 => Ok(elements),
        count => Err(bad(format!("{count} elements with code"))),
    }
}

/// The file again, with what `change` makes of the code; lengths and places follow.
fn rebuilt(bytes: &[u8], change: impl Fn(&Element<'_>) -> Result<Vec<u8>, WireError>) -> Result<Vec<u8>, WireError> {
    let mut out = Vec::with_capacity(bytes.len());
    for element in parse(bytes)? {
        let mut header = element.header.to_vec();
        let changed = if element.kind == CODE { Some(change(&element)?) } else { None };
        let data = changed.as_deref().unwrap_or(element.data);
        let head = header.len();
        put(&mut header, 4, &short(sum(&[head, data.len()])?)?)?;
        if let (_, Some((length_at, place_at))) = layout(element.kind) {
            // What the header tells may be less than there is; the difference is filling and stays.
            let told = sum(&[word(&header, length_at)?, data.len()])?.checked_sub(element.data.len());
            put(&mut header, length_at, &short(told.ok_or_else(|| bad("an element tells a wrong length"))?)?)?;
            put(&mut header, place_at, &short(sum(&[out.len(), head])?)?)?;
        }
        out.extend_from_slice(&header);
        out.extend_from_slice(data);
    }
    Ok(out)
}

fn short(value: usize) -> Result<[u8; 4], WireError> {
    u32::try_from(value).map(u32::to_le_bytes).map_err(|_| bad("lengths of absurd size"))
}

/// A boot loader with another signature.
pub(super) fn with_signature(bytes: &[u8], blob: &[u8]) -> Result<Vec<u8>, WireError> {
    rebuilt(bytes, |code| {
        let (told, at) = (word(code.data, LENGTH_AT)?, word(code.data, SIGNATURE_AT)?);
        if told != word(code.header, 0x1C)? || told > code.data.len() {
            return Err(bad("two lengths of the code differ"));
        }
        if at < SIGNATURE_AT + 4 || at > told {
            return Err(bad("the signature begins outside of the code"));
        }
        let (kept, filling) = (code.data.get(..at).unwrap_or_default(), code.data.get(told..).unwrap_or_default());
        let mut data = [kept, blob, filling].concat();
        put(&mut data, LENGTH_AT, &short(sum(&[at, blob.len()])?)?)?;
        Ok(data)
    })
}

/// `ebl.fls` with the ticket in it.
pub(super) fn with_ticket(bytes: &[u8], ticket: &[u8]) -> Result<Vec<u8>, WireError> {
    rebuilt(bytes, |code| {
        let mut data = ticket.to_vec();
        data.resize(ticket.len().next_multiple_of(4), 0xFF);
        data.extend_from_slice(code.data);
        Ok(data)
    })
}
