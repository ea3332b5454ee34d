//! Many devices: one file, one queue, one journal, and a job for each device.
//!
//! `file.rs` reads what is asked, and `strict.rs` names each key of it that nobody knows. `policy.rs` decides after a
//! failure, `queue.rs` is the pure machine that starts and ends rows, `record.rs` the journal from which an interrupted batch is made again. `run.rs` is the only loop, and
//! `attempt.rs` one try of one row. `messenger.rs` tells the outside, beside all that: `hooks.rs` runs programs,
//! `webhook.rs` posts to servers, and neither can hold a batch up.
//!
//! A person is part of it. What only a person can do is told as data (`Wants`, and in `presses.rs` the keys of a model);
//! that it was done is seen on USB where USB shows it, and else it is said: `Setup::said` brings the numbers of rows, from
//! the keys of a board or from lines that a script writes. Who says so is believed: at worst a try is spent. No password
//! is in the file or in a journal, only where one can be read.

mod attempt;
mod file;
mod hooks;
mod messenger;
mod policy;
mod presses;
mod queue;
mod record;
mod run;
mod strict;
mod webhook;

pub use attempt::job_end;
pub use file::{Asked, BatchFile, Hooks, MAX_FILE, MAX_LIMIT, Ownership, Pin, Retry, Task, Watch, Webhook};
pub use messenger::Messenger;
pub use policy::{Miss, Verdict, courses, verdict};
pub use queue::{End, Here, Input, Order, PER_CONTROLLER, Queue, Row, Rules};
pub use record::{Agreed, Entry, JobEnd, Recalled, Record, Story, fresh, recall};
pub use run::{Book, Place, Places, Planned, Planner, Setup, Summary, run};
pub use webhook::{Topic, signature};
