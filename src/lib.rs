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
//! 3 work       job ── report  doctor     one device, one plan, one journal; the sheet; is this host ready?
//!                │
//!              restore  backup           the two engines
//!                │        │
//!              firmware triage guide     which build; which way out; which buttons
//!                └────┬───┘
//!                   device               who is who across modes
//!                     │
//! 2 hands      usb   mux   net   disk    all IO, each behind one door        virt   the bench: virtual devices
//!                └────┴──┬──┴────┘                                             │    reached through real bytes
//! 1 knowledge  facts   wire   say        tables; bytes <-> values; texts ──────┘
//!                        │
//! 0 words      ids   event   fault       newtypes, events, one error type for people
//! ```
//!
//! `cable -> Sighting -> Device -> Plan -> steps -> journal -> Report` is the one walk through it.
//!
//! The library never prints, exits or reads the environment; that is `cli`'s.
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
