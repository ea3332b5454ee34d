//! A batch that is killed: `--resume` comes to the same end from wherever it was.
//!
//! Each seed makes a bench, begins a batch and kills it up to three times, each time at a moment that the seed picks:
//! after so many lines of the journals, as soon as a job's folder is there (between the job and what the batch says of
//! it), at a step of a restore as the phone saw it, while a hook runs, while a person is waited for, when a row just
//! ended or just begins again. Then it is resumed until nothing is left, and the journals, the reports and the phones
//! are looked at. What the kills fell into is counted, so that a spread which never meets a restore does not look like a
//! sound one.

use super::cut::{start, until};
use super::{QUICK, file, herstel, is_new, phases, phones};
use crate::bench::Rig;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// How many seeds in the suite; `HERSTEL_TEST_KILLS=50` for more.
const SEEDS: u64 = 8;
/// So many at a time.
const WORKERS: usize = 4;

/// Whole lines of a journal; a torn one is not written yet.
fn journal(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// The journals of all batches or jobs, by the names of their folders.
fn journals(rig: &Rig, of: &str) -> BTreeMap<String, Vec<Value>> {
    let folders = fs::read_dir(rig.path("state/herstel").join(of)).into_iter().flatten().flatten();
    let each = folders.map(|f| (f.file_name().into_string().unwrap(), journal(&f.path().join("journal.jsonl"))));
    each.collect()
}

fn batch(rig: &Rig) -> Vec<Value> {
    journals(rig, "batches").into_values().flatten().collect()
}

fn lines(rig: &Rig) -> usize {
    batch(rig).len() + journals(rig, "jobs").values().map(Vec::len).sum::<usize>()
}

fn jobs_named(records: &[Value]) -> BTreeSet<String> {
    let named = records.iter().filter(|r| r["record"] == "job").map(|r| r["job"].as_str().unwrap().to_owned());
    named.collect()
}

/// The rows that were begun and not ended, each with the last record of the batch about it.
fn open_rows(records: &[Value]) -> Vec<&Value> {
    let mut last: BTreeMap<u64, &Value> = BTreeMap::new();
    for record in records {
        if let Some(row) = record["row"].as_u64() {
            last.insert(row, record);
        }
    }
    last.into_values().filter(|record| record["record"] != "ended").collect()
}

/// What the kill came into the middle of.
fn met(rig: &Rig) -> BTreeSet<&'static str> {
    let (records, jobs) = (batch(rig), journals(rig, "jobs"));
    let mut met = BTreeSet::new();
    if records.is_empty() {
        met.insert("before the batch");
    }
    for record in open_rows(&records) {
        match record["record"].as_str().unwrap() {
            "missed" => met.insert("a wait"),
            "began" => met.insert("a plan"),
            "job" => {
                let steps = jobs.get(record["job"].as_str().unwrap()).map_or(&[][..], Vec::as_slice);
                met.insert(match steps.last().map(|r| (r["record"].as_str().unwrap(), r["step"].as_str())) {
                    None => "before the job",
                    Some(("began", Some("fetch-firmware" | "verify-firmware"))) => "a download",
                    Some(("began", Some("await-normal"))) => "a wait for setup",
                    Some(("began", _)) => "a restore",
                    Some(("finished", _)) => "after the job",
                    Some(_) => "between two steps",
                })
            }
            _ => false,
        };
    }
    if rig.path("hooking").exists() {
        met.insert("a hook");
    }
    if records.iter().any(|r| r["record"] == "ended") && !open_rows(&records).is_empty() {
        met.insert("others still at work");
    }
    met
}

/// A small generator of its own, so that a seed means the same for ever.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }
}

/// When to kill: a text for people, whether it has come, and how many milliseconds later.
type Moment<'a> = (String, Box<dyn Fn() -> bool + 'a>, u64);

const KINDS: u64 = 8;

fn moment<'a>(rig: &'a Rig, kind: u64, dice: &mut Dice) -> Moment<'a> {
    let remembered = |what: &'static str| {
        let count = move || rig.bench.phones.iter().map(|phone| phone.remembered(what)).sum::<usize>();
        (count(), count)
    };
    match kind {
        0 => {
            // From the second line on: then the batch is written down, and there is something to resume.
            let goal = (lines(rig) + 1 + dice.below(16) as usize).max(2);
            (format!("{goal} lines"), Box::new(move || lines(rig) >= goal), dice.below(60))
        }
        1 => {
            let goal = journals(rig, "jobs").len() + 1;
            (format!("job {goal} is there"), Box::new(move || journals(rig, "jobs").len() >= goal), 0)
        }
        2 => {
            let (was, count) = remembered("restore.checkpoint");
            let goal = was + 1 + dice.below(60) as usize;
            (format!("{goal} checkpoints"), Box::new(move || count() >= goal), 0)
        }
        3 => {
            let (was, count) = remembered("stage");
            let goal = was + 1 + dice.below(6) as usize;
            (format!("{goal} changes of stage"), Box::new(move || count() >= goal), dice.below(30))
        }
        4 => ("a hook runs".into(), Box::new(|| rig.path("hooking").exists()), 0),
        5 => {
            let waits = || {
                let records = batch(rig);
                open_rows(&records).iter().any(|r| r["row"] == 3 && r["record"] == "missed")
            };
            ("a person is waited for".into(), Box::new(waits), dice.below(100))
        }
        6 => {
            let ended = || batch(rig).iter().filter(|r| r["record"] == "ended").count();
            let goal = ended() + 1;
            (format!("end of row {goal}"), Box::new(move || ended() >= goal), 0)
        }
        _ => {
            let again = || batch(rig).iter().filter(|r| r["tries"].as_u64() > Some(1)).count();
            let goal = again() + 1;
            (format!("try again {goal}"), Box::new(move || again() >= goal), 0)
        }
    }
}

/// What is begun is resumed.
fn arguments<'a>(rig: &Rig, name: &'a str) -> Vec<&'a str> {
    match lines(rig) {
        0 => vec!["batch", name, "--yes-erase-all"],
        _ => vec!["batch", "--resume"],
    }
}

/// One batch of three phones, killed where the seed says, then resumed to its end. Gives what the kills met.
fn killed(seed: u64) -> BTreeSet<&'static str> {
    let mut dice = Dice(seed);
    let unplugged = "[phone.faults.restore]\nunplug_at_checkpoint = 0x634\nonce = true";
    let modem = "[phone.faults.restore]\namr_error = 1110\nonce = true";
    let rig = phones(&["", unplugged, modem]);
    let hook = rig.path("hook");
    let hooking = rig.path("hooking").display().to_string();
    super::outside::program(&hook, &format!("touch {hooking}; cat > /dev/null; sleep 0.1; rm -f {hooking}"));
    let hook = hook.display();
    let hooks = format!("[hooks]\nattached = [\"{hook}\"]\nneeds_person = [\"{hook}\"]\nfinished = [\"{hook}\"]\n");
    let name = file(&rig, &format!("{}{hooks}", QUICK.replace("person_seconds = 0", "person_seconds = 10")));

    let mut story = Vec::new();
    let mut all = BTreeSet::new();
    for kill in 0..=dice.below(3) {
        // The first kills of the seeds meet each kind in turn.
        let kind = if kill == 0 { seed % KINDS } else { dice.below(KINDS) };
        let _ = fs::remove_file(rig.path("hooking"));
        let (what, comes, wait) = moment(&rig, kind, &mut dice);
        let mut child = start(&rig, &arguments(&rig, &name));
        let came = until(&mut child, comes);
        thread::sleep(Duration::from_millis(if came { wait } else { 0 }));
        let _ = kill_process(Pid::from_child(&child), Signal::KILL);
        let ended = child.wait().unwrap();
        let met = if came { met(&rig) } else { BTreeSet::new() };
        story.push(format!("{what} + {wait} ms: {ended} in {met:?}"));
        let (named, jobs) = (jobs_named(&batch(&rig)), journals(&rig, "jobs"));
        assert!(jobs.keys().all(|job| named.contains(job)), "seed {seed}: an orphan {jobs:?}\n{story:#?}");
        all.extend(met);
        if !came {
            break;
        }
    }
    println!("seed {seed}: {}", story.join("; "));
    ends_well(&rig, &name, &format!("seed {seed}: {story:#?}"));
    all
}

/// Resumed until nothing is left, it is what it would have been without any kill.
fn ends_well(rig: &Rig, name: &str, story: &str) {
    let mut last = None;
    for _ in 0..4 {
        let mut arguments = arguments(rig, name);
        arguments.push("--json");
        let ran = herstel(rig, &arguments);
        // A person who does not come leaves a row open; whoever resumes has seen to it.
        assert!(matches!(ran.code, Some(0 | 4)), "{story}\n{ran}");
        if ran.code == Some(0) {
            last = Some(ran);
            break;
        }
    }
    let ran = last.unwrap_or_else(|| panic!("{story}: it never ends"));
    if !ran.err.contains("anything left to do") {
        assert_eq!(phases(&ran), ["done", "done", "done"], "{story}\n{ran}");
    }
    for phone in &rig.bench.phones {
        let erased = phone.remembered("files.erased");
        assert!(erased > 0, "{story}: {}\n{ran}", phone.ecid);
        is_new(phone, erased, &ran);
    }
    let (records, jobs) = (batch(rig), journals(rig, "jobs"));
    assert_eq!(jobs.keys().cloned().collect::<BTreeSet<_>>(), jobs_named(&records), "{story}\n{ran}");
    assert_eq!(jobs.len(), 3, "one job for each device\n{story}\n{ran}");
    for (job, records) in &jobs {
        assert_eq!(records.last().unwrap()["outcome"], "ok", "{story}\n{ran}");
        let report = rig.jobs().join(job).join("report.json");
        let report: Value = serde_json::from_slice(&fs::read(report).expect(story)).unwrap();
        assert_eq!(report["outcome"], "ok", "{story}\n{report}");
    }
    for row in 1..=3 {
        let of: Vec<_> = records.iter().filter(|r| r["row"] == row).collect();
        let done = of.iter().position(|r| r["record"] == "ended" && r["phase"] == "done");
        assert_eq!(done, Some(of.len() - 1), "row {row} ends once, and is not touched again\n{story}\n{of:#?}");
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "more kills by hand: HERSTEL_TEST_KILLS=50")]
fn a_batch_that_is_killed_comes_to_the_same_end() {
    let seeds = std::env::var("HERSTEL_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    // Most of a batch is waiting.
    let next = AtomicU64::new(0);
    let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds);
    let work = || std::iter::from_fn(take).flat_map(killed).collect::<Vec<_>>();
    let mut met: BTreeMap<&str, u64> = BTreeMap::new();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let found = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            found.into_iter().for_each(|what| *met.entry(what).or_default() += 1);
        }
    });
    println!("kills met, in so many of {seeds} seeds: {met:?}");
    if seeds >= SEEDS {
        for what in ["a restore", "a hook", "a wait", "others still at work"] {
            assert!(met.contains_key(what), "no kill came into {what}: {met:?}");
        }
    }
}
