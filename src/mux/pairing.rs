//! Trust: asking for it, with an end, and giving it up.

use super::guard::{Framing, Guarded, of_link};
use super::{LABEL, Lockdown, LockdownError, Mux, MuxDevice, PairRecord};
use crate::event::{Event, Request, Tell};
use crate::fault::{Code, Fault};
use crate::ids::Udid;
use crate::wire::WireError;
use crate::wire::lockdown::Request as Ask;
use idevice::IdeviceError;
use idevice::services::lockdown::LockdownClient;
use std::time::Duration;

/// Asks the device to trust this host and saves the record with usbmuxd.
///
/// `patience` bounds the time that a person has to tap Trust; an open dialog after it is
/// [`Code::TrustPending`]. The question to the person is told as [`Request::TapTrust`].
pub async fn pair(
    mux: &Mux,
    device: &MuxDevice,
    udid: &Udid,
    patience: Duration,
    tell: &dyn Tell,
) -> Result<PairRecord, Fault> {
    let buid = mux.buid().await?;
    let host_id = uuid::Uuid::new_v4().to_string().to_uppercase();
    let lockdown = Lockdown::open(mux, device.id).await.map_err(Fault::from)?;
    let stream = Guarded::new(lockdown.into_stream(), Framing::Plist);
    let mut client = LockdownClient::new(idevice::Idevice::new(Box::new(stream), LABEL));
    tell.tell(Event::Ask { request: Request::TapTrust });
    let asked = tokio::time::timeout(patience, client.pair(host_id, buid, Some(LABEL))).await;
    let file = match asked {
        Err(_) => return Err(Fault::new(Code::TrustPending, format!("no answer within {} s", patience.as_secs()))),
        Ok(Err(err)) => return Err(refusal(&err)),
        Ok(Ok(file)) => file,
    };
    tell.tell(Event::Answered { request: Request::TapTrust });
    let bytes = file.serialize().map_err(|e| Fault::new(Code::Internal, format!("pair record: {e}")))?;
    let record = PairRecord::parse(&bytes)?;
    mux.save_pair_record(udid, device.id, &record).await?;
    Ok(record)
}

fn refusal(err: &IdeviceError) -> Fault {
    if let Some(fault) = of_link(err) {
        return fault;
    }
    let word = match err {
        IdeviceError::UserDeniedPairing => "UserDeniedPairing",
        IdeviceError::PasswordProtected => "PasswordProtected",
        IdeviceError::PairingDialogResponsePending => "PairingDialogResponsePending",
        IdeviceError::InvalidHostID => "InvalidHostID",
        other => return Fault::new(Code::LockdownRefused, other.to_string()),
    };
    LockdownError::Refused(word.to_owned()).into()
}

/// Ends the trust on the device and forgets the record here.
pub async fn unpair(mux: &Mux, device: &MuxDevice, udid: &Udid) -> Result<(), Fault> {
    let Some(record) = mux.pair_record(udid).await? else {
        return Err(Fault::new(Code::NotTrusted, "this host has no pair record of the device"));
    };
    let lockdown = Lockdown::open(mux, device.id).await.map_err(Fault::from)?;
    let mut lockdown = lockdown.start_session(&record, device.usb).await.map_err(Fault::from)?;
    let fields = plist::from_bytes::<plist::Dictionary>(&record.to_bytes()?)
        .map_err(|e| Fault::from(WireError::malformed("pair record", e.to_string())))?;
    let mut shown = plist::Dictionary::new();
    for key in ["DeviceCertificate", "HostCertificate", "RootCertificate", "HostID", "SystemBUID"] {
        if let Some(value) = fields.get(key) {
            shown.insert(key.into(), value.clone());
        }
    }
    lockdown.ask(&Ask::Unpair { record: Some(shown) }).await.map_err(Fault::from)?;
    mux.delete_pair_record(udid).await?;
    Ok(())
}
