//! When it did not work: what USB showed, what that means, and what the next try does about it.

use super::recipe::{Aim, Start};
use crate::ids::Mode;

/// What went wrong, as far as the bus can show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Miss {
    /// The device never left the bus: the keys were not down together, or not long enough, or the taps
    /// came too late and Siri answered.
    NeverReset,
    /// DFU wanted, the system started: the power key was held too long, or the second key let go.
    WentTooFar,
    /// Recovery wanted, the system started: let go at the logo.
    LetGoEarly,
    /// DFU or a restart wanted, recovery came: the power key was never let go, or held through the logo.
    ReachedRecovery,
    /// Recovery or a restart wanted, DFU came: only the second key was still held.
    ReachedDfu,
    /// Left the bus and nothing came: off, or let go too soon.
    Dark,
    /// Power off wanted, and it came back.
    CameBack,
    /// Power off wanted, and it never left: not slid, or cancelled.
    StillOn,
    /// Out of recovery wanted, and recovery came again: its system does not start.
    Loop,
    /// This tool's reset was not taken.
    NoReset,
    /// In a mode that no keys lead to (Port DFU, WTF).
    Elsewhere(Mode),
}

impl Miss {
    pub fn as_str(self) -> &'static str {
        match self {
            Miss::NeverReset => "never-reset",
            Miss::WentTooFar => "went-too-far",
            Miss::LetGoEarly => "let-go-early",
            Miss::ReachedRecovery => "reached-recovery",
            Miss::ReachedDfu => "reached-dfu",
            Miss::Dark => "dark",
            Miss::CameBack => "came-back",
            Miss::StillOn => "still-on",
            Miss::Loop => "loop",
            Miss::NoReset => "no-reset",
            Miss::Elsewhere(_) => "elsewhere",
        }
    }
}

/// What the next try does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The same again.
    Again,
    /// The same with the phase of both keys changed by so many seconds.
    Shift(i8),
    /// First wake it: hold the power key until the logo, then the same.
    Wake,
    /// From recovery, with this tool's reset.
    Assisted,
    /// By hand, from whatever it runs.
    ByHand,
    /// No try helps.
    Stop,
}

/// What a return in this mode means while something else was wanted. None: it is what was wanted, or a
/// mode that says nothing yet.
pub fn of_return(aim: Aim, mode: Mode) -> Option<Miss> {
    Some(match (aim, mode) {
        (Aim::Dfu, Mode::Dfu) | (Aim::Recovery, Mode::Recovery) => return None,
        (Aim::Restart | Aim::Exit, Mode::Normal | Mode::Restore) => return None,
        (Aim::Off, Mode::Normal | Mode::Restore | Mode::Recovery) => Miss::CameBack,
        (Aim::Dfu, Mode::Normal | Mode::Restore) => Miss::WentTooFar,
        (Aim::Recovery, Mode::Normal | Mode::Restore) => Miss::LetGoEarly,
        (Aim::Exit, Mode::Recovery) => Miss::Loop,
        (Aim::Dfu | Aim::Restart, Mode::Recovery) => Miss::ReachedRecovery,
        (Aim::Recovery | Aim::Restart | Aim::Exit | Aim::Off, Mode::Dfu) => Miss::ReachedDfu,
        (_, other) => Miss::Elsewhere(other),
    })
}

/// The next try after `miss`. `can_reset`: the device's ECID is known, so that this tool may reset it.
pub fn next(miss: Miss, aim: Aim, start: Start, can_reset: bool) -> Next {
    match miss {
        Miss::WentTooFar if start == Start::Assisted => Next::ByHand,
        Miss::WentTooFar => Next::Shift(-1),
        Miss::ReachedRecovery if aim == Aim::Dfu && can_reset => Next::Assisted,
        Miss::NoReset => Next::ByHand,
        Miss::Dark => Next::Wake,
        Miss::Loop | Miss::Elsewhere(_) => Next::Stop,
        _ => Next::Again,
    }
}
