//! What the phone's last word means.
//!
//! The numbers are Apple's MBErrorDomain; texts differ by version and are quoted, never read. For a disk that is too
//! small the phone's own figures tell how much it wants: what it asked to be purged, plus what it was told is free,
//! minus the 2 GiB it adds for itself.

use super::receive::Intake;
use crate::fault::{Code, Fault};
use crate::wire::devicelink::request::Response;

/// The margin that a device adds to what it asks to be purged.
const PURGE_MARGIN: u64 = 2 << 30;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Backup,
    Restore,
    Password,
}

/// What the device was told and asked about room, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Room {
    pub told_free: Option<u64>,
    pub asked_to_purge: Option<u64>,
}

impl Room {
    /// What the device needs, as far as it can be told.
    pub(super) fn needed(&self) -> Option<u64> {
        let asked = self.asked_to_purge?;
        Some(asked.saturating_add(self.told_free?).saturating_sub(PURGE_MARGIN))
    }
}

/// The fault of a final answer with a code other than zero.
pub(super) fn fault_of(answer: &Response, purpose: Purpose, room: Room, intake: &Intake) -> Fault {
    let code = match (answer.code, purpose) {
        (208, _) => Code::BackupPasscode,
        // A backup carries no password: what is missing is the encryption that a profile demands.
        (207, Purpose::Backup) => Code::EncryptionRequired,
        (207, _) => Code::BackupPasswordWrong,
        (211, _) => Code::FindMyOn,
        (212, _) => Code::SetupUnfinished,
        (202, _) => Code::Cancelled,
        (203, Purpose::Restore) => Code::BackupNewer,
        (205, Purpose::Restore) => Code::BackupDamaged,
        (105, Purpose::Backup) => Code::DiskFull,
        (105, Purpose::Restore) => Code::DeviceFull,
        _ => Code::BackupRefused,
    };
    let said = if answer.description.is_empty() { "no text" } else { answer.description.as_str() };
    let mut detail = format!("the device ended with {}: {said}", answer.code);
    if code == Code::DiskFull {
        let mb = |bytes: u64| bytes >> 20;
        if let Some(needed) = room.needed() {
            detail += &format!("; it needs {} MB", mb(needed));
        }
        if let Some(free) = room.told_free {
            detail += &format!("; {} MB are free here", mb(free));
        }
    }
    if intake.failed_count > 0 {
        detail += &format!("; it could not read {} files", intake.failed_count);
        for file in intake.failed.iter().take(3) {
            detail += &format!(", {} ({})", file.device_path, file.text);
        }
    }
    Fault::new(code, detail).number(answer.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_names_both_figures() {
        let room = Room { told_free: Some(10_000_000_000), asked_to_purge: Some(26_418_026_591) };
        assert_eq!(room.needed(), Some(26_418_026_591 + 10_000_000_000 - (2 << 30)));
        let answer = Response::error(105, "Insufficient free disk space on drive to back up (MBErrorDomain/105)");
        let fault = fault_of(&answer, Purpose::Backup, room, &Intake::default());
        assert_eq!((fault.code, fault.number), (Code::DiskFull, Some(105)));
        assert!(fault.detail.contains("32682 MB") && fault.detail.contains("9536 MB"), "{fault}");
        assert_eq!(fault_of(&answer, Purpose::Restore, room, &Intake::default()).code, Code::DeviceFull);
    }
}
