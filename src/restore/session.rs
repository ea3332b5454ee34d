//! The restore itself: the device leads, we answer.
//!
//! One task reads the control link (`link.rs`), this loop routes what it reads, and whatever takes time
//! runs in tasks of its own (`answering.rs`): answers, the image through ASR, web requests. So a request or a
//! status that comes while the image flows is heard at once, and nothing is ever dropped half way. The device's
//! own last words (StatusMsg, checkpoint text) are the cause that a person sees (`ending.rs`); a link that broke
//! on our side waits a moment for them. However it ends, the link is closed and every task stopped within seconds.

use super::answer::Supplies;
use super::answering::{Answering, Report};
use super::ending::{Ours, Trail};
use super::link::{self, Received, Sender};
use super::ports::{OnMux, Ports, connect};
use crate::event::{Event, Step, Teller};
use crate::fault::{Code, Fault};
use crate::firmware::RootImage;
use crate::mux::{LABEL, Mux};
use crate::wire::restored::names::{self, data};
use crate::wire::restored::{self as wire, Checkpoint, DataRequest, FromDevice, RestoreOptions, ToDevice};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a host-side failure waits for the device's own account of it.
const LAST_WORDS: Duration = Duration::from_secs(20);
/// Teardown after a good end: the device reboots and the link breaks off.
const GOODBYE: Duration = Duration::from_secs(10);
/// What a task may take to notice that it is over.
const STOP: Duration = Duration::from_secs(2);
/// Most requests that may be open at a time: a device has a handful.
const OPEN_REQUESTS: usize = 128;

/// One restore session with the device `device` of usbmuxd.
pub struct Session {
    pub mux: Mux,
    pub device: u32,
    pub supplies: Arc<Supplies>,
    pub image: Arc<RootImage>,
    pub options: RestoreOptions,
    pub allowed: super::fdr::Allowed,
    pub tell: Teller,
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
        let ports = Arc::new(OnMux { mux: self.mux.clone(), device: self.device });
        let (mux, device, allowed, tell) = (self.mux.clone(), self.device, self.allowed, Arc::clone(&self.tell));
        self.conduct(ports, move |ended| super::fdr::serve(mux, device, allowed, tell, ended)).await
    }

    /// The same over any ports, with whatever serves the trust channel until its token is cancelled.
    pub(super) async fn conduct<F>(
        self,
        ports: Arc<dyn Ports>,
        trust: impl FnOnce(CancellationToken) -> F,
    ) -> Result<Restored, Fault>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let ecid = self.supplies.ecid;
        let mut trail = Trail::new(self.options.erase);
        let result = self.hold(ports, trust, &mut trail).await;
        result.map_err(|fault| {
            let fault = if fault.restore.is_some() { fault } else { trail.broken(fault) };
            fault.during(Step::Restore).on(ecid)
        })
    }

    async fn hold<F>(
        self,
        ports: Arc<dyn Ports>,
        trust: impl FnOnce(CancellationToken) -> F,
        trail: &mut Trail,
    ) -> Result<Restored, Fault>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut stream = connect(ports.as_ref(), wire::PORT).await?;
        let protocol = link::greet(&mut stream, self.supplies.ecid).await?;
        let recovery = super::answering::in_time(data::RECOVERY_OS_ROOT_TICKET_DATA, self.supplies.prepare()).await?;
        let options = RestoreOptions { recovery, ..self.options };
        let (sender, mut messages) = link::split(stream, self.silence);
        let start = ToDevice::StartRestore { options: options.build(), protocol };
        trail.start();
        sender.send(&start.build(LABEL)).await?;
        let ended = CancellationToken::new();
        // A session that is dropped takes its listeners along.
        let _guard = ended.clone().drop_guard();
        let mut trust = tokio::spawn(trust(ended.clone()));
        let (reports, mut reported) = mpsc::unbounded_channel();
        let answering = Answering {
            ports,
            supplies: self.supplies,
            image: self.image,
            tell: Arc::clone(&self.tell),
            control: sender.clone(),
            reports,
        };
        let (in_order, requests) = mpsc::channel(OPEN_REQUESTS);
        let mut tasks = JoinSet::new();
        tasks.spawn(answering.clone().in_order(requests));
        let mut router = Router {
            tell: self.tell,
            sender: sender.clone(),
            protocol,
            trail,
            unknown: Vec::new(),
            answering,
            in_order,
            tasks,
        };
        let result = router.route(&mut messages, &mut reported).await;
        ended.cancel();
        let _ = tokio::time::timeout(STOP, router.tasks.shutdown()).await;
        if tokio::time::timeout(STOP, &mut trust).await.is_err() {
            trust.abort();
        }
        sender.close().await;
        result.map(|()| Restored { unknown: router.unknown, tolerated: router.trail.tolerated() })
    }
}

/// The first broken link is the cause; of refusals the latest, since the device went on after the others.
fn note(wrong: Ours, ours: &mut Option<Ours>) {
    if !matches!(ours, Some(Ours::Broken(_))) {
        *ours = Some(wrong);
    }
}

struct Router<'a> {
    tell: Teller,
    sender: Sender,
    protocol: u64,
    trail: &'a mut Trail,
    unknown: Vec<String>,
    answering: Answering,
    in_order: mpsc::Sender<DataRequest>,
    tasks: JoinSet<()>,
}

impl Router<'_> {
    async fn route(
        &mut self,
        messages: &mut mpsc::Receiver<Received>,
        reported: &mut mpsc::UnboundedReceiver<Report>,
    ) -> Result<(), Fault> {
        let mut ours: Option<Ours> = None;
        let mut deadline: Option<tokio::time::Instant> = None;
        loop {
            let until = deadline.unwrap_or_else(|| tokio::time::Instant::now() + Duration::from_secs(3600));
            let wrong = tokio::select! {
                message = messages.recv() => {
                    let received = message.unwrap_or_else(|| Err(Fault::new(Code::LinkLost, "the link is closed")));
                    match received {
                        Ok(FromDevice::Status(status)) if status.number() == 0 => return self.end(messages).await,
                        Ok(FromDevice::Status(status)) => {
                            self.catch_up(reported, &mut ours);
                            return Err(self.trail.given_up(&status, ours));
                        }
                        Ok(message) => self.hear(message).await.err().map(Ours::Broken),
                        Err(fault) => {
                            self.catch_up(reported, &mut ours);
                            return Err(self.trail.cut(fault, ours));
                        }
                    }
                }
                Some(report) = reported.recv() => self.heed(report),
                Some(done) = self.tasks.join_next() => {
                    done.err().map(|e| Ours::Broken(Fault::new(Code::Internal, e.to_string())))
                }
                () = tokio::time::sleep_until(until), if deadline.is_some() => {
                    let fault = ours.map_or_else(|| Fault::new(Code::LinkSilent, "no last words"), Ours::fault);
                    return Err(self.trail.broken(fault));
                }
            };
            if let Some(wrong) = wrong {
                if matches!(wrong, Ours::Broken(_)) {
                    deadline.get_or_insert_with(|| tokio::time::Instant::now() + LAST_WORDS);
                }
                note(wrong, &mut ours);
            }
        }
    }

    /// What the tasks have told until now, before the end is judged.
    fn catch_up(&mut self, reported: &mut mpsc::UnboundedReceiver<Report>, ours: &mut Option<Ours>) {
        while let Ok(report) = reported.try_recv() {
            if let Some(wrong) = self.heed(report) {
                note(wrong, ours);
            }
        }
    }

    fn heed(&mut self, report: Report) -> Option<Ours> {
        match report {
            Report::Ours(wrong) => {
                if let Ours::Refused(fault) = &wrong {
                    self.tell.tell(Event::Warning { text: format!("not answered: {}", fault.detail) });
                }
                Some(wrong)
            }
            Report::Unknown(kind) => {
                self.tell_unknown(kind);
                None
            }
        }
    }

    /// Takes one message that is not the last.
    async fn hear(&mut self, message: FromDevice) -> Result<(), Fault> {
        match message {
            FromDevice::Status(_) => {}
            FromDevice::Progress { operation, percent, .. } => {
                let operation = names::operation_today(operation, self.protocol);
                self.trail.progress(operation, percent);
                let name = names::operation_name(operation, wire::PROTOCOL_VERSION)
                    .map_or_else(|| format!("operation {operation}"), str::to_owned);
                self.tell.tell(Event::Operation { code: operation as i64, name, percent });
            }
            FromDevice::Checkpoint(checkpoint) => self.checkpoint(checkpoint),
            FromDevice::DataRequest(request) if request.port.is_none() => {
                self.trail.asked(&request.data_type);
                // In order on the control link: the device waits for this answer before it goes on.
                let full = |_| Fault::new(Code::LinkAbsurd, format!("more than {OPEN_REQUESTS} requests at a time"));
                self.in_order.try_send(request).map_err(full)?;
            }
            FromDevice::DataRequest(request) | FromDevice::AsyncDataRequest(request) => {
                self.trail.asked(&request.data_type);
                if self.tasks.len() > OPEN_REQUESTS {
                    let text = format!("more than {OPEN_REQUESTS} requests at a time");
                    return Err(Fault::new(Code::LinkAbsurd, text));
                }
                self.tasks.spawn(self.answering.clone().aside(request));
            }
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
        Ok(())
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
        self.trail.checkpoint(checkpoint);
    }

    fn tell_unknown(&mut self, kind: String) {
        self.tell.tell(Event::Warning { text: format!("the device asked for {kind}, which this host cannot answer") });
        self.unknown.push(kind);
    }

    /// Status 0: the system is installed, whatever becomes of the link from now on.
    async fn end(&mut self, messages: &mut mpsc::Receiver<Received>) -> Result<(), Fault> {
        let parting = async {
            if let Err(fault) = self.sender.send(&ToDevice::ReceivedFinalStatus.build(LABEL)).await {
                tracing::info!(%fault, "the device did not wait for the acknowledgement");
            }
            // The reboot breaks the link: that is how this ends, and it must not take for ever.
            while let Some(Ok(_)) = messages.recv().await {}
        };
        let _ = tokio::time::timeout(GOODBYE, parting).await;
        Ok(())
    }
}
