//! A component as an IMG3 device takes it: as shipped, or with its own `Blob` in place of the signature.
//!
//! Which of the two is Apple's choice: a Blob in the answer is used, and its absence means that the device
//! finds the component's digest in the APTicket. The file's digest is not compared with the manifest's: over
//! which bytes Apple counts it was never seen (see `wire::img3`), and a wrong guess would refuse good files.
//! A device in DFU has no console for a `ticket` command, so there the ticket stands before iBEC itself.

use super::personalize::{Personalised, Source};
use super::ticket::Ticket;
use crate::fault::{Code, Fault};
use crate::wire::img3::{self, ApTicket, Img3};
use plist::Value;
use std::io::{Cursor, Read};

/// Up to here a file is read whole and its tags are looked at; larger ones (ramdisks) are streamed.
const WHOLE: u64 = 8 << 20;
/// Largest file that a Blob is put into.
const MAX_SIGNED: u64 = 64 << 20;

/// The Blob that Apple made for a component, if any.
pub(super) fn blob<'a>(ticket: &'a Ticket, name: &str) -> Option<&'a [u8]> {
    ticket.response.get(name)?.as_dictionary()?.get("Blob").and_then(Value::as_data)
}

/// # Errors
/// `firmware-damaged` when it is no IMG3 or too large, `tss-invalid-answer` when the Blob is none.
pub(super) fn component(name: &str, mut source: Source, blob: Option<&[u8]>) -> Result<Personalised, Fault> {
    let damaged = |why: String| Fault::new(Code::FirmwareDamaged, format!("{name}: {why}"));
    let cap = if blob.is_some() { MAX_SIGNED } else { img3::MAX_IMAGE as u64 };
    if source.length > cap {
        return Err(damaged("larger than any component".into()));
    }
    let mut first = Vec::new();
    let wanted = if blob.is_some() || source.length <= WHOLE { source.length } else { img3::HEADER as u64 };
    source.reader.by_ref().take(wanted).read_to_end(&mut first).map_err(|e| damaged(e.to_string()))?;
    let header = img3::Header::parse(&first).map_err(|e| damaged(e.to_string()))?;
    if first.len() as u64 != wanted || u64::from(header.full) > source.length {
        return Err(damaged("cut short".into()));
    }
    let mut version = None;
    if wanted == source.length {
        let image = Img3::parse(&first).map_err(|e| damaged(e.to_string()))?;
        version = image.version().filter(|v| v.starts_with("iBoot-"));
    }
    let Some(blob) = blob else {
        let image = Box::new(Cursor::new(first).chain(source.reader));
        return Ok(Personalised { length: source.length, image, version });
    };
    let signed = img3::personalise(&first, blob);
    let signed = signed.map_err(|e| Fault::new(Code::TssInvalid, format!("Blob of {name}: {e}")))?;
    Ok(Personalised { length: signed.len() as u64, image: Box::new(Cursor::new(signed)), version })
}

/// An iBEC behind the ticket, for a device that is reached from DFU.
pub(super) fn behind_ticket(ibec: Personalised, ticket: &Ticket) -> Personalised {
    let head = ApTicket::padded(&ticket.der);
    let length = head.len() as u64 + ibec.length;
    Personalised { length, image: Box::new(Cursor::new(head).chain(ibec.image)), version: ibec.version }
}

#[cfg(test)]
mod tests {
    use super::super::rig::dict;
    use super::*;
    use crate::wire::tss::Form;

    fn ticket(blob: Vec<u8>) -> Ticket {
        let response = dict([("iBSS", dict([("Blob", Value::Data(blob))]).into())]);
        Ticket { form: Form::Img3, der: vec![0x30, 0], response, ap_nonce: vec![1; 20], sep_nonce: None }
    }

    fn source(bytes: &[u8]) -> Source {
        Source { length: bytes.len() as u64, reader: Box::new(Cursor::new(bytes.to_vec())) }
    }

    fn made(name: &str, bytes: &[u8], ticket: &Ticket) -> Result<Vec<u8>, Code> {
        let mut ready = component(name, source(bytes), blob(ticket, name)).map_err(|f| f.code)?;
        let mut all = Vec::new();
        ready.image.read_to_end(&mut all).unwrap();
        assert_eq!(all.len() as u64, ready.length);
        Ok(all)
    }

    #[test]
    fn only_a_component_with_a_blob_is_signed() {
        let good = ticket(img3::blob(7, &[1; 128], &[2; 9]));
        let image = img3::build(*b"ibss", "iBoot-3406.60.10", &[5; 3000]);
        let signed = made("iBSS", &image, &good).unwrap();
        assert_eq!((Img3::parse(&signed).unwrap().ecid(), made("iBEC", &image, &good)), (Some(7), Ok(image.clone())));
        let ready = component("iBEC", source(&image), None).unwrap();
        assert_eq!(ready.version.as_deref(), Some("iBoot-3406.60.10"));
        assert_eq!(made("iBSS", &image, &ticket(vec![1; 30])), Err(Code::TssInvalid));
        // A ramdisk is streamed; its head must be right all the same.
        let large = img3::build(*b"rdsk", "", &vec![5; 9 << 20]);
        assert!(made("RestoreRamDisk", &large, &good).unwrap() == large);
        for bad in [&large[..large.len() - 1], &large[..15], &image[..image.len() - 1], &[0; 400]] {
            assert_eq!(made("RestoreRamDisk", bad, &good).err(), Some(Code::FirmwareDamaged));
        }
    }

    #[test]
    fn the_ticket_stands_before_an_ibec_for_dfu() {
        let image = img3::build(*b"ibec", "iBoot-1", &[5; 30]);
        let mut ready = behind_ticket(component("iBEC", source(&image), None).unwrap(), &ticket(vec![]));
        let mut all = Vec::new();
        ready.image.read_to_end(&mut all).unwrap();
        assert_eq!((all.len() as u64, &all[..3], &all[64..]), (ready.length, &[0x30, 0, 0xFF][..], &image[..]));
    }
}
