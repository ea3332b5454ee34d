//! The table of bad inputs: devices that vanish, stay silent, send garbage, absurd lengths or hostile paths;
//! firmware that is cut short or has a flipped bit; a signing server that refuses; disks that are full.
//!
//! Each case runs the built program against a bench whose fault knobs are turned, and is held to one law:
//! one clear fault, the right exit code, no panic, no hang, nothing lost (`bad_input/case.rs` says it in
//! full). What an input of one kind can do to a verb is a part of its own; the parts share the few turns.

#[path = "bad_input/backup.rs"]
mod backup;
mod bench;
#[path = "bad_input/case.rs"]
mod case;
#[path = "bad_input/firmware.rs"]
mod firmware;
#[path = "bad_input/jobs.rs"]
mod jobs;
#[path = "bad_input/link.rs"]
mod link;
#[path = "bad_input/restore.rs"]
mod restore;

use case::table;

#[test]
fn devices_that_cannot_be_asked() {
    table(link::cases());
}

#[test]
fn backups_that_break_off() {
    table(backup::cases());
}

#[test]
fn backups_that_cannot_be_put_back() {
    table(backup::put_back_cases());
}

#[test]
fn firmware_that_is_not_what_it_should_be() {
    table(firmware::cases());
}

#[test]
fn restores_that_never_begin() {
    table(restore::before_the_ramdisk());
}

#[test]
fn restores_that_break_off() {
    table(restore::in_the_ramdisk());
}

#[test]
fn jobs_that_break_off() {
    table(jobs::cases());
}

#[test]
fn names_are_unique_and_there_are_many() {
    let parts = [
        link::cases(),
        backup::cases(),
        backup::put_back_cases(),
        firmware::cases(),
        restore::before_the_ramdisk(),
        restore::in_the_ramdisk(),
        jobs::cases(),
    ];
    let mut names: Vec<&str> = parts.iter().flatten().map(|case| case.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() == all && all >= 100, "{all} cases, {} names", names.len());
}
