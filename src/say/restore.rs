//! A restore in people's words: operations, checkpoints, the numbers that a device ends with, and what state it is
//! in afterwards with the way back.
//!
//! The numbers are open-ended, so they are tables (`restore/*.tsv`: key, English, Dutch); what is in no table is told
//! by its number and never guessed at. A number inside the device's error chain is of another domain and is not
//! looked up here.

use super::Lang;
use crate::fault::{DeviceState, SeenIn, Standing};
use std::collections::HashMap;
use std::sync::LazyLock;

/// Key, English, Dutch.
type Table = HashMap<&'static str, (&'static str, &'static str)>;

static OPERATIONS: LazyLock<Table> = LazyLock::new(|| table(include_str!("restore/operations.tsv")));
static CHECKPOINTS: LazyLock<Table> = LazyLock::new(|| table(include_str!("restore/checkpoints.tsv")));
static STATUS: LazyLock<Table> = LazyLock::new(|| table(include_str!("restore/status.tsv")));

fn table(text: &'static str) -> Table {
    let row = |line: &'static str| {
        let (key, words) = line.split_once('\t')?;
        Some((key, words.split_once('\t')?))
    };
    text.lines().filter_map(row).collect()
}

fn words(table: &Table, lang: Lang, key: &str) -> Option<&'static str> {
    table.get(key).map(|(en, nl)| match lang {
        Lang::En => *en,
        Lang::Nl => *nl,
    })
}

/// What an operation does, by today's number; an unknown one says its number.
pub fn operation(lang: Lang, number: u64) -> String {
    let known = words(&OPERATIONS, lang, &number.to_string()).map(str::to_owned);
    known.unwrap_or_else(|| match lang {
        Lang::En => format!("Operation {number}"),
        Lang::Nl => format!("Bewerking {number}"),
    })
}

/// What a step does that the device calls `name`; an unknown one keeps the device's name, or its number.
pub fn checkpoint(lang: Lang, id: u16, name: &str) -> String {
    match words(&CHECKPOINTS, lang, name) {
        Some(words) => words.to_owned(),
        None if name.is_empty() => format!("0x{id:X}"),
        None => shown(name),
    }
}

/// What a final status or AMRError means; none for numbers without a reliable meaning.
pub fn status(lang: Lang, number: i64) -> Option<&'static str> {
    words(&STATUS, lang, &number.to_string())
}

/// A device's word, on one line.
fn shown(text: &str) -> String {
    text.chars().map(super::plain_char).take(400).collect()
}

/// Where it stood, what the device said, and where that leaves the device: one line each.
pub(super) fn lines(lang: Lang, standing: &Standing) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |en: &str, nl: &str, text: String| {
        lines.push(match lang {
            Lang::En => format!("  {en:8}{text}"),
            Lang::Nl => format!("  {nl:9}{text}"),
        });
    };
    if let Some(code) = standing.operation {
        let percent = standing.percent.map(|p| format!(", {p} %")).unwrap_or_default();
        line("during", "tijdens", format!("{} ({code}){percent}", operation(lang, code)));
    }
    if let Some(id) = standing.checkpoint {
        let name = standing.checkpoint_name.as_deref().unwrap_or_default();
        let place = shown(format!("0x{id:X} {name}").trim_end());
        line("step", "stap", format!("{} ({place})", checkpoint(lang, id, name)));
    }
    if let Some(number) = standing.status {
        let meaning = status(lang, number).map(|m| format!(": {m}")).unwrap_or_default();
        line("status", "status", format!("{number}{meaning}"));
    }
    for error in &standing.errors {
        line("said", "zei", shown(error));
    }
    let (now, back) = (seen(lang, standing.mode), way_back(lang, standing.device_state, standing.mode));
    line("state", "stand", format!("{now} {back}"));
    lines
}

/// Where it is. Nobody may have looked.
pub fn seen(lang: Lang, seen: Option<SeenIn>) -> &'static str {
    let (en, nl) = match seen {
        Some(SeenIn::Normal) => ("It has started its system.", "Het heeft zijn systeem gestart."),
        Some(SeenIn::Recovery) => ("It is in recovery mode.", "Het staat in de herstelmodus."),
        Some(SeenIn::Dfu) => ("It is in DFU mode.", "Het staat in de DFU-modus."),
        Some(SeenIn::Restore) => ("It is still in the restore system.", "Het staat nog in het herstelsysteem."),
        Some(SeenIn::Other) => {
            ("It is in a mode that leads nowhere by itself.", "Het staat in een modus die nergens heen leidt.")
        }
        Some(SeenIn::Gone) => (
            "It is not on USB: check the cable, wait a minute, or bring it into recovery (`herstel guide recovery`).",
            "Het is er niet via USB: controleer de kabel, wacht een minuut, of breng het in de herstelmodus (`herstel guide recovery`).",
        ),
        None => (
            "It goes into recovery mode by itself; if not, `herstel guide recovery` leads it there.",
            "Het gaat vanzelf naar de herstelmodus; zo niet, dan brengt `herstel guide recovery` het daar.",
        ),
    };
    match lang {
        Lang::En => en,
        Lang::Nl => nl,
    }
}

/// What is left of it, and the way back.
pub fn way_back(lang: Lang, state: DeviceState, seen: Option<SeenIn>) -> &'static str {
    let started = seen == Some(SeenIn::Normal);
    let (en, nl) = match state {
        DeviceState::Untouched if started => (
            "This attempt changed nothing on it; `herstel resume` begins the restore again.",
            "Deze poging heeft er niets aan veranderd; `herstel resume` begint het herstel opnieuw.",
        ),
        DeviceState::Untouched => (
            "This attempt changed nothing on it: `herstel resume` goes on, `herstel guide exit` starts the system that it had.",
            "Deze poging heeft er niets aan veranderd: `herstel resume` gaat verder, `herstel guide exit` start het systeem dat erop stond.",
        ),
        DeviceState::HalfUpdated => (
            "Its data is still on it, its system is not whole: do not erase it, `herstel resume` finishes the update.",
            "De gegevens staan er nog op, het systeem is niet heel: niet wissen, `herstel resume` maakt het bijwerken af.",
        ),
        DeviceState::HalfErased => (
            "It is erased and its system is not whole, so it will not start: `herstel resume` finishes it.",
            "Het is gewist en het systeem is niet heel, dus het start niet op: `herstel resume` maakt het af.",
        ),
        DeviceState::Unknown => (
            "What is left of its system is not known: `herstel resume` begins the restore again.",
            "Wat er van het systeem over is, is niet bekend: `herstel resume` begint het herstel opnieuw.",
        ),
    };
    match lang {
        Lang::En => en,
        Lang::Nl => nl,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Code, Fault};
    use crate::ids::Mode;

    #[test]
    fn every_row_is_in_both_languages_and_every_line_is_a_row() {
        for (text, table) in [
            (include_str!("restore/operations.tsv"), &OPERATIONS),
            (include_str!("restore/checkpoints.tsv"), &CHECKPOINTS),
            (include_str!("restore/status.tsv"), &STATUS),
        ] {
            assert_eq!(table.len(), text.lines().count(), "a line that is no row, or a key twice");
            for (key, (en, nl)) in table.iter() {
                assert!(en.len() > 6 && nl.len() > 6 && en != nl && !nl.contains('\t'), "{key}: {en} / {nl}");
            }
        }
        assert!(OPERATIONS.keys().chain(STATUS.keys()).all(|key| key.parse::<i64>().is_ok()));
    }

    #[test]
    fn unknown_numbers_are_told_and_not_guessed() {
        assert_eq!(operation(Lang::Nl, 79), "Bewerking 79");
        assert_eq!(operation(Lang::En, 77), "Sealing the system volume");
        assert_eq!(checkpoint(Lang::En, 0x1234, ""), "0x1234");
        assert_eq!(checkpoint(Lang::Nl, 0x1234, "brew_\u{1b}[2Jtea"), "brew_?[2Jtea");
        assert_eq!(status(Lang::En, 1017), None, "a number of another domain");
    }

    #[test]
    fn a_failure_names_place_cause_state_and_way_back() {
        let standing = Standing {
            operation: Some(18),
            percent: Some(40),
            checkpoint: Some(0x634),
            checkpoint_name: Some("fdr_recover".into()),
            status: Some(53),
            errors: vec!["Failed to recover FDR data.".into()],
            device_state: DeviceState::HalfErased,
            ..Standing::default()
        };
        let fault = Fault::new(Code::FdrFailed, "x").number(53).standing(standing).seen_in(Some(Mode::Recovery));
        let en = crate::say::whole_fault(Lang::En, &fault).join("\n");
        for text in
            ["Writing boot firmware (18), 40 %", "0x634 fdr_recover", "53: the data of a part", "said    Failed"]
        {
            assert!(en.contains(text), "{text}: {en}");
        }
        assert!(en.contains("It is in recovery mode. It is erased") && en.contains("herstel resume"), "{en}");
        let nl = crate::say::whole_fault(Lang::Nl, &fault).join("\n");
        assert!(nl.contains("Opstartfirmware schrijven (18), 40 %") && nl.contains("Het is gewist"), "{nl}");
    }

    #[test]
    fn every_state_has_a_way_back_in_both_languages() {
        for state in DeviceState::ALL {
            for mode in SeenIn::ALL.iter().copied().map(Some).chain([None]) {
                let (en, nl) = (way_back(Lang::En, *state, mode), way_back(Lang::Nl, *state, mode));
                assert!(en != nl && en.contains("herstel resume") && nl.contains("herstel resume"), "{en}");
                assert_ne!(seen(Lang::En, mode), seen(Lang::Nl, mode));
            }
        }
    }
}
