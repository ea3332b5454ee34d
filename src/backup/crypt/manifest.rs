//! Manifest.db of an encrypted backup, for as long as it is read.
//!
//! SQLite wants a file, so the plain manifest has to lie on a disk: names of all files of somebody's phone. It is
//! written into a private file that loses its name as soon as SQLite holds it open, so that nothing is left behind
//! however the program ends.

use super::{Decrypter, Keys, Seal, damaged};
use crate::backup::Cancel;
use crate::backup::manifest::Manifest;
use crate::backup::tree::disk;
use crate::disk::{create_private_folder, require_space};
use crate::fault::{Code, Fault};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Opens Manifest.db of `folder`, decrypted into `scratch` if it is encrypted itself.
///
/// # Errors
/// [`Code::BackupNone`] without one, [`Code::BackupDamaged`], disk faults of `scratch`, cancel.
pub(in crate::backup) fn open_manifest(
    folder: &Path,
    seal: &Seal,
    keys: &Keys,
    scratch: &Path,
    cancel: &Cancel,
) -> Result<Manifest, Fault> {
    let path = folder.join("Manifest.db");
    if !path.is_file() {
        return Err(Fault::new(Code::BackupNone, format!("{} holds no Manifest.db", folder.display())));
    }
    let mut file = File::open(&path).map_err(|e| disk(&path, e))?;
    let size = file.metadata().map_err(|e| disk(&path, e))?.len();
    let mut magic = [0; 16];
    if file.read_exact(&mut magic).is_ok() && &magic == MAGIC {
        // Before iOS 10.2 only the payloads were encrypted.
        return Manifest::open(&path);
    }
    let wrapped = seal.manifest_key.as_deref().ok_or_else(|| damaged("Manifest.plist holds no ManifestKey"))?;
    let key = keys.content_key(wrapped)?;
    create_private_folder(scratch)?;
    require_space(scratch, size)?;
    let mut builder = tempfile::Builder::new();
    let mut plain = builder.prefix("manifest-").tempfile_in(scratch).map_err(|e| disk(scratch, e))?;
    let source = File::open(&path).map_err(|e| disk(&path, e))?;
    // Tools disagree whether it is padded; its size tells, as an SQLite file has whole pages of at least 512 bytes.
    let source = match size % 512 {
        16 => Decrypter::content(source, &key),
        _ => Decrypter::whole(source, &key),
    };
    let mut source = source.map_err(|e| disk(&path, e))?;
    let mut piece = vec![0; 256 << 10];
    let mut first = true;
    loop {
        cancel.check()?;
        let count = match source.read(&mut piece) {
            Ok(count) => count,
            Err(err) if err.kind() == ErrorKind::InvalidData => return Err(damaged(format!("Manifest.db: {err}"))),
            Err(err) => return Err(disk(&path, err)),
        };
        let bytes = piece.get(..count).unwrap_or_default();
        if std::mem::take(&mut first) && !bytes.starts_with(MAGIC) {
            return Err(damaged("Manifest.db: what was decrypted is no SQLite file"));
        }
        if count == 0 {
            break;
        }
        plain.write_all(bytes).map_err(|e| disk(scratch, e))?;
    }
    let manifest = Manifest::open(plain.path())?;
    plain.close().map_err(|e| disk(scratch, e))?;
    Ok(manifest)
}
