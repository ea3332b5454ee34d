//! The owner of a virtual phone at its screen: what people do there between the steps of a plan.
//!
//! A real phone does these things itself once somebody who may has touched its screen; the bench has no screen, so a
//! rehearsal calls them here. What an erase leaves behind is the same whoever began it.

use super::phone::{Phone, Stage, State};
use super::spec::{PasscodeSpec, TrustSpec};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// From the last word on its screen to its greeting.
const ERASE: Duration = Duration::from_secs(15);

impl State {
    /// What of a phone's settings goes with its data.
    pub(super) fn forget(&mut self, name: &str) {
        self.setup_done = false;
        self.activated = !self.find_my;
        self.passcode = PasscodeSpec::None;
        self.backup_password = None;
        self.set_values.clear();
        self.name = name.to_owned();
        // Pairing does not outlive it: the phone has a new identity.
        self.trust = TrustSpec::Untrusted;
    }
}

impl Phone {
    /// The name of a phone that nobody has named.
    pub(super) fn first_name(&self) -> &'static str {
        self.model.name.split(' ').next().unwrap_or("iPhone")
    }

    /// Nobody knows the passcode any more: the screen is locked.
    pub fn lock_screen(&self) {
        self.state().passcode = PasscodeSpec::Locked;
        self.remember("owner.locked", json!({}));
    }

    /// Somebody who knows the passcode types it.
    pub fn type_passcode(&self) {
        let mut state = self.state();
        if state.is_locked() {
            state.passcode = PasscodeSpec::Unlocked;
        }
        drop(state);
        self.remember("owner.unlocked", json!({}));
    }

    /// "Erase" on the lock screen with the account's password: it signs out, erases itself, and greets.
    pub fn erase_on_screen(self: &Arc<Self>) {
        {
            let mut state = self.state();
            state.find_my = false;
            state.forget(self.first_name());
        }
        self.files.erase();
        self.remember("files.erased", json!({}));
        self.remember("owner.erased", json!({}));
        self.reenumerate(Stage::Normal, ERASE);
    }

    /// The account and its password, at the lock that an erase ends at; false if it asks for none.
    pub fn sign_in(&self) -> bool {
        let mut state = self.state();
        let asked = !state.activated && state.stage == Stage::Normal;
        if asked {
            state.activated = true;
        }
        drop(state);
        if asked {
            self.remember("owner.signed-in", json!({}));
        }
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::super::spec::PhoneSpec;
    use super::*;

    #[test]
    fn an_erase_on_the_screen_signs_out_and_one_by_a_computer_does_not() {
        let spec = PhoneSpec { find_my: true, passcode: PasscodeSpec::Unlocked, ..PhoneSpec::default() };
        let phone = Phone::new(spec, 0, 1000.0).unwrap();
        phone.lock_screen();
        assert!(phone.state().is_locked() && !phone.sign_in(), "it asks for no account");
        {
            let mut state = phone.state();
            state.forget("iPhone");
            assert!(!state.activated && !state.setup_done && !state.is_locked());
        }
        assert!(phone.sign_in() && !phone.sign_in());
        let moves = phone.watch();
        phone.erase_on_screen();
        assert!(phone.state().activated && phone.files.user_file_count() == 0);
        let back = moves.iter().find(|change| change.to == Stage::Normal);
        assert!(back.is_some() && !phone.state().find_my);
    }
}
