//! What is inside the files of a virtual phone, without holding it.
//!
//! A bench phone may own many gigabytes, so contents are *made*: a pure function of a seed and an
//! offset. Every chunk is a slice of one pool of noise, moved by the seed, with a stamp (seed and
//! chunk number) at its head. Making bytes is then a copy, fast even in an unoptimised build, no two
//! files are alike, and the stamp makes contents recognisable: what a host sends back in a restore is
//! compared with what its own stamp says it must be, byte by byte, and need not be stored to be known.
//! Anything that is not made (written by a host, or damaged) is kept as it came: small in memory, large
//! in one nameless temporary file.

use crate::wire::seal::{Key, Sealing};
use sha1::{Digest, Sha1};
use std::fs::File;
use std::io::{self, Error, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

pub(super) const CHUNK: usize = 64 * 1024;
const NOISE: usize = 256 * 1024;
const MAGIC: &[u8; 8] = b"virtual\0";
const STAMP: usize = 24;
/// The start of a JPEG: JFIF header, then a comment that holds the stamp of the first chunk.
const JPEG: &[u8; 24] = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xfe\0\x1a";
/// Bytes needed to recognise made contents.
pub(super) const HEAD: usize = JPEG.len() + STAMP;
/// Kept in memory up to here, beyond in the spill file.
const SMALL: u64 = 64 * 1024;

static POOL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut pool = Vec::with_capacity(NOISE + CHUNK);
    while pool.len() < NOISE + CHUNK {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        pool.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    pool
});

/// Mixes two numbers into one that looks like neither.
pub(super) fn mix(a: u64, b: u64) -> u64 {
    let mut x = a ^ b.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    x = (x ^ (x >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    x = (x ^ (x >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    x ^ (x >> 32)
}

/// What made contents look like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Plain,
    /// Begins as a JPEG does.
    Jpeg,
}

/// Contents that are a function of a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    pub look: Look,
    pub seed: u64,
    pub size: u64,
}

impl Made {
    /// Fills `out` with the bytes from `offset` on; bytes past the size are made as if it were larger.
    pub fn fill(&self, offset: u64, out: &mut [u8]) {
        let mut done = 0;
        while done < out.len() {
            let at = offset + done as u64;
            let (chunk, within) = (at / CHUNK as u64, (at % CHUNK as u64) as usize);
            let take = (CHUNK - within).min(out.len() - done);
            let start = (mix(self.seed, chunk) % NOISE as u64) as usize + within;
            let piece = &mut out[done..done + take];
            piece.copy_from_slice(&POOL[start..start + take]);
            let (head, length) = self.head(chunk);
            if within < length {
                let overlay = (length - within).min(take);
                piece[..overlay].copy_from_slice(&head[within..within + overlay]);
            }
            done += take;
        }
    }

    /// Contents of this file; what is too small to hold its stamp is made here and now.
    pub fn into_content(self) -> Content {
        if self.size >= HEAD as u64 {
            return Content::Made(self);
        }
        let mut bytes = vec![0; self.size as usize];
        self.fill(0, &mut bytes);
        Content::Bytes(bytes.into())
    }

    fn head(&self, chunk: u64) -> ([u8; HEAD], usize) {
        let mut head = [0; HEAD];
        let at = if self.look == Look::Jpeg && chunk == 0 { JPEG.len() } else { 0 };
        head[..at].copy_from_slice(&JPEG[..at]);
        head[at..at + 8].copy_from_slice(MAGIC);
        head[at + 8..at + 16].copy_from_slice(&self.seed.to_le_bytes());
        head[at + 16..at + 24].copy_from_slice(&chunk.to_le_bytes());
        (head, at + STAMP)
    }

    /// Reads the stamp in the first bytes of contents of this size.
    pub(super) fn recognise(first: &[u8], size: u64) -> Option<Made> {
        let (look, stamp) = match first.strip_prefix(&JPEG[..]) {
            Some(rest) => (Look::Jpeg, rest),
            None => (Look::Plain, first),
        };
        let seed = stamp.strip_prefix(&MAGIC[..])?.first_chunk::<8>()?;
        Some(Made { look, seed: u64::from_le_bytes(*seed), size })
    }
}

/// What a file holds.
#[derive(Clone, Debug)]
pub enum Content {
    Made(Made),
    Bytes(Arc<[u8]>),
    /// A range of the spill file.
    Spilled {
        file: Arc<File>,
        offset: u64,
        size: u64,
    },
}

impl Content {
    pub fn size(&self) -> u64 {
        match self {
            Content::Made(made) => made.size,
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Spilled { size, .. } => *size,
        }
    }

    /// Fills `out` exactly, from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` when the range is not inside the file.
    pub fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(out.len() as u64).filter(|end| *end <= self.size());
        if end.is_none() {
            return Err(Error::new(ErrorKind::UnexpectedEof, "a range beyond the end of the file"));
        }
        match self {
            Content::Made(made) => made.fill(offset, out),
            Content::Bytes(bytes) => out.copy_from_slice(&bytes[offset as usize..offset as usize + out.len()]),
            Content::Spilled { file, offset: base, .. } => file.read_exact_at(out, base + offset)?,
        }
        Ok(())
    }

    /// Gives all bytes in pieces of at most 256 KiB.
    pub fn each_piece(&self, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let mut piece = vec![0; self.size().min(256 * 1024) as usize];
        let mut at = 0;
        while at < self.size() {
            let length = (self.size() - at).min(piece.len() as u64) as usize;
            self.read_at(at, &mut piece[..length])?;
            take(&piece[..length]);
            at += length as u64;
        }
        Ok(())
    }

    /// The same, encrypted without padding, in a nameless file. It has to be whole blocks.
    pub(super) fn sealed(&self, key: &Key) -> io::Result<Content> {
        let (mut file, size) = (tempfile::tempfile()?, self.size());
        let mut sealing = Sealing::new(key).map_err(Error::other)?;
        let mut piece = vec![0; size.min(256 * 1024) as usize];
        let mut at = 0;
        while at < size {
            let length = (size - at).min(piece.len() as u64) as usize;
            self.read_at(at, &mut piece[..length])?;
            sealing.seal(&mut piece[..length]).map_err(Error::other)?;
            file.write_all(&piece[..length])?;
            at += length as u64;
        }
        Ok(Content::Spilled { file: Arc::new(file), offset: 0, size })
    }

    pub fn sha1(&self) -> io::Result<[u8; 20]> {
        let mut sha1 = Sha1::new();
        self.each_piece(|piece| sha1.update(piece))?;
        Ok(sha1.finalize().into())
    }
}

/// All small contents together: beyond it they go to the file too.
const IN_MEMORY: u64 = 32 << 20;

/// The temporary file for contents that nobody can make again: large ones, and small ones when there are many.
#[derive(Debug, Default)]
pub(super) struct Spill(Mutex<Option<(Arc<File>, u64)>>, AtomicU64);

impl Spill {
    pub(super) fn reserve(&self, size: u64) -> io::Result<(Arc<File>, u64)> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, end) = match guard.take() {
            Some(open) => open,
            None => (Arc::new(tempfile::tempfile()?), 0),
        };
        *guard = Some((Arc::clone(&file), end + size));
        Ok((file, end))
    }

    /// Takes room in memory for contents of this size, if they are small and there is some.
    pub(super) fn takes_memory(&self, size: u64) -> bool {
        size <= SMALL && self.1.fetch_add(size, Ordering::Relaxed) <= IN_MEMORY
    }

    /// Contents as they are, in memory or here by their size.
    pub fn keep(&self, bytes: Vec<u8>) -> io::Result<Content> {
        if self.takes_memory(bytes.len() as u64) {
            return Ok(Content::Bytes(bytes.into()));
        }
        let size = bytes.len() as u64;
        let (file, offset) = self.reserve(size)?;
        file.write_all_at(&bytes, offset)?;
        Ok(Content::Spilled { file, offset, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(content: &Content) -> Vec<u8> {
        let mut all = vec![0; content.size() as usize];
        content.read_at(0, &mut all).unwrap();
        all
    }

    #[test]
    fn made_contents_do_not_depend_on_how_they_are_read() {
        let made = Made { look: Look::Jpeg, seed: 7, size: 200_001 };
        let whole = bytes(&Content::Made(made));
        assert!(whole.starts_with(&JPEG[..]));
        for (at, length) in [(0, 1), (23, 30), (65_530, 100), (131_072, 68_929), (47, 1)] {
            let mut part = vec![0; length];
            made.fill(at, &mut part);
            assert_eq!(part, whole[at as usize..at as usize + length], "at {at}");
        }
        assert_ne!(whole, bytes(&Content::Made(Made { seed: 8, ..made })));
        assert!(Content::Made(made).read_at(200_000, &mut [0; 2]).is_err());
    }
}
