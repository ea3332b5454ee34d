//! What the host adds to a component beside the ticket (IM4R).
//!
//! Two blocks that Apple's answer brings for a component (`<component>-TBM`), and, where the identity asks for
//! it, the nonce slots: which of the device's nonces the ticket is for, told with LLB and the SEP. A device
//! says in normal mode which it shows (`ApParameters`); nobody can ask one in recovery, which shows the
//! usual ones.

use super::ticket::Ticket;
use crate::fault::{Code, Fault};
use crate::mux::{Lockdown, Mux};
use crate::wire::img4::{self, Property};
use crate::wire::manifest::BuildIdentity;
use plist::{Dictionary, Value};
use std::time::Duration;

/// How long lockdown may take to tell the slots.
const LIMIT: Duration = Duration::from_secs(10);

/// Which of its nonces a device gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    pub ap: u64,
    pub sep: u64,
}

impl Default for Slots {
    /// What a device means that names none.
    fn default() -> Self {
        Slots { ap: 0, sep: 2 }
    }
}

impl Slots {
    /// Of `ApParameters`, as lockdown gives it.
    pub fn read(parameters: &Dictionary) -> Self {
        let slot = |key: &str| parameters.get(key).and_then(Value::as_unsigned_integer);
        let Slots { ap, sep } = Slots::default();
        Slots { ap: slot("ApNonceSlotID").unwrap_or(ap), sep: slot("SepNonceSlotID").unwrap_or(sep) }
    }

    /// Of a device in normal mode; what it does not tell is as usual.
    pub async fn ask(mux: &Mux, device: u32) -> Self {
        let asked = async { Lockdown::open(mux, device).await?.get(None, "ApParameters").await };
        match tokio::time::timeout(LIMIT, asked).await {
            Ok(Ok(Some(Value::Dictionary(parameters)))) => Slots::read(&parameters),
            _ => Slots::default(),
        }
    }
}

/// Does the device want to be told which nonce a ticket is for?
pub fn needs_slots(identity: &BuildIdentity) -> bool {
    identity.info().get("RequiresNonceSlot").and_then(Value::as_boolean) == Some(true)
}

/// What the host adds to a component, in the field's order: the slot, then Apple's two.
///
/// # Errors
/// `tss-invalid-answer` when only one of Apple's two is there.
pub fn properties(
    identity: &BuildIdentity,
    ticket: &Ticket,
    slots: Slots,
    name: &str,
) -> Result<Vec<([u8; 4], Property)>, Fault> {
    let mut list = Vec::new();
    if needs_slots(identity) {
        match name {
            "SEP" | "SepStage1" => list.push((*b"snid", Property::Int(slots.sep))),
            "LLB" => list.push((*b"anid", Property::Int(slots.ap))),
            _ => {}
        }
    }
    if let Some(tbm) = ticket.response.get(&format!("{name}-TBM")).and_then(Value::as_dictionary) {
        for fourcc in [*b"ucon", *b"ucer"] {
            let key = img4::word(fourcc);
            let bytes = tbm.get(&key).and_then(Value::as_data).filter(|bytes| !bytes.is_empty());
            let bytes = bytes.ok_or_else(|| Fault::new(Code::TssInvalid, format!("{name}-TBM has no {key}")))?;
            list.push((fourcc, Property::Bytes(bytes.to_vec())));
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::super::personalize::train;
    use super::super::rig::dict;
    use super::*;
    use crate::wire::tss::Form;

    fn identity(slots: bool) -> BuildIdentity {
        BuildIdentity {
            cpid: crate::ids::Cpid(0x8140),
            bdid: crate::ids::Bdid(4),
            security_domain: Some(1),
            unique_build_id: vec![],
            device_class: "d47ap".into(),
            variant: String::new(),
            behaviour: None,
            components: Default::default(),
            recovery: None,
            raw: dict([(
                "Info",
                dict([("RequiresNonceSlot", Value::Boolean(slots)), ("BuildNumber", Value::String("22A3354".into()))])
                    .into(),
            )]),
        }
    }

    fn ticket() -> Ticket {
        let tbm = dict([("ucon", Value::Data(vec![1; 8])), ("ucer", Value::Data(vec![2; 9]))]);
        let response = dict([("RestoreSEP-TBM", tbm.into())]);
        Ticket { form: Form::Img4, der: vec![0x30, 0], response, ap_nonce: vec![1; 32], sep_nonce: None }
    }

    #[test]
    fn the_host_adds_what_apple_and_the_identity_say() {
        let of = |slots, name| properties(&identity(slots), &ticket(), Slots::default(), name).unwrap();
        let tbm = [(*b"ucon", Property::Bytes(vec![1; 8])), (*b"ucer", Property::Bytes(vec![2; 9]))];
        assert_eq!(of(false, "RestoreSEP"), tbm);
        assert_eq!(of(true, "SEP"), [(*b"snid", Property::Int(2))]);
        assert_eq!(of(true, "LLB"), [(*b"anid", Property::Int(0))]);
        assert_eq!(of(false, "SEP"), []);
        assert_eq!(of(true, "iBEC"), []);
        assert_eq!(of(true, "SepStage1"), of(true, "SEP"));
        let told = dict([("ApNonceSlotID", Value::from(1u64)), ("SepNonceSlotID", Value::from(5u64))]);
        let slots = Slots::read(&told);
        let told = |name| properties(&identity(true), &ticket(), slots, name).unwrap();
        assert_eq!(told("SEP"), [(*b"snid", Property::Int(5))]);
        assert_eq!(told("LLB"), [(*b"anid", Property::Int(1))]);
        assert_eq!(Slots::read(&Dictionary::new()), Slots { ap: 0, sep: 2 });
        let mut half = ticket();
        let tbm = half.response.get_mut("RestoreSEP-TBM").and_then(Value::as_dictionary_mut).unwrap();
        tbm.remove("ucer");
        let fault = properties(&identity(true), &half, slots, "RestoreSEP").unwrap_err();
        assert_eq!(fault.code, Code::TssInvalid);
        assert_eq!(train(&identity(true)), Some(22));
    }
}
