//! Certificates of a pair record, as libimobiledevice makes them.
//!
//! A self-signed root, a host certificate and a device certificate under it: X.509 v3, serial 0, empty
//! names, ten years, sha256WithRSA. That is so little DER that it is written out here; the tags are the
//! whole grammar.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use std::io;

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

/// An RSA key of 2048 bits.
pub(super) struct Key(RsaKeyPair);

fn crypto<E>(_: E) -> io::Error {
    io::Error::other("the cryptographic library refused")
}

impl Key {
    pub fn generate() -> io::Result<Self> {
        RsaKeyPair::generate(KeySize::Rsa2048).map(Key).map_err(crypto)
    }

    /// PKCS#1 `RSAPublicKey`, DER.
    pub fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// PKCS#8, DER.
    pub fn private(&self) -> io::Result<Vec<u8>> {
        let der: Pkcs8V1Der<'static> = self.0.as_der().map_err(crypto)?;
        Ok(der.as_ref().to_vec())
    }

    fn sign(&self, message: &[u8]) -> io::Result<Vec<u8>> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).map_err(crypto)?;
        Ok(signature)
    }
}

/// PEM with lines of 64.
pub(super) fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n").into_bytes();
    for line in text.as_bytes().chunks(64) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.extend_from_slice(format!("-----END {label}-----\n").as_bytes());
    out
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

/// A certificate of `subject` (PKCS#1), signed by `issuer`; an authority may sign others, the rest may
/// sign handshakes and wrap keys.
pub(super) fn certificate(subject: &[u8], issuer: &Key, authority: bool) -> io::Result<Vec<u8>> {
    let now = Timestamp::now();
    let day = now.checked_sub(24.hours()).unwrap_or(now);
    let end = now.checked_add((24 * 3650).hours()).unwrap_or(now);
    let name = tlv(SEQUENCE, &[]);
    let key_info = tlv(SEQUENCE, &[&algorithm(RSA_ENCRYPTION), &bits(subject)]);
    let extensions = if authority {
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
            &tlv(SEQUENCE, &[&time(day), &time(end)]),
            &name,
            &key_info,
            &tlv(0xA3, &[&tlv(SEQUENCE, &[&extensions])]),
        ],
    );
    let signature = bits(&issuer.sign(&body)?);
    Ok(tlv(SEQUENCE, &[&body, &algorithm(SHA256_WITH_RSA), &signature]))
}
