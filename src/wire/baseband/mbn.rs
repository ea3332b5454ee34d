//! Signed parts whose signature is their end: MBN with a short or a long header, BIN, MBN inside of ELF.
//!
//! Words of a short header (Qualcomm, public): image, version, two addresses, length of all that follows,
//! length of the code, then address and length of signature and of certificates. A long one has 80 bytes,
//! with the length of what follows in its eighth word. BIN is Intel's: a branch instruction, a magic text, and
//! the length of all in its fifth word. The words of BIN and of the long header are from public tools only.

use super::{WireError, bad, elf, put, sum, word};

const SHORT: [u8; 4] = [0x0A, 0, 0, 0];
const SHORT_HEADER: usize = 40;
const LONG: [u8; 8] = [0xD1, 0xDC, 0x4B, 0x84, 0x34, 0x10, 0xD7, 0x73];
const LONG_HEADER: usize = 80;
/// After the first byte, which is any.
const BIN: [u8; 7] = [0x04, 0x00, 0xEA, 0x6C, 0x69, 0x48, 0x55];
const BIN_HEADER: usize = 24;

/// The part with `blob` in the place of its last bytes.
pub(super) fn stitch(mut part: Vec<u8>, blob: &[u8]) -> Result<Vec<u8>, WireError> {
    let at = part.len().checked_sub(blob.len());
    let at = at.ok_or_else(|| bad(format!("a signature of {} bytes for a part of {}", blob.len(), part.len())))?;
    if elf::is(&part) {
        let segments = elf::segments(&part)?;
        if segments.touched(at, part.len()) > 1 || at < segments.headers {
            return Err(bad("the signature would reach into another segment"));
        }
    } else if let Some((header, end)) = header(&part)? {
        if end > part.len() {
            return Err(bad(format!("its header tells {end} bytes, there are {}", part.len())));
        }
        if at < header {
            return Err(bad("the signature would replace the header"));
        }
    }
    put(&mut part, at, blob)?;
    Ok(part)
}

/// Length of the header and, from it, of the whole file. None: no header that is known.
fn header(part: &[u8]) -> Result<Option<(usize, usize)>, WireError> {
    Ok(Some(if part.starts_with(&LONG) {
        (LONG_HEADER, sum(&[LONG_HEADER, word(part, 0x1C)?])?)
    } else if part.starts_with(&SHORT) {
        (SHORT_HEADER, sum(&[SHORT_HEADER, word(part, 0x10)?])?)
    } else if part.get(1..).is_some_and(|rest| rest.starts_with(&BIN)) {
        (BIN_HEADER, word(part, 0x10)?)
    } else {
        return Ok(None);
    }))
}
