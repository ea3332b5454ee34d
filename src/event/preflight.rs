//! What was looked at before a restore touches anything.

use crate::fault::Fault;
use serde::{Deserialize, Serialize};

/// What was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// usbmuxd answers.
    Usbmuxd,
    Battery,
    /// Room here for the firmware.
    FirmwareRoom,
    /// Room here for the backup.
    BackupRoom,
    /// Room on the device for an update that keeps its data.
    DeviceRoom,
    /// The firmware has what this board needs.
    Identity,
    /// Apple signs it today.
    Signed,
    /// The hosts that the device itself reaches through this computer.
    DeviceHosts,
}

impl Check {
    pub const ALL: &'static [Check] = &[
        Check::Usbmuxd,
        Check::Battery,
        Check::FirmwareRoom,
        Check::BackupRoom,
        Check::DeviceRoom,
        Check::Identity,
        Check::Signed,
        Check::DeviceHosts,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// There is no such thing here; only `doctor` says so.
    NotApplicable,
    Good,
    /// It could not be looked at, which stands in nobody's way.
    Unknown,
    /// It may go wrong.
    Warning,
    /// It would go wrong: nothing is begun.
    Blocking,
}

/// One look; the shape is frozen in `tests/schema/v1/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub check: Check,
    pub verdict: Verdict,
    /// What was seen, in English.
    pub detail: String,
    /// Why it blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

impl Finding {
    pub fn good(check: Check, detail: impl Into<String>) -> Self {
        Finding { check, verdict: Verdict::Good, detail: detail.into(), fault: None }
    }

    pub fn unknown(check: Check, detail: impl Into<String>) -> Self {
        Finding { check, verdict: Verdict::Unknown, detail: detail.into(), fault: None }
    }

    pub fn warning(check: Check, detail: impl Into<String>) -> Self {
        Finding { check, verdict: Verdict::Warning, detail: detail.into(), fault: None }
    }

    pub fn blocking(check: Check, fault: Fault) -> Self {
        Finding { check, verdict: Verdict::Blocking, detail: fault.detail.clone(), fault: Some(fault) }
    }
}

/// What a person has to have at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    Cable,
    Internet,
    /// To be typed on the device.
    Passcode,
    TapTrust,
    /// To hold keys: the device takes no command from this computer.
    Hands,
    /// Where backups of the device are encrypted.
    BackupPassword,
    /// Where Find My is on, to activate the erased device.
    AppleAccount,
}

impl Need {
    pub const ALL: &'static [Need] = &[
        Need::Cable,
        Need::Internet,
        Need::Passcode,
        Need::TapTrust,
        Need::Hands,
        Need::BackupPassword,
        Need::AppleAccount,
    ];
}
