//! The pair record: this host's half of a trust.
//!
//! Parsed by ourselves: `idevice` insists on `WiFiMACAddress`, which a phone with a dead Wi-Fi chip does
//! not give. Holds private keys, so `Debug` shows nothing and the bytes are wiped on drop.

use crate::wire::WireError;
use plist::{Dictionary, Value};
use rustls::ClientConfig;
use std::sync::{Arc, OnceLock};
use zeroize::Zeroize;

/// Most bytes a pair record may have; real ones are about 10 KB.
const CAP: usize = 1 << 20;

#[derive(Clone)]
pub struct PairRecord {
    fields: Dictionary,
    tls: [OnceLock<Arc<ClientConfig>>; 2],
}

impl std::fmt::Debug for PairRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PairRecord(***)")
    }
}

impl Drop for PairRecord {
    fn drop(&mut self) {
        for key in ["HostPrivateKey", "RootPrivateKey", "EscrowBag"] {
            if let Some(Value::Data(bytes)) = self.fields.get_mut(key) {
                bytes.zeroize();
            }
        }
    }
}

impl PairRecord {
    /// From a plist of either kind. Needs HostID, SystemBUID and the certificates.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let wrong = |why: &str| WireError::malformed("pair record", why);
        if bytes.len() > CAP {
            return Err(WireError::TooLong { what: "pair record", length: bytes.len() as u64, cap: CAP as u64 });
        }
        PairRecord::of(plist::from_bytes::<Dictionary>(bytes).map_err(|e| wrong(&e.to_string()))?)
    }

    pub(super) fn of(fields: Dictionary) -> Result<Self, WireError> {
        let wrong = |why: &str| WireError::malformed("pair record", why);
        let text = |key: &str| fields.get(key).and_then(Value::as_string).is_some();
        let data = |key: &str| fields.get(key).and_then(Value::as_data).is_some();
        if !(text("HostID") && text("SystemBUID")) {
            return Err(wrong("no HostID or SystemBUID"));
        }
        for key in ["DeviceCertificate", "HostCertificate", "HostPrivateKey", "RootCertificate"] {
            if !data(key) {
                return Err(wrong(&format!("no {key}")));
            }
        }
        Ok(PairRecord { fields, tls: Default::default() })
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>, WireError> {
        let mut bytes = Vec::new();
        plist::to_writer_xml(&mut bytes, &self.fields)
            .map_err(|e| WireError::malformed("pair record", e.to_string()))?;
        Ok(bytes)
    }

    pub fn host_id(&self) -> &str {
        self.fields.get("HostID").and_then(Value::as_string).unwrap_or_default()
    }

    pub fn system_buid(&self) -> &str {
        self.fields.get("SystemBUID").and_then(Value::as_string).unwrap_or_default()
    }

    /// The part that a device may see: in Pair and Unpair. No private key is in it.
    pub(super) fn shown(&self) -> Dictionary {
        let keys = ["DeviceCertificate", "HostCertificate", "RootCertificate", "HostID", "SystemBUID"];
        keys.iter().filter_map(|key| Some(((*key).to_owned(), self.fields.get(key)?.clone()))).collect()
    }

    /// What the device added when it said yes: the escrow bag, and its address if it has one. Phones with a
    /// dead Wi-Fi chip have none, and watches give no bag.
    pub(super) fn accepted(&mut self, escrow_bag: Option<Vec<u8>>, wifi_address: Option<String>) {
        if let Some(bag) = escrow_bag {
            self.fields.insert("EscrowBag".into(), Value::Data(bag));
        }
        if let Some(address) = wifi_address {
            self.fields.insert("WiFiMACAddress".into(), address.into());
        }
    }

    /// This host's private key and certificate, PEM.
    #[cfg(test)]
    pub(super) fn host_keys(&self) -> (Vec<u8>, Vec<u8>) {
        let data = |key: &str| self.fields.get(key).and_then(Value::as_data).unwrap_or_default().to_vec();
        (data("HostPrivateKey"), data("HostCertificate"))
    }

    /// Lets a service open protected files while the screen is locked.
    pub fn escrow_bag(&self) -> Option<Vec<u8>> {
        self.fields.get("EscrowBag").and_then(Value::as_data).map(<[u8]>::to_vec)
    }

    /// The TLS configuration for a cable or for Wi-Fi, made at the first use and kept.
    pub(super) fn tls(&self, usb: bool) -> Result<Arc<ClientConfig>, WireError> {
        let kept = &self.tls[usize::from(usb)];
        if let Some(config) = kept.get() {
            return Ok(Arc::clone(config));
        }
        let mut fields = self.fields.clone();
        for (key, fallback) in [("WiFiMACAddress", Value::from("")), ("RootPrivateKey", Value::Data(Vec::new()))] {
            if !fields.contains_key(key) {
                fields.insert(key.into(), fallback);
            }
        }
        let keys = idevice::pairing_file::PairingFile::from_value(&Value::Dictionary(fields))
            .map_err(|e| WireError::malformed("pair record", e.to_string()))?;
        let config = super::tls::config(&keys, usb)?;
        Ok(Arc::clone(kept.get_or_init(|| config)))
    }
}
