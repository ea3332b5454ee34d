//! MBFile: what a backup's manifest says about one file.
//!
//! The `file` column of Manifest.db is an NSKeyedArchiver property list of one MBFile object. Numbers
//! stand in the object itself; texts and data are other objects that it points to.

use super::files::{Entry, Kind};
use crate::wire::WireError;
use crate::wire::devicelink::guard;
use plist::{Dictionary, Uid, Value};
use std::sync::OnceLock;

const WHAT: &str = "MBFile";

/// How an archive describes a class: its names, itself first.
fn class(names: &[&str]) -> Value {
    let mut class = Dictionary::new();
    class.insert("$classname".into(), names.first().copied().unwrap_or_default().into());
    class.insert("$classes".into(), Value::Array(names.iter().map(|name| Value::from(*name)).collect()));
    Value::Dictionary(class)
}

/// One MBFile, without the contents it describes. Times are seconds since 1970, size is in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MbFile {
    pub path: String,
    pub size: u64,
    pub mode: u32,
    pub user: i64,
    pub group: i64,
    pub protection: u8,
    pub inode: u64,
    pub birth: i64,
    pub modified: i64,
    pub changed: i64,
    pub target: Option<String>,
    /// SHA-1 of the contents.
    pub digest: Option<[u8; 20]>,
    /// Of an encrypted payload: class, then the wrapped key.
    pub key: Option<Vec<u8>>,
}

impl MbFile {
    pub(super) fn of(path: &str, entry: &Entry, digest: Option<[u8; 20]>, key: Option<Vec<u8>>) -> Self {
        let target = match &entry.kind {
            Kind::Link(target) => Some(target.clone()),
            _ => None,
        };
        MbFile {
            path: path.to_owned(),
            size: entry.size(),
            mode: entry.mode,
            user: entry.user,
            group: entry.group,
            protection: entry.protection,
            inode: entry.inode,
            birth: entry.birth,
            modified: entry.modified,
            changed: entry.changed,
            target,
            digest,
            key,
        }
    }

    pub(super) fn into_entry(self, kind: Kind) -> Entry {
        Entry {
            kind,
            mode: self.mode,
            user: self.user,
            group: self.group,
            protection: self.protection,
            inode: self.inode,
            birth: self.birth,
            modified: self.modified,
            changed: self.changed,
            digest: self.digest.map(OnceLock::from).unwrap_or_default(),
        }
    }

    /// The archive as a binary property list.
    ///
    /// # Errors
    /// [`WireError::Malformed`] when the encoder refuses, which no value of this type makes it do.
    pub fn to_blob(&self) -> Result<Vec<u8>, WireError> {
        let mut objects = vec![Value::from("$null"), Value::Boolean(false), self.path.as_str().into()];
        let mut point_to = |value: Value| {
            objects.push(value);
            Value::Uid(Uid::new(objects.len() as u64 - 1))
        };
        let mut file = Dictionary::new();
        let mut put = |key: &str, value: Value| file.insert(key.to_owned(), value);
        let int = |v: i64| Value::Integer(v.into());
        put("LastModified", int(self.modified));
        put("Flags", int(0));
        put("GroupID", int(self.group));
        put("LastStatusChange", int(self.changed));
        put("RelativePath", Value::Uid(Uid::new(2)));
        put("Birth", int(self.birth));
        put("Size", Value::Integer(self.size.into()));
        put("InodeNumber", Value::Integer(self.inode.into()));
        put("Mode", int(i64::from(self.mode)));
        put("UserID", int(self.user));
        put("ProtectionClass", int(i64::from(self.protection)));
        if let Some(target) = &self.target {
            put("Target", point_to(target.as_str().into()));
        }
        if let Some(digest) = self.digest {
            put("Digest", point_to(Value::Data(digest.to_vec())));
        }
        if let Some(key) = &self.key {
            // Mutable data is an object around its bytes.
            let mut data = Dictionary::new();
            data.insert("NS.data".into(), Value::Data(key.clone()));
            data.insert("$class".into(), point_to(class(&["NSMutableData", "NSData", "NSObject"])));
            put("EncryptionKey", point_to(Value::Dictionary(data)));
        }
        put("$class", point_to(class(&["MBFile", "NSObject"])));
        if let Some(place) = objects.get_mut(1) {
            *place = Value::Dictionary(file);
        }
        let mut top = Dictionary::new();
        top.insert("root".into(), Value::Uid(Uid::new(1)));
        let mut archive = Dictionary::new();
        archive.insert("$version".into(), int(100_000));
        archive.insert("$archiver".into(), "NSKeyedArchiver".into());
        archive.insert("$top".into(), Value::Dictionary(top));
        archive.insert("$objects".into(), Value::Array(objects));
        let mut blob = Vec::with_capacity(640);
        let written = Value::Dictionary(archive).to_writer_binary(&mut blob);
        written.map_err(|err| WireError::malformed(WHAT, err.to_string()))?;
        Ok(blob)
    }

    /// # Errors
    /// [`WireError`] for anything that is not an archive of an MBFile with the fields a backup needs.
    pub fn from_blob(blob: &[u8]) -> Result<Self, WireError> {
        let archive = guard::binary_plist(blob)?;
        let lack = |what: &str| WireError::malformed(WHAT, format!("without {what}"));
        let archive = archive.as_dictionary().ok_or_else(|| lack("a dictionary"))?;
        let objects = archive.get("$objects").and_then(Value::as_array).ok_or_else(|| lack("objects"))?;
        let at = |value: &Value| objects.get(usize::try_from(value.as_uid()?.get()).ok()?);
        let root = archive.get("$top").and_then(|top| at(top.as_dictionary()?.get("root")?));
        let file = root.and_then(Value::as_dictionary).ok_or_else(|| lack("a root"))?;
        let number = |key: &str| {
            let value = file.get(key)?;
            value.as_signed_integer().or_else(|| value.as_unsigned_integer().map(|u| u as i64))
        };
        let needed = |key: &str| number(key).ok_or_else(|| lack(key));
        let text = |key: &str| Some(at(file.get(key)?)?.as_string()?.to_owned());
        let data = |key: &str| {
            let value = at(file.get(key)?)?;
            value.as_data().or_else(|| value.as_dictionary()?.get("NS.data")?.as_data())
        };
        Ok(MbFile {
            path: text("RelativePath").ok_or_else(|| lack("RelativePath"))?,
            size: u64::try_from(needed("Size")?).map_err(|_| lack("a sane Size"))?,
            mode: u32::try_from(needed("Mode")?).map_err(|_| lack("a sane Mode"))?,
            user: number("UserID").unwrap_or(501),
            group: number("GroupID").unwrap_or(501),
            protection: number("ProtectionClass").and_then(|p| u8::try_from(p).ok()).unwrap_or(0),
            inode: number("InodeNumber").unwrap_or(0) as u64,
            birth: number("Birth").unwrap_or(0),
            modified: number("LastModified").unwrap_or(0),
            changed: number("LastStatusChange").unwrap_or(0),
            target: text("Target"),
            digest: data("Digest").and_then(|digest| digest.try_into().ok()),
            key: data("EncryptionKey").map(<[u8]>::to_vec),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_read_back_as_it_was() {
        let plain = MbFile { path: "Library/x".into(), size: 5_000_000_000, mode: 0o100_644, ..MbFile::default() };
        let rich = MbFile {
            path: "Kaart \u{e9}\u{e9}n".into(),
            user: -2,
            group: -2,
            protection: 3,
            inode: u64::from(u32::MAX),
            changed: 1_700_000_000,
            target: Some("/var/mobile".into()),
            digest: Some([7; 20]),
            ..plain.clone()
        };
        let sealed = MbFile { key: Some(vec![3; 44]), ..rich.clone() };
        for file in [plain, rich, sealed] {
            let blob = file.to_blob().unwrap();
            assert!((350..1100).contains(&blob.len()), "{}", blob.len());
            assert_eq!(MbFile::from_blob(&blob).unwrap(), file);
        }
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        let blob = MbFile { path: "a".into(), mode: 0o100_644, ..MbFile::default() }.to_blob().unwrap();
        for cut in 0..blob.len() {
            assert!(MbFile::from_blob(&blob[..cut]).is_err(), "{cut}");
        }
        let mut plain = Vec::new();
        Value::Array(vec![]).to_writer_binary(&mut plain).unwrap();
        assert!(MbFile::from_blob(&plain).is_err());
    }
}
