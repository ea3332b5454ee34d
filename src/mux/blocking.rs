//! An asynchronous stream for a synchronous engine.
//!
//! The backup engine blocks on a thread of its own; here each of its reads and writes waits on the runtime
//! for at most the limit that it set. A wait that ran out has taken no byte (polling a stream is all or
//! nothing), so the engine may try again.

use super::BoxDuplex;
use std::io::{self, Read, Write};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Handle;

pub struct Blocking {
    stream: BoxDuplex,
    runtime: Handle,
    limit: Option<Duration>,
}

impl Blocking {
    /// To be used on a thread that is not the runtime's own (`spawn_blocking`).
    pub fn new(stream: BoxDuplex, runtime: Handle) -> Self {
        Blocking { stream, runtime, limit: None }
    }

    pub fn set_limit(&mut self, limit: Option<Duration>) {
        self.limit = limit;
    }
}

fn within<T>(runtime: &Handle, limit: Option<Duration>, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    runtime.block_on(async {
        match limit {
            None => work.await,
            Some(limit) => match tokio::time::timeout(limit, work).await {
                Ok(done) => done,
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            },
        }
    })
}

impl Read for Blocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        within(&self.runtime, self.limit, self.stream.read(buffer))
    }
}

impl Write for Blocking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        within(&self.runtime, self.limit, self.stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        within(&self.runtime, self.limit, self.stream.flush())
    }
}
