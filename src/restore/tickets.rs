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
        if let Err(why) = question.is_answered(&request, &answer) {
            tracing::warn!(kind = question.kind, why, "an answer that is not kept");
        } else {
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
        let mut nonces: Vec<_> =
            request.iter().filter(|(key, value)| is_nonce(key) && value.as_data().is_some()).collect();
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
        let build: String = owner.build.to_string().chars().filter(char::is_ascii_alphanumeric).take(16).collect();
        format!("{}-{build}-{}-{}-{}.plist", owner.ecid, self.kind, self.nonce, hex(&self.digest, 16))
    }

    /// Does `answer` hold every ticket that was asked for, and the boot ticket one that fits?
    fn is_answered(&self, request: &Dictionary, answer: &Dictionary) -> Result<(), String> {
        let is_there = |name: &&String| answer.get(name).and_then(Value::as_data).is_some_and(|der| !der.is_empty());
        if self.tickets.is_empty() {
            return Err("no ticket was asked for".into());
        }
        if let Some(missing) = self.tickets.iter().find(|name| !is_there(name)) {
            return Err(format!("no {missing} in it"));
        }
        if self.is_for_boot { brought::fits(request, answer) } else { Ok(()) }
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
    let told = xml::dictionary("kept ticket", &bytes, cap).map_err(|err| err.to_string());
    match told.and_then(|answer| question.is_answered(request, &answer).map(|()| answer)) {
        Ok(answer) => Some(answer),
        Err(why) => {
            tracing::warn!(path = %path.display(), why, "a kept ticket is passed over");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Quiet, Recorder};
    use crate::wire::img4::{Im4m, Im4mFields};
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Semaphore;

    const ECID: Ecid = Ecid(0x12_6D0E);
    const IDENTITY: [u8; 20] = [9; 20];

    /// Signs what it is asked, as often as it has permits, and counts.
    struct Apple {
        asked: AtomicUsize,
        permits: Semaphore,
        refuses: bool,
    }

    fn apple(permits: usize) -> Arc<Apple> {
        Arc::new(Apple { asked: AtomicUsize::new(0), permits: Semaphore::new(permits), refuses: false })
    }

    impl Apple {
        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    impl Sign for Apple {
        fn sign<'a>(
            &'a self,
            request: Dictionary,
        ) -> Pin<Box<dyn Future<Output = Result<Dictionary, Fault>> + Send + 'a>> {
            Box::pin(async move {
                self.asked.fetch_add(1, Ordering::SeqCst);
                self.permits.acquire().await.unwrap().forget();
                if self.refuses {
                    return Err(Fault::new(Code::TssNotSigned, "no"));
                }
                let mut answer = Dictionary::new();
                for name in Question::of(&request).tickets {
                    let data = if name == "ApImg4Ticket" { signed(&request) } else { name.clone().into_bytes() };
                    answer.insert(name, Value::Data(data));
                }
                Ok(answer)
            })
        }
    }

    fn signed(request: &Dictionary) -> Vec<u8> {
        let ap_nonce = request.get("ApNonce").and_then(Value::as_data).unwrap_or_default().to_vec();
        let ecid = request.get("ApECID").and_then(Value::as_unsigned_integer).unwrap_or_default();
        Im4m::build(&Im4mFields { ecid, ap_nonce, ..Im4mFields::default() }, |_| vec![1], &[])
    }

    fn boot(nonce: u8) -> Dictionary {
        Dictionary::from_iter([
            ("@ApImg4Ticket".to_owned(), Value::Boolean(true)),
            ("@UUID".to_owned(), uuid::Uuid::new_v4().to_string().into()),
            ("ApECID".to_owned(), ECID.0.into()),
            ("ApNonce".to_owned(), Value::Data(vec![nonce; 32])),
            ("UniqueBuildID".to_owned(), Value::Data(IDENTITY.to_vec())),
        ])
    }

    fn modem(nonce: Option<u8>) -> Dictionary {
        let mut request = Dictionary::from_iter([
            ("@BBTicket".to_owned(), Value::Boolean(true)),
            ("@UUID".to_owned(), uuid::Uuid::new_v4().to_string().into()),
            ("BbSNUM".to_owned(), Value::Data(vec![1; 4])),
        ]);
        nonce.map(|byte| request.insert("BbNonce".into(), Value::Data(vec![byte; 20])));
        request
    }

    fn owner() -> Owner {
        Owner { ecid: ECID, build: "24A446".parse().unwrap(), identity: IDENTITY.to_vec() }
    }

    fn of(apple: &Arc<Apple>, folder: Option<&Path>, brought: Option<Brought>) -> Tickets {
        let apple: Arc<dyn Sign> = Arc::<Apple>::clone(apple);
        Tickets::new(apple, owner(), folder.map(Path::to_owned), brought, Arc::new(Quiet))
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn the_same_question_is_put_once_and_another_one_again() {
        let apple = apple(100);
        let tickets = of(&apple, None, None);
        let first = tickets.sign(boot(1)).await.unwrap();
        assert_eq!(tickets.sign(boot(1)).await.unwrap(), first);
        assert_eq!(apple.asked(), 1);
        // The modem comes without its nonce, with it, and with it again.
        for (nonce, asked) in [(None, 2), (Some(1), 3), (Some(1), 3), (None, 3), (Some(2), 4)] {
            tickets.sign(modem(nonce)).await.unwrap();
            assert_eq!(apple.asked(), asked, "{nonce:?}");
        }
        // All that a request binds counts.
        for (key, value) in [
            ("ApNonce", Value::Data(vec![2; 32])),
            ("ApECID", 0x99_u64.into()),
            ("ApProductionMode", false.into()),
            ("iBEC", Dictionary::from_iter([("Digest".to_owned(), Value::Data(vec![1]))]).into()),
        ] {
            let before = apple.asked();
            let mut other = boot(1);
            other.insert(key.into(), value);
            tickets.sign(other).await.unwrap();
            assert_eq!(apple.asked(), before + 1, "{key}");
        }
    }

    #[tokio::test]
    async fn a_later_run_finds_the_file_and_a_bad_file_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("tickets");
        let apple = apple(100);
        let first = of(&apple, Some(&folder), None).sign(boot(1)).await.unwrap();
        of(&apple, Some(&folder), None).sign(modem(None)).await.unwrap();
        let files = names(&folder);
        assert!(files[0].starts_with("0x126D0E-24A446-ap-0101010101010101-"), "{files:?}");
        assert!(files[1].starts_with("0x126D0E-24A446-bb-none-"), "{files:?}");
        for name in &files {
            let mode = std::fs::metadata(folder.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(of(&apple, Some(&folder), None).sign(boot(1)).await.unwrap(), first);
        assert_eq!(apple.asked(), 2);
        // As received: any reader of property lists reads it.
        assert_eq!(plist::from_file::<_, Dictionary>(folder.join(&files[0])).unwrap(), first);
        let of_another = Dictionary::from_iter([("ApImg4Ticket".to_owned(), Value::Data(signed(&boot(2))))]);
        let of_another = tss::encode(&of_another).unwrap();
        let huge = vec![b' '; CAP as usize + 1];
        for (n, bad) in [&b""[..], b"<plist>", b"bplist00", &of_another, &huge].into_iter().enumerate() {
            std::fs::write(folder.join(&files[0]), bad).unwrap();
            assert_eq!(of(&apple, Some(&folder), None).sign(boot(1)).await.unwrap(), first);
            assert_eq!(apple.asked(), 3 + n, "asked anew");
        }
    }

    #[tokio::test]
    async fn what_is_asked_ahead_is_waited_for_and_not_asked_twice() {
        let apple = apple(0);
        let tickets = Arc::new(of(&apple, None, None));
        tickets.ahead(modem(None));
        let earnest = tokio::spawn({
            let tickets = Arc::clone(&tickets);
            async move { tickets.sign(modem(None)).await }
        });
        while apple.asked() == 0 {
            tokio::task::yield_now().await;
        }
        apple.permits.add_permits(1);
        assert!(earnest.await.unwrap().unwrap().contains_key("BBTicket"));
        assert_eq!(apple.asked(), 1);
    }

    #[tokio::test]
    async fn a_refusal_is_not_kept() {
        let apple = Arc::new(Apple { asked: AtomicUsize::new(0), permits: Semaphore::new(100), refuses: true });
        let tickets = of(&apple, None, None);
        for asked in 1..3 {
            assert_eq!(tickets.sign(boot(1)).await.unwrap_err().code, Code::TssNotSigned);
            assert_eq!(apple.asked(), asked);
        }
    }

    #[tokio::test]
    async fn a_ticket_that_was_brought_stands_in_for_its_identity_only() {
        let apple = apple(100);
        let brought = || Some(Brought::parse(&signed(&boot(1))).unwrap());
        let tickets = of(&apple, None, brought());
        assert!(tickets.sign(boot(1)).await.unwrap().contains_key("ApImg4Ticket"));
        assert_eq!(tickets.sign(boot(2)).await.unwrap_err().code, Code::TicketUnfit);
        assert_eq!(apple.asked(), 0);
        let mut recovery_os = boot(2);
        recovery_os.insert("UniqueBuildID".into(), Value::Data(vec![8; 20]));
        tickets.sign(recovery_os).await.unwrap();
        tickets.sign(modem(None)).await.unwrap();
        assert_eq!(apple.asked(), 2);
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_told_and_no_fault() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("file");
        std::fs::write(&blocked, b"").unwrap();
        let told = Arc::new(Recorder::default());
        let apple = apple(100);
        let sign: Arc<dyn Sign> = Arc::<Apple>::clone(&apple);
        let teller: Teller = Arc::<Recorder>::clone(&told);
        let tickets = Tickets::new(sign, owner(), Some(blocked.join("in it")), None, teller);
        assert!(tickets.sign(boot(1)).await.is_ok() && tickets.sign(boot(1)).await.is_ok());
        assert_eq!(apple.asked(), 1, "memory keeps it");
        assert!(told.events().iter().any(|e| matches!(e, Event::Warning { .. })));
    }

    #[tokio::test]
    async fn old_files_of_this_device_go_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("0x1-24A446-ap-00-00.plist");
        std::fs::write(&other, b"").unwrap();
        let apple = apple(1000);
        let tickets = of(&apple, Some(folder.path()), None);
        for nonce in 0..FILES + 6 {
            tickets.sign(modem(Some(nonce as u8))).await.unwrap();
        }
        assert_eq!(names(folder.path()).len(), FILES + 1);
        assert!(other.exists());
    }

    #[test]
    fn a_name_from_a_device_makes_no_path() {
        let request = Dictionary::from_iter([
            ("@../../etc/Ticket".to_owned(), Value::Boolean(true)),
            ("Evil,Nonce".to_owned(), Value::Data(vec![1; 9000])),
        ]);
        let name = Question::of(&request).file(&owner());
        assert!(!name.contains('/') && !name.contains("..") && name.len() < 160, "{name}");
    }
}
