//! Offers of several catalogues, made into one list; pure.
//!
//! Three sources name the same files and none says everything: Apple's plist has URL and SHA-1, AppleDB
//! size and SHA-256, ipsw.me a bit of all. Each fact keeps who said it. The rules:
//! - Where they disagree, Apple is believed, then AppleDB, then ipsw.me; the disagreement is listed.
//! - A source whose SHA-1 of a build contradicts a better source's describes another file: nothing it says
//!   of that build is used.
//! - Newest is by build number, never by date (15.8.8, 16.7.16 and 17.7.11 came out on one day) and never by
//!   text. Builds that are not for customers do not count, nor those that every source calls unsigned.

use crate::ids::{BuildId, ProductType, Version};
use crate::net::{Digests, unhex};
use crate::wire::catalogue::{Offer, Source};
use serde::Serialize;
use std::collections::BTreeMap;

/// A fact and who said it, best source first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told<T> {
    pub value: T,
    pub from: Vec<Source>,
}

/// One build for one product type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Firmware {
    pub product: ProductType,
    pub build: BuildId,
    pub version: Told<Version>,
    pub url: Told<String>,
    /// Lower-case hex.
    pub sha1: Option<Told<String>>,
    /// Lower-case hex.
    pub sha256: Option<Told<String>>,
    /// Bytes.
    pub size: Option<Told<u64>>,
    /// What each source says about signing; TSS has the last word.
    pub signed: Vec<(Source, bool)>,
}

impl Firmware {
    pub fn digests(&self) -> Digests {
        Digests {
            sha1: self.sha1.as_ref().and_then(|d| unhex(Some(&d.value))),
            sha256: self.sha256.as_ref().and_then(|d| unhex(Some(&d.value))),
        }
    }

    /// Some source says so, or none knows.
    pub fn may_be_signed(&self) -> bool {
        self.signed.is_empty() || self.signed.iter().any(|(_, signed)| *signed)
    }

    /// The last part of the URL's path: what Apple calls the file.
    pub fn file_name(&self) -> &str {
        let path = self.url.value.split(['?', '#']).next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default()
    }
}

/// Two sources, two answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disagreement {
    pub product: ProductType,
    pub build: BuildId,
    /// `url`, `sha1`, `sha256`, `size`, `version`, `signed`.
    pub about: &'static str,
    /// Best source first; the first one is believed.
    pub said: Vec<(Source, String)>,
}

/// All that is offered, newest build first within a product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Catalogue {
    pub firmwares: Vec<Firmware>,
    pub disagreements: Vec<Disagreement>,
}

impl Catalogue {
    pub fn merge(offers: impl IntoIterator<Item = Offer>) -> Catalogue {
        let mut by_build: BTreeMap<(ProductType, std::cmp::Reverse<BuildId>), Vec<Offer>> = BTreeMap::new();
        for offer in offers {
            let key = (offer.product.clone(), std::cmp::Reverse(offer.build.clone()));
            by_build.entry(key).or_default().push(offer);
        }
        let mut catalogue = Catalogue::default();
        for ((product, build), mut offers) in by_build {
            offers.sort_by_key(|o| o.source);
            if let Some(firmware) = one(product, build.0, &offers, &mut catalogue.disagreements) {
                catalogue.firmwares.push(firmware);
            }
        }
        catalogue
    }

    pub fn of<'s>(&'s self, product: &ProductType) -> impl Iterator<Item = &'s Firmware> {
        self.firmwares.iter().filter(move |f| f.product == *product)
    }

    /// The newest build that customers get and that is not known to be unsigned.
    pub fn newest(&self, product: &ProductType) -> Option<&Firmware> {
        self.of(product).filter(|f| !f.build.is_prerelease() && f.may_be_signed()).max_by(|a, b| a.build.cmp(&b.build))
    }

    pub fn build(&self, product: &ProductType, build: &BuildId) -> Option<&Firmware> {
        self.of(product).find(|f| f.build == *build)
    }
}

/// `offers` are sorted by source.
fn one(
    product: ProductType,
    build: BuildId,
    offers: &[Offer],
    disagreements: &mut Vec<Disagreement>,
) -> Option<Firmware> {
    let mut differ = |about: &'static str, said: Vec<(Source, String)>| {
        let first = said.first().map(|(_, text)| text.clone());
        if said.iter().any(|(_, text)| Some(text) != first.as_ref()) {
            disagreements.push(Disagreement { product: product.clone(), build: build.clone(), about, said });
        }
    };
    let sha1 = first(offers, |o| o.sha1.clone());
    differ("sha1", texts(offers, |o| o.sha1.clone()));
    let believed: Vec<Offer> = offers
        .iter()
        .filter(|o| o.sha1.as_ref().zip(sha1.as_ref()).is_none_or(|(said, best)| *said == best.value))
        .cloned()
        .collect();
    differ("url", texts(&believed, |o| Some(path_of(&o.url).to_owned())));
    differ("version", texts(&believed, |o| Some(o.version.to_string())));
    differ("sha256", texts(&believed, |o| o.sha256.clone()));
    differ("size", texts(&believed, |o| o.size.map(|s| s.to_string())));
    differ("signed", texts(&believed, |o| o.signed.map(|s| s.to_string())));
    let mut signed: Vec<(Source, bool)> = believed.iter().filter_map(|o| Some((o.source, o.signed?))).collect();
    signed.dedup();
    Some(Firmware {
        version: first(&believed, |o| Some(o.version.clone()))?,
        url: first(&believed, |o| Some(o.url.clone()))?,
        sha1,
        sha256: first(&believed, |o| o.sha256.clone()),
        size: first(&believed, |o| o.size),
        signed,
        product,
        build,
    })
}

/// The best source's answer, and all who agree with it.
fn first<T: PartialEq>(offers: &[Offer], fact: impl Fn(&Offer) -> Option<T>) -> Option<Told<T>> {
    let value = offers.iter().find_map(&fact)?;
    let mut from: Vec<Source> = offers.iter().filter(|o| fact(o).as_ref() == Some(&value)).map(|o| o.source).collect();
    from.dedup();
    Some(Told { value, from })
}

fn texts(offers: &[Offer], fact: impl Fn(&Offer) -> Option<String>) -> Vec<(Source, String)> {
    let mut said: Vec<(Source, String)> = offers.iter().filter_map(|o| Some((o.source, fact(o)?))).collect();
    said.dedup();
    said
}

/// One file has many hosts (http and https, two CDNs), so URLs are compared from their path on.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("", |at| rest.get(at..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(source: Source, build: &str, sha1: Option<&str>) -> Offer {
        Offer {
            product: ProductType::new("iPhone14,5"),
            build: build.parse().unwrap(),
            version: "27.0.1".parse().unwrap(),
            url: format!("https://updates.cdn-apple.com/{build}/a,b.ipsw"),
            sha1: sha1.map(str::to_owned),
            sha256: None,
            size: None,
            signed: None,
            source,
        }
    }

    #[test]
    fn each_source_adds_what_the_others_lack() {
        let sha1 = "ab".repeat(20);
        let apple = Offer { signed: Some(true), ..offer(Source::Apple, "24A446", Some(&sha1)) };
        let appledb = Offer {
            url: "http://updates-http.cdn-apple.com/24A446/a,b.ipsw".to_owned(),
            sha256: Some("cd".repeat(32)),
            size: Some(11),
            ..offer(Source::Appledb, "24A446", Some(&sha1))
        };
        let catalogue = Catalogue::merge([appledb, apple]);
        let [firmware] = &catalogue.firmwares[..] else { panic!("{catalogue:?}") };
        assert_eq!(firmware.sha1.as_ref().unwrap().from, [Source::Apple, Source::Appledb]);
        assert_eq!(firmware.sha256.as_ref().unwrap().from, [Source::Appledb]);
        assert_eq!(firmware.url.value, "https://updates.cdn-apple.com/24A446/a,b.ipsw");
        assert_eq!(firmware.file_name(), "a,b.ipsw");
        assert_eq!(firmware.digests(), Digests { sha1: Some([0xAB; 20]), sha256: Some([0xCD; 32]) });
        assert!(catalogue.disagreements.is_empty(), "{:?}", catalogue.disagreements);
    }

    #[test]
    fn who_contradicts_apple_about_a_file_is_not_believed_about_it() {
        let apple = offer(Source::Apple, "24A446", Some("aa"));
        let other =
            Offer { sha256: Some("bad".to_owned()), size: Some(9), ..offer(Source::Ipswme, "24A446", Some("bb")) };
        let catalogue = Catalogue::merge([other.clone(), apple]);
        let firmware = &catalogue.firmwares[0];
        assert!(firmware.sha256.is_none() && firmware.size.is_none());
        let [disagreement] = &catalogue.disagreements[..] else { panic!("{:?}", catalogue.disagreements) };
        assert_eq!(disagreement.about, "sha1");
        assert_eq!(disagreement.said, [(Source::Apple, "aa".to_owned()), (Source::Ipswme, "bb".to_owned())]);
    }

    #[test]
    fn newest_is_by_build_number_and_for_customers() {
        let unsigned = |build| Offer { signed: Some(false), ..offer(Source::Ipswme, build, None) };
        let signed = |build| Offer { signed: Some(true), ..offer(Source::Ipswme, build, None) };
        let phone = ProductType::new("iPhone14,5");
        let catalogue = Catalogue::merge([
            signed("24A99"),
            signed("24A446"),
            offer(Source::Appledb, "24B5055a", None),
            offer(Source::Appledb, "24A6446", None),
            unsigned("24B60"),
            signed("9A405"),
        ]);
        assert_eq!(catalogue.newest(&phone).unwrap().build.to_string(), "24A446");
        assert_eq!(catalogue.of(&phone).count(), 6);
        assert!(catalogue.newest(&ProductType::new("iPhone1,1")).is_none());
        assert!(catalogue.build(&phone, &"24A99".parse().unwrap()).is_some());
    }
}
