//! Status, Manifest and Info of a backup folder: any bytes are read without a panic, within the depth that is
//! promised, and what a list says of the backup is told or left out.
#![no_main]

use herstel::backup::{Summary, doors};
use herstel::wire::devicelink::guard::MAX_DEPTH;
use plist::Value;
use std::path::PathBuf;
use std::sync::OnceLock;

fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().unwrap().keep())
}

fn depth(value: &Value) -> usize {
    let inside = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Dictionary(items) => items.values().map(depth).max(),
        _ => return 0,
    };
    1 + inside.unwrap_or(0)
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = doors::plist(bytes) else { return };
    assert!(depth(&value) <= MAX_DEPTH, "{}", depth(&value));
    for name in ["Info.plist", "Manifest.plist"] {
        std::fs::write(folder().join(name), bytes).unwrap();
    }
    let summary = Summary::read(folder());
    match value.as_dictionary() {
        Some(manifest) => assert_eq!(summary.encrypted, manifest.get("IsEncrypted").and_then(Value::as_boolean)),
        None => assert_eq!(summary, Summary::default()),
    }
});
