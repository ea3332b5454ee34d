//! A restore, as the phone takes it.
//!
//! The phone fetches the three indexes and Info.plist, judges them (finished? for a system that it has?
//! encrypted?), then fetches every payload in batches, near the end asks for an empty list as real ones
//! do, and only when every byte was right replaces its data. "Right" means: the size of the manifest, its
//! SHA-1 where it has one, and, where this bench handed the file out in a backup, the same contents. An
//! encrypted backup is opened with the password that the host sends along, and judged by its plain bytes.

use super::files::{Entry, Kind};
use super::furnish::{is_system_domain, is_systems};
use super::held::{fetch_db, fetch_small, open_db};
use super::line::{Got, Halt, Line};
use super::manifest::{self, ManifestFacts, OldRow, Status, payload_name};
use crate::virt::phone::Phone;
use crate::wire::devicelink::DlCode;
use crate::wire::devicelink::request::RestoreOptions;
use crate::wire::keybag::Keybag;
use crate::wire::seal::{Keys, Opening, SealError};
use serde_json::json;
use std::collections::{HashMap, HashSet};

const BATCH_FILES: usize = 128;
const BATCH_BYTES: u64 = 64 << 20;
/// A file beyond it is not believed.
const MAX_FILE: u64 = 1 << 40;

/// A row and, for files, what came for it.
struct Staged {
    row: OldRow,
    entry: Entry,
}

pub(super) fn restore(phone: &Phone, line: &mut Line, source: &str, options: &RestoreOptions) -> Result<(), Halt> {
    // Find My begins with the end of the setup; before the account is given nothing may change the phone.
    let guarded = {
        let state = phone.state();
        state.find_my && (state.setup_done || !state.activated)
    };
    if guarded {
        return Err(Halt::refused(211, "Find My must be turned off before a restore"));
    }
    let facts = read_facts(phone, line, source)?;
    let keys = unlock(&facts, options)?;
    let keys = keys.as_ref();
    let folder = fetch_db(line, format!("{source}/Manifest.db"), 1.0)?
        .ok_or_else(|| Halt::refused(205, "Manifest.db is not in the backup"))?;
    let opened = open_db(&folder, keys, facts.manifest_key.as_deref());
    let rows = opened.and_then(|path| manifest::read_db(&path)).map_err(|why| {
        phone.remember("restore.mismatch", json!({ "path": "Manifest.db", "why": why }));
        Halt::refused(205, "Manifest.db is not valid")
    })?;
    drop(folder);
    fetch_small(line, format!("{source}/Info.plist"), 2.0)?;
    let rows: Vec<OldRow> = rows
        .into_iter()
        .filter(|r| options.system_files || !is_system_domain(&r.domain))
        .filter(|r| !(options.preserve_settings && is_systems(&r.domain, &r.path)))
        .collect();
    rows.iter().try_for_each(sane)?;
    let (files, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|r| r.flags == 1);
    let bytes = files.iter().fold(0_u64, |sum, r| sum.saturating_add(r.file.size));
    phone.remember(
        "restore.begun",
        json!({
            "source": source, "files": files.len(), "bytes": bytes, "reboot": options.reboot,
            "system_files": options.system_files, "preserve_settings": options.preserve_settings,
            "remove_others": options.remove_others, "copy_first": options.copy_first, "encrypted": keys.is_some(),
        }),
    );
    let mut fetched = Fetched::default();
    let mut staged = fetch_files(phone, line, source, files, keys, &mut fetched)?;
    if let Some(path) = line.faults().restore_missing_path.clone() {
        let status = line.download(vec![path.clone()], 97.0, false, |_| Ok(()))?;
        phone.remember("restore.missing-asked", json!({ "path": path, "code": status.code.0 }));
        if status.code != DlCode::OK {
            return Err(Halt::refused(205, "Multiple errors downloading files"));
        }
    }
    let empty = line.download(Vec::new(), 97.010_055, false, |_| Ok(()))?;
    if empty.code != DlCode::OK {
        return Err(Halt::refused(205, "Multiple errors downloading files"));
    }
    if fetched.wrong > 0 {
        return Err(Halt::refused(205, format!("{} files are not what the manifest says", fetched.wrong)));
    }
    staged.extend(others.into_iter().filter_map(directory_or_link));
    let rows = staged.len();
    apply(phone, staged, options);
    if let Some(name) = facts.device_name {
        phone.state().name = name;
    }
    phone.remember(
        "restore.finished",
        json!({
            "files": fetched.files, "bytes": fetched.bytes, "rows": rows, "digests_checked": fetched.digests,
            "known_contents": fetched.known, "reboot": options.reboot,
        }),
    );
    Ok(())
}

/// Status.plist and Manifest.plist, judged.
fn read_facts(phone: &Phone, line: &mut Line, source: &str) -> Result<ManifestFacts, Halt> {
    let status = fetch_small(line, format!("{source}/Status.plist"), 0.0)?;
    let status = status.and_then(|b| Status::parse(&b));
    let status = status.ok_or_else(|| Halt::refused(205, "Status.plist is missing or not valid"))?;
    if status.snapshot_state != "finished" {
        return Err(Halt::refused(205, format!("The backup is not finished but {}", status.snapshot_state)));
    }
    let facts = fetch_small(line, format!("{source}/Manifest.plist"), 0.5)?;
    let facts = facts.and_then(|b| ManifestFacts::parse(&b));
    let facts = facts.ok_or_else(|| Halt::refused(205, "Manifest.plist is missing or not valid"))?;
    if !status.is_modern() || facts.version != "10.0" {
        return Err(Halt::refused(203, format!("Unsupported backup version {}", facts.version)));
    }
    let own = phone.state().version.clone();
    if let Some(theirs) = facts.product_version.as_ref().filter(|v| **v > own) {
        return Err(Halt::refused(203, format!("The backup is of {theirs}, this device runs {own}")));
    }
    Ok(facts)
}

/// The keys of an encrypted backup.
fn unlock(facts: &ManifestFacts, options: &RestoreOptions) -> Result<Option<Keys>, Halt> {
    if !facts.encrypted {
        return Ok(None);
    }
    let keybag = facts.keybag.as_deref().and_then(|bytes| Keybag::parse(bytes).ok());
    let keybag = keybag.ok_or_else(|| Halt::refused(205, "The keybag is missing or not valid"))?;
    let wrong = || Halt::refused(207, "Invalid password");
    match Keys::unlock(&keybag, options.password.as_ref().ok_or_else(wrong)?) {
        Ok(keys) => Ok(Some(keys)),
        Err(SealError::WrongPassword) => Err(wrong()),
        Err(SealError::Damaged(why)) => Err(Halt::refused(205, why)),
    }
}

fn sane(row: &OldRow) -> Result<(), Halt> {
    let parts_ok = row.path.is_empty() || row.path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    let domain_ok = !row.domain.is_empty() && !row.domain.contains(['/', '\0']) && !row.domain.starts_with('.');
    if !parts_ok || !domain_ok || row.path.contains('\0') {
        return Err(Halt::refused(205, format!("File path is invalid: {}:/{}", row.domain, row.path)));
    }
    if row.file.size > MAX_FILE || ![1, 2, 4].contains(&row.flags) {
        return Err(Halt::refused(205, format!("Manifest entry is invalid: {}:/{}", row.domain, row.path)));
    }
    Ok(())
}

#[derive(Default)]
struct Fetched {
    files: usize,
    bytes: u64,
    wrong: usize,
    digests: usize,
    /// Contents that this bench knows: handed out, or vouched for by their own stamp.
    known: usize,
}

fn fetch_files(
    phone: &Phone,
    line: &mut Line,
    source: &str,
    mut files: Vec<OldRow>,
    keys: Option<&Keys>,
    fetched: &mut Fetched,
) -> Result<Vec<Staged>, Halt> {
    let bytes = files.iter().fold(0_u64, |sum, r| sum.saturating_add(r.file.size));
    files.sort_by(|a, b| (&a.domain, &a.path).cmp(&(&b.domain, &b.path)));
    let mut staged = Vec::with_capacity(files.len());
    let mut left = files.into_iter().peekable();
    while left.peek().is_some() {
        let (mut batch, mut batch_bytes) = (Vec::new(), 0_u64);
        while let Some(next) = left.next_if(|r| {
            batch.is_empty() || (batch.len() < BATCH_FILES && batch_bytes.saturating_add(r.file.size) <= BATCH_BYTES)
        }) {
            batch_bytes = batch_bytes.saturating_add(next.file.size);
            batch.push(next);
        }
        fetched.bytes += batch_bytes;
        let mut progress = 3.0 + 93.0 * (fetched.bytes as f64 / bytes.max(1) as f64).min(1.0);
        if line.faults().extra_progress_backwards {
            progress *= 0.7;
        }
        staged.extend(fetch_batch(phone, line, source, batch, keys, progress, fetched)?);
    }
    Ok(staged)
}

fn fetch_batch(
    phone: &Phone,
    line: &mut Line,
    source: &str,
    batch: Vec<OldRow>,
    keys: Option<&Keys>,
    progress: f64,
    fetched: &mut Fetched,
) -> Result<Vec<Staged>, Halt> {
    let paths: Vec<String> = batch.iter().map(|r| format!("{source}/{}", payload_name(&r.id))).collect();
    let mut awaited: HashMap<String, OldRow> = paths.iter().cloned().zip(batch).collect();
    let mut staged = Vec::with_capacity(paths.len());
    let mut current = None;
    let mut stray = 0;
    let any_size = line.faults().takes_other_sizes;
    let status = line.download(paths, progress, true, |got| {
        match got {
            Got::Name(name) => match awaited.remove(name) {
                Some(row) => {
                    let intake = phone.files.intake(row.file.size, row.file.digest.is_some()).all(any_size);
                    let opening = keys.map(|keys| opening(keys, &row)).transpose();
                    current = Some((row, intake, opening));
                }
                None => {
                    stray += 1;
                    phone.remember("restore.mismatch", json!({ "path": name, "why": "nobody asked for it" }));
                }
            },
            Got::Data(data) => {
                if let Some((_, intake, opening)) = &mut current {
                    match opening {
                        Ok(None) => intake.push(data)?,
                        Ok(Some(opener)) => match opener.push(data) {
                            Ok(plain) => intake.push(plain)?,
                            Err(err) => *opening = Err(err),
                        },
                        Err(_) => {}
                    }
                }
            }
            Got::Failed(text) => {
                if let Some((row, ..)) = current.take() {
                    let detail = json!({ "domain": row.domain, "path": row.path, "why": text });
                    phone.remember("restore.mismatch", detail);
                    stray += 1;
                }
            }
            Got::End => {
                if let Some((row, mut intake, mut opening)) = current.take() {
                    if let Ok(Some(opener)) = &mut opening {
                        match opener.finish() {
                            Ok(plain) => intake.push(plain)?,
                            Err(err) => opening = Err(err),
                        }
                    }
                    let taken = intake.finish()?;
                    fetched.files += 1;
                    fetched.digests += usize::from(row.file.digest.is_some());
                    let kind = Kind::File(taken.content);
                    let size_right = taken.size == row.file.size;
                    let digest_right = row.file.digest.is_none() || taken.sha1 == row.file.digest;
                    let entry = row.file.clone().into_entry(kind);
                    let handed_out = phone.files.was_handed_out(&row.id, entry.mark()?);
                    fetched.known += usize::from(handed_out == Some(true) || (handed_out.is_none() && taken.known));
                    let why = match () {
                        () if let Err(err) = &opening => Some(err.to_string()),
                        () if !size_right && any_size => None,
                        () if !size_right => Some(format!("{} bytes instead of {}", taken.size, row.file.size)),
                        () if !digest_right => Some("another SHA-1 than the manifest says".to_owned()),
                        () if handed_out == Some(false) => Some("not what this phone handed out".to_owned()),
                        () => None,
                    };
                    match why {
                        None => staged.push(Staged { row, entry }),
                        Some(why) => {
                            fetched.wrong += 1;
                            let detail = json!({ "domain": row.domain, "path": row.path, "why": why });
                            phone.remember("restore.mismatch", detail);
                        }
                    }
                }
            }
        }
        Ok(())
    })?;
    if status.code != DlCode::OK || stray > 0 || !awaited.is_empty() {
        let missing: Vec<String> = awaited.into_values().take(20).map(|r| format!("{}-{}", r.domain, r.path)).collect();
        phone.remember("restore.mismatch", json!({ "missing": missing, "code": status.code.0 }));
        return Err(Halt::refused(205, "Multiple errors downloading files"));
    }
    Ok(staged)
}

/// What decrypts the payload of a row.
fn opening(keys: &Keys, row: &OldRow) -> Result<Opening, SealError> {
    let wrapped = row.file.key.as_deref().ok_or_else(|| SealError::Damaged("a file without a key".into()))?;
    Opening::new(&keys.content_key(wrapped)?, true)
}

fn directory_or_link(row: OldRow) -> Option<Staged> {
    let kind = match row.flags {
        4 => Kind::Link(row.file.target.clone()?),
        _ => Kind::Directory,
    };
    let entry = row.file.clone().into_entry(kind);
    Some(Staged { row, entry })
}

/// Replaces the phone's data: nothing was touched before, nothing can fail any more.
fn apply(phone: &Phone, staged: Vec<Staged>, options: &RestoreOptions) {
    if options.remove_others {
        let restored: HashSet<(&str, &str)> =
            staged.iter().map(|s| (s.row.domain.as_str(), s.row.path.as_str())).collect();
        phone.files.retain(|domain, path| {
            restored.contains(&(domain, path))
                || is_systems(domain, path)
                || (!options.system_files && is_system_domain(domain))
        });
    }
    for Staged { row, entry } in staged {
        phone.files.adopt(&row.domain, &row.path, entry);
    }
}
