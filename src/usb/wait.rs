//! Waiting for one certain device to leave or to come back.
//!
//! A restore is a chain of departures and returns, and each return is the moment in which a tool can take
//! up the wrong phone. So the wait knows whom it expects: by ECID, and by the USB port for the seconds in
//! which an ECID cannot be read. A device with another ECID on that port ends the wait; the same device in
//! another mode ends it too; on every other port strangers may come and go. The watch must be opened
//! *before* the device is told to leave, or a quick departure is missed. Every wait has a limit, and a bus
//! whose events got lost is listed once a second besides.

use super::bus::{Address, Bus, BusEvent, UsbDevice, UsbError};
use crate::facts::modes;
use crate::fault::{Code, Fault};
use crate::ids::{Ecid, Mode, PortPath, Udid};
use crate::wire::iboot::IbootSerial;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

/// How often the bus is listed besides its events.
const TICK: Duration = Duration::from_secs(1);
/// How long a device may stay unreadable, or closed to us, before that decides.
const GRACE: Duration = Duration::from_secs(3);

/// Who is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    pub ecid: Ecid,
    /// Where it hung when it was last seen.
    pub port: Option<PortPath>,
}

/// What one device on the bus is to somebody who is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The ECID says so.
    Them,
    /// On their port, and no ECID can be read.
    Perhaps,
    /// On their port with another ECID.
    Stranger(Ecid),
    Other,
}

/// The ECID that a device shows on the bus: in the serial string of recovery and DFU, or inside a UDID of
/// the new form. The ECID of Port DFU is the one of its port controller, so it does not count.
pub fn ecid_of(device: &UsbDevice) -> Option<Ecid> {
    let serial = device.serial.as_deref()?;
    match modes::of_product(device.product)? {
        Mode::Normal | Mode::Restore => serial.parse::<Udid>().ok()?.ecid(),
        Mode::PortDfu => None,
        _ => IbootSerial::read(serial).0.device_ecid(),
    }
}

impl Who {
    pub fn judge(&self, device: &UsbDevice) -> Verdict {
        let same_port = self.port.as_ref() == Some(&device.port);
        match ecid_of(device) {
            Some(ecid) if ecid == self.ecid => Verdict::Them,
            Some(ecid) if same_port => Verdict::Stranger(ecid),
            None if same_port => Verdict::Perhaps,
            _ => Verdict::Other,
        }
    }
}

/// A view of the bus that lasts over several waits.
pub struct Watch {
    bus: Arc<dyn Bus>,
    events: UnboundedReceiver<BusEvent>,
    present: BTreeMap<Address, UsbDevice>,
}

impl Watch {
    /// # Errors
    /// What watching and listing give.
    pub async fn open(bus: Arc<dyn Bus>) -> Result<Watch, UsbError> {
        let events = bus.watch()?;
        let (sender, receiver) = unbounded_channel();
        std::thread::Builder::new()
            .name("usb-wait".into())
            .spawn(move || {
                loop {
                    let heard = match events.recv_timeout(TICK) {
                        Ok(event) => sender.send(event).is_ok(),
                        Err(RecvTimeoutError::Timeout) => !sender.is_closed(),
                        Err(RecvTimeoutError::Disconnected) => false,
                    };
                    if !heard {
                        return;
                    }
                }
            })
            .map_err(|e| UsbError::Unavailable(e.to_string()))?;
        let mut watch = Watch { bus, events: receiver, present: BTreeMap::new() };
        watch.list().await?;
        Ok(watch)
    }

    /// All of Apple's devices as last seen.
    pub fn present(&self) -> impl Iterator<Item = &UsbDevice> {
        self.present.values()
    }

    async fn list(&mut self) -> Result<(), UsbError> {
        let bus = Arc::clone(&self.bus);
        let listed = tokio::task::spawn_blocking(move || bus.devices()).await;
        let devices = listed.map_err(|e| UsbError::Other(e.to_string()))??;
        self.present = devices.into_iter().map(|d| (d.address, d)).collect();
        Ok(())
    }

    fn apply(&mut self, event: BusEvent) {
        match event {
            BusEvent::Arrived(device) => drop(self.present.insert(device.address, device)),
            BusEvent::Left(address) => drop(self.present.remove(&address)),
        }
    }

    /// Until the bus changed or a second passed; false after the deadline.
    async fn change(&mut self, deadline: Instant) -> bool {
        let now = Instant::now();
        if now >= deadline {
            return false;
        }
        match tokio::time::timeout_at(deadline.min(now + TICK), self.events.recv()).await {
            Ok(Some(event)) => {
                self.apply(event);
                while let Ok(event) = self.events.try_recv() {
                    self.apply(event);
                }
            }
            ended => {
                if matches!(ended, Ok(None)) {
                    tokio::time::sleep_until(deadline.min(now + TICK)).await;
                }
                if let Err(err) = self.list().await {
                    tracing::debug!(%err, "listing the bus while waiting");
                }
            }
        }
        true
    }

    /// Waits until nothing is at `address` any more.
    ///
    /// # Errors
    /// `usb-timeout` when it is still there after `limit`.
    pub async fn left(&mut self, address: Address, limit: Duration) -> Result<(), Fault> {
        let deadline = Instant::now() + limit;
        loop {
            if !self.present.contains_key(&address) {
                return Ok(());
            }
            if !self.change(deadline).await {
                return Err(Fault::new(
                    Code::UsbTimeout,
                    format!("the device at {address} did not leave within {} s", limit.as_secs_f32()),
                ));
            }
        }
    }

    /// Waits until `who` is there in one of `modes`, and may be opened. With its ECID unreadable it is
    /// taken by its port; whoever opens it must compare ([`super::iboot::Iboot::open`] does).
    ///
    /// # Errors
    /// `stranger-device`, `came-back-in-another-mode`, `usb-no-access`, `never-came-back` after `limit`.
    pub async fn comes(&mut self, who: &Who, modes: &[Mode], limit: Duration) -> Result<UsbDevice, Fault> {
        let deadline = Instant::now() + limit;
        let mut unclear_since: Option<Instant> = None;
        loop {
            let mut unclear = false;
            let expired = Instant::now() >= deadline;
            let patient = !expired && unclear_since.is_none_or(|since| since.elapsed() < GRACE);
            for device in self.present.values() {
                let mode = modes::of_product(device.product).unwrap_or(Mode::Unknown);
                let verdict = who.judge(device);
                match verdict {
                    Verdict::Other => continue,
                    Verdict::Stranger(ecid) => {
                        let detail = format!("{ecid} is on {} where {} was expected", device.port, who.ecid);
                        return Err(Fault::new(Code::StrangerDevice, detail).on(who.ecid));
                    }
                    Verdict::Them | Verdict::Perhaps if !modes.contains(&mode) => {
                        let wanted: Vec<&str> = modes.iter().map(|m| m.as_str()).collect();
                        let detail = format!("it is in {mode} mode, not in {}", wanted.join(" or "));
                        return Err(Fault::new(Code::CameBackElsewhere, detail).on(who.ecid));
                    }
                    Verdict::Them if !device.no_access => return Ok(device.clone()),
                    Verdict::Perhaps if !device.no_access && !patient => return Ok(device.clone()),
                    Verdict::Them | Verdict::Perhaps => {
                        unclear = true;
                        if device.no_access && !patient {
                            let detail = format!("{mode} device on {}: {}", device.port, UsbError::Access);
                            return Err(Fault::new(Code::UsbNoAccess, detail).on(who.ecid));
                        }
                    }
                }
            }
            unclear_since = if unclear { unclear_since.or_else(|| Some(Instant::now())) } else { None };
            let until = unclear_since.map_or(deadline, |since| deadline.min(since + GRACE));
            if expired {
                let wanted: Vec<&str> = modes.iter().map(|m| m.as_str()).collect();
                let detail = format!("not seen in {} within {} s", wanted.join(" or "), limit.as_secs_f32());
                return Err(Fault::new(Code::NeverCameBack, detail).on(who.ecid));
            }
            self.change(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{Script, ScriptedBus, device, recovery_serial};
    use super::*;

    const SHORT: Duration = Duration::from_millis(200);
    const LONG: Duration = Duration::from_secs(20);

    fn mute() -> Script {
        Script::new(|_| Ok(vec![]))
    }

    fn ours(number: u8, port: &str) -> UsbDevice {
        device(number, port, modes::PID_RECOVERY, Some(&recovery_serial(0x11)))
    }

    async fn watch() -> (Arc<ScriptedBus>, Watch, Who) {
        let bus = Arc::new(ScriptedBus::default());
        bus.plug(ours(2, "1-1"), mute());
        let watch = Watch::open(bus.clone()).await.unwrap();
        (bus, watch, Who { ecid: Ecid(0x11), port: Some(PortPath::new("1-1")) })
    }

    #[tokio::test]
    async fn it_leaves_and_comes_back_elsewhere_on_the_bus() {
        let (bus, mut watch, who) = watch().await;
        let address = ours(2, "1-1").address;
        assert_eq!(watch.left(address, SHORT).await.unwrap_err().code, Code::UsbTimeout);
        bus.unplug(2);
        watch.left(address, LONG).await.unwrap();
        bus.plug(device(9, "1-4", modes::PID_RECOVERY, Some(&recovery_serial(0x22))), mute());
        let never = watch.comes(&who, &[Mode::Recovery], SHORT).await.unwrap_err();
        assert_eq!(never.code, Code::NeverCameBack);
        bus.plug(ours(5, "1-2"), mute());
        assert_eq!(watch.comes(&who, &[Mode::Recovery], LONG).await.unwrap().address.device, 5);
    }

    #[tokio::test]
    async fn a_stranger_on_its_port_and_another_mode_end_the_wait() {
        let (bus, mut watch, who) = watch().await;
        bus.unplug(2);
        watch.left(ours(2, "1-1").address, LONG).await.unwrap();
        bus.plug(device(3, "1-1", modes::PID_RECOVERY, Some(&recovery_serial(0x22))), mute());
        let fault = watch.comes(&who, &[Mode::Recovery], LONG).await.unwrap_err();
        assert_eq!((fault.code, fault.device), (Code::StrangerDevice, Some(Ecid(0x11))));
        bus.unplug(3);
        bus.plug(device(4, "1-1", modes::PID_IPHONE, Some("00008110-0000000000000011")), mute());
        watch.left(device(3, "", 0, None).address, LONG).await.unwrap();
        let fault = watch.comes(&who, &[Mode::Recovery], LONG).await.unwrap_err();
        assert_eq!(fault.code, Code::CameBackElsewhere);
        assert!(fault.detail.contains("normal"));
    }

    #[tokio::test]
    async fn unreadable_it_is_taken_by_its_port_after_a_moment_only() {
        let (bus, mut watch, who) = watch().await;
        bus.unplug(2);
        bus.plug(device(3, "1-1", modes::PID_DFU, None), mute());
        watch.left(ours(2, "1-1").address, LONG).await.unwrap();
        let before = Instant::now();
        assert_eq!(watch.comes(&who, &[Mode::Dfu], LONG).await.unwrap().address.device, 3);
        assert!(before.elapsed() >= GRACE);
    }

    #[tokio::test]
    async fn access_may_come_late_but_not_never() {
        let (bus, mut watch, who) = watch().await;
        bus.unplug(2);
        let mut closed = ours(3, "1-1");
        closed.no_access = true;
        bus.plug(closed.clone(), mute());
        watch.left(ours(2, "1-1").address, LONG).await.unwrap();
        let late = bus.clone();
        let opened = tokio::spawn(async move {
            tokio::time::sleep(SHORT).await;
            late.plug(ours(3, "1-1"), mute());
        });
        watch.comes(&who, &[Mode::Recovery], LONG).await.unwrap();
        opened.await.unwrap();
        bus.plug(closed, mute());
        watch.list().await.unwrap();
        let fault = watch.comes(&who, &[Mode::Recovery], LONG).await.unwrap_err();
        assert_eq!(fault.code, Code::UsbNoAccess);
    }

    #[test]
    fn port_dfu_shows_the_ecid_of_its_controller_so_it_does_not_count() {
        let serial = "SDOM:01 CPID:0022 BDID:000000000C814000 ECID:0000000000000011 CPFM:03 SCEP:00 CPRV:1A3 PREV:2F";
        assert_eq!(ecid_of(&device(1, "1-1", modes::PID_PORT_DFU, Some(serial))), None);
        let udid = device(1, "1-1", modes::PID_IPHONE, Some("00008110001A2B3C4D5E6F01"));
        assert_eq!(ecid_of(&udid), Some(Ecid(0x001A_2B3C_4D5E_6F01)));
    }
}
