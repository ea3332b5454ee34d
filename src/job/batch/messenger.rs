//! Tells the outside what happens: hooks and webhooks, beside the batch and never in its way.
//!
//! Messages go into a queue with an end. Hooks run a few at a time; webhooks go one after the other, so that a server
//! sees them in their order. What finds the queue full, or a server that is down, is told as a warning; a webhook stays
//! in the spool then, a hook is not run.

use super::file::{Hooks, Webhook};
use super::hooks;
use super::webhook::{Delivery, Spool, Topic, deliver, wants};
use crate::disk::append_private;
use crate::event::batch::{BatchEvent, BatchTeller, Happened, Press, Row, Wants};
use crate::fault::Fault;
use crate::net::Http;
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

const QUEUE: usize = 256;
const AT_ONCE: usize = 4;
const HOOK: u64 = 30;
/// What is still on its way when the batch is over gets this long, and then is left.
const LAST: Duration = Duration::from_secs(60);

struct Message {
    argv: Vec<String>,
    body: String,
}

/// What a person is asked for.
pub struct Asked {
    pub wants: Option<Wants>,
    pub presses: Vec<Press>,
}

pub struct Messenger {
    hooks: Hooks,
    webhooks: Vec<Webhook>,
    spool: Spool,
    tell: BatchTeller,
    haste: u32,
    is_virtual: bool,
    programs: Option<mpsc::Sender<Message>>,
    letters: Option<mpsc::Sender<Delivery>>,
    workers: JoinSet<()>,
}

impl Messenger {
    /// `folder` is the batch's: the spool and the log of the hooks are in it.
    pub fn new(
        hooks: Hooks,
        webhooks: Vec<Webhook>,
        http: &Http,
        folder: &Path,
        tell: BatchTeller,
        haste: u32,
        is_virtual: bool,
    ) -> Messenger {
        let (programs, messages) = mpsc::channel(QUEUE);
        let (letters, deliveries) = mpsc::channel(QUEUE);
        let spool = Spool::at(folder.join("webhooks.jsonl"));
        let mut workers = JoinSet::new();
        let limit = Duration::from_secs(hooks.seconds.unwrap_or(HOOK));
        workers.spawn(run_hooks(messages, limit, folder.join("hooks.log"), Arc::clone(&tell)));
        workers.spawn(post(deliveries, http.clone(), spool.clone(), haste, Arc::clone(&tell)));
        let (programs, letters) = (Some(programs), Some(letters));
        let messenger = Messenger { hooks, webhooks, spool, tell, haste, is_virtual, programs, letters, workers };
        match messenger.spool.unsent() {
            Ok(left) => left.into_iter().for_each(|delivery| messenger.enqueue(delivery)),
            Err(fault) => warn(&messenger.tell, format!("webhooks of before: {}", fault.detail)),
        }
        messenger
    }

    pub fn send(&self, topic: Topic, row: &Row, asked: &Asked, fault: Option<&Fault>, job: Option<&str>) {
        let body = json!({
            "schema": 1, "topic": topic, "at": jiff::Timestamp::now(), "virtual": self.is_virtual,
            "row": row.row, "ecid": row.ecid, "station": row.station, "title": row.title, "action": row.action,
            "phase": row.phase, "mode": row.mode, "tries": row.tries, "wants": asked.wants, "presses": asked.presses,
            "fault": fault, "job": job,
        })
        .to_string();
        let argv = match topic {
            Topic::Attached => &self.hooks.attached,
            Topic::NeedsPerson => &self.hooks.needs_person,
            Topic::Finished => &self.hooks.finished,
            Topic::Failed => &self.hooks.failed,
        };
        if let (Some(programs), false) = (&self.programs, argv.is_empty())
            && programs.try_send(Message { argv: argv.clone(), body: body.clone() }).is_err()
        {
            warn(&self.tell, format!("hook {}: too many are waiting, not run", topic.as_str()));
        }
        for webhook in self.webhooks.iter().filter(|webhook| wants(webhook, topic)) {
            let delivery = Delivery {
                url: webhook.url.clone(),
                secret_file: webhook.secret_file.clone(),
                topic,
                id: uuid::Uuid::now_v7().to_string(),
                body: body.clone(),
            };
            if let Err(fault) = self.spool.keep(&delivery) {
                warn(&self.tell, format!("webhook {}: not kept: {}", webhook.url, fault.detail));
            }
            self.enqueue(delivery);
        }
    }

    fn enqueue(&self, delivery: Delivery) {
        let (Some(letters), url) = (&self.letters, delivery.url.clone()) else { return };
        if letters.try_send(delivery).is_err() {
            warn(&self.tell, format!("webhook {url}: too many are waiting; kept for --resume"));
        }
    }

    /// Waits for what is on its way, with an end.
    pub async fn finish(&mut self) {
        (self.programs, self.letters) = (None, None);
        let all = async { while self.workers.join_next().await.is_some() {} };
        let limit = (LAST / self.haste.max(1)).max(Duration::from_secs(10));
        if tokio::time::timeout(limit, all).await.is_err() {
            self.workers.shutdown().await;
            warn(&self.tell, "hooks or webhooks that did not end in time were left".into());
        }
    }
}

fn warn(tell: &BatchTeller, text: String) {
    tell.tell(BatchEvent { row: None, ecid: None, station: None, happened: Happened::Warning { text } });
}

async fn run_hooks(mut messages: mpsc::Receiver<Message>, limit: Duration, log: PathBuf, tell: BatchTeller) {
    let (free, log) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(Mutex::new(log)));
    let mut running = JoinSet::new();
    while let Some(message) = messages.recv().await {
        let Ok(turn) = Arc::clone(&free).acquire_owned().await else { return };
        while running.try_join_next().is_some() {}
        let (tell, log) = (Arc::clone(&tell), Arc::clone(&log));
        running.spawn(async move {
            let ran = hooks::run(&message.argv, &message.body, limit).await;
            let line = json!({
                "at": jiff::Timestamp::now(), "argv": message.argv, "trouble": ran.trouble, "output": ran.output,
            });
            let path = log.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = append_private(&path).map(|mut file| writeln!(file, "{line}"));
            drop(path);
            if let Some(trouble) = ran.trouble {
                warn(&tell, format!("hook {trouble}"));
            }
            drop(turn);
        });
    }
    while running.join_next().await.is_some() {}
}

async fn post(mut letters: mpsc::Receiver<Delivery>, http: Http, spool: Spool, haste: u32, tell: BatchTeller) {
    // A server that is down is not tried for each message anew; its messages wait for `--resume`.
    let mut down: Vec<String> = Vec::new();
    while let Some(delivery) = letters.recv().await {
        if down.contains(&delivery.url) {
            continue;
        }
        match deliver(&http, &delivery, haste).await {
            Ok(()) => {
                let _ = spool.sent(&delivery.id);
            }
            Err(fault) => {
                warn(&tell, format!("webhook {}: {}; kept for --resume", delivery.url, fault.detail));
                down.push(delivery.url);
            }
        }
    }
}
