//! One client of usbmuxd: who is there, connect to a port, pair records.
//!
//! Every request has its own connection, as all clients do it; `watch` keeps one open in a task.

use super::address::Dialling;
use super::{BoxDuplex, Duplex, LABEL, MuxAddress, PairRecord};
use crate::fault::{Code, Fault};
use crate::ids::Udid;
use crate::wire::WireError;
use crate::wire::muxd::{self, Answer, Client, Header, Request};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(5);
/// A connect may wait for a device that just came up.
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);

/// Most devices that are looked at: USB has 127 addresses a bus.
const DEVICES: usize = 1024;

#[derive(Debug, thiserror::Error)]
pub enum MuxError {
    #[error("usbmuxd at {address}: {err}")]
    Unreachable { address: MuxAddress, err: io::Error },
    #[error("usbmuxd closed the connection: {0}")]
    Lost(io::Error),
    #[error("usbmuxd does not answer")]
    Silent,
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The pair record that this host keeps cannot be read.
    #[error("this host's record is no use: {0}")]
    Record(WireError),
    #[error("the device is no longer there")]
    BadDevice,
    #[error("the device refuses connections to port {0}")]
    Refused(u16),
    #[error("usbmuxd answered {0}")]
    Number(u32),
}

impl From<MuxError> for Fault {
    fn from(err: MuxError) -> Fault {
        let code = match &err {
            MuxError::Unreachable { .. } | MuxError::Silent | MuxError::Lost(_) => Code::MuxUnreachable,
            MuxError::Wire(_) => Code::MuxGarbage,
            MuxError::Record(_) => Code::PairingStale,
            MuxError::BadDevice => Code::LinkLost,
            MuxError::Refused(_) => Code::ServiceRefused,
            MuxError::Number(_) => Code::MuxUnreachable,
        };
        Fault::new(code, err.to_string())
    }
}

/// A device as usbmuxd lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MuxDevice {
    /// usbmuxd's number: new at each attach.
    pub id: u32,
    /// The serial as listed: a UDID in normal mode, often a dummy in restore mode.
    pub serial: String,
    pub product_id: u16,
    /// Bus number in the upper half, device number in the lower, as usbmuxd packs it.
    pub location: u32,
    /// False for Wi-Fi.
    pub usb: bool,
    /// Bits per second of the USB link.
    pub speed: u64,
}

impl MuxDevice {
    pub fn udid(&self) -> Option<Udid> {
        let dummy = self.serial.starts_with("ffffffffffffffffffffffffffffffff");
        if dummy { None } else { self.serial.parse().ok() }
    }

    fn from_answer(attached: muxd::Attached) -> Self {
        MuxDevice {
            id: attached.device,
            serial: attached.serial.chars().take(64).collect(),
            product_id: u16::try_from(attached.product).unwrap_or(0),
            location: attached.location,
            usb: attached.connection == "USB",
            speed: attached.speed,
        }
    }
}

#[derive(Clone, Debug)]
pub enum MuxEvent {
    Attached(MuxDevice),
    Detached(u32),
    Paired(u32),
}

/// usbmuxd at one address.
#[derive(Clone, Debug)]
pub struct Mux {
    address: MuxAddress,
}

impl Mux {
    pub fn new(address: MuxAddress) -> Self {
        Mux { address }
    }

    pub fn address(&self) -> &MuxAddress {
        &self.address
    }

    async fn dial(&self) -> Result<Dialling, MuxError> {
        let unreachable = |err| MuxError::Unreachable { address: self.address.clone(), err };
        match tokio::time::timeout(PATIENCE, self.address.dial()).await {
            Ok(stream) => stream.map_err(unreachable),
            Err(_) => Err(MuxError::Silent),
        }
    }

    async fn ask(&self, request: Request) -> Result<Answer, MuxError> {
        let mut stream = self.dial().await?;
        exchange(stream.duplex(), &request, PATIENCE).await
    }

    /// Every device that is attached now, over USB and Wi-Fi.
    pub async fn devices(&self) -> Result<Vec<MuxDevice>, MuxError> {
        match self.ask(Request::ListDevices).await? {
            Answer::Devices(devices) => Ok(devices.into_iter().take(DEVICES).map(MuxDevice::from_answer).collect()),
            other => Err(unexpected(&other)),
        }
    }

    /// Attach, detach and pair events from now on; devices that are already there come first. The
    /// channel closes when usbmuxd goes away or the receiver is dropped.
    pub async fn watch(&self) -> Result<mpsc::Receiver<MuxEvent>, MuxError> {
        let mut stream = self.dial().await?;
        expect_ok(&exchange(stream.duplex(), &Request::Listen, PATIENCE).await?, 0)?;
        let (sender, receiver) = mpsc::channel(64);
        tokio::spawn(async move {
            loop {
                let message = tokio::select! {
                    message = read(stream.duplex()) => message,
                    () = sender.closed() => return,
                };
                let event = match message {
                    Ok(Answer::Attached(attached)) => MuxEvent::Attached(MuxDevice::from_answer(attached)),
                    Ok(Answer::Detached(device)) => MuxEvent::Detached(device),
                    Ok(Answer::Paired(device)) => MuxEvent::Paired(device),
                    Ok(_) => continue,
                    Err(_) => return,
                };
                if sender.send(event).await.is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }

    /// A byte stream to `port` of the device.
    pub async fn connect(&self, id: u32, port: u16) -> Result<BoxDuplex, MuxError> {
        self.dial_port(id, port).await.map(Dialling::boxed)
    }

    pub(super) async fn dial_port(&self, id: u32, port: u16) -> Result<Dialling, MuxError> {
        let mut stream = self.dial().await?;
        let request = Request::Connect { device: id, port };
        expect_ok(&exchange(stream.duplex(), &request, CONNECT_PATIENCE).await?, port)?;
        Ok(stream)
    }

    /// The host's own identifier in pairings.
    pub async fn buid(&self) -> Result<String, MuxError> {
        match self.ask(Request::ReadBuid).await? {
            Answer::Buid(buid) => Ok(buid),
            other => Err(unexpected(&other)),
        }
    }

    /// The host's pair record of a device; none when it has none.
    pub async fn pair_record(&self, udid: &Udid) -> Result<Option<PairRecord>, MuxError> {
        match self.ask(Request::ReadPairRecord { id: udid.to_string() }).await? {
            Answer::PairRecord(record) => PairRecord::parse(&record).map(Some).map_err(MuxError::Record),
            // Which number says that there is none differs between the programs that play usbmuxd.
            Answer::Result(_) => Ok(None),
            other => Err(unexpected(&other)),
        }
    }

    pub async fn save_pair_record(&self, udid: &Udid, id: u32, record: &PairRecord) -> Result<(), MuxError> {
        let record = record.to_bytes()?;
        expect_ok(&self.ask(Request::SavePairRecord { id: udid.to_string(), record, device: Some(id) }).await?, 0)
    }

    pub async fn delete_pair_record(&self, udid: &Udid) -> Result<(), MuxError> {
        expect_ok(&self.ask(Request::DeletePairRecord { id: udid.to_string() }).await?, 0)
    }
}

fn unexpected(answer: &Answer) -> MuxError {
    match answer {
        Answer::Result(number) => MuxError::Number(*number),
        _ => WireError::malformed("usbmuxd", "an answer to another question").into(),
    }
}

fn expect_ok(answer: &Answer, port: u16) -> Result<(), MuxError> {
    match answer {
        Answer::Result(muxd::result::OK) => Ok(()),
        Answer::Result(muxd::result::BAD_DEVICE) => Err(MuxError::BadDevice),
        Answer::Result(muxd::result::REFUSED) => Err(MuxError::Refused(port)),
        other => Err(unexpected(other)),
    }
}

async fn exchange(stream: &mut dyn Duplex, request: &Request, limit: Duration) -> Result<Answer, MuxError> {
    let client = Client {
        program: LABEL.to_owned(),
        bundle: "org.herstel".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let bytes = muxd::message(1, request.body(&client))?;
    let answer = async {
        stream.write_all(&bytes).await.map_err(MuxError::Lost)?;
        read(stream).await
    };
    tokio::time::timeout(limit, answer).await.unwrap_or(Err(MuxError::Silent))
}

async fn read(stream: &mut dyn Duplex) -> Result<Answer, MuxError> {
    let mut header = [0; muxd::HEADER];
    stream.read_exact(&mut header).await.map_err(MuxError::Lost)?;
    let mut body = vec![0; Header::parse(&header)?.body()];
    stream.read_exact(&mut body).await.map_err(MuxError::Lost)?;
    Ok(Answer::parse(&body)?)
}
