//! One damaged folder per finding, and what browsing makes of a hostile manifest.

use super::fake::{file_id, manifest_plist, status_plist};
use super::*;
use crate::fault::Code;
use std::ops::ControlFlow;
use std::path::PathBuf;

const DOMAIN: &str = "CameraRollDomain";
const PHOTO: &str = "Media/DCIM/IMG_0007.JPG";

struct Sample {
    _bench: Bench,
    generation: Generation,
    phone: FakePhone,
}

impl Sample {
    fn new() -> Self {
        let bench = Bench::new();
        let mut phone = FakePhone::new(9);
        let generation = bench.run(&mut phone).0.unwrap().0;
        Sample { _bench: bench, generation, phone }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.generation.folder().join(name)
    }

    fn payload(&self) -> PathBuf {
        let id = file_id(DOMAIN, PHOTO);
        self.at(&id[..2]).join(id)
    }

    fn findings(&self, deep: bool) -> Vec<Finding> {
        let digests = self.generation.digests();
        let depth = if deep { Depth::Deep(&digests) } else { Depth::Quick };
        verify(&self.generation.folder(), depth, &crate::event::Quiet, &Cancel::new()).unwrap().findings
    }

    fn sql(&self, text: &str) {
        let path = self.at("Manifest.db");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[18..20].fill(1);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
        rusqlite::Connection::open(&path).unwrap().execute_batch(text).unwrap();
    }
}

fn absent(file: &str) -> Finding {
    Finding::FileAbsent { file: file.into() }
}

#[test]
fn every_damage_has_its_finding() {
    let id = || file_id(DOMAIN, PHOTO);
    let (domain, path) = (|| DOMAIN.to_owned(), || PHOTO.to_owned());
    type Case = (&'static str, fn(&Sample), Vec<Finding>);
    let cases: Vec<Case> = vec![
        ("nothing", |_| {}, vec![]),
        ("no status", |s| std::fs::remove_file(s.at("Status.plist")).unwrap(), vec![absent("Status.plist")]),
        ("no info", |s| std::fs::remove_file(s.at("Info.plist")).unwrap(), vec![absent("Info.plist")]),
        ("no manifest", |s| std::fs::remove_file(s.at("Manifest.db")).unwrap(), vec![absent("Manifest.db")]),
        (
            "an older manifest",
            |s| std::fs::rename(s.at("Manifest.db"), s.at("Manifest.mbdb")).unwrap(),
            vec![Finding::OldManifest],
        ),
        (
            "an empty Manifest.plist, which phones answer with 205",
            |s| std::fs::write(s.at("Manifest.plist"), b"").unwrap(),
            vec![Finding::PlistDamaged { file: "Manifest.plist".into(), why: "is empty".into() }],
        ),
        (
            "not finished",
            |s| std::fs::write(s.at("Status.plist"), status_plist("moving")).unwrap(),
            vec![Finding::NotFinished { state: "moving".into() }],
        ),
        ("a snapshot", |s| std::fs::create_dir(s.at("Snapshot")).unwrap(), vec![Finding::SnapshotLeft]),
        (
            "no database",
            |s| std::fs::write(s.at("Manifest.db"), b"<html>").unwrap(),
            vec![Finding::ManifestDamaged { why: "is no SQLite file".into() }],
        ),
        (
            "encrypted with its manifest",
            |s| {
                std::fs::write(s.at("Manifest.plist"), manifest_plist(true)).unwrap();
                std::fs::write(s.at("Manifest.db"), [0xA5; 4096]).unwrap();
            },
            vec![Finding::Sealed],
        ),
        (
            "a payload gone",
            |s| std::fs::remove_file(s.payload()).unwrap(),
            vec![Finding::PayloadAbsent { file_id: id(), domain: domain(), path: path() }],
        ),
        (
            "a folder in place of a payload",
            |s| {
                std::fs::remove_file(s.payload()).unwrap();
                std::fs::create_dir(s.payload()).unwrap();
            },
            vec![Finding::PayloadAbsent { file_id: id(), domain: domain(), path: path() }],
        ),
        (
            "a payload cut short",
            |s| std::fs::write(s.payload(), b"short").unwrap(),
            vec![Finding::PayloadSize { file_id: id(), domain: domain(), path: path(), expected: 259, found: 5 }],
        ),
        (
            "a payload name that leads elsewhere",
            |s| s.sql("INSERT INTO Files VALUES ('../../../../etc/passwd', 'HomeDomain', 'x', 1, NULL)"),
            vec![Finding::BadFileId { file_id: "../../../../etc/passwd".into() }],
        ),
        (
            "a record that is rubbish",
            |s| s.sql(&format!("UPDATE Files SET file = X'00' WHERE relativePath = '{PHOTO}'")),
            vec![Finding::RecordUnreadable { file_id: id() }],
        ),
    ];
    for (what, damage, expected) in cases {
        let sample = Sample::new();
        damage(&sample);
        assert_eq!(sample.findings(false), expected, "{what}");
    }
}

#[test]
fn a_database_with_a_torn_page_is_damaged() {
    let sample = Sample::new();
    let path = sample.at("Manifest.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 4096;
    bytes[last..].fill(0xEE);
    std::fs::write(&path, bytes).unwrap();
    let found = sample.findings(false);
    assert!(found.iter().any(|f| matches!(f, Finding::ManifestDamaged { .. })), "{found:?}");
}

#[test]
fn only_the_deep_look_sees_a_flipped_bit() {
    let sample = Sample::new();
    let mut bytes = std::fs::read(sample.payload()).unwrap();
    bytes[100] ^= 1;
    std::fs::write(sample.payload(), bytes).unwrap();
    assert_eq!(sample.findings(false), []);
    let id = file_id(DOMAIN, PHOTO);
    let path = format!("{UDID}/{}/{id}", &id[..2]);
    assert_eq!(sample.findings(true), [Finding::Altered { path: path.clone() }]);
    std::fs::remove_file(sample.payload()).unwrap();
    let found = sample.findings(true);
    assert!(found.contains(&Finding::Lost { path }) && found.len() == 2, "{found:?}");
    std::fs::remove_file(sample.generation.digests()).unwrap();
    assert!(sample.findings(true).contains(&Finding::NoDigests));
}

#[test]
fn nothing_is_written_into_a_generation_by_looking_at_it() {
    let sample = Sample::new();
    let before = contents(&sample.generation.path);
    sample.findings(true);
    browse(&sample.generation.folder(), &Filter::default(), |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(contents(&sample.generation.path), before);
}

#[test]
fn rows_are_shown_and_a_file_comes_out_whatever_its_name() {
    let bench = Bench::new();
    let mut phone = FakePhone::new(5);
    let hostile = "../../../../../../tmp/evil";
    phone.set("AppDomain-../../etc", hostile, b"just data");
    let generation = bench.run(&mut phone).0.unwrap().0;
    let folder = generation.folder();
    let mut rows = vec![];
    browse(&folder, &Filter { files_only: true, ..Filter::default() }, |row| {
        rows.push(row);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(rows.len(), 6);
    let mut first = 0;
    browse(&folder, &Filter { domain: DOMAIN.into(), ..Filter::default() }, |_| {
        first += 1;
        ControlFlow::Break(())
    })
    .unwrap();
    assert_eq!(first, 1);
    let row = find(&folder, "AppDomain-../../etc", hostile).unwrap().unwrap();
    assert_eq!(row.size, Some(9));
    let to = bench.dir.path().join("out");
    assert_eq!(extract(&folder, &row, &to, &bench.cancel).unwrap(), 9);
    assert_eq!(std::fs::read(&to).unwrap(), b"just data");
    assert!(extract(&folder, &row, &to, &bench.cancel).is_err(), "what exists is not overwritten");
    assert_eq!(find(&folder, "HomeDomain", "none").unwrap(), None);
    let forged = Row { file_id: "../../../../../../etc/passwd".into(), ..row };
    let fault = extract(&folder, &forged, &bench.dir.path().join("out2"), &bench.cancel).unwrap_err();
    assert_eq!(fault.code, Code::BackupDamaged);
}

#[test]
fn an_encrypted_backup_is_not_shown_as_empty() {
    let sample = Sample::new();
    std::fs::write(sample.at("Manifest.plist"), manifest_plist(true)).unwrap();
    let shown = browse(&sample.generation.folder(), &Filter::default(), |_| ControlFlow::Continue(()));
    assert_eq!(shown.unwrap_err().code, Code::BackupPassword);
    assert_eq!(sample.phone.files.len(), 9);
}
