//! When somebody last looked whether a generation is still what it was, and what came of it.
//!
//! It lies beside the generation's record (`checked.json`), replaced as a whole; the backup itself is not touched. The
//! last quick look and the last deep one are kept, since a quick one says nothing of contents. It is a note for
//! people: nothing here decides by it.

use super::finding::{Finding, Verdict};
use super::tree::open_file;
use super::vault::Generation;
use crate::disk::write_atomic;
use crate::fault::{Code, Fault};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::io::Read;

const CHECKED: &str = "checked.json";
const MAX_SIZE: u64 = 64 << 10;

/// One look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// When, UTC.
    pub at: Timestamp,
    /// Payloads that were looked at, and their bytes on disk; zero where the manifest is sealed.
    pub files: u64,
    pub bytes: u64,
    /// Files whose content was compared with its digest.
    pub compared: u64,
    pub damage: u64,
    pub remarks: u64,
    /// The first damage.
    pub first: Option<Finding>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checks {
    pub quick: Option<Check>,
    pub deep: Option<Check>,
}

impl Checks {
    /// The last look, and whether it was a deep one.
    pub fn last(&self) -> Option<(&Check, bool)> {
        let both = self.quick.iter().map(|check| (check, false)).chain(self.deep.iter().map(|check| (check, true)));
        both.max_by_key(|(check, _)| check.at)
    }
}

impl Check {
    pub fn of(verdict: &Verdict, at: Timestamp) -> Self {
        let damage = verdict.damage().count();
        Check {
            at,
            files: verdict.files,
            bytes: verdict.bytes,
            compared: verdict.compared,
            damage: damage as u64 + verdict.more,
            remarks: (verdict.findings.len() - damage) as u64,
            first: verdict.damage().next().cloned(),
        }
    }
}

impl Generation {
    /// The last looks at it; none where nobody looked or the note is unreadable.
    pub fn checks(&self) -> Checks {
        let mut bytes = vec![];
        let read = open_file(&self.path.join(CHECKED)).and_then(|file| file.take(MAX_SIZE).read_to_end(&mut bytes));
        read.ok().and_then(|_| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Notes a look; not in a folder that was never published here.
    ///
    /// # Errors
    /// Disk faults: a vault that may only be read can be looked at all the same.
    pub fn note_check(&self, check: Check, deep: bool) -> Result<(), Fault> {
        if self.record.is_none() {
            return Ok(());
        }
        let mut checks = self.checks();
        *(if deep { &mut checks.deep } else { &mut checks.quick }) = Some(check);
        let text = serde_json::to_vec_pretty(&checks).map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
        write_atomic(&self.path.join(CHECKED), &text)
    }
}
