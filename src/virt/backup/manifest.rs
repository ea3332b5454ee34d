//! The index of a backup: Manifest.db, Manifest.plist and Status.plist.
//!
//! Formats of iOS 10 and later: SQLite with the schema, page size, user version and WAL header of real
//! ones, Status 3.3, Manifest 10.0. The database is written to a file of its own in a private temporary
//! folder, because a manifest of half a million files should not stand in memory twice.

use super::files::{Entry, Kind, Listed};
use super::furnish::{APPS, carries_digest, file_id, hex};
use super::lockbox::Keyring;
use super::mbfile::MbFile;
use super::{Content, content::mix};
use crate::ids::Version;
use crate::virt::phone::Phone;
use crate::virt::spec::PasscodeSpec;
use crate::wire::devicelink::guard;
use crate::wire::seal::stored_size;
use plist::{Date, Dictionary, Value};
use rusqlite::{Connection, OpenFlags, params};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// More rows than any phone has: a manifest that claims more is not read.
const MAX_ROWS: usize = 5_000_000;
/// Containers in containers of an XML property list.
const MAX_DEPTH: usize = 32;

/// One file as the backup will name it.
#[derive(Clone)]
pub(super) struct Row {
    pub id: [u8; 20],
    pub domain: Arc<str>,
    pub path: Arc<str>,
    pub entry: Arc<Entry>,
}

impl Row {
    pub fn new(listed: Listed) -> Self {
        let id = file_id(&listed.domain, &listed.path);
        Row { id, domain: listed.domain, path: listed.path, entry: listed.entry }
    }

    pub fn is_file(&self) -> bool {
        matches!(self.entry.kind, Kind::File(_))
    }

    /// Bytes of its payload on the host.
    pub fn stored(&self, encrypted: bool) -> u64 {
        stored(self.entry.size(), encrypted)
    }
}

/// Bytes of a payload on the host, for a content of so many.
pub(super) fn stored(size: u64, encrypted: bool) -> u64 {
    if encrypted { stored_size(size) } else { size }
}

/// One row of a manifest that a host holds.
#[derive(Clone, Debug)]
pub(super) struct OldRow {
    pub id: [u8; 20],
    pub domain: String,
    pub path: String,
    /// 1 file, 2 directory, 4 link.
    pub flags: i64,
    pub file: MbFile,
}

/// Where a payload lies below the backup's folder, e.g. `1a/1a30…`.
pub(super) fn payload_name(id: &[u8; 20]) -> String {
    let id = hex(id);
    let (prefix, _) = id.split_at(2);
    format!("{prefix}/{id}")
}

fn sql(err: rusqlite::Error) -> io::Error {
    io::Error::other(format!("Manifest.db: {err}"))
}

/// Writes Manifest.db, plain, with the key of each file where there are keys; the contents live in an unnamed file.
pub(super) fn write_db(rows: &[Row], ring: Option<&Keyring>, wrong_wrap_at: Option<u32>) -> io::Result<Content> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("Manifest.db");
    let mut db = Connection::open(&path).map_err(sql)?;
    db.execute_batch(
        "PRAGMA page_size = 4096; PRAGMA auto_vacuum = 1; PRAGMA user_version = 2;
         PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
         CREATE TABLE Files (fileID TEXT PRIMARY KEY, domain TEXT, relativePath TEXT, flags INTEGER, file BLOB);
         CREATE INDEX FilesDomainIdx ON Files(domain);
         CREATE INDEX FilesRelativePathIdx ON Files(relativePath);
         CREATE INDEX FilesFlagsIdx ON Files(flags);
         CREATE TABLE Properties (key TEXT PRIMARY KEY, value BLOB);",
    )
    .map_err(sql)?;
    let transaction = db.transaction().map_err(sql)?;
    {
        let mut insert = transaction.prepare("INSERT INTO Files VALUES (?1, ?2, ?3, ?4, ?5)").map_err(sql)?;
        let mut files = 0;
        for row in rows {
            let (flags, digest) = match &row.entry.kind {
                Kind::File(_) if carries_digest(&row.domain) => (1, Some(row.entry.sha1()?)),
                Kind::File(_) => (1, None),
                Kind::Directory => (2, None),
                Kind::Link(_) => (4, None),
            };
            let mut key = None;
            if let (Some(ring), true) = (ring, row.is_file()) {
                files += 1;
                let (_, wrapped) = ring.content(row)?;
                key = Some(if wrong_wrap_at == Some(files) { Keyring::misnamed(wrapped) } else { wrapped });
            }
            let blob = MbFile::of(&row.path, &row.entry, digest, key).to_blob().map_err(io::Error::other)?;
            insert.execute(params![hex(&row.id), &*row.domain, &*row.path, flags, blob]).map_err(sql)?;
        }
    }
    transaction.commit().map_err(sql)?;
    // Real manifests carry the WAL mark in their header and come without a log beside them.
    db.pragma_update(None, "journal_mode", "WAL").map_err(sql)?;
    db.close().map_err(|(_, err)| sql(err))?;
    let file = File::open(&path)?;
    let size = file.metadata()?.len();
    Ok(Content::Spilled { file: Arc::new(file), offset: 0, size })
}

/// Reads a manifest that came from a host.
///
/// # Errors
/// A text for the log when it is no such database, or says what no manifest says.
pub(super) fn read_db(path: &Path) -> Result<Vec<OldRow>, String> {
    let text = |err: rusqlite::Error| format!("Manifest.db: {err}");
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(text)?;
    let mut select = db.prepare("SELECT fileID, domain, relativePath, flags, file FROM Files").map_err(text)?;
    let mut found = select.query([]).map_err(text)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next().map_err(text)? {
        if rows.len() >= MAX_ROWS {
            return Err(format!("Manifest.db has more than {MAX_ROWS} rows"));
        }
        let (domain, path): (String, String) = (row.get(1).map_err(text)?, row.get(2).map_err(text)?);
        let id = file_id(&domain, &path);
        let named: String = row.get(0).map_err(text)?;
        if named != hex(&id) {
            return Err(format!("Manifest.db names {domain}-{path} {named}"));
        }
        let flags: i64 = row.get(3).map_err(text)?;
        let blob = row.get_ref(4).map_err(text)?;
        let blob = blob.as_blob().map_err(|err| format!("Manifest.db: {err}"))?;
        let file = MbFile::from_blob(blob).map_err(|err| format!("{domain}-{path}: {err}"))?;
        rows.push(OldRow { id, domain, path, flags, file });
    }
    Ok(rows)
}

/// Status.plist: 189 bytes when finished, as in every log seen.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Status {
    pub uuid: String,
    /// `empty`, `old` or `new`.
    pub backup_state: String,
    /// `uploading`, `moving`, `removing` or `finished`.
    pub snapshot_state: String,
    pub full: bool,
    pub version: String,
}

impl Status {
    pub fn new(full: bool, seed: u64) -> Self {
        let random = (u128::from(mix(seed, 1)) << 64) | u128::from(mix(seed, 2));
        let uuid = uuid::Builder::from_random_bytes(random.to_be_bytes()).into_uuid();
        Status {
            uuid: uuid.as_hyphenated().to_string().to_uppercase(),
            backup_state: if full { "empty" } else { "old" }.into(),
            snapshot_state: "uploading".into(),
            full,
            version: "3.3".into(),
        }
    }

    pub fn build(&self) -> io::Result<Vec<u8>> {
        let mut dict = Dictionary::new();
        dict.insert("SnapshotState".into(), self.snapshot_state.as_str().into());
        dict.insert("UUID".into(), self.uuid.as_str().into());
        dict.insert("IsFullBackup".into(), self.full.into());
        dict.insert("Version".into(), self.version.as_str().into());
        dict.insert("BackupState".into(), self.backup_state.as_str().into());
        dict.insert("Date".into(), Value::Date(whole_second()));
        binary(dict)
    }

    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let value = any_plist(bytes)?;
        let dict = value.as_dictionary()?;
        let text = |key: &str| Some(dict.get(key)?.as_string()?.to_owned());
        Some(Status {
            uuid: text("UUID").unwrap_or_default(),
            backup_state: text("BackupState").unwrap_or_default(),
            snapshot_state: text("SnapshotState")?,
            full: dict.get("IsFullBackup").and_then(Value::as_boolean).unwrap_or(false),
            version: text("Version")?,
        })
    }

    /// Of the Manifest.db era.
    pub fn is_modern(&self) -> bool {
        self.version.parse::<f64>().is_ok_and(|v| v >= 3.3)
    }
}

fn whole_second() -> Date {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Date::from(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(since.as_secs()))
}

fn binary(dict: Dictionary) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Value::Dictionary(dict).to_writer_binary(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

/// A property list of either kind: binary ones pass the guard first, XML ones must not be nested deeply.
pub(super) fn any_plist(bytes: &[u8]) -> Option<Value> {
    if bytes.starts_with(b"bplist") {
        return guard::binary_plist(bytes).ok();
    }
    let mut depth = 0_usize;
    for (at, _) in bytes.iter().enumerate().filter(|(_, b)| **b == b'<') {
        let tag = &bytes[at..];
        if tag.starts_with(b"<dict") || tag.starts_with(b"<array") {
            depth += 1;
        } else if tag.starts_with(b"</dict") || tag.starts_with(b"</array") {
            depth = depth.saturating_sub(1);
        }
        if depth > MAX_DEPTH {
            return None;
        }
    }
    Value::from_reader_xml(io::Cursor::new(bytes)).ok()
}

/// What a restore needs to know from Manifest.plist.
#[derive(Clone, Debug)]
pub(super) struct ManifestFacts {
    pub version: String,
    pub encrypted: bool,
    pub product_version: Option<Version>,
    pub device_name: Option<String>,
    pub udid: Option<String>,
    /// Of an encrypted backup; the second since iOS 10.2.
    pub keybag: Option<Vec<u8>>,
    pub manifest_key: Option<Vec<u8>>,
}

impl ManifestFacts {
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let value = any_plist(bytes)?;
        let dict = value.as_dictionary()?;
        let lockdown = dict.get("Lockdown").and_then(Value::as_dictionary);
        let text = |key: &str| Some(lockdown?.get(key)?.as_string()?.to_owned());
        Some(ManifestFacts {
            version: dict.get("Version")?.as_string()?.to_owned(),
            encrypted: dict.get("IsEncrypted").and_then(Value::as_boolean).unwrap_or(false),
            product_version: text("ProductVersion").and_then(|v| v.parse().ok()),
            device_name: text("DeviceName"),
            udid: text("UniqueDeviceID"),
            keybag: dict.get("BackupKeyBag").and_then(Value::as_data).map(<[u8]>::to_vec),
            manifest_key: dict.get("ManifestKey").and_then(Value::as_data).map(<[u8]>::to_vec),
        })
    }
}

/// Manifest.plist of a backup of this phone as it is now: with its keybag and the key of Manifest.db where these are.
pub(super) fn manifest_plist(
    phone: &Phone,
    ring: Option<&Keyring>,
    manifest_key: Option<Vec<u8>>,
) -> io::Result<Vec<u8>> {
    let mut lockdown = Dictionary::new();
    let (version, passcode_set) = {
        let state = phone.state();
        lockdown.insert("ProductVersion".into(), state.version.to_string().into());
        lockdown.insert("BuildVersion".into(), state.build.to_string().into());
        lockdown.insert("DeviceName".into(), state.name.as_str().into());
        (state.version.clone(), state.passcode != PasscodeSpec::None)
    };
    lockdown.insert("SerialNumber".into(), phone.serial.as_str().into());
    lockdown.insert("ProductType".into(), phone.model.product.as_str().into());
    lockdown.insert("UniqueDeviceID".into(), phone.udid.as_str().into());
    for domain in ["Accessibility", "MobileDeviceCrashCopy", "TerminalFlashr", "mobile.data_sync"] {
        lockdown.insert(format!("com.apple.{domain}"), Value::Dictionary(Dictionary::new()));
    }
    let app = |id: &str| {
        let mut app = Dictionary::new();
        app.insert("CFBundleIdentifier".into(), id.into());
        app.insert("CFBundleVersion".into(), "1".into());
        let bundle = hex(&file_id("AppBundle", id)).to_uppercase();
        let name = id.rsplit('.').next().unwrap_or(id);
        let uuid = uuid::Uuid::from_slice(&file_id("AppBundle", &bundle)[..16]).unwrap_or_default();
        let path = format!("/var/containers/Bundle/Application/{}/{name}.app", uuid.as_hyphenated());
        app.insert("Path".into(), path.into());
        app.insert("ContainerContentClass".into(), "Data/Application".into());
        (id.to_owned(), Value::Dictionary(app))
    };
    let mut dict = Dictionary::new();
    dict.insert("Version".into(), "10.0".into());
    dict.insert("SystemDomainsVersion".into(), if version.major() >= 27 { "24.0" } else { "20.0" }.into());
    dict.insert("IsEncrypted".into(), ring.is_some().into());
    if let Some(ring) = ring {
        dict.insert("BackupKeyBag".into(), Value::Data(ring.keybag.clone()));
    }
    if let Some(key) = manifest_key {
        dict.insert("ManifestKey".into(), Value::Data(key));
    }
    dict.insert("WasPasscodeSet".into(), passcode_set.into());
    dict.insert("Date".into(), Value::Date(whole_second()));
    dict.insert("Applications".into(), Value::Dictionary(APPS.iter().map(|id| app(id)).collect()));
    dict.insert("Lockdown".into(), Value::Dictionary(lockdown));
    binary(dict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virt::spec::PhoneSpec;
    use std::io::Write;

    #[test]
    fn status_has_the_size_of_real_ones() {
        let mut status = Status::new(true, 5);
        status.backup_state = "new".into();
        status.snapshot_state = "finished".into();
        let bytes = status.build().unwrap();
        assert_eq!(bytes.len(), 189);
        assert_eq!(Status::parse(&bytes).unwrap(), status);
        assert!(status.is_modern() && Status::parse(b"bplist00").is_none());
    }

    #[test]
    fn the_database_is_as_real_ones_and_is_read_back() {
        let phone = Phone::new(PhoneSpec::default(), 0, 1.0).unwrap();
        let rows: Vec<Row> = phone.files.list().into_iter().map(Row::new).collect();
        let content = write_db(&rows, None, None).unwrap();
        let mut bytes = vec![0; content.size() as usize];
        content.read_at(0, &mut bytes).unwrap();
        assert_eq!((&bytes[16..18], &bytes[18..20], bytes[63]), (&[0x10, 0][..], &[2, 2][..], 2));
        assert_eq!(bytes[55], bytes[55].max(1), "auto_vacuum");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Manifest.db");
        File::create(&path).unwrap().write_all(&bytes).unwrap();
        let old = read_db(&path).unwrap();
        assert_eq!(old.len(), rows.len());
        for row in &old {
            let new = rows.iter().find(|r| r.id == row.id).unwrap();
            assert_eq!((&*new.domain, &*new.path), (&*row.domain, &*row.path));
            assert_eq!(row.file.digest.is_some(), new.is_file() && carries_digest(&row.domain));
        }
        File::create(&path).unwrap().write_all(&bytes[..5000]).unwrap();
        assert!(read_db(&path).is_err());
    }

    #[test]
    fn xml_is_read_unless_it_is_a_bomb() {
        assert!(any_plist(b"<plist><array><dict/><string>x</string></array></plist>").is_some());
        let bomb = [b"<plist>".to_vec(), b"<array>".repeat(100_000)].concat();
        assert!(any_plist(&bomb).is_none());
        assert!(any_plist(b"").is_none());
    }

    #[test]
    fn the_manifest_says_whose_it_is() {
        let phone = Phone::new(PhoneSpec::default(), 0, 1.0).unwrap();
        let facts = ManifestFacts::parse(&manifest_plist(&phone, None, None).unwrap()).unwrap();
        assert_eq!(facts.udid.as_deref(), Some(phone.udid.as_str()));
        assert_eq!(facts.product_version, Some(phone.state().version.clone()));
        assert!(!facts.encrypted);
    }
}
