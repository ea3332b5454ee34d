//! Is this host ready?
//!
//! Twenty things that people ask when an iPhone is not seen, not trusted or not restored, as looks at this computer.
//! [`Host::read`] gathers: files below one folder (`/`, or a tree of a test), and what only `cli` can know
//! ([`Given`]: the environment, what usbmuxd, the bus and Apple's servers answered). [`examine`] judges: pure functions
//! from what was gathered to a [`Diagnosis`], so that every kind of broken computer can be made up in a test.
//!
//! Nothing is repaired, and nothing is run: commands are said, and a person runs them. What could not be read is
//! unknown, with the reason, and stands in nobody's way. Pair records hold keys: their owners and dates are looked at,
//! never what is in them.

mod bus;
mod desktop;
mod host;
mod net;
mod processes;
mod records;
mod rights;
mod room;
mod software;
#[cfg(test)]
mod tests;
mod trust;
mod udev;
mod usbmuxd;
mod walls;

pub use crate::disk::root::Root;
pub use bus::{Drops, count_drops};
pub use host::{Given, Host, Known, Muxed, Person, ProbeAnswer, Probed, Room};

use crate::disk::root::clean;
use crate::event::{Cause, Exam, Verdict};
use serde::Serialize;

/// One thing that was seen, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    pub place: String,
    pub seen: String,
}

/// What one look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    pub exam: Exam,
    pub verdict: Verdict,
    /// The worst of what is wrong, or what is to be known.
    pub cause: Option<Cause>,
    pub evidence: Vec<Evidence>,
    /// For a person to run; never run here.
    pub commands: Vec<String>,
}

impl Serialize for Diagnosis {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Row<'a> {
            question: u8,
            name: Exam,
            verdict: Verdict,
            cause: Option<Cause>,
            evidence: &'a [Evidence],
            commands: &'a [String],
        }
        let (evidence, commands) = (&self.evidence[..], &self.commands[..]);
        let (question, name) = (self.exam.question(), self.exam);
        Row { question, name, verdict: self.verdict, cause: self.cause, evidence, commands }.serialize(s)
    }
}

impl Diagnosis {
    /// Good until something is found.
    fn of(exam: Exam) -> Diagnosis {
        Diagnosis { exam, verdict: Verdict::Good, cause: None, evidence: Vec::new(), commands: Vec::new() }
    }

    fn seen(mut self, place: impl AsRef<str>, seen: impl AsRef<str>) -> Diagnosis {
        self.see(place, seen);
        self
    }

    fn see(&mut self, place: impl AsRef<str>, seen: impl AsRef<str>) {
        /// More of the same helps nobody.
        const MOST: usize = 24;
        if self.evidence.len() < MOST {
            self.evidence.push(Evidence { place: clean(place.as_ref()), seen: clean(seen.as_ref()) });
        }
    }

    /// What is wrong; of several the worst is kept, of equals the first.
    fn found(&mut self, verdict: Verdict, cause: Cause) {
        if self.cause.is_none() || verdict > self.verdict {
            (self.verdict, self.cause) = (verdict, Some(cause));
        }
    }

    fn with(mut self, verdict: Verdict, cause: Cause) -> Diagnosis {
        self.found(verdict, cause);
        self
    }

    fn absent(mut self) -> Diagnosis {
        if self.cause.is_none() {
            self.verdict = Verdict::NotApplicable;
        }
        self
    }

    fn run(&mut self, command: impl Into<String>) {
        let command = command.into();
        if !self.commands.contains(&command) {
            self.commands.push(command);
        }
    }

    fn runs(mut self, command: impl Into<String>) -> Diagnosis {
        self.run(command);
        self
    }
}

/// Every look, in the order of the questions.
pub fn examine(host: &Host) -> Vec<Diagnosis> {
    Exam::ALL.iter().map(|exam| look(*exam, host)).collect()
}

fn look(exam: Exam, host: &Host) -> Diagnosis {
    match exam {
        Exam::Usbmuxd => usbmuxd::answers(host),
        Exam::Usb => bus::listed(host),
        Exam::UsbmuxdStart => usbmuxd::starts(host),
        Exam::UdevRule => rights::rule(host),
        Exam::UsbRights => rights::node(host),
        Exam::Root => rights::root(host),
        Exam::OneUsbmuxd => records::one_daemon(host),
        Exam::PairRecords => records::records(host),
        Exam::Unlocked => trust::unlocked(host),
        Exam::Trust => trust::stale(host),
        Exam::Libimobiledevice => software::library(host),
        Exam::Holders => desktop::holders(host),
        Exam::ModemManager => desktop::modem_manager(host),
        Exam::Tethering => desktop::tethering(host),
        Exam::Selinux => walls::selinux(host),
        Exam::Sandbox => walls::sandbox(host),
        Exam::Container => walls::container(host),
        Exam::Wsl => walls::wsl(host),
        Exam::VirtualMachine => walls::virtual_machine(host),
        Exam::UsbPower => bus::power(host),
        Exam::UsbSpeed => bus::speed(host),
        Exam::HubDepth => bus::depth(host),
        Exam::UsbDrops => bus::drops(host),
        Exam::LockedDevice => trust::locked_device(host),
        Exam::Autosuspend => room::autosuspend(host),
        Exam::Sleep => room::sleep(host),
        Exam::ComputerPower => room::power(host),
        Exam::RoomFirmware | Exam::RoomBackups => room::room(host, exam),
        Exam::Clock => net::clock(host),
        Exam::AppleHosts => net::hosts(host),
        Exam::Proxy => net::proxy(host),
        Exam::HostsFile => net::hosts_file(host),
        Exam::Resolver => net::resolver(host),
    }
}
