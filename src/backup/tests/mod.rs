//! The engine and the vault against a phone that keeps the protocol, and one that does not.

mod bad_input;
mod bench;
mod cut;
mod cut_run;
mod defects;
mod duties;
pub(super) mod fake;
mod hostile;
mod keep;
mod proof;
mod sealed;
mod seeds;
mod sound;
mod walk;

use super::*;
use crate::event::Recorder;
use crate::fault::Fault;
use crate::ids::Udid;
use fake::{FakePhone, Seen, UDID};
pub(super) use fake::{file_id, status_plist};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// A vault, and what happens in it.
struct Bench {
    dir: TempDir,
    vault: Vault,
    tell: Recorder,
    cancel: Cancel,
    full: bool,
    limit: Option<u64>,
}

fn udid() -> Udid {
    UDID.parse().unwrap()
}

/// Short enough for tests, long enough for a loaded machine.
fn patience() -> Patience {
    Patience { transfer: Duration::from_secs(10), between: Duration::from_secs(10), ..Patience::default() }
}

/// Limits for tests of silence.
fn impatience() -> Patience {
    let short = Duration::from_millis(120);
    Patience {
        greeting: Duration::from_secs(10),
        prompt: short,
        between: Duration::from_secs(10),
        transfer: short,
        farewell: short,
        remark: Duration::from_millis(40),
    }
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::new(dir.path().join("vault"));
        Bench { dir, vault, tell: Recorder::default(), cancel: Cancel::new(), full: false, limit: None }
    }

    /// One whole run; the phone remembers what was taken if it went well.
    fn run(&self, phone: &mut FakePhone) -> (Result<(Generation, Verdict), Fault>, Seen) {
        self.run_with(phone, patience())
    }

    fn run_with(&self, phone: &mut FakePhone, patience: Patience) -> (Result<(Generation, Verdict), Fault>, Seen) {
        let desk = self.vault.take(&udid()).unwrap();
        let work = desk.begin(self.full, &self.tell, &Cancel::new()).unwrap();
        work.put_info(&InfoFacts { udid: UDID.into(), device_name: "Anna".into(), ..InfoFacts::default() }).unwrap();
        if let Some(limit) = self.limit {
            work.tree().limit(limit);
        }
        let (mut host, thread) = phone.serve();
        let options = BackupOptions { full: self.full, patience };
        let received = backup(&mut host, &udid(), work.tree(), &options, &self.tell, &self.cancel);
        drop(host);
        let (after, seen) = thread.join().unwrap();
        let done = match received {
            Ok(received) => work.publish(&received, &self.tell, &Cancel::new()),
            Err(fault) => work.give_up().and(Err(fault)),
        };
        if done.is_ok() {
            phone.saved = after.saved;
        }
        (done, seen)
    }
}

/// Every file below a folder with its content.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn add(folder: &Path, prefix: &str, all: &mut BTreeMap<String, Vec<u8>>) {
        for item in std::fs::read_dir(folder).unwrap() {
            let item = item.unwrap();
            let name = format!("{prefix}/{}", item.file_name().into_string().unwrap());
            if item.file_type().unwrap().is_dir() {
                add(&item.path(), &name, all);
            } else {
                all.insert(name, std::fs::read(item.path()).unwrap());
            }
        }
    }
    let mut all = BTreeMap::new();
    add(folder, "", &mut all);
    all
}
