//! What people type and paste, as tables; and anything else, which must not matter.

use super::*;
use proptest::prelude::*;

/// `code: space space ...` of each that was read.
fn shown(text: &str) -> Vec<String> {
    let line = |asked: Asked| {
        let spaces: Vec<_> = asked.hits.iter().map(|hit| hit.space().as_str()).collect();
        format!("{}: {}", asked.code, spaces.join(" ")).trim_end().to_owned()
    };
    read(text, None).into_iter().map(line).collect()
}

#[test]
fn what_people_type_is_understood() {
    let table: &[(&str, &[&str])] = &[
        ("4013", &["4013: itunes restored"]),
        ("error 4013", &["4013: itunes restored"]),
        ("Error4013.", &["4013: itunes restored"]),
        ("fout 4013", &["4013: itunes restored"]),
        ("iTunes error 53", &["53: itunes"]),
        ("-69", &["-69: itunes"]),
        ("\u{2212}69", &["-69: itunes"]),
        ("0xE8000013", &["0xE8000013: mobiledevice"]),
        ("e8000013", &["0xE8000013: mobiledevice"]),
        ("-402653165", &["-402653165: mobiledevice"]),
        ("3194", &["3194: itunes restored"]),
        ("MB 207", &["207: backup backup backup"]),
        ("mb207", &["207: backup backup backup"]),
        ("MBErrorDomain/207", &["207: backup backup backup"]),
        ("AMRError 14", &["14: restored"]),
        ("AMRError = 14", &["14: restored"]),
        ("AMRError 23", &["23: itunes"]),
        ("STATUS=94", &["94: tss"]),
        ("tss 94", &["94: tss"]),
        ("TSS status 94", &["94: tss"]),
        ("Status: 0xFFFFFFFFFFFFFFFF", &["0xFFFFFFFFFFFFFFFF: restored"]),
        ("0xFFFFFFFF", &["0xFFFFFFFF: itunes restored"]),
        ("PasswordProtected", &["PasswordProtected: lockdown"]),
        ("passwordprotected", &["PasswordProtected: lockdown"]),
        ("-17", &["-17: lockdown"]),
        ("lockdown -5", &["-5: lockdown"]),
        ("usb-no-access", &["usb-no-access: herstel"]),
        ("USB-NO-ACCESS", &["usb-no-access: herstel"]),
        ("usage", &["usage: herstel"]),
        ("error 9, 4014", &["9: itunes restored", "4014: itunes restored"]),
        ("69/94", &["69: tss", "94: tss"]),
        ("futurerestore -8", &["futurerestore: message"]),
    ];
    for (text, expected) in table {
        let expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn a_pasted_message_gives_its_code_and_no_other_number() {
    let table: &[(&str, &[&str])] = &[
        (
            "The iPhone \u{201c}Anna\u{2019}s iPhone 13\u{201d} could not be restored. An unknown error occurred (4013).",
            &["4013: itunes restored"],
        ),
        ("iTunes 12.5 on 2 computers: error 9 with iOS 17.3 at 17:22:01", &["9: itunes restored"]),
        ("iPhone14,5 could not be restored: 4013", &["4013: itunes restored"]),
        ("restore of iPhone14,5 to 17.3 gave 4013 twice", &["4013: itunes restored"]),
        (
            "ERROR: Unable to send data to ASR. Restore failed. Status: 53",
            &["53: restored", "unable to send data to asr: message"],
        ),
        ("Unable to receive message from FDR (-7)", &["receive message from fdr: message"]),
        ("STATUS=94&MESSAGE=This device isn\u{2019}t eligible for the requested build.", &["94: tss"]),
        ("This device isn't eligible for the requested build.", &["isn't eligible for the requested build: tss"]),
        ("ERROR: Device failed to enter restore mode.", &["failed to enter restore mode: message"]),
        ("Could not connect to lockdownd, error code -21", &["-21: lockdown"]),
        ("The device refused (usb-no-access)", &["usb-no-access: herstel"]),
        ("the operation was cancelled with error 1611", &["1611: itunes"]),
        ("Could not connect to lockdownd: Invalid HostID (-21)", &["-21: lockdown"]),
        ("GetValue failed: PasswordProtected (-17)", &["-17: lockdown", "PasswordProtected: lockdown"]),
    ];
    for (text, expected) in table {
        let expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn what_is_unknown_is_said_to_be_with_its_neighbourhood() {
    for text in ["777", "error 777", "hello", "\u{1b}[2J", "-", "0x", "99999999999999999999999"] {
        let asked = read(text, None);
        assert!(asked.len() == 1 && asked[0].hits.is_empty() && asked[0].near.is_none(), "{text}: {asked:?}");
        assert!(!asked[0].code.contains('\u{1b}'));
    }
    let asked = read("1666", None);
    assert_eq!(asked[0].near.map(|group| group.codes), Some("1600..1699"));
    assert!(asked[0].hits.is_empty());
}

#[test]
fn a_space_can_be_chosen() {
    let spaces = |text, within| read(text, Some(within))[0].hits.iter().map(Hit::space).collect::<Vec<_>>();
    assert_eq!(spaces("53", Space::Restored), [Space::Restored]);
    assert_eq!(spaces("AMRError 53", Space::ITunes), [Space::ITunes], "what was chosen wins");
    assert_eq!(spaces("53", Space::Backup), []);
    assert_eq!(spaces("usb-no-access", Space::Lockdown), []);
}

proptest! {
    #[test]
    fn anything_can_be_asked(text in "\\PC{0,200}", within in proptest::option::of(0..Space::ALL.len())) {
        let within = within.and_then(|at| Space::ALL.get(at).copied());
        let asked = read(&text, within);
        prop_assert!(!asked.is_empty() && asked.len() <= 2 * CODES_CAP);
        for one in asked {
            prop_assert!(one.code.chars().count() <= 80 && !one.code.chars().any(char::is_control));
            prop_assert!(one.hits.is_empty() || one.near.is_none());
            prop_assert!(one.hits.iter().all(|hit| within.is_none_or(|space| hit.space() == space)));
        }
    }

    #[test]
    fn pieces_of_messages_in_any_order(words in proptest::collection::vec(
        proptest::sample::select(vec!["error", "status", "STATUS=", "(", ")", "-", "4013", "-17", "0xE8000013", "mb", "/",
            "iPhone14,5", "17.3", "isn't eligible for the requested build", "tss", "99999999999999999999", "e8000013"]), 0..12),
        glue in proptest::sample::select(vec![" ", "", ":", ","])) {
        prop_assert!(!read(&words.join(glue), None).is_empty());
    }

    #[test]
    fn every_number_of_a_row_is_found(at in 0..rows().len()) {
        let row = &rows()[at];
        for code in row.codes.split(',') {
            let text = code.split("..").next().unwrap_or(code);
            let hits: Vec<Hit> = read(text, Some(row.space)).into_iter().flat_map(|asked| asked.hits).collect();
            prop_assert_eq!(hits.len(), 1, "{}", code);
            prop_assert!(hits.contains(&Hit::Row(row)) || row.codes.contains(".."), "{}", code);
        }
    }
}
