//! What happens, as values: for bars, plain lines, JSON, the journal and the report alike.
//!
//! Step events and progress are apart: a step is never dropped, of progress only the newest counts.
//! Work rooms get a [`Tell`] and never know who listens. The JSON form is frozen in `tests/schema/v1/`.

pub mod batch;
mod chance;
mod doctor;
mod preflight;
mod sheet;
mod triage;

pub use chance::{Caveat, Ground, Possible};
pub use doctor::{Cause, Exam, QUESTIONS};
pub use preflight::{Check, Finding, Need, Verdict};
pub use sheet::{Field, Group, Subject};
pub use triage::{Choice, Clue, Question, WayOut};

use crate::fault::Fault;
use crate::fault::words::words;
use crate::ids::{Ecid, Mode};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

words! {
    /// The steps of the walk, in its order; engines report under these names.
    Step {
        Find = "find",
        Pair = "pair",
        Plan = "plan",
        Encrypt = "encrypt",
        Backup = "backup",
        VerifyBackup = "verify-backup",
        Catalogue = "catalogue",
        Fetch = "fetch",
        VerifyFirmware = "verify-firmware",
        Stashbag = "stashbag",
        EnterRecovery = "enter-recovery",
        EnterDfu = "enter-dfu",
        LeaveRecovery = "leave-recovery",
        Ticket = "ticket",
        BootIbss = "boot-ibss",
        BootIbec = "boot-ibec",
        BootRamdisk = "boot-ramdisk",
        AwaitRestore = "await-restore",
        Restore = "restore",
        SendImage = "send-image",
        AwaitNormal = "await-normal",
        PutBack = "put-back",
        Report = "report",
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a progress number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    Bytes,
    Files,
    Percent,
    Seconds,
}

/// Something only a person can do; as data, so that a script can answer or wait too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    UnlockDevice,
    TapTrust,
    EnterPasscode,
    /// Press, hold or let go of keys: those named are down for so many seconds and all others up; 0 seconds
    /// mean a tap, no keys mean to let go of everything. Names are those of [`crate::guide`].
    Keys {
        keys: Vec<String>,
        seconds: u32,
        text: String,
    },
    Replug,
    /// Pull the cable; the device is off, or is switched off now.
    CableOut,
    /// Plug it in, with the keys of the last request held.
    CableIn,
    /// Slide the power slider on the screen.
    Slide,
}

/// What stands between this host and the trust of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hurdle {
    /// The dialog is open on the device.
    Pending,
    /// Don't Trust was tapped.
    Denied,
    /// The passcode has to be entered first.
    Locked,
    /// The pair record of this host is of a trust that the device no longer knows.
    Stale,
    /// A profile of the owner's organisation forbids new hosts.
    Forbidden,
    /// On USB, and not on usbmuxd: the device has closed its data lines.
    Restricted,
}

impl Hurdle {
    pub const ALL: &'static [Hurdle] =
        &[Hurdle::Pending, Hurdle::Denied, Hurdle::Locked, Hurdle::Stale, Hurdle::Forbidden, Hurdle::Restricted];
}

/// How a verb or job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Ok,
    Partial,
    Failed,
    Cancelled,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    StepBegan {
        step: Step,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        what: String,
    },
    StepDone {
        step: Step,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        what: String,
    },
    StepSkipped {
        step: Step,
        why: String,
    },
    StepFailed {
        step: Step,
        fault: Fault,
    },
    /// `total` is unknown for many device operations.
    Progress {
        step: Step,
        unit: Unit,
        done: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
    },
    /// A restored operation (`ProgressMsg`); `percent` is none when the device says -1.
    Operation {
        code: i64,
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        percent: Option<u8>,
    },
    /// A restored checkpoint; ids count by their lower 16 bits only.
    Checkpoint {
        id: u32,
        name: String,
        result: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    Ask {
        #[serde(flatten)]
        request: Request,
    },
    /// The person did it (or it is no longer needed).
    Answered {
        #[serde(flatten)]
        request: Request,
    },
    /// What trust waits for has changed; what a person can do about it comes as [`Event::Ask`].
    Trust {
        hurdle: Hurdle,
    },
    Seen {
        mode: Mode,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ecid: Option<Ecid>,
    },
    Lost {
        mode: Mode,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ecid: Option<Ecid>,
    },
    /// The coach's own log: what happened so many milliseconds after it began (`begin`, `step`, `left`, `seen`,
    /// `reset`, `miss`, `reached`, `stranger`, `pause`). True windows of keys can be learned from it.
    Coach {
        at_ms: u64,
        what: String,
        detail: String,
    },
    /// A remark worth a line; `text` is English and technical.
    Note {
        text: String,
    },
    Warning {
        text: String,
    },
}

/// Who hears events. Must not block for long and must not fail.
pub trait Tell: Send + Sync {
    fn tell(&self, event: Event);
}

pub type Teller = Arc<dyn Tell>;

/// Hears nothing.
pub struct Quiet;

impl Tell for Quiet {
    fn tell(&self, _: Event) {}
}

/// Remembers everything: for journals of tests.
#[derive(Default)]
pub struct Recorder(std::sync::Mutex<Vec<Event>>);

impl Recorder {
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().map(|e| e.clone()).unwrap_or_default()
    }
}

impl Tell for Recorder {
    fn tell(&self, event: Event) {
        if let Ok(mut events) = self.0.lock() {
            events.push(event);
        }
    }
}
