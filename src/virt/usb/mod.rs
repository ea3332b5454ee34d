//! The USB side of a virtual phone: SecureROM, iBoot and the normal mode's descriptors, as a host sees them.
//!
//! There is one model of a phone's port ([`model::Model`]); it answers control and bulk requests and
//! knows nothing of how they came. Four doors lead to it, and no door knows more than USB carries:
//!
//! - [`VirtualBus`], the bus trait in this process;
//! - [`remote`], the bus trait for a second process over a Unix socket;
//! - [`preload`], any libusb program, through umockdev's preload library;
//! - [`usbip`], every program of the machine, through the kernel's virtual controller.
//!
//! In normal and restore mode the port also carries the multiplexor (`mux2`, `muxer`): the real usbmuxd can
//! attach a phone and reach its services, beside the bench's own socket, which needs no USB at all.
//!
//! [`board`] is where phones plug in: it gives each enumeration a new device number and tells the doors.
//! [`buttons`] knows what key presses with their times do to a real phone; [`hands`] does it.

pub mod board;
mod bus;
pub mod buttons;
mod console;
mod descriptors;
pub mod hands;
mod identity;
mod image;
pub mod model;
mod mux2;
mod muxer;
pub mod person;
pub mod preload;
pub mod remote;
mod rom;
#[cfg(test)]
mod tests;
pub mod usbip;

pub use bus::VirtualBus;
#[cfg(test)]
pub(crate) use image::tests::signed_for;

use super::phone::Stage;
use serde::{Deserialize, Serialize};

/// What the USB side can be told to do wrong. All off by default.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// The node may not be opened. Through the preload library root gets in all the same, as root does.
    pub no_access: bool,
    /// Another program holds the interfaces.
    pub busy: bool,
    /// Commands that begin with this text stall, e.g. `setenv` or `getenv build-version`.
    pub stall_command: Option<String>,
    /// The cable slips when this many bytes of uploads have arrived; the phone comes back in the same stage
    /// after 2 s, what was uploaded is lost. Once.
    pub vanish_at_upload_byte: Option<u64>,
    /// Bulk uploads are never taken: transfers time out.
    pub silent_upload: bool,
    /// A good iBSS is refused.
    pub ibss_refused: bool,
    /// A good iBEC is refused.
    pub ibec_refused: bool,
    /// Boot stages keep the nonce of the stage before.
    pub nonce_kept: bool,
    /// String descriptor 1 holds something else.
    pub nonce_string_garbage: bool,
    /// After its first re-enumeration the port shows another ECID.
    pub wrong_ecid_after_reboot: bool,
    /// Having left this stage, the phone never shows up again.
    pub never_returns_from: Option<Stage>,
    /// The next re-enumeration ends in this stage instead. Once.
    pub returns_as: Option<Stage>,
    /// DFU begins in the error state, until its status is cleared.
    pub dfu_error_state: bool,
    /// The serial number string of recovery and DFU is not one.
    pub serial_garbage: bool,
    /// Every transfer takes this much longer, in real milliseconds.
    pub slow_ms: u64,
}
