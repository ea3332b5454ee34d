//! The bench's mux side against a host of our own; `judges` has the clients that others wrote.

mod host;
mod judges;

use super::{Faults, observe, post};
use crate::virt::phone::Stage;
use crate::virt::spec::{PasscodeSpec, PhoneSpec, TrustSpec};
use crate::wire::lockdown::{PORT, Request};
use crate::wire::muxd::{self, Answer, result};
use host::{Lockdown, Mux, place, record, stranger};
use plist::{Dictionary, Value};
use std::io::Read;
use std::time::{Duration, Instant};

fn spec(trust: TrustSpec, passcode: PasscodeSpec, faults: Faults) -> PhoneSpec {
    let mut spec = PhoneSpec { trust, passcode, ..PhoneSpec::default() };
    spec.faults.mux = faults;
    spec
}

fn trusted(faults: Faults) -> PhoneSpec {
    spec(TrustSpec::Trusted, PasscodeSpec::None, faults)
}

/// Waits for a condition, shortly and with an end.
fn until(mut is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !is() {
        assert!(Instant::now() < end, "it never came true");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the mux shows the n-th attach of the only phone.
fn attached(place: &host::Place, number: u32) {
    until(|| Mux::open(place).devices().first().is_some_and(|d| d.device == number));
}

#[test]
fn phones_come_and_go_with_new_numbers() {
    let old = PhoneSpec { model: "iphone6".into(), ..PhoneSpec::default() };
    let place = place(vec![PhoneSpec::default(), old]);
    let mut list = Mux::open(&place);
    let devices = list.devices();
    assert_eq!((devices[0].serial.len(), devices[1].serial.len()), (25, 40));
    assert_eq!((devices[0].product, devices[0].speed), (0x12A8, 480_000_000));
    let mut listener = Mux::open(&place);
    assert_eq!(listener.ask(muxd::Request::Listen), Answer::Result(0));
    for device in &devices {
        assert_eq!(listener.next(), (0, Answer::Attached(device.clone())));
    }
    place.phones[0].enter(Stage::Recovery);
    assert_eq!(listener.next().1, Answer::Detached(devices[0].device));
    place.phones[0].enter(Stage::Restore);
    let Answer::Attached(back) = listener.next().1 else { panic!() };
    assert!(back.device > devices[1].device);
    assert!(back.serial.starts_with("ffffffffffffffffffffffffffffffff0000"), "{}", back.serial);
    assert_eq!(list.devices().len(), 2);
    let Answer::Listeners(listeners) = list.ask(muxd::Request::ListListeners) else { panic!() };
    assert_eq!(listeners.len(), 1);
    drop(listener);
    until(|| list.ask(muxd::Request::ListListeners) == Answer::Listeners(Vec::new()));
}

#[test]
fn the_mux_refuses_what_usbmuxd_refuses() {
    let place = place(vec![PhoneSpec::default()]);
    let mut mux = Mux::open(&place);
    assert_eq!(mux.ask(muxd::Request::Connect { device: 99, port: PORT }), Answer::Result(result::BAD_DEVICE));
    assert_eq!(mux.ask(muxd::Request::Other("Dance".into())), Answer::Result(result::BAD_COMMAND));
    let none = muxd::Request::ReadPairRecord { id: "nobody".into() };
    assert_eq!(mux.ask(none), Answer::Result(result::NO_RECORD));
    assert_eq!(mux.connect(0, 9).err(), Some(result::REFUSED));
}

#[test]
fn the_person_taps_trust_and_then_it_works() {
    let place = place(vec![PhoneSpec::default()]);
    let phone = &place.phones[0];
    let mut record = stranger(&place);
    let pair = Request::Pair { record: Some(record.clone()) };
    let mut lockdown = Lockdown::open(&place);
    assert_eq!(lockdown.ask(&pair).unwrap_err(), "PairingDialogResponsePending");
    until(|| phone.remembered("trust.tapped") == 1);
    let bag = lockdown.ask(&pair).unwrap().remove("EscrowBag").unwrap();
    assert_eq!(phone.remembered("trust.dialog"), 1);
    record.insert("EscrowBag".into(), bag);
    let bytes = crate::wire::lockdown::encode(&record.into(), crate::wire::lockdown::Shape::Xml).unwrap();
    place.records.save(phone.udid.as_str(), &bytes).unwrap();
    let mut session = Lockdown::start_session(&place).unwrap();
    assert_eq!(session.value("SerialNumber").unwrap(), Value::from(phone.serial.as_str()));
    let record = host::record(&place);
    session.ask(&Request::Unpair { record: Some(record) }).unwrap();
    assert_eq!(Lockdown::start_session(&place).err().unwrap(), "InvalidHostID");
}

#[test]
fn each_trust_and_lock_has_its_own_word() {
    use {PasscodeSpec as P, TrustSpec as T};
    for (trust, passcode, tapped, word) in [
        (T::Pending, P::None, false, "PairingDialogResponsePending"),
        (T::Denied, P::Unlocked, true, "UserDeniedPairing"),
        (T::Untrusted, P::Locked, false, "PasswordProtected"),
        (T::Untrusted, P::BeforeFirstUnlock, false, "PasswordProtected"),
    ] {
        let place = place(vec![spec(trust, passcode, Faults::default())]);
        let pair = Request::Pair { record: Some(stranger(&place)) };
        let mut lockdown = Lockdown::open(&place);
        let first = lockdown.ask(&pair).unwrap_err();
        if tapped {
            assert_eq!(first, "PairingDialogResponsePending");
            until(|| place.phones[0].remembered("trust.tapped") == 1);
        }
        assert_eq!(lockdown.ask(&pair).unwrap_err(), word);
    }
    for (trust, passcode, word) in
        [(T::Stale, P::None, "InvalidHostID"), (T::Trusted, P::BeforeFirstUnlock, "PasswordProtected")]
    {
        let place = place(vec![spec(trust, passcode, Faults::default())]);
        assert_eq!(Lockdown::start_session(&place).err().unwrap(), word);
    }
}

#[test]
fn a_certificate_of_another_key_is_no_pair_record() {
    let place = place(vec![PhoneSpec::default()]);
    let other = super::x509::Key::generate().unwrap();
    let record = super::HostRecords::new().make(other.public(), Some("02:00:00:00:00:01".into())).unwrap();
    let mut lockdown = Lockdown::open(&place);
    let pair = Request::Pair { record: Some(record) };
    let _ = lockdown.ask(&pair);
    until(|| place.phones[0].remembered("trust.tapped") == 1);
    assert_eq!(lockdown.ask(&pair).unwrap_err(), "InvalidPairRecord");
}

#[test]
fn a_restored_phone_has_forgotten_its_hosts_and_a_rebooted_one_has_not() {
    let place = place(vec![trusted(Faults::default())]);
    let phone = &place.phones[0];
    let boots = |n| until(|| phone.remembered("lockdown.booted") == n);
    phone.enter(Stage::Away);
    phone.enter(Stage::Normal);
    boots(2);
    attached(&place, 2);
    drop(Lockdown::start_session(&place).unwrap());
    phone.enter(Stage::Restore);
    phone.state().trust = TrustSpec::Untrusted;
    phone.enter(Stage::Normal);
    boots(3);
    attached(&place, 4);
    assert_eq!(Lockdown::start_session(&place).err().unwrap(), "InvalidHostID");
}

#[test]
fn without_a_session_nothing_is_done() {
    let place = place(vec![trusted(Faults::default())]);
    let mut plain = Lockdown::open(&place);
    let service = |name: &str| Request::StartService { service: Some(name.into()), escrow_bag: None };
    assert_eq!(plain.ask(&Request::EnterRecovery).unwrap_err(), "SessionInactive");
    assert_eq!(plain.ask(&service("com.apple.afc")).unwrap_err(), "SessionInactive");
    assert_eq!(plain.value("SerialNumber").unwrap_err(), "GetProhibited");
    let open = plain.ask(&service("com.apple.mobile.insecure_notification_proxy")).unwrap();
    assert!(!open.contains_key("EnableServiceSSL"));
    let mut session = Lockdown::start_session(&place).unwrap();
    assert_eq!(session.ask(&service("com.apple.nothing")).unwrap_err(), "InvalidService");
}

#[test]
fn after_a_session_the_link_goes_on_in_the_clear() {
    let place = place(vec![trusted(Faults::default())]);
    let mut lockdown = Lockdown::there_and_back(&place);
    assert_eq!(lockdown.value("SerialNumber").unwrap_err(), "GetProhibited");
    assert_eq!(lockdown.value("ProductType").unwrap(), Value::from("iPhone14,5"));
    assert_eq!(lockdown.ask(&Request::StopSession { session_id: None }).unwrap_err(), "SessionInactive");
}

#[test]
fn the_escrow_bag_opens_what_the_lock_closes() {
    let place = place(vec![spec(TrustSpec::Trusted, PasscodeSpec::Locked, Faults::default())]);
    let bag = record(&place).get("EscrowBag").and_then(Value::as_data).unwrap().to_vec();
    let mut session = Lockdown::start_session(&place).unwrap();
    let mut afc = |escrow_bag| session.service(&place, "com.apple.afc", escrow_bag).map(drop);
    assert_eq!(afc(None).unwrap_err(), "PasswordProtected");
    assert_eq!(afc(Some(vec![1; 32])).unwrap_err(), "EscrowLocked");
    afc(Some(bag)).unwrap();
}

#[test]
fn recovery_comes_after_the_answer() {
    let place = place(vec![trusted(Faults::default())]);
    let phone = &place.phones[0];
    let changes = phone.watch();
    let mut session = Lockdown::start_session(&place).unwrap();
    session.ask(&Request::EnterRecovery).unwrap();
    assert_eq!(phone.state().nvram.get("auto-boot").map(String::as_str), Some("false"));
    let stages: Vec<_> = (0..2).map(|_| changes.recv_timeout(Duration::from_secs(10)).unwrap().to).collect();
    assert_eq!(stages, [Stage::Away, Stage::Recovery]);
    assert!(matches!(session.message(&Request::QueryType.body("x")), Err(_) | Ok(None)));
}

#[test]
fn notifications_go_both_ways() {
    let place = place(vec![trusted(Faults::default())]);
    let phone = &place.phones[0];
    let heard = observe(phone);
    let mut session = Lockdown::start_session(&place).unwrap();
    let mut proxy = session.service(&place, "com.apple.mobile.notification_proxy", None).unwrap();
    let command = |command: &str, name: &str| {
        Value::Dictionary(Dictionary::from_iter([
            ("Command".to_owned(), Value::from(command)),
            ("Name".to_owned(), Value::from(name)),
        ]))
    };
    proxy.say(&command("ObserveNotification", "com.apple.itunes-client.syncCancelRequest"));
    proxy.say(&command("PostNotification", "com.apple.itunes-mobdev.syncWillStart"));
    assert_eq!(heard.recv_timeout(Duration::from_secs(10)).unwrap(), "com.apple.itunes-mobdev.syncWillStart");
    post(phone, "com.apple.unwanted");
    post(phone, "com.apple.itunes-client.syncCancelRequest");
    assert_eq!(proxy.next(), Some(command("RelayNotification", "com.apple.itunes-client.syncCancelRequest")));
    let end = proxy.message(&command("Shutdown", "")).unwrap().unwrap();
    assert_eq!(end.as_dictionary().unwrap().get("Command"), Some(&Value::from("ProxyDeath")));
}

#[test]
fn a_connection_that_says_nothing_is_dropped() {
    let place = place(vec![PhoneSpec::default()]);
    let mut link = Mux::open(&place).connect(0, PORT).unwrap();
    let begin = Instant::now();
    assert_eq!(link.read(&mut [0; 16]).unwrap(), 0);
    assert!(begin.elapsed() >= Duration::from_secs(4));
}

#[test]
fn lockdown_faults_bite() {
    let ask = |faults: Faults| {
        let place = place(vec![trusted(faults)]);
        let mut link = Mux::open(&place).connect(0, PORT).unwrap();
        link.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
        let mut lockdown = Lockdown::over(link.try_clone().unwrap());
        link.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
        lockdown.say(&Request::QueryType.body("x"));
        let mut got = Vec::new();
        let mut piece = [0; 4096];
        loop {
            match link.read(&mut piece) {
                Ok(0) => return (got, true),
                Ok(count) => got.extend_from_slice(&piece[..count]),
                Err(_) => return (got, false),
            }
        }
    };
    assert_eq!(ask(Faults { lockdown_silent: true, ..Faults::default() }), (Vec::new(), false));
    let (cut, is_over) = ask(Faults { lockdown_cut_after: Some(33), ..Faults::default() });
    assert_eq!((cut.len(), is_over), (33, true));
    let (absurd, _) = ask(Faults { lockdown_length: Some(0xFFFF_FFF0), ..Faults::default() });
    assert_eq!(absurd[..4], [0xFF, 0xFF, 0xFF, 0xF0]);
    let (garbage, _) = ask(Faults { lockdown_garbage: true, ..Faults::default() });
    let length = u32::from_be_bytes(*garbage.first_chunk().unwrap()) as usize;
    assert_eq!(length, garbage.len() - 4);
    assert!(crate::wire::lockdown::parse(&garbage[4..]).is_err());
    let begin = Instant::now();
    let (slow, _) = ask(Faults { slow_ms: 120, ..Faults::default() });
    assert!(!slow.is_empty() && begin.elapsed() >= Duration::from_millis(120));
}

#[test]
fn session_and_service_faults_bite() {
    let begin = |faults: Faults| {
        let place = place(vec![trusted(faults)]);
        let session = Lockdown::start_session(&place);
        (place, session)
    };
    let (_, refused) = begin(Faults { session_error: Some("EscrowLocked".into()), ..Faults::default() });
    assert_eq!(refused.err().unwrap(), "EscrowLocked");
    let (_, refused) = begin(Faults { tls_refused: true, ..Faults::default() });
    assert!(refused.is_err());
    let (place, session) = begin(Faults { start_service_error: Some("ServiceLimit".into()), ..Faults::default() });
    let refused = session.unwrap().service(&place, "com.apple.afc", None);
    assert_eq!(refused.err().unwrap(), "ServiceLimit");
    let (place, session) = begin(Faults { service_cut_after_bytes: Some(200), ..Faults::default() });
    assert!(session.unwrap().service(&place, "com.apple.afc", None).is_err());
    let (place, session) = begin(Faults { service_silent: true, ..Faults::default() });
    let mut relay = session.unwrap().service(&place, "com.apple.mobile.diagnostics_relay", None).unwrap();
    relay.limit(Duration::from_millis(300));
    let all = Value::Dictionary(Dictionary::from_iter([("Request".to_owned(), Value::from("All"))]));
    assert!(relay.message(&all).is_err());
}

#[test]
fn mux_faults_bite() {
    let refusing = place(vec![trusted(Faults { connect_refused: true, ..Faults::default() })]);
    assert_eq!(Mux::open(&refusing).connect(0, PORT).err(), Some(result::REFUSED));
    let dying = place(vec![trusted(Faults { mux_vanish_after_connects: Some(1), ..Faults::default() })]);
    let mut link = Mux::open(&dying).connect(0, PORT).unwrap();
    let mut second = Mux::open(&dying);
    let device = second.devices()[0].device;
    let body = muxd::Request::Connect { device, port: PORT }.body(&muxd::Client::default());
    std::io::Write::write_all(&mut second.0, &muxd::message(1, body).unwrap()).unwrap();
    assert_eq!(second.0.read(&mut [0; 16]).unwrap(), 0);
    assert_eq!(link.read(&mut [0; 16]).unwrap(), 0);
    assert!(!dying.socket.exists());
}

#[test]
fn a_dropped_mux_ends_all_links() {
    let mut place = place(vec![trusted(Faults::default())]);
    let mut link = Mux::open(&place).connect(0, PORT).unwrap();
    place.muxd = None;
    assert_eq!(link.read(&mut [0; 16]).unwrap(), 0);
    assert!(!place.socket.exists());
}

#[test]
fn a_restart_brings_a_phone_with_a_passcode_back_locked() {
    let place = place(vec![spec(TrustSpec::Trusted, PasscodeSpec::Unlocked, Faults::default())]);
    let phone = &place.phones[0];
    let mut session = Lockdown::start_session(&place).unwrap();
    let mut relay = session.service(&place, "com.apple.mobile.diagnostics_relay", None).unwrap();
    let restart = Value::Dictionary(Dictionary::from_iter([("Request".to_owned(), Value::from("Restart"))]));
    let answer = relay.message(&restart).unwrap().unwrap();
    assert_eq!(answer.as_dictionary().unwrap().get("Status"), Some(&Value::from("Success")));
    until(|| phone.remembered("lockdown.booted") == 2);
    attached(&place, 2);
    assert_eq!(Lockdown::start_session(&place).err().unwrap(), "PasswordProtected");
}
