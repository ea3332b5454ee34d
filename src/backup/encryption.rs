//! Are backups of a device encrypted, and how that is changed.
//!
//! The device owns the setting: it checks the old password, asks for its passcode (iOS 13 and later) and keeps the new
//! one. Its answer is believed, and the setting is read back afterwards; where the two differ, the person hears it,
//! because a backup that nobody can open, or anybody, is worse than a failed command. What can be known to fail is
//! not asked at all: switching on what is on would leave an older password in force.

use super::conduct::{SERVICE, open, show_prompts, tie};
use super::{Cancel, Password, Patience, change_password};
use crate::device::Normal;
use crate::event::{Event, Request, Step, Tell, Teller};
use crate::fault::{Code, Fault};
use crate::mux::{Mux, Notices, Session};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;

const DOMAIN: &str = "com.apple.mobile.backup";

/// What a device says about its backups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Encryption {
    /// None where it could not be read.
    pub on: Option<bool>,
    /// A profile (MDM) demands it.
    pub required: bool,
}

/// What is wanted of the device.
#[derive(Clone, Debug)]
pub enum Change {
    On { new: Password },
    Change { old: Password, new: Password },
    Off { old: Password },
}

impl Change {
    fn into_passwords(self) -> (Option<Password>, Option<Password>) {
        match self {
            Change::On { new } => (None, Some(new)),
            Change::Change { old, new } => (Some(old), Some(new)),
            Change::Off { old } => (Some(old), None),
        }
    }
}

/// What a change does, without its passwords: to say what cannot go well before a person is asked for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    On,
    Change,
    Off,
}

impl Encryption {
    /// # Errors
    /// [`Code::EncryptionOn`], [`Code::EncryptionOff`], [`Code::EncryptionRequired`].
    pub fn allows(self, wish: Wish) -> Result<(), Fault> {
        let refuse = |code, text: &str| Err(Fault::new(code, text).during(Step::Encrypt));
        match (wish, self.on) {
            (Wish::On, Some(true)) => refuse(Code::EncryptionOn, "the device has a backup password already"),
            (Wish::Change | Wish::Off, Some(false)) => refuse(Code::EncryptionOff, "the device has no backup password"),
            (Wish::Off, _) if self.required => refuse(Code::EncryptionRequired, "the device says RequiresEncryption"),
            _ => Ok(()),
        }
    }
}

/// Reads the setting. The device must trust this host.
///
/// # Errors
/// Trust and link faults.
pub async fn encryption(mux: &Mux, normal: &Normal) -> Result<Encryption, Fault> {
    let (mut session, _) = open(mux, normal).await?;
    read(&mut session).await
}

async fn read(session: &mut Session) -> Result<Encryption, Fault> {
    let values = session.lockdown.all(Some(DOMAIN)).await.map_err(Fault::from)?;
    let flag = |key: &str| {
        let value = values.get(key)?;
        value.as_boolean().or_else(|| value.as_unsigned_integer().map(|number| number != 0))
    };
    // A device that never had a backup password does not have the key at all, but others of the domain.
    let on = flag("WillEncrypt").or((!values.is_empty()).then_some(false));
    Ok(Encryption { on, required: flag("RequiresEncryption") == Some(true) })
}

/// Switches encryption on or off, or changes its password. The passcode prompt of the device is told as an event.
///
/// # Errors
/// As [`Encryption::allows`]; trust and link faults; [`Code::BackupPasswordWrong`] for a wrong old password,
/// [`Code::BackupPasscode`]; [`Code::EncryptionUnclear`] when the device agreed and its setting says otherwise.
pub async fn set_encryption(
    mux: &Mux,
    normal: &Normal,
    change: Change,
    patience: Patience,
    tell: &Teller,
    cancel: &CancellationToken,
) -> Result<Encryption, Fault> {
    set(mux, normal, change, patience, tell, cancel).await.map_err(|fault| fault.during(Step::Encrypt))
}

async fn set(
    mux: &Mux,
    normal: &Normal,
    change: Change,
    patience: Patience,
    tell: &Teller,
    cancel: &CancellationToken,
) -> Result<Encryption, Fault> {
    let (mut session, udid) = open(mux, normal).await?;
    let wish = match &change {
        Change::On { .. } => Wish::On,
        Change::Change { .. } => Wish::Change,
        Change::Off { .. } => Wish::Off,
    };
    read(&mut session).await?.allows(wish)?;
    tell.tell(Event::StepBegan { step: Step::Encrypt, what: normal.who.title() });
    let engine = Cancel::new();
    let notices = Notices::open(&mut session).await?;
    let mut wire = session.direct(SERVICE, true).await.map_err(Fault::from)?;
    let prompt = Arc::new(Prompt { tell: tell.clone(), open: AtomicBool::new(false) });
    let watches = [tokio::spawn(show_prompts(notices, prompt.clone(), engine.clone())), tie(cancel, &engine)];
    let listener = tell.clone();
    let work = tokio::task::spawn_blocking(move || {
        let (old, new) = change.into_passwords();
        change_password(&mut wire, &udid, old.as_ref(), new.as_ref(), patience, listener.as_ref(), &engine)
    });
    let done = work.await;
    watches.iter().for_each(tokio::task::JoinHandle::abort);
    prompt.close();
    let done = done.map_err(|e| Fault::new(Code::Internal, e.to_string()))?;
    let after = match read(&mut session).await {
        Ok(after) => after,
        // The passcode may have taken longer than the session lives.
        Err(fault) => {
            tracing::info!(%fault, "reading the setting back");
            encryption(mux, normal).await.unwrap_or(Encryption { on: None, required: false })
        }
    };
    if let Err(mut fault) = done {
        if matches!(fault.code, Code::Cancelled | Code::LinkLost | Code::LinkSilent) {
            // Nobody heard what the device made of it.
            let now = after.on.map_or("unknown", |on| if on { "on" } else { "off" });
            fault.detail += &format!("; encryption is {now} now");
        }
        return Err(fault);
    }
    let wanted = wish != Wish::Off;
    if after.on.is_some_and(|on| on != wanted) {
        let text = format!("the device agreed, and yet WillEncrypt is {}", !wanted);
        return Err(Fault::new(Code::EncryptionUnclear, text));
    }
    tell.tell(Event::StepDone { step: Step::Encrypt, what: String::new() });
    Ok(after)
}

/// Passes on that the device asks for its passcode. Its answer may be here before the word that the prompt is gone,
/// and nobody is left waiting for that word.
struct Prompt {
    tell: Teller,
    open: AtomicBool,
}

impl Prompt {
    fn close(&self) {
        if self.open.swap(false, Ordering::Relaxed) {
            self.tell.tell(Event::Answered { request: Request::EnterPasscode });
        }
    }
}

impl Tell for Prompt {
    fn tell(&self, event: Event) {
        match event {
            Event::Answered { request: Request::EnterPasscode } => self.close(),
            event => {
                self.open.fetch_or(matches!(event, Event::Ask { .. }), Ordering::Relaxed);
                self.tell.tell(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_go_well_is_known_before_a_password_is_asked_for() {
        let state = |on, required| Encryption { on, required };
        let code = |state: Encryption, wish| state.allows(wish).err().map(|fault| fault.code);
        for unknown in [None, Some(false)] {
            assert_eq!(code(state(unknown, true), Wish::On), None);
        }
        assert_eq!(code(state(Some(true), false), Wish::On), Some(Code::EncryptionOn));
        for wish in [Wish::Change, Wish::Off] {
            assert_eq!(code(state(Some(false), true), wish), Some(Code::EncryptionOff));
            assert_eq!(code(state(Some(true), false), wish), None);
        }
        assert_eq!(code(state(Some(true), true), Wish::Off), Some(Code::EncryptionRequired));
        assert_eq!(code(state(Some(true), true), Wish::Change), None);
    }
}
