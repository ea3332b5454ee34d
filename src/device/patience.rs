//! How long a device that does not answer may hold up a look at all of them.
//!
//! A look is as slow as the slowest device, and with many phones on the bench every wait of every row looks. So the
//! first silence costs all of the patience, and for some time after it only a little: a phone whose lockdownd hangs
//! must not slow its neighbours down for as long as it lies there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// For a device that nothing is known against.
const WHOLE: Duration = Duration::from_secs(8);
/// For one that was silent lately; more than a device that answers at all takes.
const SHORT: Duration = Duration::from_secs(1);
/// A phone that starts is silent too, and talks in the end: then it is given the whole patience again.
const LATELY: Duration = Duration::from_secs(30);

/// Who was silent, by usbmuxd's number (new at each attach), and when; shared by all who look.
#[derive(Clone, Default)]
pub(super) struct Silent(Arc<Mutex<HashMap<u32, Instant>>>);

impl Silent {
    pub fn patience(&self, device: u32, now: Instant) -> Duration {
        let since = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&device).copied();
        match since {
            Some(since) if now.saturating_duration_since(since) < LATELY => SHORT,
            _ => WHOLE,
        }
    }

    /// A short silence does not make the time longer that it is held against the device.
    pub fn note(&self, device: u32, now: Instant, answered: bool) {
        let mut silent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        silent.retain(|_, since| now.saturating_duration_since(*since) < LATELY);
        match answered {
            true => drop(silent.remove(&device)),
            false => drop(silent.entry(device).or_insert(now)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_costs_all_of_the_patience_once_in_a_while() {
        let (silent, start) = (Silent::default(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(silent.patience(1, start), WHOLE);
        silent.note(1, at(8), false);
        assert_eq!((silent.patience(1, at(9)), silent.patience(2, at(9))), (SHORT, WHOLE), "its own, nobody else's");
        silent.note(1, at(20), false);
        assert_eq!((silent.patience(1, at(37)), silent.patience(1, at(38))), (SHORT, WHOLE), "from the first silence");
        silent.note(1, at(46), false);
        assert_eq!(silent.patience(1, at(47)), SHORT);
        silent.note(1, at(47), true);
        assert_eq!(silent.patience(1, at(48)), WHOLE, "it talks");
    }
}
