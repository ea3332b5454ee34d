//! What is found out once in this process, and shared by all its devices.
//!
//! A batch gives the same firmware to many devices of one model: its manifest is read from Apple once, its parts are
//! hashed once, its directory is read once. Verified firmware is kept for one identity of one file as it looked when it
//! was verified; a file that changed is verified anew. Who comes while the work is done waits for it, and a failure is
//! not kept.

use super::steps::Opened;
use crate::fault::Fault;
use crate::wire::manifest::BuildManifest;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;

/// Different models of a batch; beyond that the oldest is found out anew.
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

/// Verified firmware.
pub type Verified = Once<Key, Opened>;
/// Manifests that were read from afar, by the firmware's URL.
pub type Manifests = Once<String, Arc<BuildManifest>>;

pub struct Once<K, V>(Mutex<Vec<(K, Arc<OnceCell<V>>)>>);

impl<K, V> Default for Once<K, V> {
    fn default() -> Self {
        Once(Mutex::default())
    }
}

impl<K: PartialEq, V: Clone> Once<K, V> {
    /// What is known under this key, or what `work` makes.
    pub async fn or(&self, key: K, work: impl Future<Output = Result<V, Fault>>) -> Result<V, Fault> {
        let cell = self.cell(key);
        cell.get_or_try_init(|| work).await.cloned()
    }

    fn cell(&self, key: K) -> Arc<OnceCell<V>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, cell)) = kept.iter().find(|(known, _)| *known == key) {
            return Arc::clone(cell);
        }
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        let cell = Arc::default();
        kept.push((key, Arc::clone(&cell)));
        cell
    }
}
