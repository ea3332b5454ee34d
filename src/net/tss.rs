//! Apple's signing server: one POST, one plist back.
//!
//! A refusal is final for the same request (law: never ask 94 again); only a connection that gave no
//! answer is tried again. Integrity does not hang on TLS here, since the device verifies its ticket, but
//! ECIDs would leak over plain http. `gs.apple.com` is known to have served chains that are not of the web's
//! roots, so when https cannot be had the same host is asked over http, and the person is told.

use super::http::{For, Http, looks_html, no_answer, says_html};
use crate::event::{Event, Teller};
use crate::fault::{Code, Fault};
use crate::wire::tss::{self, Reply};
use plist::Dictionary;
use reqwest::{Url, header};

/// The client of one signing server.
#[derive(Clone)]
pub struct Tss {
    http: Http,
    urls: Vec<Url>,
    tell: Teller,
}

const ATTEMPTS: usize = 5;
const MAX_ANSWER: usize = 8 << 20;

impl Tss {
    /// `endpoint` is asked as it is; Apple's own is also asked over http when https fails.
    pub fn new(http: &Http, endpoint: &Url, tell: Teller) -> Tss {
        let mut urls = vec![endpoint.clone()];
        if endpoint.scheme() == "https" && endpoint.host_str() == Some("gs.apple.com") {
            let mut plain = endpoint.clone();
            if plain.set_scheme("http").is_ok() {
                urls.push(plain);
            }
        }
        Tss { http: http.clone(), urls, tell }
    }

    /// Sends a request and gives the plist of the answer (`ApImg4Ticket`, `BBTicket`, ...).
    ///
    /// [`Code::TssNotSigned`] for status 94, [`Code::TssRefused`] for every other status (both with the
    /// number), [`Code::TssUnreachable`], and [`Code::TssInvalid`] for what is no answer of TSS.
    pub async fn request(&self, request: &Dictionary) -> Result<Dictionary, Fault> {
        let body = tss::encode(request);
        let mut last = Fault::new(Code::TssUnreachable, "no signing server is configured");
        for (n, url) in self.urls.iter().enumerate() {
            if n > 0 {
                let text = format!("{}; asking over plain http", last.detail);
                self.tell.tell(Event::Warning { text });
            }
            let mut pauses = self.http.limits().pauses(ATTEMPTS.min(self.http.limits().attempts));
            loop {
                match self.post(url, body.clone()).await {
                    Err(fault) if fault.code == Code::TssUnreachable => last = fault,
                    done => return done.and_then(|bytes| judge(&bytes)),
                }
                match pauses.next() {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => break,
                }
            }
        }
        Err(last)
    }

    async fn post(&self, url: &Url, body: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let unreachable = |why: String| Fault::new(Code::TssUnreachable, format!("{url}: {why}"));
        let invalid = |why: String| Fault::new(Code::TssInvalid, format!("{url}: {why}"));
        let request = self
            .http
            .client(url, For::Files)?
            .post(url.clone())
            .header(header::CONTENT_TYPE, "text/xml; charset=\"utf-8\"")
            .header(header::CACHE_CONTROL, "no-cache")
            .header(header::USER_AGENT, "InetURL/1.0")
            .body(body);
        let work = async {
            let mut response = request.send().await.map_err(|e| no_answer(Code::TssUnreachable, &e))?;
            let status = response.status();
            if status.is_server_error() || status == 429 {
                return Err(unreachable(format!("HTTP {status}")));
            }
            if !status.is_success() {
                return Err(invalid(format!("HTTP {status}")));
            }
            let html = says_html(response.headers());
            let mut bytes = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|e| no_answer(Code::TssUnreachable, &e))? {
                if bytes.len() + chunk.len() > MAX_ANSWER {
                    return Err(invalid(format!("more than {MAX_ANSWER} bytes")));
                }
                bytes.extend_from_slice(&chunk);
            }
            // TSS itself labels its answers text/html: only the body tells.
            if looks_html(&bytes) || (html && !bytes.trim_ascii_start().starts_with(b"STATUS=")) {
                return Err(invalid("a web page came instead".to_owned()));
            }
            Ok(bytes)
        };
        match tokio::time::timeout(self.http.limits().document, work).await {
            Ok(done) => done,
            Err(_) => Err(unreachable("no answer in time".to_owned())),
        }
    }
}
