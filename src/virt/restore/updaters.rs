//! Parts with tickets of their own: what their updaters tell the host, and what they want back.
//!
//! An updater names itself, describes its part (identifier, nonce, production mode), and since iOS 16 also
//! brings the whole request for the signing server; the host fills in nothing but its own head. The firmware
//! was fetched as SourceBootObjectV4 before, so only a ticket is wanted back: pymobiledevice3 sends no more,
//! and restores real phones. Values come from the identity, so they always fit the build.

use super::super::phone::{Phone, random_bytes};
use super::check::{Known, integer};
use plist::{Dictionary, Value};

/// What an updater asks for.
pub(super) struct Inquiry {
    pub arguments: Dictionary,
    /// Keys that the answer must have.
    pub tags: Vec<String>,
}

/// (prefix of its keys, ticket)
fn part(updater: &str, known: &Known) -> (&'static str, &'static str) {
    match updater {
        "SE" => ("SE,", "SE,Ticket"),
        "Savage" if known.has("Yonkers,") => ("Yonkers,", "Yonkers,Ticket"),
        "Savage" => ("Savage,", "Savage,Ticket"),
        "Rose" => ("Rap,", "Rap,Ticket"),
        _ => ("Cryptex1,", "Cryptex1,Ticket"),
    }
}

/// `loops` counts how often this updater has asked before.
pub(super) fn inquiry(phone: &Phone, known: &Known, updater: &str, loops: u64) -> Inquiry {
    let (prefix, ticket) = part(updater, known);
    let key = |name: &str| format!("{prefix}{name}");
    let mut info = Dictionary::new();
    let empty = Dictionary::new();
    let identity = known.identity.as_ref().unwrap_or(&empty);
    for name in ["ChipID", "BoardID", "SecurityDomain", "PatchEpoch"] {
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
    let tags = vec![ticket.to_owned()];

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
    let response_tags: Vec<Value> = tags.iter().map(|t| t.as_str().into()).collect();
    let device_tags = Dictionary::from_iter([
        ("BuildIdentityTags", Value::Array(identity_tags)),
        ("ResponseTags", Value::Array(response_tags)),
    ]);
    let info = match prefix {
        "Yonkers," => Dictionary::from_iter([("YonkersDeviceInfo", Value::Dictionary(info))]),
        _ => info,
    };
    let arguments = Dictionary::from_iter([
        ("DeviceGeneratedRequest", Value::Dictionary(request)),
        ("DeviceGeneratedTags", Value::Dictionary(device_tags)),
        ("MessageArgInfo", Value::Dictionary(info)),
        ("MessageArgType", "FirmwareResponseData".into()),
        ("MessageArgUpdaterLoopCount", Value::from(loops)),
        ("MessageArgUpdaterName", updater.into()),
    ]);
    Inquiry { arguments, tags }
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
