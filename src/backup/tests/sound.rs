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
        let depth = if deep { Depth::Deep(&digests) } else { Depth::Listed(&digests) };
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

fn gone() -> Finding {
    Finding::PayloadAbsent { file_id: file_id(DOMAIN, PHOTO), domain: DOMAIN.into(), path: PHOTO.into() }
}

fn unreadable() -> Finding {
    Finding::RecordUnreadable { file_id: file_id(DOMAIN, PHOTO), domain: DOMAIN.into(), path: PHOTO.into() }
}

fn no_file() -> Finding {
    Finding::NotAFile { file_id: file_id(DOMAIN, PHOTO), domain: DOMAIN.into(), path: PHOTO.into() }
}

fn size(found: u64) -> Finding {
    let (file_id, domain, path) = (file_id(DOMAIN, PHOTO), DOMAIN.into(), PHOTO.into());
    Finding::PayloadSize { file_id, domain, path, expected: 259, found }
}

fn plist_damaged(file: &str, why: &str) -> Finding {
    Finding::PlistDamaged { file: file.into(), why: why.into() }
}

fn manifest_damaged(why: &str) -> Finding {
    Finding::ManifestDamaged { why: why.into() }
}

fn pipe(path: &Path) {
    let _ = std::fs::remove_file(path);
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

fn put(path: PathBuf, bytes: &[u8]) {
    std::fs::remove_file(&path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn cut_to(path: PathBuf, keep: impl FnOnce(usize) -> usize) {
    let bytes = std::fs::read(&path).unwrap();
    put(path, &bytes[..keep(bytes.len())]);
}

/// The same, whatever SQLite or the parser say of the reason where `*` is expected.
fn same(found: &[Finding], expected: &[Finding]) -> bool {
    let blank = |finding: &Finding| match finding {
        Finding::ManifestDamaged { .. } => manifest_damaged("*"),
        Finding::PlistDamaged { file, .. } => plist_damaged(file, "*"),
        Finding::DigestsDamaged { .. } => Finding::DigestsDamaged { why: "*".into() },
        other => other.clone(),
    };
    let alike = |(found, wanted): (&Finding, &Finding)| found == wanted || blank(found) == *wanted;
    found.len() == expected.len() && found.iter().zip(expected).all(alike)
}

type Case = (&'static str, fn(&Sample), Vec<Finding>);

fn judge(cases: Vec<Case>, deep: bool) {
    for (what, damage, expected) in cases {
        let sample = Sample::new();
        damage(&sample);
        let found = sample.findings(deep);
        assert!(same(&found, &expected), "{what}: {found:?}");
        assert_eq!(found.iter().any(Finding::is_damage), expected.iter().any(Finding::is_damage), "{what}");
    }
}

#[test]
fn every_damage_of_the_lists_has_its_finding() {
    const DEEP: &str = "<plist version=\"1.0\">";
    let cases: Vec<Case> = vec![
        ("nothing", |_| {}, vec![]),
        ("no status", |s| std::fs::remove_file(s.at("Status.plist")).unwrap(), vec![absent("Status.plist")]),
        ("no info", |s| std::fs::remove_file(s.at("Info.plist")).unwrap(), vec![absent("Info.plist")]),
        ("no list", |s| std::fs::remove_file(s.at("Manifest.plist")).unwrap(), vec![absent("Manifest.plist")]),
        (
            "an empty Manifest.plist, which phones answer with 205",
            |s| put(s.at("Manifest.plist"), b""),
            vec![plist_damaged("Manifest.plist", "is empty")],
        ),
        ("cut short", |s| cut_to(s.at("Manifest.plist"), |n| n / 2), vec![plist_damaged("Manifest.plist", "*")]),
        (
            "another type",
            |s| put(s.at("Info.plist"), b"<plist version=\"1.0\"><array/></plist>"),
            vec![plist_damaged("Info.plist", "is no dictionary")],
        ),
        (
            "nested for ever",
            |s| put(s.at("Info.plist"), format!("{DEEP}{}", "<array>".repeat(90_000)).as_bytes()),
            vec![plist_damaged("Info.plist", "is nested too deep")],
        ),
        ("larger than any", |s| put(s.at("Info.plist"), &vec![b' '; 17 << 20]), vec![plist_damaged("Info.plist", "*")]),
        ("a pipe", |s| pipe(&s.at("Info.plist")), vec![plist_damaged("Info.plist", "is no file")]),
        (
            "a folder",
            |s| {
                std::fs::remove_file(s.at("Info.plist")).unwrap();
                std::fs::create_dir(s.at("Info.plist")).unwrap();
            },
            vec![plist_damaged("Info.plist", "is no file")],
        ),
        (
            "not finished",
            |s| put(s.at("Status.plist"), &status_plist("moving")),
            vec![Finding::NotFinished { state: "moving".into() }],
        ),
        (
            "no word of an end",
            |s| put(s.at("Status.plist"), b"<plist version=\"1.0\"><dict/></plist>"),
            vec![Finding::NotFinished { state: "unknown".into() }],
        ),
        ("a snapshot", |s| std::fs::create_dir(s.at("Snapshot")).unwrap(), vec![Finding::SnapshotLeft]),
        (
            "a keybag that is none",
            |s| {
                let mut list = plist::Dictionary::new();
                list.insert("IsEncrypted".into(), true.into());
                list.insert("BackupKeyBag".into(), plist::Value::Data(vec![1, 2, 3]));
                let mut bytes = vec![];
                plist::Value::Dictionary(list).to_writer_xml(&mut bytes).unwrap();
                put(s.at("Manifest.plist"), &bytes);
                put(s.at("Manifest.db"), &[0xA5; 4096]);
            },
            vec![Finding::KeybagDamaged { why: "*".into() }, Finding::Sealed],
        ),
    ];
    for (what, damage, expected) in cases {
        let sample = Sample::new();
        damage(&sample);
        let mut found = sample.findings(false);
        for finding in &mut found {
            if let Finding::KeybagDamaged { why } = finding {
                *why = "*".into();
            }
        }
        assert!(same(&found, &expected), "{what}: {found:?}");
    }
}

#[test]
fn every_damage_of_the_manifest_has_its_finding() {
    judge(
        vec![
            ("none", |s| std::fs::remove_file(s.at("Manifest.db")).unwrap(), vec![absent("Manifest.db")]),
            (
                "an older one",
                |s| std::fs::rename(s.at("Manifest.db"), s.at("Manifest.mbdb")).unwrap(),
                vec![Finding::OldManifest],
            ),
            ("another file", |s| put(s.at("Manifest.db"), b"<html>"), vec![manifest_damaged("is no SQLite file")]),
            ("a pipe", |s| pipe(&s.at("Manifest.db")), vec![manifest_damaged("is no file")]),
            ("nothing in it", |s| put(s.at("Manifest.db"), b""), vec![manifest_damaged("is no SQLite file")]),
            ("cut short", |s| cut_to(s.at("Manifest.db"), |n| n - 4096), vec![manifest_damaged("*")]),
            ("cut in its head", |s| cut_to(s.at("Manifest.db"), |_| 60), vec![manifest_damaged("*")]),
            ("no table", |s| s.sql("DROP TABLE Files"), vec![manifest_damaged("*")]),
            (
                "a view in place of the table",
                |s| s.sql("ALTER TABLE Files RENAME TO Other; CREATE VIEW Files AS SELECT * FROM Other"),
                vec![manifest_damaged("*")],
            ),
            ("a column less", |s| s.sql("ALTER TABLE Files DROP COLUMN flags"), vec![manifest_damaged("*")]),
            (
                "a column of another type",
                |s| s.sql(&format!("UPDATE Files SET flags = 'file' WHERE relativePath = '{PHOTO}'")),
                vec![manifest_damaged("*")],
            ),
            (
                "encrypted with its manifest",
                |s| {
                    put(s.at("Manifest.plist"), &manifest_plist(true));
                    put(s.at("Manifest.db"), &[0xA5; 4096]);
                },
                vec![Finding::Sealed],
            ),
            (
                "a payload name that leads elsewhere",
                |s| s.sql("INSERT INTO Files VALUES ('../../../../etc/passwd', 'HomeDomain', 'x', 1, NULL)"),
                vec![Finding::BadFileId { file_id: "../../../../etc/passwd".into() }],
            ),
            (
                "a payload name that is no text",
                |s| s.sql("INSERT INTO Files VALUES (X'00FF', 'HomeDomain', 'x', 1, NULL)"),
                vec![Finding::BadFileId { file_id: String::new() }],
            ),
            (
                "a record that is rubbish",
                |s| s.sql(&format!("UPDATE Files SET file = X'00' WHERE relativePath = '{PHOTO}'")),
                vec![unreadable()],
            ),
            (
                "no record",
                |s| s.sql(&format!("UPDATE Files SET file = NULL WHERE relativePath = '{PHOTO}'")),
                vec![unreadable()],
            ),
            (
                "a record beyond all measure",
                |s| s.sql(&format!("UPDATE Files SET file = zeroblob(9000000) WHERE relativePath = '{PHOTO}'")),
                vec![unreadable()],
            ),
        ],
        false,
    );
}

#[test]
fn every_damage_of_a_payload_has_its_finding() {
    judge(
        vec![
            ("gone", |s| std::fs::remove_file(s.payload()).unwrap(), vec![gone()]),
            (
                "a folder in its place",
                |s| {
                    std::fs::remove_file(s.payload()).unwrap();
                    std::fs::create_dir(s.payload()).unwrap();
                },
                vec![no_file()],
            ),
            (
                "a link in its place, to what would be right",
                |s| {
                    std::fs::rename(s.payload(), s.at("aside")).unwrap();
                    std::os::unix::fs::symlink("../aside", s.payload()).unwrap();
                },
                vec![no_file()],
            ),
            (
                "a link in the place of its folder",
                |s| {
                    let folder = s.payload().parent().unwrap().to_owned();
                    std::fs::rename(&folder, s.at("aside")).unwrap();
                    std::os::unix::fs::symlink("aside", folder).unwrap();
                },
                vec![no_file()],
            ),
            ("a pipe in its place", |s| pipe(&s.payload()), vec![no_file()]),
            ("cut short", |s| put(s.payload(), b"short"), vec![size(5)]),
            ("too long", |s| put(s.payload(), &[7; 300]), vec![size(300)]),
        ],
        false,
    );
}

#[test]
fn the_deep_look_finds_what_sizes_do_not_tell() {
    let place = || {
        let id = file_id(DOMAIN, PHOTO);
        format!("{UDID}/{}/{id}", &id[..2])
    };
    let name = || (Some(DOMAIN.to_owned()), Some(PHOTO.to_owned()));
    let altered = || Finding::Altered { file: place(), domain: name().0, path: name().1 };
    let lost = || Finding::Lost { file: place(), domain: name().0, path: name().1 };
    let flip: fn(&Sample) = |s| {
        let mut bytes = std::fs::read(s.payload()).unwrap();
        bytes[100] ^= 1;
        put(s.payload(), &bytes);
    };
    judge(vec![("one bit", flip, vec![])], false);
    judge(
        vec![
            ("nothing", |_| {}, vec![]),
            ("one bit", flip, vec![altered()]),
            (
                "one of the lists, in a way that can be read",
                |s| {
                    let mut text = std::fs::read(s.at("Info.plist")).unwrap();
                    text.push(b'\n');
                    put(s.at("Info.plist"), &text);
                },
                vec![Finding::Altered { file: format!("{UDID}/Info.plist"), domain: None, path: None }],
            ),
            ("cut short", |s| put(s.payload(), b"short"), vec![size(5), altered()]),
            ("gone", |s| std::fs::remove_file(s.payload()).unwrap(), vec![gone(), lost()]),
            ("a pipe in its place", |s| pipe(&s.payload()), vec![no_file(), lost()]),
            ("no digests", |s| std::fs::remove_file(s.generation.digests()).unwrap(), vec![Finding::NoDigests]),
            (
                "digests that are none",
                |s| put(s.generation.digests(), b"<html>\n"),
                vec![Finding::DigestsDamaged { why: "*".into() }],
            ),
            (
                "digests of a place elsewhere",
                |s| put(s.generation.digests(), format!("{}\t1\t../../etc/passwd\n", "0".repeat(64)).as_bytes()),
                vec![Finding::DigestsDamaged { why: "*".into() }],
            ),
            (
                "digests that lost some lines",
                |s| {
                    let lines = std::fs::read_to_string(s.generation.digests()).unwrap();
                    let of_photos = |line: &&str| !line.contains("plist") && !line.ends_with("Manifest.db");
                    let lost: Vec<&str> = lines.lines().filter(of_photos).take(4).collect();
                    let half: Vec<&str> = lines.lines().filter(|line| !lost.contains(line)).collect();
                    put(s.generation.digests(), format!("{}\n", half.join("\n")).as_bytes());
                },
                vec![Finding::Unlisted { files: 4 }],
            ),
            ("what a desktop leaves behind", |s| std::fs::write(s.at(".DS_Store"), b"x").unwrap(), vec![]),
        ],
        true,
    );
}

#[test]
fn a_database_with_a_torn_page_is_damaged() {
    let sample = Sample::new();
    let path = sample.at("Manifest.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 4096;
    bytes[last..].fill(0xEE);
    put(path, &bytes);
    let found = sample.findings(false);
    assert!(found.iter().any(|f| matches!(f, Finding::ManifestDamaged { .. })), "{found:?}");
}

/// Real phones hold databases that grow while they are read: what came is then not what the manifest says.
#[test]
fn a_payload_is_judged_by_what_was_received() {
    let bench = Bench::new();
    let mut phone = FakePhone::new(9);
    phone.script.misstates = Some(PHOTO.into());
    let differs = || {
        let (file_id, domain, path) = (file_id(DOMAIN, PHOTO), DOMAIN.into(), PHOTO.into());
        vec![Finding::SizeDiffers { file_id, domain, path, expected: 260, found: 259 }]
    };
    let (first, verdict) = bench.run(&mut phone).0.unwrap();
    assert_eq!(verdict.findings, differs());
    phone.set("HomeDomain", "new", b"new");
    let (generation, verdict) = bench.run(&mut phone).0.unwrap();
    assert_eq!(verdict.findings, differs(), "received when the base was made");
    let (folder, digests) = (generation.folder(), generation.digests());
    let look = |depth: Depth<'_>| verify(&folder, depth, &bench.tell, &bench.cancel).unwrap().findings;
    assert_eq!(look(Depth::Listed(&digests)), differs());
    assert_eq!(look(Depth::Deep(&digests)), differs());
    // Nobody can vouch for a folder without digests.
    let size = |expected, found| {
        let (file_id, domain, path) = (file_id(DOMAIN, PHOTO), DOMAIN.into(), PHOTO.into());
        vec![Finding::PayloadSize { file_id, domain, path, expected, found }]
    };
    assert_eq!(look(Depth::Quick), size(260, 259));
    let none = bench.dir.path().join("none");
    assert_eq!(look(Depth::Listed(&none)), size(260, 259));
    // It rots afterwards: that is damage, and nothing is built on it.
    let id = file_id(DOMAIN, PHOTO);
    let payload = folder.join(&id[..2]).join(&id);
    put(payload.clone(), b"rotten");
    assert_eq!(look(Depth::Listed(&digests)), size(260, 6));
    // By chance as large as the manifest says.
    put(payload, &[0; 260]);
    assert_eq!(look(Depth::Listed(&digests)), []);
    assert_eq!(look(Depth::Deep(&digests)).len(), 1);
    drop(first);
}

#[test]
fn half_a_file_that_a_kill_left_is_not_published() {
    let bench = Bench::new();
    let mut phone = FakePhone::new(9);
    let first = bench.run(&mut phone).0.unwrap().0;
    phone.set(DOMAIN, PHOTO, &[9; 500]);
    // A kill: nothing is closed, and the last file is short.
    let desk = bench.vault.take(&udid()).unwrap();
    let work = desk.begin(false, &bench.tell, &bench.cancel).unwrap();
    let folder = work.tree().root().join(UDID);
    let id = file_id(DOMAIN, PHOTO);
    std::fs::create_dir_all(folder.join("Snapshot").join(&id[..2])).unwrap();
    std::fs::write(folder.join("Snapshot").join(&id[..2]).join(&id), [9; 17]).unwrap();
    std::fs::write(folder.join("Snapshot/Manifest.db"), phone.manifest_db()).unwrap();
    put(folder.join("Status.plist"), &status_plist("moving"));
    drop(work);
    drop(desk);
    phone.script.resumes = true;
    let fault = bench.run(&mut phone).0.unwrap_err();
    assert_eq!(fault.code, Code::BackupUnverified, "{fault}");
    assert!(fault.detail.contains("payload-size") && fault.detail.contains(PHOTO), "{fault}");
    assert_eq!(bench.vault.generation(&udid(), None).unwrap().name, first.name);
    phone.script.resumes = false;
    bench.run(&mut phone).0.unwrap();
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
