//! Apple's signing server: one POST, one plist back.
//!
//! A refusal is final for the same request (law: never ask 94 again), from whichever host it comes; only a
//! connection that gave no answer is tried again, at the next of Apple's names for the server, so that one that
//! cannot be resolved or is blocked costs a try and no restore. Integrity does not hang on TLS here, since the device
//! verifies its ticket, but ECIDs would leak over plain http. The server is known to have shown chains that are not
//! of the web's roots, and its other names are not in its certificate; so when no https can be had, the same names
//! are asked over http, and the person is told. An endpoint that a person chose is asked as it is, and nothing else.

use super::http::{For, Http, looks_html, no_answer, says_html};
use crate::event::{Event, Teller};
use crate::fault::{Code, Fault};
use crate::wire::tss::{self, MAX_REPLY, Reply, Verdict};
use plist::Dictionary;
use reqwest::{Url, header};

/// The client of one signing server.
#[derive(Clone)]
pub struct Tss {
    http: Http,
    /// Asked in order; within one, its names in turn.
    rounds: Vec<Round>,
    tell: Teller,
}

#[derive(Clone)]
struct Round {
    urls: Vec<Url>,
    /// Over plain http, where https was wanted.
    is_plain: bool,
}

/// Tries in one round; the field's other client makes fifteen in all.
const ATTEMPTS: usize = 5;
/// Names of Apple's server: its own, and those of the networks that serve it.
const NAMES: [&str; 3] = ["gs.apple.com", "gs.apple.com.akadns.net", "gs.apple.com.v.aaplimg.com"];

impl Tss {
    /// `endpoint` is asked as it is; Apple's own also under its other names, and over http when https fails.
    pub fn new(http: &Http, endpoint: &Url, tell: Teller) -> Tss {
        Tss { http: http.clone(), rounds: rounds(endpoint), tell }
    }

    /// Sends a request and gives the plist of the answer (`ApImg4Ticket`, `BBTicket`, ...).
    ///
    /// [`Code::TssNotSigned`] for status 94, [`Code::TssRefused`] for every other status (both with the
    /// number), [`Code::TssUnreachable`], and [`Code::TssInvalid`] for what is no answer of TSS.
    pub async fn request(&self, request: &Dictionary) -> Result<Dictionary, Fault> {
        let body = tss::encode(request).map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
        let mut last = Fault::new(Code::TssUnreachable, "no signing server is configured");
        for round in &self.rounds {
            if round.is_plain {
                let text = format!("{}; asking over plain http", last.detail);
                self.tell.tell(Event::Warning { text });
            }
            let mut pauses = self.http.limits().pauses(ATTEMPTS.min(self.http.limits().attempts));
            for url in round.urls.iter().cycle() {
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
                if bytes.len() + chunk.len() > MAX_REPLY {
                    return Err(invalid(format!("more than {MAX_REPLY} bytes")));
                }
                bytes.extend_from_slice(&chunk);
            }
            // An answer of TSS may be labelled text/html: only the body tells.
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

fn rounds(endpoint: &Url) -> Vec<Round> {
    if endpoint.scheme() != "https" || endpoint.host_str() != Some("gs.apple.com") {
        return vec![Round { urls: vec![endpoint.clone()], is_plain: false }];
    }
    let named = |scheme: &'static str| {
        let urls = NAMES.iter().filter_map(move |name| {
            let mut url = endpoint.clone();
            (url.set_host(Some(name)).is_ok() && url.set_scheme(scheme).is_ok()).then_some(url)
        });
        Round { urls: urls.collect(), is_plain: scheme == "http" }
    };
    vec![named("https"), named("http")]
}

/// What an answer means.
fn judge(bytes: &[u8]) -> Result<Dictionary, Fault> {
    let reply = Reply::parse(bytes).map_err(|e| Fault::new(Code::TssInvalid, e.to_string()))?;
    let said = format!("STATUS={} {}", reply.status, reply.message);
    match reply.verdict() {
        Verdict::Signed => reply.body.ok_or_else(|| Fault::new(Code::TssInvalid, "a success without an answer in it")),
        Verdict::NotSigned => Err(Fault::new(Code::TssNotSigned, said).number(reply.status)),
        Verdict::Unknown { code, .. } => Err(Fault::new(Code::TssRefused, said).number(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::loopback::{Loopback, answer};
    use super::super::{Endpoints, Limits};
    use super::*;
    use crate::event::{Quiet, Recorder};
    use std::sync::Arc;
    use std::time::Duration;

    fn http(endpoint: &Url) -> Http {
        let limits = Limits {
            document: Duration::from_millis(300),
            attempts: 3,
            pause: Duration::from_millis(1),
            ..Limits::default()
        };
        Http::new(&Endpoints::new(None, None, None, Some(endpoint.as_str())).unwrap(), limits)
    }

    async fn asked(server: &Loopback) -> Result<Dictionary, Fault> {
        let endpoint = server.url("TSS/controller?action=2");
        ask(&Tss::new(&http(&endpoint), &endpoint, Arc::new(Quiet))).await
    }

    async fn ask(tss: &Tss) -> Result<Dictionary, Fault> {
        let mut request = Dictionary::new();
        request.insert("ApECID".to_owned(), 0x1A2B_u64.into());
        tss.request(&request).await
    }

    fn fixed(status: &'static str, headers: &'static [(&str, &str)], body: Vec<u8>) -> Loopback {
        Loopback::start(move |_, _, out| answer(out, status, headers, &body))
    }

    #[tokio::test]
    async fn a_ticket_is_asked_for_as_apple_expects_it() {
        let mut tickets = Dictionary::new();
        tickets.insert("ApImg4Ticket".to_owned(), plist::Value::Data(vec![1, 2, 3]));
        let body = tss::reply(0, "SUCCESS", Some(&tickets)).unwrap();
        let server = fixed("200 OK", &[("Content-Type", "text/html")], body);
        assert_eq!(asked(&server).await.unwrap(), tickets);
        let seen = &server.asked()[0];
        assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/TSS/controller?action=2"));
        assert_eq!(seen.header("content-type"), Some("text/xml; charset=\"utf-8\""));
        assert_eq!(seen.header("user-agent"), Some("InetURL/1.0"));
        assert_eq!(seen.header("cache-control"), Some("no-cache"));
        assert!(String::from_utf8_lossy(&seen.body).contains("<integer>6699</integer>"));
    }

    #[tokio::test]
    async fn a_refusal_is_final_and_keeps_its_number() {
        for (status, code) in [(94, Code::TssNotSigned), (128, Code::TssRefused), (69, Code::TssRefused)] {
            let server = fixed("200 OK", &[], tss::reply(status, "no", None).unwrap());
            let fault = asked(&server).await.unwrap_err();
            assert_eq!((fault.code, fault.number), (code, Some(status)));
            assert_eq!(server.asked().len(), 1, "never asked again");
        }
    }

    #[tokio::test]
    async fn a_silence_is_tried_again_and_a_portal_is_no_answer() {
        let page = b"<html>Log in</html>".to_vec();
        let fault = asked(&fixed("200 OK", &[("Content-Type", "text/html")], page)).await.unwrap_err();
        assert_eq!(fault.code, Code::TssInvalid);
        for body in [&b""[..], b"hello", b"STATUS=0&MESSAGE=SUCCESS", b"STATUS=0&REQUEST_STRING=<plist><dict>"] {
            let fault = asked(&fixed("200 OK", &[], body.to_vec())).await.unwrap_err();
            assert_eq!(fault.code, Code::TssInvalid, "{fault}");
        }
        let down = fixed("503 Service Unavailable", &[], Vec::new());
        assert_eq!(asked(&down).await.unwrap_err().code, Code::TssUnreachable);
        assert_eq!(down.asked().len(), 3);
        let silent = Loopback::start(|_, _, out| {
            let _ = std::io::Read::read(out, &mut [0; 1]);
        });
        assert_eq!(asked(&silent).await.unwrap_err().code, Code::TssUnreachable);
    }

    #[test]
    fn only_apples_own_endpoint_has_other_names() {
        let urls = |text: &str| -> Vec<(Vec<String>, bool)> {
            let rounds = rounds(&Url::parse(text).unwrap()).into_iter();
            rounds.map(|r| (r.urls.iter().map(Url::to_string).collect(), r.is_plain)).collect()
        };
        let ours = urls("https://gs.apple.com/TSS/controller?action=2");
        assert_eq!(ours.len(), 2);
        for (round, scheme) in ours.iter().zip(["https", "http"]) {
            let wanted = NAMES.map(|name| format!("{scheme}://{name}/TSS/controller?action=2"));
            assert_eq!((&round.0[..], round.1), (&wanted[..], scheme == "http"));
        }
        for chosen in ["http://gs.apple.com/x", "https://tss.example.com/x"] {
            assert_eq!(urls(chosen), [(vec![chosen.to_owned()], false)]);
        }
    }

    #[tokio::test]
    async fn names_are_tried_in_turn_and_plain_http_is_told() {
        let mut tickets = Dictionary::new();
        tickets.insert("ApImg4Ticket".to_owned(), plist::Value::Data(vec![1]));
        let good = fixed("200 OK", &[], tss::reply(0, "SUCCESS", Some(&tickets)).unwrap());
        let down = fixed("503 Service Unavailable", &[], Vec::new());
        let refuses = fixed("200 OK", &[], tss::reply(94, "no", None).unwrap());
        let url = |server: &Loopback| server.url("TSS/controller?action=2");
        let told = Arc::new(Recorder::default());
        let over = |rounds: Vec<(Vec<&Loopback>, bool)>| {
            let round = |(servers, is_plain): (Vec<&Loopback>, bool)| Round {
                urls: servers.into_iter().map(url).collect(),
                is_plain,
            };
            let tell: Teller = Arc::<Recorder>::clone(&told);
            Tss { http: http(&url(&good)), rounds: rounds.into_iter().map(round).collect(), tell }
        };
        assert_eq!(ask(&over(vec![(vec![&down, &good], false), (vec![&refuses], true)])).await.unwrap(), tickets);
        assert_eq!((down.asked().len(), good.asked().len(), refuses.asked().len()), (1, 1, 0));
        assert!(told.events().is_empty());
        // The refusal of the second name is final: the third is not asked.
        let fault = ask(&over(vec![(vec![&down, &refuses, &good], false)])).await.unwrap_err();
        assert_eq!((fault.code, good.asked().len()), (Code::TssNotSigned, 1));
        assert_eq!(ask(&over(vec![(vec![&down], false), (vec![&good], true)])).await.unwrap(), tickets);
        let warned = told.events();
        assert!(
            matches!(&warned[..], [Event::Warning { text }] if text.contains("503") && text.contains("plain http")),
            "{warned:?}"
        );
    }
}
