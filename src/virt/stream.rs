//! What a service on the phone talks through: a link, with or without TLS around it.

use super::phone::Link;
use std::io::{Read, Result, Write};
use std::net::Shutdown;
use std::time::Duration;

/// A blocking byte stream of one service connection.
pub trait Stream: Read + Write + Send {
    /// How long one read may block; none means until the link is cut.
    fn set_limit(&mut self, limit: Option<Duration>) -> Result<()>;

    /// Cuts the link below, as an unplugged cable does: nothing more goes either way, no TLS goodbye.
    fn cut(&mut self);
}

pub type BoxStream = Box<dyn Stream>;

impl Stream for Link {
    fn set_limit(&mut self, limit: Option<Duration>) -> Result<()> {
        self.set_read_timeout(limit)
    }

    fn cut(&mut self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}
