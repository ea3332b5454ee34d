//! One virtual phone: what it is, the mode it is in, what it holds and what it remembers.
//!
//! Servers meet here and nowhere else. A mode change is an event that all of them hear: links are cut,
//! ports close, and after the time a real one takes the phone shows up in its next mode. TCP-like ports
//! are a table from number to a channel of links, so the usbmuxd side only has to hand over a socket.

use super::spec::{ModeSpec, PasscodeSpec, PhoneSpec, TrustSpec};
use crate::facts::models::{self, Model};
use crate::ids::{Bdid, BuildId, Ecid, Udid, Version};
use crate::wire::img3::ApTicket;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Ports of one USB controller of the bench.
const PORTS: u8 = 8;

/// Eight ports to a bus, and each bus a controller of its own.
pub fn path_of_port(port: u8) -> String {
    let from_zero = port.saturating_sub(1);
    format!("{}-{}", from_zero / PORTS + 1, from_zero % PORTS + 1)
}

/// A byte link from a host to a port of the phone.
pub type Link = UnixStream;

/// The stages that the model tells apart (more than a host can see).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// On no bus: off, or between two modes.
    Away,
    Normal,
    /// iBoot of the installed system, in its recovery console (1281).
    Recovery,
    /// SecureROM (1227).
    Dfu,
    /// A signed iBSS that was loaded over DFU; shows as recovery (1281) on A9 and later, as DFU before.
    Ibss,
    /// A signed iBEC (1281).
    Ibec,
    /// The restore ramdisk: restored listens.
    Restore,
}

#[derive(Clone, Debug)]
pub struct StageChange {
    pub from: Stage,
    pub to: Stage,
}

/// One thing the phone accepted or did; tests assert on these.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memo {
    pub at_ms: u64,
    /// Dotted lower-case words, e.g. `dfu.image`, `backup.finished`, `restore.request`.
    pub what: String,
    pub detail: Value,
}

/// The keys of the data, sealed for a system with these digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stash {
    pub digests: BTreeMap<[u8; 4], Vec<u8>>,
    pub committed: bool,
}

/// What changes over a phone's life.
#[derive(Debug)]
pub struct State {
    pub stage: Stage,
    pub trust: TrustSpec,
    pub passcode: PasscodeSpec,
    pub version: Version,
    pub build: BuildId,
    pub name: String,
    pub activated: bool,
    pub setup_done: bool,
    pub find_my: bool,
    pub backup_password: Option<String>,
    pub nvram: BTreeMap<String, String>,
    /// AP nonce of the present boot stage: 20 bytes up to A9, else 32.
    pub ap_nonce: Vec<u8>,
    /// 20 bytes.
    pub sep_nonce: Vec<u8>,
    /// A host was told the nonce in normal mode: the next boot stage keeps it.
    pub nonce_promised: bool,
    /// What an IMG3 phone was handed by `ticket`; good for as long as its nonce.
    pub ap_ticket: Option<ApTicket>,
    /// What the last CreateStashbag made, until a system is installed.
    pub stash: Option<Stash>,
    /// The ramdisk that iBoot loaded last is that of an update.
    pub ramdisk_updates: bool,
    /// Lockdown values set by hosts: (domain, key) -> value.
    pub set_values: BTreeMap<(String, String), plist::Value>,
    /// Counts enumerations, for device numbers.
    pub enumerations: u32,
    /// The port of the hub that its cable is in, from 1.
    port: u8,
    epoch: u64,
}

impl State {
    /// Does the screen ask for a passcode now?
    pub fn is_locked(&self) -> bool {
        matches!(self.passcode, PasscodeSpec::Locked | PasscodeSpec::BeforeFirstUnlock)
    }
}

pub struct Phone {
    pub spec: PhoneSpec,
    pub model: &'static Model,
    pub bdid: Bdid,
    pub ecid: Ecid,
    pub udid: Udid,
    pub serial: String,
    /// Its place on the bench, from 0; its cable is in the port of that place until it is moved.
    pub place: usize,
    /// The person's data and all else that a backup carries.
    pub files: super::backup::PhoneFiles,
    /// The keys of its encrypted backups.
    pub lockbox: super::backup::Lockbox,
    pace: f64,
    born: Instant,
    state: Mutex<State>,
    watchers: Mutex<Vec<Sender<StageChange>>>,
    ports: Mutex<HashMap<u16, Sender<Link>>>,
    links: Mutex<Vec<Link>>,
    memory: Mutex<Vec<Memo>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A phone that cannot be built as described.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    #[error("no model is called {0:?}")]
    Model(String),
    #[error("nobody knows the board number of a {0} yet")]
    Board(&'static str),
}

impl Phone {
    pub fn new(spec: PhoneSpec, place: usize, pace: f64) -> Result<Arc<Self>, SpecError> {
        let model = models::by_nickname(&spec.model).ok_or_else(|| SpecError::Model(spec.model.clone()))?;
        let bdid = model.bdid.ok_or(SpecError::Board(model.name))?;
        let ecid =
            spec.ecid.unwrap_or(Ecid(0x0012_6D0E_0000_0000 | u64::from(model.cpid.0) << 16 | (place as u64 + 1)));
        let new_form = (0x8020..0x8700).contains(&model.cpid.0);
        let udid_text = if new_form {
            format!("{:08X}-{:016X}", model.cpid.0, ecid.0)
        } else {
            use sha1::Digest;
            let digest = sha1::Sha1::digest(format!("herstel virtual {ecid}"));
            digest.iter().map(|b| format!("{b:02x}")).collect()
        };
        let udid = udid_text.parse().map_err(|_| SpecError::Model(spec.model.clone()))?;
        let (version, build) = default_system(model);
        let stage = match spec.mode {
            ModeSpec::Normal => Stage::Normal,
            ModeSpec::Recovery => Stage::Recovery,
            ModeSpec::Dfu => Stage::Dfu,
            ModeSpec::Off => Stage::Away,
        };
        let nonce_length = if model.cpid.0 >= 0x8010 && model.cpid.0 < 0x8900 { 32 } else { 20 };
        let state = State {
            stage: Stage::Away,
            trust: spec.trust,
            passcode: spec.passcode,
            version: spec.version.clone().unwrap_or(version),
            build: spec.build.clone().unwrap_or(build),
            name: if spec.name.is_empty() { format!("Herstel's virtual {}", family(model)) } else { spec.name.clone() },
            activated: true,
            setup_done: true,
            find_my: spec.find_my,
            backup_password: spec.backup_password.clone(),
            nvram: BTreeMap::from([("auto-boot".to_owned(), "true".to_owned())]),
            ap_nonce: random_bytes(nonce_length),
            ap_ticket: None,
            stash: None,
            ramdisk_updates: false,
            sep_nonce: random_bytes(20),
            nonce_promised: false,
            set_values: BTreeMap::new(),
            enumerations: 0,
            port: u8::try_from(place + 1).unwrap_or(u8::MAX),
            epoch: 0,
        };
        let phone = Arc::new(Phone {
            serial: format!("VRT{:05}{:02}X", model.cpid.0 % 100_000, place),
            files: super::backup::PhoneFiles::new(&spec, ecid),
            lockbox: super::backup::Lockbox::default(),
            spec,
            model,
            bdid,
            ecid,
            udid,
            place,
            pace: if pace > 0.0 { pace } else { 1.0 },
            born: Instant::now(),
            state: Mutex::new(state),
            watchers: Mutex::default(),
            ports: Mutex::default(),
            links: Mutex::default(),
            memory: Mutex::default(),
        });
        lock(&phone.state).stage = stage;
        Ok(phone)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub fn stage(&self) -> Stage {
        self.state().stage
    }

    /// A time of a real phone at the bench's pace.
    pub fn scaled(&self, real: Duration) -> Duration {
        real.div_f64(self.pace)
    }

    /// The USB port path, e.g. `1-3`: lasts over re-enumeration.
    pub fn port_path(&self) -> String {
        path_of_port(self.port())
    }

    /// From 1.
    pub fn port(&self) -> u8 {
        self.state().port
    }

    /// Its cable is pulled and goes into another port; in restore mode that ends the restore, as it does for real.
    pub fn move_to(self: &Arc<Self>, port: u8, away: Duration) {
        let stage = match self.stage() {
            Stage::Restore => Stage::Recovery,
            stage => stage,
        };
        self.remember("port", serde_json::json!({ "from": self.port(), "to": port }));
        let epoch = self.enter_counted(Stage::Away);
        self.state().port = port;
        self.return_as(stage, away, epoch);
    }

    // -- modes --

    /// Hears every change from now on.
    pub fn watch(&self) -> Receiver<StageChange> {
        let (sender, receiver) = channel();
        lock(&self.watchers).push(sender);
        receiver
    }

    /// Changes the stage now: links are cut and ports closed whenever it really changes.
    pub fn enter(&self, to: Stage) {
        self.enter_counted(to);
    }

    /// As [`Phone::enter`]; gives the number of this change, so that a later one can be told.
    fn enter_counted(&self, to: Stage) -> u64 {
        let (from, epoch) = {
            let mut state = self.state();
            state.epoch += 1;
            let from = std::mem::replace(&mut state.stage, to);
            if from != to && to != Stage::Away {
                state.enumerations += 1;
            }
            (from, state.epoch)
        };
        if from == to {
            return epoch;
        }
        self.remember("stage", serde_json::json!({ "from": from, "to": to }));
        self.cut_links();
        lock(&self.ports).clear();
        lock(&self.watchers).retain(|w| w.send(StageChange { from, to }).is_ok());
        epoch
    }

    /// Leaves the bus now and comes back as `to` after `away` of a real phone's time, unless something
    /// else (a button, an unplug) came in between.
    pub fn reenumerate(self: &Arc<Self>, to: Stage, away: Duration) {
        let epoch = self.enter_counted(Stage::Away);
        self.return_as(to, away, epoch);
    }

    fn return_as(self: &Arc<Self>, to: Stage, away: Duration, epoch: u64) {
        let phone = Arc::clone(self);
        let wait = self.scaled(away);
        std::thread::spawn(move || {
            std::thread::sleep(wait);
            if phone.state().epoch == epoch {
                phone.enter(to);
            }
        });
    }

    /// A new AP nonce (and SEP nonce), as each boot stage makes one.
    pub fn fresh_nonces(&self) {
        let mut state = self.state();
        state.ap_nonce = random_bytes(state.ap_nonce.len());
        state.sep_nonce = random_bytes(state.sep_nonce.len());
    }

    // -- ports --

    /// Opens a port; links arrive on the receiver until the stage changes or the receiver is dropped.
    pub fn listen(&self, port: u16) -> Receiver<Link> {
        let (sender, receiver) = channel();
        lock(&self.ports).insert(port, sender);
        receiver
    }

    /// Opens a free dynamic port.
    pub fn listen_any(&self) -> (u16, Receiver<Link>) {
        let (sender, receiver) = channel();
        let mut ports = lock(&self.ports);
        let port = (49_152..=65_535).find(|p| !ports.contains_key(p)).unwrap_or(49_152);
        ports.insert(port, sender);
        (port, receiver)
    }

    pub fn close_port(&self, port: u16) {
        lock(&self.ports).remove(&port);
    }

    /// Hands a link to whoever listens on `port`; false means connection refused.
    pub fn connect(&self, port: u16, link: Link) -> bool {
        let copy = link.try_clone();
        let sent = {
            let mut ports = lock(&self.ports);
            match ports.get(&port) {
                Some(sender) if sender.send(link).is_ok() => true,
                Some(_) => {
                    ports.remove(&port);
                    false
                }
                None => false,
            }
        };
        if let (true, Ok(copy)) = (sent, copy) {
            lock(&self.links).push(copy);
        }
        sent
    }

    /// Cuts every link, as an unplugged cable does.
    pub fn cut_links(&self) {
        for link in lock(&self.links).drain(..) {
            let _ = link.shutdown(Shutdown::Both);
        }
    }

    // -- memory --

    pub fn remember(&self, what: &str, detail: Value) {
        let at_ms = self.born.elapsed().as_millis() as u64;
        tracing::debug!(ecid = %self.ecid, what, %detail, "bench");
        lock(&self.memory).push(Memo { at_ms, what: what.to_owned(), detail });
    }

    pub fn memory(&self) -> Vec<Memo> {
        lock(&self.memory).clone()
    }

    /// How often `what` was remembered.
    pub fn remembered(&self, what: &str) -> usize {
        lock(&self.memory).iter().filter(|m| m.what == what).count()
    }
}

/// The system a virtual phone runs unless it is told otherwise: one behind what the bench's Apple offers.
fn default_system(model: &Model) -> (Version, BuildId) {
    system(match model.cpid.0 {
        0x8950 | 0x8955 => ("10.3.3", "14G60"),
        0x8960 | 0x7000 | 0x7001 => ("12.5.7", "16H81"),
        0x8000 | 0x8003 | 0x8010 | 0x8011 => ("15.8.7", "19H411"),
        0x8015 => ("16.6", "20G75"),
        0x8020 | 0x8027 => ("18.7.9", "22H360"),
        _ => ("26.7.1", "23H30"),
    })
}

/// `iPhone`, `iPad`, `iPod touch` ...
fn family(model: &Model) -> &'static str {
    let product = model.product.as_str();
    let known = [("iPhone", "iPhone"), ("iPad", "iPad"), ("iPod", "iPod touch"), ("AppleTV", "Apple TV")];
    known.iter().find(|(prefix, _)| product.starts_with(prefix)).map_or("device", |(_, name)| name)
}

/// The newest customer system that the bench's Apple offers for a model (as of 4 Oct 2026).
pub fn offered_system(model: &Model) -> (Version, BuildId) {
    let product = model.product.as_str();
    let is = |prefixes: &[&str]| prefixes.iter().any(|prefix| product.starts_with(prefix));
    if is(&["AppleTV5,", "AppleTV6,"]) {
        return system(("26.6", "23L773"));
    }
    // The same chip, but sold later and supported longer.
    let later = is(&["iPad7,11", "iPad7,12", "iPad8,9", "iPad8,10", "iPad8,11", "iPad8,12"]);
    if is(&["iPad"])
        && let Some(old) = offered_tablet(model.cpid.0, later)
    {
        return system(old);
    }
    system(match model.cpid.0 {
        0x8950 | 0x8955 => ("10.3.4", "14G61"),
        0x8960 | 0x7000 | 0x7001 => ("12.5.8", "16H88"),
        0x8000 | 0x8003 | 0x8010 | 0x8011 => ("15.8.8", "19H422"),
        0x8015 => ("16.7.16", "20H392"),
        0x8020 | 0x8027 => ("18.7.10", "22H374"),
        _ => ("27.0.1", "24A446"),
    })
}

/// Tablets whose chip got newer systems than the phones with it.
fn offered_tablet(cpid: u32, later: bool) -> Option<(&'static str, &'static str)> {
    Some(match cpid {
        0x7000 | 0x7001 => ("15.8.8", "19H422"),
        0x8000 | 0x8001 | 0x8003 => ("16.7.16", "20H392"),
        0x8010 if later => ("18.7.10", "22H374"),
        0x8010 | 0x8011 => ("17.7.11", "21H461"),
        0x8020 | 0x8027 if !later => ("26.7.1", "23H30"),
        _ => return None,
    })
}

fn system((version, build): (&str, &str)) -> (Version, BuildId) {
    match (version.parse(), build.parse()) {
        (Ok(version), Ok(build)) => (version, build),
        _ => (Version(vec![1]), BuildId { train: 1, letter: 'A', number: 1, suffix: String::new() }),
    }
}

/// Random bytes for nonces.
pub fn random_bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    if getrandom::fill(&mut bytes).is_err() {
        bytes.iter_mut().enumerate().for_each(|(i, b)| *b = i as u8 ^ 0x5A);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_change_cuts_links_and_is_heard() {
        let phone = Phone::new(PhoneSpec::default(), 0, 100.0).unwrap();
        assert_eq!(phone.udid.ecid(), Some(phone.ecid));
        let watch = phone.watch();
        let port = phone.listen(62_078);
        let (mut host, device) = UnixStream::pair().unwrap();
        assert!(phone.connect(62_078, device));
        let _served = port.recv().unwrap();
        phone.reenumerate(Stage::Recovery, Duration::from_millis(100));
        assert_eq!(watch.recv().unwrap().to, Stage::Away);
        assert_eq!(watch.recv().unwrap().to, Stage::Recovery);
        let mut byte = [0];
        assert_eq!(std::io::Read::read(&mut host, &mut byte).unwrap(), 0);
        assert!(!phone.connect(62_078, UnixStream::pair().unwrap().0));
    }
}
