//! What a CDN, a line and a portal can do to a download.

use super::loopback::{Asked, Loopback, answer, cdn};
use super::*;
use crate::event::{Event, Recorder, Teller};
use crate::fault::{Code, Fault};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn file(size: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..size as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    bytes[..4].copy_from_slice(b"PK\x03\x04");
    bytes
}

fn limits() -> Limits {
    Limits {
        connect: Duration::from_secs(5),
        stall: Duration::from_millis(300),
        document: Duration::from_secs(5),
        attempts: 3,
        pause: Duration::from_millis(1),
        connections: 1,
        piece: 1 << 20,
    }
}

pub(super) fn wanted(server: &Loopback, bytes: &[u8]) -> Wanted {
    Wanted {
        url: server.url("x.ipsw"),
        size: None,
        digests: Digests { sha1: Some(Sha1::digest(bytes).into()), sha256: Some(Sha256::digest(bytes).into()) },
        magic: b"PK\x03\x04",
        cap: 1 << 30,
    }
}

fn bench(server: &Loopback) -> Http {
    Http::new(&Endpoints::new(Some(&server.root), None, None, None).unwrap(), limits())
}

pub(super) fn place(dir: &Path) -> Place {
    Place { target: dir.join("incoming/x.ipsw"), quarantine: dir.join("quarantine") }
}

struct Tried {
    result: Result<Fetched, Fault>,
    events: Vec<Event>,
}

async fn tried(server: &Loopback, wanted: &Wanted, dir: &Path) -> Tried {
    let recorder = Arc::new(Recorder::default());
    let tell: Teller = recorder.clone();
    let (place, cancel) = (place(dir), CancellationToken::new());
    let turn = Turn::wait(&place.target, &tell, &cancel).await.unwrap();
    let result = fetch(&bench(server), wanted, &place, &turn, &tell, &cancel).await;
    Tried { result, events: recorder.events() }
}

fn warnings(events: &[Event]) -> usize {
    events.iter().filter(|e| matches!(e, Event::Warning { .. })).count()
}

#[tokio::test]
async fn a_good_line_gives_the_file_in_one_request() {
    let bytes = file(1_000_000);
    let served = bytes.clone();
    let server = Loopback::start(move |_, asked, out| cdn(asked, out, &served, "a", usize::MAX));
    let dir = tempfile::tempdir().unwrap();
    let tried = tried(&server, &wanted(&server, &bytes), dir.path()).await;
    let fetched = tried.result.unwrap();
    assert_eq!(std::fs::read(&fetched.path).unwrap(), bytes);
    assert_eq!((fetched.received, fetched.sums.size), (1_000_000, 1_000_000));
    assert_eq!(server.asked().len(), 1);
    assert!(server.asked()[0].from().is_none());
    assert!(tried.events.iter().any(|e| matches!(e, Event::Progress { done: 1_000_000, total: Some(1_000_000), .. })));
    let left: Vec<_> =
        std::fs::read_dir(dir.path().join("incoming")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|n| n.to_string_lossy().contains(".part")), "{left:?}");
}

#[tokio::test]
async fn a_line_that_cuts_again_and_again_never_gives_a_byte_twice() {
    let bytes = file(1_000_000);
    let served = bytes.clone();
    let server = Loopback::start(move |_, asked, out| cdn(asked, out, &served, "a", 90_001));
    let dir = tempfile::tempdir().unwrap();
    let tried = tried(&server, &wanted(&server, &bytes), dir.path()).await;
    let fetched = tried.result.unwrap();
    assert_eq!(std::fs::read(&fetched.path).unwrap(), bytes);
    assert_eq!(fetched.received, 1_000_000, "each byte came once");
    let froms: Vec<usize> = server.asked().iter().map(|a| a.from().unwrap_or(0)).collect();
    assert_eq!(froms, (0..12).map(|n| n * 90_001).collect::<Vec<_>>());
    assert!(server.asked()[1..].iter().all(|a| a.header("if-range") == Some("\"a\"")));
    assert_eq!(warnings(&tried.events), 11);
}

#[tokio::test]
async fn a_cancelled_download_goes_on_where_it_was_in_another_process() {
    let bytes = file(600_000);
    let served = bytes.clone();
    let server = Loopback::start(move |n, asked, out| {
        cdn(asked, out, &served, "a", if n == 0 { 250_000 } else { usize::MAX });
        if n == 0 {
            // Keeps the line open, silent, until the tool hangs up.
            let _ = std::io::Read::read(out, &mut [0; 1]);
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let (wanted, cancel) = (wanted(&server, &bytes), CancellationToken::new());
    let mut http_limits = limits();
    http_limits.stall = Duration::from_secs(60);
    let http = Http::new(&Endpoints::new(Some(&server.root), None, None, None).unwrap(), http_limits);
    struct CancelAt(CancellationToken);
    impl crate::event::Tell for CancelAt {
        fn tell(&self, event: Event) {
            if matches!(event, Event::Progress { .. }) {
                self.0.cancel();
            }
        }
    }
    let tell: Teller = Arc::new(CancelAt(cancel.clone()));
    let turn = Turn::now(&place(dir.path()).target);
    let fault = fetch(&http, &wanted, &place(dir.path()), &turn, &tell, &cancel).await.unwrap_err();
    drop(turn);
    assert_eq!(fault.code, Code::Cancelled);
    let part = std::fs::metadata(dir.path().join("incoming/x.ipsw.part")).unwrap().len();
    assert!(part > 0);
    let fetched = tried(&server, &wanted, dir.path()).await.result.unwrap();
    assert_eq!(std::fs::read(&fetched.path).unwrap(), bytes);
    assert_eq!(fetched.received, 600_000 - part);
    assert_eq!(server.asked()[1].from(), Some(part as usize));
}

/// Serves the first request cut, the others by `then`.
fn after_a_cut(bytes: &[u8], then: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static) -> Loopback {
    let served = bytes.to_vec();
    Loopback::start(move |n, asked, out| if n == 0 { cdn(asked, out, &served, "a", 100_000) } else { then(asked, out) })
}

#[tokio::test]
async fn a_server_that_ignores_ranges_is_skipped_over_when_it_is_the_same_file() {
    let bytes = file(300_000);
    let served = bytes.clone();
    let server = after_a_cut(&bytes, move |_, out| answer(out, "200 OK", &[("ETag", "\"a\"")], &served));
    let dir = tempfile::tempdir().unwrap();
    let fetched = tried(&server, &wanted(&server, &bytes), dir.path()).await.result.unwrap();
    assert_eq!(std::fs::read(&fetched.path).unwrap(), bytes);
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_file_that_changed_is_begun_anew() {
    let (old, new) = (file(300_000), file(280_000));
    for how in ["200", "206 other etag", "206 other size", "412", "416"] {
        let served = new.clone();
        let server = after_a_cut(&old, move |asked, out| match (how, asked.from()) {
            (_, None) => cdn(asked, out, &served, "b", usize::MAX),
            ("200", _) => answer(out, "200 OK", &[("ETag", "\"b\"")], &served),
            ("412", _) => answer(out, "412 Precondition Failed", &[], b""),
            ("416", _) => answer(out, "416 Range Not Satisfiable", &[("Content-Range", "bytes */50000")], b""),
            (_, Some(from)) => {
                let range = format!("bytes {from}-279999/{}", if how == "206 other size" { 280_000 } else { 300_000 });
                let etag = if how == "206 other etag" { "\"b\"" } else { "\"a\"" };
                answer(out, "206 Partial Content", &[("ETag", etag), ("Content-Range", &range)], &served[from..]);
            }
        });
        let dir = tempfile::tempdir().unwrap();
        let tried = tried(&server, &wanted(&server, &new), dir.path()).await;
        let fetched = tried.result.unwrap_or_else(|f| panic!("{how}: {f}"));
        assert_eq!(std::fs::read(&fetched.path).unwrap(), new, "{how}");
        assert!(warnings(&tried.events) >= 2, "{how}: the person hears of it");
    }
}

#[tokio::test]
async fn a_416_at_the_known_size_means_complete() {
    let bytes = file(200_000);
    let served = bytes.clone();
    // The first answer has no length, so the tool cannot know that it was whole when the line was cut.
    let server = Loopback::start(move |n, asked, out| {
        if n == 0 {
            use std::io::Write;
            let head = "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nTransfer-Encoding: chunked\r\n\r\n";
            let _ = out.write_all(format!("{head}{:x}\r\n", served.len()).as_bytes());
            let _ = out.write_all(&served);
        } else {
            cdn(asked, out, &served, "a", usize::MAX);
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let fetched = tried(&server, &wanted(&server, &bytes), dir.path()).await.result.unwrap();
    assert_eq!(fetched.received, 200_000);
    assert_eq!(server.asked()[1].from(), Some(200_000));
}

#[tokio::test]
async fn a_web_page_is_refused_before_anything_is_written() {
    let bytes = file(1000);
    for (kind, body) in [
        ("text/html; charset=utf-8", &b"hello"[..]),
        ("application/octet-stream", b"\n <!DOCTYPE HTML><title>Log in to the hotel</title>"),
        ("application/octet-stream", b"Rar!1234"),
    ] {
        let server = Loopback::start(move |_, _, out| answer(out, "200 OK", &[("Content-Type", kind)], body));
        let dir = tempfile::tempdir().unwrap();
        let fault = tried(&server, &wanted(&server, &bytes), dir.path()).await.result.unwrap_err();
        assert_eq!(fault.code, Code::DownloadNotFirmware, "{fault}");
        assert_eq!(server.asked().len(), 1);
        assert_eq!(std::fs::metadata(dir.path().join("incoming/x.ipsw.part")).unwrap().len(), 0);
    }
}

#[tokio::test]
async fn a_flipped_bit_ends_in_quarantine_and_is_never_used() {
    let bytes = file(400_000);
    let mut bad = bytes.clone();
    bad[333_333] ^= 4;
    let server = Loopback::start(move |_, asked, out| cdn(asked, out, &bad, "a", usize::MAX));
    let dir = tempfile::tempdir().unwrap();
    let fault = tried(&server, &wanted(&server, &bytes), dir.path()).await.result.unwrap_err();
    assert_eq!(fault.code, Code::FirmwareDigest);
    assert_eq!(fault.code.exit(), 7);
    assert!(!dir.path().join("incoming/x.ipsw").exists());
    assert!(!dir.path().join("incoming/x.ipsw.part").exists());
    assert_eq!(std::fs::read_dir(dir.path().join("quarantine")).unwrap().count(), 1);
}

#[tokio::test]
async fn a_wrong_length_is_refused_when_the_catalogue_knows_better() {
    let bytes = file(200_000);
    let served = bytes[..150_000].to_vec();
    let server = Loopback::start(move |_, asked, out| cdn(asked, out, &served, "a", usize::MAX));
    let dir = tempfile::tempdir().unwrap();
    let mut sized = wanted(&server, &bytes);
    sized.size = Some(200_000);
    let fault = tried(&server, &sized, dir.path()).await.result.unwrap_err();
    assert_eq!(fault.code, Code::DownloadFailed);
    assert!(fault.detail.contains("150000 bytes, the catalogue says 200000"), "{fault}");
    // Without a size the digest says it.
    let fault = tried(&server, &wanted(&server, &bytes), dir.path()).await.result.unwrap_err();
    assert_eq!(fault.code, Code::FirmwareDigest);
    let mut capped = wanted(&server, &bytes);
    capped.cap = 1000;
    let fault = tried(&server, &capped, dir.path()).await.result.unwrap_err();
    assert_eq!(fault.code, Code::DownloadFailed);
}

#[tokio::test]
async fn silence_is_a_stall_and_is_tried_again_a_few_times() {
    let bytes = file(200_000);
    let served = bytes.clone();
    let server = Loopback::start(move |_, asked, out| {
        cdn(asked, out, &served, "a", if asked.from().is_some() { 0 } else { 70_000 });
        let _ = std::io::Read::read(out, &mut [0; 1]);
    });
    let dir = tempfile::tempdir().unwrap();
    let fault = tried(&server, &wanted(&server, &bytes), dir.path()).await.result.unwrap_err();
    assert_eq!(fault.code, Code::DownloadStalled);
    assert!(fault.detail.contains("byte 70000"), "{fault}");
    assert_eq!(server.asked().len(), 1 + 3, "one that brought something and three in vain");
    assert_eq!(std::fs::metadata(dir.path().join("incoming/x.ipsw.part")).unwrap().len(), 70_000);
}

#[tokio::test]
async fn redirects_stay_with_apple_or_on_the_bench() {
    let bytes = file(50_000);
    let served = bytes.clone();
    let server = Loopback::start(move |_, asked, out| match asked.path.as_str() {
        "/moved.ipsw" => answer(out, "302 Found", &[("Location", "/x.ipsw")], b""),
        "/away.ipsw" => answer(out, "302 Found", &[("Location", "https://evil.example/x.ipsw")], b""),
        "/loop.ipsw" => answer(out, "302 Found", &[("Location", "/loop.ipsw")], b""),
        "/gone.ipsw" => answer(out, "403 Forbidden", &[], b"<xml>"),
        _ => cdn(asked, out, &served, "a", usize::MAX),
    });
    let dir = tempfile::tempdir().unwrap();
    let mut w = wanted(&server, &bytes);
    w.url = server.url("away.ipsw");
    let fault = tried(&server, &w, dir.path()).await.result.unwrap_err();
    assert_eq!(fault.code, Code::HostNotAllowed, "{fault}");
    for path in ["loop.ipsw", "gone.ipsw"] {
        w.url = server.url(path);
        let fault = tried(&server, &w, dir.path()).await.result.unwrap_err();
        assert_eq!(fault.code, Code::DownloadFailed, "{fault}");
    }
    w.url = server.url("moved.ipsw");
    tried(&server, &w, dir.path()).await.result.unwrap();
    w.url = "https://evil.example/x.ipsw".parse().unwrap();
    assert_eq!(tried(&server, &w, dir.path()).await.result.unwrap_err().code, Code::HostNotAllowed);
}

#[tokio::test]
async fn two_that_want_the_same_file_share_one_download() {
    let bytes = file(800_000);
    let served = bytes.clone();
    let server = Loopback::start(move |_, asked, out| cdn(asked, out, &served, "a", usize::MAX));
    let dir = tempfile::tempdir().unwrap();
    let w = wanted(&server, &bytes);
    let (a, b) = tokio::join!(tried(&server, &w, dir.path()), tried(&server, &w, dir.path()));
    let received = [a.result.unwrap().received, b.result.unwrap().received];
    assert_eq!(received.iter().sum::<u64>(), 800_000, "{received:?}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_finished_file_that_rotted_is_put_away_and_fetched_anew() {
    let bytes = file(100_000);
    let served = bytes.clone();
    let server = Loopback::start(move |_, asked, out| cdn(asked, out, &served, "a", usize::MAX));
    let dir = tempfile::tempdir().unwrap();
    let place = place(dir.path());
    crate::disk::write_atomic(&place.target, b"PK\x03\x04 rotten").unwrap();
    let fetched = tried(&server, &wanted(&server, &bytes), dir.path()).await.result.unwrap();
    assert_eq!(std::fs::read(&fetched.path).unwrap(), bytes);
    assert!(dir.path().join("quarantine/x.ipsw").exists());
}

#[tokio::test]
async fn a_file_beyond_the_disk_is_not_begun() {
    let server = Loopback::start(move |_, _, out| {
        let length = (1u64 << 60).to_string();
        answer(out, "200 OK", &[("Content-Length", &length)], b"PK\x03\x04");
    });
    let dir = tempfile::tempdir().unwrap();
    let mut w = wanted(&server, b"x");
    w.cap = u64::MAX;
    assert_eq!(tried(&server, &w, dir.path()).await.result.unwrap_err().code, Code::DiskFull);
}

#[tokio::test]
async fn a_disk_that_fills_up_is_the_hosts_fault() {
    let bytes = file(900_000);
    let served = bytes.clone();
    let server = Loopback::start(move |_, asked, out| cdn(asked, out, &served, "a", usize::MAX));
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("incoming")).unwrap();
    std::os::unix::fs::symlink("/dev/full", dir.path().join("incoming/x.ipsw.part")).unwrap();
    let fault = tried(&server, &wanted(&server, &bytes), dir.path()).await.result.unwrap_err();
    assert_eq!(fault.code, Code::DiskFull, "{fault}");
    assert_eq!(server.asked().len(), 1, "not tried again");
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    let bytes = file(10_000);
    let served = bytes.clone();
    let server = Loopback::start(move |n, asked, out| match n {
        0 => answer(out, "503 Service Unavailable", &[("Retry-After", "0")], b""),
        1 => answer(out, "429 Too Many Requests", &[], b""),
        _ => cdn(asked, out, &served, "a", usize::MAX),
    });
    let dir = tempfile::tempdir().unwrap();
    tried(&server, &wanted(&server, &bytes), dir.path()).await.result.unwrap();
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn nobody_there_is_a_failed_download() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Loopback::start(|_, _, _| {});
    let dir = tempfile::tempdir().unwrap();
    let mut w = wanted(&server, b"x");
    w.url = format!("http://{free}/x.ipsw").parse().unwrap();
    assert_eq!(tried(&server, &w, dir.path()).await.result.unwrap_err().code, Code::DownloadFailed);
}
