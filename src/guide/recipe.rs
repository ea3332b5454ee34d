//! The sequences, as data.
//!
//! Seconds are those within which all guides work: 8 to 10 for the reset of a two-key device, about 10 for
//! Side alone, 5 with both, 8 to 10 more for the second key. The reset itself is not timed where USB can
//! show it: [`Until::Black`] ends when the device leaves the bus. Apple TV's are hearsay (two blogs), so
//! they are marked as not sure.

use super::keys::{Key, Layout};
use crate::facts::models::Buttons;
use crate::ids::Mode;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aim {
    /// Force restart; it takes no data.
    Restart,
    Off,
    Recovery,
    Dfu,
    /// Out of recovery or DFU by hand.
    Exit,
}

impl Aim {
    pub const ALL: [Aim; 5] = [Aim::Restart, Aim::Off, Aim::Recovery, Aim::Dfu, Aim::Exit];

    pub fn as_str(self) -> &'static str {
        match self {
            Aim::Restart => "restart",
            Aim::Off => "off",
            Aim::Recovery => "recovery",
            Aim::Dfu => "dfu",
            Aim::Exit => "exit",
        }
    }
}

/// What the device is doing when the first key goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Start {
    /// A system runs, or hangs; or recovery or DFU without help from this tool.
    On,
    Off,
    /// In recovery, and this tool makes the reset while the keys are held.
    Assisted,
}

impl Start {
    pub fn as_str(self) -> &'static str {
        match self {
            Start::On => "on",
            Start::Off => "off",
            Start::Assisted => "assisted",
        }
    }
}

/// How long the keys of a step stay down. All in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Until {
    /// Down and up again, within a second.
    Tap,
    For(f32),
    /// Until the screen goes black, which USB shows as the device leaving; `blind` where it was not on the bus.
    Black {
        nominal: f32,
        blind: f32,
        limit: f32,
    },
    /// Until the device is on no bus, with the cable out or the power off.
    Gone {
        limit: f32,
    },
    /// Until USB shows what is wanted.
    Proof {
        limit: f32,
    },
}

/// What else happens at the beginning of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    None,
    /// The person pulls the cable (and the device is off).
    CableOut,
    /// The person plugs it in, keys held.
    CableIn,
    /// The person slides the power slider.
    Slide,
    /// This tool resets the device.
    Reset,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Down during the step; all others are up.
    pub keys: Vec<Key>,
    pub until: Until,
    pub deed: Deed,
}

/// What has to be seen on USB before it counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    Shows(Mode),
    /// It left and came back with its system running.
    Restarted,
    /// It left and stays away.
    StaysGone,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    pub aim: Aim,
    pub start: Start,
    pub layout: Layout,
    pub steps: Vec<Step>,
    pub proof: Proof,
    /// False where sources are few or do not agree.
    pub sure: bool,
}

fn step(keys: &[Key], until: Until) -> Step {
    Step { keys: keys.to_vec(), until, deed: Deed::None }
}

fn with(deed: Deed, mut step: Step) -> Step {
    step.deed = deed;
    step
}

/// A system takes so long to start at most, logo and bar included.
const BOOT: Until = Until::Proof { limit: 180.0 };
/// The cable picture comes within this of the first press; 15 to 20 s are normal.
const PICTURE: Until = Until::Proof { limit: 40.0 };
/// The second key alone.
const ROM: Until = Until::For(13.0);
/// All keys up: what did it become? A system that started instead takes 20 s to show on USB.
const VERDICT: Until = Until::Proof { limit: 22.0 };
const RESET: Until = Until::Black { nominal: 10.0, blind: 12.0, limit: 20.0 };

/// The steps for one layout. None: there is no such way on this device (no keys; not known; off is not
/// reached from off).
pub fn recipe(layout: Layout, aim: Aim, start: Start) -> Option<Recipe> {
    let steps = match layout.buttons {
        Buttons::None | Buttons::Unknown => return None,
        Buttons::Remote => remote(layout, aim, start)?,
        _ => hand(layout, aim, start)?,
    };
    let proof = match aim {
        Aim::Restart | Aim::Exit => Proof::Restarted,
        Aim::Off => Proof::StaysGone,
        Aim::Recovery => Proof::Shows(Mode::Recovery),
        Aim::Dfu => Proof::Shows(Mode::Dfu),
    };
    Some(Recipe { aim, start, layout, steps, proof, sure: layout.buttons != Buttons::Remote })
}

fn hand(layout: Layout, aim: Aim, start: Start) -> Option<Vec<Step>> {
    let (power, second) = (Key::Power, layout.second()?);
    let both = [power, second];
    let taps = layout.taps();
    let mut steps: Vec<Step> = taps.iter().flatten().map(|key| step(&[*key], Until::Tap)).collect();
    // What resets the chip: the power key alone after the taps, or both.
    let reset: &[Key] = if taps.is_some() { &[power] } else { &both };
    match (aim, start) {
        (Aim::Restart | Aim::Exit, Start::On) => steps.extend([step(reset, RESET), step(&[], BOOT)]),
        (Aim::Off, Start::On) => {
            let keys: &[Key] = match taps {
                Some([first, _]) => &[power, first],
                None => &[power],
            };
            let hold = if taps.is_some() { 3.0 } else { 3.5 };
            steps = vec![step(keys, Until::For(hold)), with(Deed::Slide, step(&[], Until::Proof { limit: 40.0 }))];
        }
        (Aim::Recovery, Start::On) => steps.push(step(reset, PICTURE)),
        (Aim::Recovery, Start::Off) => {
            // Home or Volume Down where they exist; Side or Top since the 8.
            let key = if taps.is_some() { power } else { second };
            steps = vec![
                with(Deed::CableOut, step(&[], Until::Gone { limit: 60.0 })),
                with(Deed::CableIn, step(&[key], PICTURE)),
            ];
        }
        (Aim::Dfu, Start::On) if taps.is_some() => {
            steps.extend([
                step(&[power], RESET),
                step(&both, Until::For(5.0)),
                step(&[second], ROM),
                step(&[], VERDICT),
            ]);
        }
        (Aim::Dfu, Start::On) => {
            let reset = Until::Black { nominal: 8.0, blind: 8.0, limit: 16.0 };
            steps.extend([step(&both, reset), step(&both, Until::For(1.0)), step(&[second], ROM), step(&[], VERDICT)]);
        }
        (Aim::Dfu, Start::Assisted) => {
            steps = vec![
                step(&both, Until::For(2.0)),
                with(Deed::Reset, step(&both, Until::For(2.0))),
                step(&[second], ROM),
                step(&[], VERDICT),
            ];
        }
        (Aim::Restart | Aim::Exit | Aim::Dfu, Start::Off) => return None,
        (Aim::Off, Start::Off) => return None,
        (Aim::Restart | Aim::Exit | Aim::Off | Aim::Recovery, Start::Assisted) => return None,
    }
    Some(steps)
}

fn remote(layout: Layout, aim: Aim, start: Start) -> Option<Vec<Step>> {
    let second = if layout.remote_home { Key::Home } else { Key::RemoteDown };
    let reset = step(&[Key::Menu, second], Until::Black { nominal: 6.0, blind: 7.0, limit: 14.0 });
    match (aim, start) {
        (Aim::Restart | Aim::Exit, Start::On) => Some(vec![reset, step(&[], BOOT)]),
        (Aim::Dfu, Start::On) => Some(vec![reset, step(&[Key::Menu, Key::Play], ROM), step(&[], VERDICT)]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::models;

    #[test]
    fn every_model_with_keys_has_its_recipes() {
        let mut counted = 0;
        for model in models::all() {
            let layout = Layout::of(model);
            for aim in Aim::ALL {
                let found = recipe(layout, aim, Start::On);
                let wanted = match model.buttons {
                    Buttons::None | Buttons::Unknown => false,
                    Buttons::Remote => matches!(aim, Aim::Restart | Aim::Exit | Aim::Dfu),
                    _ => true,
                };
                assert_eq!(found.is_some(), wanted, "{} {aim:?}", model.name);
                for step in found.into_iter().flat_map(|r| r.steps) {
                    counted += 1;
                    assert!(!step.keys.is_empty() || matches!(step.until, Until::Proof { .. }), "{}", model.name);
                }
            }
            let hands = !matches!(model.buttons, Buttons::None | Buttons::Unknown | Buttons::Remote);
            assert_eq!(recipe(layout, Aim::Recovery, Start::Off).is_some(), hands, "{}", model.name);
            assert_eq!(recipe(layout, Aim::Dfu, Start::Assisted).is_some(), hands, "{}", model.name);
        }
        assert!(counted > 1000, "{counted}");
    }

    #[test]
    fn three_steps_since_the_8_and_two_before() {
        let keys = |name: &str| {
            let layout = Layout::of(models::by_nickname(name).unwrap());
            let steps = recipe(layout, Aim::Dfu, Start::On).unwrap().steps;
            let words = |step: &Step| step.keys.iter().map(|k| layout.word(*k)).collect::<Vec<_>>().join("+");
            steps.iter().filter(|s| !s.keys.is_empty()).map(words).collect::<Vec<_>>()
        };
        assert_eq!(keys("iphone13"), ["volume-up", "volume-down", "side", "side+volume-down", "volume-down"]);
        assert_eq!(keys("iPhone14,6"), keys("iphone13"));
        assert_eq!(keys("iPad16,3"), ["volume-near", "volume-far", "top", "top+volume-far", "volume-far"]);
        assert_eq!(keys("iPhone9,1"), ["side+volume-down", "side+volume-down", "volume-down"]);
        assert_eq!(keys("iPod9,1"), ["top+volume-down", "top+volume-down", "volume-down"]);
        assert_eq!(keys("iPad12,1"), ["top+home", "top+home", "home"]);
        assert_eq!(keys("AppleTV5,3"), ["menu+home", "menu+play"]);
    }
}
