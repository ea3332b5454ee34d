//! ASR on the phone's side: reads here and there in the image, then takes all of it.
//!
//! What was read at random must come again in the payload, every chunk must have its SHA-1, and the
//! image must end where the packet info said. The digests of the whole are made on a thread of their own,
//! so that receiving stays as fast as the link.

use super::super::phone::{Link, Stage};
use super::finish;
use super::line::{DataPort, Failure, HOST_LIMIT, Stop, gone, lock};
use super::run::Run;
use crate::wire::asr::{self, CHECKSUM, CHUNK, FromDevice, PacketInfo};
use crate::wire::restored::names::operation;
use serde_json::json;
use sha1::Digest;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

/// Largest image, in bytes.
const IMAGE_CAP: u64 = 64 << 30;
/// Images up to this size get a SHA-384 too; it is the slow one.
const SHA384_CAP: u64 = 512 << 20;
/// Bytes at the head in which an image of the bench says which system it is.
const HEAD: usize = 64 << 10;

struct Source {
    link: Link,
    /// Read, but not used yet.
    pending: Vec<u8>,
}

impl Source {
    fn message(&mut self) -> Result<Vec<u8>, Stop> {
        loop {
            let found = asr::message_length(&self.pending).map_err(|err| broken(err.to_string()))?;
            if let Some(length) = found {
                let rest = self.pending.split_off(length);
                return Ok(std::mem::replace(&mut self.pending, rest));
            }
            let mut piece = [0; 4096];
            let count = self.link.read(&mut piece).map_err(|err| broken(err.to_string()))?;
            if count == 0 {
                return Err(broken("the host closed the link"));
            }
            self.pending.extend_from_slice(&piece[..count]);
        }
    }

    fn exact(&mut self, into: &mut [u8]) -> Result<(), Stop> {
        let have = self.pending.len().min(into.len());
        into[..have].copy_from_slice(&self.pending[..have]);
        self.pending.drain(..have);
        self.link.read_exact(&mut into[have..]).map_err(|err| broken(err.to_string()))
    }

    fn say(&mut self, message: &FromDevice) -> Result<(), Stop> {
        self.link.write_all(&message.build()).map_err(|err| broken(err.to_string()))
    }
}

fn broken(why: impl Into<String>) -> Stop {
    Failure::new(14, "failed to restore image")
        .because("AMRestoreErrorDomain", 14, format!("ASR: {}", why.into()))
        .into()
}

/// The places that are read before the payload, as (offset, length): the head, areas in the middle, and
/// the trailer twice.
fn places(size: u64) -> Vec<(u64, u64)> {
    let mut places = vec![(0, 53.min(size))];
    for (at, length) in [(size / 50, 8595), (size / 5, 110_696), (size / 3 * 2, 24_409)] {
        let length = length.min(size.saturating_sub(at)).min(size / 8);
        if length > 0 {
            places.push((at, length));
        }
    }
    let tail = 512.min(size);
    places.extend([(size - tail, tail), (size - tail, tail)]);
    places
}

/// One whole ASR session on an open port.
pub(super) fn receive(run: &Arc<Run>, mut port: DataPort, context: Option<&str>) -> Result<(), Stop> {
    let outcome = port.accept().and_then(|link| {
        let mut source = Source { link, pending: Vec::new() };
        let outcome = session(run, &mut source, context);
        let _ = source.link.shutdown(Shutdown::Both);
        outcome
    });
    if let Err(Stop::Failed(failure)) = &outcome {
        run.phone.remember("asr.failed", json!({ "why": failure.text() }));
        // A host that is gone takes the phone with it; then the link is the reason.
        if run.phone.stage() != Stage::Restore {
            return Err(gone("left restore mode"));
        }
    }
    outcome
}

fn session(run: &Arc<Run>, source: &mut Source, context: Option<&str>) -> Result<(), Stop> {
    let rounds: &[bool] = if run.faults.asr_second_initiate { &[false, true] } else { &[true] };
    let mut size = 0;
    let mut oob: Vec<(u64, Vec<u8>)> = Vec::new();
    for checksum_chunks in rounds {
        source.say(&FromDevice::Initiate { checksum_chunks: *checksum_chunks })?;
        let info = PacketInfo::parse(&source.message()?).map_err(|err| broken(err.to_string()))?;
        if info.checksum_chunks != *checksum_chunks {
            return Err(broken("the packet info does not repeat what Initiate asked for"));
        }
        if info.size == 0 || info.size > IMAGE_CAP {
            return Err(broken(format!("an image of {} bytes", info.size)));
        }
        size = info.size;
    }
    run.phone.remember("asr.begin", json!({ "size": size }));
    let mut asked = places(size);
    let mut next = 0;
    while let Some((offset, length)) = asked.get(next).copied() {
        source.say(&FromDevice::OobData { length, offset })?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        source.exact(&mut bytes)?;
        if offset == 0 && next == 0 && aea_auth_length(&bytes).is_some_and(|more| 12 + more < size) {
            asked.insert(1, (0, 12 + aea_auth_length(&bytes).unwrap_or(0)));
        }
        oob.push((offset, bytes));
        next += 1;
    }
    source.say(&FromDevice::Payload)?;
    let asset = oob.iter().find_map(|(offset, bytes)| if *offset == 0 { aea_key_url(bytes) } else { None });
    let asset = match (context, asset) {
        (Some(_), Some(url)) => {
            let asking = Arc::clone(run);
            Some(std::thread::spawn(move || asking.url_asset(&url)))
        }
        _ => None,
    };
    payload(run, source, size, &oob, context)?;
    match asset.map(std::thread::JoinHandle::join) {
        Some(Ok(outcome)) => outcome,
        Some(Err(_)) => Err(broken("the key thread ended")),
        None => Ok(()),
    }
}

fn payload(
    run: &Arc<Run>,
    source: &mut Source,
    size: u64,
    oob: &[(u64, Vec<u8>)],
    context: Option<&str>,
) -> Result<(), Stop> {
    source.link.set_read_timeout(Some(HOST_LIMIT)).map_err(gone)?;
    if run.faults.asr_unjudged {
        return unjudged(run, source, size);
    }
    let (chunks, to_digest) = sync_channel::<Vec<u8>>(8);
    let digesting = std::thread::spawn(move || {
        let mut sha256 = sha2::Sha256::new();
        let mut sha384 = (size <= SHA384_CAP).then(sha2::Sha384::new);
        for chunk in to_digest {
            sha256.update(&chunk);
            if let Some(sha384) = &mut sha384 {
                sha384.update(&chunk);
            }
        }
        (hex(&sha256.finalize()), sha384.map(|d| hex(&d.finalize())))
    });
    let mut head = Vec::new();
    let mut done = 0;
    let mut percent = None;
    while done < size {
        let length = (size - done).min(CHUNK as u64) as usize;
        if run.faults.unplug_at_image_byte.is_some_and(|at| at < done + length as u64) {
            finish::to_recovery(&run.phone);
            return Err(gone("unplugged"));
        }
        for (limit, silent) in [(run.faults.asr_cut_at, false), (run.faults.asr_silent_at, true)] {
            if limit.is_some_and(|at| at < done + length as u64) {
                if silent {
                    return Err(Stop::Silent);
                }
                let _ = source.link.shutdown(Shutdown::Both);
                return Err(broken(format!("cut at byte {done}")));
            }
        }
        let mut chunk = vec![0; length + CHECKSUM];
        source.exact(&mut chunk)?;
        let checksum = chunk.split_off(length);
        if sha1::Sha1::digest(&chunk)[..] != checksum[..] {
            let failure = Failure::new(1100, "failed to restore APFS image").because(
                "AMRestoreErrorDomain",
                1100,
                format!("ASR STATUS: fail: checksum failure in the chunk at {done}"),
            );
            return Err(failure.into());
        }
        if let Some(at) = oob.iter().find(|(offset, bytes)| differs(done, &chunk, *offset, bytes)).map(|(at, _)| at) {
            return Err(broken(format!("the payload is not what was read at {at}")));
        }
        if head.len() < HEAD {
            head.extend_from_slice(&chunk[..chunk.len().min(HEAD)]);
        }
        done += length as u64;
        let _ = chunks.send(chunk);
        let now = (done * 100 / size) as u8;
        if percent != Some(now) {
            percent = Some(now);
            if let Some(context) = context {
                run.progress(operation::RESTORE_IMAGE, Some(now), Some(context))?;
            }
        }
    }
    drop(chunks);
    let (sha256, sha384) = digesting.join().map_err(|_| broken("the digest thread ended"))?;
    run.phone.remember("asr.image", json!({ "size": size, "sha256": sha256, "sha384": sha384 }));
    lock(&run.known).image_head = head;
    Ok(())
}

/// The image and its digests, thrown away but for the head.
fn unjudged(run: &Arc<Run>, source: &mut Source, size: u64) -> Result<(), Stop> {
    let mut left = size + size.div_ceil(CHUNK as u64) * CHECKSUM as u64;
    let mut buffer = vec![0; 1 << 20];
    let mut head = Vec::new();
    while left > 0 {
        let length = left.min(buffer.len() as u64) as usize;
        source.exact(&mut buffer[..length])?;
        if head.is_empty() {
            head.extend_from_slice(&buffer[..length.min(HEAD)]);
        }
        left -= length as u64;
    }
    run.phone.remember("asr.image", json!({ "size": size, "sha256": null, "sha384": null }));
    lock(&run.known).image_head = head;
    Ok(())
}

/// Whether the part that `chunk` at `done` has in common with `bytes` at `offset` differs.
fn differs(done: u64, chunk: &[u8], offset: u64, bytes: &[u8]) -> bool {
    let from = done.max(offset);
    let to = (done + chunk.len() as u64).min(offset + bytes.len() as u64);
    from < to
        && chunk[(from - done) as usize..(to - done) as usize]
            != bytes[(from - offset) as usize..(to - offset) as usize]
}

/// Bytes of the authentication data of an Apple Encrypted Archive that starts here.
pub(super) fn aea_auth_length(head: &[u8]) -> Option<u64> {
    let length = head.strip_prefix(b"AEA1")?.get(4..8)?;
    Some(length.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))).filter(|n| *n < 1 << 20)
}

/// Where the key of an archive is to be fetched, from its authentication data.
pub(super) fn aea_key_url(head: &[u8]) -> Option<String> {
    let length = usize::try_from(aea_auth_length(head)?).ok()?;
    let mut fields = head.get(12..12 + length)?;
    while let Some((prefix, _)) = fields.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*prefix) as usize;
        let field = fields.get(4..length)?;
        let (key, value) = field.split_at_checked(field.iter().position(|b| *b == 0)?)?;
        if key.ends_with(b"fcs-key-url") {
            return String::from_utf8(value.get(1..)?.to_vec()).ok();
        }
        fields = fields.get(length.max(4)..)?;
    }
    None
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_stay_inside_the_image() {
        for size in [1, 53, 511, 512, 513, 4096, 131_072, 64 << 20, 7_000_000_000] {
            for (at, length) in places(size) {
                assert!(length > 0 && at + length <= size, "{size}: {at} {length}");
            }
        }
        let places = places(64 << 20);
        assert_eq!(places[0], (0, 53));
        assert!(places.ends_with(&[((64 << 20) - 512, 512), ((64 << 20) - 512, 512)]));
    }

    #[test]
    fn overlaps_are_compared() {
        assert!(!differs(0, &[1, 2, 3, 4], 2, &[3, 4, 5]));
        assert!(differs(0, &[1, 2, 3, 4], 2, &[3, 9, 5]));
        assert!(!differs(4, &[5], 2, &[3, 4, 5]));
        assert!(!differs(9, &[5], 2, &[3, 4, 5]));
    }

    #[test]
    fn the_key_url_is_found() {
        let field = |key: &str, value: &str| {
            let body = [key.as_bytes(), &[0], value.as_bytes()].concat();
            [&(body.len() as u32 + 4).to_le_bytes()[..], &body].concat()
        };
        let auth =
            [field("com.apple.wkms.fcs-response", "{}"), field("com.apple.wkms.fcs-key-url", "http://k/1")].concat();
        let mut head = b"AEA1\x01\0\0\0".to_vec();
        head.extend_from_slice(&(auth.len() as u32).to_le_bytes());
        head.extend_from_slice(&auth);
        assert_eq!(aea_key_url(&head).as_deref(), Some("http://k/1"));
        assert_eq!(aea_key_url(b"AEA1\x01\0\0\0\xFF\xFF\0\0"), None);
        assert_eq!(aea_key_url(b"koly"), None);
    }
}
