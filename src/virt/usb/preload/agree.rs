//! irecovery and Herstel say the same of the same phone.
//!
//! Both are programs on the emulated bus: Herstel is this test binary, run again as a child with the preload
//! library, so that its own libusb code reads the phone, by the same look as `herstel list`. What it reads it
//! writes to a file, which the parent compares with what irecovery printed.

use super::judges::{Bench, await_stage, bench, installed, spec};
use crate::device::{Eyes, look};
use crate::ids::{Ecid, Mode};
use crate::mux::{Mux, MuxAddress};
use crate::usb::LibUsb;
use crate::usb::iboot::Iboot;
use crate::virt::phone::Stage;
use crate::virt::spec::ModeSpec;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;

/// Set for children only: where their answer goes, and what they shall do.
const ANSWER: &str = "HERSTEL_TEST_ANSWER";
const DEED: &str = "HERSTEL_TEST_DEED";
const VARIABLES: [&str; 4] = ["build-version", "auto-boot", "config_board", "loadaddr"];

#[expect(clippy::disallowed_methods, reason = "how the parent tells its child what to do")]
fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn hex(bytes: Option<Vec<u8>>) -> Option<String> {
    bytes.map(|bytes| bytes.iter().map(|b| format!("{b:02x}")).collect())
}

#[tokio::test]
async fn child_reads() {
    let (Some(answer), Some(deed)) = (told(ANSWER), told(DEED)) else { return };
    let bus = Arc::new(LibUsb::inside_bench().unwrap());
    let mux = Mux::new(MuxAddress::Unix("/nowhere".into()));
    let seen = look(&Eyes::new(Arc::<LibUsb>::clone(&bus), mux, true)).await;
    assert_eq!(seen.devices.len(), 1, "{seen:?}");
    let who = seen.devices[0].who().clone();
    let bus: Arc<dyn crate::usb::Bus> = bus;
    let device = bus.devices().unwrap().remove(0);
    let port = Iboot::open(&bus, &device, who.ecid.unwrap()).await.unwrap();
    let nonces = port.nonces().await.unwrap().unwrap_or_default();
    let mut variables = BTreeMap::new();
    if port.mode() == Mode::Recovery {
        for name in VARIABLES {
            variables.insert(name, port.getenv(name).await.unwrap());
        }
    }
    match deed.split_once(' ') {
        Some(("upload", file)) => port.upload(std::fs::read(file).unwrap(), &mut |_| {}).await.unwrap(),
        Some(("leave", _)) => {
            port.setenv("auto-boot", "true").await.unwrap();
            port.saveenv().await.unwrap();
            port.leave("reboot").await.unwrap();
        }
        _ => {}
    }
    let read = json!({
        "mode": port.mode(), "ecid": who.ecid.map(|e| e.0), "cpid": who.cpid.map(|c| c.0),
        "bdid": who.bdid.map(|b| b.0), "product": who.product, "board": who.board, "serial": who.serial,
        "ap": hex(nonces.ap), "sep": hex(nonces.sep), "variables": variables,
    });
    std::fs::write(answer, serde_json::to_vec(&read).unwrap()).unwrap();
}

/// What Herstel reads of the one phone on this bus; then it does the deed.
fn herstel(bench: &Bench, deed: &str) -> Value {
    let answer = bench.file("answer", b"");
    let program = std::env::current_exe().unwrap();
    let output = bench
        .command("timeout", &["--kill-after=1", "60", program.to_str().unwrap()])
        .args(["--exact", "virt::usb::preload::agree::child_reads", "--nocapture"])
        .env(ANSWER, &answer)
        .env(DEED, deed)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    serde_json::from_slice(&std::fs::read(answer).unwrap()).unwrap()
}

/// `irecovery -q` as a table, all in lower case.
fn query(bench: &Bench) -> BTreeMap<String, String> {
    let text = bench.run("irecovery", &["-q"], "").to_ascii_lowercase();
    text.lines().filter_map(|l| l.split_once(": ")).map(|(k, v)| (k.to_owned(), v.trim().to_owned())).collect()
}

fn number(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
}

#[test]
fn irecovery_q_and_m_say_what_herstel_reads() {
    if !installed("irecovery") {
        return;
    }
    for (model, mode) in [
        ("iphone13", ModeSpec::Recovery),
        ("iphone13", ModeSpec::Dfu),
        ("iphone6", ModeSpec::Recovery),
        ("iphone6", ModeSpec::Dfu),
        ("iPhone4,1", ModeSpec::Recovery),
    ] {
        let Some(bench) = bench(spec(model, mode)) else { return };
        let theirs = query(&bench);
        let ours = herstel(&bench, "read");
        for (key, name) in [("ecid", "ecid"), ("cpid", "cpid"), ("bdid", "bdid")] {
            assert_eq!(Some(number(&theirs[key])), ours[name].as_u64(), "{key}: {theirs:?} {ours}");
        }
        assert_eq!(ours["ecid"], bench.phone.ecid.0);
        for (key, name) in [("product", "product"), ("model", "board"), ("nonc", "ap"), ("snon", "sep")] {
            if ["product", "model"].contains(&key) && !theirs.contains_key(key) {
                // irecovery 1.0.0 does not say; later ones do.
                continue;
            }
            let ours = ours[name].as_str().map(str::to_ascii_lowercase);
            let theirs = theirs.get(key).filter(|text| *text != "n/a").cloned();
            assert_eq!(theirs, ours, "{key} of {model}");
        }
        let serial = ours["serial"].as_str().map(str::to_ascii_lowercase);
        assert_eq!(theirs.get("srnm").filter(|text| *text != "n/a").cloned(), serial);
        let word = bench.run("irecovery", &["-m"], "").to_ascii_lowercase();
        assert_eq!(word.split_whitespace().next(), ours["mode"].as_str(), "{word}");
    }
}

#[test]
fn irecovery_s_reads_the_variables_that_herstel_reads() {
    let Some(bench) = bench(spec("iphone13", ModeSpec::Recovery)) else { return };
    if !installed("irecovery") {
        return;
    }
    let text = bench.run("irecovery", &["-s"], "setenv auto-boot maybe\nsaveenv\n/exit\n");
    let ours = herstel(&bench, "read");
    assert_eq!(ours["variables"]["auto-boot"], "maybe", "{text}");
    for name in VARIABLES {
        let text = bench.run("irecovery", &["-s"], &format!("getenv {name}\n/exit\n"));
        let value = ours["variables"][name].as_str().unwrap();
        assert!(text.lines().any(|line| line.trim_start_matches("> ").trim() == value), "{name}: {value} in {text:?}");
    }
}

#[test]
fn irecovery_f_and_herstel_upload_the_same_bytes() {
    if !installed("irecovery") {
        return;
    }
    for (mode, what, length) in [
        (ModeSpec::Recovery, "iboot.upload", 1_234_567),
        (ModeSpec::Recovery, "iboot.upload", 300),
        (ModeSpec::Dfu, "dfu.image", 100_000),
    ] {
        let Some(bench) = bench(spec("iphone13", mode)) else { return };
        let stage = bench.phone.stage();
        let changes = bench.phone.watch();
        let file = bench.file("image", &vec![0x5A; length]);
        bench.run("irecovery", &["-f", &file], "");
        if mode == ModeSpec::Dfu {
            await_stage(&changes, &bench, stage);
        }
        herstel(&bench, &format!("upload {file}"));
        let sent: Vec<_> = bench.phone.memory().into_iter().filter(|m| m.what == what).map(|m| m.detail).collect();
        assert_eq!(sent.len(), 2, "{sent:?}");
        assert_eq!(sent[0], sent[1]);
    }
}

#[test]
fn irecovery_n_leaves_the_phone_as_herstel_does() {
    let ends = ["irecovery", "herstel"].map(|who| {
        let bench = bench(spec("iphone13", ModeSpec::Recovery))?;
        bench.phone.state().nvram.insert("auto-boot".into(), "false".into());
        let changes = bench.phone.watch();
        match who {
            "irecovery" if installed("irecovery") => drop(bench.run("irecovery", &["-n"], "")),
            "irecovery" => return None,
            _ => drop(herstel(&bench, "leave now")),
        }
        await_stage(&changes, &bench, Stage::Normal);
        let nvram = bench.phone.state().nvram.clone();
        Some((nvram, bench.phone.ecid))
    });
    if let [Some(theirs), Some(ours)] = &ends {
        assert_eq!(theirs, ours);
        assert_eq!((ours.0["auto-boot"].as_str(), ours.1.0 != Ecid(0).0), ("true", true));
    }
}
