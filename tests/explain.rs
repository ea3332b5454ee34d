//! `herstel explain` as people and scripts meet it, and the knowledge behind it: no code of the field may get lost.

use herstel::facts::codes::{self, Hit, ask, groups, rows};
use herstel::facts::{backup_errors, restore_status};
use herstel::fault::known::{Course, Space};
use herstel::fault::{Code, Fault, Remedy, Standing};
use herstel::say::{self, Lang, codes as words};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::{Command, Output};

/// The numbers that iTunes, Finder and Apple Devices are known to show, with what a second try has to differ in
/// (R replug, C cable, M DFU, N network, V firmware, U a person, H hardware). Ranges by their ends and a middle.
const ITUNES: &str = "
    -1 H, 1 H, 2 C, 3 H, 4 N, 5 U, 6 MH, 8 V, 9 CH, 10 V, 11 V, 12 C, 19 C, 13 C, 14 VC, 16 NV, 17 NV, 18 U, 20 M, 21 MH,
    23 H, 26 V, 27 MH, 28 H, 29 H, 31 M, 34 U, 35 U, 36 V, 37 V, 40 H, 46 H, 47 H, 48 H, 50 H, 51 H, 53 NH, 56 H, 75 M,
    78 M, 79 M, 1000 RC, 1002 RC, 1004 N, 1009 V, 1011 H, 1012 H, 1013 N, 1014 V, 1015 VH, 1050 N, 1100 N, 1109 N, 1199 N,
    1110 U, 1394 M, 1413 C, 1420 C, 1428 C, 1430 C, 1432 C, 1479 N, 1600 M, 1601 C, 1602 C, 1603 C, 1604 C, 1608 U,
    1609 V, 1611 M, 1618 V, 1619 V, 1631 N, 1638 N, 1639 N, 1643 R, 1644 R, 1646 R, 1650 R, 1667 CH, 1669 N, 1671 N,
    2000 C, 2001 C, 2002 C, 2003 C, 2004 C, 2005 C, 2006 C, 2007 C, 2008 C, 2009 C, 2015 C, 3000 N, 3001 N, 3004 N,
    3002 V, 3191 V, 3011 N, 3012 N, 3013 N, 3014 N, 3015 N, 3100 -, 3123 -, 3194 VN, 3195 V, 3200 V, 3259 N, -3259 N,
    -3198 N, 4000 C, 4005 CH, 4010 C, 4013 CH, 4014 CH, 4016 R, 4017 R, 4026 U, 4037 U, 4041 MH, 4042 MH, 9006 N, 9008 N,
    11222 N, -35 U, -39 U, -50 U, -61 U, -9800 N, -9806 N, -9843 N, -69 U, 15 H, 22 H, 24 H, 25 H, 30 H, 33 H, 39 H,
    41 H, 45 H";

const OTHERS: &[(&str, Space)] = &[
    ("0xE8000001", Space::MobileDevice),
    ("0xE800000A", Space::MobileDevice),
    ("0xE800000B", Space::MobileDevice),
    ("0xE800000C", Space::MobileDevice),
    ("0xE8000012", Space::MobileDevice),
    ("0xE8000013", Space::MobileDevice),
    ("0xE8000015", Space::MobileDevice),
    ("0xE8000065", Space::MobileDevice),
    ("0xE8000068", Space::MobileDevice),
    ("0xE8000084", Space::MobileDevice),
    ("STATUS=69", Space::Tss),
    ("STATUS=94", Space::Tss),
    ("STATUS=100", Space::Tss),
    ("STATUS=128", Space::Tss),
    ("STATUS=551", Space::Tss),
    ("This device isn't eligible for the requested build", Space::Tss),
    ("Status 0xFFFFFFFFFFFFFFFF", Space::Restored),
    ("Unable to send data to ASR", Space::Message),
    ("Unable to receive message from FDR (-2)", Space::Message),
    ("Unable to receive message from FDR (-4)", Space::Message),
    ("Unable to receive message from FDR (-7)", Space::Message),
    ("Device did not reconnect in DFU mode", Space::Message),
    ("device did not reconnect in recovery mode. Possibly invalid iBSS.", Space::Message),
    ("Device failed to enter restore mode.", Space::Message),
    ("futurerestore: failed with error code -8", Space::Message),
    ("futurerestore error -11", Space::Message),
    ("ApNonce mismatch", Space::Message),
    ("MB -4", Space::Backup),
    ("lockdown -5", Space::Lockdown),
    ("lockdown -8", Space::Lockdown),
    ("lockdown -17", Space::Lockdown),
    ("PasswordProtected", Space::Lockdown),
    ("lockdown -18", Space::Lockdown),
    ("UserDenied", Space::Lockdown),
    ("UserDeniedPairing", Space::Lockdown),
    ("lockdown -19", Space::Lockdown),
    ("PairingDialogResponsePending", Space::Lockdown),
    ("lockdown -21", Space::Lockdown),
    ("InvalidHostID", Space::Lockdown),
    ("lockdown -34", Space::Lockdown),
    ("ServiceProhibited", Space::Lockdown),
    ("lockdown -35", Space::Lockdown),
    ("EscrowLocked", Space::Lockdown),
    ("lockdown -36", Space::Lockdown),
    ("PairingProhibitedOverThisConnection", Space::Lockdown),
    ("lockdown -37", Space::Lockdown),
    ("FMiPProtected", Space::Lockdown),
    ("lockdown -38", Space::Lockdown),
    ("MCProtected", Space::Lockdown),
    ("lockdown -39", Space::Lockdown),
    ("MCChallengeRequired", Space::Lockdown),
    ("lockdown -256", Space::Lockdown),
    ("lockdown -7", Space::Lockdown),
];

const BACKUP: &[i64] = &[1, 11, 100, 103, 104, 105, 106, 107, 205, 207, 208, 211];
const RESTORED: &[i64] =
    &[-1, 6, 9, 10, 14, 27, 28, 50, 51, 53, 56, 68, 75, 99, 100, 1015, 1100, 1110, 3194, 4005, 4013, 4014];

fn hits(text: &str) -> Vec<Hit> {
    ask::read(text, None).into_iter().flat_map(|asked| asked.hits).collect()
}

fn course(letter: char) -> Course {
    match letter {
        'R' => Course::Replug,
        'C' => Course::ChangeCable,
        'M' => Course::Dfu,
        'N' => Course::Network,
        'V' => Course::OtherFirmware,
        'U' => Course::Person,
        'H' => Course::Hardware,
        other => panic!("{other}"),
    }
}

#[test]
fn every_number_of_itunes_is_known_with_its_classes_in_order() {
    let mut counted = 0;
    for entry in ITUNES.split(',') {
        let (number, letters) = entry.trim().split_once(' ').unwrap();
        let courses: Vec<Course> = letters.chars().filter(|c| *c != '-').map(course).collect();
        let row = hits(number).into_iter().find_map(|hit| match hit {
            Hit::Row(row) if row.space == Space::ITunes => Some(row),
            _ => None,
        });
        let row = row.unwrap_or_else(|| panic!("{number} is not known"));
        assert_eq!(row.courses, courses, "{number}");
        counted += 1;
    }
    assert_eq!(counted, 142);
}

#[test]
fn every_other_code_is_known_in_its_space() {
    for (text, space) in OTHERS {
        assert!(hits(text).iter().any(|hit| hit.space() == *space), "{text}");
    }
    for number in BACKUP {
        assert!(hits(&format!("MB {number}")).iter().any(|hit| matches!(hit, Hit::Backup(_))), "{number}");
    }
    for number in RESTORED {
        assert!(hits(&format!("AMRError {number}")).iter().any(|hit| matches!(hit, Hit::Restored(..))), "{number}");
    }
    for code in Code::ALL {
        assert_eq!(hits(code.as_str()), [Hit::Ours(*code)], "{code}");
    }
}

#[test]
fn every_row_has_its_text_and_every_text_its_row() {
    let mut keys: BTreeSet<String> = words::keys().into_iter().map(str::to_owned).collect();
    for row in rows() {
        let key = format!("{}/{}", row.space.as_str(), row.codes);
        let (en, nl) = (words::row(Lang::En, row.space, row.codes), words::row(Lang::Nl, row.space, row.codes));
        let (en, nl) = (en.unwrap_or_else(|| panic!("{key} has no text")), nl.unwrap());
        assert!(en.what != nl.what && en.cause != nl.cause, "{key}");
        assert!(keys.remove(&key), "{key}");
    }
    for group in groups() {
        let key = format!("{}/{}", group.space.as_str(), group.codes);
        assert!(words::group(Lang::Nl, group.space, group.codes).is_some() && keys.remove(&key), "{key}");
    }
    assert!(keys.is_empty(), "texts without a row: {keys:?}");
    for (number, verdict) in restore_status::all() {
        let (en, nl) = (words::restored(Lang::En, number).unwrap(), words::restored(Lang::Nl, number).unwrap());
        assert!(en.what != nl.what && en.cause != nl.cause && !verdict.measures.is_empty(), "{number}");
    }
}

#[test]
fn what_is_only_said_in_workshops_is_marked() {
    use herstel::fault::known::Certainty;
    for row in rows() {
        let told = words::row(Lang::En, row.space, row.codes).unwrap();
        let blamed = row.courses == [Course::Hardware] && row.certainty == Certainty::Hint;
        assert!(!blamed || told.hint.is_some(), "{} blames the hardware and gives no hint", row.codes);
    }
}

#[test]
fn what_a_failure_points_at_is_known() {
    let pointed = |fault: &Fault| {
        for code in say::explainable(fault) {
            assert!(!hits(&code).is_empty(), "{code} of {fault}");
        }
        say::explainable(fault).len()
    };
    for (number, verdict) in restore_status::all() {
        let fault = Fault::new(verdict.code, "x").number(number).standing(Standing::default());
        assert_eq!(pointed(&fault), 2, "{number}");
    }
    for row in backup_errors::all() {
        assert_eq!(pointed(&Fault::new(row.fault, "x").number(row.number).remedy(row.remedy)), 2, "{}", row.number);
    }
    assert_eq!(pointed(&Fault::new(Code::TssRefused, "x").number(128)), 2);
    for row in rows().iter().filter(|row| row.space == Space::Lockdown) {
        for name in row.names() {
            assert_eq!(pointed(&Fault::new(Code::LockdownRefused, format!("it says {name}"))), 2, "{name}");
        }
    }
    Code::ALL.iter().filter(|code| **code != Code::Cancelled).for_each(|code| {
        pointed(&Fault::new(*code, ""));
    });
    Remedy::ALL.iter().for_each(|remedy| {
        pointed(&Fault::new(Code::BackupRefused, "").remedy(*remedy));
    });
}

// -- the program itself --

fn run(arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_herstel"));
    command.args(arguments).env_clear().env("HOME", home.path()).env("LC_ALL", "C").output().unwrap()
}

/// Exit code and standard output.
fn told(arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(arguments);
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_card_says_what_why_what_to_do_when_to_stop_and_who_says_so() {
    let (code, text) = told(&["explain", "The iPhone could not be restored. An unknown error occurred (4013)."]);
    assert_eq!(code, Some(0));
    let labels = ["means   ", "cause   ", "hint    (not certain) ", "do       1. ", "retry   ", "stop    ", "source  "];
    let places: Vec<usize> = labels.iter().map(|label| text.find(label).unwrap_or_else(|| panic!("{label}"))).collect();
    assert!(places.is_sorted(), "{text}");
    assert!(text.starts_with("4013 - iTunes, Finder, Apple Devices\n"), "{text}");
    assert!(text.contains("\n4013 - the device during a restore"), "both are shown: {text}");

    let (code, text) = told(&["explain", "4013", "--in", "restored", "--lang", "nl"]);
    assert_eq!(code, Some(0));
    for label in
        ["wat      ", "reden    ", "hint     (niet zeker) ", "doen      1. ", "opnieuw  ", "stop     ", "bron     "]
    {
        assert!(text.contains(label), "{label}: {text}");
    }
    assert!(!text.contains("iTunes"), "{text}");
}

#[test]
fn a_number_of_a_backup_says_when_it_means_what() {
    let (code, text) = told(&["explain", "MBErrorDomain/105"]);
    assert_eq!(code, Some(0));
    assert!(
        text.contains("on drive") && text.contains("otherwise") && text.contains("while putting a backup back"),
        "{text}"
    );
}

#[test]
fn our_own_codes_are_explained_with_whose_and_exit_code() {
    let (code, text) = told(&["explain", "usb-no-access"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("whose   this computer") && text.contains("exit    6"), "{text}");
}

#[test]
fn negative_numbers_need_no_dashes_before_them() {
    assert_eq!(told(&["explain", "-69"]).0, Some(0));
    let (code, text) = told(&["explain", "AMRError", "-1"]);
    assert!(code == Some(0) && text.starts_with("-1 - the device during a restore"), "{text}");
}

#[test]
fn an_unknown_code_is_said_to_be_unknown_and_ends_with_1() {
    let (code, text) = told(&["explain", "777"]);
    assert_eq!(code, Some(1));
    assert!(text.starts_with("777 - unknown") && text.contains("13. Have the board looked at"), "{text}");
    assert!(!text.contains("near    "), "{text}");
    let (code, text) = told(&["explain", "1666", "--lang", "nl"]);
    assert_eq!(code, Some(1));
    assert!(
        text.starts_with("1666 - onbekend") && text.contains("ernaast  De nummers ernaast gaan over USB"),
        "{text}"
    );
    assert_eq!(told(&["explain", "53", "--in", "lockdown"]).0, Some(1), "known elsewhere");
    let (code, text) = told(&["explain", "error 9 and error 777"]);
    assert!(code == Some(0) && text.contains("777 - unknown"), "{text}");
}

#[test]
fn what_is_no_question_is_usage() {
    assert_eq!(told(&["explain", ""]).0, Some(2));
    assert_eq!(told(&["explain", &"9".repeat(ask::TEXT_CAP + 1)]).0, Some(2));
    assert_eq!(told(&["explain", "9", "--in", "nowhere"]).0, Some(2));
    assert_eq!(told(&["explain", "\u{1b}[2J\u{7}"]), (Some(1), told(&["explain", "[2J"]).1), "no control characters");
}

#[test]
fn without_a_code_all_are_listed_in_both_languages() {
    let (en, nl) = (told(&["explain"]), told(&["explain", "--lang", "nl"]));
    assert_eq!((en.0, nl.0), (Some(0), Some(0)));
    for space in Space::ALL {
        let title = format!("{}  (--in {})", words::space(Lang::Nl, *space), space.as_str());
        assert!(nl.1.contains(&title), "{title}");
    }
    assert!(en.1.lines().count() > codes::all().len() && en.1 != nl.1);
    assert!(told(&["explain", "--in", "tss"]).1.lines().count() < 10);
}

/// Sentences may become better; what is a sentence and what is null may not change.
fn without_texts(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let sentence = ["meaning", "cause", "hint", "text", "stop_rule"];
            let field = |(key, value): (&String, &Value)| match value {
                Value::String(_) if sentence.contains(&key.as_str()) => (key.clone(), json!("...")),
                value => (key.clone(), without_texts(value)),
            };
            Value::Object(fields.iter().map(field).collect())
        }
        Value::Array(items) => items.iter().map(without_texts).collect(),
        value => value.clone(),
    }
}

#[test]
fn json_has_a_frozen_shape_in_english() {
    let lines = |arguments: &[&str]| -> (Option<i32>, Vec<Value>) {
        let (code, text) = told(arguments);
        (code, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    };
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema/v1/explain.json");
    let frozen: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for example in frozen["examples"].as_array().unwrap() {
        let mut arguments: Vec<&str> =
            example["arguments"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
        arguments.extend(["--json", "--lang", "nl"]);
        let (code, lines) = lines(&arguments);
        assert_eq!(without_texts(&lines[0]), example["answer"], "{arguments:?}");
        let known = !example["answer"]["codes"].as_array().unwrap().is_empty();
        let outcome = if known { "ok" } else { "failed" };
        assert_eq!(code, Some(if known { 0 } else { 1 }));
        assert_eq!(lines[1], json!({ "schema": 1, "event": "finished", "outcome": outcome, "fault": null }));
    }
    let (_, answer) = lines(&["explain", "53", "--json", "--lang", "nl"]);
    let told = words::row(Lang::En, Space::ITunes, "53").unwrap();
    assert_eq!(answer[0]["codes"][0]["cause"], told.cause, "JSON is English, whatever the language");
    // Every row has the same keys, and every word that scripts may meet is written down.
    let (_, all) = lines(&["explain", "--json"]);
    let rows = all[0]["codes"].as_array().unwrap();
    assert!(rows.len() > 200);
    let keys: Vec<&String> = frozen["examples"][0]["answer"]["codes"][0].as_object().unwrap().keys().collect();
    assert!(rows.iter().all(|row| row.as_object().unwrap().keys().collect::<Vec<_>>() == keys));
    use herstel::fault::known::{Certainty, Measure, Witness};
    let words = json!({ "space": Space::ALL, "retry_class": Course::ALL, "measure": Measure::ALL, "certainty": Certainty::ALL, "seen_by": Witness::ALL });
    assert_eq!(frozen["words"], words);
}
