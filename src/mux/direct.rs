//! A service's bytes for an engine on a thread of its own, without the event loop.
//!
//! A backup is gigabytes in one direction. Through the runtime each of its reads is a wake-up, a timer and a
//! change of threads, which together cost more than decrypting what was read; so the backup service gets the
//! socket itself. It is read in large pieces, TLS records are opened where they lie, and what they hold goes
//! straight into the caller's buffer. A read or a write that may not block any longer fails with `TimedOut` or
//! `WouldBlock`, has lost nothing, and may be tried again: that is how the engine hears a wish to stop.

use super::address::Socket;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{ClientConfig, Error};
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Read at once from the socket. More than one TLS record, which has at most 16 KiB and its trimmings.
const INCOMING: usize = 256 << 10;
/// Encrypted at once.
const OUTGOING: usize = 256 << 10;
/// What a connection may want to send beyond the data: an alert, an update of keys.
const MOST_PENDING: usize = 4 << 20;

/// A blocking byte stream to a service of a device.
pub struct Direct {
    socket: Socket,
    tls: Option<Box<Tls>>,
}

struct Tls {
    connection: UnbufferedClientConnection,
    /// Bytes as they came; those between the two marks are not opened yet.
    incoming: Vec<u8>,
    begin: usize,
    end: usize,
    /// What was opened and did not fit the caller's buffer.
    rest: Vec<u8>,
    taken: usize,
    /// Encrypted, and not taken by the socket yet.
    outgoing: Vec<u8>,
    sent: usize,
    ended: bool,
}

/// Where a turn of the connection stopped.
enum Stop {
    /// The handshake wants more bytes from the device.
    Hungry,
    /// The connection stands, and all that came is opened.
    Idle,
    /// The caller's buffer has taken what it could.
    Full,
    /// There is something to send first.
    Send,
    /// What was given is encrypted.
    Encrypted,
    Ended,
}

fn tls_error(err: Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, err)
}

impl Direct {
    /// The stream without TLS.
    pub(super) fn plain(socket: Socket) -> Self {
        Direct { socket, tls: None }
    }

    /// Shakes hands and gives the stream inside TLS. Blocks for at most `limit`.
    pub(super) fn secure(socket: Socket, config: Arc<ClientConfig>, limit: Duration) -> io::Result<Self> {
        let name = ServerName::try_from("Device").map_err(io::Error::other)?;
        let tls = Tls {
            connection: UnbufferedClientConnection::new(config, name).map_err(tls_error)?,
            incoming: vec![0; INCOMING],
            begin: 0,
            end: 0,
            rest: Vec::new(),
            taken: 0,
            outgoing: Vec::new(),
            sent: 0,
            ended: false,
        };
        let mut direct = Direct { socket, tls: Some(Box::new(tls)) };
        direct.shake_hands(Instant::now() + limit)?;
        Ok(direct)
    }

    fn shake_hands(&mut self, until: Instant) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        loop {
            let stop = tls.turn(&mut [], None)?.0;
            self.socket.set_limit(Some(left(until)?))?;
            match stop {
                Stop::Hungry => tls.receive(&mut self.socket)?,
                Stop::Ended => return Err(ErrorKind::UnexpectedEof.into()),
                Stop::Send => tls.transmit(&mut self.socket)?,
                Stop::Idle | Stop::Full | Stop::Encrypted => return Ok(()),
            }
        }
    }

    /// How long one read or write may block; none for ever.
    pub fn set_limit(&mut self, limit: Option<Duration>) -> io::Result<()> {
        self.socket.set_limit(limit)
    }
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

impl Tls {
    /// Opens what came, into `out` as far as there is room, and encrypts `data` once nothing comes before it.
    fn turn(&mut self, out: &mut [u8], data: Option<&[u8]>) -> io::Result<(Stop, usize)> {
        let mut filled = 0;
        loop {
            let raw = self.incoming.get_mut(self.begin..self.end).unwrap_or_default();
            let UnbufferedStatus { mut discard, state } = self.connection.process_tls_records(raw);
            let stop = match state.map_err(tls_error)? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(tls_error)?;
                        discard += record.discard;
                        let (now, later) = record.payload.split_at(record.payload.len().min(out.len() - filled));
                        if let Some(space) = out.get_mut(filled..filled + now.len()) {
                            space.copy_from_slice(now);
                        }
                        filled += now.len();
                        self.rest.extend_from_slice(later);
                    }
                    let full = filled == out.len() || !self.rest.is_empty();
                    if full && data.is_none() { Some(Stop::Full) } else { None }
                }
                ConnectionState::EncodeTlsData(mut message) => {
                    grow(&mut self.outgoing, 4 << 10, |space| {
                        message.encode(space).map_err(|err| match err {
                            EncodeError::InsufficientSize(wanted) => Ok(wanted.required_size),
                            err => Err(io::Error::new(ErrorKind::InvalidData, err)),
                        })
                    })?;
                    None
                }
                ConnectionState::TransmitTlsData(message) => {
                    // It was encoded above, and the caller sends before it waits.
                    message.done();
                    Some(Stop::Send)
                }
                ConnectionState::WriteTraffic(mut traffic) => Some(match data {
                    Some(data) => {
                        grow(&mut self.outgoing, data.len() + (data.len() >> 8) + 64, |space| {
                            traffic.encrypt(data, space).map_err(|err| match err {
                                EncryptError::InsufficientSize(wanted) => Ok(wanted.required_size),
                                err => Err(io::Error::new(ErrorKind::InvalidData, err)),
                            })
                        })?;
                        Stop::Encrypted
                    }
                    None => Stop::Idle,
                }),
                ConnectionState::BlockedHandshake => Some(Stop::Hungry),
                ConnectionState::PeerClosed | ConnectionState::Closed => Some(Stop::Ended),
                _ => return Err(io::Error::new(ErrorKind::InvalidData, "TLS in a state that is not known")),
            };
            self.begin += discard;
            if let Some(stop) = stop {
                return Ok((stop, filled));
            }
        }
    }

    /// Reads from the socket; the end of the stream is an error here.
    fn receive(&mut self, socket: &mut Socket) -> io::Result<()> {
        self.incoming.copy_within(self.begin..self.end, 0);
        self.end -= self.begin;
        self.begin = 0;
        let space = self.incoming.get_mut(self.end..).unwrap_or_default();
        if space.is_empty() {
            return Err(io::Error::new(ErrorKind::InvalidData, "a TLS record larger than any"));
        }
        match socket.read(space)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            count => {
                self.end += count;
                Ok(())
            }
        }
    }

    /// Sends what is encrypted.
    fn transmit(&mut self, socket: &mut Socket) -> io::Result<()> {
        while let Some(rest) = self.outgoing.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match socket.write(rest)? {
                0 => return Err(ErrorKind::WriteZero.into()),
                count => self.sent += count,
            }
        }
        self.outgoing.clear();
        self.sent = 0;
        Ok(())
    }

    fn read(&mut self, socket: &mut Socket, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(ready) = self.rest.get(self.taken..).filter(|ready| !ready.is_empty()) {
                let count = ready.len().min(out.len());
                if let (Some(to), Some(from)) = (out.get_mut(..count), ready.get(..count)) {
                    to.copy_from_slice(from);
                }
                self.taken += count;
                if self.taken == self.rest.len() {
                    self.rest.clear();
                    self.taken = 0;
                }
                return Ok(count);
            }
            if self.ended {
                return Ok(0);
            }
            let (stop, filled) = self.turn(out, None)?;
            self.ended |= matches!(stop, Stop::Ended);
            if filled > 0 {
                return Ok(filled);
            }
            match stop {
                Stop::Send => self.transmit(socket)?,
                Stop::Hungry | Stop::Idle => match self.receive(socket) {
                    // Devices hang up without a word; what is missing shows in the stream itself.
                    Err(err) if err.kind() == ErrorKind::UnexpectedEof => self.ended = true,
                    done => done?,
                },
                Stop::Full | Stop::Encrypted | Stop::Ended => {}
            }
        }
    }

    fn write(&mut self, socket: &mut Socket, data: &[u8]) -> io::Result<usize> {
        // What an earlier write left goes first: nothing piles up.
        self.transmit(socket)?;
        let data = data.get(..data.len().min(OUTGOING)).unwrap_or_default();
        loop {
            // What has come meanwhile is kept for the next read.
            match self.turn(&mut [], Some(data))?.0 {
                Stop::Encrypted => break,
                Stop::Send => self.transmit(socket)?,
                Stop::Ended => return Err(ErrorKind::BrokenPipe.into()),
                Stop::Hungry | Stop::Idle | Stop::Full => return Err(ErrorKind::NotConnected.into()),
            }
        }
        match self.transmit(socket) {
            // Encrypted is as good as written: the next write or flush goes on with it.
            Err(err) if is_patience(&err) => {}
            sent => sent?,
        }
        Ok(data.len())
    }
}

fn is_patience(err: &io::Error) -> bool {
    matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Appends to `buffer` what `write` puts into the space that it is given; it may ask for more space once.
fn grow(
    buffer: &mut Vec<u8>,
    mut space: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, io::Result<usize>>,
) -> io::Result<()> {
    let at = buffer.len();
    for _ in 0..2 {
        buffer.resize(at + space, 0);
        match write(buffer.get_mut(at..).unwrap_or_default()) {
            Ok(written) => {
                buffer.truncate(at + written);
                return Ok(());
            }
            Err(wanted) => {
                buffer.truncate(at);
                space = wanted?;
                if space > MOST_PENDING {
                    break;
                }
            }
        }
    }
    Err(io::Error::new(ErrorKind::InvalidData, "TLS wants to send more than any connection has to"))
}

impl Read for Direct {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            _ if buffer.is_empty() => Ok(0),
            Some(tls) => tls.read(&mut self.socket, buffer),
            None => self.socket.read(buffer),
        }
    }
}

impl Write for Direct {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            _ if bytes.is_empty() => Ok(0),
            Some(tls) => tls.write(&mut self.socket, bytes),
            None => self.socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.transmit(&mut self.socket),
            None => Ok(()),
        }
    }
}
