//! The request for the ticket of the application processor: everything that boots.
//!
//! Components come from the manifest of the chosen identity. Left out: baseband and cryptexes (their own
//! tickets), parts of an ftab (signed with their chip), and what has neither rules nor trust.

use super::{copy, identity_keys, preamble};
use crate::wire::manifest::{BuildIdentity, Component, ModeFacts};
use plist::{Dictionary, Value};

/// Identity keys that an IMG4 request carries when the manifest has them.
const IMG4_KEYS: [&str; 11] = [
    "Ap,OSLongVersion",
    "Ap,OSReleaseType",
    "Ap,ProductMarketingVersion",
    "Ap,ProductType",
    "Ap,SDKPlatform",
    "Ap,Target",
    "Ap,TargetType",
    "Ap,Timestamp",
    "NeRDEpoch",
    "AllowNeRDBoot",
    "PearlCertificationRootPub",
];

const OTHER_TICKETS: [&str; 5] = ["BasebandFirmware", "SE,UpdatePayload", "BaseSystem", "Diags", "Ap,ExclaveOS"];

/// Which kind of ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A7 and later.
    Img4,
    /// A4 to A6.
    Img3,
}

/// What a device says about itself, for its AP ticket.
#[derive(Clone, Debug)]
pub struct ApRequest {
    pub form: Form,
    pub ecid: u64,
    /// 20 or 32 bytes as the device gave it; none only for old IMG3 devices.
    pub ap_nonce: Option<Vec<u8>>,
    /// 20 bytes.
    pub sep_nonce: Option<Vec<u8>>,
    pub production: bool,
    pub security_mode: bool,
    /// Is it in SecureROM's DFU, where that matters to a rule and is known?
    pub in_rom_dfu: Option<bool>,
    /// Fresh per request, upper case: this room has no randomness.
    pub uuid: String,
}

impl ApRequest {
    fn facts(&self) -> ModeFacts {
        ModeFacts {
            production: self.production,
            security_mode: self.security_mode,
            image4: self.form == Form::Img4,
            in_rom_dfu: self.in_rom_dfu,
            demotion_policy: None,
        }
    }

    pub fn build(&self, identity: &BuildIdentity) -> Dictionary {
        let mut request = preamble(&self.uuid);
        let mut put = |key: &str, value: Value| request.insert(key.to_owned(), value);
        put("ApECID", Value::Integer(self.ecid.into()));
        put("ApProductionMode", Value::Boolean(self.production));
        if let Some(nonce) = &self.ap_nonce {
            put("ApNonce", Value::Data(nonce.clone()));
        }
        match self.form {
            Form::Img3 => {
                put("@APTicket", Value::Boolean(true));
            }
            Form::Img4 => {
                put("@ApImg4Ticket", Value::Boolean(true));
                put("ApSecurityMode", Value::Boolean(self.security_mode));
                if let Some(nonce) = &self.sep_nonce {
                    put("SepNonce", Value::Data(nonce.clone()));
                }
                if identity.info().get("RequiresUIDMode").and_then(Value::as_boolean) == Some(true) {
                    put("UID_MODE", Value::Boolean(false));
                    put("Ap,SikaFuse", Value::Integer(0.into()));
                }
                if identity.raw.contains_key("NeRDEpoch") {
                    put("PermitNeRDPivot", Value::Data(Vec::new()));
                }
                copy(&mut request, &identity.raw, &IMG4_KEYS);
            }
        }
        identity_keys(&mut request, identity);
        let facts = self.facts();
        for (name, component) in &identity.components {
            if belongs(name, component, facts.image4) {
                let entry = component.tss_entry(&facts, true);
                if !entry.is_empty() {
                    request.insert(name.clone(), Value::Dictionary(entry));
                }
            }
        }
        request
    }
}

fn belongs(name: &str, component: &Component, image4: bool) -> bool {
    !OTHER_TICKETS.contains(&name)
        && !name.starts_with("Cryptex1,")
        && !component.flags.ftab
        && component.raw.contains_key("Info")
        && (!image4 || component.rules.is_some() || component.trusted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::manifest::BuildManifest;

    fn request(form: Form) -> Dictionary {
        let manifest = BuildManifest::parse(&crate::wire::manifest::tests::sample()).unwrap();
        let ap = ApRequest {
            form,
            ecid: u64::MAX,
            ap_nonce: Some(vec![1; 32]),
            sep_nonce: Some(vec![2; 20]),
            production: true,
            security_mode: true,
            in_rom_dfu: None,
            uuid: "U".into(),
        };
        ap.build(&manifest.identities[0])
    }

    #[test]
    fn an_img4_request_has_every_part_of_its_origin() {
        let request = request(Form::Img4);
        let number = |key: &str| request.get(key).and_then(Value::as_unsigned_integer);
        assert_eq!(
            (number("ApECID"), number("ApChipID"), number("ApBoardID")),
            (Some(u64::MAX), Some(0x8110), Some(0x18))
        );
        assert_eq!((number("ApSecurityDomain"), number("NeRDEpoch")), (Some(1), Some(3)));
        assert_eq!(request.get("PermitNeRDPivot"), Some(&Value::Data(Vec::new())));
        assert_eq!(request.get("Ap,ProductType"), Some(&Value::String("iPhone14,5".into())));
        for key in ["@ApImg4Ticket", "ApProductionMode", "ApSecurityMode"] {
            assert_eq!(request.get(key), Some(&Value::Boolean(true)), "{key}");
        }
        let ibss = request.get("iBSS").and_then(Value::as_dictionary).unwrap();
        assert_eq!(ibss.get("EPRO"), Some(&Value::Boolean(true)));
        assert!(ibss.contains_key("Digest") && !ibss.contains_key("Info"));
        for left_out in ["BasebandFirmware", "Rap,RTKitOS", "UID_MODE", "@APTicket"] {
            assert!(!request.contains_key(left_out), "{left_out}");
        }
        let xml = super::super::encode(&request).unwrap();
        assert!(String::from_utf8(xml).unwrap().contains("<integer>18446744073709551615</integer>"));
    }

    #[test]
    fn an_img3_request_has_no_img4_keys() {
        let request = request(Form::Img3);
        assert_eq!(request.get("@APTicket"), Some(&Value::Boolean(true)));
        for left_out in ["@ApImg4Ticket", "SepNonce", "ApSecurityMode", "Ap,ProductType"] {
            assert!(!request.contains_key(left_out), "{left_out}");
        }
        assert!(!request.get("iBSS").and_then(Value::as_dictionary).unwrap().contains_key("EPRO"));
    }

    #[test]
    fn a_real_img3_manifest_asks_as_hosts_of_the_field_did() {
        let Some(folder) = option_env!("HERSTEL_TEST_DATA") else { return };
        let file = std::path::Path::new(folder).join("buildmanifest/BuildManifest_iPhone5,2_8.4.1.plist");
        let manifest = BuildManifest::parse(&std::fs::read(file).unwrap()).unwrap();
        let ap = ApRequest {
            form: Form::Img3,
            ecid: 1,
            ap_nonce: Some(vec![1; 20]),
            sep_nonce: None,
            production: true,
            security_mode: true,
            in_rom_dfu: Some(false),
            uuid: "U".into(),
        };
        let request = ap.build(&manifest.identities[0]);
        let parts: Vec<(&String, &Dictionary)> =
            request.iter().filter_map(|(name, value)| Some((name, value.as_dictionary()?))).collect();
        let unfinished: Vec<&str> =
            parts.iter().filter(|(_, p)| p.contains_key("PartialDigest")).map(|(name, _)| name.as_str()).collect();
        assert_eq!(unfinished, ["LLB", "iBSS"]);
        assert_eq!(parts.len(), 18);
        for (name, part) in parts {
            // As in published requests: Digest, Trusted, perhaps BuildString and PartialDigest, no modes.
            assert!(part.contains_key("Digest") && part.contains_key("Trusted"), "{name}");
            assert!(["EPRO", "ESEC", "DPRO", "Info"].iter().all(|key| !part.contains_key(key)), "{name}");
        }
        let number = |key: &str| request.get(key).and_then(Value::as_unsigned_integer);
        let ids = ["ApECID", "ApChipID", "ApBoardID", "ApSecurityDomain"].map(number);
        assert_eq!(ids, [Some(1), Some(0x8950), Some(2), Some(1)]);
        assert_eq!(request.get("ApProductionMode"), Some(&Value::Boolean(true)));
        assert!(request.contains_key("UniqueBuildID") && request.contains_key("ApNonce"));
    }

    #[test]
    fn uid_mode_only_where_it_is_required() {
        let mut manifest = BuildManifest::parse(&crate::wire::manifest::tests::sample()).unwrap();
        let identity = &mut manifest.identities[0];
        let info = identity.raw.get_mut("Info").and_then(Value::as_dictionary_mut).unwrap();
        info.insert("RequiresUIDMode".into(), Value::Boolean(true));
        let ap = ApRequest {
            form: Form::Img4,
            ecid: 1,
            ap_nonce: None,
            sep_nonce: None,
            production: true,
            security_mode: true,
            in_rom_dfu: None,
            uuid: String::new(),
        };
        let request = ap.build(identity);
        assert_eq!(request.get("UID_MODE"), Some(&Value::Boolean(false)));
        assert_eq!(request.get("Ap,SikaFuse"), Some(&Value::Integer(0.into())));
    }

    type Pairs<'a> = &'a [(&'a str, Value)];
    /// Name, keys, `Info`.
    type Part<'a> = (&'a str, Pairs<'a>, Option<Pairs<'a>>);

    /// The first identity with other components.
    fn with(components: &[Part<'_>]) -> BuildIdentity {
        let mut identity = BuildManifest::parse(&crate::wire::manifest::tests::sample()).unwrap().identities.remove(0);
        let dictionary = |pairs: &[(&str, Value)]| -> Dictionary {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
        };
        let manifest: Dictionary = components
            .iter()
            .map(|(name, raw, info)| {
                let mut entry = dictionary(raw);
                info.map(|info| entry.insert("Info".into(), dictionary(info).into()));
                ((*name).to_owned(), Value::Dictionary(entry))
            })
            .collect();
        identity.raw.insert("Manifest".into(), manifest.into());
        BuildIdentity::new(Value::Dictionary(identity.raw)).unwrap()
    }

    fn asked(identity: &BuildIdentity, form: Form, security_mode: bool, in_rom_dfu: Option<bool>) -> Dictionary {
        let ap = ApRequest {
            form,
            ecid: 1,
            ap_nonce: Some(vec![1; 20]),
            sep_nonce: None,
            production: true,
            security_mode,
            in_rom_dfu,
            uuid: "U".into(),
        };
        ap.build(identity)
    }

    fn rules(conditions: &[(&str, Value)], action: (&str, Value)) -> (&'static str, Value) {
        let dictionary = |pairs: &[(&str, Value)]| -> Value {
            let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
            Value::Dictionary(pairs.collect())
        };
        let rule = [("Conditions", dictionary(conditions)), ("Actions", dictionary(&[action]))];
        ("RestoreRequestRules", Value::Array(vec![dictionary(&rule)]))
    }

    #[test]
    fn what_is_trusted_without_rules_gets_the_devices_own_modes() {
        let (yes, no) = (Value::Boolean(true), Value::Boolean(false));
        let digest = ("Digest", Value::Data(vec![7; 48]));
        let identity = with(&[
            ("Trusty", &[("Trusted", yes.clone()), digest.clone()], Some(&[])),
            ("Bare", &[("Trusted", yes.clone())], Some(&[])),
            ("Neither", std::slice::from_ref(&digest), Some(&[])),
            ("NoInfo", &[("Trusted", yes.clone()), digest.clone()], None),
        ]);
        let request = asked(&identity, Form::Img4, false, None);
        let entry = |name: &str| request.get(name).and_then(Value::as_dictionary);
        let trusty = entry("Trusty").unwrap();
        assert_eq!((trusty.get("EPRO"), trusty.get("ESEC")), (Some(&yes), Some(&no)));
        assert_eq!(entry("Bare").unwrap().get("Digest"), Some(&Value::Data(Vec::new())), "empty, but there");
        assert!(entry("Neither").is_none() && entry("NoInfo").is_none());
        // An IMG3 device takes what has neither, and no modes.
        let request = asked(&identity, Form::Img3, false, None);
        let neither = request.get("Neither").and_then(Value::as_dictionary).unwrap();
        assert!(!neither.contains_key("EPRO") && !request.contains_key("NoInfo"));
    }

    #[test]
    fn rules_decide_and_255_leaves_a_key_out() {
        let yes = Value::Boolean(true);
        let digest = ("Digest", Value::Data(vec![7; 48]));
        let skip = Value::Integer(255.into());
        let raw = ("ApRawProductionMode", yes.clone());
        let identity = with(&[
            ("Ruled", std::slice::from_ref(&digest), Some(&[rules(std::slice::from_ref(&raw), ("EPRO", yes.clone()))])),
            ("Left", std::slice::from_ref(&digest), Some(&[rules(&[raw], ("EPRO", skip))])),
            (
                "Secure",
                std::slice::from_ref(&digest),
                Some(&[rules(&[("ApRawSecurityMode", yes.clone())], ("ESEC", yes.clone()))]),
            ),
            (
                "Rom",
                std::slice::from_ref(&digest),
                Some(&[rules(&[("ApInRomDFU", yes.clone())], ("DPRO", yes.clone()))]),
            ),
            ("Empty", std::slice::from_ref(&digest), Some(&[("RestoreRequestRules", Value::Array(vec![]))])),
        ]);
        let keys = |security_mode: bool, in_rom: Option<bool>, name: &str| -> Vec<String> {
            let request = asked(&identity, Form::Img4, security_mode, in_rom);
            request.get(name).and_then(Value::as_dictionary).unwrap().keys().cloned().collect()
        };
        assert_eq!(keys(true, None, "Ruled"), ["Digest", "EPRO"]);
        assert_eq!(keys(true, None, "Left"), ["Digest"]);
        assert_eq!((keys(true, None, "Secure").len(), keys(false, None, "Secure").len()), (2, 1));
        assert_eq!([Some(true), Some(false), None].map(|rom| keys(true, rom, "Rom").len()), [2, 1, 1]);
        assert_eq!(keys(true, None, "Empty"), ["Digest"], "a list without rules is one all the same");
    }

    #[test]
    fn parts_of_other_tickets_stay_out() {
        let part = [("Trusted", Value::Boolean(true)), ("Digest", Value::Data(vec![7; 48]))];
        let plain: &[(&str, Value)] = &[];
        let names =
            ["BasebandFirmware", "SE,UpdatePayload", "BaseSystem", "Diags", "Ap,ExclaveOS", "Cryptex1,SystemOS"];
        let mut components: Vec<Part<'_>> = names.iter().map(|name| (*name, &part[..], Some(plain))).collect();
        let table: &[(&str, Value)] = &[("IsFTAB", Value::Boolean(true))];
        components.push(("Rap,RTKitOS", &part, Some(table)));
        components.push(("iBEC", &part, Some(plain)));
        let request = asked(&with(&components), Form::Img4, true, None);
        let parts: Vec<&String> = request.iter().filter(|(_, v)| v.as_dictionary().is_some()).map(|(k, _)| k).collect();
        assert_eq!(parts, ["iBEC"]);
    }
}
