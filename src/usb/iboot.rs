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
use crate::wire::usb::{self as descriptors, Configuration, DeviceDescriptor};
use std::io::{Cursor, Read};
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);
/// For one step with several requests in it.
const STEP: Duration = Duration::from_secs(45);
/// Longest time without a byte taken.
const SILENCE: Duration = Duration::from_secs(30);
const MAX_DFU_IMAGE: usize = 64 << 20;
/// udev gives permissions a moment after the device appears, and another program may still look at it.
const OPEN_TRIES: u32 = 12;
const ANSWER_TRIES: u32 = 3;
const OPEN_PAUSE: Duration = Duration::from_millis(250);

/// Sends one command.
pub fn command(handle: &mut dyn Handle, text: &str) -> Result<(), UsbError> {
    let bytes = wire::encode_command(text).map_err(|err| UsbError::Other(err.to_string()))?;
    handle.control_out(Setup::new(wire::COMMAND_TYPE, wire::request_of(text), 0, 0), &bytes, LIMIT).map(drop)
}

/// A variable of iBoot; none when it is unset.
pub fn getenv(handle: &mut dyn Handle, name: &str) -> Result<Option<String>, UsbError> {
    match command(handle, &format!("getenv {name}")) {
        // How newer ones say that there is no such variable.
        Err(UsbError::Stall) => return Ok(None),
        other => other?,
    }
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

/// A process that was killed in the middle of an upload leaves iBoot waiting for the rest of it, deaf to commands. An
/// empty packet ends that upload; what came of it is never run. Then the command is given once more: those that come
/// here can be.
fn patiently<T>(
    handle: &mut dyn Handle,
    mut work: impl FnMut(&mut dyn Handle) -> Result<T, UsbError>,
) -> Result<T, UsbError> {
    match work(handle) {
        Err(UsbError::Timeout) if handle.bulk_out(wire::UPLOAD_ENDPOINT, &[], LIMIT).is_ok() => {
            tracing::info!("an upload that was never finished is ended");
            work(handle)
        }
        other => other,
    }
}

fn descriptor(handle: &mut dyn Handle, kind: u8, length: u16) -> Result<Vec<u8>, UsbError> {
    let get = Setup::new(0x80, descriptors::GET_DESCRIPTOR, u16::from(kind) << 8, 0);
    handle.control_in(get, length, LIMIT)
}

/// The serial string, read from the opened device itself.
pub fn serial(handle: &mut dyn Handle) -> Result<String, UsbError> {
    let bytes = descriptor(handle, descriptors::DEVICE, descriptors::DEVICE_LENGTH as u16)?;
    match DeviceDescriptor::parse(&bytes) {
        Err(err) => Err(UsbError::Other(err.to_string())),
        Ok(device) if device.serial == 0 => Err(UsbError::Other("the device has no serial string".into())),
        Ok(device) => handle.string(device.serial, LIMIT),
    }
}

/// Is there a second interface to claim? A device that does not tell is taken at its product id.
fn offers_console(handle: &mut dyn Handle) -> bool {
    let told = descriptor(handle, descriptors::CONFIGURATION, 512).ok();
    let read = told.and_then(|bytes| Configuration::parse(&bytes).ok());
    read.is_none_or(|configuration| configuration.setting(1, 1).is_some())
}

/// Makes a freshly opened device ready for requests.
fn prepare(handle: &mut dyn Handle, product: u16) -> Result<(), UsbError> {
    if handle.configuration()? != wire::CONFIGURATION {
        handle.set_configuration(wire::CONFIGURATION)?;
    }
    handle.claim(0, 0)?;
    if (modes::PID_RECOVERY + 1..=0x1283).contains(&product) && offers_console(handle) {
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
                // One that just appeared may not answer at once.
                Err(UsbError::Timeout | UsbError::Stall | UsbError::Other(_)) if tries < ANSWER_TRIES => {
                    tokio::time::sleep(OPEN_PAUSE).await;
                }
                Err(err) => return Err(Fault::from(err).on(ecid)),
            }
        };
        let (serial, flaws) = IbootSerial::read(&text);
        for flaw in &flaws {
            tracing::warn!(port = %device.port, %flaw, "serial string");
        }
        let told = serial.device_ecid();
        if told != Some(ecid) {
            let who = told.map_or_else(|| "a device without ECID".to_owned(), |e| e.to_string());
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
            .run(STEP, move |handle| patiently(handle, |handle| command(handle, &text)).map_err(Fault::from))
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
        self.port.run(STEP, move |handle| patiently(handle, |handle| getenv(handle, &name)).map_err(Fault::from)).await
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

    /// Uploads as the mode wants it: to iBoot's load address, or through DFU. `progress` hears bytes.
    pub async fn upload(&self, image: Vec<u8>, progress: &mut (dyn FnMut(u64) + Send)) -> Result<(), Fault> {
        let length = image.len() as u64;
        self.upload_from(Cursor::new(image), length, progress).await
    }

    /// As [`Iboot::upload`], streamed. A reader that ends too early is `disk-error`; for DFU, whose images have
    /// a megabyte or two, it is read whole first.
    pub async fn upload_from(
        &self,
        mut image: impl Read + Send + 'static,
        length: u64,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), Fault> {
        if self.mode == Mode::Recovery {
            let job = move |handle: &mut dyn Handle, desk: &Desk| upload(handle, &mut image, length, desk);
            return self.port.run_counting(SILENCE, job, progress).await;
        }
        let too_long = || Fault::new(Code::FirmwareDamaged, format!("{length} bytes are no image for DFU"));
        let size = usize::try_from(length).ok().filter(|n| *n <= MAX_DFU_IMAGE).ok_or_else(too_long)?;
        let job = move |handle: &mut dyn Handle, desk: &Desk| {
            let mut whole = vec![0; size];
            image.read_exact(&mut whole).map_err(|e| Fault::disk(&e))?;
            dfu::upload(handle, &whole, desk)
        };
        self.port.run_counting(SILENCE, job, progress).await
    }
}

fn with_command(mut fault: Fault, command: &str) -> Fault {
    let name = command.split_whitespace().next().unwrap_or_default();
    fault.detail = format!("iBoot command {name}: {}", fault.detail);
    fault
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{Call, Script, ScriptedBus, device, recovery_serial, with_serial};
    use super::*;
    use std::sync::Mutex;

    fn bulk(length: usize) -> Vec<usize> {
        let script = Script::new(|_| Ok(vec![]));
        let image = vec![3; length];
        upload(&mut script.clone(), &mut &image[..], length as u64, &Desk::alone()).unwrap();
        let calls = script.calls();
        assert_eq!(calls[0], Call::Out { setup: Setup::new(0x41, 0, 0, 0), data: vec![] });
        let pieces = calls.into_iter().filter_map(|call| match call {
            Call::BulkOut { endpoint: 4, length } => Some(length),
            _ => None,
        });
        pieces.collect()
    }

    #[test]
    fn an_upload_ends_with_a_short_packet() {
        assert_eq!(bulk(0x8000 + 100), [0x8000, 100]);
        assert_eq!(bulk(0x10000), [0x8000, 0x8000, 0]);
        assert_eq!(bulk(512), [512, 0]);
        assert_eq!(bulk(511), [511]);
    }

    #[test]
    fn an_upload_that_somebody_left_is_ended_and_the_command_given_again() {
        let left = Arc::new(Mutex::new(true));
        let waits = Arc::clone(&left);
        let mut script = Script::new(move |call| {
            let mut waits = waits.lock().unwrap();
            match call {
                Call::BulkOut { endpoint: 4, length: 0 } => *waits = false,
                _ if *waits => return Err(UsbError::Timeout),
                _ => {}
            }
            Ok(b"true\0".to_vec())
        });
        let got = patiently(&mut script, |handle| getenv(handle, "auto-boot")).unwrap();
        assert_eq!((got.as_deref(), *left.lock().unwrap()), (Some("true"), false));
        let mut dead = Script::new(|_| Err(UsbError::Timeout));
        assert_eq!(patiently(&mut dead, |handle| command(handle, "saveenv")), Err(UsbError::Timeout));
        assert_eq!(dead.calls().len(), 2, "one command, one empty packet, and no more");
    }

    #[test]
    fn partly_taken_pieces_are_sent_on() {
        struct Slow(Script, usize);
        impl Handle for Slow {
            fn control_out(&mut self, s: Setup, d: &[u8], l: Duration) -> Result<usize, UsbError> {
                self.0.control_out(s, d, l)
            }
            fn control_in(&mut self, s: Setup, n: u16, l: Duration) -> Result<Vec<u8>, UsbError> {
                self.0.control_in(s, n, l)
            }
            fn bulk_out(&mut self, _: u8, data: &[u8], _: Duration) -> Result<usize, UsbError> {
                let n = data.len().min(1000);
                self.1 += n;
                if n == 0 { Err(UsbError::Timeout) } else { Ok(n) }
            }
            fn bulk_in(&mut self, e: u8, n: usize, l: Duration) -> Result<Vec<u8>, UsbError> {
                self.0.bulk_in(e, n, l)
            }
            fn string(&mut self, i: u8, l: Duration) -> Result<String, UsbError> {
                self.0.string(i, l)
            }
            fn configuration(&mut self) -> Result<u8, UsbError> {
                self.0.configuration()
            }
            fn set_configuration(&mut self, v: u8) -> Result<(), UsbError> {
                self.0.set_configuration(v)
            }
            fn claim(&mut self, i: u8, a: u8) -> Result<(), UsbError> {
                self.0.claim(i, a)
            }
            fn reset(&mut self) -> Result<(), UsbError> {
                self.0.reset()
            }
        }
        let mut slow = Slow(Script::new(|_| Ok(vec![])), 0);
        let image = vec![1; 40_001];
        upload(&mut slow, &mut &image[..], 40_001, &Desk::alone()).unwrap();
        assert_eq!(slow.1, 40_001);
    }

    #[test]
    fn variables_are_texts_up_to_the_nul_and_may_be_unset() {
        let mut script = Script::new(|call| match call {
            Call::In { .. } => Ok(b"iBoot-8422.142.2\0rest".to_vec()),
            _ => Ok(vec![]),
        });
        assert_eq!(getenv(&mut script, "build-version").unwrap().as_deref(), Some("iBoot-8422.142.2"));
        assert_eq!(
            script.calls()[0],
            Call::Out { setup: Setup::new(0x40, 0, 0, 0), data: b"getenv build-version\0".to_vec() }
        );
        for unset in [Ok(vec![]), Ok(vec![0]), Err(UsbError::Stall)] {
            let mut script = Script::new(move |call| match call {
                Call::In { .. } => unset.clone(),
                _ => Ok(vec![]),
            });
            assert_eq!(getenv(&mut script, "x").unwrap(), None);
        }
        assert!(command(&mut script, &"x".repeat(300)).is_err());
    }

    fn bus_with(script: Script, serial: Option<&str>) -> (Arc<dyn Bus>, UsbDevice) {
        let bus = ScriptedBus::default();
        let device = device(3, "1-1", modes::PID_RECOVERY, serial);
        bus.plug(device.clone(), script);
        (Arc::new(bus), device)
    }

    #[tokio::test]
    async fn the_opened_device_must_say_that_it_is_the_right_one() {
        let script = with_serial(recovery_serial(0x77), |_| Ok(vec![])).unconfigured();
        let (bus, device) = bus_with(script.clone(), Some("listed as something else"));
        let iboot = Iboot::open(&bus, &device, Ecid(0x77)).await.unwrap();
        assert_eq!(iboot.mode(), Mode::Recovery);
        let calls = script.calls();
        assert!(calls.contains(&Call::Configure(1)) && calls.contains(&Call::Claim(0, 0)));
        assert!(!calls.contains(&Call::Claim(1, 1)));
        let fault = Iboot::open(&bus, &device, Ecid(0x78)).await.err().unwrap();
        assert_eq!(fault.code, Code::StrangerDevice);
        let (bus, device) = bus_with(with_serial("gar:bage".into(), |_| Ok(vec![])), None);
        assert_eq!(Iboot::open(&bus, &device, Ecid(0x77)).await.err().unwrap().code, Code::StrangerDevice);
    }

    #[test]
    fn the_console_is_claimed_where_there_is_one() {
        const BARE: &[u8] = &[9, 2, 25, 0, 1, 1, 0, 0x80, 250, 9, 4, 0, 0, 1, 0xFE, 1, 2, 0, 7, 5, 4, 2, 0, 2, 0];
        let with: Vec<u8> = [BARE, &[9, 4, 1, 1, 0, 0xFF, 0xFF, 0x51, 0]].concat();
        let with = [&[9, 2, 34, 0, 2], &with[5..]].concat();
        for (product, told, claimed) in [
            (modes::PID_RECOVERY + 1, Ok(with.clone()), true),
            (modes::PID_RECOVERY + 1, Ok(BARE.to_vec()), false),
            (modes::PID_RECOVERY + 1, Err(UsbError::Stall), true),
            (modes::PID_RECOVERY, Ok(with), false),
        ] {
            let mut script = Script::new(move |call| match call {
                Call::In { .. } => told.clone(),
                _ => Ok(vec![]),
            });
            prepare(&mut script, product).unwrap();
            assert_eq!(script.calls().contains(&Call::Claim(1, 1)), claimed, "{product:04x}");
        }
    }

    #[tokio::test]
    async fn a_command_that_leaves_is_not_judged_by_its_answer() {
        for answer in [UsbError::Stall, UsbError::Gone, UsbError::Timeout, UsbError::Other("I/O".into())] {
            let script = with_serial(recovery_serial(1), move |call| match call {
                Call::Out { setup, .. } if setup.request_type() == 0x40 => Err(answer.clone()),
                _ => Ok(vec![]),
            });
            let (bus, device) = bus_with(script.clone(), None);
            let iboot = Iboot::open(&bus, &device, Ecid(1)).await.unwrap();
            iboot.leave("go").await.unwrap();
            iboot.command("ramdisk").await.unwrap_err();
            let go = Call::Out { setup: Setup::new(0x40, 1, 0, 0), data: b"go\0".to_vec() };
            assert!(script.calls().contains(&go));
        }
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_stops_the_upload() {
        let taken = Arc::new(Mutex::new(0));
        let counter = Arc::clone(&taken);
        let (reached, wait) = tokio::sync::oneshot::channel();
        let mut reached = Some(reached);
        let script = with_serial(recovery_serial(1), move |call| {
            if let Call::BulkOut { .. } = call {
                *counter.lock().unwrap() += 1;
                reached.take().map(|r| r.send(()));
                std::thread::park_timeout(Duration::from_millis(5));
            }
            Ok(vec![])
        });
        let (bus, device) = bus_with(script, None);
        let iboot = Iboot::open(&bus, &device, Ecid(1)).await.unwrap();
        let mut quiet = |_| {};
        tokio::select! {
            _ = iboot.upload(vec![0; 0x8000 * 10_000], &mut quiet) => panic!("too fast"),
            _ = wait => {}
        }
        // The port runs jobs in order: this answer comes after the upload stopped.
        iboot.getenv("x").await.unwrap();
        assert!(*taken.lock().unwrap() < 1000);
    }

    #[tokio::test]
    async fn silence_on_the_endpoint_is_a_timeout() {
        let script = with_serial(recovery_serial(1), |call| match call {
            Call::BulkOut { .. } => Err(UsbError::Timeout),
            _ => Ok(vec![]),
        });
        let (bus, device) = bus_with(script, None);
        let iboot = Iboot::open(&bus, &device, Ecid(1)).await.unwrap();
        assert_eq!(iboot.upload(vec![1; 100], &mut |_| {}).await.unwrap_err().code, Code::UsbTimeout);
    }

    #[tokio::test]
    async fn nonces_none_garbage_and_real() {
        for (text, wanted) in [
            (Ok(format!("NONC:{} SNON:{}", "AB".repeat(32), "01".repeat(20))), Ok(true)),
            (Err(UsbError::Stall), Ok(false)),
            (Ok(" ".into()), Ok(false)),
            (Ok("NONC:xyz".into()), Err(Code::NonceUnread)),
            (Err(UsbError::Gone), Err(Code::UsbGone)),
        ] {
            let script = with_serial(recovery_serial(1), move |call| match call {
                Call::Text(1) => text.clone().map(String::into_bytes),
                _ => Ok(vec![]),
            });
            let (bus, device) = bus_with(script, None);
            let iboot = Iboot::open(&bus, &device, Ecid(1)).await.unwrap();
            assert_eq!(iboot.nonces().await.map(|n| n.is_some()).map_err(|f| f.code), wanted);
        }
    }
}
