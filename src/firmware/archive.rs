//! The directory of a zip, read once and believed in nothing.
//!
//! An IPSW is a zip of ten gigabytes from outside. The `zip` crate reads such files well, but it parses the
//! directory for each reader and hides where an entry lies; Herstel must serve one file to many devices by
//! position, so the index is its own: each entry's method, sizes, CRC and the offset of its data, over one
//! shared open file. Only the inflating is left to the crate, through a local header made from the index.
//!
//! The index is strict where real IPSWs leave room for it: names that leave the folder, duplicates, entries
//! that overlap each other or the directory, sizes that deflate cannot reach, headers that contradict
//! each other are refused when opening. Reading checks the CRC and the size.

use super::directory::{Bytes, Directory, central, check_name, find_directory, header_for, local};
use crate::fault::{Code, Fault};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How an entry is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Stored,
    Deflated,
    /// Not readable here; fine as long as nobody asks for it.
    Other(u16),
}

/// One file of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub method: Method,
    pub crc: u32,
    pub compressed: u64,
    pub size: u64,
    /// Kind and permissions as Unix writes them; 0 where the archive was not made on one.
    pub mode: u32,
    pub(super) encrypted: bool,
    /// Where the local header begins, and the data behind it.
    pub(super) header: u64,
    pub(super) data: u64,
}

/// A shared open file that is read by position.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    file: Arc<File>,
    pub path: Arc<PathBuf>,
}

impl Shared {
    pub fn open(path: &Path) -> Result<Shared, Fault> {
        let file = fs_err::File::open(path).map_err(|e| Fault::disk(&e))?;
        Ok(Shared { file: Arc::new(file.into_parts().0), path: Arc::new(path.to_owned()) })
    }

    /// A file without a name; errors speak of `path`.
    pub fn unnamed(file: File, path: &Path) -> Shared {
        Shared { file: Arc::new(file), path: Arc::new(path.to_owned()) }
    }

    pub fn length(&self) -> Result<u64, Fault> {
        Ok(self.metadata()?.len())
    }

    pub fn metadata(&self) -> Result<std::fs::Metadata, Fault> {
        self.file.metadata().map_err(|e| self.failed(&e))
    }

    pub fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        self.file.read_exact_at(buffer, offset).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged(format!("ends before byte {}", offset + buffer.len() as u64)),
            _ => self.failed(&e),
        })
    }

    pub fn damaged(&self, why: impl std::fmt::Display) -> Fault {
        Fault::new(Code::FirmwareDamaged, format!("{}: {why}", self.path.display()))
    }

    fn failed(&self, err: &io::Error) -> Fault {
        Fault::disk(&io::Error::new(err.kind(), format!("{}: {err}", self.path.display())))
    }
}

/// A window of a shared file as a stream.
struct Window {
    shared: Shared,
    at: u64,
    end: u64,
}

impl Read for Window {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.shared.file.read_at(&mut buffer[..want], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// The index.
#[derive(Debug)]
pub(super) struct Archive {
    pub shared: Shared,
    entries: BTreeMap<String, Entry>,
}

impl Archive {
    pub fn open(path: &Path) -> Result<Archive, Fault> {
        let shared = Shared::open(path)?;
        let length = shared.length()?;
        let directory = find_directory(&shared, length)?;
        let mut bytes = vec![0; usize::try_from(directory.size).unwrap_or(0)];
        shared.read_exact_at(directory.offset, &mut bytes)?;
        let mut rest = Bytes(&bytes);
        let mut entries = BTreeMap::new();
        let mut taken = Vec::new();
        for _ in 0..directory.count {
            let (name, mut entry) = central(&mut rest).map_err(|why| shared.damaged(why))?;
            let wrong = |why: &str| shared.damaged(format!("{name:?}: {why}"));
            check_name(&name).map_err(&wrong)?;
            entry.data = local(&shared, &name, &entry, directory.offset).map_err(&wrong)?;
            taken.push((entry.header, entry.data + entry.compressed));
            if name.ends_with('/') {
                if entry.size != 0 {
                    return Err(wrong("a folder with content"));
                }
                continue;
            }
            if entries.insert(name.clone(), entry).is_some() {
                return Err(wrong("is there twice"));
            }
        }
        taken.sort_unstable();
        if taken.windows(2).any(|pair| matches!(pair, [(_, end), (next, _)] if end > next)) {
            return Err(shared.damaged("entries overlap"));
        }
        Ok(Archive { shared, entries })
    }

    /// Where the directory of a file of `length` bytes lies.
    pub fn directory(shared: &Shared, length: u64) -> Result<Directory, Fault> {
        find_directory(shared, length)
    }

    /// One entry by the directory alone: where its data begins is not known yet.
    pub fn find(shared: &Shared, directory: &Directory, wanted: &str) -> Result<Entry, Fault> {
        let mut bytes = vec![0; usize::try_from(directory.size).unwrap_or(0)];
        shared.read_exact_at(directory.offset, &mut bytes)?;
        let mut rest = Bytes(&bytes);
        for _ in 0..directory.count {
            let (name, entry) = central(&mut rest).map_err(|why| shared.damaged(why))?;
            if name == wanted {
                return Ok(entry);
            }
        }
        Err(shared.damaged(format!("has no {wanted:?}")))
    }

    /// An archive of which only this entry is here.
    pub fn of_one(shared: Shared, directory: &Directory, name: &str, mut entry: Entry) -> Result<Archive, Fault> {
        let wrong = |why: &str| shared.damaged(format!("{name:?}: {why}"));
        entry.data = local(&shared, name, &entry, directory.offset).map_err(&wrong)?;
        Ok(Archive { entries: BTreeMap::from([(name.to_owned(), entry)]), shared })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    fn require(&self, name: &str) -> Result<&Entry, Fault> {
        self.get(name).ok_or_else(|| self.shared.damaged(format!("has no {name:?}")))
    }

    /// A stored entry's place: its data begins at this offset of the shared file.
    pub fn stored(&self, name: &str) -> Option<(u64, u64)> {
        let entry = self.get(name)?;
        (entry.method == Method::Stored && !entry.encrypted).then_some((entry.data, entry.size))
    }

    /// Feeds the content of an entry to `sink` in pieces; size and CRC are checked at its end, so nothing
    /// that `sink` did counts before this returns well.
    pub fn stream(&self, name: &str, sink: &mut dyn FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
        let entry = self.require(name)?;
        let wrong = |why: &dyn std::fmt::Display| self.shared.damaged(format!("{name:?}: {why}"));
        if entry.encrypted {
            return Err(wrong(&"is encrypted"));
        }
        let data = Window { shared: self.shared.clone(), at: entry.data, end: entry.data + entry.compressed };
        let mut crc = crc32fast::Hasher::new();
        let mut size = 0u64;
        let mut pump = |reader: &mut dyn Read| -> Result<(), Fault> {
            let mut buffer = vec![0; usize::try_from(entry.size.clamp(1, 256 << 10)).unwrap_or(1)];
            loop {
                let count = reader.read(&mut buffer).map_err(|e| wrong(&e))?;
                if count == 0 {
                    return Ok(());
                }
                size += count as u64;
                if size > entry.size {
                    return Err(wrong(&"is longer than the directory says"));
                }
                crc.update(&buffer[..count]);
                sink(&buffer[..count])?;
            }
        };
        match entry.method {
            Method::Stored => pump(&mut { data })?,
            Method::Deflated => {
                let mut whole = io::Cursor::new(header_for(entry)).chain(data);
                let mut inflated = zip::read::read_zipfile_from_stream(&mut whole)
                    .map_err(|e| wrong(&e))?
                    .ok_or_else(|| wrong(&"cannot be read"))?;
                pump(&mut inflated)?;
            }
            Method::Other(number) => return Err(wrong(&format!("is packed by method {number}"))),
        }
        if size != entry.size {
            return Err(wrong(&"is shorter than the directory says"));
        }
        if crc.finalize() != entry.crc {
            return Err(wrong(&"has a wrong CRC"));
        }
        Ok(())
    }

    /// The whole content; more than `cap` bytes are refused before anything is read.
    pub fn read(&self, name: &str, cap: u64) -> Result<Vec<u8>, Fault> {
        let size = self.require(name)?.size;
        if size > cap {
            return Err(self.shared.damaged(format!("{name:?}: {size} bytes, more than {cap}")));
        }
        let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        self.stream(name, &mut |bytes| {
            content.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(content)
    }
}
