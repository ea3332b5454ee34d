//! The boot chain against the bench's phones.

use super::boot::Chain;
use super::rescue::out_of_recovery;
use super::rig::Rig;
use crate::event::{Event, Quiet, Recorder, Step, Unit};
use crate::fault::Code;
use crate::ids::{Ecid, Mode};
use crate::usb::LibUsb;
use crate::virt::phone::{Phone, Stage};
use crate::virt::spec::{ModeSpec, PhoneSpec};
use crate::virt::usb::Faults;
use crate::virt::usb::preload::{Emulation, preload_library};
use std::sync::Arc;
use std::time::Duration;

/// Of the bench: two hundred times real time.
pub const PACE: f64 = 200.0;

fn spec(model: &str, mode: ModeSpec) -> PhoneSpec {
    PhoneSpec { model: model.into(), mode, photos: 0, ..PhoneSpec::default() }
}

fn faulty(mode: ModeSpec, faults: Faults) -> Rig {
    let mut spec = spec("iphone13", mode);
    spec.faults.usb = faults;
    Rig::new(spec)
}

/// Commands that the phone took, without `getenv`s.
fn commands(rig: &Rig) -> Vec<String> {
    let memos = rig.phone.memory().into_iter().filter(|m| m.what == "iboot.command");
    let texts = memos.filter_map(|m| Some(m.detail.get("command")?.as_str()?.to_owned()));
    texts.filter(|c| !c.starts_with("getenv")).collect()
}

const RAMDISK_COMMANDS: [&str; 11] = [
    "setenv auto-boot false",
    "saveenv",
    "setpicture 4",
    "bgcolor 0 0 0",
    "firmware",
    "firmware",
    "ramdisk",
    "devicetree",
    "rsepfirmware",
    "setenv boot-args rd=md0 nand-enable-reformat=1 -progress",
    "bootx",
];

#[tokio::test]
async fn from_recovery_into_the_ramdisk() {
    let rig = Rig::new(spec("iphone13", ModeSpec::Recovery));
    let booted = rig.run().await.unwrap();
    let mut wanted = vec!["go"];
    wanted.extend(RAMDISK_COMMANDS);
    assert_eq!(commands(&rig), wanted);
    // The nonce stays behind a recovery mode.
    assert_eq!(rig.tickets(), 1);
    let steps = [Step::Ticket, Step::BootIbec, Step::BootRamdisk];
    assert_eq!(rig.steps(), steps);
    assert_eq!(booted.ap_nonce.len(), 32);
    assert!(booted.ticket.serves(&crate::wire::iboot::Nonces { ap: Some(booted.ap_nonce), sep: booted.sep_nonce }));
    assert_eq!(booted.port.as_str(), rig.phone.port_path());
    assert!(rig.until(|p| p.stage() == Stage::Restore).await);
}

#[tokio::test]
async fn from_dfu_into_the_ramdisk() {
    let rig = Rig::new(spec("iphone13", ModeSpec::Dfu));
    rig.run().await.unwrap();
    assert_eq!(rig.phone.remembered("dfu.image"), 1);
    let steps = [Step::Ticket, Step::BootIbss, Step::Ticket, Step::BootIbec, Step::BootRamdisk];
    assert_eq!(rig.steps(), steps);
    assert_eq!(rig.tickets(), 2);
    assert!(rig.until(|p| p.stage() == Stage::Restore).await);
    let done = |wanted: Step| {
        let counted = rig.recorder.events().into_iter().filter_map(move |event| match event {
            Event::Progress { step, unit: Unit::Bytes, done, total } if step == wanted => Some((done, total)),
            _ => None,
        });
        counted.collect::<Vec<_>>()
    };
    for step in [Step::BootIbss, Step::BootIbec, Step::BootRamdisk] {
        let counted = done(step);
        let (last, total) = *counted.last().unwrap();
        assert_eq!(Some(last), total, "{step}");
        assert!(counted.is_sorted(), "{step}");
    }
}

#[tokio::test]
async fn an_old_ibss_takes_ibec_over_dfu_or_go() {
    let chains = ["iphone5s", "iphone6s", "iphone7", "iphone8"].map(|model| async move {
        let rig = Rig::new(spec(model, ModeSpec::Dfu));
        rig.run().await.unwrap_or_else(|f| panic!("{model}: {f:?}"));
        assert!(rig.until(|p| p.stage() == Stage::Restore).await, "{model}");
        rig.phone.remembered("dfu.image")
    });
    assert_eq!(futures_util::future::join_all(chains).await, [2, 2, 1, 1]);
}

#[tokio::test]
async fn a_chain_that_broke_off_begins_again_where_the_phone_is() {
    for model in ["iphone6s", "iphone8", "iPhone5,2"] {
        for ran in [Step::BootIbss, Step::BootIbec] {
            let rig = Rig::new(spec(model, ModeSpec::Dfu));
            let mut broken = Chain::begin(rig.boot()).await.unwrap();
            assert!(broken.at_rom(), "{model}");
            broken.boot_ibss().await.unwrap();
            if ran == Step::BootIbec {
                broken.boot_ibec().await.unwrap();
            }
            drop(broken);
            rig.run().await.unwrap_or_else(|f| panic!("{model} after {ran}: {f:?}"));
            assert_eq!(rig.steps().iter().filter(|step| **step == Step::BootIbss).count(), 1, "{model} after {ran}");
            assert!(rig.until(|p| p.stage() == Stage::Restore).await, "{model} after {ran}");
        }
    }
}

/// What an IMG3 phone is told after `ticket`.
const IMG3_COMMANDS: [&str; 9] = [
    "ticket",
    "setenv auto-boot false",
    "saveenv",
    "setpicture 4",
    "bgcolor 0 0 0",
    "ramdisk",
    "devicetree",
    "setenv boot-args rd=md0 nand-enable-reformat=1 -progress",
    "bootx",
];

#[tokio::test]
async fn an_img3_phone_is_handed_its_ticket_from_recovery() {
    for model in ["iPhone5,2", "iPhone4,1", "iPhone3,1"] {
        let rig = Rig::new(spec(model, ModeSpec::Recovery));
        let booted = rig.run().await.unwrap_or_else(|f| panic!("{model}: {f:?}"));
        let mut wanted = vec!["ticket", "go"];
        wanted.extend(IMG3_COMMANDS);
        assert_eq!(commands(&rig), wanted, "{model}");
        assert_eq!((rig.phone.remembered("boot.refused"), rig.tickets(), booted.ap_nonce.len()), (0, 2, 20));
        assert!(rig.until(|p| p.stage() == Stage::Restore).await, "{model}");
        let requests = rig.signer.requests.lock().unwrap();
        assert!(requests.iter().all(|r| r.contains_key("@APTicket") && !r.contains_key("SepNonce")));
    }
}

#[tokio::test]
async fn an_img3_phone_from_dfu_gets_its_ticket_before_ibec() {
    for model in ["iPhone5,2", "iPhone4,1", "iPhone3,1"] {
        let rig = Rig::new(spec(model, ModeSpec::Dfu));
        rig.run().await.unwrap_or_else(|f| panic!("{model}: {f:?}"));
        let sent = commands(&rig);
        let wanted: Vec<&str> = sent.iter().map(String::as_str).skip_while(|c| *c == "go").collect();
        assert_eq!(wanted, IMG3_COMMANDS, "{model}");
        assert_eq!(rig.phone.remembered("boot.refused"), 0, "{model}");
        assert!(rig.until(|p| p.stage() == Stage::Restore).await, "{model}");
        // A ROM shows no nonce that a ticket could hold.
        let requests = rig.signer.requests.lock().unwrap();
        let nonce = |at: usize| requests[at].get("ApNonce").and_then(plist::Value::as_data).map(<[u8]>::len);
        assert_eq!(nonce(requests.len() - 1), Some(20));
        if model == "iPhone3,1" {
            assert_eq!(nonce(0), None);
        }
    }
}

#[tokio::test]
async fn an_img3_phone_with_another_ticket_is_told_before_anything_is_sent() {
    let mut rig = Rig::new(spec("iPhone5,2", ModeSpec::Recovery));
    rig.signer.wrong_nonce = true;
    let (code, stage, detail) = rig.run().await.unwrap_err();
    assert_eq!((code, stage.as_str()), (Code::TssInvalid, "ticket"), "{detail}");
    assert_eq!(rig.phone.remembered("usb.upload"), 0);
    assert!(commands(&rig).is_empty());
}

#[tokio::test]
async fn a_kept_nonce_asks_apple_once() {
    let rig = faulty(ModeSpec::Dfu, Faults { nonce_kept: true, ..Faults::default() });
    rig.run().await.unwrap();
    assert_eq!(rig.tickets(), 1);
}

#[tokio::test]
async fn a_refused_stage_is_told_as_refused() {
    let rig = faulty(ModeSpec::Dfu, Faults { ibss_refused: true, ..Faults::default() });
    let (code, stage, detail) = rig.run().await.unwrap_err();
    assert_eq!((code, stage.as_str()), (Code::BootRefused, "boot-ibss"), "{detail}");
    let rig = faulty(ModeSpec::Recovery, Faults { ibec_refused: true, ..Faults::default() });
    let (code, stage, detail) = rig.run().await.unwrap_err();
    assert_eq!((code, stage.as_str()), (Code::BootRefused, "boot-ibec"), "{detail}");
}

#[tokio::test]
async fn an_unplug_in_the_middle_of_an_upload_is_gone() {
    for (mode, at, wanted) in [
        (ModeSpec::Dfu, 30_000, "boot-ibss"),
        (ModeSpec::Recovery, 50_000, "boot-ibec"),
        (ModeSpec::Recovery, 500_000, "boot-ramdisk"),
    ] {
        let rig = faulty(mode, Faults { vanish_at_upload_byte: Some(at), ..Faults::default() });
        let (code, stage, detail) = rig.run().await.unwrap_err();
        assert_eq!((code, stage.as_str()), (Code::UsbGone, wanted), "{detail}");
        let warned = rig.recorder.events().iter().any(|e| matches!(e, Event::Warning { .. }));
        assert_eq!(warned, wanted == "boot-ramdisk");
    }
}

#[tokio::test]
async fn a_stranger_is_never_accepted() {
    let rig = faulty(ModeSpec::Recovery, Faults { wrong_ecid_after_reboot: true, ..Faults::default() });
    let (code, stage, detail) = rig.run().await.unwrap_err();
    assert_eq!((code, stage.as_str()), (Code::StrangerDevice, "boot-ibec"), "{detail}");
    assert!(!commands(&rig).contains(&"saveenv".to_owned()));
    let rig = faulty(ModeSpec::Dfu, Faults { serial_garbage: true, ..Faults::default() });
    let (code, _, detail) = rig.run().await.unwrap_err();
    assert_eq!(code, Code::NoSuchDevice, "{detail}");
    assert_eq!(rig.phone.remembered("dfu.image"), 0);
}

#[tokio::test]
async fn silence_and_another_mode_end_the_wait() {
    let rig = faulty(ModeSpec::Recovery, Faults { never_returns_from: Some(Stage::Recovery), ..Faults::default() });
    let (code, stage, detail) = rig.run().await.unwrap_err();
    assert_eq!((code, stage.as_str()), (Code::NeverCameBack, "boot-ibec"), "{detail}");
    let rig = faulty(ModeSpec::Recovery, Faults { returns_as: Some(Stage::Normal), ..Faults::default() });
    let (code, stage, detail) = rig.run().await.unwrap_err();
    assert_eq!((code, stage.as_str()), (Code::CameBackElsewhere, "boot-ibec"), "{detail}");
}

#[tokio::test]
async fn no_ticket_no_upload() {
    let rig = faulty(ModeSpec::Recovery, Faults { nonce_string_garbage: true, ..Faults::default() });
    let (code, stage, _) = rig.run().await.unwrap_err();
    assert_eq!((code, stage.as_str()), (Code::NonceUnread, "ticket"));
    let mut rig = Rig::new(spec("iphone13", ModeSpec::Recovery));
    rig.signer.wrong_nonce = true;
    let (code, stage, _) = rig.run().await.unwrap_err();
    assert_eq!((code, stage.as_str()), (Code::TssInvalid, "ticket"));
    assert_eq!(rig.phone.remembered("iboot.upload"), 0);
}

#[tokio::test]
async fn a_file_that_is_not_the_manifests_is_never_sent() {
    let rig = Rig::new(spec("iphone13", ModeSpec::Recovery));
    rig.files.0.lock().unwrap().get_mut("Firmware/iBEC.im4p").unwrap()[5_000] ^= 1;
    let (code, _, detail) = rig.run().await.unwrap_err();
    assert_eq!(code, Code::FirmwareDigest, "{detail}");
    assert_eq!(rig.phone.remembered("iboot.upload"), 0);
    let rig = Rig::new(spec("iphone13", ModeSpec::Recovery));
    rig.files.0.lock().unwrap().remove("Firmware/RestoreKernelCache.im4p");
    assert_eq!(rig.run().await.unwrap_err().0, Code::FirmwareDamaged);
}

#[tokio::test]
async fn only_the_target_is_touched() {
    let mut rig = Rig::new(spec("iphone13", ModeSpec::Recovery));
    rig.target.ecid = Ecid(0x999);
    assert_eq!(rig.run().await.unwrap_err().0, Code::NoSuchDevice);
    let rig = Rig::new(spec("iphone13", ModeSpec::Normal));
    assert_eq!(rig.run().await.unwrap_err().0, Code::WrongMode);
    let mut rig = Rig::new(spec("iphone13", ModeSpec::Recovery));
    rig.target.bdid = crate::ids::Bdid(0x7F);
    assert_eq!(rig.run().await.unwrap_err().0, Code::StrangerDevice);
    let mut rig = Rig::new(spec("iphone13", ModeSpec::Recovery));
    rig.identity.bdid = crate::ids::Bdid(0x7F);
    assert_eq!(rig.run().await.unwrap_err().0, Code::FirmwareWrongDevice);
}

#[tokio::test]
async fn a_cancelled_chain_sends_nothing_more() {
    let rig = Rig::new(spec("iphone13", ModeSpec::Recovery));
    rig.cancel.cancel();
    assert_eq!(rig.run().await.unwrap_err().0, Code::Cancelled);
    assert_eq!(rig.phone.remembered("iboot.upload"), 0);
}

#[tokio::test]
async fn the_rescue_leads_out_of_recovery() {
    // The one shows its ECID in normal mode, the other is known by its port.
    for model in ["iphone13", "iphone8"] {
        let rig = Rig::new(spec(model, ModeSpec::Recovery));
        rig.phone.state().nvram.insert("auto-boot".into(), "false".into());
        let heard = Recorder::default();
        out_of_recovery(&Arc::clone(&rig.bus), rig.phone.ecid, &heard).await.unwrap();
        assert_eq!(rig.phone.stage(), Stage::Normal, "{model}: it is back when the call is");
        assert_eq!(rig.phone.state().nvram.get("auto-boot").map(String::as_str), Some("true"));
        assert!(heard.events().iter().any(|e| matches!(e, Event::Seen { mode: Mode::Normal, .. })));
    }
    let rig = Rig::new(spec("iphone13", ModeSpec::Dfu));
    let fault = out_of_recovery(&Arc::clone(&rig.bus), rig.phone.ecid, &Quiet).await.unwrap_err();
    assert_eq!(fault.code, Code::WrongMode);
}

#[tokio::test]
async fn a_phone_that_comes_back_to_recovery_is_in_a_loop() {
    let rig = faulty(ModeSpec::Recovery, Faults { returns_as: Some(Stage::Recovery), ..Faults::default() });
    let heard = Recorder::default();
    let fault = out_of_recovery(&Arc::clone(&rig.bus), rig.phone.ecid, &heard).await.unwrap_err();
    assert_eq!((fault.code, fault.device), (Code::RecoveryLoop, Some(rig.phone.ecid)), "{fault}");
    // The bench's phones have auto-boot=true from the beginning, and nobody sent this one.
    assert!(heard.events().iter().any(|e| matches!(e, Event::Note { text } if text.contains("auto-boot"))));
    let rig = faulty(ModeSpec::Recovery, Faults { returns_as: Some(Stage::Dfu), ..Faults::default() });
    let fault = out_of_recovery(&Arc::clone(&rig.bus), rig.phone.ecid, &Quiet).await.unwrap_err();
    assert_eq!(fault.code, Code::CameBackElsewhere, "{fault}");
}

/// Set for a child of [`real_libusb_walks_the_same_chain`]: the mode that its phone is in.
const CHILD: &str = "HERSTEL_TEST_INSIDE_EMULATION";

/// Runs inside the emulated bus only: libusb must be preloaded before a program starts.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "how the parent tells its child what it is")]
async fn inside_the_emulated_bus() {
    let Some(mode) = std::env::var_os(CHILD) else { return };
    let mode = if mode == "dfu" { ModeSpec::Dfu } else { ModeSpec::Recovery };
    let twin = Phone::new(spec("iphone13", mode), 0, PACE).unwrap();
    let bus = Arc::new(LibUsb::inside_bench().unwrap());
    let mut rig = Rig::on(bus, twin);
    rig.patience = Duration::from_secs(10);
    rig.run().await.unwrap();
}

#[test]
fn real_libusb_walks_the_same_chain() {
    if preload_library().is_none() {
        println!("skipped: umockdev's preload library is not installed");
        return;
    }
    for (name, mode) in [("dfu", ModeSpec::Dfu), ("recovery", ModeSpec::Recovery)] {
        let folder = tempfile::tempdir().unwrap();
        let phone = Phone::new(spec("iphone13", mode), 0, PACE).unwrap();
        let emulation = Emulation::start(folder.path(), vec![Arc::clone(&phone)]).unwrap();
        let output = std::process::Command::new("timeout")
            .args(["--kill-after=1", "60"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "restore::boot_tests::inside_the_emulated_bus", "--nocapture"])
            .envs(emulation.environment())
            .env(CHILD, name)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&said));
        let loaded = phone.memory().iter().filter(|m| m.what == "iboot.loaded").count();
        assert_eq!(loaded, 7, "{name}");
        assert_eq!(phone.remembered("boot.refused"), 0);
    }
}
