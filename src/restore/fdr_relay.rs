//! A connection channel of FDR that reached its purpose: bytes between the device and one of Apple's servers.
//!
//! Each direction is pumped on its own and ends on its own: an end of data is passed on as an end of data, and
//! what is still on its way in the other direction arrives. A device that cannot be connected hears why, in
//! the words of SOCKS (`wire/fdr.rs`), before the channel closes, and the person is told too.

use super::fdr::{Trust, send, soon};
use crate::event::Event;
use crate::fault::{Code, Fault};
use crate::mux::BoxDuplex;
use crate::wire::WireError;
use crate::wire::fdr::{self as wire, ProxyRequest, Refusal};
use std::io::{Error, ErrorKind};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

const DIAL_LIMIT: Duration = Duration::from_secs(30);
/// How long one direction may stay quiet once the other one has ended.
const TAIL_LIMIT: Duration = Duration::from_secs(60);
/// How long either side may refuse to take bytes.
const STALL: Duration = Duration::from_secs(60);
/// Most addresses of one server that are tried.
const ADDRESSES: usize = 16;
const PIECE: usize = 16 << 10;

/// From the connect request to the end of both directions.
pub(super) async fn proxy(mut link: BoxDuplex, trust: &Trust) -> Result<(), Fault> {
    let mut bytes = Vec::new();
    let (request, used) = match request(&mut link, &mut bytes).await {
        Ok(found) => found,
        Err(fault) => {
            let _ = refuse(&mut link, Refusal::Form, &bytes).await;
            return Err(fault);
        }
    };
    let asked = bytes.get(..used).unwrap_or_default();
    let ProxyRequest { host, port } = &request;
    if !(trust.allowed)(host) {
        let _ = refuse(&mut link, Refusal::NotAllowed, asked).await;
        return Err(Fault::new(Code::HostNotAllowed, format!("the device wanted {host}")));
    }
    let mut server = match dial(host, *port).await {
        Ok(server) => server,
        Err((why, err)) => {
            let text = format!("the device wants to reach {host}:{port}, and this computer cannot: {err}");
            trust.tell.tell(Event::Warning { text: text.clone() });
            let _ = refuse(&mut link, why, asked).await;
            return Err(Fault::new(Code::CatalogueUnreachable, text));
        }
    };
    let _ = server.set_nodelay(true);
    send(&mut link, &[&wire::PROXY_ACK.to_le_bytes(), asked].concat()).await?;
    soon(server.write_all(bytes.get(used..).unwrap_or_default())).await?;
    let (up, down) = relay(link, server).await;
    tracing::debug!(host, ?up, ?down, "FDR relay closed");
    Ok(())
}

/// The request and its length, however many reads it takes.
async fn request(link: &mut BoxDuplex, bytes: &mut Vec<u8>) -> Result<(ProxyRequest, usize), Fault> {
    loop {
        if let Some(found) = ProxyRequest::parse(bytes)? {
            return Ok(found);
        }
        let mut piece = [0; wire::PROXY_CAP];
        let read = soon(link.read(&mut piece)).await?;
        if read == 0 {
            return Err(WireError::Short { what: "FDR connect request" }.into());
        }
        bytes.extend_from_slice(piece.get(..read).unwrap_or_default());
    }
}

async fn refuse(link: &mut BoxDuplex, why: Refusal, asked: &[u8]) -> Result<(), Fault> {
    send(link, &[&why.word().to_le_bytes(), asked].concat()).await?;
    soon(link.shutdown()).await
}

async fn dial(host: &str, port: u16) -> Result<TcpStream, (Refusal, Error)> {
    let found =
        in_time(DIAL_LIMIT, tokio::net::lookup_host((host, port))).await.map_err(|err| (Refusal::NoHost, err))?;
    let found: Vec<_> = found.take(ADDRESSES).collect();
    let dialled = in_time(DIAL_LIMIT, TcpStream::connect(&found[..])).await;
    dialled.map_err(|err| {
        let why = match err.kind() {
            ErrorKind::ConnectionRefused => Refusal::Refused,
            ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => Refusal::NoNetwork,
            ErrorKind::HostUnreachable => Refusal::NoHost,
            ErrorKind::TimedOut => Refusal::TimedOut,
            _ => Refusal::Failed,
        };
        (why, err)
    })
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

type Pumped = Result<u64, Error>;

/// Until both directions have ended: how many bytes went up and down, or what broke.
async fn relay(link: BoxDuplex, server: TcpStream) -> (Pumped, Pumped) {
    let (from_device, to_device) = tokio::io::split(link);
    let (from_server, to_server) = server.into_split();
    let (up_open, up_ended) = watch::channel(());
    let (down_open, down_ended) = watch::channel(());
    tokio::join!(pump(from_device, to_server, up_open, down_ended), pump(from_server, to_device, down_open, up_ended))
}

/// One direction. `open` is dropped when it ends; `other` closes when the other one has.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    open: watch::Sender<()>,
    mut other: watch::Receiver<()>,
) -> Pumped {
    let mut piece = vec![0; PIECE];
    let mut moved = 0;
    let ended = loop {
        let read = from.read(&mut piece);
        tokio::pin!(read);
        let read = tokio::select! {
            read = &mut read => read,
            _ = other.changed() => in_time(TAIL_LIMIT, read).await,
        };
        let count = match read {
            Ok(0) => break Ok(moved),
            Ok(count) => count,
            Err(err) => break Err(err),
        };
        let write = async {
            to.write_all(piece.get(..count).unwrap_or_default()).await?;
            to.flush().await
        };
        if let Err(err) = in_time(STALL, write).await {
            break Err(err);
        }
        moved += count as u64;
    };
    let _ = to.shutdown().await;
    drop(open);
    ended
}
