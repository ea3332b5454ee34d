//! String descriptor 1: the nonces of the present boot stage.
//!
//! A ticket is bound to them, so nothing is guessed here: two that differ, or half a byte, are an error.

use super::TEXT_CAP;
use crate::wire::WireError;
use std::fmt;
use std::str::FromStr;

/// Longest nonce taken, in bytes.
const NONCE_CAP: usize = 64;

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
    /// No nonce in it, one that is not whole hexadecimal bytes, or two that differ.
    fn from_str(text: &str) -> Result<Self, WireError> {
        if text.len() > TEXT_CAP {
            let (length, cap) = (text.len() as u64, TEXT_CAP as u64);
            return Err(WireError::TooLong { what: "nonce string", length, cap });
        }
        let mut nonces = Nonces::default();
        let once = |slot: &mut Option<Vec<u8>>, bytes: Vec<u8>| match slot.replace(bytes) {
            Some(before) if slot.as_ref() != Some(&before) => Err(WireError::malformed("nonce string", "two nonces")),
            _ => Ok(()),
        };
        for word in text.split([' ', '\0']).filter(|w| !w.is_empty()) {
            let (key, value) =
                word.split_once(':').ok_or_else(|| WireError::malformed("nonce string", "a word without a colon"))?;
            let slot = match key.to_ascii_uppercase().as_str() {
                "NONC" => &mut nonces.ap,
                "SNON" => &mut nonces.sep,
                _ => continue,
            };
            let bytes = hex_bytes(value).filter(|b| !b.is_empty());
            once(slot, bytes.ok_or_else(|| WireError::malformed("nonce string", "not hexadecimal bytes"))?)?;
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
    fn nonces_of_all_generations() {
        let new = format!("NONC:{} SNON:{}", "AB".repeat(32), "CD".repeat(20));
        let nonces: Nonces = new.parse().unwrap();
        assert_eq!(nonces.ap.as_deref(), Some(&[0xAB; 32][..]));
        assert_eq!(nonces.to_string(), new);
        // An A4 after iBSS: a blank in front, 46 characters, no SEP.
        let a4 = " NONC:977A728CA4DEC7636470F3A78D2D8DD9A2540123";
        let nonces: Nonces = a4.parse().unwrap();
        assert_eq!((a4.len(), nonces.ap.as_ref().map(Vec::len), &nonces.sep), (46, Some(20), &None));
        assert_eq!(nonces.with_leading_blank(), a4);
        // An A5's ROM gives eight bytes.
        let a5: Nonces = " NONC:B70EB736E03A487D".parse().unwrap();
        assert_eq!(a5.ap.as_deref(), Some(&[0xB7, 0x0E, 0xB7, 0x36, 0xE0, 0x3A, 0x48, 0x7D][..]));
    }

    #[test]
    fn what_is_no_nonce_is_an_error() {
        for text in [
            "",
            "NONC:",
            "NONC:ABC",
            "NONC:zz",
            "NONC:+1",
            "Apple Mobile Device",
            "FOO:AB",
            "NONC:AA NONC:BB",
            "NONC AA",
        ] {
            assert!(text.parse::<Nonces>().is_err(), "{text:?}");
        }
        assert!(format!("NONC:{}", "AB".repeat(NONCE_CAP + 1)).parse::<Nonces>().is_err());
        assert!(format!("NONC:AB{}", " ".repeat(TEXT_CAP)).parse::<Nonces>().is_err());
        let fine: Nonces = "NONC:aabb FOO:zz NONC:AABB\0".parse().unwrap();
        assert_eq!(fine.ap.as_deref(), Some(&[0xAA, 0xBB][..]));
    }

    fn nonce() -> impl Strategy<Value = Option<Vec<u8>>> {
        prop::option::of(prop::collection::vec(any::<u8>(), 1..=NONCE_CAP))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ap in nonce(), sep in nonce()) {
            let nonces = Nonces { ap, sep };
            if nonces != Nonces::default() {
                prop_assert_eq!(nonces.to_string().parse::<Nonces>(), Ok(nonces.clone()));
                prop_assert_eq!(nonces.with_leading_blank().parse::<Nonces>(), Ok(nonces));
            }
        }

        #[test]
        fn any_text_gives_a_bounded_answer(text in "(SNON|NONC|:|[0-9A-Fa-f]{1,40}| |\\PC){0,60}") {
            if let Ok(nonces) = text.parse::<Nonces>() {
                for bytes in [nonces.ap, nonces.sep].into_iter().flatten() {
                    prop_assert!((1..=NONCE_CAP).contains(&bytes.len()));
                }
            }
        }
    }
}
