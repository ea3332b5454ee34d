//! Walls between Herstel and the bus: SELinux, sandboxes, containers, WSL, virtual machines.

use super::Diagnosis;
use super::host::Host;
use crate::disk::root::{Root, Seen, clean};
use crate::event::{Cause, Exam, Verdict};

const LOCKDOWN: &str = "var/lib/lockdown";
const SOCKET: &str = "run/usbmuxd";
const BUS: &str = "dev/bus/usb";
/// As DMI or the kernel's own words name them.
const HYPERVISORS: [&str; 12] = [
    "QEMU",
    "KVM",
    "VMware",
    "VirtualBox",
    "innotek",
    "Xen",
    "Virtual Machine",
    "Parallels",
    "Bochs",
    "Google Compute Engine",
    "Amazon EC2",
    "OpenStack",
];

#[derive(Clone, Debug)]
pub(super) struct Walls {
    /// `Some(true)`: SELinux forbids; `Some(false)`: it only writes down.
    pub enforcing: Seen<bool>,
    /// Labels of the folder of pair records and of the socket.
    pub labels: Vec<(String, Option<String>)>,
    pub flatpak_info: Option<String>,
    /// `snap.name.program (enforce)`
    pub confinement: Option<String>,
    /// Marks of a container: where, and what.
    pub container: Vec<(String, String)>,
    pub bus_folder: bool,
    pub any_node: bool,
    pub kernel: Option<String>,
    /// DMI's names and the processor's flag.
    pub machine: Vec<(String, String)>,
    pub hypervisor_flag: bool,
}

impl Walls {
    pub fn read(root: &Root) -> Walls {
        let enforcing = match root.text("sys/fs/selinux/enforce") {
            Seen::Is(text) => Seen::Is(text.trim() == "1"),
            Seen::Absent => Seen::Absent,
            Seen::Refused(why) => Seen::Refused(why),
        };
        let label = |at: &str| {
            let bytes = root.attribute(at, "security.selinux")?;
            Some(clean(String::from_utf8_lossy(&bytes).trim_end_matches('\0')))
        };
        let labels = [LOCKDOWN, SOCKET].iter().filter(|at| root.exists(at));
        let name = |text: String| text.lines().find_map(|l| l.strip_prefix("name=").map(clean)).unwrap_or_default();
        let mut machine = Vec::new();
        for file in ["sys_vendor", "product_name", "board_vendor", "bios_vendor"] {
            let place = format!("sys/class/dmi/id/{file}");
            machine.extend(root.word(&place).map(|word| (format!("/{place}"), word)));
        }
        machine.extend(root.word("sys/hypervisor/type").map(|word| ("/sys/hypervisor/type".to_owned(), word)));
        let processor = root.text("proc/cpuinfo").is().unwrap_or_default();
        let flags = processor.lines().find(|l| l.starts_with("flags"));
        let buses = root.list(BUS);
        Walls {
            enforcing,
            labels: labels.map(|at| (format!("/{at}"), label(at))).collect(),
            flatpak_info: root.text(".flatpak-info").is().map(name),
            confinement: root.word("proc/self/attr/current").filter(|w| w.starts_with("snap.")),
            container: container_marks(root),
            bus_folder: root.exists(BUS),
            any_node: buses.iter().any(|bus| !root.list(&format!("{BUS}/{bus}")).is_empty()),
            kernel: root.word("proc/sys/kernel/osrelease").or_else(|| root.word("proc/version")),
            hypervisor_flag: flags.is_some_and(|l| l.split_whitespace().any(|f| f == "hypervisor")),
            machine,
        }
    }
}

fn container_marks(root: &Root) -> Vec<(String, String)> {
    let mut marks = Vec::new();
    for file in [".dockerenv", "run/.containerenv"] {
        if root.exists(file) {
            marks.push((format!("/{file}"), "there".to_owned()));
        }
    }
    const KINDS: [&str; 7] = ["docker", "lxc", "kubepods", "containerd", "libpod", "garden", "nspawn"];
    let groups = root.text("proc/1/cgroup").is().unwrap_or_default();
    if let Some(line) = groups.lines().find(|l| KINDS.iter().any(|k| l.contains(k))) {
        marks.push(("/proc/1/cgroup".to_owned(), clean(line)));
    }
    let environment = root.text("proc/1/environ").is().unwrap_or_default();
    if let Some(kind) = environment.split('\0').find_map(|v| v.strip_prefix("container=")) {
        marks.push(("/proc/1/environ".to_owned(), format!("container={}", clean(kind))));
    }
    marks.extend(root.word("run/systemd/container").map(|kind| ("/run/systemd/container".to_owned(), kind)));
    marks
}

pub(super) fn selinux(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::Selinux);
    let place = "/sys/fs/selinux/enforce";
    match &host.walls.enforcing {
        Seen::Absent => return out.seen(place, "not there").absent(),
        Seen::Refused(why) => return out.seen(place, why).with(Verdict::Unknown, Cause::Unreadable),
        Seen::Is(false) => return out.seen(place, "0: it writes down and forbids nothing"),
        Seen::Is(true) => out.see(place, "1: enforcing"),
    }
    if host.walls.labels.is_empty() {
        out.see(format!("/{LOCKDOWN}"), "not there yet");
        return out;
    }
    for (place, label) in &host.walls.labels {
        match label {
            Some(label) => {
                out.see(place, label);
                // Both types of the policy carry the daemon's name.
                if !label.contains("usbmuxd") {
                    out.found(Verdict::Warning, Cause::LabelsWrong);
                    out.run(format!("sudo restorecon -Rv {place}"));
                }
            }
            None => {
                out.see(place, "its label cannot be read");
                out.found(Verdict::Unknown, Cause::LabelsUnseen);
                out.run(format!("ls -Zd {place}"));
            }
        }
    }
    out
}

pub(super) fn sandbox(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::Sandbox);
    if host.walls.flatpak_info.is_some() || host.given.variable("FLATPAK_ID").is_some() {
        let name = host.walls.flatpak_info.clone().filter(|n| !n.is_empty());
        let name = name.or_else(|| host.given.variable("FLATPAK_ID").map(clean)).unwrap_or_else(|| "APP".to_owned());
        out.see("/.flatpak-info", &name);
        out.found(Verdict::Warning, Cause::InFlatpak);
        let name = super::rights::quoted(name.as_ref());
        out.run(format!("flatpak override --user --device=all --filesystem=/run/usbmuxd {name}"));
        return out;
    }
    if let Some(confined) = &host.walls.confinement {
        out.see("/proc/self/attr/current", confined);
        return out.with(Verdict::Warning, Cause::InSnap);
    }
    // A terminal that came as a snap leaves the variable to all that is started in it.
    if let Some(snap) = host.given.variable("SNAP") {
        return out.seen("$SNAP", snap).seen("/proc/self/attr/current", "not confined by it");
    }
    out.seen("/.flatpak-info, $SNAP", "not there").absent()
}

pub(super) fn container(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::Container);
    let walls = &host.walls;
    if walls.container.is_empty() {
        return out.seen("/.dockerenv, /run/.containerenv, /proc/1/cgroup", "no mark of a container").absent();
    }
    for (place, seen) in &walls.container {
        out.see(place, seen);
    }
    let lost: Vec<_> = host.apple.iter().filter(|a| a.on_sysfs && a.stat.is_none()).collect();
    for apple in &lost {
        let node = apple.node.as_deref().unwrap_or("/dev/bus/usb");
        out.see(node, format!("not there, though the kernel shows {}", apple.title()));
        out.found(Verdict::Blocking, Cause::NodesMissing);
    }
    if lost.is_empty() && !walls.any_node {
        out.see(format!("/{BUS}"), if walls.bus_folder { "empty" } else { "not there" });
        out.found(Verdict::Warning, Cause::NoUsbFolder);
    }
    if out.cause.is_some() {
        let flags = "-v /dev/bus/usb:/dev/bus/usb --device-cgroup-rule 'c 189:* rmw' -v /run/udev:/run/udev:ro";
        out.run(format!("docker run -v /run/usbmuxd:/run/usbmuxd {flags} IMAGE"));
    }
    out
}

fn is_wsl(host: &Host) -> bool {
    let kernel = host.walls.kernel.as_deref().unwrap_or_default().to_ascii_lowercase();
    kernel.contains("microsoft") || host.given.variable("WSL_DISTRO_NAME").is_some()
}

pub(super) fn wsl(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::Wsl);
    let kernel = host.walls.kernel.as_deref().unwrap_or("not told");
    out.see("/proc/sys/kernel/osrelease", kernel);
    if !is_wsl(host) {
        return out.absent();
    }
    out.found(Verdict::Warning, Cause::InWsl);
    out.run("usbipd list");
    out.run("usbipd bind --force --busid BUSID");
    out.run("usbipd attach --wsl --auto-attach --busid BUSID");
    out
}

pub(super) fn virtual_machine(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::VirtualMachine);
    let walls = &host.walls;
    if is_wsl(host) {
        return out.seen("/proc/sys/kernel/osrelease", "see wsl").absent();
    }
    for (place, word) in &walls.machine {
        if HYPERVISORS.iter().any(|h| word.to_ascii_lowercase().contains(&h.to_ascii_lowercase())) {
            out.see(place, word);
            out.found(Verdict::Warning, Cause::InVirtualMachine);
        }
    }
    if walls.hypervisor_flag {
        out.see("/proc/cpuinfo", "hypervisor");
        out.found(Verdict::Warning, Cause::InVirtualMachine);
    }
    if out.cause.is_none() {
        return out.seen("/sys/class/dmi/id, /proc/cpuinfo", "no mark of one").absent();
    }
    out
}
