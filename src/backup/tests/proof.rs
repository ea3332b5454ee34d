//! A proof that finds what is different, and a journal of digests that lost a line.

use super::*;
use crate::event::Quiet;
use sha2::{Digest, Sha256};

/// What a phone holds that took the backup well.
fn held(phone: &FakePhone, row: &Row) -> Held {
    match phone.files.get(&(row.domain.clone(), row.path.clone())) {
        Some(bytes) => Held::File { size: bytes.len() as u64, sha256: Sha256::digest(bytes).into() },
        None if row.path == "Media" => Held::Folder,
        None => Held::Nothing,
    }
}

#[test]
fn every_difference_is_named() {
    let bench = Bench::new();
    let mut phone = FakePhone::new(12);
    phone.set("HomeDomain", "same", b"same");
    let generation = bench.run(&mut phone).0.unwrap().0;
    let opened = Opened::open(&generation.folder(), None, &bench.cancel).unwrap();
    let proof = compare(&opened, &mut |row| Ok(held(&phone, row)), &Quiet, &bench.cancel).unwrap();
    assert!(proof.holds(), "{:?}", proof.differences);
    let bytes: u64 = phone.files.values().map(|bytes| bytes.len() as u64).sum();
    assert_eq!((proof.files, proof.folders, proof.links, proof.bytes), (13, 1, 0, bytes));

    let image = |n: u32| format!("Media/DCIM/IMG_{n:04}.JPG");
    let changed = |row: &Row| match (row.path.as_str(), held(&phone, row)) {
        (path, _) if path == image(3) => Held::Nothing,
        (path, _) if path == image(4) => Held::Folder,
        (path, Held::File { sha256, size }) if path == image(5) => Held::File { sha256, size: size + 1 },
        (path, Held::File { size, .. }) if path == image(6) => Held::File { sha256: [0; 32], size },
        ("Media", _) => Held::Link,
        (_, right) => right,
    };
    let proof = compare(&opened, &mut |row| Ok(changed(row)), &Quiet, &bench.cancel).unwrap();
    let mut found: Vec<_> = proof.differences.iter().map(|d| (d.path.clone(), d.why)).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let wanted = [
        ("Media".to_owned(), Why::OtherKind),
        (image(3), Why::Absent),
        (image(4), Why::OtherKind),
        (image(5), Why::OtherSize),
        (image(6), Why::OtherContent),
    ];
    assert_eq!((found.as_slice(), proof.holds()), (wanted.as_slice(), false));

    // The backup itself cannot be read: a fault, not a difference.
    let id = file_id("HomeDomain", "same");
    std::fs::remove_file(generation.folder().join(&id[..2]).join(&id)).unwrap();
    let fault = compare(&opened, &mut |row| Ok(held(&phone, row)), &Quiet, &bench.cancel).unwrap_err();
    assert_eq!(fault.code, crate::fault::Code::BackupDamaged);
    bench.cancel.ask();
    let fault = compare(&opened, &mut |row| Ok(held(&phone, row)), &Quiet, &bench.cancel).unwrap_err();
    assert_eq!(fault.code, crate::fault::Code::Cancelled);
}
