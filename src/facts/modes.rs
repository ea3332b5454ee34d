//! USB product ids and what they mean.

use crate::ids::Mode;

pub const APPLE: u16 = 0x05AC;
pub const PID_DFU: u16 = 0x1227;
pub const PID_WTF: u16 = 0x1222;
pub const PID_RECOVERY: u16 = 0x1281;
pub const PID_PORT_DFU: u16 = 0xF014;
pub const PID_KIS: u16 = 0x1881;
pub const PID_PWNED: u16 = 0x1338;
pub const PID_IPHONE: u16 = 0x12A8;
pub const PID_IPAD: u16 = 0x12AB;
pub const PID_IPOD: u16 = 0x12AA;

/// The mode that a product id of Apple's stands for. Normal and restore mode share theirs: only
/// lockdown's `QueryType` tells them apart, so both read [`Mode::Normal`] here. None: not a phone at all
/// (keyboards, hubs) .
pub fn of_product(pid: u16) -> Option<Mode> {
    Some(match pid {
        0x1280..=0x1283 => Mode::Recovery,
        PID_DFU => Mode::Dfu,
        PID_WTF => Mode::Wtf,
        PID_PORT_DFU => Mode::PortDfu,
        PID_KIS => Mode::Kis,
        PID_PWNED => Mode::Unknown,
        0x1290..=0x12AF | 0x1901..=0x1905 | 0x8600 => Mode::Normal,
        _ => return None,
    })
}

/// The product id that a device of this family shows in normal and restore mode.
pub fn normal_product(product_type: &str) -> u16 {
    if product_type.starts_with("iPad") {
        PID_IPAD
    } else if product_type.starts_with("iPod") {
        PID_IPOD
    } else {
        PID_IPHONE
    }
}
