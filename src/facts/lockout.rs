//! How long a device makes people wait after wrong passcodes: the rows of `lockout.tsv`, by era of its system.
//!
//! It is knowledge to explain a screen with, never a promise. Sources disagree, so each era keeps its own table and
//! says how sure it is; the time on the device's own screen is the one that counts. What the screen says is known
//! better, by version, and has rows of its own.

use crate::ids::Version;

/// After one wrong passcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    None,
    Minutes(u32),
    /// No wait ends this: a computer or the account has to erase it.
    Disabled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// What people saw and wrote down, from 2010 on and also of much newer systems.
    Reported,
    /// An older edition of Apple's own security guide.
    Guide,
    /// What the newest edition is said to hold.
    Newest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    People,
    Apple,
    /// Not seen at its source.
    Unconfirmed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Era {
    pub name: Name,
    /// About the first system, and about the first one after it.
    pub since: Option<Version>,
    pub before: Option<Version>,
    pub certainty: Certainty,
    /// The wrong passcode that erases it, with Erase Data on.
    pub erase_at: u32,
    /// After the first wrong passcode, the second, and so on.
    pub waits: Vec<Wait>,
}

/// The words on the screen of a device that nobody gets into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// "is disabled"; only a computer, or Find My, erases it.
    Disabled,
    /// "Unavailable" or "Security Lockout", with a way to erase it by the account's password.
    SecurityLockout,
    /// The same with "Forgot Passcode?", and the previous passcode for 72 hours.
    ForgotPasscode,
}

impl Name {
    pub const ALL: [Name; 3] = [Name::Reported, Name::Guide, Name::Newest];
}

impl Screen {
    pub const ALL: [Screen; 3] = [Screen::Disabled, Screen::SecurityLockout, Screen::ForgotPasscode];
}

/// Every era, oldest first.
pub fn eras() -> Vec<Era> {
    rows("wait").filter_map(|fields| wait_row(&fields)).collect()
}

/// The era that a system most likely belongs to. A guess at its edges.
pub fn era(version: &Version) -> Option<Era> {
    eras().into_iter().find(|era| version.within(era.since.as_ref(), era.before.as_ref()))
}

/// Every screen with the systems that show it: from, up to and without.
pub fn screens() -> Vec<(Screen, Option<Version>, Option<Version>)> {
    rows("screen").filter_map(|fields| screen_row(&fields)).collect()
}

pub fn screen(version: &Version) -> Option<Screen> {
    let fits = |(_, since, before): &(Screen, Option<Version>, Option<Version>)| {
        version.within(since.as_ref(), before.as_ref())
    };
    screens().into_iter().find(fits).map(|(screen, ..)| screen)
}

fn rows(kind: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = include_str!("lockout.tsv").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split('\t').collect::<Vec<_>>()).filter(move |fields| fields.first() == Some(&kind))
}

fn wait_row(fields: &[&str]) -> Option<Era> {
    let [_, name, since, before, certainty, erase_at, waits] = fields else { return None };
    let wait = |word: &str| match word {
        "0" => Some(Wait::None),
        "x" => Some(Wait::Disabled),
        minutes => minutes.parse().ok().map(Wait::Minutes),
    };
    Some(Era {
        name: match *name {
            "reported" => Name::Reported,
            "guide" => Name::Guide,
            "newest" => Name::Newest,
            _ => return None,
        },
        since: Version::bound(since)?,
        before: Version::bound(before)?,
        certainty: match *certainty {
            "people" => Certainty::People,
            "apple" => Certainty::Apple,
            "unconfirmed" => Certainty::Unconfirmed,
            _ => return None,
        },
        erase_at: erase_at.parse().ok()?,
        waits: waits.split(' ').map(wait).collect::<Option<_>>()?,
    })
}

fn screen_row(fields: &[&str]) -> Option<(Screen, Option<Version>, Option<Version>)> {
    let [_, name, since, before] = fields else { return None };
    let screen = match *name {
        "disabled" => Screen::Disabled,
        "security-lockout" => Screen::SecurityLockout,
        "forgot-passcode" => Screen::ForgotPasscode,
        _ => return None,
    };
    Some((screen, Version::bound(since)?, Version::bound(before)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn every_line_is_a_row_and_the_rows_leave_no_gap() {
        let lines = include_str!("lockout.tsv").lines().filter(|l| !l.starts_with('#')).count();
        let (eras, screens) = (eras(), screens());
        assert_eq!(eras.len() + screens.len(), lines);
        assert_eq!(eras.iter().map(|e| e.name).collect::<Vec<_>>(), Name::ALL);
        assert_eq!(screens.iter().map(|s| s.0).collect::<Vec<_>>(), Screen::ALL);
        for chain in [
            eras.iter().map(|e| (e.since.clone(), e.before.clone())).collect::<Vec<_>>(),
            screens.iter().map(|(_, since, before)| (since.clone(), before.clone())).collect(),
        ] {
            assert_eq!((chain[0].0.as_ref(), chain[2].1.as_ref()), (None, None));
            assert!(chain.windows(2).all(|pair| pair[0].1.is_some() && pair[0].1 == pair[1].0), "{chain:?}");
        }
    }

    #[test]
    fn waits_only_grow_and_end_for_good() {
        for era in eras() {
            let minutes = |wait: &Wait| match wait {
                Wait::None => 0,
                Wait::Minutes(minutes) => *minutes,
                Wait::Disabled => u32::MAX,
            };
            assert_eq!(era.waits.len(), 10, "{:?}", era.name);
            assert!(era.waits.is_sorted_by_key(minutes), "{:?}", era.name);
            assert_eq!(era.waits.last(), Some(&Wait::Disabled));
            assert!([10, 11].contains(&era.erase_at));
        }
    }

    #[test]
    fn a_system_belongs_to_one_era_and_one_screen() {
        let names = |v: &str| (era(&version(v)).unwrap().name, screen(&version(v)).unwrap());
        assert_eq!(names("3.1.3"), (Name::Reported, Screen::Disabled));
        assert_eq!(names("8.4.1"), (Name::Reported, Screen::Disabled));
        assert_eq!(names("9"), (Name::Guide, Screen::Disabled));
        assert_eq!(names("15.1.1"), (Name::Guide, Screen::Disabled));
        assert_eq!(names("15.2"), (Name::Guide, Screen::SecurityLockout));
        assert_eq!(names("16.7.16"), (Name::Guide, Screen::SecurityLockout));
        assert_eq!(names("17.0"), (Name::Newest, Screen::ForgotPasscode));
        assert_eq!(names("27.0.1"), (Name::Newest, Screen::ForgotPasscode));
    }

    #[test]
    fn the_tables_disagree_and_stay_apart() {
        let sixth = |era: &Era| era.waits[5];
        let all: Vec<Wait> = eras().iter().map(sixth).collect();
        assert_eq!(all, [Wait::Minutes(1), Wait::Minutes(5), Wait::Minutes(15)]);
    }

    #[test]
    fn half_a_row_is_no_row() {
        let row = ["wait", "guide", "9", "17", "apple", "10", "0 0 x"];
        assert!(wait_row(&row).is_some());
        for (at, bad) in [(1, "other"), (2, "nine"), (4, "sure"), (5, "ten"), (6, "0 ? x")] {
            let mut row = row;
            row[at] = bad;
            assert_eq!(wait_row(&row), None, "{bad}");
        }
        assert_eq!((wait_row(&row[..6]), screen_row(&["screen", "blank", "-", "-"])), (None, None));
    }
}
