//! Which device is which: product type, board, chip.
//!
//! `devices.tsv` has one row a board. (CPID, BDID) is unique in it, so the serial string of recovery or
//! DFU decides the row. Two rows may share a product type (A9 from two makers).

use crate::ids::{Bdid, Cpid, ProductType, Version};
use std::sync::LazyLock;

/// How the keys of a model are laid out (see `guide`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Buttons {
    /// Home with Top or Side.
    Home,
    /// Volume Down with Side or Top (iPhone 7, iPod touch 7).
    VolumeDown,
    /// Volume Up, Volume Down, hold Side.
    ThreeStep,
    /// iPad without Home: nearest volume key, farthest, hold Top.
    ThreeStepTop,
    /// Apple TVs that have a USB port: the keys are on the remote.
    Remote,
    /// No keys (HomePod).
    None,
    Unknown,
}

/// Which container signs boot components.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImageFormat {
    Img3,
    Img4,
}

#[derive(Clone, Debug)]
pub struct Model {
    pub product: ProductType,
    pub name: &'static str,
    /// Lower case with the `ap` ending, e.g. `d17ap`.
    pub board: &'static str,
    pub cpid: Cpid,
    pub bdid: Bdid,
    pub buttons: Buttons,
    pub connector: &'static str,
    pub first_os: Option<Version>,
    pub image: ImageFormat,
}

static MODELS: LazyLock<Vec<Model>> = LazyLock::new(|| include_str!("devices.tsv").lines().filter_map(row).collect());

fn row(line: &'static str) -> Option<Model> {
    let fields: Vec<&'static str> = line.split('\t').collect();
    let [product, name, board, cpid, bdid, buttons, connector, first_os, image] = fields[..] else { return None };
    Some(Model {
        product: ProductType::new(product),
        name,
        board,
        cpid: cpid.parse().ok()?,
        bdid: bdid.parse().ok()?,
        buttons: match buttons {
            "home" => Buttons::Home,
            "voldown" => Buttons::VolumeDown,
            "3step-home" | "3step-faceid" => Buttons::ThreeStep,
            "3step-topid" => Buttons::ThreeStepTop,
            "remote" => Buttons::Remote,
            "none" => Buttons::None,
            _ => Buttons::Unknown,
        },
        connector,
        first_os: first_os.parse().ok(),
        image: if image == "img4" { ImageFormat::Img4 } else { ImageFormat::Img3 },
    })
}

/// Every row.
pub fn all() -> &'static [Model] {
    &MODELS
}

pub fn by_chip(cpid: Cpid, bdid: Bdid) -> Option<&'static Model> {
    MODELS.iter().find(|m| m.cpid == cpid && m.bdid == bdid)
}

/// By product type; of several boards the first. With the board of lockdown's `HardwareModel`, use [`by_board`].
pub fn by_product(product: &ProductType) -> Option<&'static Model> {
    MODELS.iter().find(|m| m.product == *product)
}

pub fn by_board(board: &str) -> Option<&'static Model> {
    MODELS.iter().find(|m| m.board.eq_ignore_ascii_case(board))
}

/// What people type: `iphone13`, `iPhone 13`, `iphone14,5`, `iphone5s`, `ipad-pro-m4`, a board.
pub fn by_nickname(text: &str) -> Option<&'static Model> {
    let flat = |s: &str| s.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let wanted = flat(text);
    by_board(text)
        .or_else(|| MODELS.iter().find(|m| m.product.as_str().eq_ignore_ascii_case(text)))
        .or_else(|| MODELS.iter().find(|m| flat(m.name) == wanted))
        .or_else(|| MODELS.iter().find(|m| flat(m.name).starts_with(&wanted)))
        .or_else(|| {
            let words: Vec<String> = text.split(['-', ' ']).map(flat).filter(|w| !w.is_empty()).collect();
            MODELS.iter().find(|m| !words.is_empty() && words.iter().all(|w| flat(m.name).contains(w.as_str())))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_row_parses_and_chip_and_board_decide() {
        let rows = include_str!("devices.tsv").lines().filter(|l| !l.starts_with('#')).count();
        assert_eq!(all().len(), rows);
        let keys: HashSet<_> = all().iter().map(|m| (m.cpid, m.bdid)).collect();
        assert_eq!(keys.len(), all().len());
    }

    #[test]
    fn people_find_their_device() {
        for (typed, product) in [
            ("iphone13", "iPhone14,5"),
            ("iphone5s", "iPhone6,1"),
            ("iphone8", "iPhone10,1"),
            ("iPhone14,5", "iPhone14,5"),
            ("d17ap", "iPhone14,5"),
        ] {
            assert_eq!(by_nickname(typed).unwrap().product.as_str(), product, "{typed}");
        }
        assert!(by_nickname("ipad-pro-m4").unwrap().product.as_str().starts_with("iPad16,"));
        assert!(by_nickname("teapot").is_none());
    }
}
