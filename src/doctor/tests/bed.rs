//! A computer that is made up: a healthy one, to be broken in one place.

use crate::device::Trust;
use crate::doctor::{Diagnosis, Given, Host, Known, Muxed, Person, ProbeAnswer, Probed, Room, Root, examine};
use crate::event::{Cause, Exam, Verdict};
use crate::ids::PortPath;
use crate::usb::{Address, UsbDevice};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

pub const OURS: &str = include_str!("../../../udev/70-herstel.rules");
pub const MUXD: &str = "SUBSYSTEM==\"usb\", ENV{PRODUCT}==\"5ac/12[9a][0-9a-f]/*\", ACTION==\"add\", \
                        ENV{SYSTEMD_WANTS}=\"usbmuxd.service\"\n";
pub const UDID: &str = "00008110-00126D0E81100001";
pub const NOW: i64 = 1_795_368_600;
/// A user whom no file of a test belongs to.
pub const ANNA: u32 = 54_321;

pub struct Computer {
    folder: tempfile::TempDir,
    pub given: Given,
}

impl Computer {
    /// A phone in normal mode at 1-1, another in recovery at 1-2, and nothing to complain of.
    pub fn healthy() -> Computer {
        let person = Person { uid: ANNA, groups: vec![ANNA, 46], pid: 9000 };
        let given = Given {
            person,
            environment: Default::default(),
            mux_address: "UNIX:/var/run/usbmuxd".into(),
            muxed: Muxed::Answers(vec![UDID.into()]),
            bus_name: "libusb".into(),
            usb: Ok(vec![usb("1-1", 5, 0x12A8, Some(UDID)), usb("1-2", 6, 0x1281, None)]),
            no_bus: None,
            devices: vec![known(Trust::Trusted)],
            rooms: vec![room(Exam::RoomFirmware, 500), room(Exam::RoomBackups, 500)],
            folders: Vec::new(),
            probed: Some(vec![probed("itunes.apple.com"), probed("gs.apple.com")]),
            now: NOW,
            drops: None,
            is_virtual: false,
        };
        let mut computer = Computer { folder: tempfile::tempdir().unwrap(), given };
        for (path, text) in [
            ("usr/sbin/usbmuxd", ""),
            ("usr/bin/systemd-inhibit", ""),
            ("usr/lib/systemd/system/usbmuxd.service", ""),
            ("etc/udev/rules.d/70-herstel.rules", OURS),
            ("usr/lib/udev/rules.d/39-usbmuxd.rules", MUXD),
            ("proc/1/comm", "systemd\n"),
            ("proc/1/cgroup", "0::/init.scope\n"),
            ("proc/1/environ", "HOME=/\0TERM=linux\0"),
            ("proc/77/comm", "usbmuxd\n"),
            ("proc/77/cmdline", "/usr/sbin/usbmuxd\0--user\0usbmux\0"),
            ("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu vme sse2\n"),
            ("proc/sys/kernel/osrelease", "6.12.1-amd64\n"),
            ("sys/class/dmi/id/sys_vendor", "LENOVO\n"),
            ("sys/bus/usb/devices/1-0:1.0/usb1-port1/over_current_count", "0\n"),
            ("sys/module/usbcore/parameters/autosuspend", "2\n"),
            ("var/lib/lockdown/SystemConfiguration.plist", "<plist/>"),
            ("var/lib/dpkg/status", "Package: libimobiledevice6\nStatus: install ok installed\nVersion: 1.4.0-1\n"),
            ("etc/group", "root:x:0:\nplugdev:x:46:anna\n"),
            ("etc/hosts", "127.0.0.1 localhost\n# 127.0.0.1 gs.apple.com\n"),
            ("etc/resolv.conf", "nameserver 192.0.2.53\n"),
            ("run/systemd/timesync/synchronized", ""),
        ] {
            computer.write(path, text);
        }
        computer.phone("1-1", 5, "12a8").write("sys/bus/usb/devices/1-1/serial", UDID);
        computer.phone("1-2", 6, "1281");
        computer
    }

    /// The same with nothing plugged in.
    pub fn without_phones() -> Computer {
        let mut computer = Computer::healthy();
        computer.given.usb = Ok(Vec::new());
        computer.given.muxed = Muxed::Answers(Vec::new());
        computer.given.devices.clear();
        for port in ["1-1", "1-2"] {
            computer.remove(&format!("sys/bus/usb/devices/{port}"));
        }
        computer
    }

    pub fn path(&self, at: &str) -> PathBuf {
        self.folder.path().join(at)
    }

    pub fn write(&mut self, at: &str, text: impl AsRef<[u8]>) -> &mut Computer {
        let path = self.path(at);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    pub fn remove(&mut self, at: &str) -> &mut Computer {
        let path = self.path(at);
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.unwrap();
        self
    }

    pub fn link(&mut self, at: &str, to: &str) -> &mut Computer {
        let path = self.path(at);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(to, path).unwrap();
        self
    }

    pub fn mode(&mut self, at: &str, mode: u32) -> &mut Computer {
        std::fs::set_permissions(self.path(at), std::fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    /// In sysfs, with a node that everybody may open.
    pub fn phone(&mut self, port: &str, device: u8, product: &str) -> &mut Computer {
        let folder = format!("sys/bus/usb/devices/{port}");
        for (file, text) in
            [("idVendor", "05ac"), ("idProduct", product), ("speed", "480"), ("busnum", "1"), ("power/control", "on")]
        {
            self.write(&format!("{folder}/{file}"), format!("{text}\n"));
        }
        self.write(&format!("{folder}/devnum"), format!("{device}\n"));
        let node = format!("dev/bus/usb/001/{device:03}");
        self.write(&node, "").mode(&node, 0o666)
    }

    pub fn variable(&mut self, name: &str, value: &str) -> &mut Computer {
        self.given.environment.insert(name.into(), value.into());
        self
    }

    /// A program that runs, with this node open.
    pub fn program(&mut self, pid: u32, name: &str, node: Option<&str>) -> &mut Computer {
        let cut: String = name.chars().take(15).collect();
        self.write(&format!("proc/{pid}/comm"), cut);
        self.write(&format!("proc/{pid}/cmdline"), format!("/usr/libexec/{name}\0"));
        match node {
            Some(node) => self.link(&format!("proc/{pid}/fd/7"), node),
            None => self,
        }
    }

    pub fn examine(&self) -> Vec<Diagnosis> {
        examine(&Host::read(&Root::new(self.folder.path()), self.given.clone()))
    }

    pub fn look(&self, exam: Exam) -> Diagnosis {
        self.examine().into_iter().find(|d| d.exam == exam).unwrap()
    }

    /// Verdict and cause, something of the evidence and of a command; an empty one stands for none at all.
    #[track_caller]
    pub fn says(&self, exam: Exam, verdict: Verdict, cause: Cause, evidence: &str, command: &str) {
        let found = self.look(exam);
        assert_eq!((found.verdict, found.cause), (verdict, Some(cause)), "{found:#?}");
        let told: Vec<String> = found.evidence.iter().map(|e| format!("{}: {}", e.place, e.seen)).collect();
        assert!(told.iter().any(|t| t.contains(evidence)), "{evidence:?} is not in {told:#?}");
        match command {
            "" => assert!(found.commands.is_empty(), "{:?}", found.commands),
            _ => assert!(found.commands.iter().any(|c| c.contains(command)), "{:?}", found.commands),
        }
    }

    #[track_caller]
    pub fn is(&self, exam: Exam, verdict: Verdict) {
        let found = self.look(exam);
        assert_eq!(found.verdict, verdict, "{found:#?}");
    }
}

pub fn usb(port: &str, device: u8, product: u16, serial: Option<&str>) -> UsbDevice {
    UsbDevice {
        address: Address { bus: 1, device },
        port: PortPath::new(port),
        vendor: 0x05AC,
        product,
        serial: serial.map(str::to_owned),
        no_access: false,
        is_virtual: false,
    }
}

pub fn known(trust: Trust) -> Known {
    Known { title: "Anna's iPhone".into(), name: Some("0x126D0E81100001".into()), trust: Some(trust) }
}

pub fn room(exam: Exam, gigabytes: u64) -> Room {
    Room { exam, folder: "/home/anna/there".into(), free: Ok(gigabytes * 1_000_000_000) }
}

pub fn probed(host: &str) -> Probed {
    Probed {
        host: host.into(),
        needed: true,
        resolved: Ok(vec!["203.0.113.7".parse().unwrap()]),
        direct: Ok(()),
        answer: Some(Ok(ProbeAnswer { status: 200, page: false, ahead: Some(1) })),
    }
}
