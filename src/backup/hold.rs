//! Who reads a generation holds it.
//!
//! The lock is the kernel's (`flock`) and lies on the generation's own folder, so nothing is written into it, it
//! outlives no process, and it goes along when the folder is renamed. Readers share it; who wants to remove the
//! folder takes it alone, or leaves the folder be. A file system without locks has no readers that could be seen.

use super::tree::disk;
use crate::fault::Fault;
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

/// Half a second in all.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// Held until dropped.
#[derive(Debug)]
pub(super) struct Hold(Option<File>);

impl Hold {
    /// Shares the folder with other readers; none when it is gone or being removed. Whoever only looks whether it is
    /// read has it alone for a moment, which is waited for.
    pub(super) fn share(folder: &Path) -> Result<Option<Hold>, Fault> {
        for _ in 0..TRIES {
            match Self::take(folder, File::try_lock_shared)? {
                None if folder.symlink_metadata().is_ok() => std::thread::sleep(PAUSE),
                done => return Ok(done),
            }
        }
        Ok(None)
    }

    /// Takes the folder alone; none when somebody reads it or it is gone.
    pub(super) fn alone(folder: &Path) -> Result<Option<Hold>, Fault> {
        Self::take(folder, File::try_lock)
    }

    fn take(folder: &Path, lock: fn(&File) -> Result<(), TryLockError>) -> Result<Option<Hold>, Fault> {
        let file = match File::open(folder) {
            Ok(file) => file,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(disk(folder, err)),
        };
        match lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(err)) => {
                tracing::debug!(%err, "no locks on folders here");
                return Ok(Some(Hold(None)));
            }
        }
        // Renamed away between the opening and the lock?
        Ok(is_at(&file, folder).then_some(Hold(Some(file))))
    }

    /// Is there a lock, on this file system?
    pub(super) fn is_real(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for Hold {
    /// Closing is not enough: a process that is just being started has the file too, until it becomes another program.
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            let _ = file.unlock();
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(open), Ok(there)) = (file.metadata(), path.symlink_metadata()) else { return false };
    (open.dev(), open.ino()) == (there.dev(), there.ino())
}
