//! What Apple is asked in a restore, counted at the bench's Apple.

use super::bench::{Ran, Rig};
use super::{exits, is_new, one};
use herstel::fault::Code;
use herstel::virt::phone::Stage;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

const TRUSTED: &str = "trust = \"trusted\"";

/// How often a ticket of this name was signed; `ap` is the boot ticket.
fn signed(rig: &Rig, name: &str) -> usize {
    let is_it = |memo: &&Value| match name {
        // The check whether a build is signed at all is asked for a device that does not exist.
        "ap" => memo["what"] == "tss.ap" && memo["detail"]["ecid"] == rig.phone().ecid.0,
        name => memo["what"] == "tss.ticket" && memo["detail"]["ticket"] == name,
    };
    rig.bench.apple.memory().iter().filter(is_it).count()
}

fn kept(rig: &Rig, kind: &str) -> Vec<PathBuf> {
    let folder = rig.path("state/herstel/tickets");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    files.retain(|path| path.file_name().unwrap().to_string_lossy().split('-').nth(2) == Some(kind));
    files.sort();
    files
}

fn erase(rig: &Rig, more: &[&str], code: i32) -> Ran {
    let ecid = rig.phone().ecid.to_string();
    let mut arguments = vec!["restore", "--erase", "--yes-erase", &ecid, "--json"];
    arguments.extend(more);
    exits(rig, &arguments, code)
}

#[test]
fn each_ticket_is_asked_for_once_and_kept() {
    let rig = one("iphone13", TRUSTED);
    let ran = erase(&rig, &[], 0);
    is_new(&rig, 1, &ran.to_string());
    let modem = rig
        .phone()
        .memory()
        .iter()
        .filter(|m| m.what == "restore.request" && m.detail["type"] == "BasebandData")
        .count();
    assert!(modem >= 2, "the modem's updater asks without a nonce, then with one: {modem}");
    // In normal mode, for the nonce that recovery and iBEC show too.
    assert_eq!(signed(&rig, "ap"), 1, "{ran}");
    // Ahead of time for the first question, and once with the nonce.
    assert_eq!(signed(&rig, "BBTicket"), 2, "{ran}");
    assert_eq!((kept(&rig, "ap").len(), kept(&rig, "bb").len()), (1, 2));
    let order: Vec<String> =
        ran.events("step-began").iter().filter_map(|e| e["step"].as_str().map(str::to_owned)).collect();
    let place = |step: &str| order.iter().position(|s| s == step).unwrap_or_else(|| panic!("{step} in {order:?}"));
    assert!(place("ticket") < place("enter-recovery"), "{order:?}");
}

#[test]
fn the_stashbag_of_an_update_takes_the_ticket_that_is_there() {
    let rig = one("iphone13", "trust = \"trusted\"\npasscode = \"unlocked\"\nversion = \"26.7.1\"\nbuild = \"23H420\"");
    let ran = exits(&rig, &["restore", "--update", "--json"], 0);
    is_new(&rig, 0, &ran.to_string());
    assert!(rig.phone().remembered("preboard.committed") == 1, "{ran}");
    // One question for the check before anything, the stashbag, recovery mode and iBEC.
    assert_eq!(signed(&rig, "ap"), 1, "{ran}");
}

/// Restores and resumes; both end in iBEC, whose setenv fails. What Apple was asked for the boot is counted.
fn cut_in_ibec_and_resumed(model: &str) {
    let faults = "trust = \"trusted\"\nfaults.usb.nonce_kept = true\nfaults.usb.stall_command = \"setenv\"";
    let rig = one(model, faults);
    let before = erase(&rig, &[], 1);
    assert_eq!(before.code_of_fault(), Some(Code::UsbStall), "{before}");
    assert_eq!((signed(&rig, "ap"), rig.phone().stage()), (1, Stage::Ibec), "{before}");
    let again = exits(&rig, &["resume", "--json"], 1);
    assert_eq!(again.code_of_fault(), Some(Code::UsbStall), "{again}");
    assert!(again.out.contains("ticket of an earlier run is used"), "{again}");
    assert_eq!(signed(&rig, "ap"), 1, "{again}");
}

#[test]
fn a_resumed_restore_asks_only_what_is_new() {
    cut_in_ibec_and_resumed("iphone13");
    // Its plain SEPNonce is a mask in normal mode: with it, recovery would be another question.
    cut_in_ibec_and_resumed("iphone16");
}

#[test]
fn a_ticket_from_a_file_stands_in_for_apple() {
    let keeps = "trust = \"trusted\"\nmode = \"recovery\"\nfaults.usb.nonce_kept = true";
    let rig = one("iphone13", keeps);
    let ran = erase(&rig, &[], 0);
    let file = kept(&rig, "ap").pop().unwrap_or_else(|| panic!("no ticket was kept\n{ran}"));
    let asked = signed(&rig, "ap");
    assert_eq!(asked, 1);
    // The same phone once more, with nothing but the file.
    let file_again = rig.path("saved.shsh2");
    fs::rename(file, &file_again).unwrap();
    let file = file_again.to_str().unwrap();
    rig.phone().enter(Stage::Recovery);
    let ran = erase(&rig, &["--ticket", file], 0);
    is_new(&rig, 2, &ran.to_string());
    assert_eq!(signed(&rig, "ap"), asked, "{ran}");
    assert!(ran.out.contains("the ticket that was given is used"), "{ran}");

    // The nonce is another one by now.
    rig.phone().fresh_nonces();
    rig.phone().enter(Stage::Recovery);
    let ran = erase(&rig, &["--ticket", file], 7);
    let fault = ran.fault().unwrap();
    assert!(fault.code == Code::TicketUnfit && fault.detail.contains("another AP nonce"), "{ran}");

    // Another phone's: known before anything else is done, and the phone is where it was.
    let other = one("iphone13", "ecid = \"0x1234567890\"");
    let ran = erase(&other, &["--ticket", file], 7);
    let fault = ran.fault().unwrap();
    assert!(fault.code == Code::TicketUnfit && fault.detail.contains("ECID"), "{ran}");
    assert_eq!((other.phone().stage(), other.phone().remembered("stage")), (Stage::Normal, 0), "{ran}");
    assert!(other.journal().is_empty(), "no job was begun\n{ran}");
}
