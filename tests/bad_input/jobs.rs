//! The main job and its journal: what breaks at one step must leave the steps before it whole and those
//! behind it undone, and a journal that cannot be believed is not followed.

use super::backup::{generation_is_sound, with_generation};
use super::bench::{Ran, Rig};
use super::case::{Case, case, generations};
use super::restore::{can_be_resumed, records};
use herstel::fault::Code;
use herstel::virt::phone::Stage;
use std::fs;

const RECOVER: &str = "recover --yes-erase {ecid}";

fn never_left_normal_mode(rig: &Rig, ran: &Ran) {
    let phone = rig.phone();
    assert_eq!((phone.stage(), phone.remembered("stage")), (Stage::Normal, 0), "the phone left its mode\n{ran}");
    let begun = records(rig, "began").iter().any(|r| r["step"] == "restore");
    assert!(!begun, "a restore began\n{ran}");
}

/// A backup of this run is in the vault and whole.
fn has_its_backup(rig: &Rig, ran: &Ran) {
    assert!(!generations(rig).is_empty(), "{ran}");
    rig.good(&["--json", "backups", "verify", "--deep"]);
}

/// A job that broke off in the middle, as a starting point.
fn broken_job(rig: &Rig) -> std::path::PathBuf {
    let ecid = rig.phone().ecid.to_string();
    let ran = rig.run(&["--json", "restore", "--erase", "--yes-erase", &ecid]);
    assert_eq!(ran.code_of_fault(), Some(Code::TssNotSigned), "{ran}");
    let job = fs::read_dir(rig.jobs()).unwrap().next().unwrap().unwrap();
    job.path().join("journal.jsonl")
}

const NOT_SIGNED: &str = "tss_status = [94, 'no']";

fn resume(name: &'static str) -> Case {
    case(name).phone("mode = 'recovery'").apple(NOT_SIGNED).run("resume")
}

pub fn cases() -> Vec<Case> {
    vec![
        case("recover: the backup breaks off; nothing is erased")
            .phone("faults.backup.cut_at_file = 5")
            .run(RECOVER)
            .fails(1, Code::LinkLost, "backup")
            .after(never_left_normal_mode)
            .after(can_be_resumed),
        case("recover: the older backup is untouched, too")
            .phone("faults.backup.final_error = { code = 13, text = 'x' }")
            .before(with_generation)
            .run(RECOVER)
            .fails(1, Code::BackupRefused, "backup")
            .after(never_left_normal_mode)
            .after(generation_is_sound),
        case("recover: nobody trusts us")
            .phone("trust = 'denied'")
            .run(RECOVER)
            .fails(4, Code::TrustDenied, "pair")
            .after(never_left_normal_mode),
        case("recover: the firmware has a flipped bit; the backup stays")
            .apple("cdn_flip_bit_at = 4000000")
            .run(RECOVER)
            .vault_may_grow()
            .fails(7, Code::FirmwareDigest, "fetch")
            .after(never_left_normal_mode)
            .after(has_its_backup)
            .after(can_be_resumed),
        case("recover: Apple does not sign; the backup stays")
            .apple(NOT_SIGNED)
            .run(RECOVER)
            .vault_may_grow()
            .fails(8, Code::TssNotSigned, "ticket")
            .after(has_its_backup)
            .after(can_be_resumed),
        case("recover: the ramdisk fails; the backup stays")
            .phone("faults.restore.amr_error = 9\nfaults.restore.at_checkpoint = 1551")
            .run(RECOVER)
            .vault_may_grow()
            .data_may_go()
            .fails(1, Code::RestoreFailed, "restore")
            .after(has_its_backup)
            .after(can_be_resumed),
        case("recover: the backup cannot be put back; it stays")
            .phone("faults.backup.restore_missing_path = '00008110-00126D0E81100001/00/00'")
            .run(RECOVER)
            .vault_may_grow()
            .data_may_go()
            .fails(7, Code::BackupDamaged, "put-back")
            .after(has_its_backup)
            .after(|rig, ran| {
                assert!(records(rig, "did").iter().any(|r| r["step"] == "restore"), "{ran}");
                assert!(ran.err.contains("herstel resume"), "{ran}");
            }),
        case("recover: nobody agreed")
            .run("recover")
            .fails(4, Code::ConsentMissing, "plan")
            .after(never_left_normal_mode),
        resume("resume: there is no job").fails(2, Code::NoJob, "find"),
        resume("resume: a name that no job has").run("resume 0190").fails(2, Code::NoJob, "find"),
        resume("resume: a name that is a path").run("resume ../../..").fails(2, Code::NoJob, "find"),
        resume("resume: noise in the middle of the journal")
            .before(|rig| {
                let path = broken_job(rig);
                let text = fs::read_to_string(&path).unwrap();
                let damaged: Vec<&str> =
                    text.lines().enumerate().map(|(n, line)| if n == 1 { "{\"record\":\"beg" } else { line }).collect();
                fs::write(&path, damaged.join("\n") + "\n").unwrap();
            })
            .run("resume")
            .fails(7, Code::JournalDamaged, "find"),
        resume("resume: a journal without its plan")
            .before(|rig| {
                let path = broken_job(rig);
                let text = fs::read_to_string(&path).unwrap();
                let rest: Vec<&str> = text.lines().skip(1).collect();
                fs::write(&path, rest.join("\n") + "\n").unwrap();
            })
            .run("resume")
            .fails(7, Code::JournalDamaged, "find"),
        resume("resume: a torn last line is not damage")
            .before(|rig| {
                let path = broken_job(rig);
                let mut text = fs::read_to_string(&path).unwrap();
                text.push_str("{\"at\":\"2026-11-22T05:0");
                fs::write(&path, text).unwrap();
            })
            .run("resume")
            .fails(8, Code::TssNotSigned, "ticket"),
        resume("resume: the firmware in the store has rotted and is fetched anew")
            .before(|rig| {
                broken_job(rig);
                let found = super::bench::files(&rig.store());
                let stored = found.into_iter().find(|(p, _)| p.extension().is_some_and(|e| e == "ipsw"));
                let path = rig.store().join(stored.expect("a stored IPSW").0);
                let mut bytes = fs::read(&path).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(&path, bytes).unwrap();
            })
            .run("resume")
            .fails(8, Code::TssNotSigned, "ticket")
            .after(|rig, ran| {
                assert!(ran.err.contains("no longer what was stored"), "{ran}");
                rig.good(&["--json", "firmware", "cache", "verify"]);
            }),
        resume("resume: the firmware is gone from the store and is fetched anew")
            .before(|rig| {
                broken_job(rig);
                fs::remove_dir_all(rig.store()).unwrap();
            })
            .run("resume")
            .fails(8, Code::TssNotSigned, "ticket")
            .after(|rig, _| drop(rig.good(&["--json", "firmware", "cache", "verify"]))),
        case("report: there is no job").run("report").fails(2, Code::NoJob, "report"),
    ]
}
