//! The phone's end of a DeviceLink: bytes, messages and the faults on the link; files are in `transfer`.
//!
//! Everything is buffered: writes up to 1 MiB until the phone has to wait for the host, reads through one
//! buffer from which frames are handed on in place. This is also where the faults on the link live,
//! because here is known what the next byte would be.

use super::Faults;
use super::manifest::any_plist;
use crate::virt::stream::BoxStream;
use crate::wire::WireError;
use crate::wire::devicelink::{self, DlCode, FromDevice, FromHost, Status};
use std::io::{self, Error, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

mod transfer;

pub(super) use transfer::{Got, Outgoing};

/// How long a host may take over one answer or one piece of a file.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a silent phone stays silent before it leaves.
const SILENCE: Duration = Duration::from_secs(1800);
const OUT: usize = 1 << 20;
const INPUT: usize = 256 << 10;

/// Why an operation ends before its end.
#[derive(Debug)]
pub(super) enum Halt {
    /// The link is gone or no longer makes sense: nothing can be said any more.
    Gone(Error),
    /// The phone refuses or fails and says so: an error of MBErrorDomain.
    Refused { code: i64, text: String },
}

impl Halt {
    pub fn refused(code: i64, text: impl Into<String>) -> Self {
        Halt::Refused { code, text: text.into() }
    }
}

impl From<Error> for Halt {
    fn from(err: Error) -> Self {
        Halt::Gone(err)
    }
}

impl From<WireError> for Halt {
    fn from(err: WireError) -> Self {
        Halt::Gone(Error::new(ErrorKind::InvalidData, err))
    }
}

pub(super) struct Line {
    stream: BoxStream,
    out: Box<[u8]>,
    out_end: usize,
    input: Box<[u8]>,
    at: usize,
    end: usize,
    faults: Faults,
    /// The person's files so far, and the bytes in them.
    pub files: u32,
    pub bytes: u64,
}

impl Line {
    pub fn new(stream: BoxStream, faults: Faults) -> io::Result<Self> {
        let mut line = Line {
            stream,
            out: vec![0; OUT].into_boxed_slice(),
            out_end: 0,
            input: vec![0; INPUT].into_boxed_slice(),
            at: 0,
            end: 0,
            faults,
            files: 0,
            bytes: 0,
        };
        line.stream.set_limit(Some(PATIENCE))?;
        Ok(line)
    }

    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    // -- bytes --

    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.out_end == self.out.len() {
                self.flush()?;
            }
            let take = bytes.len().min(self.out.len() - self.out_end);
            self.out[self.out_end..self.out_end + take].copy_from_slice(&bytes[..take]);
            self.out_end += take;
            bytes = &bytes[take..];
        }
        Ok(())
    }

    pub fn flush(&mut self) -> io::Result<()> {
        let end = std::mem::take(&mut self.out_end);
        self.stream.write_all(&self.out[..end])?;
        self.stream.flush()
    }

    /// At least one byte that was not yet used; sends what waits to be sent before it waits itself.
    fn waiting(&mut self) -> io::Result<&[u8]> {
        if self.at == self.end {
            if self.out_end > 0 {
                self.flush()?;
            }
            self.at = 0;
            self.end = 0;
            self.end = loop {
                match self.stream.read(&mut self.input) {
                    Err(err) if err.kind() == ErrorKind::Interrupted => {}
                    result => break result?,
                }
            };
            if self.end == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(&self.input[self.at..self.end])
    }

    fn take(&mut self, out: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < out.len() {
            let ready = self.waiting()?;
            let length = ready.len().min(out.len() - done);
            out[done..done + length].copy_from_slice(&ready[..length]);
            self.at += length;
            done += length;
        }
        Ok(())
    }

    fn word(&mut self) -> io::Result<[u8; 4]> {
        let mut word = [0; 4];
        self.take(&mut word)?;
        Ok(word)
    }

    // -- messages --

    pub fn send(&mut self, message: FromDevice) -> Result<(), Halt> {
        let first_request =
            !matches!(message, FromDevice::VersionExchange { .. } | FromDevice::Ready | FromDevice::Process(_));
        let mut bytes = devicelink::encode(message.build())?;
        if first_request && let Some(length) = self.faults.absurd_message_length.take() {
            if let Some(word) = bytes.first_chunk_mut::<4>() {
                *word = length.to_be_bytes();
            }
            self.put(&bytes)?;
            return Err(self.be_silent());
        }
        Ok(self.put(&bytes)?)
    }

    pub fn receive(&mut self) -> Result<FromHost, Halt> {
        let word = self.word()?;
        let mut bytes = vec![0; devicelink::message_length(word)?];
        self.take(&mut bytes)?;
        if bytes.starts_with(b"bplist") {
            return Ok(FromHost::parse(devicelink::decode(&bytes)?)?);
        }
        // Some hosts speak XML here, and devices take it.
        match any_plist(&bytes) {
            Some(plist::Value::Array(items)) => Ok(FromHost::parse(items)?),
            _ => Err(WireError::malformed("DeviceLink message", "is no property list of an array").into()),
        }
    }

    fn status(&mut self) -> Result<Status, Halt> {
        match self.receive()? {
            FromHost::Status(status) => Ok(status),
            FromHost::Disconnect => Err(Error::new(ErrorKind::ConnectionAborted, "the host disconnected").into()),
            other => Err(Error::new(ErrorKind::InvalidData, format!("an answer was due, got {}", name(&other))).into()),
        }
    }

    /// Sends a request and gives the host's answer, whatever it says.
    pub fn ask(&mut self, message: FromDevice) -> Result<Status, Halt> {
        self.send(message)?;
        self.status()
    }

    /// Sends a request that must succeed.
    pub fn order(&mut self, message: FromDevice, what: &str) -> Result<Status, Halt> {
        let status = self.ask(message)?;
        match status.code {
            DlCode::OK => Ok(status),
            code => Err(Halt::refused(mb_error(code), format!("{what}: {}", status.text.unwrap_or_default()))),
        }
    }

    /// Does nothing for a while but notices when the host leaves.
    pub fn pause(&mut self, time: Duration) -> Result<(), Halt> {
        self.flush()?;
        let end = Instant::now() + time;
        while self.at == self.end {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.stream.set_limit(Some(PATIENCE))?;
                return Ok(());
            }
            self.stream.set_limit(Some(left.min(Duration::from_millis(250)).max(Duration::from_millis(1))))?;
            match self.waiting() {
                Ok(_) => {}
                Err(err) if matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(err) => return Err(err.into()),
            }
        }
        // Nothing is due from the host now: whatever it says, it does not wait any longer.
        Err(Error::new(ErrorKind::ConnectionAborted, "the host spoke out of turn").into())
    }

    /// Waits for the host to leave, at most so long.
    pub fn await_goodbye(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let _ = self.stream.set_limit(Some(Duration::from_millis(100)));
            match self.receive() {
                Ok(FromHost::Disconnect) => return,
                Ok(_) => {}
                Err(Halt::Gone(err)) if matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return,
            }
        }
    }

    // -- faults --

    fn begin_file(&mut self) -> Result<(), Halt> {
        self.files += 1;
        if self.faults.cut_at_file == Some(self.files) {
            return Err(self.cut());
        }
        if self.faults.silent_at_file == Some(self.files) {
            return Err(self.be_silent());
        }
        if self.faults.garbage_at_file == Some(self.files) {
            let mut noise = [0xEE; 2048];
            let made = super::Made { look: super::Look::Plain, seed: 0xBAD, size: u64::MAX };
            made.fill(4096, &mut noise[4..]);
            self.put(&noise)?;
            return Err(self.be_silent());
        }
        Ok(())
    }

    /// Counts contents; those on their way out may still be in the buffer, and then what is beyond the cut goes no more.
    fn count_bytes(&mut self, length: usize, outward: bool) -> Result<(), Halt> {
        self.bytes += length as u64;
        match self.faults.cut_at_byte {
            Some(limit) if self.bytes >= limit => {
                if outward {
                    let beyond = (self.bytes - limit).min(length as u64) as usize;
                    self.out_end = self.out_end.saturating_sub(beyond);
                }
                Err(self.cut())
            }
            _ => Ok(()),
        }
    }

    fn cut(&mut self) -> Halt {
        let _ = self.flush();
        self.stream.cut();
        Error::new(ErrorKind::ConnectionAborted, "cut by a fault").into()
    }

    /// Says nothing more until the host gives up, and lets nothing in that would tell it so.
    fn be_silent(&mut self) -> Halt {
        let end = Instant::now() + SILENCE;
        let mut drop_it = [0; 1024];
        if self.flush().is_ok() && self.stream.set_limit(Some(Duration::from_millis(250))).is_ok() {
            while Instant::now() < end {
                match self.stream.read(&mut drop_it) {
                    Ok(0) => break,
                    Err(err)
                        if !matches!(
                            err.kind(),
                            ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                        ) =>
                    {
                        break;
                    }
                    _ => {}
                }
            }
        }
        Error::new(ErrorKind::TimedOut, "silent by a fault").into()
    }
}

fn name(message: &FromHost) -> &str {
    match message {
        FromHost::VersionOk { .. } => "a version",
        FromHost::Status(_) => "a status",
        FromHost::Process(_) => "a request",
        FromHost::Disconnect => "goodbye",
        FromHost::Unknown { .. } => "an unknown message",
    }
}

/// The number of MBErrorDomain that stands for a host's answer.
pub(super) fn mb_error(code: DlCode) -> i64 {
    match code {
        DlCode::NOT_FOUND => 4,
        DlCode::EXISTS => 3,
        DlCode::NOT_DIRECTORY => 5,
        DlCode::IS_DIRECTORY => 6,
        DlCode::LOOP => 7,
        DlCode::IO => 100,
        DlCode::NO_SPACE => 105,
        _ => 1,
    }
}
