//! The virtual bench and the demo on it.

use crate::say::scenario::Scenario;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Args, Debug)]
pub struct DemoArgs {
    /// iphone13, iphone5s, iphone8, ipad-pro-m4, or any other model
    #[arg(long = "model", default_value = "iphone13", value_name = "MODEL")]
    pub model: String,
    /// Megabytes of the system image
    #[arg(long, default_value_t = 64, value_name = "MB")]
    pub image: u64,
    /// Keep the bench's folder (backups, firmware, journal) here
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// A forgotten passcode instead: from the questions to a phone that works
    #[arg(long, value_enum, value_name = "SITUATION")]
    pub scenario: Option<Situation>,
    /// A whole shop instead: eight devices at once, three that fail and recover, one that needs a person
    #[arg(long, conflicts_with = "scenario")]
    pub shop: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Situation {
    /// A backup, Find My is on, the account's password is known
    #[value(alias = "a")]
    BackupAndPassword,
    /// A computer that it trusts, Find My is off
    #[value(alias = "b")]
    TrustedComputer,
    /// No backup, the account's password is known
    #[value(alias = "c")]
    NoBackup,
    /// The account is lost too
    #[value(alias = "d")]
    AccountLost,
    /// One after the other
    All,
}

impl Situation {
    pub fn all(self) -> &'static [Scenario] {
        match self {
            Situation::BackupAndPassword => &[Scenario::BackupAndPassword],
            Situation::TrustedComputer => &[Scenario::TrustedComputer],
            Situation::NoBackup => &[Scenario::NoBackup],
            Situation::AccountLost => &[Scenario::AccountLost],
            Situation::All => Scenario::ALL,
        }
    }
}

#[derive(Subcommand, Debug)]
pub enum BenchVerb {
    /// Put phones on the bench and serve until stopped
    Up {
        /// A model; may be given several times
        #[arg(long = "model", value_name = "MODEL")]
        models: Vec<String>,
        /// A TOML file that describes phones and faults
        #[arg(long, value_name = "FILE")]
        spec: Option<PathBuf>,
        /// Megabytes of the system image
        #[arg(long, default_value_t = 64, value_name = "MB")]
        image: u64,
        /// Also on the kernel's virtual USB controller (root; module vhci-hcd): every program sees them
        #[arg(long)]
        vhci: bool,
    },
    /// Stop the bench
    Down,
    /// What is on the bench
    Status,
    /// Shell lines that point programs at the bench
    Env,
    /// What a phone accepted, as JSON lines
    Memory {
        /// Its place on the bench, from 0
        #[arg(default_value_t = 0)]
        phone: usize,
    },
    /// Press keys of a phone, e.g. `side+down:10 down:8`; `-` does what `guide --json` on standard input asks
    Press {
        /// Keys with seconds: key[+key]:seconds, in order; or -
        #[arg(required = true)]
        keys: Vec<String>,
        /// Its place on the bench, from 0
        #[arg(long, default_value_t = 0)]
        phone: usize,
    },
    /// Put a phone into a mode at once, without keys
    Put {
        /// The mode it is in then
        #[arg(value_enum)]
        stage: PutStage,
        /// Its place on the bench, from 0
        #[arg(long, default_value_t = 0)]
        phone: usize,
    },
    /// Run a program inside the emulated USB bus
    Run {
        /// The program and its arguments
        #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
        program: Vec<String>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PutStage {
    Normal,
    Recovery,
    Dfu,
    Off,
}
