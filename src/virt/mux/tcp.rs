//! The bench's usbmuxd over TCP, for clients with `USBMUXD_SOCKET_ADDRESS=host:port`.
//!
//! As in real life (`socat` beside usbmuxd, or a container's host), it is the same daemon behind another door:
//! each TCP connection is joined with one to its Unix socket.

use super::muxd::relay;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// A door that is open until it is dropped.
pub struct TcpDoor {
    address: SocketAddr,
    closed: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl TcpDoor {
    /// Listens on `address` (port 0 for a free one) in front of the usbmuxd on `socket`.
    ///
    /// # Errors
    /// What binding gives.
    pub fn open(address: SocketAddr, socket: &Path) -> io::Result<TcpDoor> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let (closed, socket) = (Arc::new(AtomicBool::new(false)), socket.to_owned());
        let over = Arc::clone(&closed);
        let listener = std::thread::spawn(move || {
            for client in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(client) = client else { continue };
                let _ = client.set_nodelay(true);
                // While usbmuxd is down, a client meets a door that closes at once.
                let Ok(inside) = UnixStream::connect(&socket) else { continue };
                std::thread::spawn(move || relay(client, inside));
            }
        });
        Ok(TcpDoor { address, closed, listener: Some(listener) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for TcpDoor {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // Wakes the listener; who comes after this is refused.
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(listener) = self.listener.take().filter(|_| woken) {
            let _ = listener.join();
        }
    }
}
