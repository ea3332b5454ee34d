//! Sheets of devices that were recorded, and of devices that lie.

use super::*;
use serde_json::json;

fn sheet(facts: Value) -> Sheet {
    Sheet::of(facts.as_object().unwrap())
}

#[test]
fn an_empty_intake_knows_nothing_and_names_every_line() {
    let json = serde_json::to_value(sheet(json!({}))).unwrap();
    let lines = json.as_object().unwrap();
    assert_eq!(lines.keys().map(String::as_str).collect::<Vec<_>>(), Field::ALL.map_keys());
    assert!(lines.values().all(Value::is_null), "{json}");
}

trait Keys {
    fn map_keys(&self) -> Vec<&'static str>;
}
impl Keys for [Field] {
    fn map_keys(&self) -> Vec<&'static str> {
        self.iter().map(|field| field.as_str()).collect()
    }
}

/// Health is nominal by design, wherever the system keeps them; the two readings are recorded ones.
#[test]
fn battery_health_of_recorded_batteries() {
    let newest = sheet(json!({ "battery_registry": {
        "class": "AppleSmartBattery", "CycleCount": 950, "MaxCapacity": 100, "CurrentCapacity": 12,
        "BatteryData": { "DesignCapacity": 3544, "NominalChargeCapacity": 3075, "MaxCapacity": 100 },
    }}));
    assert_eq!(newest.value(Field::BatteryHealth), Some(&Datum::Number(87)));
    assert_eq!(newest.value(Field::BatteryCycles), Some(&Datum::Number(950)));
    let old = sheet(json!({ "battery_registry": {
        "class": "AppleARMPMUCharger", "CycleCount": 1465, "DesignCapacity": 1690, "NominalChargeCapacity": 1130,
        "AppleRawMaxCapacity": 985, "MaxCapacity": 100, "BatteryData": { "MaxCapacity": 985 },
    }}));
    let health = old.get(Field::BatteryHealth).unwrap();
    assert_eq!(health.value, Datum::Number(67));
    assert_eq!(health.from, "diagnostics AppleARMPMUCharger NominalChargeCapacity/DesignCapacity");
    let constant =
        sheet(json!({ "battery_registry": { "CycleCount": 425, "DesignCapacity": 1751, "FullChargeCapacity": 100 } }));
    assert_eq!(constant.value(Field::BatteryHealth), None, "a constant 100 is no capacity");
}

#[test]
fn the_smaller_of_two_free_spaces_is_free() {
    let told = sheet(json!({ "TotalDiskCapacity": 256_000_000_000_u64, "AmountDataAvailable": 6_045_429_760_u64,
        "TotalDataAvailable": 127_277_871_104_u64 }));
    assert_eq!(told.value(Field::Free), Some(&Datum::Number(6_045_429_760)));
    assert_eq!(told.get(Field::Free).unwrap().from, "lockdown com.apple.disk_usage AmountDataAvailable");
}

#[test]
fn find_my_is_never_off_by_a_device_in_its_setup() {
    let told = |facts: Value| sheet(facts).value(Field::FindMy).cloned();
    assert_eq!(told(json!({ "IsAssociated": false, "SetupDone": false })), None);
    assert_eq!(told(json!({ "IsAssociated": false })), None);
    assert_eq!(told(json!({ "IsAssociated": false, "SetupDone": true })), Some(Datum::Yes(false)));
    assert_eq!(
        told(json!({ "IsAssociated": false, "SetupDone": true, "fm-activation-locked": "YES" })),
        Some(Datum::Yes(true))
    );
    assert_eq!(told(json!({ "mode": "recovery", "fm-activation-locked": "NO" })), None);
}

#[test]
fn a_modem_is_alive_by_its_version_and_a_tablet_has_none() {
    let told = |facts: Value| sheet(facts).value(Field::BasebandAlive).cloned();
    assert_eq!(
        told(json!({ "BasebandStatus": "BBInfoAvailable", "BasebandVersion": "2.40.01" })),
        Some(Datum::Yes(true))
    );
    assert_eq!(told(json!({ "BasebandStatus": "BBInfoAvailable", "BasebandVersion": "" })), Some(Datum::Yes(false)));
    assert_eq!(told(json!({ "BasebandStatus": "NoTelephonyCapabilty" })), None);
    assert_eq!(told(json!({})), None);
}

#[test]
fn the_first_letter_says_how_it_was_sold() {
    for (number, sold) in [
        ("MXWN3", Some("new")),
        ("FKRX2", Some("refurbished")),
        ("NKRX2", Some("replacement")),
        ("PKRX2", Some("engraved")),
        ("3XWN3", None),
        ("", None),
    ] {
        assert_eq!(sheet(json!({ "ModelNumber": number })).text(Field::SoldAs), sold, "{number}");
    }
}

#[test]
fn what_has_the_wrong_type_or_length_is_unknown() {
    let long = "x".repeat(5 << 20);
    for wrong in [json!(null), json!([1]), json!({ "a": 1 }), json!(long), json!(-1), json!(1.5), json!("   ")] {
        let mut facts = Map::new();
        for key in [
            "name",
            "model",
            "serial",
            "ModelNumber",
            "TotalDiskCapacity",
            "BatteryCurrentCapacity",
            "IsAssociated",
            "ActivationState",
            "battery_registry",
            "panic_reports",
            "DeviceIsChaperoned",
            "trust",
            "mode",
        ] {
            facts.insert(key.into(), wrong.clone());
        }
        assert_eq!(Sheet::of(&facts), Sheet::default(), "{}", wrong.to_string().chars().take(40).collect::<String>());
    }
    let absurd = sheet(json!({ "BatteryCurrentCapacity": 101, "battery_registry": { "CycleCount": u64::MAX,
        "DesignCapacity": 0, "NominalChargeCapacity": 5 } }));
    assert_eq!(absurd, Sheet::default());
    let lies = sheet(json!({ "battery_registry": { "DesignCapacity": 1, "NominalChargeCapacity": 1_000_000 } }));
    assert_eq!(lies.value(Field::BatteryHealth), None);
}

/// The default domain of a phone that somebody recorded, where the recordings are at hand.
#[test]
fn a_recorded_phone_fills_its_sheet() {
    let Some(folder) = option_env!("HERSTEL_TEST_DATA") else { return };
    let path = std::path::Path::new(folder).join("recordings/lockdown-iPhone17,4-26.3-1.json");
    let text = std::fs::read_to_string(path).unwrap();
    let json: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    let sheet = sheet(serde_json::from_str(&json).unwrap());
    for (field, value) in [
        (Field::ModelNumber, "MXWN3"),
        (Field::SoldAs, "new"),
        (Field::Region, "ZD/A"),
        (Field::Color, "1"),
        (Field::Board, "HT3HM9002KD0000HBX"),
        (Field::Activation, "Activated"),
        (Field::Sim, "kCTSIMSupportSIMStatusReady"),
        (Field::BasebandVersion, "2.40.01"),
    ] {
        assert_eq!(sheet.text(field), Some(value), "{field:?}");
    }
    assert_eq!(sheet.value(Field::BasebandAlive), Some(&Datum::Yes(true)));
    assert!(sheet.get(Field::Imei2).is_some() && sheet.get(Field::BatteryHealth).is_none());
}
