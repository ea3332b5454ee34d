//! The restore itself: the device leads, we answer.
//!
//! One task reads the control link (`link.rs`), this loop routes what it reads, and whatever takes time
//! runs in tasks of its own: the image through ASR, answers on data ports, web requests. So a request that
//! comes while the image flows is answered at once, and nothing is ever dropped half way. The device's own
//! last words (StatusMsg, checkpoint text) are the cause that a person sees; a host-side failure waits a
//! moment for them.

use super::answer::{Answer, Supplies};
use super::asr;
use super::large;
use super::link::{self, Received, Sender};
use super::pieces;
use crate::event::{Event, Step, Teller};
use crate::fault::{Code, Fault};
use crate::firmware::RootImage;
use crate::ids::Ecid;
use crate::mux::{BoxDuplex, LABEL, Mux, MuxError};
use crate::wire::restored::names;
use crate::wire::restored::{
    self as wire, Checkpoint, DataRequest, FromDevice, RestoreOptions, Status, ToDevice, TypeAnswer,
};
use plist::{Dictionary, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const QUESTION: Duration = Duration::from_secs(15);
/// A data port may not listen yet: 30 tries, 2 s apart, as the field does it.
const PORT_TRIES: u32 = 30;
const PORT_PAUSE: Duration = Duration::from_secs(2);
/// How long a host-side failure waits for the device's own account of it.
const LAST_WORDS: Duration = Duration::from_secs(20);
/// Teardown after a good end: the device reboots and the link breaks off.
const GOODBYE: Duration = Duration::from_secs(10);
/// Most bytes that are taken of a device's own output (logs of updaters).
const TAKE_CAP: u64 = 64 << 20;

/// One restore session with the device `device` of usbmuxd.
pub struct Session {
    pub mux: Mux,
    pub device: u32,
    pub supplies: Arc<Supplies>,
    pub image: Arc<RootImage>,
    pub options: RestoreOptions,
    pub allowed: super::fdr::Allowed,
    pub tell: Teller,
    pub cancel: CancellationToken,
    /// Longest silence on the control link.
    pub silence: Duration,
}

/// A restore that ended well.
#[derive(Debug, Default)]
pub struct Restored {
    /// Requests answered with nothing because their type is unknown.
    pub unknown: Vec<String>,
    /// An error that the device tolerated (it is repeated, but the end was good).
    pub tolerated: Option<String>,
}

impl Session {
    /// Runs to the device's final status.
    pub async fn run(self) -> Result<Restored, Fault> {
        let ecid = self.supplies.ecid;
        let result = self.run_inner().await;
        result.map_err(|fault| fault.during(Step::Restore).on(ecid))
    }

    async fn run_inner(mut self) -> Result<Restored, Fault> {
        let mut stream = connect(&self.mux, self.device, wire::PORT).await?;
        let protocol = greet(&mut stream, self.supplies.ecid).await?;
        self.options.recovery = self.supplies.prepare().await?;
        let (sender, mut messages) = link::split(stream, self.silence);
        let start = ToDevice::StartRestore { options: self.options.build(), protocol };
        sender.send(&start.build(LABEL)).await?;
        let ended = CancellationToken::new();
        // A session that is dropped takes its listeners along.
        let _guard = ended.clone().drop_guard();
        let fdr = super::fdr::serve(self.mux.clone(), self.device, self.allowed, Arc::clone(&self.tell), ended.clone());
        let fdr = tokio::spawn(fdr);
        let mut router = Router {
            mux: self.mux,
            device: self.device,
            supplies: self.supplies,
            image: self.image,
            tell: self.tell,
            sender,
            protocol,
            last: None,
            restored: Restored::default(),
            tasks: JoinSet::new(),
        };
        let result = router.route(&mut messages, &self.cancel).await;
        ended.cancel();
        router.tasks.abort_all();
        let _ = tokio::time::timeout(Duration::from_secs(2), fdr).await;
        result.map(|()| router.restored)
    }
}

/// Who is there? Protocol number, after the ECID was checked (law 1).
async fn greet(stream: &mut BoxDuplex, ecid: Ecid) -> Result<u64, Fault> {
    let answer = link::ask(stream, &ToDevice::QueryType.build(LABEL), QUESTION).await?;
    let kind = TypeAnswer::parse(&answer)?;
    if kind.kind != wire::TYPE {
        return Err(Fault::new(Code::WrongMode, format!("the device answers as {}", kind.kind)));
    }
    let query = ToDevice::QueryValue { key: "HardwareInfo".into() };
    let answer = link::ask(stream, &query.build(LABEL), QUESTION).await?;
    let info = answer.get("HardwareInfo").and_then(Value::as_dictionary);
    let found = info.and_then(|i| i.get("UniqueChipID")).and_then(Value::as_unsigned_integer).map(Ecid);
    if found != Some(ecid) {
        let found = found.map(|e| e.to_string()).unwrap_or_else(|| "no ECID".into());
        return Err(Fault::new(Code::StrangerDevice, format!("in restore mode: {found}, wanted {ecid}")));
    }
    Ok(kind.protocol)
}

async fn connect(mux: &Mux, device: u32, port: u16) -> Result<BoxDuplex, Fault> {
    let mut tries = 0;
    loop {
        match mux.connect(device, port).await {
            Ok(stream) => return Ok(stream),
            Err(MuxError::Refused(_)) if tries < PORT_TRIES => {
                // The first refusals are routine and short.
                let pause = if tries < 5 { Duration::from_millis(100) } else { PORT_PAUSE };
                tries += 1;
                tokio::time::sleep(pause).await;
            }
            Err(err) => return Err(err.into()),
        }
    }
}

struct Router {
    mux: Mux,
    device: u32,
    supplies: Arc<Supplies>,
    image: Arc<RootImage>,
    tell: Teller,
    sender: Sender,
    protocol: u64,
    last: Option<Checkpoint>,
    restored: Restored,
    tasks: JoinSet<Result<(), Fault>>,
}

impl Router {
    async fn route(
        &mut self,
        messages: &mut mpsc::Receiver<Received>,
        cancel: &CancellationToken,
    ) -> Result<(), Fault> {
        let mut ours: Option<Fault> = None;
        let mut deadline: Option<tokio::time::Instant> = None;
        let mut told = false;
        loop {
            let until = deadline.unwrap_or_else(|| tokio::time::Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                message = messages.recv() => {
                    let received = message.unwrap_or_else(|| Err(Fault::new(Code::LinkLost, "the link is closed")));
                    match received {
                        Ok(message) => match self.hear(message).await {
                            Ok(None) => {}
                            Ok(Some(status)) => return self.end(&status, ours, messages).await,
                            Err(fault) => { ours.get_or_insert(fault); deadline.get_or_insert_with(last_words); }
                        },
                        Err(fault) => return Err(ours.unwrap_or_else(|| self.broken(fault))),
                    }
                }
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    let done = done.unwrap_or_else(|e| Err(Fault::new(Code::Internal, e.to_string())));
                    if let Err(fault) = done {
                        tracing::warn!(%fault, "an answer failed");
                        ours.get_or_insert(fault);
                        deadline.get_or_insert_with(last_words);
                    }
                }
                () = tokio::time::sleep_until(until), if deadline.is_some() => {
                    return Err(ours.unwrap_or_else(|| Fault::new(Code::LinkSilent, "no last words")));
                }
                () = cancel.cancelled(), if !told => {
                    told = true;
                    let text = "a restore cannot stop half way: the device would not start until it is restored again";
                    self.tell.tell(Event::Warning { text: text.into() });
                }
            }
        }
    }

    /// Takes one message; gives the final status when it is one.
    async fn hear(&mut self, message: FromDevice) -> Result<Option<Status>, Fault> {
        match message {
            FromDevice::Status(status) => return Ok(Some(status)),
            FromDevice::Progress { operation, percent, .. } => {
                let name = names::operation_name(operation, self.protocol)
                    .map_or_else(|| format!("operation {operation}"), str::to_owned);
                self.tell.tell(Event::Operation { code: operation as i64, name, percent });
            }
            FromDevice::Checkpoint(checkpoint) => self.checkpoint(checkpoint),
            FromDevice::DataRequest(request) if request.port.is_none() => {
                // In order on the control link: the device waits for this answer before it goes on.
                self.answer_here(request).await?;
            }
            FromDevice::DataRequest(request) | FromDevice::AsyncDataRequest(request) => self.answer_there(request),
            FromDevice::BbUpdateStatus(status) => {
                if !status.accepted {
                    let error = status.error.unwrap_or_else(|| "no reason given".into());
                    self.tell.tell(Event::Warning { text: format!("baseband update not accepted: {error}") });
                }
            }
            FromDevice::PreviousRestoreLog(log) => tracing::info!(log, "the device's log of an earlier restore"),
            FromDevice::RestoredCrash { backtrace } => {
                let place = backtrace.first().cloned().unwrap_or_default();
                return Err(Fault::new(Code::RestoreFailed, format!("restored crashed: {place}")));
            }
            FromDevice::AsyncWait { .. } => {}
            FromDevice::RestoreAttestation => self.sender.send(&ToDevice::Attest(false).build(LABEL)).await?,
            FromDevice::Other { kind, .. } => {
                tracing::info!(kind, "a message of restored that is not known");
            }
        }
        Ok(None)
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) {
        if checkpoint.complete || checkpoint.failed() {
            let name = checkpoint.name.clone().or_else(|| checkpoint.id.name().map(str::to_owned)).unwrap_or_default();
            self.tell.tell(Event::Checkpoint {
                id: checkpoint.id.0.into(),
                name,
                result: checkpoint.result,
                error: checkpoint.error.clone(),
            });
        }
        if checkpoint.result == 0 && checkpoint.error.is_some() {
            self.restored.tolerated.clone_from(&checkpoint.error);
        }
        // Clean-up steps succeed after a failure: the failed one is the one worth telling.
        if !self.last.as_ref().is_some_and(Checkpoint::failed) {
            self.last = Some(checkpoint);
        }
    }

    fn answers(&self, request: DataRequest) -> Answering {
        Answering {
            mux: self.mux.clone(),
            device: self.device,
            supplies: Arc::clone(&self.supplies),
            image: Arc::clone(&self.image),
            tell: Arc::clone(&self.tell),
            request,
        }
    }

    async fn answer_here(&mut self, request: DataRequest) -> Result<(), Fault> {
        let kind = request.data_type.clone();
        let answer = self.supplies.answer(&request).await.map_err(|f| asked_for(f, &kind))?;
        match answer {
            Answer::Image => {
                let answering = self.answers(request);
                self.tasks.spawn(async move { answering.image().await });
            }
            Answer::OtherImage(image) => {
                let answering = Answering { image: Arc::new(image), ..self.answers(request) };
                self.tasks.spawn(async move { answering.image().await });
            }
            Answer::Take => {}
            Answer::Unknown | Answer::Bytes(_) => {
                self.unknown(&kind);
                self.sender.send(&Dictionary::new()).await?;
            }
            // In a task: a phone that gets an archive asks for its key before it takes the rest.
            Answer::Pieces(source) => {
                let sender = self.sender.clone();
                self.tasks
                    .spawn(async move { pieces::send(&sender, source).await.map_err(|fault| asked_for(fault, &kind)) });
            }
            Answer::One(answer) => self.sender.send(&answer).await?,
            Answer::Images(answer) => large::send(&self.sender, answer).await?,
        }
        Ok(())
    }

    fn answer_there(&mut self, request: DataRequest) {
        if !self.supplies.answers(&request) {
            self.unknown(&request.data_type);
        }
        let answering = self.answers(request);
        let sender = self.sender.clone();
        self.tasks.spawn(async move { answering.serve(&sender).await });
    }

    fn unknown(&mut self, kind: &str) {
        self.tell.tell(Event::Warning { text: format!("the device asked for {kind}, which this host cannot answer") });
        self.restored.unknown.push(kind.to_owned());
    }

    /// A broken link, told with the last thing that was known.
    fn broken(&self, fault: Fault) -> Fault {
        let Some(last) = &self.last else { return fault };
        let name = last.name.as_deref().or(last.id.name()).unwrap_or("?");
        Fault { detail: format!("{}; the last checkpoint was {} {name}", fault.detail, last.id), ..fault }
    }

    async fn end(
        &mut self,
        status: &Status,
        ours: Option<Fault>,
        messages: &mut mpsc::Receiver<Received>,
    ) -> Result<(), Fault> {
        if status.number() != 0 {
            return Err(self.failure(status, ours));
        }
        self.sender.send(&ToDevice::ReceivedFinalStatus.build(LABEL)).await?;
        // The reboot breaks the link: that is how this ends, and it must not take for ever.
        let gone = async { while let Some(Ok(_)) = messages.recv().await {} };
        let _ = tokio::time::timeout(GOODBYE, gone).await;
        self.sender.close().await;
        Ok(())
    }

    fn failure(&self, status: &Status, ours: Option<Fault>) -> Fault {
        let number = status.number();
        let failed = self.last.as_ref().filter(|c| c.failed());
        let mut words = vec![format!("status {number}")];
        if let Some(checkpoint) = failed {
            let name = checkpoint.name.as_deref().or(checkpoint.id.name()).unwrap_or("?");
            words.push(format!("at checkpoint {} {name}", checkpoint.id));
            words.extend(checkpoint.error.clone());
        }
        words.extend(status.chain.iter().map(|link| format!("{}/{}: {}", link.domain, link.code, link.text)));
        if let Some(ours) = ours {
            words.push(format!("our side: {}", ours.detail));
        }
        let refused = failed.is_some_and(|c| c.id.name() == Some("is_host_compatible"));
        let code = match number {
            _ if refused => Code::HostUnsupported,
            53 => Code::FdrFailed,
            68 => Code::UpdateImpossible,
            _ => Code::RestoreFailed,
        };
        Fault::new(code, words.join("; ")).number(number)
    }
}

fn last_words() -> tokio::time::Instant {
    tokio::time::Instant::now() + LAST_WORDS
}

fn asked_for(fault: Fault, kind: &str) -> Fault {
    Fault { detail: format!("{kind}: {}", fault.detail), ..fault }
}

/// One answer in a task of its own.
struct Answering {
    mux: Mux,
    device: u32,
    supplies: Arc<Supplies>,
    image: Arc<RootImage>,
    tell: Teller,
    request: DataRequest,
}

impl Answering {
    async fn image(self) -> Result<(), Fault> {
        let link = connect(&self.mux, self.device, self.request.port.unwrap_or(crate::wire::asr::PORT)).await?;
        self.tell.tell(Event::StepBegan { step: Step::SendImage, what: String::new() });
        asr::serve(link, self.image, self.tell.as_ref()).await?;
        self.tell.tell(Event::StepDone { step: Step::SendImage, what: String::new() });
        Ok(())
    }

    /// On the data port that the device named, or on the control link for an asynchronous request without one.
    async fn serve(self, control: &Sender) -> Result<(), Fault> {
        let kind = self.request.data_type.clone();
        let answer = self.supplies.answer(&self.request).await.map_err(|f| asked_for(f, &kind))?;
        let answer = match answer {
            Answer::Image => return self.image().await,
            Answer::OtherImage(image) => return Answering { image: Arc::new(image), ..self }.image().await,
            answer => answer,
        };
        let Some(port) = self.request.port else {
            return send_all(control, answer).await;
        };
        let mut stream = connect(&self.mux, self.device, port).await?;
        if let Answer::Bytes(bytes) = &answer {
            let sent = async {
                stream.write_all(bytes).await?;
                stream.shutdown().await
            };
            let sent = tokio::time::timeout(Duration::from_secs(60), sent).await;
            let silent = || Fault::new(Code::LinkSilent, "the device took nothing for 60 s");
            return sent.map_err(|_| silent())?.map_err(|e| Fault::link(&e));
        }
        if matches!(answer, Answer::Take) {
            let mut taken = Vec::new();
            stream.take(TAKE_CAP).read_to_end(&mut taken).await.map_err(|e| Fault::link(&e))?;
            tracing::info!(kind, bytes = taken.len(), "output of the device");
            return Ok(());
        }
        let (sender, mut rest) = link::split(stream, Duration::from_secs(60));
        send_all(&sender, answer).await?;
        sender.close().await;
        // Until the device closes its end: dropping earlier could cut off what is still under way.
        let closed = async { while let Some(Ok(_)) = rest.recv().await {} };
        let _ = tokio::time::timeout(Duration::from_secs(60), closed).await;
        Ok(())
    }
}

async fn send_all(sender: &Sender, answer: Answer) -> Result<(), Fault> {
    match answer {
        Answer::One(answer) => sender.send(&answer).await,
        Answer::Images(answer) => large::send(sender, answer).await,
        Answer::Pieces(source) => pieces::send(sender, source).await,
        Answer::Unknown | Answer::Take | Answer::Image | Answer::OtherImage(_) | Answer::Bytes(_) => {
            sender.send(&Dictionary::new()).await
        }
    }
}
