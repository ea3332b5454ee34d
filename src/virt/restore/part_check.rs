//! Is `FirmwareData` what a chip would take? Reads the bytes by itself, so that the host's way of putting
//! them together is not its own judge. Digests are those of the manifest.

use super::check::{Judged, Known};
use crate::wire::img4::Algorithm;
use plist::{Dictionary, Value};

/// The chip that the phone says it has: production, mask B2, and the first of the Yonkers pair.
const SAVAGE: &str = "Savage,B2-Prod-Patch";
const YONKERS: &str = "Yonkers,SysTopPatch1";

pub(super) fn firmware(known: &Known, prefix: &str, response: &Dictionary) -> Judged {
    let value = response.get("FirmwareData").ok_or("no FirmwareData")?;
    let bytes = || value.as_data().ok_or("FirmwareData is no data");
    match prefix {
        "Savage," => {
            let (head, file) = bytes()?.split_at_checked(16).ok_or("FirmwareData has no head")?;
            let size = u32::try_from(file.len()).unwrap_or(u32::MAX).to_le_bytes();
            let wanted = [&[0; 4][..], &size, &[0; 8]].concat();
            if head != wanted {
                return Err(format!("the head is {head:02X?}"));
            }
            is(known, SAVAGE, file)
        }
        "Yonkers," => {
            let named = value.as_dictionary().ok_or("FirmwareData is no dictionary")?;
            is(known, YONKERS, named.get("YonkersFirmware").and_then(Value::as_data).ok_or("no YonkersFirmware")?)
        }
        "Rap," | "Timer," => tables(known, prefix, bytes()?),
        "BMU," => {
            let bytes = bytes()?;
            let map: Dictionary = plist::from_bytes(bytes).map_err(|err| err.to_string())?;
            let digest = known.component("BMU,FirmwareMap").and_then(|c| c.get("Digest"));
            match (bytes.starts_with(b"bplist00"), map.get("fw_map_digest")) {
                (false, _) => Err("the map is not binary".into()),
                (true, said) if said.is_none() || said != digest => Err("the map has another digest".into()),
                _ if !map.contains_key("cells") => Err("the map has no cells".into()),
                _ => Ok(()),
            }
        }
        "Baobab," => is(known, "Baobab,TCON", bytes()?),
        "SE," => secure_element(known, bytes()?),
        other => Err(format!("nothing is known of {other}")),
    }
}

fn digest_of<'a>(known: &'a Known, name: &str) -> Result<(&'a [u8], Algorithm), String> {
    let digest = known.component(name).and_then(|c| c.get("Digest")).and_then(Value::as_data);
    digest.and_then(|d| Some((d, Algorithm::by_length(d.len())?))).ok_or_else(|| format!("no digest of {name}"))
}

fn is(known: &Known, name: &str, file: &[u8]) -> Judged {
    let (digest, algorithm) = digest_of(known, name)?;
    if algorithm.digest(&[file]) == digest { Ok(()) } else { Err(format!("FirmwareData is not {name}")) }
}

/// Every component of the chip is one part of the table, the restore's last; parts follow each other.
fn tables(known: &Known, prefix: &str, bytes: &[u8]) -> Judged {
    let number = |at: usize| {
        let word: Option<[u8; 4]> = bytes.get(at..at + 4).and_then(|b| b.try_into().ok());
        word.map(|w| u32::from_le_bytes(w) as usize).ok_or("FirmwareData is cut")
    };
    if bytes.get(32..40) != Some(b"rkosftab") {
        return Err("FirmwareData is no table".into());
    }
    let count = number(40)?;
    let mut next = 48 + count * 16;
    let mut parts = Vec::new();
    for at in (0..count).map(|n| 48 + n * 16) {
        let (offset, size) = (number(at + 4)?, number(at + 8)?);
        if offset != next {
            return Err(format!("a part lies at {offset}, not {next}"));
        }
        next = offset + size;
        parts.push((bytes.get(at..at + 4).unwrap_or_default(), bytes.get(offset..next).ok_or("a part is cut")?));
    }
    if next != bytes.len() {
        return Err("bytes behind the last part".into());
    }
    if parts.last().is_none_or(|(tag, _)| *tag != b"rrko") {
        return Err("rrko is not the last part".into());
    }
    let names: Vec<&String> =
        known.manifest().into_iter().flat_map(Dictionary::keys).filter(|name| name.starts_with(prefix)).collect();
    for name in &names {
        let (digest, algorithm) = digest_of(known, name)?;
        if !parts.iter().any(|(_, part)| algorithm.digest(&[part]) == digest) {
            return Err(format!("the table has no {name}"));
        }
    }
    if names.len() == parts.len() { Ok(()) } else { Err(format!("the table has {} parts", parts.len())) }
}

/// The hash that the bench's manifest gives the production payload.
fn secure_element(known: &Known, file: &[u8]) -> Judged {
    let component = known.component("SE,UpdatePayload").or_else(|| known.component("SE,Firmware"));
    let hash = component.and_then(|c| c.get("ProductionUpdatePayloadHash")).and_then(Value::as_data);
    match hash {
        Some(hash) if Algorithm::Sha256.digest(&[b"Production", file]) != hash => {
            Err("FirmwareData is not the secure element's".into())
        }
        _ if file.is_empty() => Err("FirmwareData is empty".into()),
        _ => Ok(()),
    }
}
