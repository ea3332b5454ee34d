//! The multiplexor through the bus trait, in this process and over a socket: what a host does by hand.

use crate::usb::{Bus, Handle, UsbError};
use crate::virt::phone::{Phone, Stage};
use crate::virt::spec::PhoneSpec;
use crate::virt::usb::VirtualBus;
use crate::virt::usb::model::{Model, Reply};
use crate::virt::usb::mux2::{PAYLOAD, WINDOW};
use crate::virt::usb::remote::{RemoteBus, serve};
use crate::wire::usbmux::{Body, Counters, Form, Packet, Packets, Segment, USB_PACKET, flags};
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(30);
const SERVICE: u16 = 5000;
const OUT: u8 = 0x04;
const IN: u8 = 0x85;

fn phone() -> Arc<Phone> {
    Phone::new(PhoneSpec { photos: 0, ..PhoneSpec::default() }, 0, 100.0).unwrap()
}

struct Host {
    handle: Box<dyn Handle>,
    packets: Packets,
    heard: Vec<Vec<u8>>,
    sequence: u32,
    acknowledged: u32,
}

impl Host {
    fn open(bus: &dyn Bus) -> Host {
        let mut handle = bus.open(bus.devices().unwrap()[0].address).unwrap();
        handle.set_configuration(4).unwrap();
        handle.claim(1, 0).unwrap();
        let mut host = Host { handle, packets: Packets::default(), heard: Vec::new(), sequence: 0, acknowledged: 0 };
        host.send(Body::Version { major: 2, minor: 0 });
        assert_eq!(host.hear(), Body::Version { major: 2, minor: 0 });
        host.send(Body::Setup(vec![7]));
        host
    }

    fn send(&mut self, body: Body) {
        let bytes = Packet { counters: Counters::default(), body }.build(Form::Two).unwrap();
        assert_eq!(self.handle.bulk_out(OUT, &bytes, LIMIT), Ok(bytes.len()));
        if bytes.len().is_multiple_of(USB_PACKET) {
            self.handle.bulk_out(OUT, &[], LIMIT).unwrap();
        }
    }

    fn say(&mut self, flags: u8, payload: &[u8]) {
        let (sequence, acknowledged) = (self.sequence, self.acknowledged);
        let segment = Segment { source: 1, target: SERVICE, sequence, acknowledged, flags, window: WINDOW };
        self.sequence += payload.len() as u32;
        self.send(Body::Segment(segment, payload.to_vec()));
    }

    fn hear(&mut self) -> Body {
        while self.heard.is_empty() {
            let bytes = self.handle.bulk_in(IN, 16 << 10, LIMIT).unwrap();
            self.heard = self.packets.push(&bytes).unwrap();
        }
        Packet::parse(Form::Two, &self.heard.remove(0)).unwrap().body
    }

    fn segment(&mut self) -> (Segment, Vec<u8>) {
        match self.hear() {
            Body::Segment(segment, payload) => (segment, payload),
            other => panic!("{other:?}"),
        }
    }

    fn connect(&mut self) {
        self.say(flags::SYN, &[]);
        let (answer, _) = self.segment();
        assert_eq!(answer.flags, flags::SYN | flags::ACK);
        (self.sequence, self.acknowledged) = (1, 1);
        self.say(flags::ACK, &[]);
    }

    /// Data until the phone hangs up, acknowledged as it comes.
    fn hear_all(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let (segment, payload) = self.segment();
            if segment.flags & flags::RST != 0 {
                return all;
            }
            if !payload.is_empty() {
                self.acknowledged += payload.len() as u32;
                all.extend(payload);
                self.say(flags::ACK, &[]);
            }
        }
    }
}

fn an_echo_and_a_farewell(bus: &dyn Bus, phone: &Arc<Phone>) {
    let links = phone.listen(SERVICE);
    let mut host = Host::open(bus);
    assert_eq!(host.handle.bulk_in(IN, 512, SHORT), Err(UsbError::Timeout));
    host.connect();
    let mut link = links.recv_timeout(LIMIT).unwrap();
    host.say(flags::ACK, b"hello");
    let mut heard = [0; 5];
    link.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    let (told, _) = host.segment();
    assert_eq!((told.flags, told.acknowledged), (flags::ACK, 6));
    // A packet of whole USB packets, one that needs several requests, and the end.
    let words: Vec<u8> = (0..200_000_u32).map(|n| (n % 253) as u8).collect();
    let (first, rest) = words.split_at(USB_PACKET - 36);
    link.write_all(first).unwrap();
    let (data, payload) = host.segment();
    assert_eq!((data.sequence, &payload[..]), (1, first));
    host.acknowledged += payload.len() as u32;
    host.say(flags::ACK, &[]);
    let speaker = {
        let rest = rest.to_vec();
        std::thread::spawn(move || {
            link.write_all(&rest).unwrap();
            link.shutdown(std::net::Shutdown::Both).unwrap();
        })
    };
    assert_eq!(host.hear_all(), rest);
    speaker.join().unwrap();
    assert_eq!(host.handle.bulk_in(IN, 512, SHORT), Err(UsbError::Timeout));
    assert_eq!(phone.remembered("usbmux.garbage"), 0);
}

#[test]
fn a_service_is_reached_through_the_bus_trait() {
    let phone = phone();
    an_echo_and_a_farewell(&VirtualBus::new(vec![Arc::clone(&phone)]), &phone);
}

#[test]
fn a_service_is_reached_from_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("usb.sock");
    let phone = phone();
    let _server = serve(&socket, vec![Arc::clone(&phone)]).unwrap();
    an_echo_and_a_farewell(&RemoteBus::connect(&socket).unwrap(), &phone);
}

#[test]
fn a_packet_ends_where_its_transfer_ends() {
    let phone = phone();
    let model = Model::of(&phone);
    let links = phone.listen(SERVICE);
    let mut host = Host::open(&VirtualBus::new(vec![Arc::clone(&phone)]));
    host.connect();
    let generation = model.identity().unwrap().generation;
    let fetch = |length| match model.bulk_in(generation, IN, length, LIMIT).reply {
        Reply::Data(bytes) => bytes.len(),
        other => panic!("{other:?}"),
    };
    let mut link = links.recv_timeout(LIMIT).unwrap();
    let packet = 1024;
    for (length, pieces) in [
        // The request has room: its short end is seen.
        (2048, vec![1024]),
        // It ends with the packet: an empty one says so.
        (1024, vec![1024, 0]),
        (512, vec![512, 512, 0]),
    ] {
        link.write_all(&vec![1; packet - 36]).unwrap();
        for piece in pieces {
            assert_eq!(fetch(length), piece);
        }
        assert!(!model.wait_in(generation, IN, Duration::ZERO));
    }
    link.write_all(&[1; 100]).unwrap();
    assert_eq!((fetch(136), model.wait_in(generation, IN, Duration::ZERO)), (136, false));
}

#[test]
fn a_service_that_does_not_read_stops_its_host_and_one_that_is_not_read_waits() {
    let phone = phone();
    let links = phone.listen(SERVICE);
    let mut host = Host::open(&VirtualBus::new(vec![Arc::clone(&phone)]));
    host.connect();
    let _unread = links.recv_timeout(LIMIT).unwrap();
    // More than the socket behind it holds: what is not taken is not acknowledged, and beyond the window is a reset.
    let mut reset = false;
    for _ in 0..1000 {
        host.say(flags::ACK, &[7; PAYLOAD]);
        while let Ok(bytes) = host.handle.bulk_in(IN, 16 << 10, Duration::ZERO) {
            for packet in host.packets.push(&bytes).unwrap() {
                if let Body::Segment(segment, _) = Packet::parse(Form::Two, &packet).unwrap().body {
                    reset |= segment.flags & flags::RST != 0;
                }
            }
        }
        if reset {
            break;
        }
    }
    assert!(reset, "32 MB were taken that nobody reads");
    (host.sequence, host.acknowledged) = (0, 0);
    host.connect();
    let mut link = links.recv_timeout(LIMIT).unwrap();
    link.set_write_timeout(Some(SHORT * 5)).unwrap();
    let mut taken = 0;
    while let Ok(count) = link.write(&[9; 8192]) {
        taken += count;
        if taken > 32 << 20 {
            break;
        }
    }
    assert!(taken < 2 << 20, "{taken} bytes wait for a host that reads none");
}

#[test]
fn an_unplug_ends_a_request_that_waits() {
    let phone = phone();
    let mut host = Host::open(&VirtualBus::new(vec![Arc::clone(&phone)]));
    let waiting = std::thread::spawn(move || host.handle.bulk_in(IN, 512, LIMIT * 4));
    let model = Model::of(&phone);
    let generation = model.identity().unwrap().generation;
    phone.enter(Stage::Away);
    assert_eq!(waiting.join().unwrap(), Err(UsbError::Gone));
    phone.enter(Stage::Normal);
    assert_eq!(model.bulk_in(generation, IN, 512, LIMIT).reply, Reply::Gone);
    assert_eq!(model.bulk_out(generation, OUT, &[0; 20]).reply, Reply::Gone);
}

#[test]
fn only_the_configurations_that_have_it_reach_the_multiplexor() {
    let phone = phone();
    let model = Model::of(&phone);
    let generation = model.identity().unwrap().generation;
    let version = Packet { counters: Counters::default(), body: Body::Version { major: 2, minor: 0 } };
    let version = version.build(Form::One).unwrap();
    for (configuration, answers) in [(1, false), (2, false), (3, true), (4, true), (1, false)] {
        model.set_configuration(generation, configuration);
        model.bulk_out(generation, OUT, &version);
        assert_eq!(model.wait_in(generation, IN, Duration::ZERO), answers, "{configuration}");
    }
    model.set_configuration(generation, 4);
    assert!(!model.wait_in(generation, IN, Duration::ZERO), "a new configuration begins afresh");
    model.bulk_out(generation, OUT, b"no packet at all, but long enough for a header");
    model.bulk_out(generation, OUT, b"nor this one");
    assert_eq!(phone.remembered("usbmux.garbage"), 1);
    model.bulk_out(generation, OUT, &version);
    assert!(
        matches!(model.bulk_in(generation, IN, 512, Duration::ZERO).reply, Reply::Data(bytes) if bytes.len() == 20)
    );
}
