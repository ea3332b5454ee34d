//! restored: any bytes as one message and as all that a device says on the control link. Nothing panics, no length
//! is believed, what is understood is written and understood again, and requests for tickets can be made of
//! whatever the device says about its chips.
#![no_main]

use herstel::wire::manifest::{BuildIdentity, BuildManifest, ModeFacts};
use herstel::wire::restored::names::{self, operation_name};
use herstel::wire::restored::{self, DataRequest, FROM_DEVICE_CAP, FromDevice, ToDevice, TypeAnswer};
use herstel::wire::tss::{self, Peripheral};
use plist::Dictionary;
use std::sync::OnceLock;

const CHIPS: [Peripheral; 11] = [
    Peripheral::Baseband,
    Peripheral::SecureElement,
    Peripheral::Savage,
    Peripheral::Yonkers,
    Peripheral::Rose,
    Peripheral::Veridian,
    Peripheral::Tcon,
    Peripheral::Vinyl,
    Peripheral::Cryptex1,
    Peripheral::Centauri,
    Peripheral::Cellular,
];

fn identity() -> &'static BuildIdentity {
    static IDENTITY: OnceLock<BuildIdentity> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let bytes = include_bytes!("../seeds/build_manifest/one");
        BuildManifest::parse(bytes).unwrap().identities.remove(0)
    })
}

fn tickets(request: &DataRequest) {
    let facts =
        ModeFacts { production: true, security_mode: true, image4: true, in_rom_dfu: None, demotion_policy: None };
    let _ = tss::wants_firmware(&request.arguments);
    let made = tss::device_generated(identity(), &request.arguments, &facts, 1, "UUID");
    let retimer = Peripheral::TypeCRetimer { ticket: "Timer,Ticket,1".into(), tag: 1 };
    let asked = CHIPS.iter().chain([&retimer]).map(|chip| {
        let _ = chip.patch(identity(), &request.arguments);
        chip.request(identity(), &request.arguments, &facts, 1, "UUID")
    });
    for request in asked.chain([made]).flatten() {
        let _ = tss::encode(&request);
    }
}

/// What a host takes from a message, and that it takes it again when it is written.
fn message(dictionary: &Dictionary) {
    let _ = (ToDevice::parse(dictionary), TypeAnswer::parse(dictionary));
    let Ok(said) = FromDevice::parse(dictionary) else { return };
    match &said {
        FromDevice::Progress { operation, percent, .. } => {
            let _ = (operation_name(*operation, 12), operation_name(*operation, 15));
            assert!(percent.is_none_or(|p| p <= 100));
        }
        FromDevice::Checkpoint(checkpoint) => {
            let _ = names::checkpoint(checkpoint.id.0);
        }
        FromDevice::Status(status) => assert!(status.status == 0 || status.number() != 0 || status.amr_error.is_some()),
        FromDevice::DataRequest(request) | FromDevice::AsyncDataRequest(request) => {
            let _ = request.image_name();
            tickets(request);
        }
        _ => {}
    }
    let again = |said: &FromDevice| {
        let frame = restored::frame(&said.build());
        FromDevice::parse(&restored::parse(&frame[4..]).unwrap()).unwrap()
    };
    // Text that XML changes (a carriage return) is changed once.
    let once = again(&said);
    assert_eq!(std::mem::discriminant(&once), std::mem::discriminant(&said));
    assert_eq!(format!("{:?}", again(&once)), format!("{once:?}"));
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(dictionary) = restored::parse(bytes) {
        message(&dictionary);
    }
    let mut rest = bytes;
    while let Some((prefix, more)) = rest.split_first_chunk::<4>() {
        let Ok(length) = restored::length(*prefix, FROM_DEVICE_CAP) else { return };
        assert!(length <= FROM_DEVICE_CAP as usize);
        let Some((body, more)) = more.split_at_checked(length) else { return };
        let Ok(dictionary) = restored::parse(body) else { return };
        message(&dictionary);
        rest = more;
    }
});
