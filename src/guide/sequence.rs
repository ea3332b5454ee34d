//! The recipes.

use crate::facts::models::Buttons;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Home,
    /// Side or Top: the key that switches the device on.
    Power,
    VolumeUp,
    VolumeDown,
    /// iPads without Home: the volume key next to the top button.
    VolumeNear,
    VolumeFar,
}

impl Key {
    /// The word of `bench press` and of JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Key::Home => "home",
            Key::Power => "power",
            Key::VolumeUp => "volume-up",
            Key::VolumeDown => "volume-down",
            Key::VolumeNear => "volume-near",
            Key::VolumeFar => "volume-far",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Tap,
    /// Down for the step's seconds; keys of the step before that are named again stay down.
    Hold,
    /// Down until USB shows the goal, at most the step's seconds.
    HoldUntil,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Press {
    pub act: Act,
    pub keys: Vec<Key>,
    pub seconds: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    Restart,
    Recovery,
    Dfu,
}

fn press(act: Act, keys: &[Key], seconds: u32) -> Press {
    Press { act, keys: keys.to_vec(), seconds }
}

/// The steps for one layout, cable in. None: the layout has no keys or is not known.
pub fn sequence(buttons: Buttons, goal: Goal) -> Option<Vec<Press>> {
    use Act::{Hold, HoldUntil, Tap};
    use Key::{Home, Power, VolumeDown, VolumeFar, VolumeNear, VolumeUp};
    let (second, taps): (Key, &[Key]) = match buttons {
        Buttons::Home => (Home, &[]),
        Buttons::VolumeDown => (VolumeDown, &[]),
        Buttons::ThreeStep => (VolumeDown, &[VolumeUp, VolumeDown]),
        Buttons::ThreeStepTop => (VolumeFar, &[VolumeNear, VolumeFar]),
        Buttons::Remote | Buttons::None | Buttons::Unknown => return None,
    };
    let mut steps: Vec<Press> = taps.iter().map(|key| press(Tap, &[*key], 1)).collect();
    let three_step = !taps.is_empty();
    match goal {
        Goal::Restart if three_step => steps.push(press(Hold, &[Power], 12)),
        Goal::Restart => steps.push(press(Hold, &[Power, second], 11)),
        Goal::Recovery if three_step => steps.push(press(HoldUntil, &[Power], 25)),
        Goal::Recovery => steps.push(press(HoldUntil, &[Power, second], 25)),
        Goal::Dfu if three_step => {
            steps.extend([press(Hold, &[Power], 10), press(Hold, &[Power, second], 5), press(HoldUntil, &[second], 12)])
        }
        Goal::Dfu => steps.extend([press(Hold, &[Power, second], 9), press(HoldUntil, &[second], 13)]),
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::models;

    #[test]
    fn every_model_with_keys_has_its_three_recipes() {
        for model in models::all() {
            for goal in [Goal::Restart, Goal::Recovery, Goal::Dfu] {
                let steps = sequence(model.buttons, goal);
                let has_keys = !matches!(model.buttons, Buttons::Remote | Buttons::None | Buttons::Unknown);
                assert_eq!(steps.is_some(), has_keys, "{} {goal:?}", model.name);
                for step in steps.into_iter().flatten() {
                    assert!(!step.keys.is_empty() && step.seconds > 0 && step.seconds <= 25, "{}", model.name);
                }
            }
        }
    }

    #[test]
    fn dfu_ends_with_the_second_key_alone() {
        let steps = sequence(Buttons::ThreeStep, Goal::Dfu).unwrap();
        let acts: Vec<_> = steps.iter().map(|s| (s.act, s.keys.len(), s.seconds)).collect();
        use Act::{Hold, HoldUntil, Tap};
        assert_eq!(acts, [(Tap, 1, 1), (Tap, 1, 1), (Hold, 1, 10), (Hold, 2, 5), (HoldUntil, 1, 12)]);
        assert_eq!(steps.last().unwrap().keys, [Key::VolumeDown]);
    }
}
