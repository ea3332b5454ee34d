//! The bench's RSA keys, and certificates by them.

use crate::wire::x509::Certificate;
pub(super) use crate::wire::x509::pem;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use jiff::{Timestamp, ToSpan};
use std::io;

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

/// A certificate of `subject` (PKCS#1), signed by `issuer`, for ten years.
pub(super) fn certificate(subject: &[u8], issuer: &Key, authority: bool) -> io::Result<Vec<u8>> {
    let now = Timestamp::now();
    let from = now.checked_sub(24.hours()).unwrap_or(now);
    let until = now.checked_add((24 * 3650).hours()).unwrap_or(now);
    Certificate { subject, authority, from, until }.signed(|body| issuer.sign(body))
}
