//! TLS with a pair record, the host's side.
//!
//! The device shows the certificate that this host made for it when they were paired; its chain has empty
//! names, so a usual check of it means nothing. Over Wi-Fi, where another machine could answer, the
//! certificate itself is compared with the record. Over a cable it is not: no other tool checks it there
//! either, and nobody sits in between. Loading the host's RSA key costs more than the handshake, so the
//! configuration is made once per record and used by all its connections: a backup opens about ten.

use super::BoxDuplex;
use crate::wire::WireError;
use idevice::pairing_file::PairingFile;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use std::sync::Arc;
use tokio_rustls::TlsConnector;

#[derive(Debug)]
struct PairedDevice {
    /// What it must show; none over a cable.
    certificate: Option<Vec<u8>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PairedDevice {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.certificate {
            Some(expected) if end_entity.as_ref() != expected.as_slice() => {
                Err(Error::General("the device shows another certificate than the pair record holds".into()))
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.certificate.is_none() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.certificate.is_none() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The configuration that a pair record stands for, over a cable or over Wi-Fi.
pub(super) fn config(keys: &PairingFile, usb: bool) -> Result<Arc<ClientConfig>, WireError> {
    let wrong = |why: String| WireError::malformed("pair record", why);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let key = PrivateKeyDer::from_pem_slice(&keys.host_private_key).map_err(|e| wrong(e.to_string()))?;
    let certificate = if usb { None } else { Some(keys.device_certificate.to_vec()) };
    let verifier = PairedDevice { certificate, provider: Arc::clone(&provider) };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(e.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(vec![keys.host_certificate.clone()], key)
        .map_err(|e| wrong(e.to_string()))?;
    Ok(Arc::new(config))
}

/// Shakes hands; the stream inside TLS.
pub(super) async fn connect(stream: BoxDuplex, config: Arc<ClientConfig>) -> std::io::Result<BoxDuplex> {
    let name = ServerName::try_from("Device").map_err(std::io::Error::other)?;
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    Ok(Box::new(stream))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn verdict(usb: bool, shown: &[u8]) -> bool {
        let certificate = if usb { None } else { Some(b"paired".to_vec()) };
        let verifier = PairedDevice { certificate, provider: Arc::new(aws_lc_rs::default_provider()) };
        let name = ServerName::try_from("Device").unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_700_000_000));
        verifier.verify_server_cert(&CertificateDer::from(shown.to_vec()), &[], &name, &[], now).is_ok()
    }

    #[test]
    fn over_wi_fi_only_the_paired_certificate_passes() {
        assert!(verdict(false, b"paired"));
        assert!(!verdict(false, b"another"));
        assert!(verdict(true, b"another"));
    }
}
