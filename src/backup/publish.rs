//! From a work tree to a generation.
//!
//! The order is the promise: the list of digests, the verdict, the record, everything written to the medium with one
//! call for the file system, the rename, the folder written too, and last the link `latest`. Before the rename the
//! generation does not exist, after it nothing is missing.
//!
//! A payload of another size than the manifest says is judged by what came over the cable, in this run or when the base
//! was made: a file that changed while the phone read it is as good as it gets, one that nobody saw coming is damage.
//!
//! What the phone itself could not read may be absent: the rest is kept, and said to be partial. Any other damage
//! keeps the run out of the generations; it goes to `rejected`, where it replaces the one before.

use super::finding::{Finding, Verdict};
use super::receive::FileError;
use super::tree::disk;
use super::vault::{DIGESTS, Desk, Generation, RECORD, Record, next_name, remove_all};
use super::verify::{Looked, look};
use super::work::Work;
use super::{Cancel, Received};
use crate::disk::{sync_folder, syncfs};
use crate::event::{Event, Tell};
use crate::fault::{Code, Fault};
use crate::say::{self, Lang};
use std::collections::HashSet;

impl Work<'_> {
    /// Verifies the tree and makes it the newest generation. The verdict tells what is partial or could not be checked.
    ///
    /// # Errors
    /// [`Code::BackupUnverified`] when it did not verify, disk
    /// faults and cancel. The older generations are untouched in every case.
    pub fn publish(
        self,
        received: &Received,
        tell: &dyn Tell,
        cancel: &Cancel,
    ) -> Result<(Generation, Verdict), Fault> {
        let desk = self.desk;
        let published = self.try_publish(received, tell, cancel);
        if published.is_err() {
            // The device has finished, so nobody can go on with it; on a full disk its room is wanted.
            if let Err(other) = desk.discard(&desk.folder.join("work")) {
                tell.tell(Event::Warning { text: format!("the work tree was not put away: {other}") });
            }
        }
        published
    }

    fn try_publish(
        self,
        received: &Received,
        tell: &dyn Tell,
        cancel: &Cancel,
    ) -> Result<(Generation, Verdict), Fault> {
        let desk = self.desk;
        let work = desk.folder.join("work");
        let Looked { mut verdict, mut suspects, .. } = look(&work.join(desk.udid.as_str()), false, None, tell, cancel)?;
        // What the device gave up in the middle is short, whatever came of it.
        suspects.retain(|path, _| !received.failed.iter().any(|f| name_of(&f.path) == name_of(path)));
        let mut vouched = |path: &str, size| {
            if let Some(at) = suspects.get(path) {
                verdict.as_received(*at, size);
            }
        };
        let book = self.tree.book().take();
        let listed = match book {
            Some(book) => book.finish(&self.tree, &work.join(DIGESTS), &mut vouched, cancel)?,
            None => return Err(Fault::new(Code::Internal, "a run without a list of digests")),
        };
        if let Some(fault) = objection(&verdict, &received.failed, received.failed_count) {
            drop(self);
            reject(desk)?;
            return Err(fault);
        }
        let sealed = verdict.findings.iter().any(|f| matches!(f, Finding::Sealed | Finding::OldManifest));
        let made = jiff::Timestamp::now();
        let record = Record {
            schema: 1,
            udid: desk.udid.to_string(),
            made,
            base: self.state.base.clone(),
            full: self.state.full,
            resumed: self.is_resumed(),
            begun: self.state.begun,
            received_files: received.files,
            received_bytes: received.bytes,
            files: verdict.files,
            bytes: verdict.bytes,
            stored_files: listed.files,
            stored_bytes: listed.bytes,
            sealed,
            failed: received.failed.clone(),
            failed_count: received.failed_count,
        };
        Desk::write_record(&work.join(RECORD), &record)?;
        syncfs(&work)?;
        self.strip()?;

        let folder = desk.folder.join("generations");
        let newest = desk.vault.generations(&desk.udid)?.pop();
        let name = next_name(newest.as_ref().map(|newest| newest.name.as_str()), made);
        // A rename onto an empty folder would succeed.
        if folder.join(&name).symlink_metadata().is_ok() {
            return Err(Fault::new(Code::DiskError, format!("{} is in the way", folder.join(&name).display())));
        }
        std::fs::rename(&work, folder.join(&name)).map_err(|e| disk(&folder, e))?;
        // From here on the generation stands; only convenience can be missing.
        for done in [sync_folder(&folder), desk.point_latest(&name), remove_all(&desk.folder.join("rejected"))] {
            if let Err(fault) = done {
                tell.tell(Event::Warning { text: format!("after the backup was published: {fault}") });
            }
        }
        let generation = desk.vault.generation(&desk.udid, Some(&name))?;
        Ok((generation, verdict))
    }
}

/// Why this must not become a generation. `count` files could not be read by the device; of the first thousand, in
/// `failed`, the names are known.
pub(super) fn objection(verdict: &Verdict, failed: &[FileError], count: u64) -> Option<Fault> {
    let unread: HashSet<&str> = failed.iter().map(|f| name_of(&f.path)).collect();
    let excused = |finding: &&Finding| match finding {
        Finding::PayloadAbsent { file_id, .. } | Finding::PayloadSize { file_id, .. } => {
            unread.contains(file_id.as_str())
        }
        _ => false,
    };
    if verdict.more > 0 {
        return Some(Fault::new(Code::BackupUnverified, "the backup has more than ten thousand defects"));
    }
    let serious: Vec<&Finding> = verdict.damage().filter(|f| !excused(f)).collect();
    let first = serious.first()?;
    // A dying phone: so many more could not be read as are missing, and nothing else is wrong.
    let unnamed = count.saturating_sub(failed.len() as u64);
    if serious.len() as u64 <= unnamed && serious.iter().all(|f| matches!(f, Finding::PayloadAbsent { .. })) {
        return None;
    }
    let text = say::found(Lang::En, &first.words());
    let others = if serious.len() > 1 { format!(", and {} more defects", serious.len() - 1) } else { String::new() };
    Some(Fault::new(Code::BackupUnverified, format!("{text} ({}){others}", first.tag())))
}

fn name_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn reject(desk: &Desk) -> Result<(), Fault> {
    let rejected = desk.folder.join("rejected");
    remove_all(&rejected)?;
    std::fs::rename(desk.folder.join("work"), &rejected).map_err(|e| Fault::disk(&e))
}
