//! The phone's end of a link: where faults bite, and where property lists are cut out of bytes.
//!
//! TLS comes and goes on one lockdown link (StartSession, StopSession), so a reader below TLS must never
//! take a byte beyond the record that it was asked for. In record mode [`Wire`] reads ahead from the
//! socket but hands out at most one record at a time; what is left over belongs to whoever reads next.

use crate::virt::phone::Link;
use crate::virt::stream::Stream;
use crate::wire::lockdown::{Frames, Shape, frame};
use plist::Value;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

const AHEAD: usize = 128 << 10;
const RECORD_HEADER: usize = 5;

pub(super) struct Wire {
    link: Link,
    ahead: Vec<u8>,
    taken: usize,
    /// In record mode: bytes left of the present record.
    record: Option<usize>,
    /// Bytes that may still be sent before the link is cut.
    left: Option<u64>,
    slow: Duration,
}

impl Wire {
    pub fn new(link: Link, cut_after: Option<u64>, slow_ms: u64) -> Self {
        Wire {
            link,
            ahead: Vec::new(),
            taken: 0,
            record: None,
            left: cut_after,
            slow: Duration::from_millis(slow_ms.min(60_000)),
        }
    }

    /// From here on whole TLS records are read (or no longer).
    pub fn records(&mut self, on: bool) {
        self.record = on.then_some(0);
    }

    /// One byte to come, without taking it; false when the link ended.
    pub fn await_byte(&mut self) -> io::Result<bool> {
        if self.waiting() > 0 {
            return Ok(true);
        }
        self.fill(1)
    }

    /// What is still to be said at the end may not hang on a host that reads no more.
    pub fn limit_goodbye(&self) {
        let _ = self.link.set_write_timeout(Some(Duration::from_secs(2)));
    }

    fn waiting(&self) -> usize {
        self.ahead.len() - self.taken
    }

    fn fill(&mut self, room: usize) -> io::Result<bool> {
        if self.taken == self.ahead.len() {
            self.ahead.clear();
            self.taken = 0;
        }
        let from = self.ahead.len();
        self.ahead.resize(from + room, 0);
        let got = match self.ahead.get_mut(from..) {
            Some(space) => self.link.read(space),
            None => Ok(0),
        };
        self.ahead.truncate(from + *got.as_ref().unwrap_or(&0));
        Ok(got? > 0)
    }

    fn take(&mut self, buffer: &mut [u8], most: usize) -> usize {
        let count = buffer.len().min(most).min(self.waiting());
        if let (Some(to), Some(from)) =
            (buffer.get_mut(..count), self.ahead.get(self.taken..self.taken.saturating_add(count)))
        {
            to.copy_from_slice(from);
        }
        self.taken += count;
        count
    }

    fn allowance(&mut self, wanted: usize) -> io::Result<usize> {
        if !self.slow.is_zero() {
            std::thread::sleep(self.slow);
        }
        match self.left {
            Some(0) => {
                self.cut();
                Err(ErrorKind::BrokenPipe.into())
            }
            Some(left) => Ok(wanted.min(usize::try_from(left).unwrap_or(usize::MAX))),
            None => Ok(wanted),
        }
    }

    fn sent(&mut self, count: usize) {
        if let Some(left) = &mut self.left {
            *left -= (count as u64).min(*left);
            if *left == 0 {
                self.cut();
            }
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let Some(left) = self.record else {
            return if self.waiting() > 0 { Ok(self.take(buffer, usize::MAX)) } else { self.link.read(buffer) };
        };
        let mut left = left;
        if left == 0 {
            while self.waiting() < RECORD_HEADER {
                if !self.fill(AHEAD)? {
                    return Ok(0);
                }
            }
            let length = match self.ahead.get(self.taken + 3..self.taken + RECORD_HEADER) {
                Some([high, low]) => usize::from(u16::from_be_bytes([*high, *low])),
                _ => 0,
            };
            left = RECORD_HEADER + length;
        } else if self.waiting() == 0 && !self.fill(AHEAD)? {
            return Ok(0);
        }
        let count = self.take(buffer, left);
        self.record = Some(left - count);
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let allowed = self.allowance(bytes.len())?;
        let count = self.link.write(bytes.get(..allowed).unwrap_or(bytes))?;
        self.sent(count);
        Ok(count)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.left.is_some() {
            return match pieces.iter().find(|p| !p.is_empty()) {
                Some(piece) => self.write(piece),
                None => Ok(0),
            };
        }
        self.allowance(0)?;
        self.link.write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Wire {
    fn set_limit(&mut self, limit: Option<Duration>) -> io::Result<()> {
        self.link.set_read_timeout(limit)
    }

    fn cut(&mut self) {
        let _ = self.link.shutdown(Shutdown::Both);
    }
}

// The phone keeps a copy of each link to cut it by, so closing ours alone would leave the host waiting.
impl Drop for Wire {
    fn drop(&mut self) {
        self.cut();
    }
}

/// Did a read merely run into its limit?
pub(super) fn is_limit(err: &io::Error) -> bool {
    matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// The next message; none when the host closed. After a limit the bytes so far stay in `frames`.
pub(super) fn receive<S: Stream + ?Sized>(stream: &mut S, frames: &mut Frames) -> io::Result<Option<Value>> {
    let mut buffer = [0; 16 << 10];
    loop {
        match frames.next() {
            Ok(Some(value)) => return Ok(Some(value)),
            Ok(None) => {}
            Err(err) => return Err(io::Error::new(ErrorKind::InvalidData, err)),
        }
        let want = frames.wanted().clamp(1, buffer.len());
        let Some(space) = buffer.get_mut(..want) else { return Ok(None) };
        match stream.read(space) {
            Ok(0) => return Ok(None),
            Ok(count) => frames.push(buffer.get(..count).unwrap_or_default()),
            Err(err) if err.kind() == ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
}

pub(super) fn send<S: Stream + ?Sized>(stream: &mut S, value: &Value, shape: Shape) -> io::Result<()> {
    let bytes = frame(value, shape).map_err(|err| io::Error::new(ErrorKind::InvalidData, err))?;
    stream.write_all(&bytes)?;
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn record_mode_hands_out_one_record_at_a_time_and_leaves_the_rest() {
        let (mut host, phone) = UnixStream::pair().unwrap();
        let mut wire = Wire::new(phone, None, 0);
        wire.records(true);
        host.write_all(&[22, 3, 3, 0, 3, 1, 2, 3, 21, 3, 3, 0, 1, 9, b'p', b'l']).unwrap();
        let mut buffer = [0; 64];
        assert_eq!(wire.read(&mut buffer).unwrap(), 8);
        assert_eq!(wire.read(&mut buffer).unwrap(), 6);
        wire.records(false);
        assert_eq!(wire.read(&mut buffer).unwrap(), 2);
        assert_eq!(&buffer[..2], b"pl");
    }

    #[test]
    fn a_cut_comes_after_exactly_so_many_bytes() {
        let (mut host, phone) = UnixStream::pair().unwrap();
        let mut wire = Wire::new(phone, Some(10), 0);
        assert!(wire.write_all(&[7; 64]).is_err());
        let mut got = Vec::new();
        host.read_to_end(&mut got).unwrap();
        assert_eq!(got, [7; 10]);
    }
}
