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
use crate::virt::usb::preload::{Emulation, preload_library};
use crate::virt::usb::{Faults, signed_for};
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Set for children only.
const CHILD: &str = "HERSTEL_TEST_INSIDE_EMULATION";
/// The file that a child may upload.
const IMAGE: &str = "HERSTEL_TEST_IMAGE";
const LIMIT: Duration = Duration::from_secs(5);

/// What a child says when the parent may begin to move the phone.
const READY: &str = "the child is ready";

/// Runs `name` of this file as a child with one iPhone 13 in recovery on its bus.
fn with_phone(name: &str, faults: Faults) -> Option<Arc<Phone>> {
    with_phone_in(ModeSpec::Recovery, name, faults, |_| Vec::new(), |_| ())
}

/// The same in another mode, with a file made for this phone ([`image`]); `ready` runs each time the child
/// says that it is.
fn with_phone_in(
    mode: ModeSpec,
    name: &str,
    faults: Faults,
    image: impl Fn(&Phone) -> Vec<u8>,
    ready: impl Fn(&Phone),
) -> Option<Arc<Phone>> {
    if preload_library().is_none() {
        println!("skipped: umockdev's preload library is not installed");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("u");
    std::fs::create_dir(&root).unwrap();
    let mut spec = PhoneSpec { model: "iphone13".into(), mode, photos: 0, ..PhoneSpec::default() };
    spec.faults.usb = faults;
    let phone = Phone::new(spec, 0, 50.0).unwrap();
    phone.state().nvram.insert("auto-boot".into(), "false".into());
    let file = folder.path().join("image");
    std::fs::write(&file, image(&phone)).unwrap();
    let emulation = Emulation::start(&root, vec![Arc::clone(&phone)]).unwrap();
    let mut child = std::process::Command::new("timeout")
        .args(["--kill-after=1", "60"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("usb::libusb_tests::{name}"), "--nocapture"])
        .envs(emulation.environment())
        .env(CHILD, name)
        .env(IMAGE, file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        if line.contains(READY) {
            ready(&phone);
        }
        said.push_str(&line);
        said.push('\n');
    }
    assert!(child.wait().unwrap().success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    Some(phone)
}

/// What the parent made for the phone, inside a child.
#[expect(clippy::disallowed_methods, reason = "how the parent tells its child where it is")]
fn image() -> Vec<u8> {
    std::fs::read(std::env::var_os(IMAGE).unwrap()).unwrap()
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

#[test]
fn child_sees_the_cable() {
    let Some((bus, device)) = inside("child_sees_the_cable") else { return };
    let events = bus.watch().unwrap();
    let mut last = device;
    for product in [modes::PID_RECOVERY, modes::PID_DFU, modes::PID_IPHONE] {
        println!("{READY}");
        assert_eq!(events.recv_timeout(LIMIT).unwrap(), BusEvent::Left(last.address));
        assert_eq!(bus.open(last.address).err(), Some(UsbError::Gone));
        println!("{READY}");
        let BusEvent::Arrived(back) = events.recv_timeout(LIMIT).unwrap() else { panic!("a second departure") };
        assert_eq!((back.product, &back.port), (product, &last.port));
        assert_eq!(bus.devices().unwrap(), std::slice::from_ref(&back));
        last = back;
    }
}

#[test]
fn a_cable_that_comes_out_and_in_is_seen_in_each_mode() {
    let returns = std::sync::Mutex::new(vec![Stage::Normal, Stage::Dfu, Stage::Recovery]);
    let pull_or_plug = |phone: &Phone| match phone.stage() {
        Stage::Away => phone.enter(returns.lock().unwrap().pop().unwrap()),
        _ => phone.enter(Stage::Away),
    };
    let none = |_: &Phone| Vec::new();
    let seen =
        with_phone_in(ModeSpec::Recovery, "child_sees_the_cable", Faults::default(), none, pull_or_plug).is_some();
    assert!(!seen || returns.lock().unwrap().is_empty());
}

#[tokio::test]
async fn child_sets_variables() {
    let Some((bus, device)) = inside("child_sets_variables") else { return };
    let ecid = ecid(&device);
    let port = Iboot::open(&bus, &device, ecid).await.unwrap();
    assert_eq!(port.getenv("auto-boot").await.unwrap().as_deref(), Some("false"));
    assert_eq!(port.getenv("no-such-variable").await.unwrap(), None);
    port.setenv("auto-boot", "true").await.unwrap();
    assert_eq!(port.getenv("auto-boot").await.unwrap().as_deref(), Some("true"));
    port.saveenv().await.unwrap();
    let nonces = port.nonces().await.unwrap().unwrap();
    assert_eq!((nonces.ap.unwrap().len(), nonces.sep.unwrap().len()), (32, 20));
    let mut watch = Watch::open(Arc::clone(&bus)).await.unwrap();
    port.leave("reboot").await.unwrap();
    watch.left(device.address, LIMIT).await.unwrap();
    let who = Who { ecid, port: Some(device.port.clone()) };
    let back = watch.comes(&who, &[Mode::Normal], LIMIT).await.unwrap();
    assert_eq!((back.product, &back.port), (modes::PID_IPHONE, &device.port));
}

#[test]
fn variables_are_set_and_the_phone_returns_under_another_product_id() {
    let Some(phone) = with_phone("child_sets_variables", Faults::default()) else { return };
    assert_eq!((phone.stage(), phone.state().nvram["auto-boot"].as_str()), (Stage::Normal, "true"));
}

#[tokio::test]
async fn child_uploads_in_dfu() {
    let Some((bus, device)) = inside("child_uploads_in_dfu") else { return };
    assert_eq!(device.product, modes::PID_DFU);
    let ecid = ecid(&device);
    let who = Who { ecid, port: Some(device.port.clone()) };
    let mut watch = Watch::open(Arc::clone(&bus)).await.unwrap();
    // What no ticket signs brings the ROM back.
    let port = Iboot::open(&bus, &device, ecid).await.unwrap();
    assert!(port.serial().is_rom());
    port.upload(vec![1; 5000], &mut |_| {}).await.unwrap();
    watch.left(device.address, LIMIT).await.unwrap();
    let again = watch.comes(&who, &[Mode::Dfu], LIMIT).await.unwrap();
    let port = Iboot::open(&bus, &again, ecid).await.unwrap();
    let (image, mut counted) = (self::image(), 0);
    let length = image.len() as u64;
    port.upload(image, &mut |n| counted = n).await.unwrap();
    assert_eq!(counted, length);
    watch.left(again.address, LIMIT).await.unwrap();
    let ibss = watch.comes(&who, &[Mode::Recovery, Mode::Dfu], LIMIT).await.unwrap();
    assert_eq!((ibss.product, &ibss.port), (modes::PID_RECOVERY, &device.port));
    let port = Iboot::open(&bus, &ibss, ecid).await.unwrap();
    assert!(!port.serial().is_rom());
}

#[test]
fn an_image_goes_through_dfu_and_comes_back_as_ibss() {
    // The nonce stays, so that what is signed before the first try still fits at the second.
    let faults = Faults { nonce_kept: true, ..Faults::default() };
    let ibss = |phone: &Phone| signed_for(phone, "ibss", &vec![0x5A; 300_000]);
    let Some(phone) = with_phone_in(ModeSpec::Dfu, "child_uploads_in_dfu", faults, ibss, |_| ()) else { return };
    assert_eq!(phone.stage(), Stage::Ibss);
    let images: Vec<_> = phone.memory().into_iter().filter(|m| m.what == "dfu.image").collect();
    assert_eq!((images.len(), phone.remembered("boot.refused")), (2, 1));
    assert_eq!(images[1].detail["fourcc"], "ibss");
}

#[test]
fn child_meets_a_stall() {
    let Some((bus, device)) = inside("child_meets_a_stall") else { return };
    let mut handle = bus.open(device.address).unwrap();
    let handle = handle.as_mut();
    handle.claim(0, 0).unwrap();
    for _ in 0..3 {
        assert_eq!(iboot::command(handle, "setenv auto-boot true"), Err(UsbError::Stall));
        // A stall of the control pipe is over with the next request.
        assert!(iboot::getenv(handle, "build-version").unwrap().is_some());
    }
}

#[test]
fn a_stall_is_an_answer_and_the_device_goes_on() {
    let faults = Faults { stall_command: Some("setenv".into()), ..Faults::default() };
    let Some(phone) = with_phone("child_meets_a_stall", faults) else { return };
    assert_eq!(phone.state().nvram["auto-boot"], "false");
}
