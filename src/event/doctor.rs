//! Is this computer ready? The words of that question: what people ask, what is looked at, what is found wrong.

use crate::fault::words::words;

words! {
    /// One look at this computer.
    Exam {
        Usbmuxd = "usbmuxd",
        Usb = "usb",
        UsbmuxdStart = "usbmuxd-start",
        UdevRule = "udev-rule",
        UsbRights = "usb-rights",
        Root = "root",
        OneUsbmuxd = "one-usbmuxd",
        PairRecords = "pair-records",
        Unlocked = "unlocked",
        Trust = "trust",
        Libimobiledevice = "libimobiledevice",
        Holders = "holders",
        ModemManager = "modem-manager",
        Tethering = "tethering",
        Selinux = "selinux",
        Sandbox = "sandbox",
        Container = "container",
        Wsl = "wsl",
        VirtualMachine = "virtual-machine",
        UsbPower = "usb-power",
        UsbSpeed = "usb-speed",
        HubDepth = "hub-depth",
        UsbDrops = "usb-drops",
        LockedDevice = "locked-device",
        Autosuspend = "autosuspend",
        Sleep = "sleep",
        ComputerPower = "computer-power",
        RoomFirmware = "room-firmware",
        RoomBackups = "room-backups",
        Clock = "clock",
        AppleHosts = "apple-hosts",
        Proxy = "proxy",
        HostsFile = "hosts-file",
        Resolver = "resolver",
    }
}

words! {
    /// What is wrong, or what is to be known. What to do about it is a text for people.
    Cause {
        MuxMissing = "mux-missing",
        /// Installed, and nobody needs it now.
        MuxAsleep = "mux-asleep",
        MuxSilent = "mux-silent",
        MuxRefused = "mux-refused",
        MuxGarbage = "mux-garbage",
        MuxElsewhere = "mux-elsewhere",
        MuxBlind = "mux-blind",
        UsbAway = "usb-away",
        NoBus = "no-bus",
        NoStartRule = "no-start-rule",
        StartFailed = "start-failed",
        RuleMissing = "rule-missing",
        RulePartly = "rule-partly",
        RuleLate = "rule-late",
        NodeRefused = "node-refused",
        NotInGroup = "not-in-group",
        NoSeat = "no-seat",
        AsRoot = "as-root",
        RootsFiles = "roots-files",
        TwoDaemons = "two-daemons",
        RecordsUnseen = "records-unseen",
        RecordsForeign = "records-foreign",
        RecordsEmpty = "records-empty",
        LockedSinceBoot = "locked-since-boot",
        TrustStale = "trust-stale",
        OldLibrary = "old-library",
        FilesGrab = "files-grab",
        OtherHolds = "other-holds",
        ModemProbes = "modem-probes",
        TetheringTakes = "tethering-takes",
        LabelsWrong = "labels-wrong",
        LabelsUnseen = "labels-unseen",
        InFlatpak = "in-flatpak",
        InSnap = "in-snap",
        NodesMissing = "nodes-missing",
        NoUsbFolder = "no-usb-folder",
        InWsl = "in-wsl",
        InVirtualMachine = "in-virtual-machine",
        RaspberryPi = "raspberry-pi",
        OverCurrent = "over-current",
        ManyPhones = "many-phones",
        SlowLink = "slow-link",
        DeepHubs = "deep-hubs",
        LinkDrops = "link-drops",
        NotWatched = "not-watched",
        LockedCanBeRestored = "locked-can-be-restored",
        SuspendOn = "suspend-on",
        TlpSuspends = "tlp-suspends",
        NoInhibitor = "no-inhibitor",
        BatteryLow = "battery-low",
        RoomShort = "room-short",
        RoomNone = "room-none",
        RoomUnseen = "room-unseen",
        ClockWrong = "clock-wrong",
        ClockDrifts = "clock-drifts",
        ClockUnproven = "clock-unproven",
        HostsAway = "hosts-away",
        HostsOnlyByProxy = "hosts-only-by-proxy",
        PortalAnswers = "portal-answers",
        CalibrationAway = "calibration-away",
        Offline = "offline",
        ProxySet = "proxy-set",
        HostsNamed = "hosts-named",
        HostsMoved = "hosts-moved",
        NoResolver = "no-resolver",
        ResolverLies = "resolver-lies",
        /// A file or a list that this user may not read; the evidence says which and why.
        Unreadable = "unreadable",
    }
}

/// The twenty things that people ask, from 1.
pub const QUESTIONS: u8 = 20;

impl Exam {
    /// The question that it helps to answer.
    pub fn question(self) -> u8 {
        match self {
            Exam::Usbmuxd | Exam::Usb => 1,
            Exam::UsbmuxdStart => 2,
            Exam::UdevRule => 3,
            Exam::UsbRights | Exam::Root => 4,
            Exam::OneUsbmuxd | Exam::PairRecords => 5,
            Exam::Unlocked => 6,
            Exam::Trust => 7,
            Exam::Libimobiledevice => 8,
            Exam::Holders => 9,
            Exam::ModemManager => 10,
            Exam::Tethering => 11,
            Exam::Selinux => 12,
            Exam::Sandbox => 13,
            Exam::Container => 14,
            Exam::Wsl => 15,
            Exam::VirtualMachine => 16,
            Exam::UsbPower => 17,
            Exam::UsbSpeed | Exam::HubDepth | Exam::UsbDrops => 18,
            Exam::LockedDevice => 19,
            Exam::Autosuspend
            | Exam::Sleep
            | Exam::ComputerPower
            | Exam::RoomFirmware
            | Exam::RoomBackups
            | Exam::Clock
            | Exam::AppleHosts
            | Exam::Proxy
            | Exam::HostsFile
            | Exam::Resolver => 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_question_has_an_exam_and_they_come_in_order() {
        let asked: Vec<u8> = Exam::ALL.iter().map(|e| e.question()).collect();
        assert!(asked.is_sorted());
        assert_eq!(asked.into_iter().collect::<BTreeSet<u8>>(), (1..=QUESTIONS).collect());
    }

    #[test]
    fn words_are_given_once() {
        let exams: BTreeSet<&str> = Exam::ALL.iter().map(|e| e.as_str()).collect();
        let causes: BTreeSet<&str> = Cause::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!((exams.len(), causes.len()), (Exam::ALL.len(), Cause::ALL.len()));
    }
}
