//! Triage with the real program: files of answers, a terminal, phones of the bench, and every plan as people read it.
//!
//! That each way through the tree ends in one plan is held beside the tree itself. Here it is what the program prints
//! and does: the plans in both languages against the sheets in `tests/triage/` (run with `HERSTEL_BLESS=1` to write
//! them anew, and read them), bad answers, what the device says against a person, and that nothing but a restore that
//! was decided on touches a phone.

mod bench;

use bench::{Ran, Rig};
use herstel::event::{Choice, Question, WayOut};
use herstel::fault::Code;
use herstel::ids::Ecid;
use herstel::report::way_out::{Case, sheet};
use herstel::say::Lang;
use herstel::triage::{Answers, Stand, stand};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(120);

/// Answers that lead to each plan, on an iPhone with this system.
const WAYS: &[(WayOut, &str, &str)] = &[
    (WayOut::NotYours, "17.4", "ownership=found"),
    (WayOut::AskOrganisation, "17.4", "ownership=organisation problem=forgotten-code managed=yes"),
    (WayOut::PreviousCode, "17.4", "ownership=owner problem=forgotten-code managed=no previous-code=yes"),
    (WayOut::UpdateFirst, "17.4", "ownership=on-behalf problem=does-not-start"),
    (
        WayOut::BackUpAndRestore,
        "15.6",
        "ownership=owner problem=forgotten-code managed=no trusted=here unlocked=yes find-my=off",
    ),
    (
        WayOut::RestoreAndPutBack,
        "12.5.7",
        "ownership=owner problem=forgotten-code managed=unknown trusted=no backup=yes find-my=on password=yes online=no",
    ),
    (
        WayOut::RestoreWithoutBackup,
        "26.0",
        "ownership=owner problem=forgotten-code managed=no previous-code=no trusted=no backup=no password=yes",
    ),
    (
        WayOut::EraseOnDevice,
        "17.4",
        "ownership=owner problem=forgotten-code managed=no previous-code=no trusted=no backup=yes find-my=on \
         password=yes online=yes",
    ),
    (
        WayOut::EraseByFindMy,
        "14.8",
        "ownership=owner problem=forgotten-code managed=no trusted=no backup=yes find-my=on password=yes online=yes",
    ),
    (WayOut::RecoverAccount, "17.4", "ownership=owner problem=account-lost"),
    (WayOut::SignIn, "17.4", "ownership=owner problem=asks-for-account whose-account=own password=yes"),
    (WayOut::AskPreviousOwner, "17.4", "ownership=owner problem=asks-for-account whose-account=previous-owner"),
    (WayOut::ProofOfPurchase, "17.4", "ownership=owner problem=asks-for-account whose-account=nobody-reachable"),
];

fn pairs(text: &str) -> Vec<(&str, &str)> {
    text.split_whitespace().map(|pair| pair.split_once('=').unwrap()).collect()
}

fn toml(text: &str) -> String {
    pairs(text).iter().map(|(key, answer)| format!("{key} = \"{answer}\"\n")).collect()
}

/// The program on this bench, with these answers on standard input.
fn triage(rig: &Rig, arguments: &[&str], answers: &str) -> Ran {
    let file = rig.path("answers.toml");
    fs::write(&file, answers).unwrap();
    let mut all = vec!["triage", "--answers", file.to_str().unwrap()];
    all.extend(arguments);
    bench::run(rig.command(&all), LIMIT)
}

fn result(ran: &Ran) -> Value {
    ran.lines().into_iter().find_map(|line| line.get("triage").cloned()).unwrap_or_else(|| panic!("no triage\n{ran}"))
}

/// A bench whose only phone is off: nothing is connected.
fn nothing() -> Rig {
    Rig::new("pace = 25.0\n[[phone]]\nmodel = \"iphone13\"\nmode = \"off\"\n")
}

fn one(more: &str) -> Rig {
    Rig::new(&format!("pace = 25.0\n[[phone]]\nmodel = \"iphone13\"\nname = \"Anna's iPhone\"\nphotos = 4\n{more}\n"))
}

#[test]
#[allow(clippy::disallowed_methods)]
fn every_plan_as_people_read_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/triage");
    let bless = std::env::var_os("HERSTEL_BLESS").is_some();
    for (lang, name) in [(Lang::En, "en"), (Lang::Nl, "nl")] {
        for (way, version, said) in WAYS {
            let mut answers = Answers::new(version.parse().ok(), None, &[]);
            for (key, word) in pairs(said) {
                answers.say(Question::named(key).unwrap(), Choice::named(word).unwrap()).unwrap();
            }
            assert_eq!(stand(&answers), Stand::WayOut(*way));
            let case = Case { title: Some("Anna's iPhone".into()), ecid: Some(Ecid(0x1A2B)), is_virtual: false };
            let sheet = sheet(lang, &case, *way, &answers);
            let text = sheet.text(lang, 80);
            assert!(text.lines().all(|line| line.chars().count() <= 80) && text.lines().count() <= 60, "{text}");
            let page = sheet.html(lang);
            assert!(page.starts_with("<!") && page.contains("Anna&#39;s iPhone") && !page.contains("<script"));
            let file = folder.join(name).join(format!("{}.txt", way.as_str()));
            if bless {
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(&file, &text).unwrap();
            }
            let wanted = fs::read_to_string(&file).unwrap_or_default();
            assert_eq!(text, wanted, "{} differs", file.display());
        }
    }
    let shown: BTreeSet<WayOut> = WAYS.iter().map(|(way, ..)| *way).collect();
    assert_eq!(shown.len(), WayOut::ALL.len(), "every plan has a sheet");
}

#[test]
fn the_program_ends_in_the_plan_of_the_answers() {
    let rig = nothing();
    for (way, version, said) in WAYS {
        let answers = format!("version = \"{version}\"\n{}", toml(said));
        let ran = triage(&rig, &["--json"], &answers);
        let code = if *way == WayOut::NotYours { 4 } else { 0 };
        assert_eq!(ran.code, Some(code), "{way:?}\n{ran}");
        let found = result(&ran);
        assert_eq!((&found["plan"]["name"], &found["ask"]), (&json!(way.as_str()), &Value::Null), "{ran}");
        assert_eq!(found["plan"]["erases"], way.erases());
        assert_eq!(found["answers"].as_array().unwrap().len(), pairs(said).len(), "{found}");
        assert_eq!((&found["ecid"], &found["conflicts"]), (&Value::Null, &json!([])));
        assert!(found["answers"].as_array().unwrap().iter().all(|answer| answer["from"] == "person"));
    }
}

#[test]
fn what_is_open_is_named_with_its_answers() {
    let rig = nothing();
    let ran = triage(&rig, &["--json"], "ownership = \"owner\"\nproblem = \"forgotten-code\"\n");
    assert_eq!((ran.code, ran.code_of_fault()), (Some(4), Some(Code::QuestionsOpen)), "{ran}");
    let found = result(&ran);
    assert_eq!(found["ask"], json!({ "question": "managed", "choices": ["yes", "no", "unknown"] }));
    assert_eq!(found["plan"], Value::Null);
    let ran = bench::run(rig.command(&["triage", "--lang", "nl"]), LIMIT);
    assert_eq!((ran.code, ran.out.as_str()), (Some(4), ""), "{ran}");
    assert!(ran.err.contains("ownership = \"owner\"  Het is van mij"), "{ran}");
}

#[test]
fn answers_that_are_none() {
    let rig = nothing();
    let mut binary = String::from("backup = \"yes\"\n");
    binary.push('\0');
    let long = format!("# {}\n", "x".repeat(70_000));
    for (answers, says) in [
        ("colour = \"red\"\n", "no question is called \"colour\""),
        ("backup = \"perhaps\"\n", "yes, no, unknown"),
        ("backup = 3\n", "neither a text nor true or false"),
        ("backup = \"yes\"\nbackup = \"no\"\n", "duplicate key"),
        ("problem = \"account-lost\"\npassword = true\n", "cannot both be true"),
        ("problem = \"does-not-start\"\nonline = \"yes\"\n", "cannot both be true"),
        ("version = \"the newest\"\n", "version"),
        (binary.as_str(), "answers.toml"),
        (long.as_str(), "longer than 65536 bytes"),
    ] {
        let ran = triage(&rig, &["--json"], answers);
        assert_eq!((ran.code, ran.code_of_fault()), (Some(2), Some(Code::AnswersInvalid)), "{ran}");
        let detail = ran.fault().unwrap().detail;
        assert!(detail.contains(says), "{detail}");
    }
    let ran = bench::run(rig.command(&["triage", "--answers", "not/there.toml"]), LIMIT);
    assert!(ran.code.is_some_and(|code| code != 0) && ran.err.contains("not/there.toml"), "{ran}");
    let ran = bench::run(rig.command(&["triage", "-d", "0x99"]), LIMIT);
    assert_eq!(ran.code, Some(5), "a device that was named has to be there\n{ran}");
}

#[test]
fn what_the_device_proves_goes_before_what_a_person_says() {
    let rig = one("trust = \"trusted\"\npasscode = \"locked\"\nsupervised = true\nfind_my = true\nversion = \"15.6\"");
    let said = "version = \"12.0\"\nownership = \"owner\"\nproblem = \"forgotten-code\"\nmanaged = \"no\"\nfind-my = \"off\"\n";
    let ran = triage(&rig, &["--json"], said);
    assert_eq!(ran.code, Some(0), "{ran}");
    let found = result(&ran);
    assert_eq!(found["plan"]["name"], "ask-organisation");
    assert_eq!(found["version"], "15.6");
    let conflicts = json!([
        { "question": "version", "said": "12.0", "read": "15.6", "from": "version" },
        { "question": "managed", "said": "no", "read": "yes", "from": "supervised" },
        { "question": "find-my", "said": "off", "read": "on", "from": "find-my-associated" },
    ]);
    assert_eq!(found["conflicts"], conflicts);
    for told in ["Managed: you say \"No\", the device \"Yes\"", "Find My: you say \"Off, for certain\""] {
        assert!(ran.err.contains(told), "{told}\n{ran}");
    }
    assert_eq!(found["account"], "v•••••@example.com");
    let read = |question: &str| {
        let answers = found["answers"].as_array().unwrap();
        answers.iter().find(|answer| answer["question"] == question).unwrap()["from"].clone()
    };
    assert_eq!((read("trusted"), read("ownership")), (json!("trusts-this-computer"), json!("person")));
    let frozen = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema/v1/triage.json")).unwrap();
    let frozen: Vec<Value> = serde_json::from_slice(&frozen).unwrap();
    let shape = |triage: &Value| json!({ "schema": 1, "triage": triage });
    assert_eq!(shape(&found), frozen[0], "scripts read this");
    let open = result(&bench::run(rig.command(&["triage", "--json"]), LIMIT));
    assert_eq!(shape(&open), frozen[1]);
    assert_eq!(rig.phone().remembered("files.erased"), 0);
}

#[test]
fn a_phone_in_recovery_tells_what_its_boot_code_knows() {
    let rig = one("mode = \"recovery\"\nfind_my = true");
    let found = result(&triage(&rig, &["--json"], "ownership = \"on-behalf\"\n"));
    assert_eq!(found["hints"][0]["from"], "stops-in-recovery", "{found}");
    assert_eq!(found["ask"]["question"], "problem", "a hint answers nothing");
    let known: Vec<_> = found["answers"].as_array().unwrap().iter().map(|a| (&a["question"], &a["answer"])).collect();
    let (on, no) = (json!("on"), json!("no"));
    assert!(known.contains(&(&json!("find-my"), &on)) && known.contains(&(&json!("online"), &no)), "{found}");
    let ran = triage(&rig, &["--json"], "ownership = \"owner\"\nproblem = \"does-not-start\"\n");
    let plan = &result(&ran)["plan"];
    assert_eq!((&plan["name"], &plan["erases"]), (&json!("update-first"), &json!(false)));
    let ecid = rig.phone().ecid.to_string();
    assert_eq!(plan["commands"], json!([format!("herstel restore --update -d {ecid}")]));
}

#[test]
fn a_device_that_is_not_theirs_is_refused_and_written_down() {
    let rig = one("");
    let ecid = rig.phone().ecid.to_string();
    let log = rig.path("state").join("herstel/refused.jsonl");
    for verb in ["triage", "recover"] {
        let file = rig.path("found.toml");
        fs::write(&file, "ownership = \"reported-missing\"\n").unwrap();
        // Even who names it for an erase gets none.
        let mut all = vec![verb, "--json", "--answers", file.to_str().unwrap()];
        if verb == "recover" {
            all.extend(["--yes-erase", &ecid]);
        }
        let ran = bench::run(rig.command(&all), LIMIT);
        assert_eq!((ran.code, ran.code_of_fault()), (Some(4), Some(Code::NotYours)), "{ran}");
        assert!(ran.err.contains("Stop: this device is not yours to open"), "{ran}");
    }
    let lines: Vec<Value> =
        fs::read_to_string(&log).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    for line in lines {
        assert_eq!((&line["ecid"], &line["virtual"]), (&json!(ecid), &json!(true)));
        assert_eq!(
            line["answers"][0],
            json!({ "question": "ownership", "answer": "reported-missing", "from": "person" })
        );
    }
    assert!(rig.phone().remembered("files.erased") == 0 && !rig.jobs().exists());
}

#[test]
fn recover_stops_where_the_way_out_is_another_one() {
    let rig = one("passcode = \"locked\"\nfind_my = true");
    let ecid = rig.phone().ecid.to_string();
    let file = rig.path("answers.toml");
    for (way, version, said) in WAYS {
        if way.cost().verb.is_some() || *way == WayOut::NotYours || matches!(*version, "14.8") {
            continue;
        }
        fs::write(&file, toml(said)).unwrap();
        let all = ["recover", "--json", "--answers", file.to_str().unwrap(), "--yes-erase", &ecid];
        let ran = bench::run(rig.command(&all), LIMIT);
        assert_eq!((ran.code, ran.code_of_fault()), (Some(4), Some(Code::OtherWayOut)), "{way:?}\n{ran}");
        assert_eq!(result(&ran)["plan"]["name"], way.as_str());
    }
    fs::write(&file, "ownership = \"owner\"\n").unwrap();
    let all = ["recover", "--json", "--answers", file.to_str().unwrap(), "--yes-erase", &ecid];
    let ran = bench::run(rig.command(&all), LIMIT);
    assert_eq!((ran.code, ran.code_of_fault()), (Some(4), Some(Code::QuestionsOpen)), "{ran}");
    assert!(rig.phone().remembered("files.erased") == 0 && !rig.jobs().exists(), "nothing was begun");
}

#[test]
fn no_answers_erase_without_a_word_that_names_the_device() {
    let rig = one("passcode = \"locked\"\nversion = \"26.0\"");
    let file = rig.path("answers.toml");
    let (.., said) = WAYS.iter().find(|(way, ..)| *way == WayOut::RestoreWithoutBackup).unwrap();
    fs::write(&file, toml(said)).unwrap();
    let before = rig.phone().files.digest_of_user_data();
    let answers = file.to_str().unwrap();
    for (more, code) in [(&[][..], Code::ConsentMissing), (&["--yes-erase", "0x99"], Code::ConsentMismatch)] {
        let mut all = vec!["recover", "--json", "--answers", answers];
        all.extend(more);
        let ran = bench::run(rig.command(&all), LIMIT);
        assert_eq!(ran.code_of_fault(), Some(code), "{ran}");
        assert_eq!(result(&ran)["plan"]["name"], "restore-without-backup");
    }
    assert_eq!((rig.phone().remembered("files.erased"), rig.phone().files.digest_of_user_data()), (0, before));
    assert!(!rig.jobs().exists());
}

#[test]
fn an_erase_that_ends_at_a_lock_says_so_first() {
    for (more, account) in [
        ("trust = \"trusted\"\nfind_my = true", json!("v•••••@example.com")),
        ("mode = \"recovery\"\nfind_my = true", Value::Null),
    ] {
        let rig = one(more);
        for all in [&["restore", "--erase", "--dry-run", "--json"][..], &["recover", "--plan", "--json"]] {
            let ran = bench::run(rig.command(all), LIMIT);
            let told = ran.events("activation-lock");
            assert_eq!(told, [json!({ "schema": 1, "event": "activation-lock", "account": account })], "{ran}");
            assert!(ran.err.contains("Find My is on: after the erase it asks"), "{ran}");
        }
        let ran = bench::run(rig.command(&["restore", "--update", "--dry-run", "--json"]), LIMIT);
        assert!(ran.events("activation-lock").is_empty(), "an update asks for no account\n{ran}");
    }
    let ran = bench::run(one("trust = \"trusted\"").command(&["recover", "--plan", "--json"]), LIMIT);
    assert!(ran.events("activation-lock").is_empty(), "{ran}");
}

#[test]
fn recover_does_an_update_where_the_answers_say_so() {
    let rig = one("mode = \"recovery\"");
    let before = rig.phone().files.digest_of_user_data();
    let file = rig.path("answers.toml");
    fs::write(&file, "ownership = \"owner\"\nproblem = \"does-not-start\"\n").unwrap();
    let ecid = rig.phone().ecid.to_string();
    let all = ["recover", "--json", "--answers", file.to_str().unwrap(), "--yes-erase", &ecid];
    let ran = bench::run(rig.command(&all), LIMIT);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!((rig.phone().remembered("files.erased"), rig.phone().files.digest_of_user_data()), (0, before));
    assert_eq!(rig.phone().remembered("restore.finished"), 1);
}

#[test]
fn a_name_from_outside_gives_a_terminal_no_orders() {
    let rig = one("trust = \"trusted\"");
    rig.phone().state().name = "An\x1b[31mna\u{202e}".into();
    let file = rig.path("found.toml");
    fs::write(&file, "ownership = \"found\"\n").unwrap();
    let answers = file.to_str().unwrap();
    for all in [&["list"][..], &["info"], &["triage", "--answers", answers], &["restore", "--erase"], &["pair"]] {
        let ran = bench::run(rig.command(all), LIMIT);
        let orders = |text: &str| text.contains(['\x1b', '\u{202e}', '\r']);
        assert!(!orders(&ran.out) && !orders(&ran.err), "{all:?}\n{ran}");
        assert!(format!("{}{}", ran.out, ran.err).contains("An?[31mna?"), "{all:?}\n{ran}");
    }
}

#[test]
fn a_sheet_for_the_printer() {
    let rig = nothing();
    let answers = format!("version = \"17.4\"\n{}", toml(WAYS[2].2));
    let page = rig.path("plan.html");
    let ran = triage(&rig, &["--lang", "nl", "--paper", page.to_str().unwrap()], &answers);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(ran.out.starts_with("Open het met de vorige toegangscode\n"), "{ran}");
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.contains("lang=\"nl\"") && html.contains("<h1>Open het met de vorige toegangscode</h1>"), "{html}");
    let ran = triage(&rig, &["--paper", "/proc/no/plan.html"], &answers);
    assert!(ran.code.is_some_and(|code| code != 0) && ran.err.contains("/proc/no"), "{ran}");
}

/// The program at a terminal: what it shows, and a way to type.
struct Terminal {
    master: File,
    shown: String,
    child: std::process::Child,
}

impl Terminal {
    fn start(mut command: Command) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let ends = || Stdio::from(slave.try_clone().unwrap());
        let child = command.stdin(ends()).stdout(ends()).stderr(ends()).spawn().unwrap();
        Terminal { master: File::from(master), shown: String::new(), child }
    }

    fn read(&mut self) {
        let mut bytes = [0; 4096];
        let slice = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        if poll(&mut [PollFd::new(&self.master, PollFlags::IN)], Some(&slice)).unwrap() > 0
            && let Ok(length) = self.master.read(&mut bytes)
        {
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
    }

    /// Waits until this is shown after what was shown before, then types.
    fn answer(&mut self, when: &str, typed: &str) {
        let until = Instant::now() + LIMIT;
        let at = loop {
            if let Some(at) = self.shown.find(when) {
                break at + when.len();
            }
            assert!(Instant::now() < until, "{when:?} was never shown\n{}", self.shown);
            self.read();
        };
        self.shown.drain(..at);
        // The prompt comes last, when the terminal is ready for it.
        while !self.shown.contains("q: stop): ") {
            assert!(Instant::now() < until, "no prompt after {when:?}\n{}", self.shown);
            self.read();
        }
        self.master.write_all(typed.as_bytes()).unwrap();
    }

    fn end(mut self) -> (Option<i32>, String) {
        let until = Instant::now() + LIMIT;
        loop {
            self.read();
            if let Some(status) = self.child.try_wait().unwrap() {
                self.read();
                return (status.code(), self.shown);
            }
            if Instant::now() > until {
                let _ = self.child.kill();
                panic!("it never ended\n{}", self.shown);
            }
        }
    }
}

#[test]
fn a_person_at_a_terminal_is_asked_only_what_is_left() {
    let rig = one("trust = \"trusted\"\npasscode = \"locked\"\nfind_my = true\nversion = \"17.4\"");
    let mut terminal = Terminal::start(rig.command(&["triage"]));
    terminal.answer("1. Whose device is it", "9\n");
    terminal.answer("Type a number from 1 to 5", "1\n");
    terminal.answer("2. What is wrong?", "6\n");
    terminal.answer("3. Is it managed", "b\n");
    terminal.answer("2. What is wrong?", "1\n");
    terminal.answer("3. Is it managed", "2\n");
    terminal.answer("4. Was the passcode changed", "2\n");
    // That it trusts this computer and was unlocked is not asked.
    terminal.answer("5. Is there a backup", "2\n");
    terminal.answer("6. Is the password", "1\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("Erase it here; what lies in the account comes back"), "{shown}");
    assert!(!shown.contains("Find My is shown") && shown.contains("herstel restore --erase -d 0x"), "{shown}");
}

#[test]
fn a_hint_is_what_enter_takes_and_stopping_is_a_way_out() {
    let rig = one("mode = \"recovery\"");
    let mut terminal = Terminal::start(rig.command(&["triage", "--lang", "en"]));
    terminal.answer("1. Whose device is it", "1\n");
    terminal.answer("Perhaps \"It does not start", "\n");
    let (code, shown) = terminal.end();
    assert!(code == Some(0) && shown.contains("Install the system again, keeping the data"), "{shown}");
    for typed in ["q\n", "\u{4}"] {
        let mut terminal = Terminal::start(rig.command(&["recover"]));
        terminal.answer("1. Whose device is it", typed);
        let (code, shown) = terminal.end();
        assert_eq!(code, Some(130), "{shown}");
    }
    let mut terminal = Terminal::start(rig.command(&["recover"]));
    terminal.answer("1. Whose device is it", "");
    let pid = rustix::process::Pid::from_raw(terminal.child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(130), "{shown}");
    assert!(!rig.jobs().exists());
}
