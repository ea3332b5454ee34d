//! Requests for the other chips: baseband, secure element, Rose, cryptexes ...
//!
//! Each is a flag, some identity keys, some keys that the device told (`MessageArgInfo`), and a choice of
//! components. The choices differ in three ways only, so a request is a row of a table. Newer systems send
//! the request half made (`DeviceGeneratedRequest`); [`device_generated`] completes it.

use super::{copy, identity_keys, preamble, typed};
use crate::wire::WireError;
use crate::wire::manifest::{BuildIdentity, ModeFacts};
use plist::{Dictionary, Value};

const WHAT: &str = "TSS request";

/// The chip that a ticket is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peripheral {
    Baseband,
    /// `SE,IsDev` of the device facts picks the environment.
    SecureElement,
    /// The same questions under another ticket's name.
    SecureElement2,
    Savage,
    Yonkers,
    Rose,
    Veridian,
    Tcon,
    /// `Timer`: the name of the wanted ticket and the number of the tag.
    TypeCRetimer {
        ticket: String,
        tag: u32,
    },
    Vinyl,
    Cryptex1,
    Centauri,
    Cellular,
}

struct Recipe {
    ticket: &'static str,
    identity: &'static [&'static str],
    device: &'static [&'static str],
    /// Components whose name starts so, with rules applied.
    prefix: &'static str,
}

const fn recipe(
    ticket: &'static str,
    identity: &'static [&'static str],
    device: &'static [&'static str],
    prefix: &'static str,
) -> Recipe {
    Recipe { ticket, identity, device, prefix }
}

const BASEBAND: Recipe = recipe(
    "BBTicket",
    &[
        "BbChipID",
        "BbProvisioningManifestKeyHash",
        "BbActivationManifestKeyHash",
        "BbCalibrationManifestKeyHash",
        "BbFactoryActivationManifestKeyHash",
        "BbFDRSecurityKeyHash",
        "BbSkeyId",
    ],
    &["BbChipID", "BbNonce", "BbGoldCertId", "BbSNUM"],
    "",
);
const SE: Recipe =
    recipe("SE,Ticket", &["SE,ChipID"], &["SE,ChipID", "SE,ID", "SE,Nonce", "SE,RootKeyIdentifier"], "SE,");
const SE2: Recipe = recipe("SE2,Ticket", SE.identity, SE.device, SE.prefix);
const SAVAGE: Recipe = recipe(
    "Savage,Ticket",
    &["Savage,ChipID", "Savage,PatchEpoch"],
    &[
        "Savage,UID",
        "Savage,Nonce",
        "Savage,ProductionMode",
        "Savage,ReadECKey",
        "Savage,ReadFWKey",
        "Savage,AllowOfflineBoot",
    ],
    "",
);
const YONKERS: Recipe = recipe(
    "Yonkers,Ticket",
    &["Yonkers,BoardID", "Yonkers,ChipID", "Yonkers,PatchEpoch"],
    &[
        "Yonkers,ECID",
        "Yonkers,Nonce",
        "Yonkers,ProductionMode",
        "Yonkers,ReadECKey",
        "Yonkers,ReadFWKey",
        "Yonkers,AllowOfflineBoot",
    ],
    "",
);
const ROSE: Recipe = recipe(
    "Rap,Ticket",
    &["Rap,BoardID", "Rap,ChipID", "Rap,SecurityDomain"],
    &["Rap,ECID", "Rap,Nonce", "Rap,ProductionMode", "Rap,SecurityMode", "Rap,FdrRootCaDigest"],
    "Rap,",
);
const VERIDIAN: Recipe = recipe(
    "BMU,Ticket",
    &["BMU,BoardID", "BMU,ChipID"],
    &["BMU,ChipID", "BMU,Nonce", "BMU,UniqueID", "BMU,ProductionMode"],
    "BMU,",
);
const TCON: Recipe = recipe(
    "Baobab,Ticket",
    &["Baobab,BoardID", "Baobab,ChipID", "Baobab,ManifestEpoch", "Baobab,SecurityDomain"],
    &["Baobab,ECID", "Baobab,Life", "Baobab,UpdateNonce", "Baobab,ProductionMode"],
    "Baobab,",
);
const VINYL: Recipe =
    recipe("eUICC,Ticket", &["eUICC,ChipID"], &["eUICC,ChipID", "eUICC,EID", "eUICC,RootKeyIdentifier"], "");
const CRYPTEX: Recipe = recipe("Cryptex1,Ticket", &[], &[], "");
const CENTAURI: Recipe = recipe(
    "Wireless1,Ticket",
    &["Wireless1,BoardID", "Wireless1,ChipID", "Wireless1,SecurityDomain"],
    &[
        "Wireless1,ECID",
        "Wireless1,Nonce",
        "Wireless1,ProductionMode",
        "Wireless1,SecurityMode",
        "Wireless1,UID_MODE",
        "Wireless1,FdrRootCaDigest",
    ],
    "Wireless1,",
);
const CELLULAR: Recipe = recipe(
    "Cellular1,Ticket",
    &["Cellular1,BoardID", "Cellular1,ChipID", "Cellular1,SecurityDomain"],
    &[
        "Cellular1,ECID",
        "Cellular1,Nonce",
        "Cellular1,ProductionMode",
        "Cellular1,SecurityMode",
        "Cellular1,UID_MODE",
        "Cellular1,BbActivationManifestKeyHash",
        "Cellular1,BbProvisioningManifestKeyHash",
        "Cellular1,BbFDRSecurityKeyHash",
    ],
    "Cellular1,",
);

impl Peripheral {
    fn recipe(&self) -> Recipe {
        match self {
            Peripheral::Baseband => BASEBAND,
            Peripheral::SecureElement => SE,
            Peripheral::SecureElement2 => SE2,
            Peripheral::Savage => SAVAGE,
            Peripheral::Yonkers => YONKERS,
            Peripheral::Rose => ROSE,
            Peripheral::Veridian => VERIDIAN,
            Peripheral::Tcon => TCON,
            Peripheral::TypeCRetimer { .. } => recipe("", &[], &[], "Timer,"),
            Peripheral::Vinyl => VINYL,
            Peripheral::Cryptex1 => CRYPTEX,
            Peripheral::Centauri => CENTAURI,
            Peripheral::Cellular => CELLULAR,
        }
    }

    /// The key of its ticket in the answer, e.g. `Rap,Ticket`.
    pub fn ticket(&self) -> String {
        match self {
            Peripheral::TypeCRetimer { ticket, .. } => ticket.clone(),
            other => other.recipe().ticket.to_owned(),
        }
    }

    /// Makes the request. `device` is what the device told about the chip; keys may miss their comma
    /// (`SENonce`), numbers may come as little-endian data. `ecid` goes with requests that name the AP.
    ///
    /// # Errors
    /// When the identity lacks the component that this chip needs.
    pub fn request(
        &self,
        identity: &BuildIdentity,
        device: &Dictionary,
        facts: &ModeFacts,
        ecid: u64,
        uuid: &str,
    ) -> Result<Dictionary, WireError> {
        let recipe = self.recipe();
        let mut request = preamble(uuid);
        let yes = Value::Boolean(true);
        if *self == Peripheral::Cryptex1 {
            request.insert("@Cryptex1,Ticket".into(), yes);
            cryptex(&mut request, identity, device, facts, ecid);
            return Ok(request);
        }
        request.insert("@BBTicket".into(), yes.clone());
        request.insert(format!("@{}", self.ticket()), yes);
        copy(&mut request, &identity.raw, recipe.identity);
        for key in recipe.device {
            if let Some(value) = told(device, key) {
                request.insert((*key).to_owned(), shaped(key, value));
            }
        }
        let mut take = |name: &str, entry: Dictionary| request.insert(name.to_owned(), Value::Dictionary(entry));
        match self {
            Peripheral::Baseband => {
                take("BasebandFirmware", baseband(identity, device)?);
                request.insert("ApECID".into(), Value::Integer(ecid.into()));
                identity_keys(&mut request, identity);
                if identity.info().get("FDRSupport").and_then(Value::as_boolean) == Some(true) {
                    request.insert("ApProductionMode".into(), Value::Boolean(facts.production));
                    request.insert("ApSecurityMode".into(), Value::Boolean(facts.security_mode));
                }
            }
            Peripheral::SecureElement | Peripheral::SecureElement2 => {
                let dev = told(device, "SE,IsDev").is_some_and(|v| truth(v) == Some(true));
                let other = if dev { "Production" } else { "Development" };
                for (name, component) in identity.components.iter().filter(|(name, _)| name.starts_with("SE,")) {
                    let mut entry = component.raw.clone();
                    for key in ["Info".to_owned(), format!("{other}CMAC"), format!("{other}UpdatePayloadHash")] {
                        entry.remove(&key);
                    }
                    take(name, entry);
                }
            }
            Peripheral::Savage | Peripheral::Yonkers => {
                take("SEP", only_digest(identity, "SEP")?);
                let name = self
                    .patch(identity, device)
                    .ok_or_else(|| WireError::malformed(WHAT, "no Yonkers,SysTopPatch for this chip"))?;
                take(&name, without_info(identity, &name)?);
            }
            Peripheral::Vinyl => {
                request.insert("eUICC,ApProductionMode".into(), Value::Boolean(facts.production));
                for part in ["Gold", "Main"] {
                    let name = format!("eUICC,{part}");
                    // A build without firmware for it names none.
                    let Ok(mut entry) = only_digest(identity, &name) else { continue };
                    let nested = told(device, &name).and_then(Value::as_dictionary).and_then(|d| d.get("Nonce"));
                    if let Some(nonce) = nested.or_else(|| device.get(&format!("EUICC{part}Nonce"))) {
                        entry.insert("Nonce".into(), nonce.clone());
                    }
                    request.insert(name, Value::Dictionary(entry));
                }
            }
            _ => {
                if let Peripheral::TypeCRetimer { tag, .. } = self {
                    timer(&mut request, identity, device, *tag);
                }
                let production = request.get("Baobab,ProductionMode").and_then(truth);
                for (name, component) in &identity.components {
                    if name.starts_with(recipe.prefix)
                        && (self.takes_all() || component.rules.is_some() || component.trusted)
                    {
                        let mut entry = component.tss_entry(facts, false);
                        if *self == Peripheral::Tcon {
                            entry.insert("EPRO".into(), Value::Boolean(production.unwrap_or(facts.production)));
                        }
                        request.insert(name.clone(), Value::Dictionary(entry));
                    }
                }
            }
        }
        Ok(request)
    }

    /// The one component of several that is for this chip, by its revision and its fusing.
    pub fn patch(&self, identity: &BuildIdentity, device: &Dictionary) -> Option<String> {
        match self {
            Peripheral::Savage => Some(savage_patch(device)),
            Peripheral::Yonkers => yonkers_patch(identity, device),
            _ => None,
        }
    }

    fn takes_all(&self) -> bool {
        matches!(self, Peripheral::Tcon | Peripheral::Centauri | Peripheral::Cellular)
    }
}

/// Completes a request that the device made itself (`arguments` of FirmwareUpdaterData).
///
/// # Errors
/// When there is no `DeviceGeneratedRequest` in it.
pub fn device_generated(
    identity: &BuildIdentity,
    arguments: &Dictionary,
    facts: &ModeFacts,
    ecid: u64,
    uuid: &str,
) -> Result<Dictionary, WireError> {
    let made = arguments
        .get("DeviceGeneratedRequest")
        .and_then(Value::as_dictionary)
        .ok_or_else(|| WireError::malformed(WHAT, "no DeviceGeneratedRequest"))?;
    let mut request = preamble(uuid);
    if let Some(info) = arguments.get("MessageArgInfo").and_then(Value::as_dictionary)
        && made.contains_key("@Cryptex1,Ticket")
    {
        request.extend(info.iter().filter(|(key, _)| key.starts_with("Cryptex1")).map(|(k, v)| (k.clone(), typed(v))));
    }
    let tags = |name: &str| {
        let tags = arguments.get("DeviceGeneratedTags").and_then(Value::as_dictionary).and_then(|d| d.get(name));
        tags.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_string)
    };
    let wanted: Vec<&str> = tags("BuildIdentityTags").collect();
    copy(&mut request, &identity.raw, &wanted);
    request.extend(made.iter().map(|(key, value)| (key.clone(), value.clone())));
    let cryptex = request.contains_key("@Cryptex1,Ticket");
    if cryptex || tags("ResponseTags").any(|tag| tag == "Cryptex1,Ticket") {
        identity_keys(&mut request, identity);
        request.insert("@Cryptex1,Ticket".into(), Value::Boolean(true));
        request.insert("ApECID".into(), Value::Integer(ecid.into()));
        for (key, value) in [("ApProductionMode", facts.production), ("ApSecurityMode", facts.security_mode)] {
            if !request.contains_key(key) {
                request.insert(key.into(), Value::Boolean(value));
            }
        }
    }
    request.remove("RequiresUIDMode");
    for (name, value) in request.iter_mut() {
        let digest = identity.component(name).and_then(|component| component.digest.clone());
        if let (Some(entry), Some(digest)) = (value.as_dictionary_mut(), digest)
            && entry.contains_key("Digest")
        {
            entry.insert("Digest".into(), Value::Data(digest));
        }
    }
    Ok(request)
}

/// Does the device want the component's bytes beside the ticket?
pub fn wants_firmware(arguments: &Dictionary) -> bool {
    arguments
        .get("DeviceGeneratedTags")
        .and_then(Value::as_dictionary)
        .and_then(|d| d.get("ResponseTags"))
        .and_then(Value::as_array)
        .is_some_and(|tags| tags.iter().any(|tag| tag.as_string() == Some("FirmwareData")))
}

/// Chips that tell their facts under plain names: the modem (BasebandData, FirmwarePreflightInfo) and the battery's
/// monitor.
const PLAIN: [(&str, &str); 8] = [
    ("BbChipID", "ChipID"),
    ("BbGoldCertId", "CertID"),
    ("BbSNUM", "ChipSerialNo"),
    ("BbNonce", "Nonce"),
    ("BMU,ChipID", "ChipID"),
    ("BMU,Nonce", "Nonce"),
    ("BMU,UniqueID", "UniqueID"),
    ("BMU,ProductionMode", "ProductionMode"),
];

fn told<'a>(device: &'a Dictionary, key: &str) -> Option<&'a Value> {
    let plain = || PLAIN.iter().find(|(ours, _)| *ours == key).and_then(|(_, theirs)| device.get(theirs));
    device.get(key).or_else(|| device.get(&key.replacen(',', "", 1))).or_else(plain)
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Boolean(truth) => Some(*truth),
        Value::Integer(number) => number.as_unsigned().map(|n| n != 0),
        Value::Data(bytes) => Some(bytes.iter().any(|b| *b != 0)),
        _ => None,
    }
}

/// Flags as booleans, numbers as integers, whatever form the device told them in. Baobab's and Yonkers'
/// ECID are data on the wire.
fn shaped(key: &str, value: &Value) -> Value {
    let flag = key.ends_with("Mode") || key.ends_with("UID_MODE");
    let own_form = key.starts_with("Baobab,") || key.starts_with("Yonkers,");
    let number = !own_form && [",ECID", "ChipID", "BoardID", ",UniqueID"].iter().any(|end| key.ends_with(end));
    match value {
        // A certificate's number has 32 bits, and some systems tell it with a sign.
        Value::Integer(told) if key == "BbGoldCertId" => match told.as_signed() {
            Some(told) => Value::Integer((told & 0xFFFF_FFFF).into()),
            None => value.clone(),
        },
        Value::Data(bytes) if number && bytes.len() <= 8 => {
            Value::Integer(bytes.iter().rev().fold(0_u64, |sum, b| sum << 8 | u64::from(*b)).into())
        }
        other if flag => truth(other).map_or_else(|| other.clone(), Value::Boolean),
        other => typed(other),
    }
}

fn without_info(identity: &BuildIdentity, name: &str) -> Result<Dictionary, WireError> {
    let component = identity
        .component(name)
        .ok_or_else(|| WireError::malformed(WHAT, format!("the build identity has no {name}")))?;
    let mut entry = component.raw.clone();
    entry.remove("Info");
    Ok(entry)
}

fn only_digest(identity: &BuildIdentity, name: &str) -> Result<Dictionary, WireError> {
    let mut entry = without_info(identity, name)?;
    entry.retain(|key, _| key == "Digest");
    Ok(entry)
}

fn baseband(identity: &BuildIdentity, device: &Dictionary) -> Result<Dictionary, WireError> {
    let mut entry = without_info(identity, "BasebandFirmware")?;
    let id = |key: &str| told(device, key).or_else(|| identity.raw.get(key)).and_then(super::xml::number);
    if id("BbChipID") == Some(0x68) {
        let psi2 = matches!(id("BbGoldCertId"), Some(0x26F3_FACC | 0x5CF2_EC4E | 0x8399_785A));
        let dropped = if psi2 { "PSI2" } else { "PSI" };
        entry.remove(&format!("{dropped}-PartialDigest"));
        entry.remove(&format!("Restore{dropped}-PartialDigest"));
    }
    Ok(entry)
}

fn savage_patch(device: &Dictionary) -> String {
    let revision = told(device, "Savage,Revision").and_then(Value::as_data).and_then(|d| d.first().copied());
    let step = match revision {
        Some(r) if (r | 0x10) & 0xF0 == 0x30 => "B2",
        Some(r) if r & 0xF0 == 0xA0 => "BA",
        _ => "B0",
    };
    let production = told(device, "Savage,ProductionMode").and_then(truth).unwrap_or(false);
    format!("Savage,{step}-{}-Patch", if production { "Prod" } else { "Dev" })
}

fn yonkers_patch(identity: &BuildIdentity, device: &Dictionary) -> Option<String> {
    let production = told(device, "Yonkers,ProductionMode").and_then(truth).unwrap_or(true);
    let revision = told(device, "Yonkers,FabRevision").and_then(super::xml::number);
    identity.components.iter().find_map(|(name, component)| {
        let fits = name.starts_with("Yonkers,SysTopPatch")
            && component.raw.get("EPRO").and_then(truth).is_none_or(|epro| epro == production)
            && component.raw.get("FabRevision").and_then(super::xml::number).is_none_or(|r| Some(r) == revision);
        fits.then(|| name.clone())
    })
}

fn timer(request: &mut Dictionary, identity: &BuildIdentity, device: &Dictionary, tag: u32) {
    for key in ["BoardID", "ChipID", "SecurityDomain", "SecurityMode", "ProductionMode", "ECID", "Nonce"] {
        let full = format!("Timer,{key},{tag}");
        if let Some(value) = told(device, &full).or_else(|| identity.raw.get(&full)) {
            request.insert(full, shaped(&format!("Timer,{key}"), value));
        }
    }
}

fn cryptex(request: &mut Dictionary, identity: &BuildIdentity, device: &Dictionary, facts: &ModeFacts, ecid: u64) {
    identity_keys(request, identity);
    request.insert("ApECID".into(), Value::Integer(ecid.into()));
    request.insert("ApProductionMode".into(), Value::Boolean(facts.production));
    request.insert("ApSecurityMode".into(), Value::Boolean(facts.security_mode));
    let ours = |(key, _): &(&String, &Value)| key.starts_with("Cryptex1");
    request.extend(identity.raw.iter().filter(ours).map(|(key, value)| (key.clone(), typed(value))));
    request.extend(device.iter().filter(ours).map(|(key, value)| (key.clone(), typed(value))));
    for (name, component) in identity.components.iter().filter(|(name, _)| name.starts_with("Cryptex1,")) {
        if component.flags.personalize != Some(false)
            && let Some(digest) = &component.digest
        {
            let entry: Dictionary = [("Digest".to_owned(), Value::Data(digest.clone()))].into_iter().collect();
            request.insert(name.clone(), Value::Dictionary(entry));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::manifest::BuildManifest;

    fn identity() -> BuildIdentity {
        BuildManifest::parse(&crate::wire::manifest::tests::sample()).unwrap().identities.remove(0)
    }

    fn dictionary(pairs: &[(&str, Value)]) -> Dictionary {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    }

    #[test]
    fn rose_is_typed_as_the_server_wants_it() {
        let device = dictionary(&[
            ("RapECID", Value::Data(vec![1, 2, 0, 0, 0, 0, 0, 0])),
            ("Rap,ProductionMode", Value::Data(vec![1])),
            ("Rap,Nonce", Value::Data(vec![7; 32])),
        ]);
        let facts = ModeFacts { production: true, image4: true, ..ModeFacts::default() };
        let request = Peripheral::Rose.request(&identity(), &device, &facts, 1, "U").unwrap();
        assert_eq!(request.get("@Rap,Ticket"), Some(&Value::Boolean(true)));
        assert_eq!(request.get("Rap,ChipID"), Some(&Value::Integer(0x10.into())));
        assert_eq!(request.get("Rap,ECID"), Some(&Value::Integer(0x201.into())));
        assert_eq!(request.get("Rap,ProductionMode"), Some(&Value::Boolean(true)));
        let part = request.get("Rap,RTKitOS").and_then(Value::as_dictionary).unwrap();
        assert_eq!(part.get("EPRO"), Some(&Value::Boolean(true)));
        assert!(!part.contains_key("Info") && !request.contains_key("ApECID"));
    }

    #[test]
    fn yonkers_keeps_its_ecid_as_data_and_picks_the_patch_of_its_revision() {
        let mut identity = identity();
        let plain = identity.component("iBSS").unwrap().clone();
        for (name, revision) in
            [("Yonkers,SepObject", None), ("Yonkers,SysTopPatch0", Some(0)), ("Yonkers,SysTopPatch1", Some(1))]
        {
            let mut patch = plain.clone();
            if let Some(revision) = revision {
                patch.raw.insert("EPRO".into(), Value::Boolean(true));
                patch.raw.insert("FabRevision".into(), Value::Integer(revision.into()));
            }
            identity.components.insert(name.into(), patch);
        }
        identity.components.insert("SEP".into(), plain);
        let device = dictionary(&[
            ("YonkersECID", Value::Data(vec![1; 8])),
            ("Yonkers,ProductionMode", Value::Boolean(true)),
            ("Yonkers,FabRevision", Value::Integer(1.into())),
        ]);
        let request = Peripheral::Yonkers.request(&identity, &device, &ModeFacts::default(), 1, "U").unwrap();
        assert_eq!(request.get("Yonkers,ECID"), Some(&Value::Data(vec![1; 8])));
        assert!(request.contains_key("Yonkers,SysTopPatch1") && !request.contains_key("Yonkers,SysTopPatch0"));
        assert_eq!(request.get("SEP").and_then(Value::as_dictionary).map(Dictionary::len), Some(1));
    }

    #[test]
    fn baseband_names_the_device_and_its_firmware() {
        // As BasebandData's arguments and FirmwarePreflightInfo have it.
        let device = dictionary(&[
            ("ChipSerialNo", Value::Data(vec![1])),
            ("Nonce", Value::Data(vec![2; 20])),
            ("CertID", Value::Integer((-1_979_745_191_i64).into())),
            ("ChipID", Value::Integer(0x0017_50E1.into())),
        ]);
        let mut identity = identity();
        let request = Peripheral::Baseband.request(&identity, &device, &ModeFacts::default(), 77, "U").unwrap();
        assert_eq!(request.get("ApECID"), Some(&Value::Integer(77.into())));
        assert_eq!(request.get("BbGoldCertId"), Some(&Value::Integer(2_315_222_105_u64.into())));
        assert_eq!(request.get("BbChipID"), Some(&Value::Integer(0x0017_50E1.into())));
        assert_eq!(request.get("BbNonce"), Some(&Value::Data(vec![2; 20])));
        for key in ["BasebandFirmware", "BbSNUM", "UniqueBuildID", "ApChipID", "ApBoardID", "ApSecurityDomain"] {
            assert!(request.contains_key(key), "{key}");
        }
        assert!(!request.contains_key("ApProductionMode"));
        let info = identity.raw.get_mut("Info").and_then(Value::as_dictionary_mut).unwrap();
        info.insert("FDRSupport".into(), Value::Boolean(true));
        let facts = ModeFacts { production: true, security_mode: true, ..ModeFacts::default() };
        let request = Peripheral::Baseband.request(&identity, &device, &facts, 77, "U").unwrap();
        assert!(["ApProductionMode", "ApSecurityMode"].iter().all(|k| request.get(k) == Some(&Value::Boolean(true))));
        let identity = self::identity();
        assert!(Peripheral::Savage.request(&identity, &device, &ModeFacts::default(), 77, "U").is_err());
    }

    #[test]
    fn a_request_of_the_device_gets_the_digests_of_this_firmware() {
        let entry = Value::Dictionary(dictionary(&[("Digest", Value::Data(Vec::new()))]));
        let made = dictionary(&[
            ("@Rap,Ticket", Value::Boolean(true)),
            ("Rap,RTKitOS", entry),
            ("RequiresUIDMode", Value::Boolean(true)),
        ]);
        let tags = dictionary(&[
            ("BuildIdentityTags", Value::Array(vec!["Rap,ChipID".into(), "Missing".into()])),
            ("ResponseTags", Value::Array(vec!["Rap,Ticket".into(), "FirmwareData".into()])),
        ]);
        let arguments = dictionary(&[("DeviceGeneratedRequest", made.into()), ("DeviceGeneratedTags", tags.into())]);
        let request = device_generated(&identity(), &arguments, &ModeFacts::default(), 1, "U").unwrap();
        assert!(wants_firmware(&arguments));
        assert_eq!(request.get("Rap,ChipID"), Some(&Value::Integer(0x10.into())));
        assert!(!request.contains_key("RequiresUIDMode"));
        let digest = request.get("Rap,RTKitOS").and_then(Value::as_dictionary).and_then(|d| d.get("Digest"));
        assert_eq!(digest.and_then(Value::as_data).map(<[u8]>::len), Some(20));
        assert!(device_generated(&identity(), &Dictionary::new(), &ModeFacts::default(), 1, "U").is_err());
    }
}
