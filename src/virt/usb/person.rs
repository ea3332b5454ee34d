//! A person at the bench who does what the coach asks.
//!
//! The coach's requests are events; a program prints them with `--json`, and this reads them, so the whole
//! way from a countdown to a phone in DFU runs without hands, over the same bytes as with them.

use super::buttons::Key;
use super::hands::Keys;
use crate::event::Request;
use crate::virt::keys::key;
use crate::virt::phone::{Phone, Stage};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Between hearing and doing, and how long a tap lasts; in the phone's time.
const REACTION: Duration = Duration::from_millis(250);
const TAP: Duration = Duration::from_millis(300);

pub struct Person {
    phone: Arc<Phone>,
    keys: Arc<Keys>,
    down: Vec<Key>,
}

impl Person {
    pub fn new(phone: &Arc<Phone>) -> Person {
        Person { phone: Arc::clone(phone), keys: Keys::new(phone), down: Vec::new() }
    }

    /// Does it, at the pace of the phone.
    ///
    /// # Errors
    /// A word that is no key.
    pub fn hear(&mut self, request: &Request) -> Result<(), String> {
        self.phone.remember("person.heard", json!({ "request": request }));
        std::thread::sleep(self.phone.scaled(REACTION));
        match request {
            Request::Keys { keys, seconds, .. } => {
                let wanted: Vec<Key> = keys.iter().map(|word| key(word)).collect::<Result<_, _>>()?;
                for gone in self.down.iter().filter(|k| !wanted.contains(k)) {
                    self.keys.release(*gone);
                }
                for new in wanted.iter().filter(|k| !self.down.contains(k)) {
                    self.keys.press(*new);
                }
                self.down = wanted;
                if *seconds == 0 {
                    std::thread::sleep(self.phone.scaled(TAP));
                    self.down.drain(..).for_each(|key| self.keys.release(key));
                }
            }
            Request::CableOut => self.phone.enter(Stage::Away),
            Request::CableIn => self.keys.plug(),
            Request::Slide => self.keys.slide(),
            _ => {}
        }
        Ok(())
    }
}
