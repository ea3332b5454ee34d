//! Which keys to press, and whether it worked.
//!
//! Nobody can see a key being pressed: only what USB shows is a fact. So the coach is built around the
//! bus. [`recipe`] has the button sequences as data, by the layout of a model's keys and by what is wanted;
//! [`Coach`] is a pure machine that counts down, announces the next step a second ahead, moves on when the
//! device leaves the bus (that is the moment at which the screen goes black), accepts success only by mode
//! *and* identity, names a miss and changes the next try; [`run`] gives it a bus and a clock. Where a trusted
//! device or iBoot can be told by command, no keys are needed, and in the assisted way into DFU this tool
//! makes the reset itself, which takes the guessing out of the one moment that people miss most.
//!
//! [`outline`] draws the device with the keys to press, for a terminal and for paper. Words are `say`'s.

mod coach;
mod keys;
mod miss;
pub mod outline;
mod paper;
mod recipe;
mod run;
#[cfg(test)]
mod tests;
mod view;
pub mod words;

pub use coach::{Coach, Ending, Input, Order, Sighting, Subject};
pub use keys::{Key, Layout, Look};
pub use miss::{Miss, Next};
pub use paper::svg;
pub use recipe::{Aim, Deed, Proof, Recipe, Start, Step, Until, recipe};
pub use run::{Live, Nudge, prepare, run};
pub use view::{View, What};
