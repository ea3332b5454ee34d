//! Real libusb against the bench, through umockdev's preload library. That library must be loaded before a
//! program starts, so each test runs this test binary again as a child inside the emulated bus; the model
//! stays in the parent, which looks afterwards at what the phone remembers.

use super::bus::{Bus, BusEvent, Setup, UsbDevice, UsbError};
use super::iboot::{self, Iboot};
use super::libusb::LibUsb;
use super::port::Desk;
use super::wait::{Watch, Who};
use crate::facts::modes;
use crate::fault::Code;
use crate::ids::{Ecid, Mode};
use crate::virt::phone::{Phone, Stage};
use crate::virt::spec::{ModeSpec, PhoneSpec};
use crate::virt::usb::Faults;
use crate::virt::usb::preload::{Emulation, preload_library};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Set for children only.
const CHILD: &str = "HERSTEL_TEST_INSIDE_EMULATION";
const LIMIT: Duration = Duration::from_secs(5);

/// Runs `name` of this file as a child with one iPhone 13 in recovery on its bus.
fn with_phone(name: &str, faults: Faults) -> Option<Arc<Phone>> {
    if preload_library().is_none() {
        println!("skipped: umockdev's preload library is not installed");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut spec = PhoneSpec { model: "iphone13".into(), mode: ModeSpec::Recovery, photos: 0, ..PhoneSpec::default() };
    spec.faults.usb = faults;
    let phone = Phone::new(spec, 0, 50.0).unwrap();
    phone.state().nvram.insert("auto-boot".into(), "false".into());
    let emulation = Emulation::start(folder.path(), vec![Arc::clone(&phone)]).unwrap();
    let output = std::process::Command::new("timeout")
        .args(["--kill-after=1", "60"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("usb::libusb_tests::{name}"), "--nocapture"])
        .envs(emulation.environment())
        .env(CHILD, name)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    Some(phone)
}

/// The bus and its one phone, inside a child that was started for `name`.
#[expect(clippy::disallowed_methods, reason = "how the parent tells its child what it is")]
fn inside(name: &str) -> Option<(Arc<dyn Bus>, UsbDevice)> {
    std::env::var_os(CHILD).filter(|child| child == name)?;
    let bus = LibUsb::inside_bench().unwrap();
    assert_eq!(bus.unavailable(), None);
    let devices = bus.devices().unwrap();
    assert_eq!(devices.len(), 1, "{devices:?}");
    Some((Arc::new(bus), devices[0].clone()))
}

fn ecid(device: &UsbDevice) -> Ecid {
    super::wait::ecid_of(device).unwrap()
}

#[test]
fn child_talks() {
    let Some((bus, device)) = inside("child_talks") else { return };
    assert_eq!((device.product, device.port.as_str()), (modes::PID_RECOVERY, "1-1"));
    assert!(device.is_virtual && !device.no_access);
    let mut handle = bus.open(device.address).unwrap();
    let handle = handle.as_mut();
    assert_eq!(handle.configuration().unwrap(), 1);
    handle.claim(0, 0).unwrap();
    assert_eq!(iboot::serial(handle).unwrap(), device.serial.clone().unwrap());
    assert!(handle.string(1, LIMIT).unwrap().starts_with("NONC:"));
    assert!(iboot::getenv(handle, "build-version").unwrap().unwrap().starts_with("iBoot-"));
    assert_eq!(handle.control_out(Setup::new(0x40, 0, 0, 0), b"nonsense\0", LIMIT), Err(UsbError::Stall));
    handle.claim(1, 1).unwrap();
    assert_eq!(handle.bulk_in(0x81, 512, Duration::from_millis(50)), Err(UsbError::Timeout));
    let image = vec![7; 0x8000 * 4];
    iboot::upload(handle, &mut &image[..], image.len() as u64, &Desk::alone()).unwrap();
    assert!(matches!(handle.control_in(Setup::new(0x40, 0, 0, 0), 1, LIMIT), Err(UsbError::Other(_))));
    let mut away = device.address;
    away.device += 50;
    assert_eq!(bus.open(away).err(), Some(UsbError::Gone));
}

#[test]
fn requests_and_uploads() {
    let Some(phone) = with_phone("child_talks", Faults::default()) else { return };
    let uploads: Vec<_> = phone.memory().into_iter().filter(|m| m.what == "iboot.upload").collect();
    assert_eq!(uploads.len(), 1);
    assert_eq!(uploads[0].detail["bytes"], 0x8000 * 4);
    assert_eq!(phone.remembered("iboot.hang"), 0);
}

#[test]
fn child_sees_a_reboot() {
    let Some((bus, device)) = inside("child_sees_a_reboot") else { return };
    let events = bus.watch().unwrap();
    let mut handle = bus.open(device.address).unwrap();
    iboot::command(handle.as_mut(), "reboot").unwrap();
    assert_eq!(events.recv_timeout(LIMIT).unwrap(), BusEvent::Left(device.address));
    let BusEvent::Arrived(back) = events.recv_timeout(LIMIT).unwrap() else { panic!("a second departure") };
    assert_eq!(back.serial, device.serial);
    assert_ne!(back.address, device.address);
    // Once each, however often libusb and the polls tell of it.
    assert!(events.recv_timeout(Duration::from_millis(1200)).is_err());
    assert_eq!(handle.string(1, LIMIT), Err(UsbError::Gone));
}

#[test]
fn a_reboot_is_one_departure_and_one_arrival() {
    let Some(phone) = with_phone("child_sees_a_reboot", Faults::default()) else { return };
    assert_eq!(phone.stage(), Stage::Recovery);
}

#[tokio::test]
async fn child_loses_the_cable() {
    let Some((bus, device)) = inside("child_loses_the_cable") else { return };
    let ecid = ecid(&device);
    let mut watch = Watch::open(Arc::clone(&bus)).await.unwrap();
    let port = Iboot::open(&bus, &device, ecid).await.unwrap();
    let mut counted = 0;
    let fault = port.upload(vec![1; 1_000_000], &mut |n| counted = n).await.unwrap_err();
    assert_eq!(fault.code, Code::UsbGone, "{fault}");
    assert!(counted < 400_000);
    watch.left(device.address, LIMIT).await.unwrap();
    let who = Who { ecid, port: Some(device.port.clone()) };
    let back = watch.comes(&who, &[Mode::Recovery], LIMIT).await.unwrap();
    let again = Iboot::open(&bus, &back, ecid).await.unwrap();
    again.upload(vec![1; 1_000_000], &mut |_| {}).await.unwrap();
}

#[test]
fn a_slipped_cable_is_gone_and_the_next_try_works() {
    let faults = Faults { vanish_at_upload_byte: Some(300_000), ..Faults::default() };
    let Some(phone) = with_phone("child_loses_the_cable", faults) else { return };
    assert_eq!(phone.remembered("usb.vanished"), 1);
    assert_eq!(phone.remembered("iboot.upload"), 1);
}

#[test]
fn child_is_bounded() {
    let Some((bus, device)) = inside("child_is_bounded") else { return };
    let mut handle = bus.open(device.address).unwrap();
    let began = Instant::now();
    let limit = Duration::from_millis(100);
    assert_eq!(handle.bulk_out(4, &[0; 4096], limit), Err(UsbError::Timeout));
    assert!(began.elapsed() >= limit);
}

#[test]
fn silence_is_a_timeout() {
    let Some(_) = with_phone("child_is_bounded", Faults { silent_upload: true, ..Faults::default() }) else { return };
}
