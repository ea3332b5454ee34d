//! What iBoot and SecureROM say of themselves in USB strings, and the few requests that they take.
//!
//! Two strings matter. The serial number (`iSerial`, index 4) is a line of `KEY:VALUE` pairs that names
//! chip, board and ECID in recovery and DFU; values are hexadecimal without `0x`, texts stand in square
//! brackets. String descriptor 1 holds the nonces of this boot stage. Both come from the device, so both
//! are read leniently (any order, any case, unknown keys kept) and capped; they are written as the field
//! writes them, which is how the bench shows them.
//!
//! Commands are NUL-terminated texts in a vendor control request. Uploads are a start request and bulk
//! pieces; iBoot sees the end of an upload by a short packet only, so a length that is a multiple of the
//! packet size needs a zero-length packet behind it.

use super::WireError;
use crate::ids::{Bdid, Cpid, Ecid};
use std::fmt;
use std::str::FromStr;

/// String descriptor that holds the nonces in recovery and DFU.
pub const NONCE_STRING: u8 = 1;
/// String descriptor that holds [`IbootSerial`] on every device seen (`iSerial`).
pub const SERIAL_STRING: u8 = 4;
/// The only configuration of recovery and DFU.
pub const CONFIGURATION: u8 = 1;

/// `bmRequestType` of a command.
pub const COMMAND_TYPE: u8 = 0x40;
/// `bRequest` of a command that is answered before it runs on.
pub const COMMAND: u8 = 0;
/// `bRequest` of a command that never comes back (`go`, `bootx`, `reset`, `memboot`).
pub const COMMAND_BLIND: u8 = 1;
/// A command with its NUL is shorter than this.
pub const COMMAND_CAP: usize = 0x100;
/// `bmRequestType` of the read that fetches what `getenv` found; `bRequest` is 0.
pub const VALUE_TYPE: u8 = 0xC0;
/// Bytes to ask for in that read.
pub const VALUE_LENGTH: u16 = 255;
/// `bmRequestType` and `bRequest` of "finish transfer", which follows `go` and the kernel cache; no data.
pub const FINISH_TYPE: u8 = 0x21;
pub const FINISH: u8 = 1;
/// `bmRequestType` and `bRequest` that open an upload; no data.
pub const UPLOAD_TYPE: u8 = 0x41;
pub const UPLOAD: u8 = 0;
/// Bulk OUT endpoint of uploads.
pub const UPLOAD_ENDPOINT: u8 = 0x04;
/// Bytes of one bulk transfer.
pub const UPLOAD_PIECE: usize = 0x8000;
/// Packet size of that endpoint at high speed.
pub const UPLOAD_PACKET: usize = 512;

/// `IBFL`: boot components are IMG4.
pub const IBFL_IMG4: u32 = 0x04;
/// `IBFL`: set by iBoot, clear in SecureROM.
pub const IBFL_IBOOT: u32 = 0x01;

/// Longest text taken for a serial or nonce string; USB itself cannot carry more than 126 characters.
const TEXT_CAP: usize = 1024;
const OTHERS_CAP: usize = 32;
const NONCE_CAP: usize = 64;

/// Must a zero-length packet follow an upload of `length` bytes?
pub const fn needs_zero_packet(length: u64) -> bool {
    length.is_multiple_of(UPLOAD_PACKET as u64)
}

/// The `bRequest` that a command goes out with.
pub fn request_of(command: &str) -> u8 {
    match command.split_whitespace().next() {
        Some("go" | "bootx" | "reset" | "memboot") => COMMAND_BLIND,
        _ => COMMAND,
    }
}

/// A command as its control data: the text and a NUL.
///
/// # Errors
/// A NUL inside, or a text of 255 bytes and more.
pub fn encode_command(command: &str) -> Result<Vec<u8>, WireError> {
    if command.len() + 1 >= COMMAND_CAP {
        let (length, cap) = (command.len() as u64, COMMAND_CAP as u64 - 2);
        return Err(WireError::TooLong { what: "iBoot command", length, cap });
    }
    if command.bytes().any(|b| b == 0) {
        return Err(WireError::malformed("iBoot command", "NUL inside"));
    }
    let mut bytes = command.as_bytes().to_vec();
    bytes.push(0);
    Ok(bytes)
}

/// A command or an environment value: the text up to the first NUL.
///
/// # Errors
/// Longer than [`COMMAND_CAP`], or not UTF-8.
pub fn decode_text(bytes: &[u8]) -> Result<&str, WireError> {
    if bytes.len() > COMMAND_CAP {
        let (length, cap) = (bytes.len() as u64, COMMAND_CAP as u64);
        return Err(WireError::TooLong { what: "iBoot text", length, cap });
    }
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end]).map_err(|e| WireError::malformed("iBoot text", e.to_string()))
}

/// The USB serial number of recovery and DFU.
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
    /// Port DFU only; its order of keys differs too.
    pub prev: Option<u32>,
    /// Keys that this list does not know, in their order, brackets kept.
    pub others: Vec<(String, String)>,
}

impl IbootSerial {
    /// The chip; a string without CPID is the first iPhone's.
    pub fn chip(&self) -> Cpid {
        self.cpid.unwrap_or(Cpid(0x8900))
    }

    /// In product 1227: SecureROM itself speaks, no iBSS yet.
    pub fn is_rom(&self) -> bool {
        self.srtg.is_some()
    }

    pub fn takes_img4(&self) -> bool {
        self.ibfl.is_some_and(|f| f & IBFL_IMG4 != 0)
    }

    pub fn is_production(&self) -> bool {
        self.cpfm.is_none_or(|f| f & 2 != 0)
    }

    pub fn is_secure(&self) -> bool {
        self.cpfm.is_none_or(|f| f & 1 != 0)
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), WireError> {
        let number = || u64::from_str_radix(value, 16).map_err(|_| bad(key, value));
        let small = || number().and_then(|n| u32::try_from(n).map_err(|_| bad(key, value)));
        let text = || Some(unbracket(value).to_owned());
        match key {
            "SDOM" => self.sdom = Some(small()?),
            "CPID" => self.cpid = Some(Cpid(small()?)),
            "CPRV" => self.cprv = Some(small()?),
            "CPFM" => self.cpfm = Some(small()?),
            "SCEP" => self.scep = Some(small()?),
            "BDID" => self.bdid = Some(Bdid(small()?)),
            "ECID" => self.ecid = Some(Ecid(number()?)),
            "IBFL" => self.ibfl = Some(small()?),
            "SIKA" => self.sika = Some(small()?),
            "PREV" => self.prev = Some(small()?),
            "SRNM" => self.srnm = text(),
            "IMEI" => self.imei = text(),
            "SRTG" => self.srtg = text(),
            _ if self.others.len() < OTHERS_CAP => self.others.push((key.to_owned(), value.to_owned())),
            _ => return Err(WireError::malformed("iBoot serial", "too many keys")),
        }
        Ok(())
    }
}

fn bad(key: &str, value: &str) -> WireError {
    let value: String = value.chars().take(40).collect();
    WireError::malformed("iBoot serial", format!("{key}:{value} is not hexadecimal"))
}

fn unbracket(value: &str) -> &str {
    value.strip_prefix('[').map_or(value, |v| v.strip_suffix(']').unwrap_or(v))
}

/// Cuts `KEY:VALUE` or `KEY:[any text]` off the front.
fn pair(text: &str) -> Result<(&str, &str, &str), WireError> {
    let (key, rest) =
        text.split_once(':').ok_or_else(|| WireError::malformed("iBoot serial", "a word without a colon"))?;
    if key.is_empty() || key.len() > 8 || !key.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(WireError::malformed("iBoot serial", "a key that is none"));
    }
    let end = if rest.starts_with('[') {
        rest.find(']').map(|at| at + 1).ok_or_else(|| WireError::malformed("iBoot serial", "an open bracket"))?
    } else {
        rest.find(' ').unwrap_or(rest.len())
    };
    let (value, rest) = rest.split_at(end);
    Ok((key, value, rest.trim_start_matches(' ')))
}

impl FromStr for IbootSerial {
    type Err = WireError;

    /// # Errors
    /// No pair at all, a value that is not hexadecimal where it must be, an open bracket, an absurd length.
    fn from_str(text: &str) -> Result<Self, WireError> {
        if text.len() > TEXT_CAP {
            let (length, cap) = (text.len() as u64, TEXT_CAP as u64);
            return Err(WireError::TooLong { what: "iBoot serial", length, cap });
        }
        let mut serial = IbootSerial::default();
        let mut rest = text.trim_matches([' ', '\0']);
        if rest.is_empty() {
            return Err(WireError::malformed("iBoot serial", "empty"));
        }
        while !rest.is_empty() {
            let (key, value, after) = pair(rest)?;
            serial.take(&key.to_ascii_uppercase(), value)?;
            rest = after;
        }
        Ok(serial)
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
        if self.prev.is_some() {
            number("BDID", bdid, 16);
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

/// What string descriptor 1 holds: the nonces of the present boot stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nonces {
    /// 20 bytes up to A9, 32 from A10 on; some 32-bit ROMs give 8.
    pub ap: Option<Vec<u8>>,
    /// 20 bytes; none before A7.
    pub sep: Option<Vec<u8>>,
}

impl Nonces {
    /// The text with the blank in front that an A4 writes.
    pub fn with_leading_blank(&self) -> String {
        format!(" {self}")
    }
}

fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || text.len() > NONCE_CAP * 2 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

impl FromStr for Nonces {
    type Err = WireError;

    /// # Errors
    /// No nonce in it, or one that is not whole hexadecimal bytes.
    fn from_str(text: &str) -> Result<Self, WireError> {
        if text.len() > TEXT_CAP {
            let (length, cap) = (text.len() as u64, TEXT_CAP as u64);
            return Err(WireError::TooLong { what: "nonce string", length, cap });
        }
        let mut nonces = Nonces::default();
        for word in text.split([' ', '\0']).filter(|w| !w.is_empty()) {
            let (key, value) =
                word.split_once(':').ok_or_else(|| WireError::malformed("nonce string", "a word without a colon"))?;
            let bytes = hex_bytes(value).filter(|b| !b.is_empty());
            let bytes = bytes.ok_or_else(|| WireError::malformed("nonce string", "not hexadecimal bytes"));
            match key.to_ascii_uppercase().as_str() {
                "NONC" => nonces.ap = Some(bytes?),
                "SNON" => nonces.sep = Some(bytes?),
                _ => {}
            }
        }
        if nonces.ap.is_none() && nonces.sep.is_none() {
            return Err(WireError::malformed("nonce string", "no nonce in it"));
        }
        Ok(nonces)
    }
}

impl fmt::Display for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        for (key, value) in [("NONC", &self.ap), ("SNON", &self.sep)] {
            let Some(value) = value else { continue };
            write!(f, "{gap}{key}:")?;
            for byte in value {
                write!(f, "{byte:02X}")?;
            }
            gap = " ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn strings_of_real_devices_round_trip() {
        for text in [
            "CPID:7000 CPRV:11 CPFM:03 SCEP:01 BDID:06 ECID:00022D3C10981234 IBFL:1C SRTG:[iBoot-1992.0.0.1.19]",
            "SDOM:01 CPID:8110 CPRV:11 CPFM:03 SCEP:01 BDID:0A ECID:001A2B3C4D5E6F70 IBFL:3C SRTG:[iBoot-6338.0.0.200.19]",
            "SDOM:01 CPID:8120 CPRV:11 CPFM:03 SCEP:01 BDID:0E ECID:001A2B3C4D5E6F70 IBFL:3C SIKA:00 SRTG:[iBoot-7195.0.0.300.25]",
            "SDOM:01 CPID:8015 CPRV:11 CPFM:03 SCEP:01 BDID:0E ECID:000C2C6800441234 IBFL:3D SRNM:[FK1WT6BP1234]",
            "SDOM:01 CPID:0022 BDID:000000000C814000 ECID:747D1772145A1234 CPFM:03 SCEP:00 CPRV:1A3 PREV:2F",
            "CPID:8960 CPRV:11 CPFM:03 SCEP:01 BDID:0A ECID:000007F4F1561234 IBFL:1C SYSI:[a b]",
        ] {
            let serial: IbootSerial = text.parse().unwrap();
            assert_eq!(serial.to_string(), text);
        }
        let serial: IbootSerial =
            "sdom:01 cpid:8120 bdid:10 ecid:00094daa01d81234 ibfl:3d sika:00 srnm:[jxmwm71234]".parse().unwrap();
        assert_eq!((serial.chip(), serial.bdid, serial.sika), (Cpid(0x8120), Some(Bdid(0x10)), Some(0)));
        assert_eq!(serial.ecid, Some(Ecid(0x0009_4DAA_01D8_1234)));
        assert!(serial.takes_img4() && !serial.is_rom());
    }

    #[test]
    fn what_is_no_serial_is_an_error() {
        for text in [
            "",
            "   ",
            "hello",
            "CPID:",
            "CPID:80x0",
            "ECID:11112222333344445",
            "SRTG:[open",
            ":8010",
            "CPID:1FFFFFFFF",
        ] {
            assert!(text.parse::<IbootSerial>().is_err(), "{text:?}");
        }
        assert!("A:1 ".repeat(1000).parse::<IbootSerial>().is_err());
        assert!("A:1 ".repeat(40).parse::<IbootSerial>().is_err());
    }

    #[test]
    fn nonces_of_all_generations() {
        let new = format!("NONC:{} SNON:{}", "AB".repeat(32), "CD".repeat(20));
        let nonces: Nonces = new.parse().unwrap();
        assert_eq!(nonces.ap.as_deref(), Some(&[0xAB; 32][..]));
        assert_eq!(nonces.to_string(), new);
        let a4 = format!(" NONC:{}", "977A".repeat(10));
        let nonces: Nonces = a4.parse().unwrap();
        assert_eq!((nonces.ap.as_ref().map(Vec::len), &nonces.sep), (Some(20), &None));
        assert_eq!(nonces.with_leading_blank(), a4);
        for text in ["", "NONC:", "NONC:ABC", "NONC:zz", "Apple Mobile Device", "FOO:AB"] {
            assert!(text.parse::<Nonces>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn commands_are_short_and_end_with_nul() {
        assert_eq!(encode_command("go").unwrap(), b"go\0");
        assert_eq!(decode_text(b"getenv build-version\0junk").unwrap(), "getenv build-version");
        assert!(encode_command(&"x".repeat(255)).is_err() && encode_command("a\0b").is_err());
        assert_eq!((request_of("bootx"), request_of("go x"), request_of("setenv go 1")), (1, 1, 0));
        assert!(needs_zero_packet(1024) && !needs_zero_packet(1025));
    }

    proptest! {
        #[test]
        fn nothing_from_a_device_panics(text in "\\PC{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = text.parse::<IbootSerial>();
            let _ = text.parse::<Nonces>();
            let _ = decode_text(&bytes);
        }
    }
}
