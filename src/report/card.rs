//! A card as a sheet of paper: its words from `say`, and for wrong passcodes the tables from `facts`.
//!
//! The eras of waits stand side by side, so that nobody sees one without the others that contradict it. A device that
//! was looked at only puts its own column first.

use super::paper::{Items, Paper, Section};
use crate::facts::lockout::{self, Era, Name, Screen, Wait};
use crate::ids::Version;
use crate::say::Lang;
use crate::say::cards::{Body, Topic, card as words, warning};
use crate::say::lockout::{Lockout, Systems, lockout as said};

/// The device that a card is printed for: what it is called, and its system where that is known.
#[derive(Clone, Debug)]
pub struct For {
    pub title: String,
    pub version: Option<Version>,
    pub is_virtual: bool,
}

pub fn card(lang: Lang, topic: Topic, device: Option<&For>) -> Paper {
    let words = words(lang, topic);
    let mut paper = Paper::new(words.title, words.lead).footer(warning(lang));
    for (heading, body) in words.parts {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let items = match body {
            Body::Steps(steps) => vec![Items::numbered(steps.iter().copied())],
            Body::Points(points) => vec![Items::bullets(points.iter().copied())],
            Body::Boxes(boxes) => vec![Items::boxes(boxes.iter().copied())],
            Body::Text(text) => vec![Items::paragraph(*text)],
            Body::Table(head, rows) => {
                vec![Items::Table { head: lines(head), rows: rows.iter().map(|row| lines(row)).collect() }]
            }
            Body::Blanks(rows) => vec![Items::Blanks { rows: rows.iter().map(|row| lines(row)).collect() }],
            Body::Waits => waits(lang, device),
        };
        if heading.is_empty() && !paper.sections.is_empty() {
            // Goes on below the heading before it.
            paper.sections.iter_mut().last().into_iter().for_each(|last| last.items.extend(items.clone()));
            continue;
        }
        paper.sections.push(Section { heading: (*heading).to_owned(), items });
        if matches!(body, Body::Waits) {
            paper.sections.push(screens(lang, device));
        }
    }
    // Only the table of waits says anything of a device.
    paper.is_virtual = topic == Topic::Lockout && device.is_some_and(|device| device.is_virtual);
    paper
}

fn systems(era: &Era) -> Systems<'_> {
    Systems { since: era.since.as_ref(), before: era.before.as_ref() }
}

/// One column for each era, newest first; neighbours that are the same in all of them share a row.
fn waits(lang: Lang, device: Option<&For>) -> Vec<Items> {
    let version = device.and_then(|device| device.version.as_ref());
    let own = version.and_then(lockout::era).map(|era| era.name);
    let mut eras = lockout::eras();
    eras.reverse();
    // Stable: the others keep their order.
    eras.sort_by_key(|era| Some(era.name) != own);
    let tell = |key: Lockout<'_>| said(lang, &key);
    let mut head = vec![tell(Lockout::WrongCode)];
    head.extend(eras.iter().map(|era| {
        tell(if Some(era.name) == own { Lockout::AboutThis(systems(era)) } else { Lockout::About(systems(era)) })
    }));
    let tries = eras.iter().map(|era| era.waits.len()).max().unwrap_or(0);
    let at = |nth: usize| eras.iter().map(|era| era.waits.get(nth).copied()).collect::<Vec<_>>();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut first = 0;
    for nth in 0..tries {
        if nth + 1 < tries && at(nth + 1) == at(nth) {
            continue;
        }
        let numbers = if first == nth { format!("{}", nth + 1) } else { format!("{}-{}", first + 1, nth + 1) };
        let cells = at(nth).into_iter().map(|wait| wait.map(|wait| tell(word(wait))).unwrap_or_default());
        rows.push(std::iter::once(numbers).chain(cells).collect());
        first = nth + 1;
    }
    let erased = eras.iter().map(|era| era.erase_at.to_string());
    rows.push(std::iter::once(tell(Lockout::Erases)).chain(erased).collect());
    let mut items = vec![Items::Table { head, rows }];
    if let Some(device) = device {
        items.insert(
            0,
            Items::paragraph(tell(match version {
                Some(version) => Lockout::Runs { device: &device.title, version },
                None => Lockout::RunsUnknown { device: &device.title },
            })),
        );
    }
    let find = |name: Name| eras.iter().find(|era| era.name == name).map(systems);
    if let (Some(newest), Some(guide), Some(reported)) = (find(Name::Newest), find(Name::Guide), find(Name::Reported)) {
        items.push(Items::paragraph(tell(Lockout::Worth { newest, guide, reported })));
    }
    items
}

fn word(wait: Wait) -> Lockout<'static> {
    match wait {
        Wait::None => Lockout::NoWait,
        Wait::Minutes(minutes) if minutes >= 60 && minutes % 60 == 0 => Lockout::Hours(minutes / 60),
        Wait::Minutes(minutes) => Lockout::Minutes(minutes),
        Wait::Disabled => Lockout::Disabled,
    }
}

/// Newest first; a device of known version gets its own screen only.
fn screens(lang: Lang, device: Option<&For>) -> Section {
    let own = device.and_then(|device| device.version.as_ref()).and_then(lockout::screen);
    let mut screens = lockout::screens();
    screens.reverse();
    screens.retain(|(screen, ..)| own.is_none_or(|own| own == *screen));
    let line = |(screen, since, before): &(Screen, Option<Version>, Option<Version>)| {
        let systems = Systems { since: since.as_ref(), before: before.as_ref() };
        let key = match screen {
            Screen::Disabled => Lockout::IsDisabled(systems),
            Screen::SecurityLockout => Lockout::SecurityLockout(systems),
            Screen::ForgotPasscode => Lockout::ForgotPasscode(systems),
        };
        said(lang, &key)
    };
    let items = vec![Items::bullets(screens.iter().map(line))];
    Section { heading: said(lang, &Lockout::ScreenHead), items }
}

#[cfg(test)]
mod tests;
