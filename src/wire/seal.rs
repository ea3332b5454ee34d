//! The encryption of backups: bytes in, bytes out.
//!
//! ```text
//! password ─ PBKDF2-SHA256 (DPSL, DPIC) ─ PBKDF2-SHA1 (SALT, ITER) ─► key of the password
//!    └ keybag: one wrapped key per protection class ─ RFC 3394 ─► class keys
//!         ├ ManifestKey   (Manifest.plist): class + wrapped key ─► AES-256-CBC of Manifest.db
//!         └ EncryptionKey (each MBFile):    class + wrapped key ─► AES-256-CBC of one payload
//! ```
//!
//! RFC 3394 carries its own check, so a wrong password is told from a right one without looking at any content, and
//! from a damaged keybag by this: a wrong password opens no class key, damage leaves others that open. Contents are
//! streams: the initialisation vector is zero, as each has a key of its own, and a payload is padded to whole blocks,
//! always by at least one byte. Where it ends is what the padding says, so its last block is held back until the end
//! is known. CBC does not tell tampering: what is checked is that blocks are whole and that the padding is one.
//!
//! Keys are cleared from memory when dropped and never printed.

use super::devicelink::request::Password;
use super::keybag::{Keybag, Rounds, TYPE_BACKUP, WRAP_DEVICE, WRAP_PASSWORD, WRAPPED};
use crate::fault::{Code, Fault};
use aws_lc_rs::cipher::{self, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use aws_lc_rs::pbkdf2::{self, PBKDF2_HMAC_SHA1, PBKDF2_HMAC_SHA256};
use std::fmt;
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// Bytes of a cipher block.
pub const BLOCK: usize = 16;
const KEY: usize = 32;

/// Why something stays closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("no key of the backup opens with this password")]
    WrongPassword,
    #[error("{0}")]
    Damaged(String),
}

fn damaged(text: impl Into<String>) -> SealError {
    SealError::Damaged(text.into())
}

impl From<SealError> for Fault {
    fn from(err: SealError) -> Self {
        let code = match err {
            SealError::WrongPassword => Code::BackupPasswordWrong,
            SealError::Damaged(_) => Code::BackupDamaged,
        };
        Fault::new(code, err.to_string())
    }
}

/// Bytes of a payload on disk, for a content of so many.
pub fn stored_size(size: u64) -> u64 {
    (size / BLOCK as u64).saturating_add(1).saturating_mul(BLOCK as u64)
}

/// A key of 256 bits. On the heap, so that moving it leaves no copy behind.
#[derive(Clone)]
pub struct Key(Zeroizing<Vec<u8>>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    pub fn new(bytes: &[u8; KEY]) -> Self {
        Key(Zeroizing::new(bytes.to_vec()))
    }

    fn blank() -> Self {
        Key(Zeroizing::new(vec![0; KEY]))
    }

    /// The key that a password becomes: `first` as since iOS 10.2, if at all. As long as the iterations say.
    ///
    /// # Errors
    /// [`SealError::Damaged`] for no iterations.
    pub fn of_password(first: Option<&Rounds>, last: &Rounds, password: &[u8]) -> Result<Self, SealError> {
        let derive = |algorithm, rounds: &Rounds, secret: &[u8]| {
            let count = NonZeroU32::new(rounds.iterations).ok_or_else(|| damaged("keybag: no iterations"))?;
            let mut key = Key::blank();
            pbkdf2::derive(algorithm, count, &rounds.salt, secret, &mut key.0);
            Ok(key)
        };
        match first {
            Some(first) => derive(PBKDF2_HMAC_SHA1, last, &derive(PBKDF2_HMAC_SHA256, first, password)?.0),
            None => derive(PBKDF2_HMAC_SHA1, last, password),
        }
    }

    /// Another key, wrapped with this one: [`WRAPPED`] bytes.
    ///
    /// # Errors
    /// None that keys of this type give.
    pub fn wrap(&self, other: &Key) -> Result<Vec<u8>, SealError> {
        let mut wrapped = vec![0; WRAPPED];
        let kek = AesKek::new(&AES_256, &self.0).map_err(|_| damaged("no cipher for a key"))?;
        kek.wrap(&other.0, &mut wrapped).map_err(|_| damaged("a key does not wrap"))?;
        Ok(wrapped)
    }

    /// The key in `wrapped`; none when it was not wrapped with this one, or is damaged.
    pub fn unwrap(&self, wrapped: &[u8]) -> Option<Key> {
        let mut plain = Key::blank();
        if wrapped.len() != WRAPPED {
            return None;
        }
        AesKek::new(&AES_256, &self.0).ok()?.unwrap(wrapped, &mut plain.0).ok()?;
        Some(plain)
    }

    fn cipher(&self) -> Result<UnboundCipherKey, SealError> {
        UnboundCipherKey::new(&cipher::AES_256, &self.0).map_err(|_| damaged("no cipher for a key"))
    }

    fn decrypting(&self) -> Result<DecryptingKey, SealError> {
        DecryptingKey::cbc(self.cipher()?).map_err(|_| damaged("no cipher for a key"))
    }
}

/// The class keys of an encrypted backup.
pub struct Keys {
    classes: Vec<(u32, Key)>,
    device_only: Vec<u32>,
    lost: Vec<u32>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} classes, …)", self.classes.len())
    }
}

impl Keys {
    /// Those that a device made.
    pub fn new(classes: Vec<(u32, Key)>) -> Self {
        Keys { classes, device_only: vec![], lost: vec![] }
    }

    /// Checks the password and opens the class keys. Takes seconds of one core: 10 million iterations are usual,
    /// [`super::keybag::MAX_ITERATIONS`] the most.
    ///
    /// # Errors
    /// [`SealError::WrongPassword`] when no class key opens, [`SealError::Damaged`] for a keybag that no password
    /// opens.
    pub fn unlock(keybag: &Keybag, password: &Password) -> Result<Self, SealError> {
        if keybag.kind != TYPE_BACKUP {
            return Err(damaged(format!("keybag: of type {}, which is not a backup's", keybag.kind)));
        }
        let wrapped = keybag.classes.iter().filter(|class| class.wrap & WRAP_PASSWORD != 0);
        if !wrapped.clone().any(|class| class.wrapped.len() == WRAPPED) {
            return Err(damaged("keybag: no key is wrapped with the password"));
        }
        let key = Key::of_password(keybag.first_rounds.as_ref(), &keybag.rounds, password.reveal().as_bytes())?;
        let mut keys = Keys::new(vec![]);
        for class in wrapped {
            match key.unwrap(&class.wrapped) {
                // The password takes off the outer of two wraps only.
                Some(_) if class.wrap & WRAP_DEVICE != 0 => keys.device_only.push(class.class),
                Some(plain) => keys.classes.push((class.class, plain)),
                None => keys.lost.push(class.class),
            }
        }
        if keys.classes.is_empty() && keys.device_only.is_empty() {
            return Err(SealError::WrongPassword);
        }
        Ok(keys)
    }

    /// Wraps these keys into the classes of a keybag, as a device does: those whose `wrap` says by the password.
    ///
    /// # Errors
    /// [`SealError::Damaged`] for a class without a key here.
    pub fn lock(&self, keybag: &mut Keybag, password: &Password) -> Result<(), SealError> {
        let key = Key::of_password(keybag.first_rounds.as_ref(), &keybag.rounds, password.reveal().as_bytes())?;
        for class in keybag.classes.iter_mut().filter(|class| class.wrap & WRAP_PASSWORD != 0) {
            class.wrapped = key.wrap(self.class(class.class)?)?;
        }
        Ok(())
    }

    /// Classes whose key is damaged: what is encrypted with them is lost.
    pub fn lost(&self) -> &[u32] {
        &self.lost
    }

    /// Classes that only the device itself can open.
    pub fn device_only(&self) -> &[u32] {
        &self.device_only
    }

    fn class(&self, class: u32) -> Result<&Key, SealError> {
        let found = self.classes.iter().find(|(number, _)| *number == class);
        found.map(|(_, key)| key).ok_or_else(|| {
            let why = if self.lost.contains(&class) {
                "is damaged"
            } else if self.device_only.contains(&class) {
                "opens on the device only"
            } else {
                "is not in the keybag"
            };
            damaged(format!("the key of class {class} {why}"))
        })
    }

    /// The key of a content from `ManifestKey` or `EncryptionKey`: the class as a little-endian number, then the key
    /// wrapped with that class's.
    ///
    /// # Errors
    /// [`SealError::Damaged`].
    pub fn content_key(&self, wrapped: &[u8]) -> Result<Key, SealError> {
        let (class, wrapped) = wrapped
            .split_first_chunk::<4>()
            .filter(|(_, wrapped)| wrapped.len() == WRAPPED)
            .ok_or_else(|| damaged(format!("a wrapped key of {} bytes", wrapped.len())))?;
        let class = u32::from_le_bytes(*class);
        let key = self.class(class)?.unwrap(wrapped);
        key.ok_or_else(|| damaged(format!("a key of class {class} is damaged")))
    }

    /// What [`Keys::content_key`] reads.
    ///
    /// # Errors
    /// [`SealError::Damaged`] for a class that is not here.
    pub fn wrapped(&self, class: u32, content: &Key) -> Result<Vec<u8>, SealError> {
        Ok([&class.to_le_bytes()[..], &self.class(class)?.wrap(content)?].concat())
    }
}

fn decrypt(key: &DecryptingKey, blocks: &mut [u8], vector: [u8; BLOCK]) -> Result<(), SealError> {
    let context = DecryptionContext::Iv128(FixedLength::from(vector));
    key.decrypt(blocks, context).map(|_| ()).map_err(|_| damaged("blocks do not decrypt"))
}

/// How many bytes of padding end these plain bytes; none where that is no padding.
fn padding(plain: &[u8]) -> Option<usize> {
    let count = usize::from(*plain.last()?);
    let tail = plain.len().checked_sub(count).and_then(|at| plain.get(at..))?;
    ((1..=BLOCK).contains(&count) && tail.iter().all(|b| usize::from(*b) == count)).then_some(count)
}

/// Do the last two cipher blocks of a payload end it? For a payload of one block, the first of the two is zero. One
/// of about 250 damaged ends passes.
pub fn ends_well(key: &Key, last_two: &[u8; 2 * BLOCK]) -> bool {
    let (Some((vector, rest)), Ok(key)) = (last_two.split_first_chunk::<BLOCK>(), key.decrypting()) else {
        return false;
    };
    let mut block = rest.to_vec();
    decrypt(&key, &mut block, *vector).is_ok() && padding(&block).is_some()
}

/// Encrypts a content that goes by.
pub struct Sealing {
    key: EncryptingKey,
    /// The cipher block before the next one.
    vector: [u8; BLOCK],
}

impl Sealing {
    /// # Errors
    /// None that keys of this type give.
    pub fn new(key: &Key) -> Result<Self, SealError> {
        let key = EncryptingKey::cbc(key.cipher()?).map_err(|_| damaged("no cipher for a key"))?;
        Ok(Sealing { key, vector: [0; BLOCK] })
    }

    /// The next whole blocks, in place.
    ///
    /// # Errors
    /// [`SealError::Damaged`] for a part of a block.
    pub fn seal(&mut self, blocks: &mut [u8]) -> Result<(), SealError> {
        let context = EncryptionContext::Iv128(FixedLength::from(self.vector));
        let sealed = self.key.less_safe_encrypt(blocks, context);
        sealed.map_err(|_| damaged("blocks do not encrypt"))?;
        if let Some(last) = blocks.last_chunk::<BLOCK>() {
            self.vector = *last;
        }
        Ok(())
    }

    /// The next piece of a payload whose content has `total` bytes: `piece` begins at the plain byte `at`, which is
    /// the first of a block, and holds plain bytes up to its end or the content's. What is beyond is filled with
    /// padding, then all of it is encrypted.
    ///
    /// # Errors
    /// [`SealError::Damaged`] for a part of a block.
    pub fn seal_payload(&mut self, piece: &mut [u8], at: u64, total: u64) -> Result<(), SealError> {
        let plain = usize::try_from(total.saturating_sub(at)).unwrap_or(usize::MAX).min(piece.len());
        let count = BLOCK as u64 - total % BLOCK as u64;
        piece.iter_mut().skip(plain).for_each(|byte| *byte = u8::try_from(count).unwrap_or(0));
        self.seal(piece)
    }
}

/// Decrypts a content that comes in pieces of any length.
pub struct Opening {
    key: DecryptingKey,
    /// The cipher block before the next one.
    vector: [u8; BLOCK],
    padded: bool,
    /// Plain bytes, then cipher bytes of a block that is not whole yet.
    piece: Vec<u8>,
    plain: usize,
    /// Plain bytes that were given out.
    given: usize,
}

impl Opening {
    /// A payload (`padded`), or whole blocks without padding.
    ///
    /// # Errors
    /// None that keys of this type give.
    pub fn new(key: &Key, padded: bool) -> Result<Self, SealError> {
        let key = key.decrypting()?;
        Ok(Opening { key, vector: [0; BLOCK], padded, piece: vec![], plain: 0, given: 0 })
    }

    /// Takes cipher bytes and gives the plain ones that are certain.
    ///
    /// # Errors
    /// [`SealError::Damaged`].
    pub fn push(&mut self, cipher: &[u8]) -> Result<&[u8], SealError> {
        self.piece.drain(..self.given);
        self.plain -= self.given;
        self.piece.extend_from_slice(cipher);
        let fresh = self.piece.get_mut(self.plain..).unwrap_or_default();
        let whole = fresh.len() - fresh.len() % BLOCK;
        let fresh = fresh.get_mut(..whole).unwrap_or_default();
        if let Some(last) = fresh.last_chunk::<BLOCK>() {
            let vector = std::mem::replace(&mut self.vector, *last);
            decrypt(&self.key, fresh, vector)?;
        }
        self.plain += whole;
        self.given = if self.padded { self.plain.saturating_sub(BLOCK) } else { self.plain };
        Ok(self.piece.get(..self.given).unwrap_or_default())
    }

    /// Nothing more comes: the rest, without its padding.
    ///
    /// # Errors
    /// [`SealError::Damaged`] when it does not end as one.
    pub fn finish(&mut self) -> Result<&[u8], SealError> {
        self.push(&[])?;
        if self.piece.len() != self.plain {
            return Err(damaged("the last block is cut"));
        }
        if !self.padded {
            return Ok(&[]);
        }
        let count = padding(&self.piece).ok_or_else(|| damaged("the end does not decrypt"))?;
        self.given = self.plain;
        Ok(self.piece.get(..self.plain - count).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(byte: u8) -> Key {
        Key::new(&[byte; KEY])
    }

    #[test]
    fn keys_are_wrapped_and_only_theirs_unwraps_them() {
        let wrapped = key(1).wrap(&key(2)).unwrap();
        assert_eq!(wrapped.len(), WRAPPED);
        assert_eq!(key(1).unwrap(&wrapped).unwrap().0, key(2).0);
        assert!(key(3).unwrap(&wrapped).is_none() && key(1).unwrap(&wrapped[1..]).is_none());
        assert_eq!(format!("{:?}", key(1)), "Key(…)");
        assert_eq!([0, 15, 16, 17].map(stored_size), [16, 16, 32, 32]);
        assert!(stored_size(u64::MAX) >= u64::MAX - 15);
    }

    #[test]
    fn no_iterations_are_no_key() {
        let none = Rounds { salt: vec![1], iterations: 0 };
        assert!(matches!(Key::of_password(None, &none, b"x"), Err(SealError::Damaged(_))));
    }

    proptest! {
        #[test]
        fn pieces_of_any_length_make_the_same_whole(
            plain in proptest::collection::vec(any::<u8>(), 0..2000), blocks in 1..40usize, step in 1..300usize,
        ) {
            let total = plain.len() as u64;
            let mut cipher = plain.clone();
            cipher.resize(stored_size(total) as usize, 0);
            let mut sealing = Sealing::new(&key(7)).unwrap();
            let mut at = 0;
            for piece in cipher.chunks_mut(blocks * BLOCK) {
                let length = piece.len() as u64;
                sealing.seal_payload(piece, at, total).unwrap();
                at += length;
            }
            let mut opening = Opening::new(&key(7), true).unwrap();
            let mut back = vec![];
            for piece in cipher.chunks(step) {
                back.extend_from_slice(opening.push(piece).unwrap());
            }
            back.extend_from_slice(opening.finish().unwrap());
            prop_assert_eq!(back, plain);
            let mut last = [vec![0; BLOCK], cipher].concat();
            let tail: [u8; 2 * BLOCK] = last.split_off(last.len() - 2 * BLOCK).try_into().unwrap();
            prop_assert!(ends_well(&key(7), &tail));
        }
    }
}
