//! The restore as a machine: what is done next, and never how.
//!
//! ```text
//! Find ─┬─ normal ── (KeepData) ─ EnterRecovery (refused: ByHand) ─► Find
//!       ├─ restore ─ RebootRamdisk ───────────────────► Find
//!       ├─ DFU, ROM ─ BootIbss ─┐
//!       ├─ DFU, iBSS ───────────┴► BootIbec
//!       └─ recovery ─────────────► BootIbec ─► BootRamdisk ─► Await ─► Session ─► finished
//!                                      └─ failed before the kernel ─ (Rescue) ─► finished
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
//! system at all. A device that was running and was led into recovery by command is led back when its restore ends
//! before the kernel runs: nothing on it has changed, and `auto-boot` is off. One that was found in recovery, or brought
//! there by hands, stays there: its system may not start, and the hands are not asked twice.

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
    /// Somebody can press keys.
    hands: bool,
    /// It ran, and left its system at our command.
    led: bool,
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
            rescue: minutes(4),
        }
    }
}

/// How often a device may be led from one mode to another before the chain.
pub(super) const MAX_DETOURS: u32 = 3;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Find,
    Acting(Action),
    Await,
    /// Led back to a starting system, with what it will end with.
    Rescue(Box<Fault>),
    Finished,
}

/// What the driver does with the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Of an update: the device makes a stashbag, so that its new system can open its data.
    KeepData,
    /// By command.
    EnterRecovery,
    /// By a person's hands, where the device takes no command.
    ByHand,
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
    /// The steps that a restore may have been in.
    pub const STEPS: [Step; 6] =
        [Step::EnterRecovery, Step::BootIbss, Step::BootIbec, Step::BootRamdisk, Step::Restore, Step::LeaveRecovery];

    /// The step of the walk that it belongs to.
    pub fn step(self) -> Step {
        match self {
            Action::KeepData => Step::Stashbag,
            Action::EnterRecovery | Action::ByHand | Action::RebootRamdisk => Step::EnterRecovery,
            Action::Rescue => Step::LeaveRecovery,
            Action::BootIbss => Step::BootIbss,
            Action::BootIbec => Step::BootIbec,
            Action::BootRamdisk => Step::BootRamdisk,
            Action::Session { .. } => Step::Restore,
        }
    }

    /// What becomes of a wish to stop while it runs.
    pub fn stop(self) -> Stop {
        match self {
            Action::Session { .. } => Stop::NotNow,
            _ => Stop::AfterThis,
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
    /// `hands`: somebody can press keys.
    pub fn new(ecid: Ecid, erase: bool, hands: bool, patience: Patience) -> Self {
        let (stage, since) = (Stage::Find, Duration::ZERO);
        Machine { ecid, erase, patience, stage, since, stopping: false, detours: 0, hands, led: false }
    }

    /// What is being done; none while a device is waited for.
    pub fn action(&self) -> Option<Action> {
        match &self.stage {
            Stage::Acting(action) => Some(*action),
            Stage::Rescue(_) => Some(Action::Rescue),
            Stage::Find | Stage::Await | Stage::Finished => None,
        }
    }

    /// The modes that it waits to see the device in.
    pub fn awaited(&self) -> &'static [Mode] {
        use Mode::{Dfu, Kis, Normal, PortDfu, Recovery, Restore, Wtf};
        match &self.stage {
            Stage::Find => &[Normal, Recovery, Dfu, Restore, Wtf, PortDfu, Kis],
            Stage::Await => &[Restore, Recovery, Dfu],
            _ => &[],
        }
    }

    /// When a [`Input::Tick`] is due at the latest; none once it is finished.
    pub fn wake(&self) -> Option<Duration> {
        Some(self.since + self.limit()?)
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
                self.give_up(now, Fault::new(Code::BootRefused, text).during(Step::AwaitRestore))
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
                Mode::Recovery => self.give_up(now, Fault::cancelled()),
                _ => self.finish(Err(Fault::cancelled())),
            };
        }
        let action = match mode {
            Mode::Normal if !self.erase => Action::KeepData,
            Mode::Normal => Action::EnterRecovery,
            Mode::Restore => Action::RebootRamdisk,
            Mode::Dfu if rom => Action::BootIbss,
            Mode::Dfu | Mode::Recovery => Action::BootIbec,
            Mode::Unknown => return vec![],
            Mode::Wtf | Mode::PortDfu | Mode::Kis => {
                let text = format!("this version restores nothing from {mode} mode");
                return self.finish(Err(Fault::new(Code::WrongMode, text).during(Step::Find)));
            }
        };
        if matches!(action, Action::KeepData | Action::EnterRecovery | Action::RebootRamdisk) {
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
            Action::EnterRecovery | Action::ByHand | Action::RebootRamdisk => {
                self.led |= action == Action::EnterRecovery;
                self.enter(now, Stage::Find);
                vec![]
            }
            Action::KeepData if self.stopping => self.finish(Err(Fault::cancelled())),
            Action::KeepData => self.act(now, Action::EnterRecovery),
            Action::Session { .. } => self.finish(Ok(())),
            // From here on the kernel runs: what it does cannot be taken back by a command.
            Action::BootRamdisk => {
                self.enter(now, Stage::Await);
                vec![]
            }
            Action::BootIbss | Action::BootIbec if self.stopping => self.give_up(now, Fault::cancelled()),
            Action::BootIbss => self.act(now, Action::BootIbec),
            Action::BootIbec => self.act(now, Action::BootRamdisk),
            Action::Rescue => self.rescued(),
        }
    }

    fn failed(&mut self, now: Duration, action: Action, fault: Fault) -> Vec<Order> {
        let fault = fault.during(action.step());
        match action {
            Action::EnterRecovery if self.hands && !self.stopping && by_hand_helps(fault.code) => {
                self.act(now, Action::ByHand)
            }
            Action::BootIbss | Action::BootIbec | Action::BootRamdisk => self.give_up(now, fault),
            _ => self.finish(Err(fault)),
        }
    }

    /// It ends before the kernel of the restore system did anything.
    fn give_up(&mut self, now: Duration, fault: Fault) -> Vec<Order> {
        if self.led { self.rescue(now, fault) } else { self.finish(Err(fault)) }
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

    fn rescue(&mut self, now: Duration, cause: Fault) -> Vec<Order> {
        self.enter(now, Stage::Rescue(Box::new(cause)));
        vec![Order::Journal(Action::Rescue), Order::Do(Action::Rescue)]
    }

    fn rescued(&mut self) -> Vec<Order> {
        let cause = match std::mem::replace(&mut self.stage, Stage::Finished) {
            Stage::Rescue(cause) => *cause,
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

/// Refusals of lockdown, which keys do not ask.
fn by_hand_helps(code: Code) -> bool {
    use Code::{DeviceLocked, LockdownRefused, NotTrusted, PairingStale, TrustDenied, TrustPending};
    matches!(code, DeviceLocked | LockdownRefused | NotTrusted | PairingStale | TrustDenied | TrustPending)
}
