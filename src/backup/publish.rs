//! From a work tree to a generation.
//!
//! The order is the promise: the list of digests, the verdict, the record, everything written to the medium with one
//! call for the file system, the rename, the folder written too, and last the link `latest`. Before the rename the
//! generation does not exist, after it nothing is missing.
//!
//! What the phone itself could not read may be absent: the rest is kept, and said to be partial. Any other damage
//! keeps the run out of the generations; it goes to `rejected`, where it replaces the one before.

use super::receive::FileError;
use super::vault::{DIGESTS, Desk, Generation, RECORD, Record, remove_all};
use super::verify::{Depth, Finding, Verdict, verify};
use super::work::Work;
use super::{Cancel, Received};
use crate::disk::{sync_folder, syncfs};
use crate::event::{Event, Tell};
use crate::fault::{Code, Fault};
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
        let work = desk.folder.join("work");
        let book = self.tree.book().take();
        let listed = match book {
            Some(book) => book.finish(&self.tree, &work.join(DIGESTS), cancel)?,
            None => return Err(Fault::new(Code::Internal, "a run without a list of digests")),
        };
        let verdict = verify(&work.join(desk.udid.as_str()), Depth::Quick, tell, cancel)?;
        if let Some(fault) = objection(&verdict, &received.failed) {
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
        let time = made.strftime("%Y%m%dT%H%M%SZ").to_string();
        // Two runs in one second: the later one sorts later.
        let free = |name: &String| !folder.join(name).exists();
        let name = std::iter::once(time.clone())
            .chain((2..100).map(|n| format!("{time}-{n:02}")))
            .find(free)
            .ok_or_else(|| Fault::new(Code::Internal, "a hundred backups in one second"))?;
        std::fs::rename(&work, folder.join(&name)).map_err(|e| Fault::disk(&e))?;
        sync_folder(&folder)?;
        if let Err(fault) = desk.point_latest(&name) {
            // The generation stands; only the convenience is missing.
            tell.tell(Event::Warning { text: format!("the link `latest` could not be moved: {fault}") });
        }
        remove_all(&desk.folder.join("rejected"))?;
        let generation = desk.vault.generation(&desk.udid, Some(&name))?;
        Ok((generation, verdict))
    }
}

/// Why this must not become a generation.
fn objection(verdict: &Verdict, failed: &[FileError]) -> Option<Fault> {
    let unread: HashSet<&str> = failed.iter().filter_map(|f| f.path.rsplit('/').next()).collect();
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
    let text = serde_json::to_string(first).unwrap_or_default();
    Some(Fault::new(
        Code::BackupUnverified,
        format!("the backup did not verify: {} defects, first {text}", serious.len()),
    ))
}

fn reject(desk: &Desk) -> Result<(), Fault> {
    let rejected = desk.folder.join("rejected");
    remove_all(&rejected)?;
    std::fs::rename(desk.folder.join("work"), &rejected).map_err(|e| Fault::disk(&e))
}
