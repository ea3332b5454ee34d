//! A bus for tests: devices are plugged and unplugged by hand, and each answers by a closure that sees
//! every call. What was called is remembered. It has no behaviour of its own; a model of a real iBoot is
//! in `virt::usb`.

use super::bus::{Address, Bus, BusEvent, Handle, Setup, UsbDevice, UsbError};
use crate::facts::modes;
use crate::ids::PortPath;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Out { setup: Setup, data: Vec<u8> },
    In { setup: Setup, length: u16 },
    BulkOut { endpoint: u8, length: usize },
    BulkIn { endpoint: u8 },
    Text(u8),
    Configure(u8),
    Claim(u8, u8),
    Reset,
}

type Answer = Arc<Mutex<dyn FnMut(&Call) -> Result<Vec<u8>, UsbError> + Send>>;

/// One device: what it answers, and what it was asked.
#[derive(Clone)]
pub struct Script {
    answer: Answer,
    calls: Arc<Mutex<Vec<Call>>>,
    configuration: u8,
}

impl Script {
    /// An outgoing call that is answered `Ok` takes all its bytes.
    pub fn new(answer: impl FnMut(&Call) -> Result<Vec<u8>, UsbError> + Send + 'static) -> Self {
        Script { answer: Arc::new(Mutex::new(answer)), calls: Arc::default(), configuration: 1 }
    }

    /// Starts unconfigured.
    pub fn unconfigured(mut self) -> Self {
        self.configuration = 0;
        self
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    fn ask(&self, call: Call) -> Result<Vec<u8>, UsbError> {
        let answer = (self.answer.lock().unwrap())(&call);
        self.calls.lock().unwrap().push(call);
        answer
    }
}

impl Handle for Script {
    fn control_out(&mut self, setup: Setup, data: &[u8], _: Duration) -> Result<usize, UsbError> {
        self.ask(Call::Out { setup, data: data.to_vec() }).map(|_| data.len())
    }
    fn control_in(&mut self, setup: Setup, length: u16, _: Duration) -> Result<Vec<u8>, UsbError> {
        self.ask(Call::In { setup, length })
    }
    fn bulk_out(&mut self, endpoint: u8, data: &[u8], _: Duration) -> Result<usize, UsbError> {
        self.ask(Call::BulkOut { endpoint, length: data.len() }).map(|_| data.len())
    }
    fn bulk_in(&mut self, endpoint: u8, _: usize, _: Duration) -> Result<Vec<u8>, UsbError> {
        self.ask(Call::BulkIn { endpoint })
    }
    fn string(&mut self, index: u8, _: Duration) -> Result<String, UsbError> {
        self.ask(Call::Text(index)).map(|b| String::from_utf8(b).unwrap())
    }
    fn configuration(&mut self) -> Result<u8, UsbError> {
        Ok(self.configuration)
    }
    fn set_configuration(&mut self, value: u8) -> Result<(), UsbError> {
        self.configuration = value;
        self.ask(Call::Configure(value)).map(drop)
    }
    fn claim(&mut self, interface: u8, alternate: u8) -> Result<(), UsbError> {
        self.ask(Call::Claim(interface, alternate)).map(drop)
    }
    fn reset(&mut self) -> Result<(), UsbError> {
        self.ask(Call::Reset).map(drop)
    }
}

#[derive(Default)]
pub struct ScriptedBus {
    devices: Mutex<BTreeMap<Address, (UsbDevice, Script)>>,
    listeners: Mutex<Vec<Sender<BusEvent>>>,
}

impl ScriptedBus {
    pub fn plug(&self, device: UsbDevice, script: Script) {
        self.devices.lock().unwrap().insert(device.address, (device.clone(), script));
        self.tell(BusEvent::Arrived(device));
    }

    pub fn unplug(&self, number: u8) {
        let address = Address { bus: 1, device: number };
        self.devices.lock().unwrap().remove(&address);
        self.tell(BusEvent::Left(address));
    }

    fn tell(&self, event: BusEvent) {
        self.listeners.lock().unwrap().retain(|l| l.send(event.clone()).is_ok());
    }
}

impl Bus for ScriptedBus {
    fn name(&self) -> &str {
        "scripted bus"
    }
    fn devices(&self) -> Result<Vec<UsbDevice>, UsbError> {
        Ok(self.devices.lock().unwrap().values().map(|(d, _)| d.clone()).collect())
    }
    fn watch(&self) -> Result<Receiver<BusEvent>, UsbError> {
        let (sender, receiver) = channel();
        self.listeners.lock().unwrap().push(sender);
        Ok(receiver)
    }
    fn open(&self, address: Address) -> Result<Box<dyn Handle>, UsbError> {
        let devices = self.devices.lock().unwrap();
        let (device, script) = devices.get(&address).ok_or(UsbError::Gone)?;
        if device.no_access { Err(UsbError::Access) } else { Ok(Box::new(script.clone())) }
    }
}

pub fn device(number: u8, port: &str, product: u16, serial: Option<&str>) -> UsbDevice {
    UsbDevice {
        address: Address { bus: 1, device: number },
        port: PortPath::new(port),
        vendor: modes::APPLE,
        product,
        serial: serial.map(Into::into),
        no_access: false,
        is_virtual: true,
    }
}

/// Serial string of an iPhone 13 in recovery.
pub fn recovery_serial(ecid: u64) -> String {
    format!("SDOM:01 CPID:8110 CPRV:11 CPFM:03 SCEP:01 BDID:18 ECID:{ecid:016X} IBFL:3D SRNM:[VRTTEST00001]")
}

/// Answers as every device does: its serial string, and `rest` for everything else.
pub fn with_serial(
    serial: String,
    mut rest: impl FnMut(&Call) -> Result<Vec<u8>, UsbError> + Send + 'static,
) -> Script {
    Script::new(move |call| match call {
        Call::In { setup, .. } if setup.request == 6 => {
            let mut descriptor = vec![0; 18];
            (descriptor[1], descriptor[16]) = (1, 4);
            Ok(descriptor)
        }
        Call::Text(4) => Ok(serial.clone().into_bytes()),
        other => rest(other),
    })
}
