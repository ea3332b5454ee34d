//! ASR: how the root image goes to the device.
//!
//! No lengths: both sides write whole XML property lists, each ended by `</plist>` and a newline, and raw
//! bytes. The device begins with `Initiate`, the host answers with [`PacketInfo`], the device reads parts
//! of the image at random (`OOBData`, answered with the bare bytes), may begin anew with a second
//! `Initiate`, and then says `Payload`. From there the host sends the image from its first byte to its
//! last in chunks of 128 KiB, each followed by its SHA-1 when the device asked for checksums.
//!
//! The FEC and packet numbers of the packet info are declared by every host and used by nobody.

use super::WireError;
use plist::{Dictionary, Value};

/// Port of ASR unless the request names another.
pub const PORT: u16 = 12_345;
/// Bytes in one chunk of the payload; the last may be shorter.
pub const CHUNK: usize = 131_072;
/// Bytes of the SHA-1 after each chunk.
pub const CHECKSUM: usize = 20;
/// Ends every property list of either side.
pub const END: &[u8] = b"</plist>\n";
/// Cap on one property list, in bytes.
pub const MESSAGE_CAP: usize = 64 << 10;
/// Cap on one random read, in bytes; the longest seen is half a megabyte.
pub const OOB_CAP: u64 = 64 << 20;

const WHAT: &str = "ASR message";

/// What the device says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromDevice {
    Initiate { checksum_chunks: bool },
    OobData { length: u64, offset: u64 },
    Payload,
}

impl FromDevice {
    /// `xml` is one property list with or without what follows it. A length beyond [`OOB_CAP`] is refused.
    pub fn parse(xml: &[u8]) -> Result<Self, WireError> {
        let message = dictionary(xml)?;
        let number = |key: &'static str| {
            message
                .get(key)
                .and_then(Value::as_unsigned_integer)
                .ok_or_else(|| WireError::malformed(WHAT, format!("no {key}")))
        };
        match message.get("Command").and_then(Value::as_string) {
            Some("Initiate") => Ok(FromDevice::Initiate {
                checksum_chunks: message.get("Checksum Chunks").and_then(Value::as_boolean).unwrap_or(false),
            }),
            Some("OOBData") => {
                let length = number("OOB Length")?;
                if length > OOB_CAP {
                    return Err(WireError::TooLong { what: WHAT, length, cap: OOB_CAP });
                }
                Ok(FromDevice::OobData { length, offset: number("OOB Offset")? })
            }
            Some("Payload") => Ok(FromDevice::Payload),
            Some(other) => Err(WireError::malformed(WHAT, format!("command {other:?}"))),
            None => Err(WireError::malformed(WHAT, "no Command")),
        }
    }

    pub fn build(&self) -> Vec<u8> {
        let mut m = Dictionary::new();
        let command = match self {
            FromDevice::Initiate { checksum_chunks } => {
                m.insert("Checksum Chunks".into(), (*checksum_chunks).into());
                "Initiate"
            }
            FromDevice::OobData { length, offset } => {
                m.insert("OOB Length".into(), Value::from(*length));
                m.insert("OOB Offset".into(), Value::from(*offset));
                "OOBData"
            }
            FromDevice::Payload => "Payload",
        };
        m.insert("Command".into(), command.into());
        xml(&m)
    }
}

/// The host's answer to `Initiate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketInfo {
    /// Bytes of the whole image.
    pub size: u64,
    /// Repeats what `Initiate` asked for.
    pub checksum_chunks: bool,
}

impl PacketInfo {
    pub fn build(&self) -> Vec<u8> {
        let mut payload = Dictionary::new();
        payload.insert("Port".into(), Value::from(1u64));
        payload.insert("Size".into(), Value::from(self.size));
        let mut m = Dictionary::new();
        if self.checksum_chunks {
            m.insert("Checksum Chunk Size".into(), Value::from(CHUNK as u64));
        }
        m.insert("FEC Slice Stride".into(), Value::from(40u64));
        m.insert("Packet Payload Size".into(), Value::from(1450u64));
        m.insert("Packets Per FEC".into(), Value::from(25u64));
        m.insert("Payload".into(), payload.into());
        m.insert("Stream ID".into(), Value::from(1u64));
        m.insert("Version".into(), Value::from(1u64));
        xml(&m)
    }

    /// A chunk size other than [`CHUNK`] is refused.
    pub fn parse(xml: &[u8]) -> Result<Self, WireError> {
        let message = dictionary(xml)?;
        let size = message
            .get("Payload")
            .and_then(Value::as_dictionary)
            .and_then(|p| p.get("Size"))
            .and_then(Value::as_unsigned_integer)
            .ok_or_else(|| WireError::malformed(WHAT, "no Payload Size"))?;
        let checksum_chunks = match message.get("Checksum Chunk Size") {
            None => false,
            Some(v) if v.as_unsigned_integer() == Some(CHUNK as u64) => true,
            Some(_) => return Err(WireError::malformed(WHAT, "another checksum chunk size")),
        };
        Ok(PacketInfo { size, checksum_chunks })
    }
}

/// Bytes of the first whole property list in `buffer`, its end included; none while it is incomplete.
pub fn message_length(buffer: &[u8]) -> Result<Option<usize>, WireError> {
    let end = buffer.windows(END.len()).position(|w| w == END).map(|at| at + END.len());
    match end {
        Some(length) if length <= MESSAGE_CAP => Ok(Some(length)),
        None if buffer.len() < MESSAGE_CAP => Ok(None),
        _ => Err(WireError::TooLong { what: WHAT, length: buffer.len() as u64, cap: MESSAGE_CAP as u64 }),
    }
}

fn xml(message: &Dictionary) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = plist::to_writer_xml(&mut bytes, message);
    bytes.push(b'\n');
    bytes
}

fn dictionary(xml: &[u8]) -> Result<Dictionary, WireError> {
    if xml.len() > MESSAGE_CAP {
        return Err(WireError::TooLong { what: WHAT, length: xml.len() as u64, cap: MESSAGE_CAP as u64 });
    }
    super::restored::parse(xml).map_err(|err| WireError::malformed(WHAT, err.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_and_end_as_the_field_ends_them() {
        for message in [
            FromDevice::Initiate { checksum_chunks: true },
            FromDevice::OobData { length: 459_068, offset: 152_516 },
            FromDevice::Payload,
        ] {
            let bytes = message.build();
            assert!(bytes.ends_with(END));
            assert_eq!(message_length(&bytes).unwrap(), Some(bytes.len()));
            assert_eq!(message_length(&bytes[..bytes.len() - 1]).unwrap(), None);
            assert_eq!(FromDevice::parse(&bytes).unwrap(), message);
        }
        for checksum_chunks in [true, false] {
            let info = PacketInfo { size: 6_640_000_000, checksum_chunks };
            assert_eq!(PacketInfo::parse(&info.build()).unwrap(), info);
        }
    }

    #[test]
    fn two_messages_in_one_read_are_told_apart() {
        let first = FromDevice::Initiate { checksum_chunks: true }.build();
        let both = [first.clone(), FromDevice::Payload.build()].concat();
        assert_eq!(message_length(&both).unwrap(), Some(first.len()));
    }

    #[test]
    fn absurd_reads_are_refused() {
        let huge = FromDevice::OobData { length: u64::from(u32::MAX) * 4, offset: 0 }.build();
        assert!(matches!(FromDevice::parse(&huge), Err(WireError::TooLong { .. })));
        assert!(message_length(&vec![b'x'; MESSAGE_CAP]).is_err());
        assert!(FromDevice::parse(b"<plist></plist>\n").is_err());
    }
}
