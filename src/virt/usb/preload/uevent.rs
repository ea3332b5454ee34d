//! Kernel events as udev passes them on, sent to every client that listens.
//!
//! Clients bind datagram sockets named `event<file number>` in the folder. A packet has libudev's header
//! with hashes of subsystem and device type, because the filter that libudev installs on its socket is
//! live: a packet with wrong hashes never arrives.

use super::sysfs::Entry;
use std::fs;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

const MAGIC: u32 = 0xFEED_CAFE;
const HEADER: usize = 40;

/// MurmurHash2, 32 bits, seed 0: what libudev's filters compare.
fn hash(text: &str) -> u32 {
    const M: u32 = 0x5BD1_E995;
    let bytes = text.as_bytes();
    let mut h = bytes.len() as u32;
    let chunks = bytes.chunks_exact(4);
    let rest = chunks.remainder();
    for chunk in chunks {
        let mut k = chunk.iter().rev().fold(0_u32, |k, b| k << 8 | u32::from(*b)).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        h ^= rest.iter().rev().fold(0_u32, |k, b| k << 8 | u32::from(*b));
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ h >> 15
}

fn packet(action: &str, entry: &Entry, sequence: u64) -> Vec<u8> {
    let mut properties = Vec::new();
    let mut add = |key: &str, value: &str| properties.extend_from_slice(format!("{key}={value}\0").as_bytes());
    add("ACTION", action);
    add("DEVPATH", &entry.devpath());
    add("SUBSYSTEM", "usb");
    for (key, value) in entry.properties() {
        let value = if key == "DEVNAME" { format!("/dev/{value}") } else { value };
        add(key, &value);
    }
    add("SEQNUM", &sequence.to_string());
    let mut packet = b"libudev\0".to_vec();
    packet.extend_from_slice(&MAGIC.to_be_bytes());
    for number in [HEADER, HEADER, properties.len()] {
        packet.extend_from_slice(&(number as u32).to_ne_bytes());
    }
    packet.extend_from_slice(&hash("usb").to_be_bytes());
    packet.extend_from_slice(&hash("usb_device").to_be_bytes());
    packet.extend_from_slice(&[0; 8]);
    packet.extend_from_slice(&properties);
    packet
}

/// Tells every listening client.
///
/// # Errors
/// When no socket can be had or the folder cannot be read; a client that does not take it is no error.
pub fn send(root: &Path, action: &str, entry: &Entry, sequence: u64) -> io::Result<()> {
    let packet = packet(action, entry, sequence);
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    for file in fs::read_dir(root)? {
        let path = file?.path();
        let listens = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("event"));
        if listens && let Err(err) = socket.send_to(&packet, &path) {
            tracing::debug!(%err, path = %path.display(), "uevent not taken");
            if err.kind() == io::ErrorKind::ConnectionRefused {
                // Left by a client that ended.
                let _ = fs::remove_file(&path);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virt::phone::Phone;
    use crate::virt::spec::PhoneSpec;
    use crate::virt::usb::board::Board;

    #[test]
    fn the_header_says_where_the_properties_are() {
        let phone = Phone::new(PhoneSpec::default(), 0, 100.0).unwrap();
        let plugged = Board::new(&[phone]).plugged().remove(0);
        let sent = packet("add", &Entry::of(&plugged), 7);
        assert_eq!((&sent[..8], &sent[8..12]), (&b"libudev\0"[..], &[0xFE, 0xED, 0xCA, 0xFE][..]));
        let word = |at: usize| u32::from_ne_bytes(sent[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!((word(12), word(16), word(20)), (40, 40, sent.len() - 40));
        let text = String::from_utf8(sent[40..].to_vec()).unwrap();
        assert!(text.starts_with("ACTION=add\0DEVPATH=/devices/") && text.ends_with("SEQNUM=7\0"));
        assert!(text.contains("\0DEVNAME=/dev/bus/usb/001/002\0"));
        assert_ne!(hash("usb"), hash("usb_device"));
    }
}
