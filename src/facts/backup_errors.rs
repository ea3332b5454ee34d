//! What a device's last word in a backup means: the rows of `backup_errors.tsv`.
//!
//! A number that has no row is not guessed at: [`meaning`] gives none, and whoever speaks says that it is unknown.

pub use crate::fault::known::Certainty;
use crate::fault::{Code, Remedy, Retry};
use std::sync::OnceLock;

/// What was asked of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Backup,
    Restore,
    Password,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    pub number: i64,
    /// None: whatever was asked.
    pub purpose: Option<Purpose>,
    /// A part of the device's text, in lower case, that this row is only for.
    pub hint: Option<&'static str>,
    pub fault: Code,
    pub remedy: Remedy,
    pub retry: Retry,
    pub certainty: Certainty,
    /// In technical English.
    pub meaning: &'static str,
}

/// All rows, in the order in which they are tried.
pub fn all() -> &'static [Meaning] {
    static ROWS: OnceLock<Vec<Meaning>> = OnceLock::new();
    ROWS.get_or_init(|| lines().filter_map(row).collect())
}

/// The first row that fits; the text of the device is only looked into for hints.
pub fn meaning(number: i64, purpose: Purpose, text: &str) -> Option<&'static Meaning> {
    let text = text.to_lowercase();
    all().iter().find(|row| {
        row.number == number
            && row.purpose.is_none_or(|of| of == purpose)
            && row.hint.is_none_or(|hint| text.contains(hint))
    })
}

fn lines() -> impl Iterator<Item = &'static str> {
    include_str!("backup_errors.tsv").lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn row(line: &'static str) -> Option<Meaning> {
    let mut fields = line.split('\t');
    let mut next = || fields.next();
    Some(Meaning {
        number: next()?.parse().ok()?,
        purpose: match next()? {
            "any" => None,
            "backup" => Some(Purpose::Backup),
            "restore" => Some(Purpose::Restore),
            "password" => Some(Purpose::Password),
            _ => return None,
        },
        hint: Some(next()?).filter(|hint| *hint != "-"),
        fault: word(Code::ALL, Code::as_str, next()?)?,
        remedy: word(Remedy::ALL, Remedy::as_str, next()?)?,
        retry: match next()? {
            "now" => Retry::Now,
            "after-remedy" => Retry::AfterRemedy,
            "never" => Retry::Never,
            _ => return None,
        },
        certainty: Certainty::named(next()?)?,
        meaning: next()?,
    })
}

fn word<T: Copy>(all: &[T], as_str: fn(T) -> &'static str, text: &str) -> Option<T> {
    all.iter().copied().find(|each| as_str(*each) == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_row_and_every_row_can_be_reached() {
        for line in lines() {
            assert!(row(line).is_some_and(|row| row.meaning.len() > 8), "{line}");
        }
        for row in all() {
            let purposes = row.purpose.map_or(vec![Purpose::Backup, Purpose::Restore, Purpose::Password], |p| vec![p]);
            let reached = |p: &Purpose| meaning(row.number, *p, row.hint.unwrap_or("")) == Some(row);
            assert!(purposes.iter().any(reached), "{row:?} stands behind another one");
        }
    }

    #[test]
    fn a_number_of_the_field_has_a_meaning_whatever_its_text() {
        let numbers = [
            1, 3, 4, 5, 6, 7, 8, 11, 14, 25, 26, 100, 102, 103, 104, 105, 106, 107, 202, 203, 205, 207, 208, 209, 211,
            212,
        ];
        for number in numbers {
            for purpose in [Purpose::Backup, Purpose::Restore, Purpose::Password] {
                assert!(meaning(number, purpose, "words of a later version").is_some(), "{number} {purpose:?}");
            }
        }
        for number in [0, 2, 13, 101, 210, 213, -1, i64::MAX] {
            assert_eq!(meaning(number, Purpose::Backup, "Multiple errors uploading files"), None, "{number}");
        }
    }

    #[test]
    fn a_hint_chooses_between_remedies() {
        let remedy = |number, purpose, text| meaning(number, purpose, text).map(|row| row.remedy);
        let (backup, restore) = (Purpose::Backup, Purpose::Restore);
        assert_eq!(remedy(104, backup, "Multiple errors uploading files"), Some(Remedy::UnreadableFiles));
        assert_eq!(remedy(104, backup, "Error removing snapshot directory"), Some(Remedy::SnapshotLeft));
        assert_eq!(remedy(105, restore, "Insufficient free disk space on drive"), Some(Remedy::HostRoom));
        assert_eq!(remedy(105, backup, "Insufficient free disk space on device"), Some(Remedy::DeviceRoom));
        assert_eq!(
            (remedy(105, backup, ""), remedy(105, restore, "")),
            (Some(Remedy::HostRoom), Some(Remedy::DeviceRoom))
        );
        assert_eq!(remedy(205, backup, ""), Some(Remedy::StartFresh));
        assert_eq!(remedy(205, restore, ""), Some(Remedy::VerifyBackup));
        assert_eq!(remedy(209, backup, ""), Some(Remedy::Unknown));
    }
}
