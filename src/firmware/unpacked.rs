//! A file of an IPSW as a stream that its taker pulls.
//!
//! The archive pushes what it inflates ([`Ipsw::stream`]), and judges size and CRC at its end. Uploads and
//! answers pull. Between them is a thread and room for one piece, so a component of 150 MB is never whole in
//! memory. Nothing happens before the first read: many components may wait for their turn.

use super::ipsw::{Ipsw, StoredEntry};
use crate::fault::{Code, Fault};
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, sync_channel};

/// Up to here a file is inflated at once, without a thread.
const SMALL: u64 = 256 << 10;

/// See [`Ipsw::reader`].
pub struct Unpacked {
    ipsw: Ipsw,
    name: String,
    state: State,
}

enum State {
    Waiting,
    Stored { entry: StoredEntry, at: u64 },
    Small { bytes: Vec<u8>, at: usize },
    Large { pieces: Receiver<Result<Vec<u8>, Fault>>, piece: Vec<u8>, at: usize },
}

impl Unpacked {
    pub(super) fn new(ipsw: &Ipsw, name: &str) -> Unpacked {
        let state = ipsw.stored(name).map_or(State::Waiting, |entry| State::Stored { entry, at: 0 });
        Unpacked { ipsw: ipsw.clone(), name: name.to_owned(), state }
    }

    fn begin(&self) -> io::Result<State> {
        let size = self.ipsw.entry(&self.name).map_or(0, |entry| entry.size);
        if size <= SMALL {
            let bytes = self.ipsw.read(&self.name, SMALL).map_err(io::Error::other)?;
            return Ok(State::Small { bytes, at: 0 });
        }
        let (full, pieces) = sync_channel(1);
        let (ipsw, name) = (self.ipsw.clone(), self.name.clone());
        std::thread::Builder::new().name("unpack".into()).spawn(move || {
            let gone = |_| Fault::cancelled();
            let read = ipsw.stream(&name, &mut |bytes| full.send(Ok(bytes.to_vec())).map_err(gone));
            if let Err(fault) = read.map_err(|f| if f.code == Code::Cancelled { None } else { Some(f) })
                && let Some(fault) = fault
            {
                let _ = full.send(Err(fault));
            }
        })?;
        Ok(State::Large { pieces, piece: Vec::new(), at: 0 })
    }
}

/// What is left of `bytes`, as much as fits.
fn hand_out(bytes: &[u8], at: &mut usize, buffer: &mut [u8]) -> usize {
    let left = bytes.get(*at..).unwrap_or_default();
    let count = left.len().min(buffer.len());
    if let (Some(to), Some(from)) = (buffer.get_mut(..count), left.get(..count)) {
        to.copy_from_slice(from);
    }
    *at += count;
    count
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if matches!(self.state, State::Waiting) {
            self.state = self.begin()?;
        }
        match &mut self.state {
            State::Waiting => Ok(0),
            State::Stored { entry, at } => {
                let count = entry.read_at(*at, buffer).map_err(io::Error::other)?;
                *at += count as u64;
                Ok(count)
            }
            State::Small { bytes, at } => Ok(hand_out(bytes, at, buffer)),
            State::Large { pieces, piece, at } => {
                while *at == piece.len() && !buffer.is_empty() {
                    match pieces.recv() {
                        Ok(next) => (*piece, *at) = (next.map_err(io::Error::other)?, 0),
                        Err(_) => return Ok(0),
                    }
                }
                Ok(hand_out(piece, at, buffer))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write};
    use std::path::Path;
    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    fn ipsw(folder: &Path, content: &[u8], method: CompressionMethod, damage: bool) -> Ipsw {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("a", SimpleFileOptions::DEFAULT.compression_method(method)).unwrap();
        zip.write_all(content).unwrap();
        let mut bytes = zip.finish().unwrap().into_inner();
        if damage {
            bytes[200] ^= 1;
        }
        let path = folder.join("x.ipsw");
        std::fs::write(&path, bytes).unwrap();
        Ipsw::open(&path).unwrap()
    }

    #[test]
    fn every_kind_comes_out_whole() {
        let dir = tempfile::tempdir().unwrap();
        for size in [0, 1, SMALL as usize, SMALL as usize + 1, 3_000_001] {
            let content: Vec<u8> = (0..size as u32).map(|i| (i.wrapping_mul(i) / 77) as u8).collect();
            for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
                let ipsw = ipsw(dir.path(), &content, method, false);
                let (length, mut reader) = ipsw.reader("a").unwrap();
                assert_eq!(length, size as u64);
                let mut all = Vec::new();
                let mut piece = [0; 10_007];
                while let count @ 1.. = reader.read(&mut piece).unwrap() {
                    all.extend_from_slice(&piece[..count]);
                }
                assert!(all == content, "{size} {method:?}");
                assert_eq!(reader.read(&mut piece).unwrap(), 0);
            }
        }
    }

    #[test]
    fn damage_is_an_error_and_a_reader_may_be_dropped_at_any_time() {
        let dir = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..2_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let damaged = ipsw(dir.path(), &content, CompressionMethod::Deflated, true);
        let mut all = Vec::new();
        assert!(damaged.reader("a").unwrap().1.read_to_end(&mut all).is_err());
        assert_eq!(damaged.reader("b").err().map(|f| f.code), Some(Code::FirmwareDamaged));
        let whole = ipsw(dir.path(), &content, CompressionMethod::Deflated, false);
        let (_, mut reader) = whole.reader("a").unwrap();
        reader.read_exact(&mut [0; 9]).unwrap();
    }
}
