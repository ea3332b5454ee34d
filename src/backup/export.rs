//! A whole generation outside of the vault: a folder named by the UDID, as iTunes and libimobiledevice lay it out.
//!
//! `idevicebackup2 restore` takes it from there, and may also back up into it. That program opens existing files for
//! writing, so the files must be its own: reflinks or copies. Hard links cost no room and are there for who asks for
//! them and only reads. The copy is made under another name, compared with the digests of the generation, and
//! renamed; nothing that exists is replaced.

use super::Cancel;
use super::clone::{How, Links, clone};
use super::finding::Verdict;
use super::hold::Hold;
use super::publish::objection;
use super::tree::disk;
use super::vault::{Generation, remove_all};
use super::verify::{Depth, verify};
use crate::disk::{create_private_folder, require_space, sync_folder, syncfs};
use crate::event::Tell;
use crate::fault::{Code, Fault};
use rustix::fs::{CWD, RenameFlags};
use std::path::{Path, PathBuf};

/// A copy that stands and was verified.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The folder named by the UDID.
    pub path: PathBuf,
    pub how: How,
    pub verdict: Verdict,
}

/// Copies the backup of `generation` into `to`, which is created when missing; there it is named by its UDID.
/// `links` allows hard links, by which a writer outside would change the vault.
///
/// # Errors
/// [`Code::DiskError`] when something has that name already, [`Code::BackupDamaged`] when the copy is not what was
/// received, [`Code::DiskFull`] before a copy that cannot fit, [`Code::Locked`] while another export to the same
/// place runs, disk faults and cancel. Nothing of a failed one stays.
pub fn export(
    generation: &Generation,
    to: &Path,
    links: bool,
    tell: &dyn Tell,
    cancel: &Cancel,
) -> Result<Exported, Fault> {
    let udid = generation.udid.as_str();
    let target = to.join(udid);
    let exists = || Fault::new(Code::DiskError, format!("{} exists; nothing is replaced", target.display()));
    if target.symlink_metadata().is_ok() {
        return Err(exists());
    }
    // The digests name their files below the UDID, so the copy has that name already inside its folder.
    let part = to.join(format!(".herstel-export-{udid}"));
    create_private_folder(&part)?;
    let held = Hold::alone(&part)?;
    let _alone = held.ok_or_else(|| Fault::new(Code::Locked, format!("{} is being written", part.display())))?;
    let inner = part.join(udid);
    let made = (|| {
        remove_all(&inner)?;
        let allowed = if links { Links::Allowed } else { Links::Forbidden };
        let room = &mut || match &generation.record {
            Some(record) => require_space(to, record.stored_bytes),
            None => Ok(()),
        };
        let how = clone(&generation.folder(), &inner, allowed, room, cancel)?;
        let digests = generation.digests();
        let verdict = verify(&inner, Depth::Deep(&digests), tell, cancel)?;
        let record = generation.record.as_ref();
        let (failed, count) = record.map(|record| (record.failed.as_slice(), record.failed_count)).unwrap_or_default();
        if let Some(fault) = objection(&verdict, failed, count) {
            return Err(Fault { code: Code::BackupDamaged, ..fault });
        }
        syncfs(&part)?;
        match rustix::fs::renameat_with(CWD, &inner, CWD, &target, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST | rustix::io::Errno::NOTEMPTY) => return Err(exists()),
            // File systems that cannot promise it; the look above has to do.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                std::fs::rename(&inner, &target).map_err(|e| disk(&target, e))?;
            }
            Err(err) => return Err(disk(&target, err)),
        }
        sync_folder(to)?;
        Ok(Exported { path: target.clone(), how, verdict })
    })();
    let removed = remove_all(&part);
    let exported = made?;
    removed?;
    Ok(exported)
}
