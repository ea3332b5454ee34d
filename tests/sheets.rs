//! Sheets with the real program: of a device on arrival and later, of a job, and what is signed of it.

mod bench;

use bench::Rig;
use herstel::event::Field;
use herstel::fault::Code;
use plist::Value as Plist;
use serde_json::{Value, json};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;

const PHONE: &str =
    "pace = 25.0\n[[phone]]\nmodel = \"iphone13\"\nname = \"Anna's iPhone\"\ntrust = \"trusted\"\nphotos = 4\n";

fn rig(more: &str) -> Rig {
    Rig::new(&format!("{PHONE}{more}\n"))
}

fn sheet(rig: &Rig) -> Value {
    let mut line = rig.good(&["info", "--json"]).lines().remove(0);
    assert_eq!(line["schema"], 1);
    assert!(line["info"].is_object(), "{line}");
    line["sheet"].take()
}

/// Gives the phone a value that it tells from now on; `IORegistry` is its battery's entry.
fn tell(rig: &Rig, domain: &str, key: &str, value: Plist) {
    rig.phone().state().set_values.insert((domain.into(), key.into()), value);
}

/// What people read: 80 columns, and nothing that a terminal obeys.
fn is_readable(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{} columns: {line:?}", line.chars().count());
        let bad = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!line.contains(bad), "{line:?}");
    }
}

#[test]
fn a_trusted_phone_tells_everything_and_where_it_was_read() {
    let rig = rig("find_my = true\ncrash_reports = [\"panic-full-2026-09-06-184838.0002.ips.synced\", \"Siri-x.ips\"]");
    let sheet = sheet(&rig);
    let keys: Vec<&str> = sheet.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, Field::ALL.iter().map(|f| f.as_str()).collect::<Vec<_>>());
    let phone = rig.phone();
    for (key, value, from) in [
        ("serial", json!(phone.serial), "lockdown"),
        ("ecid", json!(phone.ecid.to_string()), "lockdown"),
        ("sold_as", json!("new"), "first letter of ModelNumber"),
        ("paired", json!(true), "lockdown session"),
        ("find_my", json!(true), "lockdown com.apple.fmip IsAssociated"),
        ("supervised", json!(false), "lockdown com.apple.mobile.chaperone DeviceIsChaperoned"),
        ("baseband_alive", json!(true), "lockdown BasebandStatus, BasebandVersion"),
        ("battery_health", json!(89), "diagnostics AppleSmartBattery NominalChargeCapacity/DesignCapacity"),
        ("battery_cycles", json!(312), "diagnostics AppleSmartBattery CycleCount"),
        ("panics", json!(1), "crash reports panic-full-*"),
        ("newest_panic", json!("2026-09-06 18:48:38"), "crash reports panic-full-*"),
    ] {
        assert_eq!(sheet[key], json!({ "value": value, "from": from }), "{key}");
    }
    assert_eq!((&sheet["imei2"], &sheet["organisation"]), (&Value::Null, &Value::Null));
    for lang in ["en", "nl"] {
        let shown = rig.good(&["info", "--lang", lang]);
        is_readable(&shown.out);
        assert!(shown.out.contains(&phone.serial) && shown.out.contains("89 %"), "{shown}");
    }
    let csv = rig.good(&["info", "--csv"]).out;
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!((lines.len(), lines[2]), (3, ""), "{csv:?}");
    assert_eq!(lines[0].split(',').collect::<Vec<_>>(), keys);
    assert!(lines[1].contains("\"iPhone14,5\"") && lines[1].contains(",89,312,"));
    rig.good(&["info", "--paper", "sheet.html"]);
    let page = fs::read_to_string(rig.path("sheet.html")).unwrap();
    assert!(page.contains("<svg") && page.contains(&format!("S/N {}", phone.serial)) && !page.contains("<script"));
    let both = rig.run(&["info", "--csv", "--json"]);
    assert_eq!((both.code, both.code_of_fault()), (Some(2), Some(Code::Usage)));
}

#[test]
fn what_a_stranger_or_a_dark_screen_does_not_tell_is_unknown() {
    let rig = Rig::new(
        "pace = 25.0\n[[phone]]\nmodel = \"iphone8\"\n[[phone]]\nmodel = \"iphone13\"\nmode = \"recovery\"\n\
         [[phone]]\nmodel = \"iphone8\"\ntrust = \"trusted\"\npasscode = \"locked\"\n",
    );
    let of = |at: usize| {
        let ecid = rig.bench.phones[at].ecid.to_string();
        rig.good(&["-d", &ecid, "info", "--json"]).lines().remove(0)["sheet"].take()
    };
    let stranger = of(0);
    assert_eq!(stranger["paired"]["value"], false);
    for key in ["serial", "imei", "activation", "find_my", "supervised", "battery_health", "panics", "free"] {
        assert_eq!(stranger[key], Value::Null, "{key}");
    }
    let recovery = of(1);
    assert_eq!((&recovery["mode"]["value"], &recovery["serial"]["from"]), (&json!("recovery"), &json!("usb")));
    assert_eq!((&recovery["paired"], &recovery["battery_percent"]), (&Value::Null, &Value::Null));
    let locked = of(2);
    assert_eq!(locked["battery_percent"]["value"], 81, "lockdown tells the charge of a locked phone");
    is_readable(&rig.good(&["-d", &rig.bench.phones[1].ecid.to_string(), "info"]).out);
}

#[test]
fn who_manages_it_stands_on_the_sheet() {
    let rig = rig("supervised = true");
    let sheet = sheet(&rig);
    assert_eq!(sheet["supervised"]["value"], true);
    let organisation = json!({ "value": "Virtual School", "from": "MCInstall OrganizationName" });
    assert_eq!(sheet["organisation"], organisation);
    assert!(rig.good(&["info", "--lang", "nl"]).out.contains("Virtual School"));
}

/// Law 7's other half: who refuses is not believed to have said "no".
#[test]
fn refused_services_leave_a_sheet_that_says_unknown() {
    let rig = rig("[phone.faults.mux]\nstart_service_error = \"ServiceProhibited\"");
    let sheet = sheet(&rig);
    assert_eq!(sheet["serial"]["value"], json!(rig.phone().serial));
    for key in ["battery_health", "battery_cycles", "battery_serial", "panics", "newest_panic"] {
        assert_eq!(sheet[key], Value::Null, "{key}");
    }
    assert_eq!(sheet["battery_percent"]["value"], 81);
}

#[test]
fn an_old_phone_has_its_battery_under_another_name() {
    let rig = Rig::new("pace = 25.0\n[[phone]]\nmodel = \"iphone5s\"\ntrust = \"trusted\"\n");
    let sheet = sheet(&rig);
    assert_eq!(sheet["battery_health"]["from"], "diagnostics AppleARMPMUCharger NominalChargeCapacity/DesignCapacity");
    assert_eq!(sheet["panics"]["value"], 0);
}

#[test]
fn another_battery_is_seen_and_another_phone_refused() {
    let rig = rig("");
    rig.good(&["info", "--save", "before.json"]);
    let mode = fs::metadata(rig.path("before.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds an IMEI");
    let same = rig.good(&["info", "--compare", "before.json", "--json"]).lines().remove(0);
    assert_eq!(same["compare"], json!({ "same": true, "differences": [], "one_sided": [] }));

    tell(&rig, "IORegistry", "Serial", "F8YOTHER".into());
    tell(&rig, "IORegistry", "CycleCount", 3_u64.into());
    tell(&rig, "", "ActivationState", "Unactivated".into());
    tell(&rig, "", "MLBSerialNumber", Plist::Array(vec![]));
    let found = rig.good(&["info", "--compare", "before.json", "--json"]).lines().remove(0);
    let differences = found["compare"]["differences"].as_array().unwrap();
    let lines: Vec<(&str, &str)> =
        differences.iter().map(|d| (d["line"].as_str().unwrap(), d["subject"].as_str().unwrap())).collect();
    assert_eq!(lines, [("activation", "locks"), ("battery_cycles", "rest"), ("battery_serial", "parts")]);
    assert_eq!(differences[2]["now"], "F8YOTHER");
    assert_eq!(found["compare"]["one_sided"], json!(["board_serial"]));
    for lang in ["en", "nl"] {
        let shown = rig.good(&["info", "--compare", "before.json", "--lang", lang]).out;
        is_readable(&shown);
        assert!(shown.contains("F8YOTHER") && !shown.contains("iPhone14,5"), "differences only: {shown}");
    }

    let saved = fs::read_to_string(rig.path("before.json")).unwrap();
    fs::write(rig.path("other.json"), saved.replace(&rig.phone().ecid.to_string(), "0x1")).unwrap();
    let other = rig.run(&["info", "--compare", "other.json", "--json"]);
    assert_eq!((other.code, other.code_of_fault()), (Some(1), Some(Code::StrangerDevice)));
    for wrong in ["", "{", "[1]", "{\"schema\":2,\"info\":{}}", "{\"schema\":1}", "{\"schema\":1,\"info\":[]}", "\u{0}"]
    {
        fs::write(rig.path("wrong.json"), wrong).unwrap();
        let refused = rig.run(&["info", "--compare", "wrong.json", "--json"]);
        assert_eq!((refused.code, refused.code_of_fault()), (Some(2), Some(Code::Usage)), "{wrong:?}");
    }
}

#[test]
fn a_phone_that_lies_harms_no_sheet() {
    let rig = rig("");
    tell(&rig, "", "ModelNumber", "=HYPERLINK(\"http://x\")".into());
    tell(&rig, "", "RegionInfo", "\u{1b}]0;owned\u{7}\u{202e}a\r\n,b\"c".into());
    tell(&rig, "", "DeviceColor", "<script>alert(1)</script>".into());
    tell(&rig, "", "SIMStatus", "x".repeat(2 << 20).into());
    tell(&rig, "", "BasebandVersion", Plist::Array(vec![1_u64.into()]));
    tell(&rig, "com.apple.disk_usage", "TotalDiskCapacity", (-5_i64).into());
    tell(&rig, "com.apple.mobile.battery", "BatteryCurrentCapacity", "@SUM(1)".into());
    tell(&rig, "IORegistry", "CycleCount", u64::MAX.into());
    tell(&rig, "IORegistry", "BatteryData", "no dictionary".into());
    tell(&rig, "IORegistry", "Serial", "-2+3+cmd|' /C calc'!A0".into());
    let sheet = sheet(&rig);
    for key in ["sim", "baseband_version", "capacity", "battery_percent", "battery_cycles", "battery_health"] {
        assert_eq!(sheet[key], Value::Null, "{key}");
    }
    for lang in ["en", "nl"] {
        is_readable(&rig.good(&["info", "--lang", lang]).out);
    }
    let csv = rig.good(&["info", "--csv"]).out;
    assert_eq!(csv.matches('\n').count(), 2, "{csv:?}");
    assert!(csv.contains(",\"'=HYPERLINK(\"\"http://x\"\")\",") && csv.contains("'-2+3+cmd|"), "{csv}");
    rig.good(&["info", "--paper", "sheet.html"]);
    let page = fs::read_to_string(rig.path("sheet.html")).unwrap();
    assert!(!page.contains("<script") && !page.contains('\u{1b}') && !page.contains('\u{202e}'));
}

// -- what is signed --

fn erased() -> Rig {
    let rig = rig("find_my = false");
    let ecid = rig.phone().ecid.to_string();
    rig.good(&["info", "--save", "before.json"]);
    rig.good(&["restore", "--erase", "--yes-erase", &ecid]);
    rig
}

#[test]
fn an_erasure_is_signed_and_found_right_and_any_change_is_found() {
    let rig = erased();
    let job = fs::read_dir(rig.jobs()).unwrap().next().unwrap().unwrap().path().join("journal.jsonl");
    let journal = fs::read(&job).unwrap();
    let made =
        rig.good(&["report", "--certificate", "c.json", "--paper", "c.html", "--intake", "before.json", "--json"]);
    let told = made.lines().remove(0);
    assert_eq!(fs::read(&job).unwrap(), journal, "the journal stays as it is");
    assert_eq!(told["certificate"]["category"], "Purge");
    assert_eq!(told["certificate"]["serial"], json!(rig.phone().serial), "from the intake sheet");
    let strange = fs::read_to_string(rig.path("before.json")).unwrap().replace(&rig.phone().ecid.to_string(), "0x1");
    fs::write(rig.path("strange.json"), strange).unwrap();
    let other = rig.run(&["report", "--certificate", "x.json", "--intake", "strange.json", "--json"]);
    assert_eq!((other.code, other.code_of_fault()), (Some(1), Some(Code::StrangerDevice)));
    assert_eq!(told["certificate"]["observed"], json!(["restore-ended", "came-back"]));
    let key = told["key"].as_str().unwrap();
    let secret = rig.path("state/herstel/signing-key");
    assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!made.out.contains(fs::read_to_string(&secret).unwrap().trim()));
    let page = fs::read_to_string(rig.path("c.html")).unwrap();
    assert!(page.contains(key) && page.contains(told["last_hash"].as_str().unwrap()));
    for lang in ["en", "nl"] {
        let shown = rig.good(&["report", "verify", "c.json", "--lang", lang]);
        is_readable(&shown.out);
        let again = rig.good(&["report", "--certificate", "again.json", "--intake", "before.json", "--lang", lang]);
        is_readable(&again.out);
    }
    assert_eq!(fs::read(rig.path("again.json")).unwrap(), fs::read(rig.path("c.json")).unwrap());

    // Another computer: the key is not known there, unless it is given.
    let elsewhere = |args: &[&str]| {
        let mut command = rig.command(args);
        command.env("XDG_STATE_HOME", rig.path("elsewhere"));
        bench::run(command, bench::DEADLINE)
    };
    let strange = elsewhere(&["report", "verify", "c.json", "--json"]);
    assert_eq!((strange.code, &strange.lines()[0]["signer"]), (Some(3), &json!("unknown")), "{strange}");
    assert_eq!(elsewhere(&["report", "verify", "c.json", "--key", key]).code, Some(0));
    assert!(!rig.path("elsewhere/herstel/signing-key").exists(), "to look makes no key");
    let wrong = elsewhere(&["report", "verify", "c.json", "--key", &"0".repeat(64), "--json"]);
    assert_eq!((wrong.code, wrong.code_of_fault()), (Some(7), Some(Code::CertificateInvalid)));

    let good = fs::read(rig.path("c.json")).unwrap();
    for at in [0, good.len() / 7, good.len() / 3, good.len() / 2, good.len() - 100, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(rig.path("bad.json"), bad).unwrap();
        let found = rig.run(&["report", "verify", "bad.json", "--json"]);
        assert_eq!((found.code, found.code_of_fault()), (Some(7), Some(Code::CertificateInvalid)), "byte {at}");
    }
    bundle(&rig);
}

/// Of the same job: nothing of the phone is in it.
fn bundle(rig: &Rig) {
    let phone = rig.phone();
    fs::write(
        rig.path("doctor.json"),
        format!("{{\"schema\":1,\"checks\":[{{\"seen\":\"Bob's iPad (0x126D0E81100077)\",\"x\":\"{}\"}}]}}\nBob's iPad is half a li", phone.udid),
    )
    .unwrap();
    let made = rig.good(&["report", "--bundle", "b.zip", "--doctor", "doctor.json"]);
    is_readable(&made.out);
    let mut archive = zip::ZipArchive::new(fs::File::open(rig.path("b.zip")).unwrap()).unwrap();
    let mut all = String::new();
    for at in 0..archive.len() {
        let mut part = archive.by_index(at).unwrap();
        let name = part.name().unwrap().into_owned();
        assert!(made.out.contains(&name), "{name} is not in the list");
        part.read_to_string(&mut all).unwrap();
    }
    for name in ["journal.jsonl", "report.json", "report.txt", "doctor.jsonl", "versions.json"] {
        assert!(archive.by_name(name).is_ok(), "{name}");
    }
    let ecid = phone.ecid;
    for secret in [
        "Anna's iPhone".to_owned(),
        "Bob's".to_owned(),
        ecid.to_string(),
        format!("{:X}", ecid.0),
        format!("{:x}", ecid.0),
        ecid.0.to_string(),
        "126D0E81100077".to_owned(),
        phone.udid.to_string(),
        phone.serial.clone(),
    ] {
        assert!(!all.contains(&secret), "{secret} is in the bundle");
    }
    assert!(all.contains("iPhone14,5") && all.contains("restore"), "what helps is there");
    let json = rig.good(&["report", "--bundle", "b.zip", "--json"]).lines().remove(0);
    assert_eq!(json["bundle"]["parts"][0]["name"], "versions.json");
}

#[test]
fn a_job_that_put_data_back_gets_no_certificate_and_still_a_line() {
    let rig = rig("");
    let ecid = rig.phone().ecid.to_string();
    rig.good(&["recover", "--yes-erase", &ecid]);
    let refused = rig.run(&["report", "--certificate", "c.json", "--json"]);
    assert_eq!((refused.code, refused.code_of_fault()), (Some(4), Some(Code::CertificateRefused)));
    assert!(!rig.path("c.json").exists());
    let csv = rig.good(&["report", "--format", "csv"]).out;
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].starts_with("job,tool,virtual,title,") && lines[1].contains(",Anna's iPhone,"), "{csv}");
}
