//! A phone that lies, fails or falls silent, and a disk that is full.

use super::fake::Script;
use super::*;
use crate::event::Event;
use crate::fault::Code;
use crate::wire::devicelink::frame::{FrameCode, Head, build_name};
use crate::wire::devicelink::{DlCode, FromDevice, encode};
use std::time::Instant;

fn fails(script: Script) -> (Fault, Seen, Bench) {
    let bench = Bench::new();
    std::fs::write(bench.dir.path().join("secret"), "untouched").unwrap();
    let mut phone = FakePhone::new(10);
    phone.script = script;
    let (done, seen) = bench.run_with(&mut phone, impatience());
    assert_eq!(std::fs::read(bench.dir.path().join("secret")).unwrap(), b"untouched");
    assert!(bench.vault.generations(&udid()).unwrap().is_empty());
    (done.unwrap_err(), seen, bench)
}

#[test]
fn no_path_leads_out() {
    let long = format!("{UDID}/{}", "a/".repeat(2500));
    let bad = [
        "..",
        "",
        "/etc/passwd",
        "../secret",
        &format!("{UDID}/../../../../secret"),
        &format!("{UDID}/./a"),
        &format!("{UDID}//a"),
        &format!("{UDID}/a\0b"),
        "00008110-00AABBCCDDEEFF01/Status.plist",
        &long,
    ];
    for path in bad {
        let path = path.to_owned();
        let inside = format!("{UDID}/x");
        let mut scripts = vec![
            FromDevice::CreateDirectory { path: path.clone() },
            FromDevice::ContentsOfDirectory { path: path.clone() },
            FromDevice::RemoveItems { paths: vec![inside.clone(), path.clone()], progress: None },
            FromDevice::MoveItems { items: vec![(path.clone(), inside.clone())], progress: None },
            FromDevice::MoveItems { items: vec![(inside.clone(), path.clone())], progress: None },
            FromDevice::CopyItem { from: inside.clone(), to: path.clone() },
            FromDevice::DownloadFiles { paths: vec![path.clone()], progress: None },
        ];
        let mut upload = encode(FromDevice::UploadFiles { progress: None, bytes: 0, callbacks: None }.build()).unwrap();
        upload.extend(build_name("/dev/x").unwrap());
        upload.extend((path.len() as u32).to_be_bytes());
        upload.extend(path.as_bytes());
        upload.extend(Head { code: FrameCode::Data, payload: 4 }.build());
        upload.extend(b"evil");
        let raw = Script { raw: Some(upload), ..Script::default() };
        let scripts = scripts.drain(..).map(|m| Script { instead: vec![m], ..Script::default() }).chain([raw]);
        for (at, script) in scripts.enumerate() {
            let (fault, seen, _) = fails(script);
            let expected = if path.len() > 4096 { Code::LinkAbsurd } else { Code::BackupHostile };
            let empty_name = at == 7 && path.is_empty();
            assert_eq!(fault.code, if empty_name { Code::LinkGarbage } else { expected }, "{path:?} in {at}: {fault}");
            assert_eq!(fault.stage.as_deref(), Some("backup"));
            assert!(seen.disconnected, "{path:?} in {at}");
        }
    }
}

#[test]
fn the_folder_of_the_device_is_not_removed_or_replaced() {
    for message in [
        FromDevice::RemoveItems { paths: vec![UDID.into()], progress: None },
        FromDevice::MoveItems { items: vec![(format!("{UDID}/a"), UDID.into())], progress: None },
    ] {
        let (fault, ..) = fails(Script { instead: vec![message], ..Script::default() });
        assert_eq!(fault.code, Code::BackupHostile);
    }
}

#[test]
fn absurd_lengths_and_garbage_end_the_run_without_the_memory_they_claim() {
    let upload = || encode(FromDevice::UploadFiles { progress: None, bytes: 0, callbacks: None }.build()).unwrap();
    let with = |rest: &[&[u8]]| {
        let mut raw = upload();
        rest.iter().for_each(|piece| raw.extend(*piece));
        raw
    };
    let names = [build_name("/x").unwrap(), build_name(&format!("{UDID}/x")).unwrap()].concat();
    for (raw, code) in [
        (vec![0xFF; 64], Code::LinkAbsurd),
        (vec![0; 64], Code::LinkGarbage),
        ([0, 0, 0, 40].iter().copied().chain([b'?'; 40]).collect(), Code::LinkGarbage),
        (with(&[&[0xFF; 4]]), Code::LinkAbsurd),
        (with(&[&names, &[0; 5]]), Code::LinkGarbage),
        (with(&[&names, &[0, 0, 0, 9, 0x77], b"12345678"]), Code::LinkGarbage),
        (with(&[&names, &[0xFF, 0xFF, 0xFF, 0xFF, 0x0C], b"abc"]), Code::LinkAbsurd),
        // A frame of 1 GiB of which nothing comes: the wait ends, the memory was never taken.
        (with(&[&names, &[0x40, 0, 0, 0, 0x0C], b"abc"]), Code::LinkSilent),
        // 60 MiB of message of which nothing comes.
        (vec![0x03, 0xC0, 0, 0, 1, 2, 3], Code::LinkSilent),
    ] {
        let shown = raw.iter().take(80).copied().collect::<Vec<_>>();
        let (fault, ..) = fails(Script { raw: Some(raw), ..Script::default() });
        assert_eq!(fault.code, code, "{shown:?}: {fault}");
    }
}

#[test]
fn silence_ends_and_is_remarked() {
    for script in [Script { silent: true, ..Script::default() }, Script { silent_in_file: true, ..Script::default() }] {
        let begun = Instant::now();
        let (fault, seen, bench) = fails(script);
        assert_eq!(fault.code, Code::LinkSilent, "{fault}");
        assert!(seen.disconnected && begun.elapsed() < Duration::from_secs(8));
        let remark = |e: &Event| matches!(e, Event::Note { text } if text.contains("silent"));
        assert!(bench.tell.events().iter().any(remark));
    }
}

#[test]
fn files_that_the_phone_cannot_read_are_told_and_the_rest_is_kept() {
    let bench = Bench::new();
    let mut phone = FakePhone::new(10);
    phone.script.unreadable_every = Some((5, false));
    let (generation, verdict) = bench.run(&mut phone).0.unwrap();
    let record = generation.record.unwrap();
    assert_eq!((record.failed_count, record.failed.len()), (2, 2));
    assert_eq!(record.failed[0].text, "Input/output error (5)");
    assert_eq!(record.failed[0].device_path, "/.ba/mobile/Media/x");
    // This phone's manifest still names them, so they are findings as well; all else is whole.
    let absent = |f: &Finding| matches!(f, Finding::PayloadAbsent { .. });
    assert!(verdict.findings.len() == 2 && verdict.findings.iter().all(absent), "{:?}", verdict.findings);
    assert_eq!(verdict.files, 8);
}

#[test]
fn a_dying_phone_is_backed_up_as_far_as_it_goes() {
    let bench = Bench::new();
    let mut phone = FakePhone::new(1300);
    phone.script.unreadable_every = Some((1, false));
    phone.script.large = true;
    let (generation, _) = bench.run(&mut phone).0.unwrap();
    let record = generation.record.unwrap();
    assert_eq!((record.failed_count, record.failed.len(), record.files), (1300, 1000, 0));
    // What was never announced is not forgiven.
    phone.script.unreadable_every = Some((2, false));
    phone.script.forgets = Some(0);
    phone.saved.clear();
    let fault = Bench::new().run(&mut phone).0.unwrap_err();
    assert_eq!(fault.code, Code::BackupUnverified, "{fault}");
}

#[test]
fn a_file_that_fails_in_the_middle_is_never_taken_for_whole() {
    let bench = Bench::new();
    let mut phone = FakePhone::new(10);
    phone.script.unreadable_every = Some((4, true));
    let (generation, verdict) = bench.run(&mut phone).0.unwrap();
    assert!(generation.record.unwrap().failed.iter().all(|f| f.partly));
    let short = |f: &Finding| matches!(f, Finding::PayloadSize { found: 1, .. });
    assert!(verdict.findings.len() == 2 && verdict.findings.iter().all(short), "{:?}", verdict.findings);
}

#[test]
fn a_payload_that_never_came_keeps_the_run_out_of_the_generations() {
    let (fault, _, bench) = fails(Script { forgets: Some(2), ..Script::default() });
    assert_eq!(fault.code, Code::BackupUnverified, "{fault}");
    assert!(fault.detail.contains("payload-absent"), "{fault}");
    assert!(bench.vault.root().join(UDID).join("rejected").exists());
    let (fault, ..) = fails(Script { final_state: Some("removing"), ..Script::default() });
    assert_eq!(fault.code, Code::BackupUnverified, "{fault}");
}

#[test]
fn a_full_disk_is_read_to_the_end_answered_and_reported_as_what_it_is() {
    let mut bench = Bench::new();
    bench.limit = Some(6000);
    let mut phone = FakePhone::new(30);
    let (done, seen) = bench.run(&mut phone);
    let fault = done.unwrap_err();
    assert_eq!((fault.code, fault.number), (Code::DiskFull, None), "{fault}");
    assert_eq!(seen.free, 6000);
    let last = seen.answers.last().unwrap();
    assert_eq!(last.code, DlCode::NO_SPACE);
    assert!(seen.disconnected && seen.uploaded % 7 == 0, "the batch was read to its end");
}

#[test]
fn the_last_word_has_a_code_of_ours() {
    for (number, code) in [
        (208, Code::BackupPasscode),
        (207, Code::EncryptionRequired),
        (105, Code::DiskFull),
        (104, Code::BackupRefused),
        (211, Code::FindMyOn),
        (212, Code::SetupUnfinished),
        (202, Code::Cancelled),
        (3, Code::BackupRefused),
        (209, Code::BackupRefused),
    ] {
        let (fault, seen, _) = fails(Script { ends_with: Some((number, "said so")), ..Script::default() });
        assert_eq!((fault.code, fault.number), (code, Some(number)));
        assert!(fault.detail.contains("said so") && seen.disconnected);
    }
}

#[test]
fn a_wish_to_stop_is_heard_in_a_silence_and_the_phone_hears_goodbye() {
    let bench = Bench::new();
    let mut phone = FakePhone::new(3);
    phone.script.silent = true;
    let cancel = bench.cancel.clone();
    let (done, seen) = std::thread::scope(|scope| {
        scope.spawn(move || cancel.ask());
        bench.run(&mut phone)
    });
    assert_eq!(done.unwrap_err().code, Code::Cancelled);
    assert!(seen.disconnected);
}

#[test]
fn what_nobody_knows_is_answered_and_the_backup_goes_on() {
    let bench = Bench::new();
    let mut phone = FakePhone::new(5);
    phone.script.instead = vec![
        FromDevice::PurgeDiskSpace { bytes: 1 << 40, urgency: 4 },
        FromDevice::Unknown { name: "DLMessageDanceNow".into() },
        FromDevice::ContentsOfDirectory { path: UDID.into() },
        FromDevice::CopyItem { from: format!("{UDID}/none"), to: format!("{UDID}/copy") },
    ];
    let (done, seen) = bench.run(&mut phone);
    done.unwrap();
    let at = seen.answers.iter().position(|a| a.text.as_deref() == Some("Operation not supported")).unwrap();
    let codes: Vec<i64> = seen.answers[at..at + 4].iter().map(|a| a.code.0).collect();
    assert_eq!(codes, [-1, -1, 0, -6]);
    assert_eq!(fake::names(&seen.answers[at + 2]), ["Info.plist", "Snapshot"]);
    let mut phone = FakePhone::new(5);
    let unknown = FromDevice::Unknown { name: "DLMessageDanceNow".into() };
    phone.script.instead = vec![unknown; 200];
    assert_eq!(bench.run(&mut phone).0.unwrap_err().code, Code::LinkGarbage);
}

/// Asks to stop as soon as contents flow.
struct Impatient(Cancel);

impl crate::event::Tell for Impatient {
    fn tell(&self, event: Event) {
        if matches!(event, Event::Progress { .. }) {
            self.0.ask();
        }
    }
}

#[test]
fn a_wish_to_stop_in_the_middle_of_files_leaves_the_conversation_in_step() {
    let bench = Bench::new();
    let mut phone = FakePhone::new(5);
    phone.set("HomeDomain", "big", &vec![1; 2_000_000]);
    let generation = bench.run(&mut phone).0.unwrap().0;
    let before = contents(&generation.path);

    // Files come in.
    phone.set("HomeDomain", "big", &vec![2; 2_000_000]);
    let (cancel, options) = (Cancel::new(), BackupOptions { full: false, patience: patience() });
    let desk = bench.vault.take(&udid()).unwrap();
    let work = desk.begin(false, &bench.tell, &Cancel::new()).unwrap();
    let (mut host, thread) = phone.serve();
    let fault = backup(&mut host, &udid(), work.tree(), &options, &Impatient(cancel.clone()), &cancel).unwrap_err();
    assert_eq!(fault.code, Code::Cancelled);
    drop(host);
    assert!(thread.join().unwrap().1.disconnected);
    assert!(work.give_up().unwrap(), "the phone was uploading and may go on");
    assert_eq!(contents(&generation.path), before);

    // Files go out.
    let cancel = Cancel::new();
    let tree = WorkTree::open_read_only(&generation.path, UDID).unwrap();
    let (mut host, thread) = phone.serve();
    let (options, tell) = (RestoreOptions::default(), Impatient(cancel.clone()));
    let fault = restore(&mut host, &udid(), &tree, &options, patience(), &tell, &cancel).unwrap_err();
    assert_eq!(fault.code, Code::Cancelled);
    drop(host);
    let seen = thread.join().unwrap().1;
    assert!(seen.disconnected && seen.restored.len() < 6);
}

#[test]
fn a_wrong_byte_anywhere_ends_the_run_or_not_and_hurts_nothing() {
    let bench = Bench::new();
    let mut phone = FakePhone::new(4);
    let first = bench.run(&mut phone).0.unwrap().0;
    let before = contents(&first.path);
    phone.set("HomeDomain", "a", &[1; 500]);
    for at in (0..9000).step_by(283) {
        phone.script.flip_at = Some(at);
        let desk = bench.vault.take(&udid()).unwrap();
        let work = desk.begin(false, &bench.tell, &Cancel::new()).unwrap();
        let (mut host, thread) = phone.serve();
        let options = BackupOptions { full: false, patience: impatience() };
        let received = backup(&mut host, &udid(), work.tree(), &options, &bench.tell, &bench.cancel);
        drop(host);
        // The phone may have stumbled over our answer to what it did not say.
        let _ = thread.join();
        if received.is_err() {
            work.give_up().unwrap();
        }
        assert_eq!(contents(&first.path), before, "byte {at}");
    }
    assert_eq!(bench.vault.generations(&udid()).unwrap().len(), 1);
    phone.script = Script::default();
    let (generation, verdict) = bench.run(&mut phone).0.unwrap();
    assert!(verdict.is_sound() && generation.name != first.name);
}
