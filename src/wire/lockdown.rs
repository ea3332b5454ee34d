//! Lockdown's messages, and the framing that its small services share.
//!
//! A message is a big-endian `u32` length and one property list. lockdownd answers in XML,
//! installation_proxy in binary; both are read everywhere. A refusal is the key `Error` with one of a
//! fixed set of words ([`Refusal`]); since iOS 5 success has no key of its own. The device is not
//! trusted: length, depth and the size that shared objects of a binary plist would unfold to are capped
//! before anything is built from them.

use super::WireError;
use plist::{Dictionary, Value};
use std::str::FromStr;

/// lockdownd's port, on the phone; restored listens there too.
pub const PORT: u16 = 62_078;
/// Answer to QueryType in normal mode.
pub const TYPE: &str = "com.apple.mobile.lockdown";
/// Longest message body taken.
pub const CAP: u32 = 16 << 20;
/// Deepest nesting taken.
pub const DEPTH: usize = 64;
/// Most bytes that a binary plist may unfold to.
const UNFOLDED: u64 = 64 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Xml,
    Binary,
}

/// One property list as bytes.
pub fn encode(value: &Value, shape: Shape) -> Result<Vec<u8>, WireError> {
    let mut bytes = Vec::new();
    match shape {
        Shape::Xml => value.to_writer_xml(&mut bytes),
        Shape::Binary => value.to_writer_binary(&mut bytes),
    }
    .map_err(|err| WireError::malformed("property list", err.to_string()))?;
    Ok(bytes)
}

/// A framed message.
pub fn frame(value: &Value, shape: Shape) -> Result<Vec<u8>, WireError> {
    let body = encode(value, shape)?;
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    if length > CAP {
        return Err(WireError::TooLong { what: "message", length: body.len() as u64, cap: CAP.into() });
    }
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

/// One property list, XML or binary, within [`DEPTH`].
pub fn parse(body: &[u8]) -> Result<Value, WireError> {
    if body.starts_with(b"bplist") {
        unfolds_sanely(body)?;
    }
    let value = Value::from_reader(std::io::Cursor::new(body))
        .map_err(|err| WireError::malformed("property list", err.to_string()))?;
    if depth_within(&value, DEPTH) {
        return Ok(value);
    }
    // Dropped level by level: the compiler's own drop recurses.
    let mut rest = vec![value];
    while let Some(value) = rest.pop() {
        match value {
            Value::Array(items) => rest.extend(items),
            Value::Dictionary(dict) => rest.extend(dict.into_iter().map(|(_, v)| v)),
            _ => {}
        }
    }
    Err(WireError::TooLong { what: "nesting of a property list", length: DEPTH as u64 + 1, cap: DEPTH as u64 })
}

fn depth_within(value: &Value, cap: usize) -> bool {
    let mut rest = vec![(value, 1)];
    while let Some((value, depth)) = rest.pop() {
        if depth > cap {
            return false;
        }
        match value {
            Value::Array(items) => rest.extend(items.iter().map(|v| (v, depth + 1))),
            Value::Dictionary(dict) => rest.extend(dict.values().map(|v| (v, depth + 1))),
            _ => {}
        }
    }
    true
}

/// A few bytes of binary plist can name one object many times over, and again inside that. This walks the
/// object table once, bottom-up by memory, and adds up what a tree without sharing would weigh.
fn unfolds_sanely(body: &[u8]) -> Result<(), WireError> {
    let bad = |why: &str| WireError::malformed("binary property list", why);
    let trailer = body.len().checked_sub(32).and_then(|at| body.get(at..)).ok_or(bad("no trailer"))?;
    let be = |bytes: &[u8]| bytes.iter().fold(0_u64, |n, b| n << 8 | u64::from(*b));
    let (offset_size, ref_size) = (usize::from(trailer[6]), usize::from(trailer[7]));
    let (count, top, table) = (be(&trailer[8..16]), be(&trailer[16..24]), be(&trailer[24..32]));
    if !(1..=8).contains(&offset_size) || !(1..=8).contains(&ref_size) || count > body.len() as u64 {
        return Err(bad("absurd trailer"));
    }
    let object = |index: u64| -> Option<&[u8]> {
        let at = usize::try_from(table.checked_add(index.checked_mul(offset_size as u64)?)?).ok()?;
        let start = be(body.get(at..at.checked_add(offset_size)?)?);
        body.get(usize::try_from(start).ok()?..)
    };
    // (references, own weight) of one object
    let read = |index: u64| -> Option<(Vec<u64>, u64)> {
        let object = object(index)?;
        let marker = *object.first()?;
        let (length, header) = match marker & 0x0F {
            0x0F => {
                let size = 1_usize << (object.get(1)? & 0x03);
                (be(object.get(2..2 + size)?), 2 + size)
            }
            n => (u64::from(n), 1),
        };
        let references = match marker >> 4 {
            0xA | 0xC => length,
            0xD => length.checked_mul(2)?,
            0x4 | 0x5 => return Some((Vec::new(), 16 + length)),
            0x6 => return Some((Vec::new(), 16 + length.checked_mul(2)?)),
            _ => return Some((Vec::new(), 16)),
        };
        let bytes = usize::try_from(references).ok()?.checked_mul(ref_size)?;
        let refs = object.get(header..header.checked_add(bytes)?)?;
        Some((refs.chunks_exact(ref_size).map(be).collect(), 16))
    };
    let count = usize::try_from(count).map_err(|_| bad("absurd count"))?;
    let mut weights: Vec<Option<u64>> = vec![None; count];
    // Frames: object, its references, how many were added, the sum so far.
    let mut stack: Vec<(usize, Vec<u64>, usize, u64)> = Vec::new();
    let mut next = Some(top);
    let mut done = 0;
    loop {
        if let Some(index) = next.take() {
            let at = usize::try_from(index).ok().filter(|i| *i < count).ok_or(bad("reference out of range"))?;
            if let Some(weight) = weights[at] {
                done = weight;
            } else {
                if stack.len() >= DEPTH {
                    return Err(WireError::TooLong {
                        what: "nesting of a property list",
                        length: stack.len() as u64 + 1,
                        cap: DEPTH as u64,
                    });
                }
                let (refs, weight) = read(index).ok_or(bad("object out of range"))?;
                stack.push((at, refs, 0, weight));
                done = 0;
            }
        }
        let Some((at, refs, taken, sum)) = stack.last_mut() else { break };
        *sum = sum.saturating_add(done);
        done = 0;
        if *sum > UNFOLDED {
            return Err(WireError::TooLong { what: "unfolded property list", length: *sum, cap: UNFOLDED });
        }
        match refs.get(*taken) {
            Some(index) => {
                *taken += 1;
                next = Some(*index);
            }
            None => {
                weights[*at] = Some(*sum);
                done = *sum;
                stack.pop();
            }
        }
    }
    Ok(())
}

/// Cuts a byte stream into messages. Feed it no more than [`Frames::wanted`] bytes and it never takes a
/// byte of what follows (a TLS hello, say).
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
}

impl Frames {
    fn length(&self) -> Option<u32> {
        self.buffer.first_chunk::<4>().map(|b| u32::from_be_bytes(*b))
    }

    /// Bytes still missing from the present message: at least 1 unless it is whole.
    pub fn wanted(&self) -> usize {
        match self.length() {
            None => 4 - self.buffer.len(),
            Some(length) => (4 + length as usize).saturating_sub(self.buffer.len()),
        }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message. An absurd length is an error at once, before its bytes are awaited.
    #[allow(clippy::should_implement_trait, reason = "fallible, and more bytes may come after none")]
    pub fn next(&mut self) -> Result<Option<Value>, WireError> {
        let Some(length) = self.length() else { return Ok(None) };
        if length > CAP {
            return Err(WireError::TooLong { what: "message", length: length.into(), cap: CAP.into() });
        }
        let end = 4 + length as usize;
        let Some(body) = self.buffer.get(4..end) else { return Ok(None) };
        let value = parse(body);
        self.buffer.drain(..end);
        value.map(Some)
    }

    /// Between two messages?
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }
}

macro_rules! refusals {
    ($($name:ident),* $(,)?) => {
        /// The words of the key `Error`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Refusal { $($name,)* }

        impl Refusal {
            pub const ALL: &'static [Refusal] = &[$(Refusal::$name,)*];

            pub fn as_str(self) -> &'static str {
                match self { $(Refusal::$name => stringify!($name),)* }
            }
        }

        impl FromStr for Refusal {
            type Err = ();
            fn from_str(text: &str) -> Result<Self, ()> {
                match text { $(stringify!($name) => Ok(Refusal::$name),)* _ => Err(()) }
            }
        }
    };
}

refusals! {
    InvalidResponse, MissingKey, MissingValue, GetProhibited, SetProhibited, RemoveProhibited, ImmutableValue,
    PasswordProtected, UserDeniedPairing, PairingDialogResponsePending, MissingHostID, InvalidHostID,
    SessionActive, SessionInactive, MissingSessionID, InvalidSessionID, MissingService, InvalidService,
    ServiceLimit, MissingPairRecord, SavePairRecordFailed, InvalidPairRecord, InvalidActivationRecord,
    MissingActivationRecord, ServiceProhibited, EscrowLocked, PairingProhibitedOverThisConnection,
    FMiPProtected, MCProtected, MCChallengeRequired, UnknownRequest,
}

/// What a host asks lockdownd. Missing keys stay `None`: lockdownd has a word for each.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    QueryType,
    GetValue { domain: Option<String>, key: Option<String> },
    SetValue { domain: Option<String>, key: Option<String>, value: Option<Value> },
    RemoveValue { domain: Option<String>, key: Option<String> },
    Pair { record: Option<Dictionary> },
    ValidatePair { record: Option<Dictionary> },
    Unpair { record: Option<Dictionary> },
    StartSession { host_id: Option<String>, system_buid: Option<String> },
    StopSession { session_id: Option<String> },
    StartService { service: Option<String>, escrow_bag: Option<Vec<u8>> },
    EnterRecovery,
    Goodbye,
    Other(String),
}

impl Request {
    pub fn parse(message: &Value) -> Result<Self, WireError> {
        let bad = || WireError::malformed("lockdown message", "no Request");
        let dict = message.as_dictionary().ok_or_else(bad)?;
        let text = |key: &str| dict.get(key).and_then(Value::as_string).map(str::to_owned);
        let filled = |key: &str| text(key).filter(|t| !t.is_empty());
        let record = || dict.get("PairRecord").and_then(Value::as_dictionary).cloned();
        let name = text("Request").ok_or_else(bad)?;
        Ok(match name.as_str() {
            "QueryType" => Request::QueryType,
            "GetValue" => Request::GetValue { domain: filled("Domain"), key: filled("Key") },
            "SetValue" => {
                Request::SetValue { domain: filled("Domain"), key: filled("Key"), value: dict.get("Value").cloned() }
            }
            "RemoveValue" => Request::RemoveValue { domain: filled("Domain"), key: filled("Key") },
            "Pair" => Request::Pair { record: record() },
            "ValidatePair" => Request::ValidatePair { record: record() },
            "Unpair" => Request::Unpair { record: record() },
            "StartSession" => Request::StartSession { host_id: text("HostID"), system_buid: text("SystemBUID") },
            "StopSession" => Request::StopSession { session_id: text("SessionID") },
            "StartService" => Request::StartService {
                service: filled("Service"),
                escrow_bag: dict.get("EscrowBag").and_then(Value::as_data).map(<[u8]>::to_vec),
            },
            "EnterRecovery" => Request::EnterRecovery,
            "Goodbye" => Request::Goodbye,
            _ => Request::Other(name),
        })
    }

    /// The word of the key `Request`.
    pub fn name(&self) -> &str {
        match self {
            Request::QueryType => "QueryType",
            Request::GetValue { .. } => "GetValue",
            Request::SetValue { .. } => "SetValue",
            Request::RemoveValue { .. } => "RemoveValue",
            Request::Pair { .. } => "Pair",
            Request::ValidatePair { .. } => "ValidatePair",
            Request::Unpair { .. } => "Unpair",
            Request::StartSession { .. } => "StartSession",
            Request::StopSession { .. } => "StopSession",
            Request::StartService { .. } => "StartService",
            Request::EnterRecovery => "EnterRecovery",
            Request::Goodbye => "Goodbye",
            Request::Other(name) => name,
        }
    }

    pub fn body(&self, label: &str) -> Value {
        let mut dict = Dictionary::new();
        dict.insert("Label".into(), label.into());
        dict.insert("Request".into(), self.name().into());
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                dict.insert(key.to_owned(), value);
            }
        };
        let text = |t: &Option<String>| t.as_deref().map(Value::from);
        match self {
            Request::GetValue { domain, key } | Request::RemoveValue { domain, key } => {
                put("Domain", text(domain));
                put("Key", text(key));
            }
            Request::SetValue { domain, key, value } => {
                put("Domain", text(domain));
                put("Key", text(key));
                put("Value", value.clone());
            }
            Request::Pair { record } | Request::ValidatePair { record } | Request::Unpair { record } => {
                put("PairRecord", record.clone().map(Value::Dictionary));
                put("ProtocolVersion", Some("2".into()));
                let options = Dictionary::from_iter([("ExtendedPairingErrors".to_owned(), Value::Boolean(true))]);
                put("PairingOptions", Some(options.into()));
            }
            Request::StartSession { host_id, system_buid } => {
                put("HostID", text(host_id));
                put("SystemBUID", text(system_buid));
            }
            Request::StopSession { session_id } => put("SessionID", text(session_id)),
            Request::StartService { service, escrow_bag } => {
                put("Service", text(service));
                put("EscrowBag", escrow_bag.clone().map(Value::Data));
            }
            Request::QueryType | Request::EnterRecovery | Request::Goodbye | Request::Other(_) => {}
        }
        Value::Dictionary(dict)
    }
}

/// An answer to `request` that so far says only that it succeeded.
pub fn success(request: &str) -> Dictionary {
    Dictionary::from_iter([("Request".to_owned(), Value::from(request))])
}

/// `Error` is any text, so that a bench can say what no lockdownd says.
pub fn refusal(request: &str, error: &str) -> Dictionary {
    let mut dict = success(request);
    dict.insert("Error".into(), error.into());
    dict
}

/// The answer's dictionary, or the word it refuses with.
pub fn answer(message: Value) -> Result<Result<Dictionary, String>, WireError> {
    match message {
        Value::Dictionary(dict) => Ok(match dict.get("Error") {
            Some(error) => Err(error.as_string().unwrap_or("an error that is not a text").to_owned()),
            None => Ok(dict),
        }),
        _ => Err(WireError::malformed("lockdown answer", "not a dictionary")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_any_cut() {
        let request = Request::StartService { service: Some("com.apple.afc".into()), escrow_bag: Some(vec![7; 32]) };
        for shape in [Shape::Xml, Shape::Binary] {
            let bytes = frame(&request.body("test"), shape).unwrap();
            let mut frames = Frames::default();
            for byte in &bytes {
                assert!(frames.next().unwrap().is_none());
                assert!(frames.wanted() > 0);
                frames.push(&[*byte]);
            }
            assert_eq!(frames.wanted(), 0);
            assert_eq!(Request::parse(&frames.next().unwrap().unwrap()).unwrap(), request);
            assert!(frames.is_empty());
        }
    }

    #[test]
    fn absurd_lengths_and_depths_end_at_once() {
        let mut frames = Frames::default();
        frames.push(&u32::MAX.to_be_bytes());
        assert!(matches!(frames.next(), Err(WireError::TooLong { .. })));
        let deep = format!("<plist>{}{}</plist>", "<array>".repeat(200_000), "</array>".repeat(200_000));
        assert!(matches!(parse(deep.as_bytes()), Err(WireError::TooLong { .. })));
    }

    #[test]
    fn a_binary_plist_that_unfolds_without_end_is_refused() {
        // 40 arrays, each naming the next one twice: 2^40 leaves in 200 bytes.
        let mut bytes = b"bplist00".to_vec();
        let mut offsets = Vec::new();
        for at in 0..40_u8 {
            offsets.push(bytes.len() as u8);
            bytes.extend_from_slice(&[0xA2, at + 1, at + 1]);
        }
        offsets.push(bytes.len() as u8);
        bytes.push(0x09);
        let table = bytes.len() as u64;
        bytes.extend_from_slice(&offsets);
        bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0, 1, 1]);
        for field in [offsets.len() as u64, 0, table] {
            bytes.extend_from_slice(&field.to_be_bytes());
        }
        assert!(matches!(parse(&bytes), Err(WireError::TooLong { what: "unfolded property list", .. })));
        bytes.truncate(60);
        assert!(parse(&bytes).is_err());
    }

    #[test]
    fn every_refusal_is_read_back() {
        for refusal in Refusal::ALL {
            assert_eq!(refusal.as_str().parse(), Ok(*refusal));
        }
        assert_eq!(
            answer(Value::Dictionary(refusal("Pair", "PasswordProtected"))).unwrap().unwrap_err(),
            "PasswordProtected"
        );
    }
}
