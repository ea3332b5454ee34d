//! `doctor` as people run it: on a bench, above a computer that is made up.

mod bench;

use bench::{Ran, Rig};
use herstel::fault::Code;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

fn bench(toml: &str) -> Rig {
    Rig::new(&format!("pace = 100.0\n{toml}"))
}

const ONE: &str = "[[phone]]\nphotos = 0\ntrust = 'trusted'\n";

/// A Linux with usbmuxd, both rules, and nothing else to tell of.
fn computer(rig: &Rig) -> PathBuf {
    let root = rig.path("root");
    for (path, text) in [
        ("usr/sbin/usbmuxd", ""),
        ("usr/bin/systemd-inhibit", ""),
        ("etc/udev/rules.d/70-herstel.rules", include_str!("../udev/70-herstel.rules")),
        ("proc/1/comm", "systemd\n"),
        ("proc/sys/kernel/osrelease", "6.12.1-amd64\n"),
        ("etc/hosts", "127.0.0.1 localhost\n"),
        ("etc/resolv.conf", "nameserver 192.0.2.53\n"),
        ("run/systemd/timesync/synchronized", ""),
    ] {
        write(&root, path, text);
    }
    root
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn command(rig: &Rig, root: &Path, args: &[&str]) -> Command {
    let mut command = rig.command(&[&["doctor"], args].concat());
    command.env("HERSTEL_DOCTOR_ROOT", root).env("HERSTEL_BENCH_HASTE", "4");
    command
}

fn doctor(rig: &Rig, root: &Path, args: &[&str]) -> Ran {
    bench::run(command(rig, root, args), bench::DEADLINE)
}

fn checks(ran: &Ran) -> Vec<Value> {
    let lines = ran.lines();
    let told = lines.iter().find_map(|l| l["checks"].as_array().cloned()).unwrap_or_else(|| panic!("no checks\n{ran}"));
    let blocked = told.iter().any(|c| c["verdict"] == "blocking");
    assert_eq!(ran.code, Some(if blocked { 6 } else { 0 }), "{ran}");
    assert_eq!(ran.finished()["outcome"], if blocked { "failed" } else { "ok" });
    told
}

#[track_caller]
fn says(ran: &Ran, name: &str, verdict: &str, cause: Option<&str>, evidence: &str) {
    let told = checks(ran);
    let one = told.iter().find(|c| c["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!((one["verdict"].as_str(), one["cause"].as_str()), (Some(verdict), cause), "{one:#}");
    assert!(one["evidence"].to_string().contains(evidence), "{evidence:?}: {one:#}");
}

#[test]
fn a_bench_on_a_computer_that_is_well() {
    let rig = bench(ONE);
    let ran = doctor(&rig, &computer(&rig), &["--json"]);
    let told = checks(&ran);
    let numbers: std::collections::BTreeSet<u64> = told.iter().map(|c| c["question"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=20).collect());
    for (name, evidence) in [
        ("usbmuxd", "answers, 1 on a cable"),
        ("usb", "1 of Apple's"),
        ("trust", "trust: trusted"),
        ("apple-hosts", "reached; answers 200"),
        ("udev-rule", "70-herstel.rules"),
        ("clock", "synchronized"),
    ] {
        says(&ran, name, "good", None, evidence);
    }
    says(&ran, "locked-device", "good", Some("locked-can-be-restored"), "");
    says(&ran, "usb-drops", "not-applicable", Some("not-watched"), "");
}

#[test]
fn what_phones_say_of_themselves() {
    let rig = bench(
        "[[phone]]\nphotos = 0\ntrust = 'stale'\n[[phone]]\nphotos = 0\ntrust = 'trusted'\n\
         passcode = 'before-first-unlock'\n[[phone]]\nmode = 'recovery'\n[phone.faults.usb]\nno_access = true\n",
    );
    let ran = doctor(&rig, &computer(&rig), &["--json"]);
    let ecid = |at: usize| rig.bench.phones[at].ecid.to_string();
    says(&ran, "trust", "warning", Some("trust-stale"), &ecid(0));
    says(&ran, "unlocked", "warning", Some("locked-since-boot"), &ecid(1));
    says(&ran, "usb-rights", "blocking", Some("node-refused"), "(recovery)");
    assert_eq!(ran.code_of_fault(), Some(Code::UsbNoAccess));
    assert!(ran.out.contains(&format!("herstel -d {} pair --reset", ecid(0))), "{ran}");
    assert!(rig.bench.phones.iter().all(|p| p.remembered("trust.dialog") == 0), "looking opened a dialog");
    assert!(!rig.jobs().exists() && !rig.vault().exists(), "looking leaves nothing");
}

#[test]
fn what_answers_in_usbmuxds_place() {
    let rig = bench(ONE);
    let root = computer(&rig);
    let at = |name: &str| {
        let mut command = command(&rig, &root, &["--json", "--offline"]);
        command.env("USBMUXD_SOCKET_ADDRESS", format!("UNIX:{}", rig.path(name).display()));
        bench::run(command, bench::DEADLINE)
    };
    let ran = at("nobody");
    says(&ran, "usbmuxd", "blocking", Some("mux-silent"), "12a8 (normal)");
    assert_eq!(ran.code_of_fault(), Some(Code::MuxUnreachable));
    says(&ran, "apple-hosts", "unknown", Some("offline"), "not asked");

    let _silent = UnixListener::bind(rig.path("silent")).unwrap();
    says(&at("silent"), "usbmuxd", "blocking", Some("mux-silent"), "does not answer");

    let garbage = UnixListener::bind(rig.path("garbage")).unwrap();
    std::thread::spawn(move || {
        for stream in garbage.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.write_all(&[0xFF; 64]);
            std::thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
        }
    });
    let ran = at("garbage");
    says(&ran, "usbmuxd", "blocking", Some("mux-garbage"), "garbage");
    assert_eq!(ran.code_of_fault(), Some(Code::MuxGarbage));

    std::fs::remove_dir_all(root.join("usr")).unwrap();
    says(&at("nobody"), "usbmuxd", "blocking", Some("mux-missing"), "No such file");
}

#[test]
fn apples_servers_are_away_or_somebody_elses() {
    for (knob, cause, evidence) in [
        ("catalogue_html = true", "portal-answers", "a web page"),
        ("tss_html = true", "portal-answers", "a web page"),
        ("catalogue_down = true", "hosts-away", "reached; "),
        ("tss_down = true", "hosts-away", "reached; "),
    ] {
        let rig = bench(&format!("{ONE}[apple]\n{knob}\n"));
        let ran = doctor(&rig, &computer(&rig), &["--json"]);
        says(&ran, "apple-hosts", "blocking", Some(cause), evidence);
        assert_eq!(ran.code_of_fault(), Some(Code::HostNotReady), "{knob}");
    }
    let rig = bench(ONE);
    let mut command = command(&rig, &computer(&rig), &["--json"]);
    // Nobody listens on the port of the echo service.
    command.env("HERSTEL_TSS_URL", "http://127.0.0.1:7/TSS").env("https_proxy", "http://me:s3cret@127.0.0.1:9");
    let ran = bench::run(command, bench::DEADLINE);
    says(&ran, "apple-hosts", "blocking", Some("hosts-away"), "no connection");
    says(&ran, "proxy", "warning", Some("proxy-set"), "…@127.0.0.1:9");
    assert!(!ran.to_string().contains("s3cret"), "{ran}");
}

#[test]
fn a_computer_with_walls() {
    let rig = bench(ONE);
    let root = computer(&rig);
    write(&root, ".dockerenv", "");
    write(&root, "etc/hosts", "127.0.0.1 gs.apple.com\n");
    write(&root, "proc/sys/kernel/osrelease", "5.15.90.1-microsoft-standard-WSL2\n");
    write(&root, "proc/44/comm", "ModemManager\n");
    std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
    std::fs::remove_file(root.join("etc/resolv.conf")).unwrap();
    std::os::unix::fs::symlink("resolv.conf", root.join("etc/resolv.conf")).unwrap();
    let ran = doctor(&rig, &root, &["--json"]);
    says(&ran, "hosts-file", "blocking", Some("hosts-moved"), "127.0.0.1 gs.apple.com");
    says(&ran, "container", "warning", Some("no-usb-folder"), "/.dockerenv");
    says(&ran, "wsl", "warning", Some("in-wsl"), "WSL2");
    says(&ran, "modem-manager", "good", None, "a rule keeps ModemManager off");
    assert_eq!(ran.code_of_fault(), Some(Code::HostNotReady));
}

#[test]
fn a_phone_that_drops_off_the_bus_is_counted() {
    let rig = bench(ONE);
    let mut child = command(&rig, &computer(&rig), &["--json", "--watch", "6"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("Watching"));
    let phone = rig.phone();
    phone.reenumerate(phone.stage(), Duration::from_millis(100));
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let told: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let drops = told["checks"].as_array().unwrap().iter().find(|c| c["name"] == "usb-drops").unwrap();
    assert_eq!((&drops["verdict"], &drops["cause"]), (&"warning".into(), &"link-drops".into()), "{drops:#}");
    assert!(drops["evidence"][0]["seen"].as_str().unwrap().ends_with("times: 1"), "{drops:#}");
}

#[test]
fn it_reads_well_in_both_languages() {
    let rig = bench("[[phone]]\nphotos = 0\ntrust = 'stale'\n[apple]\ncatalogue_html = true\n");
    let root = computer(&rig);
    write(&root, "proc/cpuinfo", "flags : hypervisor\n");
    for (lang, question, remedy) in [
        ("en", "7. What does \"InvalidHostID\" (-21) mean?", "tap Trust on the unlocked"),
        ("nl", "7. Wat betekent \"InvalidHostID\" (-21)?", "op Vertrouw tikken."),
    ] {
        let ran = doctor(&rig, &root, &["--lang", lang]);
        assert_eq!(ran.code, Some(6), "{ran}");
        let flat = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(question) && flat.contains(remedy), "{ran}");
        assert!(
            ran.out.lines().any(|l| l.starts_with("        herstel -d 0x") && l.ends_with(" pair --reset")),
            "{ran}"
        );
        let order: Vec<usize> =
            ["!!  apple-hosts", "!   trust", "ok  usbmuxd "].map(|w| ran.out.find(w).unwrap()).into();
        assert!(order.is_sorted(), "what blocks comes first\n{ran}");
        // Commands stay whole.
        let long = ran.out.lines().find(|l| l.chars().count() > 80 && !l.starts_with("        "));
        assert_eq!(long, None, "{ran}");
    }
}

#[test]
fn inside_an_emulated_bus_sysfs_and_libusb_are_read() {
    let rig = bench("[[phone]]\nphotos = 0\ntrust = 'trusted'\n[[phone]]\nmode = 'recovery'\n");
    if !rig.bench.is_emulated() {
        eprintln!("without umockdev's preload library there is no emulated bus");
        return;
    }
    let args = ["doctor", "--json", "--offline"];
    let ran = bench::run(rig.outside(env!("CARGO_BIN_EXE_herstel"), &args, true), bench::DEADLINE);
    says(&ran, "usb", "good", None, "libusb inside the bench");
    says(&ran, "usb-speed", "good", None, "480 Mbit/s, 05ac:1281 (recovery)");
    says(&ran, "hub-depth", "good", None, "05ac:12a8: 0");
    let told = checks(&ran);
    let rights = told.iter().find(|c| c["name"] == "usb-rights").unwrap();
    assert_eq!(rights["verdict"], "good", "{rights:#}");
    assert!(rights["evidence"].to_string().contains("/dev/bus/usb/"), "{rights:#}");
}
