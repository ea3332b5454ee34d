//! The modem's firmware as an IPSW ships it: a zip of parts, and their digests in the manifest.
//!
//! Two eras: digests of SHA-1 and partial ones of the boot loaders, and those of SHA-256 and longer with
//! hash tables. The boot loader for restores is a real MBN with room for a signature at its end, since
//! hosts write the signature of Apple's answer there.

use super::content::noise;
use super::era::Era;
use crate::wire::img4::Algorithm;
use plist::{Dictionary, Value};
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Bytes at the end of a boot loader that a signature takes the place of.
const SIGNATURE: usize = 256;

/// File in the archive, name in the manifest, bytes.
const PARTS: [(&str, &str, usize); 6] = [
    ("restoresbl1.mbn", "RestoreSBL1", 60_000),
    ("sbl1.mbn", "SBL1", 60_000),
    ("apps.mbn", "APPS", 200_000),
    ("qdsp6sw.mbn", "QDSP6SW", 300_000),
    ("tz.mbn", "TZ", 40_000),
    ("rpm.mbn", "RPM", 30_000),
];

pub(super) fn path(era: &Era<'_>) -> String {
    let (_, family) = era.modem();
    format!("Firmware/{family}-{}.{:02}.00.Release.bbfw", era.train(), era.build.number % 100)
}

fn is_loader(name: &str) -> bool {
    name.ends_with("SBL1")
}

fn part(era: &Era<'_>, file: &str, name: &str, size: usize) -> Vec<u8> {
    let mut bytes = noise(&format!("{file} {}", era.build), size);
    if is_loader(name) {
        let code = (size - 40 - SIGNATURE) as u32;
        // Ten words: kind, version, two addresses, sizes of all, of the code, and of what follows it.
        let words =
            [0x0A, 3, 0, 0x8000_0000, code + SIGNATURE as u32, code, 0x8000_0000 + code, SIGNATURE as u32, 0, 0];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&u32::to_le_bytes(word));
        }
    }
    bytes
}

/// The archive.
pub(super) fn archive(era: &Era<'_>) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options =
        SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).compression_level(Some(1));
    for (file, name, size) in PARTS {
        // Writing to memory does not fail.
        let _ = zip.start_file(file, options).map(|()| zip.write_all(&part(era, file, name, size)));
    }
    zip.finish().map(Cursor::into_inner).unwrap_or_default()
}

/// What the manifest says about the parts.
pub(super) fn digests(era: &Era<'_>) -> Dictionary {
    let old = era.chip() < 11;
    let mut all = Dictionary::new();
    for (file, name, size) in PARTS {
        let bytes = part(era, file, name, size);
        let digest = if old { Algorithm::Sha1 } else { Algorithm::Sha256 }.digest(&[&bytes]);
        match (is_loader(name), old) {
            (true, true) => {
                // Where the digest's state was saved, and the state.
                let saved = [&u64::to_le_bytes((size - SIGNATURE) as u64)[..], &digest].concat();
                all.insert(format!("{name}-PartialDigest"), Value::Data(saved));
                all.insert(format!("{name}-Version"), Value::from(era.build.number));
            }
            (true, false) => {
                all.insert(format!("{name}-HashTableDigest"), Value::Data(digest));
                all.insert(format!("{name}-Version"), Value::from(era.build.number));
            }
            (false, _) => {
                let table = if old { Algorithm::Sha1 } else { Algorithm::Sha256 }.digest(&[&digest]);
                all.insert(format!("{name}-DownloadDigest"), Value::Data(digest));
                all.insert(format!("{name}-HashTableDigest"), Value::Data(table));
            }
        }
    }
    all
}

/// The identity's keys about the modem.
pub(super) fn keys(era: &Era<'_>) -> Dictionary {
    let algorithm = if era.chip() < 9 { Algorithm::Sha1 } else { Algorithm::Sha384 };
    let key = |name: &str| Value::Data(algorithm.digest(&[name.as_bytes()]));
    let mut keys = Dictionary::from_iter([
        ("BbChipID".to_owned(), Value::from(format!("0x{:08X}", era.modem().0))),
        ("BbActivationManifestKeyHash".to_owned(), key("activation")),
        ("BbProvisioningManifestKeyHash".to_owned(), key("provisioning")),
    ]);
    if era.chip() >= 10 {
        keys.insert("BbFDRSecurityKeyHash".to_owned(), Value::Data(Vec::new()));
        keys.insert("BbSkeyId".to_owned(), key("skey"));
    }
    keys
}
