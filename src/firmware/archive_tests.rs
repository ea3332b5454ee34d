//! Zips that are whole, and zips that somebody damaged by hand.

use super::archive::{Archive, Method};
use crate::fault::{Code, Fault};
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

const STORED: SimpleFileOptions = SimpleFileOptions::DEFAULT.compression_method(CompressionMethod::Stored);
const DEFLATED: SimpleFileOptions = SimpleFileOptions::DEFAULT.compression_method(CompressionMethod::Deflated);

fn image() -> Vec<u8> {
    (0..5000u32).map(|i| (i * 7) as u8).collect()
}

fn small() -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_directory("Firmware/", STORED).unwrap();
    zip.start_file("BuildManifest.plist", DEFLATED).unwrap();
    zip.write_all(&b"<plist/>".repeat(200)).unwrap();
    zip.start_file("image.dmg", STORED.large_file(true)).unwrap();
    zip.write_all(&image()).unwrap();
    zip.start_file("Firmware/empty", STORED).unwrap();
    zip.set_comment("a comment").unwrap();
    zip.finish().unwrap().into_inner()
}

fn open(bytes: &[u8]) -> Result<Archive, Fault> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    Archive::open(file.path())
}

/// Where the central record of `name` begins.
fn central(zip: &[u8], name: &str) -> usize {
    (0..zip.len() - 46)
        .find(|&at| zip[at..].starts_with(b"PK\x01\x02") && zip[at + 46..].starts_with(name.as_bytes()))
        .unwrap()
}

fn put(zip: &mut [u8], at: usize, bytes: &[u8]) {
    zip[at..at + bytes.len()].copy_from_slice(bytes);
}

fn refused(zip: &[u8], word: &str) {
    let fault = open(zip).err().unwrap_or_else(|| panic!("opened although {word}"));
    assert_eq!(fault.code, Code::FirmwareDamaged, "{fault}");
    assert!(fault.detail.contains(word), "{fault}");
}

#[test]
fn entries_are_read_whatever_their_method() {
    let archive = open(&small()).unwrap();
    let names: Vec<_> = archive.names().collect();
    assert_eq!(names, ["BuildManifest.plist", "Firmware/empty", "image.dmg"]);
    assert_eq!(archive.read("BuildManifest.plist", 10_000).unwrap(), b"<plist/>".repeat(200));
    assert_eq!(archive.read("image.dmg", 5000).unwrap(), image());
    assert_eq!(archive.read("Firmware/empty", 0).unwrap(), b"");
    assert_eq!(archive.get("BuildManifest.plist").unwrap().method, Method::Deflated);
    let (at, size) = archive.stored("image.dmg").unwrap();
    let mut middle = [0; 100];
    archive.shared.read_exact_at(at + 1000, &mut middle).unwrap();
    assert!(size == 5000 && middle == image()[1000..1100]);
    assert!(archive.stored("BuildManifest.plist").is_none());
    for (name, cap) in [("image.dmg", 4999), ("nothing", 10)] {
        assert_eq!(archive.read(name, cap).unwrap_err().code, Code::FirmwareDamaged);
    }
}

#[test]
fn zip64_everywhere_is_read_and_a_contradiction_refused() {
    // Rewritten by hand: the directory's own numbers all saturated, a zip64 record and locator before the end.
    let plain = small();
    let end = plain.len() - 22 - "a comment".len();
    let number = |at: usize, n: usize| plain[at..at + n].iter().rev().fold(0u64, |sum, b| sum << 8 | u64::from(*b));
    let (count, size, offset) = (number(end + 10, 2), number(end + 12, 4), number(end + 16, 4));
    let build = |count64: u64, classic: bool| {
        let mut zip = plain[..end].to_vec();
        let place = zip.len() as u64;
        zip.extend_from_slice(b"PK\x06\x06");
        zip.extend_from_slice(&44u64.to_le_bytes());
        zip.extend_from_slice(&[45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for value in [count64, count64, size, offset] {
            zip.extend_from_slice(&value.to_le_bytes());
        }
        zip.extend_from_slice(b"PK\x06\x07\0\0\0\0");
        zip.extend_from_slice(&place.to_le_bytes());
        zip.extend_from_slice(&1u32.to_le_bytes());
        let mut tail = plain[end..].to_vec();
        if !classic {
            put(&mut tail, 8, &[0xFF; 12]);
        }
        zip.extend_from_slice(&tail);
        zip
    };
    for classic in [true, false] {
        let archive = open(&build(count, classic)).unwrap();
        assert_eq!(archive.read("image.dmg", 5000).unwrap(), image());
    }
    refused(&build(count - 1, true), "contradict");
    refused(&build(1 << 40, false), "absurd");
}

#[test]
fn truncated_at_every_byte_from_the_directory_on_it_is_refused() {
    let zip = small();
    let start = central(&zip, "Firmware/");
    for cut in start..zip.len() {
        let fault = open(&zip[..cut]).err().unwrap_or_else(|| panic!("opened when cut at {cut} of {}", zip.len()));
        assert_eq!(fault.code, Code::FirmwareDamaged, "cut at {cut}: {fault}");
    }
    for cut in [0, 1, 21, 22, 100] {
        assert!(open(&zip[..cut]).is_err());
    }
}

#[test]
fn hostile_names_are_refused() {
    for (from, to) in [
        ("image.dmg", "../../dmg"),
        ("image.dmg", "/etc/passw"),
        ("image.dmg", "a/../.dmg"),
        ("image.dmg", "image\\dmg"),
        ("image.dmg", "image\0dmg"),
        ("image.dmg", "C:age.dmg"),
        ("image.dmg", "a//ge.dmg"),
    ] {
        let mut zip = small();
        let to = &to.as_bytes()[..from.len()];
        let places: Vec<usize> =
            (0..zip.len() - from.len()).filter(|&at| zip[at..].starts_with(from.as_bytes())).collect();
        assert_eq!(places.len(), 2, "local and central");
        for at in places {
            put(&mut zip, at, to);
        }
        refused(&zip, "not a name");
    }
    let mut zip = small();
    let at = central(&zip, "image.dmg");
    put(&mut zip, at + 46, b"Image.dmg");
    refused(&zip, "contradicts");
    let mut zip = small();
    put(&mut zip, at + 46, b"\xFF");
    refused(&zip, "UTF-8");
}

#[test]
fn absurd_sizes_and_overlaps_are_refused() {
    let plain = small();
    let (image_at, manifest_at) = (central(&plain, "image.dmg"), central(&plain, "BuildManifest.plist"));

    let mut bomb = plain.clone();
    put(&mut bomb, manifest_at + 24, &0x7FFF_FFFFu32.to_le_bytes());
    refused(&bomb, "absurd");

    let mut stored = plain.clone();
    put(&mut stored, image_at + 24, &5001u32.to_le_bytes());
    refused(&stored, "absurd");

    let mut long = plain.clone();
    for field in [20, 24] {
        put(&mut long, image_at + field, &6000u32.to_le_bytes());
    }
    refused(&long, "beyond the directory");

    // The manifest's data is said to reach into the image.
    let mut overlap = plain.clone();
    let compressed = u32::from_le_bytes(plain[manifest_at + 20..manifest_at + 24].try_into().unwrap());
    put(&mut overlap, manifest_at + 20, &(compressed + 60).to_le_bytes());
    refused(&overlap, "overlap");

    // Two names for the same bytes: the classic bomb.
    let mut twice = plain.clone();
    let local = plain[image_at + 42..image_at + 46].to_vec();
    put(&mut twice, manifest_at + 42, &local);
    refused(&twice, "contradicts");

    let mut beyond = plain.clone();
    put(&mut beyond, image_at + 42, &0xFFFF_0000u32.to_le_bytes());
    refused(&beyond, "beyond the directory");
}

#[test]
fn a_name_that_is_there_twice_is_refused() {
    let from = b"Firmware/empty";
    let to = b"Firmware/other";
    let mut with_two = ZipWriter::new(Cursor::new(Vec::new()));
    for name in ["Firmware/empty", "Firmware/other"] {
        with_two.start_file(name, STORED).unwrap();
    }
    let mut doubled = with_two.finish().unwrap().into_inner();
    let places: Vec<usize> = (0..doubled.len() - to.len()).filter(|&at| doubled[at..].starts_with(to)).collect();
    for at in places {
        put(&mut doubled, at, from);
    }
    refused(&doubled, "twice");
}

#[test]
fn wrong_content_is_found_when_reading() {
    let plain = small();
    for name in ["image.dmg", "BuildManifest.plist"] {
        let mut crc = plain.clone();
        let at = central(&crc, name);
        crc[at + 16] ^= 1;
        let fault = open(&crc).unwrap().read(name, 10_000).unwrap_err();
        assert_eq!(fault.code, Code::FirmwareDamaged, "{fault}");
    }
    for size in [1599u32, 1601] {
        let mut wrong = plain.clone();
        let at = central(&wrong, "BuildManifest.plist");
        put(&mut wrong, at + 24, &size.to_le_bytes());
        let fault = open(&wrong).unwrap().read("BuildManifest.plist", 10_000).unwrap_err();
        assert_eq!(fault.code, Code::FirmwareDamaged, "{fault}");
    }
    let mut flipped = plain.clone();
    let at = (0..plain.len()).find(|&at| plain[at..].starts_with(&image()[..64])).unwrap();
    flipped[at + 2500] ^= 0x10;
    let archive = open(&flipped).unwrap();
    assert!(archive.read("image.dmg", 5000).unwrap_err().detail.contains("CRC"));
    for (field, value, word) in [(8, 1u16, "encrypted"), (10, 12, "contradicts")] {
        let mut odd = plain.clone();
        let at = central(&odd, "image.dmg");
        put(&mut odd, at + field, &value.to_le_bytes());
        let fault = open(&odd).and_then(|a| a.read("image.dmg", 5000)).unwrap_err();
        assert!(fault.detail.contains(word), "{fault}");
    }
}

#[test]
fn an_image_beyond_4_gib_is_read_by_position() {
    use std::os::unix::fs::FileExt;
    const SIZE: u64 = 5 << 30;
    let le = |parts: &[(u64, usize)]| -> Vec<u8> {
        parts.iter().flat_map(|(value, bytes)| value.to_le_bytes()[..*bytes].to_vec()).collect()
    };
    let sizes = le(&[(1, 2), (16, 2), (SIZE, 8), (SIZE, 8)]);
    let mut local = b"PK\x03\x04".to_vec();
    local.extend(le(&[(45, 2), (0, 4), (0, 4), (0, 4), (u64::MAX, 8), (8, 2), (20, 2)]));
    local.extend_from_slice(b"root.dmg");
    local.extend_from_slice(&sizes);
    let directory = local.len() as u64 + SIZE + 11;
    let mut tail = b"PK\x01\x02".to_vec();
    tail.extend(le(&[
        (45, 2),
        (45, 2),
        (0, 4),
        (0, 4),
        (0, 4),
        (u64::MAX, 8),
        (8, 2),
        (20, 2),
        (0, 8),
        (0, 4),
        (0, 2),
    ]));
    tail.extend_from_slice(b"root.dmg");
    tail.extend_from_slice(&sizes);
    let length = tail.len() as u64;
    tail.extend_from_slice(b"PK\x06\x06");
    tail.extend(le(&[(44, 8), (45, 2), (45, 2), (0, 8), (1, 8), (1, 8), (length, 8), (directory, 8)]));
    tail.extend_from_slice(b"PK\x06\x07");
    tail.extend(le(&[(0, 4), (directory + length, 8), (1, 4)]));
    tail.extend_from_slice(b"PK\x05\x06");
    tail.extend(le(&[(0, 4), (1, 2), (1, 2), (length, 4), (0xFFFF_FFFF, 4), (0, 2)]));
    let file = tempfile::NamedTempFile::new().unwrap();
    let start = local.len() as u64;
    file.as_file().write_all_at(&local, 0).unwrap();
    file.as_file().write_all_at(b"here", start + SIZE - 4).unwrap();
    file.as_file().write_all_at(&tail, directory).unwrap();

    let ipsw = super::Ipsw::open(file.path()).unwrap();
    let image = ipsw.stored("root.dmg").unwrap();
    assert_eq!(image.size, SIZE);
    let mut end = [0xFF; 12];
    assert_eq!(image.read_at(SIZE - 8, &mut end).unwrap(), 8);
    assert_eq!(&end, b"\0\0\0\0here\xFF\xFF\xFF\xFF");
    assert_eq!(image.read_at(SIZE, &mut end).unwrap(), 0);
}

proptest::proptest! {
    #[test]
    fn any_damage_is_an_error_or_harmless_but_never_a_panic(
        changes in proptest::collection::vec((0usize..7000, proptest::num::u8::ANY), 1..8)
    ) {
        let mut zip = small();
        let length = zip.len();
        for (at, byte) in changes {
            // Mostly where the headers are: the last part of the file.
            zip[length - 1 - at % 600 % length] = byte;
        }
        if let Ok(archive) = open(&zip) {
            let names: Vec<String> = archive.names().map(str::to_owned).collect();
            for name in names {
                let _ = archive.read(&name, 1 << 20);
            }
        }
    }
}
