//! Can a backup be made before an erase? What the device shows, and what that means for whoever forgot the passcode.
//!
//! The truth by system: up to iOS 10 a trusted computer backs up a locked phone, and trust is a tap. Since iOS 11 new
//! trust takes the passcode, while trust that was given earlier still opens a locked phone. Since 15.7.1 and 16.1 the
//! phone asks for the passcode at each backup: without it there is none, whoever is trusted. Before its first unlock
//! after a start no system opens anything, and a phone in lockout opens for nobody. Where the system's version is not
//! known the strict answer is given.

use super::BackupChance;
use crate::device::{Device, State, Trust};
use crate::event::{Caveat, Ground, Possible};
use crate::fault::Code;
use crate::ids::Version;
use serde::{Deserialize, Serialize};

/// What can be seen, or was said by a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// None outside normal mode.
    pub trust: Option<Trust>,
    pub locked: Option<bool>,
    pub version: Option<Version>,
    /// Its screen says "Unavailable", "Disabled" or "Security Lockout"; only a person can see that.
    pub lockout: Option<bool>,
}

impl Evidence {
    pub fn of(device: &Device) -> Self {
        let State::Normal(normal) = &device.state else { return Evidence::default() };
        Evidence { trust: Some(normal.trust), locked: normal.locked, version: normal.version.clone(), lockout: None }
    }

    fn is_from(&self, parts: &[u32]) -> bool {
        self.version.as_ref().is_none_or(|v| v.0.as_slice() >= parts)
    }

    /// Each backup asks for the passcode: from 15.7.1 in its train, and from 16.1.
    fn asks_each_time(&self) -> bool {
        match &self.version {
            Some(v) if v.major() == 15 => self.is_from(&[15, 7, 1]),
            _ => self.is_from(&[16, 1]),
        }
    }
}

/// The answer, for people and scripts; the shape is frozen in `tests/schema/v1/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prospect {
    pub possible: Possible,
    pub ground: Ground,
    pub caveats: Vec<Caveat>,
}

/// From evidence alone.
pub fn prospect(seen: &Evidence) -> Prospect {
    let ground = ground(seen);
    let possible = match ground {
        Ground::Ready | Ground::RecordOpens => Possible::Yes,
        Ground::TrustByTap => Possible::WithTrust,
        Ground::AsksEachTime | Ground::LockedAsks | Ground::TrustByPasscode => Possible::WithPasscode,
        Ground::LockedStranger | Ground::BeforeFirstUnlock => Possible::WithPasscode,
        Ground::Denied => Possible::WithTrust,
        Ground::Lockout | Ground::NotStarted => Possible::No,
    };
    let open = matches!(ground, Ground::RecordOpens | Ground::LockedAsks);
    let locked = seen.locked == Some(true) && seen.trust.is_some_and(|trust| trust != Trust::Locked);
    let mut caveats = Vec::new();
    let mut put = |caveat, applies: bool| {
        if applies {
            caveats.push(caveat);
        }
    };
    put(Caveat::KeepItOn, open);
    put(Caveat::UsbHour, locked && seen.is_from(&[11, 4, 1]));
    put(Caveat::RestartsItself, open && seen.is_from(&[18]));
    put(Caveat::PhotosPerhaps, ground == Ground::LockedAsks);
    Prospect { possible, ground, caveats }
}

/// Can a backup be made by somebody who does not know the passcode?
pub fn is_open_without_passcode(prospect: &Prospect) -> bool {
    matches!(prospect.ground, Ground::Ready | Ground::RecordOpens | Ground::TrustByTap)
}

fn ground(seen: &Evidence) -> Ground {
    let locked = seen.locked == Some(true);
    let Some(trust) = seen.trust else { return Ground::NotStarted };
    match trust {
        _ if seen.lockout == Some(true) => Ground::Lockout,
        Trust::Locked => Ground::BeforeFirstUnlock,
        Trust::Trusted => match (seen.asks_each_time(), locked) {
            (true, true) => Ground::LockedAsks,
            (true, false) => Ground::AsksEachTime,
            (false, true) => Ground::RecordOpens,
            (false, false) => Ground::Ready,
        },
        Trust::Denied => Ground::Denied,
        Trust::Untrusted | Trust::Pending | Trust::Stale if locked => Ground::LockedStranger,
        Trust::Untrusted | Trust::Pending | Trust::Stale if seen.is_from(&[11]) => Ground::TrustByPasscode,
        Trust::Untrusted | Trust::Pending | Trust::Stale => Ground::TrustByTap,
    }
}

/// What a plan may count on now.
pub fn backup_chance(device: &Device) -> BackupChance {
    match prospect(&Evidence::of(device)).ground {
        Ground::Ready | Ground::AsksEachTime | Ground::RecordOpens => BackupChance::Possible,
        Ground::TrustByTap | Ground::TrustByPasscode => BackupChance::AfterTrust,
        Ground::LockedAsks | Ground::LockedStranger | Ground::BeforeFirstUnlock | Ground::Lockout => {
            BackupChance::No(Code::DeviceLocked)
        }
        Ground::Denied => BackupChance::No(Code::TrustDenied),
        Ground::NotStarted => BackupChance::No(Code::WrongMode),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(trust: Trust, locked: Option<bool>, version: &str) -> Evidence {
        Evidence { trust: Some(trust), locked, version: version.parse().ok(), lockout: None }
    }

    #[test]
    fn every_row_of_the_forgotten_passcode() {
        use Caveat::{KeepItOn, PhotosPerhaps, RestartsItself, UsbHour};
        use Trust::{Denied, Locked, Pending, Stale, Trusted, Untrusted};
        let (yes, with, tap, no) = (Possible::Yes, Possible::WithPasscode, Possible::WithTrust, Possible::No);
        let (open, shut) = (Some(false), Some(true));
        type Row = (Trust, Option<bool>, &'static str, Possible, Ground, &'static [Caveat]);
        let rows: &[Row] = &[
            (Trusted, open, "9.3.5", yes, Ground::Ready, &[]),
            (Trusted, shut, "9.3.5", yes, Ground::RecordOpens, &[KeepItOn]),
            (Trusted, shut, "10.3.4", yes, Ground::RecordOpens, &[KeepItOn]),
            (Trusted, shut, "11.0", yes, Ground::RecordOpens, &[KeepItOn]),
            (Trusted, shut, "11.4.1", yes, Ground::RecordOpens, &[KeepItOn, UsbHour]),
            (Trusted, shut, "15.7", yes, Ground::RecordOpens, &[KeepItOn, UsbHour]),
            (Trusted, shut, "15.7.1", with, Ground::LockedAsks, &[KeepItOn, UsbHour, PhotosPerhaps]),
            (Trusted, shut, "15.8.7", with, Ground::LockedAsks, &[KeepItOn, UsbHour, PhotosPerhaps]),
            (Trusted, shut, "16.0.3", yes, Ground::RecordOpens, &[KeepItOn, UsbHour]),
            (Trusted, shut, "16.1", with, Ground::LockedAsks, &[KeepItOn, UsbHour, PhotosPerhaps]),
            (Trusted, shut, "18.0", with, Ground::LockedAsks, &[KeepItOn, UsbHour, RestartsItself, PhotosPerhaps]),
            (Trusted, open, "15.7", yes, Ground::Ready, &[]),
            (Trusted, open, "27.0", with, Ground::AsksEachTime, &[]),
            (Trusted, None, "27.0", with, Ground::AsksEachTime, &[]),
            // Nobody told the version: the strict answer.
            (Trusted, shut, "?", with, Ground::LockedAsks, &[KeepItOn, UsbHour, RestartsItself, PhotosPerhaps]),
            (Untrusted, open, "10.3.4", tap, Ground::TrustByTap, &[]),
            (Untrusted, open, "11.0", with, Ground::TrustByPasscode, &[]),
            (Pending, open, "26.0", with, Ground::TrustByPasscode, &[]),
            (Stale, open, "26.0", with, Ground::TrustByPasscode, &[]),
            (Untrusted, shut, "10.3.4", with, Ground::LockedStranger, &[]),
            (Stale, shut, "26.0", with, Ground::LockedStranger, &[UsbHour]),
            (Denied, open, "26.0", tap, Ground::Denied, &[]),
            (Locked, shut, "9.3.5", with, Ground::BeforeFirstUnlock, &[]),
            (Locked, shut, "26.0", with, Ground::BeforeFirstUnlock, &[]),
        ];
        for (trust, locked, version, possible, ground, caveats) in rows {
            let wanted = Prospect { possible: *possible, ground: *ground, caveats: caveats.to_vec() };
            assert_eq!(prospect(&seen(*trust, *locked, version)), wanted, "{trust:?} {locked:?} {version}");
        }
        for trust in [Trusted, Untrusted, Locked, Denied] {
            let lockout = Evidence { lockout: Some(true), ..seen(trust, shut, "26.0") };
            assert_eq!((prospect(&lockout).possible, prospect(&lockout).ground), (no, Ground::Lockout));
        }
        let away = prospect(&Evidence::default());
        assert_eq!((away.possible, away.ground, away.caveats), (no, Ground::NotStarted, vec![]));
        let grounds: std::collections::HashSet<Ground> = rows.iter().map(|row| row.4).collect();
        assert_eq!(grounds.len(), Ground::ALL.len() - 2, "lockout and not started are above");
    }
}
