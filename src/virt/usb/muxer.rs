//! The multiplexor of one enumeration: bulk transfers on one side, the phone's ports on the other.
//!
//! [`mux2`](super::mux2) decides everything; here are the waiting and the threads. A connection has two, as
//! a link is a pair of blocking streams: one hands on what the host sent, one reads what the service says,
//! and each waits where the machine says so. When the enumeration ends all of them end with it.

use super::model::lock;
use super::mux2::{Id, Inbox, Open, PAYLOAD, Session};
use crate::virt::phone::{Link, Phone};
use crate::wire::lockdown::PORT;
use crate::wire::usbmux::USB_PACKET;
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// A phone that just came up gets this long to open lockdownd's port.
const BOOT: Duration = Duration::from_secs(2);
const BOOT_BEAT: Duration = Duration::from_millis(10);
/// How long a service may let bytes lie whose host has left.
const LEFTOVERS: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Inner {
    session: Session,
    /// The packet that is being fetched, and how much of it is.
    sending: Vec<u8>,
    sent: usize,
    /// The host's request ended exactly where the packet did: it still has to hear that this was the end.
    zero: bool,
    gone: bool,
    /// Something came that was no packet; remembered once.
    complained: bool,
}

impl Inner {
    /// Is there something to fetch?
    fn load(&mut self) -> bool {
        if !self.zero && self.sent == self.sending.len() {
            self.sending = self.session.next_packet().unwrap_or_default();
            self.sent = 0;
        }
        self.zero || self.sent < self.sending.len()
    }

    fn restart(&mut self) {
        self.session.restart();
        self.sending.clear();
        self.sent = 0;
        self.zero = false;
    }
}

/// What a request for bulk data got.
#[derive(Debug, PartialEq, Eq)]
pub enum Fetched {
    Data(Vec<u8>),
    Nothing,
    Gone,
}

/// See the essay.
pub struct Muxer {
    inner: Mutex<Inner>,
    /// For a host that waits for a packet.
    packet: Condvar,
    /// For services that wait for bytes or room.
    moved: Condvar,
    phone: Weak<Phone>,
    since: Instant,
}

impl Muxer {
    pub fn new(phone: &Arc<Phone>) -> Arc<Muxer> {
        Arc::new(Muxer {
            inner: Mutex::default(),
            packet: Condvar::new(),
            moved: Condvar::new(),
            phone: Arc::downgrade(phone),
            since: Instant::now(),
        })
    }

    /// Every connection is cut, as by a new configuration or a bus reset.
    pub fn restart(&self) {
        lock(&self.inner).restart();
        self.tell();
    }

    /// The enumeration is over: whoever waits here hears it.
    pub fn shut(&self) {
        {
            let mut inner = lock(&self.inner);
            inner.restart();
            inner.gone = true;
        }
        self.tell();
    }

    fn tell(&self) {
        self.packet.notify_all();
        self.moved.notify_all();
    }

    /// One bulk transfer of the host. Always taken: a host that keeps to its windows cannot fill anything.
    pub fn transfer(self: &Arc<Self>, bytes: &[u8]) {
        let opened = {
            let mut inner = lock(&self.inner);
            if inner.gone {
                return;
            }
            // A host that starts afresh wants nothing of what was meant for its predecessor.
            if bytes.len() == 20 && bytes.starts_with(&[0; 4]) {
                inner.restart();
            }
            match inner.session.transfer(bytes) {
                Ok(opened) => opened,
                Err(err) => {
                    tracing::debug!(%err, length = bytes.len(), "no mux packet");
                    if !std::mem::replace(&mut inner.complained, true)
                        && let Some(phone) = self.phone.upgrade()
                    {
                        phone.remember("usbmux.garbage", json!({ "error": err.to_string(), "bytes": bytes.len() }));
                    }
                    Vec::new()
                }
            }
        };
        self.tell();
        for Open { id, port } in opened {
            let this = Arc::clone(self);
            std::thread::spawn(move || this.serve(id, port));
        }
    }

    /// Waits until [`Muxer::fetch`] would not say `Nothing`; false when `limit` passed first.
    pub fn wait(&self, limit: Duration) -> bool {
        self.waited(limit).is_some()
    }

    fn waited(&self, limit: Duration) -> Option<MutexGuard<'_, Inner>> {
        let until = Instant::now() + limit;
        let mut inner = lock(&self.inner);
        loop {
            if inner.gone || inner.load() {
                return Some(inner);
            }
            let left = until.checked_duration_since(Instant::now()).filter(|d| !d.is_zero())?;
            inner = self.packet.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// At most `length` bytes, never of two packets.
    pub fn fetch(&self, length: usize, limit: Duration) -> Fetched {
        let Some(mut inner) = self.waited(limit) else { return Fetched::Nothing };
        if inner.gone {
            return Fetched::Gone;
        }
        if std::mem::take(&mut inner.zero) {
            return Fetched::Data(Vec::new());
        }
        let rest = inner.sending.get(inner.sent..).unwrap_or_default();
        let piece = rest.get(..length).unwrap_or(rest).to_vec();
        inner.sent += piece.len();
        let whole = inner.sent == inner.sending.len();
        inner.zero = whole && piece.len() == length && inner.sending.len().is_multiple_of(USB_PACKET);
        drop(inner);
        // Room in a window or an outbox may have come of it.
        self.moved.notify_all();
        Fetched::Data(piece)
    }

    fn serve(self: Arc<Self>, id: Id, port: u16) {
        let links = self.connect(port).and_then(|link| Some((link.try_clone().ok()?, link)));
        let Some((reading, writing)) = links else {
            lock(&self.inner).session.refuse(id);
            return self.tell();
        };
        lock(&self.inner).session.accept(id);
        self.tell();
        let this = Arc::clone(&self);
        std::thread::spawn(move || this.listen(id, reading));
        self.hand_on(id, &writing);
        let _ = writing.shutdown(Shutdown::Both);
        lock(&self.inner).session.forget(id);
        self.tell();
    }

    /// A link to whoever listens on `port`.
    fn connect(&self, port: u16) -> Option<Link> {
        let (ours, theirs) = UnixStream::pair().ok()?;
        ours.set_write_timeout(Some(LEFTOVERS)).ok()?;
        loop {
            let phone = self.phone.upgrade()?;
            if phone.spec.faults.mux.connect_refused {
                return None;
            }
            if phone.connect(port, theirs.try_clone().ok()?) {
                return Some(ours);
            }
            if port != PORT || self.since.elapsed() >= BOOT || lock(&self.inner).gone {
                return None;
            }
            drop(phone);
            std::thread::sleep(BOOT_BEAT);
        }
    }

    /// What the host sent goes to the service, until either leaves. A service that takes nothing more may
    /// still have something to say, so that is no end.
    fn hand_on(&self, id: Id, link: &Link) {
        let mut deaf = false;
        loop {
            let bytes = {
                let mut inner = lock(&self.inner);
                loop {
                    match inner.session.inbox(id) {
                        Inbox::Bytes(bytes) => break bytes,
                        Inbox::End => return,
                        Inbox::Wait => inner = self.moved.wait(inner).unwrap_or_else(PoisonError::into_inner),
                    }
                }
            };
            deaf = deaf || !self.deliver(id, link, &bytes);
            lock(&self.inner).session.took(id, bytes.len());
            self.packet.notify_all();
        }
    }

    /// False when the service takes nothing more.
    fn deliver(&self, id: Id, mut link: &Link, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while !rest.is_empty() {
            match link.write(rest) {
                Ok(count @ 1..) => rest = rest.get(count..).unwrap_or_default(),
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                // It may take its time, unless nobody waits for it.
                Err(err)
                    if matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
                        && lock(&self.inner).session.has_host(id) => {}
                _ => return false,
            }
        }
        true
    }

    /// What the service says goes to the host, as fast as that takes it.
    fn listen(&self, id: Id, mut link: Link) {
        let mut buffer = vec![0; PAYLOAD];
        loop {
            let room = {
                let mut inner = lock(&self.inner);
                loop {
                    match inner.session.room(id) {
                        Some(0) => inner = self.moved.wait(inner).unwrap_or_else(PoisonError::into_inner),
                        other => break other,
                    }
                }
            };
            let Some(space) = room.and_then(|room| buffer.get_mut(..room.min(PAYLOAD))) else {
                // The service hears that nobody listens at its next word.
                let _ = link.shutdown(Shutdown::Read);
                return;
            };
            match link.read(space) {
                Ok(count @ 1..) => {
                    let bytes = space.get(..count).unwrap_or_default().to_vec();
                    lock(&self.inner).session.say(id, bytes);
                    self.packet.notify_all();
                }
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                _ => {
                    lock(&self.inner).session.leave(id);
                    return self.tell();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
