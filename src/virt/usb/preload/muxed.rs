//! The real usbmuxd on the emulated bus, and what works behind it: libimobiledevice's tools and Herstel's own
//! eyes must read the same phone over it as over the bench's own socket.
//!
//! usbmuxd has fixed paths, so it runs in a mount namespace of its own where `/run` and `/var/lib` are
//! folders of the test; its socket is then a file that the test can reach. That needs root or user
//! namespaces: without either the tests say so and judge nothing.

use super::judges::installed;
use super::{Emulation, preload_library};
use crate::device::{Device, Eyes, look};
use crate::ids::Mode;
use crate::mux::{Mux, MuxAddress, MuxDevice, MuxEvent};
use crate::virt::mux::{HostRecords, Muxd, boot};
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

const SCRIPT: &str = r#"mount --bind "$1" /run && mount --bind "$2" /var/lib && shift 2 && exec env "$@" usbmuxd -f -v"#;

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
fn bench(spec: PhoneSpec) -> Option<Bench> {
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
    let daemon = start(way, &emulation, &run, &lib);
    Some(Bench { daemon, phone, emulation, own, socket, folder })
}

fn start(way: &[&str], emulation: &Emulation, run: &Path, lib: &Path) -> Daemon {
    let mut command = Command::new("unshare");
    command.args(way).args(["sh", "-c", SCRIPT, "sh"]).args([run, lib]);
    for (key, value) in emulation.environment() {
        let mut pair = key;
        pair.push("=");
        pair.push(value);
        command.arg(pair);
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
        let look = look(&Eyes { bus, mux: mux.clone(), is_virtual: true }).await;
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

fn trusted() -> PhoneSpec {
    PhoneSpec { model: "iphone13".into(), trust: TrustSpec::Trusted, name: "Anna's iPhone".into(), ..light() }
}

fn light() -> PhoneSpec {
    PhoneSpec { photos: 0, ..PhoneSpec::default() }
}

#[tokio::test]
async fn a_phone_is_the_same_over_the_real_usbmuxd() {
    for spec in [trusted(), light(), PhoneSpec { model: "iphone6".into(), ..light() }] {
        let Some(bench) = bench(spec) else { return };
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
        assert_eq!(who.name.as_deref(), Some(bench.phone.state().name.as_str()));
        assert_eq!(seen.normal().unwrap().version, Some(bench.phone.state().version.clone()));
    }
}
