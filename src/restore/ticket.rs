//! The AP ticket: asked for with what the device shows now, checked before it is used, kept with its nonce.
//!
//! Who signs is behind [`Sign`]: Apple over the net, the bench, or a test. The answer is not trusted: a
//! ticket for another device or another nonce makes a phone refuse every component without a word, so it
//! is read here and compared first. Whether its signature is good only the device can tell.

use crate::facts::models::{self, ImageFormat};
use crate::fault::{Code, Fault};
use crate::ids::{Bdid, Cpid, Ecid};
use crate::wire::iboot::{IbootSerial, Nonces};
use crate::wire::img4::Im4m;
use crate::wire::manifest::BuildIdentity;
use crate::wire::tss::{ApRequest, Form};
use plist::{Dictionary, Value};
use std::pin::Pin;

/// Answers a signing request with the tickets in it.
pub trait Sign: Send + Sync {
    /// # Errors
    /// `tss-unreachable`, `tss-not-signed`, `tss-refused`, `tss-invalid-answer`.
    fn sign<'a>(&'a self, request: Dictionary) -> Pin<Box<dyn Future<Output = Result<Dictionary, Fault>> + Send + 'a>>;
}

/// What the device shows, for one ticket.
pub struct Request<'a> {
    pub serial: &'a IbootSerial,
    pub ecid: Ecid,
    pub nonces: &'a Nonces,
}

/// A ticket that was checked against the device it is for.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// `ApImg4Ticket`, DER.
    pub im4m: Vec<u8>,
    /// The whole answer: per-component data of the host (`…-TBM`) is in it.
    pub response: Dictionary,
    /// 20 or 32 bytes.
    pub ap_nonce: Vec<u8>,
    pub sep_nonce: Option<Vec<u8>>,
}

impl Ticket {
    /// Is it for the boot stage that shows these nonces?
    pub fn serves(&self, nonces: &Nonces) -> bool {
        nonces.ap.as_ref() == Some(&self.ap_nonce) && (nonces.sep.is_none() || nonces.sep == self.sep_nonce)
    }
}

/// Is the identity for this board, and the board one that is restored here?
///
/// # Errors
/// `firmware-wrong-device`; `host-unsupported` for IMG3 devices (A6 and older).
pub fn fits(identity: &BuildIdentity, cpid: Cpid, bdid: Bdid) -> Result<(), Fault> {
    if identity.cpid != cpid || identity.bdid != bdid {
        let detail = format!(
            "the firmware is for chip {} board {}, the device has chip {cpid} board {bdid}",
            identity.cpid, identity.bdid
        );
        return Err(Fault::new(Code::FirmwareWrongDevice, detail));
    }
    if models::by_chip(cpid, bdid).is_some_and(|m| m.image == ImageFormat::Img3) {
        return Err(Fault::new(Code::HostUnsupported, "IMG3 devices (A6 and older) are not restored by this version"));
    }
    Ok(())
}

/// Asks for a ticket and checks it.
///
/// # Errors
/// `nonce-unread` without an AP nonce, what [`Sign`] gives, `tss-invalid-answer` when the ticket is missing,
/// unreadable, or for another device or nonce.
pub async fn obtain(request: &Request<'_>, identity: &BuildIdentity, sign: &dyn Sign) -> Result<Ticket, Fault> {
    let ap_nonce = request.nonces.ap.clone();
    let ap_nonce = ap_nonce.ok_or_else(|| Fault::new(Code::NonceUnread, "the device shows no AP nonce"))?;
    let ask = ApRequest {
        form: Form::Img4,
        ecid: request.ecid.0,
        ap_nonce: Some(ap_nonce.clone()),
        sep_nonce: request.nonces.sep.clone(),
        production: request.serial.is_production(),
        security_mode: request.serial.is_secure(),
        in_rom_dfu: Some(request.serial.is_rom()),
        uuid: uuid::Uuid::new_v4().to_string().to_uppercase(),
    };
    let response = sign.sign(ask.build(identity)).await?;
    let im4m = check(&response, request.ecid, &ap_nonce)?;
    Ok(Ticket { im4m, response, ap_nonce, sep_nonce: request.nonces.sep.clone() })
}

fn check(response: &Dictionary, ecid: Ecid, nonce: &[u8]) -> Result<Vec<u8>, Fault> {
    let invalid = |why: String| Fault::new(Code::TssInvalid, why).on(ecid);
    let im4m = response.get("ApImg4Ticket").and_then(Value::as_data);
    let im4m = im4m.ok_or_else(|| invalid("the answer has no ApImg4Ticket".into()))?;
    let ticket = Im4m::parse(im4m).map_err(|err| invalid(format!("ApImg4Ticket: {err}")))?;
    if !ticket.is_for(ecid.0, None) {
        let whose = ticket.ecid.map_or_else(|| "no device".to_owned(), |e| Ecid(e).to_string());
        return Err(invalid(format!("the ticket is for {whose}")));
    }
    if !ticket.is_for(ecid.0, Some(nonce)) {
        return Err(invalid("the ticket is for another nonce".into()));
    }
    Ok(im4m.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::img4::Im4mFields;

    fn answer(ecid: u64, nonce: &[u8]) -> Dictionary {
        let fields = Im4mFields { ecid, ap_nonce: nonce.to_vec(), ..Im4mFields::default() };
        let im4m = Im4m::build(&fields, |_| vec![1, 2, 3], &[]);
        [("ApImg4Ticket".to_owned(), Value::Data(im4m))].into_iter().collect()
    }

    #[test]
    fn a_ticket_must_be_for_this_device_and_nonce() {
        let nonce = [7; 32];
        let ecid = Ecid(0x1234);
        assert!(check(&answer(0x1234, &nonce), ecid, &nonce).is_ok());
        for (wrong, why) in [
            (answer(0x9999, &nonce), "0x9999"),
            (answer(0x1234, &[8; 32]), "another nonce"),
            (Dictionary::new(), "no ApImg4Ticket"),
            ([("ApImg4Ticket".to_owned(), Value::Data(vec![0x30, 1, 2]))].into_iter().collect(), "IM4M"),
        ] {
            let fault = check(&wrong, ecid, &nonce).unwrap_err();
            assert_eq!(fault.code, Code::TssInvalid);
            assert!(fault.detail.contains(why), "{}", fault.detail);
        }
    }

    #[test]
    fn a_ticket_serves_its_nonces_only() {
        let ticket =
            Ticket { im4m: vec![], response: Dictionary::new(), ap_nonce: vec![1; 20], sep_nonce: Some(vec![2; 20]) };
        let nonces = |ap: u8, sep: Option<u8>| Nonces { ap: Some(vec![ap; 20]), sep: sep.map(|s| vec![s; 20]) };
        assert!(ticket.serves(&nonces(1, Some(2))) && ticket.serves(&nonces(1, None)));
        assert!(!ticket.serves(&nonces(1, Some(3))) && !ticket.serves(&nonces(2, Some(2))));
        assert!(!ticket.serves(&Nonces { ap: None, sep: Some(vec![2; 20]) }));
    }
}
