//! Which way out, and what is lost.
//!
//! For now the part that `recover` needs: from what can be read of a device to whether a backup can be made
//! first ([`prospect`]). The questions to a person follow later; evidence that is read over USB goes before answers.

pub mod answers;
mod chance;
pub mod plans;
pub mod tree;

pub use chance::{Evidence, Prospect, backup_chance, prospect};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Access, Device, Identity, Normal, State, Trust};
    use crate::mux::MuxDevice;

    fn normal(trust: Trust, locked: bool, version: &str) -> Device {
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
