//! The bench on the kernel's own USB: phones behind its virtual host controller, `vhci_hcd`.
//!
//! The preload door shows one program a bus; this one shows it to the whole machine, so what a kernel adds is
//! really met: usbfs with its claims and its permissions, udev and its rules, hotplug by the kernel. The
//! controller speaks USB/IP on a socket that is handed to it through sysfs; ours is one end of a socket pair,
//! so there is no network and nothing of the `usbip` tools. It needs root and the module `vhci-hcd`, and is
//! meant for a machine of its own (`scripts/guest`): phones on it are seen by every program.
//!
//! Decisions:
//! - Each enumeration is an attach of its own. A phone that leaves closes its socket, which the kernel takes
//!   for a pulled cable; a detach from outside (`echo 0 >detach`) is one too, and lasts until the phone comes
//!   back by itself.
//! - USB/IP carries no bus reset. The kernel begins each reset, and nothing else, with a read of 64 bytes of
//!   the device descriptor; so that request is taken for the reset that came before it. At the first
//!   enumeration it finds a fresh session, where a reset changes nothing.
//! - What the phone does not answer stays pending until the kernel gives it up. Whether input goes out or is
//!   given up is decided under one lock, so that nothing the phone sent is lost in between.
//! - A phone comes back only when the kernel has taken its old device down: a bench runs fast, and a kernel that
//!   is still at a reset takes what is there by then, and looks the same, for what it reset.
//! - A phone that leaves because of a request still answers that request: hosts see the acknowledgement of
//!   `reboot` first and the departure after it.
//!
//! Limits: eight phones, the ports of one controller; the faults `no_access` and `busy` are the machine's to
//! make here; timing is the kernel's.

use super::board::{Board, Change, Plugged};
use super::model::{Answer as Told, Model, Reply, lock};
use crate::usb::Setup;
use crate::virt::phone::Phone;
use crate::wire::usbip::{Answer, Command, ECONNRESET, EPIPE, ESHUTDOWN, HEADER, Submit, ZERO_PACKET};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

const CONTROLLER: &str = "/sys/devices/platform/vhci_hcd.0";
/// High-speed ports of one controller.
const PORTS: usize = 8;
/// `USB_SPEED_HIGH`.
const HIGH_SPEED: u32 = 3;
/// How long a port may take to become free after its phone left.
const PORT_LIMIT: Duration = Duration::from_secs(10);
const PORT_BEAT: Duration = Duration::from_millis(10);
/// How long a kernel may take to forget a device that left: a descriptor that it still reads costs it five.
const FORGET_LIMIT: Duration = Duration::from_secs(10);
/// How often a kernel tries that first read. A phone that a reset sent away refuses them all, and only then its
/// line is cut: one that the cut swallowed would be waited for.
const RESET_READS: u8 = 3;
/// For kernels that try less often.
const RESET_GRACE: Duration = Duration::from_millis(500);
/// How soon a loop notices that it shall end.
const BEAT: Duration = Duration::from_millis(100);
/// A kernel that takes an answer no sooner than this is stuck.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// Transfers of one phone that may be pending.
const PENDING_CAP: usize = 4096;
/// What a kernel asks first after a reset: 64 bytes of the device descriptor.
const AFTER_RESET: [u8; 8] = [0x80, 6, 0, 1, 0, 0, 64, 0];
/// Bytes of a full bulk packet at high speed.
const PACKET: usize = 512;

/// Phones on the kernel's virtual controller; dropping it unplugs them.
pub struct Vhci {
    stop: Arc<AtomicBool>,
    workers: Vec<std::thread::JoinHandle<()>>,
}

impl Vhci {
    /// Could phones be plugged in here?
    ///
    /// # Errors
    /// Without the module or without root.
    pub fn check() -> io::Result<()> {
        let attach = OpenOptions::new().write(true).open(format!("{CONTROLLER}/attach"));
        attach.map(drop).map_err(|err| explained(&err))
    }

    /// Plugs the phones in, and again whenever they enumerate anew.
    ///
    /// # Errors
    /// Without the module or without root, with more than eight phones, and when the kernel refuses.
    pub fn start(phones: &[Arc<Phone>]) -> io::Result<Vhci> {
        if phones.len() > PORTS {
            let why = format!("the virtual USB controller has {PORTS} ports and there are {} phones", phones.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Self::check()?;
        let mut vhci = Vhci { stop: Arc::default(), workers: Vec::new() };
        for phone in phones {
            let board = Board::new(std::slice::from_ref(phone));
            let (present, changes) = board.watch();
            let line = present.first().map(plug).transpose()?;
            let stop = Arc::clone(&vhci.stop);
            vhci.workers.push(std::thread::spawn(move || {
                run(line, &changes, &stop);
                drop(board);
            }));
        }
        Ok(vhci)
    }
}

impl Drop for Vhci {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

fn explained(err: &io::Error) -> io::Error {
    let remedy = match err.kind() {
        io::ErrorKind::NotFound => "there is no virtual USB controller: load the module vhci-hcd",
        io::ErrorKind::PermissionDenied => "only root may plug phones into the virtual USB controller",
        _ => "the virtual USB controller",
    };
    io::Error::new(err.kind(), format!("{remedy} ({CONTROLLER}: {err})"))
}

/// One phone's port.
fn run(mut line: Option<Arc<Line>>, changes: &Receiver<Change>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match changes.recv_timeout(BEAT) {
            Ok(Change::Arrived(plugged)) => {
                wait_forgotten(plugged.model.phone().place);
                match plug(&plugged) {
                    Ok(new) => line = Some(new),
                    Err(err) => tracing::warn!(%err, "virtual USB controller"),
                }
            }
            Ok(Change::Left(_)) => {
                line.take().iter().for_each(|line| line.unplug());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    line.iter().for_each(|line| line.unplug());
}

/// Waits until the kernel shows no device on a port.
fn wait_forgotten(port: usize) {
    let until = Instant::now() + FORGET_LIMIT;
    while shows_device(port) && Instant::now() < until {
        std::thread::sleep(PORT_BEAT);
    }
}

fn shows_device(port: usize) -> bool {
    let Ok(entries) = std::fs::read_dir(CONTROLLER) else { return false };
    entries.flatten().any(|entry| {
        let hub = entry.file_name();
        let number = hub.to_str().and_then(|hub| hub.strip_prefix("usb"));
        number.is_some_and(|number| entry.path().join(format!("{number}-{}", port + 1)).exists())
    })
}

/// Attaches one enumeration to the port that the phone's place gives it.
fn plug(plugged: &Plugged) -> io::Result<Arc<Line>> {
    let (ours, theirs) = UnixStream::pair()?;
    let line = Line::open(Arc::clone(&plugged.model), plugged.identity.generation, ours)?;
    let device = u32::from(plugged.address.bus) << 16 | u32::from(plugged.address.device);
    let port = plugged.model.phone().place;
    let text = format!("{port} {} {device} {HIGH_SPEED}", theirs.as_raw_fd());
    let until = Instant::now() + PORT_LIMIT;
    loop {
        let told = OpenOptions::new()
            .write(true)
            .open(format!("{CONTROLLER}/attach"))
            .and_then(|mut attach| attach.write_all(text.as_bytes()));
        match told {
            Ok(()) => return Ok(line),
            // The enumeration before is still being taken down.
            Err(err) if err.kind() == io::ErrorKind::ResourceBusy && Instant::now() < until => {
                std::thread::sleep(PORT_BEAT);
            }
            Err(err) => {
                line.unplug();
                return Err(io::Error::new(err.kind(), format!("port {port} of {CONTROLLER}: {err}")));
            }
        }
    }
}

/// One attached enumeration.
struct Line {
    model: Arc<Model>,
    generation: u32,
    /// Held while a request is carried out, so that its answer goes out before the line is cut.
    turn: Mutex<()>,
    /// Refused reads after a reset that made the phone leave.
    refused: AtomicU8,
    out: Mutex<Outgoing>,
    /// A request for input came, or the line was cut.
    asked: Condvar,
}

struct Outgoing {
    link: UnixStream,
    /// Submitted and neither answered nor given up, oldest first; with what is asked of an endpoint that sends.
    pending: BTreeMap<u32, Option<Submit>>,
    /// Endpoints that a thread waits on.
    watched: Vec<u8>,
    cut: bool,
}

impl Line {
    /// Serves the device's end of `link` until either side closes it.
    fn open(model: Arc<Model>, generation: u32, link: UnixStream) -> io::Result<Arc<Line>> {
        link.set_write_timeout(Some(WRITE_LIMIT))?;
        let incoming = link.try_clone()?;
        let out = Mutex::new(Outgoing { link, pending: BTreeMap::new(), watched: Vec::new(), cut: false });
        let (turn, refused, asked) = (Mutex::new(()), AtomicU8::new(0), Condvar::new());
        let line = Arc::new(Line { model, generation, turn, refused, out, asked });
        let serving = Arc::clone(&line);
        std::thread::Builder::new().name("vhci".into()).spawn(move || {
            if let Err(err) = serving.serve(incoming) {
                tracing::debug!(%err, "virtual USB controller");
            }
            serving.cut();
        })?;
        Ok(line)
    }

    fn unplug(&self) {
        let turn = lock(&self.turn);
        if self.refused.load(Ordering::Relaxed) > 0 {
            drop(turn);
            let out = lock(&self.out);
            drop(self.asked.wait_timeout_while(out, RESET_GRACE, |out| !out.cut));
        }
        self.cut();
    }

    fn cut(&self) {
        let mut out = lock(&self.out);
        let _ = out.link.shutdown(Shutdown::Both);
        out.cut = true;
        self.asked.notify_all();
    }

    fn serve(self: &Arc<Self>, mut incoming: UnixStream) -> io::Result<()> {
        loop {
            let mut header = [0; HEADER];
            match incoming.read_exact(&mut header) {
                Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                other => other?,
            }
            let command = Command::parse(&header).map_err(|err| io::Error::new(io::ErrorKind::InvalidData, err))?;
            let mut data = vec![0; command.body()];
            incoming.read_exact(&mut data)?;
            let _turn = lock(&self.turn);
            match command {
                Command::Submit(submit) => {
                    self.submit(&submit, &data)?;
                    if self.refused.load(Ordering::Relaxed) >= RESET_READS {
                        return Ok(());
                    }
                }
                Command::Unlink { sequence, target } => {
                    let mut out = lock(&self.out);
                    let status = if out.pending.remove(&target).is_some() { ECONNRESET } else { 0 };
                    out.tell(Answer::Unlink { sequence, status }, &[])?;
                }
            }
        }
    }

    fn submit(self: &Arc<Self>, submit: &Submit, data: &[u8]) -> io::Result<()> {
        let input = submit.incoming && submit.endpoint != 0;
        {
            let mut out = lock(&self.out);
            if out.pending.len() >= PENDING_CAP {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "too many transfers pending"));
            }
            out.pending.insert(submit.sequence, input.then_some(*submit));
        }
        if input {
            return self.await_input(submit.endpoint);
        }
        let Told { reply, after } = self.ask(submit, data);
        if after.is_zero() || matches!(reply, Reply::Silent | Reply::Gone) {
            return self.answer(submit, reply);
        }
        let (line, submit) = (Arc::clone(self), *submit);
        std::thread::spawn(move || {
            let gone = line.model.wait_gone(line.generation, after);
            let _ = line.answer(&submit, if gone { Reply::Gone } else { reply });
        });
        Ok(())
    }

    fn ask(&self, submit: &Submit, data: &[u8]) -> Told {
        let (model, generation) = (&self.model, self.generation);
        match (submit.endpoint, submit.incoming) {
            (0, _) => {
                if submit.setup == AFTER_RESET {
                    model.reset(generation);
                    if model.wait_gone(generation, Duration::ZERO) {
                        self.refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
                let [kind, request, v0, v1, i0, i1, l0, l1] = submit.setup;
                let setup = Setup::new(kind, request, u16::from_le_bytes([v0, v1]), u16::from_le_bytes([i0, i1]));
                model.control(generation, setup, u16::from_le_bytes([l0, l1]), data)
            }
            (endpoint, _) => {
                let told = model.bulk_out(generation, endpoint, data);
                let whole = !data.is_empty() && data.len().is_multiple_of(PACKET);
                if submit.flags & ZERO_PACKET != 0 && whole && matches!(told.reply, Reply::Taken(_)) {
                    model.bulk_out(generation, endpoint, &[]);
                }
                told
            }
        }
    }

    /// Answers what there is to answer, and has somebody wait for the rest.
    fn await_input(self: &Arc<Self>, endpoint: u8) -> io::Result<()> {
        let mut out = lock(&self.out);
        self.answer_inputs(&mut out, endpoint)?;
        self.asked.notify_all();
        if out.watched.contains(&endpoint) {
            return Ok(());
        }
        out.watched.push(endpoint);
        let line = Arc::clone(self);
        std::thread::Builder::new().name("vhci-in".into()).spawn(move || line.watch(endpoint)).map(drop)
    }

    /// Requests on an endpoint, oldest first, while the phone has something to send.
    fn answer_inputs(&self, out: &mut Outgoing, endpoint: u8) -> io::Result<()> {
        while let Some(submit) = out.oldest_input(endpoint) {
            let room = submit.length as usize;
            match self.model.bulk_in(self.generation, endpoint | 0x80, room, Duration::ZERO).reply {
                Reply::Silent => break,
                reply => out.answer(&submit, reply)?,
            }
        }
        Ok(())
    }

    fn watch(&self, endpoint: u8) {
        loop {
            let mut out = lock(&self.out);
            while !out.cut && out.oldest_input(endpoint).is_none() {
                out = self.asked.wait(out).unwrap_or_else(PoisonError::into_inner);
            }
            if out.cut {
                return;
            }
            drop(out);
            if self.model.wait_in(self.generation, endpoint | 0x80, BEAT)
                && self.answer_inputs(&mut lock(&self.out), endpoint).is_err()
            {
                return;
            }
        }
    }

    fn answer(&self, submit: &Submit, reply: Reply) -> io::Result<()> {
        lock(&self.out).answer(submit, reply)
    }
}

impl Outgoing {
    fn oldest_input(&self, endpoint: u8) -> Option<Submit> {
        self.pending.values().flatten().find(|s| s.endpoint == endpoint).copied()
    }

    /// Answers unless the kernel gave the transfer up already; silence leaves it pending.
    fn answer(&mut self, submit: &Submit, reply: Reply) -> io::Result<()> {
        let (status, actual, data) = match reply {
            Reply::Silent => return Ok(()),
            Reply::Data(mut data) => {
                data.truncate(submit.length as usize);
                (0, data.len() as u32, data)
            }
            Reply::Taken(count) => (0, u32::try_from(count).unwrap_or(u32::MAX).min(submit.length), Vec::new()),
            Reply::Stall => (EPIPE, 0, Vec::new()),
            Reply::Gone => (ESHUTDOWN, 0, Vec::new()),
        };
        match self.pending.remove(&submit.sequence) {
            Some(_) => self.tell(Answer::Submit { sequence: submit.sequence, status, actual }, &data),
            None => Ok(()),
        }
    }

    fn tell(&mut self, answer: Answer, data: &[u8]) -> io::Result<()> {
        let mut packet = Vec::with_capacity(HEADER + data.len());
        packet.extend_from_slice(&answer.to_bytes());
        packet.extend_from_slice(data);
        self.link.write_all(&packet)
    }
}
