//! ASR: the system image goes across.
//!
//! The device first reads where it likes (out-of-band reads), then takes the whole image in chunks of
//! 128 KiB, each with its SHA-1 if it asked for them. The image is read by position from the IPSW, on a
//! blocking thread that stays one buffer ahead; the chunk digests come from a table that all devices of a
//! batch share.

use crate::event::{Event, Step, Tell, Unit};
use crate::fault::{Code, Fault};
use crate::mux::BoxDuplex;
use crate::wire::asr::{self as wire, FromDevice, PacketInfo};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// How long one write may wait for the device.
const STALL: Duration = Duration::from_secs(60);
/// How long the device may think before its next message.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// Read-ahead in chunks: 8 x 128 KiB at a time, two of them in flight.
const CHUNKS_PER_READ: usize = 8;
const READS_AHEAD: usize = 2;

/// A system image that is read by position. Calls block.
pub trait SystemImage: Send + Sync {
    /// Bytes of the whole image.
    fn size(&self) -> u64;
    /// Fills `buffer` from `offset`; short images are an error.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// SHA-1 of chunk `index` (of [`wire::CHUNK`] bytes, the last one shorter).
    fn chunk_digest(&self, index: u64, chunk: &[u8]) -> [u8; 20];
}

fn failed(what: impl Into<String>) -> Fault {
    Fault::new(Code::AsrFailed, what).during(Step::SendImage)
}

/// Serves one ASR connection to its end.
pub async fn serve(mut link: BoxDuplex, image: Arc<dyn SystemImage>, tell: &dyn Tell) -> Result<(), Fault> {
    let mut buffer = Vec::new();
    let mut checksums = None;
    loop {
        match next(&mut link, &mut buffer).await? {
            // A second Initiate is normal on newer systems.
            FromDevice::Initiate { checksum_chunks } => {
                checksums = Some(checksum_chunks);
                let info = PacketInfo { size: image.size(), checksum_chunks };
                write(&mut link, &info.build()).await?;
            }
            FromDevice::OobData { length, offset } => out_of_band(&mut link, &image, length, offset).await?,
            FromDevice::Payload => {
                let checksums = checksums.ok_or_else(|| failed("Payload before Initiate"))?;
                return payload(&mut link, image, checksums, tell).await;
            }
        }
    }
}

async fn next(link: &mut BoxDuplex, buffer: &mut Vec<u8>) -> Result<FromDevice, Fault> {
    loop {
        if let Some(length) = wire::message_length(buffer)? {
            let message: Vec<u8> = buffer.drain(..length).collect();
            return Ok(FromDevice::parse(&message)?);
        }
        let mut piece = [0; 4096];
        let read = tokio::time::timeout(PATIENCE, link.read(&mut piece))
            .await
            .map_err(|_| failed("ASR on the device says nothing"))?
            .map_err(|e| failed(e.to_string()))?;
        if read == 0 {
            return Err(failed("ASR on the device closed the link"));
        }
        buffer.extend_from_slice(piece.get(..read).unwrap_or_default());
    }
}

async fn write(link: &mut BoxDuplex, bytes: &[u8]) -> Result<(), Fault> {
    match tokio::time::timeout(STALL, link.write_all(bytes)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(err)) => Err(failed(err.to_string())),
        Err(_) => Err(failed(format!("the device took nothing for {} s", STALL.as_secs()))),
    }
}

async fn out_of_band(
    link: &mut BoxDuplex,
    image: &Arc<dyn SystemImage>,
    length: u64,
    offset: u64,
) -> Result<(), Fault> {
    let inside = offset.checked_add(length).is_some_and(|end| end <= image.size());
    if !inside || length > wire::OOB_CAP {
        return Err(failed(format!("the device asked for {length} bytes at {offset}, outside the image")));
    }
    let image = Arc::clone(image);
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = vec![0; length as usize];
        image.read_at(offset, &mut bytes).map(|()| bytes)
    });
    let bytes =
        read.await.map_err(|e| failed(e.to_string()))?.map_err(|e| failed(format!("reading the image: {e}")))?;
    write(link, &bytes).await?;
    link.flush().await.map_err(|e| failed(e.to_string()))
}

async fn payload(
    link: &mut BoxDuplex,
    image: Arc<dyn SystemImage>,
    checksums: bool,
    tell: &dyn Tell,
) -> Result<(), Fault> {
    let total = image.size();
    let (full, mut filled) = mpsc::channel::<io::Result<Vec<u8>>>(READS_AHEAD);
    let (empty, mut spare) = mpsc::channel::<Vec<u8>>(READS_AHEAD + 1);
    let reader = tokio::task::spawn_blocking(move || read_ahead(image.as_ref(), checksums, &full, &mut spare));
    let mut sent = 0u64;
    tell.tell(Event::Progress { step: Step::SendImage, unit: Unit::Bytes, done: 0, total: Some(total) });
    while let Some(piece) = filled.recv().await {
        let piece = piece.map_err(|e| failed(format!("reading the image: {e}")))?;
        write(link, &piece).await?;
        let chunks = piece.len().div_ceil(wire::CHUNK + if checksums { wire::CHECKSUM } else { 0 });
        let overhead = if checksums { chunks * wire::CHECKSUM } else { 0 };
        sent += (piece.len() - overhead) as u64;
        tell.tell(Event::Progress { step: Step::SendImage, unit: Unit::Bytes, done: sent, total: Some(total) });
        let _ = empty.try_send(piece);
    }
    link.flush().await.map_err(|e| failed(e.to_string()))?;
    reader.await.map_err(|e| failed(e.to_string()))?;
    if sent != total {
        return Err(failed(format!("{sent} of {total} bytes were sent")));
    }
    Ok(())
}

/// Fills buffers of chunks with their digests behind each, in order, until the image ends or nobody takes them.
fn read_ahead(
    image: &dyn SystemImage,
    checksums: bool,
    full: &mpsc::Sender<io::Result<Vec<u8>>>,
    spare: &mut mpsc::Receiver<Vec<u8>>,
) {
    let total = image.size();
    let (mut offset, mut index) = (0u64, 0u64);
    while offset < total {
        let mut piece = spare.try_recv().unwrap_or_default();
        piece.clear();
        for _ in 0..CHUNKS_PER_READ {
            let length = (total - offset).min(wire::CHUNK as u64) as usize;
            if length == 0 {
                break;
            }
            let start = piece.len();
            piece.resize(start + length, 0);
            let Some(chunk) = piece.get_mut(start..) else { return };
            if let Err(err) = image.read_at(offset, chunk) {
                let _ = full.blocking_send(Err(err));
                return;
            }
            if checksums {
                let digest = image.chunk_digest(index, chunk);
                piece.extend_from_slice(&digest);
            }
            offset += length as u64;
            index += 1;
        }
        if full.blocking_send(Ok(piece)).is_err() {
            return;
        }
    }
}
