//! preboard: one connection, one command, and answers as they come.

use super::{BoxDuplex, LockdownError, Session};
use crate::wire::lockdown::{Frames, Shape, frame};
use crate::wire::preboard::{Answer, Command, SERVICE};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SEND: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub struct Preboard {
    stream: BoxDuplex,
    frames: Frames,
}

impl Preboard {
    /// # Errors
    /// `LockdownError::Refused("InvalidService")` on a system that does not have it.
    pub async fn open(session: &mut Session) -> Result<Preboard, LockdownError> {
        Ok(Preboard { stream: session.service(SERVICE, false).await?, frames: Frames::default() })
    }

    pub async fn send(&mut self, command: &Command) -> Result<(), LockdownError> {
        let bytes = frame(&command.body(), Shape::Binary)?;
        let stream = &mut self.stream;
        let sent = async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        };
        Ok(tokio::time::timeout(SEND, sent).await.map_err(|_| LockdownError::Silent)??)
    }

    /// The next answer; waits as long as the caller does. A wait that is given up loses nothing.
    pub async fn next(&mut self) -> Result<Answer, LockdownError> {
        loop {
            if let Some(message) = self.frames.next()? {
                return Ok(Answer::parse(&message));
            }
            let mut piece = vec![0; self.frames.wanted().clamp(1, 64 << 10)];
            let read = self.stream.read(&mut piece).await?;
            if read == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            self.frames.push(piece.get(..read).unwrap_or_default());
        }
    }
}
