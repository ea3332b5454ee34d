//! Takes out of a text what names a device or a person, so that it may be sent to a stranger.
//!
//! Two nets, one behind the other. What a job knows of its device (ECID, UDID, serial, its name) is learned and replaced in
//! every spelling; and what merely looks like such a number is shortened too, for a log may speak of other devices. It
//! rather takes too much: a checksum that looks like a UDID is shortened, a serial that slips through is not undone.
//! The last four characters of a number stay, so that two devices can be told apart.

use crate::ids::Ecid;
use serde_json::{Map, Value};

const KEPT: usize = 4;
/// A shorter name would be found inside every other word.
const SHORTEST: usize = 3;
/// Names that every new device has say nothing of its owner.
const COMMON: [&str; 4] = ["iPhone", "iPad", "iPod", "iPod touch"];
const NESTING: usize = 64;

/// Under these keys there is a name; under `name` there is one where a device is described.
const NAMES: &[&str] = &["title", "DeviceName", "fm-account-masked", "account", "PhoneNumber"];
/// What describes a device.
const DESCRIBES: &[&str] = &["ecid", "udid", "serial"];
/// And under these a number that is one of its kind.
const NUMBERS: &[&str] = &[
    "ecid",
    "udid",
    "serial",
    "device",
    "imei",
    "imei2",
    "meid",
    "board_serial",
    "battery_serial",
    "ap_nonce",
    "sep_nonce",
    "BluetoothAddress",
    "WiFiAddress",
    "InternationalMobileEquipmentIdentity",
    "InternationalMobileEquipmentIdentity2",
    "MobileEquipmentIdentifier",
    "MLBSerialNumber",
    "Serial",
    "SerialNumber",
    "UniqueChipID",
    "UniqueDeviceID",
];

#[derive(Clone, Debug, Default)]
pub struct Redactor {
    /// What is replaced, and by what; the longest first.
    known: Vec<(String, String)>,
}

impl Redactor {
    /// A number that is one of its kind.
    pub fn learn_number(&mut self, number: &str) {
        let number = number.trim();
        if number.chars().count() <= KEPT {
            return;
        }
        let mut spellings = vec![number.to_owned(), number.to_ascii_lowercase(), number.to_ascii_uppercase()];
        if let Ok(ecid) = number.parse::<Ecid>() {
            let hex = format!("{:X}", ecid.0);
            spellings.extend([ecid.0.to_string(), hex.to_lowercase(), format!("{:016X}", ecid.0), hex]);
        }
        for spelling in spellings {
            self.replace(&spelling, shortened(&spelling));
        }
    }

    /// What somebody called it.
    pub fn learn_name(&mut self, name: &str) {
        let name = name.trim();
        if name.chars().count() >= SHORTEST && !COMMON.contains(&name) {
            self.replace(name, initial(name));
        }
    }

    /// Everything in a document that stands under the key of a name or a number.
    pub fn learn(&mut self, document: &Value) {
        self.learn_deep(document, NESTING);
    }

    fn learn_deep(&mut self, document: &Value, left: usize) {
        match document {
            _ if left == 0 => {}
            Value::Array(all) => all.iter().for_each(|each| self.learn_deep(each, left - 1)),
            Value::Object(all) => {
                for (key, value) in all {
                    match value {
                        Value::String(text) if is_name(key, all) => self.learn_name(text),
                        Value::String(text) if NUMBERS.contains(&key.as_str()) => self.learn_number(text),
                        Value::Number(number) if NUMBERS.contains(&key.as_str()) => {
                            self.learn_number(&number.to_string());
                        }
                        other => self.learn_deep(other, left - 1),
                    }
                }
            }
            _ => {}
        }
    }

    fn replace(&mut self, what: &str, by: String) {
        if what.is_empty() || self.known.iter().any(|(known, _)| known == what) {
            return;
        }
        self.known.push((what.to_owned(), by));
        self.known.sort_by_key(|(known, _)| std::cmp::Reverse(known.len()));
    }

    /// A text without them.
    pub fn text(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for (what, by) in &self.known {
            if out.contains(what.as_str()) {
                out = out.replace(what.as_str(), by);
            }
        }
        patterns(&homes(&out))
    }

    /// A document without them; what stands under the key of a name is shortened whatever it is.
    pub fn document(&self, document: &Value) -> Value {
        self.deep(document, NESTING)
    }

    fn deep(&self, document: &Value, left: usize) -> Value {
        match document {
            _ if left == 0 => Value::from("…"),
            Value::Array(all) => all.iter().map(|each| self.deep(each, left - 1)).collect(),
            Value::Object(all) => {
                let one = |(key, value): (&String, &Value)| {
                    let value = match value {
                        Value::String(text) if is_name(key, all) => {
                            Value::from(if COMMON.contains(&text.as_str()) { text.clone() } else { initial(text) })
                        }
                        Value::String(text) if NUMBERS.contains(&key.as_str()) => Value::from(shortened(text)),
                        Value::Number(number) if NUMBERS.contains(&key.as_str()) => {
                            Value::from(shortened(&number.to_string()))
                        }
                        other => self.deep(other, left - 1),
                    };
                    (self.text(key), value)
                };
                Value::Object(all.iter().map(one).collect::<Map<_, _>>())
            }
            Value::String(text) => Value::from(self.text(text)),
            Value::Number(number) if number.to_string().len() >= LONG => Value::from(shortened(&number.to_string())),
            other => other.clone(),
        }
    }
}

fn is_name(key: &str, of: &Map<String, Value>) -> bool {
    NAMES.contains(&key) || key == "name" && DESCRIBES.iter().any(|key| of.contains_key(*key))
}

fn shortened(number: &str) -> String {
    let count = number.chars().count();
    if count <= KEPT {
        "…".into()
    } else {
        number.chars().skip(count - KEPT).fold("…".into(), |out, c| format!("{out}{c}"))
    }
}

fn initial(name: &str) -> String {
    name.trim().chars().take(1).chain(['…']).collect()
}

/// `/home/anna/x` says who sits at this computer.
fn homes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, head)) = ["/home/", "/Users/"].iter().filter_map(|h| Some((rest.find(h)?, *h))).min() {
        let (before, after) = rest.split_at(at + head.len());
        out.push_str(before);
        let end = after.find(['/', '"', '\'', '\n', ':', ' ', ',', ';', ')']).unwrap_or(after.len());
        if end > 0 {
            out.push('…');
        }
        rest = after.get(end..).unwrap_or_default();
    }
    out + rest
}

/// Digits of an IMEI, an ECID in decimal, a card's number; a size of a disk is shorter.
const LONG: usize = 14;

/// Words that look like a number of a device.
fn patterns(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_ascii_alphanumeric() || (c == '-' || c == ':' || c == '@' || c == '.' || c == '_') && !word.is_empty() {
            word.push(c);
            continue;
        }
        out.push_str(&of_word(&word));
        word.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    out
}

fn of_word(word: &str) -> String {
    // A sentence ends in a dot, and a label in a colon.
    let core = word.trim_end_matches(['.', ':', '-', '_', '@']);
    let tail = word.get(core.len()..).unwrap_or_default();
    if core.contains('@') && !core.starts_with('@') {
        return format!("…@…{tail}");
    }
    if uuid::Uuid::try_parse(core).is_ok() {
        // The name of a job; it names nobody.
        return word.to_owned();
    }
    let whole: Vec<String> = core
        .split_inclusive(['-', '.', '_', '@'])
        .map(|part| {
            let name = part.trim_end_matches(['-', '.', '_', '@']);
            let sign = part.get(name.len()..).unwrap_or_default();
            if is_address(name) { format!("…{sign}") } else { pieces(name) + sign }
        })
        .collect();
    whole.concat() + tail
}

/// Of a network card.
fn is_address(text: &str) -> bool {
    let mut pairs = text.split(':');
    let is_pair = |pair: &str| pair.len() == 2 && pair.chars().all(|c| c.is_ascii_hexdigit());
    pairs.by_ref().take(6).filter(|pair| is_pair(pair)).count() == 6 && pairs.next().is_none()
}

fn pieces(text: &str) -> String {
    let one = |part: &str| if looks_like_number(part) { shortened(part) } else { part.to_owned() };
    text.split(':').map(one).collect::<Vec<_>>().join(":")
}

fn looks_like_number(part: &str) -> bool {
    let count = |is: fn(&char) -> bool| part.chars().filter(is).count();
    let (digits, upper) = (count(char::is_ascii_digit), count(char::is_ascii_uppercase));
    let length = part.len();
    let is_hex = part.chars().all(|c| c.is_ascii_hexdigit());
    if let Some(hex) = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
        // Chips and boards have short numbers.
        return hex.len() > 8 && hex.chars().all(|c| c.is_ascii_hexdigit());
    }
    let udid = is_hex && (length == 40 || length == 24 || length == 16 || length == 25);
    let long = digits == length && length >= LONG;
    // Serial numbers: of a device, of a board.
    let serial = digits + upper == length
        && digits >= 1
        && upper >= 2
        && ((10..=12).contains(&length) || (17..=18).contains(&length));
    udid || long || serial
}

#[cfg(test)]
mod tests;
