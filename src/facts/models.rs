//! Which device is which: product type, board, chip.
//!
//! `devices.tsv` has one row a board. (CPID, BDID) is unique in it, so the serial string of recovery or
//! DFU decides the row. Two rows may share a product type (A9 from two makers). A person may add rows or
//! replace ours with a file of their own ([`extend`]): a phone that came out last week must not wait for a
//! release. A model that is in neither is guessed by `guess`, which says so.

use super::table;
use crate::fault::{Code, Fault};
use crate::ids::{Bdid, Cpid, ProductType, Version};
use serde::Serialize;
use std::fmt;
use std::sync::OnceLock;

/// An enum whose values have a word each, in the table and in JSON.
macro_rules! worded {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            pub const WORDS: &'static [(&'static str, $name)] = &[$(($word, $name::$variant),)*];

            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(self.as_str())
            }
        }
    };
}

worded! {
    /// How the keys are wired, which is what a recipe depends on (see `guide`). It follows the chip, not the
    /// look: an iPhone SE of 2020 has a Home button that takes no part.
    Buttons {
        /// Home with Top or Side.
        Home = "home",
        /// Volume Down with Side or Top (iPhone 7, iPod touch 7).
        VolumeDown = "voldown",
        /// Volume Up, Volume Down, hold Side.
        ThreeStep = "3step",
        /// iPad without Home: nearest volume key, farthest, hold Top.
        ThreeStepTop = "3step-top",
        /// Apple TV with a port: the keys are on the remote.
        Remote = "remote",
        /// No keys that matter (HomePod, Apple TV without a port).
        None = "none",
        Unknown = "?",
    }
}

worded! {
    /// What reads a finger or a face, and where.
    Biometrics {
        None = "none",
        TouchHome = "touch-home",
        TouchTop = "touch-top",
        Face = "face",
        Unknown = "?",
    }
}

worded! {
    Connector {
        ThirtyPin = "30-pin",
        Lightning = "Lightning",
        UsbC = "USB-C",
        MicroUsb = "Micro-USB",
        /// A USB-C plug at the end of a fixed cable.
        UsbCCaptive = "USB-C-captive",
        /// Not reached without opening the device.
        Hidden = "hidden",
        Unknown = "?",
    }
}

worded! {
    /// Which container signs boot components.
    ImageFormat {
        Img3 = "img3",
        Img4 = "img4",
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    pub product: ProductType,
    pub name: &'static str,
    /// Lower case with the `ap` ending, e.g. `d17ap`.
    pub board: &'static str,
    pub cpid: Cpid,
    /// None: not known publicly yet.
    pub bdid: Option<Bdid>,
    pub buttons: Buttons,
    pub biometrics: Biometrics,
    pub connector: Connector,
    pub first_os: Option<Version>,
    /// None: it gets the newest system, or nobody knows. A bare major number: the end of that train is not out.
    pub last_os: Option<Version>,
    pub image: ImageFormat,
}

impl Model {
    /// The same board: by chip and board number, or by product type and board name.
    pub(super) fn same_row(&self, other: &Model) -> bool {
        let by_chip = self.bdid.is_some() && (self.cpid, self.bdid) == (other.cpid, other.bdid);
        by_chip || (&self.product, self.board) == (&other.product, other.board)
    }
}

static TABLE: OnceLock<Vec<Model>> = OnceLock::new();

pub(super) fn own() -> Vec<Model> {
    // Our own file is held by a test; were a row bad all the same, an empty table would say so at once.
    table::parse(include_str!("devices.tsv")).unwrap_or_default()
}

/// Rows of a person's own file come first and replace ours of the same board.
pub(super) fn merged(own: Vec<Model>, theirs: Vec<Model>) -> Vec<Model> {
    let kept = own.into_iter().filter(|m| !theirs.iter().any(|t| t.same_row(m))).collect::<Vec<_>>();
    theirs.into_iter().chain(kept).collect()
}

/// Takes a person's own table in, once, before anything was looked up; gives the number of its rows.
/// `name` is the file's, for the fault.
///
/// # Errors
/// `config-invalid` with file and line for a bad row; `internal` if the table is already in use.
pub fn extend(name: &str, text: &str) -> Result<usize, Fault> {
    // Rows live as long as the program, and this happens once.
    let text: &'static str = if text.len() > table::FILE_CAP {
        return Err(Fault::new(Code::ConfigInvalid, format!("{name}: longer than {} bytes", table::FILE_CAP)));
    } else {
        Box::leak(text.to_owned().into_boxed_str())
    };
    let theirs = table::parse(text).map_err(|bad| Fault::new(Code::ConfigInvalid, format!("{name}, {bad}")))?;
    let count = theirs.len();
    TABLE.set(merged(own(), theirs)).map_err(|_| Fault::new(Code::Internal, "the device table is already in use"))?;
    Ok(count)
}

/// Every row.
pub fn all() -> &'static [Model] {
    TABLE.get_or_init(own)
}

pub fn by_chip(cpid: Cpid, bdid: Bdid) -> Option<&'static Model> {
    all().iter().find(|m| m.cpid == cpid && m.bdid == Some(bdid))
}

/// By product type; of several boards the first. With the board of lockdown's `HardwareModel`, use [`by_board`].
pub fn by_product(product: &ProductType) -> Option<&'static Model> {
    all().iter().find(|m| m.product == *product)
}

pub fn by_board(board: &str) -> Option<&'static Model> {
    all().iter().find(|m| m.board.eq_ignore_ascii_case(board))
}

/// What people type: `iphone13`, `iPhone 13`, `iphone14,5`, `iphone5s`, `ipad-pro-m4`, a board.
pub fn by_nickname(text: &str) -> Option<&'static Model> {
    let flat = |s: &str| s.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let wanted = flat(text);
    by_board(text)
        .or_else(|| all().iter().find(|m| m.product.as_str().eq_ignore_ascii_case(text)))
        .or_else(|| all().iter().find(|m| flat(m.name) == wanted))
        .or_else(|| all().iter().find(|m| flat(m.name).starts_with(&wanted)))
        .or_else(|| {
            let words: Vec<String> = text.split(['-', ' ']).map(flat).filter(|w| !w.is_empty()).collect();
            all().iter().find(|m| !words.is_empty() && words.iter().all(|w| flat(m.name).contains(w.as_str())))
        })
}
