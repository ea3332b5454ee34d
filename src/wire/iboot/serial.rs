//! The USB serial number of recovery and DFU: a line of `KEY:VALUE` pairs that names chip, board and ECID.
//!
//! Values are hexadecimal without `0x`, texts stand in square brackets; keys come in any order and case.
//! One odd field must not hide a device, and must not be believed either: [`IbootSerial::read`] takes every
//! sound field, leaves out the others and says what was wrong. A key that comes twice with two values is
//! unknown, above all the ECID: everything destructive is pinned to it.
//!
//! Port DFU speaks for somebody else. The string is the USB-C port controller's: its CPID and ECID are its
//! own, and the phone behind it is told only in a board field of sixteen digits ([`LongBoard`]).

use super::{IBFL_IBOOT, IBFL_IMG4, TEXT_CAP};
use crate::ids::{Bdid, Cpid, Ecid};
use crate::wire::WireError;
use std::fmt;
use std::str::FromStr;

/// Keys that are kept beside the known ones.
const OTHERS_CAP: usize = 32;
/// Longest text in brackets, and longest value of an unknown key, in characters.
const VALUE_CAP: usize = 80;
const KEY_CAP: usize = 8;

/// The board field of a port controller: the phone's chip and board, a byte each side of the chip's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongBoard(pub u64);

impl LongBoard {
    /// Chip of the phone behind the controller.
    pub fn cpid(self) -> Option<Cpid> {
        let chip = (self.0 >> 8) as u32 & 0xFFFF;
        (chip != 0).then_some(Cpid(chip))
    }

    /// Board of the phone behind the controller.
    pub fn bdid(self) -> Bdid {
        Bdid((self.0 >> 24) as u32 & 0xFF)
    }
}

/// What is wrong with one field, or with the whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    #[error("empty")]
    Empty,
    #[error("{0} bytes are too long")]
    TooLong(usize),
    #[error("a word without a key")]
    NoKey,
    #[error("{0} is not hexadecimal")]
    NotHex(String),
    #[error("{0} is too long")]
    OverLong(String),
    #[error("{0} has characters that do not belong there")]
    NotText(String),
    #[error("{0} has an open bracket")]
    OpenBracket(String),
    #[error("{0} has two values")]
    Disputed(String),
    #[error("too many keys")]
    TooMany,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IbootSerial {
    /// Security domain; first on newer boot code, absent before.
    pub sdom: Option<u32>,
    /// Absent on the oldest only: [`IbootSerial::chip`] knows what that means.
    pub cpid: Option<Cpid>,
    pub cprv: Option<u32>,
    /// Bit 0 security, bit 1 production: 3 in every shop.
    pub cpfm: Option<u32>,
    pub scep: Option<u32>,
    pub bdid: Option<Bdid>,
    /// Instead of `bdid` in Port DFU.
    pub long_board: Option<LongBoard>,
    /// As it stands there; see [`IbootSerial::device_ecid`].
    pub ecid: Option<Ecid>,
    /// See [`IBFL_IMG4`], [`IBFL_IBOOT`].
    pub ibfl: Option<u32>,
    /// From A16 and M4 on.
    pub sika: Option<u32>,
    /// Serial number of the device; recovery only.
    pub srnm: Option<String>,
    /// Old phones in recovery.
    pub imei: Option<String>,
    /// Tag of the SecureROM, e.g. `iBoot-6338.0.0.200.19`: gone as soon as iBSS runs.
    pub srtg: Option<String>,
    /// Port DFU only.
    pub prev: Option<u32>,
    /// Keys that this list does not know, in their order, brackets kept.
    pub others: Vec<(String, String)>,
}

impl IbootSerial {
    /// Takes every sound field; the flaws say what was left out.
    pub fn read(text: &str) -> (IbootSerial, Vec<Flaw>) {
        let mut serial = IbootSerial::default();
        if text.len() > TEXT_CAP {
            return (serial, vec![Flaw::TooLong(text.len())]);
        }
        let mut flaws = Vec::new();
        let mut seen: Vec<(String, &str)> = Vec::new();
        let mut rest = text.trim_matches([' ', '\0']);
        if rest.is_empty() {
            flaws.push(Flaw::Empty);
        }
        while !rest.is_empty() {
            let (word, after) = pair(rest);
            rest = after.trim_start_matches(' ');
            let (key, value) = match word {
                Ok((key, value)) => (key.to_ascii_uppercase(), value),
                Err(flaw) => {
                    flaws.push(flaw);
                    continue;
                }
            };
            match seen.iter().find(|(k, _)| *k == key) {
                Some((_, before)) if before.eq_ignore_ascii_case(value) => continue,
                Some(_) => {
                    serial.forget(&key);
                    flaws.push(Flaw::Disputed(key));
                    continue;
                }
                None if seen.len() > OTHERS_CAP => {
                    flaws.push(Flaw::TooMany);
                    break;
                }
                None => seen.push((key.clone(), value)),
            }
            if let Err(flaw) = serial.take(&key, value) {
                flaws.push(flaw);
            }
        }
        (serial, flaws)
    }

    /// The chip; a string without CPID is the first iPhone's.
    pub fn chip(&self) -> Cpid {
        self.cpid.unwrap_or(Cpid(0x8900))
    }

    /// Chip and board of the phone itself, also behind a port controller.
    pub fn application_processor(&self) -> (Option<Cpid>, Option<Bdid>) {
        match self.long_board {
            Some(board) => (board.cpid(), board.cpid().map(|_| board.bdid())),
            None => (self.cpid, self.bdid),
        }
    }

    /// The ECID if it is the phone's: a port controller's is not, and zero is nobody's.
    pub fn device_ecid(&self) -> Option<Ecid> {
        self.ecid.filter(|ecid| self.long_board.is_none() && self.prev.is_none() && ecid.0 != 0)
    }

    /// In product 1227: SecureROM itself speaks, no iBSS yet.
    pub fn is_rom(&self) -> bool {
        self.srtg.is_some()
    }

    pub fn takes_img4(&self) -> bool {
        self.ibfl.is_some_and(|f| f & IBFL_IMG4 != 0)
    }

    /// iBoot runs, not SecureROM.
    pub fn is_iboot(&self) -> bool {
        self.ibfl.is_some_and(|f| f & IBFL_IBOOT != 0)
    }

    pub fn is_production(&self) -> bool {
        self.cpfm.is_none_or(|f| f & 2 != 0)
    }

    pub fn is_secure(&self) -> bool {
        self.cpfm.is_none_or(|f| f & 1 != 0)
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), Flaw> {
        let small = || u32::try_from(number(key, value)?).map_err(|_| Flaw::OverLong(key.to_owned()));
        let text = || bracketed(key, value).map(Some);
        match key {
            "SDOM" => self.sdom = Some(small()?),
            "CPID" => self.cpid = Some(Cpid(small()?)),
            "CPRV" => self.cprv = Some(small()?),
            "CPFM" => self.cpfm = Some(small()?),
            "SCEP" => self.scep = Some(small()?),
            "BDID" if value.len() > 8 => self.long_board = Some(LongBoard(number(key, value)?)),
            "BDID" => self.bdid = Some(Bdid(small()?)),
            "ECID" => self.ecid = Some(Ecid(number(key, value)?)),
            "IBFL" => self.ibfl = Some(small()?),
            "SIKA" => self.sika = Some(small()?),
            "PREV" => self.prev = Some(small()?),
            "SRNM" => self.srnm = text()?,
            "IMEI" => self.imei = text()?,
            "SRTG" => self.srtg = text()?,
            _ => {
                printable(key, value)?;
                self.others.push((key.to_owned(), value.to_owned()));
            }
        }
        Ok(())
    }

    fn forget(&mut self, key: &str) {
        match key {
            "SDOM" => self.sdom = None,
            "CPID" => self.cpid = None,
            "CPRV" => self.cprv = None,
            "CPFM" => self.cpfm = None,
            "SCEP" => self.scep = None,
            "BDID" => (self.bdid, self.long_board) = (None, None),
            "ECID" => self.ecid = None,
            "IBFL" => self.ibfl = None,
            "SIKA" => self.sika = None,
            "PREV" => self.prev = None,
            "SRNM" => self.srnm = None,
            "IMEI" => self.imei = None,
            "SRTG" => self.srtg = None,
            _ => self.others.retain(|(k, _)| k != key),
        }
    }
}

/// One to sixteen digits; no sign, no prefix.
fn number(key: &str, value: &str) -> Result<u64, Flaw> {
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Flaw::NotHex(key.to_owned()));
    }
    let digits = if value.len() > 16 { None } else { u64::from_str_radix(value, 16).ok() };
    digits.ok_or_else(|| Flaw::OverLong(key.to_owned()))
}

fn printable(key: &str, value: &str) -> Result<(), Flaw> {
    if value.len() > VALUE_CAP {
        return Err(Flaw::OverLong(key.to_owned()));
    }
    let prints = value.bytes().all(|b| (b' '..=b'~').contains(&b));
    if prints { Ok(()) } else { Err(Flaw::NotText(key.to_owned())) }
}

fn bracketed(key: &str, value: &str) -> Result<String, Flaw> {
    printable(key, value)?;
    let inner = value.strip_prefix('[').and_then(|v| v.strip_suffix(']'));
    // It is written with brackets, and must be readable again.
    if inner.unwrap_or(value).len() > VALUE_CAP - 2 {
        return Err(Flaw::OverLong(key.to_owned()));
    }
    let bare = Some(value).filter(|v| !v.contains(['[', ']']));
    inner.or(bare).map(str::to_owned).ok_or_else(|| Flaw::NotText(key.to_owned()))
}

/// Cuts `KEY:VALUE` or `KEY:[any text]` off the front; what is neither goes up to the next blank.
fn pair(text: &str) -> (Result<(&str, &str), Flaw>, &str) {
    let blank = text.find(' ').unwrap_or(text.len());
    let (word, after) = text.split_at(blank);
    let Some((key, value)) = word.split_once(':') else { return (Err(Flaw::NoKey), after) };
    if key.is_empty() || key.len() > KEY_CAP || !key.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return (Err(Flaw::NoKey), after);
    }
    if !value.starts_with('[') {
        return (Ok((key, value)), after);
    }
    let from = key.len() + 1;
    match text.get(from..).and_then(|rest| rest.find(']')) {
        Some(at) => {
            let (word, after) = text.split_at(from + at + 1);
            (Ok((key, word.get(from..).unwrap_or_default())), after)
        }
        None => (Err(Flaw::OpenBracket(key.to_ascii_uppercase())), after),
    }
}

impl FromStr for IbootSerial {
    type Err = WireError;

    /// The strict reading, for who must have it all.
    ///
    /// # Errors
    /// The first flaw.
    fn from_str(text: &str) -> Result<Self, WireError> {
        let (serial, flaws) = IbootSerial::read(text);
        match flaws.into_iter().next() {
            None => Ok(serial),
            Some(Flaw::TooLong(length)) => {
                Err(WireError::TooLong { what: "iBoot serial", length: length as u64, cap: TEXT_CAP as u64 })
            }
            Some(flaw) => Err(WireError::malformed("iBoot serial", flaw.to_string())),
        }
    }
}

impl fmt::Display for IbootSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<String> = Vec::new();
        let mut number = |key: &str, value: Option<u64>, width: usize| {
            words.extend(value.map(|v| format!("{key}:{v:0width$X}")));
        };
        let of = |v: Option<u32>| v.map(u64::from);
        number("SDOM", of(self.sdom), 2);
        number("CPID", of(self.cpid.map(|c| c.0)), 4);
        let bdid = of(self.bdid.map(|b| b.0));
        let ecid = self.ecid.map(|e| e.0);
        if let Some(board) = self.long_board {
            number("BDID", Some(board.0), 16);
            number("ECID", ecid, 16);
            number("CPFM", of(self.cpfm), 2);
            number("SCEP", of(self.scep), 2);
            number("CPRV", of(self.cprv), 2);
        } else {
            number("CPRV", of(self.cprv), 2);
            number("CPFM", of(self.cpfm), 2);
            number("SCEP", of(self.scep), 2);
            number("BDID", bdid, 2);
            number("ECID", ecid, 16);
        }
        number("IBFL", of(self.ibfl), 2);
        number("SIKA", of(self.sika), 2);
        for (key, value) in [("SRNM", &self.srnm), ("IMEI", &self.imei), ("SRTG", &self.srtg)] {
            words.extend(value.as_ref().map(|v| format!("{key}:[{v}]")));
        }
        words.extend(self.prev.map(|v| format!("PREV:{v:02X}")));
        words.extend(self.others.iter().map(|(key, value)| format!("{key}:{value}")));
        f.write_str(&words.join(" "))
    }
}
