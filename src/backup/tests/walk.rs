//! Runs that go well, and runs that are cut.

use super::fake::{file_id, status_plist};
use super::*;
use crate::event::{Event, Step, Unit};
use crate::fault::Code;
use std::os::unix::fs::MetadataExt;

#[test]
fn a_first_backup_becomes_a_generation_that_other_tools_can_use() {
    let bench = Bench::new();
    let mut phone = FakePhone::new(40);
    phone.set("HomeDomain", "Library/big.sqlite", &vec![7; 3_000_000]);
    let (done, seen) = bench.run(&mut phone);
    let (generation, verdict) = done.unwrap();
    assert!(verdict.findings.is_empty(), "{:?}", verdict.findings);
    assert_eq!((seen.full, seen.disconnected, seen.uploaded), (Some(true), true, 41));
    assert!(seen.free > 0);
    let record = generation.record.clone().unwrap();
    assert_eq!((record.files, record.failed_count, record.base.as_deref()), (41, 0, None));
    assert_eq!(record.received_files, 41 + 2 + 3, "payloads, manifests, three times the status");
    assert_eq!(generation.summary.device_name.as_deref(), Some("Anna"));
    assert_eq!(generation.summary.encrypted, Some(false));
    let folder = generation.folder();
    assert_eq!(folder, bench.vault.root().join(UDID).join("latest").canonicalize().unwrap().join(UDID));
    for ((domain, path), content) in &phone.files {
        let id = file_id(domain, path);
        assert_eq!(&std::fs::read(folder.join(&id[..2]).join(&id)).unwrap(), content);
    }
    let deep = verify(&folder, Depth::Deep(&generation.digests()), &bench.tell, &bench.cancel).unwrap();
    assert!(deep.is_sound() && deep.findings.is_empty(), "{:?}", deep.findings);
    assert_eq!(deep.compared, 41 + 4, "payloads, manifests, status and our Info.plist");
    let events = bench.tell.events();
    let bytes = |e: &Event| matches!(e, Event::Progress { step: Step::Backup, unit: Unit::Bytes, done, .. } if *done > 3_000_000);
    let percent = |e: &Event| matches!(e, Event::Progress { unit: Unit::Percent, done: 98, .. });
    assert!(events.iter().any(bytes) && events.iter().any(percent));
}

#[test]
fn an_incremental_one_shares_what_did_not_change_and_leaves_the_old_one_alone() {
    let bench = Bench::new();
    let mut phone = FakePhone::new(30);
    let first = bench.run(&mut phone).0.unwrap().0;
    let before = contents(&first.path);
    phone.set("CameraRollDomain", "Media/DCIM/IMG_0003.JPG", b"edited");
    phone.set("HomeDomain", "new", b"new");
    let gone = ("CameraRollDomain".to_owned(), "Media/DCIM/IMG_0009.JPG".to_owned());
    phone.files.remove(&gone);
    let (done, seen) = bench.run(&mut phone);
    let (second, verdict) = done.unwrap();
    assert!(verdict.findings.is_empty(), "{:?}", verdict.findings);
    assert_eq!((seen.full, seen.uploaded), (Some(false), 2));
    assert_eq!(second.record.as_ref().unwrap().base.as_deref(), Some(first.name.as_str()));
    assert!(second.name > first.name);
    assert_eq!(contents(&first.path), before);
    let payload = |generation: &Generation, path: &str| {
        let id = file_id("CameraRollDomain", path);
        generation.folder().join(&id[..2]).join(id)
    };
    assert!(!payload(&second, &gone.1).exists());
    assert_eq!(std::fs::read(payload(&second, "Media/DCIM/IMG_0003.JPG")).unwrap(), b"edited");
    // Reflinks would be two inodes over the same blocks; the disk of a build machine rarely has them.
    let inode = |generation| payload(generation, "Media/DCIM/IMG_0005.JPG").metadata().unwrap().ino();
    let links = payload(&second, "Media/DCIM/IMG_0005.JPG").metadata().unwrap().nlink();
    assert!(links == 1 || inode(&first) == inode(&second));
    let deep = verify(&second.folder(), Depth::Deep(&second.digests()), &bench.tell, &bench.cancel).unwrap();
    assert!(deep.findings.is_empty(), "{:?}", deep.findings);
    assert_eq!(bench.vault.generations(&udid()).unwrap().len(), 2);
    assert_eq!(bench.vault.devices().unwrap(), [udid()]);
    let desk = bench.vault.take(&udid()).unwrap();
    assert_eq!(bench.vault.take(&udid()).unwrap_err().code, Code::Locked);
    let plan = || {
        let (keep, now) = (Keep { last: Some(1), days: None }, jiff::Timestamp::now());
        bench.vault.plan_prune(&udid(), &keep, now, &bench.tell, &bench.cancel).unwrap()
    };
    assert_eq!(plan().goes, [], "the first one is still held by this test");
    let name = first.name.clone();
    drop(first);
    assert_eq!(desk.remove(&plan(), &bench.cancel).unwrap(), [name.as_str()]);
    assert_eq!(bench.vault.generation(&udid(), None).unwrap().name, second.name);
    assert_eq!(bench.vault.generation(&udid(), Some(&name)).unwrap_err().code, Code::BackupNone);
    let deep = verify(&second.folder(), Depth::Deep(&second.digests()), &bench.tell, &bench.cancel).unwrap();
    assert!(deep.findings.is_empty(), "the older one took nothing along");
}

#[test]
fn a_full_one_starts_from_nothing() {
    let mut bench = Bench::new();
    let mut phone = FakePhone::new(12);
    bench.run(&mut phone).0.unwrap();
    bench.full = true;
    let (done, seen) = bench.run(&mut phone);
    let record = done.unwrap().0.record.unwrap();
    assert_eq!((seen.uploaded, record.base, record.full), (12, None, true));
}

#[test]
fn a_cut_at_any_byte_leaves_the_generations_bit_identical() {
    let bench = Bench::new();
    let mut phone = FakePhone::new(9);
    let first = bench.run(&mut phone).0.unwrap().0;
    let before = contents(&first.path);
    phone.set("CameraRollDomain", "Media/DCIM/IMG_0001.JPG", b"edited once");
    phone.set("HomeDomain", "a", &[1; 2000]);
    let mut cut = 1;
    let mut cuts = 0;
    loop {
        phone.script.cut_after = Some(cut);
        let (done, _) = bench.run(&mut phone);
        assert_eq!(contents(&first.path), before, "cut after {cut} bytes");
        match done {
            Ok((generation, verdict)) => {
                assert!(verdict.findings.is_empty(), "cut after {cut} bytes: {:?}", verdict.findings);
                assert_ne!(generation.name, first.name);
                break;
            }
            Err(fault) => assert_eq!(fault.code, Code::LinkLost, "cut after {cut} bytes: {fault}"),
        }
        assert_eq!(bench.vault.generation(&udid(), None).unwrap().name, first.name);
        cuts += 1;
        cut += 401;
    }
    assert!(cuts > 20, "{cuts}");
}

#[test]
fn an_interrupted_run_is_gone_on_with_once_and_only_if_the_phone_was_in_the_middle() {
    let bench = Bench::new();
    let mut phone = FakePhone::new(20);
    let tree_after = |bench: &Bench, state: &str| {
        let desk = bench.vault.take(&udid()).unwrap();
        let work = desk.begin(false, &bench.tell, &bench.cancel).unwrap();
        let folder = work.tree().root().join(UDID);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("Status.plist"), status_plist(state)).unwrap();
        std::fs::write(folder.join("mark"), b"").unwrap();
        let resumed = work.is_resumed();
        (resumed, work.give_up().unwrap())
    };
    assert_eq!(tree_after(&bench, "finished"), (false, false));
    assert_eq!(tree_after(&bench, "uploading"), (false, true));
    assert_eq!(tree_after(&bench, "uploading"), (true, false), "once, not for ever");
    assert_eq!(tree_after(&bench, "moving"), (false, true));
    // A good run over what was left: the mark shows that it is the same tree.
    let generation = bench.run(&mut phone).0.unwrap().0;
    assert!(generation.record.as_ref().unwrap().resumed);
    assert!(generation.folder().join("mark").exists());
    let deep = verify(&generation.folder(), Depth::Deep(&generation.digests()), &bench.tell, &bench.cancel).unwrap();
    assert!(deep.findings.is_empty());
    assert!(!bench.vault.root().join(UDID).join("work").exists());
}

#[test]
fn a_restore_gives_every_byte_and_takes_no_change() {
    let bench = Bench::new();
    let mut phone = FakePhone::new(15);
    phone.set("HomeDomain", "big", &vec![3; 400_000]);
    let generation = bench.run(&mut phone).0.unwrap().0;
    let before = contents(&generation.path);
    let tree = WorkTree::open_read_only(&generation.path, UDID).unwrap();
    let (mut host, thread) = phone.serve();
    let other: Udid = "00008110-00AABBCCDDEEFF01".parse().unwrap();
    let options = RestoreOptions::default();
    let sent = restore(&mut host, &other, &tree, &options, patience(), &bench.tell, &bench.cancel).unwrap();
    let (_, seen) = thread.join().unwrap();
    assert_eq!((sent.files, sent.missing), (4 + 16, 0));
    let expected: BTreeMap<_, _> = phone.files.iter().map(|((d, p), c)| (file_id(d, p), c.clone())).collect();
    assert_eq!(seen.restored, expected);
    assert_eq!(contents(&generation.path), before);
    let bytes = |e: &Event| matches!(e, Event::Progress { step: Step::PutBack, unit: Unit::Bytes, .. });
    assert!(bench.tell.events().iter().any(bytes));
}

#[test]
fn a_wrong_password_is_a_failure_and_a_right_one_is_not() {
    let bench = Bench::new();
    let phone = FakePhone::new(0);
    let change = |old: &str| {
        let (mut host, thread) = phone.serve();
        let (old, new) = (Password::new(old), Password::new("next"));
        let (tell, cancel) = (&bench.tell, &bench.cancel);
        let done = change_password(&mut host, &udid(), Some(&old), Some(&new), patience(), tell, cancel);
        assert!(thread.join().unwrap().1.disconnected);
        done
    };
    change("right").unwrap();
    let fault = change("wrong").unwrap_err();
    assert_eq!((fault.code, fault.number), (Code::BackupPasswordWrong, Some(207)));
}

#[test]
fn what_cannot_go_well_is_not_begun() {
    let bench = Bench::new();
    let mut phone = FakePhone::new(3);
    let generation = bench.run(&mut phone).0.unwrap().0;
    assert_eq!(generation.applications(), None);
    let refused = || {
        let tree = WorkTree::open_read_only(&generation.path, UDID).unwrap();
        let (mut host, device) = std::os::unix::net::UnixStream::pair().unwrap();
        let (options, tell, cancel) = (RestoreOptions::default(), &bench.tell, &bench.cancel);
        let fault = restore(&mut host, &udid(), &tree, &options, patience(), tell, cancel).unwrap_err();
        drop(host);
        // Not a byte was sent.
        assert_eq!(std::io::Read::read(&mut &device, &mut [0]).unwrap(), 0);
        fault.code
    };
    let put = |name: &str, bytes: Vec<u8>| std::fs::write(generation.folder().join(name), bytes).unwrap();
    put("Manifest.plist", super::fake::manifest_plist(true));
    assert_eq!(refused(), Code::BackupPassword);
    put("Status.plist", status_plist("moving"));
    assert_eq!(refused(), Code::BackupDamaged);
    put("Status.plist", vec![]);
    assert_eq!(refused(), Code::BackupDamaged);
    std::fs::remove_file(generation.folder().join("Status.plist")).unwrap();
    assert_eq!(refused(), Code::BackupNone);
}
