//! The local ticket of a stashbag: what the new system will look like, said before anybody signed it.
//!
//! An IM4M without signature and certificates, and without a word about one device: no ECID, no nonces. Which
//! components belong in it, and that their rules are read as of a device without production and security mode, is
//! what the one tool does that is known to make working stashbags. What a device reads of it beside the SEP's
//! digests nobody outside Apple knows. That tool writes a component whose fourcc it does not know under its whole
//! name, which no ticket can hold; here it is left out, and the SEP is insisted on.

use super::der::{self, SEQUENCE, SET};
use super::im4m::{write_component, write_named};
use super::{Im4mComponent, Property, fourcc};
use crate::wire::WireError;
use crate::wire::manifest::{BuildIdentity, Component, ModeFacts};
use plist::Value;
use std::collections::BTreeMap;

const WHAT: &str = "local ticket";
/// Signed in other tickets, or not at all.
const ELSEWHERE: [&str; 5] = ["BasebandFirmware", "SE,UpdatePayload", "BaseSystem", "Diags", "Ap,ExclaveOS"];
/// Manifests of all systems so far.
const SECURITY_DOMAIN: u64 = 1;

/// The local ticket of an identity, DER.
///
/// # Errors
/// When the identity names no SEP that is trusted and digested: a stashbag for such a system is none.
pub fn local_ticket(identity: &BuildIdentity) -> Result<Vec<u8>, WireError> {
    let mut components = BTreeMap::new();
    for (name, component) in identity.components.iter().filter(|(name, part)| belongs(name, part)) {
        let Some(code) = component.payload_type.or_else(|| fourcc(name)) else { continue };
        components.insert(code, entry(component, code));
    }
    for sep in [b"sepi", b"rsep"] {
        if components.get(sep).is_none_or(|part: &Im4mComponent| part.digest.is_empty()) {
            let name = String::from_utf8_lossy(sep);
            return Err(WireError::malformed(WHAT, format!("the manifest has no digest of {name}")));
        }
    }
    let properties = [
        (*b"BORD", Property::Int(identity.bdid.0.into())),
        (*b"CEPO", Property::Int(0)),
        (*b"CHIP", Property::Int(identity.cpid.0.into())),
        (*b"CPRO", Property::Bool(false)),
        (*b"CSEC", Property::Bool(false)),
        (*b"SDOM", Property::Int(identity.security_domain.map_or(SECURITY_DOMAIN, u64::from))),
    ];
    let mut out = Vec::new();
    der::container(&mut out, SEQUENCE, |out| {
        der::text(out, b"IM4M");
        der::integer(out, 0);
        der::container(out, SET, |out| {
            write_named(out, *b"MANB", |out| {
                write_named(out, *b"MANP", |out| properties.iter().for_each(|(name, value)| value.write(out, *name)));
                components.iter().for_each(|(name, part)| write_named(out, *name, |out| write_component(out, part)));
            });
        });
    });
    Ok(out)
}

fn belongs(name: &str, component: &Component) -> bool {
    let of = component.flags;
    let is_firmware = of.firmware_payload
        || of.secondary_firmware_payload
        || of.fud_firmware
        || of.loaded_by_iboot
        || of.early_access
        || of.iboot_ean
        || of.iboot_non_essential;
    component.trusted && is_firmware && !of.ftab && !ELSEWHERE.contains(&name)
}

fn entry(component: &Component, code: [u8; 4]) -> Im4mComponent {
    let facts = ModeFacts { image4: true, ..ModeFacts::default() };
    let ruled = component.tss_entry(&facts, false);
    let flag = |key: &str| ruled.get(key).and_then(Value::as_boolean);
    let mut other = BTreeMap::new();
    let digests = match &code {
        b"sepi" => Some(*b"tbms"),
        b"rsep" => Some(*b"tbmr"),
        _ => None,
    };
    if let (Some(name), Some(Value::Data(bytes))) = (digests, ruled.get("TBMDigests")) {
        other.insert(name, Property::Bytes(bytes.clone()));
    }
    Im4mComponent {
        digest: component.digest.clone().unwrap_or_default(),
        epro: flag("EPRO"),
        esec: flag("ESEC"),
        ekey: Some(component.trusted),
        other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::img4::Im4m;
    use crate::wire::manifest::BuildManifest;
    use plist::Dictionary;

    /// The sample of the manifest's own tests, with a SEP of this form.
    fn identity(sep: impl Fn(&str) -> Dictionary) -> BuildIdentity {
        let mut manifest: Dictionary = plist::from_bytes(&crate::wire::manifest::tests::sample()).unwrap();
        let identities = manifest.get_mut("BuildIdentities").and_then(Value::as_array_mut).unwrap();
        for identity in identities.iter_mut().filter_map(Value::as_dictionary_mut) {
            let parts = identity.get_mut("Manifest").and_then(Value::as_dictionary_mut).unwrap();
            parts.insert("SEP".into(), sep("sepi").into());
            parts.insert("RestoreSEP".into(), sep("rsep").into());
        }
        let mut bytes = Vec::new();
        Value::Dictionary(manifest).to_writer_xml(&mut bytes).unwrap();
        BuildManifest::parse(&bytes).unwrap().identities.remove(0)
    }

    fn dict<const N: usize>(pairs: [(&str, Value); N]) -> Dictionary {
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// As manifests of phones have it: the fused modes decide.
    fn sep(code: &str) -> Dictionary {
        let rule = |fact: &str, is: bool, key: &str| {
            Value::from(dict([
                ("Conditions", dict([(fact, is.into())]).into()),
                ("Actions", dict([(key, is.into())]).into()),
            ]))
        };
        let rules = [true, false]
            .iter()
            .flat_map(|is| [rule("ApRawProductionMode", *is, "EPRO"), rule("ApRawSecurityMode", *is, "ESEC")]);
        dict([
            ("Digest", Value::Data(vec![7; 48])),
            ("TBMDigests", Value::Data(vec![9; 96])),
            ("Trusted", true.into()),
            (
                "Info",
                dict([
                    ("IsSecondaryFirmwarePayload", true.into()),
                    ("Img4PayloadType", code.into()),
                    ("Path", "Firmware/sep.im4p".into()),
                    ("RestoreRequestRules", Value::Array(rules.collect())),
                ])
                .into(),
            ),
        ])
    }

    #[test]
    fn a_local_ticket_names_the_new_system_and_no_device() {
        let identity = identity(sep);
        let ticket = Im4m::parse(&local_ticket(&identity).unwrap()).unwrap();
        let (int, no) = (Property::Int, Property::Bool(false));
        let wanted = BTreeMap::from([
            (*b"BORD", int(identity.bdid.0.into())),
            (*b"CEPO", int(0)),
            (*b"CHIP", int(identity.cpid.0.into())),
            (*b"CPRO", no.clone()),
            (*b"CSEC", no),
            (*b"SDOM", int(1)),
        ]);
        assert_eq!(ticket.properties, wanted);
        assert!(ticket.signature.is_empty() && ticket.certificates.is_empty());
        for (code, name) in [(b"sepi", b"tbms"), (b"rsep", b"tbmr")] {
            let part = &ticket.components[code];
            assert_eq!((part.epro, part.esec, part.ekey), (Some(false), Some(false), Some(true)));
            assert_eq!(part.digest, [7; 48]);
            assert_eq!(part.other, BTreeMap::from([(*name, Property::Bytes(vec![9; 96]))]));
        }
        let trusted = |name: &str| identity.component(name).is_some_and(|part| part.trusted);
        assert!(!ticket.components.contains_key(b"ibss") || trusted("iBSS"));
    }

    #[test]
    fn what_is_no_trusted_firmware_stays_out_and_a_system_without_sep_is_refused() {
        let untrusted = |code: &str| {
            let mut sep = sep(code);
            sep.insert("Trusted".into(), false.into());
            sep
        };
        assert!(local_ticket(&identity(untrusted)).is_err());
        let undigested = |code: &str| {
            let mut sep = sep(code);
            sep.remove("Digest");
            sep
        };
        assert!(local_ticket(&identity(undigested)).is_err());
        let unflagged = |code: &str| {
            let mut sep = sep(code);
            sep.insert("Info".into(), dict([("Path", code.into())]).into());
            sep
        };
        assert!(local_ticket(&identity(unflagged)).is_err());
    }

    #[test]
    fn a_real_manifest_gives_every_trusted_firmware() {
        let Some(folder) = option_env!("HERSTEL_TEST_DATA") else { return };
        let file = std::path::Path::new(folder).join("buildmanifest/BuildManifest_iPhone6,1_10.3.3.plist");
        let manifest = BuildManifest::parse(&std::fs::read(file).unwrap()).unwrap();
        let ticket = Im4m::parse(&local_ticket(&manifest.identities[0]).unwrap()).unwrap();
        // 13 by a count of the file by hand.
        assert_eq!(ticket.components.len(), 13);
        for code in [b"sepi", b"rsep", b"illb", b"ibot", b"dtre", b"logo"] {
            let part = &ticket.components[code];
            assert_eq!((part.digest.len(), part.epro, part.ekey), (20, Some(false), Some(true)), "{code:?}");
        }
    }
}
