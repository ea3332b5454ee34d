//! The property lists of a backup folder, read as what they are: files from somewhere else.
//!
//! Size, nesting and unfolding are capped before anything is built. `Status.plist` says whether the phone finished;
//! its `IsFullBackup` is known to lie and is not read.

use super::tree::{disk, open_file};
use crate::fault::Fault;
use crate::wire::devicelink::guard::{self, MAX_DEPTH};
use plist::{Dictionary, Value};
use serde::{Deserialize, Serialize};
use std::io::{self, Cursor, Read};
use std::path::Path;

/// Largest list that is read. Real ones stay below 2 MB (an Info.plist with the icons of all apps).
const MAX_BYTES: u64 = 32 << 20;

/// Why a list could not be read.
#[derive(Debug)]
pub(super) enum Unread {
    Missing,
    Damaged(String),
    Disk(Fault),
}

/// # Errors
/// [`Unread`]: absent, no property list, or the disk.
pub(super) fn read(path: &Path) -> Result<Dictionary, Unread> {
    let file = match open_file(path) {
        Ok(file) => file,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Err(Unread::Missing),
        Err(err) if err.kind() == io::ErrorKind::InvalidData => return Err(Unread::Damaged(err.to_string())),
        Err(err) => return Err(Unread::Disk(disk(path, err))),
    };
    let mut bytes = vec![];
    if let Err(err) = file.take(MAX_BYTES + 1).read_to_end(&mut bytes) {
        return Err(Unread::Disk(disk(path, err)));
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Unread::Damaged(format!("is larger than {MAX_BYTES} bytes")));
    }
    match parse(&bytes) {
        Ok(Value::Dictionary(dict)) => Ok(dict),
        Ok(_) => Err(Unread::Damaged("is no dictionary".into())),
        Err(why) => Err(Unread::Damaged(why)),
    }
}

pub(super) fn parse(bytes: &[u8]) -> Result<Value, String> {
    if bytes.is_empty() {
        return Err("is empty".into());
    }
    if bytes.starts_with(b"bplist00") {
        return guard::binary_plist(bytes).map_err(|e| e.to_string());
    }
    if xml_depth(bytes) > MAX_DEPTH {
        return Err("is nested too deep".into());
    }
    Value::from_reader_xml(Cursor::new(bytes)).map_err(|e| e.to_string())
}

/// Deepest nesting of elements; comments and the like are stepped over.
fn xml_depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut at) = (0usize, 0, 0);
    let find = |from: usize, what: &[u8]| {
        let rest = bytes.get(from..).unwrap_or_default();
        rest.windows(what.len()).position(|w| w == what).map_or(bytes.len(), |p| from + p + what.len())
    };
    while let Some(open) = bytes.get(at..).and_then(|rest| rest.iter().position(|b| *b == b'<')) {
        let start = at + open;
        let rest = bytes.get(start..).unwrap_or_default();
        at = if rest.starts_with(b"<!--") {
            find(start, b"-->")
        } else if rest.starts_with(b"<![CDATA[") {
            find(start, b"]]>")
        } else {
            let end = find(start, b">");
            match rest.get(1) {
                Some(b'/') => depth = depth.saturating_sub(1),
                Some(b'?' | b'!') => {}
                _ if bytes.get(end.wrapping_sub(2)) == Some(&b'/') => {}
                _ => depth += 1,
            }
            deepest = deepest.max(depth);
            end
        };
    }
    deepest
}

/// What a backup says of itself, for lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub device_name: Option<String>,
    pub product_type: Option<String>,
    pub product_version: Option<String>,
    pub build: Option<String>,
    pub serial: Option<String>,
    /// None where no Manifest.plist says it.
    pub encrypted: Option<bool>,
    pub passcode_was_set: Option<bool>,
    /// Of the manifest, e.g. `10.0`.
    pub manifest_version: Option<String>,
    pub applications: usize,
}

impl Summary {
    /// Reads the folder of one device in a backup; what cannot be read is left out.
    pub fn read(folder: &Path) -> Self {
        let info = read(&folder.join("Info.plist")).unwrap_or_default();
        let manifest = read(&folder.join("Manifest.plist")).unwrap_or_default();
        let lockdown = manifest.get("Lockdown").and_then(Value::as_dictionary).cloned().unwrap_or_default();
        let text = |from: &Dictionary, key: &str| from.get(key).and_then(Value::as_string).map(str::to_owned);
        let either = |inner: &str, outer: &str| text(&lockdown, inner).or_else(|| text(&info, outer));
        let flag = |key: &str| manifest.get(key).and_then(Value::as_boolean);
        Summary {
            device_name: either("DeviceName", "Device Name"),
            product_type: either("ProductType", "Product Type"),
            product_version: either("ProductVersion", "Product Version"),
            build: either("BuildVersion", "Build Version"),
            serial: either("SerialNumber", "Serial Number"),
            encrypted: flag("IsEncrypted"),
            passcode_was_set: flag("WasPasscodeSet"),
            manifest_version: text(&manifest, "Version"),
            applications: manifest.get("Applications").and_then(Value::as_dictionary).map_or(0, Dictionary::len),
        }
    }
}

/// How far the phone came, from Status.plist.
pub(super) fn snapshot_state(status: &Dictionary) -> Option<&str> {
    status.get("SnapshotState").and_then(Value::as_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_bombs_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.plist");
        let put = |bytes: &[u8]| std::fs::write(&path, bytes).unwrap();
        assert!(matches!(read(&path), Err(Unread::Missing)));
        put(b"");
        assert!(matches!(read(&path), Err(Unread::Damaged(_))));
        put(br#"<?xml version="1.0"?><plist version="1.0"><dict><key>A</key><string/></dict></plist>"#);
        assert_eq!(read(&path).unwrap().len(), 1);
        let deep =
            format!("<plist version=\"1.0\">{}{}</plist>", "<array>".repeat(100_000), "</array>".repeat(100_000));
        put(deep.as_bytes());
        assert!(matches!(read(&path), Err(Unread::Damaged(why)) if why.contains("deep")));
        let link = dir.path().join("link.plist");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        assert!(matches!(read(&link), Err(Unread::Damaged(why)) if why.contains("link")));
        let pipe = dir.path().join("pipe.plist");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        assert!(matches!(read(&pipe), Err(Unread::Damaged(why)) if why.contains("no file")));
        assert!(matches!(read(dir.path()), Err(Unread::Damaged(_))));
        assert_eq!(xml_depth(b"<a><!-- </a></a> <b> --><c/><d x='/'></d></a>"), 2);
    }
}
