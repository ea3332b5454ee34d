//! Where usbmuxd listens, as `USBMUXD_SOCKET_ADDRESS` says it.

use super::{BoxDuplex, Duplex};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MuxAddress {
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

impl Default for MuxAddress {
    fn default() -> Self {
        MuxAddress::Unix("/var/run/usbmuxd".into())
    }
}

impl FromStr for MuxAddress {
    type Err = String;

    /// Takes `UNIX:/path` as libimobiledevice does, a bare absolute path as pymobiledevice3 does, and `host:port`
    /// with an IPv6 address in brackets.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("UNIX:") {
            return Ok(MuxAddress::Unix(path.into()));
        }
        if text.starts_with('/') {
            return Ok(MuxAddress::Unix(text.into()));
        }
        let wrong = || format!("{text:?} is neither UNIX:/path nor host:port nor [IPv6]:port");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let is_host = match bracketed {
            Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
            // `::1:27015` could be meant in two ways.
            None => !host.is_empty() && !host.contains([':', '/', '[', ']']),
        };
        if is_host && port.parse::<u16>().is_ok_and(|p| p != 0) {
            Ok(MuxAddress::Tcp(text.to_owned()))
        } else {
            Err(wrong())
        }
    }
}

impl fmt::Display for MuxAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MuxAddress::Unix(path) => write!(f, "UNIX:{}", path.display()),
            MuxAddress::Tcp(address) => f.write_str(address),
        }
    }
}

impl MuxAddress {
    pub(super) async fn dial(&self) -> io::Result<Dialling> {
        Ok(match self {
            MuxAddress::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                widen(&stream);
                Dialling::Unix(stream)
            }
            MuxAddress::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Dialling::Tcp(stream)
            }
        })
    }
}

/// A connection to usbmuxd, which becomes one to a port of a device.
pub(super) enum Dialling {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Dialling {
    pub(super) fn boxed(self) -> BoxDuplex {
        match self {
            Dialling::Unix(stream) => Box::new(stream),
            Dialling::Tcp(stream) => Box::new(stream),
        }
    }

    pub(super) fn duplex(&mut self) -> &mut dyn Duplex {
        match self {
            Dialling::Unix(stream) => stream,
            Dialling::Tcp(stream) => stream,
        }
    }

    /// The socket itself, out of the runtime's hands and blocking.
    pub(super) fn into_socket(self) -> io::Result<Socket> {
        Ok(match self {
            Dialling::Unix(stream) => {
                let stream = stream.into_std()?;
                stream.set_nonblocking(false)?;
                Socket::Unix(stream)
            }
            Dialling::Tcp(stream) => {
                let stream = stream.into_std()?;
                stream.set_nonblocking(false)?;
                Socket::Tcp(stream)
            }
        })
    }
}

/// A blocking connection.
pub(super) enum Socket {
    Unix(std::os::unix::net::UnixStream),
    Tcp(std::net::TcpStream),
}

impl Socket {
    /// How long one read or write may block; none for ever.
    pub(super) fn set_limit(&self, limit: Option<Duration>) -> io::Result<()> {
        match self {
            Socket::Unix(stream) => stream.set_read_timeout(limit).and_then(|()| stream.set_write_timeout(limit)),
            Socket::Tcp(stream) => stream.set_read_timeout(limit).and_then(|()| stream.set_write_timeout(limit)),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Unix(stream) => stream.read(buffer),
            Socket::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Unix(stream) => stream.write(bytes),
            Socket::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Larger socket buffers halve the time of restores of many devices (usbmuxd is one thread).
fn widen(stream: &UnixStream) {
    const BYTES: usize = 1 << 20;
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(stream, BYTES);
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size(stream, BYTES);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_socket_and_a_host() {
        let path = MuxAddress::Unix("/run/x".into());
        assert_eq!("UNIX:/run/x".parse(), Ok(path.clone()));
        assert_eq!("/run/x".parse(), Ok(path));
        assert_eq!("127.0.0.1:27015".parse(), Ok(MuxAddress::Tcp("127.0.0.1:27015".into())));
        for host in ["localhost:1", "[::1]:27015", "phones.example:65535"] {
            assert_eq!(host.parse(), Ok(MuxAddress::Tcp(host.into())));
        }
        for wrong in
            ["nowhere", "", ":27015", "host:0", "host:65536", "host:", "::1:27015", "[::1]", "[x]:1", "unix:/x:1"]
        {
            assert!(wrong.parse::<MuxAddress>().is_err(), "{wrong}");
        }
    }
}
