//! lockdownd: one thread a connection, from QueryType to StartService.
//!
//! A connection is plain until StartSession and again after StopSession. What needs a session, what a
//! locked phone refuses and in which words is decided here; pairing is [`super::inside`]'s, values are
//! [`super::values`]'. Answers are XML, as real ones are. A connection that says nothing for 30 s is
//! dropped.

use super::HostRecords;
use super::inside::{self, Inside, KnownHost};
use super::link::{Wire, receive};
use super::tls::TlsLink;
use super::{services, values};
use crate::virt::phone::{Link, Phone, Stage};
use crate::virt::spec::{PasscodeSpec, TrustSpec};
use crate::virt::stream::Stream;
use crate::wire::lockdown::{self as wire, Frames, Refusal, Request, Shape, encode};
use plist::{Dictionary, Value};
use serde_json::json;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

const IDLE: Duration = Duration::from_secs(30);
/// A bench that runs fast must not outrun the programs on it.
const IDLE_AT_LEAST: Duration = Duration::from_secs(5);
/// How long a silent phone holds the line.
const SILENCE: Duration = Duration::from_secs(120);
const HANDSHAKE: Duration = Duration::from_secs(20);
/// From the answer to EnterRecovery until the phone leaves the bus, and from there to iBoot.
const SHUTTING_DOWN: Duration = Duration::from_millis(1_200);
const TO_IBOOT: Duration = Duration::from_secs(3);

/// Starts lockdownd; the bench calls it whenever the phone enters [`Stage::Normal`].
///
/// A phone described as trusted gets its pair record made and saved in `records` at its first boot, one
/// described as stale a record that it does not know itself.
pub fn boot(phone: &Arc<Phone>, records: &Arc<HostRecords>) {
    let inside = inside::of(phone);
    inside.begin(phone);
    if let Err(err) = furnish_trust(phone, &inside, records) {
        phone.remember("trust.failed", json!({ "error": err.to_string() }));
    }
    let links = phone.listen(wire::PORT);
    let (weak, inside) = (Arc::downgrade(phone), inside);
    std::thread::spawn(move || {
        for link in links {
            let Some(phone) = weak.upgrade() else { return };
            let inside = Arc::clone(&inside);
            std::thread::spawn(move || Connection::new(phone, inside, link).serve());
        }
    });
    phone.remember("lockdown.booted", json!({}));
    let is_locked = phone.state().is_locked();
    if let (true, Some(after)) = (is_locked, phone.spec.faults.mux.unlocked_after_ms) {
        let (weak, wait) = (Arc::downgrade(phone), phone.scaled(Duration::from_millis(after)));
        std::thread::spawn(move || {
            std::thread::sleep(wait);
            if let Some(phone) = weak.upgrade().filter(|p| p.stage() == Stage::Normal) {
                phone.state().passcode = PasscodeSpec::Unlocked;
                phone.remember("person.unlocked", json!({}));
            }
        });
    }
}

fn furnish_trust(phone: &Arc<Phone>, inside: &Inside, records: &HostRecords) -> io::Result<()> {
    let trust = phone.state().trust;
    let id = phone.udid.as_str();
    let wanted = match trust {
        TrustSpec::Trusted => !inside.knows_any(),
        TrustSpec::Stale => records.read(id).is_none(),
        _ => false,
    };
    if !wanted {
        return Ok(());
    }
    let mut record = records.make(inside.key()?.public(), values::wifi_address(phone))?;
    let escrow_bag = if trust == TrustSpec::Trusted {
        inside.admit(&record).map_err(|refusal| io::Error::other(refusal.as_str()))?
    } else {
        crate::virt::phone::random_bytes(32)
    };
    record.insert("EscrowBag".into(), Value::Data(escrow_bag));
    let bytes = encode(&record.into(), Shape::Xml).map_err(io::Error::other)?;
    records.save(id, &bytes).map_err(|number| io::Error::other(format!("the record was not saved: {number}")))
}

enum Channel {
    Plain(Wire),
    Tls(Box<TlsLink>),
    Closed,
}

impl Channel {
    fn stream(&mut self) -> Option<&mut dyn Stream> {
        match self {
            Channel::Plain(wire) => Some(wire),
            Channel::Tls(tls) => Some(tls.as_mut()),
            Channel::Closed => None,
        }
    }
}

/// What follows an answer.
enum Then {
    GoOn,
    StartTls(Arc<KnownHost>),
    StopTls,
    EnterRecovery,
    Close,
}

struct Connection {
    phone: Arc<Phone>,
    inside: Arc<Inside>,
    channel: Channel,
    session: Option<(String, Arc<KnownHost>)>,
}

type Answer = Result<(Dictionary, Then), String>;

fn no(refusal: Refusal) -> String {
    refusal.as_str().to_owned()
}

impl Connection {
    fn new(phone: Arc<Phone>, inside: Arc<Inside>, link: Link) -> Self {
        let faults = &phone.spec.faults.mux;
        let wire = Wire::new(link, faults.lockdown_cut_after, faults.slow_ms);
        Connection { channel: Channel::Plain(wire), session: None, phone, inside }
    }

    fn serve(mut self) {
        let mut frames = Frames::default();
        let idle = match self.phone.spec.faults.mux.lockdown_silent {
            // A silent phone does not hang up either.
            true => SILENCE,
            false => self.phone.scaled(IDLE).max(IDLE_AT_LEAST),
        };
        loop {
            let Some(stream) = self.channel.stream() else { return };
            if stream.set_limit(Some(idle)).is_err() {
                return;
            }
            let Ok(Some(message)) = receive(stream, &mut frames) else { return };
            let Ok(request) = Request::parse(&message) else { return };
            if self.phone.spec.faults.mux.lockdown_silent {
                continue;
            }
            let (answer, then) = match self.answer(&request) {
                Ok(answered) => answered,
                Err(error) => (wire::refusal(request.name(), &error), Then::GoOn),
            };
            if self.say(answer).is_err() || !self.go_on(then) {
                return;
            }
        }
    }

    fn say(&mut self, answer: Dictionary) -> io::Result<()> {
        let Some(stream) = self.channel.stream() else { return Ok(()) };
        let mut bytes = wire::frame(&answer.into(), Shape::Xml).map_err(io::Error::other)?;
        let faults = &self.phone.spec.faults.mux;
        if faults.lockdown_garbage {
            bytes.iter_mut().skip(4).enumerate().for_each(|(at, b)| *b ^= 0xA5 ^ at as u8);
        }
        if let (Some(length), Some(head)) = (faults.lockdown_length, bytes.first_chunk_mut::<4>()) {
            *head = length.to_be_bytes();
        }
        stream.write_all(&bytes)?;
        stream.flush()
    }

    /// False when the connection is over.
    fn go_on(&mut self, then: Then) -> bool {
        let channel = match then {
            Then::GoOn => return true,
            Then::Close => return false,
            Then::EnterRecovery => {
                leave_for_recovery(&self.phone);
                return true;
            }
            Then::StartTls(host) => match std::mem::replace(&mut self.channel, Channel::Closed) {
                Channel::Plain(wire) => accept(&self.phone, wire, &host).map(|tls| Channel::Tls(Box::new(tls))),
                other => Ok(other),
            },
            Then::StopTls => match std::mem::replace(&mut self.channel, Channel::Closed) {
                // Most hosts hang up instead of going on in the clear.
                Channel::Tls(tls) => Ok(tls.end().map_or(Channel::Closed, Channel::Plain)),
                other => Ok(other),
            },
        };
        match channel {
            Ok(channel) => {
                self.channel = channel;
                true
            }
            Err(err) => {
                self.phone.remember("lockdown.tls-failed", json!({ "error": err.to_string() }));
                false
            }
        }
    }

    fn answer(&mut self, request: &Request) -> Answer {
        let mut dict = wire::success(request.name());
        let mut put = |key: &str, value: Value| {
            dict.insert(key.to_owned(), value);
        };
        let then = match request {
            Request::QueryType => {
                put("Type", wire::TYPE.into());
                Then::GoOn
            }
            Request::GetValue { domain, key } => {
                let value =
                    values::get(&self.phone, &self.inside, self.is_session(), domain.as_deref(), key.as_deref())
                        .map_err(no)?;
                if let Some(domain) = domain {
                    put("Domain", domain.as_str().into());
                }
                if let Some(key) = key {
                    put("Key", key.as_str().into());
                }
                put("Value", value);
                Then::GoOn
            }
            Request::SetValue { domain, key, value } => {
                let key = key.as_deref().ok_or(no(Refusal::MissingKey))?;
                let value = value.as_ref().ok_or(no(Refusal::MissingValue))?;
                values::set(&self.phone, self.is_session(), domain.as_deref(), key, value).map_err(no)?;
                put("Key", key.into());
                put("Value", value.clone());
                Then::GoOn
            }
            Request::RemoveValue { domain, key } => {
                let key = key.as_deref().ok_or(no(Refusal::MissingKey))?;
                values::remove(&self.phone, self.is_session(), domain.as_deref(), key).map_err(no)?;
                put("Key", key.into());
                Then::GoOn
            }
            Request::Pair { record } => {
                let record = record.as_ref().ok_or(no(Refusal::MissingPairRecord))?;
                if let Some(error) = &self.phone.spec.faults.mux.pair_error {
                    return Err(error.clone());
                }
                put("EscrowBag", Value::Data(self.inside.pair(&self.phone, record).map_err(no)?));
                Then::GoOn
            }
            Request::ValidatePair { record } => {
                self.known(record.as_ref())?;
                Then::GoOn
            }
            Request::Unpair { record } => {
                let host = self.known(record.as_ref())?;
                self.inside.unpair(&self.phone, &host.host_id);
                Then::GoOn
            }
            Request::StartSession { host_id, .. } => {
                let (id, host) = self.start_session(host_id.as_deref())?;
                put("SessionID", id.as_str().into());
                put("EnableSessionSSL", true.into());
                self.session = Some((id, Arc::clone(&host)));
                Then::StartTls(host)
            }
            Request::StopSession { session_id } => {
                let (id, _) = self.session.as_ref().ok_or(no(Refusal::SessionInactive))?;
                match session_id {
                    None => return Err(no(Refusal::MissingSessionID)),
                    Some(given) if given != id => return Err(no(Refusal::InvalidSessionID)),
                    Some(_) => {}
                }
                self.session = None;
                Then::StopTls
            }
            Request::StartService { service, escrow_bag } => {
                let name = service.as_deref().ok_or(no(Refusal::MissingService))?;
                let (port, tls) = self.start_service(name, escrow_bag.as_deref())?;
                put("Service", name.into());
                put("Port", u64::from(port).into());
                if tls {
                    put("EnableServiceSSL", true.into());
                }
                Then::GoOn
            }
            Request::EnterRecovery => {
                // Older systems let any host that it trusts do this; the client of those days never asks in
                // a session. From which version on one is needed is not known: the bench says 17.
                let version = self.phone.state().version.major();
                if !self.is_session() && version >= 17 {
                    return Err(no(Refusal::SessionInactive));
                }
                // iBoot stays in recovery because lockdownd told it not to boot.
                self.phone.state().nvram.insert("auto-boot".into(), "false".into());
                self.phone.remember("lockdown.enter-recovery", json!({}));
                Then::EnterRecovery
            }
            Request::Goodbye => Then::Close,
            Request::Other(_) => return Err(no(Refusal::UnknownRequest)),
        };
        Ok((dict, then))
    }

    fn is_session(&self) -> bool {
        self.session.is_some()
    }

    fn known(&self, record: Option<&Dictionary>) -> Result<Arc<KnownHost>, String> {
        let record = record.ok_or(no(Refusal::MissingPairRecord))?;
        let host_id = record.get("HostID").and_then(Value::as_string).ok_or(no(Refusal::MissingHostID))?;
        self.inside.host(&self.phone, host_id).ok_or(no(Refusal::InvalidHostID))
    }

    fn start_session(&self, host_id: Option<&str>) -> Result<(String, Arc<KnownHost>), String> {
        if let Some(error) = &self.phone.spec.faults.mux.session_error {
            return Err(error.clone());
        }
        if self.is_session() {
            return Err(no(Refusal::SessionActive));
        }
        let host_id = host_id.ok_or(no(Refusal::MissingHostID))?;
        if self.phone.state().passcode == PasscodeSpec::BeforeFirstUnlock {
            return Err(no(Refusal::PasswordProtected));
        }
        let host = self.inside.host(&self.phone, host_id).ok_or(no(Refusal::InvalidHostID))?;
        Ok((uuid::Uuid::new_v4().to_string().to_uppercase(), host))
    }

    /// Opens a port for one connection to a service: its number, and whether it will talk inside TLS.
    fn start_service(&self, name: &str, escrow_bag: Option<&[u8]>) -> Result<(u16, bool), String> {
        let faults = &self.phone.spec.faults.mux;
        let host = self.session.as_ref().map(|(_, host)| Arc::clone(host));
        if host.is_none() && !services::is_insecure(name) {
            return Err(no(Refusal::SessionInactive));
        }
        if let Some(error) = &faults.start_service_error {
            return Err(error.clone());
        }
        let is_there = !(faults.preboard.absent && name == crate::wire::preboard::SERVICE);
        let serve = services::service(name).filter(|_| is_there).ok_or(no(Refusal::InvalidService))?;
        let is_open = match (escrow_bag, &host) {
            (Some(given), Some(host)) if given == host.escrow_bag => true,
            (Some(_), _) => return Err(no(Refusal::EscrowLocked)),
            (None, _) => false,
        };
        let is_locked = self.phone.state().passcode == PasscodeSpec::Locked;
        if is_locked && !is_open && services::needs_unlock(name) {
            return Err(no(Refusal::PasswordProtected));
        }
        let (port, links) = self.phone.listen_any();
        self.phone.remember("lockdown.service", json!({ "service": name, "escrow": is_open }));
        let host = host.filter(|_| !services::is_insecure(name));
        let tls = host.is_some();
        let phone = Arc::clone(&self.phone);
        std::thread::spawn(move || run_service(phone, port, &links, host, serve));
        Ok((port, tls))
    }
}

fn run_service(
    phone: Arc<Phone>,
    port: u16,
    links: &Receiver<Link>,
    host: Option<Arc<KnownHost>>,
    serve: services::Serve,
) {
    let link = links.recv_timeout(IDLE);
    phone.close_port(port);
    let Ok(link) = link else { return };
    let faults = &phone.spec.faults.mux;
    let wire = Wire::new(link, faults.service_cut_after_bytes, faults.slow_ms);
    let is_silent = faults.service_silent;
    let stream: Box<dyn Stream> = match host {
        Some(host) => match accept(&phone, wire, &host) {
            Ok(tls) => Box::new(tls),
            Err(err) => {
                phone.remember("service.tls-failed", json!({ "error": err.to_string() }));
                return;
            }
        },
        None => Box::new(wire),
    };
    if is_silent { services::stay_silent(stream) } else { serve(phone, stream) }
}

fn accept(phone: &Phone, mut wire: Wire, host: &KnownHost) -> io::Result<TlsLink> {
    wire.set_limit(Some(HANDSHAKE))?;
    if phone.spec.faults.mux.tls_refused {
        wire.await_byte()?;
        wire.cut();
        return Err(io::Error::other("refused by the bench"));
    }
    let mut tls = TlsLink::accept(wire, Arc::clone(&host.tls))?;
    tls.set_limit(None)?;
    Ok(tls)
}

/// The answer is out; now the phone shuts down.
fn leave_for_recovery(phone: &Arc<Phone>) {
    let (weak, wait) = (Arc::downgrade(phone), phone.scaled(SHUTTING_DOWN));
    std::thread::spawn(move || {
        std::thread::sleep(wait);
        if let Some(phone) = weak.upgrade().filter(|p| p.stage() == Stage::Normal) {
            phone.reenumerate(Stage::Recovery, TO_IBOOT);
        }
    });
}
