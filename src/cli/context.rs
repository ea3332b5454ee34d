//! What all verbs share: the environment, read once, and the hands made of it.
//!
//! `HERSTEL_BENCH` points at a running bench: its USB bus and its usbmuxd then stand in for the real ones.
//! Inside `bench run` nothing is special: libusb itself sees the bench, as it would see a phone.

use super::args::Common;
use super::cancel::{self, Leaving};
use super::show::Show;
use crate::device::{self, Device, Eyes, look};
use crate::disk::Folders;
use crate::event::{Step, Teller};
use crate::facts::{models, table};
use crate::fault::{Code, Fault};
use crate::mux::{Mux, MuxAddress};
use crate::net::{Endpoints, Http, Limits};
use crate::say::Lang;
use crate::usb::{Bus, LibUsb};
use crate::virt::usb::remote::RemoteBus;
use etcetera::base_strategy::Xdg;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;

pub struct Context {
    pub common: Common,
    pub lang: Lang,
    pub cancel: CancellationToken,
    leaving: Leaving,
    bench: Option<PathBuf>,
    show: OnceLock<Arc<Show>>,
}

pub fn env(key: &str) -> Option<String> {
    std::env::var(key).ok().filter(|v| !v.is_empty())
}

/// Takes the person's own device table in, if there is one. Once, before anything is looked up.
pub fn own_device_table() -> Result<(), Fault> {
    let Ok(base) = Xdg::new() else { return Ok(()) };
    let path = Folders::of(&base).device_table();
    let file = match fs_err::File::open(&path) {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|e| Fault::disk(&e))?,
    };
    let mut bytes = Vec::new();
    file.take(table::FILE_CAP as u64 + 1).read_to_end(&mut bytes).map_err(|e| Fault::disk(&e))?;
    let name = path.display().to_string();
    let text = String::from_utf8(bytes).map_err(|_| Fault::new(Code::ConfigInvalid, format!("{name}: not UTF-8")))?;
    let rows = models::extend(&name, &text)?;
    tracing::info!(rows, file = name, "own device table");
    Ok(())
}

impl Context {
    pub fn new(common: Common, lang: Lang) -> Result<Self, Fault> {
        let leaving = Leaving::default();
        Ok(Context {
            cancel: cancel::watch(lang, leaving.clone()),
            common,
            lang,
            leaving,
            bench: env("HERSTEL_BENCH").map(PathBuf::from),
            show: OnceLock::new(),
        })
    }

    /// Everything that this process sees comes from a bench.
    pub fn is_virtual(&self) -> bool {
        self.bench.is_some() || env("UMOCKDEV_DIR").is_some()
    }

    /// `HERSTEL_BENCH_HASTE`: limits of waits are divided by it, so that a bench's silent phone need not be waited for
    /// as long as a real one. Without a bench it means nothing.
    pub fn haste(&self) -> u32 {
        let asked = env("HERSTEL_BENCH_HASTE").filter(|_| self.is_virtual());
        asked.and_then(|text| text.parse().ok()).unwrap_or(1).clamp(1, 1000)
    }

    /// What leaving now would mean, for a listener of its own.
    pub fn leaving(&self) -> Leaving {
        self.leaving.clone()
    }

    /// The one listener of this run.
    pub fn show(&self) -> Teller {
        let show =
            self.show.get_or_init(|| Show::new(self.lang, self.common.json, self.is_virtual(), self.leaving.clone()));
        Arc::clone(show) as Teller
    }

    /// The listener of a run that meets nothing but a bench of its own. Instead of [`Context::show`], not beside it.
    pub fn show_virtual(&self) -> Teller {
        let show = self.show.get_or_init(|| Show::new(self.lang, self.common.json, true, self.leaving.clone()));
        Arc::clone(show) as Teller
    }

    pub fn eyes(&self) -> Result<Eyes, Fault> {
        let bus: Arc<dyn Bus> = match &self.bench {
            Some(folder) if env("UMOCKDEV_DIR").is_none() => {
                let socket = folder.join("usb.sock");
                Arc::new(
                    RemoteBus::connect(&socket)
                        .map_err(|e| Fault::new(Code::BenchUnavailable, format!("{}: {e}", socket.display())))?,
                )
            }
            Some(_) => Arc::new(LibUsb::inside_bench()?),
            None if self.is_virtual() => Arc::new(LibUsb::inside_bench()?),
            None => Arc::new(LibUsb::new()?),
        };
        Ok(Eyes::new(bus, Mux::new(self.mux_address()?), self.is_virtual()))
    }

    fn mux_address(&self) -> Result<MuxAddress, Fault> {
        if let Some(text) = env("USBMUXD_SOCKET_ADDRESS") {
            return text.parse().map_err(|e| Fault::new(Code::Usage, format!("USBMUXD_SOCKET_ADDRESS: {e}")));
        }
        Ok(match &self.bench {
            Some(folder) => MuxAddress::Unix(folder.join("usbmuxd")),
            None => MuxAddress::default(),
        })
    }

    /// The one device that `-d` names; a look at everything.
    pub async fn device(&self, eyes: &Eyes) -> Result<Device, Fault> {
        let seen = look(eyes).await;
        let chosen = device::choose(&seen.devices, self.common.device.as_deref());
        let chosen = match (chosen, seen.devices.is_empty(), seen.mux.or(seen.usb)) {
            // With nothing seen at all, a deaf host is the better explanation.
            (Err(_), true, Some(deaf)) => Err(deaf),
            (chosen, ..) => chosen,
        };
        chosen.map_err(|fault| fault.during(Step::Find))
    }

    pub fn folders(&self) -> Result<Folders, Fault> {
        let base = Xdg::new().map_err(|e| Fault::new(Code::DiskError, format!("no home folder: {e}")))?;
        Ok(Folders::of(&base))
    }

    pub fn endpoints(&self) -> Result<Endpoints, Fault> {
        let from_bench = |name: &str| {
            let file = self.bench.as_ref()?.join("apple").join(name);
            std::fs::read_to_string(file).ok().map(|t| t.trim().to_owned())
        };
        let url = |key: &str, name: &str| env(key).or_else(|| from_bench(name));
        Endpoints::new(
            url("HERSTEL_CATALOGUE_URL", "catalogue").as_deref(),
            url("HERSTEL_APPLEDB_URL", "appledb").as_deref(),
            url("HERSTEL_IPSWME_URL", "ipswme").as_deref(),
            url("HERSTEL_TSS_URL", "tss").as_deref(),
        )?
        .with_keys(url("HERSTEL_AEA_URL", "keys").as_deref())
    }

    pub fn http(&self) -> Result<(Http, Endpoints), Fault> {
        let endpoints = self.endpoints()?;
        Ok((Http::new(&endpoints, Limits::default().shortened(self.haste())), endpoints))
    }
}
