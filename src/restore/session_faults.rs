//! A fault at every message: whatever a device was just about to say or has just been told, it falls silent, sends
//! noise, pulls out, or gives up; and each time the session ends in bounded time with a fault that says where it
//! stood, or goes on where the fault harms nothing.

use super::session_bed::{BOUND, Device, ECID, Ended, Server, hear, run};
use crate::event::Event;
use crate::fault::{Code, DeviceState};
use crate::wire::restored::{
    self as wire, BbUpdateStatus, Checkpoint, CheckpointId, DataRequest, FromDevice, Status, names,
};
use plist::{Dictionary, Value};
use proptest::prelude::*;

const PORT: u16 = 49_161;

/// One of each kind of message, by its name in the table of kinds.
fn messages() -> Vec<(&'static str, FromDevice)> {
    let checkpoint = Checkpoint {
        id: CheckpointId(0x634),
        name: Some("fdr_recover".into()),
        result: 0,
        complete: true,
        warning: None,
        error: None,
    };
    let mut output = Dictionary::new();
    output.insert("MsgType".into(), "BasebandUpdaterOutputData".into());
    output.insert("DataPort".into(), Value::from(u64::from(PORT)));
    let other = |kind: &str| {
        let raw = Dictionary::from_iter([("MsgType".to_owned(), Value::from(kind))]);
        FromDevice::Other { kind: kind.into(), raw }
    };
    vec![
        ("ProgressMsg", FromDevice::Progress { operation: 18, percent: Some(40), context: Some("A".into()) }),
        (
            "StatusMsg",
            FromDevice::Status(Status { status: 9, amr_error: Some(9), log: Some("l".into()), chain: vec![] }),
        ),
        ("DataRequestMsg", FromDevice::DataRequest(DataRequest::new("RootTicket"))),
        ("AsyncDataRequestMsg", FromDevice::AsyncDataRequest(DataRequest::new("FDRTrustData"))),
        ("CheckpointMsg", FromDevice::Checkpoint(checkpoint)),
        (
            "BBUpdateStatusMsg",
            FromDevice::BbUpdateStatus(BbUpdateStatus { accepted: true, done: false, imei: None, error: None }),
        ),
        ("BasebandUpdaterOutputData", FromDevice::Other { kind: "BasebandUpdaterOutputData".into(), raw: output }),
        ("PreviousRestoreLogMsg", FromDevice::PreviousRestoreLog("log".into())),
        ("RestoredCrash", FromDevice::RestoredCrash { backtrace: vec!["0".into()] }),
        ("AsyncWait", FromDevice::AsyncWait { context: Some("A".into()) }),
        ("RestoreAttestation", FromDevice::RestoreAttestation),
        ("ProvisioningInfo", other("ProvisioningInfo")),
        ("ProvisioningAck", other("ProvisioningAck")),
        ("ProvisioningStatusMsg", other("ProvisioningStatusMsg")),
        ("FDRSubmit", other("FDRSubmit")),
        ("CrashLog", other("CrashLog")),
        ("RestoreProtocol", other("RestoreProtocol")),
    ]
}

/// What a device does instead of the next message, and with which codes the session may end.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    Silent,
    NoPlist,
    NoDictionary,
    Absurd,
    HalfAndGone,
    Unplugged,
    AmrError(i64),
}

const WRONGS: &[(Wrong, Code)] = &[
    (Wrong::Silent, Code::LinkSilent),
    (Wrong::NoPlist, Code::LinkGarbage),
    (Wrong::NoDictionary, Code::LinkGarbage),
    (Wrong::Absurd, Code::LinkAbsurd),
    (Wrong::HalfAndGone, Code::LinkLost),
    (Wrong::Unplugged, Code::LinkLost),
    (Wrong::AmrError(53), Code::FdrFailed),
    (Wrong::AmrError(1015), Code::RestoreFailed),
    (Wrong::AmrError(68), Code::UpdateImpossible),
];

impl Wrong {
    /// Gives the links that stay open.
    async fn happen<T>(self, mut device: Device, others: T) -> Option<(Device, T)> {
        let framed = |body: &[u8]| [&(body.len() as u32).to_be_bytes()[..], body].concat();
        match self {
            Wrong::Silent => {}
            Wrong::NoPlist => device.write(&framed(&[0xA5; 64])).await,
            Wrong::NoDictionary => device.write(&framed(b"<plist version=\"1.0\"><array/></plist>")).await,
            Wrong::Absurd => device.write(&[0xFF, 0xFF, 0xFF, 0xF0]).await,
            Wrong::HalfAndGone => {
                device.write(&[0, 0, 1, 0, b'<']).await;
                return None;
            }
            Wrong::Unplugged => return None,
            Wrong::AmrError(number) => {
                let status = Status { status: number, amr_error: Some(number), log: None, chain: vec![] };
                device.say(&FromDevice::Status(status)).await;
            }
        }
        Some((device, others))
    }
}

fn judge(ended: &Ended, wanted: &[Code], what: &str) {
    let fault = ended.fault();
    assert!(wanted.contains(&fault.code), "{what}: {fault}");
    assert_eq!((fault.stage.as_deref(), fault.device), (Some("restore"), Some(ECID)), "{what}: {fault}");
    assert!(!fault.detail.is_empty() && fault.restore.is_some(), "{what}: {fault}");
    assert!(ended.took <= BOUND, "{what}");
}

#[test]
fn the_list_of_kinds_is_whole() {
    let from_host = ["ReceivedFinalStatusMsg", "MsgType"];
    let ours: Vec<&str> = messages().into_iter().map(|(name, _)| name).collect();
    for (kind, _) in names::message_types().iter().filter(|(kind, _)| !from_host.contains(kind)) {
        assert!(ours.contains(kind), "no {kind}");
    }
}

#[test]
fn after_every_message_the_worst() {
    for (kind, message) in messages() {
        for (wrong, code) in WRONGS {
            let ended = run(Server::Serves, async |mut device: Device| {
                device.greet().await;
                device.say(&message).await;
                let asked = matches!(message, FromDevice::DataRequest(_) | FromDevice::AsyncDataRequest(_));
                if asked || message == FromDevice::RestoreAttestation {
                    device.hear().await.unwrap();
                }
                wrong.happen(device, ()).await
            });
            // Three messages are a reason by themselves.
            let also = match kind {
                "StatusMsg" | "RestoredCrash" => Code::RestoreFailed,
                // Its port is never opened.
                "BasebandUpdaterOutputData" => Code::ServiceRefused,
                _ => *code,
            };
            judge(&ended, &[*code, also], &format!("{kind}, then {wrong:?}"));
            if kind == "CheckpointMsg" {
                let standing = ended.fault().restore.clone().unwrap();
                assert_eq!(
                    (standing.checkpoint, standing.checkpoint_name.as_deref()),
                    (Some(0x634), Some("fdr_recover"))
                );
                let known = matches!(wrong, Wrong::AmrError(_));
                assert_eq!(standing.device_state == DeviceState::Untouched, known, "said only when it is certain");
            }
        }
    }
}

#[test]
fn before_the_restore_began_the_worst() {
    for (wrong, code) in WRONGS.iter().filter(|(wrong, _)| !matches!(wrong, Wrong::AmrError(_))) {
        let ended = run(Server::Serves, async |mut device: Device| {
            device.hear().await.unwrap();
            wrong.happen(device, ()).await
        });
        judge(&ended, &[*code], &format!("{wrong:?}"));
        assert_eq!(ended.fault().restore.as_ref().unwrap().device_state, DeviceState::Untouched);
    }
}

/// Every value of every message, replaced by one of another type: told as garbage, or passed over; never a hang, and
/// a status after it is heard.
#[test]
fn wrong_types_inside_a_good_dictionary() {
    let others = [
        Value::Array(vec![Value::from(1)]),
        Value::Data(vec![1, 2]),
        Value::from("x"),
        Value::from(u64::MAX),
        Value::from(-7),
        Value::Real(1e300),
        Value::Dictionary(Dictionary::new()),
    ];
    for (kind, message) in messages() {
        let good = message.build();
        for key in good.keys().filter(|key| *key != "MsgType") {
            for other in &others {
                let mut bad = good.clone();
                bad.insert(key.clone(), other.clone());
                let ended = run(Server::Serves, async |mut device: Device| {
                    device.greet().await;
                    device.write(&wire::frame(&bad)).await;
                    Wrong::AmrError(53).happen(device, ()).await
                });
                let what = format!("{kind}.{key} = {other:?}");
                let codes = [Code::LinkGarbage, Code::FdrFailed, Code::RestoreFailed, Code::ServiceRefused];
                if ended.result.is_ok() {
                    assert!(kind == "StatusMsg", "{what}");
                    continue;
                }
                judge(&ended, &codes, &what);
            }
        }
    }
}

/// Requests of every type, known or not, on either link, plain or asynchronous.
fn requests() -> Vec<(&'static str, FromDevice)> {
    let images = ["SystemImageData", "RecoveryOSASRImage"];
    let mut all = Vec::new();
    for kind in names::data_types().iter().map(|(kind, _)| *kind).chain(["TeapotData"]) {
        if images.contains(&kind) {
            continue;
        }
        let plain =
            DataRequest::new(kind).argument("ImageName", "iBoot").argument("RequestURL", "https://x.apple.com/");
        let mut on_port = plain.clone();
        on_port.port = Some(PORT);
        all.push((kind, FromDevice::DataRequest(plain.clone())));
        all.push((kind, FromDevice::AsyncDataRequest(plain)));
        all.push((kind, FromDevice::DataRequest(on_port.clone())));
        all.push((kind, FromDevice::AsyncDataRequest(on_port)));
    }
    all
}

/// What a device writes on its port instead of reading there.
const GIVES: &[&str] = &["BasebandUpdaterOutputData"];

#[test]
fn every_data_type_gets_an_answer_wherever_it_is_asked() {
    for server in [Server::Serves, Server::Fails(Code::TssUnreachable), Server::Silent] {
        for (kind, request) in requests() {
            let (FromDevice::DataRequest(asked) | FromDevice::AsyncDataRequest(asked)) = &request else { continue };
            let ended = run(server, async |mut device: Device| {
                device.greet().await;
                let mut link = device.doors.link(PORT, 64 << 20);
                device.say(&request).await;
                match (asked.port, GIVES.contains(&kind)) {
                    (_, true) => drop(link),
                    (Some(_), _) => drop(hear(&mut link).await.unwrap_or_else(|| panic!("no answer to {request:?}"))),
                    (None, _) => {
                        device.hear().await.unwrap_or_else(|| panic!("no answer to {request:?}"));
                    }
                }
                let status = Status { status: 0, amr_error: None, log: None, chain: vec![] };
                device.say(&FromDevice::Status(status)).await;
                // Whatever is left of a long answer, and the acknowledgement.
                while device.hear().await.is_some() {}
            });
            assert!(ended.result.is_ok(), "{kind}: {:?}", ended.result);
        }
    }
}

#[test]
fn after_every_request_the_worst() {
    for (kind, request) in requests() {
        let (FromDevice::DataRequest(asked) | FromDevice::AsyncDataRequest(asked)) = &request else { continue };
        for (wrong, code) in WRONGS {
            let ended = run(Server::Serves, async |mut device: Device| {
                device.greet().await;
                let link = device.doors.link(PORT, 64 << 20);
                device.say(&request).await;
                wrong.happen(device, link).await
            });
            // A port that takes nothing is noticed before the silence is.
            let also =
                if asked.port.is_some() || kind == "BasebandUpdaterOutputData" { Code::LinkSilent } else { *code };
            judge(&ended, &[*code, also], &format!("{request:?}, then {wrong:?}"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Noise in any framing, between messages that are right: it ends.
    #[test]
    fn noise_ends_it(noise in prop::collection::vec(any::<u8>(), 1..300), framed: bool, before in 0usize..4) {
        let ended = run(Server::Serves, async |mut device: Device| {
            device.greet().await;
            for (_, message) in messages().into_iter().filter(|(k, _)| ["ProgressMsg", "AsyncWait"].contains(k)).take(before) {
                device.say(&message).await;
            }
            let prefix = (noise.len() as u32).to_be_bytes();
            device.write(if framed { &prefix } else { &[] }).await;
            device.write(&noise).await;
            device
        });
        prop_assert!(ended.result.is_err());
        let silent_or_bad = [Code::LinkGarbage, Code::LinkAbsurd, Code::LinkSilent];
        prop_assert!(silent_or_bad.contains(&ended.fault().code), "{}", ended.fault());
        let told = ended.recorder.events().iter().any(|e| matches!(e, Event::Operation { .. }));
        prop_assert_eq!(told, before > 0);
    }
}
