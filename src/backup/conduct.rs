//! A backup or a restore from the first handshake to the published generation.
//!
//! The engine knows DeviceLink and the vault knows generations; here are the duties around them: the
//! trusted session, the sync lock, Info.plist with the apps, the passcode prompt shown while it is open,
//! and the lock given back however it ended.

use super::{
    BackupOptions, Cancel, Generation, InfoFacts, Patience, Received, RestoreOptions, Sent, Vault, Verdict, Wire,
    WorkTree,
};
use crate::device::{Consent, Deed, Normal};
use crate::event::{Event, Request, Step, Teller};
use crate::fault::{Code, Fault};
use crate::ids::Udid;
use crate::mux::{self, Direct, Mux, Notices, Session, SyncLock};
use plist::{Dictionary, Value};
use std::time::Duration;
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
    let (mut session, udid) = open(mux, normal).await.map_err(|f| f.during(Step::Backup))?;
    tell.tell(Event::StepBegan { step: Step::Backup, what: normal.who.title() });
    let facts = info_facts(&mut session, normal, &udid).await?;
    let desk = with_lock(&mut session, tell, async |session, cancel_engine| {
        let wire = session.direct(SERVICE, true).await.map_err(Fault::from)?;
        let (vault, udid, tell) = (vault.clone(), udid.clone(), tell.clone());
        let watch = tie(cancel, &cancel_engine);
        let work = tokio::task::spawn_blocking(move || {
            run_backup(wire, &vault, &udid, &options, &facts, &tell, &cancel_engine)
        });
        let made = work.await.map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
        watch.abort();
        made
    });
    desk.await.map_err(|fault| fault.during(Step::Backup))
}

fn run_backup(
    mut wire: Direct,
    vault: &Vault,
    udid: &Udid,
    options: &BackupOptions,
    facts: &InfoFacts,
    tell: &Teller,
    cancel: &Cancel,
) -> Result<Made, Fault> {
    let desk = vault.take(udid)?;
    let work = desk.begin(options.full, tell.as_ref(), cancel)?;
    let received = super::backup(&mut wire, udid, work.tree(), options, tell.as_ref(), cancel);
    let received = match received.and_then(|received| work.put_info(facts).map(|()| received)) {
        Ok(received) => received,
        Err(fault) => {
            if let Err(second) = work.give_up() {
                tracing::warn!(%second, "the work tree of a failed backup");
            }
            return Err(fault);
        }
    };
    tell.tell(Event::StepDone { step: Step::Backup, what: String::new() });
    tell.tell(Event::StepBegan { step: Step::VerifyBackup, what: String::new() });
    let published = work.publish(&received, tell.as_ref(), cancel);
    let (generation, verdict) = published.map_err(|fault| fault.during(Step::VerifyBackup))?;
    tell.tell(Event::StepDone { step: Step::VerifyBackup, what: generation.name.clone() });
    Ok(Made { generation, verdict, received })
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
/// Consent, trust, link, device and disk faults. `find-my-on` and `backup-newer-than-device` before anything is changed.
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
    check_versions(normal, generation).map_err(during)?;
    let (mut session, udid) = open(mux, normal).await.map_err(during)?;
    tell.tell(Event::StepBegan { step: Step::PutBack, what: generation.name.clone() });
    let apps = restore_applications(generation);
    let source = generation.udid.clone();
    let root = generation.path.clone();
    let sent = with_lock(&mut session, tell, async |session, cancel_engine| {
        if let Some(apps) = &apps {
            mux::put_restore_applications(session, apps).await?;
        }
        let mut wire = session.direct(SERVICE, true).await.map_err(Fault::from)?;
        let (udid, tell) = (udid.clone(), tell.clone());
        let watch = tie(cancel, &cancel_engine);
        let work = tokio::task::spawn_blocking(move || {
            let tree = WorkTree::open_read_only(&root, source.as_str())?;
            let PutBackOptions { what, patience } = options;
            super::restore(&mut wire, &udid, &tree, &what, patience, tell.as_ref(), &cancel_engine)
        });
        let sent = work.await.map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
        watch.abort();
        sent
    });
    let sent = sent.await.map_err(during)?;
    tell.tell(Event::StepDone { step: Step::PutBack, what: String::new() });
    Ok(sent)
}

pub(super) async fn open(mux: &Mux, normal: &Normal) -> Result<(Session, Udid), Fault> {
    let udid = normal.who.udid.clone().ok_or_else(|| Fault::new(Code::NotTrusted, "the device told no UDID"))?;
    let record = mux.pair_record(&udid).await?;
    let record = record.ok_or_else(|| Fault::new(Code::NotTrusted, "this host has no pair record of the device"))?;
    Ok((Session::open(mux, &normal.mux, record).await.map_err(Fault::from)?, udid))
}

/// The person's wish to stop, passed on to the engine's thread.
pub(super) fn tie(token: &CancellationToken, engine: &Cancel) -> tokio::task::JoinHandle<()> {
    let (token, engine) = (token.clone(), engine.clone());
    tokio::spawn(async move {
        token.cancelled().await;
        engine.ask();
    })
}

/// Runs `work` while the sync lock is held and prompts of the phone are shown.
async fn with_lock<T>(
    session: &mut Session,
    tell: &Teller,
    work: impl AsyncFnOnce(&mut Session, Cancel) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let engine = Cancel::new();
    let notices = Notices::open(session).await?;
    let watcher = tokio::spawn(show_prompts(notices, tell.clone(), engine.clone()));
    let lock = SyncLock::take(session).await?;
    let result = work(session, engine).await;
    watcher.abort();
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

fn check_versions(normal: &Normal, generation: &Generation) -> Result<(), Fault> {
    let made_on = generation.summary.product_version.as_deref().and_then(|v| v.parse::<crate::ids::Version>().ok());
    match (&made_on, &normal.version) {
        (Some(made_on), Some(now)) if made_on.major() > now.major() => {
            Err(Fault::new(Code::BackupNewer, format!("made on {made_on}, the device runs {now}")))
        }
        _ => Ok(()),
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

async fn info_facts(session: &mut Session, normal: &Normal, udid: &Udid) -> Result<InfoFacts, Fault> {
    let values = session.lockdown.all(None).await.map_err(Fault::from)?;
    let text = |key: &str| values.get(key).and_then(Value::as_string).map(str::to_owned);
    let itunes = session.lockdown.all(Some("com.apple.iTunes")).await.map_err(Fault::from)?;
    let minimum = session.lockdown.get(Some("com.apple.mobile.iTunes"), "MinITunesVersion").await;
    let minimum = minimum.map_err(Fault::from)?.and_then(|v| v.as_string().map(str::to_owned));
    let mut applications = Dictionary::new();
    let mut installed = Vec::new();
    for app in mux::apps(session).await? {
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
        installed_applications: installed,
        itunes_files: Vec::new(),
        itunes_settings: itunes,
        ibooks_data: None,
        date: None,
    })
}
