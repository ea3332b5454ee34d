//! A code, explained: as fields for scripts, and as a card or a line for people.

mod card;
#[cfg(test)]
mod tests;

pub use card::{card, first_aid, of_failure, table};

use crate::facts::backup_errors::{Meaning, Purpose};
use crate::facts::codes::{Group, Hit};
use crate::fault::known::{Certainty, Course, Measure, Space, Witness};
use crate::fault::{Class, Code, Remedy, Retry};
use crate::say::{self, Lang, codes as words};
use serde::Serialize;
use serde_json::{Value, json};

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

/// As people write them: `1413-1428, 9`.
pub fn codes_of(hit: &Hit) -> String {
    match hit {
        Hit::Row(row) => row.codes.replace("..", " .. ").replace(',', ", "),
        Hit::Restored(number, _) => number.to_string(),
        Hit::Backup(row) => row.number.to_string(),
        Hit::Ours(code) => code.to_string(),
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
