//! Which files of the store may go; pure.
//!
//! A file stays as long as it is among the newest builds of at least one of the product types that it is for: a
//! shop keeps what the next device needs. Files that nobody can place (no build, no product) stay too: a person
//! brought them.

use super::store::Stored;
use crate::ids::{BuildId, ProductType};
use std::collections::{BTreeMap, BTreeSet};

/// Those that may go when the `keep` newest builds of each product type stay.
pub fn old(all: &[Stored], keep: usize) -> Vec<&Stored> {
    let mut builds: BTreeMap<&ProductType, BTreeSet<&BuildId>> = BTreeMap::new();
    for stored in all {
        for product in &stored.record.products {
            builds.entry(product).or_default().extend(&stored.record.build);
        }
    }
    let stays = |stored: &&Stored| match &stored.record.build {
        None => true,
        _ if stored.record.products.is_empty() => true,
        Some(build) => stored.record.products.iter().any(|product| {
            builds.get(product).is_some_and(|builds| builds.iter().rev().take(keep).any(|newest| *newest == build))
        }),
    };
    all.iter().filter(|stored| !stays(stored)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firmware::store::{Looks, Record};
    use jiff::Timestamp;

    fn stored(build: Option<&str>, products: &[&str]) -> Stored {
        let looks = Looks { size: 1, modified: 0, inode: 0 };
        let record = Record {
            schema: 1,
            name: format!("{build:?}"),
            sha1: String::new(),
            sha256: String::new(),
            build: build.map(|b| b.parse().unwrap()),
            version: None,
            products: products.iter().map(|p| ProductType::new(*p)).collect(),
            url: None,
            added: Timestamp::UNIX_EPOCH,
            verified: Timestamp::UNIX_EPOCH,
            looks,
        };
        Stored { path: "x".into(), record }
    }

    #[test]
    fn what_is_newest_for_anybody_stays() {
        let all = [
            stored(Some("24A446"), &["iPhone14,5"]),
            stored(Some("24A99"), &["iPhone14,5"]),
            stored(Some("9A405"), &["iPhone14,5"]),
            stored(Some("22H374"), &["iPad8,1", "iPad8,9"]),
            stored(Some("24A446"), &["iPad8,9"]),
            stored(None, &[]),
            stored(Some("1A1"), &[]),
        ];
        let names = |keep| old(&all, keep).iter().map(|s| s.record.name.clone()).collect::<Vec<_>>();
        // 9A405 is older than 24A99, whatever the letters say; 22H374 is the newest for the iPad8,1.
        assert_eq!(names(1), ["Some(\"24A99\")", "Some(\"9A405\")"]);
        assert_eq!(names(2), ["Some(\"9A405\")"]);
        assert!(names(3).is_empty());
    }
}
