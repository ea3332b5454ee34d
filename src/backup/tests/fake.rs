//! A phone for the tests: the device's side of a backup over a socket pair, with ways to lie.

use crate::backup::mbfile::archive;
use crate::wire::devicelink::frame::{DEVICE_FRAME, FrameCode, HOST_FRAME, Head, LIST_END, build_name};
use crate::wire::devicelink::request::{Request, Response};
use crate::wire::devicelink::{self, DlCode, Entry, EntryKind, FromDevice, FromHost, Status};
use plist::{Dictionary, Value};
use sha1::Digest;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

pub const UDID: &str = "00008110-001A2B3C4D5E6F01";

/// What goes wrong.
#[derive(Clone, Default)]
pub struct Script {
    /// The cable is pulled after so many bytes from the device.
    pub cut_after: Option<u64>,
    /// The cable is pulled after so many bytes from the host.
    pub deaf_after: Option<u64>,
    /// It is not the cable then: this whole process is killed.
    pub kills: bool,
    /// It remembers the interrupted run and goes on moving what that one had sent.
    pub resumes: bool,
    /// One byte from the device is another one.
    pub flip_at: Option<u64>,
    /// Sent instead of the first upload.
    pub instead: Vec<FromDevice>,
    /// Raw bytes sent instead of the first upload.
    pub raw: Option<Vec<u8>>,
    /// Says nothing after the request.
    pub silent: bool,
    /// Says nothing in the middle of the first file.
    pub silent_in_file: bool,
    /// Host path of one extra uploaded file.
    pub extra_path: Option<String>,
    /// Every so many files cannot be read: before any of its data, or after a part.
    pub unreadable_every: Option<(usize, bool)>,
    /// Ends at once with this.
    pub ends_with: Option<(i64, &'static str)>,
    /// The manifest says one byte more of this file than is sent.
    pub misstates: Option<String>,
    /// Leaves this file's payload out although the manifest names it.
    pub forgets: Option<usize>,
    /// In the measure of real phones: batches of 128, frames of 256 KiB.
    pub large: bool,
    /// What SnapshotState says at the end.
    pub final_state: Option<&'static str>,
}

#[derive(Default)]
pub struct Seen {
    pub answers: Vec<Status>,
    pub disconnected: bool,
    pub full: Option<bool>,
    pub uploaded: usize,
    pub restored: BTreeMap<String, Vec<u8>>,
    pub free: u64,
    /// Bytes that the phone sent.
    pub sent: u64,
    /// Bytes that it got.
    pub heard: u64,
}

#[derive(Clone, Default)]
pub struct FakePhone {
    /// (domain, path) to content.
    pub files: BTreeMap<(String, String), Vec<u8>>,
    /// File ID to content, as last taken by a host that finished.
    pub saved: BTreeMap<String, Vec<u8>>,
    pub script: Script,
}

pub fn file_id(domain: &str, path: &str) -> String {
    sha1::Sha1::digest(format!("{domain}-{path}")).iter().map(|b| format!("{b:02x}")).collect()
}

pub fn status_plist(state: &str) -> Vec<u8> {
    let mut dict = Dictionary::new();
    for (key, text) in [("UUID", "F00D"), ("Version", "3.3"), ("BackupState", "new"), ("SnapshotState", state)] {
        dict.insert(key.into(), text.into());
    }
    dict.insert("IsFullBackup".into(), false.into());
    binary(dict)
}

pub fn manifest_plist(encrypted: bool) -> Vec<u8> {
    let mut lockdown = Dictionary::new();
    lockdown.insert("ProductVersion".into(), "26.7.1".into());
    lockdown.insert("DeviceName".into(), "Anna".into());
    let mut dict = Dictionary::new();
    dict.insert("IsEncrypted".into(), encrypted.into());
    if encrypted {
        dict.insert("BackupKeyBag".into(), Value::Data(crate::backup::crypt::sample::Lock::new("x").keybag.build()));
    }
    dict.insert("Version".into(), "10.0".into());
    dict.insert("Lockdown".into(), Value::Dictionary(lockdown));
    binary(dict)
}

fn binary(dict: Dictionary) -> Vec<u8> {
    let mut bytes = vec![];
    Value::Dictionary(dict).to_writer_binary(&mut bytes).unwrap();
    bytes
}

impl FakePhone {
    pub fn new(count: usize) -> Self {
        let mut phone = FakePhone::default();
        for n in 0..count {
            let content = (0..n * 37 % 5000).map(|i| (i * 7 + n) as u8).collect();
            phone.files.insert(("CameraRollDomain".into(), format!("Media/DCIM/IMG_{n:04}.JPG")), content);
        }
        phone
    }

    pub fn set(&mut self, domain: &str, path: &str, content: &[u8]) {
        self.files.insert((domain.into(), path.into()), content.to_vec());
    }

    pub fn manifest_db(&self) -> Vec<u8> {
        let mut conn = rusqlite::Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE Files (fileID TEXT PRIMARY KEY, domain TEXT, relativePath TEXT, flags INTEGER, file BLOB);
             CREATE INDEX FilesRelativePathIdx ON Files(relativePath); BEGIN;",
        )
        .unwrap();
        let mut insert = conn.prepare("INSERT INTO Files VALUES (?1, ?2, ?3, ?4, ?5)").unwrap();
        let folder = file_id("CameraRollDomain", "Media");
        insert.execute(rusqlite::params![folder, "CameraRollDomain", "Media", 2, archive("Media", 0)]).unwrap();
        for ((domain, path), content) in &self.files {
            let more = u64::from(self.script.misstates.as_deref() == Some(path));
            let blob = archive(path, content.len() as u64 + more);
            insert.execute(rusqlite::params![file_id(domain, path), domain, path, 1, blob]).unwrap();
        }
        drop(insert);
        conn.execute_batch("COMMIT").unwrap();
        let mut bytes = conn.serialize("main").unwrap().to_vec();
        // The header of write-ahead mode, as on real phones.
        bytes[18] = 2;
        bytes[19] = 2;
        bytes
    }

    /// Serves one conversation in the background; the host's end of the link.
    pub fn serve(&self) -> (UnixStream, std::thread::JoinHandle<(FakePhone, Seen)>) {
        let (host, device) = UnixStream::pair().unwrap();
        let mut phone = self.clone();
        let named = std::thread::Builder::new().name("phone".into());
        let serve = move || {
            let mut talk = Talk {
                stream: device,
                left: phone.script.cut_after,
                ears: phone.script.deaf_after,
                kills: phone.script.kills,
                flip: phone.script.flip_at,
                seen: Seen::default(),
            };
            let _ = phone.converse(&mut talk);
            talk.await_disconnect();
            (phone, talk.seen)
        };
        (host, named.spawn(serve).unwrap())
    }

    fn converse(&mut self, talk: &mut Talk) -> io::Result<()> {
        talk.send(FromDevice::VersionExchange { major: 400, minor: 0 })?;
        assert_eq!(talk.receive()?, FromHost::VersionOk { major: 400 });
        talk.send(FromDevice::Ready)?;
        assert_eq!(talk.request()?, Request::hello());
        talk.send(FromDevice::Process(Response { version: Some(2.1), ..Response::ok() }.build()))?;
        let request = talk.request()?;
        if self.script.silent {
            return Ok(());
        }
        if let Some((code, text)) = self.script.ends_with {
            talk.send(FromDevice::Process(Response::error(code, text).build()))?;
            return Ok(());
        }
        match request {
            Request::Backup { target, full, .. } => {
                assert_eq!(target, UDID);
                self.back_up(talk, full)?;
            }
            Request::Restore { source, .. } => self.restore(talk, &source.unwrap())?,
            Request::ChangePassword { old, .. } if old.as_ref().is_some_and(|p| p.reveal() != "right") => {
                let response = Response::error(207, "Invalid password (MBErrorDomain/207)");
                return talk.send(FromDevice::Process(response.build()));
            }
            _ => {}
        }
        talk.send(FromDevice::Process(Response::ok().build()))
    }

    fn back_up(&mut self, talk: &mut Talk, full: bool) -> io::Result<()> {
        let at = |name: &str| format!("{UDID}/{name}");
        let old = talk.download(&[at("Status.plist")])?;
        talk.ask(FromDevice::ContentsOfDirectory { path: at("Snapshot") })?;
        talk.ask(FromDevice::ContentsOfDirectory { path: UDID.into() })?;
        talk.seen.free = talk.ask(FromDevice::FreeDiskSpace)?.payload.as_unsigned_integer().unwrap();
        let full = full || old[0].is_none();
        talk.seen.full = Some(full);
        if self.script.resumes && old[0].as_ref().is_some_and(|status| *status == status_plist("moving")) {
            return self.go_on(talk);
        }
        for path in [UDID.to_owned(), at("Snapshot")] {
            talk.ask(FromDevice::CreateDirectory { path })?;
        }
        for message in self.script.instead.drain(..) {
            talk.ask(message)?;
        }
        if let Some(raw) = self.script.raw.take() {
            return talk.write(&raw);
        }
        talk.upload(&[(at("Status.plist"), status_plist("uploading"))])?;
        let mut changed: Vec<(String, Vec<u8>)> = vec![];
        let mut now = BTreeMap::new();
        for ((domain, path), content) in &self.files {
            let id = file_id(domain, path);
            if full || self.saved.get(&id) != Some(content) {
                changed.push((format!("{}/{id}", &id[..2]), content.clone()));
            }
            now.insert(id, content.clone());
        }
        if let Some(at) = self.script.forgets {
            changed.remove(at);
        }
        if let Some(path) = &self.script.extra_path {
            talk.upload(&[(path.clone(), b"evil".to_vec())])?;
        }
        let mut moves = vec![];
        for batch in changed.chunks(if self.script.large { 128 } else { 7 }) {
            talk.send(FromDevice::UploadFiles { progress: Some(40.0), bytes: 1, callbacks: Some(7) })?;
            for (place, content) in batch {
                talk.seen.uploaded += 1;
                talk.write(&build_name("/.ba/mobile/Media/x").unwrap())?;
                talk.write(&build_name(&at(&format!("Snapshot/{place}"))).unwrap())?;
                if let Some((every, partly)) = self.script.unreadable_every
                    && talk.seen.uploaded.is_multiple_of(every)
                {
                    if partly && !content.is_empty() {
                        talk.frame(FrameCode::Data, &content[..1])?;
                    }
                    talk.frame(FrameCode::DeviceError, b"Input/output error (5)")?;
                    if !partly {
                        let id = place.rsplit('/').next().unwrap().to_owned();
                        now.remove(&id);
                        continue;
                    }
                } else if self.script.silent_in_file {
                    return talk.write(&Head { code: FrameCode::Data, payload: 1000 }.build());
                } else {
                    for piece in content.chunks(if self.script.large { DEVICE_FRAME } else { 1024 }) {
                        talk.frame(FrameCode::Data, piece)?;
                    }
                    talk.frame(FrameCode::End, b"")?;
                }
                moves.push((at(&format!("Snapshot/{place}")), at(place)));
            }
            talk.write(&LIST_END)?;
            let answer = talk.answer()?;
            if answer.code != DlCode::OK {
                let response = Response::error(105, "Insufficient free disk space on drive to back up");
                return talk.send(FromDevice::Process(response.build()));
            }
        }
        for (name, bytes) in [("Manifest.plist", manifest_plist(false)), ("Manifest.db", self.manifest_db())] {
            talk.upload(&[(at(&format!("Snapshot/{name}")), bytes)])?;
            moves.push((at(&format!("Snapshot/{name}")), at(name)));
        }
        talk.upload(&[(at("Status.plist"), status_plist("moving"))])?;
        self.finish(talk, moves, now)
    }

    /// What the interrupted run had sent is moved, nothing is sent again.
    fn go_on(&mut self, talk: &mut Talk) -> io::Result<()> {
        let mut moves = vec![];
        let top = talk.ask(FromDevice::ContentsOfDirectory { path: format!("{UDID}/Snapshot") })?;
        for entry in top.entries() {
            if entry.kind != EntryKind::Directory {
                moves.push((format!("{UDID}/Snapshot/{}", entry.name), format!("{UDID}/{}", entry.name)));
                continue;
            }
            let folder = format!("{UDID}/Snapshot/{}", entry.name);
            for name in names(&talk.ask(FromDevice::ContentsOfDirectory { path: folder.clone() })?) {
                moves.push((format!("{folder}/{name}"), format!("{UDID}/{}/{name}", entry.name)));
            }
        }
        let now = self.files.iter().map(|((domain, path), content)| (file_id(domain, path), content.clone())).collect();
        self.finish(talk, moves, now)
    }

    fn finish(
        &mut self,
        talk: &mut Talk,
        moves: Vec<(String, String)>,
        now: BTreeMap<String, Vec<u8>>,
    ) -> io::Result<()> {
        let at = |name: &str| format!("{UDID}/{name}");
        for batch in moves.chunks(if self.script.large { 128 } else { 5 }) {
            let answer = talk.ask(FromDevice::MoveItems { items: batch.to_vec(), progress: Some(98.0) })?;
            if answer.code != DlCode::OK {
                return talk.send(FromDevice::Process(Response::error(104, "Multiple errors").build()));
            }
        }
        let gone: Vec<String> = self.saved.keys().filter(|id| !now.contains_key(*id)).cloned().collect();
        let mut paths: Vec<String> = gone.iter().map(|id| at(&format!("{}/{id}", &id[..2]))).collect();
        paths.push(at("Snapshot"));
        paths.push(at("Snapshot"));
        assert_eq!(talk.ask(FromDevice::RemoveItems { paths, progress: Some(100.0) })?.code, DlCode::OK);
        talk.upload(&[(at("Status.plist"), status_plist(self.script.final_state.unwrap_or("finished")))])?;
        let back = talk.download(&[at("Status.plist"), at("Manifest.db"), at("nothing/here")])?;
        if talk.seen.answers.iter().any(|a| matches!(a.code, DlCode::NO_SPACE | DlCode::IO)) {
            return talk.send(FromDevice::Process(Response::error(105, "Insufficient free disk space").build()));
        }
        assert!(back[0].is_some() && back[2].is_none());
        assert_eq!(back[1].as_deref(), Some(self.manifest_db().as_slice()));
        assert_eq!(talk.download(&[])?.len(), 0);
        self.saved = now;
        Ok(())
    }

    fn restore(&mut self, talk: &mut Talk, source: &str) -> io::Result<()> {
        let at = |name: &str| format!("{source}/{name}");
        talk.download(&[at("Status.plist"), at("Manifest.plist"), at("Manifest.db"), at("Info.plist")])?;
        let refused = talk.ask(FromDevice::RemoveItems { paths: vec![at("Manifest.db")], progress: None })?;
        assert_ne!(refused.code, DlCode::OK);
        for (domain, path) in self.files.keys() {
            let id = file_id(domain, path);
            let got = talk.download(&[at(&format!("{}/{id}", &id[..2]))])?;
            if let Some(bytes) = got.into_iter().next().flatten() {
                talk.seen.restored.insert(id, bytes);
            }
        }
        talk.download(&[]).map(drop)
    }
}

/// The device's end of the conversation.
struct Talk {
    stream: UnixStream,
    left: Option<u64>,
    ears: Option<u64>,
    kills: bool,
    flip: Option<u64>,
    seen: Seen,
}

impl Talk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let may = self.left.map_or(bytes.len(), |left| bytes.len().min(left as usize));
        match self.flip {
            Some(at) if at < may as u64 => {
                let mut bytes = bytes[..may].to_vec();
                bytes[at as usize] ^= 0x55;
                self.flip = None;
                self.stream.write_all(&bytes)?;
            }
            at => {
                self.flip = at.map(|at| at - may as u64);
                self.stream.write_all(&bytes[..may])?;
            }
        }
        self.seen.sent += may as u64;
        if let Some(left) = &mut self.left {
            *left -= may as u64;
            if may < bytes.len() {
                return Err(self.end());
            }
        }
        Ok(())
    }

    fn hear(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let may = self.ears.map_or(bytes.len(), |left| bytes.len().min(left as usize));
        self.stream.read_exact(&mut bytes[..may])?;
        self.seen.heard += may as u64;
        if let Some(left) = &mut self.ears {
            *left -= may as u64;
            if may < bytes.len() {
                return Err(self.end());
            }
        }
        Ok(())
    }

    /// The cable is out, or the process dies.
    fn end(&self) -> io::Error {
        if self.kills {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
        let _ = self.stream.shutdown(Shutdown::Both);
        io::ErrorKind::BrokenPipe.into()
    }

    fn send(&mut self, message: FromDevice) -> io::Result<()> {
        let bytes = devicelink::encode(message.build()).unwrap();
        self.write(&bytes)
    }

    fn receive(&mut self) -> io::Result<FromHost> {
        let length = devicelink::message_length(self.array()?).unwrap();
        let bytes = self.bytes(length)?;
        let message = FromHost::parse(devicelink::decode(&bytes).unwrap()).unwrap();
        if message == FromHost::Disconnect {
            self.seen.disconnected = true;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(message)
    }

    fn request(&mut self) -> io::Result<Request> {
        match self.receive()? {
            FromHost::Process(dict) => Ok(Request::parse(&dict).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    fn answer(&mut self) -> io::Result<Status> {
        match self.receive()? {
            FromHost::Status(status) => {
                self.seen.answers.push(status.clone());
                Ok(status)
            }
            other => panic!("{other:?}"),
        }
    }

    fn ask(&mut self, message: FromDevice) -> io::Result<Status> {
        self.send(message)?;
        self.answer()
    }

    fn frame(&mut self, code: FrameCode, payload: &[u8]) -> io::Result<()> {
        self.write(&Head { code, payload: payload.len() as u32 }.build())?;
        self.write(payload)
    }

    fn upload(&mut self, files: &[(String, Vec<u8>)]) -> io::Result<()> {
        self.send(FromDevice::UploadFiles { progress: Some(1.0), bytes: 0, callbacks: None })?;
        for (path, bytes) in files {
            self.write(&build_name("/var/tmp/tmp.2").unwrap())?;
            self.write(&build_name(path).unwrap())?;
            self.frame(FrameCode::Data, bytes)?;
            self.frame(FrameCode::End, b"")?;
        }
        self.write(&LIST_END)?;
        self.answer().map(drop)
    }

    fn download(&mut self, paths: &[String]) -> io::Result<Vec<Option<Vec<u8>>>> {
        self.send(FromDevice::DownloadFiles { paths: paths.to_vec(), progress: None })?;
        let mut files = vec![];
        loop {
            let length = u32::from_be_bytes(self.array()?) as usize;
            if length == 0 {
                break;
            }
            let name = self.bytes(length)?;
            assert_eq!(name, paths[files.len()].as_bytes());
            let mut content = vec![];
            loop {
                let head = Head::parse(self.array()?).unwrap();
                let payload = self.bytes(head.payload as usize)?;
                match head.code {
                    FrameCode::Data => {
                        assert!(payload.len() <= HOST_FRAME);
                        content.extend(payload);
                    }
                    FrameCode::End => break files.push(Some(content)),
                    _ => break files.push(None),
                }
            }
        }
        let status = self.answer()?;
        assert_eq!(status.code == DlCode::OK, files.iter().all(Option::is_some));
        assert_eq!(status.failed().len(), files.iter().filter(|f| f.is_none()).count());
        Ok(files)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.hear(&mut bytes)?;
        Ok(bytes)
    }

    fn bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.hear(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads on until the host said goodbye or went away.
    fn await_disconnect(&mut self) {
        while !self.seen.disconnected && self.receive().is_ok() {}
    }
}

/// The names of a listing.
pub fn names(status: &Status) -> Vec<String> {
    let mut names: Vec<String> = status.entries().into_iter().map(|Entry { name, .. }| name).collect();
    names.sort();
    names
}
