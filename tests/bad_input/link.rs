//! Finding a device, asking it, and asking for trust: usbmuxd and lockdownd that fail in every way.

use super::bench::{Ran, Rig};
use super::case::{Case, case};
use herstel::fault::Code;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

const OFF: &str = "mode = 'off'";

/// The program with another usbmuxd than the bench's.
fn other_usbmuxd(rig: &Rig, args: &[String]) -> std::process::Command {
    let mut command = rig.command(args);
    command.env("USBMUXD_SOCKET_ADDRESS", socket(rig));
    command
}

fn socket(rig: &Rig) -> PathBuf {
    rig.path("mux")
}

/// A usbmuxd that reads a request and answers with these bytes, for as long as the test runs.
fn usbmuxd_says(answer: &'static [u8]) -> impl Fn(&Rig) {
    move |rig| {
        let listener = UnixListener::bind(socket(rig)).unwrap();
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let _ = client.read(&mut [0; 4096]);
                    let _ = client.write_all(answer);
                    // Held open until the client has enough.
                    let _ = client.read(&mut [0; 1]);
                });
            }
        });
    }
}

/// 16 bytes of header: length, version 1, message 8 (plist), tag 1.
const ABSURD: &[u8] = b"\xF0\xFF\xFF\xFF\x01\0\0\0\x08\0\0\0\x01\0\0\0";
const GARBAGE: &[u8] = b"\x20\0\0\0\x01\0\0\0\x08\0\0\0\x01\0\0\0no property list";

/// A dictionary whose list of devices is a number.
const OTHER_TYPES: &[u8] = b"\x63\0\0\0\x01\0\0\0\x08\0\0\0\x01\0\0\0\
    <plist version='1.0'><dict><key>DeviceList</key><integer>7</integer></dict></plist>";

fn closed_port(rig: &Rig, args: &[String]) -> std::process::Command {
    let mut command = rig.command(args);
    command.env("USBMUXD_SOCKET_ADDRESS", "127.0.0.1:1");
    command
}

fn wrong_address(rig: &Rig, args: &[String]) -> std::process::Command {
    let mut command = rig.command(args);
    command.env("USBMUXD_SOCKET_ADDRESS", "localhost");
    command
}

/// These hurdles and these requests to a person were told, each once and in this order.
fn asks(ran: &Ran, hurdles: &[&str], requests: &[&str]) {
    let told = |event: &str, key: &str| {
        let words = ran.events(event).into_iter().filter_map(|e| Some(e[key].as_str()?.to_owned()));
        words.collect::<Vec<_>>()
    };
    assert_eq!(told("trust", "hurdle"), hurdles, "{ran}");
    assert_eq!(told("ask", "request"), requests, "{ran}");
}

fn one_row(_: &Rig, ran: &Ran) {
    let lines = ran.lines();
    let rows = lines.iter().find_map(|line| line["devices"].as_array()).unwrap_or_else(|| panic!("no list\n{ran}"));
    assert_eq!(rows.len(), 1, "{ran}");
    assert_eq!((&rows[0]["mode"], rows[0]["ecid"].is_string()), (&"normal".into(), true), "{ran}");
}

pub fn cases() -> Vec<Case> {
    let mut all = vec![
        case("list: a phone whose lockdownd is silent keeps its row")
            .phone("faults.mux.lockdown_silent = true")
            .run("list")
            .waits()
            .after(one_row),
        case("list: a phone whose lockdownd talks garbage keeps its row")
            .phone("faults.mux.lockdown_garbage = true")
            .run("list")
            .after(one_row),
        case("list: a serial string that is none")
            .phone("mode = 'recovery'\nfaults.usb.serial_garbage = true")
            .run("list")
            .after(|_, ran| assert!(ran.out.contains("\"mode\":\"recovery\""), "{ran}")),
        case("list: nothing is connected, which is an answer")
            .phone(OFF)
            .run("list")
            .after(|_, ran| assert!(ran.out.contains("\"devices\":[]"), "{ran}")),
        case("list: usbmuxd is not there").phone(OFF).run("list").around(other_usbmuxd).fails(
            6,
            Code::MuxUnreachable,
            "find",
        ),
        case("list: usbmuxd answers with an absurd length")
            .phone(OFF)
            .run("list")
            .before(usbmuxd_says(ABSURD))
            .around(other_usbmuxd)
            .fails(6, Code::MuxGarbage, "find"),
        case("list: usbmuxd stops in the middle of a header").phone(OFF).run("list").before(usbmuxd_says(b"\x20\0")).around(other_usbmuxd).waits().fails(6, Code::MuxUnreachable, "find"),
        case("list: usbmuxd answers a list of something else").phone(OFF).run("list").before(usbmuxd_says(OTHER_TYPES)).around(other_usbmuxd).fails(6, Code::MuxGarbage, "find"),
        case("list: another program listens in usbmuxd's place").phone(OFF).run("list").before(usbmuxd_says(b"SSH-2.0-OpenSSH_9.6\r\n")).around(other_usbmuxd).fails(6, Code::MuxGarbage, "find"),
        case("list: nothing listens on usbmuxd's TCP port").phone(OFF).run("list").around(closed_port).fails(6, Code::MuxUnreachable, "find").after(|_, ran| assert!(ran.err.contains("127.0.0.1:1"), "it names the address\n{ran}")),
        case("list: an address of usbmuxd that is none").phone(OFF).run("list").around(wrong_address).fails(2, Code::Usage, "find"),
        case("info: no device").phone(OFF).run("info").fails(5, Code::NoDevice, "find"),
        case("info: usbmuxd is not there").phone(OFF).run("info").around(other_usbmuxd).fails(
            6,
            Code::MuxUnreachable,
            "find",
        ),
        case("info: usbmuxd talks garbage")
            .phone(OFF)
            .run("info")
            .before(usbmuxd_says(GARBAGE))
            .around(other_usbmuxd)
            .fails(6, Code::MuxGarbage, "find"),
        case("info: usbmuxd is silent")
            .phone(OFF)
            .run("info")
            .before(usbmuxd_says(b""))
            .around(other_usbmuxd)
            .waits()
            .fails(6, Code::MuxUnreachable, "find"),
        case("info: two phones and no name").and_phone("model = 'iphone8'").run("info").fails(
            2,
            Code::AmbiguousDevice,
            "find",
        ),
        case("info: a name that nobody has").run("info -d 0xDEADBEEF").fails(5, Code::NoSuchDevice, "find"),
        case("pair: Don't Trust").phone("trust = 'denied'").run("pair --wait 20").fails(4, Code::TrustDenied, "pair"),
        case("pair: nobody taps").phone("trust = 'pending'").run("pair --wait 1").fails(4, Code::TrustPending, "pair"),
        case("pair: locked since it was started")
            .phone("trust = 'untrusted'\npasscode = 'before-first-unlock'")
            .run("pair --wait 1")
            .fails(4, Code::DeviceLocked, "pair")
            .after(|_, ran| asks(ran, &["locked"], &["unlock-device"])),
        case("pair: a profile forbids it")
            .phone("trust = 'untrusted'\nfaults.mux.mdm_forbids = true")
            .run("pair --wait 20")
            .fails(4, Code::PairingForbidden, "pair")
            .after(|_, ran| asks(ran, &["forbidden"], &[])),
        case("pair: restricted USB")
            .phone("trust = 'untrusted'\npasscode = 'locked'\nfaults.mux.restricted_usb = true")
            .run("pair --wait 1")
            .fails(4, Code::UsbRestricted, "pair")
            .after(|_, ran| asks(ran, &["restricted"], &["unlock-device"])),
        case("unpair: restricted USB")
            .phone("passcode = 'locked'\nfaults.mux.restricted_usb = true")
            .run("unpair")
            .fails(4, Code::UsbRestricted, "pair"),
        case("pair: usbmuxd cannot keep the record")
            .phone("trust = 'untrusted'\nfaults.mux.record_unsaved = 13")
            .run("pair --wait 20")
            .fails(6, Code::PairingUnsaved, "pair"),
        case("pair: restricted, unlocked, asked, trusted")
            .phone("trust = 'untrusted'\npasscode = 'locked'\nfaults.mux.restricted_usb = true\nfaults.mux.unlocked_after_ms = 200000")
            .run("pair --wait 60")
            .after(|_, ran| asks(ran, &["restricted", "pending"], &["unlock-device", "tap-trust"])),
        case("pair: no Wi-Fi address")
            .phone("trust = 'untrusted'\nfaults.mux.no_wifi_address = true")
            .run("pair --wait 60")
            .after(|_, ran| asks(ran, &["pending"], &["tap-trust"])),
        case("pair: a stale record")
            .phone("trust = 'stale'")
            .run("pair --wait 60")
            .after(|_, ran| asks(ran, &["stale", "pending"], &["tap-trust"])),
        case("pair: --reset ends the old trust on both sides and asks anew")
            .run("pair --reset --wait 60")
            .after(|rig, ran| {
                asks(ran, &["pending"], &["tap-trust"]);
                assert_eq!(rig.phone().remembered("trust.unpaired"), 1, "{ran}");
            }),
        case("pair: --reset of a stale record")
            .phone("trust = 'stale'")
            .run("pair --reset --wait 60")
            .after(|_, ran| asks(ran, &["pending"], &["tap-trust"])),
        case("unpair: a stale record is forgotten here")
            .phone("trust = 'stale'")
            .run("unpair")
            .after(|rig, _| assert_eq!(rig.phone().remembered("trust.unpaired"), 0)),
        case("unpair: locked since it was started, the record stays")
            .phone("passcode = 'before-first-unlock'")
            .run("unpair")
            .fails(4, Code::DeviceLocked, "pair"),
        case("pair: in recovery").phone("mode = 'recovery'").run("pair").fails(4, Code::WrongMode, "pair"),
        case("pair: the link is cut")
            .phone("trust = 'untrusted'\nfaults.mux.lockdown_cut_after = 10")
            .run("pair")
            .fails(1, Code::LinkLost, "pair"),
        case("pair: lockdownd talks garbage")
            .phone("trust = 'untrusted'\nfaults.mux.lockdown_garbage = true")
            .run("pair --wait 20")
            .fails(1, Code::LinkGarbage, "pair"),
        case("pair: lockdownd announces 4 GiB")
            .phone("trust = 'untrusted'\nfaults.mux.lockdown_length = 4294967280")
            .run("pair --wait 20")
            .fails(1, Code::LinkAbsurd, "pair"),
        case("unpair: no trust to give up").phone("trust = 'untrusted'").run("unpair").fails(
            4,
            Code::NotTrusted,
            "pair",
        ),
    ];
    for (name, fault, code) in [
        ("info: lockdownd talks garbage", "lockdown_garbage = true", Code::LinkGarbage),
        ("info: lockdownd announces 4 GiB", "lockdown_length = 4294967280", Code::LinkAbsurd),
        ("info: lockdownd is cut off", "lockdown_cut_after = 10", Code::LinkLost),
        ("info: every port refuses", "connect_refused = true", Code::ServiceRefused),
    ] {
        let phone = format!("trust = 'untrusted'\nfaults.mux.{fault}");
        all.push(case(name).phone(&phone).run("info").fails(1, code, "find"));
    }
    all.push(case("info: lockdownd is silent").phone("faults.mux.lockdown_silent = true").run("info").waits().fails(
        1,
        Code::LinkSilent,
        "find",
    ));
    all
}
