//! AppleDB's page of a build and ipsw.me's page of a device.
//!
//! Both are read loosely (unknown keys are skipped, empty digests are none) but refused whole when they are
//! no JSON or lack their list. Betas are left to the caller, who can tell them by the build number.

use super::{MAX_CATALOGUE, Offer, Offers, Source, fetchable, hex, nothing};
use crate::ids::{BuildId, ProductType, Version};
use crate::wire::WireError;
use crate::wire::manifest::xml;
use serde_json::Value;

fn document(what: &'static str, bytes: &[u8]) -> Result<Value, WireError> {
    if bytes.len() > MAX_CATALOGUE {
        return Err(WireError::TooLong { what, length: bytes.len() as u64, cap: MAX_CATALOGUE as u64 });
    }
    let body = xml::trimmed(bytes);
    if body.is_empty() {
        return Err(WireError::Short { what });
    }
    if body.starts_with(b"<") {
        return Err(WireError::malformed(what, "an HTML page (a login portal, a filter or an error page)"));
    }
    serde_json::from_slice(body).map_err(|err| match err.is_eof() {
        true => WireError::Short { what },
        false => WireError::malformed(what, err.to_string()),
    })
}

/// Reads one page of AppleDB (`/ios/iOS;24A446.json`): every product with an IPSW of this build.
///
/// # Errors
/// When it is no JSON, or lacks version, build or sources.
pub fn appledb(bytes: &[u8]) -> Result<Offers, WireError> {
    const WHAT: &str = "AppleDB's page";
    let page = document(WHAT, bytes)?;
    let (Some(version), Some(build), Some(sources)) =
        (version(&page["version"]), build(&page["build"]), page["sources"].as_array())
    else {
        return Err(WireError::malformed(WHAT, "no version, build or sources"));
    };
    let signed = page["signed"].as_bool();
    let mut offers = Offers::default();
    for source in sources.iter().filter(|source| source["type"] == "ipsw") {
        let links = source["links"].as_array().map(Vec::as_slice).unwrap_or_default();
        let live = links.iter().filter(|link| link["active"] != false);
        let link = live.clone().find(|link| link["preferred"] == true).or_else(|| live.clone().next());
        let Some(url) = link.and_then(|link| link["url"].as_str()).and_then(fetchable) else {
            offers.skipped += 1;
            continue;
        };
        let hashes = &source["hashes"];
        for product in source["deviceMap"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            offers.offers.push(Offer {
                product: ProductType::new(product),
                build: build.clone(),
                version: version.clone(),
                url: url.clone(),
                sha1: hex(hashes["sha1"].as_str(), 40),
                sha256: hex(hashes["sha2-256"].as_str(), 64),
                size: source["size"].as_u64(),
                signed,
                source: Source::Appledb,
            });
        }
    }
    nothing(WHAT, offers)
}

/// Reads ipsw.me's page of a device (`/v4/device/iPhone14,5?type=ipsw`). A device that it does not know has no
/// `identifier` and yields no offers.
///
/// # Errors
/// When it is no JSON, or has an identifier and no firmwares.
pub fn ipswme(bytes: &[u8]) -> Result<Offers, WireError> {
    const WHAT: &str = "ipsw.me's page";
    let page = document(WHAT, bytes)?;
    let Some(product) = page["identifier"].as_str().map(ProductType::new) else { return Ok(Offers::default()) };
    let firmwares =
        page["firmwares"].as_array().ok_or_else(|| WireError::malformed(WHAT, "a device without firmwares"))?;
    let mut offers = Offers::default();
    for row in firmwares {
        let (Some(build), Some(version), Some(url)) =
            (build(&row["buildid"]), version(&row["version"]), row["url"].as_str().and_then(fetchable))
        else {
            offers.skipped += 1;
            continue;
        };
        offers.offers.push(Offer {
            product: product.clone(),
            build,
            version,
            url,
            sha1: hex(row["sha1sum"].as_str(), 40),
            sha256: hex(row["sha256sum"].as_str(), 64),
            size: row["filesize"].as_u64().filter(|size| *size > 0),
            signed: row["signed"].as_bool(),
            source: Source::Ipswme,
        });
    }
    nothing(WHAT, offers)
}

fn version(value: &Value) -> Option<Version> {
    value.as_str()?.parse().ok()
}

fn build(value: &Value) -> Option<BuildId> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_build_of_appledb() {
        let page = serde_json::json!({
            "osStr": "iOS", "version": "27.0.1", "build": "24A446", "signed": true,
            "sources": [
                { "type": "ota", "deviceMap": ["iPhone14,5"], "links": [{ "url": "https://x/ota", "active": true }] },
                { "type": "ipsw", "deviceMap": ["iPhone14,5", "iPhone14,4"], "size": 11,
                  "links": [{ "url": "https://x/dead", "active": false }, { "url": "https://x/a", "active": true },
                            { "url": "https://x/b", "active": true, "preferred": true }],
                  "hashes": { "sha1": "A".repeat(40), "sha2-256": "" } },
                { "type": "ipsw", "deviceMap": ["iPhone1,1"], "links": [] },
            ],
        });
        let offers = appledb(page.to_string().as_bytes()).unwrap();
        assert_eq!((offers.offers.len(), offers.skipped), (2, 1));
        let first = &offers.offers[0];
        assert_eq!((first.url.as_str(), first.size, first.signed), ("https://x/b", Some(11), Some(true)));
        assert_eq!((first.sha1.clone(), first.sha256.clone()), (Some("a".repeat(40)), None));
    }

    #[test]
    fn a_device_of_ipswme() {
        let page = serde_json::json!({ "identifier": "iPhone14,5", "firmwares": [
            { "version": "27.0.1", "buildid": "24A446", "sha1sum": "b".repeat(40), "sha256sum": "", "filesize": 7,
              "url": "http://updates.cdn-apple.com/x.ipsw", "signed": true },
            { "version": "?", "buildid": "?", "url": "x" } ] });
        let offers = ipswme(page.to_string().as_bytes()).unwrap();
        assert_eq!((offers.offers.len(), offers.skipped), (1, 1));
        assert_eq!(offers.offers[0].url, "https://updates.cdn-apple.com/x.ipsw");
        assert!(ipswme(b"{}").unwrap().offers.is_empty());
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for bad in [&b""[..], b" ", b"<html>", b"{\"version\":", b"[]", b"{\"identifier\":\"x\"}"] {
            assert!(appledb(bad).is_err(), "{bad:?}");
        }
        assert_eq!(appledb(b"{\"version\":").unwrap_err(), WireError::Short { what: "AppleDB's page" });
        assert!(ipswme(b"{\"identifier\":\"x\"}").is_err());
    }

    #[test]
    fn the_kept_pages_are_read() {
        let Some(folder) = option_env!("HERSTEL_TEST_DATA") else { return };
        let read = |name: &str| std::fs::read(std::path::Path::new(folder).join(name)).unwrap();
        let offers = appledb(&read("appledb/iOS__24x-27.x__24A446.excerpt.json")).unwrap();
        let phone = offers.offers.iter().find(|o| o.product.as_str() == "iPhone14,5").unwrap();
        assert_eq!((phone.size, phone.sha256.is_some()), (Some(11_144_737_412), true));
        assert_eq!(ipswme(&read("ipswme/RECONSTRUCTED_v4_shape_iPhone12,1.json")).unwrap().offers.len(), 1);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "[{}\\[\\]\",:a-z0-9 ]{0,200}") {
            for bytes in [&bytes[..], text.as_bytes()] {
                let _ = (appledb(bytes), ipswme(bytes), super::super::apple_versions(bytes));
            }
        }
    }
}
