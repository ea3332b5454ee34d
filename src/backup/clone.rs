//! A folder once more, in as little room as the file system allows.
//!
//! Reflinks where it has them: two files over the same blocks until one of them changes. Else hard links, where the
//! caller may have them: one file with two names, safe only for who never opens an existing file for writing. Else
//! (an exFAT stick, another disk) copies. Symbolic links are left out; a backup has none.

use super::Cancel;
use super::tree::{MAX_DEPTH, disk};
use crate::fault::{Code, Fault};
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// How files came into a clone: the least of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Reflink,
    Link,
    Copy,
}

/// May files share one inode?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    Allowed,
    Forbidden,
}

/// Clones the folder `from` to the new folder `to` (0700, files 0600 where they are new). Before the first byte is
/// copied `room` is asked.
///
/// # Errors
/// Disk faults, cancel, and of `room`.
pub(super) fn clone(
    from: &Path,
    to: &Path,
    links: Links,
    room: &mut dyn FnMut() -> Result<(), Fault>,
    cancel: &Cancel,
) -> Result<How, Fault> {
    let mut run = Run { how: How::Reflink, links, room, cancel };
    run.folder(from, to, 0)?;
    Ok(run.how)
}

struct Run<'a> {
    how: How,
    links: Links,
    room: &'a mut dyn FnMut() -> Result<(), Fault>,
    cancel: &'a Cancel,
}

impl Run<'_> {
    fn folder(&mut self, from: &Path, to: &Path, depth: usize) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::new(Code::BackupDamaged, format!("{} is nested too deep", from.display())));
        }
        DirBuilder::new().mode(0o700).create(to).map_err(|e| disk(to, e))?;
        for item in std::fs::read_dir(from).map_err(|e| disk(from, e))? {
            self.cancel.check()?;
            let item = item.map_err(|e| disk(from, e))?;
            let kind = item.file_type().map_err(|e| disk(&item.path(), e))?;
            let target = to.join(item.file_name());
            if kind.is_dir() {
                self.folder(&item.path(), &target, depth + 1)?;
            } else if kind.is_file() {
                self.file(&item.path(), &target)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, from: &Path, to: &Path) -> Result<(), Fault> {
        let failed = |e| disk(to, e);
        if self.how == How::Reflink {
            if reflink(from, to).map_err(failed)? {
                return Ok(());
            }
            // This file system has no reflinks: from here on without.
            match self.links {
                Links::Allowed => self.how = How::Link,
                Links::Forbidden => self.begin_copies()?,
            }
        }
        if self.how == How::Link {
            match std::fs::hard_link(from, to).map_err(|e| (e.kind(), e)) {
                Ok(()) => return Ok(()),
                // One file with too many names says nothing about the next.
                Err((io::ErrorKind::TooManyLinks, _)) => {}
                Err((
                    io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported | io::ErrorKind::CrossesDevices,
                    _,
                )) => self.begin_copies()?,
                Err((_, err)) => return Err(failed(err)),
            }
        }
        self.copy(from, to)
    }

    fn begin_copies(&mut self) -> Result<(), Fault> {
        self.how = How::Copy;
        (self.room)()
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<(), Fault> {
        let (mut source, mut target) =
            (File::open(from).map_err(|e| disk(from, e))?, create(to).map_err(|e| disk(to, e))?);
        loop {
            // Pieces, so that a photo library of one file does not hold up a cancel.
            self.cancel.check()?;
            let piece = &mut io::Read::take(&mut source, 64 << 20);
            if io::copy(piece, &mut target).map_err(|e| disk(to, e))? == 0 {
                break;
            }
        }
        same_time(&source, &target).map_err(|e| disk(to, e))
    }
}

fn create(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

fn same_time(source: &File, target: &File) -> io::Result<()> {
    target.set_modified(source.metadata()?.modified()?)
}

/// False where there are none; then nothing is left at `to`.
fn reflink(from: &Path, to: &Path) -> io::Result<bool> {
    let (source, target) = (File::open(from)?, create(to)?);
    if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
        same_time(&source, &target)?;
        return Ok(true);
    }
    std::fs::remove_file(to)?;
    Ok(false)
}
