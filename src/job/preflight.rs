//! What is looked at before a restore or recover touches anything.
//!
//! A restore that breaks off half way is worse than one that never began, and most of what breaks it can be seen
//! first: an empty battery, a full disk, a build that nobody signs. Each look ends in a verdict. What is sure to fail
//! blocks, with the fault that it would have ended in; what may fail is a warning; what cannot be seen is unknown and
//! stands in nobody's way. The borders of battery and room on the device are ours: no document of Apple's names them.
//!
//! Whether a build is signed is asked for a device that does not exist ([`Probe`]). Its no is believed only where the
//! newest build had a yes, so a no for the newest build itself stays a warning: the device's own request decides.

use super::kit::Kit;
use super::plan::{BackupPlan, Plan, Way};
use crate::device::{Device, Normal, Trust};
use crate::disk;
use crate::event::{Check, Finding, Quiet, Teller, Verdict};
use crate::facts::models;
use crate::fault::{Code, Fault, Remedy};
use crate::firmware::{self, Firmware, Ipsw, Probe, Signed, choice, read_manifest};
use crate::mux::{Mux, Session};
use crate::net::{self, Tss, Url};
use crate::wire::manifest::{Behaviour, BuildManifest};
use plist::{Dictionary, Value};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Percent of charge: below it the device may go off in the middle.
const EMPTY: u64 = 10;
const LOW: u64 = 30;
/// Bytes free on the device below which an update is hopeless, or doubtful.
const FULL: u64 = 1_000_000_000;
const TIGHT: u64 = 5_000_000_000;
const REACH: Duration = Duration::from_secs(5);

/// Looks at everything; what blocks comes with its fault.
pub async fn examine(kit: &Kit, plan: &Plan, device: &Device) -> Vec<Finding> {
    let mut found = Vec::new();
    let devices = kit.eyes.mux.devices().await.map_err(Fault::from);
    let answers = devices.map(|_| format!("usbmuxd at {} answers", kit.eyes.mux.address()));
    found.push(told(Check::Usbmuxd, answers));
    let inside = match device.normal() {
        Some(normal) if normal.trust == Trust::Trusted => Inside::read(&kit.eyes.mux, normal).await,
        Some(_) => Err("the device does not trust this computer".to_owned()),
        None => Err(format!("a device in {} mode does not tell", device.mode())),
    };
    let unseen = |check: Check, why: &String| Finding::unknown(check, why.clone());
    found.push(inside.as_ref().map_or_else(|why| unseen(Check::Battery, why), |told| battery(&told.battery)));
    found.push(firmware_room(kit, plan));
    if plan.backup == BackupPlan::Make {
        let taken = if on_one_volume(&plan.vault, &kit.folders.firmware()) { firmware_needs(kit, plan) } else { None };
        let free = || disk::free_space(&plan.vault).map(|free| free.saturating_sub(taken.unwrap_or(0)));
        let room = |told: &Inside| backup_room(&told.disk, free());
        found.push(inside.as_ref().map_or_else(|why| unseen(Check::BackupRoom, why), room));
    }
    if plan.way == Way::Update {
        found.push(inside.as_ref().map_or_else(|why| unseen(Check::DeviceRoom, why), |told| device_room(&told.disk)));
    }
    found.extend(about_firmware(kit, plan).await);
    if !kit.eyes.is_virtual {
        found.push(device_hosts().await);
    }
    found
}

/// The first that blocks.
///
/// # Errors
/// Its fault.
pub fn verdict(found: &[Finding]) -> Result<(), Fault> {
    let first = found.iter().find(|f| f.verdict == Verdict::Blocking).and_then(|f| f.fault.clone());
    first.map_or(Ok(()), Err)
}

fn told(check: Check, result: Result<String, Fault>) -> Finding {
    match result {
        Ok(detail) => Finding::good(check, detail),
        Err(fault) => Finding::blocking(check, fault),
    }
}

/// What a trusting device says of itself.
struct Inside {
    battery: Dictionary,
    disk: Dictionary,
}

impl Inside {
    async fn read(mux: &Mux, normal: &Normal) -> Result<Inside, String> {
        let read = async {
            let udid = normal.who.udid.as_ref().ok_or_else(|| Fault::new(Code::LockdownRefused, "no UDID"))?;
            let record = mux.pair_record(udid).await?;
            let record = record.ok_or_else(|| Fault::new(Code::NotTrusted, "no pair record"))?;
            let mut session = Session::open(mux, &normal.mux, record).await.map_err(Fault::from)?;
            let battery = session.lockdown.all(Some("com.apple.mobile.battery")).await.map_err(Fault::from)?;
            let disk = session.lockdown.all(Some("com.apple.disk_usage")).await.map_err(Fault::from)?;
            Ok::<_, Fault>(Inside { battery, disk })
        };
        read.await.map_err(|fault| fault.to_string())
    }
}

fn battery(told: &Dictionary) -> Finding {
    let flag = |key: &str| told.get(key).and_then(Value::as_boolean);
    if flag("HasBattery") == Some(false) {
        return Finding::good(Check::Battery, "it has none");
    }
    let Some(percent) = told.get("BatteryCurrentCapacity").and_then(Value::as_unsigned_integer) else {
        return Finding::unknown(Check::Battery, "the device does not tell its charge");
    };
    let charging = flag("BatteryIsCharging") == Some(true) || flag("FullyCharged") == Some(true);
    let detail = format!("{percent} %, {}", if charging { "charging" } else { "not charging" });
    match charging {
        false if percent < EMPTY => Finding::blocking(Check::Battery, Fault::new(Code::BatteryLow, detail)),
        false if percent < LOW => Finding::warning(Check::Battery, detail),
        true if percent < EMPTY => Finding::warning(Check::Battery, detail),
        _ => Finding::good(Check::Battery, detail),
    }
}

/// The file of the planned build, where the store has it.
pub(super) fn stored(kit: &Kit, plan: &Plan) -> Option<firmware::Stored> {
    let fits = |s: &firmware::Stored| {
        s.record.build.as_ref() == Some(&plan.firmware.build) && s.record.products.contains(&plan.product)
    };
    kit.store().list().unwrap_or_default().into_iter().find(fits)
}

/// Bytes that still have to come; none where nobody knows.
fn firmware_needs(kit: &Kit, plan: &Plan) -> Option<u64> {
    if stored(kit, plan).is_some() {
        return Some(0);
    }
    let size = match &plan.firmware.file {
        Some(file) => std::fs::metadata(file).ok().map(|m| m.len()),
        None => plan.firmware.size,
    };
    Some(size?.saturating_sub(partly_here(&kit.folders.firmware())))
}

fn firmware_room(kit: &Kit, plan: &Plan) -> Finding {
    let (check, folder) = (Check::FirmwareRoom, kit.folders.firmware());
    match firmware_needs(kit, plan) {
        Some(0) => Finding::good(check, "the firmware is here already"),
        Some(needs) => {
            let seen = || format!("{} MB are needed in {}", needs >> 20, folder.display());
            told(check, disk::require_space(&folder, needs).map(|()| seen()))
        }
        None => Finding::unknown(check, "no catalogue knows the size of the firmware"),
    }
}

/// By the nearest folders that exist.
fn on_one_volume(left: &Path, right: &Path) -> bool {
    let volume = |path: &Path| path.ancestors().find_map(|p| std::fs::metadata(p).ok()).map(|m| m.dev());
    volume(left).is_some_and(|left| volume(right) == Some(left))
}

/// Bytes of downloads that were broken off: they are gone on with.
fn partly_here(folder: &Path) -> u64 {
    let incoming = std::fs::read_dir(folder.join("incoming")).into_iter().flatten().flatten();
    incoming.filter_map(|entry| entry.metadata().ok()).map(|m| m.len()).max().unwrap_or(0)
}

fn number(told: &Dictionary, key: &str) -> Option<u64> {
    told.get(key).and_then(Value::as_unsigned_integer)
}

/// A backup is never larger than what is used; often it is much smaller, so there is no more than a warning here.
fn backup_room(told: &Dictionary, free: Result<u64, Fault>) -> Finding {
    let check = Check::BackupRoom;
    let used = number(told, "TotalDataCapacity")
        .zip(number(told, "TotalDataAvailable"))
        .map(|(all, free)| all.saturating_sub(free));
    match (used, free) {
        (Some(used), Ok(free)) => {
            let detail = format!("the device holds {} MB, {} MB are free here", used >> 20, free >> 20);
            if used > free { Finding::warning(check, detail) } else { Finding::good(check, detail) }
        }
        (_, Err(fault)) => Finding::warning(check, fault.detail),
        (None, _) => Finding::unknown(check, "the device does not tell how much it holds"),
    }
}

/// The new system grows into the space that the data leaves free.
fn device_room(told: &Dictionary) -> Finding {
    let check = Check::DeviceRoom;
    let free = number(told, "TotalDataAvailable").or_else(|| number(told, "AmountDataAvailable"));
    let Some(free) = free else { return Finding::unknown(check, "the device does not tell how full it is") };
    let detail = format!("{} MB are free on the device", free >> 20);
    match free {
        _ if free < FULL => {
            let text = format!("it is too full for an update: {detail}");
            Finding::blocking(check, Fault::new(Code::UpdateImpossible, text).remedy(Remedy::UpdateRoom))
        }
        _ if free < TIGHT => Finding::warning(check, detail),
        _ => Finding::good(check, detail),
    }
}

/// Does the firmware fit the board, and is it signed?
async fn about_firmware(kit: &Kit, plan: &Plan) -> [Finding; 2] {
    let quiet: Teller = Arc::new(Quiet);
    let gathered = firmware::gather(&kit.http, &kit.endpoints, &kit.folders.catalogue(), &plan.product, &quiet).await;
    let catalogue = gathered.map(|g| g.catalogue);
    let offer = catalogue.as_ref().ok().and_then(|c| c.build(&plan.product, &plan.firmware.build));
    let manifest = match manifest(kit, plan, offer).await {
        Ok(manifest) => manifest,
        Err(fault) => {
            let why = format!("the manifest cannot be read now: {fault}");
            return [Finding::unknown(Check::Identity, why.clone()), Finding::unknown(Check::Signed, why)];
        }
    };
    let behaviour = if plan.way == Way::Erase { Behaviour::Erase } else { Behaviour::Update };
    let chosen = choice::identity_for(&manifest, plan.cpid, plan.bdid, Some(&plan.board), behaviour);
    let identity = told(Check::Identity, chosen.map(|i| format!("{} for {}", i.variant, i.device_class)));
    let newest = catalogue.as_ref().ok().and_then(|c| c.newest(&plan.product));
    let signed = signed(kit, plan, &manifest, newest).await;
    [identity, if plan.ticket.is_some() { with_own_ticket(signed) } else { signed }]
}

/// Who brings a ticket needs no yes for the boot; whether the parts with tickets of their own are signed, the restore
/// tells.
fn with_own_ticket(signed: Finding) -> Finding {
    match signed.verdict {
        Verdict::Blocking => Finding::warning(signed.check, format!("{}; a ticket was brought", signed.detail)),
        _ => signed,
    }
}

async fn manifest(kit: &Kit, plan: &Plan, offer: Option<&Firmware>) -> Result<Arc<BuildManifest>, Fault> {
    let here = plan.firmware.file.clone().or_else(|| stored(kit, plan).map(|s| s.path));
    if let Some(path) = here {
        let open = move || Ipsw::open(&path)?.build_manifest();
        return tokio::task::spawn_blocking(open).await.map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    }
    let offer = offer.ok_or_else(|| Fault::new(Code::NoFirmware, "no catalogue offers this build"))?;
    remote(kit, offer).await
}

async fn remote(kit: &Kit, offer: &Firmware) -> Result<Arc<BuildManifest>, Fault> {
    let invalid = |e| Fault::new(Code::CatalogueInvalid, format!("{:?}: {e}", offer.url.value));
    let url = Url::parse(&offer.url.value).map_err(invalid)?;
    let scratch = kit.folders.scratch();
    let read = async { Ok(Arc::new(read_manifest(&kit.http, &url, &scratch).await?.manifest)) };
    tokio::select! {
        read = kit.manifests.or(url.to_string(), read) => read,
        () = kit.cancel.cancelled() => Err(Fault::cancelled()),
    }
}

async fn signed(kit: &Kit, plan: &Plan, manifest: &BuildManifest, newest: Option<&Firmware>) -> Finding {
    let check = Check::Signed;
    let Some(model) = models::by_chip(plan.cpid, plan.bdid) else {
        return Finding::unknown(check, "the model is in no table");
    };
    let quiet: Teller = Arc::new(Quiet);
    let tss = Tss::new(&kit.http, &kit.endpoints.tss, quiet);
    let mut probe = Probe::new(tss, &kit.folders.catalogue().join("signed.json"));
    let work = async {
        let first = probe.ask(manifest, model, false).await?;
        // A no counts once the newest build was answered with yes.
        match (&first.signed, newest.filter(|n| n.build != manifest.build)) {
            (Signed::Unknown { code: Some(_), .. }, Some(newest)) => {
                let known = remote(kit, newest).await?;
                let good = probe.ask(&known, model, false).await?.signed == Signed::Yes;
                probe.ask(manifest, model, good).await
            }
            _ => Ok(first),
        }
    };
    let answer = tokio::select! {
        answer = work => answer,
        () = kit.cancel.cancelled() => Err(Fault::cancelled()),
    };
    let (build, silent) = (&manifest.build, probe.silent().cloned());
    match answer.map(|a| a.signed) {
        Ok(Signed::Yes) => Finding::good(check, format!("Apple signs {build} today")),
        Ok(Signed::No) => Finding::blocking(check, Fault::new(Code::TssNotSigned, format!("{build}")).number(94)),
        Ok(Signed::Unknown { text, .. }) => match silent {
            Some(fault) => Finding::blocking(check, fault),
            None => Finding::warning(check, text),
        },
        Err(fault) => Finding::unknown(check, fault.to_string()),
    }
}

/// A plain connection, since that is what the device is given.
async fn device_hosts() -> Finding {
    let mut away = Vec::new();
    for host in net::DEVICE_HOSTS {
        if net::reach(host, 443, REACH).await.connected.is_err() {
            away.push(host);
        }
    }
    match &away[..] {
        [] => Finding::good(Check::DeviceHosts, net::DEVICE_HOSTS.join(", ")),
        _ => Finding::warning(Check::DeviceHosts, format!("no connection to {}", away.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dict<const N: usize>(pairs: [(&str, Value); N]) -> Dictionary {
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    #[test]
    fn a_battery_blocks_only_when_it_is_empty_and_not_charging() {
        let at = |percent: u64, charging: bool| {
            let told = dict([("BatteryCurrentCapacity", percent.into()), ("BatteryIsCharging", charging.into())]);
            battery(&told).verdict
        };
        assert_eq!((at(9, false), at(9, true), at(10, false)), (Verdict::Blocking, Verdict::Warning, Verdict::Warning));
        assert_eq!((at(29, false), at(30, false), at(10, true)), (Verdict::Warning, Verdict::Good, Verdict::Good));
        assert_eq!(battery(&dict([("HasBattery", false.into())])).verdict, Verdict::Good);
        assert_eq!(battery(&Dictionary::new()).verdict, Verdict::Unknown);
        let full = dict([("BatteryCurrentCapacity", 100_u64.into()), ("FullyCharged", true.into())]);
        assert_eq!(battery(&full).detail, "100 %, charging");
    }

    #[test]
    fn a_full_device_is_not_updated() {
        let with = |free: u64| device_room(&dict([("TotalDataAvailable", free.into())]));
        assert_eq!(with(FULL - 1).fault.map(|f| f.code), Some(Code::UpdateImpossible));
        assert_eq!((with(FULL).verdict, with(TIGHT).verdict), (Verdict::Warning, Verdict::Good));
        assert_eq!(device_room(&Dictionary::new()).verdict, Verdict::Unknown);
    }

    #[test]
    fn room_for_a_backup_is_a_warning_at_most() {
        let holds = dict([("TotalDataCapacity", 100_u64.into()), ("TotalDataAvailable", 40_u64.into())]);
        assert_eq!(backup_room(&holds, Ok(60)).verdict, Verdict::Good);
        assert_eq!(backup_room(&holds, Ok(59)).verdict, Verdict::Warning);
        assert_eq!(backup_room(&Dictionary::new(), Ok(0)).verdict, Verdict::Unknown);
        assert_eq!(backup_room(&holds, Err(Fault::new(Code::DiskNoAccess, "x"))).verdict, Verdict::Warning);
    }

    #[test]
    fn folders_that_do_not_exist_yet_lie_where_their_parent_does() {
        let folder = tempfile::tempdir().unwrap();
        assert!(on_one_volume(&folder.path().join("a/b"), &folder.path().join("c")));
        assert!(!on_one_volume(Path::new("/proc/none"), folder.path()));
    }

    #[test]
    fn a_ticket_that_was_brought_needs_no_yes() {
        let no = Finding::blocking(Check::Signed, Fault::new(Code::TssNotSigned, "24A446"));
        let softened = with_own_ticket(no);
        assert_eq!((softened.verdict, softened.fault), (Verdict::Warning, None));
        let yes = Finding::good(Check::Signed, "x");
        assert_eq!(with_own_ticket(yes.clone()), yes);
    }

    #[test]
    fn the_first_that_blocks_is_the_answer() {
        let warning = Finding::warning(Check::Battery, "x");
        assert!(verdict(&[warning.clone(), Finding::good(Check::Usbmuxd, "y")]).is_ok());
        let block = |code| Finding::blocking(Check::Signed, Fault::new(code, "z"));
        let found = [warning, block(Code::TssNotSigned), block(Code::DiskFull)];
        assert_eq!(verdict(&found).unwrap_err().code, Code::TssNotSigned);
    }
}
