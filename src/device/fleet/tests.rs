//! One entry a device, whatever happens at once; nothing of one device ever shows on another.

use super::super::state::{Access, State};
use super::*;
use crate::ids::{Bdid, Cpid, Ecid, Udid};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashSet};

fn seen(mode: Mode, who: Identity) -> Device {
    Device { state: State::Other(mode, who), access: Access::Ok, is_virtual: true }
}

fn device(ecid: Option<u64>, port: &str, mode: Mode, name: Option<&str>) -> Device {
    let who = Identity {
        ecid: ecid.map(Ecid),
        port: Some(PortPath::new(port)),
        name: name.map(str::to_owned),
        ..Identity::default()
    };
    seen(mode, who)
}

fn with_chip(mut device: Device, chip: u32, board: u32) -> Device {
    let who = device.who_mut();
    (who.cpid, who.bdid) = (Some(Cpid(chip)), Some(Bdid(board)));
    device
}

/// A change in one line: `+`, `~` with the mode before, or `-`; ECID, mode and name.
fn line(change: &Change) -> String {
    let who = |who: &Identity, mode: Mode| {
        let ecid = who.ecid.map_or_else(|| "?".to_owned(), |e| e.to_string());
        format!("{ecid} {mode} {}", who.name.as_deref().unwrap_or("-"))
    };
    match change {
        Change::Appeared(d) => format!("+ {}", who(d.who(), d.mode())),
        Change::Changed { from, device: d } => format!("~ {from}: {}", who(d.who(), d.mode())),
        Change::Gone(identity, mode) => format!("- {}", who(identity, *mode)),
    }
}

/// Looks one after the other, at seconds from the start; what each changed.
fn story(looks: Vec<(u64, Vec<Device>)>) -> Vec<Vec<String>> {
    let mut fleet = Fleet::default();
    let start = Instant::now();
    let mut told = Vec::new();
    for (second, look) in looks {
        told.push(fleet.update_at(start + Duration::from_secs(second), look).iter().map(line).collect());
    }
    told
}

#[test]
fn a_mode_change_is_changed_and_the_name_is_remembered() {
    let told = story(vec![
        (0, vec![device(Some(7), "1-1", Mode::Normal, Some("Anna"))]),
        (9, vec![]),
        (3600, vec![device(Some(7), "1-4", Mode::Recovery, None)]),
        (3601, vec![device(Some(7), "1-4", Mode::Recovery, None)]),
    ]);
    assert_eq!(
        told,
        [vec!["+ 0x7 normal Anna"], vec!["- 0x7 normal Anna"], vec!["~ normal: 0x7 recovery Anna"], vec![]]
    );
}

#[test]
fn the_same_port_with_another_ecid_is_another_device() {
    let told = story(vec![
        (0, vec![device(Some(7), "1-1", Mode::Normal, Some("Anna"))]),
        (1, vec![device(Some(8), "1-1", Mode::Recovery, None)]),
        (2, vec![device(Some(7), "1-1", Mode::Recovery, None)]),
    ]);
    assert_eq!(
        told,
        [
            vec!["+ 0x7 normal Anna"],
            vec!["- 0x7 normal Anna", "+ 0x8 recovery -"],
            vec!["- 0x8 recovery -", "~ normal: 0x7 recovery Anna"],
        ]
    );
}

#[test]
fn without_an_ecid_the_port_stands_in_for_moments_only() {
    let anna = || device(Some(7), "1-1", Mode::Recovery, Some("Anna"));
    let mute = |port| device(None, port, Mode::Dfu, None);
    let told = story(vec![
        (0, vec![anna()]),
        (60, vec![mute("1-1")]),
        (61, vec![]),
        (80, vec![mute("1-1")]),
        (81, vec![mute("1-2")]),
    ]);
    assert_eq!(told[1], ["~ recovery: 0x7 dfu Anna"]);
    assert_eq!(told[3], ["~ dfu: 0x7 dfu Anna"]);
    assert_eq!(told[4], ["- 0x7 dfu Anna", "+ ? dfu -"]);
    let late = story(vec![(0, vec![anna()]), (1, vec![]), (30, vec![mute("1-1")])]);
    assert_eq!(late[2], ["+ ? dfu -"]);
}

#[test]
fn a_port_is_not_believed_against_the_chip() {
    let anna = with_chip(device(Some(7), "1-1", Mode::Recovery, Some("Anna")), 0x8110, 0x0A);
    let other = with_chip(device(None, "1-1", Mode::Dfu, None), 0x8015, 0x0E);
    let told = story(vec![(0, vec![anna.clone()]), (1, vec![other])]);
    assert_eq!(told[1], ["- 0x7 recovery Anna", "+ ? dfu -"]);
    // The phone behind a port controller tells chip and board, and they fit.
    let behind = with_chip(device(None, "1-1", Mode::PortDfu, None), 0x8110, 0x0A);
    let told = story(vec![(0, vec![anna]), (1, vec![behind])]);
    assert_eq!(told[1], ["~ recovery: 0x7 port-dfu Anna"]);
}

#[test]
fn a_wrong_guess_by_port_leaves_no_trace() {
    let mut fleet = Fleet::default();
    let start = Instant::now();
    fleet.update_at(start, vec![device(Some(7), "1-1", Mode::Normal, Some("Anna"))]);
    // Somebody swaps the phones; the new one cannot be opened at first.
    let mute = with_chip(device(None, "1-1", Mode::Recovery, None), 0x8015, 0x0E);
    fleet.update_at(start, vec![mute]);
    let changes = fleet.update_at(start, vec![device(Some(8), "1-1", Mode::Recovery, None)]);
    assert_eq!(changes.iter().map(line).collect::<Vec<_>>(), ["- 0x7 recovery Anna", "+ 0x8 recovery -"]);
    fleet.update_at(start, vec![device(Some(7), "1-3", Mode::Normal, None)]);
    let anna = fleet.devices().next().unwrap().who();
    assert_eq!((anna.name.as_deref(), anna.cpid), (Some("Anna"), None));
}

#[test]
fn an_entry_that_was_only_a_port_merges_with_its_name() {
    let told = story(vec![
        (0, vec![device(Some(7), "1-1", Mode::Normal, Some("Anna"))]),
        (5, vec![]),
        (100, vec![device(None, "1-2", Mode::Recovery, None)]),
        (400, vec![device(Some(7), "1-2", Mode::Recovery, None)]),
    ]);
    assert_eq!(told[2..], [vec!["+ ? recovery -"], vec!["~ recovery: 0x7 recovery Anna"]]);
    let unchanged = story(vec![
        (0, vec![device(Some(7), "1-2", Mode::Recovery, None)]),
        (1, vec![]),
        (100, vec![device(None, "1-2", Mode::Recovery, None)]),
        (101, vec![device(Some(7), "1-2", Mode::Recovery, None)]),
    ]);
    assert_eq!(unchanged[3], ["~ recovery: 0x7 recovery -"]);
    let fresh = story(vec![
        (0, vec![device(None, "1-2", Mode::Recovery, None)]),
        (1, vec![device(Some(9), "1-2", Mode::Recovery, None)]),
    ]);
    assert_eq!(fresh[1], ["~ recovery: 0x9 recovery -"]);
}

#[test]
fn udid_and_ecid_are_bound_by_a_reading_that_has_both() {
    let udid: Udid = "fa7290e4fa7290e4fa7290e4fa7290e4fa7290e4".parse().unwrap();
    let by_udid = |ecid: Option<u64>, mode| {
        let mut d = device(ecid, "1-1", mode, None);
        d.who_mut().udid = Some(udid.clone());
        d
    };
    let told = story(vec![
        (0, vec![by_udid(None, Mode::Normal)]),
        (1, vec![device(Some(7), "1-1", Mode::Recovery, None)]),
        (2, vec![by_udid(Some(7), Mode::Normal)]),
        (3, vec![by_udid(None, Mode::Normal)]),
    ]);
    assert_eq!(told[1], ["- ? normal -", "+ 0x7 recovery -"], "a port binds no two names");
    assert_eq!(told[2], ["~ recovery: 0x7 normal -"]);
    assert!(told[3].is_empty(), "{told:?}");
    let new_form = |ecid| {
        let mut d = device(ecid, "1-1", Mode::Normal, None);
        d.who_mut().udid = "00008110-0000000000000007".parse().ok();
        d
    };
    let told = story(vec![(0, vec![device(Some(7), "1-2", Mode::Dfu, None)]), (1, vec![new_form(None)])]);
    assert_eq!(told[1], ["~ dfu: 0x7 normal -"]);
}

#[test]
fn two_ecids_that_claim_one_udid_stay_two() {
    let udid: Udid = "fa7290e4fa7290e4fa7290e4fa7290e4fa7290e4".parse().unwrap();
    let claim = |ecid: Option<u64>, port: &str| {
        let mut d = device(ecid, port, Mode::Normal, None);
        d.who_mut().udid = Some(udid.clone());
        d
    };
    let told = story(vec![
        (0, vec![claim(None, "1-1")]),
        (1, vec![claim(Some(7), "1-1"), claim(Some(8), "1-2")]),
        (2, vec![claim(None, "1-3")]),
    ]);
    assert_eq!(told[1], ["~ normal: 0x7 normal -", "+ 0x8 normal -"]);
    assert_eq!(told[2], ["- 0x7 normal -", "- 0x8 normal -", "+ ? normal -"], "nobody knows which of them it is");
}

#[test]
fn five_devices_re_enumerate_at_once() {
    let port = |n: u64| format!("1-1.{n}");
    let five = |mode, turn: u64| -> Vec<Device> {
        (1..=5).map(|n| device(Some(n), &port((n + turn) % 5 + 1), mode, None)).collect()
    };
    let mut fleet = Fleet::default();
    let named = (1..=5).map(|n| device(Some(n), &port(n), Mode::Normal, Some(&format!("phone {n}")))).collect();
    assert_eq!(fleet.update(named).len(), 5);
    // Each comes back on another one's port, in another mode, in one look.
    for turn in 0..5 {
        let mode = if turn % 2 == 0 { Mode::Recovery } else { Mode::Dfu };
        let changes = fleet.update(five(mode, turn));
        assert_eq!(changes.len(), 5, "{changes:?}");
        assert!(changes.iter().all(|c| matches!(c, Change::Changed { .. })), "{changes:?}");
        for d in fleet.devices() {
            let n = d.who().ecid.unwrap().0;
            assert_eq!(d.who().name.as_deref(), Some(format!("phone {n}").as_str()));
        }
    }
    assert_eq!((fleet.update(vec![]).len(), fleet.entries.len()), (5, 5));
}

#[test]
fn cable_and_wifi_are_one_device() {
    let mut wifi = device(Some(7), "1-1", Mode::Normal, Some("Anna"));
    wifi.who_mut().port = None;
    let cable = device(Some(7), "1-1", Mode::Normal, None);
    let mut fleet = Fleet::default();
    assert_eq!(fleet.update(vec![wifi.clone(), cable]).len(), 1);
    let one: Vec<_> = fleet.devices().collect();
    assert_eq!((one.len(), one[0].who().port.is_some(), one[0].who().name.as_deref()), (1, true, Some("Anna")));
    fleet.update(vec![wifi]);
    assert_eq!(fleet.devices().next().unwrap().who().port, None, "no port is remembered over Wi-Fi");
}

#[test]
fn what_never_had_a_name_is_forgotten() {
    let mut fleet = Fleet::default();
    let start = Instant::now();
    for n in 0..50u64 {
        let at = start + Duration::from_secs(n * 60);
        fleet.update_at(at, vec![device(None, &format!("1-{n}"), Mode::Dfu, None)]);
    }
    assert!(fleet.entries.len() <= 2, "{}", fleet.entries.len());
    for n in 0..KEPT as u64 + 50 {
        fleet.update_at(start + Duration::from_secs(4000 + n), vec![device(Some(n + 1), "1-1", Mode::Dfu, None)]);
    }
    assert_eq!(fleet.entries.len(), KEPT);
}

// ---- any order of things ----

const DEVICES: usize = 5;
const PORTS: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Tells {
    All,
    UdidOnly,
    EcidAndChip,
    ChipOnly,
    Nothing,
}

#[derive(Clone, Debug)]
enum Act {
    Plug { device: usize, port: usize, mode: Mode, tells: Tells },
    Unplug { port: usize },
    Wait { seconds: u64 },
}

/// The truth about a device; two of them share chip and board.
fn truth(n: usize) -> Identity {
    let ecid = Ecid(0x1000 + n as u64);
    let chip = Cpid(if n < 2 { 0x8110 } else { 0x8010 + n as u32 });
    let udid =
        if n.is_multiple_of(2) { format!("{n:x}").repeat(39) + "a" } else { format!("{:08X}-{:016X}", chip.0, ecid.0) };
    Identity {
        ecid: Some(ecid),
        udid: udid.parse().ok(),
        cpid: Some(chip),
        bdid: Some(Bdid(4)),
        serial: Some(format!("SERIAL{n}")),
        name: Some(format!("phone {n}")),
        ..Identity::default()
    }
}

fn reading(n: usize, port: usize, mode: Mode, tells: Tells) -> Device {
    let all = truth(n);
    let chip = Identity { cpid: all.cpid, bdid: all.bdid, ..Identity::default() };
    let mut who = match tells {
        Tells::All => all,
        Tells::UdidOnly => Identity { udid: all.udid, ..Identity::default() },
        Tells::EcidAndChip => Identity { ecid: all.ecid, serial: all.serial, ..chip },
        Tells::ChipOnly => chip,
        Tells::Nothing => Identity::default(),
    };
    who.port = Some(PortPath::new(format!("1-{port}")));
    seen(mode, who)
}

fn acts() -> impl Strategy<Value = Vec<Vec<Act>>> {
    let mode = prop::sample::select(vec![Mode::Normal, Mode::Recovery, Mode::Dfu, Mode::PortDfu]);
    let tells =
        prop::sample::select(vec![Tells::All, Tells::UdidOnly, Tells::EcidAndChip, Tells::ChipOnly, Tells::Nothing]);
    let act = prop_oneof![
        6 => (0..DEVICES, 0..PORTS, mode, tells)
            .prop_map(|(device, port, mode, tells)| Act::Plug { device, port, mode, tells }),
        2 => (0..PORTS).prop_map(|port| Act::Unplug { port }),
        1 => (1u64..40).prop_map(|seconds| Act::Wait { seconds }),
    ];
    prop::collection::vec(prop::collection::vec(act, 1..6), 1..25)
}

/// A bench that knows the truth: who hangs where, and who was last looked at there and when.
#[derive(Default)]
struct World {
    plugged: BTreeMap<usize, (usize, Mode, Tells)>,
    last: BTreeMap<usize, (usize, u64)>,
    clock: u64,
}

impl World {
    fn act(&mut self, act: &Act) {
        match *act {
            Act::Plug { device, port, mode, tells } => {
                self.plugged.retain(|_, (d, ..)| *d != device);
                self.plugged.insert(port, (device, mode, tells));
            }
            Act::Unplug { port } => {
                self.plugged.remove(&port);
            }
            Act::Wait { seconds } => self.clock += seconds,
        }
    }

    /// A swap within moments to a device that tells no name cannot be noticed by anybody: such a one speaks up.
    fn look(&mut self) -> Vec<Device> {
        let mut look = Vec::new();
        for (port, (device, mode, tells)) in &mut self.plugged {
            let swapped = self.last.get(port).is_some_and(|(d, at)| d != device && self.clock - at <= NEAR.as_secs());
            if swapped && matches!(tells, Tells::ChipOnly | Tells::Nothing) {
                *tells = Tells::EcidAndChip;
            }
            look.push(reading(*device, *port, *mode, *tells));
        }
        look
    }

    /// Who hangs on the bus now was seen now.
    fn remember(&mut self, here: &BTreeMap<usize, usize>) {
        self.last.extend(here.iter().map(|(port, device)| (*port, (*device, self.clock))));
    }

    fn here(&self) -> BTreeMap<usize, usize> {
        self.plugged.iter().map(|(port, (device, ..))| (*port, *device)).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_of_one_device_ever_shows_on_another(batches in acts()) {
        let mut fleet = Fleet::default();
        let mut world = World::default();
        let start = Instant::now();
        let mut before: BTreeMap<usize, usize> = BTreeMap::new();
        for batch in &batches {
            batch.iter().for_each(|act| world.act(act));
            // Who was here at the look before left by this one.
            world.remember(&before);
            let look = world.look();
            let changes = fleet.update_at(start + Duration::from_secs(world.clock), look);
            before = world.here();

            let ecids: Vec<_> = fleet.entries.iter().filter_map(|e| e.known.ecid).collect();
            prop_assert_eq!(ecids.iter().collect::<HashSet<_>>().len(), ecids.len(), "one entry per ECID");
            prop_assert_eq!(fleet.devices().count(), world.plugged.len());
            for shown in fleet.devices() {
                let who = shown.who();
                let port: usize = who.port.as_ref().unwrap().as_str()[2..].parse().unwrap();
                let (device, mode, _) = world.plugged[&port];
                prop_assert_eq!(shown.mode(), mode);
                let mut own = truth(device);
                own.port.clone_from(&who.port);
                let mut joined = who.clone();
                joined.learn(&own);
                prop_assert_eq!(joined, own, "on port {}", port);
            }
            let mut names = HashSet::new();
            let mut ports = HashSet::new();
            for change in &changes {
                let (who, is_here) = match change {
                    Change::Appeared(d) | Change::Changed { device: d, .. } => (d.who(), true),
                    Change::Gone(who, _) => (who, false),
                };
                if let Some(ecid) = who.ecid {
                    prop_assert!(names.insert(ecid), "{ecid} changed twice: {changes:?}");
                }
                if is_here {
                    prop_assert!(ports.insert(who.port.clone()), "{changes:?}");
                }
            }
        }
    }
}
