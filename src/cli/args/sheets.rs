//! Sheets: of a device, and of a job.

use super::Format;
use clap::Args;
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
pub struct ReportArgs {
    /// The job; without it the newest one
    pub job: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
