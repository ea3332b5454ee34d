//! What the bus shows, and who that is said to be.

use super::intake;
use super::sight::{Eyes, from_usb, twins};
use super::state::{Access, Device, Identity};
use crate::facts::modes::{self, PID_DFU, PID_IPHONE, PID_KIS, PID_PORT_DFU, PID_RECOVERY, PID_WTF};
use crate::ids::{Cpid, Ecid, Mode, PortPath, ProductType};
use crate::mux::{Mux, MuxAddress, MuxDevice};
use crate::usb::scripted::ScriptedBus;
use crate::usb::{Address, UsbDevice};
use crate::wire::iboot::real;
use serde_json::json;

fn on_usb(product: u16, serial: Option<&str>) -> UsbDevice {
    UsbDevice {
        address: Address { bus: 1, device: 4 },
        port: PortPath::new("1-2"),
        vendor: modes::APPLE,
        product,
        serial: serial.map(Into::into),
        no_access: false,
        is_virtual: true,
    }
}

fn who(product: u16, serial: Option<&str>) -> (Mode, Identity) {
    let device = Device { state: from_usb(&on_usb(product, serial)).unwrap(), access: Access::Ok, is_virtual: true };
    (device.mode(), device.who().clone())
}

#[test]
fn real_strings_name_the_model_and_the_ecid() {
    for real in real::ALL {
        let product = match real.mode {
            Mode::Dfu => PID_DFU,
            Mode::Recovery => PID_RECOVERY,
            _ => PID_PORT_DFU,
        };
        let (mode, who) = who(product, Some(real.text));
        assert_eq!((mode, who.ecid), (real.mode, real.ecid.map(Ecid)), "{}", real.text);
        assert_eq!(who.product.as_ref().map(ProductType::as_str), real.product, "{}", real.text);
    }
}

#[test]
fn a_phone_behind_its_port_controller_is_named_but_not_by_the_controllers_ecid() {
    let text = "SDOM:01 CPID:0022 BDID:000000000C814000 ECID:747D1772145A2222 CPFM:03 SCEP:00 CPRV:1A3 PREV:2F";
    let (mode, who) = who(PID_PORT_DFU, Some(text));
    assert_eq!((mode, who.ecid, who.model().unwrap().name), (Mode::PortDfu, None, "iPhone 16 Pro"));
}

#[test]
fn modes_that_tell_little() {
    assert_eq!(who(PID_WTF, None).1.cpid, Some(Cpid(0x8900)));
    assert_eq!(who(PID_WTF, Some("CPRV:30 CPFM:03")).1.cpid, Some(Cpid(0x8900)));
    let (mode, kis) = who(PID_KIS, Some("SDOM:01 CPID:8120 BDID:0E ECID:001A2B3C4D5E6F71"));
    assert_eq!((mode, kis.ecid), (Mode::Kis, Some(Ecid(0x1A_2B3C_4D5E_6F71))));
    for (product, text) in [(PID_RECOVERY, None), (PID_DFU, Some("")), (PID_RECOVERY, Some("no serial \u{1b}[2J"))] {
        let nobody = who(product, text).1;
        assert_eq!(nobody, Identity { port: Some(PortPath::new("1-2")), ..Identity::default() });
    }
    let odd = who(PID_RECOVERY, Some("CPID:8110 BDID:0A ECID:1 ECID:2 SRNM:[x")).1;
    assert_eq!((odd.ecid, odd.product.clone().unwrap().as_str()), (None, "iPhone14,5"));
    assert_eq!((odd.likeness().is_guessed(), odd.serial), (false, None));
    let new = who(PID_RECOVERY, Some("CPID:8170 BDID:0A ECID:1 SRNM:[N/A]")).1;
    assert!(new.likeness().is_guessed() && new.model().is_none() && new.serial.is_none());
}

#[test]
fn normal_mode_without_usbmuxd_is_known_by_its_udid() {
    let (_, new) = who(PID_IPHONE, Some("00008110001A2B3C4D5E6F70"));
    assert_eq!((new.ecid, new.cpid), (Some(Ecid(0x1A_2B3C_4D5E_6F70)), Some(Cpid(0x8110))));
    let (_, dashed) = who(0x1905, Some("00006030-001031811A281234"));
    assert_eq!(dashed.ecid, Some(Ecid(0x10_3181_1A28_1234)));
    let (_, old) = who(PID_IPHONE, Some("fa7290e4fa7290e4fa7290e4fa7290e4fa7290e4"));
    assert!(old.udid.is_some() && old.ecid.is_none());
}

#[test]
fn a_phone_on_usb_and_on_usbmuxd_is_one_and_stand_ins_join_no_strangers() {
    let muxed = |serial: &str, location| MuxDevice {
        id: 1,
        serial: serial.into(),
        location,
        product_id: PID_IPHONE,
        speed: 0,
        usb: true,
    };
    let stand_in = "ffffffffffffffffffffffffffffffff00000007";
    let usb = on_usb(PID_IPHONE, Some(stand_in));
    assert_eq!(twins(std::slice::from_ref(&usb), &[muxed("", 0x1_0004)]), [Some(0)], "by its place");
    assert_eq!(twins(std::slice::from_ref(&usb), &[muxed("", 0x1_0005)]), [None]);
    assert_eq!(twins(std::slice::from_ref(&usb), &[muxed(stand_in, 0x1_0105)]), [Some(0)], "there is one only");
    let other = UsbDevice { address: Address { bus: 1, device: 9 }, ..usb.clone() };
    assert_eq!(twins(&[usb.clone(), other.clone()], &[muxed(stand_in, 0)]), [None], "which of the two?");
    assert_eq!(twins(std::slice::from_ref(&usb), &[muxed(stand_in, 0), muxed(stand_in, 0)]), [None, None]);
    assert_eq!(twins(&[usb, other], &[muxed(stand_in, 0), muxed(stand_in, 0x1_0009)]), [None, Some(1)]);
    let empty = on_usb(PID_IPHONE, Some(""));
    assert_eq!(twins(&[empty], &[muxed("", 0)]), [None]);
    let named = on_usb(PID_IPHONE, Some("00008110001A2B3C4D5E6F70"));
    assert_eq!(twins(&[named], &[muxed("00008110-001A2B3C4D5E6F70", 0)]), [Some(0)]);
}

#[tokio::test]
async fn the_sheet_says_when_a_model_is_guessed() {
    let bus = std::sync::Arc::new(ScriptedBus::default());
    let eyes = Eyes::new(bus, Mux::new(MuxAddress::default()), true);
    let sheet = async |serial: &str| {
        let state = from_usb(&on_usb(PID_RECOVERY, Some(serial))).unwrap();
        intake(&eyes, &Device { state, access: Access::Ok, is_virtual: true }).await.unwrap().facts
    };
    let new = sheet("CPID:8170 BDID:0A ECID:1").await;
    assert_eq!(
        (&new["guessed"], &new["guessed_from"], &new["buttons"]),
        (&json!(true), &json!("newer-chip"), &json!("3step"))
    );
    assert!(!new.contains_key("model"));
    let known = sheet("CPID:8110 BDID:0A ECID:1").await;
    assert_eq!((&known["model"], &known["connector"]), (&json!("iPhone 13"), &json!("Lightning")));
    assert!(!known.contains_key("guessed"));
    assert!(!sheet("CPID:FE01 BDID:20 ECID:1").await.contains_key("guessed"));
}
