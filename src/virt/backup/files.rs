//! What a virtual phone holds: files by domain and relative path, as a backup names them.
//!
//! One ordered map under one mutex, with entries behind `Arc`, so that a backup works on a snapshot
//! (as the real agent does on an APFS snapshot) while the person goes on using the phone. Entries carry
//! what an MBFile carries. Times of change never repeat, so an incremental backup finds every change
//! without reading contents. A few files belong to the system and not to the person: they are what is
//! left after an erase, and the digest of the person's data leaves them out.

use super::content::{Content, Look, Made, Spill, mix};
use super::furnish;
use super::intake::Intake;
use crate::ids::Ecid;
use crate::virt::spec::PhoneSpec;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// The part of the media folder that AFC shows and no backup carries.
pub(super) const UNSAVED_MEDIA: &str = "";
/// The folder of crash reports, which no backup carries either.
pub(super) const CRASHES: &str = "\u{0}crashes";

fn is_saved(domain: &str) -> bool {
    domain != UNSAVED_MEDIA && domain != CRASHES
}

/// When the furnishing of every phone began: 2025-01-01.
const BORN: i64 = 1_735_689_600;

#[derive(Clone, Debug)]
pub enum Kind {
    Directory,
    File(Content),
    /// A symbolic link and its target.
    Link(String),
}

/// One file, directory or link with the attributes that a backup keeps. Times are seconds since 1970.
#[derive(Clone, Debug)]
pub struct Entry {
    pub kind: Kind,
    /// With the type bits, e.g. `0o100644`.
    pub mode: u32,
    pub user: i64,
    pub group: i64,
    pub protection: u8,
    pub inode: u64,
    pub birth: i64,
    pub modified: i64,
    /// Last status change: unique per change on this phone.
    pub changed: i64,
    pub(super) digest: OnceLock<[u8; 20]>,
}

impl Entry {
    pub fn size(&self) -> u64 {
        match &self.kind {
            Kind::File(content) => content.size(),
            _ => 0,
        }
    }

    /// SHA-1 of the contents, worked out once.
    pub fn sha1(&self) -> io::Result<[u8; 20]> {
        if let Some(known) = self.digest.get() {
            return Ok(*known);
        }
        let fresh = match &self.kind {
            Kind::File(content) => content.sha1()?,
            _ => [0; 20],
        };
        Ok(*self.digest.get_or_init(|| fresh))
    }

    /// Says which contents these are: made ones by their seed, others by their digest.
    pub(super) fn mark(&self) -> io::Result<u64> {
        Ok(match &self.kind {
            Kind::File(Content::Made(made)) => mix(made.seed, made.size),
            Kind::File(_) => self.sha1()?.first_chunk::<8>().map_or(0, |b| u64::from_le_bytes(*b)),
            _ => 0,
        })
    }
}

/// One line of [`PhoneFiles::list`].
#[derive(Clone, Debug)]
pub struct Listed {
    pub domain: Arc<str>,
    pub path: Arc<str>,
    pub entry: Arc<Entry>,
}

/// Files by domain, then by path.
pub(super) type Tree = BTreeMap<Arc<str>, BTreeMap<Arc<str>, Arc<Entry>>>;

#[derive(Default)]
struct Inner {
    tree: Tree,
    inodes: u64,
    last_change: i64,
    /// While the phone is furnished its clock is its own, so that the same spec always makes the same phone.
    furnished: bool,
    /// Contents that backups handed out: (file id, mark). Survives an erase: it is the bench's memory.
    handed_out: HashSet<([u8; 20], u64)>,
    ids_handed_out: HashSet<[u8; 20]>,
    /// AFC locks by path.
    locks: HashMap<String, Lock>,
}

#[derive(Default)]
struct Lock {
    exclusive: Option<u64>,
    shared: Vec<u64>,
}

/// The person's data and all else that a backup carries.
pub struct PhoneFiles {
    seed: u64,
    pub(super) spill: Spill,
    inner: Mutex<Inner>,
}

impl PhoneFiles {
    pub fn new(spec: &PhoneSpec, ecid: Ecid) -> Self {
        let files =
            PhoneFiles { seed: mix(ecid.0, 0x6261_636B_7570), spill: Spill::default(), inner: Mutex::default() };
        {
            let mut inner = files.inner();
            inner.inodes = 1000;
            inner.last_change = BORN;
        }
        furnish::fresh_system(&files);
        furnish::person(&files, spec);
        files.inner().furnished = true;
        files
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that any backup carries, sorted by domain and path.
    pub fn list(&self) -> Vec<Listed> {
        self.list_for(false)
    }

    /// Everything that a backup carries; an encrypted one carries secrets too.
    pub(super) fn list_for(&self, encrypted: bool) -> Vec<Listed> {
        let mut all = self.list_all();
        all.retain(|listed| encrypted || !furnish::is_secret(&listed.domain, &listed.path));
        all
    }

    fn list_all(&self) -> Vec<Listed> {
        let inner = self.inner();
        let saved = inner.tree.iter().filter(|(domain, _)| is_saved(domain));
        saved
            .flat_map(|(domain, paths)| {
                paths.iter().map(|(path, entry)| Listed {
                    domain: Arc::clone(domain),
                    path: Arc::clone(path),
                    entry: Arc::clone(entry),
                })
            })
            .collect()
    }

    pub fn get(&self, domain: &str, path: &str) -> Option<Arc<Entry>> {
        self.inner().tree.get(domain)?.get(path).cloned()
    }

    /// Adds or replaces a file with these bytes; missing parent directories are made.
    ///
    /// # Errors
    /// Only when large contents cannot be written to the temporary file.
    pub fn put(&self, domain: &str, path: &str, bytes: Vec<u8>) -> io::Result<()> {
        let content = self.spill.keep(bytes)?;
        self.set(domain, path, Kind::File(content));
        Ok(())
    }

    /// Adds or replaces a file with `size` made bytes, different at each call.
    pub fn put_made(&self, domain: &str, path: &str, size: u64) {
        let look = if path.ends_with(".JPG") { Look::Jpeg } else { Look::Plain };
        let age = self.get(domain, path).map_or(0, |old| old.inode);
        let name = furnish::file_id(domain, path);
        let name = name.first_chunk::<8>().map_or(0, |b| u64::from_le_bytes(*b));
        let seed = mix(mix(self.seed, name), age);
        let made = Made { look, seed, size };
        self.set(domain, path, Kind::File(made.into_content()));
    }

    pub fn make_directory(&self, domain: &str, path: &str) {
        self.set(domain, path, Kind::Directory);
    }

    pub fn put_link(&self, domain: &str, path: &str, target: &str) {
        self.set(domain, path, Kind::Link(target.to_owned()));
    }

    /// Removes a file, or a directory with all that is in it; false when there was none.
    pub fn remove(&self, domain: &str, path: &str) -> bool {
        let mut inner = self.inner();
        let Some(paths) = inner.tree.get_mut(domain) else { return false };
        let below = format!("{path}/");
        let before = paths.len();
        paths.retain(|p, _| &**p != path && !p.starts_with(&below));
        paths.len() < before
    }

    /// Moves a file or directory within a domain, replacing what is there; false when there is none.
    pub fn rename(&self, domain: &str, from: &str, to: &str) -> bool {
        if from == to {
            return self.get(domain, from).is_some();
        }
        let (below_from, below_to) = (format!("{from}/"), format!("{to}/"));
        let mut inner = self.inner();
        let Some(paths) = inner.tree.get_mut(domain) else { return false };
        if !paths.contains_key(from) || to.starts_with(&below_from) {
            return false;
        }
        paths.retain(|p, _| &**p != to && !p.starts_with(&below_to));
        let moved: Vec<Arc<str>> =
            paths.keys().filter(|p| &***p == from || p.starts_with(&below_from)).cloned().collect();
        for old in moved {
            if let Some(entry) = paths.remove(&old) {
                paths.insert(format!("{to}{}", &old[from.len()..]).into(), entry);
            }
        }
        true
    }

    /// Erases all content and settings: what is left is a fresh system's few files.
    pub fn erase(&self) {
        {
            let mut inner = self.inner();
            inner.tree.clear();
            inner.locks.clear();
        }
        furnish::fresh_system(self);
    }

    /// Files (not directories, not links) that are the person's.
    pub fn user_file_count(&self) -> usize {
        self.list().iter().filter(|l| is_users(l) && matches!(l.entry.kind, Kind::File(_))).count()
    }

    /// Bytes in the person's files.
    pub fn user_bytes(&self) -> u64 {
        self.list().iter().filter(|l| is_users(l)).map(|l| l.entry.size()).sum()
    }

    /// SHA-256, in hex, over domain, path, link target and contents of all that is the person's and that any backup
    /// carries, sorted. Directories and times do not count. Reads every byte.
    pub fn digest_of_user_data(&self) -> String {
        digest(self.list().iter().filter(|l| is_users(l)))
    }

    /// The same over what only encrypted backups carry.
    pub fn digest_of_secrets(&self) -> String {
        digest(self.list_all().iter().filter(|l| furnish::is_secret(&l.domain, &l.path)))
    }

    pub(super) fn set(&self, domain: &str, path: &str, kind: Kind) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
        let mut inner = self.inner();
        let now = if inner.furnished { now } else { 0 };
        inner.last_change = now.max(inner.last_change + 1);
        let at = inner.last_change;
        inner.grow(domain, path, at);
        inner.insert(domain, path, kind, at);
    }

    /// Takes over a whole entry, as a restore does, and gives it a place on this phone's disk.
    pub(super) fn adopt(&self, domain: &str, path: &str, mut entry: Entry) {
        let mut inner = self.inner();
        inner.inodes += 1;
        entry.inode = inner.inodes;
        inner.last_change = inner.last_change.max(entry.changed);
        inner.grow(domain, path, entry.changed);
        inner.tree.entry(domain.into()).or_default().insert(path.into(), Arc::new(entry));
    }

    /// Removes everything that backups carry for which `keep` says no.
    pub(super) fn retain(&self, mut keep: impl FnMut(&str, &str) -> bool) {
        for (domain, paths) in self.inner().tree.iter_mut().filter(|(domain, _)| is_saved(domain)) {
            paths.retain(|path, _| keep(domain, path));
        }
    }

    pub(super) fn intake(&self, expected: u64, with_sha1: bool) -> Intake<'_> {
        Intake::new(&self.spill, expected, with_sha1)
    }

    /// Names directly inside a directory, sorted.
    pub(super) fn names_in(&self, domain: &str, directory: &str) -> Vec<String> {
        let below = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let inner = self.inner();
        let Some(paths) = inner.tree.get(domain) else { return Vec::new() };
        let inside = paths.keys().filter_map(|p| p.strip_prefix(below.as_str()));
        inside.filter(|rest| !rest.is_empty() && !rest.contains('/')).map(str::to_owned).collect()
    }

    // -- what backups handed out --

    pub(super) fn remember_handed_out(&self, all: impl IntoIterator<Item = ([u8; 20], u64)>) {
        let mut inner = self.inner();
        for (id, mark) in all {
            inner.ids_handed_out.insert(id);
            inner.handed_out.insert((id, mark));
        }
    }

    /// Did some backup of this bench hand out these contents under this id? None: the id is not known here.
    pub(super) fn was_handed_out(&self, id: &[u8; 20], mark: u64) -> Option<bool> {
        let inner = self.inner();
        inner.ids_handed_out.contains(id).then(|| inner.handed_out.contains(&(*id, mark)))
    }

    // -- AFC locks --

    /// Locks a path for `owner`; false when somebody else's lock is in the way.
    pub(super) fn try_lock(&self, path: &str, owner: u64, exclusive: bool) -> bool {
        let mut inner = self.inner();
        let lock = inner.locks.entry(path.to_owned()).or_default();
        let others_shared = lock.shared.iter().any(|o| *o != owner);
        let others_exclusive = lock.exclusive.is_some_and(|o| o != owner);
        if others_exclusive || (exclusive && others_shared) {
            return false;
        }
        lock.shared.retain(|o| *o != owner);
        lock.exclusive = exclusive.then_some(owner);
        if !exclusive {
            lock.shared.push(owner);
        }
        true
    }

    pub(super) fn unlock(&self, path: &str, owner: u64) {
        let mut inner = self.inner();
        if let Some(lock) = inner.locks.get_mut(path) {
            lock.shared.retain(|o| *o != owner);
            lock.exclusive = lock.exclusive.filter(|o| *o != owner);
        }
    }
}

impl Inner {
    /// Makes the directories above a path, with the domain's root.
    fn grow(&mut self, domain: &str, path: &str, at: i64) {
        if path.is_empty() {
            return;
        }
        let parents = std::iter::once("").chain(path.match_indices('/').map(|(i, _)| &path[..i]));
        for parent in parents {
            if self.tree.get(domain).is_none_or(|paths| !paths.contains_key(parent)) {
                self.insert(domain, parent, Kind::Directory, at);
            }
        }
    }

    fn insert(&mut self, domain: &str, path: &str, kind: Kind, at: i64) {
        self.inodes += 1;
        let (user, group) = furnish::owner(domain);
        let (mode, protection) = match &kind {
            Kind::Directory => (0o040_755, 0),
            Kind::File(_) => (0o100_644, if domain.starts_with("AppDomain") { 3 } else { 4 }),
            Kind::Link(_) => (0o120_755, 0),
        };
        let paths = self.tree.entry(domain.into()).or_default();
        let birth = paths.get(path).map_or(at, |old| old.birth);
        let entry = Entry {
            kind,
            mode,
            user,
            group,
            protection,
            inode: self.inodes,
            birth,
            modified: at,
            changed: at,
            digest: OnceLock::new(),
        };
        paths.insert(path.into(), Arc::new(entry));
    }
}

fn digest<'a>(listed: impl Iterator<Item = &'a Listed>) -> String {
    let mut sha = Sha256::new();
    for listed in listed {
        let header = |kind: &str| format!("{kind}\0{}\0{}\0{}\0", listed.domain, listed.path, listed.entry.size());
        match &listed.entry.kind {
            Kind::Directory => {}
            Kind::Link(target) => sha.update(format!("{}{target}\0", header("link"))),
            Kind::File(content) => {
                sha.update(header("file"));
                if let Err(err) = content.each_piece(|piece| sha.update(piece)) {
                    sha.update(format!("unreadable: {err}"));
                }
            }
        }
    }
    furnish::hex(&sha.finalize())
}

fn is_users(listed: &Listed) -> bool {
    !furnish::is_systems(&listed.domain, &listed.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> PhoneFiles {
        PhoneFiles::new(&PhoneSpec { photos: 3, photo_bytes: 100_000, small_files: 5, ..PhoneSpec::default() }, Ecid(7))
    }

    #[test]
    fn the_same_spec_makes_the_same_data_and_every_change_shows() {
        let (a, b) = (files(), files());
        let start = a.digest_of_user_data();
        assert_eq!(start, b.digest_of_user_data());
        b.put_made("CameraRollDomain", "Media/DCIM/100APPLE/IMG_0001.JPG", 100_000);
        assert_ne!(start, b.digest_of_user_data());
        let (count, bytes) = (a.user_file_count(), a.user_bytes());
        assert!(count >= 8 && bytes >= 320_480, "{count} {bytes}");
        a.put("HomeDomain", "Library/Notes/a/b.txt", b"text".to_vec()).unwrap();
        assert_eq!((a.user_file_count(), a.user_bytes()), (count + 1, bytes + 4));
        assert!(matches!(a.get("HomeDomain", "Library/Notes/a").unwrap().kind, Kind::Directory));
        assert!(a.remove("HomeDomain", "Library/Notes/a") && !a.remove("HomeDomain", "Library/Notes/a"));
        assert_eq!(start, a.digest_of_user_data());
    }

    #[test]
    fn an_erase_leaves_a_fresh_system() {
        let a = files();
        a.erase();
        assert_eq!(a.user_file_count(), 0);
        assert!(!a.list().is_empty());
        assert_eq!(a.digest_of_user_data(), furnish::hex(&Sha256::digest(b"")));
    }

    #[test]
    fn changes_never_share_a_time() {
        let a = files();
        let change = |a: &PhoneFiles| {
            a.put("HomeDomain", "Library/x", b"same".to_vec()).unwrap();
            a.get("HomeDomain", "Library/x").unwrap().changed
        };
        assert!(change(&a) < change(&a));
    }

    #[test]
    fn directories_are_renamed_with_what_is_in_them() {
        let a = files();
        a.put("MediaDomain", "a/b/c", b"1".to_vec()).unwrap();
        a.put("MediaDomain", "z/old", b"2".to_vec()).unwrap();
        assert!(a.rename("MediaDomain", "a/b", "z"));
        assert!(a.get("MediaDomain", "z/c").is_some() && a.get("MediaDomain", "z/old").is_none());
        assert!(!a.rename("MediaDomain", "z", "z/inside"));
        assert_eq!(a.names_in("MediaDomain", "z"), ["c"]);
    }

    #[test]
    fn locks_conflict_between_owners() {
        let a = files();
        assert!(a.try_lock("/x", 1, false) && a.try_lock("/x", 2, false));
        assert!(!a.try_lock("/x", 1, true));
        a.unlock("/x", 2);
        assert!(a.try_lock("/x", 1, true) && !a.try_lock("/x", 2, false));
        a.unlock("/x", 1);
        assert!(a.try_lock("/x", 2, true));
    }
}
