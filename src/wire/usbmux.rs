//! USB mux: the packets that usbmuxd and a phone in normal or restore mode exchange over two bulk endpoints.
//!
//! A packet has a big-endian header: protocol and length of the whole, and from version 2 on also a magic
//! and two counters of packets. The first packet of a host (and its answer) always has the short header,
//! since it is there that the version is agreed. After it comes one byte of setup (version 2 only), and then
//! segments that look like TCP without options and without checksum. Windows travel in units of 256 bytes.
//!
//! Packets are found by their length, not by where a USB transfer ends: a transfer may be cut anywhere on
//! its way, and one that fills its last USB packet is followed by an empty one.

use super::WireError;

/// Longest packet, header included.
pub const CAP: usize = 64 << 10;
/// Longest packet that a host sends.
pub const HOST_CAP: usize = 48 << 10;
/// Bytes of a USB packet at high speed; a shorter one ends a transfer.
pub const USB_PACKET: usize = 512;

const MAGIC: u32 = 0xFEED_FACE;
const SHORT: usize = 8;
const LONG: usize = 16;
const TCP: usize = 20;
const WHAT: &str = "USB mux packet";

/// Flags of a segment.
pub mod flags {
    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const ACK: u8 = 0x10;
}

/// The two forms of a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    #[default]
    One,
    Two,
}

impl Form {
    fn header(self) -> usize {
        match self {
            Form::One => SHORT,
            Form::Two => LONG,
        }
    }
}

/// The header of one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    pub source: u16,
    pub target: u16,
    /// Of the first byte of the payload.
    pub sequence: u32,
    /// The next byte that is expected from the other side.
    pub acknowledged: u32,
    pub flags: u8,
    /// Bytes that may be on their way unacknowledged; rounded down to 256.
    pub window: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    Version {
        major: u32,
        minor: u32,
    },
    /// What a phone has to say to a person; the first byte is its kind.
    Control(Vec<u8>),
    Setup(Vec<u8>),
    Segment(Segment, Vec<u8>),
    Other(u32),
}

/// Counters of a long header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Number of this packet.
    pub sent: u16,
    /// Number of the last packet that was received.
    pub received: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Zero in a short header.
    pub counters: Counters,
    pub body: Body,
}

mod protocol {
    pub const VERSION: u32 = 0;
    pub const CONTROL: u32 = 1;
    pub const SETUP: u32 = 2;
    pub const TCP: u32 = 6;
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, WireError> {
    match bytes.get(at..at + 2) {
        Some([a, b]) => Ok(u16::from_be_bytes([*a, *b])),
        _ => Err(WireError::Short { what: WHAT }),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, WireError> {
    match bytes.get(at..at + 4) {
        Some([a, b, c, d]) => Ok(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => Err(WireError::Short { what: WHAT }),
    }
}

impl Packet {
    /// One whole packet.
    ///
    /// # Errors
    /// When it is too short for what it says it is, or its magic is wrong.
    pub fn parse(form: Form, bytes: &[u8]) -> Result<Packet, WireError> {
        let protocol = u32_at(bytes, 0)?;
        let form = if protocol == protocol::VERSION { Form::One } else { form };
        let mut counters = Counters::default();
        if form == Form::Two {
            if u32_at(bytes, 8)? != MAGIC {
                return Err(WireError::malformed(WHAT, "another magic"));
            }
            counters = Counters { sent: u16_at(bytes, 12)?, received: u16_at(bytes, 14)? };
        }
        let rest = bytes.get(form.header()..).ok_or(WireError::Short { what: WHAT })?;
        let body = match protocol {
            protocol::VERSION => Body::Version { major: u32_at(rest, 0)?, minor: u32_at(rest, 4)? },
            protocol::CONTROL => Body::Control(rest.to_vec()),
            protocol::SETUP => Body::Setup(rest.to_vec()),
            protocol::TCP => segment(rest)?,
            other => Body::Other(other),
        };
        Ok(Packet { counters, body })
    }

    /// # Errors
    /// When the packet would be longer than [`CAP`].
    pub fn build(&self, form: Form) -> Result<Vec<u8>, WireError> {
        let (protocol, form, body) = match &self.body {
            Body::Version { major, minor } => {
                (protocol::VERSION, Form::One, [major.to_be_bytes(), minor.to_be_bytes(), [0; 4]].concat())
            }
            Body::Control(body) => (protocol::CONTROL, form, body.clone()),
            Body::Setup(body) => (protocol::SETUP, form, body.clone()),
            Body::Segment(segment, payload) => (protocol::TCP, form, segment.build(payload)),
            Body::Other(protocol) => (*protocol, form, Vec::new()),
        };
        let length = form.header() + body.len();
        if length > CAP {
            return Err(WireError::TooLong { what: WHAT, length: length as u64, cap: CAP as u64 });
        }
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&protocol.to_be_bytes());
        bytes.extend_from_slice(&(length as u32).to_be_bytes());
        if form == Form::Two {
            bytes.extend_from_slice(&MAGIC.to_be_bytes());
            bytes.extend_from_slice(&self.counters.sent.to_be_bytes());
            bytes.extend_from_slice(&self.counters.received.to_be_bytes());
        }
        bytes.extend_from_slice(&body);
        Ok(bytes)
    }
}

fn segment(bytes: &[u8]) -> Result<Body, WireError> {
    let [offset, flags] = u16_at(bytes, 12)?.to_be_bytes();
    let header = usize::from(offset >> 4) * 4;
    if header < TCP {
        return Err(WireError::malformed(WHAT, format!("a segment header of {header} bytes")));
    }
    let payload = bytes.get(header..).ok_or(WireError::Short { what: WHAT })?;
    let segment = Segment {
        source: u16_at(bytes, 0)?,
        target: u16_at(bytes, 2)?,
        sequence: u32_at(bytes, 4)?,
        acknowledged: u32_at(bytes, 8)?,
        flags,
        window: u32::from(u16_at(bytes, 14)?) << 8,
    };
    Ok(Body::Segment(segment, payload.to_vec()))
}

impl Segment {
    fn build(&self, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(TCP + payload.len());
        bytes.extend_from_slice(&self.source.to_be_bytes());
        bytes.extend_from_slice(&self.target.to_be_bytes());
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.acknowledged.to_be_bytes());
        bytes.extend_from_slice(&[(TCP as u8 / 4) << 4, self.flags]);
        bytes.extend_from_slice(&u16::try_from(self.window >> 8).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(payload);
        bytes
    }
}

/// Cuts what arrives in transfers into packets. Holds less than [`CAP`] bytes between two calls.
#[derive(Debug, Default)]
pub struct Packets {
    held: Vec<u8>,
}

impl Packets {
    /// Takes one transfer (or a part of one that ends on a whole USB packet) and gives the packets that are
    /// complete now. What no packet can begin with is an error, and so is a transfer that ends in the middle
    /// of a packet; both drop what is held, and the next transfer starts afresh.
    ///
    /// # Errors
    /// See above; packets before the bad one are lost too.
    pub fn push(&mut self, transfer: &[u8]) -> Result<Vec<Vec<u8>>, WireError> {
        let mut rest = transfer;
        let mut whole = Vec::new();
        let ends = transfer.is_empty() || !transfer.len().is_multiple_of(USB_PACKET);
        while !rest.is_empty() {
            let want = match self.length() {
                Some(length @ SHORT..=CAP) => length,
                Some(length) => {
                    self.held.clear();
                    return Err(WireError::TooLong { what: WHAT, length: length as u64, cap: CAP as u64 });
                }
                None => SHORT,
            };
            let (now, later) = rest.split_at(rest.len().min(want.saturating_sub(self.held.len())));
            self.held.extend_from_slice(now);
            rest = later;
            if self.length() == Some(self.held.len()) {
                whole.push(std::mem::take(&mut self.held));
            }
        }
        if ends && !self.held.is_empty() {
            self.held.clear();
            return Err(WireError::Short { what: WHAT });
        }
        Ok(whole)
    }

    /// What the held header says; none while it is not whole.
    fn length(&self) -> Option<usize> {
        u32_at(&self.held, 4).ok().map(|length| length as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn data(payload: &[u8]) -> Packet {
        let segment = Segment {
            source: 1,
            target: 62_078,
            sequence: 0xFFFF_FFF0,
            acknowledged: 7,
            flags: flags::ACK,
            window: 131_072,
        };
        Packet { counters: Counters { sent: 3, received: 0xFFFF }, body: Body::Segment(segment, payload.to_vec()) }
    }

    #[test]
    fn bytes_are_those_on_the_wire() {
        let version = Packet { counters: Counters::default(), body: Body::Version { major: 2, minor: 0 } };
        let bytes = [0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];
        // The version packet is short in either form.
        assert_eq!(version.build(Form::Two).unwrap(), bytes);
        assert_eq!(Packet::parse(Form::Two, &bytes).unwrap(), version);
        let hex: String = data(b"ab").build(Form::Two).unwrap().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "0000000600000026feedface0003ffff0001f27efffffff00000000750100200000000006162");
        let old = data(b"ab").build(Form::One).unwrap();
        assert_eq!(old.len(), 8 + 20 + 2);
        assert_eq!(Packet::parse(Form::One, &old).unwrap().body, data(b"ab").body);
    }

    #[test]
    fn a_lying_packet_is_refused() {
        let good = data(b"abc").build(Form::Two).unwrap();
        for cut in 0..good.len() - 3 {
            assert!(Packet::parse(Form::Two, &good[..cut]).is_err(), "{cut}");
        }
        let mut magic = good.clone();
        magic[8] = 0;
        assert!(Packet::parse(Form::Two, &magic).is_err());
        let mut offset = good.clone();
        offset[28] = 0x40;
        assert!(Packet::parse(Form::Two, &offset).is_err());
        offset[28] = 0xF0;
        assert!(Packet::parse(Form::Two, &offset).is_err());
        assert!(data(&vec![0; CAP]).build(Form::Two).is_err());
    }

    #[test]
    fn packets_are_found_by_their_length() {
        let (one, two) = (data(&[1; 476]).build(Form::Two).unwrap(), data(b"xy").build(Form::Two).unwrap());
        assert_eq!(one.len(), USB_PACKET);
        let mut packets = Packets::default();
        assert_eq!(packets.push(&one).unwrap(), std::slice::from_ref(&one));
        assert!(packets.push(&[]).unwrap().is_empty(), "the empty USB packet behind it");
        assert_eq!(packets.push(&[one.clone(), two.clone()].concat()).unwrap(), [one.clone(), two.clone()]);
        let long = data(&[9; 40_000]).build(Form::Two).unwrap();
        assert!(packets.push(&long[..16_384]).unwrap().is_empty());
        assert!(packets.push(&long[16_384..32_768]).unwrap().is_empty());
        assert_eq!(packets.push(&long[32_768..]).unwrap(), [long]);
    }

    #[test]
    fn a_transfer_that_ends_early_or_lies_is_forgotten() {
        let good = data(&[1; 600]).build(Form::Two).unwrap();
        let mut packets = Packets::default();
        assert!(packets.push(&good[..600]).is_err());
        assert_eq!(packets.push(&good).unwrap().len(), 1);
        let absurd = [&[0, 0, 0, 6, 0xFF, 0xFF, 0xFF, 0xFF][..], &[0; 504]].concat();
        assert!(packets.push(&absurd).is_err());
        let tiny = [0, 0, 0, 6, 0, 0, 0, 7, 0];
        assert!(packets.push(&tiny).is_err());
        assert!(packets.push(&good[..512]).unwrap().is_empty());
        assert!(packets.push(&[]).is_err());
        assert_eq!(packets.push(&good).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn nothing_panics(two: bool, bytes: Vec<u8>) {
            let form = if two { Form::Two } else { Form::One };
            let _ = Packet::parse(form, &bytes);
            let _ = Packets::default().push(&bytes);
        }

        #[test]
        fn what_is_built_is_parsed(payload: Vec<u8>, source: u16, sequence: u32, sent: u16) {
            let segment = Segment { source, sequence, flags: flags::SYN, window: 256, ..Segment::default() };
            let counters = Counters { sent, received: 1 };
            let packet = Packet { counters, body: Body::Segment(segment, payload) };
            prop_assert_eq!(Packet::parse(Form::Two, &packet.build(Form::Two).unwrap()).unwrap(), packet);
        }
    }
}
