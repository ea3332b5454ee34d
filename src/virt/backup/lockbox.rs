//! The keys of a phone whose backups are encrypted.
//!
//! A phone keeps one keybag for as long as its backup password stays; every change of the password makes a new one,
//! even back to an old password, and then the next backup is a full one. All keys are functions of the phone, the
//! password and the number of changes, and a file's key also of when it changed: so the same phone started anew goes
//! on with its old backup, as its plain ones do. An iteration count is a length in time, so the bench's pace divides
//! it, unless the phone is told one.

use super::manifest::Row;
use crate::ids::Version;
use crate::virt::phone::{Phone, random_bytes};
use crate::wire::devicelink::request::Password;
use crate::wire::keybag::{ClassKey, Keybag, Rounds, TYPE_BACKUP, WRAP_DEVICE, WRAP_PASSWORD};
use crate::wire::seal::{Key, Keys, SealError};
use sha2::{Digest, Sha256};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Iterations of real phones: PBKDF2-SHA256, then PBKDF2-SHA1.
const ITERATIONS: (u32, u32) = (10_000_000, 10_000);
/// Classes of files (1 to 4) and of the keychain (6 to 11); the last three never leave the device.
const CLASSES: [u32; 10] = [1, 2, 3, 4, 6, 7, 8, 9, 10, 11];
const DEVICE_ONLY: u32 = 9;
/// The class of Manifest.db, and of files that have none.
const DEFAULT_CLASS: u32 = 3;

/// What backups of a phone are encrypted with, while its password stays.
pub(super) struct Keyring {
    /// As it stands in Manifest.plist.
    pub keybag: Vec<u8>,
    pub keys: Keys,
    /// Is Manifest.db encrypted too? Since iOS 10.2, together with the second derivation.
    pub seals_manifest: bool,
    seed: [u8; 32],
}

/// A phone's keys, made when they are first needed.
#[derive(Default)]
pub struct Lockbox(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    changes: u64,
    ring: Option<(Password, Arc<Keyring>)>,
}

fn of(seed: &[u8; 32], what: &str) -> [u8; 32] {
    Sha256::new().chain_update(seed).chain_update(what).finalize().into()
}

impl Lockbox {
    /// The backup password was set, changed or taken away.
    pub(super) fn changed(&self) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.changes += 1;
        inner.ring = None;
    }

    /// Was the password ever changed on this phone?
    pub fn was_changed(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).changes > 0
    }

    /// The keys of a phone with a backup password; the first time as slow as the iterations say.
    pub(super) fn ring(&self, phone: &Phone) -> io::Result<Option<Arc<Keyring>>> {
        let (password, version) = {
            let state = phone.state();
            (state.backup_password.as_deref().map(Password::new), state.version.clone())
        };
        let Some(password) = password else { return Ok(None) };
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seals_manifest = version >= Version(vec![10, 2]);
        match &inner.ring {
            Some((of, ring)) if *of == password && ring.seals_manifest == seals_manifest => {
                return Ok(Some(Arc::clone(ring)));
            }
            _ => {}
        }
        let ring = Keyring::new(phone, &password, inner.changes, seals_manifest).map_err(io::Error::other)?;
        let ring = Arc::new(ring);
        inner.ring = Some((password, Arc::clone(&ring)));
        Ok(Some(ring))
    }
}

impl Keyring {
    fn new(phone: &Phone, password: &Password, changes: u64, double: bool) -> Result<Self, SealError> {
        let head = format!("herstel virtual keybag {} {changes} ", phone.ecid);
        let seed: [u8; 32] = Sha256::new().chain_update(head).chain_update(password.reveal()).finalize().into();
        let paced = |real: u32| phone.scaled(Duration::from_secs(real.into())).as_secs().try_into().unwrap_or(real);
        let (first, last) = phone.spec.backup_iterations.unwrap_or((paced(ITERATIONS.0), paced(ITERATIONS.1)));
        let rounds = |what: &str, iterations: u32| Rounds {
            salt: of(&seed, what).into_iter().take(20).collect(),
            iterations: iterations.max(1),
        };
        let uuid = |what: &str| of(&seed, what).into_iter().take(16).collect();
        let class = |class: u32| ClassKey {
            uuid: uuid(&format!("class {class}")),
            class,
            wrap: WRAP_PASSWORD | if class >= DEVICE_ONLY { WRAP_DEVICE } else { 0 },
            key_type: 0,
            wrapped: vec![],
        };
        let mut keybag = Keybag {
            version: if double { 5 } else { 3 },
            kind: TYPE_BACKUP,
            uuid: uuid("keybag"),
            hmac_key: [of(&seed, "hmac"), of(&seed, "more")].concat().into_iter().take(40).collect(),
            wrap: 0,
            rounds: rounds("salt", last),
            first_rounds: double.then(|| rounds("first salt", first)),
            classes: CLASSES.map(class).to_vec(),
        };
        let key = |class: u32| (class, Key::new(&of(&seed, &format!("key {class}"))));
        let keys = Keys::new(CLASSES.map(key).to_vec());
        keys.lock(&mut keybag, password)?;
        if let Some(lie) = phone.spec.faults.backup.keybag_iterations {
            keybag.first_rounds.as_mut().unwrap_or(&mut keybag.rounds).iterations = lie;
        }
        Ok(Keyring { keybag: keybag.build(), keys, seals_manifest: double, seed })
    }

    /// The key of a file as it is now, and what the manifest says of it.
    pub fn content(&self, row: &Row) -> io::Result<(Key, Vec<u8>)> {
        let class = u32::from(row.entry.protection);
        let class = if (1..=4).contains(&class) { class } else { DEFAULT_CLASS };
        let mut name = Sha256::new().chain_update(self.seed).chain_update(row.id);
        for number in [row.entry.changed as u64, row.entry.modified as u64, row.entry.size()] {
            name.update(number.to_le_bytes());
        }
        let key = Key::new(&name.finalize().into());
        let wrapped = self.keys.wrapped(class, &key).map_err(io::Error::other)?;
        Ok((key, wrapped))
    }

    /// A key for one Manifest.db: since its beginning is always the same, never the same key again.
    pub fn manifest_key(&self) -> io::Result<(Key, Vec<u8>)> {
        let mut key = [0; 32];
        key.copy_from_slice(&random_bytes(32));
        let key = Key::new(&key);
        let wrapped = self.keys.wrapped(DEFAULT_CLASS, &key).map_err(io::Error::other)?;
        Ok((key, wrapped))
    }

    /// The fault: a file's key, said to be of another class than it is wrapped with.
    pub fn misnamed(mut wrapped: Vec<u8>) -> Vec<u8> {
        if let Some(class) = wrapped.first_mut() {
            *class = if *class == 1 { 2 } else { 1 };
        }
        wrapped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virt::spec::PhoneSpec;

    fn phone(password: &str, version: &str, pace: f64) -> Arc<Phone> {
        let spec =
            PhoneSpec { backup_password: Some(password.into()), version: version.parse().ok(), ..PhoneSpec::default() };
        Phone::new(spec, 0, pace).unwrap()
    }

    fn ring(phone: &Phone) -> Arc<Keyring> {
        phone.lockbox.ring(phone).unwrap().unwrap()
    }

    #[test]
    fn a_keybag_stays_while_the_password_does() {
        let first = ring(&phone("a", "18.0", 1e6));
        assert_eq!(first.keybag, ring(&phone("a", "18.0", 1e6)).keybag, "the same phone started anew");
        assert_ne!(first.keybag, ring(&phone("b", "18.0", 1e6)).keybag);
        let phone = phone("a", "18.0", 1e6);
        phone.lockbox.changed();
        assert_ne!(first.keybag, ring(&phone).keybag, "the old password again, and yet a new keybag");
        phone.state().backup_password = None;
        assert!(phone.lockbox.ring(&phone).unwrap().is_none());
        let keybag = Keybag::parse(&first.keybag).unwrap();
        let keys = Keys::unlock(&keybag, &Password::new("a")).unwrap();
        assert_eq!((keys.lost(), keys.device_only()), (&[][..], &[9, 10, 11][..]));
        assert!(matches!(Keys::unlock(&keybag, &Password::new("b")), Err(SealError::WrongPassword)));
    }

    #[test]
    fn the_pace_divides_the_iterations() {
        let counts = |phone: &Phone| {
            let keybag = Keybag::parse(&ring(phone).keybag).unwrap();
            (keybag.first_rounds.map(|rounds| rounds.iterations), keybag.rounds.iterations)
        };
        assert_eq!(counts(&phone("a", "10.2", 1000.0)), (Some(10_000), 10));
        assert_eq!(counts(&phone("a", "10.1.1", 1.0)), (None, 10_000));
        let told =
            PhoneSpec { backup_iterations: Some((77, 7)), backup_password: Some("a".into()), ..PhoneSpec::default() };
        assert_eq!(counts(&Phone::new(told, 0, 1.0).unwrap()), (Some(77), 7));
    }
}
