//! No cell is empty, every word has its text, and nothing promises too much.

use super::*;
use crate::say::wrapped;

#[test]
fn every_cell_is_filled_in_both_languages() {
    let tables = [(ITUNES, 7), (OTHERS, 7), (RESTORED_TEXT, 5), (GROUPS_TEXT, 3), (WORDS_TEXT, 3), (MEASURES_TEXT, 3)];
    for (text, columns) in tables {
        for line in lines(text) {
            let cells: Vec<&str> = line.split('\t').collect();
            assert_eq!(cells.len(), columns, "{line}");
            for pair in cells[1..].chunks(2) {
                let (en, nl) = (pair[0], pair[1]);
                let none = columns > 3 && (en, nl) == ("-", "-") && pair.as_ptr() == cells[columns - 2..].as_ptr();
                assert!(none || (en != nl && en.len() > 3 && nl.len() > 3), "{line}");
                assert!(!en.contains("  ") && !nl.contains("  ") && en.trim() == en && nl.trim() == nl, "{line}");
            }
        }
    }
    let count = |text| lines(text).count();
    assert_eq!(ENTRIES.len(), count(ITUNES) + count(OTHERS), "a key twice");
    let small = (RESTORED.len(), GROUPS.len(), WORDS.len(), MEASURES.len());
    assert_eq!(small, (count(RESTORED_TEXT), count(GROUPS_TEXT), count(WORDS_TEXT), count(MEASURES_TEXT)));
}

#[test]
fn every_word_has_its_text_and_every_text_its_word() {
    assert!(Measure::ALL.iter().all(|m| MEASURES.contains_key(m.as_str())));
    assert_eq!(MEASURES.len(), Measure::ALL.len());
    let mut words: Vec<String> = Vec::new();
    words.extend(Course::ALL.iter().map(|w| format!("course/{}", w.as_str())));
    words.extend(Space::ALL.iter().map(|w| format!("space/{}", w.as_str())));
    words.extend(Certainty::ALL.iter().map(|w| format!("certainty/{}", w.as_str())));
    words.extend(Witness::ALL.iter().map(|w| format!("witness/{}", w.as_str())));
    words.extend(["backup", "restore", "password"].map(|w| format!("purpose/{w}")));
    assert!(words.iter().all(|w| WORDS.contains_key(w.as_str())), "{words:?}");
    assert_eq!(WORDS.len(), words.len());
}

#[test]
fn sentences_end_as_sentences_and_titles_fit_a_line() {
    for (key, entry) in ENTRIES.iter() {
        for text in [entry.what.0, entry.what.1] {
            assert!(!text.ends_with('.') && text.chars().count() <= 76, "{key}: {text}");
        }
        let hint = entry.hint.map_or([entry.cause.0; 2], |hint| [hint.0, hint.1]);
        for text in [entry.cause.0, entry.cause.1, hint[0], hint[1]] {
            assert!(text.ends_with('.') && wrapped(text, 69).iter().all(|line| line.chars().count() <= 69), "{key}");
        }
    }
    assert!(MEASURES.values().chain(GROUPS.values()).all(|(en, nl)| en.ends_with('.') && nl.ends_with('.')));
}

#[test]
fn nothing_promises_a_way_round_a_lock() {
    let all = [ITUNES, OTHERS, RESTORED_TEXT, GROUPS_TEXT, WORDS_TEXT, MEASURES_TEXT].concat().to_lowercase();
    for word in ["bypass", "crack", "omzeil", "jailbreak", "hack"] {
        assert!(!all.contains(word), "{word}");
    }
}

#[test]
fn a_number_alone_finds_its_text() {
    let what = |space, n| number(Lang::En, space, n).map(|told| told.what);
    assert_eq!(what(Space::Tss, 94), Some("Apple does not sign this build for this device"));
    assert_eq!(what(Space::ITunes, 1110), row(Lang::En, Space::ITunes, "1110").map(|told| told.what));
    assert_eq!(what(Space::Restored, 53), restore::status(Lang::En, 53));
    assert_eq!((what(Space::Tss, 7), what(Space::Restored, 0)), (None, None));
}

#[test]
fn labels_fit_their_column() {
    for lang in [Lang::En, Lang::Nl] {
        for each in [Label::When, Label::Means, Label::Exit, Label::Whose, Label::Source, Label::Near, Label::Place] {
            assert!(label(lang, each).chars().count() < label_width(lang));
        }
        assert_eq!(again(lang, crate::fault::Retry::Now).split(',').count(), 2);
        assert!(!again(lang, crate::fault::Retry::Never).contains("  "));
    }
}
