//! The AP ticket: asked for with what the device shows now, checked before it is used, kept with its nonce.
//!
//! Who signs is behind [`Sign`]: Apple over the net, the bench, or a test. The answer is not trusted: a
//! ticket for another device or another nonce makes a phone refuse every component without a word, so it
//! is read here and compared first. Whether its signature is good only the device can tell.

use crate::facts::models::{self, ImageFormat};
use crate::fault::{Code, Fault};
use crate::ids::{Bdid, Cpid, Ecid};
use crate::wire::iboot::{IbootSerial, Nonces};
use crate::wire::img3::{self, ApTicket};
use crate::wire::img4::Im4m;
use crate::wire::manifest::BuildIdentity;
use crate::wire::tss::{ApRequest, Form};
use plist::{Dictionary, Value};
use std::pin::Pin;

/// The oldest chip that is restored here: A6 (iPhone 5 and 5c).
const FIRST_IMG3: Cpid = Cpid(0x8950);
/// Nonces of IMG3 devices, in bytes.
const IMG3_NONCE: usize = 20;

/// Answers a signing request with the tickets in it.
pub trait Sign: Send + Sync {
    /// # Errors
    /// `tss-unreachable`, `tss-not-signed`, `tss-refused`, `tss-invalid-answer`.
    fn sign<'a>(&'a self, request: Dictionary) -> Pin<Box<dyn Future<Output = Result<Dictionary, Fault>> + Send + 'a>>;
}

/// What the device shows, for one ticket.
pub struct Request<'a> {
    pub form: Form,
    pub serial: &'a IbootSerial,
    pub ecid: Ecid,
    pub nonces: &'a Nonces,
}

/// A ticket that was checked against the device it is for.
#[derive(Clone, Debug)]
pub struct Ticket {
    pub form: Form,
    /// `ApImg4Ticket`, or `APTicket` for an IMG3 device; DER.
    pub der: Vec<u8>,
    /// The whole answer: per-component data (`…-TBM`, the `Blob`s of IMG3) is in it.
    pub response: Dictionary,
    /// 20 or 32 bytes; empty for the ROM of an IMG3 device.
    pub ap_nonce: Vec<u8>,
    pub sep_nonce: Option<Vec<u8>>,
}

impl Ticket {
    /// Is it for the boot stage that shows these nonces?
    pub fn serves(&self, nonces: &Nonces) -> bool {
        nonces.ap.as_deref().unwrap_or_default() == self.ap_nonce
            && (nonces.sep.is_none() || nonces.sep == self.sep_nonce)
    }
}

/// What a board's boot components are signed with.
pub fn form(cpid: Cpid, bdid: Bdid) -> Form {
    match models::by_chip(cpid, bdid) {
        Some(model) if model.image == ImageFormat::Img3 => Form::Img3,
        _ => Form::Img4,
    }
}

/// Is the board one that is restored here?
///
/// # Errors
/// `host-unsupported` for chips before A6: their restores were never walked whole, not even on the bench.
pub fn supported(cpid: Cpid, bdid: Bdid) -> Result<(), Fault> {
    if form(cpid, bdid) == Form::Img3 && cpid < FIRST_IMG3 {
        return Err(Fault::new(Code::HostUnsupported, "devices before A6 are not restored by this version"));
    }
    Ok(())
}

/// The nonces that a ticket is asked for.
///
/// The ROM of an IMG3 device shows none, or a value of 8 bytes that no ticket holds; its iBSS is signed
/// without. Every other stage must show one.
///
/// # Errors
/// `nonce-unread` without an AP nonce.
pub fn usable(form: Form, serial: &IbootSerial, shown: Option<Nonces>) -> Result<Nonces, Fault> {
    let mut nonces = shown.unwrap_or_default();
    if form == Form::Img3 {
        nonces = Nonces { ap: nonces.ap.filter(|ap| ap.len() == IMG3_NONCE), sep: None };
    }
    if nonces.ap.is_none() && !(form == Form::Img3 && serial.is_rom()) {
        return Err(Fault::new(Code::NonceUnread, "the device shows no AP nonce"));
    }
    Ok(nonces)
}

/// Is the identity for this board?
///
/// # Errors
/// `firmware-wrong-device`.
pub fn fits(identity: &BuildIdentity, cpid: Cpid, bdid: Bdid) -> Result<(), Fault> {
    if identity.cpid != cpid || identity.bdid != bdid {
        let detail = format!(
            "the firmware is for chip {} board {}, the device has chip {cpid} board {bdid}",
            identity.cpid, identity.bdid
        );
        return Err(Fault::new(Code::FirmwareWrongDevice, detail));
    }
    Ok(())
}

/// Asks for a ticket and checks it.
///
/// # Errors
/// What [`Sign`] gives; `tss-invalid-answer` when the ticket is missing, unreadable, or for another device or nonce.
/// The nonces are those that [`usable`] gave.
pub async fn obtain(request: &Request<'_>, identity: &BuildIdentity, sign: &dyn Sign) -> Result<Ticket, Fault> {
    let ask = ApRequest {
        form: request.form,
        ecid: request.ecid.0,
        ap_nonce: request.nonces.ap.clone(),
        sep_nonce: request.nonces.sep.clone(),
        production: request.serial.is_production(),
        security_mode: request.serial.is_secure(),
        in_rom_dfu: Some(request.serial.is_rom()),
        uuid: uuid::Uuid::new_v4().to_string().to_uppercase(),
    };
    let response = sign.sign(ask.build(identity)).await?;
    let ap_nonce = request.nonces.ap.clone().unwrap_or_default();
    let der = match request.form {
        Form::Img4 => check(&response, request.ecid, &ap_nonce)?,
        Form::Img3 => check_img3(&response, request.ecid, &ap_nonce)?,
    };
    Ok(Ticket { form: request.form, der, response, ap_nonce, sep_nonce: request.nonces.sep.clone() })
}

pub(super) fn check(response: &Dictionary, ecid: Ecid, nonce: &[u8]) -> Result<Vec<u8>, Fault> {
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

/// The same for an APTicket, and for the Blobs beside it.
fn check_img3(response: &Dictionary, ecid: Ecid, nonce: &[u8]) -> Result<Vec<u8>, Fault> {
    let invalid = |why: String| Fault::new(Code::TssInvalid, why).on(ecid);
    let der = response.get("APTicket").and_then(Value::as_data);
    let der = der.ok_or_else(|| invalid("the answer has no APTicket".into()))?;
    let ticket = ApTicket::parse(der).map_err(|err| invalid(format!("APTicket: {err}")))?;
    let named = |whose: Option<u64>| whose.map_or_else(|| "no device".to_owned(), |e| Ecid(e).to_string());
    if ticket.ecid != Some(ecid.0) {
        return Err(invalid(format!("the ticket is for {}", named(ticket.ecid))));
    }
    if !nonce.is_empty() && ticket.nonce.as_deref() != Some(nonce) {
        return Err(invalid("the ticket is for another nonce".into()));
    }
    for (name, entry) in response {
        let Some(blob) = entry.as_dictionary().and_then(|d| d.get("Blob")).and_then(Value::as_data) else { continue };
        let whose = img3::ecid_of_blob(blob);
        if whose != Some(ecid.0) {
            return Err(invalid(format!("the Blob of {name} is for {}", named(whose))));
        }
    }
    Ok(der.to_vec())
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
        let ticket = Ticket {
            form: Form::Img4,
            der: vec![],
            response: Dictionary::new(),
            ap_nonce: vec![1; 20],
            sep_nonce: Some(vec![2; 20]),
        };
        let nonces = |ap: u8, sep: Option<u8>| Nonces { ap: Some(vec![ap; 20]), sep: sep.map(|s| vec![s; 20]) };
        assert!(ticket.serves(&nonces(1, Some(2))) && ticket.serves(&nonces(1, None)));
        assert!(!ticket.serves(&nonces(1, Some(3))) && !ticket.serves(&nonces(2, Some(2))));
        assert!(!ticket.serves(&Nonces { ap: None, sep: Some(vec![2; 20]) }));
    }

    #[test]
    fn an_apticket_and_its_blobs_must_be_for_this_device_and_nonce() {
        let answer = |ecid: u64, nonce: Option<Vec<u8>>, blob: u64| -> Dictionary {
            let ticket = ApTicket { ecid: Some(ecid), nonce, digests: vec![] }.build(|_| vec![1], &[]);
            let blob = Value::Data(img3::blob(blob, &[1; 128], &[2; 9]));
            let entry = Dictionary::from_iter([("Blob".to_owned(), blob)]);
            [("APTicket".to_owned(), Value::Data(ticket)), ("iBSS".to_owned(), entry.into())].into_iter().collect()
        };
        let (ecid, nonce) = (Ecid(0x1234), vec![7; 20]);
        assert!(check_img3(&answer(0x1234, Some(nonce.clone()), 0x1234), ecid, &nonce).is_ok());
        // Asked for a ROM, which has no nonce.
        assert!(check_img3(&answer(0x1234, None, 0x1234), ecid, &[]).is_ok());
        for (wrong, why) in [
            (answer(0x9999, Some(nonce.clone()), 0x1234), "0x9999"),
            (answer(0x1234, Some(vec![8; 20]), 0x1234), "another nonce"),
            (answer(0x1234, None, 0x1234), "another nonce"),
            (answer(0x1234, Some(nonce.clone()), 0x9999), "Blob of iBSS"),
            (Dictionary::new(), "no APTicket"),
        ] {
            let fault = check_img3(&wrong, ecid, &nonce).unwrap_err();
            assert_eq!(fault.code, Code::TssInvalid);
            assert!(fault.detail.contains(why), "{}", fault.detail);
        }
    }

    #[test]
    fn only_a_rom_of_img3_may_lack_a_nonce() {
        let serial = |text: &str| text.parse::<IbootSerial>().unwrap();
        let rom = serial("CPID:8950 CPRV:21 CPFM:03 SCEP:10 BDID:00 ECID:0000000000001234 IBFL:00 SRTG:[iBoot-1145.3]");
        let stage = serial("CPID:8950 CPRV:21 CPFM:03 SCEP:10 BDID:00 ECID:0000000000001234 IBFL:00 SRNM:[X]");
        let shown = |length| Some(Nonces { ap: Some(vec![1; length]), sep: None });
        assert_eq!(usable(Form::Img3, &rom, shown(8)).unwrap(), Nonces::default());
        assert_eq!(usable(Form::Img3, &rom, None).unwrap(), Nonces::default());
        assert_eq!(usable(Form::Img3, &stage, shown(20)).unwrap().ap.unwrap().len(), 20);
        for fault in
            [usable(Form::Img3, &stage, shown(8)), usable(Form::Img3, &stage, None), usable(Form::Img4, &rom, None)]
        {
            assert_eq!(fault.unwrap_err().code, Code::NonceUnread);
        }
        assert_eq!((form(Cpid(0x8950), Bdid(0)), form(Cpid(0x8960), Bdid(0))), (Form::Img3, Form::Img4));
        assert!(supported(Cpid(0x8950), Bdid(0)).is_ok() && supported(Cpid(0x8960), Bdid(0)).is_ok());
        let older = [(0x8940, 8), (0x8930, 0), (0x8920, 0)];
        for (cpid, bdid) in older {
            assert_eq!(supported(Cpid(cpid), Bdid(bdid)).unwrap_err().code, Code::HostUnsupported);
        }
    }
}
