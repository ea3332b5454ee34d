//! What went wrong and what to do, in English.

use super::Advice;
use crate::fault::Code;

pub fn fault(code: Code) -> Advice {
    let (what, next) = match code {
        Code::NoDevice => (
            "No device is connected",
            "Connect the iPhone or iPad with a data cable, straight to the computer, and unlock it. If it stays unseen, run `herstel doctor`.",
        ),
        Code::NoSuchDevice => {
            ("The device that was named is not here", "Look at `herstel list` and name one of those with -d.")
        }
        Code::AmbiguousDevice => ("More than one device fits", "Name one of them with -d and its ECID or UDID."),
        Code::WrongMode => (
            "The device is in another mode than this needs",
            "Bring it into the mode named above (`herstel guide`) and run the command again.",
        ),
        Code::UnknownModel => {
            ("This model is in no table", "Use a newer version of Herstel, or report the numbers above.")
        }
        Code::StrangerDevice => {
            ("Another device answered", "Unplug all other devices and start again; nothing was done to the stranger.")
        }
        Code::MuxUnreachable => (
            "usbmuxd does not answer",
            "Start it (`systemctl start usbmuxd`) or install the package usbmuxd, then run `herstel doctor`.",
        ),
        Code::MuxGarbage => (
            "What answers in usbmuxd's place is not usbmuxd",
            "Look at USBMUXD_SOCKET_ADDRESS, or unset it; then restart usbmuxd (`systemctl restart usbmuxd`).",
        ),
        Code::HostNotReady => (
            "This computer is not ready",
            "See above what stands in the way and what helps; then run `herstel doctor` again.",
        ),
        Code::UsbUnavailable => (
            "USB cannot be used here",
            "Run `herstel doctor`: in containers and virtual machines USB has to be passed through.",
        ),
        Code::NoCertificates => (
            "This computer has no root certificates, so no server can be checked",
            "Install them (Debian: `apt install ca-certificates`), then run the command again.",
        ),
        Code::UsbNoAccess => (
            "The device is found, but this user may not open it",
            "`herstel doctor` says what is missing, most often the udev rule. Then unplug and replug the device.",
        ),
        Code::UsbBusy => (
            "Another program holds the device",
            "Close other phone programs (iTunes-likes, virtual machines, irecovery) and try again.",
        ),
        Code::DiskFull => (
            "The disk is full",
            "Make room or choose another place (--vault, XDG folders). What was already complete is untouched.",
        ),
        Code::DiskError => ("The disk refused", "Check the disk and its cable; then run the command again."),
        Code::DiskNoAccess => {
            ("This user may not write there", "Choose a folder of your own, or mend its owner and rights.")
        }
        Code::Locked => ("Another Herstel is working on this", "Wait until it has finished, or stop it."),
        Code::UsbGone => (
            "The device left the bus",
            "Use a short cable of good make, straight into the computer; give the command again, or `herstel resume`.",
        ),
        Code::UsbTimeout => (
            "The device did not answer over USB in time",
            "Replug the cable; if it happens again, use another port, or start from DFU.",
        ),
        Code::UsbStall => (
            "The device refused a USB request",
            "Replug and try again; if it repeats, start from DFU (`herstel guide dfu`).",
        ),
        Code::UsbError => ("USB failed", "Another cable and another port (USB 2, no hub) cure most of these."),
        Code::LinkLost => (
            "The connection to the device broke off",
            "Check the cable, leave the device alone, run the same command or `herstel resume`.",
        ),
        Code::LinkSilent => (
            "The device stopped answering",
            "Look at its screen: a question may be open. Then replug it and try again.",
        ),
        Code::LinkGarbage => (
            "The device sent something that makes no sense",
            "Restart the device and try again; if it repeats, report it with the log.",
        ),
        Code::LinkAbsurd => (
            "The device claimed an impossible length",
            "Do not trust this device or cable adapter; restart it, and report it if it repeats.",
        ),
        Code::NeverCameBack => (
            "The device did not come back",
            "Force a restart (`herstel guide restart`), check the cable, then `herstel resume`.",
        ),
        Code::CameBackElsewhere => {
            ("The device came back in another mode", "Nothing is lost yet: run `herstel list`, then `herstel resume`.")
        }
        Code::NoSuchKeys => (
            "There is no sequence of keys for that on this device",
            "Look at `herstel guide --help` for other ways; devices without keys are led by command only.",
        ),
        Code::KeysMissed => (
            "The keys did not bring the device where it should be",
            "Read what was seen above, rest your hands, and run the same command again; another cable often helps.",
        ),
        Code::RecoveryLoop => (
            "The device keeps coming back to recovery mode",
            "Its system is damaged. Try `herstel restore --update` first: it keeps the data. Only if that fails, erase.",
        ),
        Code::TrustPending => (
            "The device is asking whether to trust this computer",
            "Tap Trust on the device and enter its passcode, then run the command again.",
        ),
        Code::TrustDenied => (
            "Don't Trust was tapped on the device",
            "Unplug the cable and plug it in again: it then asks once more. Tap Trust this time.",
        ),
        Code::DeviceLocked => ("The device is locked", "Unlock it with its passcode and leave the screen on."),
        Code::NotTrusted => ("The device does not trust this computer", "Run `herstel pair` with the device unlocked."),
        Code::PairingStale => (
            "The device no longer knows this computer",
            "It was erased or its trust was reset: run `herstel pair --reset`.",
        ),
        Code::PairingForbidden => (
            "The device may not trust new computers",
            "An organisation manages it: ask them to pair it or to allow pairing. Only a computer that it trusts already can go on.",
        ),
        Code::PairingNeedsCable => (
            "Trust cannot be given over Wi-Fi",
            "Connect the device with a cable, unlock it, and run `herstel pair` again.",
        ),
        Code::PairingUnsaved => (
            "The device said yes, but usbmuxd did not keep its answer",
            "Its folder must be writable to it (`/var/lib/lockdown`): look there and in its log, then run `herstel pair` again.",
        ),
        Code::UsbRestricted => (
            "The device keeps its data connection closed",
            "It was locked for more than an hour: unlock it once with the cable in. If it stays away, restart usbmuxd.",
        ),
        Code::LockdownRefused => {
            ("The device refused the request", "Unlock it and try again; the device's own word is in the detail.")
        }
        Code::ServiceRefused => {
            ("The device does not offer this service now", "Unlock the device, finish its setup, and try again.")
        }
        Code::BackupRefused => (
            "The device refused the backup",
            "Its number is in the detail: `herstel explain` tells more. The previous backup is untouched.",
        ),
        Code::BackupPasscode => (
            "The passcode was not entered on the device",
            "Start again and enter the passcode when the device asks. Without it iOS 16.1 and later make no backup.",
        ),
        Code::BackupIncomplete => (
            "The device could not read some of its files",
            "The rest is backed up and verified; restart the device and back up again to try those files.",
        ),
        Code::BackupHostile => (
            "The device named a file outside its own folder",
            "Nothing was written there. Do not use this device with other backup programs.",
        ),
        Code::BackupDamaged => (
            "The backup is damaged",
            "Do not delete it: `herstel backups verify` lists what is wrong; an older generation may be whole.",
        ),
        Code::BackupUnverified => (
            "The new backup did not verify",
            "It was set aside; the previous backups are untouched. Run the same command again.",
        ),
        Code::DeviceFull => (
            "The device has too little room for the backup",
            "Choose a device with more storage, or make a backup without large apps and photos.",
        ),
        Code::BackupNone => {
            ("There is no backup of this device", "Make one with `herstel backup`, or name another vault with --vault.")
        }
        Code::BackupPassword => (
            "The backup password is wrong or needed",
            "It is not the passcode and not the Apple Account password: ask who made the backup.",
        ),
        Code::BackupPasswordWrong => (
            "The backup password is wrong",
            "It is the one that was chosen when encryption was switched on, perhaps years ago in iTunes; not the \
             passcode, not the Apple Account password. Nobody can recover it.",
        ),
        Code::EncryptionOn => (
            "Backups of this device are encrypted already",
            "Change the password with `herstel backups encrypt change`. If nobody knows it: Settings, General, \
             Transfer or Reset, Reset, Reset All Settings on the device removes it.",
        ),
        Code::EncryptionOff => {
            ("Backups of this device are not encrypted", "Switch it on with `herstel backups encrypt on`.")
        }
        Code::EncryptionRequired => (
            "A profile on the device demands encrypted backups",
            "Switch encryption on with `herstel backups encrypt on`; only the owner of the profile can lift this.",
        ),
        Code::EncryptionUnclear => (
            "It is not clear whether backups are encrypted now",
            "Look at `herstel info`, make a backup and check it with `herstel backups verify` before you rely on it.",
        ),
        Code::BackupNewer => (
            "The backup comes from a newer system than the device has",
            "Update the device first, then put the backup back.",
        ),
        Code::FindMyOn => ("Find My is on", "Switch it off on the device (Settings, name, Find My), then try again."),
        Code::SetupUnfinished => {
            ("The device is still in its setup", "Finish the setup on the screen, then try again.")
        }
        Code::CatalogueUnreachable => (
            "Apple's firmware list cannot be reached",
            "Check the network and proxies; a list of an earlier day is used where there is one.",
        ),
        Code::CatalogueInvalid => (
            "What came is not Apple's firmware list",
            "A sign-in page or filter may sit in between: open a web page, then try again.",
        ),
        Code::NoFirmware => (
            "Apple offers no firmware for this device",
            "Check the product type above; some devices have none (Apple TV 4K, HomePod).",
        ),
        Code::DownloadFailed => ("The download broke off", "Run the same command again: it goes on where it stopped."),
        Code::DownloadStalled => {
            ("The download stood still", "Run the same command again: it goes on where it stopped.")
        }
        Code::DownloadNotFirmware => (
            "What came is not firmware",
            "A sign-in page or filter may sit in between: open a web page, then try again.",
        ),
        Code::HostNotAllowed => (
            "The address is not one of Apple's",
            "Firmware is fetched from Apple only; use `herstel firmware add FILE` for a file that you trust.",
        ),
        Code::FirmwareDigest => (
            "The firmware is not what Apple published",
            "It was set aside and is not used. Run the same command again to fetch it anew.",
        ),
        Code::FirmwareDamaged => {
            ("The firmware file is damaged", "Remove it and fetch it again: `herstel firmware fetch`.")
        }
        Code::FirmwareWrongDevice => {
            ("This firmware is not for this device", "Let Herstel choose: `herstel firmware fetch -d DEVICE`.")
        }
        Code::TssUnreachable => (
            "Apple's signing server cannot be reached",
            "Check the network, proxies and the hosts file for gs.apple.com.",
        ),
        Code::TssNotSigned => (
            "Apple no longer signs this version",
            "Only the newest versions can be restored: fetch a new one with `herstel firmware fetch`.",
        ),
        Code::TssRefused => (
            "Apple's signing server refused the request",
            "Its number and text are in the detail; try again later, and report it if it stays.",
        ),
        Code::TssInvalid => (
            "The signing server sent no usable ticket",
            "A proxy may have changed the answer; try again on another network.",
        ),
        Code::TicketUnfit => (
            "The ticket that was given cannot be used",
            "What does not fit is in the detail; without --ticket Apple is asked for a new one.",
        ),
        Code::ConsentMissing => (
            "This would erase data and nobody agreed",
            "Run it in a terminal and confirm, or give --yes-erase with the full ECID or UDID.",
        ),
        Code::ConsentMismatch => (
            "The consent names another device than the plan",
            "Give the full ECID or UDID of the device that is to be erased.",
        ),
        Code::BootRefused => (
            "The device did not accept a part of the firmware",
            "Run `herstel resume`; if it repeats, start from DFU (`herstel guide dfu`).",
        ),
        Code::NonceUnread => ("The device did not give its nonce", "Replug the device and run the command again."),
        Code::RestoreRefused => {
            ("The device refused to start the restore", "Restart it into recovery mode and run `herstel resume`.")
        }
        Code::HostUnsupported => (
            "This system wants a newer Herstel",
            "The missing answers are in the detail: use a newer version. The device is safe in recovery mode.",
        ),
        Code::RestoreFailed => (
            "The device gave up the restore",
            "The device's own words are in the detail. Run `herstel resume` once; if the same place fails again it is hardware.",
        ),
        Code::AsrFailed => (
            "The system image did not get across",
            "Use a short cable straight into a USB 2 port, then `herstel resume`.",
        ),
        Code::FdrFailed => (
            "Apple's data for a part of the device could not be had",
            "Check the network first; if it is good, a part (Touch ID, Face ID, display, battery) is not the original one.",
        ),
        Code::UnknownRequest => (
            "The device asked for something that Herstel does not know",
            "Use a newer version; please report the name in the detail.",
        ),
        Code::UpdateImpossible => (
            "An update that keeps the data is not possible",
            "Only an erase can help: read what would be lost in `herstel triage`.",
        ),
        Code::PasscodeNotEntered => (
            "Nobody entered the passcode on the device",
            "Try again and type the passcode on the device when it asks. Nothing was changed. Without the passcode only \
             an erase is possible.",
        ),
        Code::StashbagRefused => (
            "The device would not get its data ready for the update",
            "Nothing was changed. Restart the device, unlock it once and try again. If it refuses again, make a backup \
             before anything else.",
        ),
        Code::BatteryLow => (
            "The battery is too low for this",
            "Leave the device on a charger for half an hour and try again. Nothing was changed.",
        ),
        Code::NotYours => (
            "This device is not yours to open",
            "Help it back to its owner: the plan above says how. Nothing was done to it.",
        ),
        Code::QuestionsOpen => (
            "Questions are open, and there is nobody to ask",
            "Run `herstel triage` in a terminal, or give the answers named above with --answers FILE.",
        ),
        Code::AnswersInvalid => {
            ("The answers cannot be used", "Correct the file: the detail names the line or the words that are known.")
        }
        Code::OtherWayOut => {
            ("The way out is another one than a restore", "Follow the plan above; nothing was done to the device.")
        }
        Code::PersonNeeded => (
            "Some devices of the batch wait for a person",
            "Do what is said at each of them, then run `herstel batch --resume`.",
        ),
        Code::NoJob => ("There is no such job", "Run `herstel resume` without a name to see the open jobs."),
        Code::JournalDamaged => (
            "The journal of this job is damaged",
            "Start a new job; the backups and downloads of the old one are still there.",
        ),
        Code::CertificateRefused => (
            "No erase certificate can be given for this job",
            "Only a job that erased the device, ended well and put nothing back gets one.",
        ),
        Code::CertificateInvalid => {
            ("This certificate is not as it was signed", "Do not rely on it; ask its signer for the file again.")
        }
        Code::Usage => ("The command cannot be understood", "See `herstel --help`."),
        Code::ConfigInvalid => (
            "One of your configuration files has a mistake in it",
            "Correct the line that is named, or move the file away.",
        ),
        Code::NotATerminal => {
            ("This question needs a terminal", "Run it in a terminal, or give the answer as an option.")
        }
        Code::NotYet => ("This part is not built yet", "The README lists what is there."),
        Code::Cancelled => {
            ("Cancelled", "Give the same command again; a recover or a restore goes on with `herstel resume`.")
        }
        Code::BenchUnavailable => ("The bench does not answer", "Start it with `herstel bench up`."),
        Code::Internal => ("Herstel made a mistake", "Please report it with the log."),
    };
    Advice { what, next }
}
