//! A small honest host, and ways to make it dishonest.

use crate::virt::phone::{Link, Phone};
use crate::wire::asr::{self, PacketInfo};
use crate::wire::fdr::{self, Message};
use crate::wire::img4::{Algorithm, Im4m, Im4mComponent, Im4mFields, Im4p, digest_with_fourcc, stitch};
use crate::wire::restored::{self, DataRequest, FromDevice, RestoreOptions, Status, ToDevice};
use plist::{Dictionary, Value};
use sha1::Digest;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

type Twist = Arc<dyn Fn(&DataRequest, Dictionary) -> Dictionary + Send + Sync>;

pub struct Host {
    pub phone: Arc<Phone>,
    pub components: BTreeMap<String, Vec<u8>>,
    pub ticket: Vec<u8>,
    pub identity: Dictionary,
    pub image: Vec<u8>,
    pub options: Dictionary,
    pub twist: Twist,
    pub use_fdr: bool,
    /// Byte of the image that is sent wrongly after the SHA-1 was made.
    pub flip: Option<usize>,
}

pub struct Seen {
    pub messages: Vec<FromDevice>,
    pub status: Option<Status>,
}

impl Seen {
    pub fn requests(&self) -> Vec<String> {
        self.messages
            .iter()
            .filter_map(|m| match m {
                FromDevice::DataRequest(r) | FromDevice::AsyncDataRequest(r) => Some(r.data_type.clone()),
                _ => None,
            })
            .collect()
    }

    pub fn operations(&self) -> Vec<u64> {
        let mut operations = Vec::new();
        for m in &self.messages {
            if let FromDevice::Progress { operation, context: None, percent } = m
                && (percent.is_none_or(|p| p == 0) || operations.last() != Some(operation))
            {
                operations.push(*operation);
            }
        }
        operations
    }

    /// (id, result) of completed checkpoints.
    pub fn completed(&self) -> Vec<(u16, i64)> {
        self.messages
            .iter()
            .filter_map(|m| match m {
                FromDevice::Checkpoint(c) if c.complete => Some((c.id.0, c.result)),
                _ => None,
            })
            .collect()
    }
}

pub fn dial(phone: &Arc<Phone>, port: u16) -> Link {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let (host, device) = UnixStream::pair().unwrap();
        if phone.connect(port, device) {
            host.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            return host;
        }
        assert!(Instant::now() < until, "port {port} stays closed");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn send(link: &mut Link, message: &Dictionary) {
    let _ = link.write_all(&restored::frame(message));
}

pub fn receive(link: &mut Link) -> Option<Dictionary> {
    let mut prefix = [0; 4];
    link.read_exact(&mut prefix).ok()?;
    let mut body = vec![0; restored::length(prefix, restored::FROM_DEVICE_CAP).ok()?];
    link.read_exact(&mut body).ok()?;
    restored::parse(&body).ok()
}

const PARTS: &[(&str, &[u8; 4], &str)] = &[
    ("LLB", b"illb", "IsFirmwarePayload"),
    ("iBoot", b"ibot", "IsFirmwarePayload"),
    ("AppleLogo", b"logo", "IsFirmwarePayload"),
    ("RestoreSEP", b"rsep", "IsFirmwarePayload"),
    ("SEP", b"sepi", "IsFirmwarePayload"),
    ("KernelCache", b"krnl", ""),
    ("DeviceTree", b"dtre", "IsFirmwarePayload"),
    ("SystemVolume", b"isys", "IsFUDFirmware"),
    ("Ap,SystemVolumeCanonicalMetadata", b"msys", "IsFUDFirmware"),
    ("StaticTrustCache", b"trst", "IsFUDFirmware"),
    ("Ap,Early", b"earl", "IsEarlyAccessFirmware"),
];

impl Host {
    /// Components, ticket and identity for this phone as it is now.
    pub fn new(phone: &Arc<Phone>, erase: bool) -> Self {
        let model = phone.model;
        let new_digests = model.cpid.0 >= 0x8010 && model.cpid.0 < 0x8900;
        let algorithm = if new_digests { Algorithm::Sha384 } else { Algorithm::Sha1 };
        let mut fields = Im4mFields {
            ecid: phone.ecid.0,
            chip: u64::from(model.cpid.0),
            board: u64::from(model.bdid.unwrap().0),
            security_domain: 1,
            production: true,
            security_mode: true,
            ap_nonce: phone.state().ap_nonce.clone(),
            ..Im4mFields::default()
        };
        let mut manifest = Dictionary::new();
        let mut components = BTreeMap::new();
        for (name, fourcc, flag) in PARTS {
            let im4p = Im4p::build(**fourcc, "1", format!("payload of {name}").repeat(700).as_bytes(), None);
            let digest = digest_with_fourcc(&im4p, None, algorithm).unwrap();
            let component = Im4mComponent { digest: digest.clone(), ..Im4mComponent::default() };
            fields.components.insert(**fourcc, component);
            let info = Dictionary::from_iter([(*flag, true)]);
            let entry = Dictionary::from_iter([("Digest", Value::Data(digest)), ("Info", Value::Dictionary(info))]);
            manifest.insert((*name).into(), entry.into());
            components.insert((*name).to_owned(), im4p);
        }
        for name in ["Cryptex1,SystemOS", "Cryptex1,AppOS", "SE,UpdatePayload", "Rap,RTKitOS"] {
            components.insert(name.into(), name.repeat(2000).into_bytes());
            manifest.insert(name.into(), Dictionary::from_iter([("Digest", Value::Data(vec![7; 48]))]).into());
        }
        let mut aea = b"AEA1\x01\0\0\0".to_vec();
        let field = b"com.apple.wkms.fcs-key-url\0http://127.0.0.1/key";
        aea.extend_from_slice(&(field.len() as u32 + 4).to_le_bytes());
        aea.extend_from_slice(&(field.len() as u32 + 4).to_le_bytes());
        aea.extend_from_slice(field);
        aea.resize(20_000, 0xE5);
        components.insert("Cryptex1,SystemOS".into(), aea.clone());
        let mut image: Vec<u8> = (0..1_000_003u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        if new_digests {
            image[..aea.len()].copy_from_slice(&aea);
        } else {
            let head =
                b"<key>ProductVersion</key><string>12.5.8</string><key>ProductBuildVersion</key><string>16H88</string>";
            image[..head.len()].copy_from_slice(head);
        }
        let mut identity = Dictionary::new();
        identity.insert("ApChipID".into(), format!("0x{:X}", model.cpid.0).into());
        identity.insert("ApBoardID".into(), format!("0x{:X}", model.bdid.unwrap().0).into());
        identity.insert("Ap,ProductMarketingVersion".into(), "99.1".into());
        identity.insert("Cryptex1,ChipID".into(), "0x8".into());
        let behaviour = if erase { "Erase" } else { "Update" };
        let info = Dictionary::from_iter([("BuildNumber", "99A123"), ("RestoreBehavior", behaviour)]);
        identity.insert("Info".into(), info.into());
        identity.insert("Manifest".into(), manifest.into());
        Host {
            phone: Arc::clone(phone),
            components,
            ticket: Im4m::build(&fields, |_| vec![1; 64], &[]),
            identity,
            image,
            options: RestoreOptions::new(erase, "0E0E").build(),
            twist: Arc::new(|_, answer| answer),
            use_fdr: true,
            flip: None,
        }
    }

    fn signed(&self, name: &str) -> Value {
        Value::Data(stitch(&self.components[name], None, &self.ticket, None).unwrap())
    }

    fn flagged(&self, flag: &str) -> Vec<&'static str> {
        PARTS.iter().filter(|p| p.2 == flag).map(|p| p.0).collect()
    }

    fn images(&self, request: &DataRequest, list_key: &str, flag: &str, key: &str) -> Dictionary {
        let mut m = Dictionary::new();
        if request.arguments.contains_key(list_key) {
            m.insert(list_key.into(), Value::Array(self.flagged(flag).into_iter().map(Value::from).collect()));
        } else if let Some(name) = request.image_name() {
            m.insert(key.into(), self.signed(name));
            m.insert("ImageName".into(), name.into());
        } else {
            let all: Dictionary = self.flagged(flag).into_iter().map(|n| (n.to_owned(), self.signed(n))).collect();
            m.insert(key.into(), all.into());
        }
        m
    }

    fn answer(&self, request: &DataRequest) -> Option<Dictionary> {
        let one = |key: &str, value: Value| Some(Dictionary::from_iter([(key, value)]));
        match request.data_type.as_str() {
            "RootTicket" => one("RootTicketData", Value::Data(self.ticket.clone())),
            "KernelCache" => one("KernelCacheFile", self.signed("KernelCache")),
            "DeviceTree" => one("DeviceTreeFile", self.signed("DeviceTree")),
            "SystemImageRootHash" => one("SystemImageRootHashFile", self.signed("SystemVolume")),
            "SystemImageCanonicalMetadata" => {
                one("SystemImageCanonicalMetadataFile", self.signed("Ap,SystemVolumeCanonicalMetadata"))
            }
            "NORData" => {
                let mut m = one("LlbImageData", self.signed("LLB"))?;
                m.insert("RestoreSEPImageData".into(), self.signed("RestoreSEP"));
                m.insert("SEPImageData".into(), self.signed("SEP"));
                let names = ["iBoot", "AppleLogo", "DeviceTree", "SEP"];
                let images = if request.arguments.contains_key("FlashVersion1") {
                    Value::Dictionary(names.into_iter().map(|n| (n.to_owned(), self.signed(n))).collect())
                } else {
                    Value::Array(names.into_iter().map(|n| self.signed(n)).collect())
                };
                m.insert("NorImageData".into(), images);
                Some(m)
            }
            "BuildIdentityDict" => {
                let mut m = one("BuildIdentityDict", self.identity.clone().into())?;
                m.insert("Variant".into(), request.arguments.get("Variant")?.clone());
                Some(m)
            }
            "FUDData" => Some(self.images(request, "FUDImageList", "IsFUDFirmware", "FUDImageData")),
            "PersonalizedData" => {
                let flag = request.arguments.get("ImageType")?.as_string()?.to_owned();
                Some(self.images(request, "ImageList", &flag, "ImageData"))
            }
            "EANData" => Some(self.images(request, "EANImageList", "IsEarlyAccessFirmware", "EANData")),
            "FirmwareUpdaterData" => {
                let tags = request.arguments.get("DeviceGeneratedTags")?.as_dictionary()?;
                let tags = tags.get("ResponseTags")?.as_array()?;
                let response: Dictionary =
                    tags.iter().filter_map(|t| Some((t.as_string()?.to_owned(), Value::Data(vec![5; 9])))).collect();
                one("FirmwareResponseData", response.into())
            }
            "BasebandData" => one("BasebandData", Value::Data(archive(&["sbl1.mbn", "bbticket.der"]))),
            "ReceiptManifest" => one("ReceiptManifest", self.identity.get("Manifest")?.clone()),
            "URLAsset" | "StreamedImageDecryptionKey" => {
                let mut m = one("ResponseBody", Value::Data(b"-----BEGIN PRIVATE KEY-----".to_vec()))?;
                m.insert("ResponseBodyDone".into(), true.into());
                m.insert("ResponseHeaders".into(), Dictionary::new().into());
                m.insert("ResponseStatus".into(), Value::from(200u64));
                Some(m)
            }
            "FDRTrustData" | "FirmwareUpdaterPreflight" => Some(Dictionary::new()),
            _ => None,
        }
    }

    fn serve(&self, link: &mut Link, request: &DataRequest) {
        match request.data_type.as_str() {
            "SystemImageData" => self.asr(request.port.unwrap_or(asr::PORT)),
            "BasebandUpdaterOutputData" => {
                let mut archive = Vec::new();
                dial(&self.phone, request.port.unwrap()).read_to_end(&mut archive).unwrap();
                assert!(archive.starts_with(b"070707"));
            }
            "SourceBootObjectV4" | "PersonalizedBootObjectV3" => {
                let name = request.image_name().unwrap();
                let bytes = match self.signed_or_not(&request.data_type, name) {
                    Value::Data(bytes) => bytes,
                    _ => return,
                };
                for (place, piece) in bytes.chunks(restored::FILE_DATA_PIECE).enumerate() {
                    send(link, &Dictionary::from_iter([("FileData", Value::Data(piece.to_vec()))]));
                    if place == 0 && piece.starts_with(b"AEA1") {
                        let Some(question) = receive(link) else { return };
                        let Ok(FromDevice::DataRequest(question)) = FromDevice::parse(&question) else { panic!() };
                        self.serve(link, &question);
                    }
                }
                send(link, &Dictionary::from_iter([("FileDataDone", true)]));
            }
            _ => {
                let answer = self.answer(request).unwrap_or_default();
                let answer = (self.twist)(request, answer);
                match request.port {
                    Some(port) => send(&mut dial(&self.phone, port), &answer),
                    None => send(link, &answer),
                }
            }
        }
    }

    fn signed_or_not(&self, data_type: &str, name: &str) -> Value {
        match data_type {
            "PersonalizedBootObjectV3" => self.signed(name),
            _ => Value::Data(self.components[name].clone()),
        }
    }

    fn asr(&self, port: u16) {
        let mut link = dial(&self.phone, port);
        let mut pending = Vec::new();
        let mut checksums = false;
        loop {
            let Some(message) = plist_message(&mut link, &mut pending) else { return };
            match asr::FromDevice::parse(&message).unwrap() {
                asr::FromDevice::Initiate { checksum_chunks } => {
                    checksums = checksum_chunks;
                    let info = PacketInfo { size: self.image.len() as u64, checksum_chunks };
                    link.write_all(&info.build()).unwrap();
                }
                asr::FromDevice::OobData { length, offset } => {
                    let bytes = &self.image[offset as usize..][..length as usize];
                    link.write_all(bytes).unwrap();
                }
                asr::FromDevice::Payload => break,
            }
        }
        for (place, chunk) in self.image.chunks(asr::CHUNK).enumerate() {
            let sum = sha1::Sha1::digest(chunk);
            let mut chunk = chunk.to_vec();
            if let Some(at) = self.flip.filter(|at| at / asr::CHUNK == place) {
                chunk[at % asr::CHUNK] ^= 1;
            }
            if checksums {
                chunk.extend_from_slice(&sum);
            }
            if link.write_all(&chunk).is_err() {
                return;
            }
        }
    }

    fn fdr(phone: Arc<Phone>) {
        let mut control = dial(&phone, fdr::CONTROL_PORT);
        control.set_read_timeout(None).unwrap();
        control.write_all(fdr::BEGIN_CTRL).unwrap();
        control.write_all(&fdr::frame(&Message::BeginCtrl { version: 2, conn_port: None }.build())).unwrap();
        let Message::BeginCtrl { conn_port: Some(port), .. } = fdr_message(&mut control) else { panic!() };
        let mut word = [0; 2];
        while control.read_exact(&mut word).is_ok() {
            if u16::from_le_bytes(word) != fdr::SYNC {
                return;
            }
            control.read_exact(&mut word).unwrap();
            let mut conn = dial(&phone, port);
            conn.write_all(fdr::HELLO_CONN).unwrap();
            assert!(matches!(fdr_message(&mut conn), Message::HelloConn { identifier: Some(_) }));
            conn.read_exact(&mut word).unwrap();
            if u16::from_le_bytes(word) == fdr::PLIST {
                assert_eq!(fdr_message(&mut conn), Message::Ping);
                conn.write_all(&fdr::frame(&Message::Pong.build())).unwrap();
            } else {
                assert_eq!(u16::from_le_bytes(word), fdr::PROXY);
                let mut bytes = vec![0; 512];
                let count = conn.read(&mut bytes).unwrap();
                let (request, length) = fdr::ProxyRequest::parse(&bytes[..count]).unwrap().unwrap();
                conn.write_all(&fdr::PROXY_ACK.to_le_bytes()).unwrap();
                conn.write_all(&bytes[..length]).unwrap();
                let mut out = std::net::TcpStream::connect((request.host.as_str(), request.port)).unwrap();
                let count = conn.read(&mut bytes).unwrap();
                out.write_all(&bytes[..count]).unwrap();
                let mut answer = Vec::new();
                out.read_to_end(&mut answer).unwrap();
                conn.write_all(&answer).unwrap();
            }
        }
    }

    /// From QueryType to the status or the end of the link.
    pub fn restore(self) -> Seen {
        let host = Arc::new(self);
        if host.use_fdr {
            let phone = Arc::clone(&host.phone);
            std::thread::spawn(move || Host::fdr(phone));
        }
        let mut link = dial(&host.phone, restored::PORT);
        send(&mut link, &ToDevice::QueryType.build("test"));
        assert!(restored::TypeAnswer::parse(&receive(&mut link).unwrap()).is_ok());
        send(&mut link, &ToDevice::StartRestore { options: host.options.clone(), protocol: 15 }.build("test"));
        let mut seen = Seen { messages: Vec::new(), status: None };
        let mut asides: Vec<JoinHandle<()>> = Vec::new();
        while let Some(message) = receive(&mut link) {
            let message = FromDevice::parse(&message).unwrap();
            match &message {
                FromDevice::DataRequest(request) => host.serve(&mut link, request),
                FromDevice::AsyncDataRequest(request) => {
                    let (host, request) = (Arc::clone(&host), request.clone());
                    let mut link = link.try_clone().unwrap();
                    asides.push(std::thread::spawn(move || host.serve(&mut link, &request)));
                }
                FromDevice::RestoreAttestation => send(&mut link, &ToDevice::Attest(false).build("test")),
                FromDevice::Status(status) => {
                    seen.status = Some(status.clone());
                    if status.status == 0 {
                        send(&mut link, &ToDevice::ReceivedFinalStatus.build("test"));
                    }
                }
                _ => {}
            }
            seen.messages.push(message);
        }
        for aside in asides {
            let _ = aside.join();
        }
        seen
    }
}

/// A zip's directory, without the files.
fn archive(names: &[&str]) -> Vec<u8> {
    let mut zip = Vec::new();
    for name in names {
        let mut entry = b"PK\x01\x02".to_vec();
        entry.resize(46, 0);
        entry[28] = name.len() as u8;
        zip.extend_from_slice(&entry);
        zip.extend_from_slice(name.as_bytes());
    }
    let mut end = b"PK\x05\x06".to_vec();
    end.resize(22, 0);
    end[10] = names.len() as u8;
    [zip, end].concat()
}

fn plist_message(link: &mut Link, pending: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(length) = asr::message_length(pending).unwrap() {
            return Some(pending.drain(..length).collect());
        }
        let mut piece = [0; 1024];
        let count = link.read(&mut piece).ok().filter(|n| *n > 0)?;
        pending.extend_from_slice(&piece[..count]);
    }
}

fn fdr_message(link: &mut Link) -> Message {
    let mut prefix = [0; 4];
    link.read_exact(&mut prefix).unwrap();
    let mut body = vec![0; fdr::length(prefix).unwrap()];
    link.read_exact(&mut body).unwrap();
    Message::parse(&fdr::parse(&body).unwrap())
}
