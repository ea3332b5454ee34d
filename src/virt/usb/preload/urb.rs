//! URBs of one open file: submitted, pending, reapable.
//!
//! The layout is that of `struct usbdevfs_urb` on 64-bit Linux (56 bytes). Data of a finished request goes
//! to the client's memory when it is reaped, so nothing is written into a client that does not ask.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes of `struct usbdevfs_urb`.
pub const URB: u64 = 56;
/// usbfs takes no more than this in one request.
pub const BUFFER_CAP: usize = 16 << 20;
/// URBs of one open file that may be pending.
const PENDING_CAP: usize = 1024;

pub const CONTROL: u8 = 2;
pub const BULK: u8 = 3;
/// `USBDEVFS_URB_ZERO_PACKET`: end a transfer of whole packets with an empty one.
pub const ZERO_PACKET: u32 = 0x40;

/// Error numbers of Linux that a node answers.
pub const EIO: i32 = 5;
pub const ENOENT: i32 = 2;
pub const EAGAIN: i32 = 11;
pub const ENOMEM: i32 = 12;
pub const EBUSY: i32 = 16;
pub const ENODEV: i32 = 19;
pub const EINVAL: i32 = 22;
pub const ENOTTY: i32 = 25;
pub const EPIPE: i32 = 32;
pub const ENODATA: i32 = 61;
pub const ESHUTDOWN: i32 = 108;

/// What a client submitted.
#[derive(Clone, Copy, Debug)]
pub struct Urb {
    /// Where the struct is in the client: the URB's name.
    pub address: u64,
    pub kind: u8,
    pub endpoint: u8,
    pub flags: u32,
    pub buffer: u64,
    pub length: usize,
}

impl Urb {
    /// None for a length beyond the cap.
    pub fn parse(address: u64, bytes: &[u8; URB as usize]) -> Option<Urb> {
        let word = |at: usize| bytes[at..at + 4].try_into().map(u32::from_ne_bytes).unwrap_or(0);
        let length = i32::from_ne_bytes(word(24).to_ne_bytes());
        let length = usize::try_from(length).ok().filter(|l| *l <= BUFFER_CAP)?;
        Some(Urb {
            address,
            kind: bytes[0],
            endpoint: bytes[1],
            flags: word(8),
            buffer: bytes[16..24].try_into().map(u64::from_ne_bytes).unwrap_or(0),
            length,
        })
    }
}

/// A finished URB: `status` is 0 or a negative error number, `data` goes to the given place.
#[derive(Clone, Debug)]
pub struct Finished {
    pub address: u64,
    pub status: i32,
    pub actual: i32,
    pub data: Option<(u64, Vec<u8>)>,
}

struct Pending {
    address: u64,
    /// Waits for the device to send.
    input: Option<Urb>,
    /// Finished already, but the device takes its time.
    later: Option<(Instant, Finished)>,
}

/// See the essay.
#[derive(Default)]
pub struct Queue {
    pending: Vec<Pending>,
    finished: VecDeque<Finished>,
    gone: bool,
    /// Endpoints that somebody watches for this file.
    watched: Vec<u8>,
}

impl Queue {
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    pub fn is_full(&self) -> bool {
        self.pending.len() + self.finished.len() >= PENDING_CAP
    }

    pub fn reapable(&self) -> bool {
        !self.finished.is_empty()
    }

    /// A request that stays until it is discarded or the device leaves.
    pub fn wait(&mut self, address: u64) {
        if self.gone {
            self.finish(Finished { address, status: -ESHUTDOWN, actual: 0, data: None });
        } else {
            self.pending.push(Pending { address, input: None, later: None });
        }
    }

    /// A request for what the device may send; requests on one endpoint are answered in their order.
    pub fn wait_for_input(&mut self, urb: Urb) {
        self.wait(urb.address);
        if let Some(pending) = self.pending.last_mut().filter(|p| p.address == urb.address) {
            pending.input = Some(urb);
        }
    }

    /// The oldest such request on an endpoint.
    pub fn oldest_input(&self, endpoint: u8) -> Option<Urb> {
        self.pending.iter().filter_map(|p| p.input).find(|urb| urb.endpoint == endpoint)
    }

    /// Answers a request that [`Queue::oldest_input`] gave.
    pub fn finish_input(&mut self, finished: Finished) {
        self.pending.retain(|p| p.address != finished.address);
        self.finish(finished);
    }

    /// False when this endpoint is watched already.
    pub fn watch(&mut self, endpoint: u8) -> bool {
        let new = !self.watched.contains(&endpoint);
        if new {
            self.watched.push(endpoint);
        }
        new
    }

    pub fn finish(&mut self, finished: Finished) {
        self.finished.push_back(finished);
    }

    /// Finishes after `delay`, unless it is discarded or the device leaves first; see [`Queue::ripen`].
    pub fn finish_later(&mut self, finished: Finished, delay: Duration) {
        if self.gone {
            return self.finish(Finished { status: -ESHUTDOWN, actual: 0, data: None, ..finished });
        }
        self.pending.push(Pending {
            address: finished.address,
            input: None,
            later: Some((Instant::now() + delay, finished)),
        });
    }

    /// Makes reapable what is due.
    pub fn ripen(&mut self) {
        let now = Instant::now();
        let (due, waiting) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition::<Vec<_>, _>(|p| p.later.as_ref().is_some_and(|(at, _)| *at <= now));
        self.pending = waiting;
        self.finished.extend(due.into_iter().filter_map(|p| p.later).map(|(_, finished)| finished));
    }

    /// False when there is no such URB pending.
    pub fn discard(&mut self, address: u64) -> bool {
        let Some(at) = self.pending.iter().position(|p| p.address == address) else { return false };
        self.pending.remove(at);
        self.finish(Finished { address, status: -ENOENT, actual: 0, data: None });
        true
    }

    pub fn reap(&mut self) -> Option<Finished> {
        self.finished.pop_front()
    }

    /// The device left: all that is pending comes back first.
    pub fn unplug(&mut self) {
        self.gone = true;
        for pending in std::mem::take(&mut self.pending) {
            self.finish(Finished { address: pending.address, status: -ESHUTDOWN, actual: 0, data: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unplug_returns_what_is_pending_before_anything_else() {
        let mut queue = Queue::default();
        queue.wait(1);
        queue.finish(Finished { address: 2, status: 0, actual: 5, data: None });
        queue.finish_later(Finished { address: 3, status: 0, actual: 0, data: None }, Duration::from_secs(60));
        queue.unplug();
        let all: Vec<(u64, i32)> = std::iter::from_fn(|| queue.reap()).map(|f| (f.address, f.status)).collect();
        assert_eq!(all, [(2, 0), (1, -ESHUTDOWN), (3, -ESHUTDOWN)]);
        queue.wait(4);
        assert_eq!(queue.reap().unwrap().status, -ESHUTDOWN);
        assert!(queue.is_gone() && !queue.reapable());
    }

    #[test]
    fn a_discarded_urb_comes_back_once() {
        let mut queue = Queue::default();
        queue.wait(1);
        assert!(queue.discard(1) && !queue.discard(1));
        assert_eq!(queue.reap().unwrap().status, -ENOENT);
        queue.finish_later(Finished { address: 2, status: 0, actual: 0, data: None }, Duration::ZERO);
        queue.ripen();
        assert!(queue.reapable() && !queue.discard(2));
    }

    #[test]
    fn inputs_are_answered_in_their_order() {
        let urb = |address, endpoint| Urb { address, kind: BULK, endpoint, flags: 0, buffer: 0, length: 512 };
        let mut queue = Queue::default();
        queue.wait_for_input(urb(1, 0x85));
        queue.wait_for_input(urb(2, 0x81));
        queue.wait_for_input(urb(3, 0x85));
        assert!(queue.discard(1));
        assert_eq!(queue.oldest_input(0x85).unwrap().address, 3);
        queue.finish_input(Finished { address: 3, status: 0, actual: 4, data: None });
        assert!(queue.oldest_input(0x85).is_none() && queue.watch(0x85) && !queue.watch(0x85));
        queue.unplug();
        queue.wait_for_input(urb(4, 0x85));
        assert!(queue.oldest_input(0x85).is_none());
        let all: Vec<(u64, i32)> = std::iter::from_fn(|| queue.reap()).map(|f| (f.address, f.status)).collect();
        assert_eq!(all, [(1, -ENOENT), (3, 0), (2, -ESHUTDOWN), (4, -ESHUTDOWN)]);
    }

    #[test]
    fn absurd_lengths_are_refused() {
        let mut bytes = [0; 56];
        bytes[24..28].copy_from_slice(&(-1_i32).to_ne_bytes());
        assert!(Urb::parse(1, &bytes).is_none());
        bytes[24..28].copy_from_slice(&(17_i32 << 20).to_ne_bytes());
        assert!(Urb::parse(1, &bytes).is_none());
        bytes[24..28].copy_from_slice(&512_i32.to_ne_bytes());
        assert_eq!(Urb::parse(1, &bytes).unwrap().length, 512);
    }
}
