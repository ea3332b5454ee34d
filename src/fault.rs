//! One error type for people.
//!
//! Rooms have their own small error types where a caller decides on them; what reaches a person is a
//! [`Fault`]: what happened, at which stage, on which device, whose fault it probably is, what to do
//! next, and whether a retry helps (law 5). The sentences live in `say`, one exhaustive match per
//! language over [`Code`], so a code without a text does not compile. Codes and details are English and
//! stable; scripts may match on them.

pub mod known;
mod remedy;
mod standing;
pub(crate) mod words;

use crate::ids::{Ecid, Mode};
use known::Space;
use serde::{Deserialize, Serialize};
use std::fmt;

pub use remedy::Remedy;
pub use standing::{DeviceState, SeenIn, Standing};

/// Whose fault it probably is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    User,
    Device,
    Host,
    Network,
    Apple,
    Bug,
}

/// Does it help to try again?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// The same command may work at once.
    Now,
    /// After the person did what the text says.
    AfterRemedy,
    /// It will fail again.
    Never,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $class:ident, $retry:ident, $exit:literal;)*) => {
        /// What went wrong, as a stable word.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The stable word, e.g. `usb-no-access`.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }
            pub fn class(self) -> Class {
                match self { $(Code::$name => Class::$class,)* }
            }
            pub fn retry(self) -> Retry {
                match self { $(Code::$name => Retry::$retry,)* }
            }
            /// The process exit code (README, "Exit codes").
            pub fn exit(self) -> u8 {
                match self { $(Code::$name => $exit,)* }
            }
        }
    };
}

codes! {
    // -- finding a device --
    NoDevice = "no-device", User, AfterRemedy, 5;
    NoSuchDevice = "no-such-device", User, AfterRemedy, 5;
    AmbiguousDevice = "ambiguous-device", User, AfterRemedy, 2;
    WrongMode = "wrong-mode", User, AfterRemedy, 4;
    /// The model is in no table.
    UnknownModel = "unknown-model", Bug, Never, 1;
    /// A device answered with the identity of another one.
    StrangerDevice = "stranger-device", User, AfterRemedy, 1;
    // -- the host --
    MuxUnreachable = "mux-unreachable", Host, AfterRemedy, 6;
    /// Something answers in usbmuxd's place that is not usbmuxd.
    MuxGarbage = "mux-garbage", Host, AfterRemedy, 6;
    /// `doctor` found something in the way that no other code names.
    HostNotReady = "host-not-ready", Host, AfterRemedy, 6;
    /// No root certificates, so that no server can be checked.
    NoCertificates = "no-certificates", Host, AfterRemedy, 6;
    UsbUnavailable = "usb-unavailable", Host, AfterRemedy, 6;
    UsbNoAccess = "usb-no-access", Host, AfterRemedy, 6;
    UsbBusy = "usb-busy", Host, AfterRemedy, 6;
    DiskFull = "disk-full", Host, AfterRemedy, 6;
    DiskError = "disk-error", Host, AfterRemedy, 1;
    DiskNoAccess = "disk-no-access", Host, AfterRemedy, 6;
    Locked = "locked-by-other", Host, AfterRemedy, 1;
    // -- the link --
    UsbGone = "usb-gone", Device, Now, 1;
    UsbTimeout = "usb-timeout", Device, Now, 1;
    UsbStall = "usb-stall", Device, Now, 1;
    UsbError = "usb-error", Device, Now, 1;
    LinkLost = "link-lost", Device, Now, 1;
    LinkSilent = "link-silent", Device, Now, 1;
    /// Bytes that no device of this protocol sends.
    LinkGarbage = "link-garbage", Device, Now, 1;
    /// A length or nesting beyond every sane cap.
    LinkAbsurd = "link-absurd", Device, Never, 1;
    NeverCameBack = "never-came-back", Device, AfterRemedy, 1;
    CameBackElsewhere = "came-back-in-another-mode", Device, AfterRemedy, 1;
    /// Told to start its own system, it comes back in recovery.
    RecoveryLoop = "recovery-loop", Device, AfterRemedy, 1;
    /// This device has no keys for that.
    NoSuchKeys = "no-such-keys", User, Never, 4;
    /// The coach's tries are used up.
    KeysMissed = "keys-missed", User, Now, 4;
    // -- trust --
    TrustPending = "trust-pending", User, AfterRemedy, 4;
    TrustDenied = "trust-denied", User, AfterRemedy, 4;
    DeviceLocked = "device-locked", User, AfterRemedy, 4;
    NotTrusted = "not-trusted", User, AfterRemedy, 4;
    PairingStale = "pairing-stale", User, AfterRemedy, 4;
    /// A profile (MDM, supervision) lets no new host in.
    PairingForbidden = "pairing-forbidden", User, AfterRemedy, 4;
    PairingNeedsCable = "pairing-needs-cable", User, AfterRemedy, 4;
    /// The device trusts this host, and usbmuxd did not keep the record of it.
    PairingUnsaved = "pairing-unsaved", Host, AfterRemedy, 6;
    UsbRestricted = "usb-restricted", User, AfterRemedy, 4;
    LockdownRefused = "lockdown-refused", Device, AfterRemedy, 1;
    ServiceRefused = "service-refused", Device, AfterRemedy, 1;
    // -- backup --
    BackupRefused = "backup-refused", Device, AfterRemedy, 1;
    BackupPasscode = "backup-passcode", User, AfterRemedy, 4;
    BackupIncomplete = "backup-incomplete", Device, Now, 3;
    BackupHostile = "backup-hostile-path", Device, Never, 1;
    BackupDamaged = "backup-damaged", Host, Never, 7;
    /// A backup that was just made and does not hold what its manifest says.
    BackupUnverified = "backup-unverified", Device, Now, 7;
    DeviceFull = "device-full", User, AfterRemedy, 1;
    BackupNone = "backup-none", User, AfterRemedy, 1;
    BackupPassword = "backup-password", User, AfterRemedy, 4;
    /// No key of an encrypted backup opens with the password, tried on this computer.
    BackupPasswordWrong = "backup-password-wrong", User, AfterRemedy, 4;
    /// Encryption is to be switched on, and is on with a password of its own.
    EncryptionOn = "encryption-on", User, AfterRemedy, 2;
    EncryptionOff = "encryption-off", User, AfterRemedy, 2;
    /// A profile of an organisation demands encrypted backups.
    EncryptionRequired = "encryption-required", User, AfterRemedy, 4;
    /// The device agreed to a change, and its setting says otherwise.
    EncryptionUnclear = "encryption-unclear", Device, AfterRemedy, 1;
    BackupNewer = "backup-newer-than-device", User, Never, 1;
    FindMyOn = "find-my-on", User, AfterRemedy, 4;
    SetupUnfinished = "setup-unfinished", User, AfterRemedy, 4;
    // -- firmware --
    CatalogueUnreachable = "catalogue-unreachable", Network, Now, 1;
    CatalogueInvalid = "catalogue-invalid", Network, Now, 1;
    NoFirmware = "no-firmware", Apple, Never, 1;
    DownloadFailed = "download-failed", Network, Now, 1;
    DownloadStalled = "download-stalled", Network, Now, 1;
    DownloadNotFirmware = "download-not-firmware", Network, AfterRemedy, 1;
    HostNotAllowed = "host-not-allowed", Network, Never, 1;
    FirmwareDigest = "firmware-digest", Network, Now, 7;
    FirmwareDamaged = "firmware-damaged", Host, AfterRemedy, 7;
    FirmwareWrongDevice = "firmware-wrong-device", User, AfterRemedy, 2;
    // -- signing --
    TssUnreachable = "tss-unreachable", Network, Now, 1;
    TssNotSigned = "tss-not-signed", Apple, Never, 8;
    TssRefused = "tss-refused", Apple, Never, 8;
    TssInvalid = "tss-invalid-answer", Apple, Now, 1;
    /// A ticket that a person brought is for something else.
    TicketUnfit = "ticket-unfit", User, AfterRemedy, 7;
    // -- restore --
    ConsentMissing = "consent-missing", User, AfterRemedy, 4;
    ConsentMismatch = "consent-mismatch", User, AfterRemedy, 2;
    BootRefused = "boot-refused", Device, AfterRemedy, 1;
    NonceUnread = "nonce-unread", Device, Now, 1;
    RestoreRefused = "restore-refused", Device, AfterRemedy, 1;
    HostUnsupported = "host-unsupported", Bug, Never, 1;
    RestoreFailed = "restore-failed", Device, AfterRemedy, 1;
    AsrFailed = "asr-failed", Device, Now, 1;
    /// Apple's calibration data of a part cannot be had: no network, or a part that is not the original.
    FdrFailed = "fdr-failed", Device, AfterRemedy, 1;
    UnknownRequest = "unknown-request", Bug, Never, 1;
    UpdateImpossible = "update-impossible", User, AfterRemedy, 1;
    /// An update that keeps the data takes the passcode, typed on the device, and nobody typed it.
    PasscodeNotEntered = "passcode-not-entered", User, AfterRemedy, 4;
    /// The device would not seal its keys for the new system.
    StashbagRefused = "stashbag-refused", Device, AfterRemedy, 1;
    /// Too little charge for the minutes in which it must not go off.
    BatteryLow = "battery-low", User, AfterRemedy, 4;
    // -- triage --
    /// Found, lost or stolen: nothing is done for whoever holds it.
    NotYours = "not-yours", User, Never, 4;
    /// Questions are open, and there is no terminal to ask them on.
    QuestionsOpen = "questions-open", User, AfterRemedy, 4;
    AnswersInvalid = "answers-invalid", User, AfterRemedy, 2;
    /// The way out is another one than a restore by this program.
    OtherWayOut = "other-way-out", User, AfterRemedy, 4;
    // -- jobs and usage --
    /// What is left of a batch waits for somebody to do something.
    PersonNeeded = "person-needed", User, AfterRemedy, 4;
    NoJob = "no-such-job", User, AfterRemedy, 2;
    JournalDamaged = "journal-damaged", Host, Never, 7;
    /// A job that did not erase, or after which the device holds data again.
    CertificateRefused = "certificate-refused", User, Never, 4;
    /// A certificate's file that was changed, or says something else than its journal.
    CertificateInvalid = "certificate-invalid", User, Never, 7;
    Usage = "usage", User, AfterRemedy, 2;
    /// A file of the person's own configuration that cannot be read.
    ConfigInvalid = "config-invalid", User, AfterRemedy, 2;
    NotATerminal = "not-a-terminal", User, AfterRemedy, 2;
    NotYet = "not-built-yet", Bug, Never, 1;
    Cancelled = "cancelled", User, Now, 130;
    BenchUnavailable = "bench-unavailable", Host, AfterRemedy, 6;
    Internal = "internal", Bug, Never, 1;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Code::ALL
            .iter()
            .copied()
            .find(|c| c.as_str() == text)
            .ok_or_else(|| serde::de::Error::custom(format!("unknown fault code {text:?}")))
    }
}

/// One failure, whole. `detail` is technical English: numbers, names, the device's own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub code: Code,
    pub class: Class,
    pub retry: Retry,
    /// The step it happened in, as [`crate::event::Step`] prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Ecid>,
    pub detail: String,
    /// A number that Apple's own tools would show (AMRError, MBErrorDomain, TSS STATUS), for `explain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<i64>,
    /// What helps, where the code alone does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
    /// Of a restore: where it stood, and what is left of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<Box<Standing>>,
}

pub type Result<T, E = Fault> = std::result::Result<T, E>;

impl Fault {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Fault {
            code,
            class: code.class(),
            retry: code.retry(),
            stage: None,
            device: None,
            detail: detail.into(),
            number: None,
            remedy: None,
            restore: None,
        }
    }

    pub fn cancelled() -> Self {
        Fault::new(Code::Cancelled, "cancelled by the person")
    }

    /// Names the stage unless a deeper room already did.
    pub fn during(mut self, stage: impl fmt::Display) -> Self {
        self.stage.get_or_insert_with(|| stage.to_string());
        self
    }

    pub fn on(mut self, device: Ecid) -> Self {
        self.device.get_or_insert(device);
        self
    }

    pub fn number(mut self, number: i64) -> Self {
        self.number = Some(number);
        self
    }

    /// Who counts like the number that it carries.
    pub fn space(&self) -> Option<Space> {
        self.number?;
        match self.code {
            Code::TssNotSigned | Code::TssRefused => Some(Space::Tss),
            _ if self.restore.is_some() => Some(Space::Restored),
            Code::BackupRefused | Code::BackupPasscode => Some(Space::Backup),
            _ if self.remedy.is_some() => Some(Space::Backup),
            Code::RestoreFailed | Code::FdrFailed | Code::HostUnsupported | Code::UpdateImpossible => {
                Some(Space::Restored)
            }
            _ => None,
        }
    }

    pub fn remedy(mut self, remedy: Remedy) -> Self {
        self.remedy = Some(remedy);
        self
    }

    /// Where the restore stood; a deeper room's account is kept.
    pub fn standing(mut self, standing: Standing) -> Self {
        self.restore.get_or_insert_with(|| Box::new(standing));
        self
    }

    /// Where the device was seen after the failure; none is on no bus. Only a restore has a place for it.
    pub fn seen_in(mut self, mode: Option<Mode>) -> Self {
        if let Some(standing) = &mut self.restore {
            standing.mode = Some(SeenIn::of(mode));
        }
        self
    }

    /// A disk error with the path that `fs_err` put into it; a full disk is told apart.
    pub fn disk(err: &std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let code = match err.kind() {
            K::StorageFull | K::QuotaExceeded => Code::DiskFull,
            K::PermissionDenied | K::ReadOnlyFilesystem => Code::DiskNoAccess,
            _ => Code::DiskError,
        };
        Fault::new(code, err.to_string())
    }

    /// A socket error on a link to a device.
    pub fn link(err: &std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let code = match err.kind() {
            K::TimedOut | K::WouldBlock => Code::LinkSilent,
            K::InvalidData => Code::LinkGarbage,
            _ => Code::LinkLost,
        };
        Fault::new(code, err.to_string())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(stage) = &self.stage {
            write!(f, " during {stage}")?;
        }
        if let Some(device) = self.device {
            write!(f, " on {device}")?;
        }
        write!(f, ": {}", self.detail)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_survive_json() {
        let mut words: Vec<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Code::ALL.len());
        let fault = Fault::new(Code::TssNotSigned, "STATUS=94").number(94).during("ticket").on(Ecid(16));
        let back: Fault = serde_json::from_str(&serde_json::to_string(&fault).unwrap()).unwrap();
        assert_eq!(back.code, Code::TssNotSigned);
        assert_eq!(back.to_string(), "tss-not-signed during ticket on 0x10: STATUS=94");
    }

    #[test]
    fn a_deeper_stage_is_kept() {
        let fault = Fault::new(Code::UsbGone, "x").during("inner").during("outer");
        assert_eq!(fault.stage.as_deref(), Some("inner"));
    }
}
