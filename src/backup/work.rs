//! One run's work tree, from its beginning to its end.
//!
//! It begins as a clone of the newest generation: reflinks where the file system has them, else hard links, which is
//! safe because nothing here opens an existing file for writing. Neither costs room; a file system with neither (an
//! exFAT stick) gets copies. It is cloned under another name and renamed when complete, so that a half clone is never
//! taken for a work tree.
//!
//! After an interruption the tree stays for one more run, and only if the phone's own Status.plist says that it was
//! in the middle: then the phone goes on where it was. A tree whose status says "finished" although the run failed
//! is rubbish in `Snapshot/` around the old backup; phones choke on that, so it is thrown away and cloned again.

use super::digests::DigestBook;
use super::plists::{self, snapshot_state};
use super::tree::{MAX_DEPTH, Place, WorkTree, disk};
use super::vault::{DIGESTS, Desk, remove_all};
use super::{Cancel, InfoFacts};
use crate::disk::{create_private_folder, write_atomic};
use crate::event::{Event, Tell};
use crate::fault::{Code, Fault};
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
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
}

/// A work tree in use.
pub struct Work<'d> {
    pub(super) desk: &'d Desk,
    pub(super) tree: WorkTree,
    pub(super) state: State,
}

impl<'d> Work<'d> {
    pub(super) fn begin(desk: &'d Desk, full: bool, tell: &dyn Tell, cancel: &Cancel) -> Result<Self, Fault> {
        remove_all(&desk.folder.join("trash"))?;
        remove_all(&desk.folder.join("cloning"))?;
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
                State { resumes: state.resumes + 1, ..state }
            }
            None => {
                desk.discard(&work)?;
                let cloning = desk.folder.join("cloning");
                create_private_folder(&cloning)?;
                let base = newest.as_ref().filter(|_| !full);
                if let Some(base) = base {
                    clone(&base.folder(), &cloning.join(desk.udid.as_str()), tell, cancel)?;
                }
                std::fs::rename(&cloning, &work).map_err(|e| disk(&work, e))?;
                State { base: base.map(|g| g.name.clone()), full, resumes: 0 }
            }
        };
        let text = serde_json::to_vec(&state).map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
        write_atomic(&work.join(STATE), &text)?;
        let tree = WorkTree::open(&work, desk.udid.as_str())?;
        let digests = newest.filter(|g| state.base.as_ref() == Some(&g.name)).map(|g| g.path.join(DIGESTS));
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
        if let Some(book) = self.tree.book().take() {
            book.close().map_err(|e| disk(&work, e))?;
        }
        let stays = can_resume(self.desk, &work) && self.state.resumes < MAX_RESUMES;
        if !stays {
            self.desk.discard(&work)?;
        }
        Ok(stays)
    }

    /// Removes what only a run needs, at its good end.
    pub(super) fn strip(&self) -> Result<(), Fault> {
        let work = self.desk.folder.join("work");
        remove_all(&work.join(BOOK))?;
        std::fs::remove_file(work.join(STATE)).map_err(|e| disk(&work, e))
    }
}

fn left_over(desk: &Desk, work: &Path) -> Option<State> {
    let text = std::fs::read(work.join(STATE)).ok()?;
    let state: State = serde_json::from_slice(&text).ok()?;
    (state.resumes < MAX_RESUMES && can_resume(desk, work)).then_some(state)
}

/// Does the device's own status say that it was in the middle?
fn can_resume(desk: &Desk, work: &Path) -> bool {
    let status = plists::read(&work.join(desk.udid.as_str()).join("Status.plist"));
    status.is_ok_and(|dict| matches!(snapshot_state(&dict), Some("uploading" | "moving" | "removing")))
}

/// How files come into a clone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Reflink,
    Link,
    Copy,
}

fn clone(from: &Path, to: &Path, tell: &dyn Tell, cancel: &Cancel) -> Result<(), Fault> {
    let mut how = How::Reflink;
    clone_folder(from, to, 0, &mut how, cancel)?;
    if how == How::Copy {
        let text = "this disk has no links between files: every backup takes its full room";
        tell.tell(Event::Warning { text: text.into() });
    }
    Ok(())
}

fn clone_folder(from: &Path, to: &Path, depth: usize, how: &mut How, cancel: &Cancel) -> Result<(), Fault> {
    if depth > MAX_DEPTH {
        return Err(Fault::new(Code::BackupDamaged, format!("{} is nested too deep", from.display())));
    }
    DirBuilder::new().mode(0o700).create(to).map_err(|e| disk(to, e))?;
    for item in std::fs::read_dir(from).map_err(|e| disk(from, e))? {
        cancel.check()?;
        let item = item.map_err(|e| disk(from, e))?;
        let kind = item.file_type().map_err(|e| disk(&item.path(), e))?;
        let target = to.join(item.file_name());
        if kind.is_dir() {
            clone_folder(&item.path(), &target, depth + 1, how, cancel)?;
        } else if kind.is_file() {
            clone_file(&item.path(), &target, how).map_err(|e| disk(&item.path(), e))?;
        }
    }
    Ok(())
}

fn clone_file(from: &Path, to: &Path, how: &mut How) -> io::Result<()> {
    if *how == How::Reflink {
        let source = File::open(from)?;
        let target = File::options().write(true).create_new(true).mode(0o600).open(to)?;
        if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
            return target.set_modified(source.metadata()?.modified()?);
        }
        // This file system has no reflinks: links from here on.
        *how = How::Link;
        std::fs::remove_file(to)?;
    }
    if *how == How::Link {
        match std::fs::hard_link(from, to).map_err(|e| (e.kind(), e)) {
            Ok(()) => return Ok(()),
            // One file with too many names says nothing about the next.
            Err((io::ErrorKind::TooManyLinks, _)) => {}
            Err((io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported, _)) => *how = How::Copy,
            Err((_, err)) => return Err(err),
        }
    }
    let (mut source, mut target) = (File::open(from)?, File::create_new(to)?);
    io::copy(&mut source, &mut target)?;
    target.set_modified(source.metadata()?.modified()?)
}
