//! What a host must add to an image besides the ticket, from the A18 on: bit for bit, and nothing else.
//!
//! The SEP's images carry two blocks that the signing server gives with the ticket (`<component>-TBM`). Those
//! of the bench follow from the ticket and the image's digest, so the phone knows which ones to expect. LLB
//! and the installed SEP say which of the phone's nonces their ticket is for.

use super::check::Judged;
use crate::wire::img4::{Algorithm, Im4m, Property, im4r_properties, word};
use std::collections::BTreeMap;

/// Components that the server gives blocks for, and their fourccs.
const SIGNED_APART: [(&str, [u8; 4]); 2] = [("SEP", *b"sepi"), ("RestoreSEP", *b"rsep")];
/// Which of its nonces a phone of the bench shows.
const AP_SLOT: u64 = 0;
const SEP_SLOT: u64 = 2;

fn is_young(chip: u64) -> bool {
    (0x8140..0x8700).contains(&chip)
}

/// `ucon` and `ucer` for one image of a ticket.
fn blocks(ecid: u64, nonce: &[u8], fourcc: [u8; 4], digest: &[u8]) -> [([u8; 4], Vec<u8>); 2] {
    let ecid = ecid.to_be_bytes();
    let block = |kind: &[u8]| Algorithm::Sha384.digest(&[kind, &ecid, nonce, &fourcc, digest]);
    [(*b"ucon", block(b"ucon")), (*b"ucer", [block(b"ucer"), block(b"ucer again")].concat())]
}

/// What the signing server says beside a ticket: component, and its blocks.
pub(in crate::virt) fn beside(ticket: &Im4m) -> impl Iterator<Item = (&'static str, [([u8; 4], Vec<u8>); 2])> + '_ {
    let (ecid, nonce) = (ticket.ecid.unwrap_or_default(), ticket.ap_nonce.as_deref().unwrap_or_default());
    let young = ticket.chip.is_some_and(is_young);
    SIGNED_APART.iter().filter(move |_| young).filter_map(move |(name, fourcc)| {
        let component = ticket.components.get(fourcc)?;
        Some((*name, blocks(ecid, nonce, *fourcc, &component.digest)))
    })
}

/// Has an image what this phone wants beside the ticket? Older phones do not look.
pub(in crate::virt) fn judge(ticket: &Im4m, fourcc: [u8; 4], im4r: Option<&[u8]>) -> Judged {
    if !ticket.chip.is_some_and(is_young) {
        return Ok(());
    }
    let mut wanted: BTreeMap<[u8; 4], Property> = BTreeMap::new();
    match &fourcc {
        b"illb" => drop(wanted.insert(*b"anid", Property::Int(AP_SLOT))),
        b"sepi" => drop(wanted.insert(*b"snid", Property::Int(SEP_SLOT))),
        _ => {}
    }
    let apart = SIGNED_APART.iter().find(|(_, code)| *code == fourcc);
    let blocks = apart.and_then(|(name, _)| beside(ticket).find(|(component, _)| component == name));
    wanted.extend(blocks.into_iter().flat_map(|(_, blocks)| blocks).map(|(n, b)| (n, Property::Bytes(b))));
    let found = match im4r {
        Some(bytes) => im4r_properties(bytes).map_err(|err| err.to_string())?,
        None => BTreeMap::new(),
    };
    if im4r.is_some() && found.is_empty() {
        return Err(format!("{} has an IM4R with nothing in it", word(fourcc)));
    }
    for name in wanted.keys().chain(found.keys()) {
        match (wanted.get(name), found.get(name)) {
            (Some(wanted), Some(found)) if wanted == found => {}
            (Some(_), Some(_)) => return Err(format!("{} has another {} in its IM4R", word(fourcc), word(*name))),
            (Some(_), None) => return Err(format!("{} has no {} in its IM4R", word(fourcc), word(*name))),
            _ => return Err(format!("{} has {} in its IM4R, which nobody gave", word(fourcc), word(*name))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::img4::{Im4mComponent, Im4mFields, im4r};

    fn ticket(chip: u64) -> Im4m {
        let part = |byte| Im4mComponent { digest: vec![byte; 48], ..Im4mComponent::default() };
        let components = [(*b"sepi", part(1)), (*b"rsep", part(2)), (*b"illb", part(3)), (*b"krnl", part(4))];
        let fields = Im4mFields {
            ecid: 7,
            chip,
            ap_nonce: vec![9; 32],
            components: components.into_iter().collect(),
            ..Im4mFields::default()
        };
        Im4m::parse(&Im4m::build(&fields, |_| vec![1], &[])).unwrap()
    }

    #[test]
    fn every_property_must_be_there_and_be_right() {
        let ticket = ticket(0x8140);
        let given = |name: &str| {
            let blocks = beside(&ticket).find(|(n, _)| *n == name).unwrap().1;
            blocks.map(|(n, b)| (n, Property::Bytes(b))).to_vec()
        };
        let judged = |fourcc, list: &[([u8; 4], Property)]| judge(&ticket, fourcc, Some(&im4r(list)));
        let (slot, sep) = ((*b"snid", Property::Int(2)), given("SEP"));
        let whole = [vec![slot.clone()], sep.clone()].concat();
        assert_eq!(judged(*b"sepi", &whole), Ok(()));
        assert_eq!(judged(*b"rsep", &given("RestoreSEP")), Ok(()));
        assert_eq!(judged(*b"illb", &[(*b"anid", Property::Int(0))]), Ok(()));
        assert_eq!(judge(&ticket, *b"krnl", None), Ok(()));
        for without in 0..whole.len() {
            let mut less = whole.clone();
            let (name, _) = less.remove(without);
            assert_eq!(judged(*b"sepi", &less), Err(format!("sepi has no {} in its IM4R", word(name))));
        }
        let mut flipped = sep.clone();
        if let Some((_, Property::Bytes(bytes))) = flipped.last_mut() {
            bytes[40] ^= 1;
        }
        assert!(judged(*b"sepi", &[vec![slot], flipped].concat()).unwrap_err().contains("another ucer"));
        assert!(judged(*b"sepi", &[vec![(*b"snid", Property::Int(1))], sep].concat()).is_err());
        assert!(judged(*b"rsep", &given("SEP")).unwrap_err().contains("another"), "blocks of another image");
        assert!(judge(&ticket, *b"illb", None).is_err() && judge(&ticket, *b"sepi", None).is_err());
        assert!(judged(*b"krnl", &[(*b"anid", Property::Int(0))]).unwrap_err().contains("nobody gave"));
        assert!(judged(*b"krnl", &[]).is_err() && judge(&ticket, *b"krnl", Some(b"0")).is_err());
    }

    #[test]
    fn older_phones_want_nothing() {
        let ticket = ticket(0x8130);
        assert_eq!((beside(&ticket).count(), judge(&ticket, *b"sepi", None)), (0, Ok(())));
    }
}
