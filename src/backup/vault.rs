//! The vault: generations of backups, per device.
//!
//! ```text
//! <vault>/<UDID>/lock                        held by the run that works on this device
//! <vault>/<UDID>/latest                  ->  generations/20261122T101500Z, for people and scripts
//! <vault>/<UDID>/generations/<time>/<UDID>/  the backup, as `idevicebackup2` lays it out
//! <vault>/<UDID>/generations/<time>/digests.tsv, generation.json
//! <vault>/<UDID>/generations/<time>/checked.json  what later looks at it found, a note for people
//! <vault>/<UDID>/work/                       the run in progress, or what an interruption left
//! <vault>/<UDID>/rejected/                   the last run that did not verify, for looking at
//! <vault>/<UDID>/cloning/, trash-*/          what a cut left of a beginning or a removal; the next run removes it
//! ```
//!
//! A folder under `generations` got there by a rename after it was verified, so its presence is the proof; the link
//! `latest` is moved afterwards, is not read back, and is put right by the next run when a cut came between.
//! Generations share unchanged files by reflink or hard link, so they may be removed in any order, and none may be
//! written into.
//!
//! Two locks, both the kernel's: a run holds the device's `lock` alone; who reads a generation shares a lock on its
//! folder with other readers, and only what nobody reads is removed.

use super::Cancel;
use super::hold::Hold;
use super::plists::{self, Summary};
use super::receive::FileError;
use super::tree::{disk, open_file};
use super::work::Work;
use crate::disk::{FileLock, create_private_folder, sync_folder, write_atomic};
use crate::event::Tell;
use crate::fault::{Code, Fault};
use crate::ids::Udid;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) const DIGESTS: &str = "digests.tsv";
pub(super) const RECORD: &str = "generation.json";
/// Largest record that is read.
const MAX_RECORD: u64 = 4 << 20;
const TRASH: &str = "trash-";
/// How the time of a generation is written in its name.
const TIME: &str = "%Y%m%dT%H%M%SZ";
const TIME_LENGTH: usize = 16;

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
    /// When the run began that made it, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<jiff::Timestamp>,
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

/// One published backup. One that was asked for by [`Vault::generation`] is held: while the value or a clone of it
/// lives, no process removes the generation.
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
    hold: Option<Arc<Hold>>,
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

    pub(super) fn read(path: PathBuf, name: String, udid: &Udid) -> Self {
        let record = read_record(&path.join(RECORD));
        let summary = Summary::read(&path.join(udid.as_str()));
        Generation { name, path, udid: udid.clone(), record, summary, hold: None }
    }

    /// When it was made: by its record, or else its name.
    pub fn made(&self) -> Option<jiff::Timestamp> {
        self.record.as_ref().map(|record| record.made).or_else(|| time_of(&self.name))
    }

    /// Does this value hold it? Not on a file system without locks.
    pub fn is_held(&self) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.is_real())
    }
}

fn read_record(path: &Path) -> Option<Record> {
    use io::Read;
    let mut text = String::new();
    open_file(path).ok()?.take(MAX_RECORD).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// The time that a generation is named by. A number may follow: once, runs in one second were told apart by it.
fn time_of(name: &str) -> Option<jiff::Timestamp> {
    let (time, rest) = name.split_at_checked(TIME_LENGTH)?;
    if !rest.is_empty() && !rest.strip_prefix('-').is_some_and(|n| n.len() == 2 && n.parse::<u8>().is_ok()) {
        return None;
    }
    let time = jiff::civil::DateTime::strptime(TIME, time).ok()?;
    time.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|time| time.timestamp())
}

/// Is this the name of a generation?
fn is_time(name: &str) -> bool {
    time_of(name).is_some()
}

/// The name of a generation made now, later than `newest` even in the same second or after the clock was set back: the
/// order of the names is the order of the generations.
pub(super) fn next_name(newest: Option<&str>, now: jiff::Timestamp) -> String {
    let second = jiff::SignedDuration::from_secs(1);
    let after = newest.and_then(time_of).and_then(|newest| newest.checked_add(second).ok());
    after.map_or(now, |after| after.max(now)).strftime(TIME).to_string()
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
        let none = || {
            let which = name.map_or_else(|| "backup".to_owned(), |name| format!("backup {name:?}"));
            Fault::new(Code::BackupNone, format!("{} holds no {which} of {udid}", self.root.display()))
        };
        let found = all.pop().ok_or_else(none)?;
        let path = folder.join(&found);
        // Removed between the two looks: it is not there.
        let hold = Hold::share(&path)?.ok_or_else(none)?;
        Ok(Generation { hold: Some(Arc::new(hold)), ..Generation::read(path, found, udid) })
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

    /// Removes what a cut left of a clone or a removal, and points `latest` at the newest generation if a cut came
    /// before that.
    ///
    /// # Errors
    /// Disk faults.
    pub(super) fn tidy(&self) -> Result<(), Fault> {
        remove_all(&self.folder.join("cloning"))?;
        for name in names(&self.folder)?.iter().filter(|name| name.starts_with(TRASH) || *name == "trash") {
            remove_all(&self.folder.join(name))?;
        }
        let generations = names(&self.folder.join("generations"))?;
        match generations.into_iter().rfind(|name| is_time(name)) {
            Some(newest) if !self.is_latest(&newest) => {
                // A convenience; a disk that is too full for it can still be pruned.
                if let Err(fault) = self.point_latest(&newest) {
                    tracing::info!(%fault, "the link `latest`");
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Removes a folder of this device's part: out of sight by one rename, so that nothing half removed looks whole.
    pub(super) fn discard(&self, path: &Path) -> Result<(), Fault> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("nameless");
        let trash = self.folder.join(format!("{TRASH}{name}"));
        remove_all(&trash)?;
        match std::fs::rename(path, &trash) {
            Ok(()) => {}
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(err) => return Err(disk(path, err)),
        }
        if let Some(parent) = path.parent() {
            // The rename reaches the medium before any file is missing.
            sync_folder(parent)?;
        }
        remove_all(&trash)
    }

    fn is_latest(&self, name: &str) -> bool {
        std::fs::read_link(self.folder.join("latest")).is_ok_and(|to| to == Path::new("generations").join(name))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_grow_whatever_the_clock_does() {
        let now: jiff::Timestamp = "2026-11-22T10:15:00.7Z".parse().unwrap();
        assert_eq!(next_name(None, now), "20261122T101500Z");
        assert_eq!(next_name(Some("20261122T101459Z"), now), "20261122T101500Z");
        assert_eq!(next_name(Some("20261122T101500Z"), now), "20261122T101501Z");
        assert_eq!(next_name(Some("20990101T000000Z-07"), now), "20990101T000001Z");
        for odd in ["20261122T101500", "20261399T101500Z", "20261122T101500Z-x1", "20261122T101500Z.part", "work"] {
            assert!(!is_time(odd), "{odd}");
        }
    }
}
