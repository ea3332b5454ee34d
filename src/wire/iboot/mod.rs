//! What iBoot and SecureROM say of themselves in USB strings, and the few requests that they take.
//!
//! Two strings matter: the serial number (`serial.rs`) and the nonces of this boot stage (`nonce.rs`). Both
//! come from the device, so both are read with care and capped; they are written as the field writes them,
//! which is how the bench shows them.
//!
//! Commands are NUL-terminated texts in a vendor control request. Uploads are a start request and bulk
//! pieces; iBoot sees the end of an upload by a short packet only, so a length that is a multiple of the
//! packet size needs a zero-length packet behind it.

mod nonce;
#[cfg(test)]
pub(crate) mod real;
mod serial;
#[cfg(test)]
mod serial_tests;

pub use nonce::Nonces;
pub use serial::{Flaw, IbootSerial, LongBoard};

use super::WireError;

/// String descriptor that holds the nonces in recovery and DFU.
pub const NONCE_STRING: u8 = 1;
/// String descriptor that holds [`IbootSerial`] on every device seen (`iSerial`).
pub const SERIAL_STRING: u8 = 4;
/// The only configuration of recovery and DFU.
pub const CONFIGURATION: u8 = 1;

/// `bmRequestType` of a command.
pub const COMMAND_TYPE: u8 = 0x40;
/// `bRequest` of a command that is answered before it runs on.
pub const COMMAND: u8 = 0;
/// `bRequest` of a command that never comes back (`go`, `bootx`, `reset`, `memboot`).
pub const COMMAND_BLIND: u8 = 1;
/// A command with its NUL is shorter than this.
pub const COMMAND_CAP: usize = 0x100;
/// `bmRequestType` of the read that fetches what `getenv` found; `bRequest` is 0.
pub const VALUE_TYPE: u8 = 0xC0;
/// Bytes to ask for in that read.
pub const VALUE_LENGTH: u16 = 255;
/// `bmRequestType` and `bRequest` of "finish transfer", which follows `go` and the kernel cache; no data.
pub const FINISH_TYPE: u8 = 0x21;
pub const FINISH: u8 = 1;
/// `bmRequestType` and `bRequest` that open an upload; no data.
pub const UPLOAD_TYPE: u8 = 0x41;
pub const UPLOAD: u8 = 0;
/// Bulk OUT endpoint of uploads.
pub const UPLOAD_ENDPOINT: u8 = 0x04;
/// Bytes of one bulk transfer.
pub const UPLOAD_PIECE: usize = 0x8000;
/// Packet size of that endpoint at high speed.
pub const UPLOAD_PACKET: usize = 512;

/// `IBFL`: boot components are IMG4.
pub const IBFL_IMG4: u32 = 0x04;
/// `IBFL`: set by iBoot, clear in SecureROM.
pub const IBFL_IBOOT: u32 = 0x01;

/// Longest text taken for a serial or nonce string, in bytes; USB itself cannot carry more than 126 characters.
const TEXT_CAP: usize = 1024;

/// Must a zero-length packet follow an upload of `length` bytes?
pub const fn needs_zero_packet(length: u64) -> bool {
    length.is_multiple_of(UPLOAD_PACKET as u64)
}

/// The `bRequest` that a command goes out with.
pub fn request_of(command: &str) -> u8 {
    match command.split_whitespace().next() {
        Some("go" | "bootx" | "reset" | "memboot") => COMMAND_BLIND,
        _ => COMMAND,
    }
}

/// A command as its control data: the text and a NUL.
///
/// # Errors
/// A NUL inside, or a text of 255 bytes and more.
pub fn encode_command(command: &str) -> Result<Vec<u8>, WireError> {
    if command.len() + 1 >= COMMAND_CAP {
        let (length, cap) = (command.len() as u64, COMMAND_CAP as u64 - 2);
        return Err(WireError::TooLong { what: "iBoot command", length, cap });
    }
    if command.bytes().any(|b| b == 0) {
        return Err(WireError::malformed("iBoot command", "NUL inside"));
    }
    let mut bytes = command.as_bytes().to_vec();
    bytes.push(0);
    Ok(bytes)
}

/// A command or an environment value: the text up to the first NUL.
///
/// # Errors
/// Longer than [`COMMAND_CAP`], or not UTF-8.
pub fn decode_text(bytes: &[u8]) -> Result<&str, WireError> {
    if bytes.len() > COMMAND_CAP {
        let (length, cap) = (bytes.len() as u64, COMMAND_CAP as u64);
        return Err(WireError::TooLong { what: "iBoot text", length, cap });
    }
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end]).map_err(|e| WireError::malformed("iBoot text", e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commands_are_short_and_end_with_nul() {
        assert_eq!(encode_command("go").unwrap(), b"go\0");
        assert_eq!(decode_text(b"getenv build-version\0junk").unwrap(), "getenv build-version");
        assert!(encode_command(&"x".repeat(255)).is_err() && encode_command("a\0b").is_err());
        assert_eq!((request_of("bootx"), request_of("go x"), request_of("setenv go 1")), (1, 1, 0));
        assert!(needs_zero_packet(1024) && !needs_zero_packet(1025));
    }

    proptest! {
        #[test]
        fn commands_come_back(text in "[^\\x00]{0,300}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_text(&bytes);
            if let Ok(encoded) = encode_command(&text) {
                prop_assert!(encoded.len() < COMMAND_CAP);
                prop_assert_eq!(decode_text(&encoded), Ok(&text[..]));
            }
        }
    }
}
