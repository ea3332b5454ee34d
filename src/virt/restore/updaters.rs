//! Parts with tickets of their own: what their updaters tell the host, and what they want back.
//!
//! An updater names itself, describes its part (identifier, nonce, production mode), and since iOS 16 also
//! brings the whole request for the signing server; the host fills in nothing but its own head. The firmware
//! was fetched as SourceBootObjectV4 before, so only a ticket is wanted back: pymobiledevice3 sends no more,
//! and restores real phones. Older ones want the firmware beside it ([`Updaters`]). Values come from the
//! identity, so they always fit the build.

use super::super::phone::{Phone, random_bytes};
use super::Updaters;
use super::check::{self, Judged, Known, integer};
use super::part_check;
use plist::{Dictionary, Value};

/// What an updater asks for.
pub(super) struct Inquiry {
    pub arguments: Dictionary,
    /// Beginning of its keys.
    prefix: &'static str,
    /// The key that the answer must have.
    ticket: &'static str,
    nonce: Vec<u8>,
    /// Is firmware wanted too?
    firmware: bool,
}

/// (prefix of its keys, ticket)
fn part(updater: &str, known: &Known) -> (&'static str, &'static str) {
    match updater {
        "SE" => ("SE,", "SE,Ticket"),
        "Savage" if known.has("Yonkers,") => ("Yonkers,", "Yonkers,Ticket"),
        "Savage" => ("Savage,", "Savage,Ticket"),
        "Rose" => ("Rap,", "Rap,Ticket"),
        "T200" => ("BMU,", "BMU,Ticket"),
        "AppleTCON" => ("Baobab,", "Baobab,Ticket"),
        // How the real one is called is not known: the device names it.
        "AppleTypeCRetimer" => ("Timer,", "Timer,Ticket"),
        _ => ("Cryptex1,", "Cryptex1,Ticket"),
    }
}

/// `loops` counts how often this updater has asked before.
pub(super) fn inquiry(phone: &Phone, known: &Known, updater: &str, loops: u64, age: Updaters) -> Inquiry {
    let (prefix, ticket) = part(updater, known);
    let key = |name: &str| format!("{prefix}{name}");
    let mut info = Dictionary::new();
    let empty = Dictionary::new();
    let identity = known.identity.as_ref().unwrap_or(&empty);
    for name in ["ChipID", "BoardID", "SecurityDomain", "PatchEpoch", "ManifestEpoch"] {
        if let Some(value) = integer(identity, &key(name)) {
            info.insert(key(name), Value::from(value));
        }
    }
    let own: &[(&str, Value)] = &match prefix {
        "SE," => vec![
            ("ID", Value::Data(phone.ecid.0.to_be_bytes().repeat(3))),
            ("Nonce", Value::Data(random_bytes(20))),
            ("RootKeyIdentifier", Value::Data(vec![0x6C; 32])),
            ("IsDev", Value::Boolean(false)),
        ],
        "Rap," => vec![
            ("ECID", Value::from(phone.ecid.0)),
            ("Nonce", Value::Data(random_bytes(32))),
            ("ProductionMode", Value::Boolean(true)),
            ("SecurityMode", Value::Boolean(true)),
            ("FdrRootCaDigest", Value::Data(vec![0x3F; 32])),
        ],
        "BMU," => vec![
            ("Nonce", Value::Data(random_bytes(16))),
            ("UniqueID", Value::Data(phone.ecid.0.to_be_bytes().to_vec())),
            ("ProductionMode", Value::from(1u64)),
        ],
        "Baobab," => vec![
            ("ECID", Value::Data(phone.ecid.0.to_be_bytes().to_vec())),
            ("Life", Value::from(3u64)),
            ("UpdateNonce", Value::Data(random_bytes(16))),
            ("ProductionMode", Value::Boolean(true)),
        ],
        "Timer," => vec![
            ("ECID,1", Value::from(phone.ecid.0)),
            ("Nonce,1", Value::Data(random_bytes(16))),
            ("ChipID,1", Value::from(integer(identity, "Timer,ChipID,1").unwrap_or(0))),
            ("BoardID,1", Value::from(integer(identity, "Timer,BoardID,1").unwrap_or(0))),
            ("SecurityDomain,1", Value::from(1u64)),
            ("SecurityMode,1", Value::Boolean(true)),
            ("ProductionMode,1", Value::Boolean(true)),
        ],
        "Yonkers," => vec![
            ("ECID", Value::Data(phone.ecid.0.to_be_bytes().repeat(2))),
            ("Nonce", Value::Data(random_bytes(16))),
            ("ProductionMode", Value::from(1u64)),
            ("FabRevision", Value::from(54_529u64)),
            ("ReadECKey", Value::from(1u64)),
            ("ReadFWKey", Value::from(1u64)),
            ("AllowOfflineBoot", Value::from(1u64)),
        ],
        "Savage," => vec![
            ("UID", Value::Data(phone.ecid.0.to_be_bytes().repeat(2))),
            ("Nonce", Value::Data(random_bytes(16))),
            ("Revision", Value::Data(vec![0x20, 0xB2])),
            ("ProductionMode", Value::Boolean(true)),
            ("ReadECKey", Value::Boolean(true)),
            ("ReadFWKey", Value::Boolean(true)),
            ("AllowOfflineBoot", Value::Boolean(true)),
        ],
        _ => vec![("Nonce", Value::Data(random_bytes(32)))],
    };
    for (name, value) in own {
        info.insert(key(name), value.clone());
    }
    let nonce = own.iter().find(|(name, _)| name.contains("Nonce")).and_then(|(_, value)| value.as_data());
    let nonce = nonce.unwrap_or_default().to_vec();

    let mut request = info.clone();
    request.insert(format!("@{ticket}"), true.into());
    request.insert("@BBTicket".into(), true.into());
    if prefix == "Cryptex1," {
        request.insert("ApECID".into(), Value::from(phone.ecid.0));
        request.insert("ApProductionMode".into(), true.into());
        request.insert("ApSecurityMode".into(), true.into());
    }
    let mut identity_tags: Vec<Value> =
        identity.keys().filter(|k| k.starts_with(prefix)).map(|k| k.as_str().into()).collect();
    for (name, component) in known.manifest().into_iter().flatten().filter(|(name, _)| name.starts_with(prefix)) {
        identity_tags.push(name.as_str().into());
        let mut entry = component.as_dictionary().cloned().unwrap_or_default();
        entry.remove("Info");
        if prefix == "Rap," {
            entry.insert("EPRO".into(), true.into());
            entry.insert("ESEC".into(), true.into());
        }
        request.insert(name.clone(), entry.into());
    }
    for key in
        identity.keys().filter(|k| k.starts_with(prefix) && !request.contains_key(k)).cloned().collect::<Vec<_>>()
    {
        if let Some(value) = integer(identity, &key).map(Value::from).or_else(|| identity.get(&key).cloned()) {
            request.insert(key, value);
        }
    }
    let mut response_tags: Vec<Value> = vec![ticket.into()];
    let firmware = age != Updaters::Tickets && prefix != "Cryptex1,";
    if firmware {
        response_tags.push("FirmwareData".into());
    }
    let device_tags = Dictionary::from_iter([
        ("BuildIdentityTags", Value::Array(identity_tags)),
        ("ResponseTags", Value::Array(response_tags)),
    ]);
    let mut arguments = Dictionary::from_iter([
        ("MessageArgInfo", Value::Dictionary(description(prefix, ticket, info))),
        ("MessageArgType", "FirmwareResponseData".into()),
        ("MessageArgUpdaterLoopCount", Value::from(loops)),
        ("MessageArgUpdaterName", updater.into()),
    ]);
    // The cryptexes are younger than these requests.
    if age != Updaters::Old || prefix == "Cryptex1," {
        arguments.insert("DeviceGeneratedRequest".into(), request.into());
        arguments.insert("DeviceGeneratedTags".into(), device_tags.into());
    }
    Inquiry { arguments, prefix, ticket, nonce, firmware }
}

/// `MessageArgInfo`: flat for most, nested for two.
fn description(prefix: &str, ticket: &str, info: Dictionary) -> Dictionary {
    match prefix {
        "Yonkers," => Dictionary::from_iter([("YonkersDeviceInfo", Value::Dictionary(info))]),
        // The battery's monitor leaves its name out.
        "BMU," => info.into_iter().map(|(key, value)| (key.trim_start_matches("BMU,").to_owned(), value)).collect(),
        "Timer," => {
            let bare = |key: &str| key.trim_start_matches("Timer,").trim_end_matches(",1").to_owned();
            let mut hardware: Dictionary = info.into_iter().map(|(key, value)| (bare(&key), value)).collect();
            if let Some(production) = hardware.remove("ProductionMode") {
                hardware.insert("ProductionStatus".into(), production);
            }
            let entry = Dictionary::from_iter([
                ("HardwareID", Value::Dictionary(hardware)),
                ("TagNumber", Value::from(1u64)),
                ("TicketName", ticket.into()),
            ]);
            Dictionary::from_iter([
                ("APInfo", Value::Dictionary(Dictionary::new())),
                ("InfoArray", Value::Array(vec![entry.into()])),
            ])
        }
        _ => info,
    }
}

pub(super) fn judge(phone: &Phone, known: &Known, inquiry: &Inquiry, answer: &Dictionary) -> Judged {
    let response = check::updater(answer, phone.ecid.0, inquiry.ticket, Some(&inquiry.nonce))?;
    if inquiry.firmware { part_check::firmware(known, inquiry.prefix, response) } else { Ok(()) }
}

/// One question of one updater to a host that is a function, and what the phone thinks of the answer.
#[cfg(test)]
pub(crate) fn judge_answer(
    phone: &Phone,
    identity: &Dictionary,
    updater: &str,
    age: Updaters,
    host: impl FnOnce(Dictionary) -> Dictionary,
) -> Judged {
    let known = Known { identity: Some(identity.clone()), ..Known::default() };
    let inquiry = inquiry(phone, &known, updater, 0, age);
    let answer = host(inquiry.arguments.clone());
    judge(phone, &known, &inquiry, &answer)
}

/// What the modem tells about itself. Only the later requests carry its nonce.
pub(super) fn modem(phone: &Phone, known: &Known, nonce: Option<&[u8]>) -> Dictionary {
    let chip = known.identity.as_ref().and_then(|i| integer(i, "BbChipID")).unwrap_or(0x9201E1);
    let mut arguments = Dictionary::from_iter([
        ("CertHash", Value::Data(vec![0xA5; 32])),
        ("CertID", Value::from(2_315_222_105u64)),
        ("ChipID", Value::from(chip)),
        ("ChipSerialNo", Value::Data((phone.ecid.0 as u32).to_be_bytes().to_vec())),
        ("FusingStatus", Value::from(3u64)),
        ("VendorID", Value::from(3u64)),
    ]);
    if let Some(nonce) = nonce {
        arguments.insert("Nonce".into(), Value::Data(nonce.to_vec()));
    }
    arguments
}
