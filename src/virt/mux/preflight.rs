//! What a host reads in normal mode to prepare a restore: nonces, and what the modem's ticket is made of.
//!
//! These keys are in no listing; lockdownd tells them to whoever asks by name, with or without a session, as the
//! recorded restores of untrusted phones show. The AP nonce that was told is the one that iBoot shows afterwards: a
//! host personalises iBEC with a ticket that it asked for in normal mode. From A18 on the plain SEPNonce is nothing
//! but ones; the true one is in ApParameters.

use crate::virt::ipsw::modem;
use crate::virt::phone::{Phone, random_bytes};
use plist::{Dictionary, Value};

/// First chip whose plain SEPNonce is of no use.
const MASKED_SEP: u32 = 0x8140;

pub(super) fn value(phone: &Phone, key: &str) -> Option<Value> {
    let is_phone = phone.model.product.as_str().starts_with("iPhone");
    let has_sep = phone.model.cpid.0 >= 0x8960 || phone.model.cpid.0 < 0x8900;
    let masks = phone.model.cpid.0 < 0x8900 && phone.model.cpid.0 >= MASKED_SEP;
    match key {
        "ApNonce" => Some(Value::Data(told_nonce(phone))),
        "SEPNonce" if has_sep => {
            let nonce = phone.state().sep_nonce.clone();
            Some(Value::Data(if masks { vec![0xFF; nonce.len()] } else { nonce }))
        }
        "ApParameters" if masks => {
            let ap = told_nonce(phone);
            let sep = phone.state().sep_nonce.clone();
            Some(Value::Dictionary(Dictionary::from_iter([
                ("ApNonce", Value::Data(ap)),
                ("SepNonce", Value::Data(sep)),
                ("ApNonceSlotID", Value::from(0_u64)),
                ("SepNonceSlotID", Value::from(2_u64)),
            ])))
        }
        "Image4Supported" => Some(has_sep.into()),
        "FirmwarePreflightInfo" if is_phone => Some(modem_info(phone).into()),
        _ => None,
    }
}

/// It is promised by being told: the next boot stage shows the same.
fn told_nonce(phone: &Phone) -> Vec<u8> {
    let mut state = phone.state();
    state.nonce_promised = true;
    state.ap_nonce.clone()
}

/// The same facts as the restore ramdisk tells with BasebandData, but for the nonce.
fn modem_info(phone: &Phone) -> Dictionary {
    Dictionary::from_iter([
        ("CertHash", Value::Data(vec![0xA5; 32])),
        ("CertID", Value::from(2_315_222_105_u64)),
        ("ChipID", Value::from(modem::chip_of(phone.model))),
        ("ChipSerialNo", Value::Data((phone.ecid.0 as u32).to_be_bytes().to_vec())),
        ("FusingStatus", Value::from(3_u64)),
        ("Nonce", Value::Data(random_bytes(20))),
        ("VendorID", Value::from(3_u64)),
    ])
}
