//! What a phone says of itself over USB in each stage: product ids, strings, iBoot's environment.
//!
//! The rules are those seen in public strings: SDOM comes first from the ROM of A14 on and from iBoot of
//! iOS 15 on whatever the chip; SIKA exists from A16 and M4 on; SRTG names the ROM and is gone under iBSS;
//! SRNM shows in iBoot only; IBFL gains bit 0 under iBoot. An iBSS shows as recovery from A10 on: older
//! ones stay in the DFU class and take their iBEC there.

use crate::facts::models::ImageFormat;
use crate::facts::modes::{PID_DFU, PID_RECOVERY, normal_product};
use crate::ids::Ecid;
use crate::virt::phone::{Phone, Stage};
use crate::wire::iboot::{IBFL_IBOOT, IbootSerial, Nonces};
use std::collections::BTreeMap;

/// Does this chip come after `apple_chip` in age? Chip numbers of the oldest are the highest.
fn since(phone: &Phone, first: u32) -> bool {
    let chip = phone.model.cpid.0;
    chip < 0x8900 && age(chip) >= age(first)
}

/// Sorts 64-bit chips by generation: A7 7, A8 8, ... M chips with the A chip they are made from.
fn age(chip: u32) -> u32 {
    match chip {
        0x8960 => 7,
        0x7000 | 0x7001 => 8,
        0x8000 | 0x8001 | 0x8003 => 9,
        0x8010..=0x8012 => 10,
        0x8015 => 11,
        0x8006 | 0x8020 | 0x8027 => 12,
        0x8030 => 13,
        0x8101 | 0x8103 => 14,
        0x8110 | 0x8112 => 15,
        0x8120 | 0x8122 => 16,
        0x8130 | 0x8132 => 17,
        _ => 18,
    }
}

/// The product id in a stage; none when on no bus.
pub fn product(phone: &Phone, stage: Stage) -> Option<u16> {
    match stage {
        Stage::Away => None,
        Stage::Normal | Stage::Restore => Some(normal_product(phone.model.product.as_str())),
        Stage::Dfu => Some(PID_DFU),
        Stage::Ibss if !since(phone, 0x8010) => Some(PID_DFU),
        Stage::Ibss | Stage::Recovery | Stage::Ibec => Some(PID_RECOVERY),
    }
}

/// The tag of the SecureROM; where none is known publicly, one of the same generation.
fn rom_tag(chip: u32) -> &'static str {
    match chip {
        0x8900 => "iBoot-240.4",
        0x8920 | 0x8922 => "iBoot-359.3.2",
        0x8930 => "iBoot-574.4",
        0x8940 | 0x8942 | 0x8945 => "iBoot-838.3",
        0x8947 | 0x8950 => "iBoot-1145.3",
        0x8955 => "iBoot-1145.3.3",
        0x8960 => "iBoot-1704.10",
        0x7000 => "iBoot-1992.0.0.1.19",
        0x7001 => "iBoot-1991.0.0.2.16",
        0x8000 => "iBoot-2234.0.0.3.3",
        0x8003 => "iBoot-2234.0.0.2.22",
        0x8001 => "iBoot-2481.0.0.2.1",
        0x8010 => "iBoot-2696.0.0.1.33",
        0x8011 => "iBoot-3135.0.0.2.3",
        0x8012 => "iBoot-3401.0.0.1.16",
        0x8015 => "iBoot-3332.0.0.1.23",
        0x8006 | 0x8020 | 0x8027 => "iBoot-3865.0.0.4.7",
        0x8030 => "iBoot-4479.0.0.100.4",
        0x8101 | 0x8103 => "iBoot-5540.0.0.400.2",
        0x8110 | 0x8112 => "iBoot-6338.0.0.200.19",
        _ => "iBoot-7195.0.0.300.25",
    }
}

/// iBoot of a system, by its train.
fn iboot_of(major: u32) -> &'static str {
    match major {
        ..=6 => "iBoot-1537.9.55",
        7 => "iBoot-1940.10.58",
        8 => "iBoot-2261.30.6",
        9 => "iBoot-2817.60.2",
        10 => "iBoot-3406.20.16",
        11 => "iBoot-4076.70.6",
        12 => "iBoot-4513.270.14",
        13 => "iBoot-5540.140.12",
        14 => "iBoot-6723.80.19",
        15 => "iBoot-7459.140.15",
        16 => "iBoot-8422.142.2",
        17 => "iBoot-10151.140.19",
        18..=25 => "iBoot-11881.40.163",
        _ => "iBoot-13822.40.140",
    }
}

/// The build of the boot code that runs: what the loaded image says of itself, else the system's.
pub fn build_version(phone: &Phone, loaded: &str) -> String {
    if loaded.starts_with("iBoot-") { loaded.to_owned() } else { iboot_of(phone.state().version.major()).to_owned() }
}

fn major_of(build_version: &str) -> u32 {
    let digits = build_version.trim_start_matches("iBoot-").split('.').next();
    digits.and_then(|d| d.parse().ok()).unwrap_or(0)
}

/// The serial string of recovery and DFU.
pub fn serial(phone: &Phone, stage: Stage, ecid: Ecid, build_version: &str) -> IbootSerial {
    let model = phone.model;
    let rom = stage == Stage::Dfu;
    let img4 = model.image == ImageFormat::Img4;
    let base: u32 = match age(model.cpid.0) {
        _ if !img4 => 0,
        ..=9 => 0x1C,
        _ => 0x3C,
    };
    let sdom = if rom { since(phone, 0x8101) } else { major_of(build_version) >= 7459 };
    let phone_like = model.product.as_str().starts_with("iPhone");
    IbootSerial {
        sdom: (img4 && sdom).then_some(1),
        cpid: Some(model.cpid),
        cprv: Some(match model.cpid.0 {
            0x8930 | 0x8000 => 0x20,
            0x8003 => 0x01,
            _ => 0x11,
        }),
        cpfm: Some(3),
        scep: Some(1),
        bdid: Some(phone.bdid),
        ecid: Some(ecid),
        ibfl: Some(if rom { base } else { base | IBFL_IBOOT }),
        sika: (img4 && (since(phone, 0x8120) && model.cpid.0 != 0x8122)).then_some(0),
        srnm: matches!(stage, Stage::Recovery | Stage::Ibec).then(|| phone.serial.clone()),
        imei: (!img4 && phone_like && stage == Stage::Recovery).then(|| format!("01332600{:07}", ecid.0 % 10_000_000)),
        srtg: rom.then(|| rom_tag(model.cpid.0).to_owned()),
        ..IbootSerial::default()
    }
}

/// String descriptor 1 of this stage; none where real ones have none.
pub fn nonces(phone: &Phone, stage: Stage) -> Option<String> {
    let (ap, sep) = {
        let state = phone.state();
        (state.ap_nonce.clone(), state.sep_nonce.clone())
    };
    if phone.model.image == ImageFormat::Img4 {
        return Some(Nonces { ap: Some(ap), sep: Some(sep) }.to_string());
    }
    match (stage, phone.model.cpid.0) {
        (Stage::Dfu, 0x8940..0x8960) => {
            Some(Nonces { ap: Some(ap.into_iter().take(8).collect()), sep: None }.with_leading_blank())
        }
        (Stage::Dfu, _) => None,
        _ => Some(Nonces { ap: Some(ap), sep: None }.with_leading_blank()),
    }
}

/// A string that has nothing to do with nonces and serials.
pub fn plain_string(phone: &Phone, product: u16, index: u8) -> Option<&'static str> {
    let name = phone.model.product.as_str();
    Some(match (product, index) {
        (PID_DFU | PID_RECOVERY, 2) => "Apple Inc.",
        (PID_DFU, 3 | 5) => "Apple Mobile Device (DFU Mode)",
        (PID_RECOVERY, 3 | 5) => "Apple Mobile Device (Recovery Mode)",
        (PID_RECOVERY, 6) => "Apple USB Serial Interface",
        (PID_DFU | PID_RECOVERY, _) => return None,
        (_, 1) => "Apple Inc.",
        (_, 2) if name.starts_with("iPad") => "iPad",
        (_, 2) if name.starts_with("iPod") => "iPod",
        (_, 2) => "iPhone",
        (_, 5 | 0x0E | 0x1B) => "PTP",
        (_, 6) => "iPod USB Interface",
        (_, 7) => "PTP + Apple Mobile Device",
        (_, 8) => "PTP + Apple Mobile Device + Apple USB Ethernet",
        (_, 0x0F) => "Apple USB Multiplexor",
        (_, 0x11) => "AppleUSBEthernet",
        _ => return None,
    })
}

/// iBoot's variables at the start of a stage: NVRAM, and above it what boot code sets itself.
pub fn environment(phone: &Phone, stage: Stage, build_version: &str) -> BTreeMap<String, String> {
    let state = phone.state();
    let new = state.version.major() >= 14;
    let img4 = phone.model.image == ImageFormat::Img4;
    let mut all: BTreeMap<String, String> = state.nvram.clone();
    let mut set = |name: &str, value: &str| {
        all.insert(name.to_owned(), value.to_owned());
    };
    set("build-version", build_version);
    set("build-style", "RELEASE");
    set("config_board", phone.model.board.trim_end_matches("ap"));
    set("image-version", if img4 { "0x4" } else { "0x3" });
    set("secure-boot", "0x1");
    set("loadaddr", if img4 { "0x801000000" } else { "0x41000000" });
    set("ramdisk-size", if new { "0x20000000" } else { "0x10000000" });
    match stage {
        Stage::Ibss => set("boot-stage", "1"),
        Stage::Ibec => set("boot-stage", "2"),
        _ => {}
    }
    if state.find_my {
        set("fm-activation-locked", "YES");
    }
    for (name, value) in [
        ("auto-boot", "true"),
        ("bootdelay", "0"),
        ("boot-command", "fsboot"),
        ("boot-partition", "0"),
        ("boot-device", "nvme_nand0"),
        ("boot-path", "/System/Library/Caches/com.apple.kernelcaches/kernelcache"),
        ("dt-path", "/usr/standalone/firmware/devicetree.img4"),
        ("backlight-level", "1505"),
        ("display-color-space", "ARGB8101010"),
        ("idle-off", "true"),
    ] {
        all.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virt::spec::PhoneSpec;
    use std::sync::Arc;

    fn phone(model: &str, version: &str) -> Arc<Phone> {
        let spec = PhoneSpec {
            model: model.into(),
            ecid: Some(Ecid(0x1A2B_3C4D_5E6F)),
            version: Some(version.parse().unwrap()),
            ..PhoneSpec::default()
        };
        Phone::new(spec, 0, 100.0).unwrap()
    }

    fn text(phone: &Phone, stage: Stage) -> String {
        serial(phone, stage, phone.ecid, &build_version(phone, "")).to_string()
    }

    #[test]
    fn strings_look_like_those_of_real_devices() {
        let x = phone("iPhone10,3", "16.6");
        assert_eq!(
            text(&x, Stage::Dfu),
            "CPID:8015 CPRV:11 CPFM:03 SCEP:01 BDID:06 ECID:00001A2B3C4D5E6F IBFL:3C SRTG:[iBoot-3332.0.0.1.23]"
        );
        assert_eq!(
            text(&x, Stage::Recovery),
            format!(
                "SDOM:01 CPID:8015 CPRV:11 CPFM:03 SCEP:01 BDID:06 ECID:00001A2B3C4D5E6F IBFL:3D SRNM:[{}]",
                x.serial
            )
        );
        let sixteen = phone("iPhone15,4", "26.4");
        assert_eq!(
            text(&sixteen, Stage::Dfu),
            format!(
                "SDOM:01 CPID:8120 CPRV:11 CPFM:03 SCEP:01 BDID:{:02X} ECID:00001A2B3C4D5E6F IBFL:3C SIKA:00 SRTG:[iBoot-7195.0.0.300.25]",
                sixteen.bdid.0
            )
        );
        assert!(text(&phone("iPhone7,2", "12.4"), Stage::Ibss).contains("IBFL:1D"));
        assert!(!text(&phone("iPhone7,2", "12.4"), Stage::Recovery).contains("SDOM"));
    }

    #[test]
    fn an_ibss_shows_as_dfu_up_to_a9() {
        assert_eq!(product(&phone("iPhone8,1", "15.8"), Stage::Ibss), Some(PID_DFU));
        assert_eq!(product(&phone("iPhone9,1", "15.8"), Stage::Ibss), Some(PID_RECOVERY));
        assert_eq!(product(&phone("iPhone4,1", "6.1.3"), Stage::Ibss), Some(PID_DFU));
    }

    #[test]
    fn nonce_strings_follow_the_generation() {
        let parse = |p: &Phone, stage| nonces(p, stage).map(|t| t.parse::<Nonces>().unwrap());
        let new = parse(&phone("iphone13", "26.4"), Stage::Dfu).unwrap();
        assert_eq!((new.ap.unwrap().len(), new.sep.unwrap().len()), (32, 20));
        let a8 = parse(&phone("iPhone7,2", "12.4"), Stage::Recovery).unwrap();
        assert_eq!(a8.ap.unwrap().len(), 20);
        assert_eq!(nonces(&phone("iPhone3,1", "6.1.3"), Stage::Dfu), None);
        let a5 = nonces(&phone("iPhone4,1", "6.1.3"), Stage::Ibss).unwrap();
        assert!(a5.starts_with(" NONC:") && a5.len() == 46);
    }
}
