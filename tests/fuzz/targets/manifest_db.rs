//! Rows of Manifest.db: values of any type in every column, records that are rubbish, and whole files that are no
//! database. Looking at them ends, finds fault with every name that is none, and writes nothing.
#![no_main]

use herstel::backup::{Cancel, Depth, Filter, Finding, browse, doors, find, verify};
use herstel::event::Quiet;
use rusqlite::Connection;
use rusqlite::types::Value;
use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

thread_local! {
    static PLACE: RefCell<Option<(PathBuf, Connection)>> = const { RefCell::new(None) };
}

/// A folder with all of a backup but its Manifest.db, and a database to make those of.
fn place() -> (PathBuf, Connection) {
    let folder = tempfile::tempdir().unwrap().keep();
    let list = |pair: &str| format!("<plist version=\"1.0\"><dict>{pair}</dict></plist>");
    for (name, pair) in [
        ("Status.plist", "<key>SnapshotState</key><string>finished</string>"),
        ("Manifest.plist", "<key>IsEncrypted</key><false/>"),
        ("Info.plist", ""),
    ] {
        std::fs::write(folder.join(name), list(pair)).unwrap();
    }
    let base = Connection::open_in_memory().unwrap();
    base.execute_batch(
        "PRAGMA page_size = 512; CREATE TABLE Files (fileID, domain, relativePath, flags, file);
         CREATE INDEX FilesRelativePathIdx ON Files(relativePath);",
    )
    .unwrap();
    (folder, base)
}

/// One column: a byte that says its type, one that says its length, and so many bytes.
fn column(bytes: &mut &[u8]) -> Option<Value> {
    let (head, rest) = bytes.split_at_checked(2)?;
    let body = rest.get(..usize::from(head[1]).min(rest.len()))?;
    *bytes = &rest[body.len()..];
    let number = || body.iter().fold(0_i64, |n, b| n << 8 | i64::from(*b));
    Some(match head[0] % 6 {
        0 => Value::Null,
        1 => Value::Integer(number()),
        2 => Value::Real(f64::from_bits(number() as u64)),
        3 => Value::Text(String::from_utf8_lossy(body).into_owned()),
        _ => Value::Blob(body.to_vec()),
    })
}

fn rows(base: &mut Connection, mut bytes: &[u8]) -> Vec<u8> {
    base.execute("DELETE FROM Files", []).unwrap();
    let mut insert = base.prepare_cached("INSERT INTO Files VALUES (?1, ?2, ?3, ?4, ?5)").unwrap();
    for _ in 0..16 {
        let row: Option<Vec<Value>> = (0..5).map(|_| column(&mut bytes)).collect();
        let Some(row) = row else { break };
        if let Value::Blob(blob) = &row[4] {
            let (size, key) = doors::record(blob);
            assert!(key.is_none_or(|key| key.len() <= blob.len()));
            assert!(size.is_none_or(|size| i64::try_from(size).is_ok()));
        }
        insert.execute(rusqlite::params_from_iter(row)).unwrap();
    }
    drop(insert);
    base.serialize("main").unwrap().to_vec()
}

fn look(folder: &Path) {
    let mut seen = Vec::new();
    let shown = browse(folder, &Filter::default(), |row| {
        seen.push(row);
        ControlFlow::Continue(())
    });
    for row in seen.iter().take(4) {
        let _ = find(folder, &row.domain, &row.path);
    }
    let verdict = verify(folder, Depth::Quick, &Quiet, &Cancel::new()).unwrap();
    // No payload exists, so whatever is shown as a file is found fault with.
    let files = seen.iter().filter(|row| format!("{:?}", row.kind) == "File").count();
    assert!(shown.is_err() || files == 0 || verdict.damage().count() > 0);
    for row in &seen {
        let is_name = row.file_id.len() == 40 && row.file_id.bytes().all(|b| b.is_ascii_hexdigit());
        let bad = |f: &Finding| matches!(f, Finding::BadFileId { .. } | Finding::ManifestDamaged { .. });
        assert!(is_name || format!("{:?}", row.kind) != "File" || verdict.findings.iter().any(bad), "{row:?}");
    }
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 4, "looking writes nothing");
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((how, rest)) = bytes.split_first() else { return };
    PLACE.with(|cell| {
        let mut cell = cell.borrow_mut();
        let (folder, base) = cell.get_or_insert_with(place);
        let database = if how % 2 == 0 { rows(base, rest) } else { rest.to_vec() };
        std::fs::write(folder.join("Manifest.db"), database).unwrap();
        look(folder);
    });
});
