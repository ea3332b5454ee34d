//! FDR: the device talks to Apple through the host.
//!
//! In restore mode a device has no network of its own. It opens a control channel to the host and, when it
//! wants to reach a server, a connection channel that the host relays. Both ends of a relay close on their
//! own (half-close), so no tail is lost. Old systems have no such channel: that is normal.

use crate::fault::{Code, Fault};
use crate::mux::{BoxDuplex, Mux};
use crate::wire::fdr::{self as wire, Message, ProxyRequest};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

const HELLO_LIMIT: Duration = Duration::from_secs(10);
const DIAL_LIMIT: Duration = Duration::from_secs(30);
const TRIES: u32 = 10;

/// Which servers the device may be connected to: Apple's, and in the bench this machine itself.
pub type Allowed = fn(&str) -> bool;

/// Serves the channel until `ended`. A device without the channel is left alone.
pub async fn serve(mux: Mux, device: u32, allowed: Allowed, ended: CancellationToken) {
    tokio::select! {
        () = ended.cancelled() => {}
        result = control(&mux, device, allowed, &ended) => match result {
            Ok(()) => tracing::debug!("FDR control channel closed"),
            Err(fault) => tracing::info!(%fault, "FDR control channel"),
        },
    }
}

async fn control(mux: &Mux, device: u32, allowed: Allowed, ended: &CancellationToken) -> Result<(), Fault> {
    let mut link = dial(mux, device, wire::CONTROL_PORT).await?;
    send(&mut link, wire::BEGIN_CTRL).await?;
    let begin = Message::BeginCtrl { version: 2, conn_port: None };
    send(&mut link, &wire::frame(&begin.build())).await?;
    let port = match read_plist(&mut link).await? {
        Message::BeginCtrl { conn_port: Some(port), .. } => port,
        other => return Err(Fault::new(Code::LinkGarbage, format!("FDR answered BeginCtrl with {other:?}"))),
    };
    let mut channels = tokio::task::JoinSet::new();
    loop {
        match link.read_u16_le().await.map_err(|e| Fault::link(&e))? {
            wire::SYNC => {
                // The port follows; older systems name it only here.
                let told = link.read_u16_le().await.map_err(|e| Fault::link(&e))?;
                let port = if told == 0 { port } else { told };
                let (mux, ended) = (mux.clone(), ended.clone());
                channels.spawn(async move {
                    tokio::select! {
                        () = ended.cancelled() => {}
                        result = channel(&mux, device, port, allowed) => if let Err(fault) = result {
                            tracing::info!(%fault, "FDR connection");
                        },
                    }
                });
            }
            wire::SHUTDOWN => return Ok(()),
            wire::PLIST => answer(&mut link).await?,
            other => return Err(Fault::new(Code::LinkGarbage, format!("FDR control message 0x{other:04X}"))),
        }
    }
}

async fn channel(mux: &Mux, device: u32, port: u16, allowed: Allowed) -> Result<(), Fault> {
    let mut link = dial(mux, device, port).await?;
    send(&mut link, wire::HELLO_CONN).await?;
    match tokio::time::timeout(HELLO_LIMIT, read_plist(&mut link)).await {
        Ok(hello) => tracing::debug!(hello = ?hello?, "FDR connection"),
        Err(_) => return Err(Fault::new(Code::LinkSilent, "FDR connection says nothing")),
    }
    loop {
        match link.read_u16_le().await.map_err(|e| Fault::link(&e))? {
            wire::SHUTDOWN => return Ok(()),
            wire::PLIST => answer(&mut link).await?,
            wire::PROXY => return proxy(link, allowed).await,
            other => return Err(Fault::new(Code::LinkGarbage, format!("FDR message 0x{other:04X}"))),
        }
    }
}

async fn answer(link: &mut BoxDuplex) -> Result<(), Fault> {
    if read_plist(link).await? == Message::Ping {
        send(link, &wire::frame(&Message::Pong.build())).await?;
    }
    Ok(())
}

async fn proxy(mut link: BoxDuplex, allowed: Allowed) -> Result<(), Fault> {
    let mut bytes = Vec::new();
    let (request, used) = loop {
        if let Some(found) = ProxyRequest::parse(&bytes)? {
            break found;
        }
        if read_some(&mut link, &mut bytes).await? == 0 || bytes.len() > 1024 {
            return Err(Fault::new(Code::LinkGarbage, "FDR connect request breaks off"));
        }
    };
    if !allowed(&request.host) {
        return Err(Fault::new(Code::HostNotAllowed, format!("the device wanted {}", request.host)));
    }
    let dialled = tokio::time::timeout(DIAL_LIMIT, TcpStream::connect((request.host.as_str(), request.port))).await;
    let mut server = match dialled {
        Ok(Ok(server)) => server,
        // Closing the link is how the device learns that there is no way to the server.
        Ok(Err(err)) => return Err(Fault::new(Code::CatalogueUnreachable, format!("{}: {err}", request.host))),
        Err(_) => return Err(Fault::new(Code::CatalogueUnreachable, format!("{}: no answer", request.host))),
    };
    let mut ack = wire::PROXY_ACK.to_le_bytes().to_vec();
    ack.extend_from_slice(bytes.get(..used).unwrap_or_default());
    send(&mut link, &ack).await?;
    if let Some(rest) = bytes.get(used..) {
        server.write_all(rest).await.map_err(|e| Fault::link(&e))?;
    }
    // Each direction ends on its own; the other one goes on until it ends too.
    match tokio::io::copy_bidirectional(&mut link, &mut server).await {
        Ok((up, down)) => tracing::debug!(host = request.host, up, down, "FDR relay closed"),
        Err(err) => tracing::debug!(host = request.host, %err, "FDR relay broke off"),
    }
    Ok(())
}

async fn dial(mux: &Mux, device: u32, port: u16) -> Result<BoxDuplex, Fault> {
    let mut tries = 0;
    loop {
        match mux.connect(device, port).await {
            Ok(link) => return Ok(link),
            Err(crate::mux::MuxError::Refused(_)) if tries < TRIES => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(err) => return Err(err.into()),
        }
    }
}

async fn send(link: &mut BoxDuplex, bytes: &[u8]) -> Result<(), Fault> {
    link.write_all(bytes).await.map_err(|e| Fault::link(&e))?;
    link.flush().await.map_err(|e| Fault::link(&e))
}

async fn read_some(link: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> Result<usize, Fault> {
    let mut piece = [0; 512];
    let read = link.read(&mut piece).await.map_err(|e| Fault::link(&e))?;
    bytes.extend_from_slice(piece.get(..read).unwrap_or_default());
    Ok(read)
}

async fn read_plist(link: &mut BoxDuplex) -> Result<Message, Fault> {
    let mut prefix = [0; 4];
    link.read_exact(&mut prefix).await.map_err(|e| Fault::link(&e))?;
    let mut body = vec![0; wire::length(prefix)?];
    link.read_exact(&mut body).await.map_err(|e| Fault::link(&e))?;
    Ok(Message::parse(&wire::parse(&body)?))
}
