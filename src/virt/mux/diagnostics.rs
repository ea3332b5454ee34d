//! diagnostics_relay: battery, gestalt keys, and the three ways to put a phone out.
//!
//! Shapes follow recordings: the gas gauge's full charge is a constant 100 since iOS 12.2, the battery
//! class is called AppleARMPMUCharger up to the iPhone 7 and AppleSmartBattery after it, on iOS 26 the
//! capacities sit in BatteryData, and MobileGestalt is gone from iOS 17.4. Restart answers first and goes
//! when the host has gone, if the host asked so.

use super::link::{receive, send};
use crate::ids::Version;
use crate::virt::phone::{Phone, Stage};
use crate::virt::spec::PasscodeSpec;
use crate::virt::stream::BoxStream;
use crate::wire::lockdown::{Frames, Shape};
use plist::{Dictionary, Value};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// From the bus and back.
const REBOOT: Duration = Duration::from_secs(25);
const CYCLES: u64 = 312;
/// Milliampere-hours: new, and what is left.
const DESIGN: u64 = 3_240;
const NOMINAL: u64 = 2_890;

/// Restarts a running phone: it comes back in normal mode, locked as a phone with a passcode is after boot.
pub fn restart(phone: &Arc<Phone>) {
    {
        let mut state = phone.state();
        if state.passcode != PasscodeSpec::None {
            state.passcode = PasscodeSpec::BeforeFirstUnlock;
        }
    }
    phone.remember("diagnostics.restart", serde_json::json!({}));
    phone.reenumerate(Stage::Normal, REBOOT);
}

/// As if it were a domain of lockdown's; no host asks for one of this name.
const REGISTRY: &str = "IORegistry";

fn dict<const N: usize>(pairs: [(&str, Value); N]) -> Dictionary {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn number(n: u64) -> Value {
    Value::from(n)
}

fn at_least(phone: &Phone, version: &[u32]) -> bool {
    phone.state().version >= Version(version.to_vec())
}

fn gas_gauge(phone: &Phone) -> Value {
    let full = if at_least(phone, &[12, 2]) { 100 } else { NOMINAL };
    Value::Dictionary(dict([
        ("CycleCount", number(CYCLES)),
        ("DesignCapacity", number(DESIGN)),
        ("FullChargeCapacity", number(full)),
        ("Status", "Success".into()),
    ]))
}

fn battery(phone: &Phone) -> Dictionary {
    let details = dict([
        ("AdapterVoltage", number(5_000)),
        ("Current", number(500)),
        ("Description", "usb host".into()),
        ("Watts", number(2)),
    ]);
    let capacities = dict([
        ("AppleRawMaxCapacity", number(NOMINAL)),
        ("DesignCapacity", number(DESIGN)),
        ("FullChargeCapacity", number(NOMINAL)),
        ("MaxCapacity", number(100)),
        ("NominalChargeCapacity", number(NOMINAL)),
        ("CurrentCapacity", number(81)),
        ("Voltage", number(4_102)),
    ]);
    let mut all = dict([
        ("AdapterDetails", details.into()),
        ("Amperage", number(212)),
        ("BatteryData", capacities.clone().into()),
        ("BatteryInstalled", true.into()),
        ("CurrentCapacity", number(81)),
        ("CycleCount", number(CYCLES)),
        ("ExternalConnected", true.into()),
        ("IsCharging", true.into()),
        ("MaxCapacity", number(100)),
        ("Serial", format!("F8Y{}", phone.serial).into()),
        ("Voltage", number(4_102)),
    ]);
    if !at_least(phone, &[26]) {
        for key in ["DesignCapacity", "NominalChargeCapacity", "AppleRawMaxCapacity"] {
            if let Some(value) = capacities.get(key) {
                all.insert(key.to_owned(), value.clone());
            }
        }
        all.insert("Temperature".into(), number(2_840));
    }
    // What a test gave the entry lies over what the phone has.
    for ((of, key), value) in &phone.state().set_values {
        if of == REGISTRY {
            all.insert(key.clone(), value.clone());
        }
    }
    all
}

fn registry(phone: &Phone, request: &Dictionary) -> Dictionary {
    let name = ["EntryClass", "EntryName"].iter().find_map(|k| {
        // Tools send the one they do not use as an empty text.
        request.get(k).and_then(Value::as_string).filter(|name| !name.is_empty())
    });
    // From the A11 on; the chips before it have numbers on both sides of it.
    let is_new = (0x8012..0x8900).contains(&phone.model.cpid.0);
    let class = if is_new { "AppleSmartBattery" } else { "AppleARMPMUCharger" };
    match name {
        Some(name) if name == class || name == "IOPMPowerSource" => battery(phone),
        _ => Dictionary::new(),
    }
}

fn gestalt(phone: &Phone, request: &Dictionary) -> Dictionary {
    if at_least(phone, &[17, 4]) {
        return dict([("Status", "MobileGestaltDeprecated".into())]);
    }
    let mut found = dict([("Status", "Success".into())]);
    let state = phone.state();
    let keys = request.get("MobileGestaltKeys").and_then(Value::as_array).into_iter().flatten();
    for key in keys.filter_map(Value::as_string).take(1024) {
        let value = match key {
            "PasswordConfigured" => Value::Boolean(state.passcode != PasscodeSpec::None),
            "PasswordProtected" => {
                Value::Boolean(matches!(state.passcode, PasscodeSpec::Locked | PasscodeSpec::BeforeFirstUnlock))
            }
            "ProductType" => phone.model.product.as_str().into(),
            "ProductVersion" => state.version.to_string().into(),
            "BuildVersion" => state.build.to_string().into(),
            "SerialNumber" => phone.serial.as_str().into(),
            "UniqueDeviceID" => phone.udid.as_str().into(),
            "UniqueChipID" => number(phone.ecid.0),
            "UserAssignedDeviceName" => state.name.as_str().into(),
            _ => continue,
        };
        found.insert(key.to_owned(), value);
    }
    found
}

enum Then {
    Nothing,
    Restart,
    Shutdown,
    Sleep,
}

/// `com.apple.mobile.diagnostics_relay`
pub(super) fn serve(phone: Arc<Phone>, mut stream: BoxStream) {
    let then = talk(&phone, &mut stream).unwrap_or(Then::Nothing);
    drop(stream);
    if phone.stage() != Stage::Normal {
        return;
    }
    match then {
        Then::Nothing => {}
        Then::Restart => restart(&phone),
        Then::Shutdown => {
            phone.remember("diagnostics.shutdown", serde_json::json!({}));
            phone.enter(Stage::Away);
        }
        Then::Sleep => {
            let mut state = phone.state();
            if state.passcode == PasscodeSpec::Unlocked {
                state.passcode = PasscodeSpec::Locked;
            }
        }
    }
}

/// Until the host says goodbye; what it asked to happen then.
fn talk(phone: &Phone, stream: &mut BoxStream) -> io::Result<Then> {
    let mut frames = Frames::default();
    let mut then = Then::Nothing;
    let section = |name: &str, value: Value| Value::Dictionary(dict([(name, value)]));
    loop {
        let message = match receive(stream.as_mut(), &mut frames) {
            Ok(Some(message)) => message,
            Ok(None) | Err(_) => return Ok(then),
        };
        let Some(request) = message.as_dictionary() else { return Ok(then) };
        let mut answer = dict([("Status", "Success".into())]);
        let mut is_over = false;
        let mut go = |next: Then| {
            // The host is waited for when it asked so; in any case for its goodbye.
            then = next;
            None
        };
        let nand = || Value::Dictionary(dict([("Status", "NANDInfoFailed".into())]));
        let found = match request.get("Request").and_then(Value::as_string).unwrap_or_default() {
            "All" => Some(Value::Dictionary(dict([
                ("GasGauge", gas_gauge(phone)),
                ("HDMI", Value::Dictionary(dict([("Connection", "Unplugged".into()), ("Status", "Success".into())]))),
                ("NAND", nand()),
                ("WiFi", Value::Dictionary(dict([("Active", true.into()), ("Status", "Success".into())]))),
            ]))),
            "GasGauge" => Some(section("GasGauge", gas_gauge(phone))),
            "NAND" => Some(section("NAND", nand())),
            "WiFi" => {
                Some(section("WiFi", Value::Dictionary(dict([("Active", true.into()), ("Status", "Success".into())]))))
            }
            "IORegistry" => Some(section("IORegistry", registry(phone, request).into())),
            "MobileGestalt" => Some(section("MobileGestalt", gestalt(phone, request).into())),
            "Restart" => go(Then::Restart),
            "Shutdown" => go(Then::Shutdown),
            "Sleep" => go(Then::Sleep),
            "Goodbye" => {
                is_over = true;
                None
            }
            _ => {
                answer = dict([("Status", "UnknownRequest".into())]);
                None
            }
        };
        if let Some(found) = found {
            answer.insert("Diagnostics".into(), found);
        }
        send(stream.as_mut(), &answer.into(), Shape::Xml)?;
        let waits = request.get("WaitForDisconnect").and_then(Value::as_boolean).unwrap_or(false);
        if is_over || (!waits && !matches!(then, Then::Nothing)) {
            return Ok(then);
        }
    }
}
