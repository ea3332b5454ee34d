//! The layout against bytes that Apple published, the place of a Blob, and lengths that lie.

use super::*;
use proptest::prelude::*;

fn sample_blob() -> Vec<u8> {
    blob(0xD9_0806_D5F0, &[7; 128], &[5; 1909])
}

#[test]
fn the_layout_is_the_one_of_real_files() {
    let image = build(*b"ibss", "iBoot-3406.60.10", &[9; 100]);
    assert_eq!((&image[..4], &image[16..20], &image[20..24]), (&b"3gmI"[..], &b"ssbi"[..], &b"EPYT"[..]));
    let parsed = Img3::parse(&image).unwrap();
    let names: Vec<_> = parsed.tags.iter().map(|t| std::str::from_utf8(&t.name).unwrap()).collect();
    assert_eq!(names, ["TYPE", "DATA", "VERS", "SHSH", "CERT"]);
    assert_eq!((parsed.header.kind, parsed.tag(b"DATA").unwrap().data), (*b"ibss", &[9; 100][..]));
    assert_eq!((parsed.version().as_deref(), parsed.ecid()), (Some("iBoot-3406.60.10"), None));
    assert_eq!(parsed.header.full as usize, image.len());
}

#[test]
fn a_blob_begins_as_apples_do() {
    // The first 20 bytes of TSS's answer for an iPhone 4, as published.
    let apples = *b"DICE\x40\0\0\0\x08\0\0\0\xF0\xD5\x06\x08\xD9\0\0\0";
    let ours = sample_blob();
    assert_eq!(ours[..20], apples);
    assert_eq!(ours[64..76], *b"HSHS\x8C\0\0\0\x80\0\0\0");
    assert_eq!(ours[204..216], *b"TREC\x81\x07\0\0\x75\x07\0\0");
    assert_eq!(ecid_of_blob(&ours), Some(0xD9_0806_D5F0));
}

#[test]
fn a_blob_takes_the_place_of_the_signature() {
    let image = build(*b"illb", "iBoot-1", &[9; 300]);
    let shipped = Img3::parse(&image).unwrap();
    let mine = personalise(&image, &sample_blob()).unwrap();
    let parsed = Img3::parse(&mine).unwrap();
    let names: Vec<_> = parsed.tags.iter().map(|t| std::str::from_utf8(&t.name).unwrap()).collect();
    assert_eq!(names, ["TYPE", "DATA", "VERS", "ECID", "SHSH", "CERT"]);
    assert_eq!(parsed.header.signed, shipped.header.signed + 64);
    assert_eq!(parsed.header.full as usize, mine.len());
    assert_eq!((parsed.ecid(), parsed.tag(b"SHSH").unwrap().data), (Some(0xD9_0806_D5F0), &[7; 128][..]));
    assert_eq!(&mine[20..20 + shipped.header.signed as usize], &image[20..20 + shipped.header.signed as usize]);
    // For another device once more: the old ECID goes.
    let other = personalise(&mine, &blob(5, &[1; 128], &[2; 11])).unwrap();
    let other = Img3::parse(&other).unwrap();
    assert_eq!((other.ecid(), other.tags.len(), other.header.signed), (Some(5), 6, parsed.header.signed));
}

#[test]
fn what_follows_the_signature_stays_behind_it() {
    let (kind, bag) = (tag(*b"TYPE", b"ssbi", 0), tag(*b"KBAG", &[1; 56], 0));
    let (old, certificate) = (tag(*b"SHSH", &[0; 128], 0), tag(*b"CERT", &[0; 9], 0));
    let image = write(*b"ibss", &[&kind, &old, &certificate, &bag], kind.len()).unwrap();
    let mine = personalise(&image, &sample_blob()).unwrap();
    let parsed = Img3::parse(&mine).unwrap();
    assert_eq!(parsed.tags.last().unwrap().name, *b"KBAG");
    assert_eq!(parsed.header.signed as usize, kind.len() + 64);
    let bare = write(*b"ibss", &[&kind, &bag], 0).unwrap();
    let mine = personalise(&bare, &sample_blob()).unwrap();
    assert_eq!(Img3::parse(&mine).unwrap().tags.last().unwrap().name, *b"CERT");
}

#[test]
fn a_digest_leaves_the_signature_out() {
    let mut image = build(*b"ibec", "1", &[9; 300]);
    let digest = Img3::parse(&image).unwrap().digest();
    *image.last_mut().unwrap() ^= 1;
    assert_eq!(Img3::parse(&image).unwrap().digest(), digest);
    image[70] ^= 1;
    assert_ne!(Img3::parse(&image).unwrap().digest(), digest);
}

#[test]
fn wrong_lengths_are_refused() {
    let image = build(*b"ibss", "iBoot-1", &[9; 100]);
    for length in 0..image.len() {
        assert!(Img3::parse(&image[..length]).is_err(), "{length}");
    }
    // Full length, length of all tags, signed part, a tag's length, its data's.
    for (at, value) in [
        (4, u32::MAX),
        (4, 30),
        (8, u32::MAX),
        (12, u32::MAX),
        (12, 33),
        (24, 0),
        (24, u32::MAX),
        (28, u32::MAX),
        (28, 21),
    ] {
        let mut bad = image.clone();
        bad[at..at + 4].copy_from_slice(&value.to_le_bytes());
        assert!(Img3::parse(&bad).is_err(), "{at} {value}");
        assert!(personalise(&bad, &sample_blob()).is_err());
    }
    let row = vec![tag(*b"TYPE", &[], 0); MAX_TAGS + 1];
    let row: Vec<&[u8]> = row.iter().map(Vec::as_slice).collect();
    assert!(Img3::parse(&write(*b"ibss", &row, 0).unwrap()).is_err());
}

#[test]
fn a_blob_of_other_tags_is_refused() {
    let image = build(*b"ibss", "iBoot-1", &[9; 100]);
    let (ecid, shsh, cert) = (tag(*b"ECID", &[1; 8], 64), tag(*b"SHSH", &[1; 128], 0), tag(*b"CERT", &[1; 9], 0));
    let whole = [&ecid[..], &shsh, &cert].concat();
    assert!(personalise(&image, &whole).is_ok());
    for bad in [
        vec![],
        ecid.clone(),
        [&ecid[..], &cert, &shsh].concat(),
        [&whole[..], &cert].concat(),
        whole[..whole.len() - 1].to_vec(),
        vec![0; MAX_BLOB + 1],
    ] {
        assert!(personalise(&image, &bad).is_err());
    }
}

#[test]
fn a_ticket_says_whom_it_is_for() {
    let ticket = ApTicket { ecid: Some(0x1234), nonce: Some(vec![7; 20]), digests: vec![vec![1; 20], vec![2; 20]] };
    let bytes = ticket.build(|signed| signed[..4].to_vec(), &[1, 2, 3]);
    assert_eq!(ApTicket::parse(&bytes).unwrap(), ticket);
    // Apple's tags as tools of the field know them.
    assert!(bytes.windows(10).any(|w| w == [0x81, 8, 0x34, 0x12, 0, 0, 0, 0, 0, 0]));
    assert!(bytes.windows(3).any(|w| w == [0x92, 20, 7]));
    let padded = ApTicket::padded(&bytes);
    assert!(
        padded.len().is_multiple_of(64)
            && padded.starts_with(&bytes)
            && padded[bytes.len()..].iter().all(|b| *b == 0xFF)
    );
    assert_eq!(ApTicket::padded(&[1; 128]).len(), 128);
    for length in 0..bytes.len() {
        assert!(ApTicket::parse(&bytes[..length]).is_err());
    }
}

proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..600_usize, value in any::<u32>()) {
        let _ = Img3::parse(&bytes);
        let _ = ApTicket::parse(&bytes);
        let _ = tags(&bytes);
        let _ = ecid_of_blob(&bytes);
        let mut image = build(*b"ibss", "iBoot-1", &[9; 400]);
        image[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let mut blob = sample_blob();
        if let Ok(made) = personalise(&image, &blob) {
            prop_assert!(Img3::parse(&made).is_ok());
        }
        if let Ok(parsed) = Img3::parse(&image) {
            let _ = (parsed.version(), parsed.ecid(), parsed.digest());
        }
        blob[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let image = build(*b"ibss", "iBoot-1", &[9; 40]);
        if let Ok(made) = personalise(&image, &blob) {
            prop_assert!(Img3::parse(&made).is_ok());
        }
    }
}
