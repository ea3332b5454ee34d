//! Whole journeys: the program that people get, from the cable to the report, on the bench.
//!
//! Nothing of the tool is called here. Each test puts phones on a bench, runs the built program as a person
//! or a script would, and then asks the phone itself: what it runs, what it holds, what it remembers. Where
//! umockdev's preload library is installed some journeys go through libusb inside the emulated bus, the
//! others reach the same model through the bench's socket; without the library all take the socket.
//!
//! The hard ones kill the program: at every record of its journal, at every stage of the phone, and by
//! Ctrl-C. Whatever was cut, `resume` must end well, with every byte back and the phone erased once.

mod bench;
#[path = "journeys/cut.rs"]
mod cut;
#[path = "journeys/encrypt.rs"]
mod encrypt;
#[path = "journeys/fetch.rs"]
mod fetch;
#[path = "journeys/img3.rs"]
mod img3;
#[path = "journeys/older.rs"]
mod older;
#[path = "journeys/orders.rs"]
mod orders;
#[path = "journeys/preboard.rs"]
mod preboard;
#[path = "journeys/putback.rs"]
mod putback;
#[path = "journeys/scenarios.rs"]
mod scenarios;
#[path = "journeys/shop.rs"]
mod shop;
#[path = "journeys/tickets.rs"]
mod tickets;

use bench::{Ran, Rig, run};
use herstel::fault::Code;
use herstel::virt::backup::Kind;
use herstel::virt::phone::{Phone, Stage, offered_system};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use std::fs::{self, File};
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_herstel");
/// How long a whole journey may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(150);

/// One phone on a fast bench.
fn one(model: &str, more: &str) -> Rig {
    Rig::new(&format!("pace = 25.0\n[[phone]]\nmodel = \"{model}\"\nname = \"Anna's iPhone\"\nphotos = 12\n{more}\n"))
}

/// Codes for a terminal have no business on a pipe.
fn plain(ran: Ran) -> Ran {
    assert!(!ran.out.contains('\x1b') && !ran.err.contains('\x1b'), "escape codes on a pipe\n{ran}");
    assert!(!ran.hung, "{ran}");
    ran
}

fn herstel(rig: &Rig, arguments: &[&str]) -> Ran {
    plain(run(rig.command(arguments), LIMIT))
}

/// Runs and insists on an exit code.
fn exits(rig: &Rig, arguments: &[&str], code: i32) -> Ran {
    let ran = herstel(rig, arguments);
    assert_eq!(ran.code, Some(code), "{arguments:?}\n{ran}");
    ran
}

/// The one line of standard output that has this key.
fn line_with(ran: &Ran, key: &str) -> Value {
    ran.lines().into_iter().find(|line| line.get(key).is_some()).unwrap_or_else(|| panic!("no {key:?}\n{ran}"))
}

fn event(ran: &Ran, name: &str) -> Value {
    ran.events(name).pop().unwrap_or_else(|| panic!("no {name:?}\n{ran}"))
}

/// Polls a condition, 20 s at most.
fn soon(what: impl Fn() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until {
        if what() {
            return true;
        }
        thread::sleep(Duration::from_millis(5));
    }
    false
}

fn system(phone: &Phone) -> (String, String) {
    let state = phone.state();
    (state.version.to_string(), state.build.to_string())
}

fn offered(phone: &Phone) -> (String, String) {
    let (version, build) = offered_system(phone.model);
    (version.to_string(), build.to_string())
}

/// Size and SHA-256 of the system image in the IPSW of this phone, by a reader that nobody here wrote.
fn image(rig: &Rig, phone: &Phone) -> Value {
    let file = rig.bench.firmware.iter().find(|f| f.products.contains(&phone.model.product)).unwrap();
    let mut archive = zip::ZipArchive::new(File::open(&file.path).unwrap()).unwrap();
    let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    let images = names.into_iter().filter(|name| name.ends_with(".dmg") || name.ends_with(".dmg.aea"));
    let name = images.max_by_key(|name| archive.by_name(name).unwrap().size()).unwrap();
    let mut bytes = Vec::new();
    archive.by_name(&name).unwrap().read_to_end(&mut bytes).unwrap();
    assert!(bytes.len() as u64 >= bench::IMAGE / 2, "{name} is the system");
    let sha256: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    json!([bytes.len(), sha256])
}

/// The phone runs what Apple offers, took the very image of the IPSW over ASR, and was erased so many times.
fn is_new(rig: &Rig, erased: usize, why: &str) {
    let phone = rig.phone();
    assert!(soon(|| phone.stage() == Stage::Normal), "{why}: the phone is in {:?}", phone.stage());
    assert_eq!(system(phone), offered(phone), "{why}");
    let memory = phone.memory();
    // Since the iPhone 16 a recovery system comes after the main one.
    let last = memory.iter().rposition(|m| m.what == "restore.start").unwrap_or_else(|| panic!("{why}: no restore"));
    let taken = memory[last..].iter().find(|m| m.what == "asr.image").unwrap_or_else(|| panic!("{why}: no image"));
    assert_eq!(json!([taken.detail["size"], taken.detail["sha256"]]), image(rig, phone), "{why}: the image");
    assert_eq!(phone.remembered("files.erased"), erased, "{why}: erased");
}

// -- verb by verb --

#[test]
fn the_walk_by_verbs() {
    let rig = one("iphone13", "");
    let phone = rig.phone();
    let (ecid, udid) = (phone.ecid.to_string(), phone.udid.to_string());
    let before = phone.files.digest_of_user_data();
    let (version, build) = system(phone);

    let rows = line_with(&exits(&rig, &["list", "--json"], 0), "devices");
    let mut row = json!({
        "ecid": ecid, "udid": udid, "mode": "normal", "product_type": "iPhone14,5", "name": "Anna's iPhone",
        "version": version, "build": build, "serial": null, "trust": "untrusted",
        "usb_port": phone.port_path(), "station": null, "access": "ok", "virtual": true,
    });
    assert_eq!(rows, json!({ "schema": 1, "devices": [row.clone()] }));
    let info = line_with(&exits(&rig, &["info", "--json"], 0), "info");
    assert_eq!(info["info"]["model"], "iPhone 13");
    assert_eq!(info["info"]["ActivationState"], Value::Null, "untrusted tells no activation state");

    let refused = exits(&rig, &["backup", "--json"], 4);
    assert_eq!(refused.code_of_fault(), Some(Code::NotTrusted));
    assert!(!rig.vault().exists(), "a refused backup leaves nothing");
    let paired = exits(&rig, &["pair", "--json"], 0);
    assert_eq!(event(&paired, "ask")["request"], "tap-trust");
    exits(&rig, &["pair"], 0);
    (row["serial"], row["trust"]) = (json!(phone.serial), json!("trusted"));
    let rows = line_with(&exits(&rig, &["list", "--json"], 0), "devices");
    assert_eq!(rows, json!({ "schema": 1, "devices": [row] }), "a trusted host is told the serial number");
    let info = line_with(&exits(&rig, &["info", "--json"], 0), "info");
    assert_eq!((&info["info"]["trust"], &info["info"]["ActivationState"]), (&json!("trusted"), &json!("Activated")));

    backups(&rig);
    firmware(&rig);

    // Wrong or missing consent: nothing is touched.
    let touched = phone.memory().len();
    let wrong = exits(&rig, &["restore", "--erase", "--yes-erase", &ecid[..ecid.len() - 1], "--json"], 2);
    assert_eq!(wrong.code_of_fault(), Some(Code::ConsentMismatch));
    let silent = exits(&rig, &["restore", "--erase", "--json"], 4);
    assert_eq!(silent.code_of_fault(), Some(Code::ConsentMissing));
    assert_eq!(exits(&rig, &["backups", "restore", "--json"], 4).code_of_fault(), Some(Code::ConsentMissing));
    assert_eq!(phone.files.digest_of_user_data(), before);
    assert_eq!(phone.remembered("stage"), 0, "{:?}", &phone.memory()[touched..]);
    assert!(!rig.jobs().exists(), "no consent, no job");

    let restored = exits(&rig, &["restore", "--erase", "--yes-erase", &ecid, "--json"], 0);
    assert_eq!(restored.finished()["outcome"], "ok");
    is_new(&rig, 1, "restore --erase");
    assert_ne!(phone.files.digest_of_user_data(), before, "an erase erases");
    exits(&rig, &["pair"], 0);
    exits(&rig, &["backups", "restore", "--yes-restore", &udid], 0);
    assert_eq!(phone.files.digest_of_user_data(), before, "every byte is back");

    assert!(soon(|| phone.stage() == Stage::Normal));
    let sheet = line_with(&exits(&rig, &["report", "--json"], 0), "job");
    assert_eq!((&sheet["outcome"], &sheet["restored"][1]), (&json!("ok"), &json!(offered(phone).1)));
    assert!(exits(&rig, &["report"], 0).out.contains("[virtual]"));
    assert!(exits(&rig, &["report", "--format", "html"], 0).out.starts_with("<!doctype html>"));
    let doctor = herstel(&rig, &["doctor", "--json"]);
    let checks = line_with(&doctor, "checks")["checks"].clone();
    let blocked = checks.as_array().unwrap().iter().any(|c| c["verdict"] == "blocking");
    assert_eq!(doctor.code, Some(if blocked { 6 } else { 0 }), "{doctor}");
    exits(&rig, &["unpair"], 0);
    assert_eq!(exits(&rig, &["backup", "--json"], 4).code_of_fault(), Some(Code::NotTrusted));
}

/// Two generations; the second is small; what is in them is what the phone holds.
fn backups(rig: &Rig) {
    let phone = rig.phone();
    let first = event(&exits(rig, &["backup", "--json"], 0), "backup");
    let second = event(&exits(rig, &["backup", "--json"], 0), "backup");
    assert_ne!(first["generation"], second["generation"]);
    assert_eq!(first["files"], second["files"]);
    let received = |line: &Value| line["received_bytes"].as_u64().unwrap();
    assert!(received(&second) < received(&first) / 2, "incremental: {} of {}", received(&second), received(&first));
    let list = line_with(&exits(rig, &["backups", "list", "--json"], 0), "backups");
    assert_eq!(list["backups"].as_array().map(Vec::len), Some(2));
    assert!(list["backups"].as_array().unwrap().iter().all(|b| b["udid"] == json!(phone.udid)));
    exits(rig, &["backups", "verify", "--deep"], 0);

    let held = phone.files.list();
    let browsed = exits(rig, &["backups", "browse", "--json"], 0).lines();
    let shown = browsed.iter().filter(|l| l["domain"].is_string()).count();
    assert_eq!(shown, held.len(), "a row for each thing that the phone holds");
    let photo = held.iter().find(|l| l.path.ends_with(".JPG") && matches!(l.entry.kind, Kind::File(_))).unwrap();
    let to = rig.path("photo.jpg");
    let name = format!("{}/{}", photo.domain, photo.path);
    exits(rig, &["backups", "extract", &name, to.to_str().unwrap()], 0);
    assert_eq!(Sha1::digest(fs::read(&to).unwrap())[..], photo.entry.sha1().unwrap());
    let twice = exits(rig, &["backups", "extract", &name, to.to_str().unwrap(), "--json"], 1);
    assert_eq!(twice.code_of_fault(), Some(Code::DiskError), "what is there is not written over");

    let shown = line_with(&exits(rig, &["backups", "show", "--json"], 0), "backup");
    assert_eq!((&shown["backup"]["generation"], &shown["backup"]["unread"]), (&second["generation"], &json!(0)));
    let counted = shown["backup"]["contents"]["kinds"].as_array().unwrap().iter().map(|k| k["files"].as_u64().unwrap());
    assert_eq!(json!(counted.sum::<u64>()), second["files"]);
    assert!(exits(rig, &["backups", "show"], 0).out.contains("CameraRollDomain"));
    let out = rig.path("exported");
    let exported = event(&exits(rig, &["backups", "export", out.to_str().unwrap(), "--json"], 0), "exported");
    assert_eq!(exported["path"], json!(out.join(phone.udid.as_str())));
    assert_eq!(exported["files"], second["files"]);

    exits(rig, &["backups", "prune"], 2);
    exits(rig, &["backups", "prune", "--keep", "0"], 2);
    let asked = exits(rig, &["backups", "prune", "--keep", "1", "--json"], 4);
    assert_eq!(asked.code_of_fault(), Some(Code::ConsentMissing), "no terminal, and no --yes");
    exits(rig, &["backups", "prune", "--keep-days", "1", "--yes"], 0);
    let planned = exits(rig, &["backups", "prune", "--keep", "1", "--dry-run", "--json"], 0);
    assert_eq!(planned.events("prune").iter().filter(|line| line["goes"] == true).count(), 1);
    let pruned = exits(rig, &["backups", "prune", "--keep", "1", "--yes", "--json"], 0);
    assert_eq!(event(&pruned, "removed")["generation"], first["generation"]);
    let list = line_with(&exits(rig, &["backups", "list", "--json"], 0), "backups");
    assert_eq!(list["backups"][0]["generation"], second["generation"]);
    assert_eq!(list["backups"].as_array().map(Vec::len), Some(1));
}

/// From the catalogue into the store, once; verified as a file and as a cache.
fn firmware(rig: &Rig) {
    let phone = rig.phone();
    let list = line_with(&exits(rig, &["firmware", "list", "--json"], 0), "firmware");
    assert!(list.to_string().contains(&offered(phone).1), "{list}");
    let build = offered(phone).1;
    // From the server, without the download: nothing is in the store afterwards.
    let afar = event(&exits(rig, &["firmware", "show", &build, "--json"], 0), "firmware-show");
    assert!(afar["place"].as_str().unwrap().starts_with("http://127.0.0.1"), "{afar}");
    assert_eq!(line_with(&exits(rig, &["firmware", "cache", "--json"], 0), "cache")["cache"], json!([]));
    let signed = event(&exits(rig, &["firmware", "signed", "--json"], 0), "signed");
    assert_eq!((&signed["signed"], &signed["code"], &signed["build"]), (&json!(true), &json!(0), &json!(build)));
    let fetched = event(&exits(rig, &["firmware", "fetch", "--json"], 0), "firmware");
    let path = fetched["path"].as_str().unwrap().to_owned();
    assert!(path.starts_with(rig.store().to_str().unwrap()), "{path}");
    let size = fs::metadata(&path).unwrap().len();
    let again = exits(rig, &["firmware", "fetch", "--json"], 0);
    assert_eq!(event(&again, "firmware")["path"], path.as_str());
    assert_eq!(again.events("progress").iter().filter(|p| p["done"] == size && p["step"] == "fetch").count(), 0);
    let verified = event(&exits(rig, &["firmware", "verify", &path, "--json"], 0), "verified");
    assert!(verified["ok"].as_u64().unwrap() > 5 && verified["wrong"] == json!([]), "{verified}");
    let cache = line_with(&exits(rig, &["firmware", "cache", "verify", "--json"], 0), "cache");
    assert_eq!(cache["cache"].as_array().map(Vec::len), Some(1));
    let here = event(&exits(rig, &["firmware", "show", &build, "--verify", "--json"], 0), "firmware-show");
    assert_eq!(here["place"], path.as_str());
    assert_eq!((&here["products"], &here["bytes"]), (&afar["products"], &json!(size)));
    let erase = |show: &Value| show["identities"][0].as_object().unwrap().clone();
    assert_eq!(
        (erase(&here)["variant"].clone(), erase(&here)["checked"]["wrong"].clone()),
        (erase(&afar)["variant"].clone(), json!(0))
    );
    // The only file is the newest of its product: it stays, whoever asks.
    let pruned = exits(rig, &["firmware", "cache", "prune", "--yes", "--json"], 0);
    assert!(pruned.events("cache-prune").is_empty() && std::path::Path::new(&path).exists(), "{pruned}");

    let copy = rig.path("flipped.ipsw");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&copy, bytes).unwrap();
    let flipped = herstel(rig, &["firmware", "verify", copy.to_str().unwrap(), "--json"]);
    assert_eq!(flipped.code, Some(7), "one bit in the middle\n{flipped}");
}

#[test]
fn two_languages_on_a_pipe() {
    let rig = one("iphone8", "");
    let mut dutch = rig.command(&["list"]);
    dutch.env("LC_ALL", "nl_NL.UTF-8");
    let dutch = plain(run(dutch, LIMIT));
    assert!(dutch.out.starts_with("STAND") && dutch.out.contains("niet vertrouwd"), "{dutch}");
    assert!(dutch.err.contains("VIRTUEEL"), "{dutch}");
    let english = exits(&rig, &["list"], 0);
    assert!(english.out.starts_with("MODE") && english.out.contains("not trusted"), "{english}");
    assert!(english.err.contains("VIRTUAL"), "{english}");

    let dutch = exits(&rig, &["recover", "--lang", "nl"], 4);
    for words in ["Plan voor", "reservekopie", "oorzaak", "(consent-missing)"] {
        assert!(dutch.err.contains(words), "{words:?}\n{dutch}");
    }
    let english = exits(&rig, &["recover", "--lang", "en"], 4);
    for words in ["Plan for", "backup", "whose", "(consent-missing)"] {
        assert!(english.err.contains(words), "{words:?}\n{english}");
    }
    let unwanted = exits(&rig, &["recover", "--no-backup"], 4);
    assert!(unwanted.err.contains("in no backup"), "possible, but not wanted\n{unwanted}");
    let mark = "[virtual]";
    assert!(unwanted.err.lines().any(|l| l.starts_with("Plan for") && l.ends_with(mark)), "{unwanted}");
    assert!(dutch.out.is_empty() && english.out.is_empty(), "a plan is text for people: standard error");
    exits(&rig, &["--lang", "de", "list"], 2);
    exits(&rig, &["lst"], 2);
    exits(&rig, &["--help"], 0);
}

#[test]
fn which_device_is_never_guessed() {
    let text = "pace = 25.0\n[[phone]]\nmodel = \"iphone13\"\nname = \"Anna\"\n[[phone]]\nmodel = \"iphone8\"\nname = \"Bram\"\n";
    let rig = Rig::new(text);
    let [anna, bram] = &rig.bench.phones[..] else { panic!("two phones") };
    let other = bram.ecid.to_string();
    for arguments in [&["info", "--json"][..], &["backup", "--json"], &["recover", "--yes-erase", &other, "--json"]] {
        let ran = exits(&rig, arguments, 2);
        let fault = ran.fault().unwrap();
        assert_eq!(fault.code, Code::AmbiguousDevice);
        for phone in [anna, bram] {
            assert!(fault.detail.contains(&phone.ecid.to_string()), "both are named: {}", fault.detail);
        }
    }
    let wrong = exits(&rig, &["recover", "-d", "Anna", "--yes-erase", &other, "--json"], 2);
    assert_eq!(wrong.code_of_fault(), Some(Code::ConsentMismatch));
    let info = line_with(&exits(&rig, &["info", "-d", "bram", "--json"], 0), "info");
    assert_eq!(info["info"]["ecid"], other.as_str());
    assert_eq!(exits(&rig, &["info", "-d", "Cees", "--json"], 5).code_of_fault(), Some(Code::NoSuchDevice));
    for phone in [anna, bram] {
        assert_eq!((phone.remembered("stage"), phone.stage()), (0, Stage::Normal));
    }
    assert!(!rig.jobs().exists());

    let empty = one("iphone13", "mode = \"off\"");
    assert_eq!(exits(&empty, &["info", "--json"], 5).code_of_fault(), Some(Code::NoDevice));
    exits(&empty, &["list"], 5);
    let none = exits(&empty, &["list", "--json"], 0);
    assert_eq!(line_with(&none, "devices"), json!({ "schema": 1, "devices": [] }));
    assert_eq!(exits(&empty, &["recover", "--json"], 5).code_of_fault(), Some(Code::NoDevice));
}

// -- the main job --

/// One `recover` from what the phone is in, to its new system; with its data back where that can be.
fn recovers(model: &str, more: &str, options: &[&str], emulated: bool) {
    let rig = one(model, more);
    let phone = rig.phone();
    if emulated && !rig.bench.is_emulated() {
        eprintln!("{model}: the preload library is not installed; taking the bench's socket");
    }
    let (ecid, before) = (phone.ecid.to_string(), phone.files.digest_of_user_data());
    let has_backup = phone.stage() == Stage::Normal && !options.contains(&"--no-backup");
    let mut arguments = vec!["recover", "--yes-erase", &ecid, "--json"];
    arguments.extend(options);
    let ran = plain(run(rig.outside(PROGRAM, &arguments, emulated), LIMIT));
    assert_eq!(ran.code, Some(0), "{model} {more}\n{ran}");
    assert_eq!(ran.finished(), json!({ "schema": 1, "event": "finished", "outcome": "ok", "fault": null }));
    is_new(&rig, 1, model);

    let plan = &event(&ran, "plan")["plan"];
    let report = &event(&ran, "report")["report"];
    assert_eq!((&plan["ecid"], &plan["virtual"]), (&json!(ecid), &json!(true)));
    assert_eq!(plan["put_back"], has_backup);
    assert_eq!(report["restored"], json!([offered(phone).0, offered(phone).1]));
    let back = phone.files.digest_of_user_data() == before;
    assert_eq!(back, has_backup, "{model} {more}: the data");
    assert_eq!(report["put_back"].is_u64(), has_backup, "{report}");
    assert_eq!(report["backup"].is_null(), !has_backup);
    if options.contains(&"--no-backup") {
        assert_eq!(plan["backup"], "skip");
    } else {
        assert_eq!(plan["backup"], if has_backup { "make" } else { "impossible" });
    }
    let journal = rig.journal();
    assert_eq!(journal.first().unwrap()["record"], "plan");
    assert_eq!(journal.last().unwrap()["outcome"], "ok");
    assert!(exits(&rig, &["report"], 0).out.contains(&ecid));
    assert_eq!(exits(&rig, &["resume", "--json"], 2).code_of_fault(), Some(Code::NoJob), "nothing is left to do");
}

#[test]
fn recover_an_iphone_13() {
    recovers("iphone13", "", &[], true);
    recovers("iphone13", "passcode = \"unlocked\"", &[], false);
}

#[test]
fn recover_an_iphone_8() {
    recovers("iphone8", "trust = \"trusted\"", &[], false);
    recovers("iphone8", "mode = \"recovery\"", &["--no-backup"], true);
    recovers("iphone8", "mode = \"dfu\"", &["--no-backup"], false);
}

#[test]
fn recover_an_iphone_5s() {
    recovers("iphone5s", "", &[], true);
    recovers("iphone5s", "mode = \"recovery\"", &["--no-backup"], false);
    recovers("iphone5s", "mode = \"dfu\"", &["--no-backup"], true);
}

#[test]
fn recover_an_ipad_pro_m4() {
    recovers("ipad-pro-m4", "", &[], false);
    recovers("ipad-pro-m4", "mode = \"dfu\"", &["--no-backup"], true);
}

#[test]
fn recover_without_a_backup_says_so_and_does_it() {
    recovers("iphone13", "mode = \"recovery\"", &[], false);
    recovers("iphone13", "trust = \"trusted\"", &["--no-backup"], true);
}

#[test]
fn an_update_keeps_the_data() {
    let rig = one("iphone13", "trust = \"trusted\"");
    let phone = rig.phone();
    let before = phone.files.digest_of_user_data();
    exits(&rig, &["restore", "--update"], 0);
    is_new(&rig, 0, "restore --update");
    assert_eq!(phone.files.digest_of_user_data(), before);
}

// -- the demo --

fn demo(arguments: &[&str]) -> Ran {
    let home = tempfile::Builder::new().prefix("hd").tempdir_in("/tmp").unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["demo", "--image", "8"]).args(arguments).env_clear().env("HOME", home.path());
    command.env("TMPDIR", home.path()).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let ran = plain(run(command, LIMIT));
    assert_eq!(ran.code, Some(0), "demo {arguments:?}\n{ran}");
    let left: Vec<_> = fs::read_dir(home.path()).unwrap().flatten().map(|e| e.path()).collect();
    assert!(left.is_empty(), "the demo leaves nothing behind: {left:?}");
    ran
}

/// What a person reads last.
fn last_lines(ran: &Ran) -> [String; 2] {
    let mut lines = ran.err.lines().rev().map(str::to_owned);
    let last = lines.next().unwrap_or_default();
    [lines.next().unwrap_or_default(), last]
}

#[test]
fn the_demo_says_that_all_is_back() {
    let ran = demo(&[]);
    let [proof, took] = last_lines(&ran);
    assert!(proof.contains("are back, byte for byte") && took.starts_with("The whole walk took"), "{ran}");
    assert!(ran.err.starts_with("VIRTUAL"), "{ran}");
    let ran = demo(&["--device", "iphone5s", "--lang", "nl"]);
    let [proof, took] = last_lines(&ran);
    assert!(proof.contains("zijn terug, byte voor byte") && took.starts_with("De hele gang duurde"), "{ran}");
    assert!(ran.err.starts_with("VIRTUEEL") && ran.err.contains("iPhone 5s"), "{ran}");
}

#[test]
fn the_demo_takes_other_models() {
    for model in ["iphone8", "ipad-pro-m4"] {
        let ran = demo(&["--device", model, "--json"]);
        let end = event(&ran, "demo");
        assert!(end["files"].as_u64().unwrap() > 10 && end["virtual"] == true, "{end}");
        assert_eq!(ran.events("finished").last().map(|l| l["outcome"].clone()), Some(json!("ok")));
    }
}
