//! IMG4, IM4P and IM4M: any bytes are read without a panic, a payload is patched in its fourcc and nowhere else, and
//! what is stitched comes apart into the same parts.
#![no_main]

use herstel::wire::img4::{
    Algorithm, Im4m, Im4mFields, Im4p, Img4, Property, digest_with_fourcc, im4r, stitch, with_fourcc,
};
use std::sync::OnceLock;

fn ticket() -> &'static [u8] {
    static TICKET: OnceLock<Vec<u8>> = OnceLock::new();
    let fields = Im4mFields { ecid: 7, chip: 0x8110, ap_nonce: vec![1; 32], ..Im4mFields::default() };
    TICKET.get_or_init(|| Im4m::build(&fields, |_| vec![5; 64], &[]))
}

fn payload(bytes: &[u8]) {
    let Ok(im4p) = Im4p::parse(bytes) else {
        assert!(with_fourcc(bytes, *b"rkrn").is_err() && stitch(bytes, None, ticket(), None).is_err());
        return;
    };
    let patched = with_fourcc(bytes, *b"rkrn").unwrap();
    assert_eq!(Im4p::parse(&patched).unwrap().fourcc, *b"rkrn");
    assert_eq!(patched.iter().zip(bytes).filter(|(a, b)| a != b).count() <= 4, patched.len() == bytes.len());
    let digest = digest_with_fourcc(bytes, Some(*b"rkrn"), Algorithm::Sha384).unwrap();
    assert_eq!(digest, Algorithm::Sha384.digest(&[&patched]));
    let properties = im4r(&[(*b"snid", Property::Int(2))]);
    let whole = stitch(bytes, Some(*b"rkrn"), ticket(), Some(&properties)).unwrap();
    let parts = Img4::parse(&whole).unwrap();
    assert_eq!((parts.im4p.payload, parts.im4m, parts.im4r), (im4p.payload, ticket(), Some(&properties[..])));
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    payload(bytes);
    let mut tickets = vec![bytes];
    if let Ok(img4) = Img4::parse(bytes) {
        payload(img4.im4p.whole);
        tickets.push(img4.im4m);
    }
    for bytes in tickets {
        let Ok(im4m) = Im4m::parse(bytes) else { continue };
        assert_eq!(im4m.raw, bytes);
        assert!(!im4m.is_for(im4m.ecid.unwrap_or(0).wrapping_add(1), None), "a ticket for a stranger");
        assert!(im4m.components.len() <= bytes.len());
    }
});
