//! The backup password by the program that people get: set, changed, used and taken away.

use super::bench::Rig;
use super::{LIMIT, event, exits, is_new, line_with, one, plain, soon};
use herstel::fault::Code;
use herstel::virt::backup::Kind;
use herstel::wire::keybag::{Keybag, MAX_ITERATIONS};
use plist::Value as Plist;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use std::fs::{self, File};
use std::path::PathBuf;

const FIRST: &str = "correct horse, Größe 7";
const SECOND: &str = "battery staple";

/// A file with a password in it.
fn written(rig: &Rig, password: &str) -> String {
    let place = rig.path(&format!("password-{}", password.len()));
    fs::write(&place, format!("{password}\n")).unwrap();
    place.to_str().unwrap().to_owned()
}

fn newest(rig: &Rig) -> PathBuf {
    let list = line_with(&exits(rig, &["backups", "list", "--json"], 0), "backups");
    list["backups"].as_array().unwrap().last().unwrap()["path"].as_str().unwrap().into()
}

fn received(line: &Value) -> u64 {
    line["received_files"].as_u64().unwrap()
}

#[test]
fn encryption_from_on_to_off() {
    let rig = one("iphone13", "trust = \"trusted\"\npasscode = \"unlocked\"");
    let phone = rig.phone();
    let (first, second) = (written(&rig, FIRST), written(&rig, SECOND));
    let before = (phone.files.digest_of_user_data(), phone.files.digest_of_secrets());
    let plain_one = exits(&rig, &["backup", "--json"], 0);
    assert_eq!(event(&plain_one, "backup")["encrypted"], false);
    assert!(plain_one.err.contains("herstel backups encrypt on"), "{plain_one}");

    for wrong in [["change", "--password-file", &first, "--new-password-file", &second].as_slice(), &["change"]] {
        let ran = exits(&rig, &[&["backups", "encrypt", "--json"], wrong].concat(), 2);
        assert_eq!(ran.code_of_fault(), Some(Code::EncryptionOff));
    }
    let on = exits(&rig, &["backups", "encrypt", "on", "--new-password-file", &first, "--json"], 0);
    let setting = |on: bool| json!({ "schema": 1, "event": "encryption", "on": on, "required": false });
    assert_eq!(event(&on, "encryption"), setting(true));
    assert_eq!(on.finished()["outcome"], "ok");
    for said in ["ask", "answered"] {
        assert_eq!(event(&on, said)["request"], "enter-passcode");
    }
    assert!(on.err.contains("Health") && on.err.contains("Reset All Settings"), "{on}");
    assert!(!on.out.contains(FIRST) && !on.err.contains(FIRST));
    assert_eq!(phone.state().backup_password.as_deref(), Some(FIRST));
    let again = exits(&rig, &["backups", "encrypt", "on", "--new-password-file", &second, "--json"], 2);
    assert_eq!(again.code_of_fault(), Some(Code::EncryptionOn));
    assert_eq!(phone.state().backup_password.as_deref(), Some(FIRST));

    let full = event(&exits(&rig, &["backup", "--json"], 0), "backup");
    assert_eq!((&full["encrypted"], &full["files"]), (&json!(true), &Value::Null), "nobody can count in it");
    let less = event(&exits(&rig, &["backup", "--json"], 0), "backup");
    assert!(received(&less) < received(&full) / 2, "{less} after {full}");
    looked_into(&rig, &first, &second);

    let wrong = ["backups", "encrypt", "change", "--password-file", &second, "--new-password-file", &first, "--json"];
    let wrong = exits(&rig, &wrong, 4);
    assert_eq!(wrong.code_of_fault(), Some(Code::BackupPasswordWrong));
    assert_eq!(wrong.fault().unwrap().number, Some(207));
    let change = ["backups", "encrypt", "change", "--password-file", &first, "--new-password-file", &second];
    exits(&rig, &change, 0);
    assert_eq!(phone.state().backup_password.as_deref(), Some(SECOND));
    let anew = event(&exits(&rig, &["backup", "--json"], 0), "backup");
    assert!(received(&anew) >= received(&full), "{anew} after {full}");

    phone.files.erase();
    let restore = ["backups", "restore", "--yes-restore", phone.udid.as_str(), "--json", "--password-file"];
    let wrong = exits(&rig, &[&restore[..], &[&first]].concat(), 4);
    assert_eq!(wrong.code_of_fault(), Some(Code::BackupPasswordWrong));
    assert_eq!(phone.remembered("restore.begun"), 0, "tried on this computer first");
    exits(&rig, &[&restore[..], &[&second]].concat(), 0);
    assert_eq!((phone.files.digest_of_user_data(), phone.files.digest_of_secrets()), before);
    assert!(soon(|| phone.stage() == herstel::virt::phone::Stage::Normal));

    let off = exits(&rig, &["backups", "encrypt", "off", "--password-file", &second, "--json", "--lang", "nl"], 0);
    assert_eq!(event(&off, "encryption"), setting(false));
    assert!(off.err.contains("Versleuteling staat uit"), "{off}");
    assert_eq!(phone.state().backup_password, None);
    let still = exits(&rig, &["backups", "encrypt", "off", "--json"], 0);
    assert_eq!(event(&still, "encryption"), setting(false));
    assert_eq!(event(&exits(&rig, &["backup", "--json"], 0), "backup")["encrypted"], false);
}

/// Verify, browse and extract: by name, by path, with the right password and a wrong one.
fn looked_into(rig: &Rig, right: &str, wrong: &str) {
    let place = newest(rig);
    let place = place.to_str().unwrap();
    for which in [&[][..], &[place]] {
        let verify = [&["backups", "verify", "--deep", "--json", "--password-file"][..], &[right], which].concat();
        let verified = exits(rig, &verify, 0);
        assert!(verified.events("finding").iter().all(|finding| finding["damage"] == false), "{verified}");
        let verify = [&["backups", "verify", "--json", "--password-file"][..], &[wrong], which].concat();
        assert_eq!(exits(rig, &verify, 4).code_of_fault(), Some(Code::BackupPasswordWrong));
    }
    assert_eq!(exits(rig, &["backups", "browse", "--json", place], 4).code_of_fault(), Some(Code::BackupPassword));
    let browsed = exits(rig, &["backups", "browse", "--json", place, "--password-file", right], 0).lines();
    assert!(browsed.iter().any(|line| line["domain"] == "HealthDomain"));
    let phone = rig.phone();
    let held = phone.files.list();
    let photo = held.iter().find(|l| l.path.ends_with(".JPG") && matches!(l.entry.kind, Kind::File(_))).unwrap();
    let (to, name) = (rig.path("photo.jpg"), format!("{}/{}", photo.domain, photo.path));
    let extract = ["backups", "extract", &name, to.to_str().unwrap(), "--generation", place, "--password-file", right];
    exits(rig, &extract, 0);
    assert_eq!(Sha1::digest(fs::read(&to).unwrap())[..], photo.entry.sha1().unwrap());
    let nowhere = exits(rig, &["backups", "verify", "--json", "/nowhere/at/all"], 1);
    assert_eq!(nowhere.code_of_fault(), Some(Code::BackupNone));
}

#[test]
fn nothing_is_erased_before_an_encrypted_backup_was_opened() {
    let more = format!("trust = \"trusted\"\nbackup_password = \"{FIRST}\"");
    let rig = one("iphone13", &more);
    let phone = rig.phone();
    let before = (phone.files.digest_of_user_data(), phone.files.digest_of_secrets());
    let (right, wrong) = (written(&rig, FIRST), written(&rig, SECOND));
    let ecid = phone.ecid.to_string();
    let none = exits(&rig, &["recover", "--yes-erase", &ecid, "--json"], 4);
    assert_eq!(none.code_of_fault(), Some(Code::BackupPassword));
    let resumed = exits(&rig, &["resume", "--json", "--password-file", &wrong], 4);
    assert_eq!(resumed.code_of_fault(), Some(Code::BackupPasswordWrong));
    assert_eq!(phone.remembered("stage"), 0, "it never left normal mode");
    assert_eq!(phone.remembered("files.erased"), 0);
    let resumed = exits(&rig, &["resume", "--json", "--password-file", &right], 0);
    is_new(&rig, 1, "resumed with the password");
    assert_eq!((phone.files.digest_of_user_data(), phone.files.digest_of_secrets()), before);
    let report = &event(&resumed, "report")["report"];
    assert!(report["backup"]["files"].as_u64() > Some(20), "it was looked into: {report}");
    let journal = fs::read_dir(rig.jobs()).unwrap().map(|job| job.unwrap().path().join("journal.jsonl"));
    for journal in journal {
        assert!(!fs::read_to_string(journal).unwrap().contains(FIRST), "a password in the journal");
    }
}

#[test]
fn a_derivation_is_not_waited_for() {
    let rig = one("iphone13", "trust = \"trusted\"\nbackup_password = \"x\"\nbackup_iterations = [10, 10]");
    exits(&rig, &["backup"], 0);
    let list = newest(&rig).join(rig.phone().udid.as_str()).join("Manifest.plist");
    let mut manifest: plist::Dictionary = plist::from_file(&list).unwrap();
    let mut keybag = Keybag::parse(manifest["BackupKeyBag"].as_data().unwrap()).unwrap();
    keybag.first_rounds.as_mut().unwrap().iterations = MAX_ITERATIONS;
    manifest.insert("BackupKeyBag".into(), Plist::Data(keybag.build()));
    fs::remove_file(&list).unwrap();
    plist::to_file_binary(&list, &manifest).unwrap();

    // Derived to its end, this password is wrong: exit 4.
    let password = written(&rig, "y");
    let mut command = rig.command(&["backups", "verify", "--password-file", &password]);
    let said = rig.path("said");
    command.stderr(File::create(&said).unwrap());
    let mut child = command.spawn().unwrap();
    assert!(soon(|| fs::read_to_string(&said).unwrap().contains("Verifying the backup")), "it never began");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let begun = std::time::Instant::now();
    let ended = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status.code(),
            None if begun.elapsed() > LIMIT => {
                let _ = child.kill();
                break None;
            }
            None => std::thread::sleep(std::time::Duration::from_millis(5)),
        }
    };
    assert_eq!(ended, Some(130), "{}", fs::read_to_string(&said).unwrap());
    // Nobody waits for the rest of it either: it is read again at once.
    plain(super::herstel(&rig, &["backups", "list"]));
}
