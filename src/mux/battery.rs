//! What the battery tells of itself: diagnostics_relay's window on the IO registry.
//!
//! The entry is called AppleSmartBattery from the iPhone 8 on and AppleARMPMUCharger before; which one a device has it
//! says by an answer that is not empty. A locked device refuses, though its charge can still be read from lockdown.

use super::{Lockdown, Session};
use crate::fault::{Code, Fault};
use plist::{Dictionary, Value};

const RELAY: &str = "com.apple.mobile.diagnostics_relay";
const CLASSES: [&str; 2] = ["AppleSmartBattery", "AppleARMPMUCharger"];

/// The class that answered and what it says; none where neither is there.
///
/// # Errors
/// `service-refused`, `device-locked`, or what the link gives.
pub async fn battery(session: &mut Session) -> Result<Option<(&'static str, Dictionary)>, Fault> {
    let stream = session.service(RELAY, false).await.map_err(Fault::from)?;
    let mut relay = Lockdown::over(stream);
    let mut found = None;
    for class in CLASSES {
        let request = Dictionary::from_iter([("Request", "IORegistry"), ("EntryClass", class)]);
        let mut answer = relay.exchange(&request.into()).await.map_err(Fault::from)?;
        match answer.get("Status").and_then(Value::as_string) {
            Some("Success") => {}
            other => {
                let detail = format!("IORegistry {class}: {}", other.unwrap_or("an answer without a status"));
                return Err(Fault::new(Code::ServiceRefused, detail));
            }
        }
        let diagnostics = answer.remove("Diagnostics").and_then(Value::into_dictionary);
        let entry = diagnostics.and_then(|mut all| all.remove("IORegistry")).and_then(Value::into_dictionary);
        if let Some(entry) = entry.filter(|entry| !entry.is_empty()) {
            found = Some((class, entry));
            break;
        }
    }
    let goodbye = Dictionary::from_iter([("Request", "Goodbye")]);
    // What was asked is here; the rest is manners.
    let _ = relay.exchange(&goodbye.into()).await;
    Ok(found)
}
