//! Files from the phone: the stream that follows `DLMessageUploadFiles`.
//!
//! The stream is followed to its end whatever happens on our disk: leaving it in the middle would lose the place in
//! the conversation, and the phone would not learn why. A write that failed is remembered, the rest of the batch is
//! read and dropped, and the answer carries the right code. A file that the phone could not read (0x0B) is remembered
//! with both names and its text; it is not an error of ours and the batch goes on.
//!
//! Digests are taken from the bytes as they pass. A file up to 256 KiB is one `open`, one `write`, one `close`.

use super::digests::Sha;
use super::link::{Link, Wire};
use super::patience::Phase;
use super::tree::{Place, WorkTree, code_of};
use crate::event::{Event, Step, Unit};
use crate::fault::{Code, Fault};
use crate::wire::devicelink::frame::FrameCode;
use crate::wire::devicelink::{DlCode, Status};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Write};
use std::time::{Duration, Instant};

const BUFFER: usize = 256 << 10;
/// A piece that is worth a write of its own.
const LARGE: usize = 32 << 10;
/// How many unreadable files are remembered by name; all are counted.
pub(super) const MAX_REMEMBERED: usize = 1000;
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// A file that the device could not read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FileError {
    /// Where it lies on the device.
    pub device_path: String,
    /// Where it would have been put.
    pub path: String,
    /// The device's own words.
    pub text: String,
    /// Some of its content came before the error and was kept.
    pub partly: bool,
}

/// What came in over a whole run.
#[derive(Debug, Default)]
pub(super) struct Intake {
    pub files: u64,
    /// Bytes of contents.
    pub bytes: u64,
    pub failed: Vec<FileError>,
    pub failed_count: u64,
    /// The first failure of our own disk: the run cannot end well.
    pub local: Option<Fault>,
    pub told: Option<Instant>,
}

impl Intake {
    fn fail(&mut self, error: FileError) {
        self.failed_count += 1;
        if self.failed.len() < MAX_REMEMBERED {
            self.failed.push(error);
        }
    }
}

/// One file on its way to the disk.
struct Sink<'t> {
    tree: &'t WorkTree,
    path: String,
    file: Option<File>,
    buffer: &'t mut Vec<u8>,
    size: u64,
    hash: Sha256,
    error: Option<io::Error>,
    kept: bool,
}

impl Sink<'_> {
    fn payload<W: Wire>(&mut self, link: &mut Link<'_, W>, payload: u32) -> Result<(), Fault> {
        let mut left = payload as usize;
        while left > 0 {
            let piece = link.piece(left, Phase::Transfer)?;
            let count = piece.len();
            left -= count;
            if self.error.is_none() {
                self.hash.update(piece);
                self.size += count as u64;
                self.take(piece);
            }
            link.took(count);
        }
        Ok(())
    }

    /// Large pieces go to the disk from where they lie, small ones are gathered.
    fn take(&mut self, piece: &[u8]) {
        if self.buffer.len() + piece.len() > BUFFER || (self.buffer.is_empty() && piece.len() >= LARGE) {
            self.spill();
            if piece.len() >= LARGE {
                return self.write(piece);
            }
        }
        self.buffer.extend_from_slice(piece);
    }

    /// Writes what was gathered, and makes a file that is empty.
    fn spill(&mut self) {
        if self.file.is_some() && self.buffer.is_empty() {
            return;
        }
        let gathered = std::mem::take(self.buffer);
        self.write(&gathered);
        *self.buffer = gathered;
        self.buffer.clear();
    }

    fn write(&mut self, piece: &[u8]) {
        if self.error.is_none() {
            self.error = self.try_write(piece).err();
        }
    }

    fn try_write(&mut self, piece: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(self.tree.create(Place(&self.path))?),
        };
        self.tree.spend(piece.len() as u64)?;
        file.write_all(piece)
    }

    /// The file is complete.
    fn finish(&mut self) -> Option<(u64, Sha)> {
        self.spill();
        if self.error.is_some() {
            return None;
        }
        self.kept = true;
        Some((self.size, std::mem::take(&mut self.hash).finalize().into()))
    }
}

impl Drop for Sink<'_> {
    /// Half a file does not stay.
    fn drop(&mut self) {
        if !self.kept && self.file.take().is_some() {
            let _ = self.tree.remove(Place(&self.path));
        }
    }
}

/// Receives one batch up to its end and gives the answer for it.
///
/// # Errors
/// Link faults, [`Code::BackupHostile`], cancel. Disk faults are in `intake.local` and in the answer.
pub(super) fn receive_batch<W: Wire>(
    link: &mut Link<'_, W>,
    tree: &WorkTree,
    intake: &mut Intake,
    buffer: &mut Vec<u8>,
    step: Step,
) -> Result<Status, Fault> {
    buffer.reserve(BUFFER);
    let mut answer = Status::ok();
    // The device may take its time over a batch, less so over the next file of it.
    let mut phase = Phase::Between;
    while let Some(device_path) = link.name(phase)? {
        phase = Phase::Transfer;
        let Some(path) = link.name(Phase::Transfer)? else {
            return Err(Fault::new(Code::LinkGarbage, "a file without a name for the host"));
        };
        link.cancel.check()?;
        tree.place(&path, false)?;
        if let Err(err) = receive_file(link, tree, intake, buffer, device_path, path, step)? {
            let (code, ours) = code_of(&err);
            if answer.code == DlCode::OK {
                answer = Status::error(code, err.to_string());
            }
            if ours {
                intake.local.get_or_insert_with(|| tree.fault(&err));
            }
        }
    }
    tell_bytes(link, intake, step, true);
    Ok(answer)
}

fn receive_file<W: Wire>(
    link: &mut Link<'_, W>,
    tree: &WorkTree,
    intake: &mut Intake,
    buffer: &mut Vec<u8>,
    device_path: String,
    path: String,
    step: Step,
) -> Result<io::Result<()>, Fault> {
    // After a failure of our disk nothing more is written, only read to the end.
    let error = intake.local.as_ref().map(|_| io::Error::from(io::ErrorKind::StorageFull));
    let hash = Sha256::new();
    buffer.clear();
    let mut sink = Sink { tree, path, file: None, buffer, size: 0, hash, error, kept: false };
    let text = loop {
        let head = link.head()?;
        match head.code {
            FrameCode::Data => {
                let before = sink.size;
                sink.payload(link, head.payload)?;
                intake.bytes += sink.size - before;
                link.cancel.check()?;
                tell_bytes(link, intake, step, false);
            }
            FrameCode::End => {
                link.skip(u64::from(head.payload))?;
                break None;
            }
            // Older systems close a file that was sent in pieces with an error frame that says nothing.
            FrameCode::DeviceError => break Some(link.text(head.payload)?).filter(|t| sink.size == 0 || !t.is_empty()),
            FrameCode::HostError => {
                return Err(Fault::new(Code::LinkGarbage, "the device sent an error frame of hosts"));
            }
        }
    };
    if let Some(text) = text {
        // What came before the error stays: verification knows from the manifest whether it is whole.
        let partly = sink.size > 0 && sink.error.is_none();
        let (device_path, path) = (device_path, sink.path.clone());
        if !partly {
            intake.fail(FileError { device_path, path, text, partly });
            return Ok(Ok(()));
        }
        intake.fail(FileError { device_path, path, text, partly });
    }
    let done = match sink.finish() {
        Some((size, sha)) => {
            intake.files += 1;
            match tree.book().as_mut() {
                Some(book) => book.received(&sink.path, size, &sha),
                None => Ok(()),
            }
        }
        None => Err(sink.error.take().unwrap_or_else(|| io::ErrorKind::Other.into())),
    };
    Ok(done)
}

fn tell_bytes<W: Wire>(link: &Link<'_, W>, intake: &mut Intake, step: Step, always: bool) {
    let now = Instant::now();
    if always || intake.told.is_none_or(|told| now.duration_since(told) >= PROGRESS_EVERY) {
        intake.told = Some(now);
        link.tell.tell(Event::Progress { step, unit: Unit::Bytes, done: intake.bytes, total: None });
    }
}
