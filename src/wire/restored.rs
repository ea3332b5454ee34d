//! The restored protocol: framed property lists between a host and a device in restore mode.
//!
//! Every message is a 32-bit big-endian length and an XML property list. The device leads: after
//! `StartRestore` it sends progress, checkpoints and requests for data, and a last `StatusMsg`. The
//! host sends requests only before that; afterwards it answers, on the same link or on a data port.
//!
//! Decisions
//! - [`FromDevice`] is what a host understands. An unknown `MsgType` is a value too ([`FromDevice::Other`]):
//!   new systems bring new messages, and not one of them may end a restore by itself.
//! - Both directions have a cap. A device never sends more than a log; a host sends whole firmware images.
//! - A host reads XML only ([`parse`]); binary lists are for the bench ([`parse_any`]), where hosts of
//!   others choose. XML is scanned for nesting before it is built, since building and dropping recurse.
//! - Only the lower 16 bits of a checkpoint id count, and a status of `u64::MAX` is -1: see the newtypes.

pub mod errors;
pub mod large;
pub mod names;
pub mod options;

pub use options::RestoreOptions;

use super::WireError;
use plist::{Dictionary, Value};

/// `Type` in the answer to QueryType.
pub const TYPE: &str = "com.apple.mobile.restored";
/// TCP port of restored.
pub const PORT: u16 = 62_078;
/// `RestoreProtocolVersion` of iOS 11 and later; 14 is iOS 10, 12 is iOS 4 to 6.
pub const PROTOCOL_VERSION: u64 = 15;
/// Cap on one message from a device, in bytes. The longest seen is a status with 32 KB of log.
pub const FROM_DEVICE_CAP: u32 = 16 << 20;
/// Cap on one message from a host, in bytes. NORData of a recent phone is 27 MB.
pub const FROM_HOST_CAP: u32 = 384 << 20;
/// Deepest nesting of dictionaries and arrays that is read.
pub const DEPTH_CAP: usize = 32;
/// Bytes of one `FileData` piece.
pub const FILE_DATA_PIECE: usize = 8192;

const WHAT: &str = "restored message";

/// Length prefix and XML body.
pub fn frame(message: &Dictionary) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    // Writing to a vector cannot fail, and a dictionary of ours holds nothing that XML cannot carry.
    let _ = plist::to_writer_xml(&mut bytes, message);
    let length = u32::try_from(bytes.len() - 4).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

/// The body's length from its prefix, at most `cap`.
pub fn length(prefix: [u8; 4], cap: u32) -> Result<usize, WireError> {
    let length = u32::from_be_bytes(prefix);
    if length > cap {
        return Err(WireError::TooLong { what: WHAT, length: length.into(), cap: cap.into() });
    }
    Ok(length as usize)
}

/// One XML body. A host calls this: devices send XML only.
pub fn parse(body: &[u8]) -> Result<Dictionary, WireError> {
    if body.starts_with(b"bplist") {
        return Err(WireError::malformed(WHAT, "a binary property list, which no device sends"));
    }
    parse_any(body)
}

/// One XML or binary body, as a device reads it.
pub fn parse_any(body: &[u8]) -> Result<Dictionary, WireError> {
    if !body.starts_with(b"bplist") {
        check_nesting(body)?;
    }
    match plist::from_bytes::<Value>(body) {
        Ok(Value::Dictionary(dictionary)) => Ok(dictionary),
        Ok(_) => Err(WireError::malformed(WHAT, "not a dictionary")),
        Err(err) => Err(WireError::malformed(WHAT, err.to_string())),
    }
}

fn check_nesting(xml: &[u8]) -> Result<(), WireError> {
    let mut depth = 0usize;
    let mut rest = xml;
    while let Some(at) = rest.iter().position(|b| *b == b'<') {
        rest = rest.get(at + 1..).unwrap_or_default();
        let opens = |tag: &[u8]| rest.strip_prefix(tag).is_some_and(|r| matches!(r.first(), Some(b'>' | b' ')));
        if opens(b"dict") || opens(b"array") {
            depth += 1;
            if depth > DEPTH_CAP {
                return Err(WireError::malformed(WHAT, format!("nested deeper than {DEPTH_CAP}")));
            }
        } else if opens(b"/dict") || opens(b"/array") {
            depth = depth.saturating_sub(1);
        }
    }
    Ok(())
}

/// Only its lower 16 bits mean anything; tools and devices leave rubbish above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckpointId(pub u16);

impl CheckpointId {
    /// What the step does, as restored names it; none for numbers nobody has seen named.
    pub fn name(self) -> Option<&'static str> {
        names::checkpoint(self.0)
    }
}

impl std::fmt::Display for CheckpointId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "0x{:X}", self.0)
    }
}

/// A step that began or ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    pub id: CheckpointId,
    pub name: Option<String>,
    /// 0 is success. Only meaningful when complete.
    pub result: i64,
    pub complete: bool,
    pub warning: Option<String>,
    /// `[0]D(text)[1]D(text)…`. Sticky: a tolerated error comes again with every later checkpoint,
    /// beside a result of 0; see [`Checkpoint::failed`].
    pub error: Option<String>,
}

impl Checkpoint {
    /// A step that ended badly. An error text alone is not a failure.
    pub fn failed(&self) -> bool {
        self.complete && self.result != 0
    }
}

/// One link of the error chain in a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorLink {
    pub domain: String,
    pub code: i64,
    pub text: String,
}

/// The end of a restore. `status` 0 is success.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// -1 when the device wrote `u64::MAX`.
    pub status: i64,
    pub amr_error: Option<i64>,
    /// Tail of the device's log, about 32 KB.
    pub log: Option<String>,
    /// Outermost first.
    pub chain: Vec<ErrorLink>,
}

impl Status {
    /// The number that Apple's own tools show.
    pub fn number(&self) -> i64 {
        match self.amr_error {
            Some(number) if number != 0 => number,
            _ => self.status,
        }
    }
}

/// Something that the device wants.
#[derive(Clone, Debug, PartialEq)]
pub struct DataRequest {
    pub data_type: String,
    pub arguments: Dictionary,
    /// Answer there, on a connection of its own, instead of on the control link.
    pub port: Option<u16>,
    /// The whole message.
    pub raw: Dictionary,
}

impl DataRequest {
    pub fn new(data_type: &str) -> Self {
        DataRequest {
            data_type: data_type.to_owned(),
            arguments: Dictionary::new(),
            port: None,
            raw: Dictionary::new(),
        }
    }

    pub fn argument(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.arguments.insert(key.to_owned(), value.into());
        self
    }

    /// `ImageName` among the arguments.
    pub fn image_name(&self) -> Option<&str> {
        self.arguments.get("ImageName").and_then(Value::as_string)
    }
}

/// How the update of the modem goes.
#[derive(Clone, Debug, PartialEq)]
pub struct BbUpdateStatus {
    pub accepted: bool,
    pub done: bool,
    pub imei: Option<String>,
    pub error: Option<String>,
}

/// A message of the device.
#[derive(Clone, Debug, PartialEq)]
pub enum FromDevice {
    /// `percent` is none when the device says -1; `context` names an asynchronous step.
    Progress {
        operation: u64,
        percent: Option<u8>,
        context: Option<String>,
    },
    Status(Status),
    DataRequest(DataRequest),
    /// To be served beside everything else.
    AsyncDataRequest(DataRequest),
    Checkpoint(Checkpoint),
    BbUpdateStatus(BbUpdateStatus),
    /// Log of a restore before this one.
    PreviousRestoreLog(String),
    RestoredCrash {
        backtrace: Vec<String>,
    },
    AsyncWait {
        context: Option<String>,
    },
    /// Wants [`ToDevice::Attest`] at once.
    RestoreAttestation,
    /// No `MsgType` (an answer to a query), or one that nobody knows.
    Other {
        kind: String,
        raw: Dictionary,
    },
}

/// A number however it was written: -1 comes as `-1` and as 18446744073709551615.
fn number(value: Option<&Value>) -> Option<i64> {
    let value = value?;
    value.as_signed_integer().or_else(|| value.as_unsigned_integer().map(|v| v as i64))
}

fn text(dictionary: &Dictionary, key: &str) -> Option<String> {
    dictionary.get(key).and_then(Value::as_string).map(str::to_owned)
}

fn truth(dictionary: &Dictionary, key: &str) -> Option<bool> {
    match dictionary.get(key)? {
        Value::Boolean(b) => Some(*b),
        other => number(Some(other)).map(|n| n != 0),
    }
}

impl FromDevice {
    /// Never fails on an unknown message; fails on a known one that lacks what it is about.
    pub fn parse(message: &Dictionary) -> Result<FromDevice, WireError> {
        let kind = text(message, "MsgType").unwrap_or_default();
        let lacks = |what: &str| WireError::malformed(WHAT, format!("{kind} without {what}"));
        Ok(match kind.as_str() {
            "ProgressMsg" => FromDevice::Progress {
                operation: number(message.get("Operation"))
                    .and_then(|n| u64::try_from(n).ok())
                    .ok_or_else(|| lacks("Operation"))?,
                percent: number(message.get("Progress")).and_then(|n| u8::try_from(n).ok()).filter(|p| *p <= 100),
                context: text(message, "AsyncContextUUID"),
            },
            "StatusMsg" => FromDevice::Status(Status {
                status: number(message.get("Status"))
                    .or_else(|| number(message.get("AMRError")))
                    .ok_or_else(|| lacks("Status"))?,
                amr_error: number(message.get("AMRError")),
                log: text(message, "Log"),
                chain: chain_from(message.get("Error")),
            }),
            "DataRequestMsg" => FromDevice::DataRequest(request_from(message).ok_or_else(|| lacks("DataType"))?),
            "AsyncDataRequestMsg" => {
                FromDevice::AsyncDataRequest(request_from(message).ok_or_else(|| lacks("DataType"))?)
            }
            // Two requests also come with the type as their own message: what updaters wrote, and the key
            // of an image of which the first piece was just sent.
            names::data::BASEBAND_UPDATER_OUTPUT_DATA | names::data::URL_ASSET => {
                let mut request = message.clone();
                request.insert("DataType".into(), kind.as_str().into());
                FromDevice::DataRequest(request_from(&request).ok_or_else(|| lacks("DataType"))?)
            }
            "CheckpointMsg" => FromDevice::Checkpoint(Checkpoint {
                id: number(message.get("CHECKPOINT_ID"))
                    .map(|n| CheckpointId(n as u16))
                    .ok_or_else(|| lacks("CHECKPOINT_ID"))?,
                name: text(message, "CHECKPOINT_NAME"),
                result: number(message.get("CHECKPOINT_RESULT")).unwrap_or(0),
                complete: truth(message, "CHECKPOINT_COMPLETE").unwrap_or(false),
                warning: text(message, "CHECKPOINT_WARNING"),
                error: text(message, "CHECKPOINT_ERROR"),
            }),
            "BBUpdateStatusMsg" => {
                let output = message.get("Output").and_then(Value::as_dictionary);
                FromDevice::BbUpdateStatus(BbUpdateStatus {
                    accepted: truth(message, "Accepted").ok_or_else(|| lacks("Accepted"))?,
                    done: output.and_then(|o| truth(o, "done")).unwrap_or(false),
                    imei: output
                        .and_then(|o| o.get("provisioning"))
                        .and_then(Value::as_dictionary)
                        .and_then(|p| text(p, "IMEI")),
                    error: chain_from(message.get("Error")).into_iter().next().map(|e| e.text),
                })
            }
            "PreviousRestoreLogMsg" => {
                FromDevice::PreviousRestoreLog(text(message, "PreviousRestoreLog").unwrap_or_default())
            }
            "RestoredCrash" => FromDevice::RestoredCrash {
                backtrace: match message.get("RestoredBacktrace") {
                    Some(Value::String(line)) => vec![line.clone()],
                    Some(Value::Array(lines)) => lines.iter().filter_map(Value::as_string).map(str::to_owned).collect(),
                    _ => Vec::new(),
                },
            },
            "AsyncWait" => FromDevice::AsyncWait { context: text(message, "AsyncContextUUID") },
            "RestoreAttestation" => FromDevice::RestoreAttestation,
            _ => FromDevice::Other { kind, raw: message.clone() },
        })
    }

    /// The message as a device writes it.
    pub fn build(&self) -> Dictionary {
        let mut m = Dictionary::new();
        let mut put = |key: &str, value: Value| {
            m.insert(key.to_owned(), value);
        };
        match self {
            FromDevice::Progress { operation, percent, context } => {
                put("MsgType", "ProgressMsg".into());
                put("Operation", Value::from(*operation));
                put("Progress", percent.map_or(Value::from(-1i64), |p| Value::from(u64::from(p))));
                if let Some(context) = context {
                    put("AsyncContextUUID", context.as_str().into());
                }
            }
            FromDevice::Status(status) => {
                put("MsgType", "StatusMsg".into());
                put("Status", Value::from(status.status));
                if let Some(number) = status.amr_error {
                    put("AMRError", Value::from(number));
                }
                if let Some(log) = &status.log {
                    put("Log", log.as_str().into());
                }
                if let Some(error) = chain_to(&status.chain) {
                    put("Error", error);
                }
            }
            FromDevice::DataRequest(request) | FromDevice::AsyncDataRequest(request) => {
                let asynchronous = matches!(self, FromDevice::AsyncDataRequest(_));
                for (key, value) in &request.raw {
                    put(key, value.clone());
                }
                put("MsgType", if asynchronous { "AsyncDataRequestMsg" } else { "DataRequestMsg" }.into());
                put("DataType", request.data_type.as_str().into());
                if !request.arguments.is_empty() {
                    put("Arguments", request.arguments.clone().into());
                }
                if let Some(port) = request.port {
                    put("DataPort", Value::from(u64::from(port)));
                }
            }
            FromDevice::Checkpoint(checkpoint) => {
                put("MsgType", "CheckpointMsg".into());
                put("CHECKPOINT_ID", Value::from(u64::from(checkpoint.id.0)));
                if let Some(name) = &checkpoint.name {
                    put("CHECKPOINT_NAME", name.as_str().into());
                }
                put("CHECKPOINT_RESULT", Value::from(checkpoint.result));
                put("CHECKPOINT_COMPLETE", checkpoint.complete.into());
                if let Some(warning) = &checkpoint.warning {
                    put("CHECKPOINT_WARNING", warning.as_str().into());
                }
                if let Some(error) = &checkpoint.error {
                    put("CHECKPOINT_ERROR", error.as_str().into());
                }
            }
            FromDevice::BbUpdateStatus(update) => {
                put("MsgType", "BBUpdateStatusMsg".into());
                put("Accepted", update.accepted.into());
                let mut output = Dictionary::new();
                output.insert("done".into(), update.done.into());
                if let Some(imei) = &update.imei {
                    let provisioning = Dictionary::from_iter([("IMEI", imei.as_str())]);
                    output.insert("provisioning".into(), provisioning.into());
                }
                put("Output", output.into());
                if let Some(error) = &update.error {
                    let link = ErrorLink { domain: "RamrodErrorDomain".into(), code: 1004, text: error.clone() };
                    put("Error", chain_to(&[link]).unwrap_or(Value::Boolean(false)));
                }
            }
            FromDevice::PreviousRestoreLog(log) => {
                put("MsgType", "PreviousRestoreLogMsg".into());
                put("PreviousRestoreLog", log.as_str().into());
            }
            FromDevice::RestoredCrash { backtrace } => {
                put("MsgType", "RestoredCrash".into());
                let lines = backtrace.iter().map(|l| Value::from(l.as_str())).collect();
                put("RestoredBacktrace", Value::Array(lines));
            }
            FromDevice::AsyncWait { context } => {
                put("MsgType", "AsyncWait".into());
                if let Some(context) = context {
                    put("AsyncContextUUID", context.as_str().into());
                }
            }
            FromDevice::RestoreAttestation => put("MsgType", "RestoreAttestation".into()),
            FromDevice::Other { raw, .. } => m = raw.clone(),
        }
        m
    }
}

fn port_from(message: &Dictionary) -> Option<u16> {
    number(message.get("DataPort")).and_then(|n| u16::try_from(n).ok()).filter(|p| *p != 0)
}

fn request_from(message: &Dictionary) -> Option<DataRequest> {
    Some(DataRequest {
        data_type: text(message, "DataType")?,
        arguments: message.get("Arguments").and_then(Value::as_dictionary).cloned().unwrap_or_default(),
        port: port_from(message),
        raw: message.clone(),
    })
}

fn chain_from(error: Option<&Value>) -> Vec<ErrorLink> {
    let mut chain = Vec::new();
    let mut next = error.and_then(Value::as_dictionary);
    while let Some(link) = next {
        let info = link.get("UserInfo").and_then(Value::as_dictionary).unwrap_or(link);
        chain.push(ErrorLink {
            domain: text(link, "Domain").unwrap_or_default(),
            code: number(link.get("Code")).unwrap_or(0),
            text: text(info, "NSLocalizedDescription").or_else(|| text(info, "NSDescription")).unwrap_or_default(),
        });
        next = info.get("NSUnderlyingError").and_then(Value::as_dictionary);
    }
    chain
}

fn chain_to(chain: &[ErrorLink]) -> Option<Value> {
    chain.iter().rev().fold(None, |inner, link| {
        let mut info = Dictionary::new();
        info.insert("NSDescription".into(), link.text.as_str().into());
        if let Some(inner) = inner {
            info.insert("NSUnderlyingError".into(), inner);
        }
        let mut dictionary = Dictionary::new();
        dictionary.insert("Code".into(), Value::from(link.code));
        dictionary.insert("Domain".into(), link.domain.as_str().into());
        dictionary.insert("UserInfo".into(), info.into());
        Some(Value::Dictionary(dictionary))
    })
}

/// What a host says of its own accord.
#[derive(Clone, Debug, PartialEq)]
pub enum ToDevice {
    QueryType,
    QueryValue {
        key: String,
    },
    StartRestore {
        options: Dictionary,
        protocol: u64,
    },
    Reboot,
    Goodbye,
    /// Ends a restore whose status was 0; the device then reboots.
    ReceivedFinalStatus,
    Attest(bool),
    /// An answer to a data request, or a request that restored does not know.
    Other(Dictionary),
}

impl ToDevice {
    /// `label` names the program, as in lockdown.
    pub fn build(&self, label: &str) -> Dictionary {
        let mut m = Dictionary::new();
        let mut request = |name: &str| {
            m.insert("Label".into(), label.into());
            m.insert("Request".into(), name.into());
        };
        match self {
            ToDevice::QueryType => request("QueryType"),
            ToDevice::QueryValue { key } => {
                request("QueryValue");
                m.insert("QueryKey".into(), key.as_str().into());
            }
            ToDevice::StartRestore { options, protocol } => {
                request("StartRestore");
                m.insert("RestoreOptions".into(), options.clone().into());
                m.insert("RestoreProtocolVersion".into(), Value::from(*protocol));
            }
            ToDevice::Reboot => request("Reboot"),
            ToDevice::Goodbye => request("Goodbye"),
            ToDevice::ReceivedFinalStatus => {
                m.insert("MsgType".into(), "ReceivedFinalStatusMsg".into());
            }
            ToDevice::Attest(attest) => {
                m.insert("RestoreShouldAttest".into(), (*attest).into());
            }
            ToDevice::Other(raw) => m = raw.clone(),
        }
        m
    }

    pub fn parse(message: &Dictionary) -> ToDevice {
        let other = || ToDevice::Other(message.clone());
        if text(message, "MsgType").as_deref() == Some("ReceivedFinalStatusMsg") {
            return ToDevice::ReceivedFinalStatus;
        }
        if let Some(attest) = truth(message, "RestoreShouldAttest") {
            return ToDevice::Attest(attest);
        }
        match message.get("Request").and_then(Value::as_string) {
            Some("QueryType") => ToDevice::QueryType,
            Some("QueryValue") => text(message, "QueryKey").map_or_else(other, |key| ToDevice::QueryValue { key }),
            Some("StartRestore") => ToDevice::StartRestore {
                options: message.get("RestoreOptions").and_then(Value::as_dictionary).cloned().unwrap_or_default(),
                protocol: message.get("RestoreProtocolVersion").and_then(Value::as_unsigned_integer).unwrap_or(0),
            },
            Some("Reboot") => ToDevice::Reboot,
            Some("Goodbye") => ToDevice::Goodbye,
            _ => other(),
        }
    }
}

/// The answer to QueryType.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeAnswer {
    pub kind: String,
    pub protocol: u64,
    /// e.g. `N69uAP`; iOS 12 and later.
    pub hardware_model: Option<String>,
    pub serial: Option<String>,
}

impl TypeAnswer {
    pub fn parse(message: &Dictionary) -> Result<Self, WireError> {
        Ok(TypeAnswer {
            kind: text(message, "Type").ok_or_else(|| WireError::malformed(WHAT, "QueryType answered without Type"))?,
            protocol: message.get("RestoreProtocolVersion").and_then(Value::as_unsigned_integer).unwrap_or(0),
            hardware_model: text(message, "HardwareModel"),
            serial: text(message, "SerialNumber"),
        })
    }

    pub fn build(&self) -> Dictionary {
        let mut m = Dictionary::new();
        if let Some(model) = &self.hardware_model {
            m.insert("HardwareModel".into(), model.as_str().into());
        }
        m.insert("RestoreProtocolVersion".into(), Value::from(self.protocol));
        m.insert("Result".into(), "Success".into());
        if let Some(serial) = &self.serial {
            m.insert("SerialNumber".into(), serial.as_str().into());
        }
        m.insert("Type".into(), self.kind.as_str().into());
        m
    }
}

#[cfg(test)]
mod tests;
