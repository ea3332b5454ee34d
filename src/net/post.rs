//! A message to a server of the person's own: webhooks.
//!
//! The address is in a file that the person wrote, so any host is allowed; it is still checked over TLS, is followed
//! nowhere else, and its answer is not read beyond the status.

use super::http::{For, Http, no_answer};
use crate::fault::{Code, Fault};
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use std::time::Duration;

impl Http {
    /// Posts `body`; a status that means failure is a fault too.
    pub async fn post(
        &self,
        url: &str,
        headers: &[(&str, String)],
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<u16, Fault> {
        let bad = |why: String| Fault::new(Code::DownloadFailed, why);
        let url = Url::parse(url).map_err(|e| bad(format!("{url:?} is not a URL: {e}")))?;
        let mut request = self.client(&url, For::Messages)?.post(url.clone());
        for (name, value) in headers {
            let (Ok(name), Ok(value)) = (HeaderName::try_from(*name), HeaderValue::try_from(value)) else { continue };
            request = request.header(name, value);
        }
        let answer = tokio::time::timeout(limit, request.body(body).send());
        let answer = answer.await.map_err(|_| bad(format!("{url}: no answer in time")))?;
        let status = answer.map_err(|e| no_answer(Code::DownloadFailed, &e))?.status();
        if status.is_success() { Ok(status.as_u16()) } else { Err(bad(format!("{url} answered {status}"))) }
    }
}
