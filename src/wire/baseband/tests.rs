//! Parts of every format, sound and twisted: a signature goes to its place and nowhere else.

use super::*;
use proptest::prelude::*;

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

fn filled(mut head: Vec<u8>, length: usize) -> Vec<u8> {
    let filling = (head.len()..length).map(|i| (i % 251) as u8).collect::<Vec<_>>();
    head.extend(filling);
    head
}

fn short_mbn(told: u32) -> Vec<u8> {
    filled(words(&[0x0A, 3, 0, 0, told, 100, 0, 0, 0, 0]), 400)
}

fn long_mbn(told: u32) -> Vec<u8> {
    let mut head = vec![0xD1, 0xDC, 0x4B, 0x84, 0x34, 0x10, 0xD7, 0x73];
    head.extend(words(&[0, u32::MAX, u32::MAX, 80, 0, told]));
    head.resize(80, 0);
    filled(head, 400)
}

fn bin(told: u32) -> Vec<u8> {
    let mut head = vec![0x10, 0x04, 0x00, 0xEA, 0x6C, 0x69, 0x48, 0x55];
    head.extend(words(&[0, 1, told, 0]));
    filled(head, 400)
}

/// An ELF of `length` bytes with segments at these places.
fn elf(wide: bool, segments: &[(u64, u64)], length: usize) -> Vec<u8> {
    let mut out = b"\x7FELF".to_vec();
    out.extend([if wide { 2 } else { 1 }, 1, 1]);
    out.resize(16, 0);
    let count = segments.len() as u16;
    if wide {
        out.resize(0x20, 0);
        out.extend(64u64.to_le_bytes());
        out.resize(0x36, 0);
        out.extend([56, 0]);
        out.extend(count.to_le_bytes());
        out.resize(64, 0);
    } else {
        out.resize(0x1C, 0);
        out.extend(52u32.to_le_bytes());
        out.resize(0x2A, 0);
        out.extend([32, 0]);
        out.extend(count.to_le_bytes());
        out.resize(52, 0);
    }
    for (start, size) in segments {
        let at = out.len();
        if wide {
            out.extend([1, 0, 0, 0, 0, 0, 0, 0]);
            out.extend(start.to_le_bytes());
            out.resize(at + 32, 0);
            out.extend(size.to_le_bytes());
            out.resize(at + 56, 0);
        } else {
            out.extend([1, 0, 0, 0]);
            out.extend((*start as u32).to_le_bytes());
            out.resize(at + 16, 0);
            out.extend((*size as u32).to_le_bytes());
            out.resize(at + 32, 0);
        }
    }
    filled(out, length)
}

/// A hash segment of version 7, each area filled with a letter of its own.
fn version_7(areas: [usize; 8], letters: &[u8; 8], without_theirs: bool) -> Vec<u8> {
    let [common, theirs_meta, ours_meta, table, theirs, theirs_chain, ours, ours_chain] = areas.map(|a| a as u32);
    let mut out = words(&[0, 7, common, theirs_meta, ours_meta, table, theirs, theirs_chain, ours, ours_chain]);
    for (index, (length, letter)) in areas.iter().zip(letters).enumerate() {
        if !(without_theirs && (index == 4 || index == 5)) {
            out.resize(out.len() + length, *letter);
        }
    }
    out
}

const AREAS: [usize; 8] = [24, 8, 8, 96, 16, 32, 16, 48];

fn mav25_part() -> (Vec<u8>, usize) {
    let segment = version_7(AREAS, b"abcdefgh", false);
    let mut part = elf(true, &[(0, 300), (400, 100), (512, segment.len() as u64)], 512);
    part.extend(segment);
    (part, 512)
}

fn fls_elements(code: &[u8]) -> Vec<u8> {
    let mut out = words(&[1, 16, 0, 0xAAAA_AAAA]);
    let code_size = 40 + code.len() as u32;
    out.extend(words(&[0x0C, code_size, 0, 1, 2, 3, 4, code.len() as u32, 5, out.len() as u32 + 40]));
    out.extend(code);
    for kind in [0x10, 0x14] {
        out.extend(words(&[kind, 28, 0, 4, 9, out.len() as u32 + 24, 0xBBBB_BBBB]));
    }
    out
}

fn fls_code(signature: usize) -> Vec<u8> {
    let mut code = words(&[7, 7, 7, 7, 64 + signature as u32, 64]);
    code = filled(code, 64);
    code.resize(64 + signature, b's');
    code
}

fn answer(blobs: &[(&str, &[u8])]) -> Dictionary {
    let blobs = blobs.iter().map(|(name, blob)| ((*name).to_owned(), Value::Data(blob.to_vec())));
    Dictionary::from_iter([
        ("BBTicket".to_owned(), Value::Data(b"ticket".to_vec())),
        ("BasebandFirmware".to_owned(), Value::Dictionary(blobs.collect())),
    ])
}

#[test]
fn a_signature_takes_the_place_of_the_last_bytes() {
    let blob = [0xEE; 64];
    let inside = [(0, 200), (300, 100), (200, 50), (400, 0)];
    let parts = [short_mbn(360), long_mbn(320), bin(400), elf(false, &inside, 400), elf(true, &inside, 400)];
    for part in parts.into_iter().chain([vec![9; 64], short_mbn(300)]) {
        let done = mbn::stitch(part.clone(), &blob).unwrap();
        let at = part.len() - 64;
        assert_eq!(done[..at], part[..at]);
        assert_eq!(done[at..], blob);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let blob = [0xEE; 64];
    let refused = |part: Vec<u8>, blob: &[u8], why: &str| {
        let error = mbn::stitch(part, blob).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    for part in [short_mbn(361), long_mbn(321), bin(401), short_mbn(u32::MAX)] {
        refused(part, &blob, "its header tells");
    }
    refused(short_mbn(360), &[1; 361], "replace the header");
    refused(long_mbn(320), &[1; 321], "replace the header");
    refused(bin(400), &[1; 401], "a signature of 401 bytes for a part of 400");
    refused(elf(true, &[(300, 80), (340, 60)], 400), &blob, "another segment");
    refused(elf(true, &[(300, 50), (350, 50)], 400), &blob, "another segment");
    refused(elf(false, &[(100, 300)], 400), &[1; 330], "another segment");
    refused(elf(false, &[(100, 301)], 400), &blob, "a segment ends at 401");
    refused(elf(true, &[(u64::MAX, 2)], 400), &blob, "absurd");
    refused(elf(true, &[], 400), &blob, "a table of 0 segments");
    let mut part = elf(true, &[(300, 100)], 400);
    part[0x20..0x28].copy_from_slice(&390u64.to_le_bytes());
    refused(part, &blob, "not inside");
    let mut part = elf(true, &[(300, 100)], 400);
    part[5] = 2;
    refused(part, &blob, "byte order");
}

#[test]
fn a_mav25_keeps_the_signature_of_qualcomm() {
    let (part, at) = mav25_part();
    let blob = version_7(AREAS, b"ABCDEFGH", true);
    let done = mav25::stitch(part.clone(), &blob).unwrap();
    assert_eq!(done[..at], part[..at]);
    assert_eq!(done[at..], version_7(AREAS, b"ABCDefGH", false));

    let refused = |part: &[u8], blob: &[u8], why: &str| {
        let error = mav25::stitch(part.to_vec(), blob).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    refused(&part, &blob[..blob.len() - 1], "the signature is shorter");
    refused(&part, &version_7([24, 8, 8, 97, 16, 32, 16, 48], b"ABCDEFGH", true), "another hash table");
    refused(&part, &version_7([24, 8, 8, 96, 16, 32, 16, 49], b"ABCDEFGH", true), "does not fit");
    let mut other = part.clone();
    other[at + 4] = 6;
    refused(&other, &blob, "version 6");
    let mut other = part.clone();
    other[at + 8] = 25;
    refused(&other, &blob, "the hash segment is shorter");
    refused(&elf(true, &[(400, 100), (500, 0)], 500), &blob, "is empty");
    refused(&elf(true, &[(300, 200), (400, 100)], 500), &blob, "over others");
    refused(&[0; 99], &blob, "not an ELF");
}

#[test]
fn an_fls_grows_with_its_signature() {
    let old = fls_elements(&fls_code(20));
    let done = fls::with_signature(&old, &[b's'; 52]).unwrap();
    assert_eq!(done, fls_elements(&fls_code(52)));
    let done = fls::with_signature(&old, &[b's'; 3]).unwrap();
    assert_eq!(done, fls_elements(&fls_code(3)));

    let refused = |bytes: &[u8], why: &str| {
        let error = fls::with_signature(bytes, b"blob").unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    refused(&old[..old.len() - 1], "an element of 28 bytes, where 27 are left");
    refused(&[&old[..], &old[..]].concat(), "2 elements with code");
    refused(&old[..16], "0 elements with code");
    refused(&words(&[1, 0, 0, 0]), "an element of 0 bytes");
    for (at, value, why) in [(16 + 40 + 0x14, 85, "outside of the code"), (16 + 40 + 0x10, 85, "two lengths")] {
        let mut twisted = old.clone();
        twisted[at] = value;
        refused(&twisted, why);
    }
}

#[test]
fn the_ticket_of_an_fls_goes_before_the_code() {
    let code = fls_code(20);
    let done = fls::with_ticket(&fls_elements(&code), b"ticket").unwrap();
    assert_eq!(done, fls_elements(&[b"ticket\xFF\xFF", &code[..]].concat()));
}

#[test]
fn every_file_gets_its_own_signature() {
    let mut stitcher =
        Stitcher::new(&answer(&[("SBL1-Blob", b"SS"), ("Misc-Blob", b"MM"), ("Other", b"x")]), 1).unwrap();
    assert_eq!(stitcher.part("sbl1.mbn", vec![0; 4]).unwrap(), b"\0\0SS");
    assert_eq!(stitcher.part("apps.mbn", vec![0; 4]).unwrap(), [0; 4]);
    assert_eq!(stitcher.part("multi_image.mbn", vec![0; 3]).unwrap(), b"\0MM");
    assert_eq!(stitcher.rest().unwrap(), Some((TICKET, b"ticket".to_vec())));

    let mut stitcher = Stitcher::new(&answer(&[("RamPSI-Blob", b"blob")]), 1).unwrap();
    let (psi, ebl) = (fls_elements(&fls_code(20)), fls_elements(&fls_code(8)));
    assert_eq!(stitcher.part("psi_ram.fls", psi.clone()).unwrap().len(), psi.len() - 16);
    assert_eq!(stitcher.part("ebl.fls", ebl.clone()).unwrap().len(), ebl.len() + 8);
    assert_eq!(stitcher.rest().unwrap(), None);

    let (part, _) = mav25_part();
    let blob = version_7(AREAS, b"ABCDEFGH", true);
    let mut stitcher = Stitcher::new(&answer(&[("TME-Blob", &blob)]), MAV25).unwrap();
    assert_ne!(stitcher.part("signed_firmware_soc_view.elf", part.clone()).unwrap(), part);
}

#[test]
fn odd_answers_are_refused() {
    let why = |answer: &Dictionary, chip| Stitcher::new(answer, chip).err().unwrap().to_string();
    assert!(why(&Dictionary::new(), 1).contains("no BBTicket"));
    let mut bare = answer(&[]);
    bare.remove("BasebandFirmware");
    assert!(why(&bare, 1).contains("no BasebandFirmware"));
    assert!(why(&answer(&[("New-Blob", b"x")]), 1).contains("\"New\" is no part of modem 0x1"));
    assert!(why(&answer(&[("PSI-Blob", b"x")]), MAV25).contains("no part"));
    assert!(why(&answer(&[("DBL-Blob", b"x"), ("eDBL-Blob", b"x")]), 1).contains("two signatures"));
    assert!(why(&answer(&[("SBL1-Blob", b"")]), 1).contains("empty"));
    assert!(why(&answer(&[("SBL1-Blob", &vec![0; MAX_BLOB + 1])]), 1).contains("cap"));
    let never = |name: &str| {
        let stitcher = Stitcher::new(&answer(&[(name, b"x")]), 1).unwrap();
        stitcher.rest().unwrap_err().to_string()
    };
    assert!(never("SBL1-Blob").contains("sbl1.mbn is missing"));
    let mut stitcher = Stitcher::new(&answer(&[("RamPSI-Blob", b"x")]), 1).unwrap();
    stitcher.part("psi_ram.fls", fls_elements(&fls_code(20))).unwrap();
    assert!(stitcher.rest().unwrap_err().to_string().contains("ebl.fls is missing"));
    assert!(Stitcher::keeps("bbcfg.mbn") && !Stitcher::keeps("Info.plist") && !Stitcher::keeps(TICKET));
}

/// All parts that the tests know, with a way to stitch them.
fn any_part() -> impl Strategy<Value = Vec<u8>> {
    let inside = [(0, 200), (300, 100)];
    let parts = vec![
        short_mbn(360),
        long_mbn(320),
        bin(400),
        elf(false, &inside, 400),
        elf(true, &inside, 400),
        mav25_part().0,
        fls_elements(&fls_code(20)),
    ];
    prop::sample::select(parts)
}

proptest! {
    #[test]
    fn cut_and_twisted_parts_do_not_panic(
        mut part in any_part(),
        cut in any::<prop::sample::Index>(),
        twists in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        length in 1usize..500,
        whole in any::<bool>(),
    ) {
        for (place, value) in twists {
            let at = place.index(part.len());
            part[at] = value;
        }
        if !whole {
            part.truncate(cut.index(part.len()));
        }
        let mut blob = version_7(AREAS, b"ABCDEFGH", true);
        blob.resize(length, 1);
        for result in [mbn::stitch(part.clone(), &blob), mav25::stitch(part.clone(), &blob)].into_iter().flatten() {
            prop_assert_eq!(result.len(), part.len());
        }
        if let Ok(result) = mbn::stitch(part.clone(), &blob) {
            let at = part.len() - blob.len();
            prop_assert_eq!(&result[..at], &part[..at]);
            prop_assert_eq!(&result[at..], &blob[..]);
        }
        if let Ok(result) = fls::with_signature(&part, &blob) {
            // What was made can be read again, and the same signature changes nothing more.
            prop_assert_eq!(fls::with_signature(&result, &blob).unwrap(), result);
        }
        let _ = fls::with_ticket(&part, &blob);
        let mut header = blob.clone();
        header.truncate(cut.index(header.len()));
        let _ = mav25::stitch(part, &header);
    }
}
