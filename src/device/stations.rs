//! Stations: places at a workbench, each the end of one USB cable, numbered by whoever works there.
//!
//! A number is bound to a port, never to a device. The port is written down twice: as the [`Spot`], which stays the
//! same when the next boot counts the buses otherwise, and as the port path of the day, which decides only where the
//! spot of a port cannot be read. A port of which the spot is known never passes for another spot that had its path.
//!
//! The file is a person's: it is read with a cap, what it must not hold is refused with the line, and it is written
//! whole or not at all. What was taught on a bench is kept in a file of its own, for its ports have the names of real
//! ones.

use crate::disk::{self, FileLock};
use crate::fault::{Code, Fault};
use crate::ids::PortPath;
use crate::usb::topology::{ControllerId, Route, Spot, Topology};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::{Path, PathBuf};
use toml::Spanned;

const FILE_CAP: u64 = 64 << 10;
/// Largest number of a station, and how many there may be.
pub const LAST: u32 = 999;
const LABEL: usize = 40;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Station {
    pub number: u32,
    /// As it was when it was taught.
    pub port: PortPath,
    #[serde(flatten)]
    pub spot: SpotOf,
    pub label: Option<String>,
}

/// Both or neither are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SpotOf {
    pub controller: Option<ControllerId>,
    pub chain: Option<String>,
}

impl SpotOf {
    fn of(spot: Option<Spot>) -> SpotOf {
        let (controller, chain) = spot.map(|s| (s.controller, s.chain)).unzip();
        SpotOf { controller, chain }
    }

    fn spot(&self) -> Option<Spot> {
        Some(Spot { controller: self.controller.clone()?, chain: self.chain.clone()? })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    station: Vec<Spanned<Entry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    number: u32,
    port: PortPath,
    controller: Option<String>,
    chain: Option<String>,
    label: Option<String>,
}

#[derive(Serialize)]
struct Written<'a> {
    station: &'a [Station],
}

/// By number, each number and each port once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stations(Vec<Station>);

impl Stations {
    /// What the file holds; none where there is no file.
    ///
    /// # Errors
    /// [`Code::ConfigInvalid`] with the line, and what the disk gave.
    pub fn read(path: &Path) -> Result<Stations, Fault> {
        let file = match fs_err::File::open(path) {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(Stations::default()),
            other => other.map_err(|e| Fault::disk(&e))?,
        };
        let name = path.display();
        let bad = |why: String| Fault::new(Code::ConfigInvalid, format!("{name}: {why}"));
        let mut bytes = Vec::new();
        file.take(FILE_CAP + 1).read_to_end(&mut bytes).map_err(|e| Fault::disk(&e))?;
        if bytes.len() as u64 > FILE_CAP {
            return Err(bad(format!("longer than {FILE_CAP} bytes")));
        }
        let text = String::from_utf8(bytes).map_err(|_| bad("not UTF-8".into()))?;
        Stations::parse(&text).map_err(bad)
    }

    /// # Errors
    /// What is wrong, and in which line.
    pub fn parse(text: &str) -> Result<Stations, String> {
        let line = |at: usize| 1 + text.bytes().take(at).filter(|b| *b == b'\n').count();
        let file: File = toml::from_str(text).map_err(|err| {
            let at = err.span().map_or(String::new(), |span| format!("line {}: ", line(span.start)));
            format!("{at}{}", err.message().replace('\n', " "))
        })?;
        let mut stations = Stations::default();
        for entry in file.station {
            let at = line(entry.span().start);
            let station = checked(entry.into_inner()).map_err(|why| format!("line {at}: {why}"))?;
            if let Some(twin) = stations.twin(&station) {
                let (new, old) = (station.number, twin.number);
                let what = if new == old { "twice".into() } else { format!("at the port of station {old}") };
                return Err(format!("line {at}: station {new} is there {what}"));
            }
            stations.0.push(station);
        }
        stations.0.sort_by_key(|station| station.number);
        Ok(stations)
    }

    fn twin(&self, new: &Station) -> Option<&Station> {
        self.0.iter().find(|old| {
            old.number == new.number
                || match (old.spot.spot(), new.spot.spot()) {
                    (Some(old), Some(new)) => old == new,
                    _ => old.port == new.port,
                }
        })
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Station> {
        self.0.iter()
    }

    pub fn get(&self, number: u32) -> Option<&Station> {
        self.0.iter().find(|station| station.number == number)
    }

    /// The station at this port.
    pub fn at(&self, topology: &Topology, port: &PortPath) -> Option<&Station> {
        let here = topology.spot(port);
        self.0.iter().find(|station| match (&here, station.spot.spot()) {
            (Some(here), Some(spot)) => *here == spot,
            _ => station.port == *port,
        })
    }

    /// The port path that a station has today; none: its controller is not there.
    pub fn port_of(&self, topology: &Topology, number: u32) -> Option<PortPath> {
        let station = self.get(number)?;
        let Some(spot) = station.spot.spot() else { return Some(station.port.clone()) };
        topology.port(&spot).or_else(|| topology.spot(&station.port).is_none().then(|| station.port.clone()))
    }

    /// The lowest number from `from` on that no station has.
    pub fn free(&self, from: u32) -> Option<u32> {
        (from.max(1)..=LAST).find(|number| self.get(*number).is_none())
    }

    /// Binds a number to a port. What stood under this number or at this port gives way, and is given back.
    ///
    /// # Errors
    /// [`Code::Usage`]: no such number can be, or this is no port.
    pub fn set(
        &mut self,
        topology: &Topology,
        number: u32,
        port: PortPath,
        label: Option<String>,
    ) -> Result<Vec<Station>, Fault> {
        let spot = SpotOf::of(topology.spot(&port));
        let entry = Entry {
            number,
            port,
            controller: spot.controller.map(|c| c.to_string()),
            chain: spot.chain,
            label: label.or_else(|| self.get(number)?.label.clone()),
        };
        let station = checked(entry).map_err(|why| Fault::new(Code::Usage, why))?;
        let mut gave_way = Vec::new();
        while let Some(twin) = self.twin(&station).map(|twin| twin.number) {
            gave_way.extend(self.forget(twin));
        }
        let at = self.0.partition_point(|other| other.number < number);
        self.0.insert(at, station);
        Ok(gave_way)
    }

    pub fn forget(&mut self, number: u32) -> Option<Station> {
        let at = self.0.iter().position(|station| station.number == number)?;
        Some(self.0.remove(at))
    }

    fn text(&self) -> Result<String, Fault> {
        const HEAD: &str = "# Which USB port is which station. Made by `herstel stations`.\n\n";
        let body = toml::to_string(&Written { station: &self.0 });
        Ok(format!("{HEAD}{}", body.map_err(|e| Fault::new(Code::Internal, e.to_string()))?))
    }
}

/// Stations and where they are kept: one change at a time, also of two programs at once.
pub struct Book {
    path: PathBuf,
    lock: PathBuf,
}

impl Book {
    pub fn new(path: PathBuf, locks: &Path) -> Book {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Book { path, lock: locks.join(format!("{name}.lock")) }
    }

    /// # Errors
    /// As [`Stations::read`].
    pub fn read(&self) -> Result<Stations, Fault> {
        Stations::read(&self.path)
    }

    /// Reads, lets `change` work on it, and writes the whole anew; gives what `change` gave.
    ///
    /// # Errors
    /// What `change` gave, and then nothing is written; [`Code::Locked`] while another program writes.
    pub fn change<T>(&self, change: impl FnOnce(&mut Stations) -> Result<T, Fault>) -> Result<T, Fault> {
        let _lock = FileLock::take(&self.lock)?;
        let mut stations = self.read()?;
        let gave = change(&mut stations)?;
        disk::write_atomic(&self.path, stations.text()?.as_bytes())?;
        Ok(gave)
    }
}

fn checked(entry: Entry) -> Result<Station, String> {
    let number = entry.number;
    if !(1..=LAST).contains(&number) {
        return Err(format!("station {number}: numbers go from 1 to {LAST}"));
    }
    let shown = |text: &str| text.chars().take(40).collect::<String>();
    if Route::of(&entry.port).is_none() {
        return Err(format!("{:?} is no USB port such as 1-1.4", shown(entry.port.as_str())));
    }
    let controller = match entry.controller {
        None => None,
        Some(text) => {
            Some(ControllerId::new(&text).ok_or_else(|| format!("{:?} is no place of a controller", shown(&text)))?)
        }
    };
    if let Some(chain) = &entry.chain {
        let ports = chain.strip_prefix("fast:").unwrap_or(chain);
        if Route::of(&PortPath::new(format!("1-{ports}"))).is_none() {
            return Err(format!("{:?} is no chain of ports such as 1.4", shown(chain)));
        }
    }
    if controller.is_some() != entry.chain.is_some() {
        return Err("controller and chain belong together".into());
    }
    let label = entry.label.filter(|label| !label.is_empty());
    if label.as_ref().is_some_and(|l| l.chars().count() > LABEL || l.chars().any(|c| crate::say::plain_char(c) != c)) {
        return Err(format!("a label has at most {LABEL} characters, all of them printable"));
    }
    Ok(Station { number, port: entry.port, spot: SpotOf { controller, chain: entry.chain }, label })
}

#[cfg(test)]
mod tests;
