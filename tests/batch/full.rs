//! Disks that are full in the middle of a batch: the vault's, the firmware's, and the one with the journals.
//!
//! The program runs on a disk of a few kilobytes in a mount namespace of its own. Where namespaces are forbidden that
//! cannot be made: the tests say so and do nothing.

use super::{LIMIT, PACE, QUICK, file, herstel, is_new, phases, phones, write};
use crate::bench::{Ran, Rig, copy_folder, run};
use herstel::fault::Code;
use serde_json::Value;
use std::fs;
use std::process::Command;
use std::sync::Arc;

fn namespaces() -> bool {
    let made = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    let can = made.is_ok_and(|made| made.status.success());
    if !can {
        eprintln!("NOT TESTED: no mount namespaces here, so no disk can be made small");
    }
    can
}

/// The program with a disk of this size at `folder`; what is on it afterwards is left there.
fn on_a_small_disk(rig: &Rig, folder: &str, size: &str, arguments: &[&str]) -> Ran {
    let (place, kept) = (rig.path(folder), rig.path("kept"));
    fs::create_dir_all(&place).unwrap();
    let script = "mount -t tmpfs -o size=$1 none \"$2\" || exit 99; place=$2; kept=$3; shift 3; \"$@\"; code=$?; \
                  cp -a \"$place\" \"$kept\" || exit 98; exit $code";
    let mut all: Vec<String> = ["-rm", "sh", "-c", script, "sh", size].into_iter().map(str::to_owned).collect();
    all.extend([place.display().to_string(), kept.display().to_string(), env!("CARGO_BIN_EXE_herstel").to_owned()]);
    all.extend(arguments.iter().map(|&argument| argument.to_owned()));
    let mut command = rig.outside("unshare", &all, false);
    command.env("HERSTEL_BENCH_HASTE", PACE);
    let ran = run(command, LIMIT);
    assert!(!ran.hung && !matches!(ran.code, Some(98 | 99)), "{ran}");
    fs::remove_dir_all(&place).unwrap();
    copy_folder(&kept, &place);
    fs::remove_dir_all(&kept).unwrap();
    ran
}

fn faults(ran: &Ran) -> Vec<Value> {
    let over = ran.events("batch-over").pop().unwrap_or_else(|| panic!("no batch-over\n{ran}"));
    over["rows"].as_array().unwrap().iter().map(|row| row["fault"]["code"].clone()).collect()
}

#[test]
fn a_full_vault_holds_up_the_backup_and_nothing_else() {
    if !namespaces() {
        return;
    }
    let rig = phones(&["small_files = 1000", ""]);
    let [saved, erased] = [0, 1].map(|at| Arc::clone(&rig.bench.phones[at]));
    let name = write(
        &rig,
        &format!(
            "ownership = \"owner\"\n{QUICK}[[device]]\necid = \"{}\"\naction = \"backup\"\n\
             [[device]]\necid = \"{}\"\naction = \"restore-erase\"\n",
            saved.ecid, erased.ecid
        ),
    );
    let ran = on_a_small_disk(&rig, "data", "2m", &["batch", &name, "--yes-erase-all", "--json"]);
    assert_eq!((ran.code, phases(&ran)), (Some(4), vec!["left-for-person".into(), "done".into()]), "{ran}");
    assert_eq!(faults(&ran), [Code::DiskFull.as_str().into(), Value::Null], "{ran}");
    is_new(&erased, 1, &ran);
    let again = herstel(&rig, &["batch", "--resume", "--json"]);
    assert_eq!((again.code, phases(&again)), (Some(0), vec!["done".to_owned(); 2]), "{again}");
    is_new(&erased, 1, &again);
    assert_eq!(herstel(&rig, &["backups", "verify", "--deep", "--json"]).code, Some(0));
}

#[test]
fn no_room_for_firmware_leaves_each_device_as_it_was() {
    if !namespaces() {
        return;
    }
    let rig = phones(&["", ""]);
    let ran = on_a_small_disk(&rig, "cache", "1m", &["batch", &file(&rig, QUICK), "--yes-erase-all", "--json"]);
    assert_eq!((ran.code, phases(&ran)), (Some(4), vec!["left-for-person".to_owned(); 2]), "{ran}");
    assert_eq!(faults(&ran), [Code::DiskFull.as_str(), Code::DiskFull.as_str()], "{ran}");
    for phone in &rig.bench.phones {
        assert_eq!(phone.remembered("stage"), 0, "it never left its mode\n{ran}");
    }
    let again = herstel(&rig, &["batch", "--resume", "--json"]);
    assert_eq!((again.code, phases(&again)), (Some(0), vec!["done".to_owned(); 2]), "{again}");
    rig.bench.phones.iter().for_each(|phone| is_new(phone, 1, &again));
}

/// A journal or a lock takes a page of this disk, so pages decide whose journal finds no room. What is written is whole, a device
/// without a journal is not touched, and without that of the batch nothing goes on at all (law 3).
#[test]
fn a_full_disk_under_the_journals_ends_what_it_must_and_a_resume_does_the_rest() {
    if !namespaces() {
        return;
    }
    let left = "left-for-person";
    for (size, filler, code, ends) in [
        ("4k", 0, 4, Some([left, left])),
        ("16k", 0, 4, Some(["done", left])),
        // The file is in the journal of the batch: with a long one its page ends while the jobs are at work.
        ("20k", 2400, 6, None),
        ("20k", 2700, 6, None),
    ] {
        let rig = phones(&["", ""]);
        let name = file(&rig, &format!("{QUICK}[hooks]\nneeds_person = [\"/bin/true\", \"{}\"]\n", "x".repeat(filler)));
        let ran = on_a_small_disk(&rig, "state", size, &["batch", &name, "--yes-erase-all", "--json"]);
        assert_eq!(ran.code, Some(code), "{size}, {filler}\n{ran}");
        match ends {
            Some(ends) => {
                let mut phases = phases(&ran);
                phases.sort_unstable();
                assert_eq!(phases, ends, "{size}\n{ran}");
                let told = faults(&ran);
                assert!(told.iter().all(|code| code.is_null() || *code == Code::DiskFull.as_str()), "{ran}");
            }
            None => assert_eq!(ran.code_of_fault(), Some(Code::DiskFull), "{size}, {filler}\n{ran}"),
        }
        let begun: usize = rig.bench.phones.iter().map(|phone| phone.remembered("restore.start")).sum();
        let may = if size == "4k" { 0..1 } else { 0..3 };
        assert!(may.contains(&begun), "{size}: {begun} restores\n{ran}");
        let again = herstel(&rig, &["batch", "--resume", "--json"]);
        assert_eq!((again.code, phases(&again)), (Some(0), vec!["done".to_owned(); 2]), "{size}, {filler}\n{again}");
        for phone in &rig.bench.phones {
            is_new(phone, phone.remembered("files.erased"), &again);
        }
    }
}
