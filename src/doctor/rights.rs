//! Who may open the device nodes: rules, owners, groups, and what running as root leaves behind.
//!
//! In recovery and DFU there is no usbmuxd between: Herstel itself opens the node. Whether that will work is seen best
//! at a device that is there; without one it is foretold from the rules.

use super::Diagnosis;
use super::bus::Apple;
use super::host::{Given, Host, Person};
use crate::disk::root::{Seen, Stat};
use crate::event::{Cause, Exam, Verdict};
use crate::facts::modes::{PID_DFU, PID_PORT_DFU, PID_RECOVERY};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const MODES: [(u16, &str); 3] = [(PID_RECOVERY, "recovery"), (PID_DFU, "DFU"), (PID_PORT_DFU, "Port DFU")];
/// Works however Herstel came here: a package, a tarball, cargo. Devices that are here get it when they are replugged.
pub(super) const INSTALL: &str =
    "herstel generate udev | sudo tee /etc/udev/rules.d/70-herstel.rules && sudo udevadm control --reload";

pub(super) fn rule(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::UdevRule);
    for why in &host.rules.unread {
        out.see("udev", why);
        out.found(Verdict::Unknown, Cause::Unreadable);
    }
    if !host.rules.any_folder {
        return out.seen("/etc/udev/rules.d, /usr/lib/udev/rules.d", "there is no udev here").absent();
    }
    let mut open = 0;
    let mut late = false;
    for (product, name) in MODES {
        let granted = host.rules.granted(product);
        late |= granted.late;
        let seen = match (granted.opens(), granted.late) {
            (true, _) => format!("{name} may be opened: {}", granted.by.join(", ")),
            (false, true) => format!("{name}: uaccess comes too late: {}", granted.by.join(", ")),
            (false, false) => format!("{name}: no rule opens it"),
        };
        out.see(format!("05ac:{product:04x}"), seen);
        open += usize::from(granted.opens());
    }
    let cause = match open {
        _ if open == MODES.len() => return out,
        _ if late => Cause::RuleLate,
        0 => Cause::RuleMissing,
        _ => Cause::RulePartly,
    };
    if host.given.person.uid == 0 {
        out.see("this user", "root needs no rule");
        return out;
    }
    out.found(Verdict::Warning, cause);
    out.run(INSTALL);
    out
}

/// May this person read and write? By owner, ACL, group, others, in the kernel's order.
fn may_open(person: &Person, stat: Stat, acl: Option<&[u8]>) -> bool {
    const BOTH: u32 = 0o6;
    if person.uid == 0 {
        return true;
    }
    if person.uid == stat.uid {
        return stat.mode >> 6 & BOTH == BOTH;
    }
    let group = stat.mode >> 3 & BOTH;
    let Some(entries) = acl.and_then(acl_entries) else {
        let of = if person.groups.contains(&stat.gid) { group } else { stat.mode };
        return of & BOTH == BOTH;
    };
    let mask = entries.iter().find(|e| e.tag == MASK).map_or(BOTH, |e| e.rights);
    if let Some(own) = entries.iter().find(|e| e.tag == USER && e.id == person.uid) {
        return own.rights & mask & BOTH == BOTH;
    }
    let mine = |e: &&Entry| {
        e.tag == GROUP && person.groups.contains(&e.id) || e.tag == GROUP_OF && person.groups.contains(&stat.gid)
    };
    let groups: Vec<&Entry> = entries.iter().filter(mine).collect();
    if groups.is_empty() {
        return stat.mode & BOTH == BOTH;
    }
    groups.iter().any(|e| e.rights & mask & BOTH == BOTH)
}

const USER: u16 = 0x02;
const GROUP_OF: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;

struct Entry {
    tag: u16,
    rights: u32,
    id: u32,
}

/// `system.posix_acl_access`: a version, then entries of eight bytes.
fn acl_entries(bytes: &[u8]) -> Option<Vec<Entry>> {
    let rest = bytes.strip_prefix(&2_u32.to_le_bytes())?;
    let (entries, odd) = rest.as_chunks::<8>();
    let read = |e: &[u8; 8]| {
        let [a, b, c, d, w, x, y, z] = *e;
        Entry {
            tag: u16::from_le_bytes([a, b]),
            rights: u32::from(u16::from_le_bytes([c, d])),
            id: u32::from_le_bytes([w, x, y, z]),
        }
    };
    odd.is_empty().then(|| entries.iter().map(read).collect())
}

fn seen_at(apple: &Apple) -> (String, String) {
    let place = apple.node.clone().unwrap_or_else(|| apple.port.clone());
    let rights = apple.stat.map_or("its rights are not known".to_owned(), |s| {
        let acl = if apple.acl.is_some() { ", with an ACL" } else { "" };
        format!("mode {:o}, uid {}, gid {}{acl}", s.mode, s.uid, s.gid)
    });
    (place, format!("{}, {rights}", apple.title()))
}

pub(super) fn node(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::UsbRights);
    let person = &host.given.person;
    let groups: Vec<String> = person.groups.iter().map(u32::to_string).collect();
    out.see("this user", format!("uid {}, groups {}", person.uid, groups.join(" ")));
    // A phone in normal mode is usbmuxd's: its node need not be ours.
    let mut judged = 0;
    for apple in host.apple.iter().filter(|a| !a.is_normal()) {
        let by_rights = apple.stat.map(|s| may_open(person, s, apple.acl.as_deref()));
        let open = if apple.on_bus { Some(!apple.refused) } else { by_rights };
        let (place, seen) = seen_at(apple);
        out.see(place, seen);
        judged += 1;
        match open {
            Some(true) => {}
            Some(false) => {
                out.found(Verdict::Blocking, Cause::NodeRefused);
                out.run(INSTALL);
                let node = apple.node.clone();
                out.run(node.map_or("getfacl /dev/bus/usb/BUS/DEVICE".into(), |n| format!("getfacl {n}")));
            }
            None => out.found(Verdict::Unknown, Cause::Unreadable),
        }
    }
    for apple in host.apple.iter().filter(|a| a.is_normal() && a.refused) {
        let (place, seen) = seen_at(apple);
        out.see(place, seen);
    }
    if judged == 0 && person.uid != 0 {
        foretell(host, &mut out);
    }
    out
}

/// From the rules: would a device in recovery be ours?
fn foretell(host: &Host, out: &mut Diagnosis) {
    let granted = host.rules.granted(PID_RECOVERY);
    let Some(group) = granted.group.clone().filter(|_| granted.group_writes()) else {
        if granted.seat && host.given.variable("SSH_CONNECTION").is_some() {
            out.see("$SSH_CONNECTION", "logged in from afar; the rule opens for the seat alone");
            out.found(Verdict::Warning, Cause::NoSeat);
            out.run(INSTALL);
        }
        return;
    };
    let in_group = match &host.groups {
        Seen::Is(known) => match known.get(&group) {
            Some(gid) => host.given.person.groups.contains(gid),
            None => {
                out.see("/etc/group", format!("there is no group {group}"));
                false
            }
        },
        Seen::Absent => false,
        Seen::Refused(why) => {
            out.see("/etc/group", why);
            return;
        }
    };
    out.see("05ac:1281", format!("group {group}{}", if in_group { ", which this user is in" } else { "" }));
    let afar = host.given.variable("SSH_CONNECTION").is_some();
    if !in_group && (!granted.seat || afar) {
        out.found(Verdict::Warning, Cause::NotInGroup);
        out.run(format!("sudo usermod -aG {group} \"$USER\""));
    }
}

/// Things of root's in Herstel's own folders.
#[derive(Clone, Debug, Default)]
pub(super) struct Owned {
    pub by_root: Vec<PathBuf>,
    pub unread: Vec<String>,
}

impl Owned {
    pub fn read(given: &Given) -> Owned {
        let mut out = Owned::default();
        let mut left = 2000;
        for folder in &given.folders {
            out.walk(folder, 2, &mut left);
        }
        out
    }

    fn walk(&mut self, path: &Path, depth: u32, left: &mut u32) {
        *left = left.saturating_sub(1);
        let Ok(of) = std::fs::symlink_metadata(path) else { return };
        if of.uid() == 0 {
            self.by_root.push(path.to_owned());
            return;
        }
        if !of.is_dir() || depth == 0 || *left == 0 {
            return;
        }
        match std::fs::read_dir(path) {
            Ok(entries) => {
                for entry in entries.take(*left as usize).flatten() {
                    self.walk(&entry.path(), depth - 1, left);
                }
            }
            Err(err) => self.unread.push(format!("{}: {err}", path.display())),
        }
    }
}

pub(super) fn root(host: &Host) -> Diagnosis {
    let mut out = Diagnosis::of(Exam::Root);
    let uid = host.given.person.uid;
    out.see("this user", format!("uid {uid}"));
    if uid == 0 {
        return out.with(Verdict::Warning, Cause::AsRoot);
    }
    for path in &host.owned.by_root {
        out.see(path.display().to_string(), "belongs to root");
        out.found(Verdict::Warning, Cause::RootsFiles);
        out.run(format!("sudo chown -R \"$USER\" {}", quoted(path)));
    }
    for why in &host.owned.unread {
        out.see("folders", why);
        out.found(Verdict::Unknown, Cause::Unreadable);
    }
    out
}

/// For a shell: a command that is printed must mean what it says.
pub(super) fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut bytes = 2_u32.to_le_bytes().to_vec();
        for (tag, rights, id) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(rights.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn rights_are_counted_as_the_kernel_does() {
        let anna = Person { uid: 1000, groups: vec![1000, 46], pid: 1 };
        let node = |uid, gid, mode| Stat { uid, gid, mode, size: 0, changed: 0 };
        assert!(may_open(&anna, node(0, 46, 0o660), None));
        assert!(!may_open(&anna, node(0, 46, 0o640), None));
        assert!(!may_open(&anna, node(0, 7, 0o660), None));
        assert!(may_open(&anna, node(0, 7, 0o666), None));
        assert!(!may_open(&anna, node(1000, 46, 0o066), None), "the owner's own bits decide");
        assert!(may_open(&Person::default(), node(5, 5, 0), None), "root");
        let seat = acl(&[(1, 6, !0), (USER, 6, 1000), (GROUP_OF, 6, !0), (MASK, 6, !0), (0x20, 0, !0)]);
        assert!(may_open(&anna, node(0, 0, 0o660), Some(&seat)));
        let other = Person { uid: 1001, groups: vec![1001], pid: 1 };
        assert!(!may_open(&other, node(0, 0, 0o660), Some(&seat)));
        let masked = acl(&[(USER, 6, 1000), (MASK, 4, !0)]);
        assert!(!may_open(&anna, node(0, 0, 0o660), Some(&masked)));
        for bad in [&b""[..], b"\x02\0\0", b"\x03\0\0\0", &seat[..seat.len() - 1]] {
            assert!(!may_open(&anna, node(0, 0, 0o660), Some(bad)), "an ACL that cannot be read gives nothing");
        }
    }

    #[test]
    fn what_is_printed_for_a_shell_is_one_word() {
        assert_eq!(quoted(Path::new("/a b/it's; rm")), r"'/a b/it'\''s; rm'");
    }
}
