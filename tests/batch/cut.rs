//! A batch that is killed: `--resume` comes to the same end from wherever it was. And two batches that want one phone.

use super::{LIMIT, PACE, QUICK, file, herstel, is_new, phases, phones};
use crate::bench::{Ran, Rig};
use herstel::fault::Code;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// All lines of all journals, of the batch and of its jobs.
fn lines(rig: &Rig) -> usize {
    let state = rig.path("state/herstel");
    let count = |folder: &str| -> usize {
        let entries = fs::read_dir(state.join(folder)).into_iter().flatten().flatten();
        let journals = entries.filter_map(|entry| fs::read(entry.path().join("journal.jsonl")).ok());
        journals.map(|bytes| bytes.iter().filter(|byte| **byte == b'\n').count()).sum()
    };
    count("batches") + count("jobs")
}

fn start(rig: &Rig, arguments: &[&str]) -> Child {
    let mut command = rig.command(arguments);
    command.env("HERSTEL_BENCH_HASTE", PACE).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Waits until `what` holds; false when the program ended first.
fn until(child: &mut Child, what: impl Fn() -> bool) -> bool {
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        if what() {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    let _ = child.kill();
    panic!("it never came to that");
}

/// A run of the program that can be looked at and interrupted.
pub struct Running {
    child: Child,
    folder: PathBuf,
    begun: Instant,
}

impl Running {
    pub fn start(rig: &Rig, arguments: &[&str]) -> Running {
        let folder = rig.path("running");
        fs::create_dir_all(&folder).unwrap();
        let mut command = rig.command(arguments);
        let file = |name: &str| File::create(folder.join(name)).unwrap();
        command.env("HERSTEL_BENCH_HASTE", PACE).stdout(file("out")).stderr(file("err"));
        Running { child: command.spawn().unwrap(), folder, begun: Instant::now() }
    }

    /// Waits until what it printed fits; false when it ended first.
    pub fn until(&mut self, fits: impl Fn(&str) -> bool) -> bool {
        let out = self.folder.join("out");
        until(&mut self.child, || fits(&fs::read_to_string(&out).unwrap_or_default()))
    }

    pub fn interrupt(&self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
    }

    pub fn end(mut self) -> Ran {
        let ended = until(&mut self.child, || false);
        assert!(!ended);
        let code = self.child.wait().unwrap().code();
        let text = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap();
        Ran { code, hung: false, out: text("out"), err: text("err"), took: self.begun.elapsed() }
    }
}

/// A small generator of its own, so that a seed means the same for ever.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// One batch of two phones, killed up to three times where the seed says, then resumed to its end.
fn killed(seed: u64) {
    let mut dice = seed;
    let rig = phones(&["", "[phone.faults.restore]\nunplug_at_checkpoint = 0x634\nonce = true"]);
    let name = file(&rig, QUICK);
    let mut arguments = vec!["batch", &name, "--yes-erase-all"];
    let mut story = Vec::new();
    for _ in 0..=next(&mut dice) % 3 {
        // Some lines further than it is now, and some milliseconds into what comes after that line.
        let more = usize::try_from(1 + next(&mut dice) % 14).unwrap();
        let (goal, wait) = (lines(&rig) + more, next(&mut dice) % 60);
        let mut child = start(&rig, &arguments);
        let came = until(&mut child, || lines(&rig) >= goal);
        thread::sleep(Duration::from_millis(wait));
        let _ = kill_process(Pid::from_child(&child), Signal::KILL);
        let ended = child.wait().unwrap();
        story.push(format!("killed at {goal} lines + {wait} ms: {ended}"));
        if lines(&rig) > 0 {
            arguments = vec!["batch", "--resume"];
        }
        if !came {
            break;
        }
    }
    arguments.push("--json");
    let ran = herstel(&rig, &arguments);
    println!("seed {seed}: {}", story.join("; "));
    assert_eq!(ran.code, Some(0), "seed {seed}: {story:#?}\n{ran}");
    if !ran.err.contains("anything left to do") {
        assert_eq!(phases(&ran), ["done", "done"], "seed {seed}: {story:#?}\n{ran}");
    }
    for phone in &rig.bench.phones {
        let erased = phone.remembered("files.erased");
        assert!(erased > 0, "seed {seed}: {}\n{ran}", phone.ecid);
        is_new(phone, erased, &ran);
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "more kills by hand: HERSTEL_TEST_KILLS=50")]
fn a_batch_that_is_killed_comes_to_the_same_end() {
    let count = std::env::var("HERSTEL_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    for seed in 1..=count {
        killed(seed);
    }
}

#[test]
fn two_batches_never_work_on_one_phone() {
    let rig = phones(&["[phone.faults.restore]\nsilent_at_checkpoint = 0x634\nonce = true"]);
    let name = file(&rig, QUICK);
    let mut first = start(&rig, &["batch", &name, "--yes-erase-all"]);
    assert!(until(&mut first, || rig.phone().remembered("restore.start") > 0), "the first is at work");
    let second = herstel(&rig, &["batch", &name, "--yes-erase-all", "--json"]);
    assert_eq!(second.code, Some(1), "{second}");
    assert_eq!(phases(&second), ["failed"]);
    let over = second.events("batch-over").pop().unwrap();
    assert_eq!(over["rows"][0]["fault"]["code"], Code::Locked.as_str(), "{second}");
    assert_eq!(rig.phone().remembered("restore.start"), 1, "it was not touched\n{second}");
    // A resume of a batch that runs is refused as well.
    let resumed = herstel(&rig, &["batch", "--resume", "--json"]);
    assert_eq!(resumed.code_of_fault(), Some(Code::Locked), "{resumed}");
    let _ = kill_process(Pid::from_child(&first), Signal::KILL);
    first.wait().unwrap();
}

#[test]
fn ctrl_c_stops_orderly_and_a_resume_does_the_rest() {
    let rig = phones(&["", ""]);
    let name = file(&rig, &QUICK.replace("[retry]", "[retry]\ntries = 2"));
    let text = fs::read_to_string(&name).unwrap();
    fs::write(&name, format!("limit = 1\n{text}")).unwrap();
    let mut running = Running::start(&rig, &["batch", &name, "--yes-erase-all", "--json"]);
    assert!(running.until(|out| out.contains("\"what\":\"began\"")));
    running.interrupt();
    let ran = running.end();
    assert_eq!(ran.code, Some(130), "{ran}");
    assert_eq!(phases(&ran)[1], "cancelled", "{ran}");
    assert_eq!(rig.bench.phones[1].remembered("restore.start"), 0, "its turn had not come\n{ran}");
    let ran = herstel(&rig, &["batch", "--resume", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(phases(&ran), ["done", "done"]);
    rig.bench.phones.iter().for_each(|phone| is_new(phone, 1, &ran));
}
