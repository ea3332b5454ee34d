//! Certificates of a pair record, as libimobiledevice makes them.
//!
//! A self-signed root, a host certificate and a device certificate under it: X.509 v3, serial 0, empty
//! names, sha256WithRSA. That is so little DER that it is written out here; the tags are the whole grammar.
//! Keys stay with whoever signs: the host makes these for real, the bench as if it had been one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{Timestamp, tz::TimeZone};

const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const NULL: [u8; 2] = [0x05, 0x00];
const TRUE: [u8; 3] = [0x01, 0x01, 0xFF];

const RSA_ENCRYPTION: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];
const SHA256_WITH_RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0B];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 0x13];
const KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x0F];

/// PEM with lines of 64.
pub fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n").into_bytes();
    for line in text.as_bytes().chunks(64) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.extend_from_slice(format!("-----END {label}-----\n").as_bytes());
    out
}

/// The DER inside a PEM of this label; none when it is not one.
pub fn unpem(label: &str, pem: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?;
    let (_, after) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (inner, _) = after.split_once(&format!("-----END {label}-----"))?;
    let inner: String = inner.split_ascii_whitespace().collect();
    STANDARD.decode(inner).ok()
}

/// Could this be a public key as PKCS#1 has it: one sequence of two integers, of 512 to 8192 bits?
pub fn is_rsa_public(der: &[u8]) -> bool {
    let Some((content, rest)) = element(SEQUENCE, der) else { return false };
    let Some((modulus, exponent)) = element(INTEGER, content) else { return false };
    let whole = element(INTEGER, exponent).is_some_and(|(e, rest)| rest.is_empty() && (1..=8).contains(&e.len()));
    rest.is_empty() && whole && (64..=1025).contains(&modulus.len())
}

/// The content of the element that `der` begins with, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match head[1] {
        short @ 0..=0x7F => (usize::from(short), rest),
        0x81 => rest.split_first().map(|(n, rest)| (usize::from(*n), rest))?,
        0x82 => rest.split_first_chunk::<2>().map(|(n, rest)| (usize::from(u16::from_be_bytes(*n)), rest))?,
        _ => return None,
    };
    if head[0] == tag { rest.split_at_checked(length) } else { None }
}

fn tlv(tag: u8, pieces: &[&[u8]]) -> Vec<u8> {
    let content = pieces.concat();
    let mut out = vec![tag];
    match content.len() {
        n @ 0..=0x7F => out.push(n as u8),
        n @ 0x80..=0xFF => out.extend_from_slice(&[0x81, n as u8]),
        n => {
            let [.., high, low] = n.to_be_bytes();
            out.extend_from_slice(&[0x82, high, low]);
        }
    }
    out.extend_from_slice(&content);
    out
}

fn bits(content: &[u8]) -> Vec<u8> {
    tlv(BITS, &[&[0], content])
}

fn algorithm(oid: &[u8]) -> Vec<u8> {
    tlv(SEQUENCE, &[&tlv(OID, &[oid]), &NULL])
}

fn extension(oid: &[u8], value: &[u8]) -> Vec<u8> {
    tlv(SEQUENCE, &[&tlv(OID, &[oid]), &TRUE, &tlv(OCTETS, &[value])])
}

fn time(at: Timestamp) -> Vec<u8> {
    let text = at.to_zoned(TimeZone::UTC).strftime("%y%m%d%H%M%SZ").to_string();
    tlv(UTC_TIME, &[text.as_bytes()])
}

/// What a certificate says.
pub struct Certificate<'a> {
    /// The public key, PKCS#1 `RSAPublicKey` in DER.
    pub subject: &'a [u8],
    /// May it sign others? The rest may sign handshakes and wrap keys.
    pub authority: bool,
    /// Years from 1950 to 2049 only.
    pub from: Timestamp,
    pub until: Timestamp,
}

impl Certificate<'_> {
    /// The whole in DER; `sign` gives the issuer's RSA signature (PKCS#1 v1.5, SHA-256) of what it is given.
    ///
    /// # Errors
    /// Those of `sign`.
    pub fn signed<E>(&self, sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>) -> Result<Vec<u8>, E> {
        let name = tlv(SEQUENCE, &[]);
        let key_info = tlv(SEQUENCE, &[&algorithm(RSA_ENCRYPTION), &bits(self.subject)]);
        let extensions = if self.authority {
            extension(BASIC_CONSTRAINTS, &tlv(SEQUENCE, &[&TRUE]))
        } else {
            // digitalSignature and keyEncipherment; five of the eight bits are unused.
            let usage = extension(KEY_USAGE, &tlv(BITS, &[&[5, 0xA0]]));
            [extension(BASIC_CONSTRAINTS, &tlv(SEQUENCE, &[])), usage].concat()
        };
        let body = tlv(
            SEQUENCE,
            &[
                &tlv(0xA0, &[&tlv(INTEGER, &[&[2]])]),
                &tlv(INTEGER, &[&[0]]),
                &algorithm(SHA256_WITH_RSA),
                &name,
                &tlv(SEQUENCE, &[&time(self.from), &time(self.until)]),
                &name,
                &key_info,
                &tlv(0xA3, &[&tlv(SEQUENCE, &[&extensions])]),
            ],
        );
        let signature = bits(&sign(&body)?);
        Ok(tlv(SEQUENCE, &[&body, &algorithm(SHA256_WITH_RSA), &signature]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pem_comes_back_and_a_public_key_is_told_from_other_bytes() {
        let key = tlv(SEQUENCE, &[&tlv(INTEGER, &[&[7; 257]]), &tlv(INTEGER, &[&[1, 0, 1]])]);
        let text = pem("RSA PUBLIC KEY", &key);
        assert_eq!(unpem("RSA PUBLIC KEY", &text), Some(key.clone()));
        assert_eq!(unpem("CERTIFICATE", &text), None);
        assert!(is_rsa_public(&key));
        let short = tlv(SEQUENCE, &[&tlv(INTEGER, &[&[7; 20]]), &tlv(INTEGER, &[&[3]])]);
        for wrong in [&key[1..], &key[..key.len() - 1], &[&key[..], &[0]].concat(), b"", b"\x30\x82\xFF\xFF", &short] {
            assert!(!is_rsa_public(wrong), "{wrong:02X?}");
        }
    }

    #[test]
    fn a_certificate_is_der_that_others_read() {
        let subject = tlv(SEQUENCE, &[&tlv(INTEGER, &[&[7; 129]]), &tlv(INTEGER, &[&[1, 0, 1]])]);
        let (from, until) =
            (Timestamp::from_second(1_700_000_000).unwrap(), Timestamp::from_second(2_000_000_000).unwrap());
        let certificate = Certificate { subject: &subject, authority: false, from, until };
        let der = certificate.signed(|body| Ok::<_, ()>(vec![body.len() as u8; 128])).unwrap();
        let (whole, rest) = element(SEQUENCE, &der).unwrap();
        let (body, _) = element(SEQUENCE, whole).unwrap();
        assert!(rest.is_empty() && body.windows(subject.len()).any(|w| w == subject));
        assert!(body.windows(13).any(|w| w == b"231114221320Z"));
    }
}
