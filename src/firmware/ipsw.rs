//! An IPSW, open.
//!
//! One open file and one index, shared by everybody who restores from it: cloning is cheap, reading is by
//! position and takes no lock. Nothing is extracted. The manifest is parsed when first asked for and kept.

use super::archive::{Archive, Entry, Shared};
use super::unpacked::Unpacked;
use crate::fault::{Code, Fault};
use crate::wire::WireError;
use crate::wire::manifest::{BuildManifest, MAX_MANIFEST, RestorePlist};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// Everything but root images and cryptexes is smaller.
const MAX_COMPONENT: u64 = 1 << 30;

#[derive(Clone, Debug)]
pub struct Ipsw {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    archive: Archive,
    manifest: OnceLock<Arc<BuildManifest>>,
}

/// The bytes of an entry that is stored as it is, by position.
#[derive(Clone, Debug)]
pub struct StoredEntry {
    pub(super) shared: Shared,
    pub(super) start: u64,
    pub size: u64,
}

impl StoredEntry {
    /// Fills as much of `buffer` as the entry has from `offset` on and gives the count; 0 at its end.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Fault> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        if count > 0 {
            self.shared.read_exact_at(self.start + offset, &mut buffer[..count])?;
        }
        Ok(count)
    }
}

impl Ipsw {
    /// Opens and indexes; reads no content. [`Code::FirmwareDamaged`] when it is no sound zip.
    pub fn open(path: &Path) -> Result<Ipsw, Fault> {
        Ok(Ipsw { inner: Arc::new(Inner { archive: Archive::open(path)?, manifest: OnceLock::new() }) })
    }

    pub fn path(&self) -> &Path {
        &self.inner.archive.shared.path
    }

    /// Of the open file, whatever its name means by now.
    pub(super) fn metadata(&self) -> Result<std::fs::Metadata, Fault> {
        self.inner.archive.shared.metadata()
    }

    /// Names of all files, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.inner.archive.names()
    }

    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.inner.archive.get(name)
    }

    /// The whole of an entry, at most `cap` bytes, with its CRC checked.
    pub fn read(&self, name: &str, cap: u64) -> Result<Vec<u8>, Fault> {
        self.inner.archive.read(name, cap)
    }

    /// The file of a component (at most 1 GiB): everything but root images and cryptexes.
    pub fn component(&self, path: &str) -> Result<Vec<u8>, Fault> {
        self.read(path, MAX_COMPONENT)
    }

    /// The content of an entry in pieces; see [`super::verify_components`] for a user. Only when this
    /// returns well were size and CRC right.
    pub fn stream(&self, name: &str, sink: &mut dyn FnMut(&[u8]) -> Result<(), Fault>) -> Result<(), Fault> {
        self.inner.archive.stream(name, sink)
    }

    /// An entry that lies in the file as it is; none when it is packed or not there.
    pub fn stored(&self, name: &str) -> Option<StoredEntry> {
        let (start, size) = self.inner.archive.stored(name)?;
        Some(StoredEntry { shared: self.inner.archive.shared.clone(), start, size })
    }

    /// The length of an entry and its content as a stream that is pulled; errors of the content come as errors
    /// of the stream.
    pub fn reader(&self, name: &str) -> Result<(u64, Unpacked), Fault> {
        let missing = || Fault::new(Code::FirmwareDamaged, format!("{}: has no {name:?}", self.path().display()));
        let size = self.entry(name).ok_or_else(missing)?.size;
        Ok((size, Unpacked::new(self, name)))
    }

    /// `BuildManifest.plist`, parsed once.
    pub fn build_manifest(&self) -> Result<Arc<BuildManifest>, Fault> {
        if let Some(manifest) = self.inner.manifest.get() {
            return Ok(manifest.clone());
        }
        let bytes = self.read("BuildManifest.plist", MAX_MANIFEST as u64)?;
        let manifest = Arc::new(BuildManifest::parse(&bytes).map_err(|e| self.wrong("BuildManifest.plist", &e))?);
        Ok(self.inner.manifest.get_or_init(|| manifest).clone())
    }

    /// `Restore.plist`, the older twin; files before manifests have only this.
    pub fn restore_plist(&self) -> Result<RestorePlist, Fault> {
        let bytes = self.read("Restore.plist", 4 << 20)?;
        RestorePlist::parse(&bytes).map_err(|e| self.wrong("Restore.plist", &e))
    }

    fn wrong(&self, name: &str, why: &WireError) -> Fault {
        Fault::new(Code::FirmwareDamaged, format!("{}: {name}: {why}", self.path().display()))
    }
}
