//! Programs that nobody here wrote judge the emulation: irecovery, lsusb, libusb itself.
//!
//! Each test says what it misses and passes when a program or the preload library is not installed.

use super::{Emulation, preload_library};
use crate::virt::phone::{Phone, Stage, StageChange};
use crate::virt::spec::{ModeSpec, PhoneSpec};
use crate::virt::usb::image::tests::signed_for;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// Re-enumerations take a fiftieth of their time.
const PACE: f64 = 50.0;
const LIMIT: Duration = Duration::from_secs(20);

pub(super) struct Bench {
    pub phone: Arc<Phone>,
    emulation: Emulation,
    folder: tempfile::TempDir,
}

pub(super) fn installed(program: &str) -> bool {
    let there =
        ["/usr/bin", "/usr/local/bin", "/bin", "/usr/sbin"].iter().any(|d| Path::new(d).join(program).is_file());
    if !there {
        eprintln!("skipped: {program} is not installed");
    }
    there
}

pub(super) fn bench(spec: PhoneSpec) -> Option<Bench> {
    if preload_library().is_none() {
        eprintln!("skipped: umockdev's preload library is not installed");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let phone = Phone::new(spec, 0, PACE).unwrap();
    let root = folder.path().join("u");
    std::fs::create_dir(&root).unwrap();
    let emulation = Emulation::start(&root, vec![Arc::clone(&phone)]).unwrap();
    Some(Bench { phone, emulation, folder })
}

pub(super) fn spec(model: &str, mode: ModeSpec) -> PhoneSpec {
    PhoneSpec { model: model.into(), mode, ..PhoneSpec::default() }
}

impl Bench {
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).envs(self.emulation.environment()).env("HOME", self.folder.path());
        // irecovery leaves its history in the working folder.
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Runs to its end and gives what it printed; a program that hangs fails the test.
    pub fn run(&self, program: &str, arguments: &[&str], input: &str) -> String {
        let mut child = self
            .command(program, arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let started = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if started.elapsed() > LIMIT {
                child.kill().unwrap();
                panic!("{program} {arguments:?} hangs; memory: {:?}", self.phone.memory());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let output = child.wait_with_output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    pub fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_string_lossy().into_owned()
    }

    fn send(&self, fourcc: &str, bytes: usize) -> String {
        let file = self.file(fourcc, &signed_for(&self.phone, fourcc, &vec![0x5A; bytes]));
        self.run("irecovery", &["-f", &file], "")
    }
}

pub(super) fn await_stage(changes: &Receiver<StageChange>, bench: &Bench, wanted: Stage) {
    loop {
        match changes.recv_timeout(LIMIT) {
            Ok(change) if change.to == wanted => break,
            Ok(_) => {}
            Err(_) => panic!("never came to {wanted:?}: {:#?}", bench.phone.memory()),
        }
    }
    let started = Instant::now();
    while !bench.emulation.shows(&bench.phone) {
        assert!(started.elapsed() < LIMIT, "{wanted:?} never shows");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn irecovery_reads_recovery_and_dfu() {
    if !installed("irecovery") {
        return;
    }
    for (model, mode, word) in [
        ("iphone13", ModeSpec::Recovery, "Recovery"),
        ("iphone13", ModeSpec::Dfu, "DFU"),
        ("iphone6", ModeSpec::Dfu, "DFU"),
    ] {
        let Some(bench) = bench(spec(model, mode)) else { return };
        for _ in 0..5 {
            assert!(bench.run("irecovery", &["-m"], "").contains(word));
            let text = bench.run("irecovery", &["-q"], "").to_ascii_lowercase();
            assert!(text.contains(&format!("ecid: 0x{:016x}", bench.phone.ecid.0)), "{text}");
            assert!(text.contains(&format!("cpid: 0x{:04x}", bench.phone.model.cpid.0)), "{text}");
            let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
            let state = bench.phone.state();
            assert!(text.contains(&format!("nonc: {}", hex(&state.ap_nonce))), "{text}");
            assert!(text.contains(&format!("snon: {}", hex(&state.sep_nonce))), "{text}");
            assert_eq!(text.contains("srtg: iboot-"), mode == ModeSpec::Dfu, "{text}");
            assert_eq!(text.contains(&bench.phone.serial.to_ascii_lowercase()), mode == ModeSpec::Recovery, "{text}");
        }
    }
}

#[test]
fn irecovery_shell_gets_and_sets() {
    let Some(bench) = bench(spec("iphone13", ModeSpec::Recovery)) else { return };
    if !installed("irecovery") {
        return;
    }
    for _ in 0..5 {
        let text = bench.run("irecovery", &["-s"], "getenv build-version\n/exit\n");
        assert!(text.contains("iBoot-13822"), "{text}");
    }
    let text = bench.run("irecovery", &["-s"], "setenv auto-boot false\nsaveenv\ngetenv auto-boot\n/exit\n");
    assert!(text.contains("false"), "{text}");
    assert_eq!(bench.phone.state().nvram["auto-boot"], "false");
}

#[test]
fn irecovery_leaves_recovery() {
    let Some(bench) = bench(spec("iphone13", ModeSpec::Recovery)) else { return };
    if !installed("irecovery") {
        return;
    }
    bench.phone.state().nvram.insert("auto-boot".into(), "false".into());
    let changes = bench.phone.watch();
    bench.run("irecovery", &["-n"], "");
    await_stage(&changes, &bench, Stage::Normal);
    assert_eq!(bench.phone.state().nvram["auto-boot"], "true");
}

/// The whole boot chain by hand: from DFU to the restore ramdisk.
fn walk(model: &str) {
    let Some(bench) = bench(spec(model, ModeSpec::Dfu)) else { return };
    let changes = bench.phone.watch();
    let text = bench.run("irecovery", &["-f", &bench.file("junk", &[1; 3000])], "");
    assert!(text.is_empty() || text.contains('%'), "{text}");
    await_stage(&changes, &bench, Stage::Dfu);
    assert_eq!(bench.phone.remembered("boot.refused"), 1);
    bench.send("ibss", 300_000);
    await_stage(&changes, &bench, Stage::Ibss);
    bench.send("ibec", 700_001);
    if bench.run("irecovery", &["-m"], "").contains("Recovery") && bench.phone.stage() == Stage::Ibss {
        bench.run("irecovery", &["-c", "go"], "");
    }
    await_stage(&changes, &bench, Stage::Ibec);
    let text = bench.run("irecovery", &["-s"], "getenv build-version\n/exit\n");
    assert!(text.contains(if model == "iPhone4,1" { "iBoot-" } else { "iBoot-13822.40.1" }), "{text}");
    for (fourcc, bytes, command) in
        [("rdsk", 3_000_000, "ramdisk"), ("rdtr", 90_001, "devicetree"), ("rkrn", 2_000_001, "bootx")]
    {
        bench.send(fourcc, bytes);
        bench.run("irecovery", &["-c", command], "");
    }
    await_stage(&changes, &bench, Stage::Restore);
    let sent: Vec<u64> = bench
        .phone
        .memory()
        .iter()
        .filter(|m| m.what == "iboot.upload")
        .filter_map(|m| m.detail["bytes"].as_u64())
        .collect();
    assert!(sent.len() >= 3 && sent.iter().any(|b| *b > 3_000_000), "{sent:?}");
}

#[test]
fn irecovery_boots_a_new_phone() {
    if installed("irecovery") {
        walk("iphone13");
    }
}

#[test]
fn irecovery_boots_a_phone_whose_ibss_stays_in_dfu() {
    if installed("irecovery") {
        walk("iphone6");
    }
}

#[test]
fn irecovery_boots_an_img3_phone() {
    if installed("irecovery") {
        walk("iPhone4,1");
    }
}

#[test]
fn lsusb_reads_every_descriptor() {
    if !installed("lsusb") {
        return;
    }
    for (mode, id, wanted) in [
        (ModeSpec::Recovery, "05ac:1281", ["wTotalLength       0x0039", "Apple USB Serial Interface", "EP 4 OUT"]),
        (
            ModeSpec::Dfu,
            "05ac:1227",
            ["wTotalLength       0x0019", "Apple Mobile Device (DFU Mode)", "Will Not Detach"],
        ),
        (
            ModeSpec::Normal,
            "05ac:12a8",
            ["wTotalLength       0x0075", "Apple USB Multiplexor", "bNumConfigurations      4"],
        ),
    ] {
        let Some(bench) = bench(spec("iphone13", mode)) else { return };
        for _ in 0..5 {
            let text = bench.run("lsusb", &["-v", "-d", id], "");
            for word in wanted {
                assert!(text.contains(word), "{word} is not in {text}");
            }
            assert!(!text.contains("Couldn't") && !text.contains("cannot"), "{text}");
        }
        assert!(bench.run("lsusb", &[], "").contains(&format!("ID {id}")));
    }
}

/// A libusb program that prints hotplug events, in a language that needs no compiler.
const WATCHER: &str = r#"
import ctypes, sys, time
u = ctypes.CDLL("libusb-1.0.so.0")
class D(ctypes.Structure):
    _fields_ = [("h", ctypes.c_uint8 * 8), ("v", ctypes.c_uint16), ("p", ctypes.c_uint16), ("t", ctypes.c_uint8 * 6)]
F = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
def seen(ctx, dev, event, _):
    d = D()
    u.libusb_get_device_descriptor(ctypes.c_void_p(dev), ctypes.byref(d))
    print("%s %04x" % ({1: "arrived", 2: "left"}[event], d.p), flush=True)
    return 0
call = F(seen)
ctx = ctypes.c_void_p()
assert u.libusb_init(ctypes.byref(ctx)) == 0
assert u.libusb_hotplug_register_callback(ctx, 3, 1, 0x05ac, -1, -1, call, None, None) == 0
class T(ctypes.Structure):
    _fields_ = [("s", ctypes.c_long), ("u", ctypes.c_long)]
end = time.time() + 20
while time.time() < end:
    u.libusb_handle_events_timeout(ctx, ctypes.byref(T(0, 100000)))
"#;

#[test]
fn a_running_libusb_client_sees_phones_come_and_go() {
    if !installed("python3") || !Path::new("/usr/lib/x86_64-linux-gnu/libusb-1.0.so.0").exists() {
        eprintln!("skipped: python3 and libusb are needed");
        return;
    }
    let Some(bench) = bench(spec("iphone13", ModeSpec::Recovery)) else { return };
    let mut child = bench.command("python3", &["-c", WATCHER]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "arrived 1281");
    for _ in 0..5 {
        bench.phone.reenumerate(Stage::Dfu, Duration::from_secs(1));
        assert_eq!((lines.next().unwrap(), lines.next().unwrap()), ("left 1281".into(), "arrived 1227".into()));
        bench.phone.enter(Stage::Away);
        assert_eq!(lines.next().unwrap(), "left 1227");
        bench.phone.enter(Stage::Recovery);
        assert_eq!(lines.next().unwrap(), "arrived 1281");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn many_clients_at_once_do_not_disturb_each_other() {
    let Some(bench) = bench(spec("iphone13", ModeSpec::Recovery)) else { return };
    if !installed("irecovery") {
        return;
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let text = bench.run("lsusb", &["-v", "-d", "05ac:1281"], "");
                assert!(text.contains("Apple USB Serial Interface"), "{text}");
            });
        }
    });
}

#[test]
fn an_upload_that_is_cut_ends_the_client_and_the_next_one_works() {
    if !installed("irecovery") {
        return;
    }
    let mut spec = spec("iphone13", ModeSpec::Recovery);
    spec.faults.usb.vanish_at_upload_byte = Some(1_000_000);
    let Some(bench) = bench(spec) else { return };
    let changes = bench.phone.watch();
    bench.send("rdsk", 3_000_000);
    assert_eq!((bench.phone.remembered("usb.vanished"), bench.phone.remembered("iboot.upload")), (1, 0));
    await_stage(&changes, &bench, Stage::Recovery);
    bench.send("rdsk", 3_000_000);
    assert_eq!(bench.phone.remembered("iboot.upload"), 1);
}
