//! What a desktop does with a phone by itself: file managers, ModemManager, the tethering driver.

use super::Diagnosis;
use super::bus::Apple;
use super::host::Host;
use super::rights::INSTALL;
use crate::disk::root::{Root, Seen};
use crate::event::{Cause, Exam, Verdict};
use crate::facts::modes::{PID_DFU, PID_PORT_DFU, PID_RECOVERY};

/// Mount a phone as a camera or a disk as soon as it is plugged in.
const FILE_MANAGERS: [&str; 6] =
    ["gvfs-gphoto2-volume-monitor", "gvfsd-gphoto2", "gvfs-afc-volume-monitor", "gvfsd-afc", "gphoto2", "shotwell"];
const DAEMONS: [&str; 3] = ["usbmuxd", "usbmuxd2", "netmuxd"];
const IPHETH: &str = "sys/bus/usb/drivers/ipheth";

#[derive(Clone, Debug, Default)]
pub(super) struct Desktop {
    /// Interfaces that ipheth has, as sysfs names them; none: the driver is not loaded.
    pub ipheth: Option<Vec<String>>,
    pub ipheth_refused: Option<String>,
    /// What udev's own database says of a node that is there: the file, and whether ModemManager is to keep off.
    pub kept_off: Vec<(String, u16, Seen<bool>)>,
}

impl Desktop {
    pub fn read(root: &Root, apple: &[Apple]) -> Desktop {
        let mut out = Desktop::default();
        match root.names(IPHETH) {
            Seen::Is(names) => out.ipheth = Some(names.into_iter().filter(|n| n.contains(':')).collect()),
            Seen::Absent => {}
            Seen::Refused(why) => out.ipheth_refused = Some(why),
        }
        for one in apple.iter().filter(|a| !a.is_normal()) {
            let Some(minor) = one.minor else { continue };
            let file = format!("run/udev/data/c189:{minor}");
            let kept = match root.text(&file) {
                Seen::Is(text) => Seen::Is(text.lines().any(|l| l == "E:ID_MM_DEVICE_IGNORE=1")),
                Seen::Absent => Seen::Absent,
                Seen::Refused(why) => Seen::Refused(why),
            };
            out.kept_off.push((format!("/{file}"), one.product, kept));
        }
        out
    }
}

pub(super) fn holders(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::Holders);
    let processes = &host.processes;
    if let Some(why) = &processes.refused {
        return out.seen("/proc", why).with(Verdict::Unknown, Cause::Unreadable);
    }
    let nodes: Vec<&str> = host.apple.iter().filter_map(|a| a.node.as_deref()).collect();
    for node in &nodes {
        for holder in processes.holding(node).filter(|p| !DAEMONS.contains(&p.name.as_str())) {
            out.see(format!("/proc/{}/fd", holder.pid), format!("{} holds {node}", holder.name));
            if FILE_MANAGERS.contains(&holder.name.as_str()) {
                out.found(Verdict::Warning, Cause::FilesGrab);
                out.run("gio mount -l | grep -i -e gphoto2 -e afc");
                out.run("gio mount -u gphoto2://HOST");
                out.run("systemctl --user stop gvfs-gphoto2-volume-monitor gvfs-afc-volume-monitor");
            } else {
                out.found(Verdict::Warning, Cause::OtherHolds);
                out.run(format!("ps -o pid,user,args -p {}", holder.pid));
            }
        }
    }
    let waiting = processes.named(&FILE_MANAGERS);
    for one in waiting.iter().filter(|p| p.nodes.is_empty()) {
        out.see(format!("/proc/{}", one.pid), format!("{} runs and holds nothing now", one.name));
    }
    if nodes.is_empty() && out.evidence.is_empty() {
        return out.seen("/dev/bus/usb", "no node of a device of Apple's").absent();
    }
    if out.cause.is_none() && !nodes.is_empty() {
        out.see("/proc/*/fd", format!("nobody else holds {}", nodes.join(", ")));
    }
    if !nodes.is_empty() && processes.hidden > 0 {
        out.see("/proc/*/fd", format!("{} programs of other users cannot be looked into", processes.hidden));
        out.run("sudo fuser -v /dev/bus/usb/*/*");
        out.found(Verdict::Unknown, Cause::Unreadable);
    }
    out
}

pub(super) fn modem_manager(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::ModemManager);
    if let Some(why) = &host.processes.refused {
        return out.seen("/proc", why).with(Verdict::Unknown, Cause::Unreadable);
    }
    let running = host.processes.named(&["ModemManager"]);
    let Some(first) = running.first() else { return out.seen("/proc", "ModemManager does not run").absent() };
    out.see(format!("/proc/{}", first.pid), "ModemManager runs");
    let mut probed = false;
    for (file, product, kept) in &host.desktop.kept_off {
        let seen = match kept {
            Seen::Is(true) => "ID_MM_DEVICE_IGNORE=1",
            Seen::Is(false) => "no ID_MM_DEVICE_IGNORE",
            Seen::Absent => "not there",
            Seen::Refused(why) => why,
        };
        out.see(file, format!("05ac:{product:04x}: {seen}"));
        probed |= matches!(kept, Seen::Is(false));
    }
    for product in [PID_RECOVERY, PID_DFU, PID_PORT_DFU] {
        let kept = host.rules.granted(product).modem_manager_keeps_off;
        let seen = if kept { "a rule keeps ModemManager off" } else { "no rule keeps ModemManager off" };
        out.see(format!("05ac:{product:04x}"), seen);
        probed |= !kept;
    }
    if probed {
        out.found(Verdict::Warning, Cause::ModemProbes);
        out.run(INSTALL);
        out.run("sudo systemctl stop ModemManager");
    }
    out
}

pub(super) fn tethering(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::Tethering);
    let place = format!("/{IPHETH}");
    if let Some(why) = &host.desktop.ipheth_refused {
        return out.seen(place, why).with(Verdict::Unknown, Cause::Unreadable);
    }
    let Some(bound) = &host.desktop.ipheth else { return out.seen(place, "the driver is not loaded").absent() };
    if bound.is_empty() {
        return out.seen(place, "it has no device");
    }
    for interface in bound {
        out.see(format!("{place}/{interface}"), "bound");
    }
    if host.processes.runs("NetworkManager") {
        out.see("/proc", "NetworkManager runs");
    }
    // Both beside each other is how it should be.
    let taken = host.unseen_by_usbmuxd();
    let port = |interface: &String| interface.split(':').next().unwrap_or_default().to_owned();
    if bound.iter().map(port).any(|p| taken.iter().any(|a| a.port == p)) {
        out.found(Verdict::Warning, Cause::TetheringTakes);
        out.run("sudo modprobe -r ipheth");
        out.run("sudo systemctl restart usbmuxd");
    }
    out
}
