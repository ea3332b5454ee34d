//! The zip itself: the root image stored, with 64-bit sizes, the rest deflated.
//!
//! Runs of zeros are skipped on the way to the disk, so that an image of ten gigabytes takes the room of its
//! noise. The digests of the whole are taken by reading it back, as any stranger would.

use super::content::RootImage;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

const PIECE: usize = 1 << 20;
/// Zeros of at least so many bytes become holes.
const HOLE: usize = 64 << 10;
static ZEROS: [u8; HOLE] = [0; HOLE];

/// A file that leaves holes where zeros are written at its end.
struct Sparse {
    file: File,
    at: u64,
    end: u64,
}

impl Write for Sparse {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = bytes.get(..HOLE).unwrap_or(bytes);
        if piece.len() == HOLE && self.at >= self.end && piece == ZEROS {
            self.at = self.file.seek(SeekFrom::Current(HOLE as i64))?;
            return Ok(HOLE);
        }
        let count = self.file.write(piece)?;
        self.at += count as u64;
        self.end = self.end.max(self.at);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for Sparse {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.end = self.end.max(self.at);
        self.at = self.file.seek(to)?;
        Ok(self.at)
    }
}

/// Digests of a whole file, lower-case hex, and its bytes.
pub(super) struct Whole {
    pub sha1: String,
    pub sha256: String,
    pub size: u64,
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Writes the archive to `path`: the plists first, then the files in order (those of `as_they_are` not
/// packed), then the root image.
pub(super) fn write(
    path: &Path,
    plists: &[(&str, Vec<u8>)],
    files: &BTreeMap<String, Vec<u8>>,
    as_they_are: &[&str],
    root: (&str, &RootImage),
) -> io::Result<Whole> {
    let file = File::create(path)?;
    let mut zip = ZipWriter::new(BufWriter::with_capacity(PIECE, Sparse { file, at: 0, end: 0 }));
    let packed =
        SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).compression_level(Some(1));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
    let plain = files.iter().map(|(name, bytes)| (name.as_str(), bytes));
    for (name, bytes) in plists.iter().map(|(name, bytes)| (*name, bytes)).chain(plain) {
        zip.start_file(name, if as_they_are.contains(&name) { stored } else { packed })?;
        zip.write_all(bytes)?;
    }
    zip.start_file(root.0, stored)?;
    root.1.write_to(&mut zip)?;
    let sparse = zip.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    sparse.file.sync_data()?;
    whole(path)
}

pub(super) fn whole(path: &Path) -> io::Result<Whole> {
    let mut file = File::open(path)?;
    let (mut sha1, mut sha256) = (sha1::Sha1::new(), Sha256::new());
    let mut size = 0;
    let mut piece = vec![0; PIECE];
    loop {
        let count = file.read(&mut piece)?;
        let Some(bytes) = piece.get(..count).filter(|b| !b.is_empty()) else { break };
        sha1.update(bytes);
        sha256.update(bytes);
        size += count as u64;
    }
    Ok(Whole { sha1: hex(&sha1.finalize()), sha256: hex(&sha256.finalize()), size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn zeros_become_holes_and_stay_zeros() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let sparse = Sparse { file: File::create(&path).unwrap(), at: 0, end: 0 };
        let mut out = BufWriter::with_capacity(PIECE, sparse);
        out.write_all(b"begin").unwrap();
        out.write_all(&vec![0; 8 << 20]).unwrap();
        out.write_all(b"end").unwrap();
        out.seek(SeekFrom::Start(2)).unwrap();
        out.write_all(&[0; 2]).unwrap();
        out.flush().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), (8 << 20) + 8);
        assert!(bytes.starts_with(b"be\0\0n") && bytes.ends_with(b"end"));
        assert!(bytes[5..bytes.len() - 3].iter().all(|b| *b == 0));
        assert!(std::fs::metadata(&path).unwrap().blocks() * 512 < 2 << 20);
    }
}
