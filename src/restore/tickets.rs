//! The box of tickets: a question is put to Apple once.
//!
//! A restore asks for twenty tickets, some of them twice with the same words (the modem's updater comes back with its
//! nonce), and a resumed one asks for all of them again. So every answer is kept, in memory and as a file, and given
//! again for the same question. What decides is the whole question: the name of a file holds a digest of all that the
//! request binds (nonces, ECID, digests, modes), so no answer to another question can ever be taken for this one.
//! Only the request's own number is left out of it.
//!
//! - A file is the property list as Apple sent it. It is read as an answer from outside is: capped, parsed, compared
//!   with the request; one that does not hold is passed over, and Apple is asked.
//! - Refusals are not kept: what is not signed now may be a fault of the network's, and asking again is cheap.
//! - A question may be put ahead of time. Then whoever asks it in earnest waits for that answer; what went wrong
//!   ahead of time is forgotten, and asked again in earnest.
//! - A ticket that a person brought stands in for Apple's, for the identity that is restored and for no other.

use super::brought::{self, Brought};
use super::ticket::Sign;
use crate::disk::{create_private_folder, write_private};
use crate::event::{Event, Teller};
use crate::fault::{Code, Fault};
use crate::ids::{BuildId, Ecid};
use crate::wire::manifest::xml;
use crate::wire::tss;
use plist::{Dictionary, Value};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::JoinSet;

/// Questions that are remembered: a device that asks new ones for ever gets answers, but fills nothing.
const QUESTIONS: usize = 256;
/// Files that stay, of one device.
const FILES: usize = 64;
const CAP: u64 = 4 << 20;

type Slot = Arc<tokio::sync::Mutex<Option<Dictionary>>>;

/// What a box is for.
pub struct Owner {
    pub ecid: Ecid,
    pub build: BuildId,
    /// `UniqueBuildID` of the identity that is restored: a ticket that was brought is for this one.
    pub identity: Vec<u8>,
}

/// See the module.
pub struct Tickets {
    inner: Arc<Inner>,
    ahead: Mutex<JoinSet<()>>,
}

struct Inner {
    apple: Arc<dyn Sign>,
    owner: Owner,
    /// None: nothing is kept on disk.
    folder: Option<PathBuf>,
    brought: Option<Brought>,
    tell: Teller,
    slots: Mutex<HashMap<[u8; 32], Slot>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tickets {
    /// Answers come from `brought`, then from what was kept in `folder`, then from `apple`.
    pub fn new(
        apple: Arc<dyn Sign>,
        owner: Owner,
        folder: Option<PathBuf>,
        brought: Option<Brought>,
        tell: Teller,
    ) -> Self {
        let inner = Inner { apple, owner, folder, brought, tell, slots: Mutex::default() };
        Tickets { inner: Arc::new(inner), ahead: Mutex::default() }
    }
}

impl Sign for Tickets {
    fn sign<'a>(&'a self, request: Dictionary) -> Pin<Box<dyn Future<Output = Result<Dictionary, Fault>> + Send + 'a>> {
        Box::pin(self.inner.answer(request))
    }

    fn ahead(&self, request: Dictionary) {
        let inner = Arc::clone(&self.inner);
        let mut ahead = lock(&self.ahead);
        while ahead.try_join_next().is_some() {}
        if ahead.len() < QUESTIONS {
            ahead.spawn(async move {
                let kind = Question::of(&request).kind;
                match inner.answer(request).await {
                    Ok(_) => tracing::debug!(kind, "asked ahead of time"),
                    Err(fault) => tracing::info!(kind, %fault, "asked ahead of time, in vain"),
                }
            });
        }
    }
}

impl Inner {
    async fn answer(&self, request: Dictionary) -> Result<Dictionary, Fault> {
        let question = Question::of(&request);
        if let Some(brought) = self.brought.as_ref().filter(|_| question.is_for_boot && self.is_ours(&request)) {
            let answer = brought.answer(&request).map_err(|fault| fault.on(self.owner.ecid))?;
            self.note("the ticket that was given is used");
            return Ok(answer);
        }
        let Some(slot) = self.slot(question.digest) else { return self.apple.sign(request).await };
        let mut kept = slot.lock().await;
        if let Some(answer) = &*kept {
            tracing::debug!(kind = question.kind, "this was asked before");
            return Ok(answer.clone());
        }
        let path = self.folder.as_ref().map(|folder| folder.join(question.file(&self.owner)));
        if let Some(answer) = read(path.clone(), &request, &question).await {
            self.note(&format!("the {} ticket of an earlier run is used", question.kind));
            *kept = Some(answer.clone());
            return Ok(answer);
        }
        let answer = self.apple.sign(request.clone()).await?;
        // A wrong answer is its reader's to refuse; here it only must not be kept.
        if question.is_answered(&request, &answer) {
            if let Some(path) = path
                && let Err(fault) = write(path, &answer, self.owner.ecid).await
            {
                self.tell.tell(Event::Warning { text: format!("a ticket could not be kept: {}", fault.detail) });
            }
            *kept = Some(answer.clone());
        }
        Ok(answer)
    }

    fn is_ours(&self, request: &Dictionary) -> bool {
        request.get("UniqueBuildID").and_then(Value::as_data) == Some(&self.owner.identity)
    }

    fn slot(&self, digest: [u8; 32]) -> Option<Slot> {
        let mut slots = lock(&self.slots);
        if slots.len() >= QUESTIONS && !slots.contains_key(&digest) {
            return None;
        }
        Some(Arc::clone(slots.entry(digest).or_default()))
    }

    fn note(&self, text: &str) {
        self.tell.tell(Event::Note { text: text.to_owned() });
    }
}

/// A request, as far as its answer depends on it.
struct Question {
    digest: [u8; 32],
    /// `ap`, or the chip's word: `bb`, `rap`, `cryptex1`, …
    kind: String,
    /// The tickets that must be in the answer.
    tickets: Vec<String>,
    nonce: String,
    is_for_boot: bool,
}

impl Question {
    fn of(request: &Dictionary) -> Self {
        let mut hash = Sha256::new();
        feed(&mut hash, request, &|key| key == "@UUID");
        let wants = |(key, value): (&String, &Value)| {
            let name = key.strip_prefix('@').filter(|name| name.ends_with("Ticket"))?;
            (value.as_boolean() == Some(true)).then(|| name.to_owned())
        };
        let mut tickets: Vec<String> = request.iter().filter_map(wants).collect();
        // Requests of other chips carry the modem's flag without meaning it.
        if tickets.len() > 1 {
            tickets.retain(|name| name != "BBTicket");
        }
        tickets.sort();
        let is_for_boot = tickets.iter().any(|name| ["ApImg4Ticket", "APTicket"].contains(&name.as_str()));
        let first = tickets.first().map(String::as_str).unwrap_or("other");
        let kind = if is_for_boot { "ap" } else { first.trim_end_matches("Ticket").trim_end_matches(',') };
        let word = kind.chars().filter(char::is_ascii_alphanumeric).take(24).collect::<String>().to_ascii_lowercase();
        let is_nonce = |key: &str| key.split(',').any(|part| part.ends_with("Nonce") && part != "SepNonce");
        let mut nonces: Vec<_> = request.iter().filter(|(key, value)| is_nonce(key) && value.as_data().is_some()).collect();
        nonces.sort_by_key(|(key, _)| key.as_str());
        let nonce = nonces.first().and_then(|(_, value)| value.as_data()).map(|bytes| hex(bytes, 8));
        Question {
            digest: hash.finalize().into(),
            kind: word,
            tickets,
            nonce: nonce.unwrap_or_else(|| "none".into()),
            is_for_boot,
        }
    }

    /// `<ecid>-<build>-<kind>-<nonce>-<question>.plist`
    fn file(&self, owner: &Owner) -> String {
        let build: String =
            owner.build.to_string().chars().filter(char::is_ascii_alphanumeric).take(16).collect();
        format!("{}-{build}-{}-{}-{}.plist", owner.ecid, self.kind, self.nonce, hex(&self.digest, 16))
    }

    /// Does `answer` hold every ticket that was asked for, and the boot ticket one that fits?
    fn is_answered(&self, request: &Dictionary, answer: &Dictionary) -> bool {
        let is_there = |name: &String| answer.get(name).and_then(Value::as_data).is_some_and(|bytes| !bytes.is_empty());
        !self.tickets.is_empty()
            && self.tickets.iter().all(is_there)
            && (!self.is_for_boot || brought::fits(request, answer).is_ok())
    }
}

fn hex(bytes: &[u8], most: usize) -> String {
    bytes.iter().take(most).fold(String::new(), |mut text, byte| {
        // Into memory: it cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A form in which equal requests are equal bytes: keys in order, each value with its kind and length.
fn feed(hash: &mut Sha256, dictionary: &Dictionary, is_left_out: &dyn Fn(&str) -> bool) {
    let mut pairs: Vec<_> = dictionary.iter().filter(|(key, _)| !is_left_out(key)).collect();
    pairs.sort_by_key(|(key, _)| key.as_str());
    head(hash, b'd', pairs.len());
    for (key, value) in pairs {
        head(hash, b'k', key.len());
        hash.update(key);
        feed_value(hash, value);
    }
}

fn head(hash: &mut Sha256, kind: u8, length: usize) {
    hash.update([kind]);
    hash.update((length as u64).to_be_bytes());
}

fn feed_value(hash: &mut Sha256, value: &Value) {
    let mut leaf = |kind: u8, bytes: &[u8]| {
        head(hash, kind, bytes.len());
        hash.update(bytes);
    };
    match value {
        Value::Dictionary(inner) => feed(hash, inner, &|_| false),
        Value::Array(items) => {
            head(hash, b'a', items.len());
            items.iter().for_each(|item| feed_value(hash, item));
        }
        Value::Data(bytes) => leaf(b'b', bytes),
        Value::String(text) => leaf(b's', text.as_bytes()),
        Value::Boolean(truth) => leaf(b't', &[u8::from(*truth)]),
        Value::Integer(number) => leaf(b'i', number.to_string().as_bytes()),
        other => leaf(b'o', format!("{other:?}").as_bytes()),
    }
}

/// What was kept for this very question; none where there is nothing, or nothing good.
async fn read(path: Option<PathBuf>, request: &Dictionary, question: &Question) -> Option<Dictionary> {
    let path = path?;
    let at = path.clone();
    let bytes = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        fs_err::File::open(&at)?.take(CAP + 1).read_to_end(&mut bytes).map(|_| bytes)
    });
    let bytes = bytes.await.ok()?.ok()?;
    let cap = usize::try_from(CAP).unwrap_or(usize::MAX);
    match xml::dictionary("kept ticket", &bytes, cap) {
        Ok(answer) if question.is_answered(request, &answer) => Some(answer),
        told => {
            tracing::warn!(path = %path.display(), error = ?told.err(), "a kept ticket is passed over");
            None
        }
    }
}

async fn write(path: PathBuf, answer: &Dictionary, ecid: Ecid) -> Result<(), Fault> {
    let bytes = tss::encode(answer).map_err(|err| Fault::new(Code::Internal, err.to_string()))?;
    let written = tokio::task::spawn_blocking(move || {
        let folder = path.parent().unwrap_or(Path::new("."));
        create_private_folder(folder)?;
        write_private(&path, &bytes)?;
        prune(folder, ecid);
        Ok(())
    });
    written.await.map_err(|err| Fault::new(Code::Internal, err.to_string()))?
}

/// Tickets are of no use once their nonces are gone: the oldest of this device go.
fn prune(folder: &Path, ecid: Ecid) {
    let prefix = format!("{ecid}-");
    let ours = |entry: std::io::Result<fs_err::DirEntry>| {
        let entry = entry.ok()?;
        let name = entry.file_name().into_string().ok()?;
        let written = entry.metadata().and_then(|m| m.modified()).ok()?;
        (name.starts_with(&prefix) && name.ends_with(".plist")).then(|| (written, entry.path()))
    };
    let Ok(entries) = fs_err::read_dir(folder) else { return };
    let mut files: Vec<_> = entries.filter_map(ours).collect();
    files.sort();
    let too_many = files.len().saturating_sub(FILES);
    for (_, path) in files.into_iter().take(too_many) {
        // Another run may have been quicker.
        let _ = fs_err::remove_file(path);
    }
}
