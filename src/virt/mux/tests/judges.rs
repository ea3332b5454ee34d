//! The clients that nobody here wrote. Where one is not installed its test says so and judges nothing.

use super::host::{Place, place, record};
use super::{spec, trusted, until};
use crate::virt::mux::Faults;
use crate::virt::phone::Stage;
use crate::virt::spec::{PasscodeSpec, PhoneSpec, TrustSpec};
use std::process::{Command, Stdio};

/// Runs a tool on the bench: did it succeed, and all that it said.
fn run(place: &Place, tool: &str, arguments: &[&str]) -> Option<(bool, String)> {
    // pymobiledevice3 wants the bare path.
    let mut socket = std::ffi::OsString::from(if tool.starts_with("py") { "" } else { "UNIX:" });
    socket.push(&place.socket);
    let done = Command::new("timeout")
        .args(["60", tool])
        .args(arguments)
        .env("USBMUXD_SOCKET_ADDRESS", socket)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    if matches!(done.status.code(), Some(126 | 127)) {
        eprintln!("skipped: {tool} is not installed");
        return None;
    }
    let text = [done.stdout, done.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat();
    Some((done.status.success(), text))
}

#[test]
fn idevice_id_and_ideviceinfo() {
    let place = place(vec![trusted(Faults::default())]);
    let phone = &place.phones[0];
    let udid = phone.udid.as_str();
    let Some((_, list)) = run(&place, "idevice_id", &["-l"]) else { return };
    assert_eq!(list.trim(), udid);
    let (ok, all) = run(&place, "ideviceinfo", &[]).unwrap();
    assert!(ok, "{all}");
    for line in [
        format!("UniqueDeviceID: {udid}"),
        format!("SerialNumber: {}", phone.serial),
        format!("UniqueChipID: {}", phone.ecid.0),
        "ActivationState: Activated".into(),
    ] {
        assert!(all.contains(&line), "{line} in {all}");
    }
    let (ok, battery) = run(&place, "ideviceinfo", &["-q", "com.apple.mobile.battery"]).unwrap();
    assert!(ok && battery.contains("BatteryCurrentCapacity: 81"), "{battery}");
    let (ok, absent) = run(&place, "ideviceinfo", &["-q", "com.apple.mobile.backup", "-k", "WillEncrypt"]).unwrap();
    assert!(ok && absent.trim().is_empty(), "{absent}");
}

#[test]
fn ideviceinfo_without_trust_sees_the_short_list() {
    let place = place(vec![PhoneSpec::default()]);
    let Some((ok, all)) = run(&place, "ideviceinfo", &["-s"]) else { return };
    assert!(ok && all.contains("ProductType: iPhone14,5") && !all.contains("SerialNumber:\n"), "{all}");
    assert!(!all.lines().any(|l| l.starts_with("SerialNumber")), "{all}");
    assert_eq!(place.phones[0].remembered("trust.dialog"), 0);
}

#[test]
fn idevicepair_from_the_dialog_to_unpair() {
    let place = place(vec![PhoneSpec::default()]);
    let phone = &place.phones[0];
    let Some((ok, first)) = run(&place, "idevicepair", &["pair"]) else { return };
    assert!(!ok && first.contains("accept the trust dialog"), "{first}");
    until(|| phone.remembered("trust.tapped") == 1);
    let (ok, paired) = run(&place, "idevicepair", &["pair"]).unwrap();
    assert!(ok && paired.contains("SUCCESS: Paired"), "{paired}");
    assert!(record(&place).contains_key("EscrowBag"));
    let (ok, valid) = run(&place, "idevicepair", &["validate"]).unwrap();
    assert!(ok && valid.contains("SUCCESS: Validated"), "{valid}");
    let (ok, gone) = run(&place, "idevicepair", &["unpair"]).unwrap();
    assert!(ok && gone.contains("SUCCESS: Unpaired"), "{gone}");
    assert!(place.records.read(phone.udid.as_str()).is_none());
}

#[test]
fn idevicepair_says_what_the_person_did() {
    for (trust, passcode, taps, word) in [
        (TrustSpec::Denied, PasscodeSpec::None, 1, "denied the trust dialog"),
        (TrustSpec::Untrusted, PasscodeSpec::Locked, 0, "passcode"),
    ] {
        let place = place(vec![spec(trust, passcode, Faults::default())]);
        if run(&place, "idevicepair", &["pair"]).is_none() {
            return;
        }
        until(|| place.phones[0].remembered("trust.tapped") == taps);
        let (ok, said) = run(&place, "idevicepair", &["pair"]).unwrap();
        assert!(!ok && said.contains(word), "{said}");
    }
}

#[test]
fn idevicediagnostics_reads_and_restarts() {
    let place = place(vec![trusted(Faults::default())]);
    let Some((ok, all)) = run(&place, "idevicediagnostics", &["diagnostics", "All"]) else { return };
    assert!(ok && all.contains("DesignCapacity"), "{all}");
    let (ok, battery) = run(&place, "idevicediagnostics", &["ioregentry", "AppleSmartBattery"]).unwrap();
    assert!(ok && battery.contains("CycleCount"), "{battery}");
    let (_, gestalt) = run(&place, "idevicediagnostics", &["mobilegestalt", "PasswordConfigured"]).unwrap();
    assert!(gestalt.contains("MobileGestaltDeprecated"), "{gestalt}");
    let (ok, said) = run(&place, "idevicediagnostics", &["restart"]).unwrap();
    assert!(ok, "{said}");
    until(|| place.phones[0].remembered("lockdown.booted") == 2);
}

#[test]
fn idevicecrashreport_fetches_what_there_is() {
    let report = "panic-full-2026-09-06-184838.0002.ips";
    let crashed = PhoneSpec { crash_reports: vec![report.into()], ..trusted(Faults::default()) };
    let place = place(vec![crashed]);
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().to_string_lossy().into_owned();
    let Some((ok, said)) = run(&place, "idevicecrashreport", &["-k", &target]) else { return };
    assert!(ok && said.contains(report), "{said}");
    assert_eq!(std::fs::metadata(folder.path().join(report)).unwrap().len(), 4_096);
}

#[test]
fn ideviceenterrecovery_needs_a_session() {
    let place = place(vec![trusted(Faults::default())]);
    let phone = &place.phones[0];
    // Version 1.3 asks without a session and is refused; later ones ask again inside one.
    let Some((_, said)) = run(&place, "ideviceenterrecovery", &[phone.udid.as_str()]) else { return };
    if phone.remembered("lockdown.enter-recovery") == 0 {
        assert!(said.contains("Failed"), "{said}");
        assert_eq!(phone.stage(), Stage::Normal);
    } else {
        until(|| phone.stage() == Stage::Recovery);
    }
}

#[test]
fn pymobiledevice3_lists_and_reads() {
    let place = place(vec![trusted(Faults::default())]);
    let phone = &place.phones[0];
    let Some((ok, list)) = run(&place, "pymobiledevice3", &["usbmux", "list"]) else { return };
    assert!(ok && list.contains(phone.udid.as_str()), "{list}");
    let (ok, info) = run(&place, "pymobiledevice3", &["lockdown", "info"]).unwrap();
    assert!(ok && info.contains(&phone.serial), "{info}");
    let (ok, apps) = run(&place, "pymobiledevice3", &["apps", "list"]).unwrap();
    assert!(ok && apps.contains("org.example.notes"), "{apps}");
}

#[test]
fn idevicebackup2_goes_through_all_of_it() {
    let place = place(vec![trusted(Faults::default())]);
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().to_string_lossy().into_owned();
    let Some((ok, said)) = run(&place, "idevicebackup2", &["backup", "--full", &target]) else { return };
    assert!(ok && said.contains("Backup Successful"), "{said}");
    assert_eq!(place.phones[0].remembered("backup.finished"), 1);
}
