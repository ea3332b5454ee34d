//! The machine against a host of a few lines.

use super::*;
use crate::wire::lockdown::PORT;
use proptest::prelude::*;

/// A host of a few lines.
struct Host {
    session: Session,
    sent: u16,
}

impl Host {
    fn new() -> Host {
        let mut host = Host { session: Session::default(), sent: 0 };
        host.say(Body::Version { major: 2, minor: 0 });
        assert_eq!(host.hear(), Some(Body::Version { major: 2, minor: 0 }));
        host.say(Body::Setup(vec![7]));
        assert_eq!(host.hear(), None);
        host
    }

    fn say(&mut self, body: Body) -> Option<Open> {
        let form = if self.session.form == Form::Two { Form::Two } else { Form::One };
        let counters = Counters { sent: self.sent, received: 0 };
        self.sent = self.sent.wrapping_add(1);
        let bytes = Packet { counters, body }.build(form).unwrap();
        self.session.transfer(&bytes).unwrap().pop()
    }

    fn hear(&mut self) -> Option<Body> {
        let bytes = self.session.next_packet()?;
        Some(Packet::parse(self.session.form, &bytes).unwrap().body)
    }

    fn segment(&mut self) -> (Segment, Vec<u8>) {
        match self.hear() {
            Some(Body::Segment(segment, payload)) => (segment, payload),
            other => panic!("{other:?}"),
        }
    }

    fn send(&mut self, flags: u8, sequence: u32, acknowledged: u32, window: u32, payload: &[u8]) -> Option<Open> {
        let segment = Segment { source: 9, target: PORT, sequence, acknowledged, flags, window };
        self.say(Body::Segment(segment, payload.to_vec()))
    }

    /// An open connection; the host's next byte has this number.
    fn open(&mut self, first: u32, window: u32) -> Id {
        let open = self.send(flags::SYN, first.wrapping_sub(1), 0, window, &[]).unwrap();
        assert_eq!((open.port, self.hear()), (PORT, None));
        self.session.accept(open.id);
        let (answer, _) = self.segment();
        assert_eq!((answer.flags, answer.sequence, answer.acknowledged), (flags::SYN | flags::ACK, 0, first));
        assert_eq!((answer.source, answer.target, answer.window), (PORT, 9, WINDOW));
        self.send(flags::ACK, first, 1, window, &[]);
        open.id
    }
}

#[test]
fn nothing_is_heard_before_the_handshake() {
    let mut host = Host { session: Session::default(), sent: 0 };
    assert_eq!(host.send(flags::SYN, 0, 0, WINDOW, &[]), None);
    host.say(Body::Version { major: 2, minor: 0 });
    assert_eq!(host.session.next_packet().unwrap().len(), 20, "a short header");
    assert_eq!(host.send(flags::SYN, 0, 0, WINDOW, &[]), None);
    assert_eq!(host.hear(), None);
    host.say(Body::Setup(vec![7]));
    assert!(host.send(flags::SYN, 0, 0, WINDOW, &[]).is_some());
    let mut old = Host { session: Session::default(), sent: 0 };
    old.say(Body::Version { major: 1, minor: 0 });
    assert_eq!(old.hear(), Some(Body::Version { major: 1, minor: 0 }));
    assert!(old.send(flags::SYN, 0, 0, WINDOW, &[]).is_some());
}

#[test]
fn packets_are_counted_from_the_setup_on() {
    let mut host = Host::new();
    host.open(1, WINDOW);
    host.send(flags::ACK, 1, 1, WINDOW, b"x");
    let id = host.session.last;
    assert_eq!(host.session.inbox(id), Inbox::Bytes(b"x".to_vec()));
    host.session.took(id, 1);
    let bytes = host.session.next_packet().unwrap();
    let counters = Packet::parse(Form::Two, &bytes).unwrap().counters;
    assert_eq!(counters, Counters { sent: 1, received: host.sent - 1 });
}

#[test]
fn who_knocks_at_the_wrong_door_is_reset() {
    let mut host = Host::new();
    let open = host.send(flags::SYN, 0, 0, WINDOW, &[]).unwrap();
    host.session.refuse(open.id);
    let (answer, _) = host.segment();
    assert_eq!((answer.flags, answer.source, answer.target), (flags::RST | flags::ACK, PORT, 9));
    host.send(flags::ACK, 5, 5, WINDOW, b"to nobody");
    assert_eq!(host.segment().0.flags & flags::RST, flags::RST);
    host.send(flags::RST, 5, 5, WINDOW, &[]);
    assert_eq!(host.hear(), None);
    assert_eq!(host.session.inbox(open.id), Inbox::End);
}

#[test]
fn a_byte_is_acknowledged_when_its_service_has_it() {
    let mut host = Host::new();
    // Numbers go round.
    let first = u32::MAX - 10;
    let id = host.open(first, WINDOW);
    host.send(flags::ACK, first, 1, WINDOW, &[1; 100]);
    assert_eq!(host.hear(), None);
    assert_eq!(host.session.inbox(id), Inbox::Bytes(vec![1; 100]));
    assert_eq!((host.hear(), host.session.inbox(id)), (None, Inbox::Wait));
    host.session.took(id, 100);
    let (told, payload) = host.segment();
    assert_eq!((told.flags, told.acknowledged, payload.len()), (flags::ACK, first.wrapping_add(100), 0));
    assert_eq!(host.hear(), None);
}

#[test]
fn a_host_beyond_the_window_is_reset() {
    let mut host = Host::new();
    let id = host.open(1, WINDOW);
    let piece = vec![0; 32 << 10];
    for n in 0..4 {
        host.send(flags::ACK, 1 + n * (32 << 10), 1, WINDOW, &piece);
    }
    assert_eq!(host.hear(), None);
    assert!(host.session.has_host(id));
    host.send(flags::ACK, 1 + WINDOW, 1, WINDOW, b"!");
    assert_eq!(host.segment().0.flags, flags::RST);
    assert_eq!(host.session.inbox(id), Inbox::End);
    let id = host.open(1, WINDOW);
    host.send(flags::ACK, 77, 1, WINDOW, b"not the next byte");
    assert_eq!((host.segment().0.flags, host.session.has_host(id)), (flags::RST, false));
}

#[test]
fn no_more_is_sent_than_the_host_has_room_for() {
    let mut host = Host::new();
    let id = host.open(1, 1024);
    host.session.say(id, vec![5; OUTBOX]);
    assert_eq!(host.session.room(id), Some(0));
    let (data, payload) = host.segment();
    assert_eq!((data.sequence, payload.len()), (1, 1024));
    assert_eq!(host.hear(), None);
    host.send(flags::ACK, 1, 1 + 600, 1024, &[]);
    let (data, payload) = host.segment();
    assert_eq!((data.sequence, payload.len()), (1025, 600));
    host.send(flags::ACK, 1, 0xFFFF_0000, 1024, &[]);
    assert_eq!(host.hear(), None, "what was never sent cannot be acknowledged");
    host.send(flags::ACK, 1, 1 + 1624, WINDOW, &[]);
    assert_eq!(host.segment().1.len(), PAYLOAD);
    assert_eq!(host.session.room(id), Some(1624 + PAYLOAD));
}

#[test]
fn a_service_that_leaves_is_heard_to_the_end() {
    let mut host = Host::new();
    let id = host.open(1, WINDOW);
    host.session.say(id, b"last words".to_vec());
    host.session.forget(id);
    host.send(flags::ACK, 1, 1, WINDOW, b"too late");
    let (told, payload) = host.segment();
    assert_eq!((told.flags, told.acknowledged, &payload[..]), (flags::ACK, 9, &b"last words"[..]));
    assert_eq!(host.hear(), None);
    host.send(flags::ACK, 9, 11, WINDOW, &[]);
    assert_eq!(host.segment().0.flags, flags::RST);
    assert!(host.session.connections.is_empty());
}

#[test]
fn what_a_host_sent_arrives_though_it_left() {
    let mut host = Host::new();
    let id = host.open(1, WINDOW);
    host.session.say(id, b"unheard".to_vec());
    host.send(flags::ACK, 1, 1, WINDOW, b"bye");
    host.send(flags::RST, 4, 1, WINDOW, &[]);
    assert_eq!((host.session.room(id), host.hear()), (None, None));
    assert_eq!(host.session.inbox(id), Inbox::Bytes(b"bye".to_vec()));
    assert_eq!(host.session.inbox(id), Inbox::End);
    // The same ports again are another connection.
    let next = host.open(1, WINDOW);
    assert_ne!(next, id);
    host.session.forget(id);
    assert_eq!(host.session.connections.len(), 1);
}

#[test]
fn a_host_that_starts_afresh_finds_nothing_of_the_last() {
    let mut host = Host::new();
    let id = host.open(1, WINDOW);
    host.session.say(id, vec![0; 100]);
    host.say(Body::Version { major: 2, minor: 0 });
    assert_eq!(host.hear(), Some(Body::Version { major: 2, minor: 0 }));
    assert_eq!((host.hear(), host.session.inbox(id), host.session.room(id)), (None, Inbox::End, None));
}

#[test]
fn a_flood_fills_nothing() {
    let mut host = Host::new();
    for source in 0..1000 {
        let knock = Segment { source, target: 1, flags: flags::SYN, ..Segment::default() };
        host.say(Body::Segment(knock, Vec::new()));
    }
    assert_eq!(host.session.connections.len(), CONNECTIONS);
    assert_eq!(std::iter::from_fn(|| host.hear()).count(), ANSWERS);
}

proptest! {
    #[test]
    fn every_byte_arrives_once(windows in proptest::collection::vec(0_u32..4096, 1..40), said in 0_usize..9000) {
        let mut host = Host::new();
        let id = host.open(1, 0);
        let bytes: Vec<u8> = (0..said).map(|n| (n % 251) as u8).collect();
        bytes.chunks(700).for_each(|piece| host.session.say(id, piece.to_vec()));
        let mut heard = Vec::new();
        for window in windows.into_iter().cycle().take(2000).chain([WINDOW]) {
            host.send(flags::ACK, 1, 1 + heard.len() as u32, window, &[]);
            let before = heard.len();
            while let Some(Body::Segment(segment, payload)) = host.hear() {
                prop_assert_eq!(segment.sequence as usize, 1 + heard.len());
                heard.extend(payload);
            }
            prop_assert!(heard.len() - before <= (window & !0xFF) as usize);
        }
        prop_assert_eq!(heard, bytes);
    }
}
