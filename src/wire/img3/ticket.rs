//! The APTicket: what an IMG3 device is told to trust for one boot.

use crate::wire::WireError;
use crate::wire::img4::der::{self, INTEGER, OCTETS, Reader, SEQUENCE, SET, Tag};

const WHAT: &str = "APTicket";
/// Real ones have under 3 KB.
const MAX_TICKET: usize = 256 << 10;
/// What stands before an iBEC that a device in DFU takes is a multiple of this.
const BLOCK: usize = 64;

const fn primitive(number: u32) -> Tag {
    Tag { class: 2, constructed: false, number }
}

const ECID: Tag = primitive(1);
const NONCE: Tag = primitive(18);
/// Digests of the bench; where Apple writes hers is not read here.
const DIGESTS: Tag = Tag::context(30);

/// What can be read from one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApTicket {
    pub ecid: Option<u64>,
    /// None: it serves any nonce, as those for a ROM that shows none.
    pub nonce: Option<Vec<u8>>,
    /// SHA-1 of the components in a ticket of the bench; empty in Apple's.
    pub digests: Vec<Vec<u8>>,
}

impl ApTicket {
    /// # Errors
    /// When the bytes are no DER sequence whose second element is a set.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > MAX_TICKET {
            return Err(WireError::TooLong { what: WHAT, length: bytes.len() as u64, cap: MAX_TICKET as u64 });
        }
        let mut outer = Reader::new(WHAT, bytes);
        let mut inner = outer.expect(SEQUENCE)?.inside(WHAT);
        outer.end()?;
        inner.next()?.ok_or(WireError::Short { what: WHAT })?;
        let mut set = inner.expect(SET)?.inside(WHAT);
        let mut ticket = ApTicket::default();
        while let Some(element) = set.next()? {
            if element.tag == ECID {
                let mut whole = [0; 8];
                let place = whole.get_mut(..element.value.len());
                place
                    .ok_or_else(|| WireError::malformed(WHAT, "an ECID of more than 8 bytes"))?
                    .copy_from_slice(element.value);
                ticket.ecid = Some(u64::from_le_bytes(whole));
            } else if element.tag == NONCE {
                ticket.nonce = Some(element.value.to_vec());
            } else if element.tag == DIGESTS {
                let mut digests = element.inside(WHAT);
                while let Some(digest) = digests.next()? {
                    ticket.digests.push(digest.value.to_vec());
                }
            }
        }
        Ok(ticket)
    }

    /// Makes one in the same layout; the bench's side. `sign` gets the bytes of the set.
    pub fn build(&self, sign: impl FnOnce(&[u8]) -> Vec<u8>, certificate: &[u8]) -> Vec<u8> {
        let mut set = Vec::new();
        der::container(&mut set, SET, |out| {
            if let Some(ecid) = self.ecid {
                der::element(out, ECID, &ecid.to_le_bytes());
            }
            if let Some(nonce) = &self.nonce {
                der::element(out, NONCE, nonce);
            }
            der::container(out, DIGESTS, |out| self.digests.iter().for_each(|d| der::element(out, OCTETS, d)));
        });
        let mut out = Vec::new();
        der::container(&mut out, SEQUENCE, |out| {
            der::element(out, INTEGER, &[1]);
            out.extend_from_slice(&set);
            der::element(out, OCTETS, &sign(&set));
            der::element(out, SEQUENCE, certificate);
        });
        out
    }

    /// The ticket as it stands before an iBEC: filled up with FF to a multiple of 64. (From the tool of the field.)
    pub fn padded(bytes: &[u8]) -> Vec<u8> {
        let mut padded = bytes.to_vec();
        padded.resize(bytes.len().next_multiple_of(BLOCK), 0xFF);
        padded
    }
}
