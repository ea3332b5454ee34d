//! An update that keeps the data: the passcode before it, and what a dry run says without touching anything.

use super::bench::{Ran, Rig, run};
use super::cut::Running;
use super::{LIMIT, event, exits, is_new, one, plain, soon};
use herstel::fault::Code;
use herstel::virt::phone::{Phone, Stage};
use herstel::virt::spec::PasscodeSpec;
use rustix::process::Signal;

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
