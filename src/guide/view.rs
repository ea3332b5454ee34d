//! What the coach shows at a moment: data, for any kind of screen.

use super::keys::Key;
use super::recipe::{Aim, Deed, Start, Until};

#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// From 1.
    pub attempt: u32,
    /// Steps in this way.
    pub of: usize,
    pub aim: Aim,
    pub start: Start,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// For the person to be ready; `wake`: the power key brings it back first.
    Waiting {
        wake: bool,
        first: Vec<Key>,
    },
    /// Fingers on the keys of the first step, none down yet.
    Ready {
        left: u32,
        first: Vec<Key>,
    },
    Step {
        /// From 0.
        index: usize,
        /// To let go of now.
        let_go: Vec<Key>,
        /// Down now; empty: nothing to press.
        keys: Vec<Key>,
        until: Until,
        deed: Deed,
        /// Whole seconds that are left of a counted step.
        left: Option<u32>,
        /// The keys of the next step, shown in the last second.
        soon: Option<Vec<Key>>,
    },
    Over,
}
