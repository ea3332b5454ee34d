//! The coach with the real program, a phone whose keys are held live, and somebody who does what is asked.
//!
//! The program prints its requests as JSON lines; [`Person`] reads them and presses keys of the virtual
//! phone at the phone's pace, one slip included where a test wants it. Whether it worked is asked of the phone.
//! Every class with every aim runs without a clock in `guide::tests`; here it is bytes, threads and libusb.

mod bench;

use bench::Rig;
use herstel::event::{Event, Request};
use herstel::fault::Code;
use herstel::virt::phone::{Phone, Stage};
use herstel::virt::usb::person::Person;
use herstel::virt::usb::preload::preload_library;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Seconds of a phone in one of ours: fast, and yet a busy machine keeps within the windows.
const PACE: u32 = 8;
const LIMIT: Duration = Duration::from_secs(150);

fn spec(phones: &[(&str, &str)]) -> String {
    let phone = |(model, rest): &(&str, &str)| format!("[[phone]]\nmodel = \"{model}\"\n{rest}\n");
    format!("pace = {PACE}\n{}", phones.iter().map(phone).collect::<String>())
}

struct Coached {
    code: Option<i32>,
    lines: Vec<Value>,
    err: String,
}

impl Coached {
    fn log(&self) -> Vec<(String, String)> {
        let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let coach = self.lines.iter().filter(|l| l["event"] == "coach");
        coach.map(|l| (text(l, "what"), text(l, "detail"))).collect()
    }

    fn misses(&self) -> Vec<String> {
        self.log().into_iter().filter(|(what, _)| what == "miss").map(|(_, detail)| detail).collect()
    }

    fn fault(&self) -> Option<Code> {
        let fault = &self.lines.last()?["fault"]["code"];
        serde_json::from_value(fault.clone()).ok()
    }
}

impl std::fmt::Display for Coached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "exit {:?}\n{}", self.code, self.err)?;
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Runs the program with a person at the phone; `slip` may leave a request undone.
fn coached(mut command: Command, phone: &Arc<Phone>, mut slip: impl FnMut(&Request) -> bool) -> Coached {
    let mut child = command.env("HERSTEL_BENCH_HASTE", PACE.to_string()).spawn().unwrap();
    let mut errors = child.stderr.take().unwrap();
    let stderr = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = errors.read_to_string(&mut text);
        text
    });
    let (id, done) = (child.id(), Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let over = Arc::clone(&done);
    let watchdog = std::thread::spawn(move || {
        let until = Instant::now() + LIMIT;
        while !over.load(std::sync::atomic::Ordering::Relaxed) {
            std::thread::park_timeout(Duration::from_millis(200));
            if Instant::now() > until {
                let pid = rustix::process::Pid::from_raw(id.cast_signed()).unwrap();
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                return;
            }
        }
    });
    let mut person = Person::new(phone);
    let mut lines = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let value: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        if let Ok(Event::Ask { request }) = serde_json::from_value::<Event>(value.clone())
            && !slip(&request)
        {
            person.hear(&request).unwrap();
        }
        lines.push(value);
    }
    let code = child.wait().unwrap().code();
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    watchdog.thread().unpark();
    watchdog.join().unwrap();
    Coached { code, lines, err: stderr.join().unwrap() }
}

fn guide(rig: &Rig, place: usize, arguments: &[&str]) -> Coached {
    let phone = &rig.bench.phones[place];
    let ecid = phone.ecid.to_string();
    let mut all = vec!["guide", "--json", "-d", &ecid];
    all.extend(arguments);
    coached(rig.command(&all), phone, |_| false)
}

/// All phones of a bench at once, each with its own person and its own run of the program.
fn everybody(rig: &Rig, arguments: &[&str], wanted: Stage) {
    std::thread::scope(|scope| {
        for (place, phone) in rig.bench.phones.iter().enumerate() {
            scope.spawn(move || {
                let ran = guide(rig, place, arguments);
                assert_eq!((ran.code, phone.stage()), (Some(0), wanted), "{} {arguments:?}\n{ran}", phone.model.name);
                assert!(ran.log().iter().any(|(what, _)| what == "left" || what == "seen"), "{ran}");
            });
        }
    });
}

#[test]
fn every_class_of_keys_is_led_into_dfu_and_out_again() {
    let classes = ["iphone5s", "iPhone8,1", "iPhone9,1", "iPod9,1", "iphone8", "iphone13", "iPad12,1", "iPad16,3"];
    let rig = Rig::new(&spec(&classes.map(|model| (model, ""))));
    everybody(&rig, &["dfu", "--by-hand"], Stage::Dfu);
    everybody(&rig, &["exit", "--by-hand"], Stage::Normal);
}

#[test]
fn recovery_restart_and_power_off_by_hand() {
    let rig = Rig::new(&spec(&["iphone5s", "iPhone9,1", "iphone13", "iPad16,3"].map(|model| (model, ""))));
    everybody(&rig, &["recovery", "--by-hand"], Stage::Recovery);
    everybody(&rig, &["exit", "--by-hand"], Stage::Normal);
    everybody(&rig, &["restart", "--by-hand"], Stage::Normal);
    everybody(&rig, &["off", "--by-hand"], Stage::Away);
}

#[test]
fn a_phone_that_is_off_and_an_apple_tv() {
    let rig = Rig::new(&spec(&[("iphone13", "mode = \"off\"")]));
    let phone = &rig.bench.phones[0];
    let command = rig.command(&["guide", "recovery", "--off", "--model", "iphone13", "--json"]);
    let ran = coached(command, phone, |_| false);
    assert_eq!((ran.code, phone.stage()), (Some(0), Stage::Recovery), "{ran}");
    let asked: Vec<&Value> = ran.lines.iter().filter_map(|l| l.get("request")).collect();
    assert!(asked.iter().any(|r| *r == "cable-out") && asked.iter().any(|r| *r == "cable-in"), "{ran}");

    let rig = Rig::new(&spec(&[("AppleTV5,3", "")]));
    let ran = guide(&rig, 0, &["dfu"]);
    assert_eq!((ran.code, rig.bench.phones[0].stage()), (Some(0), Stage::Dfu), "{ran}");
    assert!(ran.err.contains("few sources"), "hearsay is said to be hearsay\n{ran}");
    let ran = guide(&rig, 0, &["recovery", "--by-hand"]);
    assert_eq!((ran.code, ran.fault()), (Some(4), Some(Code::NoSuchKeys)), "{ran}");
}

#[test]
fn a_trusted_phone_needs_no_keys_for_most_ways() {
    let rig = Rig::new(&spec(&[("iphone13", "trust = \"trusted\"")]));
    let phone = &rig.bench.phones[0];
    for (way, wanted) in [
        ("recovery", Stage::Recovery),
        ("exit", Stage::Normal),
        ("restart", Stage::Normal),
        // The tool makes the reset while the keys are held.
        ("dfu", Stage::Dfu),
    ] {
        let ran = guide(&rig, 0, &[way]);
        assert_eq!((ran.code, phone.stage()), (Some(0), wanted), "{way}\n{ran}");
        let keys = ran.lines.iter().filter(|l| l["request"] == "keys" && l["keys"] != serde_json::json!([])).count();
        assert_eq!(keys > 0, way == "dfu", "{way}\n{ran}");
        if way == "dfu" {
            assert!(ran.log().iter().any(|(what, detail)| what == "begin" && detail.contains("assisted")), "{ran}");
            assert!(ran.log().iter().any(|(what, _)| what == "reset"), "{ran}");
        }
    }
    let rig = Rig::new(&spec(&[("iphone13", "trust = \"trusted\"")]));
    let ran = guide(&rig, 0, &["off"]);
    assert_eq!((ran.code, rig.bench.phones[0].stage()), (Some(0), Stage::Away), "{ran}");
}

/// Side is never let go: recovery comes, and from there the tool resets the phone itself, through libusb.
#[test]
fn a_miss_is_named_and_the_next_try_starts_from_where_it_ended() {
    let rig = Rig::new(&spec(&[("iphone13", "")]));
    let phone = &rig.bench.phones[0];
    let emulated = preload_library().is_some();
    if !emulated {
        eprintln!("without umockdev's preload library the bus is reached directly");
    }
    let mut both = 0;
    let command = rig.outside(env!("CARGO_BIN_EXE_herstel"), &["guide", "dfu", "--by-hand", "--json"], emulated);
    let ran = coached(command, phone, |request| {
        let Request::Keys { keys, .. } = request else { return false };
        both += usize::from(keys.len() == 2);
        // In the first try what follows both keys is not heard.
        both == 1 && keys.as_slice() == ["volume-down"]
    });
    assert_eq!(ran.misses(), ["reached-recovery"], "{ran}");
    assert_eq!((ran.code, phone.stage()), (Some(0), Stage::Dfu), "{ran}");
    assert!(ran.err.contains("That is recovery mode"), "{ran}");
}

#[test]
fn tries_end_and_say_so() {
    let rig = Rig::new(&spec(&[("iphone13", "")]));
    let phone = &rig.bench.phones[0];
    // Nobody presses anything.
    let ran = coached(rig.command(&["guide", "dfu", "--tries", "1", "--json"]), phone, |_| true);
    assert_eq!((ran.code, ran.fault(), phone.stage()), (Some(4), Some(Code::KeysMissed), Stage::Normal), "{ran}");
    assert_eq!(ran.misses(), ["never-reset"]);
    let log = std::fs::read_to_string(rig.path("state/herstel/coach.jsonl")).unwrap();
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["what"], &last["product"], &last["virtual"]),
        (&"miss".into(), &"iPhone14,5".into(), &true.into())
    );
    assert!(last["at_ms"].as_u64().is_some_and(|ms| ms > 10_000), "{last}");
}

/// A system that does not start: exit by command names the loop.
#[test]
fn a_recovery_loop_is_named() {
    let rig = Rig::new(&spec(&[("iphone13", "mode = \"recovery\"\n[phone.faults.usb]\nreturns_as = \"recovery\"")]));
    let ran = guide(&rig, 0, &["exit"]);
    assert_eq!((ran.code, ran.fault()), (Some(1), Some(Code::RecoveryLoop)), "{ran}");
}

/// Locked and never trusted: the restore asks for keys, and ends with a new system.
#[test]
fn a_locked_phone_is_restored_with_coached_keys() {
    let rig = Rig::new(&spec(&[("iphone13", "passcode = \"before-first-unlock\"")]));
    let phone = &rig.bench.phones[0];
    let ecid = phone.ecid.to_string();
    let refused = rig.run(&["restore", "--erase", "--yes-erase", &ecid, "--json"]);
    assert!(refused.code != Some(0) && phone.stage() == Stage::Normal, "a script has no hands\n{refused}");
    let command = rig.command(&["restore", "--erase", "--by-hand", "--yes-erase", &ecid, "--json"]);
    let ran = coached(command, phone, |_| false);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(phone.remembered("restore.finished"), 1, "{ran}");
}

#[test]
fn steps_and_sheets_need_no_device() {
    let rig = Rig::new(&spec(&[("iphone13", "mode = \"off\"")]));
    let ran = rig.run(&["guide", "dfu", "--model", "ipad-pro-m4", "--steps", "--lang", "nl"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(ran.out.contains("1. Tik op") && ran.out.contains("bovenste knop"), "{ran}");
    let sheet = rig.path("sheet.svg");
    let ran = rig.run(&["guide", "recovery", "--model", "iphone5s", "--svg", sheet.to_str().unwrap()]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(std::fs::read_to_string(&sheet).unwrap().starts_with("<svg"));
    let ran = rig.run(&["guide", "dfu", "--model", "teapot", "--steps", "--json"]);
    assert_eq!(ran.code_of_fault(), Some(Code::UnknownModel), "{ran}");
}

/// Found and closed to us: a state with a remedy, and not a reason to press keys.
#[test]
fn a_device_without_permission_is_listed_with_its_remedy() {
    let closed = "mode = \"recovery\"\n[phone.faults.usb]\nno_access = true";
    let rig = Rig::new(&spec(&[("iphone13", closed)]));
    let ran = rig.run(&["list", "--json"]);
    let row = &ran.lines()[0]["devices"][0];
    assert_eq!((&row["mode"], &row["access"]), (&"recovery".into(), &"no-permission".into()), "{ran}");
    let ran = rig.run(&["list"]);
    assert!(ran.code == Some(0) && ran.err.contains("herstel doctor"), "{ran}");
    let ran = rig.run(&["guide", "exit", "--json"]);
    assert_eq!((ran.code, ran.code_of_fault()), (Some(6), Some(Code::UsbNoAccess)), "{ran}");
}

#[test]
fn the_sheet_holds_what_boot_code_tells() {
    let rig = Rig::new(&spec(&[("iphone13", "mode = \"recovery\"\nfind_my = true"), ("iphone5s", "mode = \"dfu\"")]));
    let info = |place: usize| {
        let ecid = rig.bench.phones[place].ecid.to_string();
        let ran = rig.run(&["info", "-d", &ecid, "--json"]);
        assert_eq!(ran.code, Some(0), "{ran}");
        ran.lines()[0]["info"].clone()
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let recovery = info(0);
    assert_eq!((&recovery["boot_code"], &recovery["auto-boot"]), (&"iBoot".into(), &"true".into()), "{recovery}");
    assert_eq!(recovery["fm-activation-locked"], "YES", "the lock shows before anything is erased");
    assert!(recovery["build-version"].as_str().is_some_and(|v| v.starts_with("iBoot-")), "{recovery}");
    assert_eq!(recovery["ap_nonce"], hex(&rig.bench.phones[0].state().ap_nonce));
    let dfu = info(1);
    assert_eq!((&dfu["boot_code"], &dfu["rom"]), (&"SecureROM".into(), &"iBoot-1704.10".into()), "{dfu}");
    assert!(dfu.get("auto-boot").is_none() && dfu["sep_nonce"].is_string(), "{dfu}");
}
