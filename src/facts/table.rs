//! The rows of a device table: eleven columns apart by tabs, `#` for remarks.
//!
//! Herstel's own table and a person's own file have the same shape, so a row can be copied from one to the
//! other. `?` stands for what is not known and an empty `last_os` for "still gets the newest"; a bare major
//! number there means that the train goes on and its last point is not out. A file from outside is read
//! strictly: a row that is half right would send somebody to the wrong keys.

use super::models::{Biometrics, Buttons, Connector, ImageFormat, Model};
use crate::ids::{ProductType, Version};
use std::str::FromStr;

/// Longest file taken from outside, in bytes.
pub const FILE_CAP: usize = 1 << 20;
/// Longest field, in bytes.
const FIELD_CAP: usize = 80;
const COLUMNS: usize = 11;

/// A line that is no row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadRow {
    /// Counts from 1.
    pub line: usize,
    pub why: String,
}

/// Reads a whole table.
///
/// # Errors
/// The first line that is no row; a file beyond [`FILE_CAP`] is bad at line 0.
pub fn parse(text: &'static str) -> Result<Vec<Model>, BadRow> {
    if text.len() > FILE_CAP {
        return Err(BadRow { line: 0, why: format!("{} bytes are beyond the cap of {FILE_CAP}", text.len()) });
    }
    let mut models: Vec<Model> = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (at, line) in text.lines().enumerate() {
        let bad = |why: String| BadRow { line: at + 1, why };
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let model = row(line).map_err(bad)?;
        if models.iter().any(|m| m.same_row(&model)) {
            return Err(bad(format!("{} {} is here twice", model.product, model.board)));
        }
        models.push(model);
    }
    Ok(models)
}

fn row(line: &'static str) -> Result<Model, String> {
    let fields: Vec<&'static str> = line.split('\t').map(str::trim).collect();
    let [product, name, board, cpid, bdid, buttons, biometrics, connector, first_os, last_os, image] = fields[..]
    else {
        return Err(format!("{} columns instead of {COLUMNS}", fields.len()));
    };
    if let Some(field) = fields.iter().find(|f| f.len() > FIELD_CAP || f.chars().any(char::is_control)) {
        return Err(format!("{:?} is no field", field.chars().take(20).collect::<String>()));
    }
    if !is_product(product) {
        return Err(format!("{product:?} is not a product type such as iPhone14,5"));
    }
    if name.is_empty() || board.is_empty() || !board.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        return Err("the name or the board (such as d17ap) is missing".to_owned());
    }
    let bdid = known(bdid).map(str::parse).transpose().map_err(|e| format!("{e}"))?;
    let version = |text: &str| known(text).map(Version::from_str).transpose().map_err(|e| e.to_string());
    Ok(Model {
        product: ProductType::new(product),
        name,
        board,
        cpid: cpid.parse().map_err(|e| format!("{e}"))?,
        bdid,
        buttons: word(Buttons::WORDS, buttons, "buttons")?,
        biometrics: word(Biometrics::WORDS, biometrics, "biometrics")?,
        connector: word(Connector::WORDS, connector, "connector")?,
        first_os: version(first_os)?,
        last_os: version(last_os)?,
        image: word(ImageFormat::WORDS, image, "image format")?,
    })
}

fn known(field: &str) -> Option<&str> {
    Some(field).filter(|f| !f.is_empty() && *f != "?")
}

/// `iPhone14,5`: letters, number, comma, number.
fn is_product(text: &str) -> bool {
    let digits = |s: &str| !s.is_empty() && s.len() <= 4 && s.bytes().all(|b| b.is_ascii_digit());
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    letters > 0 && text[letters..].split_once(',').is_some_and(|(major, minor)| digits(major) && digits(minor))
}

fn word<T: Copy>(words: &[(&str, T)], text: &str, what: &str) -> Result<T, String> {
    let found = words.iter().find(|(w, _)| *w == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let all: Vec<&str> = words.iter().map(|(w, _)| *w).collect();
        format!("{text:?} is not one of the words for {what}: {}", all.join(" "))
    })
}
