//! A usbmuxd that answers anything but what it was asked: every question ends, with a word for it.

use super::*;
use crate::fault::{Code, Fault};
use crate::ids::Udid;
use crate::wire::muxd::{Answer, Header, KIND_PLIST, KIND_RESULT, VERSION, message};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

/// More than every limit of one question.
const LONG: Duration = Duration::from_secs(30);

/// What it sends, and whether it goes on with the last byte for ever.
struct Says {
    bytes: Vec<u8>,
    endless: bool,
}

fn once(bytes: Vec<u8>) -> Says {
    Says { bytes, endless: false }
}

fn plist(body: &str) -> Vec<u8> {
    let body = format!("<plist version='1.0'>{body}</plist>");
    let header = Header { length: 16 + body.len() as u32, version: VERSION, kind: KIND_PLIST, tag: 1 };
    [&header.encode()[..], body.as_bytes()].concat()
}

fn head(length: u32, kind: u32) -> Vec<u8> {
    Header { length, version: VERSION, kind, tag: 1 }.encode().to_vec()
}

/// usbmuxd in a folder, that says the same to everybody.
fn serve(says: Says) -> (Mux, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("mux");
    let listener = UnixListener::bind(&socket).unwrap();
    let says = std::sync::Arc::new(says);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let says = std::sync::Arc::clone(&says);
            tokio::spawn(async move {
                let _ = client.read(&mut [0; 4096]).await;
                if client.write_all(&says.bytes).await.is_err() || !says.endless {
                    return;
                }
                let last = vec![says.bytes.last().copied().unwrap_or_default(); 1 << 16];
                while client.write_all(&last).await.is_ok() {}
            });
        }
    });
    (Mux::new(MuxAddress::Unix(socket)), folder)
}

#[tokio::test]
async fn every_answer_that_is_none_ends_with_a_fault() {
    let udid: Udid = "00008110-00126D0E81100001".parse().unwrap();
    let number = message(1, Answer::Result(0).body()).unwrap();
    let deep = format!("{}{}", "<array>".repeat(90_000), "</array>".repeat(90_000));
    for (what, says, code) in [
        ("nothing", once(vec![]), Code::MuxUnreachable),
        ("half a header", once(vec![32, 0, 0]), Code::MuxUnreachable),
        ("a truncated body", once(head(400, KIND_PLIST)), Code::MuxUnreachable),
        ("a length below the header", once(head(3, KIND_PLIST)), Code::MuxGarbage),
        ("a huge length", once(head(u32::MAX, KIND_PLIST)), Code::MuxGarbage),
        ("text of another protocol", once(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), Code::MuxGarbage),
        ("endless zeros", Says { bytes: vec![0], endless: true }, Code::MuxGarbage),
        ("endless ones", Says { bytes: vec![0xFF], endless: true }, Code::MuxGarbage),
        ("a binary result", once([head(20, KIND_RESULT), vec![6, 0, 0, 0]].concat()), Code::MuxGarbage),
        ("no property list", once([head(20, KIND_PLIST), b"what".to_vec()].concat()), Code::MuxGarbage),
        ("nesting without end", once(plist(&deep)), Code::MuxGarbage),
        ("another type", once(plist("<string>no</string>")), Code::MuxGarbage),
        ("an empty dictionary", once(plist("<dict/>")), Code::MuxGarbage),
        ("a list that is none", once(plist("<dict><key>DeviceList</key><true/></dict>")), Code::MuxGarbage),
        (
            "a device without a number",
            once(plist("<dict><key>DeviceList</key><array><dict/></array></dict>")),
            Code::MuxGarbage,
        ),
        ("a success for every question", once(number), Code::MuxUnreachable),
    ] {
        let (mux, _folder) = serve(says);
        let asked = async {
            let fault = Fault::from(mux.devices().await.expect_err(what));
            assert_eq!(fault.code, code, "{what}: {fault}");
            assert!(!fault.detail.is_empty());
            assert!(mux.buid().await.is_err(), "{what}");
            let record = mux.pair_record(&udid).await;
            assert!(!matches!(record, Ok(Some(_))), "{what}");
            // A watch may begin, and then it ends.
            if let Ok(mut events) = mux.watch().await {
                while events.recv().await.is_some() {}
            }
            if let Ok(mut stream) = mux.connect(1, 62_078).await {
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        };
        tokio::time::timeout(LONG, asked).await.unwrap_or_else(|_| panic!("{what}: no end"));
    }
}

#[tokio::test]
async fn a_record_that_is_none_is_no_record_of_trust() {
    let udid: Udid = "00008110-00126D0E81100001".parse().unwrap();
    for (what, body) in [
        ("not base64 of a plist", "<data>AAAA</data>"),
        ("an empty one", "<data></data>"),
        ("a record without keys", "<data>PHBsaXN0PjxkaWN0Lz48L3BsaXN0Pg==</data>"),
    ] {
        let (mux, _folder) = serve(once(plist(&format!("<dict><key>PairRecordData</key>{body}</dict>"))));
        let fault = Fault::from(mux.pair_record(&udid).await.expect_err(what));
        assert_eq!(fault.code, Code::PairingStale, "{what}: {fault}");
    }
}

#[tokio::test]
async fn more_devices_than_usb_could_hold_are_not_looked_at() {
    let one = "<dict><key>DeviceID</key><integer>1</integer><key>MessageType</key><string>Attached</string>\
        <key>Properties</key><dict><key>DeviceID</key><integer>1</integer><key>SerialNumber</key><string>x</string>\
        <key>ConnectionType</key><string>USB</string></dict></dict>";
    let list = format!("<dict><key>DeviceList</key><array>{}</array></dict>", one.repeat(5_000));
    let (mux, _folder) = serve(once(plist(&list)));
    assert_eq!(mux.devices().await.unwrap().len(), 1024);
}
