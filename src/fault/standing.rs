//! Where a restore stood when it failed, as fields and not only as a sentence.
//!
//! A technician wants the place (operation, percentage, checkpoint), the device's own words, and what is in
//! front of him now. All of it is for scripts too, so nothing is left out: what is unknown is null.

use crate::ids::Mode;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Of the last ProgressMsg, counted as today's systems count.
    pub operation: Option<u64>,
    pub operation_name: Option<String>,
    pub percent: Option<u8>,
    /// The checkpoint that failed, else the last one.
    pub checkpoint: Option<u16>,
    /// As the device names it.
    pub checkpoint_name: Option<String>,
    /// The device's own texts, outermost first; what it tolerated is not among them.
    pub errors: Vec<String>,
    /// The number that the device ended with (AMRError, else Status); none when the link ended it.
    pub status: Option<i64>,
    pub device_state: DeviceState,
    /// Where it was seen after the failure; none when nobody looked.
    pub mode: Option<SeenIn>,
}

/// What the failure has left of the device's system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceState {
    /// This attempt has changed nothing: its system and its data are as they were before it.
    Untouched,
    /// Its data is there, its system is not whole.
    HalfUpdated,
    /// Its data is gone, and its system is not whole.
    HalfErased,
    /// The link was too short to tell.
    #[default]
    Unknown,
}

impl DeviceState {
    pub const ALL: &'static [DeviceState] =
        &[DeviceState::Untouched, DeviceState::HalfUpdated, DeviceState::HalfErased, DeviceState::Unknown];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeenIn {
    Normal,
    Recovery,
    Dfu,
    Restore,
    /// On the bus in a mode that leads nowhere by itself.
    Other,
    /// On no bus.
    Gone,
}

impl SeenIn {
    pub const ALL: &'static [SeenIn] =
        &[SeenIn::Normal, SeenIn::Recovery, SeenIn::Dfu, SeenIn::Restore, SeenIn::Other, SeenIn::Gone];

    /// The mode that was seen; none is a device that is on no bus.
    pub fn of(mode: Option<Mode>) -> Self {
        match mode {
            Some(Mode::Normal) => SeenIn::Normal,
            Some(Mode::Recovery) => SeenIn::Recovery,
            Some(Mode::Dfu) => SeenIn::Dfu,
            Some(Mode::Restore) => SeenIn::Restore,
            Some(Mode::Wtf | Mode::PortDfu | Mode::Kis | Mode::Unknown) => SeenIn::Other,
            None => SeenIn::Gone,
        }
    }
}
