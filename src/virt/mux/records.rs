//! The host's half of trust: its SystemBUID and a pair record for each phone.
//!
//! usbmuxd keeps these for all programs of a computer. They live in memory; with a folder they are
//! mirrored there (0700, files 0600, written beside and renamed), in the layout of `/var/lib/lockdown`,
//! so that tools can be pointed at it. Saving merges into what was there, as usbmuxd does.

use super::inside::lock;
use super::x509::{Key, certificate, pem};
use crate::wire::lockdown::{Shape, encode, parse};
use crate::wire::muxd::result;
use plist::{Dictionary, Value};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

const SYSTEM: &str = "SystemConfiguration";
const RECORDS: usize = 1024;

/// One computer's keys; iTunes and usbmuxd use the same for all phones.
struct Identity {
    root: Key,
    host: Key,
}

/// SystemBUID and pair records of the bench's one host.
pub struct HostRecords {
    buid: String,
    records: Mutex<BTreeMap<String, Dictionary>>,
    folder: Option<PathBuf>,
    identity: OnceLock<Option<Identity>>,
}

impl Default for HostRecords {
    fn default() -> Self {
        HostRecords {
            buid: uuid::Uuid::new_v4().to_string().to_uppercase(),
            records: Mutex::default(),
            folder: None,
            identity: OnceLock::new(),
        }
    }
}

fn is_plain(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && id != SYSTEM
}

impl HostRecords {
    /// In memory only.
    pub fn new() -> Self {
        Self::default()
    }

    /// Mirrored in `folder`, which is made (0700) when missing; what is in it is taken over.
    pub fn in_folder(folder: &Path) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut records = BTreeMap::new();
        let mut buid = None;
        for entry in fs_err::read_dir(folder)?.take(RECORDS) {
            let path = entry?.path();
            let Some(id) = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".plist")) else {
                continue;
            };
            let Ok(Value::Dictionary(dict)) = parse(&fs_err::read(&path)?) else { continue };
            if id == SYSTEM {
                buid = dict.get("SystemBUID").and_then(Value::as_string).map(str::to_owned);
            } else if is_plain(id) {
                records.insert(id.to_owned(), dict);
            }
        }
        let mut made = HostRecords { folder: Some(folder.to_owned()), records: Mutex::new(records), ..Self::default() };
        match buid {
            Some(buid) => made.buid = buid,
            None => made
                .mirror(SYSTEM, &Dictionary::from_iter([("SystemBUID".to_owned(), Value::from(made.buid.as_str()))]))?,
        }
        Ok(made)
    }

    pub fn system_buid(&self) -> &str {
        &self.buid
    }

    /// The record as usbmuxd hands it out: an XML property list.
    pub fn read(&self, id: &str) -> Option<Vec<u8>> {
        let records = lock(&self.records);
        encode(&Value::Dictionary(records.get(id)?.clone()), Shape::Xml).ok()
    }

    /// Merges a record in; the error is the number that usbmuxd would answer.
    pub fn save(&self, id: &str, record: &[u8]) -> Result<(), u32> {
        let Ok(Value::Dictionary(new)) = parse(record) else { return Err(result::INVALID) };
        if !is_plain(id) {
            return Err(result::INVALID);
        }
        let whole = {
            let mut records = lock(&self.records);
            if records.len() >= RECORDS && !records.contains_key(id) {
                return Err(result::INVALID);
            }
            let record = records.entry(id.to_owned()).or_default();
            for (key, value) in new {
                record.insert(key, value);
            }
            record.insert("SystemBUID".into(), self.buid.as_str().into());
            record.clone()
        };
        self.mirror(id, &whole).map_err(|_| 5)
    }

    /// False when there was none.
    pub fn delete(&self, id: &str) -> bool {
        let had = lock(&self.records).remove(id).is_some();
        if let (true, Some(folder)) = (had, &self.folder) {
            let _ = std::fs::remove_file(folder.join(format!("{id}.plist")));
        }
        had
    }

    fn mirror(&self, id: &str, record: &Dictionary) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let bytes = encode(&Value::Dictionary(record.clone()), Shape::Xml).map_err(io::Error::other)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&bytes)?;
        file.persist(folder.join(format!("{id}.plist")))?;
        Ok(())
    }

    /// A whole new record for a phone with this public key (PKCS#1), not saved yet and without escrow bag.
    pub(super) fn make(&self, device_key: &[u8], wifi_address: Option<String>) -> io::Result<Dictionary> {
        let make = || Some(Identity { root: Key::generate().ok()?, host: Key::generate().ok()? });
        let identity = self.identity.get_or_init(make).as_ref();
        let Identity { root, host } = identity.ok_or_else(|| io::Error::other("no host key could be made"))?;
        let mut record = Dictionary::new();
        let mut put = |key: &str, value: Value| {
            record.insert(key.to_owned(), value);
        };
        let certificates = [
            ("DeviceCertificate", certificate(device_key, root, false)?),
            ("HostCertificate", certificate(host.public(), root, false)?),
            ("RootCertificate", certificate(root.public(), root, true)?),
        ];
        for (key, der) in certificates {
            put(key, Value::Data(pem("CERTIFICATE", &der)));
        }
        put("HostPrivateKey", Value::Data(pem("PRIVATE KEY", &host.private()?)));
        put("RootPrivateKey", Value::Data(pem("PRIVATE KEY", &root.private()?)));
        put("HostID", uuid::Uuid::new_v4().to_string().to_uppercase().into());
        put("SystemBUID", self.buid.as_str().into());
        if let Some(address) = wifi_address {
            put("WiFiMACAddress", address.into());
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn records_are_private_files_and_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("lockdown");
        let records = HostRecords::in_folder(&place).unwrap();
        let one = Dictionary::from_iter([("HostID".to_owned(), Value::from("A"))]);
        records.save("00008110-1", &encode(&one.into(), Shape::Xml).unwrap()).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&place), 0o700);
        assert_eq!(mode(&place.join("00008110-1.plist")), 0o600);
        let again = HostRecords::in_folder(&place).unwrap();
        assert_eq!(again.system_buid(), records.system_buid());
        assert_eq!(again.read("00008110-1"), records.read("00008110-1"));
        assert!(again.delete("00008110-1") && !again.delete("00008110-1"));
        assert!(!place.join("00008110-1.plist").exists());
    }

    #[test]
    fn a_record_may_not_name_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let records = HostRecords::in_folder(folder.path()).unwrap();
        let empty = encode(&Dictionary::new().into(), Shape::Xml).unwrap();
        for id in ["", "../x", "a/b", SYSTEM, "a.plist"] {
            assert_eq!(records.save(id, &empty), Err(result::INVALID), "{id}");
        }
        assert_eq!(records.save("a", b"not a plist"), Err(result::INVALID));
    }
}
