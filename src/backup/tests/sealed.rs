//! Encrypted backups of the bench's phone, from its password to the last byte and back onto it.

use super::bench::{connect, phone_of};
use super::*;
use crate::fault::Code;
use crate::virt::backup::{Faults, Kind};
use crate::virt::phone::Phone;
use crate::virt::spec::PhoneSpec;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

const PASSWORD: &str = "correct horse, Größe 7";

fn phone(set: impl FnOnce(&mut Faults)) -> Arc<Phone> {
    let mut spec = PhoneSpec { backup_password: Some(PASSWORD.into()), small_files: 40, ..PhoneSpec::default() };
    set(&mut spec.faults.backup);
    phone_of(spec)
}

fn state(phone: &Phone) -> (String, String) {
    (phone.files.digest_of_user_data(), phone.files.digest_of_secrets())
}

impl Bench {
    fn scratch(&self) -> PathBuf {
        self.dir.path().join("scratch")
    }

    fn deep(&self, generation: &Generation, password: Option<&str>) -> Result<Verdict, Fault> {
        let (password, scratch) = (password.map(Password::new), self.scratch());
        let unlock = password.as_ref().map(|password| Unlock { password, scratch: &scratch });
        let digests = generation.digests();
        let mut verdict = verify_with(&generation.folder(), Depth::Deep(&digests), unlock, &self.tell, &self.cancel)?;
        // The person's computer writes it, and nobody does here.
        verdict.findings.retain(|f| !matches!(f, Finding::FileAbsent { file } if file == "Info.plist"));
        Ok(verdict)
    }

    fn change(&self, phone: &Arc<Phone>, old: Option<&str>, new: Option<&str>) -> Result<(), Fault> {
        let (mut host, thread) = connect(phone);
        let (old, new) = (old.map(Password::new), new.map(Password::new));
        let (tell, cancel) = (&self.tell, &self.cancel);
        let done = change_password(&mut host, &phone.udid, old.as_ref(), new.as_ref(), patience(), tell, cancel);
        drop(host);
        thread.join().unwrap();
        done
    }

    fn put_back(&self, generation: &Generation, phone: &Arc<Phone>, password: Option<&str>) -> Result<Sent, Fault> {
        let tree = WorkTree::open_read_only(&generation.path, generation.udid.as_str()).unwrap();
        let (mut host, thread) = connect(phone);
        let password = password.map(Password::new);
        let options = RestoreOptions { password, remove_others: true, reboot: false, ..RestoreOptions::default() };
        let (tell, cancel) = (&self.tell, &self.cancel);
        let sent = restore(&mut host, &phone.udid, &tree, &options, patience(), tell, cancel);
        drop(host);
        thread.join().unwrap();
        sent
    }
}

#[test]
fn the_password_opens_what_the_phone_encrypted() {
    let bench = Bench::new();
    let phone = phone(|_| {});
    let (generation, verdict) = bench.take(&phone).unwrap();
    assert_eq!(generation.summary.encrypted, Some(true));
    assert!(verdict.findings.contains(&Finding::Sealed) && generation.record.as_ref().unwrap().sealed);
    let verdict = bench.deep(&generation, Some(PASSWORD)).unwrap();
    assert_eq!(verdict.findings, []);
    assert!(verdict.files as usize > phone.files.user_file_count(), "and the secrets");
    assert_eq!(bench.deep(&generation, None).unwrap().findings, [Finding::Sealed]);
    assert_eq!(bench.deep(&generation, Some("wrong")).unwrap_err().code, Code::BackupPasswordWrong);

    let (password, scratch) = (Password::new(PASSWORD), bench.scratch());
    let unlock = Unlock { password: &password, scratch: &scratch };
    let opened = Opened::open(&generation.folder(), Some(unlock), &bench.cancel).unwrap();
    let mut rows = vec![];
    let each = |row| {
        rows.push(row);
        ControlFlow::Continue(())
    };
    opened.browse(&Filter { files_only: true, ..Filter::default() }, each).unwrap();
    assert_eq!(rows.len() as u64, verdict.files);
    assert!(rows.iter().any(|row| row.domain == "HealthDomain"));
    let to = bench.dir.path().join("out");
    for row in &rows {
        opened.extract(row, &to, &bench.cancel).unwrap();
        let entry = phone.files.get(&row.domain, &row.path).unwrap();
        let Kind::File(content) = &entry.kind else { panic!("{row:?} is no file") };
        let mut own = vec![0; content.size() as usize];
        content.read_at(0, &mut own).unwrap();
        assert!(std::fs::read(&to).unwrap() == own, "{row:?}");
        std::fs::remove_file(&to).unwrap();
    }
    assert_eq!(std::fs::read_dir(scratch).unwrap().count(), 0, "no plain manifest is left");
}

#[test]
fn it_grows_by_what_changed_until_the_password_changes() {
    let bench = Bench::new();
    let phone = phone(|_| {});
    let (first, _) = bench.take(&phone).unwrap();
    phone.files.put("CameraRollDomain", "Media/DCIM/100APPLE/IMG_9001.JPG", vec![9; 70_000]).unwrap();
    let before = contents(&first.path);
    let (second, _) = bench.take(&phone).unwrap();
    let received = |generation: &Generation| generation.record.as_ref().unwrap().received_files;
    assert!(received(&second) < received(&first) / 4, "{} of {}", received(&second), received(&first));
    assert_eq!(contents(&first.path), before);
    assert_eq!(bench.deep(&second, Some(PASSWORD)).unwrap().findings, []);

    assert_eq!(bench.change(&phone, Some("wrong"), Some("x")).unwrap_err().code, Code::BackupPasswordWrong);
    bench.change(&phone, Some(PASSWORD), Some("another")).unwrap();
    let (third, _) = bench.take(&phone).unwrap();
    assert!(received(&third) > received(&first), "a full one");
    assert_eq!(bench.deep(&third, Some(PASSWORD)).unwrap_err().code, Code::BackupPasswordWrong);
    assert_eq!(bench.deep(&third, Some("another")).unwrap().findings, []);
    assert_eq!(bench.deep(&first, Some(PASSWORD)).unwrap().findings, [], "the older ones keep their password");

    bench.change(&phone, Some("another"), None).unwrap();
    let (fourth, verdict) = bench.take(&phone).unwrap();
    assert_eq!((fourth.summary.encrypted, verdict.is_sound()), (Some(false), true));
    assert!(verdict.files as usize >= phone.files.user_file_count());
    bench.change(&phone, None, Some(PASSWORD)).unwrap();
    let (fifth, _) = bench.take(&phone).unwrap();
    assert_eq!(fifth.summary.encrypted, Some(true));
    assert_eq!(bench.deep(&fifth, Some(PASSWORD)).unwrap().findings, []);
}

#[test]
fn it_comes_back_with_its_secrets_here_and_elsewhere() {
    let bench = Bench::new();
    let phone = phone(|_| {});
    let before = state(&phone);
    let (generation, _) = bench.take(&phone).unwrap();
    phone.files.erase();
    let erased = state(&phone);
    let code = |password| bench.put_back(&generation, &phone, password).unwrap_err();
    assert_eq!(code(None).code, Code::BackupPassword, "the device is not even asked");
    let wrong = code(Some("wrong"));
    assert_eq!((wrong.code, wrong.number), (Code::BackupPasswordWrong, Some(207)));
    assert_eq!(state(&phone), erased);
    bench.put_back(&generation, &phone, Some(PASSWORD)).unwrap();
    assert_eq!(state(&phone), before);
    let other = Phone::new(PhoneSpec { photos: 1, ..PhoneSpec::default() }, 1, 1000.0).unwrap();
    bench.put_back(&generation, &other, Some(PASSWORD)).unwrap();
    assert_eq!(state(&other), before);
}

#[test]
fn a_generation_is_found_by_its_path_too() {
    let bench = Bench::new();
    let phone = phone(|_| {});
    let (generation, _) = bench.take(&phone).unwrap();
    for place in [generation.path.clone(), generation.folder()] {
        let outside = Generation::outside(&place, None).unwrap();
        assert_eq!((outside.folder(), outside.summary.encrypted), (generation.folder(), Some(true)));
        assert_eq!(bench.deep(&outside, Some(PASSWORD)).unwrap().findings, []);
    }
}

#[test]
fn phones_that_encrypt_badly_are_found_out() {
    // Without the password nobody can see it, so that it is published; with it, verify finds it.
    type Set = fn(&mut Faults);
    type Fits = fn(&Finding) -> bool;
    let found: [(Set, Fits); 2] = [
        (|f| f.wrong_wrap_at_file = Some(3), |f| matches!(f, Finding::Undecryptable { .. })),
        (|f| f.truncated_payload_at_file = Some(5), |f| matches!(f, Finding::PayloadSize { .. })),
    ];
    for (fault, fits) in found {
        let bench = Bench::new();
        let phone = phone(fault);
        let (generation, _) = bench.take(&phone).unwrap();
        let findings = bench.deep(&generation, Some(PASSWORD)).unwrap().findings;
        assert!(findings.len() == 1 && findings.iter().all(fits), "{findings:?}");
    }
    // A keybag that would cost an hour is no keybag.
    let bench = Bench::new();
    let fault = bench.take(&phone(|f| f.keybag_iterations = Some(4_000_000_000))).unwrap_err();
    assert_eq!(fault.code, Code::BackupUnverified);
    assert!(fault.detail.contains("iterations"), "{fault}");
    assert!(bench.vault.devices().unwrap().is_empty());
}

#[test]
fn a_backup_that_a_profile_wants_encrypted_says_so() {
    let bench = Bench::new();
    let phone = phone_of(PhoneSpec { requires_encryption: true, ..PhoneSpec::default() });
    let fault = bench.take(&phone).unwrap_err();
    assert_eq!((fault.code, fault.number), (Code::EncryptionRequired, Some(207)));
}
