//! BuildManifest.plist and Restore.plist: any bytes are read without a panic, and a choice is only ever one of the
//! identities for that board, never a research one.
#![no_main]

use herstel::wire::manifest::{Behaviour, BuildManifest, RestorePlist};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = RestorePlist::parse(bytes);
    let Ok(manifest) = BuildManifest::parse(bytes) else { return };
    for identity in &manifest.identities {
        for behaviour in [Behaviour::Erase, Behaviour::Update] {
            let Ok(chosen) = manifest.choose(identity.cpid, identity.bdid, None, behaviour) else { continue };
            assert_eq!((chosen.cpid, chosen.bdid), (identity.cpid, identity.bdid));
            assert!(!chosen.variant.contains("Research"), "{}", chosen.variant);
        }
    }
});
