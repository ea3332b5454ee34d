//! Lockdown's values: domains of keys, as real phones of the same age answer.
//!
//! Which keys exist depends on the system (recordings from iOS 8 to 26.4) and on whether there is a
//! session: without one only the short list of a recording is told, and DevicePublicKey to whoever asks
//! for it by name, since pairing starts there. Numbers that must differ between phones (addresses, IMEI)
//! are made from the ECID, so a phone is the same at every start of the bench. What a host sets lies over
//! what the phone has; identity cannot be set.

use super::inside::Inside;
use super::x509::pem;
use crate::facts::models::ImageFormat;
use crate::ids::Version;
use crate::virt::phone::{Phone, State};
use crate::virt::spec::PasscodeSpec;
use crate::wire::lockdown::Refusal;
use jiff::Timestamp;
use plist::{Dictionary, Value};
use serde_json::json;

/// Told without a session.
const OPEN: &[&str] = &[
    "BasebandCertId",
    "BasebandKeyHashInformation",
    "BasebandSerialNumber",
    "BasebandVersion",
    "BoardId",
    "BuildVersion",
    "CPUArchitecture",
    "ChipID",
    "DeviceClass",
    "DeviceColor",
    "DeviceName",
    "DieID",
    "HardwareModel",
    "HasSiDP",
    "HumanReadableProductVersionString",
    "PartitionType",
    "ProductName",
    "ProductType",
    "ProductVersion",
    "ProductionSOC",
    "ProtocolVersion",
    "SupportedDeviceFamilies",
    "TelephonyCapability",
    "UniqueChipID",
    "UniqueDeviceID",
    "WiFiAddress",
];

/// Default-domain keys that a trusted host may set.
const SETTABLE: &[&str] = &[
    "ActivationStateAcknowledged",
    "DeviceName",
    "TimeIntervalSince1970",
    "TimeZone",
    "TimeZoneOffsetFromUTC",
    "UntrustedHostBUID",
    "Uses24HourClock",
];
const VALUES: usize = 512;

/// A value or, without a key, a whole domain.
pub(super) fn get(
    phone: &Phone,
    inside: &Inside,
    is_session: bool,
    domain: Option<&str>,
    key: Option<&str>,
) -> Result<Value, Refusal> {
    if (domain, key) == (None, Some("DevicePublicKey")) {
        let key = inside.key().map_err(|_| Refusal::InvalidResponse)?;
        return Ok(Value::Data(pem("RSA PUBLIC KEY", key.public())));
    }
    if let (None, Some(value)) = (domain, key.and_then(|key| super::preflight::value(phone, key))) {
        return Ok(value);
    }
    let mut all = match domain {
        None => default_domain(phone),
        Some(domain) if is_session => other_domain(phone, domain),
        Some(_) => return Err(Refusal::GetProhibited),
    };
    if wifi_address(phone).is_none() {
        all.remove("WiFiAddress");
    }
    let place = domain.unwrap_or_default();
    for ((of, name), value) in &phone.state().set_values {
        if of == place {
            all.insert(name.clone(), value.clone());
        }
    }
    let Some(key) = key else {
        if !is_session {
            all.retain(|key, _| OPEN.contains(&key.as_str()));
        }
        return Ok(Value::Dictionary(all));
    };
    match all.remove(key) {
        Some(_) if !is_session && !OPEN.contains(&key) => Err(Refusal::GetProhibited),
        Some(value) => Ok(value),
        None => Err(Refusal::MissingValue),
    }
}

/// UntrustedHostBUID is what usbmuxd writes before there is any trust.
pub(super) fn set(
    phone: &Phone,
    is_session: bool,
    domain: Option<&str>,
    key: &str,
    value: &Value,
) -> Result<(), Refusal> {
    let is_allowed = match domain {
        None => SETTABLE.contains(&key) && (is_session || key == "UntrustedHostBUID"),
        Some(_) => is_session,
    };
    if !is_allowed {
        return Err(Refusal::SetProhibited);
    }
    {
        let mut state = phone.state();
        match (domain, key, value) {
            (None, "DeviceName", Value::String(name)) => state.name = name.chars().take(255).collect(),
            (None, "DeviceName", _) => return Err(Refusal::SetProhibited),
            _ => {
                let place = (domain.unwrap_or_default().to_owned(), key.to_owned());
                if state.set_values.len() >= VALUES && !state.set_values.contains_key(&place) {
                    return Err(Refusal::SetProhibited);
                }
                state.set_values.insert(place, value.clone());
            }
        }
    }
    phone.remember("lockdown.set", json!({ "domain": domain, "key": key }));
    Ok(())
}

/// Takes away what a host had set.
pub(super) fn remove(phone: &Phone, is_session: bool, domain: Option<&str>, key: &str) -> Result<(), Refusal> {
    if !is_session {
        return Err(Refusal::RemoveProhibited);
    }
    let place = (domain.unwrap_or_default().to_owned(), key.to_owned());
    match phone.state().set_values.remove(&place) {
        Some(_) => Ok(()),
        None if domain.is_none() => Err(Refusal::RemoveProhibited),
        None => Ok(()),
    }
}

fn address(phone: &Phone, last: u8) -> String {
    let [.., a, b, c, d] = phone.ecid.0.to_be_bytes();
    format!("02:{a:02x}:{b:02x}:{c:02x}:{d:02x}:{last:02x}")
}

/// The Wi-Fi address that pair records carry, e.g. `02:0e:81:10:01:2b`; none when the chip is dead.
pub(super) fn wifi_address(phone: &Phone) -> Option<String> {
    (!phone.spec.faults.mux.no_wifi_address).then(|| address(phone, 0x2B))
}

/// `length` decimal digits, the last of which makes the whole pass Luhn's check.
fn digits(phone: &Phone, head: &str, length: usize) -> String {
    let seed = phone.ecid.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16;
    let body: String = head.chars().chain(format!("{seed:015}").chars()).take(length.saturating_sub(1)).collect();
    let sum: u32 = body
        .chars()
        .rev()
        .filter_map(|c| c.to_digit(10))
        .enumerate()
        .map(|(at, d)| if at % 2 == 0 { d * 2 / 10 + d * 2 % 10 } else { d })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

struct Fill<'a>(&'a mut Dictionary);

impl Fill<'_> {
    fn text(&mut self, pairs: &[(&str, &str)]) {
        for (key, value) in pairs {
            self.0.insert((*key).to_owned(), Value::from(*value));
        }
    }

    fn number(&mut self, pairs: &[(&str, u64)]) {
        for (key, value) in pairs {
            self.0.insert((*key).to_owned(), Value::from(*value));
        }
    }

    fn flag(&mut self, pairs: &[(&str, bool)]) {
        for (key, value) in pairs {
            self.0.insert((*key).to_owned(), Value::from(*value));
        }
    }

    fn data(&mut self, pairs: &[(&str, &[u8])]) {
        for (key, value) in pairs {
            self.0.insert((*key).to_owned(), Value::Data(value.to_vec()));
        }
    }
}

fn is_locked(state: &State) -> bool {
    matches!(state.passcode, PasscodeSpec::Locked | PasscodeSpec::BeforeFirstUnlock)
}

fn iboot(version: &Version) -> &'static str {
    match version.major() {
        0..=10 => "iBoot-3406.60.10",
        11..=12 => "iBoot-4513.270.14",
        13 => "iBoot-5540.80.2",
        14 => "iBoot-6723.80.19",
        15 => "iBoot-7459.140.15",
        16 => "iBoot-8422.142.2",
        17 => "iBoot-10151.140.19",
        18 => "iBoot-11881.100.993",
        _ => "iBoot-13822.82.4",
    }
}

/// One second of the same length everywhere: a real with microseconds, as phones answer.
fn now() -> f64 {
    Timestamp::now().as_microsecond() as f64 / 1e6
}

fn default_domain(phone: &Phone) -> Dictionary {
    let mut all = Dictionary::new();
    let state = phone.state();
    let model = phone.model;
    let product = model.product.as_str();
    let class = product.split(|c: char| c.is_ascii_digit()).next().unwrap_or("iPhone");
    let is_phone = class == "iPhone";
    let version = state.version.to_string();
    let major = state.version.major();
    let platform = match model.cpid.0 {
        0x8000 | 0x8003 | 0x8950..=0x8960 | 0x7000 | 0x7001 => format!("s5l{:04x}x", model.cpid.0),
        cpid => format!("t{cpid:04x}"),
    };
    let board = format!("{}AP", model.board.trim_end_matches("ap").to_ascii_uppercase());
    let architecture = match model.cpid.0 {
        0x8900..=0x8955 => "armv7s",
        0x8020..=0x88FF => "arm64e",
        _ => "arm64",
    };
    let mut fill = Fill(&mut all);
    fill.text(&[
        ("ActivationState", if state.activated { "Activated" } else { "Unactivated" }),
        ("BluetoothAddress", &address(phone, 0x2C)),
        ("BuildVersion", &state.build.to_string()),
        ("CPUArchitecture", architecture),
        ("DeviceClass", class),
        ("DeviceColor", "1"),
        ("DeviceName", &state.name),
        ("EthernetAddress", &address(phone, 0x2D)),
        ("FirmwareVersion", iboot(&state.version)),
        ("HardwareModel", &board),
        ("HardwarePlatform", &platform),
        ("MLBSerialNumber", &format!("VRTM{:013X}", phone.ecid.0 & 0xF_FFFF_FFFF_FFFF)),
        ("ModelNumber", "MVRT2"),
        ("PartitionType", "GUID_partition_scheme"),
        ("ProductName", "iPhone OS"),
        ("ProductType", product),
        ("ProductVersion", &version),
        ("ProtocolVersion", "2"),
        ("RegionInfo", "LL/A"),
        ("SerialNumber", &phone.serial),
        ("SoftwareBundleVersion", ""),
        ("TimeZone", "Europe/Amsterdam"),
        ("UniqueDeviceID", phone.udid.as_str()),
        ("WiFiAddress", &wifi_address(phone).unwrap_or_default()),
        ("WirelessBoardSerialNumber", "330000000001D"),
    ]);
    fill.number(&[
        ("BoardId", phone.bdid.0.into()),
        ("ChipID", model.cpid.0.into()),
        ("DieID", phone.ecid.0),
        ("FusingStatus", 3),
        ("UniqueChipID", phone.ecid.0),
    ]);
    fill.flag(&[
        ("BrickState", !state.activated),
        ("HasSiDP", model.image == ImageFormat::Img4 && !phone.spec.faults.mux.preboard.no_sidp),
        ("HostAttached", true),
        ("PasswordProtected", is_locked(&state)),
        ("ProductionSOC", true),
        ("TelephonyCapability", is_phone),
        ("TrustedHostAttached", true),
        ("UseRaptorCerts", true),
        ("Uses24HourClock", true),
    ]);
    fill.data(&[("PkHash", &[0x56; 32]), ("SoftwareBehavior", &[1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])]);
    if state.activated {
        fill.flag(&[("ActivationStateAcknowledged", true)]);
    }
    if major >= 17 {
        fill.text(&[("HumanReadableProductVersionString", &version)]);
    }
    if major >= 18 {
        let session = uuid::Uuid::from_u128(u128::from(phone.ecid.0) << 64 | u128::from(state.enumerations));
        fill.text(&[("BootSessionID", &session.to_string().to_uppercase())]);
    }
    if major >= 15 {
        fill.number(&[("PairRecordProtectionClass", 4)]);
    } else {
        fill.data(&[("ProximitySensorCalibration", &[0; 48])]);
    }
    telephony(&mut fill, phone, is_phone);
    let family = Value::Array(vec![Value::from(if class == "iPad" { 2_u64 } else { 1 })]);
    all.insert("SupportedDeviceFamilies".into(), family);
    all.insert("TimeIntervalSince1970".into(), Value::Real(now()));
    all.insert("TimeZoneOffsetFromUTC".into(), Value::Real(3600.0));
    all.insert("NonVolatileRAM".into(), nvram(&state).into());
    all
}

fn telephony(fill: &mut Fill<'_>, phone: &Phone, is_phone: bool) {
    if !is_phone {
        fill.text(&[("BasebandStatus", "NoTelephonyCapabilty")]);
        return;
    }
    let imei = digits(phone, "35000000", 15);
    fill.text(&[
        ("BasebandActivationTicketVersion", "V2"),
        ("BasebandMasterKeyHash", &"00".repeat(48)),
        ("BasebandStatus", "BBInfoAvailable"),
        ("BasebandVersion", "2.40.01"),
        ("InternationalMobileEquipmentIdentity", &imei),
        ("MobileEquipmentIdentifier", imei.get(..14).unwrap_or(&imei)),
        ("MobileSubscriberCountryCode", ""),
        ("MobileSubscriberNetworkCode", ""),
        ("SIMStatus", "kCTSIMSupportSIMStatusNotInserted"),
        ("SIMTrayStatus", "kCTSIMSupportSIMTrayInsertedNoSIM"),
        ("kCTPostponementStatus", "kCTPostponementStatusActivated"),
    ]);
    fill.number(&[("BasebandCertId", 165_673_526), ("BasebandChipID", 2_835_969), ("CertID", 165_673_526)]);
    fill.flag(&[("kCTPostponementInfoServiceProvisioningState", false)]);
    let serial = (phone.ecid.0 as u32).to_be_bytes();
    fill.data(&[("BasebandRegionSKU", &[0; 62]), ("BasebandSerialNumber", &serial), ("ChipSerialNo", &serial)]);
    let mut hashes = Dictionary::new();
    hashes.insert("AKeyStatus".into(), Value::from(2_u64));
    hashes.insert("SKeyHash".into(), Value::Data(vec![0; 32]));
    hashes.insert("SKeyStatus".into(), Value::from(0_u64));
    fill.0.insert("BasebandKeyHashInformation".into(), hashes.into());
    fill.0.insert("CarrierBundleInfoArray".into(), Value::Array(Vec::new()));
}

fn nvram(state: &State) -> Dictionary {
    let mut all: Dictionary =
        state.nvram.iter().map(|(key, value)| (key.clone(), Value::Data(value.as_bytes().to_vec()))).collect();
    let mut fill = Fill(&mut all);
    fill.data(&[("backlight-level", b"1505"), ("bootdelay", b"0")]);
    if state.find_my {
        let masked = "v\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}@example.com";
        fill.data(&[
            ("fm-account-masked", masked.as_bytes()),
            ("fm-spstatus", b"YES"),
            ("fm-activation-locked", b"YES"),
        ]);
    }
    all
}

fn disk(phone: &Phone, is_factory: bool) -> Dictionary {
    const DISK: u64 = 128_000_000_000;
    const SYSTEM: u64 = 10_200_547_328;
    const RESERVED: u64 = 209_715_200;
    let spec = &phone.spec;
    let camera = u64::from(spec.photos).saturating_mul(spec.photo_bytes);
    let held = camera.saturating_add(u64::from(spec.small_files) * 4_096);
    let data = DISK - SYSTEM;
    let left = data.saturating_sub(held.saturating_add(4_831_838_208));
    let free = spec.faults.mux.data_free.unwrap_or(left).clamp(RESERVED, data);
    let mut all = Dictionary::new();
    let mut fill = Fill(&mut all);
    fill.number(&[
        ("AmountDataAvailable", free - RESERVED),
        ("AmountDataReserved", RESERVED),
        ("CalendarUsage", 1_617_920),
        ("CameraUsage", camera),
        ("MediaCacheUsage", 0),
        ("PhotoUsage", camera),
        ("TotalDataAvailable", free),
        ("TotalDataCapacity", data),
        ("TotalDiskCapacity", DISK),
        ("TotalSystemAvailable", 0),
        ("TotalSystemCapacity", SYSTEM),
        ("VoicemailUsage", 0),
        ("WebAppCacheUsage", 0),
    ]);
    if is_factory {
        fill.number(&[("AmountRestoreAvailable", data - RESERVED)]);
    } else {
        fill.number(&[("NotesUsage", 122_880)]);
        fill.text(&[("CalculateDiskUsage", "OkilyDokily")]);
    }
    all
}

/// Unknown domains are empty, not refused.
fn other_domain(phone: &Phone, domain: &str) -> Dictionary {
    if let "com.apple.disk_usage" | "com.apple.disk_usage.factory" = domain {
        return disk(phone, domain.ends_with("factory"));
    }
    let mut all = Dictionary::new();
    let mut fill = Fill(&mut all);
    let state = phone.state();
    let is_pad = phone.model.product.as_str().starts_with("iPad");
    match domain {
        "com.apple.mobile.battery" => {
            let faults = &phone.spec.faults.mux;
            fill.number(&[("BatteryCurrentCapacity", faults.battery_percent.unwrap_or(81).into())]);
            fill.flag(&[
                ("BatteryIsCharging", !faults.not_charging),
                ("ExternalChargeCapable", true),
                ("ExternalConnected", true),
                ("FullyCharged", false),
                ("GasGaugeCapability", true),
                ("HasBattery", true),
            ]);
        }
        "com.apple.mobile.backup" => {
            fill.flag(&[("CloudBackupEnabled", false)]);
            fill.text(&[("Version", "2.0")]);
            fill.number(&[("RequiresEncryption", phone.spec.requires_encryption.into())]);
            // Absent, not false, on a phone that never had a backup password.
            let on = state.backup_password.is_some();
            if on || phone.lockbox.was_changed() {
                fill.flag(&[("WillEncrypt", on)]);
            }
        }
        "com.apple.fmip" => {
            let shown = state.find_my && state.setup_done;
            fill.flag(&[("IsAssociated", shown), ("FMiPAccountExists", shown)]);
        }
        "com.apple.mobile.chaperone" => fill.flag(&[("DeviceIsChaperoned", phone.spec.supervised)]),
        "com.apple.PurpleBuddy" => {
            fill.flag(&[("SetupDone", state.setup_done), ("SetupFinishedAllSteps", state.setup_done)]);
        }
        "com.apple.security.mac.amfi" => fill.flag(&[("DeveloperModeStatus", false)]),
        "com.apple.mobile.wireless_lockdown" => {
            fill.flag(&[("EnableWifiConnections", false), ("SupportsWifi", true), ("SupportsWifiSyncing", true)]);
        }
        "com.apple.mobile.iTunes" => {
            fill.flag(&[("HasBattery", true), ("HasBaseband", !is_pad), ("InternalBuild", false)]);
            if !is_pad {
                fill.text(&[("MinITunesVersion", "12.3.0")]);
            }
        }
        "com.apple.mobile.iTunes.store" => fill.text(&[("AppleID", "")]),
        "com.apple.international" => {
            fill.text(&[("Language", "en-NL"), ("Locale", "en_NL"), ("Keyboard", "en_NL@sw=QWERTY;hw=Automatic")]);
        }
        _ => {}
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virt::spec::PhoneSpec;

    fn phone(change: impl FnOnce(&mut PhoneSpec)) -> std::sync::Arc<Phone> {
        let mut spec = PhoneSpec::default();
        change(&mut spec);
        Phone::new(spec, 0, 100.0).unwrap()
    }

    #[test]
    fn without_a_session_only_the_recorded_keys_are_told() {
        let phone = phone(|_| {});
        let inside = Inside::default();
        let Value::Dictionary(open) = get(&phone, &inside, false, None, None).unwrap() else { panic!() };
        assert_eq!(open.len(), OPEN.len());
        assert_eq!(get(&phone, &inside, false, None, Some("SerialNumber")), Err(Refusal::GetProhibited));
        assert_eq!(get(&phone, &inside, true, None, Some("SerialNumber")), Ok(Value::from(phone.serial.as_str())));
        assert_eq!(get(&phone, &inside, true, None, Some("Nonsense")), Err(Refusal::MissingValue));
    }

    #[test]
    fn a_restore_may_be_prepared_without_a_session() {
        let told = |model: &str, key: &str| {
            let phone = phone(|s| s.model = model.into());
            let value = get(&phone, &Inside::default(), false, None, Some(key));
            let state = phone.state();
            (value, state.ap_nonce.clone(), state.nonce_promised)
        };
        let (nonce, shown, promised) = told("iphone13", "ApNonce");
        assert_eq!((nonce, promised), (Ok(Value::Data(shown)), true));
        assert!(told("iphone13", "FirmwarePreflightInfo").0.is_ok() && !told("iphone13", "SEPNonce").2);
        assert_eq!(told("iphone13", "ApParameters").0, Err(Refusal::MissingValue));
        assert_eq!(told("ipad-pro-m4", "FirmwarePreflightInfo").0, Err(Refusal::MissingValue));
        assert_eq!(told("iphone16", "SEPNonce").0, Ok(Value::Data(vec![0xFF; 20])));
        let parameters = told("iphone16", "ApParameters").0.unwrap();
        let sep = parameters.as_dictionary().and_then(|d| d.get("SepNonce")).and_then(Value::as_data).unwrap();
        assert!(sep.len() == 20 && sep != [0xFF; 20]);
        let Value::Dictionary(all) = get(&phone(|_| {}), &Inside::default(), true, None, None).unwrap() else {
            panic!()
        };
        assert!(!all.contains_key("ApNonce"));
    }

    #[test]
    fn keys_come_and_go_with_the_system() {
        let has =
            |version: &str, key: &str| default_domain(&phone(|s| s.version = version.parse().ok())).contains_key(key);
        assert!(has("26.3", "BootSessionID") && !has("17.0", "BootSessionID"));
        assert!(has("14.4", "ProximitySensorCalibration") && !has("18.0", "ProximitySensorCalibration"));
        let backup = |password: Option<&str>| {
            other_domain(&phone(|s| s.backup_password = password.map(str::to_owned)), "com.apple.mobile.backup")
        };
        assert!(!backup(None).contains_key("WillEncrypt"));
        assert_eq!(backup(Some("x")).get("WillEncrypt"), Some(&Value::Boolean(true)));
    }

    #[test]
    fn what_is_set_is_told_and_identity_stays() {
        let phone = phone(|_| {});
        let inside = Inside::default();
        let value = Value::from("B");
        assert_eq!(set(&phone, true, None, "UniqueDeviceID", &value), Err(Refusal::SetProhibited));
        assert_eq!(set(&phone, false, None, "DeviceName", &value), Err(Refusal::SetProhibited));
        set(&phone, false, None, "UntrustedHostBUID", &value).unwrap();
        set(&phone, true, None, "DeviceName", &value).unwrap();
        set(&phone, true, Some("com.apple.example"), "K", &value).unwrap();
        assert_eq!(get(&phone, &inside, true, None, Some("DeviceName")), Ok(value.clone()));
        assert_eq!(get(&phone, &inside, true, Some("com.apple.example"), Some("K")), Ok(value));
        remove(&phone, true, Some("com.apple.example"), "K").unwrap();
        assert_eq!(get(&phone, &inside, true, Some("com.apple.example"), Some("K")), Err(Refusal::MissingValue));
    }

    #[test]
    fn an_imei_passes_luhn() {
        let imei = digits(&phone(|_| {}), "35000000", 15);
        assert_eq!(imei.len(), 15);
        let sum: u32 = imei
            .chars()
            .rev()
            .map(|c| c.to_digit(10).unwrap())
            .enumerate()
            .map(|(at, d)| if at % 2 == 1 { d * 2 / 10 + d * 2 % 10 } else { d })
            .sum();
        assert_eq!(sum % 10, 0);
    }
}
