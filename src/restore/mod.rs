//! The restore engine: from a device in recovery or DFU to a freshly installed system.
//!
//! `boot` and its stages bring the device into the restore ramdisk; the session with restored follows.

pub mod boot;
#[cfg(test)]
mod boot_tests;
mod dfu_start;
pub mod personalize;
mod recovery_start;
pub mod rescue;
#[cfg(test)]
pub(crate) mod rig;
pub mod ticket;
