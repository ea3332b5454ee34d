//! What a bench is made of, as TOML: phones with their trust, lock, data and faults.
//!
//! ```toml
//! [[phone]]
//! model = "iphone13"
//! name = "Anna's iPhone"
//! trust = "untrusted"
//! passcode = "locked"
//! [phone.faults.restore]
//! amr_error = 53
//! ```

use crate::ids::{BuildId, Ecid, Version};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BenchSpec {
    #[serde(rename = "phone")]
    pub phones: Vec<PhoneSpec>,
    pub apple: super::apple::Knobs,
    /// Seconds of a real phone that pass in one second of the bench; 1 is real time. Re-enumeration,
    /// boot and button times are divided by it.
    pub pace: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrustSpec {
    /// Never seen this host: the first Pair opens the dialog and the virtual person taps Trust after a moment.
    #[default]
    Untrusted,
    /// The host has a pair record already.
    Trusted,
    /// The dialog opens and stays open.
    Pending,
    /// The person taps Don't Trust.
    Denied,
    /// The host has a record that the phone no longer knows.
    Stale,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PasscodeSpec {
    /// No passcode set.
    #[default]
    None,
    /// Passcode set, screen unlocked now.
    Unlocked,
    /// Passcode set, locked now; unlocked once since boot.
    Locked,
    /// Not unlocked since boot: no session, no data.
    BeforeFirstUnlock,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModeSpec {
    #[default]
    Normal,
    Recovery,
    Dfu,
    Off,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PhoneSpec {
    /// Anything [`crate::facts::models::by_nickname`] takes.
    pub model: String,
    /// Empty: named after its family.
    pub name: String,
    pub mode: ModeSpec,
    pub trust: TrustSpec,
    pub passcode: PasscodeSpec,
    /// None: made from the model and the place on the bench.
    pub ecid: Option<Ecid>,
    pub version: Option<Version>,
    pub build: Option<BuildId>,
    /// Activation Lock and Find My.
    pub find_my: bool,
    /// An organisation manages it.
    pub supervised: bool,
    /// Number and size of the person's files.
    pub photos: u32,
    pub photo_bytes: u64,
    /// Extra files of 4 KiB, for load.
    pub small_files: u32,
    /// Names of the reports that it wrote when something crashed.
    pub crash_reports: Vec<String>,
    /// Backup encryption password set on the phone.
    pub backup_password: Option<String>,
    /// Iterations of the two derivations of its keybag; none: those of real phones, divided by the pace.
    pub backup_iterations: Option<(u32, u32)>,
    /// A profile (MDM) demands encrypted backups.
    pub requires_encryption: bool,
    pub faults: Faults,
}

impl Default for PhoneSpec {
    fn default() -> Self {
        PhoneSpec {
            model: "iphone13".into(),
            name: String::new(),
            mode: ModeSpec::Normal,
            trust: TrustSpec::Untrusted,
            passcode: PasscodeSpec::None,
            ecid: None,
            version: None,
            build: None,
            find_my: false,
            supervised: false,
            photos: 24,
            photo_bytes: 700_000,
            small_files: 0,
            crash_reports: Vec::new(),
            backup_password: None,
            backup_iterations: None,
            requires_encryption: false,
            faults: Faults::default(),
        }
    }
}

/// What goes wrong, by the server that makes it go wrong.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    pub mux: super::mux::Faults,
    pub backup: super::backup::Faults,
    pub usb: super::usb::Faults,
    pub restore: super::restore::Faults,
}
