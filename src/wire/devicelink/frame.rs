//! Raw frames: how file contents and names travel between DeviceLink messages.
//!
//! `u32` big-endian length that counts the code byte, the code byte, the payload. A name is a bare `u32` length and
//! text; a name of length zero ends a list of files. No size from the wire is ever a size to allocate: a payload may
//! claim 4 GiB, and is streamed.

use super::{MAX_NAME, WireError};

/// Payload of one data frame to a device: the phone holds a whole frame in memory, and larger ones got its agent
/// killed (a Manifest.db of 1.5 GB in 128 MiB frames).
pub const HOST_FRAME: usize = 32 << 10;
/// Payload of one data frame from a device, as observed. The size is documented nowhere, so it is no limit.
pub const DEVICE_FRAME: usize = 256 << 10;
/// A frame that claims more than this, 4096 times what devices send, is no frame: waiting for its rest would only
/// look like a silent device.
pub const MOST_BELIEVED: u32 = 1 << 30;
/// Bytes of a frame's head: length and code.
pub const HEAD: usize = 5;
/// Longest error text that is kept of an error frame, in bytes.
pub const MAX_ERROR_TEXT: usize = 4096;
/// What ends a list of files.
pub const LIST_END: [u8; 4] = [0; 4];

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameCode {
    /// 0x0C: a piece of the file.
    Data,
    /// 0x00: the file is complete.
    End,
    /// 0x0B: the device could not read this file; the payload is its text.
    DeviceError,
    /// 0x06: the host could not read this file; the payload is its text.
    HostError,
}

impl FrameCode {
    pub fn byte(self) -> u8 {
        match self {
            FrameCode::Data => 0x0C,
            FrameCode::End => 0x00,
            FrameCode::DeviceError => 0x0B,
            FrameCode::HostError => 0x06,
        }
    }

    pub fn from_byte(byte: u8) -> Option<Self> {
        [FrameCode::Data, FrameCode::End, FrameCode::DeviceError, FrameCode::HostError]
            .into_iter()
            .find(|code| code.byte() == byte)
    }
}

/// The head of a frame: its code and the payload that follows, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub code: FrameCode,
    pub payload: u32,
}

impl Head {
    /// # Errors
    /// [`WireError::Malformed`] for a length of zero (no room for the code) and for a code that nobody sends.
    pub fn parse(bytes: [u8; HEAD]) -> Result<Self, WireError> {
        let [a, b, c, d, code] = bytes;
        let payload = payload_length([a, b, c, d])?;
        let code = FrameCode::from_byte(code)
            .ok_or_else(|| WireError::malformed("frame", format!("unknown code 0x{code:02x}")))?;
        Ok(Head { code, payload })
    }

    /// `payload` must stay below `u32::MAX`; it is capped there.
    pub fn build(self) -> [u8; HEAD] {
        let [a, b, c, d] = self.payload.saturating_add(1).to_be_bytes();
        [a, b, c, d, self.code.byte()]
    }
}

/// The payload length of a frame, from its length word alone.
///
/// # Errors
/// [`WireError::Malformed`] for zero: there is not even a code byte then.
pub fn payload_length(word: [u8; 4]) -> Result<u32, WireError> {
    let length = u32::from_be_bytes(word);
    length.checked_sub(1).ok_or_else(|| WireError::malformed("frame", "of length zero"))
}

/// The length of a name; none ends the list.
///
/// # Errors
/// [`WireError::TooLong`] beyond [`MAX_NAME`].
pub fn name_length(word: [u8; 4]) -> Result<Option<usize>, WireError> {
    match u32::from_be_bytes(word) as usize {
        0 => Ok(None),
        length if length > MAX_NAME => {
            Err(WireError::TooLong { what: "file name", length: length as u64, cap: MAX_NAME as u64 })
        }
        length => Ok(Some(length)),
    }
}

/// A name with its length word.
///
/// # Errors
/// [`WireError::TooLong`] beyond [`MAX_NAME`], [`WireError::Malformed`] for an empty one, which would end the list.
pub fn build_name(name: &str) -> Result<Vec<u8>, WireError> {
    if name.is_empty() {
        return Err(WireError::malformed("file name", "is empty"));
    }
    if name.len() > MAX_NAME {
        return Err(WireError::TooLong { what: "file name", length: name.len() as u64, cap: MAX_NAME as u64 });
    }
    let mut bytes = Vec::with_capacity(4 + name.len());
    bytes.extend((name.len() as u32).to_be_bytes());
    bytes.extend(name.as_bytes());
    Ok(bytes)
}
