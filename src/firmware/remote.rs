//! The manifest of an IPSW that is still on its server.
//!
//! A zip has its directory at the end, so three ranges of together a few megabytes tell what a file of ten gigabytes
//! is for. The bytes are laid into a nameless sparse file at their own places, and the same strict reader that opens
//! whole files reads them there: what is wrong in a file is wrong in the same words here.

use super::archive::{Archive, Shared};
use crate::fault::{Code, Fault};
use crate::net::{Http, Ranges, Url};
use crate::wire::manifest::{BuildManifest, MAX_MANIFEST};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Holds the directories of all IPSWs that were ever seen.
const TAIL: u64 = 512 << 10;

/// What a look at a file on a server told.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Of the whole file, in bytes.
    pub size: u64,
    pub manifest: BuildManifest,
    /// Bytes that were fetched for it.
    pub fetched: u64,
}

/// Reads `BuildManifest.plist` of the IPSW at `url`. `scratch` is a folder for a sparse file without a name.
///
/// # Errors
/// Those of [`Ranges`]; [`Code::FirmwareDamaged`] for what is no sound IPSW.
pub async fn read_manifest(http: &Http, url: &Url, scratch: &Path) -> Result<Remote, Fault> {
    const NAME: &str = "BuildManifest.plist";
    let mut ranges = Ranges::new(http, url)?;
    let file = nameless(scratch)?;
    let shared = Shared::unnamed(file.try_clone().map_err(|e| Fault::disk(&e))?, &PathBuf::from(url.as_str()));
    let (tail, size) = ranges.tail(TAIL).await?;
    let mut fetched = tail.len() as u64;
    let begin = size.saturating_sub(tail.len() as u64);
    put(&file, begin, &tail)?;
    let directory = Archive::directory(&shared, size)?;
    if directory.offset < begin {
        let rest = ranges.read(directory.offset, begin.min(directory.offset + directory.size)).await?;
        fetched += rest.len() as u64;
        put(&file, directory.offset, &rest)?;
    }
    let entry = Archive::find(&shared, &directory, NAME)?;
    if entry.size > MAX_MANIFEST as u64 {
        return Err(shared.damaged(format!("{NAME}: {} bytes", entry.size)));
    }
    let end = entry.header.saturating_add(entry.compressed).saturating_add(LOCAL_EXTRA).min(directory.offset);
    if entry.header >= end {
        return Err(shared.damaged(format!("{NAME}: lies beyond the directory")));
    }
    if entry.header < begin {
        let data = ranges.read(entry.header, end).await?;
        fetched += data.len() as u64;
        put(&file, entry.header, &data)?;
    }
    let work = move || {
        let bytes = Archive::of_one(shared, &directory, NAME, entry)?.read(NAME, MAX_MANIFEST as u64)?;
        BuildManifest::parse(&bytes).map_err(|e| Fault::new(Code::FirmwareDamaged, format!("{NAME}: {e}")))
    };
    let manifest = tokio::task::spawn_blocking(work).await.map_err(|e| Fault::new(Code::Internal, e.to_string()))??;
    Ok(Remote { size, manifest, fetched })
}

/// The fixed part of a local header, and a name and an extra field of the largest size.
const LOCAL_EXTRA: u64 = 30 + 2 * 65_535;

fn nameless(scratch: &Path) -> Result<File, Fault> {
    std::fs::create_dir_all(scratch).and_then(|()| tempfile::tempfile_in(scratch)).map_err(|e| Fault::disk(&e))
}

fn put(file: &File, at: u64, bytes: &[u8]) -> Result<(), Fault> {
    file.write_all_at(bytes, at).map_err(|e| Fault::disk(&e))
}
