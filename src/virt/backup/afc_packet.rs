//! AFC packets: 40 bytes of header, parameters, payload.
//!
//! Little-endian numbers; `this_length` covers header and parameters, `entire_length` the payload as
//! well. Bytes in, values out; lengths are judged before anything is allocated.

use crate::wire::WireError;

pub const MAGIC: &[u8; 8] = b"CFA6LPAA";
pub const HEADER: usize = 40;
/// Longest packet that is taken in.
pub const MAX_PACKET: u64 = 16 << 20;
/// Longest read that is answered at once; real ones give 4 MiB.
pub const MAX_READ: u64 = 4 << 20;

/// Status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Code {
    Success = 0,
    ReadError = 4,
    UnknownPacketType = 6,
    InvalidArg = 7,
    ObjectNotFound = 8,
    ObjectIsDir = 9,
    PermDenied = 10,
    TooMuchData = 13,
    OpNotSupported = 15,
    ObjectExists = 16,
    NoSpaceLeft = 18,
    OpWouldBlock = 19,
    IoError = 20,
    DirNotEmpty = 33,
}

macro_rules! operations {
    ($($name:ident = $number:literal;)*) => {
        /// Operation numbers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Op { $($name = $number,)* }
        impl Op {
            pub fn from_number(number: u64) -> Option<Self> {
                match number { $($number => Some(Op::$name),)* _ => None }
            }
        }
    };
}

operations! {
    Status = 0x01;
    Data = 0x02;
    ReadDir = 0x03;
    RemovePath = 0x08;
    MakeDir = 0x09;
    GetFileInfo = 0x0A;
    GetDeviceInfo = 0x0B;
    FileOpen = 0x0D;
    FileOpenResult = 0x0E;
    FileRead = 0x0F;
    FileWrite = 0x10;
    FileSeek = 0x11;
    FileTell = 0x12;
    FileTellResult = 0x13;
    FileClose = 0x14;
    FileSetSize = 0x15;
    RenamePath = 0x18;
    FileLock = 0x1B;
    MakeLink = 0x1C;
    SetFileModTime = 0x1E;
    RemovePathAndContents = 0x22;
}

/// The header of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of parameters and payload that follow.
    pub parameters: usize,
    pub payload: usize,
    pub number: u64,
    pub operation: u64,
}

impl Header {
    /// # Errors
    /// [`WireError`] for another magic, lengths that contradict each other, or more than [`MAX_PACKET`].
    pub fn parse(bytes: &[u8; HEADER]) -> Result<Self, WireError> {
        const WHAT: &str = "AFC packet";
        let word = |at: usize| bytes[at..].first_chunk::<8>().map_or(0, |b| u64::from_le_bytes(*b));
        if !bytes.starts_with(MAGIC) {
            return Err(WireError::malformed(WHAT, "has another magic"));
        }
        let (entire, this) = (word(8), word(16));
        if entire > MAX_PACKET {
            return Err(WireError::TooLong { what: WHAT, length: entire, cap: MAX_PACKET });
        }
        if this < HEADER as u64 || entire < this {
            return Err(WireError::malformed(WHAT, format!("lengths {entire} and {this}")));
        }
        Ok(Header {
            parameters: this as usize - HEADER,
            payload: (entire - this) as usize,
            number: word(24),
            operation: word(32),
        })
    }

    pub fn build(self) -> [u8; HEADER] {
        let this = HEADER + self.parameters;
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        for (at, value) in
            [(8, (this + self.payload) as u64), (16, this as u64), (24, self.number), (32, self.operation)]
        {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }
}

/// Reads numbers and texts off the front of parameters.
pub struct Parameters<'a>(pub &'a [u8]);

impl<'a> Parameters<'a> {
    pub fn number(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*first))
    }

    /// A text up to its NUL, or to the end.
    pub fn text(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|b| *b == 0).unwrap_or(self.0.len());
        let (text, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        std::str::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive_and_absurd_ones_do_not() {
        let header = Header { parameters: 16, payload: 5, number: 3, operation: Op::FileWrite as u64 };
        assert_eq!(Header::parse(&header.build()).unwrap(), header);
        let mut huge = header.build();
        huge[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(Header::parse(&huge), Err(WireError::TooLong { .. })));
        let mut short = header.build();
        short[16..24].copy_from_slice(&39_u64.to_le_bytes());
        assert!(Header::parse(&short).is_err());
        assert_eq!(Op::from_number(27), Some(Op::FileLock));
        let mut parameters = Parameters(b"\x01\0\0\0\0\0\0\0a\0b");
        assert_eq!((parameters.number(), parameters.text(), parameters.text()), (Some(1), Some("a"), Some("b")));
        assert_eq!((parameters.number(), parameters.text()), (None, Some("")));
    }
}
