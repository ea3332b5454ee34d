//! Did all of a backup arrive? Its rows against what a device holds after a restore.
//!
//! Only a virtual device lets somebody look inside, and this room knows nothing of those: what the device holds is
//! asked of a function. Contents are digested on both sides, never kept.

use super::Cancel;
use super::browse::{Filter, Opened, Row, RowKind};
use super::digests::digest_of;
use crate::event::{Event, Step, Tell, Unit};
use crate::fault::Fault;
use serde::Serialize;
use std::ops::ControlFlow;

/// How many differences are kept; more are counted.
const MAX_DIFFERENCES: usize = 10_000;
const TELL_EVERY: u64 = 256;

/// What stands on the device at the place of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    Nothing,
    Folder,
    Link,
    File { size: u64, sha256: [u8; 32] },
}

/// What is different.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    Absent,
    /// E.g. a folder in place of a file.
    OtherKind,
    OtherSize,
    OtherContent,
}

/// One row that did not arrive as it is in the backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub domain: String,
    pub path: String,
    pub why: Why,
}

/// The outcome.
#[derive(Clone, Debug, Default)]
pub struct Proof {
    /// Files that were compared, and the bytes of their contents.
    pub files: u64,
    pub bytes: u64,
    pub folders: u64,
    pub links: u64,
    pub differences: Vec<Difference>,
    /// Differences beyond the ten thousand that are kept.
    pub more: u64,
}

impl Proof {
    pub fn holds(&self) -> bool {
        self.differences.is_empty() && self.more == 0
    }

    fn note(&mut self, row: Row, why: Why) {
        if self.differences.len() < MAX_DIFFERENCES {
            self.differences.push(Difference { domain: row.domain, path: row.path, why });
        } else {
            self.more += 1;
        }
    }
}

/// Compares every row of the backup with what `held` says of its place.
///
/// # Errors
/// [`crate::fault::Code::BackupDamaged`] where the backup itself cannot be read, disk faults, of `held`, and cancel.
pub fn compare(
    opened: &Opened,
    held: &mut dyn FnMut(&Row) -> Result<Held, Fault>,
    tell: &dyn Tell,
    cancel: &Cancel,
) -> Result<Proof, Fault> {
    let mut proof = Proof::default();
    let mut ended = Ok(());
    opened.browse(&Filter::default(), |row| match one(opened, row, held, &mut proof, cancel) {
        Ok(()) => {
            if (proof.files + proof.folders).is_multiple_of(TELL_EVERY) {
                let (step, unit, done) = (Step::VerifyBackup, Unit::Bytes, proof.bytes);
                tell.tell(Event::Progress { step, unit, done, total: None });
            }
            ControlFlow::Continue(())
        }
        Err(fault) => {
            ended = Err(fault);
            ControlFlow::Break(())
        }
    })?;
    ended.map(|()| proof)
}

fn one(
    opened: &Opened,
    row: Row,
    held: &mut dyn FnMut(&Row) -> Result<Held, Fault>,
    proof: &mut Proof,
    cancel: &Cancel,
) -> Result<(), Fault> {
    cancel.check()?;
    let there = held(&row)?;
    let wrong = match (row.kind, there) {
        (RowKind::Folder, _) => {
            proof.folders += 1;
            unlike(there, Held::Folder)
        }
        (RowKind::Link, _) => {
            proof.links += 1;
            unlike(there, Held::Link)
        }
        (RowKind::File, Held::File { size, sha256 }) => {
            let mut source = Counted { inner: opened.content(&row)?, count: 0 };
            let digest = digest_of(&mut source, cancel)?;
            proof.files += 1;
            proof.bytes += source.count;
            match () {
                () if source.count != size => Some(Why::OtherSize),
                () if digest != sha256 => Some(Why::OtherContent),
                () => None,
            }
        }
        (RowKind::File, other) => {
            proof.files += 1;
            Some(if other == Held::Nothing { Why::Absent } else { Why::OtherKind })
        }
    };
    if let Some(why) = wrong {
        proof.note(row, why);
    }
    Ok(())
}

fn unlike(there: Held, wanted: Held) -> Option<Why> {
    match there {
        there if there == wanted => None,
        Held::Nothing => Some(Why::Absent),
        _ => Some(Why::OtherKind),
    }
}

struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: std::io::Read> std::io::Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(out)?;
        self.count += count as u64;
        Ok(count)
    }
}
