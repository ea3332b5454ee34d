//! What is in a backup, and one file out of it.
//!
//! Domain and path of a row are a phone's words: they are shown and searched for, and never become a path here. A
//! file is taken out to a name that the caller chose, which must not exist yet; its payload is found by its file ID,
//! which is checked to be one. An encrypted backup shows nothing until its password is given; [`Opened`] keeps what
//! the password opened, as that takes long.

use super::crypt::{Decrypter, Keys, Seal, Unlock, open_manifest};
use super::manifest::{FLAG_FILE, FLAG_FOLDER, Manifest, payload_path};
use super::mbfile::{key_of, size_of};
use super::tree::{Place, WorkTree, disk};
use super::{Cancel, Summary};
use crate::fault::{Code, Fault};
use crate::wire::seal::Key;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowKind {
    File,
    Folder,
    Link,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// 40 hexadecimal digits.
    pub file_id: String,
    /// E.g. `CameraRollDomain`.
    pub domain: String,
    /// Below the domain.
    pub path: String,
    pub kind: RowKind,
    /// Bytes of the content; none where the record does not say.
    pub size: Option<u64>,
}

/// Which rows to show. Empty texts let everything pass.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The domain itself or its beginning, e.g. `AppDomain-`.
    pub domain: String,
    /// A part of the path; case counts.
    pub path: String,
    pub files_only: bool,
}

/// A backup that can be looked into.
pub struct Opened {
    folder: PathBuf,
    manifest: Manifest,
    /// Of an encrypted one.
    keys: Option<Keys>,
}

fn open_plain(folder: &Path) -> Result<Manifest, Fault> {
    if !folder.join("Manifest.db").is_file() {
        return Err(Fault::new(Code::BackupNone, format!("{} holds no Manifest.db", folder.display())));
    }
    Manifest::open(&folder.join("Manifest.db"))
}

impl Opened {
    /// Opens the backup in `folder` (named by the UDID). Of an encrypted one this checks the password first, which
    /// takes seconds; of another one `unlock` is not looked at.
    ///
    /// # Errors
    /// [`Code::BackupNone`], [`Code::BackupDamaged`], [`Code::BackupPassword`] for an encrypted one without a
    /// password, [`Code::BackupPasswordWrong`], disk faults, cancel.
    pub fn open(folder: &Path, unlock: Option<Unlock<'_>>, cancel: &Cancel) -> Result<Self, Fault> {
        let own = folder.to_owned();
        if Summary::read(folder).encrypted != Some(true) {
            return Ok(Opened { folder: own, manifest: open_plain(folder)?, keys: None });
        }
        let Some(unlock) = unlock else {
            let text = "the backup is encrypted; what is in it cannot be shown without its password";
            return Err(Fault::new(Code::BackupPassword, text));
        };
        let seal = Seal::of(folder)?;
        let keys = Keys::unlock(&seal.keybag, unlock.password)?;
        let manifest = open_manifest(folder, &seal, &keys, unlock.scratch, cancel)?;
        Ok(Opened { folder: own, manifest, keys: Some(keys) })
    }

    pub fn is_encrypted(&self) -> bool {
        self.keys.is_some()
    }

    /// Shows the rows one by one, until `each` breaks.
    ///
    /// # Errors
    /// [`Code::BackupDamaged`].
    pub fn browse(&self, filter: &Filter, mut each: impl FnMut(Row) -> ControlFlow<()>) -> Result<(), Fault> {
        let mut stopped = false;
        let walked = self.manifest.each(|record| {
            let wanted = record.domain.starts_with(&filter.domain)
                && record.path.contains(&filter.path)
                && (!filter.files_only || record.flags == FLAG_FILE);
            if !wanted {
                return Ok(());
            }
            let row = Row {
                file_id: record.file_id.to_owned(),
                domain: record.domain.to_owned(),
                path: record.path.to_owned(),
                kind: kind_of(record.flags),
                size: record.blob.and_then(size_of),
            };
            stopped = each(row).is_break();
            // The only way out of the walk; nobody sees this fault.
            if stopped { Err(Fault::cancelled()) } else { Ok(()) }
        });
        if stopped { Ok(()) } else { walked }
    }

    /// The row of exactly this domain and path.
    ///
    /// # Errors
    /// [`Code::BackupDamaged`].
    pub fn find(&self, domain: &str, path: &str) -> Result<Option<Row>, Fault> {
        let found = self.manifest.find(domain, path)?;
        Ok(found.map(|found| Row {
            file_id: found.file_id,
            domain: domain.to_owned(),
            path: path.to_owned(),
            kind: kind_of(found.flags),
            size: found.size,
        }))
    }

    /// Copies the content of `row`, decrypted, to the new file `to` (0600) and answers its bytes.
    ///
    /// # Errors
    /// [`Code::BackupDamaged`] for a row that has no payload or one that does not decrypt, [`Code::DiskError`] when
    /// `to` exists, cancel. Half a file is not left behind.
    pub fn extract(&self, row: &Row, to: &Path, cancel: &Cancel) -> Result<u64, Fault> {
        copy_out(&self.folder, row, to, cancel, self.sealed(row)?)
    }

    /// The content of `row` to be read, decrypted.
    ///
    /// # Errors
    /// As [`Opened::extract`].
    pub(super) fn content(&self, row: &Row) -> Result<Box<dyn Read>, Fault> {
        content(&self.folder, row, self.sealed(row)?)
    }

    /// In an encrypted backup the key of a row, which an empty content may lack.
    fn sealed(&self, row: &Row) -> Result<Option<Option<Key>>, Fault> {
        let Some(keys) = &self.keys else { return Ok(None) };
        let damaged = |why: &str| Fault::new(Code::BackupDamaged, format!("{} {why}", row.file_id));
        let blob = self.manifest.blob_of(&row.file_id)?.ok_or_else(|| damaged("has no record"))?;
        let key = match key_of(&blob) {
            Some(wrapped) => Some(keys.content_key(wrapped)?),
            // Nothing needs no key.
            None if size_of(&blob) == Some(0) => None,
            None => return Err(damaged("has no key")),
        };
        Ok(Some(key))
    }
}

fn kind_of(flags: i64) -> RowKind {
    match flags {
        FLAG_FILE => RowKind::File,
        FLAG_FOLDER => RowKind::Folder,
        _ => RowKind::Link,
    }
}

/// Shows the rows of the backup in `folder` (named by the UDID), one by one, until `each` breaks.
///
/// # Errors
/// [`Code::BackupNone`], [`Code::BackupPassword`] for an encrypted one, [`Code::BackupDamaged`].
pub fn browse(folder: &Path, filter: &Filter, each: impl FnMut(Row) -> ControlFlow<()>) -> Result<(), Fault> {
    Opened::open(folder, None, &Cancel::new())?.browse(filter, each)
}

/// The row of exactly this domain and path.
///
/// # Errors
/// As [`browse`].
pub fn find(folder: &Path, domain: &str, path: &str) -> Result<Option<Row>, Fault> {
    Opened::open(folder, None, &Cancel::new())?.find(domain, path)
}

/// Copies the content of `row` of an unencrypted backup to the new file `to` (0600) and answers its bytes.
///
/// # Errors
/// [`Code::BackupDamaged`] for a row that has no payload, [`Code::DiskError`] when `to` exists.
pub fn extract(folder: &Path, row: &Row, to: &Path, cancel: &Cancel) -> Result<u64, Fault> {
    copy_out(folder, row, to, cancel, None)
}

/// The payload as it is, or decrypted with its key, which an empty content may lack.
fn content(folder: &Path, row: &Row, sealed: Option<Option<Key>>) -> Result<Box<dyn Read>, Fault> {
    if row.kind != RowKind::File {
        return Err(Fault::new(Code::Usage, "only files have a content"));
    }
    let none = || Fault::new(Code::BackupDamaged, format!("{} has no content in this backup", row.file_id));
    let payload = payload_path(&row.file_id).ok_or_else(none)?;
    let (root, udid) = folder.parent().zip(folder.file_name().and_then(|n| n.to_str())).ok_or_else(none)?;
    let tree = WorkTree::open_read_only(root, udid)?;
    let (payload, _) = tree.read(Place(&format!("{udid}/{payload}"))).map_err(|_| none())?;
    Ok(match sealed {
        None => Box::new(payload),
        Some(None) => Box::new(io::empty()),
        Some(Some(key)) => Box::new(Decrypter::content(payload, &key).map_err(|e| Fault::disk(&e))?),
    })
}

fn copy_out(folder: &Path, row: &Row, to: &Path, cancel: &Cancel, sealed: Option<Option<Key>>) -> Result<u64, Fault> {
    let mut source = content(folder, row, sealed)?;
    let mut options = std::fs::File::options();
    let mut target = options.write(true).create_new(true).mode(0o600).open(to).map_err(|e| disk(to, e))?;
    let mut piece = vec![0; 256 << 10];
    let mut done = 0;
    loop {
        let copied = cancel.check().and_then(|()| match source.read(&mut piece) {
            Ok(0) => Ok(None),
            Ok(count) => {
                target.write_all(piece.get(..count).unwrap_or_default()).map(|()| Some(count)).map_err(|e| disk(to, e))
            }
            Err(err) if err.kind() == io::ErrorKind::Interrupted => Ok(Some(0)),
            Err(err) if err.kind() == io::ErrorKind::InvalidData => {
                Err(Fault::new(Code::BackupDamaged, format!("{}: {err}", row.file_id)))
            }
            Err(err) => Err(Fault::disk(&err)),
        });
        match copied {
            Ok(Some(count)) => done += count as u64,
            Ok(None) => return Ok(done),
            Err(fault) => {
                // Half a file is not left behind.
                let _ = std::fs::remove_file(to);
                return Err(fault);
            }
        }
    }
}
