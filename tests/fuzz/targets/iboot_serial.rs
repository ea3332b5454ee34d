//! Serial and nonce strings of recovery and DFU: any text is read without a panic, in bounds, and what was
//! believed is believed again when it is written.
#![no_main]

use herstel::wire::iboot::{IbootSerial, Nonces};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // A device's string arrives as UTF-16 and is made a text with what cannot be read replaced.
    let text = String::from_utf8_lossy(bytes);
    let (serial, flaws) = IbootSerial::read(&text);
    assert!(serial.others.len() <= 33 && flaws.len() <= text.len() + 1);
    let (chip, board) = serial.application_processor();
    assert!(board.is_none() || chip.is_some() || serial.long_board.is_none());
    let (again, flaws) = IbootSerial::read(&serial.to_string());
    assert!(flaws.is_empty() || serial == IbootSerial::default(), "{flaws:?} in {serial}");
    assert_eq!(again, serial);
    if text.parse::<IbootSerial>().is_ok() {
        assert_ne!(serial, IbootSerial::default());
    }
    if let Ok(nonces) = text.parse::<Nonces>() {
        assert_eq!(nonces.to_string().parse::<Nonces>().as_ref(), Ok(&nonces));
        assert_eq!(nonces.with_leading_blank().parse::<Nonces>(), Ok(nonces));
    }
});
