//! What goes into a modem's firmware archive (`.bbfw`) before a device takes it. Pure: bytes in, bytes out.
//!
//! Apple's answer brings a ticket and, in `BasebandFirmware`, a signature `<element>-Blob` for each boot
//! loader of the modem. Every signature goes into its own file of the archive; the manifest's digests of
//! such a file leave that place out (`-PartialDigest`, `-HashTableDigest`), the other files are digested
//! whole (`-DownloadDigest`) and go as shipped.
//!
//! How sure is this? No modem was here to try it on.
//! - Names of files by element, and which chip is a Mav25 (`BbChipID` 0x1F30E1): agreed by all public tools.
//! - MBN, BIN and ELF: the signature takes the place of the file's last bytes. Agreed by all public tools, two
//!   of which do not look at the format at all; so a format that nobody knows is treated alike.
//! - Mav25 and FLS: known from one public tool each; Mav25 restores with it are reported, FLS is the iPhone 4.
//! - Kept are `.fls`, `.mbn`, `.elf` and `.bin` (so `bbcfg.mbn` too) and nothing else, with or without a
//!   nonce, and always the ticket. Tools before late 2025 left the ticket and unsigned parts out as long as
//!   there was no nonce; the Mav25 refuses that ("does not contain programmer"), and an iPhone 11 is reported
//!   to take the complete archive.
//! - Order: that of the archive, the ticket last. One tool puts signed parts first: it seems not to matter.
//!
//! Where the start of a signature could be computed from a header the public tools do not do it, so the
//! header is used for refusals only: a length beyond the end, a signature that would reach into code.

mod elf;
mod fls;
mod mav25;
mod mbn;
#[cfg(test)]
mod tests;

use super::WireError;
use plist::{Dictionary, Value};
use std::collections::BTreeMap;

const WHAT: &str = "baseband firmware";
const ANSWER: &str = "baseband ticket";

/// Most bytes of a signature or a ticket; real ones have up to some ten thousand.
const MAX_BLOB: usize = 1 << 20;

/// The modem of the iPhone 17: other file names, and hash segments with two signers.
pub const MAV25: u64 = 0x001F_30E1;

/// File of the ticket in the archive.
pub const TICKET: &str = "bbticket.der";

/// Infineon's modems take the ticket inside of this part.
const EBL: &str = "ebl.fls";

const FILES: [(&str, &str); 13] = [
    // ICE3, iPhone 4.
    ("RamPSI", "psi_ram.fls"),
    ("FlashPSI", "psi_flash.fls"),
    // Trek, Phoenix and Mav4.
    ("eDBL", "dbl.mbn"),
    ("RestoreDBL", "restoredbl.mbn"),
    ("DBL", "dbl.mbn"),
    ("ENANDPRG", "ENPRG.mbn"),
    // Mav5 and later.
    ("RestoreSBL1", "restoresbl1.mbn"),
    ("SBL1", "sbl1.mbn"),
    // ICE16, ICE17.
    ("RestorePSI", "restorepsi.bin"),
    ("PSI", "psi_ram.bin"),
    // ICE19.
    ("RestorePSI2", "restorepsi2.bin"),
    ("PSI2", "psi_ram2.bin"),
    // Mav20 and later.
    ("Misc", "multi_image.mbn"),
];

const FILES_MAV25: [(&str, &str); 4] = [
    ("Misc", "multi_image.mbn"),
    ("RestoreSBL1", "restorexbl_sc.elf"),
    ("SBL1", "xbl_sc.elf"),
    ("TME", "signed_firmware_soc_view.elf"),
];

/// The file of an archive that an element of Apple's answer is about.
pub fn file(element: &str, chip: u64) -> Option<&'static str> {
    let files: &[_] = if chip == MAV25 { &FILES_MAV25 } else { &FILES };
    files.iter().find(|(name, _)| *name == element).map(|(_, file)| *file)
}

/// What Apple's answer does to an archive. Feed it every file in order, then ask for the rest.
pub struct Stitcher {
    chip: u64,
    ticket: Vec<u8>,
    /// By file; taken out as the files come.
    blobs: BTreeMap<&'static str, Vec<u8>>,
    /// The ticket goes into [`EBL`], and did not yet.
    awaits_ebl: bool,
    in_ebl: bool,
}

impl Stitcher {
    /// Reads an answer for the modem `chip` (`BbChipID`).
    ///
    /// # Errors
    /// When the ticket or the signatures are missing, or one is for a part that nobody knows.
    pub fn new(answer: &Dictionary, chip: u64) -> Result<Stitcher, WireError> {
        let ticket = answer.get("BBTicket").and_then(Value::as_data);
        let ticket = sized("BBTicket", ticket.ok_or_else(|| WireError::malformed(ANSWER, "no BBTicket"))?)?;
        let signatures = answer.get("BasebandFirmware").and_then(Value::as_dictionary);
        let signatures = signatures.ok_or_else(|| WireError::malformed(ANSWER, "no BasebandFirmware"))?;
        let mut blobs = BTreeMap::new();
        for (key, value) in signatures {
            let (Some(element), Some(blob)) = (key.strip_suffix("-Blob"), value.as_data()) else { continue };
            let element = element.split('-').next().unwrap_or(element);
            let file = file(element, chip)
                .ok_or_else(|| WireError::malformed(ANSWER, format!("{element:?} is no part of modem {chip:#X}")))?;
            if blobs.insert(file, sized(key, blob)?).is_some() {
                return Err(WireError::malformed(ANSWER, format!("two signatures for {file}")));
            }
        }
        let in_ebl = blobs.keys().any(|file| file.ends_with(".fls"));
        Ok(Stitcher { chip, ticket, blobs, awaits_ebl: in_ebl, in_ebl })
    }

    /// Whether a file stays in the archive.
    pub fn keeps(name: &str) -> bool {
        [".fls", ".mbn", ".elf", ".bin"].iter().any(|ending| name.ends_with(ending))
    }

    /// One file of the archive as the device gets it.
    ///
    /// # Errors
    /// When the signature does not fit into the file.
    pub fn part(&mut self, name: &str, bytes: Vec<u8>) -> Result<Vec<u8>, WireError> {
        if name == EBL && self.awaits_ebl {
            self.awaits_ebl = false;
            return fls::with_ticket(&bytes, &self.ticket).map_err(|e| named(name, e));
        }
        match self.blobs.remove(name) {
            Some(blob) => stitched(name, self.chip, bytes, &blob),
            None => Ok(bytes),
        }
    }

    /// What is added at the archive's end: a name and its bytes.
    ///
    /// # Errors
    /// When a file that a signature or the ticket belongs into never came.
    pub fn rest(self) -> Result<Option<(&'static str, Vec<u8>)>, WireError> {
        let missing = self.blobs.keys().next().copied().or(self.awaits_ebl.then_some(EBL));
        if let Some(name) = missing {
            return Err(WireError::malformed(WHAT, format!("{name} is missing")));
        }
        Ok((!self.in_ebl).then_some((TICKET, self.ticket)))
    }
}

fn stitched(name: &str, chip: u64, bytes: Vec<u8>, blob: &[u8]) -> Result<Vec<u8>, WireError> {
    let done = if name.ends_with(".fls") {
        fls::with_signature(&bytes, blob)
    } else if chip == MAV25 {
        mav25::stitch(bytes, blob)
    } else {
        mbn::stitch(bytes, blob)
    };
    done.map_err(|e| named(name, e))
}

fn sized(key: &str, blob: &[u8]) -> Result<Vec<u8>, WireError> {
    match blob.len() {
        0 => Err(WireError::malformed(ANSWER, format!("{key} is empty"))),
        length if length > MAX_BLOB => {
            Err(WireError::TooLong { what: ANSWER, length: length as u64, cap: MAX_BLOB as u64 })
        }
        _ => Ok(blob.to_vec()),
    }
}

/// The error, with the file that it is about.
fn named(name: &str, error: WireError) -> WireError {
    match error {
        WireError::Malformed { what, why } => WireError::Malformed { what, why: format!("{name}: {why}") },
        other => other,
    }
}

fn bad(why: impl Into<String>) -> WireError {
    WireError::malformed(WHAT, why)
}

/// A little-endian number of `WIDTH` bytes at `at`.
fn number<const WIDTH: usize>(bytes: &[u8], at: usize) -> Result<u64, WireError> {
    let end = at.checked_add(WIDTH);
    let place = end.and_then(|end| bytes.get(at..end)).ok_or_else(|| bad("a header ends too early"))?;
    Ok(place.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// The same of four bytes, as a length.
fn word(bytes: &[u8], at: usize) -> Result<usize, WireError> {
    length(number::<4>(bytes, at)?)
}

fn length(value: u64) -> Result<usize, WireError> {
    usize::try_from(value).map_err(|_| bad(format!("a length of {value:#x}")))
}

fn sum(numbers: &[usize]) -> Result<usize, WireError> {
    numbers.iter().try_fold(0, |all: usize, n| all.checked_add(*n)).ok_or_else(|| bad("lengths of absurd size"))
}

/// Replaces bytes where they are.
fn put(bytes: &mut [u8], at: usize, new: &[u8]) -> Result<(), WireError> {
    let place = at.checked_add(new.len()).and_then(|end| bytes.get_mut(at..end));
    place.ok_or_else(|| bad("a place beyond the end"))?.copy_from_slice(new);
    Ok(())
}
