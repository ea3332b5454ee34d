//! The one HTTP client.
//!
//! Certificates are checked against the platform's roots, always. There is no limit on a whole request
//! here, because a download may take hours; who wants one (a document, a ticket) sets it. Two things make
//! more than one `reqwest` client necessary: a download must not be decoded on the way (bytes are counted
//! and ranged), and loopback must not go through a proxy of the environment. They are built when first
//! used, since loading the platform's roots takes longer than many a verb.

use super::hosts::{Endpoints, Hosts, is_loopback};
use crate::fault::{Code, Fault};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Url};
use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long each wait may take, and how often something is tried again.
#[derive(Clone, Debug)]
pub struct Limits {
    pub connect: Duration,
    /// No byte, or next to none, for this long: stalled.
    pub stall: Duration,
    /// A whole document or ticket.
    pub document: Duration,
    /// Attempts in a row that bring nothing, the first included.
    pub attempts: usize,
    /// Before the second attempt; doubled for each further one, up to 30 times this.
    pub pause: Duration,
    /// For one file; a server that gives no ranges gets one.
    pub connections: usize,
    /// Bytes that one connection fetches at a time.
    pub piece: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(45),
            document: Duration::from_secs(60),
            attempts: 8,
            pause: Duration::from_secs(1),
            connections: 6,
            piece: 16 << 20,
        }
    }
}

impl Limits {
    /// The waits so many times shorter, but no limit below 2 s: for the bench's servers.
    pub fn shortened(self, times: u32) -> Self {
        let short = |limit: Duration| (limit / times.max(1)).max(limit.min(Duration::from_secs(2)));
        Limits {
            connect: short(self.connect),
            stall: short(self.stall),
            document: short(self.document),
            pause: self.pause / times.max(1),
            ..self
        }
    }

    /// The pauses between attempts.
    pub(super) fn pauses(&self, attempts: usize) -> impl Iterator<Item = Duration> + Send + use<> {
        use backon::BackoffBuilder;
        backon::ExponentialBuilder::default()
            .with_min_delay(self.pause)
            .with_max_delay(self.pause * 30)
            .with_max_times(attempts.saturating_sub(1))
            .with_jitter()
            .build()
    }
}

/// What a client is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// Small, may be compressed.
    Documents,
    /// Byte-exact, HTTP/1.1: one flow, ranges, no decoding.
    Files,
    /// A signed message for one server: no redirect, which would make a question of it or take it elsewhere.
    Messages,
}

/// Shared by everything that goes out; cheap to clone.
#[derive(Clone)]
pub struct Http {
    clients: Arc<[OnceLock<Client>; 6]>,
    hosts: Arc<Hosts>,
    limits: Arc<Limits>,
}

const REDIRECTS: usize = 5;

/// Why a redirect was not followed.
#[derive(Debug, thiserror::Error)]
#[error("redirected to {0}, which is not allowed")]
struct NotAllowed(String);

impl Http {
    pub fn new(endpoints: &Endpoints, limits: Limits) -> Http {
        Http { clients: Arc::default(), hosts: Arc::new(Hosts::new(endpoints)), limits: Arc::new(limits) }
    }

    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn client(&self, url: &Url, purpose: For) -> Result<&Client, Fault> {
        let inside = is_loopback(url);
        let slot = &self.clients[usize::from(inside) * 3 + purpose as usize];
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let hosts = self.hosts.clone();
        let policy = Policy::custom(move |attempt: Attempt<'_>| match attempt.previous().last() {
            _ if attempt.previous().len() > REDIRECTS => attempt.error("redirected too often"),
            Some(from) if hosts.redirect(from, attempt.url()) => attempt.follow(),
            _ => {
                let to = NotAllowed(attempt.url().to_string());
                attempt.error(to)
            }
        });
        let mut builder = Client::builder()
            .user_agent(concat!("herstel/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.limits.connect)
            .tcp_keepalive(Duration::from_secs(30))
            .referer(false)
            .redirect(if purpose == For::Messages { Policy::none() } else { policy });
        builder = match purpose {
            For::Documents => builder.gzip(true),
            For::Files | For::Messages => builder.gzip(false).http1_only(),
        };
        if inside {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|e| Fault::new(Code::NoCertificates, told(&e)))?;
        Ok(slot.get_or_init(|| client))
    }
}

/// The whole chain of causes, which `reqwest` hides behind "error sending request".
pub(super) fn told(err: &reqwest::Error) -> String {
    let mut text = err.to_string();
    let mut cause = err.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = inner.source();
    }
    text
}

/// A failure to get an answer at all, as a fault of `code` unless a rule of ours was the reason.
pub(super) fn no_answer(code: Code, err: &reqwest::Error) -> Fault {
    let mut cause = err.source();
    while let Some(inner) = cause {
        if inner.is::<NotAllowed>() {
            return Fault::new(Code::HostNotAllowed, inner.to_string());
        }
        cause = inner.source();
    }
    Fault::new(code, told(err))
}

/// Does an answer say that it is a web page? Portals and filters answer everything with one.
pub(super) fn says_html(headers: &reqwest::header::HeaderMap) -> bool {
    let kind = headers.get(reqwest::header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.trim_start().to_ascii_lowercase();
    kind.starts_with("text/html") || kind.starts_with("application/xhtml")
}

/// Does a body begin like a web page, whatever its type says?
pub(super) fn looks_html(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let start: Vec<u8> =
        body.iter().skip_while(|b| b.is_ascii_whitespace()).take(14).map(u8::to_ascii_lowercase).collect();
    start.starts_with(b"<html") || start.starts_with(b"<!doctype html") || start.starts_with(b"<head")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_built_once_and_apart_for_inside_and_outside() {
        let http = Http::new(&Endpoints::new(None, None, None, None).unwrap(), Limits::default());
        let (inside, outside) =
            (Url::parse("http://127.0.0.1:1/").unwrap(), Url::parse("https://gs.apple.com/").unwrap());
        let mut seen = Vec::new();
        for url in [&inside, &outside] {
            for purpose in [For::Documents, For::Files] {
                let client = std::ptr::from_ref(http.client(url, purpose).unwrap());
                assert_eq!(client, std::ptr::from_ref(http.clone().client(url, purpose).unwrap()));
                assert!(!seen.contains(&client));
                seen.push(client);
            }
        }
    }

    #[test]
    fn pauses_grow_and_end() {
        let limits = Limits { pause: Duration::from_millis(10), ..Limits::default() };
        let pauses: Vec<Duration> = limits.pauses(4).collect();
        assert_eq!(pauses.len(), 3, "between four attempts");
        assert!(pauses.windows(2).all(|p| p[0] < p[1]), "{pauses:?}");
    }

    #[test]
    fn web_pages_are_known_by_how_they_begin() {
        for page in [&b"<html>"[..], b"\xEF\xBB\xBF\r\n<!DOCTYPE HTML PUBLIC", b" <HEAD>"] {
            assert!(looks_html(page));
        }
        for other in [&b""[..], b"<?xml version", b"<!DOCTYPE plist", b"PK\x03\x04", b"STATUS=0"] {
            assert!(!looks_html(other));
        }
    }
}
