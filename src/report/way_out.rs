//! A plan of triage as a sheet: what is kept and lost, what it takes, what to do, and what it follows from.

use super::paper::{Items, Paper};
use crate::event::WayOut;
use crate::ids::Ecid;
use crate::say::Lang;
use crate::say::triage::{Label, choice, clue, label, subject, told};
use crate::triage::plans::commands;
use crate::triage::{Answers, Source, walk};

/// Whom a plan is for.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// What a person calls the device.
    pub title: Option<String>,
    pub ecid: Option<Ecid>,
    pub is_virtual: bool,
}

/// The sheet of a plan.
pub fn sheet(lang: Lang, case: &Case, way: WayOut, answers: &Answers) -> Paper {
    let told = told(lang, way);
    let head = |text: Label<'_>| label(lang, text);
    let takes = match way.cost().minutes {
        Some((from, to)) => head(Label::Minutes { from, to }),
        None => head(Label::OthersDecide),
    };
    let mut paper = Paper::new(told.title, lead(lang, case, answers))
        .section(head(Label::Kept), [Items::paragraph(told.kept)])
        .section(head(Label::Lost), [Items::paragraph(told.lost)])
        .section(head(Label::Takes), [Items::paragraph(takes)]);
    if !told.needs.is_empty() {
        paper = paper.section(head(Label::AtHand), [Items::bullets(told.needs.iter().copied())]);
    }
    paper = paper.section(head(Label::Steps), [Items::numbered(told.steps.iter().copied())]);
    let commands = commands(way, case.ecid, answers);
    if !commands.is_empty() {
        paper = paper.section(head(Label::Command), commands.into_iter().map(Items::paragraph));
    }
    let (trail, _) = walk(answers);
    let rows = answers.all().filter(|(question, _)| trail.contains(question)).map(|(question, answer)| {
        let source = match answer.source {
            Source::Person => head(Label::Said),
            Source::Device(from) => format!("{}: {}", head(Label::Proven), clue(lang, from)),
        };
        vec![subject(lang, question).to_owned(), choice(lang, answer.choice).to_owned(), source]
    });
    let table = Items::Table {
        head: vec![head(Label::Question), head(Label::Answer), head(Label::Source)],
        rows: rows.collect(),
    };
    paper.is_virtual = case.is_virtual;
    paper.section(head(Label::Known), [table]).footer(head(Label::Footer))
}

fn lead(lang: Lang, case: &Case, answers: &Answers) -> String {
    let device = match (&case.title, case.ecid) {
        (Some(title), Some(ecid)) if *title != ecid.to_string() => format!("{title} ({ecid})"),
        (Some(title), _) => title.clone(),
        (None, Some(ecid)) => ecid.to_string(),
        (None, None) => return String::new(),
    };
    let system = answers.version().map(|v| format!(". {}: {v}", label(lang, Label::System))).unwrap_or_default();
    format!("{}: {device}{system}.", label(lang, Label::Device))
}
