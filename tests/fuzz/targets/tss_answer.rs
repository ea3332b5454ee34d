//! Answers of the signing server: any bytes are read without a panic, and only status 0 is a yes.
#![no_main]

use herstel::wire::tss::{Reply, Verdict};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(reply) = Reply::parse(bytes) else { return };
    match reply.verdict() {
        Verdict::Signed => assert_eq!(reply.status, 0),
        Verdict::NotSigned => assert_eq!(reply.status, 94),
        Verdict::Unknown { code, .. } => assert!(code == reply.status && ![0, 94].contains(&code)),
    }
    assert!(reply.body.is_none() || reply.status == 0, "a ticket without a yes");
});
