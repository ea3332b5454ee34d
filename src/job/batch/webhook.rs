//! Webhooks: events posted to a shop's own server.
//!
//! The body is the JSON object that hooks get. `X-Herstel-Signature: sha256=<hex>` is HMAC-SHA256 with the shop's secret
//! over `<timestamp>.<body>`, the timestamp being `X-Herstel-Timestamp`: a server checks both, refuses what is old, and
//! so knows that nobody changed or repeats it. `X-Herstel-Delivery` is the same for every attempt at one message.
//!
//! A server that is down holds nothing up: each message is in a file beside the journal of the batch before it is sent,
//! and after a few attempts it stays there; `--resume` sends what is left. The secret is read when it is needed and is in no journal and no log.

use super::file::Webhook;
use crate::disk::{append_private, write_private};
use crate::fault::words::words;
use crate::fault::{Code, Fault};
use crate::net::{Http, hex};
use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

words! {
    /// What hooks and webhooks are told of.
    Topic {
        Attached = "attached",
        NeedsPerson = "needs_person",
        Finished = "finished",
        Failed = "failed",
    }
}

const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(15);
const MAX_SECRET: u64 = 4096;
/// A server that was down for a day is not sent more than this.
const MAX_SPOOL: u64 = 16 << 20;

/// One message to one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub url: String,
    pub secret_file: PathBuf,
    pub topic: Topic,
    pub id: String,
    pub body: String,
}

/// `sha256=<hex>` over the time and the body.
pub fn signature(secret: &[u8], timestamp: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, format!("{timestamp}.{body}").as_bytes());
    format!("sha256={}", hex(tag.as_ref()))
}

/// Does a server want this?
pub fn wants(webhook: &Webhook, topic: Topic) -> bool {
    webhook.events.is_empty() || webhook.events.contains(&topic)
}

fn secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET as usize));
    let file = fs_err::File::open(path).map_err(|e| Fault::disk(&e))?;
    file.take(MAX_SECRET).read_to_end(&mut bytes).map_err(|e| Fault::disk(&e))?;
    let length = bytes.trim_ascii_end().len();
    bytes.truncate(length);
    if bytes.is_empty() {
        return Err(Fault::new(Code::ConfigInvalid, format!("{} is empty", path.display())));
    }
    Ok(bytes)
}

/// Posts one message, a few times if need be.
///
/// # Errors
/// The last failure; the message is the caller's to keep then.
pub async fn deliver(http: &Http, delivery: &Delivery, haste: u32) -> Result<(), Fault> {
    let haste = haste.max(1);
    let mut failed = Fault::new(Code::Internal, "no attempt was made");
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(PAUSE * 2u32.pow(attempt - 1) / haste).await;
        }
        let secret = secret(&delivery.secret_file)?;
        let timestamp = jiff::Timestamp::now().as_second();
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("x-herstel-event", delivery.topic.as_str().to_owned()),
            ("x-herstel-delivery", delivery.id.clone()),
            ("x-herstel-timestamp", timestamp.to_string()),
            ("x-herstel-signature", signature(&secret, timestamp, &delivery.body)),
        ];
        let limit = (ANSWER / haste).max(Duration::from_secs(2));
        match http.post(&delivery.url, &headers, delivery.body.clone().into_bytes(), limit).await {
            Ok(_) => return Ok(()),
            Err(fault) => failed = fault,
        }
    }
    Err(failed)
}

/// Every message is written here before it is sent, and marked when it was: whatever dies, none is lost.
#[derive(Clone, Debug)]
pub struct Spool(PathBuf);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Keep(Delivery),
    Sent(String),
}

impl Spool {
    pub fn at(path: PathBuf) -> Spool {
        Spool(path)
    }

    pub fn keep(&self, delivery: &Delivery) -> Result<(), Fault> {
        if std::fs::metadata(&self.0).is_ok_and(|meta| meta.len() > MAX_SPOOL) {
            return Err(Fault::new(Code::DiskError, format!("{} holds enough already", self.0.display())));
        }
        self.write(&Line::Keep(delivery.clone()))
    }

    pub fn sent(&self, id: &str) -> Result<(), Fault> {
        self.write(&Line::Sent(id.to_owned()))
    }

    fn write(&self, line: &Line) -> Result<(), Fault> {
        let mut line = serde_json::to_vec(line).map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
        line.push(b'\n');
        let disk = |e: std::io::Error| Fault::disk(&e);
        append_private(&self.0).map_err(disk)?.write_all(&line).map_err(disk)
    }

    /// All that was never sent; the file holds nothing else from then on. A torn line never was a message.
    pub fn unsent(&self) -> Result<Vec<Delivery>, Fault> {
        let file = match fs_err::File::open(&self.0) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|e| Fault::disk(&e))?,
        };
        let mut text = Vec::new();
        file.take(MAX_SPOOL * 2).read_to_end(&mut text).map_err(|e| Fault::disk(&e))?;
        let mut open: Vec<Delivery> = Vec::new();
        for line in text.split(|byte| *byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(Line::Keep(delivery)) => open.push(delivery),
                Ok(Line::Sent(id)) => open.retain(|delivery| delivery.id != id),
                Err(_) => {}
            }
        }
        let mut kept = Vec::new();
        for delivery in &open {
            let line = serde_json::to_vec(&Line::Keep(delivery.clone()));
            kept.extend(line.map_err(|e| Fault::new(Code::Internal, e.to_string()))?);
            kept.push(b'\n');
        }
        write_private(&self.0, &kept)?;
        Ok(open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_that_every_library_makes() {
        // Checked with `printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key`.
        let known = "sha256=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03";
        assert_eq!(signature(b"key", 1_700_000_000, "{\"a\":1}"), known);
        assert_ne!(signature(b"key", 1_700_000_001, "{\"a\":1}"), known, "the time is signed too");
    }

    #[test]
    fn what_was_not_sent_is_there_after_whatever_happened() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::at(dir.path().join("webhooks.jsonl"));
        let one = Delivery {
            url: "http://127.0.0.1:1/".into(),
            secret_file: "/s".into(),
            topic: Topic::Failed,
            id: "1".into(),
            body: "{}".into(),
        };
        assert!(spool.unsent().unwrap().is_empty(), "no file is no message");
        let two = Delivery { id: "2".into(), ..one.clone() };
        spool.keep(&one).unwrap();
        spool.keep(&two).unwrap();
        spool.sent("1").unwrap();
        append_private(&dir.path().join("webhooks.jsonl")).unwrap().write_all(b"{\"keep\":").unwrap();
        for _ in 0..2 {
            assert_eq!(spool.unsent().unwrap(), std::slice::from_ref(&two), "until it is sent");
        }
        spool.sent("2").unwrap();
        assert!(spool.unsent().unwrap().is_empty());
    }
}
