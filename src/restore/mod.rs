//! The restore engine: from a device in recovery or DFU to a freshly installed system.
//!
//! `machine` decides what is done next and when it is enough; `drive` does it, and writes each action down first. The
//! actions are those of `boot` (with its stages `dfu_start` and `recovery_start`), which bring the device into the
//! restore ramdisk, of `session`, which answers restored there, and of `rescue`, which leads it back.

mod aftermath;
mod answer;
mod answer_images;
mod answer_recovery;
#[cfg(test)]
mod answer_tests;
mod answering;
mod asr;
#[cfg(test)]
mod asr_tests;
pub mod boot;
#[cfg(test)]
mod boot_tests;
mod cpio;
mod dfu_start;
mod drive;
mod ending;
#[cfg(test)]
mod ending_tests;
mod engine;
mod fdr;
mod fdr_relay;
#[cfg(test)]
mod fdr_tests;
mod img3;
mod large;
mod link;
mod machine;
#[cfg(test)]
mod machine_tests;
pub mod personalize;
mod pieces;
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

pub use aftermath::where_it_is;
pub use answer::{Supplies, Web, WebAnswer};
pub use answer_recovery::RecoveryTicket;
pub use drive::Note;
pub use engine::{ByHand, Engine, RestorePlan, enter_recovery};
pub use fdr::Allowed;
pub use link::SILENCE;
pub use machine::Action;
pub use session::{Restored, Session};
