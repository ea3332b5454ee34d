//! Encrypted backups: made, gone on with, put back, and refused.

use super::*;
use crate::virt::backup::manifest::{ManifestFacts, OldRow, payload_name};
use crate::wire::keybag::Keybag;
use crate::wire::seal::{Keys, Opening, stored_size};

const PASSWORD: &str = "Größe 7";

fn sealed(set: impl FnOnce(&mut PhoneSpec)) -> Arc<Phone> {
    let mut spec = PhoneSpec { backup_password: Some(PASSWORD.into()), small_files: 20, ..spec() };
    set(&mut spec);
    phone_of(spec)
}

fn restore_with(phone: &Phone, source: &Phone, password: Option<&str>) -> Request {
    let options = RestoreOptions { password: password.map(Password::new), remove_others: true, ..options() };
    Request::Restore { target: phone.udid.to_string(), source: Some(source.udid.to_string()), options }
}

fn change(phone: &Arc<Phone>, root: &Path, old: Option<&str>, new: Option<&str>) -> i64 {
    let (old, new) = (old.map(Password::new), new.map(Password::new));
    code(phone, root, &Request::ChangePassword { target: phone.udid.to_string(), old, new })
}

/// What the host holds, opened with the password alone.
fn opened(root: &Path, phone: &Phone) -> (ManifestFacts, Keys, Vec<OldRow>) {
    let folder = root.join(phone.udid.as_str());
    let facts = ManifestFacts::parse(&fs::read(folder.join("Manifest.plist")).unwrap()).unwrap();
    let keybag = Keybag::parse(facts.keybag.as_ref().unwrap()).unwrap();
    let keys = Keys::unlock(&keybag, &Password::new(PASSWORD)).unwrap();
    let copy = tempfile::tempdir().unwrap();
    fs::copy(folder.join("Manifest.db"), copy.path().join("Manifest.db")).unwrap();
    let db = held::open_db(&copy, Some(&keys), facts.manifest_key.as_deref()).unwrap();
    let rows = manifest::read_db(&db).unwrap();
    (facts, keys, rows)
}

fn payloads_are_right(root: &Path, phone: &Phone, keys: &Keys, rows: &[OldRow]) {
    let mut files = 0;
    for row in rows.iter().filter(|row| row.flags == 1) {
        let cipher = fs::read(root.join(phone.udid.as_str()).join(payload_name(&row.id))).unwrap();
        assert_eq!(cipher.len() as u64, stored_size(row.file.size));
        let entry = phone.files.get(&row.domain, &row.path).unwrap();
        let Kind::File(content) = &entry.kind else { panic!("{row:?} is no file") };
        let mut own = vec![0; content.size() as usize];
        content.read_at(0, &mut own).unwrap();
        assert!(own.len() < 16 || !cipher.windows(16).any(|w| w == &own[..16]), "{} lies there plain", row.path);
        let mut opening = Opening::new(&keys.content_key(row.file.key.as_ref().unwrap()).unwrap(), true).unwrap();
        let mut plain = opening.push(&cipher).unwrap().to_vec();
        plain.extend_from_slice(opening.finish().unwrap());
        assert!(plain == own, "{}-{}", row.domain, row.path);
        files += 1;
    }
    assert!(files > 40, "{files}");
}

#[test]
fn everything_is_encrypted_and_opens_with_the_password_alone() {
    for (version, sealed_manifest) in [("26.7.1", true), ("10.1.1", false)] {
        let phone = sealed(|spec| spec.version = version.parse().ok());
        let root = tempfile::tempdir().unwrap();
        good(&phone, root.path(), &backup_request(&phone, false));
        let (facts, keys, rows) = opened(root.path(), &phone);
        assert!(facts.encrypted);
        assert_eq!(facts.manifest_key.is_some(), sealed_manifest, "{version}");
        let db = fs::read(root.path().join(phone.udid.as_str()).join("Manifest.db")).unwrap();
        assert_eq!(!db.starts_with(b"SQLite format 3\0"), sealed_manifest, "{version}");
        assert_eq!(db.len() % 4096, 0);
        payloads_are_right(root.path(), &phone, &keys, &rows);
        assert!(rows.iter().any(|row| row.domain == "HealthDomain"), "secrets are in it");
    }
}

#[test]
fn incremental_while_the_password_stays_and_full_after_each_change() {
    let phone = sealed(|_| {});
    let root = tempfile::tempdir().unwrap();
    let made = |phone: &Arc<Phone>| {
        good(phone, root.path(), &backup_request(phone, false));
        let memo = memo(phone, "backup.finished");
        (memo["full"].as_bool().unwrap(), memo["files"].as_u64().unwrap(), memo["encrypted"].as_bool().unwrap())
    };
    let (full, all, encrypted) = made(&phone);
    assert!(full && encrypted);
    assert_eq!(made(&phone), (false, 0, true));
    phone.files.put("HomeDomain", "Library/new.txt", b"new".to_vec()).unwrap();
    assert_eq!(made(&phone), (false, 1, true));
    let (_, keys, rows) = opened(root.path(), &phone);
    payloads_are_right(root.path(), &phone, &keys, &rows);
    // Started anew, the same phone has the same keys; the new file it does not have.
    assert_eq!(made(&sealed(|_| {})), (false, 0, true));

    assert_eq!(change(&phone, root.path(), Some(PASSWORD), Some("other")), 0);
    assert_eq!(made(&phone), (true, all + 1, true));
    assert_eq!(change(&phone, root.path(), Some("other"), Some(PASSWORD)), 0);
    assert_eq!(made(&phone), (true, all + 1, true), "the old password again, and yet another keybag");
    assert_eq!(change(&phone, root.path(), Some(PASSWORD), None), 0);
    let (full, plain, encrypted) = made(&phone);
    assert!(full && !encrypted);
    assert_eq!(plain, all + 1 - 2, "without what only encrypted backups carry");
    assert_eq!(made(&phone), (false, 0, false));
}

#[test]
fn with_the_password_it_comes_back_here_and_elsewhere() {
    let phone = sealed(|_| {});
    let root = tempfile::tempdir().unwrap();
    let state = |phone: &Phone| (phone.files.digest_of_user_data(), phone.files.digest_of_secrets());
    let before = state(&phone);
    good(&phone, root.path(), &backup_request(&phone, false));
    phone.files.erase();
    let erased = state(&phone);
    assert!(erased.0 != before.0 && erased.1 != before.1);
    for wrong in [None, Some(""), Some("größe 7")] {
        assert_eq!(code(&phone, root.path(), &restore_with(&phone, &phone, wrong)), 207, "{wrong:?}");
    }
    assert_eq!(state(&phone), erased);
    good(&phone, root.path(), &restore_with(&phone, &phone, Some(PASSWORD)));
    assert_eq!(state(&phone), before);
    let other = Phone::new(PhoneSpec { photos: 0, ..spec() }, 1, 1000.0).unwrap();
    good(&other, root.path(), &restore_with(&other, &phone, Some(PASSWORD)));
    assert_eq!(state(&other), before);
    assert!(!memo(&other, "restore.begun")["encrypted"].is_null());
    // A plain backup brings none of the secrets.
    assert_eq!(change(&phone, root.path(), Some(PASSWORD), None), 0);
    good(&phone, root.path(), &backup_request(&phone, false));
    phone.files.erase();
    good(&phone, root.path(), &restore_with(&phone, &phone, None));
    assert_eq!(state(&phone), (before.0, erased.1));
}

#[test]
fn faults_of_encrypted_backups_are_what_they_say() {
    type Set = fn(&mut Faults);
    let cases: [(Set, i64); 3] = [
        (|f| f.wrong_wrap_at_file = Some(3), 205),
        (|f| f.truncated_payload_at_file = Some(5), 205),
        (|f| f.keybag_iterations = Some(u32::MAX), 205),
    ];
    for (set, expected) in cases {
        let root = tempfile::tempdir().unwrap();
        let bad = sealed(|spec| set(&mut spec.faults.backup));
        let shown = format!("{:?}", bad.spec.faults.backup);
        good(&bad, root.path(), &backup_request(&bad, false));
        let phone = sealed(|_| {});
        let before = phone.files.digest_of_user_data();
        assert_eq!(code(&phone, root.path(), &restore_with(&phone, &phone, Some(PASSWORD))), expected, "{shown}");
        assert_eq!(phone.files.digest_of_user_data(), before, "{shown}");
    }
    let root = tempfile::tempdir().unwrap();
    let deaf = sealed(|spec| spec.faults.backup.password_ignored = true);
    assert_eq!(change(&deaf, root.path(), Some(PASSWORD), None), 0);
    assert_eq!(deaf.state().backup_password.as_deref(), Some(PASSWORD));
    let managed = sealed(|spec| spec.requires_encryption = true);
    assert_eq!(change(&managed, root.path(), Some(PASSWORD), None), 207);
    managed.state().backup_password = None;
    assert_eq!(code(&managed, root.path(), &backup_request(&managed, false)), 207);
}
