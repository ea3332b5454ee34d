//! Trust as people and scripts meet it: the words of `list`, usbmuxd over TCP, usbmuxd that comes and goes.

mod bench;

use bench::{Ran, Rig};
use herstel::mux::{Mux, MuxAddress};
use herstel::virt::mux::{HostRecords, Muxd, TcpDoor};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| tokio::runtime::Runtime::new().unwrap());

fn phones(each: &[&str]) -> String {
    let phones: String = each.iter().map(|p| format!("[[phone]]\nphotos = 0\n{p}\n")).collect();
    format!("pace = 100.0\n{phones}")
}

fn run(rig: &Rig, address: &str, args: &[&str]) -> Ran {
    bench::run(at(rig, address, args), bench::DEADLINE)
}

fn at(rig: &Rig, address: &str, args: &[&str]) -> Command {
    let mut command = rig.command(args);
    command.env("USBMUXD_SOCKET_ADDRESS", address);
    command
}

fn rows(ran: &Ran) -> Vec<Value> {
    let list = ran.lines().into_iter().find_map(|line| line["devices"].as_array().cloned());
    list.unwrap_or_else(|| panic!("no list\n{ran}"))
}

#[test]
fn list_tells_the_trust_of_every_phone_and_changes_nothing() {
    let cases = [
        ("trust = 'untrusted'", json!("untrusted")),
        ("trust = 'trusted'", json!("trusted")),
        ("trust = 'pending'", json!("untrusted")),
        ("trust = 'denied'", json!("untrusted")),
        ("trust = 'stale'", json!("stale")),
        ("trust = 'untrusted'\npasscode = 'locked'", json!("untrusted")),
        ("trust = 'trusted'\npasscode = 'locked'", json!("trusted")),
        ("trust = 'trusted'\npasscode = 'before-first-unlock'", json!("locked")),
        ("trust = 'untrusted'\npasscode = 'before-first-unlock'", json!("untrusted")),
        ("trust = 'trusted'\nfaults.mux.no_wifi_address = true", json!("trusted")),
        ("trust = 'stale'\nfaults.mux.no_wifi_address = true", json!("stale")),
        ("trust = 'trusted'\nfaults.mux.mdm_forbids = true", json!("trusted")),
        ("trust = 'trusted'\nfaults.mux.tls_refused = true", json!("stale")),
        ("passcode = 'locked'\nfaults.mux.restricted_usb = true", Value::Null),
    ];
    let rig = Rig::new(&phones(&cases.each_ref().map(|(phone, _)| *phone)));
    let socket = rig.bench.folder.join("usbmuxd");
    let mux = Mux::new(MuxAddress::Unix(socket.clone()));
    let records = || -> Vec<Option<Vec<u8>>> {
        let read = |phone: &Arc<herstel::virt::phone::Phone>| {
            let record = RUNTIME.block_on(mux.pair_record(&phone.udid)).unwrap();
            record.map(|r| r.to_bytes().unwrap())
        };
        rig.bench.phones.iter().map(read).collect()
    };
    let before = records();
    for _ in 0..2 {
        let ran = run(&rig, &format!("UNIX:{}", socket.display()), &["--json", "list"]);
        let rows = rows(&ran);
        for ((what, trust), phone) in cases.iter().zip(&rig.bench.phones) {
            let row = rows.iter().find(|row| row["ecid"] == phone.ecid.to_string()).unwrap_or_else(|| panic!("{what}"));
            assert_eq!((&row["mode"], &row["trust"]), (&json!("normal"), trust), "{what}\n{ran}");
        }
    }
    assert!(records() == before, "looking changed a record");
    assert!(rig.bench.phones.iter().all(|p| p.remembered("trust.dialog") == 0), "looking opened a dialog");
}

#[test]
fn over_tcp_the_walk_is_the_same() {
    for host in ["127.0.0.1:0", "[::1]:0"] {
        let rig = Rig::new(&phones(&["trust = 'untrusted'"]));
        let Ok(door) = TcpDoor::open(host.parse().unwrap(), &rig.bench.folder.join("usbmuxd")) else {
            assert!(host.starts_with('['), "a machine without IPv4");
            continue;
        };
        let address = door.address().to_string();
        let trust = || rows(&run(&rig, &address, &["--json", "list"]))[0]["trust"].clone();
        assert_eq!(trust(), "untrusted");
        let paired = run(&rig, &address, &["--json", "pair"]);
        assert_eq!(paired.code, Some(0), "{paired}");
        assert_eq!(paired.finished()["outcome"], "ok");
        assert_eq!(trust(), "trusted");
        let vault = rig.path("vault").display().to_string();
        let backup = run(&rig, &address, &["--json", "backup", "--vault", &vault]);
        assert_eq!(backup.code, Some(0), "{backup}");
        let unpaired = run(&rig, &address, &["--json", "unpair"]);
        assert_eq!(unpaired.code, Some(0), "{unpaired}");
        assert_eq!(trust(), "untrusted");
    }
}

/// `list --watch` while it runs.
struct Watching {
    child: Child,
    lines: Receiver<Value>,
}

impl Watching {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let out = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        Watching { child, lines }
    }

    /// Event and trust of the next line.
    fn next(&self) -> (String, Value) {
        let line: Value = self.lines.recv_timeout(LONG).expect("a line");
        (line["event"].as_str().unwrap_or_default().to_owned(), line["device"]["trust"].clone())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is(event: &str, trust: Value) -> (String, Value) {
    (event.to_owned(), trust)
}

#[test]
fn usbmuxd_may_go_and_come_back_under_a_watch() {
    let rig = Rig::new(&phones(&["trust = 'untrusted'"]));
    let socket = rig.path("mux");
    let start = || Muxd::start(&socket, rig.bench.phones.clone(), Arc::new(HostRecords::new())).unwrap();
    let muxd = start();
    let watching = Watching::start(at(&rig, &socket.display().to_string(), &["--json", "list", "--watch"]));
    assert_eq!(watching.next(), is("appeared", json!("untrusted")));
    drop(muxd);
    assert_eq!(watching.next(), is("changed", Value::Null), "USB still shows it");

    // One that takes connections and falls over: no question makes the next one come sooner.
    let dying = UnixListener::bind(&socket).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let stop = Arc::new(AtomicUsize::new(0));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        for client in dying.incoming() {
            drop(client);
            if stopped.load(Ordering::SeqCst) > 0 {
                return;
            }
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let quiet = watching.lines.recv_timeout(Duration::from_secs(4));
    assert!(quiet.is_err(), "nothing changed, and it said {quiet:?}");
    let asked = asked.load(Ordering::SeqCst);
    assert!((2..=30).contains(&asked), "{asked} questions in 4 s");
    stop.store(1, Ordering::SeqCst);
    let _ = std::os::unix::net::UnixStream::connect(&socket);
    thread.join().unwrap();
    std::fs::remove_file(&socket).unwrap();

    let _muxd = start();
    assert_eq!(watching.next(), is("changed", json!("untrusted")));
    let again = watching.lines.recv_timeout(Duration::from_secs(3));
    assert!(again.is_err(), "once is enough: {again:?}");
}
