//! IPSWs in the real layout, made on the spot for the models on the bench.
//!
//! Nothing of Apple's is in them: payloads are noise. Everything around the payloads is as real files have it:
//! the zip (64-bit, root image stored), IM4P components with their fourccs, a manifest with erase, update and
//! research identities whose digests are those of the bytes, encrypted images from iOS 18 on, archives for
//! the modem, tables for Rose. So whoever opens, verifies, signs or restores one does what they would do
//! with Apple's. The list of components follows the era of the system and the chip (see `parts` and `era`).
//!
//! Phones since the iPhone 16 have a recovery system in an identity of its own, with its own root image.
//!
//! Phones with IMG3 (A6 and older) get IMG3 files and no SEP; their digests leave the signature out.
//!
//! Building takes about a second, so files are kept: under a digest of their specification in the caller's
//! folder, published by a rename.

mod accessories;
mod content;
mod era;
pub(in crate::virt) mod loader;
pub(in crate::virt) mod modem;
mod pack;
mod parts;
mod plists;

#[cfg(test)]
mod tests;

use crate::facts::models::Model;
use crate::ids::{BuildId, ProductType, Version};
use content::RootImage;
use era::Era;
use parts::Images;
use plists::{Author, dict, xml};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Changes whenever the builder's output does: older files in a cache are not used then.
const FORMAT: u32 = 4;
const SIDECAR: &str = "built.json";
const MANIFEST: &str = "BuildManifest.plist";

/// An IPSW on disk.
#[derive(Clone, Debug)]
pub struct BuiltIpsw {
    pub path: PathBuf,
    /// As Apple's CDN would call it: `iPhone14,5_27.0.1_24A446_Restore.ipsw`.
    pub name: String,
    /// Lower-case hex.
    pub sha1: String,
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// The first of `products`.
    pub product: ProductType,
    pub products: Vec<ProductType>,
    pub build: BuildId,
    pub version: Version,
    /// `BuildManifest.plist` as it is in the file.
    pub manifest: Arc<[u8]>,
}

/// What an IPSW is to be made of.
#[derive(Clone, Debug)]
pub struct IpswSpec {
    models: Vec<&'static Model>,
    version: String,
    build: String,
    image_bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct Sidecar {
    sha1: String,
    sha256: String,
    size: u64,
}

impl IpswSpec {
    /// One file for all of `models`, with a root image of `image_bytes` (at least 1 MiB).
    pub fn for_models(models: &[&'static Model], version: &str, build: &str, image_bytes: u64) -> IpswSpec {
        IpswSpec {
            models: models.to_vec(),
            version: version.to_owned(),
            build: build.to_owned(),
            image_bytes: image_bytes.max(content::SMALLEST),
        }
    }

    /// Takes the file from `folder`, or builds it there.
    ///
    /// # Errors
    /// `InvalidInput` for no model, or for a version or build that is none; else what the disk says.
    pub fn build(&self, folder: &Path) -> io::Result<BuiltIpsw> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("{what} is none"));
        let version: Version = self.version.parse().map_err(|_| invalid(&self.version))?;
        let build: BuildId = self.build.parse().map_err(|_| invalid(&self.build))?;
        let mut products: Vec<ProductType> = self.models.iter().map(|m| m.product.clone()).collect();
        products.dedup();
        let Some(product) = products.first().cloned() else { return Err(invalid("the list of models")) };
        let names: Vec<&str> = products.iter().map(ProductType::as_str).collect();
        let name = format!("{}_{version}_{build}_Restore.ipsw", names.join(","));
        let place = folder.join(self.key());
        if !place.join(SIDECAR).exists() {
            self.make(folder, &place, &name, &version, &build)?;
        }
        let sidecar: Sidecar =
            serde_json::from_slice(&std::fs::read(place.join(SIDECAR))?).map_err(io::Error::other)?;
        let path = place.join(&name);
        if std::fs::metadata(&path)?.len() != sidecar.size {
            return Err(io::Error::other(format!("{} was changed", path.display())));
        }
        let manifest = std::fs::read(place.join(MANIFEST))?.into();
        let Sidecar { sha1, sha256, size } = sidecar;
        Ok(BuiltIpsw { path, name, sha1, sha256, size, product, products, build, version, manifest })
    }

    fn key(&self) -> String {
        let boards: Vec<&str> = self.models.iter().map(|m| m.board).collect();
        let whole = format!("{FORMAT} {} {} {} {}", boards.join(","), self.version, self.build, self.image_bytes);
        pack::hex(&Sha256::digest(whole)[..10])
    }

    fn make(&self, folder: &Path, place: &Path, name: &str, version: &Version, build: &BuildId) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let working = tempfile::Builder::new().prefix(".building-").tempdir_in(folder)?;
        let eras: Vec<Era<'_>> = self.models.iter().map(|model| Era { model, version, build }).collect();
        let Some(first) = eras.first().copied() else { return Ok(()) };
        let images = Images::new(&first);
        let (system, number) = (version.to_string(), build.to_string());
        let root =
            RootImage::new(self.image_bytes, first.is_encrypted(), first.model.product.as_str(), &system, &number);
        let mut author = Author::new(eras, images, root);
        let manifest = author.manifest()?;
        let restore = author.restore_plist()?;
        let mut plists = vec![(MANIFEST, manifest.clone()), ("Restore.plist", restore)];
        if first.train() >= 20 {
            let long = first.long_version();
            plists.push(("RestoreVersion.plist", xml(dict([("RestoreLongVersion", long.into())]))?));
            let said = [
                ("ProductBuildVersion", number.as_str().into()),
                ("ProductName", "iPhone OS".into()),
                ("ProductVersion", system.as_str().into()),
            ];
            plists.push(("SystemVersion.plist", xml(dict(said))?));
        }
        let root = (author.images.root.as_str(), &author.root);
        let stored = [author.images.recovery.as_str()];
        let whole = pack::write(&working.path().join(name), &plists, &author.files, &stored, root)?;
        std::fs::write(working.path().join(MANIFEST), &manifest)?;
        let sidecar = Sidecar { sha1: whole.sha1, sha256: whole.sha256, size: whole.size };
        std::fs::write(working.path().join(SIDECAR), serde_json::to_vec(&sidecar).map_err(io::Error::other)?)?;
        match std::fs::rename(working.path(), place) {
            // Somebody else built the same meanwhile.
            Err(_) if place.join(SIDECAR).exists() => Ok(()),
            done => done,
        }
    }
}
