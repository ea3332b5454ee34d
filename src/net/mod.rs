//! The network: Apple's catalogues, Apple's CDN, Apple's signing server.
//!
//! Nothing that comes in here is trusted. A URL found in a document is only followed to Apple's own hosts
//! (`hosts`); a document that is empty, cut or a portal's web page is refused and the last good copy is
//! used instead, with its date (`feed`); a file is hashed while it arrives and is either what the
//! catalogue said or goes to quarantine (`fetch`); a ticket is refused by the device if it is wrong, so
//! for TSS it is enough to tell a refusal from a silence (`tss`). What the ramdisk asks to be fetched
//! during a restore goes through `relay`, under the same rule of hosts.
//!
//! Every wait ends: connecting has a limit, silence has a limit, a document has a limit as a whole. A
//! download of ten gigabytes has none as long as bytes come.

mod attempt;
mod digests;
mod feed;
mod fetch;
#[cfg(test)]
mod fetch_tests;
mod hosts;
mod http;
#[cfg(test)]
pub(crate) mod loopback;
mod part;
mod pieces;
mod post;
mod ranges;
mod reach;
mod relay;
mod tss;
mod wide;
#[cfg(test)]
mod wide_tests;

pub use digests::{Digests, Sums, hash_file, hex, unhex};
pub use feed::{Document, Shape, document};
pub use fetch::{Fetched, Place, Turn, Wanted, fetch};
pub use hosts::{DEVICE_HOSTS, Endpoints, Hosts, is_loopback};
pub use http::{Http, Limits};
pub(crate) use part::quarantine;
pub use ranges::Ranges;
pub use reach::{Probe, Reached, reach};
pub use relay::{Relayed, RelayedRequest};
pub use reqwest::Url;
pub use tss::Tss;
