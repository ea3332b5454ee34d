//! `Manifest.db` of a backup: an SQLite file that a phone made, opened without touching it.
//!
//! It is opened as immutable: the file carries a write-ahead header, and any other way of reading would leave two
//! files beside it in a published generation. Its own schema is not trusted, rows are streamed, and a value beyond
//! its cap is not loaded, so memory does not grow with the phone.

use super::mbfile::size_of;
use crate::fault::{Code, Fault};
use rusqlite::{Connection, OpenFlags, params};
use std::path::Path;

/// Largest `file` column that is loaded, in bytes; real ones stay below 2 KiB, attributes included.
const MAX_RECORD: i64 = 1 << 20;
/// Pages kept in memory, in KiB.
const CACHE_KIB: i64 = 2048;

/// The kinds of rows, by `flags`.
pub(super) const FLAG_FILE: i64 = 1;
pub(super) const FLAG_FOLDER: i64 = 2;

pub(super) struct Manifest(Connection);

/// One row of `Files`, valid during the call that gets it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'r> {
    pub file_id: &'r str,
    pub domain: &'r str,
    pub path: &'r str,
    pub flags: i64,
    /// The archived `MBFile`; none when absent or beyond its cap.
    pub blob: Option<&'r [u8]>,
}

/// One row that was searched for.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub file_id: String,
    pub flags: i64,
    /// Bytes of the content, where the record says it.
    pub size: Option<u64>,
}

fn damaged(err: rusqlite::Error) -> Fault {
    Fault::new(Code::BackupDamaged, format!("Manifest.db: {err}"))
}

impl Manifest {
    /// # Errors
    /// [`Code::BackupDamaged`] when it is no such database.
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        if !path.metadata().is_ok_and(|meta| meta.is_file()) {
            return Err(Fault::new(Code::BackupDamaged, "Manifest.db is no file"));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(uri(path), flags).map_err(damaged)?;
        conn.pragma_update(None, "trusted_schema", false).map_err(damaged)?;
        conn.pragma_update(None, "cache_size", -CACHE_KIB).map_err(damaged)?;
        conn.pragma_update(None, "mmap_size", 0).map_err(damaged)?;
        let tables =
            "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'Files' AND sql NOT LIKE '%VIRTUAL%'";
        let count: i64 = conn.query_row(tables, [], |row| row.get(0)).map_err(damaged)?;
        if count != 1 {
            return Err(Fault::new(Code::BackupDamaged, "Manifest.db has no table of files"));
        }
        Ok(Manifest(conn))
    }

    /// SQLite's own check of the whole file; the first complaint, or none.
    pub(super) fn complaint(&self) -> Option<String> {
        match self.0.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0)) {
            Ok(word) if word == "ok" => None,
            Ok(word) => Some(word),
            Err(err) => Some(err.to_string()),
        }
    }

    /// Every row in the order of the file.
    ///
    /// # Errors
    /// [`Code::BackupDamaged`], and what `each` gives.
    pub(super) fn each(&self, mut each: impl FnMut(Record<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
        let sql = "SELECT fileID, domain, relativePath, flags, CASE WHEN length(file) <= ?1 THEN file END FROM Files";
        let mut query = self.0.prepare(sql).map_err(damaged)?;
        let mut rows = query.query(params![MAX_RECORD]).map_err(damaged)?;
        while let Some(row) = rows.next().map_err(damaged)? {
            each(record(row)?)?;
        }
        Ok(())
    }

    /// The row of one path, by the index on paths.
    ///
    /// # Errors
    /// [`Code::BackupDamaged`].
    pub(super) fn find(&self, domain: &str, path: &str) -> Result<Option<Found>, Fault> {
        let sql = "SELECT fileID, domain, relativePath, flags, CASE WHEN length(file) <= ?1 THEN file END FROM Files \
                   WHERE relativePath = ?2 AND domain = ?3";
        let mut query = self.0.prepare(sql).map_err(damaged)?;
        let mut rows = query.query(params![MAX_RECORD, path, domain]).map_err(damaged)?;
        let Some(row) = rows.next().map_err(damaged)? else { return Ok(None) };
        let found = record(row)?;
        Ok(Some(Found { file_id: found.file_id.to_owned(), flags: found.flags, size: found.blob.and_then(size_of) }))
    }

    /// Domain and path of a payload.
    ///
    /// # Errors
    /// [`Code::BackupDamaged`].
    pub(super) fn name_of(&self, file_id: &str) -> Result<Option<(String, String)>, Fault> {
        let sql = "SELECT domain, relativePath FROM Files WHERE fileID = ?1";
        let mut query = self.0.prepare_cached(sql).map_err(damaged)?;
        let mut rows = query.query(params![file_id]).map_err(damaged)?;
        let Some(row) = rows.next().map_err(damaged)? else { return Ok(None) };
        let text = |at: usize| row.get_ref(at).ok().and_then(|v| v.as_str().ok()).map(str::to_owned);
        Ok(text(0).zip(text(1)))
    }

    /// The archived `MBFile` of a payload.
    ///
    /// # Errors
    /// [`Code::BackupDamaged`].
    pub(super) fn blob_of(&self, file_id: &str) -> Result<Option<Vec<u8>>, Fault> {
        let sql = "SELECT CASE WHEN length(file) <= ?1 THEN file END FROM Files WHERE fileID = ?2";
        let mut query = self.0.prepare_cached(sql).map_err(damaged)?;
        let mut rows = query.query(params![MAX_RECORD, file_id]).map_err(damaged)?;
        let Some(row) = rows.next().map_err(damaged)? else { return Ok(None) };
        Ok(row.get_ref(0).ok().and_then(|v| v.as_blob().ok()).map(<[u8]>::to_vec))
    }
}

fn record<'r>(row: &'r rusqlite::Row<'_>) -> Result<Record<'r>, Fault> {
    let text = |at: usize| row.get_ref(at).ok().and_then(|v| v.as_str().ok()).unwrap_or("");
    Ok(Record {
        file_id: text(0),
        domain: text(1),
        path: text(2),
        flags: row.get(3).map_err(damaged)?,
        blob: row.get_ref(4).ok().and_then(|v| v.as_blob().ok()),
    })
}

/// A payload's name is a SHA-1 in hexadecimal; anything else could lead out of the folder.
pub(super) fn is_file_id(id: &str) -> bool {
    id.len() == 40 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Where the payload lies below the device's folder; none for what is no name of one.
pub(super) fn payload_path(id: &str) -> Option<String> {
    if is_file_id(id) { Some(format!("{}/{id}", id.get(..2)?)) } else { None }
}

/// The path as SQLite's URI, every byte that could mean something escaped.
fn uri(path: &Path) -> String {
    use std::fmt::Write;
    use std::os::unix::ffi::OsStrExt;
    let mut text = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => text.push(char::from(*byte)),
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text + "?immutable=1"
}
