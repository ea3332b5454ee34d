//! A phone in restore mode: restored, ASR and FDR, as a host meets them.
//!
//! The ramdisk boots, listens on 62078 and waits two minutes for somebody to start. Then it leads: it goes
//! through a script of checkpoints (`scripts/`, taken from recordings), asks for what it needs, looks hard at
//! every answer, and either becomes the new system or ends as real ones do, with a failure tail, a status
//! and a reboot into recovery.
//!
//! - `listen` is the control port before and after the start, `line` the link of the host that started.
//! - `run` walks the script; `asks` makes the requests, `check` judges the answers, `updaters` is the parts
//!   with tickets of their own, `part_check` their firmware.
//! - `asr` receives the image, `fdr` is the trust channel, `finish` is both endings.
//!
//! Nothing is taken on trust: tickets must be for this ECID and nonce, every image must carry this ticket and
//! have the digest that is in it, every chunk of the system its SHA-1. Steps take a moment of the bench's
//! time each, so that progress can be seen; waits for a host are real time, since a host is a real program.

mod asks;
mod asr;
mod check;
mod fdr;
mod finish;
pub(in crate::virt) mod im4r;
mod line;
mod listen;
mod part_check;
mod recovery_os;
mod run;
mod script;
mod updaters;

pub use listen::boot;

use serde::{Deserialize, Serialize};

/// What this server can be told to do wrong. Checkpoints are given as numbers, e.g. `0x634` is 1588.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Fail with this number, at `at_checkpoint` or else at `fdr_recover`.
    pub amr_error: Option<i64>,
    pub at_checkpoint: Option<u16>,
    /// All checkpoints pass, but the last status says this.
    pub status_error: Option<i64>,
    /// Says nothing more from there on.
    pub silent_at_checkpoint: Option<u16>,
    /// A message that is no property list.
    pub garbage_at_checkpoint: Option<u16>,
    /// A length prefix of nearly 4 GiB.
    pub absurd_length_at_checkpoint: Option<u16>,
    /// The cable comes out; the phone comes back in recovery.
    pub unplug_at_checkpoint: Option<u16>,
    /// Closes the ASR link after so many bytes of the image.
    pub asr_cut_at: Option<u64>,
    /// The cable comes out after so many bytes of the image; the phone comes back in recovery.
    pub unplug_at_image_byte: Option<u64>,
    /// Stops reading the image after so many bytes.
    pub asr_silent_at: Option<u64>,
    /// Begins ASR twice, as a T2 does; checksums are asked for only the second time.
    pub asr_second_initiate: bool,
    /// Takes the image without looking at it: the phone's digests are slower than any link, and some
    /// measurements are about the host.
    pub asr_unjudged: bool,
    /// Apple's FDR refuses this phone (a part is not the original): 53.
    pub fdr_refused: bool,
    /// Nothing listens on the FDR port, as before iOS 7.
    pub fdr_absent: bool,
    /// FDR asks the host for a connection there instead of only saying hello.
    pub fdr_proxy_port: Option<u16>,
    /// Default 127.0.0.1.
    pub fdr_proxy_host: Option<String>,
    /// FDR of iOS 7 to 9: a greeting of protocol 2 closes the link, protocol 1 is understood.
    pub fdr_protocol_1: bool,
    /// Ends its sending half right after the request to the server, and still wants the whole answer.
    pub fdr_half_close: bool,
    /// Sends so many bytes more once the server has ended its half (not together with `fdr_half_close`).
    pub fdr_tail: usize,
    /// Finds the host too old, whatever it says.
    pub host_incompatible: bool,
    /// Asks for this data type, which no host knows, after the FDR trust data.
    pub unknown_data_type: Option<String>,
    /// Every progress is -1.
    pub progress_minus_one: bool,
    /// The modem's update fails with this text, which is tolerated and repeated to the end.
    pub sticky_error: Option<String>,
    /// So many data ports (ASR's included) refuse their first connections.
    pub data_port_refusals: u32,
    /// The ramdisk runs, but restored never listens.
    pub restored_not_listening: bool,
    /// Milliseconds of real time to wait for StartRestore, instead of 120 s of the bench's time (at least 10 s).
    pub start_limit_ms: Option<u64>,
    /// Asks for this component as PersonalizedBootObjectV3 before the kernel, as Macs do.
    pub personalized: Option<String>,
    /// What the updaters of other chips want from the host.
    pub updaters: Updaters,
    /// All this happens to the phone's first restore only: the next one goes well.
    pub once: bool,
    /// `ios12`, `ios16` or `ios18` instead of what fits the chip.
    pub script: Option<String>,
}

impl Faults {
    /// What is left of them after `restores` that were begun.
    fn at(self, restores: usize) -> Faults {
        if !self.once || restores == 0 {
            return self;
        }
        Faults { updaters: self.updaters, script: self.script, ..Faults::default() }
    }
}

/// How updaters of other chips ask, by the age of the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Updaters {
    /// Their own request, and only the ticket back: they have fetched the firmware themselves.
    #[default]
    Tickets,
    /// Their own request, and the firmware beside the ticket.
    Firmware,
    /// No request and no tags: the host makes both.
    Old,
}

#[cfg(test)]
pub(crate) use fdr::Fdr;
#[cfg(test)]
pub(crate) use recovery_os::judge_recovery;
#[cfg(test)]
pub(crate) use updaters::judge_answer;

#[cfg(test)]
mod tests;
