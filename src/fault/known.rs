//! What is known of a code that other programs or a device end with, as stable words.
//!
//! The rows are a table of the facts room, the sentences are in `say`; both speak in these words, and scripts
//! read them. A number belongs to a space: 105 of a backup has nothing to do with 105 of a restore.

use super::words::words;

words! {
    /// Who counts like that. In the order in which a bare number is most likely meant.
    Space {
        /// iTunes, Finder and Apple Devices.
        ITunes = "itunes",
        /// The last word of a device that is being restored: AMRError, else Status.
        Restored = "restored",
        /// Apple's signing server.
        Tss = "tss",
        /// MBErrorDomain: the device, at a backup or a restore of one.
        Backup = "backup",
        Lockdown = "lockdown",
        /// The library under iTunes, which counts in hexadecimal.
        MobileDevice = "mobiledevice",
        /// A sentence instead of a number.
        Message = "message",
        /// Our own codes.
        Herstel = "herstel",
    }
}

words! {
    /// What a second try has to differ in; a row names the first that is worth it first.
    Course {
        Replug = "replug",
        ChangeCable = "change-cable",
        Dfu = "dfu",
        Network = "network",
        OtherFirmware = "other-firmware",
        Person = "person",
        Hardware = "hardware",
    }
}

words! {
    /// One thing to do. Rows list them from cheap to dear.
    Measure {
        OtherCable = "other-cable",
        OtherPort = "other-port",
        UseCable = "use-cable",
        RestartBoth = "restart-both",
        ForceRestart = "force-restart",
        UnplugOthers = "unplug-others",
        QuitOthers = "quit-others",
        Wait = "wait",
        LeaveFiles = "leave-files",
        Ignore = "ignore",
        Clock = "clock",
        HostsFile = "hosts-file",
        Network = "network",
        Proxy = "proxy",
        FirmwareHash = "firmware-hash",
        RightFirmware = "right-firmware",
        NewestFirmware = "newest-firmware",
        UpdateTool = "update-tool",
        UpdateFirst = "update-first",
        Recovery = "recovery",
        Dfu = "dfu",
        StuckKeys = "stuck-keys",
        Erase = "erase",
        SimOut = "sim-out",
        Charge = "charge",
        FreeHostSpace = "free-host-space",
        HostRights = "host-rights",
        FreeDeviceSpace = "free-device-space",
        SavePhotos = "save-photos",
        UnlockAndKeepAwake = "unlock-and-keep-awake",
        TapTrust = "tap-trust",
        TrustAgain = "trust-again",
        FindMyOff = "find-my-off",
        AskOrganisation = "ask-organisation",
        Udev = "udev",
        RestartUsbmuxd = "restart-usbmuxd",
        Doctor = "doctor",
        OtherComputer = "other-computer",
        UnplugDisplay = "unplug-display",
        OriginalPart = "original-part",
        ModemRepair = "modem-repair",
        BatteryRepair = "battery-repair",
        ConnectorRepair = "connector-repair",
        Board = "board",
        AppleSupport = "apple-support",
    }
}

words! {
    /// How well the meaning is known.
    Certainty {
        /// In logs and reports of users.
        Seen = "seen",
        /// In lists that were copied from one another.
        Copied = "copied",
        /// Only what Apple's own programs show.
        Apple = "apple",
        /// Read by others in Apple's code.
        Decompiled = "decompiled",
        /// Our own conclusion.
        Inferred = "inferred",
        /// What repair shops tell each other.
        Hint = "hint",
        /// Not found at its source.
        Unconfirmed = "unconfirmed",
        Unknown = "unknown",
    }
}

words! {
    /// Who tells of it.
    Witness {
        AppleList = "apple-list",
        CodeLists = "code-lists",
        RepairShops = "repair-shops",
        Threads = "threads",
        RestoreLogs = "restore-logs",
        BackupLogs = "backup-logs",
        OpenTools = "open-tools",
        Herstel = "herstel",
    }
}

/// How many numbers the row `codes` (`9`, `1601,1602`, `1413..1428`) answers for at once, if `number` is among
/// them: 1 is a number of its own, and the less the better.
pub fn reach(codes: &str, number: i64) -> Option<u64> {
    codes
        .split(',')
        .filter_map(span)
        .filter(|(from, to)| (*from..=*to).contains(&number))
        .find_map(|(from, to)| Some(to.checked_sub(from)?.unsigned_abs() + 1))
}

/// First and last number of a code; a name has none.
pub fn span(code: &str) -> Option<(i64, i64)> {
    match code.split_once("..") {
        Some((from, to)) => Some((plain(from)?, plain(to)?)),
        None => plain(code).map(|number| (number, number)),
    }
}

fn plain(code: &str) -> Option<i64> {
    match code.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => code.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_for_how_many_numbers_it_speaks() {
        assert_eq!(reach("1601,1602", 1602), Some(1));
        assert_eq!(reach("1413..1428", 1420), Some(16));
        assert_eq!(reach("-9843..-9800", -9806), Some(44));
        assert_eq!(reach("0xE800000A,0xE800000B", 0xE800_000B), Some(1));
        assert_eq!((reach("9", 10), reach("PasswordProtected", 1), reach("5..1", 3)), (None, None, None));
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        assert!(Space::ALL.iter().all(|space| Space::named(space.as_str()) == Some(*space)));
        assert!(Measure::ALL.iter().all(|measure| Measure::named(measure.as_str()) == Some(*measure)));
        assert_eq!(
            (Course::named("dfu"), Certainty::named("DFU"), Witness::named("")),
            (Some(Course::Dfu), None, None)
        );
    }
}
