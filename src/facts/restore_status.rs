//! What the number means that a restore ends with: the rows of `restore_status.tsv`.
//!
//! `seen` numbers are in logs of restores, `apple` ones are what Apple's own programs show. A number without a row
//! is a failure of the device and no more: nobody knows whether trying again helps.

use super::codes::listed;
use crate::fault::known::{Course, Measure};
use crate::fault::{Code, Retry};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub code: Code,
    pub retry: Retry,
    /// In a log of a restore; else only known from Apple's programs.
    pub seen: bool,
    pub courses: Vec<Course>,
    pub measures: Vec<Measure>,
}

/// All rows, with their numbers.
pub fn all() -> impl Iterator<Item = (i64, Verdict)> {
    let lines = include_str!("restore_status.tsv").lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).filter_map(row)
}

pub fn verdict(number: i64) -> Option<Verdict> {
    all().find(|(n, _)| *n == number).map(|(_, verdict)| verdict)
}

fn row(line: &str) -> Option<(i64, Verdict)> {
    let mut fields = line.split('\t');
    let mut next = || fields.next();
    let number = next()?.parse().ok()?;
    let code = next()?;
    let code = Code::ALL.iter().copied().find(|c| c.as_str() == code)?;
    let retry = match next()? {
        "now" => Retry::Now,
        "after-remedy" => Retry::AfterRemedy,
        "never" => Retry::Never,
        _ => return None,
    };
    let seen = match next()? {
        "seen" => true,
        "apple" => false,
        _ => return None,
    };
    let (courses, measures) = (listed(next()?, Course::named)?, listed(next()?, Measure::named)?);
    Some((number, Verdict { code, retry, seen, courses, measures }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_row_and_no_number_is_there_twice() {
        let lines = include_str!("restore_status.tsv").lines().filter(|l| !l.starts_with('#')).count();
        let mut numbers: Vec<i64> = all().map(|(number, _)| number).collect();
        assert_eq!(numbers.len(), lines);
        numbers.dedup();
        assert_eq!(numbers.len(), lines);
        assert!(numbers.is_sorted());
        assert_eq!(verdict(53).map(|v| v.code), Some(Code::FdrFailed));
        assert_eq!((verdict(1017), verdict(0)), (None, None), "a nested number, and success");
    }
}
