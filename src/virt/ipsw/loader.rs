//! Boot loaders of modems: parts of an archive with a place for a signature of Apple's.
//!
//! Four forms, by the age of the modem: MBN with a short header, with a long one, an ELF with its hash
//! segment at the end, and an ELF whose hash segment has two signers. Headers are as real ones are, the rest
//! is noise. The signature that the bench's signing server makes follows from the part's digest, so the phone
//! knows which one to expect; and the digest leaves the place of the signature out, so it holds before and
//! after. Which form a modem has is a guess but for the last; hosts are told nothing but the bytes.

use super::content::noise;
use crate::wire::img4::Algorithm;
use std::ops::Range;

/// The modem of the iPhone 17.
const TWO_SIGNERS: u64 = 0x001F_30E1;

/// Lengths in a hash segment with two signers: metadata (of all, Qualcomm's, Apple's), table, Qualcomm's
/// signature and certificates, Apple's.
const AREAS: [u32; 8] = [24, 0xE0, 0xE0, 144, 104, 0xD20, 0x68, 0xD20];
const HEADER: usize = 40;

#[derive(Clone, Copy)]
enum Form {
    Short,
    Long,
    Elf,
    TwoSigners,
}

fn form(modem: u64) -> Form {
    match modem {
        0x006F_20E1 | 0x0096_00E1 => Form::Short,
        0x0092_01E1 => Form::Long,
        TWO_SIGNERS => Form::TwoSigners,
        _ => Form::Elf,
    }
}

/// Elements of Apple's answer, and their files.
pub(super) fn files(modem: u64) -> &'static [(&'static str, &'static str)] {
    match form(modem) {
        Form::Short | Form::Long => &[("RestoreSBL1", "restoresbl1.mbn"), ("SBL1", "sbl1.mbn")],
        Form::Elf => &[("RestoreSBL1", "restoresbl1.mbn"), ("SBL1", "sbl1.mbn"), ("Misc", "multi_image.mbn")],
        Form::TwoSigners => &[
            ("RestoreSBL1", "restorexbl_sc.elf"),
            ("SBL1", "xbl_sc.elf"),
            ("Misc", "multi_image.mbn"),
            ("TME", "signed_firmware_soc_view.elf"),
        ],
    }
}

fn area(range: Range<usize>) -> usize {
    AREAS.get(range).unwrap_or_default().iter().map(|length| *length as usize).sum()
}

/// Where in a part of `size` bytes its signature goes.
fn places(modem: u64, size: usize) -> Vec<Range<usize>> {
    let last = |length: usize| size.saturating_sub(length);
    match form(modem) {
        Form::Short | Form::Long => std::iter::once(last(256)..size).collect(),
        Form::Elf => std::iter::once(last(512)..size).collect(),
        Form::TwoSigners => {
            let start = last(HEADER + area(0..8));
            vec![start..start + HEADER + area(0..4), last(area(6..8))..size]
        }
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// An ELF of 64 bits: its headers, code, and a hash segment of the last `hashes` bytes.
fn elf(size: usize, hashes: usize) -> Vec<u8> {
    let (headers, code, at) = (64 + 3 * 56, 0x1000, size - hashes);
    let mut out = b"\x7FELF\x02\x01\x01".to_vec();
    out.resize(16, 0);
    out.extend([2, 0, 164, 0, 1, 0, 0, 0]);
    out.extend(words(&[0, 0, 64, 0, 0, 0, 0]));
    out.extend([64, 0, 56, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
    for (kind, flags, start, length) in
        [(0, 0x0700_0000, 0, headers), (1, 5, code, at - code), (0, 0x0220_0000, at, hashes)]
    {
        let (start, length) = (start as u32, length as u32);
        out.extend(words(&[kind, flags, start, 0, start, 0, start, 0, length, 0, length, 0, 0x1000, 0]));
    }
    out
}

fn two_signers() -> Vec<u8> {
    [&words(&[0, 7]), &words(&AREAS)[..]].concat()
}

/// A part as an archive ships it.
pub(super) fn build(modem: u64, seed: &str, size: usize) -> Vec<u8> {
    let mut bytes = noise(seed, size);
    let mut put = |at: usize, new: &[u8]| {
        for (place, byte) in bytes.iter_mut().skip(at).zip(new) {
            *place = *byte;
        }
    };
    match form(modem) {
        Form::Short => {
            let (all, code) = (size as u32 - 40, size as u32 - 40 - 256);
            put(0, &words(&[0x0A, 3, 0, 0x8000_0000, all, code, 0x8000_0000 + code, 256, 0, 0]));
        }
        Form::Long => {
            put(0, &[0xD1, 0xDC, 0x4B, 0x84, 0x34, 0x10, 0xD7, 0x73]);
            let end = size as u32;
            put(8, &words(&[0x15, u32::MAX, u32::MAX, 80, 0x8000_0000, end - 80, end - 256, 256, 0, 0, 0, 1, 1]));
            put(60, &[0xFF; 20]);
        }
        Form::Elf => put(0, &elf(size, 4096)),
        Form::TwoSigners => {
            let hashes = HEADER + area(0..8);
            put(0, &elf(size, hashes));
            put(size - hashes, &two_signers());
        }
    }
    bytes
}

/// What Apple's server answers for a part with this digest.
pub(in crate::virt) fn signature(modem: u64, element: &str, digest: &[u8]) -> Vec<u8> {
    let seed = format!("{element} {digest:02x?}");
    match form(modem) {
        Form::Short | Form::Long => noise(&seed, 256),
        Form::Elf => noise(&seed, 512),
        Form::TwoSigners => {
            [two_signers(), noise(&seed, area(0..4)), noise(&format!("{seed} end"), area(6..8))].concat()
        }
    }
}

/// The digest of a part without its signature.
pub(super) fn digest(modem: u64, algorithm: Algorithm, part: &[u8]) -> Vec<u8> {
    let mut pieces = Vec::new();
    let mut from = 0;
    for place in places(modem, part.len()) {
        pieces.push(part.get(from..place.start).unwrap_or_default());
        from = place.end;
    }
    algorithm.digest(&pieces)
}

/// The bytes where a part's signature is.
pub(super) fn signed_with(modem: u64, part: &[u8]) -> Vec<u8> {
    places(modem, part.len()).into_iter().flat_map(|place| part.get(place).unwrap_or_default().to_vec()).collect()
}
