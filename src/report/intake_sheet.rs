//! The intake sheet as people get it: a page, and a line for a spreadsheet.

use super::paper::{Blank, Items, Paper};
use super::{csv, size};
use crate::device::{Datum, Sheet};
use crate::event::{Field, Group};
use crate::say::sheet::{Around, around, field, group, on, word, yes};
use crate::say::{Lang, Text, text};

/// A value in a person's words.
pub fn shown(lang: Lang, of: Field, value: &Datum) -> String {
    match (of, value) {
        (Field::FindMy, Datum::Yes(is)) => on(lang, *is).to_owned(),
        (_, Datum::Yes(is)) => yes(lang, *is).to_owned(),
        (Field::Capacity | Field::Free, Datum::Number(bytes)) => size(*bytes),
        (Field::BatteryPercent | Field::BatteryHealth, Datum::Number(percent)) => format!("{percent} %"),
        (_, Datum::Number(number)) => number.to_string(),
        (_, Datum::Word(own)) => word(lang, of, own).map_or_else(|| own.clone(), str::to_owned),
        (_, Datum::Text(own)) => own.clone(),
    }
}

/// Sections of what is known, and one line of what is not.
fn known(lang: Lang, sheet: &Sheet, is_virtual: bool) -> Paper {
    let device = sheet.text(Field::Name).or_else(|| sheet.text(Field::Model));
    let title = match device {
        Some(device) => format!("{} - {device}", around(lang, Around::Title)),
        None => around(lang, Around::Title).to_owned(),
    };
    let mut paper = Paper { is_virtual, ..Paper::new(title, "") };
    for each in Group::ALL {
        let row = |of: &&Field| {
            let value = sheet.value(**of)?;
            Some(vec![field(lang, **of).to_owned(), shown(lang, **of, value)])
        };
        let rows: Vec<Vec<String>> =
            Field::ALL.iter().filter(|of| of.group() == each).filter_map(|of| row(&of)).collect();
        if !rows.is_empty() {
            paper = paper.section(group(lang, each), [Items::Table { head: Vec::new(), rows }]);
        }
    }
    let unknown: Vec<&str> =
        Field::ALL.iter().filter(|of| sheet.get(**of).is_none()).map(|of| field(lang, *of)).collect();
    if !unknown.is_empty() {
        paper = paper.section(around(lang, Around::Unknown), [Items::paragraph(unknown.join(", "))]);
    }
    paper
}

/// For a terminal.
pub fn lines(lang: Lang, sheet: &Sheet, is_virtual: bool, columns: usize) -> String {
    known(lang, sheet, is_virtual).text(lang, columns)
}

/// For the counter: with a label to scan and room for a pen.
pub fn paper(lang: Lang, sheet: &Sheet, is_virtual: bool) -> Paper {
    let mut paper = known(lang, sheet, is_virtual);
    paper.lead = around(lang, Around::Lead).to_owned();
    if let Some(label) = label(sheet) {
        paper = paper.section(around(lang, Around::Label), [Items::Code { text: label }]);
    }
    let blanks = [Around::LostMode, Around::Remarks, Around::Signed].map(|key| vec![Blank::new(around(lang, key))]);
    paper.section("", [Items::Blanks { rows: blanks.to_vec() }])
}

/// What the label says: the numbers that name this device, a line each.
pub fn label(sheet: &Sheet) -> Option<String> {
    let lines: Vec<String> = [(Field::Serial, "S/N"), (Field::Imei, "IMEI"), (Field::Ecid, "ECID")]
        .into_iter()
        .filter_map(|(of, name)| sheet.text(of).map(|value| format!("{name} {value}")))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// A line of names and a line of values; what is not known is empty.
pub fn table(sheet: &Sheet) -> String {
    let names: Vec<&str> = Field::ALL.iter().map(|of| of.as_str()).collect();
    let value = |of: &Field| match sheet.value(*of) {
        Some(Datum::Text(text) | Datum::Word(text)) => text.clone(),
        Some(Datum::Number(number)) => number.to_string(),
        Some(Datum::Yes(yes)) => yes.to_string(),
        None => String::new(),
    };
    csv::line(&names) + &csv::line(&Field::ALL.iter().map(value).collect::<Vec<_>>())
}

/// A value as a person reads it, or the dash for none.
pub(super) fn or_dash(lang: Lang, of: Field, value: Option<&Datum>) -> String {
    value.map_or_else(|| text(lang, &Text::UnknownValue), |value| shown(lang, of, value))
}
