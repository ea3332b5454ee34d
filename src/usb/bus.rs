//! The seam between the boot chain and a bus.

use crate::fault::{Code, Fault};
use crate::ids::PortPath;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// Where the kernel put a device: changes with each enumeration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Address {
    pub bus: u8,
    pub device: u8,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}/{:03}", self.bus, self.device)
    }
}

/// One device of Apple's as enumeration shows it, before anything was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsbDevice {
    pub address: Address,
    pub port: PortPath,
    pub vendor: u16,
    pub product: u16,
    /// `iSerial`; none when it could not be read or there is no such string. A node that may not be opened
    /// ([`UsbDevice::no_access`]) still has it where the kernel keeps a copy.
    pub serial: Option<String>,
    /// Found, but this user may not open the node.
    pub no_access: bool,
    /// From the bench.
    pub is_virtual: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BusEvent {
    Arrived(UsbDevice),
    Left(Address),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    Out,
    In,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    Standard,
    Class,
    Vendor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Recipient {
    Device,
    Interface,
}

/// The eight bytes of a control request, less the length, which the data gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    pub direction: Direction,
    pub kind: Kind,
    pub recipient: Recipient,
    pub request: u8,
    pub value: u16,
    pub index: u16,
}

impl Setup {
    /// From `bmRequestType` as the protocol notes write it, e.g. `0x40`, `0xC0`, `0x21`, `0xA1`, `0x41`.
    pub const fn new(request_type: u8, request: u8, value: u16, index: u16) -> Self {
        Setup {
            direction: if request_type & 0x80 != 0 { Direction::In } else { Direction::Out },
            kind: match (request_type >> 5) & 3 {
                0 => Kind::Standard,
                1 => Kind::Class,
                _ => Kind::Vendor,
            },
            recipient: if request_type & 0x1F == 1 { Recipient::Interface } else { Recipient::Device },
            request,
            value,
            index,
        }
    }

    pub const fn request_type(&self) -> u8 {
        let direction = match self.direction {
            Direction::In => 0x80,
            Direction::Out => 0,
        };
        let kind = match self.kind {
            Kind::Standard => 0,
            Kind::Class => 0x20,
            Kind::Vendor => 0x40,
        };
        let recipient = match self.recipient {
            Recipient::Device => 0,
            Recipient::Interface => 1,
        };
        direction | kind | recipient
    }
}

/// What libusb tells apart and a caller decides on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum UsbError {
    #[error("no permission to open the device node")]
    Access,
    #[error("another program holds the device")]
    Busy,
    #[error("the device left the bus")]
    Gone,
    #[error("the device stalled the request")]
    Stall,
    #[error("no answer in time")]
    Timeout,
    #[error("USB is not available here: {0}")]
    Unavailable(String),
    #[error("USB error: {0}")]
    Other(String),
}

impl From<UsbError> for Fault {
    fn from(err: UsbError) -> Self {
        let code = match err {
            UsbError::Access => Code::UsbNoAccess,
            UsbError::Busy => Code::UsbBusy,
            UsbError::Gone => Code::UsbGone,
            UsbError::Stall => Code::UsbStall,
            UsbError::Timeout => Code::UsbTimeout,
            UsbError::Unavailable(_) => Code::UsbUnavailable,
            UsbError::Other(_) => Code::UsbError,
        };
        Fault::new(code, err.to_string())
    }
}

/// A bus that devices hang on. Calls may block for their time-out, never for ever.
pub trait Bus: Send + Sync {
    /// `libusb`, or the bench's own word for how it is reached.
    fn name(&self) -> &str;

    /// Why there is no bus at all, if so: it is then empty, which is no error.
    fn unavailable(&self) -> Option<String> {
        None
    }

    /// All of Apple's devices now, in bus order.
    fn devices(&self) -> Result<Vec<UsbDevice>, UsbError>;

    /// Arrivals and departures from now on. Dropping the receiver ends the watch. A second arrival at an
    /// address means that more is known of the same device (its serial, or that it may be opened now).
    fn watch(&self) -> Result<Receiver<BusEvent>, UsbError>;

    fn open(&self, address: Address) -> Result<Box<dyn Handle>, UsbError>;
}

/// One open device. Not shared between threads.
pub trait Handle: Send {
    /// Returns the bytes taken by the device.
    fn control_out(&mut self, setup: Setup, data: &[u8], limit: Duration) -> Result<usize, UsbError>;

    /// Asks for at most `length` bytes.
    fn control_in(&mut self, setup: Setup, length: u16, limit: Duration) -> Result<Vec<u8>, UsbError>;

    /// An empty slice is a zero-length packet.
    fn bulk_out(&mut self, endpoint: u8, data: &[u8], limit: Duration) -> Result<usize, UsbError>;

    fn bulk_in(&mut self, endpoint: u8, length: usize, limit: Duration) -> Result<Vec<u8>, UsbError>;

    /// String descriptor `index` as text.
    fn string(&mut self, index: u8, limit: Duration) -> Result<String, UsbError>;

    fn configuration(&mut self) -> Result<u8, UsbError>;
    fn set_configuration(&mut self, value: u8) -> Result<(), UsbError>;
    fn claim(&mut self, interface: u8, alternate: u8) -> Result<(), UsbError>;

    /// Bus reset. The device usually leaves: `Gone` counts as success for the caller.
    fn reset(&mut self) -> Result<(), UsbError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_types_round_trip() {
        for t in [0x40, 0xC0, 0x21, 0xA1, 0x41, 0x80, 0x00, 0x01] {
            assert_eq!(Setup::new(t, 0, 0, 0).request_type(), t);
        }
    }
}
