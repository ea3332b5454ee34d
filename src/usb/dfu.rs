//! One upload to SecureROM, or to an iBSS that still speaks DFU.
//!
//! The order on the wire is the one that Apple's host uses, which is stricter than what most tools do:
//! the state is asked first and cleared when it is not idle; every packet is followed by a status request
//! and must leave the device waiting for the next; the suffix with its checksum goes out because old chips
//! check it; after the empty packet the device is followed through its states 6, 7 and 8, and the time it
//! asks for in between is given to it; only then the bus is reset. A device that leaves at that point did
//! what it was asked to. Whether it *accepted* the image shows only in how it comes back (`restore::boot`).

use super::bus::{Handle, Setup, UsbError};
use super::port::Desk;
use crate::fault::{Code, Fault};
use crate::wire::dfu::{self as wire, State, Status};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(10);
/// Longest pause that a device may ask for between two status requests.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// For one packet to be taken, and for the manifestation at the end.
const PATIENCE: Duration = Duration::from_secs(20);
/// Tries to bring a device back to idle before the first packet.
const CLEAR_TRIES: u32 = 3;

/// The state alone.
pub fn state(handle: &mut dyn Handle) -> Result<State, Fault> {
    let bytes = handle.control_in(Setup::new(wire::TYPE_IN, wire::GETSTATE, 0, 0), 1, LIMIT)?;
    let byte = bytes.first().copied().ok_or_else(|| Fault::new(Code::LinkGarbage, "empty DFU state"))?;
    Ok(State::try_from(byte)?)
}

/// The whole status; asking for it is what moves the device on.
pub fn status(handle: &mut dyn Handle) -> Result<Status, Fault> {
    let setup = Setup::new(wire::TYPE_IN, wire::GETSTATUS, 0, 0);
    Ok(Status::from_bytes(&handle.control_in(setup, wire::STATUS_LENGTH as u16, LIMIT)?)?)
}

fn request(handle: &mut dyn Handle, request: u8) -> Result<(), Fault> {
    handle.control_out(Setup::new(wire::TYPE_OUT, request, 0, 0), &[], LIMIT)?;
    Ok(())
}

fn refused(detail: impl Into<String>) -> Fault {
    Fault::new(Code::BootRefused, detail)
}

/// The pause that the device asks for.
fn asked(status: &Status) -> Duration {
    Duration::from_millis(u64::from(status.poll_ms)).clamp(Duration::from_millis(2), MAX_PAUSE)
}

/// Sleeps in slices, so that a caller that went away is noticed.
fn pause(desk: &Desk, length: Duration) -> Result<(), Fault> {
    let until = Instant::now() + length;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|d| !d.is_zero()) {
        if desk.stopped() {
            return Err(Fault::cancelled());
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
    Ok(())
}

/// Brings the device to dfuIDLE: an error is cleared, an unfinished upload aborted.
fn to_idle(handle: &mut dyn Handle) -> Result<(), Fault> {
    let mut now = state(handle)?;
    for _ in 0..CLEAR_TRIES {
        match now {
            State::Idle => return Ok(()),
            State::Error => request(handle, wire::CLRSTATUS)?,
            _ => request(handle, wire::ABORT)?,
        }
        now = state(handle)?;
    }
    match now {
        State::Idle => Ok(()),
        other => Err(refused(format!("DFU stays in state {} and does not become idle", other as u8))),
    }
}

fn packet(handle: &mut dyn Handle, index: u16, data: &[u8]) -> Result<(), Fault> {
    let taken = handle.control_out(Setup::new(wire::TYPE_OUT, wire::DNLOAD, index, 0), data, LIMIT)?;
    if taken != data.len() {
        return Err(refused(format!("DFU packet {index}: {taken} of {} bytes taken", data.len())));
    }
    Ok(())
}

/// Waits until the device is ready for the next packet.
fn settled(handle: &mut dyn Handle, desk: &Desk, index: u16) -> Result<(), Fault> {
    let until = Instant::now() + PATIENCE;
    loop {
        let status = status(handle)?;
        match status.state {
            State::DownloadIdle => return Ok(()),
            State::Error => {
                return Err(refused(format!("DFU packet {index} refused, status {}", status.status)));
            }
            _ if Instant::now() >= until => {
                return Err(Fault::new(
                    Code::UsbTimeout,
                    format!("DFU packet {index}: state {} for {} s", status.state as u8, PATIENCE.as_secs()),
                ));
            }
            _ => pause(desk, asked(&status))?,
        }
    }
}

/// Sends one image and resets the bus. `desk` counts the bytes of the image.
///
/// # Errors
/// `boot-refused` when the device says so, `usb-gone` when it leaves before the last packet, `usb-timeout`,
/// `cancelled` when nobody waits any more (the device is then brought back to idle).
pub fn upload(handle: &mut dyn Handle, image: &[u8], desk: &Desk) -> Result<(), Fault> {
    let packets = image.len().div_ceil(wire::PACKET);
    let count = u16::try_from(packets)
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| Fault::new(Code::Internal, format!("{} bytes do not fit into one DFU upload", image.len())))?;
    to_idle(handle)?;
    let suffix = wire::suffix(image);
    let mut sent = 0;
    for (index, chunk) in (0..count).zip(image.chunks(wire::PACKET)) {
        if desk.stopped() {
            let _ = request(handle, wire::ABORT);
            return Err(Fault::cancelled());
        }
        if index + 1 < count {
            packet(handle, index, chunk)?;
        } else if chunk.len() + suffix.len() > wire::PACKET {
            packet(handle, index, chunk)?;
            packet(handle, index, &suffix)?;
        } else {
            packet(handle, index, &[chunk, &suffix].concat())?;
        }
        settled(handle, desk, index)?;
        sent += chunk.len() as u64;
        desk.done(sent);
    }
    packet(handle, count, &[])?;
    match manifest(handle, desk) {
        Err(fault) if fault.code == Code::UsbGone => return Ok(()),
        other => other?,
    }
    match handle.reset() {
        // A device that starts the image is no longer there to answer.
        Ok(()) | Err(UsbError::Gone | UsbError::Other(_) | UsbError::Timeout) => Ok(()),
        Err(err) => Err(err.into()),
    }
}

/// Follows the device from the empty packet to the state in which only a reset is left.
fn manifest(handle: &mut dyn Handle, desk: &Desk) -> Result<(), Fault> {
    let until = Instant::now() + PATIENCE;
    loop {
        let status = status(handle)?;
        match status.state {
            State::ManifestWaitReset | State::Idle => return Ok(()),
            State::Error => return Err(refused(format!("image refused in DFU, status {}", status.status))),
            other if Instant::now() >= until => {
                return Err(Fault::new(Code::UsbTimeout, format!("DFU stays in state {} at the end", other as u8)));
            }
            _ => pause(desk, asked(&status))?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{Call, Script};
    use super::*;

    /// A ROM that goes through the states; `at_end` is what it answers from the empty packet on.
    fn rom(first: State, at_end: Vec<(State, u32)>) -> Script {
        let (mut state, mut at_end) = (first, at_end.into_iter());
        Script::new(move |call| match call {
            Call::In { setup, .. } if setup.request == wire::GETSTATE => Ok(vec![state as u8]),
            Call::In { setup, .. } if setup.request == wire::GETSTATUS => {
                let mut poll_ms = 0;
                if state == State::ManifestSync {
                    let Some(next) = at_end.next() else { return Err(UsbError::Gone) };
                    let (shown, poll) = next;
                    poll_ms = poll;
                    let status = u8::from(shown == State::Error) * wire::ERR_UNKNOWN;
                    return Ok(Status { status, poll_ms, state: shown, text: 0 }.to_bytes().to_vec());
                }
                if state == State::DownloadSync {
                    state = State::DownloadIdle;
                }
                Ok(Status { status: 0, poll_ms, state, text: 0 }.to_bytes().to_vec())
            }
            Call::Out { setup, data } if setup.request == wire::DNLOAD => {
                state = if data.is_empty() { State::ManifestSync } else { State::DownloadSync };
                Ok(vec![])
            }
            Call::Out { .. } => {
                state = State::Idle;
                Ok(vec![])
            }
            Call::Reset => Err(UsbError::Gone),
            _ => Ok(vec![]),
        })
    }

    fn sent(script: &Script) -> Vec<(u16, usize)> {
        let packets = script.calls().into_iter().filter_map(|call| match call {
            Call::Out { setup, data } if setup.request == wire::DNLOAD => Some((setup.value, data.len())),
            _ => None,
        });
        packets.collect()
    }

    fn done() -> Vec<(State, u32)> {
        vec![(State::ManifestSync, 0), (State::Manifest, 20), (State::ManifestWaitReset, 0)]
    }

    #[test]
    fn packets_tail_and_reset_as_the_rom_wants_them() {
        for (length, packets) in [
            (3000, vec![(0, 2048), (1, 952 + 16), (2, 0)]),
            (4096, vec![(0, 2048), (1, 2048), (1, 16), (2, 0)]),
            (2040, vec![(0, 2040), (0, 16), (1, 0)]),
            (2032, vec![(0, 2048), (1, 0)]),
        ] {
            let script = rom(State::Idle, done());
            upload(&mut script.clone(), &vec![7; length], &Desk::alone()).unwrap();
            assert_eq!(sent(&script), packets, "{length}");
            let calls = script.calls();
            assert_eq!(calls.last(), Some(&Call::Reset));
            let statuses = calls.iter().filter(|c| matches!(c, Call::In { setup, .. } if setup.request == 3)).count();
            assert_eq!(statuses, usize::from(packets.last().unwrap().0) + 3, "{length}");
        }
    }

    #[test]
    fn the_wire_carries_the_same_packets_as_the_knowledge_says() {
        for length in [1, 2047, 2048, 2049, 5000] {
            let image = vec![0x5A; length];
            let script = rom(State::Idle, done());
            upload(&mut script.clone(), &image, &Desk::alone()).unwrap();
            let got: Vec<wire::Packet> = script
                .calls()
                .into_iter()
                .filter_map(|call| match call {
                    Call::Out { setup, data } => Some(wire::Packet { index: setup.value, data }),
                    _ => None,
                })
                .collect();
            assert_eq!(got, wire::packets(&image).collect::<Vec<_>>(), "{length}");
        }
    }

    #[test]
    fn an_error_is_cleared_and_an_unfinished_upload_aborted() {
        for first in [State::Error, State::DownloadIdle] {
            let script = rom(first, done());
            upload(&mut script.clone(), &[1; 100], &Desk::alone()).unwrap();
            let wanted = if first == State::Error { wire::CLRSTATUS } else { wire::ABORT };
            assert!(matches!(script.calls()[1], Call::Out { setup, .. } if setup.request == wanted));
        }
        let stuck = Script::new(|_| Ok(vec![State::Error as u8]));
        let fault = upload(&mut stuck.clone(), &[1; 100], &Desk::alone()).unwrap_err();
        assert_eq!(fault.code, Code::BootRefused);
    }

    #[test]
    fn gone_is_success_only_after_the_empty_packet() {
        let leaves = rom(State::Idle, vec![(State::ManifestSync, 0)]);
        upload(&mut leaves.clone(), &[1; 5000], &Desk::alone()).unwrap();
        let mut packets = 0;
        let unplugged = Script::new(move |call| match call {
            Call::In { setup, .. } if setup.request == wire::GETSTATE => Ok(vec![2]),
            Call::In { .. } => Ok(vec![0, 0, 0, 0, 5, 0]),
            Call::Out { .. } => {
                packets += 1;
                if packets > 2 { Err(UsbError::Gone) } else { Ok(vec![]) }
            }
            _ => Ok(vec![]),
        });
        let fault = upload(&mut unplugged.clone(), &[1; 9000], &Desk::alone()).unwrap_err();
        assert_eq!(fault.code, Code::UsbGone);
    }

    #[test]
    fn a_refusal_at_the_end_is_one() {
        let script = rom(State::Idle, vec![(State::ManifestSync, 0), (State::Error, 0)]);
        let fault = upload(&mut script.clone(), &[1; 100], &Desk::alone()).unwrap_err();
        assert_eq!(fault.code, Code::BootRefused);
        assert!(!script.calls().contains(&Call::Reset));
    }
}
