//! What a failure of a restore becomes.
//!
//! The session tells the trail what it hears; when it ends badly, the trail makes one fault of it: the operation and
//! percentage, the checkpoint that failed or was the last, the device's own texts, what its number means, and what
//! is left of its system.
//!
//! Decisions
//! - An error text is sticky: the device repeats a tolerated one with every later checkpoint. So a failed checkpoint
//!   is the cause only if nothing but the clean-up follows; if the restore goes on, it was tolerated.
//! - A request that we answered with a refusal is the cause of what follows, and its code is the fault's. A link that
//!   broke on our side is rather a symptom: there the device's words win.
//! - "Untouched" is only said when it is certain: no step that writes was begun, and the device itself ended it, or
//!   it was never started.

use crate::facts::restore_status;
use crate::fault::{Code, DeviceState, Fault, Standing};
use crate::wire::restored::names::{self, data, operation};
use crate::wire::restored::{Checkpoint, Status, errors};

/// Steps of the clean-up, which succeed after a failure; the last one repeats the whole chain of errors.
const CLEAN_UP: &[u16] = &[0x67B, 0x67C, 0x1613, 0x642, 0x647, 0x6C2, LAST_STEP];
const LAST_STEP: u16 = 0x648;
/// The first steps that take something away. An update leaves the data volume, and loses its system here.
const ERASES: &[u16] = &[0x61F, 0x620, 0x621, 0x64E, 0x658];
const REPLACES: &[u16] = &[0x624, 0x65B, 0x660];
/// The same for systems that tell operations only.
const WRITES: &[u64] = &[11, 12, operation::RESTORE_IMAGE, operation::VERIFY, 26, 42];
/// Most texts of tolerated errors that are kept.
const TOLERATED: usize = 64;

/// What went wrong on our side.
#[derive(Clone, Debug)]
pub(super) enum Ours {
    /// A request that was answered with nothing: the device decides what becomes of it.
    Refused(Fault),
    /// A link is gone.
    Broken(Fault),
}

impl Ours {
    pub fn fault(self) -> Fault {
        match self {
            Ours::Refused(fault) | Ours::Broken(fault) => fault,
        }
    }
}

/// What was heard of a restore so far.
#[derive(Debug, Default)]
pub(super) struct Trail {
    erase: bool,
    started: bool,
    wrote: bool,
    /// By today's numbers.
    operation: Option<(u64, Option<u8>)>,
    last: Option<Checkpoint>,
    failed: Option<Checkpoint>,
    tolerated: Vec<String>,
    /// The chain that the last step of the clean-up told.
    summary: Vec<String>,
}

impl Trail {
    pub fn new(erase: bool) -> Self {
        Trail { erase, ..Trail::default() }
    }

    /// The device was told to begin.
    pub fn start(&mut self) {
        self.started = true;
    }

    pub fn progress(&mut self, operation: u64, percent: Option<u8>) {
        self.wrote |= WRITES.contains(&operation);
        self.operation = Some((operation, percent));
    }

    pub fn asked(&mut self, data_type: &str) {
        self.wrote |= [data::SYSTEM_IMAGE_DATA, data::RECOVERY_OS_ASR_IMAGE].contains(&data_type);
    }

    pub fn checkpoint(&mut self, checkpoint: Checkpoint) {
        let id = checkpoint.id.0;
        self.wrote |= REPLACES.contains(&id) || (self.erase && ERASES.contains(&id));
        if id == LAST_STEP {
            self.summary = checkpoint.error.as_deref().map(errors::texts).unwrap_or_default();
        }
        if checkpoint.failed() {
            self.failed.get_or_insert_with(|| checkpoint.clone());
        } else if !CLEAN_UP.contains(&id) {
            // It goes on: what failed before was tolerated, and what is repeated here is, too.
            let failed = self.failed.take().and_then(|f| f.error);
            for text in failed.iter().chain(&checkpoint.error).flat_map(|error| errors::texts(error)) {
                if !self.tolerated.contains(&text) && self.tolerated.len() < TOLERATED {
                    self.tolerated.push(text);
                }
            }
        }
        if !CLEAN_UP.contains(&id) || self.last.is_none() {
            self.last = Some(checkpoint);
        }
    }

    /// An error that the device made no failure of.
    pub fn tolerated(&self) -> Option<String> {
        let failed = self.failed.as_ref().and_then(|f| f.error.clone());
        failed.or_else(|| (!self.tolerated.is_empty()).then(|| self.tolerated.join("; ")))
    }

    fn place(&self) -> Option<&Checkpoint> {
        self.failed.as_ref().or(self.last.as_ref())
    }

    /// `ended`: by the device itself, with a status.
    fn state(&self, ended: bool) -> DeviceState {
        match (self.wrote, self.erase) {
            (true, true) => DeviceState::HalfErased,
            (true, false) => DeviceState::HalfUpdated,
            (false, _) if ended || !self.started => DeviceState::Untouched,
            (false, _) => DeviceState::Unknown,
        }
    }

    fn standing(&self, status: Option<&Status>) -> Standing {
        let place = self.place();
        let (operation, percent) = self.operation.map_or((None, None), |(o, p)| (Some(o), p));
        Standing {
            operation,
            operation_name: operation.and_then(|o| names::operation_name(o, u64::MAX)).map(str::to_owned),
            percent,
            checkpoint: place.map(|c| c.id.0),
            checkpoint_name: place.and_then(name),
            errors: self.errors(status),
            status: status.map(Status::number),
            device_state: self.state(status.is_some()),
            mode: None,
        }
    }

    /// The device's texts: of the step that failed, else of its summary; then what only the status says.
    fn errors(&self, status: Option<&Status>) -> Vec<String> {
        let failed = self.failed.as_ref().and_then(|f| f.error.as_deref()).map(errors::texts);
        let mut texts = failed.unwrap_or_else(|| self.summary.clone());
        let new: Vec<String> = texts.iter().filter(|t| !self.tolerated.contains(t)).cloned().collect();
        if !new.is_empty() {
            texts = new;
        }
        for link in status.into_iter().flat_map(|s| &s.chain) {
            if !link.text.is_empty() && !texts.contains(&link.text) {
                texts.push(link.text.clone());
            }
        }
        texts
    }

    /// The device ended it with a status other than 0.
    pub fn given_up(&self, status: &Status, ours: Option<Ours>) -> Fault {
        let number = status.number();
        let mut words = vec![format!("status {number}")];
        if let Some(checkpoint) = self.place() {
            let how = if checkpoint.failed() { "at checkpoint" } else { "the last checkpoint was" };
            words.push(format!("{how} {}", titled(checkpoint)));
            words.extend(checkpoint.error.clone().filter(|_| checkpoint.failed()));
        }
        words.extend(status.chain.iter().map(|link| format!("{}/{}: {}", link.domain, link.code, link.text)));
        let words = words.join("; ");
        let incompatible = self.failed.as_ref().is_some_and(|c| c.id.name() == Some("is_host_compatible"));
        let known = restore_status::verdict(number);
        let fault = match ours {
            _ if incompatible => Fault::new(Code::HostUnsupported, words).number(number),
            Some(Ours::Refused(ours)) => {
                let detail = format!("{}; the device then ended with {words}", ours.detail);
                Fault { detail, number: ours.number.or(Some(number)), ..ours }
            }
            ours => {
                let mut fault =
                    Fault::new(known.as_ref().map_or(Code::RestoreFailed, |v| v.code), words).number(number);
                if let Some(known) = known {
                    fault.retry = known.retry;
                }
                if let Some(ours) = ours {
                    fault.detail = format!("{}; our side: {}", fault.detail, ours.fault().detail);
                }
                fault
            }
        };
        fault.standing(self.standing(Some(status)))
    }

    /// The control link broke off. A data link that broke with it is the same cable; what else broke on our side
    /// is the cause. A refusal is only mentioned, since other things followed it than the device's status.
    pub fn cut(&self, fault: Fault, ours: Option<Ours>) -> Fault {
        let same_cable = [Code::AsrFailed, Code::LinkLost, Code::LinkSilent, Code::MuxUnreachable];
        self.broken(match ours {
            Some(Ours::Broken(ours)) if !same_cable.contains(&ours.code) => ours,
            Some(ours) => Fault { detail: format!("{}; our side: {}", fault.detail, ours.fault().detail), ..fault },
            None => fault,
        })
    }

    /// It ended without the device's status: a link, a limit, or our own fault.
    pub fn broken(&self, fault: Fault) -> Fault {
        let detail = match self.place() {
            Some(last) => format!("{}; the last checkpoint was {}", fault.detail, titled(last)),
            None => fault.detail.clone(),
        };
        Fault { detail, ..fault }.standing(self.standing(None))
    }
}

fn name(checkpoint: &Checkpoint) -> Option<String> {
    checkpoint.name.clone().or_else(|| checkpoint.id.name().map(str::to_owned))
}

fn titled(checkpoint: &Checkpoint) -> String {
    format!("{} {}", checkpoint.id, name(checkpoint).as_deref().unwrap_or("?"))
}
