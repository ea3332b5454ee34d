//! What was looked at before a restore, and what a warning means.

use crate::event::{Check, Need, Verdict};

pub(super) fn check_en(check: Check) -> &'static str {
    match check {
        Check::Usbmuxd => "usbmuxd",
        Check::Battery => "battery",
        Check::FirmwareRoom => "room for the firmware",
        Check::BackupRoom => "room for the backup",
        Check::DeviceRoom => "room on the device",
        Check::Identity => "firmware fits",
        Check::Signed => "signed by Apple",
        Check::DeviceHosts => "Apple's hosts",
    }
}

pub(super) fn check_nl(check: Check) -> &'static str {
    match check {
        Check::Usbmuxd => "usbmuxd draait",
        Check::Battery => "batterij",
        Check::FirmwareRoom => "plaats voor de firmware",
        Check::BackupRoom => "plaats voor de reservekopie",
        Check::DeviceRoom => "plaats op het toestel",
        Check::Identity => "firmware past",
        Check::Signed => "door Apple ondertekend",
        Check::DeviceHosts => "servers van Apple",
    }
}

pub(super) fn verdict_en(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::NotApplicable => "does not apply",
        Verdict::Good => "good",
        Verdict::Unknown => "unknown",
        Verdict::Warning => "warning",
        Verdict::Blocking => "stops here",
    }
}

pub(super) fn verdict_nl(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::NotApplicable => "speelt hier niet",
        Verdict::Good => "goed",
        Verdict::Unknown => "onbekend",
        Verdict::Warning => "let op",
        Verdict::Blocking => "zo kan het niet",
    }
}

pub(super) fn warning_en(check: Check) -> &'static str {
    match check {
        Check::Usbmuxd => "usbmuxd does not answer well: restart it before you begin.",
        Check::Battery => "The battery is low: leave the device on a good charger or USB port the whole time.",
        Check::FirmwareRoom => "There may be too little room on this computer for the firmware.",
        Check::BackupRoom => "There may be too little room on this computer for the backup; another --vault can help.",
        Check::DeviceRoom => "The device is nearly full: the update may find too little room. Delete something first.",
        Check::Identity => "It is not certain that this firmware is for this device.",
        Check::Signed => "Apple's server gave no clear answer whether it signs this version; the restore will tell.",
        Check::DeviceHosts => {
            "Some of Apple's hosts cannot be reached from here. The device needs them half way; a proxy does not help."
        }
    }
}

pub(super) fn warning_nl(check: Check) -> &'static str {
    match check {
        Check::Usbmuxd => "usbmuxd antwoordt niet goed: start het opnieuw voor je begint.",
        Check::Battery => "De batterij is bijna leeg: laat het toestel steeds aan een goede lader of USB-poort liggen.",
        Check::FirmwareRoom => "Er is op deze computer misschien te weinig plaats voor de firmware.",
        Check::BackupRoom => {
            "Er is op deze computer misschien te weinig plaats voor de reservekopie; een andere --vault kan helpen."
        }
        Check::DeviceRoom => {
            "Het toestel is bijna vol: de update vindt misschien te weinig plaats. Gooi eerst iets weg."
        }
        Check::Identity => "Het is niet zeker dat deze firmware voor dit toestel is.",
        Check::Signed => {
            "De server van Apple zei niet duidelijk of deze versie nog wordt ondertekend; dat blijkt bij het herstel."
        }
        Check::DeviceHosts => {
            "Sommige servers van Apple zijn hier niet te bereiken. Het toestel heeft ze halverwege nodig; een proxy helpt niet."
        }
    }
}

pub(super) fn need_en(need: Need) -> &'static str {
    match need {
        Need::Cable => "a cable that is known to be good, straight into the computer",
        Need::Internet => "the internet, the whole time",
        Need::Passcode => "the passcode, to be typed on the device when it asks",
        Need::TapTrust => "somebody who taps Trust on the unlocked device",
        Need::Hands => "somebody who holds keys: the device may take no command from this computer",
        Need::BackupPassword => "the backup password, if backups of this device are encrypted",
        Need::AppleAccount => "the Apple Account and its password, if Find My is on: the erased device asks for them",
    }
}

pub(super) fn need_nl(need: Need) -> &'static str {
    match need {
        Need::Cable => "een goede kabel, rechtstreeks in de computer",
        Need::Internet => "steeds internet",
        Need::Passcode => "de toegangscode, om op het toestel in te voeren als het erom vraagt",
        Need::TapTrust => "iemand die op het ontgrendelde toestel op Vertrouw tikt",
        Need::Hands => {
            "iemand die knoppen ingedrukt houdt: het toestel neemt van deze computer misschien geen opdracht aan"
        }
        Need::BackupPassword => {
            "het wachtwoord van de reservekopie, als reservekopieën van dit toestel versleuteld zijn"
        }
        Need::AppleAccount => {
            "de Apple Account met wachtwoord, als Zoek mijn aanstaat: het gewiste toestel vraagt erom"
        }
    }
}
