//! A manifest read over ranges, and the question whether a build is signed, against servers that are right and wrong.

use super::remote::read_manifest;
use super::signed::{Probe, Signed};
use super::tiny;
use crate::event::{Recorder, Teller};
use crate::facts::models::{self, Model};
use crate::fault::{Code, Fault};
use crate::ids::{BuildId, ProductType};
use crate::net::loopback::{Asked, Loopback, answer};
use crate::net::{Endpoints, Http, Limits, Tss};
use crate::wire::manifest::BuildManifest;
use std::io::{Cursor, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn http(server: &Loopback) -> Http {
    let limits =
        Limits { attempts: 3, pause: Duration::from_millis(1), document: Duration::from_secs(5), ..Limits::default() };
    Http::new(&Endpoints::new(Some(&server.root), None, None, Some(&server.root)).unwrap(), limits)
}

/// `bytes=-N` and `bytes=A-B`.
fn range(asked: &Asked, length: usize) -> (usize, usize) {
    let (from, last) = asked.header("range").unwrap().strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    match (from.parse::<usize>(), last.parse::<usize>()) {
        (Ok(from), Ok(last)) => (from, (last + 1).min(length)),
        (Err(_), Ok(count)) => (length.saturating_sub(count), length),
        other => panic!("{other:?}"),
    }
}

fn give(asked: &Asked, out: &mut TcpStream, file: &[u8], etag: &str) {
    let (from, to) = range(asked, file.len());
    let part = format!("bytes {from}-{}/{}", to - 1, file.len());
    answer(out, "206 Partial Content", &[("ETag", etag), ("Content-Range", &part)], &file[from..to]);
}

async fn read(server: &Loopback) -> Result<super::Remote, Fault> {
    let scratch = tempfile::tempdir().unwrap();
    let read = read_manifest(&http(server), &server.url("x.ipsw"), scratch.path()).await;
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "nothing stays");
    read
}

/// An IPSW before whose directory a stored file of `bulk` bytes lies, with `names` more entries.
fn large(bulk: usize, names: usize, manifest: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::DEFAULT.compression_method(CompressionMethod::Stored);
    zip.start_file("BuildManifest.plist", SimpleFileOptions::DEFAULT).unwrap();
    zip.write_all(manifest).unwrap();
    zip.start_file("root.dmg", stored).unwrap();
    zip.write_all(&vec![7; bulk]).unwrap();
    for n in 0..names {
        zip.start_file(format!("Firmware/{n:0>60}"), stored).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn manifest() -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), tiny::ipsw("")).unwrap();
    super::Ipsw::open(file.path()).unwrap().read("BuildManifest.plist", 1 << 20).unwrap()
}

#[tokio::test]
async fn a_manifest_comes_without_the_file() {
    // All in the tail; behind three megabytes; and with a directory that is larger than the tail.
    for (bulk, names, requests) in [(0, 0, 1), (3 << 20, 0, 2), (3 << 20, 6000, 3)] {
        let file = Arc::new(large(bulk, names, &manifest()));
        let served = file.clone();
        let server = Loopback::start(move |_, asked, out| give(asked, out, &served, "\"a\""));
        let remote = read(&server).await.unwrap();
        assert_eq!((remote.size, remote.manifest.build.to_string()), (file.len() as u64, tiny::BUILD.to_owned()));
        assert_eq!(remote.manifest.identities.len(), 3);
        assert_eq!(server.asked().len(), requests);
        assert!(remote.fetched < 2 << 20, "{}", remote.fetched);
    }
}

#[tokio::test]
async fn a_server_that_lies_is_not_believed() {
    let file = Arc::new(large(3 << 20, 0, &manifest()));
    type Lie = fn(usize, &Asked, &mut TcpStream, &[u8]);
    let lies: [(&str, Code, usize, Lie); 8] = [
        ("no ranges", Code::DownloadFailed, 1, |_, _, out, file| answer(out, "200 OK", &[], file)),
        ("a page", Code::DownloadNotFirmware, 1, |_, _, out, _| {
            answer(out, "206 Partial Content", &[("Content-Type", "text/html")], b"<html>");
        }),
        ("no Content-Range", Code::DownloadFailed, 1, |_, _, out, _| answer(out, "206 Partial Content", &[], b"x")),
        ("gone", Code::DownloadFailed, 1, |_, _, out, _| answer(out, "404 Not Found", &[], b"")),
        ("another file", Code::DownloadFailed, 2, |n, asked, out, file| give(asked, out, file, &format!("\"{n}\""))),
        ("cut", Code::DownloadFailed, 3, |_, asked, out, file| {
            let (from, to) = range(asked, file.len());
            let part = format!("bytes {from}-{}/{}", to - 1, file.len());
            let length = (to - from).to_string();
            let headers = [("Content-Range", part.as_str()), ("Content-Length", &length)];
            answer(out, "206 Partial Content", &headers, &file[from..to - 1]);
        }),
        ("down", Code::DownloadFailed, 3, |_, _, out, _| answer(out, "503 Service Unavailable", &[], b"")),
        ("no zip", Code::FirmwareDamaged, 1, |_, asked, out, file| give(asked, out, &vec![0; file.len()], "\"a\"")),
    ];
    for (name, code, requests, lie) in lies {
        let served = file.clone();
        let server = Loopback::start(move |n, asked, out| lie(n, asked, out, &served));
        let fault = read(&server).await.unwrap_err();
        assert_eq!(fault.code, code, "{name}: {fault}");
        assert_eq!(server.asked().len(), requests, "{name}");
    }
}

#[tokio::test]
async fn what_is_wrong_in_a_file_is_wrong_from_afar() {
    let sound = large(1 << 20, 0, &manifest());
    let at = |zip: &[u8], mark: &[u8]| zip.windows(mark.len()).position(|w| w == mark).unwrap();
    let central = at(&sound, b"PK\x01\x02");
    type Damage = fn(&mut Vec<u8>, usize);
    let damages: [(&str, &str, Damage); 5] = [
        ("the CRC", "checksum", |zip, central| zip[central + 16] ^= 1),
        ("the header's place", "beyond", |zip, central| zip[central + 42..central + 46].fill(0xF0)),
        ("an absurd size", "absurd", |zip, central| zip[central + 24..central + 28].fill(0xF0)),
        ("the name", "has no", |zip, central| zip[central + 46] = b'X'),
        ("the local header", "contradicts", |zip, _| zip[30] = b'X'),
    ];
    for (name, word, damage) in damages {
        let mut bytes = sound.clone();
        damage(&mut bytes, central);
        let server = Loopback::start(move |_, asked, out| give(asked, out, &bytes, "\"a\""));
        let fault = read(&server).await.unwrap_err();
        assert_eq!(fault.code, Code::FirmwareDamaged, "{name}: {fault}");
        assert!(fault.detail.contains(word), "{name}: {fault}");
    }
    let no_manifest = large(1 << 20, 0, b"<plist version=\"1.0\"><dict/></plist>");
    let server = Loopback::start(move |_, asked, out| give(asked, out, &no_manifest, "\"a\""));
    assert_eq!(read(&server).await.unwrap_err().code, Code::FirmwareDamaged);
}

fn phone() -> &'static Model {
    models::by_product(&ProductType::new(tiny::PRODUCT)).unwrap()
}

/// The tiny manifest for the board of [`phone`], as another build.
fn of_build(build: &str) -> BuildManifest {
    let mut manifest = BuildManifest::parse(&manifest()).unwrap();
    manifest.build = build.parse::<BuildId>().unwrap();
    for identity in &mut manifest.identities {
        identity.bdid = phone().bdid.unwrap();
    }
    manifest
}

/// A signing server that answers with this status.
fn signer(status: Arc<AtomicI64>) -> Loopback {
    Loopback::start(move |_, _, out| {
        let body = match status.load(Ordering::SeqCst) {
            0 => "STATUS=0&MESSAGE=SUCCESS&REQUEST_STRING=<plist version=\"1.0\"><dict/></plist>".to_owned(),
            number => format!("STATUS={number}&MESSAGE=This device isn't eligible for the requested build."),
        };
        answer(out, "200 OK", &[("Content-Type", "text/html")], body.as_bytes());
    })
}

#[tokio::test]
async fn a_yes_and_a_no_are_kept_and_anything_else_is_asked_again() {
    let status = Arc::new(AtomicI64::new(0));
    let server = signer(status.clone());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache/signed.json");
    let probe = || {
        let tell: Teller = Arc::new(Recorder::default());
        let endpoints = Endpoints::new(None, None, None, Some(&server.root)).unwrap();
        Probe::new(Tss::new(&http(&server), &endpoints.tss, tell), &file)
    };
    let (new, old) = (of_build("24A446"), of_build("23H31"));
    let mut first = probe();
    assert_eq!(first.ask(&new, phone(), false).await.unwrap().signed, Signed::Yes);
    let body = String::from_utf8(server.asked()[0].body.clone()).unwrap();
    for key in ["ApECID", "ApNonce", "SepNonce", "UniqueBuildID", "@ApImg4Ticket", "KernelCache"] {
        assert!(body.contains(key), "{key}");
    }
    assert!(!body.contains("Baseband"));

    // Without a good question a 94 says nothing, and is not kept.
    status.store(94, Ordering::SeqCst);
    let unsure = first.ask(&old, phone(), false).await.unwrap();
    assert!(matches!(unsure.signed, Signed::Unknown { code: Some(94), .. }), "{unsure:?}");
    assert_eq!(first.ask(&old, phone(), true).await.unwrap().signed, Signed::No);
    assert_eq!(server.asked().len(), 3);

    // Another process, within fifteen minutes.
    status.store(126, Ordering::SeqCst);
    let mut second = probe();
    assert_eq!(second.ask(&new, phone(), false).await.unwrap().signed, Signed::Yes);
    assert_eq!(second.ask(&old, phone(), true).await.unwrap().signed, Signed::No);
    assert_eq!(server.asked().len(), 3, "nobody was asked");

    // Later it is asked again.
    let text = std::fs::read_to_string(&file).unwrap();
    let asked = text.split("\"asked\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let day: String = asked.chars().take(10).collect();
    std::fs::write(&file, text.replace(&day, "2020-01-01")).unwrap();
    let later = probe().ask(&new, phone(), false).await.unwrap();
    assert!(matches!(later.signed, Signed::Unknown { code: Some(126), .. }), "{later:?}");
    assert_eq!(server.asked().len(), 4);

    // 128 is how a wrong length of the nonce is answered: the other length is tried.
    status.store(128, Ordering::SeqCst);
    let answer = probe().ask(&of_build("24A99"), phone(), true).await.unwrap();
    assert!(matches!(answer.signed, Signed::Unknown { code: Some(128), .. }));
    let asked = server.asked();
    let nonces: Vec<usize> = asked[4..].iter().map(|a| nonce_length(&a.body)).collect();
    assert_eq!(nonces, [32, 20]);

    std::fs::write(&file, b"[{]").unwrap();
    assert!(matches!(probe().ask(&new, phone(), true).await.unwrap().signed, Signed::Unknown { .. }));
}

fn nonce_length(body: &[u8]) -> usize {
    let request = plist::Value::from_reader_xml(Cursor::new(body)).unwrap();
    request.as_dictionary().unwrap()["ApNonce"].as_data().unwrap().len()
}

#[tokio::test]
async fn a_server_that_is_away_and_a_build_for_others_are_said() {
    let server = Loopback::start(|_, _, out| answer(out, "500 Oops", &[], b""));
    let dir = tempfile::tempdir().unwrap();
    let tell: Teller = Arc::new(Recorder::default());
    let endpoints = Endpoints::new(None, None, None, Some(&server.root)).unwrap();
    let mut probe = Probe::new(Tss::new(&http(&server), &endpoints.tss, tell), &dir.path().join("signed.json"));
    let away = probe.ask(&of_build("24A446"), phone(), true).await.unwrap();
    assert!(matches!(away.signed, Signed::Unknown { code: None, .. }), "{away:?}");
    let other = models::by_product(&ProductType::new("iPhone10,1")).unwrap();
    assert_eq!(probe.ask(&of_build("24A446"), other, true).await.unwrap_err().code, Code::FirmwareWrongDevice);
}
