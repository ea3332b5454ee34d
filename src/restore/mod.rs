//! The restore engine: from a device in recovery or DFU to a freshly installed system.
//!
//! `boot` and its stages bring the device into the restore ramdisk; the session with restored follows.

mod answer;
mod answering;
mod asr;
pub mod boot;
#[cfg(test)]
mod boot_tests;
mod dfu_start;
mod ending;
mod engine;
mod fdr;
mod img3;
mod link;
pub mod machine;
pub mod personalize;
mod ports;
mod recovery_start;
pub mod rescue;
#[cfg(test)]
pub(crate) mod rig;
mod session;
#[cfg(test)]
mod session_bed;
#[cfg(test)]
mod session_faults;
#[cfg(test)]
mod session_tests;
pub mod ticket;
mod updater;
mod updater_part;
#[cfg(test)]
mod updater_tests;

pub use answer::{Supplies, Web, WebAnswer};
pub use engine::{ByHand, Engine, RestorePlan, enter_recovery};
pub use fdr::Allowed;
pub use link::SILENCE;
pub use session::{Restored, Session};
