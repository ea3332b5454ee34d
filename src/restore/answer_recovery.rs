//! The recovery system that is installed beside the main one, from the iPhone 16 on.
//!
//! It is an identity of its own in the manifest (`Info.RecoveryVariant` names it), with a ticket of its own for
//! the same nonce. The ticket is asked for before the restore begins, so that a refusal is heard while
//! nothing is erased yet. What the device asks for:
//! - `RecoveryOSRootTicketData`: both tools that restore these phones answer under the key of the main ticket.
//! - `RecoveryOSFileAssetImage`: one component, named by `FWOverrideKey` as `RecoveryOS` and its name.
//! - `RecoveryOSIBootFWFilesImages`: all that its iBoot loads.
//! - `RecoveryOSImage` in pieces, `RecoveryOSASRImage` over ASR: its own root image, as shipped.
//! - `RecoveryOSVersionData`: what it is, as a property list inside the property list.
//!
//! A component that its identity does not have is answered with `RecoveryOSNoAssetFound`, which the device
//! takes. Local policies (`RecoveryOSLocalPolicy`, `RestoreLocalPolicy`, `Cryptex1LocalPolicy`) are a Mac's:
//! how a phone would want them answered nobody has seen, so they are refused and not advertised. The same
//! for the parts as types of their own (`RecoveryOSKernelCache` and so on): those are only answered as keys.

use super::answer::{Answer, Supplies, one};
use super::answer_images::{Side, open, path};
use super::personalize;
use super::ticket::{self, Ticket};
use crate::fault::{Code, Fault};
use crate::wire::manifest::BuildIdentity;
use crate::wire::restored::DataRequest;
use crate::wire::restored::names::data;
use crate::wire::restored::options::RecoverySystem;
use crate::wire::tss::ApRequest;
use plist::{Dictionary, Value};
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

/// What is answered where the firmware has a recovery system.
pub(super) const TYPES: &[&str] = &[
    data::RECOVERY_OS_ASR_IMAGE,
    data::RECOVERY_OS_FILE_ASSET_IMAGE,
    data::RECOVERY_OS_IBOOT_FW_FILES_IMAGES,
    data::RECOVERY_OS_IMAGE,
    data::RECOVERY_OS_ROOT_TICKET_DATA,
    data::RECOVERY_OS_VERSION_DATA,
];

/// Beside what iBoot loads: components that go onto its volume.
const ON_ITS_VOLUME: &[&str] = &[
    "OS",
    "KernelCache",
    "DeviceTree",
    "iBEC",
    "AppleLogo",
    "StaticTrustCache",
    "iBootData",
    "Diags",
    "Ap,SystemVolumeCanonicalMetadata",
    "SystemVolume",
    "BaseSystemVolume",
    "Ap,BaseSystemTrustCache",
    "AVISP1,RTKitOS",
];

/// The second ticket, once it was asked for.
#[derive(Default)]
pub struct RecoveryTicket(OnceLock<Arc<Ticket>>);

/// Is a request about the recovery system?
pub(super) fn is_meant(request: &DataRequest) -> bool {
    request.arguments.get("IsRecoveryOS").and_then(Value::as_boolean) == Some(true)
}

fn nothing() -> Dictionary {
    Dictionary::from_iter([("RecoveryOSNoAssetFound".to_owned(), Value::Boolean(true))])
}

fn images(value: impl Into<Value>) -> Dictionary {
    Dictionary::from_iter([("AdditionalBootImages".to_owned(), value.into())])
}

impl Supplies {
    /// Asks for what must be there before the restore begins: the ticket of the recovery system, if there is
    /// one to install. Gives what it adds to the options.
    ///
    /// # Errors
    /// What [`super::ticket::Sign`] gives; `tss-invalid-answer` for a ticket of another device or nonce;
    /// `firmware-damaged` when the manifest names a recovery system that is not there.
    pub async fn prepare(&self) -> Result<Option<RecoverySystem>, Fault> {
        if self.identity.lacks_recovery() {
            return Err(Fault::new(Code::FirmwareDamaged, "the manifest lacks the recovery system that it names"));
        }
        let Some(identity) = &self.identity.recovery else { return Ok(None) };
        if self.recovery.0.get().is_none() {
            let ticket = self.recovery_ticket(identity).await?;
            let _ = self.recovery.0.set(Arc::new(ticket));
        }
        Ok(Some(RecoverySystem { variant: identity.variant.clone(), bytes: self.size_of(identity) }))
    }

    async fn recovery_ticket(&self, identity: &BuildIdentity) -> Result<Ticket, Fault> {
        let main = &self.ticket;
        let ask = ApRequest {
            form: main.form,
            ecid: self.ecid.0,
            ap_nonce: Some(main.ap_nonce.clone()),
            sep_nonce: main.sep_nonce.clone(),
            production: true,
            security_mode: true,
            in_rom_dfu: Some(false),
            uuid: uuid::Uuid::new_v4().to_string().to_uppercase(),
        };
        let response = self.sign.sign(ask.build(identity)).await?;
        let der = ticket::check(&response, self.ecid, &main.ap_nonce)?;
        Ok(Ticket {
            form: main.form,
            der,
            response,
            ap_nonce: main.ap_nonce.clone(),
            sep_nonce: main.sep_nonce.clone(),
        })
    }

    /// Bytes of all files that go onto the volume of the recovery system.
    fn size_of(&self, identity: &BuildIdentity) -> u64 {
        let loaded = |name: &str| identity.component(name).is_some_and(|c| c.flags.loaded_by_iboot);
        let named = |name: &str| ON_ITS_VOLUME.contains(&name) || loaded(name);
        let sizes = identity.components.iter().filter(|(name, _)| named(name)).filter_map(|(_, component)| {
            let path = component.path.as_deref()?;
            self.components.size(path)
        });
        sizes.fold(0, u64::saturating_add)
    }

    pub(super) fn recovery_side(&self) -> Result<Side<'_>, Fault> {
        let none = || Fault::new(Code::FirmwareDamaged, "the firmware has no recovery system for this device");
        let identity = self.identity.recovery.as_ref().ok_or_else(none)?;
        let unasked = || Fault::new(Code::Internal, "the ticket of the recovery system was not asked for");
        let ticket = self.recovery.0.get().ok_or_else(unasked)?;
        Ok(Side { identity, components: &self.components, ticket, slots: self.slots })
    }

    pub(super) async fn for_recovery(&self, request: &DataRequest) -> Result<Answer, Fault> {
        let side = self.recovery_side()?;
        Ok(match request.data_type.as_str() {
            data::RECOVERY_OS_ROOT_TICKET_DATA => one("RootTicketData", Value::Data(side.ticket.der.clone())),
            data::RECOVERY_OS_FILE_ASSET_IMAGE => Answer::One(asset(&side, request).await?),
            data::RECOVERY_OS_IBOOT_FW_FILES_IMAGES => Answer::One(loaded_by_iboot(&side).await?),
            data::RECOVERY_OS_IMAGE => Answer::Pieces(open(side.components, path(side.identity, "OS")?).await?),
            data::RECOVERY_OS_ASR_IMAGE => {
                let (components, path) = (Arc::clone(side.components), path(side.identity, "OS")?.to_owned());
                let opened = tokio::task::spawn_blocking(move || components.image(&path));
                Answer::OtherImage(opened.await.map_err(|e| Fault::new(Code::Internal, e.to_string()))??)
            }
            data::RECOVERY_OS_VERSION_DATA => one("RecoveryOSVersionData", Value::Data(version(side.identity)?)),
            _ => Answer::Unknown,
        })
    }
}

/// One component, by `FWOverrideKey`. Case does not matter: the words of the tables write `IBEC`.
async fn asset(side: &Side<'_>, request: &DataRequest) -> Result<Dictionary, Fault> {
    let key = request.arguments.get("FWOverrideKey").and_then(Value::as_string).unwrap_or_default();
    let Some(wanted) = key.strip_prefix("RecoveryOS") else { return Ok(nothing()) };
    let exact = side.identity.component(wanted).map(|_| wanted);
    let alike = || side.identity.components.keys().map(String::as_str).find(|name| name.eq_ignore_ascii_case(wanted));
    match exact.or_else(alike).filter(|name| personalize::has(side.identity, name)) {
        Some(name) => Ok(images(Value::Data(side.signed(name).await?))),
        None => Ok(nothing()),
    }
}

async fn loaded_by_iboot(side: &Side<'_>) -> Result<Dictionary, Fault> {
    let components = side.identity.components.iter();
    let loaded = components.filter(|(_, c)| c.flags.loaded_by_iboot || c.flags.loaded_by_iboot_stage1);
    let names: BTreeSet<&String> = loaded.filter(|(_, c)| c.path.is_some()).map(|(name, _)| name).collect();
    let mut all = Dictionary::new();
    for name in names {
        all.insert(name.clone(), Value::Data(side.signed(name).await?));
    }
    Ok(if all.is_empty() { nothing() } else { images(all) })
}

/// The property list that describes the system.
fn version(identity: &BuildIdentity) -> Result<Vec<u8>, Fault> {
    let info = identity.info();
    let rows = [
        ("BuildNumber", "BuildNumber"),
        ("Variant", "Variant"),
        ("BuildTrain", "BuildTrain"),
        ("ProductVersion", "ProductMarketingVersion"),
    ];
    let rows = rows.into_iter().filter_map(|(key, from)| Some((key.to_owned(), info.get(from)?.clone())));
    let mut xml = Vec::new();
    let written = Value::Dictionary(rows.collect()).to_writer_xml(&mut xml);
    written.map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    Ok(xml)
}
