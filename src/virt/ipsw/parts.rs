//! The components of one model: name, file, fourcc, who loads it, and how its digest is made.
//!
//! The list follows manifests of real IPSWs of the same era. What a restore script of the bench asks for is
//! all here; decorations that only lengthen a manifest are not. Files are made once, though several
//! components or identities share them.

use super::content::{disk_image, noise};
use super::era::Era;
use super::modem;
use crate::facts::models::Connector;
use crate::wire::img3;
use crate::wire::img4::{Algorithm, Im4p};
use plist::{Dictionary, Value};
use std::collections::BTreeMap;

/// What an identity does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Erase,
    Update,
    Research,
    /// The recovery system that the others install beside theirs.
    Recovery,
}

/// `RestoreRequestRules` in the forms that manifests have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    None,
    /// By the fused modes.
    Raw,
    /// The same, with demotion of what the ROM loads.
    Boot,
    /// By the present modes: images that the system opens later.
    Current,
    /// Of the SEP.
    Sep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digested {
    /// Over the IM4P as it is sent.
    Im4p,
    /// Over the plain file; the manifest says how (`HashMethod`).
    Plain,
    /// Over the plain file, without a word about it.
    Bare,
    /// The digest of the root image.
    Root,
    None,
}

pub(super) struct Part {
    pub name: String,
    pub path: String,
    /// The fourcc that it is sent with, where the file has another.
    pub sent: Option<[u8; 4]>,
    pub digested: Digested,
    /// A digest that is of no whole file.
    pub digest: Option<Vec<u8>>,
    pub trusted: Option<bool>,
    pub personalize: Option<bool>,
    pub rules: Rules,
    pub flags: Vec<&'static str>,
    /// More keys beside `Digest`.
    pub more: Dictionary,
    /// More keys of `Info`.
    pub more_info: Dictionary,
}

const FLASH: &str = "IsFirmwarePayload";
const FUD: &str = "IsFUDFirmware";
const IBOOT: &str = "IsLoadedByiBoot";

pub(super) struct Parts<'a> {
    pub(super) era: Era<'a>,
    kind: Kind,
    files: &'a mut BTreeMap<String, Vec<u8>>,
    list: Vec<Part>,
}

/// Paths of the large images of a build; the same for every identity of one IPSW.
pub(super) struct Images {
    pub root: String,
    pub erase_disk: String,
    pub update_disk: String,
    pub recovery: String,
    system: String,
    app: String,
}

impl Images {
    pub fn new(era: &Era<'_>) -> Images {
        let number =
            |n: u32| format!("{:03}-{:05}-{:03}", 40 + era.train(), 10_000 + era.build.number * 7 + n * 311, n);
        let suffix = if era.is_encrypted() { ".aea" } else { "" };
        Images {
            root: format!("{}.dmg{suffix}", number(74)),
            erase_disk: format!("{}.dmg", number(81)),
            update_disk: format!("{}.dmg", number(83)),
            recovery: format!("{}.dmg", number(85)),
            system: format!("{}.dmg{suffix}", number(79)),
            app: format!("{}.dmg", number(82)),
        }
    }
}

/// All components of an identity; what they need is added to `files`.
pub(super) fn of(era: Era<'_>, kind: Kind, images: &Images, files: &mut BTreeMap<String, Vec<u8>>) -> Vec<Part> {
    let mut parts = Parts { era, kind, files, list: Vec::new() };
    if kind == Kind::Recovery {
        parts.recovery_system(images);
        return parts.list;
    }
    parts.boot();
    parts.pictures();
    parts.disks(images);
    parts.firmware();
    if era.has_cryptexes() {
        parts.cryptexes(images);
    }
    parts.chips();
    parts.accessories();
    parts.list
}

/// Of the right form; nobody computes with it.
fn partial_digest(file: &[u8]) -> Vec<u8> {
    let length = (file.len() as u32 & !63) | 56;
    let state = Algorithm::Sha1.digest(&[file]);
    [&64_u32.to_le_bytes()[..], &length.to_le_bytes(), &state].concat()
}

fn word(text: &str) -> [u8; 4] {
    text.as_bytes().try_into().unwrap_or(*b"none")
}

impl Parts<'_> {
    fn style(&self) -> &'static str {
        if self.kind == Kind::Research { "RESEARCH_RELEASE" } else { "RELEASE" }
    }

    /// An IM4P of `size` payload bytes, unless the file is there already.
    fn image(&mut self, path: &str, fourcc: &str, version: &str, size: usize) {
        if !self.files.contains_key(path) {
            let payload = noise(&format!("{path} {}", self.era.build), size);
            let file = match self.era.is_img3() {
                true => img3::build(word(fourcc), version, &payload),
                false => Im4p::build(word(fourcc), version, &payload, None),
            };
            self.files.insert(path.to_owned(), file);
        }
    }

    pub(super) fn raw(&mut self, path: &str, make: impl FnOnce() -> Vec<u8>) {
        if !self.files.contains_key(path) {
            self.files.insert(path.to_owned(), make());
        }
    }

    pub(super) fn add(&mut self, name: &str, path: &str, flags: &[&'static str]) -> &mut Part {
        self.list.push(Part {
            name: name.to_owned(),
            path: path.to_owned(),
            sent: None,
            digested: Digested::Im4p,
            digest: None,
            trusted: Some(true),
            personalize: (self.era.train() >= 15).then_some(true),
            rules: Rules::Raw,
            flags: flags.to_vec(),
            more: Dictionary::new(),
            more_info: Dictionary::new(),
        });
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    /// What runs before the system: ROM to kernel.
    fn boot(&mut self) {
        let (target, style, iboot) = (self.era.target(), self.style(), self.era.iboot());
        let flash = "Firmware/all_flash";
        for (name, fourcc, folder, size) in [
            ("iBSS", "ibss", "Firmware/dfu", 220_000),
            ("iBEC", "ibec", "Firmware/dfu", 260_000),
            ("LLB", "illb", flash, 240_000),
            ("iBoot", "ibot", flash, 260_000),
        ] {
            let ending = if folder == flash { self.ending() } else { self.dfu_ending() };
            let path = format!("{folder}/{name}.{target}.{style}.{ending}");
            self.image(&path, fourcc, &iboot, size);
            let partial = self.files.get(&path).filter(|_| self.era.is_img3()).map(|file| partial_digest(file));
            let part = self.add(name, &path, if folder == flash { &[FLASH] } else { &[] });
            part.more.insert("BuildString".into(), iboot.as_str().into());
            if let Some(partial) = partial.filter(|_| matches!(name, "LLB" | "iBSS")) {
                part.more.insert("PartialDigest".into(), Value::Data(partial));
            }
            part.rules = if matches!(name, "LLB" | "iBSS") { Rules::Boot } else { Rules::Raw };
        }
        let tree = format!("{flash}/DeviceTree.{}.{}", self.era.model.board, self.ending());
        self.image(&tree, "dtre", "EmbeddedDeviceTrees-1", 90_000);
        self.add("DeviceTree", &tree, &[FLASH]);
        self.again("RestoreDeviceTree", &tree, *b"rdtr");
        if !self.era.is_img3() {
            self.sep();
        }
        let kernel = format!("kernelcache.{}.{}", style.to_ascii_lowercase(), self.era.family());
        self.image(&kernel, "krnl", "KernelCacheBuilder-1", 2_500_000);
        self.add("KernelCache", &kernel, &[]);
        self.again("RestoreKernelCache", &kernel, *b"rkrn");
    }

    /// A file once more under the name that the restore uses; IMG4 has another fourcc for it.
    fn again(&mut self, name: &str, path: &str, fourcc: [u8; 4]) {
        let img3 = self.era.is_img3();
        self.add(name, path, &[]).sent = (!img3).then_some(fourcc);
    }

    fn ending(&self) -> &'static str {
        if self.era.is_img3() { "img3" } else { "im4p" }
    }

    fn dfu_ending(&self) -> &'static str {
        if self.era.is_img3() { "dfu" } else { "im4p" }
    }

    fn sep(&mut self) {
        let (target, style, flash) = (self.era.target(), self.style(), "Firmware/all_flash");
        let sep = format!("{flash}/sep-firmware.{target}.{style}.im4p");
        let size = if self.era.chip() >= 10 { 900_000 } else { 300_000 };
        self.image(&sep, "sepi", "AppleSEPOS-1", size);
        let payload = if self.era.chip() >= 10 { FLASH } else { "IsSecondaryFirmwarePayload" };
        let part = self.add("SEP", &sep, &[payload]);
        part.rules = Rules::Sep;
        part.more_info.insert("RequiredCapacity".into(), "0x600000".into());
        let part = self.add("RestoreSEP", &sep, &[payload]);
        part.rules = Rules::Sep;
        part.sent = Some(*b"rsep");
    }

    /// What a phone shows before there is a system.
    fn pictures(&mut self) {
        let kind = if self.era.is_phone() { "iphone" } else { "ipad" };
        let port = if self.era.model.connector == Connector::UsbC { "usbc" } else { "lightning" };
        let mut all = vec![
            ("AppleLogo", "logo", format!("applelogo@2x~{kind}")),
            ("BatteryCharging0", "chg0", format!("batterycharging0@2x~{kind}")),
            ("BatteryCharging1", "chg1", format!("batterycharging1@2x~{kind}")),
            ("BatteryFull", "batF", format!("batteryfull@2x~{kind}")),
            ("BatteryLow0", "bat0", format!("batterylow0@2x~{kind}")),
            ("BatteryLow1", "bat1", format!("batterylow1@2x~{kind}")),
            ("BatteryPlugin", "glyP", format!("glyphplugin@2x~{kind}-{port}")),
            ("RecoveryMode", "recm", format!("recoverymode@2x~{kind}-{port}")),
        ];
        if self.era.chip() >= 14 {
            all.push(("Liquid", "liqd", format!("liquiddetect@2x~{kind}-{port}")));
            all.push(("LowPowerWallet0", "lpw0", format!("lowpowermode@2x~{kind}-{port}")));
            all.push(("LowPowerWallet1", "lpw1", format!("lowpowerfindmymode@2x~{kind}-{port}")));
        }
        for (name, fourcc, file) in all {
            let path = format!("Firmware/all_flash/{file}.{}", self.ending());
            self.image(&path, fourcc, "EmbeddedImages-1", 12_000);
            self.add(name, &path, &[FLASH]);
            if name == "AppleLogo" {
                self.again("RestoreLogo", &path, *b"rlgo");
            }
        }
    }

    /// The system, the ramdisk, and what vouches for them.
    fn disks(&mut self, images: &Images) {
        let part = self.add("OS", &images.root, &[]);
        part.digested = Digested::Root;
        part.personalize = Some(false);
        part.rules = Rules::Current;
        let disk = if self.kind == Kind::Update { &images.update_disk } else { &images.erase_disk };
        self.image(disk, "rdsk", "RestoreRamDisk-1", 3_000_000);
        self.add("RestoreRamDisk", disk, &[]);
        if self.era.has_trust_caches() {
            let path = format!("Firmware/{}.trustcache", images.root);
            self.image(&path, "trst", "1", 30_000);
            self.add("StaticTrustCache", &path, &[FUD]);
            let path = format!("Firmware/{disk}.trustcache");
            self.image(&path, "rtsc", "1", 12_000);
            self.add("RestoreTrustCache", &path, &[FUD, IBOOT]);
        }
        if self.era.is_sealed() {
            let path = format!("Firmware/{}.root_hash", images.root);
            self.image(&path, "isys", "1", 229);
            self.add("SystemVolume", &path, &[FUD]);
            let path = format!("Firmware/{}.mtree", images.root);
            self.image(&path, "msys", "1", 60_000);
            self.add("Ap,SystemVolumeCanonicalMetadata", &path, &[FUD]);
        }
    }

    /// Coprocessors: loaded by iBoot, by the system, or both.
    fn firmware(&mut self) {
        let target = self.era.target();
        let chip = self.era.chip();
        let mut all: Vec<(&str, &str, String, &[&'static str])> = Vec::new();
        if chip >= 9 && self.era.train() >= 15 {
            all.push(("Multitouch", "mtfw", format!("Firmware/{target}_Multitouch.im4p"), &[FUD]));
        }
        if chip >= 11 {
            all.push(("AOP", "aopf", format!("Firmware/AOP/aopfw-{target}aop.RELEASE.im4p"), &[FUD, IBOOT]));
            all.push(("ISP", "ispf", format!("Firmware/isp_bni/adc-{target}.im4p"), &[FUD, IBOOT]));
            all.push(("AudioCodecFirmware", "acfw", format!("Firmware/{target}_CallanFirmware.im4p"), &[FUD]));
            let ave: &[&str] = if chip >= 13 { &[FUD, IBOOT, "IsiBootNonEssentialFirmware"] } else { &[FUD, IBOOT] };
            all.push(("AVE", "avef", format!("Firmware/ave/AppleAVE2FW_H{chip}.im4p"), ave));
        }
        if chip >= 12 {
            all.push(("ANE", "anef", format!("Firmware/ane/h{chip}_ane_fw.im4p"), &[FUD, IBOOT]));
            all.push(("GFX", "gfxf", format!("Firmware/agx/armfw_g{chip}.im4p"), &[FUD, IBOOT]));
            all.push(("PMP", "pmpf", format!("Firmware/pmp/{}pmp.im4p", self.era.platform()), &[FUD, IBOOT]));
            all.push(("ANS", "ansf", format!("Firmware/ansf.{}.release.im4p", self.era.platform()), &[FLASH]));
            all.push((
                "RestoreANS",
                "rans",
                format!("Firmware/rans.{}.release.im4p", self.era.platform()),
                &[FUD, IBOOT],
            ));
            let sio: &[&str] = if chip >= 13 { &[FUD, IBOOT, "IsiBootEANFirmware"] } else { &[FUD, IBOOT] };
            all.push(("SIO", "siof", format!("Firmware/SmartIOFirmware_{target}.im4p"), sio));
        }
        if self.era.is_phone() && chip >= 12 {
            all.push(("LeapHaptics", "lphp", format!("Firmware/{target}_LeapHapticsFirmware.im4p"), &[FUD]));
            all.push(("Ap,HapticAssets", "hpas", format!("Firmware/{target}_HapticAssets.im4p"), &[FUD]));
        }
        for (name, fourcc, path, flags) in all {
            self.image(&path, fourcc, "1", 60_000);
            let part = self.add(name, &path, flags);
            if matches!(name, "Multitouch" | "LeapHaptics" | "Ap,HapticAssets" | "AudioCodecFirmware") {
                part.trusted = Some(false);
            }
        }
        if chip >= 14 {
            let path = format!("Firmware/dcp/{}dcp.im4p", self.era.family());
            self.image(&path, "dcpf", "1", 120_000);
            self.add("DCP", &path, &[FUD]);
            let path = format!("Firmware/dcp/{}dcp_restore.im4p", self.era.family());
            self.image(&path, "dcpf", "1", 100_000);
            self.add("RestoreDCP", &path, &[IBOOT]).sent = Some(*b"rdcp");
        }
    }

    /// Boot code, kernel and image of the recovery system. iBEC, device tree, logo and coprocessors are the main
    /// system's; the rest is its own, under names that a main system has too.
    fn recovery_system(&mut self, images: &Images) {
        let (target, board, iboot) = (self.era.target(), self.era.model.board, self.era.iboot());
        let shared = [
            ("iBEC", "ibec", format!("Firmware/dfu/iBEC.{target}.RELEASE.im4p"), iboot.as_str(), 260_000),
            (
                "DeviceTree",
                "dtre",
                format!("Firmware/all_flash/DeviceTree.{board}.im4p"),
                "EmbeddedDeviceTrees-1",
                90_000,
            ),
            ("AppleLogo", "logo", "Firmware/all_flash/applelogo@2x~iphone.im4p".to_owned(), "EmbeddedImages-1", 12_000),
        ];
        let own = [
            (
                "KernelCache",
                "krnl",
                format!("kernelcache.recovery.{}", self.era.family()),
                "KernelCacheBuilder-1",
                1_500_000,
            ),
            ("StaticTrustCache", "trst", format!("Firmware/{}.trustcache", images.recovery), "1", 9_000),
            ("SystemVolume", "isys", format!("Firmware/{}.root_hash", images.recovery), "1", 229),
            ("Ap,SystemVolumeCanonicalMetadata", "msys", format!("Firmware/{}.mtree", images.recovery), "1", 20_000),
        ];
        for (name, fourcc, path, version, size) in shared.into_iter().chain(own) {
            self.image(&path, fourcc, version, size);
            self.add(name, &path, &[]);
        }
        self.firmware();
        let seed = format!("{} {}", images.recovery, self.era.build);
        self.raw(&images.recovery, || disk_image(&seed, false, 2_500_000));
        let part = self.add("OS", &images.recovery, &[]);
        part.digested = Digested::Plain;
        part.personalize = Some(false);
        part.rules = Rules::Current;
    }

    fn cryptexes(&mut self, images: &Images) {
        for (kind, image, encrypted, size, fourccs) in [
            ("System", &images.system, self.era.is_encrypted(), 3_000_000, ["csys", "trcs"]),
            ("App", &images.app, false, 800_000, ["casy", "trca"]),
        ] {
            let seed = format!("{image} {}", self.era.build);
            self.raw(image, || disk_image(&seed, encrypted, size));
            let names = ["OS", "Volume", "TrustCache"];
            let paths = [image.clone(), format!("Firmware/{image}.root_hash"), format!("Firmware/{image}.trustcache")];
            let [volume, cache] = fourccs;
            self.image(&paths[1], volume, "1", 229);
            self.image(&paths[2], cache, "1", 20_000);
            for (name, path) in names.iter().zip(&paths) {
                let part = self.add(&format!("Cryptex1,{kind}{name}"), path, &[]);
                part.digested = Digested::Plain;
                part.trusted = None;
                part.personalize = Some(*name != "OS");
                part.rules = Rules::Current;
            }
        }
    }

    /// Chips with tickets of their own.
    fn chips(&mut self) {
        let era = self.era;
        if era.has_modem() {
            let path = modem::path(&era);
            self.raw(&path, || modem::archive(&era));
            let part = self.add("BasebandFirmware", &path, &[]);
            (part.digested, part.trusted, part.personalize, part.rules) = (Digested::None, None, None, Rules::None);
            part.more = modem::digests(&era);
        }
        if let Some(chip) = era.secure_element() {
            let (name, path) = match chip {
                0x2_0211 => ("SE,Firmware", "Firmware/SE/Stockholm7.RELEASE.sefw"),
                _ => ("SE,UpdatePayload", "Firmware/SE/Stockholm5.RELEASE.sefw"),
            };
            self.raw(path, || noise(path, 150_000));
            let bytes = self.files.get(path).cloned().unwrap_or_default();
            let part = self.add(name, path, &[]);
            (part.digested, part.trusted, part.rules) = (Digested::None, None, Rules::None);
            for environment in ["Development", "Production"] {
                let hash = crate::wire::img4::Algorithm::Sha256.digest(&[environment.as_bytes(), &bytes]);
                part.more.insert(format!("{environment}CMAC"), Value::Data(hash[..16].to_vec()));
                part.more.insert(format!("{environment}UpdatePayloadHash"), Value::Data(hash));
            }
        }
        if era.has_face_id() && era.chip() == 11 {
            for step in ["B0", "B2", "BA"] {
                for environment in ["Dev", "Prod"] {
                    let path = format!("Firmware/Savage/Savage.{step}.{environment}.im4p");
                    self.patch(&format!("Savage,{step}-{environment}-Patch"), &path);
                }
            }
        } else if era.has_face_id() {
            // The two halves of a pair: production and development, of the same mask.
            for (number, production) in [(1, true), (9, false)] {
                let name = format!("Yonkers,SysTopPatch{number:X}");
                let path = format!("Firmware/Yonkers/Yonkers_{number:X}.im4p");
                let part = self.patch(&name, &path);
                part.more.insert("EPRO".into(), production.into());
                part.more.insert("FabRevision".into(), Value::from(0xD501u64));
            }
        }
    }

    pub(super) fn patch(&mut self, name: &str, path: &str) -> &mut Part {
        self.raw(path, || noise(path, 40_000));
        let part = self.add(name, path, &[]);
        (part.digested, part.trusted, part.rules) = (Digested::Bare, None, Rules::None);
        part
    }
}
