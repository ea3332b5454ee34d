//! Files that are whole or absent.
//!
//! The new content goes to a temporary file in the same folder (a rename across file systems is a copy),
//! is written to the medium, renamed over the old name, and then the folder is written too: without the
//! last step the rename itself may be lost with the power. Who only needs the rename and not the medium
//! (a cache) can skip both by [`AtomicFile::quick`].
//!
//! Rights are part of the content: a pair record or journal is created 0600, never made so afterwards.

use crate::fault::Fault;
use fs_err::os::unix::fs::OpenOptionsExt;
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// What the umask leaves of 0644.
    Shared,
    /// 0600.
    Private,
}

/// A file being written; nothing of it can be seen under its name before [`AtomicFile::commit`]. Dropping
/// it leaves the old file as it was.
pub struct AtomicFile {
    temp: tempfile::NamedTempFile,
    target: PathBuf,
    durable: bool,
}

impl AtomicFile {
    /// Begins a file that will be named `target`; its folder is created when missing.
    pub fn create(target: &Path, privacy: Privacy) -> Result<AtomicFile, Fault> {
        let folder = folder_of(target);
        fs_err::create_dir_all(folder).map_err(|e| Fault::disk(&e))?;
        let mode = match privacy {
            Privacy::Shared => 0o644,
            Privacy::Private => 0o600,
        };
        let temp = tempfile::Builder::new()
            .prefix(".new-")
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(folder)
            .map_err(|e| Fault::disk(&e))?;
        Ok(AtomicFile { temp, target: target.to_owned(), durable: true })
    }

    /// Only the rename is promised, not that the content outlives a power cut.
    pub fn quick(mut self) -> AtomicFile {
        self.durable = false;
        self
    }

    /// Publishes what was written.
    pub fn commit(self) -> Result<(), Fault> {
        if self.durable {
            self.temp.as_file().sync_all().map_err(|e| named(&self.target, &e))?;
        }
        self.temp.persist(&self.target).map_err(|e| named(&self.target, &e.error))?;
        if self.durable { sync_folder(folder_of(&self.target)) } else { Ok(()) }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temp.as_file_mut().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.temp.as_file_mut().flush()
    }
}

/// Replaces `path` by `bytes`, durably.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    write_as(path, bytes, Privacy::Shared)
}

/// As [`write_atomic`], readable by this user only (0600).
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    write_as(path, bytes, Privacy::Private)
}

fn write_as(path: &Path, bytes: &[u8], privacy: Privacy) -> Result<(), Fault> {
    let mut file = AtomicFile::create(path, privacy)?;
    file.write_all(bytes).map_err(|e| named(path, &e))?;
    file.commit()
}

/// Opens a log of this user's, for lines at its end; made with its folder if it is not there.
pub fn append_private(path: &Path) -> std::io::Result<fs_err::File> {
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    let mut options = fs_err::OpenOptions::new();
    options.create(true).append(true);
    fs_err::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Writes a folder's entries (names, renames, removals) to the medium.
pub fn sync_folder(folder: &Path) -> Result<(), Fault> {
    fs_err::File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Fault::disk(&e))
}

/// Creates `folder` and its missing parents with 0700.
pub fn create_private_folder(folder: &Path) -> Result<(), Fault> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| named(folder, &e))
}

pub(super) fn private_options() -> fs_err::OpenOptions {
    let mut options = fs_err::OpenOptions::new();
    options.mode(0o600);
    options
}

pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    }
}

fn named(path: &Path, err: &io::Error) -> Fault {
    Fault::disk(&io::Error::new(err.kind(), super::at(path, err)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn names(folder: &Path) -> Vec<String> {
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn the_old_file_stays_until_the_new_one_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/file");
        write_atomic(&path, b"old").unwrap();
        let mut next = AtomicFile::create(&path, Privacy::Shared).unwrap();
        next.write_all(b"half of the n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        drop(next);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(path.parent().unwrap()), ["file"], "nothing is left behind");
        write_atomic(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn private_means_0600_even_over_a_shared_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        write_atomic(&path, b"x").unwrap();
        write_private(&path, b"y").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        create_private_folder(&dir.path().join("a/b")).unwrap();
        assert_eq!(std::fs::metadata(dir.path().join("a/b")).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn an_error_names_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("x"), b"").unwrap();
        let fault = write_atomic(&path, b"a folder is in the way").unwrap_err();
        assert!(fault.detail.contains("folder"), "{fault}");
    }
}
