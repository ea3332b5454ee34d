//! A small host of our own for the cases that the real clients cannot make.

use super::super::link::{receive, send};
use crate::virt::mux::{HostRecords, Muxd, boot};
use crate::virt::phone::{Phone, Stage};
use crate::virt::spec::PhoneSpec;
use crate::virt::stream::Stream;
use crate::wire::lockdown::{Frames, PORT, Request, Shape, answer, parse};
use crate::wire::muxd::{self, Answer, Client, HEADER, Header};
use plist::{Dictionary, Value};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// No test waits longer for one answer.
const LIMIT: Duration = Duration::from_secs(20);

pub struct Place {
    pub phones: Vec<Arc<Phone>>,
    pub records: Arc<HostRecords>,
    pub socket: PathBuf,
    pub muxd: Option<Muxd>,
    _folder: tempfile::TempDir,
}

/// A running bench of one phone for each description.
pub fn place(specs: Vec<PhoneSpec>) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("usbmuxd");
    let phones: Vec<_> = specs.into_iter().enumerate().map(|(at, spec)| Phone::new(spec, at, 20.0).unwrap()).collect();
    let records = Arc::new(HostRecords::new());
    for phone in &phones {
        let (changes, weak, records) = (phone.watch(), Arc::downgrade(phone), Arc::clone(&records));
        if phone.stage() == Stage::Normal {
            boot(phone, &records);
        }
        std::thread::spawn(move || {
            for change in changes {
                let Some(phone) = weak.upgrade() else { return };
                if change.to == Stage::Normal {
                    boot(&phone, &records);
                }
            }
        });
    }
    let muxd = Some(Muxd::start(&socket, phones.clone(), Arc::clone(&records)).unwrap());
    Place { phones, records, socket, muxd, _folder: folder }
}

pub struct Mux(pub UnixStream);

impl Mux {
    pub fn open(place: &Place) -> Mux {
        let stream = UnixStream::connect(&place.socket).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Mux(stream)
    }

    pub fn next(&mut self) -> (u32, Answer) {
        let mut head = [0; HEADER];
        self.0.read_exact(&mut head).unwrap();
        let header = Header::parse(&head).unwrap();
        let mut body = vec![0; header.body()];
        self.0.read_exact(&mut body).unwrap();
        (header.tag, Answer::parse(&body).unwrap())
    }

    pub fn ask(&mut self, request: muxd::Request) -> Answer {
        self.0.write_all(&muxd::message(77, request.body(&Client::default())).unwrap()).unwrap();
        let (tag, answer) = self.next();
        assert_eq!(tag, 77);
        answer
    }

    pub fn devices(&mut self) -> Vec<muxd::Attached> {
        match self.ask(muxd::Request::ListDevices) {
            Answer::Devices(devices) => devices,
            other => panic!("{other:?}"),
        }
    }

    /// The link to a port of the n-th phone, or the number that refused it.
    pub fn connect(mut self, at: usize, port: u16) -> Result<UnixStream, u32> {
        let device = self.devices()[at].device;
        match self.ask(muxd::Request::Connect { device, port }) {
            Answer::Result(0) => Ok(self.0),
            Answer::Result(number) => Err(number),
            other => panic!("{other:?}"),
        }
    }
}

/// One lockdown connection, plain or in a session.
pub struct Lockdown {
    stream: Box<dyn Stream>,
    frames: Frames,
}

impl Lockdown {
    pub fn open(place: &Place) -> Lockdown {
        Lockdown::over(Mux::open(place).connect(0, PORT).unwrap())
    }

    pub fn over(link: UnixStream) -> Lockdown {
        link.set_read_timeout(Some(LIMIT)).unwrap();
        Lockdown { stream: Box::new(link), frames: Frames::default() }
    }

    pub fn message(&mut self, message: &Value) -> std::io::Result<Option<Value>> {
        send(self.stream.as_mut(), message, Shape::Xml)?;
        receive(self.stream.as_mut(), &mut self.frames)
    }

    pub fn limit(&mut self, limit: Duration) {
        self.stream.set_limit(Some(limit)).unwrap();
    }

    /// The next message, unasked.
    pub fn next(&mut self) -> Option<Value> {
        receive(self.stream.as_mut(), &mut self.frames).unwrap()
    }

    pub fn say(&mut self, message: &Value) {
        send(self.stream.as_mut(), message, Shape::Xml).unwrap();
    }

    pub fn ask(&mut self, request: &Request) -> Result<Dictionary, String> {
        answer(self.message(&request.body("test")).unwrap().expect("an answer")).unwrap()
    }

    pub fn value(&mut self, key: &str) -> Result<Value, String> {
        let mut dict = self.ask(&Request::GetValue { domain: None, key: Some(key.into()) })?;
        Ok(dict.remove("Value").unwrap())
    }

    pub fn start_session(place: &Place) -> Result<Lockdown, String> {
        let mut plain = Lockdown::open(place);
        let record = record(place);
        let text = |key: &str| record.get(key).and_then(Value::as_string).map(str::to_owned);
        plain.ask(&Request::StartSession { host_id: text("HostID"), system_buid: text("SystemBUID") })?;
        plain.into_tls(&record).map_err(|err| err.to_string())
    }

    /// Into a session and out of it again, on one link.
    pub fn there_and_back(place: &Place) -> Lockdown {
        let mut plain = Lockdown::open(place);
        let record = record(place);
        let text = |key: &str| record.get(key).and_then(Value::as_string).map(str::to_owned);
        let start = Request::StartSession { host_id: text("HostID"), system_buid: text("SystemBUID") };
        let id = plain.ask(&start).unwrap().get("SessionID").and_then(Value::as_string).map(str::to_owned);
        let mut tls = tls(plain.stream, &record).unwrap();
        let mut frames = Frames::default();
        send(&mut tls, &Request::StopSession { session_id: id }.body("test"), Shape::Xml).unwrap();
        answer(receive(&mut tls, &mut frames).unwrap().unwrap()).unwrap().unwrap();
        tls.0.conn.send_close_notify();
        tls.flush().unwrap();
        assert_eq!(tls.read(&mut [0; 16]).unwrap(), 0);
        Lockdown { stream: tls.0.sock, frames }
    }

    fn into_tls(self, record: &Dictionary) -> std::io::Result<Lockdown> {
        let tls = tls(self.stream, record)?;
        Ok(Lockdown { stream: Box::new(tls), frames: Frames::default() })
    }

    /// Starts a service and talks TLS to it.
    pub fn service(&mut self, place: &Place, name: &str, escrow_bag: Option<Vec<u8>>) -> Result<Lockdown, String> {
        let answer = self.ask(&Request::StartService { service: Some(name.into()), escrow_bag })?;
        assert_eq!(answer.get("EnableServiceSSL"), Some(&Value::Boolean(true)));
        let port = answer.get("Port").and_then(Value::as_unsigned_integer).unwrap() as u16;
        let link = Mux::open(place).connect(0, port).unwrap();
        Lockdown::over(link).into_tls(&record(place)).map_err(|err| err.to_string())
    }
}

/// The host's pair record of the first phone.
pub fn record(place: &Place) -> Dictionary {
    let bytes = place.records.read(place.phones[0].udid.as_str()).expect("a pair record");
    parse(&bytes).unwrap().into_dictionary().unwrap()
}

struct Tls(StreamOwned<ClientConnection, Box<dyn Stream>>);

#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &default_provider().signature_verification_algorithms,
        )
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &default_provider().signature_verification_algorithms,
        )
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn tls(mut stream: Box<dyn Stream>, record: &Dictionary) -> std::io::Result<Tls> {
    let pem = |key: &str| record.get(key).and_then(Value::as_data).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer))
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(pem("HostCertificate")).unwrap()],
            PrivateKeyDer::from_pem_slice(pem("HostPrivateKey")).unwrap(),
        )
        .unwrap();
    let name = ServerName::try_from("phone").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(Tls(StreamOwned::new(connection, stream)))
}

impl Read for Tls {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Tls {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Stream for Tls {
    fn set_limit(&mut self, limit: Option<Duration>) -> std::io::Result<()> {
        self.0.sock.set_limit(limit)
    }
    fn cut(&mut self) {
        self.0.sock.cut();
    }
}

/// A certificate chain of a host that was never paired: made with keys of its own.
pub fn stranger(place: &Place) -> Dictionary {
    let key = super::super::inside::of(&place.phones[0]).key().unwrap();
    HostRecords::new().make(key.public(), Some("02:00:00:00:00:01".into())).unwrap()
}
