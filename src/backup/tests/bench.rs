//! The engine against the bench's phone, which somebody else wrote.

use super::*;
use crate::fault::Code;
use crate::virt::backup::{Faults, HostileIn, serve_mobilebackup2};
use crate::virt::phone::Phone;
use crate::virt::spec::{Faults as AllFaults, PhoneSpec};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

fn phone(faults: Faults) -> Arc<Phone> {
    let faults = AllFaults { backup: faults, ..AllFaults::default() };
    phone_of(PhoneSpec { photos: 6, photo_bytes: 300_000, small_files: 300, faults, ..PhoneSpec::default() })
}

pub(super) fn phone_of(spec: PhoneSpec) -> Arc<Phone> {
    Phone::new(spec, 0, 1000.0).unwrap()
}

pub(super) fn connect(phone: &Arc<Phone>) -> (UnixStream, std::thread::JoinHandle<()>) {
    let (host, device) = UnixStream::pair().unwrap();
    let phone = phone.clone();
    (host, std::thread::spawn(move || serve_mobilebackup2(phone, Box::new(device))))
}

impl Bench {
    pub(super) fn take(&self, phone: &Arc<Phone>) -> Result<(Generation, Verdict), Fault> {
        self.take_with(phone, patience())
    }

    fn take_with(&self, phone: &Arc<Phone>, patience: Patience) -> Result<(Generation, Verdict), Fault> {
        let options = BackupOptions { full: false, patience };
        let mut served = None;
        let open = || {
            let (host, thread) = connect(phone);
            served = Some(thread);
            Ok(host)
        };
        let saved = save(&self.vault, &phone.udid, None, &options, open, |_| (), &self.tell, &self.cancel);
        served.unwrap().join().unwrap();
        saved.map(|saved| (saved.generation, saved.verdict))
    }
}

#[test]
fn what_was_on_the_phone_comes_back_to_the_last_byte() {
    let bench = Bench::new();
    let phone = phone(Faults::default());
    let (first, verdict) = bench.take(&phone).unwrap();
    assert!(verdict.findings.iter().all(|f| !f.is_damage()), "{:?}", verdict.findings);
    assert!(verdict.files as usize >= phone.files.user_file_count());

    phone.files.put("CameraRollDomain", "Media/DCIM/100APPLE/IMG_9001.JPG", vec![9; 70_000]).unwrap();
    let before = contents(&first.path);
    let (second, verdict) = bench.take(&phone).unwrap();
    assert!(verdict.findings.iter().all(|f| !f.is_damage()), "{:?}", verdict.findings);
    let (whole, part) = (first.record.unwrap(), second.record.clone().unwrap());
    assert!(part.received_files < whole.received_files / 4, "{} of {}", part.received_files, whole.received_files);
    assert_eq!(contents(&first.path), before);
    let deep = verify(&second.folder(), Depth::Deep(&second.digests()), &bench.tell, &bench.cancel).unwrap();
    assert!(deep.is_sound(), "{:?}", deep.findings);

    let digest = phone.files.digest_of_user_data();
    phone.files.erase();
    assert_ne!(phone.files.digest_of_user_data(), digest);
    let tree = WorkTree::open_read_only(&second.path, phone.udid.as_str()).unwrap();
    let (mut host, thread) = connect(&phone);
    let options = RestoreOptions::default();
    let (tell, cancel) = (&bench.tell, &bench.cancel);
    let sent = restore(&mut host, &phone.udid, &tree, &options, patience(), tell, cancel).unwrap();
    drop(host);
    thread.join().unwrap();
    assert_eq!(phone.files.digest_of_user_data(), digest);
    assert_eq!(phone.remembered("restore.mismatch"), 0);
    assert!(sent.bytes > 2_000_000);
}

#[test]
fn every_fault_of_the_bench_has_a_name_and_costs_no_generation() {
    let faults = |set: fn(&mut Faults)| {
        let mut faults = Faults::default();
        set(&mut faults);
        faults
    };
    let hostile = |kind: HostileIn| Faults {
        hostile_path: Some("../../../../tmp/x".into()),
        hostile_in: kind,
        ..Faults::default()
    };
    let cases = [
        (faults(|f| f.cut_at_file = Some(20)), Code::LinkLost),
        (faults(|f| f.cut_at_byte = Some(500_001)), Code::LinkLost),
        (faults(|f| f.silent_at_file = Some(5)), Code::LinkSilent),
        (faults(|f| f.absurd_message_length = Some(0xF000_0000)), Code::LinkAbsurd),
        (hostile(HostileIn::Upload), Code::BackupHostile),
        (hostile(HostileIn::CreateDirectory), Code::BackupHostile),
        (faults(|f| f.free_space_claim = Some(1 << 44)), Code::DiskFull),
    ];
    for (faults, code) in cases {
        let bench = Bench::new();
        let shown = format!("{faults:?}");
        let short = if code == Code::LinkSilent { impatience() } else { patience() };
        let fault = bench.take_with(&phone(faults), short).unwrap_err();
        assert_eq!(fault.code, code, "{shown}: {fault}");
        assert!(bench.vault.devices().unwrap().is_empty());
    }
    let garbage = bench_garbage();
    assert!(matches!(garbage.code, Code::LinkGarbage | Code::LinkAbsurd | Code::BackupHostile), "{garbage}");
}

fn bench_garbage() -> Fault {
    let garbage = Faults { garbage_at_file: Some(3), ..Faults::default() };
    Bench::new().take_with(&phone(garbage), impatience()).unwrap_err()
}

#[test]
fn a_cut_run_is_gone_on_with() {
    let bench = Bench::new();
    let phone = phone(Faults { cut_at_file: Some(200), ..Faults::default() });
    assert_eq!(bench.take(&phone).unwrap_err().code, Code::LinkLost);
    // The fault is in the phone: what follows is another one with the same data.
    let spec = PhoneSpec { faults: AllFaults::default(), ..phone.spec.clone() };
    let phone = Phone::new(spec, 0, 1000.0).unwrap();
    let (generation, verdict) = bench.take(&phone).unwrap();
    assert!(verdict.is_sound(), "{:?}", verdict.findings);
    let deep = verify(&generation.folder(), Depth::Deep(&generation.digests()), &bench.tell, &bench.cancel).unwrap();
    assert!(deep.is_sound(), "{:?}", deep.findings);
}

#[test]
fn unreadable_files_of_the_bench_make_it_partial() {
    let bench = Bench::new();
    let phone = phone(Faults { file_error_every: Some(50), ..Faults::default() });
    let (generation, verdict) = bench.take(&phone).unwrap();
    assert!(generation.record.unwrap().failed_count >= 6);
    assert!(verdict.is_sound(), "its manifest does not name them: {:?}", verdict.findings);
}
