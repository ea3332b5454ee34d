//! USB descriptors: what a device says of itself before anybody talks to it.
//!
//! Lengths in them come from the device, and devices lie: bLength 0 would walk in a circle, a total may be
//! longer or shorter than what was sent, counts may not add up. So a walk goes on only by whole descriptors
//! inside of what really arrived, stops at the first lie that hides where the next one begins, and keeps
//! what was read until there ([`Configuration::is_whole`] says whether that is all). Nothing is allocated by
//! a number that the device gave.

use super::WireError;

pub const DEVICE: u8 = 1;
pub const CONFIGURATION: u8 = 2;
pub const STRING: u8 = 3;
pub const INTERFACE: u8 = 4;
pub const ENDPOINT: u8 = 5;
pub const QUALIFIER: u8 = 6;

/// `bRequest` of GET_DESCRIPTOR; its value is the type in the high byte and the index in the low one.
pub const GET_DESCRIPTOR: u8 = 6;
/// Bytes of a device descriptor.
pub const DEVICE_LENGTH: usize = 18;
/// Longest configuration that is looked into, in bytes; a phone's longest is 149.
pub const CONFIGURATION_CAP: usize = 4096;
/// Settings of interfaces, and endpoints of one setting, that are kept.
const SETTINGS_CAP: usize = 64;
const ENDPOINTS_CAP: usize = 32;
/// UTF-16 units that fit into one string descriptor.
const UNITS_CAP: usize = 126;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceDescriptor {
    /// `bcdUSB`, e.g. 0x0200.
    pub usb: u16,
    /// Class, subclass, protocol.
    pub class: [u8; 3],
    /// Packet size of endpoint 0.
    pub packet: u8,
    pub vendor: u16,
    pub product: u16,
    /// `bcdDevice`.
    pub release: u16,
    /// Indices of strings, 0 for none.
    pub maker: u8,
    pub name: u8,
    pub serial: u8,
    pub configurations: u8,
}

impl DeviceDescriptor {
    /// # Errors
    /// Fewer than 18 bytes, or another type. Its length byte is not believed: the layout is fixed.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        const WHAT: &str = "device descriptor";
        let Some(&[_, kind, u0, u1, c0, c1, c2, packet, v0, v1, p0, p1, r0, r1, maker, name, serial, configurations]) =
            bytes.first_chunk::<DEVICE_LENGTH>()
        else {
            return Err(WireError::Short { what: WHAT });
        };
        if kind != DEVICE {
            return Err(WireError::malformed(WHAT, format!("type {kind}")));
        }
        let word = |low, high| u16::from_le_bytes([low, high]);
        Ok(DeviceDescriptor {
            usb: word(u0, u1),
            class: [c0, c1, c2],
            packet,
            vendor: word(v0, v1),
            product: word(p0, p1),
            release: word(r0, r1),
            maker,
            name,
            serial,
            configurations,
        })
    }

    pub fn to_bytes(&self) -> [u8; DEVICE_LENGTH] {
        let [u0, u1] = self.usb.to_le_bytes();
        let [v0, v1] = self.vendor.to_le_bytes();
        let [p0, p1] = self.product.to_le_bytes();
        let [r0, r1] = self.release.to_le_bytes();
        let [c0, c1, c2] = self.class;
        let Self { packet, maker, name, serial, configurations, .. } = *self;
        let length = DEVICE_LENGTH as u8;
        [length, DEVICE, u0, u1, c0, c1, c2, packet, v0, v1, p0, p1, r0, r1, maker, name, serial, configurations]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Bit 7: towards the host.
    pub address: u8,
    /// The low two bits: 0 control, 1 isochronous, 2 bulk, 3 interrupt.
    pub attributes: u8,
    /// Bytes of one packet.
    pub packet: u16,
}

/// One setting of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    pub number: u8,
    pub alternate: u8,
    /// Class, subclass, protocol.
    pub class: [u8; 3],
    /// Index of a string, 0 for none.
    pub text: u8,
    pub endpoints: Vec<Endpoint>,
}

/// A configuration with all that hangs below it; class descriptors are passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    pub value: u8,
    /// Index of a string, 0 for none.
    pub text: u8,
    pub attributes: u8,
    pub interfaces: Vec<Interface>,
    /// Lengths and counts were true and nothing was left out.
    pub is_whole: bool,
}

impl Configuration {
    /// # Errors
    /// Only for what does not begin as a configuration; lies further on end the walk instead.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        const WHAT: &str = "configuration descriptor";
        let Some(&[length, kind, total0, total1, count, value, text, attributes, _]) = bytes.first_chunk::<9>() else {
            return Err(WireError::Short { what: WHAT });
        };
        if kind != CONFIGURATION {
            return Err(WireError::malformed(WHAT, format!("type {kind}")));
        }
        let total = usize::from(u16::from_le_bytes([total0, total1]));
        let end = bytes.len().min(total.max(9)).min(CONFIGURATION_CAP);
        let mut read = Configuration { value, text, attributes, interfaces: Vec::new(), is_whole: true };
        let mut rest = bytes.get(usize::from(length).max(9)..end).unwrap_or_default();
        while !rest.is_empty() {
            let Some((one, after)) = cut(rest) else {
                read.is_whole = false;
                break;
            };
            read.is_whole &= read.take(one);
            rest = after;
        }
        let mut numbers: Vec<u8> = read.interfaces.iter().map(|i| i.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        read.is_whole &= end == total && length == 9 && numbers.len() == usize::from(count);
        Ok(read)
    }

    /// The setting of an interface, if there is such a one.
    pub fn setting(&self, number: u8, alternate: u8) -> Option<&Interface> {
        self.interfaces.iter().find(|i| (i.number, i.alternate) == (number, alternate))
    }

    /// Takes one descriptor in; false for a lie or one too many.
    fn take(&mut self, one: &[u8]) -> bool {
        match *one {
            [_, INTERFACE, number, alternate, _, c0, c1, c2, text, ..] => {
                let fits = self.interfaces.len() < SETTINGS_CAP && self.setting(number, alternate).is_none();
                if fits {
                    let class = [c0, c1, c2];
                    self.interfaces.push(Interface { number, alternate, class, text, endpoints: Vec::new() });
                }
                fits
            }
            [_, ENDPOINT, address, attributes, p0, p1, ..] => match self.interfaces.last_mut() {
                Some(interface) if interface.endpoints.len() < ENDPOINTS_CAP => {
                    interface.endpoints.push(Endpoint { address, attributes, packet: u16::from_le_bytes([p0, p1]) });
                    true
                }
                _ => false,
            },
            [_, DEVICE | CONFIGURATION | INTERFACE | ENDPOINT, ..] => false,
            _ => true,
        }
    }
}

/// Cuts the first descriptor off; none when its length is a lie.
fn cut(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(*bytes.first()?);
    if length < 2 { None } else { bytes.split_at_checked(length) }
}

/// The text of a string descriptor, as far as it arrived; half pairs become U+FFFD. None: it is none.
pub fn string(descriptor: &[u8]) -> Option<String> {
    let [length, STRING, ..] = *descriptor else { return None };
    let units = descriptor.get(2..usize::from(length).min(descriptor.len()))?;
    let units: Vec<u16> = units.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    Some(String::from_utf16_lossy(&units))
}

/// A text as its descriptor; what does not fit is left out.
pub fn string_descriptor(text: &str) -> Vec<u8> {
    let mut units: Vec<u16> = Vec::new();
    for c in text.chars().take_while(|c| *c != '\0') {
        let mut room = [0; 2];
        let encoded = c.encode_utf16(&mut room);
        if units.len() + encoded.len() > UNITS_CAP {
            break;
        }
        units.extend_from_slice(encoded);
    }
    let mut bytes = vec![units.len() as u8 * 2 + 2, STRING];
    bytes.extend(units.into_iter().flat_map(u16::to_le_bytes));
    bytes
}

/// The first language of string descriptor 0.
pub fn language(descriptor: &[u8]) -> Option<u16> {
    match *descriptor {
        [length, STRING, low, high, ..] if length >= 4 => Some(u16::from_le_bytes([low, high])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Recovery mode, as public dumps of two devices have it.
    const RECOVERY: &[u8] = &[
        9, 2, 57, 0, 2, 1, 5, 0x80, 250, 9, 4, 0, 0, 1, 0xFE, 1, 2, 0, 7, 5, 0x04, 2, 0, 2, 0, 9, 4, 1, 0, 0, 0xFF,
        0xFF, 0x51, 0, 9, 4, 1, 1, 2, 0xFF, 0xFF, 0x51, 6, 7, 5, 0x81, 2, 0, 2, 0, 7, 5, 0x02, 2, 0, 2, 0,
    ];

    fn with(changes: &[(usize, u8)]) -> Configuration {
        let mut bytes = RECOVERY.to_vec();
        changes.iter().for_each(|(at, to)| bytes[*at] = *to);
        Configuration::parse(&bytes).unwrap()
    }

    #[test]
    fn a_configuration_is_read_whole() {
        let whole = with(&[]);
        assert!(whole.is_whole);
        assert_eq!((whole.value, whole.text, whole.interfaces.len()), (1, 5, 3));
        let console = whole.setting(1, 1).unwrap();
        assert_eq!((console.class, console.text), ([0xFF, 0xFF, 0x51], 6));
        let ends: Vec<_> = console.endpoints.iter().map(|e| (e.address, e.attributes, e.packet)).collect();
        assert_eq!(ends, [(0x81, 2, 512), (0x02, 2, 512)]);
        assert!(whole.setting(1, 2).is_none());
    }

    #[test]
    fn lies_about_lengths_end_the_walk_and_are_told() {
        for (changes, settings) in [
            (&[(9, 0)][..], 0),
            (&[(9, 1)], 0),
            (&[(18, 0)], 1),
            (&[(25, 255)], 1),
            (&[(34, 24)], 2),
            (&[(2, 0)], 0),
            (&[(2, 30)], 1),
            (&[(2, 58)], 3),
            (&[(3, 255)], 3),
            (&[(4, 9)], 3),
            (&[(0, 0)], 3),
            (&[(0, 255)], 0),
            (&[(18, 6), (24, 1)], 1),
        ] {
            let read = with(changes);
            assert!(!read.is_whole, "{changes:?}");
            assert_eq!(read.interfaces.len(), settings, "{changes:?}");
        }
        for bad in [&[][..], &[9, 2, 57, 0], &[9, 1, 57, 0, 2, 1, 5, 0x80, 250]] {
            assert!(Configuration::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn too_many_are_not_kept() {
        let mut bytes = RECOVERY[..9].to_vec();
        for number in 0..=255 {
            bytes.extend([9, 4, number, 0, 255, 0, 0, 0, 0]);
        }
        for address in 0..=255 {
            bytes.extend([7, 5, address, 2, 0, 2, 0]);
        }
        let length = (bytes.len() as u16).to_le_bytes();
        bytes[2..4].copy_from_slice(&length);
        let read = Configuration::parse(&bytes).unwrap();
        assert_eq!((read.interfaces.len(), read.is_whole), (SETTINGS_CAP, false));
        assert!(read.interfaces.iter().all(|i| i.endpoints.len() <= ENDPOINTS_CAP));
    }

    #[test]
    fn string_descriptors_are_read_with_care() {
        assert_eq!(string(&[6, 3, b'A', 0, b'B', 0]).as_deref(), Some("AB"));
        assert_eq!(string(&[200, 3, b'A', 0, b'B']).as_deref(), Some("A"));
        assert_eq!(string(&[2, 3]).as_deref(), Some(""));
        assert_eq!(string(&[4, 3, 0x3D, 0xD8]).as_deref(), Some("\u{FFFD}"));
        for bad in [&[][..], &[1], &[0, 3], &[1, 3], &[6, 2, 0, 0]] {
            assert_eq!(string(bad), None, "{bad:?}");
        }
        assert_eq!(
            (language(&[4, 3, 9, 4]), language(&[2, 3, 9, 4]), language(&[4, 3, 9])),
            (Some(0x0409), None, None)
        );
        assert_eq!(string_descriptor(&"\u{1F4F1}".repeat(100)).len(), 254);
    }

    fn settings() -> impl Strategy<Value = Vec<Interface>> {
        let endpoint = (any::<u8>(), any::<u8>(), any::<u16>()).prop_map(|(address, attributes, packet)| Endpoint {
            address,
            attributes,
            packet,
        });
        let interface = (any::<[u8; 3]>(), any::<u8>(), prop::collection::vec(endpoint, 0..6));
        prop::collection::btree_map((0u8..8, 0u8..4), interface, 0..12).prop_map(|map| {
            let one = |((number, alternate), (class, text, endpoints))| Interface {
                number,
                alternate,
                class,
                text,
                endpoints,
            };
            map.into_iter().map(one).collect()
        })
    }

    fn encode(interfaces: &[Interface], between: &[u8]) -> Vec<u8> {
        let mut bytes = vec![9, CONFIGURATION, 0, 0, 0, 1, 5, 0x80, 250];
        let mut numbers: Vec<u8> = Vec::new();
        for interface in interfaces {
            let [c0, c1, c2] = interface.class;
            let ends = interface.endpoints.len() as u8;
            bytes.extend([9, INTERFACE, interface.number, interface.alternate, ends, c0, c1, c2, interface.text]);
            bytes.extend([between.len() as u8 + 2, 0x24]);
            bytes.extend(between);
            for e in &interface.endpoints {
                let [p0, p1] = e.packet.to_le_bytes();
                bytes.extend([7, ENDPOINT, e.address, e.attributes, p0, p1, 0]);
            }
            numbers.push(interface.number);
        }
        numbers.dedup();
        bytes[4] = numbers.len() as u8;
        let length = (bytes.len() as u16).to_le_bytes();
        bytes[2..4].copy_from_slice(&length);
        bytes
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(interfaces in settings(), between in prop::collection::vec(any::<u8>(), 0..20)) {
            let read = Configuration::parse(&encode(&interfaces, &between)).unwrap();
            prop_assert!(read.is_whole);
            prop_assert_eq!(read.interfaces, interfaces);
        }

        #[test]
        fn any_bytes_give_bounded_answers(bytes in prop::collection::vec(any::<u8>(), 0..600), start in 0usize..3) {
            let mut bytes = bytes;
            let begin: &[u8] = [&[][..], &[9, 2], &[9, 2, 0xFF, 0xFF, 1, 1, 0, 0, 0, 9, 4]][start];
            bytes.iter_mut().zip(begin).for_each(|(b, to)| *b = *to);
            if let Ok(read) = Configuration::parse(&bytes) {
                let ends: usize = read.interfaces.iter().map(|i| i.endpoints.len()).sum();
                prop_assert!(9 + read.interfaces.len() * 9 + ends * 6 <= bytes.len().max(9));
            }
            if let Some(text) = string(&bytes) {
                prop_assert!(text.chars().count() <= UNITS_CAP + 1);
            }
            let _ = language(&bytes);
            if let Ok(device) = DeviceDescriptor::parse(&bytes) {
                prop_assert_eq!(DeviceDescriptor::parse(&device.to_bytes()), Ok(device));
            }
        }

        #[test]
        fn a_text_comes_back(text in "[^\\x00]{0,150}") {
            let back = string(&string_descriptor(&text)).unwrap();
            prop_assert!(text.starts_with(&back));
            prop_assert!(back == text || back.encode_utf16().count() >= UNITS_CAP - 1);
        }
    }
}
