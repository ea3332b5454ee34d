//! Which way out, and what is lost.
//!
//! Advice turned into software. [`clues`] reads what a device tells, [`Answers`] joins it with what a person says, and
//! [`stand`] walks the tree with it: to the next question, or to the one plan ([`WayOut`](crate::event::WayOut)) that
//! `plans` describes. [`prospect`] is the part that every erase needs: can a backup be made first? All of it is pure;
//! whoever asks and prints is `cli`.

pub mod answers;
mod chance;
mod evidence;
pub mod plans;
pub mod tree;

pub use answers::{Answers, BadAnswer, Conflict, Reading, Source, answer};
pub use chance::{Evidence, Prospect, backup_chance, is_open_without_passcode, prospect};
pub use evidence::{Clues, clues};
pub use plans::{Cost, Data, Verb};
pub use tree::{Stand, stand, walk};

use crate::fault::Code;

/// Can a backup be made before an erase?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupChance {
    Possible,
    /// The device is in normal mode, but does not trust this host yet: ask for trust first.
    AfterTrust,
    /// No backup; the code says why in the person's words.
    No(Code),
}

/// Devices for the tests of this room.
#[cfg(test)]
mod testing {
    use crate::device::{Access, Device, Iboot, Identity, Normal, State, Trust};
    use crate::mux::MuxDevice;
    use crate::usb::Address;

    pub fn normal(trust: Trust, locked: bool, version: &str) -> Device {
        let mux = MuxDevice { id: 1, serial: String::new(), product_id: 0, location: 0, usb: true, speed: 0 };
        let state = State::Normal(Normal {
            who: Identity::default(),
            mux,
            trust,
            locked: Some(locked),
            version: version.parse().ok(),
            build: None,
        });
        Device { state, access: Access::Ok, is_virtual: true }
    }

    pub fn recovery() -> Device {
        let address = Address { bus: 1, device: 1 };
        let state = State::Recovery(Iboot { who: Identity::default(), address, rom: false });
        Device { state, access: Access::Ok, is_virtual: true }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::normal;
    use super::*;
    use crate::device::Trust;

    #[test]
    fn a_backup_needs_trust_and_from_16_1_the_passcode() {
        use BackupChance::{AfterTrust, No, Possible};
        for (trust, locked, version, wanted) in [
            (Trust::Trusted, false, "27.0", Possible),
            (Trust::Trusted, true, "27.0", No(Code::DeviceLocked)),
            (Trust::Trusted, true, "16.0", Possible),
            (Trust::Trusted, true, "15.7", Possible),
            (Trust::Trusted, true, "15.7.1", No(Code::DeviceLocked)),
            (Trust::Untrusted, false, "27.0", AfterTrust),
            (Trust::Untrusted, true, "12.0", No(Code::DeviceLocked)),
            (Trust::Locked, true, "12.0", No(Code::DeviceLocked)),
            (Trust::Denied, false, "12.0", No(Code::TrustDenied)),
        ] {
            assert_eq!(backup_chance(&normal(trust, locked, version)), wanted, "{trust:?} {locked} {version}");
        }
    }
}
