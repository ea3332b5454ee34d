//! Bytes of the files: deterministic, so that a specification always gives the same IPSW, and cheap to make.
//!
//! A root image is one block of noise over and over with its own offset stamped into every chunk, so that
//! swapped chunks are seen; past [`DENSE`] only the stamps remain and the rest is zeros, which cost no room on
//! disk. Its head names the system in plain text (the bench's phone reads it there as long as no
//! identity is sent), its tail is a UDIF trailer. Encrypted ones begin as an Apple Encrypted Archive does,
//! with the address of the key in its authentication data.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use sha2::{Digest, Sha256};
use std::io::{self, Write};

const BLOCK: usize = 1 << 20;
const CHUNK: usize = 128 << 10;
/// Bytes of a root image that are noise.
const DENSE: u64 = 256 << 20;
/// Smaller root images are not made.
pub(super) const SMALLEST: u64 = 1 << 20;

/// Noise that depends on nothing but `seed`. It packs to about a quarter, as firmware does to a half.
pub(super) fn noise(seed: &str, length: usize) -> Vec<u8> {
    let digest = Sha256::digest(seed);
    let mut state = digest.iter().take(8).fold(1u64, |n, b| n << 8 | u64::from(*b)) | 1;
    let mut piece = Vec::with_capacity(4096);
    while piece.len() < 4096 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        piece.extend_from_slice(&state.to_le_bytes());
    }
    let mut out = Vec::with_capacity(length + 4096);
    let mut turn = 0u64;
    while out.len() < length {
        let from = (turn.wrapping_mul(512) % 3584) as usize;
        out.extend_from_slice(&piece[from..]);
        out.extend_from_slice(&turn.to_le_bytes());
        turn += 1;
    }
    out.truncate(length);
    out
}

/// A root image, made as it is written.
#[derive(Clone, Debug)]
pub(super) struct RootImage {
    pub size: u64,
    pub head: Vec<u8>,
    pub encrypted: bool,
}

impl RootImage {
    pub fn new(size: u64, encrypted: bool, product: &str, version: &str, build: &str) -> RootImage {
        let mut head = Vec::new();
        if encrypted {
            head = archive_head(&format!("{product} {version} {build} system"));
        }
        head.extend_from_slice(
            format!(
                "<plist version=\"1.0\"><dict><key>ProductBuildVersion</key><string>{build}</string>\
                 <key>ProductName</key><string>iPhone OS</string><key>ProductVersion</key><string>{version}</string>\
                 </dict></plist>\n"
            )
            .as_bytes(),
        );
        RootImage { size: size.max(SMALLEST), head, encrypted }
    }

    /// # Errors
    /// Those of `out`.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let block = noise("root", BLOCK);
        let zeros = vec![0; BLOCK];
        let mut buffer = Vec::with_capacity(BLOCK);
        let mut at = 0;
        while at < self.size {
            let length = usize::try_from(self.size - at).unwrap_or(BLOCK).min(BLOCK);
            let from = if at < DENSE { &block } else { &zeros };
            buffer.clear();
            buffer.extend_from_slice(&from[..length]);
            if at < DENSE {
                for place in (0..length.saturating_sub(8)).step_by(CHUNK) {
                    buffer[place..place + 8].copy_from_slice(&(at + place as u64).to_be_bytes());
                }
            } else if length >= 8 {
                buffer[..8].copy_from_slice(&at.to_be_bytes());
            }
            if at == 0 {
                buffer[..self.head.len()].copy_from_slice(&self.head);
            }
            if at + length as u64 == self.size && !self.encrypted && length >= 512 {
                let tail = length - 512;
                buffer[tail..].fill(0);
                buffer[tail..tail + 12].copy_from_slice(b"koly\0\0\0\x04\0\0\x02\0");
            }
            out.write_all(&buffer)?;
            at += length as u64;
        }
        Ok(())
    }

    /// The digest of the plain file.
    pub fn digest(&self, algorithm: crate::wire::img4::Algorithm) -> Vec<u8> {
        use crate::wire::img4::Algorithm;
        match algorithm {
            Algorithm::Sha1 => self.digest_as::<sha1::Sha1>(),
            Algorithm::Sha256 => self.digest_as::<Sha256>(),
            Algorithm::Sha384 => self.digest_as::<sha2::Sha384>(),
        }
    }

    fn digest_as<D: Digest + Write>(&self) -> Vec<u8> {
        let mut digest = D::new();
        // A digest takes everything.
        let _ = self.write_to(&mut digest);
        digest.finalize().to_vec()
    }
}

/// Magic, profile, and authentication data with the address of the key.
pub(super) fn archive_head(seed: &str) -> Vec<u8> {
    let id = URL_SAFE.encode(Sha256::digest(seed));
    let response = format!(
        "{{\"enc-request\":\"{}\",\"wrapped-key\":\"{}\"}}",
        STANDARD.encode(noise(&format!("{seed} request"), 65)),
        STANDARD.encode(noise(&format!("{seed} key"), 48))
    );
    let mut fields = Vec::new();
    for (key, value) in [
        ("com.apple.wkms.fcs-response", response.as_str()),
        ("com.apple.wkms.fcs-key-url", &format!("https://wkms-public.apple.com/fcs-keys/{id}")),
    ] {
        let length = (4 + key.len() + 1 + value.len()) as u32;
        fields.extend_from_slice(&length.to_le_bytes());
        fields.extend_from_slice(key.as_bytes());
        fields.push(0);
        fields.extend_from_slice(value.as_bytes());
    }
    let mut head = b"AEA1\x01\0\0\0".to_vec();
    head.extend_from_slice(&(fields.len() as u32).to_le_bytes());
    head.extend_from_slice(&fields);
    head
}

/// A cryptex image: encrypted where the system's images are.
pub(super) fn disk_image(seed: &str, encrypted: bool, length: usize) -> Vec<u8> {
    let mut bytes = noise(seed, length);
    if encrypted {
        let head = archive_head(seed);
        bytes[..head.len()].copy_from_slice(&head);
    }
    bytes
}

/// A firmware table: parts of one chip in one file.
pub(super) fn ftab(tag: [u8; 4], parts: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    let number = |n: usize| (n as u32).to_le_bytes();
    let mut out = Vec::new();
    out.extend_from_slice(&1u32.to_le_bytes());
    out.extend_from_slice(&u32::MAX.to_le_bytes());
    out.extend_from_slice(&[0; 24]);
    out.extend_from_slice(&tag);
    out.extend_from_slice(b"ftab");
    out.extend_from_slice(&number(parts.len()));
    out.extend_from_slice(&[0; 4]);
    let mut at = out.len() + parts.len() * 16;
    for (tag, bytes) in parts {
        out.extend_from_slice(tag);
        out.extend_from_slice(&number(at));
        out.extend_from_slice(&number(bytes.len()));
        out.extend_from_slice(&[0; 4]);
        at += bytes.len();
    }
    parts.iter().for_each(|(_, bytes)| out.extend_from_slice(bytes));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_its_size_and_its_head_whatever_the_size() {
        for (size, encrypted) in [(1 << 20, false), ((1 << 20) + 7, true), (3_000_000, false)] {
            let image = RootImage::new(size, encrypted, "iPhone14,5", "27.0.1", "24A446");
            let mut bytes = Vec::new();
            image.write_to(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, size);
            assert_eq!(bytes.starts_with(b"AEA1"), encrypted);
            let head = String::from_utf8_lossy(&bytes[..64 << 10]);
            assert!(head.contains("<key>ProductBuildVersion</key><string>24A446</string>"));
            assert_eq!(bytes[bytes.len() - 512..].starts_with(b"koly"), !encrypted);
            assert_eq!(image.digest(crate::wire::img4::Algorithm::Sha1)[..], sha1::Sha1::digest(&bytes)[..]);
        }
    }

    #[test]
    fn noise_depends_on_its_seed_only() {
        assert_eq!(noise("a", 70_000), noise("a", 70_000));
        assert_ne!(noise("a", 100), noise("b", 100));
        assert_eq!(noise("a", 0).len(), 0);
    }

    #[test]
    fn parts_of_a_table_lie_where_it_says() {
        let table = ftab(*b"rkos", &[(*b"rkos", vec![1; 10]), (*b"sbd1", vec![2; 5])]);
        assert_eq!(&table[32..40], b"rkosftab");
        let number = |at: usize| u32::from_le_bytes(table[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(number(40), 2);
        assert_eq!(&table[64..68], b"sbd1");
        let (offset, length) = (number(68), number(72));
        assert_eq!(table[offset..offset + length], [2; 5]);
        assert_eq!(table.len(), offset + length);
    }
}
