//! Whole sessions over a socket pair, with a host that works on a temporary folder.

mod host;
mod sealed;

use super::*;
use crate::virt::phone::{Phone, Stage};
use crate::virt::spec::{PasscodeSpec, PhoneSpec};
use crate::wire::devicelink::request::{Password, Request, Response, RestoreOptions};
use host::{End, Host};
use serde_json::Value as Json;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn spec() -> PhoneSpec {
    PhoneSpec { photos: 3, photo_bytes: 300_000, small_files: 300, ..PhoneSpec::default() }
}

fn phone_of(spec: PhoneSpec) -> Arc<Phone> {
    Phone::new(spec, 0, 1000.0).unwrap()
}

fn faulty(set: impl FnOnce(&mut Faults)) -> Arc<Phone> {
    let mut spec = spec();
    set(&mut spec.faults.backup);
    phone_of(spec)
}

fn backup_request(phone: &Phone, full: bool) -> Request {
    Request::Backup { target: phone.udid.to_string(), source: None, full }
}

fn restore_request(phone: &Phone, options: RestoreOptions) -> Request {
    Request::Restore { target: phone.udid.to_string(), source: None, options }
}

fn options() -> RestoreOptions {
    RestoreOptions { reboot: false, ..RestoreOptions::default() }
}

/// One session with one request: its end, and what the phone asked.
fn session(phone: &Arc<Phone>, root: &Path, request: &Request) -> (End, Vec<String>) {
    let mut host = Host::connect(phone, root);
    let end = host.run(request);
    (end, host.leave())
}

fn good(phone: &Arc<Phone>, root: &Path, request: &Request) -> Vec<String> {
    let (end, log) = session(phone, root, request);
    assert_eq!(end, Ok(Response::ok()), "{:#?}\n{:#?}", log.last(), phone.memory());
    log
}

fn code(phone: &Arc<Phone>, root: &Path, request: &Request) -> i64 {
    session(phone, root, request).0.unwrap().code
}

fn memo(phone: &Phone, what: &str) -> Json {
    phone.memory().iter().rev().find(|m| m.what == what).map(|m| m.detail.clone()).unwrap_or_default()
}

fn status(root: &Path, phone: &Phone) -> manifest::Status {
    let bytes = fs::read(root.join(phone.udid.as_str()).join("Status.plist")).unwrap();
    manifest::Status::parse(&bytes).unwrap()
}

#[test]
fn a_full_backup_goes_in_the_observed_order_and_is_whole() {
    let phone = phone_of(spec());
    let root = tempfile::tempdir().unwrap();
    let log = good(&phone, root.path(), &backup_request(&phone, false));
    let udid = phone.udid.as_str();
    let begins = [
        "version 400".to_owned(),
        format!("download {udid}/Status.plist"),
        format!("list {udid}/Snapshot"),
        format!("list {udid}"),
        "free".into(),
        format!("mkdir {udid}"),
        format!("mkdir {udid}/Snapshot"),
        format!("upload plist {udid}/Status.plist"),
    ];
    assert_eq!(log[..begins.len()], begins);
    let first = |what: &str| log.iter().position(|l| l == what).unwrap_or_else(|| panic!("{what}: {log:#?}"));
    let manifest = first(&format!("upload plist {udid}/Snapshot/Manifest.db"));
    let order = [first("upload batch"), manifest, first("move 128"), first("move 1"), first("remove 1")];
    assert!(order.is_sorted(), "{order:?}");
    let last = |what: &str| log.iter().rposition(|l| l == what).unwrap();
    assert!(last("upload batch") < manifest && last("remove 1") < first(&format!("download {udid}/Manifest.db")));
    assert_eq!(status(root.path(), &phone).snapshot_state, "finished");
    let folder = root.path().join(udid);
    assert!(!folder.join("Snapshot").exists());
    for listed in phone.files.list() {
        let Kind::File(content) = &listed.entry.kind else { continue };
        let held = fs::read(folder.join(manifest::payload_name(&file_id(&listed.domain, &listed.path)))).unwrap();
        let mut own = vec![0; content.size() as usize];
        content.read_at(0, &mut own).unwrap();
        assert!(held == own, "{}-{}", listed.domain, listed.path);
    }
    assert_eq!(memo(&phone, "backup.finished")["full"], true);
}

#[test]
fn an_incremental_backup_sends_what_changed_and_removes_what_went() {
    let phone = phone_of(spec());
    let root = tempfile::tempdir().unwrap();
    good(&phone, root.path(), &backup_request(&phone, false));
    good(&phone, root.path(), &backup_request(&phone, false));
    let again = memo(&phone, "backup.finished");
    assert_eq!((&again["full"], &again["files"], &again["removed"]), (&false.into(), &0.into(), &0.into()));

    phone.files.put("HomeDomain", "Library/new.txt", b"new".to_vec()).unwrap();
    phone.files.put_made("CameraRollDomain", "Media/DCIM/100APPLE/IMG_0002.JPG", 300_000);
    assert!(phone.files.remove("CameraRollDomain", "Media/DCIM/100APPLE/IMG_0003.JPG"));
    good(&phone, root.path(), &backup_request(&phone, false));
    let third = memo(&phone, "backup.finished");
    assert_eq!((&third["full"], &third["files"], &third["removed"]), (&false.into(), &2.into(), &1.into()));

    good(&phone, root.path(), &backup_request(&phone, true));
    assert_eq!(memo(&phone, "backup.finished")["full"], true);

    // A missing payload makes the old backup unfit to build on.
    let id = manifest::payload_name(&file_id("HomeDomain", "Library/new.txt"));
    fs::remove_file(root.path().join(phone.udid.as_str()).join(id)).unwrap();
    good(&phone, root.path(), &backup_request(&phone, false));
    assert_eq!(memo(&phone, "backup.finished")["full"], true);
}

#[test]
fn the_same_phone_started_anew_goes_on_with_its_old_backup() {
    let root = tempfile::tempdir().unwrap();
    good(&phone_of(spec()), root.path(), &backup_request(&phone_of(spec()), false));
    let second = phone_of(spec());
    good(&second, root.path(), &backup_request(&second, false));
    let finished = memo(&second, "backup.finished");
    assert_eq!((&finished["full"], &finished["files"]), (&false.into(), &0.into()));
}

#[test]
fn what_was_there_comes_back_after_an_erase() {
    let phone = phone_of(spec());
    phone.files.put("HomeDomain", "Library/own.bin", (0..100_000_u32).map(|i| (i / 7) as u8).collect()).unwrap();
    let root = tempfile::tempdir().unwrap();
    let before = (phone.files.digest_of_user_data(), phone.files.user_file_count());
    good(&phone, root.path(), &backup_request(&phone, false));
    phone.files.erase();
    assert_eq!(phone.files.user_file_count(), 0);
    let log = good(&phone, root.path(), &restore_request(&phone, options()));
    assert_eq!((phone.files.digest_of_user_data(), phone.files.user_file_count()), before);
    assert!(log.contains(&"download ".to_owned()), "an empty list near the end");
    let finished = memo(&phone, "restore.finished");
    assert_eq!(finished["files"], finished["known_contents"]);
    assert!(finished["digests_checked"].as_u64() > Some(5));
    assert_eq!(phone.remembered("restore.mismatch"), 0);
    // And nothing of it is new to the backup it came from.
    good(&phone, root.path(), &backup_request(&phone, false));
    assert_eq!(memo(&phone, "backup.finished")["files"], 0);
}

#[test]
fn a_phone_that_reboots_after_a_restore_comes_back() {
    let phone = phone_of(spec());
    let root = tempfile::tempdir().unwrap();
    good(&phone, root.path(), &backup_request(&phone, false));
    let watch = phone.watch();
    good(&phone, root.path(), &restore_request(&phone, RestoreOptions::default()));
    let wait = Duration::from_secs(10);
    assert_eq!(watch.recv_timeout(wait).unwrap().to, Stage::Away);
    assert_eq!(watch.recv_timeout(wait).unwrap().to, Stage::Normal);
}

#[test]
fn restore_options_are_honoured() {
    let phone = phone_of(spec());
    let root = tempfile::tempdir().unwrap();
    good(&phone, root.path(), &backup_request(&phone, false));
    let wireless = ("WirelessDomain", "Library/Databases/CellularUsage.db");
    let board = ("HomeDomain", "Library/Preferences/com.apple.springboard.plist");
    phone.files.put("HomeDomain", "Library/later.txt", b"later".to_vec()).unwrap();
    phone.files.remove(wireless.0, wireless.1);
    phone.files.put(board.0, board.1, b"mine".to_vec()).unwrap();
    let no_system = RestoreOptions { system_files: false, preserve_settings: true, ..options() };
    good(&phone, root.path(), &restore_request(&phone, no_system));
    assert!(phone.files.get(wireless.0, wireless.1).is_none());
    assert_eq!(phone.files.get(board.0, board.1).unwrap().size(), 4);
    assert!(phone.files.get("HomeDomain", "Library/later.txt").is_some());
    good(&phone, root.path(), &restore_request(&phone, RestoreOptions { remove_others: true, ..options() }));
    assert!(phone.files.get(wireless.0, wireless.1).is_some());
    assert_ne!(phone.files.get(board.0, board.1).unwrap().size(), 4);
    assert!(phone.files.get("HomeDomain", "Library/later.txt").is_none());
}

#[test]
fn a_damaged_backup_is_refused_and_the_phone_keeps_its_data() {
    let phone = phone_of(spec());
    let root = tempfile::tempdir().unwrap();
    good(&phone, root.path(), &backup_request(&phone, false));
    phone.files.put("HomeDomain", "Library/later.txt", b"later".to_vec()).unwrap();
    let before = phone.files.digest_of_user_data();
    let folder = root.path().join(phone.udid.as_str());
    let payload = |domain, path| folder.join(manifest::payload_name(&file_id(domain, path)));
    let photo = payload("CameraRollDomain", "Media/DCIM/100APPLE/IMG_0001.JPG");
    let sms = payload("HomeDomain", "Library/SMS/sms.db");
    let restore = restore_request(&phone, options());
    let good_photo = fs::read(&photo).unwrap();
    let mut flipped = good_photo.clone();
    flipped[200_000] ^= 4;
    for (file, damage) in [(&photo, flipped), (&photo, good_photo[..100].to_vec()), (&sms, vec![0; 1_482_752])] {
        let whole = fs::read(file).unwrap();
        fs::write(file, damage).unwrap();
        let mismatches = phone.remembered("restore.mismatch");
        assert_eq!(code(&phone, root.path(), &restore), 205);
        assert_eq!(phone.remembered("restore.mismatch"), mismatches + 1);
        fs::write(file, whole).unwrap();
    }
    // Two payloads of the same size, swapped: only the bench's memory of what it handed out can see it.
    let other = payload("CameraRollDomain", "Media/DCIM/100APPLE/IMG_0002.JPG");
    fs::write(&photo, fs::read(&other).unwrap()).unwrap();
    assert_eq!(code(&phone, root.path(), &restore), 205);
    fs::remove_file(&photo).unwrap();
    assert_eq!(code(&phone, root.path(), &restore), 205);
    fs::write(&photo, good_photo).unwrap();
    for index in ["Manifest.db", "Manifest.plist", "Status.plist"] {
        let path = folder.join(index);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, b"").unwrap();
        assert_eq!(code(&phone, root.path(), &restore), 205, "{index}");
        fs::write(&path, whole).unwrap();
    }
    assert_eq!(phone.files.digest_of_user_data(), before);
    assert_eq!(code(&phone, root.path(), &restore), 0);
}

#[test]
fn refusals_have_their_numbers() {
    let root = tempfile::tempdir().unwrap();
    let phone = phone_of(spec());
    let stranger = Request::Backup { target: "00008110-000000000000DEAD".into(), source: None, full: false };
    assert_eq!(code(&phone, root.path(), &stranger), 1);
    let info = Request::Other { name: "Info".into(), target: None, source: None };
    assert_eq!(code(&phone, root.path(), &info), 1);
    phone.state().setup_done = false;
    assert_eq!(code(&phone, root.path(), &backup_request(&phone, false)), 212);
    phone.state().setup_done = true;
    good(&phone, root.path(), &backup_request(&phone, false));
    phone.state().find_my = true;
    assert_eq!(code(&phone, root.path(), &restore_request(&phone, options())), 211);
    phone.state().find_my = false;
    phone.state().version = "14.0".parse().unwrap();
    assert_eq!(code(&phone, root.path(), &restore_request(&phone, options())), 203);
    // A phone with a locked screen and a system that asks: nobody types the passcode.
    let locked = phone_of(PhoneSpec { passcode: PasscodeSpec::Locked, ..spec() });
    assert_eq!(code(&locked, root.path(), &backup_request(&locked, false)), 208);
    let open = phone_of(PhoneSpec { passcode: PasscodeSpec::Unlocked, ..spec() });
    assert_eq!(code(&open, root.path(), &backup_request(&open, false)), 0);
    assert_eq!(open.remembered("backup.passcode-asked"), 1);
}

#[test]
fn the_backup_password_is_checked() {
    let root = tempfile::tempdir().unwrap();
    let phone = phone_of(spec());
    let change = |old: Option<&str>, new: Option<&str>| {
        let (old, new) = (old.map(Password::new), new.map(Password::new));
        let request = Request::ChangePassword { target: phone.udid.to_string(), old, new };
        (code(&phone, root.path(), &request), phone.state().backup_password.clone())
    };
    let a = Some("a".to_owned());
    assert_eq!(change(Some("x"), Some("a")), (207, None));
    assert_eq!(change(None, Some("a")), (0, a.clone()));
    assert_eq!(change(None, Some("b")), (207, a.clone()));
    assert_eq!(change(Some("b"), None), (207, a));
    assert_eq!(change(Some("a"), Some("b")), (0, Some("b".to_owned())));
    assert_eq!(change(Some("b"), None), (0, None));
    assert_eq!(code(&phone, root.path(), &backup_request(&phone, false)), 0);
}

#[test]
fn too_little_room_is_said_with_numbers() {
    let root = tempfile::tempdir().unwrap();
    let claim = 969_000_000_000_u64;
    let phone = faulty(|f| f.free_space_claim = Some(claim));
    let mut host = Host::connect(&phone, root.path());
    host.free = 26_000_000_000;
    assert_eq!(host.run(&backup_request(&phone, false)).unwrap().code, 105);
    let asked = claim + (128 << 20) - 26_000_000_000 + (2 << 30);
    assert_eq!(host.leave().last(), Some(&format!("purge {asked}")));
    let phone = faulty(|f| f.purge_request = Some(5));
    let log = good(&phone, root.path(), &backup_request(&phone, false));
    assert!(log.contains(&"purge 5".to_owned()));
}

#[test]
fn a_cut_link_is_cut_where_it_should_be() {
    let root = tempfile::tempdir().unwrap();
    for at in [1, 130, 320] {
        let phone = faulty(|f| f.cut_at_file = Some(at));
        let mut host = Host::connect(&phone, root.path());
        assert!(host.run(&backup_request(&phone, false)).is_err());
        assert_eq!(status(root.path(), &phone).snapshot_state, "uploading");
        host.leave();
        assert_eq!(phone.remembered("backup.link-lost"), 1);
    }
    let phone = faulty(|f| f.cut_at_byte = Some(1_000_001));
    assert!(session(&phone, root.path(), &backup_request(&phone, false)).0.is_err());
    // A dirty folder is cleaned and the backup completes.
    let phone = phone_of(spec());
    good(&phone, root.path(), &backup_request(&phone, false));
    let phone = faulty(|f| f.cut_at_file = Some(7));
    let before = phone.files.digest_of_user_data();
    assert!(session(&phone, root.path(), &restore_request(&phone, options())).0.is_err());
    assert_eq!(phone.files.digest_of_user_data(), before);
}

#[test]
fn absurd_lengths_noise_and_silence_reach_the_host() {
    let root = tempfile::tempdir().unwrap();
    let run = |phone: &Arc<Phone>| {
        let mut host = Host::connect(phone, root.path());
        host.set_patience(Duration::from_millis(700));
        let end = host.run(&backup_request(phone, false)).unwrap_err();
        host.leave();
        end
    };
    let absurd = run(&faulty(|f| f.absurd_frame_length = Some(0xFFFF_FFFF)));
    assert!(absurd.contains("frame of 4294967294"), "{absurd}");
    let absurd = run(&faulty(|f| f.absurd_message_length = Some(0x7FFF_FFFF)));
    assert!(absurd.contains("beyond the cap"), "{absurd}");
    let noise = run(&faulty(|f| f.garbage_at_file = Some(2)));
    assert!(noise.contains("beyond the cap"), "{noise}");
    let silent = run(&faulty(|f| f.silent_at_file = Some(2)));
    assert!(silent.contains("unavailable") || silent.contains("timed out"), "{silent}");
}

#[test]
fn hostile_paths_travel_in_every_message() {
    let root = tempfile::tempdir().unwrap();
    let ways = [
        HostileIn::Upload,
        HostileIn::CreateDirectory,
        HostileIn::MoveTo,
        HostileIn::MoveFrom,
        HostileIn::Remove,
        HostileIn::List,
        HostileIn::Copy,
    ];
    for way in ways {
        let phone = faulty(|f| {
            f.hostile_path = Some("../../etc/hostile".into());
            f.hostile_in = way;
        });
        let mut host = Host::connect(&phone, root.path());
        assert_eq!(host.run(&backup_request(&phone, true)).unwrap().code, 0, "{way:?}");
        assert_eq!(host.hostile, ["../../etc/hostile"], "{way:?}");
        host.leave();
    }
}

#[test]
fn unreadable_files_are_error_frames_and_not_in_the_manifest() {
    let root = tempfile::tempdir().unwrap();
    let phone = faulty(|f| {
        f.file_error_every = Some(50);
        f.extra_progress_backwards = true;
        f.silence_before_first_file_ms = 30;
        f.final_error = Some(FinalError { code: 104, text: "Multiple errors uploading files".into() });
    });
    let mut host = Host::connect(&phone, root.path());
    let end = host.run(&backup_request(&phone, false)).unwrap();
    assert_eq!((end.code, end.description.as_str()), (104, "Multiple errors uploading files"));
    assert_eq!(host.failed.len(), host.received / 50);
    let finished = memo(&phone, "backup.finished");
    assert_eq!(finished["failed"], host.failed.len());
    assert_eq!(finished["files"], host.received - host.failed.len());
    host.leave();
}

#[test]
fn a_file_that_nobody_has_is_asked_for_in_a_restore() {
    let root = tempfile::tempdir().unwrap();
    let phone = faulty(|f| f.restore_missing_path = Some("../secret".into()));
    good(&phone, root.path(), &backup_request(&phone, false));
    let mut host = Host::connect(&phone, root.path());
    assert_eq!(host.run(&restore_request(&phone, options())).unwrap().code, 205);
    assert_eq!(host.hostile, ["../secret"]);
    host.leave();
    assert_eq!(memo(&phone, "restore.missing-asked")["code"], -13);
}

#[test]
fn a_hostile_manifest_is_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    let phone = phone_of(spec());
    good(&phone, root.path(), &backup_request(&phone, false));
    let path = root.path().join(phone.udid.as_str()).join("Manifest.db");
    let whole = fs::read(&path).unwrap();
    let before = phone.files.digest_of_user_data();
    let rows = [
        ("HomeDomain", "Library/../../x", 1, 5, "File path is invalid"),
        ("../etc", "passwd", 1, 5, "File path is invalid"),
        ("HomeDomain", "huge", 1, u64::MAX >> 1, "Manifest entry is invalid"),
        ("HomeDomain", "odd", 8, 0, "Manifest entry is invalid"),
        ("HomeDomain", "missing", 1, 0, "Multiple errors downloading files"),
    ];
    for (domain, relative, flags, size, text) in rows {
        fs::write(&path, &whole).unwrap();
        let file = MbFile { path: relative.into(), size, mode: 0o100_644, ..MbFile::default() };
        let id = furnish::hex(&file_id(domain, relative));
        let db = rusqlite::Connection::open(&path).unwrap();
        let row = rusqlite::params![id, domain, relative, flags, file.to_blob().unwrap()];
        db.execute("INSERT INTO Files VALUES (?1, ?2, ?3, ?4, ?5)", row).unwrap();
        db.pragma_update(None, "journal_mode", "DELETE").unwrap();
        db.close().unwrap();
        let end = session(&phone, root.path(), &restore_request(&phone, options())).0.unwrap();
        assert_eq!(end.code, 205);
        assert!(end.description.starts_with(text), "{}", end.description);
    }
    assert_eq!(phone.files.digest_of_user_data(), before);
}

#[test]
fn a_backup_of_another_phone_is_taken_by_its_source_name() {
    let root = tempfile::tempdir().unwrap();
    let old = phone_of(PhoneSpec { name: "Old one".into(), ..spec() });
    good(&old, root.path(), &backup_request(&old, false));
    let new = Phone::new(PhoneSpec { name: "New one".into(), photos: 0, ..spec() }, 1, 1000.0).unwrap();
    assert_ne!(old.udid, new.udid);
    let source = Some(old.udid.to_string());
    let all = RestoreOptions { remove_others: true, ..options() };
    good(&new, root.path(), &Request::Restore { target: new.udid.to_string(), source, options: all });
    assert_eq!(new.files.digest_of_user_data(), old.files.digest_of_user_data());
    assert_eq!(new.state().name, "Old one");
}

#[test]
fn nonsense_from_a_host_ends_the_session_and_nothing_else() {
    use std::io::{Read, Write};
    let prefixes: [&[u8]; 6] =
        [b"", b"\xff\xff\xff\xff", b"\0\0\0\x08bplist00", b"\0\0\0\x05<plis", b"\0\0\0\0", b"GET / HTTP/1.1\r\n\r\n"];
    for prefix in prefixes {
        let phone = phone_of(PhoneSpec::default());
        let (mut host, device) = std::os::unix::net::UnixStream::pair().unwrap();
        let served = Arc::clone(&phone);
        let agent = std::thread::spawn(move || serve_mobilebackup2(served, Box::new(device)));
        host.write_all(prefix).unwrap();
        host.shutdown(std::net::Shutdown::Write).unwrap();
        host.read_to_end(&mut Vec::new()).unwrap();
        agent.join().unwrap();
        assert_eq!(phone.remembered("backup.link-lost"), 1, "{prefix:?}");
    }
}

#[test]
fn an_incremental_backup_that_was_cut_goes_on_from_the_old_one() {
    let root = tempfile::tempdir().unwrap();
    let phone = faulty(|f| f.cut_at_file = Some(2));
    let earlier = phone_of(spec());
    good(&earlier, root.path(), &backup_request(&earlier, false));
    for name in ["a", "b", "c"] {
        phone.files.put("HomeDomain", &format!("Library/{name}"), name.into()).unwrap();
    }
    assert!(session(&phone, root.path(), &backup_request(&phone, false)).0.is_err());
    assert!(root.path().join(phone.udid.as_str()).join("Snapshot").exists());
    assert_eq!(status(root.path(), &phone).snapshot_state, "uploading");
    let log = good(&earlier, root.path(), &backup_request(&earlier, false));
    assert_eq!(memo(&earlier, "backup.finished")["full"], false);
    let first_remove = log.iter().position(|l| l == "remove 1").unwrap();
    assert!(first_remove < log.iter().position(|l| l.starts_with("upload")).unwrap(), "the left Snapshot goes first");
    assert!(!root.path().join(phone.udid.as_str()).join("Snapshot").exists());
}

#[test]
fn faults_are_written_in_toml_and_unknown_ones_are_refused() {
    let text =
        "cut_at_byte = 5\nhostile_path = \"../x\"\nhostile_in = \"move-to\"\nfinal_error = { code = 3, text = \"x\" }";
    let faults: Faults = toml::from_str(text).unwrap();
    assert_eq!((faults.cut_at_byte, faults.hostile_in), (Some(5), HostileIn::MoveTo));
    assert_eq!(faults.final_error.unwrap().code, 3);
    assert!(toml::from_str::<Faults>("cut_at_bite = 5").is_err());
}
