//! One component of a build identity: file, digest, and the rules that decide its EPRO and ESEC.

use plist::{Dictionary, Value};

/// What the rules ask about a device. `in_rom_dfu` none where nobody can tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModeFacts {
    pub production: bool,
    pub security_mode: bool,
    /// IMG4 device (A7 and later).
    pub image4: bool,
    pub in_rom_dfu: Option<bool>,
    pub demotion_policy: Option<String>,
}

/// Whether a component is loaded by whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    pub firmware_payload: bool,
    pub secondary_firmware_payload: bool,
    pub fud_firmware: bool,
    pub loaded_by_iboot: bool,
    pub loaded_by_iboot_stage1: bool,
    pub ftab: bool,
    pub early_access: bool,
    pub iboot_ean: bool,
    pub iboot_non_essential: bool,
    /// None where the manifest does not say; then it is personalised.
    pub personalize: Option<bool>,
}

/// When all conditions hold, the actions are taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub conditions: Vec<(String, Value)>,
    /// None: leave as it is (the manifest's 255).
    pub actions: Vec<(String, Option<bool>)>,
}

impl Rule {
    fn new(value: &Value) -> Option<Self> {
        let rule = value.as_dictionary()?;
        let part = |key: &str| rule.get(key).and_then(Value::as_dictionary).into_iter().flatten();
        Some(Rule {
            conditions: part("Conditions").map(|(key, value)| (key.clone(), value.clone())).collect(),
            actions: part("Actions").map(|(key, value)| (key.clone(), value.as_boolean())).collect(),
        })
    }

    /// Do all conditions hold? One that nobody knows does not.
    pub fn applies(&self, facts: &ModeFacts) -> bool {
        self.conditions.iter().all(|(key, wanted)| {
            let fact = match key.as_str() {
                "ApRawProductionMode" | "ApCurrentProductionMode" => Value::Boolean(facts.production),
                "ApRawSecurityMode" => Value::Boolean(facts.security_mode),
                "ApRequiresImage4" => Value::Boolean(facts.image4),
                "ApInRomDFU" => match facts.in_rom_dfu {
                    Some(known) => Value::Boolean(known),
                    None => return false,
                },
                "ApDemotionPolicyOverride" => match &facts.demotion_policy {
                    Some(known) => Value::String(known.clone()),
                    None => return false,
                },
                _ => return false,
            };
            fact == *wanted
        })
    }
}

#[derive(Clone, Debug)]
pub struct Component {
    /// Inside the IPSW.
    pub path: Option<String>,
    /// 20 or 48 bytes; see `wire::img4::digest_with_fourcc` for what it covers.
    pub digest: Option<Vec<u8>>,
    pub trusted: bool,
    /// None: there is no list; an empty list is something else to TSS.
    pub rules: Option<Vec<Rule>>,
    /// `Img4PayloadType`: the fourcc that it is sent with, where that differs from the file's.
    pub payload_type: Option<[u8; 4]>,
    /// `sha1`, `sha2-384`: the digest covers the plain file.
    pub hash_method: Option<String>,
    pub flags: Flags,
    /// Everything as it stands in the file, `Info` too.
    pub raw: Dictionary,
}

impl Component {
    pub(super) fn new(_name: &str, raw: &Dictionary) -> Self {
        let info = raw.get("Info").and_then(Value::as_dictionary);
        let text = |key: &str| info.and_then(|i| i.get(key)).and_then(Value::as_string);
        let flag = |key: &str| info.and_then(|i| i.get(key)).and_then(Value::as_boolean);
        let set = |key: &str| flag(key).unwrap_or(false);
        Component {
            path: text("Path").map(str::to_owned),
            digest: raw.get("Digest").and_then(Value::as_data).map(<[u8]>::to_vec),
            trusted: raw.get("Trusted").and_then(Value::as_boolean).unwrap_or(false),
            rules: info
                .and_then(|i| i.get("RestoreRequestRules"))
                .and_then(Value::as_array)
                .map(|list| list.iter().filter_map(Rule::new).collect()),
            payload_type: text("Img4PayloadType").and_then(|t| t.as_bytes().try_into().ok()),
            hash_method: text("HashMethod").map(str::to_owned),
            flags: Flags {
                firmware_payload: set("IsFirmwarePayload"),
                secondary_firmware_payload: set("IsSecondaryFirmwarePayload"),
                fud_firmware: set("IsFUDFirmware"),
                loaded_by_iboot: set("IsLoadedByiBoot"),
                loaded_by_iboot_stage1: set("IsLoadedByiBootStage1"),
                ftab: set("IsFTAB"),
                early_access: set("IsEarlyAccessFirmware"),
                iboot_ean: set("IsiBootEANFirmware"),
                iboot_non_essential: set("IsiBootNonEssentialFirmware"),
                personalize: flag("Personalize"),
            },
            raw: raw.clone(),
        }
    }

    /// The entry of a TSS request: everything but `Info`, with the rules applied to it.
    ///
    /// Without rules an IMG4 device's own modes become EPRO and ESEC when `own_modes` says so.
    pub fn tss_entry(&self, facts: &ModeFacts, own_modes: bool) -> Dictionary {
        let mut entry = self.raw.clone();
        entry.remove("Info");
        match &self.rules {
            Some(rules) => {
                let taken = rules.iter().filter(|rule| rule.applies(facts)).flat_map(|rule| &rule.actions);
                for (key, value) in taken {
                    if let Some(value) = value {
                        entry.insert(key.clone(), Value::Boolean(*value));
                    }
                }
            }
            None if own_modes && facts.image4 => {
                entry.insert("EPRO".into(), Value::Boolean(facts.production));
                entry.insert("ESEC".into(), Value::Boolean(facts.security_mode));
            }
            None => {}
        }
        if self.trusted && !entry.contains_key("Digest") {
            entry.insert("Digest".into(), Value::Data(Vec::new()));
        }
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(conditions: &[(&str, Value)], action: Value) -> Value {
        let conditions: Dictionary = conditions.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        let actions: Dictionary = [("EPRO".to_owned(), action)].into_iter().collect();
        Value::Dictionary(
            [("Conditions".to_owned(), conditions.into()), ("Actions".to_owned(), Value::Dictionary(actions))]
                .into_iter()
                .collect(),
        )
    }

    #[test]
    fn the_last_rule_that_holds_wins_and_255_leaves_alone() {
        let yes = Value::Boolean(true);
        let raw = |rules: Vec<Value>| {
            let info: Dictionary = [("RestoreRequestRules".to_owned(), Value::Array(rules))].into_iter().collect();
            Component::new("LLB", &[("Info".to_owned(), Value::Dictionary(info))].into_iter().collect())
        };
        let facts = ModeFacts { production: true, image4: true, ..ModeFacts::default() };
        let production = ("ApRawProductionMode", yes.clone());
        let demote = ("ApDemotionPolicyOverride", Value::String("Demote".into()));
        let plain = raw(vec![rule(std::slice::from_ref(&production), yes.clone())]);
        assert_eq!(plain.tss_entry(&facts, true).get("EPRO"), Some(&yes));
        let with_demotion = raw(vec![
            rule(std::slice::from_ref(&production), yes.clone()),
            rule(&[production.clone(), demote], Value::Boolean(false)),
        ]);
        assert_eq!(with_demotion.tss_entry(&facts, true).get("EPRO"), Some(&yes));
        let demoted = ModeFacts { demotion_policy: Some("Demote".into()), ..facts.clone() };
        assert_eq!(with_demotion.tss_entry(&demoted, true).get("EPRO"), Some(&Value::Boolean(false)));
        let left_alone = raw(vec![rule(&[production], Value::Integer(255.into()))]);
        assert_eq!(left_alone.tss_entry(&facts, true).get("EPRO"), None);
        let unknown = raw(vec![rule(&[("ApMoonPhase", yes.clone())], yes)]);
        assert_eq!(unknown.tss_entry(&facts, true).get("EPRO"), None);
    }

    #[test]
    fn without_rules_the_modes_of_the_device_count() {
        let raw: Dictionary = [("Trusted".to_owned(), Value::Boolean(true))].into_iter().collect();
        let facts = ModeFacts { production: true, image4: true, ..ModeFacts::default() };
        let entry = Component::new("x", &raw).tss_entry(&facts, true);
        assert_eq!(entry.get("EPRO"), Some(&Value::Boolean(true)));
        assert_eq!(entry.get("ESEC"), Some(&Value::Boolean(false)));
        assert_eq!(entry.get("Digest"), Some(&Value::Data(Vec::new())));
        let old = Component::new("x", &raw).tss_entry(&ModeFacts { production: true, ..ModeFacts::default() }, true);
        assert!(!old.contains_key("EPRO"));
    }
}
