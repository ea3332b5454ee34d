//! Which station a device is at: the stations of this computer, or of the bench, and the kernel's word on ports.

use super::context::Context;
use crate::device::{Book, Device, Row, Stations};
use crate::disk::root::Root;
use crate::fault::Fault;
use crate::ids::PortPath;
use crate::usb::topology::Topology;
use std::path::Path;

pub struct Places {
    pub stations: Stations,
    pub topology: Topology,
}

impl Places {
    /// # Errors
    /// A file of stations that is wrong.
    pub fn of(context: &Context) -> Result<Places, Fault> {
        Ok(Places { stations: book(context)?.read()?, topology: topology(context) })
    }

    pub fn number(&self, port: &PortPath) -> Option<u32> {
        self.stations.at(&self.topology, port).map(|station| station.number)
    }

    pub fn of_device(&self, device: &Device) -> Option<u32> {
        self.number(device.who().port.as_ref()?)
    }

    /// For lists: by station, what is at none at the end.
    pub fn order(&self, device: &Device) -> u32 {
        self.of_device(device).unwrap_or(u32::MAX)
    }

    /// The row of `list`, with its station.
    pub fn row(&self, device: &Device) -> Row {
        Row { station: self.of_device(device), ..device.row() }
    }
}

pub fn book(context: &Context) -> Result<Book, Fault> {
    let folders = context.folders()?;
    Ok(Book::new(folders.stations(context.is_virtual()), &folders.locks()))
}

/// Ports of a bench that stands in for the bus have the names of real ones, and the kernel knows nothing of them.
pub fn topology(context: &Context) -> Topology {
    if context.is_virtual() { Topology::unknown() } else { Topology::of(Root::new(Path::new("/"))) }
}
