//! The host's duties around a backup and a restore, over usbmuxd, lockdown and TLS, as the phone remembers them.

use super::*;
use crate::device::{Consent, Deed, Given, Identity, Normal, Trust};
use crate::event::{Event, Request, Teller};
use crate::fault::Code;
use crate::mux::{Mux, MuxAddress, Notices, Session, SyncLock};
use crate::virt::backup::Faults as BackupFaults;
use crate::virt::mux::{HostRecords, Muxd, boot, observe, post};
use crate::virt::phone::Phone;
use crate::virt::spec::{Faults, PhoneSpec, TrustSpec};
use plist::Value;
use serde_json::Value as Json;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Where AFC's files lie on the bench that no backup carries.
const MEDIA: &str = "";
const LIST: &str = "iTunesRestore/RestoreApplications.plist";

struct Host {
    phones: Vec<Arc<Phone>>,
    mux: Mux,
    vault: Vault,
    tell: Arc<Recorder>,
    cancel: CancellationToken,
    _muxd: Muxd,
    _folder: TempDir,
}

fn spec() -> PhoneSpec {
    PhoneSpec { trust: TrustSpec::Trusted, photos: 4, photo_bytes: 30_000, ..PhoneSpec::default() }
}

fn with(faults: BackupFaults) -> PhoneSpec {
    PhoneSpec { faults: Faults { backup: faults, ..Faults::default() }, ..spec() }
}

impl Host {
    fn of(specs: Vec<PhoneSpec>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let records = Arc::new(HostRecords::new());
        let make = |(place, spec)| Phone::new(spec, place, 100.0).unwrap();
        let phones: Vec<Arc<Phone>> = specs.into_iter().enumerate().map(make).collect();
        phones.iter().for_each(|phone| boot(phone, &records));
        let socket = folder.path().join("usbmuxd");
        Host {
            _muxd: Muxd::start(&socket, phones.clone(), records).unwrap(),
            mux: Mux::new(MuxAddress::Unix(socket)),
            vault: Vault::new(folder.path().join("vault")),
            tell: Arc::new(Recorder::default()),
            cancel: CancellationToken::new(),
            phones,
            _folder: folder,
        }
    }

    fn new(spec: PhoneSpec) -> Self {
        Host::of(vec![spec])
    }

    fn phone(&self) -> &Arc<Phone> {
        &self.phones[0]
    }

    async fn normal(&self, place: usize) -> Normal {
        let phone = &self.phones[place];
        let devices = self.mux.devices().await.unwrap();
        let who = Identity {
            ecid: Some(phone.ecid),
            udid: Some(phone.udid.clone()),
            name: Some("Anna".into()),
            ..Identity::default()
        };
        Normal {
            who,
            mux: devices.into_iter().find(|d| d.serial == phone.udid.as_str()).unwrap(),
            trust: Trust::Trusted,
            locked: Some(false),
            version: Some(phone.state().version.clone()),
            build: None,
        }
    }

    async fn session(&self) -> Session {
        let normal = self.normal(0).await;
        let record = self.mux.pair_record(&self.phone().udid).await.unwrap().unwrap();
        Session::open(&self.mux, &normal.mux, record).await.unwrap()
    }

    fn teller(&self) -> Teller {
        Arc::clone(&self.tell) as Teller
    }

    async fn back_up(&self) -> Result<Made, Fault> {
        let options = BackupOptions { full: false, patience: patience() };
        make(&self.mux, &self.normal(0).await, &self.vault, options, &self.teller(), &self.cancel).await
    }

    async fn put_back(&self, place: usize, generation: &Generation, what: RestoreOptions) -> Result<Sent, Fault> {
        let normal = self.normal(place).await;
        let name = self.phones[place].ecid.to_string();
        let consent = Consent::from_person(&normal.who, Deed::PutBack, &Given::Named(&name)).unwrap();
        let options = PutBackOptions { what, patience: patience() };
        put_back(&self.mux, &normal, generation, options, &consent, &self.teller(), &self.cancel).await
    }
}

fn remembered(phone: &Phone, what: &str, key: &str) -> Vec<String> {
    let memory = phone.memory().into_iter().filter(|memo| memo.what == what);
    memory.filter_map(|memo| memo.detail[key].as_str().map(str::to_owned)).collect()
}

fn notices(phone: &Phone) -> Vec<String> {
    let short = |name: String| name.trim_start_matches("com.apple.itunes-mobdev.").to_owned();
    remembered(phone, "notification", "name").into_iter().map(short).collect()
}

const POLITE: [&str; 4] = ["syncWillStart", "syncLockRequest", "syncDidStart", "syncDidFinish"];

#[tokio::test(flavor = "multi_thread")]
async fn what_itunes_keeps_on_a_phone_is_in_info_plist_and_the_sync_is_announced() {
    let host = Host::new(with(BackupFaults { purge_request: Some(1 << 40), ..BackupFaults::default() }));
    let files = &host.phone().files;
    for name in ["iTunesPrefs", "IC-Info.sidv", "VoiceMemos.plist"] {
        files.put(MEDIA, &format!("iTunes_Control/iTunes/{name}"), name.into()).unwrap();
    }
    files.put(MEDIA, "iTunes_Control/iTunes/nobody knows", vec![1]).unwrap();
    files.put(MEDIA, "iTunes_Control/iTunes/iTunesPrefs.plist", vec![0; 600 << 10]).unwrap();
    files.put(MEDIA, "Books/iBooksData2.plist", b"books".to_vec()).unwrap();
    let made = host.back_up().await.unwrap();
    assert!(made.verdict.is_sound(), "PurgeDiskSpace was answered and the phone went on: {:?}", made.verdict.findings);
    assert_eq!((made.preflight.encrypts, made.preflight.find_my), (Some(false), Some(false)));
    assert!(made.preflight.free > Some(1 << 30));

    let info = crate::backup::plists::read(&made.generation.folder().join("Info.plist")).unwrap();
    let files = info["iTunes Files"].as_dictionary().unwrap();
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["IC-Info.sidv", "VoiceMemos.plist", "iTunesPrefs"], "what is there and small enough");
    assert_eq!(files["iTunesPrefs"].as_data(), Some(b"iTunesPrefs".as_slice()));
    assert_eq!(info["iBooks Data 2"].as_data(), Some(b"books".as_slice()));
    let apps = made.generation.applications().unwrap();
    assert!(!apps.is_empty() && apps.len() == info["Installed Applications"].as_array().unwrap().len());
    for (bundle, app) in apps {
        let app = app.as_dictionary().unwrap();
        for key in ["ApplicationSINF", "iTunesMetadata", "PlaceholderIcon"] {
            assert!(app.get(key).is_some_and(|v| v.as_data().is_some_and(|d| !d.is_empty())), "{bundle} {key}");
        }
    }
    for key in ["Build Version", "GUID", "IMEI", "MEID", "Product Type", "Serial Number", "iTunes Version"] {
        assert!(info[key].as_string().is_some_and(|text| !text.is_empty()), "{key}");
    }
    assert_eq!(notices(host.phone()), POLITE);
    let services = remembered(host.phone(), "lockdown.service", "service");
    let opened = host.phone().memory().into_iter().filter(|memo| memo.what == "lockdown.service");
    for memo in
        opened.filter(|memo| ["com.apple.mobilebackup2", "com.apple.afc"].iter().any(|s| memo.detail["service"] == *s))
    {
        assert_eq!(memo.detail["escrow"], Json::Bool(true), "{}", memo.detail);
    }
    let at = |name: &str| services.iter().position(|s| s == name).unwrap();
    assert!(at("com.apple.mobile.installation_proxy") < at("com.apple.mobilebackup2"));
}

/// The tree stands before the phone is connected to: a desk that another run holds costs the phone nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_phone_is_not_kept_waiting_for_the_tree() {
    let host = Host::new(spec());
    let desk = host.vault.take(&host.phone().udid).unwrap();
    assert_eq!(host.back_up().await.unwrap_err().code, Code::Locked);
    assert_eq!(notices(host.phone()), [""; 0]);
    assert!(!remembered(host.phone(), "lockdown.service", "service").contains(&"com.apple.mobilebackup2".to_owned()));
    drop(desk);
    host.back_up().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lock_of_another_host_is_waited_for() {
    let host = Arc::new(Host::new(spec()));
    let mut other = host.session().await;
    let held = SyncLock::take(&mut other).await.unwrap();
    let heard = observe(host.phone());
    let run = tokio::spawn({
        let host = Arc::clone(&host);
        async move { host.back_up().await }
    });
    let asked = tokio::task::spawn_blocking(move || {
        while heard.recv_timeout(Duration::from_secs(20)).unwrap() != "com.apple.itunes-mobdev.syncLockRequest" {}
    });
    asked.await.unwrap();
    let started = |host: &Host| notices(host.phone()).iter().filter(|name| *name == "syncDidStart").count();
    assert_eq!(started(&host), 1, "ours has not begun while the other one holds the lock");
    held.release(&mut other).await.unwrap();
    run.await.unwrap().unwrap();
    assert_eq!(started(&host), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_of_the_phone_is_told_and_a_cancel_on_it_ends_the_run_in_order() {
    let slow = BackupFaults { silence_before_first_file_ms: 60_000, ..BackupFaults::default() };
    let host = Arc::new(Host::new(with(slow)));
    let heard = observe(host.phone());
    let phone = Arc::clone(host.phone());
    let canceller = std::thread::spawn(move || {
        while heard.recv_timeout(Duration::from_secs(20)).unwrap() != "com.apple.itunes-mobdev.syncDidStart" {}
        for name in [Notices::PASSCODE_ASKED, Notices::PASSCODE_GONE, Notices::CANCELLED] {
            post(&phone, name);
        }
    });
    let fault = host.back_up().await.unwrap_err();
    canceller.join().unwrap();
    assert_eq!((fault.code, fault.stage.as_deref()), (Code::Cancelled, Some("backup")));
    assert_eq!(notices(host.phone()), POLITE, "the lock was given back");
    let prompts = host.tell.events().into_iter().filter_map(|event| match event {
        Event::Ask { request } => Some((true, request)),
        Event::Answered { request } => Some((false, request)),
        _ => None,
    });
    let prompts: Vec<_> = prompts.collect();
    assert_eq!(prompts, [(true, Request::EnterPasscode), (false, Request::EnterPasscode)]);
    assert!(host.vault.generations(&host.phone().udid).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_asks_for_the_apps_and_takes_that_back_when_it_fails() {
    let host = Host::new(spec());
    let generation = host.back_up().await.unwrap().generation;
    let list = |host: &Host| host.phone().files.get(MEDIA, LIST).is_some();
    assert!(!list(&host));
    let what = RestoreOptions {
        reboot: false,
        copy_first: true,
        preserve_settings: true,
        system_files: false,
        remove_others: true,
        password: None,
    };
    host.put_back(0, &generation, what).await.unwrap();
    assert!(list(&host), "the phone installs them after its restart");
    let begun = host.phone().memory().into_iter().rfind(|memo| memo.what == "restore.begun").unwrap().detail;
    for (key, wanted) in [
        ("reboot", false),
        ("copy_first", true),
        ("preserve_settings", true),
        ("system_files", false),
        ("remove_others", true),
    ] {
        assert_eq!(begun[key], Json::Bool(wanted), "{key}");
    }
    // A phone of the same kind that fails near the end.
    let missing = format!("{}/00/00", generation.udid);
    let faults = BackupFaults { restore_missing_path: Some(missing), ..BackupFaults::default() };
    let other = Host::new(with(faults));
    let whole = other.phone().files.digest_of_user_data();
    let fault = other.put_back(0, &generation, RestoreOptions::default()).await.unwrap_err();
    assert_eq!((fault.code, fault.number), (Code::BackupDamaged, Some(205)), "{fault}");
    assert!(!list(&other), "taken away again");
    assert_eq!(notices(other.phone()), POLITE);
    assert_eq!(other.phone().files.digest_of_user_data(), whole, "its data was not touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_of_another_phone_is_put_back() {
    let host = Host::of(vec![spec(), PhoneSpec { photos: 1, ..spec() }]);
    let generation = host.back_up().await.unwrap().generation;
    let (old, new) = (&host.phones[0], &host.phones[1]);
    assert_ne!(old.files.digest_of_user_data(), new.files.digest_of_user_data());
    let what = RestoreOptions { remove_others: true, ..RestoreOptions::default() };
    host.put_back(1, &generation, what).await.unwrap();
    assert_eq!(old.files.digest_of_user_data(), new.files.digest_of_user_data());
    assert_eq!(new.remembered("restore.mismatch"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_is_full_costs_a_fault_with_both_figures() {
    use crate::virt::backup::FinalError;
    let host = Host::new(spec());
    let generation = host.back_up().await.unwrap().generation;
    let text = "Insufficient free disk space on device to restore".to_owned();
    let faults = BackupFaults { final_error: Some(FinalError { code: 105, text }), ..BackupFaults::default() };
    let fault = Host::new(with(faults)).put_back(0, &generation, RestoreOptions::default()).await.unwrap_err();
    assert_eq!(
        (fault.code, fault.number, fault.remedy.map(|r| r.as_str())),
        (Code::DeviceFull, Some(105), Some("device-room"))
    );
    for text in ["on device to restore", "the backup has 4 MB", "MB free"] {
        assert!(fault.detail.contains(text), "{text}: {fault}");
    }
}

/// Every refusal that can be foreseen comes before a notification, a file or a request.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_phone_would_refuse_is_not_sent() {
    let host = Host::new(spec());
    let generation = host.back_up().await.unwrap().generation;
    let before = notices(host.phone()).len();
    host.phone().state().find_my = true;
    let fault = host.put_back(0, &generation, RestoreOptions::default()).await.unwrap_err();
    assert_eq!((fault.code, fault.number), (Code::FindMyOn, Some(211)));
    host.phone().state().find_my = false;
    host.phone().state().version = "15.8.7".parse().unwrap();
    let fault = host.put_back(0, &generation, RestoreOptions::default()).await.unwrap_err();
    assert_eq!((fault.code, fault.number), (Code::BackupNewer, Some(203)));
    host.phone().state().setup_done = false;
    let fault = host.back_up().await.unwrap_err();
    assert_eq!((fault.code, fault.stage.as_deref()), (Code::SetupUnfinished, Some("backup")));
    host.phone().state().setup_done = true;
    let key = ("com.apple.mobile.backup".to_owned(), "RequiresEncryption".to_owned());
    host.phone().state().set_values.insert(key, Value::Boolean(true));
    let fault = host.back_up().await.unwrap_err();
    assert_eq!((fault.code, fault.remedy.map(|r| r.as_str())), (Code::EncryptionRequired, Some("encryption-demanded")));

    assert_eq!(notices(host.phone()).len(), before, "no notification");
    assert_eq!((host.phone().remembered("restore.begun"), host.phone().remembered("backup.begun")), (0, 1));
    assert!(host.phone().files.get(MEDIA, LIST).is_none());
}
