//! FDR on the phone's side: a control link that the host opens, and conn links that the phone asks for.
//!
//! A round trip is what the recordings show: the phone asks for a conn link, says hello and pings; where
//! the bench names a server it also asks to be connected there, and an HTTP request goes through the
//! host and back. Words go out in one write each, since hosts read them with one read.

use super::super::phone::{Link, Phone, Stage};
use super::Faults;
use super::line::lock;
use crate::wire::fdr::{self, Message, ProxyRequest, Refusal};
use serde_json::json;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::Shutdown;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// How long a host may take to open a link or to answer.
const LIMIT: Duration = Duration::from_secs(20);
/// Bytes of a proxied answer that are read.
const ANSWER_CAP: u64 = 1 << 20;

struct Control {
    link: Link,
    version: u64,
}

pub(crate) struct Fdr {
    phone: Arc<Phone>,
    control: Mutex<Option<Control>>,
    opened: Condvar,
    conn_port: u16,
    conns: Mutex<Receiver<Link>>,
}

impl Fdr {
    pub fn start(phone: &Arc<Phone>) -> Arc<Self> {
        let absent = phone.spec.faults.restore.fdr_absent;
        let (conn_port, conns) = if absent { (0, channel().1) } else { phone.listen_any() };
        let fdr = Arc::new(Fdr {
            phone: Arc::clone(phone),
            control: Mutex::default(),
            opened: Condvar::new(),
            conn_port,
            conns: Mutex::new(conns),
        });
        if !absent {
            let links = phone.listen(fdr::CONTROL_PORT);
            let accepting = Arc::clone(&fdr);
            std::thread::spawn(move || {
                for link in links {
                    let greeting = Arc::clone(&accepting);
                    std::thread::spawn(move || {
                        if let Err(err) = greeting.greet(link) {
                            greeting.phone.remember("fdr.refused", json!({ "why": err.to_string() }));
                        }
                    });
                }
            });
        }
        fdr
    }

    fn greet(&self, mut link: Link) -> Result<()> {
        link.set_read_timeout(Some(LIMIT))?;
        let mut hello = [0; 10];
        link.read_exact(&mut hello)?;
        let old = self.phone.spec.faults.restore.fdr_protocol_1;
        let version = if hello == *fdr::BEGIN_CTRL && !old {
            let Message::BeginCtrl { version, .. } = read_plist(&mut link)? else { return Err(bad("no BeginCtrl")) };
            let answer = Message::BeginCtrl { version: version.min(2), conn_port: Some(self.conn_port) };
            link.write_all(&fdr::frame(&answer.build()))?;
            2
        } else if hello == *fdr::HELLO_CTRL {
            link.write_all(fdr::HELLO_CTRL)?;
            link.write_all(&self.conn_port.to_le_bytes())?;
            1
        } else {
            let _ = link.shutdown(Shutdown::Both);
            return Err(bad("not a greeting of this system"));
        };
        self.phone.remember("fdr.control", json!({ "version": version }));
        *lock(&self.control) = Some(Control { link, version });
        self.opened.notify_all();
        Ok(())
    }

    /// Pings through a conn link, and reaches the server that the bench names through another.
    ///
    /// # Errors
    /// No control link, no conn link in time, or a host that answers wrongly.
    pub fn round_trip(&self) -> Result<()> {
        let (mut link, version) = self.conn()?;
        let pinged = ping(&mut link);
        let _ = link.shutdown(Shutdown::Both);
        pinged?;
        self.phone.remember("fdr.conn", json!({ "version": version }));
        let faults = &self.phone.spec.faults.restore;
        let Some(port) = faults.fdr_proxy_port else { return Ok(()) };
        let host = faults.fdr_proxy_host.clone().unwrap_or_else(|| "127.0.0.1".to_owned());
        let (mut link, _) = self.conn()?;
        let fetched = fetch(&mut link, ProxyRequest { host: host.clone(), port }, faults);
        let _ = link.shutdown(Shutdown::Both);
        self.phone.remember("fdr.proxy", json!({ "host": host, "port": port, "bytes": fetched? }));
        Ok(())
    }

    /// Asks for a conn link and greets the host on it. Gives the protocol too.
    fn conn(&self) -> Result<(Link, u64)> {
        let guard = lock(&self.control);
        let waited = self.opened.wait_timeout_while(guard, LIMIT, |c| c.is_none());
        let mut guard = waited.map_or_else(|e| e.into_inner().0, |(guard, _)| guard);
        let control = guard.as_mut().ok_or_else(|| bad("no host opened the control channel"))?;
        let version = control.version;
        let mut word = fdr::SYNC.to_le_bytes().to_vec();
        word.extend_from_slice(&self.conn_port.to_le_bytes());
        control.link.write_all(&word)?;
        drop(guard);
        let mut link = lock(&self.conns).recv_timeout(LIMIT).map_err(|_| bad("no conn link came"))?;
        link.set_read_timeout(Some(LIMIT))?;
        let mut hello = [0; 10];
        link.read_exact(&mut hello)?;
        if hello != *fdr::HELLO_CONN {
            return Err(bad("no HelloConn"));
        }
        if version >= 2 {
            let answer = Message::HelloConn { identifier: Some(fdr::IDENTIFIER.to_owned()) };
            link.write_all(&fdr::frame(&answer.build()))?;
        } else {
            link.write_all(fdr::HELLO_CONN)?;
        }
        Ok((link, version))
    }

    /// Says goodbye on the control link.
    pub fn end(&self) {
        if self.phone.stage() == Stage::Restore
            && let Some(control) = lock(&self.control).as_mut()
        {
            let _ = control.link.write_all(&fdr::SHUTDOWN.to_le_bytes());
        }
    }
}

fn ping(link: &mut Link) -> Result<()> {
    let mut word = fdr::PLIST.to_le_bytes().to_vec();
    word.extend(fdr::frame(&Message::Ping.build()));
    link.write_all(&word)?;
    match read_plist(link)? {
        Message::Pong => Ok(()),
        _ => Err(bad("Ping was not answered with Pong")),
    }
}

/// Bytes that a GET through the host brought back.
fn fetch(link: &mut Link, request: ProxyRequest, faults: &Faults) -> Result<usize> {
    let asked = request.build();
    let mut word = fdr::PROXY.to_le_bytes().to_vec();
    word.extend_from_slice(&asked);
    link.write_all(&word)?;
    let mut echo = vec![0; 2 + asked.len()];
    link.read_exact(&mut echo)?;
    let [low, high, echo @ ..] = &echo[..] else { return Err(bad("no answer")) };
    let word = u16::from_le_bytes([*low, *high]);
    if let Some(number) = Refusal::number(word) {
        return Err(bad(&format!("the host cannot connect: {number}")));
    }
    if word != fdr::PROXY_ACK || *echo != asked[..] {
        return Err(bad("the connect request was not echoed"));
    }
    let host = &request.host;
    link.write_all(format!("GET /fdr HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())?;
    if faults.fdr_half_close {
        link.shutdown(Shutdown::Write)?;
    }
    let mut answer = Vec::new();
    match link.take(ANSWER_CAP).read_to_end(&mut answer) {
        Err(err) if answer.is_empty() => return Err(err),
        _ => {}
    }
    if !answer.starts_with(b"HTTP/") {
        return Err(bad("nothing came back through the host"));
    }
    if faults.fdr_tail > 0 {
        link.write_all(&vec![b't'; faults.fdr_tail])?;
    }
    Ok(answer.len())
}

fn bad(why: &str) -> Error {
    Error::new(ErrorKind::InvalidData, why.to_owned())
}

fn read_plist(link: &mut Link) -> Result<Message> {
    let wire = |err: crate::wire::WireError| Error::new(ErrorKind::InvalidData, err.to_string());
    let mut prefix = [0; 4];
    link.read_exact(&mut prefix)?;
    let mut body = vec![0; fdr::length(prefix).map_err(wire)?];
    link.read_exact(&mut body)?;
    Ok(Message::parse(&fdr::parse(&body).map_err(wire)?))
}
