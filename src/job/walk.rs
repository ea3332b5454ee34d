//! The one loop: ask what comes next, write it down, do it, write down that it is done.

use super::kit::Kit;
use super::next::{Next, Seen, next};
use super::plan::Plan;
use super::record::{Entry, Fact, Record, Story};
use super::steps::{self, Opened};
use crate::device::{Consent, Trust, look};
use crate::disk::{FileLock, JobFolder, JobId, Jobs, Journal};
use crate::event::{Event, Outcome, Step};
use crate::fault::{Code, Fault};
use crate::ids::Ecid;
use crate::restore::{Action, Restored};

/// The consents that a plan needs.
pub struct Consents {
    pub restore: Consent,
    pub put_back: Option<Consent>,
}

/// A job with its journal open.
pub struct Job {
    pub folder: JobFolder,
    journal: Journal,
    story: Story,
    _lock: FileLock,
}

impl Job {
    /// A new job; its first record is the plan.
    pub fn begin(kit: &Kit, plan: Plan) -> Result<Job, Fault> {
        Job::begin_as(kit, JobId::fresh(), plan)
    }

    /// The same under a name that is written down elsewhere already.
    pub fn begin_as(kit: &Kit, id: JobId, plan: Plan) -> Result<Job, Fault> {
        let lock = device_lock(kit, plan.ecid)?;
        let (folder, mut journal) = Jobs::new(&kit.folders.jobs()).create_as(id)?;
        let entry = Entry::now(Record::Plan { plan: Box::new(plan) });
        journal.append(&entry, true)?;
        Ok(Job { folder, journal, story: Story::new(vec![entry])?, _lock: lock })
    }

    /// An interrupted job, taken up again.
    pub fn reopen(kit: &Kit, folder: JobFolder) -> Result<Job, Fault> {
        let (mut journal, entries) = folder.open::<Entry>()?;
        let mut story = Story::new(entries)?;
        let lock = device_lock(kit, story.plan.ecid)?;
        if story.is_over() {
            return Err(Fault::new(Code::NoJob, format!("job {} is finished", folder.id)));
        }
        let entry = Entry::now(Record::Resumed);
        journal.append(&entry, true)?;
        story.entries.push(entry);
        Ok(Job { folder, journal, story, _lock: lock })
    }

    pub fn story(&self) -> &Story {
        &self.story
    }

    fn write(&mut self, record: Record) -> Result<(), Fault> {
        let entry = Entry::now(record);
        self.journal.append(&entry, true)?;
        self.story.entries.push(entry);
        Ok(())
    }

    /// Goes from here to the end. The outcome is in the journal too.
    pub async fn run(&mut self, kit: &Kit, consents: &Consents) -> Result<Outcome, Fault> {
        let result = self.walk(kit, consents).await;
        let outcome = match &result {
            Ok(outcome) => *outcome,
            Err(fault) if fault.code == Code::Cancelled => Outcome::Cancelled,
            Err(_) => Outcome::Failed,
        };
        let written = self.write(Record::Finished { outcome });
        result.and_then(|outcome| written.map(|()| outcome))
    }

    async fn walk(&mut self, kit: &Kit, consents: &Consents) -> Result<Outcome, Fault> {
        let mut opened: Option<Opened> = None;
        loop {
            if kit.cancel.is_cancelled() {
                return Err(Fault::cancelled());
            }
            let seen = self.seen(kit).await?;
            let plan = self.story.plan.clone();
            match next(&self.story, &seen)? {
                Next::Backup => {
                    let fact = self.step(Step::Backup, steps::backup(kit, &plan)).await?;
                    self.write(Record::Did { step: Step::VerifyBackup, fact })?;
                }
                Next::Firmware => opened = Some(self.fetch_firmware(kit, &plan).await?),
                Next::Restore => {
                    let open = match opened.take() {
                        Some(open) => open,
                        None => self.reopen_firmware(kit, &plan).await?,
                    };
                    let (version, build) = (open.version.clone(), open.build.clone());
                    let restored = self.restore(kit, &plan, &open, &consents.restore).await?;
                    for kind in &restored.unknown {
                        kit.tell.tell(Event::Warning { text: format!("{kind} was asked for and not known") });
                    }
                    self.write(Record::Did { step: Step::Restore, fact: Fact::Restored { version, build } })?;
                }
                Next::AwaitNormal => {
                    if self.story.fact(Step::Restore).is_none() {
                        // It ended while nobody was there to write it down; what is seen now may not show it later.
                        let (version, build) = (plan.firmware.version.clone(), plan.firmware.build.clone());
                        self.write(Record::Did { step: Step::Restore, fact: Fact::Restored { version, build } })?;
                    }
                    self.step(Step::AwaitNormal, steps::await_normal(kit, &plan)).await?;
                    self.write(Record::Did { step: Step::AwaitNormal, fact: Fact::Nothing })?;
                }
                Next::PutBack => {
                    let Some(Fact::Backup { generation, .. }) = self.story.fact(Step::VerifyBackup).cloned() else {
                        return Err(Fault::new(Code::Internal, "a backup to put back that was never made"));
                    };
                    let consent = consents.put_back.as_ref();
                    let consent = consent.ok_or_else(|| Fault::new(Code::ConsentMissing, "to put the backup back"))?;
                    let work = steps::put_back(kit, &plan, &generation, consent);
                    let fact = self.step(Step::PutBack, work).await?;
                    self.write(Record::Did { step: Step::PutBack, fact })?;
                }
                Next::Finish => {
                    let unread = matches!(
                        self.story.fact(Step::VerifyBackup),
                        Some(Fact::Backup { unread, .. }) if *unread > 0
                    );
                    return Ok(if unread { Outcome::Partial } else { Outcome::Ok });
                }
            }
        }
    }

    /// The restore, with each of its actions in the journal before it is begun.
    async fn restore(&mut self, kit: &Kit, plan: &Plan, open: &Opened, consent: &Consent) -> Result<Restored, Fault> {
        let mut note = |action: Action| self.write(Record::Began { step: action.step() });
        let done = steps::restore(kit, plan, open, consent, &mut note).await;
        self.account(Step::Restore, done)
    }

    /// Journal before action (law 3); a failure is written down too.
    async fn step<T>(&mut self, step: Step, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        self.write(Record::Began { step })?;
        let done = work.await;
        self.account(step, done)
    }

    fn account<T>(&mut self, step: Step, done: Result<T, Fault>) -> Result<T, Fault> {
        match done {
            Ok(done) => Ok(done),
            Err(fault) => {
                let fault = fault.during(step).on(self.story.plan.ecid);
                self.write(Record::Failed { step, fault: fault.clone() })?;
                Err(fault)
            }
        }
    }

    async fn fetch_firmware(&mut self, kit: &Kit, plan: &Plan) -> Result<Opened, Fault> {
        let (stored, opened) = self.step(Step::Fetch, steps::firmware(kit, plan)).await?;
        let fact = Fact::Firmware {
            path: stored.path.clone(),
            sha256: stored.record.sha256.clone(),
            size: stored.record.looks.size,
        };
        self.write(Record::Did { step: Step::VerifyFirmware, fact })?;
        Ok(opened)
    }

    /// The firmware of an earlier run, verified again; one that is gone or rotted since is fetched anew.
    async fn reopen_firmware(&mut self, kit: &Kit, plan: &Plan) -> Result<Opened, Fault> {
        let Some(Fact::Firmware { path, .. }) = self.story.fact(Step::VerifyFirmware).cloned() else {
            return Err(Fault::new(Code::JournalDamaged, "no verified firmware in the journal"));
        };
        let again = async {
            steps::recheck(kit, path.clone()).await?;
            steps::verify(kit, plan, &path).await
        };
        match again.await {
            Err(fault) if matches!(fault.code, Code::FirmwareDigest | Code::FirmwareDamaged) => {
                kit.tell.tell(Event::Warning { text: fault.detail });
                self.fetch_firmware(kit, plan).await
            }
            Err(fault) => Err(fault.during(Step::VerifyFirmware)),
            Ok(opened) => Ok(opened),
        }
    }

    async fn seen(&self, kit: &Kit) -> Result<Seen, Fault> {
        let ecid = self.story.plan.ecid;
        let under_way = Action::STEPS.iter().any(|step| self.story.began(*step));
        let device = if under_way && self.story.fact(Step::Restore).is_none() {
            // Between two modes, or starting the new system: only what it becomes says how the restore ended.
            Some(steps::settled(kit, ecid).await?)
        } else {
            look(&kit.eyes).await.devices.into_iter().find(|d| d.who().ecid == Some(ecid))
        };
        let normal = device.as_ref().and_then(|d| d.normal());
        Ok(Seen {
            mode: device.as_ref().map(|d| d.mode()),
            build: normal.and_then(|n| n.build.clone()),
            trusted: normal.is_some_and(|n| n.trust == Trust::Trusted),
        })
    }
}

/// One job per device at a time, across processes.
pub(super) fn device_lock(kit: &Kit, ecid: Ecid) -> Result<FileLock, Fault> {
    let path = kit.folders.locks().join(format!("{ecid}.lock"));
    match FileLock::attempt(&path)? {
        Some(lock) => Ok(lock),
        None => Err(Fault::new(Code::Locked, format!("another job works on {ecid}")).on(ecid)),
    }
}
