//! Answers for the recovery system, judged by the bench's phone; what is refused; what is advertised.

use super::answer::{Answer, Supplies, Web, WebAnswer, whole};
use super::personalize::{Components, Listed, Source};
use super::rig::{Signer, dict};
use super::ticket::{Sign, Ticket};
use crate::facts::models::by_nickname;
use crate::fault::{Code, Fault};
use crate::firmware::{Ipsw, RootImage};
use crate::ids::Ecid;
use crate::virt::ipsw::IpswSpec;
use crate::virt::phone::offered_system;
use crate::virt::restore::judge_recovery;
use crate::wire::img4::MAX_IMAGE;
use crate::wire::manifest::Behaviour;
use crate::wire::restored::DataRequest;
use crate::wire::restored::names;
use crate::wire::tss::{ApRequest, Form};
use plist::{Dictionary, Value};
use std::io::{Cursor, Read};
use std::pin::Pin;
use std::sync::Arc;

const ECID: Ecid = Ecid(0x1234_5678_9ABC);
const BUNDLE: [(&str, u32, &[u8]); 3] = [
    ("BootabilityBundle/Restore/Bootability/", 0o040_755, b""),
    ("BootabilityBundle/Restore/Bootability/a/tool", 0o100_755, b"run"),
    ("BootabilityBundle/Restore/Firmware/Bootability.dmg.trustcache", 0, b"cache"),
];

struct Files {
    ipsw: Ipsw,
    folder: tempfile::TempDir,
    bundle: bool,
}

impl Components for Files {
    fn open(&self, path: &str) -> Result<Source, Fault> {
        let bundled = BUNDLE.iter().find(|(name, ..)| *name == path);
        let bytes = bundled.map_or_else(|| self.ipsw.component(path), |(_, _, bytes)| Ok(bytes.to_vec()))?;
        Ok(Source { length: bytes.len() as u64, reader: Box::new(Cursor::new(bytes)) })
    }
    fn size(&self, path: &str) -> Option<u64> {
        self.ipsw.entry(path).map(|e| e.size)
    }
    fn listed(&self, prefix: &str) -> Vec<Listed> {
        let inside = BUNDLE.iter().filter(|(name, ..)| self.bundle && name.starts_with(prefix));
        inside.map(|(name, mode, _)| Listed { path: (*name).to_owned(), mode: *mode }).collect()
    }
    fn image(&self, path: &str) -> Result<RootImage, Fault> {
        RootImage::open(&self.ipsw, path, self.folder.path())
    }
}

struct NoWeb;

impl Web for NoWeb {
    fn fetch<'a>(
        &'a self,
        _method: &'a str,
        _url: &'a str,
        _headers: &'a [(String, String)],
        _body: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Result<WebAnswer, Fault>> + Send + 'a>> {
        Box::pin(async { Err(Fault::new(Code::Internal, "nobody asks")) })
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The supplies of an iPhone 16, or of another model; the main ticket is there, the second not yet.
fn supplies(model: &str, signer: Signer, bundle: bool) -> Supplies {
    let model = by_nickname(model).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (version, build) = offered_system(model);
    let spec = IpswSpec::for_models(&[model], &version.to_string(), &build.to_string(), 1 << 20);
    let ipsw = Ipsw::open(&spec.build(folder.path()).unwrap().path).unwrap();
    let manifest = ipsw.build_manifest().unwrap();
    let identity = manifest.choose(model.cpid, model.bdid.unwrap(), Some(model.board), Behaviour::Erase).unwrap();
    let ask = ApRequest {
        form: Form::Img4,
        ecid: ECID.0,
        ap_nonce: Some(vec![7; 32]),
        sep_nonce: None,
        production: true,
        security_mode: true,
        in_rom_dfu: Some(false),
        uuid: "U".into(),
    };
    let response = run(Signer::default().sign(ask.build(identity))).unwrap();
    let der = response["ApImg4Ticket"].as_data().unwrap().to_vec();
    Supplies {
        ecid: ECID,
        identity: Arc::new(identity.clone()),
        components: Arc::new(Files { ipsw, folder, bundle }),
        ticket: Arc::new(Ticket { form: Form::Img4, der, response, ap_nonce: vec![7; 32], sep_nonce: None }),
        recovery: Default::default(),
        slots: Default::default(),
        sign: Arc::new(signer),
        web: Arc::new(NoWeb),
    }
}

fn request(kind: &str, arguments: &[(&'static str, Value)]) -> DataRequest {
    let mut request = DataRequest::new(kind);
    request.arguments = dict(arguments.iter().cloned());
    request
}

fn one(supplies: &Supplies, request: &DataRequest) -> Dictionary {
    match run(supplies.answer(request)).unwrap() {
        Answer::One(answer) => answer,
        Answer::Images(answer) => super::large::whole(answer),
        _ => panic!("{} is no dictionary", request.data_type),
    }
}

fn bytes_of(source: Source) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Source { mut reader, length } = source;
    reader.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, length);
    bytes
}

#[test]
fn the_phone_takes_what_it_asks_for_its_recovery_system_and_nothing_else() {
    let supplies = supplies("iphone16", Signer::default(), false);
    let system = run(supplies.prepare()).unwrap().unwrap();
    run(supplies.prepare()).unwrap();
    let recovery = supplies.identity.recovery.clone().unwrap();
    assert_eq!(system.variant, recovery.variant);
    let (at_first, at_most) = system.megabytes();
    assert!(system.bytes > 2_500_000 && at_first >= 25 && at_most >= at_first, "{system:?}");

    let ticket = one(&supplies, &request("RecoveryOSRootTicketData", &[]));
    let ticket = ticket["RootTicketData"].as_data().unwrap().to_vec();
    assert_ne!(ticket, supplies.ticket.der);
    let judged = |kind: &str, key: &str, answer: &Dictionary| judge_recovery(&recovery.raw, &ticket, kind, key, answer);
    let asset = |key: &str| one(&supplies, &request("RecoveryOSFileAssetImage", &[("FWOverrideKey", key.into())]));
    for name in ["KernelCache", "DeviceTree", "IBEC", "AppleLogo", "StaticTrustCache", "SystemVolume", "Diags"] {
        let answer = asset(&format!("RecoveryOS{name}"));
        assert_eq!(judged("RecoveryOSFileAssetImage", name, &answer), Ok(()), "{name}");
        assert_eq!(answer.contains_key("RecoveryOSNoAssetFound"), name == "Diags");
    }
    // The main system's kernel has the same type and another ticket; a flipped bit has another digest.
    let theirs = one(&supplies, &request("KernelCache", &[]));
    let theirs = dict([("AdditionalBootImages", theirs["KernelCacheFile"].clone())]);
    assert!(judged("RecoveryOSFileAssetImage", "KernelCache", &theirs).unwrap_err().contains("another ticket"));
    let mut flipped = asset("RecoveryOSKernelCache");
    if let Some(Value::Data(bytes)) = flipped.get_mut("AdditionalBootImages") {
        bytes[2000] ^= 1;
    }
    assert!(judged("RecoveryOSFileAssetImage", "KernelCache", &flipped).unwrap_err().contains("digest"));
    assert!(judged("RecoveryOSFileAssetImage", "DeviceTree", &asset("RecoveryOSKernelCache")).is_err());
    assert!(judged("RecoveryOSFileAssetImage", "KernelCache", &asset("KernelCache")).is_err(), "a key without prefix");

    let mut firmware = one(&supplies, &request("RecoveryOSIBootFWFilesImages", &[]));
    assert_eq!(judged("RecoveryOSIBootFWFilesImages", "", &firmware), Ok(()));
    firmware.get_mut("AdditionalBootImages").and_then(Value::as_dictionary_mut).unwrap().remove("AOP");
    assert!(judged("RecoveryOSIBootFWFilesImages", "", &firmware).is_err());
    let version = one(&supplies, &request("RecoveryOSVersionData", &[]));
    assert_eq!(judged("RecoveryOSVersionData", "", &version), Ok(()));
    assert!(judged("RecoveryOSVersionData", "", &Dictionary::new()).is_err());

    let wanted = recovery.component("OS").unwrap().digest.clone().unwrap();
    let digest = |bytes: &[u8]| crate::wire::img4::Algorithm::Sha384.digest(&[bytes]);
    let Answer::Pieces(source) = run(supplies.answer(&request("RecoveryOSImage", &[]))).unwrap() else { panic!() };
    assert_eq!(digest(&bytes_of(source)), wanted);
    let Answer::OtherImage(image) = run(supplies.answer(&request("RecoveryOSASRImage", &[]))).unwrap() else {
        panic!()
    };
    let mut bytes = vec![0; image.size() as usize];
    assert_eq!(image.read_at(0, &mut bytes).unwrap(), bytes.len());
    assert_eq!(digest(&bytes), wanted);
}

#[test]
fn requests_say_which_system_they_are_about() {
    let supplies = supplies("iphone16", Signer::default(), false);
    run(supplies.prepare()).unwrap();
    let of = |recovery: bool| {
        let arguments = [("IsRecoveryOS", Value::Boolean(recovery)), ("ImageName", "KernelCache".into())];
        let identity = one(&supplies, &request("BuildIdentityDict", &arguments));
        let info = identity["BuildIdentityDict"].as_dictionary().unwrap()["Info"].as_dictionary().unwrap().clone();
        let source = run(supplies.answer(&request("SourceBootObjectV5", &arguments))).unwrap();
        let signed = run(supplies.answer(&request("PersonalizedBootObjectV3", &arguments))).unwrap();
        let (Answer::Pieces(source), Answer::Pieces(signed)) = (source, signed) else { panic!() };
        (info["Variant"].as_string().unwrap().to_owned(), bytes_of(source), bytes_of(signed))
    };
    let (main, recovery) = (of(false), of(true));
    assert_eq!(main.0, Behaviour::Erase.variant());
    assert_eq!(Some(recovery.0.as_str()), supplies.identity.recovery_variant());
    assert_ne!(main.1, recovery.1);
    let carries = |image: &[u8], ticket: &[u8]| image.windows(ticket.len()).any(|part| part == ticket);
    assert!(carries(&main.2, &supplies.ticket.der) && !carries(&recovery.2, &supplies.ticket.der));
}

#[test]
fn a_second_ticket_is_checked_as_the_first() {
    let wrong = supplies("iphone16", Signer { wrong_nonce: true, ..Signer::default() }, false);
    let fault = run(wrong.prepare()).unwrap_err();
    assert_eq!(fault.code, Code::TssInvalid);
    let unasked = supplies("iphone16", Signer::default(), false);
    assert!(run(unasked.answer(&request("RecoveryOSVersionData", &[]))).is_err(), "nothing before the ticket");
    let mut lacking = supplies("iphone16", Signer::default(), false);
    let mut identity = (*lacking.identity).clone();
    identity.recovery = None;
    lacking.identity = Arc::new(identity);
    assert_eq!(run(lacking.prepare()).unwrap_err().code, Code::FirmwareDamaged);
}

#[test]
fn what_a_firmware_has_nothing_for_is_refused_on_both_links() {
    let older = supplies("iphone13", Signer::default(), false);
    assert_eq!(run(older.prepare()).unwrap(), None);
    let refused = |supplies: &Supplies, kind: &str| {
        [None, Some(50_000)].into_iter().all(|port| {
            let asked = DataRequest { port, ..DataRequest::new(kind) };
            !supplies.answers(&asked) && matches!(run(supplies.answer(&asked)), Ok(Answer::Unknown))
        })
    };
    let young = supplies("iphone16", Signer::default(), false);
    for kind in
        "RecoveryOSLocalPolicy RestoreLocalPolicy Cryptex1LocalPolicy RecoveryOSKernelCache RecoveryOSIBEC RootData \
        BasebandBootData BasebandStackData BootabilityBundle BootabilityBundleV2 TeapotData"
            .split_whitespace()
    {
        assert!(refused(&older, kind) && refused(&young, kind), "{kind}");
    }
    assert!(refused(&older, "RecoveryOSVersionData") && refused(&older, "RecoveryOSASRImage"));
}

#[test]
fn what_is_advertised_is_answered_and_the_other_way_round() {
    let young = supplies("iphone16", Signer::default(), true);
    let answered = |kind: &str| young.answers(&DataRequest { port: Some(50_000), ..DataRequest::new(kind) });
    let never: Vec<&str> = names::never_asked().collect();
    for (kind, _) in names::data_types() {
        assert!(answered(kind) != never.contains(kind), "{kind}");
    }
    let advertised = |kind: &str| names::data_types().iter().any(|(name, _)| *name == kind);
    // Phones ask for these, and yet they are in no host's table (the key is in that of asynchronous types).
    let elsewhere = ["DeviceTree", "StreamedImageDecryptionKey"];
    for kind in super::answer::ANSWERED.iter().chain(super::answer_recovery::TYPES) {
        assert!(advertised(kind) || elsewhere.contains(kind), "{kind}");
    }
}

#[test]
fn a_bootability_bundle_goes_as_an_archive_on_a_data_port() {
    let mac = supplies("iphone13", Signer::default(), true);
    for kind in ["BootabilityBundle", "BootabilityBundleV2"] {
        assert!(!mac.answers(&DataRequest::new(kind)), "not on the control link");
        let asked = DataRequest { port: Some(50_000), ..DataRequest::new(kind) };
        let Answer::Bytes(archive) = run(mac.answer(&asked)).unwrap() else { panic!() };
        let text = String::from_utf8_lossy(&archive);
        let places =
            ["a\0", "a/tool\0run", "Bootability.trustcache\0cache", "TRAILER!!!\0"].map(|part| text.find(part));
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}");
        assert!(archive.starts_with(b"070707"));
    }
}

#[test]
fn a_file_that_is_too_long_or_too_short_is_a_fault() {
    let source = |length: u64, bytes: &[u8]| Source { length, reader: Box::new(Cursor::new(bytes.to_vec())) };
    let code = |source| run(whole("x", source)).map_err(|f| f.code);
    assert_eq!(code(source(3, b"abc")), Ok(b"abc".to_vec()));
    assert_eq!(code(source(4, b"abc")), Err(Code::FirmwareDamaged));
    assert_eq!(code(source(2, b"abc")), Err(Code::FirmwareDamaged));
    assert_eq!(code(source(MAX_IMAGE as u64 + 1, b"abc")), Err(Code::FirmwareDamaged));
}
