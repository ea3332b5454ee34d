//! One try of one row: from the device on the bus to how it ended.
//!
//! A try is a job as any other, with its own journal, its own log and its own lock on the ECID; only who hears it and
//! who agreed to it come from the batch. A second try takes the same job up again, so that a verified backup and
//! verified firmware are not made twice.

use super::file::Task;
use super::policy::Miss;
use super::queue::End;
use super::record::{JobEnd, Record};
use super::run::{Book, Planner};
use crate::backup::{self, BackupOptions, Patience, Vault};
use crate::device::Device;
use crate::disk::{JobFolder, JobId, Jobs, append_private, read_journal};
use crate::event::batch::{Action, BatchEvent, BatchTeller, Happened};
use crate::event::{Event, Outcome, Step, Tell};
use crate::fault::{Code, Fault};
use crate::ids::Ecid;
use crate::job::steps::ensure_trust;
use crate::job::walk::device_lock;
use crate::job::{self, Job, Kit};
use jiff::Timestamp;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The queue has just seen it; it may be between two modes.
const FIND: Duration = Duration::from_secs(60);

/// All that a try needs.
pub struct Attempt {
    pub row: u32,
    pub ecid: Ecid,
    /// The station that was agreed to, if it was one.
    pub agreed: Option<u32>,
    pub tries: u32,
    pub task: Task,
    pub job: Option<String>,
    pub kit: Kit,
    pub voice: Arc<Voice>,
    pub planner: Arc<dyn Planner>,
    pub book: Arc<Book>,
}

/// How it ended; the next try takes the job up again.
pub struct Attempted {
    pub end: End,
    pub fault: Option<Fault>,
    pub job: Option<String>,
}

impl Attempt {
    pub async fn run(mut self) -> Attempted {
        let mut job = self.job.clone();
        // Read anew for each try: who was asked for it has written it down since.
        let done = match self.planner.password(&self.task) {
            Ok(password) => {
                self.kit.backup_password = password;
                self.work(&mut job).await
            }
            Err(fault) => Err(fault),
        };
        let (end, fault) = match done {
            Ok(Outcome::Ok) => (End::Done, None),
            Ok(Outcome::Partial) => (End::Partly, None),
            Ok(Outcome::Cancelled) => (End::Cancelled, None),
            Ok(Outcome::Failed) => {
                let fault = Fault::new(Code::Internal, "a job failed and gave no fault").on(self.ecid);
                (End::Missed(Miss::of(&fault)), Some(fault))
            }
            Err(fault) if fault.code == Code::Cancelled => (End::Cancelled, Some(fault)),
            Err(fault) => {
                let fault = fault.on(self.ecid);
                (End::Missed(Miss::of(&fault)), Some(fault))
            }
        };
        Attempted { end, fault, job }
    }

    async fn work(&self, name: &mut Option<String>) -> Result<Outcome, Fault> {
        if self.task.action == Action::Backup {
            return self.back_up().await;
        }
        let (id, story) = self.begun()?;
        let (mut job, consents) = match story {
            Some(story) if story.is_over() => return Ok(story.outcome().unwrap_or(Outcome::Ok)),
            Some(story) => {
                let consents = self.planner.agreed(&story.plan, &self.task, self.agreed)?;
                (Job::reopen(&self.kit, Jobs::new(&self.kit.folders.jobs()).folder(id))?, consents)
            }
            None => {
                let device = self.device().await?;
                let (plan, consents) = self.planner.plan(&self.kit, &device, &self.task, self.agreed).await?;
                if plan.ecid != self.ecid {
                    let detail = format!("awaited {}, found {}", self.ecid, plan.ecid);
                    return Err(Fault::new(Code::StrangerDevice, detail));
                }
                // Its name first: a job that nobody knows of would be begun a second time.
                if self.job.is_none() {
                    self.book.write(Record::Job { row: self.row, job: id.to_string() })?;
                    *name = Some(id.to_string());
                }
                (Job::begin_as(&self.kit, id, plan)?, consents)
            }
        };
        self.voice.speaks_for(&job.folder);
        let id = job.folder.id.to_string();
        *name = Some(id.clone());
        self.voice.say(Happened::Began { job: id, tries: self.tries });
        let done = job.run(&self.kit, &consents).await;
        self.planner.report(&job.folder, job.story());
        done
    }

    /// The row's job, and its story if it has begun.
    fn begun(&self) -> Result<(JobId, Option<job::Story>), Fault> {
        let Some(name) = &self.job else { return Ok((JobId::fresh(), None)) };
        let id = name.parse()?;
        let journal = Jobs::new(&self.kit.folders.jobs()).folder(id).journal();
        let entries = if journal.is_file() { read_journal(&journal)? } else { Vec::new() };
        let story = if entries.is_empty() { None } else { Some(job::Story::new(entries)?) };
        Ok((id, story))
    }

    async fn device(&self) -> Result<Device, Fault> {
        let limit = FIND / self.kit.haste.max(1);
        let found = self.kit.eyes.wait_for(limit, |device| device.who().ecid == Some(self.ecid)).await;
        found.ok_or_else(|| Fault::new(Code::NoSuchDevice, format!("{} is on no bus", self.ecid)).during(Step::Find))
    }

    /// A backup erases nothing, so it has no plan; its generation is its record.
    async fn back_up(&self) -> Result<Outcome, Fault> {
        let _lock = device_lock(&self.kit, self.ecid)?;
        let device = self.device().await?;
        let normal = ensure_trust(&self.kit.eyes, &device, &self.kit).await?;
        let vault = Vault::new(self.kit.folders.vault());
        let options = BackupOptions { full: false, patience: Patience::default().shortened(self.kit.haste) };
        let kit = &self.kit;
        let made = backup::make(&kit.eyes.mux, &normal, &vault, options, &kit.tell, &kit.cancel).await;
        let made = made.map_err(|fault| fault.during(Step::Backup))?;
        Ok(if made.received.failed_count > 0 { Outcome::Partial } else { Outcome::Ok })
    }
}

/// How a job ended, by its journal; another process may be writing it. A failure from before `since` is that of an
/// earlier try: the one that was to follow had not come as far as the job.
pub fn job_end(jobs: &Jobs, name: &str, since: Timestamp) -> JobEnd {
    let story = jobs.find(name).and_then(|folder| job::Story::new(read_journal(&folder.journal())?));
    let Ok(story) = story else { return JobEnd::Open };
    let Some(last) = story.entries.last() else { return JobEnd::Open };
    match &last.record {
        job::Record::Finished { outcome: outcome @ (Outcome::Ok | Outcome::Partial) } => JobEnd::Over(*outcome),
        job::Record::Finished { outcome: Outcome::Failed } if last.at >= since => {
            let fault = story.entries.iter().rev().find_map(|entry| match &entry.record {
                job::Record::Failed { fault, .. } => Some(fault.clone()),
                _ => None,
            });
            fault.map_or(JobEnd::Open, JobEnd::Failed)
        }
        _ => JobEnd::Open,
    }
}

/// What a job tells, told on with its row, and kept beside its journal.
pub struct Voice {
    row: u32,
    ecid: Ecid,
    station: Option<u32>,
    tell: BatchTeller,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    path: Option<PathBuf>,
    file: Option<fs_err::File>,
    /// Said before there was a job; short, for a plan tells little.
    before: Vec<serde_json::Value>,
}

const BEFORE: usize = 200;

impl Voice {
    pub fn new(row: u32, ecid: Ecid, station: Option<u32>, tell: BatchTeller) -> Voice {
        Voice { row, ecid, station, tell, log: Mutex::default() }
    }

    pub fn say(&self, happened: Happened) {
        self.tell.tell(BatchEvent { row: Some(self.row), ecid: Some(self.ecid), station: self.station, happened });
    }

    /// From now on its log is in the job's folder. One that cannot be written is no reason not to go on.
    fn speaks_for(&self, folder: &JobFolder) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let path = folder.path.join("log.jsonl");
        log.file = append_private(&path).ok();
        log.path = Some(path);
        for line in std::mem::take(&mut log.before) {
            log.write(&line);
        }
    }
}

impl Log {
    fn write(&mut self, line: &serde_json::Value) {
        match &mut self.file {
            Some(file) => {
                let _ = writeln!(file, "{line}");
            }
            None if self.path.is_none() && self.before.len() < BEFORE => self.before.push(line.clone()),
            None => {}
        }
    }
}

impl Tell for Voice {
    fn tell(&self, event: Event) {
        if !matches!(event, Event::Progress { .. }) {
            let line = json!({ "schema": 1, "at": Timestamp::now(), "told": event });
            self.log.lock().unwrap_or_else(PoisonError::into_inner).write(&line);
        }
        self.say(Happened::Told { told: event });
    }
}
