//! Documents of the catalogues: any bytes are read without a panic, and no URL or digest comes out that is none.
#![no_main]

use herstel::firmware::Catalogue;
use herstel::wire::catalogue::{appledb, apple_versions, ipswme};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for parse in [apple_versions, appledb, ipswme] {
        let Ok(offers) = parse(bytes) else { continue };
        for offer in &offers.offers {
            assert!(!offer.url.starts_with("protected:"), "{}", offer.url);
            for (digest, length) in [(&offer.sha1, 40), (&offer.sha256, 64)] {
                let sound = |text: &String| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
                assert!(digest.as_ref().is_none_or(sound), "{digest:?}");
            }
        }
        let count = offers.offers.len();
        assert!(Catalogue::merge(offers.offers).firmwares.len() <= count);
    }
});
