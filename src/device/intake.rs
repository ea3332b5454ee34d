//! The intake sheet: what can be read of one device before anything is done to it.

use super::sheet::{PANICS, REGISTRY, Sheet};
use super::sight::Eyes;
use super::state::{Access, Device, Iboot, Likeness, Normal, State, Trust};
use crate::fault::{Code, Fault};
use crate::ids::Mode;
use crate::mux::{Lockdown, Mux, Session, battery, cloud_configuration, crash_reports};
use crate::usb::iboot as usb;
use plist::{Dictionary, Value};
use serde_json::{Map, json};
use std::collections::BTreeSet;
use std::sync::Arc;

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
    ("com.apple.disk_usage", &["TotalDataCapacity", "TotalDataAvailable", "AmountDataAvailable", "TotalDiskCapacity"]),
    ("com.apple.mobile.backup", &["WillEncrypt", "RequiresEncryption", "CloudBackupEnabled"]),
    ("com.apple.mobile.chaperone", &["DeviceIsChaperoned"]),
    ("com.apple.fmip", &["IsAssociated"]),
    ("com.apple.PurpleBuddy", &["SetupDone"]),
];

/// What an organisation leaves on a device that it manages.
const ORGANISATION: &[&str] = &["AllowPairing", "IsSupervised", "OrganizationName"];

/// What the battery's registry entry holds that belongs on the sheet.
const BATTERY: &[&str] = &[
    "AppleRawMaxCapacity",
    "CurrentCapacity",
    "CycleCount",
    "DesignCapacity",
    "ExternalConnected",
    "FullChargeCapacity",
    "IsCharging",
    "MaxCapacity",
    "NominalChargeCapacity",
    "Serial",
    "Temperature",
    "Voltage",
];

/// Longest text of lockdown that is a fact, in bytes.
const TEXT_CAP: usize = 4 << 10;

/// iBoot's variables that a technician wants to know; most exist only when they are set.
const VARIABLES: &[&str] =
    &["build-version", "auto-boot", "fm-activation-locked", "fm-account-masked", "restore-outcome"];

/// Longest variable that is shown, in bytes.
const VARIABLE_CAP: usize = 256;

/// Reads the whole sheet: what [`intake`] reads, and of a trusted device what its services tell of the battery and of
/// crashes.
pub async fn whole_intake(eyes: &Eyes, device: &Device) -> Result<Intake, Fault> {
    let mut sheet = intake(eyes, device).await?;
    if let State::Normal(normal) = &device.state
        && let Some(mut session) = trusted(&eyes.mux, normal).await?
    {
        read_services(&mut session, &mut sheet).await;
    }
    Ok(sheet)
}

/// Reads what takes one connection. Untrusted devices tell less; in recovery and DFU it is what boot code says of
/// itself, and a device that may not be opened has its serial string only.
pub async fn intake(eyes: &Eyes, device: &Device) -> Result<Intake, Fault> {
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
    match &device.state {
        State::Normal(normal) => read_normal(&eyes.mux, normal, &mut sheet).await?,
        State::Dfu(iboot) => {
            let stage = if iboot.rom { "SecureROM" } else { "iBSS" };
            sheet.facts.insert("boot_code".into(), json!(stage));
            read_iboot(eyes, device, iboot, &mut sheet).await;
        }
        State::Recovery(iboot) => {
            sheet.facts.insert("boot_code".into(), json!("iBoot"));
            read_iboot(eyes, device, iboot, &mut sheet).await;
        }
        State::Restore(_) | State::Other(..) => {}
    }
    Ok(sheet)
}

/// Nonces and variables. What cannot be read is left out: the sheet is worth having without it.
async fn read_iboot(eyes: &Eyes, device: &Device, iboot: &Iboot, sheet: &mut Intake) {
    let bus = Arc::clone(&eyes.bus);
    let listed = tokio::task::spawn_blocking(move || bus.devices()).await;
    let seen = listed.ok().and_then(Result::ok).into_iter().flatten().find(|d| d.address == iboot.address);
    let (Some(seen), Some(ecid)) = (seen.filter(|_| device.access == Access::Ok), iboot.who.ecid) else { return };
    let open = match usb::Iboot::open(&eyes.bus, &seen, ecid).await {
        Ok(open) => open,
        Err(fault) => return tracing::info!(%ecid, code = %fault.code, "boot code did not tell"),
    };
    if let Ok(Some(nonces)) = open.nonces().await {
        let hex = |bytes: &Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        sheet.facts.insert("ap_nonce".into(), json!(nonces.ap.as_ref().map(hex)));
        sheet.facts.insert("sep_nonce".into(), json!(nonces.sep.as_ref().map(hex)));
    }
    if let Some(tag) = &open.serial().srtg {
        sheet.facts.insert("rom".into(), json!(tag));
    }
    if device.mode() == Mode::Recovery {
        for name in VARIABLES {
            if let Ok(Some(value)) = open.getenv(*name).await {
                sheet.facts.insert((*name).to_owned(), json!(value));
            }
        }
    }
}

/// A session with a device that trusts this host.
async fn trusted(mux: &Mux, normal: &Normal) -> Result<Option<Session>, Fault> {
    let record = match (&normal.trust, &normal.who.udid) {
        (Trust::Trusted, Some(udid)) => mux.pair_record(udid).await?,
        _ => None,
    };
    match record {
        Some(record) => Ok(Some(Session::open(mux, &normal.mux, record).await.map_err(Fault::from)?)),
        None => Ok(None),
    }
}

async fn read_normal(mux: &Mux, normal: &Normal, sheet: &mut Intake) -> Result<(), Fault> {
    let Some(mut session) = trusted(mux, normal).await? else {
        let mut lockdown = Lockdown::open(mux, normal.mux.id).await.map_err(Fault::from)?;
        take(&mut sheet.facts, &lockdown.all(None).await.map_err(Fault::from)?, WANTED);
        return Ok(());
    };
    let values = session.lockdown.all(None).await.map_err(Fault::from)?;
    take(&mut sheet.facts, &values, WANTED);
    take_lock(sheet, &values);
    for (domain, keys) in DOMAINS {
        let values = session.lockdown.all(Some(domain)).await.map_err(Fault::from)?;
        take(&mut sheet.facts, &values, keys);
    }
    Ok(())
}

/// Services may be refused, to a locked device's host for one; the sheet is worth having without them. After a silent
/// one the next is not waited for.
async fn read_services(session: &mut Session, sheet: &mut Intake) {
    let is_gone = |fault: &Fault| matches!(fault.code, Code::LinkSilent | Code::LinkLost | Code::UsbGone);
    match battery(session).await {
        Ok(Some((class, entry))) => take_battery(sheet, class, &entry),
        Ok(None) => {}
        Err(fault) => {
            tracing::info!(code = %fault.code, "the battery did not tell");
            if is_gone(&fault) {
                return;
            }
        }
    }
    match cloud_configuration(session).await {
        Ok(found) => take(&mut sheet.facts, &found, ORGANISATION),
        Err(fault) => {
            tracing::info!(code = %fault.code, "who manages it was not told");
            if is_gone(&fault) {
                return;
            }
        }
    }
    match crash_reports(session).await {
        Ok(Some(names)) => take_panics(sheet, &names),
        Ok(None) => {}
        Err(fault) => tracing::info!(code = %fault.code, "crash reports cannot be seen"),
    }
}

fn take_battery(sheet: &mut Intake, class: &str, entry: &Dictionary) {
    let mut told = Map::new();
    told.insert("class".into(), json!(class));
    take(&mut told, entry, BATTERY);
    if let Some(data) = entry.get("BatteryData").and_then(Value::as_dictionary) {
        let mut inner = Map::new();
        take(&mut inner, data, BATTERY);
        told.insert("BatteryData".into(), inner.into());
    }
    sheet.facts.insert(REGISTRY.into(), told.into());
}

/// How often the system itself broke down, and when last: by the names of its reports, which say the device's own time.
fn take_panics(sheet: &mut Intake, names: &[String]) {
    const DIGITS: &str = "0000-00-00-000000";
    // One that is being written has a dot before its name, one that a Mac has seen `.synced` behind it.
    let stamps = names.iter().filter_map(|name| name.trim_start_matches('.').strip_prefix("panic-full-"));
    let stamps: BTreeSet<&str> = stamps
        .filter_map(|rest| rest.get(..DIGITS.len()))
        .filter(|stamp| {
            stamp.chars().zip(DIGITS.chars()).all(|(c, d)| if d == '0' { c.is_ascii_digit() } else { c == d })
        })
        .collect();
    let newest = stamps.last().and_then(|stamp| {
        let (day, time) = (stamp.get(..10)?, stamp.get(11..)?);
        Some(format!("{day} {}:{}:{}", time.get(..2)?, time.get(2..4)?, time.get(4..6)?))
    });
    sheet.facts.insert(PANICS.into(), json!({ "count": stamps.len(), "newest": newest }));
}

/// iBoot's variables about Activation Lock, which the system shows as bytes.
fn take_lock(sheet: &mut Intake, values: &Dictionary) {
    let variables = values.get("NonVolatileRAM").and_then(Value::as_dictionary);
    for name in ["fm-activation-locked", "fm-account-masked"] {
        let value = variables.and_then(|all| all.get(name)).and_then(Value::as_data);
        if let Some(text) = value.filter(|bytes| bytes.len() <= VARIABLE_CAP).and_then(|b| std::str::from_utf8(b).ok())
        {
            sheet.facts.insert(name.to_owned(), json!(text.trim_end_matches('\0')));
        }
    }
}

fn take(facts: &mut Map<String, serde_json::Value>, values: &Dictionary, keys: &[&str]) {
    for key in keys {
        let value = match values.get(key) {
            Some(Value::String(text)) if text.len() <= TEXT_CAP => json!(text),
            Some(Value::Boolean(yes)) => json!(yes),
            Some(Value::Integer(number)) => match (number.as_signed(), number.as_unsigned()) {
                (Some(n), _) => json!(n),
                (None, n) => json!(n),
            },
            Some(Value::Real(number)) => json!(number),
            _ => continue,
        };
        facts.insert((*key).to_owned(), value);
    }
}

impl Intake {
    pub fn sheet(&self) -> Sheet {
        Sheet::of(&self.facts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_counted_by_their_moment() {
        let names = [
            "panic-full-2026-09-06-184838.0002.ips.synced",
            "panic-full-2026-09-06-184838.0002.ips",
            ".panic-full-2019-05-23-160612.372.ips",
            "panic-base-2019-05-23-160612.ips",
            "JetsamEvent-2026-09-10-101010.ips",
            "panic-full-",
            "panic-full-yyyy-mm-dd-hhmmss.ips",
            "panic-full-2026-09-0\u{e9}-184838.ips",
        ];
        let mut sheet = Intake::default();
        take_panics(&mut sheet, &names.map(str::to_owned));
        assert_eq!(sheet.facts.get(PANICS), Some(&json!({ "count": 2, "newest": "2026-09-06 18:48:38" })));
        take_panics(&mut sheet, &[]);
        assert_eq!(sheet.facts.get(PANICS), Some(&json!({ "count": 0, "newest": null })));
    }
}
