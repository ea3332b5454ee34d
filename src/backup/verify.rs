//! Is this folder a whole backup? Every defect as a value of its own.
//!
//! The quick way looks at everything but contents: the three property lists parse, the phone said it finished, SQLite
//! finds its file sound, and every file in the manifest has a payload of the right size. The deep way reads every
//! byte and compares with the digests taken while it was received, which is how a rotting disk shows.
//!
//! Since iOS 10.2 an encrypted backup encrypts its manifest too. Without the password nobody can say which payloads
//! belong to it; that is a finding ([`Finding::Sealed`]), not silence. Its keybag and, deeply, its payloads can still
//! be checked. With the password ([`verify_with`]) the key of every file must open too, and the deep way looks whether
//! each payload ends as its key and size say.

use super::Cancel;
use super::crypt::{Keys, Seal, Unlock, open_manifest};
use super::digests::{List, digest_of, walk};
use super::finding::{Finding, MAX_FINDINGS, Verdict, clip};
use super::manifest::{FLAG_FILE, Manifest, Record, is_file_id, payload_path};
use super::mbfile::{key_of, size_of};
use super::plists::{self, Unread};
use super::tree::{WorkTree, disk, open_file};
use crate::event::{Event, Step, Tell, Unit};
use crate::fault::{Code, Fault};
use crate::wire::seal::{SealError, ends_well, stored_size};
use plist::{Dictionary, Value};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

const TELL_EVERY: u64 = 4096;
/// So many findings of the deep look are told by the device's names; a hostile manifest has no index for that.
const NAMED: usize = 1000;

/// How closely to look.
#[derive(Clone, Copy, Debug)]
pub enum Depth<'a> {
    Quick,
    /// Sizes that the manifest does not confirm are judged by this list (`digests.tsv` of a generation).
    Listed(&'a Path),
    /// Also read every byte and compare with the list.
    Deep(&'a Path),
}

/// Payloads of another size than the manifest says, by their place in the list of digests; and where their findings
/// are.
pub(super) type Suspects = HashMap<String, usize>;

/// Looks at the backup of one device: `folder` is the one named by its UDID. Reads only.
///
/// # Errors
/// Disk faults and cancel; what is wrong with the backup is in the verdict.
pub fn verify(folder: &Path, depth: Depth<'_>, tell: &dyn Tell, cancel: &Cancel) -> Result<Verdict, Fault> {
    verify_with(folder, depth, None, tell, cancel)
}

/// As [`verify`], and with its password into an encrypted backup; of another one `unlock` is not looked at.
///
/// # Errors
/// As [`verify`], and [`Code::BackupPasswordWrong`].
pub fn verify_with(
    folder: &Path,
    depth: Depth<'_>,
    unlock: Option<Unlock<'_>>,
    tell: &dyn Tell,
    cancel: &Cancel,
) -> Result<Verdict, Fault> {
    let mut looked = look(folder, matches!(depth, Depth::Deep(_)), unlock, tell, cancel)?;
    let (list, deep) = match depth {
        Depth::Quick => return Ok(looked.verdict),
        Depth::Listed(list) => (list, false),
        Depth::Deep(list) => (list, true),
    };
    if deep || !looked.suspects.is_empty() {
        compare(folder, list, deep, &mut looked, tell, cancel)?;
    }
    Ok(looked.verdict)
}

/// What was seen without digests.
pub(super) struct Looked {
    pub verdict: Verdict,
    pub suspects: Suspects,
    /// To find names in, where it could be opened.
    manifest: Option<Manifest>,
}

/// The look at all but digests.
pub(super) fn look(
    folder: &Path,
    deep: bool,
    unlock: Option<Unlock<'_>>,
    tell: &dyn Tell,
    cancel: &Cancel,
) -> Result<Looked, Fault> {
    let mut verdict = Verdict::default();
    let missing = || Fault::new(Code::BackupNone, format!("{} is no folder", folder.display()));
    if !folder.is_dir() {
        return Err(missing());
    }
    let list = look_at_lists(folder, &mut verdict)?;
    let unsealed = if verdict.encrypted { look_at_keybag(&list, unlock, &mut verdict)? } else { None };
    if folder.join("Snapshot").symlink_metadata().is_ok() {
        verdict.add(Finding::SnapshotLeft);
    }
    let mut suspects = Suspects::new();
    let manifest = look_at_manifest(folder, unsealed, deep, &mut verdict, &mut suspects, tell, cancel)?;
    Ok(Looked { verdict, suspects, manifest })
}

/// Answers Manifest.plist, empty where it cannot be read.
fn look_at_lists(folder: &Path, verdict: &mut Verdict) -> Result<Dictionary, Fault> {
    let mut manifest = Dictionary::new();
    for file in ["Status.plist", "Manifest.plist", "Info.plist"] {
        match plists::read(&folder.join(file)) {
            Ok(dict) if file == "Status.plist" => match plists::snapshot_state(&dict) {
                Some("finished") => {}
                state => verdict.add(Finding::NotFinished { state: clip(state.unwrap_or("unknown")) }),
            },
            Ok(dict) if file == "Manifest.plist" => {
                verdict.encrypted = dict.get("IsEncrypted").and_then(Value::as_boolean).unwrap_or(false);
                manifest = dict;
            }
            Ok(_) => {}
            Err(Unread::Missing) => verdict.add(Finding::FileAbsent { file: file.into() }),
            Err(Unread::Damaged(why)) => verdict.add(Finding::PlistDamaged { file: file.into(), why }),
            Err(Unread::Disk(fault)) => return Err(fault),
        }
    }
    Ok(manifest)
}

/// What the password opened.
struct Unsealed<'a> {
    seal: Seal,
    keys: Keys,
    scratch: &'a Path,
}

fn look_at_keybag<'a>(
    list: &Dictionary,
    unlock: Option<Unlock<'a>>,
    verdict: &mut Verdict,
) -> Result<Option<Unsealed<'a>>, Fault> {
    let seal = match Seal::read(list) {
        Ok(seal) => seal,
        Err(why) => {
            verdict.add(Finding::KeybagDamaged { why: clip(&why) });
            return Ok(None);
        }
    };
    let Some(unlock) = unlock else { return Ok(None) };
    match Keys::unlock(&seal.keybag, unlock.password) {
        Ok(keys) => {
            for class in keys.lost() {
                verdict.add(Finding::KeybagDamaged { why: format!("the key of class {class} does not open") });
            }
            Ok(Some(Unsealed { seal, keys, scratch: unlock.scratch }))
        }
        Err(SealError::Damaged(why)) => {
            verdict.add(Finding::KeybagDamaged { why: clip(&why) });
            Ok(None)
        }
        Err(wrong) => Err(wrong.into()),
    }
}

fn look_at_manifest(
    folder: &Path,
    unsealed: Option<Unsealed<'_>>,
    deep: bool,
    verdict: &mut Verdict,
    suspects: &mut Suspects,
    tell: &dyn Tell,
    cancel: &Cancel,
) -> Result<Option<Manifest>, Fault> {
    let path = folder.join("Manifest.db");
    let mut magic = [0; 16];
    let readable = match open_file(&path) {
        Ok(mut file) => file.read_exact(&mut magic).is_ok() && &magic == b"SQLite format 3\0",
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
            verdict.add(match folder.join("Manifest.mbdb").exists() {
                true => Finding::OldManifest,
                false => Finding::FileAbsent { file: "Manifest.db".into() },
            });
            return Ok(None);
        }
        Err(err) if err.kind() == std::io::ErrorKind::InvalidData => {
            verdict.add(Finding::ManifestDamaged { why: err.to_string() });
            return Ok(None);
        }
        Err(err) => return Err(disk(&path, err)),
    };
    let damaged = |fault: Fault| match fault.code {
        Code::BackupDamaged => Ok(Finding::ManifestDamaged { why: clip(&fault.detail) }),
        _ => Err(fault),
    };
    let opened = match &unsealed {
        _ if readable => Manifest::open(&path),
        Some(open) => open_manifest(folder, &open.seal, &open.keys, open.scratch, cancel),
        None => {
            verdict.add(match verdict.encrypted {
                true => Finding::Sealed,
                false => Finding::ManifestDamaged { why: "is no SQLite file".into() },
            });
            return Ok(None);
        }
    };
    let manifest = match opened {
        Ok(manifest) => manifest,
        Err(fault) => {
            verdict.add(damaged(fault)?);
            return Ok(None);
        }
    };
    if let Some(why) = manifest.complaint() {
        verdict.add(Finding::ManifestDamaged { why: clip(&why) });
    }
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
    let handle = rustix::fs::open(folder, flags, Mode::empty()).map_err(|e| disk(folder, e))?;
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let keys = unsealed.as_ref().map(|u| &u.keys);
    let look = Look { name, folder: handle, prefixes: Prefixes::new(), encrypted: verdict.encrypted, keys, deep };
    let mut seen = 0u64;
    let walked = manifest.each(|record| {
        seen += 1;
        if seen.is_multiple_of(TELL_EVERY) {
            cancel.check()?;
            tell.tell(Event::Progress { step: Step::VerifyBackup, unit: Unit::Files, done: seen, total: None });
        }
        look_at_row(&look, record, verdict, suspects);
        Ok(())
    });
    if let Err(fault) = walked {
        let finding = damaged(fault)?;
        // One complaint about the file is enough.
        if !verdict.findings.iter().any(|f| matches!(f, Finding::ManifestDamaged { .. })) {
            verdict.add(finding);
        }
    }
    Ok(Some(manifest))
}

/// Which of the 256 folders of payloads are folders: a link in the place of one would lead out of the backup.
struct Prefixes([Cell<Option<bool>>; 256]);

impl Prefixes {
    fn new() -> Self {
        Prefixes([const { Cell::new(None) }; 256])
    }

    fn is_link(&self, folder: &OwnedFd, payload: &str) -> bool {
        let Some(name) = payload.get(..2) else { return false };
        let known = u8::from_str_radix(name, 16).ok().and_then(|at| self.0.get(usize::from(at)));
        let Some(known) = known else { return false };
        known.get().unwrap_or_else(|| {
            let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
            let is = stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink);
            known.set(Some(is));
            is
        })
    }
}

/// How rows are looked at.
struct Look<'k> {
    name: &'k str,
    folder: OwnedFd,
    prefixes: Prefixes,
    encrypted: bool,
    keys: Option<&'k Keys>,
    deep: bool,
}

fn look_at_row(look: &Look<'_>, record: Record<'_>, verdict: &mut Verdict, suspects: &mut Suspects) {
    if !is_file_id(record.file_id) {
        return verdict.add(Finding::BadFileId { file_id: clip(record.file_id) });
    }
    let Some(payload) = payload_path(record.file_id).filter(|_| record.flags == FLAG_FILE) else { return };
    let (file_id, domain, path) = (record.file_id.to_owned(), clip(record.domain), clip(record.path));
    if look.prefixes.is_link(&look.folder, &payload) {
        return verdict.add(Finding::NotAFile { file_id, domain, path });
    }
    let stat = match rustix::fs::statat(&look.folder, payload.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => stat,
        Ok(_) => return verdict.add(Finding::NotAFile { file_id, domain, path }),
        Err(_) => return verdict.add(Finding::PayloadAbsent { file_id, domain, path }),
    };
    let found = u64::try_from(stat.st_size).unwrap_or(0);
    verdict.files += 1;
    verdict.bytes += found;
    let Some(size) = record.blob.and_then(size_of) else {
        return verdict.add(Finding::RecordUnreadable { file_id, domain, path });
    };
    let key = record.blob.and_then(key_of);
    let empty = size == 0 && key.is_none();
    // An encrypted payload is padded to whole blocks, always by at least one byte.
    let padded = look.encrypted && !(empty && found == 0);
    let expected = if padded { stored_size(size) } else { size };
    let Some(keys) = look.keys.filter(|_| !empty) else {
        if expected != found {
            if verdict.findings.len() < MAX_FINDINGS {
                suspects.insert(format!("{}/{payload}", look.name), verdict.findings.len());
            }
            verdict.add(Finding::PayloadSize { file_id, domain, path, expected, found });
        }
        return;
    };
    let key = key.and_then(|key| keys.content_key(key).ok());
    let ends = |key| last_blocks(&look.folder, &payload, found).is_some_and(|blocks| ends_well(key, &blocks));
    match key {
        None => verdict.add(Finding::Undecryptable { file_id, domain, path }),
        Some(key) if expected != found => verdict.add(match ends(&key) {
            true => Finding::SizeDiffers { file_id, domain, path, expected, found },
            false => Finding::PayloadSize { file_id, domain, path, expected, found },
        }),
        Some(key) if look.deep && !ends(&key) => verdict.add(Finding::Undecryptable { file_id, domain, path }),
        Some(_) => {}
    }
}

/// The last two cipher blocks of a payload; before a single one stand zeros, as its vector is.
fn last_blocks(folder: &OwnedFd, payload: &str, size: u64) -> Option<[u8; 32]> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::openat(folder, payload, flags, Mode::empty()).ok()?);
    let mut blocks = [0; 32];
    match size.checked_sub(32) {
        _ if !size.is_multiple_of(16) => return None,
        Some(at) => file.read_exact_at(&mut blocks, at).ok()?,
        None => file.read_exact_at(blocks.get_mut(16..)?, 0).ok()?,
    }
    Some(blocks)
}

/// Is this a file that a device made? A desktop leaves others behind, which hurt nobody.
fn belongs(place: &str) -> bool {
    let name = place.rsplit_once('/').map_or(place, |(_, name)| name);
    is_file_id(name) || matches!(name, "Manifest.db" | "Manifest.plist" | "Status.plist")
}

/// What the device calls a payload.
fn name_in(manifest: Option<&Manifest>, place: &str) -> (Option<String>, Option<String>) {
    let id = place.rsplit_once('/').map_or(place, |(_, name)| name);
    let found = manifest.filter(|_| is_file_id(id)).and_then(|manifest| manifest.name_of(id).ok().flatten());
    found.map_or((None, None), |(domain, path)| (Some(clip(&domain)), Some(clip(&path))))
}

/// What the list of digests has to say: to the size of suspects, and deeply to every byte.
fn compare(
    folder: &Path,
    list: &Path,
    deep: bool,
    looked: &mut Looked,
    tell: &dyn Tell,
    cancel: &Cancel,
) -> Result<(), Fault> {
    let Looked { verdict, suspects, manifest } = looked;
    let none = || Fault::new(Code::BackupNone, format!("{} is no folder", folder.display()));
    let (root, udid) = folder.parent().zip(folder.file_name().and_then(|n| n.to_str())).ok_or_else(none)?;
    let tree = WorkTree::open_read_only(root, udid)?;
    let mut list = match List::open(list) {
        Ok(list) => list,
        Err(fault) if fault.code == Code::BackupNone => {
            if deep {
                verdict.add(Finding::NoDigests);
            }
            return Ok(());
        }
        Err(fault) => return Err(fault),
    };
    let (mut bytes, mut met) = (0u64, 0u64);
    loop {
        cancel.check()?;
        let row = match list.next_row() {
            Ok(Some(row)) => row,
            Ok(None) => break,
            Err(fault) if fault.code == Code::BackupDamaged => {
                verdict.add(Finding::DigestsDamaged { why: clip(&fault.detail) });
                return Ok(());
            }
            Err(fault) => return Err(fault),
        };
        if let Some(at) = suspects.get(&row.path) {
            verdict.as_received(*at, row.size);
        }
        if !deep {
            continue;
        }
        let place = match tree.place(&row.path, false) {
            Ok(place) => place,
            Err(fault) => {
                verdict.add(Finding::DigestsDamaged { why: clip(&fault.detail) });
                return Ok(());
            }
        };
        match tree.read(place) {
            Ok((mut file, size)) => {
                met += u64::from(belongs(place.0));
                if size != row.size || digest_of(&mut file, cancel)? != row.sha {
                    let (file, (domain, path)) =
                        (clip(place.0), name_in(manifest.as_ref().filter(|_| verdict.findings.len() < NAMED), place.0));
                    verdict.add(Finding::Altered { file, domain, path });
                }
            }
            Err(_) => {
                let (file, (domain, path)) =
                    (clip(place.0), name_in(manifest.as_ref().filter(|_| verdict.findings.len() < NAMED), place.0));
                verdict.add(Finding::Lost { file, domain, path });
            }
        }
        verdict.compared += 1;
        bytes += row.size;
        if verdict.compared.is_multiple_of(256) {
            tell.tell(Event::Progress { step: Step::VerifyBackup, unit: Unit::Bytes, done: bytes, total: None });
        }
    }
    if deep {
        // A list that lost its end would pass for whole.
        let mut there = 0u64;
        walk(&tree, udid, 0, &mut |path| {
            there += u64::from(belongs(path));
            cancel.check()
        })?;
        if there > met {
            verdict.add(Finding::Unlisted { files: there - met });
        }
    }
    Ok(())
}
