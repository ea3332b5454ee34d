//! A component as the device takes it: the file of the IPSW with the ticket around it.
//!
//! The file goes as shipped; only its fourcc changes where the restore variant of a part shares its file
//! with the installed one. Before it is used its digest is compared with the manifest's: a device would
//! refuse a wrong file without saying why. Properties that the host adds (IM4R) are those that Apple's
//! answer brings for a component (`<component>-TBM`) and, where the identity asks for it, the nonce slots.

use super::ticket::Ticket;
use crate::fault::{Code, Fault};
use crate::ids::BuildId;
use crate::wire::img4::{self, Algorithm, Im4p, Property};
use crate::wire::manifest::{BuildIdentity, Component};
use plist::{Dictionary, Value};
use std::sync::Arc;

/// Where the files of the firmware come from (an opened IPSW). Calls block.
pub trait Components: Send + Sync {
    /// The whole file.
    ///
    /// # Errors
    /// `firmware-damaged` when it is missing or broken.
    fn read(&self, path: &str) -> Result<Vec<u8>, Fault>;

    /// Its size in bytes, where that is known without reading it.
    fn size(&self, _path: &str) -> Option<u64> {
        None
    }
}

/// Nonce slots when the device does not name others.
const SEP_SLOT: u64 = 2;
const AP_SLOT: u64 = 0;

fn missing(name: &str) -> Fault {
    Fault::new(Code::FirmwareDamaged, format!("the firmware has no {name} for this device"))
}

fn entry<'a>(identity: &'a BuildIdentity, name: &str) -> Result<(&'a Component, &'a str), Fault> {
    let component = identity.component(name).ok_or_else(|| missing(name))?;
    let path = component.path.as_deref().ok_or_else(|| missing(name))?;
    Ok((component, path))
}

pub fn has(identity: &BuildIdentity, name: &str) -> bool {
    entry(identity, name).is_ok()
}

/// Components that iBoot loads with `firmware`, in the manifest's order.
pub fn loaded_by_iboot(identity: &BuildIdentity) -> Vec<String> {
    identity.loaded_by_iboot().filter(|(_, c)| c.path.is_some()).map(|(name, _)| name.to_owned()).collect()
}

pub fn size(identity: &BuildIdentity, components: &Arc<dyn Components>, name: &str) -> Option<u64> {
    components.size(identity.path(name)?)
}

/// The build's train, e.g. 20 for iOS 16.
pub fn train(identity: &BuildIdentity) -> Option<u32> {
    let build: BuildId = identity.info().get("BuildNumber")?.as_string()?.parse().ok()?;
    Some(build.train)
}

async fn read(components: &Arc<dyn Components>, path: &str) -> Result<Vec<u8>, Fault> {
    let (components, path) = (Arc::clone(components), path.to_owned());
    tokio::task::spawn_blocking(move || components.read(&path))
        .await
        .map_err(|e| Fault::new(Code::Internal, e.to_string()))?
}

/// A component ready to be sent.
#[derive(Debug)]
pub struct Personalised {
    /// IMG4, DER.
    pub image: Vec<u8>,
    /// The iBoot version that the file carries, e.g. `iBoot-8422.142.2`; none where it carries another text.
    pub version: Option<String>,
}

/// Reads component `name`, checks it and puts the ticket around it, on a blocking thread.
///
/// # Errors
/// `firmware-damaged` when it is missing or no IM4P, `firmware-digest` when it is not what the manifest says.
pub async fn component(
    identity: &BuildIdentity,
    components: &Arc<dyn Components>,
    ticket: &Arc<Ticket>,
    name: &str,
) -> Result<Personalised, Fault> {
    let (component, path) = entry(identity, name)?;
    let im4p = read(components, path).await?;
    let im4r = properties(identity, ticket, name);
    let (name, ticket) = (name.to_owned(), Arc::clone(ticket));
    let (digest, fourcc) = (component.digest.clone(), fourcc(component, &name));
    tokio::task::spawn_blocking(move || {
        check(&name, &im4p, fourcc, digest.as_deref())?;
        let version = Im4p::parse(&im4p).ok().map(|p| p.version.to_owned()).filter(|v| v.starts_with("iBoot-"));
        Ok(Personalised { image: stitch(&name, &im4p, fourcc, &ticket.im4m, &im4r)?, version })
    })
    .await
    .map_err(|e| Fault::new(Code::Internal, e.to_string()))?
}

/// The fourcc that the component is sent with, where it differs from the file's.
pub fn fourcc(component: &Component, name: &str) -> Option<[u8; 4]> {
    component.payload_type.or_else(|| img4::restore_fourcc(name))
}

/// IMG4 of one component whose file is at hand.
///
/// # Errors
/// `firmware-damaged` when the file is no IM4P.
pub fn stitch(
    name: &str,
    im4p: &[u8],
    fourcc: Option<[u8; 4]>,
    im4m: &[u8],
    properties: &[([u8; 4], Property)],
) -> Result<Vec<u8>, Fault> {
    let im4r = (!properties.is_empty()).then(|| img4::im4r(properties));
    img4::stitch(im4p, fourcc, im4m, im4r.as_deref())
        .map_err(|err| Fault::new(Code::FirmwareDamaged, format!("{name}: {err}")))
}

fn check(name: &str, im4p: &[u8], fourcc: Option<[u8; 4]>, digest: Option<&[u8]>) -> Result<(), Fault> {
    let Some((wanted, algorithm)) = digest.and_then(|d| Some((d, Algorithm::by_length(d.len())?))) else {
        return Ok(());
    };
    let found = img4::digest_with_fourcc(im4p, fourcc, algorithm)
        .map_err(|err| Fault::new(Code::FirmwareDamaged, format!("{name}: {err}")))?;
    if found != wanted {
        return Err(Fault::new(Code::FirmwareDigest, format!("{name} is not the file that the manifest names")));
    }
    Ok(())
}

/// What the host adds to a component.
pub fn properties(identity: &BuildIdentity, ticket: &Ticket, name: &str) -> Vec<([u8; 4], Property)> {
    let mut list = Vec::new();
    let tbm = ticket.response.get(&format!("{name}-TBM")).and_then(Value::as_dictionary);
    for key in ["ucon", "ucer"] {
        let bytes = tbm.and_then(|t: &Dictionary| t.get(key)).and_then(Value::as_data);
        if let (Some(bytes), Ok(fourcc)) = (bytes, key.as_bytes().try_into()) {
            list.push((fourcc, Property::Bytes(bytes.to_vec())));
        }
    }
    if identity.info().get("RequiresNonceSlot").and_then(Value::as_boolean) == Some(true) {
        match name {
            "SEP" | "SepStage1" => list.push((*b"snid", Property::Int(SEP_SLOT))),
            "LLB" => list.push((*b"anid", Property::Int(AP_SLOT))),
            _ => {}
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::super::rig::dict;
    use super::*;

    fn identity(slots: bool) -> BuildIdentity {
        BuildIdentity {
            cpid: crate::ids::Cpid(0x8140),
            bdid: crate::ids::Bdid(4),
            security_domain: Some(1),
            unique_build_id: vec![],
            device_class: "d47ap".into(),
            variant: String::new(),
            behaviour: None,
            components: Default::default(),
            raw: dict([(
                "Info",
                dict([("RequiresNonceSlot", Value::Boolean(slots)), ("BuildNumber", Value::String("22A3354".into()))])
                    .into(),
            )]),
        }
    }

    fn ticket() -> Ticket {
        let tbm = dict([("ucon", Value::Data(vec![1; 8])), ("ucer", Value::Data(vec![2; 9]))]);
        let response = dict([("RestoreSEP-TBM", tbm.into())]);
        Ticket { im4m: vec![0x30, 0], response, ap_nonce: vec![1; 32], sep_nonce: None }
    }

    #[test]
    fn the_host_adds_what_apple_and_the_identity_say() {
        let of = |slots, name| properties(&identity(slots), &ticket(), name);
        let tbm = [(*b"ucon", Property::Bytes(vec![1; 8])), (*b"ucer", Property::Bytes(vec![2; 9]))];
        assert_eq!(of(false, "RestoreSEP"), tbm);
        assert_eq!(of(true, "SEP"), [(*b"snid", Property::Int(2))]);
        assert_eq!(of(true, "LLB"), [(*b"anid", Property::Int(0))]);
        assert_eq!(of(false, "SEP"), []);
        assert_eq!(of(true, "iBEC"), []);
        assert_eq!(train(&identity(true)), Some(22));
    }

    #[test]
    fn the_properties_end_in_the_container() {
        let im4p = Im4p::build(*b"sepi", "", &[5; 300], None);
        let list = properties(&identity(false), &ticket(), "RestoreSEP");
        let img4 = stitch("RestoreSEP", &im4p, Some(*b"rsep"), &[0x30, 0], &list).unwrap();
        let parsed = img4::Img4::parse(&img4).unwrap();
        assert_eq!(parsed.im4p.fourcc, *b"rsep");
        assert_eq!(parsed.im4r, Some(&img4::im4r(&list)[..]));
        let bare = stitch("iBEC", &im4p, None, &[0x30, 0], &[]).unwrap();
        assert!(img4::Img4::parse(&bare).unwrap().im4r.is_none());
    }

    #[test]
    fn a_file_must_be_the_one_of_the_manifest() {
        let im4p = Im4p::build(*b"krnl", "", &[5; 300], None);
        let digest = img4::digest_with_fourcc(&im4p, Some(*b"rkrn"), Algorithm::Sha384).unwrap();
        check("k", &im4p, Some(*b"rkrn"), Some(&digest)).unwrap();
        check("k", &im4p, None, None).unwrap();
        assert_eq!(check("k", &im4p, None, Some(&digest)).unwrap_err().code, Code::FirmwareDigest);
        assert_eq!(check("k", b"junk", None, Some(&digest)).unwrap_err().code, Code::FirmwareDamaged);
    }
}
