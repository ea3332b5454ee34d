//! Apple's version plist.
//!
//! `MobileDeviceSoftwareVersionsByVersion / n / MobileDeviceSoftwareVersions / product / build on the device`,
//! where the last is an alias (`SameAs`), a `Restore`/`Update` pair, or (under `Unknown / Universal`) what to
//! install when the build is not known. The generation keys `n` are numbers written as text and newer ones do
//! not repeat everything, so all generations are merged and a later one wins.

use super::{MAX_CATALOGUE, Offer, Offers, Source, fetchable, hex, nothing};
use crate::ids::{BuildId, ProductType};
use crate::wire::WireError;
use crate::wire::manifest::xml;
use plist::{Dictionary, Value};
use std::collections::BTreeMap;

const WHAT: &str = "Apple's version list";

/// Reads the list: every build that Apple offers now, once per product.
///
/// # Errors
/// When the document is empty, a web page, broken off, too long, or has none of the keys of this list.
pub fn apple_versions(bytes: &[u8]) -> Result<Offers, WireError> {
    let top = xml::dictionary(WHAT, bytes, MAX_CATALOGUE)?;
    let by_version = top
        .get("MobileDeviceSoftwareVersionsByVersion")
        .and_then(Value::as_dictionary)
        .ok_or_else(|| WireError::malformed(WHAT, "no MobileDeviceSoftwareVersionsByVersion"))?;
    let mut generations: Vec<(u64, &Dictionary)> =
        by_version.iter().filter_map(|(key, value)| Some((key.parse().ok()?, value.as_dictionary()?))).collect();
    generations.sort_by_key(|(number, _)| *number);
    if generations.is_empty() {
        return Err(WireError::malformed(WHAT, "no generation in it"));
    }
    let mut found: BTreeMap<(ProductType, BuildId), Offer> = BTreeMap::new();
    let mut skipped = 0;
    for (_, generation) in generations {
        let products = generation.get("MobileDeviceSoftwareVersions").and_then(Value::as_dictionary);
        for (product, builds) in products.into_iter().flatten() {
            let product = ProductType::new(product.as_str());
            for entry in builds.as_dictionary().into_iter().flatten().filter_map(|(_, v)| v.as_dictionary()) {
                collect(&product, entry, &mut found, &mut skipped);
            }
        }
    }
    nothing(WHAT, Offers { offers: found.into_values().collect(), skipped })
}

fn collect(
    product: &ProductType,
    entry: &Dictionary,
    found: &mut BTreeMap<(ProductType, BuildId), Offer>,
    skipped: &mut usize,
) {
    let universal = entry.get("Universal").and_then(Value::as_dictionary);
    for pair in [Some(entry), universal].into_iter().flatten() {
        for key in ["Restore", "Update"] {
            let Some(row) = pair.get(key).and_then(Value::as_dictionary) else { continue };
            let url = row.get("FirmwareURL").and_then(Value::as_string).unwrap_or_default();
            if url.starts_with("protected:") {
                continue;
            }
            match offer(product, row, url) {
                Some(offer) => {
                    let key = (offer.product.clone(), offer.build.clone());
                    let poorer = found.get(&key).is_some_and(|known| known.sha1.is_some() && offer.sha1.is_none());
                    if !poorer {
                        found.insert(key, offer);
                    }
                }
                None => *skipped += 1,
            }
        }
    }
}

fn offer(product: &ProductType, row: &Dictionary, url: &str) -> Option<Offer> {
    let text = |key: &str| row.get(key).and_then(Value::as_string);
    Some(Offer {
        product: product.clone(),
        build: text("BuildVersion")?.parse().ok()?,
        version: text("ProductVersion")?.parse().ok()?,
        url: fetchable(url)?,
        sha1: hex(text("FirmwareSHA1"), 40),
        sha256: None,
        size: None,
        signed: Some(true),
        source: Source::Apple,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(build: &str, url: &str, sha1: &str) -> String {
        format!(
            "<dict><key>Restore</key><dict><key>BuildVersion</key><string>{build}</string><key>ProductVersion</key>\
             <string>27.0.1</string><key>FirmwareURL</key><string>{url}</string>{sha1}</dict></dict>"
        )
    }

    fn list(generations: &[(&str, String)]) -> Vec<u8> {
        let inner: String = generations
            .iter()
            .map(|(n, builds)| {
                format!(
                    "<key>{n}</key><dict><key>MobileDeviceSoftwareVersions</key><dict><key>iPhone14,5</key>\
                     <dict>{builds}</dict></dict></dict>"
                )
            })
            .collect();
        format!(
            "<?xml version=\"1.0\"?><plist version=\"1.0\"><dict><key>MobileDeviceSoftwareVersionsByVersion</key>\
             <dict>{inner}</dict></dict></plist>"
        )
        .into_bytes()
    }

    #[test]
    fn generations_are_merged_as_numbers() {
        let sha1 = format!("<key>FirmwareSHA1</key><string>{}</string>", "AB".repeat(20));
        let old = row("23A1", "http://updates.cdn-apple.com/old.ipsw", &sha1);
        let new = row("24A446", "http://updates.cdn-apple.com/new.ipsw", &sha1);
        let bytes = list(&[
            (
                "9",
                format!("<key>23A1</key>{old}<key>24A446</key>{}", row("24A446", "http://x.apple.com/wrong.ipsw", "")),
            ),
            (
                "17",
                format!(
                    "<key>24A446</key>{new}<key>23A330</key><dict><key>SameAs</key><string>24A446</string></dict>\
                <key>Unknown</key><dict><key>Universal</key>{new}</dict><key>1A1</key>{}<key>2A2</key>{}",
                    row("1A1", "protected://x", ""),
                    row("garbage", "http://x", "")
                ),
            ),
        ]);
        let offers = apple_versions(&bytes).unwrap();
        assert_eq!((offers.offers.len(), offers.skipped), (2, 1));
        let newest = offers.offers.iter().max_by_key(|o| o.build.clone()).unwrap();
        assert_eq!(
            (newest.build.to_string().as_str(), newest.url.as_str()),
            ("24A446", "https://updates.cdn-apple.com/new.ipsw")
        );
        assert_eq!(newest.sha1.as_deref(), Some("ab".repeat(20).as_str()));
        assert!(newest.url.starts_with("https:"));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let whole = list(&[("9", row("24A446", "http://x", ""))]);
        for bad in [&b""[..], b"<html><body>Log in</body></html>", &whole[..whole.len() / 2], b"<plist><dict/></plist>"]
        {
            assert!(apple_versions(bad).is_err());
        }
        assert!(apple_versions(&list(&[("9", "<key>1</key>".to_owned() + &row("?", "http://x", ""))])).is_err());
    }

    #[test]
    fn the_kept_list_is_read() {
        let Some(folder) = option_env!("HERSTEL_TEST_DATA") else { return };
        let path = std::path::Path::new(folder).join("versionplist/RECONSTRUCTED_version.plist");
        let offers = apple_versions(&std::fs::read(path).unwrap()).unwrap();
        assert!(offers.offers.len() > 100 && offers.skipped == 0, "{} {}", offers.offers.len(), offers.skipped);
        assert!(offers.offers.iter().all(|o| o.sha1.is_some() && o.url.starts_with("https://")));
    }
}
