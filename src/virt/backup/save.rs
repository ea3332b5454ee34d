//! A backup, as the phone makes it.
//!
//! The order is the observed one: passcode, previous state, listings, free space, folders, batches into
//! `Snapshot`, manifests, moves, removals, and at the end the phone reads its manifests and the listings
//! back before it calls the backup finished. What the host holds decides between full and incremental:
//! an incremental backup needs a finished one of this phone, in the present format, whose every payload
//! is listed with the right size; anything else is done in full.

use super::agent::ask_passcode;
use super::files::Kind;
use super::furnish::hex;
use super::held::{fetch_db, fetch_small, list, previous_manifest, previous_status, tree_held};
use super::line::{Halt, Line, Outgoing, mb_error};
use super::lockbox::Keyring;
use super::manifest::{self, OldRow, Row, Status, payload_name};
use super::{Content, HostileIn, content::mix};
use crate::ids::Version;
use crate::virt::phone::{Phone, random_bytes};
use crate::wire::devicelink::{DlCode, FromDevice, Status as Answer};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{self, Error, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

/// Files per UploadFiles and per MoveItems.
const BATCH_FILES: usize = 128;
const BATCH_BYTES: u64 = 64 << 20;
/// What must be free beyond the upload itself.
const HEADROOM: u64 = 128 << 20;

/// Makes one backup on the host at the other end.
///
/// # Errors
/// What the phone tells the host with a number of MBErrorDomain, or a lost link.
pub(super) fn backup(phone: &Arc<Phone>, line: &mut Line, force_full: bool) -> Result<(), Halt> {
    let udid = phone.udid.as_str().to_owned();
    let version = phone.state().version.clone();
    if asks_passcode(&version) {
        ask_passcode(phone, line)?;
    }
    if !phone.state().setup_done {
        return Err(Halt::refused(212, "Setup Assistant is not finished"));
    }
    let ring = phone.lockbox.ring(phone)?;
    let ring = ring.as_deref();
    if ring.is_none() && phone.spec.requires_encryption {
        return Err(Halt::refused(207, "Encryption is required by a profile and is not switched on"));
    }
    if line.faults().silence_before_first_file_ms > 0 {
        line.pause(Duration::from_millis(line.faults().silence_before_first_file_ms))?;
    }
    let rows: Vec<Row> = phone.files.list_for(ring.is_some()).into_iter().map(Row::new).collect();
    let held = previous_status(line, &udid)?;
    if held.is_none() {
        // Seen on an empty target only: a host may have no such folder, and not every host forgives the question.
        list(line, &format!("{udid}/Snapshot"))?;
    }
    let (payloads, leftovers) = tree_held(line, &udid)?;
    let previous = match held {
        // While a snapshot was uploading the old tree stood untouched beside it, so it is as good as before.
        Some(s) if !force_full && s.is_modern() && ["finished", "uploading"].contains(&s.snapshot_state.as_str()) => {
            previous_manifest(phone, line, &udid, &payloads, ring)?
        }
        _ => None,
    };
    let full = previous.is_none();
    let previous = previous.unwrap_or_default();
    let error_every = line.faults().file_error_every.filter(|n| *n > 0);
    let mut wanted: Vec<(Row, bool)> = Vec::new();
    for row in rows.iter().filter(|r| r.is_file()) {
        if unchanged(row, previous.rows.get(&row.id), ring)? {
            continue;
        }
        let fails = error_every.is_some_and(|n| (wanted.len() as u32 + 1).is_multiple_of(n));
        wanted.push((row.clone(), fails));
    }
    let bytes = wanted.iter().map(|(row, _)| row.stored(ring.is_some())).sum::<u64>();
    let begun = serde_json::json!({
        "full": full, "files": wanted.len(), "bytes": bytes, "rows": rows.len(), "encrypted": ring.is_some(),
    });
    phone.remember("backup.begun", begun);

    free_space(line, bytes)?;
    if leftovers {
        remove(line, vec![format!("{udid}/Snapshot")], 0.0)?;
    }
    order_directory(line, &udid)?;
    order_directory(line, &format!("{udid}/Snapshot"))?;
    let mut status = Status::new(full, mix(phone.ecid.0, random_number()));
    send_status(line, &udid, &status)?;
    upload_files(phone, line, &udid, &wanted, bytes, ring)?;

    // Files that could not be read are not in the new manifest.
    let failed: HashSet<[u8; 20]> = wanted.iter().filter(|(_, fails)| *fails).map(|(row, _)| row.id).collect();
    let kept: Vec<Row> = rows.into_iter().filter(|row| !failed.contains(&row.id)).collect();
    let mut db = manifest::write_db(&kept, ring, line.faults().wrong_wrap_at_file)?;
    let mut manifest_key = None;
    if let Some(ring) = ring.filter(|ring| ring.seals_manifest) {
        let (key, wrapped) = ring.manifest_key()?;
        (db, manifest_key) = (db.sealed(&key)?, Some(wrapped));
    }
    let plist = manifest::manifest_plist(phone, ring, manifest_key)?;
    send_manifests(line, &udid, &plist, &db)?;

    status.snapshot_state = "moving".into();
    send_status(line, &udid, &status)?;
    let moved = move_items(line, &udid, &wanted, &payloads)?;
    status.snapshot_state = "removing".into();
    send_status(line, &udid, &status)?;
    let needed: HashSet<[u8; 20]> = kept.iter().filter(|r| r.is_file()).map(|r| r.id).collect();
    let removed = remove_stale(line, &udid, &payloads, &needed)?;
    status.snapshot_state = "finished".into();
    status.backup_state = "new".into();
    send_status(line, &udid, &status)?;
    let short = short_file(line, &wanted).map(|row| row.id);
    let sizes: HashMap<String, u64> = kept
        .iter()
        .filter(|row| row.is_file() && Some(row.id) != short)
        .map(|row| (payload_name(&row.id), row.stored(ring.is_some())))
        .collect();
    check_result(line, &udid, &status, &plist, &db, &sizes)?;
    let marks: io::Result<Vec<_>> = kept.iter().filter(|r| r.is_file()).map(|r| Ok((r.id, r.entry.mark()?))).collect();
    phone.files.remember_handed_out(marks?);
    let finished = serde_json::json!({
        "full": full, "files": wanted.len() - failed.len(), "bytes": bytes, "failed": failed.len(),
        "rows": kept.len(), "moved": moved, "removed": removed, "encrypted": ring.is_some(),
    });
    phone.remember("backup.finished", finished);
    Ok(())
}

/// 15.7.1 to 15.x and 16.1 on: each backup asks.
fn asks_passcode(version: &Version) -> bool {
    match version.major() {
        15 => *version >= Version(vec![15, 7, 1]),
        16 => *version >= Version(vec![16, 1]),
        major => major > 16,
    }
}

fn random_number() -> u64 {
    random_bytes(8).first_chunk::<8>().map_or(0, |b| u64::from_le_bytes(*b))
}

/// The file whose payload a fault cuts short.
fn short_file<'a>(line: &Line, wanted: &'a [(Row, bool)]) -> Option<&'a Row> {
    let number = line.faults().truncated_payload_at_file?.checked_sub(1)?;
    wanted.get(number as usize).map(|(row, _)| row)
}

fn unchanged(row: &Row, old: Option<&OldRow>, ring: Option<&Keyring>) -> io::Result<bool> {
    let Some(old) = old else { return Ok(false) };
    let entry = &row.entry;
    let key = ring.map(|ring| ring.content(row)).transpose()?.map(|(_, wrapped)| wrapped);
    Ok(old.flags == 1
        && old.file.key == key
        && old.file.size == entry.size()
        && old.file.modified == entry.modified
        && old.file.changed == entry.changed
        && old.file.mode == entry.mode)
}

fn free_space(line: &mut Line, bytes: u64) -> Result<(), Halt> {
    if let Some(bytes) = line.faults().purge_request {
        line.ask(FromDevice::PurgeDiskSpace { bytes, urgency: 4 })?;
    }
    let needed = line.faults().free_space_claim.unwrap_or(bytes).saturating_add(HEADROOM);
    for purged in [false, true] {
        let status = line.order(FromDevice::FreeDiskSpace, "Free space")?;
        let free = status.payload.as_unsigned_integer();
        let free = free.ok_or_else(|| Error::new(ErrorKind::InvalidData, "free space is no number"))?;
        if free > needed {
            return Ok(());
        }
        if purged {
            break;
        }
        let deficit = (needed - free).saturating_add(2 << 30);
        if line.ask(FromDevice::PurgeDiskSpace { bytes: deficit, urgency: 4 })?.code != DlCode::OK {
            break;
        }
    }
    Err(Halt::refused(105, "Insufficient free disk space on drive to back up"))
}

// -- upload --

fn order_directory(line: &mut Line, path: &str) -> Result<(), Halt> {
    let status = line.ask(FromDevice::CreateDirectory { path: path.to_owned() })?;
    match status.code {
        DlCode::OK | DlCode::EXISTS => Ok(()),
        code => Err(Halt::refused(mb_error(code), "Creating a directory failed")),
    }
}

fn uploaded(status: Answer) -> Result<(), Halt> {
    match status.code {
        DlCode::OK => Ok(()),
        DlCode::NO_SPACE => Err(Halt::refused(105, "Insufficient free disk space on drive to back up")),
        _ => Err(Halt::refused(104, "Multiple errors uploading files")),
    }
}

fn plain(device_path: String, host_path: String, content: Content) -> Outgoing {
    Outgoing { device_path, host_path, content: Ok(content), key: None, lacks: 0 }
}

fn small(host_path: String, bytes: &[u8]) -> Outgoing {
    let device_path = format!("/var/tmp/tmp.{}", host_path.rsplit('/').next().unwrap_or_default());
    plain(device_path, host_path, Content::Bytes(bytes.into()))
}

fn send_status(line: &mut Line, udid: &str, status: &Status) -> Result<(), Halt> {
    let file = small(format!("{udid}/Status.plist"), &status.build()?);
    uploaded(line.upload(progress_of(&status.snapshot_state), 0, None, &[file])?)
}

fn progress_of(state: &str) -> f64 {
    match state {
        "uploading" => 0.0,
        "moving" => 96.5,
        _ => 100.0,
    }
}

fn send_manifests(line: &mut Line, udid: &str, plist: &[u8], db: &Content) -> Result<(), Halt> {
    let file = small(format!("{udid}/Snapshot/Manifest.plist"), plist);
    uploaded(line.upload(95.5, 0, None, &[file])?)?;
    let device_path = "/var/root/Library/Caches/Backup/Manifest.db".into();
    let file = plain(device_path, format!("{udid}/Snapshot/Manifest.db"), db.clone());
    uploaded(line.upload(96.0, 0, None, &[file])?)
}

fn device_path(row: &Row) -> String {
    let (domain, path) = (&*row.domain, &*row.path);
    match domain {
        "HomeDomain" | "CameraRollDomain" | "MediaDomain" => format!("/.ba/mobile/{path}"),
        "WirelessDomain" => format!("/.ba/wireless/{path}"),
        "RootDomain" => format!("/.ba/root/{path}"),
        _ => format!("/.ba/{domain}/{path}"),
    }
}

fn upload_files(
    phone: &Phone,
    line: &mut Line,
    udid: &str,
    wanted: &[(Row, bool)],
    bytes: u64,
    ring: Option<&Keyring>,
) -> Result<(), Halt> {
    let short = short_file(line, wanted).map(|row| row.id);
    if let Some(path) = line.faults().hostile_path.clone() {
        be_hostile(phone, line, udid, path)?;
    }
    let mut folders = BTreeSet::new();
    let (mut at, mut sent, mut batch_number) = (0, 0_u64, 0_u64);
    while at < wanted.len() {
        let (mut batch, mut batch_bytes) = (Vec::new(), 0);
        for (row, fails) in wanted[at..].iter().take(BATCH_FILES) {
            let size = row.stored(ring.is_some());
            if !batch.is_empty() && batch_bytes + size > BATCH_BYTES {
                break;
            }
            let Kind::File(content) = &row.entry.kind else { continue };
            let name = payload_name(&row.id);
            if folders.insert(hex(&row.id[..1])) {
                order_directory(line, &format!("{udid}/Snapshot/{}", hex(&row.id[..1])))?;
            }
            batch_bytes += size;
            let content = if *fails { Err("Input/output error (5)".to_owned()) } else { Ok(content.clone()) };
            let host_path = format!("{udid}/Snapshot/{name}");
            let key = ring.map(|ring| ring.content(row)).transpose()?.map(|(key, _)| key);
            let lacks = if short == Some(row.id) { 5 } else { 0 };
            batch.push(Outgoing { device_path: device_path(row), host_path, content, key, lacks });
        }
        at += batch.len();
        sent += batch_bytes;
        batch_number += 1;
        let mut progress = 95.0 * (sent as f64 / bytes.max(1) as f64).min(1.0);
        if line.faults().extra_progress_backwards && batch_number.is_multiple_of(3) {
            progress *= 0.6;
        }
        uploaded(line.upload(progress, batch_bytes, Some(0x1_0000_0000 + (batch_number << 8)), &batch)?)?;
        tracing::trace!(ecid = %phone.ecid, batch_number, batch_bytes, "backup batch");
    }
    Ok(())
}

/// The fault: one message with a path that no host may follow. Whatever the host answers, the backup goes on.
fn be_hostile(phone: &Phone, line: &mut Line, udid: &str, path: String) -> Result<(), Halt> {
    let own = format!("{udid}/Status.plist");
    let answer = match line.faults().hostile_in {
        HostileIn::Upload => {
            let content = Content::Bytes(b"This must not land outside the backup.\n".as_slice().into());
            let file = plain("/.ba/mobile/hostile".into(), path, content);
            line.upload(0.1, 39, Some(1), &[file])?
        }
        HostileIn::CreateDirectory => line.ask(FromDevice::CreateDirectory { path })?,
        HostileIn::MoveTo => line.ask(FromDevice::MoveItems { items: vec![(own, path)], progress: None })?,
        HostileIn::MoveFrom => line.ask(FromDevice::MoveItems { items: vec![(path, own)], progress: None })?,
        HostileIn::Remove => line.ask(FromDevice::RemoveItems { paths: vec![path], progress: None })?,
        HostileIn::List => line.ask(FromDevice::ContentsOfDirectory { path })?,
        HostileIn::Copy => line.ask(FromDevice::CopyItem { from: own, to: path })?,
    };
    phone.remember("backup.hostile", serde_json::json!({ "code": answer.code.0 }));
    Ok(())
}

// -- moving, removing, checking --

fn move_items(line: &mut Line, udid: &str, wanted: &[(Row, bool)], held: &HashMap<String, u64>) -> Result<usize, Halt> {
    let mut folders: HashSet<&str> = held.keys().filter_map(|name| name.split('/').next()).collect();
    let names: Vec<String> = wanted.iter().filter(|(_, fails)| !fails).map(|(row, _)| payload_name(&row.id)).collect();
    let mut made = BTreeSet::new();
    for folder in names.iter().filter_map(|name| name.split('/').next()) {
        if folders.insert(folder) {
            made.insert(folder);
        }
    }
    for folder in made {
        order_directory(line, &format!("{udid}/{folder}"))?;
    }
    let into_place = |name: &str| (format!("{udid}/Snapshot/{name}"), format!("{udid}/{name}"));
    let mut moves: Vec<Vec<(String, String)>> =
        names.chunks(BATCH_FILES).map(|chunk| chunk.iter().map(|name| into_place(name)).collect()).collect();
    moves.push(vec![into_place("Manifest.db")]);
    moves.push(vec![into_place("Manifest.plist")]);
    let count = moves.len();
    for (number, items) in moves.into_iter().enumerate() {
        let progress = Some(97.0 + 2.0 * (number + 1) as f64 / count as f64);
        line.order(FromDevice::MoveItems { items, progress }, "Moving items")?;
    }
    Ok(names.len())
}

fn remove(line: &mut Line, paths: Vec<String>, progress: f64) -> Result<(), Halt> {
    let status = line.ask(FromDevice::RemoveItems { paths, progress: Some(progress) })?;
    match status.code {
        DlCode::OK => Ok(()),
        _ => Err(Halt::refused(104, "Error removing snapshot directory")),
    }
}

fn remove_stale(
    line: &mut Line,
    udid: &str,
    held: &HashMap<String, u64>,
    needed: &HashSet<[u8; 20]>,
) -> Result<usize, Halt> {
    let needed: HashSet<String> = needed.iter().map(payload_name).collect();
    let mut stale: Vec<String> =
        held.keys().filter(|name| !needed.contains(*name)).map(|name| format!("{udid}/{name}")).collect();
    stale.sort();
    for chunk in stale.chunks(BATCH_FILES) {
        remove(line, chunk.to_vec(), 100.0)?;
    }
    remove(line, vec![format!("{udid}/Snapshot")], 100.0)?;
    Ok(stale.len())
}

/// Reads the result back from the host.
fn check_result(
    line: &mut Line,
    udid: &str,
    status: &Status,
    plist: &[u8],
    db: &Content,
    sizes: &HashMap<String, u64>,
) -> Result<(), Halt> {
    let broken = |what: &str| Halt::refused(205, format!("{what} came back other than it was sent"));
    let back = fetch_small(line, format!("{udid}/Status.plist"), 100.0)?;
    if back.and_then(|b| Status::parse(&b)).as_ref() != Some(status) {
        return Err(broken("Status.plist"));
    }
    if fetch_small(line, format!("{udid}/Manifest.plist"), 100.0)?.as_deref() != Some(plist) {
        return Err(broken("Manifest.plist"));
    }
    let folder = fetch_db(line, format!("{udid}/Manifest.db"), 100.0)?.ok_or_else(|| broken("Manifest.db"))?;
    let file = File::open(folder.path().join("Manifest.db"))?;
    let size = file.metadata()?.len();
    let back = Content::Spilled { file: file.into(), offset: 0, size };
    if size != db.size() || back.sha1()? != db.sha1()? {
        return Err(broken("Manifest.db"));
    }
    let (held, _) = tree_held(line, udid)?;
    let whole = sizes.iter().all(|(name, size)| held.get(name) == Some(size));
    if !whole {
        return Err(Halt::refused(205, "Manifest references files not in backup"));
    }
    Ok(())
}
