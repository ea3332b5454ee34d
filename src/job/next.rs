//! What comes next: a pure function of the journal and of the device as it is seen now.

use super::plan::{BackupPlan, Way};
use super::record::{Fact, Story};
use crate::event::Step;
use crate::fault::{Code, Fault};
use crate::ids::{BuildId, Mode};

/// The device as a job looks at it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub mode: Option<Mode>,
    pub build: Option<BuildId>,
    pub trusted: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Make the backup and verify it, or verify the one that is there.
    Backup,
    /// Fetch the firmware (or find it) and verify it.
    Firmware,
    /// Everything from leaving normal mode to the device's final status.
    Restore,
    AwaitNormal,
    PutBack,
    Finish,
}

/// The next step of a job.
///
/// # Errors
/// When the journal's way cannot be gone on from what is seen: a backup that was promised can no longer be
/// made since the device left normal mode.
pub fn next(story: &Story, seen: &Seen) -> Result<Next, Fault> {
    let plan = &story.plan;
    let restored = story.fact(Step::Restore).is_some() || ended_unseen(story, seen);
    if !restored {
        if plan.backup.saves() && story.fact(Step::VerifyBackup).is_none() {
            return match seen.mode {
                None | Some(Mode::Normal) => Ok(Next::Backup),
                Some(_) if plan.backup != BackupPlan::Make => Ok(Next::Backup),
                Some(mode) => Err(Fault::new(
                    Code::WrongMode,
                    format!("the plan wants a backup first, and the device is in {mode} mode"),
                )
                .on(plan.ecid)),
            };
        }
        if story.fact(Step::VerifyFirmware).is_none() {
            return Ok(Next::Firmware);
        }
        return Ok(Next::Restore);
    }
    if story.fact(Step::AwaitNormal).is_none() {
        return Ok(Next::AwaitNormal);
    }
    let has_backup = matches!(story.fact(Step::VerifyBackup), Some(Fact::Backup { .. }));
    if plan.put_back && has_backup && story.fact(Step::PutBack).is_none() {
        return Ok(Next::PutBack);
    }
    Ok(Next::Finish)
}

/// The restore ended well, but the process died before it could write that down: the device runs the new
/// build. Where it did so before too, only the trust that our backup had, and that an erase ends, tells the
/// difference; without that sign the restore is done again.
fn ended_unseen(story: &Story, seen: &Seen) -> bool {
    let new_build = seen.build.as_ref() == Some(&story.plan.firmware.build);
    let was_older = story.plan.version.as_ref() != Some(&story.plan.firmware.version);
    let had_trust = story.plan.backup == BackupPlan::Make && story.fact(Step::VerifyBackup).is_some();
    let lost_trust = story.plan.way == Way::Erase && had_trust && !seen.trusted;
    story.began(Step::Restore) && seen.mode == Some(Mode::Normal) && new_build && (was_older || lost_trust)
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Plan, sample};
    use super::super::record::{Entry, Record};
    use super::*;

    fn story(backup: BackupPlan, done: &[(Step, Fact)], began: &[Step]) -> Story {
        let plan = Plan { version: "26.7.1".parse().ok(), backup, put_back: true, ..sample() };
        let mut entries = vec![Entry::now(Record::Plan { plan: Box::new(plan) })];
        entries.extend(began.iter().map(|step| Entry::now(Record::Began { step: *step })));
        entries.extend(done.iter().map(|(step, fact)| Entry::now(Record::Did { step: *step, fact: fact.clone() })));
        Story::new(entries).unwrap()
    }

    fn in_mode(mode: Mode) -> Seen {
        Seen { mode: Some(mode), ..Seen::default() }
    }

    #[test]
    fn the_way_forward_from_every_border() {
        let backup = Fact::Backup { generation: "g".into(), place: "/v".into(), files: 1, bytes: 1, unread: 0 };
        let firmware = Fact::Firmware { path: "/f".into(), sha256: "s".into(), size: 1 };
        let restored = Fact::Restored { version: "27.0.1".parse().unwrap(), build: "24A446".parse().unwrap() };
        let all = [
            (Step::VerifyBackup, backup),
            (Step::VerifyFirmware, firmware),
            (Step::Restore, restored),
            (Step::AwaitNormal, Fact::Nothing),
            (Step::PutBack, Fact::PutBack { files: 1, bytes: 1 }),
        ];
        let wanted = [Next::Backup, Next::Firmware, Next::Restore, Next::AwaitNormal, Next::PutBack, Next::Finish];
        for (done, wanted) in wanted.into_iter().enumerate() {
            let story = story(BackupPlan::Make, &all[..done], &[]);
            assert_eq!(next(&story, &in_mode(Mode::Normal)).unwrap(), wanted, "after {done} steps");
        }
    }

    #[test]
    fn a_promised_backup_is_not_skipped_because_the_device_left_normal_mode() {
        let story = story(BackupPlan::Make, &[], &[]);
        assert_eq!(next(&story, &in_mode(Mode::Recovery)).unwrap_err().code, Code::WrongMode);
    }

    #[test]
    fn a_backup_from_before_is_verified_in_any_mode_and_proves_no_trust() {
        let existing = BackupPlan::Existing { generation: "g".into() };
        for mode in [Mode::Normal, Mode::Recovery, Mode::Dfu] {
            assert_eq!(next(&story(existing.clone(), &[], &[]), &in_mode(mode)).unwrap(), Next::Backup);
        }
        let backup = Fact::Backup { generation: "g".into(), place: "/v".into(), files: 1, bytes: 1, unread: 0 };
        let firmware = Fact::Firmware { path: "/f".into(), sha256: "s".into(), size: 1 };
        let done = [(Step::VerifyBackup, backup), (Step::VerifyFirmware, firmware)];
        let mut same = story(existing, &done, &[Step::Restore]);
        same.plan.version = Some(same.plan.firmware.version.clone());
        let mut seen = in_mode(Mode::Normal);
        seen.build = "24A446".parse().ok();
        assert_eq!(next(&same, &seen).unwrap(), Next::Restore, "never trusted: no sign that it was erased");
    }

    #[test]
    fn without_a_backup_nothing_is_put_back() {
        let restored = Fact::Restored { version: "27.0.1".parse().unwrap(), build: "24A446".parse().unwrap() };
        let why = BackupPlan::Impossible { code: Code::DeviceLocked };
        let story = story(why, &[(Step::Restore, restored), (Step::AwaitNormal, Fact::Nothing)], &[]);
        assert_eq!(next(&story, &in_mode(Mode::Normal)).unwrap(), Next::Finish);
    }

    #[test]
    fn a_restore_that_ended_while_nobody_wrote_it_down_is_not_done_twice() {
        let firmware = (Step::VerifyFirmware, Fact::Firmware { path: "/f".into(), sha256: "s".into(), size: 1 });
        let skip = BackupPlan::Skip { why: "x".into() };
        let begun = story(skip.clone(), std::slice::from_ref(&firmware), &[Step::Restore]);
        let mut seen = in_mode(Mode::Normal);
        seen.build = "24A446".parse().ok();
        assert_eq!(next(&begun, &seen).unwrap(), Next::AwaitNormal);
        seen.build = "23H30".parse().ok();
        assert_eq!(next(&begun, &seen).unwrap(), Next::Restore);
        let not_begun = story(skip, &[firmware], &[]);
        seen.build = "24A446".parse().ok();
        assert_eq!(next(&not_begun, &seen).unwrap(), Next::Restore);
    }

    #[test]
    fn the_same_build_again_is_known_by_the_trust_that_an_erase_ends() {
        let firmware = (Step::VerifyFirmware, Fact::Firmware { path: "/f".into(), sha256: "s".into(), size: 1 });
        let backup = Fact::Backup { generation: "g".into(), place: "/v".into(), files: 1, bytes: 1, unread: 0 };
        let same = |plan: BackupPlan, done: &[(Step, Fact)]| {
            let mut story = story(plan, done, &[Step::Restore]);
            story.plan.version = Some(story.plan.firmware.version.clone());
            story
        };
        let mut seen = in_mode(Mode::Normal);
        seen.build = "24A446".parse().ok();
        let with_backup = same(BackupPlan::Make, &[(Step::VerifyBackup, backup), firmware.clone()]);
        assert_eq!(next(&with_backup, &seen).unwrap(), Next::AwaitNormal);
        let without = same(BackupPlan::Skip { why: "x".into() }, &[firmware]);
        assert_eq!(next(&without, &seen).unwrap(), Next::Restore, "never trusted: no sign that it was erased");
        seen.trusted = true;
        assert_eq!(next(&with_backup, &seen).unwrap(), Next::Restore);
    }
}
