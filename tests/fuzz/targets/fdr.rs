//! FDR: any bytes as a property list, as a connect request and as the first word of its answer. Nothing panics, no
//! length is believed, and a host's name is nothing else than one.
#![no_main]

use herstel::wire::fdr::{self, Message, PLIST_CAP, PROXY_ACK, PROXY_CAP, ProxyRequest, Refusal};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let body = match bytes.split_first_chunk::<4>() {
        Some((prefix, body)) if fdr::length(*prefix).is_ok_and(|length| length == body.len()) => body,
        _ => bytes,
    };
    assert!(bytes.first_chunk().and_then(|p| fdr::length(*p).ok()).is_none_or(|length| length <= PLIST_CAP as usize));
    if let Ok(dictionary) = fdr::parse(body) {
        let said = Message::parse(&dictionary);
        let written = fdr::frame(&said.build());
        assert_eq!(fdr::length(*written.first_chunk().unwrap()), Ok(written.len() - 4));
        assert_eq!(Message::parse(&fdr::parse(&written[4..]).unwrap()), said);
    }
    if let Some(word) = bytes.first_chunk().map(|word| u16::from_le_bytes(*word)) {
        assert!(Refusal::number(word).is_none_or(|number| number != 0 && word != PROXY_ACK));
    }
    match ProxyRequest::parse(bytes) {
        Ok(Some((request, used))) => {
            assert!(used <= PROXY_CAP && used <= bytes.len());
            assert!(!request.host.is_empty() && !request.host.contains(|c: char| c.is_control() || c.is_whitespace()));
            // What is cut is never a request already.
            assert_eq!(ProxyRequest::parse(&bytes[..used - 1]), Ok(None));
            assert_eq!(ProxyRequest::parse(&bytes[..used]), Ok(Some((request, used))));
        }
        Ok(None) => assert!(bytes.len() < PROXY_CAP),
        Err(_) => {}
    }
});
