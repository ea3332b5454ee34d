//! A message of a host whose data is not in memory: boot firmware for a device has tens of megabytes.
//!
//! Only the frame of the property list is made here, in order; whoever sends it puts each datum into its place,
//! line by line ([`line_up`]). A datum's length is known before it is read, and with it that of the message.
//! Lines have the width that hosts of the field write.

use super::WHAT;
use crate::wire::WireError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Bytes in one line of base64: 76 letters and a line feed.
pub const LINE: usize = 57;

/// A property list; `T` is where the bytes of a datum come from.
#[derive(Debug)]
pub enum Large<T> {
    Dictionary(Vec<(String, Large<T>)>),
    Array(Vec<Large<T>>),
    Text(String),
    Data { length: u64, from: T },
}

/// What is sent, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<T> {
    Xml(Vec<u8>),
    /// So many bytes from there, through [`line_up`].
    Data {
        length: u64,
        from: T,
    },
}

/// The message with its length prefix. More than `cap` bytes are refused.
pub fn parts<T>(message: Large<T>, cap: u32) -> Result<Vec<Part<T>>, WireError> {
    let mut walk = Walk { parts: Vec::new(), xml: Vec::new(), length: 0 };
    walk.xml.extend_from_slice(HEAD);
    walk.value(message);
    walk.xml.extend_from_slice(b"</plist>\n");
    walk.turn();
    let length = u32::try_from(walk.length).ok().filter(|length| *length <= cap);
    let length = length.ok_or(WireError::TooLong { what: WHAT, length: walk.length, cap: cap.into() })?;
    let mut parts = vec![Part::Xml(length.to_be_bytes().to_vec())];
    parts.append(&mut walk.parts);
    Ok(parts)
}

const HEAD: &[u8] =
    b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n";

struct Walk<T> {
    parts: Vec<Part<T>>,
    xml: Vec<u8>,
    length: u64,
}

impl<T> Walk<T> {
    fn value(&mut self, value: Large<T>) {
        match value {
            Large::Dictionary(entries) => {
                self.say("<dict>\n");
                for (key, value) in entries {
                    self.text("key", &key);
                    self.value(value);
                }
                self.say("</dict>\n");
            }
            Large::Array(values) => {
                self.say("<array>\n");
                values.into_iter().for_each(|value| self.value(value));
                self.say("</array>\n");
            }
            Large::Text(text) => self.text("string", &text),
            Large::Data { length, from } => {
                self.say("<data>\n");
                self.turn();
                self.length = self.length.saturating_add(lined_up(length));
                self.parts.push(Part::Data { length, from });
                self.say("</data>\n");
            }
        }
    }

    fn say(&mut self, xml: &str) {
        self.xml.extend_from_slice(xml.as_bytes());
    }

    fn text(&mut self, tag: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        self.say(&format!("<{tag}>{text}</{tag}>\n"));
    }

    fn turn(&mut self) {
        self.length = self.length.saturating_add(self.xml.len() as u64);
        self.parts.push(Part::Xml(std::mem::take(&mut self.xml)));
    }
}

/// Bytes that so many bytes become.
fn lined_up(length: u64) -> u64 {
    length.div_ceil(3).saturating_mul(4).saturating_add(length.div_ceil(LINE as u64))
}

/// Appends lines of base64. All but the last call of a datum take a multiple of [`LINE`] bytes.
pub fn line_up(bytes: &[u8], out: &mut Vec<u8>) {
    for line in bytes.chunks(LINE) {
        let begin = out.len();
        out.resize(begin + LINE / 3 * 4, 0);
        let written = out.get_mut(begin..).and_then(|space| STANDARD.encode_slice(line, space).ok());
        out.truncate(begin + written.unwrap_or_default());
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FROM_HOST_CAP, length, parse};
    use super::*;
    use plist::{Dictionary, Value};
    use proptest::prelude::*;

    fn whole(parts: Vec<Part<Vec<u8>>>, step: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in parts {
            match part {
                Part::Xml(xml) => bytes.extend(xml),
                Part::Data { length, from } => {
                    assert_eq!(length, from.len() as u64);
                    from.chunks(step * LINE).for_each(|piece| line_up(piece, &mut bytes));
                }
            }
        }
        bytes
    }

    fn data(bytes: &[u8]) -> Large<Vec<u8>> {
        Large::Data { length: bytes.len() as u64, from: bytes.to_vec() }
    }

    proptest! {
        #[test]
        fn it_is_read_as_what_it_was_made_of(
            one in proptest::collection::vec(any::<u8>(), 0..300),
            two in proptest::collection::vec(any::<u8>(), 0..300),
            key in "[ -~é]{1,20}",
            step in 1_usize..4,
        ) {
            let message = Large::Dictionary(vec![
                ("NorImageData".to_owned(), Large::Array(vec![data(&one), data(&two), data(&[])])),
                (key.clone(), Large::Dictionary(vec![("LLB".to_owned(), data(&two))])),
                ("ImageName".to_owned(), Large::Text(key.clone())),
            ]);
            let bytes = whole(parts(message, FROM_HOST_CAP).unwrap(), step);
            let (prefix, body) = bytes.split_first_chunk::<4>().unwrap();
            prop_assert_eq!(length(*prefix, FROM_HOST_CAP).unwrap(), body.len());
            let read = parse(body).unwrap();
            let images = Value::Array(vec![Value::Data(one), Value::Data(two.clone()), Value::Data(Vec::new())]);
            prop_assert_eq!(read.get("NorImageData"), Some(&images));
            let named = Dictionary::from_iter([("LLB".to_owned(), Value::Data(two))]);
            prop_assert_eq!(read.get(&key), Some(&Value::Dictionary(named)));
            let trimmed = read.get("ImageName").and_then(Value::as_string).map(str::trim);
            prop_assert_eq!(trimmed, Some(key.trim()));
        }
    }

    #[test]
    fn what_a_device_would_refuse_is_refused_here() {
        let huge = || Large::Data { length: u64::from(FROM_HOST_CAP), from: Vec::new() };
        assert!(matches!(parts(huge(), FROM_HOST_CAP), Err(WireError::TooLong { .. })));
        let absurd = Large::Array(vec![Large::Data { length: u64::MAX, from: Vec::<u8>::new() }, huge()]);
        assert!(parts(absurd, u32::MAX).is_err());
    }
}
