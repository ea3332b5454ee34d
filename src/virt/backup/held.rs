//! What a host holds of this phone: its indexes fetched, its tree listed.
//!
//! The phone believes listings and reads the manifest again each time; between two backups it keeps
//! nothing of its own, so that whatever a host does to its tree meanwhile shows here.

use super::line::{Got, Halt, Line};
use super::lockbox::Keyring;
use super::manifest::{self, ManifestFacts, OldRow, Status, payload_name, stored};
use crate::virt::phone::Phone;
use crate::wire::devicelink::{DlCode, Entry as DirectoryEntry, EntryKind, FromDevice};
use crate::wire::seal::{Keys, Opening};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Write};
use std::path::PathBuf;

/// Manifest.plist and its like are read into memory up to here.
const MAX_SMALL: usize = 64 << 20;
/// Manifest.db is read to a file up to here.
const MAX_DB: u64 = 8 << 30;

/// What the host holds of this phone.
#[derive(Default)]
pub(super) struct Previous {
    pub rows: HashMap<[u8; 20], OldRow>,
}

/// Brings one small file; none when the host has no such file.
pub(super) fn fetch_small(line: &mut Line, path: String, progress: f64) -> Result<Option<Vec<u8>>, Halt> {
    let (mut bytes, mut failed) = (Vec::new(), false);
    let status = line.download(vec![path], progress, false, |got| {
        match got {
            Got::Data(data) if bytes.len() + data.len() > MAX_SMALL => {
                return Err(Error::new(ErrorKind::InvalidData, "a property list beyond 64 MiB"));
            }
            Got::Data(data) => bytes.extend_from_slice(data),
            Got::Failed(_) => failed = true,
            Got::Name(_) | Got::End => {}
        }
        Ok(())
    })?;
    Ok((status.code == DlCode::OK && !failed).then_some(bytes))
}

/// Brings Manifest.db into a folder of its own; none when the host has none.
pub(super) fn fetch_db(line: &mut Line, path: String, progress: f64) -> Result<Option<tempfile::TempDir>, Halt> {
    let folder = tempfile::tempdir()?;
    let mut file = File::create(folder.path().join("Manifest.db"))?;
    let (mut size, mut failed) = (0_u64, false);
    let status = line.download(vec![path], progress, false, |got| {
        match got {
            Got::Data(data) => {
                size += data.len() as u64;
                if size > MAX_DB {
                    return Err(Error::new(ErrorKind::InvalidData, "a Manifest.db beyond 8 GiB"));
                }
                file.write_all(data)?;
            }
            Got::Failed(_) => failed = true,
            Got::Name(_) | Got::End => {}
        }
        Ok(())
    })?;
    Ok((status.code == DlCode::OK && !failed).then_some(folder))
}

/// Where the plain Manifest.db lies in the folder that it was brought into: decrypted first, where it has a key.
///
/// # Errors
/// A text for the log.
pub(super) fn open_db(
    folder: &tempfile::TempDir,
    keys: Option<&Keys>,
    manifest_key: Option<&[u8]>,
) -> Result<PathBuf, String> {
    let path = folder.path().join("Manifest.db");
    let (Some(keys), Some(wrapped)) = (keys, manifest_key) else { return Ok(path) };
    let key = keys.content_key(wrapped).map_err(|err| err.to_string())?;
    let mut opening = Opening::new(&key, false).map_err(|err| err.to_string())?;
    let plain = folder.path().join("plain.db");
    let text = |err: Error| format!("Manifest.db: {err}");
    let mut source = File::open(&path).map_err(text)?;
    let mut target = File::create_new(&plain).map_err(text)?;
    let mut piece = vec![0; 256 << 10];
    loop {
        let count = source.read(&mut piece).map_err(text)?;
        let bytes = match count {
            0 => opening.finish(),
            _ => opening.push(&piece[..count]),
        };
        target.write_all(bytes.map_err(|err| err.to_string())?).map_err(text)?;
        if count == 0 {
            return Ok(plain);
        }
    }
}

pub(super) fn previous_status(line: &mut Line, udid: &str) -> Result<Option<Status>, Halt> {
    let bytes = fetch_small(line, format!("{udid}/Status.plist"), 0.0)?;
    Ok(bytes.and_then(|bytes| Status::parse(&bytes)))
}

pub(super) fn list(line: &mut Line, path: &str) -> Result<Vec<DirectoryEntry>, Halt> {
    let status = line.ask(FromDevice::ContentsOfDirectory { path: path.to_owned() })?;
    Ok(if status.code == DlCode::OK { status.entries() } else { Vec::new() })
}

/// All payloads in the main tree with their sizes, and whether a Snapshot folder stands beside them.
pub(super) fn tree_held(line: &mut Line, udid: &str) -> Result<(HashMap<String, u64>, bool), Halt> {
    let mut held = HashMap::new();
    let mut snapshot = false;
    for folder in list(line, udid)? {
        snapshot |= folder.name == "Snapshot";
        let is_prefix = folder.name.len() == 2 && folder.name.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_prefix || folder.kind != EntryKind::Directory {
            continue;
        }
        for file in list(line, &format!("{udid}/{}", folder.name))? {
            if file.kind == EntryKind::Regular {
                held.insert(format!("{}/{}", folder.name, file.name), file.size);
            }
        }
    }
    Ok((held, snapshot))
}

/// The manifest on the host, when an incremental backup can be built on it.
pub(super) fn previous_manifest(
    phone: &Phone,
    line: &mut Line,
    udid: &str,
    payloads: &HashMap<String, u64>,
    ring: Option<&Keyring>,
) -> Result<Option<Previous>, Halt> {
    let facts = fetch_small(line, format!("{udid}/Manifest.plist"), 0.0)?.and_then(|b| ManifestFacts::parse(&b));
    // Encryption switched on or off, or another password: nothing of the old backup fits.
    let fits = |f: &ManifestFacts| {
        f.encrypted == ring.is_some()
            && f.keybag.as_deref() == ring.map(|ring| &ring.keybag[..])
            && f.udid.as_deref() == Some(udid)
            && f.version == "10.0"
    };
    let Some(facts) = facts.filter(fits) else { return Ok(None) };
    let Some(folder) = fetch_db(line, format!("{udid}/Manifest.db"), 0.0)? else { return Ok(None) };
    let opened = open_db(&folder, ring.map(|ring| &ring.keys), facts.manifest_key.as_deref());
    let rows = match opened.and_then(|path| manifest::read_db(&path)) {
        Ok(rows) => rows,
        Err(why) => {
            phone.remember("backup.old-manifest", serde_json::json!({ "bad": why }));
            return Ok(None);
        }
    };
    let size = |r: &OldRow| stored(r.file.size, ring.is_some());
    let whole = rows.iter().filter(|r| r.flags == 1).all(|r| payloads.get(&payload_name(&r.id)) == Some(&size(r)));
    if !whole {
        phone.remember("backup.old-manifest", serde_json::json!({ "bad": "references files not in backup" }));
        return Ok(None);
    }
    Ok(Some(Previous { rows: rows.into_iter().map(|row| (row.id, row)).collect() }))
}
