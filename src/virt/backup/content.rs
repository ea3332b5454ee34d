//! What is inside the files of a virtual phone, without holding it.
//!
//! A bench phone may own many gigabytes, so contents are *made*: a pure function of a seed and an
//! offset. Every chunk is a slice of one pool of noise, moved by the seed, with a stamp (seed and
//! chunk number) at its head. Making bytes is then a copy, fast even in an unoptimised build, no two
//! files are alike, and the stamp makes contents recognisable: what a host sends back in a restore is
//! compared with what its own stamp says it must be, byte by byte, and need not be stored to be known.
//! Anything that is not made (written by a host, or damaged) is kept as it came: small in memory, large
//! in one nameless temporary file.

use sha1::{Digest, Sha1};
use std::fs::File;
use std::io::{self, Error, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

const CHUNK: usize = 64 * 1024;
const NOISE: usize = 256 * 1024;
const MAGIC: &[u8; 8] = b"virtual\0";
const STAMP: usize = 24;
/// The start of a JPEG: JFIF header, then a comment that holds the stamp of the first chunk.
const JPEG: &[u8; 24] = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xfe\0\x1a";
/// Bytes needed to recognise made contents.
const HEAD: usize = JPEG.len() + STAMP;
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
    fn recognise(first: &[u8], size: u64) -> Option<Made> {
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

    pub fn sha1(&self) -> io::Result<[u8; 20]> {
        let mut sha1 = Sha1::new();
        self.each_piece(|piece| sha1.update(piece))?;
        Ok(sha1.finalize().into())
    }
}

/// The temporary file for large contents that nobody can make again.
#[derive(Debug, Default)]
pub(super) struct Spill(Mutex<Option<(Arc<File>, u64)>>);

impl Spill {
    fn reserve(&self, size: u64) -> io::Result<(Arc<File>, u64)> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, end) = match guard.take() {
            Some(open) => open,
            None => (Arc::new(tempfile::tempfile()?), 0),
        };
        *guard = Some((Arc::clone(&file), end + size));
        Ok((file, end))
    }

    /// Contents as they are, in memory or here by their size.
    pub fn keep(&self, bytes: Vec<u8>) -> io::Result<Content> {
        if bytes.len() as u64 <= SMALL {
            return Ok(Content::Bytes(bytes.into()));
        }
        let size = bytes.len() as u64;
        let (file, offset) = self.reserve(size)?;
        file.write_all_at(&bytes, offset)?;
        Ok(Content::Spilled { file, offset, size })
    }
}

/// Takes in the bytes of one file as they arrive and finds out whether they were made.
pub(super) struct Intake<'a> {
    spill: &'a Spill,
    /// Bytes beyond it are counted and digested, but not kept.
    expected: u64,
    seen: u64,
    sha1: Option<Sha1>,
    shape: Shape,
    scratch: Vec<u8>,
}

enum Shape {
    /// Too few bytes to tell.
    Undecided(Vec<u8>),
    Made(Made),
    Memory(Vec<u8>),
    Spilled(Arc<File>, u64),
}

/// One file, received.
pub(super) struct Taken {
    pub content: Content,
    pub size: u64,
    pub sha1: Option<[u8; 20]>,
    /// The stamp vouches for every byte.
    pub known: bool,
}

impl<'a> Intake<'a> {
    pub fn new(spill: &'a Spill, expected: u64, with_sha1: bool) -> Self {
        let sha1 = with_sha1.then(Sha1::new);
        Intake { spill, expected, seen: 0, sha1, shape: Shape::Undecided(Vec::new()), scratch: Vec::new() }
    }

    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(bytes);
        }
        let room = self.expected.saturating_sub(self.seen).min(bytes.len() as u64) as usize;
        let kept = &bytes[..room];
        if let Shape::Undecided(first) = &mut self.shape {
            first.extend_from_slice(kept);
            if first.len() >= HEAD {
                let first = std::mem::take(first);
                self.decide(&first)?;
            }
        } else {
            self.store(self.seen, kept)?;
        }
        self.seen += bytes.len() as u64;
        Ok(())
    }

    fn decide(&mut self, first: &[u8]) -> io::Result<()> {
        self.shape = match Made::recognise(first, self.expected) {
            Some(made) => Shape::Made(made),
            None => self.plain_shape()?,
        };
        self.store(0, first)
    }

    fn plain_shape(&self) -> io::Result<Shape> {
        if self.expected <= SMALL {
            return Ok(Shape::Memory(Vec::new()));
        }
        let (file, offset) = self.spill.reserve(self.expected)?;
        Ok(Shape::Spilled(file, offset))
    }

    fn store(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        if let Shape::Made(made) = self.shape {
            self.scratch.resize(bytes.len(), 0);
            made.fill(at, &mut self.scratch);
            if self.scratch == bytes {
                return Ok(());
            }
            // Not what the stamp promised: fetch back what was taken on trust and keep the bytes as they are.
            self.shape = self.plain_shape()?;
            let mut piece = vec![0; at.min(CHUNK as u64) as usize];
            let mut done = 0;
            while done < at {
                let length = (at - done).min(piece.len() as u64) as usize;
                made.fill(done, &mut piece[..length]);
                self.store(done, &piece[..length])?;
                done += length as u64;
            }
        }
        match &mut self.shape {
            Shape::Memory(memory) => memory.extend_from_slice(bytes),
            Shape::Spilled(file, offset) => file.write_all_at(bytes, *offset + at)?,
            Shape::Undecided(_) | Shape::Made(_) => {}
        }
        Ok(())
    }

    pub fn finish(mut self) -> io::Result<Taken> {
        let size = self.seen.min(self.expected);
        if let Shape::Undecided(first) = &mut self.shape {
            self.shape = Shape::Memory(std::mem::take(first));
        }
        let mut known = false;
        let content = match self.shape {
            Shape::Made(made) => {
                known = self.seen == self.expected;
                Content::Made(Made { size, ..made })
            }
            Shape::Memory(memory) => Content::Bytes(memory.into()),
            Shape::Spilled(file, offset) => Content::Spilled { file, offset, size },
            Shape::Undecided(first) => Content::Bytes(first.into()),
        };
        Ok(Taken { content, size: self.seen, sha1: self.sha1.map(|s| s.finalize().into()), known })
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

    #[test]
    fn what_comes_back_is_recognised_or_kept_as_it_came() {
        let spill = Spill::default();
        for (size, piece) in [(200_001_u64, 1), (70_000, 4096), (48, 7), (300_000, 300_000)] {
            let made = Made { look: Look::Plain, seed: 99, size };
            let good = bytes(&Content::Made(made));
            let mut damaged = good.clone();
            *damaged.last_mut().unwrap() ^= 1;
            for (sent, known) in [(&good, true), (&damaged, false)] {
                let mut intake = Intake::new(&spill, size, true);
                sent.chunks(piece).for_each(|c| intake.push(c).unwrap());
                let taken = intake.finish().unwrap();
                assert_eq!(taken.known, known, "{size} in pieces of {piece}");
                assert_eq!(&bytes(&taken.content), sent);
                assert_eq!(taken.sha1, Some(taken.content.sha1().unwrap()));
            }
        }
    }

    #[test]
    fn more_or_less_than_expected_is_counted_and_never_vouched_for() {
        let spill = Spill::default();
        let made = bytes(&Content::Made(Made { look: Look::Plain, seed: 3, size: 100 }));
        for expected in [60, 200] {
            let mut intake = Intake::new(&spill, expected, false);
            intake.push(&made).unwrap();
            let taken = intake.finish().unwrap();
            assert_eq!((taken.size, taken.known), (100, false));
            assert_eq!(taken.content.size(), expected.min(100));
        }
        let mut empty = Intake::new(&spill, 0, false);
        empty.push(b"").unwrap();
        assert_eq!(empty.finish().unwrap().content.size(), 0);
    }
}
