//! Notifications inside a phone, and the service that relays them.
//!
//! What a host posts is heard by every observer, hosts and the phone's own daemons alike: that is how
//! a backup tool and the phone agree on when a sync starts. [`post`] and [`observe`] are for the other
//! servers on the phone. The relay polls between its two sources, for a TLS link cannot be read by one
//! thread and written by another.

use super::inside;
use super::link::{is_limit, receive, send};
use crate::virt::phone::Phone;
use crate::virt::stream::BoxStream;
use crate::wire::lockdown::{Frames, Shape};
use plist::{Dictionary, Value};
use serde_json::json;
use std::collections::BTreeSet;
use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const POLL: Duration = Duration::from_millis(20);
const NAMES: usize = 256;

#[derive(Default)]
pub(super) struct Notices {
    observers: Mutex<Vec<Sender<String>>>,
}

impl Notices {
    pub fn post(&self, name: &str) {
        inside::lock(&self.observers).retain(|o| o.send(name.to_owned()).is_ok());
    }

    pub fn observe(&self) -> Receiver<String> {
        let (sender, receiver) = channel();
        inside::lock(&self.observers).push(sender);
        receiver
    }
}

/// Posts a notification inside the phone, as its own daemons do.
pub fn post(phone: &Arc<Phone>, name: &str) {
    inside::of(phone).notices.post(name);
}

/// Hears every notification from now on, whoever posts it. Dropping the receiver ends it.
pub fn observe(phone: &Arc<Phone>) -> Receiver<String> {
    inside::of(phone).notices.observe()
}

fn command(name: &str) -> Dictionary {
    Dictionary::from_iter([("Command".to_owned(), Value::from(name))])
}

/// `com.apple.mobile.notification_proxy`: observe, post, shut down.
pub(super) fn serve(phone: Arc<Phone>, mut stream: BoxStream) {
    let notices = inside::of(&phone);
    let posted = notices.notices.observe();
    let _ = relay(&phone, &notices.notices, &posted, &mut stream);
}

fn relay(phone: &Arc<Phone>, notices: &Notices, posted: &Receiver<String>, stream: &mut BoxStream) -> io::Result<()> {
    let mut frames = Frames::default();
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    stream.set_limit(Some(POLL))?;
    loop {
        loop {
            match posted.try_recv() {
                Ok(name) if wanted.contains(&name) => {
                    let mut message = command("RelayNotification");
                    message.insert("Name".into(), name.into());
                    send(stream.as_mut(), &message.into(), Shape::Xml)?;
                }
                Ok(_) => {}
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        let message = match receive(stream.as_mut(), &mut frames) {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(()),
            Err(err) if is_limit(&err) => continue,
            Err(err) => return Err(err),
        };
        let dict = message.as_dictionary();
        let field = |key: &str| dict.and_then(|d| d.get(key)).and_then(Value::as_string);
        match (field("Command"), field("Name")) {
            (Some("ObserveNotification"), Some(name)) if wanted.len() < NAMES => {
                wanted.insert(name.to_owned());
            }
            (Some("PostNotification"), Some(name)) => {
                phone.remember("notification", json!({ "name": name }));
                notices.post(name);
            }
            (Some("Shutdown"), _) => {
                return send(stream.as_mut(), &command("ProxyDeath").into(), Shape::Xml);
            }
            _ => {}
        }
    }
}
