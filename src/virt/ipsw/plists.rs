//! BuildManifest.plist, Restore.plist and their small companions.

use super::accessories;
use super::content::RootImage;
use super::era::Era;
use super::modem;
use super::parts::{self, Digested, Images, Kind, Part, Rules};
use crate::wire::img3::Img3;
use crate::wire::img4::{Algorithm, digest_with_fourcc, restore_fourcc};
use plist::{Dictionary, Value};
use sha1::{Digest, Sha1};
use std::collections::{BTreeMap, HashMap};
use std::io;

/// Of Info in every entry of newer manifests, also when they are false.
const SPELLED_OUT: [&str; 5] =
    ["IsFTAB", "IsLoadedByiBoot", "IsLoadedByiBootStage1", "IsiBootEANFirmware", "IsiBootNonEssentialFirmware"];

/// What Apple calls it is not known here. Hosts compare it with `Info.RecoveryVariant` and look no closer.
const RECOVERY: &str = "Customer Recovery Install (IPSW)";

pub(super) fn dict<const N: usize>(entries: [(&str, Value); N]) -> Dictionary {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

pub(super) fn xml(value: Dictionary) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    Value::Dictionary(value).to_writer_xml(&mut out).map_err(io::Error::other)?;
    Ok(out)
}

fn rule(conditions: &[(&str, Value)], actions: &[(&str, bool)]) -> Value {
    let conditions: Dictionary = conditions.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    let actions: Dictionary = actions.iter().map(|(k, v)| ((*k).to_owned(), Value::Boolean(*v))).collect();
    Value::Dictionary(dict([("Actions", actions.into()), ("Conditions", conditions.into())]))
}

/// The lists that real manifests have.
fn rules(kind: Rules) -> Option<Value> {
    let (yes, no) = (Value::Boolean(true), Value::Boolean(false));
    let demote = ("ApDemotionPolicyOverride", Value::from("Demote"));
    let image4 = ("ApRequiresImage4", yes.clone());
    let production = |mode, value: &Value| (mode, value.clone());
    let security = [
        rule(&[("ApRawSecurityMode", no.clone()), image4.clone()], &[("ESEC", false)]),
        rule(&[("ApRawSecurityMode", yes.clone()), image4.clone()], &[("ESEC", true)]),
    ];
    let by_mode = |mode, more: &[(&'static str, Value)]| {
        let mut demoted = vec![demote.clone(), production(mode, &yes), image4.clone()];
        demoted.extend_from_slice(more);
        vec![
            rule(&[production(mode, &no), image4.clone()], &[("EPRO", false)]),
            rule(&[production(mode, &yes), image4.clone()], &[("EPRO", true)]),
            rule(&demoted, &[("EPRO", false)]),
        ]
    };
    let raw = "ApRawProductionMode";
    Some(Value::Array(match kind {
        Rules::None => return None,
        Rules::Raw => [by_mode(raw, &[]), security.to_vec()].concat(),
        Rules::Boot => {
            let first = rule(&[demote.clone(), production(raw, &yes)], &[("DPRO", true)]);
            [vec![first], by_mode(raw, &[]), security.to_vec()].concat()
        }
        Rules::Current => {
            [by_mode("ApCurrentProductionMode", &[("ApInRomDFU", yes.clone())]), security.to_vec()].concat()
        }
        Rules::Sep => {
            let mode = "ApRawSecurityMode";
            let demoted = [demote.clone(), (raw, no.clone()), (mode, yes.clone())];
            vec![
                rule(&[(mode, no.clone())], &[("ESEC", false)]),
                rule(&[(mode, yes.clone())], &[("ESEC", true)]),
                rule(&demoted, &[("DSEC", true), ("ESEC", false)]),
                rule(&[(raw, no.clone())], &[("EPRO", false)]),
                rule(&[(raw, yes.clone())], &[("EPRO", true)]),
            ]
        }
    }))
}

/// A part's path, the fourcc it is sent with, and the digest's length.
type DigestOf = (String, Option<[u8; 4]>, usize);

/// Makes manifests while collecting the files that they name.
pub(super) struct Author<'a> {
    pub eras: Vec<Era<'a>>,
    pub images: Images,
    pub root: RootImage,
    pub files: BTreeMap<String, Vec<u8>>,
    root_digest: HashMap<usize, Vec<u8>>,
    digests: HashMap<DigestOf, Vec<u8>>,
}

impl<'a> Author<'a> {
    pub fn new(eras: Vec<Era<'a>>, images: Images, root: RootImage) -> Self {
        Author { eras, images, root, files: BTreeMap::new(), root_digest: HashMap::new(), digests: HashMap::new() }
    }

    fn digest(&mut self, part: &Part, algorithm: Algorithm) -> io::Result<Option<Vec<u8>>> {
        if part.digest.is_some() {
            return Ok(part.digest.clone());
        }
        let length = match algorithm {
            Algorithm::Sha1 => 20,
            Algorithm::Sha256 => 32,
            Algorithm::Sha384 => 48,
        };
        if part.digested == Digested::Root {
            let root = &self.root;
            return Ok(Some(self.root_digest.entry(length).or_insert_with(|| root.digest(algorithm)).clone()));
        }
        let fourcc = part.sent.or_else(|| restore_fourcc(&part.name));
        let fourcc = fourcc.filter(|_| part.digested == Digested::Im4p);
        let key = (part.path.clone(), fourcc, length);
        if let Some(known) = self.digests.get(&key) {
            return Ok(Some(known.clone()));
        }
        let missing = || io::Error::other(format!("{} was not made", part.path));
        let digest = match part.digested {
            Digested::None | Digested::Root => return Ok(None),
            Digested::Im4p => {
                let file = self.files.get(&part.path).ok_or_else(missing)?;
                match Img3::parse(file) {
                    Ok(image) => image.digest(),
                    Err(_) => digest_with_fourcc(file, fourcc, algorithm).map_err(io::Error::other)?,
                }
            }
            Digested::Plain | Digested::Bare => algorithm.digest(&[self.files.get(&part.path).ok_or_else(missing)?]),
        };
        self.digests.insert(key, digest.clone());
        Ok(Some(digest))
    }

    fn component(&mut self, era: &Era<'_>, part: Part) -> io::Result<Dictionary> {
        let mut entry = part.more.clone();
        if let Some(digest) = self.digest(&part, era.algorithm())? {
            entry.insert("Digest".into(), Value::Data(digest));
        }
        if let Some(trusted) = part.trusted {
            entry.insert("Trusted".into(), trusted.into());
        }
        let mut info = part.more_info;
        info.insert("Path".into(), part.path.into());
        if let Some(sent) = part.sent {
            info.insert("Img4PayloadType".into(), String::from_utf8_lossy(&sent).as_ref().into());
        }
        if matches!(part.digested, Digested::Plain | Digested::Root) {
            info.insert("HashMethod".into(), era.hash_method().into());
        }
        if let Some(personalize) = part.personalize {
            info.insert("Personalize".into(), personalize.into());
        }
        if era.train() >= 18 && part.rules != Rules::None {
            SPELLED_OUT.iter().for_each(|flag| drop(info.insert((*flag).to_owned(), false.into())));
        }
        for flag in part.flags {
            info.insert(flag.to_owned(), true.into());
        }
        if let Some(rules) = rules(part.rules) {
            info.insert("RestoreRequestRules".into(), rules);
        }
        entry.insert("Info".into(), info.into());
        Ok(entry)
    }

    fn identity(&mut self, era: Era<'a>, kind: Kind) -> io::Result<Dictionary> {
        let parts = parts::of(era, kind, &self.images, &mut self.files);
        let mut manifest = Dictionary::new();
        for part in parts {
            let name = part.name.clone();
            manifest.insert(name, self.component(&era, part)?.into());
        }
        let (variant, behaviour) = match kind {
            Kind::Erase => ("Customer Erase Install (IPSW)", "Erase"),
            Kind::Update => ("Customer Upgrade Install (IPSW)", "Update"),
            Kind::Research => ("Research Customer Erase Install (IPSW)", "Erase"),
            Kind::Recovery => (RECOVERY, "Erase"),
        };
        let model = era.model;
        let unique = Sha1::digest(format!("{} {} {variant} {}", model.board, era.build, self.root.size));
        let mut identity = dict([
            ("ApBoardID", format!("0x{:02X}", era.board_number()).into()),
            ("ApChipID", format!("0x{:04X}", model.cpid.0).into()),
            ("ApSecurityDomain", "0x01".into()),
            ("UniqueBuildID", Value::Data(unique.to_vec())),
            ("Manifest", manifest.into()),
            ("Info", self.info(&era, kind, variant, behaviour).into()),
        ]);
        let target = era.target();
        if era.train() >= 18 {
            identity.extend(dict([
                ("Ap,OSLongVersion", era.long_version().into()),
                ("Ap,ProductMarketingVersion", era.version.to_string().into()),
                ("Ap,ProductType", model.product.as_str().into()),
                ("Ap,SDKPlatform", "iphoneos".into()),
                ("Ap,Target", format!("{}AP", capital(target)).into()),
                ("Ap,TargetType", target.into()),
            ]));
        }
        if era.has_cryptexes() {
            identity.extend(dict([
                ("Cryptex1,ChipID", "0xFF10".into()),
                ("Cryptex1,NonceDomain", Value::from(1u64)),
                ("Cryptex1,PreauthorizationVersion", era.long_version().into()),
                ("Cryptex1,ProductClass", "0xF2".into()),
                ("Cryptex1,SubType", Value::from(1u64)),
                ("Cryptex1,Type", Value::from(1u64)),
                ("Cryptex1,Version", era.long_version().into()),
            ]));
        }
        if era.has_modem() {
            identity.extend(modem::keys(&era));
        }
        if let Some(chip) = era.secure_element() {
            identity.insert("SE,ChipID".into(), Value::from(format!("0x{chip:02X}")));
        }
        identity.extend(accessories::keys(&era));
        if era.has_face_id() && era.chip() == 11 {
            identity.extend(dict([("Savage,ChipID", "0xA1".into()), ("Savage,PatchEpoch", "0x02".into())]));
        } else if era.has_face_id() {
            identity.extend(dict([
                ("Yonkers,BoardID", Value::from(1u64)),
                ("Yonkers,ChipID", "0xB2".into()),
                ("Yonkers,PatchEpoch", Value::from(3u64)),
            ]));
        }
        Ok(identity)
    }

    fn info(&self, era: &Era<'_>, kind: Kind, variant: &str, behaviour: &str) -> Dictionary {
        let mut info = dict([
            ("BuildNumber", era.build.to_string().into()),
            ("BuildTrain", format!("Bench{}", era.train()).into()),
            ("DeviceClass", era.model.board.into()),
            ("FDRSupport", true.into()),
            ("MinimumSystemPartition", Value::from(self.root.size >> 20)),
            ("MobileDeviceMinVersion", "1253".into()),
            ("OSVarContentSize", Value::from(282_624u64)),
            ("RestoreBehavior", behaviour.into()),
            ("SystemPartitionPadding", padding().into()),
            ("Variant", variant.into()),
            (
                "VariantContents",
                dict([
                    ("BasebandFirmware", "Release".into()),
                    ("DFU", "Production".into()),
                    ("Firmware", "Production".into()),
                    ("InstalledKernelCache", "Production".into()),
                    ("OS", "Production".into()),
                    ("RestoreKernelCache", "Production".into()),
                    ("RestoreRamDisk", "Production".into()),
                ])
                .into(),
            ),
        ]);
        if era.is_encrypted() {
            info.insert("ContentEncoding".into(), "aea".into());
        }
        if era.has_cryptexes() {
            info.insert("Cryptex1,AppOSSize".into(), Value::from(1u64));
            info.insert("Cryptex1,SystemOSSize".into(), Value::from(3u64));
        }
        if era.chip() >= 18 {
            info.insert("RequiresNonceSlot".into(), true.into());
        }
        if kind == Kind::Recovery {
            info.insert("ProductMarketingVersion".into(), era.version.to_string().into());
        } else if era.has_recovery_system() {
            info.insert("RecoveryVariant".into(), RECOVERY.into());
        }
        info
    }

    fn products(&self) -> Value {
        let mut products: Vec<&str> = self.eras.iter().map(|e| e.model.product.as_str()).collect();
        products.dedup();
        Value::Array(products.into_iter().map(Value::from).collect())
    }

    /// BuildManifest.plist, and all the files of it are made.
    pub fn manifest(&mut self) -> io::Result<Vec<u8>> {
        let Some(first) = self.eras.first().copied() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "an IPSW for no model"));
        };
        let mut identities = Vec::new();
        for kind in [Kind::Erase, Kind::Update, Kind::Research, Kind::Recovery] {
            for era in self.eras.clone() {
                if kind == Kind::Recovery && !era.has_recovery_system() {
                    continue;
                }
                identities.push(Value::Dictionary(self.identity(era, kind)?));
            }
        }
        xml(dict([
            ("BuildIdentities", Value::Array(identities)),
            ("ManifestVersion", Value::from(0u64)),
            ("ProductBuildVersion", first.build.to_string().into()),
            ("ProductVersion", first.version.to_string().into()),
            ("SupportedProductTypes", self.products()),
        ]))
    }

    /// Restore.plist.
    pub fn restore_plist(&self) -> io::Result<Vec<u8>> {
        let Some(first) = self.eras.first() else { return Ok(Vec::new()) };
        let images = &self.images;
        let mut map = Vec::new();
        let (mut ids, mut kernels, mut paddings) = (Vec::new(), Dictionary::new(), Dictionary::new());
        for era in &self.eras {
            let (model, kernel) = (era.model, format!("kernelcache.release.{}", era.family()));
            map.push(Value::Dictionary(dict([
                ("BDID", Value::from(era.board_number())),
                ("BoardConfig", model.board.into()),
                ("CPID", Value::from(model.cpid.0)),
                ("Platform", era.platform().into()),
                ("SCEP", Value::from(1u64)),
                ("SDOM", Value::from(1u64)),
            ])));
            ids.push(Value::from(u64::from(era.board_number()) << 24 | u64::from(model.cpid.0)));
            kernels.insert(era.target().into(), dict([("Release", kernel.into())]).into());
            paddings.insert(era.target().into(), padding().into());
        }
        let disks =
            || dict([("Update", images.update_disk.as_str().into()), ("User", images.erase_disk.as_str().into())]);
        let class = first.model.name.split(' ').next().unwrap_or("iPhone");
        xml(dict([
            ("DeviceClass", class.into()),
            ("DeviceMap", Value::Array(map)),
            ("FirmwareDirectory", "Firmware".into()),
            ("KernelCachesByPlatform", Dictionary::new().into()),
            ("KernelCachesByTarget", kernels.into()),
            ("MinimumSystemPartition", dict([(images.root.as_str(), Value::from(self.root.size >> 20))]).into()),
            ("ProductBuildVersion", first.build.to_string().into()),
            ("ProductType", first.model.product.as_str().into()),
            ("ProductVersion", first.version.to_string().into()),
            ("RamDisksByPlatform", dict([(first.platform().as_str(), disks().into())]).into()),
            ("RestoreRamDisks", disks().into()),
            (
                "SupportedProductTypeIDs",
                dict([("DFU", Value::Array(ids.clone())), ("Recovery", Value::Array(ids))]).into(),
            ),
            ("SupportedProductTypes", self.products()),
            ("SystemPartitionPadding", paddings.into()),
            ("SystemRestoreImages", dict([("User", images.root.as_str().into())]).into()),
        ]))
    }
}

/// Megabytes by gigabytes of storage.
fn padding() -> Dictionary {
    [("8", 80u64), ("16", 160), ("32", 320), ("64", 640), ("128", 1280), ("256", 1280), ("512", 1280), ("1024", 1280)]
        .into_iter()
        .map(|(storage, megabytes)| (storage.to_owned(), Value::from(megabytes)))
        .collect()
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}
