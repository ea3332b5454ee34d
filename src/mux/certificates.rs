//! A new pair record: keys and certificates for one device, made before it is asked.
//!
//! The host makes all of them, the one for the device too, around the public key that lockdown tells to
//! anybody. `idevice` makes such records only within its own pairing call, which wants a Wi-Fi address of
//! the device and hides what the device answers; its key generation also costs seconds in a debug build.

use super::PairRecord;
use crate::fault::{Code, Fault};
use crate::wire::WireError;
use crate::wire::x509::{Certificate, is_rsa_public, pem, unpem};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use jiff::{Timestamp, ToSpan};
use plist::{Dictionary, Value};

/// Certificates are good for ten years, and from a day ago: the clocks of the two may differ.
const YEARS: i64 = 10;

struct Key(RsaKeyPair);

fn crypto<E>(_: E) -> Fault {
    Fault::new(Code::Internal, "the cryptographic library refused to make a key")
}

impl Key {
    fn generate() -> Result<Self, Fault> {
        RsaKeyPair::generate(KeySize::Rsa2048).map(Key).map_err(crypto)
    }

    fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn private(&self) -> Result<Value, Fault> {
        let der: Pkcs8V1Der<'static> = self.0.as_der().map_err(crypto)?;
        Ok(Value::Data(pem("PRIVATE KEY", der.as_ref())))
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).map_err(crypto)?;
        Ok(signature)
    }

    fn certify(&self, subject: &[u8], authority: bool) -> Result<Value, Fault> {
        let now = Timestamp::now();
        let from = now.checked_sub(24.hours()).unwrap_or(now);
        let until = now.checked_add((24 * 365 * YEARS).hours()).unwrap_or(now);
        let der = Certificate { subject, authority, from, until }.signed(|body| self.sign(body))?;
        Ok(Value::Data(pem("CERTIFICATE", &der)))
    }
}

/// A record for the device with this `DevicePublicKey` (PEM), which the device has still to accept. Takes a
/// good part of a second: not for the runtime's own thread.
///
/// # Errors
/// `link-garbage` when the key is none.
pub(super) fn draft(device_key: &[u8], system_buid: &str) -> Result<PairRecord, Fault> {
    let device_key = unpem("RSA PUBLIC KEY", device_key).filter(|der| is_rsa_public(der));
    let device_key = device_key.ok_or_else(|| WireError::malformed("DevicePublicKey", "no RSA key"))?;
    let (root, host) = (Key::generate()?, Key::generate()?);
    let fields = [
        ("DeviceCertificate", root.certify(&device_key, false)?),
        ("HostCertificate", root.certify(host.public(), false)?),
        ("RootCertificate", root.certify(root.public(), true)?),
        ("HostPrivateKey", host.private()?),
        ("RootPrivateKey", root.private()?),
        ("HostID", uuid::Uuid::new_v4().to_string().to_uppercase().into()),
        ("SystemBUID", system_buid.into()),
    ];
    Ok(PairRecord::of(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Dictionary>())?)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn record_of_a_new_device() -> PairRecord {
        draft(&pem("RSA PUBLIC KEY", Key::generate().unwrap().public()), "BUID").unwrap()
    }

    #[test]
    fn a_draft_is_a_record_that_sessions_can_use_and_shows_no_private_key() {
        let mut record = record_of_a_new_device();
        let shown = record.shown();
        assert_eq!(shown.len(), 5);
        assert!(shown.keys().all(|key| !key.contains("Private")), "{:?}", shown.keys().collect::<Vec<_>>());
        record.accepted(Some(vec![7; 32]), None);
        let read = PairRecord::parse(&record.to_bytes().unwrap()).unwrap();
        assert_eq!((read.escrow_bag(), read.host_id()), (Some(vec![7; 32]), record.host_id()));
        for usb in [true, false] {
            read.tls(usb).unwrap();
        }
    }

    #[test]
    fn a_device_key_that_is_none_is_refused() {
        for wrong in [&b""[..], b"-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----", &[0xFF; 64]] {
            assert_eq!(draft(wrong, "BUID").unwrap_err().code, Code::LinkGarbage);
        }
    }
}
