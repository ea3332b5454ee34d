//! A backup or a restore from the first handshake to the published generation.
//!
//! The engine knows DeviceLink and the vault knows generations; here are the duties around them: the
//! trusted session, what the device says of itself first, the sync lock, Info.plist with the apps, the passcode
//! prompt shown while it is open, and the lock given back however it ended.

use super::{
    BackupOptions, Cancel, Generation, InfoFacts, Patience, Preflight, Received, RestoreOptions, Saved, Sent, Vault,
    Verdict, Wire, WorkTree,
};
use crate::device::{Consent, Deed, Normal};
use crate::event::{Event, Request, Step, Teller};
use crate::fault::{Code, Fault};
use crate::ids::Udid;
use crate::mux::{self, Direct, MediaFiles, Mux, Notices, Session, SyncLock};
use plist::{Dictionary, Value};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub(super) const SERVICE: &str = "com.apple.mobilebackup2";

impl Wire for Direct {
    fn set_limit(&mut self, limit: Option<Duration>) -> std::io::Result<()> {
        Direct::set_limit(self, limit)
    }
}

/// A backup that is published.
#[derive(Debug)]
pub struct Made {
    pub generation: Generation,
    pub verdict: Verdict,
    pub received: Received,
    pub preflight: Preflight,
}

/// Backs the device up into the vault, verified and published. The device must trust this host.
///
/// # Errors
/// Trust, link, device and disk faults, with the step; older generations are untouched in every case.
pub async fn make(
    mux: &Mux,
    normal: &Normal,
    vault: &Vault,
    options: BackupOptions,
    tell: &Teller,
    cancel: &CancellationToken,
) -> Result<Made, Fault> {
    let during = |fault: Fault| fault.during(Step::Backup);
    let (mut session, udid) = open(mux, normal).await.map_err(during)?;
    tell.tell(Event::StepBegan { step: Step::Backup, what: normal.who.title() });
    let preflight = Preflight::read(&mut session, normal).await.map_err(during)?;
    preflight.may_back_up().map_err(during)?;
    let facts = info_facts(&mut session, normal, &udid, tell).await.map_err(during)?;
    let engine = Cancel::new();
    let _tie = tie(cancel, &engine);
    // The tree is cloned on the engine's thread first, which takes seconds for half a million files; only then are
    // the lock taken and the service started: a phone that is connected waits for its request, and a phone that is
    // locked for a sync shows it.
    let (ready, is_ready) = oneshot::channel();
    let (give, given) = oneshot::channel();
    let (talked, has_talked) = oneshot::channel();
    let work = {
        let (vault, udid, tell, engine) = (vault.clone(), udid.clone(), tell.clone(), engine.clone());
        let open = move || {
            let _ = ready.send(());
            given.blocking_recv().map_err(|_| Fault::new(Code::LinkLost, "the backup service was not started"))
        };
        let over = {
            let tell = tell.clone();
            move |well| {
                let _ = talked.send(());
                if well {
                    tell.tell(Event::StepDone { step: Step::Backup, what: String::new() });
                    tell.tell(Event::StepBegan { step: Step::VerifyBackup, what: String::new() });
                }
            }
        };
        tokio::task::spawn_blocking(move || {
            let saved = super::save(&vault, &udid, Some(&facts), &options, open, over, tell.as_ref(), &engine)?;
            tell.tell(Event::StepDone { step: Step::VerifyBackup, what: saved.generation.name.clone() });
            Ok::<Saved, Fault>(saved)
        })
    };
    let mut talk = Ok(());
    if is_ready.await.is_ok() {
        talk = with_lock(&mut session, tell, &engine, async |session| {
            let _ = give.send(session.direct(SERVICE, true).await.map_err(Fault::from)?);
            // Whatever became of the conversation, the engine's thread says.
            let _ = has_talked.await;
            Ok(())
        })
        .await;
    }
    let made = work.await.map_err(|e| during(Fault::new(Code::Internal, e.to_string())))?;
    talk.map_err(during)?;
    let Saved { generation, verdict, received } = made.map_err(during)?;
    Ok(Made { generation, verdict, received, preflight })
}

/// What the device says of itself before a backup is made or put back.
///
/// # Errors
/// Trust, link and device faults.
pub async fn look_before(mux: &Mux, normal: &Normal) -> Result<Preflight, Fault> {
    let (mut session, _) = open(mux, normal).await?;
    Preflight::read(&mut session, normal).await
}

/// What is put back, and how long silences may last.
#[derive(Clone, Debug)]
pub struct PutBackOptions {
    pub what: RestoreOptions,
    pub patience: Patience,
}

/// Puts a generation back onto the device; it restarts afterwards when the options say so.
///
/// # Errors
/// Consent, trust, link, device and disk faults. `find-my-on`, `backup-newer-than-device` and `device-full` before
/// anything is sent.
pub async fn put_back(
    mux: &Mux,
    normal: &Normal,
    generation: &Generation,
    options: PutBackOptions,
    consent: &Consent,
    tell: &Teller,
    cancel: &CancellationToken,
) -> Result<Sent, Fault> {
    let during = |fault: Fault| fault.during(Step::PutBack);
    let ecid = normal.who.ecid.ok_or_else(|| Fault::new(Code::LockdownRefused, "the device told no ECID"))?;
    consent.covers(ecid, &Deed::PutBack)?;
    let (mut session, udid) = open(mux, normal).await.map_err(during)?;
    let preflight = Preflight::read(&mut session, normal).await.map_err(during)?;
    preflight.may_put_back(generation, &options.what).map_err(during)?;
    tell.tell(Event::StepBegan { step: Step::PutBack, what: generation.name.clone() });
    let apps = restore_applications(generation);
    let source = generation.udid.clone();
    let root = generation.path.clone();
    let engine = Cancel::new();
    let _tie = tie(cancel, &engine);
    let sent = with_lock(&mut session, tell, &engine, async |session| {
        if let Some(apps) = &apps {
            mux::put_restore_applications(session, apps).await?;
        }
        let sent = async {
            let mut wire = session.direct(SERVICE, true).await.map_err(Fault::from)?;
            let (udid, tell, engine) = (udid.clone(), tell.clone(), engine.clone());
            let work = tokio::task::spawn_blocking(move || {
                let tree = WorkTree::open_read_only(&root, source.as_str())?;
                let PutBackOptions { what, patience } = options;
                super::restore(&mut wire, &udid, &tree, &what, patience, tell.as_ref(), &engine)
            });
            work.await.map_err(|e| Fault::new(Code::Internal, e.to_string()))?
        };
        let sent = sent.await;
        if sent.is_err() && apps.is_some() {
            // After an unplug there is nobody left to take it away from.
            if let Err(fault) = mux::remove_restore_applications(session).await {
                tracing::info!(%fault, "taking RestoreApplications away");
            }
        }
        sent
    });
    let sent = sent.await.map_err(|mut fault| {
        if fault.code == Code::DeviceFull {
            fault.detail += &format!("; {}", preflight.figures(generation));
        }
        during(fault)
    })?;
    tell.tell(Event::StepDone { step: Step::PutBack, what: String::new() });
    Ok(sent)
}

pub(super) async fn open(mux: &Mux, normal: &Normal) -> Result<(Session, Udid), Fault> {
    let udid = normal.who.udid.clone().ok_or_else(|| Fault::new(Code::NotTrusted, "the device told no UDID"))?;
    let record = mux.pair_record(&udid).await?;
    let record = record.ok_or_else(|| Fault::new(Code::NotTrusted, "this host has no pair record of the device"))?;
    Ok((Session::open(mux, &normal.mux, record).await.map_err(Fault::from)?, udid))
}

/// A task that ends with its owner.
pub(super) struct Tied(pub(super) tokio::task::JoinHandle<()>);

impl Drop for Tied {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The person's wish to stop, passed on to the engine's thread.
pub(super) fn tie(token: &CancellationToken, engine: &Cancel) -> Tied {
    let (token, engine) = (token.clone(), engine.clone());
    Tied(tokio::spawn(async move {
        token.cancelled().await;
        engine.ask();
    }))
}

/// Runs `work` while the sync lock is held and prompts of the phone are shown.
async fn with_lock<T>(
    session: &mut Session,
    tell: &Teller,
    engine: &Cancel,
    work: impl AsyncFnOnce(&mut Session) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let notices = Notices::open(session).await?;
    let _watcher = Tied(tokio::spawn(show_prompts(notices, tell.clone(), engine.clone())));
    let lock = SyncLock::take(session).await?;
    let result = work(session).await;
    // After a restore with a reboot, or an unplug, there is nobody left to give it back to.
    if let Err(fault) = lock.release(session).await {
        tracing::info!(%fault, "giving the sync lock back");
    }
    result
}

pub(super) async fn show_prompts(mut notices: Notices, tell: Teller, engine: Cancel) {
    while let Ok(name) = notices.next().await {
        match name.as_str() {
            Notices::PASSCODE_ASKED => tell.tell(Event::Ask { request: Request::EnterPasscode }),
            Notices::PASSCODE_GONE => tell.tell(Event::Answered { request: Request::EnterPasscode }),
            Notices::CANCELLED => engine.ask(),
            _ => {}
        }
    }
}

/// `Applications` of the generation's Info.plist, as the phone wants it under `/iTunesRestore`.
fn restore_applications(generation: &Generation) -> Option<Vec<u8>> {
    const CAP: u64 = 256 << 20;
    let path = generation.folder().join("Info.plist");
    if std::fs::metadata(&path).ok()?.len() > CAP {
        return None;
    }
    let info: Dictionary = plist::from_file(&path).ok()?;
    let apps = info.get("Applications")?.as_dictionary()?;
    if apps.is_empty() {
        return None;
    }
    let mut xml = Vec::new();
    plist::to_writer_xml(&mut xml, apps).ok()?;
    Some(xml)
}

/// The apps, for Info.plist. A phone that does not list them is backed up all the same, and it is said.
async fn applications(session: &mut Session, tell: &Teller) -> Result<(Dictionary, Vec<String>), Fault> {
    let apps = match mux::apps(session).await {
        Err(fault) if fault.code == Code::ServiceRefused => {
            let text =
                format!("the device does not list its apps, so a restore will not install them: {}", fault.detail);
            tell.tell(Event::Warning { text });
            Vec::new()
        }
        apps => apps?,
    };
    let mut applications = Dictionary::new();
    let mut installed = Vec::new();
    for app in apps {
        let mut entry = Dictionary::new();
        for (key, bytes) in
            [("ApplicationSINF", app.sinf), ("iTunesMetadata", app.metadata), ("PlaceholderIcon", app.icon)]
        {
            if let Some(bytes) = bytes {
                entry.insert(key.into(), Value::Data(bytes));
            }
        }
        installed.push(app.bundle.clone());
        if entry.contains_key("ApplicationSINF") && entry.contains_key("iTunesMetadata") {
            applications.insert(app.bundle, Value::Dictionary(entry));
        }
    }
    Ok((applications, installed))
}

async fn info_facts(session: &mut Session, normal: &Normal, udid: &Udid, tell: &Teller) -> Result<InfoFacts, Fault> {
    let values = session.lockdown.all(None).await.map_err(Fault::from)?;
    let text = |key: &str| values.get(key).and_then(Value::as_string).map(str::to_owned);
    let itunes = session.lockdown.all(Some("com.apple.iTunes")).await.map_err(Fault::from)?;
    let minimum = session.lockdown.get(Some("com.apple.mobile.iTunes"), "MinITunesVersion").await;
    let minimum = minimum.map_err(Fault::from)?.and_then(|v| v.as_string().map(str::to_owned));
    let (applications, installed_applications) = applications(session, tell).await?;
    let media = match mux::media_files(session).await {
        Err(fault) if fault.code == Code::ServiceRefused => {
            tracing::info!(%fault, "the files of iTunes");
            MediaFiles::default()
        }
        media => media?,
    };
    Ok(InfoFacts {
        udid: udid.to_string(),
        device_name: normal.who.name.clone().unwrap_or_default(),
        product_type: text("ProductType").unwrap_or_default(),
        product_version: text("ProductVersion").unwrap_or_default(),
        build_version: text("BuildVersion").unwrap_or_default(),
        serial_number: text("SerialNumber").unwrap_or_default(),
        imei: text("InternationalMobileEquipmentIdentity"),
        meid: text("MobileEquipmentIdentifier"),
        iccid: text("IntegratedCircuitCardIdentity"),
        phone_number: text("PhoneNumber"),
        min_itunes_version: minimum,
        applications,
        installed_applications,
        itunes_files: media.itunes,
        itunes_settings: itunes,
        ibooks_data: media.ibooks,
        date: None,
    })
}
