//! BuildManifest.plist and Restore.plist: what an IPSW holds, and for whom.
//!
//! A manifest has one build identity per board and variant. Decisions:
//! - Chip **and** board decide, never the product type: iPhone8,1 exists with two chips.
//! - The variant is compared whole. Research variants stand in the same file and share most of their name.
//! - The raw dictionaries are kept: TSS requests copy keys out of them that no table here has heard of.

mod component;
mod restore_plist;
pub(crate) mod xml;

pub use component::{Component, Flags, ModeFacts, Rule};
pub use restore_plist::{BoardRow, RestorePlist};

use super::WireError;
use crate::ids::{Bdid, BuildId, Cpid, ProductType, Version};
use plist::{Dictionary, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

const WHAT: &str = "BuildManifest";
/// The largest seen is 1 MB.
pub const MAX_MANIFEST: usize = 64 << 20;
pub const MAX_IDENTITIES: usize = 512;
const MAX_COMPONENTS: usize = 4096;

/// Keep the data, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Behaviour {
    Erase,
    Update,
}

impl Behaviour {
    /// The variant that customers' devices are restored with.
    pub fn variant(self) -> &'static str {
        match self {
            Behaviour::Erase => "Customer Erase Install (IPSW)",
            Behaviour::Update => "Customer Upgrade Install (IPSW)",
        }
    }

    /// As `Info.RestoreBehavior` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Behaviour::Erase => "Erase",
            Behaviour::Update => "Update",
        }
    }
}

#[derive(Clone, Debug)]
pub struct BuildManifest {
    pub build: BuildId,
    pub version: Option<Version>,
    pub supported_products: Vec<ProductType>,
    pub identities: Vec<BuildIdentity>,
}

/// Why no identity was chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoIdentity {
    #[error("this firmware is for other devices: none of its {identities} identities has chip {cpid} and board {bdid}")]
    OtherDevice { cpid: Cpid, bdid: Bdid, identities: usize },
    #[error("this firmware has no {wanted:?} for this board, only {found:?}")]
    NoVariant { wanted: &'static str, found: Vec<String> },
    #[error("this firmware has {count} identities that fit equally well")]
    Ambiguous { count: usize },
}

impl BuildManifest {
    /// # Errors
    /// When the bytes are no XML property list, exceed [`MAX_MANIFEST`], or lack build or identities.
    /// An identity without chip and board is an error too: it could not be told whom it is for.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut top = xml::dictionary(WHAT, bytes, MAX_MANIFEST)?;
        let text = |key: &str| top.get(key).and_then(Value::as_string);
        let build = text("ProductBuildVersion")
            .and_then(|t| t.parse().ok())
            .ok_or_else(|| WireError::malformed(WHAT, "no ProductBuildVersion"))?;
        let version = text("ProductVersion").and_then(|t| t.parse().ok());
        let supported_products = words(top.get("SupportedProductTypes")).map(ProductType::new).collect();
        let Some(Value::Array(list)) = top.remove("BuildIdentities") else {
            return Err(WireError::malformed(WHAT, "no BuildIdentities"));
        };
        if list.len() > MAX_IDENTITIES {
            return Err(WireError::TooLong { what: WHAT, length: list.len() as u64, cap: MAX_IDENTITIES as u64 });
        }
        let mut identities: Vec<BuildIdentity> = list.into_iter().map(BuildIdentity::new).collect::<Result<_, _>>()?;
        with_recovery(&mut identities);
        Ok(BuildManifest { build, version, supported_products, identities })
    }

    /// The identity to restore that device with. `board` (`d17ap`), where known, must agree too.
    ///
    /// # Errors
    /// Which of chip, variant or uniqueness failed.
    pub fn choose(
        &self,
        cpid: Cpid,
        bdid: Bdid,
        board: Option<&str>,
        behaviour: Behaviour,
    ) -> Result<&BuildIdentity, NoIdentity> {
        let of_board: Vec<&BuildIdentity> = self
            .identities
            .iter()
            .filter(|i| i.cpid == cpid && i.bdid == bdid)
            .filter(|i| board.is_none_or(|board| i.device_class.eq_ignore_ascii_case(board)))
            .collect();
        if of_board.is_empty() {
            return Err(NoIdentity::OtherDevice { cpid, bdid, identities: self.identities.len() });
        }
        let fitting: Vec<&BuildIdentity> =
            of_board.iter().copied().filter(|i| i.variant == behaviour.variant()).collect();
        match fitting[..] {
            [one] => Ok(one),
            [] => Err(NoIdentity::NoVariant {
                wanted: behaviour.variant(),
                found: of_board.iter().map(|i| i.variant.clone()).collect(),
            }),
            _ => Err(NoIdentity::Ambiguous { count: fitting.len() }),
        }
    }
}

#[derive(Clone, Debug)]
pub struct BuildIdentity {
    pub cpid: Cpid,
    pub bdid: Bdid,
    pub security_domain: Option<u32>,
    /// 20 bytes on every known manifest; empty where the manifest has none.
    pub unique_build_id: Vec<u8>,
    /// Board, lower case: `d17ap`.
    pub device_class: String,
    pub variant: String,
    pub behaviour: Option<Behaviour>,
    pub components: BTreeMap<String, Component>,
    /// The recovery system that is installed beside this one: the identity that `Info.RecoveryVariant` names
    /// (iPhone 16 and later). None also where that one is missing: see [`BuildIdentity::lacks_recovery`].
    pub recovery: Option<Arc<BuildIdentity>>,
    /// Everything as it stands in the file.
    pub raw: Dictionary,
}

impl BuildIdentity {
    fn new(value: Value) -> Result<Self, WireError> {
        let Value::Dictionary(raw) = value else {
            return Err(WireError::malformed(WHAT, "an identity that is no dictionary"));
        };
        let id = |key: &str| {
            raw.get(key)
                .and_then(xml::number)
                .and_then(|n| u32::try_from(n).ok())
                .ok_or_else(|| WireError::malformed(WHAT, format!("an identity without {key}")))
        };
        let (cpid, bdid) = (Cpid(id("ApChipID")?), Bdid(id("ApBoardID")?));
        let info = raw.get("Info").and_then(Value::as_dictionary);
        let of_info = |key: &str| info.and_then(|i| i.get(key)).and_then(Value::as_string).unwrap_or_default();
        let manifest = raw.get("Manifest").and_then(Value::as_dictionary);
        let count = manifest.map_or(0, Dictionary::len);
        if count > MAX_COMPONENTS {
            return Err(WireError::TooLong { what: WHAT, length: count as u64, cap: MAX_COMPONENTS as u64 });
        }
        let components = manifest
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), Component::new(name, value.as_dictionary()?))))
            .collect();
        Ok(BuildIdentity {
            cpid,
            bdid,
            security_domain: id("ApSecurityDomain").ok(),
            unique_build_id: raw.get("UniqueBuildID").and_then(Value::as_data).unwrap_or_default().to_vec(),
            device_class: of_info("DeviceClass").to_ascii_lowercase(),
            variant: of_info("Variant").to_owned(),
            behaviour: match of_info("RestoreBehavior") {
                "Erase" => Some(Behaviour::Erase),
                "Update" => Some(Behaviour::Update),
                _ => None,
            },
            components,
            recovery: None,
            raw,
        })
    }

    /// The variant of the recovery system that is installed beside this one.
    pub fn recovery_variant(&self) -> Option<&str> {
        self.info().get("RecoveryVariant").and_then(Value::as_string)
    }

    /// Names a recovery system that the manifest does not have.
    pub fn lacks_recovery(&self) -> bool {
        self.recovery.is_none() && self.recovery_variant().is_some()
    }

    /// `Info` as it stands in the file; empty where there is none.
    pub fn info(&self) -> &Dictionary {
        static NONE: std::sync::LazyLock<Dictionary> = std::sync::LazyLock::new(Dictionary::new);
        self.raw.get("Info").and_then(Value::as_dictionary).unwrap_or(&NONE)
    }

    pub fn component(&self, name: &str) -> Option<&Component> {
        self.components.get(name)
    }

    /// Path of a component inside the IPSW, e.g. `kernelcache.release.iphone14`.
    pub fn path(&self, name: &str) -> Option<&str> {
        self.components.get(name)?.path.as_deref()
    }

    /// The root image: streamed to the device, never read whole.
    pub fn system_image(&self) -> Option<&str> {
        self.path("OS")
    }

    /// Components that iBoot loads before the kernel, in the order of their names.
    pub fn loaded_by_iboot(&self) -> impl Iterator<Item = (&str, &Component)> {
        self.components
            .iter()
            .filter(|(_, c)| c.flags.loaded_by_iboot && !c.flags.loaded_by_iboot_stage1)
            .map(|(name, component)| (name.as_str(), component))
    }
}

/// Gives every identity that names a recovery system the one of its board; one copy serves all of a board.
fn with_recovery(identities: &mut [BuildIdentity]) {
    let mut shared: BTreeMap<usize, Arc<BuildIdentity>> = BTreeMap::new();
    let found: Vec<Option<Arc<BuildIdentity>>> = identities
        .iter()
        .map(|identity| {
            let variant = identity.recovery_variant()?;
            let beside = |other: &BuildIdentity| {
                (other.cpid, other.bdid) == (identity.cpid, identity.bdid)
                    && other.device_class == identity.device_class
                    && other.variant == variant
            };
            let (place, other) = identities.iter().enumerate().find(|(_, other)| beside(other))?;
            Some(Arc::clone(shared.entry(place).or_insert_with(|| Arc::new(other.clone()))))
        })
        .collect();
    for (identity, found) in identities.iter_mut().zip(found) {
        identity.recovery = found;
    }
}

fn words(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_string)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A small manifest of one board with an erase, an update and a research identity.
    pub(crate) fn sample() -> Vec<u8> {
        let rule = r#"<dict><key>Conditions</key><dict><key>ApRawProductionMode</key><true/><key>ApRequiresImage4</key><true/></dict>
            <key>Actions</key><dict><key>EPRO</key><true/></dict></dict>"#;
        let component = |name: &str, path: &str, more: &str| {
            format!(
                "<key>{name}</key><dict><key>Digest</key><data>AAECAwQFBgcICQoLDA0ODxAREhM=</data><key>Trusted</key><true/>\
                 <key>Info</key><dict><key>Path</key><string>{path}</string>{more}<key>RestoreRequestRules</key>\
                 <array>{rule}</array></dict></dict>"
            )
        };
        let identity = |variant: &str, behaviour: &str| {
            format!(
                "<dict><key>ApChipID</key><string>0x8110</string><key>ApBoardID</key><string>0x18</string>\
                 <key>ApSecurityDomain</key><string>0x01</string><key>UniqueBuildID</key><data>AAECAwQFBgcICQoLDA0ODxAREhM=</data>\
                 <key>Ap,ProductType</key><string>iPhone14,5</string><key>NeRDEpoch</key><string>0x3</string>\
                 <key>Rap,ChipID</key><string>0x10</string><key>Rap,BoardID</key><integer>5</integer>\
                 <key>Info</key><dict><key>DeviceClass</key><string>d17ap</string><key>Variant</key><string>{variant}</string>\
                 <key>RestoreBehavior</key><string>{behaviour}</string></dict><key>Manifest</key><dict>{}{}{}{}{}</dict></dict>",
                component("iBSS", "Firmware/dfu/iBSS.im4p", ""),
                component("RestoreKernelCache", "kernelcache", "<key>Img4PayloadType</key><string>rkrn</string>"),
                component("ANE", "ane.im4p", "<key>IsLoadedByiBoot</key><true/><key>IsFUDFirmware</key><true/>"),
                component("Rap,RTKitOS", "ftab.bin", "<key>IsFTAB</key><true/>"),
                "<key>BasebandFirmware</key><dict><key>Info</key><dict><key>Path</key><string>x.bbfw</string></dict></dict>",
            )
        };
        format!(
            "<?xml version=\"1.0\"?><plist version=\"1.0\"><dict><key>ProductBuildVersion</key><string>24A446</string>\
             <key>ProductVersion</key><string>27.0.1</string><key>SupportedProductTypes</key><array><string>iPhone14,5</string></array>\
             <key>BuildIdentities</key><array>{}{}{}</array></dict></plist>",
            identity("Customer Erase Install (IPSW)", "Erase"),
            identity("Customer Upgrade Install (IPSW)", "Update"),
            identity("Research Customer Erase Install (IPSW)", "Erase"),
        )
        .into_bytes()
    }

    #[test]
    fn chip_board_and_the_whole_variant_decide() {
        let manifest = BuildManifest::parse(&sample()).unwrap();
        assert_eq!((manifest.build.to_string(), manifest.identities.len()), ("24A446".into(), 3));
        let chosen = |bdid, board, behaviour| manifest.choose(Cpid(0x8110), Bdid(bdid), board, behaviour);
        let erase = chosen(0x18, Some("D17AP"), Behaviour::Erase).unwrap();
        assert_eq!((erase.variant.as_str(), erase.behaviour), (Behaviour::Erase.variant(), Some(Behaviour::Erase)));
        assert_eq!(chosen(0x18, None, Behaviour::Update).unwrap().behaviour, Some(Behaviour::Update));
        assert!(matches!(chosen(0x0C, None, Behaviour::Erase), Err(NoIdentity::OtherDevice { identities: 3, .. })));
        assert!(chosen(0x18, Some("d16ap"), Behaviour::Erase).is_err());
        let mut fewer = manifest.clone();
        fewer.identities.remove(0);
        assert!(matches!(
            fewer.choose(Cpid(0x8110), Bdid(0x18), None, Behaviour::Erase),
            Err(NoIdentity::NoVariant { .. })
        ));
    }

    #[test]
    fn a_recovery_system_is_found_by_its_variant() {
        let named = |variant: &str, info: &str| {
            format!(
                "<dict><key>ApChipID</key><string>0x8140</string><key>ApBoardID</key><string>0x08</string><key>Info</key>\
                 <dict><key>DeviceClass</key><string>d47ap</string><key>Variant</key><string>{variant}</string>{info}</dict></dict>"
            )
        };
        let manifest = |names: &str| {
            let recovery = format!("<key>RecoveryVariant</key><string>{names}</string>");
            let list = [
                named(Behaviour::Erase.variant(), &recovery),
                named(Behaviour::Update.variant(), ""),
                named("Recovery", ""),
            ];
            let xml = format!(
                "<plist version=\"1.0\"><dict><key>ProductBuildVersion</key><string>22A3354</string>\
                 <key>BuildIdentities</key><array>{}</array></dict></plist>",
                list.concat()
            );
            BuildManifest::parse(xml.as_bytes()).unwrap().identities
        };
        let identities = manifest("Recovery");
        assert_eq!(identities[0].recovery.as_ref().unwrap().variant, "Recovery");
        assert!(identities[1].recovery.is_none() && !identities[1].lacks_recovery());
        let identities = manifest("Another");
        assert!(identities[0].recovery.is_none() && identities[0].lacks_recovery());
    }

    #[test]
    fn components_are_read_with_their_flags() {
        let manifest = BuildManifest::parse(&sample()).unwrap();
        let identity = &manifest.identities[0];
        assert_eq!(identity.unique_build_id.len(), 20);
        assert_eq!(identity.security_domain, Some(1));
        assert_eq!(identity.path("iBSS"), Some("Firmware/dfu/iBSS.im4p"));
        assert_eq!(identity.component("RestoreKernelCache").unwrap().payload_type, Some(*b"rkrn"));
        assert_eq!(identity.loaded_by_iboot().map(|(name, _)| name).collect::<Vec<_>>(), ["ANE"]);
        assert!(identity.component("BasebandFirmware").unwrap().digest.is_none());
    }

    #[test]
    fn real_manifests_are_read() {
        let Some(folder) = option_env!("HERSTEL_TEST_DATA") else { return };
        let folder = std::path::Path::new(folder).join("buildmanifest");
        let mut seen = 0;
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            let bytes = std::fs::read(entry.path()).unwrap();
            if name.contains("BuildManifest_") {
                let manifest = BuildManifest::parse(&bytes).unwrap();
                let identity = &manifest.identities[0];
                assert!(!identity.components.is_empty(), "{name}");
                assert!(crate::facts::models::by_chip(identity.cpid, identity.bdid).is_some(), "{name}");
                seen += 1;
            } else if name.starts_with("Restore_") {
                assert!(!RestorePlist::parse(&bytes).unwrap().boards.is_empty());
            }
        }
        assert!(seen >= 3);
    }

    #[test]
    fn more_identities_than_any_file_has_are_refused() {
        let many = |count: usize| {
            let one =
                "<dict><key>ApChipID</key><string>0x8110</string><key>ApBoardID</key><string>0x18</string></dict>";
            format!(
                "<plist version=\"1.0\"><dict><key>ProductBuildVersion</key><string>24A446</string>\
                 <key>BuildIdentities</key><array>{}</array></dict></plist>",
                one.repeat(count)
            )
        };
        assert_eq!(BuildManifest::parse(many(MAX_IDENTITIES).as_bytes()).unwrap().identities.len(), MAX_IDENTITIES);
        let refused = BuildManifest::parse(many(10_000).as_bytes()).unwrap_err();
        assert!(matches!(refused, WireError::TooLong { length: 10_000, .. }), "{refused}");
    }

    #[test]
    fn every_cut_is_an_error() {
        let bytes = sample();
        for length in (0..bytes.len()).step_by(97) {
            assert!(BuildManifest::parse(&bytes[..length]).is_err());
        }
    }

    proptest! {
        #[test]
        fn mutated_manifests_do_not_panic(at in any::<usize>(), to in any::<u8>()) {
            let mut bytes = sample();
            let at = at % bytes.len();
            bytes[at] = to;
            let _ = BuildManifest::parse(&bytes);
        }
    }
}
