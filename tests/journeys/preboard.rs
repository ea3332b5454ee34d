//! An update that keeps the data: the passcode before it, and what a dry run says without touching anything.

use super::bench::{Ran, Rig, run};
use super::cut::Running;
use super::{LIMIT, event, exits, is_new, one, plain, soon};
use herstel::fault::Code;
use herstel::virt::phone::{Phone, Stage};
use herstel::virt::spec::PasscodeSpec;
use rustix::process::Signal;
use serde_json::json;
use std::fs;
use std::path::Path;

const TRUSTED: &str = "trust = \"trusted\"\npasscode = \"unlocked\"\nversion = \"26.7.1\"\nbuild = \"23H420\"";

/// A trusted phone with a passcode, on a system that can be updated.
fn trusted(preboard: &str) -> Rig {
    one("iphone13", &format!("{TRUSTED}\n[phone.faults.mux.preboard]\n{preboard}"))
}

fn passcode(phone: &Phone) -> PasscodeSpec {
    phone.state().passcode
}

/// Still in its system, with nothing changed.
fn untouched(phone: &Phone, ran: &Ran) {
    assert_eq!((phone.stage(), phone.remembered("stage")), (Stage::Normal, 0), "{ran}");
    assert_eq!(phone.remembered("lockdown.enter-recovery"), 0, "{ran}");
    assert_eq!(phone.state().build.to_string(), "23H420", "{ran}");
}

#[test]
fn an_update_asks_the_passcode_on_the_device_and_opens_the_data_afterwards() {
    let rig = trusted("");
    let phone = rig.phone();
    let before = phone.files.digest_of_user_data();
    let ran = exits(&rig, &["restore", "--update", "--json"], 0);
    for said in ["ask", "answered"] {
        assert_eq!(event(&ran, said)["request"], "enter-passcode", "{ran}");
    }
    let steps: Vec<_> = ran.events("step-done").into_iter().map(|e| e["step"].as_str().unwrap().to_owned()).collect();
    let at = |step: &str| steps.iter().position(|s| s == step).unwrap_or_else(|| panic!("no {step}: {steps:?}"));
    assert!(at("verify-firmware") < at("stashbag") && at("stashbag") < at("enter-recovery"), "{steps:?}");
    let memory = phone.memory();
    let first = |what: &str| memory.iter().position(|m| m.what == what).unwrap_or_else(|| panic!("no {what}\n{ran}"));
    let order = ["preboard.create", "preboard.created", "preboard.committed", "lockdown.enter-recovery"];
    assert!(order.map(first).is_sorted(), "{:?}", order.map(first));
    assert_eq!(phone.remembered("preboard.refused"), 0);
    assert_eq!((phone.remembered("stashbag.opened"), passcode(phone)), (1, PasscodeSpec::Locked));
    is_new(&rig, 0, "update");
    assert_eq!(phone.files.digest_of_user_data(), before, "an update keeps every byte");
}

#[test]
fn a_passcode_that_nobody_enters_or_a_refusal_leaves_the_phone_as_it_is() {
    for (knobs, code, exit) in [
        ("person = \"away\"", Code::PasscodeNotEntered, 4),
        ("person = \"cancels\"", Code::StashbagRefused, 1),
        ("create_error = \"not now\"", Code::StashbagRefused, 1),
        ("commit_error = \"no\"", Code::StashbagRefused, 1),
    ] {
        let rig = trusted(knobs);
        let phone = rig.phone();
        let ran = exits(&rig, &["restore", "--update", "--json"], exit);
        let fault = ran.fault().unwrap();
        assert_eq!((fault.code, fault.stage.as_deref()), (code, Some("stashbag")), "{knobs}\n{ran}");
        assert!(ran.err.contains("Nothing was changed."), "{knobs}: what to do is said\n{ran}");
        assert_eq!(ran.events("ask").len(), ran.events("answered").len(), "{knobs}: no prompt stays open\n{ran}");
        untouched(phone, &ran);
        assert_eq!(phone.remembered("preboard.committed"), 0, "{knobs}");
    }
}

#[test]
fn a_silent_preboard_ends_in_bounded_time() {
    for (knobs, code) in [
        ("silent = true", Code::LinkSilent),
        ("silent_dialog = true", Code::PasscodeNotEntered),
        ("commit_silent = true", Code::LinkSilent),
    ] {
        let rig = trusted(knobs);
        let mut command = rig.command(&["restore", "--update", "--json"]);
        command.env("HERSTEL_BENCH_HASTE", "60");
        let ran = plain(run(command, LIMIT));
        assert_eq!(
            (ran.code_of_fault(), ran.fault().unwrap().stage.as_deref()),
            (Some(code), Some("stashbag")),
            "{ran}"
        );
        untouched(rig.phone(), &ran);
    }
}

#[test]
fn where_there_is_no_stashbag_the_update_goes_on_and_says_so() {
    for (more, missing) in [
        (format!("{TRUSTED}\n[phone.faults.mux.preboard]\nabsent = true"), 1),
        (format!("{TRUSTED}\n[phone.faults.mux.preboard]\nno_sidp = true"), 1),
        (TRUSTED.replace("unlocked", "none"), 0),
        (format!("{TRUSTED}\nmode = \"recovery\""), 1),
    ] {
        let rig = one("iphone13", &more);
        let phone = rig.phone();
        let ran = exits(&rig, &["restore", "--update", "--json"], 0);
        let skipped = ran.events("step-skipped").iter().filter(|e| e["step"] == "stashbag").count();
        assert_eq!(skipped, usize::from(!more.contains("recovery")), "{more}\n{ran}");
        assert_eq!(phone.remembered("stashbag.missing"), missing, "{more}\n{ran}");
        assert_eq!(phone.remembered("preboard.committed"), 0, "{more}");
        is_new(&rig, 0, &more);
    }
}

#[test]
fn devices_of_every_age_keep_their_data() {
    for (model, knobs) in [("iphone5s", ""), ("iphone8", "fresh_nonce = true"), ("iphone16", "")] {
        let more = format!("trust = \"trusted\"\npasscode = \"unlocked\"\n[phone.faults.mux.preboard]\n{knobs}");
        let rig = one(model, &more);
        let ran = exits(&rig, &["restore", "--update", "--json"], 0);
        assert_eq!(rig.phone().remembered("preboard.committed"), 1, "{model}\n{ran}");
        assert_eq!(rig.phone().remembered("stashbag.opened"), 1, "{model}\n{ran}");
        is_new(&rig, 0, model);
    }
}

#[test]
fn ctrl_c_while_the_passcode_is_asked_stops_at_once() {
    let rig = trusted("silent_dialog = true");
    let phone = rig.phone();
    let mut running = Running::start(&rig, "cut", &["restore", "--update", "--json"]);
    assert!(running.until(|| phone.remembered("preboard.dialog") == 1), "the dialog never opened");
    running.signal(Signal::INT);
    let ran = running.end();
    assert_eq!((ran.finished()["outcome"].as_str(), ran.code), (Some("cancelled"), Some(130)), "{ran}");
    assert!(soon(|| phone.remembered("preboard.dialog") == 2), "the phone saw that the host left");
    assert_eq!((phone.stage(), phone.remembered("stage")), (Stage::Normal, 0));
}

// -- before anything is touched --

/// Every file below the program's own folders, with its size. Copies of catalogues and what Apple's server said last
/// are left out: they are caches, and reading them anew is what a dry run is for.
fn listing(rig: &Rig) -> Vec<(String, u64)> {
    fn walk(folder: &Path, out: &mut Vec<(String, u64)>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, out);
            } else {
                out.push((path.display().to_string(), entry.metadata().unwrap().len()));
            }
        }
    }
    let mut out = Vec::new();
    for folder in ["home", "config", "data", "state", "cache/herstel/firmware"] {
        walk(&rig.path(folder), &mut out);
    }
    out.sort();
    out
}

/// A dry run that must change neither the phone nor the folders.
fn dry(rig: &Rig, arguments: &[&str], code: i32) -> Ran {
    let phone = rig.phone();
    let changed = |phone: &Phone| {
        let memory = phone.memory();
        memory.iter().filter(|m| !m.what.starts_with("lockdown.") && !m.what.starts_with("mux.")).count()
    };
    let before = (listing(rig), changed(phone), phone.files.digest_of_user_data(), phone.stage());
    let ran = exits(rig, &[arguments, &["--dry-run", "--json"]].concat(), code);
    let after = (listing(rig), changed(phone), phone.files.digest_of_user_data(), phone.stage());
    assert_eq!(before, after, "{arguments:?} touched something\n{ran}");
    for what in ["lockdown.enter-recovery", "lockdown.set", "preboard.create", "stage"] {
        assert_eq!(phone.remembered(what), 0, "{what}\n{ran}");
    }
    assert!(!rig.jobs().exists() && !rig.vault().exists(), "{ran}");
    assert!(ran.events("ask").is_empty(), "nobody is asked for anything\n{ran}");
    ran
}

fn steps(ran: &Ran) -> Vec<String> {
    let told = event(ran, "dry-run");
    told["steps"].as_array().unwrap().iter().map(|s| s["step"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_dry_run_says_every_step_and_touches_nothing() {
    let rig = trusted("");
    let update = dry(&rig, &["restore", "--update"], 0);
    let told = event(&update, "dry-run");
    assert_eq!((&told["keeps"], &told["would_run"], &told["estimated"]), (&json!("data"), &json!(true), &json!(true)));
    assert!(told["needs"].as_array().unwrap().contains(&json!("passcode")), "{told}");
    let fetch = told["steps"].as_array().unwrap().iter().find(|s| s["step"] == "fetch").unwrap();
    assert!(fetch["bytes"].as_u64().unwrap() > 1_000_000 && fetch["cached"] == false, "{fetch}");
    assert!(update.err.contains("UPDATES the system and keeps the data"), "{update}");
    assert!(!update.err.contains("ERASES"), "{update}");
    let found = event(&update, "preflight");
    let verdicts: Vec<_> = found["findings"].as_array().unwrap().iter().map(|f| [&f["check"], &f["verdict"]]).collect();
    let good = ["usbmuxd", "battery", "firmware-room", "device-room", "identity", "signed"];
    assert_eq!(json!(verdicts), json!(good.map(|check| [check, "good"])), "{found}");

    let erase = dry(&rig, &["restore", "--erase"], 0);
    assert_eq!(event(&erase, "dry-run")["keeps"], "unsaved");
    assert!(erase.err.contains("ERASES the device") && !erase.err.contains("keeps the data"), "{erase}");
    assert!(steps(&update).contains(&"stashbag".into()) && !steps(&erase).contains(&"stashbag".into()));
    let recover = dry(&rig, &["recover"], 0);
    assert_eq!(event(&recover, "dry-run")["keeps"], "backup");
    let steps = steps(&recover);
    assert_eq!((steps.first().unwrap().as_str(), steps.contains(&"put-back".into())), ("backup", true), "{steps:?}");

    // What would run runs in that order.
    let ran = exits(&rig, &["restore", "--update", "--json"], 0);
    let done: Vec<_> = ran.events("step-done").into_iter().map(|e| e["step"].as_str().unwrap().to_owned()).collect();
    let said: Vec<_> = self::steps(&update).into_iter().filter(|s| done.contains(s)).collect();
    let mut from = 0;
    for step in said.iter().filter(|s| !["fetch", "restore", "send-image"].contains(&s.as_str())) {
        let at = done[from..].iter().position(|d| d == step);
        from += at.unwrap_or_else(|| panic!("{step} is not after {:?}: {done:?}", &done[..from]));
    }
    assert_eq!(event(&ran, "report")["report"]["erased"], false);
    assert!(ran.err.contains("updated, not erased"), "{ran}");
}

#[test]
fn what_is_sure_to_fail_is_said_before_anything_is_touched() {
    let low = "[phone.faults.mux]\nbattery_percent = 7\nnot_charging = true";
    let full = "[phone.faults.mux]\ndata_free = 300000000";
    let newer = TRUSTED.replace("26.7.1", "99.1").replace("23H420", "99A1");
    for (more, code) in [
        (format!("{TRUSTED}\n{low}"), Code::BatteryLow),
        (format!("{TRUSTED}\n{full}"), Code::UpdateImpossible),
        (newer, Code::UpdateImpossible),
    ] {
        let rig = one("iphone13", &more);
        let exit = i32::from(code.exit());
        let ran = dry(&rig, &["restore", "--update"], exit);
        let fault = ran.fault().unwrap();
        assert_eq!((fault.code, fault.stage.as_deref()), (code, Some("plan")), "{ran}");
        if let Some(told) = ran.events("dry-run").pop() {
            assert_eq!(told["would_run"], false);
        }
        let real = exits(&rig, &["restore", "--update", "--json"], exit);
        assert_eq!(real.code_of_fault(), Some(code), "{real}");
        assert!(!rig.jobs().exists() && rig.phone().remembered("stage") == 0, "{real}");
    }
    let rig = one("iphone13", &format!("{TRUSTED}\n{full}"));
    let ran = exits(&rig, &["restore", "--update", "--lang", "nl"], 1);
    assert!(ran.err.contains("te vol voor een update"), "{ran}");
    // An erase needs no room on the device.
    let rig = one("iphone13", &format!("{TRUSTED}\n{full}"));
    dry(&rig, &["restore", "--erase"], 0);
    let warned = one("iphone13", &format!("{TRUSTED}\n[phone.faults.mux]\nbattery_percent = 20\nnot_charging = true"));
    let ran = dry(&warned, &["restore", "--erase"], 0);
    assert!(ran.err.contains("The battery is low"), "{ran}");
}

#[test]
fn a_signing_server_that_is_away_stops_a_restore_in_normal_mode() {
    let rig = trusted("");
    let mut command = rig.command(&["restore", "--update", "--json"]);
    // Nobody listens on port 1.
    command.env("HERSTEL_TSS_URL", "http://127.0.0.1:1/TSS/controller?action=2").env("HERSTEL_BENCH_HASTE", "60");
    let ran = plain(run(command, LIMIT));
    assert_eq!(ran.code_of_fault(), Some(Code::TssUnreachable), "{ran}");
    assert!(!rig.jobs().exists());
    untouched(rig.phone(), &ran);
}

#[test]
fn a_usbmuxd_that_ends_in_the_middle_is_named() {
    let rig = one("iphone13", "mode = \"recovery\"\n[phone.faults.mux]\nmux_vanish_after_connects = 4");
    let ecid = rig.phone().ecid.to_string();
    let mut command = rig.command(&["restore", "--erase", "--yes-erase", &ecid, "--json"]);
    command.env("HERSTEL_BENCH_HASTE", "20");
    let ran = plain(run(command, LIMIT));
    assert_eq!((ran.code_of_fault(), ran.code), (Some(Code::MuxUnreachable), Some(6)), "{ran}");
    let said = ran.events("warning").iter().any(|w| w["text"].as_str().unwrap().contains("usbmuxd ended"));
    assert!(said, "{ran}");
    assert_eq!(rig.phone().remembered("restore.finished"), 0);
}
