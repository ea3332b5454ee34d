//! Trust: asking for it, with an end, and giving it up.
//!
//! The questions are ours, over our own lockdown; when to ask again and when to give up is [`super::trust`]'s.
//! One connection and one record serve all attempts, for the dialog on the device belongs to the host that
//! asked. The device is found anew by its UDID whenever the link broke off: usbmuxd gives it another number
//! after each replug, and after its own restart.

use super::certificates::draft;
use super::trust::{Asking, Heard, Order};
use super::{LABEL, Lockdown, LockdownError, Mux, MuxDevice, MuxError, PairRecord};
use crate::event::Tell;
use crate::fault::{Code, Fault};
use crate::ids::Udid;
use crate::wire::lockdown::Request as Ask;
use plist::Value;
use std::time::Duration;
use tokio::time::Instant;

/// What an attempt that began just before the deadline may still take; making keys is part of the first.
const LAST_ATTEMPT: Duration = Duration::from_secs(10);
/// How long giving up an old trust on the device may hold up asking for a new one.
const FORGET: Duration = Duration::from_secs(5);

/// Asks the device to trust this host and saves the record with usbmuxd. A trust that is there and works is
/// found, and given back.
///
/// `patience` bounds the time that a person has. What it waits for is told as [`crate::event::Event::Trust`] with
/// the request to the person, once per change.
///
/// # Errors
/// At the deadline `trust-pending`, `device-locked` or `usb-restricted`; at once `trust-denied`,
/// `pairing-forbidden`, `pairing-needs-cable`, `pairing-unsaved`; `usb-gone` when it stays unplugged.
pub async fn pair(
    mux: &Mux,
    _: &MuxDevice,
    udid: &Udid,
    patience: Duration,
    tell: &dyn Tell,
) -> Result<PairRecord, Fault> {
    pair_by_udid(mux, udid, patience, tell).await
}

/// As [`pair`], for a device that usbmuxd may not list yet: one with its data lines closed is waited for.
///
/// # Errors
/// As [`pair`].
pub async fn pair_by_udid(mux: &Mux, udid: &Udid, patience: Duration, tell: &dyn Tell) -> Result<PairRecord, Fault> {
    let begun = Instant::now();
    let mut attempts =
        Attempts { mux, udid, buid: mux.buid().await?, link: None, kept: kept(mux, udid).await?, made: None };
    let mut asking = Asking::new(patience);
    loop {
        let limit = patience.saturating_sub(begun.elapsed()).max(LAST_ATTEMPT);
        let heard = match tokio::time::timeout(limit, attempts.next()).await {
            Ok(Ok(record)) => {
                asking.won().into_iter().for_each(|event| tell.tell(event));
                return Ok(record);
            }
            Ok(Err(heard)) => heard,
            Err(_) => Heard::Fatal(Fault::new(Code::LinkSilent, format!("no answer in {} s", limit.as_secs()))),
        };
        if !matches!(heard, Heard::Refused { .. }) {
            attempts.link = None;
        }
        let (events, order) = asking.step(begun.elapsed(), heard);
        events.into_iter().for_each(|event| tell.tell(event));
        match order {
            Order::AskAgain(pause) => tokio::time::sleep(pause).await,
            Order::GiveUp(fault) => return Err(fault),
        }
    }
}

/// The record that this host has; one that cannot be read is none.
async fn kept(mux: &Mux, udid: &Udid) -> Result<Option<PairRecord>, Fault> {
    match mux.pair_record(udid).await {
        Ok(record) => Ok(record),
        Err(MuxError::Record(err)) => {
            tracing::warn!(%err, "the pair record here cannot be read");
            Ok(None)
        }
        Err(err) => Err(err.into()),
    }
}

/// What lasts from one attempt to the next.
struct Attempts<'a> {
    mux: &'a Mux,
    udid: &'a Udid,
    buid: String,
    link: Option<(Lockdown, bool)>,
    /// The record that this host has already, until it proves stale.
    kept: Option<PairRecord>,
    made: Option<Made>,
}

/// The new record.
struct Made {
    record: PairRecord,
    accepted: bool,
}

impl Attempts<'_> {
    /// The way from the beginning, as far as it goes today.
    async fn next(&mut self) -> Result<PairRecord, Heard> {
        if let Some(record) = &self.kept {
            let device = find(self.mux, self.udid).await?;
            let usb = device.usb;
            let lockdown = Lockdown::open(self.mux, device.id).await.map_err(|e| Heard::of(e, usb))?;
            match lockdown.start_session(record, usb).await {
                Ok(_) => return Ok(record.clone()),
                Err(err) if is_stale(&err) => {
                    self.kept = None;
                    return Err(Heard::Stale);
                }
                Err(err) => return Err(Heard::of(err, usb)),
            }
        }
        if self.made.as_ref().is_none_or(|made| !made.accepted) {
            self.ask().await?;
        }
        let Some(made) = &self.made else { return Err(Heard::Absent) };
        self.save(&made.record).await?;
        Ok(made.record.clone())
    }

    async fn ask(&mut self) -> Result<(), Heard> {
        let (lockdown, usb) = match &mut self.link {
            Some(link) => link,
            none => {
                let device = find(self.mux, self.udid).await?;
                let lockdown = Lockdown::open(self.mux, device.id).await.map_err(|e| Heard::of(e, device.usb))?;
                none.insert((lockdown, device.usb))
            }
        };
        let heard = |err| Heard::of(err, *usb);
        let made = match &mut self.made {
            Some(made) => made,
            none => {
                let key = lockdown.get(None, "DevicePublicKey").await.map_err(heard)?.and_then(Value::into_data);
                let key = key.ok_or_else(|| fatal(Code::LockdownRefused, "the device tells no DevicePublicKey"))?;
                let buid = self.buid.clone();
                let record = tokio::task::spawn_blocking(move || draft(&key, &buid)).await;
                let record = record.map_err(|e| fatal(Code::Internal, e.to_string()))?.map_err(Heard::Fatal)?;
                none.insert(Made { record, accepted: false })
            }
        };
        let mut body = Ask::Pair { record: Some(made.record.shown()) }.body(LABEL);
        if let Value::Dictionary(body) = &mut body {
            body.insert("HostName".into(), LABEL.into());
        }
        let mut answer = lockdown.exchange(&body).await.map_err(heard)?;
        let bag = answer.remove("EscrowBag").and_then(Value::into_data);
        // The trust stands; for want of an address it is not given up.
        let address = lockdown.get(None, "WiFiAddress").await.ok().flatten().and_then(Value::into_string);
        made.record.accepted(bag, address.filter(|a| !a.is_empty()));
        made.accepted = true;
        Ok(())
    }

    async fn save(&self, record: &PairRecord) -> Result<(), Heard> {
        let device = find(self.mux, self.udid).await?;
        self.mux.save_pair_record(self.udid, device.id, record).await.map_err(|err| match err {
            MuxError::Unreachable { .. } | MuxError::Lost(_) | MuxError::Silent => Heard::from(err),
            refused => fatal(Code::PairingUnsaved, refused.to_string()),
        })
    }
}

fn fatal(code: Code, detail: impl Into<String>) -> Heard {
    Heard::Fatal(Fault::new(code, detail))
}

/// Where the device is now; by cable if it is there twice.
async fn find(mux: &Mux, udid: &Udid) -> Result<MuxDevice, Heard> {
    let devices = mux.devices().await?;
    let ours = devices.into_iter().filter(|device| device.udid().as_ref() == Some(udid));
    ours.max_by_key(|device| device.usb).ok_or(Heard::Absent)
}

/// Was a session refused because the device knows nothing of the record?
fn is_stale(err: &LockdownError) -> bool {
    match err {
        LockdownError::Refused(word) => ["InvalidHostID", "InvalidPairRecord"].contains(&word.as_str()),
        LockdownError::Tls(_) => true,
        _ => false,
    }
}

/// Where a trust has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpaired {
    /// On the device and here.
    Both,
    /// The device had forgotten already; the record here is gone.
    HereOnly,
}

/// Ends the trust on the device and forgets the record here.
///
/// # Errors
/// `not-trusted` without a record here; what a session gives, except for a stale one.
pub async fn unpair(mux: &Mux, device: &MuxDevice, udid: &Udid) -> Result<Unpaired, Fault> {
    let ended = match mux.pair_record(udid).await {
        Ok(None) => return Err(Fault::new(Code::NotTrusted, "this host has no pair record of the device")),
        Ok(Some(record)) => match end(mux, device, &record).await {
            Ok(()) => Unpaired::Both,
            Err(err) if is_stale(&err) => Unpaired::HereOnly,
            Err(err) => return Err(err.into()),
        },
        // A record that cannot be read opens no session, whoever still knows it.
        Err(MuxError::Record(_)) => Unpaired::HereOnly,
        Err(err) => return Err(err.into()),
    };
    mux.delete_pair_record(udid).await?;
    Ok(ended)
}

async fn end(mux: &Mux, device: &MuxDevice, record: &PairRecord) -> Result<(), LockdownError> {
    let mut lockdown = Lockdown::open(mux, device.id).await?.start_session(record, device.usb).await?;
    lockdown.ask(&Ask::Unpair { record: Some(record.shown()) }).await.map(drop)
}

/// Forgets the trust whatever the device says about it, so that it can be asked for anew. False when
/// there was no record here. The device forgets too if it can be reached.
///
/// # Errors
/// When usbmuxd cannot be asked, or does not delete the record.
pub async fn forget(mux: &Mux, device: Option<&MuxDevice>, udid: &Udid) -> Result<bool, Fault> {
    let record = match mux.pair_record(udid).await {
        Ok(None) => return Ok(false),
        Ok(Some(record)) => Some(record),
        Err(MuxError::Record(_)) => None,
        Err(err) => return Err(err.into()),
    };
    if let (Some(record), Some(device)) = (record, device) {
        let ended = tokio::time::timeout(FORGET, end(mux, device, &record)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::info!(?ended, "the device did not end the old trust itself");
        }
    }
    mux.delete_pair_record(udid).await?;
    Ok(true)
}
