//! One run's work tree, from its beginning to its end.
//!
//! It begins as a clone of the newest generation ([`super::clone`]); hard links are safe because nothing here opens an
//! existing file for writing. It is cloned under another name and renamed when complete, so that a half clone is never
//! taken for a work tree.
//!
//! After an interruption the tree stays for one more run, and only if the phone's own Status.plist says that it was
//! in the middle: then the phone goes on where it was. A tree whose status says "finished" although the run failed
//! is rubbish in `Snapshot/` around the old backup; phones choke on that, so it is thrown away and cloned again. So is
//! one that was left by a power cut: what was received last may be empty files by now, and the phone believes them.

use super::clone::{Links, clone};
use super::digests::DigestBook;
use super::plists::{self, snapshot_state};
use super::tree::{Place, WorkTree, disk};
use super::vault::{DIGESTS, Desk, RECORD, remove_all};
use super::{Cancel, InfoFacts};
use crate::disk::{create_private_folder, syncfs, write_atomic};
use crate::event::{Event, Tell};
use crate::fault::{Code, Fault};
use serde::{Deserialize, Serialize};
use std::path::Path;

const STATE: &str = "work.json";
pub(super) const BOOK: &str = "book";
/// How often an interrupted tree is gone on with.
const MAX_RESUMES: u32 = 1;

/// What is known of a work tree between two runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    pub base: Option<String>,
    pub full: bool,
    pub resumes: u32,
    /// When the first of its runs began, UTC.
    #[serde(default)]
    pub begun: Option<jiff::Timestamp>,
    /// All of it was written to the medium after its last run.
    #[serde(default)]
    pub settled: bool,
    /// The kernel's identity of this boot; empty where it has none.
    #[serde(default)]
    pub boot: String,
}

impl State {
    fn write(&self, work: &Path) -> Result<(), Fault> {
        let text = serde_json::to_vec(self).map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
        write_atomic(&work.join(STATE), &text)
    }
}

fn this_boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// A work tree in use.
pub struct Work<'d> {
    pub(super) desk: &'d Desk,
    pub(super) tree: WorkTree,
    pub(super) state: State,
}

impl<'d> Work<'d> {
    pub(super) fn begin(desk: &'d Desk, full: bool, tell: &dyn Tell, cancel: &Cancel) -> Result<Self, Fault> {
        desk.tidy()?;
        let newest = match desk.vault.generation(&desk.udid, None) {
            Ok(generation) => Some(generation),
            Err(fault) if fault.code == Code::BackupNone => None,
            Err(fault) => return Err(fault),
        };
        let work = desk.folder.join("work");
        let left = left_over(desk, &work).filter(|state| {
            state.full == full && state.base == newest.as_ref().filter(|_| !full).map(|g| g.name.clone())
        });
        let state = match left {
            Some(state) => {
                tell.tell(Event::Note { text: "going on with an interrupted backup".into() });
                State { resumes: state.resumes + 1, settled: false, boot: this_boot(), ..state }
            }
            None => {
                desk.discard(&work)?;
                let cloning = desk.folder.join("cloning");
                create_private_folder(&cloning)?;
                let base = newest.as_ref().filter(|_| !full);
                if let Some(base) = base {
                    let cloned = clone(
                        &base.folder(),
                        &cloning.join(desk.udid.as_str()),
                        Links::Allowed,
                        &mut || copies(tell),
                        cancel,
                    );
                    if let Err(fault) = cloned {
                        // On a full disk its room is wanted; what is left here the next run removes.
                        let _ = remove_all(&cloning);
                        return Err(fault);
                    }
                }
                std::fs::rename(&cloning, &work).map_err(|e| disk(&work, e))?;
                State {
                    base: base.map(|g| g.name.clone()),
                    full,
                    resumes: 0,
                    begun: Some(jiff::Timestamp::now()),
                    settled: false,
                    boot: this_boot(),
                }
            }
        };
        state.write(&work)?;
        let tree = WorkTree::open(&work, desk.udid.as_str())?;
        // In a tree that is gone on with, the base's digests are true only of what the earlier run did not touch.
        let is_clone = |g: &super::Generation| state.resumes == 0 && state.base.as_ref() == Some(&g.name);
        let digests = newest.filter(is_clone).map(|g| g.path.join(DIGESTS));
        tree.keep_book(DigestBook::open(&work.join(BOOK), digests.as_deref())?);
        Ok(Work { desk, tree, state })
    }

    pub fn tree(&self) -> &WorkTree {
        &self.tree
    }

    /// The generation it was cloned from.
    pub fn base(&self) -> Option<&str> {
        self.state.base.as_deref()
    }

    pub fn is_resumed(&self) -> bool {
        self.state.resumes > 0
    }

    /// Writes the host's own Info.plist; before or after the device's part.
    ///
    /// # Errors
    /// Disk faults.
    pub fn put_info(&self, facts: &InfoFacts) -> Result<(), Fault> {
        let path = format!("{}/Info.plist", self.desk.udid);
        let put = self.tree.make_folder(Place(self.desk.udid.as_str()));
        put.and_then(|()| self.tree.put(Place(&path), &facts.to_xml())).map_err(|e| disk(Path::new(&path), e))
    }

    /// Ends a run that failed: the tree stays if the device can go on with it, else it goes. Answers whether it stayed.
    ///
    /// # Errors
    /// Disk faults.
    pub fn give_up(self) -> Result<bool, Fault> {
        let work = self.desk.folder.join("work");
        let closed = self.tree.book().take().map_or(Ok(()), DigestBook::close);
        if let Err(err) = closed {
            // Not marked as clean, it is not believed: that costs a reading.
            tracing::info!(%err, "the journals of a failed backup");
        }
        let stays = can_resume(self.desk, &work) && self.state.resumes < MAX_RESUMES;
        if !stays {
            self.desk.discard(&work)?;
            return Ok(false);
        }
        let settled = syncfs(&work).and_then(|()| State { settled: true, ..self.state.clone() }.write(&work));
        if let Err(fault) = settled {
            // Then it is good until the next boot.
            tracing::info!(%fault, "the work tree of a failed backup");
        }
        Ok(true)
    }

    /// Removes what only a run needs, at its good end; also what a killed run had begun to write beside the tree.
    pub(super) fn strip(&self) -> Result<(), Fault> {
        let work = self.desk.folder.join("work");
        for item in std::fs::read_dir(&work).map_err(|e| disk(&work, e))? {
            let item = item.map_err(|e| disk(&work, e))?;
            let name = item.file_name();
            if [self.desk.udid.as_str(), DIGESTS, RECORD].iter().any(|kept| name == *kept) {
                continue;
            }
            match item.file_type().is_ok_and(|kind| kind.is_dir()) {
                true => remove_all(&item.path())?,
                false => std::fs::remove_file(item.path()).map_err(|e| disk(&item.path(), e))?,
            }
        }
        Ok(())
    }
}

fn left_over(desk: &Desk, work: &Path) -> Option<State> {
    let text = std::fs::read(work.join(STATE)).ok()?;
    let state: State = serde_json::from_slice(&text).ok()?;
    let sure = state.settled || (!state.boot.is_empty() && state.boot == this_boot());
    (sure && state.resumes < MAX_RESUMES && can_resume(desk, work)).then_some(state)
}

/// Does the device's own status say that it was in the middle?
fn can_resume(desk: &Desk, work: &Path) -> bool {
    let status = plists::read(&work.join(desk.udid.as_str()).join("Status.plist"));
    status.is_ok_and(|dict| matches!(snapshot_state(&dict), Some("uploading" | "moving" | "removing")))
}

fn copies(tell: &dyn Tell) -> Result<(), Fault> {
    let text = "this disk has no links between files: every backup takes its full room";
    tell.tell(Event::Warning { text: text.into() });
    Ok(())
}
