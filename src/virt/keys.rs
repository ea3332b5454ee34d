//! Key presses as a person writes them: `up:1 down:1 side:10 side+down:5 down:8`.
//!
//! Each word is a set of keys and how many seconds it is held; keys that the next word names again stay
//! down in between. At the end everything is let go.

use super::usb::buttons::{Action, Key, KeyEvent};
use std::time::Duration;

/// A key by any of its names.
pub fn key(word: &str) -> Result<Key, String> {
    Ok(match word {
        "side" | "top" | "power" => Key::Power,
        "home" => Key::Home,
        "up" | "volume-up" | "near" | "volume-near" => Key::VolumeUp,
        "down" | "volume-down" | "far" | "volume-far" | "remote-down" => Key::VolumeDown,
        "menu" => Key::Menu,
        "play" => Key::Play,
        other => {
            return Err(format!("{other:?} is no key; there are side, top, home, up, down, near, far, menu, play"));
        }
    })
}

/// The presses as events on a time line.
pub fn parse(script: &str) -> Result<Vec<KeyEvent>, String> {
    let mut events = Vec::new();
    let mut at = Duration::ZERO;
    let mut down: Vec<Key> = Vec::new();
    for word in script.split_whitespace() {
        let (names, seconds) = word.split_once(':').ok_or_else(|| format!("{word:?} is not keys:seconds"))?;
        let seconds: f64 = seconds.parse().map_err(|_| format!("{seconds:?} is no number of seconds"))?;
        if !(0.0..=120.0).contains(&seconds) {
            return Err(format!("{seconds} s is not between 0 and 120"));
        }
        let wanted: Vec<Key> = names.split('+').map(key).collect::<Result<_, _>>()?;
        events
            .extend(down.iter().filter(|k| !wanted.contains(k)).map(|k| KeyEvent { at, action: Action::Release(*k) }));
        events.extend(wanted.iter().filter(|k| !down.contains(k)).map(|k| KeyEvent { at, action: Action::Press(*k) }));
        down = wanted;
        at += Duration::from_secs_f64(seconds);
    }
    events.extend(down.iter().map(|k| KeyEvent { at, action: Action::Release(*k) }));
    // Some time later: what the phone has become by then.
    events.push(KeyEvent { at: at + Duration::from_secs(20), action: Action::Look });
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_named_again_stay_down() {
        let events = parse("side:10 side+down:5 down:8").unwrap();
        let at = |s| Duration::from_secs(s);
        assert_eq!(
            events,
            [
                KeyEvent { at: at(0), action: Action::Press(Key::Power) },
                KeyEvent { at: at(10), action: Action::Press(Key::VolumeDown) },
                KeyEvent { at: at(15), action: Action::Release(Key::Power) },
                KeyEvent { at: at(23), action: Action::Release(Key::VolumeDown) },
                KeyEvent { at: at(43), action: Action::Look },
            ]
        );
        for bad in ["side", "foot:1", "side:x", "side:999"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
