//! One at a time, across processes.
//!
//! A lock is a file held by the kernel (`flock`), so it ends with the process however that dies, and two
//! opens in one process exclude each other too. The file itself stays: removing it while somebody waits
//! would make two locks of one. It holds the process id of the holder, only for the text of an error.

use super::atomic::{create_private_folder, folder_of, private_options};
use crate::fault::{Code, Fault};
use std::fs::TryLockError;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Held until dropped.
#[derive(Debug)]
pub struct FileLock {
    file: fs_err::File,
}

impl FileLock {
    /// Takes the lock or fails with [`Code::Locked`]; never waits.
    pub fn take(path: &Path) -> Result<FileLock, Fault> {
        FileLock::attempt(path)?.ok_or_else(|| {
            let who = holder(path).map_or(String::new(), |pid| format!(" by process {pid}"));
            Fault::new(Code::Locked, format!("{} is held{who}", path.display()))
        })
    }

    /// Takes the lock, or none when another holds it.
    pub fn attempt(path: &Path) -> Result<Option<FileLock>, Fault> {
        if !folder_of(path).exists() {
            create_private_folder(folder_of(path))?;
        }
        let mut file = private_options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|e| Fault::disk(&e))?;
        match file.file().try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(Fault::disk(&e)),
        }
        // Only for people; a full disk must not cost the lock.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Some(FileLock { file }))
    }

    pub fn path(&self) -> PathBuf {
        self.file.path().to_owned()
    }
}

impl Drop for FileLock {
    /// Closing is not enough: a process that is just being started has the file too, until it becomes another program.
    fn drop(&mut self) {
        let _ = self.file.file().unlock();
    }
}

fn holder(path: &Path) -> Option<u32> {
    let mut text = String::new();
    fs_err::File::open(path).ok()?.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("locks/device.lock");
        let first = FileLock::take(&path).unwrap();
        assert_eq!(first.path(), path);
        let fault = FileLock::take(&path).unwrap_err();
        assert_eq!(fault.code, Code::Locked);
        assert!(fault.detail.contains(&std::process::id().to_string()), "{fault}");
        drop(first);
        FileLock::take(&path).unwrap();
    }
}
