//! What a person reads of a code: a card with labels, a line in a list, or the part that a failure adds.

use super::{Explained, Step, codes_of, steps};
use crate::cli::show::table::table as columns;
use crate::cli::show::wrap::{COLUMNS, wrapped};
use crate::facts::codes::Hit;
use crate::facts::codes::ask::{self, Asked};
use crate::fault::known::{Measure, Space};
use crate::fault::{Code, DeviceState, Fault};
use crate::say::codes::{self as words, Label};
use crate::say::{self, Lang, Text};
use std::io::IsTerminal;

impl Explained {
    /// When a number of a backup has this meaning.
    fn condition(&self, lang: Lang) -> Option<String> {
        let text = self.when_text.map(|text| words::text_has(lang, text));
        let parts: Vec<String> =
            self.when.map(|when| words::purpose(lang, when).to_owned()).into_iter().chain(text).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// `above`: a meaning of the same code that was just told; what it said is not said again.
    pub(super) fn lines(&self, lang: Lang, above: Option<&Explained>) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut line = |label: Label, text: &str| lines.push(labelled(lang, label, text));
        line(Label::Means, &self.meaning);
        self.cause.iter().for_each(|cause| line(Label::Cause, cause));
        self.hint.iter().for_each(|hint| line(Label::Hint, &words::uncertain(lang, hint)));
        if let Some(class) = self.class.filter(|_| self.space == Space::Herstel) {
            line(Label::Whose, say::class(lang, class));
        }
        let words_of = |of: &Explained| of.measures.iter().map(|step| step.measure).collect::<Vec<_>>();
        let same = above.is_some_and(|above| words_of(above) == words_of(self));
        match same {
            true => line(Label::Do, words::as_above(lang)),
            false => lines.extend(numbered(lang, &self.measures)),
        }
        let mut line = |label: Label, text: &str| lines.push(labelled(lang, label, text));
        let ways: Vec<&str> = self.retry_classes.iter().map(|each| words::course(lang, *each)).collect();
        match self.retry {
            _ if !ways.is_empty() => line(Label::Retry, &ways.join(words::then(lang))),
            Some(retry) => line(Label::Retry, words::again(lang, retry)),
            None => {}
        }
        if let Some(rule) = self.stop_rule.filter(|rule| above.and_then(|above| above.stop_rule) != Some(rule)) {
            line(Label::Stop, rule);
        }
        if let Some(exit) = self.exit_code.filter(|_| self.space == Space::Herstel) {
            line(Label::Exit, &exit.to_string());
        } else if let Some(certainty) = self.certainty {
            let by: Vec<&str> = self.seen_by.iter().map(|each| words::witness(lang, *each)).collect();
            line(Label::Source, &format!("{}; {}", words::certainty(lang, certainty), by.join(", ")));
        }
        lines
    }
}

/// What stands in the column of the labels, and the text beside it.
pub(super) type Line = (String, String);

fn labelled(lang: Lang, label: Label, text: &str) -> Line {
    let width = words::label_width(lang);
    (format!("  {:width$}", words::label(lang, label)), text.to_owned())
}

fn whole(text: String) -> Line {
    (String::new(), text)
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
            let when = all.iter().filter(|other| same(other));
            let when: Vec<String> =
                when.map(|each| each.condition(lang).unwrap_or_else(|| words::otherwise(lang).to_owned())).collect();
            lines.push(labelled(lang, Label::When, &when.join("; ")));
        }
        lines.extend(explained.lines(lang, above.as_ref()));
        above = Some(explained.clone());
    }
    if asked.hits.is_empty() {
        lines.push(whole(say::text(lang, &Text::ExplainUnknown { code: asked.code.clone() })));
        if let Some(group) = asked.near {
            let about = words::group(lang, group.space, group.codes).unwrap_or_default();
            lines.push(labelled(lang, Label::Near, about));
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
    let mut line = |label: Label, text: &str| lines.push(labelled(lang, label, text));
    explained.cause.iter().for_each(|cause| line(Label::Cause, cause));
    explained.hint.iter().for_each(|hint| line(Label::Hint, &words::uncertain(lang, hint)));
    // What is lost already cannot be kept, and what can still be kept is not to be lost.
    let futile: &[Measure] = match fault.restore.as_ref().map(|standing| standing.device_state) {
        Some(DeviceState::HalfErased) => &[Measure::UpdateFirst, Measure::SavePhotos],
        Some(DeviceState::HalfUpdated) => &[Measure::Erase],
        _ => &[],
    };
    let measures: Vec<Step> =
        explained.measures.into_iter().filter(|step| futile.iter().all(|each| each.as_str() != step.measure)).collect();
    lines.extend(numbered(lang, &measures));
    lines.extend(explained.stop_rule.map(|rule| labelled(lang, Label::Stop, rule)));
    lines.iter().flat_map(|(head, text)| fitted(head, text, columns)).collect()
}

/// The order in which things are tried where no code says more.
pub fn first_aid(lang: Lang, measures: &[Measure]) -> Vec<String> {
    let mut lines = vec![whole(say::text(lang, &Text::ExplainFirstAid))];
    lines.extend(numbered(lang, &steps(lang, measures)));
    lines.push(labelled(lang, Label::Place, words::place_rule(lang)));
    lines.push(labelled(lang, Label::Stop, words::stop_rule(lang, false)));
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

fn numbered(lang: Lang, steps: &[Step]) -> Vec<Line> {
    let one = |(at, step): (usize, &Step)| {
        let (head, text) = match at {
            0 => labelled(lang, Label::Do, step.text),
            _ => labelled(lang, Label::Blank, step.text),
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

pub(super) fn fitted(head: &str, text: &str, columns: usize) -> Vec<String> {
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
