//! What a device that is there says of its own lock and of this computer.

use super::Diagnosis;
use super::host::{Host, Known};
use crate::device::Trust;
use crate::event::{Cause, Exam, Verdict};

fn in_normal(host: &Host) -> impl Iterator<Item = (&Known, Trust)> {
    host.given.devices.iter().filter_map(|d| Some((d, d.trust?)))
}

fn about(exam: Exam, host: &Host, bad: Trust) -> (Diagnosis, Vec<&Known>) {
    let mut out = Diagnosis::of(exam);
    let mut found = Vec::new();
    for (device, trust) in in_normal(host) {
        let name = device.name.as_ref().map_or(String::new(), |name| format!(" ({name})"));
        out.see(format!("{}{name}", device.title), format!("trust: {}", trust.as_str()));
        if trust == bad {
            found.push(device);
        }
    }
    if out.evidence.is_empty() {
        out = out.seen("usbmuxd", "no device in normal mode that tells").absent();
    }
    (out, found)
}

/// After a restart no session opens before the passcode was typed once.
pub(super) fn unlocked(host: &Host) -> Diagnosis {
    let (mut out, found) = about(Exam::Unlocked, host, Trust::Locked);
    for device in found {
        out.found(Verdict::Warning, Cause::LockedSinceBoot);
        out.run(with_device("herstel", device, "pair"));
    }
    out
}

pub(super) fn stale(host: &Host) -> Diagnosis {
    let (mut out, found) = about(Exam::Trust, host, Trust::Stale);
    for device in found {
        out.found(Verdict::Warning, Cause::TrustStale);
        out.run(with_device("herstel", device, "pair --reset"));
    }
    out
}

fn with_device(program: &str, device: &Known, verb: &str) -> String {
    match &device.name {
        Some(name) => format!("{program} -d {name} {verb}"),
        None => format!("{program} {verb}"),
    }
}

/// An answer, not a fault: it stands here because everybody asks.
pub(super) fn locked_device(_: &Host) -> Diagnosis {
    Diagnosis::of(Exam::LockedDevice).with(Verdict::Good, Cause::LockedCanBeRestored).runs("herstel triage")
}
