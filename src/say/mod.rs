//! What people read, in English and Dutch.
//!
//! One exhaustive match per language over the same keys: a missing text does not compile. Codes, JSON and
//! logs stay English; only what a person reads on a terminal or a sheet comes from here. The Dutch is
//! written, not translated word by word: "je", and the words that Dutch phones show on their screens.

mod batch;
pub mod board;
pub mod bundle;
pub mod cards;
mod cards_en;
mod cards_nl;
pub mod certificate;
mod chance;
mod coach;
pub mod codes;
pub mod doctor;
mod doctor_en;
mod doctor_nl;
mod en;
mod faults_en;
mod faults_nl;
mod found;
pub mod lockout;
mod next_step;
mod nl;
mod preflight;
mod remedies;
pub mod restore;
pub mod scenario;
pub mod sheet;
pub mod stations;
mod text;
pub mod triage;
mod triage_en;
mod triage_nl;
mod width;

pub use batch::{Batch, action, batch, phase, wants};
pub use coach::{Coach, coach, keys};
pub use found::{Found, FoundKind, found};
pub use next_step::{on_bench, to_dfu, wanted};
pub use text::{Advice, Text};
pub use width::{cut, padded, width};

use crate::event::{Caveat, Check, Ground, Hurdle, Need, Possible, Request, Step, Verdict};
use crate::fault::known::Space;
use crate::fault::{Class, Code, Fault, Remedy, Retry};
use std::str::FromStr;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    #[default]
    En,
    Nl,
}

impl Lang {
    /// As `--lang` and HTML have it.
    pub fn code(self) -> &'static str {
        match self {
            Lang::En => "en",
            Lang::Nl => "nl",
        }
    }
}

impl FromStr for Lang {
    type Err = String;
    /// Takes `en`, `nl` and whole locale names such as `nl_NL.UTF-8`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.get(..2).map(str::to_ascii_lowercase).as_deref() {
            Some("nl") => Ok(Lang::Nl),
            Some("en") | Some("c") => Ok(Lang::En),
            _ if text == "C" || text == "POSIX" => Ok(Lang::En),
            _ => Err(format!("no texts in {text:?}; there is en and nl")),
        }
    }
}

pub fn text(lang: Lang, text: &Text) -> String {
    match lang {
        Lang::En => en::text(text),
        Lang::Nl => nl::text(text),
    }
}

/// What happened and what to do next.
pub fn fault(lang: Lang, code: Code) -> Advice {
    match lang {
        Lang::En => faults_en::fault(code),
        Lang::Nl => faults_nl::fault(code),
    }
}

/// The same for what a device's number means.
pub fn remedy(lang: Lang, remedy: Remedy) -> Advice {
    match lang {
        Lang::En => remedies::en(remedy),
        Lang::Nl => remedies::nl(remedy),
    }
}

/// The step while it runs, in a few words.
pub fn step(lang: Lang, step: Step) -> &'static str {
    match lang {
        Lang::En => en::step(step),
        Lang::Nl => nl::step(step),
    }
}

pub fn request(lang: Lang, request: &Request) -> String {
    match lang {
        Lang::En => en::request(request),
        Lang::Nl => nl::request(request),
    }
}

/// What a hurdle on the way to trust means.
pub fn hurdle(lang: Lang, hurdle: Hurdle) -> &'static str {
    match lang {
        Lang::En => en::hurdle(hurdle),
        Lang::Nl => nl::hurdle(hurdle),
    }
}

/// Can a backup be made? In one line.
pub fn possible(lang: Lang, possible: Possible) -> &'static str {
    match lang {
        Lang::En => chance::possible_en(possible),
        Lang::Nl => chance::possible_nl(possible),
    }
}

/// Why, and what that means.
pub fn ground(lang: Lang, ground: Ground) -> &'static str {
    match lang {
        Lang::En => chance::ground_en(ground),
        Lang::Nl => chance::ground_nl(ground),
    }
}

/// What else to know before anything is erased.
pub fn caveat(lang: Lang, caveat: Caveat) -> &'static str {
    match lang {
        Lang::En => chance::caveat_en(caveat),
        Lang::Nl => chance::caveat_nl(caveat),
    }
}

/// What was looked at before a restore.
pub fn check(lang: Lang, check: Check) -> &'static str {
    match lang {
        Lang::En => preflight::check_en(check),
        Lang::Nl => preflight::check_nl(check),
    }
}

pub fn verdict(lang: Lang, verdict: Verdict) -> &'static str {
    match lang {
        Lang::En => preflight::verdict_en(verdict),
        Lang::Nl => preflight::verdict_nl(verdict),
    }
}

/// What a warning of a check means.
pub fn warning(lang: Lang, check: Check) -> &'static str {
    match lang {
        Lang::En => preflight::warning_en(check),
        Lang::Nl => preflight::warning_nl(check),
    }
}

/// What a person has to have at hand.
pub fn need(lang: Lang, need: Need) -> &'static str {
    match lang {
        Lang::En => preflight::need_en(need),
        Lang::Nl => preflight::need_nl(need),
    }
}

/// A key by its word in events.
pub fn key(lang: Lang, word: &str) -> &'static str {
    match lang {
        Lang::En => en::key(word),
        Lang::Nl => nl::key(word),
    }
}

pub fn class(lang: Lang, class: Class) -> &'static str {
    match lang {
        Lang::En => en::class(class),
        Lang::Nl => nl::class(class),
    }
}

pub fn retry(lang: Lang, retry: Retry) -> &'static str {
    match lang {
        Lang::En => en::retry(retry),
        Lang::Nl => nl::retry(retry),
    }
}

/// What happened and what helps: by the device's number where it told one.
pub fn advice(lang: Lang, fault: &Fault) -> Advice {
    fault.remedy.map_or_else(|| self::fault(lang, fault.code), |remedy| self::remedy(lang, remedy))
}

/// A whole failure as a person reads it: what, where, whose, what next, whether to retry.
pub fn whole_fault(lang: Lang, fault: &Fault) -> Vec<String> {
    let advice = advice(lang, fault);
    let mut lines = vec![format!("{} ({})", advice.what, fault.code)];
    if let Some(stage) = &fault.stage {
        lines.push(text(lang, &Text::FaultStage { stage: stage.clone() }));
    }
    if let Some(device) = fault.device {
        lines.push(text(lang, &Text::FaultDevice { device: device.to_string() }));
    }
    if !fault.detail.is_empty() {
        lines.push(text(lang, &Text::FaultDetail { detail: fault.detail.clone() }));
    }
    if let Some(standing) = &fault.restore {
        lines.extend(restore::lines(lang, standing));
    }
    // A restore's status is told above, and a backup's number is what the advice is about.
    if let (Some(Space::Tss), Some(number)) = (fault.space(), fault.number)
        && let Some(told) = codes::number(lang, Space::Tss, number)
    {
        lines.push(text(lang, &Text::FaultNumber { number: number.to_string(), means: told.what }));
    }
    lines.push(text(lang, &Text::FaultWhose { whose: class(lang, fault.class) }));
    lines.push(text(lang, &Text::FaultNext { next: advice.next }));
    lines.push(retry(lang, fault.retry).to_owned());
    if fault.code != Code::Cancelled {
        let codes: Vec<String> = explainable(fault).iter().map(|code| format!("`herstel explain {code}`")).collect();
        lines.push(text(lang, &Text::FaultMore { codes: codes.join(", ") }));
    }
    lines
}

/// A text from outside as a terminal or a page may have it: what would be taken as an order, or would turn the direction
/// of a line, becomes a question mark. Ends of lines stay.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { c } else { plain_char(c) }).collect()
}

/// The same for one character, which ends no line.
pub fn plain_char(c: char) -> char {
    match c {
        '\t' | '\n' => ' ',
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => '?',
        c if c.is_control() => '?',
        c => c,
    }
}

/// What of a failure `explain` knows more about: the device's number or word, as it is typed there, and our own code.
pub fn explainable(fault: &Fault) -> Vec<String> {
    let number = fault.number.zip(fault.space()).and_then(|(number, space)| match space {
        Space::Restored => Some(format!("AMRError {number}")),
        Space::Tss => Some(format!("tss {number}")),
        Space::Backup => Some(format!("MB {number}")),
        _ => None,
    });
    let word = codes::lockdown_word(&fault.detail).map(str::to_owned);
    number.into_iter().chain(word).chain([fault.code.to_string()]).collect()
}

/// Words in lines of at most `columns` columns.
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last().map_or(0, |l| width(l));
        if last > 0 && last + 1 + width(word) > columns {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_says_what_and_what_next_in_both_languages() {
        for &code in Code::ALL {
            let (en, nl) = (fault(Lang::En, code), fault(Lang::Nl, code));
            for (advice, lang) in [(en, "en"), (nl, "nl")] {
                assert!(advice.what.len() > 8 && advice.next.len() > 8, "{code} {lang}");
                assert!(advice.next.ends_with('.'), "{code} {lang}: {}", advice.next);
            }
            assert_ne!(en.what, nl.what, "{code} is not in Dutch");
        }
    }

    #[test]
    fn every_remedy_says_what_and_what_next_in_both_languages() {
        for &each in Remedy::ALL {
            let (en, nl) = (remedy(Lang::En, each), remedy(Lang::Nl, each));
            for advice in [en, nl] {
                assert!(advice.what.len() > 8 && advice.next.ends_with('.'), "{}", each.as_str());
            }
            assert!(en.what != nl.what && en.next != nl.next, "{} is not in Dutch", each.as_str());
            let fault = Fault::new(Code::BackupRefused, "x").remedy(each);
            for lang in [Lang::En, Lang::Nl] {
                assert!(
                    whole_fault(lang, &fault).concat().contains(remedy(lang, each).next),
                    "it is what a person reads"
                );
            }
        }
    }

    #[test]
    fn a_failure_says_what_explain_knows_more_about() {
        let last = |lang, fault: &Fault| whole_fault(lang, fault).pop().unwrap_or_default();
        let fault = Fault::new(Code::TssNotSigned, "STATUS=94").number(94);
        assert_eq!(last(Lang::En, &fault), "  more    `herstel explain tss 94`, `herstel explain tss-not-signed`");
        let (en, nl) = (whole_fault(Lang::En, &fault).join("\n"), whole_fault(Lang::Nl, &fault).join("\n"));
        assert!(en.contains("  number  94: Apple does not sign this build"), "{en}");
        assert!(nl.contains("  nummer   94: Apple ondertekent deze build niet"), "{nl}");
        let backup = Fault::new(Code::DiskFull, "x").number(105).remedy(Remedy::HostRoom);
        assert_eq!(explainable(&backup), ["MB 105", "disk-full"]);
        let restore = Fault::new(Code::AsrFailed, "x").number(14).standing(crate::fault::Standing::default());
        assert_eq!(explainable(&restore), ["AMRError 14", "asr-failed"]);
        let locked = Fault::new(Code::DeviceLocked, "the device says PasswordProtected");
        assert_eq!(explainable(&locked), ["PasswordProtected", "device-locked"]);
        assert_eq!(explainable(&Fault::new(Code::UsbGone, "usb").number(5)), ["usb-gone"], "a number of nobody");
        for &code in Code::ALL {
            let told = last(Lang::Nl, &Fault::new(code, "x"));
            assert_eq!(told.starts_with("  meer     `herstel explain "), code != Code::Cancelled, "{told}");
        }
    }

    #[test]
    fn the_chance_of_a_backup_is_said_in_both_languages() {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        pairs.extend(Possible::ALL.iter().map(|p| (possible(Lang::En, *p), possible(Lang::Nl, *p))));
        pairs.extend(Ground::ALL.iter().map(|g| (ground(Lang::En, *g), ground(Lang::Nl, *g))));
        pairs.extend(Caveat::ALL.iter().map(|c| (caveat(Lang::En, *c), caveat(Lang::Nl, *c))));
        for (en, nl) in &pairs {
            assert!(en != nl && en.ends_with('.') && nl.ends_with('.') && en.len() > 20 && nl.len() > 20, "{en} {nl}");
        }
        assert_eq!(pairs.len(), 4 + 11 + 4);
    }

    #[test]
    fn what_is_looked_at_before_a_restore_is_said_in_both_languages() {
        for &each in Check::ALL {
            let (en, nl) = (warning(Lang::En, each), warning(Lang::Nl, each));
            assert!(en != nl && en.ends_with('.') && nl.ends_with('.'), "{en} {nl}");
            assert_ne!(check(Lang::En, each), check(Lang::Nl, each));
        }
        assert!(Need::ALL.iter().all(|n| need(Lang::En, *n) != need(Lang::Nl, *n)));
        let all = [Verdict::NotApplicable, Verdict::Good, Verdict::Unknown, Verdict::Warning, Verdict::Blocking];
        assert!(all.iter().all(|v| verdict(Lang::En, *v) != verdict(Lang::Nl, *v)));
    }

    #[test]
    fn every_hurdle_fits_a_line_in_both_languages() {
        for &each in Hurdle::ALL {
            let (en, nl) = (hurdle(Lang::En, each), hurdle(Lang::Nl, each));
            assert_ne!(en, nl);
            for text in [en, nl] {
                // With the mark of the bench before it: 80 columns.
                assert!(text.ends_with('.') && text.chars().count() <= 65, "{text}");
            }
        }
    }

    #[test]
    fn languages_come_from_locales() {
        assert_eq!("nl_NL.UTF-8".parse(), Ok(Lang::Nl));
        assert_eq!("C".parse(), Ok(Lang::En));
        assert!("de_DE".parse::<Lang>().is_err());
    }

    #[test]
    fn a_text_from_outside_gives_no_orders() {
        assert_eq!(plain("An\x1b[31mna\u{202e}\tx\ny\r"), "An?[31mna? x\ny?");
    }

    #[test]
    fn long_words_wrap() {
        assert_eq!(wrapped("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrapped("", 5), [""]);
    }
}
