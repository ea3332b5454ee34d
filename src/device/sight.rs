//! From what USB and usbmuxd show to devices.
//!
//! Both sides are asked at the same time and joined: a phone in normal mode is on both, one in recovery or
//! DFU on USB only, one on Wi-Fi on usbmuxd only. A silent device costs its own entry some detail and
//! nobody else anything; usbmuxd being away is a remark, not a failure, while USB still shows devices.

use super::patience::Silent;
use super::state::{Access, Device, Iboot, Identity, Normal, Restoring, State, Trust};
use crate::facts::modes;
use crate::fault::Fault;
use crate::ids::{Bdid, Cpid, Ecid, Mode, ProductType};
use crate::mux::{Lockdown, LockdownError, Mux, MuxDevice, MuxError};
use crate::usb::{Bus, UsbDevice};
use crate::wire::iboot::IbootSerial;
use crate::wire::lockdown::Request;
use crate::wire::restored::ToDevice;
use plist::{Dictionary, Value};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// What a look needs: a bus and usbmuxd.
#[derive(Clone)]
pub struct Eyes {
    pub bus: Arc<dyn Bus>,
    pub mux: Mux,
    /// Everything seen is from the bench.
    pub is_virtual: bool,
    silent: Silent,
}

/// One look: the devices, in the order of their ports, and what could not be asked.
#[derive(Debug, Default)]
pub struct Look {
    pub devices: Vec<Device>,
    pub mux: Option<Fault>,
    pub usb: Option<Fault>,
}

/// Looks once at everything.
pub async fn look(eyes: &Eyes) -> Look {
    let bus = Arc::clone(&eyes.bus);
    let usb = tokio::task::spawn_blocking(move || bus.devices());
    let (usb, muxed) = tokio::join!(usb, eyes.mux.devices());
    let mut out = Look::default();
    let usb = match usb {
        Ok(Ok(devices)) => devices,
        Ok(Err(err)) => {
            out.usb = Some(err.into());
            Vec::new()
        }
        Err(err) => {
            out.usb = Some(Fault::new(crate::fault::Code::Internal, err.to_string()));
            Vec::new()
        }
    };
    let muxed = match muxed {
        Ok(devices) => devices,
        Err(err) => {
            out.mux = Some(err.into());
            Vec::new()
        }
    };
    let asked = futures_util::future::join_all(muxed.iter().map(|device| ask(eyes, device))).await;
    let twins = twins(&usb, &muxed);
    let mut devices: Vec<Device> = Vec::new();
    for (mut state, twin) in asked.into_iter().zip(&twins) {
        if let Some(seen) = twin.and_then(|at| usb.get(at)) {
            identity_of(&mut state).port = Some(seen.port.clone());
        }
        devices.push(Device { state, access: Access::Ok, is_virtual: eyes.is_virtual });
    }
    for (at, seen) in usb.iter().enumerate() {
        if twins.contains(&Some(at)) {
            continue;
        }
        if let Some(state) = from_usb(seen) {
            let access = if seen.no_access { Access::NoPermission } else { Access::Ok };
            devices.push(Device { state, access, is_virtual: eyes.is_virtual || seen.is_virtual });
        }
    }
    devices.sort_by(|a, b| a.who().port.cmp(&b.who().port).then_with(|| a.who().ecid.cmp(&b.who().ecid)));
    out.devices = devices;
    out
}

fn identity_of(state: &mut State) -> &mut Identity {
    match state {
        State::Normal(n) => &mut n.who,
        State::Recovery(i) | State::Dfu(i) => &mut i.who,
        State::Restore(r) => &mut r.who,
        State::Other(_, who) => who,
    }
}

/// For each device on usbmuxd the place of the same one on USB: by its UDID, by bus and device number, and
/// where the restore ramdisk shows a stand-in for a UDID, by that if it stands there only once on either side.
pub(super) fn twins(usb: &[UsbDevice], muxed: &[MuxDevice]) -> Vec<Option<usize>> {
    let normal = |at: usize| usb.get(at).filter(|u| modes::of_product(u.product) == Some(Mode::Normal));
    let find = |fits: &dyn Fn(&UsbDevice) -> bool| (0..usb.len()).find(|at| normal(*at).is_some_and(fits));
    let serial_is =
        |usb: &UsbDevice, wanted: &str| usb.serial.as_deref().is_some_and(|s| s.eq_ignore_ascii_case(wanted));
    let certain = muxed.iter().map(|device| {
        let udid = device.udid();
        let by_name = |u: &UsbDevice| udid.is_some() && u.serial.as_deref().and_then(|s| s.parse().ok()) == udid;
        let by_place = |u: &UsbDevice| device.location == u32::from(u.address.bus) << 16 | u32::from(u.address.device);
        find(&by_name).or_else(|| find(&by_place)).filter(|_| device.usb)
    });
    let mut found: Vec<Option<usize>> = certain.collect();
    for (at, device) in muxed.iter().enumerate() {
        let once = |count: usize| count == 1;
        let stands_in = device.usb && device.udid().is_none() && !device.serial.is_empty();
        if found.get(at).is_some_and(Option::is_none)
            && stands_in
            && once(muxed.iter().filter(|m| m.serial.eq_ignore_ascii_case(&device.serial)).count())
            && once(usb.iter().filter(|u| serial_is(u, &device.serial)).count())
        {
            let twin = find(&|u| serial_is(u, &device.serial)).filter(|twin| !found.contains(&Some(*twin)));
            found[at] = twin;
        }
    }
    found
}

/// A device that only USB shows.
pub(super) fn from_usb(seen: &UsbDevice) -> Option<State> {
    let mode = modes::of_product(seen.product)?;
    let mut who = Identity { port: Some(seen.port.clone()), ..Identity::default() };
    let serial = seen.serial.as_deref().unwrap_or_default();
    if mode == Mode::Normal {
        who.udid = serial.parse().ok();
        who.ecid = who.udid.as_ref().and_then(crate::ids::Udid::ecid);
        who.cpid = who.udid.as_ref().and_then(crate::ids::Udid::cpid);
        return Some(State::Other(Mode::Normal, who));
    }
    let (parsed, flaws) = IbootSerial::read(serial);
    if !flaws.is_empty() && !serial.is_empty() {
        tracing::info!(port = %seen.port, ?flaws, "serial string");
    }
    let rom = parsed.is_rom();
    who.learn(&iboot_identity(&parsed));
    if mode == Mode::Wtf {
        // Only the first chip has this mode, and it does not always say its name.
        who.cpid = Some(parsed.chip());
    }
    let iboot = Iboot { who: who.clone(), address: seen.address, rom };
    Some(match mode {
        Mode::Recovery => State::Recovery(iboot),
        Mode::Dfu => State::Dfu(iboot),
        other => State::Other(other, who),
    })
}

/// Who a recovery or DFU serial string says it is; in Port DFU the phone behind the controller.
pub(super) fn iboot_identity(serial: &IbootSerial) -> Identity {
    let (cpid, bdid) = serial.application_processor();
    let mut who = Identity {
        ecid: serial.device_ecid(),
        cpid,
        bdid,
        serial: serial.srnm.clone().filter(|s| !s.is_empty() && s != "N/A"),
        ..Identity::default()
    };
    if let Some(model) = who.model() {
        who.product = Some(model.product.clone());
        who.board = Some(model.board.to_owned());
    }
    who
}

async fn ask(eyes: &Eyes, device: &MuxDevice) -> State {
    let mut who = Identity { udid: device.udid(), ..Identity::default() };
    who.ecid = who.udid.as_ref().and_then(crate::ids::Udid::ecid);
    let silent = Normal {
        who: who.clone(),
        mux: device.clone(),
        trust: Trust::Untrusted,
        locked: None,
        version: None,
        build: None,
    };
    let patience = eyes.silent.patience(device.id, Instant::now());
    let told = tokio::time::timeout(patience, question(&eyes.mux, device, who)).await;
    eyes.silent.note(device.id, Instant::now(), told.is_ok());
    match told {
        Ok(Ok(state)) => state,
        Ok(Err(err)) => {
            tracing::info!(device = device.serial, %err, "lockdown did not tell");
            State::Normal(silent)
        }
        Err(_) => State::Normal(silent),
    }
}

async fn question(mux: &Mux, device: &MuxDevice, mut who: Identity) -> Result<State, LockdownError> {
    let mut lockdown = Lockdown::open(mux, device.id).await?;
    let mut query = lockdown.ask(&Request::QueryType).await?;
    let text = |d: &Dictionary, key: &str| d.get(key).and_then(Value::as_string).map(str::to_owned);
    if text(&query, "Type").as_deref() == Some("com.apple.mobile.restored") {
        who.udid = None;
        who.board = text(&query, "HardwareModel").map(|b| b.to_ascii_lowercase());
        who.serial = text(&query, "SerialNumber");
        query = hardware_info(&mut lockdown).await?;
        who.learn(&chip_identity(&query, "UniqueChipID", "ChipID", "BoardID"));
        fill_from_model(&mut who);
        return Ok(State::Restore(Restoring { who, mux: device.clone() }));
    }
    let open = lockdown.all(None).await?;
    let mut normal =
        Normal { who, mux: device.clone(), trust: Trust::Untrusted, locked: None, version: None, build: None };
    read_values(&mut normal, &open);
    let record = match &normal.who.udid {
        Some(udid) => match mux.pair_record(udid).await {
            Err(MuxError::Record(_)) => {
                normal.trust = Trust::Stale;
                None
            }
            told => told.unwrap_or_default(),
        },
        None => None,
    };
    if let Some(record) = record {
        match lockdown.start_session(&record, device.usb).await {
            Ok(mut session) => {
                normal.trust = Trust::Trusted;
                if let Ok(values) = session.all(None).await {
                    read_values(&mut normal, &values);
                }
            }
            Err(LockdownError::Refused(word)) if word == "PasswordProtected" => normal.trust = Trust::Locked,
            Err(LockdownError::Refused(_) | LockdownError::Tls(_)) => normal.trust = Trust::Stale,
            Err(err) => return Err(err),
        }
    }
    fill_from_model(&mut normal.who);
    Ok(State::Normal(normal))
}

pub(super) async fn hardware_info(lockdown: &mut Lockdown) -> Result<Dictionary, LockdownError> {
    let request = ToDevice::QueryValue { key: "HardwareInfo".to_owned() }.build(crate::mux::LABEL);
    let mut answer = lockdown.exchange(&Value::Dictionary(request)).await?;
    Ok(answer.remove("HardwareInfo").and_then(Value::into_dictionary).unwrap_or_default())
}

fn chip_identity(values: &Dictionary, ecid: &str, cpid: &str, bdid: &str) -> Identity {
    let number = |key: &str| values.get(key).and_then(as_number);
    Identity {
        ecid: number(ecid).filter(|n| *n != 0).map(Ecid),
        cpid: number(cpid).and_then(|n| u32::try_from(n).ok()).map(Cpid),
        bdid: number(bdid).and_then(|n| u32::try_from(n).ok()).map(Bdid),
        ..Identity::default()
    }
}

/// Integers arrive as integers, and now and then as strings of digits.
fn as_number(value: &Value) -> Option<u64> {
    value.as_unsigned_integer().or_else(|| value.as_string()?.parse().ok())
}

fn fill_from_model(who: &mut Identity) {
    if let Some(model) = who.model() {
        who.product.get_or_insert_with(|| model.product.clone());
        who.board.get_or_insert_with(|| model.board.to_owned());
        who.cpid.get_or_insert(model.cpid);
        who.bdid = who.bdid.or(model.bdid);
    }
}

fn read_values(normal: &mut Normal, values: &Dictionary) {
    let text = |key: &str| values.get(key).and_then(Value::as_string).map(str::to_owned);
    let mut told = chip_identity(values, "UniqueChipID", "ChipID", "BoardId");
    told.product = text("ProductType").map(ProductType::new);
    told.board = text("HardwareModel").map(|b| b.to_ascii_lowercase());
    told.name = text("DeviceName");
    told.serial = text("SerialNumber");
    told.udid = text("UniqueDeviceID").and_then(|u| u.parse().ok());
    normal.who.learn(&told);
    normal.version = text("ProductVersion").and_then(|v| v.parse().ok()).or(normal.version.take());
    normal.build = text("BuildVersion").and_then(|v| v.parse().ok()).or(normal.build.take());
    normal.locked = values.get("PasswordProtected").and_then(Value::as_boolean).or(normal.locked);
}

impl Eyes {
    pub fn new(bus: Arc<dyn Bus>, mux: Mux, is_virtual: bool) -> Eyes {
        Eyes { bus, mux, is_virtual, silent: Silent::default() }
    }

    /// A tick for every change on USB or usbmuxd; look again then. Closes never: a poll each second stands
    /// in where events cannot be had.
    pub fn changes(&self) -> mpsc::Receiver<()> {
        let (sender, receiver) = mpsc::channel(1);
        if let Ok(events) = self.bus.watch() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                while events.recv().is_ok() {
                    if sender.try_send(()).is_err() && sender.is_closed() {
                        return;
                    }
                }
            });
        }
        let mux = self.mux.clone();
        tokio::spawn(async move {
            loop {
                if let Ok(mut events) = mux.watch().await {
                    while let Some(_event) = tokio::select! {
                        event = events.recv() => event,
                        () = sender.closed() => return,
                    } {
                        let _ = sender.try_send(());
                    }
                }
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_secs(1)) => { let _ = sender.try_send(()); }
                    () = sender.closed() => return,
                }
            }
        });
        receiver
    }

    /// Waits until `wanted` accepts a device, by events with a poll each second below them.
    /// None: not within `limit`.
    pub async fn wait_for(&self, limit: Duration, mut wanted: impl FnMut(&Device) -> bool) -> Option<Device> {
        let mut changes = self.changes();
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            if let Some(device) = look(self).await.devices.into_iter().find(|d| wanted(d)) {
                return Some(device);
            }
            if tokio::time::Instant::now() >= deadline {
                return None;
            }
            tokio::select! {
                _ = changes.recv() => {}
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
        }
    }

    /// Waits for the device with this ECID in one of `modes`; a stranger is never taken (law 1).
    pub async fn wait_for_ecid(&self, ecid: Ecid, wanted: &[Mode], limit: Duration) -> Option<Device> {
        self.wait_for(limit, |d| d.who().ecid == Some(ecid) && wanted.contains(&d.mode())).await
    }

    /// Waits until the device is in no mode; false when it stayed for all of `limit`.
    pub async fn wait_until_gone(&self, ecid: Ecid, limit: Duration) -> bool {
        let mut changes = self.changes();
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let seen = look(self).await;
            if seen.mux.is_none() && !seen.devices.iter().any(|d| d.who().ecid == Some(ecid)) {
                return true;
            }
            if tokio::time::Instant::now() >= deadline {
                return false;
            }
            tokio::select! {
                _ = changes.recv() => {}
                () = tokio::time::sleep(Duration::from_millis(250)) => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
        }
    }
}
