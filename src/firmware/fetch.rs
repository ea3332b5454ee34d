//! From an offer to a verified file in the store.
//!
//! A file that is already stored is used after a look at it; otherwise it is downloaded under the name of
//! its digest, so that every process that wants the same content shares one download, whatever URL it had.
//! The turn is held until the file is in the store: who waited finds it there. An offer without any
//! digest is refused, since nothing could tell a good file from a bad one.

use super::catalogue::Firmware;
use super::store::{Check, Store, Stored};
use crate::event::{Event, Step, Teller, Unit};
use crate::fault::{Code, Fault};
use crate::net::{self, Http, Place, Turn, Url, Wanted, hex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Twice the largest that Apple has ever published.
const MAX_IPSW: u64 = 32 << 30;

/// Brings `firmware` into the store, verified against every digest that the catalogues know.
///
/// Errors: those of [`net::fetch`]; [`Code::CatalogueInvalid`] for an offer without a digest or with a URL that is
/// none; [`Code::FirmwareDigest`] for a file that is not what the catalogue says.
pub async fn fetch(
    http: &Http,
    store: &Store,
    firmware: &Firmware,
    tell: &Teller,
    cancel: &CancellationToken,
) -> Result<Stored, Fault> {
    let what = format!("{} {} ({})", firmware.product, firmware.version.value, firmware.build);
    tell.tell(Event::StepBegan { step: Step::Fetch, what });
    match run(http, store, firmware, tell, cancel).await {
        Ok(stored) => {
            tell.tell(Event::StepDone { step: Step::Fetch, what: stored.record.name.clone() });
            Ok(stored)
        }
        Err(fault) => {
            let fault = fault.during(Step::Fetch);
            tell.tell(Event::StepFailed { step: Step::Fetch, fault: fault.clone() });
            Err(fault)
        }
    }
}

async fn run(
    http: &Http,
    store: &Store,
    firmware: &Firmware,
    tell: &Teller,
    cancel: &CancellationToken,
) -> Result<Stored, Fault> {
    let digests = firmware.digests();
    let key = match (&digests.sha1, &digests.sha256) {
        // SHA-1 first: Apple's own list has nothing else, so all sources lead to the same name.
        (Some(sha1), _) => hex(sha1),
        (None, Some(sha256)) => hex(sha256),
        (None, None) => {
            let why = format!("no catalogue has a digest of {}", firmware.url.value);
            return Err(Fault::new(Code::CatalogueInvalid, why));
        }
    };
    let url = Url::parse(&firmware.url.value)
        .map_err(|e| Fault::new(Code::CatalogueInvalid, format!("{:?}: {e}", firmware.url.value)))?;
    if let Some(stored) = already(store, firmware, tell, cancel).await? {
        return Ok(stored);
    }
    let place = Place { target: store.incoming().join(format!("{key}.ipsw")), quarantine: store.quarantine() };
    let turn = Turn::wait(&place.target, tell, cancel).await?;
    if let Some(stored) = already(store, firmware, tell, cancel).await? {
        return Ok(stored);
    }
    let wanted =
        Wanted { url, size: firmware.size.as_ref().map(|s| s.value), digests, magic: b"PK\x03\x04", cap: MAX_IPSW };
    let fetched = net::fetch(http, &wanted, &place, &turn, tell, cancel).await?;
    let (store, name, url) = (store.clone(), firmware.file_name().to_owned(), firmware.url.value.clone());
    blocking(move || {
        let _turn = turn;
        store.adopt(&fetched.path, &name, &fetched.sums, Some(&url))
    })
    .await?
}

/// The stored file, checked if it looks changed. One that fails is in quarantine then, and fetched anew.
async fn already(
    store: &Store,
    firmware: &Firmware,
    tell: &Teller,
    cancel: &CancellationToken,
) -> Result<Option<Stored>, Fault> {
    let (store, digests, tell, cancel) = (store.clone(), firmware.digests(), tell.clone(), cancel.clone());
    blocking(move || {
        let Some(stored) = store.find(&digests)? else { return Ok(None) };
        let total = Some(stored.record.looks.size);
        let mut told = Instant::now();
        let mut watch = |done| {
            if told.elapsed() >= Duration::from_millis(100) {
                told = Instant::now();
                tell.tell(Event::Progress { step: Step::VerifyFirmware, unit: Unit::Bytes, done, total });
            }
            !cancel.is_cancelled()
        };
        match store.check(stored, Check::IfChanged, &mut watch) {
            Ok(stored) => Ok(Some(stored)),
            Err(fault) if fault.code == Code::FirmwareDigest => {
                tell.tell(Event::Warning { text: fault.detail });
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    })
    .await?
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Fault::new(Code::Internal, format!("a thread died: {e}")))
}
