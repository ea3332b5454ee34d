//! What the device asks for, and what it gets.
//!
//! A request names a data type; an answer is one dictionary, a file in pieces, or a stream. Everything
//! comes from the build identity, the IPSW and the ticket; other chips' tickets are asked for here. A type
//! that nobody here knows gets an explicit empty answer, and the person is told: silence would make the
//! device wait for ever.

use super::personalize::{self, Components};
use super::ticket::{Sign, Ticket};
use super::updater;
use crate::fault::{Code, Fault};
use crate::firmware::baseband;
use crate::ids::Ecid;
use crate::wire::img4::MAX_IMAGE;
use crate::wire::manifest::xml::number;
use crate::wire::manifest::{BuildIdentity, Flags, ModeFacts};
use crate::wire::restored::DataRequest;
use crate::wire::restored::names::data;
use crate::wire::tss::{Form, Peripheral};
use plist::{Dictionary, Value};
use std::future::Future;
use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;

/// An answer of a web server that the device asked through us.
pub struct WebAnswer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Web requests on the device's behalf (keys of encrypted images). Implementations allow Apple's servers
/// only and verify TLS.
pub trait Web: Send + Sync {
    fn fetch<'a>(
        &'a self,
        method: &'a str,
        url: &'a str,
        headers: &'a [(String, String)],
        body: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Result<WebAnswer, Fault>> + Send + 'a>>;
}

/// What answers are made from.
pub struct Supplies {
    pub ecid: Ecid,
    pub identity: Arc<BuildIdentity>,
    pub components: Arc<dyn Components>,
    pub ticket: Arc<Ticket>,
    pub sign: Arc<dyn Sign>,
    pub web: Arc<dyn Web>,
}

pub enum Answer {
    One(Dictionary),
    /// FileData pieces and FileDataDone.
    Pieces(Vec<u8>),
    /// Served by [`super::asr`].
    Image,
    /// The device sends something for us to keep.
    Take,
    /// Empty, since the type is not known.
    Unknown,
}

fn one(key: &str, value: impl Into<Value>) -> Answer {
    Answer::One(Dictionary::from_iter([(key.to_owned(), value.into())]))
}

impl Supplies {
    /// The answer to one request.
    ///
    /// # Errors
    /// A component that is missing or wrong, or a ticket that Apple refuses.
    pub async fn answer(&self, request: &DataRequest) -> Result<Answer, Fault> {
        Ok(match request.data_type.as_str() {
            data::SYSTEM_IMAGE_DATA => Answer::Image,
            data::ROOT_TICKET => one("RootTicketData", Value::Data(self.ticket.der.clone())),
            data::KERNEL_CACHE => one("KernelCacheFile", Value::Data(self.signed("KernelCache").await?)),
            data::DEVICE_TREE => one("DeviceTreeFile", Value::Data(self.signed("DeviceTree").await?)),
            data::SYSTEM_IMAGE_ROOT_HASH => {
                one("SystemImageRootHashFile", Value::Data(self.signed("SystemVolume").await?))
            }
            data::SYSTEM_IMAGE_CANONICAL_METADATA => {
                let bytes = self.signed("Ap,SystemVolumeCanonicalMetadata").await?;
                one("SystemImageCanonicalMetadataFile", Value::Data(bytes))
            }
            data::NOR_DATA => Answer::One(self.nor(request).await?),
            data::BUILD_IDENTITY_DICT | "BuildIdentityDictV2" => Answer::One(self.identity_dict()),
            data::FDR_TRUST_DATA | data::FIRMWARE_UPDATER_PREFLIGHT => Answer::One(Dictionary::new()),
            data::FUD_DATA => {
                let keys = Keys { list: "FUDImageList", data: "FUDImageData", flag: Some("IsFUDFirmware") };
                Answer::One(self.images(request, &keys).await?)
            }
            data::PERSONALIZED_DATA => {
                let keys = Keys { list: "ImageList", data: "ImageData", flag: None };
                Answer::One(self.images(request, &keys).await?)
            }
            data::EAN_DATA => {
                let keys = Keys { list: "EANImageList", data: "EANData", flag: Some("IsEarlyAccessFirmware") };
                Answer::One(self.images(request, &keys).await?)
            }
            data::PERSONALIZED_BOOT_OBJECT_V3 => Answer::Pieces(self.boot_object(request, true).await?),
            data::SOURCE_BOOT_OBJECT_V3 | data::SOURCE_BOOT_OBJECT_V4 | data::SOURCE_BOOT_OBJECT_V5 => {
                Answer::Pieces(self.boot_object(request, false).await?)
            }
            data::RECEIPT_MANIFEST => {
                let manifest = self.identity.raw.get("Manifest").cloned();
                one("ReceiptManifest", manifest.unwrap_or(Value::Dictionary(Dictionary::new())))
            }
            data::BASEBAND_DATA => one("BasebandData", Value::Data(self.baseband(request).await?)),
            data::FIRMWARE_UPDATER_DATA | "FirmwareUpdaterDataV2" | "FirmwareUpdaterDataV3" => {
                one("FirmwareResponseData", self.updater(request).await?)
            }
            data::URL_ASSET | data::STREAMED_IMAGE_DECRYPTION_KEY => Answer::One(self.web(request).await?),
            data::HOST_SYSTEM_TIME => Answer::One(Dictionary::from_iter([
                ("SetHostTimeOnDevice".to_owned(), Value::Boolean(true)),
                ("HostSystemTime".to_owned(), Value::Date(std::time::SystemTime::now().into())),
            ])),
            data::BASEBAND_UPDATER_OUTPUT_DATA => Answer::Take,
            _ => Answer::Unknown,
        })
    }

    async fn signed(&self, name: &str) -> Result<Vec<u8>, Fault> {
        let made = personalize::component(&self.identity, &self.components, &self.ticket, name).await?;
        whole(made.image).await
    }

    async fn shipped(&self, path: &str) -> Result<Vec<u8>, Fault> {
        let (components, path) = (Arc::clone(&self.components), path.to_owned());
        let source = tokio::task::spawn_blocking(move || components.open(&path))
            .await
            .map_err(|e| Fault::new(Code::Internal, e.to_string()))??;
        whole(source.reader).await
    }

    fn path(&self, name: &str) -> Result<&str, Fault> {
        let missing = || Fault::new(Code::FirmwareDamaged, format!("the firmware has no {name} for this device"));
        self.identity.path(name).ok_or_else(missing)
    }

    fn identity_dict(&self) -> Dictionary {
        let behaviour = self.identity.info().get("RestoreBehavior").and_then(Value::as_string).unwrap_or("Erase");
        Dictionary::from_iter([
            ("BuildIdentityDict".to_owned(), Value::Dictionary(self.identity.raw.clone())),
            ("Variant".to_owned(), Value::from(behaviour)),
        ])
    }

    /// Boot firmware for the NOR (or what stands in for one): LLB, iBoot first, the rest, and the SEP.
    async fn nor(&self, request: &DataRequest) -> Result<Dictionary, Fault> {
        // Hosts of the field look whether the key is there, not what it says.
        let by_name = request.arguments.get("FlashVersion1").is_some_and(|v| v.as_boolean() != Some(false));
        let payload = |f: &Flags| f.firmware_payload || f.secondary_firmware_payload;
        let mut answer = Dictionary::new();
        let mut first = Vec::new();
        let mut rest = Vec::new();
        let mut named = Dictionary::new();
        for (name, component) in &self.identity.components {
            if component.path.is_none() || !payload(&component.flags) {
                continue;
            }
            match name.as_str() {
                "RestoreSEP" | "SEP" | "SepStage1" => continue,
                "LLB" => {
                    answer.insert("LlbImageData".into(), Value::Data(self.signed(name).await?));
                }
                _ => {
                    let bytes = Value::Data(self.signed(name).await?);
                    match (by_name, name.as_str()) {
                        (true, _) => drop(named.insert(name.clone(), bytes)),
                        (false, "iBoot") => first.push(bytes),
                        (false, _) => rest.push(bytes),
                    }
                }
            }
        }
        first.append(&mut rest);
        let images = if by_name { Value::Dictionary(named) } else { Value::Array(first) };
        answer.insert("NorImageData".into(), images);
        for (key, name) in
            [("RestoreSEPImageData", "RestoreSEP"), ("SEPImageData", "SEP"), ("SEPPatchImageData", "SepStage1")]
        {
            if personalize::has(&self.identity, name) {
                answer.insert(key.into(), Value::Data(self.signed(name).await?));
            }
        }
        Ok(answer)
    }

    /// A list of names, one image, or all images of a kind.
    async fn images(&self, request: &DataRequest, keys: &Keys) -> Result<Dictionary, Fault> {
        let wanted = request.arguments.get("ImageType").and_then(Value::as_string).or(keys.flag);
        let names: Vec<&String> = self
            .identity
            .components
            .iter()
            .filter(|(_, c)| c.path.is_some() && wanted.is_some_and(|flag| flagged(&c.raw, flag)))
            .map(|(name, _)| name)
            .collect();
        let mut answer = Dictionary::new();
        if request.arguments.get(keys.list).and_then(Value::as_boolean) == Some(true) {
            let list = names.into_iter().map(|n| Value::from(n.as_str())).collect();
            answer.insert(keys.list.into(), Value::Array(list));
        } else if let Some(name) = request.image_name() {
            answer.insert(keys.data.into(), Value::Data(self.signed(name).await?));
            answer.insert("ImageName".into(), name.into());
        } else {
            let mut all = Dictionary::new();
            for name in names {
                all.insert(name.clone(), Value::Data(self.signed(name).await?));
            }
            answer.insert(keys.data.into(), Value::Dictionary(all));
        }
        Ok(answer)
    }

    async fn boot_object(&self, request: &DataRequest, signed: bool) -> Result<Vec<u8>, Fault> {
        let name = request.image_name().unwrap_or_default();
        let file = match name {
            "__GlobalManifest__" => Some("BuildManifest.plist"),
            "__RestoreVersion__" => Some("RestoreVersion.plist"),
            "__SystemVersion__" => Some("SystemVersion.plist"),
            _ => None,
        };
        match file {
            Some(path) => self.shipped(path).await,
            None if signed && self.personalized(name) => self.signed(name).await,
            None => self.shipped(self.path(name)?).await,
        }
    }

    /// Cryptex images and the like go as they are.
    fn personalized(&self, name: &str) -> bool {
        self.identity.component(name).is_none_or(|c| c.flags.personalize != Some(false))
    }

    fn facts(&self) -> ModeFacts {
        let image4 = self.ticket.form == Form::Img4;
        ModeFacts { production: true, security_mode: true, image4, in_rom_dfu: None, demotion_policy: None }
    }

    async fn baseband(&self, request: &DataRequest) -> Result<Vec<u8>, Fault> {
        let file = self.shipped(self.path("BasebandFirmware")?).await?;
        let uuid = uuid::Uuid::new_v4().to_string().to_uppercase();
        let asked =
            Peripheral::Baseband.request(&self.identity, &request.arguments, &self.facts(), self.ecid.0, &uuid)?;
        let response = self.sign.sign(asked).await?;
        let told = request.arguments.get("ChipID").and_then(Value::as_unsigned_integer);
        let chip = told.or_else(|| number(self.identity.raw.get("BbChipID")?)).unwrap_or_default();
        tokio::task::spawn_blocking(move || baseband::signed(&file, &response, chip))
            .await
            .map_err(|e| Fault::new(Code::Internal, e.to_string()))?
    }

    /// A ticket for another chip, with its firmware where the chip wants it from us.
    async fn updater(&self, request: &DataRequest) -> Result<Dictionary, Fault> {
        let uuid = uuid::Uuid::new_v4().to_string().to_uppercase();
        let plan = updater::plan(&self.identity, &request.arguments, &self.facts(), self.ecid.0, &uuid)?;
        let mut firmware = None;
        if let Some(part) = &plan.part {
            let mut files = Vec::new();
            for name in part.components() {
                files.push(self.shipped(self.path(name)?).await?);
            }
            firmware = Some(part.make(&files)?);
        }
        let mut response = self.sign.sign(plan.request).await?;
        updater::has_ticket(&response, &plan.tickets)?;
        if let Some(firmware) = firmware {
            response.insert(updater::FIRMWARE_DATA.into(), firmware);
        }
        Ok(response)
    }

    async fn web(&self, request: &DataRequest) -> Result<Dictionary, Fault> {
        let text = |key: &str| request.arguments.get(key).and_then(Value::as_string);
        let url = text("RequestURL").unwrap_or_default();
        let posts = request.data_type == data::STREAMED_IMAGE_DECRYPTION_KEY;
        let method = text("RequestMethod").unwrap_or(if posts { "POST" } else { "GET" });
        let headers: Vec<(String, String)> = request
            .arguments
            .get("RequestAdditionalHeaders")
            .and_then(Value::as_dictionary)
            .into_iter()
            .flatten()
            .filter_map(|(k, v)| Some((k.clone(), v.as_string()?.to_owned())))
            .collect();
        let body = request.arguments.get("RequestBody").and_then(Value::as_data).unwrap_or_default().to_vec();
        let got = self.web.fetch(method, url, &headers, body).await?;
        let headers = got.headers.into_iter().map(|(k, v)| (k, Value::from(v)));
        Ok(Dictionary::from_iter([
            ("ResponseBody".to_owned(), Value::Data(got.body)),
            ("ResponseBodyDone".to_owned(), Value::Boolean(true)),
            ("ResponseHeaders".to_owned(), Value::Dictionary(headers.collect())),
            ("ResponseStatus".to_owned(), Value::from(u64::from(got.status))),
        ]))
    }
}

/// An answer is a property list, so its image is whole in memory; the largest are tens of megabytes.
async fn whole(reader: Box<dyn Read + Send>) -> Result<Vec<u8>, Fault> {
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        reader.take(MAX_IMAGE as u64).read_to_end(&mut bytes).map(|_| bytes)
    });
    read.await
        .map_err(|e| Fault::new(Code::Internal, e.to_string()))?
        .map_err(|e| Fault::new(Code::FirmwareDamaged, e.to_string()))
}

/// The words of one family of image requests.
struct Keys {
    list: &'static str,
    data: &'static str,
    flag: Option<&'static str>,
}

fn flagged(component: &Dictionary, flag: &str) -> bool {
    let info = component.get("Info").and_then(Value::as_dictionary);
    info.and_then(|i| i.get(flag)).and_then(Value::as_boolean) == Some(true)
}
