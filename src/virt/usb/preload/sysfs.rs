//! The `/sys` that a client sees: a host controller and the phones on its ports.
//!
//! The root hub is a folder without attributes, so no client lists it. libusb finds the port numbers all
//! the same, and libirecovery 1.0.0, which goes on through a device list that it freed, survives: with
//! one phone there is nothing to go on to.
//!
//! A device's folder is made aside and renamed into place, and attributes are replaced by renames, so
//! that no client reads half of one.

use super::super::board::Plugged;
use super::super::descriptors;
use super::super::identity;
use crate::facts::modes::APPLE;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

const CONTROLLER: &str = "sys/devices/pci0000:00/0000:00:14.0";
const HUB: &str = "sys/devices/pci0000:00/0000:00:14.0/usb1";
const DEVICES: &str = "sys/bus/usb/devices";

/// Major number of USB device nodes.
const MAJOR: u32 = 189;

pub fn skeleton(root: &Path) -> io::Result<()> {
    for folder in [HUB, DEVICES, "sys/bus/pci/devices", "sys/dev/char", "sys/class", "dev/.node", "dev/bus/usb/001"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::create_dir_all(root.join("ioctl/dev/bus/usb/001"))?;
    fs::write(root.join(CONTROLLER).join("uevent"), "DRIVER=xhci_hcd\nPCI_CLASS=C0330\nPCI_SLOT_NAME=0000:00:14.0\n")?;
    symlink("../../../bus/pci", root.join(CONTROLLER).join("subsystem"))
}

/// The folders that programs see, the first of which holds FIFOs and sockets.
pub type Roots = Arc<Mutex<Vec<PathBuf>>>;

/// One device's place in the tree.
pub struct Entry {
    /// E.g. `1-1`; here all are on one bus.
    pub name: String,
    pub number: u8,
    vendor: u16,
    product: u16,
    release: u16,
}

impl Entry {
    pub fn of(plugged: &Plugged) -> Entry {
        Entry {
            name: format!("1-{}", plugged.port),
            number: plugged.address.device,
            vendor: APPLE,
            product: plugged.identity.product,
            release: descriptors::release(plugged.identity.product),
        }
    }

    /// Below `/sys`, e.g. `/devices/…/usb1/1-1`.
    pub fn devpath(&self) -> String {
        format!("{}/{}", HUB.trim_start_matches("sys"), self.name)
    }

    fn folder(&self, root: &Path) -> PathBuf {
        root.join("sys").join(self.devpath().trim_start_matches('/'))
    }

    /// Where an attribute is, below any root.
    pub fn attribute(&self, name: &str) -> PathBuf {
        Path::new("sys").join(self.devpath().trim_start_matches('/')).join(name)
    }

    pub fn minor(&self) -> u32 {
        u32::from(self.number) - 1
    }

    /// `KEY=VALUE` pairs of the kernel's event, less action, path and sequence number.
    pub fn properties(&self) -> Vec<(&'static str, String)> {
        vec![
            ("MAJOR", MAJOR.to_string()),
            ("MINOR", self.minor().to_string()),
            ("DEVNAME", format!("bus/usb/001/{:03}", self.number)),
            ("DEVTYPE", "usb_device".into()),
            ("DRIVER", "usb".into()),
            ("PRODUCT", format!("{:x}/{:x}/{:x}", self.vendor, self.product, self.release)),
            ("TYPE", "0/0/0".into()),
            ("BUSNUM", "001".into()),
            ("DEVNUM", format!("{:03}", self.number)),
        ]
    }

    pub fn plug(&self, root: &Path, plugged: &Plugged) -> io::Result<()> {
        let set = descriptors::of(self.product);
        let now = plugged.model.identity().filter(|now| now.generation == plugged.identity.generation);
        let configuration = now.map_or(plugged.identity.configuration, |now| now.configuration);
        let mut descriptors = set.device.to_vec();
        set.configurations.iter().for_each(|c| descriptors.extend_from_slice(c));
        let interfaces = set.configurations.first().and_then(|c| c.get(4)).copied().unwrap_or(0);
        let port = self.name.rsplit('-').next().unwrap_or("1").to_owned();
        let name = identity::plain_string(plugged.model.phone(), self.product, set.device[15]).unwrap_or_default();
        let more = [
            ("bConfigurationValue", configuration.to_string()),
            ("bNumConfigurations", set.configurations.len().to_string()),
            ("bNumInterfaces", format!("{interfaces:2}")),
            ("bDeviceClass", "00".into()),
            ("bDeviceSubClass", "00".into()),
            ("bDeviceProtocol", "00".into()),
            ("devpath", port),
            ("manufacturer", "Apple Inc.".into()),
            ("product", name.to_owned()),
            ("serial", plugged.identity.serial.clone()),
        ];
        self.write(root, &more, &descriptors)
    }

    fn write(&self, root: &Path, more: &[(&str, String)], descriptors: &[u8]) -> io::Result<()> {
        let aside = root.join(format!("aside-{}", self.number));
        if aside.exists() {
            fs::remove_dir_all(&aside)?;
        }
        fs::create_dir(&aside)?;
        let plain = [
            ("idVendor", format!("{:04x}", self.vendor)),
            ("idProduct", format!("{:04x}", self.product)),
            ("bcdDevice", format!("{:04x}", self.release)),
            ("bMaxPacketSize0", "64".into()),
            ("busnum", "1".into()),
            ("devnum", self.number.to_string()),
            ("dev", format!("{MAJOR}:{}", self.minor())),
            ("speed", "480".into()),
            ("version", " 2.00".into()),
            ("maxchild", "0".into()),
            ("authorized", "1".into()),
        ];
        for (name, value) in plain.iter().chain(more) {
            fs::write(aside.join(name), format!("{value}\n"))?;
        }
        let event: String = self.properties().iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        fs::write(aside.join("uevent"), event)?;
        fs::write(aside.join("descriptors"), descriptors)?;
        let up = "../".repeat(self.devpath().matches('/').count());
        symlink(format!("{up}bus/usb"), aside.join("subsystem"))?;
        let folder = self.folder(root);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::rename(&aside, &folder)?;
        let target = self.devpath().trim_start_matches('/').to_owned();
        link(&root.join(DEVICES).join(&self.name), &format!("../../../{target}"))?;
        link(&root.join("sys/dev/char").join(format!("{MAJOR}:{}", self.minor())), &format!("../../{target}"))
    }

    pub fn unplug(&self, root: &Path) -> io::Result<()> {
        remove(&root.join(DEVICES).join(&self.name))?;
        remove(&root.join("sys/dev/char").join(format!("{MAJOR}:{}", self.minor())))?;
        match fs::remove_dir_all(self.folder(root)) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

/// What `stat` on the node shall say its number is.
pub fn node_number(root: &Path, number: u8) -> io::Result<()> {
    link(
        &root.join("dev/.node").join(format!("bus_usb_001_{number:03}")),
        &format!("{MAJOR}:{}", u32::from(number) - 1),
    )
}

/// Replaces one attribute in one step.
pub fn rewrite(attribute: &Path, value: u8) -> io::Result<()> {
    let aside = attribute.with_extension("aside");
    fs::write(&aside, format!("{value}\n"))?;
    fs::rename(&aside, attribute)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn link(at: &Path, target: &str) -> io::Result<()> {
    remove(at)?;
    symlink(target, at)
}
