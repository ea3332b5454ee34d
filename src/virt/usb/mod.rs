//! To be furnished.

use serde::{Deserialize, Serialize};

/// What this server can be told to do wrong.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {}
