//! Contents out of AES-256-CBC, as a stream.
//!
//! The initialisation vector is zero, as every content has a key of its own. A payload is padded to whole blocks,
//! always by at least one byte; which block is the last is known only at the end of the file, so one block is held
//! back. Where a content ends is what the padding says: the size in the manifest was written before the file was read,
//! and for databases that were in use it is often another one; who cuts there cuts messages off. CBC does not tell
//! tampering: what is checked here is that the blocks are whole and that the padding is one.

use super::ContentKey;
use aws_lc_rs::cipher::{AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use std::io::{self, ErrorKind, Read};

const BLOCK: usize = 16;
/// Bytes decrypted at once.
const PIECE: usize = 256 << 10;

/// The plain bytes of `source`. Damage is an error of [`ErrorKind::InvalidData`].
pub(in crate::backup) struct Decrypter<R> {
    source: R,
    key: DecryptingKey,
    /// The cipher block before the next one.
    vector: [u8; BLOCK],
    /// Plain bytes: those from `at` to `end` are ready, the rest up to `filled` is held back.
    piece: Vec<u8>,
    at: usize,
    end: usize,
    filled: usize,
    padded: bool,
    ended: bool,
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

fn cbc(key: &ContentKey) -> io::Result<DecryptingKey> {
    let key = UnboundCipherKey::new(&AES_256, &key.0).and_then(DecryptingKey::cbc);
    key.map_err(|_| io::Error::other("no cipher for a key"))
}

/// Whole blocks in place.
fn decrypt(key: &DecryptingKey, blocks: &mut [u8], vector: [u8; BLOCK]) -> io::Result<()> {
    let context = DecryptionContext::Iv128(FixedLength::from(vector));
    key.decrypt(blocks, context).map(|_| ()).map_err(|_| invalid("blocks do not decrypt"))
}

/// How many bytes of padding end these plain bytes; none where that is no padding.
fn padding(plain: &[u8]) -> Option<usize> {
    let count = usize::from(*plain.last()?);
    let tail = plain.len().checked_sub(count).and_then(|at| plain.get(at..))?;
    ((1..=BLOCK).contains(&count) && tail.iter().all(|b| usize::from(*b) == count)).then_some(count)
}

/// Do the last two cipher blocks of a payload end it? For a payload of one block, the first of the two is zero. One
/// of about 250 damaged ends passes.
pub(in crate::backup) fn ends_well(key: &ContentKey, last_two: &[u8; 2 * BLOCK]) -> bool {
    let (Some((vector, rest)), Ok(key)) = (last_two.split_first_chunk::<BLOCK>(), cbc(key)) else { return false };
    let mut block = rest.to_vec();
    decrypt(&key, &mut block, *vector).is_ok() && padding(&block).is_some()
}

impl<R: Read> Decrypter<R> {
    /// A payload, padded.
    ///
    /// # Errors
    /// None that a key of the right length gives.
    pub(in crate::backup) fn content(source: R, key: &ContentKey) -> io::Result<Self> {
        Self::new(source, key, true)
    }

    /// Blocks without padding.
    ///
    /// # Errors
    /// As [`Decrypter::content`].
    pub(in crate::backup) fn whole(source: R, key: &ContentKey) -> io::Result<Self> {
        Self::new(source, key, false)
    }

    fn new(source: R, key: &ContentKey, padded: bool) -> io::Result<Self> {
        let (key, piece) = (cbc(key)?, vec![0; PIECE + BLOCK]);
        Ok(Decrypter { source, key, vector: [0; BLOCK], piece, at: 0, end: 0, filled: 0, padded, ended: false })
    }

    /// The next piece; what was ready has been given.
    fn fill(&mut self) -> io::Result<()> {
        let held = self.filled - self.end;
        self.piece.copy_within(self.end..self.filled, 0);
        let mut filled = held;
        while filled < held + PIECE {
            let room = self.piece.get_mut(filled..held + PIECE).unwrap_or_default();
            match self.source.read(room) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(count) => filled += count,
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                Err(err) => return Err(err),
            }
        }
        let fresh = self.piece.get_mut(held..filled).unwrap_or_default();
        if fresh.len() % BLOCK != 0 {
            return Err(invalid("the last block is cut"));
        }
        if let Some(last) = fresh.last_chunk::<BLOCK>() {
            let vector = std::mem::replace(&mut self.vector, *last);
            decrypt(&self.key, fresh, vector)?;
        }
        (self.at, self.filled, self.end) = (0, filled, filled);
        match (self.padded, self.ended) {
            (false, _) => {}
            (true, false) => self.end = filled.saturating_sub(BLOCK),
            (true, true) => {
                let plain = self.piece.get(..filled).unwrap_or_default();
                let count = padding(plain).ok_or_else(|| invalid("the end does not decrypt"))?;
                (self.end, self.filled) = (filled - count, filled - count);
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Decrypter<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let ready = self.piece.get(self.at..self.end).unwrap_or_default();
            let count = ready.len().min(out.len());
            if let (Some(from), Some(to), 1..) = (ready.get(..count), out.get_mut(..count), count) {
                to.copy_from_slice(from);
                self.at += count;
                return Ok(count);
            }
            if out.is_empty() || self.ended {
                return Ok(0);
            }
            self.fill()?;
        }
    }
}
