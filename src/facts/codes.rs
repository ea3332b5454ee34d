//! What a code means that iTunes, Finder, a device, Apple's server or Herstel itself ends with: the rows of `codes.tsv`.
//!
//! The same number means different things in different spaces, so an answer is a list: one [`Hit`] per space, the most
//! likely first. Numbers of restores and backups have tables of their own, which the engines decide by; they are
//! joined here and not written twice. What has no row is said to be unknown; at most its neighbourhood is named.
//!
//! Rows know what a second try has to differ in and what to do, in stable words; the sentences are in `say`.

pub mod ask;

use super::backup_errors::{self, Meaning};
use super::restore_status::{self, Verdict};
use crate::fault::Code;
use crate::fault::known::{Certainty, Course, Measure, Space, Witness, reach, span};
use std::sync::OnceLock;

/// What to try where no code says more: from cheap to dear.
pub const FIRST_AID: [Measure; 13] = [
    Measure::OtherCable,
    Measure::OtherPort,
    Measure::Clock,
    Measure::HostsFile,
    Measure::Proxy,
    Measure::FirmwareHash,
    Measure::UpdateFirst,
    Measure::Dfu,
    Measure::SimOut,
    Measure::Charge,
    Measure::OtherComputer,
    Measure::UnplugDisplay,
    Measure::Board,
];

/// One row: all codes of a space that mean the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub space: Space,
    /// As written: numbers, ranges, names, apart by commas. With the space it is the key of the texts.
    pub codes: &'static str,
    /// The first that is worth it first; empty for what is no failure.
    pub courses: Vec<Course>,
    /// From cheap to dear.
    pub measures: Vec<Measure>,
    pub certainty: Certainty,
    pub witnesses: Vec<Witness>,
}

impl Row {
    /// What the table says in words: sentences, and names of lockdown.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.codes.split(',').filter(|code| span(code).is_none())
    }
}

/// What is known of a number only by the company it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub space: Space,
    pub codes: &'static str,
    pub courses: Vec<Course>,
    pub measures: Vec<Measure>,
}

/// One thing that a code can mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hit {
    Row(&'static Row),
    Restored(i64, Verdict),
    /// A row for one number of a backup; a number may have several, by what was asked.
    Backup(&'static Meaning),
    Ours(Code),
}

impl Hit {
    pub fn space(&self) -> Space {
        match self {
            Hit::Row(row) => row.space,
            Hit::Restored(..) => Space::Restored,
            Hit::Backup(_) => Space::Backup,
            Hit::Ours(_) => Space::Herstel,
        }
    }
}

pub fn rows() -> &'static [Row] {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    ROWS.get_or_init(|| lines(include_str!("codes.tsv")).filter_map(row).collect())
}

pub fn groups() -> &'static [Group] {
    static GROUPS: OnceLock<Vec<Group>> = OnceLock::new();
    GROUPS.get_or_init(|| lines(include_str!("code_groups.tsv")).filter_map(group).collect())
}

/// All that is known, space by space.
pub fn all() -> Vec<Hit> {
    let mut hits: Vec<Hit> = rows().iter().map(Hit::Row).collect();
    hits.extend(restore_status::all().map(|(number, verdict)| Hit::Restored(number, verdict)));
    hits.extend(backup_errors::all().iter().map(Hit::Backup));
    hits.extend(Code::ALL.iter().map(|code| Hit::Ours(*code)));
    hits.sort_by_key(Hit::space);
    hits
}

/// What a number means; with spaces only there.
pub fn numbered(number: i64, spaces: &[Space]) -> Vec<Hit> {
    let wanted = |space: Space| spaces.is_empty() || spaces.contains(&space);
    let mut hits = Vec::new();
    for space in Space::ALL.iter().copied().filter(|space| wanted(*space)) {
        let fits = |row: &'static Row| reach(row.codes, spelt(space, number)).map(|reach| (reach, row));
        let narrowest = rows().iter().filter(|row| row.space == space).filter_map(fits).min_by_key(|(reach, _)| *reach);
        hits.extend(narrowest.map(|(_, row)| Hit::Row(row)));
        if space == Space::Restored {
            hits.extend(restore_status::verdict(number).map(|verdict| Hit::Restored(number, verdict)));
        }
        if space == Space::Backup {
            hits.extend(backup_errors::all().iter().filter(|row| row.number == number).map(Hit::Backup));
        }
    }
    hits
}

/// What is near a number that means nothing by itself.
pub fn near(number: i64, spaces: &[Space]) -> Option<&'static Group> {
    let fits = |group: &&Group| reach(group.codes, spelt(group.space, number)).is_some();
    groups().iter().filter(|group| spaces.is_empty() || spaces.contains(&group.space)).find(fits)
}

/// MobileDevice's numbers are 32 bits without a sign; some programs print them with one.
fn spelt(space: Space, number: i64) -> i64 {
    match i32::try_from(number) {
        Ok(signed) if space == Space::MobileDevice && signed < 0 => i64::from(signed.cast_unsigned()),
        _ => number,
    }
}

fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn row(line: &'static str) -> Option<Row> {
    let mut fields = line.split('\t');
    let mut next = || fields.next();
    Some(Row {
        space: Space::named(next()?)?,
        codes: next()?,
        courses: listed(next()?, Course::named)?,
        measures: listed(next()?, Measure::named)?,
        certainty: Certainty::named(next()?)?,
        witnesses: listed(next()?, Witness::named)?,
    })
}

fn group(line: &'static str) -> Option<Group> {
    let mut fields = line.split('\t');
    let mut next = || fields.next();
    Some(Group {
        space: Space::named(next()?)?,
        codes: next()?,
        courses: listed(next()?, Course::named)?,
        measures: listed(next()?, Measure::named)?,
    })
}

/// Words apart by commas; `-` is none.
pub(super) fn listed<T>(field: &str, of: fn(&str) -> Option<T>) -> Option<Vec<T>> {
    if field == "-" {
        return Some(Vec::new());
    }
    field.split(',').map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_row_and_no_code_is_there_twice() {
        assert_eq!(rows().len(), lines(include_str!("codes.tsv")).count());
        assert_eq!(groups().len(), lines(include_str!("code_groups.tsv")).count());
        let mut seen = Vec::new();
        for row in rows() {
            for code in row.codes.split(',') {
                assert!(!seen.contains(&(row.space, code)), "{code} is there twice");
                seen.push((row.space, code));
                let ordered = span(code).is_none_or(|(from, to)| from <= to);
                assert!(ordered && !code.is_empty(), "{code}");
            }
            assert!(!row.measures.is_empty() && !row.witnesses.is_empty(), "{}", row.codes);
        }
        for group in groups() {
            let (from, to) = span(group.codes).expect("a range");
            assert!(from < to && !group.measures.is_empty());
        }
    }

    #[test]
    fn the_narrowest_row_answers_and_each_space_for_itself() {
        let codes = |number, spaces: &[Space]| {
            let shown = |hit: Hit| match hit {
                Hit::Row(row) => format!("{} {}", row.space.as_str(), row.codes),
                Hit::Restored(number, _) => format!("restored {number}"),
                Hit::Backup(row) => format!("backup {}", row.number),
                Hit::Ours(code) => code.to_string(),
            };
            numbered(number, spaces).into_iter().map(shown).collect::<Vec<_>>()
        };
        assert_eq!(codes(4013, &[]), ["itunes 4013", "restored 4013"]);
        assert_eq!(codes(1110, &[Space::ITunes]), ["itunes 1110"], "not the hundred it lies in");
        assert_eq!(codes(1105, &[]), ["itunes 1100..1199"]);
        assert_eq!(codes(33, &[]), ["itunes 10..47"]);
        assert_eq!(codes(2003, &[]), ["itunes 2003"]);
        assert_eq!(codes(-17, &[]), ["lockdown -17,PasswordProtected"]);
        assert_eq!(codes(105, &[]).len(), 4, "by what was asked");
        assert_eq!(codes(0xE800_0013, &[]), codes(-402_653_165, &[]), "with a sign or without");
        assert_eq!(codes(777, &[]), Vec::<String>::new());
        assert_eq!(near(1650, &[]).map(|group| group.codes), Some("1600..1699"));
        assert_eq!(near(1650, &[Space::Tss]), None);
    }
}
