//! A ticket that comes from a file: does it fit the question that Apple would be asked?
//!
//! Files are of three kinds: Apple's answer as Herstel keeps it, what other tools of the field save (`.shsh2`: the
//! same keys among others), and a bare IM4M. Nothing in them is believed. A ticket fits when it is for this ECID, chip
//! and board, for the nonces that the device shows, and names the very digests of the firmware: a phone refuses a
//! component for any of these without a word, so the word is said here.

use crate::fault::{Code, Fault};
use crate::ids::Ecid;
use crate::wire::devicelink::guard::binary_plist;
use crate::wire::img3::ApTicket;
use crate::wire::img4::{Im4m, fourcc};
use crate::wire::manifest::xml;
use plist::{Dictionary, Value};
use std::io::Read;
use std::path::Path;

/// Largest file that is read; a whole answer of Apple stays under 200 KB.
const CAP: usize = 4 << 20;
const WHAT: &str = "ticket";
const IMG4: &str = "ApImg4Ticket";
const IMG3: &str = "APTicket";

/// A person's own ticket, instead of Apple's.
#[derive(Clone, Debug)]
pub struct Brought {
    answer: Dictionary,
}

impl Brought {
    /// # Errors
    /// `disk-…` when the file cannot be read, `ticket-unfit` when no ticket is in it.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let mut bytes = Vec::new();
        let file = fs_err::File::open(path).map_err(|e| Fault::disk(&e))?;
        file.take(CAP as u64 + 1).read_to_end(&mut bytes).map_err(|e| Fault::disk(&e))?;
        Self::parse(&bytes).map_err(|why| unfit(&format!("{}: {why}", path.display())))
    }

    /// # Errors
    /// Why there is no ticket in these bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > CAP {
            return Err(format!("more than {CAP} bytes"));
        }
        if bytes.first() == Some(&0x30) {
            Im4m::parse(bytes).map_err(|err| err.to_string())?;
            let answer = Dictionary::from_iter([(IMG4.to_owned(), Value::Data(bytes.to_vec()))]);
            return Ok(Brought { answer });
        }
        let answer = if bytes.starts_with(b"bplist") {
            let value = binary_plist(bytes).map_err(|err| err.to_string())?;
            value.into_dictionary().ok_or("no dictionary")?
        } else {
            xml::dictionary(WHAT, bytes, CAP).map_err(|err| err.to_string())?
        };
        let has = |key: &str| answer.get(key).and_then(Value::as_data).is_some_and(|der| !der.is_empty());
        if has(IMG4) || has(IMG3) { Ok(Brought { answer }) } else { Err(format!("neither {IMG4} nor {IMG3} in it")) }
    }

    /// What is told before a device is touched: a ticket for another device fits no nonce of this one.
    ///
    /// # Errors
    /// `ticket-unfit`.
    pub fn is_for(&self, ecid: Ecid) -> Result<(), Fault> {
        let request = Dictionary::from_iter([("ApECID".to_owned(), Value::from(ecid.0))]);
        let ticket = Ticket::of(&self.answer).map_err(|why| unfit(&why))?;
        ticket.whose(&request).map_err(|why| unfit(&why).on(ecid))
    }

    /// The answer to `request`, if it is one.
    ///
    /// # Errors
    /// `ticket-unfit`, with what does not fit.
    pub fn answer(&self, request: &Dictionary) -> Result<Dictionary, Fault> {
        fits(request, &self.answer).map_err(|why| unfit(&why))?;
        Ok(self.answer.clone())
    }
}

fn unfit(why: &str) -> Fault {
    Fault::new(Code::TicketUnfit, why)
}

/// Is the answer one to this request of an AP ticket? Compared are what the request binds and what the ticket says.
///
/// # Errors
/// What does not fit.
pub(super) fn fits(request: &Dictionary, answer: &Dictionary) -> Result<(), String> {
    let wanted = if asks(request, IMG4) { IMG4 } else { IMG3 };
    if !asks(request, wanted) {
        return Err("this is no question for a boot ticket".into());
    }
    let ticket = Ticket::of(answer)?;
    if ticket.name != wanted {
        return Err(format!("it is an {}, the device wants an {wanted}", ticket.name));
    }
    ticket.whose(request)?;
    ticket.nonces(request)?;
    ticket.digests(request)
}

fn asks(request: &Dictionary, name: &str) -> bool {
    request.get(&format!("@{name}")).and_then(Value::as_boolean) == Some(true)
}

/// What either form of ticket says.
struct Ticket {
    name: &'static str,
    ecid: Option<u64>,
    chip: Option<u64>,
    board: Option<u64>,
    ap_nonce: Option<Vec<u8>>,
    sep_nonce: Option<Vec<u8>>,
    /// Of every part that it allows. A digest is told apart by itself, so the names of parts need not be known.
    digests: Vec<Vec<u8>>,
}

impl Ticket {
    fn of(answer: &Dictionary) -> Result<Self, String> {
        if let Some(der) = answer.get(IMG4).and_then(Value::as_data) {
            let im4m = Im4m::parse(der).map_err(|err| err.to_string())?;
            return Ok(Ticket {
                name: IMG4,
                ecid: im4m.ecid,
                chip: im4m.chip,
                board: im4m.board,
                ap_nonce: im4m.ap_nonce,
                sep_nonce: im4m.sep_nonce,
                digests: im4m.components.into_values().map(|part| part.digest).collect(),
            });
        }
        let der = answer.get(IMG3).and_then(Value::as_data).ok_or("no ticket in it")?;
        let ticket = ApTicket::parse(der).map_err(|err| err.to_string())?;
        Ok(Ticket {
            name: IMG3,
            ecid: ticket.ecid,
            chip: None,
            board: None,
            ap_nonce: ticket.nonce,
            sep_nonce: None,
            digests: ticket.digests,
        })
    }

    fn whose(&self, request: &Dictionary) -> Result<(), String> {
        let asked = |key: &str| request.get(key).and_then(xml::number);
        let show = |value: Option<u64>| value.map_or_else(|| "none".to_owned(), |v| Ecid(v).to_string());
        if self.ecid != asked("ApECID") {
            return Err(format!("the ticket is for ECID {}, not for {}", show(self.ecid), show(asked("ApECID"))));
        }
        for (what, ours, key) in [("chip", self.chip, "ApChipID"), ("board", self.board, "ApBoardID")] {
            if let (Some(ours), Some(theirs)) = (ours, asked(key))
                && ours != theirs
            {
                return Err(format!("the ticket is for {what} {ours:#x}, not for {theirs:#x}"));
            }
        }
        Ok(())
    }

    fn nonces(&self, request: &Dictionary) -> Result<(), String> {
        let asked = |key: &str| request.get(key).and_then(Value::as_data);
        let nonce = asked("ApNonce");
        // The ROM of an IMG3 device has none, so any ticket of its own will do there.
        if (nonce.is_some() || self.name == IMG4) && self.ap_nonce.as_deref() != nonce {
            return Err("the ticket is for another AP nonce than the device shows".into());
        }
        match (self.sep_nonce.as_deref(), asked("SepNonce")) {
            (Some(ours), Some(theirs)) if ours != theirs => {
                Err("the ticket is for another SEP nonce than the device shows".into())
            }
            _ => Ok(()),
        }
    }

    fn digests(&self, request: &Dictionary) -> Result<(), String> {
        for (name, entry) in request {
            let Some(entry) = entry.as_dictionary() else { continue };
            let Some(digest) = entry.get("Digest").and_then(Value::as_data).filter(|d| !d.is_empty()) else { continue };
            let need_not_be = if self.name == IMG3 {
                // Its signature is its own Blob.
                entry.contains_key("PartialDigest")
            } else {
                // Parts of other chips are asked for too, and have tickets of their own.
                fourcc(name).is_none() || (name.contains(',') && !name.starts_with("Ap,"))
            };
            if !need_not_be && !self.digests.iter().any(|ours| ours == digest) {
                return Err(format!("the ticket is for other firmware: it does not name this {name}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::img4::{Im4mComponent, Im4mFields};
    use std::collections::BTreeMap;

    const ECID: u64 = 0x12_6D0E;

    pub fn ticket(ecid: u64, nonce: u8, digest: u8) -> Vec<u8> {
        let part = Im4mComponent { digest: vec![digest; 48], ..Im4mComponent::default() };
        let fields = Im4mFields {
            ecid,
            chip: 0x8110,
            board: 0x18,
            ap_nonce: vec![nonce; 32],
            sep_nonce: Some(vec![3; 20]),
            components: BTreeMap::from([(*b"ibec", part)]),
            ..Im4mFields::default()
        };
        Im4m::build(&fields, |_| vec![1], &[])
    }

    fn request() -> Dictionary {
        let part = Dictionary::from_iter([("Digest".to_owned(), Value::Data(vec![7; 48]))]);
        Dictionary::from_iter([
            ("@ApImg4Ticket".to_owned(), Value::Boolean(true)),
            ("ApECID".to_owned(), Value::from(ECID)),
            ("ApChipID".to_owned(), Value::from(0x8110_u64)),
            ("ApBoardID".to_owned(), Value::from(0x18_u64)),
            ("ApNonce".to_owned(), Value::Data(vec![1; 32])),
            ("SepNonce".to_owned(), Value::Data(vec![3; 20])),
            ("iBEC".to_owned(), part.into()),
        ])
    }

    fn plist_with(der: Vec<u8>) -> Vec<u8> {
        let answer =
            Dictionary::from_iter([(IMG4.to_owned(), Value::Data(der)), ("generator".to_owned(), "0x1111".into())]);
        let mut out = Vec::new();
        Value::Dictionary(answer).to_writer_xml(&mut out).unwrap();
        out
    }

    #[test]
    fn all_three_kinds_of_file_are_read() {
        let der = ticket(ECID, 1, 7);
        let mut binary = Vec::new();
        let answer = Dictionary::from_iter([(IMG4.to_owned(), Value::Data(der.clone()))]);
        Value::Dictionary(answer).to_writer_binary(&mut binary).unwrap();
        for file in [der.clone(), plist_with(der.clone()), binary] {
            let answer = Brought::parse(&file).unwrap().answer(&request()).unwrap();
            assert_eq!(answer.get(IMG4).and_then(Value::as_data), Some(&der[..]));
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (der, why) in [
            (ticket(0x99, 1, 7), "ECID 0x99"),
            (ticket(ECID, 2, 7), "another AP nonce"),
            (ticket(ECID, 1, 8), "this iBEC"),
        ] {
            let fault = Brought::parse(&der).unwrap().answer(&request()).unwrap_err();
            assert!(fault.code == Code::TicketUnfit && fault.detail.contains(why), "{fault}");
        }
        let good = Brought::parse(&ticket(ECID, 1, 7)).unwrap();
        let with = |key: &str, value: Value| {
            let mut request = request();
            request.insert(key.to_owned(), value);
            good.answer(&request).unwrap_err().detail
        };
        assert!(with("ApBoardID", Value::from(0x1A_u64)).contains("board 0x18, not for 0x1a"));
        assert!(with("SepNonce", Value::Data(vec![4; 20])).contains("SEP nonce"));
        assert!(with("@ApImg4Ticket", Value::Boolean(false)).contains("no question"));
        assert!(good.is_for(Ecid(ECID)).is_ok());
        assert_eq!(good.is_for(Ecid(1)).unwrap_err().code, Code::TicketUnfit);
        let mut old = request();
        old.remove("@ApImg4Ticket");
        old.insert("@APTicket".to_owned(), Value::Boolean(true));
        assert!(good.answer(&old).unwrap_err().detail.contains("wants an APTicket"));
    }

    #[test]
    fn an_apticket_must_name_every_digest_that_has_no_blob() {
        let der = ApTicket { ecid: Some(ECID), nonce: Some(vec![1; 20]), digests: vec![vec![7; 20]] };
        let answer = Dictionary::from_iter([(IMG3.to_owned(), Value::Data(der.build(|_| vec![1], &[])))]);
        let entry = |digest: u8, partial: bool| {
            let mut entry = Dictionary::from_iter([("Digest".to_owned(), Value::Data(vec![digest; 20]))]);
            if partial {
                entry.insert("PartialDigest".into(), Value::Data(vec![1; 24]));
            }
            Value::Dictionary(entry)
        };
        let asked = |digest: u8, partial: bool, nonce: Option<u8>| {
            let mut request = Dictionary::from_iter([
                ("@APTicket".to_owned(), Value::Boolean(true)),
                ("ApECID".to_owned(), Value::from(ECID)),
                ("iBEC".to_owned(), entry(digest, partial)),
            ]);
            nonce.map(|n| request.insert("ApNonce".into(), Value::Data(vec![n; 20])));
            fits(&request, &answer)
        };
        assert!(asked(7, false, Some(1)).is_ok() && asked(8, true, Some(1)).is_ok() && asked(7, false, None).is_ok());
        assert!(asked(8, false, Some(1)).unwrap_err().contains("this iBEC"));
        assert!(asked(7, false, Some(2)).unwrap_err().contains("AP nonce"));
    }

    #[test]
    fn a_file_is_not_believed() {
        let deep = format!("<plist>{}{}</plist>", "<array>".repeat(9000), "</array>".repeat(9000)).into_bytes();
        let no_ticket = b"<plist><dict><key>a</key><string>b</string></dict></plist>".to_vec();
        let empty = plist_with(Vec::new());
        let cut = ticket(ECID, 1, 7)[..60].to_vec();
        for bad in [vec![], b"hello".to_vec(), b"bplist00".to_vec(), deep, no_ticket, empty, cut, vec![0x30; CAP + 1]] {
            assert!(Brought::parse(&bad).is_err(), "{} bytes", bad.len());
        }
        // The property list is one, the ticket in it is none.
        let noise = Brought::parse(&plist_with(vec![0x30, 0x80, 1])).unwrap();
        assert_eq!(noise.answer(&request()).unwrap_err().code, Code::TicketUnfit);
        let none = Brought::open(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(none.detail.contains("/nowhere"), "{none}");
    }

    proptest::proptest! {
        #[test]
        fn no_file_panics(flip in 0..4096_usize, bit in 0..8_u32, cut in 0..4096_usize) {
            for mut bytes in [ticket(ECID, 1, 7), plist_with(ticket(ECID, 1, 7))] {
                let length = bytes.len();
                bytes[flip % length] ^= 1 << bit;
                for file in [&bytes[..], &bytes[..cut % length]] {
                    if let Ok(brought) = Brought::parse(file) {
                        let _ = brought.answer(&request());
                    }
                }
            }
        }
    }
}
