//! What can be typed after `explain`.

use crate::fault::known::Space;
use clap::{Args, ValueEnum};

#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// A number, a name or a whole message: 4013, -69, 0xE8000013, "MB 207", AMRError 14, STATUS=94,
    /// PasswordProtected, usb-no-access; without one all codes are listed
    #[arg(allow_negative_numbers = true)]
    pub code: Vec<String>,
    /// Only what the code means there
    #[arg(long = "in", value_enum, value_name = "SPACE")]
    pub within: Option<CodeSpace>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CodeSpace {
    /// iTunes, Finder, Apple Devices
    Itunes,
    /// The device during a restore: AMRError, Status
    Restored,
    /// Apple's signing server
    Tss,
    /// The device at a backup: MBErrorDomain
    Backup,
    /// The device about trust
    Lockdown,
    /// iTunes' library: 0xE80000xx
    Mobiledevice,
    /// Known sentences
    Message,
    /// Herstel's own codes
    Herstel,
}

impl From<CodeSpace> for Space {
    fn from(space: CodeSpace) -> Space {
        match space {
            CodeSpace::Itunes => Space::ITunes,
            CodeSpace::Restored => Space::Restored,
            CodeSpace::Tss => Space::Tss,
            CodeSpace::Backup => Space::Backup,
            CodeSpace::Lockdown => Space::Lockdown,
            CodeSpace::Mobiledevice => Space::MobileDevice,
            CodeSpace::Message => Space::Message,
            CodeSpace::Herstel => Space::Herstel,
        }
    }
}
