//! IM4M: the ticket that TSS signs for one device and one nonce.
//!
//! `SEQUENCE { "IM4M", 0, SET { MANB { SET { MANP { properties }, component { DGST EPRO ESEC EKEY .. } .. } } },
//! OCTETS signature, SEQUENCE { certificates } }`. The signature covers the SET. A fourcc that is in no table
//! is kept, so that a newer system's ticket stays readable.

use super::der::{self, BOOLEAN, Element, IA5, INTEGER, OCTETS, Reader, SEQUENCE, SET, Tag, unsigned};
use super::{WireError, word};
use std::collections::BTreeMap;

const WHAT: &str = "IM4M";
/// A ticket of a current phone has 100 components in 20 KiB.
pub const MAX_TICKET: usize = 1 << 20;
const MAX_ENTRIES: usize = 1024;

/// One property of a ticket or of an IM4R.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Property {
    Int(u64),
    Bool(bool),
    Bytes(Vec<u8>),
    Text(String),
    /// DER of something else.
    Other(Vec<u8>),
}

impl Property {
    pub(super) fn write(&self, out: &mut Vec<u8>, name: [u8; 4]) {
        der::container(out, Tag::fourcc(name), |out| {
            der::container(out, SEQUENCE, |out| {
                der::text(out, &name);
                match self {
                    Property::Int(value) => der::integer(out, *value),
                    Property::Bool(value) => der::boolean(out, *value),
                    Property::Bytes(value) => der::element(out, OCTETS, value),
                    Property::Text(value) => der::text(out, value.as_bytes()),
                    Property::Other(value) => out.extend_from_slice(value),
                }
            });
        });
    }

    fn of(element: &Element<'_>) -> Self {
        let other = || Property::Other(element.whole.to_vec());
        match element.tag {
            INTEGER => unsigned(element.value).map_or_else(other, Property::Int),
            BOOLEAN => Property::Bool(element.value.iter().any(|b| *b != 0)),
            OCTETS => Property::Bytes(element.value.to_vec()),
            IA5 => String::from_utf8(element.value.to_vec()).map_or_else(|_| other(), Property::Text),
            _ => other(),
        }
    }

    pub fn int(&self) -> Option<u64> {
        if let Property::Int(value) = self { Some(*value) } else { None }
    }

    pub fn bool(&self) -> Option<bool> {
        if let Property::Bool(value) = self { Some(*value) } else { None }
    }

    pub fn bytes(&self) -> Option<&[u8]> {
        if let Property::Bytes(value) = self { Some(value) } else { None }
    }
}

/// What the ticket allows of one component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Im4mComponent {
    /// Empty when the ticket has none.
    pub digest: Vec<u8>,
    pub epro: Option<bool>,
    pub esec: Option<bool>,
    pub ekey: Option<bool>,
    /// Everything else, e.g. `tbms`.
    pub other: BTreeMap<[u8; 4], Property>,
}

/// What goes into a ticket. Lengths in bytes: `ap_nonce` 20 or 32, `sep_nonce` 20.
#[derive(Clone, Debug, Default)]
pub struct Im4mFields {
    pub ecid: u64,
    pub chip: u64,
    pub board: u64,
    pub security_domain: u64,
    pub production: bool,
    pub security_mode: bool,
    pub ap_nonce: Vec<u8>,
    pub sep_nonce: Option<Vec<u8>>,
    /// More properties of the manifest, e.g. `srvn`, `love`.
    pub other: BTreeMap<[u8; 4], Property>,
    pub components: BTreeMap<[u8; 4], Im4mComponent>,
}

/// A ticket as read.
#[derive(Clone, Debug)]
pub struct Im4m {
    pub ecid: Option<u64>,
    pub chip: Option<u64>,
    pub board: Option<u64>,
    pub security_domain: Option<u64>,
    pub production: Option<bool>,
    pub security_mode: Option<bool>,
    /// BNCH.
    pub ap_nonce: Option<Vec<u8>>,
    /// snon.
    pub sep_nonce: Option<Vec<u8>>,
    /// All properties of the manifest, those above too.
    pub properties: BTreeMap<[u8; 4], Property>,
    pub components: BTreeMap<[u8; 4], Im4mComponent>,
    /// What the signature covers, DER.
    pub signed: Vec<u8>,
    pub signature: Vec<u8>,
    /// Certificates, DER, one after the other.
    pub certificates: Vec<u8>,
    pub raw: Vec<u8>,
}

impl Im4m {
    /// # Errors
    /// When the bytes are not one whole IM4M, or exceed [`MAX_TICKET`]. Signature and certificates may be
    /// missing: the local tickets of a stashbag have none.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > MAX_TICKET {
            return Err(WireError::TooLong { what: WHAT, length: bytes.len() as u64, cap: MAX_TICKET as u64 });
        }
        let mut outer = Reader::new(WHAT, bytes);
        let mut inner = outer.expect(SEQUENCE)?.inside(WHAT);
        outer.end()?;
        inner.magic(b"IM4M")?;
        inner.expect(INTEGER)?;
        let set = inner.expect(SET)?;
        let (mut signature, mut certificates) = (Vec::new(), Vec::new());
        if !inner.is_empty() {
            signature = inner.expect(OCTETS)?.value.to_vec();
            certificates = inner.expect(SEQUENCE)?.value.to_vec();
        }
        inner.end()?;

        let mut bodies = set.inside(WHAT);
        let body = named(bodies.expect(Tag::fourcc(*b"MANB"))?)?.1;
        let mut ticket = Im4m {
            ecid: None,
            chip: None,
            board: None,
            security_domain: None,
            production: None,
            security_mode: None,
            ap_nonce: None,
            sep_nonce: None,
            properties: BTreeMap::new(),
            components: BTreeMap::new(),
            signed: set.whole.to_vec(),
            signature,
            certificates,
            raw: bytes.to_vec(),
        };
        let mut entries = entries(body)?;
        while let Some(entry) = entries.next()? {
            let (name, value) = named(entry)?;
            let properties = properties(value)?;
            if name == *b"MANP" {
                ticket.properties.extend(properties);
            } else if ticket.components.insert(name, component(properties)).is_some() {
                return Err(WireError::malformed(WHAT, format!("{} is in it twice", word(name))));
            } else if ticket.components.len() > MAX_ENTRIES {
                return Err(too_many());
            }
        }
        let int = |name: &[u8; 4]| ticket.properties.get(name).and_then(Property::int);
        let bool = |name: &[u8; 4]| ticket.properties.get(name).and_then(Property::bool);
        let data = |name: &[u8; 4]| ticket.properties.get(name).and_then(Property::bytes).map(<[u8]>::to_vec);
        (ticket.ecid, ticket.chip, ticket.board) = (int(b"ECID"), int(b"CHIP"), int(b"BORD"));
        (ticket.security_domain, ticket.production, ticket.security_mode) =
            (int(b"SDOM"), bool(b"CPRO"), bool(b"CSEC"));
        (ticket.ap_nonce, ticket.sep_nonce) = (data(b"BNCH"), data(b"snon"));
        Ok(ticket)
    }

    /// Makes a ticket. `sign` gets the bytes that the signature covers; `certificates` is DER of one or
    /// more certificates.
    pub fn build(fields: &Im4mFields, sign: impl FnOnce(&[u8]) -> Vec<u8>, certificates: &[u8]) -> Vec<u8> {
        let mut properties = fields.other.clone();
        properties.extend([
            (*b"BORD", Property::Int(fields.board)),
            (*b"CEPO", Property::Int(1)),
            (*b"CHIP", Property::Int(fields.chip)),
            (*b"CPRO", Property::Bool(fields.production)),
            (*b"CSEC", Property::Bool(fields.security_mode)),
            (*b"ECID", Property::Int(fields.ecid)),
            (*b"SDOM", Property::Int(fields.security_domain)),
        ]);
        if !fields.ap_nonce.is_empty() {
            properties.insert(*b"BNCH", Property::Bytes(fields.ap_nonce.clone()));
        }
        if let Some(nonce) = &fields.sep_nonce {
            properties.insert(*b"snon", Property::Bytes(nonce.clone()));
        }
        let mut signed = Vec::new();
        der::container(&mut signed, SET, |out| {
            write_named(out, *b"MANB", |out| {
                write_named(out, *b"MANP", |out| properties.iter().for_each(|(name, value)| value.write(out, *name)));
                for (name, component) in &fields.components {
                    write_named(out, *name, |out| write_component(out, component));
                }
            });
        });
        let signature = sign(&signed);
        let mut out = Vec::new();
        der::container(&mut out, SEQUENCE, |out| {
            der::text(out, b"IM4M");
            der::integer(out, 0);
            out.extend_from_slice(&signed);
            der::element(out, OCTETS, &signature);
            der::element(out, SEQUENCE, certificates);
        });
        out
    }

    /// Is this ticket for that device and that boot? `nonce` none where the device gave none.
    pub fn is_for(&self, ecid: u64, nonce: Option<&[u8]>) -> bool {
        self.ecid == Some(ecid) && nonce.is_none_or(|nonce| self.ap_nonce.as_deref() == Some(nonce))
    }
}

fn too_many() -> WireError {
    WireError::TooLong { what: WHAT, length: MAX_ENTRIES as u64 + 1, cap: MAX_ENTRIES as u64 }
}

/// Opens `[private fourcc] SEQUENCE { fourcc, value }`.
fn named(element: Element<'_>) -> Result<([u8; 4], Element<'_>), WireError> {
    let mut outer = element.inside(WHAT);
    let mut inner = outer.expect(SEQUENCE)?.inside(WHAT);
    outer.end()?;
    let name = inner.word()?;
    if element.tag != Tag::fourcc(name) {
        return Err(WireError::malformed(WHAT, format!("{} under another tag", word(name))));
    }
    let value = inner.next()?.ok_or(WireError::Short { what: WHAT })?;
    inner.end()?;
    Ok((name, value))
}

fn entries(value: Element<'_>) -> Result<Reader<'_>, WireError> {
    if value.tag != SET {
        return Err(WireError::malformed(WHAT, "no set where one belongs"));
    }
    Ok(value.inside(WHAT))
}

pub(super) fn properties(value: Element<'_>) -> Result<BTreeMap<[u8; 4], Property>, WireError> {
    let mut found = BTreeMap::new();
    let mut entries = entries(value)?;
    while let Some(entry) = entries.next()? {
        let (name, value) = named(entry)?;
        if found.insert(name, Property::of(&value)).is_some() {
            return Err(WireError::malformed(WHAT, format!("{} is in it twice", word(name))));
        }
        if found.len() > MAX_ENTRIES {
            return Err(too_many());
        }
    }
    Ok(found)
}

fn component(mut properties: BTreeMap<[u8; 4], Property>) -> Im4mComponent {
    let digest = match properties.remove(b"DGST") {
        Some(Property::Bytes(digest)) => digest,
        _ => Vec::new(),
    };
    let mut bool = |name: &[u8; 4]| properties.remove(name).and_then(|value| value.bool());
    let (epro, esec, ekey) = (bool(b"EPRO"), bool(b"ESEC"), bool(b"EKEY"));
    Im4mComponent { digest, epro, esec, ekey, other: properties }
}

fn write_named(out: &mut Vec<u8>, name: [u8; 4], fill: impl FnOnce(&mut Vec<u8>)) {
    der::container(out, Tag::fourcc(name), |out| {
        der::container(out, SEQUENCE, |out| {
            der::text(out, &name);
            der::container(out, SET, fill);
        });
    });
}

fn write_component(out: &mut Vec<u8>, component: &Im4mComponent) {
    if !component.digest.is_empty() {
        Property::Bytes(component.digest.clone()).write(out, *b"DGST");
    }
    for (name, value) in [(*b"EKEY", component.ekey), (*b"EPRO", component.epro), (*b"ESEC", component.esec)] {
        if let Some(value) = value {
            Property::Bool(value).write(out, name);
        }
    }
    component.other.iter().for_each(|(name, value)| value.write(out, *name));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_says_whom_it_is_for() {
        let component =
            Im4mComponent { digest: vec![3; 48], epro: Some(true), esec: Some(false), ..Im4mComponent::default() };
        let fields = Im4mFields {
            ecid: 0x8000_1234_5678_9ABC,
            chip: 0x8110,
            board: 0x18,
            security_domain: 1,
            production: true,
            security_mode: true,
            ap_nonce: vec![1; 32],
            sep_nonce: Some(vec![2; 20]),
            other: BTreeMap::from([(*b"love", Property::Text("24.1.446.0.0,0".into()))]),
            components: BTreeMap::from([(*b"ibss", component.clone()), (*b"OS\0\0", component.clone())]),
        };
        let mut covered = Vec::new();
        let bytes = Im4m::build(
            &fields,
            |signed| {
                covered = signed.to_vec();
                vec![0xEE; 96]
            },
            &[0x30, 0],
        );
        let ticket = Im4m::parse(&bytes).unwrap();
        assert!(ticket.is_for(fields.ecid, Some(&[1; 32])));
        assert!(!ticket.is_for(fields.ecid, Some(&[0; 32])));
        assert!(!ticket.is_for(1, None));
        assert_eq!((ticket.chip, ticket.board, ticket.security_domain), (Some(0x8110), Some(0x18), Some(1)));
        assert_eq!((ticket.production, ticket.security_mode), (Some(true), Some(true)));
        assert_eq!(ticket.sep_nonce.as_deref(), Some(&[2; 20][..]));
        assert_eq!(ticket.components[b"ibss"], component);
        assert_eq!(ticket.components[b"OS\0\0"], component);
        assert_eq!(ticket.properties[b"love"], Property::Text("24.1.446.0.0,0".into()));
        assert_eq!((ticket.signed, ticket.signature), (covered, vec![0xEE; 96]));
        assert_eq!(ticket.certificates, [0x30, 0]);
    }

    #[test]
    fn a_component_twice_is_refused() {
        let fields = Im4mFields::default();
        let mut bytes = Im4m::build(&fields, |_| Vec::new(), &[]);
        assert!(Im4m::parse(&bytes).is_ok());
        bytes.push(0);
        assert!(Im4m::parse(&bytes).is_err());
        let mut twice = Vec::new();
        der::container(&mut twice, SET, |out| {
            Property::Int(1).write(out, *b"ECID");
            Property::Int(2).write(out, *b"ECID");
        });
        let set = Reader::new(WHAT, &twice).expect(SET).unwrap();
        assert!(properties(set).is_err());
    }
}
