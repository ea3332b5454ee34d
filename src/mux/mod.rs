//! usbmuxd, pairing, lockdown and its services.
//!
//! The sockets and the plist framing are ours: both usbmuxd and a device are "outside" (law 7), so lengths
//! are capped, every wait ends, and refusals arrive as typed words. From `idevice` come the parts that are
//! sound and hard: the pairing certificates, AFC and the small services. Its types do not leave this room.

mod address;
mod afc;
mod battery;
mod certificates;
mod crashes;
mod direct;
#[cfg(test)]
mod direct_tests;
mod duties;
#[cfg(test)]
mod garbage_tests;
mod guard;
mod lockdown;
mod organisation;
mod pairing;
mod power;
mod preboard;
mod record;
mod socket;
#[cfg(test)]
mod tests;
mod tls;
mod trust;

pub use address::MuxAddress;
pub use battery::battery;
pub use crashes::crash_reports;
pub use direct::Direct;
pub use duties::{
    AppInfo, MediaFiles, Notices, SyncLock, apps, free_bytes, media_files, post_notice, put_restore_applications,
    remove_restore_applications,
};
pub use lockdown::{Lockdown, LockdownError, Session};
pub use organisation::cloud_configuration;
pub use pairing::{Unpaired, forget, pair, pair_by_udid, unpair};
pub use power::{enter_recovery, restart, shut_down};
pub use preboard::Preboard;
pub use record::PairRecord;
pub use socket::{Mux, MuxDevice, MuxError, MuxEvent};

use std::fmt::Debug;
use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream to a port of a device, with or without TLS around it.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send + Sync + Debug {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync + Debug> Duplex for T {}

pub type BoxDuplex = Box<dyn Duplex>;

/// What we call ourselves towards devices.
pub const LABEL: &str = "herstel";
