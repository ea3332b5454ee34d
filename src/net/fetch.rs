//! One large file, whole and verified, or nothing.
//!
//! The loop: ask for what is missing, write and hash what comes (`attempt`), try again when the line drops.
//! What each answer means is fixed: 206 continues; 200 is the whole file again, which is skipped over when its ETag
//! proves that it is the same file and started anew when not; 412 is another file; 416 is complete or
//! another file. A web page, a foreign length, a redirect elsewhere are refused before anything is written.
//!
//! Attempts that bring bytes do not count, so ten cuts of a bad line do not end a download; attempts in
//! vain are counted ([`super::Limits::attempts`]) with growing pauses. Several processes that want the same file
//! share one download: the lock ([`Turn`]) is on the target, the others wait and find it done.

use super::attempt::{Run, Trouble};
use super::digests::{Digests, Sums, hash_file};
use super::http::Http;
use super::part::{Part, beside, quarantine};
use crate::disk::FileLock;
use crate::event::{Event, Step, Teller, Unit};
use crate::fault::{Code, Fault};
use reqwest::Url;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// One file of a catalogue.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub url: Url,
    /// In bytes, when the catalogue knows it: then it is binding.
    pub size: Option<u64>,
    pub digests: Digests,
    /// What the file begins with; empty when unknown.
    pub magic: &'static [u8],
    /// More bytes than this are refused, whatever the server says.
    pub cap: u64,
}

/// Where it goes.
#[derive(Clone, Debug)]
pub struct Place {
    /// The name of the finished file; `.part`, `.part.json` and `.lock` stand beside it meanwhile.
    pub target: PathBuf,
    /// A folder on the same file system for what failed its digest.
    pub quarantine: PathBuf,
}

/// A file that is whole and has the digests that were asked for.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub path: PathBuf,
    pub sums: Sums,
    /// Bytes of the file that came over the network in this call.
    pub received: u64,
}

const RESTARTS: usize = 3;
/// Between two progress events.
pub(super) const TELL_EVERY: Duration = Duration::from_millis(100);
/// For how long another process may hold the lock without its part growing.
const WAIT_FOR_OTHER: Duration = Duration::from_secs(15 * 60);

/// Downloads `wanted` while it is our `turn`, or finds it already there. Cancelling keeps the part for the
/// next call.
///
/// Errors: [`Code::HostNotAllowed`], [`Code::DownloadFailed`], [`Code::DownloadStalled`],
/// [`Code::DownloadNotFirmware`], [`Code::FirmwareDigest`] (the file is in quarantine then),
/// [`Code::DiskFull`], [`Code::Cancelled`].
pub async fn fetch(
    http: &Http,
    wanted: &Wanted,
    place: &Place,
    turn: &Turn,
    tell: &Teller,
    cancel: &CancellationToken,
) -> Result<Fetched, Fault> {
    let url = http.hosts().firmware(&wanted.url)?;
    if wanted.size.is_some_and(|size| size > wanted.cap) {
        return Err(Fault::new(Code::DownloadFailed, format!("{url}: more than {} bytes", wanted.cap)));
    }
    if let Some(folder) = place.target.parent() {
        fs_err::create_dir_all(folder).map_err(|e| Fault::disk(&e))?;
    }
    if let Some(fetched) = already_here(wanted, place, tell, cancel).await? {
        return Ok(fetched);
    }
    let mut part = {
        let (target, url, digests, turn) = (place.target.clone(), url.to_string(), wanted.digests, turn.clone());
        let mut watch = watch(tell, cancel, wanted.size);
        blocking(move || Part::open(&target, &url, digests, turn, &mut watch)).await??
    };

    let mut run = Run { http, wanted, url: &url, tell, cancel, received: 0, told: None };
    let mut pauses = http.limits().pauses(http.limits().attempts);
    let mut restarts = 0;
    loop {
        let before = part.done();
        let (back, ended) = run.attempt(part).await;
        part = back?;
        let trouble = match ended {
            Ok(()) => break,
            Err(trouble) => trouble,
        };
        match trouble {
            Trouble::Stop(fault) => return Err(fault),
            Trouble::Changed(why) => {
                restarts += 1;
                if restarts > RESTARTS {
                    return Err(Fault::new(Code::DownloadFailed, format!("{url}: changes again and again: {why}")));
                }
                tell.tell(Event::Warning { text: format!("beginning the download anew: {why}") });
                part.restart()?;
            }
            Trouble::Again(fault, wish) => {
                let pause = if part.done() > before {
                    pauses = http.limits().pauses(http.limits().attempts);
                    http.limits().pause
                } else {
                    let Some(pause) = pauses.next() else { return Err(fault) };
                    pause
                };
                let pause = wish.map_or(pause, |w| w.max(pause));
                tell.tell(Event::Warning { text: format!("{}; going on at byte {}", fault.detail, part.done()) });
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = cancel.cancelled() => return Err(Fault::cancelled()),
                }
            }
        }
    }
    let received = run.received;
    let (wanted, place, tell) = (wanted.clone(), place.clone(), tell.clone());
    let sums = blocking(move || finish(part, &wanted, &place, &tell)).await??;
    Ok(Fetched { path: sums.0, sums: sums.1, received })
}

/// The right to fetch one file, across processes, until the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Turn {
    _lock: Arc<FileLock>,
}

impl Turn {
    #[cfg(test)]
    pub fn now(target: &Path) -> Turn {
        Turn { _lock: Arc::new(FileLock::take(&beside(target, ".lock")).unwrap()) }
    }

    /// Waits until nobody else fetches `target`. Who waited should look whether the file is there now.
    pub async fn wait(target: &Path, tell: &Teller, cancel: &CancellationToken) -> Result<Turn, Fault> {
        let lock_file = beside(target, ".lock");
        let part = beside(target, ".part");
        let size = || std::fs::metadata(&part).map_or(0, |m| m.len());
        let mut grown = (size(), Instant::now());
        let mut said = false;
        loop {
            if let Some(lock) = FileLock::attempt(&lock_file)? {
                return Ok(Turn { _lock: Arc::new(lock) });
            }
            if !std::mem::replace(&mut said, true) {
                tell.tell(Event::Note { text: "another Herstel is fetching this file; waiting for it".to_owned() });
            }
            let now = size();
            if now != grown.0 {
                grown = (now, Instant::now());
            } else if grown.1.elapsed() > WAIT_FOR_OTHER {
                return FileLock::take(&lock_file).map(|lock| Turn { _lock: Arc::new(lock) });
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
                () = cancel.cancelled() => return Err(Fault::cancelled()),
            }
        }
    }
}

/// A finished file under the target's name, if it is what is wanted; what is not goes to quarantine.
async fn already_here(
    wanted: &Wanted,
    place: &Place,
    tell: &Teller,
    cancel: &CancellationToken,
) -> Result<Option<Fetched>, Fault> {
    let Ok(meta) = std::fs::metadata(&place.target) else { return Ok(None) };
    let (target, digests, size, folder) = (place.target.clone(), wanted.digests, wanted.size, place.quarantine.clone());
    let mut watch = watch(tell, cancel, Some(meta.len()));
    let sums = blocking(move || -> Result<Option<Sums>, Fault> {
        let mut file = fs_err::File::open(&target).map_err(|e| Fault::disk(&e))?;
        let sums = hash_file(&mut file, meta.len(), &mut watch)?;
        if digests.denied_by(&sums).is_none() && size.is_none_or(|s| s == sums.size) {
            return Ok(Some(sums));
        }
        quarantine(&target, &folder)?;
        Ok(None)
    })
    .await??;
    Ok(sums.map(|sums| Fetched { path: place.target.clone(), sums, received: 0 }))
}

/// The last look: size, digests, name.
fn finish(mut part: Part, wanted: &Wanted, place: &Place, tell: &Teller) -> Result<(PathBuf, Sums), Fault> {
    let mut sums = part.sums();
    let wrong = |sums: &Sums| match wanted.size {
        Some(size) if size != sums.size => Some(format!("{} bytes, the catalogue says {size}", sums.size)),
        _ => wanted.digests.denied_by(sums),
    };
    if wrong(&sums).is_some() {
        part.save()?;
        sums = part.read_again()?;
        if wrong(&sums).is_none() {
            let text = "a digest was wrong in memory and right on the disk: check this machine's memory".to_owned();
            tell.tell(Event::Warning { text });
        }
    }
    if let Some(why) = wrong(&sums) {
        let moved = part.quarantine(&place.quarantine)?;
        return Err(Fault::new(Code::FirmwareDigest, format!("{}: {why}; kept as {}", wanted.url, moved.display())));
    }
    part.publish(&place.target)?;
    Ok((place.target.clone(), sums))
}

/// Tells how far hashing is, and ends it when cancelled.
fn watch(
    tell: &Teller,
    cancel: &CancellationToken,
    total: Option<u64>,
) -> impl FnMut(u64) -> bool + Send + 'static + use<> {
    let (tell, cancel) = (tell.clone(), cancel.clone());
    let mut told = Instant::now();
    move |done| {
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            tell.tell(Event::Progress { step: Step::Fetch, unit: Unit::Bytes, done, total });
        }
        !cancel.is_cancelled()
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Fault::new(Code::Internal, format!("a thread died: {e}")))
}
