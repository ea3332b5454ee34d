//! What a person types after `explain`, read kindly: a number, a name, `MB 207`, or a message pasted whole.
//!
//! A message is full of numbers that are no codes: versions, model names, times. So a number counts if something says
//! that it is one (brackets, "error", a space before it), and only if nothing does, every number counts that has a row.

use super::{Group, Hit, near, numbered, rows};
use crate::fault::Code;
use crate::fault::known::Space;

/// Longest text that is looked at, in bytes.
pub const TEXT_CAP: usize = 4096;
/// Most codes that one text is asked for.
const CODES_CAP: usize = 16;

/// A code as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// As a person writes it.
    pub code: String,
    pub hits: Vec<Hit>,
    /// Of a number without any hit.
    pub near: Option<&'static Group>,
}

/// All codes in a text; a text without any is one unknown code. `within`: only this space is looked at.
pub fn read(text: &str, within: Option<Space>) -> Vec<Asked> {
    let mut plain: String = text.chars().take(TEXT_CAP).map(ascii).collect();
    plain.make_ascii_lowercase();
    let tokens = tokens(&plain);
    let said = said(&tokens);
    let sentences = phrases(&plain, within);
    let certain = said.iter().any(|said| said.explicit);
    let mut asked: Vec<Asked> = Vec::new();
    for one in &said {
        // A known sentence says more than the numbers in it, unless they name their space.
        let counts = if sentences.is_empty() { one.explicit || !certain } else { !one.spaces.is_empty() };
        let found = one.find(within);
        // In a message a bare number that means nothing is nothing; by itself it was asked for.
        let wanted = !found.hits.is_empty() || (sentences.is_empty() && (one.explicit || tokens.len() == 1));
        if counts && wanted && asked.len() < CODES_CAP && !asked.contains(&found) {
            asked.push(found);
        }
    }
    let spaces: Vec<Space> = asked.iter().flat_map(|asked| asked.hits.iter().map(Hit::space)).collect();
    let told =
        |asked: &Asked| asked.hits.iter().any(|hit| hit.space() != Space::Message && spaces.contains(&hit.space()));
    asked.extend(sentences.into_iter().filter(|sentence| !told(sentence)));
    for token in &tokens {
        let alone = tokens.len() == 1 || (token.before, token.after) == ('(', ')') || within == Some(Space::Herstel);
        match named(&token.text, alone, within) {
            Some(name) if asked.len() < CODES_CAP && !asked.contains(&name) => asked.push(name),
            _ => {}
        }
    }
    if asked.is_empty() {
        let code = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let code = code.chars().filter(|c| !c.is_control()).take(60).collect();
        asked.push(Asked { code, hits: Vec::new(), near: None });
    }
    asked
}

/// Typographic signs as keyboards have them.
fn ascii(c: char) -> char {
    match c {
        '\u{2018}' | '\u{2019}' => '\'',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        c if c.is_whitespace() => ' ',
        c => c,
    }
}

/// Known sentences and parts of them.
fn phrases(text: &str, within: Option<Space>) -> Vec<Asked> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut asked = Vec::new();
    for row in rows().iter().filter(|row| within.is_none_or(|space| row.space == space)) {
        let phrase = row.names().find(|name| name.contains(' ') || row.space == Space::Message);
        if phrase.is_some() && row.names().any(|name| text.contains(name)) {
            let code = row.names().find(|name| text.contains(name)).unwrap_or_default().to_owned();
            asked.push(Asked { code, hits: vec![Hit::Row(row)], near: None });
        }
    }
    asked
}

/// A name of lockdown, or a code of ours; some of ours are everyday words, which count only when they stand `alone`.
fn named(token: &str, alone: bool, within: Option<Space>) -> Option<Asked> {
    let wanted = |space| within.is_none_or(|within| within == space);
    let ours = Code::ALL.iter().find(|code| code.as_str() == token && (alone || token.contains('-')));
    let ours = ours.filter(|_| wanted(Space::Herstel));
    if let Some(code) = ours {
        return Some(Asked { code: code.to_string(), hits: vec![Hit::Ours(*code)], near: None });
    }
    let is = |name: &&str| !name.contains(' ') && name.eq_ignore_ascii_case(token);
    let rows = rows().iter().filter(|row| row.space == Space::Lockdown && wanted(row.space));
    let (name, row) = rows.filter_map(|row| row.names().find(is).map(|name| (name, row))).next()?;
    Some(Asked { code: name.to_owned(), hits: vec![Hit::Row(row)], near: None })
}

#[derive(Clone, Debug)]
struct Token {
    text: String,
    /// The sign right before and right after it.
    before: char,
    after: char,
}

fn tokens(text: &str) -> Vec<Token> {
    let part = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.', '\''].contains(&c);
    let mut out: Vec<Token> = Vec::new();
    let mut before = ' ';
    let mut word = String::new();
    for c in text.chars().chain([' ']) {
        if part(c) {
            word.push(c);
            continue;
        }
        let trimmed = word.trim_end_matches(['-', '.', '\'', '_']).trim_start_matches(['.', '\'', '_']);
        if !trimmed.is_empty() {
            out.push(Token { text: trimmed.to_owned(), before, after: c });
        }
        word.clear();
        before = c;
    }
    out
}

/// A number in a text, with what was said of it.
struct Said {
    code: String,
    numbers: Vec<i64>,
    spaces: Vec<Space>,
    explicit: bool,
}

impl Said {
    fn find(&self, within: Option<Space>) -> Asked {
        let spaces: Vec<Space> = within.map_or_else(|| self.spaces.clone(), |space| vec![space]);
        let mut hits: Vec<Hit> = Vec::new();
        for hit in self.numbers.iter().flat_map(|number| numbered(*number, &spaces)) {
            if !hits.contains(&hit) {
                hits.push(hit);
            }
        }
        // iTunes shows the device's own number, and more of those are known from there.
        if hits.is_empty() && within.is_none() && spaces.contains(&Space::Restored) {
            hits.extend(self.numbers.iter().flat_map(|number| numbered(*number, &[Space::ITunes])));
        }
        let near = self.numbers.iter().find_map(|number| near(*number, &spaces)).filter(|_| hits.is_empty());
        Asked { code: self.code.clone(), hits, near }
    }
}

fn said(tokens: &[Token]) -> Vec<Said> {
    let mut out = Vec::new();
    let mut spaces: Vec<Space> = Vec::new();
    let mut explicit = false;
    let mut last_number = false;
    for token in tokens {
        let text = token.text.as_str();
        let after_number = std::mem::replace(&mut last_number, number(text).is_some());
        // The 5 of iPhone14,5, and times.
        let part = (token.before == ',' && !after_number)
            || ((token.before, token.after) != (' ', ' ') && !explicit && [token.before, token.after].contains(&':'));
        if part && number(text).is_some() {
            continue;
        }
        if let Some(named) = space_of(text, token.after) {
            if spaces.is_empty() || text != "status" {
                spaces = named;
            }
            explicit = true;
        } else if is_error_word(text) {
            explicit = true;
        } else if let Some((named, numbers, code)) = number(text) {
            let named = if named.is_empty() { spaces.clone() } else { named };
            let bracket = token.before == '(' && token.after == ')';
            let sure = explicit || bracket || !named.is_empty() || text.contains("0x");
            out.push(Said { code, numbers, spaces: named, explicit: sure });
            // "69/94", "error 9, 4013": the word before holds for all of them.
            if ![',', '/'].contains(&token.after) {
                (spaces, explicit) = (Vec::new(), false);
            }
        } else {
            (spaces, explicit) = (Vec::new(), false);
        }
    }
    out
}

fn space_of(word: &str, after: char) -> Option<Vec<Space>> {
    Some(match word {
        "itunes" | "finder" => vec![Space::ITunes, Space::MobileDevice],
        "mb" | "mberror" | "mberrordomain" | "mobilebackup" | "mobilebackup2" | "backup" => vec![Space::Backup],
        "amrerror" | "amrestoreerror" | "idevicerestore" => vec![Space::Restored],
        // An everyday word too: "could not be restored: 4013" is a sentence of iTunes.
        "restored" if after == ' ' => vec![Space::Restored],
        "tss" | "gs.apple.com" => vec![Space::Tss],
        "status" if after == '=' => vec![Space::Tss],
        "status" => vec![Space::Restored, Space::Tss],
        "lockdown" | "lockdownd" => vec![Space::Lockdown],
        "mobiledevice" | "amdevice" => vec![Space::MobileDevice],
        _ => return None,
    })
}

fn is_error_word(word: &str) -> bool {
    ["error", "errors", "err", "fout", "fouten", "foutcode", "foutmelding", "code"].contains(&word)
}

/// `4013`, `-69`, `0xe8000013`, `e8000013`, `mb207`, `error4013`; what it may mean as a number, and how it is written.
fn number(token: &str) -> Option<(Vec<Space>, Vec<i64>, String)> {
    let digits = token.strip_prefix('-').unwrap_or(token);
    if !digits.is_empty() && digits.len() <= 20 && digits.bytes().all(|b| b.is_ascii_digit()) {
        let value = token.parse::<i64>().ok().or_else(|| token.parse::<u64>().ok().map(u64::cast_signed));
        return value.map(|value| (Vec::new(), signs(value), token.to_owned()));
    }
    if let Some(hex) = token.strip_prefix("0x") {
        let value = Some(hex).filter(|hex| hex.len() <= 16).and_then(|hex| u64::from_str_radix(hex, 16).ok())?;
        return Some((Vec::new(), signs(value.cast_signed()), format!("0x{}", hex.to_ascii_uppercase())));
    }
    if token.len() == 8 && token.starts_with("e80") {
        let value = u64::from_str_radix(token, 16).ok()?;
        let code = format!("0x{}", token.to_ascii_uppercase());
        return Some((vec![Space::MobileDevice], vec![value.cast_signed()], code));
    }
    let at = token.find(|c: char| c.is_ascii_digit()).filter(|at| *at > 0)?;
    let (word, digits) = token.split_at_checked(at)?;
    let word = word.trim_end_matches('-');
    let (named, numbers, code) = number(digits)?;
    match space_of(word, ' ') {
        Some(spaces) => Some((spaces, numbers, code)),
        None if is_error_word(word) => Some((named, numbers, code)),
        None => None,
    }
}

/// A value of 32 bits may have been printed without its sign.
fn signs(value: i64) -> Vec<i64> {
    match u32::try_from(value) {
        Ok(small) if small.cast_signed() < 0 => vec![value, i64::from(small.cast_signed())],
        _ => vec![value],
    }
}

#[cfg(test)]
mod tests;
