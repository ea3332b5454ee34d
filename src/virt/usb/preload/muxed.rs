//! The real usbmuxd on the emulated bus, and what works behind it: libimobiledevice's tools and Herstel's own
//! eyes must read the same phone over it as over the bench's own socket.
//!
//! usbmuxd has fixed paths, so it runs in a mount namespace of its own where `/run` and `/var/lib` are
//! folders of the test; its socket is then a file that the test can reach. That needs root or user
//! namespaces: without either the tests say so and judge nothing.

use super::judges::installed;
use super::{Emulation, preload_library};
use crate::device::{Device, Eyes, Trust, look};
use crate::ids::Mode;
use crate::mux::{Mux, MuxAddress, MuxDevice, MuxError, MuxEvent};
use crate::virt::mux::{HostRecords, Muxd, boot, post};
use crate::virt::phone::{Phone, Stage};
use crate::virt::spec::{PhoneSpec, TrustSpec};
use crate::virt::usb::VirtualBus;
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

const PACE: f64 = 50.0;
const LIMIT: Duration = Duration::from_secs(20);

const SCRIPT: &str = r#"mount --bind "$1" /run && mount --bind "$2" /var/lib && shift 2 && exec env "$@""#;

/// How to get a mount namespace here.
fn namespace() -> Option<&'static [&'static str]> {
    const WAYS: [&[&str]; 2] = [&["-m"], &["-rm"]];
    let works = |way: &&[&str]| {
        let mut probe = Command::new("unshare");
        probe.args(*way).args(["mount", "--bind", "/tmp", "/var/lib"]).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    };
    let way = WAYS.into_iter().find(works);
    if way.is_none() {
        eprintln!("skipped: no mount namespace may be made here");
    }
    way
}

/// Does usbmuxd talk to lockdownd before it shows a phone? It then offers a phone whose record it has TLS 1.0
/// and nothing later, which the bench's phones do not speak: it removes the record and pairs anew.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Preflight {
    Yes,
    No,
}

struct Daemon {
    child: Child,
    log: Arc<Mutex<String>>,
    mux: Mux,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Bench {
    daemon: Daemon,
    phone: Arc<Phone>,
    emulation: Emulation,
    own: Muxd,
    socket: PathBuf,
    folder: tempfile::TempDir,
}

/// lockdownd (or restored) starts whenever the phone comes to its stage.
fn keep_booted(phone: &Arc<Phone>, records: &Arc<HostRecords>) {
    let start = |phone: &Arc<Phone>, records: &Arc<HostRecords>| match phone.stage() {
        Stage::Normal => boot(phone, records),
        Stage::Restore => crate::virt::restore::boot(phone),
        _ => {}
    };
    let (changes, weak, records) = (phone.watch(), Arc::downgrade(phone), Arc::clone(records));
    start(phone, &records);
    std::thread::spawn(move || {
        for _change in changes {
            let Some(phone) = weak.upgrade() else { return };
            start(&phone, &records);
        }
    });
}

/// One phone, the bench's own usbmuxd and the real one, which has seen all that is there when this returns.
fn bench(spec: PhoneSpec, preflight: Preflight) -> Option<Bench> {
    if !installed("usbmuxd") || !installed("idevice_id") || !installed("unshare") {
        return None;
    }
    if preload_library().is_none() {
        eprintln!("skipped: umockdev's preload library is not installed");
        return None;
    }
    let way = namespace()?;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let (root, run, lib) = (at("u"), at("run"), at("lib"));
    let phone = Phone::new(spec, 0, PACE).unwrap();
    let records = Arc::new(HostRecords::in_folder(&lib.join("lockdown")).unwrap());
    keep_booted(&phone, &records);
    let own = Muxd::start(&folder.path().join("own"), vec![Arc::clone(&phone)], records).unwrap();
    let emulation = Emulation::start(&root, vec![Arc::clone(&phone)]).unwrap();
    let socket = run.join("usbmuxd");
    let daemon = start(way, &emulation, preflight, &run, &lib);
    Some(Bench { daemon, phone, emulation, own, socket, folder })
}

fn start(way: &[&str], emulation: &Emulation, preflight: Preflight, run: &Path, lib: &Path) -> Daemon {
    let mut command = Command::new("unshare");
    command.args(way).args(["sh", "-c", SCRIPT, "sh"]).args([run, lib]);
    for (key, value) in emulation.environment() {
        let mut pair = key;
        pair.push("=");
        pair.push(value);
        command.arg(pair);
    }
    command.args(["usbmuxd", "-f", "-v"]);
    if preflight == Preflight::No {
        command.arg("-p");
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (sender, ready) = channel();
    let log = Arc::new(Mutex::new(String::new()));
    let (copy, lines) = (Arc::clone(&log), BufReader::new(child.stderr.take().unwrap()).lines());
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if line.contains("Initialization complete") {
                let _ = sender.send(());
            }
            let mut log = copy.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
    let daemon = Daemon { child, log, mux: Mux::new(MuxAddress::Unix(run.join("usbmuxd"))) };
    if ready.recv_timeout(LIMIT).is_err() {
        panic!("usbmuxd does not start: {}", daemon.log());
    }
    daemon
}

impl Daemon {
    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Every event from now on, with what is attached first.
    async fn events(&self) -> mpsc::Receiver<MuxEvent> {
        self.mux.watch().await.unwrap()
    }
}

impl Bench {
    async fn attached(&self, events: &mut mpsc::Receiver<MuxEvent>) -> MuxDevice {
        loop {
            match tokio::time::timeout(LIMIT, events.recv()).await {
                Ok(Some(MuxEvent::Attached(device))) => return device,
                Ok(Some(_)) => {}
                _ => panic!("nothing attached: {}\n{:#?}", self.daemon.log(), self.phone.memory()),
            }
        }
    }

    async fn detached(&self, events: &mut mpsc::Receiver<MuxEvent>) -> u32 {
        loop {
            match tokio::time::timeout(LIMIT, events.recv()).await {
                Ok(Some(MuxEvent::Detached(id))) => return id,
                Ok(Some(_)) => {}
                _ => panic!("nothing detached: {}", self.daemon.log()),
            }
        }
    }

    fn tool(&self, program: &str, arguments: &[&str]) -> (bool, String) {
        let mut address = std::ffi::OsString::from("UNIX:");
        address.push(&self.socket);
        let mut command = Command::new("timeout");
        command.args(["--kill-after=1", "20", program]).args(arguments).env("HOME", self.folder.path());
        let output = command.env("USBMUXD_SOCKET_ADDRESS", address).stdin(Stdio::null()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    fn on_bus(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=1", "20", program]).args(arguments).envs(self.emulation.environment());
        let output = command.env("HOME", self.folder.path()).stdin(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// The one device that Herstel sees through this usbmuxd.
    async fn seen(&self, mux: &Mux) -> Device {
        let bus = Arc::new(VirtualBus::new(vec![Arc::clone(&self.phone)]));
        let look = look(&Eyes::new(bus, mux.clone(), true)).await;
        assert!(look.mux.is_none() && look.usb.is_none(), "{look:?}");
        assert_eq!(look.devices.len(), 1, "{look:?}");
        look.devices.into_iter().next().unwrap()
    }

    /// Both readings say the same of this phone.
    async fn agrees(&self, mode: Mode) -> Device {
        let own = self.seen(&Mux::new(MuxAddress::Unix(self.own.socket().to_owned()))).await;
        let real = self.seen(&self.daemon.mux).await;
        let row = |device: &Device| serde_json::to_value(device.row()).unwrap();
        assert_eq!(row(&own), row(&real), "{}", self.daemon.log());
        assert_eq!((real.mode(), real.who().ecid), (mode, Some(self.phone.ecid)));
        real
    }
}

fn spec(model: &str, trust: TrustSpec) -> PhoneSpec {
    PhoneSpec { model: model.into(), trust, name: "Anna's phone".into(), photos: 0, ..PhoneSpec::default() }
}

#[tokio::test]
async fn a_phone_reads_the_same_over_the_real_usbmuxd() {
    for (model, trust, preflight) in [
        ("iphone13", TrustSpec::Trusted, Preflight::No),
        ("iphone13", TrustSpec::Pending, Preflight::Yes),
        ("iphone6", TrustSpec::Trusted, Preflight::No),
    ] {
        let Some(bench) = bench(spec(model, trust), preflight) else { return };
        let mut events = bench.daemon.events().await;
        let device = bench.attached(&mut events).await;
        assert_eq!(device.udid().as_ref(), Some(&bench.phone.udid));
        let (ok, list) = bench.tool("idevice_id", &["-l"]);
        assert_eq!((ok, list.trim()), (true, bench.phone.udid.as_str()));
        let (ok, simple) = bench.tool("ideviceinfo", &["-s"]);
        let product = format!("ProductType: {}", bench.phone.model.product);
        assert!(ok && simple.contains(&product), "{simple}\n{}", bench.daemon.log());
        let seen = bench.agrees(Mode::Normal).await;
        let who = seen.who();
        assert_eq!(who.udid.as_ref(), Some(&bench.phone.udid));
        assert_eq!(who.product.as_ref(), Some(&bench.phone.model.product));
        assert_eq!(who.name.as_deref(), Some("Anna's phone"));
        assert_eq!(seen.normal().unwrap().version, Some(bench.phone.state().version.clone()));
        let wanted = if trust == TrustSpec::Trusted { Trust::Trusted } else { Trust::Untrusted };
        assert_eq!(seen.normal().unwrap().trust, wanted);
        assert_eq!(bench.phone.remembered("usbmux.garbage"), 0);
    }
}

#[tokio::test]
async fn usbmuxd_pairs_when_somebody_taps_trust() {
    let Some(bench) = bench(spec("iphone13", TrustSpec::Untrusted), Preflight::Yes) else { return };
    let mut events = bench.daemon.events().await;
    bench.attached(&mut events).await;
    // At the bench's pace the tap may come before usbmuxd listens for it: then the phone says it once more.
    let until = Instant::now() + LIMIT;
    loop {
        match tokio::time::timeout(Duration::from_millis(200), events.recv()).await {
            Ok(Some(MuxEvent::Paired(_))) => break,
            Ok(Some(_)) => {}
            Err(_) if Instant::now() < until => post(&bench.phone, "com.apple.mobile.lockdown.request_pair"),
            _ => panic!("never paired: {}\n{:#?}", bench.daemon.log(), bench.phone.memory()),
        }
    }
    assert_eq!(bench.phone.remembered("trust.tapped"), 1);
    let (ok, said) = bench.tool("idevicepair", &["validate"]);
    assert!(ok && said.contains("SUCCESS"), "{said}");
    // What only a session over TLS tells.
    let (ok, all) = bench.tool("ideviceinfo", &[]);
    assert!(ok && all.contains("ActivationState: Activated"), "{all}");
    assert!(all.contains(&format!("UniqueChipID: {}", bench.phone.ecid.0)), "{all}");
    let seen = bench.seen(&bench.daemon.mux).await;
    assert_eq!(seen.normal().unwrap().trust, Trust::Trusted);
}

#[tokio::test]
async fn usbmuxd_sees_phones_come_and_go_and_change_their_mode() {
    // One whose system still lets this client send it into recovery.
    let Some(bench) = bench(spec("iphone6", TrustSpec::Trusted), Preflight::No) else { return };
    let mut events = bench.daemon.events().await;
    let mut last = bench.attached(&mut events).await.id;
    for _ in 0..3 {
        bench.phone.enter(Stage::Away);
        assert_eq!(bench.detached(&mut events).await, last);
        bench.phone.enter(Stage::Normal);
        let again = bench.attached(&mut events).await;
        assert!(again.id != last && again.udid().as_ref() == Some(&bench.phone.udid));
        last = again.id;
    }
    bench.agrees(Mode::Normal).await;
    if installed("irecovery") && installed("ideviceenterrecovery") {
        let changes = bench.phone.watch();
        let (ok, said) = bench.tool("ideviceenterrecovery", &[bench.phone.udid.as_str()]);
        assert!(ok, "{said}\n{}", bench.daemon.log());
        assert_eq!(bench.detached(&mut events).await, last);
        while changes.recv_timeout(LIMIT).unwrap().to != Stage::Recovery {}
        assert_eq!(bench.tool("idevice_id", &["-l"]).1.trim(), "");
        let text = bench.on_bus("irecovery", &["-q"]).to_ascii_lowercase();
        assert!(text.contains("mode: recovery"), "{text}");
        assert!(text.contains(&format!("ecid: 0x{:016x}", bench.phone.ecid.0)), "{text}");
        bench.agrees(Mode::Recovery).await;
        bench.on_bus("irecovery", &["-n"]);
        last = bench.attached(&mut events).await.id;
        bench.agrees(Mode::Normal).await;
    }
    bench.phone.enter(Stage::Away);
    assert_eq!(bench.detached(&mut events).await, last);
    bench.phone.enter(Stage::Restore);
    assert!(bench.attached(&mut events).await.udid().is_none());
    bench.agrees(Mode::Restore).await;
}

const BULK: usize = (24 << 20) + 12_345;

/// Bytes that do not repeat soon, told apart by `seed`.
fn noise(seed: u32) -> Vec<u8> {
    let mut x = seed;
    let step = |x: &mut u32| {
        *x ^= *x << 13;
        *x ^= *x >> 17;
        *x ^= *x << 5;
        *x
    };
    let mut bytes: Vec<u8> = (0..BULK.div_ceil(4)).flat_map(|_| step(&mut x).to_le_bytes()).collect();
    bytes.truncate(BULK);
    bytes
}

/// Reads all that comes while it sends all it has; then it hangs up, as a service does that is done.
fn exchange_on(port: u16, phone: &Phone) -> Receiver<[u8; 32]> {
    let links = phone.listen(port);
    let (sender, told) = channel();
    std::thread::spawn(move || {
        let mut link = links.recv().unwrap();
        let mut sending = link.try_clone().unwrap();
        let speaker = std::thread::spawn(move || sending.write_all(&noise(7)).unwrap());
        let mut heard = vec![0; BULK];
        link.read_exact(&mut heard).unwrap();
        speaker.join().unwrap();
        link.shutdown(std::net::Shutdown::Both).unwrap();
        sender.send(Sha256::digest(&heard).into()).unwrap();
    });
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_megabytes_go_both_ways_unchanged() {
    let Some(bench) = bench(spec("iphone13", TrustSpec::Trusted), Preflight::No) else { return };
    let mut events = bench.daemon.events().await;
    let id = bench.attached(&mut events).await.id;
    let mux = &bench.daemon.mux;
    assert!(matches!(mux.connect(id, 5001).await, Err(MuxError::Refused(5001))), "nobody listens there");
    let told = [5000, 5002].map(|port| (port, exchange_on(port, &bench.phone)));
    let work = told.iter().map(async |(port, told)| {
        let (mut reading, mut writing) = tokio::io::split(mux.connect(id, *port).await.unwrap());
        let sent = noise(u32::from(*port));
        let send = async {
            writing.write_all(&sent).await.unwrap();
        };
        let read = async {
            let mut heard = Vec::new();
            reading.read_to_end(&mut heard).await.unwrap();
            heard
        };
        let ((), heard) = tokio::join!(send, read);
        assert_eq!(heard.len(), BULK);
        assert_eq!(Sha256::digest(&heard), Sha256::digest(noise(7)));
        assert_eq!(told.recv_timeout(LIMIT).unwrap(), <[u8; 32]>::from(Sha256::digest(&sent)));
    });
    tokio::time::timeout(LIMIT * 3, futures_util::future::join_all(work)).await.unwrap();
    assert_eq!(bench.phone.remembered("usbmux.garbage"), 0);
    assert!(!bench.daemon.log().contains("mismatch"), "{}", bench.daemon.log());
}

#[tokio::test]
async fn sigterm_ends_usbmuxd() {
    let Some(mut bench) = bench(spec("iphone13", TrustSpec::Trusted), Preflight::No) else { return };
    let mut events = bench.daemon.events().await;
    bench.attached(&mut events).await;
    let ended = Command::new("kill").args(["-TERM", &bench.daemon.child.id().to_string()]).status().unwrap();
    assert!(ended.success());
    let mut until = Instant::now() + LIMIT;
    while tokio::time::timeout_at(until.into(), events.recv()).await.expect("its socket closes").is_some() {}
    until += LIMIT;
    let status = loop {
        match bench.daemon.child.try_wait().unwrap() {
            Some(status) => break status,
            None => assert!(Instant::now() < until, "{}", bench.daemon.log()),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(status.success(), "{status}\n{}", bench.daemon.log());
}
