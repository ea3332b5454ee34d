//! Backups: somebody's only copy of their photos.
//!
//! ```text
//!            Vault ── Desk (lock) ── Work ───────────────► Generation
//!                                     │  clone of the last good one, or what an interruption left
//!   device ◄── Link ── engine ──► WorkTree                     │
//!                                     │ DigestBook        browse, extract, restore
//!                                     └── verify ── publish
//! ```
//!
//! The phone runs the backup: it asks for listings, moves and removals in a folder of the host, and the host obeys.
//! So the engine ([`backup`], [`restore`], [`change_password`]) is a servant with a policy, and the safety is
//! elsewhere: the phone only ever sees a [`WorkTree`] that belongs to this one run, no path leads out of it, no file
//! in it is ever opened for writing a second time, and it becomes a [`Generation`] by one rename after it was
//! verified. A cut at any byte costs the run, never a generation.
//!
//! The engine is synchronous and generic over [`Wire`], so it runs on its own thread over whatever the mux room
//! opened, and in the tests over a socket pair with a phone that lies.

mod browse;
mod cancel;
mod checked;
mod clone;
mod conduct;
mod crypt;
mod digests;
#[doc(hidden)]
pub mod doors;
mod encryption;
mod ending;
mod engine;
mod export;
mod finding;
mod hold;
mod info_plist;
mod link;
mod manifest;
mod mbfile;
mod outside;
mod patience;
mod plists;
mod preflight;
mod prove;
mod prune;
mod publish;
mod receive;
mod retention;
mod save;
mod send;
mod tally;
mod tree;
mod vault;
mod verify;
mod work;

#[cfg(test)]
mod tests;

pub use browse::{Filter, Opened, Row, browse, extract, find};
pub use cancel::Cancel;
pub use checked::{Check, Checks};
pub use clone::How;
pub use conduct::{Made, PutBackOptions, look_before, make, put_back};
pub use crypt::{Keys, Unlock, check_password};
pub use encryption::{Change, Encryption, Wish, encryption, set_encryption};
pub use engine::{BackupOptions, Received, Sent, backup, change_password, restore};
pub use export::{Exported, export};
pub use finding::{Finding, Verdict};
pub use info_plist::{InfoFacts, guid_of};
pub use link::Wire;
pub use patience::Patience;
pub use plists::Summary;
pub use preflight::Preflight;
pub use prove::{Difference, Held, Proof, Why, compare};
pub use prune::PrunePlan;
pub use receive::FileError;
pub use retention::{Keep, Standing, retention};
pub use save::{Saved, save};
pub use tally::{Kind, Tally};
pub use tree::WorkTree;
pub use vault::{Desk, Generation, Record, Vault};
pub use verify::{Depth, verify, verify_with};
pub use work::Work;

pub use crate::wire::devicelink::request::{Password, RestoreOptions};
