//! To be furnished.

use serde::{Deserialize, Serialize};

/// What Apple's servers on loopback can be told to do.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knobs {}
