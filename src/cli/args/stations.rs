//! Stations: numbers for the USB ports of a bench.

use clap::{Args, Subcommand};

#[derive(Args, Debug)]
pub struct StationsArgs {
    #[command(subcommand)]
    pub verb: Option<StationsVerb>,
}

#[derive(Subcommand, Debug)]
pub enum StationsVerb {
    /// Number ports by plugging a device in and pressing Enter
    Teach {
        /// The first number; without it the lowest that is free
        #[arg(long, value_name = "N")]
        from: Option<u32>,
    },
    /// Number a port by name, for scripts
    Set {
        /// The number of the station
        #[arg(value_name = "N")]
        number: u32,
        /// As `list` shows it, e.g. 1-1.4
        port: String,
        /// A word for people, e.g. "by the window"
        #[arg(long, value_name = "TEXT")]
        label: Option<String>,
    },
    /// Take numbers away
    Forget {
        /// The numbers of the stations
        #[arg(value_name = "N", required = true)]
        numbers: Vec<u32>,
    },
}
