//! Encrypted backups, opened on this computer.
//!
//! ```text
//! password ─ PBKDF2-SHA256 (DPSL, DPIC) ─ PBKDF2-SHA1 (SALT, ITER) ─► key of the password
//!    └ keybag: one wrapped key per protection class ─ RFC 3394 ─► class keys
//!         ├ ManifestKey   (Manifest.plist): class + wrapped key ─► AES-256-CBC of Manifest.db
//!         └ EncryptionKey (each MBFile):    class + wrapped key ─► AES-256-CBC of one payload
//! ```
//!
//! RFC 3394 carries its own check, so a wrong password is told from a right one without looking at any content, and
//! from a damaged keybag by this: a wrong password opens no class key, damage leaves others that open. Keys live in
//! memory that is cleared when dropped and are never printed; the price of the password (2 to 10 seconds by
//! design) is paid once per [`Keys`].

mod decrypt;
mod manifest;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

pub(super) use decrypt::{Decrypter, ends_well};
pub(super) use manifest::open_manifest;

use super::Password;
use super::plists::{self, Unread};
use crate::fault::{Code, Fault};
use crate::wire::keybag::{Keybag, Rounds, TYPE_BACKUP, WRAP_DEVICE, WRAP_PASSWORD, WRAPPED};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA1, PBKDF2_HMAC_SHA256};
use plist::{Dictionary, Value};
use std::fmt;
use std::num::NonZeroU32;
use std::path::Path;
use zeroize::Zeroizing;

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
    Keys::unlock(&Seal::of(folder)?.keybag, password).map(drop)
}

/// A key of 256 bits: never printed, cleared when dropped. On the heap, so that moving it leaves no copy behind.
type Secret = Zeroizing<Vec<u8>>;

fn blank() -> Secret {
    Zeroizing::new(vec![0; 32])
}

/// The key of one content.
pub(super) struct ContentKey(Secret);

/// The class keys of an encrypted backup.
pub struct Keys {
    classes: Vec<(u32, Secret)>,
    /// Classes that only the device itself can open.
    device_only: Vec<u32>,
    /// Classes whose key is damaged.
    lost: Vec<u32>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} classes, …)", self.classes.len())
    }
}

fn damaged(text: impl Into<String>) -> Fault {
    Fault::new(Code::BackupDamaged, text)
}

fn derive(algorithm: pbkdf2::Algorithm, rounds: &Rounds, secret: &[u8]) -> Result<Secret, Fault> {
    // The cap was held when the keybag was parsed.
    let iterations = NonZeroU32::new(rounds.iterations).ok_or_else(|| damaged("keybag: no iterations"))?;
    let mut key = blank();
    pbkdf2::derive(algorithm, iterations, &rounds.salt, secret, &mut key);
    Ok(key)
}

fn unwrap(key: &Secret, wrapped: &[u8]) -> Option<Secret> {
    let mut plain = blank();
    if wrapped.len() != WRAPPED {
        return None;
    }
    AesKek::new(&AES_256, key).ok()?.unwrap(wrapped, &mut plain).ok()?;
    Some(plain)
}

impl Keys {
    /// Checks the password and opens the class keys. Takes seconds of one core: 10 million iterations are usual,
    /// [`crate::wire::keybag::MAX_ITERATIONS`] the most.
    ///
    /// # Errors
    /// [`Code::BackupPasswordWrong`] when no class key opens, [`Code::BackupDamaged`] for a keybag that no password
    /// opens.
    pub fn unlock(keybag: &Keybag, password: &Password) -> Result<Self, Fault> {
        if keybag.kind != TYPE_BACKUP {
            return Err(damaged(format!("keybag: of type {}, which is not a backup's", keybag.kind)));
        }
        let wrapped = keybag.classes.iter().filter(|class| class.wrap & WRAP_PASSWORD != 0);
        if !wrapped.clone().any(|class| class.wrapped.len() == WRAPPED) {
            return Err(damaged("keybag: no key is wrapped with the password"));
        }
        let secret = password.reveal().as_bytes();
        let key = match &keybag.first_rounds {
            Some(first) => derive(PBKDF2_HMAC_SHA1, &keybag.rounds, &derive(PBKDF2_HMAC_SHA256, first, secret)?)?,
            None => derive(PBKDF2_HMAC_SHA1, &keybag.rounds, secret)?,
        };
        let mut keys = Keys { classes: vec![], device_only: vec![], lost: vec![] };
        for class in wrapped {
            match unwrap(&key, &class.wrapped) {
                // The password takes off the outer of two wraps only.
                Some(_) if class.wrap & WRAP_DEVICE != 0 => keys.device_only.push(class.class),
                Some(plain) => keys.classes.push((class.class, plain)),
                None => keys.lost.push(class.class),
            }
        }
        if keys.classes.is_empty() && keys.device_only.is_empty() {
            return Err(Fault::new(Code::BackupPasswordWrong, "no key of the backup opens with this password"));
        }
        Ok(keys)
    }

    /// Classes whose key is damaged: what is encrypted with them is lost.
    pub(super) fn lost(&self) -> &[u32] {
        &self.lost
    }

    /// The key of a content from `ManifestKey` or `EncryptionKey`: the class as a little-endian number, then the key
    /// wrapped with that class's.
    ///
    /// # Errors
    /// [`Code::BackupDamaged`].
    pub(super) fn content_key(&self, wrapped: &[u8]) -> Result<ContentKey, Fault> {
        let (class, wrapped) = wrapped
            .split_first_chunk::<4>()
            .filter(|(_, wrapped)| wrapped.len() == WRAPPED)
            .ok_or_else(|| damaged(format!("a wrapped key of {} bytes", wrapped.len())))?;
        let class = u32::from_le_bytes(*class);
        let Some((_, key)) = self.classes.iter().find(|(number, _)| *number == class) else {
            let why = if self.lost.contains(&class) {
                "is damaged"
            } else if self.device_only.contains(&class) {
                "opens on the device only"
            } else {
                "is not in the keybag"
            };
            return Err(damaged(format!("the key of class {class} {why}")));
        };
        let key = unwrap(key, wrapped).ok_or_else(|| damaged(format!("a key of class {class} is damaged")))?;
        Ok(ContentKey(key))
    }
}
