//! One device node: a FIFO to poll on, a socket that takes the ioctls, and a queue for each open file.
//!
//! The preload library sends `{1, request, argument}` for an ioctl (three native u64) and then obeys:
//! `{5, address, length}` makes it send its memory, `{6, address, length}` and bytes make it store them,
//! `{3, result, errno}` lets the call return.

use super::super::model::{Answer, Model, Reply, lock};
use super::sysfs::{self, Roots};
use super::urb::*;
use crate::usb::Setup;
use rustix::fs::{CWD, FileType, Mode};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

/// How soon a thread notices that its file was closed.
const BEAT: Duration = Duration::from_millis(200);

const IOCTL: u64 = 1;
const DONE: u64 = 3;
const READ_MEMORY: u64 = 5;
const WRITE_MEMORY: u64 = 6;

/// Zero packets, no packet size limit, scatter and gather, reap after disconnect.
const CAPABILITIES: u32 = 0x1D;
/// `USB_SPEED_HIGH`.
const HIGH_SPEED: i64 = 3;

/// What is behind a node: one enumeration of a phone.
pub struct Target {
    pub model: Arc<Model>,
    pub generation: u32,
    /// The attribute that libusb reads the configuration from, below each root.
    pub configuration: PathBuf,
    pub roots: Roots,
}

/// FIFO that is full while nothing can be reaped.
struct Gate {
    fifo: File,
    open: Mutex<bool>,
}

impl Gate {
    fn make(path: &Path, no_access: bool) -> io::Result<Gate> {
        match fs::remove_file(path) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
            _ => {}
        }
        rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o666), 0)?;
        let fifo = OpenOptions::new().read(true).write(true).custom_flags(NONBLOCK).open(path)?;
        // One page is filled and drained faster than sixteen; a kernel that refuses costs only that.
        let _ = rustix::pipe::fcntl_setpipe_size(&fifo, 4096);
        fs::set_permissions(path, fs::Permissions::from_mode(if no_access { 0 } else { 0o666 }))?;
        let gate = Gate { fifo, open: Mutex::new(true) };
        gate.set(|| false);
        Ok(gate)
    }

    /// `wanted` is asked under the lock, so that the last to come sees the newest.
    fn set(&self, wanted: impl FnOnce() -> bool) {
        let mut state = lock(&self.open);
        let open = wanted();
        if *state == open {
            return;
        }
        *state = open;
        let mut page = [0; 4096];
        let mut fifo = &self.fifo;
        if open { while fifo.read(&mut page).is_ok_and(|n| n > 0) {} } else { while fifo.write(&page).is_ok() {} }
    }
}

const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;

/// The requests of one open file.
#[derive(Default)]
struct Line {
    queue: Mutex<Queue>,
    /// A request for input came, or the file was closed.
    asked: Condvar,
    closed: AtomicBool,
}

/// See the essay.
pub struct Node {
    target: Target,
    gate: Gate,
    socket: PathBuf,
    files: Mutex<HashMap<u64, Arc<Line>>>,
    /// Which open file claimed which interface.
    claims: Mutex<HashMap<u32, u64>>,
    gone: AtomicBool,
    closed: AtomicBool,
}

impl Node {
    pub fn make(root: &Path, number: u8, target: Target, no_access: bool) -> io::Result<Arc<Node>> {
        let gate = Gate::make(&root.join(format!("dev/bus/usb/001/{number:03}")), no_access)?;
        sysfs::node_number(root, number)?;
        let socket = root.join(format!("ioctl/dev/bus/usb/001/{number:03}"));
        match fs::remove_file(&socket) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
            _ => {}
        }
        let listener = UnixListener::bind(&socket)?;
        let node = Arc::new(Node {
            target,
            gate,
            socket,
            files: Mutex::default(),
            claims: Mutex::default(),
            gone: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        });
        let weak = Arc::downgrade(&node);
        std::thread::spawn(move || accept(&listener, &weak));
        Ok(node)
    }

    /// The device left: requests come back, then everything is `ENODEV`.
    pub fn unplug(&self) {
        self.gone.store(true, Ordering::SeqCst);
        for line in lock(&self.files).values() {
            lock(&line.queue).unplug();
            line.asked.notify_all();
        }
        self.regate();
    }

    /// Unplugs, and takes no more clients.
    pub fn close(&self) {
        self.unplug();
        self.closed.store(true, Ordering::SeqCst);
        // Wakes the accept; the socket file may be another node's by now, which then sees an idle client.
        let _ = UnixStream::connect(&self.socket);
    }

    fn regate(&self) {
        self.gate.set(|| lock(&self.files).values().any(|line| lock(&line.queue).reapable()));
    }
}

/// Shows the node of the base folder in a client's: the same FIFO, the same socket.
pub fn expose(base: &Path, root: &Path, number: u8) -> io::Result<()> {
    for folder in ["dev/bus/usb/001", "ioctl/dev/bus/usb/001"] {
        let name = Path::new(folder).join(format!("{number:03}"));
        let to = root.join(&name);
        match fs::remove_file(&to) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
            _ => fs::hard_link(base.join(&name), to)?,
        }
    }
    sysfs::node_number(root, number)
}

fn accept(listener: &UnixListener, node: &Weak<Node>) {
    let mut next = 0;
    for link in listener.incoming() {
        let Some(node) = node.upgrade() else { return };
        if node.closed.load(Ordering::SeqCst) {
            return;
        }
        let Ok(link) = link else { continue };
        next += 1;
        let mut file = OpenFile { id: next, link, line: Arc::default(), node };
        std::thread::spawn(move || {
            if let Err(err) = file.serve() {
                tracing::debug!(%err, "emulated node closed");
            }
            file.line.closed.store(true, Ordering::SeqCst);
            file.line.asked.notify_all();
            lock(&file.node.files).remove(&file.id);
            lock(&file.node.claims).retain(|_, owner| *owner != file.id);
            file.node.regate();
        });
    }
}

/// One open file of one client.
struct OpenFile {
    id: u64,
    link: UnixStream,
    line: Arc<Line>,
    node: Arc<Node>,
}

/// What an ioctl returns: a result, or an error number.
type Outcome = Result<i64, i32>;

impl OpenFile {
    fn serve(&mut self) -> io::Result<()> {
        lock(&self.node.files).insert(self.id, Arc::clone(&self.line));
        if self.node.gone.load(Ordering::SeqCst) {
            lock(&self.line.queue).unplug();
        }
        loop {
            let mut message = [0; 24];
            match self.link.read_exact(&mut message) {
                Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                other => other?,
            }
            let [kind, request, argument] = words(&message);
            let outcome = match kind {
                IOCTL => self.ioctl(request, argument)?,
                _ => Err(EIO),
            };
            let (result, errno) = match outcome {
                Ok(result) => (result, 0),
                Err(errno) => (-1, errno),
            };
            self.tell(DONE, result as u64, errno as u64, &[])?;
        }
    }

    fn tell(&mut self, kind: u64, a: u64, b: u64, body: &[u8]) -> io::Result<()> {
        let mut message = Vec::with_capacity(24 + body.len());
        [kind, a, b].iter().for_each(|w| message.extend_from_slice(&w.to_ne_bytes()));
        message.extend_from_slice(body);
        self.link.write_all(&message)
    }

    fn fetch(&mut self, address: u64, into: &mut [u8]) -> io::Result<()> {
        self.tell(READ_MEMORY, address, into.len() as u64, &[])?;
        self.link.read_exact(into)
    }

    fn store(&mut self, address: u64, bytes: &[u8]) -> io::Result<()> {
        self.tell(WRITE_MEMORY, address, bytes.len() as u64, bytes)
    }

    fn fetch_u32(&mut self, address: u64) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.fetch(address, &mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    fn ioctl(&mut self, request: u64, argument: u64) -> io::Result<Outcome> {
        let [number, group, ..] = request.to_le_bytes();
        if group != b'U' {
            return Ok(Err(ENOTTY));
        }
        let gone = lock(&self.line.queue).is_gone();
        Ok(match number {
            12 | 13 => return self.reap(argument),
            11 => {
                let pending = lock(&self.line.queue).discard(argument);
                self.node.regate();
                if pending { Ok(0) } else { Err(EINVAL) }
            }
            _ if gone => Err(ENODEV),
            3 | 21 => Ok(0),
            4 => {
                let (interface, alternate) = (self.fetch_u32(argument)?, self.fetch_u32(argument + 4)?);
                let Target { model, generation, .. } = &self.node.target;
                done(&model.set_interface(*generation, interface as u8, alternate as u8), EINVAL)
            }
            5 => {
                let value = self.fetch_u32(argument)?;
                self.set_configuration(value)
            }
            8 | 18 => Err(ENODATA),
            10 => return self.submit(argument),
            15 | 27 => {
                let interface = self.fetch_u32(argument)?;
                self.claim(interface)
            }
            16 => {
                let interface = self.fetch_u32(argument)?;
                let mut claims = lock(&self.node.claims);
                match claims.get(&interface) == Some(&self.id) {
                    true => {
                        claims.remove(&interface);
                        Ok(0)
                    }
                    false => Err(EINVAL),
                }
            }
            20 => done(&self.node.target.model.reset(self.node.target.generation), ENODEV),
            26 => {
                self.store(argument, &CAPABILITIES.to_ne_bytes())?;
                Ok(0)
            }
            31 => Ok(HIGH_SPEED),
            _ => Err(ENOTTY),
        })
    }

    fn claim(&self, interface: u32) -> Outcome {
        if self.node.target.model.faults().busy {
            return Err(EBUSY);
        }
        let mut claims = lock(&self.node.claims);
        match claims.get(&interface) {
            Some(owner) if *owner != self.id => Err(EBUSY),
            _ => {
                claims.insert(interface, self.id);
                Ok(0)
            }
        }
    }

    fn set_configuration(&self, value: u32) -> Outcome {
        let Target { model, generation, configuration, roots } = &self.node.target;
        if model.faults().busy || !lock(&self.node.claims).is_empty() {
            return Err(EBUSY);
        }
        // -1 unconfigures.
        let value = u8::try_from(value).unwrap_or(0);
        done(&model.set_configuration(*generation, value), EINVAL)?;
        let roots = lock(roots).clone();
        let written = roots.iter().try_for_each(|root| sysfs::rewrite(&root.join(configuration), value));
        written.map(|()| 0).map_err(|_| ENODEV)
    }

    fn reap(&mut self, argument: u64) -> io::Result<Outcome> {
        let (finished, gone) = {
            let mut queue = lock(&self.line.queue);
            (queue.reap(), queue.is_gone())
        };
        self.node.regate();
        let Some(finished) = finished else { return Ok(Err(if gone { ENODEV } else { EAGAIN })) };
        if let Some((address, data)) = &finished.data
            && !data.is_empty()
        {
            self.store(*address, data)?;
        }
        self.store(finished.address + 4, &finished.status.to_ne_bytes())?;
        self.store(finished.address + 28, &finished.actual.to_ne_bytes())?;
        self.store(argument, &finished.address.to_ne_bytes())?;
        Ok(Ok(0))
    }

    fn submit(&mut self, argument: u64) -> io::Result<Outcome> {
        let mut bytes = [0; URB as usize];
        self.fetch(argument, &mut bytes)?;
        let Some(urb) = Urb::parse(argument, &bytes) else { return Ok(Err(EINVAL)) };
        if lock(&self.line.queue).is_full() {
            return Ok(Err(ENOMEM));
        }
        let node = Arc::clone(&self.node);
        let Target { model, generation, .. } = &node.target;
        let generation = *generation;
        let answer = match urb.kind {
            CONTROL => {
                let Some((setup, length, data)) = self.setup(urb)? else { return Ok(Err(EINVAL)) };
                model.control(generation, setup, length, &data)
            }
            BULK if urb.endpoint & 0x80 != 0 => {
                self.await_input(urb);
                return Ok(Ok(0));
            }
            BULK => {
                let mut data = vec![0; urb.length];
                if !data.is_empty() {
                    self.fetch(urb.buffer, &mut data)?;
                }
                let answer = model.bulk_out(generation, urb.endpoint, &data);
                let whole = !data.is_empty() && data.len().is_multiple_of(512);
                if urb.flags & ZERO_PACKET != 0 && whole && matches!(answer.reply, Reply::Taken(_)) {
                    model.bulk_out(generation, urb.endpoint, &[]);
                }
                answer
            }
            // Interrupt endpoints of normal mode: nothing ever comes.
            _ => Answer { reply: Reply::Silent, after: Duration::ZERO },
        };
        let finished = finish(urb, answer.reply);
        let mut queue = lock(&self.line.queue);
        match finished {
            None => queue.wait(urb.address),
            Some(finished) if answer.after.is_zero() => queue.finish(finished),
            Some(finished) => {
                queue.finish_later(finished, answer.after);
                let (line, node) = (Arc::clone(&self.line), Arc::clone(&self.node));
                std::thread::spawn(move || {
                    std::thread::sleep(answer.after);
                    lock(&line.queue).ripen();
                    node.regate();
                });
            }
        }
        drop(queue);
        self.node.regate();
        Ok(Ok(0))
    }

    /// A request that is answered when the device sends; withdrawn or not is decided under the queue's lock.
    fn await_input(&self, urb: Urb) {
        let new = {
            let mut queue = lock(&self.line.queue);
            queue.wait_for_input(urb);
            answer_inputs(&self.node.target, &mut queue, urb.endpoint);
            queue.watch(urb.endpoint)
        };
        self.node.regate();
        self.line.asked.notify_all();
        if new {
            let (line, node) = (Arc::clone(&self.line), Arc::clone(&self.node));
            std::thread::spawn(move || watch_input(&line, &node, urb.endpoint));
        }
    }

    /// The eight bytes before the data, and the data that goes out.
    fn setup(&mut self, urb: Urb) -> io::Result<Option<(Setup, u16, Vec<u8>)>> {
        let mut head = [0; 8];
        if urb.length < head.len() {
            return Ok(None);
        }
        self.fetch(urb.buffer, &mut head)?;
        let [kind, request, v0, v1, i0, i1, l0, l1] = head;
        let length = u16::from_le_bytes([l0, l1]);
        if urb.length - head.len() < usize::from(length) {
            return Ok(None);
        }
        let mut data = vec![0; if kind & 0x80 == 0 { length.into() } else { 0 }];
        if !data.is_empty() {
            self.fetch(urb.buffer + 8, &mut data)?;
        }
        let setup = Setup::new(kind, request, u16::from_le_bytes([v0, v1]), u16::from_le_bytes([i0, i1]));
        Ok(Some((setup, length, data)))
    }
}

/// Answers requests on an endpoint, oldest first, while the device has something to send.
fn answer_inputs(target: &Target, queue: &mut Queue, endpoint: u8) {
    while let Some(urb) = queue.oldest_input(endpoint) {
        let answer = target.model.bulk_in(target.generation, endpoint, urb.length, Duration::ZERO);
        let Some(finished) = finish(urb, answer.reply) else { return };
        queue.finish_input(finished);
    }
}

/// Waits for the device on behalf of one open file, as long as that has requests.
fn watch_input(line: &Line, node: &Node, endpoint: u8) {
    let over = || line.closed.load(Ordering::SeqCst) || node.gone.load(Ordering::SeqCst);
    loop {
        {
            let mut queue = lock(&line.queue);
            while queue.oldest_input(endpoint).is_none() && !over() {
                queue = line.asked.wait_timeout(queue, BEAT).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        if over() {
            return;
        }
        if node.target.model.wait_in(node.target.generation, endpoint, BEAT) {
            answer_inputs(&node.target, &mut lock(&line.queue), endpoint);
            node.regate();
        }
    }
}

/// None for a request that is never answered.
fn finish(urb: Urb, reply: Reply) -> Option<Finished> {
    let at = if urb.kind == CONTROL { urb.buffer + 8 } else { urb.buffer };
    let (status, actual, data) = match reply {
        Reply::Silent => return None,
        Reply::Data(data) => (0, data.len(), Some((at, data))),
        Reply::Taken(count) => (0, count, None),
        Reply::Stall => (-EPIPE, 0, None),
        Reply::Gone => (-ESHUTDOWN, 0, None),
    };
    Some(Finished { address: urb.address, status, actual: actual as i32, data })
}

fn done(reply: &Reply, stalled: i32) -> Outcome {
    match reply {
        Reply::Gone => Err(ENODEV),
        Reply::Stall => Err(stalled),
        _ => Ok(0),
    }
}

fn words(message: &[u8; 24]) -> [u64; 3] {
    let mut words = [0; 3];
    for (word, bytes) in words.iter_mut().zip(message.chunks_exact(8)) {
        *word = bytes.try_into().map(u64::from_ne_bytes).unwrap_or(0);
    }
    words
}
