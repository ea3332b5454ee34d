//! Each question provoked on a computer that is made up, and trees that mean harm.

mod bed;

use super::{Drops, Muxed, ProbeAnswer};
use crate::device::Trust;
use crate::event::{Cause, Exam, QUESTIONS, Verdict};
use crate::usb::{Address, BusEvent};
use bed::{ANNA, Computer, OURS, known, probed, room, usb};
use std::collections::{BTreeMap, BTreeSet};

use Verdict::{Blocking, Good, NotApplicable, Unknown, Warning};

#[test]
fn a_healthy_computer_is_told_so() {
    for computer in [Computer::healthy(), Computer::without_phones()] {
        let found = computer.examine();
        let asked: BTreeSet<u8> = found.iter().map(|d| d.exam.question()).collect();
        assert_eq!(asked, (1..=QUESTIONS).collect());
        assert_eq!(found.len(), Exam::ALL.len());
        for one in &found {
            assert!(matches!(one.verdict, Good | NotApplicable), "{one:#?}");
            // An answer that everybody asks for was read nowhere.
            assert!(!one.evidence.is_empty() || one.exam == Exam::LockedDevice, "{one:#?}");
        }
    }
    let plugged = Computer::healthy().examine();
    let judged = |exam| plugged.iter().any(|d| d.exam == exam && d.verdict == Good);
    assert!([Exam::Trust, Exam::UsbSpeed, Exam::HubDepth, Exam::Holders, Exam::UsbRights].into_iter().all(judged));
}

#[test]
fn q1_usbmuxd_does_not_answer() {
    let mut computer = Computer::healthy();
    computer.given.muxed = Muxed::Away("No such file or directory".into());
    computer.says(Exam::Usbmuxd, Blocking, Cause::MuxSilent, "No such file", "systemctl start usbmuxd");
    computer.says(Exam::Usbmuxd, Blocking, Cause::MuxSilent, "05ac:12a8 (normal) at 1-1", "usbmuxd");
    computer.given.muxed = Muxed::Silent("no answer".into());
    computer.says(Exam::Usbmuxd, Blocking, Cause::MuxSilent, "no answer", "restart usbmuxd");
    computer.given.muxed = Muxed::Refused("Permission denied".into());
    computer.says(Exam::Usbmuxd, Blocking, Cause::MuxRefused, "Permission denied", "ls -lL /var/run/usbmuxd");
    computer.is(Exam::UsbmuxdStart, Good);
    computer.given.muxed = Muxed::Garbage("a frame of 4 GB".into());
    computer.says(Exam::Usbmuxd, Blocking, Cause::MuxGarbage, "a frame of 4 GB", "ss -xlp");

    computer.given.muxed = Muxed::Away("connection refused".into());
    computer.variable("USBMUXD_SOCKET_ADDRESS", "elsewhere:27015");
    computer.says(Exam::Usbmuxd, Blocking, Cause::MuxElsewhere, "elsewhere:27015", "unset USBMUXD_SOCKET_ADDRESS");
}

#[test]
fn q1_usbmuxd_does_not_show_all_that_is_plugged_in() {
    let mut computer = Computer::healthy();
    computer.given.muxed = Muxed::Answers(Vec::new());
    computer.says(Exam::Usbmuxd, Warning, Cause::MuxBlind, "at 1-1, not on usbmuxd", "restart usbmuxd");
    // The one in recovery is none of usbmuxd's.
    assert!(!format!("{:?}", computer.look(Exam::Usbmuxd)).contains("1281"));
}

#[test]
fn q1_the_kernel_shows_what_libusb_does_not() {
    let mut computer = Computer::healthy();
    computer.given.usb = Ok(vec![usb("1-1", 5, 0x12A8, None)]);
    computer.says(Exam::Usb, Blocking, Cause::UsbAway, "05ac:1281 (recovery) at 1-2, not on libusb", "");
    computer.given.no_bus = Some("Other".into());
    computer.is(Exam::Usb, Blocking);
    Computer::without_phones().is(Exam::Usb, Good);
    let mut without = Computer::without_phones();
    without.given.no_bus = Some("libusb has no backend".into());
    without.says(Exam::Usb, Warning, Cause::NoBus, "libusb: libusb has no backend", "");
    computer.given.usb = Err("no USB here".into());
    computer.says(Exam::Usb, Blocking, Cause::UsbAway, "no USB here", "");
}

#[test]
fn q2_usbmuxd_ends_with_the_last_phone() {
    let mut computer = Computer::without_phones();
    computer.given.muxed = Muxed::Away("No such file or directory".into());
    computer.remove("proc/77");
    computer.says(Exam::Usbmuxd, Good, Cause::MuxAsleep, "/usr/sbin/usbmuxd: installed", "");
    computer.is(Exam::UsbmuxdStart, Good);
    computer.remove("usr/lib/udev/rules.d/39-usbmuxd.rules");
    computer.says(Exam::UsbmuxdStart, Warning, Cause::NoStartRule, "no rule starts it", "systemctl start usbmuxd");
    computer.remove("usr/lib/systemd/system/usbmuxd.service");
    computer.says(Exam::UsbmuxdStart, Warning, Cause::NoStartRule, "no rule starts it", "sudo usbmuxd");

    let mut plugged = Computer::healthy();
    plugged.given.muxed = Muxed::Away("No such file or directory".into());
    plugged.says(Exam::UsbmuxdStart, Warning, Cause::StartFailed, "39-usbmuxd.rules", "systemctl status usbmuxd");

    computer.remove("usr/sbin/usbmuxd").write("run/current-system/sw/bin/usbmuxd", "");
    computer.says(Exam::Usbmuxd, Good, Cause::MuxAsleep, "/run/current-system/sw/bin/usbmuxd: installed", "");
    computer.remove("run/current-system");
    computer.says(Exam::Usbmuxd, Blocking, Cause::MuxMissing, "No such file", "apt install usbmuxd");
    computer.is(Exam::UsbmuxdStart, NotApplicable);
}

#[test]
fn q2_the_version_comes_from_the_package_list() {
    let mut computer = Computer::healthy();
    computer.write("var/lib/dpkg/status", "Package: usbmuxd\nStatus: install ok installed\nVersion: 1.1.1-2\n");
    assert_eq!(computer.look(Exam::UsbmuxdStart).evidence[0].seen, "1.1.1-2");
}

#[test]
fn q3_no_rule_for_recovery_and_dfu() {
    let mut computer = Computer::without_phones();
    computer.remove("etc/udev/rules.d/70-herstel.rules");
    computer.says(Exam::UdevRule, Warning, Cause::RuleMissing, "05ac:f014: Port DFU: no rule", "herstel generate udev");
    // As distributions ship it: without f014.
    let stock = "ATTR{idVendor}==\"05ac\", ATTR{idProduct}==\"122[27]|128[0-3]\", TAG+=\"uaccess\"\n";
    computer.write("usr/lib/udev/rules.d/39-libirecovery.rules", stock);
    computer.says(
        Exam::UdevRule,
        Warning,
        Cause::RulePartly,
        "recovery may be opened: /usr/lib/udev",
        "udevadm control",
    );
    computer.remove("usr/lib/udev/rules.d/39-libirecovery.rules").write("etc/udev/rules.d/90-late.rules", stock);
    computer.says(Exam::UdevRule, Warning, Cause::RuleLate, "90-late.rules", "generate udev");
    // Hidden by its owner.
    computer.link("etc/udev/rules.d/70-herstel.rules", "/dev/null").remove("etc/udev/rules.d/90-late.rules");
    computer.write("usr/lib/udev/rules.d/70-herstel.rules", OURS);
    computer.says(Exam::UdevRule, Warning, Cause::RuleMissing, "no rule opens it", "generate udev");
}

#[test]
fn q4_the_node_may_not_be_opened() {
    let mut computer = Computer::healthy();
    computer.mode("dev/bus/usb/001/006", 0o600);
    computer.given.usb.as_mut().unwrap()[1].no_access = true;
    computer.says(Exam::UsbRights, Blocking, Cause::NodeRefused, "/dev/bus/usb/001/006: 05ac:1281", "generate udev");
    computer.says(Exam::UsbRights, Blocking, Cause::NodeRefused, "mode 600", "getfacl /dev/bus/usb/001/006");
    // By its mode alone, where libusb did not list it.
    computer.given.usb = Ok(Vec::new());
    computer.says(Exam::UsbRights, Blocking, Cause::NodeRefused, "uid 54321", "getfacl");
    computer.mode("dev/bus/usb/001/006", 0o666).is(Exam::UsbRights, Good);
    // A phone in normal mode is usbmuxd's.
    computer.mode("dev/bus/usb/001/005", 0o600).is(Exam::UsbRights, Good);
}

#[test]
fn q4_what_the_rule_will_give_is_foretold() {
    let mut computer = Computer::without_phones();
    computer.is(Exam::UsbRights, Good);
    computer.given.person.groups = vec![ANNA];
    computer.is(Exam::UsbRights, Good);
    computer.variable("SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22");
    computer.says(Exam::UsbRights, Warning, Cause::NotInGroup, "group plugdev", "usermod -aG plugdev");
    computer.write("etc/udev/rules.d/70-herstel.rules", "ATTR{idVendor}==\"05ac\", TAG+=\"uaccess\"");
    computer.says(Exam::UsbRights, Warning, Cause::NoSeat, "seat alone", "generate udev");
}

#[test]
fn q4_root_and_what_it_leaves_behind() {
    let mut computer = Computer::healthy();
    computer.given.person.uid = 0;
    computer.says(Exam::Root, Warning, Cause::AsRoot, "uid 0", "");
    computer.is(Exam::UdevRule, Good);
    // Every system has a folder of root's; /proc/sys cannot be anybody else's.
    computer.given.person.uid = ANNA;
    computer.given.folders = vec!["/proc/sys".into()];
    computer.says(
        Exam::Root,
        Warning,
        Cause::RootsFiles,
        "/proc/sys: belongs to root",
        "chown -R \"$USER\" '/proc/sys'",
    );
}

#[test]
fn q5_two_daemons_and_records_of_no_use() {
    let mut computer = Computer::healthy();
    computer.program(78, "netmuxd", None);
    computer.says(Exam::OneUsbmuxd, Warning, Cause::TwoDaemons, "/proc/78: netmuxd", "ps -C usbmuxd");
    computer.write(&format!("var/lib/lockdown/{}.plist", bed::UDID), "");
    computer.says(Exam::PairRecords, Warning, Cause::RecordsEmpty, "0 bytes, of ", "sudo rm '/var/lib/lockdown/");
    computer.remove("var/lib/lockdown").link("var/lib/lockdown", "lockdown");
    computer.says(Exam::PairRecords, Unknown, Cause::RecordsUnseen, "/var/lib/lockdown", "");
}

#[test]
fn q5_the_contents_of_a_record_are_never_shown() {
    let mut computer = Computer::healthy();
    computer.write("var/lib/lockdown/x.plist", "EscrowBag-of-somebody");
    let all = serde_json::to_string(&computer.examine()).unwrap();
    assert!(all.contains("/var/lib/lockdown/x.plist") && !all.contains("EscrowBag"));
}

#[test]
fn q6_a_phone_that_was_not_unlocked_since_it_started() {
    let mut computer = Computer::healthy();
    computer.given.devices = vec![known(Trust::Locked)];
    computer.says(Exam::Unlocked, Warning, Cause::LockedSinceBoot, "trust: locked", "-d 0x126D0E81100001 pair");
}

#[test]
fn q7_a_record_that_the_phone_no_longer_knows() {
    let mut computer = Computer::healthy();
    computer.given.devices = vec![known(Trust::Stale), known(Trust::Trusted)];
    computer.says(Exam::Trust, Warning, Cause::TrustStale, "trust: stale", "-d 0x126D0E81100001 pair --reset");
}

#[test]
fn q8_an_old_library_is_for_other_tools() {
    let mut computer = Computer::healthy();
    let list = "Package: libimobiledevice6\nStatus: install ok installed\nVersion: 1.3.0-6+b3\n";
    computer.write("var/lib/dpkg/status", list);
    computer.says(Exam::Libimobiledevice, Warning, Cause::OldLibrary, "libimobiledevice6 1.3.0-6+b3", "");
    computer.remove("var/lib/dpkg/status").write("var/lib/pacman/local/libimobiledevice-1.3.0-9/desc", "");
    computer.says(Exam::Libimobiledevice, Warning, Cause::OldLibrary, "pacman/local/libimobiledevice-1.3.0-9", "");
    computer.remove("var/lib/pacman").write("usr/lib64/libimobiledevice-1.0.so.6", "");
    computer.says(Exam::Libimobiledevice, Unknown, Cause::Unreadable, "/usr/lib64/libimobiledevice-1.0.so.6", "");
    computer.remove("usr/lib64").is(Exam::Libimobiledevice, NotApplicable);
}

#[test]
fn q9_a_file_manager_holds_it() {
    let mut computer = Computer::healthy();
    computer.program(200, "gvfsd-gphoto2", Some("/dev/bus/usb/001/005"));
    computer.says(Exam::Holders, Warning, Cause::FilesGrab, "gvfsd-gphoto2 holds /dev/bus/usb/001/005", "gio mount -u");
    computer.remove("proc/200").program(201, "VBoxSVC", Some("/dev/bus/usb/001/006"));
    computer.says(Exam::Holders, Warning, Cause::OtherHolds, "VBoxSVC holds /dev/bus/usb/001/006", "-p 201");
    // usbmuxd may, and so may we.
    computer.remove("proc/201").link("proc/77/fd/9", "/dev/bus/usb/001/005");
    computer.program(9000, "herstel", Some("/dev/bus/usb/001/006")).is(Exam::Holders, Good);
    // Another device's node is none of our business; a monitor that waits is no fault.
    computer.program(202, "gvfs-gphoto2-volume-monitor", Some("/dev/bus/usb/001/009"));
    computer.program(203, "gvfs-afc-volume-monitor", None).is(Exam::Holders, Good);
    assert!(computer.look(Exam::Holders).evidence.iter().any(|e| e.seen.contains("gvfs-afc-volume-monitor runs")));
}

#[test]
fn q10_modem_manager_is_not_kept_off() {
    let mut computer = Computer::healthy();
    computer.program(300, "ModemManager", None).is(Exam::ModemManager, Good);
    computer.write("run/udev/data/c189:5", "E:ID_BUS=usb\n");
    computer.says(
        Exam::ModemManager,
        Warning,
        Cause::ModemProbes,
        "/run/udev/data/c189:5: 05ac:1281: no ID_MM",
        "generate udev",
    );
    computer.write("run/udev/data/c189:5", "E:ID_MM_DEVICE_IGNORE=1\n").is(Exam::ModemManager, Good);
    computer.remove("etc/udev/rules.d/70-herstel.rules");
    computer.says(Exam::ModemManager, Warning, Cause::ModemProbes, "05ac:f014: no rule keeps", "stop ModemManager");
}

#[test]
fn q11_the_tethering_driver_takes_it() {
    let mut computer = Computer::healthy();
    computer.write("sys/bus/usb/drivers/ipheth/bind", "").is(Exam::Tethering, Good);
    computer.link("sys/bus/usb/drivers/ipheth/1-1:4.2", "../../../../devices/1-1:4.2").is(Exam::Tethering, Good);
    computer.given.muxed = Muxed::Answers(Vec::new());
    computer.says(Exam::Tethering, Warning, Cause::TetheringTakes, "ipheth/1-1:4.2: bound", "modprobe -r ipheth");
}

#[test]
fn q12_selinux_forbids() {
    let mut computer = Computer::healthy();
    computer.write("sys/fs/selinux/enforce", "0").is(Exam::Selinux, Good);
    computer.write("sys/fs/selinux/enforce", "1\n");
    let found = computer.look(Exam::Selinux);
    // The machine that runs this test may have labels of its own, or none.
    assert!(matches!(found.cause, Some(Cause::LabelsUnseen | Cause::LabelsWrong)), "{found:#?}");
    assert!(found.evidence[0].seen.contains("enforcing") && found.commands[0].contains("/var/lib/lockdown"));
}

#[test]
fn q13_flatpak_and_snap() {
    let mut computer = Computer::healthy();
    computer.variable("SNAP", "/snap/code/1").is(Exam::Sandbox, Good);
    computer.write("proc/self/attr/current", "snap.herstel.herstel (enforce)\n");
    computer.says(Exam::Sandbox, Warning, Cause::InSnap, "snap.herstel.herstel (enforce)", "");
    computer.write(".flatpak-info", "[Application]\nname=org.x'; rm -rf\n");
    computer.says(
        Exam::Sandbox,
        Warning,
        Cause::InFlatpak,
        "/.flatpak-info: org.x",
        "/run/usbmuxd 'org.x'\\''; rm -rf'",
    );
}

#[test]
fn q14_a_container_without_the_node() {
    let mut computer = Computer::healthy();
    computer.write(".dockerenv", "").is(Exam::Container, Good);
    computer.remove("dev/bus/usb/001/006");
    computer.says(Exam::Container, Blocking, Cause::NodesMissing, "/dev/bus/usb/001/006: not there", "c 189:* rmw");
    let mut empty = Computer::without_phones();
    empty.write("proc/1/environ", "A=b\0container=lxc\0").remove("dev");
    empty.says(Exam::Container, Warning, Cause::NoUsbFolder, "container=lxc", "/dev/bus/usb:/dev/bus/usb");
    empty.write("proc/1/environ", "").write("proc/1/cgroup", "1:cpu:/kubepods/pod1\n");
    empty.says(Exam::Container, Warning, Cause::NoUsbFolder, "/kubepods/pod1", "docker run");
}

#[test]
fn q15_wsl() {
    let mut computer = Computer::healthy();
    computer.write("proc/sys/kernel/osrelease", "5.15.90.1-microsoft-standard-WSL2\n");
    computer.write("proc/cpuinfo", "flags : fpu hypervisor\n");
    computer.says(Exam::Wsl, Warning, Cause::InWsl, "microsoft-standard-WSL2", "--auto-attach");
    computer.is(Exam::VirtualMachine, NotApplicable);
}

#[test]
fn q16_a_virtual_machine() {
    let mut computer = Computer::healthy();
    computer.write("proc/cpuinfo", "model name : x\nflags\t\t: fpu hypervisor sse\n");
    computer.says(Exam::VirtualMachine, Warning, Cause::InVirtualMachine, "/proc/cpuinfo: hypervisor", "");
    computer.write("proc/cpuinfo", "").write("sys/class/dmi/id/product_name", "VirtualBox\n");
    computer.says(Exam::VirtualMachine, Warning, Cause::InVirtualMachine, "product_name: VirtualBox", "");
}

#[test]
fn q17_a_raspberry_pi_and_over_current() {
    let mut computer = Computer::healthy();
    let mut shop = Computer::healthy();
    for port in 1..=9 {
        shop.phone(&format!("2-{port}"), port + 10, "12a8");
    }
    shop.says(Exam::UsbPower, Warning, Cause::ManyPhones, "devices of Apple's: 11", "");
    computer.write("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.1\0");
    computer.says(Exam::UsbPower, Warning, Cause::RaspberryPi, "Raspberry Pi 4", "vcgencmd get_throttled");
    computer.write("sys/bus/usb/devices/1-1:1.0/1-1-port2/over_current_count", "3\n");
    computer.says(Exam::UsbPower, Warning, Cause::OverCurrent, "1-1-port2/over_current_count: 3", "dmesg");
}

#[test]
fn q18_cable_port_and_hubs() {
    let mut computer = Computer::healthy();
    computer.write("sys/bus/usb/devices/1-1/speed", "12\n");
    computer.says(Exam::UsbSpeed, Warning, Cause::SlowLink, "1-1/speed: 12 Mbit/s", "");
    computer.write("sys/bus/usb/devices/1-1/speed", "fast\n");
    computer.says(Exam::UsbSpeed, Unknown, Cause::Unreadable, "not told", "");
    computer.phone("1-3.2", 7, "12ab").is(Exam::HubDepth, Good);
    computer.phone("1-4.3.2", 8, "1227");
    computer.says(Exam::HubDepth, Warning, Cause::DeepHubs, "1-4.3.2: hubs before 05ac:1227: 2", "");
}

#[test]
fn q18_what_drops_off_the_bus_is_counted() {
    let mut computer = Computer::healthy();
    computer.says(Exam::UsbDrops, NotApplicable, Cause::NotWatched, "", "herstel doctor --watch 20");
    let phone = usb("1-1", 5, 0x12A8, None);
    let (mut known, mut drops) = (BTreeMap::from([(phone.address, "1-1".to_owned())]), Drops::default());
    let mut back = phone.clone();
    back.address = Address { bus: 1, device: 9 };
    for event in [
        // More became known: no departure.
        BusEvent::Arrived(phone.clone()),
        BusEvent::Left(phone.address),
        BusEvent::Arrived(back.clone()),
        BusEvent::Left(back.address),
        // Told twice.
        BusEvent::Left(back.address),
    ] {
        super::count_drops(&mut known, &mut drops, event);
    }
    assert_eq!(drops.left, BTreeMap::from([("1-1".to_owned(), 2)]));
    computer.given.drops = Some(Drops { seconds: 20, ..drops });
    computer.says(Exam::UsbDrops, Warning, Cause::LinkDrops, "libusb for 20 s: 1-1 left the bus, times: 2", "");
    computer.given.drops = Some(Drops { seconds: 20, left: BTreeMap::new() });
    computer.is(Exam::UsbDrops, Good);
}

#[test]
fn q19_a_locked_phone_can_be_restored() {
    let computer = Computer::healthy();
    let found = computer.look(Exam::LockedDevice);
    assert_eq!((found.verdict, found.cause), (Good, Some(Cause::LockedCanBeRestored)));
    assert_eq!(found.commands, ["herstel triage"]);
}

#[test]
fn q20_ports_that_sleep_and_a_computer_that_does() {
    let mut computer = Computer::healthy();
    computer.write("sys/bus/usb/devices/1-2/power/control", "auto\n");
    computer.says(Exam::Autosuspend, Warning, Cause::SuspendOn, "1-2/power/control: auto", "echo on | sudo tee");
    computer.write("sys/bus/usb/devices/1-2/power/control", "on\n").write("usr/sbin/tlp", "");
    computer.says(Exam::Autosuspend, Warning, Cause::TlpSuspends, "/usr/sbin/tlp", "/etc/tlp.conf");
    computer.write("etc/tlp.conf", "# USB_AUTOSUSPEND=0\nUSB_AUTOSUSPEND = \"0\"\n").is(Exam::Autosuspend, Good);
    computer.write("etc/tlp.conf", "USB_DENYLIST=\"05ac:1281\"\n").is(Exam::Autosuspend, Good);
    computer.remove("usr/bin/systemd-inhibit");
    computer.says(Exam::Sleep, Warning, Cause::NoInhibitor, "not found", "");
    computer.write("sys/class/power_supply/BAT0/type", "Battery\n");
    computer.write("sys/class/power_supply/BAT0/capacity", "12\n");
    computer.write("sys/class/power_supply/BAT0/status", "Charging\n").is(Exam::ComputerPower, Good);
    computer.write("sys/class/power_supply/BAT0/status", "Discharging\n");
    computer.says(Exam::ComputerPower, Warning, Cause::BatteryLow, "BAT0: 12 %, discharging", "");
    computer.write("sys/class/power_supply/BAT0/scope", "Device\n").is(Exam::ComputerPower, NotApplicable);
}

#[test]
fn q20_room() {
    let mut computer = Computer::healthy();
    computer.given.rooms = vec![room(Exam::RoomFirmware, 29), room(Exam::RoomBackups, 1)];
    computer.says(Exam::RoomFirmware, Warning, Cause::RoomShort, "there: 29 GB free", "firmware cache");
    computer.says(Exam::RoomBackups, Warning, Cause::RoomNone, "1 GB free", "backups prune --keep 2 --dry-run");
    computer.given.rooms = vec![room(Exam::RoomFirmware, 11)];
    computer.says(Exam::RoomFirmware, Blocking, Cause::RoomNone, "11 GB free", "firmware cache");
    computer.says(Exam::RoomBackups, Unknown, Cause::RoomUnseen, "", "");
    computer.given.rooms[0].free = Err("permission denied".into());
    computer.says(Exam::RoomFirmware, Unknown, Cause::RoomUnseen, "permission denied", "");
}

#[test]
fn q20_the_clock() {
    let ahead = |seconds: i64| {
        let mut computer = Computer::healthy();
        let answer = ProbeAnswer { status: 200, page: false, ahead: Some(seconds) };
        computer.given.probed.as_mut().unwrap()[0].answer = Some(Ok(answer));
        computer
    };
    ahead(-86_400).says(Exam::Clock, Blocking, Cause::ClockWrong, "-86400 s ahead", "set-ntp true");
    ahead(301).says(Exam::Clock, Warning, Cause::ClockDrifts, "301 s ahead", "timedatectl");
    ahead(i64::MIN).is(Exam::Clock, Blocking);
    ahead(299).is(Exam::Clock, Good);
    let mut alone = Computer::healthy();
    alone.given.probed = None;
    alone.is(Exam::Clock, Good);
    alone.remove("run/systemd/timesync/synchronized");
    alone.says(Exam::Clock, Unknown, Cause::ClockUnproven, "2026-11-22", "timedatectl");
    alone.given.now = 86_400;
    alone.says(Exam::Clock, Blocking, Cause::ClockWrong, "1970-01-02", "set-ntp true");
}

#[test]
fn q20_apples_servers() {
    let mut computer = Computer::healthy();
    computer.given.probed.as_mut().unwrap()[1].direct = Err("refused".into());
    computer.says(Exam::AppleHosts, Warning, Cause::HostsOnlyByProxy, "gs.apple.com: no connection: refused", "");
    computer.given.probed.as_mut().unwrap()[1].answer = Some(Err("no answer in time".into()));
    computer.says(Exam::AppleHosts, Blocking, Cause::HostsAway, "gs.apple.com: no connection", "curl -v --noproxy");
    let mut portal = probed("itunes.apple.com");
    portal.answer = Some(Ok(ProbeAnswer { status: 200, page: true, ahead: None }));
    computer.given.probed = Some(vec![portal]);
    computer.says(Exam::AppleHosts, Blocking, Cause::PortalAnswers, "answers 200, a web page", "curl");
    let mut calibration = probed("gg.apple.com");
    (calibration.needed, calibration.answer, calibration.direct) = (false, None, Err("refused".into()));
    computer.given.probed = Some(vec![probed("gs.apple.com"), calibration]);
    computer.says(Exam::AppleHosts, Warning, Cause::CalibrationAway, "gg.apple.com: no connection", "");
    computer.given.probed = None;
    computer.says(Exam::AppleHosts, Unknown, Cause::Offline, "", "");
}

#[test]
fn q20_proxies_hosts_and_names() {
    let mut computer = Computer::healthy();
    computer.variable("https_proxy", "http://anna:s3cret@proxy:3128");
    computer.says(Exam::Proxy, Warning, Cause::ProxySet, "http://…@proxy:3128", "env -u https_proxy");
    assert!(!format!("{:?}", computer.examine()).contains("s3cret"));

    computer.write("etc/hosts", "127.0.0.1 localhost\n17.1.1.1 Updates.CDN-Apple.com\n1.1.1.1 notapple.com\n");
    computer.says(Exam::HostsFile, Warning, Cause::HostsNamed, "17.1.1.1 Updates.CDN-Apple.com", "sudoedit /etc/hosts");
    computer.write("etc/hosts", "74.208.105.171\tgs.apple.com # old tool\n");
    computer.says(Exam::HostsFile, Blocking, Cause::HostsMoved, "74.208.105.171 gs.apple.com", "sudoedit");

    computer.given.probed.as_mut().unwrap()[0].resolved = Ok(vec!["0.0.0.0".parse().unwrap()]);
    computer.says(Exam::Resolver, Warning, Cause::ResolverLies, "itunes.apple.com: 0.0.0.0", "getent ahosts");
    computer.given.probed.as_mut().unwrap()[0].resolved = Err("not known".into());
    computer.says(Exam::Resolver, Warning, Cause::NoResolver, "itunes.apple.com: not known", "resolvectl");
    computer.given.probed = None;
    computer.write("etc/resolv.conf", "; nothing\n");
    computer.says(Exam::Resolver, Unknown, Cause::NoResolver, "no nameserver", "getent");
}

// -- trees that mean harm --

#[test]
fn an_empty_tree_is_no_crash() {
    let mut computer = Computer::healthy();
    for folder in ["usr", "etc", "proc", "sys", "var", "run", "dev"] {
        computer.remove(folder);
    }
    let found = computer.examine();
    assert_eq!(found.len(), Exam::ALL.len());
    computer.says(Exam::Holders, Unknown, Cause::Unreadable, "/proc: not there", "");
    computer.is(Exam::UdevRule, NotApplicable);
}

#[test]
fn loops_pipes_garbage_and_giants() {
    let mut computer = Computer::healthy();
    computer.given.usb = Ok(Vec::new());
    for file in ["etc/hosts", "etc/resolv.conf", "etc/group", "proc/cpuinfo", "var/lib/dpkg/status", "etc/tlp.conf"] {
        let _ = std::fs::remove_file(computer.path(file));
        computer.link(file, file.rsplit('/').next().unwrap());
    }
    computer.link("sys/bus/usb/devices/1-9", "1-9").link("proc/666", "666").link("etc/udev/rules.d/1.rules", "1.rules");
    let garbage: Vec<u8> = (0..=255_u8).cycle().take(1 << 20).collect();
    for file in ["idVendor", "idProduct", "speed", "busnum", "devnum", "serial", "power/control"] {
        computer.write(&format!("sys/bus/usb/devices/1-1/{file}"), &garbage);
    }
    for (file, text) in [("busnum", "18446744073709551615"), ("devnum", "0"), ("speed", "-1")] {
        computer.write(&format!("sys/bus/usb/devices/1-2/{file}"), text);
    }
    computer.write("proc/77/comm", &garbage).write("etc/udev/rules.d/2.rules", [b"05ac ", &garbage[..]].concat());
    computer.write("proc/99999999999/comm", "usbmuxd").write("sys/class/power_supply/BAT0/capacity", &garbage);
    let giant = std::fs::File::create(computer.path("proc/device-tree-model")).unwrap();
    giant.set_len(1 << 40).unwrap();
    computer.link("proc/device-tree/model", "../device-tree-model");
    let found = computer.examine();
    assert_eq!(found.len(), Exam::ALL.len());
    computer.says(Exam::HostsFile, Unknown, Cause::Unreadable, "/etc/hosts: ", "");
    computer.says(Exam::UdevRule, Unknown, Cause::Unreadable, "/etc/udev/rules.d/1.rules: ", "");
    for one in found.iter().flat_map(|d| &d.evidence) {
        assert!(one.place.chars().count() <= 161 && one.seen.chars().count() <= 161, "{one:?}");
        assert!(!one.place.chars().chain(one.seen.chars()).any(char::is_control), "{one:?}");
    }
    assert!(found.iter().all(|d| d.evidence.len() <= 24));
}

#[test]
fn what_may_not_be_read_is_unknown_with_its_reason() {
    let mut computer = Computer::healthy();
    computer.mode("etc/udev/rules.d/70-herstel.rules", 0).mode("etc/hosts", 0).mode("proc/1/comm", 0);
    let may_read = std::fs::read(computer.path("etc/hosts")).is_ok();
    let found = computer.look(Exam::HostsFile);
    if may_read {
        // Root reads everything.
        assert_eq!(found.verdict, Good);
    } else {
        assert!(found.verdict == Unknown && found.evidence[0].seen.contains("denied"), "{found:?}");
        computer.is(Exam::UdevRule, Warning);
    }
}

#[test]
fn a_bench_is_not_mixed_up_with_the_computer_below_it() {
    let mut computer = Computer::without_phones();
    computer.given.is_virtual = true;
    computer.given.usb = Ok(vec![usb("1-1", 1, 0x12A8, Some(bed::UDID))]);
    computer.given.muxed = Muxed::Answers(vec![bed::UDID.into()]);
    computer.given.probed.as_mut().unwrap()[0].resolved = Ok(vec!["127.0.0.1".parse().unwrap()]);
    computer.is(Exam::Usbmuxd, Good);
    computer.is(Exam::Usb, Good);
    computer.is(Exam::UsbSpeed, NotApplicable);
    computer.is(Exam::Resolver, Good);
}
