//! IMG4: the signed containers of every device since A7.
//!
//! An IPSW ships IM4P (payload with a fourcc). TSS answers with an IM4M (the ticket: who it is for, and the
//! digest of every component). What a device boots is IMG4 = IM4P + IM4M (+ IM4R, properties made on the
//! host). Decisions:
//! - An IM4P is passed on as it was shipped; only the four bytes of its fourcc change where a Restore
//!   variant shares its file with the installed one. So digests stay those of the manifest.
//! - Reading borrows (payloads reach 100 MB); an IM4M is small and owned.
//! - Nothing here judges a signature: the device does. The bench and the tool ask [`Im4m`] whether it is
//!   for this ECID, this nonce and these bytes.

pub(crate) mod der;
mod fourcc;
mod im4m;
mod im4p;

pub use fourcc::{fourcc, restore_fourcc};
pub use im4m::{Im4m, Im4mComponent, Im4mFields, Property};
pub use im4p::{Compression, Im4p, digest_with_fourcc, with_fourcc};

use super::WireError;
use der::{Reader, SEQUENCE, Tag};

/// Largest IM4P or IMG4 that is read or made here: restore RAM disks stay under 300 MB.
pub const MAX_IMAGE: usize = 1 << 30;

/// What a manifest's digests are made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// 20 bytes: A7 to A9X.
    Sha1,
    /// 32 bytes: a few accessory parts.
    Sha256,
    /// 48 bytes: A10 and later.
    Sha384,
}

impl Algorithm {
    /// By the length of a digest in bytes.
    pub fn by_length(bytes: usize) -> Option<Self> {
        match bytes {
            20 => Some(Algorithm::Sha1),
            32 => Some(Algorithm::Sha256),
            48 => Some(Algorithm::Sha384),
            _ => None,
        }
    }

    /// The digest of some parts, one after the other.
    pub fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        fn all<D: sha2::Digest>(parts: &[&[u8]]) -> Vec<u8> {
            let mut digest = D::new();
            parts.iter().for_each(|part| digest.update(part));
            digest.finalize().to_vec()
        }
        match self {
            Algorithm::Sha1 => all::<sha1::Sha1>(parts),
            Algorithm::Sha256 => all::<sha2::Sha256>(parts),
            Algorithm::Sha384 => all::<sha2::Sha384>(parts),
        }
    }
}

/// A fourcc as text, for people: unprintable bytes become dots.
pub fn word(fourcc: [u8; 4]) -> String {
    fourcc.iter().map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '.' }).collect()
}

/// A whole container as it goes to a device.
#[derive(Clone, Debug)]
pub struct Img4<'a> {
    pub im4p: Im4p<'a>,
    /// The ticket, DER.
    pub im4m: &'a [u8],
    /// Properties of the host, DER of the IM4R sequence.
    pub im4r: Option<&'a [u8]>,
}

impl<'a> Img4<'a> {
    /// # Errors
    /// When the bytes are not one whole IMG4 with a payload and a ticket.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        const WHAT: &str = "IMG4";
        if bytes.len() > MAX_IMAGE {
            return Err(WireError::TooLong { what: WHAT, length: bytes.len() as u64, cap: MAX_IMAGE as u64 });
        }
        let mut outer = Reader::new(WHAT, bytes);
        let mut inner = outer.expect(SEQUENCE)?.inside(WHAT);
        outer.end()?;
        inner.magic(b"IMG4")?;
        let im4p = Im4p::parse(inner.expect(SEQUENCE)?.whole)?;
        let mut ticket = inner.expect(Tag::context(0))?.inside(WHAT);
        let im4m = ticket.expect(SEQUENCE)?.whole;
        ticket.end()?;
        let im4r = match inner.is_empty() {
            true => None,
            false => {
                let mut properties = inner.expect(Tag::context(1))?.inside(WHAT);
                let whole = properties.expect(SEQUENCE)?.whole;
                properties.end()?;
                Some(whole)
            }
        };
        inner.end()?;
        Ok(Img4 { im4p, im4m, im4r })
    }
}

/// Makes the IMG4 of a component: its IM4P as shipped (with another fourcc where given), the ticket, and
/// the host's properties (DER of an IM4R sequence, see [`im4r`]).
///
/// # Errors
/// When the payload is no IM4P or the ticket no DER sequence.
pub fn stitch(
    im4p: &[u8],
    restore_fourcc: Option<[u8; 4]>,
    im4m: &[u8],
    im4r: Option<&[u8]>,
) -> Result<Vec<u8>, WireError> {
    let parsed = Im4p::parse(im4p)?;
    let mut check = Reader::new("IM4M", im4m);
    check.expect(SEQUENCE)?;
    check.end()?;
    let mut magic = Vec::new();
    der::text(&mut magic, b"IMG4");
    let mut tail = Vec::new();
    der::element(&mut tail, Tag::context(0), im4m);
    if let Some(im4r) = im4r {
        der::element(&mut tail, Tag::context(1), im4r);
    }
    let mut out = Vec::with_capacity(im4p.len() + tail.len() + 32);
    der::head(&mut out, SEQUENCE, magic.len() + im4p.len() + tail.len());
    out.extend_from_slice(&magic);
    let start = out.len();
    out.extend_from_slice(im4p);
    if let Some(fourcc) = restore_fourcc {
        let at = start + parsed.fourcc_offset();
        out[at..at + 4].copy_from_slice(&fourcc);
    }
    out.extend_from_slice(&tail);
    Ok(out)
}

/// Makes an IM4R of properties such as `snid`, `anid` (numbers) or `ucon`, `ucer` (bytes).
pub fn im4r(properties: &[([u8; 4], Property)]) -> Vec<u8> {
    let mut out = Vec::new();
    der::container(&mut out, SEQUENCE, |out| {
        der::text(out, b"IM4R");
        der::container(out, der::SET, |out| properties.iter().for_each(|(name, value)| value.write(out, *name)));
    });
    out
}

/// The properties of an IM4R.
///
/// # Errors
/// When the bytes are none, or one name is in it twice.
pub fn im4r_properties(bytes: &[u8]) -> Result<std::collections::BTreeMap<[u8; 4], Property>, WireError> {
    let mut outer = Reader::new("IM4R", bytes);
    let mut inner = outer.expect(SEQUENCE)?.inside("IM4R");
    outer.end()?;
    inner.magic(b"IM4R")?;
    let set = inner.expect(der::SET)?;
    inner.end()?;
    im4m::properties(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> (Vec<u8>, Vec<u8>) {
        let im4p = Im4p::build(*b"krnl", "kernel-1", &[7; 300], None);
        let fields = Im4mFields { ecid: 0x1234_5678_9ABC, chip: 0x8110, ..Im4mFields::default() };
        (im4p, Im4m::build(&fields, |_| vec![1, 2, 3], &[]))
    }

    #[test]
    fn a_stitched_component_comes_apart_again() {
        let (im4p, im4m) = sample();
        let properties = im4r(&[(*b"snid", Property::Int(2)), (*b"ucon", Property::Bytes(vec![9; 5]))]);
        let img4 = stitch(&im4p, Some(*b"rkrn"), &im4m, Some(&properties)).unwrap();
        let parts = Img4::parse(&img4).unwrap();
        assert_eq!(parts.im4p.fourcc, *b"rkrn");
        assert_eq!(parts.im4p.payload, [7; 300]);
        assert_eq!(parts.im4m, im4m);
        assert_eq!(parts.im4r, Some(&properties[..]));
        let read = im4r_properties(&properties).unwrap();
        assert_eq!((read[b"snid"].int(), read[b"ucon"].bytes()), (Some(2), Some(&[9; 5][..])));
        assert!((0..properties.len()).all(|length| im4r_properties(&properties[..length]).is_err()));
        let as_shipped = stitch(&im4p, None, &im4m, None).unwrap();
        assert_eq!(Img4::parse(&as_shipped).unwrap().im4p.whole, im4p);
        assert!(stitch(b"nonsense", None, &im4m, None).is_err());
        assert!(stitch(&im4p, None, b"nonsense", None).is_err());
    }

    #[test]
    fn every_cut_is_an_error() {
        let (im4p, im4m) = sample();
        let img4 = stitch(&im4p, None, &im4m, None).unwrap();
        for length in 0..img4.len() {
            assert!(Img4::parse(&img4[..length]).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Img4::parse(&bytes);
            let _ = Im4p::parse(&bytes);
            let _ = Im4m::parse(&bytes);
            let _ = im4r_properties(&bytes);
            let _ = with_fourcc(&bytes, *b"abcd");
        }

        #[test]
        fn no_flipped_byte_panics(at in 0_usize..700, to in any::<u8>()) {
            let (im4p, im4m) = sample();
            let mut img4 = stitch(&im4p, None, &im4m, None).unwrap();
            let at = at % img4.len();
            img4[at] = to;
            if let Ok(parts) = Img4::parse(&img4) {
                let _ = Im4m::parse(parts.im4m);
            }
        }
    }
}
