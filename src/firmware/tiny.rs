//! The smallest file that is an IPSW, for the tests of this room: one board, erase, update and research.

use crate::wire::img4::{Algorithm, Im4p, digest_with_fourcc};
use plist::{Dictionary, Value};
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

pub const PRODUCT: &str = "iPhone14,5";
pub const BUILD: &str = "24A446";

pub fn dict(entries: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Dictionary(entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Dictionary>())
}

pub fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

pub fn xml(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    value.to_writer_xml(&mut out).unwrap();
    out
}

pub fn root_image() -> Vec<u8> {
    (0..300_000u32).map(|i| (i / 5) as u8).collect()
}

/// Name, path, IM4P, and the fourcc that it is sent with where that differs.
type Part = (&'static str, &'static str, Vec<u8>, Option<[u8; 4]>);

fn components() -> Vec<Part> {
    let kernel = Im4p::build(*b"krnl", "k", &[3; 9000], None);
    vec![
        ("iBSS", "Firmware/dfu/iBSS.d17.im4p", Im4p::build(*b"ibss", "i", &[1; 5000], None), None),
        ("iBEC", "Firmware/dfu/iBEC.d17.im4p", Im4p::build(*b"ibec", "i", &[2; 5000], None), None),
        ("KernelCache", "kernelcache.release.iphone14", kernel.clone(), None),
        ("RestoreKernelCache", "kernelcache.release.iphone14", kernel, Some(*b"rkrn")),
    ]
}

fn identity(variant: &str, behaviour: &str) -> Value {
    let mut manifest = Dictionary::new();
    for (name, path, bytes, payload) in components() {
        let digest = digest_with_fourcc(&bytes, payload, Algorithm::Sha384).unwrap();
        let mut info = vec![("Path", text(path))];
        if let Some(payload) = payload {
            info.push(("Img4PayloadType", text(std::str::from_utf8(&payload).unwrap())));
        }
        manifest.insert(
            name.to_owned(),
            dict([("Digest", Value::Data(digest)), ("Trusted", true.into()), ("Info", dict(info))]),
        );
    }
    let os = Algorithm::Sha384.digest(&[&root_image()]);
    let info = dict([("Path", text("root.dmg")), ("HashMethod", text("sha2-384")), ("Personalize", false.into())]);
    manifest.insert("OS".to_owned(), dict([("Digest", Value::Data(os)), ("Info", info)]));
    let info = dict([("Path", text("Firmware/baseband.bbfw"))]);
    manifest.insert("BasebandFirmware".to_owned(), dict([("Info", info)]));
    dict([
        ("ApBoardID", text("0x18")),
        ("ApChipID", text("0x8110")),
        ("ApSecurityDomain", text("0x01")),
        ("UniqueBuildID", Value::Data(vec![7; 20])),
        (
            "Info",
            dict([("DeviceClass", text("d17ap")), ("Variant", text(variant)), ("RestoreBehavior", text(behaviour))]),
        ),
        ("Manifest", Value::Dictionary(manifest)),
    ])
}

/// `note` makes files that differ in nothing else.
pub fn ipsw(note: &str) -> Vec<u8> {
    let manifest = dict([
        ("ManifestVersion", 0.into()),
        ("ProductBuildVersion", text(BUILD)),
        ("ProductVersion", text("27.0.1")),
        ("SupportedProductTypes", Value::Array(vec![text(PRODUCT)])),
        (
            "BuildIdentities",
            Value::Array(vec![
                identity("Customer Erase Install (IPSW)", "Erase"),
                identity("Customer Upgrade Install (IPSW)", "Update"),
                identity("Research Customer Erase Install (IPSW)", "Erase"),
            ]),
        ),
    ]);
    let mut files = vec![
        ("BuildManifest.plist", xml(&manifest)),
        ("Restore.plist", xml(&dict([("ProductBuildVersion", text(BUILD)), ("ProductType", text(PRODUCT))]))),
        ("note", note.as_bytes().to_vec()),
        ("Firmware/baseband.bbfw", b"parts".to_vec()),
        ("root.dmg", root_image()),
    ];
    let mut seen = Vec::new();
    for (_, path, bytes, _) in components() {
        if !seen.contains(&path) {
            seen.push(path);
            files.push((path, bytes));
        }
    }
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, bytes) in files {
        let method = if path == "root.dmg" { CompressionMethod::Stored } else { CompressionMethod::Deflated };
        zip.start_file(path, SimpleFileOptions::DEFAULT.compression_method(method)).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}
