//! The virtual bench: iPhones that are reached only through real bytes, and Apple's servers on loopback.
//!
//! There is one model of a phone ([`phone::Phone`]). Around it stand servers that speak the real
//! protocols: a usbmuxd socket (`mux`), lockdown and its services (`mux`, `backup`), restored, ASR and
//! FDR (`restore`), the USB side for any libusb program (`usb`), and Apple on loopback (`apple`, `ipsw`).
//! Nothing of the tool reaches into the model: clients that nobody here wrote must work on it unchanged,
//! and they judge it. All of it is plain threads and blocking sockets, so that a fault knob is one `if`.

pub mod apple;
pub mod backup;
pub mod bench;
pub mod control;
pub mod ipsw;
pub mod keys;
pub mod mux;
mod owner;
pub mod phone;
pub mod restore;
pub mod spec;
pub mod stream;
pub mod usb;
