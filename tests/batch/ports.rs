//! Cables: devices that change ports while they are worked on, strangers in their place, and plugs that come out at each
//! stage of a restore. The pinned ECID decides, whatever is at the port.

use super::cut::Running;
use super::{QUICK, file, herstel, is_new, phases, phones, soon, told, write};
use crate::bench::{Ran, Rig};
use herstel::fault::Code;
use herstel::virt::phone::{Phone, Stage};
use std::sync::Arc;
use std::time::Duration;

/// A hand at the hub, in seconds of a real phone.
const AWAY: Duration = Duration::from_secs(2);

/// Nobody sent it anything that changes it.
fn is_untouched(phone: &Phone, ran: &Ran) {
    for what in ["files.erased", "restore.start", "iboot.upload", "lockdown.enter-recovery", "boot.accepted"] {
        assert_eq!(phone.remembered(what), 0, "the stranger {} remembers {what}\n{ran}", phone.ecid);
    }
}

fn teach(rig: &Rig, stations: &[(&str, &str)]) {
    for (station, port) in stations {
        let ran = herstel(rig, &["stations", "set", station, port]);
        assert_eq!(ran.code, Some(0), "{ran}");
    }
}

/// Waits for a moment on the phone itself; the program must still be at work then.
fn at(running: &mut Running, what: impl Fn() -> bool) {
    assert!(running.until(|_| what()), "it ended before");
}

#[test]
fn two_devices_that_swap_ports_are_followed() {
    let rig = phones(&["", ""]);
    teach(&rig, &[("1", "1-1"), ("2", "1-2")]);
    let [first, second] = [0, 1].map(|at| Arc::clone(&rig.bench.phones[at]));
    let mut running = Running::start(&rig, &["batch", &file(&rig, QUICK), "--yes-erase-all", "--json"]);
    at(&mut running, || [&first, &second].iter().all(|phone| phone.remembered("restore.checkpoint") > 3));
    first.move_to(2, AWAY);
    second.move_to(1, AWAY);
    let ran = running.end();
    assert_eq!((ran.code, phases(&ran)), (Some(0), vec!["done".to_owned(); 2]), "{ran}");
    let over = ran.events("batch-over").pop().unwrap();
    let stations: Vec<_> = over["rows"].as_array().unwrap().iter().map(|row| row["row"]["station"].clone()).collect();
    assert_eq!(stations, [2, 1], "they are where they are now\n{ran}");
    for phone in [&first, &second] {
        is_new(phone, phone.remembered("files.erased"), &ran);
        assert!(phone.remembered("restore.start") > 1, "the first restore of each was broken off\n{ran}");
    }
}

#[test]
fn a_stranger_at_the_station_of_a_row_is_told_of_and_never_touched() {
    let rig = phones(&["", "", "mode = \"off\""]);
    teach(&rig, &[("1", "1-1"), ("2", "1-2")]);
    let [first, second, stranger] = [0, 1, 2].map(|at| Arc::clone(&rig.bench.phones[at]));
    let row = |station: u32| format!("[[device]]\nstation = {station}\naction = \"restore-erase\"\n");
    let name = write(&rig, &format!("limit = 1\nownership = \"owner\"\n{}{}{QUICK}", row(1), row(2)));
    let mut running = Running::start(&rig, &["batch", &name, "--yes-erase-stations", "1,2", "--json"]);
    at(&mut running, || first.remembered("restore.start") > 0);
    // The second waits for its turn; somebody takes its place.
    second.move_to(7, AWAY);
    stranger.move_to(2, AWAY);
    assert!(soon(|| stranger.port() == 2));
    stranger.enter(Stage::Recovery);
    let ran = running.end();
    assert_eq!((ran.code, phases(&ran)), (Some(0), vec!["done".to_owned(); 2]), "{ran}");
    let strangers = told(&ran, "stranger");
    assert_eq!(strangers.len(), 1, "{ran}");
    assert_eq!((&strangers[0]["row"], &strangers[0]["stranger"]), (&2.into(), &stranger.ecid.to_string().into()));
    [&first, &second].iter().for_each(|phone| is_new(phone, 1, &ran));
    is_untouched(&stranger, &ran);
}

/// Somebody swaps the device for another one while it is away between two of its stages: at its port there is a phone
/// in the very mode that is waited for, and it is not the one that was agreed to.
#[test]
fn a_device_that_is_swapped_while_it_restarts_is_not_mistaken() {
    for (leaves, stranger_is) in [(Stage::Normal, Stage::Recovery), (Stage::Recovery, Stage::Recovery)] {
        let rig = phones(&["", "mode = \"off\""]);
        teach(&rig, &[("1", "1-1")]);
        let [device, stranger] = [0, 1].map(|at| Arc::clone(&rig.bench.phones[at]));
        let changes = device.watch();
        let row = "[[device]]\nstation = 1\naction = \"restore-erase\"\n";
        let name = write(&rig, &format!("ownership = \"owner\"\n{row}{QUICK}"));
        let running = Running::start(&rig, &["batch", &name, "--yes-erase-stations", "1", "--json"]);
        let gone = |change: &herstel::virt::phone::StageChange| change.from == leaves && change.to == Stage::Away;
        assert!(changes.iter().take(20).any(|change| gone(&change)));
        device.move_to(5, AWAY);
        device.enter(Stage::Away);
        stranger.move_to(1, Duration::ZERO);
        stranger.enter(stranger_is);
        let ran = running.end();
        assert_eq!(ran.code, Some(4), "it waits for its device and then leaves it\n{ran}");
        assert_eq!(phases(&ran), ["left-for-person"], "{ran}");
        is_untouched(&stranger, &ran);
        // It comes back, at another port, and is done.
        device.enter(Stage::Recovery);
        let ran = herstel(&rig, &["batch", "--resume", "--json"]);
        assert_eq!((ran.code, phases(&ran)), (Some(0), vec!["done".to_owned()]), "{ran}");
        is_new(&device, 1, &ran);
        is_untouched(&stranger, &ran);
    }
}

/// At which checkpoint the cable comes out: where the restore begins, the partitions, the modem, the seal, the end.
const STAGES: [(&str, &str); 7] = [
    ("while iBEC is sent", "[phone.faults.usb]\nvanish_at_upload_byte = 9000"),
    ("at the first checkpoint", "[phone.faults.restore]\nonce = true\nunplug_at_checkpoint = 0x655"),
    ("at the partitions", "[phone.faults.restore]\nonce = true\nunplug_at_checkpoint = 0x616"),
    ("in the image", "[phone.faults.restore]\nonce = true\nunplug_at_image_byte = 300000"),
    ("at the modem", "[phone.faults.restore]\nonce = true\nunplug_at_checkpoint = 0x132A"),
    ("at the seal", "[phone.faults.restore]\nonce = true\nunplug_at_checkpoint = 0x63C"),
    ("at the end", "[phone.faults.restore]\nonce = true\nunplug_at_checkpoint = 0x63F"),
];

#[test]
fn a_cable_that_comes_out_at_any_stage_is_one_try_and_the_others_go_on() {
    let mut faults: Vec<&str> = STAGES.iter().map(|(_, fault)| *fault).collect();
    faults.push("");
    let rig = phones(&faults);
    let ran = herstel(&rig, &["batch", &file(&rig, QUICK), "--yes-erase-all", "--json"]);
    assert_eq!((ran.code, phases(&ran)), (Some(0), vec!["done".to_owned(); 8]), "{ran}");
    let tries = |row: usize| told(&ran, "began").iter().filter(|b| b["row"] == row + 1).count();
    for (at, (stage, _)) in STAGES.iter().enumerate() {
        let phone = &rig.bench.phones[at];
        is_new(phone, phone.remembered("files.erased"), &ran);
        let broken = match at {
            // A slip that the boot chain itself mends is no new try.
            0 => phone.remembered("usb.vanished"),
            _ => tries(at) - 1,
        };
        assert_eq!(broken, 1, "{stage}: the cable came out once\n{ran}");
    }
    assert_eq!(tries(STAGES.len()), 1, "the sound one goes through\n{ran}");
    is_new(&rig.bench.phones[STAGES.len()], 1, &ran);
}

#[test]
fn one_that_stays_away_is_left_and_a_resume_finishes_it() {
    let rig = phones(&["", ""]);
    let [lost, sound] = [0, 1].map(|at| Arc::clone(&rig.bench.phones[at]));
    let mut running = Running::start(&rig, &["batch", &file(&rig, QUICK), "--yes-erase-all", "--json"]);
    at(&mut running, || lost.remembered("restore.checkpoint") > 10);
    lost.enter(Stage::Away);
    let ran = running.end();
    assert_eq!((ran.code, ran.code_of_fault()), (Some(4), Some(Code::PersonNeeded)), "{ran}");
    assert_eq!(phases(&ran), ["left-for-person", "done"], "{ran}");
    let waits = told(&ran, "phase").into_iter().find(|p| p["row"] == 1 && p["phase"] == "waits-for-person");
    assert_eq!(waits.unwrap_or_else(|| panic!("{ran}"))["wants"], "plug-in", "{ran}");
    is_new(&sound, 1, &ran);
    lost.enter(Stage::Recovery);
    let again = herstel(&rig, &["batch", "--resume", "--json"]);
    assert_eq!((again.code, phases(&again)), (Some(0), vec!["done".to_owned(); 2]), "{again}");
    is_new(&lost, lost.remembered("files.erased"), &again);
    is_new(&sound, 1, &again);
}
