//! Recovery and DFU over USB.
//!
//! Everything above speaks to a [`Bus`]: real libusb (`libusb.rs`, the only user of `rusb`) or the bench.
//! The trait is what libusb can do and no more, so that the bench cannot answer anything that a device
//! could not. Calls block; `port.rs` gives each handle its own thread. `iboot.rs` and `dfu.rs` are the
//! protocols, `wait.rs` knows who is expected back, `topology.rs` where a port is.

mod bus;
pub mod dfu;
pub mod iboot;
mod libusb;
#[cfg(test)]
mod libusb_tests;
pub mod port;
#[cfg(test)]
pub(crate) mod scripted;
pub mod topology;
pub mod wait;

pub use bus::{Address, Bus, BusEvent, Direction, Handle, Kind, Recipient, Setup, UsbDevice, UsbError};
pub use libusb::LibUsb;
