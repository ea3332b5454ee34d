//! The messages, there and back, and bytes that are none.

use super::*;
use proptest::prelude::*;

fn round(message: FromDevice) {
    let bytes = frame(&message.build());
    let (prefix, body) = bytes.split_first_chunk::<4>().unwrap();
    assert_eq!(length(*prefix, FROM_DEVICE_CAP).unwrap(), body.len());
    let mut back = FromDevice::parse(&parse(body).unwrap()).unwrap();
    if let FromDevice::DataRequest(r) | FromDevice::AsyncDataRequest(r) = &mut back {
        r.raw = Dictionary::new();
    }
    assert_eq!(back, message);
}

#[test]
fn messages_survive_the_wire() {
    round(FromDevice::Progress { operation: 13, percent: Some(42), context: Some("A-B".into()) });
    round(FromDevice::Progress { operation: 28, percent: None, context: None });
    let chain = vec![
        ErrorLink { domain: "AMRestoreErrorDomain".into(), code: 53, text: "failed to recover FDR data".into() },
        ErrorLink { domain: "RamrodErrorDomain".into(), code: 1004, text: "inner".into() },
    ];
    round(FromDevice::Status(Status { status: 53, amr_error: Some(53), log: Some("x".into()), chain }));
    round(FromDevice::DataRequest(DataRequest::new("FUDData").argument("FUDImageList", true)));
    let mut asset = DataRequest::new("URLAsset").argument("RequestMethod", "GET");
    asset.port = Some(49_172);
    round(FromDevice::AsyncDataRequest(asset));
    round(FromDevice::Checkpoint(Checkpoint {
        id: CheckpointId(0x655),
        name: Some("is_host_compatible".into()),
        result: -1,
        complete: true,
        warning: None,
        error: Some("[0]D(no)".into()),
    }));
    round(FromDevice::BbUpdateStatus(BbUpdateStatus {
        accepted: true,
        done: true,
        imei: Some("35".into()),
        error: None,
    }));
    round(FromDevice::PreviousRestoreLog("log".into()));
    round(FromDevice::RestoredCrash { backtrace: vec!["0 restored".into()] });
    round(FromDevice::AsyncWait { context: Some("1A".into()) });
    round(FromDevice::RestoreAttestation);
}

#[test]
fn rubbish_above_a_checkpoint_id_and_a_status_of_all_ones_are_understood() {
    let mut m = Dictionary::new();
    m.insert("MsgType".into(), "CheckpointMsg".into());
    m.insert("CHECKPOINT_ID".into(), Value::from(4_294_968_979u64));
    let FromDevice::Checkpoint(c) = FromDevice::parse(&m).unwrap() else { panic!() };
    assert_eq!(c.id, CheckpointId(0x693));
    assert_eq!(c.id.name(), Some("preload_keys_for_fsck"));
    let mut m = Dictionary::new();
    m.insert("MsgType".into(), "StatusMsg".into());
    m.insert("Status".into(), Value::from(u64::MAX));
    let FromDevice::Status(s) = FromDevice::parse(&m).unwrap() else { panic!() };
    assert_eq!(s.number(), -1);
}

#[test]
fn an_unknown_message_is_a_value_and_a_known_one_without_its_subject_an_error() {
    let mut m = Dictionary::new();
    m.insert("MsgType".into(), "FutureMsg".into());
    assert!(matches!(FromDevice::parse(&m).unwrap(), FromDevice::Other { kind, .. } if kind == "FutureMsg"));
    m.insert("MsgType".into(), "ProgressMsg".into());
    assert!(FromDevice::parse(&m).is_err());
}

#[test]
fn tolerated_errors_are_not_failures() {
    let mut c = Checkpoint {
        id: CheckpointId(0x648),
        name: None,
        result: 0,
        complete: true,
        warning: None,
        error: Some("[0]D(tolerated)".into()),
    };
    assert!(!c.failed());
    c.result = 100;
    assert!(c.failed());
    c.complete = false;
    assert!(!c.failed());
}

#[test]
fn lengths_and_nesting_are_capped() {
    assert!(matches!(length(*b"HTTP", FROM_DEVICE_CAP), Err(WireError::TooLong { .. })));
    let deep = format!("<plist>{}{}</plist>", "<array>".repeat(100_000), "</array>".repeat(100_000));
    assert!(parse(deep.as_bytes()).is_err());
    assert!(parse(b"bplist00").is_err());
}

#[test]
fn host_requests_survive() {
    let options = RestoreOptions::new(true, "U").build();
    for request in [
        ToDevice::QueryType,
        ToDevice::QueryValue { key: "HardwareInfo".into() },
        ToDevice::StartRestore { options, protocol: 15 },
        ToDevice::Reboot,
        ToDevice::Goodbye,
        ToDevice::ReceivedFinalStatus,
        ToDevice::Attest(false),
    ] {
        let bytes = frame(&request.build("herstel"));
        assert_eq!(ToDevice::parse(&parse_any(&bytes[4..]).unwrap()), request);
    }
}

#[test]
fn options_carry_the_whole_tables_and_the_difference_of_an_update() {
    let erase = RestoreOptions::new(true, "U").build();
    let types = erase.get("SupportedDataTypes").and_then(Value::as_dictionary).unwrap();
    assert_eq!(types.len(), names::data_types().len());
    assert_eq!(types.get("URLAsset"), Some(&Value::Boolean(true)));
    assert_eq!(types.get("RootTicket"), Some(&Value::Boolean(false)));
    assert_eq!(erase.get("CreateFilesystemPartitions"), Some(&Value::Boolean(true)));
    let mut update = RestoreOptions::new(false, "U");
    update.baseband_state = Some(Dictionary::from_iter([("Nonce", Value::Data(vec![1])), ("PkHash", true.into())]));
    let update = update.build();
    assert_eq!(update.get("CreateFilesystemPartitions"), Some(&Value::Boolean(false)));
    assert_eq!(update.get("BasebandNonce"), Some(&Value::Data(vec![1])));
    assert!(update.get("BBUpdaterState").and_then(Value::as_dictionary).unwrap().get("PkHash").is_none());
}

#[test]
fn names_follow_the_protocol() {
    assert_eq!(names::operation_name(46, 12), Some("Updating gas gauge software"));
    assert_eq!(names::operation_name(47, 15), Some("Updating gas gauge software"));
    assert_eq!(names::operation_name(29, 12), Some("Unmounting filesystems"));
    assert_eq!(names::checkpoint_id("seal_system_volume"), Some(0x68B));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(m) = parse(&bytes) {
            let _ = FromDevice::parse(&m);
        }
    }
}
