//! The intake sheet: what can be read of one device before anything is done to it.

use super::state::{Device, Likeness, Normal, State, Trust};
use crate::fault::Fault;
use crate::mux::{Lockdown, Mux, Session};
use plist::{Dictionary, Value};
use serde_json::{Map, json};

/// Facts in the order of the sheet; values are as the device gives them, nothing is concluded here.
#[derive(Clone, Debug, Default)]
pub struct Intake {
    pub facts: Map<String, serde_json::Value>,
}

const WANTED: &[&str] = &[
    "ActivationState",
    "BasebandStatus",
    "BasebandVersion",
    "BluetoothAddress",
    "BrickState",
    "DeviceClass",
    "DeviceColor",
    "FirmwareVersion",
    "HardwareModel",
    "HumanReadableProductVersionString",
    "InternationalMobileEquipmentIdentity",
    "InternationalMobileEquipmentIdentity2",
    "MobileEquipmentIdentifier",
    "MLBSerialNumber",
    "ModelNumber",
    "PasswordProtected",
    "PhoneNumber",
    "RegionInfo",
    "SIMStatus",
    "SIMTrayStatus",
    "TelephonyCapability",
    "WiFiAddress",
];

/// Domains and the keys of them that belong on the sheet.
const DOMAINS: &[(&str, &[&str])] = &[
    ("com.apple.mobile.battery", &["BatteryCurrentCapacity", "BatteryIsCharging", "FullyCharged"]),
    ("com.apple.disk_usage", &["TotalDataCapacity", "TotalDataAvailable", "TotalDiskCapacity"]),
    ("com.apple.mobile.backup", &["WillEncrypt", "RequiresEncryption", "CloudBackupEnabled"]),
    ("com.apple.mobile.chaperone", &["DeviceIsChaperoned"]),
    ("com.apple.PurpleBuddy", &["SetupDone"]),
];

/// Reads the sheet. In recovery and DFU it is what the serial string says; untrusted devices tell less.
pub async fn intake(mux: &Mux, device: &Device) -> Result<Intake, Fault> {
    let mut sheet = Intake::default();
    let row = serde_json::to_value(device.row()).unwrap_or_default();
    if let serde_json::Value::Object(row) = row {
        sheet.facts = row;
    }
    match device.who().likeness() {
        Likeness::Known(model) => {
            sheet.facts.insert("model".into(), json!(model.name));
            sheet.facts.insert("board".into(), json!(model.board));
            sheet.facts.insert("chip".into(), json!(model.cpid));
            sheet.facts.insert("connector".into(), json!(model.connector));
        }
        Likeness::Guessed(guess) => {
            sheet.facts.insert("guessed".into(), json!(true));
            sheet.facts.insert("guessed_from".into(), json!(guess.basis));
            sheet.facts.insert("family".into(), json!(guess.family.map(|f| f.name())));
            sheet.facts.insert("buttons".into(), json!(guess.buttons));
            sheet.facts.insert("chip".into(), json!(device.who().cpid));
        }
        Likeness::Unknown => {}
    }
    if let State::Normal(normal) = &device.state {
        read_normal(mux, normal, &mut sheet).await?;
    }
    Ok(sheet)
}

async fn read_normal(mux: &Mux, normal: &Normal, sheet: &mut Intake) -> Result<(), Fault> {
    let mut lockdown = match (&normal.trust, &normal.who.udid) {
        (Trust::Trusted, Some(udid)) => match mux.pair_record(udid).await? {
            Some(record) => Session::open(mux, &normal.mux, record).await.map_err(Fault::from)?.lockdown,
            None => Lockdown::open(mux, normal.mux.id).await.map_err(Fault::from)?,
        },
        _ => Lockdown::open(mux, normal.mux.id).await.map_err(Fault::from)?,
    };
    let values = lockdown.all(None).await.map_err(Fault::from)?;
    take(sheet, &values, WANTED);
    if normal.trust == Trust::Trusted {
        for (domain, keys) in DOMAINS {
            let values = lockdown.all(Some(domain)).await.map_err(Fault::from)?;
            take(sheet, &values, keys);
        }
    }
    Ok(())
}

fn take(sheet: &mut Intake, values: &Dictionary, keys: &[&str]) {
    for key in keys {
        let value = match values.get(key) {
            Some(Value::String(text)) => json!(text),
            Some(Value::Boolean(yes)) => json!(yes),
            Some(Value::Integer(number)) => match (number.as_signed(), number.as_unsigned()) {
                (Some(n), _) => json!(n),
                (None, n) => json!(n),
            },
            Some(Value::Real(number)) => json!(number),
            _ => continue,
        };
        sheet.facts.insert((*key).to_owned(), value);
    }
}
