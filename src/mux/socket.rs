//! One client of usbmuxd: who is there, connect to a port, pair records.
//!
//! Every request has its own connection, as all clients do it; `watch` keeps one open in a task.

use super::{BoxDuplex, MuxAddress, PairRecord};
use crate::fault::{Code, Fault};
use crate::ids::Udid;
use crate::wire::{WireError, muxd};
use plist::{Dictionary, Value};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(5);
/// A connect may wait for a device that just came up.
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);

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
    #[error("the device is no longer there")]
    BadDevice,
    #[error("the device refuses connections to port {0}")]
    Refused(u16),
    #[error("usbmuxd answered {0}")]
    Number(u64),
}

impl From<MuxError> for Fault {
    fn from(err: MuxError) -> Fault {
        let code = match &err {
            MuxError::Unreachable { .. } | MuxError::Silent | MuxError::Lost(_) => Code::MuxUnreachable,
            MuxError::Wire(WireError::TooLong { .. }) => Code::LinkAbsurd,
            MuxError::Wire(_) => Code::LinkGarbage,
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

    fn from_answer(id: u64, properties: &Dictionary) -> Option<Self> {
        let number = |key: &str| properties.get(key).and_then(Value::as_unsigned_integer).unwrap_or(0);
        let kind = properties.get("ConnectionType").and_then(Value::as_string).unwrap_or("USB");
        Some(MuxDevice {
            id: u32::try_from(id).ok()?,
            serial: properties.get("SerialNumber")?.as_string()?.chars().take(64).collect(),
            product_id: number("ProductID") as u16,
            location: number("LocationID") as u32,
            usb: kind == "USB",
            speed: number("ConnectionSpeed"),
        })
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

    async fn dial(&self) -> Result<BoxDuplex, MuxError> {
        let unreachable = |err| MuxError::Unreachable { address: self.address.clone(), err };
        match tokio::time::timeout(PATIENCE, self.address.dial()).await {
            Ok(stream) => stream.map_err(unreachable),
            Err(_) => Err(MuxError::Silent),
        }
    }

    async fn ask(&self, request: Dictionary) -> Result<Dictionary, MuxError> {
        let mut stream = self.dial().await?;
        exchange(&mut stream, request, PATIENCE).await
    }

    /// Every device that is attached now, over USB and Wi-Fi.
    pub async fn devices(&self) -> Result<Vec<MuxDevice>, MuxError> {
        let answer = self.ask(muxd::request("ListDevices")).await?;
        let list = answer.get("DeviceList").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Ok(list
            .iter()
            .filter_map(|entry| {
                let entry = entry.as_dictionary()?;
                let properties = entry.get("Properties").and_then(Value::as_dictionary)?;
                MuxDevice::from_answer(entry.get("DeviceID")?.as_unsigned_integer()?, properties)
            })
            .collect())
    }

    /// Attach, detach and pair events from now on; devices that are already there come first. The
    /// channel closes when usbmuxd goes away or the receiver is dropped.
    pub async fn watch(&self) -> Result<mpsc::Receiver<MuxEvent>, MuxError> {
        let mut stream = self.dial().await?;
        expect_ok(&exchange(&mut stream, muxd::request("Listen"), PATIENCE).await?, 0)?;
        let (sender, receiver) = mpsc::channel(64);
        tokio::spawn(async move {
            loop {
                let message = tokio::select! {
                    message = read(&mut stream) => message,
                    () = sender.closed() => return,
                };
                let Ok(message) = message else { return };
                if let Some(event) = event_of(&message)
                    && sender.send(event).await.is_err()
                {
                    return;
                }
            }
        });
        Ok(receiver)
    }

    /// A byte stream to `port` of the device.
    pub async fn connect(&self, id: u32, port: u16) -> Result<BoxDuplex, MuxError> {
        let mut stream = self.dial().await?;
        let mut request = muxd::request("Connect");
        request.insert("DeviceID".into(), id.into());
        request.insert("PortNumber".into(), port.to_be().into());
        let answer = exchange(&mut stream, request, CONNECT_PATIENCE).await?;
        expect_ok(&answer, port)?;
        Ok(stream)
    }

    /// The host's own identifier in pairings.
    pub async fn buid(&self) -> Result<String, MuxError> {
        let answer = self.ask(muxd::request("ReadBUID")).await?;
        let buid = answer.get("BUID").and_then(Value::as_string).map(str::to_owned);
        buid.ok_or_else(|| WireError::malformed("ReadBUID", "no BUID in the answer").into())
    }

    /// The host's pair record of a device; none when it has none.
    pub async fn pair_record(&self, udid: &Udid) -> Result<Option<PairRecord>, MuxError> {
        let mut request = muxd::request("ReadPairRecord");
        request.insert("PairRecordID".into(), udid.as_str().into());
        let answer = self.ask(request).await?;
        match answer.get("PairRecordData").and_then(Value::as_data) {
            Some(data) => Ok(Some(PairRecord::parse(data)?)),
            None => Ok(None),
        }
    }

    pub async fn save_pair_record(&self, udid: &Udid, id: u32, record: &PairRecord) -> Result<(), MuxError> {
        let mut request = muxd::request("SavePairRecord");
        request.insert("PairRecordID".into(), udid.as_str().into());
        request.insert("PairRecordData".into(), Value::Data(record.to_bytes()?));
        request.insert("DeviceID".into(), id.into());
        expect_ok(&self.ask(request).await?, 0)
    }

    pub async fn delete_pair_record(&self, udid: &Udid) -> Result<(), MuxError> {
        let mut request = muxd::request("DeletePairRecord");
        request.insert("PairRecordID".into(), udid.as_str().into());
        expect_ok(&self.ask(request).await?, 0)
    }
}

fn expect_ok(answer: &Dictionary, port: u16) -> Result<(), MuxError> {
    match answer.get("Number").and_then(Value::as_unsigned_integer) {
        Some(0) => Ok(()),
        Some(2) => Err(MuxError::BadDevice),
        Some(3) => Err(MuxError::Refused(port)),
        Some(other) => Err(MuxError::Number(other)),
        None => Err(WireError::malformed("usbmuxd", "no Number in the answer").into()),
    }
}

fn event_of(message: &Dictionary) -> Option<MuxEvent> {
    let id = message.get("DeviceID").and_then(Value::as_unsigned_integer)?;
    match message.get("MessageType").and_then(Value::as_string)? {
        "Attached" => {
            let properties = message.get("Properties").and_then(Value::as_dictionary)?;
            MuxDevice::from_answer(id, properties).map(MuxEvent::Attached)
        }
        "Detached" => u32::try_from(id).ok().map(MuxEvent::Detached),
        "Paired" => u32::try_from(id).ok().map(MuxEvent::Paired),
        _ => None,
    }
}

async fn exchange(stream: &mut BoxDuplex, request: Dictionary, limit: Duration) -> Result<Dictionary, MuxError> {
    let bytes = muxd::encode(&request, 1)?;
    let answer = async {
        stream.write_all(&bytes).await.map_err(MuxError::Lost)?;
        read(stream).await
    };
    tokio::time::timeout(limit, answer).await.unwrap_or(Err(MuxError::Silent))
}

async fn read(stream: &mut BoxDuplex) -> Result<Dictionary, MuxError> {
    let mut header = [0; muxd::HEADER];
    stream.read_exact(&mut header).await.map_err(MuxError::Lost)?;
    let mut body = vec![0; muxd::body_length(&header)?];
    stream.read_exact(&mut body).await.map_err(MuxError::Lost)?;
    Ok(muxd::decode(&body)?)
}
