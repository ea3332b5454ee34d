//! Contents as they come back from a host.
//!
//! The stamp at the head says what the rest must be. As long as it is, nothing is stored; with the first
//! byte that differs, what was taken on trust is made again and the file is kept as it came.

use super::content::{CHUNK, Content, HEAD, Made, Spill};
use sha1::{Digest, Sha1};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Takes in the bytes of one file as they arrive and finds out whether they were made.
pub(super) struct Intake<'a> {
    spill: &'a Spill,
    /// Bytes beyond it are counted and digested, but not kept, unless all is wanted.
    expected: u64,
    all: bool,
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
        Intake { spill, expected, seen: 0, sha1, all: false, shape: Shape::Undecided(Vec::new()), scratch: Vec::new() }
    }

    /// Keeps what is beyond the expected size too.
    pub fn all(mut self, all: bool) -> Self {
        self.all = all;
        self
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
        let rest = &bytes[room..];
        if self.all && !rest.is_empty() {
            self.seen += room as u64;
            self.outgrow()?;
            self.store(self.seen, rest)?;
            self.seen += rest.len() as u64;
            return Ok(());
        }
        self.seen += bytes.len() as u64;
        Ok(())
    }

    /// What was kept so far goes to a file of its own, where it has room to grow.
    fn outgrow(&mut self) -> io::Result<()> {
        let so_far = match std::mem::replace(&mut self.shape, Shape::Undecided(Vec::new())) {
            Shape::Made(made) => Content::Made(Made { size: self.seen, ..made }),
            Shape::Memory(bytes) | Shape::Undecided(bytes) => Content::Bytes(bytes.into()),
            Shape::Spilled(file, offset) => Content::Spilled { file, offset, size: self.seen },
        };
        let file = tempfile::tempfile()?;
        let (mut piece, mut at) = (vec![0; CHUNK], 0);
        while at < so_far.size() {
            let length = (so_far.size() - at).min(CHUNK as u64) as usize;
            so_far.read_at(at, &mut piece[..length])?;
            file.write_all_at(&piece[..length], at)?;
            at += length as u64;
        }
        self.shape = Shape::Spilled(Arc::new(file), 0);
        self.expected = u64::MAX;
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
        if self.spill.takes_memory(self.expected) {
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
    use super::super::content::Look;
    use super::*;

    fn bytes(content: &Content) -> Vec<u8> {
        let mut all = vec![0; content.size() as usize];
        content.read_at(0, &mut all).unwrap();
        all
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
        // Unless all of it is wanted.
        for (expected, piece) in [(0, 100), (10, 3), (60, 100), (99, 1), (100, 7), (200, 40)] {
            let mut intake = Intake::new(&spill, expected, false).all(true);
            made.chunks(piece).for_each(|c| intake.push(c).unwrap());
            let taken = intake.finish().unwrap();
            assert_eq!((taken.size, &bytes(&taken.content)), (100, &made), "{expected}");
        }
        let big = bytes(&Content::Made(Made { look: Look::Plain, seed: 5, size: 300_000 }));
        for expected in [70_000, 299_999] {
            let mut intake = Intake::new(&spill, expected, false).all(true);
            big.chunks(9_000).for_each(|c| intake.push(c).unwrap());
            assert!(bytes(&intake.finish().unwrap().content) == big, "{expected}");
        }
        let mut empty = Intake::new(&spill, 0, false);
        empty.push(b"").unwrap();
        assert_eq!(empty.finish().unwrap().content.size(), 0);
    }
}
