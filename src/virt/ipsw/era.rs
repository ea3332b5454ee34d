//! Which parts a model has, and what belongs to its system: the little that the builder must know.
//!
//! Only what changes the layout of an IPSW or what a restore asks for stands here. Numbers of chips come
//! from manifests and logs of real devices where one was at hand, and are plausible elsewhere; clients copy
//! them from the manifest into requests and nobody interprets them, but for the secure element's.

use crate::facts::models::{Biometrics, ImageFormat, Model};
use crate::ids::{BuildId, Version};
use crate::wire::img4::Algorithm;

/// A model together with the system that is built for it.
#[derive(Clone, Copy)]
pub(super) struct Era<'a> {
    pub model: &'static Model,
    pub version: &'a Version,
    pub build: &'a BuildId,
}

/// A number of the A series; chips of the M series count as their siblings.
fn generation(cpid: u32) -> u32 {
    match cpid {
        0x8960 => 7,
        0x7000 | 0x7001 => 8,
        0x8000 | 0x8001 | 0x8003 => 9,
        0x8010..=0x8012 => 10,
        0x8015 => 11,
        0x8020 | 0x8027 => 12,
        0x8030 => 13,
        0x8101 | 0x8103 => 14,
        0x8110 | 0x8112 => 15,
        0x8120 | 0x8122 => 16,
        0x8130 | 0x8132 => 17,
        0x8140 | 0x8142 => 18,
        0x8150.. if cpid < 0x8700 => 19,
        _ => 6,
    }
}

impl Era<'_> {
    pub fn chip(&self) -> u32 {
        generation(self.model.cpid.0)
    }

    /// Of the system: 20 is iOS 16.
    pub fn train(&self) -> u32 {
        self.build.train
    }

    /// A6 and older.
    pub fn is_img3(&self) -> bool {
        self.model.image == ImageFormat::Img3
    }

    pub fn is_phone(&self) -> bool {
        self.model.product.as_str().starts_with("iPhone")
    }

    pub fn has_modem(&self) -> bool {
        self.is_phone() || self.model.name.contains("Cellular")
    }

    /// What the manifest's digests are made with.
    pub fn algorithm(&self) -> Algorithm {
        if self.chip() >= 10 { Algorithm::Sha384 } else { Algorithm::Sha1 }
    }

    /// `HashMethod` of what is no IM4P.
    pub fn hash_method(&self) -> &'static str {
        if self.chip() >= 10 { "sha2-384" } else { "sha1" }
    }

    /// Board without its ending: `d17`.
    pub fn target(&self) -> &'static str {
        self.model.board.strip_suffix("ap").unwrap_or(self.model.board)
    }

    /// `iphone14`, `ipad16`.
    pub fn family(&self) -> String {
        let product = self.model.product.as_str();
        product.split(',').next().unwrap_or(product).to_ascii_lowercase()
    }

    pub fn platform(&self) -> String {
        let letter = if matches!(self.model.cpid.0, 0x8000 | 0x8003 | 0x8960) { 's' } else { 't' };
        format!("{letter}{:04x}", self.model.cpid.0)
    }

    /// The system volume is sealed: its root hash and its metadata are signed.
    pub fn is_sealed(&self) -> bool {
        self.train() >= 19
    }

    pub fn has_trust_caches(&self) -> bool {
        self.train() >= 16
    }

    pub fn has_cryptexes(&self) -> bool {
        self.train() >= 20
    }

    /// Images are encrypted archives.
    pub fn is_encrypted(&self) -> bool {
        self.train() >= 22
    }

    /// Long versions of systems: `24.1.446.0.0,0`.
    pub fn long_version(&self) -> String {
        let letter = u32::from(self.build.letter).saturating_sub(u32::from('A')) + 1;
        format!("{}.{letter}.{}.0.0,0", self.build.train, self.build.number)
    }

    /// What boot code of this system calls itself.
    pub fn iboot(&self) -> String {
        let number = match self.train() {
            ..=14 => 3406,
            15 => 4076,
            16 => 4513,
            17 => 5540,
            18 => 6723,
            19 => 7459,
            20 => 8422,
            21 => 10151,
            22 => 11881,
            23 => 13822,
            _ => 15200,
        };
        format!("iBoot-{number}.{}.{}", self.version.0.get(1).unwrap_or(&0) * 10, self.build.number % 100)
    }

    /// Nobody has a bench phone whose board number is not known.
    pub fn board_number(&self) -> u32 {
        self.model.bdid.map_or(0, |b| b.0)
    }

    /// A recovery system on a volume of its own, beside the main one. That tablets have none is a guess.
    pub fn has_recovery_system(&self) -> bool {
        self.is_phone() && self.chip() >= 18
    }

    pub fn has_face_id(&self) -> bool {
        self.model.biometrics == Biometrics::Face
    }

    /// The ultra-wideband chip.
    pub fn has_rose(&self) -> bool {
        self.is_phone() && self.chip() >= 13 && !matches!(self.model.board, "d79ap" | "d49ap" | "v59ap")
    }

    /// The battery's chip, which phones have since the iPhone 11 (a log of one shows its updater).
    pub fn has_veridian(&self) -> bool {
        self.is_phone() && self.chip() >= 13
    }

    /// The display's controller with a ticket of its own. Which tablets have one is a guess.
    pub fn has_tcon(&self) -> bool {
        !self.is_phone() && self.has_face_id() && self.chip() >= 14
    }

    /// The USB-C retimer, of tablets with an M1 (seen in the firmware of one).
    pub fn has_retimer(&self) -> bool {
        !self.is_phone() && self.model.cpid.0 == 0x8103
    }

    /// `SE,ChipID`, for those that have one.
    pub fn secure_element(&self) -> Option<u64> {
        if !self.is_phone() {
            return None;
        }
        match self.chip() {
            ..9 => None,
            9 | 10 => Some(0x2C),
            11 => Some(0x36),
            12 => Some(0x37),
            13 => Some(0x73),
            14 => Some(0x64),
            15 => Some(0xC8),
            16 | 17 => Some(0xD2),
            _ => Some(0x2_0211),
        }
    }

    /// `BbChipID`, and how its firmware is called.
    pub fn modem(&self) -> (u64, &'static str) {
        match self.chip() {
            ..8 => (0x006F_20E1, "Mav7Mav8"),
            8 => (0x0096_00E1, "Mav10"),
            9..=13 => (0x0092_01E1, "Mav13"),
            14 => (0x000E_50E1, "Mav20"),
            15 => (0x000E_50E1, "Mav21"),
            19 if matches!(self.model.board, "v53ap" | "v54ap" | "v57ap") => (0x001F_30E1, "Mav25"),
            _ => (0x0017_50E1, "Mav22"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::models::by_nickname;

    #[test]
    fn models_have_what_they_have() {
        let (version, build): (Version, BuildId) = ("27.0.1".parse().unwrap(), "24A446".parse().unwrap());
        let era = |name: &str| Era { model: by_nickname(name).unwrap(), version: &version, build: &build };
        assert!(era("iphone13").has_face_id() && era("iphone13").has_rose() && era("iphone13").has_modem());
        assert!(!era("iphone8").has_face_id() && era("d221ap").has_face_id() && era("d22ap").has_face_id());
        assert!(!era("d49ap").has_face_id() && !era("d49ap").has_rose());
        let pad = era("ipad-pro-m4");
        assert!(pad.has_face_id() && !pad.has_rose() && !pad.has_modem() && pad.secure_element().is_none());
        assert_eq!((pad.chip(), era("iphone5s").algorithm()), (17, Algorithm::Sha1));
        assert_eq!(era("iphone13").long_version(), "24.1.446.0.0,0");
        assert_eq!((era("iphone13").target(), era("iphone13").platform().as_str()), ("d17", "t8110"));
    }
}
