//! iBoot and SecureROM, as seen by a host that has one of them open.
//!
//! The upper half is plain sequential protocol over `&mut dyn Handle`; [`Iboot`] runs it on a [`Port`].
//! Decisions: the ECID is read *from the opened device* and compared before anything else is sent (law 1),
//! since between listing and opening a cable can be swapped; an upload whose length is a multiple of the
//! endpoint's packet size ends with an empty packet, or newer iBoots wait for ever; a command after which the
//! device leaves is not judged by its own answer, which is often a stall or nothing, but by the departure.

use super::bus::{Bus, Handle, Setup, UsbDevice, UsbError};
use super::dfu;
use super::port::{Desk, Port};
use crate::facts::modes;
use crate::fault::{Code, Fault};
use crate::ids::{Ecid, Mode};
use crate::wire::iboot::{self as wire, IbootSerial, Nonces};
use std::io::{Cursor, Read};
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);
/// For one step with several requests in it.
const STEP: Duration = Duration::from_secs(45);
/// Longest time without a byte taken.
const SILENCE: Duration = Duration::from_secs(30);
/// udev gives permissions a moment after the device appears, and another program may still look at it.
const OPEN_TRIES: u32 = 12;
const OPEN_PAUSE: Duration = Duration::from_millis(250);

/// Sends one command.
pub fn command(handle: &mut dyn Handle, text: &str) -> Result<(), UsbError> {
    let bytes = wire::encode_command(text).map_err(|err| UsbError::Other(err.to_string()))?;
    handle.control_out(Setup::new(wire::COMMAND_TYPE, wire::request_of(text), 0, 0), &bytes, LIMIT).map(drop)
}

/// A variable of iBoot; none when it is unset.
pub fn getenv(handle: &mut dyn Handle, name: &str) -> Result<Option<String>, UsbError> {
    command(handle, &format!("getenv {name}"))?;
    match handle.control_in(Setup::new(wire::VALUE_TYPE, 0, 0, 0), wire::VALUE_LENGTH, LIMIT) {
        Ok(bytes) => {
            let text = bytes.split(|b| *b == 0).next().unwrap_or_default();
            Ok((!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned()))
        }
        Err(UsbError::Stall) => Ok(None),
        Err(err) => Err(err),
    }
}

/// Tells iBoot that an upload is complete.
pub fn finish_transfer(handle: &mut dyn Handle) -> Result<(), UsbError> {
    handle.control_out(Setup::new(wire::FINISH_TYPE, wire::FINISH, 0, 0), &[], LIMIT).map(drop)
}

/// Sends `length` bytes to the load address. `desk` counts them.
pub fn upload(handle: &mut dyn Handle, image: &mut dyn Read, length: u64, desk: &Desk) -> Result<(), Fault> {
    if length == 0 {
        return Err(Fault::new(Code::Internal, "nothing to upload"));
    }
    handle.control_out(Setup::new(wire::UPLOAD_TYPE, wire::UPLOAD, 0, 0), &[], LIMIT)?;
    let mut piece = vec![0; wire::UPLOAD_PIECE];
    let mut sent = 0;
    while sent < length {
        if desk.stopped() {
            return Err(Fault::cancelled());
        }
        let n = usize::try_from(length - sent).unwrap_or(usize::MAX).min(piece.len());
        let mut rest = piece.get_mut(..n).unwrap_or_default();
        image.read_exact(rest).map_err(|e| Fault::disk(&e))?;
        while !rest.is_empty() {
            let taken = handle.bulk_out(wire::UPLOAD_ENDPOINT, rest, LIMIT)?.min(rest.len());
            if taken == 0 {
                return Err(UsbError::Timeout.into());
            }
            rest = rest.get_mut(taken..).unwrap_or_default();
            sent += taken as u64;
            desk.done(sent);
        }
    }
    if wire::needs_zero_packet(length) {
        handle.bulk_out(wire::UPLOAD_ENDPOINT, &[], LIMIT)?;
    }
    Ok(())
}

/// The serial string, read from the opened device itself.
pub fn serial(handle: &mut dyn Handle) -> Result<String, UsbError> {
    const DEVICE_DESCRIPTOR: u16 = 0x0100;
    const I_SERIAL: usize = 16;
    let descriptor = handle.control_in(Setup::new(0x80, 6, DEVICE_DESCRIPTOR, 0), 18, LIMIT)?;
    match descriptor.get(I_SERIAL) {
        Some(0) | None => Err(UsbError::Other("the device has no serial string".into())),
        Some(index) => handle.string(*index, LIMIT),
    }
}

/// Makes a freshly opened device ready for requests.
fn prepare(handle: &mut dyn Handle, product: u16) -> Result<(), UsbError> {
    if handle.configuration()? != wire::CONFIGURATION {
        handle.set_configuration(wire::CONFIGURATION)?;
    }
    handle.claim(0, 0)?;
    if (modes::PID_RECOVERY + 1..=0x1283).contains(&product) {
        handle.claim(1, 1)?;
    }
    Ok(())
}

/// One device in recovery or DFU, opened and known to be the right one.
pub struct Iboot {
    port: Port,
    mode: Mode,
    serial: IbootSerial,
}

impl Iboot {
    /// Opens `device` and makes sure that it is `ecid`.
    ///
    /// # Errors
    /// `usb-no-access` and `usb-busy` after three seconds of tries; `stranger-device` when it answers with
    /// another ECID or with none; `wrong-mode` for a device that is neither in recovery nor in DFU.
    pub async fn open(bus: &Arc<dyn Bus>, device: &UsbDevice, ecid: Ecid) -> Result<Iboot, Fault> {
        let mode = modes::of_product(device.product).unwrap_or(Mode::Unknown);
        if !matches!(mode, Mode::Recovery | Mode::Dfu) {
            return Err(Fault::new(Code::WrongMode, format!("the device is in {mode} mode")).on(ecid));
        }
        let product = device.product;
        let mut tries = 0;
        let (port, text) = loop {
            tries += 1;
            let opened = async {
                let port = Port::open(Arc::clone(bus), device.clone()).await?;
                let job = move |handle: &mut dyn Handle| {
                    let text = serial(handle)?;
                    prepare(handle, product).map(|()| text)
                };
                let text = port.run::<_, UsbError, _>(STEP, job).await?;
                Ok((port, text))
            };
            match opened.await {
                Ok(opened) => break opened,
                Err(UsbError::Access | UsbError::Busy) if tries < OPEN_TRIES => tokio::time::sleep(OPEN_PAUSE).await,
                Err(err) => return Err(Fault::from(err).on(ecid)),
            }
        };
        let serial = text.parse::<IbootSerial>().map_err(|err| {
            Fault::new(Code::StrangerDevice, format!("the device on {} does not say who it is: {err}", device.port))
                .on(ecid)
        })?;
        if serial.ecid != Some(ecid) {
            let who = serial.ecid.map_or_else(|| "a device without ECID".to_owned(), |e| e.to_string());
            return Err(Fault::new(Code::StrangerDevice, format!("{} holds {who}", device.port)).on(ecid));
        }
        Ok(Iboot { port, mode, serial })
    }

    pub fn device(&self) -> &UsbDevice {
        self.port.device()
    }

    /// Recovery or DFU.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    pub fn serial(&self) -> &IbootSerial {
        &self.serial
    }

    /// Sends a command after which the device stays.
    pub async fn command(&self, text: impl Into<String>) -> Result<(), Fault> {
        let text = text.into();
        let shown = text.clone();
        tracing::debug!(command = %text, "iBoot");
        self.port
            .run(STEP, move |handle| command(handle, &text).map_err(Fault::from))
            .await
            .map_err(|f: Fault| with_command(f, &shown))
    }

    /// Sends a command after which the device leaves (`go`, `bootx`, `reboot`): that it did is seen by its
    /// departure, so a stall, silence or a lost link is no error here.
    pub async fn leave(&self, text: &'static str) -> Result<(), Fault> {
        tracing::debug!(command = text, "iBoot");
        let result = self.port.run(STEP, move |handle| command(handle, text)).await;
        match result {
            Ok(()) | Err(UsbError::Stall | UsbError::Gone | UsbError::Timeout | UsbError::Other(_)) => Ok(()),
            Err(err) => Err(with_command(err.into(), text)),
        }
    }

    pub async fn getenv(&self, name: impl Into<String>) -> Result<Option<String>, Fault> {
        let name = name.into();
        self.port.run(STEP, move |handle| getenv(handle, &name).map_err(Fault::from)).await
    }

    pub async fn setenv(&self, name: &str, value: &str) -> Result<(), Fault> {
        self.command(format!("setenv {name} {value}")).await
    }

    /// Writes the variables to NVRAM.
    pub async fn saveenv(&self) -> Result<(), Fault> {
        self.command("saveenv").await
    }

    /// After the last upload before the device leaves: its answer does not count.
    pub async fn finish_transfer(&self) -> Result<(), Fault> {
        match self.port.run(STEP, finish_transfer).await {
            Ok(()) | Err(UsbError::Stall | UsbError::Gone | UsbError::Timeout | UsbError::Other(_)) => Ok(()),
            Err(err) => Err(err.into()),
        }
    }

    pub async fn set_configuration(&self, value: u8) -> Result<(), Fault> {
        self.port
            .run(STEP, move |handle| match handle.configuration() {
                Ok(now) if now == value => Ok(()),
                _ => handle.set_configuration(value).map_err(Fault::from),
            })
            .await
    }

    /// AP and SEP nonce of this boot stage; none where the stage has none.
    ///
    /// # Errors
    /// `nonce-unread` when the string is there but is not what devices send.
    pub async fn nonces(&self) -> Result<Option<Nonces>, Fault> {
        let text = self.port.run(STEP, |handle| handle.string(wire::NONCE_STRING, LIMIT)).await;
        match text {
            Ok(text) if text.trim().is_empty() => Ok(None),
            Ok(text) => text
                .parse::<Nonces>()
                .map(Some)
                .map_err(|err| Fault::new(Code::NonceUnread, err.to_string()).on(self.ecid_or_zero())),
            Err(UsbError::Stall) => Ok(None),
            Err(UsbError::Other(why)) => Err(Fault::new(Code::NonceUnread, why).on(self.ecid_or_zero())),
            Err(err) => Err(err.into()),
        }
    }

    fn ecid_or_zero(&self) -> Ecid {
        self.serial.ecid.unwrap_or(Ecid(0))
    }

    /// Uploads to iBoot's load address (recovery), or through DFU, as the mode wants it.
    /// `progress` hears bytes.
    pub async fn upload(&self, image: Vec<u8>, progress: &mut (dyn FnMut(u64) + Send)) -> Result<(), Fault> {
        match self.mode {
            Mode::Dfu => {
                let job = move |handle: &mut dyn Handle, desk: &Desk| dfu::upload(handle, &image, desk);
                self.port.run_counting(SILENCE, job, progress).await
            }
            _ => {
                let length = image.len() as u64;
                self.upload_from(Cursor::new(image), length, progress).await
            }
        }
    }

    /// Streams `length` bytes to iBoot's load address (recovery only).
    pub async fn upload_from(
        &self,
        mut image: impl Read + Send + 'static,
        length: u64,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), Fault> {
        if self.mode != Mode::Recovery {
            return Err(Fault::new(Code::WrongMode, "streams go to recovery only").on(self.ecid_or_zero()));
        }
        let job = move |handle: &mut dyn Handle, desk: &Desk| upload(handle, &mut image, length, desk);
        self.port.run_counting(SILENCE, job, progress).await
    }
}

fn with_command(mut fault: Fault, command: &str) -> Fault {
    let name = command.split_whitespace().next().unwrap_or_default();
    fault.detail = format!("iBoot command {name}: {}", fault.detail);
    fault
}
