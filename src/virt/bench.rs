//! A whole bench: phones, the sockets they are reached by, and Apple.
//!
//! Everything lives in one folder: `usbmuxd` (the mux socket), `usb.sock` (the USB side for Herstel itself
//! where the preload library is missing), `emulated/` (the same for any libusb program), `apple/` (addresses
//! of the servers on loopback, one a file), `control.sock` (see [`super::control`]). Dropping it ends all.

use super::apple::Apple;
use super::ipsw::{BuiltIpsw, IpswSpec};
use super::mux::{HostRecords, Muxd};
use super::phone::{Phone, Stage, offered_system};
use super::spec::BenchSpec;
use super::usb::preload::{self, Emulation};
use super::usb::remote::{self, RemoteServer};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How fast a bench runs unless told otherwise: a restart of 8 s takes 0.8 s.
const PACE: f64 = 10.0;

pub struct Bench {
    pub folder: PathBuf,
    pub phones: Vec<Arc<Phone>>,
    pub apple: Apple,
    pub firmware: Vec<BuiltIpsw>,
    emulation: Option<Arc<Emulation>>,
    _muxd: Muxd,
    _remote: RemoteServer,
}

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("the bench's folder: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Spec(#[from] super::phone::SpecError),
    #[error("the bench has no phone")]
    Empty,
    #[error("the bench's firmware: {0}")]
    Firmware(String),
}

impl Bench {
    /// Builds the firmware that the phones need (cached in the folder) and starts everything.
    pub fn start(folder: &Path, spec: BenchSpec, image_bytes: u64) -> Result<Bench, BenchError> {
        std::fs::create_dir_all(folder)?;
        let pace = spec.pace.unwrap_or(PACE);
        let phones: Vec<Arc<Phone>> = spec
            .phones
            .into_iter()
            .enumerate()
            .map(|(place, phone)| Phone::new(phone, place, pace))
            .collect::<Result<_, _>>()?;
        if phones.is_empty() {
            return Err(BenchError::Empty);
        }
        let firmware = build_firmware(&folder.join("ipsw"), &phones, image_bytes)?;
        let apple = Apple::start(&folder.join("apple"), spec.apple, firmware.clone())?;
        let addresses = [
            ("catalogue", apple.catalogue_url()),
            ("appledb", apple.appledb_url()),
            ("ipswme", apple.ipswme_url()),
            ("tss", apple.tss_url()),
            ("keys", apple.aea_url()),
        ];
        for (name, url) in addresses {
            std::fs::write(folder.join("apple").join(name), url)?;
        }
        let records = Arc::new(HostRecords::new());
        let muxd = Muxd::start(&folder.join("usbmuxd"), phones.clone(), Arc::clone(&records))?;
        for phone in &phones {
            keep_booted(phone, &records);
        }
        // What a bench that was killed left behind.
        let emulated = folder.join("emulated");
        let _ = std::fs::remove_file(folder.join("usb.sock"));
        let _ = std::fs::remove_dir_all(&emulated);
        let remote = remote::serve(&folder.join("usb.sock"), phones.clone())?;
        let emulation = match preload::preload_library() {
            Some(_) => {
                std::fs::create_dir_all(&emulated)?;
                Some(Arc::new(Emulation::start(&emulated, phones.clone())?))
            }
            None => None,
        };
        Ok(Bench { folder: folder.to_owned(), phones, apple, firmware, emulation, _muxd: muxd, _remote: remote })
    }

    /// Is the USB side offered to any libusb program?
    pub fn is_emulated(&self) -> bool {
        self.emulation.is_some()
    }

    pub fn emulation(&self) -> Option<Arc<Emulation>> {
        self.emulation.clone()
    }

    /// What a program needs to see this bench and nothing else. With `emulated` (and the preload library
    /// there) libusb itself sees the phones.
    pub fn environment(&self, emulated: bool) -> Vec<(OsString, OsString)> {
        let mut list = environment(&self.folder);
        if let (true, Some(emulation)) = (emulated, &self.emulation) {
            list.extend(emulation.environment());
        }
        list
    }
}

/// The variables that point Herstel and libimobiledevice at the bench in `folder`.
pub fn environment(folder: &Path) -> Vec<(OsString, OsString)> {
    let mut socket = OsString::from("UNIX:");
    socket.push(folder.join("usbmuxd"));
    let mut list = vec![("HERSTEL_BENCH".into(), folder.into()), ("USBMUXD_SOCKET_ADDRESS".into(), socket)];
    for (key, name) in [
        ("HERSTEL_CATALOGUE_URL", "catalogue"),
        ("HERSTEL_APPLEDB_URL", "appledb"),
        ("HERSTEL_IPSWME_URL", "ipswme"),
        ("HERSTEL_TSS_URL", "tss"),
        ("HERSTEL_AEA_URL", "keys"),
    ] {
        if let Ok(url) = std::fs::read_to_string(folder.join("apple").join(name)) {
            list.push((key.into(), url.trim().into()));
        }
    }
    list
}

/// Starts what listens in a stage whenever the phone enters it.
fn keep_booted(phone: &Arc<Phone>, records: &Arc<HostRecords>) {
    let changes = phone.watch();
    let boot = |phone: &Arc<Phone>, records: &Arc<HostRecords>, stage: Stage| match stage {
        Stage::Normal => super::mux::boot(phone, records),
        Stage::Restore => super::restore::boot(phone),
        _ => {}
    };
    boot(phone, records, phone.stage());
    let (weak, records) = (Arc::downgrade(phone), Arc::clone(records));
    std::thread::spawn(move || {
        for change in changes {
            let Some(phone) = weak.upgrade() else { return };
            boot(&phone, &records, change.to);
        }
    });
}

fn build_firmware(folder: &Path, phones: &[Arc<Phone>], image_bytes: u64) -> Result<Vec<BuiltIpsw>, BenchError> {
    let mut by_build: BTreeMap<(String, String), Vec<&'static crate::facts::models::Model>> = BTreeMap::new();
    for phone in phones {
        let (version, build) = offered_system(phone.model);
        let models = by_build.entry((version.to_string(), build.to_string())).or_default();
        if !models.iter().any(|m| m.board == phone.model.board) {
            models.push(phone.model);
        }
    }
    let mut built = Vec::new();
    for ((version, build), models) in by_build {
        for model in models {
            let spec = IpswSpec::for_models(&[model], &version, &build, image_bytes);
            built.push(spec.build(folder).map_err(|e| BenchError::Firmware(e.to_string()))?);
        }
    }
    Ok(built)
}
