//! One bad input, and what must come of it.
//!
//! A case is data: what is on the bench, what is typed, how it ends. Beside what each case asks for itself,
//! every one is held to the same law: it ends by itself, with the exit code of the design, with one
//! `finished` line that is the last, whose fault has code, stage, class, advice and a technical detail; the
//! text for people says what happened and what to do; nothing panics; a phone's data, older backups and
//! files outside the vault are as they were, unless the case says that they may change; and a job that broke
//! off can be taken up again.

use super::bench::{self, Ran, Rig, files};
use herstel::fault::Code;
use herstel::say::{self, Lang};
use serde_json::{Value, json};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Cases at the same time; those that mostly wait come on top.
const AT_ONCE: usize = 3;

type Before = Box<dyn Fn(&Rig) + Send + Sync>;
type After = Box<dyn Fn(&Rig, &Ran) + Send + Sync>;

pub struct Case {
    pub name: &'static str,
    phone: String,
    more_phones: String,
    apple: String,
    args: Vec<String>,
    exit: i32,
    code: Option<Code>,
    stage: Option<&'static str>,
    before: Vec<Before>,
    after: Vec<After>,
    around: Option<fn(&Rig, &[String]) -> std::process::Command>,
    waits: bool,
    haste: u32,
    data_may_go: bool,
    vault_may_grow: bool,
    deadline: Duration,
}

/// A case that goes well unless told otherwise, with one trusted phone.
pub fn case(name: &'static str) -> Case {
    Case {
        name,
        phone: String::new(),
        more_phones: String::new(),
        apple: String::new(),
        args: Vec::new(),
        exit: 0,
        code: None,
        stage: None,
        before: Vec::new(),
        after: Vec::new(),
        around: None,
        waits: false,
        haste: 1,
        data_may_go: false,
        vault_may_grow: false,
        deadline: bench::DEADLINE,
    }
}

impl Case {
    /// Keys of the phone, e.g. `trust = 'denied'` or `faults.mux.lockdown_silent = true`, one a line.
    pub fn phone(mut self, toml: &str) -> Self {
        self.phone = toml.to_owned();
        self
    }

    /// A second phone.
    pub fn and_phone(mut self, toml: &str) -> Self {
        self.more_phones += &format!("\n[[phone]]\n{toml}\n");
        self
    }

    /// Knobs of Apple's servers.
    pub fn apple(mut self, toml: &str) -> Self {
        self.apple = toml.to_owned();
        self
    }

    /// What is typed after `herstel --json`; `{ecid}`, `{udid}`, `{ipsw}` and `{dir}` are filled in.
    pub fn run(mut self, args: &str) -> Self {
        self.args = args.split_whitespace().map(str::to_owned).collect();
        self
    }

    /// It fails with this fault at this stage.
    pub fn fails(mut self, exit: i32, code: Code, stage: &'static str) -> Self {
        (self.exit, self.code, self.stage) = (exit, Some(code), Some(stage));
        self
    }

    /// Done before the program starts.
    pub fn before(mut self, f: impl Fn(&Rig) + Send + Sync + 'static) -> Self {
        self.before.push(Box::new(f));
        self
    }

    /// What must hold afterwards.
    pub fn after(mut self, f: impl Fn(&Rig, &Ran) + Send + Sync + 'static) -> Self {
        self.after.push(Box::new(f));
        self
    }

    /// How the program is started, if not plainly.
    pub fn around(mut self, f: fn(&Rig, &[String]) -> std::process::Command) -> Self {
        self.around = Some(f);
        self
    }

    /// A limit of the product has to pass: it takes long and costs nothing.
    pub fn waits(mut self) -> Self {
        self.waits = true;
        self
    }

    /// The same with limits that are so many times shorter.
    pub fn waits_shortened(mut self, times: u32) -> Self {
        self.haste = times;
        self.waits()
    }

    /// By then the erase has begun, or a backup was put back.
    pub fn data_may_go(mut self) -> Self {
        self.data_may_go = true;
        self
    }

    /// A backup is made before the failure, or in spite of it.
    pub fn vault_may_grow(mut self) -> Self {
        self.vault_may_grow = true;
        self
    }

    fn toml(&self) -> String {
        let mut phone = self.phone.clone();
        let key = |line: &str| line.split(['=', '.']).next().unwrap_or_default().trim().to_owned();
        let given: Vec<String> = phone.lines().map(key).collect();
        for (key, value) in [
            ("model", "'iphone13'"),
            ("trust", "'trusted'"),
            ("photos", "4"),
            ("photo_bytes", "60000"),
            ("small_files", "40"),
        ] {
            if !given.iter().any(|g| g == key) {
                phone += &format!("\n{key} = {value}");
            }
        }
        format!("pace = 100.0\n[apple]\n{}\n[[phone]]\n{phone}\n{}", self.apple, self.more_phones)
    }

    /// # Panics
    /// When something is not as it must be; the text has all that the program said.
    fn check(&self) {
        let rig = Rig::new(&self.toml());
        self.before.iter().for_each(|f| f(&rig));
        let phone = rig.phone();
        let fill = |arg: &String| {
            let ipsw = rig.bench.firmware.first().map(|f| f.path.display().to_string()).unwrap_or_default();
            arg.replace("{ecid}", &phone.ecid.to_string())
                .replace("{udid}", phone.udid.as_str())
                .replace("{ipsw}", &ipsw)
                .replace("{dir}", &rig.path("").display().to_string())
        };
        let args: Vec<String> = ["--json".to_owned()].into_iter().chain(self.args.iter().map(fill)).collect();
        let digest = phone.files.digest_of_user_data();
        let generations = generations(&rig);
        let mut command = match self.around {
            Some(around) => around(&rig, &args),
            None => rig.command(&args),
        };
        if self.haste > 1 {
            command.env("HERSTEL_BENCH_HASTE", self.haste.to_string());
        }
        let ran = bench::run(command, self.deadline);
        assert!(!ran.hung, "it hangs\n{ran}");
        assert!(!ran.err.contains("panicked at"), "it panics\n{ran}");
        self.judge(&ran);
        if !self.data_may_go {
            assert_eq!(phone.files.digest_of_user_data(), digest, "the phone's data changed\n{ran}");
        }
        let now = self::generations(&rig);
        if !self.vault_may_grow {
            assert!(now == generations, "the vault changed\n{ran}");
        }
        assert!(generations.iter().all(|g| now.contains(g)), "an older backup was lost\n{ran}");
        self.judge_journal(&rig, &ran);
        self.after.iter().for_each(|f| f(&rig, &ran));
    }

    fn judge(&self, ran: &Ran) {
        let fault = ran.fault();
        let found = fault.as_ref().map(|f| f.code);
        assert_eq!(found, self.code, "another fault\n{ran}");
        assert_eq!(ran.code, Some(self.exit), "another exit code\n{ran}");
        let outcome = match self.exit {
            0 => "ok",
            3 => "partial",
            130 => "cancelled",
            _ => "failed",
        };
        assert_eq!(ran.finished()["outcome"], outcome, "{ran}");
        let Some(fault) = fault else { return };
        assert_eq!(i32::from(fault.code.exit()), self.exit, "the table of codes says otherwise\n{ran}");
        assert_eq!(fault.stage.as_deref(), self.stage, "another stage\n{ran}");
        assert_eq!(fault.class, fault.code.class(), "{ran}");
        // A device's number may have another advice, and another hope, than its code.
        assert!(fault.remedy.is_some() || fault.number.is_some() || fault.retry == fault.code.retry(), "{ran}");
        if let Some(standing) = &fault.restore {
            let back = say::restore::way_back(Lang::En, standing.device_state, standing.mode);
            let now = say::restore::seen(Lang::En, standing.mode);
            assert!(ran.err.contains(back) && ran.err.contains(now), "the way back is not told\n{ran}");
        }
        assert!(!fault.detail.trim().is_empty(), "a fault without a detail\n{ran}");
        // A device's number may have a better one than its code.
        let advice = fault.remedy.map_or_else(|| say::fault(Lang::En, fault.code), |r| say::remedy(Lang::En, r));
        for text in [advice.what, advice.next, &fault.detail] {
            assert!(ran.err.contains(text), "people are not told {text:?}\n{ran}");
        }
    }

    /// A job that broke off says so in its journal, and is not over.
    fn judge_journal(&self, rig: &Rig, ran: &Ran) {
        let journal = rig.journal();
        let about_jobs = matches!(self.code, Some(Code::JournalDamaged | Code::NoJob));
        if journal.is_empty() || self.exit == 0 || about_jobs {
            return;
        }
        let Some(last) = journal.last() else { return };
        assert_eq!((&last["record"], &last["outcome"]), (&json!("finished"), &json!("failed")), "{journal:#?}\n{ran}");
        let failed =
            journal.iter().rev().find(|r| r["record"] == "failed").map_or(&Value::Null, |r| &r["fault"]["code"]);
        let code = self.code.map_or("", Code::as_str);
        assert_eq!(failed, code, "the journal has another fault\n{journal:#?}\n{ran}");
    }
}

/// Every file of every generation in the default vault, with its content; but for the note of the last look.
pub fn generations(rig: &Rig) -> Vec<(PathBuf, Vec<u8>)> {
    let all = files(&rig.vault()).into_iter();
    let ours = all.filter(|(path, _)| path.components().nth(1).is_some_and(|c| c.as_os_str() == "generations"));
    let ours = ours.filter(|(path, _)| !path.ends_with("checked.json"));
    ours.map(|(path, _)| {
        let bytes = std::fs::read(rig.vault().join(&path)).unwrap();
        (path, bytes)
    })
    .collect()
}

/// Runs a part of the table. Every case prints its name; each failure prints all that the program said.
///
/// # Panics
/// With the names of the cases that failed.
pub fn table(cases: Vec<Case>) {
    let only = only();
    let cases: Vec<Case> = cases.into_iter().filter(|c| only.as_ref().is_none_or(|o| c.name.contains(o))).collect();
    let failed: Vec<&str> = std::thread::scope(|scope| {
        // Those that wait begin first and take no turn.
        let (waiting, working): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|c| c.waits);
        let all: Vec<_> = waiting.into_iter().chain(working).map(|c| scope.spawn(move || one(c))).collect();
        all.into_iter().filter_map(|t| t.join().unwrap_or(Some("a thread died"))).collect()
    });
    assert!(failed.is_empty(), "{} of {} cases failed: {failed:#?}", failed.len(), cases.len());
}

/// For one who works on a case: `HERSTEL_CASE=words of its name`.
#[allow(clippy::disallowed_methods)]
fn only() -> Option<String> {
    std::env::var("HERSTEL_CASE").ok().filter(|v| !v.is_empty())
}

fn one(case: &Case) -> Option<&'static str> {
    let _turn = (!case.waits).then(Turn::take);
    let begun = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| case.check()));
    let took = begun.elapsed().as_secs_f64();
    match result {
        Ok(()) => {
            println!("ok      {took:5.1} s  {}", case.name);
            None
        }
        Err(why) => {
            println!("FAILED  {took:5.1} s  {}\n{}", case.name, words(why.as_ref()));
            Some(case.name)
        }
    }
}

fn words(why: &(dyn Any + Send)) -> &str {
    let text = why.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| why.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}

/// One of the few turns, over all parts of the table.
struct Turn;

static TURNS: (Mutex<usize>, Condvar) = (Mutex::new(AT_ONCE), Condvar::new());

impl Turn {
    fn take() -> Turn {
        let (free, freed) = &TURNS;
        let free = free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TURNS.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        TURNS.1.notify_one();
    }
}
