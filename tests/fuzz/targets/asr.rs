//! ASR: any bytes as all that a device says, and as the host's packet info. Nothing panics, what is read out of the
//! image stays within its cap, and a message means the same when it is written again.
#![no_main]

use herstel::wire::asr::{self, FromDevice, MESSAGE_CAP, OOB_CAP, PacketInfo};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Some(length)) = asr::message_length(rest) {
        assert!(length <= MESSAGE_CAP && rest[..length].ends_with(asr::END));
        let (message, more) = rest.split_at(length);
        rest = more;
        if let Ok(info) = PacketInfo::parse(message) {
            assert_eq!(PacketInfo::parse(&info.build()), Ok(info));
        }
        let Ok(said) = FromDevice::parse(message) else { continue };
        if let FromDevice::OobData { length, .. } = said {
            assert!(length <= OOB_CAP);
        }
        let written = said.build();
        assert_eq!(asr::message_length(&written), Ok(Some(written.len())));
        assert_eq!(FromDevice::parse(&written), Ok(said));
    }
});
