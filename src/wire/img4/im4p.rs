//! IM4P: a payload with a fourcc, as an IPSW ships it.
//!
//! `SEQUENCE { "IM4P", fourcc, description, OCTETS payload, [OCTETS keybag], [SEQUENCE compression], ... }`.
//! Later systems append more elements (payload properties); they are skipped but stay in the bytes.

use super::der::{self, IA5, INTEGER, OCTETS, Reader, SEQUENCE, unsigned};
use super::{Algorithm, MAX_IMAGE, WireError};

const WHAT: &str = "IM4P";

/// How the payload is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// 0 LZSS, 1 LZFSE.
    pub algorithm: u64,
    /// Bytes once unpacked.
    pub size: u64,
}

#[derive(Clone, Debug)]
pub struct Im4p<'a> {
    pub fourcc: [u8; 4],
    /// What the maker wrote, e.g. `iBoot-11881.1.1`; may be empty.
    pub version: &'a str,
    pub payload: &'a [u8],
    /// Wrapped keys of an encrypted payload.
    pub keybag: Option<&'a [u8]>,
    pub compression: Option<Compression>,
    /// All of it, DER.
    pub whole: &'a [u8],
    fourcc_offset: usize,
}

impl<'a> Im4p<'a> {
    /// # Errors
    /// When the bytes are not one whole IM4P, or exceed [`MAX_IMAGE`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        if bytes.len() > MAX_IMAGE {
            return Err(WireError::TooLong { what: WHAT, length: bytes.len() as u64, cap: MAX_IMAGE as u64 });
        }
        let mut outer = Reader::new(WHAT, bytes);
        let sequence = outer.expect(SEQUENCE)?;
        outer.end()?;
        let mut inner = sequence.inside(WHAT);
        inner.magic(b"IM4P")?;
        let fourcc = inner.word()?;
        let fourcc_offset = bytes.len() - inner.remaining() - 4;
        let version = std::str::from_utf8(inner.expect(IA5)?.value)
            .map_err(|_| WireError::malformed(WHAT, "its description is no text"))?;
        let payload = inner.expect(OCTETS)?.value;
        let (mut keybag, mut compression) = (None, None);
        while let Some(more) = inner.next()? {
            if more.tag == OCTETS && !more.value.is_empty() {
                keybag = Some(more.value);
            } else if more.tag == SEQUENCE {
                let mut numbers = more.inside(WHAT);
                let algorithm = unsigned(numbers.expect(INTEGER)?.value);
                let size = unsigned(numbers.expect(INTEGER)?.value);
                compression = algorithm.zip(size).map(|(algorithm, size)| Compression { algorithm, size });
            }
        }
        Ok(Im4p { fourcc, version, payload, keybag, compression, whole: bytes, fourcc_offset })
    }

    /// Where the four bytes of the fourcc are.
    pub fn fourcc_offset(&self) -> usize {
        self.fourcc_offset
    }

    /// Makes an IM4P without keybag.
    pub fn build(fourcc: [u8; 4], version: &str, payload: &[u8], compression: Option<Compression>) -> Vec<u8> {
        let mut before = Vec::new();
        der::text(&mut before, b"IM4P");
        der::text(&mut before, &fourcc);
        der::text(&mut before, version.as_bytes());
        der::head(&mut before, OCTETS, payload.len());
        let mut after = Vec::new();
        if let Some(compression) = compression {
            der::container(&mut after, SEQUENCE, |out| {
                der::integer(out, compression.algorithm);
                der::integer(out, compression.size);
            });
        }
        let mut out = Vec::with_capacity(before.len() + payload.len() + after.len() + 8);
        der::head(&mut out, SEQUENCE, before.len() + payload.len() + after.len());
        out.extend_from_slice(&before);
        out.extend_from_slice(payload);
        out.extend_from_slice(&after);
        out
    }
}

/// The same IM4P under another fourcc.
///
/// # Errors
/// When the bytes are no IM4P.
pub fn with_fourcc(im4p: &[u8], fourcc: [u8; 4]) -> Result<Vec<u8>, WireError> {
    let at = Im4p::parse(im4p)?.fourcc_offset;
    let mut out = im4p.to_vec();
    out[at..at + 4].copy_from_slice(&fourcc);
    Ok(out)
}

/// The digest that a manifest has for a component: over the IM4P as it is sent, so after its fourcc is changed.
///
/// # Errors
/// When the bytes are no IM4P.
pub fn digest_with_fourcc(im4p: &[u8], fourcc: Option<[u8; 4]>, algorithm: Algorithm) -> Result<Vec<u8>, WireError> {
    let parsed = Im4p::parse(im4p)?;
    let at = parsed.fourcc_offset;
    Ok(algorithm.digest(&[&im4p[..at], &fourcc.unwrap_or(parsed.fourcc), &im4p[at + 4..]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_and_read() {
        let packed = Compression { algorithm: 1, size: 70_000 };
        for size in [0, 1, 127, 128, 255, 256, 70_000] {
            let payload = vec![0xA5; size];
            let bytes = Im4p::build(*b"ibss", "iBoot-1", &payload, Some(packed));
            let im4p = Im4p::parse(&bytes).unwrap();
            assert_eq!((im4p.fourcc, im4p.version, im4p.payload), (*b"ibss", "iBoot-1", &payload[..]));
            assert_eq!(im4p.compression, Some(packed));
            assert_eq!(&bytes[im4p.fourcc_offset()..][..4], b"ibss");
        }
    }

    #[test]
    fn the_digest_is_that_of_the_renamed_bytes() {
        let bytes = Im4p::build(*b"krnl", "", &[1; 999], None);
        let renamed = with_fourcc(&bytes, *b"rkrn").unwrap();
        assert_eq!(Im4p::parse(&renamed).unwrap().fourcc, *b"rkrn");
        let digest = digest_with_fourcc(&bytes, Some(*b"rkrn"), Algorithm::Sha384).unwrap();
        assert_eq!(digest, Algorithm::Sha384.digest(&[&renamed]));
        assert_ne!(digest, digest_with_fourcc(&bytes, None, Algorithm::Sha384).unwrap());
        assert_eq!(digest_with_fourcc(&bytes, None, Algorithm::Sha1).unwrap().len(), 20);
    }
}
