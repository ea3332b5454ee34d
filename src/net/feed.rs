//! Documents of a catalogue: small, often asked for, not always there.
//!
//! A document counts only when it was read to its end, has the shape that was asked for and could be
//! parsed. Anything else (no network, a captive portal, an empty or cut body) leaves the last good copy in
//! charge, and the caller is told how old that is and why. Copies are bound to the URL they came from, so
//! that a bench's catalogue never answers for Apple's. An unchanged document is not sent again (ETag).

use super::http::{For, Http, looks_html, no_answer, says_html};
use crate::disk::write_atomic;
use crate::fault::{Code, Fault};
use jiff::Timestamp;
use reqwest::header;
use reqwest::{StatusCode, Url};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::Path;

/// How a good body begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// XML or binary property list.
    Plist,
    Json,
}

/// A parsed document.
#[derive(Clone, Debug)]
pub struct Document<T> {
    pub value: T,
    /// When the server last gave or confirmed it.
    pub fetched: Timestamp,
    /// Why this is an old copy; none when it is fresh.
    pub stale: Option<Fault>,
}

#[derive(Serialize, Deserialize)]
struct Note {
    url: String,
    fetched: Timestamp,
    etag: Option<String>,
}

const ATTEMPTS: usize = 3;

/// Gets `url`, at most `cap` bytes, and keeps a copy at `copy` (and `copy` + `.json`).
///
/// [`Code::NoFirmware`] when the server does not know the document (404); [`Code::CatalogueUnreachable`] or
/// [`Code::CatalogueInvalid`] when there is neither an answer nor a copy.
pub async fn document<T>(
    http: &Http,
    url: &Url,
    shape: Shape,
    cap: usize,
    copy: &Path,
    parse: impl Fn(&[u8]) -> Result<T, Fault>,
) -> Result<Document<T>, Fault> {
    let old = read_copy(url, cap, copy);
    let etag = old.as_ref().and_then(|(note, _)| note.etag.clone());
    let mut pauses = http.limits().pauses(ATTEMPTS.min(http.limits().attempts));
    let why = loop {
        match ask(http, url, shape, cap, etag.as_deref()).await {
            Ok(Answer::Unchanged) => {
                let Some((note, bytes)) = &old else {
                    break Fault::new(Code::CatalogueInvalid, format!("{url}: unchanged, but there is no copy"));
                };
                match parse(bytes) {
                    Ok(value) => {
                        let fetched = Timestamp::now();
                        keep_note(copy, &Note { url: note.url.clone(), fetched, etag: note.etag.clone() })?;
                        return Ok(Document { value, fetched, stale: None });
                    }
                    Err(fault) => break fault,
                }
            }
            Ok(Answer::New(bytes, etag)) => match parse(&bytes) {
                Ok(value) => {
                    let fetched = Timestamp::now();
                    write_atomic(copy, &bytes)?;
                    keep_note(copy, &Note { url: url.to_string(), fetched, etag })?;
                    return Ok(Document { value, fetched, stale: None });
                }
                Err(fault) => break Fault::new(Code::CatalogueInvalid, format!("{url}: {}", fault.detail)),
            },
            Err(fault) if fault.code == Code::CatalogueUnreachable => match pauses.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => break fault,
            },
            Err(fault) => break fault,
        }
    };
    if why.code == Code::NoFirmware {
        return Err(why);
    }
    match old.and_then(|(note, bytes)| Some((note.fetched, parse(&bytes).ok()?))) {
        Some((fetched, value)) => Ok(Document { value, fetched, stale: Some(why) }),
        None => Err(why),
    }
}

enum Answer {
    Unchanged,
    New(Vec<u8>, Option<String>),
}

async fn ask(http: &Http, url: &Url, shape: Shape, cap: usize, etag: Option<&str>) -> Result<Answer, Fault> {
    let invalid = |why: &str| Fault::new(Code::CatalogueInvalid, format!("{url}: {why}"));
    let unreachable = |why: &str| Fault::new(Code::CatalogueUnreachable, format!("{url}: {why}"));
    let mut request = http.client(url, For::Documents)?.get(url.clone());
    if let Some(etag) = etag {
        request = request.header(header::IF_NONE_MATCH, etag);
    }
    let work = async {
        let mut response = request.send().await.map_err(|e| no_answer(Code::CatalogueUnreachable, &e))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED => return Ok(Answer::Unchanged),
            StatusCode::NOT_FOUND => return Err(Fault::new(Code::NoFirmware, format!("{url}: HTTP 404"))),
            status => return Err(unreachable(&format!("HTTP {status}"))),
        }
        if says_html(response.headers()) {
            return Err(invalid("a web page came instead"));
        }
        let etag = response.headers().get(header::ETAG).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| no_answer(Code::CatalogueUnreachable, &e))? {
            if bytes.len() + chunk.len() > cap {
                return Err(invalid(&format!("more than {cap} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        shape.check(&bytes).map_err(invalid)?;
        Ok(Answer::New(bytes, etag))
    };
    match tokio::time::timeout(http.limits().document, work).await {
        Ok(answer) => answer,
        Err(_) => Err(unreachable("no answer in time")),
    }
}

impl Shape {
    fn check(self, body: &[u8]) -> Result<(), &'static str> {
        let start = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii_start();
        if start.is_empty() {
            return Err("an empty document");
        }
        if looks_html(body) {
            return Err("a web page came instead");
        }
        let (good, whole) = match self {
            Shape::Plist if start.starts_with(b"bplist") => (true, true),
            Shape::Plist => (
                start.starts_with(b"<?xml") || start.starts_with(b"<plist") || start.starts_with(b"<!DOCTYPE plist"),
                start.trim_ascii_end().ends_with(b"</plist>"),
            ),
            Shape::Json => {
                (matches!(start.first(), Some(b'{' | b'[')), matches!(start.trim_ascii_end().last(), Some(b'}' | b']')))
            }
        };
        match (good, whole) {
            (false, _) => Err("not a catalogue document"),
            (true, false) => Err("the document is cut off"),
            (true, true) => Ok(()),
        }
    }
}

fn note_of(copy: &Path) -> std::path::PathBuf {
    super::part::beside(copy, ".json")
}

fn keep_note(copy: &Path, note: &Note) -> Result<(), Fault> {
    let text = serde_json::to_vec(note).map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    write_atomic(&note_of(copy), &text)
}

/// The last good copy, if it came from this very URL.
fn read_copy(url: &Url, cap: usize, copy: &Path) -> Option<(Note, Vec<u8>)> {
    let read = |path: &Path, cap: usize| {
        let mut bytes = Vec::new();
        fs_err::File::open(path).ok()?.take(cap as u64 + 1).read_to_end(&mut bytes).ok()?;
        (bytes.len() <= cap).then_some(bytes)
    };
    let note: Note = serde_json::from_slice(&read(&note_of(copy), 64 << 10)?).ok()?;
    (note.url == url.as_str()).then_some(())?;
    Some((note, read(copy, cap)?))
}

#[cfg(test)]
mod tests {
    use super::super::loopback::{Loopback, answer};
    use super::super::{Endpoints, Limits};
    use super::*;
    use std::time::Duration;

    fn http(server: &Loopback) -> Http {
        let limits = Limits {
            stall: Duration::from_secs(2),
            document: Duration::from_millis(400),
            attempts: 2,
            pause: Duration::from_millis(1),
            connections: 1,
            piece: 1 << 20,
            ..Limits::default()
        };
        Http::new(&Endpoints::new(Some(&server.root), None, None, None).unwrap(), limits)
    }

    fn parse(bytes: &[u8]) -> Result<u32, Fault> {
        let value: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|e| Fault::new(Code::CatalogueInvalid, e.to_string()))?;
        let n = value.get("n").and_then(serde_json::Value::as_u64).and_then(|n| u32::try_from(n).ok());
        n.ok_or_else(|| Fault::new(Code::CatalogueInvalid, "no n"))
    }

    async fn get(server: &Loopback, copy: &Path) -> Result<Document<u32>, Fault> {
        document(&http(server), &server.url("doc.json"), Shape::Json, 1000, copy, parse).await
    }

    #[tokio::test]
    async fn a_portal_an_empty_or_a_cut_answer_leaves_the_last_good_copy_in_charge() {
        type Bad = (&'static str, &'static [(&'static str, &'static str)], &'static [u8]);
        let bad: [Bad; 8] = [
            ("200 OK", &[("Content-Type", "text/html")], b"{\"n\":9}"),
            ("200 OK", &[], b"<!doctype html><p>Accept our terms"),
            ("200 OK", &[], b""),
            ("200 OK", &[], b"{\"n\":9"),
            ("200 OK", &[("Content-Length", "5000")], b"{\"n\":9}"),
            ("200 OK", &[], b"{\"m\":9}"),
            ("200 OK", &[], &[b' '; 2000]),
            ("502 Bad Gateway", &[], b"{\"n\":9}"),
        ];
        let dir = tempfile::tempdir().unwrap();
        let server = Loopback::start(move |n, _, out| match n {
            0 => answer(out, "200 OK", &[("ETag", "\"1\"")], b"{\"n\":7}"),
            // A refused body is asked for once; a failing line twice.
            _ => answer(out, bad[COUNT.load(ORDER)].0, bad[COUNT.load(ORDER)].1, bad[COUNT.load(ORDER)].2),
        });
        use std::sync::atomic::{AtomicUsize, Ordering};
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        const ORDER: Ordering = Ordering::SeqCst;
        let copy = dir.path().join("doc.json");
        let first = get(&server, &copy).await.unwrap();
        assert!(first.value == 7 && first.stale.is_none());
        for n in 0..bad.len() {
            COUNT.store(n, ORDER);
            let now = get(&server, &copy).await.unwrap();
            assert_eq!((now.value, now.fetched), (7, first.fetched), "case {n}");
            let why = now.stale.unwrap();
            assert!(matches!(why.code, Code::CatalogueInvalid | Code::CatalogueUnreachable), "case {n}: {why}");
            let nothing = get(&server, &dir.path().join("none")).await.unwrap_err();
            assert_eq!(nothing.code, why.code, "case {n}: without a copy it is a failure");
        }
    }

    #[tokio::test]
    async fn an_unchanged_document_is_confirmed_and_one_of_another_server_is_not_ours() {
        let server = Loopback::start(|_, asked, out| match asked.header("if-none-match") {
            Some("\"1\"") => answer(out, "304 Not Modified", &[], b""),
            _ => answer(out, "200 OK", &[("ETag", "\"1\"")], b"{\"n\":7}"),
        });
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("doc.json");
        let first = get(&server, &copy).await.unwrap();
        let second = get(&server, &copy).await.unwrap();
        assert!(second.value == 7 && second.stale.is_none() && second.fetched >= first.fetched);
        assert_eq!(server.asked().len(), 2);
        let other = Loopback::start(|_, _, _| {});
        assert_eq!(get(&other, &copy).await.unwrap_err().code, Code::CatalogueUnreachable);
        assert!(other.asked().iter().all(|a| a.header("if-none-match").is_none()));
    }

    #[tokio::test]
    async fn an_unknown_document_is_an_answer() {
        let server = Loopback::start(|_, _, out| answer(out, "404 Not Found", &[("Content-Type", "text/html")], b""));
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(get(&server, &dir.path().join("x")).await.unwrap_err().code, Code::NoFirmware);
    }
}
