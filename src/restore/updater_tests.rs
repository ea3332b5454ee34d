//! Every updater of the bench's phones, in every age of the question, against a bench IPSW: the phone says
//! whether it would take the answer.

use super::answer::{Answer, Supplies, Web, WebAnswer};
use super::personalize::{Components, Source};
use super::ticket::{Sign, Ticket};
use crate::facts::models::by_nickname;
use crate::fault::{Code, Fault};
use crate::firmware::Ipsw;
use crate::virt::ipsw::IpswSpec;
use crate::virt::phone::{Phone, offered_system};
use crate::virt::restore::{Updaters, judge_answer};
use crate::virt::spec::PhoneSpec;
use crate::wire::img4::{Im4m, Im4mFields};
use crate::wire::manifest::{Behaviour, BuildIdentity};
use crate::wire::restored::DataRequest;
use crate::wire::tss::Form;
use plist::{Dictionary, Value};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

/// Files of the bench's IPSW, some of them replaced.
struct Files(Ipsw, BTreeMap<String, Vec<u8>>);

impl Components for Files {
    fn open(&self, path: &str) -> Result<Source, Fault> {
        let bytes = self.1.get(path).cloned().map_or_else(|| self.0.component(path), Ok)?;
        Ok(Source { length: bytes.len() as u64, reader: Box::new(Cursor::new(bytes)) })
    }
    fn size(&self, _path: &str) -> Option<u64> {
        None
    }
}

/// Gives every ticket that is asked for, with the nonce of its chip.
#[derive(Default)]
struct Server {
    requests: Mutex<Vec<Dictionary>>,
    forgetful: bool,
}

impl Sign for Server {
    fn sign<'a>(&'a self, request: Dictionary) -> Pin<Box<dyn Future<Output = Result<Dictionary, Fault>> + Send + 'a>> {
        let mut response = Dictionary::new();
        for name in request.keys().filter_map(|key| key.strip_prefix('@')).filter(|name| name.ends_with("Ticket")) {
            let prefix = name.trim_end_matches("Ticket");
            let nonce = request.iter().find(|(key, _)| key.starts_with(prefix) && key.contains("Nonce"));
            let ap_nonce = nonce.and_then(|(_, value)| value.as_data()).unwrap_or(b"none").to_vec();
            let fields = Im4mFields { ap_nonce, ..Im4mFields::default() };
            if !self.forgetful {
                response.insert(name.to_owned(), Value::Data(Im4m::build(&fields, |_| vec![1; 64], &[])));
            }
        }
        self.requests.lock().unwrap().push(request);
        Box::pin(async move { Ok(response) })
    }
}

struct NoWeb;

impl Web for NoWeb {
    fn fetch<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: &'a [(String, String)],
        _: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Result<WebAnswer, Fault>> + Send + 'a>> {
        Box::pin(async { Err(Fault::new(Code::Internal, "no web here")) })
    }
}

struct Rig {
    phone: Arc<Phone>,
    supplies: Supplies,
    server: Arc<Server>,
    runtime: tokio::runtime::Runtime,
}

/// A phone and its firmware; `spoil` may replace files of it.
fn rig(model: &str, forgetful: bool, spoil: impl FnOnce(&BuildIdentity, &Ipsw) -> BTreeMap<String, Vec<u8>>) -> Rig {
    let model = by_nickname(model).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (version, build) = offered_system(model);
    let spec = IpswSpec::for_models(&[model], &version.to_string(), &build.to_string(), 1 << 20);
    let ipsw = Ipsw::open(&spec.build(folder.path()).unwrap().path).unwrap();
    let manifest = ipsw.build_manifest().unwrap();
    let identity = manifest.choose(model.cpid, model.bdid.unwrap(), Some(model.board), Behaviour::Erase).unwrap();
    let spoiled = spoil(identity, &ipsw);
    let spec = PhoneSpec { model: model.product.as_str().into(), ..PhoneSpec::default() };
    let phone = Phone::new(spec, 0, 2000.0).unwrap();
    let server = Arc::new(Server { forgetful, ..Server::default() });
    let supplies = Supplies {
        ecid: phone.ecid,
        identity: Arc::new(identity.clone()),
        components: Arc::new(Files(ipsw, spoiled)),
        ticket: Arc::new(Ticket {
            form: Form::Img4,
            der: vec![],
            response: Dictionary::new(),
            ap_nonce: vec![],
            sep_nonce: None,
        }),
        recovery: Default::default(),
        slots: Default::default(),
        sign: Arc::clone(&server) as Arc<dyn Sign>,
        web: Arc::new(NoWeb),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    Rig { phone, supplies, server, runtime }
}

fn sound(model: &str) -> Rig {
    rig(model, false, |_, _| BTreeMap::new())
}

impl Rig {
    fn answer(&self, arguments: Dictionary) -> Result<Dictionary, Fault> {
        let mut request = DataRequest::new("FirmwareUpdaterData");
        request.arguments = arguments;
        match self.runtime.block_on(self.supplies.answer(&request))? {
            Answer::One(answer) => Ok(answer),
            _ => panic!("no dictionary"),
        }
    }

    /// What the phone thinks of our answer.
    fn judged(&self, updater: &str, age: Updaters) -> Result<(), String> {
        let identity = &self.supplies.identity.raw;
        judge_answer(&self.phone, identity, updater, age, |arguments| self.answer(arguments).unwrap())
    }

    /// Our fault, when we have one.
    fn fault(&self, updater: &str, age: Updaters) -> Code {
        let mut fault = None;
        let _ = judge_answer(&self.phone, &self.supplies.identity.raw, updater, age, |arguments| {
            fault = self.answer(arguments).err();
            Dictionary::new()
        });
        fault.expect("it was answered").code
    }
}

#[test]
fn phones_take_what_their_updaters_get() {
    let cases: [(&str, &[&str]); 5] = [
        ("iphone13", &["SE", "Savage", "Rose", "T200"]),
        ("d22ap", &["SE", "Savage"]),
        ("iphone16", &["SE", "Rose"]),
        ("j522ap", &["AppleTCON", "AppleTypeCRetimer", "Savage"]),
        ("iphone12", &["T200", "Rose"]),
    ];
    for (model, updaters) in cases {
        let rig = sound(model);
        for updater in updaters {
            for age in [Updaters::Tickets, Updaters::Firmware, Updaters::Old] {
                assert_eq!(rig.judged(updater, age), Ok(()), "{model} {updater} {age:?}");
            }
        }
        assert_eq!(rig.server.requests.lock().unwrap().len(), updaters.len() * 3, "one request each");
    }
}

#[test]
fn firmware_goes_only_where_it_is_wanted() {
    let rig = sound("iphone13");
    for (age, wanted) in [(Updaters::Tickets, false), (Updaters::Firmware, true), (Updaters::Old, true)] {
        for updater in ["SE", "Savage", "Rose", "T200"] {
            let _ = judge_answer(&rig.phone, &rig.supplies.identity.raw, updater, age, |arguments| {
                let answer = rig.answer(arguments).unwrap();
                let response = answer.get("FirmwareResponseData").and_then(Value::as_dictionary).unwrap();
                assert_eq!(response.contains_key("FirmwareData"), wanted, "{updater} {age:?}");
                answer
            });
        }
    }
}

/// The judge must be able to say no: one wrong bit anywhere near the firmware.
#[test]
fn a_wrong_bit_is_seen_by_the_phone() {
    let cases = [
        ("iphone13", "Savage", "Yonkers,SysTopPatch1"),
        ("iphone13", "SE", "SE,UpdatePayload"),
        ("d22ap", "Savage", "Savage,B2-Prod-Patch"),
        ("j522ap", "AppleTCON", "Baobab,TCON"),
        ("iphone13", "Rose", "Rap,RTKitOS"),
        ("iphone13", "Rose", "Rap,RestoreRTKitOS"),
        ("j522ap", "AppleTypeCRetimer", "Timer,RestoreRTKitOS,1"),
    ];
    for (model, updater, component) in cases {
        let rig = rig(model, false, |identity, ipsw| {
            let path = identity.path(component).unwrap();
            let mut bytes = ipsw.component(path).unwrap();
            bytes[200] ^= 1;
            BTreeMap::from([(path.to_owned(), bytes)])
        });
        assert_eq!(rig.judged(updater, Updaters::Tickets), Ok(()), "{component}");
        for age in [Updaters::Firmware, Updaters::Old] {
            assert!(rig.judged(updater, age).is_err(), "{component} {age:?}");
        }
    }
}

#[test]
fn damaged_firmware_is_ours_to_say() {
    for (updater, component) in [("Rose", "Rap,RTKitOS"), ("Rose", "Rap,RestoreRTKitOS"), ("T200", "BMU,FirmwareMap")] {
        for length in [0, 60] {
            let rig = rig("iphone13", false, |identity, ipsw| {
                let path = identity.path(component).unwrap();
                BTreeMap::from([(path.to_owned(), ipsw.component(path).unwrap()[..length].to_vec())])
            });
            assert_eq!(rig.fault(updater, Updaters::Firmware), Code::FirmwareDamaged, "{component}");
            assert_eq!(rig.server.requests.lock().unwrap().len(), 0, "nobody is asked for a useless ticket");
        }
    }
}

#[test]
fn an_answer_without_a_ticket_ends_it() {
    let rig = rig("iphone13", true, |_, _| BTreeMap::new());
    for age in [Updaters::Tickets, Updaters::Firmware, Updaters::Old] {
        assert_eq!(rig.fault("Rose", age), Code::TssInvalid);
    }
}

fn arguments(name: &str, more: &[(&str, Value)]) -> Dictionary {
    let mut arguments = Dictionary::from_iter([("MessageArgUpdaterName", name)]);
    arguments.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    arguments
}

fn tags(tags: &[&str]) -> Value {
    let tags = tags.iter().map(|tag| Value::from(*tag)).collect();
    Dictionary::from_iter([("ResponseTags", Value::Array(tags))]).into()
}

#[test]
fn unknown_updaters_are_refused_unless_they_bring_their_request() {
    let rig = sound("iphone13");
    let code = |arguments: Dictionary| rig.answer(arguments).map(|_| ()).map_err(|fault| fault.code);
    let unknown = Err(Code::UnknownRequest);
    assert_eq!(code(arguments("Quantum", &[])), unknown);
    assert_eq!(code(arguments("", &[])), unknown);
    assert_eq!(code(Dictionary::new()), unknown);
    assert_eq!(code(arguments("Rose", &[("MessageArgType", "Else".into())])), unknown);
    // Jasmine is only known by its own request; a retimer without its list is nobody.
    let jasmine = Dictionary::from_iter([("JasmineIR1DeviceInfo", Value::Dictionary(Dictionary::new()))]);
    assert_eq!(code(arguments("Savage", &[("MessageArgInfo", jasmine.into())])), unknown);
    assert_eq!(code(arguments("AppleTypeCRetimer", &[])), unknown);
    assert_eq!(rig.server.requests.lock().unwrap().len(), 0, "nothing was asked");

    let made = || Value::Dictionary(Dictionary::from_iter([("@Quantum,Ticket", true)]));
    let own = |wanted: &[&str]| {
        arguments("Quantum", &[("DeviceGeneratedRequest", made()), ("DeviceGeneratedTags", tags(wanted))])
    };
    assert_eq!(code(own(&["Quantum,Ticket"])), Ok(()));
    assert_eq!(code(own(&["FirmwareData", "Quantum,Ticket"])), unknown);
    assert_eq!(code(own(&["Else,Ticket"])), Err(Code::TssInvalid));
    assert_eq!(code(own(&["Else,Ticket", "Quantum,Ticket"])), Ok(()), "one of them is enough");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn no_description_panics(tag in proptest::num::u64::ANY, ticket in "\\PC{0,80}", depth in 0..4_usize) {
        let entry = Dictionary::from_iter([
            ("TagNumber", Value::from(tag)),
            ("TicketName", ticket.as_str().into()),
            ("HardwareID", Value::Dictionary(Dictionary::from_iter([("ECID", Value::from(tag))]))),
        ]);
        let mut entries = vec![Value::Dictionary(entry)];
        entries.truncate(depth);
        let info = Dictionary::from_iter([("InfoArray", Value::Array(entries))]);
        let identity = BuildIdentity {
            cpid: crate::ids::Cpid(0), bdid: crate::ids::Bdid(0), security_domain: None, unique_build_id: vec![],
            device_class: String::new(), variant: String::new(), behaviour: None,
            components: Default::default(), recovery: None, raw: Dictionary::new(),
        };
        for name in ["AppleTypeCRetimer", "Savage", "Rose", "T200", "SE", "AppleTCON", "Yonkers", ticket.as_str()] {
            let arguments = arguments(name, &[("MessageArgInfo", info.clone().into())]);
            let _ = super::updater::plan(&identity, &arguments, &Default::default(), 1, "U");
        }
    }
}
