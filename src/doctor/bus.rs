//! Cable, port, hub and their power: what the kernel's copy of the bus tells.

use super::Diagnosis;
use super::host::{Given, Host};
use crate::disk::root::{Root, Stat, clean};
use crate::event::{Cause, Exam, Verdict};
use crate::facts::modes;
use crate::ids::{Mode, PortPath};
use crate::usb::BusEvent;
use crate::usb::topology::{DEVICES, Route, Topology};
use std::collections::BTreeMap;

/// Megabits per second that every iPhone and iPad with USB 2 makes, in every mode.
const FULL: u64 = 480;
/// At once; people who do this for a living stay below.
const MANY: usize = 10;

/// One device of Apple's, by sysfs and by the bus.
#[derive(Clone, Debug, Default)]
pub(super) struct Apple {
    pub port: String,
    pub product: u16,
    pub serial: Option<String>,
    /// libusb was refused.
    pub refused: bool,
    /// The bus that Herstel asks shows it.
    pub on_bus: bool,
    pub on_sysfs: bool,
    pub speed: Option<u64>,
    /// `on` or `auto`.
    pub control: Option<String>,
    pub minor: Option<u64>,
    /// `/dev/bus/usb/001/005`
    pub node: Option<String>,
    pub stat: Option<Stat>,
    pub acl: Option<Vec<u8>>,
}

impl Apple {
    pub fn mode(&self) -> Mode {
        modes::of_product(self.product).unwrap_or(Mode::Unknown)
    }

    pub fn is_normal(&self) -> bool {
        self.mode() == Mode::Normal
    }

    pub fn title(&self) -> String {
        format!("05ac:{:04x} ({}) at {}", self.product, self.mode(), self.port)
    }

    pub fn read(root: &Root, given: &Given) -> Vec<Apple> {
        let mut found: BTreeMap<String, Apple> = BTreeMap::new();
        let topology = Topology::of(root.clone());
        for name in root.list(DEVICES) {
            let hex = |file: &str| u16::from_str_radix(&root.word(&format!("{DEVICES}/{name}/{file}"))?, 16).ok();
            if name.contains(':') || hex("idVendor") != Some(modes::APPLE) {
                continue;
            }
            let Some(product) = hex("idProduct").filter(|p| modes::of_product(*p).is_some()) else { continue };
            let number =
                |file: &str| root.number(&format!("{DEVICES}/{name}/{file}")).filter(|n| (1..1000).contains(n));
            let mut apple = Apple {
                port: clean(&name),
                product,
                serial: root.word(&format!("{DEVICES}/{name}/serial")),
                on_sysfs: true,
                speed: topology.speed(&PortPath::new(name.as_str())),
                control: root.word(&format!("{DEVICES}/{name}/power/control")),
                ..Apple::default()
            };
            if let (Some(bus), Some(device)) = (number("busnum"), number("devnum")) {
                let node = format!("dev/bus/usb/{bus:03}/{device:03}");
                apple.stat = root.stat(&node).is();
                apple.acl = root.attribute(&node, "system.posix_acl_access");
                apple.minor = Some((bus - 1) * 128 + device - 1);
                apple.node = Some(format!("/{node}"));
            }
            found.insert(name, apple);
        }
        for seen in given.usb.iter().flatten() {
            let apple = found.entry(seen.port.as_str().to_owned()).or_default();
            if apple.product != seen.product {
                // Another one, that came in between; or one of the bench.
                *apple = Apple { port: seen.port.to_string(), product: seen.product, ..Apple::default() };
            }
            apple.on_bus = true;
            apple.refused = seen.no_access;
            apple.serial = seen.serial.clone().or(apple.serial.take());
        }
        found.into_values().collect()
    }
}

/// What hubs and the computer itself tell of power.
#[derive(Clone, Debug, Default)]
pub(super) struct Power {
    pub model: Option<String>,
    /// Ports whose over-current count is not zero.
    pub over: Vec<(String, u64)>,
}

impl Power {
    pub fn read(root: &Root) -> Power {
        let mut over = Vec::new();
        for interface in root.list(DEVICES).into_iter().filter(|n| n.contains(':')) {
            let folder = format!("{DEVICES}/{interface}");
            for port in root.list(&folder).into_iter().filter(|n| n.contains("-port")) {
                let file = format!("{folder}/{port}/over_current_count");
                if let Some(count) = root.number(&file).filter(|n| *n > 0) {
                    over.push((format!("/{file}"), count));
                }
            }
        }
        Power { model: root.word("proc/device-tree/model"), over }
    }
}

/// Is there a bus that can be listed, and does it show what the kernel shows?
pub(super) fn listed(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::Usb);
    match &host.given.usb {
        Ok(devices) => {
            out.see(&host.given.bus_name, format!("{} of Apple's in a mode that Herstel knows", devices.len()))
        }
        Err(why) => {
            out.see(&host.given.bus_name, why);
            out.found(Verdict::Blocking, Cause::UsbAway);
        }
    }
    if let Some(why) = &host.given.no_bus {
        out.see(&host.given.bus_name, why);
        // Normal mode needs usbmuxd's socket alone.
        out.found(Verdict::Warning, Cause::NoBus);
    }
    if !host.given.is_virtual {
        for apple in host.apple.iter().filter(|a| a.on_sysfs && !a.on_bus) {
            out.see(format!("/{DEVICES}/{}", apple.port), format!("{}, not on {}", apple.title(), host.given.bus_name));
            out.found(Verdict::Blocking, Cause::UsbAway);
        }
    }
    out
}

pub(super) fn power(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::UsbPower);
    for (place, count) in &host.power.over {
        out.see(place, count.to_string());
        out.found(Verdict::Warning, Cause::OverCurrent);
    }
    if host.apple.len() > MANY {
        out.see(&host.given.bus_name, format!("devices of Apple's: {}", host.apple.len()));
        out.found(Verdict::Warning, Cause::ManyPhones);
    }
    if let Some(model) = host.power.model.as_deref().filter(|m| m.contains("Raspberry Pi")) {
        out.see("/proc/device-tree/model", model);
        out.found(Verdict::Warning, Cause::RaspberryPi);
        out.run("vcgencmd get_throttled");
    }
    if out.cause == Some(Cause::OverCurrent) {
        out.run("sudo dmesg | grep -i over-current");
    }
    if out.cause.is_none() {
        out.see(format!("/{DEVICES}/*/*-port*/over_current_count"), "0 or not told");
    }
    out
}

pub(super) fn speed(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::UsbSpeed);
    let mut told = 0;
    for apple in host.apple.iter().filter(|a| a.on_sysfs) {
        let place = format!("/{DEVICES}/{}/speed", apple.port);
        match apple.speed {
            Some(speed) => {
                told += 1;
                out.see(place, format!("{speed} Mbit/s, {}", apple.title()));
                if speed < FULL {
                    out.found(Verdict::Warning, Cause::SlowLink);
                }
            }
            None => {
                out.see(place, "not told");
                out.found(Verdict::Unknown, Cause::Unreadable);
            }
        }
    }
    if told > 0 || out.cause.is_some() {
        return out;
    }
    out.seen(format!("/{DEVICES}"), "no device of Apple's").absent()
}

/// By the dots of the port: `4-1.3.2` hangs behind two hubs.
pub(super) fn depth(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::HubDepth);
    for apple in &host.apple {
        let Some(hubs) = Route::of(&PortPath::new(apple.port.as_str())).map(|route| route.hubs()) else { continue };
        out.see(&apple.port, format!("hubs before 05ac:{:04x}: {hubs}", apple.product));
        if hubs >= 2 {
            out.found(Verdict::Warning, Cause::DeepHubs);
        }
    }
    if host.apple.is_empty() { out.seen(&host.given.bus_name, "no device of Apple's").absent() } else { out }
}

/// What left the bus and came back while somebody watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    pub seconds: u64,
    /// Departures, by port.
    pub left: BTreeMap<String, u32>,
}

/// Counts departures. A second arrival at an address is no departure: only more became known of the same device.
pub fn count_drops(known: &mut BTreeMap<crate::usb::Address, String>, drops: &mut Drops, event: BusEvent) {
    match event {
        BusEvent::Arrived(device) => {
            known.insert(device.address, device.port.to_string());
        }
        BusEvent::Left(address) => {
            if let Some(port) = known.remove(&address) {
                *drops.left.entry(port).or_default() += 1;
            }
        }
    }
}

pub(super) fn drops(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::UsbDrops);
    let Some(drops) = &host.given.drops else {
        return out
            .seen(&host.given.bus_name, "not watched")
            .with(Verdict::NotApplicable, Cause::NotWatched)
            .runs("herstel doctor --watch 20");
    };
    let place = format!("{} for {} s", host.given.bus_name, drops.seconds);
    if drops.left.is_empty() {
        out.see(place, "nothing left the bus");
        return out;
    }
    for (port, count) in &drops.left {
        out.see(&place, format!("{port} left the bus, times: {count}"));
    }
    out.found(Verdict::Warning, Cause::LinkDrops);
    out
}
