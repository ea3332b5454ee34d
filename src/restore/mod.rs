//! The restore engine: from a device in recovery or DFU to a freshly installed system.
//!
//! `boot` and its stages bring the device into the restore ramdisk; the session with restored follows.

mod answer;
mod answer_images;
mod answer_recovery;
#[cfg(test)]
mod answer_tests;
mod asr;
pub mod boot;
#[cfg(test)]
mod boot_tests;
mod cpio;
mod dfu_start;
mod engine;
mod fdr;
pub mod im4r;
mod img3;
mod link;
pub mod machine;
pub mod personalize;
mod recovery_start;
pub mod rescue;
#[cfg(test)]
pub(crate) mod rig;
mod session;
pub mod ticket;
mod updater;
mod updater_part;
#[cfg(test)]
mod updater_tests;

pub use answer::{Supplies, Web, WebAnswer};
pub use answer_recovery::RecoveryTicket;
pub use engine::{ByHand, Engine, RestorePlan, enter_recovery};
pub use fdr::Allowed;
pub use link::SILENCE;
pub use session::{Restored, Session};
