//! The table held against its rules, against a table beside it, and against bad files.

use super::guess::{Basis, Family, by_family, guess};
use super::models::*;
use super::table::{self, BadRow};
use crate::ids::{Bdid, Cpid, ProductType, Version};
use std::collections::{BTreeMap, HashSet};

const OWN: &str = include_str!("devices.tsv");

fn model(product: &str) -> &'static Model {
    by_product(&ProductType::new(product)).unwrap_or_else(|| panic!("no {product}"))
}

#[test]
fn every_row_parses_and_chip_and_board_decide() {
    assert_eq!(own(), table::parse(OWN).unwrap());
    assert_eq!(own().len(), OWN.lines().filter(|l| !l.starts_with('#')).count());
    let with_board: Vec<_> = own().into_iter().filter_map(|m| Some((m.cpid, m.bdid?))).collect();
    let keys: HashSet<_> = with_board.iter().collect();
    assert_eq!(keys.len(), with_board.len());
    for (cpid, bdid) in with_board {
        assert_eq!(by_chip(cpid, bdid).map(|m| (m.cpid, m.bdid)), Some((cpid, Some(bdid))));
    }
    let boards: HashSet<_> = own().iter().map(|m| m.board).collect();
    assert_eq!(boards.len(), own().len());
}

#[test]
fn families_are_counted() {
    let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
    let mut products: BTreeMap<&str, HashSet<&ProductType>> = BTreeMap::new();
    for model in all() {
        let name = Family::of(&model.product).unwrap().0.name();
        *rows.entry(name).or_default() += 1;
        products.entry(name).or_default().insert(&model.product);
    }
    let counts: Vec<_> = rows.iter().map(|(name, n)| (*name, *n, products[name].len())).collect();
    assert_eq!(
        counts,
        [("Apple TV", 7, 7), ("HomePod", 4, 4), ("iPad", 107, 105), ("iPhone", 70, 67), ("iPod touch", 7, 7)]
    );
}

#[test]
fn keys_and_images_follow_the_family_rule_except_where_nobody_knows() {
    let mut unknown = Vec::new();
    for model in all() {
        let rule = by_family(&model.product).unwrap();
        assert_eq!(rule.image, model.image, "{}", model.product);
        if model.buttons == Buttons::Unknown {
            unknown.push(model.product.as_str());
        } else {
            assert_eq!(rule.buttons, model.buttons, "{}", model.product);
        }
    }
    assert_eq!(unknown, ["iPhone19,4"]);
}

#[test]
fn known_exceptions_stand_as_they_are_known() {
    use Buttons::{Home, None, Remote, ThreeStep, ThreeStepTop, VolumeDown};
    for (product, buttons, biometrics, connector) in [
        ("iPhone6,1", Home, Biometrics::TouchHome, Connector::Lightning),
        ("iPhone8,4", Home, Biometrics::TouchHome, Connector::Lightning),
        ("iPhone9,3", VolumeDown, Biometrics::TouchHome, Connector::Lightning),
        ("iPhone10,1", ThreeStep, Biometrics::TouchHome, Connector::Lightning),
        ("iPhone12,8", ThreeStep, Biometrics::TouchHome, Connector::Lightning),
        ("iPhone14,6", ThreeStep, Biometrics::TouchHome, Connector::Lightning),
        ("iPhone15,4", ThreeStep, Biometrics::Face, Connector::UsbC),
        ("iPad8,1", ThreeStepTop, Biometrics::Face, Connector::UsbC),
        ("iPad11,1", Home, Biometrics::TouchHome, Connector::Lightning),
        ("iPad11,3", Home, Biometrics::TouchHome, Connector::Lightning),
        ("iPad11,6", Home, Biometrics::TouchHome, Connector::Lightning),
        ("iPad12,1", Home, Biometrics::TouchHome, Connector::Lightning),
        ("iPad13,1", ThreeStepTop, Biometrics::TouchTop, Connector::UsbC),
        ("iPad16,3", ThreeStepTop, Biometrics::Face, Connector::UsbC),
        ("iPod7,1", Home, Biometrics::None, Connector::Lightning),
        ("iPod9,1", VolumeDown, Biometrics::None, Connector::Lightning),
        ("AppleTV5,3", Remote, Biometrics::None, Connector::UsbC),
        ("AppleTV3,2", Remote, Biometrics::None, Connector::MicroUsb),
        ("AppleTV14,1", None, Biometrics::None, Connector::Hidden),
        ("AudioAccessory1,1", None, Biometrics::None, Connector::Hidden),
    ] {
        let model = model(product);
        assert_eq!((model.buttons, model.biometrics, model.connector), (buttons, biometrics, connector), "{product}");
    }
    let folding = model("iPhone19,4");
    assert_eq!((folding.cpid, folding.bdid, folding.buttons), (Cpid(0x8160), Option::None, Buttons::Unknown));
}

#[test]
fn the_last_system_is_known_where_there_was_one() {
    let last = |product: &str| model(product).last_os.as_ref().map(Version::to_string);
    assert_eq!(last("iPhone6,1").as_deref(), Some("12.5.8"));
    assert_eq!(last("iPhone10,6").as_deref(), Some("16.7.16"));
    assert_eq!(last("iPhone11,8").as_deref(), Some("18"));
    assert_eq!(last("iPhone14,5"), None);
    for model in all() {
        if let (Some(first), Some(last)) = (&model.first_os, &model.last_os) {
            assert!(first <= last, "{}", model.product);
        }
    }
}

#[test]
fn people_find_their_device() {
    for (typed, product) in [
        ("iphone13", "iPhone14,5"),
        ("iphone5s", "iPhone6,1"),
        ("iphone8", "iPhone10,1"),
        ("iPhone14,5", "iPhone14,5"),
        ("d17ap", "iPhone14,5"),
    ] {
        assert_eq!(by_nickname(typed).unwrap().product.as_str(), product, "{typed}");
    }
    assert!(by_nickname("ipad-pro-m4").unwrap().product.as_str().starts_with("iPad16,"));
    assert!(by_nickname("teapot").is_none());
}

#[test]
fn a_guess_says_what_it_rests_on() {
    let product = |text: &str| ProductType::new(text);
    let by_name = |text: &str| guess(Some(&product(text)), None).unwrap();
    assert_eq!((by_name("iPhone20,1").buttons, by_name("iPhone20,1").basis), (Buttons::ThreeStep, Basis::Family));
    assert_eq!(by_name("iPad18,3").buttons, Buttons::ThreeStepTop);
    assert_eq!(by_name("iPad18,3").family, Some(Family::IPad));
    let by_number = |cpid: u32| guess(None, Some(Cpid(cpid)));
    let a15 = by_number(0x8110).unwrap();
    assert_eq!((a15.basis, a15.buttons, a15.family), (Basis::SameChip, Buttons::Unknown, None));
    let a11 = by_number(0x8015).unwrap();
    assert_eq!((a11.buttons, a11.family), (Buttons::ThreeStep, Some(Family::IPhone)));
    assert_eq!(by_number(0x8950).unwrap().image, ImageFormat::Img3);
    let new = by_number(0x8170).unwrap();
    assert_eq!((new.basis, new.buttons, new.image), (Basis::NewerChip, Buttons::ThreeStep, ImageFormat::Img4));
    for nothing in [0x0022, 0x8021, 0xFE01, 0xFFFF_FFFF] {
        assert_eq!(by_number(nothing), None, "{nothing:#x}");
    }
    for odd in ["", "iPhone", "iPhone,", "iPhone14", "iPhone+14,5", "iPhone14,", "Watch7,1", "iPhone99999999999,1"] {
        assert_eq!(guess(Some(&product(odd)), None), None, "{odd:?}");
    }
}

fn bad(text: &'static str) -> BadRow {
    table::parse(text).unwrap_err()
}

#[test]
fn a_file_from_outside_is_read_strictly_and_names_the_line() {
    const GOOD: &str = "iPhone20,1\tiPhone 20\tv1ap\t0x8170\t0x08\t3step\tface\tUSB-C\t28.0\t\timg4";
    assert_eq!(table::parse(GOOD).unwrap()[0].bdid, Some(Bdid(8)));
    assert_eq!(table::parse("\u{feff}# a remark\r\n\r\n").unwrap(), []);
    assert_eq!(bad("# x\n\niPhone20,1\tiPhone 20").line, 3);
    for (from, to) in [
        ("iPhone20,1", "iPhone20"),
        ("iPhone20,1", ""),
        ("v1ap", ""),
        ("v1ap", "../v1"),
        ("0x8170", "?"),
        ("0x8170", "0xZZ"),
        ("0x08", "0x1FFFFFFFF"),
        ("3step", "three"),
        ("face", "ears"),
        ("USB-C", "usb"),
        ("28.0", "soon"),
        ("img4", "img5"),
        ("iPhone 20", ""),
        ("iPhone 20", "a\u{1b}[2J"),
        ("\timg4", "\timg4\tmore"),
    ] {
        let line: &'static str = Box::leak(GOOD.replace(from, to).into_boxed_str());
        assert_eq!(bad(line).line, 1, "{line:?}");
    }
    let long: &'static str = Box::leak(GOOD.replace("iPhone 20", &"x".repeat(81)).into_boxed_str());
    assert_eq!(bad(long).line, 1);
    let twice: &'static str = Box::leak(format!("{GOOD}\n{GOOD}").into_boxed_str());
    assert_eq!(bad(twice), BadRow { line: 2, why: "iPhone20,1 v1ap is here twice".into() });
}

#[test]
fn a_row_from_outside_replaces_ours_of_the_same_board() {
    let theirs = |row: &'static str| merged(own(), table::parse(row).unwrap());
    let new = theirs("iPhone20,1\tiPhone 20\tv1ap\t0x8170\t0x08\t3step\tface\tUSB-C\t28.0\t\timg4");
    assert_eq!((new.len(), new[0].product.as_str()), (own().len() + 1, "iPhone20,1"));
    let by_board = theirs("iPhone19,4\tiPhone Duo\tv68ap\t0x8160\t0x0e\t3step\ttouch-top\tUSB-C\t27.0\t\timg4");
    assert_eq!(by_board.len(), own().len());
    assert_eq!(by_board.iter().filter(|m| m.product.as_str() == "iPhone19,4").count(), 1);
    let by_chip = theirs("iPhone14,5\tShop's 13\td17xap\t0x8110\t0x0a\t3step\tface\tLightning\t15.0\t\timg4");
    assert_eq!(by_chip.len(), own().len());
    assert!(!by_chip.iter().any(|m| m.board == "d17ap"));
    assert_eq!(by_chip[0].name, "Shop's 13");
}

#[test]
fn a_table_in_use_cannot_be_extended() {
    assert!(!all().is_empty());
    let fault = extend("devices.tsv", "").unwrap_err();
    assert_eq!(fault.code, crate::fault::Code::Internal);
    let fault = extend("my/devices.tsv", "# x\nnonsense").unwrap_err();
    assert_eq!(fault.code, crate::fault::Code::ConfigInvalid);
    assert!(fault.detail.starts_with("my/devices.tsv, line 2:"), "{}", fault.detail);
}

/// Where test data are at hand, every row of the table there is in ours, with the same facts.
#[test]
fn a_table_beside_ours_agrees() {
    let Some(folder) = option_env!("HERSTEL_TEST_DATA") else { return };
    let text = std::fs::read_to_string(std::path::Path::new(folder).join("devices.tsv")).unwrap();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let mut seen = 0;
    for line in lines {
        let row: BTreeMap<&str, &str> = header.iter().copied().zip(line.split('\t')).collect();
        let (product, board) = (row["product_type"], row["board"]);
        let ours = all().iter().find(|m| m.product.as_str() == product && m.board == board);
        let ours = ours.unwrap_or_else(|| panic!("{product} {board} is missing"));
        assert_eq!(row["cpid"].parse::<Cpid>().ok(), Some(ours.cpid), "{product}");
        assert_eq!(row["bdid"].parse::<Bdid>().ok(), ours.bdid, "{product}");
        assert_eq!(row["connector"], ours.connector.as_str(), "{product}");
        assert_eq!(row["image_format"] == "IMG4", ours.image == ImageFormat::Img4, "{product}");
        seen += 1;
    }
    assert_eq!(seen, all().len());
}
