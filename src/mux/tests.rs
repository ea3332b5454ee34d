//! Trust, power and usbmuxd's absences against the bench: real bytes over a socket, a virtual phone behind it.

use super::*;
use crate::event::{Event, Hurdle, Recorder, Request, Tell};
use crate::fault::{Code, Fault};
use crate::virt::mux::{HostRecords, Muxd, TcpDoor, boot};
use crate::virt::phone::{Phone, Stage};
use crate::virt::spec::{PasscodeSpec, PhoneSpec, TrustSpec};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PACE: f64 = 100.0;
const LONG: Duration = Duration::from_secs(30);

struct Rig {
    phone: Arc<Phone>,
    records: Arc<HostRecords>,
    muxd: Mutex<Option<Muxd>>,
    mux: Mux,
    socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl Rig {
    fn new(spec: PhoneSpec) -> Arc<Rig> {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("usbmuxd");
        let phone = Phone::new(spec, 0, PACE).unwrap();
        let records = Arc::new(HostRecords::new());
        boot(&phone, &records);
        let (changes, weak, kept) = (phone.watch(), Arc::downgrade(&phone), Arc::clone(&records));
        std::thread::spawn(move || {
            for change in changes {
                let Some(phone) = weak.upgrade() else { return };
                if change.to == Stage::Normal {
                    boot(&phone, &kept);
                }
            }
        });
        let muxd = Mutex::new(None);
        let mux = Mux::new(MuxAddress::Unix(socket.clone()));
        let rig = Arc::new(Rig { phone, records, muxd, mux, socket, _folder: folder });
        rig.start_usbmuxd();
        rig
    }

    fn of(trust: TrustSpec, passcode: PasscodeSpec) -> Arc<Rig> {
        Rig::new(PhoneSpec { trust, passcode, ..PhoneSpec::default() })
    }

    fn start_usbmuxd(&self) {
        let muxd = Muxd::start(&self.socket, vec![Arc::clone(&self.phone)], Arc::clone(&self.records)).unwrap();
        *self.muxd.lock().unwrap() = Some(muxd);
    }

    async fn device(&self) -> MuxDevice {
        self.mux.devices().await.unwrap().remove(0)
    }

    async fn pair(&self, patience: Duration, tell: &dyn Tell) -> Result<PairRecord, Fault> {
        pair_by_udid(&self.mux, &self.phone.udid, patience, tell).await
    }

    async fn session(&self) -> Result<Session, LockdownError> {
        let record = self.mux.pair_record(&self.phone.udid).await?.expect("a record");
        Session::open(&self.mux, &self.device().await, record).await
    }

    /// Waits for an event of the phone.
    async fn until(&self, met: impl Fn(&Phone) -> bool + Send + 'static) -> bool {
        let (changes, phone) = (self.phone.watch(), Arc::clone(&self.phone));
        let wait = move || {
            while !met(&phone) {
                if changes.recv_timeout(LONG).is_err() {
                    return met(&phone);
                }
            }
            true
        };
        tokio::task::spawn_blocking(wait).await.unwrap()
    }
}

/// A person who hears what is asked, and does something about it.
struct Person<F: Fn(&Event) + Send + Sync> {
    heard: Recorder,
    does: F,
}

impl<F: Fn(&Event) + Send + Sync> Person<F> {
    fn who(does: F) -> Self {
        Person { heard: Recorder::default(), does }
    }

    fn hurdles(&self) -> Vec<Hurdle> {
        let hurdle = |event: &Event| match event {
            Event::Trust { hurdle } => Some(*hurdle),
            _ => None,
        };
        self.heard.events().iter().filter_map(hurdle).collect()
    }

    /// Requests that were made and are not answered.
    fn open_requests(&self) -> Vec<Request> {
        let mut open = Vec::new();
        for event in self.heard.events() {
            match event {
                Event::Ask { request } => open.push(request),
                Event::Answered { request } => open.retain(|r| *r != request),
                _ => {}
            }
        }
        open
    }
}

impl<F: Fn(&Event) + Send + Sync> Tell for Person<F> {
    fn tell(&self, event: Event) {
        self.heard.tell(event.clone());
        (self.does)(&event);
    }
}

fn is_hurdle(event: &Event, wanted: Hurdle) -> bool {
    matches!(event, Event::Trust { hurdle } if *hurdle == wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_taps_and_the_record_opens_sessions() {
    let rig = Rig::of(TrustSpec::Untrusted, PasscodeSpec::Unlocked);
    let person = Person::who(|_| {});
    let record = rig.pair(LONG, &person).await.unwrap();
    assert_eq!((person.hurdles(), person.open_requests()), (vec![Hurdle::Pending], vec![]));
    assert!(record.escrow_bag().is_some());
    let mut session = rig.session().await.unwrap();
    assert!(session.lockdown.get(None, "SerialNumber").await.unwrap().is_some());
    // Asked again, nothing is asked of the person.
    let again = Person::who(|_| {});
    assert_eq!(rig.pair(LONG, &again).await.unwrap().host_id(), record.host_id());
    assert!(again.heard.events().is_empty());
    assert_eq!(rig.phone.remembered("trust.dialog"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_it_waits_and_goes_on_by_itself_when_unlocked() {
    for passcode in [PasscodeSpec::Locked, PasscodeSpec::BeforeFirstUnlock] {
        let rig = Rig::of(TrustSpec::Untrusted, passcode);
        let phone = Arc::clone(&rig.phone);
        let person = Person::who(move |event| {
            if is_hurdle(event, Hurdle::Locked) {
                phone.state().passcode = PasscodeSpec::Unlocked;
            }
        });
        rig.pair(LONG, &person).await.unwrap();
        assert_eq!((person.hurdles(), person.open_requests()), (vec![Hurdle::Locked, Hurdle::Pending], vec![]));
        rig.session().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_phone_that_was_restarted_needs_its_passcode_and_no_new_trust() {
    let rig = Rig::of(TrustSpec::Trusted, PasscodeSpec::BeforeFirstUnlock);
    let before = rig.records.read(rig.phone.udid.as_str());
    let phone = Arc::clone(&rig.phone);
    let person = Person::who(move |event| {
        if is_hurdle(event, Hurdle::Locked) {
            phone.state().passcode = PasscodeSpec::Unlocked;
        }
    });
    rig.pair(LONG, &person).await.unwrap();
    assert_eq!(person.hurdles(), [Hurdle::Locked]);
    assert_eq!(rig.records.read(rig.phone.udid.as_str()), before);
    assert_eq!(rig.phone.remembered("trust.dialog"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_it_ends_without_trust() {
    let spec = |toml: &str| toml::from_str::<PhoneSpec>(toml).unwrap();
    let short = Duration::from_millis(600);
    for (phone, patience, code, hurdles) in [
        ("trust = 'pending'", short, Code::TrustPending, vec![Hurdle::Pending]),
        ("trust = 'denied'", LONG, Code::TrustDenied, vec![Hurdle::Pending, Hurdle::Denied]),
        ("passcode = 'locked'", short, Code::DeviceLocked, vec![Hurdle::Locked]),
        ("trust = 'trusted'\npasscode = 'before-first-unlock'", short, Code::DeviceLocked, vec![Hurdle::Locked]),
        ("faults.mux.mdm_forbids = true", LONG, Code::PairingForbidden, vec![Hurdle::Forbidden]),
        (
            "trust = 'stale'\nfaults.mux.mdm_forbids = true",
            LONG,
            Code::PairingForbidden,
            vec![Hurdle::Stale, Hurdle::Forbidden],
        ),
        ("faults.mux.pair_error = 'MCChallengeRequired'", LONG, Code::PairingForbidden, vec![Hurdle::Forbidden]),
        ("faults.mux.pair_error = 'NobodyKnowsThisWord'", LONG, Code::LockdownRefused, vec![]),
        ("passcode = 'locked'\nfaults.mux.restricted_usb = true", short, Code::UsbRestricted, vec![Hurdle::Restricted]),
        ("faults.mux.record_unsaved = 13", LONG, Code::PairingUnsaved, vec![Hurdle::Pending]),
        ("faults.mux.connect_refused = true", LONG, Code::ServiceRefused, vec![]),
    ] {
        let rig = Rig::new(spec(phone));
        let stale = rig.records.read(rig.phone.udid.as_str());
        let person = Person::who(|_| {});
        let fault = rig.pair(patience, &person).await.expect_err(phone);
        assert_eq!((fault.code, person.hurdles()), (code, hurdles), "{phone}: {fault}");
        assert_eq!(rig.records.read(rig.phone.udid.as_str()), stale, "{phone}: the record here changed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_with_closed_data_lines_is_waited_for() {
    let toml = "passcode = 'locked'\nfaults.mux.restricted_usb = true\nfaults.mux.unlocked_after_ms = 50000";
    let rig = Rig::new(toml::from_str(toml).unwrap());
    let person = Person::who(|_| {});
    rig.pair(LONG, &person).await.unwrap();
    assert_eq!((person.hurdles(), person.open_requests()), (vec![Hurdle::Restricted, Hurdle::Pending], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_record_is_replaced_only_by_a_new_trust() {
    let rig = Rig::of(TrustSpec::Stale, PasscodeSpec::Unlocked);
    let old = rig.mux.pair_record(&rig.phone.udid).await.unwrap().unwrap();
    let person = Person::who(|_| {});
    let new = rig.pair(LONG, &person).await.unwrap();
    assert_eq!(person.hurdles(), [Hurdle::Stale, Hurdle::Pending]);
    assert_ne!(old.host_id(), new.host_id());
    rig.session().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_without_a_wifi_address_pairs_and_its_record_works() {
    for trust in ["untrusted", "trusted"] {
        let toml = format!("trust = '{trust}'\nfaults.mux.no_wifi_address = true");
        let rig = Rig::new(toml::from_str(&toml).unwrap());
        rig.pair(LONG, &Recorder::default()).await.unwrap();
        let bytes = rig.records.read(rig.phone.udid.as_str()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("WiFiMACAddress"));
        let mut session = rig.session().await.unwrap();
        // Over Wi-Fi, where certificates are compared, too.
        session.service("com.apple.mobile.diagnostics_relay", false).await.unwrap();
        let mut device = rig.device().await;
        device.usb = false;
        let record = rig.mux.pair_record(&rig.phone.udid).await.unwrap().unwrap();
        Session::open(&rig.mux, &device, record).await.unwrap();
        assert_eq!(unpair(&rig.mux, &rig.device().await, &rig.phone.udid).await.unwrap(), Unpaired::Both);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unplugged_meanwhile_is_said_and_replugged_in_time_is_no_matter() {
    let rig = Rig::of(TrustSpec::Pending, PasscodeSpec::Unlocked);
    let phone = Arc::clone(&rig.phone);
    let person = Person::who(move |event| {
        if is_hurdle(event, Hurdle::Pending) {
            phone.enter(Stage::Away);
        }
    });
    let fault = rig.pair(Duration::from_secs(2), &person).await.unwrap_err();
    assert_eq!(fault.code, Code::UsbGone, "{fault}");

    let rig = Rig::of(TrustSpec::Untrusted, PasscodeSpec::Unlocked);
    let phone = Arc::clone(&rig.phone);
    let person = Person::who(move |event| {
        if is_hurdle(event, Hurdle::Pending) && phone.remembered("stage") == 0 {
            phone.reenumerate(Stage::Normal, Duration::from_secs(100));
        }
    });
    rig.pair(LONG, &person).await.unwrap();
    assert_eq!(rig.phone.remembered("trust.dialog"), 2, "a replug closes the dialog; it is asked anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn usbmuxd_may_restart_while_the_dialog_is_open() {
    let rig = Rig::of(TrustSpec::Untrusted, PasscodeSpec::Locked);
    let weak = Arc::downgrade(&rig);
    let person = Person::who(move |event| {
        let Some(rig) = weak.upgrade() else { return };
        if is_hurdle(event, Hurdle::Locked) {
            drop(rig.muxd.lock().unwrap().take());
            std::thread::spawn(move || {
                rig.phone.state().passcode = PasscodeSpec::Unlocked;
                rig.start_usbmuxd();
            });
        }
    });
    rig.pair(LONG, &person).await.unwrap();
    assert_eq!((person.hurdles(), person.open_requests()), (vec![Hurdle::Locked, Hurdle::Pending], vec![]));

    let rig = Rig::of(TrustSpec::Pending, PasscodeSpec::Unlocked);
    let weak = Arc::downgrade(&rig);
    let person = Person::who(move |event| {
        if let (true, Some(rig)) = (is_hurdle(event, Hurdle::Pending), weak.upgrade()) {
            drop(rig.muxd.lock().unwrap().take());
        }
    });
    let fault = rig.pair(Duration::from_secs(2), &person).await.unwrap_err();
    assert_eq!(fault.code, Code::MuxUnreachable, "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unpairing_ends_it_on_both_sides_or_says_that_only_here_was_something_left() {
    let rig = Rig::of(TrustSpec::Trusted, PasscodeSpec::Unlocked);
    let (device, udid) = (rig.device().await, rig.phone.udid.clone());
    assert_eq!(unpair(&rig.mux, &device, &udid).await.unwrap(), Unpaired::Both);
    assert_eq!((rig.phone.remembered("trust.unpaired"), rig.records.read(udid.as_str())), (1, None));
    assert_eq!(unpair(&rig.mux, &device, &udid).await.unwrap_err().code, Code::NotTrusted);

    let rig = Rig::of(TrustSpec::Stale, PasscodeSpec::Unlocked);
    let (device, udid) = (rig.device().await, rig.phone.udid.clone());
    assert_eq!(unpair(&rig.mux, &device, &udid).await.unwrap(), Unpaired::HereOnly);
    assert_eq!(rig.records.read(udid.as_str()), None);

    // A locked phone may still know us: the record stays.
    let rig = Rig::of(TrustSpec::Trusted, PasscodeSpec::BeforeFirstUnlock);
    let (device, udid) = (rig.device().await, rig.phone.udid.clone());
    assert_eq!(unpair(&rig.mux, &device, &udid).await.unwrap_err().code, Code::DeviceLocked);
    assert!(rig.records.read(udid.as_str()).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn forgetting_needs_no_consent_of_the_device() {
    for (trust, passcode, told) in [
        (TrustSpec::Trusted, PasscodeSpec::Unlocked, 1),
        (TrustSpec::Stale, PasscodeSpec::Unlocked, 0),
        (TrustSpec::Trusted, PasscodeSpec::BeforeFirstUnlock, 0),
    ] {
        let rig = Rig::of(trust, passcode);
        let (device, udid) = (rig.device().await, rig.phone.udid.clone());
        assert!(forget(&rig.mux, Some(&device), &udid).await.unwrap());
        assert_eq!((rig.phone.remembered("trust.unpaired"), rig.records.read(udid.as_str())), (told, None));
        assert!(!forget(&rig.mux, Some(&device), &udid).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_restarts_and_comes_back_locked() {
    let rig = Rig::of(TrustSpec::Trusted, PasscodeSpec::Unlocked);
    restart(&mut rig.session().await.unwrap()).await.unwrap();
    // It is still in its system when it takes the word: only the way out and back in tells that it restarted.
    assert!(rig.until(|p| p.remembered("stage") >= 2 && p.stage() == Stage::Normal).await);
    assert_eq!(rig.phone.remembered("diagnostics.restart"), 1);
    assert_eq!(rig.phone.state().passcode, PasscodeSpec::BeforeFirstUnlock);
    assert_eq!(
        rig.session().await.err().and_then(|e| e.word().map(str::to_owned)).as_deref(),
        Some("PasswordProtected")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_switches_off_and_stays_off() {
    let rig = Rig::of(TrustSpec::Trusted, PasscodeSpec::None);
    shut_down(&mut rig.session().await.unwrap()).await.unwrap();
    assert!(rig.until(|p| p.stage() == Stage::Away).await);
    assert_eq!(rig.phone.remembered("diagnostics.shutdown"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn power_commands_that_are_refused_say_why_and_change_nothing() {
    let toml = "trust = 'trusted'\nfaults.mux.start_service_error = 'ServiceProhibited'";
    let rig = Rig::new(toml::from_str(toml).unwrap());
    let mut session = rig.session().await.unwrap();
    assert_eq!(restart(&mut session).await.unwrap_err().code, Code::ServiceRefused);
    assert_eq!(shut_down(&mut session).await.unwrap_err().code, Code::ServiceRefused);
    assert_eq!(rig.phone.stage(), Stage::Normal);
    assert_eq!(rig.phone.remembered("stage"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn into_recovery_trusted_or_on_an_old_system() {
    for (toml, code) in [
        ("trust = 'trusted'", None),
        ("model = 'iphone6s'\nversion = '12.4'", None),
        ("model = 'iphone6s'\nversion = '12.4'\ntrust = 'stale'", None),
        ("version = '26.1'", Some(Code::NotTrusted)),
        ("version = '26.1'\ntrust = 'stale'", Some(Code::PairingStale)),
        ("version = '26.1'\ntrust = 'trusted'\npasscode = 'before-first-unlock'", Some(Code::DeviceLocked)),
    ] {
        let rig = Rig::new(toml::from_str(toml).unwrap());
        let device = rig.device().await;
        let sent = enter_recovery(&rig.mux, &device, Some(&rig.phone.udid)).await;
        assert_eq!(sent.as_ref().err().map(|f| f.code), code, "{toml}");
        if sent.is_ok() {
            assert!(rig.until(|p| p.stage() == Stage::Recovery).await, "{toml}");
        } else {
            assert_eq!(rig.phone.remembered("lockdown.enter-recovery"), 0, "{toml}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp_everything_is_the_same() {
    for host in ["127.0.0.1:0", "[::1]:0"] {
        let rig = Rig::of(TrustSpec::Untrusted, PasscodeSpec::Unlocked);
        let Ok(door) = TcpDoor::open(host.parse().unwrap(), &rig.socket) else {
            assert!(host.starts_with('['), "a machine without IPv4");
            continue;
        };
        let mux = Mux::new(door.address().to_string().parse().unwrap());
        let device = mux.devices().await.unwrap().remove(0);
        assert_eq!(device.udid().as_ref(), Some(&rig.phone.udid));
        let record = pair(&mux, &device, &rig.phone.udid, LONG, &Recorder::default()).await.unwrap();
        let mut session = Session::open(&mux, &device, record).await.unwrap();
        session.service("com.apple.mobile.diagnostics_relay", false).await.unwrap();
        assert_eq!(unpair(&mux, &device, &rig.phone.udid).await.unwrap(), Unpaired::Both);
        let mut events = mux.watch().await.unwrap();
        assert!(matches!(events.recv().await, Some(MuxEvent::Attached(_))));
        // The daemon goes: the watch ends, and the next question finds a closed door.
        drop(rig.muxd.lock().unwrap().take());
        while let Some(event) = events.recv().await {
            assert!(matches!(event, MuxEvent::Detached(_)), "{event:?}");
        }
        assert_eq!(Fault::from(mux.devices().await.unwrap_err()).code, Code::MuxUnreachable);
        let address = door.address();
        drop(door);
        let refused = Mux::new(address.to_string().parse().unwrap()).devices().await;
        let fault = Fault::from(refused.unwrap_err());
        assert_eq!((fault.code, fault.code.exit()), (Code::MuxUnreachable, 6));
        assert!(fault.detail.contains(&address.to_string()), "{fault}");
    }
}
