//! The signing server: reads a request as a skeptic and answers with tickets of its own key.
//!
//! What it refuses is what a device's ticket could not be made of: an unknown build, another chip or board,
//! a digest that is not the manifest's, a nonce of a wrong length, no ECID. Tickets are real containers with
//! a signature over the right bytes; only the key is the bench's.

use super::Shared;
use crate::virt::ipsw::{loader, modem};
use crate::virt::phone::random_bytes;
use crate::virt::restore::im4r;
use crate::wire::img3::{self, ApTicket};
use crate::wire::img4::{Im4m, Im4mComponent, Im4mFields, Property, fourcc, word};
use crate::wire::manifest::{BuildIdentity, BuildManifest};
use crate::wire::tss::reply;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use plist::{Dictionary, Value};
use std::collections::BTreeMap;

/// The bench's own authority.
pub struct Authority {
    key: EcdsaKeyPair,
}

impl Authority {
    pub fn new() -> Option<Self> {
        EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).ok().map(|key| Authority { key })
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(&SystemRandom::new(), message).map(|s| s.as_ref().to_vec()).unwrap_or_default()
    }

    /// Stands where Apple's certificates stand; readers of the bench do not look inside.
    fn certificate(&self) -> Vec<u8> {
        let mut out = Vec::new();
        crate::wire::img4::der::container(&mut out, crate::wire::img4::der::SEQUENCE, |out| {
            crate::wire::img4::der::text(out, b"Herstel bench TSS");
            crate::wire::img4::der::element(out, crate::wire::img4::der::OCTETS, self.key.public_key().as_ref());
        });
        out
    }
}

/// Status and text of a refusal, as the field has seen them.
type Refusal = (i64, &'static str);
const NOT_ELIGIBLE: Refusal = (94, "This device isn't eligible for the requested build.");
const MALFORMED: Refusal = (100, "An internal error occurred.");
const INTERNAL: Refusal = (128, "An internal error occurred.");

/// The whole HTTP body for a request body; `bad`: as the knobs say.
pub fn answer(shared: &Shared, body: &[u8], bad: bool) -> Vec<u8> {
    let result = match shared.knobs().tss_status.as_ref().filter(|_| bad) {
        Some((status, text)) => Err((*status, text.clone())),
        None => judge(shared, body).map_err(|(status, text)| (status, text.to_owned())),
    };
    let bytes = match result {
        Ok(tickets) => reply(0, "SUCCESS", Some(&tickets)),
        Err((status, text)) => {
            shared.remember("tss.refused", serde_json::json!({ "status": status, "text": text }));
            reply(status, &text, None)
        }
    };
    bytes.unwrap_or_default()
}

fn judge(shared: &Shared, body: &[u8]) -> Result<Dictionary, Refusal> {
    let request: Dictionary = plist::from_bytes(body).map_err(|_| MALFORMED)?;
    if request.get("@HostPlatformInfo").is_none() || request.get("@VersionInfo").is_none() {
        return Err(MALFORMED);
    }
    let yes = |key: &str| request.get(key).and_then(Value::as_boolean) == Some(true);
    let mut tickets = Dictionary::new();
    tickets.insert("@ServerVersion".into(), "2.1.0".into());
    if yes("@ApImg4Ticket") || yes("@APTicket") {
        let fields = ap_ticket(shared, &request)?;
        let authority = &shared.authority;
        if yes("@ApImg4Ticket") {
            let ticket = Im4m::build(&fields, |signed| authority.sign(signed), &authority.certificate());
            blocks_beside(&ticket, &mut tickets);
            tickets.insert("ApImg4Ticket".into(), Value::Data(ticket));
        } else {
            img3_tickets(authority, &request, &fields, &mut tickets);
        }
    }
    for (key, value) in &request {
        let Some(name) = key.strip_prefix('@').filter(|n| n.ends_with("Ticket")) else { continue };
        if ["ApImg4Ticket", "APTicket"].contains(&name) || value.as_boolean() != Some(true) {
            continue;
        }
        // Some clients set @BBTicket with every request: a modem is only meant when it is named.
        if name == "BBTicket" && !request.contains_key("BbSNUM") && !request.contains_key("BasebandFirmware") {
            continue;
        }
        if name == "BBTicket" {
            tickets.insert("BasebandFirmware".into(), Value::Dictionary(loader_signatures(&request)));
        }
        tickets.insert(name.to_owned(), Value::Data(other_ticket(shared, &request, name)));
        shared.remember("tss.ticket", serde_json::json!({ "ticket": name }));
    }
    if tickets.len() == 1 { Err(MALFORMED) } else { Ok(tickets) }
}

/// `<component>-TBM`, for chips that want blocks of the server's in some images.
fn blocks_beside(ticket: &[u8], tickets: &mut Dictionary) {
    let Ok(ticket) = Im4m::parse(ticket) else { return };
    for (name, blocks) in im4r::beside(&ticket) {
        let blocks = blocks.into_iter().map(|(name, bytes)| (word(name), Value::Data(bytes)));
        tickets.insert(format!("{name}-TBM"), Value::Dictionary(blocks.collect()));
    }
}

/// Numbers come as integers and as hexadecimal text.
fn number(request: &Dictionary, key: &str) -> Option<u64> {
    let value = request.get(key)?;
    value.as_unsigned_integer().or_else(|| {
        let text = value.as_string()?;
        match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        }
    })
}

fn identities(shared: &Shared) -> impl Iterator<Item = BuildIdentity> + '_ {
    shared.files.iter().filter_map(|f| BuildManifest::parse(&f.manifest).ok()).flat_map(|m| m.identities)
}

/// One ticket for the boot, and a Blob for each component whose unfinished digest was sent.
fn img3_tickets(authority: &Authority, request: &Dictionary, fields: &Im4mFields, tickets: &mut Dictionary) {
    let part = |entry: &Value, key: &str| Some(entry.as_dictionary()?.get(key)?.as_data()?.to_vec());
    let nonce = Some(fields.ap_nonce.clone()).filter(|nonce| !nonce.is_empty());
    let digests = request.iter().filter_map(|(_, entry)| part(entry, "Digest")).collect();
    let ticket = ApTicket { ecid: Some(fields.ecid), nonce, digests };
    let ticket = ticket.build(|signed| authority.sign(signed), &authority.certificate());
    tickets.insert("APTicket".into(), Value::Data(ticket));
    for (name, entry) in request {
        let Some(partial) = part(entry, "PartialDigest") else { continue };
        let mut signature = [0; 128];
        signature.iter_mut().zip(authority.sign(&partial)).for_each(|(place, byte)| *place = byte);
        let blob = Value::Data(img3::blob(fields.ecid, &signature, &authority.certificate()));
        let answer = [("Blob".to_owned(), blob), ("PartialDigest".to_owned(), Value::Data(partial))];
        tickets.insert(name.clone(), Dictionary::from_iter(answer).into());
    }
}

fn ap_ticket(shared: &Shared, request: &Dictionary) -> Result<Im4mFields, Refusal> {
    let build = request.get("UniqueBuildID").and_then(Value::as_data).ok_or(MALFORMED)?;
    let ecid = number(request, "ApECID").filter(|ecid| *ecid != 0).ok_or(MALFORMED)?;
    let (chip, board) = (number(request, "ApChipID").ok_or(MALFORMED)?, number(request, "ApBoardID").ok_or(MALFORMED)?);
    let identity = identities(shared)
        .find(|i| i.unique_build_id == build && u64::from(i.cpid.0) == chip && u64::from(i.bdid.0) == board)
        .ok_or(NOT_ELIGIBLE)?;
    let domain = u64::from(identity.security_domain.unwrap_or(1));
    if number(request, "ApSecurityDomain").is_some_and(|d| d != domain) {
        return Err(NOT_ELIGIBLE);
    }
    let mut ap_nonce = request.get("ApNonce").and_then(Value::as_data).unwrap_or_default().to_vec();
    let wanted = if (0x8010..0x8900).contains(&chip) { 32 } else { 20 };
    // The ROM of an old device has none to show.
    let may_lack = request.get("@APTicket").is_some() && request.get("ApNonce").is_none();
    if ap_nonce.len() != wanted && !may_lack {
        return Err(INTERNAL);
    }
    if shared.knobs().tss_wrong_nonce {
        ap_nonce = random_bytes(ap_nonce.len());
    }
    let components = components(request, &identity)?;
    let truth = |key: &str| request.get(key).and_then(Value::as_boolean).unwrap_or(true);
    let fields = Im4mFields {
        ecid,
        chip,
        board,
        security_domain: domain,
        production: truth("ApProductionMode"),
        security_mode: truth("ApSecurityMode"),
        ap_nonce,
        sep_nonce: request.get("SepNonce").and_then(Value::as_data).map(<[u8]>::to_vec),
        other: BTreeMap::from([(*b"srvn", Property::Bytes(random_bytes(20)))]),
        components,
    };
    shared.remember(
        "tss.ap",
        serde_json::json!({ "ecid": ecid, "board": identity.device_class, "components": fields.components.len() }),
    );
    Ok(fields)
}

/// Every dictionary of the request that names a component must carry the manifest's digest.
fn components(request: &Dictionary, identity: &BuildIdentity) -> Result<BTreeMap<[u8; 4], Im4mComponent>, Refusal> {
    let mut list = BTreeMap::new();
    for (name, value) in request {
        let Some(entry) = value.as_dictionary() else { continue };
        let known = identity.component(name).ok_or(NOT_ELIGIBLE)?;
        let digest = entry.get("Digest").and_then(Value::as_data).unwrap_or_default();
        if let Some(wanted) = &known.digest
            && digest != wanted.as_slice()
        {
            return Err(NOT_ELIGIBLE);
        }
        let Some(word) = known.payload_type.or_else(|| fourcc(name)) else { continue };
        let truth = |key: &str| entry.get(key).and_then(Value::as_boolean);
        let component = Im4mComponent {
            digest: digest.to_vec(),
            epro: truth("EPRO"),
            esec: truth("ESEC"),
            ..Im4mComponent::default()
        };
        list.insert(word, component);
    }
    // iBoot starts nothing without these two.
    if list.len() < 2 { Err(MALFORMED) } else { Ok(list) }
}

/// Signatures that a host writes into the modem's boot loaders, `<part>-Blob`.
fn loader_signatures(request: &Dictionary) -> Dictionary {
    let modem = number(request, "BbChipID").unwrap_or_default();
    let asked = request.get("BasebandFirmware").and_then(Value::as_dictionary);
    let parts = asked.map(|entry| modem::unsigned(modem, entry)).unwrap_or_default();
    parts
        .into_iter()
        .map(|(part, digest)| (format!("{part}-Blob"), Value::Data(loader::signature(modem, part, &digest))))
        .collect()
}

/// A ticket of another chip: a container with what was asked for inside, signed.
fn other_ticket(shared: &Shared, request: &Dictionary, name: &str) -> Vec<u8> {
    let prefix = name.trim_end_matches("Ticket").trim_end_matches(',');
    let nonce = request
        .iter()
        .find(|(key, _)| key.starts_with(prefix) && key.ends_with("Nonce"))
        .and_then(|(_, value)| value.as_data())
        .unwrap_or_default()
        .to_vec();
    let fields = Im4mFields {
        ecid: number(request, "ApECID").unwrap_or(0),
        ap_nonce: nonce,
        other: BTreeMap::from([(*b"tnam", Property::Bytes(name.as_bytes().to_vec()))]),
        ..Im4mFields::default()
    };
    let authority = &shared.authority;
    Im4m::build(&fields, |signed| authority.sign(signed), &authority.certificate())
}
