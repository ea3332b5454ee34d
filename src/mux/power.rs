//! Restart, switch off, into recovery: by command, where the device lets itself be commanded.
//!
//! Restart and shutdown are diagnostics_relay's and want trust. EnterRecovery is lockdownd's own: old systems
//! take it from any host, new ones within a session only. The device answers first and goes when we hang up,
//! so a link that breaks off after the request is no failure; whoever called waits for what comes next
//! ([`crate::usb::wait`]).

use super::{Lockdown, LockdownError, Mux, MuxDevice, Session};
use crate::fault::{Code, Fault};
use crate::ids::Udid;
use plist::{Dictionary, Value};

const RELAY: &str = "com.apple.mobile.diagnostics_relay";

/// Restarts the device. With a passcode it is locked afterwards, and no session opens before it is unlocked.
///
/// # Errors
/// `service-refused` when the device says no; what a session gives. Nothing has happened then.
pub async fn restart(session: &mut Session) -> Result<(), Fault> {
    relay(session, "Restart").await
}

/// Switches the device off. With the cable in, some models start again by themselves.
///
/// # Errors
/// As [`restart`].
pub async fn shut_down(session: &mut Session) -> Result<(), Fault> {
    relay(session, "Shutdown").await
}

async fn relay(session: &mut Session, request: &str) -> Result<(), Fault> {
    let stream = session.service(RELAY, false).await.map_err(Fault::from)?;
    let mut relay = Lockdown::over(stream);
    let message = Dictionary::from_iter([
        ("Request".to_owned(), Value::from(request)),
        // Else it goes before its answer is here.
        ("WaitForDisconnect".to_owned(), true.into()),
    ]);
    let answer = relay.exchange(&message.into()).await.map_err(Fault::from)?;
    match answer.get("Status").and_then(Value::as_string) {
        Some("Success") => {}
        other => {
            let detail = format!("{request}: {}", other.unwrap_or("an answer without a status"));
            return Err(Fault::new(Code::ServiceRefused, detail));
        }
    }
    let goodbye = Dictionary::from_iter([("Request".to_owned(), Value::from("Goodbye"))]);
    // It may be gone before it answers this.
    let _ = relay.exchange(&goodbye.into()).await;
    Ok(())
}

/// Sends the device into recovery mode: in a session if this host is trusted, else, or when its record is of
/// no use any more, without one, which old systems allow.
///
/// # Errors
/// `device-locked`, `pairing-stale`, `not-trusted`, `lockdown-refused`: it stays as it is.
pub async fn enter_recovery(mux: &Mux, device: &MuxDevice, udid: Option<&Udid>) -> Result<(), Fault> {
    let record = match udid {
        Some(udid) => mux.pair_record(udid).await?,
        None => None,
    };
    let Some(record) = record else {
        let lockdown = Lockdown::open(mux, device.id).await.map_err(Fault::from)?;
        return command(lockdown).await.map_err(Fault::from);
    };
    let first =
        match Lockdown::open(mux, device.id).await.map_err(Fault::from)?.start_session(&record, device.usb).await {
            Ok(lockdown) => return command(lockdown).await.map_err(Fault::from),
            Err(err @ (LockdownError::Refused(_) | LockdownError::Tls(_))) => err,
            Err(err) => return Err(err.into()),
        };
    let lockdown = Lockdown::open(mux, device.id).await.map_err(Fault::from)?;
    // What stands in the way of the session is what a person can mend.
    command(lockdown).await.map_err(|_| first.into())
}

async fn command(mut lockdown: Lockdown) -> Result<(), LockdownError> {
    match lockdown.enter_recovery().await {
        // It often leaves before its answer arrives.
        Err(LockdownError::Link(_) | LockdownError::Silent) => Ok(()),
        told => told,
    }
}
