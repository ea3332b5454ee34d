//! What becomes of backups, with the real program: looked at, proven, pruned by a person at a terminal, and shown.
//!
//! The terminal is a real one (a pty): the question appears on it and the answer is typed. What a script reads is held
//! against `tests/schema/v1/backups.json`: the same keys in the same order, the same types, or null.

mod bench;

use bench::{DEADLINE, Ran, Rig, run};
use herstel::backup::Finding;
use herstel::fault::Code;
use herstel::virt::backup::Kind;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

fn rig() -> Rig {
    Rig::new(
        "pace = 25.0\n[[phone]]\nmodel = \"iphone13\"\nname = \"Anna's iPhone\"\ntrust = \"trusted\"\nphotos = 4\n",
    )
}

fn exits(rig: &Rig, arguments: &[&str], code: i32) -> Ran {
    let ran = rig.run(arguments);
    assert_eq!(ran.code, Some(code), "{arguments:?}\n{ran}");
    ran
}

fn generations(rig: &Rig) -> Vec<PathBuf> {
    let folder = rig.vault().join(rig.phone().udid.as_str()).join("generations");
    let mut all: Vec<_> = folder.read_dir().unwrap().map(|item| item.unwrap().path()).collect();
    all.sort();
    all
}

/// A payload of the newest generation that is larger than so many bytes.
fn payload(rig: &Rig, larger: u64) -> PathBuf {
    let root = generations(rig).pop().unwrap().join(rig.phone().udid.as_str());
    let is_payload = |path: &Path| path.file_name().is_some_and(|name| name.len() == 40);
    let found = bench::files(&root).into_iter().find(|(path, size)| *size > larger && is_payload(path));
    root.join(found.unwrap().0)
}

/// New content in a new file: the one that is there may be an older generation's too.
fn replace(path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    edit(&mut bytes);
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

// -- the frozen shapes --

fn examples() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema/v1/backups.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The same keys and types; what is null on either side is unknown, and of lists the first items are compared.
fn same_shape(value: &Value, example: &Value, at: &str) {
    match (value, example) {
        (Value::Null, _) | (_, Value::Null) => {}
        (Value::Object(value), Value::Object(example)) => {
            let keys = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(value), keys(example), "{at}");
            value.iter().for_each(|(key, inner)| same_shape(inner, &example[key], &format!("{at}.{key}")));
        }
        (Value::Array(value), Value::Array(example)) => {
            if let (Some(value), Some(example)) = (value.first(), example.first()) {
                same_shape(value, example, &format!("{at}[0]"));
            }
        }
        _ => assert_eq!(std::mem::discriminant(value), std::mem::discriminant(example), "{at}: {value}"),
    }
}

fn holds(ran: &Ran, name: &str) -> Value {
    let lines = ran.lines();
    let key = if name == "show" { "backup" } else { name };
    let line = lines.iter().find(|line| line["event"] == name || (line["event"].is_null() && line.get(key).is_some()));
    let line = line.unwrap_or_else(|| panic!("no {name}\n{ran}")).clone();
    same_shape(&line, &examples()[name], name);
    line
}

#[test]
fn findings_are_told_by_their_tag_in_json_and_in_words_to_people() {
    for example in examples()["findings"].as_array().unwrap() {
        let finding: Finding = serde_json::from_value(example.clone()).unwrap_or_else(|e| panic!("{e}: {example}"));
        assert_eq!(serde_json::to_value(&finding).unwrap(), *example);
    }
    let tags: std::collections::BTreeSet<_> =
        examples()["findings"].as_array().unwrap().iter().map(|f| f["finding"].to_string()).collect();
    assert_eq!(tags.len(), herstel::say::FoundKind::ALL.len(), "one example of each finding");

    let rig = rig();
    holds(&exits(&rig, &["backup", "--json"], 0), "backup");
    let unseen = holds(&exits(&rig, &["backups", "list", "--json"], 0), "backups");
    assert_eq!(unseen["backups"][0]["checked"], json!({ "quick": null, "deep": null }));
    let good = holds(&exits(&rig, &["backups", "verify", "--json"], 0), "checked");
    assert_eq!((&good["depth"], &good["damage"], &good["compared"]), (&json!("quick"), &json!(0), &json!(0)));

    replace(&payload(&rig, 100_000), |bytes| bytes[70_000] ^= 4);
    let ran = exits(&rig, &["backups", "verify", "--deep", "--json"], 7);
    let finding = holds(&ran, "finding");
    assert_eq!((&finding["finding"], &finding["damage"]), (&json!("altered"), &json!(true)));
    let name = format!("{}/{}", finding["domain"].as_str().unwrap(), finding["path"].as_str().unwrap());
    assert_eq!(holds(&ran, "checked")["damage"], 1);
    let ran = exits(&rig, &["backups", "verify", "--deep"], 7);
    assert_eq!(ran.out, format!("!! {name}: is not what was received\n"));
    let ran = exits(&rig, &["backups", "verify", "--deep", "--lang", "nl"], 7);
    assert_eq!(ran.out, format!("!! {name}: is niet meer wat er ontvangen is\n"));
    assert!(!ran.err.contains("Finding") && !ran.err.contains('{'), "{ran}");

    // The last looks are remembered, each for what it is.
    let shown = holds(&exits(&rig, &["backups", "show", "--json"], 0), "show");
    let checked = &shown["backup"]["checked"];
    assert_eq!((&checked["quick"]["damage"], &checked["deep"]["damage"]), (&json!(0), &json!(1)));
    assert_eq!(checked["deep"]["first"]["finding"], "altered");
    let shown = exits(&rig, &["backups", "show"], 0).out;
    assert!(shown.contains(&format!("every byte: DAMAGED, {name}: is not what was received")), "{shown}");
    assert!(exits(&rig, &["backups", "list"], 0).out.contains("damaged"));
}

#[test]
fn a_backup_is_proven_on_a_virtual_phone_and_a_damaged_one_is_not() {
    let rig = rig();
    exits(&rig, &["backup"], 0);
    let held = rig.phone().files.digest_of_user_data();
    let ran = exits(&rig, &["backups", "prove", "--json"], 0);
    let proved = holds(&ran, "proved");
    assert_eq!(
        (&proved["virtual"], &proved["equal"], &proved["product_type"]),
        (&json!(true), &json!(true), &json!("iPhone14,5"))
    );
    assert_eq!(proved["files"], holds(&ran, "checked")["files"]);
    assert!(proved["bytes"].as_u64().unwrap() > 2_000_000);
    assert_eq!(rig.phone().files.digest_of_user_data(), held, "the phone of the backup was not touched");
    assert_eq!(rig.phone().remembered("restore.begun"), 0);
    for (lang, word) in [("en", "virtual iPhone 13, byte for byte"), ("nl", "virtuele iPhone 13, byte voor byte")] {
        let ran = exits(&rig, &["backups", "prove", "--lang", lang], 0);
        assert!(ran.err.contains("VIRTU") && ran.err.contains(word), "{ran}");
    }

    // Sound by its digests, and yet no phone takes it: the manifest says another content.
    let path = payload(&rig, 100_000);
    let (before, id) = (fs::read(&path).unwrap(), path.file_name().unwrap().to_str().unwrap().to_owned());
    replace(&path, |bytes| bytes[70_000] ^= 4);
    let digests = generations(&rig).pop().unwrap().join("digests.tsv");
    let list = fs::read(&digests).unwrap();
    let ran = exits(&rig, &["backups", "prove", "--json"], 7);
    assert_eq!(
        (ran.code_of_fault(), &holds(&ran, "finding")["finding"]),
        (Some(Code::BackupDamaged), &json!("altered"))
    );
    assert!(ran.events("step-began").iter().all(|line| line["step"] != "put-back"), "not tried at all\n{ran}");
    replace(&path, |bytes| *bytes = before.clone());
    exits(&rig, &["backups", "prove"], 0);

    let vouch = |bytes: &[u8]| {
        let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let text = std::str::from_utf8(&list).unwrap();
        let line = text.lines().find(|line| line.ends_with(&id)).unwrap();
        let place = line.rsplit_once('\t').unwrap().1;
        fs::write(&digests, text.replace(line, &format!("{hex}\t{}\t{place}", bytes.len()))).unwrap();
    };
    // Databases grow while they are read: what was sent is what comes back.
    for size in [90_000, before.len() + 5] {
        let mut sent = before.clone();
        sent.resize(size, 7);
        replace(&path, |bytes| *bytes = sent.clone());
        vouch(&sent);
        let ran = exits(&rig, &["backups", "prove", "--json"], 0);
        assert_eq!(ran.events("finding")[0]["finding"], "size-differs");
        assert_eq!(holds(&ran, "proved")["differences"], 0);
    }
    // Vouched for by a forged digest, and refused by the phone, whose manifest knows better.
    let mut forged = before.clone();
    forged[70_000] ^= 4;
    replace(&path, |bytes| *bytes = forged.clone());
    vouch(&forged);
    let ran = exits(&rig, &["backups", "prove", "--json"], 7);
    assert_eq!(holds(&ran, "difference")["why"], "other-content");
    assert_eq!(ran.code_of_fault(), Some(Code::BackupDamaged));
    let ran = exits(&rig, &["backups", "prove", "--lang", "nl"], 7);
    assert!(ran.out.starts_with("!! ") && ran.out.ends_with(": is op het virtuele toestel iets anders\n"), "{ran}");
}

#[test]
fn an_encrypted_backup_is_proven_with_its_password() {
    let rig = Rig::new(
        "pace = 25.0\n[[phone]]\nmodel = \"iphone13\"\ntrust = \"trusted\"\nphotos = 4\n\
         backup_password = \"right one\"\n",
    );
    holds(&exits(&rig, &["backup", "--json"], 0), "backup");
    let (right, wrong) = (rig.path("right"), rig.path("wrong"));
    fs::write(&right, "right one\n").unwrap();
    fs::write(&wrong, "wrong one\n").unwrap();
    let with =
        |file: &Path| ["backups", "prove", "--json", "--password-file", file.to_str().unwrap()].map(str::to_owned);
    let proved = holds(&exits(&rig, &with(&right).each_ref().map(String::as_str), 0), "proved");
    assert_eq!((&proved["equal"], &proved["virtual"]), (&json!(true), &json!(true)));
    // All that the phone holds, its secrets too.
    let plain = rig.phone().files.list().iter().filter(|l| matches!(l.entry.kind, Kind::File(_))).count();
    assert!(proved["files"].as_u64().unwrap() > plain as u64, "{proved} and {plain}");
    let ran = exits(&rig, &with(&wrong).each_ref().map(String::as_str), 4);
    assert_eq!(ran.code_of_fault(), Some(Code::BackupPasswordWrong));
    let ran = rig.run(&["backups", "prove", "--json"]);
    assert_eq!(ran.code_of_fault(), Some(Code::BackupPassword), "{ran}");

    replace(&payload(&rig, 100_000), |bytes| bytes[70_000] ^= 4);
    let ran = exits(&rig, &with(&right).each_ref().map(String::as_str), 7);
    let finding = holds(&ran, "finding");
    assert_eq!((&finding["finding"], finding["domain"].is_string()), (&json!("altered"), true));
}

// -- a person at a terminal --

/// Runs the program on a terminal of its own, and types `answer` once `question` stands there.
fn typed(rig: &Rig, arguments: &[&str], question: &str, answer: &str) -> (Option<i32>, String) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let end = || -> OwnedFd { File::options().read(true).write(true).open(&name).unwrap().into() };
    let mut command: Command = rig.command(arguments);
    command.stdin(Stdio::from(end())).stderr(Stdio::from(end())).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    drop(command);
    let (mut ours, mut said, mut answered) = (File::from(ours), String::new(), false);
    let until = Instant::now() + DEADLINE;
    let mut piece = [0; 4096];
    // The end of a terminal without a program is an error.
    while let Ok(count @ 1..) = ours.read(&mut piece) {
        said.push_str(&String::from_utf8_lossy(&piece[..count]));
        if !answered && said.contains(question) {
            answered = true;
            ours.write_all(answer.as_bytes()).unwrap();
        }
        if Instant::now() > until {
            child.kill().unwrap();
        }
    }
    assert!(answered, "never asked {question:?}\n{said}");
    (child.wait().unwrap().code(), said)
}

#[test]
fn old_backups_go_when_a_person_types_the_word_and_only_then() {
    let rig = rig();
    for _ in 0..4 {
        exits(&rig, &["backup"], 0);
    }
    let all = generations(&rig);
    let prune = |more: &[&str], question: &str, answer: &str| {
        typed(&rig, &[&["backups", "prune"], more].concat(), question, answer)
    };
    for answer in ["yes\n", "remove\n", "\n", "\u{4}"] {
        let (code, said) = prune(&["--keep", "1"], "Type REMOVE", answer);
        assert_eq!((code, generations(&rig).len()), (Some(4), 4), "{answer:?}: {said}");
    }
    let (code, said) = prune(&["--keep", "3"], "Type REMOVE", "REMOVE\n");
    assert_eq!((code, generations(&rig)), (Some(0), all[1..].to_vec()), "{said}");
    assert!(said.contains("1 backup will be gone for good") && said.contains("Backups removed: 1."), "{said}");
    let (code, said) = prune(&["--keep", "2", "--lang", "nl"], "Typ WEG", "WEG\n");
    assert_eq!((code, generations(&rig)), (Some(0), all[2..].to_vec()), "{said}");

    let ran = exits(&rig, &["backups", "prune", "--keep", "1", "--json"], 4);
    assert_eq!((ran.code_of_fault(), generations(&rig).len()), (Some(Code::ConsentMissing), 2), "no terminal");
    assert_eq!(holds(&ran, "prune")["goes"], true);
    let ran = exits(&rig, &["backups", "prune", "--keep", "1", "--yes", "--json"], 0);
    holds(&ran, "removed");
    assert_eq!(generations(&rig), all[3..]);
    let out = rig.path("out");
    holds(&exits(&rig, &["backups", "export", out.to_str().unwrap(), "--json"], 0), "exported");
}

#[test]
fn a_backup_may_take_older_ones_along_but_only_a_good_one_does() {
    let rig = rig();
    exits(&rig, &["backup"], 0);
    exits(&rig, &["backup", "--keep", "0"], 2);
    exits(&rig, &["backup", "--keep-days", "1"], 0);
    let first = generations(&rig);
    assert_eq!(first.len(), 2);
    let ran = exits(&rig, &["backup", "--keep", "2", "--json"], 0);
    assert_eq!(holds(&ran, "removed")["generation"], json!(first[0].file_name().unwrap().to_str()));
    let two = generations(&rig);
    assert!(two.len() == 2 && two[0] == first[1]);
    // A vault that somebody else holds: nothing is made, nothing goes.
    let lock = rig.vault().join(rig.phone().udid.as_str()).join("lock");
    let other = File::options().write(true).open(lock).unwrap();
    other.try_lock().unwrap();
    let ran = exits(&rig, &["backup", "--keep", "1", "--json"], 1);
    assert_eq!((ran.code_of_fault(), generations(&rig)), (Some(Code::Locked), two));
}

#[test]
fn two_runs_on_one_device_do_not_meet_in_the_vault() {
    let rig = Rig::new(
        "pace = 25.0\n[[phone]]\nmodel = \"iphone13\"\ntrust = \"trusted\"\nphotos = 4\n\
         [phone.faults.backup]\nsilence_before_first_file_ms = 60000\n",
    );
    let mut first = rig.command(&["backup", "--json"]).spawn().unwrap();
    let work = rig.vault().join(rig.phone().udid.as_str()).join("work");
    let until = Instant::now() + DEADLINE;
    while !work.exists() {
        assert!(Instant::now() < until && first.try_wait().unwrap().is_none(), "the first run did not begin");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let ran = run(rig.command(&["backup", "--json"]), DEADLINE);
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(!ran.hung && ran.code == Some(1), "{ran}");
    assert_eq!(ran.code_of_fault(), Some(Code::Locked), "{ran}");
}
