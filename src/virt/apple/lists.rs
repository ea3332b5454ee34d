//! The catalogues: Apple's version plist, a page of AppleDB, a page of ipsw.me, all about the built files.

use super::Knobs;
use crate::virt::ipsw::BuiltIpsw;
use plist::{Dictionary, Value};
use serde_json::json;

fn sha1(file: &BuiltIpsw, knobs: &Knobs) -> String {
    if knobs.catalogue_wrong_sha1 { "0123456789abcdef0123456789abcdef01234567".into() } else { file.sha1.clone() }
}

/// Apple's nesting: generation, product type, build on the device, what to restore.
pub fn versions(files: &[BuiltIpsw], base: &str, knobs: &Knobs) -> Vec<u8> {
    let mut products = Dictionary::new();
    for file in files {
        let mut restore = Dictionary::new();
        restore.insert("BuildVersion".into(), file.build.to_string().into());
        restore.insert("ProductVersion".into(), file.version.to_string().into());
        restore.insert("FirmwareURL".into(), format!("{base}/ipsw/{}", file.name).into());
        restore.insert("FirmwareSHA1".into(), sha1(file, knobs).into());
        let row = Dictionary::from_iter([("Restore".to_owned(), Value::Dictionary(restore.clone()))]);
        let universal = Dictionary::from_iter([("Universal".to_owned(), Value::Dictionary(row.clone()))]);
        let known = Dictionary::from_iter([
            ("Restore".to_owned(), Value::Dictionary(restore.clone())),
            ("Update".to_owned(), Value::Dictionary(restore)),
        ]);
        let builds = Dictionary::from_iter([
            (file.build.to_string(), Value::Dictionary(known)),
            ("Unknown".to_owned(), Value::Dictionary(universal)),
        ]);
        products.insert(file.product.to_string(), Value::Dictionary(builds));
    }
    let softwares = Dictionary::from_iter([("MobileDeviceSoftwareVersions".to_owned(), Value::Dictionary(products))]);
    let empty =
        Dictionary::from_iter([("MobileDeviceSoftwareVersions".to_owned(), Value::Dictionary(Dictionary::new()))]);
    let generations = Dictionary::from_iter([
        ("9".to_owned(), Value::Dictionary(empty)),
        ("17".to_owned(), Value::Dictionary(softwares)),
    ]);
    let top =
        Dictionary::from_iter([("MobileDeviceSoftwareVersionsByVersion".to_owned(), Value::Dictionary(generations))]);
    let mut xml = Vec::new();
    let _ = Value::Dictionary(top).to_writer_xml(&mut xml);
    xml
}

/// `ios/<osStr>;<build>.json`; none when no such build was made.
pub fn appledb(files: &[BuiltIpsw], base: &str, page: &str, knobs: &Knobs) -> Option<Vec<u8>> {
    let build = page.strip_suffix(".json")?.rsplit_once(';').map(|(_, build)| build)?;
    let of_build: Vec<&BuiltIpsw> = files.iter().filter(|f| f.build.to_string() == build).collect();
    let first = of_build.first()?;
    let sources: Vec<_> = of_build
        .iter()
        .map(|file| {
            json!({
                "type": "ipsw",
                "deviceMap": [file.product],
                "links": [{ "url": format!("{base}/ipsw/{}", file.name), "active": true }],
                "hashes": { "sha1": sha1(file, knobs), "sha2-256": file.sha256 },
                "size": file.size,
            })
        })
        .collect();
    let document = json!({
        "osStr": "iOS", "version": first.version.to_string(), "build": build, "signed": true,
        "deviceMap": of_build.iter().map(|f| &f.product).collect::<Vec<_>>(), "sources": sources,
    });
    serde_json::to_vec(&document).ok()
}

/// `v4/device/<product>`.
pub fn ipswme(files: &[BuiltIpsw], base: &str, product: &str, knobs: &Knobs) -> Option<Vec<u8>> {
    let rows: Vec<_> = files
        .iter()
        .filter(|f| f.product.as_str() == product)
        .map(|file| {
            json!({
                "identifier": product, "version": file.version.to_string(), "buildid": file.build.to_string(),
                "sha1sum": sha1(file, knobs), "md5sum": "", "sha256sum": file.sha256, "filesize": file.size,
                "url": format!("{base}/ipsw/{}", file.name), "releasedate": "2026-09-28T17:00:00Z", "signed": true,
            })
        })
        .collect();
    if rows.is_empty() {
        return None;
    }
    serde_json::to_vec(&json!({ "name": product, "identifier": product, "firmwares": rows })).ok()
}
