//! A sheet of paper as a value: what is on it, apart from how it is shown.
//!
//! Cards and plans are written once and shown twice: as text for a terminal or `lp`, and as one HTML page for
//! any printer. A sheet may hold what a device says of itself, so nothing of it reaches a terminal or a page
//! without [`plain_char`]. Lines to write on are part of it: a sheet is filled in with a pen.

use super::page::{escaped, marked, page};
use super::qr;
use crate::say::{Lang, Text, plain_char, text, width};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Narrower than this nothing can be laid out.
const NARROWEST: usize = 24;
const INDENT: &str = "  ";
const GAP: usize = 2;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paper {
    pub title: String,
    /// What it is about, in a sentence or two; may be empty.
    pub lead: String,
    pub sections: Vec<Section>,
    /// What stands at the foot; may be empty.
    pub footer: String,
    /// Something on it was read from a bench.
    #[serde(rename = "virtual")]
    pub is_virtual: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// May be empty.
    pub heading: String,
    pub items: Vec<Items>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Items {
    Paragraph {
        text: String,
    },
    /// Steps in their order.
    Numbered {
        lines: Vec<String>,
    },
    Bullets {
        lines: Vec<String>,
    },
    /// To tick off.
    Boxes {
        lines: Vec<String>,
    },
    Table {
        head: Vec<String>,
        rows: Vec<Vec<String>>,
    },
    /// A label for a reader: the text, and on paper its QR code.
    Code {
        text: String,
    },
    /// Lines to write on, each with one or more labels.
    Blanks {
        rows: Vec<Vec<Blank>>,
    },
}

/// A label with room behind it for a pen, unless what belongs there is known already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blank {
    pub label: String,
    pub value: Option<String>,
}

impl Blank {
    pub fn new(label: impl Into<String>) -> Blank {
        Blank { label: label.into(), value: None }
    }
}

fn owned<T: Into<String>>(lines: impl IntoIterator<Item = T>) -> Vec<String> {
    lines.into_iter().map(Into::into).collect()
}

impl Items {
    pub fn paragraph(text: impl Into<String>) -> Items {
        Items::Paragraph { text: text.into() }
    }
    pub fn numbered<T: Into<String>>(lines: impl IntoIterator<Item = T>) -> Items {
        Items::Numbered { lines: owned(lines) }
    }
    pub fn bullets<T: Into<String>>(lines: impl IntoIterator<Item = T>) -> Items {
        Items::Bullets { lines: owned(lines) }
    }
    pub fn boxes<T: Into<String>>(lines: impl IntoIterator<Item = T>) -> Items {
        Items::Boxes { lines: owned(lines) }
    }
}

impl Paper {
    pub fn new(title: impl Into<String>, lead: impl Into<String>) -> Paper {
        Paper { title: title.into(), lead: lead.into(), ..Paper::default() }
    }

    /// The same with one more section.
    pub fn section(mut self, heading: impl Into<String>, items: impl IntoIterator<Item = Items>) -> Paper {
        self.sections.push(Section { heading: heading.into(), items: items.into_iter().collect() });
        self
    }

    pub fn footer(mut self, footer: impl Into<String>) -> Paper {
        self.footer = footer.into();
        self
    }

    /// Lines of at most `columns`, each ended; no control characters but the newlines.
    pub fn text(&self, lang: Lang, columns: usize) -> String {
        let columns = columns.max(NARROWEST);
        let mut out: Vec<String> = Vec::new();
        out.extend(hung("", &self.title, columns));
        if self.is_virtual {
            out.extend(hung("", &text(lang, &Text::VirtualBanner), columns));
        }
        if !self.lead.is_empty() {
            out.extend(hung("", &self.lead, columns));
        }
        for section in &self.sections {
            out.push(String::new());
            if !section.heading.is_empty() {
                out.extend(hung("", &section.heading, columns));
            }
            for items in &section.items {
                out.extend(items.text(columns));
            }
        }
        if !self.footer.is_empty() {
            out.push(String::new());
            out.extend(hung("", &self.footer, columns));
        }
        out.iter().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    /// One page that prints.
    pub fn html(&self, lang: Lang) -> String {
        let mut body = format!("<h1>{}</h1>\n", escaped(&self.title));
        if self.is_virtual {
            let _ = writeln!(body, "<p class=\"v\">{}</p>", escaped(&text(lang, &Text::VirtualBanner)));
        }
        if !self.lead.is_empty() {
            let _ = writeln!(body, "<p>{}</p>", escaped(&self.lead));
        }
        for section in &self.sections {
            if !section.heading.is_empty() {
                let _ = writeln!(body, "<h2>{}</h2>", escaped(&section.heading));
            }
            section.items.iter().for_each(|items| items.html(&mut body));
        }
        if !self.footer.is_empty() {
            let _ = writeln!(body, "<footer>{}</footer>", escaped(&self.footer));
        }
        page(lang, &self.title, &body)
    }
}

impl Items {
    fn text(&self, columns: usize) -> Vec<String> {
        let each = |lines: &[String], mark: &str| -> Vec<String> {
            lines.iter().flat_map(|line| hung(&format!("{INDENT}{mark} "), line, columns)).collect()
        };
        match self {
            Items::Paragraph { text } => hung(INDENT, text, columns),
            Items::Bullets { lines } => each(lines, "-"),
            Items::Boxes { lines } => each(lines, "[ ]"),
            Items::Numbered { lines } => {
                let wide = lines.len().to_string().len();
                let one = |(at, line): (usize, &String)| hung(&format!("{INDENT}{:>wide$}. ", at + 1), line, columns);
                lines.iter().enumerate().flat_map(one).collect()
            }
            Items::Table { head, rows } => table(head, rows, columns),
            Items::Code { text } => text.lines().flat_map(|line| hung(INDENT, line, columns)).collect(),
            Items::Blanks { rows } => rows.iter().flat_map(|row| blanks(row, columns)).collect(),
        }
    }

    fn html(&self, body: &mut String) {
        let list = |body: &mut String, tag: &str, class: &str, lines: &[String]| {
            let _ = writeln!(body, "<{tag}{class}>");
            for line in lines {
                let _ = writeln!(body, "<li>{}</li>", marked(line));
            }
            let _ = writeln!(body, "</{tag}>");
        };
        match self {
            Items::Paragraph { text } => {
                let _ = writeln!(body, "<p>{}</p>", marked(text));
            }
            Items::Numbered { lines } => list(body, "ol", "", lines),
            Items::Bullets { lines } => list(body, "ul", "", lines),
            Items::Boxes { lines } => list(body, "ul", " class=\"boxes\"", lines),
            Items::Table { head, rows } => {
                let row = |cells: &[String], tag: &str| {
                    let cells: String = cells.iter().map(|c| format!("<{tag}>{}</{tag}>", marked(c))).collect();
                    format!("<tr>{cells}</tr>\n")
                };
                body.push_str("<table class=\"lines\">\n");
                if !head.is_empty() {
                    body.push_str(&row(head, "th"));
                }
                rows.iter().for_each(|cells| body.push_str(&row(cells, "td")));
                body.push_str("</table>\n");
            }
            Items::Code { text } => {
                let drawn = qr::svg(text).unwrap_or_default();
                let _ = writeln!(body, "<div class=\"code\">{drawn}<pre>{}</pre></div>", escaped(text));
            }
            Items::Blanks { rows } => {
                let one = |blank: &Blank| {
                    let value = escaped(blank.value.as_deref().unwrap_or_default());
                    format!("<span>{}</span><i>{value}</i>", escaped(&blank.label))
                };
                for row in rows {
                    let _ = writeln!(body, "<p class=\"blank\">{}</p>", row.iter().map(one).collect::<String>());
                }
            }
        }
    }
}

/// `text` in lines of at most `room` columns; a word that is longer is cut.
fn lines(text: &str, room: usize) -> Vec<String> {
    let room = room.max(2);
    let clean: String = text.chars().map(plain_char).collect();
    let mut out: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in clean.split_whitespace() {
        if !line.is_empty() && width(&line) + 1 + width(word) > room {
            out.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if width(&line) + width(c.encode_utf8(&mut [0; 4])) > room {
                out.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    if !line.is_empty() || out.is_empty() {
        out.push(line);
    }
    out
}

/// The first line behind `mark`, the rest below its text.
fn hung(mark: &str, text: &str, columns: usize) -> Vec<String> {
    let below = " ".repeat(width(mark));
    let pieces = lines(text, columns.saturating_sub(width(mark)));
    let behind = |(at, piece): (usize, String)| format!("{}{piece}", if at == 0 { mark } else { below.as_str() });
    pieces.into_iter().enumerate().map(behind).collect()
}

/// `Label ______  Label ______` as wide as the sheet; labels that leave no room to write get a line each.
fn blanks(row: &[Blank], columns: usize) -> Vec<String> {
    const SHORTEST: usize = 12;
    let whole = |text: &str| lines(text, usize::MAX).concat();
    let row: Vec<(String, String)> =
        row.iter().map(|blank| (whole(&blank.label), whole(blank.value.as_deref().unwrap_or_default()))).collect();
    let room = columns.saturating_sub(INDENT.len() + GAP * row.len().saturating_sub(1));
    let words: usize = row.iter().map(|(label, _)| width(label) + 1).sum();
    let each = room.saturating_sub(words) / row.len().max(1);
    let pen = |value: &str, room: usize| match (width(value), room) {
        (0, room) => "_".repeat(room),
        (wide, room) if wide + 1 < room => format!("{value} {}", "_".repeat(room - wide - 1)),
        _ => value.to_owned(),
    };
    if each >= SHORTEST && row.iter().all(|(_, value)| width(value) <= each) {
        let pens: Vec<String> = row.iter().map(|(label, value)| format!("{label} {}", pen(value, each))).collect();
        return vec![format!("{INDENT}{}", pens.join(&" ".repeat(GAP)))];
    }
    let alone = |(label, value): &(String, String)| {
        if !value.is_empty() {
            return hung(INDENT, &format!("{label} {value}"), columns);
        }
        let mut out = hung(INDENT, label, columns);
        let left = columns.saturating_sub(out.last().map_or(0, |last| width(last)) + 1);
        match out.last_mut() {
            Some(last) if left >= SHORTEST => {
                last.push(' ');
                last.push_str(&pen("", left));
            }
            _ => out.push(format!("{INDENT}{}", pen("", columns - INDENT.len()))),
        }
        out
    };
    row.iter().flat_map(alone).collect()
}

/// Columns as wide as their widest cell, or as a row has room for; their cells are wrapped.
fn table(head: &[String], rows: &[Vec<String>], columns: usize) -> Vec<String> {
    let all: Vec<&[String]> =
        std::iter::once(head).filter(|head| !head.is_empty()).chain(rows.iter().map(Vec::as_slice)).collect();
    let count = all.iter().map(|row| row.len()).max().unwrap_or(0);
    let room = columns.saturating_sub(INDENT.len() + GAP * count.saturating_sub(1));
    if count * 2 > room {
        // More columns than a line can hold: a row is a paragraph.
        return all.iter().flat_map(|row| hung(INDENT, &row.join(" | "), columns)).collect();
    }
    let widths = fitted(&all, count, room);
    let mut out = Vec::new();
    for row in all {
        let cells: Vec<Vec<String>> =
            widths.iter().enumerate().map(|(at, wide)| lines(row.get(at).map_or("", String::as_str), *wide)).collect();
        for line in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
            let mut whole = INDENT.to_owned();
            for (cell, wide) in cells.iter().zip(&widths) {
                let piece = cell.get(line).map_or("", String::as_str);
                whole.push_str(piece);
                whole.push_str(&" ".repeat(wide.saturating_sub(width(piece)) + GAP));
            }
            out.push(whole.trim_end().to_owned());
        }
    }
    out
}

/// Widths that add up to `room` at most: columns give way where it costs the fewest lines, and words stay whole as long
/// as any column can give without cutting one.
fn fitted(all: &[&[String]], count: usize, room: usize) -> Vec<usize> {
    /// With more columns than that, looking at every choice takes too long.
    const FEW: usize = 6;
    let widest = |at: usize, of: fn(&str) -> usize| {
        all.iter().filter_map(|row| row.get(at)).map(|cell| of(cell)).max().unwrap_or(0).min(room)
    };
    let longest = |cell: &str| cell.split_whitespace().map(width).max().unwrap_or(0);
    let words: Vec<usize> = (0..count).map(|at| widest(at, longest)).collect();
    let mut widths: Vec<usize> = (0..count).map(|at| widest(at, width)).collect();
    let high = |widths: &[usize]| -> usize {
        let row = |row: &&[String]| row.iter().zip(widths).map(|(cell, wide)| lines(cell, *wide).len()).max();
        all.iter().filter_map(row).sum()
    };
    while widths.iter().sum::<usize>() > room {
        let whole = |at: &usize| widths.get(*at) > words.get(*at);
        let mut may: Vec<usize> = (0..count).filter(whole).collect();
        if may.is_empty() {
            may = (0..count).collect();
        }
        let narrower = |at: usize| {
            let mut less = widths.clone();
            less.iter_mut().skip(at).take(1).for_each(|wide| *wide = wide.saturating_sub(1));
            less
        };
        let cost = |at: &usize| {
            let wide = widths.get(*at).copied().unwrap_or(0);
            (if count <= FEW && wide > 2 { high(&narrower(*at)) } else { usize::MAX }, usize::MAX - wide)
        };
        let Some(cheapest) = may.into_iter().min_by_key(cost) else { break };
        widths = narrower(cheapest);
    }
    widths
}

#[cfg(test)]
mod tests;
