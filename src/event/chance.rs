//! Words for "can a backup still be made?", said before anything is erased.

use crate::fault::words::words;

words! {
    /// What a backup would take.
    Possible {
        Yes = "yes",
        /// A tap on Trust, on an unlocked screen.
        WithTrust = "with-trust",
        /// Somebody who types the passcode on the device.
        WithPasscode = "with-passcode",
        /// Not in its present state, by anybody.
        No = "no",
    }
}

words! {
    /// Why.
    Ground {
        /// Trusted, unlocked, and of a system that asks nothing.
        Ready = "ready",
        /// Trusted and unlocked; each backup asks for the passcode, if there is one.
        AsksEachTime = "asks-each-time",
        /// Trusted and locked, of a system that lets a trusted host back up all the same.
        RecordOpens = "record-opens",
        /// Trusted and locked, and a backup asks for the passcode: the trust does not help.
        LockedAsks = "locked-asks",
        /// Not trusted; up to iOS 10 a tap is enough.
        TrustByTap = "trust-by-tap",
        /// Not trusted; since iOS 11 trust takes the passcode.
        TrustByPasscode = "trust-by-passcode",
        /// Not trusted and locked.
        LockedStranger = "locked-stranger",
        /// Not unlocked since it was started: nothing can be read, by any host.
        BeforeFirstUnlock = "before-first-unlock",
        Denied = "denied",
        /// "Unavailable", "Disabled" or "Security Lockout" is on its screen.
        Lockout = "lockout",
        /// In recovery, DFU or restore mode.
        NotStarted = "not-started",
    }
}

words! {
    /// What else a person should know now.
    Caveat {
        /// A restart or an empty battery closes what is open.
        KeepItOn = "keep-it-on",
        /// Since iOS 11.4.1 the data lines close an hour after the lock.
        UsbHour = "usb-hour",
        /// Since iOS 18 it restarts by itself after 72 hours without unlocking.
        RestartsItself = "restarts-itself",
        /// Photos may be readable without a backup; nobody promises it.
        PhotosPerhaps = "photos-perhaps",
    }
}
