//! What a model that is in no table probably is.
//!
//! Apple numbers families in order and changes the keys rarely, so a product type tells the keys, and other
//! boards with the same chip tell much of the rest. A guess always carries what it rests on, and whoever
//! shows it says that it is one: wrong keys cost a person ten minutes, wrong firmware is refused by Apple.

use super::models::{self, Buttons, ImageFormat, Model};
use crate::ids::{Cpid, ProductType};
use serde::Serialize;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    IPhone,
    IPad,
    IPod,
    AppleTv,
    HomePod,
}

impl Family {
    /// Apple's spelling.
    pub fn name(self) -> &'static str {
        match self {
            Family::IPhone => "iPhone",
            Family::IPad => "iPad",
            Family::IPod => "iPod touch",
            Family::AppleTv => "Apple TV",
            Family::HomePod => "HomePod",
        }
    }

    /// Family and major number of a product type.
    pub fn of(product: &ProductType) -> Option<(Family, u32)> {
        let text = product.as_str();
        let (family, rest) = [
            ("iPhone", Family::IPhone),
            ("iPad", Family::IPad),
            ("iPod", Family::IPod),
            ("AppleTV", Family::AppleTv),
            ("AudioAccessory", Family::HomePod),
        ]
        .iter()
        .find_map(|(word, family)| Some((*family, text.strip_prefix(word)?)))?;
        let (major, minor) = rest.split_once(',')?;
        let number = |t: &str| t.parse::<u32>().ok().filter(|_| t.bytes().all(|b| b.is_ascii_digit()));
        number(minor)?;
        Some((family, number(major)?))
    }
}

/// What a guess rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The product type's family and number.
    Family,
    /// Known models with the same chip.
    SameChip,
    /// The chip's number is above all known ones.
    NewerChip,
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Basis::Family => "family",
            Basis::SameChip => "same-chip",
            Basis::NewerChip => "newer-chip",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Guess {
    pub family: Option<Family>,
    /// Unknown where models like it differ.
    pub buttons: Buttons,
    pub image: ImageFormat,
    pub basis: Basis,
}

/// The probable keys and image format of a device that is in no table. A board number tells nothing on its own.
pub fn guess(product: Option<&ProductType>, cpid: Option<Cpid>) -> Option<Guess> {
    product.and_then(by_family).or_else(|| by_chip(models::all(), cpid?))
}

/// The rule of the families; the known rows follow it too, which a test holds.
pub fn by_family(product: &ProductType) -> Option<Guess> {
    let (family, major) = Family::of(product)?;
    let (buttons, first_img4) = match (family, major) {
        (Family::IPhone, ..=8) => (Buttons::Home, 6),
        (Family::IPhone, 9) => (Buttons::VolumeDown, 6),
        (Family::IPhone, _) => (Buttons::ThreeStep, 6),
        (Family::IPad, ..=7 | 11 | 12) => (Buttons::Home, 4),
        (Family::IPad, _) => (Buttons::ThreeStepTop, 4),
        (Family::IPod, ..=7) => (Buttons::Home, 7),
        (Family::IPod, _) => (Buttons::VolumeDown, 7),
        (Family::AppleTv, ..=5) => (Buttons::Remote, 5),
        (Family::AppleTv, _) => (Buttons::None, 5),
        (Family::HomePod, _) => (Buttons::None, 0),
    };
    let image = if major >= first_img4 { ImageFormat::Img4 } else { ImageFormat::Img3 };
    Some(Guess { family: Some(family), buttons, image, basis: Basis::Family })
}

/// Numbers that chips of phones and iPads have had since A12; the oldest ones are above, watches' and M Pros' aside.
const MODERN: std::ops::Range<u32> = 0x8020..0x8300;

fn by_chip(models: &[Model], cpid: Cpid) -> Option<Guess> {
    let siblings: Vec<&Model> = models.iter().filter(|m| m.cpid == cpid).collect();
    if let Some(first) = siblings.first() {
        let family = |m: &Model| Family::of(&m.product).map(|(family, _)| family);
        let same_keys = siblings.iter().all(|m| m.buttons == first.buttons);
        let same_family = siblings.iter().all(|m| family(m) == family(first));
        return Some(Guess {
            family: if same_family { family(first) } else { None },
            buttons: if same_keys { first.buttons } else { Buttons::Unknown },
            image: first.image,
            basis: Basis::SameChip,
        });
    }
    let newest = models.iter().map(|m| m.cpid.0).filter(|c| MODERN.contains(c)).max()?;
    let newer = cpid.0 > newest && MODERN.contains(&cpid.0);
    newer.then_some(Guess {
        family: None,
        buttons: Buttons::ThreeStep,
        image: ImageFormat::Img4,
        basis: Basis::NewerChip,
    })
}
