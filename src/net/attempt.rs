//! One request of a download: what its answer means, and its body into the part.
//!
//! The head is judged before anything is written: which file, from which byte, how long, of what kind. Then
//! this task reads the socket while a thread hashes and writes; a few buffers of 256 KiB go round between
//! them, so memory is bounded and neither waits for the other byte by byte. Whatever happens, the part comes
//! back, with all that was received written and hashed.

use super::digests::hex;
use super::fetch::{TELL_EVERY, Wanted};
use super::http::{For, Http, looks_html, no_answer, says_html, told};
use super::part::{Part, Validators};
use crate::disk::require_space;
use crate::event::{Event, Step, Teller, Unit};
use crate::fault::{Code, Fault};
use reqwest::header::{self, HeaderMap};
use reqwest::{Response, StatusCode, Url};
use std::ops::Deref;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How an attempt ended, other than well.
pub(super) enum Trouble {
    /// The same again may work.
    Again(Fault, Option<Duration>),
    /// The file on the server is not the one that the part was begun with.
    Changed(String),
    Stop(Fault),
}

const BUFFER: usize = 256 << 10;
const BUFFERS: usize = 8;
/// Fewer bytes than this in a whole [`super::Limits::stall`] is a stall too.
const TRICKLE: u64 = 16 << 10;

/// One call's state over its attempts.
pub(super) struct Run<'a> {
    pub http: &'a Http,
    pub wanted: &'a Wanted,
    pub url: &'a Url,
    pub tell: &'a Teller,
    pub cancel: &'a CancellationToken,
    /// Bytes of bodies, of all attempts.
    pub received: u64,
    pub told: Option<Instant>,
}

impl Run<'_> {
    /// One request, or many side by side where the server gives ranges. Gives the part back in any case, unless its
    /// thread died.
    pub async fn attempt(&mut self, mut part: Part) -> (Result<Part, Fault>, Result<(), Trouble>) {
        let have = part.done();
        let known = self.wanted.size.or(part.size);
        if have > 0 && known == Some(have) {
            return (Ok(part), Ok(()));
        }
        // Only a piece is asked for where more could follow: the answer tells whether the server gives ranges.
        let limits = self.http.limits();
        let end = if limits.connections > 1 { Some(part.first_end(limits.piece)) } else { None };
        let end = end.filter(|end| known.is_none_or(|size| size > *end));
        let response = match self.ask(&part.validators, have, end, self.cancel).await {
            Ok(response) => response,
            Err(trouble) => return (Ok(part), Err(trouble)),
        };
        let body = match self.judge(&response, have, &part.validators, part.size) {
            Ok(Some(body)) => body,
            Ok(None) => return (Ok(part), Ok(())),
            Err(trouble) => return (Ok(part), Err(trouble)),
        };
        if have == 0 || part.validators == Validators::default() {
            part.validators = validators(response.headers());
            part.size = body.total;
        }
        let begun = match body.total {
            Some(total) => require_space(part.path(), total.saturating_sub(part.here())),
            None => Ok(()),
        };
        let ranges = response.status() == StatusCode::PARTIAL_CONTENT;
        let wide = end.zip(body.total).filter(|(end, total)| ranges && total > end).map(|(_, total)| total);
        let ready = begun.and_then(|()| if wide.is_none() { part.narrow() } else { Ok(()) });
        if let Err(fault) = ready.and_then(|()| part.save_state()) {
            return (Ok(part), Err(Trouble::Stop(fault)));
        }
        match wide {
            Some(total) => super::wide::fetch(self, part, response, total).await,
            None => self.stream(response, part, &body).await,
        }
    }

    /// Asks for the file from byte `from` on, or for a range of it.
    pub async fn ask(
        &self,
        validators: &Validators,
        from: u64,
        to: Option<u64>,
        cancel: &CancellationToken,
    ) -> Result<Response, Trouble> {
        let client = self.http.client(self.url, For::Files).map_err(Trouble::Stop)?;
        let mut request = client.get(self.url.clone()).header(header::ACCEPT_ENCODING, "identity");
        if from > 0 || to.is_some() {
            let last = to.map(|to| (to.saturating_sub(1)).to_string()).unwrap_or_default();
            request = request.header(header::RANGE, format!("bytes={from}-{last}"));
            if let Some(validator) = validators.if_range() {
                request = request.header(header::IF_RANGE, validator);
            }
        }
        let answer = tokio::select! {
            answer = tokio::time::timeout(self.http.limits().stall, request.send()) => answer,
            () = cancel.cancelled() => return Err(Trouble::Stop(Fault::cancelled())),
        };
        match answer {
            Err(_) => Err(self.lost(Lost::Stalled, from)),
            Ok(Err(e)) => Err(match no_answer(Code::DownloadFailed, &e) {
                fault if fault.code == Code::HostNotAllowed || e.is_redirect() => Trouble::Stop(fault),
                fault => Trouble::Again(fault, None),
            }),
            Ok(Ok(response)) => Ok(response),
        }
    }

    /// What the head of an answer means that was asked for from byte `have` on. None: nothing is missing.
    pub fn judge(
        &self,
        response: &Response,
        have: u64,
        begun: &Validators,
        size: Option<u64>,
    ) -> Result<Option<Body>, Trouble> {
        let (status, headers) = (response.status(), response.headers());
        let failed = |why: String| Fault::new(Code::DownloadFailed, format!("{}: {why}", self.url));
        let known = self.wanted.size.or(size);
        let body = match status {
            StatusCode::OK => {
                let seen = validators(headers);
                let skip = if begun.confirm(&seen) { have } else { 0 };
                if have > 0 && skip == 0 {
                    return Err(Trouble::Changed("the server sent the whole file again".to_owned()));
                }
                Body { skip, total: response.content_length() }
            }
            StatusCode::PARTIAL_CONTENT => {
                let Some((start, total)) = content_range(headers) else {
                    return Err(Trouble::Stop(failed("206 without a Content-Range".to_owned())));
                };
                if start != have {
                    return Err(Trouble::Stop(failed(format!("asked for byte {have} and got byte {start}"))));
                }
                if begun.contradict(&validators(headers)) {
                    return Err(Trouble::Changed("the file on the server is another one".to_owned()));
                }
                if let Some((total, before)) = differ(total, size) {
                    return Err(Trouble::Changed(format!("{before} bytes became {total}")));
                }
                Body { skip: 0, total: total.or(size) }
            }
            StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => {
                let total = content_range(headers).and_then(|(_, total)| total);
                return if known.or(total) == Some(have) {
                    Ok(None)
                } else {
                    Err(Trouble::Changed(format!("the server's file ends before byte {have}")))
                };
            }
            StatusCode::PRECONDITION_FAILED if have > 0 => {
                return Err(Trouble::Changed("the file on the server is another one".to_owned()));
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS | StatusCode::TOO_EARLY => {
                return Err(Trouble::Again(failed(format!("HTTP {status}")), retry_after(headers)));
            }
            s if s.is_server_error() => {
                return Err(Trouble::Again(failed(format!("HTTP {status}")), retry_after(headers)));
            }
            // Only to an address that is not of http at all: the others were judged on the way.
            s if s.is_redirection() && headers.contains_key(header::LOCATION) => {
                let to = headers.get(header::LOCATION).and_then(|v| v.to_str().ok()).unwrap_or("?");
                let why = format!("{}: sent to {:?}", self.url, to.chars().take(200).collect::<String>());
                return Err(Trouble::Stop(Fault::new(Code::HostNotAllowed, why)));
            }
            _ => return Err(Trouble::Stop(failed(format!("HTTP {status}")))),
        };
        if says_html(headers) {
            return Err(Trouble::Stop(self.not_firmware("a web page")));
        }
        if headers.contains_key(header::CONTENT_ENCODING) {
            return Err(Trouble::Stop(self.not_firmware("an encoded answer")));
        }
        if let Some((total, said)) = differ(body.total, self.wanted.size) {
            return Err(Trouble::Again(failed(format!("{total} bytes, the catalogue says {said}")), None));
        }
        if body.total.is_some_and(|total| total > self.wanted.cap) {
            return Err(Trouble::Stop(failed(format!("more than {} bytes", self.wanted.cap))));
        }
        Ok(Some(body))
    }

    /// Moves the body into the part: this task reads, a thread hashes and writes.
    async fn stream(
        &mut self,
        response: Response,
        part: Part,
        body: &Body,
    ) -> (Result<Part, Fault>, Result<(), Trouble>) {
        let at = part.done();
        let (full, mut drain) = mpsc::channel::<Vec<u8>>(BUFFERS);
        let (empty, mut spare) = mpsc::channel::<Vec<u8>>(BUFFERS);
        for _ in 0..BUFFERS {
            let _ = empty.try_send(Vec::with_capacity(BUFFER));
        }
        let writer = tokio::task::spawn_blocking(move || {
            let mut part = part;
            let mut ended = Ok(());
            while let Some(mut bytes) = drain.blocking_recv() {
                ended = part.write(&bytes);
                if ended.is_err() {
                    break;
                }
                bytes.clear();
                let _ = empty.try_send(bytes);
            }
            let saved = part.save();
            (part, ended.and(saved))
        });
        let read = self.read(response, body, at, &full, &mut spare).await;
        drop(full);
        match writer.await {
            Ok((part, Ok(()))) => (Ok(part), read),
            Ok((part, Err(fault))) => (Ok(part), Err(Trouble::Stop(fault))),
            Err(e) => (Err(Fault::new(Code::Internal, format!("the writing thread died: {e}"))), read),
        }
    }

    async fn read(
        &mut self,
        mut response: Response,
        body: &Body,
        at: u64,
        full: &mpsc::Sender<Vec<u8>>,
        spare: &mut mpsc::Receiver<Vec<u8>>,
    ) -> Result<(), Trouble> {
        let limit = self.wanted.size.or(body.total).unwrap_or(self.wanted.cap);
        let mut next = Next::new(self.http.limits().stall);
        let mut skip = body.skip;
        let mut done = at;
        let mut buffer = spare.recv().await.unwrap_or_default();
        let result = loop {
            let chunk = tokio::select! {
                chunk = next.chunk(&mut response) => chunk,
                () = self.cancel.cancelled() => break Err(Trouble::Stop(Fault::cancelled())),
            };
            let chunk = match chunk {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break Ok(()),
                Err(lost) => break Err(self.lost(lost, done)),
            };
            self.received += chunk.len() as u64;
            let known = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
            skip -= known as u64;
            let mut rest = &chunk[known..];
            done += rest.len() as u64;
            if done > limit {
                break Err(Trouble::Stop(Fault::new(
                    Code::DownloadFailed,
                    format!("{}: longer than {limit} bytes", self.url),
                )));
            }
            let mut died = false;
            while !rest.is_empty() && !died {
                let room = BUFFER.saturating_sub(buffer.len()).min(rest.len());
                buffer.extend_from_slice(&rest[..room]);
                rest = &rest[room..];
                if buffer.len() >= BUFFER {
                    if done - rest.len() as u64 == buffer.len() as u64 {
                        self.sniff(&buffer)?;
                    }
                    died = full.send(std::mem::take(&mut buffer)).await.is_err();
                    buffer = spare.recv().await.unwrap_or_default();
                }
            }
            if died {
                // The writer has the reason.
                return Ok(());
            }
            self.progress(done, self.wanted.size.or(body.total), false);
        };
        if done == buffer.len() as u64 && !buffer.is_empty() {
            self.sniff(&buffer)?;
        }
        if !buffer.is_empty() {
            let _ = full.send(buffer).await;
        }
        result?;
        self.progress(done, self.wanted.size.or(body.total), true);
        match self.wanted.size.or(body.total) {
            Some(total) if done < total => Err(self.lost(Lost::Cut("the answer ended early".into()), done)),
            _ if done == 0 => Err(self.lost(Lost::Cut("an empty answer".into()), 0)),
            _ => Ok(()),
        }
    }

    /// Is the beginning of the file that of a firmware? Asked before anything is written.
    pub fn sniff(&self, start: &[u8]) -> Result<(), Trouble> {
        let magic = &self.wanted.magic[..self.wanted.magic.len().min(start.len())];
        if looks_html(start) {
            Err(Trouble::Stop(self.not_firmware("a web page")))
        } else if start.starts_with(magic) {
            Ok(())
        } else {
            Err(Trouble::Stop(self.not_firmware(&format!("begins with {}", hex(&start[..start.len().min(8)])))))
        }
    }

    fn progress(&mut self, done: u64, total: Option<u64>, last: bool) {
        if last || self.told.is_none_or(|t| t.elapsed() >= TELL_EVERY) {
            self.told = Some(Instant::now());
            self.tell.tell(Event::Progress { step: Step::Fetch, unit: Unit::Bytes, done, total });
        }
    }

    fn not_firmware(&self, what: &str) -> Fault {
        Fault::new(Code::DownloadNotFirmware, format!("{}: {what}", self.url))
    }

    /// What a line that was lost at byte `at` means: the same again.
    pub fn lost(&self, lost: Lost, at: u64) -> Trouble {
        let seconds = self.http.limits().stall.as_secs_f32();
        let fault = match lost {
            Lost::Stalled => (Code::DownloadStalled, format!("{}: silent for {seconds} s at byte {at}", self.url)),
            Lost::Cut(why) => (Code::DownloadFailed, format!("{}: cut at byte {at}: {why}", self.url)),
        };
        Trouble::Again(Fault::new(fault.0, fault.1), None)
    }
}

/// How a body ended before its end.
pub(super) enum Lost {
    Stalled,
    Cut(String),
}

/// Reads a body piece by piece and knows a line that is silent, or nearly so.
pub(super) struct Next {
    stall: Duration,
    since: Instant,
    count: u64,
}

impl Next {
    pub fn new(stall: Duration) -> Self {
        Next { stall, since: Instant::now(), count: 0 }
    }

    /// None at the end of the body.
    pub async fn chunk(&mut self, response: &mut Response) -> Result<Option<impl Deref<Target = [u8]> + use<>>, Lost> {
        let chunk = match tokio::time::timeout(self.stall, response.chunk()).await {
            Err(_) => return Err(Lost::Stalled),
            Ok(Err(e)) => return Err(Lost::Cut(told(&e))),
            Ok(Ok(None)) => return Ok(None),
            Ok(Ok(Some(chunk))) => chunk,
        };
        self.count += chunk.len() as u64;
        if self.since.elapsed() >= self.stall {
            if self.count < TRICKLE {
                return Err(Lost::Stalled);
            }
            *self = Next::new(self.stall);
        }
        Ok(Some(chunk))
    }
}

/// The body that follows an accepted head.
pub(super) struct Body {
    /// Bytes to pass over, since the part has them.
    skip: u64,
    /// Of the whole file.
    total: Option<u64>,
}

/// Both known, and not the same.
fn differ(a: Option<u64>, b: Option<u64>) -> Option<(u64, u64)> {
    a.zip(b).filter(|(a, b)| a != b)
}

pub(super) fn validators(headers: &HeaderMap) -> Validators {
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok()).filter(|t| t.len() < 512).map(str::to_owned);
    Validators { etag: text(header::ETAG), last_modified: text(header::LAST_MODIFIED) }
}

/// `bytes 100-199/200` and `bytes */200`: the first byte (0 for `*`) and the total if known.
pub(super) fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?.trim().strip_prefix("bytes")?.trim_start();
    let (range, total) = text.split_once('/')?;
    let start = match range.split_once('-') {
        Some((start, _)) => start.trim().parse().ok()?,
        None if range.trim() == "*" => 0,
        None => return None,
    };
    let total = total.trim();
    if total == "*" { Some((start, None)) } else { Some((start, Some(total.parse().ok()?))) }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(120)))
}
