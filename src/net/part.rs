//! A file that is on its way: `<name>.part` beside `<name>.part.json`.
//!
//! Bytes are hashed with SHA-1 and SHA-256 as they are written, in order, on a thread of their own, so a
//! finished download has been read exactly once. To go on after an interruption the digests are made again
//! from what is on the disk; the network never gives a byte twice.
//!
//! How much of a part can be believed? After a crash of the process: all of it, the kernel has it. After a
//! crash of the machine: what was synced. The boot identifier in the state file tells the two apart.

use super::digests::{Digests, Running, Sums, hash_file, hex, unhex};
use super::fetch::Turn;
use super::pieces::Pieces;
use crate::disk::write_atomic;
use crate::fault::{Code, Fault};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Written to the medium each so many bytes.
const SYNC_EVERY: u64 = 256 << 20;
const MAX_STATE: u64 = 1 << 20;
const MAP: &str = ".part.map";
const MAP_ENDING: &str = "part.map";
const MAX_MAP: u64 = 1 << 20;
/// Hashed at once behind several connections.
const FOLLOW: usize = 1 << 20;

#[derive(Serialize, Deserialize, Default)]
struct Saved {
    schema: u32,
    url: String,
    etag: Option<String>,
    last_modified: Option<String>,
    size: Option<u64>,
    sha1: Option<String>,
    sha256: Option<String>,
    /// On the medium for certain: so many bytes from the beginning.
    synced: u64,
    boot: String,
    /// What of a file that comes over several connections is on the medium for certain.
    #[serde(default)]
    pieces: Option<Pieces>,
}

/// What the server said of the file that the part was begun with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Validators {
    pub etag: Option<String>,
    pub last_modified: Option<String>,
}

impl Validators {
    /// What goes into `If-Range`: a strong ETag, else the date.
    pub fn if_range(&self) -> Option<&str> {
        self.etag.as_deref().filter(|t| !t.starts_with("W/")).or(self.last_modified.as_deref())
    }

    /// Certainly another file than `other` says.
    pub fn contradict(&self, other: &Validators) -> bool {
        match (&self.etag, &other.etag) {
            (Some(a), Some(b)) => a != b,
            _ => matches!((&self.last_modified, &other.last_modified), (Some(a), Some(b)) if a != b),
        }
    }

    /// Certainly the same file, byte for byte.
    pub fn confirm(&self, other: &Validators) -> bool {
        matches!((&self.etag, &other.etag), (Some(a), Some(b)) if a == b && !a.starts_with("W/"))
    }
}

/// The part, its digests so far, and the lock that makes it ours until it is dropped.
pub(super) struct Part {
    path: PathBuf,
    state: PathBuf,
    file: fs_err::File,
    sums: Running,
    synced: u64,
    url: String,
    expected: Digests,
    pub validators: Validators,
    /// As the server said it.
    pub size: Option<u64>,
    /// Which bytes are here, when they do not come in order.
    pieces: Option<Pieces>,
    _turn: Turn,
}

/// What several connections write into.
pub(super) struct Opened {
    pub file: Arc<File>,
    pub map: Arc<File>,
    pub pieces: Pieces,
}

impl Part {
    /// Takes up what an earlier attempt left, if that was the same file, and hashes it. `watch` as in
    /// [`hash_file`].
    pub fn open(
        target: &Path,
        url: &str,
        expected: Digests,
        turn: Turn,
        watch: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Part, Fault> {
        let path = beside(target, ".part");
        let state = beside(target, ".part.json");
        let saved = read_state(&state).filter(|s| s.fits(url, &expected));
        let file = fs_err::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| Fault::disk(&e))?;
        let found = file.metadata().map_err(|e| Fault::disk(&e))?.len();
        let mut pieces = saved
            .as_ref()
            .and_then(|s| s.pieces.clone()?.checked())
            .filter(|p| saved.as_ref().is_some_and(|s| s.url == url && s.size == Some(p.size)));
        if let (Some(pieces), true) = (&mut pieces, saved.as_ref().is_some_and(Saved::is_of_this_boot)) {
            pieces.believe(&read_map(&beside(target, MAP)));
        }
        if let Some(pieces) = &mut pieces {
            pieces.clip(found);
        }
        let believed = match &saved {
            None => 0,
            Some(_) if pieces.is_some() => pieces.as_ref().map_or(0, Pieces::frontier),
            Some(s) if s.pieces.is_some() => found.min(s.synced),
            Some(s) if s.size.is_some_and(|size| found > size) => 0,
            Some(s) if s.is_of_this_boot() => found,
            Some(s) => found.min(s.synced),
        };
        let mut part = Part {
            sums: Running::default(),
            synced: saved.as_ref().map_or(0, |s| s.synced.min(believed)),
            url: url.to_owned(),
            expected,
            validators: Validators::default(),
            size: None,
            pieces,
            path,
            state,
            _turn: turn,
            file,
        };
        if let Some(saved) = saved.filter(|s| s.url == url && believed > 0) {
            part.validators = Validators { etag: saved.etag, last_modified: saved.last_modified };
            part.size = saved.size;
        }
        if believed < found && part.pieces.is_none() {
            part.file.set_len(believed).map_err(|e| Fault::disk(&e))?;
        }
        let mut buffer = vec![0; 1 << 20];
        while part.sums.size < believed {
            let most = usize::try_from(believed - part.sums.size).unwrap_or(usize::MAX).min(buffer.len());
            let space = buffer.get_mut(..most).unwrap_or_default();
            let count = part.file.read(space).map_err(|e| Fault::disk(&e))?;
            if count == 0 {
                break;
            }
            part.sums.update(&buffer[..count]);
            if !watch(part.sums.size) {
                return Err(Fault::cancelled());
            }
        }
        Ok(part)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that are here without a gap, and hashed.
    pub fn done(&self) -> u64 {
        self.sums.size
    }

    /// Bytes that are here.
    pub fn here(&self) -> u64 {
        self.pieces.as_ref().map_or(self.sums.size, Pieces::here)
    }

    /// Where the first piece ends that is not whole, in pieces of `piece` bytes.
    pub fn first_end(&self, piece: u64) -> u64 {
        let ours = self.pieces.as_ref().and_then(Pieces::first_end);
        ours.unwrap_or_else(|| (self.sums.size / piece.max(1) + 1).saturating_mul(piece.max(1)))
    }

    /// Makes it ready for several connections to write into.
    pub fn widen(&mut self, size: u64, piece: u64) -> Result<Opened, Fault> {
        let known = self.pieces.take().filter(|pieces| pieces.size == size);
        let pieces = known
            .or_else(|| Pieces::new(size, piece, self.sums.size))
            .ok_or_else(|| Fault::new(Code::DownloadFailed, format!("{}: {size} bytes are too many", self.url)))?;
        let map = self.path.with_extension(MAP_ENDING);
        let failed = |e| Fault::disk(&e);
        // The map is there before the state that points to it.
        write_atomic(&map, &pieces.to_bytes())?;
        let map = fs_err::OpenOptions::new().write(true).open(&map).map_err(failed)?;
        let file = self.file.file().try_clone().map_err(failed)?;
        self.pieces = Some(pieces.clone());
        self.save_state()?;
        Ok(Opened { file: Arc::new(file), map: Arc::new(map.into_parts().0), pieces })
    }

    /// Back to one connection: what lies behind a gap is forgotten.
    pub fn narrow(&mut self) -> Result<(), Fault> {
        if self.pieces.take().is_none() {
            return Ok(());
        }
        self.file.set_len(self.sums.size).map_err(|e| Fault::disk(&e))?;
        std::io::Seek::seek(&mut self.file, std::io::SeekFrom::Start(self.sums.size)).map_err(|e| Fault::disk(&e))?;
        self.save_state()?;
        remove(&self.path.with_extension(MAP_ENDING))
    }

    /// Hashes what was written up to byte `frontier`.
    pub fn follow(&mut self, frontier: u64) -> Result<(), Fault> {
        let mut buffer =
            vec![0; FOLLOW.min(usize::try_from(frontier.saturating_sub(self.sums.size)).unwrap_or(FOLLOW))];
        while self.sums.size < frontier {
            let want = usize::try_from(frontier - self.sums.size).unwrap_or(usize::MAX).min(buffer.len());
            let space = buffer.get_mut(..want).unwrap_or_default();
            self.file.file().read_exact_at(space, self.sums.size).map_err(|e| Fault::disk(&e))?;
            self.sums.update(space);
        }
        Ok(())
    }

    /// Everything so far to the medium, and then the word that `pieces` are there.
    pub fn save_pieces(&mut self, pieces: Pieces) -> Result<(), Fault> {
        self.follow(pieces.frontier())?;
        self.pieces = Some(pieces);
        self.save()
    }

    /// Appends; on failure the part is as it was.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if let Err(e) = self.file.write_all(bytes) {
            // What cannot be cut is cut at the next start: the state knows what was synced.
            let _ = self.file.set_len(self.sums.size);
            let _ = std::io::Seek::seek(&mut self.file, std::io::SeekFrom::Start(self.sums.size));
            return Err(Fault::disk(&e));
        }
        self.sums.update(bytes);
        if self.sums.size - self.synced >= SYNC_EVERY { self.save() } else { Ok(()) }
    }

    /// Everything so far to the medium, and the state after it.
    pub fn save(&mut self) -> Result<(), Fault> {
        self.file.sync_data().map_err(|e| Fault::disk(&e))?;
        self.synced = self.sums.size;
        self.save_state()
    }

    /// Before the first byte is written: otherwise a part has no name after a crash.
    pub fn save_state(&self) -> Result<(), Fault> {
        let saved = Saved {
            schema: 1,
            url: self.url.clone(),
            etag: self.validators.etag.clone(),
            last_modified: self.validators.last_modified.clone(),
            size: self.size,
            sha1: self.expected.sha1.map(|d| hex(&d)),
            sha256: self.expected.sha256.map(|d| hex(&d)),
            synced: self.synced,
            boot: boot(),
            pieces: self.pieces.clone(),
        };
        let text = serde_json::to_vec(&saved).map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
        write_atomic(&self.state, &text)
    }

    /// Begins anew: the file on the server is another one.
    pub fn restart(&mut self) -> Result<(), Fault> {
        self.sums = Running::default();
        self.synced = 0;
        self.validators = Validators::default();
        self.size = None;
        self.pieces = None;
        self.file.set_len(0).map_err(|e| Fault::disk(&e))?;
        std::io::Seek::seek(&mut self.file, std::io::SeekFrom::Start(0)).map_err(|e| Fault::disk(&e))?;
        self.save_state()
    }

    pub fn sums(&self) -> Sums {
        self.sums.finish()
    }

    /// Reads the part once more: was it the memory or the wire that flipped a bit?
    pub fn read_again(&mut self) -> Result<Sums, Fault> {
        let mut file = fs_err::File::open(&self.path).map_err(|e| Fault::disk(&e))?;
        hash_file(&mut file, self.sums.size, &mut |_| true)
    }

    /// Gives the part its name and forgets the state.
    pub fn publish(&mut self, target: &Path) -> Result<(), Fault> {
        self.file.sync_all().map_err(|e| Fault::disk(&e))?;
        fs_err::rename(&self.path, target).map_err(|e| Fault::disk(&e))?;
        self.forget(target)
    }

    /// Moves the part where nothing looks for firmware. The newest of a name is kept.
    pub fn quarantine(&mut self, folder: &Path) -> Result<PathBuf, Fault> {
        let moved = quarantine(&self.path, folder)?;
        self.forget(&self.path)?;
        Ok(moved)
    }

    fn forget(&self, target: &Path) -> Result<(), Fault> {
        remove(&self.state)?;
        remove(&self.path.with_extension(MAP_ENDING))?;
        crate::disk::sync_folder(target.parent().unwrap_or(Path::new(".")))
    }
}

/// Moves `path` into the folder of distrusted files and returns its new place.
pub(crate) fn quarantine(path: &Path, folder: &Path) -> Result<PathBuf, Fault> {
    fs_err::create_dir_all(folder).map_err(|e| Fault::disk(&e))?;
    let moved = folder.join(path.file_name().unwrap_or_default());
    fs_err::rename(path, &moved).map_err(|e| Fault::disk(&e))?;
    Ok(moved)
}

impl Saved {
    /// The kernel that was told to write is the one that runs now: all that was written is here.
    fn is_of_this_boot(&self) -> bool {
        !self.boot.is_empty() && self.boot == boot()
    }

    /// The same file as is wanted now? By digest when known, else by URL.
    fn fits(&self, url: &str, expected: &Digests) -> bool {
        let then = Digests { sha1: unhex(self.sha1.as_deref()), sha256: unhex(self.sha256.as_deref()) };
        if then.is_empty() && expected.is_empty() { self.url == url } else { then.agree(expected) }
    }
}

fn remove(path: &Path) -> Result<(), Fault> {
    match fs_err::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Fault::disk(&e)),
        _ => Ok(()),
    }
}

/// The map of a part; empty when there is none.
fn read_map(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    match fs_err::File::open(path).and_then(|file| file.take(MAX_MAP).read_to_end(&mut bytes)) {
        Ok(_) => bytes,
        Err(_) => Vec::new(),
    }
}

fn read_state(path: &Path) -> Option<Saved> {
    let mut bytes = Vec::new();
    fs_err::File::open(path).ok()?.take(MAX_STATE).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok().filter(|s: &Saved| s.schema == 1)
}

/// Changes with each start of the machine; empty when unknown, which trusts nothing unsynced.
fn boot() -> String {
    fs_err::read_to_string("/proc/sys/kernel/random/boot_id").map(|t| t.trim().to_owned()).unwrap_or_default()
}

pub(super) fn beside(target: &Path, ending: &str) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    target.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha1::{Digest, Sha1};
    use sha2::Sha256;

    fn open(target: &Path, expected: Digests) -> Part {
        let turn = Turn::now(target);
        Part::open(target, "http://localhost/x", expected, turn, &mut |_| true).unwrap()
    }

    fn digests(bytes: &[u8]) -> Digests {
        Digests { sha1: Some(Sha1::digest(bytes).into()), sha256: Some(Sha256::digest(bytes).into()) }
    }

    #[test]
    fn what_is_on_disk_is_hashed_again_and_believed_within_one_boot() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x.ipsw");
        let wanted = digests(b"hello world");
        let mut part = open(&target, wanted);
        part.save_state().unwrap();
        part.write(b"hello ").unwrap();
        drop(part);
        let mut part = open(&target, wanted);
        assert_eq!(part.done(), 6);
        part.write(b"world").unwrap();
        assert_eq!(wanted.denied_by(&part.sums()), None);
        part.publish(&target).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"hello world");
        assert!(!beside(&target, ".part.json").exists());
    }

    #[test]
    fn after_a_restart_of_the_machine_only_synced_bytes_count() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x.ipsw");
        let wanted = digests(b"hello world");
        let mut part = open(&target, wanted);
        part.write(b"hello").unwrap();
        part.save().unwrap();
        part.write(b" wor").unwrap();
        drop(part);
        let state = beside(&target, ".part.json");
        let text = std::fs::read_to_string(&state).unwrap().replace(&boot(), "another boot");
        std::fs::write(&state, text).unwrap();
        assert_eq!(open(&target, wanted).done(), 5);
    }

    #[test]
    fn a_part_of_another_file_is_not_taken_up() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x.ipsw");
        let mut part = open(&target, digests(b"one"));
        part.save_state().unwrap();
        part.write(b"on").unwrap();
        drop(part);
        assert_eq!(open(&target, digests(b"two")).done(), 0);
    }
}
