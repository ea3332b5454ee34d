//! ASR: the system image goes across.
//!
//! The device first reads where it likes (out-of-band reads), then takes the whole image in chunks of
//! 128 KiB, each with its SHA-1 if it asked for them. The image is read by position from the IPSW, on a
//! blocking thread that stays a few pieces ahead, and goes out from the buffers it was read into; the chunk
//! digests come from a table that all devices of a batch share.

use crate::event::{Event, Step, Tell, Unit};
use crate::fault::{Code, Fault};
use crate::firmware::{Piece, RootImage};
use crate::mux::BoxDuplex;
use crate::wire::asr::{self as wire, FromDevice, PacketInfo};
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// How long one write may wait for the device.
const STALL: Duration = Duration::from_secs(60);
/// How long the device may think before its next message.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// Pieces (1 MiB each) that are read before the device takes them.
const READS_AHEAD: usize = 2;
/// Bytes of an out-of-band read that are in memory at once.
const OOB_PIECE: u64 = 256 << 10;

fn failed(what: impl Into<String>) -> Fault {
    Fault::new(Code::AsrFailed, what)
}

/// Serves one ASR connection to its end.
pub async fn serve(link: BoxDuplex, image: Arc<RootImage>, tell: &dyn Tell) -> Result<(), Fault> {
    converse(link, image, tell).await.map_err(|fault| fault.during(Step::SendImage))
}

async fn converse(mut link: BoxDuplex, image: Arc<RootImage>, tell: &dyn Tell) -> Result<(), Fault> {
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
        Err(_) => Err(stalled()),
    }
}

async fn out_of_band(link: &mut BoxDuplex, image: &Arc<RootImage>, length: u64, offset: u64) -> Result<(), Fault> {
    let end = offset.checked_add(length).filter(|end| *end <= image.size() && length <= wire::OOB_CAP);
    let Some(end) = end else {
        return Err(failed(format!("the device asked for {length} bytes at {offset}, outside the image")));
    };
    let mut bytes = Vec::new();
    let mut at = offset;
    while at < end {
        let image = Arc::clone(image);
        let read = tokio::task::spawn_blocking(move || {
            bytes.resize((end - at).min(OOB_PIECE) as usize, 0);
            let read = image.read_at(at, &mut bytes)?;
            if read == bytes.len() { Ok(bytes) } else { Err(failed("the image ends too early")) }
        });
        bytes = read.await.map_err(|e| failed(e.to_string()))??;
        write(link, &bytes).await?;
        at += bytes.len() as u64;
    }
    link.flush().await.map_err(|e| failed(e.to_string()))
}

async fn payload(link: &mut BoxDuplex, image: Arc<RootImage>, checksums: bool, tell: &dyn Tell) -> Result<(), Fault> {
    let total = image.size();
    let (full, mut filled) = mpsc::channel::<Result<Piece, Fault>>(READS_AHEAD);
    let (empty, mut spare) = mpsc::channel::<Piece>(READS_AHEAD + 1);
    let reader = tokio::task::spawn_blocking(move || read_ahead(&image, checksums, &full, &mut spare));
    let mut sent = 0u64;
    tell.tell(Event::Progress { step: Step::SendImage, unit: Unit::Bytes, done: 0, total: Some(total) });
    while let Some(piece) = filled.recv().await {
        let piece = piece?;
        write_slices(link, &mut piece.slices()).await?;
        sent += piece.bytes.len() as u64;
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

/// All of the slices, without joining them first. The limit is for each step: a slow device is no silent one.
async fn write_slices(link: &mut BoxDuplex, mut slices: &mut [IoSlice<'_>]) -> Result<(), Fault> {
    while !slices.is_empty() {
        match tokio::time::timeout(STALL, link.write_vectored(slices)).await {
            Ok(Ok(0)) => return Err(failed("the device takes no more")),
            Ok(Ok(count)) => IoSlice::advance_slices(&mut slices, count),
            Ok(Err(err)) => return Err(failed(err.to_string())),
            Err(_) => return Err(stalled()),
        }
    }
    Ok(())
}

fn stalled() -> Fault {
    failed(format!("the device took nothing for {} s", STALL.as_secs()))
}

/// Fills pieces in order until the image ends or nobody takes them.
fn read_ahead(
    image: &RootImage,
    checksums: bool,
    full: &mpsc::Sender<Result<Piece, Fault>>,
    spare: &mut mpsc::Receiver<Piece>,
) {
    let mut offset = 0;
    loop {
        let mut piece = spare.try_recv().unwrap_or_default();
        let read = match image.fill(&mut piece, offset, checksums) {
            Ok(true) => Ok(piece),
            Ok(false) => break,
            Err(fault) => Err(fault),
        };
        offset += read.as_ref().map_or(0, |p| p.bytes.len() as u64);
        let ends = read.is_err();
        if full.blocking_send(read).is_err() || ends {
            return;
        }
    }
    image.keep();
}
