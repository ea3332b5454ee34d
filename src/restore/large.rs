//! An answer with images in it, sent as it is read.
//!
//! Boot firmware of a recent phone has 27 MB; as a property list in memory that would be 90 for each device. So
//! the answer is a frame with places (`wire::restored::large`), each image is opened when its turn comes, and
//! only a few pieces are under way at a time. Digests were checked before the first byte goes out.

use super::link::Sender;
use super::personalize::Source;
use crate::fault::{Code, Fault};
use crate::wire::restored::FROM_HOST_CAP;
use crate::wire::restored::large::{self, LINE, Large, Part};
use std::io::Read;
use tokio::sync::mpsc;

/// Bytes of an image that become one piece of the message.
const PIECE: usize = 1024 * LINE;
/// Pieces between the thread that reads and the link.
const AHEAD: usize = 4;

pub(super) type Images = Large<Box<dyn Read + Send>>;

pub(super) fn image(source: Source) -> Images {
    Large::Data { length: source.length, from: source.reader }
}

/// A dictionary with one image.
pub(super) fn one(key: &str, source: Source) -> Images {
    Large::Dictionary(vec![(key.to_owned(), image(source))])
}

/// As one message that nothing comes between.
pub(super) async fn send(sender: &Sender, answer: Images) -> Result<(), Fault> {
    let parts = large::parts(answer, FROM_HOST_CAP)?;
    let (full, pieces) = mpsc::channel(AHEAD);
    let reading = tokio::task::spawn_blocking(move || {
        let read = parts.into_iter().try_for_each(|part| produce(part, &full));
        if let Err(Some(fault)) = read {
            let _ = full.blocking_send(Err(fault));
        }
    });
    sender.send_pieces(pieces).await?;
    reading.await.map_err(|e| Fault::new(Code::Internal, e.to_string()))
}

type Pieces = mpsc::Sender<Result<Vec<u8>, Fault>>;

/// No fault means that nobody takes the pieces any more.
fn produce(part: Part<Box<dyn Read + Send>>, full: &Pieces) -> Result<(), Option<Fault>> {
    let (mut left, mut from) = match part {
        Part::Xml(xml) => return full.blocking_send(Ok(xml)).map_err(|_| None),
        Part::Data { length, from } => (length, from),
    };
    let mut bytes = vec![0; left.min(PIECE as u64) as usize];
    while left > 0 {
        bytes.truncate(left.min(PIECE as u64) as usize);
        from.read_exact(&mut bytes).map_err(|e| Some(Fault::new(Code::FirmwareDamaged, e.to_string())))?;
        left -= bytes.len() as u64;
        let mut lines = Vec::with_capacity(bytes.len() / LINE * 77 + 80);
        large::line_up(&bytes, &mut lines);
        full.blocking_send(Ok(lines)).map_err(|_| None)?;
    }
    Ok(())
}

/// The message as the device reads it.
#[cfg(test)]
pub(super) fn whole(answer: Images) -> plist::Dictionary {
    let (full, mut pieces) = mpsc::channel(1);
    let parts = large::parts(answer, FROM_HOST_CAP).unwrap();
    let reading = std::thread::spawn(move || parts.into_iter().try_for_each(|part| produce(part, &full)));
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.blocking_recv() {
        bytes.extend(piece.unwrap());
    }
    reading.join().unwrap().unwrap();
    let (prefix, body) = bytes.split_first_chunk::<4>().unwrap();
    assert_eq!(u32::from_be_bytes(*prefix) as usize, body.len());
    crate::wire::restored::parse(body).unwrap()
}
