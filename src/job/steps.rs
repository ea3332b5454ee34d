//! The steps, each from its plan to its fact.

use super::kit::{FromIpsw, Kit};
use super::once::Key;
use super::plan::{BackupPlan, FirmwarePlan, Plan};
use super::record::Fact;
use super::vigil::Vigil;
use super::warming::Warming;
use crate::backup::{
    self, BackupOptions, Cancel, Depth, Generation, Patience, PutBackOptions, RestoreOptions, Unlock, Vault,
};
use crate::device::{Consent, Device, Eyes, Normal, State, Trust};
use crate::event::{Event, Quiet, Step, Teller};
use crate::fault::{Code, Fault};
use crate::firmware::{self, Check, Ipsw, RootImage, Stored, Verdict, choice, verify_components};
use crate::ids::{BuildId, Ecid, Mode, ProductType};
use crate::mux;
use crate::restore::boot::Waits;
use crate::restore::{Engine, Note, Restored, ahead, stashbag, where_it_is};
use crate::wire::manifest::{Behaviour, BuildIdentity};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a person has for the Trust dialog.
const TRUST: Duration = Duration::from_secs(180);
/// A device that gave up a restore is back in recovery within this.
const REBOOT: Duration = Duration::from_secs(30);
/// How long an interrupted restore may leave the device between two modes.
const SETTLE: Duration = Duration::from_secs(180);

/// An IPSW that was verified and is open.
#[derive(Clone)]
pub struct Opened {
    pub ipsw: Arc<Ipsw>,
    pub identity: Arc<BuildIdentity>,
    pub build: BuildId,
    pub version: crate::ids::Version,
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Fault::new(Code::Internal, e.to_string()))?
}

fn behaviour(erase: bool) -> Behaviour {
    if erase { Behaviour::Erase } else { Behaviour::Update }
}

/// Which firmware would be installed: a file's own, or of the catalogue the build that is asked for, else the newest.
pub async fn prepare(
    kit: &Kit,
    product: &ProductType,
    file: Option<&Path>,
    build: Option<&BuildId>,
) -> Result<FirmwarePlan, Fault> {
    if let Some(file) = file {
        let path = file.to_owned();
        let (build, version) = blocking(move || {
            let manifest = Ipsw::open(&path)?.build_manifest()?;
            let version = manifest.version.clone();
            Ok((manifest.build.clone(), version))
        })
        .await?;
        let version = version.ok_or_else(|| Fault::new(Code::FirmwareDamaged, "the manifest has no version"))?;
        return Ok(FirmwarePlan { version, build, file: Some(file.to_owned()), size: None });
    }
    let gathered = firmware::gather(&kit.http, &kit.endpoints, &kit.folders.catalogue(), product, &kit.tell).await?;
    let newest = match build {
        Some(build) => gathered.catalogue.build(product, build),
        None => gathered.catalogue.newest(product),
    };
    let wanted = || build.map_or_else(|| "none".to_owned(), |build| format!("no {build}"));
    let newest = newest.ok_or_else(|| Fault::new(Code::NoFirmware, format!("{} for {product}", wanted())))?;
    Ok(FirmwarePlan {
        version: newest.version.value.clone(),
        build: newest.build.clone(),
        file: None,
        size: newest.size.as_ref().map(|s| s.value),
    })
}

/// Fetches (or finds) the planned build and verifies the parts that this device will get.
pub async fn firmware(kit: &Kit, plan: &Plan) -> Result<(Stored, Opened), Fault> {
    let store = kit.store();
    let stored = match &plan.firmware.file {
        Some(file) => {
            let (file, store) = (file.clone(), store.clone());
            blocking(move || store.add(&file, &mut |_| true)).await?
        }
        None => {
            // Asked and told already when the plan was made; now only for the address.
            let quiet: Teller = Arc::new(Quiet);
            let copies = kit.folders.catalogue();
            let gathered = firmware::gather(&kit.http, &kit.endpoints, &copies, &plan.product, &quiet).await?;
            let wanted = gathered.catalogue.build(&plan.product, &plan.firmware.build);
            let wanted = wanted
                .ok_or_else(|| Fault::new(Code::NoFirmware, format!("{} is no longer offered", plan.firmware.build)))?;
            firmware::fetch(&kit.http, &store, wanted, &kit.tell, &kit.cancel).await?
        }
    };
    let opened = verify(kit, plan, &stored.path).await?;
    Ok((stored, opened))
}

/// Opens a file of the store and checks every part that the device will get and that can be checked.
pub async fn verify(kit: &Kit, plan: &Plan, path: &Path) -> Result<Opened, Fault> {
    let step = Step::VerifyFirmware;
    kit.tell.tell(Event::StepBegan { step, what: String::new() });
    let identity = format!("{} {} {} {:?} {}", plan.cpid, plan.bdid, plan.board, plan.way, plan.firmware.build);
    let key = Key::of(path, identity).map_err(|fault| fault.during(step))?;
    let opened = kit.verified.or(key, verify_parts(plan, path)).await.map_err(|fault| fault.during(step))?;
    kit.tell.tell(Event::StepDone { step, what: opened.build.to_string() });
    Ok(opened)
}

async fn verify_parts(plan: &Plan, path: &Path) -> Result<Opened, Fault> {
    let (path, plan) = (path.to_owned(), plan.clone());
    blocking(move || {
        let opened = open(&plan, &path)?;
        let checked = verify_components(&opened.ipsw, &opened.identity, &|| true)?;
        for part in checked {
            match part.verdict {
                Verdict::Ok | Verdict::CannotCheck(_) => {}
                bad => {
                    let detail = format!("{} ({}): {bad:?}", part.component, part.path);
                    return Err(Fault::new(Code::FirmwareDigest, detail));
                }
            }
        }
        Ok(opened)
    })
    .await
}

/// Opens an IPSW and picks the identity of the planned device.
pub fn open(plan: &Plan, path: &Path) -> Result<Opened, Fault> {
    let ipsw = Arc::new(Ipsw::open(path)?);
    let manifest = ipsw.build_manifest()?;
    let restore = plan.restore();
    let identity = choice::identity_for(&manifest, plan.cpid, plan.bdid, Some(&plan.board), behaviour(restore.erase))?;
    if manifest.build != plan.firmware.build {
        let detail = format!("the plan says {}, the file is {}", plan.firmware.build, manifest.build);
        return Err(Fault::new(Code::FirmwareWrongDevice, detail));
    }
    Ok(Opened {
        identity: Arc::new(identity.clone()),
        build: manifest.build.clone(),
        version: manifest.version.clone().unwrap_or_else(|| plan.firmware.version.clone()),
        ipsw,
    })
}

/// The digests of the store are taken again when the file changed since.
pub async fn recheck(kit: &Kit, path: PathBuf) -> Result<(), Fault> {
    let store = kit.store();
    blocking(move || match store.list()?.into_iter().find(|s| s.path == path) {
        Some(stored) => store.check(stored, Check::IfChanged, &mut |_| true).map(drop),
        None => Err(Fault::new(Code::FirmwareDamaged, format!("{} is no longer in the store", path.display()))),
    })
    .await
}

/// From whatever mode to the device's final status; `note` hears each action before it is begun.
pub async fn restore(
    kit: &Kit,
    plan: &Plan,
    opened: &Opened,
    consent: &Consent,
    note: &mut Note<'_>,
) -> Result<Restored, Fault> {
    let engine = engine(kit, plan, opened).await?;
    let plan = plan.restore();
    let vigil = Vigil::begin(kit).await;
    ahead::ask(&engine, &plan).await?;
    let _warming = Warming::begin(Arc::clone(&engine.image));
    match engine.restore(&plan, consent, note).await {
        Ok(restored) => Ok(restored),
        Err(fault) => {
            let fault = vigil.explain(fault).await;
            Err(where_it_is(&kit.eyes, plan.ecid, fault, REBOOT / kit.haste.max(1)).await)
        }
    }
}

async fn engine(kit: &Kit, plan: &Plan, opened: &Opened) -> Result<Engine, Fault> {
    let name = opened.identity.system_image();
    let name = name.ok_or_else(|| Fault::new(Code::FirmwareDamaged, "the manifest names no system image"))?.to_owned();
    let (ipsw, scratch) = (Arc::clone(&opened.ipsw), kit.folders.cache.clone());
    let image = blocking(move || RootImage::open(&ipsw, &name, &scratch)).await?;
    Ok(Engine {
        eyes: kit.eyes.clone(),
        hands: kit.hands.clone(),
        identity: Arc::clone(&opened.identity),
        components: Arc::new(FromIpsw(Arc::clone(&opened.ipsw))),
        image: Arc::new(image),
        sign: kit.signer(plan, &opened.identity)?,
        web: kit.web(),
        allowed: if kit.eyes.is_virtual { loopback_only } else { apples_only },
        tell: Arc::clone(&kit.tell),
        cancel: kit.cancel.clone(),
        waits: Waits::default().shortened(kit.haste),
        stashbag: stashbag::Patience::default().shortened(kit.haste),
    })
}

/// FDR in restore mode reaches Apple's servers and no others.
fn apples_only(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "apple.com" || host.ends_with(".apple.com")
}

fn loopback_only(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Waits until the device has started; the first start after a restore takes minutes.
pub async fn await_normal(kit: &Kit, plan: &Plan) -> Result<Device, Fault> {
    let step = Step::AwaitNormal;
    kit.tell.tell(Event::StepBegan { step, what: String::new() });
    let found = or_cancel(kit, kit.eyes.wait_for(kit.restart(), |d| is_up(d, plan))).await?;
    let device = found.ok_or_else(|| {
        Fault::new(Code::NeverCameBack, format!("not started within {} s", kit.restart().as_secs()))
            .during(step)
            .on(plan.ecid)
    })?;
    kit.tell.tell(Event::StepDone { step, what: String::new() });
    Ok(device)
}

/// Waiting for a person or for a restart changes nothing, so it may stop at once.
async fn or_cancel<T>(kit: &Kit, wait: impl Future<Output = T>) -> Result<T, Fault> {
    tokio::select! {
        done = wait => Ok(done),
        () = kit.cancel.cancelled() => Err(Fault::cancelled()),
    }
}

/// The device in a mode that says where it stands: normal mode counts once lockdown tells the build.
///
/// # Errors
/// `no-such-device` when it is on no bus for as long as a restart may take: then nothing is decided.
pub async fn settled(kit: &Kit, ecid: Ecid) -> Result<Device, Fault> {
    let step = Step::Find;
    kit.tell.tell(Event::StepBegan { step, what: ecid.to_string() });
    let tells = |d: &Device| d.normal().is_none_or(|n| n.build.is_some()) && d.mode() != Mode::Unknown;
    let away = || Fault::new(Code::NoSuchDevice, format!("on no bus within {} s", SETTLE.as_secs())).during(step);
    let found = or_cancel(kit, kit.eyes.wait_for(SETTLE, |d| d.who().ecid == Some(ecid) && tells(d))).await;
    let device = found.and_then(|found| found.ok_or_else(away)).map_err(|fault| fault.during(step).on(ecid))?;
    kit.tell.tell(Event::StepDone { step, what: device.mode().to_string() });
    Ok(device)
}

/// In normal mode, with lockdown answering.
fn is_up(device: &Device, plan: &Plan) -> bool {
    device.who().ecid == Some(plan.ecid) && device.normal().is_some_and(|n| n.version.is_some())
}

/// The device in normal mode, trusting this host; asks for trust where it is missing.
pub async fn trusted(kit: &Kit, plan: &Plan) -> Result<Normal, Fault> {
    let found = or_cancel(kit, kit.eyes.wait_for(kit.restart(), |d| is_up(d, plan))).await?;
    let device = found.ok_or_else(|| Fault::new(Code::NoSuchDevice, format!("{} is away", plan.ecid)))?;
    ensure_trust(&kit.eyes, &device, kit).await
}

/// Pairs when the device does not trust this host yet.
pub async fn ensure_trust(eyes: &Eyes, device: &Device, kit: &Kit) -> Result<Normal, Fault> {
    let State::Normal(normal) = &device.state else {
        return Err(Fault::new(Code::WrongMode, format!("the device is in {} mode", device.mode())));
    };
    if normal.trust == Trust::Trusted {
        return Ok(normal.clone());
    }
    let step = Step::Pair;
    kit.tell.tell(Event::StepBegan { step, what: device.who().title() });
    let udid = normal.who.udid.as_ref().ok_or_else(|| Fault::new(Code::LockdownRefused, "no UDID"))?;
    let asked = or_cancel(kit, mux::pair(&eyes.mux, &normal.mux, udid, TRUST, kit.tell.as_ref())).await;
    asked.flatten().map_err(|f| f.during(step))?;
    kit.tell.tell(Event::StepDone { step, what: String::new() });
    let ecid = normal.who.ecid;
    let again = eyes
        .wait_for(Duration::from_secs(30), |d| {
            d.who().ecid == ecid && d.normal().is_some_and(|n| n.trust == Trust::Trusted)
        })
        .await;
    match again.map(|d| d.state) {
        Some(State::Normal(normal)) => Ok(normal),
        _ => Err(Fault::new(Code::PairingStale, "the device did not take up the new trust").during(step)),
    }
}

/// The backup of the plan: made now, or the one from before, which has to be sound before anything is erased.
pub async fn backup(kit: &Kit, plan: &Plan) -> Result<Fact, Fault> {
    match &plan.backup {
        BackupPlan::Existing { generation } => existing(kit, plan, generation).await,
        _ => make_backup(kit, plan).await,
    }
}

async fn existing(kit: &Kit, plan: &Plan, name: &str) -> Result<Fact, Fault> {
    let udid = plan.udid.clone().ok_or_else(|| Fault::new(Code::BackupNone, "the plan has no UDID"))?;
    let (vault, wanted) = (Vault::new(&plan.vault), name.to_owned());
    let generation = blocking(move || vault.generation(&udid, Some(&wanted))).await?;
    let encrypted = generation.summary.encrypted == Some(true);
    let verdict = opened(kit, &generation, encrypted).await.map_err(|f| f.during(Step::VerifyBackup))?;
    Ok(Fact::Backup {
        generation: generation.name.clone(),
        place: generation.path.clone(),
        files: verdict.files,
        bytes: verdict.bytes,
        unread: 0,
    })
}

async fn make_backup(kit: &Kit, plan: &Plan) -> Result<Fact, Fault> {
    let normal = trusted(kit, plan).await?;
    let vault = Vault::new(&plan.vault);
    let options = BackupOptions { full: false, patience: Patience::default().shortened(kit.haste) };
    let made = backup::make(&kit.eyes.mux, &normal, &vault, options, &kit.tell, &kit.cancel).await?;
    let verdict = match made.generation.summary.encrypted {
        Some(true) if plan.put_back => {
            opened(kit, &made.generation, true).await.map_err(|f| f.during(Step::VerifyBackup))?
        }
        _ => made.verdict,
    };
    Ok(Fact::Backup {
        generation: made.generation.name.clone(),
        place: made.generation.path.clone(),
        files: verdict.files,
        bytes: verdict.bytes,
        unread: made.received.failed_count,
    })
}

/// A backup is looked through before anything is erased, an encrypted one with its password: what nobody can open,
/// nobody can put back.
async fn opened(kit: &Kit, generation: &Generation, encrypted: bool) -> Result<backup::Verdict, Fault> {
    let password = kit.backup_password.clone();
    if encrypted && password.is_none() {
        let text = "the backup is there and encrypted; it cannot be put back without its password, so nothing was \
                    erased. `herstel resume` goes on with it";
        return Err(Fault::new(Code::BackupPassword, text));
    }
    let (folder, scratch) = (generation.folder(), kit.folders.scratch());
    let verdict = or_cancel(kit, async {
        blocking(move || {
            let unlock = password.filter(|_| encrypted);
            let unlock = unlock.as_ref().map(|password| Unlock { password, scratch: &scratch });
            backup::verify_with(&folder, Depth::Quick, unlock, &Quiet, &Cancel::new())
        })
        .await
    });
    let verdict = verdict.await??;
    if let Some(first) = verdict.damage().next() {
        return Err(Fault::new(Code::BackupUnverified, format!("{first:?}")));
    }
    Ok(verdict)
}

pub async fn put_back(kit: &Kit, plan: &Plan, generation: &str, consent: &Consent) -> Result<Fact, Fault> {
    let normal = trusted(kit, plan).await?;
    let udid = normal.who.udid.clone().or_else(|| plan.udid.clone());
    let udid = udid.ok_or_else(|| Fault::new(Code::BackupNone, "the device told no UDID"))?;
    let vault = Vault::new(&plan.vault);
    let name = generation.to_owned();
    let generation = blocking(move || vault.generation(&udid, Some(&name))).await?;
    let what = RestoreOptions {
        reboot: true,
        copy_first: false,
        preserve_settings: false,
        system_files: true,
        remove_others: false,
        password: kit.backup_password.clone(),
    };
    let options = PutBackOptions { what, patience: Patience::default().shortened(kit.haste) };
    let sent = backup::put_back(&kit.eyes.mux, &normal, &generation, options, consent, &kit.tell, &kit.cancel).await?;
    // It restarts to take the data up: only then is the job done.
    let gone = Duration::from_secs(30);
    let left = kit.eyes.wait_until_gone(plan.ecid, gone).await;
    if left {
        kit.eyes.wait_for_ecid(plan.ecid, &[Mode::Normal], kit.restart()).await.ok_or_else(|| {
            Fault::new(Code::NeverCameBack, "not back after the backup was put back").during(Step::PutBack)
        })?;
    }
    Ok(Fact::PutBack { files: sent.files, bytes: sent.bytes })
}
