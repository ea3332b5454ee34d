//! When a try failed: what a second one has to differ in, and whether there is one at all.
//!
//! The tables of codes say for each number what helps first (`Course`): the same again after a re-plug, another cable,
//! DFU, the network, other firmware, a person, or nothing but a repair. Our own codes are sorted here. On top of that
//! stand three rules that no table overrules: so many tries and no more; the same code at the same percentage twice is
//! the device and not the cable; and what a table calls hardware is tried once more and then left alone.
//!
//! Pure: a verdict depends on the misses so far and on nothing else.

use super::file::Retry;
use crate::event::batch::Wants;
use crate::facts::{codes, restore_status};
use crate::fault::known::{Course, Space};
use crate::fault::{Class, Code, Fault};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A try that failed, as far as the next one depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Miss {
    pub code: Code,
    pub number: Option<i64>,
    pub stage: Option<String>,
    pub percent: Option<u8>,
    /// First choice first; the words of the tables.
    pub courses: Vec<String>,
}

impl Miss {
    pub fn of(fault: &Fault) -> Miss {
        Miss {
            code: fault.code,
            number: fault.number,
            stage: fault.stage.clone(),
            percent: fault.restore.as_ref().and_then(|standing| standing.percent),
            courses: courses(fault).into_iter().map(|course| course.as_str().to_owned()).collect(),
        }
    }

    fn course(&self, at: usize) -> Option<Course> {
        self.courses.get(at).and_then(|word| Course::named(word))
    }

    /// The same code at the same place.
    fn repeats(&self, other: &Miss) -> bool {
        (self.code, self.number, &self.stage, self.percent) == (other.code, other.number, &other.stage, other.percent)
            && (self.number.is_some() || self.percent.is_some())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As soon as the device is on the bus again.
    Again,
    /// After this long.
    Later(Duration),
    /// When a person did that.
    After(Wants),
    Stop,
}

/// What a failure asks of the next try.
pub fn courses(fault: &Fault) -> Vec<Course> {
    if let (Some(number), Some(space)) = (fault.number, fault.space()) {
        let known = match space {
            Space::Restored => restore_status::verdict(number).map(|verdict| verdict.courses),
            _ => codes::numbered(number, &[space]).into_iter().find_map(|hit| match hit {
                codes::Hit::Row(row) => Some(row.courses.clone()),
                _ => None,
            }),
        };
        if let Some(known) = known.filter(|known| !known.is_empty()) {
            return known;
        }
    }
    vec![ours(fault.code)]
}

fn ours(code: Code) -> Course {
    match code {
        // The link broke, or somebody pulled the cable: once more as it was.
        Code::UsbGone
        | Code::UsbTimeout
        | Code::UsbStall
        | Code::UsbError
        | Code::UsbBusy
        | Code::LinkLost
        | Code::LinkSilent
        | Code::LinkGarbage
        | Code::CameBackElsewhere
        | Code::NonceUnread
        | Code::AsrFailed
        | Code::BackupIncomplete
        | Code::BackupUnverified => Course::Replug,
        Code::NeverCameBack | Code::NoSuchDevice | Code::NoDevice => Course::ChangeCable,
        Code::BootRefused | Code::RecoveryLoop => Course::Dfu,
        Code::TssNotSigned
        | Code::TssRefused
        | Code::NoFirmware
        | Code::FirmwareWrongDevice
        | Code::UpdateImpossible
        | Code::TicketUnfit => Course::OtherFirmware,
        Code::FdrFailed | Code::TssInvalid | Code::CatalogueInvalid | Code::FirmwareDigest => Course::Network,
        Code::RestoreFailed | Code::RestoreRefused | Code::StashbagRefused => Course::Dfu,
        other => match other.class() {
            Class::Network => Course::Network,
            Class::User | Class::Host => Course::Person,
            Class::Apple => Course::OtherFirmware,
            Class::Device | Class::Bug => Course::Hardware,
        },
    }
}

/// A person is asked so often for one device.
const ASKED: usize = 10;

fn tried(misses: &[Miss]) -> usize {
    misses.iter().filter(|miss| miss.course(0) != Some(Course::Person)).count()
}

/// What comes after these misses, the newest last.
pub fn verdict(misses: &[Miss], retry: &Retry) -> Verdict {
    let Some((last, before)) = misses.split_last() else { return Verdict::Again };
    if matches!(
        last.code,
        Code::Cancelled | Code::Internal | Code::NotYet | Code::ConsentMismatch | Code::NotYours | Code::Locked
    ) {
        return Verdict::Stop;
    }
    let Some(first) = last.course(0) else { return Verdict::Stop };
    if first == Course::Person {
        // Nobody has done it yet, so it is no try; but not for ever.
        let asked = misses.len() - tried(misses);
        return if asked < ASKED { Verdict::After(Wants::Remedy) } else { Verdict::Stop };
    }
    let tried = tried(misses);
    if tried >= usize::try_from(retry.tries).unwrap_or(usize::MAX) || before.iter().any(|miss| miss.repeats(last)) {
        return Verdict::Stop;
    }
    // Of what helped nothing the last time, the next thing is tried.
    let same = before.iter().rev().take_while(|miss| miss.course(0) == Some(first)).count();
    match first {
        Course::Replug if same == 0 => Verdict::Again,
        Course::Replug => Verdict::After(Wants::OtherCable),
        Course::ChangeCable => Verdict::After(Wants::OtherCable),
        Course::Dfu => Verdict::After(Wants::Dfu),
        Course::Network => {
            let doubled = 1u64.checked_shl(u32::try_from(same).unwrap_or(u32::MAX)).unwrap_or(u64::MAX);
            Verdict::Later(Duration::from_secs(retry.network_seconds.saturating_mul(doubled).min(3600)))
        }
        Course::Hardware if tried < 2 => Verdict::Again,
        Course::Hardware | Course::OtherFirmware => Verdict::Stop,
        Course::Person => Verdict::After(Wants::Remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Standing;

    fn amr(number: i64, percent: u8) -> Miss {
        let standing = Standing { percent: Some(percent), ..Standing::default() };
        Miss::of(&Fault::new(Code::RestoreFailed, "x").number(number).standing(standing))
    }

    fn own(code: Code) -> Miss {
        Miss::of(&Fault::new(code, "x"))
    }

    #[test]
    fn each_class_has_its_way() {
        let retry = Retry::default();
        let after = |miss: Miss| verdict(&[miss], &retry);
        assert_eq!(after(own(Code::UsbGone)), Verdict::Again, "R");
        assert_eq!(after(amr(4013, 40)), Verdict::After(Wants::OtherCable), "C");
        assert_eq!(after(own(Code::BootRefused)), Verdict::After(Wants::Dfu), "M");
        assert_eq!(after(own(Code::DownloadFailed)), Verdict::Later(Duration::from_secs(30)), "N");
        assert_eq!(after(amr(53, 80)), Verdict::Later(Duration::from_secs(30)), "N, by its number");
        assert_eq!(after(own(Code::TssNotSigned)), Verdict::Stop, "V");
        assert_eq!(after(own(Code::DeviceLocked)), Verdict::After(Wants::Remedy), "U");
        assert_eq!(after(amr(28, 1)), Verdict::Again, "H: once more");
        assert_eq!(verdict(&[amr(28, 1), amr(28, 2)], &retry), Verdict::Stop, "H: and no more");
        assert_eq!(after(own(Code::ConsentMismatch)), Verdict::Stop);
    }

    #[test]
    fn what_repeats_at_the_same_place_is_the_device() {
        let retry = Retry { tries: 9, ..Retry::default() };
        assert_eq!(verdict(&[amr(4013, 40), amr(4013, 41)], &retry), Verdict::After(Wants::OtherCable));
        assert_eq!(verdict(&[amr(4013, 40), amr(4013, 41), amr(4013, 40)], &retry), Verdict::Stop);
        assert_eq!(verdict(&[own(Code::LinkLost), own(Code::LinkLost)], &retry), Verdict::After(Wants::OtherCable));
    }

    #[test]
    fn tries_are_counted_and_waits_for_a_person_are_none() {
        let retry = Retry { tries: 2, network_seconds: 5, ..Retry::default() };
        let net = || own(Code::DownloadFailed);
        let person = || own(Code::TrustPending);
        assert_eq!(verdict(&[net(), net()], &retry), Verdict::Stop);
        assert_eq!(verdict(&[person(), person(), net()], &retry), Verdict::Later(Duration::from_secs(5)));
        let patient = Retry { tries: 10, ..retry };
        assert_eq!(verdict(&[net(), net(), net()], &patient), Verdict::Later(Duration::from_secs(20)));
    }
}
