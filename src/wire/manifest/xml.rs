//! XML property lists from outside, read with caps.
//!
//! Apple serves manifests, catalogues and TSS answers as XML. The `plist` crate reads any nesting, but a value
//! nested a million deep overflows the stack when it is dropped; so the nesting is counted first. Binary
//! property lists are refused here: none of these documents comes in that form.

use crate::wire::WireError;
use plist::{Dictionary, Value};

const MAX_DEPTH: usize = 64;

/// Reads the XML property list of one document of at most `cap` bytes.
///
/// # Errors
/// [`WireError::Short`] when it is empty or breaks off, [`WireError::TooLong`] past the cap, else malformed.
pub(crate) fn dictionary(what: &'static str, bytes: &[u8], cap: usize) -> Result<Dictionary, WireError> {
    if bytes.len() > cap {
        return Err(WireError::TooLong { what, length: bytes.len() as u64, cap: cap as u64 });
    }
    let body = trimmed(bytes);
    if body.is_empty() {
        return Err(WireError::Short { what });
    }
    if looks_like_html(body) {
        return Err(WireError::malformed(what, "an HTML page (a login portal, a filter or an error page)"));
    }
    if !body.starts_with(b"<?xml") && !body.starts_with(b"<plist") && !body.starts_with(b"<!DOCTYPE plist") {
        return Err(WireError::malformed(what, "no XML property list"));
    }
    if !body.ends_with(b"</plist>") {
        return Err(WireError::Short { what });
    }
    let deepest = depth(body);
    if deepest > MAX_DEPTH {
        return Err(WireError::TooLong { what, length: deepest as u64, cap: MAX_DEPTH as u64 });
    }
    match Value::from_reader_xml(body) {
        Ok(Value::Dictionary(dictionary)) => Ok(dictionary),
        Ok(_) => Err(WireError::malformed(what, "its top is no dictionary")),
        Err(err) => Err(WireError::malformed(what, err.to_string())),
    }
}

/// Without blanks and a byte order mark around it.
pub(crate) fn trimmed(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).trim_ascii()
}

/// Does this start as a web page does?
pub(crate) fn looks_like_html(body: &[u8]) -> bool {
    let start: Vec<u8> = body.iter().take(512).map(u8::to_ascii_lowercase).collect();
    let has = |word: &[u8]| start.windows(word.len()).any(|w| w == word);
    start.starts_with(b"<html") || has(b"<!doctype html") || (start.starts_with(b"<?xml") && has(b"<html"))
}

fn depth(body: &[u8]) -> usize {
    let (mut now, mut deepest) = (0_usize, 0_usize);
    for at in body.iter().enumerate().filter(|(_, b)| **b == b'<').map(|(at, _)| at) {
        let rest = &body[at + 1..];
        let closes = rest.starts_with(b"/");
        let name = rest.strip_prefix(b"/").unwrap_or(rest);
        if !name.starts_with(b"dict") && !name.starts_with(b"array") {
            continue;
        }
        if closes {
            now = now.saturating_sub(1);
            continue;
        }
        let end = rest.iter().position(|b| *b == b'>').unwrap_or(0);
        if end == 0 || rest[end - 1] != b'/' {
            now += 1;
            deepest = deepest.max(now);
        }
    }
    deepest
}

/// An unsigned number written as an integer or as text (`0x8110`, `12`).
pub(crate) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Integer(number) => number.as_unsigned(),
        Value::String(text) => match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_counted_before_it_is_built() {
        let deep = |n: usize| format!("<plist>{}{}</plist>", "<array>".repeat(n), "</array>".repeat(n));
        assert!(matches!(dictionary("x", deep(200_000).as_bytes(), 1 << 24), Err(WireError::TooLong { .. })));
        let wide = format!("<plist><dict><key>a</key><array>{}</array></dict></plist>", "<dict/>".repeat(500));
        assert_eq!(dictionary("x", wide.as_bytes(), 1 << 20).unwrap().len(), 1);
    }

    #[test]
    fn pages_and_torn_documents_are_told_apart() {
        for page in ["<!DOCTYPE html><html></html>", "<HTML><body>Please log in</body></HTML>"] {
            let err = dictionary("x", page.as_bytes(), 1000).unwrap_err().to_string();
            assert!(err.contains("HTML"), "{err}");
        }
        assert_eq!(dictionary("x", b" \n", 10), Err(WireError::Short { what: "x" }));
        assert_eq!(dictionary("x", b"<?xml version=\"1.0\"?><plist><dict>", 100), Err(WireError::Short { what: "x" }));
        assert!(dictionary("x", b"bplist00", 100).is_err());
    }
}
