//! The stream to the backup service: buffered, bounded, cancellable.
//!
//! The stream below blocks in short ticks, so that a wish to stop is heard within one of them; how long the silence
//! may last is counted here, per phase. Nothing is allocated by a length from the wire beyond a message's cap, and
//! payloads pass in pieces. Out goes everything through one buffer: a frame's head, its payload and its neighbours
//! become one write, because each write becomes a TLS record with its own cost.

use super::Cancel;
use super::patience::{Patience, Phase};
use crate::event::{Event, Tell};
use crate::fault::{Code, Fault};
use crate::wire::WireError;
use crate::wire::devicelink::frame::{self, FrameCode, HEAD, HOST_FRAME, Head};
use crate::wire::devicelink::request::{Request, scrub};
use crate::wire::devicelink::{self, FromDevice, FromHost};
use plist::Value;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};
use zeroize::Zeroize;

/// A byte stream to a service of a device, TLS included.
pub trait Wire: Read + Write {
    /// How long one read or write may block; none for ever. One that blocked too long fails with `TimedOut` or
    /// `WouldBlock`, has lost nothing, and may be tried again.
    ///
    /// # Errors
    /// Of the socket.
    fn set_limit(&mut self, limit: Option<Duration>) -> std::io::Result<()>;
}

impl<W: Wire + ?Sized> Wire for Box<W> {
    fn set_limit(&mut self, limit: Option<Duration>) -> std::io::Result<()> {
        (**self).set_limit(limit)
    }
}

impl Wire for std::os::unix::net::UnixStream {
    fn set_limit(&mut self, limit: Option<Duration>) -> std::io::Result<()> {
        self.set_read_timeout(limit)?;
        self.set_write_timeout(limit)
    }
}

impl Wire for std::net::TcpStream {
    fn set_limit(&mut self, limit: Option<Duration>) -> std::io::Result<()> {
        self.set_read_timeout(limit)?;
        self.set_write_timeout(limit)
    }
}

/// How soon a wish to stop is heard.
const TICK: Duration = Duration::from_millis(200);
const IN_BUFFER: usize = 256 << 10;
const OUT_BUFFER: usize = 256 << 10;

pub(super) struct Link<'a, W> {
    wire: &'a mut W,
    input: Vec<u8>,
    at: usize,
    end: usize,
    output: Vec<u8>,
    pub(super) patience: Patience,
    pub(super) cancel: &'a Cancel,
    pub(super) tell: &'a dyn Tell,
    /// Set once we say goodbye, so that a pending wish does not cut the goodbye short.
    leaving: bool,
    /// Bytes received.
    pub(super) received: u64,
}

impl<'a, W: Wire> Link<'a, W> {
    pub(super) fn new(
        wire: &'a mut W,
        patience: Patience,
        tell: &'a dyn Tell,
        cancel: &'a Cancel,
    ) -> Result<Self, Fault> {
        let tick = TICK.min(patience.transfer / 2).min(patience.remark / 2).max(Duration::from_millis(1));
        wire.set_limit(Some(tick)).map_err(|e| Fault::link(&e))?;
        Ok(Link {
            wire,
            input: vec![0; IN_BUFFER],
            at: 0,
            end: 0,
            output: Vec::with_capacity(OUT_BUFFER + HOST_FRAME + HEAD),
            patience,
            cancel,
            tell,
            leaving: false,
            received: 0,
        })
    }

    // -- reading --

    /// One read of the wire into `buffer`; at least one byte, or a fault that names the phase.
    fn fill(wire: &mut W, buffer: &mut [u8], phase: Phase, wait: &Wait<'_>) -> Result<usize, Fault> {
        let since = Instant::now();
        let mut remarked = 0;
        loop {
            match wire.read(buffer) {
                Ok(0) => {
                    return Err(Fault::new(
                        Code::LinkLost,
                        format!("the connection ended while waiting for {}", phase.waiting_for()),
                    ));
                }
                Ok(count) => return Ok(count),
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                Err(err) if matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    wait.go_on(&since, phase, &mut remarked)?;
                }
                Err(err) => return Err(Fault::link(&err)),
            }
            if !wait.leaving {
                wait.cancel.check()?;
            }
        }
    }

    fn wait(&self) -> Wait<'a> {
        Wait { patience: self.patience, cancel: self.cancel, tell: self.tell, leaving: self.leaving }
    }

    /// Fills `buffer` wholly; the first byte may take as long as `phase` says, the rest is a transfer.
    pub(super) fn exact(&mut self, buffer: &mut [u8], phase: Phase) -> Result<(), Fault> {
        let mut phase = phase;
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            done += self.some(rest, phase)?;
            phase = Phase::Transfer;
        }
        Ok(())
    }

    /// At least one byte, at most `buffer`.
    fn some(&mut self, buffer: &mut [u8], phase: Phase) -> Result<usize, Fault> {
        let ready = self.piece(buffer.len(), phase)?;
        if let Some(to) = buffer.get_mut(..ready.len()) {
            to.copy_from_slice(ready);
        }
        let count = ready.len();
        self.took(count);
        Ok(count)
    }

    /// At least one byte and at most `most`, where they lie; [`Link::took`] says how many were used.
    pub(super) fn piece(&mut self, most: usize, phase: Phase) -> Result<&[u8], Fault> {
        if self.at == self.end {
            let wait = self.wait();
            self.at = 0;
            self.end = 0;
            self.end = Self::fill(self.wire, &mut self.input, phase, &wait)?;
            self.received += self.end as u64;
        }
        let end = self.end.min(self.at.saturating_add(most));
        Ok(self.input.get(self.at..end).unwrap_or_default())
    }

    pub(super) fn took(&mut self, count: usize) {
        self.at = (self.at + count).min(self.end);
    }

    pub(super) fn word(&mut self, phase: Phase) -> Result<[u8; 4], Fault> {
        let mut word = [0; 4];
        self.exact(&mut word, phase)?;
        Ok(word)
    }

    /// A name of a file stream; none ends the list.
    pub(super) fn name(&mut self, phase: Phase) -> Result<Option<String>, Fault> {
        let Some(length) = frame::name_length(self.word(phase)?)? else { return Ok(None) };
        let mut bytes = vec![0; length];
        self.exact(&mut bytes, Phase::Transfer)?;
        let name = String::from_utf8(bytes);
        name.map(Some).map_err(|_| Fault::new(Code::LinkGarbage, "a file name is not text"))
    }

    pub(super) fn head(&mut self) -> Result<Head, Fault> {
        let word = self.word(Phase::Transfer)?;
        frame::payload_length(word)?;
        let mut code = [0];
        self.exact(&mut code, Phase::Transfer)?;
        let ([a, b, c, d], [code]) = (word, code);
        let head = Head::parse([a, b, c, d, code])?;
        if head.payload > frame::MOST_BELIEVED {
            let (length, cap) = (head.payload.into(), frame::MOST_BELIEVED.into());
            return Err(WireError::TooLong { what: "frame", length, cap }.into());
        }
        Ok(head)
    }

    /// The text of an error frame; what is beyond the cap is read and dropped.
    pub(super) fn text(&mut self, payload: u32) -> Result<String, Fault> {
        let keep = (payload as usize).min(frame::MAX_ERROR_TEXT);
        let mut bytes = vec![0; keep];
        self.exact(&mut bytes, Phase::Transfer)?;
        self.skip(u64::from(payload) - keep as u64)?;
        Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned())
    }

    /// Reads and drops.
    pub(super) fn skip(&mut self, mut bytes: u64) -> Result<(), Fault> {
        while bytes > 0 {
            let count = self.piece(usize::try_from(bytes).unwrap_or(usize::MAX), Phase::Transfer)?.len();
            self.took(count);
            bytes -= count as u64;
        }
        Ok(())
    }

    pub(super) fn message(&mut self, phase: Phase) -> Result<FromDevice, Fault> {
        let length = devicelink::message_length(self.word(phase)?)?;
        // Grown as the bytes come: a length alone costs nothing.
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let done = bytes.len();
            bytes.resize(length.min(done + (1 << 20)), 0);
            let Some(piece) = bytes.get_mut(done..) else { break };
            self.exact(piece, Phase::Transfer)?;
        }
        Ok(FromDevice::parse(devicelink::decode(&bytes)?)?)
    }

    // -- writing --

    pub(super) fn queue(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.output.extend_from_slice(bytes);
        if self.output.len() >= OUT_BUFFER { self.flush() } else { Ok(()) }
    }

    /// Queues one data frame that `fill` writes into; answers how much that was. Zero queues nothing.
    pub(super) fn queue_data(
        &mut self,
        fill: impl FnOnce(&mut [u8]) -> std::io::Result<usize>,
    ) -> Result<std::io::Result<usize>, Fault> {
        let start = self.output.len();
        self.output.resize(start + HEAD + HOST_FRAME, 0);
        let read = fill(self.output.get_mut(start + HEAD..).unwrap_or_default());
        match read {
            Ok(count) if count > 0 => {
                let count = count.min(HOST_FRAME);
                let head = Head { code: FrameCode::Data, payload: count as u32 }.build();
                if let Some(space) = self.output.get_mut(start..start + HEAD) {
                    space.copy_from_slice(&head);
                }
                self.output.truncate(start + HEAD + count);
                if self.output.len() >= OUT_BUFFER {
                    self.flush()?;
                }
                Ok(Ok(count))
            }
            other => {
                self.output.truncate(start);
                Ok(other)
            }
        }
    }

    /// Writes all that is queued.
    pub(super) fn flush(&mut self) -> Result<(), Fault> {
        let wait = self.wait();
        let mut since: Option<Instant> = None;
        let mut remarked = 0;
        let mut done = 0;
        while let Some(rest) = self.output.get(done..).filter(|rest| !rest.is_empty()) {
            match self.wire.write(rest) {
                Ok(0) => return Err(Fault::new(Code::LinkLost, "the device takes no more bytes")),
                Ok(count) => {
                    done += count;
                    since = None;
                }
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                Err(err) if matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    let patient = wait.go_on(since.get_or_insert_with(Instant::now), Phase::Transfer, &mut remarked);
                    // What has begun is finished: the goodbye after it must not land inside a frame.
                    let stop = if wait.leaving { patient } else { patient.and_then(|()| wait.cancel.check()) };
                    if let Err(fault) = stop {
                        self.output.drain(..done);
                        return Err(fault);
                    }
                }
                Err(err) => return Err(Fault::link(&err)),
            }
        }
        self.output.clear();
        let deadline = Instant::now() + self.patience.transfer;
        loop {
            match self.wire.flush() {
                Ok(()) => return Ok(()),
                Err(err)
                    if matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
                        && Instant::now() < deadline => {}
                Err(err) => return Err(Fault::link(&err)),
            }
        }
    }

    pub(super) fn send(&mut self, message: FromHost) -> Result<(), Fault> {
        self.output.extend_from_slice(&devicelink::encode(message.build())?);
        self.flush()
    }

    /// A request, which may carry passwords: what was sent does not stay in memory.
    pub(super) fn request(&mut self, request: &Request) -> Result<(), Fault> {
        let mut message = Value::Array(FromHost::Process(request.build()).build());
        let encoded = devicelink::encode_list(&message);
        let items = message.as_array_mut().into_iter().flatten();
        items.filter_map(Value::as_dictionary_mut).for_each(scrub);
        let mut bytes = encoded?;
        self.output.extend_from_slice(&bytes);
        bytes.zeroize();
        let sent = self.flush();
        self.output.zeroize();
        sent
    }

    /// Says goodbye as well as it still goes, and gives the device a moment to hear it.
    pub(super) fn disconnect(&mut self) {
        self.leaving = true;
        self.patience.transfer = self.patience.transfer.min(Duration::from_secs(2));
        if self.send(FromHost::Disconnect).is_err() {
            return;
        }
        let until = Instant::now() + Duration::from_secs(1).min(self.patience.farewell);
        let mut sink = [0; 16 << 10];
        while Instant::now() < until && matches!(self.wire.read(&mut sink), Ok(1..)) {}
    }
}

/// What a waiting loop needs to know.
struct Wait<'a> {
    patience: Patience,
    cancel: &'a Cancel,
    tell: &'a dyn Tell,
    leaving: bool,
}

impl Wait<'_> {
    /// Is there patience left? Remarks a long silence.
    fn go_on(&self, since: &Instant, phase: Phase, remarked: &mut u32) -> Result<(), Fault> {
        let silent = since.elapsed();
        let limit = self.patience.of(phase);
        if silent >= limit {
            let text = format!("silent for {} s while waiting for {}", silent.as_secs(), phase.waiting_for());
            return Err(Fault::new(Code::LinkSilent, text));
        }
        if silent >= self.patience.remark * (*remarked + 1) {
            *remarked += 1;
            let (silent, limit) = (silent.as_secs(), limit.as_secs());
            let text = format!("the device is silent for {silent} s; waiting for {} ({limit} s)", phase.waiting_for());
            self.tell.tell(Event::Note { text });
        }
        Ok(())
    }
}
