//! One row's `file` column: an archived `MBFile`, of which only the size is wanted.
//!
//! The archive is a binary property list: `$top.root` refers into `$objects`, where the object's fields are. There is
//! one per file of the phone, so it is not built but looked into.

use crate::wire::devicelink::guard::Table;

/// Size of the content in bytes, before encryption.
pub(super) fn size_of(blob: &[u8]) -> Option<u64> {
    let table = Table::open(blob).ok()?;
    let top = table.top()?;
    let root = table.uid(table.get(table.get(top, "$top")?, "root")?)?;
    let object = table.item(table.get(top, "$objects")?, root)?;
    let size = table.integer(table.get(object, "Size")?)?;
    u64::try_from(size).ok()
}

#[cfg(test)]
pub(super) fn archive(path: &str, size: u64) -> Vec<u8> {
    use plist::{Dictionary, Uid, Value};
    let mut file = Dictionary::new();
    file.insert("RelativePath".into(), Value::Uid(Uid::new(2)));
    file.insert("Mode".into(), Value::Integer(0o100_644.into()));
    file.insert("Size".into(), Value::Integer(size.into()));
    file.insert("$class".into(), Value::Uid(Uid::new(3)));
    let mut class = Dictionary::new();
    class.insert("$classname".into(), "MBFile".into());
    let mut top = Dictionary::new();
    top.insert("root".into(), Value::Uid(Uid::new(1)));
    let mut archive = Dictionary::new();
    archive.insert("$version".into(), Value::Integer(100_000.into()));
    archive.insert("$archiver".into(), "NSKeyedArchiver".into());
    archive.insert("$top".into(), Value::Dictionary(top));
    let objects = vec!["$null".into(), Value::Dictionary(file), path.into(), Value::Dictionary(class)];
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
}
