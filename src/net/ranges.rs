//! Pieces of a large file that is not fetched: its end, and what the end points to.
//!
//! Only for a look inside, so every piece has a cap and all of them together are small. A server that gives no
//! ranges is no reason to fetch ten gigabytes: that is said, and the caller does without.

use super::attempt::{content_range, validators};
use super::http::{For, Http, no_answer, says_html};
use super::part::Validators;
use crate::fault::{Code, Fault};
use reqwest::{StatusCode, Url, header};

/// More is no look inside.
const MAX_PIECE: u64 = 64 << 20;

/// A file on a server.
pub struct Ranges<'h> {
    http: &'h Http,
    url: Url,
    /// Of the first answer: the others must be of the same file.
    validators: Validators,
    size: Option<u64>,
}

impl<'h> Ranges<'h> {
    /// # Errors
    /// [`Code::HostNotAllowed`].
    pub fn new(http: &'h Http, url: &Url) -> Result<Self, Fault> {
        let url = http.hosts().firmware(url)?;
        Ok(Ranges { http, url, validators: Validators::default(), size: None })
    }

    /// The last `count` bytes, fewer for a shorter file, and the size of the whole.
    ///
    /// # Errors
    /// [`Code::DownloadFailed`], also for a server without ranges, and [`Code::DownloadNotFirmware`].
    pub async fn tail(&mut self, count: u64) -> Result<(Vec<u8>, u64), Fault> {
        let bytes = self.ask(&format!("bytes=-{count}"), count, None).await?;
        let size = self.size.ok_or_else(|| self.failed("does not say how large the file is"))?;
        Ok((bytes, size))
    }

    /// From byte `from` to before byte `to`.
    ///
    /// # Errors
    /// As [`Ranges::tail`].
    pub async fn read(&mut self, from: u64, to: u64) -> Result<Vec<u8>, Fault> {
        let count = to.saturating_sub(from);
        let bytes = self.ask(&format!("bytes={from}-{}", to.saturating_sub(1)), count, Some(from)).await?;
        if bytes.len() as u64 == count { Ok(bytes) } else { Err(self.failed("gave fewer bytes than were asked for")) }
    }

    fn failed(&self, why: &str) -> Fault {
        Fault::new(Code::DownloadFailed, format!("{}: {why}", self.url))
    }

    async fn ask(&mut self, range: &str, count: u64, from: Option<u64>) -> Result<Vec<u8>, Fault> {
        if count > MAX_PIECE {
            return Err(self.failed("a piece of absurd size is wanted"));
        }
        let mut pauses = self.http.limits().pauses(self.http.limits().attempts);
        loop {
            let once = tokio::time::timeout(self.http.limits().document, self.once(range, count, from)).await;
            let fault = match once {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err((fault, false))) => return Err(fault),
                Ok(Err((fault, true))) => fault,
                Err(_) => self.failed("no answer in time"),
            };
            match pauses.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(fault),
            }
        }
    }

    /// One request; with a fault, whether the same again may work.
    async fn once(&mut self, range: &str, count: u64, from: Option<u64>) -> Result<Vec<u8>, (Fault, bool)> {
        let client = self.http.client(&self.url, For::Files).map_err(|fault| (fault, false))?;
        let request = client.get(self.url.clone()).header(header::RANGE, range);
        let request = request.header(header::ACCEPT_ENCODING, "identity");
        let mut response = request.send().await.map_err(|e| {
            let fault = no_answer(Code::DownloadFailed, &e);
            let again = fault.code == Code::DownloadFailed && !e.is_redirect();
            (fault, again)
        })?;
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err((self.failed(&format!("HTTP {status}")), true));
        }
        if says_html(response.headers()) {
            return Err((Fault::new(Code::DownloadNotFirmware, format!("{}: a web page", self.url)), false));
        }
        if status == StatusCode::OK {
            return Err((self.failed("gives no ranges, so nothing inside can be read without the download"), false));
        }
        if status != StatusCode::PARTIAL_CONTENT {
            return Err((self.failed(&format!("HTTP {status}")), false));
        }
        let (start, total) = content_range(response.headers())
            .and_then(|(start, total)| Some((start, total?)))
            .ok_or_else(|| (self.failed("206 without a whole Content-Range"), false))?;
        let wanted = from.unwrap_or_else(|| total.saturating_sub(count));
        let seen = validators(response.headers());
        let other = self.size.is_some_and(|size| size != total) || self.validators.contradict(&seen);
        if start != wanted || other {
            return Err((self.failed("the answers are not of one file"), false));
        }
        (self.size, self.validators) = (Some(total), seen);
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| (no_answer(Code::DownloadFailed, &e), true))? {
            if (bytes.len() + chunk.len()) as u64 > count {
                return Err((self.failed("gave more bytes than were asked for"), false));
            }
            bytes.extend_from_slice(&chunk);
        }
        if (bytes.len() as u64) < count.min(total) {
            return Err((self.failed("the answer ended early"), true));
        }
        Ok(bytes)
    }
}
