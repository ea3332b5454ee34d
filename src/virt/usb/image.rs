//! Would this phone boot these bytes? The one judge of every image that comes over USB.
//!
//! IMG4 phones read the ticket inside: it must be for this ECID, this chip and board, and the nonce of
//! the *present* boot stage, and it must hold the digest of the very IM4P that came. The signature itself
//! is not looked at: the bench has no key of Apple's, and a ticket can only come from its own TSS.
//! IMG3 phones (A6 and older) take an image that is signed for them (what a ROM loads), or whose digest is in
//! the APTicket for the present nonce.

use crate::facts::models::ImageFormat;
use crate::virt::phone::{Phone, Stage};
use crate::virt::restore::im4r;
use crate::wire::img3::{self, ApTicket, Img3};
use crate::wire::img4::der::Reader;
use crate::wire::img4::{Algorithm, Im4m, Img4, word};

/// What an accepted image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// As IMG4 writes it, e.g. `ibss`; IMG3 idents are turned round.
    pub fourcc: String,
    /// What its maker wrote, e.g. `iBoot-8422.142.2`; empty where there is none.
    pub version: String,
}

/// The types that a stage takes, IMG3 and IMG4 alike.
pub type Types = &'static [&'static str];

pub const IBSS: Types = &["ibss"];
pub const IBEC: Types = &["ibec"];
pub const ANY_BOOT: Types = &["ibss", "ibec"];
pub const RAMDISK: Types = &["rdsk"];
pub const DEVICE_TREE: Types = &["rdtr", "dtre"];
pub const KERNEL: Types = &["rkrn", "krnl"];
pub const SEP: Types = &["rsep", "sepi"];
pub const LOGO: Types = &["rlgo", "logo"];
/// No particular type.
pub const ANY: Types = &[];

/// # Errors
/// Why not, in words for the phone's memory.
pub fn judge(phone: &Phone, image: &[u8], wanted: Types) -> Result<Accepted, String> {
    let accepted = match phone.model.image {
        ImageFormat::Img4 => img4(phone, image)?,
        ImageFormat::Img3 => img3(phone, image)?,
    };
    if !wanted.is_empty() && !wanted.contains(&accepted.fourcc.as_str()) {
        return Err(format!("type {} where {} is wanted", accepted.fourcc, wanted.join(" or ")));
    }
    Ok(accepted)
}

fn img4(phone: &Phone, image: &[u8]) -> Result<Accepted, String> {
    let img4 = Img4::parse(image).map_err(|e| e.to_string())?;
    let ticket = Im4m::parse(img4.im4m).map_err(|e| e.to_string())?;
    let fourcc = word(img4.im4p.fourcc);
    if ticket.ecid != Some(phone.ecid.0) {
        return Err(format!("the ticket of {fourcc} is for another ECID"));
    }
    if ticket.chip != Some(u64::from(phone.model.cpid.0)) || ticket.board != Some(u64::from(phone.bdid.0)) {
        return Err(format!("the ticket of {fourcc} is for another board"));
    }
    if ticket.ap_nonce.as_ref() != Some(&phone.state().ap_nonce) {
        return Err(format!("the ticket of {fourcc} has another nonce"));
    }
    let part = ticket.components.get(&img4.im4p.fourcc).ok_or_else(|| format!("the ticket does not know {fourcc}"))?;
    let algorithm = Algorithm::by_length(part.digest.len())
        .ok_or_else(|| format!("the digest of {fourcc} has {} bytes", part.digest.len()))?;
    if algorithm.digest(&[img4.im4p.whole]) != part.digest {
        return Err(format!("{fourcc} is not what the ticket signs"));
    }
    im4r::judge(&ticket, img4.im4p.fourcc, img4.im4r)?;
    Ok(Accepted { fourcc, version: img4.im4p.version.to_owned() })
}

/// Signed for this phone itself, or named by a ticket: the one in front of the image, else the one that
/// `ticket` brought. A ROM reads no tickets.
fn img3(phone: &Phone, bytes: &[u8]) -> Result<Accepted, String> {
    let (before, image) = split(bytes)?;
    let image = Img3::parse(image).map_err(|e| e.to_string())?;
    let fourcc = word(image.header.kind);
    let accepted = Accepted { version: image.version().unwrap_or_default(), fourcc: fourcc.clone() };
    match image.ecid() {
        Some(ecid) if ecid == phone.ecid.0 => return Ok(accepted),
        Some(_) => return Err(format!("{fourcc} is signed for another ECID")),
        None if phone.stage() == Stage::Dfu => return Err(format!("{fourcc} is signed for nobody")),
        None => {}
    }
    let ticket = match before {
        Some(ticket) => Some(ap_ticket(phone, ticket)?),
        None => phone.state().ap_ticket.clone(),
    };
    let ticket = ticket.ok_or_else(|| format!("no ticket came before {fourcc}"))?;
    if ticket.nonce.as_ref() != Some(&phone.state().ap_nonce) {
        return Err(format!("the ticket of {fourcc} has another nonce"));
    }
    if !ticket.digests.contains(&image.digest()) {
        return Err(format!("{fourcc} is not what the ticket signs"));
    }
    Ok(accepted)
}

/// An APTicket for this phone as it is now.
///
/// # Errors
/// Why it is none.
pub fn ap_ticket(phone: &Phone, bytes: &[u8]) -> Result<ApTicket, String> {
    let ticket = ApTicket::parse(bytes).map_err(|e| e.to_string())?;
    if ticket.ecid != Some(phone.ecid.0) {
        return Err("the ticket is for another ECID".into());
    }
    if ticket.nonce.as_ref() != Some(&phone.state().ap_nonce) {
        return Err("the ticket has another nonce".into());
    }
    Ok(ticket)
}

/// An APTicket that stands before the image, filled up to a multiple of 64, and the image.
fn split(bytes: &[u8]) -> Result<(Option<&[u8]>, &[u8]), String> {
    if bytes.starts_with(&img3::MAGIC) {
        return Ok((None, bytes));
    }
    let ticket = Reader::new("APTicket", bytes).next().ok().flatten().ok_or("no IMG3 header")?.whole;
    let start = ticket.len().next_multiple_of(64);
    let image = bytes.get(start..).filter(|rest| rest.starts_with(&img3::MAGIC)).ok_or("no IMG3 behind the ticket")?;
    Ok((Some(ticket), image))
}

/// The type of what was uploaded, if it can be seen at all; for memos only.
pub fn glance(bytes: &[u8]) -> Option<String> {
    match Img4::parse(bytes) {
        Ok(img4) => Some(word(img4.im4p.fourcc)),
        Err(_) => Some(word(Img3::parse(split(bytes).ok()?.1).ok()?.header.kind)),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::virt::spec::PhoneSpec;
    use crate::wire::img4::{Im4mComponent, Im4mFields, Im4p, stitch};
    use std::collections::BTreeMap;

    /// An image that `phone` takes now.
    pub fn signed_for(phone: &Phone, fourcc: &str, payload: &[u8]) -> Vec<u8> {
        let code: [u8; 4] = fourcc.as_bytes().try_into().unwrap();
        if phone.model.image == ImageFormat::Img3 {
            let image = img3::build(code, "iBoot-1940.10.58", payload);
            if fourcc == "ibss" {
                return img3::personalise(&image, &img3::blob(phone.ecid.0, &[1; 128], &[2; 1909])).unwrap();
            }
            let digests = vec![Img3::parse(&image).unwrap().digest()];
            let nonce = Some(phone.state().ap_nonce.clone());
            let ticket = ApTicket { ecid: Some(phone.ecid.0), nonce, digests }.build(|_| vec![1; 70], &[]);
            return [ApTicket::padded(&ticket), image].concat();
        }
        let im4p = Im4p::build(code, "iBoot-13822.40.1", payload, None);
        let digest = Algorithm::Sha384.digest(&[&im4p]);
        let part = Im4mComponent { digest, ..Im4mComponent::default() };
        let fields = Im4mFields {
            ecid: phone.ecid.0,
            chip: phone.model.cpid.0.into(),
            board: phone.bdid.0.into(),
            security_domain: 1,
            production: true,
            security_mode: true,
            ap_nonce: phone.state().ap_nonce.clone(),
            components: BTreeMap::from([(code, part)]),
            ..Im4mFields::default()
        };
        stitch(&im4p, None, &Im4m::build(&fields, |_| vec![1; 48], &[]), None).unwrap()
    }

    #[test]
    fn only_the_right_ticket_for_the_right_bytes_boots() {
        let spec = PhoneSpec { model: "iphone13".into(), ..PhoneSpec::default() };
        let phone = Phone::new(spec.clone(), 0, 100.0).unwrap();
        let other = Phone::new(spec, 1, 100.0).unwrap();
        let image = signed_for(&phone, "ibss", &[7; 5000]);
        let accepted = judge(&phone, &image, IBSS).unwrap();
        assert_eq!((accepted.fourcc.as_str(), accepted.version.as_str()), ("ibss", "iBoot-13822.40.1"));
        assert!(judge(&phone, &image, IBEC).unwrap_err().contains("type ibss"));
        assert!(judge(&other, &image, IBSS).unwrap_err().contains("another ECID"));
        let mut flipped = image.clone();
        flipped[200] ^= 1;
        assert!(judge(&phone, &flipped, IBSS).unwrap_err().contains("not what the ticket signs"));
        assert!(judge(&phone, &image[..image.len() - 1], IBSS).is_err());
        phone.fresh_nonces();
        assert!(judge(&phone, &image, IBSS).unwrap_err().contains("another nonce"));
    }

    #[test]
    fn old_phones_take_what_is_signed_for_them_or_named_by_a_ticket() {
        let spec = PhoneSpec { model: "iPhone4,1".into(), ..PhoneSpec::default() };
        let phone = Phone::new(spec.clone(), 0, 100.0).unwrap();
        let other = Phone::new(spec, 1, 100.0).unwrap();
        let ibss = signed_for(&phone, "ibss", &[7; 300]);
        assert_eq!(judge(&phone, &ibss, IBSS).unwrap().version, "iBoot-1940.10.58");
        assert!(judge(&other, &ibss, IBSS).unwrap_err().contains("another ECID"));
        let ibec = signed_for(&phone, "ibec", &[7; 300]);
        assert!(judge(&phone, &ibec, IBEC).is_ok());
        assert!(judge(&phone, &ibec, IBSS).unwrap_err().contains("type ibec"));
        assert!(judge(&other, &ibec, IBEC).unwrap_err().contains("another ECID"));
        let (ticket, bare) = split(&ibec).unwrap();
        assert!(judge(&phone, bare, IBEC).unwrap_err().contains("no ticket"));
        phone.state().ap_ticket = Some(ap_ticket(&phone, ticket.unwrap()).unwrap());
        assert!(judge(&phone, bare, IBEC).is_ok());
        let stranger = img3::build(*b"ibec", "iBoot-1940.10.58", &[8; 300]);
        assert!(judge(&phone, &stranger, IBEC).unwrap_err().contains("not what the ticket signs"));
        phone.fresh_nonces();
        assert!(judge(&phone, bare, IBEC).unwrap_err().contains("another nonce"));
        assert!(judge(&phone, &ibec[..100], IBEC).is_err());
        assert!(judge(&phone, &[0; 9000], IBEC).is_err());
    }
}
