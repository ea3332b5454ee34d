//! The modem's firmware as an IPSW ships it: a zip of parts, and their digests in the manifest.
//!
//! Two eras: digests of SHA-1 and partial ones of the boot loaders, and those of SHA-256 and longer with
//! hash tables. Boot loaders have room for a signature, which their digests leave out (see `loader`): hosts
//! write the signatures of Apple's answer there, and the phone looks whether they did.

use super::content::noise;
use super::era::Era;
use super::loader;
use crate::facts::models::Model;
use crate::virt::phone::offered_system;
use crate::wire::img4::Algorithm;
use plist::{Dictionary, Value};
use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// What no signature goes into: file in the archive, name in the manifest, bytes.
const PARTS: [(&str, &str, usize); 4] = [
    ("apps.mbn", "APPS", 200_000),
    ("qdsp6sw.mbn", "QDSP6SW", 300_000),
    ("tz.mbn", "TZ", 40_000),
    ("rpm.mbn", "RPM", 30_000),
];
const LOADER: usize = 60_000;

pub(super) fn path(era: &Era<'_>) -> String {
    let (_, family) = era.modem();
    format!("Firmware/{family}-{}.{:02}.00.Release.bbfw", era.train(), era.build.number % 100)
}

/// File, name in the manifest, bytes of the file; loaders first.
fn parts<'a>(era: &'a Era<'_>) -> impl Iterator<Item = (&'static str, &'static str, bool, Vec<u8>)> + 'a {
    let modem = era.modem().0;
    let seed = |file: &str| format!("{file} {}", era.build);
    let loaders = loader::files(modem);
    let loaders =
        loaders.iter().map(move |(name, file)| (*file, *name, true, loader::build(modem, &seed(file), LOADER)));
    loaders.chain(PARTS.iter().map(move |(file, name, size)| (*file, *name, false, noise(&seed(file), *size))))
}

/// The archive.
pub(super) fn archive(era: &Era<'_>) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options =
        SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).compression_level(Some(1));
    for (file, _, _, bytes) in parts(era) {
        // Writing to memory does not fail.
        let _ = zip.start_file(file, options).map(|()| zip.write_all(&bytes));
    }
    zip.finish().map(Cursor::into_inner).unwrap_or_default()
}

/// What the manifest says about the parts.
pub(super) fn digests(era: &Era<'_>) -> Dictionary {
    let old = era.chip() < 11;
    let algorithm = if old { Algorithm::Sha1 } else { Algorithm::Sha256 };
    let mut all = Dictionary::new();
    for (_, name, is_loader, bytes) in parts(era) {
        if is_loader {
            let digest = loader::digest(era.modem().0, algorithm, &bytes);
            if old {
                // Where the digest's state was saved, and the state.
                let saved = [&u64::to_le_bytes(bytes.len() as u64)[..], &digest].concat();
                all.insert(format!("{name}{PARTIAL}"), Value::Data(saved));
            } else {
                all.insert(format!("{name}{TABLE}"), Value::Data(digest));
            }
            all.insert(format!("{name}-Version"), Value::from(era.build.number));
        } else {
            let digest = algorithm.digest(&[&bytes]);
            all.insert(format!("{name}{TABLE}"), Value::Data(algorithm.digest(&[&digest])));
            all.insert(format!("{name}-DownloadDigest"), Value::Data(digest));
        }
    }
    all
}

const PARTIAL: &str = "-PartialDigest";
const TABLE: &str = "-HashTableDigest";

/// `BbChipID` of a model, which does not depend on its system.
pub(in crate::virt) fn chip_of(model: &'static Model) -> u64 {
    let (version, build) = offered_system(model);
    Era { model, version: &version, build: &build }.modem().0
}

/// Elements of a modem that want signatures, each with what the manifest's entry says of it.
pub(in crate::virt) fn unsigned(modem: u64, entry: &Dictionary) -> Vec<(&'static str, Vec<u8>)> {
    let told = |name: &str| {
        let table = entry.get(&format!("{name}{TABLE}")).and_then(Value::as_data);
        let partial = || entry.get(&format!("{name}{PARTIAL}")).and_then(Value::as_data)?.get(8..);
        table.or_else(partial).map(<[u8]>::to_vec)
    };
    loader::files(modem).iter().filter_map(|(name, _)| Some((*name, told(name)?))).collect()
}

/// Would this modem start with these files? `complete` when all must be there.
pub(in crate::virt) fn judge(
    modem: u64,
    entry: &Dictionary,
    files: &BTreeMap<String, Vec<u8>>,
    complete: bool,
) -> Result<(), String> {
    let algorithm = |digest: &[u8]| if digest.len() == 20 { Algorithm::Sha1 } else { Algorithm::Sha256 };
    let absent = |file: &str| if complete { Err(format!("no {file} in the archive")) } else { Ok(()) };
    for (name, digest) in unsigned(modem, entry) {
        let file = loader::files(modem).iter().find(|(element, _)| *element == name).map_or("", |(_, file)| file);
        let Some(bytes) = files.get(file) else {
            absent(file)?;
            continue;
        };
        if loader::digest(modem, algorithm(&digest), bytes) != digest {
            return Err(format!("{file} was changed outside of its signature"));
        }
        if loader::signed_with(modem, bytes) != loader::signature(modem, name, &digest) {
            return Err(format!("{file} is not signed"));
        }
    }
    for (file, name, _) in PARTS {
        let Some(digest) = entry.get(&format!("{name}-DownloadDigest")).and_then(Value::as_data) else { continue };
        match files.get(file) {
            None => absent(file)?,
            Some(bytes) if algorithm(digest).digest(&[bytes]) != digest => {
                return Err(format!("{file} was changed"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Most bytes that an archive may unfold to; those of the bench have less than one megabyte.
const ARCHIVE_CAP: u64 = 64 << 20;

/// The files of what a host sent.
pub(in crate::virt) fn unpacked(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let broken = |e: &dyn std::fmt::Display| format!("BasebandData is no archive: {e}");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| broken(&e))?;
    let (mut files, mut left) = (BTreeMap::new(), ARCHIVE_CAP);
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(|e| broken(&e))?;
        let name = file.name().map_err(|e| broken(&e))?.to_string();
        let mut content = Vec::new();
        let read = file.take(left + 1).read_to_end(&mut content).map_err(|e| broken(&e))? as u64;
        left = left.checked_sub(read).ok_or("BasebandData unfolds to too much")?;
        files.insert(name, content);
    }
    Ok(files)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::models::by_nickname;
    use crate::firmware::baseband::signed;

    #[test]
    fn what_the_product_signs_starts_every_modem() {
        let (version, build) = ("27.0.1".parse().unwrap(), "24A446".parse().unwrap());
        let mut seen = Vec::new();
        for name in ["iphone5s", "iphone6", "iphone8", "iphone13", "v57ap"] {
            let era = Era { model: by_nickname(name).unwrap(), version: &version, build: &build };
            let (modem, entry, shipped) = (era.modem().0, digests(&era), archive(&era));
            let parts = unsigned(modem, &entry);
            assert_eq!(parts.len(), loader::files(modem).len(), "{name}");
            let blobs: Dictionary = parts
                .iter()
                .map(|(part, digest)| (format!("{part}-Blob"), Value::Data(loader::signature(modem, part, digest))))
                .collect();
            let answer = Dictionary::from_iter([
                ("BBTicket".to_owned(), Value::Data(b"ticket".to_vec())),
                ("BasebandFirmware".to_owned(), blobs.into()),
            ]);
            let made = unpacked(&signed(&shipped, &answer, modem).unwrap()).unwrap();
            assert_eq!(judge(modem, &entry, &made, true), Ok(()), "{name}");
            assert_eq!(made["bbticket.der"], b"ticket");

            let why = |files: &BTreeMap<String, Vec<u8>>| judge(modem, &entry, files, true).unwrap_err();
            assert!(why(&unpacked(&shipped).unwrap()).ends_with("is not signed"), "{name}");
            let (_, first) = loader::files(modem)[0];
            for (file, at, reason) in [
                (first, 0x2000, "outside of its signature"),
                (first, LOADER - 1, "is not signed"),
                ("tz.mbn", 9, "changed"),
            ] {
                let mut twisted = made.clone();
                twisted.get_mut(file).unwrap()[at] ^= 1;
                assert!(why(&twisted).contains(reason), "{name} {file} {at}");
                twisted.remove(file);
                assert!(why(&twisted).contains("in the archive"), "{name}");
                assert_eq!(judge(modem, &entry, &twisted, false), Ok(()), "{name}");
            }
            seen.push(modem);
        }
        seen.dedup();
        assert_eq!(seen.len(), 5, "every form and both kinds of digests: {seen:x?}");
    }
}
