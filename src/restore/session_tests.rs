//! The hangs that are proven of other hosts, each as a session that ends: well, or with a fault that says where it
//! stood. All in virtual time, against a device that stops or lies at the worst moment.

use super::session_bed::{BOUND, Device, Door, Ended, SILENCE, Server, hear, image, run};
use crate::event::{Event, Step};
use crate::fault::{Code, DeviceState};
use crate::wire::restored::{
    self as wire, BbUpdateStatus, Checkpoint, CheckpointId, DataRequest, ErrorLink, FromDevice, Status,
};
use plist::{Dictionary, Value};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const PORT: u16 = 49_160;

pub(super) fn status(number: i64) -> FromDevice {
    FromDevice::Status(Status { status: number, amr_error: None, log: None, chain: vec![] })
}

fn progress(operation: u64, percent: u8) -> FromDevice {
    FromDevice::Progress { operation, percent: Some(percent), context: None }
}

pub(super) fn checkpoint(id: u16, result: i64, complete: bool, error: Option<&str>) -> FromDevice {
    let error = error.map(str::to_owned);
    FromDevice::Checkpoint(Checkpoint { id: CheckpointId(id), name: None, result, complete, warning: None, error })
}

fn ask(kind: &str, port: Option<u16>) -> FromDevice {
    let mut request = DataRequest::new(kind);
    request.port = port;
    FromDevice::DataRequest(request)
}

/// The device asks for the image; its end of the ASR link.
async fn asr(device: &mut Device) -> DuplexStream {
    let link = device.doors.link(PORT, 1 << 20);
    device.say(&ask("SystemImageData", Some(PORT))).await;
    link
}

pub(super) fn acknowledged(message: Option<Dictionary>) {
    let message = message.expect("the final status was not acknowledged");
    assert_eq!(message.get("MsgType"), Some(&Value::from("ReceivedFinalStatusMsg")));
}

/// (code, stage, number, state) of a failure.
fn end(ended: &Ended) -> (Code, &str, Option<i64>, DeviceState) {
    let fault = ended.fault();
    let standing = fault.restore.as_deref().expect("where it stood");
    (fault.code, fault.stage.as_deref().unwrap_or_default(), fault.number, standing.device_state)
}

// -- 1: a message that is cut by the end of ASR --

#[test]
fn half_a_message_before_the_last_byte_of_the_image() {
    let ended = run(Server::Serves, async |mut device: Device| {
        device.greet().await;
        let mut link = asr(&mut device).await;
        let all = device.take_image(&mut link).await;
        assert!(all as u64 > image().size());
        let message = wire::frame(&progress(14, 50).build());
        let (first, rest) = message.split_at(message.len() / 2);
        device.write(first).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        link.read_u8().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        device.write(rest).await;
        device.say(&status(0)).await;
        acknowledged(device.hear().await);
    });
    assert!(ended.result.is_ok(), "{:?}", ended.result);
    let heard =
        ended.recorder.events().iter().any(|e| matches!(e, Event::Operation { code: 14, percent: Some(50), .. }));
    assert!(heard, "the message in two halves");
}

// -- 2: messages during ASR --

#[test]
fn a_failure_during_asr_is_heard_at_once() {
    let ended = run(Server::Serves, async |mut device: Device| {
        device.greet().await;
        let link = asr(&mut device).await;
        device.say(&progress(13, 7)).await;
        let update = BbUpdateStatus { accepted: false, done: false, imei: None, error: Some("no modem".into()) };
        device.say(&FromDevice::BbUpdateStatus(update)).await;
        let chain = vec![ErrorLink { domain: "RamrodErrorDomain".into(), code: 1004, text: "image".into() }];
        device.say(&FromDevice::Status(Status { status: 14, amr_error: Some(14), log: None, chain })).await;
        (device, link)
    });
    assert_eq!(end(&ended), (Code::RestoreFailed, "restore", Some(14), DeviceState::HalfErased));
    assert!(ended.took < Duration::from_secs(10), "{:?}", ended.took);
    let standing = ended.fault().restore.clone().unwrap();
    assert_eq!((standing.operation, standing.percent, standing.errors), (Some(13), Some(7), vec!["image".to_owned()]));
    let told = ended.recorder.events();
    assert!(told.iter().any(|e| matches!(e, Event::Warning { text } if text.contains("no modem"))), "{told:?}");
}

#[test]
fn a_crash_of_restored_during_asr_ends_it() {
    let ended = run(Server::Serves, async |mut device: Device| {
        device.greet().await;
        let link = asr(&mut device).await;
        device.say(&FromDevice::RestoredCrash { backtrace: vec!["0 restored 0x1".into()] }).await;
        (device, link)
    });
    assert_eq!(end(&ended).0, Code::RestoreFailed);
    assert!(ended.fault().detail.contains("0 restored 0x1") && ended.took < Duration::from_secs(60));
}

// -- 3: a status without anything around it --

#[test]
fn a_bare_status_is_the_end() {
    for (written, number) in [(Value::from(14), 14), (Value::from(u64::MAX), -1), (Value::from(-1), -1)] {
        let ended = run(Server::Serves, async |mut device: Device| {
            device.greet().await;
            let raw =
                Dictionary::from_iter([("MsgType".to_owned(), Value::from("StatusMsg")), ("Status".into(), written)]);
            device.write(&wire::frame(&raw)).await;
            device
        });
        assert_eq!(end(&ended), (Code::RestoreFailed, "restore", Some(number), DeviceState::Untouched));
        assert!(ended.took < Duration::from_secs(10));
    }
}

// -- 5: a type that nobody knows --

#[test]
fn an_unknown_type_is_refused_in_so_many_words_on_both_links() {
    let ended = run(Server::Serves, async |mut device: Device| {
        device.greet().await;
        device.say(&ask("TeapotData", None)).await;
        assert_eq!(device.hear().await, Some(Dictionary::new()));
        let mut link = device.doors.link(PORT, 1 << 20);
        device.say(&ask("SamovarData", Some(PORT))).await;
        assert_eq!(hear(&mut link).await, Some(Dictionary::new()));
        drop(link);
        device.say(&status(0)).await;
        acknowledged(device.hear().await);
    });
    assert_eq!(ended.result.unwrap().unknown, ["TeapotData", "SamovarData"]);
}

// -- 8: silence everywhere --

#[test]
fn silence_on_the_control_link() {
    let ended = run(Server::Serves, async |device: Device| device);
    assert_eq!(end(&ended), (Code::LinkSilent, "restore", None, DeviceState::Untouched));
    let ended = run(Server::Serves, async |mut device: Device| {
        device.greet().await;
        device.say(&checkpoint(0x60F, 0, false, None)).await;
        device
    });
    assert_eq!(end(&ended), (Code::LinkSilent, "restore", None, DeviceState::Unknown));
    assert!(ended.took >= SILENCE && ended.fault().detail.contains("0x60F clear_remap_variable"));
}

#[test]
fn silence_on_asr() {
    // Before its first message, and with a link that takes nothing more.
    for starts in [false, true] {
        let ended = run(Server::Serves, async |mut device: Device| {
            device.greet().await;
            let mut link = device.doors.link(PORT, 4096);
            device.say(&ask("SystemImageData", Some(PORT))).await;
            if starts {
                let begin = [
                    crate::wire::asr::FromDevice::Initiate { checksum_chunks: false }.build(),
                    crate::wire::asr::FromDevice::Payload.build(),
                ];
                link.write_all(&begin.concat()).await.unwrap();
            }
            (device, link)
        });
        assert_eq!(end(&ended), (Code::AsrFailed, "send-image", None, DeviceState::HalfErased), "{starts}");
    }
}

#[test]
fn data_ports_that_do_not_open() {
    for (door, code) in [(Door::Never, Code::LinkSilent), (Door::Refuses, Code::ServiceRefused)] {
        let ended = run(Server::Serves, async |mut device: Device| {
            device.greet().await;
            device.doors.set(PORT, door);
            device.say(&ask("RootTicket", Some(PORT))).await;
            device
        });
        assert_eq!(end(&ended).0, code);
        assert!(ended.took < Duration::from_secs(150) && ended.fault().detail.contains("RootTicket"));
    }
}

#[test]
fn links_that_take_no_answer() {
    let ended = run(Server::Serves, async |mut device: Device| {
        device.greet().await;
        let link = device.doors.link(PORT, 16);
        device.say(&ask("BuildIdentityDict", Some(PORT))).await;
        (device, link)
    });
    assert_eq!(end(&ended).0, Code::LinkSilent);
    assert!(ended.took < Duration::from_secs(200) && ended.fault().detail.contains("BuildIdentityDict"));
}

#[test]
fn output_of_the_device_that_never_ends() {
    let ended = run(Server::Serves, async |mut device: Device| {
        device.greet().await;
        let link = device.doors.link(PORT, 1 << 20);
        device.say(&ask("BasebandUpdaterOutputData", Some(PORT))).await;
        (device, link)
    });
    assert_eq!(end(&ended).0, Code::LinkSilent);
    assert!(ended.took < Duration::from_secs(120));
}

/// Servers that never answer, or cannot be reached: the device is told so, and what it makes of it is heard.
#[test]
fn servers_that_do_not_answer() {
    let asks = [("URLAsset", Code::DownloadStalled), ("FirmwareUpdaterData", Code::TssUnreachable)];
    for (server, kind, code) in asks
        .map(|(kind, code)| (Server::Silent, kind, code))
        .into_iter()
        .chain(asks.map(|(kind, _)| (Server::Fails(Code::TssNotSigned), kind, Code::TssRefused)))
    {
        let request = || {
            let tags = Value::Array(vec!["Savage,Ticket".into()]);
            let generated = Dictionary::from_iter([("@Savage,Ticket".to_owned(), Value::Boolean(true))]);
            DataRequest::new(kind)
                .argument("RequestURL", "https://wkms-public.apple.com/x")
                .argument("DeviceGeneratedRequest", generated)
                .argument("DeviceGeneratedTags", Dictionary::from_iter([("ResponseTags".to_owned(), tags)]))
                .argument("MessageArgUpdaterName", "Savage")
        };
        let ended = run(server, async |mut device: Device| {
            device.greet().await;
            let _image = asr(&mut device).await;
            device.say(&FromDevice::DataRequest(request())).await;
            // Messages are heard meanwhile.
            device.say(&progress(13, 9)).await;
            assert_eq!(device.hear().await, Some(Dictionary::new()), "a refusal in so many words");
            device.say(&FromDevice::Status(Status { status: -1, amr_error: Some(-1), log: None, chain: vec![] })).await;
            (device, _image)
        });
        let (found, _, number, state) = end(&ended);
        assert_eq!((found, number, state), (code, Some(-1), DeviceState::HalfErased), "{kind}");
        let fault = ended.fault();
        assert!(fault.detail.starts_with(kind) && fault.detail.contains("ended with status -1"), "{}", fault.detail);
        assert_eq!(fault.restore.as_ref().unwrap().percent, Some(9));
    }
}

#[test]
fn what_a_device_can_do_without_is_no_failure() {
    let ended = run(Server::Fails(Code::TssUnreachable), async |mut device: Device| {
        device.greet().await;
        device.say(&FromDevice::DataRequest(DataRequest::new("URLAsset"))).await;
        assert_eq!(device.hear().await, Some(Dictionary::new()));
        tokio::time::sleep(Duration::from_secs(300)).await;
        device.say(&checkpoint(0x65B, 0, true, None)).await;
        device.say(&status(0)).await;
        acknowledged(device.hear().await);
    });
    assert!(ended.result.is_ok(), "{:?}", ended.result);
}

// -- the end --

#[test]
fn a_good_end_is_acknowledged_and_closed_within_its_limit() {
    // The device says nothing more, does not even read, or is gone already.
    for behaviour in 0..3 {
        let ended = run(Server::Serves, async |mut device: Device| {
            device.greet().await;
            device.say(&status(0)).await;
            match behaviour {
                0 => {
                    acknowledged(device.hear().await);
                    assert_eq!(device.hear().await, None, "the host closes the link");
                    None
                }
                1 => Some(device),
                _ => None,
            }
        });
        assert!(ended.result.is_ok(), "{behaviour}: {:?}", ended.result);
        assert!(ended.took <= Duration::from_secs(15), "{behaviour}: {:?}", ended.took);
    }
}

#[test]
fn a_failure_stops_the_image_and_closes_the_links() {
    let ended = run(Server::Serves, async |mut device: Device| {
        device.greet().await;
        let mut link = asr(&mut device).await;
        link.write_all(&crate::wire::asr::FromDevice::Initiate { checksum_chunks: false }.build()).await.unwrap();
        link.read_u8().await.unwrap();
        device.say(&status(6)).await;
        assert_eq!(device.hear().await, None, "the control link");
        link.read_to_end(&mut Vec::new()).await.unwrap();
    });
    assert_eq!(end(&ended), (Code::RestoreFailed, "restore", Some(6), DeviceState::HalfErased));
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
}

#[test]
fn a_cable_that_comes_out_during_asr_is_the_link_and_not_the_image() {
    let ended = run(Server::Serves, async |mut device: Device| {
        device.greet().await;
        device.say(&progress(13, 3)).await;
        let mut link = asr(&mut device).await;
        let begin = crate::wire::asr::FromDevice::Initiate { checksum_chunks: false }.build();
        link.write_all(&begin).await.unwrap();
        link.read_u8().await.unwrap();
    });
    assert_eq!(end(&ended), (Code::LinkLost, "restore", None, DeviceState::HalfErased));
    assert!(
        ended.took < BOUND
            && ended.recorder.events().iter().any(|e| matches!(e, Event::StepBegan { step: Step::SendImage, .. }))
    );
}
