//! The model through its bus doors: boot chain, rules of uploads, and every fault.

use super::image::tests::signed_for;
use super::remote::{RemoteBus, serve};
use super::{Faults, VirtualBus};
use crate::facts::modes::{PID_DFU, PID_RECOVERY};
use crate::usb::{Bus, BusEvent, Handle, Setup, UsbDevice, UsbError};
use crate::virt::phone::{Phone, Stage, StageChange};
use crate::virt::spec::{self, ModeSpec, PhoneSpec};
use crate::wire::dfu::{self, State, Status};
use crate::wire::iboot::{self, IbootSerial, Nonces};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(30);

fn phone(model: &str, mode: ModeSpec, faults: Faults) -> Arc<Phone> {
    let faults = spec::Faults { usb: faults, ..spec::Faults::default() };
    Phone::new(PhoneSpec { model: model.into(), mode, faults, ..PhoneSpec::default() }, 0, 100.0).unwrap()
}

fn only(bus: &dyn Bus) -> UsbDevice {
    bus.devices().unwrap().remove(0)
}

fn open(bus: &dyn Bus) -> Box<dyn Handle> {
    let mut handle = bus.open(only(bus).address).unwrap();
    if handle.configuration().unwrap() != 1 {
        handle.set_configuration(1).unwrap();
    }
    handle.claim(0, 0).unwrap();
    handle
}

fn command(handle: &mut dyn Handle, text: &str) -> Result<usize, UsbError> {
    let setup = Setup::new(iboot::COMMAND_TYPE, iboot::request_of(text), 0, 0);
    handle.control_out(setup, &iboot::encode_command(text).unwrap(), LIMIT)
}

fn getenv(handle: &mut dyn Handle, name: &str) -> Result<String, UsbError> {
    command(handle, &format!("getenv {name}"))?;
    let bytes = handle.control_in(Setup::new(iboot::VALUE_TYPE, 0, 0, 0), iboot::VALUE_LENGTH, LIMIT)?;
    Ok(iboot::decode_text(&bytes).unwrap().to_owned())
}

fn upload(handle: &mut dyn Handle, bytes: &[u8]) -> Result<(), UsbError> {
    handle.control_out(Setup::new(iboot::UPLOAD_TYPE, iboot::UPLOAD, 0, 0), &[], LIMIT)?;
    for piece in bytes.chunks(iboot::UPLOAD_PIECE) {
        assert_eq!(handle.bulk_out(iboot::UPLOAD_ENDPOINT, piece, SHORT)?, piece.len());
    }
    if iboot::needs_zero_packet(bytes.len() as u64) {
        handle.bulk_out(iboot::UPLOAD_ENDPOINT, &[], LIMIT)?;
    }
    Ok(())
}

fn state(handle: &mut dyn Handle) -> Result<State, UsbError> {
    let bytes = handle.control_in(Setup::new(dfu::TYPE_IN, dfu::GETSTATUS, 0, 0), 6, LIMIT)?;
    Ok(Status::from_bytes(&bytes).unwrap().state)
}

fn download(handle: &mut dyn Handle, image: &[u8]) -> Result<(), UsbError> {
    for packet in dfu::packets(image) {
        handle.control_out(Setup::new(dfu::TYPE_OUT, dfu::DNLOAD, packet.index, 0), &packet.data, LIMIT)?;
        if !packet.data.is_empty() {
            assert_eq!(state(handle)?, State::DownloadIdle);
        }
    }
    assert_eq!((state(handle)?, state(handle)?), (State::ManifestSync, State::Manifest));
    assert_eq!(state(handle)?, State::ManifestWaitReset);
    handle.reset()
}

fn until(changes: &Receiver<StageChange>, wanted: Stage) {
    while changes.recv_timeout(LIMIT).expect("a change").to != wanted {}
}

fn nonces(handle: &mut dyn Handle) -> Nonces {
    handle.string(iboot::NONCE_STRING, LIMIT).unwrap().parse().unwrap()
}

fn serial(bus: &dyn Bus) -> IbootSerial {
    only(bus).serial.unwrap().parse().unwrap()
}

/// From DFU to the restore RAM disk, as a tool does it.
fn boot_chain(bus: &dyn Bus, phone: &Arc<Phone>) {
    let changes = phone.watch();
    let mut handle = open(bus);
    let rom = nonces(&mut *handle);
    assert!(serial(bus).is_rom());
    assert_eq!(serial(bus).ecid, Some(phone.ecid));
    download(&mut *handle, &signed_for(phone, "ibss", &[1; 100_000])).unwrap();
    assert_eq!(handle.string(3, LIMIT), Err(UsbError::Gone));
    until(&changes, Stage::Ibss);
    let mut handle = open(bus);
    let ibss = nonces(&mut *handle);
    assert_ne!(ibss, rom);
    assert!(!serial(bus).is_rom());
    let ibec = signed_for(phone, "ibec", &[2; 200_000]);
    if only(bus).product == PID_DFU {
        download(&mut *handle, &ibec).unwrap();
    } else {
        assert_eq!(getenv(&mut *handle, "boot-stage").unwrap(), "1");
        upload(&mut *handle, &ibec).unwrap();
        command(&mut *handle, "go").unwrap();
    }
    until(&changes, Stage::Ibec);
    let mut handle = open(bus);
    assert_eq!(nonces(&mut *handle), ibss, "an iBEC that iBSS started keeps its nonce");
    assert_eq!(getenv(&mut *handle, "boot-stage").unwrap(), "2");
    assert_eq!(getenv(&mut *handle, "build-version").unwrap(), "iBoot-13822.40.1");
    assert_eq!(getenv(&mut *handle, "radio-error"), Err(UsbError::Stall));
    for (fourcc, verb) in
        [("rlgo", "setpicture 4"), ("rdsk", "ramdisk"), ("rdtr", "devicetree"), ("rsep", "rsepfirmware")]
    {
        upload(&mut *handle, &signed_for(phone, fourcc, &[3; 70_000])).unwrap();
        command(&mut *handle, verb).unwrap();
    }
    upload(&mut *handle, &signed_for(phone, "rkrn", &[4; 90_000])).unwrap();
    command(&mut *handle, "setenv boot-args rd=md0").unwrap();
    command(&mut *handle, "bootx").unwrap();
    until(&changes, Stage::Restore);
    assert_eq!(only(bus).product, 0x12A8);
    assert!(only(bus).serial.unwrap().starts_with("ffffffffffffffffffffffffffffffff000000"));
    assert_eq!(phone.remembered("boot.refused"), 0);
}

#[test]
fn the_boot_chain_runs_through_the_bus_trait() {
    for model in ["iphone13", "iphone6", "iPhone9,1"] {
        let phone = phone(model, ModeSpec::Dfu, Faults::default());
        boot_chain(&VirtualBus::new(vec![Arc::clone(&phone)]), &phone);
    }
}

#[test]
fn the_boot_chain_runs_from_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("usb");
    let phone = phone("iphone13", ModeSpec::Dfu, Faults::default());
    let server = serve(&socket, vec![Arc::clone(&phone)]).unwrap();
    let bus = RemoteBus::connect(&socket).unwrap();
    boot_chain(&bus, &phone);
    drop(server);
    assert!(matches!(bus.devices(), Err(UsbError::Unavailable(_))));
    assert!(RemoteBus::connect(&socket).is_err());
}

#[test]
fn arrivals_and_departures_are_told_with_new_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("usb");
    let phone = phone("iphone13", ModeSpec::Recovery, Faults::default());
    let _server = serve(&socket, vec![Arc::clone(&phone)]).unwrap();
    let buses: [Box<dyn Bus>; 2] =
        [Box::new(VirtualBus::new(vec![Arc::clone(&phone)])), Box::new(RemoteBus::connect(&socket).unwrap())];
    for bus in buses {
        phone.enter(Stage::Recovery);
        let first = only(&*bus);
        assert_eq!((first.product, first.port.as_str(), first.is_virtual), (PID_RECOVERY, "1-1", true));
        let events = bus.watch().unwrap();
        phone.enter(Stage::Away);
        assert_eq!(events.recv_timeout(LIMIT).unwrap(), BusEvent::Left(first.address));
        phone.enter(Stage::Dfu);
        let BusEvent::Arrived(second) = events.recv_timeout(LIMIT).unwrap() else { panic!("no arrival") };
        assert_eq!((second.product, &second.port), (PID_DFU, &first.port));
        assert_ne!(second.address, first.address);
        assert!(matches!(bus.open(first.address), Err(UsbError::Gone)));
    }
}

#[test]
fn an_upload_of_whole_packets_hangs_without_a_zero_packet() {
    let phone = phone("iphone13", ModeSpec::Recovery, Faults::default());
    let bus = VirtualBus::new(vec![Arc::clone(&phone)]);
    let mut handle = open(&bus);
    let start = Setup::new(iboot::UPLOAD_TYPE, iboot::UPLOAD, 0, 0);
    handle.control_out(start, &[], LIMIT).unwrap();
    handle.bulk_out(iboot::UPLOAD_ENDPOINT, &[0; 1024], LIMIT).unwrap();
    let go = handle.control_out(Setup::new(0x40, 1, 0, 0), b"go\0", SHORT);
    assert_eq!(go, Err(UsbError::Timeout));
    assert_eq!((phone.remembered("iboot.hang"), phone.remembered("iboot.upload")), (1, 0));
    handle.bulk_out(iboot::UPLOAD_ENDPOINT, &[], LIMIT).unwrap();
    assert_eq!(phone.remembered("iboot.upload"), 1);
    assert!(command(&mut *handle, "getenv build-style").is_ok());
    assert_eq!(handle.bulk_out(iboot::UPLOAD_ENDPOINT, &[0; 10], SHORT), Err(UsbError::Timeout));
}

#[test]
fn reboot_follows_auto_boot_as_saved() {
    let phone = phone("iphone13", ModeSpec::Recovery, Faults::default());
    let changes = phone.watch();
    let bus = VirtualBus::new(vec![Arc::clone(&phone)]);
    let mut handle = open(&bus);
    command(&mut *handle, "setenv auto-boot false").unwrap();
    command(&mut *handle, "saveenv").unwrap();
    command(&mut *handle, "setenv auto-boot true").unwrap();
    command(&mut *handle, "reboot").unwrap();
    until(&changes, Stage::Recovery);
    let mut handle = open(&bus);
    assert_eq!(getenv(&mut *handle, "auto-boot").unwrap(), "false");
    command(&mut *handle, "setenv auto-boot true").unwrap();
    command(&mut *handle, "saveenv").unwrap();
    command(&mut *handle, "reboot").unwrap();
    until(&changes, Stage::Normal);
}

#[test]
fn wrong_images_and_a_wrong_order_are_refused_with_a_reason() {
    let phone = phone("iphone13", ModeSpec::Recovery, Faults::default());
    let changes = phone.watch();
    let bus = VirtualBus::new(vec![Arc::clone(&phone)]);
    let mut handle = open(&bus);
    upload(&mut *handle, &signed_for(&phone, "rkrn", &[4; 9000])).unwrap();
    assert!(command(&mut *handle, "bootx").is_ok());
    assert!(command(&mut *handle, "go").is_ok());
    assert_eq!(command(&mut *handle, "ramdisk"), Err(UsbError::Stall));
    assert_eq!(command(&mut *handle, "dance"), Err(UsbError::Stall));
    assert_eq!((phone.stage(), phone.remembered("boot.refused")), (Stage::Recovery, 3));
    upload(&mut *handle, &signed_for(&phone, "ibec", &[4; 9000])).unwrap();
    command(&mut *handle, "go").unwrap();
    until(&changes, Stage::Ibec);
    let mut handle = open(&bus);
    upload(&mut *handle, &signed_for(&phone, "rkrn", &[4; 9000])).unwrap();
    command(&mut *handle, "bootx").unwrap();
    let last = phone.memory().into_iter().rfind(|m| m.what == "boot.refused").unwrap();
    assert!(last.detail["why"].as_str().unwrap().contains("no RAM disk"), "{last:?}");
    assert_eq!(phone.stage(), Stage::Ibec);
}

#[test]
fn nobody_who_may_not_gets_in() {
    let phone = phone("iphone13", ModeSpec::Recovery, Faults { no_access: true, ..Faults::default() });
    let bus = VirtualBus::new(vec![phone]);
    let device = only(&bus);
    assert!(device.no_access && device.serial.is_none());
    assert!(matches!(bus.open(device.address), Err(UsbError::Access)));
    let phone = self::phone("iphone13", ModeSpec::Recovery, Faults { busy: true, ..Faults::default() });
    let bus = VirtualBus::new(vec![phone]);
    assert_eq!(bus.open(only(&bus).address).unwrap().claim(0, 0), Err(UsbError::Busy));
}

#[test]
fn a_named_command_stalls_and_a_slow_phone_is_slow() {
    let faults = Faults { stall_command: Some("setenv".into()), slow_ms: 2000, ..Faults::default() };
    let phone = phone("iphone13", ModeSpec::Recovery, faults);
    let bus = VirtualBus::new(vec![phone]);
    let mut handle = open(&bus);
    assert_eq!(command(&mut *handle, "setenv a b"), Err(UsbError::Stall));
    assert!(command(&mut *handle, "saveenv").is_ok());
    let setup = Setup::new(iboot::COMMAND_TYPE, 0, 0, 0);
    assert_eq!(handle.control_out(setup, b"saveenv\0", Duration::from_millis(5)), Err(UsbError::Timeout));
}

#[test]
fn uploads_vanish_or_stay_unanswered() {
    let faults = Faults { vanish_at_upload_byte: Some(40_000), ..Faults::default() };
    for mode in [ModeSpec::Recovery, ModeSpec::Dfu] {
        let phone = phone("iphone13", mode, faults.clone());
        let changes = phone.watch();
        let nonce = phone.state().ap_nonce.clone();
        let bus = VirtualBus::new(vec![Arc::clone(&phone)]);
        let mut handle = open(&bus);
        let result = match mode {
            ModeSpec::Dfu => download(&mut *handle, &[0; 90_000]),
            _ => upload(&mut *handle, &[0; 90_000]),
        };
        assert_eq!(result, Err(UsbError::Gone), "{mode:?}");
        until(&changes, if mode == ModeSpec::Dfu { Stage::Dfu } else { Stage::Recovery });
        let mut handle = open(&bus);
        assert_eq!(nonces(&mut *handle).ap.unwrap(), nonce);
        if mode == ModeSpec::Recovery {
            upload(&mut *handle, &[0; 90_000]).unwrap();
        }
    }
    let phone = phone("iphone13", ModeSpec::Recovery, Faults { silent_upload: true, ..Faults::default() });
    let bus = VirtualBus::new(vec![phone]);
    assert_eq!(upload(&mut *open(&bus), &[0; 900]), Err(UsbError::Timeout));
}

#[test]
fn boot_code_is_refused_when_told_so() {
    let phone = phone("iphone13", ModeSpec::Dfu, Faults { ibss_refused: true, ..Faults::default() });
    let changes = phone.watch();
    let bus = VirtualBus::new(vec![Arc::clone(&phone)]);
    download(&mut *open(&bus), &signed_for(&phone, "ibss", &[1; 100])).unwrap();
    until(&changes, Stage::Dfu);
    let phone = self::phone("iphone13", ModeSpec::Recovery, Faults { ibec_refused: true, ..Faults::default() });
    let bus = VirtualBus::new(vec![Arc::clone(&phone)]);
    let mut handle = open(&bus);
    upload(&mut *handle, &signed_for(&phone, "ibec", &[1; 100])).unwrap();
    command(&mut *handle, "go").unwrap();
    assert_eq!((phone.stage(), phone.remembered("boot.refused")), (Stage::Recovery, 1));
}

#[test]
fn strings_and_nonces_can_be_wrong() {
    let faults = Faults { nonce_kept: true, wrong_ecid_after_reboot: true, ..Faults::default() };
    let phone = phone("iphone13", ModeSpec::Recovery, faults);
    let bus = VirtualBus::new(vec![Arc::clone(&phone)]);
    let before = nonces(&mut *open(&bus));
    assert_eq!(serial(&bus).ecid, Some(phone.ecid));
    phone.enter(Stage::Ibec);
    assert_eq!(nonces(&mut *open(&bus)), before);
    assert_ne!(serial(&bus).ecid, Some(phone.ecid));
    let faults = Faults { nonce_string_garbage: true, serial_garbage: true, ..Faults::default() };
    let phone = self::phone("iphone13", ModeSpec::Recovery, faults);
    let bus = VirtualBus::new(vec![phone]);
    assert!(open(&bus).string(1, LIMIT).unwrap().parse::<Nonces>().is_err());
    assert!(only(&bus).serial.unwrap().parse::<IbootSerial>().is_err());
}

#[test]
fn dfu_can_begin_in_the_error_state() {
    let phone = phone("iphone13", ModeSpec::Dfu, Faults { dfu_error_state: true, ..Faults::default() });
    let bus = VirtualBus::new(vec![phone]);
    let mut handle = open(&bus);
    assert_eq!(state(&mut *handle).unwrap(), State::Error);
    handle.control_out(Setup::new(dfu::TYPE_OUT, dfu::CLRSTATUS, 0, 0), &[], LIMIT).unwrap();
    assert_eq!(state(&mut *handle).unwrap(), State::Idle);
}

#[test]
fn a_phone_can_stay_away_or_come_back_as_something_else() {
    for ours in [true, false] {
        let faults = Faults { never_returns_from: Some(Stage::Recovery), ..Faults::default() };
        let phone = phone("iphone13", ModeSpec::Recovery, faults);
        let bus = VirtualBus::new(vec![Arc::clone(&phone)]);
        let mut handle = open(&bus);
        match ours {
            true => command(&mut *handle, "reboot").map(drop).unwrap(),
            false => phone.reenumerate(Stage::Normal, Duration::from_secs(100)),
        }
        let events = bus.watch().unwrap();
        while let Ok(event) = events.recv_timeout(Duration::from_millis(1400)) {
            assert!(matches!(event, BusEvent::Left(_)), "{ours} {event:?}");
        }
        assert!(bus.devices().unwrap().is_empty());
        let faults = Faults { returns_as: Some(Stage::Dfu), ..Faults::default() };
        let phone = self::phone("iphone13", ModeSpec::Recovery, faults);
        let changes = phone.watch();
        let bus = VirtualBus::new(vec![Arc::clone(&phone)]);
        let mut handle = open(&bus);
        match ours {
            true => command(&mut *handle, "reboot").map(drop).unwrap(),
            false => phone.reenumerate(Stage::Normal, Duration::from_secs(100)),
        }
        until(&changes, Stage::Dfu);
        assert_eq!(only(&bus).product, PID_DFU);
    }
}

#[test]
fn faults_are_read_from_toml() {
    let spec: PhoneSpec =
        toml::from_str("[faults.usb]\nnever_returns_from = \"ibss\"\nvanish_at_upload_byte = 7").unwrap();
    assert_eq!(spec.faults.usb.never_returns_from, Some(Stage::Ibss));
    assert!(toml::from_str::<PhoneSpec>("[faults.usb]\nvanish = 7").is_err());
}
