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
//! Limits: one uevent socket for each file number, so two clients that watch with the same file number
//! share it and the older hears no more; `no_access` does not stop root; setuid and static programs are
//! out of reach.

#[cfg(test)]
mod judges;
mod node;
mod sysfs;
mod uevent;
mod urb;

use super::board::{Board, Change, Plugged};
use crate::virt::phone::Phone;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use node::{Node, Target};

/// A Unix socket's path ends at 107 bytes; what we put below the folder takes up to this many.
const ROOT_CAP: usize = 75;
/// How soon the loop notices that the emulation was dropped.
const BEAT: Duration = Duration::from_millis(100);

/// A running emulation. Dropping it unplugs everything; clients that have a node open still get their
/// answers (gone) until they close it or this process ends.
pub struct Emulation {
    root: PathBuf,
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
        let mut bus = BusFolder { root: root.clone(), nodes: HashMap::new(), events: 0, _board: board };
        for plugged in &present {
            bus.arrived(plugged)?;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let worker = std::thread::spawn(move || bus.run(&changes, &until));
        Ok(Emulation { root, stop, worker: Some(worker) })
    }

    /// What a program's environment needs, besides its own, to see this bus and nothing else. Without the
    /// preload library (see [`preload_library`]) it would see the real one, so there is nothing then.
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        let Some(library) = preload_library() else { return Vec::new() };
        vec![("LD_PRELOAD".into(), library.into()), ("UMOCKDEV_DIR".into(), self.root.clone().into())]
    }

    pub fn root(&self) -> &Path {
        &self.root
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

/// The folder as a bus: nodes by device number.
struct BusFolder {
    root: PathBuf,
    nodes: HashMap<u8, Arc<Node>>,
    events: u64,
    /// Ends its watch when dropped.
    _board: Arc<Board>,
}

impl BusFolder {
    fn run(mut self, changes: &Receiver<Change>, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let done = match changes.recv_timeout(BEAT) {
                Ok(Change::Arrived(plugged)) => self.arrived(&plugged),
                Ok(Change::Left(plugged)) => self.left(&plugged),
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if let Err(err) = done {
                tracing::warn!(%err, "emulated bus");
            }
        }
        self.nodes.values().for_each(|node| node.close());
    }

    fn arrived(&mut self, plugged: &Plugged) -> io::Result<()> {
        let number = plugged.address.device;
        let generation = plugged.identity.generation;
        let Some(descriptors) = plugged.model.descriptors(generation) else { return Ok(()) };
        if let Some(old) = self.nodes.remove(&number) {
            old.close();
        }
        let entry = sysfs::Entry::of(plugged);
        let target = Target {
            model: Arc::clone(&plugged.model),
            generation,
            configuration: entry.attribute(&self.root, "bConfigurationValue"),
        };
        let node = Node::make(&self.root, number, target, plugged.model.faults().no_access)?;
        self.nodes.insert(number, node);
        entry.plug(&self.root, plugged, &descriptors)?;
        self.events += 1;
        uevent::send(&self.root, "add", &entry, self.events)
    }

    fn left(&mut self, plugged: &Plugged) -> io::Result<()> {
        if let Some(node) = self.nodes.get(&plugged.address.device) {
            node.unplug();
        }
        let entry = sysfs::Entry::of(plugged);
        entry.unplug(&self.root)?;
        self.events += 1;
        uevent::send(&self.root, "remove", &entry, self.events)
    }
}
