//! Device, configuration and string descriptors: whatever the lengths in them say, answers stay within what
//! arrived.
#![no_main]

use herstel::wire::usb::{self, Configuration, DeviceDescriptor};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(device) = DeviceDescriptor::parse(bytes) {
        assert_eq!(DeviceDescriptor::parse(&device.to_bytes()), Ok(device));
    }
    if let Ok(read) = Configuration::parse(bytes) {
        let ends: usize = read.interfaces.iter().map(|i| i.endpoints.len()).sum();
        assert!(9 + read.interfaces.len() * 9 + ends * 6 <= bytes.len());
        for setting in &read.interfaces {
            assert_eq!(read.setting(setting.number, setting.alternate), Some(setting));
        }
    }
    if let Some(text) = usb::string(bytes) {
        assert!(text.encode_utf16().count() <= 126 + 1);
        let back = usb::string(&usb::string_descriptor(&text));
        assert!(back.is_some_and(|back| text.starts_with(&back)));
    }
    let _ = usb::language(bytes);
});
