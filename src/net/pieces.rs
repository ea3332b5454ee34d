//! Which bytes of a file are here when several connections bring it: pure bookkeeping.
//!
//! The file is cut into pieces of one size, and a piece fills from its beginning. So one number per piece says it
//! all, survives a kill as eight bytes in a file beside the part, and no byte is ever asked for twice.

use serde::{Deserialize, Serialize};

/// More than any file has: 32 GiB in pieces of 1 MiB.
const MOST: u64 = 1 << 15;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pieces {
    /// Of the file, in bytes.
    pub size: u64,
    /// Of a piece, in bytes; the last one is shorter.
    piece: u64,
    done: Vec<u64>,
    #[serde(skip)]
    taken: Vec<bool>,
}

/// What is missing of one piece: from this byte of the file to before that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub index: usize,
    pub from: u64,
    pub to: u64,
}

impl Pieces {
    /// The first `prefix` bytes are here. None when there would be too many pieces.
    pub fn new(size: u64, piece: u64, prefix: u64) -> Option<Self> {
        if piece == 0 || size.div_ceil(piece) > MOST {
            return None;
        }
        let count = usize::try_from(size.div_ceil(piece)).ok()?;
        let mut pieces = Pieces { size, piece, done: vec![0; count], taken: vec![false; count] };
        for index in 0..count {
            let most = pieces.length(index);
            if let Some(done) = pieces.done.get_mut(index) {
                *done = prefix.saturating_sub(index as u64 * piece).min(most);
            }
        }
        Some(pieces)
    }

    /// As it was saved; none when that cannot be.
    pub fn checked(mut self) -> Option<Self> {
        let fresh = Pieces::new(self.size, self.piece, 0)?;
        let sound = self.done.len() == fresh.done.len()
            && self.done.iter().enumerate().all(|(index, done)| *done <= self.length(index));
        self.taken = fresh.taken;
        sound.then_some(self)
    }

    /// Bytes of one piece.
    fn length(&self, index: usize) -> u64 {
        self.size.saturating_sub(index as u64 * self.piece).min(self.piece)
    }

    /// The map as it lies beside the part.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.done.iter().flat_map(|done| done.to_le_bytes()).collect()
    }

    /// Takes the counts from a map, where they can be.
    pub fn believe(&mut self, map: &[u8]) {
        if map.len() != self.done.len() * 8 {
            return;
        }
        for (index, count) in map.chunks_exact(8).enumerate() {
            let said = count.try_into().map(u64::from_le_bytes).unwrap_or(0);
            let most = self.length(index);
            if let Some(done) = self.done.get_mut(index) {
                *done = said.min(most);
            }
        }
    }

    /// Nothing beyond the first `found` bytes is here.
    pub fn clip(&mut self, found: u64) {
        for (index, done) in self.done.iter_mut().enumerate() {
            *done = (*done).min(found.saturating_sub(index as u64 * self.piece));
        }
    }

    /// The first piece that nobody fetches and that is not whole.
    pub fn take(&mut self) -> Option<Span> {
        let free = |i: &usize| self.taken.get(*i) == Some(&false) && self.filled(*i) < self.length(*i);
        let index = (0..self.done.len()).find(free)?;
        *self.taken.get_mut(index)? = true;
        self.span(index)
    }

    pub fn release(&mut self, index: usize) {
        if let Some(taken) = self.taken.get_mut(index) {
            *taken = false;
        }
    }

    fn span(&self, index: usize) -> Option<Span> {
        let begin = index as u64 * self.piece;
        Some(Span { index, from: begin + self.done.get(index)?, to: begin + self.length(index) })
    }

    /// The end of the first piece that is not whole.
    pub fn first_end(&self) -> Option<u64> {
        (0..self.done.len()).find(|i| self.filled(*i) < self.length(*i)).and_then(|i| Some(self.span(i)?.to))
    }

    /// Bytes of a piece that are here.
    pub fn filled(&self, index: usize) -> u64 {
        self.done.get(index).copied().unwrap_or(0)
    }

    /// `count` more bytes of a piece are here; gives all that are.
    pub fn add(&mut self, index: usize, count: u64) {
        let most = self.length(index);
        if let Some(done) = self.done.get_mut(index) {
            *done = (*done + count).min(most);
        }
    }

    /// How many bytes are here without a gap from the beginning of the file.
    pub fn frontier(&self) -> u64 {
        let whole = (0..self.done.len()).take_while(|i| self.filled(*i) == self.length(*i)).count();
        let more = self.done.get(whole).copied().unwrap_or(0);
        (whole as u64 * self.piece).min(self.size) + more
    }

    /// How many bytes are here.
    pub fn here(&self) -> u64 {
        self.done.iter().sum()
    }

    pub fn is_whole(&self) -> bool {
        self.here() == self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_saved_is_looked_at() {
        let pieces = Pieces::new(100, 30, 45).unwrap();
        assert_eq!((pieces.frontier(), pieces.here(), pieces.done.clone()), (45, 45, vec![30, 15, 0, 0]));
        let text = serde_json::to_string(&pieces).unwrap();
        let back: Pieces = serde_json::from_str(&text).unwrap();
        assert_eq!(back.checked(), Some(pieces.clone()));
        for lie in [
            r#"{"size":100,"piece":30,"done":[31,0,0,0]}"#,
            r#"{"size":100,"piece":30,"done":[0,0,0]}"#,
            r#"{"size":100,"piece":30,"done":[0,0,0,11]}"#,
            r#"{"size":100,"piece":0,"done":[]}"#,
            r#"{"size":18446744073709551615,"piece":1,"done":[]}"#,
        ] {
            assert_eq!(serde_json::from_str::<Pieces>(lie).unwrap().checked(), None, "{lie}");
        }
        let mut believed = pieces.clone();
        believed.believe(&[0xFF; 32]);
        assert!(believed.is_whole(), "counts are cut to what a piece holds");
        believed.believe(&[0; 31]);
        assert!(believed.is_whole(), "a map of another length says nothing");
        believed.clip(65);
        assert_eq!((believed.frontier(), believed.here()), (65, 65));
    }

    proptest! {
        /// Whoever fetches, fails and goes on: no byte is given out twice, and all of them are in the end.
        #[test]
        fn every_byte_is_fetched_once(
            size in 1u64..2000, piece in 1u64..300, prefix in 0u64..2500, moves in prop::collection::vec((0usize..4, 0u64..400), 0..400)
        ) {
            let mut pieces = Pieces::new(size, piece, prefix).unwrap();
            let mut bytes = vec![0u8; size as usize];
            bytes[..(prefix.min(size)) as usize].fill(1);
            let mut workers: [Option<Span>; 4] = [None; 4];
            let rest = (0..).map(|n| (n % 4, u64::MAX));
            for (worker, count) in moves.into_iter().chain(rest) {
                let Some(span) = workers[worker] else {
                    workers[worker] = pieces.take();
                    if pieces.is_whole() { break }
                    continue;
                };
                let now = count.min(span.to - span.from);
                for byte in &mut bytes[span.from as usize..(span.from + now) as usize] {
                    prop_assert_eq!(*byte, 0);
                    *byte = 1;
                }
                pieces.add(span.index, now);
                prop_assert_eq!(pieces.here(), bytes.iter().filter(|b| **b == 1).count() as u64);
                prop_assert_eq!(pieces.frontier(), bytes.iter().take_while(|b| **b == 1).count() as u64);
                pieces.release(span.index);
                workers[worker] = None;
            }
            prop_assert!(pieces.is_whole() && pieces.frontier() == size && pieces.take().is_none());
        }
    }
}
