//! To be furnished.

use serde::{Deserialize, Serialize};

/// What this server can be told to do wrong.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {}

/// What the phone holds.
pub struct PhoneFiles {}

impl PhoneFiles {
    pub fn new(_spec: &super::spec::PhoneSpec, _ecid: crate::ids::Ecid) -> Self {
        Self {}
    }
}
