//! DeviceLink: any bytes as a message, as a frame, and as all that a phone says after its greeting in a backup and a
//! restore. Nothing panics, nothing is believed beyond its cap, and nothing leaves the folder of the device.
#![no_main]

use herstel::backup::{self, BackupOptions, Cancel, Patience, RestoreOptions, Wire, WorkTree};
use herstel::event::Quiet;
use herstel::fault::Code;
use herstel::wire::devicelink::frame::{Head, name_length};
use herstel::wire::devicelink::request::{Request, Response};
use herstel::wire::devicelink::{self, FromDevice, FromHost, MAX_MESSAGE, MAX_NAME};
use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

const UDID: &str = "00008110-001A2B3C4D5E6F01";

/// The phone's words; ours are counted and forgotten.
struct Phone(Cursor<Vec<u8>>);

impl Read for Phone {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Phone {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Wire for Phone {
    fn set_limit(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }
}

fn after_greeting(bytes: &[u8]) -> Phone {
    static GREETING: OnceLock<Vec<u8>> = OnceLock::new();
    let greeting = GREETING.get_or_init(|| {
        let hello = Response { version: Some(2.1), ..Response::ok() }.build();
        let said =
            [FromDevice::VersionExchange { major: 400, minor: 0 }, FromDevice::Ready, FromDevice::Process(hello)];
        said.into_iter().flat_map(|message| devicelink::encode(message.build()).unwrap()).collect()
    });
    Phone(Cursor::new([greeting, bytes].concat()))
}

fn scratch() -> &'static PathBuf {
    static SCRATCH: OnceLock<PathBuf> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap().keep();
        std::fs::write(folder.join("secret"), "untouched").unwrap();
        folder
    })
}

/// What a host takes from a message, and that it takes it again when it is written.
fn message(bytes: &[u8]) {
    let Ok(items) = devicelink::decode(bytes) else { return };
    if let Ok(FromHost::Process(dict)) = FromHost::parse(items.clone()) {
        let _ = Request::parse(&dict);
    }
    let Ok(said) = FromDevice::parse(items) else { return };
    if let FromDevice::Process(dict) = &said {
        let _ = (Request::parse(dict), Response::parse(dict));
        return;
    }
    let again = |said: &FromDevice| {
        let bytes = devicelink::encode(said.clone().build()).unwrap();
        FromDevice::parse(devicelink::decode(&bytes[4..]).unwrap()).unwrap()
    };
    let once = again(&said);
    assert_eq!(std::mem::discriminant(&once), std::mem::discriminant(&said));
    assert_eq!(again(&once), once);
}

fn words(bytes: &[u8]) {
    let Some(word) = bytes.first_chunk::<4>() else { return };
    if let Ok(length) = devicelink::message_length(*word) {
        assert!((1..=MAX_MESSAGE).contains(&length));
    }
    if let Ok(Some(length)) = name_length(*word) {
        assert!((1..=MAX_NAME).contains(&length));
    }
    if let Some(head) = bytes.first_chunk().and_then(|head| Head::parse(*head).ok()) {
        assert_eq!(Head::parse(head.build()), Ok(head));
    }
}

fn tree(folder: &Path) -> PathBuf {
    let root = folder.join("tree");
    let _ = std::fs::remove_dir_all(&root);
    std::fs::create_dir_all(root.join(UDID)).unwrap();
    std::fs::write(root.join(UDID).join("old"), "of the last backup").unwrap();
    root
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    message(bytes);
    words(bytes);
    let folder = scratch();
    let (udid, cancel) = (UDID.parse().unwrap(), Cancel::new());
    let root = tree(folder);

    let work = WorkTree::open(&root, UDID).unwrap();
    work.limit(1 << 20);
    let options = BackupOptions { full: false, patience: Patience::default() };
    let done = backup::backup(&mut after_greeting(bytes), &udid, &work, &options, &Quiet, &cancel);
    // Nobody asked to stop; the phone may say so itself, with a number.
    assert!(
        done.as_ref()
            .err()
            .is_none_or(|f| f.code != Code::Internal && (f.code != Code::Cancelled || f.number == Some(202)))
    );

    let root = tree(folder);
    let status = "<plist version=\"1.0\"><dict><key>SnapshotState</key><string>finished</string></dict></plist>";
    std::fs::write(root.join(UDID).join("Status.plist"), status).unwrap();
    let kept = WorkTree::open_read_only(&root, UDID).unwrap();
    let what = RestoreOptions::default();
    let _ = backup::restore(&mut after_greeting(bytes), &udid, &kept, &what, Patience::default(), &Quiet, &cancel);
    let mut names: Vec<_> = std::fs::read_dir(root.join(UDID)).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["Status.plist", "old"], "a restore changes nothing here");

    assert_eq!(std::fs::read(folder.join("secret")).unwrap(), b"untouched");
    let count = |folder: &Path| std::fs::read_dir(folder).unwrap().count();
    assert_eq!((count(folder), count(&root)), (2, 1), "something lies beside the device's folder");
});
