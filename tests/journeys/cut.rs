//! Journeys that are cut: by SIGKILL at every record of the journal and at every stage of the phone, and by
//! Ctrl-C. `resume` must end each of them well.

use super::bench::{Ran, Rig};
use super::{LIMIT, herstel, is_new, one, plain};
use herstel::fault::Code;
use herstel::virt::phone::{Phone, Stage};
use herstel::virt::spec::TrustSpec;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::process::Child;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A run of the program that can be cut.
pub struct Running<'a> {
    rig: &'a Rig,
    child: Child,
    begun: Instant,
    name: &'static str,
}

impl<'a> Running<'a> {
    pub fn start(rig: &'a Rig, name: &'static str, arguments: &[&str]) -> Running<'a> {
        let mut command = rig.command(arguments);
        let file = |ending: &str| File::create(rig.path(&format!("{name}.{ending}"))).unwrap();
        command.stdout(file("out")).stderr(file("err"));
        Running { rig, child: command.spawn().unwrap(), begun: Instant::now(), name }
    }

    /// Waits until `what` holds; false when the program ended first.
    pub fn until(&mut self, what: impl Fn() -> bool) -> bool {
        while self.begun.elapsed() < LIMIT {
            if what() {
                return true;
            }
            if self.child.try_wait().unwrap().is_some() {
                return what();
            }
            thread::sleep(Duration::from_millis(1));
        }
        let _ = self.child.kill();
        panic!("it never came to that\n{}", fs::read_to_string(self.rig.path("cut.err")).unwrap_or_default());
    }

    pub fn signal(&self, signal: Signal) {
        // It may have ended by itself in between.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    pub fn end(mut self) -> Ran {
        let mut hung = false;
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code();
            }
            if self.begun.elapsed() > LIMIT {
                hung = true;
                let _ = self.child.kill();
            }
            thread::sleep(Duration::from_millis(5));
        };
        let text = |ending: &str| {
            let bytes = fs::read(self.rig.path(&format!("{}.{ending}", self.name))).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        plain(Ran { code, hung, out: text("out"), err: text("err"), took: self.begun.elapsed() })
    }
}

/// The name of the only job.
fn job(rig: &Rig) -> String {
    let mut names = fs::read_dir(rig.jobs()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let name = names.next().expect("a job");
    assert!(names.next().is_none(), "resume begins no second job");
    name
}

fn is_over(rig: &Rig) -> bool {
    rig.journal().last().is_some_and(|line| line["record"] == "finished" && line["outcome"] == "ok")
}

/// After whatever cut the job: `resume` ends well, all is back, and the phone was erased once.
fn resumes(rig: &Rig, before: &str, why: &str) {
    let was_over = is_over(rig);
    let name = job(rig);
    let arguments = if was_over { vec!["resume", &name, "--json"] } else { vec!["resume", "--json"] };
    let ran = herstel(rig, &arguments);
    let journal: Vec<String> = rig.journal().iter().map(Value::to_string).collect();
    let journal = journal.join("\n");
    assert_eq!(ran.code, Some(0), "{why}\n{ran}\n{journal}");
    assert_eq!(ran.finished()["outcome"], "ok");
    is_new(rig, 1, &format!("{why}\n{ran}\n{journal}"));
    assert_eq!(rig.phone().files.digest_of_user_data(), before, "{why}\n{ran}\n{journal}");
    assert!(is_over(rig) && job(rig) == name, "{why}\n{journal}");
    assert_eq!(rig.journal().iter().filter(|l| l["record"] == "resumed").count(), usize::from(!was_over));
    assert_eq!(rig.journal().iter().filter(|l| l["fact"] == "backup").count(), 1, "one backup is enough\n{journal}");
}

/// A recover that is killed once `what` holds; the records that it had written. None: it ended by itself.
fn cut(rig: &Rig, what: impl Fn() -> bool) -> Option<usize> {
    let ecid = rig.phone().ecid.to_string();
    let mut running = Running::start(rig, "cut", &["recover", "--yes-erase", &ecid, "--json"]);
    let came = running.until(what);
    running.signal(Signal::KILL);
    let ran = running.end();
    if !came {
        assert_eq!(ran.code, Some(0), "{ran}");
        return None;
    }
    Some(rig.journal().len())
}

/// Gives each of some threads the next number until one finds that there are no more.
fn numbered(from: usize, work: impl Fn(usize) -> bool + Sync) -> usize {
    let next = AtomicUsize::new(from);
    let end = AtomicUsize::new(usize::MAX);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= end.load(Ordering::SeqCst) {
                        return;
                    }
                    if !work(number) {
                        end.fetch_min(number, Ordering::SeqCst);
                        return;
                    }
                }
            });
        }
    });
    end.into_inner()
}

#[test]
fn killed_at_every_record_of_the_journal() {
    let end = numbered(1, |number| {
        let model = ["iphone13", "iphone8", "iphone5s"][number % 3];
        let rig = one(model, "");
        let before = rig.phone().files.digest_of_user_data();
        let Some(records) = cut(&rig, || rig.journal().len() >= number) else { return false };
        resumes(&rig, &before, &format!("{model} killed at record {number} ({records} were written)"));
        true
    });
    assert!(end > 12, "the journal of a whole recover has {end} records");
}

type Moment = fn(&Phone) -> bool;

fn has_been(phone: &Phone, stage: &str) -> bool {
    phone.memory().iter().any(|m| m.what == "stage" && m.detail["to"] == stage)
}

/// Between the records: wherever the phone is.
#[test]
fn killed_at_every_stage_of_the_phone() {
    let moments: &[(&str, Moment)] = &[
        ("the backup runs", |p| p.remembered("backup.begun") > 0),
        ("it leaves for recovery", |p| has_been(p, "away")),
        ("recovery", |p| has_been(p, "recovery")),
        ("iBEC", |p| has_been(p, "ibec")),
        ("the ramdisk is up", |p| has_been(p, "restore")),
        ("the restore began", |p| p.remembered("restore.start") > 0),
        ("the image comes", |p| p.remembered("asr.begin") > 0),
        ("the image is there", |p| p.remembered("asr.image") > 0),
        ("the last status", |p| p.remembered("restore.final") > 0),
        ("erased and away", |p| p.remembered("files.erased") > 0),
        ("the new system", |p| p.remembered("files.erased") > 0 && p.stage() == Stage::Normal),
    ];
    let end = numbered(0, |number| {
        let Some((name, moment)) = moments.get(number) else { return false };
        let rig = one(["iphone13", "iphone8"][number % 2], "");
        let phone = rig.phone();
        let before = phone.files.digest_of_user_data();
        let records = cut(&rig, || moment(phone)).unwrap_or_else(|| panic!("{name}: never"));
        resumes(&rig, &before, &format!("killed when {name} ({records} records)"));
        true
    });
    assert_eq!(end, moments.len());
}

#[test]
fn one_ctrl_c_stops_in_order_and_resume_goes_on() {
    let steps = ["backup", "fetch", "restore", "await-normal", "put-back"];
    let end = numbered(0, |number| {
        let Some(step) = steps.get(number) else { return false };
        let rig = one("iphone13", "");
        let before = rig.phone().files.digest_of_user_data();
        let ecid = rig.phone().ecid.to_string();
        let began = || rig.journal().iter().any(|l| l["record"] == "began" && l["step"] == *step);
        let mut running = Running::start(&rig, "cut", &["recover", "--yes-erase", &ecid, "--json"]);
        assert!(running.until(began), "{step} never began");
        running.signal(Signal::INT);
        let ran = running.end();
        assert_eq!(ran.code, Some(130), "Ctrl-C in {step}\n{ran}");
        let finished = ran.finished();
        assert_eq!((&finished["outcome"], ran.code_of_fault()), (&json!("cancelled"), Some(Code::Cancelled)), "{ran}");
        assert!(ran.err.contains("Stopping after this step") && ran.err.contains("herstel resume"), "{ran}");
        assert_eq!(rig.journal().last().unwrap()["outcome"], "cancelled");
        resumes(&rig, &before, &format!("Ctrl-C in {step}"));
        true
    });
    assert_eq!(end, steps.len());
}

/// What the child has said on standard error so far.
fn said(rig: &Rig, words: &str) -> bool {
    fs::read_to_string(rig.path("cut.err")).is_ok_and(|text| text.contains(words))
}

#[test]
fn a_wait_for_a_person_stops_at_once() {
    let rig = one("iphone13", "trust = \"pending\"");
    let before = rig.phone().files.digest_of_user_data();
    let ecid = rig.phone().ecid.to_string();
    for arguments in [&["pair", "--json"][..], &["recover", "--yes-erase", &ecid, "--json"]] {
        let mut running = Running::start(&rig, "cut", arguments);
        assert!(running.until(|| said(&rig, "tap Trust") && rig.phone().remembered("trust.dialog") > 0));
        let asked = Instant::now();
        running.signal(Signal::TERM);
        let ran = running.end();
        assert!(asked.elapsed() < Duration::from_secs(20), "nobody answers for minutes\n{ran}");
        assert_eq!((ran.code, ran.code_of_fault()), (Some(130), Some(Code::Cancelled)), "{ran}");
    }
    // The person taps.
    rig.phone().state().trust = TrustSpec::Trusted;
    resumes(&rig, &before, "cancelled at the dialog, which was then answered");
}

#[test]
fn ctrl_c_while_the_system_is_written() {
    let one_press = one("iphone13", "");
    let before = one_press.phone().files.digest_of_user_data();
    let ecid = one_press.phone().ecid.to_string();
    let mut running = Running::start(&one_press, "cut", &["recover", "--yes-erase", &ecid, "--json"]);
    assert!(running.until(|| one_press.phone().remembered("asr.begin") > 0));
    running.signal(Signal::INT);
    let ran = running.end();
    assert_eq!((ran.code, ran.code_of_fault()), (Some(130), Some(Code::Cancelled)), "{ran}");
    assert!(ran.err.contains("cannot stop half way"), "not now, and why\n{ran}");
    is_new(&one_press, 1, "the write was finished");
    resumes(&one_press, &before, "Ctrl-C while the system is written");

    let three = one("iphone8", "");
    let before = three.phone().files.digest_of_user_data();
    let ecid = three.phone().ecid.to_string();
    let mut running = Running::start(&three, "cut", &["recover", "--yes-erase", &ecid]);
    assert!(running.until(|| three.phone().remembered("asr.begin") > 0));
    for words in ["Stopping after this step", "half way through a restore", "Stopping. The device"] {
        running.signal(Signal::INT);
        assert!(running.until(|| said(&three, words)), "{words:?}");
    }
    let ran = running.end();
    assert_eq!(ran.code, Some(130), "{ran}");
    assert_eq!(three.phone().remembered("files.erased"), 0, "it left at once\n{ran}");
    resumes(&three, &before, "three times Ctrl-C while the system is written");
}
