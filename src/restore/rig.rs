//! What tests of the boot chain stand on: a small firmware of real shape, and a signer that signs as Apple
//! does. The phone is the bench's.

use super::boot::{Boot, Target, Waits};
use super::personalize::{Components, Source};
use super::ticket::Sign;
use crate::event::{Event, Recorder, Step};
use crate::facts::models::ImageFormat;
use crate::fault::{Code, Fault};
use crate::usb::Bus;
use crate::virt::phone::Phone;
use crate::virt::spec::PhoneSpec;
use crate::virt::usb::VirtualBus;
use crate::wire::img3::{self, ApTicket};
use crate::wire::img4::{self, Algorithm, Im4m, Im4mComponent, Im4mFields, Im4p};
use crate::wire::manifest::{BuildIdentity, BuildManifest};
use plist::{Dictionary, Value};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Name, fourcc in the file, version text, bytes of payload, loaded by iBoot.
const PARTS: [(&str, &[u8; 4], &str, usize, bool); 9] = [
    ("iBSS", b"ibss", "iBoot-9999.1.2", 70_000, false),
    ("iBEC", b"ibec", "iBoot-9999.1.2", 90_001, false),
    ("RestoreLogo", b"logo", "", 5_000, false),
    ("RestoreTrustCache", b"trst", "", 3_333, true),
    ("ANE", b"anef", "", 12_345, true),
    ("RestoreRamDisk", b"rdsk", "", 1_000_000, false),
    ("RestoreDeviceTree", b"dtre", "", 40_960, false),
    ("RestoreSEP", b"sepi", "", 60_000, false),
    ("RestoreKernelCache", b"krnl", "", 300_000, false),
];

/// The files of the firmware by path.
#[derive(Clone, Default)]
pub struct Files(pub Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Components for Files {
    fn open(&self, path: &str) -> Result<Source, Fault> {
        let files = self.0.lock().unwrap();
        let bytes = files.get(path).ok_or_else(|| Fault::new(Code::FirmwareDamaged, format!("no {path}")))?;
        Ok(Source { length: bytes.len() as u64, reader: Box::new(Cursor::new(bytes.clone())) })
    }
    fn size(&self, path: &str) -> Option<u64> {
        self.0.lock().unwrap().get(path).map(|bytes| bytes.len() as u64)
    }
}

pub fn dict(pairs: impl IntoIterator<Item = (&'static str, Value)>) -> Dictionary {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn firmware(phone: &Phone) -> (BuildIdentity, Files) {
    let old = !(0x8010..0x8900).contains(&phone.model.cpid.0);
    let algorithm = if old { Algorithm::Sha1 } else { Algorithm::Sha384 };
    let mut manifest = Dictionary::new();
    let mut files = BTreeMap::new();
    for (name, fourcc, version, length, by_iboot) in PARTS {
        let payload: Vec<u8> = (0..length).map(|i| (i * 7 + name.len()) as u8).collect();
        let is_img3 = phone.model.image == ImageFormat::Img3;
        if is_img3 && (by_iboot || name == "RestoreSEP") {
            continue;
        }
        let (file, digest) = if is_img3 {
            let file = img3::build(*fourcc, version, &payload);
            let digest = img3::Img3::parse(&file).unwrap().digest();
            (file, digest)
        } else {
            let file = Im4p::build(*fourcc, version, &payload, None);
            let digest = img4::digest_with_fourcc(&file, img4::restore_fourcc(name), algorithm).unwrap();
            (file, digest)
        };
        let path = format!("Firmware/{name}.im4p");
        let info = dict([
            ("Path", Value::String(path.clone())),
            ("IsLoadedByiBoot", Value::Boolean(by_iboot)),
            ("RestoreRequestRules", Value::Array(vec![])),
        ]);
        let part = [("Digest", Value::Data(digest)), ("Trusted", Value::Boolean(true)), ("Info", info.into())];
        let mut part = dict(part);
        if is_img3 && name == "iBSS" {
            part.insert("PartialDigest".into(), Value::Data(vec![4; 28]));
        }
        manifest.insert(name.to_owned(), part.into());
        files.insert(path, file);
    }
    let identity = dict([
        ("ApChipID", Value::String(format!("{:#X}", phone.model.cpid.0))),
        ("ApBoardID", Value::String(format!("{:#X}", phone.bdid.0))),
        ("ApSecurityDomain", Value::String("0x01".into())),
        ("UniqueBuildID", Value::Data(vec![9; 20])),
        (
            "Info",
            dict([
                ("DeviceClass", Value::String(phone.model.board.into())),
                ("Variant", Value::String("Customer Erase Install (IPSW)".into())),
                ("RestoreBehavior", Value::String("Erase".into())),
                ("BuildNumber", Value::String("24A446".into())),
            ])
            .into(),
        ),
        ("Manifest", manifest.into()),
    ]);
    let top = dict([
        ("ProductBuildVersion", Value::String("24A446".into())),
        ("ProductVersion", Value::String("27.0.1".into())),
        ("BuildIdentities", Value::Array(vec![identity.into()])),
    ]);
    let mut xml = Vec::new();
    Value::Dictionary(top).to_writer_xml(&mut xml).unwrap();
    let identity = BuildManifest::parse(&xml).unwrap().identities.remove(0);
    (identity, Files(Arc::new(Mutex::new(files))))
}

/// Signs for the device and nonce of the request, with the digests in it; counts.
#[derive(Default)]
pub struct Signer {
    pub requests: Mutex<Vec<Dictionary>>,
    /// Signs for a nonce that nobody has.
    pub wrong_nonce: bool,
}

impl Signer {
    /// One ticket, and a Blob where the request has an unfinished digest.
    fn img3(&self, request: &Dictionary) -> Dictionary {
        let of = |entry: &Value, key: &str| Some(entry.as_dictionary()?.get(key)?.as_data()?.to_vec());
        let ecid = request.get("ApECID").and_then(Value::as_unsigned_integer).unwrap();
        let asked = request.get("ApNonce").and_then(Value::as_data).map(<[u8]>::to_vec);
        let nonce = if self.wrong_nonce { Some(vec![0; 20]) } else { asked };
        let digests = request.iter().filter_map(|(_, entry)| of(entry, "Digest")).collect();
        let ticket = ApTicket { ecid: Some(ecid), nonce, digests }.build(|_| vec![1; 128], &[]);
        let mut answer = dict([("APTicket", Value::Data(ticket))]);
        for (name, _) in request.iter().filter(|(_, entry)| of(entry, "PartialDigest").is_some()) {
            let blob = Value::Data(img3::blob(ecid, &[1; 128], &[2; 1909]));
            answer.insert(name.clone(), dict([("Blob", blob)]).into());
        }
        answer
    }
}

impl Sign for Signer {
    fn sign<'a>(&'a self, request: Dictionary) -> Pin<Box<dyn Future<Output = Result<Dictionary, Fault>> + Send + 'a>> {
        let data = |key: &str| request.get(key).and_then(Value::as_data).map(<[u8]>::to_vec);
        let number = |key: &str| request.get(key).and_then(Value::as_unsigned_integer).unwrap_or_default();
        if request.contains_key("@APTicket") {
            let answer = self.img3(&request);
            self.requests.lock().unwrap().push(request);
            return Box::pin(async move { Ok(answer) });
        }
        let components = request.iter().filter_map(|(name, value)| {
            let digest = value.as_dictionary()?.get("Digest")?.as_data()?.to_vec();
            Some((img4::fourcc(name)?, Im4mComponent { digest, ..Im4mComponent::default() }))
        });
        let fields = Im4mFields {
            ecid: number("ApECID"),
            chip: number("ApChipID"),
            board: number("ApBoardID"),
            security_domain: number("ApSecurityDomain"),
            production: true,
            security_mode: true,
            ap_nonce: if self.wrong_nonce { vec![0; 32] } else { data("ApNonce").unwrap_or_default() },
            sep_nonce: data("SepNonce"),
            components: components.collect(),
            ..Im4mFields::default()
        };
        self.requests.lock().unwrap().push(request);
        let im4m = Im4m::build(&fields, |signed| signed.iter().take(64).copied().collect(), &[]);
        Box::pin(async move { Ok(dict([("ApImg4Ticket", Value::Data(im4m))])) })
    }
}

/// One phone, its firmware, and ears.
pub struct Rig {
    pub phone: Arc<Phone>,
    pub bus: Arc<dyn Bus>,
    pub identity: BuildIdentity,
    pub files: Files,
    pub signer: Signer,
    pub recorder: Recorder,
    pub cancel: CancellationToken,
    pub target: Target,
    /// Every long wait.
    pub patience: Duration,
}

impl Rig {
    pub fn new(spec: PhoneSpec) -> Rig {
        let phone = Phone::new(spec, 0, super::boot_tests::PACE).unwrap();
        let bus = Arc::new(VirtualBus::new(vec![Arc::clone(&phone)]));
        Self::on(bus, phone)
    }

    /// The same, reached over another bus.
    pub fn on(bus: Arc<dyn Bus>, phone: Arc<Phone>) -> Rig {
        let (identity, files) = firmware(&phone);
        let target = Target { ecid: phone.ecid, cpid: phone.model.cpid, bdid: phone.bdid };
        let (signer, recorder, cancel) = Default::default();
        let patience = Duration::from_secs(2);
        Rig { phone, bus, identity, files, signer, recorder, cancel, target, patience }
    }

    pub fn boot(&self) -> Boot<'_> {
        let short = Duration::from_millis(10);
        let long = self.patience;
        Boot {
            bus: Arc::clone(&self.bus),
            target: self.target.clone(),
            identity: &self.identity,
            components: Arc::new(self.files.clone()),
            sign: &self.signer,
            tell: &self.recorder,
            cancel: self.cancel.clone(),
            waits: Waits {
                find: long,
                dfu_leave: long,
                dfu_return: long,
                recovery_leave: long,
                recovery_return: long,
                kernel_leave: long,
                before_go: short,
                after_ramdisk: short,
                ..Waits::default()
            },
        }
    }

    /// Boots; a failure comes with its code, its stage, and its words.
    pub async fn run(&self) -> Result<super::boot::Booted, (Code, String, String)> {
        let result = self.chain().await;
        result.map_err(|f| (f.code, f.stage.unwrap_or_default(), f.detail))
    }

    async fn chain(&self) -> Result<super::boot::Booted, crate::fault::Fault> {
        let mut chain = super::boot::Chain::begin(self.boot()).await?;
        if chain.at_rom() {
            chain.boot_ibss().await?;
        }
        chain.boot_ibec().await?;
        chain.boot_ramdisk().await
    }

    pub fn tickets(&self) -> usize {
        self.signer.requests.lock().unwrap().len()
    }

    /// Steps that were begun, in order.
    pub fn steps(&self) -> Vec<Step> {
        let begun = self.recorder.events().into_iter().filter_map(|event| match event {
            Event::StepBegan { step, .. } => Some(step),
            _ => None,
        });
        begun.collect()
    }

    /// Waits for a condition of the phone, 5 s at most.
    pub async fn until(&self, what: impl Fn(&Phone) -> bool) -> bool {
        for _ in 0..500 {
            if what(&self.phone) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }
}
