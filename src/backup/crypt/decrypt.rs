//! [`Opening`] as a reader.

use crate::wire::seal::{Key, Opening, SealError};
use std::io::{self, ErrorKind, Read};

/// Bytes decrypted at once.
const PIECE: usize = 256 << 10;

/// The plain bytes of `source`. Damage is an error of [`ErrorKind::InvalidData`].
pub(in crate::backup) struct Decrypter<R> {
    source: R,
    opening: Opening,
    piece: Vec<u8>,
    /// Plain bytes; those from `at` are ready.
    plain: Vec<u8>,
    at: usize,
    ended: bool,
}

fn invalid(err: SealError) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, err)
}

impl<R: Read> Decrypter<R> {
    /// A payload, padded.
    ///
    /// # Errors
    /// None that a key of the right length gives.
    pub(in crate::backup) fn content(source: R, key: &Key) -> io::Result<Self> {
        Self::new(source, key, true)
    }

    /// Blocks without padding.
    ///
    /// # Errors
    /// As [`Decrypter::content`].
    pub(in crate::backup) fn whole(source: R, key: &Key) -> io::Result<Self> {
        Self::new(source, key, false)
    }

    fn new(source: R, key: &Key, padded: bool) -> io::Result<Self> {
        let opening = Opening::new(key, padded).map_err(invalid)?;
        Ok(Decrypter { source, opening, piece: vec![0; PIECE], plain: vec![], at: 0, ended: false })
    }

    /// The next piece; what was ready has been given.
    fn fill(&mut self) -> io::Result<()> {
        self.plain.clear();
        self.at = 0;
        match self.source.read(&mut self.piece) {
            Ok(0) => {
                self.ended = true;
                self.plain.extend_from_slice(self.opening.finish().map_err(invalid)?);
            }
            Ok(count) => {
                let cipher = self.piece.get(..count).unwrap_or_default();
                self.plain.extend_from_slice(self.opening.push(cipher).map_err(invalid)?);
            }
            Err(err) if err.kind() == ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
        Ok(())
    }
}

impl<R: Read> Read for Decrypter<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let ready = self.plain.get(self.at..).unwrap_or_default();
            let count = ready.len().min(out.len());
            if let (Some(from), Some(to), 1..) = (ready.get(..count), out.get_mut(..count), count) {
                to.copy_from_slice(from);
                self.at += count;
                return Ok(count);
            }
            if out.is_empty() || self.ended {
                return Ok(0);
            }
            self.fill()?;
        }
    }
}
