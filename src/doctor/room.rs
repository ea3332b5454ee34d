//! What lets a long job down half way: sleep, a suspended port, an empty battery, a full disk.

use super::Diagnosis;
use super::host::Host;
use crate::disk::root::{Root, Seen};
use crate::event::{Cause, Exam, Verdict};

/// Three of the largest firmware files: the download, what is built of it, and the next one.
const ENOUGH: u64 = 30_000_000_000;
/// Not even one.
const NONE: u64 = 12_000_000_000;
/// For a backup of a phone that is not full.
const BACKUP: u64 = 20_000_000_000;
const BACKUP_NONE: u64 = 2_000_000_000;
const CHARGE: u64 = 20;
const TLP: &str = "etc/tlp.conf";

#[derive(Clone, Debug, Default)]
pub(super) struct Supply {
    pub inhibitor: Option<String>,
    pub tlp: Option<String>,
    pub tlp_text: Option<String>,
    pub tlp_refused: Option<String>,
    /// `usbcore.autosuspend`, in seconds.
    pub autosuspend: Option<String>,
    /// Batteries of the computer: place, percent, discharging.
    pub batteries: Vec<(String, u64, bool)>,
}

impl Supply {
    pub fn read(root: &Root) -> Supply {
        let mut out = Supply {
            inhibitor: root.program("systemd-inhibit"),
            tlp: root.program("tlp"),
            autosuspend: root.word("sys/module/usbcore/parameters/autosuspend"),
            ..Supply::default()
        };
        match root.text(TLP) {
            Seen::Is(text) => out.tlp_text = Some(text),
            Seen::Absent => {}
            Seen::Refused(why) => out.tlp_refused = Some(why),
        }
        for name in root.list("sys/class/power_supply") {
            let folder = format!("sys/class/power_supply/{name}");
            let word = |file: &str| root.word(&format!("{folder}/{file}"));
            // Mice and phones have batteries too; theirs is the scope "Device".
            if word("type").as_deref() != Some("Battery") || word("scope").as_deref() == Some("Device") {
                continue;
            }
            if let Some(percent) = root.number(&format!("{folder}/capacity")) {
                let empties = word("status").as_deref() == Some("Discharging");
                out.batteries.push((format!("/{folder}"), percent, empties));
            }
        }
        out
    }

    /// A value of TLP's own file; the last line counts.
    fn tlp_value(&self, key: &str) -> Option<String> {
        let lines = self.tlp_text.as_deref()?.lines().map(str::trim);
        let mut values = lines.filter_map(|l| l.strip_prefix(key)?.trim_start().strip_prefix('='));
        values.next_back().map(|v| v.trim().trim_matches('"').to_ascii_lowercase())
    }
}

pub(super) fn autosuspend(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::Autosuspend);
    for apple in host.apple.iter().filter(|a| a.on_sysfs) {
        let place = format!("/sys/bus/usb/devices/{}/power/control", apple.port);
        let Some(control) = &apple.control else { continue };
        out.see(&place, format!("{control}, {}", apple.title()));
        if control == "auto" {
            out.found(Verdict::Warning, Cause::SuspendOn);
            out.run(format!("echo on | sudo tee {}", super::rights::quoted(place.as_ref())));
        }
    }
    let supply = &host.supply;
    if let Some(tlp) = &supply.tlp {
        out.see(tlp, "installed");
        let on = supply.tlp_value("USB_AUTOSUSPEND").is_none_or(|v| v != "0");
        let spared =
            ["USB_DENYLIST", "USB_BLACKLIST"].iter().any(|k| supply.tlp_value(k).is_some_and(|v| v.contains("05ac")))
                || supply.tlp_value("USB_EXCLUDE_PHONE").is_some_and(|v| v == "1");
        if let Some(why) = &supply.tlp_refused {
            out.see(format!("/{TLP}"), why);
            out.found(Verdict::Unknown, Cause::Unreadable);
        } else if on && !spared {
            out.see(format!("/{TLP}"), "USB_AUTOSUSPEND is on, and nothing of Apple's is left out");
            out.found(Verdict::Warning, Cause::TlpSuspends);
            out.run("sudoedit /etc/tlp.conf   # USB_DENYLIST=\"05ac:1227 05ac:1281 05ac:12a8 05ac:f014\"");
            out.run("sudo tlp start");
        }
    }
    if out.evidence.is_empty() {
        out.see("/sys/bus/usb/devices", "no device of Apple's tells of it, and there is no TLP");
    }
    if let Some(seconds) = &supply.autosuspend {
        out.see("/sys/module/usbcore/parameters/autosuspend", seconds);
    }
    out
}

pub(super) fn sleep(host: &Host) -> Diagnosis {
    let out = Diagnosis::of(Exam::Sleep);
    match &host.supply.inhibitor {
        Some(program) => out.seen(program, "installed"),
        None => out.seen("systemd-inhibit", "not found").with(Verdict::Warning, Cause::NoInhibitor),
    }
}

pub(super) fn power(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::ComputerPower);
    for (place, percent, empties) in &host.supply.batteries {
        out.see(place, format!("{percent} %, {}", if *empties { "discharging" } else { "not discharging" }));
        if *empties && *percent < CHARGE {
            out.found(Verdict::Warning, Cause::BatteryLow);
        }
    }
    if host.supply.batteries.is_empty() { out.seen("/sys/class/power_supply", "no battery").absent() } else { out }
}

pub(super) fn room(host: &Host, exam: Exam) -> Diagnosis {
    let mut out = Diagnosis::of(exam);
    let (enough, none, hopeless) = match exam {
        Exam::RoomFirmware => (ENOUGH, NONE, Verdict::Blocking),
        _ => (BACKUP, BACKUP_NONE, Verdict::Warning),
    };
    for room in host.given.rooms.iter().filter(|r| r.exam == exam) {
        let place = room.folder.display().to_string();
        match &room.free {
            Ok(free) => {
                out.see(place, format!("{} GB free", free / 1_000_000_000));
                if *free < none {
                    out.found(hopeless, Cause::RoomNone);
                } else if *free < enough {
                    out.found(Verdict::Warning, Cause::RoomShort);
                }
            }
            Err(why) => {
                out.see(place, why);
                out.found(Verdict::Unknown, Cause::RoomUnseen);
            }
        }
    }
    if exam == Exam::RoomFirmware && matches!(out.cause, Some(Cause::RoomNone | Cause::RoomShort)) {
        out.run("herstel firmware cache");
    }
    if exam == Exam::RoomBackups && matches!(out.cause, Some(Cause::RoomNone | Cause::RoomShort)) {
        out.run("herstel backups prune --keep 2 --dry-run");
    }
    if out.evidence.is_empty() {
        return out.seen("folders", "none was given").with(Verdict::Unknown, Cause::RoomUnseen);
    }
    out
}
