//! The virtual bus for a second process, over a Unix socket.
//!
//! For machines without umockdev's preload library: a tool process reaches the model of a bench process
//! through the bus trait. One connection is one thing: a list, a watch, or an open handle that ends with
//! it. A frame is two big-endian u32 (lengths of header and body), a JSON header, and raw bytes.

use super::VirtualBus;
use crate::usb::{Address, Bus, BusEvent, Handle, Setup, UsbDevice, UsbError};
use crate::virt::phone::Phone;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

const HEADER_CAP: u32 = 64 << 10;
const BODY_CAP: u32 = 16 << 20;
/// What a frame may take beyond the limit of the request that it answers.
const SLACK: Duration = Duration::from_secs(5);
/// Longest limit that a client may ask for.
const LIMIT_CAP: Duration = Duration::from_secs(600);
/// How often a watch looks whether its client is still there.
const WATCH_BEAT: Duration = Duration::from_millis(500);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Ask {
    Devices,
    Watch,
    Open(Address),
    ControlOut { setup: Setup, limit_ms: u64 },
    ControlIn { setup: Setup, length: u16, limit_ms: u64 },
    BulkOut { endpoint: u8, limit_ms: u64 },
    BulkIn { endpoint: u8, length: usize, limit_ms: u64 },
    String { index: u8, limit_ms: u64 },
    Configuration,
    SetConfiguration(u8),
    Claim { interface: u8, alternate: u8 },
    Reset,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Tell {
    Devices(Vec<UsbDevice>),
    Event(BusEvent),
    /// Nothing happens; sent now and then so that a dead client is noticed.
    Quiet,
    Count(usize),
    Bytes,
    Text(String),
    Done,
    Failed(UsbError),
}

fn send(link: &mut UnixStream, header: &impl Serialize, body: &[u8]) -> io::Result<()> {
    let header = serde_json::to_vec(header)?;
    let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "frame too long");
    let lengths = (u32::try_from(header.len()).map_err(too_long)?, u32::try_from(body.len()).map_err(too_long)?);
    if lengths.1 > BODY_CAP {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "body too long"));
    }
    let mut frame = Vec::with_capacity(8 + header.len() + body.len());
    frame.extend_from_slice(&lengths.0.to_be_bytes());
    frame.extend_from_slice(&lengths.1.to_be_bytes());
    frame.extend_from_slice(&header);
    frame.extend_from_slice(body);
    link.write_all(&frame)
}

fn receive<T: DeserializeOwned>(link: &mut UnixStream) -> io::Result<(T, Vec<u8>)> {
    let mut lengths = [[0; 4]; 2];
    link.read_exact(lengths.as_flattened_mut())?;
    let [header, body] = lengths.map(u32::from_be_bytes);
    if header > HEADER_CAP || body > BODY_CAP {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame beyond the cap"));
    }
    let mut bytes = vec![0; header as usize];
    link.read_exact(&mut bytes)?;
    let header = serde_json::from_slice(&bytes)?;
    let mut body = vec![0; body as usize];
    link.read_exact(&mut body)?;
    Ok((header, body))
}

/// The bench's side; stops taking connections when dropped.
pub struct RemoteServer {
    socket: PathBuf,
    stop: Arc<AtomicBool>,
}

/// Serves the phones on a socket made at `socket`.
///
/// # Errors
/// When the socket cannot be made; an old file at that path is an error too.
pub fn serve(socket: &Path, phones: Vec<Arc<Phone>>) -> io::Result<RemoteServer> {
    let listener = UnixListener::bind(socket)?;
    let stop = Arc::new(AtomicBool::new(false));
    let server = RemoteServer { socket: socket.to_owned(), stop: Arc::clone(&stop) };
    let bus = Arc::new(VirtualBus::new(phones));
    std::thread::spawn(move || {
        for link in listener.incoming() {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let Ok(link) = link else { continue };
            let bus = Arc::clone(&bus);
            std::thread::spawn(move || {
                if let Err(err) = client(link, &bus) {
                    tracing::debug!(%err, "remote bus connection ended");
                }
            });
        }
    });
    Ok(server)
}

impl Drop for RemoteServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the accept; whether it works does not matter.
        let _ = UnixStream::connect(&self.socket);
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn client(mut link: UnixStream, bus: &VirtualBus) -> io::Result<()> {
    match receive::<Ask>(&mut link)?.0 {
        Ask::Devices => {
            let tell = bus.devices().map_or_else(Tell::Failed, Tell::Devices);
            send(&mut link, &tell, &[])
        }
        Ask::Watch => watch(&mut link, bus),
        Ask::Open(address) => match bus.open(address) {
            Err(err) => send(&mut link, &Tell::Failed(err), &[]),
            Ok(handle) => {
                send(&mut link, &Tell::Done, &[])?;
                serve_handle(&mut link, handle)
            }
        },
        _ => send(&mut link, &Tell::Failed(UsbError::Other("not open".into())), &[]),
    }
}

fn watch(link: &mut UnixStream, bus: &VirtualBus) -> io::Result<()> {
    let events = match bus.watch() {
        Ok(events) => events,
        Err(err) => return send(link, &Tell::Failed(err), &[]),
    };
    send(link, &Tell::Done, &[])?;
    loop {
        match events.recv_timeout(WATCH_BEAT) {
            Ok(event) => send(link, &Tell::Event(event), &[])?,
            Err(RecvTimeoutError::Timeout) => send(link, &Tell::Quiet, &[])?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

fn serve_handle(link: &mut UnixStream, mut handle: Box<dyn Handle>) -> io::Result<()> {
    let limit = |ms: u64| Duration::from_millis(ms).min(LIMIT_CAP);
    loop {
        let (ask, body) = match receive::<Ask>(link) {
            Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        };
        let mut bytes = Vec::new();
        let mut keep = |data: Vec<u8>| {
            bytes = data;
            Tell::Bytes
        };
        let tell = match ask {
            Ask::ControlOut { setup, limit_ms } => handle.control_out(setup, &body, limit(limit_ms)).map(Tell::Count),
            Ask::ControlIn { setup, length, limit_ms } => {
                handle.control_in(setup, length, limit(limit_ms)).map(&mut keep)
            }
            Ask::BulkOut { endpoint, limit_ms } => handle.bulk_out(endpoint, &body, limit(limit_ms)).map(Tell::Count),
            Ask::BulkIn { endpoint, length, limit_ms } => {
                handle.bulk_in(endpoint, length.min(BODY_CAP as usize), limit(limit_ms)).map(&mut keep)
            }
            Ask::String { index, limit_ms } => handle.string(index, limit(limit_ms)).map(Tell::Text),
            Ask::Configuration => handle.configuration().map(|c| Tell::Count(c.into())),
            Ask::SetConfiguration(value) => handle.set_configuration(value).map(|()| Tell::Done),
            Ask::Claim { interface, alternate } => handle.claim(interface, alternate).map(|()| Tell::Done),
            Ask::Reset => handle.reset().map(|()| Tell::Done),
            Ask::Devices | Ask::Watch | Ask::Open(_) => Err(UsbError::Other("this connection is a handle".into())),
        };
        send(link, &tell.unwrap_or_else(Tell::Failed), &bytes)?;
    }
}

/// The tool's side.
pub struct RemoteBus {
    socket: PathBuf,
}

impl RemoteBus {
    /// # Errors
    /// When nobody listens there.
    pub fn connect(socket: &Path) -> io::Result<RemoteBus> {
        UnixStream::connect(socket)?;
        Ok(RemoteBus { socket: socket.to_owned() })
    }

    fn ask(&self, ask: &Ask) -> Result<(UnixStream, Tell), UsbError> {
        let mut link = UnixStream::connect(&self.socket).map_err(unavailable)?;
        let tell = exchange(&mut link, ask, &[], Duration::ZERO)?.0;
        Ok((link, tell))
    }
}

fn unavailable(err: io::Error) -> UsbError {
    UsbError::Unavailable(format!("the bench does not answer: {err}"))
}

fn exchange(link: &mut UnixStream, ask: &Ask, body: &[u8], limit: Duration) -> Result<(Tell, Vec<u8>), UsbError> {
    link.set_read_timeout(Some(limit + SLACK)).map_err(unavailable)?;
    link.set_write_timeout(Some(limit + SLACK)).map_err(unavailable)?;
    send(link, ask, body).map_err(unavailable)?;
    match receive(link).map_err(unavailable)? {
        (Tell::Failed(err), _) => Err(err),
        other => Ok(other),
    }
}

fn odd(tell: &Tell) -> UsbError {
    UsbError::Other(format!("the bench answered {tell:?}").chars().take(200).collect())
}

impl Bus for RemoteBus {
    fn name(&self) -> &str {
        "virtual bus of another process"
    }

    fn devices(&self) -> Result<Vec<UsbDevice>, UsbError> {
        match self.ask(&Ask::Devices)?.1 {
            Tell::Devices(devices) => Ok(devices),
            other => Err(odd(&other)),
        }
    }

    fn watch(&self) -> Result<Receiver<BusEvent>, UsbError> {
        let (mut link, _done) = self.ask(&Ask::Watch)?;
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            while let Ok((tell, _)) = receive::<Tell>(&mut link) {
                if let Tell::Event(event) = tell
                    && sender.send(event).is_err()
                {
                    return;
                }
            }
        });
        Ok(receiver)
    }

    fn open(&self, address: Address) -> Result<Box<dyn Handle>, UsbError> {
        let (link, _done) = self.ask(&Ask::Open(address))?;
        Ok(Box::new(RemoteHandle { link }))
    }
}

struct RemoteHandle {
    link: UnixStream,
}

impl RemoteHandle {
    fn plain(&mut self, ask: &Ask) -> Result<Tell, UsbError> {
        exchange(&mut self.link, ask, &[], SLACK).map(|(tell, _)| tell)
    }

    fn count(&mut self, ask: &Ask, data: &[u8], limit: Duration) -> Result<usize, UsbError> {
        match exchange(&mut self.link, ask, data, limit)?.0 {
            Tell::Count(count) => Ok(count),
            other => Err(odd(&other)),
        }
    }

    fn bytes(&mut self, ask: &Ask, limit: Duration) -> Result<Vec<u8>, UsbError> {
        match exchange(&mut self.link, ask, &[], limit)? {
            (Tell::Bytes, bytes) => Ok(bytes),
            (other, _) => Err(odd(&other)),
        }
    }
}

fn ms(limit: Duration) -> u64 {
    u64::try_from(limit.min(LIMIT_CAP).as_millis()).unwrap_or(u64::MAX)
}

impl Handle for RemoteHandle {
    fn control_out(&mut self, setup: Setup, data: &[u8], limit: Duration) -> Result<usize, UsbError> {
        self.count(&Ask::ControlOut { setup, limit_ms: ms(limit) }, data, limit)
    }

    fn control_in(&mut self, setup: Setup, length: u16, limit: Duration) -> Result<Vec<u8>, UsbError> {
        self.bytes(&Ask::ControlIn { setup, length, limit_ms: ms(limit) }, limit)
    }

    fn bulk_out(&mut self, endpoint: u8, data: &[u8], limit: Duration) -> Result<usize, UsbError> {
        self.count(&Ask::BulkOut { endpoint, limit_ms: ms(limit) }, data, limit)
    }

    fn bulk_in(&mut self, endpoint: u8, length: usize, limit: Duration) -> Result<Vec<u8>, UsbError> {
        self.bytes(&Ask::BulkIn { endpoint, length, limit_ms: ms(limit) }, limit)
    }

    fn string(&mut self, index: u8, limit: Duration) -> Result<String, UsbError> {
        match exchange(&mut self.link, &Ask::String { index, limit_ms: ms(limit) }, &[], limit)?.0 {
            Tell::Text(text) => Ok(text),
            other => Err(odd(&other)),
        }
    }

    fn configuration(&mut self) -> Result<u8, UsbError> {
        match self.plain(&Ask::Configuration)? {
            Tell::Count(value) => u8::try_from(value).map_err(|_| UsbError::Other("configuration over 255".into())),
            other => Err(odd(&other)),
        }
    }

    fn set_configuration(&mut self, value: u8) -> Result<(), UsbError> {
        self.plain(&Ask::SetConfiguration(value)).map(drop)
    }

    fn claim(&mut self, interface: u8, alternate: u8) -> Result<(), UsbError> {
        self.plain(&Ask::Claim { interface, alternate }).map(drop)
    }

    fn reset(&mut self) -> Result<(), UsbError> {
        self.plain(&Ask::Reset).map(drop)
    }
}
