//! FDR, the trust channel: the device reaches Apple through the host while it is being restored.
//!
//! A control link (port 1082) lives as long as the restore. The host greets with `BeginCtrl` and a NUL and
//! a binary property list; the device names the port for conn links. From then on the device sends 16-bit
//! little-endian words. [`SYNC`] asks for one more conn link; on that one `HelloConn` is exchanged, then
//! the device sends a property list (`Ping`, answered with `Pong`) or a [`PROXY`] request, which the host
//! echoes, and from there on the link is a bare TCP stream to the host that was named.
//!
//! Old ramdisks know only protocol 1: `HelloCtrl` and NUL both ways and a 16-bit port; a conn link begins
//! with `HelloConn` and NUL both ways.
//!
//! Read byte by byte, a connect request and its answer are those of SOCKS 5 (RFC 1928) after its greeting:
//! `05 01 00 03 …` and `05 00 00 03 …`. So a server that cannot be reached is answered with the reply
//! numbers of SOCKS ([`Refusal`]); that part no recording shows.

use super::WireError;
use plist::{Dictionary, Value};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Port of the control link.
pub const CONTROL_PORT: u16 = 1082;
/// Opens a control link of protocol 2. Ends with NUL.
pub const BEGIN_CTRL: &[u8; 10] = b"BeginCtrl\0";
/// Opens a control link of protocol 1, and is its answer.
pub const HELLO_CTRL: &[u8; 10] = b"HelloCtrl\0";
/// Opens a conn link; in protocol 1 it is also the answer.
pub const HELLO_CONN: &[u8; 10] = b"HelloConn\0";
/// Device to host on the control link: open a conn link. Two more bytes follow.
pub const SYNC: u16 = 0x0001;
/// Device to host: the control link ends.
pub const SHUTDOWN: u16 = 0x0002;
/// A property list follows.
pub const PLIST: u16 = 0xBBAA;
/// Device to host on a conn link: a connect request follows.
pub const PROXY: u16 = 0x0105;
/// Host to device: first word of the answer to [`PROXY`]; the request follows as an echo.
pub const PROXY_ACK: u16 = 0x0005;
/// Form of an address in a connect request.
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
/// The longest connect request: a name of 255 bytes.
pub const PROXY_CAP: usize = 3 + 255 + 2;
/// The identifier that every device of every year gives in `HelloConn`.
pub const IDENTIFIER: &str = "6633487374b0dc5119495cff";
/// Cap on a property list, in bytes.
pub const PLIST_CAP: u32 = 1 << 20;

const WHAT: &str = "FDR message";

/// Little-endian length and binary property list.
pub fn frame(message: &Dictionary) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    let _ = plist::to_writer_binary(&mut bytes, message);
    let length = u32::try_from(bytes.len() - 4).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// The body's length from its prefix.
pub fn length(prefix: [u8; 4]) -> Result<usize, WireError> {
    let length = u32::from_le_bytes(prefix);
    if length > PLIST_CAP {
        return Err(WireError::TooLong { what: WHAT, length: length.into(), cap: PLIST_CAP.into() });
    }
    Ok(length as usize)
}

/// One body: a flat dictionary of a few words. Larger objects are refused before they are built.
pub fn parse(body: &[u8]) -> Result<Dictionary, WireError> {
    // The trailer of a binary list counts its objects: a handful here. That also bounds what a list
    // of references to references could grow to.
    let objects = body
        .len()
        .checked_sub(24)
        .and_then(|at| body.get(at..at + 8))
        .and_then(|b| b.try_into().ok())
        .map(u64::from_be_bytes)
        .ok_or(WireError::Short { what: WHAT })?;
    if !body.starts_with(b"bplist") || objects > 64 {
        return Err(WireError::malformed(WHAT, "not a small binary property list"));
    }
    let mut containers = 0;
    for byte in body {
        containers += usize::from(matches!(byte >> 4, 0xA | 0xC | 0xD));
    }
    if containers > 256 {
        return Err(WireError::malformed(WHAT, "too many containers"));
    }
    match plist::from_bytes::<Value>(body) {
        Ok(Value::Dictionary(dictionary)) => Ok(dictionary),
        Ok(_) => Err(WireError::malformed(WHAT, "not a dictionary")),
        Err(err) => Err(WireError::malformed(WHAT, err.to_string())),
    }
}

/// The property lists of both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Host and device; only the device names the port.
    BeginCtrl {
        version: u64,
        conn_port: Option<u16>,
    },
    /// Device to host, first on a conn link.
    HelloConn {
        identifier: Option<String>,
    },
    /// Device to host.
    Ping,
    /// Host to device.
    Pong,
    Other(String),
}

impl Message {
    pub fn parse(message: &Dictionary) -> Message {
        if message.get("Pong").is_some() {
            return Message::Pong;
        }
        // Some hosts write the command as data, and with its NUL; devices take it.
        let command = match message.get("Command") {
            Some(Value::String(text)) => Some(text.as_str()),
            Some(Value::Data(bytes)) => std::str::from_utf8(bytes).ok(),
            _ => None,
        };
        match command.map(|c| c.trim_end_matches('\0')) {
            Some("BeginCtrl") => Message::BeginCtrl {
                version: message.get("CtrlProtoVersion").and_then(Value::as_unsigned_integer).unwrap_or(0),
                conn_port: message
                    .get("ConnPort")
                    .and_then(Value::as_unsigned_integer)
                    .and_then(|p| u16::try_from(p).ok()),
            },
            Some("HelloConn") => Message::HelloConn {
                identifier: message.get("Identifier").and_then(Value::as_string).map(str::to_owned),
            },
            Some("Ping") => Message::Ping,
            other => Message::Other(other.unwrap_or_default().to_owned()),
        }
    }

    pub fn build(&self) -> Dictionary {
        let mut m = Dictionary::new();
        match self {
            Message::BeginCtrl { version, conn_port } => {
                m.insert("Command".into(), "BeginCtrl".into());
                m.insert("CtrlProtoVersion".into(), Value::from(*version));
                if let Some(port) = conn_port {
                    m.insert("ConnPort".into(), Value::from(u64::from(*port)));
                }
            }
            Message::HelloConn { identifier } => {
                m.insert("Command".into(), "HelloConn".into());
                if let Some(identifier) = identifier {
                    m.insert("Identifier".into(), identifier.as_str().into());
                }
            }
            Message::Ping => {
                m.insert("Command".into(), "Ping".into());
            }
            Message::Pong => {
                m.insert("Pong".into(), true.into());
            }
            Message::Other(command) => {
                m.insert("Command".into(), command.as_str().into());
            }
        }
        m
    }
}

/// Where the device wants to be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyRequest {
    pub host: String,
    pub port: u16,
}

impl ProxyRequest {
    /// `0 3 length host port`, the port big-endian: the tail of a SOCKS request.
    pub fn build(&self) -> Vec<u8> {
        let host = &self.host.as_bytes()[..self.host.len().min(255)];
        let mut bytes = vec![0, 3, host.len() as u8];
        bytes.extend_from_slice(host);
        bytes.extend_from_slice(&self.port.to_be_bytes());
        bytes
    }

    /// The request and its length in bytes; none while `bytes` is incomplete. Addresses become text.
    pub fn parse(bytes: &[u8]) -> Result<Option<(ProxyRequest, usize)>, WireError> {
        let [kind, form, first, ..] = bytes else { return Ok(None) };
        let (from, length) = match (*kind, *form) {
            (0, NAME) => (3, usize::from(*first)),
            (0, IPV4) => (2, 4),
            (0, IPV6) => (2, 16),
            _ => return Err(WireError::malformed(WHAT, format!("connect request of form {kind} {form}"))),
        };
        let end = from + length;
        let (Some(host), Some(port)) = (bytes.get(from..end), bytes.get(end..end + 2)) else { return Ok(None) };
        let host = if let Ok(four) = <[u8; 4]>::try_from(host)
            && *form == IPV4
        {
            Ipv4Addr::from(four).to_string()
        } else if let Ok(sixteen) = <[u8; 16]>::try_from(host)
            && *form == IPV6
        {
            Ipv6Addr::from(sixteen).to_string()
        } else {
            std::str::from_utf8(host).map_err(|_| WireError::malformed(WHAT, "host name is not text"))?.to_owned()
        };
        if host.is_empty() || host.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(WireError::malformed(WHAT, "host name is empty or not one"));
        }
        let port = port.iter().fold(0u16, |p, b| p << 8 | u16::from(*b));
        Ok(Some((ProxyRequest { host, port }, end + 2)))
    }
}

/// Why the device gets no connection; the numbers are SOCKS'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    Failed = 1,
    NotAllowed = 2,
    NoNetwork = 3,
    NoHost = 4,
    Refused = 5,
    TimedOut = 6,
    /// An address of another form than those above.
    Form = 8,
}

impl Refusal {
    /// In place of [`PROXY_ACK`]; the request follows as an echo here too.
    pub fn word(self) -> u16 {
        PROXY_ACK | u16::from(self as u8) << 8
    }

    /// The number in an answer's first word; none when it is a yes or no answer at all.
    pub fn number(word: u16) -> Option<u8> {
        let [version, number] = word.to_le_bytes();
        (u16::from(version) == PROXY_ACK && number != 0).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_greeting_has_the_length_seen_in_the_field() {
        // Threads print 89 bytes for the host's half and 105 for the device's.
        let host = frame(&Message::BeginCtrl { version: 2, conn_port: None }.build());
        assert_eq!(host.len() - 4, 89);
        let device = frame(&Message::BeginCtrl { version: 2, conn_port: Some(49_200) }.build());
        assert_eq!(device.len() - 4, 105);
    }

    #[test]
    fn messages_survive() {
        for message in [
            Message::BeginCtrl { version: 2, conn_port: Some(49_200) },
            Message::HelloConn { identifier: Some(IDENTIFIER.into()) },
            Message::Ping,
            Message::Pong,
        ] {
            let bytes = frame(&message.build());
            let (prefix, body) = bytes.split_first_chunk::<4>().unwrap();
            assert_eq!(length(*prefix).unwrap(), body.len());
            assert_eq!(Message::parse(&parse(body).unwrap()), message);
        }
        assert!(length([0xFF; 4]).is_err());
    }

    #[test]
    fn a_command_written_as_data_is_understood() {
        let message = Dictionary::from_iter([("Command", Value::Data(b"BeginCtrl\0".to_vec()))]);
        assert!(matches!(Message::parse(&message), Message::BeginCtrl { .. }));
    }

    #[test]
    fn a_connect_request_may_come_in_pieces() {
        let request = ProxyRequest { host: "gg.apple.com".into(), port: 443 };
        let bytes = request.build();
        for cut in 0..bytes.len() {
            assert_eq!(ProxyRequest::parse(&bytes[..cut]).unwrap(), None);
        }
        assert_eq!(ProxyRequest::parse(&bytes).unwrap(), Some((request, bytes.len())));
        assert!(ProxyRequest::parse(&[1, 3, 0]).is_err());
        assert!(ProxyRequest::parse(&[0, 3, 0, 1, 1]).is_err());
        let longest = ProxyRequest { host: "a".repeat(255), port: 1 }.build();
        assert_eq!(longest.len(), PROXY_CAP);
    }

    #[test]
    fn addresses_are_read_too() {
        let four = [0, 1, 17, 0, 0, 9, 1, 187, 99];
        let request = ProxyRequest { host: "17.0.0.9".into(), port: 443 };
        assert_eq!(ProxyRequest::parse(&four).unwrap(), Some((request, 8)));
        assert_eq!(ProxyRequest::parse(&four[..7]).unwrap(), None);
        let mut six = vec![0, 4];
        six.extend(Ipv6Addr::LOCALHOST.octets());
        six.extend([0, 80]);
        let request = ProxyRequest { host: "::1".into(), port: 80 };
        assert_eq!(ProxyRequest::parse(&six).unwrap(), Some((request, 20)));
    }

    #[test]
    fn a_refusal_is_no_yes() {
        assert_eq!(Refusal::Refused.word().to_le_bytes(), [5, 5]);
        assert_eq!(Refusal::number(Refusal::NoHost.word()), Some(4));
        assert_eq!(Refusal::number(PROXY_ACK), None);
        assert_eq!(Refusal::number(PLIST), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
            let _ = ProxyRequest::parse(&bytes);
        }
    }
}
