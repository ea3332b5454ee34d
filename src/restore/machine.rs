//! The restore as a machine: what is done next, and never how.
//!
//! ```text
//!            normal ─ EnterRecovery ─┐         ┌───────────────┐
//! Find ──┬── restore ─ RebootRamdisk ┴─► Find ◄┘ (any number of ways lead here)
//!        ├── DFU, ROM ─ BootIbss ─► BootIbec
//!        ├── DFU, iBSS ───────────► BootIbec
//!        └── recovery ────────────► BootIbec ─► BootRamdisk ─► Await ─► Session ─► finished
//!                                                  └── failed ─ Rescue ─► finished
//! ```
//!
//! [`Machine::step`] takes the time and one input and gives orders; it reads no clock, opens nothing and waits for
//! nothing. Whoever drives it performs the orders in their sequence and tells what became of them. So the laws of a
//! restore are properties of a value, and hold for every order of inputs that a device, a cable and a person can
//! produce:
//! - it finishes exactly once, and orders nothing afterwards;
//! - nothing is done before it is in the journal;
//! - a device with another ECID changes nothing;
//! - an update never becomes an erase;
//! - every stage ends, if only by its patience.
//!
//! Whether a wish to stop can be followed is a rule of the stage, since a device half way through a flash starts no
//! system at all.

use crate::event::Step;
use crate::fault::{Code, Fault};
use crate::ids::{Ecid, Mode};
use std::time::Duration;

/// Where it stands. Times of the driver's own clock; only differences count.
#[derive(Clone, Debug)]
pub struct Machine {
    ecid: Ecid,
    erase: bool,
    patience: Patience,
    stage: Stage,
    /// When the stage began.
    since: Duration,
    /// Somebody wants it to stop.
    stopping: bool,
    /// Ways out of a mode that were tried: an endless circle is none.
    detours: u32,
}

/// How long each stage may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until the device is seen in a mode from which it can be restored; each time anew.
    pub find: Duration,
    /// One stage of the boot chain, with its uploads.
    pub boot: Duration,
    /// From the kernel's start to restored.
    pub restored: Duration,
    /// The session as a whole; its own watch over silence is much shorter.
    pub session: Duration,
    pub rescue: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let minutes = |m: u64| Duration::from_secs(60 * m);
        Patience {
            find: minutes(2),
            boot: minutes(10),
            restored: minutes(5),
            session: minutes(240),
            rescue: minutes(2),
        }
    }
}

/// How often a device may be led from one mode to another before the chain.
const MAX_DETOURS: u32 = 3;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Find,
    Acting(Action),
    Await,
    /// Led back to a starting system, with what it will end with.
    Rescue(Option<Box<Fault>>),
    Finished,
}

/// What the driver does with the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// By command, or by a person's hands.
    EnterRecovery,
    /// Of a ramdisk that an earlier host left.
    RebootRamdisk,
    /// Ticket and iBSS over DFU.
    BootIbss,
    /// Ticket and iBEC, over DFU or by `go`, as the device shows.
    BootIbec,
    /// Everything up to `bootx`.
    BootRamdisk,
    Session {
        erase: bool,
    },
    /// `auto-boot` on again, and a restart.
    Rescue,
}

impl Action {
    /// The step of the walk that it belongs to.
    pub fn step(self) -> Step {
        match self {
            Action::EnterRecovery | Action::RebootRamdisk | Action::Rescue => Step::EnterRecovery,
            Action::BootIbss => Step::BootIbss,
            Action::BootIbec => Step::BootIbec,
            Action::BootRamdisk => Step::BootRamdisk,
            Action::Session { .. } => Step::Restore,
        }
    }

    /// What becomes of a wish to stop while it runs.
    pub fn stop(self) -> Stop {
        match self {
            Action::EnterRecovery | Action::RebootRamdisk | Action::BootIbss | Action::BootIbec => Stop::AfterThis,
            Action::BootRamdisk | Action::Rescue => Stop::AfterThis,
            Action::Session { .. } => Stop::NotNow,
        }
    }
}

/// When a wish to stop is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    AtOnce,
    AfterThis,
    /// The device would start no system until it is restored again.
    NotNow,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A device is there. `rom`: its serial string carries SecureROM's tag.
    Seen {
        ecid: Option<Ecid>,
        mode: Mode,
        rom: bool,
    },
    /// The action that was ordered last went well.
    Done,
    Failed(Fault),
    /// Nothing but time.
    Tick,
    /// A person wants to stop.
    Stop,
}

/// What is to be done, in this sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// To be on the medium before the next order.
    Journal(Action),
    Do(Action),
    /// What becomes of the wish to stop.
    Tell(Stop),
    Finish(Result<(), Fault>),
}

impl Machine {
    pub fn new(ecid: Ecid, erase: bool, patience: Patience, now: Duration) -> Self {
        Machine { ecid, erase, patience, stage: Stage::Find, since: now, stopping: false, detours: 0 }
    }

    /// When a [`Input::Tick`] is due at the latest; none once it is finished.
    pub fn wake(&self) -> Option<Duration> {
        Some(self.since + self.limit()?)
    }

    pub fn is_finished(&self) -> bool {
        self.stage == Stage::Finished
    }

    fn limit(&self) -> Option<Duration> {
        Some(match &self.stage {
            Stage::Find => self.patience.find,
            Stage::Acting(Action::Session { .. }) => self.patience.session,
            Stage::Acting(_) => self.patience.boot,
            Stage::Await => self.patience.restored,
            Stage::Rescue(_) => self.patience.rescue,
            Stage::Finished => return None,
        })
    }

    pub fn step(&mut self, now: Duration, input: Input) -> Vec<Order> {
        let late = self.wake().is_some_and(|wake| now >= wake);
        match (&self.stage, input) {
            (Stage::Finished, _) => vec![],
            (_, Input::Stop) => self.stop(),
            (_, Input::Seen { ecid, .. }) if ecid != Some(self.ecid) => self.patience_is_over(late),
            (Stage::Find, Input::Seen { mode, rom, .. }) => match self.start(now, mode, rom) {
                orders if orders.is_empty() => self.patience_is_over(late),
                orders => orders,
            },
            (Stage::Await, Input::Seen { mode: Mode::Restore, .. }) => {
                self.act(now, Action::Session { erase: self.erase })
            }
            (Stage::Await, Input::Seen { mode: mode @ (Mode::Recovery | Mode::Dfu), .. }) => {
                let text = format!("the restore system did not start: the device is back in {mode} mode");
                self.rescue(now, Some(Fault::new(Code::BootRefused, text).during(Step::AwaitRestore)))
            }
            (Stage::Acting(action), Input::Done) => self.after(now, *action),
            (Stage::Acting(action), Input::Failed(fault)) => {
                let action = *action;
                self.failed(now, action, fault)
            }
            (Stage::Rescue(_), Input::Done | Input::Failed(_)) => self.rescued(),
            _ => self.patience_is_over(late),
        }
    }

    /// The device is there: which way leads on from its mode?
    fn start(&mut self, now: Duration, mode: Mode, rom: bool) -> Vec<Order> {
        if self.stopping {
            // It was led into recovery for a restore that nobody wants any more.
            return match mode {
                Mode::Recovery if self.detours > 0 => self.rescue(now, None),
                _ => self.finish(Err(Fault::cancelled())),
            };
        }
        let action = match mode {
            Mode::Normal => Action::EnterRecovery,
            Mode::Restore => Action::RebootRamdisk,
            Mode::Dfu if rom => Action::BootIbss,
            Mode::Dfu | Mode::Recovery => Action::BootIbec,
            Mode::Wtf | Mode::PortDfu | Mode::Kis | Mode::Unknown => return vec![],
        };
        if matches!(action, Action::EnterRecovery | Action::RebootRamdisk) {
            self.detours += 1;
            if self.detours > MAX_DETOURS {
                let text = format!("the device came back in {mode} mode {MAX_DETOURS} times");
                return self.finish(Err(Fault::new(Code::CameBackElsewhere, text).during(Step::EnterRecovery)));
            }
        }
        self.act(now, action)
    }

    /// An action went well.
    fn after(&mut self, now: Duration, action: Action) -> Vec<Order> {
        match action {
            Action::EnterRecovery | Action::RebootRamdisk => {
                self.enter(now, Stage::Find);
                vec![]
            }
            Action::Session { .. } => self.finish(Ok(())),
            // From here on the kernel runs: what it does cannot be taken back by a command.
            Action::BootRamdisk => {
                self.enter(now, Stage::Await);
                vec![]
            }
            Action::BootIbss | Action::BootIbec if self.stopping => self.rescue(now, None),
            Action::BootIbss => self.act(now, Action::BootIbec),
            Action::BootIbec => self.act(now, Action::BootRamdisk),
            Action::Rescue => self.rescued(),
        }
    }

    fn failed(&mut self, now: Duration, action: Action, fault: Fault) -> Vec<Order> {
        match action {
            // `auto-boot` may be off by now.
            Action::BootRamdisk => self.rescue(now, Some(fault.during(action.step()))),
            _ => self.finish(Err(fault.during(action.step()))),
        }
    }

    fn patience_is_over(&mut self, late: bool) -> Vec<Order> {
        if !late {
            return vec![];
        }
        let limit = self.limit().unwrap_or_default().as_secs();
        let (code, step, what) = match &self.stage {
            Stage::Find if self.detours == 0 => (Code::NoSuchDevice, Step::Find, "the device was not seen".to_owned()),
            Stage::Find => (Code::NeverCameBack, Step::EnterRecovery, "the device did not come back".to_owned()),
            Stage::Await => (Code::NeverCameBack, Step::AwaitRestore, "restored did not answer".to_owned()),
            Stage::Acting(action) => (Code::LinkSilent, action.step(), format!("{action:?} did not end")),
            Stage::Rescue(_) => return self.rescued(),
            Stage::Finished => return vec![],
        };
        let fault = Fault::new(code, format!("{what} within {limit} s")).during(step);
        self.finish(Err(if self.stopping && code != Code::LinkSilent { Fault::cancelled() } else { fault }))
    }

    fn stop(&mut self) -> Vec<Order> {
        let rule = match &self.stage {
            Stage::Find if self.detours == 0 => Stop::AtOnce,
            Stage::Find => Stop::AfterThis,
            Stage::Acting(action) => action.stop(),
            Stage::Await => Stop::NotNow,
            Stage::Rescue(_) => Stop::AfterThis,
            Stage::Finished => return vec![],
        };
        if rule == Stop::NotNow {
            return vec![Order::Tell(rule)];
        }
        self.stopping = true;
        let mut orders = vec![Order::Tell(rule)];
        if rule == Stop::AtOnce {
            orders.extend(self.finish(Err(Fault::cancelled())));
        }
        orders
    }

    fn rescue(&mut self, now: Duration, cause: Option<Fault>) -> Vec<Order> {
        self.enter(now, Stage::Rescue(cause.map(Box::new)));
        vec![Order::Journal(Action::Rescue), Order::Do(Action::Rescue)]
    }

    fn rescued(&mut self) -> Vec<Order> {
        let cause = match std::mem::replace(&mut self.stage, Stage::Finished) {
            Stage::Rescue(Some(cause)) => *cause,
            _ => Fault::cancelled(),
        };
        vec![Order::Finish(Err(cause))]
    }

    fn act(&mut self, now: Duration, action: Action) -> Vec<Order> {
        self.enter(now, Stage::Acting(action));
        vec![Order::Journal(action), Order::Do(action)]
    }

    fn enter(&mut self, now: Duration, stage: Stage) {
        self.stage = stage;
        self.since = now;
    }

    fn finish(&mut self, result: Result<(), Fault>) -> Vec<Order> {
        self.stage = Stage::Finished;
        vec![Order::Finish(result)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OURS: Ecid = Ecid(0x0126_D0E8_1100_0001);
    const THEIRS: Ecid = Ecid(0x0126_D0E8_1100_0002);

    fn machine(erase: bool) -> Machine {
        Machine::new(OURS, erase, Patience::default(), Duration::ZERO)
    }

    fn seen(mode: Mode, rom: bool) -> Input {
        Input::Seen { ecid: Some(OURS), mode, rom }
    }

    /// The actions of a walk on which everything goes well, with the device in these modes one after the other.
    fn walk(erase: bool, modes: &[(Mode, bool)]) -> (Vec<Action>, Option<Result<(), Fault>>) {
        let mut machine = machine(erase);
        let (mut actions, mut end) = (vec![], None);
        let mut inputs: Vec<Input> = modes.iter().rev().map(|(mode, rom)| seen(*mode, *rom)).collect();
        let mut next = inputs.pop();
        while let Some(input) = next {
            let orders = machine.step(Duration::from_secs(1), input);
            let acts = orders.iter().any(|order| matches!(order, Order::Do(_)));
            for order in orders {
                match order {
                    Order::Do(action) => actions.push(action),
                    Order::Finish(result) => end = Some(result),
                    Order::Journal(_) | Order::Tell(_) => {}
                }
            }
            next = if acts { Some(Input::Done) } else { inputs.pop() };
        }
        (actions, end)
    }

    #[test]
    fn each_start_leads_to_the_session() {
        use Action::*;
        let session = Session { erase: true };
        let chain = [BootIbec, BootRamdisk, session];
        let with = |first: &[Action]| [first, &chain].concat();
        let (up, restore) = ((Mode::Recovery, false), (Mode::Restore, false));
        for (modes, actions) in [
            (vec![(Mode::Normal, false), up, restore], with(&[EnterRecovery])),
            (vec![up, restore], with(&[])),
            (vec![(Mode::Dfu, true), restore], with(&[BootIbss])),
            (vec![(Mode::Dfu, false), restore], with(&[])),
            (vec![restore, up, restore], with(&[RebootRamdisk])),
            (vec![(Mode::Wtf, false), (Mode::Unknown, false), up, restore], with(&[])),
        ] {
            assert_eq!(walk(true, &modes), (actions, Some(Ok(()))), "{modes:?}");
        }
        assert_eq!(walk(false, &[up, restore]).0.last(), Some(&Session { erase: false }));
    }

    #[test]
    fn what_fails_after_auto_boot_is_off_is_led_out_again() {
        let mut m = machine(true);
        let at = Duration::from_secs(1);
        m.step(at, seen(Mode::Recovery, false));
        m.step(at, Input::Done);
        let refused = Fault::new(Code::BootRefused, "no");
        let orders = m.step(at, Input::Failed(refused.clone()));
        assert_eq!(orders, [Order::Journal(Action::Rescue), Order::Do(Action::Rescue)]);
        let Some(Order::Finish(Err(fault))) = m.step(at, Input::Failed(Fault::cancelled())).pop() else { panic!() };
        assert_eq!(fault, refused.during(Step::BootRamdisk), "the first cause is told, not the rescue's");
    }

    #[test]
    fn a_wish_to_stop_is_followed_where_it_can_be() {
        let at = Duration::from_secs(1);
        let mut m = machine(true);
        assert_eq!(m.step(at, Input::Stop), [Order::Tell(Stop::AtOnce), Order::Finish(Err(Fault::cancelled()))]);

        let mut m = machine(true);
        m.step(at, seen(Mode::Normal, false));
        assert_eq!(m.step(at, Input::Stop), [Order::Tell(Stop::AfterThis)]);
        m.step(at, Input::Done);
        let orders = m.step(at, seen(Mode::Recovery, false));
        assert_eq!(orders.last(), Some(&Order::Do(Action::Rescue)), "it must not be left in recovery");
        assert_eq!(m.step(at, Input::Done), [Order::Finish(Err(Fault::cancelled()))]);

        let mut m = machine(true);
        for input in [seen(Mode::Recovery, false), Input::Done, Input::Done, seen(Mode::Restore, false)] {
            m.step(at, input);
        }
        assert_eq!(m.step(at, Input::Stop), [Order::Tell(Stop::NotNow)]);
        assert_eq!(m.step(at, Input::Done), [Order::Finish(Ok(()))]);
    }

    #[test]
    fn a_device_that_runs_in_a_circle_is_given_up() {
        let mut m = machine(true);
        let at = Duration::from_secs(1);
        let mut last = vec![];
        for _ in 0..=MAX_DETOURS {
            last = m.step(at, seen(Mode::Normal, false));
            m.step(at, Input::Done);
        }
        assert!(matches!(&last[..], [Order::Finish(Err(fault))] if fault.code == Code::CameBackElsewhere), "{last:?}");
    }

    fn any_input() -> impl Strategy<Value = (u64, Input)> {
        let mode = prop::sample::select(vec![
            Mode::Normal,
            Mode::Recovery,
            Mode::Dfu,
            Mode::Restore,
            Mode::Wtf,
            Mode::Unknown,
        ]);
        let who = prop::sample::select(vec![Some(OURS), Some(OURS), Some(OURS), Some(THEIRS), None]);
        let seen = (who, mode, any::<bool>()).prop_map(|(ecid, mode, rom)| Input::Seen { ecid, mode, rom });
        let failed = Input::Failed(Fault::new(Code::LinkLost, "cut"));
        let input = prop_oneof![
            6 => seen, 6 => Just(Input::Done), 1 => Just(failed), 2 => Just(Input::Tick), 1 => Just(Input::Stop)
        ];
        (0u64..400, input)
    }

    proptest! {
        #[test]
        fn the_laws_hold_whatever_happens(erase: bool, inputs in prop::collection::vec(any_input(), 0..60)) {
            let mut machine = machine(erase);
            let (mut now, mut finished) = (Duration::ZERO, 0);
            let quiet = (0..40).map(|_| (4 * 3600, Input::Tick));
            for (pause, input) in inputs.into_iter().chain(quiet) {
                now += Duration::from_secs(pause);
                let stranger = matches!(&input, Input::Seen { ecid, .. } if *ecid != Some(OURS));
                let before = machine.clone();
                let late = before.wake().is_some_and(|wake| now >= wake);
                let orders = machine.step(now, input);
                prop_assert!(finished == 0 || orders.is_empty(), "orders after the end: {:?}", orders);
                if stranger && !late {
                    prop_assert!(orders.is_empty() && before.stage == machine.stage, "a stranger was heard");
                }
                for (at, order) in orders.iter().enumerate() {
                    match order {
                        Order::Do(action) => {
                            let noted = at.checked_sub(1).and_then(|before| orders.get(before));
                            prop_assert_eq!(noted, Some(&Order::Journal(*action)), "done before it was noted");
                            prop_assert!(erase || *action != Action::Session { erase: true }, "an update erases");
                        }
                        Order::Finish(_) => finished += 1,
                        Order::Journal(_) | Order::Tell(_) => {}
                    }
                }
            }
            prop_assert_eq!(finished, 1, "forty long waits, and it is not over: {:?}", machine);
            prop_assert!(machine.is_finished() && machine.wake().is_none());
        }
    }
}
