//! DeviceLink: what mobilebackup2 speaks, as values.
//!
//! Every message is a big-endian `u32` length and a binary property list; the list is an array whose first item names
//! the message. File contents travel between messages as raw frames: a `u32` length that counts the code byte, the
//! code byte, the payload. This file has the messages of both sides and the envelope; [`frame`] has the raw frames,
//! [`request`] what a host asks of mobilebackup2 and the answer that ends it, [`guard`] the check that a binary list
//! is not a bomb.
//!
//! Decisions. The phone offers the major version and we echo it, whatever it is. iOS uses two spellings for some
//! messages; the older one is read, the newer one written. Codes are negative numbers that half of the field writes
//! as 64-bit unsigned: both are read, and the unsigned form is written because idevicebackup2 does so since 2009.
//! Arguments that hosts never look at are written as the phone was seen to write them and ignored when read. A known
//! message with wrong arguments is garbage; an unknown message is a value, because it can be answered politely.

pub mod frame;
pub mod guard;
pub mod request;

use super::WireError;
use plist::{Date, Dictionary, Value};

/// Largest message that is read, in bytes without its length word. A move of 128 files is about 20 KiB; a listing of
/// a directory with 500,000 names stays below it.
pub const MAX_MESSAGE: usize = 64 << 20;
/// Longest path on the wire, in bytes.
pub const MAX_NAME: usize = 4096;
/// The parameter that stands for none.
pub const EMPTY: &str = "___EmptyParameterString___";

const WHAT: &str = "DeviceLink message";

/// Codes of status answers and of per-file errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DlCode(pub i64);

impl DlCode {
    pub const OK: DlCode = DlCode(0);
    /// Anything without a code of its own.
    pub const OTHER: DlCode = DlCode(-1);
    /// ENOENT; for Status.plist it says "no previous backup".
    pub const NOT_FOUND: DlCode = DlCode(-6);
    /// EEXIST
    pub const EXISTS: DlCode = DlCode(-7);
    /// ENOTDIR
    pub const NOT_DIRECTORY: DlCode = DlCode(-8);
    /// EISDIR
    pub const IS_DIRECTORY: DlCode = DlCode(-9);
    /// ELOOP
    pub const LOOP: DlCode = DlCode(-10);
    /// EIO
    pub const IO: DlCode = DlCode(-11);
    /// Some files of a batch failed; the payload says which.
    pub const MULTI: DlCode = DlCode(-13);
    /// ENOSPC
    pub const NO_SPACE: DlCode = DlCode(-15);

    fn to_value(self) -> Value {
        Value::Integer((self.0 as u64).into())
    }

    fn from_value(value: &Value) -> Option<Self> {
        let int = value.as_signed_integer().or_else(|| value.as_unsigned_integer().map(|u| u as i64));
        int.map(DlCode)
    }
}

/// One row of a directory listing.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub name: String,
    pub kind: EntryKind,
    /// Bytes.
    pub size: u64,
    pub modified: Date,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    Directory,
    Regular,
    Other,
}

/// What a host answers: `[DLMessageStatusResponse, code, text, payload]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    pub code: DlCode,
    pub text: Option<String>,
    pub payload: Value,
}

impl Status {
    /// Done, with an empty dictionary.
    pub fn ok() -> Self {
        Status { code: DlCode::OK, text: None, payload: Value::Dictionary(Dictionary::new()) }
    }

    pub fn error(code: DlCode, text: impl Into<String>) -> Self {
        Status { code, text: Some(text.into()), payload: Value::Dictionary(Dictionary::new()) }
    }

    /// Some files of a batch failed: path, code, text each.
    pub fn multi<'a>(failed: impl IntoIterator<Item = (&'a str, DlCode, &'a str)>) -> Self {
        let mut files = Dictionary::new();
        for (path, code, text) in failed {
            let mut file = Dictionary::new();
            file.insert("DLFileErrorString".into(), text.into());
            file.insert("DLFileErrorCode".into(), code.to_value());
            files.insert(path.into(), Value::Dictionary(file));
        }
        Status { code: DlCode::MULTI, text: Some("Multi status".into()), payload: Value::Dictionary(files) }
    }

    /// The files of a multi status: path, code, text each.
    pub fn failed(&self) -> Vec<(String, DlCode, String)> {
        let Some(files) = self.payload.as_dictionary().filter(|_| self.code == DlCode::MULTI) else { return vec![] };
        let row = |(path, file): (&String, &Value)| {
            let file = file.as_dictionary()?;
            let code = file.get("DLFileErrorCode").and_then(DlCode::from_value)?;
            let text = file.get("DLFileErrorString").and_then(Value::as_string).unwrap_or_default();
            Some((path.clone(), code, text.to_owned()))
        };
        files.iter().filter_map(row).collect()
    }

    /// Bytes free on the host's disk.
    pub fn free_space(bytes: u64) -> Self {
        Status { code: DlCode::OK, text: None, payload: Value::Integer(bytes.into()) }
    }

    /// A directory listing.
    pub fn listing(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut rows = Dictionary::new();
        for entry in entries {
            let mut row = Dictionary::new();
            let kind = match entry.kind {
                EntryKind::Directory => "DLFileTypeDirectory",
                EntryKind::Regular => "DLFileTypeRegular",
                EntryKind::Other => "DLFileTypeUnknown",
            };
            row.insert("DLFileType".into(), kind.into());
            row.insert("DLFileSize".into(), Value::Integer(entry.size.into()));
            row.insert("DLFileModificationDate".into(), Value::Date(entry.modified));
            rows.insert(entry.name, Value::Dictionary(row));
        }
        Status { code: DlCode::OK, text: None, payload: Value::Dictionary(rows) }
    }

    /// The rows of a directory listing; what is not one gives none.
    pub fn entries(&self) -> Vec<Entry> {
        let Some(rows) = self.payload.as_dictionary() else { return vec![] };
        let read = |(name, row): (&String, &Value)| {
            let row = row.as_dictionary()?;
            let kind = match row.get("DLFileType")?.as_string()? {
                "DLFileTypeDirectory" => EntryKind::Directory,
                "DLFileTypeRegular" => EntryKind::Regular,
                _ => EntryKind::Other,
            };
            let size = row.get("DLFileSize").and_then(Value::as_unsigned_integer).unwrap_or(0);
            let modified = row.get("DLFileModificationDate")?.as_date()?;
            Some(Entry { name: name.clone(), kind, size, modified })
        };
        rows.iter().filter_map(read).collect()
    }
}

/// What a host sends.
#[derive(Clone, Debug, PartialEq)]
pub enum FromHost {
    VersionOk { major: u64 },
    Status(Status),
    Process(Dictionary),
    Disconnect,
    Unknown { name: String },
}

impl FromHost {
    pub fn build(self) -> Vec<Value> {
        match self {
            FromHost::VersionOk { major } => {
                vec!["DLMessageVersionExchange".into(), "DLVersionsOk".into(), Value::Integer(major.into())]
            }
            FromHost::Status(status) => vec![
                "DLMessageStatusResponse".into(),
                status.code.to_value(),
                status.text.as_deref().unwrap_or(EMPTY).into(),
                status.payload,
            ],
            FromHost::Process(dict) => vec!["DLMessageProcessMessage".into(), Value::Dictionary(dict)],
            FromHost::Disconnect => vec!["DLMessageDisconnect".into(), EMPTY.into()],
            FromHost::Unknown { name } => vec![name.into()],
        }
    }

    /// # Errors
    /// [`WireError::Malformed`] where a known message has wrong arguments.
    pub fn parse(message: Vec<Value>) -> Result<Self, WireError> {
        let args = Args::split(message)?;
        Ok(match args.name.as_str() {
            "DLMessageVersionExchange" if args.text(0).is_some_and(|t| t == "DLVersionsOk") => {
                FromHost::VersionOk { major: args.unsigned(1).unwrap_or(0) }
            }
            "DLMessageStatusResponse" => FromHost::Status(Status {
                code: args.rest.first().and_then(DlCode::from_value).ok_or_else(|| args.wrong("a code"))?,
                text: args.text(1).filter(|t| *t != EMPTY).map(str::to_owned),
                payload: args.rest.get(2).cloned().unwrap_or_else(|| Value::Dictionary(Dictionary::new())),
            }),
            "DLMessageProcessMessage" => FromHost::Process(args.dictionary(0)?),
            "DLMessageDisconnect" => FromHost::Disconnect,
            _ => FromHost::Unknown { name: args.name },
        })
    }
}

/// What a device sends. `progress` is the percentage of the whole operation after this step; it may go back.
#[derive(Clone, Debug, PartialEq)]
pub enum FromDevice {
    VersionExchange {
        major: u64,
        minor: u64,
    },
    Ready,
    /// The host is to send these files.
    DownloadFiles {
        paths: Vec<String>,
        progress: Option<f64>,
    },
    /// Files follow as raw streams. `bytes` is an announcement that may lie; `callbacks` is a number that the device
    /// sends along with batches of the person's files, without meaning for a host.
    UploadFiles {
        progress: Option<f64>,
        bytes: u64,
        callbacks: Option<u64>,
    },
    FreeDiskSpace,
    /// The host is to free `bytes`.
    PurgeDiskSpace {
        bytes: u64,
        urgency: u64,
    },
    ContentsOfDirectory {
        path: String,
    },
    CreateDirectory {
        path: String,
    },
    /// Pairs of from and to; what is at `to` is replaced.
    MoveItems {
        items: Vec<(String, String)>,
        progress: Option<f64>,
    },
    /// Files or whole directories; what is missing is no error.
    RemoveItems {
        paths: Vec<String>,
        progress: Option<f64>,
    },
    CopyItem {
        from: String,
        to: String,
    },
    Process(Dictionary),
    Disconnect,
    Unknown {
        name: String,
    },
}

impl FromDevice {
    /// # Errors
    /// [`WireError::Malformed`] where a known message has wrong arguments, [`WireError::TooLong`] for a path beyond
    /// [`MAX_NAME`].
    pub fn parse(message: Vec<Value>) -> Result<Self, WireError> {
        let mut args = Args::split(message)?;
        Ok(match args.name.as_str() {
            "DLMessageVersionExchange" => FromDevice::VersionExchange {
                major: args.unsigned(0).ok_or_else(|| args.wrong("a major version"))?,
                minor: args.unsigned(1).unwrap_or(0),
            },
            "DLMessageDeviceReady" => FromDevice::Ready,
            "DLMessageDownloadFiles" => FromDevice::DownloadFiles { paths: args.paths(0)?, progress: args.real(2) },
            "DLMessageUploadFiles" => FromDevice::UploadFiles {
                progress: args.real(1),
                bytes: args.unsigned(2).unwrap_or(0),
                callbacks: args.rest.first().and_then(Value::as_dictionary).and_then(|d| {
                    let n = d.get("DLDeviceIOCallbacks")?;
                    n.as_unsigned_integer().or_else(|| n.as_signed_integer().map(|s| s as u64))
                }),
            },
            "DLMessageGetFreeDiskSpace" => FromDevice::FreeDiskSpace,
            "DLMessagePurgeDiskSpace" => FromDevice::PurgeDiskSpace {
                bytes: args.unsigned(0).unwrap_or(0),
                urgency: args.unsigned(1).unwrap_or(0),
            },
            "DLContentsOfDirectory" | "DLMessageContentsOfDirectory" => {
                FromDevice::ContentsOfDirectory { path: args.path(0)? }
            }
            "DLMessageCreateDirectory" => FromDevice::CreateDirectory { path: args.path(0)? },
            "DLMessageMoveItems" | "DLMessageMoveFiles" => {
                FromDevice::MoveItems { items: args.moves()?, progress: args.real(2) }
            }
            "DLMessageRemoveItems" | "DLMessageRemoveFiles" => {
                FromDevice::RemoveItems { paths: args.paths(0)?, progress: args.real(2) }
            }
            "DLMessageCopyItem" => FromDevice::CopyItem { from: args.path(0)?, to: args.path(1)? },
            "DLMessageProcessMessage" => FromDevice::Process(args.dictionary(0)?),
            "DLMessageDisconnect" => FromDevice::Disconnect,
            _ => FromDevice::Unknown { name: args.name },
        })
    }

    pub fn build(self) -> Vec<Value> {
        let none = || Value::Dictionary(Dictionary::new());
        let real = |p: Option<f64>| Value::Real(p.unwrap_or(0.0));
        let zero = || Value::Integer(0.into());
        let texts = |paths: Vec<String>| Value::Array(paths.into_iter().map(Value::String).collect());
        match self {
            FromDevice::VersionExchange { major, minor } => {
                let int = |v: u64| Value::Integer(v.into());
                vec!["DLMessageVersionExchange".into(), int(major), int(minor)]
            }
            FromDevice::Ready => vec!["DLMessageDeviceReady".into()],
            FromDevice::DownloadFiles { paths, progress } => {
                vec!["DLMessageDownloadFiles".into(), texts(paths), none(), real(progress), zero()]
            }
            FromDevice::UploadFiles { progress, bytes, callbacks } => {
                let mut number = Dictionary::new();
                if let Some(callbacks) = callbacks {
                    number.insert("DLDeviceIOCallbacks".into(), Value::Integer(callbacks.into()));
                }
                let bytes = Value::Integer(bytes.into());
                vec!["DLMessageUploadFiles".into(), Value::Dictionary(number), real(progress), bytes]
            }
            FromDevice::FreeDiskSpace => vec!["DLMessageGetFreeDiskSpace".into()],
            FromDevice::PurgeDiskSpace { bytes, urgency } => {
                let int = |v: u64| Value::Integer(v.into());
                vec!["DLMessagePurgeDiskSpace".into(), int(bytes), int(urgency)]
            }
            FromDevice::ContentsOfDirectory { path } => vec!["DLContentsOfDirectory".into(), path.into()],
            FromDevice::CreateDirectory { path } => vec!["DLMessageCreateDirectory".into(), path.into()],
            FromDevice::MoveItems { items, progress } => {
                let items = items.into_iter().map(|(from, to)| (from, Value::String(to))).collect::<Dictionary>();
                vec!["DLMessageMoveItems".into(), Value::Dictionary(items), none(), real(progress)]
            }
            FromDevice::RemoveItems { paths, progress } => {
                vec!["DLMessageRemoveItems".into(), texts(paths), none(), real(progress)]
            }
            FromDevice::CopyItem { from, to } => vec!["DLMessageCopyItem".into(), from.into(), to.into()],
            FromDevice::Process(dict) => vec!["DLMessageProcessMessage".into(), Value::Dictionary(dict)],
            FromDevice::Disconnect => vec!["DLMessageDisconnect".into(), EMPTY.into()],
            FromDevice::Unknown { name } => vec![name.into()],
        }
    }
}

/// A message apart: its name, and what follows.
struct Args {
    name: String,
    rest: Vec<Value>,
}

impl Args {
    fn split(message: Vec<Value>) -> Result<Self, WireError> {
        let mut items = message.into_iter();
        match items.next() {
            Some(Value::String(name)) => Ok(Args { name, rest: items.collect() }),
            _ => Err(WireError::malformed(WHAT, "does not begin with a name")),
        }
    }

    fn wrong(&self, wanted: &str) -> WireError {
        let name: String = self.name.chars().take(60).collect();
        WireError::malformed(WHAT, format!("{name} without {wanted}"))
    }

    fn text(&self, at: usize) -> Option<&str> {
        self.rest.get(at).and_then(Value::as_string)
    }

    fn unsigned(&self, at: usize) -> Option<u64> {
        match self.rest.get(at)? {
            Value::Integer(int) => int.as_unsigned(),
            Value::Real(real) if *real >= 0.0 => Some(*real as u64),
            _ => None,
        }
    }

    fn real(&self, at: usize) -> Option<f64> {
        match self.rest.get(at)? {
            Value::Real(real) => Some(*real).filter(|r| r.is_finite()),
            Value::Integer(int) => int.as_signed().map(|i| i as f64),
            _ => None,
        }
    }

    fn dictionary(&self, at: usize) -> Result<Dictionary, WireError> {
        self.rest.get(at).and_then(Value::as_dictionary).cloned().ok_or_else(|| self.wrong("a dictionary"))
    }

    fn path(&mut self, at: usize) -> Result<String, WireError> {
        match self.rest.get_mut(at) {
            Some(Value::String(path)) => short_enough(std::mem::take(path)),
            _ => Err(self.wrong("a path")),
        }
    }

    fn paths(&mut self, at: usize) -> Result<Vec<String>, WireError> {
        let Some(Value::Array(items)) = self.rest.get_mut(at) else { return Err(self.wrong("a list of paths")) };
        let items = std::mem::take(items);
        let text = |item| match item {
            Value::String(path) => short_enough(path),
            _ => Err(self.wrong("a list of paths")),
        };
        items.into_iter().map(text).collect()
    }

    fn moves(&mut self) -> Result<Vec<(String, String)>, WireError> {
        let Some(Value::Dictionary(items)) = self.rest.get_mut(0) else { return Err(self.wrong("a table of moves")) };
        let items = std::mem::take(items);
        let pair = |(from, to)| match to {
            Value::String(to) => Ok((short_enough(from)?, short_enough(to)?)),
            _ => Err(self.wrong("a table of moves")),
        };
        items.into_iter().map(pair).collect()
    }
}

fn short_enough(path: String) -> Result<String, WireError> {
    if path.len() > MAX_NAME {
        let (length, cap) = (path.len() as u64, MAX_NAME as u64);
        return Err(WireError::TooLong { what: "path", length, cap });
    }
    Ok(path)
}

/// A whole message with its length word, ready to be written.
///
/// # Errors
/// [`WireError::TooLong`] beyond [`MAX_MESSAGE`].
pub fn encode(message: Vec<Value>) -> Result<Vec<u8>, WireError> {
    encode_list(&Value::Array(message))
}

/// As [`encode`], for a message that its sender wants to overwrite afterwards.
///
/// # Errors
/// As [`encode`].
pub fn encode_list(message: &Value) -> Result<Vec<u8>, WireError> {
    let mut bytes = vec![0; 4];
    let written = message.to_writer_binary(&mut bytes);
    written.map_err(|err| WireError::malformed(WHAT, err.to_string()))?;
    let length = bytes.len() - 4;
    if length > MAX_MESSAGE {
        return Err(WireError::TooLong { what: WHAT, length: length as u64, cap: MAX_MESSAGE as u64 });
    }
    if let Some(word) = bytes.first_chunk_mut::<4>() {
        *word = (length as u32).to_be_bytes();
    }
    Ok(bytes)
}

/// The length of the message that follows its length word, in bytes.
///
/// # Errors
/// [`WireError::TooLong`] beyond [`MAX_MESSAGE`], [`WireError::Malformed`] for zero.
pub fn message_length(word: [u8; 4]) -> Result<usize, WireError> {
    match u32::from_be_bytes(word) as usize {
        0 => Err(WireError::malformed(WHAT, "is empty")),
        length if length > MAX_MESSAGE => {
            Err(WireError::TooLong { what: WHAT, length: length as u64, cap: MAX_MESSAGE as u64 })
        }
        length => Ok(length),
    }
}

/// A message without its length word.
///
/// # Errors
/// [`WireError`] for what is no binary property list, no array, or a bomb (see [`guard`]).
pub fn decode(bytes: &[u8]) -> Result<Vec<Value>, WireError> {
    match guard::binary_plist(bytes)? {
        Value::Array(items) => Ok(items),
        _ => Err(WireError::malformed(WHAT, "is not an array")),
    }
}

#[cfg(test)]
mod tests;
