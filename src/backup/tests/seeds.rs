//! What the fuzzers start from (`tests/fuzz/seeds`), made by our own builders and understood by our own readers.
//!
//! `HERSTEL_WRITE_SEEDS=1` writes them. Without it the test holds that the files are what the builders make, so that a
//! change of the protocol does not leave the fuzzers with noise. A whole database is only held to be one: it carries
//! SQLite's version.

use super::fake::{file_id, manifest_plist, status_plist};
use super::*;
use crate::backup::mbfile::{archive, archive_with_key};
use crate::fault::Code;
use crate::wire::devicelink::frame::{FrameCode, Head, LIST_END, build_name};
use crate::wire::devicelink::request::Response;
use crate::wire::devicelink::{FromDevice, decode, encode};
use std::io::Write;
use std::os::unix::net::UnixStream;

const PATH: &str = "Media/DCIM/IMG_0001.JPG";

fn said(messages: impl IntoIterator<Item = FromDevice>) -> Vec<u8> {
    messages.into_iter().flat_map(|message| encode(message.build()).unwrap()).collect()
}

fn upload(name: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes = said([FromDevice::UploadFiles { progress: Some(40.0), bytes: 9, callbacks: Some(7) }]);
    for (name, content) in [(name, content), ("broken", b"".as_slice())] {
        bytes.extend(build_name("/.ba/x").unwrap());
        bytes.extend(build_name(&format!("{UDID}/{name}")).unwrap());
        let mut frame = |code, payload: &[u8]| {
            bytes.extend(Head { code, payload: payload.len() as u32 }.build());
            bytes.extend(payload);
        };
        if name == "broken" {
            frame(FrameCode::DeviceError, b"Input/output error (5)");
        } else {
            frame(FrameCode::Data, content);
            frame(FrameCode::End, b"");
        }
    }
    bytes.extend(LIST_END);
    bytes
}

fn conversations() -> Vec<(&'static str, Vec<u8>)> {
    let at = |name: &str| format!("{UDID}/{name}");
    let end = || said([FromDevice::Process(Response::ok().build())]);
    let asks = said([
        FromDevice::DownloadFiles { paths: vec![at("Status.plist"), at("none")], progress: Some(0.0) },
        FromDevice::ContentsOfDirectory { path: UDID.into() },
        FromDevice::FreeDiskSpace,
        FromDevice::PurgeDiskSpace { bytes: 1 << 40, urgency: 4 },
    ]);
    let changes = said([
        FromDevice::CreateDirectory { path: at("Snapshot") },
        FromDevice::MoveItems { items: vec![(at("old"), at("Snapshot/new"))], progress: Some(98.0) },
        FromDevice::CopyItem { from: at("Snapshot"), to: at("copy") },
        FromDevice::RemoveItems { paths: vec![at("copy"), at("none")], progress: Some(100.0) },
    ]);
    let last = Response::error(208, "Device locked (MBErrorDomain/208)").build();
    vec![
        ("message", encode(FromDevice::Process(last.clone()).build()).unwrap()[4..].to_vec()),
        ("asks", [asks, end()].concat()),
        ("changes", [changes, end()].concat()),
        ("upload", [upload("ab/file", &[7; 300]), end()].concat()),
        ("refused", said([FromDevice::Unknown { name: "DLMessageDanceNow".into() }, FromDevice::Process(last)])),
        ("frame", Head { code: FrameCode::Data, payload: 9 }.build().to_vec()),
    ]
}

/// The columns as the target reads them: type, length, bytes.
fn row(flags: u8, blob: &[u8]) -> Vec<u8> {
    let mut bytes = vec![];
    let id = file_id("CameraRollDomain", PATH);
    let columns: [(u8, &[u8]); 5] =
        [(3, id.as_bytes()), (3, b"CameraRollDomain"), (3, PATH.as_bytes()), (1, &[flags]), (4, blob)];
    for (kind, body) in columns {
        bytes.extend([kind, u8::try_from(body.len()).unwrap_or(255)]);
        bytes.extend(body);
    }
    bytes
}

/// A record that fits into a column of 255 bytes.
fn small_record() -> Vec<u8> {
    use plist::{Dictionary, Uid, Value};
    let one = |key: &str, value: Value| Dictionary::from_iter([(key.to_owned(), value)]);
    let mut list = one("$top", one("root", Value::Uid(Uid::new(1))).into());
    list.insert("$objects".into(), Value::Array(vec!["$null".into(), one("Size", 300.into()).into()]));
    let mut bytes = vec![];
    Value::Dictionary(list).to_writer_binary(&mut bytes).unwrap();
    bytes
}

fn databases() -> Vec<(&'static str, Vec<u8>)> {
    let mut base = rusqlite::Connection::open_in_memory().unwrap();
    base.execute_batch("PRAGMA page_size = 512; CREATE TABLE Files (fileID, domain, relativePath, flags, file)")
        .unwrap();
    let id = file_id("CameraRollDomain", PATH);
    let values = rusqlite::params![id, "CameraRollDomain", PATH, 1, archive("a", 300)];
    base.execute("INSERT INTO Files VALUES (?1, ?2, ?3, ?4, ?5)", values).unwrap();
    let whole = [&[1], &base.serialize("main").unwrap()[..]].concat();
    let rows = [vec![0], row(1, &small_record()), row(2, b""), row(4, b"")].concat();
    vec![("rows", rows), ("whole.db", whole)]
}

fn lists() -> Vec<(&'static str, Vec<u8>)> {
    let key = [[3, 0, 0, 0].as_slice(), &[0xA5; 40]].concat();
    let info = InfoFacts {
        udid: UDID.into(),
        device_name: "Anna".into(),
        date: Some(std::time::UNIX_EPOCH),
        ..InfoFacts::default()
    };
    vec![
        ("status", status_plist("moving")),
        ("manifest", manifest_plist(false)),
        ("info", info.to_xml()),
        ("archive", archive_with_key(PATH, 300, Some(&key))),
    ]
}

/// A phone that says exactly this after its greeting.
fn heard(bytes: &[u8]) -> Result<Received, Fault> {
    let hello = Response { version: Some(2.1), ..Response::ok() }.build();
    let greeting =
        said([FromDevice::VersionExchange { major: 400, minor: 0 }, FromDevice::Ready, FromDevice::Process(hello)]);
    let (mut host, mut device) = UnixStream::pair().unwrap();
    device.write_all(&[&greeting, bytes].concat()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join(UDID)).unwrap();
    std::fs::write(dir.path().join(UDID).join("old"), "old").unwrap();
    let tree = WorkTree::open(dir.path(), UDID).unwrap();
    let options = BackupOptions { full: false, patience: patience() };
    backup(&mut host, &udid(), &tree, &options, &crate::event::Quiet, &Cancel::new())
}

#[test]
fn the_fuzzers_start_from_what_is_understood() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds");
    for (target, seeds) in [("devicelink", conversations()), ("manifest_db", databases()), ("backup_plists", lists())] {
        for (name, bytes) in seeds {
            let path = root.join(target).join(name);
            if writes() {
                std::fs::write(&path, &bytes).unwrap();
            }
            let there = std::fs::read(&path).unwrap_or_default();
            assert!(
                there == bytes || (name.ends_with(".db") && there.starts_with(b"\x01SQLite format 3\0")),
                "{path:?}"
            );
        }
    }
    let [message, asks, changes, upload, refused, _] = &conversations()[..] else { unreachable!() };
    assert!(decode(&message.1).is_ok());
    for (name, bytes) in [asks, changes, upload, refused] {
        let received = heard(bytes);
        let told = received.as_ref().map(|r| (r.files, r.failed_count)).map_err(|fault| fault.code);
        let expected = match *name {
            "refused" => Err(Code::BackupPasscode),
            "upload" => Ok((1, 1)),
            _ => Ok((0, 0)),
        };
        assert_eq!(told, expected, "{name} was to be read to its last word");
    }
    assert_eq!(crate::backup::doors::record(&small_record()), (Some(300), None));
}

#[expect(clippy::disallowed_methods, reason = "a test asks whether to write")]
fn writes() -> bool {
    std::env::var("HERSTEL_WRITE_SEEDS").is_ok()
}
