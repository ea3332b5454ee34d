//! One entry per device across modes and replugs.
//!
//! The key is the ECID; where it cannot be read yet, the USB port path stands in until it can. What was
//! once learned of a device (its name, its UDID) stays known while it is in a mode that does not tell.

use super::state::{Device, Identity};
use crate::ids::{Ecid, Mode, PortPath};

/// What a new look changed.
#[derive(Clone, Debug)]
pub enum Change {
    Appeared(Device),
    /// The same device in another mode or with other facts; a replug is this too.
    Changed {
        from: Mode,
        device: Device,
    },
    Gone(Identity, Mode),
}

#[derive(Debug)]
struct Entry {
    device: Device,
    here: bool,
}

#[derive(Debug, Default)]
pub struct Fleet {
    entries: Vec<Entry>,
}

fn same(a: &Identity, b: &Identity) -> bool {
    fn key(who: &Identity) -> (Option<Ecid>, &Option<crate::ids::Udid>, &Option<PortPath>) {
        (who.ecid, &who.udid, &who.port)
    }
    match (key(a), key(b)) {
        ((Some(x), ..), (Some(y), ..)) => x == y,
        ((_, Some(x), _), (_, Some(y), _)) => x == y,
        ((.., Some(x)), (.., Some(y))) => x == y,
        _ => false,
    }
}

impl Fleet {
    /// Takes a new look in; gives what changed, and fills each device with what was known before.
    pub fn update(&mut self, mut seen: Vec<Device>) -> Vec<Change> {
        let mut changes = Vec::new();
        for device in &mut seen {
            match self.entries.iter_mut().find(|e| same(e.device.who(), device.who())) {
                Some(entry) => {
                    let (known, from) = (entry.device.who().clone(), entry.device.mode());
                    device.who_mut().learn(&known);
                    let differs = !entry.here || format!("{:?}", entry.device.row()) != format!("{:?}", device.row());
                    entry.device = device.clone();
                    entry.here = true;
                    if differs {
                        changes.push(Change::Changed { from, device: device.clone() });
                    }
                }
                None => {
                    self.entries.push(Entry { device: device.clone(), here: true });
                    changes.push(Change::Appeared(device.clone()));
                }
            }
        }
        for entry in &mut self.entries {
            if entry.here && !seen.iter().any(|d| same(d.who(), entry.device.who())) {
                entry.here = false;
                changes.push(Change::Gone(entry.device.who().clone(), entry.device.mode()));
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::{Access, State};
    use super::*;

    fn device(ecid: Option<u64>, port: &str, mode: Mode, name: Option<&str>) -> Device {
        let who = Identity {
            ecid: ecid.map(Ecid),
            port: Some(PortPath::new(port)),
            name: name.map(str::to_owned),
            ..Identity::default()
        };
        Device { state: State::Other(mode, who), access: Access::Ok, is_virtual: true }
    }

    #[test]
    fn a_mode_change_is_changed_and_the_name_is_remembered() {
        let mut fleet = Fleet::default();
        fleet.update(vec![device(Some(7), "1-1", Mode::Normal, Some("Anna"))]);
        assert!(matches!(fleet.update(vec![])[..], [Change::Gone(..)]));
        let changes = fleet.update(vec![device(Some(7), "1-4", Mode::Recovery, None)]);
        let [Change::Changed { from: Mode::Normal, device }] = &changes[..] else { panic!("{changes:?}") };
        assert_eq!(device.who().name.as_deref(), Some("Anna"));
    }

    #[test]
    fn two_devices_never_mix() {
        let mut fleet = Fleet::default();
        fleet.update(vec![device(Some(7), "1-1", Mode::Normal, Some("Anna"))]);
        let changes = fleet.update(vec![device(Some(8), "1-1", Mode::Recovery, None)]);
        assert!(changes.iter().any(|c| matches!(c, Change::Appeared(d) if d.who().name.is_none())), "{changes:?}");
        assert!(changes.iter().any(|c| matches!(c, Change::Gone(..))), "{changes:?}");
    }
}
