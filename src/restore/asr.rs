//! ASR: the system image goes across.
//!
//! The device first reads where it likes (out-of-band reads), then takes the whole image in chunks of
//! 128 KiB, each with its SHA-1 if it asked for them. The image is read by position from the IPSW, on a
//! blocking thread that stays one buffer ahead; the chunk digests come from a table that all devices of a
//! batch share.

use crate::event::{Event, Step, Tell, Unit};
use crate::fault::{Code, Fault};
use crate::firmware::RootImage;
use crate::mux::BoxDuplex;
use crate::wire::asr::{self as wire, FromDevice, PacketInfo};
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

fn failed(what: impl Into<String>) -> Fault {
    Fault::new(Code::AsrFailed, what).during(Step::SendImage)
}

/// Serves one ASR connection to its end.
pub async fn serve(mut link: BoxDuplex, image: Arc<RootImage>, tell: &dyn Tell) -> Result<(), Fault> {
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

async fn out_of_band(link: &mut BoxDuplex, image: &Arc<RootImage>, length: u64, offset: u64) -> Result<(), Fault> {
    let inside = offset.checked_add(length).is_some_and(|end| end <= image.size());
    if !inside || length > wire::OOB_CAP {
        return Err(failed(format!("the device asked for {length} bytes at {offset}, outside the image")));
    }
    let image = Arc::clone(image);
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = vec![0; length as usize];
        let read = image.read_at(offset, &mut bytes)?;
        bytes.truncate(read);
        Ok::<_, Fault>(bytes)
    });
    let bytes = read.await.map_err(|e| failed(e.to_string()))?.map_err(|f| f.during(Step::SendImage))?;
    if bytes.len() as u64 != length {
        return Err(failed("the image ends too early"));
    }
    write(link, &bytes).await?;
    link.flush().await.map_err(|e| failed(e.to_string()))
}

async fn payload(link: &mut BoxDuplex, image: Arc<RootImage>, checksums: bool, tell: &dyn Tell) -> Result<(), Fault> {
    let total = image.size();
    let (full, mut filled) = mpsc::channel::<Result<Piece, Fault>>(READS_AHEAD);
    let (empty, mut spare) = mpsc::channel::<Vec<u8>>(READS_AHEAD + 1);
    let reader = tokio::task::spawn_blocking(move || read_ahead(&image, checksums, &full, &mut spare));
    let mut sent = 0u64;
    tell.tell(Event::Progress { step: Step::SendImage, unit: Unit::Bytes, done: 0, total: Some(total) });
    while let Some(piece) = filled.recv().await {
        let piece = piece.map_err(|f| f.during(Step::SendImage))?;
        write(link, &piece.bytes).await?;
        sent += piece.of_image;
        tell.tell(Event::Progress { step: Step::SendImage, unit: Unit::Bytes, done: sent, total: Some(total) });
        let _ = empty.try_send(piece.bytes);
    }
    link.flush().await.map_err(|e| failed(e.to_string()))?;
    reader.await.map_err(|e| failed(e.to_string()))?;
    if sent != total {
        return Err(failed(format!("{sent} of {total} bytes were sent")));
    }
    Ok(())
}

/// Chunks with their digests behind each, ready to be written.
struct Piece {
    bytes: Vec<u8>,
    /// How many of the bytes are the image's own.
    of_image: u64,
}

/// Fills pieces in order until the image ends or nobody takes them.
fn read_ahead(
    image: &RootImage,
    checksums: bool,
    full: &mpsc::Sender<Result<Piece, Fault>>,
    spare: &mut mpsc::Receiver<Vec<u8>>,
) {
    let mut reader = image.reader();
    loop {
        let mut bytes = spare.try_recv().unwrap_or_default();
        bytes.clear();
        let mut of_image = 0;
        for _ in 0..CHUNKS_PER_READ {
            match reader.next() {
                Ok(Some(chunk)) => {
                    bytes.extend_from_slice(chunk.bytes);
                    of_image += chunk.bytes.len() as u64;
                    if checksums {
                        bytes.extend_from_slice(&chunk.sha1());
                    }
                }
                Ok(None) => break,
                Err(fault) => {
                    let _ = full.blocking_send(Err(fault));
                    return;
                }
            }
        }
        if of_image == 0 || full.blocking_send(Ok(Piece { bytes, of_image })).is_err() {
            return;
        }
    }
}
