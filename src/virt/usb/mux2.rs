//! The phone's end of USB mux, as a machine without IO, threads or clock.
//!
//! Packets of the host go in, packets for the host come out one at a time, when the host asks for one: what
//! is owed (an answer, an acknowledgement, data) is worked out then, so no queue of packets can grow. On the
//! other side are the phone's services: each connection has an inbox of what the host sent and an outbox of
//! what the service said, and a service must wait while its outbox is full.
//!
//! Flow control goes both ways: a byte is acknowledged when its service has taken it, so a host that keeps
//! to the window can never have more than [`WINDOW`] bytes of a connection here, and one that does not is
//! reset; and no more is sent than the host's own window allows. A service that leaves has what it said
//! delivered and acknowledged before the connection is reset: hosts know no other ending, and one that is
//! slow would lose the last bytes otherwise.

use crate::wire::WireError;
use crate::wire::usbmux::{Body, Counters, Form, Packet, Packets, Segment, flags};
use std::collections::{BTreeMap, VecDeque};

/// Bytes that a host may have on their way to one service.
pub const WINDOW: u32 = 128 << 10;
/// Bytes that wait for the host in one connection before its service must wait.
const OUTBOX: usize = 64 << 10;
/// Longest payload sent; with its headers no multiple of a USB packet.
pub const PAYLOAD: usize = 32_000;
/// Connections at a time.
const CONNECTIONS: usize = 64;
/// Answers that wait for a host that does not listen; more are dropped.
const ANSWERS: usize = 256;

/// Names a connection for as long as the phone is plugged in; ports may be used again.
pub type Id = u64;

/// A host asks for a port; answer with [`Session::accept`] or [`Session::refuse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    pub id: Id,
    pub port: u16,
}

/// What there is for a service.
#[derive(Debug, PartialEq, Eq)]
pub enum Inbox {
    Bytes(Vec<u8>),
    Wait,
    /// The host left and all it sent was taken, or the service left itself.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// The port has not answered yet.
    Asked,
    /// It listens, but the host does not know.
    Accepted,
    Open,
}

#[derive(Debug)]
struct Connection {
    host: u16,
    port: u16,
    progress: Progress,
    inbox: VecDeque<Vec<u8>>,
    /// Next byte from the host.
    expected: u32,
    /// What the service has taken.
    taken: u32,
    /// What the host knows of that.
    told: u32,
    outbox: VecDeque<Vec<u8>>,
    /// Bytes in the outbox.
    waiting: usize,
    /// Next byte to the host.
    next: u32,
    acknowledged: u32,
    window: u32,
    host_left: bool,
    service_left: bool,
    /// Nobody serves it any more.
    unserved: bool,
}

impl Connection {
    fn segment(&self, flags: u8) -> Segment {
        Segment {
            source: self.port,
            target: self.host,
            sequence: self.next,
            acknowledged: self.taken,
            flags,
            window: WINDOW,
        }
    }

    fn held(&self) -> u32 {
        self.expected.wrapping_sub(self.taken)
    }

    fn unacknowledged(&self) -> u32 {
        self.next.wrapping_sub(self.acknowledged)
    }

    /// Nothing more goes to the host, and what it sent may still be taken.
    fn lose_host(&mut self) {
        self.host_left = true;
        self.outbox.clear();
        self.waiting = 0;
    }

    fn cut(&mut self) {
        self.lose_host();
        self.inbox.clear();
    }

    /// What the host is owed next.
    fn owed(&mut self) -> Option<Body> {
        if self.host_left {
            return None;
        }
        match self.progress {
            Progress::Asked => return None,
            Progress::Accepted => {
                self.progress = Progress::Open;
                self.told = self.taken;
                let answer = self.segment(flags::SYN | flags::ACK);
                self.next = self.next.wrapping_add(1);
                return Some(Body::Segment(answer, Vec::new()));
            }
            Progress::Open => {}
        }
        let room = self.window.saturating_sub(self.unacknowledged()) as usize;
        if room > 0
            && let Some(mut payload) = self.outbox.pop_front()
        {
            let limit = room.min(PAYLOAD);
            if payload.len() > limit {
                self.outbox.push_front(payload.split_off(limit));
            }
            let segment = self.segment(flags::ACK);
            self.told = self.taken;
            self.waiting -= payload.len();
            self.next = self.next.wrapping_add(payload.len() as u32);
            return Some(Body::Segment(segment, payload));
        }
        if self.service_left && self.outbox.is_empty() && self.unacknowledged() == 0 {
            self.cut();
            return Some(Body::Segment(self.segment(flags::RST), Vec::new()));
        }
        (self.taken != self.told).then(|| {
            self.told = self.taken;
            Body::Segment(self.segment(flags::ACK), Vec::new())
        })
    }
}

/// See the essay.
#[derive(Debug, Default)]
pub struct Session {
    form: Form,
    /// Version and, where there is one, setup are done.
    agreed: bool,
    packets: Packets,
    counters: Counters,
    answers: VecDeque<Body>,
    connections: BTreeMap<Id, Connection>,
    last: Id,
    /// Whose packet went out last.
    turn: Id,
}

impl Session {
    /// As after being plugged in: every connection is cut.
    pub fn restart(&mut self) {
        self.form = Form::One;
        self.agreed = false;
        self.packets = Packets::default();
        self.answers.clear();
        for connection in self.connections.values_mut() {
            connection.cut();
        }
        self.sweep();
    }

    /// One bulk transfer of the host.
    ///
    /// # Errors
    /// When it is no packet; it is dropped, and the session goes on.
    pub fn transfer(&mut self, bytes: &[u8]) -> Result<Vec<Open>, WireError> {
        let mut opened = Vec::new();
        for packet in self.packets.push(bytes)? {
            let packet = Packet::parse(self.form, &packet)?;
            if let Some(open) = self.take(packet) {
                opened.push(open);
            }
        }
        Ok(opened)
    }

    fn take(&mut self, packet: Packet) -> Option<Open> {
        match packet.body {
            Body::Version { major, .. } => {
                self.restart();
                self.form = if major >= 2 { Form::Two } else { Form::One };
                self.agreed = self.form == Form::One;
                self.answer(Body::Version { major: if major >= 2 { 2 } else { 1 }, minor: 0 });
            }
            Body::Setup(_) if self.form == Form::Two => {
                self.agreed = true;
                self.counters = Counters { sent: 0, received: packet.counters.sent };
            }
            Body::Segment(segment, payload) if self.agreed => {
                self.counters.received = packet.counters.sent;
                return self.segment(segment, payload);
            }
            // Before the handshake, or nothing that a host says.
            _ => {}
        }
        None
    }

    fn answer(&mut self, body: Body) {
        if self.answers.len() < ANSWERS {
            self.answers.push_back(body);
        }
    }

    fn segment(&mut self, segment: Segment, payload: Vec<u8>) -> Option<Open> {
        let ours = |c: &Connection| c.host == segment.source && c.port == segment.target && !c.host_left;
        let found = self.connections.iter().find(|(_, c)| ours(c)).map(|(id, _)| *id);
        if segment.flags == flags::SYN {
            if let Some(old) = found.and_then(|id| self.connections.get_mut(&id)) {
                old.cut();
            }
            return self.open(segment);
        }
        let Some(connection) = found.and_then(|id| self.connections.get_mut(&id)) else {
            if segment.flags & flags::RST == 0 {
                self.answer(refusal(segment));
            }
            return None;
        };
        if segment.flags & (flags::RST | flags::FIN) != 0 {
            connection.lose_host();
            self.sweep();
            return None;
        }
        let length = payload.len() as u32;
        let astray = length > 0 && segment.sequence != connection.expected;
        let open = connection.progress == Progress::Open;
        if segment.flags & flags::ACK == 0 || astray || !open || length > WINDOW.saturating_sub(connection.held()) {
            let reset = connection.segment(flags::RST);
            connection.cut();
            self.answer(Body::Segment(reset, Vec::new()));
            return None;
        }
        let news = segment.acknowledged.wrapping_sub(connection.acknowledged);
        if news <= connection.unacknowledged() {
            connection.acknowledged = segment.acknowledged;
        }
        connection.window = segment.window;
        connection.expected = connection.expected.wrapping_add(length);
        if connection.service_left {
            connection.taken = connection.expected;
        } else if length > 0 {
            connection.inbox.push_back(payload);
        }
        None
    }

    fn open(&mut self, segment: Segment) -> Option<Open> {
        if self.connections.len() >= CONNECTIONS {
            // One that only waits for a host to acknowledge its end makes room.
            let lingering = self.connections.iter().find(|(_, c)| c.unserved).map(|(id, _)| *id);
            match lingering.and_then(|id| self.connections.remove(&id)) {
                Some(old) => self.answer(Body::Segment(old.segment(flags::RST), Vec::new())),
                None => {
                    self.answer(refusal(segment));
                    return None;
                }
            }
        }
        self.last += 1;
        let expected = segment.sequence.wrapping_add(1);
        let connection = Connection {
            host: segment.source,
            port: segment.target,
            progress: Progress::Asked,
            inbox: VecDeque::new(),
            expected,
            taken: expected,
            told: expected,
            outbox: VecDeque::new(),
            waiting: 0,
            next: 0,
            acknowledged: 0,
            window: segment.window,
            host_left: false,
            service_left: false,
            unserved: false,
        };
        self.connections.insert(self.last, connection);
        Some(Open { id: self.last, port: segment.target })
    }

    /// Forgets what neither side needs.
    fn sweep(&mut self) {
        self.connections.retain(|_, c| !(c.host_left && c.unserved));
    }

    /// The next packet for the host; connections take turns.
    pub fn next_packet(&mut self) -> Option<Vec<u8>> {
        let body = self.answers.pop_front().or_else(|| {
            let turn = self.turn;
            let ids: Vec<Id> =
                self.connections.range(turn + 1..).chain(self.connections.range(..=turn)).map(|(id, _)| *id).collect();
            ids.into_iter().find_map(|id| {
                let body = self.connections.get_mut(&id)?.owed()?;
                self.turn = id;
                Some(body)
            })
        })?;
        let numbered = !matches!(body, Body::Version { .. });
        let packet = Packet { counters: self.counters, body }.build(self.form).ok();
        if numbered {
            self.counters.sent = self.counters.sent.wrapping_add(1);
        }
        self.sweep();
        packet
    }

    // -- the service's side; an unknown id is a connection that is over --

    pub fn accept(&mut self, id: Id) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.progress = Progress::Accepted;
        }
    }

    /// Nobody listens on that port.
    pub fn refuse(&mut self, id: Id) {
        if let Some(connection) = self.connections.remove(&id)
            && !connection.host_left
        {
            let answer = Segment { acknowledged: connection.expected, ..connection.segment(flags::RST | flags::ACK) };
            self.answer(Body::Segment(answer, Vec::new()));
        }
    }

    /// The next bytes for the service; say [`Session::took`] when they are delivered.
    pub fn inbox(&mut self, id: Id) -> Inbox {
        let Some(connection) = self.connections.get_mut(&id) else { return Inbox::End };
        if connection.service_left {
            return Inbox::End;
        }
        match connection.inbox.pop_front() {
            Some(bytes) => Inbox::Bytes(bytes),
            None if connection.host_left => Inbox::End,
            None => Inbox::Wait,
        }
    }

    /// The service has so many bytes more; the host may send as many again.
    pub fn took(&mut self, id: Id, count: usize) {
        if let Some(connection) = self.connections.get_mut(&id) {
            let count = (count as u32).min(connection.held());
            connection.taken = connection.taken.wrapping_add(count);
        }
    }

    pub fn has_host(&self, id: Id) -> bool {
        self.connections.get(&id).is_some_and(|c| !c.host_left)
    }

    /// How many bytes the service may say now; none when nobody hears it any more.
    pub fn room(&self, id: Id) -> Option<usize> {
        self.connections.get(&id).filter(|c| !c.host_left).map(|c| OUTBOX.saturating_sub(c.waiting))
    }

    pub fn say(&mut self, id: Id, bytes: Vec<u8>) {
        if let Some(connection) = self.connections.get_mut(&id).filter(|c| !c.host_left && !c.service_left)
            && !bytes.is_empty()
        {
            connection.waiting += bytes.len();
            connection.outbox.push_back(bytes);
        }
    }

    /// The service closed its end: what it said still goes out.
    pub fn leave(&mut self, id: Id) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.service_left = true;
            connection.inbox.clear();
            connection.taken = connection.expected;
        }
    }

    /// Nobody serves this connection any more.
    pub fn forget(&mut self, id: Id) {
        self.leave(id);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.unserved = true;
        }
        self.sweep();
    }
}

/// To whom nobody answers.
fn refusal(segment: Segment) -> Body {
    let answer = Segment {
        source: segment.target,
        target: segment.source,
        sequence: segment.acknowledged,
        acknowledged: segment.sequence.wrapping_add(1),
        flags: flags::RST | flags::ACK,
        window: 0,
    };
    Body::Segment(answer, Vec::new())
}

#[cfg(test)]
mod tests;
