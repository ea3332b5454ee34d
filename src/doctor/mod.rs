//! Is this host ready?
//!
//! Checks with a verdict and, where it is bad, a fault whose text is the remedy. Nothing is repaired: what a
//! person should run is said. The first checks are the ones without which nothing works.

use crate::disk;
use crate::fault::{Code, Fault};
use crate::mux::Mux;
use crate::usb::Bus;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

/// Room for one firmware file and a small backup.
const ROOM: u64 = 20_000_000_000;

#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// A stable word.
    pub name: &'static str,
    pub good: bool,
    /// What was seen, in English.
    pub seen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

impl Check {
    fn of(name: &'static str, result: Result<String, Fault>) -> Self {
        match result {
            Ok(seen) => Check { name, good: true, seen, fault: None },
            Err(fault) => Check { name, good: false, seen: fault.detail.clone(), fault: Some(fault) },
        }
    }
}

/// Runs all checks; `folders` are the ones that will be written to.
pub async fn examine(bus: Arc<dyn Bus>, mux: &Mux, folders: &[(&'static str, &Path)]) -> Vec<Check> {
    let mut checks = Vec::new();
    let muxed = mux.devices().await.map_err(Fault::from);
    let seen = muxed.map(|d| format!("usbmuxd at {} shows {} devices", mux.address(), d.len()));
    checks.push(Check::of("usbmuxd", seen));
    let name = bus.name().to_owned();
    let usb = tokio::task::spawn_blocking(move || bus.devices()).await;
    let usb = usb.map_err(|e| Fault::new(Code::Internal, e.to_string())).and_then(|r| r.map_err(Fault::from));
    match usb {
        Err(fault) => checks.push(Check::of("usb", Err(fault))),
        Ok(devices) => {
            checks.push(Check::of("usb", Ok(format!("{name} shows {} devices of Apple's", devices.len()))));
            let refused: Vec<_> = devices.iter().filter(|d| d.no_access).map(|d| d.port.to_string()).collect();
            let rights = if refused.is_empty() {
                Ok("every device node may be opened".to_owned())
            } else {
                Err(Fault::new(Code::UsbNoAccess, format!("no rights for {}", refused.join(", "))))
            };
            checks.push(Check::of("usb-rights", rights));
        }
    }
    for (name, folder) in folders {
        checks.push(Check::of(name, room(folder)));
    }
    checks
}

/// The free space of the folder, or of the nearest one above it that exists.
fn room(folder: &Path) -> Result<String, Fault> {
    let there = folder.ancestors().find(|f| f.exists()).unwrap_or(folder);
    let free = disk::free_space(there)?;
    let seen = format!("{} GB free for {}", free / 1_000_000_000, folder.display());
    if free < ROOM { Err(Fault::new(Code::DiskFull, seen)) } else { Ok(seen) }
}
