//! What happens to many devices at once: each event of a batch, with the row it belongs to.
//!
//! A row is a line of the batch file, or a device that came by under `--watch`. Its number never changes; its ECID and
//! station are told as soon as they are known. Whoever shows a batch (plain lines, JSON, the board) needs nothing but
//! these: the first event is the whole list of rows, and every later one changes one row.

use super::{Event, Outcome};
use crate::fault::Fault;
use crate::fault::words::words;
use crate::ids::{Ecid, Mode};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

words! {
    /// Where a row stands.
    Phase {
        /// Its turn comes.
        Queued = "queued",
        Running = "running",
        /// Nothing goes on until a person did what `wants` says.
        WaitsForPerson = "waits-for-person",
        /// Tried again later, by itself.
        WaitsToRetry = "waits-to-retry",
        Done = "done",
        /// Done, but not all of it (a backup with unread files).
        Partly = "partly",
        Failed = "failed",
        /// Ended, since nobody did what was asked; `--resume` asks again.
        LeftForPerson = "left-for-person",
        Cancelled = "cancelled",
    }
}

impl Phase {
    /// Nothing comes after it in this run.
    pub fn is_end(self) -> bool {
        match self {
            Phase::Queued | Phase::Running | Phase::WaitsForPerson | Phase::WaitsToRetry => false,
            Phase::Done | Phase::Partly | Phase::Failed | Phase::LeftForPerson | Phase::Cancelled => true,
        }
    }
}

words! {
    /// What only a person can do for a row to go on.
    Wants {
        /// It is on no bus: plug it in, or wake it.
        PlugIn = "plug-in",
        /// Another cable or another port.
        OtherCable = "other-cable",
        /// Pull the cable and put it back.
        Replug = "replug",
        /// Bring it into DFU mode with its keys.
        Dfu = "dfu",
        /// What the fault says: unlock, tap Trust, charge. Then pull the cable and put it back, or say that it is done.
        Remedy = "remedy",
    }
}

/// One thing to do with a device's keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Press {
    /// The only ones that are down; names are those of [`crate::guide`].
    pub keys: Vec<String>,
    /// 0 is a tap.
    pub seconds: u32,
    /// Until the screen goes black, which takes about so long.
    pub black: bool,
}

words! {
    /// What is to be done with a row's device.
    Action {
        /// Back up, erase and restore, put the backup back.
        Recover = "recover",
        RestoreErase = "restore-erase",
        RestoreUpdate = "restore-update",
        Backup = "backup",
    }
}

impl Action {
    pub fn erases(self) -> bool {
        matches!(self, Action::Recover | Action::RestoreErase)
    }
}

/// One row as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// From 1, in the order of the file.
    pub row: u32,
    pub ecid: Option<Ecid>,
    pub station: Option<u32>,
    /// What a person calls it, once it was seen.
    pub title: Option<String>,
    pub action: Action,
    pub phase: Phase,
    pub mode: Option<Mode>,
    /// Tries that were begun.
    pub tries: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Happened {
    /// The first event: every row.
    Rows { rows: Vec<Row> },
    /// A row that was not there before (`--watch`), or one whose device was seen.
    Row { now: Row },
    Phase {
        phase: Phase,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wants: Option<Wants>,
        /// Seconds until the next try; estimated by nobody, it is the plan.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fault: Option<Fault>,
        /// With `wants: dfu`, where the model is known: its keys, in order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        presses: Vec<Press>,
    },
    /// A try was begun under this job.
    Began { job: String, tries: u32 },
    /// What the job's own walk tells.
    Told { told: Event },
    /// The device is in this mode now; none is on no bus.
    Mode { mode: Option<Mode> },
    /// A device that this batch does not touch stands where another is awaited.
    Stranger { stranger: Ecid },
    /// It was here before the watch began, and is not taken.
    Ignored { device: Ecid },
    /// A person said that it was done, and nothing was waited for.
    NotAsked,
    /// A hook or webhook that failed; the batch goes on.
    Warning { text: String },
    /// The last event.
    Over { outcome: Outcome, done: u32, failed: u32, left: u32 },
}

/// One event of a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BatchEvent {
    /// None: about the batch as a whole.
    pub row: Option<u32>,
    pub ecid: Option<Ecid>,
    pub station: Option<u32>,
    #[serde(flatten)]
    pub happened: Happened,
}

/// Who hears the events of a batch. Must not block for long and must not fail.
pub trait TellBatch: Send + Sync {
    fn tell(&self, event: BatchEvent);
}

pub type BatchTeller = Arc<dyn TellBatch>;

/// Remembers everything: for tests.
#[derive(Default)]
pub struct BatchRecorder(std::sync::Mutex<Vec<BatchEvent>>);

impl BatchRecorder {
    pub fn events(&self) -> Vec<BatchEvent> {
        self.0.lock().map(|e| e.clone()).unwrap_or_default()
    }
}

impl TellBatch for BatchRecorder {
    fn tell(&self, event: BatchEvent) {
        if let Ok(mut events) = self.0.lock() {
            events.push(event);
        }
    }
}
