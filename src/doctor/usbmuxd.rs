//! usbmuxd: does it answer, with whom, and who starts it?
//!
//! It is started when a phone is plugged in and ends when the last one goes; so "nobody answers" is bad news only while
//! a phone in normal mode is there, or where it is not installed at all.

use super::Diagnosis;
use super::host::{Host, Muxed};
use crate::disk::root::Root;
use crate::event::{Cause, Exam, Verdict};
use crate::facts::modes::PID_IPHONE;

const UNITS: [&str; 4] = [
    "etc/systemd/system/usbmuxd.service",
    "usr/lib/systemd/system/usbmuxd.service",
    "lib/systemd/system/usbmuxd.service",
    "usr/local/lib/systemd/system/usbmuxd.service",
];

/// What of it is installed.
#[derive(Clone, Debug, Default)]
pub(super) struct Install {
    pub program: Option<String>,
    pub unit: Option<String>,
}

impl Install {
    pub fn read(root: &Root) -> Install {
        let first = |paths: &[&str]| paths.iter().find(|p| root.exists(p)).map(|p| format!("/{p}"));
        Install { program: root.program("usbmuxd").or_else(|| root.program("usbmuxd2")), unit: first(&UNITS) }
    }

    /// By systemd, else by hand.
    fn start(&self) -> &'static str {
        if self.unit.is_some() { "sudo systemctl start usbmuxd" } else { "sudo usbmuxd" }
    }
}

pub(super) fn answers(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::Usbmuxd);
    let given = &host.given;
    let elsewhere = given.variable("USBMUXD_SOCKET_ADDRESS").filter(|_| !given.is_virtual);
    if let Some(value) = elsewhere {
        out.see("$USBMUXD_SOCKET_ADDRESS", value);
    }
    match &given.muxed {
        Muxed::Answers(serials) => {
            out.see(&given.mux_address, format!("answers, {} on a cable", serials.len()));
            for apple in host.unseen_by_usbmuxd() {
                let place = if apple.on_sysfs { "/sys/bus/usb/devices" } else { given.bus_name.as_str() };
                out.see(place, format!("{}, not on usbmuxd", apple.title()));
                out.found(Verdict::Warning, Cause::MuxBlind);
            }
            if out.cause.is_some() {
                out.run("sudo systemctl restart usbmuxd");
            }
        }
        Muxed::Garbage(why) => {
            out.see(&given.mux_address, why);
            out.found(Verdict::Blocking, Cause::MuxGarbage);
            out.run("sudo ss -xlp | grep usbmuxd");
        }
        Muxed::Refused(why) => {
            out.see(&given.mux_address, why);
            out.found(Verdict::Blocking, Cause::MuxRefused);
            out.run("ls -lL /var/run/usbmuxd");
        }
        Muxed::Silent(why) => {
            out.see(&given.mux_address, why);
            out.found(Verdict::Blocking, Cause::MuxSilent);
            out.run("sudo systemctl restart usbmuxd");
        }
        Muxed::Away(why) => {
            out.see(&given.mux_address, why);
            let there = host.normal().count();
            if let Some(program) = &host.install.program {
                out.see(program, "installed");
            }
            if elsewhere.is_some() {
                out.found(Verdict::Blocking, Cause::MuxElsewhere);
                out.run("unset USBMUXD_SOCKET_ADDRESS");
            } else if host.install.program.is_none() && host.install.unit.is_none() && !host.processes.runs("usbmuxd") {
                out.found(Verdict::Blocking, Cause::MuxMissing);
                out.run("sudo apt install usbmuxd");
                out.run("sudo dnf install usbmuxd");
                out.run("sudo pacman -S usbmuxd");
            } else if there > 0 || given.is_virtual {
                for apple in host.normal() {
                    out.see(format!("/sys/bus/usb/devices/{}", apple.port), apple.title());
                }
                out.found(Verdict::Blocking, Cause::MuxSilent);
                out.run(host.install.start());
            } else {
                out.found(Verdict::Good, Cause::MuxAsleep);
            }
        }
    }
    out
}

pub(super) fn starts(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::UsbmuxdStart);
    let install = &host.install;
    let Some(program) = &install.program else { return out.seen("usbmuxd", "no program of this name").absent() };
    out.see(
        program,
        host.packages.version_of("usbmuxd").map_or("its version is not known".to_owned(), |v| v.to_string()),
    );
    let granted = host.rules.granted(PID_IPHONE);
    let rule = if granted.starts_usbmuxd { granted.by.join(", ") } else { String::new() };
    let away = matches!(host.given.muxed, Muxed::Away(_) | Muxed::Silent(_));
    if granted.starts_usbmuxd {
        out.see(rule, "starts it when a phone comes");
        if away && host.normal().next().is_some() {
            out.found(Verdict::Warning, Cause::StartFailed);
            out.run(install.start());
            out.run("systemctl status usbmuxd");
        }
    } else if !host.rules.any_folder {
        out.see("/etc/udev/rules.d, /usr/lib/udev/rules.d", "there is no udev here");
        if away {
            out.found(Verdict::Warning, Cause::NoStartRule);
            out.run(install.start());
        }
    } else {
        out.see("/etc/udev/rules.d, /usr/lib/udev/rules.d", "no rule starts it");
        // One that runs all the time needs no rule.
        if away || !host.processes.runs("usbmuxd") {
            out.found(Verdict::Warning, Cause::NoStartRule);
            out.run(install.start());
        }
    }
    out
}
