//! The vault: generations of backups, per device.
//!
//! ```text
//! <vault>/<UDID>/lock                        held by the run that works on this device
//! <vault>/<UDID>/latest                  ->  generations/20261122T101500Z, for people and scripts
//! <vault>/<UDID>/generations/<time>/<UDID>/  the backup: `idevicebackup2 restore generations/<time>` works
//! <vault>/<UDID>/generations/<time>/digests.tsv, generation.json
//! <vault>/<UDID>/work/                       the run in progress, or what an interruption left
//! <vault>/<UDID>/rejected/                   the last run that did not verify, for looking at
//! ```
//!
//! A folder under `generations` got there by a rename after it was verified, so its presence is the proof; the link
//! `latest` is moved afterwards and is not read back. Generations share unchanged files by reflink or hard link, so
//! they may be removed in any order, and none may be written into.

use super::Cancel;
use super::plists::{self, Summary};
use super::receive::FileError;
use super::tree::disk;
use super::work::Work;
use crate::disk::{FileLock, create_private_folder, sync_folder, write_atomic};
use crate::event::Tell;
use crate::fault::{Code, Fault};
use crate::ids::Udid;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

pub(super) const DIGESTS: &str = "digests.tsv";
pub(super) const RECORD: &str = "generation.json";
/// Largest record that is read.
const MAX_RECORD: u64 = 4 << 20;

/// Where all backups of this person are.
#[derive(Clone, Debug)]
pub struct Vault {
    root: PathBuf,
}

/// How a generation came to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub schema: u32,
    pub udid: String,
    /// When it was published, UTC.
    pub made: jiff::Timestamp,
    /// The generation it was cloned from; none for a first or full one.
    pub base: Option<String>,
    /// A full backup was asked for.
    pub full: bool,
    /// It went on from an interrupted run.
    pub resumed: bool,
    /// What came over the cable.
    pub received_files: u64,
    pub received_bytes: u64,
    /// Payloads in the manifest that are there, and their bytes; zero where the manifest is sealed.
    pub files: u64,
    pub bytes: u64,
    /// All files of the folder, and their bytes.
    pub stored_files: u64,
    pub stored_bytes: u64,
    /// The manifest is encrypted, so that nothing could be counted in it.
    pub sealed: bool,
    /// Files that the device could not read: the first thousand, and how many in all.
    pub failed: Vec<FileError>,
    pub failed_count: u64,
}

/// One published backup.
#[derive(Clone, Debug)]
pub struct Generation {
    /// Its time, e.g. `20261122T101500Z`; sorts by age.
    pub name: String,
    /// The folder that other tools take as backup directory; it holds one folder named by the UDID.
    pub path: PathBuf,
    pub udid: Udid,
    /// None where the record was lost.
    pub record: Option<Record>,
    pub summary: Summary,
}

impl Generation {
    /// The backup itself: Status.plist, Manifest.db and the payloads.
    pub fn folder(&self) -> PathBuf {
        self.path.join(self.udid.as_str())
    }

    /// The digests of all its files.
    pub fn digests(&self) -> PathBuf {
        self.path.join(DIGESTS)
    }

    /// The apps that a restore has to ask for (`Applications` of Info.plist); none where the host wrote none.
    pub fn applications(&self) -> Option<plist::Dictionary> {
        let mut info = plists::read(&self.folder().join("Info.plist")).ok()?;
        info.remove("Applications")?.into_dictionary().filter(|apps| !apps.is_empty())
    }

    fn read(path: PathBuf, name: String, udid: &Udid) -> Self {
        let record = read_record(&path.join(RECORD));
        let summary = Summary::read(&path.join(udid.as_str()));
        Generation { name, path, udid: udid.clone(), record, summary }
    }
}

fn read_record(path: &Path) -> Option<Record> {
    use io::Read;
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(MAX_RECORD).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Is this the name of a generation?
fn is_time(name: &str) -> bool {
    name.len() >= 16 && name.starts_with(|c: char| c.is_ascii_digit()) && !name.contains('/')
}

fn names(folder: &Path) -> Result<Vec<String>, Fault> {
    let items = match std::fs::read_dir(folder) {
        Ok(items) => items,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(err) => return Err(disk(folder, err)),
    };
    let mut names = vec![];
    for item in items {
        let item = item.map_err(|e| disk(folder, e))?;
        if item.file_type().is_ok_and(|kind| kind.is_dir()) {
            names.extend(item.file_name().into_string());
        }
    }
    names.sort_unstable();
    Ok(names)
}

impl Vault {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Vault { root: root.into() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    fn device(&self, udid: &Udid) -> PathBuf {
        self.root.join(udid.as_str())
    }

    /// The devices that have generations here.
    ///
    /// # Errors
    /// Disk faults.
    pub fn devices(&self) -> Result<Vec<Udid>, Fault> {
        let all = names(&self.root)?;
        let mut devices: Vec<Udid> = all.iter().filter_map(|name| name.parse().ok()).collect();
        devices.retain(|udid| names(&self.device(udid).join("generations")).is_ok_and(|g| !g.is_empty()));
        Ok(devices)
    }

    /// The generations of a device, oldest first.
    ///
    /// # Errors
    /// Disk faults.
    pub fn generations(&self, udid: &Udid) -> Result<Vec<Generation>, Fault> {
        let folder = self.device(udid).join("generations");
        let all = names(&folder)?.into_iter().filter(|name| is_time(name));
        Ok(all.map(|name| Generation::read(folder.join(&name), name, udid)).collect())
    }

    /// One generation by its name, or the newest.
    ///
    /// # Errors
    /// [`Code::BackupNone`].
    pub fn generation(&self, udid: &Udid, name: Option<&str>) -> Result<Generation, Fault> {
        let folder = self.device(udid).join("generations");
        let mut all = names(&folder)?;
        all.retain(|each| is_time(each) && name.is_none_or(|name| each == name));
        match all.pop() {
            Some(name) => Ok(Generation::read(folder.join(&name), name, udid)),
            None => {
                let which = name.map_or_else(|| "a backup".to_owned(), |name| format!("a backup {name:?}"));
                Err(Fault::new(Code::BackupNone, format!("{} holds no {which} of {udid}", self.root.display())))
            }
        }
    }

    /// Takes the device's part of the vault for one run.
    ///
    /// # Errors
    /// [`Code::Locked`] while another run has it, disk faults.
    pub fn take(&self, udid: &Udid) -> Result<Desk, Fault> {
        let folder = self.device(udid);
        create_private_folder(&folder.join("generations"))?;
        let lock = FileLock::take(&folder.join("lock"))?;
        Ok(Desk { vault: self.clone(), folder, udid: udid.clone(), _lock: lock })
    }
}

/// A device's part of the vault, held by one run.
#[derive(Debug)]
pub struct Desk {
    pub(super) vault: Vault,
    pub(super) folder: PathBuf,
    pub(super) udid: Udid,
    _lock: FileLock,
}

impl Desk {
    pub fn udid(&self) -> &Udid {
        &self.udid
    }

    /// A work tree: what an interruption left if the device can go on with it, else a clone of the newest generation,
    /// else (or with `full`) an empty one.
    ///
    /// # Errors
    /// Disk faults, cancel.
    pub fn begin(&self, full: bool, tell: &dyn Tell, cancel: &Cancel) -> Result<Work<'_>, Fault> {
        Work::begin(self, full, tell, cancel)
    }

    /// Keeps the newest `keep` generations (at least one) and removes the others; their names.
    ///
    /// # Errors
    /// Disk faults.
    pub fn prune(&self, keep: usize) -> Result<Vec<String>, Fault> {
        let folder = self.folder.join("generations");
        let mut all: Vec<String> = names(&folder)?.into_iter().filter(|name| is_time(name)).collect();
        all.truncate(all.len().saturating_sub(keep.max(1)));
        for name in &all {
            // Out of sight by one rename, so that nothing half removed looks like a generation.
            self.discard(&folder.join(name))?;
        }
        Ok(all)
    }

    /// Removes a folder of this device's part.
    pub(super) fn discard(&self, path: &Path) -> Result<(), Fault> {
        let trash = self.folder.join("trash");
        remove_all(&trash)?;
        match std::fs::rename(path, &trash) {
            Ok(()) => remove_all(&trash),
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(err) => Err(disk(path, err)),
        }
    }

    /// Points `latest` at a generation.
    pub(super) fn point_latest(&self, name: &str) -> Result<(), Fault> {
        let (link, beside) = (self.folder.join("latest"), self.folder.join("latest.new"));
        match std::fs::remove_file(&beside) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(disk(&beside, err)),
            _ => {}
        }
        std::os::unix::fs::symlink(Path::new("generations").join(name), &beside).map_err(|e| disk(&beside, e))?;
        std::fs::rename(&beside, &link).map_err(|e| disk(&link, e))?;
        sync_folder(&self.folder)
    }

    /// Writes a record.
    pub(super) fn write_record(path: &Path, record: &Record) -> Result<(), Fault> {
        let text = serde_json::to_vec_pretty(record).map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
        write_atomic(path, &text)
    }
}

pub(super) fn remove_all(path: &Path) -> Result<(), Fault> {
    match std::fs::remove_dir_all(path) {
        Err(err) if err.kind() != io::ErrorKind::NotFound => Err(disk(path, err)),
        _ => Ok(()),
    }
}
