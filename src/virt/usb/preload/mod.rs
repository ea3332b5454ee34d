//! The bench under any libusb program: the other end of umockdev's preload library.
//!
//! `libumockdev-preload.so` (Debian's package `umockdev`) turns a process's view of `/sys`, `/dev` and of
//! kernel events to a folder of ours, and sends every ioctl on a device node to a socket there. So real
//! `irecovery`, `usbmuxd`, `idevicerestore`, `lsusb` and our own `rusb` meet the same model, without root,
//! without a kernel driver. Its protocol is private to that package but has not changed from 0.16 on.
//!
//! Decisions:
//! - A device node is a FIFO, kept full while no request can be reaped: `poll` then means what it means on
//!   a real node, and a client neither spins nor sleeps too long (`node`).
//! - Requests queue for each open file, not for each device; what is pending at an unplug comes back with
//!   `ESHUTDOWN` before anything says `ENODEV` (`urb`).
//! - The node of a device that left stays, answering `ENODEV`: a client that opens it late must never
//!   fall through to a real device of the same number.
//!
//! - Each program gets a folder of its own (nodes are hard links): clients bind their event sockets under
//!   the number of a file, and two that share a folder and a number would steal each other's events.
//!
//! Limits: `no_access` does not stop root; setuid and static programs are out of reach.

#[cfg(test)]
mod agree;
#[cfg(test)]
mod judges;
#[cfg(test)]
mod muxed;
mod node;
mod sysfs;
mod uevent;
mod urb;

use super::board::{Board, Change, Plugged};
use super::model::lock;
use crate::virt::phone::Phone;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use node::{Node, Target};
use sysfs::Roots;

/// A Unix socket's path ends at 107 bytes; what we put below the folder takes up to this many.
const ROOT_CAP: usize = 75;
/// How soon the loop notices that the emulation was dropped.
const BEAT: Duration = Duration::from_millis(100);

/// A running emulation. Dropping it unplugs everything; clients that have a node open still get their
/// answers (gone) until they close it or this process ends.
pub struct Emulation {
    folder: Arc<Mutex<BusFolder>>,
    stop: Arc<AtomicBool>,
    worker: Option<std::thread::JoinHandle<()>>,
}

impl Emulation {
    /// Lays out `sys`, `dev` and the sockets below `root` (an empty folder, its absolute path at most 75
    /// bytes long) and serves them. Phones that are on the bus are plugged when this returns.
    ///
    /// # Errors
    /// When the path is too long, or files, FIFOs or sockets cannot be made there.
    pub fn start(root: &Path, phones: Vec<Arc<Phone>>) -> io::Result<Emulation> {
        let root = root.canonicalize()?;
        if root.as_os_str().len() > ROOT_CAP {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the folder's path is too long for sockets"));
        }
        sysfs::skeleton(&root)?;
        let board = Board::new(&phones);
        let (present, changes) = board.watch();
        let roots = Arc::new(Mutex::new(vec![root.clone()]));
        let mut bus =
            BusFolder { base: root, roots, nodes: HashMap::new(), plugged: Vec::new(), events: 0, _board: board };
        for plugged in present {
            bus.arrived(plugged)?;
        }
        let folder = Arc::new(Mutex::new(bus));
        let stop = Arc::new(AtomicBool::new(false));
        let (until, shared) = (Arc::clone(&stop), Arc::clone(&folder));
        let worker = std::thread::spawn(move || run(&shared, &changes, &until));
        Ok(Emulation { folder, stop, worker: Some(worker) })
    }

    /// What one program's environment needs, besides its own, to see this bus and nothing else; ask again
    /// for the next program. Without the preload library (see [`preload_library`]) a program would see the
    /// real bus, so there is nothing then.
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        let Some(library) = preload_library() else { return Vec::new() };
        let mut folder = lock(&self.folder);
        let root = folder.client().unwrap_or_else(|err| {
            tracing::warn!(%err, "no folder of its own for a client");
            folder.base.clone()
        });
        vec![("LD_PRELOAD".into(), library.into()), ("UMOCKDEV_DIR".into(), root.into())]
    }
}

#[cfg(test)]
impl Emulation {
    /// Clients see the phones as they are now: a change takes a moment to come through.
    fn shows(&self, phone: &Phone) -> bool {
        let plugged = &lock(&self.folder).plugged;
        let now = |p: &Plugged| p.model.identity().is_some_and(|now| now.generation == p.identity.generation);
        plugged.iter().any(|p| p.model.phone().ecid == phone.ecid && now(p))
    }
}

impl Drop for Emulation {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

/// umockdev's preload library in the usual folders of Debian, Fedora, Arch and their kin.
pub fn preload_library() -> Option<PathBuf> {
    const NAMES: [&str; 2] = ["libumockdev-preload.so.0", "libumockdev-preload.so"];
    let arch = std::env::consts::ARCH;
    let folders = [
        format!("/usr/lib/{arch}-linux-gnu"),
        format!("/lib/{arch}-linux-gnu"),
        "/usr/lib64".to_owned(),
        "/usr/lib".to_owned(),
        "/lib64".to_owned(),
        "/usr/local/lib64".to_owned(),
        format!("/usr/local/lib/{arch}-linux-gnu"),
        "/usr/local/lib".to_owned(),
    ];
    folders.iter().flat_map(|f| NAMES.map(|n| Path::new(f).join(n))).find(|p| p.is_file())
}

fn run(folder: &Mutex<BusFolder>, changes: &Receiver<Change>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let done = match changes.recv_timeout(BEAT) {
            Ok(Change::Arrived(plugged)) => lock(folder).arrived(plugged),
            Ok(Change::Left(plugged)) => lock(folder).left(&plugged),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if let Err(err) = done {
            tracing::warn!(%err, "emulated bus");
        }
    }
    lock(folder).nodes.values().for_each(|node| node.close());
}

/// The folders as a bus: nodes by device number.
struct BusFolder {
    base: PathBuf,
    /// The base and every client's.
    roots: Roots,
    nodes: HashMap<u8, Arc<Node>>,
    plugged: Vec<Plugged>,
    events: u64,
    /// Ends its watch when dropped.
    _board: Arc<Board>,
}

impl BusFolder {
    /// A folder for one more client, as the bus is now.
    fn client(&mut self) -> io::Result<PathBuf> {
        let root = self.base.join(format!("c{}", lock(&self.roots).len()));
        sysfs::skeleton(&root)?;
        for number in self.nodes.keys() {
            node::expose(&self.base, &root, *number)?;
        }
        for plugged in &self.plugged {
            sysfs::Entry::of(plugged).plug(&root, plugged)?;
        }
        lock(&self.roots).push(root.clone());
        Ok(root)
    }

    fn arrived(&mut self, plugged: Plugged) -> io::Result<()> {
        let number = plugged.address.device;
        if let Some(old) = self.nodes.remove(&number) {
            old.close();
        }
        let entry = sysfs::Entry::of(&plugged);
        let target = Target {
            model: Arc::clone(&plugged.model),
            generation: plugged.identity.generation,
            configuration: entry.attribute("bConfigurationValue"),
            roots: Arc::clone(&self.roots),
        };
        let node = Node::make(&self.base, number, target, plugged.model.faults().no_access)?;
        self.nodes.insert(number, node);
        let roots = lock(&self.roots).clone();
        for root in &roots {
            if *root != self.base {
                node::expose(&self.base, root, number)?;
            }
            entry.plug(root, &plugged)?;
        }
        self.plugged.push(plugged);
        self.tell(&roots, "add", &entry)
    }

    fn left(&mut self, plugged: &Plugged) -> io::Result<()> {
        if let Some(node) = self.nodes.get(&plugged.address.device) {
            node.unplug();
        }
        self.plugged.retain(|p| p.address != plugged.address);
        let entry = sysfs::Entry::of(plugged);
        let roots = lock(&self.roots).clone();
        for root in &roots {
            entry.unplug(root)?;
        }
        self.tell(&roots, "remove", &entry)
    }

    fn tell(&mut self, roots: &[PathBuf], action: &str, entry: &sysfs::Entry) -> io::Result<()> {
        self.events += 1;
        roots.iter().try_for_each(|root| uevent::send(root, action, entry, self.events))
    }
}
