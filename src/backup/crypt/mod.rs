//! Encrypted backups, opened on this computer.
//!
//! The encryption itself is in [`crate::wire::seal`], where the bench's phones take it too; here are the files: the
//! keybag out of Manifest.plist, contents as readers, and Manifest.db for as long as it is read. The price of the
//! password (2 to 10 seconds by design) is paid once per [`Keys`].
//!
//! Where a content ends is what its padding says and not the size in the manifest, which was written before the file
//! was read and for databases that were in use is often another one; who cuts there cuts messages off.

mod decrypt;
mod manifest;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

pub(super) use decrypt::Decrypter;
pub(super) use manifest::open_manifest;

pub use crate::wire::seal::Keys;

use super::Password;
use super::plists::{self, Unread};
use crate::fault::{Code, Fault};
use crate::wire::keybag::Keybag;
use plist::{Dictionary, Value};
use std::path::Path;

/// What opens an encrypted backup.
#[derive(Clone, Copy, Debug)]
pub struct Unlock<'a> {
    pub password: &'a Password,
    /// Where the decrypted manifest lies while it is used: as large as Manifest.db, private, and without a name.
    pub scratch: &'a Path,
}

/// What Manifest.plist of an encrypted backup says about its encryption.
#[derive(Debug)]
pub(super) struct Seal {
    pub keybag: Keybag,
    /// Since iOS 10.2, when the manifest is encrypted too.
    pub manifest_key: Option<Vec<u8>>,
}

impl Seal {
    /// Of the backup in `folder`.
    ///
    /// # Errors
    /// [`Code::BackupNone`], [`Code::BackupDamaged`], disk faults.
    pub(super) fn of(folder: &Path) -> Result<Self, Fault> {
        let list = plists::read(&folder.join("Manifest.plist")).map_err(|unread| match unread {
            Unread::Missing => Fault::new(Code::BackupNone, format!("{} holds no Manifest.plist", folder.display())),
            Unread::Damaged(why) => damaged(format!("Manifest.plist {why}")),
            Unread::Disk(fault) => fault,
        })?;
        Self::read(&list).map_err(damaged)
    }

    /// # Errors
    /// What is wrong with the keybag.
    pub(super) fn read(manifest: &Dictionary) -> Result<Self, String> {
        let data = |key: &str| manifest.get(key).and_then(Value::as_data);
        let keybag = data("BackupKeyBag").ok_or("Manifest.plist holds no BackupKeyBag")?;
        let keybag = Keybag::parse(keybag).map_err(|err| err.to_string())?;
        Ok(Seal { keybag, manifest_key: data("ManifestKey").map(<[u8]>::to_vec) })
    }
}

/// Does this password open the encrypted backup in `folder`? Asked before a device is given it, and as slow as
/// [`Keys::unlock`].
///
/// # Errors
/// [`Code::BackupPasswordWrong`], [`Code::BackupNone`], [`Code::BackupDamaged`], disk faults.
pub fn check_password(folder: &Path, password: &Password) -> Result<(), Fault> {
    Ok(Keys::unlock(&Seal::of(folder)?.keybag, password).map(drop)?)
}

fn damaged(text: impl Into<String>) -> Fault {
    Fault::new(Code::BackupDamaged, text)
}
