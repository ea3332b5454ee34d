//! Every generation of devices through the whole of a restore: the order in which the ramdisk asks is that of
//! its era, and the program answers all of it, for an erase and for an update, one by one and eight at once.

use super::bench::{Rig, run};
use super::{offered, plain, soon, system};
use herstel::virt::phone::{Phone, Stage};
use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// What one program may take while others run beside it.
const LIMIT: Duration = Duration::from_secs(240);
/// Bytes of the image: here it is about the order, not about the load.
const IMAGE: u64 = 2 << 20;

/// A device, the mode it starts from, the script it walks (empty: that of the system it is offered), and what it
/// must turn out to be.
#[derive(Clone, Copy)]
struct Row {
    model: &'static str,
    mode: &'static str,
    knob: &'static str,
    script: &'static str,
    modem: bool,
}

const fn row(model: &'static str, mode: &'static str, knob: &'static str, script: &'static str, modem: bool) -> Row {
    Row { model, mode, knob, script, modem }
}

const ROWS: &[Row] = &[
    row("iPhone5,2", "dfu", "ios6", "ios6", true),
    row("iPhone5,1", "recovery", "", "ios10", true),
    row("iPhone9,1", "recovery", "ios10-img4", "ios10-img4", true),
    row("iPhone7,2", "dfu", "", "ios12", true),
    row("iPhone10,1", "recovery", "", "ios16", true),
    row("iPhone10,3", "dfu", "", "ios16", true),
    row("iPhone11,8", "recovery", "", "ios18", true),
    row("iPhone14,5", "dfu", "", "ios26", true),
    row("iPhone17,3", "recovery", "", "ios26", true),
    row("iPhone18,3", "dfu", "", "ios26", true),
    row("iPad13,18", "recovery", "", "ios26", false),
    row("AppleTV5,3", "dfu", "", "ios26", false),
];

fn bench<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Rig {
    let mut toml = "pace = 25.0\n".to_owned();
    for Row { model, mode, knob, .. } in rows {
        toml += &format!("[[phone]]\nmodel = \"{model}\"\nmode = \"{mode}\"\ntrust = \"trusted\"\nphotos = 3\n");
        if !knob.is_empty() {
            toml += &format!("[phone.faults.restore]\nscript = \"{knob}\"\n");
        }
    }
    Rig::with_image(&toml, IMAGE)
}

/// One device, restored by a program of its own.
fn restore(rig: &Rig, phone: &Phone, row: &Row, erase: bool) {
    let ecid = phone.ecid.to_string();
    let before = phone.files.digest_of_user_data();
    let mut arguments = vec!["-d", &ecid, "restore", "--json"];
    arguments.extend(if erase { vec!["--erase", "--yes-erase", &ecid] } else { vec!["--update"] });
    let ran = plain(run(rig.command(&arguments), LIMIT));
    let why = format!("{} ({}) from {}, erase: {erase}", row.model, row.script, row.mode);
    assert_eq!(ran.code, Some(0), "{why}\n{ran}");
    assert!(soon(|| phone.stage() == Stage::Normal), "{why}: {:?}\n{ran}", phone.stage());
    assert_eq!(system(phone), offered(phone), "{why}");

    let memory = phone.memory();
    let one = |what: &str| -> Value {
        let found: Vec<Value> = memory.iter().filter(|m| m.what == what).map(|m| m.detail.clone()).collect();
        assert_eq!(found.len(), 1, "{why}: {what}\n{ran}");
        found.into_iter().next().unwrap_or_default()
    };
    let start = one("restore.start");
    assert_eq!((&start["script"], &start["erase"]), (&json!(row.script), &json!(erase)), "{why}");
    let protocol = match row.script {
        "ios6" => 12,
        old if old.starts_with("ios10") => 14,
        _ => 15,
    };
    assert_eq!(start["protocol"], protocol, "{why}: the host speaks the device's protocol");
    assert_eq!(one("restore.finished")["erase"], erase, "{why}");
    assert_eq!(one("restore.final"), json!({ "acknowledged": true }), "{why}");
    assert_eq!(phone.remembered("files.erased"), usize::from(erase), "{why}");
    assert_eq!(erase, phone.files.digest_of_user_data() != before, "{why}: the data");
    for bad in ["boot.refused", "restore.failed", "asr.failed", "fdr.failed"] {
        assert_eq!(phone.remembered(bad), 0, "{why}: {bad}\n{ran}");
    }
    // Since the iPhone 16 there is a second system.
    let systems = 1 + usize::from(row.model.starts_with("iPhone17") || row.model.starts_with("iPhone18"));
    assert_eq!(phone.remembered("asr.image"), systems, "{why}");
    let refused: Vec<&Value> =
        memory.iter().filter(|m| m.what == "restore.answer" && m.detail["ok"] != true).map(|m| &m.detail).collect();
    assert!(refused.is_empty(), "{why}: {refused:?}");
    let asked = |what: &str| memory.iter().filter(|m| m.what == "restore.request" && m.detail["type"] == what).count();
    let modem = match row.script {
        _ if !row.modem => 0,
        "ios6" => 4,
        _ => 2,
    };
    assert_eq!(asked("BasebandData"), modem, "{why}");
    let first = memory.iter().find(|m| m.what == "restore.request").map(|m| m.detail["type"].clone());
    let sep_first = row.script == "ios10-img4";
    assert_eq!(first, Some(json!(if sep_first { "NORData" } else { "RootTicket" })), "{why}");
}

/// All rows on one bench, so many at a time.
fn all(rows: &[Row], erase: bool, at_once: usize) {
    let rig = bench(rows);
    let next = AtomicUsize::new(0);
    let broken = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::SeqCst);
                    let Some(row) = rows.get(place) else { break };
                    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        restore(&rig, &rig.bench.phones[place], row, erase);
                    }));
                    if outcome.is_err() {
                        broken.lock().unwrap().push(row.model);
                    }
                }
            });
        }
    });
    let broken = broken.into_inner().unwrap();
    assert!(broken.is_empty(), "these did not end well, see above: {broken:?}");
}

#[test]
fn every_generation_is_erased_in_its_order() {
    all(ROWS, true, 3);
}

#[test]
fn every_generation_is_updated_in_its_order() {
    all(ROWS, false, 3);
}

/// With the two tests above, each device from each mode.
#[test]
fn every_generation_starts_from_its_own_system_and_from_the_other_boot_mode() {
    let other = |mode| if mode == "dfu" { "recovery" } else { "dfu" };
    let from = |mode: fn(&'static str) -> &'static str| ROWS.iter().map(move |r| Row { mode: mode(r.mode), ..*r });
    let rows: Vec<Row> = from(|_| "normal").chain(from(other)).collect();
    all(&rows, true, 3);
}

#[test]
fn eight_devices_at_once() {
    let rows = [
        row("iPhone10,1", "dfu", "", "ios16", true),
        row("iPhone10,1", "recovery", "", "ios16", true),
        row("iPhone14,5", "recovery", "", "ios26", true),
        row("iPhone14,5", "dfu", "", "ios26", true),
        row("iPhone18,3", "recovery", "", "ios26", true),
        row("iPhone5,2", "dfu", "", "ios10", true),
        row("iPad13,18", "dfu", "", "ios26", false),
        row("iPhone7,2", "recovery", "", "ios12", true),
    ];
    all(&rows, true, rows.len());
}
