//! Which keys to press: sequences as data.
//!
//! A sequence is steps with seconds, by the layout of a model's keys (see [`Buttons`]); the texts are made
//! in `say`. Nobody can see a key being pressed: only what USB shows counts as success, and that is the
//! caller's to watch. Times are those of the field's recipes; the coach that adapts them comes later.

mod sequence;

pub use sequence::{Act, Goal, Key, Press, sequence};
