//! The bench's usbmuxd, and lockdownd with its small services inside each phone.
//!
//! Two sides meet here that in real life are two machines. `muxd` and `records` are the host's: a socket
//! that any usbmux client can use, and the pair records in `/var/lib/lockdown`. The rest is the phone's:
//! `inside` is what it knows of hosts (its key, who is trusted, the trust dialog), `lockdownd` answers on
//! port 62078, `services` starts what a host asks for. Nothing is passed between the two but bytes on a
//! link, with one exception: a phone that is described as already trusted gets its pair record made at
//! boot, as if somebody had tapped Trust last week.
//!
//! The judges are libimobiledevice's tools and pymobiledevice3 (`tests.rs` runs them where installed).

mod activation;
mod apps;
mod diagnostics;
mod inside;
mod link;
mod lockdownd;
mod muxd;
mod notices;
pub mod preboard;
mod preflight;
mod profiles;
mod records;
mod services;
mod tcp;
mod tls;
mod values;
mod x509;

#[cfg(test)]
mod tests;

pub use diagnostics::restart;
pub use lockdownd::boot;
pub use muxd::Muxd;
pub use notices::{observe, post};
pub use records::HostRecords;
pub use tcp::TcpDoor;

use serde::{Deserialize, Serialize};

/// What these servers can be told to do wrong.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// lockdownd takes connections and never says a word.
    pub lockdown_silent: bool,
    /// Each answer of lockdownd has an honest length and bytes that are no property list.
    pub lockdown_garbage: bool,
    /// lockdownd announces an answer of this many bytes.
    pub lockdown_length: Option<u32>,
    /// The link is cut after this many bytes from lockdownd.
    pub lockdown_cut_after: Option<u64>,
    /// usbmuxd refuses every port of this phone.
    pub connect_refused: bool,
    /// usbmuxd dies (all links cut, socket gone) after this many connects to this phone.
    pub mux_vanish_after_connects: Option<u32>,
    /// The link of a service is cut after this many bytes from it, TLS included.
    pub service_cut_after_bytes: Option<u64>,
    /// Services start, finish the TLS handshake and then say nothing.
    pub service_silent: bool,
    /// TLS closes at the client's first bytes, as when trust was removed on the phone.
    pub tls_refused: bool,
    /// StartService answers with this error.
    pub start_service_error: Option<String>,
    /// StartSession answers with this error.
    pub session_error: Option<String>,
    /// Pair answers with this error, whatever the person would do.
    pub pair_error: Option<String>,
    /// A profile forbids new hosts: Pair answers MCProtected.
    pub mdm_forbids: bool,
    /// The device has no Wi-Fi address to tell, as with a dead chip.
    pub no_wifi_address: bool,
    /// USB restricted mode: while it is locked, usbmuxd does not see the phone, though USB does.
    pub restricted_usb: bool,
    /// A person unlocks the phone this many of its milliseconds after it came up.
    pub unlocked_after_ms: Option<u64>,
    /// usbmuxd answers SavePairRecord for this phone with this number.
    pub record_unsaved: Option<u32>,
    /// Milliseconds before each piece that lockdownd or a service sends.
    pub slow_ms: u64,
    /// Percent of charge, instead of 81.
    pub battery_percent: Option<u8>,
    /// The cable gives no power.
    pub not_charging: bool,
    /// Bytes free for the person's data, instead of what the files leave.
    pub data_free: Option<u64>,
    /// The passcode dialog before an update.
    pub preboard: preboard::Knobs,
}
