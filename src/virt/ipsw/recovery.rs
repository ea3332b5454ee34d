//! The recovery system of the iPhone 16 and later: what its identity names.
//!
//! Which components Apple's has is not known here; hosts take whatever is in the manifest. Some files are the
//! main system's, others are its own under names that the main system has too, so that a host that mixes
//! the two is found out.

use super::content::disk_image;
use super::parts::{Digested, Images, Parts, Rules};

impl Parts<'_> {
    pub(super) fn recovery_system(&mut self, images: &Images) {
        let (target, board, iboot) = (self.era.target(), self.era.model.board, self.era.iboot());
        let shared = [
            ("iBEC", "ibec", format!("Firmware/dfu/iBEC.{target}.RELEASE.im4p"), iboot.as_str(), 260_000),
            (
                "DeviceTree",
                "dtre",
                format!("Firmware/all_flash/DeviceTree.{board}.im4p"),
                "EmbeddedDeviceTrees-1",
                90_000,
            ),
            ("AppleLogo", "logo", "Firmware/all_flash/applelogo@2x~iphone.im4p".to_owned(), "EmbeddedImages-1", 12_000),
        ];
        let own = [
            (
                "KernelCache",
                "krnl",
                format!("kernelcache.recovery.{}", self.era.family()),
                "KernelCacheBuilder-1",
                1_500_000,
            ),
            ("StaticTrustCache", "trst", format!("Firmware/{}.trustcache", images.recovery), "1", 9_000),
            ("SystemVolume", "isys", format!("Firmware/{}.root_hash", images.recovery), "1", 229),
            ("Ap,SystemVolumeCanonicalMetadata", "msys", format!("Firmware/{}.mtree", images.recovery), "1", 20_000),
        ];
        for (name, fourcc, path, version, size) in shared.into_iter().chain(own) {
            self.image(&path, fourcc, version, size);
            self.add(name, &path, &[]);
        }
        self.firmware();
        let seed = format!("{} {}", images.recovery, self.era.build);
        self.raw(&images.recovery, || disk_image(&seed, false, 2_500_000));
        let part = self.add("OS", &images.recovery, &[]);
        part.digested = Digested::Plain;
        part.personalize = Some(false);
        part.rules = Rules::Current;
    }
}
