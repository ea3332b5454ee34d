//! What the journal holds, and what it adds up to.

use super::plan::Plan;
use crate::event::{Outcome, Step};
use crate::fault::{Code, Fault};
use crate::ids::{BuildId, Version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a finished step brought, as far as later steps and the report need it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum Fact {
    Nothing,
    /// A verified generation in the vault.
    Backup {
        generation: String,
        place: PathBuf,
        files: u64,
        bytes: u64,
        /// Files that the device itself could not read.
        unread: u64,
    },
    /// A verified IPSW.
    Firmware {
        path: PathBuf,
        sha256: String,
        size: u64,
    },
    Restored {
        version: Version,
        build: BuildId,
    },
    PutBack {
        files: u64,
        bytes: u64,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Record {
    Plan {
        #[serde(flatten)]
        plan: Box<Plan>,
    },
    Began {
        step: Step,
    },
    Did {
        step: Step,
        #[serde(flatten)]
        fact: Fact,
    },
    Failed {
        step: Step,
        fault: Fault,
    },
    /// A process took the job up again.
    Resumed,
    Finished {
        outcome: Outcome,
    },
}

/// One line of the journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    pub at: Timestamp,
    #[serde(flatten)]
    pub record: Record,
}

impl Entry {
    pub fn now(record: Record) -> Self {
        Entry { at: Timestamp::now(), record }
    }
}

/// The journal read as a whole.
#[derive(Clone, Debug)]
pub struct Story {
    pub plan: Plan,
    pub entries: Vec<Entry>,
}

impl Story {
    /// # Errors
    /// `journal-damaged` when it does not begin with a plan.
    pub fn new(entries: Vec<Entry>) -> Result<Self, Fault> {
        match entries.first() {
            Some(Entry { record: Record::Plan { plan }, .. }) => Ok(Story { plan: (**plan).clone(), entries }),
            _ => Err(Fault::new(Code::JournalDamaged, "the journal does not begin with a plan")),
        }
    }

    pub fn fact(&self, step: Step) -> Option<&Fact> {
        self.entries.iter().rev().find_map(|e| match &e.record {
            Record::Did { step: done, fact } if *done == step => Some(fact),
            _ => None,
        })
    }

    pub fn began(&self, step: Step) -> bool {
        self.entries.iter().any(|e| matches!(&e.record, Record::Began { step: s } if *s == step))
    }

    pub fn outcome(&self) -> Option<Outcome> {
        self.entries.iter().rev().find_map(|e| match &e.record {
            Record::Finished { outcome } => Some(*outcome),
            _ => None,
        })
    }

    /// Finished for good: nothing to resume. A failed or cancelled job can be taken up again.
    pub fn is_over(&self) -> bool {
        matches!(self.outcome(), Some(Outcome::Ok | Outcome::Partial))
    }
}
