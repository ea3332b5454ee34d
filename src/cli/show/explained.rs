//! A code, explained: as fields for scripts, and as a card or a line for people.

use super::table::table as columns;
use super::wrap::{COLUMNS, wrapped};
use crate::facts::backup_errors::{Meaning, Purpose};
use crate::facts::codes::ask::{self, Asked};
use crate::facts::codes::{Group, Hit};
use crate::fault::known::{Certainty, Course, Measure, Space, Witness};
use crate::fault::{Class, Code, DeviceState, Fault, Remedy, Retry};
use crate::say::{self, Lang, Text, codes as words};
use serde::Serialize;
use serde_json::{Value, json};
use std::io::IsTerminal;

/// One thing to do.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// The stable word.
    pub measure: &'static str,
    pub text: &'static str,
}

/// One meaning of one code. What is unknown or makes no sense in its space is null.
#[derive(Clone, Debug, Serialize)]
pub struct Explained {
    pub code: String,
    pub space: Space,
    /// All codes that mean the same, as the table has them.
    pub codes: String,
    /// Of a backup's number: what was asked of the device.
    pub when: Option<&'static str>,
    /// A part of the device's text, in lower case, that this row is only for.
    pub when_text: Option<&'static str>,
    pub meaning: String,
    pub cause: Option<&'static str>,
    /// What repair shops say; not certain.
    pub hint: Option<&'static str>,
    pub measures: Vec<Step>,
    pub retry_classes: Vec<Course>,
    pub retry: Option<Retry>,
    pub stop_rule: Option<&'static str>,
    pub certainty: Option<Certainty>,
    pub seen_by: Vec<Witness>,
    /// What Herstel calls it.
    pub fault: Option<Code>,
    pub class: Option<Class>,
    pub exit_code: Option<u8>,
}

impl Explained {
    /// None where a text is missing, which a test rules out.
    pub fn of(lang: Lang, code: &str, hit: &Hit) -> Option<Explained> {
        let code = code.to_owned();
        Some(match hit {
            Hit::Row(row) => {
                let told = words::row(lang, row.space, row.codes)?;
                Explained {
                    codes: row.codes.to_owned(),
                    measures: steps(lang, &row.measures),
                    stop_rule: stop_rule(lang, &row.courses),
                    retry_classes: row.courses.clone(),
                    certainty: Some(row.certainty),
                    seen_by: row.witnesses.clone(),
                    ..Explained::new(code, row.space, told)
                }
            }
            Hit::Restored(number, verdict) => {
                let (certainty, witness) = match verdict.seen {
                    true => (Certainty::Seen, Witness::RestoreLogs),
                    false => (Certainty::Apple, Witness::CodeLists),
                };
                Explained {
                    codes: number.to_string(),
                    measures: steps(lang, &verdict.measures),
                    stop_rule: stop_rule(lang, &verdict.courses),
                    retry_classes: verdict.courses.clone(),
                    retry: Some(verdict.retry),
                    certainty: Some(certainty),
                    seen_by: vec![witness],
                    fault: Some(verdict.code),
                    class: Some(verdict.code.class()),
                    exit_code: Some(verdict.code.exit()),
                    ..Explained::new(code, Space::Restored, words::restored(lang, *number)?)
                }
            }
            Hit::Backup(row) => {
                let advice = say::remedy(lang, row.remedy);
                Explained {
                    codes: row.number.to_string(),
                    when: row.purpose.map(purpose),
                    when_text: row.hint,
                    measures: vec![Step { measure: row.remedy.as_str(), text: advice.next }],
                    retry_classes: vec![course(row)],
                    retry: Some(row.retry),
                    certainty: Some(row.certainty),
                    seen_by: vec![Witness::BackupLogs],
                    fault: Some(row.fault),
                    class: Some(row.fault.class()),
                    exit_code: Some(row.fault.exit()),
                    ..Explained::new(code, Space::Backup, words::Told { what: advice.what, cause: "", hint: None })
                }
            }
            Hit::Ours(ours) => {
                let advice = say::fault(lang, *ours);
                Explained {
                    codes: ours.to_string(),
                    measures: vec![Step { measure: ours.as_str(), text: advice.next }],
                    retry: Some(ours.retry()),
                    certainty: Some(Certainty::Seen),
                    seen_by: vec![Witness::Herstel],
                    fault: Some(*ours),
                    class: Some(ours.class()),
                    exit_code: Some(ours.exit()),
                    ..Explained::new(code, Space::Herstel, words::Told { what: advice.what, cause: "", hint: None })
                }
            }
        })
    }

    fn new(code: String, space: Space, told: words::Told) -> Explained {
        Explained {
            code,
            space,
            codes: String::new(),
            when: None,
            when_text: None,
            meaning: capital(told.what),
            cause: Some(told.cause).filter(|cause| !cause.is_empty()),
            hint: told.hint,
            measures: Vec::new(),
            retry_classes: Vec::new(),
            retry: None,
            stop_rule: None,
            certainty: None,
            seen_by: Vec::new(),
            fault: None,
            class: None,
            exit_code: None,
        }
    }

    /// When a number of a backup has this meaning.
    fn condition(&self, lang: Lang) -> Option<String> {
        let text = self.when_text.map(|text| match lang {
            Lang::En => format!("where its text has \"{text}\""),
            Lang::Nl => format!("als er \"{text}\" in de tekst staat"),
        });
        let parts: Vec<String> =
            self.when.map(|when| words::purpose(lang, when).to_owned()).into_iter().chain(text).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// `above`: a meaning of the same code that was just told; what it said is not said again.
    fn lines(&self, lang: Lang, above: Option<&Explained>) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut line = |en: &str, nl: &str, text: &str| lines.push(labelled(lang, en, nl, text));
        line("means", "wat", &self.meaning);
        self.cause.iter().for_each(|cause| line("cause", "reden", cause));
        self.hint.iter().for_each(|hint| line("hint", "hint", &uncertain(lang, hint)));
        if let Some(class) = self.class.filter(|_| self.space == Space::Herstel) {
            line("whose", "oorzaak", say::class(lang, class));
        }
        let words_of = |of: &Explained| of.measures.iter().map(|step| step.measure).collect::<Vec<_>>();
        let same = above.is_some_and(|above| words_of(above) == words_of(self));
        match lang {
            Lang::En if same => line("do", "doen", "as above"),
            Lang::Nl if same => line("do", "doen", "als hierboven"),
            _ => lines.extend(numbered(lang, &self.measures)),
        }
        let mut line = |en: &str, nl: &str, text: &str| lines.push(labelled(lang, en, nl, text));
        let then = match lang {
            Lang::En => "; then ",
            Lang::Nl => "; daarna ",
        };
        let ways: Vec<&str> = self.retry_classes.iter().map(|each| words::course(lang, *each)).collect();
        match self.retry {
            _ if !ways.is_empty() => line("retry", "opnieuw", &ways.join(then)),
            Some(retry) => line("", "", say::retry(lang, retry)),
            None => {}
        }
        if let Some(rule) = self.stop_rule.filter(|rule| above.and_then(|above| above.stop_rule) != Some(rule)) {
            line("stop", "stop", rule);
        }
        if let Some(exit) = self.exit_code.filter(|_| self.space == Space::Herstel) {
            line("exit", "exitcode", &exit.to_string());
        } else if let Some(certainty) = self.certainty {
            let by: Vec<&str> = self.seen_by.iter().map(|each| words::witness(lang, *each)).collect();
            line("source", "bron", &format!("{}; {}", words::certainty(lang, certainty), by.join(", ")));
        }
        lines
    }
}

/// What stands in the column of the labels, and the text beside it.
type Line = (String, String);

fn labelled(lang: Lang, en: &str, nl: &str, text: &str) -> Line {
    let head = match lang {
        _ if en.is_empty() => String::new(),
        Lang::En => format!("  {en:8}"),
        Lang::Nl => format!("  {nl:9}"),
    };
    (head, text.to_owned())
}

/// A hint is always marked as one.
fn uncertain(lang: Lang, hint: &str) -> String {
    match lang {
        Lang::En => format!("(not certain) {hint}"),
        Lang::Nl => format!("(niet zeker) {hint}"),
    }
}

fn whole(text: String) -> Line {
    (String::new(), text)
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// A sentence per measure, with its word.
pub fn steps(lang: Lang, measures: &[Measure]) -> Vec<Step> {
    measures.iter().map(|each| Step { measure: each.as_str(), text: words::measure(lang, *each) }).collect()
}

/// What is known by the neighbours alone.
pub fn near(lang: Lang, group: &Group) -> Value {
    json!({
        "space": group.space, "codes": group.codes, "meaning": words::group(lang, group.space, group.codes),
        "measures": steps(lang, &group.measures), "retry_classes": group.courses,
    })
}

/// Everything that is known of one code, for a terminal or a pipe.
pub fn card(lang: Lang, asked: &Asked) -> Vec<String> {
    let mut lines: Vec<Line> = Vec::new();
    let mut above: Option<Explained> = None;
    let all: Vec<Explained> = asked.hits.iter().filter_map(|hit| Explained::of(lang, &asked.code, hit)).collect();
    for (at, explained) in all.iter().enumerate() {
        let same = |other: &Explained| {
            let word = |of: &Explained| of.measures.first().map(|step| step.measure);
            (other.space, &other.meaning, word(other)) == (explained.space, &explained.meaning, word(explained))
        };
        // A number of a backup may have a meaning more than once, by what was asked: told once.
        if all.iter().take(at).any(same) {
            continue;
        }
        if above.is_some() {
            lines.push(whole(String::new()));
        }
        if above.as_ref().is_none_or(|above| above.space != explained.space) {
            lines.push(whole(format!("{} - {}", asked.code, words::space(lang, explained.space))));
        }
        if all.iter().any(|other| other.space == explained.space && !same(other)) {
            let otherwise = match lang {
                Lang::En => "otherwise",
                Lang::Nl => "anders",
            };
            let when = all.iter().filter(|other| same(other));
            let when: Vec<String> =
                when.map(|each| each.condition(lang).unwrap_or_else(|| otherwise.to_owned())).collect();
            lines.push(labelled(lang, "when", "wanneer", &when.join("; ")));
        }
        lines.extend(explained.lines(lang, above.as_ref()));
        above = Some(explained.clone());
    }
    if asked.hits.is_empty() {
        lines.push(whole(say::text(lang, &Text::ExplainUnknown { code: asked.code.clone() })));
        if let Some(group) = asked.near {
            let about = words::group(lang, group.space, group.codes).unwrap_or_default();
            lines.push(labelled(lang, "near", "ernaast", about));
        }
    }
    broken(&lines)
}

/// What is known of the number or word that a device ended with, for the failure itself to say: why, what to try, when
/// to stop. Where the advice of the failure already is the knowledge (backups, trust), nothing is said twice.
pub fn of_failure(lang: Lang, fault: &Fault, columns: usize) -> Vec<String> {
    let generic = [Code::LockdownRefused, Code::ServiceRefused].contains(&fault.code);
    let told = |hit: &Hit| match hit.space() {
        Space::Restored | Space::ITunes | Space::Tss => true,
        Space::Lockdown => generic,
        _ => false,
    };
    let asked = say::explainable(fault).into_iter().flat_map(|code| ask::read(&code, None));
    let hit = asked.flat_map(|asked| asked.hits).find(told);
    let Some(explained) = hit.and_then(|hit| Explained::of(lang, "", &hit)) else { return Vec::new() };
    let mut lines = Vec::new();
    let mut line = |en: &str, nl: &str, text: &str| lines.push(labelled(lang, en, nl, text));
    explained.cause.iter().for_each(|cause| line("cause", "reden", cause));
    explained.hint.iter().for_each(|hint| line("hint", "hint", &uncertain(lang, hint)));
    // What is lost already cannot be kept, and what can still be kept is not to be lost.
    let futile: &[Measure] = match fault.restore.as_ref().map(|standing| standing.device_state) {
        Some(DeviceState::HalfErased) => &[Measure::UpdateFirst, Measure::SavePhotos],
        Some(DeviceState::HalfUpdated) => &[Measure::Erase],
        _ => &[],
    };
    let measures: Vec<Step> =
        explained.measures.into_iter().filter(|step| futile.iter().all(|each| each.as_str() != step.measure)).collect();
    lines.extend(numbered(lang, &measures));
    lines.extend(explained.stop_rule.map(|rule| labelled(lang, "stop", "stop", rule)));
    lines.iter().flat_map(|(head, text)| fitted(head, text, columns)).collect()
}

/// The order in which things are tried where no code says more.
pub fn first_aid(lang: Lang, measures: &[Measure]) -> Vec<String> {
    let mut lines = vec![whole(say::text(lang, &Text::ExplainFirstAid))];
    lines.extend(numbered(lang, &steps(lang, measures)));
    lines.push(labelled(lang, "stop", "stop", words::stop_rule(lang, false)));
    broken(&lines)
}

/// A line per row, in groups.
pub fn table(lang: Lang, hits: &[Hit]) -> Vec<String> {
    let mut lines = Vec::new();
    for space in Space::ALL {
        let mut rows: Vec<Vec<String>> = Vec::new();
        for hit in hits.iter().filter(|hit| hit.space() == *space) {
            let Some(explained) = Explained::of(lang, "", hit) else { continue };
            let when = explained.condition(lang).map(|when| format!(" ({when})")).unwrap_or_default();
            // Of sentences the first is enough here.
            let codes = match hit {
                Hit::Row(row) if row.codes.contains(' ') => row.names().next().unwrap_or_default().to_owned(),
                _ => codes_of(hit),
            };
            rows.push(vec![codes, format!("{}{when}", explained.meaning)]);
        }
        if rows.is_empty() {
            continue;
        }
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(format!("{}  (--in {})", words::space(lang, *space), space.as_str()));
        let header = match lang {
            Lang::En => ["CODE", "MEANING"],
            Lang::Nl => ["CODE", "BETEKENIS"],
        };
        lines.extend(columns(&header, &[1], rows).lines().map(str::to_owned));
    }
    lines
}

/// As people write them: `1413-1428, 9`.
pub fn codes_of(hit: &Hit) -> String {
    match hit {
        Hit::Row(row) => row.codes.replace("..", " .. ").replace(',', ", "),
        Hit::Restored(number, _) => number.to_string(),
        Hit::Backup(row) => row.number.to_string(),
        Hit::Ours(code) => code.to_string(),
    }
}

fn numbered(lang: Lang, steps: &[Step]) -> Vec<Line> {
    let one = |(at, step): (usize, &Step)| {
        let (head, text) = match at {
            0 => labelled(lang, "do", "doen", step.text),
            _ => labelled(lang, " ", " ", step.text),
        };
        if steps.len() == 1 { (head, text) } else { (format!("{head}{:>2}. ", at + 1), text) }
    };
    steps.iter().enumerate().map(one).collect()
}

/// For a terminal broken at its columns; for a pipe each line whole.
fn broken(lines: &[Line]) -> Vec<String> {
    let columns = if std::io::stdout().is_terminal() { COLUMNS } else { usize::MAX };
    lines.iter().flat_map(|(head, text)| fitted(head, text, columns)).collect()
}

fn fitted(head: &str, text: &str, columns: usize) -> Vec<String> {
    if head.is_empty() {
        return wrapped(text, columns);
    }
    let indent = head.chars().count();
    let pieces = say::wrapped(text, columns.saturating_sub(indent));
    let begin = |(at, piece): (usize, &String)| {
        if at == 0 { format!("{head}{piece}") } else { format!("{:indent$}{piece}", "") }
    };
    pieces.iter().enumerate().map(begin).collect()
}

fn stop_rule(lang: Lang, courses: &[Course]) -> Option<&'static str> {
    if courses.contains(&Course::Hardware) {
        return Some(words::stop_rule(lang, true));
    }
    let again = [Course::Replug, Course::ChangeCable, Course::Dfu];
    courses.iter().any(|course| again.contains(course)).then(|| words::stop_rule(lang, false))
}

fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Backup => "backup",
        Purpose::Restore => "restore",
        Purpose::Password => "password",
    }
}

/// Of a backup's number, by what helps.
fn course(row: &Meaning) -> Course {
    match (row.remedy, row.retry) {
        (Remedy::DeviceStorage, _) => Course::Hardware,
        (_, Retry::Now) => Course::Replug,
        _ => Course::Person,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::codes::all;
    use crate::facts::restore_status;
    use crate::fault::Standing;

    #[test]
    fn every_card_fits_a_terminal_and_every_hit_has_one() {
        for hit in all() {
            for lang in [Lang::En, Lang::Nl] {
                let explained = Explained::of(lang, "x", &hit).unwrap_or_else(|| panic!("{hit:?} has no text"));
                assert!(!explained.measures.is_empty() && explained.meaning.len() > 5, "{hit:?}");
                for (head, text) in explained.lines(lang, None) {
                    let pieces = fitted(&head, &text, COLUMNS);
                    assert!(pieces.iter().all(|piece| piece.chars().count() <= COLUMNS), "{pieces:#?}");
                    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
                    assert_eq!(words(&pieces.join(" ")), words(&format!("{head} {text}")));
                }
            }
        }
    }

    #[test]
    fn a_failed_restore_says_what_explain_says() {
        for (number, verdict) in restore_status::all() {
            let fault = Fault::new(verdict.code, "x").number(number).standing(Standing::default());
            for lang in [Lang::En, Lang::Nl] {
                let told = of_failure(lang, &fault, usize::MAX).join("\n");
                let hits = ask::read(&format!("AMRError {number}"), None).remove(0).hits;
                let explained = Explained::of(lang, "", &hits[0]).unwrap();
                assert!(told.contains(explained.cause.unwrap()), "{number}: {told}");
                assert!(explained.measures.iter().all(|step| told.contains(step.text)), "{number}: {told}");
            }
        }
    }

    #[test]
    fn a_failure_advises_nothing_that_its_state_rules_out() {
        let told = |number, device_state| {
            let standing = Standing { device_state, ..Standing::default() };
            let fault = Fault::new(Code::RestoreFailed, "x").number(number).standing(standing);
            of_failure(Lang::En, &fault, usize::MAX).join("\n")
        };
        let (update, erase) =
            (words::measure(Lang::En, Measure::UpdateFirst), words::measure(Lang::En, Measure::Erase));
        assert!(told(4013, DeviceState::Untouched).contains(update));
        assert!(!told(4013, DeviceState::HalfErased).contains(update), "its data is gone");
        assert!(told(14, DeviceState::Unknown).contains(erase));
        assert!(!told(14, DeviceState::HalfUpdated).contains(erase), "its data is still there");
    }

    #[test]
    fn what_the_failure_says_already_is_not_said_again() {
        let backup = Fault::new(Code::BackupRefused, "x").number(105).remedy(Remedy::HostRoom);
        let locked = Fault::new(Code::DeviceLocked, "PasswordProtected");
        let plain = Fault::new(Code::UsbGone, "x");
        for fault in [backup, locked, plain] {
            assert!(of_failure(Lang::En, &fault, 80).is_empty(), "{fault}");
        }
        let refused = of_failure(Lang::Nl, &Fault::new(Code::ServiceRefused, "ServiceProhibited"), 80).join("\n");
        assert!(refused.contains("Een profiel verbiedt het"), "{refused}");
        let unsigned = of_failure(Lang::En, &Fault::new(Code::TssNotSigned, "STATUS=94").number(94), 80).join("\n");
        assert!(unsigned.contains("cause   It is not signed any more") && unsigned.contains(" 3. "), "{unsigned}");
    }
}
