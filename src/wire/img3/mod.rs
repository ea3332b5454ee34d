//! IMG3: the boot containers of iPhone 3GS to 5c (and iPads and iPods of that time).
//!
//! A file is a header of 20 bytes and a row of tags, all numbers little-endian, all names written backwards
//! (`3gmI`, `ATAD`). The header holds the whole length, the length of all tags, the length of the tags
//! before the signature, and the type (`ibss`). A tag holds its whole length with padding, and that of its data.
//!
//! How such a device is served, and how sure that is:
//! - TSS answers with one `APTicket` for the whole boot, and with a `Blob` for some components. A component
//!   with a Blob gets it in place of its signature; every other one goes as shipped, and the device finds its
//!   digest in the ticket. (Seen: logs of iPhone 4 and 5. From iOS 5 on only what a ROM loads has a Blob: iBSS and
//!   LLB are the only ones with a `PartialDigest` in the manifests of 8.4.1 and 10.3.4.)
//! - A Blob is the tags ECID (64 bytes whole, 8 of data), SHSH (128 of data) and CERT, in this order. Its CERT
//!   has an odd length, so tags are not aligned to anything. (Seen: answers of TSS for iPhone 4 and 5.)
//! - The ticket's second element is a set in which context tag 1 is the ECID (little-endian) and tag 18 the
//!   nonce. (From tools that read saved tickets; a ticket without a nonce exists.) See [`ApTicket`].
//! - `PartialDigest`: 28 bytes. First a 64, the length of the ECID tag that the signer adds; then a length; then
//!   20 bytes, by their place an unfinished SHA-1. (The length is 56 above a multiple of 64 in all four samples; over
//!   which bytes is not known.) It is passed on and never computed here.
//! - `Digest` is a SHA-1 that leaves the signature out: from byte 12 to SHSH, says the public description.
//!   No real file was at hand to prove it, so a device's file is never refused for it; [`Img3::digest`] is what
//!   the bench signs.

mod ticket;

pub use ticket::ApTicket;

use super::WireError;

const WHAT: &str = "IMG3";
/// As it stands in a file.
pub const MAGIC: [u8; 4] = *b"3gmI";
pub const HEADER: usize = 20;
const TAG_HEADER: usize = 12;
/// Most bytes that are read or made here. Ramdisks of the time have 20 MB.
pub const MAX_IMAGE: usize = 256 << 20;
/// Real files have about ten.
const MAX_TAGS: usize = 64;
/// A Blob has about 2.2 KB.
const MAX_BLOB: usize = 64 << 10;
/// Length of an ECID tag with its padding.
const ECID_TAG: usize = 64;

/// The first 20 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Of the whole file.
    pub full: u32,
    /// Of all tags.
    pub content: u32,
    /// Of the tags before the signature.
    pub signed: u32,
    /// In reading order, e.g. `ibss`.
    pub kind: [u8; 4],
}

impl Header {
    /// # Errors
    /// When it is cut, has another magic, or its lengths contradict each other.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.get(..4) != Some(&MAGIC) {
            return Err(WireError::malformed(WHAT, "no IMG3 header"));
        }
        let header = Header {
            full: number(bytes, 4)?,
            content: number(bytes, 8)?,
            signed: number(bytes, 12)?,
            kind: number(bytes, 16)?.to_be_bytes(),
        };
        if header.full as usize > MAX_IMAGE {
            return Err(WireError::TooLong { what: WHAT, length: header.full.into(), cap: MAX_IMAGE as u64 });
        }
        let end = u64::from(header.content) + HEADER as u64;
        if end > header.full.into() || header.signed > header.content {
            return Err(WireError::malformed(WHAT, "lengths that contradict each other"));
        }
        Ok(header)
    }
}

/// One tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag<'a> {
    /// In reading order, e.g. `DATA`.
    pub name: [u8; 4],
    /// With head and padding.
    pub whole: &'a [u8],
    pub data: &'a [u8],
}

/// A parsed file. Reading borrows.
#[derive(Clone, Debug)]
pub struct Img3<'a> {
    pub header: Header,
    pub tags: Vec<Tag<'a>>,
    bytes: &'a [u8],
}

impl<'a> Img3<'a> {
    /// # Errors
    /// When a length leads out of the bytes, or the signed part does not end where a tag does.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let header = Header::parse(bytes)?;
        if header.full as usize > bytes.len() {
            return Err(WireError::Short { what: WHAT });
        }
        let content = bytes.get(HEADER..HEADER + header.content as usize).ok_or(WireError::Short { what: WHAT })?;
        let tags = tags(content)?;
        let mut at = 0;
        let ends = tags.iter().any(|tag| {
            at += tag.whole.len();
            at == header.signed as usize
        });
        // Zero stands in files that were never signed.
        if header.signed != 0 && !ends {
            return Err(WireError::malformed(WHAT, "the signed part ends inside a tag"));
        }
        Ok(Img3 { header, tags, bytes })
    }

    pub fn tag(&self, name: &[u8; 4]) -> Option<&Tag<'a>> {
        self.tags.iter().find(|tag| &tag.name == name)
    }

    /// Whom it was signed for.
    pub fn ecid(&self) -> Option<u64> {
        Some(u64::from_le_bytes(self.tag(b"ECID")?.data.get(..8)?.try_into().ok()?))
    }

    /// What its maker wrote, e.g. `iBoot-3406.60.10`: a length and a text. (From public readers.)
    pub fn version(&self) -> Option<String> {
        let data = self.tag(b"VERS")?.data;
        let text = data.get(4..)?.get(..number(data, 0).ok()? as usize)?;
        Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned())
    }

    /// SHA-1 of what a signature covers: from the header's third number to the signature.
    pub fn digest(&self) -> Vec<u8> {
        let signed = self.bytes.get(12..HEADER + self.header.signed as usize).unwrap_or_default();
        super::img4::Algorithm::Sha1.digest(&[signed])
    }
}

fn number(bytes: &[u8], at: usize) -> Result<u32, WireError> {
    let four: Option<[u8; 4]> = bytes.get(at..at + 4).and_then(|b| b.try_into().ok());
    four.map(u32::from_le_bytes).ok_or(WireError::Short { what: WHAT })
}

/// The tags that fill `bytes` to the end.
fn tags(mut bytes: &[u8]) -> Result<Vec<Tag<'_>>, WireError> {
    let mut list = Vec::new();
    while !bytes.is_empty() {
        if list.len() == MAX_TAGS {
            return Err(WireError::malformed(WHAT, "more tags than any file has"));
        }
        let (full, length) = (number(bytes, 4)? as usize, number(bytes, 8)? as usize);
        if full < TAG_HEADER || length > full - TAG_HEADER {
            return Err(WireError::malformed(WHAT, "a tag that is shorter than its data"));
        }
        let whole = bytes.get(..full).ok_or(WireError::Short { what: WHAT })?;
        let data = whole.get(TAG_HEADER..TAG_HEADER + length).ok_or(WireError::Short { what: WHAT })?;
        list.push(Tag { name: number(bytes, 0)?.to_be_bytes(), whole, data });
        bytes = bytes.get(full..).unwrap_or_default();
    }
    Ok(list)
}

fn is_signature(tag: &Tag<'_>) -> bool {
    matches!(&tag.name, b"ECID" | b"SHSH" | b"CERT")
}

/// Puts TSS's `Blob` of a component in place of the signature that it was shipped with.
///
/// # Errors
/// When the image is no IMG3, or the Blob is not ECID, SHSH and CERT.
pub fn personalise(image: &[u8], blob: &[u8]) -> Result<Vec<u8>, WireError> {
    let parsed = Img3::parse(image)?;
    if blob.len() > MAX_BLOB {
        return Err(WireError::TooLong { what: "Blob", length: blob.len() as u64, cap: MAX_BLOB as u64 });
    }
    let signature = tags(blob)?;
    if signature.iter().map(|tag| &tag.name).ne([b"ECID", b"SHSH", b"CERT"]) {
        return Err(WireError::malformed("Blob", "not ECID, SHSH and CERT"));
    }
    // Where it was, or at the end.
    let place = parsed.tags.iter().position(is_signature).unwrap_or(parsed.tags.len());
    let (before, after) = parsed.tags.split_at_checked(place).unwrap_or((&parsed.tags, &[]));
    let rest = after.iter().filter(|tag| !is_signature(tag));
    let row: Vec<&[u8]> = before.iter().chain(&signature).chain(rest).map(|tag| tag.whole).collect();
    let ecid = signature.first().map_or(0, |tag| tag.whole.len());
    let signed = before.iter().map(|tag| tag.whole.len()).sum::<usize>() + ecid;
    write(parsed.header.kind, &row, signed)
}

/// For whom a `Blob` was made.
pub fn ecid_of_blob(blob: &[u8]) -> Option<u64> {
    let list = tags(blob.get(..blob.len().min(MAX_BLOB))?).ok()?;
    let tag = list.iter().find(|tag| &tag.name == b"ECID")?;
    Some(u64::from_le_bytes(tag.data.get(..8)?.try_into().ok()?))
}

fn write(kind: [u8; 4], row: &[&[u8]], signed: usize) -> Result<Vec<u8>, WireError> {
    let content: usize = row.iter().map(|tag| tag.len()).sum();
    let full = content + HEADER;
    if full > MAX_IMAGE {
        return Err(WireError::TooLong { what: WHAT, length: full as u64, cap: MAX_IMAGE as u64 });
    }
    let mut out = Vec::with_capacity(full);
    out.extend_from_slice(&MAGIC);
    for length in [full, content, signed] {
        out.extend_from_slice(&(length as u32).to_le_bytes());
    }
    out.extend(kind.iter().rev());
    row.iter().for_each(|tag| out.extend_from_slice(tag));
    Ok(out)
}

/// Makes a tag of at least `least` bytes; the bench's side.
pub fn tag(name: [u8; 4], data: &[u8], least: usize) -> Vec<u8> {
    let full = (TAG_HEADER + data.len()).max(least);
    let mut out: Vec<u8> = name.iter().rev().copied().collect();
    out.extend_from_slice(&(full as u32).to_le_bytes());
    out.extend_from_slice(&(data.len() as u32).to_le_bytes());
    out.extend_from_slice(data);
    out.resize(full, 0);
    out
}

/// Makes a file as an IPSW has it, with a signature for nobody; the bench's side.
pub fn build(kind: [u8; 4], version: &str, payload: &[u8]) -> Vec<u8> {
    let text = [&(version.len() as u32).to_le_bytes()[..], version.as_bytes()].concat();
    let kind_data: Vec<u8> = kind.iter().rev().copied().collect();
    let body = [
        tag(*b"TYPE", &kind_data, 32),
        tag(*b"DATA", payload, (TAG_HEADER + payload.len()).next_multiple_of(16)),
        tag(*b"VERS", &text, (TAG_HEADER + text.len()).next_multiple_of(4)),
    ];
    let signature = [tag(*b"SHSH", &[0; 128], 0), tag(*b"CERT", &[0; 1909], 0)];
    let signed = body.iter().map(Vec::len).sum();
    let row: Vec<&[u8]> = body.iter().chain(&signature).map(Vec::as_slice).collect();
    write(kind, &row, signed).unwrap_or_default()
}

/// Makes a `Blob`; the bench's side.
pub fn blob(ecid: u64, signature: &[u8; 128], certificate: &[u8]) -> Vec<u8> {
    let ecid = tag(*b"ECID", &ecid.to_le_bytes(), ECID_TAG);
    [ecid, tag(*b"SHSH", signature, 0), tag(*b"CERT", certificate, 0)].concat()
}

#[cfg(test)]
mod tests;
