//! The runner: looks at the bus, starts the jobs that the queue orders, and tells the queue how they ended.
//!
//! One process, one look at the bus for all rows, one firmware store and one table of digests: the jobs are tasks of
//! this process, so what one of them fetched and hashed the others find. Nothing is decided here. Each order is written
//! into the journal of the batch before it is carried out, each end before the queue hears of it.

use super::attempt::{Attempt, Attempted, Voice};
use super::file::Task;
use super::messenger::{Asked, Messenger};
use super::policy::Miss;
use super::presses::dfu;
use super::queue::{End, Here, Input, Order, Queue, Rules};
use super::record::{Entry, Recalled, Record};
use super::webhook::Topic;
use crate::backup::Password;
use crate::device::{Device, look};
use crate::disk::{JobFolder, Jobs, Journal, read_journal};
use crate::event::batch::{BatchEvent, BatchTeller, Happened, Phase, Press, Row, Wants};
use crate::event::{Outcome, Teller};
use crate::facts::models::Model;
use crate::fault::{Code, Fault};
use crate::ids::{Ecid, PortPath};
use crate::job::{Consents, Kit, Plan, Story};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A burst of USB events is one change.
const BURST: Duration = Duration::from_millis(50);
/// Below the events, in case one is missed.
const POLL: Duration = Duration::from_secs(5);

pub type Planned<'a> = Pin<Box<dyn Future<Output = Result<(Plan, Consents), Fault>> + Send + 'a>>;

/// Makes plans and the consents for them; only `cli` can (law 2).
pub trait Planner: Send + Sync {
    /// Reads the device and the catalogue; a plan for what was agreed to, else an error.
    fn plan<'a>(&'a self, kit: &'a Kit, device: &'a Device, task: &'a Task, station: Option<u32>) -> Planned<'a>;
    /// The password of the backup that a task makes and puts back, where the file names a source of it.
    fn password(&self, task: &Task) -> Result<Option<Password>, Fault>;
    /// The consents for a plan that is in a journal already.
    fn agreed(&self, plan: &Plan, task: &Task, station: Option<u32>) -> Result<Consents, Fault>;
    /// A job ended, in whatever way.
    fn report(&self, folder: &JobFolder, story: &Story);
}

/// Where a port is: its station, and the controller it hangs on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub station: Option<u32>,
    pub controller: Option<String>,
}

pub type Places = Arc<dyn Fn(&PortPath) -> Place + Send + Sync>;

/// The journal of the batch, for all its tasks.
pub struct Book(Mutex<Journal>);

impl Book {
    pub fn new(journal: Journal) -> Book {
        Book(Mutex::new(journal))
    }

    pub fn write(&self, record: Record) -> Result<(), Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).append(&Entry::now(record), true)
    }
}

pub struct Setup {
    pub kit: Kit,
    pub rules: Rules,
    pub rows: Vec<Recalled>,
    /// What a row of `--watch` gets.
    pub watched: Option<Task>,
    pub book: Arc<Book>,
    pub planner: Arc<dyn Planner>,
    pub tell: BatchTeller,
    pub places: Places,
    pub messenger: Messenger,
    /// Rows, by number, of which a person says that it was done.
    pub said: mpsc::Receiver<u32>,
}

/// How a batch ended.
#[derive(Clone, Debug)]
pub struct Summary {
    pub outcome: Outcome,
    pub rows: Vec<(Row, Option<Fault>)>,
}

impl Summary {
    pub fn count(&self, phases: &[Phase]) -> u32 {
        let count = self.rows.iter().filter(|(row, _)| phases.contains(&row.phase)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

struct Known {
    task: Task,
    job: Option<String>,
    title: Option<String>,
    model: Option<&'static Model>,
    last: Option<Fault>,
    attached: bool,
    /// The station that its row is for, or was plugged in at: what was agreed to.
    station: Option<u32>,
    stop: CancellationToken,
}

impl Known {
    fn new(task: Task) -> Known {
        let stop = CancellationToken::new();
        Known { task, job: None, title: None, model: None, last: None, attached: false, station: None, stop }
    }
}

/// A task ended.
struct Ending {
    at: usize,
    attempted: Attempted,
}

struct Runner {
    setup: Setup,
    queue: Queue,
    known: Vec<Known>,
    begun: Instant,
    ends: mpsc::UnboundedSender<Ending>,
    over: Option<Outcome>,
}

/// Runs a batch to its end.
///
/// # Errors
/// Only when its journal can no longer be written; jobs that run are stopped first.
pub async fn run(mut setup: Setup) -> Result<Summary, Fault> {
    // Whoever could say something may be gone already.
    let mut said = std::mem::replace(&mut setup.said, mpsc::channel(1).1);
    let queue = Queue::new(setup.rules.clone(), setup.rows.iter().map(Recalled::row).collect());
    let unsaid: Vec<(usize, Option<Miss>)> = (0..)
        .zip(&setup.rows)
        .filter(|(_, row)| row.unsaid)
        .map(|(at, row)| (at, row.misses.last().filter(|_| row.owes).cloned()))
        .collect();
    let known = std::mem::take(&mut setup.rows)
        .into_iter()
        .map(|row| Known { station: row.agreed_station(), job: row.job, last: row.last, ..Known::new(row.task) })
        .collect();
    let (ends, mut ended) = mpsc::unbounded_channel();
    let mut runner = Runner { setup, queue, known, begun: Instant::now(), ends, over: None };
    let result = match unsaid.into_iter().try_for_each(|(at, miss)| runner.catch_up(at, miss)) {
        Ok(()) => runner.drive(&mut ended, &mut said).await,
        Err(fault) => Err(fault),
    };
    if result.is_err() {
        runner.stop_all(&mut ended).await;
    }
    let summary = runner.summary();
    runner.setup.messenger.finish().await;
    result.map(|()| summary)
}

impl Runner {
    async fn drive(
        &mut self,
        ended: &mut mpsc::UnboundedReceiver<Ending>,
        said: &mut mpsc::Receiver<u32>,
    ) -> Result<(), Fault> {
        let mut changes = self.setup.kit.eyes.changes();
        let cancel = self.setup.kit.cancel.clone();
        let rows = (0..self.known.len()).filter_map(|at| self.row(at)).collect();
        self.say(None, Happened::Rows { rows });
        self.look().await?;
        let mut cancelled = false;
        while !self.queue.is_over() {
            let now = self.begun.elapsed();
            let wake = self.queue.wake(now).map_or(POLL, |at| at.saturating_sub(now).min(POLL));
            tokio::select! {
                ending = ended.recv() => if let Some(ending) = ending { self.ended(ending).await? },
                _ = changes.recv() => {
                    tokio::time::sleep(BURST).await;
                    while changes.try_recv().is_ok() {}
                    self.look().await?;
                }
                Some(row) = said.recv() => {
                    let row = usize::try_from(row).ok().and_then(|row| row.checked_sub(1));
                    row.map_or(Ok(()), |row| self.step(Input::Acted { row }))?;
                }
                () = tokio::time::sleep(wake) => {
                    if wake >= POLL { self.look().await? } else { self.step(Input::Tick)? }
                }
                () = cancel.cancelled(), if !cancelled => {
                    cancelled = true;
                    self.step(Input::Cancel)?;
                }
            }
        }
        Ok(())
    }

    /// Its job ended and the process died before it said so: the record, the report and the row's end come now.
    fn catch_up(&mut self, at: usize, miss: Option<Miss>) -> Result<(), Fault> {
        let fault = self.known.get(at).and_then(|known| known.last.clone());
        if let (Some(miss), Some(fault)) = (miss, fault) {
            self.setup.book.write(Record::Missed { row: number(at), miss, fault })?;
        }
        let (jobs, name) = (Jobs::new(&self.setup.kit.folders.jobs()), self.known.get(at).and_then(|k| k.job.clone()));
        let folder = name.and_then(|name| jobs.find(&name).ok());
        let story = folder.as_ref().and_then(|folder| Story::new(read_journal(&folder.journal()).ok()?).ok());
        if let (Some(folder), Some(story)) = (folder, story) {
            self.setup.planner.report(&folder, &story);
        }
        match self.queue.rows().get(at).map(|row| row.phase) {
            Some(phase) if phase.is_end() => self.became(at, phase, None, None),
            _ => Ok(()),
        }
    }

    fn step(&mut self, input: Input) -> Result<(), Fault> {
        let orders = self.queue.step(self.begun.elapsed(), input);
        orders.into_iter().try_for_each(|order| self.carry_out(order))
    }

    async fn look(&mut self) -> Result<(), Fault> {
        let seen = look(&self.setup.kit.eyes).await;
        let mut here = Vec::new();
        for device in &seen.devices {
            let who = device.who();
            let Some(ecid) = who.ecid else { continue };
            let place = who.port.as_ref().map(|port| (self.setup.places)(port)).unwrap_or_default();
            here.push(Here {
                ecid,
                udid: who.udid.clone(),
                station: place.station,
                port: who.port.clone(),
                controller: place.controller,
                mode: device.mode(),
            });
        }
        self.step(Input::Seen(here))?;
        seen.devices.iter().for_each(|device| self.name(device));
        Ok(())
    }

    /// A name is told once, when the device is first seen.
    fn name(&mut self, device: &Device) {
        let ecid = device.who().ecid;
        let at = self.queue.rows().iter().position(|row| row.ecid.is_some() && row.ecid == ecid);
        let Some((at, known)) = at.and_then(|at| Some((at, self.known.get_mut(at)?))) else { return };
        known.model = device.who().model().or(known.model);
        if !std::mem::replace(&mut known.attached, true) {
            known.title = Some(device.who().title());
            if let Some(now) = self.row(at) {
                self.say(Some(at), Happened::Row { now });
            }
            self.message(at, Topic::Attached);
        }
    }

    async fn ended(&mut self, ending: Ending) -> Result<(), Fault> {
        let Ending { at, attempted: Attempted { end, fault, job } } = ending;
        if let (End::Missed(miss), Some(fault)) = (&end, &fault) {
            let (miss, fault) = (miss.clone(), fault.clone());
            self.setup.book.write(Record::Missed { row: number(at), miss, fault })?;
        }
        if let Some(known) = self.known.get_mut(at) {
            known.last = fault;
            known.job = job.or(known.job.take());
        }
        // Where the device stands now is part of the decision.
        self.look().await?;
        self.step(Input::Ended { row: at, end })
    }

    fn carry_out(&mut self, order: Order) -> Result<(), Fault> {
        match order {
            Order::New { row, ecid, station } => {
                let Some(task) = self.setup.watched.clone() else { return Ok(()) };
                self.setup.book.write(Record::Row { row: number(row), ecid, station })?;
                self.known.push(Known { station, ..Known::new(task) });
            }
            Order::Bound { row, ecid } => self.setup.book.write(Record::Bound { row: number(row), ecid })?,
            Order::Duplicate { row, of } => {
                let detail = format!("row {} is the device of row {} already", number(row), number(of));
                if let Some(known) = self.known.get_mut(row) {
                    known.last = Some(Fault::new(Code::Locked, detail));
                }
            }
            Order::Start { row, ecid, tries } => self.start(row, ecid, tries)?,
            Order::Stop { row } => self.known.get(row).into_iter().for_each(|known| known.stop.cancel()),
            Order::Became { row, phase, wants, seconds } => self.became(row, phase, wants, seconds)?,
            Order::Mode { row, mode } => self.say(Some(row), Happened::Mode { mode }),
            Order::Stranger { row, ecid } => self.say(Some(row), Happened::Stranger { stranger: ecid }),
            Order::NotAsked { row } => self.say(Some(row), Happened::NotAsked),
            Order::Ignored { ecid } => self.say(None, Happened::Ignored { device: ecid }),
            Order::Over { outcome } => {
                self.setup.book.write(Record::Over { outcome })?;
                self.over = Some(outcome);
                let summary = self.summary();
                let done = summary.count(&[Phase::Done, Phase::Partly]);
                let (failed, left) = (summary.count(&[Phase::Failed]), summary.count(&[Phase::LeftForPerson]));
                self.say(None, Happened::Over { outcome, done, failed, left });
            }
        }
        Ok(())
    }

    fn became(&mut self, at: usize, phase: Phase, wants: Option<Wants>, seconds: Option<u64>) -> Result<(), Fault> {
        // Said first: who dies in between says it twice and not never.
        match phase {
            Phase::WaitsForPerson => self.message(at, Topic::NeedsPerson),
            Phase::Done | Phase::Partly => self.message(at, Topic::Finished),
            Phase::Failed | Phase::LeftForPerson => self.message(at, Topic::Failed),
            _ => {}
        }
        if phase.is_end() {
            self.setup.book.write(Record::Ended { row: number(at), phase })?;
        }
        let fault = self.known.get(at).and_then(|known| known.last.clone());
        let fault = fault.filter(|_| !matches!(phase, Phase::Running | Phase::Done | Phase::Partly));
        let presses = self.presses(at, wants);
        self.say(Some(at), Happened::Phase { phase, wants, seconds, fault, presses });
        Ok(())
    }

    fn presses(&self, at: usize, wants: Option<Wants>) -> Vec<Press> {
        let model = self.known.get(at).and_then(|known| known.model).filter(|_| wants == Some(Wants::Dfu));
        model.map(dfu).unwrap_or_default()
    }

    fn start(&mut self, at: usize, ecid: Ecid, tries: u32) -> Result<(), Fault> {
        let row = number(at);
        self.setup.book.write(Record::Began { row, ecid, tries })?;
        let station = self.queue.rows().get(at).and_then(|row| row.station);
        let Some(known) = self.known.get(at) else { return Ok(()) };
        let voice = Arc::new(Voice::new(row, ecid, station, Arc::clone(&self.setup.tell)));
        let tell: Teller = Arc::clone(&voice) as Teller;
        let attempt = Attempt {
            row,
            ecid,
            agreed: known.station,
            tries,
            task: known.task.clone(),
            job: known.job.clone(),
            kit: self.setup.kit.for_one(tell, known.stop.clone()),
            voice,
            planner: Arc::clone(&self.setup.planner),
            book: Arc::clone(&self.setup.book),
        };
        let ends = self.ends.clone();
        let task = tokio::spawn(attempt.run());
        // A task that panics ends too.
        tokio::spawn(async move {
            let attempted = task.await.unwrap_or_else(|err| {
                let fault = Fault::new(Code::Internal, err.to_string()).on(ecid);
                Attempted { end: End::Missed(Miss::of(&fault)), fault: Some(fault), job: None }
            });
            let _ = ends.send(Ending { at, attempted });
        });
        Ok(())
    }

    /// The journal is lost: what runs is stopped where it may stop, and waited for.
    async fn stop_all(&mut self, ended: &mut mpsc::UnboundedReceiver<Ending>) {
        self.known.iter().for_each(|known| known.stop.cancel());
        let mut running = self.queue.rows().iter().filter(|row| row.phase == Phase::Running).count();
        while running > 0 && ended.recv().await.is_some() {
            running -= 1;
        }
    }

    fn row(&self, at: usize) -> Option<Row> {
        let (row, known) = (self.queue.rows().get(at)?, self.known.get(at)?);
        Some(Row {
            row: number(at),
            ecid: row.ecid,
            station: row.station,
            title: known.title.clone(),
            action: known.task.action,
            phase: row.phase,
            mode: row.here.as_ref().map(|here| here.mode),
            tries: row.tries,
        })
    }

    fn say(&self, at: Option<usize>, happened: Happened) {
        let row = at.and_then(|at| self.queue.rows().get(at));
        self.setup.tell.tell(BatchEvent {
            row: at.map(number),
            ecid: row.and_then(|row| row.ecid),
            station: row.and_then(|row| row.station),
            happened,
        });
    }

    fn message(&self, at: usize, topic: Topic) {
        let (Some(row), Some(known)) = (self.row(at), self.known.get(at)) else { return };
        let wants = self.queue.rows().get(at).and_then(|row| row.wants);
        let asked = Asked { wants, presses: self.presses(at, wants) };
        self.setup.messenger.send(topic, &row, &asked, known.last.as_ref(), known.job.as_deref());
    }

    fn summary(&self) -> Summary {
        let rows = (0..self.known.len()).filter_map(|at| Some((self.row(at)?, self.known.get(at)?.last.clone())));
        Summary { outcome: self.over.unwrap_or(Outcome::Failed), rows: rows.collect() }
    }
}

fn number(at: usize) -> u32 {
    u32::try_from(at + 1).unwrap_or(u32::MAX)
}
