//! The descriptors of each mode, byte for byte as public dumps of real phones have them.
//!
//! Where no dump shows a byte it follows from the lengths: DFU's configuration is 25 bytes long with one
//! bare interface, which leaves seven for the functional descriptor of DFU 1.0; the audio configuration
//! of normal mode is 149 bytes long, which fits a format descriptor with exactly nine sampling rates.

use crate::facts::modes::{APPLE, PID_DFU, PID_RECOVERY};

/// Standard descriptor types.
pub const DEVICE: u8 = 1;
pub const CONFIGURATION: u8 = 2;
pub const STRING: u8 = 3;
pub const QUALIFIER: u8 = 6;

/// All that a host reads before it talks.
pub struct Set {
    pub device: [u8; 18],
    /// Whole configurations, interfaces and endpoints included.
    pub configurations: Vec<Vec<u8>>,
}

/// Endpoints of the multiplexor, where [`has_mux`].
pub const MUX_OUT: u8 = 0x04;
pub const MUX_IN: u8 = 0x85;

/// Has this configuration of normal mode the multiplexor?
pub const fn has_mux(configuration: u8) -> bool {
    matches!(configuration, 3 | 4)
}

/// `bcdDevice`.
pub const fn release(product: u16) -> u16 {
    if matches!(product, PID_DFU | PID_RECOVERY) { 0 } else { 0x1205 }
}

pub fn of(product: u16) -> Set {
    match product {
        PID_DFU => Set { device: device(product, [2, 3, 4], 1), configurations: vec![dfu()] },
        PID_RECOVERY => Set { device: device(product, [2, 3, 4], 1), configurations: vec![recovery()] },
        _ => Set {
            device: device(product, [1, 2, 3], 4),
            configurations: vec![ptp(), ipod(), mux(), mux_and_ethernet()],
        },
    }
}

fn device(product: u16, [maker, name, serial]: [u8; 3], configurations: u8) -> [u8; 18] {
    let [vendor_low, vendor_high] = APPLE.to_le_bytes();
    let [product_low, product_high] = product.to_le_bytes();
    let [release_low, release_high] = release(product).to_le_bytes();
    [
        18,
        DEVICE,
        0x00,
        0x02,
        0,
        0,
        0,
        64,
        vendor_low,
        vendor_high,
        product_low,
        product_high,
        release_low,
        release_high,
        maker,
        name,
        serial,
        configurations,
    ]
}

/// A high-speed device says what it would be at full speed: the same, here.
pub fn qualifier(configurations: u8) -> [u8; 10] {
    [10, QUALIFIER, 0x00, 0x02, 0, 0, 0, 64, configurations, 0]
}

/// String descriptor; 126 UTF-16 units at most.
pub fn string(text: &str) -> Vec<u8> {
    let units: Vec<u8> = text.encode_utf16().take(126).flat_map(u16::to_le_bytes).collect();
    let mut bytes = vec![units.len() as u8 + 2, STRING];
    bytes.extend(units);
    bytes
}

/// String descriptor 0: US English only.
pub const LANGUAGES: [u8; 4] = [4, STRING, 0x09, 0x04];

fn configuration(value: u8, interfaces: u8, text: u8, attributes: u8, body: &[&[u8]]) -> Vec<u8> {
    let length = (9 + body.iter().map(|b| b.len()).sum::<usize>()) as u16;
    let [low, high] = length.to_le_bytes();
    let mut bytes = vec![9, CONFIGURATION, low, high, interfaces, value, text, attributes, 250];
    body.iter().for_each(|b| bytes.extend_from_slice(b));
    bytes
}

const fn interface(number: u8, alternate: u8, endpoints: u8, class: [u8; 3], text: u8) -> [u8; 9] {
    [9, 4, number, alternate, endpoints, class[0], class[1], class[2], text]
}

const fn bulk(address: u8) -> [u8; 7] {
    [7, 5, address, 2, 0x00, 0x02, 0]
}

const fn interrupt(address: u8) -> [u8; 7] {
    [7, 5, address, 3, 64, 0, 10]
}

fn recovery() -> Vec<u8> {
    configuration(
        1,
        2,
        5,
        0x80,
        &[
            &interface(0, 0, 1, [0xFE, 1, 2], 0),
            &bulk(0x04),
            &interface(1, 0, 0, [0xFF, 0xFF, 0x51], 0),
            &interface(1, 1, 2, [0xFF, 0xFF, 0x51], 6),
            &bulk(0x81),
            &bulk(0x02),
        ],
    )
}

fn dfu() -> Vec<u8> {
    // Functional descriptor: downloads only, manifestation tolerant no, 0x800 bytes a packet.
    configuration(1, 1, 5, 0x80, &[&interface(0, 0, 0, [0xFE, 1, 0], 0), &[7, 0x21, 0x01, 0x0A, 0x00, 0x00, 0x08]])
}

fn camera(text: u8) -> Vec<u8> {
    [&interface(0, 0, 3, [6, 1, 1], text)[..], &bulk(0x02), &bulk(0x81), &interrupt(0x83)].concat()
}

fn muxer() -> Vec<u8> {
    [&interface(1, 0, 2, [0xFF, 0xFE, 2], 0x0F)[..], &bulk(MUX_OUT), &bulk(MUX_IN)].concat()
}

fn ptp() -> Vec<u8> {
    configuration(1, 1, 5, 0xC0, &[&camera(0x0E)])
}

fn ipod() -> Vec<u8> {
    let mut format = vec![8 + 3 * 9, 0x24, 2, 1, 2, 2, 16, 9];
    for rate in [8_000_u32, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000] {
        format.extend_from_slice(&rate.to_le_bytes()[..3]);
    }
    configuration(
        2,
        3,
        6,
        0xC0,
        &[
            &interface(0, 0, 0, [1, 1, 0], 0),
            &[9, 0x24, 1, 0x00, 0x01, 30, 0, 1, 1],
            &[12, 0x24, 2, 1, 0x01, 0x02, 0, 2, 3, 0, 0, 0],
            &[9, 0x24, 3, 2, 0x01, 0x01, 0, 1, 0],
            &interface(1, 0, 0, [1, 2, 0], 0),
            &interface(1, 1, 1, [1, 2, 0], 0),
            &[7, 0x24, 1, 2, 1, 1, 0],
            &format,
            &[9, 5, 0x81, 1, 192, 0, 4, 0, 0],
            &[7, 0x25, 1, 1, 0, 0, 0],
            &interface(2, 0, 1, [3, 0, 0], 0),
            &[9, 0x21, 0x11, 0x01, 0, 1, 0x22, 96, 0],
            &[7, 5, 0x83, 3, 64, 0, 1],
        ],
    )
}

fn mux() -> Vec<u8> {
    configuration(3, 2, 7, 0xC0, &[&camera(0x1B), &muxer()])
}

fn mux_and_ethernet() -> Vec<u8> {
    let data = [bulk(0x86), bulk(0x05)].concat();
    configuration(
        4,
        3,
        8,
        0xC0,
        &[
            &camera(0x1B),
            &muxer(),
            &interface(2, 0, 0, [0xFF, 0xFD, 1], 0x11),
            &interface(2, 1, 2, [0xFF, 0xFD, 1], 0x11),
            &data,
            &interface(2, 2, 2, [0xFF, 0xFD, 1], 0x11),
            &data,
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::modes::PID_IPHONE;

    /// Walks a configuration by its length bytes and counts interfaces (alternates apart).
    fn walk(bytes: &[u8]) -> (usize, u8) {
        let (mut at, mut interfaces) = (0, 0);
        while let Some(&length) = bytes.get(at) {
            assert!(length >= 2, "a descriptor of length {length} at {at}");
            if bytes[at + 1] == 4 && bytes[at + 3] == 0 {
                interfaces += 1;
            }
            at += usize::from(length);
        }
        (at, interfaces)
    }

    #[test]
    fn totals_are_those_of_public_dumps() {
        for (product, totals) in
            [(PID_RECOVERY, vec![57]), (PID_DFU, vec![25]), (PID_IPHONE, vec![0x27, 0x95, 0x3E, 0x75])]
        {
            let set = of(product);
            assert_eq!(usize::from(set.device[17]), totals.len());
            for (configuration, total) in set.configurations.iter().zip(totals) {
                assert_eq!(configuration.len(), total, "{product:04x}");
                assert_eq!(u16::from_le_bytes([configuration[2], configuration[3]]), total as u16);
                assert_eq!(walk(configuration), (total, configuration[4]));
            }
        }
    }

    #[test]
    fn the_mux_configuration_is_the_dumped_one() {
        let dump = "09023e00020307c0fa 09040000030601011b 07050202000200 07058102000200 0705830340000a \
                    0904010002fffe020f 07050402000200 07058502000200";
        let hex: String = mux().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, dump.replace(' ', ""));
    }
}
