//! One run of a life, whatever becomes of it: in this process, or in one of its own that may be killed.

use super::*;
use crate::fault::Code;
use rustix::fs::inotify;
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output};

pub const CHILD: &str = "HERSTEL_CUT_CHILD";
const CHILD_TEST: &str = "backup::tests::cut::the_child_that_is_killed";

#[expect(clippy::disallowed_methods, reason = "how many cuts, and what the child is")]
pub fn env(key: &str) -> Option<String> {
    std::env::var(key).ok()
}

/// SplitMix64.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.roll() % end.max(1)
    }
}

/// The phone as it is in a round: each one changes, adds and removes something, and nothing comes back.
pub fn phone_of(seed: u64, round: u64) -> FakePhone {
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

pub fn payloads(phone: &FakePhone) -> BTreeMap<String, Vec<u8>> {
    phone.files.iter().map(|((domain, path), content)| (fake::file_id(domain, path), content.clone())).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    Backup {
        full: bool,
    },
    /// The newest generation, onto the phone.
    Restore,
    Password,
    /// All but so many go.
    Prune {
        keep: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cut {
    None,
    /// After so many bytes from the phone the cable is out.
    Cable(u64),
    /// After so many bytes to the phone.
    CableBack(u64),
    /// So many bytes fit.
    Quota(u64),
    /// No file may be longer than so many blocks of 512 bytes.
    Blocks(u64),
    /// The process dies after so many bytes from the phone.
    KillAt(u64),
    /// The process dies after so many microseconds.
    KillAfter(u64),
    /// The process dies so many microseconds after so many names came, went or moved in the device's folders.
    KillAtName(u64, u64),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    pub vault: PathBuf,
    pub seed: u64,
    pub round: u64,
    /// The round of the newest generation.
    pub saved: Option<u64>,
    /// The phone still has what it sent in the run before.
    pub resumes: bool,
    pub task: Task,
    pub cut: Cut,
}

/// What became of a run.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    pub fault: Option<(Code, String)>,
    pub killed: bool,
    /// Of a backup that went well.
    pub generation: Option<String>,
    pub sent: u64,
    pub heard: u64,
}

impl Run {
    pub fn go(&self) -> Ended {
        match self.cut {
            Cut::Blocks(_) | Cut::KillAt(_) | Cut::KillAfter(_) | Cut::KillAtName(..) => self.in_child(),
            _ => self.here(),
        }
    }

    fn here(&self) -> Ended {
        let mut phone = phone_of(self.seed, self.round);
        phone.saved = self.saved.map(|round| payloads(&phone_of(self.seed, round))).unwrap_or_default();
        phone.script.resumes = self.resumes;
        match self.cut {
            Cut::Cable(bytes) => phone.script.cut_after = Some(bytes),
            Cut::CableBack(bytes) => phone.script.deaf_after = Some(bytes),
            Cut::KillAt(bytes) => (phone.script.cut_after, phone.script.kills) = (Some(bytes), true),
            _ => {}
        }
        let mut thread = None;
        let open = || {
            let (host, serving) = phone.serve();
            thread = Some(serving);
            Ok(host)
        };
        let done = self.run_task(open);
        let seen = thread.and_then(|thread| thread.join().ok()).map(|(_, seen)| seen).unwrap_or_default();
        if self.task == Task::Restore && done.is_ok() {
            assert!(seen.restored == payloads(&phone_of(self.seed, self.round)), "{self:?}: put back something else");
        }
        let (generation, fault) = match done {
            Ok(generation) => (generation, None),
            Err(fault) => (None, Some((fault.code, fault.to_string()))),
        };
        Ended { fault, killed: false, generation, sent: seen.sent, heard: seen.heard }
    }

    fn run_task(&self, open: impl FnOnce() -> Result<UnixStream, Fault>) -> Result<Option<String>, Fault> {
        let (vault, tell, cancel) = (Vault::new(&self.vault), Recorder::default(), Cancel::new());
        match self.task {
            Task::Backup { full } => {
                let info = InfoFacts { udid: UDID.into(), ..InfoFacts::default() };
                let options = BackupOptions { full, patience: patience() };
                if let Cut::Quota(bytes) = self.cut {
                    return with_quota(&vault, bytes, &info, &options, open, &tell);
                }
                let saved = save(&vault, &udid(), Some(&info), &options, open, |_| (), &tell, &cancel)?;
                Ok(Some(saved.generation.name))
            }
            Task::Restore => {
                let generation = vault.generation(&udid(), None)?;
                let tree = WorkTree::open_read_only(&generation.path, UDID)?;
                restore(&mut open()?, &udid(), &tree, &RestoreOptions::default(), patience(), &tell, &cancel)?;
                Ok(None)
            }
            Task::Password => {
                let (old, new) = (Password::new("right"), Password::new("next"));
                change_password(&mut open()?, &udid(), Some(&old), Some(&new), patience(), &tell, &cancel)?;
                Ok(None)
            }
            Task::Prune { keep } => {
                let keep = Keep { last: Some(keep), days: None };
                let plan = vault.plan_prune(&udid(), &keep, jiff::Timestamp::now(), &tell, &cancel)?;
                vault.take(&udid())?.remove(&plan, &cancel)?;
                Ok(None)
            }
        }
    }

    /// In a process of its own.
    fn in_child(&self) -> Ended {
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
        let Output { status, stdout, stderr } = as_child(&mut command, &serde_json::to_string(self).unwrap());
        let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        let killed = status.signal() == Some(9) && !matches!(self.cut, Cut::Blocks(_));
        let ended = said.lines().find_map(|line| line.split_once("RUN ENDED ")).map(|(_, word)| word);
        assert!(killed || (status.success() && ended.is_some()), "{self:?}: {status}\n{said}");
        let fault = ended.filter(|word| !killed && *word != "well").map(|word| {
            let (code, text) = word.split_once('|').unwrap();
            (serde_json::from_value(code.into()).unwrap(), text.to_owned())
        });
        Ended { fault, killed, ..Ended::default() }
    }
}

pub fn as_child(command: &mut Command, text: &str) -> Output {
    let arguments = ["--exact", CHILD_TEST, "--nocapture", "--test-threads=1"];
    command.args(arguments).env(CHILD, text).output().unwrap()
}

/// What the child does: the run, with somebody beside it who kills it all.
pub fn be_the_child(text: &str) {
    let run: Run = serde_json::from_str(text).unwrap();
    let kill = || kill_process(getpid(), Signal::KILL);
    match run.cut {
        Cut::KillAfter(micros) => drop(std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(micros));
            kill()
        })),
        Cut::KillAtName(count, micros) => {
            let names = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
            for folder in [run.vault.join(UDID), run.vault.join(UDID).join("generations")] {
                std::fs::create_dir_all(&folder).unwrap();
                let kinds = inotify::WatchFlags::CREATE | inotify::WatchFlags::DELETE | inotify::WatchFlags::MOVE;
                inotify::add_watch(&names, &folder, kinds).unwrap();
            }
            std::thread::spawn(move || {
                let mut space = [std::mem::MaybeUninit::uninit(); 4096];
                let mut events = inotify::Reader::new(names, &mut space);
                for _ in 0..=count {
                    events.next().unwrap();
                }
                std::thread::sleep(Duration::from_micros(micros));
                kill()
            });
        }
        _ => {}
    }
    match run.here().fault {
        None => println!("RUN ENDED well"),
        Some((code, text)) => println!("RUN ENDED {code}|{text}"),
    }
}

/// As [`save`], with a limit to what may be received.
fn with_quota(
    vault: &Vault,
    bytes: u64,
    info: &InfoFacts,
    options: &BackupOptions,
    open: impl FnOnce() -> Result<UnixStream, Fault>,
    tell: &Recorder,
) -> Result<Option<String>, Fault> {
    let desk = vault.take(&udid())?;
    let work = desk.begin(options.full, tell, &Cancel::new())?;
    work.put_info(info)?;
    work.tree().limit(bytes);
    match backup(&mut open()?, &udid(), work.tree(), options, tell, &Cancel::new()) {
        Ok(received) => work.publish(&received, tell, &Cancel::new()).map(|(generation, _)| Some(generation.name)),
        Err(fault) => work.give_up().and(Err(fault)),
    }
}
