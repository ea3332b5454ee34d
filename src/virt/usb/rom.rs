//! The DFU state machine of SecureROM, and of an iBSS that still shows as DFU.
//!
//! Pure: a request in, an answer out. Two things differ from the letter of the DFU class, because real
//! ROMs do: a packet is taken without the status being asked in between, and GETSTATUS shows the state
//! *before* it moves on (6, 7, 8). So a host that asks twice and resets boots the image all the same,
//! and one that resets earlier does not.

use super::model::Reply;
use crate::wire::dfu::{self, State, Status};

/// Largest image that is taken; the load area of a ROM is of this order.
const IMAGE_CAP: usize = 8 << 20;

pub struct Dfu {
    state: State,
    status: u8,
    image: Vec<u8>,
}

impl Dfu {
    pub fn new(in_error: bool) -> Self {
        let (state, status) = if in_error { (State::Error, dfu::ERR_UNKNOWN) } else { (State::Idle, 0) };
        Dfu { state, status, image: Vec::new() }
    }

    /// Bytes of the image so far.
    pub fn received(&self) -> usize {
        self.image.len()
    }

    /// A class request to the interface, from the host.
    pub fn out(&mut self, request: u8, data: &[u8]) -> Reply {
        match request {
            dfu::DNLOAD => self.download(data),
            dfu::CLRSTATUS if self.state == State::Error => self.idle(),
            dfu::ABORT if self.state != State::Error => self.idle(),
            _ => self.refuse(dfu::ERR_STALLED),
        }
    }

    /// A class request to the interface, to the host.
    pub fn read(&mut self, request: u8) -> Reply {
        match request {
            dfu::GETSTATE => Reply::Data(vec![self.state as u8]),
            dfu::GETSTATUS => {
                if self.state == State::DownloadSync {
                    self.state = State::DownloadIdle;
                }
                let poll_ms = if self.state == State::Manifest { dfu::MANIFEST_POLL_MS } else { 0 };
                let status = Status { status: self.status, poll_ms, state: self.state, text: 0 };
                self.state = match self.state {
                    State::ManifestSync => State::Manifest,
                    State::Manifest => State::ManifestWaitReset,
                    other => other,
                };
                Reply::Data(status.to_bytes().to_vec())
            }
            _ => self.refuse(dfu::ERR_STALLED),
        }
    }

    /// A bus reset; gives the image (its tail cut off) if one is complete and waited for this.
    pub fn reset(&mut self) -> Option<Vec<u8>> {
        let image = std::mem::take(&mut self.image);
        let complete = self.state == State::ManifestWaitReset;
        if self.state != State::Error {
            self.state = State::Idle;
        }
        complete.then(|| dfu::strip_suffix(&image).0.to_vec())
    }

    fn idle(&mut self) -> Reply {
        *self = Dfu::new(false);
        Reply::Taken(0)
    }

    fn refuse(&mut self, status: u8) -> Reply {
        self.state = State::Error;
        self.status = status;
        self.image.clear();
        Reply::Stall
    }

    fn download(&mut self, data: &[u8]) -> Reply {
        let open = matches!(self.state, State::DownloadSync | State::DownloadIdle);
        if data.is_empty() {
            return match self.state {
                _ if open => {
                    self.state = State::ManifestSync;
                    Reply::Taken(0)
                }
                // A second empty packet "just in case", as some hosts send.
                State::ManifestSync | State::Manifest | State::ManifestWaitReset => Reply::Taken(0),
                _ => self.refuse(dfu::ERR_STALLED),
            };
        }
        if data.len() > dfu::PACKET || self.image.len() + data.len() > IMAGE_CAP {
            return self.refuse(dfu::ERR_ADDRESS);
        }
        if !open && self.state != State::Idle {
            return self.refuse(dfu::ERR_STALLED);
        }
        self.image.extend_from_slice(data);
        self.state = State::DownloadSync;
        Reply::Taken(data.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(dfu: &mut Dfu) -> Status {
        match dfu.read(dfu::GETSTATUS) {
            Reply::Data(bytes) => Status::from_bytes(&bytes).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn states_run_as_recorded_from_a_real_device() {
        let mut dfu = Dfu::new(false);
        let image = vec![9; 5000];
        for packet in dfu::packets(&image) {
            assert_eq!(dfu.out(dfu::DNLOAD, &packet.data), Reply::Taken(packet.data.len()));
            if !packet.data.is_empty() {
                assert_eq!(status(&mut dfu).state, State::DownloadIdle);
            }
        }
        assert_eq!(status(&mut dfu).state, State::ManifestSync);
        let manifest = status(&mut dfu);
        assert_eq!((manifest.state, manifest.poll_ms), (State::Manifest, 3000));
        assert_eq!(status(&mut dfu).state, State::ManifestWaitReset);
        assert_eq!(dfu.reset(), Some(image));
        assert_eq!(dfu.reset(), None);
    }

    #[test]
    fn a_reset_too_early_boots_nothing() {
        let mut dfu = Dfu::new(false);
        dfu.out(dfu::DNLOAD, &[1; 100]);
        dfu.out(dfu::DNLOAD, &[]);
        status(&mut dfu);
        assert_eq!(dfu.reset(), None);
        assert_eq!(dfu.read(dfu::GETSTATE), Reply::Data(vec![State::Idle as u8]));
    }

    #[test]
    fn nonsense_ends_in_the_error_state_until_it_is_cleared() {
        let mut dfu = Dfu::new(false);
        assert_eq!(dfu.out(dfu::DNLOAD, &[0; dfu::PACKET + 1]), Reply::Stall);
        assert_eq!(status(&mut dfu).state, State::Error);
        assert_eq!(dfu.out(dfu::DNLOAD, &[0; 8]), Reply::Stall);
        assert_eq!(dfu.out(dfu::ABORT, &[]), Reply::Stall);
        assert_eq!(dfu.out(dfu::CLRSTATUS, &[]), Reply::Taken(0));
        assert_eq!(dfu.out(dfu::DNLOAD, &[0; 8]), Reply::Taken(8));
        assert_eq!(dfu.out(dfu::ABORT, &[]), Reply::Taken(0));
        assert_eq!(dfu.read(dfu::GETSTATE), Reply::Data(vec![2]));
        assert_eq!(dfu.out(dfu::DNLOAD, &[]), Reply::Stall);
        assert_eq!(Dfu::new(true).read(dfu::GETSTATE), Reply::Data(vec![10]));
    }
}
