//! The disk: where things live, and how they get there whole.
//!
//! Three promises, each in a file of its own. A file that others read is either the old one or the new one,
//! never half of one (`atomic`). What is written down before a device is touched is still readable after
//! the power went (`journal`, `jobs`). Two Herstels on one machine do not work on the same thing (`lock`).
//! Folders come in as values (`folders`): this room reads no environment. What the
//! computer's own files tell is read with a cap (`root`).
//!
//! Every error names its path, because `fs_err` puts it there, and becomes a [`Fault`] by [`Fault::disk`].

mod atomic;
mod folders;
mod jobs;
mod journal;
mod lock;
pub mod root;
mod seed;

pub use atomic::{
    AtomicFile, Privacy, append_private, create_private_folder, sync_folder, write_atomic, write_private,
};
pub use folders::Folders;
pub use jobs::{JobFolder, JobId, Jobs};
pub use journal::{Journal, journal_lines, read_journal};
pub use lock::FileLock;
pub use seed::{existing as existing_seed, seed};

use crate::fault::{Code, Fault};
use std::path::Path;

/// Bytes that this user may still write to the file system of `path`, which need not exist yet: its
/// nearest existing parent is asked.
pub fn free_space(path: &Path) -> Result<u64, Fault> {
    let existing = path.ancestors().find(|p| p.exists()).unwrap_or(Path::new("."));
    let existing = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
    let stat = rustix::fs::statvfs(existing)
        .map_err(|e| Fault::disk(&std::io::Error::new(std::io::Error::from(e).kind(), at(existing, e))))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Writes everything of the file system that holds `path` to the medium: one call for many files.
pub fn syncfs(path: &Path) -> Result<(), Fault> {
    let folder = fs_err::File::open(path).map_err(|e| Fault::disk(&e))?;
    rustix::fs::syncfs(folder.file()).map_err(|e| Fault::disk(&std::io::Error::from(e)))
}

/// Fails with [`Code::DiskFull`] unless `bytes` and a margin fit where `path` is or will be.
pub fn require_space(path: &Path, bytes: u64) -> Result<(), Fault> {
    /// What is left for everybody else on the machine.
    const MARGIN: u64 = 64 << 20;
    let free = free_space(path)?;
    if free >= bytes.saturating_add(MARGIN) {
        return Ok(());
    }
    Err(Fault::new(
        Code::DiskFull,
        format!("{} has {} MB free, {} MB are needed", path.display(), free >> 20, (bytes >> 20) + (MARGIN >> 20)),
    ))
}

fn at(path: &Path, err: impl std::fmt::Display) -> String {
    format!("{}: {err}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_asked_of_the_nearest_parent_that_exists() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free_space(&dir.path().join("not/yet/there")).unwrap() > 0);
        require_space(dir.path(), 1).unwrap();
        assert_eq!(require_space(dir.path(), u64::MAX).unwrap_err().code, Code::DiskFull);
        syncfs(dir.path()).unwrap();
    }
}
