//! What the device asks for, and what it gets.
//!
//! A request names a data type; an answer is one dictionary, a file in pieces, or a stream. Everything
//! comes from the build identity, the IPSW and the ticket; other chips' tickets are asked for here. Images are
//! in `answer_images`, what concerns the recovery system in `answer_recovery`. A type that nobody here knows,
//! or that this firmware has nothing for, gets an explicit empty answer, and the person is told: silence
//! would make the device wait for ever. Which types are answered is one list ([`Supplies::answers`]), and
//! nothing else is advertised but words that a device demands without asking for them.

use super::answer_images::{self as images, Side};
use super::answer_recovery::{self as recovery, RecoveryTicket};
use super::large::Images;
use super::personalize::{Components, Slots, Source};
use super::ticket::{Sign, Ticket};
use super::updater;
use crate::fault::{Code, Fault};
use crate::firmware::{RootImage, baseband};
use crate::ids::Ecid;
use crate::wire::img4::MAX_IMAGE;
use crate::wire::manifest::xml::number;
use crate::wire::manifest::{BuildIdentity, ModeFacts};
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
    /// Of the recovery system; asked for by [`Supplies::prepare`].
    pub recovery: RecoveryTicket,
    pub slots: Slots,
    pub sign: Arc<dyn Sign>,
    pub web: Arc<dyn Web>,
}

pub enum Answer {
    One(Dictionary),
    /// A dictionary with images in it, which are read as they go.
    Images(Images),
    /// FileData pieces and FileDataDone, of a file that is read as it goes.
    Pieces(Source),
    /// The bytes themselves and the end of the connection; only on a data port.
    Bytes(Vec<u8>),
    /// The main system, served by [`super::asr`].
    Image,
    /// Another image, served the same way.
    OtherImage(RootImage),
    /// The device sends something for us to keep.
    Take,
    /// Empty, since the type is not known or there is nothing for it.
    Unknown,
}

pub(super) fn one(key: &str, value: impl Into<Value>) -> Answer {
    Answer::One(Dictionary::from_iter([(key.to_owned(), value.into())]))
}

/// Types that every firmware has an answer for.
pub(super) const ANSWERED: &[&str] = &[
    data::BASEBAND_DATA,
    data::BASEBAND_UPDATER_OUTPUT_DATA,
    data::BUILD_IDENTITY_DICT,
    data::BUILD_IDENTITY_DICT_V2,
    data::DEVICE_RESTORE_INFO_PREFLIGHT,
    data::DEVICE_TREE,
    data::EAN_DATA,
    data::FDR_TRUST_DATA,
    data::FIRMWARE_UPDATER_DATA,
    data::FIRMWARE_UPDATER_DATA_V2,
    data::FIRMWARE_UPDATER_DATA_V3,
    data::FIRMWARE_UPDATER_PREFLIGHT,
    data::FUD_DATA,
    data::HOST_SYSTEM_TIME,
    data::KERNEL_CACHE,
    data::NOR_DATA,
    data::PERSONALIZED_BOOT_OBJECT_V3,
    data::PERSONALIZED_DATA,
    data::RECEIPT_MANIFEST,
    data::ROOT_TICKET,
    data::SOURCE_BOOT_OBJECT_V3,
    data::SOURCE_BOOT_OBJECT_V4,
    data::SOURCE_BOOT_OBJECT_V5,
    data::STREAMED_IMAGE_DECRYPTION_KEY,
    data::SYSTEM_IMAGE_CANONICAL_METADATA,
    data::SYSTEM_IMAGE_DATA,
    data::SYSTEM_IMAGE_ROOT_HASH,
    data::URL_ASSET,
];

impl Supplies {
    /// Has this request an answer? If not, [`Supplies::answer`] gives [`Answer::Unknown`].
    pub fn answers(&self, request: &DataRequest) -> bool {
        match request.data_type.as_str() {
            data::BOOTABILITY_BUNDLE | data::BOOTABILITY_BUNDLE_V2 => {
                request.port.is_some() && !images::bootability(self.components.as_ref()).is_empty()
            }
            kind if recovery::TYPES.contains(&kind) => self.identity.recovery.is_some(),
            kind => ANSWERED.contains(&kind),
        }
    }

    /// The answer to one request.
    ///
    /// # Errors
    /// A component that is missing or wrong, or a ticket that Apple refuses.
    pub async fn answer(&self, request: &DataRequest) -> Result<Answer, Fault> {
        if !self.answers(request) {
            return Ok(Answer::Unknown);
        }
        let kind = request.data_type.as_str();
        if recovery::TYPES.contains(&kind) {
            return self.for_recovery(request).await;
        }
        let main = self.main();
        Ok(match kind {
            data::SYSTEM_IMAGE_DATA => Answer::Image,
            data::ROOT_TICKET => one("RootTicketData", Value::Data(self.ticket.der.clone())),
            data::KERNEL_CACHE => main.image("KernelCacheFile", "KernelCache").await?,
            data::DEVICE_TREE => main.image("DeviceTreeFile", "DeviceTree").await?,
            data::SYSTEM_IMAGE_ROOT_HASH => main.image("SystemImageRootHashFile", "SystemVolume").await?,
            data::SYSTEM_IMAGE_CANONICAL_METADATA => {
                main.image("SystemImageCanonicalMetadataFile", "Ap,SystemVolumeCanonicalMetadata").await?
            }
            data::NOR_DATA => Answer::Images(images::nor(&main, request).await?),
            data::BUILD_IDENTITY_DICT | data::BUILD_IDENTITY_DICT_V2 => Answer::One(self.identity_dict(request)?),
            data::FDR_TRUST_DATA | data::FIRMWARE_UPDATER_PREFLIGHT | data::DEVICE_RESTORE_INFO_PREFLIGHT => {
                Answer::One(Dictionary::new())
            }
            data::FUD_DATA => Answer::Images(images::list(&main, request, &images::FUD).await?),
            data::PERSONALIZED_DATA => Answer::Images(images::list(&main, request, &images::PERSONALIZED).await?),
            data::EAN_DATA => Answer::Images(images::list(&main, request, &images::EAN).await?),
            data::PERSONALIZED_BOOT_OBJECT_V3 => {
                Answer::Pieces(images::boot_object(&self.side(request)?, request, true).await?)
            }
            data::SOURCE_BOOT_OBJECT_V3 | data::SOURCE_BOOT_OBJECT_V4 | data::SOURCE_BOOT_OBJECT_V5 => {
                Answer::Pieces(images::boot_object(&self.side(request)?, request, false).await?)
            }
            data::BOOTABILITY_BUNDLE | data::BOOTABILITY_BUNDLE_V2 => {
                Answer::Bytes(images::bootability_archive(&main).await?)
            }
            data::RECEIPT_MANIFEST => {
                let manifest = self.identity.raw.get("Manifest").cloned();
                one("ReceiptManifest", manifest.unwrap_or(Value::Dictionary(Dictionary::new())))
            }
            data::BASEBAND_DATA => one("BasebandData", Value::Data(self.baseband(request).await?)),
            data::FIRMWARE_UPDATER_DATA | data::FIRMWARE_UPDATER_DATA_V2 | data::FIRMWARE_UPDATER_DATA_V3 => {
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

    /// The main system.
    pub(super) fn main(&self) -> Side<'_> {
        let (identity, components) = (&self.identity, &self.components);
        Side { identity, components, ticket: &self.ticket, slots: self.slots }
    }

    /// The system that a request is about.
    fn side(&self, request: &DataRequest) -> Result<Side<'_>, Fault> {
        if recovery::is_meant(request) { self.recovery_side() } else { Ok(self.main()) }
    }

    async fn shipped(&self, path: &str) -> Result<Vec<u8>, Fault> {
        whole(path, images::open(&self.components, path).await?).await
    }

    fn path(&self, name: &str) -> Result<&str, Fault> {
        images::path(&self.identity, name)
    }

    fn identity_dict(&self, request: &DataRequest) -> Result<Dictionary, Fault> {
        let identity = self.side(request)?.identity;
        let behaviour = self.identity.info().get("RestoreBehavior").and_then(Value::as_string).unwrap_or("Erase");
        Ok(Dictionary::from_iter([
            ("BuildIdentityDict".to_owned(), Value::Dictionary(identity.raw.clone())),
            ("Variant".to_owned(), Value::from(behaviour)),
        ]))
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
///
/// # Errors
/// `firmware-damaged` when the file is not as long as was said, or longer than any image.
pub(super) async fn whole(name: &str, source: Source) -> Result<Vec<u8>, Fault> {
    let damaged = |why: String| Fault::new(Code::FirmwareDamaged, format!("{name}: {why}"));
    if source.length > MAX_IMAGE as u64 {
        return Err(damaged(format!("{} bytes are more than any component has", source.length)));
    }
    let length = source.length;
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        source.reader.take(length.saturating_add(1)).read_to_end(&mut bytes).map(|_| bytes)
    });
    let bytes =
        read.await.map_err(|e| Fault::new(Code::Internal, e.to_string()))?.map_err(|e| damaged(e.to_string()))?;
    match bytes.len() as u64 == length {
        true => Ok(bytes),
        false => Err(damaged(format!("{} of {length} bytes are there", bytes.len()))),
    }
}
