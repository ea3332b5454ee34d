//! Cuts at random: the cable, the disk, the process.
//!
//! Each seed is the life of one vault: good runs, then cuts, then a good run. After every cut no published generation
//! has changed in a byte, nothing that counts as a generation is half, `latest` leads to one of them; and the run
//! after the cuts succeeds, with all that the phone holds. Restores, changes of the password and prunes are cut in the
//! same way. A cut that is noticed ends with the fault of its kind. What failed is told with the whole life and the
//! folder, which stays; `HERSTEL_CUT_SEED` runs that seed alone, `HERSTEL_CUTS` sets how many there are.
//!
//! Kills are real: the test starts its own program again, which does the run and kills itself, by the phone's thread
//! after so many bytes, by the clock wherever it is, or when a name came or went in the vault: that is in the middle
//! of cloning, publishing, renaming and removing. The last two make a lottery with the same tickets, not a replay.

use super::cut_run::{CHILD, Cut, Dice, Ended, Run, Task, as_child, be_the_child, env, payloads, phone_of};
use super::*;
use crate::fault::Code;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const SEEDS: u64 = 300;

/// One vault and what is known of it.
struct World {
    vault: PathBuf,
    seed: u64,
    dice: Dice,
    round: u64,
    saved: Option<u64>,
    /// The round of a run that was cut.
    interrupted: Option<u64>,
    /// Each generation and all that is in its folder.
    published: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// Where `latest` led when it was last looked at.
    latest: Option<String>,
    /// Bytes that the phone sent and got in the last good run, and how long it took.
    sent: u64,
    heard: u64,
    took: Duration,
    history: Vec<String>,
}

impl World {
    fn new(vault: &Path, seed: u64) -> Self {
        World {
            vault: vault.to_owned(),
            seed,
            dice: Dice(!seed),
            round: 0,
            saved: None,
            interrupted: None,
            published: BTreeMap::new(),
            latest: None,
            sent: 60_000,
            heard: 20_000,
            took: Duration::from_millis(30),
            history: vec![],
        }
    }

    fn run(&mut self, task: Task, cut: Cut) -> Ended {
        let (vault, seed, saved) = (self.vault.clone(), self.seed, self.saved);
        let round = if task == Task::Restore { saved.unwrap_or(0) } else { self.round };
        let resumes = self.interrupted == Some(round);
        let run = Run { vault, seed, round, saved, resumes, task, cut };
        self.history.push(format!("{run:?}"));
        let ended = run.go();
        self.history.push(format!("  {ended:?}"));
        ended
    }

    fn folder(&self) -> PathBuf {
        self.vault.join(UDID)
    }

    fn now_latest(&self) -> Option<String> {
        let to = std::fs::read_link(self.folder().join("latest")).ok()?;
        Some(to.strip_prefix("generations").unwrap().to_str().unwrap().to_owned())
    }

    /// Nothing published was lost or changed, but for what `may_go`; a new generation may have come, and then it is
    /// whole.
    fn look(&mut self, may_go: &[String]) {
        let before = self.published.keys().next_back().cloned();
        let now = Vault::new(&self.vault).generations(&udid()).unwrap();
        let names: BTreeSet<&str> = now.iter().map(|g| g.name.as_str()).collect();
        let folder = self.folder().join("generations");
        self.published.retain(|name, content| {
            let is_there = names.contains(name.as_str());
            assert!(is_there || may_go.contains(name), "{name} is lost");
            assert!(!is_there || contents(&folder.join(name)) == *content, "{name} has changed");
            is_there
        });
        for generation in &now {
            if !self.published.contains_key(&generation.name) {
                self.whole(generation);
                assert!(before.as_ref() < Some(&generation.name), "order");
                self.published.insert(generation.name.clone(), contents(&generation.path));
                self.saved = Some(self.round);
            }
        }
        let count = folder.read_dir().map_or(0, Iterator::count);
        assert_eq!(count, self.published.len(), "something else is among the generations");
        let newest = self.published.keys().next_back().cloned();
        // A kill may leave it where it was, and the next run may be killed before it puts it right.
        let latest = self.now_latest();
        let may = [&newest, &before, &self.latest];
        assert!(may.contains(&&latest), "latest is {latest:?}, it was {:?}, the newest is {newest:?}", self.latest);
        self.latest = latest;
    }

    fn whole(&self, generation: &Generation) {
        let quiet = crate::event::Quiet;
        let verdict = verify(&generation.folder(), Depth::Deep(&generation.digests()), &quiet, &Cancel::new()).unwrap();
        assert!(verdict.findings.is_empty(), "{:?}", verdict.findings);
        for (id, content) in payloads(&phone_of(self.seed, self.round)) {
            let path = generation.folder().join(&id[..2]).join(&id);
            assert!(std::fs::read(path).is_ok_and(|there| there == content), "{id}");
        }
        let beside: BTreeSet<_> = generation.path.read_dir().unwrap().map(|item| item.unwrap().file_name()).collect();
        let expected = ["digests.tsv", "generation.json", UDID].map(std::ffi::OsString::from);
        assert_eq!(beside, BTreeSet::from(expected), "nothing else is in a generation");
    }

    fn good_run(&mut self, full: bool) {
        let began = std::time::Instant::now();
        let ended = self.run(Task::Backup { full }, Cut::None);
        assert!(ended.fault.is_none(), "the next run fails: {ended:?}");
        (self.sent, self.heard, self.took) = (ended.sent, ended.heard, began.elapsed());
        let count = self.published.len();
        self.look(&[]);
        assert_eq!(self.published.len(), count + 1);
        assert_eq!(self.latest, ended.generation);
        let left: BTreeSet<String> = self
            .folder()
            .read_dir()
            .unwrap()
            .map(|item| item.unwrap().file_name().into_string().unwrap())
            .filter(|name| !["lock", "latest", "generations"].contains(&name.as_str()))
            .collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }

    fn task(&mut self) -> Task {
        match self.dice.below(12) {
            0 if self.saved.is_some() => Task::Restore,
            1 | 2 if self.published.len() > 1 => Task::Prune { keep: 1 + self.dice.below(2) as u32 },
            3 => Task::Password,
            other => Task::Backup { full: other > 9 },
        }
    }

    fn cut_of(&mut self, task: Task) -> Cut {
        let dice = &mut self.dice;
        // A run is somewhat longer or shorter than the last, and the end is where things move.
        let mut bytes = |all: u64| match dice.below(2) {
            0 => dice.below(all + all / 8),
            _ => all.saturating_sub(dice.below(6000)),
        };
        let (sent, heard) = match task {
            Task::Backup { .. } => (bytes(self.sent), bytes(self.heard)),
            Task::Password => (dice.below(700), dice.below(700)),
            _ => (dice.below(6000), dice.below(self.sent)),
        };
        let after = Cut::KillAfter(dice.below(self.took.as_micros() as u64 * 2));
        let at_name = Cut::KillAtName(dice.below(12), dice.below(400));
        match (dice.below(12), task) {
            (0 | 1, Task::Prune { .. }) => after,
            (_, Task::Prune { .. }) => at_name,
            (0..=2, _) => Cut::Cable(sent),
            (3, _) => Cut::CableBack(heard),
            (4 | 5, Task::Backup { .. }) => Cut::Quota(dice.below(sent + 1)),
            (6, Task::Backup { .. }) => Cut::Blocks(1 + dice.below(60)),
            (4..=7, _) => Cut::KillAt(sent),
            (8 | 9, Task::Backup { .. }) => at_name,
            _ => after,
        }
    }

    /// How many runs were really cut.
    fn live(&mut self) -> u64 {
        let mut cuts = 0;
        for _ in 0..self.dice.below(4) {
            self.round += 1;
            self.good_run(false);
        }
        for _ in 0..1 + self.dice.below(3) {
            let task = self.task();
            let cut = self.cut_of(task);
            if matches!(task, Task::Backup { .. }) {
                self.round += self.dice.below(2);
            }
            let names: Vec<String> = self.published.keys().cloned().collect();
            let ended = self.run(task, cut);
            is_clear(cut, &ended);
            cuts += u64::from(ended.killed || ended.fault.is_some());
            let may_go = match task {
                Task::Prune { keep } => &names[..names.len().saturating_sub(keep as usize)],
                _ => &[],
            };
            if matches!(task, Task::Backup { .. }) {
                self.interrupted = Some(self.round);
            }
            self.look(may_go);
        }
        for task in [Task::Restore, Task::Password] {
            if self.saved.is_some() && self.dice.below(4) == 0 {
                let ended = self.run(task, Cut::None);
                assert!(ended.fault.is_none(), "after the cuts: {ended:?}");
                self.look(&[]);
            }
        }
        self.round += self.dice.below(2);
        let full = self.dice.below(8) == 0;
        self.good_run(full);
        cuts
    }

    /// All that is known after something went wrong.
    fn account(&self) -> String {
        fn list(folder: &Path, lines: &mut Vec<String>) {
            let mut items: Vec<_> = folder.read_dir().into_iter().flatten().flatten().map(|item| item.path()).collect();
            items.sort();
            for path in items {
                match path.symlink_metadata() {
                    Ok(meta) if meta.is_dir() => {
                        lines.push(format!("{}/", path.display()));
                        list(&path, lines);
                    }
                    Ok(meta) => {
                        lines.push(format!("{} {} {:?}", path.display(), meta.len(), std::fs::read_link(&path).ok()))
                    }
                    Err(err) => lines.push(format!("{} {err}", path.display())),
                }
            }
        }
        let mut lines = self.history.clone();
        lines.push(format!("round {}, saved {:?}, interrupted {:?}", self.round, self.saved, self.interrupted));
        let known: Vec<_> = self.published.keys().collect();
        lines.push(format!("known generations {known:?}, latest {:?}", self.latest));
        list(&self.folder(), &mut lines);
        lines.join("\n")
    }
}

/// A cut that is noticed has the fault of its kind; one that came too late has none.
fn is_clear(cut: Cut, ended: &Ended) {
    let Some((code, text)) = &ended.fault else { return };
    let expected: &[Code] = match cut {
        Cut::Cable(_) | Cut::CableBack(_) => &[Code::LinkLost],
        Cut::Quota(_) => &[Code::DiskFull],
        // A file that must not grow is what a full disk is to the writer, under another number.
        Cut::Blocks(_) => &[Code::DiskError, Code::DiskFull],
        _ => &[],
    };
    assert!(expected.contains(code), "{cut:?} is told as {code}: {text}");
    let exit = match code {
        Code::DiskFull => 6,
        _ => 1,
    };
    assert_eq!(code.exit(), exit, "{code}");
}

#[test]
fn no_cut_costs_a_generation() {
    let seeds = match env("HERSTEL_CUT_SEED").map(|seed| seed.parse::<u64>().unwrap()) {
        Some(seed) => seed..seed + 1,
        None => 0..env("HERSTEL_CUTS").map_or(SEEDS, |count| count.parse().unwrap()),
    };
    let (next, failed) = (AtomicU64::new(seeds.start), Mutex::new(vec![]));
    let cuts = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from).min(8) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let dir = tempfile::tempdir().unwrap();
                    let mut world = World::new(dir.path(), seed);
                    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.live())) {
                        Ok(count) => drop(cuts.fetch_add(count, Ordering::Relaxed)),
                        Err(why) => {
                            let why = why.downcast_ref::<String>().cloned().unwrap_or_default();
                            let kept = dir.keep();
                            let account = format!("seed {seed}: {why}\n{}\n", world.account());
                            failed.lock().unwrap().push(format!("{account}kept in {}", kept.display()));
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    let (cuts, count) = (cuts.into_inner(), seeds.end - seeds.start);
    println!("{cuts} cuts in {count} lives");
    assert!(!failed.is_empty() || count < 100 || cuts * 2 >= count, "too few runs were cut: {cuts} of {count} lives");
    assert!(failed.is_empty(), "HERSTEL_CUT_SEED runs one of them again\n{}", failed.join("\n\n"));
}

/// Nothing by itself: what a run that may be killed and the full disk start.
#[test]
fn the_child_that_is_killed() {
    let Some(text) = env(CHILD) else { return };
    match text.strip_prefix("room ") {
        Some(room) => in_the_room(Path::new(room)),
        None => be_the_child(&text),
    }
}

/// A kill after the rename, and another one before the next run looked at the link: the link is behind by one, and
/// the run after that puts it right.
#[test]
fn latest_may_be_late_but_never_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(dir.path(), 7);
    for _ in 0..3 {
        world.round += 1;
        world.good_run(false);
    }
    let names: Vec<String> = world.published.keys().cloned().collect();
    std::fs::remove_file(world.folder().join("latest")).unwrap();
    std::os::unix::fs::symlink(format!("generations/{}", names[1]), world.folder().join("latest")).unwrap();
    world.latest = Some(names[1].clone());
    let ended = world.run(Task::Backup { full: false }, Cut::KillAfter(0));
    assert!(ended.killed);
    world.look(&[]);
    world.good_run(false);
}

/// A file system of a few megabytes, full at random: every write may fail, not only those of payloads. It needs a
/// kernel that lets everybody mount inside a namespace of their own; elsewhere the limits of files ([`Cut::Blocks`])
/// and of payloads ([`Cut::Quota`]) have to do.
#[test]
fn a_disk_that_is_full_costs_no_generation() {
    let room = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs -o size=4m none \"$0\" || { echo NO-ROOM; exit 0; }; exec \"$@\"";
    command.args(["-Urm", "sh", "-c", script]).arg(room.path()).arg(std::env::current_exe().unwrap());
    if let Err(err) = Command::new("unshare").arg("--version").output() {
        return eprintln!("no full disk here: {err}");
    }
    let Output { status, stdout, stderr } = as_child(&mut command, &format!("room {}", room.path().display()));
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    let refused = said.contains("NO-ROOM") || (!status.success() && said.contains("unshare:"));
    if refused {
        return eprintln!("no full disk here: {said}");
    }
    assert!(status.success() && said.contains("FULL-DISKS"), "{status}\n{said}");
}

fn in_the_room(room: &Path) {
    let (mut refused, mut went) = (0, 0);
    for seed in 1000..1040 {
        let vault = room.join("vault");
        let mut world = World::new(&vault, seed);
        for _ in 0..world.dice.below(3) {
            world.round += 1;
            world.good_run(false);
        }
        world.round += 1;
        let ballast = room.join("ballast");
        let stat = rustix::fs::statvfs(room).unwrap();
        let leave = world.dice.below(260_000);
        let size = (stat.f_bavail * stat.f_frsize).saturating_sub(leave);
        std::fs::write(&ballast, vec![0; size as usize]).unwrap();
        let full = world.dice.below(4) == 0;
        let ended = world.run(Task::Backup { full }, Cut::None);
        match &ended.fault {
            None => went += 1,
            Some((code, text)) => {
                assert_eq!(*code, Code::DiskFull, "seed {seed}, {leave} free: {text}");
                refused += 1;
            }
        }
        world.look(&[]);
        std::fs::remove_file(&ballast).unwrap();
        world.good_run(false);
        std::fs::remove_dir_all(&vault).unwrap();
    }
    assert!(refused > 10 && went > 3, "{refused} full, {went} not");
    println!("FULL-DISKS {refused}");
}
