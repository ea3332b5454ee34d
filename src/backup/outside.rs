//! Backups that are in no vault: what iTunes, Finder or idevicebackup2 made, or an export.
//!
//! A folder is meant by its path, and is either named by a UDID or holds such folders. Nothing is known of it but
//! what it says itself: it has no record and no digests, and nobody holds it while it is read.

use super::Generation;
use super::tree::disk;
use crate::fault::{Code, Fault};
use crate::ids::Udid;
use std::path::Path;

impl Generation {
    /// The backup in `place`: the folder of a device, or one that holds it. Of several it is the one of `udid`.
    ///
    /// # Errors
    /// [`Code::BackupNone`], [`Code::AmbiguousDevice`] with the UDIDs there, disk faults.
    pub fn outside(place: &Path, udid: Option<&Udid>) -> Result<Generation, Fault> {
        let whole = std::fs::canonicalize(place).map_err(|err| match err.kind() {
            std::io::ErrorKind::NotFound => Fault::new(Code::BackupNone, format!("{} is not there", place.display())),
            _ => disk(place, err),
        })?;
        let name = whole.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let shown = whole.display().to_string();
        let none = |why: &str| Fault::new(Code::BackupNone, format!("{shown} {why}"));
        if let (Ok(own), Some(parent), true) = (name.parse(), whole.parent(), is_backup(&whole)) {
            return Ok(Generation::read(parent.to_owned(), shown, &own));
        }
        let mut found: Vec<Udid> = vec![];
        for item in std::fs::read_dir(&whole).map_err(|e| disk(&whole, e))? {
            let item = item.map_err(|e| disk(&whole, e))?;
            let own = item.file_name().to_str().and_then(|name| name.parse().ok());
            found.extend(own.filter(|_| is_backup(&item.path())));
        }
        found.retain(|own| udid.is_none_or(|udid| udid == own));
        found.sort_unstable_by_key(ToString::to_string);
        match &found[..] {
            [one] => Ok(Generation::read(whole, shown, one)),
            [] => Err(none("holds no folder of a backup that is named by a UDID")),
            many => {
                let names: Vec<String> = many.iter().map(ToString::to_string).collect();
                Err(Fault::new(Code::AmbiguousDevice, names.join(", ")))
            }
        }
    }
}

/// Does a folder look like one of a device? A damaged one does, too.
fn is_backup(folder: &Path) -> bool {
    ["Status.plist", "Manifest.plist", "Manifest.db", "Info.plist"].iter().any(|file| folder.join(file).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_is_found_in_its_folder_and_in_the_one_above() {
        let dir = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(dir.path()).unwrap();
        let code = |place: &Path, udid: Option<&Udid>| Generation::outside(place, udid).err().map(|f| f.code);
        assert_eq!(code(&root.join("nowhere"), None), Some(Code::BackupNone));
        assert_eq!(code(&root, None), Some(Code::BackupNone));
        let [a, b] = ["00008110-00126D0E81100001", "0123456789abcdef0123456789abcdef01234567"];
        for udid in [a, b] {
            std::fs::create_dir(root.join(udid)).unwrap();
        }
        assert_eq!(code(&root.join(a), None), Some(Code::BackupNone), "empty");
        std::fs::write(root.join(a).join("Status.plist"), b"damaged").unwrap();
        for place in [root.join(a), root.clone(), root.join(a).join("..")] {
            let found = Generation::outside(&place, None).unwrap();
            assert_eq!((found.path.as_path(), found.udid.as_str()), (root.as_path(), a));
            assert_eq!(found.folder(), root.join(a));
            assert!(found.record.is_none() && !found.is_held());
        }
        std::fs::write(root.join(b).join("Manifest.db"), b"").unwrap();
        assert_eq!(code(&root, None), Some(Code::AmbiguousDevice));
        let wanted: Udid = b.parse().unwrap();
        assert_eq!(Generation::outside(&root, Some(&wanted)).unwrap().udid, wanted);
    }
}
