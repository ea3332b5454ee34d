//! Several connections for one file: each byte once, whatever the line and the server do.

use super::fetch_tests::{place, wanted};
use super::loopback::{Asked, Loopback, answer};
use super::part::beside;
use super::*;
use crate::event::{Recorder, Teller};
use crate::fault::{Code, Fault};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const PIECE: u64 = 64 << 10;
const SIZE: usize = 1_000_003;

fn file() -> Arc<Vec<u8>> {
    let mut bytes: Vec<u8> = (0..SIZE as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    bytes[..4].copy_from_slice(b"PK\x03\x04");
    Arc::new(bytes)
}

/// The range that was asked for; the whole file without one.
fn range(asked: &Asked) -> Option<(usize, usize)> {
    let (from, last) = asked.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
    let last = last.parse().unwrap_or(SIZE - 1);
    let from = from.parse().ok()?;
    assert!(from <= last && from < SIZE, "{:?}", asked.header("range"));
    Some((from, (last + 1).min(SIZE)))
}

/// Answers a range as a CDN does, with at most `most` bytes of it.
fn give(asked: &Asked, out: &mut TcpStream, file: &[u8], etag: &str, most: usize) {
    let quoted = format!("\"{etag}\"");
    let fresh = asked.header("if-range").is_none_or(|v| v == quoted);
    match range(asked).filter(|_| fresh) {
        None => answer(out, "200 OK", &[("ETag", &quoted)], file),
        Some((from, to)) => {
            let (part, length) = (format!("bytes {from}-{}/{}", to - 1, file.len()), (to - from).to_string());
            let headers = [("ETag", quoted.as_str()), ("Content-Range", &part), ("Content-Length", &length)];
            answer(out, "206 Partial Content", &headers, &file[from..to.min(from.saturating_add(most))]);
        }
    }
}

fn http(server: &Loopback, connections: usize) -> Http {
    let limits = Limits {
        connect: Duration::from_secs(5),
        stall: Duration::from_secs(20),
        document: Duration::from_secs(5),
        attempts: 3,
        pause: Duration::from_millis(1),
        connections,
        piece: PIECE,
    };
    Http::new(&Endpoints::new(Some(&server.root), None, None, None).unwrap(), limits)
}

async fn tried(http: &Http, wanted: &Wanted, dir: &Path) -> Result<Fetched, Fault> {
    let tell: Teller = Arc::new(Recorder::default());
    let (place, cancel) = (place(dir), CancellationToken::new());
    let turn = Turn::wait(&place.target, &tell, &cancel).await.unwrap();
    fetch(http, wanted, &place, &turn, &tell, &cancel).await
}

fn nothing_left(dir: &Path) {
    for ending in [".part", ".part.json", ".part.map"] {
        assert!(!beside(&place(dir).target, ending).exists(), "{ending}");
    }
}

#[tokio::test]
async fn connections_work_side_by_side_and_share_the_file() {
    let bytes = file();
    let served = bytes.clone();
    // The first answer is the probe; then three are held until there are three.
    let together = Barrier::new(3);
    let server = Loopback::start(move |number, asked, out| {
        if (1..=3).contains(&number) {
            together.wait();
        }
        give(asked, out, &served, "a", usize::MAX);
    });
    let dir = tempfile::tempdir().unwrap();
    let fetched = tried(&http(&server, 4), &wanted(&server, &bytes), dir.path()).await.unwrap();
    assert!(std::fs::read(&fetched.path).unwrap() == *bytes);
    assert_eq!((fetched.received, fetched.sums.size), (SIZE as u64, SIZE as u64));
    let mut asked: Vec<_> = server.asked().iter().map(|a| range(a).unwrap()).collect();
    asked.sort_unstable();
    let pieces: Vec<_> = (0..SIZE).step_by(PIECE as usize).map(|b| (b, (b + PIECE as usize).min(SIZE))).collect();
    assert_eq!(asked, pieces);
    assert!(server.asked()[1..].iter().all(|a| a.header("if-range") == Some("\"a\"")));
    nothing_left(dir.path());
}

#[tokio::test]
async fn a_file_of_one_piece_is_one_request() {
    let bytes = Arc::new(file()[..50_000].to_vec());
    let served = bytes.clone();
    let server = Loopback::start(move |_, asked, out| {
        assert_eq!(asked.header("range"), Some("bytes=0-65535"));
        let range = format!("bytes 0-{}/{}", served.len() - 1, served.len());
        answer(out, "206 Partial Content", &[("ETag", "\"a\""), ("Content-Range", &range)], &served);
    });
    let dir = tempfile::tempdir().unwrap();
    let fetched = tried(&http(&server, 4), &wanted(&server, &bytes), dir.path()).await.unwrap();
    assert!(std::fs::read(&fetched.path).unwrap() == *bytes);
    assert_eq!(server.asked().len(), 1);
}

/// A small generator: what a seed does is the same on every machine.
fn random(state: &AtomicUsize) -> usize {
    let next = |old: usize| Some(old.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
    state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap() >> 33
}

#[tokio::test]
async fn a_line_that_cuts_anywhere_gives_no_byte_twice() {
    let bytes = file();
    for seed in 1..=8 {
        let (served, state) = (bytes.clone(), AtomicUsize::new(seed));
        let server = Loopback::start(move |_, asked, out| {
            give(asked, out, &served, "a", 1 + random(&state) % 90_000);
        });
        let dir = tempfile::tempdir().unwrap();
        let fetched = tried(&http(&server, 5), &wanted(&server, &bytes), dir.path()).await;
        let fetched = fetched.unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
        assert!(std::fs::read(&fetched.path).unwrap() == *bytes, "seed {seed}");
        assert_eq!(fetched.received, SIZE as u64, "seed {seed}");
        nothing_left(dir.path());
    }
}

/// What was asked for and not answered with bytes is no byte; what was sent is counted per byte.
#[tokio::test]
async fn a_fetch_that_is_killed_again_and_again_asks_for_no_byte_that_it_has() {
    let bytes = file();
    for seed in 1..=6 {
        let dir = tempfile::tempdir().unwrap();
        let noted: Arc<Mutex<Vec<(usize, usize)>>> = Arc::default();
        let (served, state, notes) = (bytes.clone(), AtomicUsize::new(seed), noted.clone());
        let server = Loopback::start(move |_, asked, out| {
            notes.lock().unwrap().push(range(asked).unwrap());
            give(asked, out, &served, "a", 20_000 + random(&state) % 60_000);
        });
        let (http, wanted) = (http(&server, 4), wanted(&server, &bytes));
        let mut kills = 0;
        loop {
            // What the part says that it has, before anybody runs.
            let has = has(dir.path());
            noted.lock().unwrap().clear();
            let (http, wanted, folder) = (http.clone(), wanted.clone(), dir.path().to_owned());
            let (tell, mut heard) = tokio::sync::mpsc::unbounded_channel();
            struct Count(tokio::sync::mpsc::UnboundedSender<()>);
            impl crate::event::Tell for Count {
                fn tell(&self, _: crate::event::Event) {
                    let _ = self.0.send(());
                }
            }
            let task = tokio::spawn(async move {
                let (tell, cancel): (Teller, _) = (Arc::new(Count(tell)), CancellationToken::new());
                let place = place(&folder);
                let turn = Turn::wait(&place.target, &tell, &cancel).await.unwrap();
                fetch(&http, &wanted, &place, &turn, &tell, &cancel).await
            });
            let mut killed = false;
            for _ in 0..=(seed % 3) {
                killed = heard.recv().await.is_some();
            }
            if killed && kills < 5 {
                task.abort();
            }
            let ended = task.await;
            for (from, to) in noted.lock().unwrap().iter() {
                let again = has.iter().find(|(a, b)| from.max(a) < to.min(b));
                assert_eq!(again, None, "seed {seed}: {from}..{to} was here");
            }
            match ended {
                Ok(fetched) => {
                    assert!(std::fs::read(&fetched.unwrap().path).unwrap() == *bytes, "seed {seed}");
                    break;
                }
                Err(_) => kills += 1,
            }
        }
        nothing_left(dir.path());
    }
}

/// The ranges that map and state say are here.
fn has(dir: &Path) -> Vec<(usize, usize)> {
    let target = place(dir).target;
    if !beside(&target, ".part.json").exists() {
        return vec![];
    }
    let map = std::fs::read(beside(&target, ".part.map")).unwrap_or_default();
    let counts = map.chunks_exact(8).map(|c| u64::from_le_bytes(c.try_into().unwrap()));
    counts.enumerate().map(|(n, done)| (n * PIECE as usize, n * PIECE as usize + done as usize)).collect()
}

#[tokio::test]
async fn after_a_restart_of_the_machine_only_synced_pieces_count() {
    let bytes = file();
    let served = bytes.clone();
    // Three answers, then the line is dead.
    let server = Loopback::start(move |number, asked, out| {
        if number < 3 {
            give(asked, out, &served, "a", usize::MAX);
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let fault = tried(&http(&server, 3), &wanted(&server, &bytes), dir.path()).await.unwrap_err();
    assert_eq!(fault.code, Code::DownloadFailed);
    let state = beside(&place(dir.path()).target, ".part.json");
    let text = std::fs::read_to_string(&state).unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    std::fs::write(&state, text.replace(boot.trim(), "another boot")).unwrap();
    // The map claims everything; it may not have reached the medium.
    let map = beside(&place(dir.path()).target, ".part.map");
    let count = std::fs::metadata(&map).unwrap().len() / 8;
    std::fs::write(&map, PIECE.to_le_bytes().repeat(count as usize)).unwrap();
    let served = bytes.clone();
    let again = Loopback::start(move |_, asked, out| give(asked, out, &served, "a", usize::MAX));
    let mut wanted = wanted(&again, &bytes);
    // The same address, as a real server has.
    std::fs::write(&state, std::fs::read_to_string(&state).unwrap().replace(&server.root, &again.root)).unwrap();
    wanted.size = Some(SIZE as u64);
    let fetched = tried(&http(&again, 3), &wanted, dir.path()).await.unwrap();
    assert!(std::fs::read(&fetched.path).unwrap() == *bytes);
    assert_eq!(fetched.received, SIZE as u64 - 3 * PIECE, "three pieces were synced when the first call gave up");
}

#[tokio::test]
async fn a_file_that_changes_in_the_middle_is_begun_anew() {
    let bytes = file();
    let old = Arc::new(bytes.iter().map(|b| b ^ 0x55).collect::<Vec<u8>>());
    for how in ["200", "206", "412", "416"] {
        let (old, new) = (old.clone(), bytes.clone());
        let server = Loopback::start(move |number, asked, out| match (number, how) {
            (0..=3, _) => {
                let mut start = old.to_vec();
                start[..4].copy_from_slice(b"PK\x03\x04");
                give(asked, out, &start, "a", usize::MAX);
            }
            (_, "412") if asked.header("if-range") == Some("\"a\"") => answer(out, "412 Precondition Failed", &[], b""),
            (_, "416") if asked.header("if-range") == Some("\"a\"") => {
                answer(out, "416 Range Not Satisfiable", &[("Content-Range", "bytes */50")], b"");
            }
            (_, "206") => {
                let honest = Asked {
                    headers: asked.headers.iter().filter(|(n, _)| n == "range").cloned().collect(),
                    ..asked.clone()
                };
                give(&honest, out, &new, "b", usize::MAX);
            }
            _ => give(asked, out, &new, "b", usize::MAX),
        });
        let dir = tempfile::tempdir().unwrap();
        let fetched = tried(&http(&server, 3), &wanted(&server, &bytes), dir.path()).await;
        let fetched = fetched.unwrap_or_else(|fault| panic!("{how}: {fault}"));
        assert!(std::fs::read(&fetched.path).unwrap() == *bytes, "{how}");
        nothing_left(dir.path());
    }
}

#[tokio::test]
async fn too_many_connections_are_let_go_and_the_file_still_comes() {
    let bytes = file();
    let (served, open) = (bytes.clone(), AtomicUsize::new(0));
    let server = Loopback::start(move |_, asked, out| {
        if open.fetch_add(1, Ordering::SeqCst) > 0 {
            answer(out, "429 Too Many Requests", &[("Retry-After", "0")], b"");
        } else {
            give(asked, out, &served, "a", usize::MAX);
        }
        open.fetch_sub(1, Ordering::SeqCst);
    });
    let dir = tempfile::tempdir().unwrap();
    let fetched = tried(&http(&server, 6), &wanted(&server, &bytes), dir.path()).await.unwrap();
    assert!(std::fs::read(&fetched.path).unwrap() == *bytes);
    assert_eq!(fetched.received, SIZE as u64);
}

#[tokio::test]
async fn what_no_honest_server_does_ends_it() {
    let bytes = file();
    type Lie = fn(&Asked, &mut TcpStream, &[u8]);
    let lies: [(&str, Code, Lie); 4] = [
        ("another byte", Code::DownloadFailed, |asked, out, file| {
            let (from, to) = range(asked).unwrap();
            let range = format!("bytes {}-{}/{SIZE}", from + 1, to);
            answer(out, "206 Partial Content", &[("ETag", "\"a\""), ("Content-Range", &range)], &file[from + 1..to]);
        }),
        ("more bytes", Code::DownloadFailed, |asked, out, file| {
            let (from, to) = range(asked).unwrap();
            let range = format!("bytes {from}-{}/{SIZE}", to - 1);
            answer(out, "206 Partial Content", &[("ETag", "\"a\""), ("Content-Range", &range)], &file[from..to + 1]);
        }),
        ("a page", Code::DownloadNotFirmware, |asked, out, _| {
            let (from, to) = range(asked).unwrap();
            let range = format!("bytes {from}-{}/{SIZE}", to - 1);
            answer(out, "206 Partial Content", &[("Content-Type", "text/html"), ("Content-Range", &range)], b"<html>");
        }),
        ("elsewhere", Code::HostNotAllowed, |_, out, _| {
            answer(out, "302 Found", &[("Location", "http://evil.example/x.ipsw")], b"");
        }),
    ];
    for (name, code, lie) in lies {
        let served = bytes.clone();
        let server = Loopback::start(move |number, asked, out| {
            if number == 0 { give(asked, out, &served, "a", usize::MAX) } else { lie(asked, out, &served) }
        });
        let dir = tempfile::tempdir().unwrap();
        let fault = tried(&http(&server, 2), &wanted(&server, &bytes), dir.path()).await.unwrap_err();
        assert_eq!(fault.code, code, "{name}: {fault}");
        assert!(!place(dir.path()).target.exists());
    }
    let mut bad = bytes.to_vec();
    bad[SIZE - 9] ^= 1;
    let server = Loopback::start(move |_, asked, out| give(asked, out, &bad, "a", usize::MAX));
    let dir = tempfile::tempdir().unwrap();
    let fault = tried(&http(&server, 4), &wanted(&server, &bytes), dir.path()).await.unwrap_err();
    assert_eq!(fault.code, Code::FirmwareDigest);
    assert_eq!(std::fs::read_dir(dir.path().join("quarantine")).unwrap().count(), 1);
    nothing_left(dir.path());
}

#[tokio::test]
async fn a_server_that_forgets_its_ranges_is_taken_as_it_is() {
    let bytes = file();
    let served = bytes.clone();
    let server = Loopback::start(move |number, asked, out| match number {
        0..=2 => give(asked, out, &served, "a", usize::MAX),
        _ => drop(out.shutdown(std::net::Shutdown::Both)),
    });
    let dir = tempfile::tempdir().unwrap();
    tried(&http(&server, 3), &wanted(&server, &bytes), dir.path()).await.unwrap_err();
    let served = bytes.clone();
    let plain = Loopback::start(move |_, _, out| answer(out, "200 OK", &[("ETag", "\"a\"")], &served));
    let state = beside(&place(dir.path()).target, ".part.json");
    std::fs::write(&state, std::fs::read_to_string(&state).unwrap().replace(&server.root, &plain.root)).unwrap();
    let fetched = tried(&http(&plain, 3), &wanted(&plain, &bytes), dir.path()).await.unwrap();
    assert!(std::fs::read(&fetched.path).unwrap() == *bytes);
    nothing_left(dir.path());
}
