//! The root image, for any number of devices at once.
//!
//! ASR wants the image as chunks of 128 KiB, each followed by its SHA-1 if the device asks. The image is
//! read from the IPSW itself, 1 MiB at a time into a buffer that is used again; no lock, no copy on the
//! disk. Digests of chunks are made once, by whoever comes first: the first device pays for the hashing of
//! the bytes it is sending anyway, or [`RootImage::warm`] pays while the device is still booting; all later
//! devices only read. For ten gigabytes the table is 2.5 MB.
//!
//! Some IPSWs keep the image packed. Then, and only then, it is inflated once into an unnamed temporary
//! file, which is gone when the last device let go of it, however the process ends.

use super::archive::Shared;
use super::ipsw::{Ipsw, StoredEntry};
use crate::disk::require_space;
use crate::fault::{Code, Fault};
use sha1::{Digest, Sha1};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// Bytes of a chunk; the last one may be shorter.
pub const CHUNK: usize = 128 << 10;
const READ: usize = 1 << 20;

type ChunkSha1 = [u8; 20];

/// Shared by all devices that get this image; cheap to clone.
#[derive(Clone, Debug)]
pub struct RootImage {
    entry: StoredEntry,
    digests: Arc<[OnceLock<ChunkSha1>]>,
}

impl RootImage {
    /// The entry `name` of `ipsw`. `scratch` is where a packed image is inflated to; it is not touched
    /// otherwise.
    pub fn open(ipsw: &Ipsw, name: &str, scratch: &Path) -> Result<RootImage, Fault> {
        let entry = match ipsw.stored(name) {
            Some(entry) => entry,
            None => unpack(ipsw, name, scratch)?,
        };
        let chunks = usize::try_from(entry.size.div_ceil(CHUNK as u64)).unwrap_or(usize::MAX);
        if entry.size == 0 {
            return Err(Fault::new(Code::FirmwareDamaged, format!("{name:?} is empty")));
        }
        Ok(RootImage { entry, digests: std::iter::repeat_with(OnceLock::new).take(chunks).collect() })
    }

    /// In bytes.
    pub fn size(&self) -> u64 {
        self.entry.size
    }

    pub fn chunks(&self) -> usize {
        self.digests.len()
    }

    /// Random access, as ASR's OOB requests need it; see [`StoredEntry::read_at`].
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Fault> {
        self.entry.read_at(offset, buffer)
    }

    /// From the first chunk to the last, for one device.
    pub fn reader(&self) -> ImageReader {
        ImageReader { image: self.clone(), buffer: vec![0; READ], start: 0, filled: 0, taken: 0 }
    }

    /// Makes all digests that are still missing; `go_on` is asked between reads.
    pub fn warm(&self, go_on: &dyn Fn() -> bool) -> Result<(), Fault> {
        let mut reader = self.reader();
        while let Some(chunk) = reader.next()? {
            chunk.sha1();
            if chunk.last_of_read && !go_on() {
                return Err(Fault::cancelled());
            }
        }
        Ok(())
    }

    /// How many digests there are already.
    pub fn warmed(&self) -> usize {
        self.digests.iter().filter(|d| d.get().is_some()).count()
    }
}

/// A chunk in the reader's buffer.
pub struct Chunk<'a> {
    pub offset: u64,
    pub bytes: &'a [u8],
    digest: Option<&'a OnceLock<ChunkSha1>>,
    last_of_read: bool,
}

impl Chunk<'_> {
    /// Made once for all devices.
    pub fn sha1(&self) -> ChunkSha1 {
        let make = || Sha1::digest(self.bytes).into();
        self.digest.map_or_else(make, |d| *d.get_or_init(make))
    }
}

/// One walk over the image.
pub struct ImageReader {
    image: RootImage,
    buffer: Vec<u8>,
    /// Offset of the buffer's first byte, how much of it is filled, and how much was given out.
    start: u64,
    filled: usize,
    taken: usize,
}

impl ImageReader {
    /// The next chunk, none after the last.
    #[allow(clippy::should_implement_trait, reason = "chunks borrow the buffer, which an Iterator's items cannot")]
    pub fn next(&mut self) -> Result<Option<Chunk<'_>>, Fault> {
        if self.taken == self.filled {
            self.start += self.filled as u64;
            self.taken = 0;
            self.filled = 0;
            self.filled = self.image.entry.read_at(self.start, &mut self.buffer)?;
            if self.filled == 0 {
                return Ok(None);
            }
        }
        let offset = self.start + self.taken as u64;
        let end = self.filled.min(self.taken + CHUNK);
        let bytes = &self.buffer[self.taken..end];
        self.taken = end;
        let number = usize::try_from(offset / CHUNK as u64).unwrap_or(usize::MAX);
        let digest = self.image.digests.get(number);
        Ok(Some(Chunk { offset, bytes, digest, last_of_read: end == self.filled }))
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
        let mut reader = image.reader();
        while let Some(chunk) = reader.next().unwrap() {
            assert_eq!(chunk.offset, bytes.len() as u64);
            digests.push(chunk.sha1());
            bytes.extend_from_slice(chunk.bytes);
        }
        (bytes, digests)
    }

    #[test]
    fn every_chunk_with_its_digest_stored_or_packed() {
        let dir = tempfile::tempdir().unwrap();
        for size in [1, CHUNK, CHUNK + 1, READ, 2 * READ + 3 * CHUNK + 77] {
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
        let content = vec![7; 3 * READ];
        let image =
            RootImage::open(&ipsw(dir.path(), &content, CompressionMethod::Stored), "x.dmg", dir.path()).unwrap();
        assert_eq!(image.warmed(), 0);
        assert_eq!(image.warm(&|| false).unwrap_err().code, Code::Cancelled);
        assert_eq!(image.warmed(), READ / CHUNK);
        let second = image.clone();
        second.warm(&|| true).unwrap();
        assert_eq!(image.warmed(), image.chunks(), "what one made, all have");
    }
}
