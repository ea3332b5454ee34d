//! SHA-1 and SHA-256 of firmware, always both, always in one pass.
//!
//! Apple's own list has only SHA-1, the volunteers' lists have SHA-256 for newer files: whatever is known
//! must fit, and both are recorded, so that a file can be found by either later.

use crate::fault::{Code, Fault};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use std::io::Read;

/// What a catalogue says of a file. At least one should be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digests {
    pub sha1: Option<[u8; 20]>,
    pub sha256: Option<[u8; 32]>,
}

impl Digests {
    pub fn is_empty(&self) -> bool {
        self.sha1.is_none() && self.sha256.is_none()
    }

    /// The digest that the file has and the catalogue denies, as a sentence; none when all known ones fit.
    pub fn denied_by(&self, sums: &Sums) -> Option<String> {
        if let Some(sha256) = self.sha256.filter(|d| *d != sums.sha256) {
            return Some(format!("SHA-256 is {}, the catalogue says {}", hex(&sums.sha256), hex(&sha256)));
        }
        let sha1 = self.sha1.filter(|d| *d != sums.sha1)?;
        Some(format!("SHA-1 is {}, the catalogue says {}", hex(&sums.sha1), hex(&sha1)))
    }

    /// Could both describe the same file?
    pub(super) fn agree(&self, other: &Digests) -> bool {
        let same256 = self.sha256.zip(other.sha256).map(|(a, b)| a == b);
        let same1 = self.sha1.zip(other.sha1).map(|(a, b)| a == b);
        same256.unwrap_or(true) && same1.unwrap_or(true) && (same256.is_some() || same1.is_some())
    }
}

/// The digests of a whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sums {
    pub sha1: [u8; 20],
    pub sha256: [u8; 32],
    pub size: u64,
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|n| char::from(DIGITS[usize::from(n)])).collect()
}

/// Both digests of `file` from where it stands to `length` bytes further, in one pass. `watch` hears the
/// count of bytes and ends the work by false, which is [`Code::Cancelled`].
pub fn hash_file(file: &mut fs_err::File, length: u64, watch: &mut dyn FnMut(u64) -> bool) -> Result<Sums, Fault> {
    let mut sums = Running::default();
    let mut buffer = vec![0; 1 << 20];
    while sums.size < length {
        let want = usize::try_from(length - sums.size).unwrap_or(usize::MAX).min(buffer.len());
        let count = file.read(&mut buffer[..want]).map_err(|e| Fault::disk(&e))?;
        if count == 0 {
            return Err(Fault::new(Code::DiskError, format!("{} became shorter", file.path().display())));
        }
        sums.update(&buffer[..count]);
        if !watch(sums.size) {
            return Err(Fault::cancelled());
        }
    }
    Ok(sums.finish())
}

#[derive(Clone, Default)]
pub(super) struct Running {
    sha1: Sha1,
    sha256: Sha256,
    pub size: u64,
}

impl Running {
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha1.update(bytes);
        self.sha256.update(bytes);
        self.size += bytes.len() as u64;
    }
    pub fn finish(&self) -> Sums {
        let this = self.clone();
        Sums { sha1: this.sha1.finalize().into(), sha256: this.sha256.finalize().into(), size: self.size }
    }
}

/// Hexadecimal of exactly `N` bytes in either case; none otherwise.
pub fn unhex<const N: usize>(text: Option<&str>) -> Option<[u8; N]> {
    let text = text.filter(|t| t.len() == 2 * N && t.is_ascii())?;
    let mut bytes = [0; N];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(bytes)
}
