//! The words that name a device, a chip or a build.
//!
//! Each is a newtype that parses what the field writes and prints as the field writes it, so that a log
//! line of Herstel can be searched for in anybody else's log. ECID is the only name that lasts over all
//! modes of a device (facts: recovery and DFU give it in the USB serial string, lockdown as
//! `UniqueChipID`, restored as `HardwareInfo.UniqueChipID`).

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A text that is not what the field writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}")]
pub struct NotA {
    what: &'static str,
    text: String,
}

impl NotA {
    fn new(what: &'static str, text: &str) -> Self {
        Self { what, text: text.chars().take(80).collect() }
    }
}

/// Digits only: the standard library would take a plus sign too.
fn hex_or_dec(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok().filter(|_| hex.bytes().all(|b| b.is_ascii_hexdigit())),
        None => text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit())),
    }
}

macro_rules! serde_as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

/// Exclusive chip identification: 64 bits, unique per device, the same in every mode. Prints `0x1A2B…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ecid(pub u64);

impl fmt::Display for Ecid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:X}", self.0)
    }
}

impl FromStr for Ecid {
    type Err = NotA;
    /// Takes `0x…` hexadecimal or plain decimal, as idevicerestore and lockdown print it.
    fn from_str(text: &str) -> Result<Self, NotA> {
        hex_or_dec(text).map(Ecid).ok_or_else(|| NotA::new("an ECID", text))
    }
}
serde_as_text!(Ecid);

/// Chip identifier, e.g. `0x8110` (A15).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpid(pub u32);

/// Board identifier: with [`Cpid`] it names the board.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bdid(pub u32);

impl fmt::Display for Cpid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:04X}", self.0)
    }
}

impl fmt::Display for Bdid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:02X}", self.0)
    }
}

impl FromStr for Cpid {
    type Err = NotA;
    fn from_str(text: &str) -> Result<Self, NotA> {
        hex_or_dec(text).and_then(|v| u32::try_from(v).ok()).map(Cpid).ok_or_else(|| NotA::new("a CPID", text))
    }
}

impl FromStr for Bdid {
    type Err = NotA;
    fn from_str(text: &str) -> Result<Self, NotA> {
        hex_or_dec(text).and_then(|v| u32::try_from(v).ok()).map(Bdid).ok_or_else(|| NotA::new("a BDID", text))
    }
}
serde_as_text!(Cpid);
serde_as_text!(Bdid);

/// The UDID of normal mode: 40 hex digits, or `CHIPID-ECID` (8 + dash + 16) since A12.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Udid(String);

impl Udid {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The ECID inside a new-form UDID; old ones are a digest and hold none. Zero is nobody's.
    pub fn ecid(&self) -> Option<Ecid> {
        let (_, ecid) = self.0.split_once('-')?;
        u64::from_str_radix(ecid, 16).ok().filter(|ecid| *ecid != 0).map(Ecid)
    }

    /// The chip inside a new-form UDID.
    pub fn cpid(&self) -> Option<Cpid> {
        let (chip, _) = self.0.split_once('-')?;
        u32::from_str_radix(chip, 16).ok().map(Cpid)
    }

    /// The form that the USB serial string of normal mode carries: without the dash.
    pub fn usb_serial(&self) -> String {
        self.0.replace('-', "")
    }
}

fn is_stand_in(text: &str) -> bool {
    let fill = text.bytes().take_while(|b| b.eq_ignore_ascii_case(&b'f')).count();
    fill >= 32 || text.bytes().all(|b| b == b'0')
}

impl fmt::Display for Udid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Udid {
    type Err = NotA;
    /// Takes 40 hex digits, `XXXXXXXX-XXXXXXXXXXXXXXXX`, or the latter without its dash (USB serial). What the
    /// restore ramdisk shows instead (32 times `f` and a counter) names nobody and is no UDID.
    fn from_str(text: &str) -> Result<Self, NotA> {
        let hex = |s: &str| s.bytes().all(|b| b.is_ascii_hexdigit());
        match text.len() {
            40 if is_stand_in(text) => Err(NotA::new("a UDID but a stand-in for one", text)),
            40 if hex(text) => Ok(Udid(text.to_ascii_lowercase())),
            25 if text.as_bytes()[8] == b'-' && hex(&text[..8]) && hex(&text[9..]) => {
                Ok(Udid(text.to_ascii_uppercase()))
            }
            24 if hex(text) => Ok(Udid(format!("{}-{}", &text[..8], &text[8..]).to_ascii_uppercase())),
            _ => Err(NotA::new("a UDID", text)),
        }
    }
}
serde_as_text!(Udid);

macro_rules! plain_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub String);
        impl $name {
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = std::convert::Infallible;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ok(Self(text.to_owned()))
            }
        }
        serde_as_text!($name);
    };
}

plain_text!(
    /// What Apple sells it as to software, e.g. `iPhone14,5`.
    ProductType
);
plain_text!(
    /// Where a device hangs on the bus, e.g. `1-1.4`: lasts over re-enumeration, not over replugging elsewhere.
    PortPath
);

/// A build number such as `24A446`: sorts by train, letter, number, suffix, never as text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildId {
    pub train: u32,
    pub letter: char,
    pub number: u32,
    pub suffix: String,
}

impl BuildId {
    /// Builds with a trailing lower-case letter, or 5000 and up after the letter, are not for customers.
    pub fn is_prerelease(&self) -> bool {
        !self.suffix.is_empty() || self.number >= 5000
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}{}", self.train, self.letter, self.number, self.suffix)
    }
}

impl FromStr for BuildId {
    type Err = NotA;
    fn from_str(text: &str) -> Result<Self, NotA> {
        let err = || NotA::new("a build number", text);
        let letter_at = text.find(|c: char| c.is_ascii_uppercase()).ok_or_else(err)?;
        let rest = &text[letter_at + 1..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let suffix = &rest[digits..];
        if suffix.len() > 1 || suffix.bytes().any(|b| !b.is_ascii_lowercase()) {
            return Err(err());
        }
        Ok(BuildId {
            train: text[..letter_at].parse().map_err(|_| err())?,
            letter: char::from(text.as_bytes()[letter_at]),
            number: rest[..digits].parse().map_err(|_| err())?,
            suffix: suffix.to_owned(),
        })
    }
}
serde_as_text!(BuildId);

/// A product version such as `16.7.16`: sorts by its numbers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub Vec<u32>);

impl Version {
    pub fn major(&self) -> u32 {
        self.0.first().copied().unwrap_or(0)
    }

    /// An end of a range, as tables write it: `-` is open, anything else has to be a version.
    pub fn bound(field: &str) -> Option<Option<Version>> {
        if field == "-" { Some(None) } else { field.parse().ok().map(Some) }
    }

    /// From `since` on, and below `before`.
    pub fn within(&self, since: Option<&Version>, before: Option<&Version>) -> bool {
        since.is_none_or(|since| self >= since) && before.is_none_or(|before| self < before)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            write!(f, "{part}")?;
        }
        Ok(())
    }
}

impl FromStr for Version {
    type Err = NotA;
    fn from_str(text: &str) -> Result<Self, NotA> {
        let parts: Option<Vec<u32>> = text.split('.').map(|p| p.parse().ok()).collect();
        match parts {
            Some(parts) if parts.len() <= 6 => Ok(Version(parts)),
            _ => Err(NotA::new("a version", text)),
        }
    }
}
serde_as_text!(Version);

/// The mode that a device is seen in. Printed in lower case with dashes, as the JSON of `list` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    Normal,
    Recovery,
    Dfu,
    Wtf,
    PortDfu,
    Kis,
    Restore,
    Unknown,
}

impl Mode {
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Normal => "normal",
            Mode::Recovery => "recovery",
            Mode::Dfu => "dfu",
            Mode::Wtf => "wtf",
            Mode::PortDfu => "port-dfu",
            Mode::Kis => "kis",
            Mode::Restore => "restore",
            Mode::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ecid_prints_as_the_field_writes_it() {
        let ecid: Ecid = "0x1a2b3c4d5e6f".parse().unwrap();
        assert_eq!(ecid.to_string(), "0x1A2B3C4D5E6F");
        assert_eq!("28772997619311".parse::<Ecid>().unwrap(), ecid);
        for bad in ["0x", "+5", "0x+5", "-1", " 5", "0x1FFFFFFFFFFFFFFFF"] {
            assert!(bad.parse::<Ecid>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn udid_has_two_forms_and_one_of_them_holds_the_ecid() {
        let new: Udid = "00008110-001a2b3c4d5e6f01".parse().unwrap();
        assert_eq!(new.as_str(), "00008110-001A2B3C4D5E6F01");
        assert_eq!(new.ecid(), Some(Ecid(0x1A2B3C4D5E6F01)));
        assert_eq!(new.usb_serial().parse::<Udid>().unwrap(), new);
        let old: Udid = "FA7290E4FA7290E4FA7290E4FA7290E4FA7290E4".parse().unwrap();
        assert_eq!(old.ecid(), None);
        for bad in ["", "x", "../../../../../../../../../../../etc/pwd", "00008110+001A2B3C4D5E6F01"] {
            assert!(bad.parse::<Udid>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_udid_names_one_device_or_is_none() {
        let mac: Udid = "00006030-001031811A281234".parse().unwrap();
        assert_eq!((mac.cpid(), mac.ecid()), (Some(Cpid(0x6030)), Some(Ecid(0x10_3181_1A28_1234))));
        for counter in ["00000007", "00000022", "00000001"] {
            assert!(format!("{}{counter}", "f".repeat(32)).parse::<Udid>().is_err());
            assert!(format!("{}{counter}", "F".repeat(32)).parse::<Udid>().is_err());
        }
        assert!("0".repeat(40).parse::<Udid>().is_err());
        let nobody: Udid = "00008110-0000000000000000".parse().unwrap();
        assert_eq!(nobody.ecid(), None);
    }

    #[test]
    fn builds_sort_as_apple_numbers_them() {
        let b = |t: &str| t.parse::<BuildId>().unwrap();
        assert!(b("9A405") < b("17A1"));
        assert!(b("24A446") < b("24B50"));
        assert!(b("24A99") < b("24A446"));
        assert!(b("24A5300a").is_prerelease() && !b("24A446").is_prerelease());
        assert!("24A446..".parse::<BuildId>().is_err());
    }
}
