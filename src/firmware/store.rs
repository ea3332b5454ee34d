//! The store of IPSWs, addressed by content.
//!
//! ```text
//! firmware/<SHA-256>/<Apple's name>.ipsw    the file
//!                    record.json            digests, what it is for, and how the file looked when verified
//!                    <place>.chunks         digests for ASR of the image at this place (`chunks.rs`); may be missing
//!          incoming/                        downloads under way
//!          quarantine/                      what failed its digest; nothing here is ever used
//! ```
//! Names are Apple's and for people; Apple uses one name for different files in different builds, so the
//! folder is the digest. A verified file is believed as long as size, time of change and inode are those of
//! its record, and hashed again when one of them differs or when asked to. What then fails is moved to quarantine.
//!
//! A file that a person adds is linked when it lies on the same file system, else copied: ten gigabytes
//! are not written twice without need, and a later change of the original is noticed by its record.

use super::ipsw::Ipsw;
use crate::disk::{require_space, sync_folder, write_atomic};
use crate::fault::{Code, Fault};
use crate::ids::{BuildId, ProductType, Version};
use crate::net::{Digests, Sums, hash_file, hex, quarantine, unhex};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const RECORD: &str = "record.json";
const MAX_RECORD: u64 = 256 << 10;
const CHUNKS: &str = "chunks";

/// Where something about the file at `path` can be kept; none when the file is not in a store.
pub(super) fn beside(path: &Path, name: &str) -> Option<PathBuf> {
    path.with_file_name(RECORD).is_file().then(|| path.with_file_name(name))
}

/// How a file looked when its digests were right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looks {
    pub size: u64,
    /// Nanoseconds since 1970.
    pub modified: i128,
    pub inode: u64,
}

impl Looks {
    fn of(path: &Path) -> Result<Looks, Fault> {
        let meta = fs_err::metadata(path).map_err(|e| Fault::disk(&e))?;
        let modified = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
        Ok(Looks { size: meta.len(), modified, inode: meta.ino() })
    }
}

/// What is known of a file in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub schema: u32,
    pub name: String,
    /// Lower-case hex.
    pub sha1: String,
    pub sha256: String,
    pub build: Option<BuildId>,
    pub version: Option<Version>,
    pub products: Vec<ProductType>,
    /// Where it came from; none for a file that a person added.
    pub url: Option<String>,
    pub added: Timestamp,
    pub verified: Timestamp,
    pub looks: Looks,
}

/// A file in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stored {
    pub path: PathBuf,
    pub record: Record,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Hash it only when it does not look as it did when it was verified.
    IfChanged,
    Always,
}

#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Creates nothing until something is stored.
    pub fn new(root: &Path) -> Store {
        Store { root: root.to_owned() }
    }

    pub fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    pub fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    /// Every file with a readable record, newest build first. Folders without one are passed over.
    pub fn list(&self) -> Result<Vec<Stored>, Fault> {
        let folders = match fs_err::read_dir(&self.root) {
            Ok(folders) => folders,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Fault::disk(&e)),
        };
        let mut all = Vec::new();
        for folder in folders {
            let folder = folder.map_err(|e| Fault::disk(&e))?;
            let named = folder.file_name().to_str().and_then(|n| unhex::<32>(Some(n))).is_some();
            all.extend(named.then(|| read(&folder.path())).flatten());
        }
        all.sort_by(|a, b| b.record.build.cmp(&a.record.build).then_with(|| a.record.name.cmp(&b.record.name)));
        Ok(all)
    }

    /// The file with these digests: every one that is given must fit, and one must be given.
    pub fn find(&self, digests: &Digests) -> Result<Option<Stored>, Fault> {
        let fits = |said: &str, wanted: Option<&[u8]>| wanted.is_none_or(|d| hex(d) == said);
        let found = match &digests.sha256 {
            Some(sha256) => read(&self.root.join(hex(sha256))),
            None if digests.sha1.is_none() => None,
            None => self.list()?.into_iter().find(|s| fits(&s.record.sha1, digests.sha1.as_ref().map(|d| &d[..]))),
        };
        Ok(found.filter(|s| fits(&s.record.sha1, digests.sha1.as_ref().map(|d| &d[..]))))
    }

    /// Is the file still what its record says? Otherwise it goes to quarantine and this is
    /// [`Code::FirmwareDigest`]. `watch` as in [`hash_file`].
    pub fn check(&self, stored: Stored, how: Check, watch: &mut dyn FnMut(u64) -> bool) -> Result<Stored, Fault> {
        let looks = Looks::of(&stored.path)?;
        if how == Check::IfChanged && looks == stored.record.looks {
            return Ok(stored);
        }
        let mut file = fs_err::File::open(&stored.path).map_err(|e| Fault::disk(&e))?;
        let sums = hash_file(&mut file, looks.size, watch)?;
        if hex(&sums.sha256) != stored.record.sha256 || hex(&sums.sha1) != stored.record.sha1 {
            let moved = self.put_away(&stored)?;
            return Err(Fault::new(
                Code::FirmwareDigest,
                format!("{} is no longer what was stored; kept as {}", stored.record.name, moved.display()),
            ));
        }
        let record = Record { verified: Timestamp::now(), looks, ..stored.record };
        let stored = Stored { record, path: stored.path };
        write(&stored)?;
        Ok(stored)
    }

    /// Takes over a verified file by renaming it into the store; it must lie on the same file system.
    pub fn adopt(&self, file: &Path, name: &str, sums: &Sums, url: Option<&str>) -> Result<Stored, Fault> {
        let (folder, path) = self.place(name, sums)?;
        fs_err::rename(file, &path).map_err(|e| Fault::disk(&e))?;
        sync_folder(&folder)?;
        self.enter(path, sums, url)
    }

    /// Adds a file that a person brought: hashed, and opened to see what it is. One that is already there
    /// is not stored twice. [`Code::FirmwareDamaged`] when it is no IPSW.
    pub fn add(&self, file: &Path, watch: &mut dyn FnMut(u64) -> bool) -> Result<Stored, Fault> {
        contents(file)?;
        let mut opened = fs_err::File::open(file).map_err(|e| Fault::disk(&e))?;
        let length = opened.metadata().map_err(|e| Fault::disk(&e))?.len();
        let sums = hash_file(&mut opened, length, watch)?;
        if let Some(there) = self.find(&Digests { sha1: Some(sums.sha1), sha256: Some(sums.sha256) })? {
            return self.check(there, Check::IfChanged, watch);
        }
        let name = file.file_name().and_then(|n| n.to_str()).unwrap_or("firmware.ipsw");
        let (folder, path) = self.place(name, &sums)?;
        let temporary = folder.join(".new");
        remove_if_there(&temporary)?;
        let real = fs_err::canonicalize(file).map_err(|e| Fault::disk(&e))?;
        if fs_err::hard_link(&real, &temporary).is_err() {
            require_space(&folder, length)?;
            fs_err::copy(&real, &temporary).map_err(|e| Fault::disk(&e))?;
            let mut copied = fs_err::File::open(&temporary).map_err(|e| Fault::disk(&e))?;
            copied.sync_all().map_err(|e| Fault::disk(&e))?;
            let again = hash_file(&mut copied, length, watch)?;
            if again != sums {
                remove_if_there(&temporary)?;
                return Err(Fault::new(
                    Code::FirmwareDigest,
                    format!("{}: changed while it was copied", file.display()),
                ));
            }
        }
        fs_err::rename(&temporary, &path).map_err(|e| Fault::disk(&e))?;
        sync_folder(&folder)?;
        self.enter(path, &sums, None)
    }

    /// Removes a file from the store.
    pub fn remove(&self, stored: &Stored) -> Result<(), Fault> {
        remove_if_there(&stored.path)?;
        self.forget(stored)
    }

    fn place(&self, name: &str, sums: &Sums) -> Result<(PathBuf, PathBuf), Fault> {
        let folder = self.root.join(hex(&sums.sha256));
        fs_err::create_dir_all(&folder).map_err(|e| Fault::disk(&e))?;
        sync_folder(&self.root)?;
        // The same content under another name keeps the name it has.
        let known = read(&folder).map(|there| there.record.name);
        let path = folder.join(known.unwrap_or_else(|| plain_name(name)));
        Ok((folder, path))
    }

    fn enter(&self, path: PathBuf, sums: &Sums, url: Option<&str>) -> Result<Stored, Fault> {
        let now = Timestamp::now();
        let (build, version, products) = contents(&path)?;
        let record = Record {
            schema: 1,
            name: path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned(),
            sha1: hex(&sums.sha1),
            sha256: hex(&sums.sha256),
            build,
            version,
            products,
            url: url.map(str::to_owned),
            added: now,
            verified: now,
            looks: Looks::of(&path)?,
        };
        let stored = Stored { path, record };
        write(&stored)?;
        Ok(stored)
    }

    fn put_away(&self, stored: &Stored) -> Result<PathBuf, Fault> {
        let moved = quarantine(&stored.path, &self.quarantine())?;
        self.forget(stored)?;
        Ok(moved)
    }

    fn forget(&self, stored: &Stored) -> Result<(), Fault> {
        let Some(folder) = stored.path.parent() else { return Ok(()) };
        remove_if_there(&folder.join(RECORD))?;
        for there in fs_err::read_dir(folder).into_iter().flatten().flatten() {
            if there.path().extension().is_some_and(|e| e == CHUNKS) {
                remove_if_there(&there.path())?;
            }
        }
        // What else lies there is not ours to remove.
        let _ = fs_err::remove_dir(folder);
        Ok(())
    }
}

/// Build, version and product types, by the manifest or its older twin.
#[allow(clippy::type_complexity, reason = "three facts that are used once")]
fn contents(path: &Path) -> Result<(Option<BuildId>, Option<Version>, Vec<ProductType>), Fault> {
    let ipsw = Ipsw::open(path)?;
    if ipsw.entry("BuildManifest.plist").is_some() {
        let manifest = ipsw.build_manifest()?;
        return Ok((Some(manifest.build.clone()), manifest.version.clone(), manifest.supported_products.clone()));
    }
    let restore = ipsw.restore_plist()?;
    let mut products = restore.supported_products;
    if products.is_empty() {
        products.extend(restore.product);
    }
    Ok((restore.build, restore.version, products))
}

/// A name without folders that ends in `.ipsw` and is not the record's.
fn plain_name(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or_default();
    let clean: String =
        last.chars().map(|c| if c.is_ascii_alphanumeric() || "._,-+ ()".contains(c) { c } else { '_' }).collect();
    let clean = clean.trim_start_matches('.').trim();
    let clean: String = clean.strip_suffix(".ipsw").unwrap_or(clean).chars().take(200).collect();
    if clean.is_empty() { "firmware.ipsw".to_owned() } else { format!("{clean}.ipsw") }
}

fn remove_if_there(path: &Path) -> Result<(), Fault> {
    match fs_err::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Fault::disk(&e)),
        _ => Ok(()),
    }
}

fn write(stored: &Stored) -> Result<(), Fault> {
    let text = serde_json::to_vec_pretty(&stored.record).map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    write_atomic(&stored.path.with_file_name(RECORD), &text)
}

/// None when the folder has no sound record or no file.
fn read(folder: &Path) -> Option<Stored> {
    let mut bytes = Vec::new();
    fs_err::File::open(folder.join(RECORD)).ok()?.take(MAX_RECORD).read_to_end(&mut bytes).ok()?;
    let record: Record = serde_json::from_slice(&bytes).ok()?;
    let sound = record.schema == 1
        && folder.file_name().and_then(|n| n.to_str()) == Some(record.sha256.as_str())
        && plain_name(&record.name) == record.name;
    let path = folder.join(&record.name);
    (sound && path.is_file()).then_some(Stored { path, record })
}
