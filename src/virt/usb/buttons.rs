//! Keys: what a phone does when a person presses, holds and lets go.
//!
//! [`outcome`] is pure: a class of keys, the stage, and key events with their times in; what the phone did
//! out. It follows how the hardware works rather than a list of recipes, so that wrong timing has the
//! results that people see: a combination held long enough resets the chip; SecureROM then looks for the
//! second key *without* the power key (DFU); later iBoot looks for its key (recovery); else the system
//! boots. Where exactly the windows end is not published; the figures are those within which all guides
//! work (8-10 s, 5 s, 8-10 s) and outside of which people report misses.
//!
//! [`Keys`] does the same live, at the pace of the phone, and notices a reset that a host commands while
//! keys are held: that is how assisted DFU works. Volume keys of an iPad are named by their distance from
//! the top key: nearest is [`Key::VolumeUp`], farthest [`Key::VolumeDown`].

use super::model::lock;
use crate::facts::models::Buttons;
use crate::virt::phone::{Phone, Stage, StageChange};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Key {
    /// Side or top.
    Power,
    Home,
    /// On iPads without Home: the volume key nearest to the top key.
    VolumeUp,
    /// On iPads without Home: the farthest.
    VolumeDown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Press(Key),
    Release(Key),
    /// The chip was reset by something else, e.g. a host's `reboot`.
    Reset,
    /// The cable went in.
    Plug,
    /// Nothing; it is so late now. Keys that are down stay down.
    Look,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEvent {
    /// Since the first event, in the phone's time.
    pub at: Duration,
    pub action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing that matters: no reset.
    Nothing,
    /// Reset, and boots what it is set to boot.
    Restart,
    Recovery,
    Dfu,
    /// Reset and dark: keys still decide, or a key was let go too soon and the phone stays off.
    Black,
    /// The power key alone, in iOS.
    Siri,
    PowerSlider,
    /// Side and a volume key together, in iOS: the countdown, with siren.
    Sos,
    Screenshot,
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Both keys, until the chip resets (Home and Volume Down classes).
const RESET_BOTH: Duration = ms(8_000);
/// Side alone after the two taps, until the chip resets.
const RESET_SIDE: Duration = ms(10_000);
/// After the reset the ROM waits so long for the power key to be let go.
const ROM_WINDOW: Duration = ms(2_500);
/// The same where Volume Down is added after the reset; and no sooner than that.
const ROM_WINDOW_SIDE: (Duration, Duration) = (ms(1_000), ms(7_000));
/// Volume Down has to be there so soon after the reset.
const ADD_VOLUME: Duration = ms(2_000);
/// The second key has to be held alone so long.
const ROM_HOLD: Duration = ms(3_000);
/// Keys let go within this of each other are let go together.
const TOGETHER: Duration = ms(500);
/// From the reset until iBoot has seen its key and shows the picture.
const IBOOT_KEY: Duration = ms(7_000);
const IBOOT_KEY_SIDE: Duration = ms(5_000);
/// A side key that is never let go although Volume Down is held.
const NEVER_RELEASED: Duration = ms(12_000);
/// A tap is shorter, and the next key follows within this.
const TAP: Duration = ms(1_000);
const TAP_GAP: Duration = ms(2_000);
/// From the cable until iBoot has seen its key.
const PLUG_HOLD: Duration = ms(3_000);
/// A phone that is off starts after so long.
const POWER_ON: Duration = ms(2_000);

/// A key's time down; an open end is "still down".
#[derive(Clone, Copy)]
struct Span {
    from: Duration,
    to: Option<Duration>,
}

struct Timeline {
    events: Vec<KeyEvent>,
    now: Duration,
}

impl Timeline {
    fn spans(&self, key: Key) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        for event in &self.events {
            match event.action {
                Action::Press(k) if k == key && spans.last().is_none_or(|s| s.to.is_some()) => {
                    spans.push(Span { from: event.at, to: None });
                }
                Action::Release(k) if k == key => {
                    if let Some(open) = spans.last_mut().filter(|s| s.to.is_none()) {
                        open.to = Some(event.at);
                    }
                }
                _ => {}
            }
        }
        spans
    }

    fn end(&self, span: Span) -> Duration {
        span.to.unwrap_or(self.now)
    }

    fn at(&self, key: Key, time: Duration) -> Option<Span> {
        self.spans(key).into_iter().find(|s| s.from <= time && s.to.is_none_or(|to| to > time))
    }

    fn first(&self, action: Action) -> Option<Duration> {
        self.events.iter().find(|e| e.action == action).map(|e| e.at)
    }

    /// Longest time that both are down together: start and length.
    fn both(&self, a: Key, b: Key) -> Option<(Duration, Duration)> {
        let (a, b) = (self.spans(a), self.spans(b));
        let pairs = a.iter().flat_map(|x| b.iter().map(move |y| (x, y)));
        pairs
            .filter_map(|(x, y)| {
                let from = x.from.max(y.from);
                let length = self.end(*x).min(self.end(*y)).checked_sub(from)?;
                Some((from, length))
            })
            .max_by_key(|(_, length)| *length)
    }

    /// The span of the side key that follows a tap on Volume Up and one on Volume Down.
    fn side_after_taps(&self) -> Option<Span> {
        let tap = |s: &Span| s.to.is_some_and(|to| to - s.from <= TAP);
        let ups: Vec<Span> = self.spans(Key::VolumeUp).into_iter().filter(tap).collect();
        let downs: Vec<Span> = self.spans(Key::VolumeDown).into_iter().filter(tap).collect();
        let follows = |first: &Span, from: Duration| first.to.is_some_and(|to| to <= from && from - to <= TAP_GAP);
        self.spans(Key::Power).into_iter().find(|side| {
            downs.iter().any(|down| follows(down, side.from) && ups.iter().any(|up| follows(up, down.from)))
        })
    }
}

/// What came of it, as of the last event.
pub fn outcome(class: Buttons, stage: Stage, events: &[KeyEvent]) -> Outcome {
    let mut events = events.to_vec();
    events.sort_by_key(|e| e.at);
    let now = events.last().map_or(Duration::ZERO, |e| e.at);
    let time = Timeline { events, now };
    match class {
        Buttons::None | Buttons::Remote => Outcome::Nothing,
        Buttons::Home => two_keys(&time, stage, Key::Home, Key::Home),
        Buttons::VolumeDown => two_keys(&time, stage, Key::VolumeDown, Key::VolumeDown),
        Buttons::ThreeStep | Buttons::ThreeStepTop | Buttons::Unknown => three_step(&time, stage),
    }
}

/// Home with Top or Side; Volume Down with Side on the 7.
fn two_keys(time: &Timeline, stage: Stage, second: Key, boot_key: Key) -> Outcome {
    let both = time.both(Key::Power, second);
    let combination = both.filter(|(_, length)| *length >= RESET_BOTH).map(|(from, _)| from + RESET_BOTH);
    if let Some(reset) = combination.or_else(|| time.first(Action::Reset)) {
        return after_reset(time, reset, second);
    }
    if let Some(outcome) = from_off(time, stage, boot_key) {
        return outcome;
    }
    let power = longest(time, Key::Power);
    match (stage, both) {
        (Stage::Normal, Some((_, length))) if length < TAP => Outcome::Screenshot,
        (Stage::Normal, Some(_)) => Outcome::Nothing,
        (Stage::Normal, None) if power >= ms(3_000) => Outcome::PowerSlider,
        (Stage::Normal, None) if second == Key::Home && longest(time, Key::Home) >= TAP => Outcome::Siri,
        _ => Outcome::Nothing,
    }
}

fn longest(time: &Timeline, key: Key) -> Duration {
    time.spans(key).into_iter().map(|s| time.end(s) - s.from).max().unwrap_or_default()
}

fn after_reset(time: &Timeline, reset: Duration, second: Key) -> Outcome {
    let Some(held) = time.at(second, reset) else { return boots(time, reset, Key::Power, IBOOT_KEY, false) };
    let Some(power) = time.at(Key::Power, reset) else { return boots(time, reset, second, IBOOT_KEY, true) };
    match power.to {
        Some(let_go) if let_go <= reset + ROM_WINDOW => rom(time, held, let_go),
        None if time.now <= reset + ROM_WINDOW => Outcome::Black,
        _ => boots(time, reset, second, IBOOT_KEY, true),
    }
}

/// SecureROM saw both keys, then the power key went up at `let_go`.
fn rom(time: &Timeline, second: Span, let_go: Duration) -> Outcome {
    let end = time.end(second);
    match second.to {
        Some(to) if to <= let_go + TOGETHER => Outcome::Restart,
        _ if end >= let_go + ROM_HOLD => Outcome::Dfu,
        // Let go too soon: dark and off. Or not yet long enough: dark for now.
        _ => Outcome::Black,
    }
}

/// iBoot starts; `key` still down at `reset + after` means recovery.
fn boots(time: &Timeline, reset: Duration, key: Key, after: Duration, counts: bool) -> Outcome {
    let seen = reset + after;
    match time.at(key, reset) {
        Some(span) if counts && time.end(span) >= seen => Outcome::Recovery,
        Some(span) if counts && span.to.is_none() => Outcome::Black,
        _ => Outcome::Restart,
    }
}

/// A phone that is off starts when a cable or the power key starts it.
fn from_off(time: &Timeline, stage: Stage, boot_key: Key) -> Option<Outcome> {
    if stage != Stage::Away {
        return None;
    }
    if let Some(plug) = time.first(Action::Plug) {
        return Some(match time.at(boot_key, plug) {
            Some(span) if time.end(span) >= plug + PLUG_HOLD => Outcome::Recovery,
            Some(span) if span.to.is_none() => Outcome::Black,
            _ => Outcome::Restart,
        });
    }
    Some(if longest(time, Key::Power) >= POWER_ON { Outcome::Restart } else { Outcome::Nothing })
}

/// Everything since the 8 and the X, and iPads without Home.
fn three_step(time: &Timeline, stage: Stage) -> Outcome {
    let both = time.both(Key::Power, Key::VolumeDown);
    let side = time.side_after_taps();
    let ios = stage == Stage::Normal;
    // Without iOS, Side and Volume Down work as on the 7.
    if !ios
        && side.is_none()
        && let Some((from, length)) = both
        && length >= RESET_BOTH
    {
        return after_reset(time, from + RESET_BOTH, Key::VolumeDown);
    }
    if let Some(reset) = time.first(Action::Reset) {
        return after_side_reset(time, reset);
    }
    if let Some(side) = side {
        let reset = side.from + RESET_SIDE;
        let early = |key| time.spans(key).iter().any(|s| s.from > side.from && s.from + TOGETHER < reset.min(time.now));
        if ios && (early(Key::VolumeDown) || early(Key::VolumeUp)) {
            return Outcome::Sos;
        }
        if time.end(side) >= reset {
            return after_side_reset(time, reset);
        }
        return Outcome::Nothing;
    }
    if let Some(outcome) = from_off(time, stage, Key::Power) {
        return outcome;
    }
    if !ios {
        return Outcome::Nothing;
    }
    let with_volume = [Key::VolumeUp, Key::VolumeDown].into_iter().filter_map(|v| time.both(Key::Power, v));
    match with_volume.map(|(_, length)| length).max() {
        Some(length) if length >= ms(2_000) => Outcome::Sos,
        Some(_) => Outcome::Screenshot,
        None if longest(time, Key::Power) >= TAP => Outcome::Siri,
        None => Outcome::Nothing,
    }
}

fn after_side_reset(time: &Timeline, reset: Duration) -> Outcome {
    let Some(side) = time.at(Key::Power, reset) else { return Outcome::Restart };
    let added = time
        .spans(Key::VolumeDown)
        .into_iter()
        .find(|s| s.from <= reset + ADD_VOLUME && s.to.is_none_or(|to| to > reset + TOGETHER));
    let Some(volume) = added else {
        return match (side.to, time.end(side) >= reset + IBOOT_KEY_SIDE) {
            (_, true) => Outcome::Recovery,
            (None, false) => Outcome::Black,
            (Some(_), false) => Outcome::Restart,
        };
    };
    let (soonest, latest) = (reset + ROM_WINDOW_SIDE.0, reset + ROM_WINDOW_SIDE.1);
    match side.to {
        Some(let_go) if let_go < soonest => Outcome::Restart,
        Some(let_go) if let_go <= latest => rom(time, volume, let_go),
        Some(let_go) if let_go < reset + NEVER_RELEASED => Outcome::Restart,
        None if time.now < reset + NEVER_RELEASED => Outcome::Black,
        _ => Outcome::Recovery,
    }
}

/// Does to the phone what these keys do, with the delays of a real one.
pub fn apply(phone: &Arc<Phone>, events: &[KeyEvent]) -> Outcome {
    let outcome = outcome(phone.model.buttons, phone.stage(), events);
    carry_out(phone, outcome);
    outcome
}

fn carry_out(phone: &Arc<Phone>, outcome: Outcome) {
    phone.remember("keys.outcome", json!({ "outcome": outcome }));
    match outcome {
        Outcome::Dfu => phone.reenumerate(Stage::Dfu, ms(500)),
        Outcome::Recovery => phone.reenumerate(Stage::Recovery, ms(1_000)),
        Outcome::Black => phone.enter(Stage::Away),
        Outcome::Restart => {
            let auto = phone.state().nvram.get("auto-boot").is_none_or(|v| v == "true");
            match auto {
                true => phone.reenumerate(Stage::Normal, ms(20_000)),
                false => phone.reenumerate(Stage::Recovery, ms(5_000)),
            }
        }
        Outcome::Nothing | Outcome::Siri | Outcome::PowerSlider | Outcome::Sos | Outcome::Screenshot => {}
    }
}

struct Live {
    events: Vec<KeyEvent>,
    started: Instant,
    /// The stage when the first key went down.
    stage: Stage,
    down: Vec<Key>,
    last: Outcome,
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
        let mut guard = lock(&self.live);
        let idle = guard.as_ref().is_none_or(|l| l.down.is_empty() && self.is_over(l));
        if idle {
            while lock(&self.changes).try_recv().is_ok() {}
            let stage = self.phone.stage();
            *guard = Some(Live {
                events: Vec::new(),
                started: Instant::now(),
                stage,
                down: Vec::new(),
                last: Outcome::Nothing,
            });
            let weak = Arc::downgrade(self);
            let tick = self.phone.scaled(TICK).max(Duration::from_millis(1));
            std::thread::spawn(move || watch(&weak, tick));
        }
        if let Some(live) = guard.as_mut()
            && !live.down.contains(&key)
        {
            live.down.push(key);
            self.note(live, Action::Press(key));
        }
    }

    pub fn release(&self, key: Key) {
        if let Some(live) = lock(&self.live).as_mut() {
            live.down.retain(|k| *k != key);
            self.note(live, Action::Release(key));
        }
    }

    fn since(&self, live: &Live) -> Duration {
        let second = self.phone.scaled(Duration::from_secs(1)).as_secs_f64();
        live.started.elapsed().div_f64(second.max(1e-9))
    }

    fn note(&self, live: &mut Live, action: Action) {
        let at = self.since(live);
        live.events.push(KeyEvent { at, action });
        self.look(live);
    }

    /// All keys have been up for longer than any sequence pauses.
    fn is_over(&self, live: &Live) -> bool {
        live.events.last().is_none_or(|last| self.since(live) > last.at + TAP_GAP)
    }

    fn look(&self, live: &mut Live) {
        while let Ok(change) = lock(&self.changes).try_recv() {
            let resets = live.events.iter().any(|e| e.action == Action::Reset);
            if change.to == Stage::Away && live.last == Outcome::Nothing && !live.down.is_empty() && !resets {
                live.events.push(KeyEvent { at: self.since(live), action: Action::Reset });
            }
        }
        let mut events = live.events.clone();
        events.push(KeyEvent { at: self.since(live), action: Action::Look });
        let now = outcome(self.phone.model.buttons, live.stage, &events);
        if now != live.last {
            live.last = now;
            carry_out(&self.phone, now);
        }
    }
}

fn watch(keys: &Weak<Keys>, tick: Duration) {
    loop {
        std::thread::sleep(tick);
        let Some(keys) = keys.upgrade() else { return };
        let mut guard = lock(&keys.live);
        let Some(live) = guard.as_mut() else { return };
        if live.down.is_empty() && keys.is_over(live) {
            return;
        }
        keys.look(live);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virt::spec::PhoneSpec;
    use Key::{Home, Power, VolumeDown, VolumeUp};

    /// `+p` presses, `-p` releases, `!` resets, `c` plugs, `?` looks; each behind its second.
    fn events(script: &str) -> Vec<KeyEvent> {
        script
            .split_whitespace()
            .map(|word| {
                let at = word.find(['+', '-', '!', 'c', '?']).unwrap();
                let seconds: f64 = word[..at].parse().unwrap();
                let key = || match &word[at + 1..] {
                    "p" => Power,
                    "h" => Home,
                    "u" => VolumeUp,
                    "d" => VolumeDown,
                    other => panic!("{other}"),
                };
                let action = match &word[at..=at] {
                    "+" => Action::Press(key()),
                    "-" => Action::Release(key()),
                    "!" => Action::Reset,
                    "c" => Action::Plug,
                    _ => Action::Look,
                };
                KeyEvent { at: Duration::from_secs_f64(seconds), action }
            })
            .collect()
    }

    #[test]
    fn keys_with_their_times_do_what_a_real_phone_does() {
        use Buttons::{Home as H, ThreeStep as U, ThreeStepTop as T, VolumeDown as V};
        use Outcome::*;
        use Stage::{Away, Normal};
        let taps = "0+u 0.3-u 0.8+d 1.1-d 1.5+p";
        let table = [
            // Home with Top or Side
            (H, Normal, "0+p 0+h 11-p 11-h", Restart),
            (H, Normal, "0+p 0+h 9-p 9.2-h", Restart),
            (H, Normal, "0+p 0+h 16-p 16-h", Recovery),
            (H, Normal, "0+p 0+h 9-p 19-h", Dfu),
            (H, Normal, "0+p 0+h 10-p 14?", Dfu),
            (H, Normal, "0+p 0+h 9-p 10?", Black),
            (H, Normal, "0+p 0+h 9-p 11-h 20?", Black),
            (H, Normal, "0+p 0+h 7-p 20-h", Nothing),
            (H, Normal, "0+p 0+h 11.5-p 25-h", Recovery),
            (H, Normal, "0+p 0+h 11.5-p 13-h", Restart),
            (H, Normal, "0+p 0+h 0.4-p 0.4-h", Screenshot),
            (H, Normal, "0+p 4-p", PowerSlider),
            (H, Normal, "0+h 2-h", Siri),
            (H, Away, "0+h 1c 6-h", Recovery),
            (H, Away, "0+h 1c 2-h 9?", Restart),
            (H, Away, "0+p 3-p", Restart),
            (H, Stage::Dfu, "0+p 0+h 11-p 11-h", Restart),
            (H, Stage::Recovery, "0+p 0+h 9-p 19-h", Dfu),
            (H, Stage::Recovery, "0+p 0+h 2! 4-p 14-h", Dfu),
            (H, Stage::Recovery, "0+p 0+h 2! 6-p 14-h", Recovery),
            // iPhone 7
            (V, Normal, "0+p 0+d 9-p 18-d", Dfu),
            (V, Normal, "0+p 0+d 11-p 11-d", Restart),
            (V, Normal, "0+p 0+d 16-p 16-d", Recovery),
            (V, Away, "0+d 1c 6-d", Recovery),
            // Volume Up, Volume Down, Side
            (U, Normal, "TAPS 12-p", Restart),
            (U, Normal, "TAPS 19-p", Recovery),
            (U, Normal, "TAPS 15?", Black),
            (U, Normal, "TAPS 9-p", Nothing),
            (U, Normal, "TAPS 12+d 17-p 26-d", Dfu),
            (U, Normal, "TAPS 12+d 17-p 18?", Black),
            (U, Normal, "TAPS 12+d 17-p 18-d 25?", Black),
            (U, Normal, "TAPS 12+d 20-p 30-d", Restart),
            (U, Normal, "TAPS 12+d 30-p 30-d", Recovery),
            (U, Normal, "TAPS 12+d 12.2-p 20-d", Restart),
            (U, Normal, "TAPS 6+d 17-p 26-d", Sos),
            (U, Normal, "0+p 5-p", Siri),
            (U, Normal, "0+p 0+d 5-p 5-d", Sos),
            (U, Normal, "0+p 0+u 0.3-p 0.3-u", Screenshot),
            (U, Normal, "0+u 0.3-u 4+d 4.3-d 4.5+p 20-p", Siri),
            (U, Away, "0+p 1c 6-p", Recovery),
            (U, Stage::Dfu, "TAPS 13-p", Restart),
            (U, Stage::Recovery, "0+p 0+d 2! 4-p 14-d", Dfu),
            (U, Stage::Recovery, "0+p 0+d 9-p 18-d", Dfu),
            (U, Stage::Recovery, "0+p 3-p", Nothing),
            (T, Normal, "TAPS 12+d 17-p 26-d", Dfu),
            (Buttons::None, Normal, "0+p 20-p", Nothing),
        ];
        for (class, stage, script, wanted) in table {
            let script = script.replace("TAPS", taps);
            assert_eq!(outcome(class, stage, &events(&script)), wanted, "{class:?} {stage:?} {script}");
        }
    }

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
