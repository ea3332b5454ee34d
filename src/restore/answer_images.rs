//! Images of a system as answers: signed ones, lists of them, files as they are shipped.
//!
//! A firmware has one system, or two since the iPhone 16: a [`Side`] is an identity with the ticket for it.
//! Nothing is whole in memory: a cryptex has gigabytes, and of boot firmware there is a copy for each device.

use super::answer::{Answer, whole};
use super::cpio;
use super::large::{self, Images};
use super::personalize::{self, Components, Listed, Slots, Source};
use super::ticket::Ticket;
use crate::fault::{Code, Fault};
use crate::wire::manifest::{BuildIdentity, Flags};
use crate::wire::restored::DataRequest;
use plist::{Dictionary, Value};
use std::sync::Arc;

/// One system of the firmware, and the ticket for it.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub identity: &'a Arc<BuildIdentity>,
    pub components: &'a Arc<dyn Components>,
    pub ticket: &'a Arc<Ticket>,
    pub slots: Slots,
}

/// The words of one family of image requests.
pub(super) struct Keys {
    list: &'static str,
    data: &'static str,
    flag: Option<&'static str>,
}

pub(super) const FUD: Keys = Keys { list: "FUDImageList", data: "FUDImageData", flag: Some("IsFUDFirmware") };
pub(super) const PERSONALIZED: Keys = Keys { list: "ImageList", data: "ImageData", flag: None };
pub(super) const EAN: Keys = Keys { list: "EANImageList", data: "EANData", flag: Some("IsEarlyAccessFirmware") };

/// Of a Mac's firmware: what its boot picker needs to know of the system.
const BUNDLE: &str = "BootabilityBundle/Restore/Bootability/";
const BUNDLE_CACHE: &str = "BootabilityBundle/Restore/Firmware/Bootability.dmg.trustcache";
/// Of a whole bundle, in bytes; a real one has a few megabytes.
const BUNDLE_CAP: u64 = 256 << 20;

pub(super) async fn open(components: &Arc<dyn Components>, path: &str) -> Result<Source, Fault> {
    let (components, path) = (Arc::clone(components), path.to_owned());
    tokio::task::spawn_blocking(move || components.open(&path))
        .await
        .map_err(|e| Fault::new(Code::Internal, e.to_string()))?
}

pub(super) fn path<'a>(identity: &'a BuildIdentity, name: &str) -> Result<&'a str, Fault> {
    let missing = || Fault::new(Code::FirmwareDamaged, format!("the firmware has no {name} for this device"));
    identity.path(name).ok_or_else(missing)
}

impl Side<'_> {
    async fn signed_source(&self, name: &str) -> Result<Source, Fault> {
        let made = personalize::component_in(self.identity, self.components, self.ticket, self.slots, name).await?;
        Ok(Source { length: made.length, reader: made.image })
    }

    /// Its place in an answer.
    async fn place(&self, name: &str) -> Result<Images, Fault> {
        Ok(large::image(self.signed_source(name).await?))
    }

    /// An answer with one signed component.
    pub async fn image(&self, key: &str, name: &str) -> Result<Answer, Fault> {
        Ok(Answer::Images(large::one(key, self.signed_source(name).await?)))
    }

    pub async fn signed(&self, name: &str) -> Result<Vec<u8>, Fault> {
        whole(name, self.signed_source(name).await?).await
    }

    /// Cryptex images and the like go as they are.
    fn personalized(&self, name: &str) -> bool {
        self.identity.component(name).is_none_or(|c| c.flags.personalize != Some(false))
    }
}

/// Boot firmware for the NOR (or what stands in for one): LLB, iBoot first, the rest, and the SEP.
pub(super) async fn nor(side: &Side<'_>, request: &DataRequest) -> Result<Images, Fault> {
    // Hosts of the field look whether the key is there, not what it says.
    let by_name = request.arguments.get("FlashVersion1").is_some_and(|v| v.as_boolean() != Some(false));
    let payload = |f: &Flags| f.firmware_payload || f.secondary_firmware_payload;
    let mut answer = Vec::new();
    let mut images = Vec::new();
    for (name, component) in &side.identity.components {
        if component.path.is_none() || !payload(&component.flags) {
            continue;
        }
        match name.as_str() {
            "RestoreSEP" | "SEP" | "SepStage1" => {}
            "LLB" => answer.push(("LlbImageData".to_owned(), side.place(name).await?)),
            _ => images.push((name.clone(), side.place(name).await?)),
        }
    }
    let images = if by_name {
        Images::Dictionary(images)
    } else {
        images.sort_by_key(|(name, _)| name != "iBoot");
        Images::Array(images.into_iter().map(|(_, image)| image).collect())
    };
    answer.push(("NorImageData".to_owned(), images));
    for (key, name) in
        [("RestoreSEPImageData", "RestoreSEP"), ("SEPImageData", "SEP"), ("SEPPatchImageData", "SepStage1")]
    {
        if personalize::has(side.identity, name) {
            answer.push((key.to_owned(), side.place(name).await?));
        }
    }
    Ok(Images::Dictionary(answer))
}

/// A list of names, one image, or all images of a kind.
pub(super) async fn list(side: &Side<'_>, request: &DataRequest, keys: &Keys) -> Result<Images, Fault> {
    let wanted = request.arguments.get("ImageType").and_then(Value::as_string).or(keys.flag);
    let names: Vec<&String> = side
        .identity
        .components
        .iter()
        .filter(|(_, c)| c.path.is_some() && wanted.is_some_and(|flag| flagged(&c.raw, flag)))
        .map(|(name, _)| name)
        .collect();
    let mut answer = Vec::new();
    if request.arguments.get(keys.list).and_then(Value::as_boolean) == Some(true) {
        let list = names.into_iter().map(|name| Images::Text(name.clone())).collect();
        answer.push((keys.list.to_owned(), Images::Array(list)));
    } else if let Some(name) = request.image_name() {
        answer.push((keys.data.to_owned(), side.place(name).await?));
        answer.push(("ImageName".to_owned(), Images::Text(name.to_owned())));
    } else {
        let mut all = Vec::new();
        for name in names {
            all.push((name.clone(), side.place(name).await?));
        }
        answer.push((keys.data.to_owned(), Images::Dictionary(all)));
    }
    Ok(Images::Dictionary(answer))
}

fn flagged(component: &Dictionary, flag: &str) -> bool {
    let info = component.get("Info").and_then(Value::as_dictionary);
    info.and_then(|i| i.get(flag)).and_then(Value::as_boolean) == Some(true)
}

/// A component by its name, or one of three files that belong to none.
pub(super) async fn boot_object(side: &Side<'_>, request: &DataRequest, signed: bool) -> Result<Source, Fault> {
    let name = request.image_name().unwrap_or_default();
    let file = match name {
        "__GlobalManifest__" => Some("BuildManifest.plist"),
        "__RestoreVersion__" => Some("RestoreVersion.plist"),
        "__SystemVersion__" => Some("SystemVersion.plist"),
        _ => None,
    };
    match file {
        Some(path) => open(side.components, path).await,
        None if signed && side.personalized(name) => side.signed_source(name).await,
        None => open(side.components, path(side.identity, name)?).await,
    }
}

/// The files of the firmware's bootability bundle, and what they are called in its archive.
pub(super) fn bootability(components: &dyn Components) -> Vec<(Listed, String)> {
    let inside = |file: Listed| {
        let name = file.path.strip_prefix(BUNDLE)?.trim_end_matches('/').to_owned();
        (!name.is_empty()).then_some((file, name))
    };
    let mut all: Vec<_> = components.listed(BUNDLE).into_iter().filter_map(inside).collect();
    let cache = components.listed(BUNDLE_CACHE).into_iter().find(|file| file.path == BUNDLE_CACHE);
    all.extend(cache.map(|file| (file, "Bootability.trustcache".to_owned())));
    all
}

/// The bundle as the device takes it: a cpio archive. Version 2 of the request is answered alike: restores of
/// Macs with macOS 27 went well so.
pub(super) async fn bootability_archive(side: &Side<'_>) -> Result<Vec<u8>, Fault> {
    let mut archive = cpio::Archive::default();
    for (file, name) in bootability(side.components.as_ref()) {
        if file.path.ends_with('/') {
            archive.folder(&name);
            continue;
        }
        let source = open(side.components, &file.path).await?;
        if archive.length() + source.length > BUNDLE_CAP {
            return Err(Fault::new(Code::FirmwareDamaged, "a bootability bundle larger than any"));
        }
        let bytes = whole(&file.path, source).await?;
        archive.file(&name, file.mode, &bytes);
    }
    Ok(archive.end())
}
