//! The port of one phone: what it answers to control and bulk requests in its present stage.
//!
//! The model knows no transport. Each request gets an [`Answer`] at once: data, a count, a stall, silence
//! (the device NAKs for ever), or gone; a door turns silence into its time-out and the delay into waiting.
//! Only a bulk IN may wait, as long as its door says, since what it is for may be still to come. Every request names the *generation* of the enumeration that it was opened on, so a
//! handle that outlives a re-enumeration hears that the device is gone, as from a kernel.
//!
//! A session lasts from one enumeration to the next. Each boot stage has new nonces, made while the phone is
//! away. There is one model for each phone, however many doors lead to it ([`Model::of`]).

use super::console::Console;
use super::muxer::{Fetched, Muxer};
use super::rom::Dfu;
use super::{Faults, descriptors, identity, image};
use crate::facts::models::ImageFormat;
use crate::facts::modes::PID_DFU;
use crate::ids::Ecid;
use crate::usb::{Direction, Kind, Recipient, Setup};
use crate::virt::phone::{Phone, Stage, StageChange};
use crate::wire::iboot;
use serde_json::json;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Largest upload that iBoot has room for.
const UPLOAD_CAP: usize = 512 << 20;

pub(in crate::virt) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a device does with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Data(Vec<u8>),
    /// So many bytes were taken.
    Taken(usize),
    Stall,
    /// Never answered.
    Silent,
    Gone,
}

/// A reply, and how long the device takes over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub reply: Reply,
    pub after: Duration,
}

/// What a bus sees of a phone before anything is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Counts enumerations of this phone.
    pub generation: u32,
    pub product: u16,
    pub serial: String,
    /// The configuration that is set; 0 for none.
    pub configuration: u8,
}

/// What happens after a reply went out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Then {
    #[default]
    Stay,
    /// Leaves the bus and comes back as this after so long.
    Leave(Stage, Duration),
    /// The same, into boot code of this version.
    Boot(Stage, Duration, String),
}

/// An upload into iBoot's memory.
#[derive(Default)]
pub(super) struct Upload {
    open: bool,
    pub bytes: Vec<u8>,
}

impl Upload {
    /// Bytes came, but no short packet ended them.
    pub fn hangs(&self) -> bool {
        self.open && !self.bytes.is_empty()
    }
}

struct Session {
    generation: u32,
    stage: Stage,
    product: u16,
    ecid: Ecid,
    configuration: u8,
    alternates: [u8; 4],
    dfu: Dfu,
    upload: Upload,
    console: Console,
    /// In normal and restore mode.
    mux: Option<Arc<Muxer>>,
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(mux) = &self.mux {
            mux.shut();
        }
    }
}

/// See the essay.
pub struct Model {
    phone: Arc<Phone>,
    session: Mutex<Option<Session>>,
    changed: Condvar,
    first_generation: u32,
    next_version: Mutex<String>,
    keep_nonces: AtomicBool,
    uploaded: AtomicU64,
    slipped: AtomicBool,
    diverted: AtomicBool,
    leaving: AtomicBool,
    /// Never to be seen again, whatever stage the phone is in.
    lost: AtomicBool,
}

static MODELS: Mutex<Vec<Weak<Model>>> = Mutex::new(Vec::new());

impl Model {
    /// The model of this phone: made at the first call, shared from then on.
    pub fn of(phone: &Arc<Phone>) -> Arc<Model> {
        let mut models = lock(&MODELS);
        models.retain(|m| m.strong_count() > 0);
        if let Some(model) = models.iter().filter_map(Weak::upgrade).find(|m| Arc::ptr_eq(&m.phone, phone)) {
            return model;
        }
        let model = Arc::new(Model {
            phone: Arc::clone(phone),
            session: Mutex::new(None),
            changed: Condvar::new(),
            first_generation: phone.state().enumerations,
            next_version: Mutex::default(),
            keep_nonces: AtomicBool::new(false),
            uploaded: AtomicU64::new(0),
            slipped: AtomicBool::new(false),
            diverted: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            lost: AtomicBool::new(false),
        });
        models.push(Arc::downgrade(&model));
        let changes = phone.watch();
        let weak = Arc::downgrade(&model);
        std::thread::spawn(move || follow(&changes, &weak));
        model
    }

    pub fn phone(&self) -> &Arc<Phone> {
        &self.phone
    }

    pub(super) fn faults(&self) -> &Faults {
        &self.phone.spec.faults.usb
    }

    /// None while the phone is on no bus.
    pub fn identity(&self) -> Option<Identity> {
        let guard = self.session();
        let session = guard.as_ref()?;
        Some(Identity {
            generation: session.generation,
            product: session.product,
            serial: session.serial(&self.phone),
            configuration: session.configuration,
        })
    }

    /// A control request; `length` is what the host asks for, or the length of `data`.
    pub fn control(&self, generation: u32, setup: Setup, length: u16, data: &[u8]) -> Answer {
        let (reply, then) = {
            let mut guard = self.session();
            let Some(session) = guard.as_mut().filter(|s| s.generation == generation) else {
                return self.at_once(Reply::Gone);
            };
            if session.product == PID_DFU && setup.kind == Kind::Class && !data.is_empty() && self.slips(data.len()) {
                (Reply::Gone, self.slip(session.stage))
            } else {
                session.control(&self.phone, setup, length, data)
            }
        };
        self.carry_out(then);
        self.answer(reply)
    }

    /// One bulk transfer to the device; empty is a zero-length packet.
    pub fn bulk_out(&self, generation: u32, endpoint: u8, data: &[u8]) -> Answer {
        if let Some(mux) = self.mux(generation, endpoint) {
            mux.transfer(data);
            return self.answer(Reply::Taken(data.len()));
        }
        let (reply, then) = {
            let mut guard = self.session();
            let Some(session) = guard.as_mut().filter(|s| s.generation == generation) else {
                return self.at_once(Reply::Gone);
            };
            let uploads = matches!(session.stage, Stage::Recovery | Stage::Ibss | Stage::Ibec);
            if uploads && self.faults().silent_upload {
                (Reply::Silent, Then::Stay)
            } else if uploads && endpoint == iboot::UPLOAD_ENDPOINT && self.slips(data.len()) {
                (Reply::Gone, self.slip(session.stage))
            } else {
                (session.bulk_out(&self.phone, endpoint, data), Then::Stay)
            }
        };
        self.carry_out(then);
        self.answer(reply)
    }

    /// A bulk transfer of at most `length` bytes from the device, waiting up to `limit` (zero only looks).
    /// Ends at the device's short packet, so an empty answer is a zero-length packet; `Silent` when nothing
    /// came in time, `Gone` as soon as this enumeration is over. A door that must be able to withdraw a
    /// request waits with [`Model::wait_in`] first and then takes with a `limit` of zero.
    pub fn bulk_in(&self, generation: u32, endpoint: u8, length: usize, limit: Duration) -> Answer {
        let reply = match self.mux(generation, endpoint) {
            Some(mux) => match mux.fetch(length, limit) {
                Fetched::Data(bytes) => Reply::Data(bytes),
                Fetched::Nothing => Reply::Silent,
                Fetched::Gone => Reply::Gone,
            },
            None if self.wait_gone(generation, limit) => Reply::Gone,
            None => Reply::Silent,
        };
        self.at_once(reply)
    }

    /// Waits until [`Model::bulk_in`] on this endpoint would be answered (with data or `Gone`); false when
    /// `limit` passed first. Only the multiplexor of normal and restore mode ever sends in bulk: iBoot's
    /// console is mute in release builds.
    pub fn wait_in(&self, generation: u32, endpoint: u8, limit: Duration) -> bool {
        match self.mux(generation, endpoint) {
            Some(mux) => mux.wait(limit),
            None => self.wait_gone(generation, limit),
        }
    }

    /// The multiplexor, when this endpoint is its in the present configuration.
    fn mux(&self, generation: u32, endpoint: u8) -> Option<Arc<Muxer>> {
        let guard = self.session();
        let session = guard.as_ref().filter(|s| s.generation == generation)?;
        let its = matches!(endpoint, descriptors::MUX_IN | descriptors::MUX_OUT);
        session.mux.clone().filter(|_| its && descriptors::has_mux(session.configuration))
    }

    pub fn set_configuration(&self, generation: u32, value: u8) -> Reply {
        self.control(generation, Setup::new(0x00, 9, value.into(), 0), 0, &[]).reply
    }

    pub fn set_interface(&self, generation: u32, interface: u8, alternate: u8) -> Reply {
        self.control(generation, Setup::new(0x01, 11, alternate.into(), interface.into()), 0, &[]).reply
    }

    /// A bus reset: it is what starts an image in DFU.
    pub fn reset(&self, generation: u32) -> Reply {
        let then = {
            let mut guard = self.session();
            let Some(session) = guard.as_mut().filter(|s| s.generation == generation) else { return Reply::Gone };
            session.reset(&self.phone)
        };
        self.carry_out(then);
        Reply::Taken(0)
    }

    /// Waits until this enumeration is over; false when `limit` passed first.
    pub fn wait_gone(&self, generation: u32, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        let mut guard = self.session();
        loop {
            if guard.as_ref().is_none_or(|s| s.generation != generation) {
                return true;
            }
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|d| !d.is_zero()) else {
                return false;
            };
            drop(self.changed.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner));
            guard = self.session();
        }
    }

    fn at_once(&self, reply: Reply) -> Answer {
        Answer { reply, after: Duration::ZERO }
    }

    fn answer(&self, reply: Reply) -> Answer {
        Answer { reply, after: self.phone.scaled(Duration::from_millis(self.faults().slow_ms)) }
    }

    /// The present session, begun anew when the phone enumerated since.
    fn session(&self) -> MutexGuard<'_, Option<Session>> {
        let mut guard = lock(&self.session);
        let (stage, generation) = {
            let state = self.phone.state();
            (state.stage, state.enumerations)
        };
        let current = guard.as_ref().is_some_and(|s| s.generation == generation && s.stage == stage);
        if self.lost.load(Ordering::Relaxed) {
            *guard = None;
        } else if !current {
            *guard = identity::product(&self.phone, stage).map(|product| self.begin(stage, generation, product));
        }
        guard
    }

    fn begin(&self, stage: Stage, generation: u32, product: u16) -> Session {
        let again = generation != self.first_generation;
        let kept = self.keep_nonces.swap(false, Ordering::Relaxed) || self.faults().nonce_kept;
        if is_boot_code(stage) && again && !kept {
            self.phone.fresh_nonces();
        }
        let loaded = match stage {
            Stage::Ibss | Stage::Ibec => lock(&self.next_version).clone(),
            _ => String::new(),
        };
        let version = identity::build_version(&self.phone, &loaded);
        let mut ecid = self.phone.ecid;
        if again && self.faults().wrong_ecid_after_reboot {
            ecid = Ecid(ecid.0 ^ 0x00FF_FF00);
        }
        Session {
            generation,
            stage,
            product,
            ecid,
            configuration: 1,
            alternates: [0; 4],
            dfu: Dfu::new(self.faults().dfu_error_state && stage == Stage::Dfu),
            upload: Upload::default(),
            console: Console::new(&self.phone, stage, version),
            mux: matches!(stage, Stage::Normal | Stage::Restore).then(|| Muxer::new(&self.phone)),
        }
    }

    fn slips(&self, more: usize) -> bool {
        let Some(at) = self.faults().vanish_at_upload_byte else { return false };
        let arrived = self.uploaded.fetch_add(more as u64, Ordering::Relaxed) + more as u64;
        arrived >= at && !self.slipped.swap(true, Ordering::Relaxed)
    }

    fn slip(&self, stage: Stage) -> Then {
        self.phone.remember("usb.vanished", json!({ "bytes": self.uploaded.load(Ordering::Relaxed) }));
        self.keep_nonces.store(true, Ordering::Relaxed);
        Then::Leave(stage, Duration::from_secs(2))
    }

    fn carry_out(&self, then: Then) {
        match then {
            Then::Stay => {}
            Then::Leave(to, away) => self.leave(to, away),
            Then::Boot(to, away, version) => {
                *lock(&self.next_version) = version;
                self.leave(to, away);
            }
        }
    }

    /// Nonces of the next stage are made while the phone is away, so that nobody sees them change.
    fn renew(&self) {
        let promised = std::mem::take(&mut self.phone.state().nonce_promised);
        if !self.keep_nonces.swap(true, Ordering::Relaxed) && !self.faults().nonce_kept && !promised {
            self.phone.fresh_nonces();
        }
    }

    fn leave(&self, to: Stage, away: Duration) {
        let from = self.phone.stage();
        let img4 = self.phone.model.image == ImageFormat::Img4;
        if to == Stage::Ibec && (from == Stage::Ibss || (from == Stage::Recovery && img4)) {
            // Hosts that have restored phones for years ask for no other ticket here: the nonce stays. Only for
            // IMG3 do they look whether it changed behind a recovery mode.
            self.keep_nonces.store(true, Ordering::Relaxed);
        } else if is_boot_code(to) {
            self.renew();
        }
        if from != Stage::Away {
            self.leaving.store(true, Ordering::Relaxed);
        }
        match self.diversion(from) {
            Some(Stage::Away) => self.phone.enter(Stage::Away),
            Some(other) => self.phone.reenumerate(other, away),
            None => self.phone.reenumerate(to, away),
        }
    }

    /// Where a fault sends a phone that leaves `from`.
    fn diversion(&self, from: Stage) -> Option<Stage> {
        if self.faults().never_returns_from == Some(from) {
            self.lost.store(true, Ordering::Relaxed);
            return Some(Stage::Away);
        }
        let other = self.faults().returns_as?;
        (!self.diverted.swap(true, Ordering::Relaxed)).then_some(other)
    }

    /// A change that somebody made: ours are diverted already, others' (lockdown, restored, keys) here.
    fn heard(&self, change: &StageChange) {
        if change.to == Stage::Away && !self.leaving.swap(false, Ordering::Relaxed) {
            self.renew();
            match self.diversion(change.from) {
                // The same stage again: a return that is on its way is off.
                Some(Stage::Away) => self.phone.enter(Stage::Away),
                Some(other) => self.phone.reenumerate(other, Duration::from_secs(5)),
                None => {}
            }
        }
        drop(self.session());
        self.changed.notify_all();
    }
}

fn is_boot_code(stage: Stage) -> bool {
    matches!(stage, Stage::Recovery | Stage::Dfu | Stage::Ibss | Stage::Ibec)
}

fn follow(changes: &Receiver<StageChange>, model: &Weak<Model>) {
    for change in changes {
        let Some(model) = model.upgrade() else { return };
        model.heard(&change);
    }
}

impl Session {
    fn is_dfu(&self) -> bool {
        self.product == PID_DFU
    }

    fn is_iboot(&self) -> bool {
        matches!(self.stage, Stage::Recovery | Stage::Ibss | Stage::Ibec) && !self.is_dfu()
    }

    fn serial(&self, phone: &Phone) -> String {
        match self.stage {
            Stage::Normal | Stage::Away => phone.udid.usb_serial(),
            // The ramdisk does not know its UDID; the bench's usbmuxd shows the same.
            Stage::Restore => format!("{}{:08x}", "f".repeat(32), self.generation + 1),
            _ if phone.spec.faults.usb.serial_garbage => "\u{FFFD}CP\u{1}ID:zz ?? ECID".to_owned(),
            _ => identity::serial(phone, self.stage, self.ecid, self.console.build_version()).to_string(),
        }
    }

    fn string(&self, phone: &Phone, index: u8) -> Option<String> {
        let boot_code = self.is_dfu() || self.is_iboot();
        match index {
            iboot::NONCE_STRING if boot_code && phone.spec.faults.usb.nonce_string_garbage => {
                Some("Apple Mobile Device NONC:xyz".to_owned())
            }
            iboot::NONCE_STRING if boot_code => identity::nonces(phone, self.stage),
            iboot::SERIAL_STRING if boot_code => Some(self.serial(phone)),
            3 if !boot_code => Some(self.serial(phone)),
            _ => identity::plain_string(phone, self.product, index).map(str::to_owned),
        }
    }

    fn control(&mut self, phone: &Phone, setup: Setup, length: u16, data: &[u8]) -> (Reply, Then) {
        let stay = |reply| (cut(reply, length), Then::Stay);
        match (setup.kind, setup.recipient, setup.direction) {
            (Kind::Standard, ..) => stay(self.standard(phone, setup)),
            (Kind::Class, Recipient::Interface, Direction::Out) if self.is_dfu() => {
                stay(self.dfu.out(setup.request, data))
            }
            (Kind::Class, Recipient::Interface, Direction::In) if self.is_dfu() => stay(self.dfu.read(setup.request)),
            (Kind::Class, Recipient::Interface, Direction::Out)
                if self.is_iboot() && setup.request == iboot::FINISH =>
            {
                phone.remember("iboot.finish", json!({}));
                stay(Reply::Taken(data.len()))
            }
            (Kind::Vendor, Recipient::Interface, Direction::Out)
                if self.is_iboot() && setup.request == iboot::UPLOAD =>
            {
                self.upload = Upload { open: true, bytes: Vec::new() };
                stay(Reply::Taken(0))
            }
            (Kind::Vendor, Recipient::Device, Direction::Out) if self.is_iboot() => {
                self.console.command(phone, &self.upload, setup.request, data)
            }
            (Kind::Vendor, Recipient::Device, Direction::In) if self.is_iboot() && setup.request == 0 => {
                stay(if self.upload.hangs() { Reply::Silent } else { Reply::Data(self.console.value()) })
            }
            _ => stay(Reply::Stall),
        }
    }

    fn standard(&mut self, phone: &Phone, setup: Setup) -> Reply {
        let [low, high] = setup.value.to_le_bytes();
        let interface = usize::from(setup.index.to_le_bytes()[0]);
        let set = descriptors::of(self.product);
        let configurations = set.configurations.len() as u8;
        match (setup.direction, setup.request) {
            (Direction::In, 0) => Reply::Data(vec![0, 0]),
            (Direction::Out, 1 | 3) => Reply::Taken(0),
            (Direction::In, 6) => match high {
                descriptors::DEVICE => Reply::Data(set.device.to_vec()),
                descriptors::QUALIFIER => Reply::Data(descriptors::qualifier(configurations).to_vec()),
                descriptors::CONFIGURATION => {
                    set.configurations.into_iter().nth(low.into()).map_or(Reply::Stall, Reply::Data)
                }
                descriptors::STRING if low == 0 => Reply::Data(descriptors::LANGUAGES.to_vec()),
                descriptors::STRING => {
                    self.string(phone, low).map_or(Reply::Stall, |t| Reply::Data(descriptors::string(&t)))
                }
                _ => Reply::Stall,
            },
            (Direction::In, 8) => Reply::Data(vec![self.configuration]),
            (Direction::Out, 9) if low <= configurations => {
                self.configuration = low;
                self.alternates = [0; 4];
                self.mux.iter().for_each(|mux| mux.restart());
                Reply::Taken(0)
            }
            (Direction::In, 10) => self.alternates.get(interface).map_or(Reply::Stall, |a| Reply::Data(vec![*a])),
            (Direction::Out, 11) if self.has(interface as u8, low) => {
                if let Some(alternate) = self.alternates.get_mut(interface) {
                    *alternate = low;
                }
                Reply::Taken(0)
            }
            _ => Reply::Stall,
        }
    }

    /// Does the present configuration have this interface with this alternate setting?
    fn has(&self, interface: u8, alternate: u8) -> bool {
        let set = descriptors::of(self.product);
        let Some(bytes) = set.configurations.get(usize::from(self.configuration).wrapping_sub(1)) else { return false };
        let mut at = 0;
        while let Some(&[length, kind, number, setting]) = bytes.get(at..at + 4) {
            if kind == 4 && number == interface && setting == alternate {
                return true;
            }
            at += usize::from(length.max(2));
        }
        false
    }

    fn bulk_out(&mut self, phone: &Phone, endpoint: u8, data: &[u8]) -> Reply {
        if !self.is_iboot() {
            return if self.is_dfu() { Reply::Stall } else { Reply::Taken(data.len()) };
        }
        if endpoint != iboot::UPLOAD_ENDPOINT || !self.upload.open {
            return Reply::Silent;
        }
        if self.upload.bytes.len() + data.len() > UPLOAD_CAP {
            return Reply::Stall;
        }
        self.upload.bytes.extend_from_slice(data);
        if data.is_empty() || !data.len().is_multiple_of(iboot::UPLOAD_PACKET) {
            self.upload.open = false;
            let fourcc = image::glance(&self.upload.bytes);
            phone.remember("iboot.upload", json!({ "bytes": self.upload.bytes.len(), "fourcc": fourcc }));
        }
        Reply::Taken(data.len())
    }

    fn reset(&mut self, phone: &Phone) -> Then {
        self.alternates = [0; 4];
        self.upload = Upload::default();
        self.mux.iter().for_each(|mux| mux.restart());
        if !self.is_dfu() {
            return Then::Stay;
        }
        let received = self.dfu.received();
        let Some(image) = self.dfu.reset() else { return Then::Stay };
        phone.remember("dfu.image", json!({ "bytes": received, "fourcc": image::glance(&image) }));
        match (super::console::boot(phone, self.stage, &image), self.stage) {
            (Ok(then), _) => then,
            // The ROM starts over; an iBSS just waits on.
            (Err(_), Stage::Dfu) => Then::Leave(Stage::Dfu, Duration::from_secs(1)),
            (Err(_), _) => Then::Stay,
        }
    }
}

fn cut(reply: Reply, length: u16) -> Reply {
    match reply {
        Reply::Data(mut bytes) => {
            bytes.truncate(length.into());
            Reply::Data(bytes)
        }
        other => other,
    }
}
