//! Files to the phone: the answer to `DLMessageDownloadFiles`.
//!
//! Each file goes as its name, data frames of 32 KiB and an end; one that is missing gets an error frame, and the
//! batch goes on. The list ends with a zero word and a status that names the missing ones. An empty list is answered
//! in the same way: a phone waits for that for ever.
//!
//! A file that shrinks while it is sent, or cannot be read to its end, closes with an error frame: it never looks
//! complete.

use super::link::{Link, Wire};
use super::tree::{WorkTree, code_of};
use crate::event::{Event, Step, Unit};
use crate::fault::Fault;
use crate::wire::devicelink::frame::{FrameCode, Head, LIST_END, build_name};
use crate::wire::devicelink::{DlCode, Status};
use std::io::{self, Read};
use std::time::{Duration, Instant};

const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// What went out over a whole run.
#[derive(Debug, Default)]
pub(super) struct Outgo {
    pub files: u64,
    /// Bytes of contents.
    pub bytes: u64,
    /// Files that the device asked for and that were not there.
    pub missing: u64,
    told: Option<Instant>,
}

/// Sends one batch and gives the status that ends it. Without a tree nothing is there.
///
/// # Errors
/// Link faults, [`crate::fault::Code::BackupHostile`], cancel.
pub(super) fn send_batch<W: Wire>(
    link: &mut Link<'_, W>,
    tree: Option<&WorkTree>,
    paths: &[String],
    outgo: &mut Outgo,
    step: Step,
) -> Result<Status, Fault> {
    let mut failed: Vec<(&str, DlCode, String)> = vec![];
    for path in paths {
        let place = match tree {
            Some(tree) => Some((tree, tree.place(path, true)?)),
            None => None,
        };
        link.queue(&build_name(path)?)?;
        let opened = match place {
            Some((tree, place)) => tree.read(place),
            None => Err(io::Error::from_raw_os_error(rustix::io::Errno::NOENT.raw_os_error())),
        };
        let sent = match opened {
            Ok((mut file, size)) => send_file(link, &mut file, size, outgo, step)?,
            Err(err) => Err(err),
        };
        match sent {
            Ok(()) => {
                outgo.files += 1;
                link.queue(&Head { code: FrameCode::End, payload: 0 }.build())?;
            }
            Err(err) => {
                outgo.missing += 1;
                let (code, _) = code_of(&err);
                let text = if code == DlCode::NOT_FOUND { "No such file or directory".into() } else { err.to_string() };
                let head = Head { code: FrameCode::HostError, payload: text.len() as u32 };
                link.queue(&head.build())?;
                link.queue(text.as_bytes())?;
                failed.push((path, code, text));
            }
        }
    }
    link.queue(&LIST_END)?;
    tell_bytes(link, outgo, step, true);
    Ok(match failed.as_slice() {
        [] => Status::ok(),
        some => Status::multi(some.iter().map(|(path, code, text)| (*path, *code, text.as_str()))),
    })
}

fn send_file<W: Wire>(
    link: &mut Link<'_, W>,
    file: &mut std::fs::File,
    size: u64,
    outgo: &mut Outgo,
    step: Step,
) -> Result<io::Result<()>, Fault> {
    let mut sent = 0u64;
    loop {
        if let Err(fault) = link.cancel.check() {
            // The conversation stays in step: this file failed, the list ends here.
            let head = Head { code: FrameCode::HostError, payload: 9 };
            link.queue(&head.build())?;
            link.queue(b"Cancelled")?;
            link.queue(&LIST_END)?;
            return Err(fault);
        }
        match link.queue_data(|space| read_full(file, space))? {
            Ok(0) if sent < size => return Ok(Err(io::Error::from(io::ErrorKind::UnexpectedEof))),
            Ok(0) => return Ok(Ok(())),
            Ok(count) => {
                sent += count as u64;
                outgo.bytes += count as u64;
                tell_bytes(link, outgo, step, false);
            }
            Err(err) => return Ok(Err(err)),
        }
    }
}

fn read_full(file: &mut impl Read, space: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = space.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(done)
}

fn tell_bytes<W: Wire>(link: &Link<'_, W>, outgo: &mut Outgo, step: Step, always: bool) {
    let now = Instant::now();
    if always || outgo.told.is_none_or(|told| now.duration_since(told) >= PROGRESS_EVERY) {
        outgo.told = Some(now);
        // A backup's own downloads are its manifest; the bytes of a backup are those that come in.
        if step == Step::PutBack {
            link.tell.tell(Event::Progress { step, unit: Unit::Bytes, done: outgo.bytes, total: None });
        }
    }
}
