//! How long a silence may last, by what the phone is doing.
//!
//! One timeout for all is the classic fault of backup tools: 30 seconds are a dead cable in the middle of a file, and
//! nothing at all while the phone waits for a passcode or scans its disk. Times seen on real phones: half an hour for
//! the passcode prompt, more than eleven minutes of preparation before the first file, minutes between two batches.

use std::time::Duration;

/// Limits per phase. Each is the longest silence, not the longest duration.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Version exchange and Hello: nothing has to be prepared.
    pub greeting: Duration,
    /// From the request to the first message: the passcode prompt and the preparation.
    pub prompt: Duration,
    /// Between two messages once it has begun.
    pub between: Duration,
    /// Inside a message or a batch of files, and for a write that the phone does not take.
    pub transfer: Duration,
    /// From a failure on our side to the phone's last word.
    pub farewell: Duration,
    /// How often a long silence is remarked.
    pub remark: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            greeting: Duration::from_secs(30),
            prompt: Duration::from_secs(32 * 60),
            between: Duration::from_secs(20 * 60),
            transfer: Duration::from_secs(5 * 60),
            farewell: Duration::from_secs(60),
            remark: Duration::from_secs(60),
        }
    }
}

impl Patience {
    /// All of it so many times shorter, but nothing below 2 s: for the bench, whose phones are quick.
    pub fn shortened(self, times: u32) -> Self {
        let short = |limit: Duration| (limit / times.max(1)).max(limit.min(Duration::from_secs(2)));
        Patience {
            greeting: short(self.greeting),
            prompt: short(self.prompt),
            between: short(self.between),
            transfer: short(self.transfer),
            farewell: short(self.farewell),
            remark: short(self.remark),
        }
    }
}

/// What is being waited for; for limits and for the text of a timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Greeting,
    Prompt,
    Between,
    Transfer,
    Farewell,
}

impl Patience {
    pub(super) fn of(&self, phase: Phase) -> Duration {
        match phase {
            Phase::Greeting => self.greeting,
            Phase::Prompt => self.prompt,
            Phase::Between => self.between,
            Phase::Transfer => self.transfer,
            Phase::Farewell => self.farewell,
        }
    }
}

impl Phase {
    pub(super) fn waiting_for(self) -> &'static str {
        match self {
            Phase::Greeting => "the greeting of the backup service",
            Phase::Prompt => "the passcode on the device, or its preparation",
            Phase::Between => "the device's next step",
            Phase::Transfer => "the rest of a transfer",
            Phase::Farewell => "the device's last word",
        }
    }
}
