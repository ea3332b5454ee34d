//! A certificate with its journal, the journal's hashes and a signature over all of it: one line of JSON.
//!
//! There is exactly one way to write such a file. A reader writes anew what it read and compares the bytes, so that no
//! byte can be changed unseen, not even one that JSON would not mind. The signature says that whoever has the key
//! wrote it; whose key that is, a person has to know from elsewhere.

use super::certificate::Certificate;
use super::chain::{chain, hex, unhex};
use crate::fault::{Code, Fault};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

/// What a signature is over, before the bytes: it signs nothing else.
const PURPOSE: &[u8] = b"herstel certificate 1\n";
/// A journal is kilobytes.
pub const CAP: u64 = 64 << 20;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    pub schema: u32,
    pub certificate: Certificate,
    pub journal: Vec<String>,
    pub chain: Vec<String>,
    pub signature: Signature,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    pub algorithm: String,
    pub key: String,
    pub value: String,
}

/// A key of 32 random bytes.
pub struct Key(Ed25519KeyPair);

impl Key {
    pub fn new(seed: &[u8; 32]) -> Result<Key, Fault> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed);
        pair.map(Key).map_err(|err| Fault::new(Code::Internal, format!("signing key: {err}")))
    }

    /// What may be given to everybody, in hex.
    pub fn public(&self) -> String {
        hex(self.0.public_key().as_ref())
    }
}

/// What is signed: everything before the signature.
fn signed(certificate: &Certificate, journal: &[String], chain: &[String]) -> Result<Vec<u8>, Fault> {
    let mut bytes = PURPOSE.to_vec();
    let body = serde_json::to_vec(&(certificate, journal, chain));
    bytes.extend(body.map_err(|e| Fault::new(Code::Internal, e.to_string()))?);
    Ok(bytes)
}

impl Sealed {
    pub fn seal(certificate: Certificate, journal: Vec<String>, key: &Key) -> Result<Sealed, Fault> {
        let chain = chain(&certificate.job, &journal);
        let value = hex(key.0.sign(&signed(&certificate, &journal, &chain)?).as_ref());
        let signature = Signature { algorithm: "ed25519".into(), key: key.public(), value };
        Ok(Sealed { schema: 1, certificate, journal, chain, signature })
    }

    /// The file.
    pub fn bytes(&self) -> Result<Vec<u8>, Fault> {
        let mut bytes = serde_json::to_vec(self).map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// A file whose bytes, hashes and signature are right. Whether its certificate says what its journal says, the
    /// room of jobs knows.
    ///
    /// # Errors
    /// `certificate-invalid` with what is wrong.
    pub fn read(bytes: &[u8]) -> Result<Sealed, Fault> {
        let wrong = |why: &str| Fault::new(Code::CertificateInvalid, why);
        if bytes.len() as u64 > CAP {
            return Err(wrong("too long for a certificate"));
        }
        let sealed: Sealed = serde_json::from_slice(bytes).map_err(|e| wrong(&format!("not a certificate: {e}")))?;
        if sealed.schema != 1 || sealed.signature.algorithm != "ed25519" {
            return Err(wrong("written by another kind of program"));
        }
        if sealed.bytes()? != bytes {
            return Err(wrong("its bytes are not as they were written"));
        }
        if sealed.chain != chain(&sealed.certificate.job, &sealed.journal) {
            return Err(wrong("the hashes do not fit the lines of the journal"));
        }
        let key = unhex::<32>(&sealed.signature.key).ok_or_else(|| wrong("its key is none"))?;
        let value = unhex::<64>(&sealed.signature.value).ok_or_else(|| wrong("its signature is none"))?;
        let body = signed(&sealed.certificate, &sealed.journal, &sealed.chain)?;
        UnparsedPublicKey::new(&ED25519, key).verify(&body, &value).map_err(|_| wrong("the signature does not fit"))?;
        Ok(sealed)
    }

    pub fn last_hash(&self) -> &str {
        self.chain.last().map_or("", String::as_str)
    }
}
