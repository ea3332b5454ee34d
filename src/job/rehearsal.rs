//! What a plan would do, step by step, and what each step costs: for `--dry-run`.
//!
//! Bytes are facts where they are known; seconds are estimates, from rates that were measured on real devices: 43
//! MB/s to a phone over USB 2, 300 MB/s when the device reads its image back, 0.8 GB/s for digests here. What the
//! device does by itself takes minutes that nobody can foresee; one number stands for it. How fast the network or a
//! backup goes nobody knows before, so those have no seconds.

use super::kit::Kit;
use super::plan::{BackupPlan, Plan, Way};
use super::preflight;
use crate::device::{Device, Trust};
use crate::event::{Need, Step};
use crate::ids::Mode;
use crate::restore::ticket;
use crate::wire::tss::Form;
use serde::Serialize;

const TO_DEVICE: u64 = 43_000_000;
const READ_BACK: u64 = 300_000_000;
const DIGESTS: u64 = 800_000_000;
/// Seconds that a device works by itself during a restore, besides the image.
const DEVICE_WORK: u64 = 300;

/// What a plan leaves of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keeps {
    /// All of it stays on the device.
    Data,
    /// What a backup holds; the rest is erased.
    Backup,
    /// A backup could be made and is not wanted.
    Unsaved,
    /// No backup can be made.
    Nothing,
}

impl Plan {
    pub fn keeps(&self) -> Keeps {
        match (self.way, &self.backup) {
            (Way::Update, _) => Keeps::Data,
            (Way::Erase, BackupPlan::Make | BackupPlan::Existing { .. }) => Keeps::Backup,
            (Way::Erase, BackupPlan::Skip { .. }) => Keeps::Unsaved,
            (Way::Erase, BackupPlan::Impossible { .. }) => Keeps::Nothing,
        }
    }
}

/// One step that would run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cost {
    pub step: Step,
    /// To fetch, read or send.
    pub bytes: Option<u64>,
    /// It is here already: nothing is fetched.
    pub cached: bool,
    /// An estimate, always.
    pub seconds: Option<u64>,
}

/// The whole of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rehearsal {
    pub steps: Vec<Cost>,
    pub keeps: Keeps,
    pub needs: Vec<Need>,
}

impl Rehearsal {
    pub fn of(kit: &Kit, plan: &Plan, device: &Device) -> Rehearsal {
        let stored = preflight::stored(kit, plan);
        let size = stored.as_ref().map(|s| s.record.looks.size).or(plan.firmware.size);
        let size = size.or_else(|| std::fs::metadata(plan.firmware.file.as_ref()?).ok().map(|m| m.len()));
        let cached = stored.is_some() || plan.firmware.file.is_some();
        let seen = Seen {
            mode: device.mode(),
            trust: device.normal().map(|normal| normal.trust),
            img4: ticket::form(plan.cpid, plan.bdid) == Form::Img4,
        };
        Rehearsal { steps: steps(plan, &seen, size, cached), keeps: plan.keeps(), needs: needs(plan, &seen) }
    }

    /// Estimated, of all steps that have one.
    pub fn seconds(&self) -> u64 {
        self.steps.iter().filter_map(|cost| cost.seconds).sum()
    }
}

struct Seen {
    mode: Mode,
    trust: Option<Trust>,
    img4: bool,
}

fn steps(plan: &Plan, seen: &Seen, size: Option<u64>, cached: bool) -> Vec<Cost> {
    let mut list = Vec::new();
    let mut put = |step, bytes: Option<u64>, seconds: Option<u64>| {
        list.push(Cost { step, bytes, cached: cached && step == Step::Fetch, seconds });
    };
    let at = |rate: u64| size.map(|bytes| (bytes / rate).max(1));
    if plan.backup == BackupPlan::Make {
        if seen.trust != Some(Trust::Trusted) {
            put(Step::Pair, None, Some(30));
        }
        put(Step::Backup, None, None);
        put(Step::VerifyBackup, None, None);
    }
    if matches!(plan.backup, BackupPlan::Existing { .. }) {
        put(Step::VerifyBackup, None, None);
    }
    put(Step::Fetch, if cached { Some(0) } else { size }, if cached { Some(0) } else { None });
    put(Step::VerifyFirmware, size, at(DIGESTS));
    if seen.mode == Mode::Normal {
        if plan.way == Way::Update && seen.img4 && seen.trust == Some(Trust::Trusted) {
            put(Step::Stashbag, None, Some(30));
        }
        put(Step::EnterRecovery, None, Some(30));
    }
    if seen.mode == Mode::Dfu {
        put(Step::BootIbss, None, Some(10));
    }
    put(Step::Ticket, None, Some(3));
    put(Step::BootIbec, None, Some(10));
    put(Step::BootRamdisk, None, Some(20));
    put(Step::AwaitRestore, None, Some(40));
    put(Step::SendImage, size, size.map(|bytes| (bytes / TO_DEVICE + bytes / READ_BACK).max(1)));
    put(Step::Restore, None, Some(DEVICE_WORK));
    put(Step::AwaitNormal, None, Some(180));
    if plan.put_back {
        put(Step::PutBack, None, None);
    }
    put(Step::Report, None, Some(0));
    list
}

fn needs(plan: &Plan, seen: &Seen) -> Vec<Need> {
    let mut list = vec![Need::Cable, Need::Internet];
    let mut put = |need, applies: bool| {
        if applies && !list.contains(&need) {
            list.push(need);
        }
    };
    let normal = seen.mode == Mode::Normal;
    let trusted = seen.trust == Some(Trust::Trusted);
    put(Need::TapTrust, plan.backup == BackupPlan::Make && !trusted);
    // A backup of today's systems and an update take it; after an update it is asked in any case.
    put(Need::Passcode, plan.backup == BackupPlan::Make || plan.way == Way::Update);
    put(Need::Hands, normal && !trusted && plan.backup != BackupPlan::Make);
    put(Need::BackupPassword, plan.put_back);
    put(Need::AppleAccount, plan.way == Way::Erase);
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Code;
    use crate::job::plan::sample;

    fn plan(way: Way, backup: BackupPlan) -> Plan {
        Plan { way, put_back: backup == BackupPlan::Make, backup, ..sample() }
    }

    fn names(list: &[Cost]) -> Vec<&'static str> {
        list.iter().map(|cost| cost.step.as_str()).collect()
    }

    #[test]
    fn an_update_and_an_erase_are_other_steps_with_another_price() {
        let trusted = Seen { mode: Mode::Normal, trust: Some(Trust::Trusted), img4: true };
        let skip = BackupPlan::Skip { why: "x".into() };
        let update = plan(Way::Update, skip.clone());
        let list = steps(&update, &trusted, Some(8_600_000_000), false);
        assert!(names(&list).contains(&"stashbag") && !names(&list).contains(&"put-back"));
        let image = list.iter().find(|c| c.step == Step::SendImage).unwrap();
        assert_eq!((image.bytes, image.seconds), (Some(8_600_000_000), Some(200 + 28)));
        let fetch = list.iter().find(|c| c.step == Step::Fetch).unwrap();
        assert_eq!((fetch.bytes, fetch.seconds, fetch.cached), (Some(8_600_000_000), None, false));
        assert_eq!(update.keeps(), Keeps::Data);
        assert!(needs(&update, &trusted).contains(&Need::Passcode));
        assert!(!needs(&update, &trusted).contains(&Need::AppleAccount));

        let stranger = Seen { mode: Mode::Normal, trust: Some(Trust::Untrusted), img4: true };
        let erase = plan(Way::Erase, BackupPlan::Make);
        let list = steps(&erase, &stranger, Some(1), true);
        assert_eq!(names(&list)[..4], ["pair", "backup", "verify-backup", "fetch"]);
        assert!(!names(&list).contains(&"stashbag") && names(&list).contains(&"put-back"));
        assert!(list.iter().all(|c| c.cached == (c.step == Step::Fetch)));
        assert_eq!(erase.keeps(), Keeps::Backup);
        assert!(needs(&erase, &stranger).contains(&Need::TapTrust));

        let lost = plan(Way::Erase, BackupPlan::Impossible { code: Code::DeviceLocked });
        assert_eq!((lost.keeps(), plan(Way::Erase, skip).keeps()), (Keeps::Nothing, Keeps::Unsaved));
        let dfu = Seen { mode: Mode::Dfu, trust: None, img4: true };
        let list = steps(&lost, &dfu, None, false);
        assert!(names(&list).contains(&"boot-ibss") && !names(&list).contains(&"enter-recovery"));
        assert!(!needs(&lost, &dfu).contains(&Need::Hands) && needs(&lost, &stranger).contains(&Need::Hands));
    }
}
