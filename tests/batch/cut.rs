//! Runs that can be looked at and ended while they are under way; two batches that want one phone; Ctrl-C.

use super::{LIMIT, PACE, QUICK, file, herstel, is_new, phases, phones};
use crate::bench::{Ran, Rig};
use herstel::fault::Code;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

pub fn start(rig: &Rig, arguments: &[&str]) -> Child {
    let mut command = rig.command(arguments);
    command.env("HERSTEL_BENCH_HASTE", PACE).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Waits until `what` holds; false when the program ended first.
pub fn until(child: &mut Child, what: impl Fn() -> bool) -> bool {
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
