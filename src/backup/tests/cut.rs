//! Cuts at random: the cable, the disk, the process.
//!
//! Each seed is the life of one vault: good runs, then cuts, then a good run. After every cut no published generation
//! has changed in a byte, nothing that counts as a generation is half, `latest` leads to one of them; and the run
//! after the cuts succeeds, with all that the phone holds. A seed that failed is printed; `HERSTEL_CUT_SEED` runs it
//! alone, `HERSTEL_CUTS` sets how many there are.
//!
//! Kills are real: the test starts its own program again, which runs a backup and kills itself, by the phone's thread
//! after so many bytes, or by the clock wherever it is. The clock makes those seeds a lottery with the same tickets,
//! not a replay.

use super::*;
use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};

const CHILD: &str = "HERSTEL_CUT_CHILD";
const CHILD_TEST: &str = "backup::tests::cut::the_child_that_is_killed";
const SEEDS: u64 = 300;

#[expect(clippy::disallowed_methods, reason = "how many cuts, and what the child is")]
fn env(key: &str) -> Option<String> {
    std::env::var(key).ok()
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end.max(1)
    }
}

/// The phone as it is in a round: each one changes, adds and removes something, and nothing comes back.
fn phone_of(seed: u64, round: u64) -> FakePhone {
    let mut dice = Dice(seed);
    let mut phone = FakePhone::new(6 + dice.below(24) as usize);
    for round in 1..=round {
        for _ in 0..dice.below(6) {
            let path = format!("Media/DCIM/IMG_{:04}.JPG", dice.below(40));
            let content: Vec<u8> = (0..dice.below(9000)).map(|_| dice.roll() as u8).collect();
            phone.set("CameraRollDomain", &path, &content);
        }
        phone.set("HomeDomain", &format!("Library/{round}"), &[round as u8; 100]);
        phone.files.remove(&("HomeDomain".to_owned(), format!("Library/{}", round - 1)));
    }
    phone
}

fn payloads(phone: &FakePhone) -> BTreeMap<String, Vec<u8>> {
    phone.files.iter().map(|((domain, path), content)| (fake::file_id(domain, path), content.clone())).collect()
}

/// One run, whatever becomes of it.
#[derive(Clone, Debug)]
struct Run {
    vault: PathBuf,
    seed: u64,
    round: u64,
    /// The round of the newest generation.
    saved: Option<u64>,
    full: bool,
    /// The phone still has what it sent in the run before.
    resumes: bool,
    cut: Cut,
}

#[derive(Clone, Copy, Debug)]
enum Cut {
    None,
    /// After so many bytes from the phone the cable is out.
    Cable(u64),
    /// So many bytes fit.
    Quota(u64),
    /// No file may be longer than so many blocks of 512 bytes.
    Blocks(u64),
    /// The process dies after so many bytes from the phone.
    KillAt(u64),
    /// The process dies after so many microseconds.
    KillAfter(u64),
}

impl Run {
    fn here(&self) -> (Result<Generation, Fault>, u64) {
        let mut phone = phone_of(self.seed, self.round);
        phone.saved = self.saved.map(|round| payloads(&phone_of(self.seed, round))).unwrap_or_default();
        phone.script.resumes = self.resumes;
        match self.cut {
            Cut::Cable(bytes) => phone.script.cut_after = Some(bytes),
            Cut::KillAt(bytes) => (phone.script.cut_after, phone.script.kills) = (Some(bytes), true),
            _ => {}
        }
        let (vault, tell, cancel) = (Vault::new(&self.vault), Recorder::default(), Cancel::new());
        let info = InfoFacts { udid: UDID.into(), ..InfoFacts::default() };
        let options = BackupOptions { full: self.full, patience: patience() };
        let mut thread = None;
        let open = || {
            let (host, serving) = phone.serve();
            thread = Some(serving);
            Ok(host)
        };
        let done = if let Cut::Quota(bytes) = self.cut {
            with_quota(&vault, bytes, &info, &options, open, &tell)
        } else {
            save(&vault, &udid(), Some(&info), &options, open, &tell, &cancel).map(|saved| saved.generation)
        };
        let seen = thread.and_then(|thread| thread.join().ok());
        (done, seen.map_or(0, |(_, seen)| seen.sent))
    }

    fn text(&self) -> String {
        let saved = self.saved.map_or("-".to_owned(), |round| round.to_string());
        let (kind, amount) = match self.cut {
            Cut::KillAt(bytes) => ("bytes", bytes),
            Cut::KillAfter(micros) => ("micros", micros),
            _ => ("none", 0),
        };
        let vault = self.vault.display();
        format!("{} {} {saved} {} {} {kind} {amount} {vault}", self.seed, self.round, self.full, self.resumes)
    }

    fn parse(text: &str) -> Self {
        let mut parts = text.splitn(8, ' ');
        let mut next = || parts.next().unwrap();
        let (seed, round) = (next().parse().unwrap(), next().parse().unwrap());
        let (saved, full, resumes) = (next().parse().ok(), next() == "true", next() == "true");
        let (kind, amount) = (next(), next().parse().unwrap());
        let cut = match kind {
            "bytes" => Cut::KillAt(amount),
            "micros" => Cut::KillAfter(amount),
            _ => Cut::None,
        };
        Run { vault: next().into(), seed, round, saved, full, resumes, cut }
    }

    /// In a process of its own. Was it cut?
    fn in_child(&self) -> bool {
        let mut command = match self.cut {
            // The signal is ignored, so the write fails.
            Cut::Blocks(count) => {
                let mut shell = Command::new("sh");
                let script = format!("trap '' XFSZ; ulimit -f {count}; exec \"$0\" \"$@\"");
                shell.args(["-c", &script]).arg(std::env::current_exe().unwrap());
                shell
            }
            _ => Command::new(std::env::current_exe().unwrap()),
        };
        let Output { status, stdout, stderr } = as_child(&mut command, &self.text());
        let said = || format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        let killed = status.signal() == Some(9) && matches!(self.cut, Cut::KillAt(_) | Cut::KillAfter(_));
        let ended = ["RUN FAILED", "RUN DONE"].map(|word| said().contains(word));
        assert!(killed || (status.success() && ended.contains(&true)), "{self:?}: {status}\n{}", said());
        killed || ended[0]
    }
}

fn as_child(command: &mut Command, text: &str) -> Output {
    let arguments = ["--exact", CHILD_TEST, "--nocapture", "--test-threads=1"];
    command.args(arguments).env(CHILD, text).output().unwrap()
}

/// As [`save`], with a limit to what may be received.
fn with_quota(
    vault: &Vault,
    bytes: u64,
    info: &InfoFacts,
    options: &BackupOptions,
    open: impl FnOnce() -> Result<std::os::unix::net::UnixStream, Fault>,
    tell: &Recorder,
) -> Result<Generation, Fault> {
    let desk = vault.take(&udid())?;
    let work = desk.begin(options.full, tell, &Cancel::new())?;
    work.put_info(info)?;
    work.tree().limit(bytes);
    match backup(&mut open()?, &udid(), work.tree(), options, tell, &Cancel::new()) {
        Ok(received) => work.publish(&received, tell, &Cancel::new()).map(|(generation, _)| generation),
        Err(fault) => work.give_up().and(Err(fault)),
    }
}

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
    /// Bytes that the phone sent in the last good run, and how long it took.
    sent: u64,
    took: Duration,
}

impl World {
    fn new(vault: &Path, seed: u64) -> Self {
        let vault = vault.to_owned();
        let (dice, took) = (Dice(!seed), Duration::from_millis(30));
        let published = BTreeMap::new();
        World { vault, seed, dice, round: 0, saved: None, interrupted: None, published, sent: 60_000, took }
    }

    fn run(&self, full: bool, cut: Cut) -> Run {
        let resumes = self.interrupted == Some(self.round);
        Run { vault: self.vault.clone(), seed: self.seed, round: self.round, saved: self.saved, full, resumes, cut }
    }

    fn folder(&self) -> PathBuf {
        self.vault.join(UDID)
    }

    fn generations(&self) -> Vec<Generation> {
        Vault::new(&self.vault).generations(&udid()).unwrap()
    }

    fn latest(&self) -> Option<String> {
        let to = std::fs::read_link(self.folder().join("latest")).ok()?;
        Some(to.strip_prefix("generations").unwrap().to_str().unwrap().to_owned())
    }

    /// Nothing published was lost or changed; a new generation may have come, and then it is whole.
    fn look(&mut self, why: &str) {
        let before = self.published.keys().next_back().cloned();
        let now = self.generations();
        let names: BTreeSet<&str> = now.iter().map(|g| g.name.as_str()).collect();
        for (name, content) in &self.published {
            assert!(names.contains(name.as_str()), "{why}: {name} is lost");
            let path = self.folder().join("generations").join(name);
            assert!(contents(&path) == *content, "{why}: {name} has changed");
        }
        for generation in &now {
            if !self.published.contains_key(&generation.name) {
                self.whole(generation, why);
                assert!(before.as_ref() < Some(&generation.name), "{why}: order");
                self.published.insert(generation.name.clone(), contents(&generation.path));
                self.saved = Some(self.round);
            }
        }
        let folder = self.folder().join("generations");
        let count = folder.read_dir().map_or(0, Iterator::count);
        assert_eq!(count, self.published.len(), "{why}: something else is among the generations");
        let newest = self.published.keys().next_back().cloned();
        let latest = self.latest();
        assert!(latest == newest || latest == before, "{why}: latest is {latest:?}");
    }

    fn whole(&self, generation: &Generation, why: &str) {
        let quiet = crate::event::Quiet;
        let verdict = verify(&generation.folder(), Depth::Deep(&generation.digests()), &quiet, &Cancel::new()).unwrap();
        assert!(verdict.findings.is_empty(), "{why}: {:?}", verdict.findings);
        for (id, content) in payloads(&phone_of(self.seed, self.round)) {
            let path = generation.folder().join(&id[..2]).join(&id);
            assert!(std::fs::read(path).is_ok_and(|there| there == content), "{why}: {id}");
        }
    }

    fn good_run(&mut self, full: bool, why: &str) {
        let began = std::time::Instant::now();
        let (done, sent) = self.run(full, Cut::None).here();
        let generation = done.unwrap_or_else(|fault| panic!("{why}: the next run fails: {fault}"));
        (self.sent, self.took) = (sent, began.elapsed());
        let count = self.published.len();
        self.look(why);
        assert_eq!(self.published.len(), count + 1, "{why}");
        assert_eq!(self.latest().as_deref(), Some(generation.name.as_str()), "{why}");
        let left: BTreeSet<String> = self
            .folder()
            .read_dir()
            .unwrap()
            .map(|item| item.unwrap().file_name().into_string().unwrap())
            .filter(|name| !["lock", "latest", "generations"].contains(&name.as_str()))
            .collect();
        assert!(left.is_empty(), "{why}: left behind: {left:?}");
    }

    fn cut(&self, dice: &mut Dice) -> Cut {
        // A run is somewhat longer or shorter than the last.
        let bytes = match dice.below(2) {
            0 => dice.below(self.sent + self.sent / 8),
            // The end is where things move.
            _ => self.sent.saturating_sub(dice.below(6000)),
        };
        let micros = dice.below(self.took.as_micros() as u64 * 2);
        match dice.below(10) {
            0..=2 => Cut::Cable(bytes),
            3 | 4 => Cut::Quota(dice.below(bytes + 1)),
            5 => Cut::Blocks(1 + dice.below(60)),
            6 | 7 => Cut::KillAt(bytes),
            _ => Cut::KillAfter(micros),
        }
    }

    /// How many runs were really cut.
    fn live(&mut self) -> u64 {
        let mut cuts = 0;
        for _ in 0..self.dice.below(3) {
            self.round += 1;
            self.good_run(false, &format!("seed {}, at first", self.seed));
        }
        for number in 0..1 + self.dice.below(3) {
            self.round += self.dice.below(2);
            let (mut dice, full) = (Dice(self.dice.roll()), self.dice.below(5) == 0);
            let cut = self.cut(&mut dice);
            let run = self.run(full, cut);
            let was_cut = match cut {
                Cut::Blocks(_) | Cut::KillAt(_) | Cut::KillAfter(_) => run.in_child(),
                _ => run.here().0.is_err(),
            };
            cuts += u64::from(was_cut);
            self.interrupted = Some(self.round);
            self.look(&format!("seed {}, cut {number}: {run:?}", self.seed));
        }
        self.round += self.dice.below(2);
        let full = self.dice.below(8) == 0;
        self.good_run(full, &format!("seed {}, after the cuts", self.seed));
        cuts
    }
}

#[test]
fn no_cut_costs_a_generation() {
    let seeds = match env("HERSTEL_CUT_SEED").map(|seed| seed.parse::<u64>().unwrap()) {
        Some(seed) => seed..seed + 1,
        None => 0..env("HERSTEL_CUTS").map_or(SEEDS, |count| count.parse().unwrap()),
    };
    let (next, failed) = (AtomicU64::new(seeds.start), std::sync::Mutex::new(vec![]));
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
                    let life = std::panic::AssertUnwindSafe(|| World::new(dir.path(), seed).live());
                    match std::panic::catch_unwind(life) {
                        Ok(count) => drop(cuts.fetch_add(count, Ordering::Relaxed)),
                        Err(_) => failed.lock().unwrap().push(seed),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    let (cuts, count) = (cuts.into_inner(), seeds.end - seeds.start);
    println!("{cuts} cuts in {count} lives");
    assert!(!failed.is_empty() || count < 100 || cuts >= count, "too few runs were cut: {cuts} of {count} lives");
    assert!(failed.is_empty(), "seeds that failed (HERSTEL_CUT_SEED runs one of them again): {failed:?}");
}

/// Nothing by itself: what [`Run::in_child`] and the full disk start.
#[test]
fn the_child_that_is_killed() {
    let Some(text) = env(CHILD) else { return };
    if let Some(room) = text.strip_prefix("room ") {
        return in_the_room(Path::new(room));
    }
    let run = Run::parse(&text);
    if let Cut::KillAfter(micros) = run.cut {
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(micros));
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
        });
    }
    println!("RUN {}", if run.here().0.is_ok() { "DONE" } else { "FAILED" });
}

/// A file system of a few megabytes, full at random: every write may fail, not only those of payloads. It needs a
/// kernel that lets everybody mount inside a namespace of their own.
#[test]
fn a_disk_that_is_full_costs_no_generation() {
    let room = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs -o size=4m none \"$0\" || { echo NO-ROOM; exit 0; }; exec \"$@\"";
    command.args(["-Urm", "sh", "-c", script]).arg(room.path()).arg(std::env::current_exe().unwrap());
    let text = format!("room {}", room.path().display());
    let arguments = ["--exact", CHILD_TEST, "--nocapture", "--test-threads=1"];
    let Ok(Output { status, stdout, stderr }) = command.args(arguments).env(CHILD, text).output() else { return };
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    let refused = said.contains("NO-ROOM") || (!status.success() && said.contains("unshare:"));
    if refused {
        eprintln!("no full disk here: {said}");
        return;
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
            world.good_run(false, &format!("seed {seed}, at first"));
        }
        world.round += 1;
        let ballast = room.join("ballast");
        let stat = rustix::fs::statvfs(room).unwrap();
        let leave = world.dice.below(260_000);
        let size = (stat.f_bavail * stat.f_frsize).saturating_sub(leave);
        std::fs::write(&ballast, vec![0; size as usize]).unwrap();
        let full = world.dice.below(4) == 0;
        let run = world.run(full, Cut::None);
        match run.here().0 {
            Ok(_) => went += 1,
            Err(fault) => {
                assert_eq!(fault.code, crate::fault::Code::DiskFull, "seed {seed}, {leave} free: {fault}");
                refused += 1;
            }
        }
        world.look(&format!("seed {seed}, {leave} free: {run:?}"));
        std::fs::remove_file(&ballast).unwrap();
        world.good_run(false, &format!("seed {seed}, with room again"));
        std::fs::remove_dir_all(&vault).unwrap();
    }
    assert!(refused > 10 && went > 3, "{refused} full, {went} not");
    println!("FULL-DISKS {refused}");
}
