//! The real bus: libusb, and the only user of `rusb`.
//!
//! Three decisions carry this file.
//!
//! *Hotplug is a wake-up, never the truth.* libusb delivers an arrival twice at times, and depending on how
//! it was built and on udev not at all; so its callback only wakes a thread that lists the bus, compares
//! with what it knew by address, and reports the difference. The same thread lists every 80 ms without
//! any wake-up. One list is one truth, de-duplicated by construction.
//!
//! *A node is opened as seldom as possible.* The serial string is read once per address and remembered; a
//! device that takes an upload is not opened a second time behind its back. One that may not be opened is
//! tried again at each listing, since udev sets permissions a moment after the device appears; its serial
//! comes from the kernel's copy in sysfs, so that it can be named in the advice.
//!
//! *No USB is not an error.* A container or a kernel without USB has an empty bus; [`Bus::unavailable`]
//! says why, for `doctor`.

use super::bus::{Address, Bus, BusEvent, Direction, Handle, Setup, UsbDevice, UsbError};
use crate::facts::modes;
use crate::ids::PortPath;
use crate::wire::usb as wire;
use rusb::{Context, Device, DeviceHandle, HotplugBuilder, UsbContext};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The safety net under hotplug events.
const POLL: Duration = Duration::from_millis(80);
/// How long the event thread sleeps inside libusb before it looks whether it should end.
const EVENT_SLICE: Duration = Duration::from_millis(250);
/// For each of the two requests behind a serial string while listing.
const SERIAL_LIMIT: Duration = Duration::from_millis(500);
/// After an unclear transfer error: how long the device is given to turn out unplugged.
const GONE_GRACE: Duration = Duration::from_millis(300);
const ENGLISH: u16 = 0x0409;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn address_of(device: &Device<Context>) -> Address {
    Address { bus: device.bus_number(), device: device.address() }
}

fn error(err: rusb::Error) -> UsbError {
    match err {
        rusb::Error::Access => UsbError::Access,
        rusb::Error::Busy => UsbError::Busy,
        rusb::Error::NoDevice => UsbError::Gone,
        rusb::Error::Pipe => UsbError::Stall,
        rusb::Error::Timeout => UsbError::Timeout,
        rusb::Error::NotSupported => UsbError::Unavailable(err.to_string()),
        other => UsbError::Other(other.to_string()),
    }
}

/// libusb reads a time-out of zero as "for ever", which no call here may do.
fn bounded(limit: Duration) -> Duration {
    limit.clamp(Duration::from_millis(1), Duration::from_secs(600))
}

/// The bus of this machine.
pub struct LibUsb {
    inner: Arc<Inner>,
}

struct Inner {
    name: &'static str,
    is_virtual: bool,
    context: Mutex<Result<Context, String>>,
    /// Serial strings already read; a key leaves with its device.
    serials: Mutex<HashMap<(Address, u16), String>>,
    hub: Mutex<Hub>,
    stop: AtomicBool,
}

/// What the watching thread knows and whom it tells.
#[derive(Default)]
struct Hub {
    known: BTreeMap<Address, UsbDevice>,
    listeners: Vec<Sender<BusEvent>>,
    wake: Option<Sender<()>>,
}

impl LibUsb {
    /// Starts libusb. A machine without any USB gives an empty bus, not an error.
    pub fn new() -> Result<LibUsb, UsbError> {
        Self::named("libusb", false)
    }

    /// The same inside an emulated bus of the bench: every device is marked virtual.
    pub fn inside_bench() -> Result<LibUsb, UsbError> {
        Self::named("libusb inside the bench", true)
    }

    fn named(name: &'static str, is_virtual: bool) -> Result<LibUsb, UsbError> {
        let context = match Context::new() {
            Err(rusb::Error::NoMem) => return Err(error(rusb::Error::NoMem)),
            other => other.map_err(|e| e.to_string()),
        };
        let inner = Inner {
            name,
            is_virtual,
            context: Mutex::new(context),
            serials: Mutex::default(),
            hub: Mutex::default(),
            stop: AtomicBool::new(false),
        };
        Ok(LibUsb { inner: Arc::new(inner) })
    }

    /// libusb's version, e.g. `1.0.27`.
    pub fn version() -> String {
        let v = rusb::version();
        format!("{}.{}.{}", v.major(), v.minor(), v.micro())
    }
}

impl Drop for LibUsb {
    fn drop(&mut self) {
        self.inner.stop.store(true, Ordering::Relaxed);
        lock(&self.inner.hub).wake = None;
        if let Ok(context) = &*lock(&self.inner.context) {
            context.interrupt_handle_events();
        }
    }
}

impl Bus for LibUsb {
    fn name(&self) -> &str {
        self.inner.name
    }

    fn unavailable(&self) -> Option<String> {
        self.inner.context().err()
    }

    fn devices(&self) -> Result<Vec<UsbDevice>, UsbError> {
        self.inner.scan()
    }

    fn watch(&self) -> Result<Receiver<BusEvent>, UsbError> {
        let mut hub = lock(&self.inner.hub);
        if hub.wake.is_none() {
            let (wake, woken) = channel();
            hub.known = self.inner.scan()?.into_iter().map(|d| (d.address, d)).collect();
            let (inner, for_events) = (Arc::clone(&self.inner), wake.clone());
            std::thread::Builder::new()
                .name("usb-watch".into())
                .spawn(move || inner.watch(&woken, for_events))
                .map_err(|e| UsbError::Unavailable(e.to_string()))?;
            hub.wake = Some(wake);
        }
        let (sender, receiver) = channel();
        hub.listeners.push(sender);
        Ok(receiver)
    }

    fn open(&self, address: Address) -> Result<Box<dyn Handle>, UsbError> {
        let context = self.inner.context().map_err(UsbError::Unavailable)?;
        let list = context.devices().map_err(error)?;
        let device = list.iter().find(|d| address_of(d) == address).ok_or(UsbError::Gone)?;
        let handle = device.open().map_err(error)?;
        Ok(Box::new(Open { handle, address, language: None }))
    }
}

impl Inner {
    /// The context; libusb is tried again each time while it found no USB.
    fn context(&self) -> Result<Context, String> {
        let mut context = lock(&self.context);
        if context.is_err() {
            *context = Context::new().map_err(|e| e.to_string());
        }
        context.clone()
    }

    fn scan(&self) -> Result<Vec<UsbDevice>, UsbError> {
        let Ok(context) = self.context() else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for device in context.devices().map_err(error)?.iter() {
            let Ok(descriptor) = device.device_descriptor() else { continue };
            let product = descriptor.product_id();
            if descriptor.vendor_id() != modes::APPLE || modes::of_product(product).is_none() {
                continue;
            }
            let address = address_of(&device);
            let port = port_of(&device);
            let key = (address, product);
            let known = lock(&self.serials).get(&key).cloned();
            let (serial, no_access) = match known {
                Some(serial) => (Some(serial), false),
                None => match device.open() {
                    Ok(handle) => {
                        let serial = descriptor
                            .serial_number_string_index()
                            .and_then(|index| string(&handle, index, &mut None, SERIAL_LIMIT).ok());
                        if let Some(serial) = &serial {
                            lock(&self.serials).insert(key, serial.clone());
                        }
                        (serial.or_else(|| kernel_serial(&port, address)), false)
                    }
                    Err(rusb::Error::NoDevice) => continue,
                    Err(err) => (kernel_serial(&port, address), err == rusb::Error::Access),
                },
            };
            let vendor = modes::APPLE;
            found.push(UsbDevice { address, port, vendor, product, serial, no_access, is_virtual: self.is_virtual });
        }
        found.sort_by_key(|d| d.address);
        lock(&self.serials).retain(|(address, product), _| {
            found.iter().any(|d: &UsbDevice| d.address == *address && d.product == *product)
        });
        Ok(found)
    }

    /// The watching thread: lists whenever woken, and every 80 ms.
    fn watch(self: Arc<Self>, woken: &Receiver<()>, wake: Sender<()>) {
        let mut wake = Some(wake);
        while !self.stop.load(Ordering::Relaxed) {
            if wake.is_some()
                && let Ok(context) = self.context()
                && let Some(sender) = wake.take()
            {
                let inner = Arc::clone(&self);
                let spawned = std::thread::Builder::new()
                    .name("usb-events".into())
                    .spawn(move || inner.pump_events(&context, sender));
                if let Err(err) = spawned {
                    tracing::warn!(%err, "no USB event thread: polling only");
                }
            }
            match woken.recv_timeout(POLL) {
                Ok(()) => while woken.try_recv().is_ok() {},
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => std::thread::park_timeout(POLL),
            }
            match self.scan() {
                Ok(now) => lock(&self.hub).update(now),
                Err(err) => tracing::debug!(%err, "listing the USB bus"),
            }
        }
    }

    /// Runs libusb's event loop so that hotplug callbacks are called at all.
    fn pump_events(self: Arc<Self>, context: &Context, wake: Sender<()>) {
        if !rusb::has_hotplug() {
            return;
        }
        let callback = Box::new(Wake(wake));
        let registration =
            match HotplugBuilder::new().vendor_id(modes::APPLE).to_owned().register::<Context, _>(context, callback) {
                Ok(registration) => registration,
                Err(err) => {
                    tracing::debug!(%err, "no USB hotplug events: polling only");
                    return;
                }
            };
        while !self.stop.load(Ordering::Relaxed) {
            if let Err(err) = context.handle_events(Some(EVENT_SLICE))
                && err != rusb::Error::Interrupted
            {
                tracing::debug!(%err, "USB event loop");
                std::thread::park_timeout(EVENT_SLICE);
            }
        }
        drop(registration);
    }
}

struct Wake(Sender<()>);

impl rusb::Hotplug<Context> for Wake {
    fn device_arrived(&mut self, _: Device<Context>) {
        let _ = self.0.send(());
    }
    fn device_left(&mut self, _: Device<Context>) {
        let _ = self.0.send(());
    }
}

impl Hub {
    /// Tells the difference between what was known and what is there now.
    fn update(&mut self, now: Vec<UsbDevice>) {
        let now: BTreeMap<Address, UsbDevice> = now.into_iter().map(|d| (d.address, d)).collect();
        let mut events = Vec::new();
        for (address, old) in &self.known {
            if now.get(address).is_none_or(|new| !same(old, new)) {
                events.push(BusEvent::Left(*address));
            }
        }
        for (address, new) in &now {
            if self.known.get(address) != Some(new) {
                events.push(BusEvent::Arrived(new.clone()));
            }
        }
        self.known = now;
        for event in events {
            self.listeners.retain(|l| l.send(event.clone()).is_ok());
        }
    }
}

/// The same enumeration; serial and access may become known later.
fn same(old: &UsbDevice, new: &UsbDevice) -> bool {
    old.port == new.port && old.product == new.product && (old.serial.is_none() || old.serial == new.serial)
}

/// As sysfs names it: `1-1.4`.
fn port_of(device: &Device<Context>) -> PortPath {
    let ports: Vec<String> = device.port_numbers().unwrap_or_default().iter().map(u8::to_string).collect();
    PortPath::new(format!("{}-{}", device.bus_number(), if ports.is_empty() { "0".into() } else { ports.join(".") }))
}

/// The kernel's copy of the serial string, readable by everybody, if it is of this very enumeration.
fn kernel_serial(port: &PortPath, address: Address) -> Option<String> {
    let folder = std::path::Path::new("/sys/bus/usb/devices").join(port.as_str());
    let number = fs_err::read_to_string(folder.join("devnum")).ok()?;
    if number.trim().parse() != Ok(address.device) {
        return None;
    }
    let serial = fs_err::read_to_string(folder.join("serial")).ok()?;
    let serial = serial.trim_end_matches('\n');
    (!serial.is_empty() && serial.len() <= 512).then(|| serial.to_owned())
}

/// String descriptor `index`, in the first language that the device offers.
fn string(
    handle: &DeviceHandle<Context>,
    index: u8,
    language: &mut Option<u16>,
    limit: Duration,
) -> Result<String, UsbError> {
    const STRING: u16 = (wire::STRING as u16) << 8;
    let mut buffer = [0u8; 255];
    let wanted = match *language {
        Some(known) => known,
        None => {
            let n = handle.read_control(0x80, wire::GET_DESCRIPTOR, STRING, 0, &mut buffer, bounded(limit));
            let found = match n {
                Ok(n) => buffer.get(..n).and_then(wire::language).unwrap_or(ENGLISH),
                Err(rusb::Error::Pipe) => ENGLISH,
                Err(err) => return Err(error(err)),
            };
            *language.insert(found)
        }
    };
    let value = STRING | u16::from(index);
    let n =
        handle.read_control(0x80, wire::GET_DESCRIPTOR, value, wanted, &mut buffer, bounded(limit)).map_err(error)?;
    wire::string(buffer.get(..n).unwrap_or_default())
        .ok_or_else(|| UsbError::Other(format!("string descriptor {index} is malformed")))
}

struct Open {
    handle: DeviceHandle<Context>,
    address: Address,
    language: Option<u16>,
}

impl Open {
    /// An unplugged device is reported as an IO error at first: waits a moment to tell the two apart.
    fn error(&self, err: rusb::Error) -> UsbError {
        if !matches!(err, rusb::Error::Io | rusb::Error::Other) {
            return error(err);
        }
        let until = Instant::now() + GONE_GRACE;
        loop {
            let there =
                self.handle.context().devices().is_ok_and(|list| list.iter().any(|d| address_of(&d) == self.address));
            if !there {
                return UsbError::Gone;
            }
            if Instant::now() >= until {
                return error(err);
            }
            std::thread::park_timeout(Duration::from_millis(30));
        }
    }
}

impl Handle for Open {
    fn control_out(&mut self, setup: Setup, data: &[u8], limit: Duration) -> Result<usize, UsbError> {
        if setup.direction != Direction::Out || data.len() > usize::from(u16::MAX) {
            return Err(UsbError::Other("not an outgoing control request".into()));
        }
        self.handle
            .write_control(setup.request_type(), setup.request, setup.value, setup.index, data, bounded(limit))
            .map_err(|e| self.error(e))
    }

    fn control_in(&mut self, setup: Setup, length: u16, limit: Duration) -> Result<Vec<u8>, UsbError> {
        if setup.direction != Direction::In {
            return Err(UsbError::Other("not an incoming control request".into()));
        }
        let mut buffer = vec![0; usize::from(length)];
        let n = self
            .handle
            .read_control(setup.request_type(), setup.request, setup.value, setup.index, &mut buffer, bounded(limit))
            .map_err(|e| self.error(e))?;
        buffer.truncate(n);
        Ok(buffer)
    }

    fn bulk_out(&mut self, endpoint: u8, data: &[u8], limit: Duration) -> Result<usize, UsbError> {
        self.handle.write_bulk(endpoint & 0x7F, data, bounded(limit)).map_err(|e| self.error(e))
    }

    fn bulk_in(&mut self, endpoint: u8, length: usize, limit: Duration) -> Result<Vec<u8>, UsbError> {
        const CAP: usize = 1 << 20;
        let mut buffer = vec![0; length.min(CAP)];
        let n = self.handle.read_bulk(endpoint | 0x80, &mut buffer, bounded(limit)).map_err(|e| self.error(e))?;
        buffer.truncate(n);
        Ok(buffer)
    }

    fn string(&mut self, index: u8, limit: Duration) -> Result<String, UsbError> {
        string(&self.handle, index, &mut self.language, limit)
    }

    fn configuration(&mut self) -> Result<u8, UsbError> {
        self.handle.active_configuration().map_err(|e| self.error(e))
    }

    fn set_configuration(&mut self, value: u8) -> Result<(), UsbError> {
        self.handle.set_active_configuration(value).map_err(|e| self.error(e))
    }

    fn claim(&mut self, interface: u8, alternate: u8) -> Result<(), UsbError> {
        self.handle.claim_interface(interface).map_err(|e| self.error(e))?;
        self.handle.set_alternate_setting(interface, alternate).map_err(|e| self.error(e))
    }

    fn reset(&mut self) -> Result<(), UsbError> {
        match self.handle.reset() {
            // libusb says so when the device re-enumerated as something else, which is what a reset is for.
            Err(rusb::Error::NotFound) => Err(UsbError::Gone),
            other => other.map_err(|e| self.error(e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(number: u8, product: u16, serial: Option<&str>, no_access: bool) -> UsbDevice {
        UsbDevice {
            address: Address { bus: 1, device: number },
            port: PortPath::new("1-1"),
            vendor: modes::APPLE,
            product,
            serial: serial.map(Into::into),
            no_access,
            is_virtual: false,
        }
    }

    #[test]
    fn a_machine_without_usb_has_an_empty_bus() {
        let bus = LibUsb::new().unwrap();
        let watch = bus.watch().unwrap();
        let devices = bus.devices().unwrap();
        assert!(devices.iter().all(|d| d.vendor == modes::APPLE));
        if bus.unavailable().is_some() {
            assert!(devices.is_empty());
            assert!(matches!(bus.open(Address { bus: 1, device: 1 }), Err(UsbError::Unavailable(_))));
        }
        drop(watch);
    }

    #[test]
    fn the_hub_tells_differences_once() {
        let (sender, events) = channel();
        let mut hub = Hub { listeners: vec![sender], ..Hub::default() };
        let locked = device(4, 0x1281, None, true);
        let open = device(4, 0x1281, Some("CPID:8015"), false);
        hub.update(vec![locked.clone()]);
        hub.update(vec![locked.clone()]);
        hub.update(vec![open.clone()]);
        let other = device(4, 0x1227, Some("CPID:8015 SRTG:[x]"), false);
        hub.update(vec![other.clone()]);
        hub.update(vec![]);
        let heard: Vec<_> = events.try_iter().collect();
        let address = other.address;
        assert_eq!(
            heard,
            [
                BusEvent::Arrived(locked),
                BusEvent::Arrived(open),
                BusEvent::Left(address),
                BusEvent::Arrived(other),
                BusEvent::Left(address)
            ]
        );
        drop(events);
        hub.update(vec![device(5, 0x1281, None, false)]);
        assert!(hub.listeners.is_empty());
    }
}
