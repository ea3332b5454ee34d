//! Messages there and back, and everything that is not one.

use super::frame::{FrameCode, Head, build_name, name_length};
use super::request::{Password, Request, Response, RestoreOptions};
use super::*;
use proptest::prelude::*;

fn through_bytes(message: Vec<Value>) -> Vec<Value> {
    let bytes = encode(message).unwrap();
    let length = message_length(*bytes.first_chunk().unwrap()).unwrap();
    assert_eq!(length, bytes.len() - 4);
    decode(&bytes[4..]).unwrap()
}

#[test]
fn every_message_of_a_device_survives_the_wire() {
    let udid = "00008110-001A2B3C4D5E6F01";
    let messages = [
        FromDevice::VersionExchange { major: 400, minor: 0 },
        FromDevice::Ready,
        FromDevice::DownloadFiles { paths: vec![format!("{udid}/Status.plist")], progress: Some(0.0) },
        FromDevice::DownloadFiles { paths: vec![], progress: Some(97.01) },
        FromDevice::UploadFiles { progress: Some(13.061936), bytes: 6_878_833, callbacks: Some(4_955_806_704) },
        FromDevice::UploadFiles { progress: Some(0.9797), bytes: 0, callbacks: None },
        FromDevice::FreeDiskSpace,
        FromDevice::PurgeDiskSpace { bytes: 667_490_157_139, urgency: 4 },
        FromDevice::ContentsOfDirectory { path: format!("{udid}/Snapshot") },
        FromDevice::CreateDirectory { path: udid.into() },
        FromDevice::MoveItems {
            items: vec![("a/b".into(), "a/c".into()), ("a/d".into(), "a/é".into())],
            progress: Some(1.5),
        },
        FromDevice::RemoveItems { paths: vec!["x/y".into()], progress: Some(100.0) },
        FromDevice::CopyItem { from: "x/a".into(), to: "x/b".into() },
        FromDevice::Process(Response::error(208, "Device locked (MBErrorDomain/208)").build()),
        FromDevice::Disconnect,
        FromDevice::Unknown { name: "DLMessageDanceNow".into() },
    ];
    for message in messages {
        assert_eq!(FromDevice::parse(through_bytes(message.clone().build())).unwrap(), message);
    }
}

#[test]
fn older_spellings_are_read() {
    let old = |name: &str, arg: Value| FromDevice::parse(vec![name.into(), arg]).unwrap();
    let mut moves = Dictionary::new();
    moves.insert("u/a".into(), "u/b".into());
    let read = old("DLMessageMoveFiles", Value::Dictionary(moves));
    assert_eq!(read, FromDevice::MoveItems { items: vec![("u/a".into(), "u/b".into())], progress: None });
    let read = old("DLMessageRemoveFiles", Value::Array(vec!["u/a".into()]));
    assert_eq!(read, FromDevice::RemoveItems { paths: vec!["u/a".into()], progress: None });
    let read = old("DLMessageContentsOfDirectory", "u".into());
    assert_eq!(read, FromDevice::ContentsOfDirectory { path: "u".into() });
}

#[test]
fn a_known_message_with_wrong_arguments_is_garbage_and_a_long_path_is_absurd() {
    for bad in [
        vec![],
        vec![Value::Boolean(true)],
        vec!["DLMessageMoveItems".into(), "x".into()],
        vec!["DLMessageRemoveItems".into(), Value::Array(vec![1.into()])],
        vec!["DLMessageVersionExchange".into()],
        vec!["DLContentsOfDirectory".into()],
        vec!["DLMessageProcessMessage".into()],
    ] {
        assert!(matches!(FromDevice::parse(bad), Err(WireError::Malformed { .. })));
    }
    let long = FromDevice::ContentsOfDirectory { path: "a".repeat(MAX_NAME + 1) };
    assert!(matches!(FromDevice::parse(long.build()), Err(WireError::TooLong { .. })));
}

#[test]
fn host_answers_survive_the_wire_and_codes_go_out_unsigned() {
    let failed = [("u/Status.plist", DlCode::NOT_FOUND, "No such file or directory")];
    let date = plist::Date::from_xml_format("2026-09-01T10:00:00Z").unwrap();
    let entry = Entry { name: "Manifest.db".into(), kind: EntryKind::Regular, size: 4096, modified: date };
    for message in [
        FromHost::VersionOk { major: 300 },
        FromHost::Status(Status::ok()),
        FromHost::Status(Status::multi(failed)),
        FromHost::Status(Status::free_space(1 << 40)),
        FromHost::Status(Status::listing([entry.clone()])),
        FromHost::Process(Request::hello().build()),
        FromHost::Disconnect,
    ] {
        assert_eq!(FromHost::parse(through_bytes(message.clone().build())).unwrap(), message);
    }
    assert_eq!(Status::listing([entry.clone()]).entries(), [entry]);
    let status = Status::multi(failed);
    assert_eq!(status.failed(), [(failed[0].0.to_owned(), DlCode::NOT_FOUND, failed[0].2.to_owned())]);
    let built = FromHost::Status(status).build();
    assert_eq!(built[1].as_unsigned_integer(), Some(0xFFFF_FFFF_FFFF_FFF3));
    let signed = vec!["DLMessageStatusResponse".into(), Value::Integer((-15).into())];
    match FromHost::parse(signed).unwrap() {
        FromHost::Status(status) => assert_eq!(status.code, DlCode::NO_SPACE),
        other => panic!("{other:?}"),
    }
}

#[test]
fn requests_survive_and_passwords_do_not_print() {
    let secret = Password::new("correct horse");
    let options = RestoreOptions { reboot: false, password: Some(secret.clone()), ..RestoreOptions::default() };
    for request in [
        Request::hello(),
        Request::Backup { target: "U".into(), source: Some("U".into()), full: true },
        Request::Backup { target: "U".into(), source: None, full: false },
        Request::Restore { target: "U".into(), source: Some("V".into()), options },
        Request::ChangePassword { target: "U".into(), old: None, new: Some(secret) },
        Request::Other { name: "Info".into(), target: Some("U".into()), source: None },
    ] {
        let mut dict = request.build();
        assert_eq!(Request::parse(&dict).unwrap(), request);
        assert!(!format!("{request:?}").contains("horse"));
        request::scrub(&mut dict);
        assert!(!format!("{dict:?}").contains("horse"));
    }
}

#[test]
fn frames_have_a_head_and_names_a_cap() {
    for code in [FrameCode::Data, FrameCode::End, FrameCode::DeviceError, FrameCode::HostError] {
        let head = Head { code, payload: 262_144 };
        assert_eq!(Head::parse(head.build()).unwrap(), head);
    }
    assert_eq!(Head { code: FrameCode::End, payload: 0 }.build(), [0, 0, 0, 1, 0]);
    assert!(Head::parse([0; 5]).is_err());
    assert!(Head::parse([0, 0, 0, 2, 0x77]).is_err());
    assert_eq!(name_length([0; 4]).unwrap(), None);
    assert!(name_length([0, 0, 0x10, 1]).is_err());
    assert_eq!(build_name("ab").unwrap(), [0, 0, 0, 2, b'a', b'b']);
    assert!(build_name("").is_err());
}

#[test]
fn lengths_are_capped_before_anything_is_read() {
    assert!(matches!(message_length(0xFFFF_FFF0u32.to_be_bytes()), Err(WireError::TooLong { .. })));
    assert!(message_length([0; 4]).is_err());
}

/// A binary list of `levels` arrays, each naming the next one `width` times.
fn tower(levels: u8, width: u8) -> Vec<u8> {
    let mut bytes = b"bplist00".to_vec();
    let mut offsets = vec![];
    for level in 0..levels {
        offsets.push(bytes.len() as u16);
        if level + 1 == levels {
            bytes.push(0x09);
        } else {
            bytes.push(0xA0 | width);
            bytes.extend(std::iter::repeat_n(level + 1, usize::from(width)));
        }
    }
    let table = bytes.len() as u64;
    bytes.extend(offsets.iter().flat_map(|o| o.to_be_bytes()));
    bytes.extend([0, 0, 0, 0, 0, 0, 2, 1]);
    for word in [u64::from(levels), 0, table] {
        bytes.extend(word.to_be_bytes());
    }
    bytes
}

#[test]
fn bombs_are_told_from_lists() {
    assert!(decode(&tower(10, 1)).is_ok());
    assert!(matches!(decode(&tower(200, 1)), Err(WireError::TooLong { .. })), "nesting");
    assert!(matches!(decode(&tower(40, 2)), Err(WireError::TooLong { .. })), "unfolding");
    let mut circle = tower(2, 1);
    circle[9] = 0;
    assert!(decode(&circle).is_err(), "circle");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(&bytes);
        let mut with_magic = b"bplist00".to_vec();
        with_magic.extend(&bytes);
        let _ = decode(&with_magic);
    }

    #[test]
    fn no_damage_makes_it_panic(at in 0usize..300, byte in any::<u8>()) {
        let message = FromDevice::MoveItems { items: vec![("u/a".into(), "u/b".into())], progress: Some(1.0) };
        let mut bytes = encode(message.build()).unwrap();
        let at = 4 + at % (bytes.len() - 4);
        bytes[at] = byte;
        if let Ok(items) = decode(&bytes[4..]) {
            let _ = FromDevice::parse(items.clone());
            let _ = FromHost::parse(items);
        }
    }
}
