//! TLS as lockdownd and its services speak it.
//!
//! The phone shows the device certificate out of the pair record and wants the host's: the record's host
//! certificate (pymobiledevice3) or its root (libimobiledevice), compared byte by byte, for their names
//! are empty and no chain can be built from them. TLS 1.2 and 1.3, no resumption: after StopSession the
//! link goes on in the clear, and a late session ticket would be in the way.

use super::link::Wire;
use crate::virt::stream::Stream;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ServerConfig, ServerConnection};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

#[derive(Debug)]
struct KnownCertificates {
    taken: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for KnownCertificates {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.taken.iter().any(|c| c.as_ref() == shown.as_ref()) {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The phone's side for one host. `key` is PKCS#8. Fails when the device certificate is not of that key.
pub(super) fn config(
    device: CertificateDer<'static>,
    key: Vec<u8>,
    hosts: Vec<CertificateDer<'static>>,
) -> Result<Arc<ServerConfig>, Error> {
    let verifier = KnownCertificates { taken: hosts, algorithms: PROVIDER.signature_verification_algorithms };
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(vec![device], PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)))?;
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

/// A link inside TLS. Dropping it says goodbye and closes the link.
pub(super) struct TlsLink(Option<StreamOwned<ServerConnection, Wire>>);

impl TlsLink {
    /// Shakes hands; the caller sets a limit before.
    pub fn accept(mut wire: Wire, config: Arc<ServerConfig>) -> io::Result<Self> {
        let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
        connection.set_buffer_limit(Some(256 << 10));
        wire.records(true);
        while connection.is_handshaking() {
            if let Err(err) = connection.complete_io(&mut wire) {
                wire.cut();
                return Err(err);
            }
        }
        Ok(TlsLink(Some(StreamOwned::new(connection, wire))))
    }

    /// Ends TLS in order and gives the link back for plain talk.
    pub fn end(mut self) -> io::Result<Wire> {
        let Some(mut stream) = self.0.take() else { return Err(ErrorKind::NotConnected.into()) };
        stream.conn.send_close_notify();
        stream.flush()?;
        let mut rest = [0; 256];
        while stream.read(&mut rest)? > 0 {}
        let StreamOwned { mut sock, .. } = stream;
        sock.records(false);
        Ok(sock)
    }
}

impl Read for TlsLink {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            // A host that just closes is a host that is done.
            Some(stream) => match stream.read(buffer) {
                Err(err) if err.kind() == ErrorKind::UnexpectedEof => Ok(0),
                other => other,
            },
            None => Ok(0),
        }
    }
}

impl Write for TlsLink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Some(stream) => stream.write(bytes),
            None => Err(ErrorKind::NotConnected.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), StreamOwned::flush)
    }
}

impl Stream for TlsLink {
    fn set_limit(&mut self, limit: Option<Duration>) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), |stream| stream.sock.set_limit(limit))
    }

    fn cut(&mut self) {
        if let Some(mut stream) = self.0.take() {
            stream.sock.cut();
        }
    }
}

impl Drop for TlsLink {
    fn drop(&mut self) {
        if let Some(stream) = &mut self.0 {
            stream.conn.send_close_notify();
            stream.sock.limit_goodbye();
            let _ = stream.flush();
            stream.sock.cut();
        }
    }
}
