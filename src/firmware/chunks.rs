//! The SHA-1 of each chunk of a root image, made once.
//!
//! ASR wants a digest behind each chunk. Who sends a chunk first makes its digest; every other device of this
//! process finds it in the same table, however often the image was opened. A table that is full is written
//! beside the IPSW if that lies in the store, so that the next process makes none at all.
//!
//! A written table is bound to the file it was made from (size, time of change, place and CRC of the entry) and
//! is believed in nothing else: its length is known before it is read, it carries its own digest, and some
//! chunks are hashed again. A wrong digest could only make the device refuse the image, but after minutes.

use super::ipsw::StoredEntry;
use crate::disk::{AtomicFile, Privacy};
use crate::fault::{Code, Fault};
use rustix::fs::OFlags;
use sha1::{Digest, Sha1};
use sha2::Sha256;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// Bytes of a chunk; the last one may be shorter.
pub const CHUNK: usize = 128 << 10;

pub type ChunkSha1 = [u8; 20];

const MAGIC: &[u8; 8] = b"HSTLCHK1";
const HEAD: usize = 8 + 5 * 8 + 16;
const SEAL: usize = 32;

/// Which bytes a table is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// Of the file system and in it: only for this process, a copy elsewhere has other ones.
    pub place: (u64, u64),
    pub file_size: u64,
    /// Nanoseconds since 1970.
    pub modified: i128,
    /// Where the entry's data begins, its bytes when unpacked, and its CRC.
    pub start: u64,
    pub size: u64,
    pub crc: u32,
}

impl Origin {
    pub fn of(meta: &std::fs::Metadata, start: u64, size: u64, crc: u32) -> Origin {
        let modified = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
        Origin { place: (meta.dev(), meta.ino()), file_size: meta.len(), modified, start, size, crc }
    }

    fn head(&self, chunks: usize) -> Vec<u8> {
        let mut head = MAGIC.to_vec();
        for number in [self.file_size, self.start, self.size, u64::from(self.crc), chunks as u64] {
            head.extend_from_slice(&number.to_le_bytes());
        }
        head.extend_from_slice(&self.modified.to_le_bytes());
        head
    }
}

#[derive(Debug)]
pub(super) struct Table {
    origin: Origin,
    digests: Box<[OnceLock<ChunkSha1>]>,
    file: Option<PathBuf>,
    written: AtomicBool,
    warming: AtomicBool,
}

/// The right to fill a table ahead of time, for one at a time.
pub(super) struct Turn<'a>(&'a AtomicBool);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Tables in use.
static TABLES: Mutex<Vec<Weak<Table>>> = Mutex::new(Vec::new());

impl Table {
    /// The table of these bytes: the one that somebody uses already, else the one in `file`, else an empty one.
    pub fn of(origin: Origin, file: Option<PathBuf>, image: &StoredEntry) -> Arc<Table> {
        let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
        tables.retain(|t| t.strong_count() > 0);
        if let Some(known) = tables.iter().filter_map(Weak::upgrade).find(|t| t.origin == origin) {
            return known;
        }
        let chunks = usize::try_from(origin.size.div_ceil(CHUNK as u64)).unwrap_or(usize::MAX);
        let read = file.as_deref().and_then(|path| read(path, &origin, chunks, image));
        let written = AtomicBool::new(read.is_some());
        let digests = match read {
            Some(digests) => digests.into_iter().map(OnceLock::from).collect(),
            None => std::iter::repeat_with(OnceLock::new).take(chunks).collect(),
        };
        let table = Arc::new(Table { origin, digests, file, written, warming: AtomicBool::new(false) });
        tables.push(Arc::downgrade(&table));
        table
    }

    /// None while somebody else has it.
    pub fn turn(&self) -> Option<Turn<'_>> {
        let taken = self.warming.swap(true, Ordering::Relaxed);
        (!taken).then(|| Turn(&self.warming))
    }

    pub fn len(&self) -> usize {
        self.digests.len()
    }

    /// How many digests there are already.
    pub fn made(&self) -> usize {
        self.digests.iter().filter(|d| d.get().is_some()).count()
    }

    /// Of the chunk that begins at `offset` and consists of `bytes`.
    pub fn sha1(&self, offset: u64, bytes: &[u8]) -> ChunkSha1 {
        let make = || Sha1::digest(bytes).into();
        let number = usize::try_from(offset / CHUNK as u64).unwrap_or(usize::MAX);
        self.digests.get(number).map_or_else(make, |d| *d.get_or_init(make))
    }

    /// Writes a full table beside its IPSW, once.
    pub fn keep(&self) -> Result<(), Fault> {
        let (Some(path), true) = (&self.file, self.made() == self.len()) else { return Ok(()) };
        if self.written.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let mut bytes = self.origin.head(self.len());
        self.digests.iter().filter_map(OnceLock::get).for_each(|d| bytes.extend_from_slice(d));
        let seal = Sha256::digest(&bytes);
        bytes.extend_from_slice(&seal);
        let mut file = AtomicFile::create(path, Privacy::Private)?.quick();
        file.write_all(&bytes).map_err(|e| Fault::disk(&e))?;
        file.commit()
    }
}

/// None when there is no table or when it is not about these bytes.
fn read(path: &Path, origin: &Origin, chunks: usize, image: &StoredEntry) -> Option<Vec<ChunkSha1>> {
    // A link or a pipe would not be ours.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path).ok()?;
    let length = HEAD.checked_add(chunks.checked_mul(20)?)?.checked_add(SEAL)?;
    let meta = file.metadata().ok()?;
    if !meta.is_file() || meta.len() != length as u64 {
        return None;
    }
    let mut bytes = Vec::with_capacity(length);
    file.take(length as u64).read_to_end(&mut bytes).ok()?;
    let (body, seal) = bytes.split_at_checked(length - SEAL)?;
    let head = origin.head(chunks);
    let digests = body.strip_prefix(&head[..])?;
    if Sha256::digest(body)[..] != *seal {
        return None;
    }
    let (digests, []) = digests.as_chunks::<20>() else { return None };
    let proven = [0, chunks / 2, chunks.saturating_sub(1)].iter().all(|n| proves(image, *n, digests).is_ok());
    if !proven {
        tracing::warn!(path = %path.display(), "digests that are not those of the image; made anew");
    }
    proven.then(|| digests.to_vec())
}

fn proves(image: &StoredEntry, number: usize, digests: &[ChunkSha1]) -> Result<(), Fault> {
    let mut chunk = vec![0; CHUNK];
    let count = image.read_at(number as u64 * CHUNK as u64, &mut chunk)?;
    let found = Sha1::digest(chunk.get(..count).unwrap_or_default());
    match digests.get(number) {
        Some(said) if said[..] == found[..] => Ok(()),
        _ => Err(Fault::new(Code::FirmwareDamaged, format!("chunk {number}"))),
    }
}
