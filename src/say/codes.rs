//! The codes of other programs and of devices in people's words: what one means, why it probably came, what helps.
//!
//! The numbers are open-ended, so the texts are tables (`codes/*.tsv`) with the keys of the facts room; the words that
//! both rooms share (measures, courses) come from `fault::known`. A hint is what repair shops tell each other: it is
//! always told as one. A test of the program holds that each row there has its text here, and each text its row.

mod phrases;
#[cfg(test)]
mod tests;

pub use phrases::*;

use super::{Lang, restore};
use crate::fault::known::{Certainty, Course, Measure, Space, Witness, reach};
use std::collections::HashMap;
use std::sync::LazyLock;

/// One code, told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// What it means, without a full stop.
    pub what: &'static str,
    /// Why it probably came.
    pub cause: &'static str,
    /// What is only said to be so.
    pub hint: Option<&'static str>,
}

type Both = (&'static str, &'static str);

struct Entry {
    what: Both,
    cause: Both,
    hint: Option<Both>,
}

/// By `space/codes`.
static ENTRIES: LazyLock<HashMap<&'static str, Entry>> =
    LazyLock::new(|| [ITUNES, OTHERS].into_iter().flat_map(lines).filter_map(entry).collect());
/// By number; what it means is in the table of restores.
static RESTORED: LazyLock<HashMap<&'static str, (Both, Option<Both>)>> =
    LazyLock::new(|| lines(RESTORED_TEXT).filter_map(restored_entry).collect());
static GROUPS: LazyLock<HashMap<&'static str, Both>> = LazyLock::new(|| lines(GROUPS_TEXT).filter_map(pair).collect());
static WORDS: LazyLock<HashMap<&'static str, Both>> = LazyLock::new(|| lines(WORDS_TEXT).filter_map(pair).collect());
static MEASURES: LazyLock<HashMap<&'static str, Both>> =
    LazyLock::new(|| lines(MEASURES_TEXT).filter_map(pair).collect());

const ITUNES: &str = include_str!("codes/itunes.tsv");
const OTHERS: &str = include_str!("codes/others.tsv");
const RESTORED_TEXT: &str = include_str!("codes/restored.tsv");
const GROUPS_TEXT: &str = include_str!("codes/groups.tsv");
const WORDS_TEXT: &str = include_str!("codes/words.tsv");
const MEASURES_TEXT: &str = include_str!("codes/measures.tsv");

/// The texts of a row of codes.
pub fn row(lang: Lang, space: Space, codes: &str) -> Option<Told> {
    let entry = ENTRIES.get(format!("{}/{codes}", space.as_str()).as_str())?;
    Some(Told { what: of(lang, entry.what), cause: of(lang, entry.cause), hint: entry.hint.map(|hint| of(lang, hint)) })
}

/// The texts of a number that a restore ends with.
pub fn restored(lang: Lang, number: i64) -> Option<Told> {
    let (cause, hint) = RESTORED.get(number.to_string().as_str())?;
    let what = restore::status(lang, number)?;
    Some(Told { what, cause: of(lang, *cause), hint: hint.map(|hint| of(lang, hint)) })
}

/// What a number means in its space, for whoever has nothing but the number.
pub fn number(lang: Lang, space: Space, number: i64) -> Option<Told> {
    if space == Space::Restored {
        return restored(lang, number);
    }
    let fits = |key: &&&'static str| {
        let codes = key.split_once('/').filter(|(of, _)| *of == space.as_str()).map(|(_, codes)| codes);
        codes.and_then(|codes| reach(codes, number)).is_some()
    };
    let key = ENTRIES.keys().filter(fits).min_by_key(|key| key.split_once('/').and_then(|(_, c)| reach(c, number)))?;
    row(lang, space, key.split_once('/')?.1)
}

/// A word of lockdown in a device's answer.
pub fn lockdown_word(text: &str) -> Option<&'static str> {
    let mut said = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.len() > 6);
    said.find_map(|said| {
        let names = ENTRIES.keys().filter_map(|key| key.strip_prefix("lockdown/")).flat_map(|codes| codes.split(','));
        names.filter(|name| *name == said).min()
    })
}

/// What a neighbourhood of numbers is about.
pub fn group(lang: Lang, space: Space, codes: &str) -> Option<&'static str> {
    GROUPS.get(format!("{}/{codes}", space.as_str()).as_str()).map(|both| of(lang, *both))
}

/// What to do, as a sentence.
pub fn measure(lang: Lang, measure: Measure) -> &'static str {
    MEASURES.get(measure.as_str()).map_or(measure.as_str(), |both| of(lang, *both))
}

/// What a second try has to differ in.
pub fn course(lang: Lang, course: Course) -> &'static str {
    word(lang, "course", course.as_str())
}

pub fn space(lang: Lang, space: Space) -> &'static str {
    word(lang, "space", space.as_str())
}

pub fn certainty(lang: Lang, certainty: Certainty) -> &'static str {
    word(lang, "certainty", certainty.as_str())
}

pub fn witness(lang: Lang, witness: Witness) -> &'static str {
    word(lang, "witness", witness.as_str())
}

/// When a backup's number has this meaning: `backup`, `restore`, `password`.
pub fn purpose(lang: Lang, word_of: &'static str) -> &'static str {
    word(lang, "purpose", word_of)
}

fn of(lang: Lang, (en, nl): Both) -> &'static str {
    match lang {
        Lang::En => en,
        Lang::Nl => nl,
    }
}

fn word(lang: Lang, kind: &str, word: &'static str) -> &'static str {
    WORDS.get(format!("{kind}/{word}").as_str()).map_or(word, |both| of(lang, *both))
}

fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn pair(line: &'static str) -> Option<(&'static str, Both)> {
    let (key, words) = line.split_once('\t')?;
    Some((key, words.split_once('\t')?))
}

fn entry(line: &'static str) -> Option<(&'static str, Entry)> {
    let mut fields = line.split('\t');
    let mut next = || fields.next();
    let (key, what, cause) = (next()?, (next()?, next()?), (next()?, next()?));
    Some((key, Entry { what, cause, hint: hint((next()?, next()?)) }))
}

fn restored_entry(line: &'static str) -> Option<(&'static str, (Both, Option<Both>))> {
    let mut fields = line.split('\t');
    let mut next = || fields.next();
    Some((next()?, ((next()?, next()?), hint((next()?, next()?)))))
}

fn hint(both: Both) -> Option<Both> {
    (both != ("-", "-")).then_some(both)
}

/// All keys of rows, for the test that joins them with the facts.
pub fn keys() -> Vec<&'static str> {
    ENTRIES.keys().chain(GROUPS.keys()).copied().collect()
}
