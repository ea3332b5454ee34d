//! A request for every chip that has a ticket: its flag, its keys, its components.

use super::Peripheral;
use crate::wire::manifest::{BuildIdentity, BuildManifest, ModeFacts};
use plist::{Dictionary, Value};

const FACTS: ModeFacts =
    ModeFacts { production: true, security_mode: true, image4: true, in_rom_dfu: None, demotion_policy: None };

fn dictionary(pairs: &[(&str, Value)]) -> Dictionary {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

fn number(n: u64) -> Value {
    Value::Integer(n.into())
}

/// A part as a manifest has it: with a rule that sets EPRO.
fn part(more: &[(&str, Value)]) -> Value {
    let rule = dictionary(&[
        ("Conditions", dictionary(&[("ApRawProductionMode", true.into())]).into()),
        ("Actions", dictionary(&[("EPRO", true.into())]).into()),
    ]);
    let info = dictionary(&[("Path", "x".into()), ("RestoreRequestRules", Value::Array(vec![rule.into()]))]);
    let mut entry = dictionary(&[("Digest", Value::Data(vec![7; 48])), ("Info", info.into())]);
    entry.extend(dictionary(more));
    entry.into()
}

fn identity(keys: &[(&str, Value)], parts: &[(&str, Value)]) -> BuildIdentity {
    let mut raw = BuildManifest::parse(&crate::wire::manifest::tests::sample()).unwrap().identities.remove(0).raw;
    raw.extend(dictionary(keys));
    raw.insert("Manifest".into(), dictionary(parts).into());
    BuildIdentity::new(raw.into()).unwrap()
}

/// Asks, and looks at what every request has in common. Gives the request.
fn asked(chip: &Peripheral, identity: &BuildIdentity, device: &[(&str, Value)], flag: &str) -> Dictionary {
    let request = chip.request(identity, &dictionary(device), &FACTS, 0x99, "U").unwrap();
    for key in ["@HostPlatformInfo", "@VersionInfo", "@UUID"] {
        assert!(request.contains_key(key), "{key}");
    }
    assert_eq!(request.get(flag), Some(&Value::Boolean(true)), "{flag}");
    let wants_modem = request.get("@BBTicket") == Some(&Value::Boolean(true));
    assert_eq!(wants_modem, *chip != Peripheral::Cryptex1, "all but the cryptexes carry the modem's flag");
    assert_eq!(format!("@{}", chip.ticket()), flag);
    for (name, entry) in &request {
        assert!(entry.as_dictionary().is_none_or(|e| !e.contains_key("Info")), "{name}");
    }
    super::encode(&request).unwrap();
    request
}

fn parts(request: &Dictionary) -> Vec<&str> {
    let mut names: Vec<&str> =
        request.iter().filter(|(_, v)| v.as_dictionary().is_some()).map(|(k, _)| k.as_str()).collect();
    names.sort_unstable();
    names
}

fn has(request: &Dictionary, pairs: &[(&str, Value)]) {
    for (key, value) in pairs {
        assert_eq!(request.get(key), Some(value), "{key}");
    }
}

#[test]
fn both_secure_elements_leave_out_the_other_environment() {
    let cmacs = ["ProductionCMAC", "DevelopmentCMAC", "ProductionUpdatePayloadHash", "DevelopmentUpdatePayloadHash"];
    let more: Vec<(&str, Value)> = cmacs.iter().map(|key| (*key, Value::Data(vec![1]))).collect();
    let identity = identity(&[("SE,ChipID", "0x73".into())], &[("SE,UpdatePayload", part(&more)), ("SEP", part(&[]))]);
    for (chip, flag) in [(Peripheral::SecureElement, "@SE,Ticket"), (Peripheral::SecureElement2, "@SE2,Ticket")] {
        for (dev, kept) in [(false, "Production"), (true, "Development")] {
            let device = [
                ("SEID", Value::Data(vec![1; 24])),
                ("SE,Nonce", Value::Data(vec![2; 20])),
                ("SE,RootKeyIdentifier", Value::Data(vec![3; 32])),
                ("SE,IsDev", dev.into()),
            ];
            let request = asked(&chip, &identity, &device, flag);
            has(&request, &[("SE,ChipID", number(0x73)), ("SE,ID", Value::Data(vec![1; 24]))]);
            assert_eq!(parts(&request), ["SE,UpdatePayload"]);
            let entry = request.get("SE,UpdatePayload").and_then(Value::as_dictionary).unwrap();
            let left: Vec<&String> = entry.keys().filter(|k| k.contains("CMAC") || k.contains("Hash")).collect();
            assert!(left.len() == 2 && left.iter().all(|k| k.starts_with(kept)), "{left:?}");
            assert!(!request.contains_key("SE,IsDev"));
        }
    }
}

#[test]
fn savage_takes_the_patch_of_its_revision() {
    let names = ["B0-Prod", "B0-Dev", "B2-Prod", "B2-Dev", "BA-Prod", "BA-Dev"];
    let names: Vec<String> = names.iter().map(|name| format!("Savage,{name}-Patch")).collect();
    let mut list: Vec<(&str, Value)> = names.iter().map(|name| (name.as_str(), part(&[]))).collect();
    list.push(("SEP", part(&[])));
    let identity = identity(&[("Savage,ChipID", "0x11".into()), ("Savage,PatchEpoch", "0x2".into())], &list);
    for (revision, production, wanted) in
        [(0x20, true, "B2-Prod"), (0x30, false, "B2-Dev"), (0xA1, true, "BA-Prod"), (0x10, true, "B0-Prod")]
    {
        let device = [
            ("Savage,UID", Value::Data(vec![1; 16])),
            ("Savage,Nonce", Value::Data(vec![2; 16])),
            ("Savage,Revision", Value::Data(vec![revision, 0])),
            ("Savage,ProductionMode", production.into()),
            ("Savage,ReadECKey", true.into()),
            ("Savage,ReadFWKey", true.into()),
            ("Savage,AllowOfflineBoot", false.into()),
        ];
        let request = asked(&Peripheral::Savage, &identity, &device, "@Savage,Ticket");
        assert_eq!(parts(&request), ["SEP", &format!("Savage,{wanted}-Patch")]);
        has(&request, &[("Savage,ChipID", number(0x11)), ("Savage,PatchEpoch", number(2))]);
        has(&request, &[("Savage,ProductionMode", production.into()), ("Savage,AllowOfflineBoot", false.into())]);
        let sep = request.get("SEP").and_then(Value::as_dictionary).unwrap();
        assert!(sep.len() == 1 && sep.contains_key("Digest"));
        assert!(!request.contains_key("Savage,Revision"));
    }
}

#[test]
fn the_batterys_monitor_tells_plain_names() {
    let keys = [("BMU,BoardID", "0x5".into()), ("BMU,ChipID", "0x7".into())];
    let identity = identity(&keys, &[("BMU,FirmwareMap", part(&[])), ("iBEC", part(&[]))]);
    let device = [
        ("ChipID", number(0x8)),
        ("Nonce", Value::Data(vec![2; 16])),
        ("UniqueID", Value::Data(vec![1, 2, 0, 0, 0, 0, 0, 0])),
        ("ProductionMode", number(1)),
    ];
    let request = asked(&Peripheral::Veridian, &identity, &device, "@BMU,Ticket");
    has(&request, &[("BMU,BoardID", number(5)), ("BMU,ChipID", number(8)), ("BMU,Nonce", Value::Data(vec![2; 16]))]);
    has(&request, &[("BMU,ProductionMode", true.into()), ("BMU,UniqueID", number(0x201))]);
    assert_eq!(parts(&request), ["BMU,FirmwareMap"]);
}

#[test]
fn tcon_has_its_production_mode_on_every_part() {
    let keys = ["BoardID", "ChipID", "ManifestEpoch", "SecurityDomain"].map(|key| format!("Baobab,{key}"));
    let keys: Vec<(&str, Value)> = keys.iter().map(|key| (key.as_str(), "0x4".into())).collect();
    let bare = dictionary(&[("Digest", Value::Data(vec![7; 48]))]);
    let identity = identity(&keys, &[("Baobab,TCON", bare.into())]);
    let device = [
        ("Baobab,ECID", Value::Data(vec![1; 8])),
        ("Baobab,Life", number(3)),
        ("Baobab,UpdateNonce", Value::Data(vec![2; 16])),
        ("Baobab,ProductionMode", false.into()),
    ];
    let request = asked(&Peripheral::Tcon, &identity, &device, "@Baobab,Ticket");
    has(&request, &[("Baobab,ECID", Value::Data(vec![1; 8])), ("Baobab,Life", number(3))]);
    has(&request, &[("Baobab,ManifestEpoch", number(4)), ("Baobab,SecurityDomain", number(4))]);
    let tcon = request.get("Baobab,TCON").and_then(Value::as_dictionary).unwrap();
    assert_eq!(tcon.get("EPRO"), Some(&Value::Boolean(false)), "rules or not");
}

#[test]
fn a_retimer_asks_for_its_tag_and_names_its_ticket() {
    let keys =
        [("Timer,BoardID,2", "0x2".into()), ("Timer,ChipID,2", "0x3".into()), ("Timer,SecurityDomain,2", "0x1".into())];
    let identity = identity(&keys, &[("Timer,RTKitOS,2", part(&[]))]);
    let device = [
        ("Timer,ECID,2", Value::Data(vec![5, 0, 0, 0, 0, 0, 0, 0])),
        ("Timer,Nonce,2", Value::Data(vec![2; 16])),
        ("Timer,ProductionMode,2", number(1)),
        ("Timer,SecurityMode,2", true.into()),
        ("Timer,ECID,1", number(9)),
    ];
    let chip = Peripheral::TypeCRetimer { ticket: "Timer,Ticket,2".into(), tag: 2 };
    let request = asked(&chip, &identity, &device, "@Timer,Ticket,2");
    has(&request, &[("Timer,BoardID,2", number(2)), ("Timer,ChipID,2", number(3)), ("Timer,ECID,2", number(5))]);
    has(&request, &[("Timer,ProductionMode,2", true.into()), ("Timer,SecurityMode,2", true.into())]);
    assert!(!request.contains_key("Timer,ECID,1"));
    assert_eq!(parts(&request), ["Timer,RTKitOS,2"]);
}

#[test]
fn an_esim_asks_for_both_of_its_parts_with_their_nonces() {
    let identity = identity(&[("eUICC,ChipID", "0x5".into())], &[("eUICC,Gold", part(&[])), ("eUICC,Main", part(&[]))]);
    let nested = |byte: u8| Value::Dictionary(dictionary(&[("Nonce", Value::Data(vec![byte; 16]))]));
    let common = [("eUICC,EID", Value::Data(vec![1; 16])), ("eUICC,RootKeyIdentifier", Value::Data(vec![2; 20]))];
    let told_nested = [("eUICC,Gold", nested(3)), ("eUICC,Main", nested(4))];
    let told_flat = [("EUICCGoldNonce", Value::Data(vec![3; 16])), ("EUICCMainNonce", Value::Data(vec![4; 16]))];
    for told in [told_nested, told_flat] {
        let device = [&common[..], &told].concat();
        let request = asked(&Peripheral::Vinyl, &identity, &device, "@eUICC,Ticket");
        has(&request, &[("eUICC,ChipID", number(5)), ("eUICC,ApProductionMode", true.into()), common[0].clone()]);
        for (name, byte) in [("eUICC,Gold", 3), ("eUICC,Main", 4)] {
            let entry = request.get(name).and_then(Value::as_dictionary).unwrap();
            assert_eq!(entry.keys().collect::<Vec<_>>(), ["Digest", "Nonce"]);
            assert_eq!(entry.get("Nonce"), Some(&Value::Data(vec![byte; 16])));
        }
    }
    let none = self::identity(&[], &[]);
    assert!(parts(&asked(&Peripheral::Vinyl, &none, &common, "@eUICC,Ticket")).is_empty());
}

#[test]
fn cryptexes_name_the_device_and_every_image() {
    let keys = [("Cryptex1,ChipID", "0x3".into()), ("Cryptex1,Type", number(1)), ("Cryptex1,Version", "1.2.3".into())];
    let list = [("Cryptex1,SystemOS", part(&[])), ("Cryptex1,AppOS", part(&[])), ("iBEC", part(&[]))];
    let identity = identity(&keys, &list);
    let device = [("Cryptex1,Nonce", Value::Data(vec![2; 32])), ("Other", number(1))];
    let request = asked(&Peripheral::Cryptex1, &identity, &device, "@Cryptex1,Ticket");
    has(&request, &[("ApECID", number(0x99)), ("ApChipID", number(0x8110)), ("Cryptex1,ChipID", number(3))]);
    has(&request, &[("ApProductionMode", true.into()), ("ApSecurityMode", true.into())]);
    has(&request, &[("Cryptex1,Version", "1.2.3".into()), ("Cryptex1,Nonce", Value::Data(vec![2; 32]))]);
    assert_eq!(parts(&request), ["Cryptex1,AppOS", "Cryptex1,SystemOS"]);
    assert!(!request.contains_key("Other"));
}

#[test]
fn the_radio_and_the_modem_of_new_phones_ask_alike() {
    for (chip, prefix) in [(Peripheral::Centauri, "Wireless1"), (Peripheral::Cellular, "Cellular1")] {
        let key = |name: &str| format!("{prefix},{name}");
        let keys = ["BoardID", "ChipID", "SecurityDomain"].map(key);
        let keys: Vec<(&str, Value)> = keys.iter().map(|key| (key.as_str(), "0x6".into())).collect();
        let name = key("RTKitOS");
        let identity = identity(&keys, &[(&name, part(&[])), ("iBEC", part(&[]))]);
        let facts = [
            ("ECID", Value::Data(vec![9, 0, 0, 0, 0, 0, 0, 0])),
            ("Nonce", Value::Data(vec![2; 32])),
            ("ProductionMode", number(1)),
            ("SecurityMode", Value::Data(vec![1])),
            ("UID_MODE", number(0)),
        ];
        let facts: Vec<(String, Value)> = facts.into_iter().map(|(name, value)| (key(name), value)).collect();
        let device: Vec<(&str, Value)> = facts.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        let request = asked(&chip, &identity, &device, &format!("@{prefix},Ticket"));
        for (name, value) in [
            ("ChipID", number(6)),
            ("BoardID", number(6)),
            ("SecurityDomain", number(6)),
            ("ECID", number(9)),
            ("Nonce", Value::Data(vec![2; 32])),
            ("ProductionMode", true.into()),
            ("SecurityMode", true.into()),
            ("UID_MODE", false.into()),
        ] {
            assert_eq!(request.get(&key(name)), Some(&value), "{prefix},{name}");
        }
        assert_eq!(parts(&request), [&name]);
        let entry = request.get(&name).and_then(Value::as_dictionary).unwrap();
        assert_eq!(entry.get("EPRO"), Some(&Value::Boolean(true)), "by its rule");
    }
}

#[test]
fn a_part_that_a_chip_needs_may_not_be_missing() {
    let empty = identity(&[], &[]);
    for chip in [Peripheral::Baseband, Peripheral::Savage, Peripheral::Yonkers] {
        assert!(chip.request(&empty, &Dictionary::new(), &FACTS, 1, "U").is_err(), "{chip:?}");
    }
}
