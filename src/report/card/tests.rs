//! Every card: one page, its warning, and words that were looked at (`tests/cards/`).

use super::*;
use crate::report::page::tests::assert_balanced;
use std::path::PathBuf;

/// A page that `lp` prints: lines of 80 columns.
const PAGE: usize = 60;
const COLUMNS: usize = 80;

fn phone(version: Option<&str>) -> For {
    let version = version.map(|v| v.parse().unwrap());
    For { title: "Anna's iPhone".into(), version, is_virtual: true, ..For::default() }
}

fn all() -> impl Iterator<Item = (Topic, Lang, &'static str)> {
    Topic::ALL.into_iter().flat_map(|topic| [(topic, Lang::En, "en"), (topic, Lang::Nl, "nl")])
}

#[test]
fn every_card_is_one_page_and_ends_with_the_warning() {
    for (topic, lang, code) in all() {
        for device in [None, Some(phone(Some("26.7.1"))), Some(phone(None))] {
            let paper = card(lang, topic, device.as_ref());
            let shown = paper.text(lang, COLUMNS);
            assert!(shown.lines().count() <= PAGE, "{topic:?} {code} has {} lines:\n{shown}", shown.lines().count());
            assert!(shown.lines().all(|line| line.chars().count() <= COLUMNS), "{topic:?} {code}:\n{shown}");
            let flat: Vec<&str> = shown.split_whitespace().collect();
            assert!(flat.join(" ").ends_with(warning(lang)), "{topic:?} {code}");
            let page = paper.html(lang);
            assert_balanced(&page);
            assert!(page.contains(&format!("<html lang=\"{code}\">")) && page.contains("<footer>"));
        }
    }
}

/// The words of every card as they were last looked at. `HERSTEL_CARDS=write` writes them anew, to be read by somebody.
#[test]
#[allow(clippy::disallowed_methods, reason = "asked for by whoever runs the tests")]
fn every_card_reads_as_it_was_approved() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cards");
    let mut kept = 0;
    for (topic, lang, code) in all() {
        let path = folder.join(format!("{}.{code}.txt", topic.as_str()));
        let shown = card(lang, topic, None).text(lang, COLUMNS);
        if std::env::var("HERSTEL_CARDS").is_ok_and(|word| word == "write") {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &shown).unwrap();
        }
        let approved = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(shown, approved, "{}", path.display());
        kept += 1;
    }
    assert_eq!(kept, std::fs::read_dir(&folder).unwrap().count(), "no card is left over in {}", folder.display());
}

fn table(paper: &Paper) -> (Vec<String>, Vec<Vec<String>>) {
    let tables = paper.sections.iter().flat_map(|section| &section.items).filter_map(|items| match items {
        Items::Table { head, rows } => Some((head.clone(), rows.clone())),
        _ => None,
    });
    let mut tables: Vec<_> = tables.collect();
    assert_eq!(tables.len(), 1);
    tables.remove(0)
}

#[test]
fn the_waits_of_all_eras_stand_side_by_side() {
    let (head, rows) = table(&card(Lang::En, Topic::Lockout, None));
    assert_eq!(head, ["WRONG CODE", "from about iOS 17", "about iOS 9 to 17", "until about iOS 9"]);
    let row = |number: &str| rows.iter().find(|row| row[0] == number).unwrap_or_else(|| panic!("{number}: {rows:?}"));
    assert_eq!(row("1-3"), &["1-3", "no wait", "no wait", "no wait"]);
    assert_eq!(row("6"), &["6", "15 min", "5 min", "1 min"]);
    assert_eq!(row("8"), &["8", "3 hours", "15 min", "15 min"]);
    assert_eq!(row("9"), &["9", "8 hours", "1 hour", "1 hour"]);
    assert_eq!(row("10"), &["10", "for good", "for good", "for good"]);
    assert_eq!(row("Erase Data"), &["Erase Data", "erases at 10", "erases at 10", "erases at 11"]);
}

#[test]
fn a_devices_own_era_comes_first_and_the_others_stay() {
    let old = card(Lang::Nl, Topic::Lockout, Some(&phone(Some("12.5.8"))));
    let (head, rows) = table(&old);
    assert!(head[1].starts_with("DEZE: ca. iOS 9 tot 17") && head.len() == 4, "{head:?}");
    assert_eq!(rows.iter().find(|row| row[0] == "6").unwrap()[1], "5 min.");
    let shown = old.text(Lang::Nl, COLUMNS);
    assert!(shown.contains("Op Anna's iPhone draait 12.5.8") && shown.contains("is uitgeschakeld"), "{shown}");
    assert!(!shown.contains("Security Lockout"), "of known version: its own screen only\n{shown}");
    assert!(old.is_virtual);
    let dark = card(Lang::En, Topic::Lockout, Some(&phone(None))).text(Lang::En, COLUMNS);
    assert!(dark.contains("does not tell its version") && !dark.contains("THIS ONE"), "{dark}");
    assert!(!card(Lang::En, Topic::Sim, Some(&phone(None))).is_virtual, "nothing of a device is on it");
}

#[test]
fn what_a_device_says_of_itself_stays_short() {
    let long = For { serial: Some("9".repeat(4000)), ..phone(None) };
    let endless = For { title: "Anna ".repeat(4000), ..phone(None) };
    for (topic, device) in [(Topic::BeforeRepair, long), (Topic::Lockout, endless)] {
        let shown = card(Lang::Nl, topic, Some(&device)).text(Lang::Nl, COLUMNS);
        assert!(shown.lines().count() <= PAGE, "{topic:?}:\n{shown}");
    }
}

#[test]
fn no_table_of_waits_is_promised() {
    for lang in [Lang::En, Lang::Nl] {
        let shown = card(lang, Topic::Lockout, None).text(lang, COLUMNS);
        let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        let needed = match lang {
            Lang::En => [
                "The time on its own screen counts",
                "Do not restart it",
                "is not counted twice",
                "10th or 11th",
                "The sources disagree",
            ],
            Lang::Nl => [
                "De tijd op het scherm zelf telt",
                "Start het niet opnieuw",
                "telt niet dubbel",
                "10e of 11e",
                "spreken elkaar tegen",
            ],
        };
        assert!(needed.iter().all(|words| flat.contains(words)), "{shown}");
    }
}
