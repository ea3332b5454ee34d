//! A bench in this process, and the built program as a child of it.
//!
//! The program is the one that people get (`CARGO_BIN_EXE_herstel`): it reaches the phones over the bench's
//! sockets and nothing else, with folders of its own and an environment that is made here, so nothing of the
//! machine that runs the tests leaks in. Each child has a deadline; one that passes it is killed and says so.
//! The phones live in this process, so a test can look into them: what they hold and what they remember.
#![allow(dead_code, reason = "each test file uses its part")]

use herstel::fault::{Code, Fault};
use herstel::virt::bench::Bench;
use herstel::virt::phone::Phone;
use herstel::virt::spec::BenchSpec;
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of the system image, unless told otherwise.
pub const IMAGE: u64 = 8 << 20;
/// What a run may take, unless told otherwise. The machine may be busy with other tests.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// A bench, with folders for one user of the program.
pub struct Rig {
    pub bench: Bench,
    folder: tempfile::TempDir,
}

impl Rig {
    /// Starts what `toml` describes; see [`herstel::virt::spec`].
    pub fn new(toml: &str) -> Rig {
        Rig::with_image(toml, IMAGE)
    }

    pub fn with_image(toml: &str, image: u64) -> Rig {
        let spec: BenchSpec = toml::from_str(toml).unwrap_or_else(|e| panic!("{e}\n{toml}"));
        // Socket paths are short: 107 bytes at most.
        let folder = tempfile::Builder::new().prefix("hb").tempdir_in("/tmp").unwrap();
        let bench = folder.path().join("b");
        fs::create_dir(&bench).unwrap();
        std::os::unix::fs::symlink(firmware_cache(), bench.join("ipsw")).unwrap();
        let bench = Bench::start(&bench, spec, image).unwrap_or_else(|e| panic!("the bench does not start: {e}"));
        Rig { bench, folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn phone(&self) -> &Arc<Phone> {
        &self.bench.phones[0]
    }

    /// The default vault of the program.
    pub fn vault(&self) -> PathBuf {
        self.path("data/herstel/vault")
    }

    pub fn store(&self) -> PathBuf {
        self.path("cache/herstel/firmware")
    }

    pub fn jobs(&self) -> PathBuf {
        self.path("state/herstel/jobs")
    }

    /// The records of the newest job; empty without a job. A torn last line is left out.
    pub fn journal(&self) -> Vec<Value> {
        let mut jobs: Vec<PathBuf> =
            fs::read_dir(self.jobs()).into_iter().flatten().flatten().map(|e| e.path()).collect();
        jobs.sort();
        let Some(text) = jobs.last().and_then(|job| fs::read_to_string(job.join("journal.jsonl")).ok()) else {
            return Vec::new();
        };
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The built program with `args`, its standard input closed.
    pub fn command(&self, args: &[impl AsRef<std::ffi::OsStr>]) -> Command {
        self.outside(env!("CARGO_BIN_EXE_herstel"), args, false)
    }

    /// Any program that is to see this bench and nothing else; with `emulated`, inside its USB bus.
    pub fn outside(&self, program: &str, args: &[impl AsRef<std::ffi::OsStr>], emulated: bool) -> Command {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).env_clear();
        command.envs(self.environment(emulated)).current_dir(self.folder.path());
        command
    }

    fn environment(&self, emulated: bool) -> Vec<(OsString, OsString)> {
        let mut list: Vec<(OsString, OsString)> = vec![
            ("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()),
            ("LC_ALL".into(), "C".into()),
            ("RUST_BACKTRACE".into(), "0".into()),
            ("HOME".into(), self.path("home").into()),
        ];
        for (key, name) in [
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_DATA_HOME", "data"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_STATE_HOME", "state"),
            ("XDG_RUNTIME_DIR", "runtime"),
        ] {
            list.push((key.into(), self.path(name).into()));
        }
        list.extend(self.bench.environment(emulated));
        list
    }

    /// Runs the program to its end.
    pub fn run(&self, args: &[impl AsRef<std::ffi::OsStr>]) -> Ran {
        run(self.command(args), DEADLINE)
    }

    /// Runs the program and insists that it went well.
    pub fn good(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert!(ran.code == Some(0), "{args:?} was to go well\n{ran}");
        ran
    }
}

/// IPSWs are built once a test program, not once a bench.
fn firmware_cache() -> &'static Path {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(concat!(env!("CARGO_CRATE_NAME"), "-ipsw"));
        // What an earlier build of the bench made is not believed.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    })
}

/// How a child ended, and all that it said.
pub struct Ran {
    /// None: a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
    pub took: Duration,
    /// It passed its deadline and was killed.
    pub hung: bool,
}

impl Ran {
    /// The JSON lines of standard output. Anything else there is a failure.
    pub fn lines(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("no JSON: {e}: {line:?}\n{self}"));
        self.out.lines().map(parse).collect()
    }

    /// Lines whose `event` is this one.
    pub fn events(&self, event: &str) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["event"] == event).collect()
    }

    /// The one `finished` line, which is the last.
    pub fn finished(&self) -> Value {
        let lines = self.lines();
        let count = lines.iter().filter(|line| line["event"] == "finished").count();
        let last = lines.into_iter().next_back().unwrap_or_default();
        assert!(count == 1 && last["event"] == "finished", "{count} finished lines, or not the last one\n{self}");
        last
    }

    pub fn fault(&self) -> Option<Fault> {
        let fault = self.finished()["fault"].take();
        if fault.is_null() {
            return None;
        }
        Some(serde_json::from_value(fault).unwrap_or_else(|e| panic!("no fault of ours: {e}\n{self}")))
    }

    pub fn code_of_fault(&self) -> Option<Code> {
        self.fault().map(|fault| fault.code)
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hung = if self.hung { ", killed at its deadline" } else { "" };
        writeln!(f, "exit {:?} after {:.1} s{hung}", self.code, self.took.as_secs_f64())?;
        writeln!(f, "-- standard output\n{}\n-- standard error\n{}", tail(&self.out, 24_000), self.err)
    }
}

fn tail(text: &str, bytes: usize) -> &str {
    let mut from = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

/// Runs `command` to its end, or kills it at the deadline.
pub fn run(mut command: Command, deadline: Duration) -> Ran {
    let begun = Instant::now();
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{:?}: {e}", command.get_program()));
    let out = collect(child.stdout.take());
    let err = collect(child.stderr.take());
    let (code, hung) = wait(&mut child, begun + deadline);
    let text = |thread: thread::JoinHandle<Vec<u8>>| String::from_utf8_lossy(&thread.join().unwrap()).into_owned();
    Ran { code, hung, out: text(out), err: text(err), took: begun.elapsed() }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

fn wait(child: &mut Child, until: Instant) -> (Option<i32>, bool) {
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code(), false);
        }
        if Instant::now() >= until {
            let _ = child.kill();
            let _ = child.wait();
            return (None, true);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Every file and link below `folder` with its size, by path; empty when there is no such folder.
pub fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    fn walk(folder: &Path, root: &Path, out: &mut Vec<(PathBuf, u64)>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let meta = fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                walk(&path, root, out);
            } else {
                out.push((path.strip_prefix(root).unwrap().to_owned(), meta.len()));
            }
        }
    }
    let mut out = Vec::new();
    walk(folder, folder, &mut out);
    out.sort();
    out
}

/// Copies a folder with everything in it.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let meta = fs::symlink_metadata(&from).unwrap();
        if meta.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&from).unwrap(), to).unwrap();
        } else if meta.is_dir() {
            copy_folder(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}
