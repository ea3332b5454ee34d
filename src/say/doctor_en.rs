//! What `doctor` finds, in English.

use super::Advice;
use crate::event::Cause;

pub(super) fn cause(cause: Cause) -> Advice {
    let (what, next) = match cause {
        Cause::MuxMissing => (
            "usbmuxd is not installed. Normal mode needs it, and so does every restore once its ramdisk runs.",
            "Install the package usbmuxd, then replug the phone.",
        ),
        Cause::MuxAsleep => (
            "usbmuxd does not run now. It starts when a phone comes, and ends when the last one goes.",
            "Nothing: plug the phone in.",
        ),
        Cause::MuxSilent => ("usbmuxd does not answer.", "Start it. If it ends again at once, its log says why."),
        Cause::MuxRefused => (
            "usbmuxd's socket is there, but this user may not use it.",
            "See to whom it belongs. usbmuxd itself gives it to everybody, so somebody changed it.",
        ),
        Cause::MuxGarbage => (
            "Something that is not usbmuxd answers in its place.",
            "See which program has the socket, stop it, and start usbmuxd again.",
        ),
        Cause::MuxElsewhere => (
            "USBMUXD_SOCKET_ADDRESS points to a place where nobody answers.",
            "Take the variable away, or start what should listen there.",
        ),
        Cause::MuxBlind => (
            "The computer sees a phone that usbmuxd does not show.",
            "Unlock the phone and replug it. If that does not help, start usbmuxd again.",
        ),
        Cause::UsbAway => (
            "The USB bus cannot be listed as it is.",
            "In a container or a virtual machine USB has to be passed through. Else replug, and try another port.",
        ),
        Cause::NoBus => (
            "There is no USB here. With usbmuxd's socket normal mode works all the same; a restore needs the bus.",
            "In a container or a virtual machine pass USB through. Else see whether the kernel has it.",
        ),
        Cause::NoStartRule => (
            "No udev rule starts usbmuxd when a phone is plugged in.",
            "Reinstall the package usbmuxd for its rule, or start it by hand before you begin.",
        ),
        Cause::StartFailed => (
            "A rule starts usbmuxd when a phone comes, but it does not run now. It ends when the last phone goes.",
            "Start it by hand, or replug the phone.",
        ),
        Cause::RuleMissing => (
            "No udev rule gives you devices in recovery or DFU. They would be seen, and could not be opened.",
            "Install Herstel's rule, then replug.",
        ),
        Cause::RulePartly => (
            "The rules open some modes, not all. Port DFU (f014) is often missing; USB-C models can end in it.",
            "Install Herstel's rule beside them, then replug.",
        ),
        Cause::RuleLate => (
            "A rule tags the device for the seat, but after systemd has looked: its file's number must be below 73.",
            "Rename that file, or install Herstel's rule. Then replug.",
        ),
        Cause::NodeRefused => (
            "This user may not open a device that is plugged in.",
            "Install Herstel's rule, then replug. Running as root would do too, and leaves files of root's behind.",
        ),
        Cause::NotInGroup => {
            ("The rule gives the devices to a group that you are not in.", "Join the group, then log out and in again.")
        }
        Cause::NoSeat => (
            "The rule opens devices for whoever sits at the machine; you came over the network.",
            "Install Herstel's rule, which names a group too, and join that group (plugdev).",
        ),
        Cause::AsRoot => (
            "You are root. It works, but what Herstel writes will belong to root.",
            "Better run it as yourself; the udev rule makes root needless.",
        ),
        Cause::RootsFiles => (
            "Some of Herstel's files belong to root, from an earlier run with sudo. You may not be able to write there.",
            "Give them back to yourself.",
        ),
        Cause::TwoDaemons => (
            "More than one daemon speaks to phones. Each has its own records, so the phone asks for trust again.",
            "Keep one. Look for containers that run their own usbmuxd, too.",
        ),
        Cause::RecordsUnseen => (
            "The pair records cannot be looked at by this user. That is how most distributions set it up.",
            "Nothing, unless trust is asked again and again: look with sudo then.",
        ),
        Cause::RecordsForeign => (
            "Pair records belong to another user than usbmuxd's, who cannot read them.",
            "Give them to the owner of their folder.",
        ),
        Cause::RecordsEmpty => (
            "A pair record is empty; the disk may have been full once.",
            "Remove that one file, replug, and trust this computer again.",
        ),
        Cause::LockedSinceBoot => (
            "The phone has not been unlocked since it started, so it lets nobody in.",
            "Type the passcode on the phone once, and keep it awake. Without the passcode: `herstel triage`.",
        ),
        Cause::TrustStale => (
            "This computer has a pair record that the phone no longer knows.",
            "Forget the old record and ask anew; somebody has to tap Trust on the unlocked phone.",
        ),
        Cause::OldLibrary => (
            "The distribution's libimobiledevice is older than 1.4 and may fail with iOS 17 and later.",
            "Nothing for Herstel, which does not use it. Other tools here need a newer one.",
        ),
        Cause::FilesGrab => (
            "The file manager's camera or disk service holds the phone.",
            "Eject the phone there, or stop the service for as long as you work.",
        ),
        Cause::OtherHolds => {
            ("Another program holds the phone.", "End that program the way it wants to be ended, then try again.")
        }
        Cause::ModemProbes => (
            "ModemManager runs, and nothing tells it to keep off devices in recovery or DFU. It may speak to them.",
            "Install Herstel's rule, or stop ModemManager for as long as you work.",
        ),
        Cause::TetheringTakes => (
            "The tethering driver has the phone and usbmuxd does not; they may fight for its configuration.",
            "Take the driver away for now and start usbmuxd again. A replug brings the driver back.",
        ),
        Cause::LabelsWrong => (
            "SELinux forbids, and a label does not look like usbmuxd's. This is a hint: policies differ.",
            "Set the labels as the policy wants them.",
        ),
        Cause::LabelsUnseen => (
            "SELinux forbids, and the labels cannot be read from here.",
            "Look at them; if usbmuxd's name is not in them, restore them with restorecon.",
        ),
        Cause::InFlatpak => (
            "Herstel runs in a Flatpak: the bus and usbmuxd are hidden from it, and arrivals are not told.",
            "Open the walls for it, or run it outside.",
        ),
        Cause::InSnap => (
            "Herstel runs confined in a Snap, which has no door to usbmuxd or to its records.",
            "Run it outside of the Snap.",
        ),
        Cause::NodesMissing => (
            "The kernel shows a phone, but this container has no node for it.",
            "Start the container with the USB folder and the right to use it. One socket alone is enough for normal mode.",
        ),
        Cause::NoUsbFolder => (
            "This container has no USB. Normal mode works with usbmuxd's socket alone; a restore needs the bus too.",
            "Start the container with the USB folder, the right to use it, and udev's folder for arrivals.",
        ),
        Cause::InWsl => (
            "This is WSL. Every change of mode is a new device, which Windows takes back; older kernels lack parts.",
            "Attach with --auto-attach, in Windows. For a restore better use a Linux that runs by itself.",
        ),
        Cause::InVirtualMachine => (
            "This is a virtual machine. Each mode of the phone is another device to it.",
            "Pass through 05ac:12a8, 1281, 1227 and f014, or better the whole USB controller.",
        ),
        Cause::RaspberryPi => (
            "This is a Raspberry Pi. Its ports give little power; a phone may go off half way.",
            "Use a powered hub and a good 5 V supply. Anything but 0x0 from the command means too little voltage.",
        ),
        Cause::OverCurrent => (
            "A port was switched off because too much current was drawn.",
            "Use another port or a hub with its own power supply, and another cable.",
        ),
        Cause::ManyPhones => (
            "More than ten devices are plugged in. So many at once often fail, for want of power or of patience.",
            "Work in groups of ten or less, on hubs that give each port at least half an ampere.",
        ),
        Cause::SlowLink => (
            "A phone is linked slower than 480 Mbit/s: that is the cable, the hub or the port.",
            "Try another cable, straight into the computer.",
        ),
        Cause::DeepHubs => (
            "Two or more hubs are between the phone and the computer. Restores often fail so; behind three nearly always.",
            "Plug it straight into the computer, or use one good hub.",
        ),
        Cause::LinkDrops => (
            "A device left the bus while it was watched. Unless you unplugged it, the cable or the port is bad.",
            "Try another cable and port. For DFU of older models use USB-A; USB-C to Lightning often fails.",
        ),
        Cause::NotWatched => {
            ("Whether the link holds has not been watched.", "Watch for a while, and move the plug a little.")
        }
        Cause::LockedCanBeRestored => (
            "Yes: recovery and DFU ask no passcode. All data on it is lost, and Activation Lock stays.",
            "See which ways are left before you erase anything.",
        ),
        Cause::SuspendOn => {
            ("The kernel may put the port of a phone to sleep.", "Keep it awake until the phone is unplugged.")
        }
        Cause::TlpSuspends => (
            "TLP puts USB ports to sleep and leaves out no device of Apple's.",
            "Name Apple's devices in its list of exceptions.",
        ),
        Cause::NoInhibitor => (
            "There is no systemd-inhibit, so nothing keeps this computer from sleeping during a restore.",
            "Switch sleep off by hand, and leave the lid open.",
        ),
        Cause::BatteryLow => ("This computer runs on a battery that is nearly empty.", "Plug it in before you begin."),
        Cause::RoomShort => (
            "There is little free space on the disk.",
            "Make room; three times the firmware (about 30 GB) is comfortable.",
        ),
        Cause::RoomNone => ("The disk is too full.", "Make room first, or use a folder on another disk."),
        Cause::RoomUnseen => ("The free space cannot be read.", "Look at it by hand before a long job."),
        Cause::ClockWrong => (
            "The clock of this computer is wrong by more than a day. Certificates and tickets will be refused.",
            "Set it, best by network time.",
        ),
        Cause::ClockDrifts => ("The clock of this computer is some minutes off.", "Let it follow network time."),
        Cause::ClockUnproven => {
            ("Nothing could be asked whether the clock is right.", "Compare it with another clock.")
        }
        Cause::HostsAway => (
            "One of Apple's servers cannot be reached. Without them nothing is fetched or signed.",
            "Look at the network, a firewall or a filter. Backups need no network.",
        ),
        Cause::HostsOnlyByProxy => (
            "Apple's servers are reached through a proxy only. Parts of a restore go past it and may fail.",
            "Use a network that needs no proxy for a restore.",
        ),
        Cause::PortalAnswers => (
            "A web page answers in Apple's place: the sign-in of a guest network, or a filter.",
            "Sign in with a browser, or use another network.",
        ),
        Cause::CalibrationAway => (
            "Servers that the phone itself asks half way through a restore are not reached from here.",
            "Look at firewall and filter; a proxy does not help the phone.",
        ),
        Cause::Offline => ("Apple's servers were not asked.", "Run it again without --offline before a restore."),
        Cause::ProxySet => (
            "A proxy is set. Herstel's downloads use it; what the phone asks during a restore does not.",
            "For a restore better use a network without one.",
        ),
        Cause::HostsNamed => (
            "The hosts file gives names of Apple's an address.",
            "Take those lines out, unless you know why they are there.",
        ),
        Cause::HostsMoved => (
            "The hosts file sends Apple's signing server elsewhere; old tools leave this behind. No restore can work.",
            "Take that line out.",
        ),
        Cause::NoResolver => ("Names of servers cannot be looked up.", "Look at the network and at the name server."),
        Cause::ResolverLies => (
            "The name server gives an address inside your own network for a server of Apple's: a filter.",
            "Let Apple's names through in that filter, or use another name server.",
        ),
        Cause::Unreadable => (
            "Not everything could be looked at; the reason stands beside it.",
            "If it matters, look by hand, or run this once with sudo.",
        ),
    };
    Advice { what, next }
}
