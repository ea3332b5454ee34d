//! Whole restores against a small host, good and bad.

mod host;
mod orders;

use super::{Faults, boot};
use crate::virt::phone::{Phone, Stage};
use crate::virt::spec::{PasscodeSpec, PhoneSpec, TrustSpec};
use crate::wire::restored::{FromDevice, ToDevice};
use host::{Host, Seen, dial, receive, send};
use plist::Value;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn phone(model: &str, faults: Faults) -> Arc<Phone> {
    let mut spec = PhoneSpec { model: model.into(), ..PhoneSpec::default() };
    spec.trust = TrustSpec::Trusted;
    spec.passcode = PasscodeSpec::Locked;
    spec.faults.restore = faults;
    let phone = Phone::new(spec, 0, 2000.0).unwrap();
    phone.state().nvram.insert("auto-boot".into(), "false".into());
    phone.enter(Stage::Restore);
    boot(&phone);
    phone
}

fn reaches(phone: &Arc<Phone>, stage: Stage) {
    let until = Instant::now() + Duration::from_secs(20);
    while phone.stage() != stage {
        assert!(Instant::now() < until, "stays in {:?}", phone.stage());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn number(seen: &Seen) -> i64 {
    seen.status.as_ref().expect("no status").number()
}

#[test]
fn an_iphone_6_is_erased_as_recorded() {
    let phone = phone("iphone6", Faults::default());
    let mut host = Host::new(&phone, true);
    // An old host: no tables at all.
    host.options.remove("SupportedDataTypes");
    host.options.remove("SupportedMessageTypes");
    let seen = host.restore();
    assert_eq!(number(&seen), 0);
    let requests = "RootTicket NORData FDRTrustData SystemImageData KernelCache DeviceTree FUDData FUDData BasebandData \
        BasebandData";
    assert_eq!(seen.requests(), requests.split_whitespace().collect::<Vec<_>>());
    let operations = [
        28, 15, 15, 29, 29, 29, 29, 11, 12, 14, 15, 15, 15, 15, 16, 16, 16, 27, 61, 18, 36, 47, 47, 55, 36, 19, 59, 17,
        50, 25, 29, 29, 29, 29,
    ];
    assert_eq!(seen.operations(), operations);
    reaches(&phone, Stage::Normal);
    let state = phone.state();
    assert_eq!((state.version.to_string(), state.build.to_string()), ("12.5.8".into(), "16H88".into()));
    assert_eq!((state.trust, state.passcode, state.setup_done), (TrustSpec::Untrusted, PasscodeSpec::None, false));
    assert_eq!(state.nvram["auto-boot"], "true");
}

#[test]
fn an_iphone_8_is_erased_as_recorded() {
    let phone = phone("iphone8", Faults::default());
    let seen = Host::new(&phone, true).restore();
    assert_eq!(number(&seen), 0);
    let requests = seen.requests();
    let count = |what: &str| requests.iter().filter(|r| *r == what).count();
    assert_eq!(
        (count("NORData"), count("BasebandData"), count("BuildIdentityDict"), count("SystemImageRootHash")),
        (2, 2, 2, 2)
    );
    assert_eq!(requests[..4], ["RootTicket", "NORData", "FDRTrustData", "SystemImageData"]);
    assert!(seen.completed().iter().all(|(_, result)| *result == 0));
    assert_eq!(seen.completed().last(), Some(&(0x647, 0)));
    reaches(&phone, Stage::Normal);
    assert_eq!(phone.state().build.to_string(), "99A123");
    let image = phone.memory().into_iter().find(|m| m.what == "asr.image").unwrap().detail;
    assert_eq!(image["size"], 1_000_003);
    assert_eq!(phone.remembered("restore.finished"), 1);
}

#[test]
fn an_iphone_13_takes_its_image_while_its_parts_are_updated() {
    let faults = Faults { personalized: Some("KernelCache".into()), data_port_refusals: 1, ..Faults::default() };
    let phone = phone("iphone13", faults);
    let mut host = Host::new(&phone, true);
    host.image.resize(8_000_000, 0x11);
    let seen = host.restore();
    assert_eq!(number(&seen), 0);
    let place = |wanted: &dyn Fn(&FromDevice) -> bool| seen.messages.iter().position(wanted).unwrap();
    let completed = |id: u16| place(&move |m| matches!(m, FromDevice::Checkpoint(c) if c.complete && c.id.0 == id));
    let full = place(&|m| matches!(m, FromDevice::Progress { operation: 13, percent: Some(100), context: Some(_) }));
    assert!(completed(0x65B) < full && full < completed(0x6B4));
    assert!(seen.messages.iter().any(|m| matches!(m, FromDevice::AsyncWait { context: Some(_) })));
    let asset =
        place(&|m| matches!(m, FromDevice::AsyncDataRequest(r) if r.data_type == "URLAsset" && r.port.is_some()));
    assert!(asset < full);
    for wanted in ["FirmwareUpdaterData", "SourceBootObjectV4", "PersonalizedBootObjectV3", "ReceiptManifest"] {
        assert!(seen.requests().iter().any(|r| r == wanted), "{wanted}");
    }
    reaches(&phone, Stage::Normal);
}

#[test]
fn an_update_keeps_what_the_person_has() {
    let phone = phone("iphone13", Faults::default());
    let seen = Host::new(&phone, false).restore();
    assert_eq!(number(&seen), 0);
    assert!(!seen.operations().contains(&11) && !seen.operations().contains(&12));
    reaches(&phone, Stage::Normal);
    let state = phone.state();
    assert_eq!((state.setup_done, state.passcode), (true, PasscodeSpec::BeforeFirstUnlock));
    drop(state);
    assert_eq!(phone.remembered("files.erased"), 0);
}

#[test]
fn the_identity_of_an_update_keeps_data_even_with_the_options_of_an_erase() {
    let phone_of = |erase_options: bool, erase_identity: bool| {
        let phone = phone("iphone13", Faults::default());
        let mut host = Host::new(&phone, erase_identity);
        host.options.insert("CreateFilesystemPartitions".into(), erase_options.into());
        (phone, host.restore())
    };
    let (phone, seen) = phone_of(true, false);
    assert_eq!((number(&seen), phone.remembered("files.erased")), (0, 0));
    let (phone, seen) = phone_of(false, true);
    assert_eq!((number(&seen), phone.remembered("files.erased")), (100, 0));
}

/// Every answer is looked at: whatever is taken away or spoiled ends in a failure tail and in recovery.
#[test]
fn bad_answers_end_as_real_ones_do() {
    type Spoil = fn(&mut plist::Dictionary);
    let cases: &[(&str, &str, u16, i64, Spoil)] = &[
        ("iphone8", "RootTicket", 0x60B, -1, plist::Dictionary::clear),
        ("iphone8", "NORData", 0x609, 51, |m| {
            m.remove("RestoreSEPImageData");
        }),
        ("iphone8", "KernelCache", 0xE00, 14, |m| {
            if let Some(Value::Data(bytes)) = m.get_mut("KernelCacheFile") {
                bytes[100] ^= 1;
            }
        }),
        ("iphone8", "BasebandData", 0x1303, -1, |m| {
            m.insert("BasebandData".into(), Value::Data(b"PK".to_vec()));
        }),
        ("iphone8", "FUDData", 0x130A, -1, plist::Dictionary::clear),
        ("iphone8", "FirmwareUpdaterData", 0x6A6, -1, plist::Dictionary::clear),
        ("iphone8", "BuildIdentityDict", 0x6A6, 100, |m| {
            if let Some(identity) = m.get_mut("BuildIdentityDict").and_then(Value::as_dictionary_mut) {
                identity.insert("ApBoardID".into(), "0x7F".into());
            }
        }),
        ("iphone8", "SystemImageCanonicalMetadata", 0x68B, 14, plist::Dictionary::clear),
        ("iphone13", "ReceiptManifest", 0x63F, -1, plist::Dictionary::clear),
        ("iphone13", "URLAsset", 0x6B4, 14, plist::Dictionary::clear),
    ];
    for (model, data_type, checkpoint, code, spoil) in cases {
        let phone = phone(model, Faults::default());
        let mut host = Host::new(&phone, true);
        let (data_type, spoil) = (*data_type, *spoil);
        host.twist = Arc::new(move |request, mut answer| {
            if request.data_type == data_type {
                spoil(&mut answer);
            }
            answer
        });
        let seen = host.restore();
        assert_eq!(number(&seen), *code, "{data_type}");
        let failed = seen.completed().into_iter().find(|(_, result)| *result != 0).unwrap();
        assert_eq!(failed, (*checkpoint, *code), "{data_type}");
        let ids: Vec<u16> = seen.completed().iter().map(|c| c.0).collect();
        assert!(ids.ends_with(&[0x648]) && ids.windows(2).any(|w| w == [0x67C, 0x1613]), "{data_type}: {ids:X?}");
        reaches(&phone, Stage::Recovery);
        assert_eq!(phone.state().nvram["restored-exit-status"], "0x100");
        assert_eq!(phone.remembered("restore.failed"), 1);
    }
}

#[test]
fn a_ticket_of_another_phone_or_nonce_is_refused() {
    for other in [true, false] {
        let one = phone("iphone13", Faults::default());
        let mut host = Host::new(&one, true);
        let stranger = Phone::new(PhoneSpec::default(), if other { 3 } else { 0 }, 1.0).unwrap();
        host.ticket = Host::new(&stranger, true).ticket;
        let seen = host.restore();
        assert_eq!(number(&seen), -1);
        assert_eq!(seen.requests(), ["RootTicket"]);
    }
}

#[test]
fn a_host_without_the_tables_is_too_old_for_ios_16() {
    let phone = phone("iphone8", Faults::default());
    let mut host = Host::new(&phone, true);
    host.options.remove("SupportedDataTypes");
    let seen = host.restore();
    assert_eq!(number(&seen), 10);
    assert_eq!(seen.completed()[0], (0x655, 10));
    assert!(seen.status.unwrap().chain[0].text.starts_with("This host version is unsupported"));
}

#[test]
fn one_wrong_bit_in_the_image_is_a_checksum_failure() {
    let phone = phone("iphone8", Faults::default());
    let mut host = Host::new(&phone, true);
    host.flip = Some(700_000);
    let seen = host.restore();
    assert_eq!(number(&seen), 1100);
    assert!(seen.completed().contains(&(0x65B, 1100)) && seen.completed().contains(&(0x677, 1100)));
    assert_eq!(phone.remembered("asr.image"), 0);
}

#[test]
fn fdr_decides() {
    let refused = phone("iphone8", Faults { fdr_refused: true, ..Faults::default() });
    let seen = Host::new(&refused, true).restore();
    assert_eq!(number(&seen), 53);
    let tail: Vec<(u16, i64)> = seen.completed().into_iter().skip_while(|(_, r)| *r == 0).collect();
    assert_eq!(tail, [(0x634, 53), (0x67B, 53), (0x67C, 0), (0x1613, 0), (0x647, 0), (0x648, 0)]);
    let last = seen.messages.iter().rev().find_map(|m| if let FromDevice::Checkpoint(c) = m { Some(c) } else { None });
    assert!(last.unwrap().error.as_deref().unwrap().starts_with("[0]D(Failed to recover FDR data.)[1]D("));

    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut client in server.incoming().flatten() {
            let mut asked = [0; 256];
            let _ = client.read(&mut asked);
            let _ = client.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello");
        }
    });
    let proxied = phone("iphone8", Faults { fdr_proxy_port: Some(port), ..Faults::default() });
    assert_eq!(number(&Host::new(&proxied, true).restore()), 0);
    assert_eq!(proxied.remembered("fdr.proxy"), 3);
}

#[test]
fn knobs_do_what_they_say() {
    let status = |faults: Faults| {
        let phone = phone("iphone8", faults);
        let seen = Host::new(&phone, true).restore();
        (phone, seen)
    };
    let (_, seen) = status(Faults { amr_error: Some(4014), at_checkpoint: Some(0x621), ..Faults::default() });
    assert_eq!(number(&seen), 4014);
    assert!(seen.completed().contains(&(0x621, 4014)));
    let (_, seen) = status(Faults { status_error: Some(75), ..Faults::default() });
    assert_eq!(number(&seen), 75);
    assert!(seen.completed().iter().all(|c| c.1 == 0));
    let (_, seen) = status(Faults { host_incompatible: true, ..Faults::default() });
    assert_eq!(number(&seen), 10);
    let (phone, seen) = status(Faults { unplug_at_checkpoint: Some(0x674), ..Faults::default() });
    assert!(seen.status.is_none());
    reaches(&phone, Stage::Recovery);
    let (_, seen) = status(Faults { absurd_length_at_checkpoint: Some(0x60D), ..Faults::default() });
    assert!(seen.status.is_none() && seen.requests() == ["RootTicket"]);
    let (_, seen) = status(Faults { garbage_at_checkpoint: Some(0x60D), ..Faults::default() });
    assert!(seen.status.is_none() && seen.requests() == ["RootTicket"]);
    let (_, seen) = status(Faults { asr_cut_at: Some(300_000), ..Faults::default() });
    assert_eq!(number(&seen), 14);
    let (phone, seen) = status(Faults { asr_second_initiate: true, ..Faults::default() });
    assert_eq!((number(&seen), phone.remembered("asr.image")), (0, 1));
    let (_, seen) = status(Faults { progress_minus_one: true, ..Faults::default() });
    assert!(seen.messages.iter().all(|m| !matches!(m, FromDevice::Progress { percent: Some(_), .. })));
    let (_, seen) = status(Faults { unknown_data_type: Some("QuantumFWData".into()), ..Faults::default() });
    assert!(number(&seen) == 0 && seen.requests().contains(&"QuantumFWData".to_owned()));
    let (_, seen) = status(Faults { sticky_error: Some("[0]D(no modem)".into()), ..Faults::default() });
    assert_eq!(number(&seen), 0);
    assert!(seen.completed().contains(&(0x1303, -1)));
    let last = seen.messages.iter().rev().find_map(|m| if let FromDevice::Checkpoint(c) = m { Some(c) } else { None });
    assert_eq!(last.unwrap().error.as_deref(), Some("[0]D(no modem)"));
}

#[test]
fn silence_lasts_until_the_phone_leaves() {
    for faults in [
        Faults { silent_at_checkpoint: Some(0x616), ..Faults::default() },
        Faults { asr_silent_at: Some(300_000), ..Faults::default() },
    ] {
        let phone = phone("iphone8", faults);
        let host = Host::new(&phone, true);
        let restoring = std::thread::spawn(move || host.restore());
        let until = Instant::now() + Duration::from_secs(20);
        while phone.remembered("restore.silent") == 0 {
            assert!(Instant::now() < until);
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(phone.stage(), Stage::Restore);
        phone.enter(Stage::Away);
        assert!(restoring.join().unwrap().status.is_none());
    }
}

#[test]
fn probes_do_no_harm_and_the_ramdisk_does_not_wait_for_ever() {
    let faults = Faults { start_limit_ms: Some(400), ..Faults::default() };
    let phone = phone("iphone13", faults);
    drop(dial(&phone, 62_078));
    let mut link = dial(&phone, 62_078);
    let mut probe = plist::Dictionary::new();
    probe.insert("Request".into(), "GetValue".into());
    send(&mut link, &probe);
    send(&mut link, &ToDevice::QueryValue { key: "HardwareInfo".into() }.build("test"));
    let info = receive(&mut link).unwrap();
    let info = info.get("HardwareInfo").and_then(Value::as_dictionary).unwrap();
    assert_eq!(info.get("UniqueChipID").and_then(Value::as_unsigned_integer), Some(phone.ecid.0));
    assert_eq!(phone.remembered("restore.unrecognized"), 1);
    reaches(&phone, Stage::Recovery);
    assert_eq!(phone.remembered("restore.timeout"), 1);
}

#[test]
fn a_phone_that_does_not_listen_refuses() {
    let phone = phone("iphone13", Faults { restored_not_listening: true, ..Faults::default() });
    let (_host, device) = std::os::unix::net::UnixStream::pair().unwrap();
    assert!(!phone.connect(62_078, device));
}
