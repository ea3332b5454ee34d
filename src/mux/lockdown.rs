//! lockdownd: questions, sessions, services.
//!
//! Our own framing (u32 big-endian length, XML plist) with a cap and a limit on every answer; the device's
//! refusals become [`LockdownError`] by their words. TLS is `idevice`'s.

use super::{BoxDuplex, Direct, LABEL, Mux, MuxDevice, MuxError, PairRecord};
use crate::fault::{Code, Fault};
use crate::wire::WireError;
use crate::wire::lockdown::{self as wire, Request};
use plist::{Dictionary, Value};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Debug, thiserror::Error)]
pub enum LockdownError {
    #[error(transparent)]
    Mux(#[from] MuxError),
    #[error("the link broke off: {0}")]
    Link(#[from] io::Error),
    #[error("lockdown does not answer")]
    Silent,
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The device's word, e.g. `PasswordProtected`.
    #[error("lockdown says {0}")]
    Refused(String),
    #[error("TLS failed: {0}")]
    Tls(String),
}

impl LockdownError {
    pub fn word(&self) -> Option<&str> {
        match self {
            LockdownError::Refused(word) => Some(word),
            _ => None,
        }
    }
}

impl From<LockdownError> for Fault {
    fn from(err: LockdownError) -> Fault {
        let detail = err.to_string();
        match err {
            LockdownError::Mux(err) => err.into(),
            LockdownError::Link(err) => Fault::link(&err),
            LockdownError::Silent => Fault::new(Code::LinkSilent, detail),
            LockdownError::Wire(err) => err.into(),
            LockdownError::Tls(_) => Fault::new(Code::PairingStale, detail),
            LockdownError::Refused(word) => {
                let code = match word.as_str() {
                    "PairingDialogResponsePending" => Code::TrustPending,
                    "UserDeniedPairing" => Code::TrustDenied,
                    "PasswordProtected" | "EscrowLocked" | "DeviceLocked" => Code::DeviceLocked,
                    "InvalidHostID" | "InvalidPairRecord" => Code::PairingStale,
                    // MC is ManagedConfiguration: a profile allows no host but those it names.
                    "MCProtected" | "MCChallengeRequired" => Code::PairingForbidden,
                    "SessionInactive" | "GetProhibited" => Code::NotTrusted,
                    "InvalidService" | "ServiceProhibited" | "ServiceLimit" => Code::ServiceRefused,
                    "FMiPProtected" => Code::FindMyOn,
                    _ => Code::LockdownRefused,
                };
                Fault::new(code, detail)
            }
        }
    }
}

type Result<T, E = LockdownError> = std::result::Result<T, E>;

/// A connection to lockdownd, before or within a session.
#[derive(Debug)]
pub struct Lockdown {
    stream: BoxDuplex,
}

impl Lockdown {
    pub async fn open(mux: &Mux, device: u32) -> Result<Self> {
        Ok(Lockdown { stream: mux.connect(device, wire::PORT).await? })
    }

    /// The same framing on the stream of a service.
    pub(super) fn over(stream: BoxDuplex) -> Self {
        Lockdown { stream }
    }

    /// Sends one request and gives the whole answer; a device error is an `Err`.
    pub async fn ask(&mut self, request: &Request) -> Result<Dictionary> {
        self.exchange(&request.body(LABEL)).await
    }

    /// The same for a request that lockdownd itself does not know (restored's).
    pub async fn exchange(&mut self, request: &Value) -> Result<Dictionary> {
        let bytes = wire::frame(request, wire::Shape::Xml)?;
        let stream = &mut self.stream;
        let answer = async {
            stream.write_all(&bytes).await?;
            stream.flush().await?;
            let mut frames = wire::Frames::default();
            loop {
                if let Some(message) = frames.next()? {
                    return Ok(message);
                }
                let mut piece = vec![0; frames.wanted().min(64 << 10)];
                let read = stream.read(&mut piece).await?;
                if read == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                piece.truncate(read);
                frames.push(&piece);
            }
        };
        let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap_or(Err(LockdownError::Silent))?;
        wire::answer(answer)?.map_err(|word| LockdownError::Refused(word.chars().take(200).collect()))
    }

    /// `com.apple.mobile.lockdown` in normal mode, `com.apple.mobile.restored` in restore mode.
    pub async fn query_type(&mut self) -> Result<String> {
        let answer = self.ask(&Request::QueryType).await?;
        Ok(answer.get("Type").and_then(Value::as_string).unwrap_or_default().to_owned())
    }

    /// One value; none when the device does not have it or does not tell it here.
    pub async fn get(&mut self, domain: Option<&str>, key: &str) -> Result<Option<Value>> {
        self.values(domain, Some(key)).await
    }

    /// A whole domain; none is the default one.
    pub async fn all(&mut self, domain: Option<&str>) -> Result<Dictionary> {
        match self.values(domain, None).await? {
            Some(Value::Dictionary(values)) => Ok(values),
            _ => Ok(Dictionary::new()),
        }
    }

    async fn values(&mut self, domain: Option<&str>, key: Option<&str>) -> Result<Option<Value>> {
        let request = Request::GetValue { domain: domain.map(str::to_owned), key: key.map(str::to_owned) };
        match self.ask(&request).await {
            Ok(mut answer) => Ok(answer.remove("Value")),
            Err(LockdownError::Refused(word)) if ["MissingValue", "GetProhibited"].contains(&word.as_str()) => Ok(None),
            Err(err) => Err(err),
        }
    }

    /// Opens a trusted session: from here on everything is inside TLS. `usb` is false for Wi-Fi, where the
    /// device's certificate is compared with the record.
    pub async fn start_session(mut self, record: &PairRecord, usb: bool) -> Result<Self> {
        let request = Request::StartSession {
            host_id: Some(record.host_id().to_owned()),
            system_buid: Some(record.system_buid().to_owned()),
        };
        let answer = self.ask(&request).await?;
        if answer.get("EnableSessionSSL").and_then(Value::as_boolean) != Some(true) {
            return Ok(self);
        }
        Ok(Lockdown { stream: tls(self.stream, record, usb).await? })
    }

    /// Starts a service; gives its port and whether it wants TLS.
    async fn start_service(&mut self, name: &str, escrow: Option<Vec<u8>>) -> Result<(u16, bool)> {
        let request = Request::StartService { service: Some(name.to_owned()), escrow_bag: escrow };
        let answer = self.ask(&request).await?;
        let port = answer.get("Port").and_then(Value::as_unsigned_integer).and_then(|p| u16::try_from(p).ok());
        let port = port.ok_or_else(|| WireError::malformed("StartService", "no port in the answer"))?;
        Ok((port, answer.get("EnableServiceSSL").and_then(Value::as_boolean).unwrap_or(false)))
    }

    /// Sends the device into recovery mode; the link usually breaks off right after.
    pub async fn enter_recovery(&mut self) -> Result<()> {
        self.ask(&Request::EnterRecovery).await.map(drop)
    }
}

async fn tls(stream: BoxDuplex, record: &PairRecord, usb: bool) -> Result<BoxDuplex> {
    let config = record.tls(usb)?;
    match tokio::time::timeout(PATIENCE, super::tls::connect(stream, config)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(err)) => Err(LockdownError::Tls(err.to_string())),
        Err(_) => Err(LockdownError::Silent),
    }
}

/// A trusted session with one device, able to start services.
#[derive(Debug)]
pub struct Session {
    pub mux: Mux,
    pub device: MuxDevice,
    pub record: PairRecord,
    pub lockdown: Lockdown,
}

impl Session {
    pub async fn open(mux: &Mux, device: &MuxDevice, record: PairRecord) -> Result<Self> {
        let lockdown = Lockdown::open(mux, device.id).await?.start_session(&record, device.usb).await?;
        Ok(Session { mux: mux.clone(), device: device.clone(), record, lockdown })
    }

    /// Starts a service and connects to it. With `escrow` the pair record's bag goes along, so that the
    /// service may read protected files while the screen is locked.
    pub async fn service(&mut self, name: &str, escrow: bool) -> Result<BoxDuplex> {
        let bag = if escrow { self.record.escrow_bag() } else { None };
        let (port, secure) = self.lockdown.start_service(name, bag).await?;
        let stream = self.mux.connect(self.device.id, port).await?;
        if secure { tls(stream, &self.record, self.device.usb).await } else { Ok(stream) }
    }

    /// The same for an engine that blocks on a thread of its own.
    pub async fn direct(&mut self, name: &str, escrow: bool) -> Result<Direct> {
        let bag = if escrow { self.record.escrow_bag() } else { None };
        let (port, secure) = self.lockdown.start_service(name, bag).await?;
        let socket = self.mux.dial_port(self.device.id, port).await?.into_socket()?;
        if !secure {
            return Ok(Direct::plain(socket));
        }
        let config = self.record.tls(self.device.usb)?;
        let shaken = tokio::task::spawn_blocking(move || Direct::secure(socket, config, PATIENCE)).await;
        match shaken.map_err(io::Error::other)? {
            Err(err) if matches!(err.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
                Err(LockdownError::Silent)
            }
            done => done.map_err(|err| LockdownError::Tls(err.to_string())),
        }
    }
}
