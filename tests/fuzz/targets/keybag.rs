//! Keybags of encrypted backups: any bytes are read without a panic, in bounds, and what was believed is believed
//! again when it is written.
#![no_main]

use herstel::wire::keybag::{Keybag, MAX_BYTES, MAX_CLASSES, MAX_ITERATIONS};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(keybag) = Keybag::parse(bytes) else { return };
    assert!(bytes.len() <= MAX_BYTES && keybag.classes.len() <= MAX_CLASSES);
    for rounds in std::iter::once(&keybag.rounds).chain(&keybag.first_rounds) {
        assert!((1..=MAX_ITERATIONS).contains(&rounds.iterations) && !rounds.salt.is_empty());
    }
    assert_eq!(Keybag::parse(&keybag.build()), Ok(keybag));
});
