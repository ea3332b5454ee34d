//! What a person does in a batch: says that it was done, gives a password, tries again what failed.

use super::{PACE, QUICK, cut::Running, file, herstel, is_new, phases, phones, soon, told, write};
use crate::bench::{Ran, Rig};
use herstel::fault::Code;
use herstel::virt::phone::Stage;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

/// A row that stops until a person made room on its device, once.
const FULL: &str = "[phone.faults.restore]\namr_error = 1110\nonce = true";
const UNPLUG: &str = "[phone.faults.restore]\nunplug_at_checkpoint = 0x634\nonce = true";

#[test]
fn a_script_says_by_a_line_what_was_done() {
    let rig = phones(&[FULL]);
    let name = file(&rig, "[retry]\nstagger_seconds = 0\nperson_seconds = 86400\n");
    let mut command = rig.command(&["batch", &name, "--yes-erase-all", "--json", "--orders", "-"]);
    command.env("HERSTEL_BENCH_HASTE", PACE).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut orders = child.stdin.take().unwrap();
    orders.write_all(b"done please\ndone 1\n").unwrap();
    let mut seen = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        if line.contains("\"waits-for-person\"") {
            assert!(line.contains("\"wants\":\"remedy\""), "{line}");
            orders.write_all(b"done 1\n").unwrap();
        }
        seen = format!("{seen}{line}\n");
    }
    assert_eq!(child.wait().unwrap().code(), Some(0), "{seen}");
    assert!(seen.contains("no order: \\\"done please\\\""), "{seen}");
    assert!(seen.contains("\"what\":\"not-asked\""), "the first came before anything was asked\n{seen}");
    assert_eq!(seen.matches("\"what\":\"began\"").count(), 2, "{seen}");
}

#[test]
fn a_row_that_waits_for_dfu_says_the_keys_of_its_model() {
    let rig = phones(&["[phone.faults.restore]\namr_error = 75\nonce = true"]);
    let name = file(&rig, "[retry]\nstagger_seconds = 0\nperson_seconds = 86400\n");
    let mut running = Running::start(&rig, &["batch", &name, "--yes-erase-all", "--json"]);
    assert!(running.until(|out| out.contains("\"wants\":\"dfu\"")));
    assert!(soon(|| rig.phone().stage() == Stage::Normal || rig.phone().stage() == Stage::Recovery));
    rig.phone().enter(Stage::Dfu);
    let ran = running.end();
    assert_eq!(ran.code, Some(0), "it goes on by itself\n{ran}");
    let waits = told(&ran, "phase").into_iter().find(|line| line["wants"] == "dfu").unwrap();
    let presses = waits["presses"].as_array().unwrap();
    assert_eq!((presses.len(), &presses[0]["keys"][0]), (5, &"volume-up".into()), "{waits}");
    assert_eq!(presses[2], serde_json::json!({ "keys": ["side"], "seconds": 10, "black": true }));
    assert!(ran.err.contains(">> DFU mode: tap Volume Up; tap Volume Down; hold Side until"), "{ran}");
    assert!(ran.err.contains(&format!("`herstel guide dfu -d {}`", rig.phone().ecid)), "{ran}");
}

#[test]
fn each_next_step_names_its_device() {
    let rig = Rig::new(&format!(
        "pace = {PACE}.0\n[[phone]]\nmodel = \"iphone13\"\ntrust = \"untrusted\"\n\
         [phone.faults.mux]\nrecord_unsaved = 13\n"
    ));
    let text = format!("{QUICK}[[device]]\necid = \"{}\"\naction = \"backup\"\n", rig.phone().ecid);
    let ran = herstel(&rig, &["batch", &write(&rig, &text)]);
    assert_eq!(ran.code, Some(4), "{ran}");
    assert!(!ran.err.contains("`herstel pair`"), "{ran}");
    assert!(ran.err.contains(&format!("`herstel pair -d {}`", rig.phone().ecid)), "{ran}");
}

#[test]
fn what_failed_is_tried_again_when_a_person_says_so() {
    let rig = phones(&["", UNPLUG, FULL]);
    let [first, second] = [0, 1].map(|at| rig.bench.phones[at].clone());
    let name = file(&rig, &QUICK.replace("[retry]", "[retry]\ntries = 1"));
    let ran = herstel(&rig, &["batch", &name, "--yes-erase-all", "--json"]);
    assert_eq!(phases(&ran), ["done", "failed", "left-for-person"], "{ran}");
    assert_eq!(ran.code, Some(3), "a device that failed counts more than one that waits\n{ran}");
    assert!(ran.err.contains("batch --retry-failed --resume"), "{ran}");
    let ran = herstel(&rig, &["batch", "--resume", "--json"]);
    assert_eq!((ran.code, phases(&ran)), (Some(3), ["done", "failed", "done"].map(String::from).to_vec()), "{ran}");
    assert!(!told(&ran, "began").iter().any(|line| line["row"] != 3), "{ran}");
    let nothing = herstel(&rig, &["batch", "--resume", "--json"]);
    assert!(nothing.code == Some(0) && nothing.err.contains("anything left to do"), "{nothing}");
    let ran = herstel(&rig, &["batch", "--retry-failed", "--json"]);
    assert_eq!((ran.code, phases(&ran)), (Some(0), ["done", "done", "done"].map(String::from).to_vec()), "{ran}");
    let began = told(&ran, "began");
    assert!(began.iter().all(|line| line["row"] == 2 && line["tries"] == 1) && began.len() == 1, "{ran}");
    is_new(&first, 1, &ran);
    is_new(&second, second.remembered("files.erased"), &ran);
    let nothing = herstel(&rig, &["batch", "--retry-failed"]);
    assert!(nothing.code == Some(0) && nothing.err.contains("anything left to do"), "{nothing}");
}

#[test]
fn nothing_done_something_failed_and_something_left_is_a_failure() {
    let rig = phones(&[UNPLUG, FULL]);
    let name = file(&rig, &QUICK.replace("[retry]", "[retry]\ntries = 1"));
    let ran = herstel(&rig, &["batch", &name, "--yes-erase-all", "--json"]);
    assert_eq!(phases(&ran), ["failed", "left-for-person"], "{ran}");
    assert_eq!((ran.code, ran.finished()["outcome"].as_str()), (Some(1), Some("failed")), "{ran}");
}

/// All that the program wrote anywhere.
fn holds(rig: &Rig, ran: &Ran, secret: &str) -> bool {
    let mut folders = vec![rig.path("state"), rig.path("data"), rig.path("cache")];
    let mut found = ran.out.contains(secret) || ran.err.contains(secret);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let kind = entry.file_type().unwrap();
            match kind.is_dir() {
                true => folders.push(entry.path()),
                false if kind.is_symlink() => {}
                false => found |= fs::read(entry.path()).unwrap().windows(secret.len()).any(|w| w == secret.as_bytes()),
            }
        }
    }
    found
}

#[test]
fn an_encrypted_backup_is_put_back_with_the_password_of_a_file() {
    let secret = "kaas-en-brood-77";
    let rig = phones(&[&format!("backup_password = \"{secret}\"")]);
    let before = rig.phone().files.digest_of_user_data();
    let row = format!("[[device]]\necid = \"{}\"\naction = \"recover\"\n", rig.phone().ecid);
    let with = |more: &str| write(&rig, &format!("ownership = \"owner\"\n{more}{QUICK}{row}"));

    let inside = herstel(&rig, &["batch", &with(&format!("password = \"{secret}\"\n")), "--yes-erase-all", "--json"]);
    assert_eq!((inside.code, inside.code_of_fault()), (Some(2), Some(Code::ConfigInvalid)), "{inside}");
    assert!(inside.err.contains("password_file") && !holds(&rig, &inside, secret), "{inside}");

    let without = herstel(&rig, &["batch", &with(""), "--dry-run"]);
    assert!(without.err.contains("without password_file it stops after the backup"), "{without}");

    let name = with("password_file = \"backup.key\"\n");
    let absent = herstel(&rig, &["batch", &name, "--yes-erase-all", "--json"]);
    assert_eq!((absent.code, absent.code_of_fault()), (Some(2), Some(Code::ConfigInvalid)), "{absent}");
    assert!(absent.fault().unwrap().detail.contains("password_file"), "{absent}");

    let key = rig.path("backup.key");
    fs::write(&key, format!("{secret}\n")).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let open = herstel(&rig, &["batch", &name, "--dry-run"]);
    assert!(open.code == Some(0) && open.err.contains("chmod 600"), "{open}");
    assert!(!open.err.contains("without password_file"), "{open}");

    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    let ran = herstel(&rig, &["batch", &name, "--yes-erase-all", "--json"]);
    assert_eq!((ran.code, phases(&ran)), (Some(0), vec!["done".to_owned()]), "{ran}");
    assert!(!ran.err.contains("chmod"), "{ran}");
    is_new(rig.phone(), 1, &ran);
    assert_eq!(rig.phone().files.digest_of_user_data(), before, "every byte is back\n{ran}");
    assert!(!holds(&rig, &ran, secret), "it is written nowhere");
}
