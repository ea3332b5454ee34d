//! What a device claims before anything is allocated for it, where the reading is `idevice`'s.
//!
//! The crate believes a length and allocates it at once: a claim of 4 GiB is its memory, and an AFC header whose
//! parts contradict each other is a panic. So its streams pass through here: the guard follows the frames
//! as they go by, and ends the stream with an error at the first claim that cannot be true. Nothing is
//! buffered and nothing is changed.

use super::BoxDuplex;
use crate::fault::{Code, Fault};
use crate::wire::WireError;
use idevice::IdeviceError;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Icons and lists of apps are the largest that a small service sends.
const PLIST_CAP: u64 = 64 << 20;
/// AFC clients ask for at most 4 MiB at a time.
const AFC_CAP: u64 = 16 << 20;
const AFC_HEADER: usize = 40;

/// How the frames on a stream begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// A length of 32 bits, big-endian, then that many bytes.
    Plist,
    /// 40 bytes: magic, whole length, length of header and fixed part, number, operation; all little-endian.
    Afc,
}

impl Framing {
    fn header(self) -> usize {
        match self {
            Framing::Plist => 4,
            Framing::Afc => AFC_HEADER,
        }
    }

    /// Bytes that follow this header.
    fn body(self, header: &[u8]) -> Result<u64, WireError> {
        let word = |at: usize| header.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
        match self {
            Framing::Plist => {
                let length = header.try_into().map_or(0, u32::from_be_bytes).into();
                capped("property list", length, PLIST_CAP)
            }
            Framing::Afc => {
                let (whole, fixed) = (capped("AFC packet", word(8), AFC_CAP)?, word(16));
                if !header.starts_with(b"CFA6LPAA") || fixed < AFC_HEADER as u64 || whole < fixed {
                    return Err(WireError::malformed("AFC packet", format!("lengths {whole} and {fixed}")));
                }
                Ok(whole - AFC_HEADER as u64)
            }
        }
    }
}

fn capped(what: &'static str, length: u64, cap: u64) -> Result<u64, WireError> {
    if length > cap { Err(WireError::TooLong { what, length, cap }) } else { Ok(length) }
}

/// A stream whose incoming frames are looked at.
#[derive(Debug)]
pub(super) struct Guarded {
    stream: BoxDuplex,
    framing: Framing,
    header: Vec<u8>,
    left: u64,
}

impl Guarded {
    pub fn new(stream: BoxDuplex, framing: Framing) -> Self {
        Guarded { stream, framing, header: Vec::with_capacity(AFC_HEADER), left: 0 }
    }

    /// Follows the frames through bytes that just came.
    fn look(&mut self, mut bytes: &[u8]) -> Result<(), WireError> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let passed = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= passed as u64;
                bytes = &bytes[passed..];
                continue;
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.framing.header() - self.header.len()));
            self.header.extend_from_slice(now);
            bytes = later;
            if self.header.len() == self.framing.header() {
                self.left = self.framing.body(&self.header)?;
                self.header.clear();
            }
        }
        Ok(())
    }
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let looked = self.look(buffer.filled().get(before..).unwrap_or_default());
        Poll::Ready(looked.map_err(|err| {
            // With an error nothing may have been read.
            buffer.set_filled(before);
            io::Error::new(io::ErrorKind::InvalidData, err)
        }))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A failure of the link below `idevice`, which no word of the device explains; none for the others.
pub(super) fn of_link(err: &IdeviceError) -> Option<Fault> {
    match err {
        IdeviceError::Socket(io) => Some(match io.get_ref().and_then(|e| e.downcast_ref::<WireError>()) {
            Some(wire) => wire.clone().into(),
            None => Fault::link(io),
        }),
        IdeviceError::Plist(why) => Some(Fault::new(Code::LinkGarbage, format!("no property list: {why}"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn through(framing: Framing, bytes: &[u8], piece: usize) -> io::Result<Vec<u8>> {
        let (mut device, host) = tokio::io::duplex(64);
        let mut guarded = Guarded::new(Box::new(host), framing);
        let sent = bytes.to_vec();
        let sender = tokio::spawn(async move {
            for part in sent.chunks(piece) {
                if device.write_all(part).await.is_err() {
                    return;
                }
            }
        });
        let mut got = Vec::new();
        let read = guarded.read_to_end(&mut got).await;
        drop(guarded);
        sender.await.unwrap();
        read.map(|_| got)
    }

    fn afc(whole: u64, fixed: u64) -> Vec<u8> {
        let mut bytes = b"CFA6LPAA".to_vec();
        for word in [whole, fixed, 7, 2] {
            bytes.extend(word.to_le_bytes());
        }
        bytes
    }

    #[tokio::test]
    async fn sound_frames_pass_as_they_are_however_they_are_cut() {
        let plists = [&[0, 0, 0, 3][..], b"abc", &[0, 0, 0, 0], &[0, 0, 0, 1], b"x"].concat();
        let packets = [afc(43, 40), b"abc".to_vec(), afc(40, 40), afc(50, 48), b"0123456789".to_vec()].concat();
        for piece in [1, 3, 7, 1000] {
            assert_eq!(through(Framing::Plist, &plists, piece).await.unwrap(), plists);
            assert_eq!(through(Framing::Afc, &packets, piece).await.unwrap(), packets);
        }
    }

    #[tokio::test]
    async fn claims_that_cannot_be_true_end_the_stream() {
        let absurd = [&[0, 0, 0, 1][..], b"x", &[0xFF, 0xFF, 0xFF, 0xF0]].concat();
        let cases = [
            (Framing::Plist, absurd, Code::LinkAbsurd),
            (Framing::Afc, afc(u64::MAX, 40), Code::LinkAbsurd),
            (Framing::Afc, afc(48, 12), Code::LinkGarbage),
            (Framing::Afc, afc(40, 48), Code::LinkGarbage),
            (Framing::Afc, vec![b'?'; 40], Code::LinkAbsurd),
        ];
        for (framing, bytes, code) in cases {
            let err = through(framing, &bytes, 5).await.unwrap_err();
            let fault = of_link(&IdeviceError::Socket(err)).unwrap();
            assert_eq!(fault.code, code, "{fault}");
        }
    }
}
