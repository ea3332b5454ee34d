//! Firmware: which build, from where, is it whole, and what is inside.
//!
//! The way of a file: catalogues make offers and are merged, with a note of who said what (`catalogue`);
//! an offer becomes a file in the store (`fetch`, `store`), which is addressed by content, since Apple's
//! names mean different things in different builds; the file is opened once and read by position
//! (`ipsw`), the identity for one board is picked (`choice`), what can be verified inside is (`verify`), and the
//! root image is served to any number of devices from one open file (`image`).
//!
//! Whether a build is *signed* is never decided here: catalogues only choose what to download, TSS answers
//! with the device's own nonce.

mod archive;
#[cfg(test)]
mod archive_tests;
pub mod baseband;
pub mod catalogue;
pub mod choice;
mod chunks;
mod directory;
mod fetch;
mod gather;
mod image;
mod ipsw;
mod remote;
#[cfg(test)]
mod remote_tests;
mod signed;
mod store;
#[cfg(test)]
mod store_tests;
mod tidy;
#[cfg(test)]
mod tiny;
mod unpacked;
mod verify;

pub use archive::{Entry, Method};
pub use catalogue::{Catalogue, Disagreement, Firmware, Told};
pub use chunks::{CHUNK, ChunkSha1};
pub use fetch::fetch;
pub use gather::{Asked, Gathered, gather};
pub use image::{Piece, RootImage};
pub use ipsw::{Ipsw, StoredEntry};
pub use remote::{Remote, read_manifest};
pub use signed::{Answer, Probe, Signed};
pub use store::{Check, Record, Store, Stored};
pub use tidy::old;
pub use unpacked::Unpacked;
pub use verify::{Checked, Tally, Verdict, verify_components};
