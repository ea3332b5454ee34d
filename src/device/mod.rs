//! Who is on the bench, in which state.
//!
//! `sight.rs` turns what USB and usbmuxd show into [`Device`]s, `fleet.rs` keeps one entry per ECID over
//! modes and replugs, `choose.rs` picks the one that a person means, `stations.rs` numbers the ports. ECID pins everything (law 1).

mod choose;
mod consent;
mod fleet;
mod intake;
mod patience;
mod sheet;
mod sight;
#[cfg(test)]
mod sight_tests;
mod state;
pub mod stations;

pub use choose::choose;
pub use consent::{Consent, Deed, Given};
pub use fleet::{Change, Fleet};
pub use intake::{Intake, intake, whole_intake};
pub use sheet::{Datum, Known, Sheet};
pub use sight::{Eyes, Look, look};
pub use state::{Access, Device, Iboot, Identity, Likeness, Normal, Restoring, Row, State, Trust};
pub use stations::{Book, Station, Stations};
