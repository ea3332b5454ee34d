//! MCInstall, as far as whoever takes a device in asks it: is it managed, and by whom?

use super::link::{receive, send};
use crate::virt::phone::Phone;
use crate::virt::stream::BoxStream;
use crate::wire::lockdown::{Frames, Shape};
use plist::{Dictionary, Value};
use std::sync::Arc;

/// Who manages a supervised phone of the bench.
const ORGANISATION: &str = "Virtual School";

/// `com.apple.mobile.MCInstall`
pub(super) fn serve(phone: Arc<Phone>, mut stream: BoxStream) {
    let mut frames = Frames::default();
    while let Ok(Some(message)) = receive(stream.as_mut(), &mut frames) {
        let asked = message.as_dictionary().and_then(|request| request.get("RequestType")?.as_string());
        let mut answer = Dictionary::from_iter([("Status", Value::from("Acknowledged"))]);
        match asked {
            Some("GetCloudConfiguration") => {
                answer.insert("CloudConfiguration".into(), configuration(&phone).into());
            }
            Some("Flush" | "HelloHostIdentifier") => {}
            _ => drop(answer.insert("Status".into(), "Error".into())),
        }
        if send(stream.as_mut(), &answer.into(), Shape::Xml).is_err() {
            return;
        }
    }
}

fn configuration(phone: &Phone) -> Dictionary {
    let mut all = Dictionary::from_iter([
        ("AllowPairing", Value::from(true)),
        ("CloudConfigurationUIComplete", true.into()),
        ("IsSupervised", phone.spec.supervised.into()),
    ]);
    if phone.spec.supervised {
        all.insert("OrganizationName".into(), ORGANISATION.into());
    }
    all
}
