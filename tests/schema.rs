//! The JSON that scripts read, frozen: `tests/schema/v1/*.json` against today's types and today's program.
//!
//! An example is read into the type and written again; it must come out as it went in, so a field that was
//! renamed, dropped or made mandatory fails here, while a new optional field does not. Types that are only
//! written (a row of `list`, a report) are built and compared. Whoever adds a variant, a word or a code adds
//! it to the examples: the matches and counts below see to that.

mod bench;
#[path = "schema/shop.rs"]
mod shop;

use herstel::device::{Access, Device, Iboot, Identity, Normal, Sheet, State, Trust};
use herstel::doctor::{Diagnosis, Evidence};
use herstel::event::batch::{BatchEvent, Happened, Phase, Wants};
use herstel::event::{
    Cause, Caveat, Check, Choice, Clue, Event, Exam, Finding, Ground, Hurdle, Need, Outcome, Possible, Question,
    Request, Step, Subject, Unit, Verdict, WayOut,
};
use herstel::fault::{Class, Code, DeviceState, Fault, Remedy, Retry, SeenIn};
use herstel::ids::{Mode, PortPath, ProductType};
use herstel::job::{Cost, Entry, Fact, Keeps, Plan, Record, Story, Way, certify, report, verify};
use herstel::mux::MuxDevice;
use herstel::report::certificate::Observed;
use herstel::report::compare::compare;
use herstel::report::seal::Key;
use herstel::report::{Items, Paper};
use herstel::say::cards::Topic;
use herstel::triage::Prospect;
use herstel::usb::Address;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn example(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema/v1").join(name);
    serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn items(value: &Value) -> &[Value] {
    value.as_array().expect("a list of examples")
}

/// Every example, read and written again as it was.
fn there_and_back<T: Serialize + DeserializeOwned>(examples: &Value) -> Vec<T> {
    let one = |example: &Value| {
        let value: T = serde_json::from_value(example.clone()).unwrap_or_else(|e| panic!("{e}: {example}"));
        assert_eq!(serde_json::to_value(&value).unwrap(), *example);
        value
    };
    items(examples).iter().map(one).collect()
}

fn set(words: impl IntoIterator<Item = &'static str>) -> BTreeSet<String> {
    words.into_iter().map(str::to_owned).collect()
}

fn field(examples: &Value, name: &str) -> BTreeSet<String> {
    items(examples).iter().filter_map(|e| e.get(name)?.as_str()).map(str::to_owned).collect()
}

#[test]
fn events() {
    let examples = example("events.json");
    let events: Vec<Event> = there_and_back(&examples);
    let name = |event: &Event| match event {
        Event::StepBegan { .. } => "step-began",
        Event::StepDone { .. } => "step-done",
        Event::StepSkipped { .. } => "step-skipped",
        Event::StepFailed { .. } => "step-failed",
        Event::Progress { .. } => "progress",
        Event::Operation { .. } => "operation",
        Event::Checkpoint { .. } => "checkpoint",
        Event::Ask { .. } => "ask",
        Event::Answered { .. } => "answered",
        Event::Trust { .. } => "trust",
        Event::Seen { .. } => "seen",
        Event::Lost { .. } => "lost",
        Event::Coach { .. } => "coach",
        Event::Note { .. } => "note",
        Event::Warning { .. } => "warning",
    };
    assert_eq!(set(events.iter().map(name)), field(&examples, "event"));
    assert_eq!(field(&examples, "event").len(), 15, "one example of each event at least");
    let request = |event: &Event| match event {
        Event::Ask { request } | Event::Answered { request } => Some(match request {
            Request::UnlockDevice => "unlock-device",
            Request::TapTrust => "tap-trust",
            Request::EnterPasscode => "enter-passcode",
            Request::Keys { .. } => "keys",
            Request::Replug => "replug",
            Request::CableOut => "cable-out",
            Request::CableIn => "cable-in",
            Request::Slide => "slide",
        }),
        _ => None,
    };
    assert_eq!(set(events.iter().filter_map(request)), field(&examples, "request"));
    assert_eq!(field(&examples, "request").len(), 8);
}

#[test]
fn faults_and_their_codes() {
    let faults: Vec<Fault> = there_and_back(&example("fault.json"));
    assert!(faults.iter().any(|f| f.number.is_some()) && faults.iter().any(|f| f.stage.is_none()));
    // Where a restore stood: every field always there, null when it is not known.
    let standings: Vec<_> = faults.iter().filter_map(|f| f.restore.as_deref()).collect();
    assert!(standings.iter().any(|s| s.mode.is_some()) && standings.iter().any(|s| s.operation.is_none()));
    let frozen = example("codes.json");
    let frozen = frozen.as_object().unwrap();
    for code in Code::ALL {
        let now = json!([code.class(), code.retry(), code.exit()]);
        assert_eq!(frozen.get(code.as_str()), Some(&now), "codes.json wants \"{code}\": {now}");
    }
    let today = set(Code::ALL.iter().map(|c| c.as_str()));
    assert_eq!(frozen.keys().cloned().collect::<BTreeSet<_>>(), today, "a code that scripts know is gone");
}

fn words<T: Serialize + DeserializeOwned>(of: &str, last: usize) {
    let examples = example("words.json");
    let list: Vec<T> = there_and_back(&examples[of]);
    assert_eq!(list.len(), last + 1, "{of}");
}

#[test]
fn words_of_every_kind() {
    words::<Step>("step", Step::Report as usize);
    words::<Mode>("mode", Mode::Unknown as usize);
    words::<Outcome>("outcome", Outcome::Cancelled as usize);
    words::<Class>("class", Class::Bug as usize);
    words::<Retry>("retry", Retry::Never as usize);
    words::<Unit>("unit", Unit::Seconds as usize);
    words::<Hurdle>("hurdle", Hurdle::Restricted as usize);
    words::<Way>("way", Way::Update as usize);
    let words_of = example("words.json");
    assert_eq!(there_and_back::<DeviceState>(&words_of["device_state"]), DeviceState::ALL);
    assert_eq!(there_and_back::<SeenIn>(&words_of["seen_in"]), SeenIn::ALL);
    let words = example("words.json");
    for (step, word) in there_and_back::<Step>(&words["step"]).iter().zip(items(&words["step"])) {
        assert_eq!(step.as_str(), word, "logs and JSON use one word");
    }
    for (mode, word) in there_and_back::<Mode>(&words["mode"]).iter().zip(items(&words["mode"])) {
        assert_eq!(mode.as_str(), word);
    }
    let trust = [Trust::Trusted, Trust::Untrusted, Trust::Locked, Trust::Pending, Trust::Denied, Trust::Stale];
    assert_eq!(json!(trust), words["trust"]);
    assert_eq!(trust.len(), Trust::Stale as usize + 1);
    assert_eq!(json!(trust.map(Trust::as_str)), words["trust"]);
    assert_eq!(json!([Access::Ok, Access::NoPermission]), words["access"]);
}

#[test]
fn words_of_triage() {
    let words = example("words.json");
    assert_eq!(json!(Question::ALL), words["question"]);
    assert_eq!(json!(Choice::ALL), words["choice"]);
    assert_eq!(json!(WayOut::ALL), words["way_out"]);
    assert_eq!(json!(Clue::ALL), words["clue"]);
}

#[test]
fn a_row_of_list() {
    let anna = Identity {
        ecid: "0x126D0E81100001".parse().ok(),
        udid: "00008110-00126D0E81100001".parse().ok(),
        product: Some(ProductType::new("iPhone14,5")),
        serial: Some("VRT3308800X".into()),
        name: Some("Anna's iPhone".into()),
        port: Some(PortPath::new("1-1")),
        ..Identity::default()
    };
    let mux = MuxDevice {
        id: 1,
        serial: "00008110-00126D0E81100001".into(),
        location: 65_537,
        product_id: 0x12A8,
        speed: 480_000_000,
        usb: true,
    };
    let normal = Normal {
        who: anna,
        mux,
        trust: Trust::Trusted,
        locked: Some(false),
        version: "26.7.1".parse().ok(),
        build: "23H30".parse().ok(),
    };
    let in_dfu = Identity {
        ecid: "0x126D0E89600002".parse().ok(),
        cpid: "0x8960".parse().ok(),
        bdid: "0x00".parse().ok(),
        port: Some(PortPath::new("1-1.4")),
        ..Identity::default()
    };
    let iboot = Iboot { who: in_dfu, address: Address { bus: 1, device: 7 }, rom: true };
    let devices = [
        Device { state: State::Normal(normal), access: Access::Ok, is_virtual: true },
        Device { state: State::Dfu(iboot), access: Access::NoPermission, is_virtual: false },
        Device { state: State::Other(Mode::Unknown, Identity::default()), access: Access::Ok, is_virtual: false },
    ];
    let mut rows: Vec<_> = devices.iter().map(Device::row).collect();
    rows[1].station = Some(3);
    assert_eq!(json!({ "schema": 1, "devices": rows }), example("list.json"));
}

#[test]
fn what_is_looked_at_before_a_restore() {
    let examples = example("preflight.json");
    let findings: Vec<Finding> = there_and_back(&examples["findings"]);
    let checks: Vec<Check> = findings.iter().map(|f| f.check).collect();
    assert_eq!(checks, Check::ALL, "one example of each check");
    let verdicts: BTreeSet<Verdict> = findings.iter().map(|f| f.verdict).collect();
    assert_eq!(verdicts.len(), Verdict::Blocking as usize, "all but the one that only doctor gives");
    let needs: Vec<Need> = there_and_back(&examples["needs"]);
    assert_eq!(needs, Need::ALL);
    assert_eq!(json!([Keeps::Data, Keeps::Backup, Keeps::Unsaved, Keeps::Nothing]), examples["keeps"]);
    let cost = Cost { step: Step::Fetch, bytes: Some(9_126_805_504), cached: false, seconds: None };
    assert_eq!(json!(cost), examples["cost"]);
}

#[test]
fn what_doctor_finds() {
    let frozen = example("doctor.json");
    let list = |of: &str| set_of(&frozen[of]);
    assert_eq!(set(Cause::ALL.iter().map(|c| c.as_str())), list("causes"), "a cause that scripts know");
    let exams: Vec<Value> = Exam::ALL.iter().map(|e| json!([e.question(), e])).collect();
    assert_eq!(json!(exams), frozen["exams"]);
    let verdicts = [Verdict::NotApplicable, Verdict::Good, Verdict::Unknown, Verdict::Warning, Verdict::Blocking];
    assert_eq!(json!(verdicts), frozen["verdicts"]);
    assert_eq!(verdicts.len(), Verdict::Blocking as usize + 1);
    let row = |exam, verdict, cause, seen: &[(&str, &str)], commands: &[&str]| Diagnosis {
        exam,
        verdict,
        cause,
        evidence: seen.iter().map(|(place, seen)| Evidence { place: (*place).into(), seen: (*seen).into() }).collect(),
        commands: commands.iter().map(|c| (*c).to_owned()).collect(),
    };
    let rows = [
        row(Exam::Usbmuxd, Verdict::Good, None, &[("UNIX:/var/run/usbmuxd", "answers, 1 on a cable")], &[]),
        row(
            Exam::Trust,
            Verdict::Warning,
            Some(Cause::TrustStale),
            &[("Anna's iPhone (0x126D0E81100001)", "trust: stale")],
            &["herstel -d 0x126D0E81100001 pair --reset"],
        ),
    ];
    assert_eq!(json!({ "schema": 1, "virtual": false, "checks": rows }), frozen["doctor"]);
}

fn set_of(words: &Value) -> BTreeSet<String> {
    items(words).iter().map(|w| w.as_str().expect("a word").to_owned()).collect()
}

#[test]
fn the_chance_of_a_backup() {
    let examples = example("backup_chance.json");
    let all: Vec<Prospect> = there_and_back(&examples);
    assert_eq!(field(&examples, "ground").len(), Ground::ALL.len(), "each ground once");
    let caveats: BTreeSet<String> = all.iter().flat_map(|p| &p.caveats).map(|c| json!(c).to_string()).collect();
    assert_eq!((caveats.len(), field(&examples, "possible").len()), (Caveat::ALL.len(), Possible::ALL.len()));
}

#[test]
fn what_helps() {
    let faults = example("fault.json");
    assert!(field(&faults, "remedy").contains("wait-for-icloud"));
    let words = example("words.json");
    let list: Vec<Remedy> = there_and_back(&words["remedy"]);
    assert_eq!(list, Remedy::ALL);
    assert_eq!(json!(Remedy::ALL.iter().map(|r| r.as_str()).collect::<Vec<_>>()), words["remedy"]);
}

#[test]
fn cards() {
    let example = example("card.json");
    let shape = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut sheet = example["card"].clone();
    sheet.as_object_mut().unwrap().retain(|key, _| key != "topic" && key != "lang");
    let paper = there_and_back::<Paper>(&json!([sheet])).remove(0);
    let kind = |items: &Items| match items {
        Items::Paragraph { .. } => "paragraph",
        Items::Numbered { .. } => "numbered",
        Items::Bullets { .. } => "bullets",
        Items::Boxes { .. } => "boxes",
        Items::Table { .. } => "table",
        Items::Code { .. } => "code",
        Items::Blanks { .. } => "blanks",
    };
    assert_eq!(set(paper.sections[0].items.iter().map(kind)).len(), 7, "an example of every kind");
    let home = Home::new();
    for topic in Topic::ALL {
        let (code, lines) = home.lines(&["card", topic.as_str(), "--json"]);
        assert_eq!((code, lines.len(), shape(&lines[0])), (Some(0), 2, vec!["schema".to_owned(), "card".to_owned()]));
        assert_eq!(shape(&lines[0]["card"]), shape(&example["card"]));
        assert_eq!((&lines[0]["schema"], &lines[0]["card"]["topic"]), (&json!(1), &json!(topic.as_str())));
        assert_eq!(is_finished(&lines[1]).0, Outcome::Ok);
    }
    let (_, lines) = home.lines(&["card", "--json"]);
    let rows = items(&lines[0]["cards"]);
    assert!(rows.iter().all(|row| shape(row) == shape(&example["cards"][0])));
    let topics: Vec<&str> = rows.iter().filter_map(|row| row["topic"].as_str()).collect();
    assert_eq!(topics, Topic::ALL.map(Topic::as_str));
}

#[test]
fn sheets_of_a_device() {
    let frozen = example("info.json");
    let facts = frozen["info"].as_object().unwrap();
    let before = Sheet::of(facts);
    // In their order, too: the columns of the CSV stand in it.
    assert_eq!(serde_json::to_string(&before).unwrap(), frozen["sheet"].to_string());
    let mut later = facts.clone();
    later.insert("battery_registry".into(), json!({ "class": "AppleSmartBattery", "CycleCount": 3, "Serial": "F8Y2" }));
    later.remove("panic_reports");
    let found = compare(&before, &Sheet::of(&later)).unwrap();
    assert_eq!(found.json(), frozen["compare"]);
    let subjects: BTreeSet<String> = Subject::ALL.iter().map(|s| json!(s).as_str().unwrap().to_owned()).collect();
    assert_eq!(subjects, set(["parts", "system", "locks", "rest"]));
}

/// A file that was signed today must be found right by every later version of this one.
#[test]
fn a_certificate() {
    let frozen = example("certificate.json");
    let journal: Vec<String> = items(&frozen["journal"]).iter().map(|l| l.as_str().unwrap().to_owned()).collect();
    let job = frozen["certificate"]["job"].as_str().unwrap();
    let sealed = certify(job, journal, None, &Key::new(&[7; 32]).unwrap()).unwrap();
    assert_eq!(serde_json::to_value(&sealed).unwrap(), frozen);
    assert_eq!(verify(&sealed.bytes().unwrap()).unwrap(), sealed);
    assert_eq!(
        json!([Observed::RestoreEnded, Observed::RestoreConcluded, Observed::CameBack]),
        json!(["restore-ended", "restore-concluded", "came-back"])
    );
}

#[test]
fn plans() {
    let examples = example("plan.json");
    let plans: Vec<Plan> = there_and_back(&examples);
    assert_eq!(
        plans.len(),
        4,
        "a backup that is made, one from before, one that is impossible, one that is not wanted"
    );
    assert_eq!(field(&examples, "backup"), set(["make", "existing", "skip", "impossible"]));
}

#[test]
fn a_journal_and_the_report_of_it() {
    let examples = example("journal.json");
    let entries: Vec<Entry> = there_and_back(&examples);
    let name = |entry: &Entry| match &entry.record {
        Record::Plan { .. } => "plan",
        Record::Began { .. } => "began",
        Record::Did { .. } => "did",
        Record::Failed { .. } => "failed",
        Record::Resumed => "resumed",
        Record::Finished { .. } => "finished",
    };
    assert_eq!(set(entries.iter().map(name)), field(&examples, "record"));
    assert_eq!(field(&examples, "record").len(), 6);
    let fact = |entry: &Entry| match &entry.record {
        Record::Did { fact, .. } => Some(match fact {
            Fact::Nothing => "nothing",
            Fact::Backup { .. } => "backup",
            Fact::Firmware { .. } => "firmware",
            Fact::Restored { .. } => "restored",
            Fact::PutBack { .. } => "put-back",
        }),
        _ => None,
    };
    assert_eq!(set(entries.iter().filter_map(fact)), field(&examples, "fact"));
    assert_eq!(field(&examples, "fact").len(), 5);
    let sheet = report("01999999-0000-7000-8000-000000000001", &Story::new(entries).unwrap());
    assert_eq!(serde_json::to_value(sheet).unwrap(), example("report.json"));
}

// -- the program itself --

/// The program in an empty home, pointed at a bench that is not there, so that no real device is met.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Home {
        Home(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn jobs(&self) -> PathBuf {
        self.0.path().join("state/herstel/jobs")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_herstel"));
        command.args(arguments).env_clear().env("HOME", self.0.path()).env("HERSTEL_BENCH", self.0.path().join("none"));
        for (key, folder) in [
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_DATA_HOME", "data"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_STATE_HOME", "state"),
        ] {
            command.env(key, self.0.path().join(folder));
        }
        command.output().unwrap()
    }

    fn lines(&self, arguments: &[&str]) -> (Option<i32>, Vec<Value>) {
        let output = self.run(arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:?}"));
        (output.status.code(), text.lines().map(parse).collect())
    }
}

/// Frozen shape: exactly these keys, an outcome that is one of the words, a fault that reads as one.
fn is_finished(line: &Value) -> (Outcome, Option<Fault>) {
    let keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["schema", "event", "outcome", "fault"], "{line}");
    assert_eq!((&line["schema"], &line["event"]), (&json!(1), &json!("finished")));
    let fault: Option<Fault> = serde_json::from_value(line["fault"].clone()).unwrap();
    assert_eq!(json!(fault), line["fault"]);
    (serde_json::from_value(line["outcome"].clone()).unwrap(), fault)
}

#[test]
fn the_examples_of_finished_hold_together() {
    let examples = example("finished.json");
    let outcomes: Vec<Outcome> = items(&examples).iter().map(|line| is_finished(line).0).collect();
    for outcome in [Outcome::Ok, Outcome::Partial, Outcome::Failed, Outcome::Cancelled] {
        assert!(outcomes.contains(&outcome), "{outcome:?}");
    }
}

#[test]
fn the_program_finishes_with_an_outcome_and_a_fault() {
    let examples = example("finished.json");
    let home = Home::new();
    let (code, lines) = home.lines(&["report", "--json"]);
    assert_eq!(code, Some(2));
    assert_eq!(lines, [items(&examples)[3].clone()]);

    let (code, lines) = home.lines(&["firmware", "cache", "--json"]);
    assert_eq!(code, Some(0));
    assert_eq!(lines, [json!({ "schema": 1, "cache": [] }), items(&examples)[0].clone()]);

    let (code, lines) = home.lines(&["list", "--json"]);
    let (outcome, fault) = is_finished(lines.last().unwrap());
    assert_eq!((code, outcome), (Some(6), Outcome::Failed));
    assert_eq!(fault.map(|f| f.code), Some(Code::BenchUnavailable));

    let (code, lines) = home.lines(&["--lang", "xx", "list", "--json"]);
    let (outcome, fault) = is_finished(lines.last().unwrap());
    assert_eq!((code, outcome, fault.map(|f| f.code)), (Some(2), Outcome::Failed, Some(Code::Usage)));
}

#[test]
fn events_come_in_numbered_lines_after_a_hello() {
    let home = Home::new();
    let (code, lines) = home.lines(&["firmware", "verify", "/nowhere.ipsw", "--json"]);
    let version = env!("CARGO_PKG_VERSION");
    let hello = json!({ "schema": 1, "seq": 0, "virtual": true, "event": "hello", "version": version });
    assert_eq!(lines[0], hello);
    let began = json!({
        "schema": 1, "seq": 1, "virtual": true, "event": "step-began", "step": "verify-firmware",
        "what": "/nowhere.ipsw",
    });
    assert_eq!(lines[1], began);
    let (outcome, fault) = is_finished(lines.last().unwrap());
    assert_eq!((code, outcome), (Some(1), Outcome::Failed));
    assert_eq!(fault.and_then(|f| f.stage).as_deref(), Some("verify-firmware"));
}

#[test]
fn a_journal_of_this_version_is_read_by_the_program() {
    let home = Home::new();
    let name = "01999999-0000-7000-8000-000000000001";
    let folder = home.jobs().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let lines: Vec<String> = items(&example("journal.json")).iter().map(Value::to_string).collect();
    std::fs::write(folder.join("journal.jsonl"), lines.join("\n") + "\n").unwrap();
    // As while the job runs: its process holds the journal.
    let _held = herstel::disk::Jobs::new(&home.jobs()).find(name).unwrap().open::<Entry>().unwrap();
    let (code, lines) = home.lines(&["report", "0199", "--json"]);
    assert_eq!(code, Some(0));
    assert_eq!(lines[0], example("report.json"));
    assert_eq!(is_finished(&lines[1]).0, Outcome::Ok);
}

#[test]
fn events_of_a_batch() {
    let examples = example("batch.json");
    let events: Vec<BatchEvent> = there_and_back(&examples);
    let name = |event: &BatchEvent| match &event.happened {
        Happened::Rows { .. } => "rows",
        Happened::Row { .. } => "row",
        Happened::Phase { .. } => "phase",
        Happened::Began { .. } => "began",
        Happened::Told { .. } => "told",
        Happened::Mode { .. } => "mode",
        Happened::Stranger { .. } => "stranger",
        Happened::Ignored { .. } => "ignored",
        Happened::NotAsked => "not-asked",
        Happened::Warning { .. } => "warning",
        Happened::Over { .. } => "over",
    };
    assert_eq!(set(events.iter().map(name)), field(&examples, "what"));
    assert_eq!(field(&examples, "what").len(), 11, "one example of each at least");
    let words = |field_name: &str| field(&examples, field_name).len();
    assert_eq!((words("phase"), words("wants")), (Phase::ALL.len(), Wants::ALL.len()), "each word");
}
