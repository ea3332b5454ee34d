//! AFC: the media folder of the phone as hosts see it.
//!
//! DCIM, PhotoData and Recordings are the very files that backups carry; everything else in the folder is
//! beside them and in no backup. Writes are collected in memory and become the file when the handle
//! closes. Locks are real: they conflict between connections, and go with the connection that held them,
//! because the lock on `/com.apple.itunes.lock_sync` is what keeps two hosts from one phone.

use super::Content;
use super::afc_packet::{Code, HEADER, Header, MAX_READ, Op, Parameters};
use super::files::{CRASHES, Entry, Kind, UNSAVED_MEDIA};
use crate::virt::phone::Phone;
use crate::virt::stream::BoxStream;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A connection without a request for so long is over.
const IDLE: Duration = Duration::from_secs(3600);
const MAX_HANDLES: usize = 256;
/// Files written over AFC stay below it.
const MAX_WRITTEN: u64 = 256 << 20;
const DISK: u64 = 128_000_000_000;

const SHARED: u64 = 5;
const EXCLUSIVE: u64 = 6;
const UNLOCK: u64 = 12;

static OWNERS: AtomicU64 = AtomicU64::new(1);

/// Serves one connection to `com.apple.afc` until the host leaves.
pub fn serve_afc(phone: Arc<Phone>, stream: BoxStream) {
    serve(phone, stream, place);
}

/// The same protocol on the folder of crash reports, `com.apple.crashreportcopymobile`.
pub fn serve_crash_reports(phone: Arc<Phone>, stream: BoxStream) {
    serve(phone, stream, |path| inside(path).map(|path| (CRASHES, path)));
}

fn serve(phone: Arc<Phone>, mut stream: BoxStream, place: Place) {
    let mut session = Session {
        phone,
        place,
        owner: OWNERS.fetch_add(1 << 16, Ordering::Relaxed),
        handles: BTreeMap::new(),
        next_handle: 1,
    };
    // Whatever ends the connection ends it for the host too; there is nobody left to tell.
    let _ = session.run(&mut stream);
    let handles: Vec<u64> = session.handles.keys().copied().collect();
    for handle in handles {
        session.close(handle);
    }
}

/// Where an AFC path is among the phone's files: domain and path.
type Place = fn(&str) -> Option<(&'static str, String)>;

struct Session {
    phone: Arc<Phone>,
    place: Place,
    /// Names this connection's handles in the lock table: owner + handle.
    owner: u64,
    handles: BTreeMap<u64, Open>,
    next_handle: u64,
}

struct Open {
    path: String,
    position: u64,
    writable: bool,
    appends: bool,
    locked: bool,
    content: Content,
    /// The whole file once it was written to.
    written: Option<Vec<u8>>,
}

enum Answer {
    Status(Code),
    Data(Vec<u8>),
    Number(Op, u64),
}

impl From<Code> for Answer {
    fn from(code: Code) -> Self {
        Answer::Status(code)
    }
}

/// A path below the folder that is shown.
fn inside(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    if parts.contains(&"..") || path.contains('\0') {
        return None;
    }
    Some(parts.join("/"))
}

/// In the media folder.
fn place(path: &str) -> Option<(&'static str, String)> {
    let joined = inside(path)?;
    Some(match joined.split('/').next() {
        Some("DCIM" | "PhotoData") => ("CameraRollDomain", format!("Media/{joined}")),
        Some("Recordings") => ("MediaDomain", format!("Media/{joined}")),
        _ => (UNSAVED_MEDIA, joined),
    })
}

impl Session {
    fn run(&mut self, stream: &mut BoxStream) -> std::io::Result<()> {
        stream.set_limit(Some(IDLE))?;
        loop {
            let mut header = [0; HEADER];
            stream.read_exact(&mut header)?;
            let header = Header::parse(&header).map_err(std::io::Error::other)?;
            let mut parameters = vec![0; header.parameters];
            stream.read_exact(&mut parameters)?;
            let mut payload = vec![0; header.payload];
            stream.read_exact(&mut payload)?;
            let answer = self.answer(header.operation, &parameters, &payload);
            let (operation, parameters, payload) = match answer {
                Answer::Status(code) => (Op::Status, (code as u64).to_le_bytes().to_vec(), Vec::new()),
                Answer::Number(op, number) => (op, number.to_le_bytes().to_vec(), Vec::new()),
                Answer::Data(data) => (Op::Data, Vec::new(), data),
            };
            let head = Header {
                parameters: parameters.len(),
                payload: payload.len(),
                number: header.number,
                operation: operation as u64,
            };
            let mut packet = Vec::with_capacity(HEADER + parameters.len() + payload.len());
            packet.extend_from_slice(&head.build());
            packet.extend_from_slice(&parameters);
            packet.extend_from_slice(&payload);
            stream.write_all(&packet)?;
            stream.flush()?;
        }
    }

    fn answer(&mut self, operation: u64, parameters: &[u8], payload: &[u8]) -> Answer {
        let Some(op) = Op::from_number(operation) else { return Code::OpNotSupported.into() };
        self.perform(op, Parameters(parameters), payload).unwrap_or_else(Answer::Status)
    }

    fn perform(&mut self, op: Op, mut parameters: Parameters<'_>, payload: &[u8]) -> Result<Answer, Code> {
        let number = |p: &mut Parameters<'_>| p.number().ok_or(Code::InvalidArg);
        fn text<'a>(p: &mut Parameters<'a>) -> Result<&'a str, Code> {
            p.text().ok_or(Code::InvalidArg)
        }
        let files = &self.phone.files;
        match op {
            Op::GetDeviceInfo => {
                let used = files.user_bytes();
                let pairs = [
                    ("Model", self.phone.model.product.to_string()),
                    ("FSTotalBytes", DISK.to_string()),
                    ("FSFreeBytes", DISK.saturating_sub(used).to_string()),
                    ("FSBlockSize", "4096".to_owned()),
                ];
                Ok(Answer::Data(pairs.iter().flat_map(|(k, v)| format!("{k}\0{v}\0").into_bytes()).collect()))
            }
            Op::ReadDir => {
                let path = text(&mut parameters)?;
                let entry = self.find(path)?;
                if !matches!(entry.kind, Kind::Directory) {
                    return Err(Code::InvalidArg);
                }
                let names = [".".to_owned(), "..".to_owned()].into_iter().chain(self.names(path)?);
                Ok(Answer::Data(names.flat_map(|name| format!("{name}\0").into_bytes()).collect()))
            }
            Op::GetFileInfo => {
                let entry = self.find(text(&mut parameters)?)?;
                Ok(Answer::Data(info(&entry)))
            }
            Op::MakeDir => {
                let path = text(&mut parameters)?;
                let (domain, path) = (self.place)(path).ok_or(Code::PermDenied)?;
                match files.get(domain, &path).map(|e| e.kind.clone()) {
                    Some(Kind::Directory) => {}
                    Some(_) => return Err(Code::ObjectExists),
                    None => files.make_directory(domain, &path),
                }
                Ok(Code::Success.into())
            }
            Op::RemovePath | Op::RemovePathAndContents => {
                let path = text(&mut parameters)?;
                self.find(path)?;
                if op == Op::RemovePath && !self.names(path)?.is_empty() {
                    return Err(Code::DirNotEmpty);
                }
                let (domain, path) = (self.place)(path).ok_or(Code::PermDenied)?;
                if path.is_empty() {
                    return Err(Code::PermDenied);
                }
                files.remove(domain, &path);
                Ok(Code::Success.into())
            }
            Op::RenamePath => {
                let (from, to) = (text(&mut parameters)?, text(&mut parameters)?);
                self.find(from)?;
                let ((from_domain, from), (to_domain, to)) =
                    ((self.place)(from).ok_or(Code::PermDenied)?, (self.place)(to).ok_or(Code::PermDenied)?);
                match from_domain == to_domain && !from.is_empty() && files.rename(from_domain, &from, &to) {
                    true => Ok(Code::Success.into()),
                    false => Err(Code::OpNotSupported),
                }
            }
            Op::SetFileModTime => {
                number(&mut parameters)?;
                self.find(text(&mut parameters)?)?;
                Ok(Code::Success.into())
            }
            Op::FileOpen => {
                let mode = number(&mut parameters)?;
                let handle = self.open(mode, text(&mut parameters)?)?;
                Ok(Answer::Number(Op::FileOpenResult, handle))
            }
            Op::FileClose => {
                let handle = number(&mut parameters)?;
                self.opened(handle)?;
                Ok(self.close(handle).into())
            }
            Op::FileRead => {
                let (handle, length) = (number(&mut parameters)?, number(&mut parameters)?);
                self.opened(handle)?.read(length).map(Answer::Data)
            }
            Op::FileWrite => {
                let handle = number(&mut parameters)?;
                self.opened(handle)?.write(payload)?;
                Ok(Code::Success.into())
            }
            Op::FileSeek => {
                let (handle, whence, offset) =
                    (number(&mut parameters)?, number(&mut parameters)?, number(&mut parameters)? as i64);
                self.opened(handle)?.seek(whence, offset)?;
                Ok(Code::Success.into())
            }
            Op::FileTell => {
                let handle = number(&mut parameters)?;
                Ok(Answer::Number(Op::FileTellResult, self.opened(handle)?.position))
            }
            Op::FileSetSize => {
                let (handle, size) = (number(&mut parameters)?, number(&mut parameters)?);
                self.opened(handle)?.set_size(size)?;
                Ok(Code::Success.into())
            }
            Op::FileLock => {
                let (handle, operation) = (number(&mut parameters)?, number(&mut parameters)?);
                self.lock(handle, operation).map(Answer::Status)
            }
            Op::MakeLink => Err(Code::OpNotSupported),
            Op::Status | Op::Data | Op::FileOpenResult | Op::FileTellResult => Err(Code::UnknownPacketType),
        }
    }

    fn find(&self, path: &str) -> Result<Arc<Entry>, Code> {
        let (domain, path) = (self.place)(path).ok_or(Code::PermDenied)?;
        self.phone.files.get(domain, &path).ok_or(Code::ObjectNotFound)
    }

    fn names(&self, path: &str) -> Result<Vec<String>, Code> {
        let (domain, path) = (self.place)(path).ok_or(Code::PermDenied)?;
        let mut names = self.phone.files.names_in(domain, &path);
        if domain == UNSAVED_MEDIA && path.is_empty() {
            let shared = ["DCIM", "PhotoData", "Recordings"].into_iter().filter(|n| self.find(n).is_ok());
            names.extend(shared.map(str::to_owned));
            names.sort();
        }
        Ok(names)
    }

    fn opened(&mut self, handle: u64) -> Result<&mut Open, Code> {
        self.handles.get_mut(&handle).ok_or(Code::InvalidArg)
    }

    /// Modes: 1 `r`, 2 `r+` (creates), 3 `w`, 4 `w+`, 5 `a`, 6 `a+`.
    fn open(&mut self, mode: u64, path: &str) -> Result<u64, Code> {
        if !(1..=6).contains(&mode) {
            return Err(Code::InvalidArg);
        }
        if self.handles.len() >= MAX_HANDLES {
            return Err(Code::TooMuchData);
        }
        let (domain, inside) = (self.place)(path).ok_or(Code::PermDenied)?;
        let files = &self.phone.files;
        let content = match files.get(domain, &inside).map(|e| e.kind.clone()) {
            Some(Kind::File(content)) if mode != 3 && mode != 4 => content,
            Some(Kind::File(_)) | None if mode > 1 => {
                files.put(domain, &inside, Vec::new()).map_err(|_| Code::IoError)?;
                Content::Bytes(Vec::new().into())
            }
            Some(Kind::Directory) => return Err(Code::ObjectIsDir),
            Some(Kind::Link(_)) => return Err(Code::PermDenied),
            Some(Kind::File(_)) | None => return Err(Code::ObjectNotFound),
        };
        let handle = self.next_handle;
        self.next_handle += 1;
        let open = Open {
            path: path.to_owned(),
            position: 0,
            writable: mode > 1,
            appends: mode >= 5,
            locked: false,
            content,
            written: None,
        };
        self.handles.insert(handle, open);
        Ok(handle)
    }

    fn close(&mut self, handle: u64) -> Code {
        let Some(open) = self.handles.remove(&handle) else { return Code::InvalidArg };
        if open.locked {
            self.phone.files.unlock(&open.path, self.owner + handle);
        }
        match ((self.place)(&open.path), open.written) {
            (Some((domain, path)), Some(bytes)) => match self.phone.files.put(domain, &path, bytes) {
                Ok(()) => Code::Success,
                Err(_) => Code::IoError,
            },
            _ => Code::Success,
        }
    }

    fn lock(&mut self, handle: u64, operation: u64) -> Result<Code, Code> {
        let owner = self.owner + handle;
        let phone = Arc::clone(&self.phone);
        let open = self.opened(handle)?;
        match operation {
            SHARED | EXCLUSIVE => {
                if !phone.files.try_lock(&open.path, owner, operation == EXCLUSIVE) {
                    return Err(Code::OpWouldBlock);
                }
                open.locked = true;
            }
            UNLOCK => {
                phone.files.unlock(&open.path, owner);
                open.locked = false;
            }
            _ => return Err(Code::InvalidArg),
        }
        Ok(Code::Success)
    }
}

impl Open {
    fn size(&self) -> u64 {
        self.written.as_ref().map_or_else(|| self.content.size(), |w| w.len() as u64)
    }

    fn read(&mut self, length: u64) -> Result<Vec<u8>, Code> {
        let length = length.min(MAX_READ).min(self.size().saturating_sub(self.position)) as usize;
        let mut data = vec![0; length];
        match &self.written {
            Some(written) if length > 0 => {
                data.copy_from_slice(&written[self.position as usize..self.position as usize + length]);
            }
            None if length > 0 => self.content.read_at(self.position, &mut data).map_err(|_| Code::ReadError)?,
            _ => {}
        }
        self.position += length as u64;
        Ok(data)
    }

    /// The whole file in memory, to be changed.
    fn whole_file(&mut self) -> Result<&mut Vec<u8>, Code> {
        if !self.writable {
            return Err(Code::PermDenied);
        }
        if self.written.is_none() {
            if self.content.size() > MAX_WRITTEN {
                return Err(Code::NoSpaceLeft);
            }
            let mut all = vec![0; self.content.size() as usize];
            self.content.read_at(0, &mut all).map_err(|_| Code::ReadError)?;
            self.written = Some(all);
        }
        self.written.as_mut().ok_or(Code::IoError)
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Code> {
        if self.appends {
            self.position = self.size();
        }
        let end = self.position.checked_add(data.len() as u64).filter(|end| *end <= MAX_WRITTEN);
        let (start, end) = (self.position, end.ok_or(Code::NoSpaceLeft)?);
        let written = self.whole_file()?;
        if written.len() < end as usize {
            written.resize(end as usize, 0);
        }
        written[start as usize..end as usize].copy_from_slice(data);
        self.position = end;
        Ok(())
    }

    fn seek(&mut self, whence: u64, offset: i64) -> Result<(), Code> {
        let base = match whence {
            0 => 0,
            1 => self.position,
            2 => self.size(),
            _ => return Err(Code::InvalidArg),
        };
        self.position = base.checked_add_signed(offset).ok_or(Code::InvalidArg)?;
        Ok(())
    }

    fn set_size(&mut self, size: u64) -> Result<(), Code> {
        if size > MAX_WRITTEN {
            return Err(Code::NoSpaceLeft);
        }
        self.whole_file()?.resize(size as usize, 0);
        Ok(())
    }
}

fn info(entry: &Entry) -> Vec<u8> {
    let (format, target) = match &entry.kind {
        Kind::File(_) => ("S_IFREG", None),
        Kind::Directory => ("S_IFDIR", None),
        Kind::Link(target) => ("S_IFLNK", Some(target)),
    };
    let nanoseconds = |seconds: i64| (seconds.max(0) as u64).saturating_mul(1_000_000_000).to_string();
    let mut pairs = vec![
        ("st_size", entry.size().to_string()),
        ("st_blocks", entry.size().div_ceil(512).to_string()),
        ("st_nlink", "1".to_owned()),
        ("st_ifmt", format.to_owned()),
        ("st_mtime", nanoseconds(entry.modified)),
        ("st_birthtime", nanoseconds(entry.birth)),
    ];
    if let Some(target) = target {
        pairs.push(("LinkTarget", target.clone()));
    }
    pairs.iter().flat_map(|(k, v)| format!("{k}\0{v}\0").into_bytes()).collect()
}

#[cfg(test)]
mod tests;
