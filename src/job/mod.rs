//! One device, one plan, one journal.
//!
//! `plan.rs` is what will be done, `record.rs` what was done, `next.rs` the pure function from the second
//! and the device as seen now to the next step. `walk.rs` is the only loop: it asks `next`, writes down
//! what it is about to do, does it, writes down that it did. `recover` and `resume` are the same loop with
//! an empty and a filled journal, so an interrupted job needs no code of its own. `batch` runs many such jobs.

pub mod batch;
mod certificate;
mod kit;
mod next;
mod once;
mod plan;
pub mod preflight;
mod record;
mod rehearsal;
mod sheet;
mod steps;
mod vigil;
mod walk;
mod warming;

pub use certificate::{certify, verify};
pub use kit::Kit;
pub use next::{Next, Seen, next};
pub use once::{Manifests, Verified};
pub use plan::{BackupPlan, FirmwarePlan, Plan, Way};
pub use record::{Entry, Fact, Record, Story};
pub use rehearsal::{Cost, Keeps, Rehearsal};
pub use sheet::report;
pub use steps::{Opened, prepare};
pub use walk::{Consents, Job};

#[cfg(test)]
pub(crate) use plan::sample;
