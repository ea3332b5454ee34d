//! The virtual bus in this process: [`Bus`] and [`Handle`] straight onto the model.
//!
//! Nothing is offered that libusb would not: a silent device costs the caller its time-out, a handle from
//! before a re-enumeration is gone, and strings are read through their descriptors.

use super::board::{Board, Change};
use super::model::{Answer, Model, Reply};
use crate::usb::{Address, Bus, BusEvent, Handle, Setup, UsbDevice, UsbError};
use crate::virt::phone::Phone;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longest wait for requests that carry no limit of their own.
const PLAIN_LIMIT: Duration = Duration::from_secs(5);

/// The phones of a bench as a USB bus.
pub struct VirtualBus {
    board: Arc<Board>,
}

impl VirtualBus {
    pub fn new(phones: Vec<Arc<Phone>>) -> Self {
        VirtualBus { board: Board::new(&phones) }
    }
}

impl Bus for VirtualBus {
    fn name(&self) -> &str {
        "virtual bus"
    }

    fn devices(&self) -> Result<Vec<UsbDevice>, UsbError> {
        Ok(self.board.plugged().iter().map(|p| p.device()).collect())
    }

    fn watch(&self) -> Result<Receiver<BusEvent>, UsbError> {
        let (sender, receiver) = channel();
        let (_present, changes) = self.board.watch();
        std::thread::spawn(move || {
            for change in changes {
                let event = match change {
                    Change::Arrived(plugged) => BusEvent::Arrived(plugged.device()),
                    Change::Left(plugged) => BusEvent::Left(plugged.address),
                };
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }

    fn open(&self, address: Address) -> Result<Box<dyn Handle>, UsbError> {
        let plugged = self.board.find(address).ok_or(UsbError::Gone)?;
        if plugged.model.faults().no_access {
            return Err(UsbError::Access);
        }
        Ok(Box::new(VirtualHandle { generation: plugged.identity.generation, model: plugged.model }))
    }
}

struct VirtualHandle {
    model: Arc<Model>,
    generation: u32,
}

impl VirtualHandle {
    /// Waits as the device makes the caller wait.
    fn settle(&self, answer: Answer, limit: Duration) -> Result<Reply, UsbError> {
        let silent = answer.reply == Reply::Silent || answer.after > limit;
        let wait = if silent { limit } else { answer.after };
        if answer.reply != Reply::Gone && !wait.is_zero() && self.model.wait_gone(self.generation, wait) {
            return Err(UsbError::Gone);
        }
        match answer.reply {
            _ if silent => Err(UsbError::Timeout),
            Reply::Gone => Err(UsbError::Gone),
            Reply::Stall => Err(UsbError::Stall),
            reply => Ok(reply),
        }
    }

    fn count(&self, answer: Answer, limit: Duration) -> Result<usize, UsbError> {
        match self.settle(answer, limit)? {
            Reply::Taken(count) => Ok(count),
            _ => Ok(0),
        }
    }

    fn bytes(&self, answer: Answer, limit: Duration) -> Result<Vec<u8>, UsbError> {
        match self.settle(answer, limit)? {
            Reply::Data(bytes) => Ok(bytes),
            _ => Ok(Vec::new()),
        }
    }

    fn unless_busy(&self) -> Result<(), UsbError> {
        if self.model.faults().busy { Err(UsbError::Busy) } else { Ok(()) }
    }
}

impl Handle for VirtualHandle {
    fn control_out(&mut self, setup: Setup, data: &[u8], limit: Duration) -> Result<usize, UsbError> {
        let length = u16::try_from(data.len()).map_err(|_| UsbError::Other("control data over 64 KiB".into()))?;
        self.count(self.model.control(self.generation, setup, length, data), limit)
    }

    fn control_in(&mut self, setup: Setup, length: u16, limit: Duration) -> Result<Vec<u8>, UsbError> {
        self.bytes(self.model.control(self.generation, setup, length, &[]), limit)
    }

    fn bulk_out(&mut self, endpoint: u8, data: &[u8], limit: Duration) -> Result<usize, UsbError> {
        self.count(self.model.bulk_out(self.generation, endpoint, data), limit)
    }

    fn bulk_in(&mut self, endpoint: u8, length: usize, limit: Duration) -> Result<Vec<u8>, UsbError> {
        match self.model.bulk_in(self.generation, endpoint, length, limit) {
            // The waiting is done already.
            Answer { reply: Reply::Silent, .. } => Err(UsbError::Timeout),
            answer => self.bytes(answer, limit),
        }
    }

    fn string(&mut self, index: u8, limit: Duration) -> Result<String, UsbError> {
        let descriptor = self.control_in(Setup::new(0x80, 6, 0x0300 | u16::from(index), 0x0409), 255, limit)?;
        let units: Vec<u16> = match descriptor.get(2..) {
            Some(text) if index != 0 => text.chunks_exact(2).map(|c| u16::from_le_bytes([c[0], c[1]])).collect(),
            _ => return Err(UsbError::Other(format!("string descriptor {index} is not a text"))),
        };
        Ok(String::from_utf16_lossy(&units))
    }

    fn configuration(&mut self) -> Result<u8, UsbError> {
        let answer = self.control_in(Setup::new(0x80, 8, 0, 0), 1, PLAIN_LIMIT)?;
        answer.first().copied().ok_or_else(|| UsbError::Other("no configuration in the answer".into()))
    }

    fn set_configuration(&mut self, value: u8) -> Result<(), UsbError> {
        self.unless_busy()?;
        self.control_out(Setup::new(0x00, 9, value.into(), 0), &[], PLAIN_LIMIT).map(drop)
    }

    fn claim(&mut self, interface: u8, alternate: u8) -> Result<(), UsbError> {
        self.unless_busy()?;
        match self.control_out(Setup::new(0x01, 11, alternate.into(), interface.into()), &[], PLAIN_LIMIT) {
            Ok(_) => Ok(()),
            // A kernel knows the interfaces and asks no device for one that is not there.
            Err(UsbError::Stall) => Err(UsbError::Other(format!("no interface {interface}:{alternate}"))),
            Err(other) => Err(other),
        }
    }

    fn reset(&mut self) -> Result<(), UsbError> {
        match self.model.reset(self.generation) {
            Reply::Gone => Err(UsbError::Gone),
            _ => Ok(()),
        }
    }
}
