//! The root image, for any number of devices at once.
//!
//! ASR wants the image as chunks of 128 KiB, each followed by its SHA-1 if the device asks. The image is
//! read from the IPSW itself, by position, 1 MiB at a time into buffers that are used again; no lock, no copy
//! on the disk, and none in memory: a [`Piece`] gives the slices of what is to be sent. Digests of chunks are
//! made once (`chunks.rs`), by whoever comes first: the first device pays for the hashing of the bytes it is
//! sending anyway, or [`RootImage::warm`] pays while the device is still booting; all later devices only read.
//!
//! Some IPSWs keep the image packed. Then, and only then, it is inflated once into an unnamed temporary
//! file, which is gone when the last device let go of it, however the process ends.

use super::archive::Shared;
use super::chunks::{CHUNK, ChunkSha1, Origin, Table};
use super::ipsw::{Ipsw, StoredEntry};
use super::store;
use crate::disk::require_space;
use crate::fault::{Code, Fault};
use std::io::{IoSlice, Write};
use std::path::Path;
use std::sync::Arc;

/// Bytes of a piece: whole chunks.
const PIECE: usize = 8 * CHUNK;

/// Shared by all devices that get this image; cheap to clone.
#[derive(Clone, Debug)]
pub struct RootImage {
    entry: StoredEntry,
    table: Arc<Table>,
}

impl RootImage {
    /// The entry `name` of `ipsw`. `scratch` is where a packed image is inflated to; it is not touched
    /// otherwise.
    pub fn open(ipsw: &Ipsw, name: &str, scratch: &Path) -> Result<RootImage, Fault> {
        let entry = match ipsw.stored(name) {
            Some(entry) => entry,
            None => unpack(ipsw, name, scratch)?,
        };
        let Some(of) = ipsw.entry(name).filter(|_| entry.size > 0) else {
            return Err(Fault::new(Code::FirmwareDamaged, format!("{name:?} is empty")));
        };
        let origin = Origin::of(&ipsw.metadata()?, of.data, entry.size, of.crc);
        let table = Table::of(origin, store::beside(ipsw.path(), &format!("{:016x}.chunks", of.data)), &entry);
        Ok(RootImage { entry, table })
    }

    /// In bytes.
    pub fn size(&self) -> u64 {
        self.entry.size
    }

    pub fn chunks(&self) -> usize {
        self.table.len()
    }

    /// Random access, as ASR's OOB requests need it; see [`StoredEntry::read_at`].
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Fault> {
        self.entry.read_at(offset, buffer)
    }

    /// Reads the piece at `offset`, where a chunk begins, into `piece`; false at the end of the image.
    pub fn fill(&self, piece: &mut Piece, offset: u64, checksums: bool) -> Result<bool, Fault> {
        piece.offset = offset;
        piece.sha1.clear();
        piece.bytes.resize(PIECE, 0);
        let filled = self.entry.read_at(offset, &mut piece.bytes)?;
        piece.bytes.truncate(filled);
        if checksums {
            let offsets = (offset..).step_by(CHUNK);
            piece.sha1.extend(offsets.zip(piece.bytes.chunks(CHUNK)).map(|(at, chunk)| self.table.sha1(at, chunk)));
        }
        Ok(filled > 0)
    }

    /// Makes all digests that are still missing and keeps them; `go_on` is asked between reads. Where somebody does
    /// that already for the same image, nothing is done.
    pub fn warm(&self, go_on: &dyn Fn() -> bool) -> Result<(), Fault> {
        let Some(_turn) = self.table.turn() else { return Ok(()) };
        let mut piece = Piece::default();
        let mut offset = 0;
        while self.warmed() < self.chunks() && self.fill(&mut piece, offset, true)? {
            if !go_on() {
                return Err(Fault::cancelled());
            }
            offset += piece.bytes.len() as u64;
        }
        self.keep();
        Ok(())
    }

    /// How many digests there are already.
    pub fn warmed(&self) -> usize {
        self.table.made()
    }

    /// Once all digests are made they are written for the next process; that they cannot be is no failure.
    pub fn keep(&self) {
        if let Err(fault) = self.table.keep() {
            tracing::info!(%fault, "digests are not kept");
        }
    }
}

/// Some chunks in a row, and their digests if they are wanted.
#[derive(Debug, Default)]
pub struct Piece {
    pub offset: u64,
    pub bytes: Vec<u8>,
    pub sha1: Vec<ChunkSha1>,
}

impl Piece {
    /// What goes over the link, in order and not copied.
    pub fn slices(&self) -> Vec<IoSlice<'_>> {
        let mut slices = Vec::with_capacity(2 * PIECE / CHUNK);
        let mut digests = self.sha1.iter();
        for chunk in self.bytes.chunks(CHUNK) {
            slices.push(IoSlice::new(chunk));
            slices.extend(digests.next().map(|d| IoSlice::new(d)));
        }
        slices
    }
}

fn unpack(ipsw: &Ipsw, name: &str, scratch: &Path) -> Result<StoredEntry, Fault> {
    let size = ipsw.entry(name).map_or(0, |e| e.size);
    fs_err::create_dir_all(scratch).map_err(|e| Fault::disk(&e))?;
    require_space(scratch, size)?;
    let mut file = tempfile::tempfile_in(scratch).map_err(|e| Fault::disk(&e))?;
    ipsw.stream(name, &mut |bytes| file.write_all(bytes).map_err(|e| Fault::disk(&e)))?;
    let shared = Shared::unnamed(file, ipsw.path());
    Ok(StoredEntry { shared, start: 0, size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha1::{Digest, Sha1};
    use std::io::Cursor;
    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    fn ipsw(folder: &Path, image: &[u8], method: CompressionMethod) -> Ipsw {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("x.dmg", SimpleFileOptions::DEFAULT.compression_method(method)).unwrap();
        zip.write_all(image).unwrap();
        let path = folder.join("x.ipsw");
        std::fs::write(&path, zip.finish().unwrap().into_inner()).unwrap();
        Ipsw::open(&path).unwrap()
    }

    fn walk(image: &RootImage) -> (Vec<u8>, Vec<ChunkSha1>) {
        let (mut bytes, mut digests) = (Vec::new(), Vec::new());
        let mut piece = Piece::default();
        while image.fill(&mut piece, bytes.len() as u64, true).unwrap() {
            let sent: Vec<u8> = piece.slices().iter().flat_map(|s| s.to_vec()).collect();
            let chunks = piece.bytes.chunks(CHUNK).zip(&piece.sha1);
            assert_eq!(sent, chunks.flat_map(|(chunk, sha1)| [chunk, sha1].concat()).collect::<Vec<u8>>());
            digests.extend(&piece.sha1);
            bytes.extend_from_slice(&piece.bytes);
        }
        (bytes, digests)
    }

    #[test]
    fn every_chunk_with_its_digest_stored_or_packed() {
        let dir = tempfile::tempdir().unwrap();
        for size in [1, CHUNK, CHUNK + 1, PIECE, 2 * PIECE + 3 * CHUNK + 77] {
            let content: Vec<u8> = (0..size as u32).map(|i| (i / 3) as u8).collect();
            let expected: Vec<ChunkSha1> = content.chunks(CHUNK).map(|c| Sha1::digest(c).into()).collect();
            for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
                let scratch = dir.path().join("scratch");
                let image = RootImage::open(&ipsw(dir.path(), &content, method), "x.dmg", &scratch).unwrap();
                assert_eq!((image.size(), image.chunks()), (size as u64, expected.len()));
                assert!(walk(&image) == (content.clone(), expected.clone()), "{size} {method:?}");
                let mut tail = [0; 600];
                let offset = (size as u64).saturating_sub(512);
                let count = image.read_at(offset, &mut tail).unwrap();
                assert_eq!(&tail[..count], &content[offset as usize..]);
                assert_eq!(image.read_at(size as u64 + 5, &mut tail).unwrap(), 0);
                if scratch.exists() {
                    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0, "nothing that could be left behind");
                }
            }
        }
    }

    #[test]
    fn digests_are_made_once_for_all_devices() {
        let dir = tempfile::tempdir().unwrap();
        let ipsw = ipsw(dir.path(), &[7; 3 * PIECE], CompressionMethod::Stored);
        let image = RootImage::open(&ipsw, "x.dmg", dir.path()).unwrap();
        assert_eq!(image.warmed(), 0);
        assert_eq!(image.warm(&|| false).unwrap_err().code, Code::Cancelled);
        assert_eq!(image.warmed(), PIECE / CHUNK);
        // Another job of this process opens the same file.
        let second = RootImage::open(&Ipsw::open(ipsw.path()).unwrap(), "x.dmg", dir.path()).unwrap();
        second.warm(&|| true).unwrap();
        assert_eq!(image.warmed(), image.chunks(), "what one made, all have");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing beside a file that is not the store's");
    }

    /// The image of a fresh process: nobody holds a table any more.
    fn reopened(folder: &Path) -> RootImage {
        RootImage::open(&Ipsw::open(&folder.join("x.ipsw")).unwrap(), "x.dmg", folder).unwrap()
    }

    #[test]
    fn a_table_is_kept_in_the_store_and_believed_in_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("record.json"), "{}").unwrap();
        let content: Vec<u8> = (0..5 * CHUNK as u32 + 9).map(|i| (i / 5) as u8).collect();
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            drop(ipsw(dir.path(), &content, method));
            let image = reopened(dir.path());
            assert_eq!(image.warmed(), 0, "of another file");
            image.warm(&|| true).unwrap();
            let expected = walk(&image);
            drop(image);
            let image = reopened(dir.path());
            assert_eq!(image.warmed(), 6, "read, not made");
            assert!(walk(&image) == expected);
            drop(image);

            let files = std::fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().path());
            let path = files
                .filter(|p| p.extension().is_some_and(|e| e == "chunks"))
                .max_by_key(|p| std::fs::metadata(p).unwrap().modified().unwrap());
            let path = path.unwrap();
            let good = std::fs::read(&path).unwrap();
            let sealed = |change: &dyn Fn(&mut Vec<u8>)| {
                let mut bytes = good.clone();
                bytes.truncate(good.len() - 32);
                change(&mut bytes);
                let seal = <sha2::Sha256 as sha2::Digest>::digest(&bytes);
                bytes.extend_from_slice(&seal);
                bytes
            };
            let flipped = |at: usize| {
                let mut bytes = good.clone();
                bytes[at] ^= 1;
                bytes
            };
            for bad in [
                Vec::new(),
                good[..good.len() - 1].to_vec(),
                [&good[..], b"x"].concat(),
                flipped(0),
                flipped(100),
                flipped(good.len() - 1),
                sealed(&|b| b[8] ^= 1),
                sealed(&|b| b[40] = 0xFF),
                sealed(&|b| b[64] ^= 1),
                sealed(&|b| *b.last_mut().unwrap() ^= 1),
            ] {
                std::fs::write(&path, bad).unwrap();
                assert_eq!(reopened(dir.path()).warmed(), 0);
            }
            std::fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
            assert_eq!(reopened(dir.path()).warmed(), 0);
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, &good).unwrap();
            assert_eq!(reopened(dir.path()).warmed(), 6);
            std::fs::File::options()
                .append(true)
                .open(dir.path().join("x.ipsw"))
                .unwrap()
                .set_modified(std::time::UNIX_EPOCH)
                .unwrap();
            assert_eq!(reopened(dir.path()).warmed(), 0, "the file was touched since");
        }
    }
}
