//! The folder that a phone works in, and the policy for its paths.
//!
//! The phone names paths and we obey, so this is where a hostile one is stopped: the first component is the UDID that
//! the tree was opened for, and nothing is empty, `.`, `..`, absolute or with a NUL. The tree holds no symbolic links
//! (it is made here and cloned without them), opens go through `openat2` that would refuse one, and all names are
//! looked up below one directory handle.
//!
//! No file that exists is ever opened for writing: a file kept by hard link is shared with older generations, so a
//! new content is always a new inode. A tree opened for restoring refuses every change.

use super::digests::DigestBook;
use super::manifest::is_file_id;
use crate::fault::{Code, Fault};
use crate::wire::devicelink::{DlCode, Entry, EntryKind, MAX_NAME};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::cell::{Cell, RefCell, RefMut};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Most rows of one listing; a real folder has 256 sub-folders, or one byte of the names of a backup.
const MAX_ROWS: usize = 1 << 20;
/// Deepest folder that is walked.
pub(super) const MAX_DEPTH: usize = 32;

pub struct WorkTree {
    root: OwnedFd,
    path: PathBuf,
    udid: String,
    writable: bool,
    resolve: Cell<bool>,
    /// Bytes that may still be written, where a limit was set.
    left: Cell<Option<u64>>,
    book: RefCell<Option<DigestBook>>,
}

/// A path that passed the policy, relative to the root.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a>(pub(super) &'a str);

impl WorkTree {
    /// A tree for receiving: the device with `udid` may change what is below `root/udid`.
    ///
    /// # Errors
    /// A disk fault when `root` is no folder.
    pub fn open(root: &Path, udid: &str) -> Result<Self, Fault> {
        Self::with(root, udid, true)
    }

    /// A tree for restoring: it is only read. `udid` names the folder, which may be another device's.
    ///
    /// # Errors
    /// A disk fault when `root` is no folder.
    pub fn open_read_only(root: &Path, udid: &str) -> Result<Self, Fault> {
        Self::with(root, udid, false)
    }

    fn with(root: &Path, udid: &str, writable: bool) -> Result<Self, Fault> {
        if udid.is_empty() || udid.contains(['/', '\0']) || udid.starts_with('.') {
            return Err(Fault::new(Code::Internal, "not a folder name for a device"));
        }
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let handle = rustix::fs::open(root, flags, Mode::empty()).map_err(|e| disk(root, e))?;
        Ok(WorkTree {
            root: handle,
            path: root.to_owned(),
            udid: udid.to_owned(),
            writable,
            resolve: Cell::new(true),
            left: Cell::new(None),
            book: RefCell::new(None),
        })
    }

    /// At most `bytes` more may be received; the device is told of the smaller of this and the disk's free space, and
    /// beyond it a write fails as on a full disk.
    pub fn limit(&self, bytes: u64) {
        self.left.set(Some(bytes));
    }

    /// Takes from the limit before a write.
    pub(super) fn spend(&self, bytes: u64) -> io::Result<()> {
        if let Some(left) = self.left.get() {
            self.left.set(Some(left.checked_sub(bytes).ok_or(Errno::NOSPC)?));
        }
        Ok(())
    }

    /// Writes down the digest of every file received from now on.
    pub(super) fn keep_book(&self, book: DigestBook) {
        *self.book.borrow_mut() = Some(book);
    }

    pub(super) fn book(&self) -> RefMut<'_, Option<DigestBook>> {
        self.book.borrow_mut()
    }

    pub fn root(&self) -> &Path {
        &self.path
    }

    pub fn udid(&self) -> &str {
        &self.udid
    }

    pub fn is_writable(&self) -> bool {
        self.writable
    }

    // -- policy --

    /// A path below the device's folder, or that folder itself when `top` allows it.
    ///
    /// # Errors
    /// [`Code::BackupHostile`].
    pub(super) fn place<'p>(&self, path: &'p str, top: bool) -> Result<Place<'p>, Fault> {
        let refuse = |why: &str| {
            let shown: String = path.chars().take(120).collect();
            Err(Fault::new(Code::BackupHostile, format!("{shown:?} {why}")))
        };
        if path.len() > MAX_NAME {
            return refuse("is longer than any path");
        }
        if path.contains('\0') {
            return refuse("has a NUL");
        }
        let trimmed = path.strip_suffix('/').unwrap_or(path);
        let mut count = 0;
        for part in trimmed.split('/') {
            match part {
                "" => return refuse("is empty or absolute, or has an empty part"),
                "." | ".." => return refuse("leads elsewhere"),
                part if count == 0 && part != self.udid => return refuse("is outside the device's folder"),
                part if part.len() > 255 => return refuse("has a part longer than any name"),
                _ => count += 1,
            }
        }
        match count {
            1 if !top => refuse("is the device's folder itself"),
            _ => Ok(Place(trimmed)),
        }
    }

    // -- reading --

    fn open_at(&self, path: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        if self.resolve.get() {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            match rustix::fs::openat2(&self.root, path, flags, mode, resolve) {
                // Kernels before 5.6, and sandboxes that do not know the call.
                Err(Errno::NOSYS | Errno::PERM) => self.resolve.set(false),
                done => return done,
            }
        }
        rustix::fs::openat(&self.root, path, flags, mode)
    }

    /// A regular file and its size in bytes.
    pub(super) fn read(&self, place: Place<'_>) -> io::Result<(File, u64)> {
        let file = File::from(self.open_at(place.0, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?);
        let meta = file.metadata()?;
        if meta.is_dir() {
            return Err(Errno::ISDIR.into());
        }
        if !meta.is_file() {
            return Err(Errno::IO.into());
        }
        Ok((file, meta.len()))
    }

    /// The rows of a folder; one that is missing has none.
    pub(super) fn list(&self, place: Place<'_>) -> io::Result<Vec<Entry>> {
        let handle = match self.open_at(place.0, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(vec![]),
            handle => handle?,
        };
        let mut rows = vec![];
        for item in rustix::fs::Dir::read_from(&handle)? {
            let item = item?;
            let Ok(name) = item.file_name().to_str() else { continue };
            if matches!(name, "." | "..") {
                continue;
            }
            if rows.len() >= MAX_ROWS {
                return Err(Errno::NOMEM.into());
            }
            let stat = rustix::fs::statat(&handle, item.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
            let kind = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => EntryKind::Directory,
                FileType::RegularFile => EntryKind::Regular,
                _ => EntryKind::Other,
            };
            let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or(0));
            let size = u64::try_from(stat.st_size).unwrap_or(0);
            rows.push(Entry { name: name.to_owned(), kind, size, modified: modified.into() });
        }
        Ok(rows)
    }

    /// Names and kinds of a folder's rows, without a look at each.
    pub(super) fn names(&self, place: Place<'_>) -> io::Result<Vec<(String, EntryKind)>> {
        let handle = self.open_at(place.0, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        let mut rows = vec![];
        for item in rustix::fs::Dir::read_from(&handle)? {
            let item = item?;
            let Ok(name) = item.file_name().to_str() else { continue };
            if matches!(name, "." | "..") {
                continue;
            }
            let kind = match item.file_type() {
                FileType::Unknown => {
                    let stat = rustix::fs::statat(&handle, item.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
                    FileType::from_raw_mode(stat.st_mode)
                }
                kind => kind,
            };
            let kind = match kind {
                FileType::Directory => EntryKind::Directory,
                FileType::RegularFile => EntryKind::Regular,
                _ => EntryKind::Other,
            };
            rows.push((name.to_owned(), kind));
        }
        Ok(rows)
    }

    // -- changing --

    fn may_change(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(Errno::ROFS.into()) }
    }

    /// A new file of a new inode. What had the name loses it; a folder does not.
    pub(super) fn create(&self, place: Place<'_>) -> io::Result<File> {
        self.may_change()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let mode = Mode::from_raw_mode(0o600);
        let mut made_parents = false;
        // Bounded: each turn removes one obstacle.
        for _ in 0..4 {
            match self.open_at(place.0, flags, mode) {
                Ok(handle) => return Ok(File::from(handle)),
                Err(Errno::EXIST) => rustix::fs::unlinkat(&self.root, place.0, AtFlags::empty())?,
                Err(Errno::NOENT) if !made_parents => {
                    made_parents = true;
                    self.make_parents(place)?;
                }
                Err(err) => return Err(err.into()),
            }
        }
        Err(Errno::EXIST.into())
    }

    fn make_parents(&self, place: Place<'_>) -> io::Result<()> {
        match place.0.rsplit_once('/') {
            Some((parent, _)) => self.make_folder(Place(parent)),
            None => Ok(()),
        }
    }

    /// A folder and its parents; one that exists is no error.
    pub(super) fn make_folder(&self, place: Place<'_>) -> io::Result<()> {
        self.may_change()?;
        let ends = place.0.match_indices('/').map(|(at, _)| at).chain([place.0.len()]);
        for end in ends {
            let Some(part) = place.0.get(..end) else { continue };
            match rustix::fs::mkdirat(&self.root, part, Mode::from_raw_mode(0o700)) {
                Ok(()) => {}
                Err(Errno::EXIST) if self.kind(part)? == FileType::Directory => {}
                Err(err) => return Err(err.into()),
            }
        }
        Ok(())
    }

    fn kind(&self, path: &str) -> Result<FileType, Errno> {
        let stat = rustix::fs::statat(&self.root, path, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileType::from_raw_mode(stat.st_mode))
    }

    /// Renames; what is at `to` is replaced, a folder wholly.
    pub(super) fn rename(&self, from: Place<'_>, to: Place<'_>) -> io::Result<()> {
        self.may_change()?;
        let rename = || rustix::fs::renameat(&self.root, from.0, &self.root, to.0);
        let mut done = rename();
        if done == Err(Errno::NOENT) {
            self.kind(from.0)?;
            self.make_parents(to)?;
            done = rename();
        }
        if matches!(done, Err(Errno::ISDIR | Errno::NOTDIR | Errno::NOTEMPTY | Errno::EXIST)) {
            self.remove(to)?;
            done = rename();
        }
        done?;
        if self.book().is_none() {
            return Ok(());
        }
        // A payload is a file by its name; half a million looks are saved by that.
        let name = to.0.rsplit_once('/').map_or(to.0, |(_, name)| name);
        if !is_file_id(name) && self.kind(to.0)? == FileType::Directory {
            return self.doubt(to, 0);
        }
        match self.book().as_mut() {
            Some(book) => book.moved(from.0, to.0),
            None => Ok(()),
        }
    }

    /// No digest below this folder is sure any more.
    fn doubt(&self, folder: Place<'_>, depth: usize) -> io::Result<()> {
        if depth > MAX_DEPTH {
            return Err(Errno::LOOP.into());
        }
        for (name, kind) in self.names(folder)? {
            let path = format!("{}/{name}", folder.0);
            match (kind, self.book().as_mut()) {
                (EntryKind::Regular, Some(book)) => book.unknown(&path)?,
                (EntryKind::Directory, _) => {}
                _ => continue,
            }
            if kind == EntryKind::Directory {
                self.doubt(Place(&path), depth + 1)?;
            }
        }
        Ok(())
    }

    /// Removes a file or a whole folder; what is missing is no error.
    pub(super) fn remove(&self, place: Place<'_>) -> io::Result<()> {
        self.may_change()?;
        match rustix::fs::unlinkat(&self.root, place.0, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            // Linux says EISDIR for a folder; POSIX allows EPERM.
            Err(Errno::ISDIR | Errno::PERM) => self.remove_folder(place.0),
            Err(err) => Err(err.into()),
        }
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        // Removes by descriptor and follows no link.
        std::fs::remove_dir_all(self.path.join(path))
    }

    /// Copies a file or a whole folder into new inodes.
    pub(super) fn copy(&self, from: Place<'_>, to: Place<'_>, depth: usize) -> io::Result<()> {
        self.may_change()?;
        if depth > MAX_DEPTH {
            return Err(Errno::LOOP.into());
        }
        let inside = to.0.strip_prefix(from.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if depth == 0 && inside {
            return Err(Errno::INVAL.into());
        }
        match self.kind(from.0)? {
            FileType::Directory => {
                self.make_folder(to)?;
                for row in self.list(from)? {
                    let (from, to) = (format!("{}/{}", from.0, row.name), format!("{}/{}", to.0, row.name));
                    self.copy(Place(&from), Place(&to), depth + 1)?;
                }
                Ok(())
            }
            FileType::RegularFile => {
                let (mut source, _) = self.read(from)?;
                let mut target = self.create(to)?;
                if rustix::fs::ioctl_ficlone(&target, &source).is_err() {
                    io::copy(&mut source, &mut target)?;
                }
                match self.book().as_mut() {
                    Some(book) => book.unknown(to.0),
                    None => Ok(()),
                }
            }
            _ => Err(Errno::IO.into()),
        }
    }

    /// A file that the host itself contributes, replaced by rename.
    pub(super) fn put(&self, place: Place<'_>, bytes: &[u8]) -> io::Result<()> {
        let beside = format!("{}.herstel-new", place.0);
        let mut file = self.create(Place(&beside))?;
        io::Write::write_all(&mut file, bytes)?;
        drop(file);
        self.rename(Place(&beside), place)?;
        match self.book().as_mut() {
            Some(book) => book.unknown(place.0),
            None => Ok(()),
        }
    }

    /// The fault of a failure of our disk.
    pub(super) fn fault(&self, err: &io::Error) -> Fault {
        disk(&self.path, io::Error::new(err.kind(), err.to_string()))
    }

    /// Bytes that may still be written.
    pub(super) fn free_space(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.root)?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        Ok(self.left.get().map_or(free, |left| left.min(free)))
    }
}

/// The code by which the device is told of a local error, and whether the local disk is to blame: then the run cannot
/// end well whatever the device says.
pub(super) fn code_of(err: &io::Error) -> (DlCode, bool) {
    match err.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) => (DlCode::NOT_FOUND, false),
        Some(Errno::EXIST | Errno::NOTEMPTY) => (DlCode::EXISTS, false),
        Some(Errno::NOTDIR) => (DlCode::NOT_DIRECTORY, false),
        Some(Errno::ISDIR) => (DlCode::IS_DIRECTORY, false),
        Some(Errno::LOOP | Errno::XDEV) => (DlCode::LOOP, false),
        Some(Errno::NOSPC | Errno::DQUOT) => (DlCode::NO_SPACE, true),
        Some(Errno::INVAL | Errno::ROFS) => (DlCode::OTHER, false),
        Some(Errno::IO) => (DlCode::IO, true),
        _ if err.kind() == io::ErrorKind::StorageFull => (DlCode::NO_SPACE, true),
        _ => (DlCode::OTHER, true),
    }
}

/// A regular file of a backup for reading: a pipe in its place would be waited for without end.
pub(super) fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::LOOP) => return Err(io::Error::new(io::ErrorKind::InvalidData, "is a link")),
        file => File::from(file?),
    };
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "is no file")),
    }
}

pub(super) fn disk(path: &Path, err: impl Into<io::Error>) -> Fault {
    let err = err.into();
    Fault::disk(&io::Error::new(err.kind(), format!("{}: {err}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::fs::{MetadataExt, symlink};

    fn tree() -> (tempfile::TempDir, WorkTree) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("U")).unwrap();
        let tree = WorkTree::open(dir.path(), "U").unwrap();
        (dir, tree)
    }

    fn put(tree: &WorkTree, path: &str, text: &str) {
        tree.create(Place(path)).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn get(tree: &WorkTree, path: &str) -> io::Result<String> {
        let mut text = String::new();
        tree.read(Place(path))?.0.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn a_new_content_is_a_new_inode_and_the_other_link_keeps_the_old_one() {
        let (dir, tree) = tree();
        let other = dir.path().join("older-generation");
        put(&tree, "U/a", "old");
        std::fs::hard_link(dir.path().join("U/a"), &other).unwrap();
        put(&tree, "U/a", "new");
        assert_eq!(std::fs::read(&other).unwrap(), b"old");
        tree.put(Place("U/a"), b"newer").unwrap();
        assert_eq!(
            (get(&tree, "U/a").unwrap().as_str(), std::fs::read(&other).unwrap().as_slice()),
            ("newer", &b"old"[..])
        );
        put(&tree, "U/deep/er/b", "x");
        tree.copy(Place("U/deep"), Place("U/copy"), 0).unwrap();
        assert_eq!(get(&tree, "U/copy/er/b").unwrap(), "x");
        let inode = |path: &str| dir.path().join(path).metadata().unwrap().ino();
        assert_ne!(inode("U/deep/er/b"), inode("U/copy/er/b"));
        assert!(tree.copy(Place("U/deep"), Place("U/deep/in/itself"), 0).is_err());
    }

    #[test]
    fn a_move_replaces_a_whole_folder_and_a_removal_takes_one() {
        let (_dir, tree) = tree();
        put(&tree, "U/Snapshot/ab/x", "new");
        put(&tree, "U/ab/y", "old");
        tree.rename(Place("U/Snapshot/ab"), Place("U/ab")).unwrap();
        assert_eq!(get(&tree, "U/ab/x").unwrap(), "new");
        assert!(get(&tree, "U/ab/y").is_err());
        put(&tree, "U/file", "f");
        tree.rename(Place("U/file"), Place("U/ab")).unwrap();
        assert_eq!(get(&tree, "U/ab").unwrap(), "f");
        put(&tree, "U/Snapshot/cd/z", "z");
        tree.remove(Place("U/Snapshot")).unwrap();
        tree.remove(Place("U/Snapshot")).unwrap();
        assert!(tree.list(Place("U/Snapshot")).unwrap().is_empty());
        assert_eq!(code_of(&tree.rename(Place("U/none"), Place("U/b")).unwrap_err()), (DlCode::NOT_FOUND, false));
        assert_eq!(code_of(&tree.create(Place("U/ab/c")).unwrap_err()).0, DlCode::NOT_DIRECTORY);
    }

    #[test]
    fn no_symbolic_link_is_followed() {
        let (dir, tree) = tree();
        let outside = dir.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("secret"), "untouched").unwrap();
        symlink(&outside, dir.path().join("U/folder")).unwrap();
        symlink(outside.join("secret"), dir.path().join("U/file")).unwrap();
        assert!(tree.read(Place("U/file")).is_err());
        assert!(tree.read(Place("U/folder/secret")).is_err());
        assert!(tree.create(Place("U/folder/new")).is_err());
        assert!(tree.list(Place("U/folder")).is_err());
        put(&tree, "U/file", "mine");
        tree.remove(Place("U/folder")).unwrap();
        assert_eq!(std::fs::read(outside.join("secret")).unwrap(), b"untouched");
        assert!(!outside.join("new").exists());
    }

    #[test]
    fn a_read_only_tree_takes_no_change() {
        let (dir, tree) = tree();
        put(&tree, "U/a", "kept");
        let tree = WorkTree::open_read_only(dir.path(), "U").unwrap();
        assert!(tree.create(Place("U/a")).is_err() && tree.remove(Place("U/a")).is_err());
        assert!(tree.rename(Place("U/a"), Place("U/b")).is_err() && tree.make_folder(Place("U/c")).is_err());
        assert_eq!(get(&tree, "U/a").unwrap(), "kept");
    }
}
