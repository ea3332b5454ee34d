//! Everything that is known of this computer before anything is judged.

use super::bus::{Apple, Drops, Power};
use super::desktop::Desktop;
use super::net::Names;
use super::processes::Processes;
use super::records::Records;
use super::rights::Owned;
use super::room::Supply;
use super::software::Packages;
use super::udev::Rules;
use super::usbmuxd::Install;
use super::walls::Walls;
use crate::device::Trust;
use crate::disk::root::{Root, Seen};
use crate::event::Exam;
use crate::usb::UsbDevice;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// Who runs this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    pub uid: u32,
    /// The primary one first.
    pub groups: Vec<u32>,
    pub pid: u32,
}

/// What came from usbmuxd's place.
#[derive(Clone, Debug)]
pub enum Muxed {
    /// The serial of each device on a cable.
    Answers(Vec<String>),
    /// Nobody there.
    Away(String),
    /// This user may not go there.
    Refused(String),
    /// Somebody is there and says nothing of use.
    Silent(String),
    /// Somebody else.
    Garbage(String),
}

/// A device as a look at it told.
#[derive(Clone, Debug)]
pub struct Known {
    pub title: String,
    /// For `-d`: what names it and nothing else.
    pub name: Option<String>,
    pub trust: Option<Trust>,
}

/// Free bytes of a folder that will be written to.
#[derive(Clone, Debug)]
pub struct Room {
    pub exam: Exam,
    pub folder: PathBuf,
    pub free: Result<u64, String>,
}

/// One of Apple's servers, tried.
#[derive(Clone, Debug)]
pub struct Probed {
    pub host: String,
    /// The computer itself cannot do without it; else only the device asks it during a restore.
    pub needed: bool,
    /// Where its name leads; why nowhere.
    pub resolved: Result<Vec<IpAddr>, String>,
    /// A connection without any proxy.
    pub direct: Result<(), String>,
    /// What a request brought; none where none was made.
    pub answer: Option<Result<ProbeAnswer, String>>,
}

#[derive(Clone, Debug, Default)]
pub struct ProbeAnswer {
    pub status: u16,
    /// A web page, where none belongs.
    pub page: bool,
    /// How many seconds the server's clock is ahead of ours.
    pub ahead: Option<i64>,
}

/// What only `cli` can know.
#[derive(Clone, Debug)]
pub struct Given {
    pub person: Person,
    /// Of the environment, what [`Given::ASKED`] names.
    pub environment: BTreeMap<String, String>,
    pub mux_address: String,
    pub muxed: Muxed,
    pub bus_name: String,
    pub usb: Result<Vec<UsbDevice>, String>,
    /// Why this computer has no USB, if so.
    pub no_bus: Option<String>,
    pub devices: Vec<Known>,
    pub rooms: Vec<Room>,
    /// Folders of Herstel's own that are there.
    pub folders: Vec<PathBuf>,
    /// None: nobody was to be asked.
    pub probed: Option<Vec<Probed>>,
    /// Seconds since 1970.
    pub now: i64,
    pub drops: Option<Drops>,
    pub is_virtual: bool,
}

impl Given {
    /// The variables that are looked at.
    pub const ASKED: &'static [&'static str] = &[
        "USBMUXD_SOCKET_ADDRESS",
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "no_proxy",
        "NO_PROXY",
        "FLATPAK_ID",
        "SNAP",
        "SNAP_NAME",
        "WSL_DISTRO_NAME",
        "SSH_CONNECTION",
    ];

    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }
}

/// All evidence.
pub struct Host {
    pub given: Given,
    pub(super) apple: Vec<Apple>,
    pub(super) power: Power,
    pub(super) rules: Rules,
    pub(super) processes: Processes,
    pub(super) install: Install,
    pub(super) records: Records,
    pub(super) packages: Packages,
    pub(super) desktop: Desktop,
    pub(super) walls: Walls,
    pub(super) supply: Supply,
    pub(super) names: Names,
    pub(super) owned: Owned,
    /// `name -> gid` of `/etc/group`.
    pub(super) groups: Seen<BTreeMap<String, u32>>,
}

impl Host {
    /// Reads; changes nothing and waits for nothing.
    pub fn read(root: &Root, given: Given) -> Host {
        let apple = Apple::read(root, &given);
        Host {
            power: Power::read(root),
            rules: Rules::read(root),
            processes: Processes::read(root, given.person.pid),
            install: Install::read(root),
            records: Records::read(root),
            packages: Packages::read(root),
            desktop: Desktop::read(root, &apple),
            walls: Walls::read(root),
            supply: Supply::read(root),
            names: Names::read(root),
            owned: Owned::read(&given),
            groups: groups(root),
            apple,
            given,
        }
    }

    /// Devices of Apple's in normal mode, which are usbmuxd's.
    pub(super) fn normal(&self) -> impl Iterator<Item = &Apple> {
        self.apple.iter().filter(|a| a.is_normal())
    }

    /// Those that usbmuxd does not show.
    pub(super) fn unseen_by_usbmuxd(&self) -> Vec<&Apple> {
        let Muxed::Answers(serials) = &self.given.muxed else { return self.normal().collect() };
        let plain = |s: &str| s.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        let shown: Vec<String> = serials.iter().map(|s| plain(s)).collect();
        let normal: Vec<&Apple> = self.normal().collect();
        if normal.len() <= shown.len() {
            return Vec::new();
        }
        normal.into_iter().filter(|a| a.serial.as_deref().is_none_or(|s| !shown.contains(&plain(s)))).collect()
    }
}

fn groups(root: &Root) -> Seen<BTreeMap<String, u32>> {
    match root.text("etc/group") {
        Seen::Is(text) => {
            let row = |line: &str| {
                let mut parts = line.split(':');
                let name = parts.next()?.to_owned();
                Some((name, parts.nth(1)?.parse().ok()?))
            };
            Seen::Is(text.lines().filter_map(row).collect())
        }
        Seen::Absent => Seen::Absent,
        Seen::Refused(why) => Seen::Refused(why),
    }
}
