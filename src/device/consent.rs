//! Consent is a value (law 2).
//!
//! A function that destroys data takes a [`Consent`]; one is only made from the very deed that will be
//! done and from what a person gave: a word typed at a prompt that named the device, or the device's full
//! ECID or UDID as an option. `cli` is the only caller, and `tests/house.rs` holds that.

use super::state::Identity;
use crate::fault::{Code, Fault};
use crate::ids::{BuildId, Ecid};

/// What is going to be done to the data on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Everything on the device goes; this build comes.
    Erase { build: BuildId },
    /// The system is replaced, the data is meant to stay.
    Update { build: BuildId },
    /// The data on the device is replaced by a backup.
    PutBack,
}

/// What a person gave.
#[derive(Clone, Debug)]
pub enum Given<'a> {
    /// The confirming word, typed at a prompt that showed the device and the deed.
    Typed { word: &'a str, wanted: &'a str },
    /// `--yes-erase` or `--yes-restore` with this text.
    Named(&'a str),
}

#[derive(Clone, Debug)]
pub struct Consent {
    ecid: Ecid,
    deed: Deed,
}

impl Consent {
    /// # Errors
    /// `consent-missing` for another word, `consent-mismatch` for another device.
    pub fn from_person(who: &Identity, deed: Deed, given: &Given<'_>) -> Result<Consent, Fault> {
        let ecid = who.ecid.ok_or_else(|| Fault::new(Code::ConsentMismatch, "the device's ECID is not known"))?;
        match given {
            Given::Typed { word, wanted } if word.trim() == *wanted => {}
            Given::Typed { .. } => return Err(Fault::new(Code::ConsentMissing, "the word was not typed").on(ecid)),
            Given::Named(name) => {
                let same_ecid = name.parse::<Ecid>() == Ok(ecid);
                let same_udid = who.udid.as_ref().is_some_and(|u| name.parse().as_ref() == Ok(u));
                if !(same_ecid || same_udid) {
                    let detail = format!("consent names {name:?}, the plan is for {ecid}");
                    return Err(Fault::new(Code::ConsentMismatch, detail).on(ecid));
                }
            }
        }
        Ok(Consent { ecid, deed })
    }

    /// Is this the consent for that deed on that device?
    pub fn covers(&self, ecid: Ecid, deed: &Deed) -> Result<(), Fault> {
        if self.ecid == ecid && self.deed == *deed {
            return Ok(());
        }
        let detail = format!("agreed to {:?} on {}, asked to do {deed:?} on {ecid}", self.deed, self.ecid);
        Err(Fault::new(Code::ConsentMismatch, detail).on(ecid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who() -> Identity {
        Identity {
            ecid: Some(Ecid(0x1A)),
            udid: Some("00008110-000000000000001A".parse().unwrap()),
            ..Identity::default()
        }
    }

    #[test]
    fn only_the_full_name_of_the_very_device_counts() {
        let deed = Deed::Erase { build: "24A446".parse().unwrap() };
        for name in ["0x1A", "26", "00008110-000000000000001A"] {
            assert!(Consent::from_person(&who(), deed.clone(), &Given::Named(name)).is_ok(), "{name}");
        }
        for name in ["", "0x1", "0x1B", "00008110-000000000000001B", "yes"] {
            let refused = Consent::from_person(&who(), deed.clone(), &Given::Named(name)).unwrap_err();
            assert_eq!(refused.code, Code::ConsentMismatch, "{name}");
        }
        let typed = Given::Typed { word: "erase", wanted: "ERASE" };
        assert_eq!(Consent::from_person(&who(), deed, &typed).unwrap_err().code, Code::ConsentMissing);
    }

    #[test]
    fn a_consent_to_update_never_erases() {
        let build: BuildId = "24A446".parse().unwrap();
        let update = Deed::Update { build: build.clone() };
        let consent = Consent::from_person(&who(), update.clone(), &Given::Named("0x1A")).unwrap();
        assert!(consent.covers(Ecid(0x1A), &update).is_ok());
        assert!(consent.covers(Ecid(0x1A), &Deed::Erase { build: build.clone() }).is_err());
        assert!(consent.covers(Ecid(0x1B), &Deed::Update { build }).is_err());
    }
}
