//! A secret of 32 bytes that this computer makes once and keeps: hex in a file of 0600.
//!
//! It comes into being whole or not at all, and two programs that make it at once agree on the first. A file that others
//! may read is refused: whoever can read it can sign.

use super::atomic::{create_private_folder, folder_of, sync_folder};
use crate::fault::{Code, Fault};
use std::fs::Permissions;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use zeroize::Zeroizing;

const LENGTH: usize = 32;

/// The seed in this file; made if there is none.
///
/// # Errors
/// `config-invalid` for a file that is none or that others may read; `disk-error`.
pub fn seed(path: &Path) -> Result<Zeroizing<[u8; LENGTH]>, Fault> {
    match existing(path)? {
        Some(seed) => Ok(seed),
        None => {
            make(path)?;
            existing(path)?.ok_or_else(|| Fault::new(Code::DiskError, format!("{} is gone again", path.display())))
        }
    }
}

/// The same, where nothing is to be made.
pub fn existing(path: &Path) -> Result<Option<Zeroizing<[u8; LENGTH]>>, Fault> {
    let wrong = |why: &str| Fault::new(Code::ConfigInvalid, format!("{}: {why}", path.display()));
    let file = match fs_err::File::open(path) {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|e| Fault::disk(&e))?,
    };
    if file.metadata().map_err(|e| Fault::disk(&e))?.mode() & 0o077 != 0 {
        return Err(wrong("others may read this key; it should be 0600"));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(LENGTH as u64 * 2 + 2).read_to_string(&mut text).map_err(|_| wrong("not a key"))?;
    let mut seed = Zeroizing::new([0; LENGTH]);
    let digits = text.trim_end();
    if digits.len() != LENGTH * 2 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(wrong("not a key"));
    }
    for (at, byte) in seed.iter_mut().enumerate() {
        let pair = digits.get(at * 2..at * 2 + 2).unwrap_or_default();
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong("not a key"))?;
    }
    Ok(Some(seed))
}

fn make(path: &Path) -> Result<(), Fault> {
    let mut fresh = Zeroizing::new([0_u8; LENGTH]);
    getrandom::fill(fresh.as_mut()).map_err(|e| Fault::new(Code::Internal, format!("no randomness: {e}")))?;
    let text = Zeroizing::new(fresh.iter().map(|b| format!("{b:02x}")).collect::<String>() + "\n");
    let folder = folder_of(path);
    create_private_folder(folder)?;
    let mut temp = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(folder)
        .map_err(|e| Fault::disk(&e))?;
    temp.write_all(text.as_bytes()).and_then(|()| temp.as_file().sync_all()).map_err(|e| Fault::disk(&e))?;
    match temp.persist_noclobber(path) {
        Ok(_) => sync_folder(folder),
        // Another program was first; its key is as good.
        Err(err) if err.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(err) => Err(Fault::disk(&err.error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_belongs_to_one_user() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/key");
        assert!(existing(&path).unwrap().is_none());
        let first = seed(&path).unwrap();
        assert_eq!((*seed(&path).unwrap(), first.iter().any(|b| *b != 0)), (*first, true));
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        make(&path).unwrap();
        assert_eq!(*seed(&path).unwrap(), *first, "a second maker leaves the first key");
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert_eq!(seed(&path).unwrap_err().code, Code::ConfigInvalid);
        for wrong in ["", "zz", &"g".repeat(64), &"a".repeat(63), &"a".repeat(65), &"\u{e9}".repeat(32)] {
            std::fs::write(&path, wrong).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            assert_eq!(seed(&path).unwrap_err().code, Code::ConfigInvalid, "{wrong:?}");
            assert_eq!(std::fs::read(&path).unwrap(), wrong.as_bytes(), "it is not replaced");
        }
    }
}
