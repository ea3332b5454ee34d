//! Serial strings of real devices, bad ones, and any text at all.

use super::serial::*;
use super::{TEXT_CAP, real};
use crate::ids::{Bdid, Cpid, Ecid};
use proptest::prelude::*;

#[test]
fn strings_of_real_devices_read_right_and_print_as_they_came() {
    for real in real::ALL {
        let serial: IbootSerial = real.text.parse().unwrap();
        assert_eq!(serial.to_string(), real.text);
        let wanted = (Some(Cpid(real.chip)), Some(Bdid(real.board)));
        assert_eq!(serial.application_processor(), wanted, "{}", real.text);
        assert_eq!(serial.device_ecid(), real.ecid.map(Ecid), "{}", real.text);
        assert_eq!((serial.is_production(), serial.is_secure()), (true, true), "{}", real.text);
        assert_eq!(serial.is_rom(), real.text.contains("SRTG"));
        let lower: IbootSerial = real.text.to_lowercase().parse().unwrap();
        assert_eq!((lower.cpid, lower.ecid, lower.long_board), (serial.cpid, serial.ecid, serial.long_board));
    }
}

#[test]
fn what_bit_flags_and_odd_strings_mean() {
    let read = |text: &str| text.parse::<IbootSerial>().unwrap();
    let recovery = read("CPID:8015 IBFL:3D SRNM:[N/A]");
    assert!(recovery.takes_img4() && recovery.is_iboot() && !recovery.is_rom());
    assert!(!read("CPID:8930 IBFL:00").takes_img4());
    // The oldest do not tell their chip.
    assert_eq!((read("CPRV:20 CPFM:03").chip(), read("CPRV:20 CPFM:03").cpid), (Cpid(0x8900), None));
    let pwned = read("CPID:8960 CPRV:11 BDID:00 ECID:0000000000000007 SRTG:[iBoot-1704.10] PWND:[checkm8]");
    assert_eq!(pwned.others, [("PWND".to_owned(), "[checkm8]".to_owned())]);
    assert_eq!(read("CPID:8960 SYSI:[a b] IBFL:1C").ibfl, Some(0x1C));
    assert_eq!(read(" CPID:8960   BDID:00\0\0").bdid, Some(Bdid(0)));
}

#[test]
fn a_port_controller_is_not_the_phone() {
    let (serial, flaws) = IbootSerial::read("CPID:0022 BDID:000000000C814000 ECID:747D1772145A2222 PREV:2F");
    assert_eq!((flaws, serial.device_ecid(), serial.bdid), (vec![], None, None));
    assert_eq!(serial.cpid, Some(Cpid(0x22)));
    let nobody = LongBoard(0);
    assert_eq!(nobody.cpid(), None);
    let (empty, _) = IbootSerial::read("CPID:0022 BDID:0000000000000000");
    assert_eq!(empty.application_processor(), (None, None));
}

const BASE: &str = "CPID:8110 CPRV:11 CPFM:03 SCEP:01 BDID:0A ECID:001A2B3C4D5E6F70 IBFL:3D SRNM:[AB12]";

#[test]
fn one_bad_field_is_unknown_and_the_others_stand() {
    let sound: IbootSerial = BASE.parse().unwrap();
    let key = |k: &str| k.to_owned();
    for (from, to, flaw) in [
        ("ECID:001A2B3C4D5E6F70", "ECID:", Flaw::NotHex(key("ECID"))),
        ("ECID:001A2B3C4D5E6F70", "ECID:001A2B3C4D5E6FXX", Flaw::NotHex(key("ECID"))),
        ("ECID:001A2B3C4D5E6F70", "ECID:+01A2B3C4D5E6F70", Flaw::NotHex(key("ECID"))),
        ("ECID:001A2B3C4D5E6F70", "ECID:0x1A2B3C4D5E6F70", Flaw::NotHex(key("ECID"))),
        ("ECID:001A2B3C4D5E6F70", "ECID:١٢٣٤", Flaw::NotHex(key("ECID"))),
        ("ECID:001A2B3C4D5E6F70", "ECID:0001A2B3C4D5E6F70", Flaw::OverLong(key("ECID"))),
        ("ECID:001A2B3C4D5E6F70", "ECID:001A2B3C4D5E6F70 ECID:1", Flaw::Disputed(key("ECID"))),
        ("ECID:001A2B3C4D5E6F70", "ECID:zz ECID:001A2B3C4D5E6F70", Flaw::NotHex(key("ECID"))),
        ("ECID:001A2B3C4D5E6F70", "ECID", Flaw::NoKey),
        ("ECID:001A2B3C4D5E6F70", ":001A2B3C4D5E6F70", Flaw::NoKey),
        ("ECID:001A2B3C4D5E6F70", "ECIDECIDE:001A", Flaw::NoKey),
        ("ECID:001A2B3C4D5E6F70", "\u{1b}[2J:1", Flaw::NoKey),
    ] {
        let text = BASE.replace(from, to);
        let (read, flaws) = IbootSerial::read(&text);
        assert_eq!(flaws.first(), Some(&flaw), "{text}");
        assert_eq!(read, IbootSerial { ecid: None, ..sound.clone() }, "{text}");
        assert!(text.parse::<IbootSerial>().is_err());
    }
    for (to, flaw) in [
        ("SRNM:[AB12", Flaw::OpenBracket(key("SRNM"))),
        ("SRNM:[AB\u{7}12]", Flaw::NotText(key("SRNM"))),
        ("SRNM:[ABé2]", Flaw::NotText(key("SRNM"))),
        ("SRNM:]AB12", Flaw::NotText(key("SRNM"))),
        ("SRNM:[AB12] SRNM:[AB13] SRNM:[AB12]", Flaw::Disputed(key("SRNM"))),
    ] {
        let text = BASE.replace("SRNM:[AB12]", to);
        let (read, flaws) = IbootSerial::read(&text);
        assert_eq!(flaws.first(), Some(&flaw), "{text}");
        assert_eq!(read.ecid, sound.ecid);
        if flaws.len() == 1 {
            assert_eq!(read.srnm, None, "{text}");
        }
    }
    let long = BASE.replace("AB12", &"A".repeat(100));
    assert_eq!(IbootSerial::read(&long).1, [Flaw::OverLong(key("SRNM"))]);
    // Found by the fuzzer: a text without brackets gains two when written.
    assert_eq!(IbootSerial::read(&format!("SRNM:{}", "A".repeat(79))).1, [Flaw::OverLong(key("SRNM"))]);
    assert_eq!(IbootSerial::read("CPID:1FFFFFFFF").1, [Flaw::OverLong(key("CPID"))]);
}

#[test]
fn the_same_said_twice_is_no_dispute() {
    let twice: IbootSerial = format!("{BASE} ecid:001a2b3c4d5e6f70").parse().unwrap();
    assert_eq!(twice, BASE.parse().unwrap());
}

#[test]
fn what_is_no_serial_is_an_error() {
    for text in ["", "   ", "\0", "hello", "CPID:", "CPID:80x0", "ECID:11112222333344445", "SRTG:[open", ":8010"] {
        assert!(text.parse::<IbootSerial>().is_err(), "{text:?}");
    }
    let long = "A".repeat(TEXT_CAP + 1);
    assert_eq!(IbootSerial::read(&long), (IbootSerial::default(), vec![Flaw::TooLong(TEXT_CAP + 1)]));
    let many: String = (0..40).map(|n| format!("K{n}:1 ")).collect();
    let (read, flaws) = IbootSerial::read(&many);
    assert_eq!((flaws, read.others.len()), (vec![Flaw::TooMany], 33));
}

fn opt<T: std::fmt::Debug + Clone>(of: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    prop::option::of(of)
}

prop_compose! {
    fn serials()(
        numbers in prop::array::uniform8(opt(any::<u32>())),
        ecid in opt(any::<u64>()),
        long in opt(any::<u64>()),
        texts in prop::array::uniform3(opt("[ -\\\\^-~]{0,60}")),
        others in prop::collection::btree_map("X[A-Z0-9]{0,7}", "[!-Z^-~][!-~]{0,20}|\\[[ -\\\\^-~]{0,20}\\]", 0..6),
    ) -> IbootSerial {
        let [sdom, cpid, cprv, cpfm, scep, bdid, ibfl, sika] = numbers;
        let [srnm, imei, srtg] = texts;
        IbootSerial {
            sdom, cprv, cpfm, scep, ibfl, sika, ecid: ecid.map(Ecid), cpid: cpid.map(Cpid), srnm, imei, srtg,
            bdid: if long.is_some() { None } else { bdid.map(Bdid) },
            long_board: long.map(LongBoard),
            prev: None,
            others: others.into_iter().collect(),
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(serial in serials(), prev in opt(any::<u32>())) {
        let serial = IbootSerial { prev, ..serial };
        if serial != IbootSerial::default() {
            prop_assert_eq!(serial.to_string().parse::<IbootSerial>(), Ok(serial));
        }
    }

    #[test]
    fn any_text_is_read_in_bounds_and_only_what_stands_there(
        text in "((CPID|BDID|ECID|SRNM|PREV|ecid|XY):|[0-9A-F]{1,20}|\\[|\\]| |:|\\PC|\\x00|\\x1b){0,80}",
    ) {
        let (serial, flaws) = IbootSerial::read(&text);
        prop_assert!(serial.others.len() <= 33 && flaws.len() <= text.len() + 1);
        let upper = text.to_uppercase();
        if let Some(ecid) = serial.ecid {
            prop_assert!(upper.contains(&format!("{:X}", ecid.0)), "{ecid} is not in {text:?}");
        }
        for value in serial.others.iter().map(|(_, v)| v).chain(&serial.srnm) {
            prop_assert!(value.len() <= 80 && text.contains(value.as_str()));
        }
        // What was believed once is believed again when written.
        let (again, flaws) = IbootSerial::read(&serial.to_string());
        prop_assert!(flaws.is_empty() || serial == IbootSerial::default(), "{flaws:?} in {serial}");
        prop_assert_eq!(again, serial);
    }
}
