//! FDR: the device talks to Apple through the host.
//!
//! In restore mode a device has no network of its own. It opens a control channel to the host and, when it
//! wants to reach a server, a connection channel that the host relays (`fdr_relay.rs`). Very old systems
//! have no such channel, old ones know only protocol 1: a device that does not understand the greeting of
//! protocol 2 (it closes, keeps silent or answers something else) is greeted again, on a new link.
//!
//! What the device has begun must be finished soon; between two messages it may keep a channel open as
//! long as the restore lasts. Everything here ends with `ended`.

use super::fdr_relay::proxy;
use crate::event::Teller;
use crate::fault::{Code, Fault};
use crate::mux::{BoxDuplex, Mux, MuxError};
use crate::wire::fdr::{self as wire, Message};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long the device may take for what the protocol demands of it.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
const TRIES: u32 = 10;
/// Connection channels at once; more than a handful was never seen.
const CHANNELS: usize = 32;
/// Words that nobody knows are passed over, as hosts of the field do it, but not for ever.
const UNKNOWN: usize = 32;

/// Which servers the device may be connected to: Apple's, and in the bench this machine itself.
pub type Allowed = fn(&str) -> bool;

type Dialled = Pin<Box<dyn Future<Output = Result<BoxDuplex, Fault>> + Send>>;

/// How ports of the device are reached, and what its connections may do.
#[derive(Clone)]
pub(super) struct Trust {
    pub dial: Arc<dyn Fn(u16) -> Dialled + Send + Sync>,
    pub allowed: Allowed,
    pub tell: Teller,
}

/// Serves the channel until `ended`. A device without the channel is left alone.
pub async fn serve(mux: Mux, device: u32, allowed: Allowed, tell: Teller, ended: CancellationToken) {
    let dial = move |port| -> Dialled { Box::pin(dial(mux.clone(), device, port)) };
    let trust = Trust { dial: Arc::new(dial), allowed, tell };
    tokio::select! {
        () = ended.cancelled() => {}
        result = control(&trust) => match result {
            Ok(()) => tracing::debug!("FDR control channel closed"),
            Err(fault) => tracing::info!(%fault, "FDR control channel"),
        },
    }
}

/// Dropping this ends every channel.
pub(super) async fn control(trust: &Trust) -> Result<(), Fault> {
    let (mut link, version, port) = greet(trust).await?;
    tracing::debug!(version, port, "FDR control channel");
    let mut channels = JoinSet::new();
    let mut unknown = 0;
    loop {
        match link.read_u16_le().await.map_err(|e| Fault::link(&e))? {
            wire::SYNC => {
                // Two more bytes, of which the field knows only that they are there.
                soon(link.read_u16_le()).await?;
                while channels.try_join_next().is_some() {}
                if channels.len() >= CHANNELS {
                    return Err(garbage("more connections than a device needs"));
                }
                let trust = trust.clone();
                channels.spawn(async move {
                    if let Err(fault) = channel(&trust, version, port).await {
                        tracing::info!(%fault, "FDR connection");
                    }
                });
            }
            wire::SHUTDOWN => return Ok(()),
            wire::PLIST => answer(&mut link).await?,
            other if unknown < UNKNOWN => {
                unknown += 1;
                tracing::info!("FDR control message 0x{other:04X} is not known");
            }
            other => return Err(garbage(format!("FDR control message 0x{other:04X}"))),
        }
    }
}

/// The control link, its protocol, and the port of the connections.
async fn greet(trust: &Trust) -> Result<(BoxDuplex, u64, u16), Fault> {
    let newer = begin((trust.dial)(wire::CONTROL_PORT).await?).await;
    let why = match newer {
        Ok((link, port)) => return Ok((link, 2, port)),
        Err(fault) => fault,
    };
    tracing::info!(%why, "FDR: no protocol 2, trying protocol 1");
    let mut link = (trust.dial)(wire::CONTROL_PORT).await?;
    send(&mut link, wire::HELLO_CTRL).await?;
    hello(&mut link, wire::HELLO_CTRL).await?;
    let port = soon(link.read_u16_le()).await?;
    Ok((link, 1, port))
}

async fn begin(mut link: BoxDuplex) -> Result<(BoxDuplex, u16), Fault> {
    let begin = Message::BeginCtrl { version: 2, conn_port: None };
    send(&mut link, &[wire::BEGIN_CTRL.as_slice(), &wire::frame(&begin.build())].concat()).await?;
    match read_plist(&mut link).await? {
        Message::BeginCtrl { conn_port: Some(port), .. } => Ok((link, port)),
        other => Err(garbage(format!("FDR answered BeginCtrl with {other:?}"))),
    }
}

async fn channel(trust: &Trust, version: u64, port: u16) -> Result<(), Fault> {
    let mut link = (trust.dial)(port).await?;
    send(&mut link, wire::HELLO_CONN).await?;
    if version < 2 {
        hello(&mut link, wire::HELLO_CONN).await?;
    } else {
        match read_plist(&mut link).await? {
            Message::HelloConn { identifier } => tracing::debug!(identifier, "FDR connection"),
            other => return Err(garbage(format!("FDR answered HelloConn with {other:?}"))),
        }
    }
    loop {
        match link.read_u16_le().await {
            // Closing is how a device ends a channel that it only pinged on.
            Err(err) if err.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(err) => return Err(Fault::link(&err)),
            Ok(wire::SHUTDOWN) => return Ok(()),
            Ok(wire::PLIST) => answer(&mut link).await?,
            Ok(wire::PROXY) => return proxy(link, trust).await,
            Ok(other) => return Err(garbage(format!("FDR message 0x{other:04X}"))),
        }
    }
}

async fn answer(link: &mut BoxDuplex) -> Result<(), Fault> {
    match read_plist(link).await? {
        Message::Ping => send(link, &wire::frame(&Message::Pong.build())).await,
        other => {
            tracing::info!(?other, "an FDR message that is not known");
            Ok(())
        }
    }
}

async fn dial(mux: Mux, device: u32, port: u16) -> Result<BoxDuplex, Fault> {
    let mut tries = 0;
    loop {
        match mux.connect(device, port).await {
            Ok(link) => return Ok(link),
            Err(MuxError::Refused(_)) if tries < TRIES => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(err) => return Err(err.into()),
        }
    }
}

fn garbage(what: impl Into<String>) -> Fault {
    Fault::new(Code::LinkGarbage, what)
}

/// What the device owes us, in time.
pub(super) async fn soon<T>(read: impl Future<Output = std::io::Result<T>>) -> Result<T, Fault> {
    match tokio::time::timeout(ANSWER, read).await {
        Ok(read) => read.map_err(|e| Fault::link(&e)),
        Err(_) => Err(Fault::new(Code::LinkSilent, "FDR on the device does not answer")),
    }
}

pub(super) async fn send(link: &mut BoxDuplex, bytes: &[u8]) -> Result<(), Fault> {
    let write = async {
        link.write_all(bytes).await?;
        link.flush().await
    };
    soon(write).await
}

async fn hello(link: &mut BoxDuplex, wanted: &[u8; 10]) -> Result<(), Fault> {
    let mut said = [0; 10];
    soon(link.read_exact(&mut said)).await?;
    if said == *wanted {
        Ok(())
    } else {
        Err(garbage(format!("FDR said hello with {:?}", said.escape_ascii().to_string())))
    }
}

async fn read_plist(link: &mut BoxDuplex) -> Result<Message, Fault> {
    let mut prefix = [0; 4];
    soon(link.read_exact(&mut prefix)).await?;
    let mut body = vec![0; wire::length(prefix)?];
    soon(link.read_exact(&mut body)).await?;
    Ok(Message::parse(&wire::parse(&body)?))
}
