//! Asking for trust, as a policy: what was heard goes in, what to do comes out. No clock and no IO.
//!
//! A person stands between the question and the answer, so most refusals are no end but a state that lasts:
//! the dialog is open, the device is locked, its data lines are closed. Each is told once when it begins, and
//! the question is put again until the limit. Three answers are final, for asking again would pester or
//! change nothing: Don't Trust, a profile that forbids it, and pairing over Wi-Fi. A link that breaks off is
//! no answer: usbmuxd may be restarting, the device may re-enumerate after it was unlocked; it gets a few
//! seconds to come back.

use super::{LockdownError, MuxError};
use crate::event::{Event, Hurdle, Request};
use crate::fault::{Code, Fault};
use std::time::Duration;

const AGAIN: Duration = Duration::from_millis(500);
/// How long a device that was there may be away: a replug or a restart of usbmuxd takes 2 to 5 s.
const AWAY: Duration = Duration::from_secs(10);
/// Links that break off in a row while the device stays listed.
const BREAKS: u32 = 3;

/// What one attempt came to, short of success.
#[derive(Debug)]
pub(super) enum Heard {
    /// lockdown's word, over a cable or not.
    Refused { word: String, usb: bool },
    /// The record of this host opens no session any more.
    Stale,
    /// usbmuxd answers and does not list the device.
    Absent,
    /// usbmuxd is away.
    MuxAway(Fault),
    /// The link broke off on the way.
    Broken(Fault),
    /// Nothing that more asking would change.
    Fatal(Fault),
}

impl From<MuxError> for Heard {
    fn from(err: MuxError) -> Self {
        match err {
            MuxError::BadDevice => Heard::Absent,
            MuxError::Unreachable { .. } | MuxError::Lost(_) | MuxError::Silent => Heard::MuxAway(err.into()),
            MuxError::Refused(_) => Heard::Broken(err.into()),
            MuxError::Wire(_) | MuxError::Record(_) | MuxError::Number(_) => Heard::Fatal(err.into()),
        }
    }
}

impl Heard {
    pub fn of(err: LockdownError, usb: bool) -> Self {
        match err {
            LockdownError::Mux(err) => err.into(),
            LockdownError::Refused(word) => Heard::Refused { word, usb },
            LockdownError::Link(_) => Heard::Broken(err.into()),
            LockdownError::Silent | LockdownError::Wire(_) | LockdownError::Tls(_) => Heard::Fatal(err.into()),
        }
    }
}

#[derive(Debug)]
pub(super) enum Order {
    AskAgain(Duration),
    GiveUp(Fault),
}

/// One pairing, from the first question to the end.
#[derive(Debug)]
pub(super) struct Asking {
    patience: Duration,
    hurdle: Option<Hurdle>,
    /// It was on usbmuxd once.
    met: bool,
    away_since: Option<Duration>,
    breaks: u32,
    last: Option<Fault>,
}

/// What a person does about a hurdle.
fn request(hurdle: Hurdle) -> Option<Request> {
    match hurdle {
        Hurdle::Pending => Some(Request::TapTrust),
        Hurdle::Locked | Hurdle::Restricted => Some(Request::UnlockDevice),
        Hurdle::Denied | Hurdle::Stale | Hurdle::Forbidden => None,
    }
}

impl Asking {
    pub fn new(patience: Duration) -> Self {
        Asking { patience, hurdle: None, met: false, away_since: None, breaks: 0, last: None }
    }

    /// Takes in what was heard `now` after the beginning; gives what to tell and what to do.
    pub fn step(&mut self, now: Duration, heard: Heard) -> (Vec<Event>, Order) {
        match heard {
            Heard::Absent => {
                (self.breaks, self.last) = (0, None);
                if !self.met {
                    return self.wait(now, Some(Hurdle::Restricted));
                }
                let since = *self.away_since.get_or_insert(now);
                if now.saturating_sub(since) >= AWAY {
                    return (self.turn(None), Order::GiveUp(gone()));
                }
                self.wait(now, self.hurdle)
            }
            Heard::MuxAway(fault) => {
                // The clock of the device's absence starts when somebody could see it again.
                self.away_since = None;
                self.last = Some(fault);
                self.wait(now, self.hurdle)
            }
            Heard::Broken(fault) => {
                self.met = true;
                self.breaks += 1;
                if self.breaks >= BREAKS {
                    return (self.turn(None), Order::GiveUp(fault));
                }
                self.last = Some(fault);
                self.wait(now, self.hurdle)
            }
            Heard::Fatal(fault) => (self.turn(None), Order::GiveUp(fault)),
            Heard::Stale => {
                self.answered();
                self.wait(now, Some(Hurdle::Stale))
            }
            Heard::Refused { word, usb } => {
                self.answered();
                let fault = refusal(&word, usb);
                match fault.code {
                    Code::TrustPending => self.wait(now, Some(Hurdle::Pending)),
                    Code::DeviceLocked => self.wait(now, Some(Hurdle::Locked)),
                    Code::TrustDenied => (self.turn(Some(Hurdle::Denied)), Order::GiveUp(fault)),
                    Code::PairingForbidden => (self.turn(Some(Hurdle::Forbidden)), Order::GiveUp(fault)),
                    _ => (self.turn(None), Order::GiveUp(fault)),
                }
            }
        }
    }

    /// The device said yes; what is left to tell.
    pub fn won(&mut self) -> Vec<Event> {
        self.turn(None)
    }

    fn answered(&mut self) {
        (self.met, self.breaks, self.away_since, self.last) = (true, 0, None, None);
    }

    fn wait(&mut self, now: Duration, hurdle: Option<Hurdle>) -> (Vec<Event>, Order) {
        let events = self.turn(hurdle);
        let left = self.patience.saturating_sub(now);
        // After a stale record nothing keeps the question back.
        let pause = if hurdle == Some(Hurdle::Stale) { Duration::ZERO } else { AGAIN };
        let order = if left.is_zero() && !pause.is_zero() {
            Order::GiveUp(self.over())
        } else {
            Order::AskAgain(pause.min(left))
        };
        (events, order)
    }

    /// What is told when `hurdle` begins and the one before it ends.
    fn turn(&mut self, hurdle: Option<Hurdle>) -> Vec<Event> {
        if self.hurdle == hurdle {
            return Vec::new();
        }
        let before = std::mem::replace(&mut self.hurdle, hurdle);
        let mut events = Vec::new();
        if let Some(request) = before.and_then(request) {
            events.push(Event::Answered { request });
        }
        if let Some(hurdle) = hurdle {
            events.push(Event::Trust { hurdle });
            events.extend(request(hurdle).map(|request| Event::Ask { request }));
        }
        events
    }

    /// Why the time is up.
    fn over(&mut self) -> Fault {
        let within = format!("within {} s", self.patience.as_secs());
        if self.away_since.is_some() {
            return gone();
        }
        if let Some(fault) = self.last.take() {
            return fault;
        }
        match self.hurdle {
            Some(Hurdle::Locked) => Fault::new(Code::DeviceLocked, format!("not unlocked {within}")),
            Some(Hurdle::Restricted) => {
                Fault::new(Code::UsbRestricted, format!("usbmuxd did not list the device {within}"))
            }
            _ => Fault::new(Code::TrustPending, format!("no answer {within}")),
        }
    }
}

fn gone() -> Fault {
    Fault::new(Code::UsbGone, "unplugged while it was asked for trust: usbmuxd no longer lists it")
}

/// The fault of a word that Pair or StartSession was refused with.
fn refusal(word: &str, usb: bool) -> Fault {
    // The word is documented by its name only. Over Wi-Fi it says what it means; that a profile causes it over
    // a cable is a guess.
    if word == "PairingProhibitedOverThisConnection" {
        let code = if usb { Code::PairingForbidden } else { Code::PairingNeedsCable };
        return Fault::new(code, format!("lockdown says {word}"));
    }
    LockdownError::Refused(word.to_owned()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn word(word: &str) -> Heard {
        Heard::Refused { word: word.to_owned(), usb: true }
    }

    fn mux_away() -> Heard {
        Heard::MuxAway(Fault::new(Code::MuxUnreachable, "away"))
    }

    fn broken() -> Heard {
        Heard::Broken(Fault::new(Code::LinkLost, "cut"))
    }

    fn code(order: &Order) -> Option<Code> {
        match order {
            Order::AskAgain(_) => None,
            Order::GiveUp(fault) => Some(fault.code),
        }
    }

    /// The words of what was told, e.g. `trust locked, ask unlock-device`.
    fn told(events: &[Event]) -> String {
        let one = |event: &Event| {
            let json = serde_json::to_value(event).unwrap();
            let of = json.get("hurdle").or(json.get("request")).unwrap();
            format!("{} {}", json["event"].as_str().unwrap(), of.as_str().unwrap())
        };
        events.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn each_state_is_told_once_and_ends_when_the_next_begins() {
        let mut asking = Asking::new(s(60));
        let walk = [
            (Heard::Absent, "trust restricted, ask unlock-device"),
            (Heard::Absent, ""),
            (word("PasswordProtected"), "answered unlock-device, trust locked, ask unlock-device"),
            (word("PasswordProtected"), ""),
            (Heard::Stale, "answered unlock-device, trust stale"),
            (word("PairingDialogResponsePending"), "trust pending, ask tap-trust"),
            (mux_away(), ""),
            (Heard::Absent, ""),
            (broken(), ""),
            (word("PairingDialogResponsePending"), ""),
        ];
        for (at, (heard, expected)) in walk.into_iter().enumerate() {
            let (events, order) = asking.step(s(at as u64), heard);
            assert_eq!((told(&events).as_str(), code(&order)), (expected, None), "step {at}");
        }
        assert_eq!(told(&asking.won()), "answered tap-trust");
    }

    #[test]
    fn the_deadline_names_what_it_waited_for() {
        for (heard, expected) in [
            (word("PairingDialogResponsePending"), Code::TrustPending),
            (word("PasswordProtected"), Code::DeviceLocked),
            (Heard::Absent, Code::UsbRestricted),
            (mux_away(), Code::MuxUnreachable),
            (broken(), Code::LinkLost),
        ] {
            let (_, order) = Asking::new(s(5)).step(s(5), heard);
            assert_eq!(code(&order), Some(expected));
        }
        let mut asking = Asking::new(s(5));
        let Order::AskAgain(pause) = asking.step(Duration::from_millis(4900), word("PasswordProtected")).1 else {
            panic!("it gave up early")
        };
        assert_eq!(pause, Duration::from_millis(100), "never past the deadline");
        // With no time left, a stale record still gets its one question.
        assert_eq!(code(&Asking::new(s(0)).step(s(0), Heard::Stale).1), None);
    }

    #[test]
    fn final_answers_end_at_once() {
        for (answer, usb, expected) in [
            ("UserDeniedPairing", true, Code::TrustDenied),
            ("MCProtected", true, Code::PairingForbidden),
            ("MCChallengeRequired", true, Code::PairingForbidden),
            ("PairingProhibitedOverThisConnection", true, Code::PairingForbidden),
            ("PairingProhibitedOverThisConnection", false, Code::PairingNeedsCable),
            ("SavePairRecordFailed", true, Code::LockdownRefused),
            ("NobodyKnowsThisWord", true, Code::LockdownRefused),
        ] {
            let (events, order) = Asking::new(s(60)).step(s(1), Heard::Refused { word: answer.into(), usb });
            assert_eq!(code(&order), Some(expected), "{answer}");
            assert!(!events.iter().any(|e| matches!(e, Event::Ask { .. })), "{answer}");
        }
    }

    #[test]
    fn a_device_that_was_there_may_be_away_for_seconds_only() {
        let mut asking = Asking::new(s(600));
        asking.step(s(1), word("PairingDialogResponsePending"));
        assert_eq!(code(&asking.step(s(2), Heard::Absent).1), None);
        assert_eq!(code(&asking.step(s(11), Heard::Absent).1), None);
        // While usbmuxd itself is away nobody can tell.
        assert_eq!(code(&asking.step(s(13), mux_away()).1), None);
        assert_eq!(code(&asking.step(s(100), mux_away()).1), None);
        assert_eq!(code(&asking.step(s(101), Heard::Absent).1), None);
        let (events, order) = asking.step(s(111), Heard::Absent);
        assert_eq!((told(&events).as_str(), code(&order)), ("answered tap-trust", Some(Code::UsbGone)));
    }

    #[test]
    fn links_that_only_break_off_end_it_and_an_answer_between_them_does_not() {
        let mut asking = Asking::new(s(60));
        for heard in [broken(), broken(), word("PasswordProtected"), broken(), broken()] {
            assert_eq!(code(&asking.step(s(1), heard).1), None);
        }
        assert_eq!(code(&asking.step(s(2), broken()).1), Some(Code::LinkLost));
    }
}
