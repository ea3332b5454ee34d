//! The modem's firmware (`.bbfw`): a zip that wants Apple's signatures and ticket inside.
//!
//! What goes where is [`crate::wire::baseband`]'s; here are the zip and its caps. The same archive and the
//! same answer always give the same bytes. Files are stored without compression: the device unpacks them
//! either way, and most of a modem's firmware does not get smaller.

use crate::fault::{Code, Fault};
use crate::wire::WireError;
use crate::wire::baseband::Stitcher;
use plist::Dictionary;
use std::io::{Cursor, Read, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

/// Most bytes that a modem's firmware may unfold to.
const CAP: u64 = 512 << 20;
/// Most files in it; real ones have up to some thirty.
const MAX_FILES: usize = 1024;

fn damaged(why: impl std::fmt::Display) -> Fault {
    Fault::new(Code::FirmwareDamaged, format!("baseband firmware: {why}"))
}

/// The archive with what Apple's `answer` brings for the modem `chip` (`BbChipID`).
///
/// # Errors
/// `firmware-damaged` when the file is no sane zip or a signature does not fit, `tss-invalid-answer` when
/// the answer lacks the ticket or brings a signature for an unknown part.
pub fn signed(bbfw: &[u8], answer: &Dictionary, chip: u64) -> Result<Vec<u8>, Fault> {
    let mut stitcher = Stitcher::new(answer, chip).map_err(|e| Fault::new(Code::TssInvalid, e.to_string()))?;
    let mut archive = ZipArchive::new(Cursor::new(bbfw)).map_err(damaged)?;
    if archive.len() > MAX_FILES {
        return Err(damaged(format!("{} files", archive.len())));
    }
    let mut out = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default());
    let mut left = CAP;
    let wire = |e: WireError| Fault::new(Code::FirmwareDamaged, e.to_string());
    for index in 0..archive.len() {
        let part = archive.by_index(index).map_err(damaged)?;
        let name = part.name().map_err(damaged)?.to_string();
        if part.is_dir() || !Stitcher::keeps(&name) {
            continue;
        }
        let mut bytes = Vec::new();
        let read = part.take(left + 1).read_to_end(&mut bytes).map_err(damaged)? as u64;
        left = left.checked_sub(read).ok_or_else(|| damaged(format!("unfolds to more than {CAP} bytes")))?;
        let bytes = stitcher.part(&name, bytes).map_err(wire)?;
        out.start_file(name, options).map_err(damaged)?;
        out.write_all(&bytes).map_err(damaged)?;
    }
    if let Some((name, bytes)) = stitcher.rest().map_err(wire)? {
        out.start_file(name, options).map_err(damaged)?;
        out.write_all(&bytes).map_err(damaged)?;
    }
    Ok(out.finish().map_err(damaged)?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::baseband::TICKET;
    use plist::Value;

    fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in files {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn answer(element: &str) -> Dictionary {
        let blobs = Dictionary::from_iter([(format!("{element}-Blob"), Value::Data(b"SIGN".to_vec()))]);
        Dictionary::from_iter([("BBTicket", Value::Data(b"new".to_vec())), ("BasebandFirmware", blobs.into())])
    }

    #[test]
    fn parts_are_signed_and_the_ticket_is_last() {
        let bbfw = zipped(&[
            ("restoresbl1.mbn", b"code....."),
            ("Info.plist", b"about"),
            (TICKET, b"old"),
            ("bbcfg.mbn", b"configuration"),
            ("folder/apps.elf", b"apps"),
        ]);
        let made = signed(&bbfw, &answer("RestoreSBL1"), 0x0092_01E1).unwrap();
        assert_eq!(made, signed(&bbfw, &answer("RestoreSBL1"), 0x0092_01E1).unwrap());
        let mut archive = ZipArchive::new(Cursor::new(made)).unwrap();
        let read = |index| {
            let mut part = archive.by_index(index).unwrap();
            let mut text = String::new();
            part.read_to_string(&mut text).unwrap();
            (part.name().unwrap().to_string(), text)
        };
        let files = (0..4).map(read).collect::<Vec<_>>();
        let files = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect::<Vec<_>>();
        assert_eq!(
            files,
            [
                ("restoresbl1.mbn", "code.SIGN"),
                ("bbcfg.mbn", "configuration"),
                ("folder/apps.elf", "apps"),
                (TICKET, "new")
            ]
        );
        assert_eq!(archive.len(), 4);
    }

    #[test]
    fn what_cannot_be_signed_is_a_fault() {
        let bbfw = zipped(&[("restoresbl1.mbn", b"cod")]);
        let code = |bbfw: &[u8], element: &str| signed(bbfw, &answer(element), 1).unwrap_err().code;
        assert_eq!(code(b"no zip", "SBL1"), Code::FirmwareDamaged);
        assert_eq!(code(&bbfw, "SBL1"), Code::FirmwareDamaged);
        assert_eq!(code(&bbfw, "RestoreSBL1"), Code::FirmwareDamaged);
        assert_eq!(code(&bbfw, "NoSuchPart"), Code::TssInvalid);
    }
}
