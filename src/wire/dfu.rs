//! The DFU class as SecureROM speaks it: states, status, packets and the tail of an image.
//!
//! An image goes down in packets of 0x800 bytes, the status asked after each. The last one carries a
//! 16-byte tail (the DFU suffix) whose checksum is the usual CRC-32 *without* the final inversion: 64-bit
//! ROMs ignore it, old ones do not, so it is computed as they want it. A zero-length packet ends the
//! image; the status then runs through manifest-sync (6) and manifest (7, poll 3000 ms) to
//! wait-for-reset (8), and a bus reset starts what was sent.

use super::WireError;

/// Bytes of one packet.
pub const PACKET: usize = 0x800;
/// Bytes of one packet in Port DFU.
pub const PORT_PACKET: usize = 0x40;
/// `bmRequestType` of requests to the device and from it.
pub const TYPE_OUT: u8 = 0x21;
pub const TYPE_IN: u8 = 0xA1;
/// `bRequest` values.
pub const DNLOAD: u8 = 1;
pub const GETSTATUS: u8 = 3;
pub const CLRSTATUS: u8 = 4;
pub const GETSTATE: u8 = 5;
pub const ABORT: u8 = 6;
/// Bytes that GETSTATUS answers.
pub const STATUS_LENGTH: usize = 6;
/// What the ROM asks a host to wait in [`State::Manifest`].
pub const MANIFEST_POLL_MS: u32 = 3000;

/// Bytes of the tail.
pub const SUFFIX_LENGTH: usize = 16;
const SUFFIX_HEAD: [u8; 12] = [0xFF, 0xFF, 0xFF, 0xFF, 0xAC, 0x05, 0x00, 0x01, 0x55, 0x46, 0x44, 0x10];

/// States of the DFU class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    AppIdle = 0,
    AppDetach = 1,
    Idle = 2,
    DownloadSync = 3,
    DownloadBusy = 4,
    DownloadIdle = 5,
    ManifestSync = 6,
    Manifest = 7,
    ManifestWaitReset = 8,
    UploadIdle = 9,
    Error = 10,
}

impl TryFrom<u8> for State {
    type Error = WireError;
    fn try_from(byte: u8) -> Result<Self, WireError> {
        Ok(match byte {
            0 => State::AppIdle,
            1 => State::AppDetach,
            2 => State::Idle,
            3 => State::DownloadSync,
            4 => State::DownloadBusy,
            5 => State::DownloadIdle,
            6 => State::ManifestSync,
            7 => State::Manifest,
            8 => State::ManifestWaitReset,
            9 => State::UploadIdle,
            10 => State::Error,
            other => return Err(WireError::malformed("DFU state", format!("{other} is none"))),
        })
    }
}

/// The answer to GETSTATUS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// 0 is well; else the error code of the DFU class.
    pub status: u8,
    /// Milliseconds to wait before the next GETSTATUS; 24 bits on the wire.
    pub poll_ms: u32,
    pub state: State,
    /// String descriptor with a text; 0 for none.
    pub text: u8,
}

/// `bStatus` of an unknown error.
pub const ERR_UNKNOWN: u8 = 0x0E;
/// `bStatus`: the address (here: the size) is out of range.
pub const ERR_ADDRESS: u8 = 0x08;
/// `bStatus`: a request that the state does not allow.
pub const ERR_STALLED: u8 = 0x0F;

impl Status {
    pub fn to_bytes(&self) -> [u8; STATUS_LENGTH] {
        let [a, b, c, _] = self.poll_ms.min(0x00FF_FFFF).to_le_bytes();
        [self.status, a, b, c, self.state as u8, self.text]
    }

    /// # Errors
    /// Not six bytes, or a state that is none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let &[status, a, b, c, state, text] = bytes else {
            return Err(WireError::malformed("DFU status", format!("{} bytes instead of 6", bytes.len())));
        };
        Ok(Status { status, poll_ms: u32::from_le_bytes([a, b, c, 0]), state: state.try_into()?, text })
    }
}

/// The 16 bytes behind an image.
pub fn suffix(image: &[u8]) -> [u8; SUFFIX_LENGTH] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(image);
    crc.update(&SUFFIX_HEAD);
    let [a, b, c, d] = (!crc.finalize()).to_le_bytes();
    let mut suffix = [0; SUFFIX_LENGTH];
    suffix[..12].copy_from_slice(&SUFFIX_HEAD);
    suffix[12..].copy_from_slice(&[a, b, c, d]);
    suffix
}

/// What arrived, parted into the image and, if a tail is there, whether its checksum is right.
pub fn strip_suffix(bytes: &[u8]) -> (&[u8], Option<bool>) {
    match bytes.split_last_chunk::<SUFFIX_LENGTH>() {
        Some((image, tail)) if tail[..12] == SUFFIX_HEAD => (image, Some(*tail == suffix(image))),
        _ => (bytes, None),
    }
}

/// One DNLOAD: `wValue` and data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub index: u16,
    pub data: Vec<u8>,
}

/// All DNLOADs of an image in their order, the ending empty one included.
///
/// The tail rides on the last packet; where it does not fit it goes as one of its own under the same index.
pub fn packets(image: &[u8]) -> impl Iterator<Item = Packet> + '_ {
    let pieces = image.len().div_ceil(PACKET).max(1);
    let rides = image.len() - (pieces - 1) * PACKET + SUFFIX_LENGTH <= PACKET;
    let body = (0..pieces).map(move |at| {
        let from = at * PACKET;
        let mut data = image[from..image.len().min(from + PACKET)].to_vec();
        if at + 1 == pieces && rides {
            data.extend_from_slice(&suffix(image));
        }
        Packet { index: at as u16, data }
    });
    let tail = (!rides).then(|| Packet { index: (pieces - 1) as u16, data: suffix(image).to_vec() });
    body.chain(tail).chain(std::iter::once(Packet { index: pieces as u16, data: Vec::new() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_checksum_is_the_one_without_the_final_inversion() {
        assert_eq!(suffix(b"")[12..], 0x93DC_6053_u32.to_le_bytes());
    }

    #[test]
    fn a_status_round_trips_with_its_24_bits() {
        let status = Status { status: 0, poll_ms: MANIFEST_POLL_MS, state: State::Manifest, text: 0 };
        assert_eq!(status.to_bytes(), [0, 0xB8, 0x0B, 0, 7, 0]);
        assert_eq!(Status::from_bytes(&status.to_bytes()).unwrap(), status);
        assert!(Status::from_bytes(&[0; 5]).is_err() && Status::from_bytes(&[0, 0, 0, 0, 11, 0]).is_err());
    }

    #[test]
    fn a_tail_that_does_not_fit_goes_alone_under_the_same_index() {
        let tight: Vec<Packet> = packets(&[7; PACKET - 8]).collect();
        assert_eq!(tight.iter().map(|p| (p.index, p.data.len())).collect::<Vec<_>>(), [(0, 0x7F8), (0, 16), (1, 0)]);
        let loose: Vec<Packet> = packets(&[7; PACKET + 16]).collect();
        assert_eq!(loose.iter().map(|p| (p.index, p.data.len())).collect::<Vec<_>>(), [(0, 0x800), (1, 32), (2, 0)]);
    }

    proptest! {
        #[test]
        fn packets_carry_the_image_and_a_good_tail(image in prop::collection::vec(any::<u8>(), 0..5000)) {
            let packets: Vec<Packet> = packets(&image).collect();
            prop_assert!(packets.iter().all(|p| p.data.len() <= PACKET));
            prop_assert!(packets.last().is_some_and(|p| p.data.is_empty()));
            let all: Vec<u8> = packets.iter().flat_map(|p| p.data.clone()).collect();
            prop_assert_eq!(strip_suffix(&all), (&image[..], Some(true)));
        }
    }
}
