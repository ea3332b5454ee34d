//! Sheets: of a device, and of a job.

use super::Format;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Args, Debug)]
pub struct InfoArgs {
    /// As two lines for a spreadsheet: names and values
    #[arg(long, conflicts_with = "compare")]
    pub csv: bool,
    /// Write the sheet as a page to print (HTML), with a label to scan
    #[arg(long, value_name = "FILE")]
    pub paper: Option<PathBuf>,
    /// Keep the sheet in a file, as `--json` prints it, for `--compare` later
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// What has changed since this saved sheet of the same device
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ReportArgs {
    #[command(subcommand)]
    pub verb: Option<ReportVerb>,
    /// The job; without it the newest one
    pub job: Option<String>,
    /// For people, programs, a spreadsheet or a browser
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Write a signed record of the erasure, with the journal that bears it out
    #[arg(long, value_name = "FILE", conflicts_with_all = ["bundle", "format"])]
    pub certificate: Option<PathBuf>,
    /// With --certificate: a sheet that `info --save` kept of this device, for its serial number
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub intake: Option<PathBuf>,
    /// With --certificate: the record as a page to print and sign (HTML)
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub paper: Option<PathBuf>,
    /// Write a zip for whoever helps you, with numbers and names shortened
    #[arg(long, value_name = "FILE", conflicts_with = "format")]
    pub bundle: Option<PathBuf>,
    /// With --bundle: what `herstel doctor --json` printed
    #[arg(long, value_name = "FILE", requires = "bundle")]
    pub doctor: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
pub enum ReportVerb {
    /// Check a certificate's file: its bytes, its hashes, its signature, and whether it says what its journal says; offline
    #[command(
        after_help = "Exit codes: 0 right and signed by a known key, 3 right and signed by an unknown key, 7 not right"
    )]
    Verify {
        /// The certificate
        file: PathBuf,
        /// The key that it must be signed with, as `report --certificate` prints it
        #[arg(long, value_name = "HEX")]
        key: Option<String>,
    },
}
