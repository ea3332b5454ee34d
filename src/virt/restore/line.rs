//! The link to the host that started the restore, and the data ports beside it.
//!
//! One thread reads the control link and fills an inbox; anybody may write. After the start everything that
//! comes in is an answer, and answers come in the order of the requests.

use super::super::phone::{Link, Phone, Stage};
use crate::wire::restored::{self, ErrorLink, FromDevice};
use plist::Dictionary;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the phone waits for a host: an answer may need a signature of Apple's first.
pub(super) const HOST_LIMIT: Duration = Duration::from_secs(180);

/// Why the walk through the script ends before its end.
#[derive(Debug)]
pub(super) enum Stop {
    Failed(Failure),
    /// The link is cut or the phone left restore mode.
    Gone(String),
    /// A knob: nothing more is said.
    Silent,
}

#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// AMRError.
    pub code: i64,
    /// Outermost first.
    pub chain: Vec<ErrorLink>,
}

impl Failure {
    pub fn new(code: i64, text: impl Into<String>) -> Self {
        let text = text.into();
        Failure { code, chain: vec![ErrorLink { domain: "AMRestoreErrorDomain".into(), code, text }] }
    }

    pub fn because(mut self, domain: &str, code: i64, text: impl Into<String>) -> Self {
        self.chain.push(ErrorLink { domain: domain.into(), code, text: text.into() });
        self
    }

    /// `[0]D(text)[1]D(text)`.
    pub fn text(&self) -> String {
        self.chain.iter().enumerate().map(|(i, link)| format!("[{i}]D({})", link.text)).collect()
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failed(failure)
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn gone(err: impl std::fmt::Display) -> Stop {
    Stop::Gone(err.to_string())
}

/// One framed message of a host.
///
/// # Errors
/// End of the link, an absurd length, or bytes that are no property list.
pub(super) fn read_message(link: &mut impl Read) -> std::io::Result<Dictionary> {
    let bad = |err: crate::wire::WireError| std::io::Error::new(std::io::ErrorKind::InvalidData, err.to_string());
    let mut prefix = [0; 4];
    link.read_exact(&mut prefix)?;
    let length = restored::length(prefix, restored::FROM_HOST_CAP).map_err(bad)?;
    let mut body = Vec::new();
    link.take(length as u64).read_to_end(&mut body)?;
    if body.len() < length {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    restored::parse_any(&body).map_err(bad)
}

pub(super) struct Line {
    pub phone: Arc<Phone>,
    writer: Mutex<Link>,
    inbox: Mutex<Receiver<Dictionary>>,
}

impl Line {
    pub fn new(phone: Arc<Phone>, writer: Link, inbox: Receiver<Dictionary>) -> Self {
        Line { phone, writer: Mutex::new(writer), inbox: Mutex::new(inbox) }
    }

    pub fn tell(&self, message: &FromDevice) -> Result<(), Stop> {
        self.write(&restored::frame(&message.build()))
    }

    pub fn write(&self, bytes: &[u8]) -> Result<(), Stop> {
        lock(&self.writer).write_all(bytes).map_err(gone)
    }

    /// The next answer on the control link.
    pub fn answer(&self, limit: Duration) -> Result<Dictionary, Stop> {
        let until = Instant::now() + limit;
        let inbox = lock(&self.inbox);
        loop {
            match inbox.recv_timeout(limit.min(Duration::from_millis(500))) {
                Ok(message) => return Ok(message),
                Err(RecvTimeoutError::Disconnected) => return Err(gone("the host closed the link")),
                Err(RecvTimeoutError::Timeout) if self.phone.stage() != Stage::Restore => {
                    return Err(gone("left restore mode"));
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() >= until => {
                    return Err(Failure::new(-1, "could not receive message: timed out").into());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    pub fn close(&self) {
        let _ = lock(&self.writer).shutdown(Shutdown::Both);
    }
}

/// A port for one answer.
pub(super) struct DataPort {
    phone: Arc<Phone>,
    pub port: u16,
    links: Option<Receiver<Link>>,
    late: bool,
}

impl DataPort {
    /// A late port is announced before it listens, so that the first connections are refused.
    pub fn open(phone: &Arc<Phone>, port: u16, late: bool) -> Self {
        let links = (!late).then(|| phone.listen(port));
        DataPort { phone: Arc::clone(phone), port, links, late }
    }

    /// The host's connection.
    pub fn accept(&mut self) -> Result<Link, Stop> {
        if self.late {
            std::thread::sleep(Duration::from_millis(300));
            self.late = false;
            self.links = Some(self.phone.listen(self.port));
        }
        let Some(links) = &self.links else { return Err(gone("port closed")) };
        let until = Instant::now() + HOST_LIMIT;
        loop {
            match links.recv_timeout(Duration::from_millis(500)) {
                Ok(link) => {
                    link.set_read_timeout(Some(HOST_LIMIT)).map_err(gone)?;
                    return Ok(link);
                }
                Err(RecvTimeoutError::Disconnected) => return Err(gone("left restore mode")),
                Err(RecvTimeoutError::Timeout) if Instant::now() >= until => {
                    let text = format!("new session to port {} failed: 61", self.port);
                    return Err(Failure::new(14, text).into());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Drop for DataPort {
    fn drop(&mut self) {
        self.phone.close_port(self.port);
    }
}

/// Where the answer to one request comes in.
pub(super) enum Channel {
    Control,
    Port(Link),
}

/// The phone keeps a copy of each link, so only a shutdown ends one.
impl Drop for Channel {
    fn drop(&mut self) {
        if let Channel::Port(link) = self {
            let _ = link.shutdown(Shutdown::Both);
        }
    }
}

impl Channel {
    pub fn next(&mut self, line: &Line) -> Result<Dictionary, Stop> {
        match self {
            Channel::Control => line.answer(HOST_LIMIT),
            Channel::Port(link) => read_message(link).map_err(|err| match err.kind() {
                std::io::ErrorKind::InvalidData => Failure::new(-1, format!("data port: {err}")).into(),
                _ if line.phone.stage() != Stage::Restore => gone(err),
                _ => Failure::new(-1, format!("could not receive message: {err}")).into(),
            }),
        }
    }

    pub fn write(&mut self, line: &Line, message: &FromDevice) -> Result<(), Stop> {
        match self {
            Channel::Control => line.tell(message),
            Channel::Port(link) => link.write_all(&restored::frame(&message.build())).map_err(gone),
        }
    }
}
