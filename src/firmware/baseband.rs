//! The modem's firmware (`.bbfw`): a zip that wants Apple's ticket inside.
//!
//! The parts go as shipped, in their order, and the ticket is added as `bbticket.der`. Modems whose parts
//! must each be stitched with their own signature (MBN, ELF, FLS) are not done yet; restoring such a
//! device would fail at its baseband, and the README says so.

use crate::fault::{Code, Fault};
use std::io::{Cursor, Read, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Most bytes that a modem's firmware may unfold to.
const CAP: u64 = 512 << 20;
const TICKET: &str = "bbticket.der";

/// The archive with the ticket in it, stored without compression as devices get it.
///
/// # Errors
/// `firmware-damaged` when the file is no sane zip.
pub fn with_ticket(bbfw: &[u8], ticket: &[u8]) -> Result<Vec<u8>, Fault> {
    let damaged = |what: String| Fault::new(Code::FirmwareDamaged, format!("baseband firmware: {what}"));
    let mut archive = ZipArchive::new(Cursor::new(bbfw)).map_err(|e| damaged(e.to_string()))?;
    let mut out = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut left = CAP;
    for index in 0..archive.len() {
        let part = archive.by_index(index).map_err(|e| damaged(e.to_string()))?;
        let name = part.name().map_err(|e| damaged(e.to_string()))?.to_string();
        if name == TICKET || part.is_dir() {
            continue;
        }
        let mut bytes = Vec::new();
        let read = part.take(left + 1).read_to_end(&mut bytes).map_err(|e| damaged(e.to_string()))? as u64;
        left = left.checked_sub(read).ok_or_else(|| damaged(format!("unfolds to more than {CAP} bytes")))?;
        out.start_file(name, options).map_err(|e| damaged(e.to_string()))?;
        out.write_all(&bytes).map_err(|e| damaged(e.to_string()))?;
    }
    out.start_file(TICKET, options).map_err(|e| damaged(e.to_string()))?;
    out.write_all(ticket).map_err(|e| damaged(e.to_string()))?;
    Ok(out.finish().map_err(|e| damaged(e.to_string()))?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ticket_joins_the_parts_and_an_old_one_goes() {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in [("sbl1.mbn", &b"one"[..]), (TICKET, b"old"), ("restoresbl1.mbn", b"two")] {
            zip.start_file(name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        let bbfw = zip.finish().unwrap().into_inner();
        let signed = with_ticket(&bbfw, b"new").unwrap();
        let mut archive = ZipArchive::new(Cursor::new(signed)).unwrap();
        assert_eq!(archive.len(), 3);
        let mut text = String::new();
        archive.by_name(TICKET).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "new");
        assert_eq!(with_ticket(b"no zip", b"x").unwrap_err().code, Code::FirmwareDamaged);
    }
}
