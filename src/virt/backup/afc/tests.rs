//! AFC over a socket pair, with packets made by hand.

use super::*;
use crate::virt::spec::PhoneSpec;
use std::os::unix::net::UnixStream;

struct Client(UnixStream);

fn text(parts: &[&str]) -> Vec<u8> {
    parts.iter().flat_map(|p| format!("{p}\0").into_bytes()).collect()
}

fn numbers(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

impl Client {
    fn connect(phone: &Arc<Phone>) -> Client {
        let (host, device) = UnixStream::pair().unwrap();
        let phone = Arc::clone(phone);
        std::thread::spawn(move || serve_afc(phone, Box::new(device)));
        host.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Client(host)
    }

    fn raw(&mut self, op: Op, parameters: &[u8], payload: &[u8]) -> (u64, Vec<u8>) {
        let header = Header { parameters: parameters.len(), payload: payload.len(), number: 7, operation: op as u64 };
        self.0.write_all(&[&header.build(), parameters, payload].concat()).unwrap();
        let mut head = [0; HEADER];
        self.0.read_exact(&mut head).unwrap();
        let head = Header::parse(&head).unwrap();
        assert_eq!(head.number, 7);
        let mut body = vec![0; head.parameters + head.payload];
        self.0.read_exact(&mut body).unwrap();
        (head.operation, body)
    }

    fn status(&mut self, op: Op, parameters: &[u8], payload: &[u8]) -> u64 {
        let (answer, body) = self.raw(op, parameters, payload);
        assert_eq!(answer, Op::Status as u64);
        u64::from_le_bytes(body.try_into().unwrap())
    }

    fn data(&mut self, op: Op, parameters: &[u8]) -> Vec<u8> {
        let (answer, body) = self.raw(op, parameters, b"");
        assert_eq!(answer, Op::Data as u64, "{body:?}");
        body
    }

    fn names(&mut self, op: Op, path: &str) -> Vec<String> {
        let body = self.data(op, &text(&[path]));
        body.split(|b| *b == 0).filter(|n| !n.is_empty()).map(|n| String::from_utf8(n.into()).unwrap()).collect()
    }

    fn open(&mut self, mode: u64, path: &str) -> Result<u64, u64> {
        let parameters = [numbers(&[mode]), text(&[path])].concat();
        let (answer, body) = self.raw(Op::FileOpen, &parameters, b"");
        let number = u64::from_le_bytes(body.try_into().unwrap());
        if answer == Op::FileOpenResult as u64 { Ok(number) } else { Err(number) }
    }
}

fn phone() -> Arc<Phone> {
    Phone::new(PhoneSpec { photos: 2, photo_bytes: 5_000_000, ..PhoneSpec::default() }, 0, 1.0).unwrap()
}

#[test]
fn photos_are_seen_and_read_whole() {
    let phone = phone();
    let mut afc = Client::connect(&phone);
    assert!(afc.names(Op::ReadDir, "/").contains(&"DCIM".to_owned()));
    assert_eq!(afc.names(Op::ReadDir, "/DCIM/100APPLE"), [".", "..", "IMG_0001.JPG", "IMG_0002.JPG"]);
    let info = afc.names(Op::GetFileInfo, "DCIM/100APPLE/IMG_0001.JPG");
    assert_eq!(info[..2], ["st_size", "5000000"]);
    let handle = afc.open(1, "/DCIM/100APPLE/IMG_0001.JPG").unwrap();
    let mut all = Vec::new();
    loop {
        let piece = afc.data(Op::FileRead, &numbers(&[handle, 8 << 20]));
        if piece.is_empty() {
            break;
        }
        assert!(piece.len() as u64 <= MAX_READ);
        all.extend(piece);
    }
    let entry = phone.files.get("CameraRollDomain", "Media/DCIM/100APPLE/IMG_0001.JPG").unwrap();
    let mut own = vec![0; 5_000_000];
    let Kind::File(content) = &entry.kind else { panic!() };
    content.read_at(0, &mut own).unwrap();
    assert!(all == own && all.starts_with(b"\xff\xd8\xff"));
    assert_eq!(afc.status(Op::FileWrite, &numbers(&[handle]), b"x"), Code::PermDenied as u64);
    assert_eq!(afc.open(1, "/../etc/passwd"), Err(Code::PermDenied as u64));
    assert_eq!(afc.open(1, "/none"), Err(Code::ObjectNotFound as u64));
    assert!(afc.names(Op::GetDeviceInfo, "").contains(&"FSTotalBytes".to_owned()));
}

#[test]
fn files_are_written_moved_and_removed() {
    let phone = phone();
    let mut afc = Client::connect(&phone);
    let path = "/iTunesRestore/RestoreApplications.plist";
    assert_eq!(afc.status(Op::MakeDir, &text(&["/iTunesRestore"]), b""), 0);
    let handle = afc.open(3, path).unwrap();
    assert_eq!(afc.status(Op::FileWrite, &numbers(&[handle]), b"hello world"), 0);
    assert_eq!(afc.status(Op::FileSeek, &numbers(&[handle, 0, 6]), b""), 0);
    assert_eq!(afc.raw(Op::FileTell, &numbers(&[handle]), b"").1, 6_u64.to_le_bytes());
    assert_eq!(afc.status(Op::FileWrite, &numbers(&[handle]), b"WORLD!"), 0);
    assert_eq!(afc.status(Op::FileClose, &numbers(&[handle]), b""), 0);
    assert_eq!(afc.status(Op::FileClose, &numbers(&[handle]), b""), Code::InvalidArg as u64);
    let handle = afc.open(2, path).unwrap();
    assert_eq!(afc.data(Op::FileRead, &numbers(&[handle, 100])), b"hello WORLD!");
    assert_eq!(afc.status(Op::FileSetSize, &numbers(&[handle, 5]), b""), 0);
    assert_eq!(afc.status(Op::FileSetSize, &numbers(&[handle, u64::MAX]), b""), Code::NoSpaceLeft as u64);
    afc.status(Op::FileClose, &numbers(&[handle]), b"");
    assert_eq!(afc.names(Op::GetFileInfo, path)[1], "5");
    assert_eq!(afc.status(Op::RemovePath, &text(&["/iTunesRestore"]), b""), Code::DirNotEmpty as u64);
    assert_eq!(afc.status(Op::RenamePath, &text(&[path, "/a.plist"]), b""), 0);
    assert_eq!(afc.status(Op::RemovePath, &text(&["/iTunesRestore"]), b""), 0);
    assert_eq!(afc.status(Op::RemovePath, &text(&["/a.plist"]), b""), 0);
    assert_eq!(afc.status(Op::RemovePath, &text(&["/a.plist"]), b""), Code::ObjectNotFound as u64);
    // A photo taken away here is gone from the next backup too.
    assert_eq!(afc.status(Op::RemovePath, &text(&["/DCIM/100APPLE/IMG_0002.JPG"]), b""), 0);
    assert!(phone.files.get("CameraRollDomain", "Media/DCIM/100APPLE/IMG_0002.JPG").is_none());
}

#[test]
fn a_lock_belongs_to_one_connection_and_goes_with_it() {
    let phone = phone();
    let (mut one, mut two) = (Client::connect(&phone), Client::connect(&phone));
    let path = "/com.apple.itunes.lock_sync";
    let (a, b) = (one.open(2, path).unwrap(), two.open(2, path).unwrap());
    assert_eq!(one.status(Op::FileLock, &numbers(&[a, EXCLUSIVE]), b""), 0);
    for operation in [EXCLUSIVE, SHARED] {
        assert_eq!(two.status(Op::FileLock, &numbers(&[b, operation]), b""), Code::OpWouldBlock as u64);
    }
    assert_eq!(one.status(Op::FileLock, &numbers(&[a, UNLOCK]), b""), 0);
    assert_eq!(two.status(Op::FileLock, &numbers(&[b, SHARED]), b""), 0);
    assert_eq!(one.status(Op::FileLock, &numbers(&[a, SHARED]), b""), 0);
    assert_eq!(one.status(Op::FileLock, &numbers(&[a, EXCLUSIVE]), b""), Code::OpWouldBlock as u64);
    drop(two);
    let free = (0..400).any(|_| {
        std::thread::sleep(Duration::from_millis(5));
        one.status(Op::FileLock, &numbers(&[a, EXCLUSIVE]), b"") == 0
    });
    assert!(free, "the lock of a connection that is gone");
}

#[test]
fn absurd_packets_end_the_connection() {
    let mut afc = Client::connect(&phone());
    let mut header = Header { parameters: 0, payload: 0, number: 0, operation: 3 }.build();
    header[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    afc.0.write_all(&header).unwrap();
    assert_eq!(afc.0.read(&mut [0; 8]).unwrap(), 0);
}
