//! The control link to restored: one task reads, anybody may write.
//!
//! A reader that is cancelled half way through a message loses the link's step for good, so reading has a
//! task of its own that is never interrupted; messages reach the session through a channel. Silence is
//! noticed on any message, not on percentages: some operations say nothing for many minutes.

use crate::fault::{Code, Fault};
use crate::ids::Ecid;
use crate::mux::{BoxDuplex, LABEL};
use crate::wire::restored::{self as wire, FromDevice, ToDevice, TypeAnswer};
use plist::{Dictionary, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Mutex, mpsc};

/// Longest silence of a device that works: sealing and verifying have been seen to take most of ten minutes.
pub const SILENCE: Duration = Duration::from_secs(15 * 60);
/// For one question before the restore begins.
const QUESTION: Duration = Duration::from_secs(15);
const WRITE_LIMIT: Duration = Duration::from_secs(120);

/// The sending half; cheap to clone, whole messages only.
#[derive(Clone)]
pub struct Sender(Arc<Mutex<WriteHalf<BoxDuplex>>>);

impl Sender {
    pub async fn send(&self, message: &Dictionary) -> Result<(), Fault> {
        let bytes = wire::frame(message);
        let mut half = self.0.lock().await;
        let write = async {
            half.write_all(&bytes).await?;
            half.flush().await
        };
        match tokio::time::timeout(WRITE_LIMIT, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(err)) => Err(Fault::link(&err)),
            Err(_) => Err(Fault::new(Code::LinkSilent, "the device takes no more data")),
        }
    }

    /// One message that comes in pieces; nothing else is sent before its end.
    pub async fn send_pieces(&self, mut pieces: mpsc::Receiver<Result<Vec<u8>, Fault>>) -> Result<(), Fault> {
        let mut half = self.0.lock().await;
        let silent = || Fault::new(Code::LinkSilent, "the device takes no more data");
        while let Some(piece) = pieces.recv().await {
            let write = tokio::time::timeout(WRITE_LIMIT, half.write_all(&piece?)).await;
            write.map_err(|_| silent())?.map_err(|e| Fault::link(&e))?;
        }
        tokio::time::timeout(WRITE_LIMIT, half.flush()).await.map_err(|_| silent())?.map_err(|e| Fault::link(&e))
    }

    pub async fn close(&self) {
        let _ = tokio::time::timeout(Duration::from_secs(2), async { self.0.lock().await.shutdown().await }).await;
    }
}

/// What the reader task saw.
pub type Received = Result<FromDevice, Fault>;

/// Splits a link that already speaks restored; the receiver closes after the first fault.
pub fn split(stream: BoxDuplex, silence: Duration) -> (Sender, mpsc::Receiver<Received>) {
    let (read, write) = tokio::io::split(stream);
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(read_all(read, sender, silence));
    (Sender(Arc::new(Mutex::new(write))), receiver)
}

async fn read_all(mut half: ReadHalf<BoxDuplex>, sender: mpsc::Sender<Received>, silence: Duration) {
    loop {
        let read = tokio::select! {
            read = tokio::time::timeout(silence, message(&mut half)) => read,
            // Nobody listens any more; half a message is no loss then.
            () = sender.closed() => return,
        };
        let received = match read {
            Ok(received) => received.and_then(|m| FromDevice::parse(&m).map_err(Fault::from)),
            Err(_) => {
                let detail = format!("restored said nothing for {} s", silence.as_secs());
                Err(Fault::new(Code::LinkSilent, detail))
            }
        };
        let ends = received.is_err();
        if sender.send(received).await.is_err() || ends {
            return;
        }
    }
}

async fn message(half: &mut (impl AsyncRead + Unpin)) -> Result<Dictionary, Fault> {
    let mut prefix = [0; 4];
    half.read_exact(&mut prefix).await.map_err(|e| Fault::link(&e))?;
    let length = wire::length(prefix, wire::FROM_DEVICE_CAP)?;
    // Grown as bytes arrive: a claimed length alone allocates nothing.
    let mut body = Vec::with_capacity(length.min(64 << 10));
    let read = half.take(length as u64).read_to_end(&mut body).await.map_err(|e| Fault::link(&e))?;
    if read < length {
        return Err(Fault::new(Code::LinkLost, "the link broke off in the middle of a message"));
    }
    Ok(wire::parse(&body)?)
}

/// Who is there? Protocol number, after the ECID was checked (law 1).
pub async fn greet(stream: &mut BoxDuplex, ecid: Ecid) -> Result<u64, Fault> {
    let answer = ask(stream, &ToDevice::QueryType.build(LABEL)).await?;
    let kind = TypeAnswer::parse(&answer)?;
    if kind.kind != wire::TYPE {
        return Err(Fault::new(Code::WrongMode, format!("the device answers as {}", kind.kind)));
    }
    let query = ToDevice::QueryValue { key: "HardwareInfo".into() };
    let answer = ask(stream, &query.build(LABEL)).await?;
    let info = answer.get("HardwareInfo").and_then(Value::as_dictionary);
    let found = info.and_then(|i| i.get("UniqueChipID")).and_then(Value::as_unsigned_integer).map(Ecid);
    if found != Some(ecid) {
        let found = found.map(|e| e.to_string()).unwrap_or_else(|| "no ECID".into());
        return Err(Fault::new(Code::StrangerDevice, format!("in restore mode: {found}, wanted {ecid}")));
    }
    Ok(kind.protocol)
}

/// One question before the restore begins.
async fn ask(stream: &mut BoxDuplex, request: &Dictionary) -> Result<Dictionary, Fault> {
    let exchange = async {
        stream.write_all(&wire::frame(request)).await.map_err(|e| Fault::link(&e))?;
        stream.flush().await.map_err(|e| Fault::link(&e))?;
        message(stream).await
    };
    match tokio::time::timeout(QUESTION, exchange).await {
        Ok(answer) => answer,
        Err(_) => Err(Fault::new(Code::LinkSilent, "restored does not answer")),
    }
}
