//! A small host for the tests: it believes the phone in everything and works on a temporary folder.

use crate::virt::backup::serve_mobilebackup2;
use crate::virt::phone::Phone;
use crate::wire::devicelink::frame::{self, FrameCode, HEAD, HOST_FRAME, Head, LIST_END};
use crate::wire::devicelink::request::{Request, Response};
use crate::wire::devicelink::{self, DlCode, Entry, EntryKind, FromDevice, FromHost, Status};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

pub struct Host {
    stream: UnixStream,
    pub root: PathBuf,
    /// What the phone asked, one line a message.
    pub log: Vec<String>,
    /// What GetFreeDiskSpace is told.
    pub free: u64,
    /// Host paths that came with an error frame.
    pub failed: Vec<String>,
    /// Nothing is written at paths that leave the folder; they are only noted.
    pub hostile: Vec<String>,
    pub received: usize,
    agent: Option<JoinHandle<()>>,
}

pub type End = Result<Response, String>;

impl Host {
    pub fn connect(phone: &Arc<Phone>, root: &Path) -> Host {
        let (stream, device) = UnixStream::pair().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let phone = Arc::clone(phone);
        let agent = std::thread::spawn(move || serve_mobilebackup2(phone, Box::new(device)));
        Host {
            stream,
            root: root.to_owned(),
            log: Vec::new(),
            free: 1 << 40,
            failed: Vec::new(),
            hostile: Vec::new(),
            received: 0,
            agent: Some(agent),
        }
    }

    pub fn set_patience(&self, time: Duration) {
        self.stream.set_read_timeout(Some(time)).unwrap();
    }

    /// Says goodbye and waits until the phone has left.
    pub fn leave(mut self) -> Vec<String> {
        let _ = self.send(FromHost::Disconnect);
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        self.agent.take().unwrap().join().unwrap();
        self.log
    }

    /// Greets, asks one thing and serves the phone until it answers.
    pub fn run(&mut self, request: &Request) -> End {
        match self.receive()? {
            FromDevice::VersionExchange { major, .. } => {
                self.log.push(format!("version {major}"));
                self.send(FromHost::VersionOk { major })?;
            }
            other => return Err(format!("greeted with {other:?}")),
        }
        assert_eq!(self.receive()?, FromDevice::Ready);
        let hello = self.ask(&Request::hello())?;
        assert_eq!((hello.code, hello.version), (0, Some(2.1)));
        self.ask(request)
    }

    pub fn ask(&mut self, request: &Request) -> End {
        self.send(FromHost::Process(request.build()))?;
        loop {
            let message = self.receive()?;
            if let FromDevice::Process(dict) = &message {
                return Response::parse(dict).ok_or("no answer".into());
            }
            self.serve(message)?;
        }
    }

    fn word(&mut self) -> Result<[u8; 4], String> {
        let mut word = [0; 4];
        self.stream.read_exact(&mut word).map_err(|e| e.to_string())?;
        Ok(word)
    }

    fn bytes(&mut self, length: usize) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).map_err(|e| e.to_string())?;
        Ok(bytes)
    }

    fn receive(&mut self) -> Result<FromDevice, String> {
        let word = self.word()?;
        let length = devicelink::message_length(word).map_err(|e| e.to_string())?;
        let bytes = self.bytes(length)?;
        FromDevice::parse(devicelink::decode(&bytes).map_err(|e| e.to_string())?).map_err(|e| e.to_string())
    }

    fn send(&mut self, message: FromHost) -> Result<(), String> {
        let bytes = devicelink::encode(message.build()).unwrap();
        self.stream.write_all(&bytes).map_err(|e| e.to_string())
    }

    fn place(&mut self, path: &str) -> Option<PathBuf> {
        if path.starts_with('/') || path.split('/').any(|p| p == "..") {
            self.hostile.push(path.to_owned());
            return None;
        }
        Some(self.root.join(path))
    }

    fn serve(&mut self, message: FromDevice) -> Result<(), String> {
        let mut status = Status::ok();
        let bad = || Status::error(DlCode::OTHER, "refused");
        match message {
            FromDevice::DownloadFiles { paths, .. } => {
                self.log.push(format!("download {}", paths.join(" ")));
                status = self.give(&paths)?;
            }
            FromDevice::UploadFiles { bytes, callbacks, .. } => {
                let kind = if callbacks.is_some() { "batch" } else { "plist" };
                let names = self.accept()?;
                let batch = callbacks.is_some();
                self.received += if batch { names.len() } else { 0 };
                assert!(names.len() <= 128 && (batch || bytes == 0));
                self.log.push(match batch {
                    true => format!("upload {kind}"),
                    false => format!("upload {kind} {}", names.join(" ")),
                });
            }
            FromDevice::FreeDiskSpace => {
                self.log.push("free".into());
                status = Status::free_space(self.free);
            }
            FromDevice::PurgeDiskSpace { bytes, .. } => {
                self.log.push(format!("purge {bytes}"));
                status = bad();
            }
            FromDevice::ContentsOfDirectory { path } => {
                self.log.push(format!("list {path}"));
                let place = self.place(&path);
                status = Status::listing(place.map(|p| listing(&p)).unwrap_or_default());
            }
            FromDevice::CreateDirectory { path } => {
                self.log.push(format!("mkdir {path}"));
                match self.place(&path) {
                    Some(place) => fs::create_dir_all(place).unwrap(),
                    None => status = bad(),
                }
            }
            FromDevice::MoveItems { items, .. } => {
                self.log.push(format!("move {}", items.len()));
                for (from, to) in items {
                    match (self.place(&from), self.place(&to)) {
                        (Some(from), Some(to)) => fs::rename(from, to).map_err(|e| e.to_string())?,
                        _ => status = bad(),
                    }
                }
            }
            FromDevice::RemoveItems { paths, .. } => {
                self.log.push(format!("remove {}", paths.len()));
                for path in paths {
                    match self.place(&path) {
                        Some(place) if place.is_dir() => fs::remove_dir_all(place).unwrap(),
                        Some(place) => drop(fs::remove_file(place)),
                        None => status = bad(),
                    }
                }
            }
            FromDevice::CopyItem { to, .. } => {
                self.place(&to);
                status = bad();
            }
            other => return Err(format!("unexpected {other:?}")),
        }
        self.send(FromHost::Status(status))
    }

    fn give(&mut self, paths: &[String]) -> Result<Status, String> {
        let mut missing = Vec::new();
        for path in paths {
            let content = self.place(path).and_then(|p| fs::read(p).ok());
            let mut out = frame::build_name(path).unwrap();
            match content {
                Some(content) => {
                    for piece in content.chunks(HOST_FRAME) {
                        out.extend(Head { code: FrameCode::Data, payload: piece.len() as u32 }.build());
                        out.extend(piece);
                    }
                    out.extend(Head { code: FrameCode::End, payload: 0 }.build());
                }
                None => {
                    missing.push(path.as_str());
                    out.extend(Head { code: FrameCode::HostError, payload: 7 }.build());
                    out.extend(b"missing");
                }
            }
            self.stream.write_all(&out).map_err(|e| e.to_string())?;
        }
        self.stream.write_all(&LIST_END).map_err(|e| e.to_string())?;
        if missing.is_empty() {
            return Ok(Status::ok());
        }
        Ok(Status::multi(missing.into_iter().map(|p| (p, DlCode::NOT_FOUND, "No such file or directory"))))
    }

    fn accept(&mut self) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        loop {
            let word = self.word()?;
            let Some(length) = frame::name_length(word).map_err(|e| e.to_string())? else { return Ok(names) };
            self.bytes(length)?;
            let word = self.word()?;
            let length = frame::name_length(word).map_err(|e| e.to_string())?.ok_or("no host name")?;
            let name = String::from_utf8(self.bytes(length)?).map_err(|e| e.to_string())?;
            let mut content = Vec::new();
            loop {
                let mut head = [0; HEAD];
                self.stream.read_exact(&mut head).map_err(|e| e.to_string())?;
                let head = Head::parse(head).map_err(|e| e.to_string())?;
                if head.payload > 1 << 20 {
                    return Err(format!("a frame of {}", head.payload));
                }
                let payload = self.bytes(head.payload as usize)?;
                match head.code {
                    FrameCode::Data => content.extend(payload),
                    FrameCode::End => break,
                    _ => {
                        self.failed.push(name.clone());
                        break;
                    }
                }
            }
            if let Some(place) = self.place(&name) {
                fs::write(place, content).map_err(|e| format!("{name}: {e}"))?;
            }
            names.push(name);
        }
    }
}

fn listing(place: &Path) -> Vec<Entry> {
    let Ok(found) = fs::read_dir(place) else { return Vec::new() };
    found
        .map(|entry| {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            Entry {
                name: entry.file_name().into_string().unwrap(),
                kind: if meta.is_dir() { EntryKind::Directory } else { EntryKind::Regular },
                size: meta.len(),
                modified: meta.modified().unwrap().into(),
            }
        })
        .collect()
}
