//! What the phone's last word means.
//!
//! The numbers are Apple's MBErrorDomain, and what they mean is a table of the facts room; texts differ by version, are
//! quoted, and at most choose between two remedies. A number that nobody knows is said to be unknown. For a disk that is too
//! small the phone's own figures tell how much it wants: what it asked to be purged, plus what it was told is free,
//! minus the 2 GiB it adds for itself.

use super::receive::Intake;
pub(super) use crate::facts::backup_errors::Purpose;
use crate::facts::backup_errors::{Certainty, meaning};
use crate::fault::{Code, Fault, Remedy};
use crate::wire::devicelink::request::Response;

/// The margin that a device adds to what it asks to be purged.
const PURGE_MARGIN: u64 = 2 << 30;

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
    let meaning = meaning(answer.code, purpose, &answer.description);
    let code = meaning.map_or(Code::BackupRefused, |row| row.fault);
    let said = if answer.description.is_empty() { "no text" } else { answer.description.as_str() };
    let mut detail = format!("the device ended with {}: {said}", answer.code);
    match meaning {
        Some(row) if row.certainty == Certainty::Unknown => detail += "; nobody has told what this number means",
        Some(row) => detail += &format!("; that is: {}", row.meaning),
        None => detail += "; this number is in no table",
    }
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
    let retry = meaning.map_or(code.retry(), |row| row.retry);
    let remedy = meaning.map_or(Remedy::Unknown, |row| row.remedy);
    Fault { retry, ..Fault::new(code, detail).number(answer.code).remedy(remedy) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::backup_errors::all;
    use crate::say::{Lang, remedy, whole_fault};

    #[test]
    fn a_full_disk_names_both_figures() {
        let room = Room { told_free: Some(10_000_000_000), asked_to_purge: Some(26_418_026_591) };
        assert_eq!(room.needed(), Some(26_418_026_591 + 10_000_000_000 - (2 << 30)));
        let answer = Response::error(105, "Insufficient free disk space on drive to back up (MBErrorDomain/105)");
        let fault = fault_of(&answer, Purpose::Backup, room, &Intake::default());
        assert_eq!((fault.code, fault.number), (Code::DiskFull, Some(105)));
        assert!(fault.detail.contains("32682 MB") && fault.detail.contains("9536 MB"), "{fault}");
        assert!(fault.detail.contains("Insufficient free disk space on drive"), "quoted");
        let silent = Response::error(105, "");
        let fault = fault_of(&silent, Purpose::Restore, Room::default(), &Intake::default());
        assert_eq!((fault.code, fault.remedy), (Code::DeviceFull, Some(Remedy::DeviceRoom)));
    }

    #[test]
    fn every_row_of_the_table_becomes_a_fault_that_explains_itself() {
        for row in all() {
            let purpose = row.purpose.unwrap_or(Purpose::Backup);
            let said = format!("Device's words, {}", row.hint.unwrap_or("no hint"));
            let answer = Response::error(row.number, said.as_str());
            let Some(found) = meaning(row.number, purpose, &said) else { panic!("{row:?}") };
            let fault = fault_of(&answer, purpose, Room::default(), &Intake::default());
            let told = (fault.code, fault.remedy, fault.retry, fault.number);
            assert_eq!(told, (found.fault, Some(found.remedy), found.retry, Some(row.number)), "{row:?}");
            assert!(fault.detail.contains(&said), "its own words are quoted: {fault}");
            let unknown = found.certainty == Certainty::Unknown;
            assert_eq!(fault.detail.contains("nobody has told"), unknown, "{fault}");
            for lang in [Lang::En, Lang::Nl] {
                let lines = whole_fault(lang, &fault).join("\n");
                let advice = remedy(lang, found.remedy);
                assert!(lines.contains(advice.what) && lines.contains(advice.next) && lines.contains(&said), "{lines}");
            }
        }
    }

    #[test]
    fn a_number_that_is_in_no_table_is_said_to_be_unknown() {
        for number in [2, 13, 999, -5] {
            let fault = fault_of(&Response::error(number, ""), Purpose::Backup, Room::default(), &Intake::default());
            assert_eq!((fault.code, fault.remedy), (Code::BackupRefused, Some(Remedy::Unknown)));
            assert!(fault.detail.contains("no text") && fault.detail.contains("in no table"), "{fault}");
        }
    }
}
