//! Hands on the keys of a phone: what comes of an [`Outcome`], and when.
//!
//! A [`Sitting`] is one try of a person as time goes by, without a clock of its own; [`Keys`] runs sittings
//! live, at the pace of the phone, and notices a reset that a host commands while keys are held: that is
//! how assisted DFU works. [`apply`] takes a whole script at once, for people who type it.

use super::buttons::{Action, Key, KeyEvent, Outcome, REMOTE_WINDOW, TAP_GAP, ms, outcome};
use super::model::lock;
use crate::facts::models::Buttons;
use crate::virt::phone::{Phone, Stage, StageChange};
use serde_json::json;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// Does to the phone what these keys do, with the delays of a real one.
pub fn apply(phone: &Arc<Phone>, events: &[KeyEvent]) -> Outcome {
    let outcome = outcome(phone.model.buttons, phone.stage(), events);
    carry_out(phone, outcome);
    outcome
}

/// What a phone does about an outcome: leaves the bus now, and comes back as something after so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    Stays,
    Leaves,
    ComesBack(Stage, Duration),
}

/// `auto_boot` is iBoot's variable: without it a restart ends in recovery.
pub fn consequence(outcome: Outcome, auto_boot: bool) -> Consequence {
    match outcome {
        Outcome::Dfu => Consequence::ComesBack(Stage::Dfu, ms(500)),
        Outcome::Recovery => Consequence::ComesBack(Stage::Recovery, ms(1_000)),
        Outcome::Black | Outcome::Off => Consequence::Leaves,
        Outcome::Restart if auto_boot => Consequence::ComesBack(Stage::Normal, ms(20_000)),
        Outcome::Restart => Consequence::ComesBack(Stage::Recovery, ms(5_000)),
        Outcome::Nothing | Outcome::Siri | Outcome::PowerSlider | Outcome::Sos | Outcome::Screenshot => {
            Consequence::Stays
        }
    }
}

fn carry_out(phone: &Arc<Phone>, outcome: Outcome) {
    phone.remember("keys.outcome", json!({ "outcome": outcome }));
    let auto_boot = phone.state().nvram.get("auto-boot").is_none_or(|v| v == "true");
    match consequence(outcome, auto_boot) {
        Consequence::Stays => {}
        Consequence::Leaves => phone.enter(Stage::Away),
        Consequence::ComesBack(stage, away) => phone.reenumerate(stage, away),
    }
}

/// One try of one person: from the first key that goes down until all have been up for a while.
#[derive(Clone, Debug)]
pub struct Sitting {
    class: Buttons,
    /// The stage when the first key went down.
    stage: Stage,
    events: Vec<KeyEvent>,
    down: Vec<Key>,
    last: Outcome,
}

impl Sitting {
    pub fn new(class: Buttons, stage: Stage) -> Self {
        Sitting { class, stage, events: Vec::new(), down: Vec::new(), last: Outcome::Nothing }
    }

    /// Something happens at `at`; the new outcome where it changes.
    pub fn note(&mut self, at: Duration, action: Action) -> Option<Outcome> {
        match action {
            Action::Press(key) if self.down.contains(&key) => return self.look(at),
            Action::Press(key) => self.down.push(key),
            Action::Release(key) => self.down.retain(|k| *k != key),
            _ => {}
        }
        self.events.push(KeyEvent { at, action });
        self.look(at)
    }

    /// The outcome as of `at`, where it changes.
    pub fn look(&mut self, at: Duration) -> Option<Outcome> {
        let mut events = self.events.clone();
        events.push(KeyEvent { at, action: Action::Look });
        let now = outcome(self.class, self.stage, &events);
        (now != std::mem::replace(&mut self.last, now)).then_some(now)
    }

    pub fn down(&self) -> &[Key] {
        &self.down
    }

    /// All keys have been up for longer than any sequence pauses.
    pub fn is_over(&self, at: Duration) -> bool {
        let pause = if self.class == Buttons::Remote { REMOTE_WINDOW } else { TAP_GAP };
        self.down.is_empty() && self.events.last().is_none_or(|last| at > last.at + pause)
    }

    /// The chip was reset from outside, unless that was known or is our own doing.
    fn reset(&mut self, at: Duration) {
        let known = self.events.iter().any(|e| e.action == Action::Reset);
        if self.last == Outcome::Nothing && !self.down.is_empty() && !known {
            self.events.push(KeyEvent { at, action: Action::Reset });
        }
    }
}

struct Live {
    started: Instant,
    sitting: Sitting,
}

/// The keys of one phone, live. Times are taken at the pace of the phone.
pub struct Keys {
    phone: Arc<Phone>,
    live: Mutex<Option<Live>>,
    changes: Mutex<Receiver<StageChange>>,
}

/// How often keys that are down are looked at, in the phone's time.
const TICK: Duration = ms(100);

impl Keys {
    pub fn new(phone: &Arc<Phone>) -> Arc<Keys> {
        let changes = Mutex::new(phone.watch());
        Arc::new(Keys { phone: Arc::clone(phone), live: Mutex::new(None), changes })
    }

    /// The first press after all keys were up begins anew.
    pub fn press(self: &Arc<Self>, key: Key) {
        self.begin();
        self.note(Action::Press(key));
    }

    pub fn release(&self, key: Key) {
        self.note(Action::Release(key));
    }

    /// The finger over the power slider; nothing where none shows.
    pub fn slide(&self) {
        self.note(Action::Slide);
    }

    /// The cable goes in: a phone that is off starts.
    pub fn plug(self: &Arc<Self>) {
        self.begin();
        self.note(Action::Plug);
    }

    /// Everything up.
    pub fn let_go(&self) {
        let down = lock(&self.live).as_ref().map(|l| l.sitting.down().to_vec()).unwrap_or_default();
        down.into_iter().for_each(|key| self.release(key));
    }

    fn begin(self: &Arc<Self>) {
        let mut guard = lock(&self.live);
        if guard.as_ref().is_some_and(|l| !l.sitting.is_over(self.since(l))) {
            return;
        }
        while lock(&self.changes).try_recv().is_ok() {}
        let sitting = Sitting::new(self.phone.model.buttons, self.phone.stage());
        *guard = Some(Live { started: Instant::now(), sitting });
        let weak = Arc::downgrade(self);
        let tick = self.phone.scaled(TICK).max(Duration::from_millis(1));
        std::thread::spawn(move || watch(&weak, tick));
    }

    fn since(&self, live: &Live) -> Duration {
        let second = self.phone.scaled(Duration::from_secs(1)).as_secs_f64();
        live.started.elapsed().div_f64(second.max(1e-9))
    }

    fn note(&self, action: Action) {
        if let Some(live) = lock(&self.live).as_mut() {
            self.resets(live);
            let at = self.since(live);
            if let Some(now) = live.sitting.note(at, action) {
                carry_out(&self.phone, now);
            }
        }
    }

    fn resets(&self, live: &mut Live) {
        while let Ok(change) = lock(&self.changes).try_recv() {
            if change.to == Stage::Away {
                live.sitting.reset(self.since(live));
            }
        }
    }
}

fn watch(keys: &Weak<Keys>, tick: Duration) {
    loop {
        std::thread::sleep(tick);
        let Some(keys) = keys.upgrade() else { return };
        let mut guard = lock(&keys.live);
        let Some(live) = guard.as_mut() else { return };
        let at = keys.since(live);
        if live.sitting.is_over(at) {
            return;
        }
        keys.resets(live);
        if let Some(now) = live.sitting.look(at) {
            carry_out(&keys.phone, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Key::{Home, Power, VolumeDown};
    use super::*;
    use crate::virt::spec::PhoneSpec;

    #[test]
    fn keys_that_are_held_live_bring_the_phone_into_dfu() {
        let spec = PhoneSpec { model: "iphone6".into(), ..PhoneSpec::default() };
        let phone = Phone::new(spec, 0, 100.0).unwrap();
        let changes = phone.watch();
        let keys = Keys::new(&phone);
        keys.press(Power);
        keys.press(Home);
        assert_eq!(changes.recv_timeout(Duration::from_secs(5)).unwrap().to, Stage::Away);
        keys.release(Power);
        assert_eq!(changes.recv_timeout(Duration::from_secs(5)).unwrap().to, Stage::Dfu);
        keys.release(Home);
        assert!(phone.memory().iter().any(|m| m.detail["outcome"] == "dfu"));
    }

    #[test]
    fn a_reset_that_a_host_commands_while_keys_are_held_counts() {
        let spec = PhoneSpec { mode: crate::virt::spec::ModeSpec::Recovery, ..PhoneSpec::default() };
        let phone = Phone::new(spec, 0, 50.0).unwrap();
        let changes = phone.watch();
        let keys = Keys::new(&phone);
        keys.press(Power);
        keys.press(VolumeDown);
        phone.reenumerate(Stage::Normal, Duration::from_secs(20));
        assert_eq!(changes.recv_timeout(Duration::from_secs(5)).unwrap().to, Stage::Away);
        let until = Instant::now() + Duration::from_secs(5);
        while !phone.memory().iter().any(|m| m.detail["outcome"] == "black") && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        // The time that a person holds on: what is tested, not what is waited for.
        std::thread::sleep(phone.scaled(Duration::from_secs(2)));
        keys.release(Power);
        assert_eq!(changes.recv_timeout(Duration::from_secs(5)).unwrap().to, Stage::Dfu);
    }
}
