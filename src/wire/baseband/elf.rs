//! Where the segments of an ELF lie in its file. Little-endian ones of 32 and 64 bits.
//!
//! Segments may lie inside of each other (tables inside of loaded data), so that alone is no fault; a
//! signature that would change two of them is.

use super::{WireError, bad, length, number, sum, word};
use std::ops::Range;

/// Qualcomm's have up to some forty.
const MAX_SEGMENTS: usize = 256;

pub(super) struct Segments {
    /// Places in the file in the order of the table; empty ones have no bytes there.
    pub places: Vec<Range<usize>>,
    /// End of the file's header and of the table.
    pub headers: usize,
}

impl Segments {
    /// How many have bytes in the range.
    pub fn touched(&self, start: usize, end: usize) -> usize {
        self.places.iter().filter(|p| !p.is_empty() && p.start < end && start < p.end).count()
    }
}

pub(super) fn is(part: &[u8]) -> bool {
    part.starts_with(b"\x7FELF")
}

/// # Errors
/// Another byte order or width, a table or a segment beyond the end.
pub(super) fn segments(part: &[u8]) -> Result<Segments, WireError> {
    let wide = match part.get(4..6) {
        Some([1, 1]) => false,
        Some([2, 1]) => true,
        _ => return Err(bad("an ELF of a width or byte order that modems do not have")),
    };
    let (table, size_at, header, row) =
        if wide { (length(number::<8>(part, 0x20)?)?, 0x36, 64, 56) } else { (word(part, 0x1C)?, 0x2A, 52, 32) };
    let size = length(number::<2>(part, size_at)?)?;
    let count = length(number::<2>(part, size_at + 2)?)?;
    if size != row || count == 0 || count > MAX_SEGMENTS {
        return Err(bad(format!("a table of {count} segments of {size} bytes each")));
    }
    let end = sum(&[table, count * row])?;
    if table < header || end > part.len() {
        return Err(bad("the table of segments is not inside of the file"));
    }
    let mut places = Vec::with_capacity(count);
    for at in (table..end).step_by(row) {
        let (start, size) = if wide {
            (length(number::<8>(part, at + 8)?)?, length(number::<8>(part, at + 32)?)?)
        } else {
            (word(part, at + 4)?, word(part, at + 16)?)
        };
        let end = sum(&[start, size])?;
        // A segment without bytes may point anywhere.
        if size > 0 && end > part.len() {
            return Err(bad(format!("a segment ends at {end}, the file at {}", part.len())));
        }
        places.push(start..end);
    }
    Ok(Segments { places, headers: end })
}
