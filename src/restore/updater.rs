//! FirmwareUpdaterData: which ticket and which firmware an updater of the device wants.
//!
//! An updater names itself and describes its chip. Since iOS 16 or so it also brings the request for the
//! signing server half made; then only what is missing is put in. What it wants back is in its
//! `ResponseTags`. An updater without tags is taken to be of the time when firmware always went along: both
//! public tools did so, and one of them stopped in 2024 with no word about old systems (a judgement of ours).
//!
//! An updater that nobody here knows, but that brings its own request, gets its ticket: new chips come with
//! each system, and both public tools do the same. One that wants firmware from us, or brings no request, is
//! refused by name: a guess would be written into a chip. Where a ticket is missing in Apple's answer the
//! restore ends with that, before the chip fails without saying why.

use super::updater_part::Part;
use crate::fault::{Code, Fault};
use crate::wire::manifest::{BuildIdentity, ModeFacts};
use crate::wire::tss::{self, Peripheral};
use plist::{Dictionary, Value};

pub const FIRMWARE_DATA: &str = "FirmwareData";
/// Longest name of a ticket that a device may bring; real ones stay under 30.
const NAME_CAP: usize = 64;
/// The secure element whose component is called otherwise.
const SE_FIRMWARE_CHIP: u64 = 0x2_0211;

/// What one answer is made of.
#[derive(Debug)]
pub struct Plan {
    /// For the signing server.
    pub request: Dictionary,
    /// One of these must be in its answer.
    pub tickets: Vec<String>,
    pub part: Option<Part>,
}

/// An updater as its name and its description tell.
struct Updater {
    /// None where only the device's own request is understood.
    chip: Option<Peripheral>,
    /// Of the chip; for some it is nested in the description.
    device: Dictionary,
}

fn unknown(name: &str, why: &str) -> Fault {
    let name: String = name.chars().take(NAME_CAP).collect();
    tracing::warn!(updater = name, why, "an updater is refused");
    Fault::new(Code::UnknownRequest, format!("updater {name:?} of the device: {why}"))
}

/// # Errors
/// `unknown-request` for an updater that cannot be served, `firmware-damaged` where the identity lacks what
/// its chip needs.
pub fn plan(
    identity: &BuildIdentity,
    arguments: &Dictionary,
    facts: &ModeFacts,
    ecid: u64,
    uuid: &str,
) -> Result<Plan, Fault> {
    let text = |key: &str| arguments.get(key).and_then(Value::as_string);
    let name = text("MessageArgUpdaterName").unwrap_or_default();
    if let Some(other) = text("MessageArgType").filter(|kind| *kind != "FirmwareResponseData") {
        return Err(unknown(name, &format!("asks for {other:?}")));
    }
    let empty = Dictionary::new();
    let info = arguments.get("MessageArgInfo").and_then(Value::as_dictionary).unwrap_or(&empty);
    let updater = updater(name, info);
    let wanted = wanted(arguments);
    let request = if arguments.contains_key("DeviceGeneratedRequest") {
        tss::device_generated(identity, arguments, facts, ecid, uuid)?
    } else {
        let chip = updater.chip.as_ref().ok_or_else(|| unknown(name, "not known here, and brings no request"))?;
        chip.request(identity, &updater.device, facts, ecid, uuid)?
    };
    let part = match (&wanted, &updater.chip) {
        (Wanted::Ticket, _) | (Wanted::AsEver, None) => None,
        (_, Some(chip)) => part(chip, identity, &updater.device)?,
        (Wanted::Firmware, None) => None,
    };
    if wanted == Wanted::Firmware && part.is_none() {
        return Err(unknown(name, "wants firmware, and which is not known here"));
    }
    let tags = response_tags(arguments).into_iter().flatten().filter(|tag| *tag != FIRMWARE_DATA);
    let mut tickets: Vec<String> = tags.map(str::to_owned).collect();
    if tickets.is_empty() {
        tickets.extend(updater.chip.as_ref().map(Peripheral::ticket));
    }
    Ok(Plan { request, tickets, part })
}

/// Is a ticket in Apple's answer?
///
/// # Errors
/// `tss-invalid` when there is none of those that the updater named.
pub fn has_ticket(response: &Dictionary, tickets: &[String]) -> Result<(), Fault> {
    let is_there = |name: &String| response.get(name).and_then(Value::as_data).is_some_and(|bytes| !bytes.is_empty());
    if tickets.is_empty() || tickets.iter().any(is_there) {
        return Ok(());
    }
    Err(Fault::new(Code::TssInvalid, format!("no {} in the answer", tickets.join(" or "))))
}

#[derive(PartialEq, Eq)]
enum Wanted {
    Ticket,
    Firmware,
    /// No tags: firmware for those chips that have some.
    AsEver,
}

fn response_tags(arguments: &Dictionary) -> Option<Vec<&str>> {
    let tags = arguments.get("DeviceGeneratedTags")?.as_dictionary()?.get("ResponseTags")?.as_array()?;
    Some(tags.iter().filter_map(Value::as_string).collect())
}

fn wanted(arguments: &Dictionary) -> Wanted {
    match response_tags(arguments) {
        Some(tags) if tags.contains(&FIRMWARE_DATA) => Wanted::Firmware,
        Some(_) => Wanted::Ticket,
        None if arguments.contains_key("DeviceGeneratedRequest") => Wanted::Ticket,
        None => Wanted::AsEver,
    }
}

fn updater(name: &str, info: &Dictionary) -> Updater {
    let nested = |key: &str| info.get(key).and_then(Value::as_dictionary).cloned();
    let plain = |chip: Peripheral| Updater { chip: Some(chip), device: info.clone() };
    match name {
        "SE" => plain(Peripheral::SecureElement),
        "SE2" => plain(Peripheral::SecureElement2),
        // The infrared camera's updater serves three generations of chips.
        "Savage" | "Yonkers" => {
            if let Some(device) = nested("YonkersDeviceInfo") {
                return Updater { chip: Some(Peripheral::Yonkers), device };
            }
            if let Some(device) = nested("JasmineIR1DeviceInfo") {
                return Updater { chip: None, device };
            }
            let yonkers = name == "Yonkers" || info.keys().any(|key| key.starts_with("Yonkers,"));
            plain(if yonkers { Peripheral::Yonkers } else { Peripheral::Savage })
        }
        "Rose" => plain(Peripheral::Rose),
        "T200" => plain(Peripheral::Veridian),
        "AppleTCON" => plain(Peripheral::Tcon),
        "AppleTypeCRetimer" => retimer(info).unwrap_or_else(|| Updater { chip: None, device: info.clone() }),
        "Vinyl" => plain(Peripheral::Vinyl),
        "Cryptex1" => plain(Peripheral::Cryptex1),
        "Centauri" => plain(Peripheral::Centauri),
        "Cellular" | "Cellular1" => plain(Peripheral::Cellular),
        _ => Updater { chip: None, device: info.clone() },
    }
}

/// The retimer's description is a list with one entry, whose keys have no number yet.
fn retimer(info: &Dictionary) -> Option<Updater> {
    let entry = info.get("InfoArray")?.as_array()?.first()?.as_dictionary()?;
    let tag = u32::try_from(entry.get("TagNumber")?.as_unsigned_integer()?).ok()?;
    let ticket = entry.get("TicketName")?.as_string()?;
    if ticket.is_empty() || ticket.len() > NAME_CAP || ticket == "ApImg4Ticket" {
        return None;
    }
    let hardware = entry.get("HardwareID")?.as_dictionary()?;
    let keys = [
        ("ChipID", "ChipID"),
        ("BoardID", "BoardID"),
        ("ECID", "ECID"),
        ("Nonce", "Nonce"),
        ("SecurityMode", "SecurityMode"),
        ("SecurityDomain", "SecurityDomain"),
        ("ProductionMode", "ProductionStatus"),
    ];
    let device = keys
        .into_iter()
        .filter_map(|(ours, theirs)| Some((format!("Timer,{ours},{tag}"), hardware.get(theirs)?.clone())))
        .collect();
    Some(Updater { chip: Some(Peripheral::TypeCRetimer { ticket: ticket.to_owned(), tag }), device })
}

/// The firmware of a chip; none for chips that only ever get a ticket.
fn part(chip: &Peripheral, identity: &BuildIdentity, device: &Dictionary) -> Result<Option<Part>, Fault> {
    let has = |name: &str| identity.path(name).is_some();
    let table = |system: String, restore: String| {
        let restore = Some(restore).filter(|name| has(name));
        Some(Part::Table { system, restore })
    };
    Ok(match chip {
        Peripheral::SecureElement | Peripheral::SecureElement2 => {
            secure_element(identity, device).map(|name| Part::Plain(name.to_owned()))
        }
        Peripheral::Savage => chip.patch(identity, device).map(Part::Savage),
        Peripheral::Yonkers => chip.patch(identity, device).map(Part::Yonkers),
        Peripheral::Rose => table("Rap,RTKitOS".into(), "Rap,RestoreRTKitOS".into()),
        Peripheral::TypeCRetimer { tag, .. } => {
            table(format!("Timer,RTKitOS,{tag}"), format!("Timer,RestoreRTKitOS,{tag}"))
        }
        Peripheral::Veridian => {
            let name = "BMU,FirmwareMap";
            let digest = identity.component(name).and_then(|component| component.digest.clone());
            let missing = || Fault::new(Code::FirmwareDamaged, format!("the firmware has no digest of {name}"));
            Some(Part::Map(name.into(), digest.ok_or_else(missing)?))
        }
        Peripheral::Tcon => Some(Part::Plain("Baobab,TCON".into())),
        Peripheral::Baseband
        | Peripheral::Vinyl
        | Peripheral::Cryptex1
        | Peripheral::Centauri
        | Peripheral::Cellular => None,
    })
}

/// By the chip where it is one of the known, else by what there is.
fn secure_element(identity: &BuildIdentity, device: &Dictionary) -> Option<&'static str> {
    let (old, new) = ("SE,UpdatePayload", "SE,Firmware");
    let told = device.get("SE,ChipID").or_else(|| device.get("SEChipID"));
    match told.and_then(Value::as_unsigned_integer) {
        Some(SE_FIRMWARE_CHIP) => Some(new),
        Some(0x2C | 0x36 | 0x37 | 0x64 | 0x73 | 0xC8 | 0xD2) => Some(old),
        _ => [old, new].into_iter().find(|name| identity.path(name).is_some()),
    }
}
