//! FDR against the bench's phone, and against devices that keep silent, cut or babble at each message.

use super::fdr::{Trust, control};
use crate::event::Recorder;
use crate::fault::{Code, Fault};
use crate::mux::BoxDuplex;
use crate::virt::phone::{Phone, Stage};
use crate::virt::restore::{Faults, Fdr};
use crate::virt::spec::PhoneSpec;
use crate::wire::fdr::{self as wire, Message, ProxyRequest};
use std::future::ready;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

fn loopback(host: &str) -> bool {
    host == "127.0.0.1"
}

/// A phone whose ramdisk runs, and our side talking to it.
struct Pair {
    phone: Arc<Phone>,
    recorder: Arc<Recorder>,
    runtime: tokio::runtime::Runtime,
    served: tokio::task::JoinHandle<Result<(), Fault>>,
    fdr: Arc<Fdr>,
}

impl Pair {
    fn new(faults: Faults) -> Pair {
        let mut spec = PhoneSpec::default();
        spec.faults.restore = faults;
        let phone = Phone::new(spec, 0, 1000.0).unwrap();
        phone.enter(Stage::Restore);
        let fdr = Fdr::start(&phone);
        let recorder = Arc::new(Recorder::default());
        let device = Arc::clone(&phone);
        let dial = move |port| -> std::pin::Pin<Box<dyn Future<Output = Result<BoxDuplex, Fault>> + Send>> {
            let (host, link) = UnixStream::pair().unwrap();
            assert!(device.connect(port, link), "port {port} is closed");
            host.set_nonblocking(true).unwrap();
            let host: BoxDuplex = Box::new(tokio::net::UnixStream::from_std(host).unwrap());
            Box::pin(ready(Ok(host)))
        };
        let tell: Arc<Recorder> = Arc::clone(&recorder);
        let trust = Trust { dial: Arc::new(dial), allowed: loopback, tell };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let served = runtime.spawn(async move { control(&trust).await });
        Pair { phone, recorder, runtime, served, fdr }
    }

    fn trip(&self) -> Result<(), String> {
        self.fdr.round_trip().map_err(|err| err.to_string())
    }

    fn detail(&self, what: &str, key: &str) -> serde_json::Value {
        let memory = self.phone.memory();
        memory.into_iter().rev().find(|m| m.what == what).map(|m| m.detail[key].clone()).unwrap_or_default()
    }

    fn end(self) -> Result<(), Fault> {
        self.fdr.end();
        self.runtime.block_on(self.served).unwrap()
    }
}

/// Answers one client: reads the request's head, answers, and ends its half; gives all it got.
fn server(answer: usize, wait_for_end: bool) -> (u16, std::thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut got = Vec::new();
        let mut piece = [0; 4096];
        while wait_for_end || !got.ends_with(b"\r\n\r\n") {
            match client.read(&mut piece).unwrap() {
                0 => break,
                count => got.extend_from_slice(&piece[..count]),
            }
        }
        client.write_all(b"HTTP/1.0 200 OK\r\n\r\n").unwrap();
        client.write_all(&vec![7; answer]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        client.read_to_end(&mut got).unwrap();
        got
    });
    (port, served)
}

#[test]
fn both_protocols_ping_and_reach_a_server() {
    for old in [false, true] {
        let (port, served) = server(100_000, false);
        let pair = Pair::new(Faults { fdr_proxy_port: Some(port), fdr_protocol_1: old, ..Faults::default() });
        pair.trip().unwrap();
        assert_eq!(pair.detail("fdr.control", "version"), if old { 1 } else { 2 });
        assert_eq!(pair.phone.remembered("fdr.refused"), usize::from(old), "one greeting that it did not know");
        assert_eq!(pair.detail("fdr.proxy", "bytes"), 100_019);
        assert!(served.join().unwrap().starts_with(b"GET /fdr"));
        pair.end().unwrap();
    }
}

#[test]
fn a_device_that_ends_its_half_still_gets_the_whole_answer() {
    // The server answers only after it has seen the end of what the device sends.
    let (port, served) = server(1_000_000, true);
    let pair = Pair::new(Faults { fdr_proxy_port: Some(port), fdr_half_close: true, ..Faults::default() });
    pair.trip().unwrap();
    assert_eq!(pair.detail("fdr.proxy", "bytes"), 1_000_019);
    assert!(served.join().unwrap().ends_with(b"\r\n\r\n"));
    pair.end().unwrap();
}

#[test]
fn a_server_that_ends_its_half_still_gets_the_devices_tail() {
    let (port, served) = server(10, false);
    let pair = Pair::new(Faults { fdr_proxy_port: Some(port), fdr_tail: 300_000, ..Faults::default() });
    pair.trip().unwrap();
    let got = served.join().unwrap();
    assert_eq!(got.rsplit(|b| *b != b't').next().unwrap().len(), 300_000);
    pair.end().unwrap();
}

#[test]
fn the_device_is_told_why_it_gets_no_connection() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let pair = Pair::new(Faults { fdr_proxy_port: Some(closed), ..Faults::default() });
    assert_eq!(pair.trip().unwrap_err(), "the host cannot connect: 5");
    assert!(pair.recorder.events().iter().any(|e| format!("{e:?}").contains(&format!("127.0.0.1:{closed}"))));
    // The control channel has not suffered.
    assert_eq!(pair.trip().unwrap_err(), "the host cannot connect: 5");
    pair.end().unwrap();

    let elsewhere = Some("example.org".to_owned());
    let faults = Faults { fdr_proxy_port: Some(80), fdr_proxy_host: elsewhere, ..Faults::default() };
    let pair = Pair::new(faults);
    assert_eq!(pair.trip().unwrap_err(), "the host cannot connect: 2");
    pair.end().unwrap();
}

/// Devices made of bytes: each dial gives the next end.
fn scripted(links: Vec<DuplexStream>) -> Trust {
    let links = Mutex::new(links.into_iter());
    let dial = move |_| -> std::pin::Pin<Box<dyn Future<Output = Result<BoxDuplex, Fault>> + Send>> {
        let next = links.lock().unwrap().next();
        let none = || Fault::new(Code::ServiceRefused, "no more links");
        Box::pin(ready(next.map(|l| -> BoxDuplex { Box::new(l) }).ok_or_else(none)))
    };
    Trust { dial: Arc::new(dial), allowed: loopback, tell: Arc::new(Recorder::default()) }
}

fn begun() -> Vec<u8> {
    wire::frame(&Message::BeginCtrl { version: 2, conn_port: Some(49_200) }.build())
}

fn hello() -> Vec<u8> {
    wire::frame(&Message::HelloConn { identifier: None }.build())
}

/// Says `bytes` on a link and then keeps it open, or cuts it.
async fn says(bytes: &[u8], cut: bool) -> (DuplexStream, Option<DuplexStream>) {
    let (ours, mut device) = duplex(1 << 20);
    device.write_all(bytes).await.unwrap();
    (ours, (!cut).then_some(device))
}

#[tokio::test(start_paused = true)]
async fn silence_a_cut_and_garbage_end_in_time_at_each_message() {
    let sync = [begun(), vec![1, 0]].concat();
    let plist = [begun(), vec![0xAA, 0xBB, 9, 0, 0, 0, b'b']].concat();
    let absurd = [begun(), vec![0xAA, 0xBB, 0xFF, 0xFF, 0xFF, 0xFF]].concat();
    let babble = [begun(), vec![0x77; 2 * 64]].concat();
    let old = [&wire::HELLO_CTRL[..], &[0x30]].concat();
    let cases: [(&[u8], &[u8], bool, Code); 10] = [
        (b"", b"", false, Code::LinkSilent),
        (b"", b"", true, Code::LinkLost),
        (b"\x59\0\0\0bplist", b"", true, Code::LinkLost),
        (b"\xFF\xFF\xFF\xFF", b"HelloWorld", false, Code::LinkGarbage),
        (b"HelloCtrl\0", &old, false, Code::LinkSilent),
        (&sync, b"", false, Code::LinkSilent),
        (&sync, b"", true, Code::LinkLost),
        (&plist, b"", false, Code::LinkSilent),
        (&absurd, b"", false, Code::LinkAbsurd),
        (&babble, b"", false, Code::LinkGarbage),
    ];
    for (newer, older, cut, code) in cases {
        let began = tokio::time::Instant::now();
        let (first, _first) = says(newer, cut).await;
        let (second, _second) = says(older, cut).await;
        let fault = control(&scripted(vec![first, second])).await.unwrap_err();
        assert_eq!(fault.code, code, "{newer:?} {older:?} {cut} {}", fault.detail);
        assert!(began.elapsed() <= Duration::from_secs(60), "{newer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_connection_ends_alone_and_the_control_channel_goes_on() {
    let absurd = [hello(), vec![0xAA, 0xBB, 0xFF, 0xFF, 0xFF, 0xFF]].concat();
    let unknown = [hello(), vec![0x99, 0x99]].concat();
    let half = [hello(), vec![5, 1, 0, 3, 9, b'1']].concat();
    let form = [hello(), vec![5, 1, 0, 9, 9, 9, 9]].concat();
    for (bytes, wants) in [
        (b"".as_slice(), b"".as_slice()),
        (b"\xFF\xFF\xFF\xFF", b""),
        (&absurd, b""),
        (&unknown, b""),
        (&half, b"\x05\x08\x00\x03\x091"),
        (&form, b"\x05\x08\x00\x09\x09\x09\x09"),
    ] {
        let (main, mut device) = duplex(1 << 16);
        device.write_all(&[begun(), vec![1, 0, 0, 0]].concat()).await.unwrap();
        let (conn, held) = says(bytes, false).await;
        let trust = scripted(vec![main, conn]);
        let served = tokio::spawn(async move { control(&trust).await });
        let mut said = Vec::new();
        // Ends because our side lets go of the link.
        held.unwrap().read_to_end(&mut said).await.unwrap();
        let rest = said.strip_prefix(&wire::HELLO_CONN[..]).unwrap();
        assert_eq!(rest, wants, "{bytes:?}");
        let ping = [wire::PLIST.to_le_bytes().to_vec(), wire::frame(&Message::Ping.build())].concat();
        device.write_all(&ping).await.unwrap();
        let greeting = 10 + wire::frame(&Message::BeginCtrl { version: 2, conn_port: None }.build()).len();
        let mut pong = vec![0; greeting + wire::frame(&Message::Pong.build()).len()];
        device.read_exact(&mut pong).await.unwrap();
        device.write_all(&wire::SHUTDOWN.to_le_bytes()).await.unwrap();
        served.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_connect_request_in_single_bytes_is_one_request() {
    let (port, served) = server(5, false);
    let (main, mut device) = duplex(1 << 16);
    device.write_all(&[begun(), vec![1, 0, 0, 0]].concat()).await.unwrap();
    let (conn, mut held) = duplex(1);
    let trust = scripted(vec![main, conn]);
    let running = tokio::spawn(async move { control(&trust).await });
    let mut said = [0; 10];
    held.read_exact(&mut said).await.unwrap();
    let asked = ProxyRequest { host: "127.0.0.1".into(), port }.build();
    // A pipe that holds one byte makes each a read of its own.
    held.write_all(&[hello(), wire::PROXY.to_le_bytes().to_vec(), asked.clone()].concat()).await.unwrap();
    let mut answer = vec![0; 2 + asked.len()];
    held.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [&[5, 0], &asked[..]].concat());
    held.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut got = Vec::new();
    held.read_to_end(&mut got).await.unwrap();
    assert!(got.ends_with(&[7; 5]));
    drop(held);
    assert_eq!(tokio::task::spawn_blocking(|| served.join().unwrap()).await.unwrap(), b"GET / HTTP/1.0\r\n\r\n");
    // Without its device the control channel ends, and nothing of it stays.
    drop(device);
    assert_eq!(running.await.unwrap().unwrap_err().code, Code::LinkLost);
}
