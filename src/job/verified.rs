//! Firmware that was verified in this process, shared by all its devices.
//!
//! A batch gives the same file to many devices of one model: its parts are hashed once, its directory is read once. An
//! entry is for one identity of one file as it looked when it was verified; a file that changed is verified anew. Who
//! comes while it is being verified waits for that, and a failure is not kept.

use super::steps::Opened;
use crate::fault::Fault;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;

/// Different models of a batch; beyond that the oldest is verified anew.
const KEPT: usize = 32;

/// Which file, as it looked, and whose identity in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    path: PathBuf,
    looks: (u64, u64, u64, i64, i64),
    identity: String,
}

impl Key {
    pub fn of(path: &Path, identity: String) -> Result<Key, Fault> {
        let meta = fs_err::metadata(path).map_err(|e| Fault::disk(&e))?;
        let looks = (meta.dev(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec());
        Ok(Key { path: path.to_owned(), looks, identity })
    }
}

type Cell = Arc<OnceCell<Opened>>;

#[derive(Default)]
pub struct Verified(Mutex<Vec<(Key, Cell)>>);

impl Verified {
    /// What was verified under this key, or what `work` makes.
    pub async fn or(&self, key: Key, work: impl Future<Output = Result<Opened, Fault>>) -> Result<Opened, Fault> {
        let cell = self.cell(key);
        cell.get_or_try_init(|| work).await.cloned()
    }

    fn cell(&self, key: Key) -> Cell {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, cell)) = kept.iter().find(|(known, _)| *known == key) {
            return Arc::clone(cell);
        }
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        let cell = Cell::default();
        kept.push((key, Arc::clone(&cell)));
        cell
    }
}
