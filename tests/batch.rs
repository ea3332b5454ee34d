//! Many devices at once: the program that people get, with a batch file, on the bench.
//!
//! Nothing of the tool is called here but the check of a signature. The phones and Apple's servers are asked afterwards
//! what they saw: one download for all, each phone erased as often as it should be, and the same end after a SIGKILL
//! at whatever moment as without one.

mod bench;
#[path = "batch/cut.rs"]
mod cut;
#[path = "batch/full.rs"]
mod full;
#[path = "batch/hands.rs"]
mod hands;
#[path = "batch/kills.rs"]
mod kills;
#[path = "batch/neighbours.rs"]
mod neighbours;
#[path = "batch/outside.rs"]
mod outside;
#[path = "batch/ports.rs"]
mod ports;

use bench::{Ran, Rig, run};
use herstel::fault::Code;
use herstel::virt::phone::{Phone, Stage, offered_system};
use serde_json::Value;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a whole batch may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(240);
/// A bench at this pace; the program's waits are as many times shorter.
const PACE: &str = "20";
/// Bytes of the system image: short, but long beside what a plan looks at in the file.
const IMAGE: u64 = 4 << 20;

/// A bench with these phones: what each has beside its model.
fn phones(each: &[&str]) -> Rig {
    let phone = |more: &&str| {
        format!("[[phone]]\nmodel = \"iphone13\"\ntrust = \"trusted\"\nphotos = 3\nphoto_bytes = 20000\n{more}\n")
    };
    Rig::with_image(&format!("pace = {PACE}.0\n{}", each.iter().map(phone).collect::<String>()), IMAGE)
}

/// Writes the batch file: all phones of the bench are erased and restored, `more` comes at its end.
fn file(rig: &Rig, more: &str) -> String {
    file_of(rig, &rig.bench.phones, more)
}

/// The same for some of them.
fn file_of(rig: &Rig, phones: &[Arc<Phone>], more: &str) -> String {
    let row = |phone: &Arc<Phone>| format!("[[device]]\necid = \"{}\"\naction = \"restore-erase\"\n", phone.ecid);
    let rows: String = phones.iter().map(row).collect();
    write(rig, &format!("ownership = \"organisation\"\n{rows}{more}\n"))
}

fn write(rig: &Rig, text: &str) -> String {
    let path = rig.path("batch.toml");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn herstel(rig: &Rig, arguments: &[&str]) -> Ran {
    let mut command = rig.command(arguments);
    command.env("HERSTEL_BENCH_HASTE", PACE);
    let ran = run(command, LIMIT);
    assert!(!ran.out.contains('\x1b') && !ran.err.contains('\x1b') && !ran.hung, "{ran}");
    ran
}

/// Every row of the last line but one, as `phase` words.
fn phases(ran: &Ran) -> Vec<String> {
    let over = ran.events("batch-over").pop().unwrap_or_else(|| panic!("no batch-over\n{ran}"));
    let rows = over["rows"].as_array().unwrap();
    rows.iter().map(|row| row["row"]["phase"].as_str().unwrap().to_owned()).collect()
}

fn soon(what: impl Fn() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        if what() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// It runs what Apple offers, and was erased so often.
fn is_new(phone: &Phone, erased: usize, ran: &Ran) {
    assert!(soon(|| phone.stage() == Stage::Normal), "{} is in {:?}\n{ran}", phone.ecid, phone.stage());
    let state = phone.state();
    assert_eq!((state.version.clone(), state.build.clone()), offered_system(phone.model), "{}\n{ran}", phone.ecid);
    drop(state);
    assert_eq!(phone.remembered("files.erased"), erased, "{} was erased\n{ran}", phone.ecid);
}

/// Bytes of firmware that Apple's servers sent.
fn fetched(rig: &Rig) -> u64 {
    let memory = rig.bench.apple.memory();
    let cdn = memory.iter().filter(|m| m["what"] == "cdn").map(|m| &m["detail"]);
    cdn.map(|d| d["to"].as_u64().unwrap() - d["from"].as_u64().unwrap()).sum()
}

fn told(ran: &Ran, what: &str) -> Vec<Value> {
    ran.events("batch").into_iter().filter(|line| line["what"] == what).collect()
}

const QUICK: &str = "[retry]\nstagger_seconds = 1\nperson_seconds = 0\n";

#[test]
fn two_phones_share_one_download() {
    let rig = phones(&["", ""]);
    let ran = herstel(&rig, &["batch", &file(&rig, QUICK), "--yes-erase-all", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(ran.finished()["outcome"], "ok");
    assert_eq!(phases(&ran), ["done", "done"]);
    for phone in &rig.bench.phones {
        is_new(phone, 1, &ran);
    }
    // Beside the one download the plans look into the file from afar, once for both; that is most of a megabyte.
    let size = fs::metadata(&rig.bench.firmware[0].path).unwrap().len();
    assert!((size..size + 1_000_000).contains(&fetched(&rig)), "{} of {size} bytes\n{ran}", fetched(&rig));
    for job in fs::read_dir(rig.jobs()).unwrap() {
        let job = job.unwrap().path();
        for name in ["journal.jsonl", "log.jsonl", "report.json", "report.html"] {
            assert!(job.join(name).is_file(), "{name} is beside the journal");
        }
    }
    // Nothing is left, and nothing is done twice.
    let again = herstel(&rig, &["batch", "--resume", "--json"]);
    assert_eq!(again.code, Some(0), "{again}");
    assert!(again.err.contains("anything left to do"), "{again}");
}

#[test]
fn a_cable_that_comes_out_is_tried_again_and_a_person_is_asked_where_one_is_needed() {
    let rig = phones(&[
        "[phone.faults.restore]\nunplug_at_checkpoint = 0x634\nonce = true",
        "[phone.faults.restore]\namr_error = 1110\nonce = true",
    ]);
    let ran = herstel(&rig, &["batch", &file(&rig, QUICK), "--yes-erase-all", "--json"]);
    assert_eq!(ran.code, Some(4), "{ran}");
    assert_eq!(ran.code_of_fault(), Some(Code::PersonNeeded));
    assert_eq!(phases(&ran), ["done", "left-for-person"]);
    let began: Vec<_> = told(&ran, "began").iter().filter(|b| b["row"] == 1).map(|b| b["tries"].clone()).collect();
    assert_eq!(began, [1, 2], "{ran}");
    let waits = told(&ran, "phase").into_iter().find(|p| p["phase"] == "waits-for-person");
    let waits = waits.unwrap_or_else(|| panic!("nobody was asked\n{ran}"));
    assert_eq!(
        (&waits["row"], &waits["wants"], &waits["fault"]["number"]),
        (&2.into(), &"remedy".into(), &1110.into())
    );

    // Whoever resumes has seen to it.
    let again = herstel(&rig, &["batch", "--resume", "--json"]);
    assert_eq!(again.code, Some(0), "{again}");
    assert_eq!(phases(&again), ["done", "done"]);
    assert!(!told(&again, "began").iter().any(|b| b["row"] == 1), "the first is not touched again\n{again}");
    rig.bench.phones.iter().for_each(|phone| assert!(soon(|| phone.stage() == Stage::Normal)));
}

#[test]
fn sixteen_at_once_and_none_is_left_behind() {
    let rig = phones(&[""; 16]);
    let name = file(&rig, &QUICK.replace("stagger_seconds = 1", "stagger_seconds = 0"));
    let text = fs::read_to_string(&name).unwrap();
    fs::write(&name, format!("limit = 16\n{text}")).unwrap();
    let ran = herstel(&rig, &["batch", &name, "--yes-erase-all", "--json"]);
    assert_eq!((ran.code, phases(&ran)), (Some(0), vec!["done".to_owned(); 16]), "{ran}");
    rig.bench.phones.iter().for_each(|phone| is_new(phone, 1, &ran));
    assert!(told(&ran, "began").iter().all(|began| began["tries"] == 1), "nothing timed out\n{ran}");
    // Eight on each of the bench's two controllers: none has to wait for its turn.
    let (mut now, mut most) = (0i32, 0);
    for phase in told(&ran, "phase") {
        now += match phase["phase"].as_str() {
            Some("running") => 1,
            Some("done") => -1,
            _ => 0,
        };
        most = most.max(now);
    }
    assert_eq!((now, most), (0, 16), "{ran}");
    let size = fs::metadata(&rig.bench.firmware[0].path).unwrap().len();
    assert!((size..size + 1_000_000).contains(&fetched(&rig)), "{} of {size} bytes\n{ran}", fetched(&rig));
}

#[test]
fn what_is_agreed_to_is_named_and_nothing_else_is_touched() {
    let rig = phones(&[""]);
    let name = file(&rig, "");
    for (arguments, code) in [
        (vec!["batch", &name, "--json"], Code::ConsentMissing),
        (vec!["batch", &name, "--yes-erase-stations", "1", "--json"], Code::ConsentMissing),
        (vec!["batch", &name, "--yes-erase-all", "--yes-erase-stations", "1", "--json"], Code::ConsentMismatch),
    ] {
        let ran = herstel(&rig, &arguments);
        assert_eq!(ran.code_of_fault(), Some(code), "{ran}");
    }
    let ran = herstel(&rig, &["batch", &name, "--dry-run", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(ran.events("dry-run").len(), 1, "{ran}");
    assert!(ran.err.contains("not here yet") || ran.err.contains(&rig.phone().ecid.to_string()), "{ran}");
    let size = fs::metadata(&rig.bench.firmware[0].path).unwrap().len();
    assert!(rig.phone().remembered("files.erased") == 0 && fetched(&rig) < size / 2, "only looked into\n{ran}");
    assert!(!rig.jobs().exists(), "no job was begun");
}

#[test]
fn a_wrong_file_names_the_line() {
    let rig = phones(&[""]);
    let device = format!("[[device]]\necid = \"{}\"\naction = \"restore-erase\"\n", rig.phone().ecid);
    let udid = format!("[[device]]\nudid = \"{}\"\naction = \"backup\"\n", rig.phone().udid);
    for (text, says) in [
        (format!("ownership = \"owner\"\n{device}colour = 1\n"), "line 5: unknown field `colour`"),
        (format!("ownership = \"owner\"\n{device}colour = 1\n[retry]\ntimes = 9\n"), "; line 7: unknown field `times`"),
        (format!("ownership = \"owner\"\n{device}{device}"), "line 5: "),
        (format!("ownership = \"owner\"\n{device}{udid}"), "in this file already, at line 2"),
        (format!("ownership = \"owner\"\nlimit = 0\n{device}"), "line 2: limit = 0; allowed is 1 to 64"),
        ("[[device]]\nstation = 3\naction = \"backup\"\n".into(), "line 1: station 3 is not known here"),
        (device.clone(), "line 1: an erase needs ownership"),
    ] {
        let ran = herstel(&rig, &["batch", &write(&rig, &text), "--yes-erase-all", "--json"]);
        assert_eq!((ran.code, ran.code_of_fault()), (Some(2), Some(Code::ConfigInvalid)), "{text}\n{ran}");
        assert!(ran.fault().unwrap().detail.contains(says), "{says}\n{ran}");
    }
    let ran = herstel(&rig, &["batch", "absent.toml"]);
    assert_eq!(ran.code, Some(1), "{ran}");
    assert_eq!(rig.phone().remembered("files.erased"), 0);
}

#[test]
fn a_backup_and_a_whole_recovery_in_one_batch() {
    let rig = phones(&["", ""]);
    let [first, second] = [0, 1].map(|at| Arc::clone(&rig.bench.phones[at]));
    let before = second.files.digest_of_user_data();
    let text = format!(
        "ownership = \"owner\"\n{QUICK}[[device]]\nudid = \"{}\"\naction = \"backup\"\n\
         [[device]]\necid = \"{}\"\naction = \"recover\"\n",
        first.udid, second.ecid
    );
    let ran = herstel(&rig, &["batch", &write(&rig, &text), "--yes-erase-all", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(phases(&ran), ["done", "done"]);
    assert_eq!(first.remembered("files.erased"), 0, "{ran}");
    is_new(&second, 1, &ran);
    assert_eq!(second.files.digest_of_user_data(), before, "every byte is back\n{ran}");
    assert_eq!(fs::read_dir(rig.vault()).unwrap().count(), 2, "a backup of each\n{ran}");
}

#[test]
fn a_watch_takes_what_is_plugged_in_at_its_stations_and_leaves_what_was_there() {
    let rig = phones(&["", "mode = \"off\""]);
    for (station, port) in [("1", "1-1"), ("2", "1-2")] {
        let ran = herstel(&rig, &["stations", "set", station, port]);
        assert_eq!(ran.code, Some(0), "{ran}");
    }
    let watch = "[watch]\nownership = \"owner\"\naction = \"restore-erase\"\nstations = [1, 2]\n";
    let name = write(&rig, &format!("{QUICK}{watch}"));
    let missing = herstel(&rig, &["batch", &name, "--watch", "--yes-erase-stations", "1", "--json"]);
    assert_eq!(missing.code_of_fault(), Some(Code::ConsentMissing), "{missing}");

    let arguments = ["batch", &name, "--watch", "--yes-erase-stations", "1,2", "--json"];
    let mut running = cut::Running::start(&rig, &arguments);
    assert!(running.until(|out| out.contains("\"what\":\"ignored\"")));
    let [first, second] = [0, 1].map(|at| Arc::clone(&rig.bench.phones[at]));
    second.enter(Stage::Normal);
    assert!(running.until(|out| out.contains("\"phase\":\"done\"")));
    running.interrupt();
    let ran = running.end();
    assert_eq!(ran.code, Some(0), "all that came is done\n{ran}");
    assert_eq!(phases(&ran), ["done"]);
    let over = ran.events("batch-over").pop().unwrap();
    assert_eq!(over["rows"][0]["row"]["station"], 2, "{ran}");
    is_new(&second, 1, &ran);
    assert_eq!(first.remembered("files.erased"), 0, "it was there before\n{ran}");
}
