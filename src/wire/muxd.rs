//! The usbmux protocol, version 1: what a host program and usbmuxd say over the socket.
//!
//! Each message is a 16-byte little-endian header (length with the header, version, kind, tag) and an XML
//! property list. The reply carries the request's tag; `Attached`, `Detached` and `Paired` after `Listen`
//! carry tag 0. After a `Connect` that succeeded the socket is no longer usbmux but the port of the device.
//! Port numbers travel in network byte order inside a plist integer; both directions swap them here, so
//! that nobody above sees it. The old binary version 0 is recognised only to be refused.

use super::WireError;
use super::lockdown::{Shape, encode, parse};
use plist::{Dictionary, Value};

pub const HEADER: usize = 16;
/// Longest message taken, header included. Pair records are about 10 KiB, device lists 500 bytes a device.
pub const CAP: u32 = 4 << 20;
/// Protocol version of plist messages.
pub const VERSION: u32 = 1;
/// Header kind of every plist message.
pub const KIND_PLIST: u32 = 8;
/// Header kind of a binary result (version 0).
pub const KIND_RESULT: u32 = 1;

/// `Number` of a `Result`. Reads of absent pair records say errno 2, the same number as a bad device.
pub mod result {
    pub const OK: u32 = 0;
    pub const BAD_COMMAND: u32 = 1;
    pub const BAD_DEVICE: u32 = 2;
    pub const NO_RECORD: u32 = 2;
    pub const REFUSED: u32 = 3;
    pub const BAD_VERSION: u32 = 6;
    pub const INVALID: u32 = 22;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the whole message.
    pub length: u32,
    pub version: u32,
    pub kind: u32,
    pub tag: u32,
}

impl Header {
    /// Checks the length against [`HEADER`] and [`CAP`]; version and kind are the caller's to judge.
    pub fn parse(bytes: &[u8; HEADER]) -> Result<Self, WireError> {
        let [length, version, kind, tag] =
            [0, 4, 8, 12].map(|at| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
        if length < HEADER as u32 {
            return Err(WireError::Short { what: "usbmux header" });
        }
        if length > CAP {
            return Err(WireError::TooLong { what: "usbmux message", length: length.into(), cap: CAP.into() });
        }
        Ok(Header { length, version, kind, tag })
    }

    /// Bytes that follow the header.
    pub fn body(&self) -> usize {
        self.length as usize - HEADER
    }

    pub fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        for (at, field) in [self.length, self.version, self.kind, self.tag].into_iter().enumerate() {
            bytes[at * 4..at * 4 + 4].copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }
}

/// A whole plist message.
pub fn message(tag: u32, body: Dictionary) -> Result<Vec<u8>, WireError> {
    let body = encode(&Value::Dictionary(body), Shape::Xml)?;
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    if length > CAP {
        return Err(WireError::TooLong { what: "usbmux message", length: length.into(), cap: CAP.into() });
    }
    let mut bytes = Header { length, version: VERSION, kind: KIND_PLIST, tag }.encode().to_vec();
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

fn dictionary(body: &[u8]) -> Result<Dictionary, WireError> {
    match parse(body)? {
        Value::Dictionary(dict) => Ok(dict),
        _ => Err(WireError::malformed("usbmux message", "not a dictionary")),
    }
}

fn text(dict: &Dictionary, key: &str) -> Option<String> {
    dict.get(key).and_then(Value::as_string).map(str::to_owned)
}

fn number(dict: &Dictionary, key: &str) -> Option<u32> {
    dict.get(key).and_then(Value::as_unsigned_integer).and_then(|n| u32::try_from(n).ok())
}

fn missing(key: &'static str) -> WireError {
    WireError::malformed("usbmux message", format!("{key} is missing or of another type"))
}

/// What a host program asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    Listen,
    ListDevices,
    ListListeners,
    /// `port` in host order.
    Connect {
        device: u32,
        port: u16,
    },
    ReadBuid,
    ReadPairRecord {
        id: String,
    },
    SavePairRecord {
        id: String,
        record: Vec<u8>,
        device: Option<u32>,
    },
    DeletePairRecord {
        id: String,
    },
    /// A message type that nobody knows.
    Other(String),
}

/// Who asks, as programs name themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    pub program: String,
    pub bundle: String,
    pub version: String,
}

impl Request {
    pub fn parse(body: &[u8]) -> Result<(Self, Client), WireError> {
        let dict = dictionary(body)?;
        let client = Client {
            program: text(&dict, "ProgName").unwrap_or_default(),
            bundle: text(&dict, "BundleID").unwrap_or_default(),
            version: text(&dict, "ClientVersionString").unwrap_or_default(),
        };
        let id = || text(&dict, "PairRecordID").ok_or(missing("PairRecordID"));
        let kind = text(&dict, "MessageType").ok_or(missing("MessageType"))?;
        let request = match kind.as_str() {
            "Listen" => Request::Listen,
            "ListDevices" => Request::ListDevices,
            "ListListeners" => Request::ListListeners,
            "ReadBUID" => Request::ReadBuid,
            "ReadPairRecord" => Request::ReadPairRecord { id: id()? },
            "DeletePairRecord" => Request::DeletePairRecord { id: id()? },
            "SavePairRecord" => Request::SavePairRecord {
                id: id()?,
                record: dict.get("PairRecordData").and_then(Value::as_data).ok_or(missing("PairRecordData"))?.to_vec(),
                device: number(&dict, "DeviceID"),
            },
            "Connect" => Request::Connect {
                device: number(&dict, "DeviceID").ok_or(missing("DeviceID"))?,
                // Some programs send the swapped number sign-extended; only its 16 bits count.
                port: match dict.get("PortNumber") {
                    Some(Value::Integer(n)) => {
                        let raw = n.as_unsigned().map(|n| n as u16).or_else(|| n.as_signed().map(|n| n as u16));
                        raw.map(u16::swap_bytes).ok_or(missing("PortNumber"))?
                    }
                    _ => return Err(missing("PortNumber")),
                },
            },
            _ => Request::Other(kind),
        };
        Ok((request, client))
    }

    pub fn body(&self, client: &Client) -> Dictionary {
        let mut dict = Dictionary::new();
        let mut put = |key: &str, value: Value| {
            dict.insert(key.to_owned(), value);
        };
        let kind = match self {
            Request::Listen => "Listen",
            Request::ListDevices => "ListDevices",
            Request::ListListeners => "ListListeners",
            Request::Connect { device, port } => {
                put("DeviceID", Value::from(u64::from(*device)));
                put("PortNumber", Value::from(u64::from(port.swap_bytes())));
                "Connect"
            }
            Request::ReadBuid => "ReadBUID",
            Request::ReadPairRecord { id } => {
                put("PairRecordID", id.as_str().into());
                "ReadPairRecord"
            }
            Request::SavePairRecord { id, record, device } => {
                put("PairRecordID", id.as_str().into());
                put("PairRecordData", Value::Data(record.clone()));
                if let Some(device) = device {
                    put("DeviceID", Value::from(u64::from(*device)));
                }
                "SavePairRecord"
            }
            Request::DeletePairRecord { id } => {
                put("PairRecordID", id.as_str().into());
                "DeletePairRecord"
            }
            Request::Other(kind) => kind,
        };
        put("MessageType", kind.into());
        put("ProgName", client.program.as_str().into());
        put("BundleID", client.bundle.as_str().into());
        put("ClientVersionString", client.version.as_str().into());
        put("kLibUSBMuxVersion", Value::from(3_u64));
        dict
    }
}

/// A device as usbmuxd announces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// New for each attach.
    pub device: u32,
    /// The UDID with its dash; in restore mode often a dummy.
    pub serial: String,
    /// `USB` or `Network`.
    pub connection: String,
    pub location: u32,
    pub product: u32,
    /// Bits per second.
    pub speed: u64,
}

impl Attached {
    fn body(&self) -> Dictionary {
        let mut properties = Dictionary::new();
        properties.insert("ConnectionSpeed".into(), Value::from(self.speed));
        properties.insert("ConnectionType".into(), self.connection.as_str().into());
        properties.insert("DeviceID".into(), Value::from(u64::from(self.device)));
        properties.insert("LocationID".into(), Value::from(u64::from(self.location)));
        properties.insert("ProductID".into(), Value::from(u64::from(self.product)));
        properties.insert("SerialNumber".into(), self.serial.as_str().into());
        let mut dict = Dictionary::new();
        dict.insert("DeviceID".into(), Value::from(u64::from(self.device)));
        dict.insert("MessageType".into(), "Attached".into());
        dict.insert("Properties".into(), properties.into());
        dict
    }

    fn parse(dict: &Dictionary) -> Result<Self, WireError> {
        let properties = dict.get("Properties").and_then(Value::as_dictionary).ok_or(missing("Properties"))?;
        Ok(Attached {
            device: number(dict, "DeviceID").ok_or(missing("DeviceID"))?,
            serial: text(properties, "SerialNumber").ok_or(missing("SerialNumber"))?,
            connection: text(properties, "ConnectionType").unwrap_or_else(|| "USB".into()),
            location: number(properties, "LocationID").unwrap_or(0),
            product: number(properties, "ProductID").unwrap_or(0),
            speed: properties.get("ConnectionSpeed").and_then(Value::as_unsigned_integer).unwrap_or(0),
        })
    }
}

/// What usbmuxd says, asked or (after `Listen`) unasked.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Result(u32),
    Devices(Vec<Attached>),
    Listeners(Vec<Client>),
    Buid(String),
    PairRecord(Vec<u8>),
    Attached(Attached),
    Detached(u32),
    Paired(u32),
}

impl Answer {
    pub fn body(&self) -> Dictionary {
        let mut dict = Dictionary::new();
        let mut put = |key: &str, value: Value| {
            dict.insert(key.to_owned(), value);
        };
        match self {
            Answer::Result(number) => {
                put("MessageType", "Result".into());
                put("Number", Value::from(u64::from(*number)));
            }
            Answer::Devices(devices) => {
                put("DeviceList", Value::Array(devices.iter().map(|d| Value::Dictionary(d.body())).collect()));
            }
            Answer::Listeners(clients) => {
                let list = clients.iter().enumerate().map(|(at, client)| {
                    let mut one = Dictionary::new();
                    one.insert("Blacklisted".into(), false.into());
                    one.insert("BundleID".into(), client.bundle.as_str().into());
                    one.insert("ConnType".into(), Value::from(0_u64));
                    one.insert("ID String".into(), format!("{}-{}", at, client.program).into());
                    one.insert("ProgName".into(), client.program.as_str().into());
                    one.insert("kLibUSBMuxVersion".into(), Value::from(3_u64));
                    Value::Dictionary(one)
                });
                put("ListenerList", Value::Array(list.collect()));
            }
            Answer::Buid(buid) => put("BUID", buid.as_str().into()),
            Answer::PairRecord(record) => put("PairRecordData", Value::Data(record.clone())),
            Answer::Attached(attached) => return attached.body(),
            Answer::Detached(device) | Answer::Paired(device) => {
                let kind = if matches!(self, Answer::Paired(_)) { "Paired" } else { "Detached" };
                put("MessageType", kind.into());
                put("DeviceID", Value::from(u64::from(*device)));
            }
        }
        dict
    }

    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        let dict = dictionary(body)?;
        if let Some(list) = dict.get("DeviceList").and_then(Value::as_array) {
            let devices =
                list.iter().filter_map(Value::as_dictionary).map(Attached::parse).collect::<Result<_, _>>()?;
            return Ok(Answer::Devices(devices));
        }
        if let Some(list) = dict.get("ListenerList").and_then(Value::as_array) {
            let client = |d: &Dictionary| Client {
                program: text(d, "ProgName").unwrap_or_default(),
                bundle: text(d, "BundleID").unwrap_or_default(),
                version: String::new(),
            };
            return Ok(Answer::Listeners(list.iter().filter_map(Value::as_dictionary).map(client).collect()));
        }
        if let Some(record) = dict.get("PairRecordData").and_then(Value::as_data) {
            return Ok(Answer::PairRecord(record.to_vec()));
        }
        if let Some(buid) = text(&dict, "BUID") {
            return Ok(Answer::Buid(buid));
        }
        let device = || number(&dict, "DeviceID").ok_or(missing("DeviceID"));
        match dict.get("MessageType").and_then(Value::as_string) {
            Some("Result") => Ok(Answer::Result(number(&dict, "Number").ok_or(missing("Number"))?)),
            Some("Attached") => Ok(Answer::Attached(Attached::parse(&dict)?)),
            Some("Detached") => Ok(Answer::Detached(device()?)),
            Some("Paired") => Ok(Answer::Paired(device()?)),
            _ => Err(missing("MessageType")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(bytes: &[u8]) -> (Header, &[u8]) {
        let (head, body) = bytes.split_first_chunk::<HEADER>().unwrap();
        (Header::parse(head).unwrap(), body)
    }

    #[test]
    fn requests_round_trip_and_ports_are_swapped() {
        let client = Client { program: "herstel".into(), bundle: "x".into(), version: "1".into() };
        for request in [
            Request::Listen,
            Request::Connect { device: 7, port: 62_078 },
            Request::SavePairRecord { id: "a".into(), record: vec![1, 2], device: Some(3) },
            Request::DeletePairRecord { id: "a".into() },
            Request::Other("Dance".into()),
        ] {
            let bytes = message(9, request.body(&client)).unwrap();
            let (header, body) = split(&bytes);
            assert_eq!((header.tag, header.kind, header.body()), (9, KIND_PLIST, body.len()));
            assert_eq!(Request::parse(body).unwrap(), (request, client.clone()));
        }
        let body = Request::Connect { device: 1, port: 62_078 }.body(&client);
        assert_eq!(body.get("PortNumber").unwrap().as_unsigned_integer(), Some(32_498));
    }

    #[test]
    fn answers_round_trip() {
        let attached = Attached {
            device: 4,
            serial: "00008110-001A2B3C4D5E6F01".into(),
            connection: "USB".into(),
            location: 0x1_0002,
            product: 0x12A8,
            speed: 480_000_000,
        };
        for answer in [
            Answer::Result(result::REFUSED),
            Answer::Devices(vec![attached.clone()]),
            Answer::Attached(attached),
            Answer::Detached(4),
            Answer::Paired(4),
            Answer::Buid("30142955-444094379208051516".into()),
            Answer::PairRecord(vec![0; 40]),
        ] {
            let bytes = message(0, answer.body()).unwrap();
            assert_eq!(Answer::parse(split(&bytes).1).unwrap(), answer);
        }
    }

    #[test]
    fn absurd_headers_are_refused() {
        let header = |length: u32| Header { length, version: 1, kind: 8, tag: 0 }.encode();
        assert!(matches!(Header::parse(&header(15)), Err(WireError::Short { .. })));
        assert!(matches!(Header::parse(&header(u32::MAX)), Err(WireError::TooLong { .. })));
        assert!(Request::parse(b"<plist><array/></plist>").is_err());
    }
}
