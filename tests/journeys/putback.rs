//! What is said before anything is changed: how a backup is put back, and whether one can still be made before an
//! erase.

use super::{event, exits, line_with};
use crate::bench::Rig;
use herstel::fault::Code;
use serde_json::{Value, json};

const PHONE: &str = "[[phone]]\nmodel = 'iphone13'\ntrust = 'trusted'\nphotos = 4\nphoto_bytes = 20000\n";

fn rig(phone: &str) -> Rig {
    Rig::with_image(&format!("pace = 100.0\n{PHONE}{phone}"), 1 << 20)
}

#[test]
fn every_option_of_a_restore_is_said_and_reaches_the_phone() {
    let rig = rig("");
    let phone = rig.phone();
    let ecid = phone.ecid.to_string();
    let made = exits(&rig, &["backup", "--json"], 0);
    assert_eq!(event(&made, "backup")["encrypted"], json!(false));
    assert!(made.err.contains("This backup is not encrypted"), "{made}");

    let odd = ["--no-reboot", "--keep-settings", "--no-system", "--remove-others", "--copy-first"];
    let usual = ["backups", "restore", "--yes-restore", &ecid, "--json"];
    let ran = exits(&rig, &[&usual[..], &odd[..]].concat(), 0);
    let plan = event(&ran, "put-back-plan");
    let begun = |n: usize| {
        let memory = phone.memory().into_iter().filter(|memo| memo.what == "restore.begun");
        memory.map(|memo| memo.detail).nth(n).unwrap()
    };
    for (word, memo, wanted) in [
        ("reboot", "reboot", false),
        ("keep_settings", "preserve_settings", true),
        ("system_files", "system_files", false),
        ("remove_others", "remove_others", true),
        ("copy_first", "copy_first", true),
    ] {
        assert_eq!((&plan[word], &begun(0)[memo]), (&json!(wanted), &json!(wanted)), "{word}\n{ran}");
    }
    assert_eq!((&plan["device"]["find_my"], &plan["device"]["setup_done"]), (&json!(false), &json!(true)));
    assert!(plan["device"]["free"].as_u64() > Some(1 << 30), "{plan}");
    for text in ["settings stay as they are", "NOT in the backup is removed", "does not restart by itself"] {
        assert!(ran.err.contains(text), "{text}\n{ran}");
    }

    let ran = exits(&rig, &["--lang", "nl", "backups", "restore", "--yes-restore", &ecid, "--json"], 0);
    for (memo, wanted) in [
        ("reboot", true),
        ("preserve_settings", false),
        ("system_files", true),
        ("remove_others", false),
        ("copy_first", false),
    ] {
        assert_eq!(begun(1)[memo], json!(wanted), "{memo}: as the phone was\n{ran}");
    }
    for text in ["instellingen zoals ze in de reservekopie staan", "daarna start het toestel opnieuw"] {
        assert!(ran.err.contains(text), "{text}\n{ran}");
    }
}

#[test]
fn a_tight_fit_and_a_phone_in_setup_are_said() {
    let rig = rig("");
    let (phone, ecid) = (rig.phone(), rig.phone().ecid.to_string());
    exits(&rig, &["backup", "--json"], 0);
    let newest = herstel::backup::Vault::new(rig.vault()).generation(&phone.udid, None).unwrap();
    let path = newest.path.join("generation.json");
    let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    // More than is free on a phone of 128 GB, less than it has.
    record["bytes"] = json!(115_000_000_000_u64);
    std::fs::write(&path, record.to_string()).unwrap();
    phone.state().setup_done = false;
    let ran = exits(&rig, &["backups", "restore", "--yes-restore", &ecid, "--no-reboot", "--json"], 0);
    assert_eq!(event(&ran, "put-back-plan")["device"]["setup_done"], json!(false));
    assert!(ran.err.contains("only if what is on it now makes way"), "{ran}");
    assert!(ran.err.contains("still in its setup"), "{ran}");
    let copied = ["backups", "restore", "--yes-restore", &ecid, "--copy-first", "--json"];
    let full = exits(&rig, &copied, i32::from(Code::DeviceFull.exit()));
    assert_eq!(full.code_of_fault(), Some(Code::DeviceFull), "{full}");
    assert_eq!(phone.remembered("restore.begun"), 1, "nothing was sent");
    let setup = exits(&rig, &["backup", "--json"], 4);
    assert_eq!(setup.code_of_fault(), Some(Code::SetupUnfinished));
}

#[test]
fn a_backup_goes_onto_another_phone() {
    let rig = rig("[[phone]]\nmodel = 'iphone13'\ntrust = 'trusted'\nphotos = 1\nphoto_bytes = 100");
    let [old, new] = &rig.bench.phones[..] else { panic!() };
    let (from, to) = (old.ecid.to_string(), new.ecid.to_string());
    exits(&rig, &["backup", "-d", &from, "--json"], 0);
    let none = exits(&rig, &["backups", "restore", "-d", &to, "--yes-restore", &to, "--json"], 1);
    assert_eq!(none.code_of_fault(), Some(Code::BackupNone));
    let udid = old.udid.to_string();
    let all = ["backups", "restore", "-d", &to, "--yes-restore", &to, "--from", &udid, "--remove-others", "--json"];
    exits(&rig, &all, 0);
    assert_eq!(new.files.digest_of_user_data(), old.files.digest_of_user_data());
}

/// The truth about a forgotten passcode comes before the question, and before anything is done.
#[test]
fn whether_a_backup_is_possible_is_said_before_an_erase() {
    let said = |phone: &str, verb: &[&str], code: i32| {
        let rig = rig(phone);
        let ran = exits(&rig, verb, code);
        assert_eq!(rig.phone().remembered("files.erased"), 0);
        (event(&ran, "backup-chance"), ran)
    };
    let plan = ["recover", "--plan", "--json"];
    let rows: &[(&str, &str, &str, &[&str])] = &[
        ("", "with-passcode", "asks-each-time", &[]),
        (
            "passcode = 'locked'",
            "with-passcode",
            "locked-asks",
            &["keep-it-on", "usb-hour", "restarts-itself", "photos-perhaps"],
        ),
        ("passcode = 'locked'\nversion = '15.7'", "yes", "record-opens", &["keep-it-on", "usb-hour"]),
        ("passcode = 'before-first-unlock'", "with-passcode", "before-first-unlock", &[]),
        ("mode = 'recovery'", "no", "not-started", &[]),
    ];
    for (phone, possible, ground, caveats) in rows {
        let (chance, ran) = said(phone, &plan, 0);
        assert_eq!((&chance["possible"], &chance["ground"]), (&json!(possible), &json!(ground)), "{ran}");
        assert_eq!(chance["caveats"], json!(caveats), "{ran}");
        line_with(&ran, "plan");
    }
    let (_, ran) = said("passcode = 'locked'", &["--lang", "nl", "recover", "--plan", "--json"], 0);
    let words = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("zonder die code maakt niemand een reservekopie"), "{ran}");

    // A restore that only erases says it too, and nobody was asked yet.
    let (chance, ran) = said("passcode = 'locked'", &["restore", "--erase", "--json"], 4);
    assert_eq!((ran.code_of_fault(), &chance["ground"]), (Some(Code::ConsentMissing), &json!("locked-asks")));
    let words = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("without the passcode nobody makes a backup"), "{ran}");
    assert!(ran.events("plan").iter().all(|p| p["plan"]["backup"] != Value::Null));
}
