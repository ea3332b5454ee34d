//! Where a port is: its controller, the hubs before it, its speed.
//!
//! A port path such as `1-1.4` begins with the number of a bus, and that is the order in which the kernel found its
//! controllers: after the next boot it may be another. What stays is where the controller sits (its folder in sysfs)
//! and the chain of ports behind it, so that is what names a [`Spot`]. A socket of USB 3 is two ports, on two root hubs
//! of one controller: a phone may use the fast one while iOS runs and the slow one in recovery. The kernel knows which
//! two belong together; a spot is always the slow one of them.
//!
//! Everything is read below a [`Root`], so that a test can make a computer up. What cannot be read is unknown.

use crate::disk::root::Root;
use crate::ids::PortPath;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The kernel's list of what hangs on USB.
pub const DEVICES: &str = "sys/bus/usb/devices";
/// USB allows five hubs between a computer and a device.
const DEEPEST: usize = 7;
/// Of a link of sysfs.
const LONGEST: usize = 512;
/// Megabits per second; root hubs that are faster are the fast side of USB 3.
const FULL: u64 = 480;

/// A port path, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub bus: u32,
    ports: Vec<u8>,
}

impl Route {
    /// None: not what the kernel writes.
    pub fn of(port: &PortPath) -> Option<Route> {
        let (bus, ports) = port.as_str().split_once('-')?;
        let ports: Vec<u8> = ports.split('.').map(number).collect::<Option<_>>()?;
        let bus = number::<u32>(bus)?;
        (!ports.is_empty() && ports.len() <= DEEPEST).then_some(Route { bus, ports })
    }

    /// Hubs that one can pull out, between the computer and the device.
    pub fn hubs(&self) -> usize {
        self.ports.len().saturating_sub(1)
    }

    /// `1.4`: the ports behind the root hub.
    pub fn chain(&self) -> String {
        self.ports.iter().map(u8::to_string).collect::<Vec<_>>().join(".")
    }

    /// The folder of sysfs that knows this port: of the root hub, or of the hub before it.
    fn folder(&self) -> Option<String> {
        let (last, before) = self.ports.split_last()?;
        let bus = self.bus;
        if before.is_empty() {
            return Some(format!("{DEVICES}/{bus}-0:1.0/usb{bus}-port{last}"));
        }
        let hub: Vec<String> = before.iter().map(u8::to_string).collect();
        let hub = format!("{bus}-{}", hub.join("."));
        Some(format!("{DEVICES}/{hub}:1.0/{hub}-port{last}"))
    }
}

/// Without signs and leading zeroes, and not zero: one text for one port.
fn number<N: std::str::FromStr + PartialOrd + From<u8>>(text: &str) -> Option<N> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|n| plain && *n > N::from(0))
}

/// Where a controller sits, e.g. `pci0000:00/0000:00:14.0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ControllerId(String);

impl ControllerId {
    /// From a file that a person may have edited.
    pub fn new(text: &str) -> Option<ControllerId> {
        let plain = text.chars().all(|c| c.is_ascii_graphic());
        (!text.is_empty() && text.len() <= LONGEST && plain).then(|| ControllerId(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ControllerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A port that is the same one after the next boot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spot {
    pub controller: ControllerId,
    /// `1.4`; with `fast:` before it where only the fast side of USB 3 is known.
    pub chain: String,
}

/// The bus as the kernel shows it.
#[derive(Clone, Debug)]
pub struct Topology(Option<Root>);

impl Topology {
    pub fn of(root: Root) -> Topology {
        Topology(Some(root))
    }

    /// Of a bus that the kernel does not know, such as the bench's.
    pub fn unknown() -> Topology {
        Topology(None)
    }

    /// How many devices share a controller is what limits them.
    pub fn controller(&self, port: &PortPath) -> Option<ControllerId> {
        self.of_bus(Route::of(port)?.bus)
    }

    fn of_bus(&self, bus: u32) -> Option<ControllerId> {
        let link = self.0.as_ref()?.link(&format!("{DEVICES}/usb{bus}")).is()?;
        let (before, hub) = link.rsplit_once('/')?;
        let (up, place) = before.split_once("devices/")?;
        let ours = hub == format!("usb{bus}") && up.split('/').all(|part| part.is_empty() || part == "..");
        ControllerId::new(place).filter(|_| ours)
    }

    /// Megabits per second that were agreed on with what hangs there now.
    pub fn speed(&self, port: &PortPath) -> Option<u64> {
        Route::of(port)?;
        self.speed_of(port.as_str())
    }

    fn speed_of(&self, device: &str) -> Option<u64> {
        let speed = self.0.as_ref()?.word(&format!("{DEVICES}/{device}/speed"))?;
        speed.split('.').next()?.parse().ok()
    }

    fn is_fast(&self, bus: u32) -> bool {
        self.speed_of(&format!("usb{bus}")).is_some_and(|speed| speed > FULL)
    }

    /// The other port of the same socket.
    fn peer(&self, route: &Route) -> Option<Route> {
        let link = self.0.as_ref()?.link(&format!("{}/peer", route.folder()?)).is()?;
        let (hub, port) = link.rsplit('/').next()?.rsplit_once("-port")?;
        let path = match hub.strip_prefix("usb") {
            Some(bus) => format!("{bus}-{port}"),
            None => format!("{hub}.{port}"),
        };
        Route::of(&PortPath::new(path))
    }

    /// The lasting name of a port.
    pub fn spot(&self, port: &PortPath) -> Option<Spot> {
        let route = Route::of(port)?;
        let controller = self.of_bus(route.bus)?;
        if !self.is_fast(route.bus) {
            return Some(Spot { controller, chain: route.chain() });
        }
        let slow = self.peer(&route).filter(|peer| !self.is_fast(peer.bus));
        match slow.and_then(|slow| Some((self.of_bus(slow.bus)?, slow))) {
            Some((controller, slow)) => Some(Spot { controller, chain: slow.chain() }),
            None => Some(Spot { controller, chain: format!("fast:{}", route.chain()) }),
        }
    }

    /// The port path that this spot has today.
    pub fn port(&self, spot: &Spot) -> Option<PortPath> {
        let (fast, chain) = match spot.chain.strip_prefix("fast:") {
            Some(chain) => (true, chain),
            None => (false, spot.chain.as_str()),
        };
        let names = self.0.as_ref()?.list(DEVICES);
        let buses = names.iter().filter_map(|name| number::<u32>(name.strip_prefix("usb")?));
        let ours =
            |bus: &u32| self.is_fast(*bus) == fast && self.of_bus(*bus).is_some_and(|place| place == spot.controller);
        let path = PortPath::new(format!("{}-{chain}", buses.into_iter().find(ours)?));
        Route::of(&path).map(|_| path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    const BOARD: &str = "pci0000:00/0000:00:14.0";
    const CARD: &str = "pci0000:00/0000:00:1c.0/0000:03:00.0";

    fn port(text: &str) -> PortPath {
        PortPath::new(text)
    }

    fn hub(root: &Path, bus: u32, controller: &str, speed: &str) {
        let real = root.join("sys/devices").join(controller).join(format!("usb{bus}"));
        fs::create_dir_all(&real).unwrap();
        fs::write(real.join("speed"), speed).unwrap();
        let list = root.join(DEVICES);
        fs::create_dir_all(&list).unwrap();
        symlink(format!("../../../devices/{controller}/usb{bus}"), list.join(format!("usb{bus}"))).unwrap();
    }

    fn peers(root: &Path, folder: &str, to: &str) {
        let folder = root.join(DEVICES).join(folder);
        fs::create_dir_all(&folder).unwrap();
        symlink(to, folder.join("peer")).unwrap();
    }

    /// The controller of the board with its slow bus and its fast one, and a card.
    fn computer(buses: [u32; 3]) -> (tempfile::TempDir, Topology) {
        let folder = tempfile::tempdir().unwrap();
        let [slow, fast, card] = buses;
        hub(folder.path(), slow, BOARD, "480\n");
        hub(folder.path(), fast, BOARD, "10000\n");
        hub(folder.path(), card, CARD, "480\n");
        peers(folder.path(), &format!("{fast}-0:1.0/usb{fast}-port1"), &format!("../../x/usb{slow}-port5"));
        peers(folder.path(), &format!("{fast}-1:1.0/{fast}-1-port2"), &format!("../../x/{slow}-5-port2"));
        let topology = Topology::of(Root::new(folder.path()));
        (folder, topology)
    }

    #[test]
    fn port_paths_are_taken_apart() {
        let route = Route::of(&port("4-1.3.2")).unwrap();
        assert_eq!((route.bus, route.hubs(), route.chain().as_str()), (4, 2, "1.3.2"));
        assert_eq!(Route::of(&port("12-14")).unwrap().hubs(), 0);
        for bad in
            ["", "1", "1-", "-1", "1-0", "0-1", "1-01", "1-+1", "1-1.", "1-1:1.0", "usb1", "1-256", "1-1.1.1.1.1.1.1.1"]
        {
            assert_eq!(Route::of(&port(bad)), None, "{bad:?}");
        }
    }

    #[test]
    fn both_buses_of_a_controller_are_one_controller() {
        let (_folder, topology) = computer([1, 2, 3]);
        let of = |path: &str| topology.controller(&port(path)).map(|c| c.to_string());
        assert_eq!(of("1-5.2").as_deref(), Some(BOARD));
        assert_eq!(of("2-1"), of("1-5.2"));
        assert_eq!(of("3-1").as_deref(), Some(CARD));
        assert_eq!((of("9-1"), of("nothing")), (None, None));
        assert_eq!(Topology::unknown().controller(&port("1-5")), None);
    }

    #[test]
    fn a_spot_outlives_a_boot_that_counts_the_buses_otherwise() {
        let (_before, before) = computer([1, 2, 3]);
        let (_after, after) = computer([3, 4, 1]);
        for (then, now) in [("1-5.2", "3-5.2"), ("3-1.4", "1-1.4")] {
            let spot = before.spot(&port(then)).unwrap();
            assert_eq!(after.spot(&port(now)), Some(spot.clone()));
            assert_eq!(after.port(&spot), Some(port(now)));
            assert_eq!(before.port(&spot), Some(port(then)));
        }
        let gone = Spot { controller: ControllerId::new("pci0000:00/none").unwrap(), chain: "1".into() };
        assert_eq!(after.port(&gone), None);
    }

    #[test]
    fn a_socket_of_usb_3_is_one_spot() {
        let (_folder, topology) = computer([1, 2, 3]);
        assert_eq!(topology.spot(&port("2-1")), topology.spot(&port("1-5")));
        assert_eq!(topology.spot(&port("2-1.2")), topology.spot(&port("1-5.2")));
        let alone = topology.spot(&port("2-3")).unwrap();
        assert_eq!((alone.chain.as_str(), topology.port(&alone)), ("fast:3", Some(port("2-3"))));
        assert_ne!(topology.spot(&port("2-3")), topology.spot(&port("1-3")));
    }

    #[test]
    fn links_that_lead_elsewhere_are_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join(DEVICES);
        fs::create_dir_all(&list).unwrap();
        for (bus, to) in
            [(1, "../../../devices/pci0/usb7"), (2, "usb2"), (3, "/etc/devices/pci0/usb3"), (4, "a devices/\n/usb4")]
        {
            symlink(to, list.join(format!("usb{bus}"))).unwrap();
            let topology = Topology::of(Root::new(folder.path()));
            assert_eq!(topology.controller(&port(&format!("{bus}-1"))), None, "{to}");
        }
        fs::create_dir_all(list.join("1-1")).unwrap();
        fs::write(list.join("1-1/speed"), "1.5\n").unwrap();
        assert_eq!(Topology::of(Root::new(folder.path())).speed(&port("1-1")), Some(1));
    }
}
