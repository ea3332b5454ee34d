//! Is an answer what this phone would accept? Pure: values in, a reason out.

use super::im4r;
use crate::virt::ipsw::modem;
use crate::wire::img3::{ApTicket, Img3};
use crate::wire::img4::{Algorithm, Im4m, Img4, Property, word};
use plist::{Dictionary, Value};

/// Why an answer is refused, or nothing.
pub(super) type Judged = Result<(), String>;

/// What the phone compares with.
#[derive(Clone, Default)]
pub(super) struct Known {
    /// The ticket that RootTicket brought; none on IMG3 devices.
    pub ticket: Option<Im4m>,
    /// The same on IMG3 devices, and whose they are.
    pub ap_ticket: Option<ApTicket>,
    /// The build identity, once the host has sent it.
    pub identity: Option<Dictionary>,
    pub image_head: Vec<u8>,
    /// The recovery system: its ticket and its identity.
    pub recovery: Option<Box<Known>>,
}

impl Known {
    /// The manifest's entry of a component.
    pub fn component(&self, name: &str) -> Option<&Dictionary> {
        self.manifest()?.get(name)?.as_dictionary()
    }

    pub fn manifest(&self) -> Option<&Dictionary> {
        self.identity.as_ref()?.get("Manifest")?.as_dictionary()
    }

    /// The train of the system that the ticket was signed for: the first number of its long version.
    pub fn train(&self) -> Option<u32> {
        match self.ticket.as_ref()?.properties.get(b"love")? {
            Property::Text(long) => long.split('.').next()?.parse().ok(),
            Property::Bytes(long) => std::str::from_utf8(long).ok()?.split('.').next()?.parse().ok(),
            _ => None,
        }
    }

    pub fn has(&self, prefix: &str) -> bool {
        self.manifest().is_some_and(|m| m.keys().any(|k| k.starts_with(prefix)))
    }

    /// An IMG4 with our ticket, one of these fourccs (any if empty), and the ticket's digest.
    pub fn image(&self, bytes: &[u8], fourccs: &[[u8; 4]]) -> Judged {
        if let Some(ticket) = &self.ap_ticket {
            return img3(ticket, bytes);
        }
        let Some(ticket) = &self.ticket else {
            return if bytes.is_empty() { Err("is empty".into()) } else { Ok(()) };
        };
        let image = Img4::parse(bytes).map_err(|err| err.to_string())?;
        let fourcc = image.im4p.fourcc;
        if !fourccs.is_empty() && !fourccs.contains(&fourcc) {
            return Err(format!("is {}", word(fourcc)));
        }
        if image.im4m != ticket.raw {
            return Err(format!("{} carries another ticket", word(fourcc)));
        }
        let listed = ticket.components.get(&fourcc).ok_or_else(|| format!("{} is not in the ticket", word(fourcc)))?;
        im4r::judge(ticket, fourcc, image.im4r)?;
        if listed.digest.is_empty() {
            return Ok(());
        }
        let algorithm =
            Algorithm::by_length(listed.digest.len()).ok_or("the ticket has a digest of no known length")?;
        if algorithm.digest(&[image.im4p.whole]) != listed.digest {
            return Err(format!("{} has another digest than the ticket", word(fourcc)));
        }
        Ok(())
    }
}

/// LLB is signed for the device itself; everything else is named by the ticket.
fn img3(ticket: &ApTicket, bytes: &[u8]) -> Judged {
    let image = Img3::parse(bytes).map_err(|err| err.to_string())?;
    let kind = word(image.header.kind);
    match (image.ecid(), kind.as_str()) {
        (Some(ecid), _) if Some(ecid) != ticket.ecid => Err(format!("{kind} is signed for another ECID")),
        (Some(_), _) => Ok(()),
        (None, "illb") => Err("illb is signed for nobody".into()),
        (None, _) if ticket.digests.contains(&image.digest()) => Ok(()),
        (None, _) => Err(format!("{kind} is not in the ticket")),
    }
}

fn data<'a>(answer: &'a Dictionary, key: &str) -> Result<&'a [u8], String> {
    match answer.get(key) {
        Some(Value::Data(bytes)) if !bytes.is_empty() => Ok(bytes),
        Some(Value::Data(_)) => Err(format!("{key} is empty")),
        Some(_) => Err(format!("{key} is no data")),
        None => Err(format!("no {key}")),
    }
}

/// RootTicketData: a ticket for this device, and for the nonce that the ramdisk was booted with.
pub(super) fn root_ticket(answer: &Dictionary, ecid: u64, chip: u64, nonce: &[u8]) -> Result<Im4m, String> {
    let ticket = Im4m::parse(data(answer, "RootTicketData")?).map_err(|err| err.to_string())?;
    if ticket.ecid != Some(ecid) {
        return Err(format!("ticket is for ECID {:#X}", ticket.ecid.unwrap_or(0)));
    }
    if ticket.chip.is_some_and(|c| c != chip) {
        return Err(format!("ticket is for chip {:#X}", ticket.chip.unwrap_or(0)));
    }
    if !ticket.is_for(ecid, Some(nonce)) {
        return Err("ticket is for another nonce".into());
    }
    Ok(ticket)
}

/// The same on an IMG3 device.
pub(super) fn root_ap_ticket(answer: &Dictionary, ecid: u64, nonce: &[u8]) -> Result<ApTicket, String> {
    let ticket = ApTicket::parse(data(answer, "RootTicketData")?).map_err(|err| err.to_string())?;
    if ticket.ecid != Some(ecid) {
        return Err(format!("ticket is for ECID {:#X}", ticket.ecid.unwrap_or(0)));
    }
    if ticket.nonce.as_deref() != Some(nonce) {
        return Err("ticket is for another nonce".into());
    }
    Ok(ticket)
}

/// `<name>File` with one of these fourccs.
pub(super) fn file(known: &Known, answer: &Dictionary, name: &str, fourcc: [u8; 4]) -> Judged {
    let key = format!("{name}File");
    known.image(data(answer, &key)?, &[fourcc]).map_err(|why| format!("{key} {why}"))
}

/// NORData. Returns how many images it held.
pub(super) fn nor(known: &Known, answer: &Dictionary, by_name: bool) -> Result<usize, String> {
    let one = |bytes: &[u8], what: &str, fourccs: &[[u8; 4]]| {
        known.image(bytes, fourccs).map_err(|why| format!("{what} {why}"))
    };
    one(data(answer, "LlbImageData")?, "LlbImageData", &[*b"illb"])?;
    let mut count = 1;
    match answer.get("NorImageData") {
        Some(Value::Array(images)) if !by_name => {
            for (place, image) in images.iter().enumerate() {
                let bytes = image.as_data().ok_or("NorImageData holds something else than data")?;
                // The first is iBoot, which is flashed before anything else.
                let first = [*b"ibot"];
                one(bytes, "NorImageData", if place == 0 { &first } else { &[] })?;
                count += 1;
            }
        }
        Some(Value::Dictionary(images)) if by_name => {
            for (name, image) in images {
                one(image.as_data().ok_or_else(|| format!("{name} is no data"))?, name, &[])?;
                count += 1;
            }
        }
        Some(_) => return Err("NorImageData has the form of another flash version".into()),
        None => return Err("no NorImageData".into()),
    }
    if count < 2 {
        return Err("NorImageData is empty".into());
    }
    if known.ticket.is_some() {
        one(data(answer, "RestoreSEPImageData")?, "RestoreSEPImageData", &[*b"rsep"])?;
        one(data(answer, "SEPImageData")?, "SEPImageData", &[*b"sepi"])?;
        count += 2;
    }
    Ok(count)
}

/// The names of a list of images.
pub(super) fn list(answer: &Dictionary, key: &str) -> Result<Vec<String>, String> {
    let names = answer.get(key).and_then(Value::as_array).ok_or_else(|| format!("no {key}"))?;
    names.iter().map(|n| n.as_string().map(str::to_owned).ok_or_else(|| format!("{key} holds no names"))).collect()
}

/// One image of a list, as asked for by name.
pub(super) fn named_image(known: &Known, answer: &Dictionary, key: &str, name: &str) -> Judged {
    if answer.get("ImageName").and_then(Value::as_string) != Some(name) {
        return Err(format!("answers for another image than {name}"));
    }
    known.image(data(answer, key)?, &[]).map_err(|why| format!("{name} {why}"))
}

/// FUDImageData with everything at once. Returns how many.
pub(super) fn all_images(known: &Known, answer: &Dictionary, key: &str) -> Result<usize, String> {
    let images = answer.get(key).and_then(Value::as_dictionary).ok_or_else(|| format!("no {key}"))?;
    for (name, image) in images {
        known.image(image.as_data().unwrap_or_default(), &[]).map_err(|why| format!("{name} {why}"))?;
    }
    Ok(images.len())
}

/// BuildIdentityDict: of this chip and board. Says too whether it erases: an update never becomes an erase,
/// but hosts exist whose options ask for new partitions either way.
pub(super) fn identity(answer: &Dictionary, chip: u64, board: u64, erase: bool) -> Result<(Dictionary, bool), String> {
    let identity =
        answer.get("BuildIdentityDict").and_then(Value::as_dictionary).ok_or("no BuildIdentityDict")?.clone();
    if answer.get("Variant").and_then(Value::as_string).is_none() {
        return Err("no Variant beside the BuildIdentityDict".into());
    }
    for (key, ours) in [("ApChipID", chip), ("ApBoardID", board)] {
        match integer(&identity, key) {
            Some(theirs) if theirs == ours => {}
            theirs => return Err(format!("{key} is {theirs:?}, not {ours:#X}")),
        }
    }
    let info = identity.get("Info").and_then(Value::as_dictionary).ok_or("an identity without Info")?;
    let behaviour = info.get("RestoreBehavior").and_then(Value::as_string).unwrap_or_default();
    if behaviour == "Erase" && !erase {
        return Err("an identity that erases, in an update".into());
    }
    let erases = erase && behaviour != "Update";
    if identity.get("Manifest").and_then(Value::as_dictionary).is_none_or(Dictionary::is_empty) {
        return Err("an identity without Manifest".into());
    }
    Ok((identity, erases))
}

/// A number that manifests write as `0x…` text or as an integer.
pub(super) fn integer(dictionary: &Dictionary, key: &str) -> Option<u64> {
    match dictionary.get(key)? {
        Value::String(text) => match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        },
        other => other.as_unsigned_integer(),
    }
}

/// BasebandData: a zip; with a nonce asked, the ticket must be in it. Where the host has told its build
/// identity, the parts must be those of it, and signed.
pub(super) fn baseband(known: &Known, answer: &Dictionary, with_nonce: bool) -> Result<usize, String> {
    let bytes = data(answer, "BasebandData")?;
    let names = archive_names(bytes).ok_or("BasebandData is no archive")?;
    if names.is_empty() {
        return Err("Firmware data does not contain programmer".into());
    }
    if with_nonce && !names.iter().any(|n| n == "bbticket.der") {
        return Err("no bbticket.der in BasebandData".into());
    }
    let entry = known.component("BasebandFirmware");
    let modem = known.identity.as_ref().and_then(|identity| integer(identity, "BbChipID"));
    if let (Some(entry), Some(modem)) = (entry, modem) {
        modem::judge(modem, entry, &modem::unpacked(bytes)?, with_nonce)?;
    }
    Ok(names.len())
}

/// Names in the directory of a zip, which is all that the modem's updater looks at before it unpacks.
fn archive_names(bytes: &[u8]) -> Option<Vec<String>> {
    fn number(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
        Some(bytes.get(at..at.checked_add(width)?)?.iter().rev().fold(0, |n, b| n << 8 | usize::from(*b)))
    }
    let end = bytes.windows(4).rposition(|w| w == b"PK\x05\x06")?;
    let count = number(bytes, end + 10, 2)?;
    let mut at = number(bytes, end + 16, 4)?;
    let mut names = Vec::new();
    for _ in 0..count {
        if bytes.get(at..)?.get(..4)? != b"PK\x01\x02" {
            return None;
        }
        let (name, extra, comment) =
            (number(bytes, at + 28, 2)?, number(bytes, at + 30, 2)?, number(bytes, at + 32, 2)?);
        names.push(String::from_utf8_lossy(bytes.get(at + 46..at + 46 + name)?).into_owned());
        at = at + 46 + name + extra + comment;
    }
    Some(names)
}

/// FirmwareResponseData with the ticket of this name, made for this question. Answers in it are the caller's
/// to look at.
pub(super) fn updater<'a>(
    answer: &'a Dictionary,
    ecid: u64,
    tag: &str,
    nonce: Option<&[u8]>,
) -> Result<&'a Dictionary, String> {
    let response =
        answer.get("FirmwareResponseData").and_then(Value::as_dictionary).ok_or("no FirmwareResponseData")?;
    let bytes = data(response, tag)?;
    if let Ok(ticket) = Im4m::parse(bytes) {
        if ticket.ecid.is_some_and(|theirs| theirs != ecid && theirs != 0) {
            return Err(format!("{tag} is for another device"));
        }
        let other = |theirs: &Vec<u8>| !theirs.is_empty() && nonce.is_some_and(|ours| ours != theirs.as_slice());
        if ticket.ap_nonce.as_ref().is_some_and(other) {
            return Err(format!("{tag} is for another nonce"));
        }
    }
    Ok(response)
}

/// What a host fetched for us. None: it did not get it.
pub(super) fn url_answer(answer: &Dictionary) -> Result<Option<usize>, String> {
    let status = answer.get("ResponseStatus").and_then(Value::as_unsigned_integer).ok_or("no ResponseStatus")?;
    if answer.get("ResponseBodyDone").and_then(Value::as_boolean) != Some(true) {
        return Err("ResponseBodyDone is not true".into());
    }
    if answer.get("ResponseHeaders").and_then(Value::as_dictionary).is_none() {
        return Err("no ResponseHeaders".into());
    }
    let body = match answer.get("ResponseBody") {
        Some(Value::Data(body)) => body.as_slice(),
        Some(Value::String(body)) => body.as_bytes(),
        _ => return Err("no ResponseBody".into()),
    };
    let key = status == 200 && body.windows(11).any(|w| w == b"PRIVATE KEY");
    Ok(key.then_some(body.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_manifests() {
        let d =
            Dictionary::from_iter([("a", Value::from("0x8110")), ("b", Value::from(7u64)), ("c", Value::from("x"))]);
        assert_eq!(integer(&d, "a"), Some(0x8110));
        assert_eq!(integer(&d, "b"), Some(7));
        assert_eq!(integer(&d, "c"), None);
    }

    #[test]
    fn an_archive_is_read_and_a_cut_one_is_not() {
        // `printf x > bbticket.der; zip -0X a.zip bbticket.der`, by hand.
        let mut zip = b"PK\x03\x04".to_vec();
        zip.resize(30, 0);
        zip.extend_from_slice(b"bbticket.derx");
        let directory = zip.len() as u32;
        let mut entry = b"PK\x01\x02".to_vec();
        entry.resize(46, 0);
        entry[28] = 12;
        zip.extend_from_slice(&entry);
        zip.extend_from_slice(b"bbticket.der");
        let mut end = b"PK\x05\x06".to_vec();
        end.resize(22, 0);
        end[10] = 1;
        end[16..20].copy_from_slice(&directory.to_le_bytes());
        zip.extend_from_slice(&end);
        let answer = |bytes: &[u8]| Dictionary::from_iter([("BasebandData", Value::Data(bytes.to_vec()))]);
        assert_eq!(baseband(&Known::default(), &answer(&zip), true).unwrap(), 1);
        for length in 0..zip.len() - 4 {
            assert!(baseband(&Known::default(), &answer(&zip[..length]), true).is_err(), "{length}");
        }
    }

    #[test]
    fn answers_of_a_proxy_are_judged() {
        let mut answer = Dictionary::new();
        assert!(url_answer(&answer).is_err());
        answer.insert("ResponseStatus".into(), Value::from(200u64));
        answer.insert("ResponseBodyDone".into(), true.into());
        answer.insert("ResponseHeaders".into(), Dictionary::new().into());
        answer.insert("ResponseBody".into(), Value::Data(b"-----BEGIN PRIVATE KEY-----".to_vec()));
        assert_eq!(url_answer(&answer).unwrap(), Some(27));
        answer.insert("ResponseStatus".into(), Value::from(404u64));
        assert_eq!(url_answer(&answer).unwrap(), None);
    }
}
