//! Encrypted backups from the password to the last byte, and every way to be damaged.

use super::sample::{DEVICE_CLASS, DOMAIN, Lock, PASSWORD, SIZES, Sample, content, encrypt, name};
use super::*;
use crate::backup::{Cancel, Depth, Filter, Finding, Opened, Row, verify, verify_with};
use crate::event::Quiet;
use crate::wire::seal::Key;
use proptest::prelude::*;
use std::io::Read;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;

impl Sample {
    fn open_with(&self, password: &str) -> Result<Opened, Fault> {
        let (password, scratch) = (Password::new(password), self.scratch());
        Opened::open(&self.folder, Some(Unlock { password: &password, scratch: &scratch }), &Cancel::new())
    }

    fn open(&self) -> Result<Opened, Fault> {
        self.open_with(PASSWORD)
    }

    fn extract(&self, size: usize) -> Result<Vec<u8>, Fault> {
        let opened = self.open()?;
        let row = opened.find(DOMAIN, &name(size))?.unwrap();
        let to = self.dir.path().join("out");
        let count = opened.extract(&row, &to, &Cancel::new());
        if count.is_err() {
            assert!(!to.exists(), "half a file was left");
        }
        let bytes = count.map(|count| (count, std::fs::read(&to).unwrap()))?;
        assert_eq!(bytes.0, bytes.1.len() as u64);
        assert_eq!(to.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_file(to).unwrap();
        Ok(bytes.1)
    }

    fn verified(&self, password: Option<&str>, deep: bool) -> Result<Vec<Finding>, Fault> {
        let (password, scratch) = (password.map(Password::new), self.scratch());
        let unlock = password.as_ref().map(|password| Unlock { password, scratch: &scratch });
        let list = self.dir.path().join("no list");
        let depth = if deep { Depth::Deep(&list) } else { Depth::Quick };
        let verdict = verify_with(&self.folder, depth, unlock, &Quiet, &Cancel::new())?;
        assert!(verdict.encrypted);
        let mut findings = verdict.findings;
        findings.retain(|f| *f != Finding::NoDigests);
        Ok(findings)
    }

    fn list(&self) -> Dictionary {
        crate::backup::plists::read(&self.folder.join("Manifest.plist")).unwrap()
    }

    fn manifest_key(&self) -> Vec<u8> {
        self.list().get("ManifestKey").and_then(Value::as_data).unwrap().to_vec()
    }
}

fn code<T>(result: Result<T, impl Into<Fault>>) -> Code {
    result.err().expect("a fault").into().code
}

fn rows(opened: &Opened) -> Vec<Row> {
    let mut rows = vec![];
    opened
        .browse(&Filter::default(), |row| {
            rows.push(row);
            ControlFlow::Continue(())
        })
        .unwrap();
    rows
}

#[test]
fn with_the_password_it_is_a_backup_like_any_other() {
    let sample = Sample::new();
    let opened = sample.open().unwrap();
    assert!(opened.is_encrypted());
    assert_eq!(rows(&opened).len(), SIZES.len());
    assert_eq!(std::fs::read_dir(sample.scratch()).unwrap().count(), 0, "the plain manifest has no name");
    assert_eq!(sample.scratch().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    for size in SIZES {
        assert_eq!(opened.find(DOMAIN, &name(size)).unwrap().unwrap().size, Some(size as u64));
        assert!(sample.extract(size).unwrap() == content(size), "{size}");
    }
    for deep in [false, true] {
        assert_eq!(sample.verified(Some(PASSWORD), deep).unwrap(), []);
    }
}

#[test]
fn a_manifest_without_padding_opens_too() {
    let sample = Sample::new();
    let padded = std::fs::read(sample.folder.join("Manifest.db")).unwrap();
    let key = Keys::unlock(&sample.lock.keybag, &sample.password).unwrap().content_key(&sample.manifest_key()).unwrap();
    let mut plain = vec![];
    Decrypter::content(&padded[..], &key).unwrap().read_to_end(&mut plain).unwrap();
    assert_eq!(plain.len() + 16, padded.len());
    sample.seal(&plain, false);
    assert_eq!(sample.folder.join("Manifest.db").metadata().unwrap().len(), plain.len() as u64);
    assert_eq!(rows(&sample.open().unwrap()).len(), SIZES.len());
    assert_eq!(sample.verified(Some(PASSWORD), true).unwrap(), []);
}

#[test]
fn without_the_password_it_says_so() {
    let sample = Sample::new();
    assert_eq!(code(Opened::open(&sample.folder, None, &Cancel::new())), Code::BackupPassword);
    assert_eq!(sample.verified(None, false).unwrap(), [Finding::Sealed]);
    assert!(verify(&sample.folder, Depth::Quick, &Quiet, &Cancel::new()).unwrap().is_sound());
    assert!(!sample.scratch().exists());
}

#[test]
fn a_wrong_password_is_told_from_damage() {
    let sample = Sample::new();
    for wrong in ["", "correct horse", "Correct horse, Größe 7"] {
        assert_eq!(code(sample.open_with(wrong)), Code::BackupPasswordWrong, "{wrong:?}");
        assert_eq!(code(sample.verified(Some(wrong), false)), Code::BackupPasswordWrong);
    }
    let check = |password: &str| check_password(&sample.folder, &Password::new(password));
    assert!(check(PASSWORD).is_ok());
    assert_eq!(code(check("x")), Code::BackupPasswordWrong);
    let keys = Keys::unlock(&sample.lock.keybag, &sample.password).unwrap();
    assert_eq!(format!("{keys:?}"), "Keys(4 classes, …)");
    assert_eq!(keys.device_only(), [DEVICE_CLASS]);
}

#[test]
fn keybags_from_before_ios_10_2_open_too() {
    let lock = Lock::with("a", false);
    assert!(lock.keybag.first_rounds.is_none());
    assert!(Keys::unlock(&lock.keybag, &Password::new("a")).is_ok());
    assert_eq!(code(Keys::unlock(&lock.keybag, &Password::new("b"))), Code::BackupPasswordWrong);
}

/// Salts of 0x01 and 0x02, password `herstel-vector`; derived, wrapped and encrypted by a Python program of its own
/// with hashlib and pyca/cryptography.
#[test]
fn a_vector_that_was_made_with_other_tools_opens() {
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    };
    let vector: Vec<Vec<u8>> = include_str!("vector.txt").lines().map(hex).collect();
    let [keybag, wrapped, payload] = &vector[..] else { panic!("three lines") };
    let keybag = Keybag::parse(keybag).unwrap();
    assert_eq!((keybag.rounds.iterations, keybag.first_rounds.as_ref().unwrap().iterations), (1000, 2000));
    let keys = Keys::unlock(&keybag, &Password::new("herstel-vector")).unwrap();
    let key = keys.content_key(wrapped).unwrap();
    let mut plain = String::new();
    Decrypter::content(&payload[..], &key).unwrap().read_to_string(&mut plain).unwrap();
    assert_eq!(plain, "what the other tool encrypted");
}

#[test]
fn every_cut_of_the_keybag_is_a_damage_or_costs_classes() {
    let sample = Sample::new();
    let (bytes, key) = (sample.lock.keybag.build(), sample.manifest_key());
    for cut in 0..bytes.len() {
        sample.write_list(&bytes[..cut], Some(key.clone()));
        // The manifest's class is the last but one: cut between two whole keys, all that is needed may be there.
        if let Ok(opened) = sample.open() {
            assert!(cut > bytes.len() - 120 && rows(&opened).len() == SIZES.len(), "{cut}");
            continue;
        }
        assert_eq!(code(sample.open()), Code::BackupDamaged, "{cut}");
        let findings = sample.verified(Some(PASSWORD), false).unwrap();
        assert!(findings.iter().any(Finding::is_damage), "{cut}: {findings:?}");
    }
}

#[test]
fn a_hostile_keybag_costs_no_time() {
    let sample = Sample::new();
    let mut keybag = sample.lock.keybag.clone();
    keybag.first_rounds.as_mut().unwrap().iterations = u32::MAX;
    sample.write_list(&keybag.build(), None);
    assert_eq!(code(sample.open()), Code::BackupDamaged);
    let findings = sample.verified(None, false).unwrap();
    assert!(matches!(&findings[0], Finding::KeybagDamaged { why } if why.contains("iterations")), "{findings:?}");
    let other = Keybag { kind: 2, ..sample.lock.keybag.clone() };
    assert_eq!(code(Keys::unlock(&other, &sample.password)), Code::BackupDamaged);
    let none = Keybag { classes: vec![], ..sample.lock.keybag.clone() };
    assert_eq!(code(Keys::unlock(&none, &sample.password)), Code::BackupDamaged);
    let mut short = sample.lock.keybag.clone();
    short.classes.iter_mut().for_each(|class| class.wrapped.truncate(39));
    assert_eq!(code(Keys::unlock(&short, &sample.password)), Code::BackupDamaged, "not a wrong password");
}

#[test]
fn a_damaged_class_key_costs_its_class_only() {
    let sample = Sample::new();
    let mut keybag = sample.lock.keybag.clone();
    // Class 2: the second, sixth, … content.
    keybag.classes[1].wrapped[5] ^= 1;
    sample.write_list(&keybag.build(), Some(sample.manifest_key()));
    assert_eq!(code(sample.extract(SIZES[1])), Code::BackupDamaged);
    assert_eq!(sample.extract(SIZES[2]).unwrap(), content(SIZES[2]));
    let findings = sample.verified(Some(PASSWORD), false).unwrap();
    assert!(matches!(&findings[0], Finding::KeybagDamaged { why } if why.contains("class 2")), "{findings:?}");
    let undecryptable = |f: &&Finding| matches!(f, Finding::Undecryptable { .. });
    assert_eq!(findings.iter().filter(undecryptable).count(), 2, "{findings:?}");
}

#[test]
fn damaged_content_keys_say_what_is_wrong() {
    let lock = Lock::new(PASSWORD);
    let keys = Keys::unlock(&lock.keybag, &Password::new(PASSWORD)).unwrap();
    let good = lock.wrapped(3, &[9; 32]);
    assert_eq!(keys.wrapped(3, &keys.content_key(&good).unwrap()).unwrap(), good);
    let said = |wrapped: &[u8]| keys.content_key(wrapped).err().unwrap().to_string();
    for at in 0..good.len() {
        let mut damaged = good.clone();
        damaged[at] ^= 1;
        let detail = said(&damaged);
        assert!(detail.contains("class"), "{at}: {detail}");
        assert!(said(&good[..at]).contains("bytes"));
    }
    let other = |class: u32| [&class.to_le_bytes()[..], &good[4..]].concat();
    assert_eq!(said(&other(1)), "a key of class 1 is damaged", "wrapped with another class's key");
    assert_eq!(said(&other(77)), "the key of class 77 is not in the keybag");
    assert_eq!(said(&lock.wrapped(DEVICE_CLASS, &[9; 32])), "the key of class 11 opens on the device only");
}

#[test]
fn damaged_payloads_are_found_and_not_given_out() {
    type Case = (usize, fn(&mut Vec<u8>), bool);
    let cases: [Case; 6] = [
        (17, |p| p.truncate(16), true),
        (17, |p| p.truncate(20), true),
        (16, Vec::clear, true),
        (1, |p| p.extend([0; 16]), true),
        (1 << 20, |p| p.truncate(1 << 19), true),
        // The size is right: only the deep way reads the end.
        (17, |p| *p.last_mut().unwrap() ^= 1, false),
    ];
    for (n, (size, damage, quick)) in cases.into_iter().enumerate() {
        let sample = Sample::new();
        let mut payload = std::fs::read(sample.payload(size)).unwrap();
        damage(&mut payload);
        std::fs::write(sample.payload(size), payload).unwrap();
        assert_eq!(code(sample.extract(size)), Code::BackupDamaged, "{n}");
        let findings = sample.verified(Some(PASSWORD), !quick).unwrap();
        match &findings[..] {
            [Finding::PayloadSize { path, .. }] if quick => assert_eq!(*path, name(size)),
            [Finding::Undecryptable { path, .. }] if !quick => assert_eq!(*path, name(size)),
            other => panic!("{n}: {other:?}"),
        }
    }
}

/// Seen by jsharkey13/iphone_backup_decrypt#1, avibrazil/iOSbackup#1 and #26 in backups of real phones: databases
/// whose `Size` is not theirs, cut off by tools that trusted it.
#[test]
fn the_padding_is_believed_and_not_the_size() {
    let sample = Sample::new();
    let key = [2; 32];
    for real in [1000, 16, 0] {
        let payload = encrypt(&key, &content(real), true);
        std::fs::write(sample.payload(SIZES[1]), &payload).unwrap();
        assert_eq!(sample.extract(SIZES[1]).unwrap(), content(real));
        let findings = sample.verified(Some(PASSWORD), false).unwrap();
        match &findings[..] {
            [] if payload.len() == 16 => {}
            [differs @ Finding::SizeDiffers { expected: 16, .. }] if payload.len() != 16 => {
                assert!(!differs.is_damage());
            }
            other => panic!("{real}: {other:?}"),
        }
    }
}

#[test]
fn a_damaged_manifest_is_no_crash() {
    let sample = Sample::new();
    let (path, whole) = (sample.folder.join("Manifest.db"), std::fs::read(sample.folder.join("Manifest.db")).unwrap());
    let manifest_damage = |f: &Finding| matches!(f, Finding::ManifestDamaged { .. });
    for length in [0, 5, 16, 100, 4096, whole.len() - 32, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let findings = sample.verified(Some(PASSWORD), false).unwrap();
        assert!(findings.iter().any(Finding::is_damage), "{length}: {findings:?}");
        if let Ok(opened) = sample.open() {
            let _ = opened.browse(&Filter::default(), |_| ControlFlow::Continue(()));
        }
    }
    std::fs::write(&path, &whole).unwrap();
    let keybag = sample.lock.keybag.build();
    for key in [None, Some(vec![]), Some(vec![0; 44]), Some(sample.lock.wrapped(3, &[1; 32]))] {
        sample.write_list(&keybag, key);
        assert_eq!(code(sample.open()), Code::BackupDamaged);
        assert!(sample.verified(Some(PASSWORD), false).unwrap().iter().any(manifest_damage));
    }
    assert_eq!(std::fs::read_dir(sample.scratch()).unwrap().count(), 0);
}

/// Gives at most so many bytes at a time.
struct Slow<'a>(&'a [u8], usize);

impl Read for Slow<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let most = out.len().min(self.1);
        self.0.read(&mut out[..most])
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_encrypted_is_decrypted(
        plain in proptest::collection::vec(any::<u8>(), 0..5000), step in 1..5000usize, at in 0..5000usize,
    ) {
        let key = [0x42; 32];
        let cipher = encrypt(&key, &plain, true);
        let read = |cipher: &[u8]| {
            let mut out = vec![];
            let mut stream = Decrypter::content(Slow(cipher, step), &Key::new(&key)).unwrap();
            stream.read_to_end(&mut out).map(|_| out)
        };
        prop_assert_eq!(read(&cipher).unwrap(), plain);
        // A cut between two blocks is seen but for an end that happens to be a padding.
        let cut = at.min(cipher.len() - 1);
        prop_assert!(cut % 16 == 0 && cut > 0 || read(&cipher[..cut]).is_err(), "cut at {cut}");
    }
}
