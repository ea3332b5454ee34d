//! The four situations of a forgotten passcode, as `demo --scenario` plays them: from the questions to a phone that
//! works. The demo itself asks the phone what it holds and fails if it is not what it says; here it is that it ends
//! well, that the coach was followed where keys were needed, and that each began with a plan.

use super::*;

#[test]
fn four_situations_from_the_question_to_a_phone_that_works() {
    let ran = demo(&["--scenario", "all", "--json"]);
    let ended: Vec<String> =
        ran.events("scenario").iter().map(|line| line["scenario"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ended, ["backup-and-password", "trusted-computer", "no-backup", "account-lost"], "{ran}");
    let plans: Vec<Value> = ran.lines().iter().map(|line| line["triage"]["plan"]["name"].clone()).collect();
    let plans: Vec<&Value> = plans.iter().filter(|plan| !plan.is_null()).collect();
    // `recover` asks the same questions once more before it begins.
    let wanted = [
        "erase-on-device",
        "back-up-and-restore",
        "back-up-and-restore",
        "restore-without-backup",
        "restore-without-backup",
        "recover-account",
        "restore-without-backup",
        "restore-without-backup",
    ];
    assert_eq!(plans, wanted, "{ran}");
    let asks = ran.events("ask");
    assert!(asks.iter().any(|ask| ask["request"]["keys"].is_array() || ask["keys"].is_array()), "no keys\n{ran}");
    let erased = ran.events("plan").len();
    assert_eq!(erased, 3, "A erases itself, the others are erased by a plan that was shown");
}

#[test]
fn a_situation_in_dutch_by_its_letter() {
    let ran = demo(&["--scenario", "b", "--lang", "nl"]);
    for said in ["B. Een computer die het vertrouwt", "zijn terug, byte voor byte", "De hele gang duurde"] {
        assert!(ran.err.contains(said), "{said}\n{ran}");
    }
    assert!(ran.out.contains("Wat verloren gaat"), "{ran}");
}
