//! One entry per device across modes and replugs.
//!
//! Names decide: the ECID first, then the UDID. Only a reading that carries a name teaches its entry
//! something, and what was learned (name, UDID, serial number) stays known in modes that do not tell it.
//!
//! A reading without any name (no access, a boot stage that is still mute, Port DFU) is placed by its USB
//! port, and that is a weaker thing: it continues the entry that was there last, if that was moments ago and
//! chip, board and serial number do not speak against it. It teaches nothing, so a wrong guess leaves no
//! trace once a name is read: the same port with another ECID is another device, and the old one is gone.
//! The other way round, an entry that was only ever a port gives way to the name that appears on it.

#[cfg(test)]
mod tests;

use super::state::{Device, Identity, State};
use crate::ids::{Mode, PortPath};
use std::time::{Duration, Instant};

/// How long a port stands in for a name after a device left it: longer than any re-enumeration, shorter
/// than a hand needs to swap two phones and be surprised.
pub const NEAR: Duration = Duration::from_secs(20);
/// Entries that are kept at most; beyond that the longest absent are forgotten.
const KEPT: usize = 1024;

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
    /// What readings with a name told; of an unnamed entry, what its readings told.
    known: Identity,
    /// The last reading, filled with what is known.
    device: Device,
    here: bool,
    /// When it was here last.
    until: Instant,
    /// Where it was last, unless something else was there since.
    place: Option<Place>,
}

#[derive(Debug, Default)]
pub struct Fleet {
    entries: Vec<Entry>,
}

/// Where a device without a name is told apart by.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Port(PortPath),
    /// usbmuxd's number: new at each attach.
    Mux(u32),
}

fn place(device: &Device) -> Option<Place> {
    match (&device.who().port, &device.state) {
        (Some(port), _) => Some(Place::Port(port.clone())),
        (None, State::Normal(n)) => Some(Place::Mux(n.mux.id)),
        (None, State::Restore(r)) => Some(Place::Mux(r.mux.id)),
        _ => None,
    }
}

fn is_named(who: &Identity) -> bool {
    who.ecid.is_some() || who.udid.is_some()
}

/// Two readings that cannot be of one device.
fn contradict(a: &Identity, b: &Identity) -> bool {
    fn differ<T: PartialEq>(a: &Option<T>, b: &Option<T>) -> bool {
        matches!((a, b), (Some(a), Some(b)) if a != b)
    }
    differ(&a.ecid, &b.ecid)
        || differ(&a.udid, &b.udid)
        || differ(&a.cpid, &b.cpid)
        || differ(&a.bdid, &b.bdid)
        || differ(&a.serial, &b.serial)
}

/// The same name: the ECID decides where both have one.
fn same_name(a: &Identity, b: &Identity) -> bool {
    match (a.ecid, b.ecid) {
        (Some(x), Some(y)) => x == y,
        _ => a.udid.is_some() && a.udid == b.udid,
    }
}

/// A phone on cable and on Wi-Fi is listed twice: the cable wins, and takes over what the other told.
fn distinct(seen: Vec<Device>) -> Vec<Device> {
    let mut out: Vec<Device> = Vec::with_capacity(seen.len());
    for mut device in seen {
        let who = device.who_mut();
        // A UDID of the new form holds the ECID.
        who.ecid = who.ecid.or_else(|| who.udid.as_ref()?.ecid());
        match out.iter_mut().find(|d| same_name(d.who(), device.who())) {
            None => out.push(device),
            Some(first) => {
                if first.who().port.is_none() && device.who().port.is_some() {
                    std::mem::swap(first, &mut device);
                }
                first.who_mut().learn(device.who());
            }
        }
    }
    out
}

impl Fleet {
    /// Takes a new look in; gives what changed, each device filled with what was known before. At most one
    /// change a device; those that are gone come first.
    pub fn update(&mut self, seen: Vec<Device>) -> Vec<Change> {
        self.update_at(Instant::now(), seen)
    }

    /// The same at a given time, which must not run backwards.
    pub fn update_at(&mut self, now: Instant, seen: Vec<Device>) -> Vec<Change> {
        let seen = distinct(seen);
        let mut claimed = vec![false; self.entries.len()];
        let mut absorbed = vec![false; self.entries.len()];
        let mut homes: Vec<Option<usize>> = vec![None; seen.len()];
        let mut from: Vec<Option<Mode>> = vec![None; seen.len()];
        let by_name = |device: &Device| is_named(device.who());
        for (at, device) in seen.iter().enumerate().filter(|(_, d)| by_name(d)) {
            let mut same = self.named(device.who());
            same.extend(self.port_only(device, now));
            same.retain(|i| !claimed[*i]);
            let Some((&home, others)) = same.split_first() else { continue };
            // The freshest of them says in which mode the device was before.
            let fresh = |i: &usize| (self.entries[*i].here, self.entries[*i].until);
            from[at] = same.iter().copied().max_by_key(fresh).map(|i| self.entries[i].device.mode());
            same.iter().for_each(|i| claimed[*i] = true);
            others.iter().for_each(|i| absorbed[*i] = true);
            self.take_over(home, others);
            homes[at] = Some(home);
        }
        for (at, device) in seen.iter().enumerate().filter(|(_, d)| !by_name(d)) {
            let home = self.last_at(device, now, &claimed);
            if let Some(home) = home {
                claimed[home] = true;
                from[at] = Some(self.entries[home].device.mode());
            }
            homes[at] = home;
        }
        let mut changes = self.leave(now, &claimed);
        for ((device, home), from) in seen.into_iter().zip(homes).zip(from) {
            let place = place(&device);
            let home = home.unwrap_or_else(|| {
                let (known, device) = (device.who().clone(), device.clone());
                self.entries.push(Entry { known, device, here: false, until: now, place: None });
                self.entries.len() - 1
            });
            self.entries.iter_mut().filter(|e| e.place == place).for_each(|e| e.place = None);
            self.entries[home].place = place;
            changes.extend(self.entries[home].see(now, device, from));
        }
        let mut at = 0..;
        self.entries.retain(|_| !at.next().and_then(|i| absorbed.get(i)).is_some_and(|gone| *gone));
        self.forget(now);
        changes
    }

    /// Everything that is here now.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.entries.iter().filter(|e| e.here).map(|e| &e.device)
    }

    /// Entries of this name: the one with the ECID first, then one that only had the UDID.
    fn named(&self, who: &Identity) -> Vec<usize> {
        let with = |fits: &dyn Fn(&Identity) -> bool| -> Vec<usize> {
            (0..self.entries.len()).filter(|i| fits(&self.entries[*i].known)).collect()
        };
        let by_udid = |known: &Identity| who.udid.is_some() && known.udid == who.udid;
        let Some(ecid) = who.ecid else {
            // Two ECIDs that claim one UDID: nobody knows which is meant.
            return Some(with(&by_udid)).filter(|found| found.len() == 1).unwrap_or_default();
        };
        let mut found = with(&|known| known.ecid == Some(ecid));
        found.extend(with(&|known| known.ecid.is_none() && by_udid(known)));
        found
    }

    /// An entry without a name that was moments ago where this named device is now.
    fn port_only(&self, device: &Device, now: Instant) -> Option<usize> {
        let last = self.last_at(device, now, &[])?;
        (!is_named(&self.entries[last].known)).then_some(last)
    }

    /// The entry that was at this place last, if nothing speaks against its being this device.
    fn last_at(&self, device: &Device, now: Instant, claimed: &[bool]) -> Option<usize> {
        let place = place(device)?;
        let near = |e: &Entry| e.here || now.saturating_duration_since(e.until) <= NEAR;
        let (last, entry) = self.entries.iter().enumerate().find(|(_, e)| e.place.as_ref() == Some(&place))?;
        let taken = claimed.get(last).is_some_and(|taken| *taken);
        let fits =
            near(entry) && !contradict(&entry.known, device.who()) && entry.device.is_virtual == device.is_virtual;
        (fits && !taken).then_some(last)
    }

    /// Entries that turned out to be the same device as `home`: what named ones told is its own.
    fn take_over(&mut self, home: usize, others: &[usize]) {
        for other in others {
            let known = self.entries[*other].known.clone();
            let entry = &mut self.entries[home];
            // Two lines become one, which is worth telling.
            entry.here = false;
            if is_named(&known) {
                entry.known.learn(&known);
            }
        }
    }

    fn leave(&mut self, now: Instant, claimed: &[bool]) -> Vec<Change> {
        let mut changes = Vec::new();
        for (entry, claimed) in self.entries.iter_mut().zip(claimed) {
            if entry.here && !claimed {
                (entry.here, entry.until) = (false, now);
                changes.push(Change::Gone(entry.device.who().clone(), entry.device.mode()));
            }
        }
        changes
    }

    fn forget(&mut self, now: Instant) {
        let near = |e: &Entry| now.saturating_duration_since(e.until) <= NEAR;
        self.entries.retain(|e| e.here || is_named(&e.known) || near(e));
        while self.entries.len() > KEPT {
            let absent = self.entries.iter().enumerate().filter(|(_, e)| !e.here);
            let Some((oldest, _)) = absent.min_by_key(|(_, e)| e.until) else { break };
            self.entries.remove(oldest);
        }
    }
}

impl Entry {
    /// Takes a reading of this device in.
    fn see(&mut self, now: Instant, mut device: Device, from: Option<Mode>) -> Option<Change> {
        if is_named(device.who()) {
            let mut fresh = device.who().clone();
            if is_named(&self.known) {
                fresh.learn(&self.known);
            }
            self.known = fresh;
        } else if !is_named(&self.known) {
            self.known.learn(device.who());
        }
        // Where it hangs is told by this reading alone.
        let port = device.who().port.clone();
        device.who_mut().learn(&self.known);
        device.who_mut().port = port;
        let differs = !self.here || self.device.row() != device.row();
        (self.device, self.here, self.until) = (device.clone(), true, now);
        let change = match from {
            Some(from) => Change::Changed { from, device },
            None => Change::Appeared(device),
        };
        differs.then_some(change)
    }
}
