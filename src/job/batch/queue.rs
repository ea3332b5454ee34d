//! The queue: which row starts when, what happens to a failed one, and when all is over.
//!
//! Pure: `step(now, input)` gives orders, with no IO, no clock and no randomness, so that a run can be replayed and its
//! laws can be tested with thousands of made-up ones. Time is what has passed since the run began. The runner looks at
//! the bus, starts the jobs it is told to and says how they ended; everything that is decided is decided here.
//!
//! What always holds, whatever comes in: a row is never lost and ends once; no more run than the limit, nor than ten
//! on one USB controller; never two on one ECID; and the batch ends, since each wait has a limit and tries are counted.
//! A row is bound to an ECID when its device is first seen, and to nothing else from then on: the device may change
//! ports and is followed, and a stranger at its station is told of and not touched.

use super::file::{Pin, Retry};
use super::policy::{Miss, Verdict, verdict};
use crate::event::Outcome;
use crate::event::batch::{Phase, Wants};
use crate::ids::{Ecid, Mode, PortPath, Udid};
use std::time::Duration;

/// More than so many at once make a controller drop devices.
pub const PER_CONTROLLER: usize = 10;
/// A device that restarts is away for less than this.
const GRACE: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
pub struct Rules {
    pub limit: usize,
    pub per_controller: usize,
    pub retry: Retry,
    /// Waits are divided by it; 1 for real devices.
    pub haste: u32,
    /// Devices without a row get one: at these stations, or everywhere when there is none.
    pub watch: Option<Vec<u32>>,
}

impl Rules {
    fn wait(&self, seconds: u64) -> Duration {
        Duration::from_secs(seconds) / self.haste.max(1)
    }
}

/// A device on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here {
    pub ecid: Ecid,
    pub udid: Option<Udid>,
    pub station: Option<u32>,
    pub port: Option<PortPath>,
    /// Which USB controller it hangs on; none is not known.
    pub controller: Option<String>,
    pub mode: Mode,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Done,
    Partly,
    Missed(Miss),
    Cancelled,
}

#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// Everything with an ECID that is on the bus now.
    Seen(Vec<Here>),
    Ended {
        row: usize,
        end: End,
    },
    /// A person says that it was done.
    Acted {
        row: usize,
    },
    Cancel,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// A row that was not there before.
    New {
        row: usize,
        ecid: Ecid,
        station: Option<u32>,
    },
    /// From now on this row is this device.
    Bound {
        row: usize,
        ecid: Ecid,
    },
    /// The device that this row would be is another row's already.
    Duplicate {
        row: usize,
        of: usize,
    },
    Start {
        row: usize,
        ecid: Ecid,
        tries: u32,
    },
    /// Ask the job to stop, orderly.
    Stop {
        row: usize,
    },
    Became {
        row: usize,
        phase: Phase,
        wants: Option<Wants>,
        seconds: Option<u64>,
    },
    Mode {
        row: usize,
        mode: Option<Mode>,
    },
    Stranger {
        row: usize,
        ecid: Ecid,
    },
    /// Nobody was waited for.
    NotAsked {
        row: usize,
    },
    /// It was here before the watch began: nobody has plugged it in for that.
    Ignored {
        ecid: Ecid,
    },
    Over {
        outcome: Outcome,
    },
}

/// One row, to be looked at.
#[derive(Clone, Debug)]
pub struct Row {
    pub pin: Pin,
    pub ecid: Option<Ecid>,
    pub station: Option<u32>,
    pub phase: Phase,
    pub wants: Option<Wants>,
    pub tries: u32,
    pub misses: Vec<Miss>,
    pub here: Option<Here>,
    /// When the phase began.
    since: Duration,
    /// Not before this.
    until: Duration,
    /// When it was last on the bus.
    absent: Duration,
    /// As it was when the wait for a person began.
    before: Option<(Option<PortPath>, Mode)>,
    /// It was away since then.
    left: bool,
    strangers: Vec<Ecid>,
    /// The controller that it was last seen on: in some modes its port cannot be told.
    controller: Option<String>,
    /// Its last try failed before this run, and nothing was decided.
    owes: bool,
}

impl Row {
    pub fn new(pin: Pin) -> Row {
        let (ecid, station) = match &pin {
            Pin::Ecid(ecid) => (Some(*ecid), None),
            Pin::Udid(udid) => (udid.ecid(), None),
            Pin::Station(station) => (None, Some(*station)),
        };
        Row {
            pin,
            ecid,
            station,
            phase: Phase::Queued,
            wants: None,
            tries: 0,
            misses: Vec::new(),
            here: None,
            since: Duration::ZERO,
            until: Duration::ZERO,
            absent: Duration::ZERO,
            before: None,
            left: false,
            strangers: Vec::new(),
            controller: None,
            owes: false,
        }
    }

    /// As a journal tells it.
    pub fn recalled(pin: Pin, ecid: Option<Ecid>, tries: u32, misses: Vec<Miss>, phase: Phase, owes: bool) -> Row {
        let mut row = Row::new(pin);
        row.ecid = ecid.or(row.ecid);
        (row.tries, row.misses, row.phase, row.owes) = (tries, misses, phase, owes);
        row
    }
}

#[derive(Clone, Debug)]
pub struct Queue {
    rules: Rules,
    rows: Vec<Row>,
    started: Option<Duration>,
    /// When something began or ended last.
    active: Duration,
    cancelled: bool,
    over: bool,
    /// What was here at the first look of a watch; none before that look.
    ignored: Option<Vec<Ecid>>,
}

impl Queue {
    pub fn new(rules: Rules, rows: Vec<Row>) -> Queue {
        Queue { rules, rows, started: None, active: Duration::ZERO, cancelled: false, over: false, ignored: None }
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub fn is_over(&self) -> bool {
        self.over
    }

    fn running(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.phase == Phase::Running)
    }

    /// The only way in.
    pub fn step(&mut self, now: Duration, input: Input) -> Vec<Order> {
        let mut orders = Vec::new();
        if self.over {
            return orders;
        }
        for at in 0..self.rows.len() {
            if self.rows.get_mut(at).is_some_and(|row| std::mem::take(&mut row.owes)) {
                self.missed(now, at, &mut orders);
            }
        }
        match input {
            Input::Tick => {}
            Input::Seen(seen) => self.seen(now, &seen, &mut orders),
            Input::Ended { row, end } => self.ended(now, row, end, &mut orders),
            Input::Acted { row } => match self.rows.get(row).map(|row| row.phase) {
                Some(Phase::WaitsForPerson) => self.become_(now, row, Phase::Queued, None, &mut orders),
                Some(_) => orders.push(Order::NotAsked { row }),
                None => {}
            },
            Input::Cancel => self.cancel(now, &mut orders),
        }
        self.waits(now, &mut orders);
        self.start(now, &mut orders);
        self.end(&mut orders);
        orders
    }

    /// When to step again if nothing happens before.
    pub fn wake(&self, now: Duration) -> Option<Duration> {
        if self.over {
            return None;
        }
        let stagger = self.started.map(|at| at + self.rules.wait(self.rules.retry.stagger_seconds));
        let each = self.rows.iter().filter_map(|row| match row.phase {
            Phase::WaitsToRetry => Some(row.until),
            Phase::WaitsForPerson => Some(self.patience(row)),
            Phase::Queued if row.here.is_none() => Some(self.grace(row)),
            Phase::Queued => stagger.filter(|at| *at > now),
            _ => None,
        });
        each.filter(|at| *at > now).min()
    }

    fn grace(&self, row: &Row) -> Duration {
        row.absent.max(row.since).max(self.active) + GRACE / self.rules.haste.max(1)
    }

    /// Until when a person is waited for. One who works on other rows is not late for this one.
    fn patience(&self, row: &Row) -> Duration {
        row.since.max(self.active) + self.rules.wait(self.rules.retry.person_seconds)
    }

    fn become_(&mut self, now: Duration, at: usize, phase: Phase, wants: Option<Wants>, orders: &mut Vec<Order>) {
        let patience = self.rules.wait(self.rules.retry.person_seconds);
        let Some(row) = self.rows.get_mut(at) else { return };
        let seconds = match phase {
            Phase::WaitsToRetry => Some(row.until.saturating_sub(now).as_secs()),
            Phase::WaitsForPerson => Some(patience.as_secs()),
            _ => None,
        };
        if row.phase != phase || row.wants != wants {
            (row.phase, row.wants, row.since) = (phase, wants, now);
            row.before = row.here.as_ref().map(|here| (here.port.clone(), here.mode));
            row.left = row.here.is_none();
            orders.push(Order::Became { row: at, phase, wants, seconds });
        }
    }

    fn seen(&mut self, now: Duration, seen: &[Here], orders: &mut Vec<Order>) {
        self.bind(now, seen, orders);
        self.take(seen, orders);
        for at in 0..self.rows.len() {
            let Some(row) = self.rows.get_mut(at) else { continue };
            let here = seen.iter().find(|here| Some(here.ecid) == row.ecid).cloned();
            let mode = |here: &Option<Here>| here.as_ref().map(|here| here.mode);
            if mode(&here) != mode(&row.here) && !row.phase.is_end() {
                orders.push(Order::Mode { row: at, mode: mode(&here) });
            }
            if here.is_none() && row.here.is_some() {
                row.absent = now;
            }
            if let Some(here) = &here {
                row.station = here.station.or(row.station);
                row.controller = here.controller.clone().or(row.controller.take());
            }
            row.left |= here.is_none();
            row.here = here;
            if row.phase == Phase::WaitsForPerson && did(row) {
                self.become_(now, at, Phase::Queued, None, orders);
            }
        }
        self.strangers(seen, orders);
    }

    /// Rows that had no ECID get the one of their device.
    fn bind(&mut self, now: Duration, seen: &[Here], orders: &mut Vec<Order>) {
        for at in 0..self.rows.len() {
            let Some(row) = self.rows.get(at).filter(|row| row.ecid.is_none() && !row.phase.is_end()) else { continue };
            let found = match &row.pin {
                Pin::Ecid(_) => None,
                Pin::Udid(udid) => seen.iter().find(|here| here.udid.as_ref() == Some(udid)),
                Pin::Station(station) => seen.iter().find(|here| here.station == Some(*station)),
            };
            let Some(ecid) = found.map(|here| here.ecid) else { continue };
            match self.rows.iter().position(|other| other.ecid == Some(ecid)) {
                // At a station it is merely in the way; by its own UDID it is the same device twice.
                Some(_) if matches!(row.pin, Pin::Station(_)) => {}
                Some(of) => {
                    orders.push(Order::Duplicate { row: at, of });
                    self.become_(now, at, Phase::Failed, None, orders);
                }
                None => {
                    if let Some(row) = self.rows.get_mut(at) {
                        row.ecid = Some(ecid);
                        orders.push(Order::Bound { row: at, ecid });
                    }
                }
            }
        }
    }

    /// A device gets a row once in a run: one that restarts, or is plugged in again, is not erased again.
    fn take(&mut self, seen: &[Here], orders: &mut Vec<Order>) {
        let Some(stations) = self.rules.watch.as_ref().filter(|_| !self.cancelled) else { return };
        let first = self.ignored.is_none();
        let ignored = self.ignored.get_or_insert_default();
        for here in seen {
            let wanted = stations.is_empty() || here.station.is_some_and(|station| stations.contains(&station));
            let udid = |row: &Row| matches!((&row.pin, &here.udid), (Pin::Udid(a), Some(b)) if a == b);
            if !wanted
                || ignored.contains(&here.ecid)
                || self.rows.iter().any(|row| row.ecid == Some(here.ecid) || udid(row))
            {
                continue;
            }
            // It may restart by itself, which looks as if it was plugged in: so not later either.
            if first {
                ignored.push(here.ecid);
                orders.push(Order::Ignored { ecid: here.ecid });
                continue;
            }
            let mut row = Row::new(Pin::Ecid(here.ecid));
            row.station = here.station;
            self.rows.push(row);
            orders.push(Order::New { row: self.rows.len() - 1, ecid: here.ecid, station: here.station });
        }
    }

    /// Told once for each, and never touched.
    fn strangers(&mut self, seen: &[Here], orders: &mut Vec<Order>) {
        let known: Vec<Ecid> = self.rows.iter().filter_map(|row| row.ecid).collect();
        for (at, row) in self.rows.iter_mut().enumerate() {
            let (Pin::Station(station), Some(_), false) = (&row.pin, row.ecid, row.phase.is_end()) else { continue };
            for here in seen.iter().filter(|here| here.station == Some(*station) && !known.contains(&here.ecid)) {
                if !row.strangers.contains(&here.ecid) && row.strangers.len() < 64 {
                    row.strangers.push(here.ecid);
                    orders.push(Order::Stranger { row: at, ecid: here.ecid });
                }
            }
        }
    }

    fn ended(&mut self, now: Duration, at: usize, end: End, orders: &mut Vec<Order>) {
        let Some(row) = self.rows.get_mut(at).filter(|row| row.phase == Phase::Running) else { return };
        self.active = now;
        let phase = match end {
            End::Done => Phase::Done,
            End::Partly => Phase::Partly,
            End::Cancelled => Phase::Cancelled,
            End::Missed(miss) => {
                row.misses.push(miss);
                return self.missed(now, at, orders);
            }
        };
        self.become_(now, at, phase, None, orders);
    }

    fn missed(&mut self, now: Duration, at: usize, orders: &mut Vec<Order>) {
        let haste = self.rules.haste.max(1);
        let Some(row) = self.rows.get_mut(at) else { return };
        let verdict = verdict(&row.misses, &self.rules.retry);
        if self.cancelled && verdict != Verdict::Stop {
            return self.become_(now, at, Phase::Cancelled, None, orders);
        }
        match verdict {
            Verdict::Again => self.become_(now, at, Phase::Queued, None, orders),
            Verdict::Later(wait) => {
                row.until = now + wait / haste;
                self.become_(now, at, Phase::WaitsToRetry, None, orders);
            }
            // Already where the person was to bring it.
            Verdict::After(Wants::Dfu) if row.here.as_ref().is_some_and(|here| here.mode == Mode::Dfu) => {
                self.become_(now, at, Phase::Queued, None, orders);
            }
            Verdict::After(wants) => self.become_(now, at, Phase::WaitsForPerson, Some(wants), orders),
            Verdict::Stop => self.become_(now, at, Phase::Failed, None, orders),
        }
    }

    fn cancel(&mut self, now: Duration, orders: &mut Vec<Order>) {
        if std::mem::replace(&mut self.cancelled, true) {
            return;
        }
        for at in 0..self.rows.len() {
            match self.rows.get(at).map(|row| row.phase) {
                Some(Phase::Running) => orders.push(Order::Stop { row: at }),
                Some(phase) if !phase.is_end() => self.become_(now, at, Phase::Cancelled, None, orders),
                _ => {}
            }
        }
    }

    /// Waits that are over.
    fn waits(&mut self, now: Duration, orders: &mut Vec<Order>) {
        for at in 0..self.rows.len() {
            let Some(row) = self.rows.get(at) else { continue };
            match row.phase {
                Phase::WaitsToRetry if row.until <= now => self.become_(now, at, Phase::Queued, None, orders),
                Phase::Queued if row.here.is_none() && self.grace(row) <= now => {
                    self.become_(now, at, Phase::WaitsForPerson, Some(Wants::PlugIn), orders);
                }
                Phase::WaitsForPerson if self.patience(row) <= now => {
                    self.become_(now, at, Phase::LeftForPerson, row.wants, orders);
                }
                _ => {}
            }
        }
    }

    fn start(&mut self, now: Duration, orders: &mut Vec<Order>) {
        if self.cancelled {
            return;
        }
        let stagger = self.rules.wait(self.rules.retry.stagger_seconds);
        // Who waits longest comes first; rows of one moment in their own order.
        let mut ready: Vec<usize> = (0..self.rows.len()).collect();
        ready.sort_by_key(|at| self.rows.get(*at).map(|row| row.since));
        for at in ready {
            if self.started.is_some_and(|last| now < last + stagger) || self.running().count() >= self.rules.limit {
                return;
            }
            let Some(row) = self.rows.get(at).filter(|row| row.phase == Phase::Queued) else { continue };
            let (Some(_), Some(ecid)) = (&row.here, row.ecid) else { continue };
            // What is not known may be on any.
            let on = |other: &&Row| match (&other.controller, &row.controller) {
                (Some(theirs), Some(ours)) => theirs == ours,
                _ => true,
            };
            let full = self.running().filter(on).count() >= self.rules.per_controller;
            if full || self.running().any(|other| other.ecid == Some(ecid)) {
                continue;
            }
            let Some(row) = self.rows.get_mut(at) else { continue };
            row.tries += 1;
            let tries = row.tries;
            (self.started, self.active) = (Some(now), now);
            self.become_(now, at, Phase::Running, None, orders);
            orders.push(Order::Start { row: at, ecid, tries });
        }
    }

    fn end(&mut self, orders: &mut Vec<Order>) {
        let waits = self.rules.watch.is_some() && !self.cancelled;
        if waits || self.rows.iter().any(|row| !row.phase.is_end()) {
            return;
        }
        self.over = true;
        let all = |phase: Phase| self.rows.iter().all(|row| row.phase == phase);
        let any = |phases: &[Phase]| self.rows.iter().any(|row| phases.contains(&row.phase));
        let outcome = if all(Phase::Done) {
            Outcome::Ok
        } else if any(&[Phase::Cancelled]) {
            Outcome::Cancelled
        } else if any(&[Phase::Done, Phase::Partly]) {
            Outcome::Partial
        } else {
            Outcome::Failed
        };
        orders.push(Order::Over { outcome });
    }
}

/// Did a person do what was asked, as far as USB can tell?
fn did(row: &Row) -> bool {
    let Some(here) = &row.here else { return false };
    let before = row.before.as_ref();
    let moved = before.is_some_and(|(port, _)| *port != here.port);
    let changed = before.is_some_and(|(_, mode)| *mode != here.mode);
    match row.wants {
        Some(Wants::PlugIn) | None => true,
        Some(Wants::OtherCable | Wants::Replug) => row.left || moved,
        Some(Wants::Dfu) => here.mode == Mode::Dfu,
        Some(Wants::Remedy) => row.left || moved || changed,
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
