//! A card as a sheet of paper: its words from `say`, and for wrong passcodes the tables from `facts`.
//!
//! The eras of waits stand side by side, so that nobody sees one without the others that contradict it. A device that
//! was looked at only puts its own column first. What it tells of itself is written on the lines of the letter and of the
//! intake sheet, so that nobody copies a serial number by hand.

use super::paper::{Blank, Items, Paper, Section};
use super::size;
use crate::device::{Device, Intake, Likeness};
use crate::facts::lockout::{self, Era, Name, Screen, Wait};
use crate::ids::Version;
use crate::say::Lang;
use crate::say::cards::{Body, Fill, Topic, card as words, warning};
use crate::say::lockout::{Lockout, Systems, lockout as said};
use serde_json::Value;

/// The device that a card is printed for: what it is called, and what is known of it.
#[derive(Clone, Debug, Default)]
pub struct For {
    pub title: String,
    pub is_virtual: bool,
    pub version: Option<Version>,
    pub build: Option<String>,
    pub model: Option<String>,
    pub serial: Option<String>,
    pub imei: Option<String>,
    /// Bytes.
    pub capacity: Option<u64>,
    /// Charge in percent.
    pub battery: Option<u64>,
}

impl For {
    /// What is seen without asking the device anything.
    pub fn of(device: &Device) -> For {
        let row = device.row();
        let model = match device.who().likeness() {
            Likeness::Known(model) => Some(model.name.to_owned()),
            _ => row.product_type.as_ref().map(ToString::to_string),
        };
        For {
            title: device.who().title(),
            is_virtual: device.is_virtual,
            version: row.version,
            build: row.build.as_ref().map(ToString::to_string),
            model,
            serial: row.serial,
            ..For::default()
        }
    }

    /// The same with what its intake sheet tells.
    pub fn with(mut self, sheet: &Intake) -> For {
        let number = |key: &str| sheet.facts.get(key).and_then(Value::as_u64);
        let imei = sheet.facts.get("InternationalMobileEquipmentIdentity").and_then(Value::as_str);
        self.imei = imei.map(str::to_owned);
        self.capacity = number("TotalDiskCapacity");
        self.battery = number("BatteryCurrentCapacity");
        self
    }

    fn fill(&self, fill: Fill) -> Option<String> {
        match fill {
            Fill::Pen => None,
            Fill::Model => self.model.clone(),
            Fill::Serial => self.serial.clone(),
            Fill::Imei => self.imei.clone(),
            Fill::System => match (&self.version, &self.build) {
                (Some(version), Some(build)) => Some(format!("{version} ({build})")),
                (version, _) => version.as_ref().map(ToString::to_string),
            },
            Fill::Capacity => self.capacity.map(size),
            Fill::Battery => self.battery.map(|percent| percent.to_string()),
        }
    }
}

/// Does this card say anything else when a device is at hand?
pub fn reads(topic: Topic) -> Reads {
    match topic {
        Topic::Lockout => Reads::Version,
        Topic::ActivationLock | Topic::BeforeRepair => Reads::Sheet,
        _ => Reads::Nothing,
    }
}

/// What a card takes from a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    Nothing,
    Version,
    /// Its intake sheet.
    Sheet,
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
            Body::Blanks(rows) => {
                let blank = |(label, fill): &(&str, Fill)| Blank {
                    label: (*label).to_owned(),
                    value: device.and_then(|device| device.fill(*fill)).map(|value| short(&value)),
                };
                vec![Items::Blanks { rows: rows.iter().map(|row| row.iter().map(blank).collect()).collect() }]
            }
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
    paper.is_virtual = reads(topic) != Reads::Nothing && device.is_some_and(|device| device.is_virtual);
    paper
}

/// A name or a number as a page has room for it.
fn short(text: &str) -> String {
    const MOST: usize = 80;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST - 1).chain(['…']).collect() }
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
    let erased = eras.iter().map(|era| tell(Lockout::ErasesAt(era.erase_at)));
    rows.push(std::iter::once(tell(Lockout::EraseData)).chain(erased).collect());
    let mut items = vec![Items::Table { head, rows }];
    if let Some(device) = device {
        let device = &short(&device.title);
        items.insert(
            0,
            Items::paragraph(tell(match version {
                Some(version) => Lockout::Runs { device, version },
                None => Lockout::RunsUnknown { device },
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
