//! What a device asks the host to fetch during a restore.
//!
//! Since iOS 18 the root image is encrypted and the ramdisk asks the host to GET a key or to POST for one
//! (`URLAsset`, `StreamedImageDecryptionKey`); other tools fetch any URL the device names, without checking
//! certificates. Here only Apple's key servers are asked, over checked TLS, with a cap on the answer.

use super::http::{For, Http, no_answer};
use crate::fault::{Code, Fault};
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, Url};

/// In the words of the device's request.
#[derive(Clone, Debug)]
pub struct RelayedRequest {
    /// `GET` or `POST`.
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// The whole answer; statuses that mean failure are the device's to judge.
#[derive(Clone, Debug)]
pub struct Relayed {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

const MAX_ANSWER: usize = 16 << 20;

/// Of the connection, not of the message: ours to set.
const OWN: [&str; 6] = ["host", "content-length", "connection", "transfer-encoding", "accept-encoding", "expect"];

impl Http {
    /// Performs one request for a device. [`Code::HostNotAllowed`] for hosts that are not Apple's key
    /// servers, [`Code::DownloadFailed`] when there is no answer within the limit of a document.
    pub async fn relay(&self, asked: &RelayedRequest) -> Result<Relayed, Fault> {
        let refused = |why: String| Fault::new(Code::HostNotAllowed, why);
        let url = Url::parse(&asked.url).map_err(|e| refused(format!("{:?} is not a URL: {e}", asked.url)))?;
        let url = self.hosts().relayed(&url)?;
        let method = match asked.method.to_ascii_uppercase().as_str() {
            "GET" | "" => Method::GET,
            "POST" => Method::POST,
            other => return Err(refused(format!("a device asked for the method {other:?}"))),
        };
        let mut request = self.client(&url, For::Files)?.request(method, url.clone());
        for (name, value) in &asked.headers {
            if OWN.iter().any(|own| name.eq_ignore_ascii_case(own)) {
                continue;
            }
            let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else { continue };
            request = request.header(name, value);
        }
        if !asked.body.is_empty() {
            request = request.body(asked.body.clone());
        }
        let work = async {
            let mut response = request.send().await.map_err(|e| no_answer(Code::DownloadFailed, &e))?;
            let status = response.status().as_u16();
            let headers = response
                .headers()
                .iter()
                .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
                .collect();
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|e| no_answer(Code::DownloadFailed, &e))? {
                if body.len() + chunk.len() > MAX_ANSWER {
                    return Err(Fault::new(Code::DownloadFailed, format!("{url}: more than {MAX_ANSWER} bytes")));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Relayed { status, headers, body })
        };
        match tokio::time::timeout(self.limits().document, work).await {
            Ok(done) => done,
            Err(_) => Err(Fault::new(Code::DownloadFailed, format!("{}: no answer in time", asked.url))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::loopback::{Loopback, answer};
    use super::super::{Endpoints, Limits};
    use super::*;

    fn asked(url: &str, method: &str) -> RelayedRequest {
        let headers = vec![
            ("X-Device".to_owned(), "1".to_owned()),
            ("Host".to_owned(), "evil.example".to_owned()),
            ("Bad\nName".to_owned(), "x".to_owned()),
        ];
        RelayedRequest { method: method.to_owned(), url: url.to_owned(), headers, body: b"question".to_vec() }
    }

    #[tokio::test]
    async fn a_device_reaches_key_servers_and_nothing_else() {
        let server = Loopback::start(|_, asked, out| answer(out, "404 Not Found", &[("X-Key", "k")], &asked.body));
        let bench = Endpoints::new(Some(&server.root), None, None, None).unwrap();
        let http = Http::new(&bench, Limits::default());
        let answer = http.relay(&asked(server.url("keys").as_str(), "POST")).await.unwrap();
        assert_eq!((answer.status, &answer.body[..]), (404, &b"question"[..]), "its status is the device's to judge");
        assert!(answer.headers.contains(&("x-key".to_owned(), "k".to_owned())));
        let seen = &server.asked()[0];
        assert_eq!((seen.method.as_str(), seen.header("x-device")), ("POST", Some("1")));
        assert_ne!(seen.header("host"), Some("evil.example"));

        let real = Http::new(&Endpoints::new(None, None, None, None).unwrap(), Limits::default());
        for (url, method) in [
            (server.url("keys").as_str(), "GET"),
            ("https://evil.example/", "GET"),
            ("https://wkms.sd.apple.com/keys/fetch", "DELETE"),
            ("file:///etc/passwd", "GET"),
            ("nonsense", "GET"),
        ] {
            let fault = real.relay(&asked(url, method)).await.unwrap_err();
            assert_eq!(fault.code, Code::HostNotAllowed, "{url}");
        }
    }
}
