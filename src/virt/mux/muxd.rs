//! The host's usbmuxd: one socket, all phones in normal and restore mode.
//!
//! Phones come and go by their stage; each attach has a new number. A connect hands the client's own
//! socket to the phone, so bytes are copied once, with one exception: in restore mode some ports speak
//! before the host does (ASR), and their first words must not overtake the result of the connect. There
//! the two sides are joined by a relay.

use super::HostRecords;
use super::inside::lock;
use crate::virt::phone::{Phone, Stage};
use crate::wire::lockdown::PORT;
use crate::wire::muxd::{Answer, Attached, Client, HEADER, Header, KIND_PLIST, KIND_RESULT, Request, VERSION};
use crate::wire::muxd::{message, result};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a listener may leave an event unread.
const LISTENER: Duration = Duration::from_secs(2);
/// How often a stopped server is noticed.
const TICK: Duration = Duration::from_millis(200);
/// A phone that just came up gets this long to open lockdownd's port.
const BOOT: Duration = Duration::from_secs(2);
const RELAY: usize = 256 << 10;

struct Device {
    phone: Arc<Phone>,
    stage: Stage,
    shown: Attached,
    since: Instant,
    connects: u32,
}

struct Listener {
    number: u64,
    client: Client,
    stream: UnixStream,
}

#[derive(Default)]
struct Board {
    last: u32,
    devices: BTreeMap<u32, Device>,
    listeners: Vec<Listener>,
    last_listener: u64,
}

struct Shared {
    socket: PathBuf,
    records: Arc<HostRecords>,
    board: Mutex<Board>,
    listener: UnixListener,
    stopped: AtomicBool,
}

/// A running usbmuxd; dropping it ends it, with all links.
pub struct Muxd {
    shared: Arc<Shared>,
}

impl Muxd {
    /// Listens on a new Unix socket (a path of at most 107 bytes; a dead socket there is replaced).
    pub fn start(socket: &Path, phones: Vec<Arc<Phone>>, records: Arc<HostRecords>) -> io::Result<Muxd> {
        let listener = match UnixListener::bind(socket) {
            Err(err) if err.kind() == io::ErrorKind::AddrInUse && UnixStream::connect(socket).is_err() => {
                std::fs::remove_file(socket)?;
                UnixListener::bind(socket)?
            }
            other => other?,
        };
        let shared = Arc::new(Shared {
            socket: socket.to_owned(),
            records,
            board: Mutex::default(),
            listener,
            stopped: AtomicBool::new(false),
        });
        for phone in phones {
            let changes = phone.watch();
            shared.change(&phone, phone.stage());
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                while !shared.stopped.load(Ordering::Relaxed) {
                    match changes.recv_timeout(TICK) {
                        Ok(change) => shared.change(&phone, change.to),
                        Err(RecvTimeoutError::Timeout) => shared.reconsider(&phone),
                        Err(RecvTimeoutError::Disconnected) => return,
                    }
                }
            });
        }
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = accepting.listener.accept() {
                if accepting.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || {
                    let _ = shared.serve(stream);
                });
            }
        });
        Ok(Muxd { shared })
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.shared.socket
    }
}

impl Drop for Muxd {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Shared {
    fn stop(&self) {
        if self.stopped.swap(true, Ordering::SeqCst) {
            return;
        }
        let _ = std::fs::remove_file(&self.socket);
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        let mut board = lock(&self.board);
        for listener in board.listeners.drain(..) {
            let _ = listener.stream.shutdown(Shutdown::Both);
        }
        for device in std::mem::take(&mut board.devices).into_values() {
            device.phone.cut_links();
        }
    }

    /// A phone in restricted mode shows up when it is unlocked, and stays for as long as it is connected.
    fn reconsider(&self, phone: &Arc<Phone>) {
        let restricted = phone.spec.faults.mux.restricted_usb && phone.stage() == Stage::Normal;
        if restricted && !is_closed(phone) && !lock(&self.board).devices.values().any(|d| Arc::ptr_eq(&d.phone, phone))
        {
            self.change(phone, Stage::Normal);
        }
    }

    /// A phone is now in `stage`.
    fn change(&self, phone: &Arc<Phone>, stage: Stage) {
        let mut board = lock(&self.board);
        let gone: Vec<u32> =
            board.devices.iter().filter(|(_, d)| Arc::ptr_eq(&d.phone, phone)).map(|(id, _)| *id).collect();
        for id in gone {
            board.devices.remove(&id);
            board.tell(&Answer::Detached(id));
        }
        let closed = stage == Stage::Normal && is_closed(phone);
        if closed || !matches!(stage, Stage::Normal | Stage::Restore) || self.stopped.load(Ordering::SeqCst) {
            return;
        }
        board.last += 1;
        let device = board.last;
        let address = phone.state().enumerations + 1;
        let shown = Attached {
            device,
            serial: match stage {
                Stage::Restore => format!("ffffffffffffffffffffffffffffffff{address:08x}"),
                _ => phone.udid.to_string(),
            },
            connection: "USB".into(),
            location: 1 << 16 | u32::from(phone.port()) << 8 | (address & 0xFF),
            product: if phone.model.product.as_str().starts_with("iPad") { 0x12AB } else { 0x12A8 },
            speed: 480_000_000,
        };
        board.tell(&Answer::Attached(shown.clone()));
        board
            .devices
            .insert(device, Device { phone: Arc::clone(phone), stage, shown, since: Instant::now(), connects: 0 });
    }

    /// One client until it listens, connects or leaves.
    fn serve(self: &Arc<Self>, mut stream: UnixStream) -> io::Result<()> {
        loop {
            let mut head = [0; HEADER];
            stream.read_exact(&mut head)?;
            let header = Header::parse(&head).map_err(io::Error::other)?;
            let mut body = vec![0; header.body()];
            stream.read_exact(&mut body)?;
            if header.version != VERSION || header.kind != KIND_PLIST {
                let refused = Header { length: HEADER as u32 + 4, version: 0, kind: KIND_RESULT, tag: header.tag };
                stream.write_all(&[&refused.encode()[..], &result::BAD_VERSION.to_le_bytes()].concat())?;
                return Ok(());
            }
            let (request, client) = match Request::parse(&body) {
                Ok(parsed) => parsed,
                Err(_) => {
                    say(&mut stream, header.tag, &Answer::Result(result::BAD_COMMAND))?;
                    continue;
                }
            };
            let answer = match request {
                Request::Listen => return self.listen(stream, header.tag, client),
                Request::Connect { device, port } => {
                    let Some(back) = self.connect(stream, header.tag, device, port)? else { return Ok(()) };
                    stream = back;
                    continue;
                }
                Request::ListDevices => {
                    Answer::Devices(lock(&self.board).devices.values().map(|d| d.shown.clone()).collect())
                }
                Request::ListListeners => {
                    Answer::Listeners(lock(&self.board).listeners.iter().map(|l| l.client.clone()).collect())
                }
                Request::ReadBuid => Answer::Buid(self.records.system_buid().to_owned()),
                Request::ReadPairRecord { id } => match self.records.read(&id) {
                    Some(record) => Answer::PairRecord(record),
                    None => Answer::Result(result::NO_RECORD),
                },
                Request::SavePairRecord { id, record, device } => {
                    let refused = lock(&self.board)
                        .devices
                        .values()
                        .find(|d| d.shown.serial == id)
                        .and_then(|d| d.phone.spec.faults.mux.record_unsaved);
                    let saved = match refused {
                        Some(number) => Err(number),
                        None => self.records.save(&id, &record),
                    };
                    if let (Ok(()), Some(device)) = (saved, device) {
                        let mut board = lock(&self.board);
                        if board.devices.get(&device).is_some_and(|d| d.shown.serial == id) {
                            board.tell(&Answer::Paired(device));
                        }
                    }
                    Answer::Result(saved.err().unwrap_or(result::OK))
                }
                Request::DeletePairRecord { id } => {
                    Answer::Result(if self.records.delete(&id) { result::OK } else { result::NO_RECORD })
                }
                Request::Other(_) => Answer::Result(result::BAD_COMMAND),
            };
            say(&mut stream, header.tag, &answer)?;
        }
    }

    fn listen(&self, mut stream: UnixStream, tag: u32, client: Client) -> io::Result<()> {
        stream.set_write_timeout(Some(LISTENER))?;
        let mut reading = stream.try_clone()?;
        let number = {
            // Under the lock, so that no event comes twice or not at all.
            let mut board = lock(&self.board);
            // `stop` has emptied the list already: nobody would close this one.
            if self.stopped.load(Ordering::SeqCst) {
                return Ok(());
            }
            say(&mut stream, tag, &Answer::Result(result::OK))?;
            for device in board.devices.values() {
                say(&mut stream, 0, &Answer::Attached(device.shown.clone()))?;
            }
            board.last_listener += 1;
            let number = board.last_listener;
            board.listeners.push(Listener { number, client, stream });
            number
        };
        // Nothing may follow on this socket; reading tells when the client leaves.
        let mut head = [0; HEADER];
        if reading.read_exact(&mut head).is_ok() {
            let tag = Header::parse(&head).map(|h| h.tag).unwrap_or(0);
            let _ = say(&mut reading, tag, &Answer::Result(result::BAD_COMMAND));
        }
        let _ = reading.shutdown(Shutdown::Both);
        lock(&self.board).listeners.retain(|l| l.number != number);
        Ok(())
    }

    /// Gives the stream back when the device did not take it.
    fn connect(
        self: &Arc<Self>,
        mut stream: UnixStream,
        tag: u32,
        device: u32,
        port: u16,
    ) -> io::Result<Option<UnixStream>> {
        let found = {
            let mut board = lock(&self.board);
            board.devices.get_mut(&device).map(|d| {
                d.connects += 1;
                let first = if d.stage == Stage::Normal || port == PORT { FirstWord::Host } else { FirstWord::Anyone };
                (Arc::clone(&d.phone), d.since, d.connects, first)
            })
        };
        let Some((phone, since, connects, first_word)) = found else {
            say(&mut stream, tag, &Answer::Result(result::BAD_DEVICE))?;
            return Ok(Some(stream));
        };
        let faults = &phone.spec.faults.mux;
        if faults.mux_vanish_after_connects.is_some_and(|most| connects > most) {
            phone.remember("mux.vanished", serde_json::json!({ "connects": connects - 1 }));
            self.stop();
            return Ok(None);
        }
        let (ours, theirs) = match first_word {
            FirstWord::Host => (None, stream.try_clone()?),
            FirstWord::Anyone => {
                let (ours, theirs) = UnixStream::pair()?;
                (Some(ours), theirs)
            }
        };
        let patient = port == PORT && since.elapsed() < BOOT;
        let until = Instant::now() + BOOT;
        let mut taken = !faults.connect_refused && phone.connect(port, theirs.try_clone()?);
        while !taken && patient && !faults.connect_refused && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
            taken = phone.connect(port, theirs.try_clone()?);
        }
        drop(theirs);
        if !taken {
            say(&mut stream, tag, &Answer::Result(result::REFUSED))?;
            return Ok(Some(stream));
        }
        say(&mut stream, tag, &Answer::Result(result::OK))?;
        if let Some(ours) = ours {
            relay(stream, ours);
        }
        Ok(None)
    }
}

/// Does USB restricted mode keep it from usbmuxd?
fn is_closed(phone: &Phone) -> bool {
    phone.spec.faults.mux.restricted_usb && phone.state().is_locked()
}

/// Who may speak first on a port.
#[derive(Clone, Copy)]
enum FirstWord {
    Host,
    Anyone,
}

/// One end of a stream that is copied.
pub(super) trait End: Read + Write + Send + Sized + 'static {
    fn twin(&self) -> io::Result<Self>;
    fn close(&self, how: Shutdown);
}

macro_rules! ends {
    ($($stream:ty),*) => {$(
        impl End for $stream {
            fn twin(&self) -> io::Result<Self> {
                self.try_clone()
            }
            fn close(&self, how: Shutdown) {
                let _ = self.shutdown(how);
            }
        }
    )*};
}

ends!(UnixStream, std::net::TcpStream);

/// Copies both ways until either side is done, each on its own thread.
pub(super) fn relay<A: End, B: End>(host: A, phone: B) {
    if let (Ok(host_read), Ok(phone_read)) = (host.twin(), phone.twin()) {
        std::thread::spawn(move || copy(host_read, phone));
        copy(phone_read, host);
    }
}

fn copy<A: End, B: End>(mut from: A, mut to: B) {
    let mut buffer = vec![0; RELAY];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(buffer.get(..count).unwrap_or_default()).is_err() {
            break;
        }
    }
    to.close(Shutdown::Write);
    from.close(Shutdown::Read);
}

impl Board {
    fn tell(&mut self, event: &Answer) {
        self.listeners.retain_mut(|l| say(&mut l.stream, 0, event).is_ok());
    }
}

fn say(stream: &mut UnixStream, tag: u32, answer: &Answer) -> io::Result<()> {
    stream.write_all(&message(tag, answer.body()).map_err(io::Error::other)?)
}
