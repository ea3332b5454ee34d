//! ftab: the firmware table of chips with a small system of their own (Rose, the USB-C retimer).
//!
//! 48 bytes of head, an entry of 16 bytes for each part, then the parts. Tags are four letters in reading
//! order; numbers are little-endian.
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 4 | 1 |
//! | 4 | 4 | FFFFFFFF |
//! | 8 | 24 | zero in all that were seen |
//! | 32 | 4 | tag of the table, `rkos` |
//! | 36 | 4 | `ftab` |
//! | 40 | 4 | number of entries |
//! | 44 | 4 | zero |
//!
//! An entry: tag, offset from the begin of the file, size, zero. Two public restore tools agree on this. The
//! head is kept as shipped, since nobody knows what its zeros are for (one of the tools clears them). Parts
//! are written one after the other in the order of their entries.

use super::WireError;

const WHAT: &str = "ftab";
const HEAD: usize = 48;
const ENTRY: usize = 16;
/// Entries in one table; shipped ones have under ten.
pub const MAX_ENTRIES: usize = 64;
/// Bytes of a whole table; shipped ones have under two megabytes.
pub const MAX_TABLE: usize = 64 << 20;

pub type Tag = [u8; 4];

/// A table whose parts stay where they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ftab<'a> {
    head: [u8; HEAD],
    /// In the order of the file.
    pub parts: Vec<(Tag, &'a [u8])>,
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

fn tag(bytes: &[u8], at: usize) -> Option<Tag> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok()
}

impl<'a> Ftab<'a> {
    /// Parts may neither leave the file, nor lie on the table, nor be longer together than the file: what
    /// is built again is never larger than what came in.
    ///
    /// # Errors
    /// [`WireError::Short`], [`WireError::TooLong`] past a cap, else malformed.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let short = WireError::Short { what: WHAT };
        let long =
            |length: usize, cap: usize| WireError::TooLong { what: WHAT, length: length as u64, cap: cap as u64 };
        if bytes.len() > MAX_TABLE {
            return Err(long(bytes.len(), MAX_TABLE));
        }
        let head: [u8; HEAD] = bytes.get(..HEAD).and_then(|head| head.try_into().ok()).ok_or(short.clone())?;
        if tag(bytes, 36) != Some(*b"ftab") {
            return Err(WireError::malformed(WHAT, "another magic word"));
        }
        let count = number(bytes, 40).ok_or(short.clone())?;
        if count > MAX_ENTRIES {
            return Err(long(count, MAX_ENTRIES));
        }
        let begin = HEAD + count * ENTRY;
        let mut total = begin;
        let mut parts = Vec::new();
        for at in (HEAD..begin).step_by(ENTRY) {
            let entry = (tag(bytes, at), number(bytes, at + 4), number(bytes, at + 8));
            let (Some(tag), Some(offset), Some(size)) = entry else { return Err(short) };
            if offset < begin {
                return Err(WireError::malformed(WHAT, "a part lies on the table"));
            }
            let part = offset.checked_add(size).and_then(|end| bytes.get(offset..end)).ok_or(short.clone())?;
            total = total.saturating_add(size);
            parts.push((tag, part));
        }
        if total > bytes.len() {
            return Err(WireError::malformed(WHAT, "parts lie on each other"));
        }
        Ok(Ftab { head, parts })
    }

    /// Of the table: `rkos`.
    pub fn tag(&self) -> Tag {
        tag(&self.head, 32).unwrap_or_default()
    }

    pub fn part(&self, tag: Tag) -> Option<&'a [u8]> {
        self.parts.iter().find(|(other, _)| *other == tag).map(|(_, part)| *part)
    }

    /// Puts a part at the end, or in the place of the one with this tag.
    ///
    /// # Errors
    /// When the table is full.
    pub fn put(&mut self, tag: Tag, part: &'a [u8]) -> Result<(), WireError> {
        if let Some(place) = self.parts.iter_mut().find(|(other, _)| *other == tag) {
            place.1 = part;
            return Ok(());
        }
        if self.parts.len() >= MAX_ENTRIES {
            return Err(WireError::TooLong { what: WHAT, length: MAX_ENTRIES as u64 + 1, cap: MAX_ENTRIES as u64 });
        }
        self.parts.push((tag, part));
        Ok(())
    }

    /// The whole file.
    ///
    /// # Errors
    /// When it would pass the cap.
    pub fn build(&self) -> Result<Vec<u8>, WireError> {
        let begin = HEAD + self.parts.len() * ENTRY;
        let total = self.parts.iter().fold(begin, |sum, (_, part)| sum.saturating_add(part.len()));
        if total > MAX_TABLE {
            return Err(WireError::TooLong { what: WHAT, length: total as u64, cap: MAX_TABLE as u64 });
        }
        // Below the cap every number fits.
        let word = |n: usize| (n as u32).to_le_bytes();
        let mut out = Vec::with_capacity(total);
        out.extend_from_slice(self.head.get(..40).unwrap_or_default());
        out.extend_from_slice(&word(self.parts.len()));
        out.extend_from_slice(self.head.get(44..).unwrap_or_default());
        let mut at = begin;
        for (tag, part) in &self.parts {
            out.extend_from_slice(tag);
            out.extend_from_slice(&word(at));
            out.extend_from_slice(&word(part.len()));
            out.extend_from_slice(&[0; 4]);
            at += part.len();
        }
        self.parts.iter().for_each(|(_, part)| out.extend_from_slice(part));
        Ok(out)
    }
}

/// A table with nothing in it.
pub fn empty(tag: Tag) -> Ftab<'static> {
    let mut head = [0; HEAD];
    for (at, word) in [(0, 1_u32.to_le_bytes()), (4, [0xFF; 4]), (32, tag), (36, *b"ftab")] {
        if let Some(place) = head.get_mut(at..at + 4) {
            place.copy_from_slice(&word);
        }
    }
    Ftab { head, parts: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut table = empty(*b"rkos");
        table.put(*b"rkos", &[1; 7]).unwrap();
        table.put(*b"sbd1", &[2; 30]).unwrap();
        table.build().unwrap()
    }

    #[test]
    fn the_bytes_are_where_the_chip_looks_for_them() {
        let bytes = sample();
        assert_eq!(bytes[..8], [1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert_eq!(bytes[8..32], [0; 24]);
        assert_eq!(bytes[32..48], *b"rkosftab\x02\0\0\0\0\0\0\0");
        assert_eq!(bytes[48..64], *b"rkos\x50\0\0\0\x07\0\0\0\0\0\0\0");
        assert_eq!(bytes[64..80], *b"sbd1\x57\0\0\0\x1E\0\0\0\0\0\0\0");
        assert_eq!(bytes.len(), 80 + 37);
    }

    #[test]
    fn a_part_more_moves_the_others_and_changes_none() {
        let mut bytes = sample();
        bytes[8] = 0x77;
        let mut table = Ftab::parse(&bytes).unwrap();
        assert_eq!((table.tag(), table.part(*b"sbd1")), (*b"rkos", Some(&[2; 30][..])));
        table.put(*b"rrko", &[3; 5]).unwrap();
        let longer = table.build().unwrap();
        assert_eq!(longer.len(), bytes.len() + 16 + 5);
        assert_eq!(longer[8], 0x77, "the head stays");
        let again = Ftab::parse(&longer).unwrap();
        assert_eq!(again.parts, table.parts);
        let mut replaced = again.clone();
        replaced.put(*b"rrko", &[4; 1]).unwrap();
        assert_eq!((replaced.parts.len(), replaced.part(*b"rrko")), (3, Some(&[4; 1][..])));
    }

    #[test]
    fn parts_behind_a_gap_are_found() {
        let mut bytes = sample();
        bytes.splice(80..80, [0; 48]);
        for entry in [48, 64] {
            bytes[entry + 4] += 48;
        }
        let table = Ftab::parse(&bytes).unwrap();
        assert_eq!(table.part(*b"rkos"), Some(&[1; 7][..]));
        assert_eq!(table.build().unwrap(), sample(), "written without the gap");
    }

    #[test]
    fn lies_are_refused() {
        let whole = sample();
        for length in 0..whole.len() {
            assert!(Ftab::parse(&whole[..length]).is_err(), "{length}");
        }
        let with = |at: usize, word: u32| {
            let mut bytes = whole.clone();
            bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
            Ftab::parse(&bytes).map(|_| ())
        };
        assert!(with(44, 9).is_ok(), "the unknown is no lie");
        assert!(with(36, 9).is_err());
        assert!(matches!(with(40, 65), Err(WireError::TooLong { length: 65, .. })));
        assert!(matches!(with(40, u32::MAX), Err(WireError::TooLong { .. })));
        assert!(with(52, 0).is_err(), "on the table");
        assert!(with(52, u32::MAX).is_err() && with(56, u32::MAX).is_err(), "outside");
        assert!(with(56, 36).is_err(), "on each other");
        let mut full = empty(*b"rkos");
        for n in 0..64 {
            full.put([n; 4], b"x").unwrap();
        }
        assert!(full.put(*b"more", b"x").is_err() && full.put([3; 4], b"y").is_ok());
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics_and_nothing_grows(
            at in 0..117_usize, word in proptest::num::u32::ANY, cut in 0..118_usize,
            noise in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        ) {
            let _ = Ftab::parse(&noise);
            let mut bytes = sample();
            for (place, byte) in bytes.iter_mut().skip(at).zip(word.to_le_bytes()) {
                *place = byte;
            }
            bytes.truncate(cut);
            if let Ok(table) = Ftab::parse(&bytes) {
                let built = table.build().unwrap();
                assert!(built.len() <= bytes.len());
                assert_eq!(Ftab::parse(&built).unwrap(), table);
            }
        }

        #[test]
        fn what_is_built_is_read(
            parts in proptest::collection::btree_map(
                proptest::array::uniform4(1..255_u8), proptest::collection::vec(proptest::num::u8::ANY, 0..50), 0..20)
        ) {
            let mut table = empty(*b"rkos");
            for (tag, part) in &parts {
                table.put(*tag, part).unwrap();
            }
            let bytes = table.build().unwrap();
            let again = Ftab::parse(&bytes).unwrap();
            assert_eq!(again.parts, table.parts);
            assert_eq!(again.build().unwrap(), bytes);
        }
    }
}
