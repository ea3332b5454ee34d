//! Restores: what is refused before anything is touched, what goes wrong on the way into the ramdisk, and
//! what the ramdisk does to a host. Until the erase begins the phone keeps its data, and whatever happens the
//! job can be taken up again.

use super::bench::{Ran, Rig};
use super::case::{Case, case};
use super::firmware::{cut_in_half, flipped_in_the_middle, ipsw};
use herstel::fault::{Code, DeviceState, SeenIn, Standing};
use herstel::virt::phone::Stage;
use serde_json::Value;

const ERASE: &str = "restore --erase --yes-erase {ecid}";
const ERASE_FILE: &str = "restore --erase --yes-erase {ecid} --ipsw {dir}/damaged.ipsw";
const ERASE_TICKET: &str = "restore --erase --yes-erase {ecid} --ticket {dir}/damaged.ipsw";

fn untouched(rig: &Rig, ran: &Ran) {
    let phone = rig.phone();
    assert_eq!((phone.stage(), phone.remembered("stage")), (Stage::Normal, 0), "the phone left its mode\n{ran}");
}

/// The journal has a plan that `resume` takes up; nothing is said to be restored.
pub fn can_be_resumed(rig: &Rig, ran: &Ran) {
    let journal = rig.journal();
    assert_eq!(journal.first().map(|r| &r["record"]), Some(&"plan".into()), "{journal:#?}\n{ran}");
    let restored = journal.iter().any(|r| r["record"] == "did" && r["step"] == "restore");
    assert!(!restored, "{journal:#?}\n{ran}");
    assert!(ran.err.contains("herstel resume"), "people are not told how to go on\n{ran}");
}

fn resumes(rig: &Rig, _: &Ran) {
    let ran = rig.good(&["--json", "resume"]);
    let phone = rig.phone();
    let offered = &rig.bench.firmware[0].build;
    assert_eq!((phone.stage(), phone.state().build.to_string()), (Stage::Normal, offered.to_string()), "{ran}");
}

fn number(wanted: i64) -> impl Fn(&Rig, &Ran) {
    move |_, ran| assert_eq!(ran.fault().and_then(|f| f.number), Some(wanted), "{ran}")
}

fn detail(word: &'static str) -> impl Fn(&Rig, &Ran) {
    move |_, ran| {
        let told = ran.fault().map(|f| f.detail).unwrap_or_default();
        assert!(told.contains(word), "{told:?} does not say {word:?}\n{ran}");
    }
}

/// Where it stood, which every failure in the ramdisk says.
fn standing(ran: &Ran) -> Standing {
    *ran.fault().and_then(|f| f.restore).unwrap_or_else(|| panic!("it does not say where it stood\n{ran}"))
}

fn left(wanted: DeviceState) -> impl Fn(&Rig, &Ran) {
    move |_, ran| assert_eq!(standing(ran).device_state, wanted, "{ran}")
}

/// The checkpoint that failed, or was the last, by number and by name.
fn place(id: u16, name: &'static str) -> impl Fn(&Rig, &Ran) {
    move |_, ran| {
        let standing = standing(ran);
        assert_eq!((standing.checkpoint, standing.checkpoint_name.as_deref()), (Some(id), Some(name)), "{ran}");
    }
}

/// Where it was seen after the failure.
fn seen(wanted: SeenIn) -> impl Fn(&Rig, &Ran) {
    move |_, ran| assert_eq!(standing(ran).mode, Some(wanted), "{ran}")
}

/// Apple's servers are well again, and `resume` finishes it.
fn resumes_with_apple(rig: &Rig, ran: &Ran) {
    rig.bench.apple.mend();
    resumes(rig, ran);
}

/// A restore from recovery that breaks off before the ramdisk: the data is still there.
fn boot(name: &'static str, phone: &str, code: Code, stage: &'static str) -> Case {
    case(name).phone(phone).run(ERASE).fails(i32::from(code.exit()), code, stage).after(can_be_resumed)
}

fn signing(name: &'static str, knob: &str, code: Code) -> Case {
    let recovery = "mode = 'recovery'";
    boot(name, recovery, code, "ticket").apple(knob).after(|rig, ran| {
        let sent = rig.phone().memory().iter().filter(|m| m.what.starts_with("iboot.upload")).count();
        assert_eq!(sent, 0, "something was sent without a ticket\n{ran}");
    })
}

/// A server that gives no verdict at all is noticed before there is a job.
fn before_anything(name: &'static str, knob: &str, code: Code) -> Case {
    case(name).phone("mode = 'recovery'").apple(knob).run(ERASE).fails(1, code, "plan").after(|rig, ran| {
        assert!(!rig.jobs().exists() && rig.phone().remembered("stage") == 0, "{ran}");
    })
}

pub fn before_the_ramdisk() -> Vec<Case> {
    vec![
        // -- refused by ourselves --
        case("restore: nobody agreed").run("restore --erase").fails(4, Code::ConsentMissing, "plan").after(untouched),
        case("restore: consent for another phone")
            .run("restore --erase --yes-erase 0x1")
            .fails(2, Code::ConsentMismatch, "plan")
            .after(untouched),
        case("restore: consent by a beginning of the name")
            .run("restore --erase --yes-erase 0x126D")
            .fails(2, Code::ConsentMismatch, "plan")
            .after(untouched),
        case("restore: half an IPSW")
            .before(ipsw(cut_in_half))
            .run(ERASE_FILE)
            .fails(7, Code::FirmwareDamaged, "plan")
            .after(untouched),
        case("restore: an IPSW with a flipped bit")
            .before(ipsw(flipped_in_the_middle))
            .run(ERASE_FILE)
            .fails(7, Code::FirmwareDigest, "verify-firmware")
            .after(untouched)
            .after(can_be_resumed),
        case("restore: the IPSW of another model")
            .and_phone("model = 'iphone8'\nmode = 'off'")
            .before(|rig| {
                let other =
                    rig.bench.firmware.iter().find(|f| f.product.as_str() != rig.phone().model.product.as_str());
                std::fs::copy(&other.expect("an IPSW for the second phone").path, super::firmware::damaged(rig))
                    .unwrap();
            })
            .run(ERASE_FILE)
            .fails(2, Code::FirmwareWrongDevice, "plan")
            .after(untouched),
        case("restore: an update to something older")
            .phone("version = '99.1'\nbuild = '99Z9'")
            .run("restore --update")
            .fails(1, Code::UpdateImpossible, "plan")
            .after(untouched),
        case("restore: the download has a flipped bit")
            .apple("cdn_flip_bit_at = 4000000")
            .run(ERASE)
            .fails(7, Code::FirmwareDigest, "fetch")
            .after(untouched)
            .after(can_be_resumed),
        case("restore: no catalogue answers")
            .apple("catalogue_down = true")
            .run(ERASE)
            .fails(1, Code::CatalogueUnreachable, "catalogue")
            .after(untouched),
        case("restore: another process works on the phone")
            .before(|rig| {
                let locks = rig.path("state/herstel/locks");
                std::fs::create_dir_all(&locks).unwrap();
                let lock = std::fs::File::create(locks.join(format!("{}.lock", rig.phone().ecid))).unwrap();
                lock.lock().unwrap();
                // Held until the tests end.
                std::mem::forget(lock);
            })
            .run(ERASE)
            .fails(1, Code::Locked, "plan")
            .after(untouched),
        // -- the signing server --
        signing(
            "ticket: no longer signed",
            "tss_status = [94, 'This device isn\\u0027t eligible']",
            Code::TssNotSigned,
        )
        .after(number(94)),
        signing("ticket: refused", "tss_status = [128, 'An internal error occurred.']", Code::TssRefused)
            .after(number(128)),
        before_anything("ticket: a sign-in page", "tss_html = true", Code::TssInvalid),
        before_anything("ticket: nobody answers", "tss_down = true", Code::TssUnreachable).waits_shortened(10),
        signing("ticket: for another nonce", "tss_wrong_nonce = true", Code::TssInvalid),
        boot("ticket: not signed, from normal mode", "", Code::TssNotSigned, "ticket")
            .apple("tss_status = [94, 'no']")
            .after(untouched),
        boot("ticket: for another nonce, from normal mode", "", Code::TssInvalid, "ticket")
            .apple("tss_wrong_nonce = true")
            .after(untouched),
        case("ticket: the file is none")
            .before(|rig| std::fs::write(super::firmware::damaged(rig), b"no ticket").unwrap())
            .run(ERASE_TICKET)
            .fails(7, Code::TicketUnfit, "plan")
            .after(untouched),
        case("ticket: the file is a bomb")
            .before(|rig| {
                let deep = format!("<plist>{}{}</plist>", "<array>".repeat(9000), "</array>".repeat(9000));
                std::fs::write(super::firmware::damaged(rig), deep).unwrap();
            })
            .run(ERASE_TICKET)
            .fails(7, Code::TicketUnfit, "plan")
            .after(untouched),
        // -- the boot chain --
        case("boot: the node may not be opened")
            .phone("mode = 'recovery'\nfaults.usb.no_access = true")
            .run(ERASE)
            .fails(6, Code::UsbNoAccess, "find"),
        boot(
            "boot: another program holds the device",
            "mode = 'recovery'\nfaults.usb.busy = true",
            Code::UsbBusy,
            "find",
        ),
        boot(
            "boot: the nonce string is garbage",
            "mode = 'recovery'\nfaults.usb.nonce_string_garbage = true",
            Code::NonceUnread,
            "ticket",
        ),
        boot(
            "boot: setenv stalls",
            "mode = 'recovery'\nfaults.usb.stall_command = 'setenv'",
            Code::UsbStall,
            "boot-ramdisk",
        ),
        // An iBoot that goes stalls its own request, too: only that it stays tells.
        boot("boot: go stalls", "mode = 'recovery'\nfaults.usb.stall_command = 'go'", Code::BootRefused, "boot-ibec")
            .waits_shortened(20),
        boot(
            "boot: the cable slips during an upload",
            "mode = 'recovery'\nfaults.usb.vanish_at_upload_byte = 3000",
            Code::UsbGone,
            "boot-ibec",
        )
        .after(resumes)
        .data_may_go(),
        boot(
            "boot: uploads are never taken",
            "mode = 'recovery'\nfaults.usb.silent_upload = true",
            Code::UsbTimeout,
            "boot-ibec",
        )
        .waits(),
        boot(
            "boot: iBEC is refused",
            "mode = 'recovery'\nfaults.usb.ibec_refused = true",
            Code::BootRefused,
            "boot-ibec",
        )
        .waits_shortened(20),
        boot("boot: iBSS is refused", "mode = 'dfu'\nfaults.usb.ibss_refused = true", Code::BootRefused, "boot-ibss")
            .waits(),
        boot(
            "boot: another phone comes back",
            "mode = 'dfu'\nfaults.usb.wrong_ecid_after_reboot = true",
            Code::StrangerDevice,
            "boot-ibss",
        )
        .waits(),
        boot(
            "boot: the phone never comes back",
            "mode = 'dfu'\nfaults.usb.never_returns_from = 'dfu'",
            Code::NeverCameBack,
            "boot-ibss",
        )
        .waits_shortened(10),
        boot(
            "boot: the phone comes back in its system",
            "mode = 'dfu'\nfaults.usb.returns_as = 'normal'",
            Code::CameBackElsewhere,
            "boot-ibss",
        )
        .waits(),
        case("boot: DFU begins in its error state")
            .phone("mode = 'dfu'\nfaults.usb.dfu_error_state = true")
            .run(ERASE)
            .data_may_go(),
        case("boot: the serial string is none")
            .phone("mode = 'recovery'\nfaults.usb.serial_garbage = true")
            .run("restore --erase --yes-erase 0x1")
            .fails(1, Code::UnknownModel, "plan"),
    ]
}

/// A fault of restored at a checkpoint, from recovery, so that the way there is short.
fn ramdisk(name: &'static str, faults: &str, code: Code) -> Case {
    let phone: String = faults.split('\n').map(|f| format!("faults.restore.{f}\n")).collect();
    boot(name, &format!("mode = 'recovery'\n{phone}"), code, "restore").data_may_go().after(|_, ran| {
        standing(ran);
    })
}

/// A server of Apple's that fails once the system image is on its way.
fn mid_session(name: &'static str, knobs: &str, code: Code) -> Case {
    ramdisk(name, "script = 'ios18'", code).apple(knobs).after(left(DeviceState::HalfErased)).after(resumes_with_apple)
}

fn image_went_across(rig: &Rig, ran: &Ran) {
    let phone = rig.phone();
    assert_eq!(phone.stage(), Stage::Normal, "{ran}");
    assert_eq!(phone.state().build.to_string(), rig.bench.firmware[0].build.to_string(), "{ran}");
}

fn survives(name: &'static str, faults: &str) -> Case {
    case(name).phone(&format!("mode = 'recovery'\n{faults}")).run(ERASE).data_may_go().after(image_went_across)
}

/// Updaters asked, each of these among them, and the phone liked every answer.
fn updaters_were_served(names: &'static [&'static str]) -> impl Fn(&Rig, &Ran) + Send + Sync + 'static {
    move |rig, ran| {
        let memory = rig.phone().memory();
        let asked: Vec<&str> = memory
            .iter()
            .filter(|m| m.what == "restore.updater" && m.detail["ok"] == true)
            .filter_map(|m| m.detail["name"].as_str())
            .collect();
        assert!(names.iter().all(|name| asked.contains(name)), "{asked:?} {ran}");
    }
}

/// Everything that the phone asked for its recovery system was what it should be.
fn recovery_system_came(rig: &Rig, ran: &Ran) {
    let memory = rig.phone().memory();
    let answers: Vec<&str> = memory
        .iter()
        .filter(|m| m.what == "restore.answer" && m.detail["ok"] == true)
        .filter_map(|m| m.detail["type"].as_str())
        .filter(|kind| kind.starts_with("RecoveryOS"))
        .collect();
    let one_each = ["RootTicketData", "VersionData", "IBootFWFilesImages", "Image", "ASRImage"];
    for kind in one_each {
        let count = answers.iter().filter(|a| a.strip_prefix("RecoveryOS") == Some(kind)).count();
        assert_eq!(count, 1, "{kind}: {answers:?} {ran}");
    }
    assert_eq!(answers.iter().filter(|a| **a == "RecoveryOSFileAssetImage").count(), 7, "{answers:?} {ran}");
    let images = memory.iter().filter(|m| m.what == "asr.image").count();
    assert_eq!(images, 2, "{ran}");
}

pub fn in_the_ramdisk() -> Vec<Case> {
    vec![
        ramdisk("ramdisk: AMR error 53 from FDR", "fdr_refused = true", Code::FdrFailed).after(number(53)),
        ramdisk("ramdisk: AMR error 9 at a checkpoint", "amr_error = 9\nat_checkpoint = 1551", Code::RestoreFailed)
            .after(number(9))
            .after(detail("60F"))
            .after(place(0x60F, "clear_remap_variable"))
            .after(left(DeviceState::Untouched)),
        ramdisk(
            "ramdisk: the seal fails once",
            "amr_error = 100\nat_checkpoint = 1675\nonce = true",
            Code::RestoreFailed,
        )
        .after(place(0x68B, "seal_system_volume"))
        .after(seen(SeenIn::Recovery))
        .after(left(DeviceState::HalfErased))
        .after(resumes),
        ramdisk(
            "ramdisk: the cable comes out while the image flows",
            "unplug_at_image_byte = 3000000\nonce = true",
            Code::LinkLost,
        )
        .after(left(DeviceState::HalfErased))
        .after(|_, ran| assert!(matches!(standing(ran).operation, Some(13 | 14)), "{ran}"))
        .after(seen(SeenIn::Recovery))
        .after(resumes),
        ramdisk("ramdisk: the image is cut once", "asr_cut_at = 3000000\nonce = true", Code::RestoreFailed)
            .after(left(DeviceState::HalfErased))
            .after(resumes),
        ramdisk("ramdisk: restored falls silent once", "silent_at_checkpoint = 1551\nonce = true", Code::LinkSilent)
            .after(left(DeviceState::Unknown))
            .after(place(0x60E, "update_NAND_firmware"))
            .after(seen(SeenIn::Restore))
            .after(resumes)
            .waits_shortened(60),
        mid_session(
            "ramdisk: no signing server while the image flows",
            "tss_spares_boot = true\ntss_down = true",
            Code::TssUnreachable,
        ),
        mid_session("ramdisk: no key server while the image flows", "keys_down = true", Code::DownloadFailed),
        mid_session(
            "ramdisk: an updater's ticket is refused",
            "tss_spares_boot = true\ntss_status = [94, 'no']",
            Code::TssRefused,
        )
        .after(number(94)),
        ramdisk("ramdisk: all is well but the last status", "status_error = 14", Code::RestoreFailed).after(number(14)),
        ramdisk("ramdisk: noise instead of a message", "garbage_at_checkpoint = 1551", Code::LinkGarbage),
        ramdisk("ramdisk: a message of 4 GiB", "absurd_length_at_checkpoint = 1551", Code::LinkAbsurd),
        ramdisk("ramdisk: the cable comes out", "unplug_at_checkpoint = 1551", Code::LinkLost).after(|rig, ran| {
            let last = ran.fault().map(|f| f.detail).unwrap_or_default();
            assert!(last.contains("the last checkpoint was"), "{last}");
            assert_eq!(rig.phone().remembered("restore.finished"), 0);
        }),
        ramdisk("ramdisk: the image is cut", "asr_cut_at = 3000000", Code::RestoreFailed).after(detail("ASR")),
        ramdisk("ramdisk: the host is too old for it", "host_incompatible = true", Code::HostUnsupported),
        ramdisk("ramdisk: restored falls silent", "silent_at_checkpoint = 1551", Code::LinkSilent).waits_shortened(60),
        boot(
            "ramdisk: the image is no longer taken",
            "mode = 'recovery'\nfaults.restore.asr_silent_at = 3000000",
            Code::AsrFailed,
            "send-image",
        )
        .waits()
        .data_may_go(),
        boot(
            "ramdisk: restored never listens",
            "mode = 'recovery'\nfaults.restore.restored_not_listening = true",
            Code::NeverCameBack,
            "await-restore",
        )
        .waits_shortened(60),
        case("ramdisk: the phone does not start afterwards")
            .phone("mode = 'recovery'\nfaults.usb.never_returns_from = 'restore'")
            .run(ERASE)
            .waits_shortened(60)
            .data_may_go()
            .fails(1, Code::NeverCameBack, "await-normal"),
        survives("ramdisk: data ports refuse at first", "faults.restore.data_port_refusals = 3"),
        survives("ramdisk: ASR begins twice", "faults.restore.asr_second_initiate = true"),
        survives("ramdisk: a data type that no host knows", "faults.restore.unknown_data_type = 'TeapotData'").after(
            |_, ran| {
                let told = ran.err.lines().filter(|line| line.contains("TeapotData")).count();
                assert!(told >= 2, "asked on the control link and on a data port\n{ran}");
            },
        ),
        survives("ramdisk: no FDR", "faults.restore.fdr_absent = true"),
        ramdisk("ramdisk: FDR wants to a stranger", "fdr_proxy_port = 9\nfdr_proxy_host = '10.0.0.1'", Code::FdrFailed),
        survives("ramdisk: progress is always -1", "faults.restore.progress_minus_one = true"),
        survives("ramdisk: the modem's update fails and is forgiven", "faults.restore.sticky_error = 'baseband'"),
        survives("ramdisk: updaters want firmware beside their tickets", "faults.restore.updaters = 'firmware'")
            .after(updaters_were_served(&["SE", "Savage", "Rose", "T200"])),
        survives("ramdisk: updaters bring no request", "model = 'd22ap'\nfaults.restore.updaters = 'old'")
            .after(updaters_were_served(&["Cryptex1", "SE", "Savage"])),
        survives("ramdisk: the updaters of a tablet", "model = 'j522ap'\nfaults.restore.updaters = 'old'")
            .after(updaters_were_served(&["AppleTCON", "AppleTypeCRetimer", "Savage"])),
        survives("ramdisk: boot stages keep their nonce", "faults.usb.nonce_kept = true"),
        survives("ramdisk: an iPhone 16 and its recovery system", "model = 'iphone16'").after(recovery_system_came),
        case("ramdisk: an iPhone 17 and its recovery system, from DFU")
            .phone("model = 'iphone17'\nmode = 'dfu'")
            .run(ERASE)
            .data_may_go()
            .after(image_went_across)
            .after(recovery_system_came),
        case("ramdisk: an update of an iPhone 16 and of its recovery system")
            .phone("model = 'iphone16'\nmode = 'recovery'")
            .run("restore --update")
            .after(image_went_across)
            .after(recovery_system_came),
    ]
}

/// The values of a journal's records, for what a case wants to say about them.
pub fn records(rig: &Rig, record: &str) -> Vec<Value> {
    rig.journal().into_iter().filter(|r| r["record"] == record).collect()
}
