//! What a device says of itself before anything is sent to it.
//!
//! A device refuses with a number after minutes; most of those numbers can be foreseen from lockdown's values. What is
//! sure to be refused is refused here, in words, with nothing touched; what only may go wrong is told. A value that the
//! device does not tell is unknown and stands in nobody's way.

use super::{Generation, RestoreOptions, Summary};
use crate::device::Normal;
use crate::fault::{Code, Fault, Remedy};
use crate::ids::Version;
use crate::mux::{self, Session};
use plist::{Dictionary, Value};
use serde::Serialize;

/// Of the device, as it is now. None is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Preflight {
    pub version: Option<Version>,
    /// Its backups are encrypted with a password.
    pub encrypts: Option<bool>,
    /// A profile lets it make no other ones.
    pub must_encrypt: Option<bool>,
    pub backs_up_to_icloud: Option<bool>,
    pub find_my: Option<bool>,
    pub setup_done: Option<bool>,
    /// Bytes for the person's data.
    pub free: Option<u64>,
    pub capacity: Option<u64>,
}

impl Preflight {
    pub(super) async fn read(session: &mut Session, normal: &Normal) -> Result<Self, Fault> {
        let backup = session.lockdown.all(Some("com.apple.mobile.backup")).await.map_err(Fault::from)?;
        let find_my = session.lockdown.all(Some("com.apple.fmip")).await.map_err(Fault::from)?;
        let setup = session.lockdown.all(Some("com.apple.PurpleBuddy")).await.map_err(Fault::from)?;
        let disk = session.lockdown.all(Some("com.apple.disk_usage")).await.map_err(Fault::from)?;
        let mut read = Preflight::of(&backup, &find_my, &setup, &disk);
        read.version.clone_from(&normal.version);
        if read.free.is_none() {
            read.free = mux::free_bytes(session).await?;
        }
        Ok(read)
    }

    fn of(backup: &Dictionary, find_my: &Dictionary, setup: &Dictionary, disk: &Dictionary) -> Self {
        let bytes = |key: &str| disk.get(key).and_then(Value::as_unsigned_integer);
        Preflight {
            version: None,
            // The key is absent where no password was ever set.
            encrypts: flag(backup, "WillEncrypt").or(if backup.is_empty() { None } else { Some(false) }),
            must_encrypt: flag(backup, "RequiresEncryption"),
            backs_up_to_icloud: flag(backup, "CloudBackupEnabled"),
            find_my: flag(find_my, "IsAssociated"),
            setup_done: flag(setup, "SetupDone"),
            free: bytes("TotalDataAvailable").or_else(|| bytes("AmountDataAvailable")),
            capacity: bytes("TotalDataCapacity"),
        }
    }

    /// May a backup be asked for?
    ///
    /// # Errors
    /// [`Code::SetupUnfinished`]; [`Code::EncryptionRequired`] where a profile demands encryption that is off.
    pub fn may_back_up(&self) -> Result<(), Fault> {
        if self.setup_done == Some(false) {
            return Err(refusal(
                Code::SetupUnfinished,
                Remedy::Setup,
                "the device says that its setup is not done",
                212,
            ));
        }
        if self.must_encrypt == Some(true) && self.encrypts == Some(false) {
            let text = "a profile on the device demands encrypted backups, and encryption is off";
            return Err(refusal(Code::EncryptionRequired, Remedy::PasswordDemanded, text, 207));
        }
        Ok(())
    }

    /// May this generation be put back? Said before anything is sent.
    ///
    /// # Errors
    /// [`Code::FindMyOn`], [`Code::BackupNewer`], [`Code::DeviceFull`] when it can never fit.
    pub fn may_put_back(&self, generation: &Generation, options: &RestoreOptions) -> Result<(), Fault> {
        let bytes = generation.record.as_ref().map(|r| r.bytes.max(if r.sealed { r.stored_bytes } else { 0 }));
        self.judge(&generation.summary, bytes, options)
    }

    fn judge(&self, of: &Summary, bytes: Option<u64>, options: &RestoreOptions) -> Result<(), Fault> {
        if self.find_my == Some(true) {
            return Err(refusal(Code::FindMyOn, Remedy::FindMy, "the device says that Find My is on", 211));
        }
        let made_on = of.product_version.as_deref().and_then(|v| v.parse::<Version>().ok());
        if let (Some(made_on), Some(now)) = (&made_on, &self.version)
            && is_newer(made_on, now)
        {
            let text = format!("made on {made_on}, the device runs {now}");
            return Err(refusal(Code::BackupNewer, Remedy::UpdateDevice, text, 203));
        }
        // What is on the device now makes way for the backup, unless all of it is copied there first.
        let room = if options.copy_first { self.free } else { self.capacity };
        if let (Some(bytes), Some(room)) = (bytes, room)
            && bytes > room
        {
            let text = format!("the backup has {} MB, the device has room for {} MB", bytes >> 20, room >> 20);
            return Err(refusal(Code::DeviceFull, Remedy::DeviceRoom, text, 105));
        }
        Ok(())
    }

    /// Both figures, for a device that says that it is full.
    pub(super) fn figures(&self, generation: &Generation) -> String {
        let mb = |bytes: Option<u64>| bytes.map_or("an unknown number of".to_owned(), |b| (b >> 20).to_string());
        let has = generation.record.as_ref().map(|r| r.bytes.max(r.stored_bytes));
        format!("the backup has {} MB, the device had {} MB free", mb(has), mb(self.free))
    }

    /// It fits, but not beside what is on the device now.
    pub fn is_tight(&self, generation: &Generation) -> bool {
        match (&generation.record, self.free) {
            (Some(record), Some(free)) => record.bytes > free,
            _ => false,
        }
    }
}

/// 26.7 and 26.7.0 are one version.
fn is_newer(left: &Version, right: &Version) -> bool {
    let at = |v: &Version, n: usize| v.0.get(n).copied().unwrap_or(0);
    let parts = left.0.len().max(right.0.len());
    (0..parts).map(|n| at(left, n)).gt((0..parts).map(|n| at(right, n)))
}

/// With the number that the device would have given.
fn refusal(code: Code, remedy: Remedy, detail: impl Into<String>, number: i64) -> Fault {
    Fault::new(code, format!("{}; nothing was sent", detail.into())).remedy(remedy).number(number)
}

/// Some keys are booleans on one system and numbers on another.
fn flag(values: &Dictionary, key: &str) -> Option<bool> {
    match values.get(key)? {
        Value::Boolean(yes) => Some(*yes),
        Value::Integer(number) => Some(number.as_signed() != Some(0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dict<const N: usize>(pairs: [(&str, Value); N]) -> Dictionary {
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    #[test]
    fn what_is_not_told_is_unknown_and_in_nobodys_way() {
        let none = Dictionary::new();
        let read = Preflight::of(&none, &none, &none, &none);
        assert_eq!(read, Preflight::default());
        assert!(read.may_back_up().is_ok());
        assert!(read.judge(&Summary::default(), Some(u64::MAX), &RestoreOptions::default()).is_ok());
        let backup = dict([("RequiresEncryption", 0.into()), ("CloudBackupEnabled", false.into())]);
        let disk = dict([("TotalDataCapacity", 9.into()), ("AmountDataAvailable", 5.into())]);
        let read = Preflight::of(&backup, &dict([("IsAssociated", true.into())]), &none, &disk);
        assert_eq!((read.encrypts, read.must_encrypt, read.find_my), (Some(false), Some(false), Some(true)));
        assert_eq!((read.free, read.capacity, read.setup_done), (Some(5), Some(9), None));
    }

    #[test]
    fn what_is_sure_to_be_refused_is_refused_with_the_devices_number() {
        let backup = |read: Preflight| read.may_back_up().map_err(|f| (f.code, f.number));
        assert_eq!(
            backup(Preflight { setup_done: Some(false), ..Preflight::default() }),
            Err((Code::SetupUnfinished, Some(212)))
        );
        let profile = |encrypts| Preflight { must_encrypt: Some(true), encrypts, ..Preflight::default() };
        assert_eq!(backup(profile(Some(false))), Err((Code::EncryptionRequired, Some(207))));
        assert_eq!((backup(profile(Some(true))), backup(profile(None))), (Ok(()), Ok(())));

        let back = |read: &Preflight, made_on: &str, bytes: u64, copy_first: bool| {
            let of = Summary { product_version: Some(made_on.into()), ..Summary::default() };
            let options = RestoreOptions { copy_first, ..RestoreOptions::default() };
            read.judge(&of, Some(bytes), &options).map_err(|f| (f.code, f.number))
        };
        let read = Preflight {
            version: "26.7".parse().ok(),
            free: Some(100),
            capacity: Some(1000),
            find_my: Some(false),
            ..Preflight::default()
        };
        assert_eq!(back(&read, "26.7.0", 500, false), Ok(()));
        assert_eq!(back(&read, "9.3.5", 500, false), Ok(()));
        for newer in ["26.7.1", "26.10", "27.0"] {
            assert_eq!(back(&read, newer, 1, false), Err((Code::BackupNewer, Some(203))), "{newer}");
        }
        assert_eq!(back(&read, "26.7", 1001, false), Err((Code::DeviceFull, Some(105))));
        assert_eq!(back(&read, "26.7", 500, true), Err((Code::DeviceFull, Some(105))));
        let associated = Preflight { find_my: Some(true), ..read };
        assert_eq!(back(&associated, "26.7", 1, false), Err((Code::FindMyOn, Some(211))));
    }
}
