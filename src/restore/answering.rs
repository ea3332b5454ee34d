//! The tasks that answer.
//!
//! Requests for the control link are answered by one task, one after the other, since a device takes the answers
//! in the order of its requests. Those for a data port, and the image, have a task each. Nothing here holds up the
//! reader: while Apple is asked for a signature, a status of the device is heard.
//!
//! Whatever cannot be answered is refused in so many words, with an empty dictionary, and reported: a device that
//! gets nothing would wait for ever, and whether it can do without is its own to decide.

use super::answer::{Answer, Supplies};
use super::asr;
use super::ending::Ours;
use super::large;
use super::link::{self, Sender};
use super::pieces;
use super::ports::{Ports, connect};
use crate::event::{Event, Step, Teller};
use crate::fault::{Code, Fault, Retry};
use crate::firmware::RootImage;
use crate::wire::restored::DataRequest;
use crate::wire::restored::names::data;
use plist::Dictionary;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What an answer may take to be made: a signature of Apple's, a key, a large component.
const MAKING: Duration = Duration::from_secs(180);
/// How long a device may leave a data port as it is: not reading, not sending, not closing.
const IDLE: Duration = Duration::from_secs(60);
/// Most bytes that are taken of a device's own output (logs of updaters).
const TAKE_CAP: u64 = 64 << 20;

/// What a task tells the session.
pub(super) enum Report {
    Ours(Ours),
    /// Nobody here knows this type.
    Unknown(String),
}

#[derive(Clone)]
pub(super) struct Answering {
    pub ports: Arc<dyn Ports>,
    pub supplies: Arc<Supplies>,
    pub image: Arc<RootImage>,
    pub tell: Teller,
    pub control: Sender,
    pub reports: mpsc::UnboundedSender<Report>,
}

impl Answering {
    /// Answers on the control link, in order, until there are no more requests or the link takes none.
    pub async fn in_order(self, mut requests: mpsc::Receiver<DataRequest>) {
        // Images and files asked for here go across beside the next requests: a device that gets an archive asks for
        // its key before it takes the rest.
        let mut beside = JoinSet::new();
        while let Some(request) = requests.recv().await {
            match self.made(&request).await {
                Answer::Image => drop(beside.spawn(self.clone().image(request.port))),
                Answer::OtherImage(image) => drop(beside.spawn(self.clone().with(image).image(request.port))),
                answer @ Answer::Pieces(_) => {
                    let task = self.clone();
                    beside.spawn(async move {
                        if let Err(fault) = send_all(&task.control, answer).await {
                            task.broken(asked_for(fault, &request.data_type));
                        }
                    });
                }
                Answer::Take => {}
                answer => {
                    if let Err(fault) = send_all(&self.control, answer).await {
                        return self.broken(asked_for(fault, &request.data_type));
                    }
                }
            }
        }
        while beside.join_next().await.is_some() {}
    }

    /// Answers one request on the data port that the device named, or on the control link if it named none.
    pub async fn aside(self, request: DataRequest) {
        let answer = self.made(&request).await;
        let kind = request.data_type;
        let served = match (answer, request.port) {
            (Answer::Image, port) => return self.image(port).await,
            (Answer::OtherImage(image), port) => return self.with(image).image(port).await,
            (answer, None) => send_all(&self.control, answer).await,
            (answer, Some(port)) => self.on_port(&kind, port, answer).await,
        };
        if let Err(fault) = served {
            self.broken(asked_for(fault, &kind));
        }
    }

    /// The same, with another image than the main system's.
    fn with(self, image: RootImage) -> Self {
        Answering { image: Arc::new(image), ..self }
    }

    async fn image(self, port: Option<u16>) {
        let going = async {
            let link = connect(self.ports.as_ref(), port.unwrap_or(crate::wire::asr::PORT)).await?;
            self.tell.tell(Event::StepBegan { step: Step::SendImage, what: String::new() });
            asr::serve(link, Arc::clone(&self.image), self.tell.as_ref()).await?;
            self.tell.tell(Event::StepDone { step: Step::SendImage, what: String::new() });
            Ok::<_, Fault>(())
        };
        if let Err(fault) = going.await {
            self.broken(fault.during(Step::SendImage));
        }
    }

    async fn on_port(&self, kind: &str, port: u16, answer: Answer) -> Result<(), Fault> {
        let mut stream = connect(self.ports.as_ref(), port).await?;
        if let Answer::Bytes(bytes) = &answer {
            let sent = async {
                stream.write_all(bytes).await?;
                stream.shutdown().await
            };
            let sent = tokio::time::timeout(IDLE, sent).await;
            let silent = || Fault::new(Code::LinkSilent, format!("the device took nothing for {} s", IDLE.as_secs()));
            return sent.map_err(|_| silent())?.map_err(|e| Fault::link(&e));
        }
        if matches!(answer, Answer::Take) {
            let taken = take(&mut stream).await?;
            tracing::info!(kind, bytes = taken.len(), "output of the device");
            return Ok(());
        }
        if let Answer::Bytes(bytes) = &answer {
            let sent = async {
                stream.write_all(bytes).await?;
                stream.shutdown().await
            };
            let sent = tokio::time::timeout(IDLE, sent).await;
            let silent = || Fault::new(Code::LinkSilent, "the device takes no more data");
            return sent.map_err(|_| silent())?.map_err(|e| Fault::link(&e));
        }
        let (sender, mut rest) = link::split(stream, IDLE);
        send_all(&sender, answer).await?;
        sender.close().await;
        // Until the device closes its end: dropping earlier could cut off what is still under way.
        let closed = async { while let Some(Ok(_)) = rest.recv().await {} };
        let _ = tokio::time::timeout(IDLE, closed).await;
        Ok(())
    }

    /// The answer, or the refusal that stands for it.
    async fn made(&self, request: &DataRequest) -> Answer {
        let kind = request.data_type.as_str();
        let fault = match in_time(kind, self.supplies.answer(request)).await {
            // Bytes without a port have no place to go.
            Ok(answer) if is_none(&answer, request) => {
                let _ = self.reports.send(Report::Unknown(kind.to_owned()));
                return Answer::Unknown;
            }
            Ok(answer) => return answer,
            Err(fault) => of_one_chip(fault),
        };
        tracing::warn!(%fault, kind, "refused");
        let _ = self.reports.send(Report::Ours(Ours::Refused(asked_for(fault, kind))));
        Answer::One(Dictionary::new())
    }

    fn broken(&self, fault: Fault) {
        tracing::warn!(%fault, "an answer did not get across");
        let _ = self.reports.send(Report::Ours(Ours::Broken(fault)));
    }
}

/// By now the system is signed and running its installer, so a refusal is about one chip of the device, and whether
/// the version is signed is no longer the question.
fn of_one_chip(fault: Fault) -> Fault {
    match fault.code {
        Code::TssNotSigned | Code::TssRefused => {
            let code = Code::TssRefused;
            Fault { code, class: code.class(), retry: Retry::AfterRemedy, ..fault }
        }
        _ => fault,
    }
}

/// What is made for a request of this type, or the fault of whoever took too long for it.
pub(super) async fn in_time<T>(kind: &str, made: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let late = || Fault::new(slow(kind), format!("it was not there within {} s", MAKING.as_secs()));
    tokio::time::timeout(MAKING, made).await.unwrap_or_else(|_| Err(late()))
}

/// Who it was that took so long.
fn slow(kind: &str) -> Code {
    match kind {
        data::URL_ASSET | data::STREAMED_IMAGE_DECRYPTION_KEY => Code::DownloadStalled,
        data::BASEBAND_DATA | data::RECOVERY_OS_ROOT_TICKET_DATA => Code::TssUnreachable,
        _ if kind.starts_with(data::FIRMWARE_UPDATER_DATA) => Code::TssUnreachable,
        _ => Code::DiskError,
    }
}

fn asked_for(fault: Fault, kind: &str) -> Fault {
    Fault { detail: format!("{kind}: {}", fault.detail), ..fault }
}

/// What the device sends until it closes.
async fn take(stream: &mut crate::mux::BoxDuplex) -> Result<Vec<u8>, Fault> {
    let (mut taken, mut piece) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let read = tokio::time::timeout(IDLE, stream.read(&mut piece)).await;
        let read = read.map_err(|_| Fault::new(Code::LinkSilent, "the device's output does not end"))?;
        let bytes = piece.get(..read.map_err(|e| Fault::link(&e))?).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(taken);
        }
        if (taken.len() + bytes.len()) as u64 > TAKE_CAP {
            return Err(Fault::new(Code::LinkAbsurd, format!("an output of more than {TAKE_CAP} bytes")));
        }
        taken.extend_from_slice(bytes);
    }
}

fn is_none(answer: &Answer, request: &DataRequest) -> bool {
    matches!(answer, Answer::Unknown) || (matches!(answer, Answer::Bytes(_)) && request.port.is_none())
}

async fn send_all(control: &Sender, answer: Answer) -> Result<(), Fault> {
    match answer {
        Answer::One(answer) => control.send(&answer).await,
        Answer::Images(answer) => large::send(control, answer).await,
        Answer::Pieces(source) => pieces::send(control, source).await,
        Answer::Unknown | Answer::Take | Answer::Image | Answer::OtherImage(_) | Answer::Bytes(_) => {
            control.send(&Dictionary::new()).await
        }
    }
}
