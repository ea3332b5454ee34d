//! mobileactivationd, as far as a restore tool asks it: is this phone activated?
//!
//! Activation itself needs Apple's signatures and is no business of a bench; its commands are refused.

use super::link::{receive, send};
use crate::virt::phone::Phone;
use crate::virt::stream::BoxStream;
use crate::wire::lockdown::{Frames, Shape};
use plist::{Dictionary, Value};
use std::sync::Arc;

/// `com.apple.mobileactivationd`: one command, one answer.
pub(super) fn serve(phone: Arc<Phone>, mut stream: BoxStream) {
    let mut frames = Frames::default();
    while let Ok(Some(message)) = receive(stream.as_mut(), &mut frames) {
        let command = message.as_dictionary().and_then(|d| d.get("Command")).and_then(Value::as_string);
        let activated = phone.state().activated;
        let (key, value) = match command.unwrap_or_default() {
            "GetActivationStateRequest" => ("Value", if activated { "Activated".into() } else { "Unactivated".into() }),
            "IsActivatedRequest" => ("Value", Value::Boolean(activated)),
            other => ("Error", Value::from(format!("the bench does not do {other:?}"))),
        };
        let answer = Dictionary::from_iter([(key.to_owned(), value)]);
        if send(stream.as_mut(), &answer.into(), Shape::Xml).is_err() {
            return;
        }
    }
}
