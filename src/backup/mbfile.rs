//! One row's `file` column: an archived `MBFile`, of which only the size and the key are wanted.
//!
//! The archive is a binary property list: `$top.root` refers into `$objects`, where the object's fields are. There is
//! one per file of the phone, so it is not built but looked into.

use crate::wire::devicelink::guard::Table;

/// The list of objects and the one that is the file.
fn file(table: &Table<'_>) -> Option<(usize, usize)> {
    let top = table.top()?;
    let root = table.uid(table.get(table.get(top, "$top")?, "root")?)?;
    let objects = table.get(top, "$objects")?;
    Some((objects, table.item(objects, root)?))
}

/// Size of the content in bytes, before encryption.
pub(super) fn size_of(blob: &[u8]) -> Option<u64> {
    let table = Table::open(blob).ok()?;
    let size = table.integer(table.get(file(&table)?.1, "Size")?)?;
    u64::try_from(size).ok()
}

/// The wrapped key of an encrypted content, as it stands: class, then key.
pub(super) fn key_of(blob: &[u8]) -> Option<&[u8]> {
    let table = Table::open(blob).ok()?;
    let (objects, file) = file(&table)?;
    let key = table.item(objects, table.uid(table.get(file, "EncryptionKey")?)?)?;
    // Mutable data is an object around its bytes, plain data stands for itself.
    table.data(key).or_else(|| table.data(table.get(key, "NS.data")?))
}

#[cfg(test)]
pub(super) fn archive(path: &str, size: u64) -> Vec<u8> {
    archive_with_key(path, size, None)
}

/// With an `EncryptionKey`, as phones write it.
#[cfg(test)]
pub(super) fn archive_with_key(path: &str, size: u64, key: Option<&[u8]>) -> Vec<u8> {
    use plist::{Dictionary, Uid, Value};
    let mut file = Dictionary::new();
    file.insert("RelativePath".into(), Value::Uid(Uid::new(2)));
    file.insert("Mode".into(), Value::Integer(0o100_644.into()));
    file.insert("Size".into(), Value::Integer(size.into()));
    file.insert("$class".into(), Value::Uid(Uid::new(3)));
    if let Some(class) = key.and_then(|key| key.first()) {
        file.insert("ProtectionClass".into(), Value::Integer(u64::from(*class).into()));
        file.insert("EncryptionKey".into(), Value::Uid(Uid::new(4)));
    }
    let mut class = Dictionary::new();
    class.insert("$classname".into(), "MBFile".into());
    let mut top = Dictionary::new();
    top.insert("root".into(), Value::Uid(Uid::new(1)));
    let mut archive = Dictionary::new();
    archive.insert("$version".into(), Value::Integer(100_000.into()));
    archive.insert("$archiver".into(), "NSKeyedArchiver".into());
    archive.insert("$top".into(), Value::Dictionary(top));
    let mut objects = vec!["$null".into(), Value::Dictionary(file), path.into(), Value::Dictionary(class)];
    if let Some(key) = key {
        let mut data = Dictionary::new();
        data.insert("NS.data".into(), Value::Data(key.to_vec()));
        data.insert("$class".into(), Value::Uid(Uid::new(5)));
        let mut class = Dictionary::new();
        class.insert("$classname".into(), "NSMutableData".into());
        objects.extend([Value::Dictionary(data), Value::Dictionary(class)]);
    }
    archive.insert("$objects".into(), Value::Array(objects));
    let mut bytes = vec![];
    Value::Dictionary(archive).to_writer_binary(&mut bytes).unwrap();
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_found_and_rubbish_has_none() {
        for size in [0, 200, 70_000, 5_000_000_000] {
            assert_eq!(size_of(&archive("Library/a file with a long name.plist", size)), Some(size));
        }
        assert_eq!(size_of(b""), None);
        let whole = archive("a", 300);
        for cut in 0..whole.len() {
            assert_eq!(size_of(&whole[..cut]), None);
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xFF;
            let _ = size_of(&damaged);
        }
    }

    #[test]
    fn the_key_is_found_and_rubbish_has_none() {
        let key = [[3, 0, 0, 0].as_slice(), &[0xA5; 40]].concat();
        let whole = archive_with_key("a", 300, Some(&key));
        assert_eq!((key_of(&whole), size_of(&whole)), (Some(&key[..]), Some(300)));
        assert_eq!(key_of(&archive("a", 300)), None);
        for at in 0..whole.len() {
            assert_eq!(key_of(&whole[..at]), None);
            let mut damaged = whole.clone();
            damaged[at] ^= 0xFF;
            let _ = key_of(&damaged);
        }
    }
}
