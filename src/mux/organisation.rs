//! Whose device it is, where it is managed: the cloud configuration that the profile service keeps.
//!
//! The name of the service, the request and the keys are as public tools use them; no recording of one was found.

use super::{Lockdown, Session};
use crate::fault::{Code, Fault};
use plist::{Dictionary, Value};

const SERVICE: &str = "com.apple.mobile.MCInstall";

/// What an organisation set when it took the device into its management; empty where none did.
///
/// # Errors
/// `service-refused`, `device-locked`, or what the link gives.
pub async fn cloud_configuration(session: &mut Session) -> Result<Dictionary, Fault> {
    let mut profiles = Lockdown::over(session.service(SERVICE, false).await.map_err(Fault::from)?);
    let request = Dictionary::from_iter([("RequestType", "GetCloudConfiguration")]);
    let mut answer = profiles.exchange(&request.into()).await.map_err(Fault::from)?;
    match answer.get("Status").and_then(Value::as_string) {
        Some("Acknowledged") => {}
        other => {
            let detail = format!("cloud configuration: {}", other.unwrap_or("an answer without a status"));
            return Err(Fault::new(Code::ServiceRefused, detail));
        }
    }
    Ok(answer.remove("CloudConfiguration").and_then(Value::into_dictionary).unwrap_or_default())
}
