//! The coach: a pure machine between the bus and a person's fingers.
//!
//! It is told the time and what hangs on the bus, and orders what to show, when to ring, when to reset.
//! It has no clock and does no IO, so a whole attempt of forty seconds is tested in no time. A step ends by
//! its seconds, or by what USB shows; the black screen is the device leaving. Whatever arrives is looked at
//! by identity first: another device on the same port is never a success.

use super::keys::{Key, Layout};
use super::miss::{self, Miss, Next};
use super::recipe::{Aim, Deed, Proof, Recipe, Start, Until, recipe};
use super::view::{View, What};
use crate::ids::{Ecid, Mode, PortPath, Udid};
use crate::usb::Address;
use std::time::Duration;

/// Fingers on the keys before the first step.
const READY: f32 = 3.0;
/// A cable takes so long to pull and to read about, at least.
const CABLE: f32 = 4.0;
/// Gone for so long means off.
const OFF: f32 = 8.0;
/// A device that never left the bus by then was not reset.
const NO_RESET: f32 = 22.0;
/// How long a device on the right port may take to tell its ECID before the port alone counts.
const UNREAD: f32 = 2.0;

/// Whom the coach is about; whatever is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    pub ecid: Option<Ecid>,
    pub udid: Option<Udid>,
    pub port: Option<PortPath>,
}

/// One device on the bus. Normal and restore mode look alike here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub address: Address,
    pub mode: Mode,
    pub ecid: Option<Ecid>,
    pub udid: Option<Udid>,
    pub port: PortPath,
}

#[derive(Clone, Debug)]
pub enum Input<'a> {
    Tick,
    /// Everything on the bus, now.
    Usb(&'a [Sighting]),
    /// The person is ready (again).
    Go,
    /// The person wants to stop and begin anew.
    Pause,
    ResetDone,
    ResetFailed,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    Show(View),
    /// A new step: ring.
    Bell,
    /// Reset the device now.
    Reset,
    Missed {
        miss: Miss,
        next: Next,
    },
    Done(Ending),
    /// For the log of windows: what happened, in a word, and with what.
    Note {
        what: &'static str,
        detail: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// USB shows what was wanted.
    Reached(Mode),
    /// It is off, as wanted.
    Off,
    /// Tries are used up, or none would help.
    Missed(Miss),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Waiting { wake: bool },
    Ready { since: f32 },
    Running { step: usize, since: f32 },
    Over,
}

pub struct Coach {
    recipe: Recipe,
    subject: Subject,
    tries: u32,
    attempt: u32,
    /// Seconds added to the phase of both keys.
    shift: i8,
    phase: Phase,
    /// Addresses at the beginning: what is not among them is new.
    baseline: Option<Vec<Address>>,
    here: Option<(Address, Mode)>,
    unread_since: Option<f32>,
    strangers: Vec<Address>,
    /// The mode when the attempt began.
    from: Option<Mode>,
    left_at: Option<f32>,
    shown: Option<View>,
    orders: Vec<Order>,
}

impl Coach {
    /// `tries` counts attempts, 1 at least.
    pub fn new(recipe: Recipe, subject: Subject, tries: u32) -> Coach {
        Coach {
            recipe,
            subject,
            tries: tries.max(1),
            attempt: 0,
            shift: 0,
            phase: Phase::Waiting { wake: false },
            baseline: None,
            here: None,
            unread_since: None,
            strangers: Vec::new(),
            from: None,
            left_at: None,
            shown: None,
            orders: Vec::new(),
        }
    }

    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Whom it is about, with what was learned on the way.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The address of the device now, if it is on the bus.
    pub fn address(&self) -> Option<Address> {
        self.here.map(|(address, _)| address)
    }

    /// Waits for [`Input::Go`].
    pub fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Waiting { .. })
    }

    /// Waits, and the device has to be woken first.
    pub fn wants_waking(&self) -> bool {
        self.phase == (Phase::Waiting { wake: true })
    }

    /// One step of the machine. `at` only grows.
    pub fn step(&mut self, at: Duration, input: Input<'_>) -> Vec<Order> {
        let at = at.as_secs_f32();
        if self.phase == Phase::Over {
            return Vec::new();
        }
        match input {
            Input::Tick => self.tick(at),
            Input::Usb(all) => self.usb(at, all),
            Input::Go => self.go(at),
            Input::Pause => self.pause(),
            Input::ResetDone => self.note("reset", String::new()),
            Input::ResetFailed => self.missed(Miss::NoReset),
        }
        let view = self.view(at);
        if self.phase != Phase::Over && self.shown.as_ref() != Some(&view) {
            self.shown = Some(view.clone());
            self.orders.push(Order::Show(view));
        }
        std::mem::take(&mut self.orders)
    }

    fn note(&mut self, what: &'static str, detail: String) {
        self.orders.push(Order::Note { what, detail });
    }

    fn go(&mut self, at: f32) {
        match self.phase {
            Phase::Waiting { .. } => self.phase = Phase::Ready { since: at },
            // The cable is out and the device off: the person need not wait for the seconds.
            Phase::Running { step, .. }
                if matches!(self.until(step), Some(Until::Gone { .. })) && self.here.is_none() =>
            {
                self.begin(step + 1, at);
            }
            _ => {}
        }
    }

    fn pause(&mut self) {
        if !self.is_waiting() {
            if matches!(self.phase, Phase::Running { .. }) {
                self.attempt -= 1;
            }
            self.phase = Phase::Waiting { wake: false };
            self.note("pause", String::new());
        }
    }

    fn until(&self, step: usize) -> Option<Until> {
        self.recipe.steps.get(step).map(|s| s.until)
    }

    fn attempt(&mut self, at: f32) {
        self.from = self.here.map(|(_, mode)| mode);
        if let (Proof::Shows(wanted), Some(from)) = (self.recipe.proof, self.from)
            && wanted == from
        {
            return self.reached(Ending::Reached(from));
        }
        if self.recipe.start == Start::Assisted && self.from != Some(Mode::Recovery) {
            self.switch(Start::On);
        }
        self.attempt += 1;
        self.left_at = None;
        let recipe = &self.recipe;
        let detail =
            format!("{} {} attempt {} shift {}", recipe.aim.as_str(), recipe.start.as_str(), self.attempt, self.shift);
        self.note("begin", detail);
        self.begin(0, at);
    }

    fn begin(&mut self, step: usize, at: f32) {
        let Some(new) = self.recipe.steps.get(step).cloned() else { return };
        self.phase = Phase::Running { step, since: at };
        let layout = self.recipe.layout;
        let keys: Vec<&str> = new.keys.iter().map(|k| layout.word(*k)).collect();
        self.note("step", format!("{} {}", step + 1, keys.join("+")));
        self.orders.push(Order::Bell);
        match new.deed {
            Deed::Reset => self.orders.push(Order::Reset),
            // Off and unplugged is where this way begins.
            Deed::CableIn => self.left_at = None,
            Deed::None | Deed::CableOut | Deed::Slide => {}
        }
    }

    /// Seconds of a step that is counted.
    fn seconds(&self, step: usize) -> Option<f32> {
        let recipe = &self.recipe;
        let after_black = step > 0 && matches!(self.until(step - 1), Some(Until::Black { .. }));
        let shift = f32::from(self.shift);
        Some(match self.until(step)? {
            Until::Tap => 1.0,
            Until::For(seconds) if recipe.aim == Aim::Dfu && after_black => {
                // Five seconds can lose a whole one; one second cannot.
                (seconds + shift * if seconds > 3.0 { 1.0 } else { 0.4 }).max(0.3)
            }
            Until::For(seconds) => seconds,
            Until::Black { blind, .. } if self.from.is_none() && recipe.aim == Aim::Dfu => blind + shift,
            Until::Black { blind, .. } if self.from.is_none() => blind,
            Until::Black { nominal, .. } => nominal,
            Until::Gone { .. } | Until::Proof { .. } => return None,
        })
    }

    fn tick(&mut self, at: f32) {
        match self.phase {
            Phase::Ready { since } if at - since >= READY => self.attempt(at),
            Phase::Running { step, since } => self.running(at, step, at - since),
            _ => {}
        }
        if let Some(since) = self.unread_since
            && at - since >= UNREAD
            && let Some((_, mode)) = self.here
        {
            self.unread_since = None;
            self.arrived(mode);
        }
    }

    fn running(&mut self, at: f32, step: usize, elapsed: f32) {
        let Some(until) = self.until(step) else { return };
        let seconds = self.seconds(step).unwrap_or_default();
        match until {
            Until::Tap | Until::For(_) if elapsed >= seconds => self.begin(step + 1, at),
            Until::Black { .. } if self.left_at.is_some() => self.begin(step + 1, at),
            Until::Black { .. } if self.from.is_none() && elapsed >= seconds => self.begin(step + 1, at),
            Until::Black { limit, .. } if elapsed >= limit => self.missed(Miss::NeverReset),
            Until::Gone { .. } if self.here.is_none() && elapsed >= CABLE => self.begin(step + 1, at),
            Until::Gone { limit } if elapsed >= limit => self.missed(Miss::StillOn),
            Until::Proof { limit } => self.awaiting(at, step, elapsed, limit),
            _ => {}
        }
    }

    fn awaiting(&mut self, at: f32, step: usize, elapsed: f32, limit: f32) {
        let off = self.left_at.is_some_and(|left| self.here.is_none() && at - left >= OFF);
        let keys_down = self.recipe.steps.get(step).is_some_and(|s| !s.keys.is_empty());
        let stayed = self.here.is_some() && self.left_at.is_none();
        match self.recipe.proof {
            Proof::StaysGone if off => self.reached(Ending::Off),
            Proof::StaysGone if elapsed >= limit => self.missed(Miss::StillOn),
            _ if keys_down && stayed && elapsed >= NO_RESET => self.missed(Miss::NeverReset),
            _ if elapsed < limit => {}
            _ if stayed => self.missed(Miss::NeverReset),
            _ => self.missed(Miss::Dark),
        }
    }

    // -- the bus --

    /// Is this the device? By ECID, by UDID, by port; where nothing is known, whatever is new.
    fn is_ours(&self, seen: &Sighting) -> bool {
        let me = &self.subject;
        if let (Some(mine), Some(theirs)) = (me.ecid, seen.ecid) {
            return mine == theirs;
        }
        if let (Some(mine), Some(theirs)) = (&me.udid, &seen.udid) {
            return mine == theirs;
        }
        match &me.port {
            Some(port) => *port == seen.port,
            None if *me == Subject::default() => !self.baseline.iter().flatten().any(|a| *a == seen.address),
            None => false,
        }
    }

    fn usb(&mut self, at: f32, all: &[Sighting]) {
        if self.baseline.is_none() {
            self.baseline = Some(all.iter().map(|s| s.address).collect());
        }
        let ours = all.iter().find(|s| self.is_ours(s)).cloned();
        for other in all.iter().filter(|s| Some(&s.port) == self.subject.port.as_ref()) {
            if ours.as_ref() != Some(other) && !self.strangers.contains(&other.address) {
                self.strangers.push(other.address);
                self.orders.push(Order::Note { what: "stranger", detail: sighted(other) });
            }
        }
        let before = self.here;
        self.here = ours.as_ref().map(|s| (s.address, s.mode));
        let Some(ours) = ours else {
            if let Some((_, mode)) = before {
                self.left(at, mode);
            }
            return;
        };
        if let Some((address, mode)) = before.filter(|(address, _)| *address != ours.address) {
            tracing::debug!(%address, "left and came back between two looks");
            self.left(at, mode);
        }
        let told = ours.ecid.is_some() && self.subject.ecid.is_none();
        self.learn(&ours);
        let new = before != self.here;
        let reads = ours.ecid.is_some() || self.subject.ecid.is_none() || ours.mode == Mode::Normal;
        if new {
            self.note("seen", sighted(&ours));
        }
        if new && !reads {
            self.unread_since = Some(at);
        } else if new || (reads && self.unread_since.is_some()) || told {
            self.unread_since = None;
            self.arrived(ours.mode);
        }
    }

    fn learn(&mut self, seen: &Sighting) {
        let me = &mut self.subject;
        me.ecid = me.ecid.or(seen.ecid);
        me.udid = me.udid.take().or_else(|| seen.udid.clone());
        me.port = Some(seen.port.clone());
    }

    fn left(&mut self, at: f32, mode: Mode) {
        self.unread_since = None;
        self.note("left", mode.to_string());
        let Phase::Running { step, since } = self.phase else { return };
        self.left_at.get_or_insert(at);
        self.running(at, step, at - since);
    }

    fn arrived(&mut self, mode: Mode) {
        if self.phase == (Phase::Waiting { wake: true }) && mode != Mode::Unknown {
            self.phase = Phase::Waiting { wake: false };
        }
        let Phase::Running { .. } = self.phase else { return };
        // What was there when the attempt began and never left says nothing.
        if self.left_at.is_none() && self.from == Some(mode) {
            return;
        }
        match self.recipe.proof {
            Proof::Shows(wanted) if wanted == mode => self.reached(Ending::Reached(mode)),
            Proof::Restarted if matches!(mode, Mode::Normal | Mode::Restore) => self.reached(Ending::Reached(mode)),
            _ => match miss::of_return(self.recipe.aim, mode) {
                Some(Miss::Loop) if self.from != Some(Mode::Recovery) => self.missed(Miss::ReachedRecovery),
                Some(miss) => self.missed(miss),
                None => {}
            },
        }
    }

    // -- ends --

    fn reached(&mut self, ending: Ending) {
        self.phase = Phase::Over;
        let mode = match &ending {
            Ending::Reached(mode) => mode.to_string(),
            Ending::Off | Ending::Missed(_) => "off".to_owned(),
        };
        self.note("reached", mode);
        self.orders.push(Order::Bell);
        self.orders.push(Order::Done(ending));
    }

    fn missed(&mut self, miss: Miss) {
        let recipe = &self.recipe;
        let next = miss::next(miss, recipe.aim, recipe.start, self.subject.ecid.is_some());
        self.note("miss", miss.as_str().to_owned());
        self.orders.push(Order::Bell);
        if next == Next::Stop || self.attempt >= self.tries {
            self.phase = Phase::Over;
            return self.orders.push(Order::Done(Ending::Missed(miss)));
        }
        match next {
            Next::Shift(by) => self.shift = (self.shift + by).clamp(-2, 1),
            Next::Assisted => self.switch(Start::Assisted),
            Next::ByHand => self.switch(Start::On),
            Next::Again | Next::Wake | Next::Stop => {}
        }
        self.phase = Phase::Waiting { wake: next == Next::Wake };
        self.orders.push(Order::Missed { miss, next });
    }

    fn switch(&mut self, start: Start) {
        let (layout, aim): (Layout, Aim) = (self.recipe.layout, self.recipe.aim);
        if let Some(other) = recipe(layout, aim, start) {
            self.recipe = other;
        }
    }

    // -- what to show --

    fn view(&self, at: f32) -> View {
        let keys = |step: usize| self.recipe.steps.get(step).map(|s| s.keys.clone()).unwrap_or_default();
        let whole = |seconds: f32| seconds.max(0.0).ceil() as u32;
        let what = match self.phase {
            Phase::Waiting { wake } => What::Waiting { wake, first: keys(0) },
            Phase::Ready { since } => What::Ready { left: whole(READY - (at - since)), first: keys(0) },
            Phase::Over => What::Over,
            Phase::Running { step, since } => {
                let left = self.seconds(step).map(|s| s - (at - since));
                let soon = left.is_some_and(|l| l <= 1.0) && step + 1 < self.recipe.steps.len();
                let now = keys(step);
                let held = step > 0 && self.until(step - 1) != Some(Until::Tap);
                let before: Vec<Key> = if held { keys(step - 1) } else { Vec::new() };
                What::Step {
                    index: step,
                    let_go: before.into_iter().filter(|k| !now.contains(k)).collect(),
                    keys: now,
                    until: self.until(step).unwrap_or(Until::Tap),
                    deed: self.recipe.steps.get(step).map_or(Deed::None, |s| s.deed),
                    left: left.map(whole).filter(|l| *l > 0),
                    soon: soon.then(|| keys(step + 1)),
                }
            }
        };
        View {
            attempt: self.attempt.max(1),
            of: self.recipe.steps.len(),
            aim: self.recipe.aim,
            start: self.recipe.start,
            what,
        }
    }
}

fn sighted(seen: &Sighting) -> String {
    let who = seen.ecid.map(|e| e.to_string()).or_else(|| seen.udid.as_ref().map(ToString::to_string));
    format!("{} {} {}", seen.mode, seen.port, who.unwrap_or_else(|| "?".into()))
}
