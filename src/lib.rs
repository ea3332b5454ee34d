//! Herstel brings iPhones and iPads back.
//!
//! # The house
//!
//! Rooms are flat under `src/`; floors are an import rule. Arrows go down only, and `tests/house.rs`
//! reads the `use crate::` lines and holds it.
//!
//! ```text
//! 4 people     cli                       arguments, prompts, bars, tables, JSON, exit codes: the only room that prints
//!                │
//! 3 work       job                       one device, one plan, one journal; `job::batch`: many of them at once
//!                │
//!              report                    sheets, certificates, bundles
//!                │
//!              restore  backup           the two engines
//!                │        │
//!              firmware triage guide     which build; which way out; which buttons;
//!                │    doctor  │          is this host ready?
//!                └────┬───────┘
//!                   device               who is who across modes; stations; consent as a value
//!                     │
//! 2 hands      usb   mux   net           all IO, each behind one door           virt   the bench: virtual devices and
//!                └────┼────┘                                                      │    Apple on loopback, reached through
//!                   disk                 atomic files, locks, journals            │    real bytes; only cli and tests
//!                     │                                                           │    start it
//! 1 knowledge  facts   wire   say        tables; bytes <-> values; texts ─────────┘
//!                        │
//! 0 words      ids   event   fault       newtypes, events, stable words, one error type for people
//! ```
//!
//! `cable -> Device -> Plan -> steps -> journal -> Report` is the one walk through it: `device` sees, `triage`
//! says what can be saved, `job` makes the plan and writes the journal before each step, `backup`, `firmware`
//! and `restore` do the work, `guide` leads a person's fingers where no command is taken, `report` tells what
//! was done. `resume` is the same walk with a filled journal.
//!
//! A shop walks it many times at once. `job::batch` decides in a pure queue who goes next and what a failure asks of
//! the next try, and runs the same jobs with one look at the bus and one firmware store. What it decides is in a
//! journal of its own, so that `batch --resume` finds each row where it stood. `device` knows which cable is which
//! station, [`event::batch`] is all that a board, lines or JSON need, and hooks and webhooks hear the same.
//! `report` signs what a journal bears out and nothing else.
//!
//! # What holds everywhere
//!
//! - ECID pins everything: a stranger's device is never accepted for the one that is meant.
//! - A destructive function takes a [`device::Consent`], made from the very deed and what a person gave.
//! - Journal before action; older backups are never touched; firmware that fails its digest is set aside.
//! - One job for an ECID at a time: a lock sees to that, across processes.
//! - Every wait ends, and every length from outside is capped before anything is allocated.
//! - The library never prints, exits or reads the environment; that is `cli`'s.
//! - The bench and the tool share knowledge and words, no more; other people's clients judge the bench.
#![forbid(unsafe_code)]

pub mod event;
pub mod fault;
pub mod ids;

pub mod facts;
pub mod say;
pub mod wire;

pub mod disk;
pub mod mux;
pub mod net;
pub mod usb;

pub mod virt;

pub mod backup;
pub mod device;
pub mod doctor;
pub mod firmware;
pub mod guide;
pub mod job;
pub mod report;
pub mod restore;
pub mod triage;

pub mod cli;
