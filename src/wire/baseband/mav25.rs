//! Parts of the Mav25: an ELF whose last segment is a hash segment of version 7, with two signers.
//!
//! The segment: ten words of header (0, version, then the lengths of what follows), common metadata, metadata
//! of Qualcomm and of Apple (the "OEM"), the hash table, Qualcomm's signature and certificates, Apple's.
//! Apple's blob has the same header but not Qualcomm's signature, though its header may tell of one: its
//! front, up to the hash table, replaces the segment's, and its signature and certificates go behind
//! Qualcomm's, which stays. From one public tool, with which restores are reported to work; the order of the
//! fields is Qualcomm's public one. What happens when the new front is longer than the old one while
//! Qualcomm's signature is there is not known (that tool writes over its begin); it is refused here.

use super::{WireError, bad, elf, put, sum, word};

const HEADER: usize = 40;
const VERSION: usize = 7;

struct Header {
    /// Header, metadata and hash table.
    front: usize,
    /// Qualcomm's signature and certificates.
    theirs: usize,
    /// Apple's.
    ours: usize,
}

impl Header {
    fn read(bytes: &[u8], what: &str) -> Result<Header, WireError> {
        let field = |index: usize| word(bytes, index * 4);
        let version = field(1)?;
        if version != VERSION {
            return Err(bad(format!("the {what} has version {version}, not {VERSION}")));
        }
        Ok(Header {
            front: sum(&[HEADER, field(2)?, field(3)?, field(4)?, field(5)?])?,
            theirs: sum(&[field(6)?, field(7)?])?,
            ours: sum(&[field(8)?, field(9)?])?,
        })
    }
}

pub(super) fn stitch(mut part: Vec<u8>, blob: &[u8]) -> Result<Vec<u8>, WireError> {
    if !elf::is(&part) {
        return Err(bad("not an ELF"));
    }
    let segments = elf::segments(&part)?;
    let place = segments.places.last().cloned().filter(|p| !p.is_empty());
    let place = place.ok_or_else(|| bad("the last segment is empty"))?;
    if place.start < segments.headers || segments.touched(place.start, place.end) > 1 {
        return Err(bad("the hash segment lies over others"));
    }
    let segment = part.get(place.clone()).unwrap_or_default();
    let old = Header::read(segment, "hash segment")?;
    let new = Header::read(blob, "signature")?;
    if sum(&[old.front, old.theirs, old.ours])? > segment.len() {
        return Err(bad("the hash segment is shorter than its header tells"));
    }
    let end = sum(&[new.front, new.ours])?;
    let (Some(front), Some(ours)) = (blob.get(..new.front), blob.get(new.front..end)) else {
        return Err(bad("the signature is shorter than its header tells"));
    };
    if new.front != old.front && old.theirs > 0 {
        return Err(bad("the signature has another hash table than the part"));
    }
    let at = sum(&[new.front, old.theirs])?;
    if sum(&[at, ours.len()])? > segment.len() {
        return Err(bad("the signature does not fit into the hash segment"));
    }
    put(&mut part, place.start, front)?;
    put(&mut part, sum(&[place.start, at])?, ours)?;
    Ok(part)
}
