//! Many devices at once.

use clap::Args;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub struct BatchArgs {
    /// The file that says which devices and what is done with each; with --watch alone, batch.toml of the
    /// configuration folder
    #[arg(required_unless_present_any = ["watch", "resume", "retry_failed"], conflicts_with_all = ["resume", "retry_failed"])]
    pub file: Option<PathBuf>,
    /// Take each device that is plugged in, as [watch] of the file says, until Ctrl-C
    #[arg(long, conflicts_with_all = ["resume", "retry_failed"])]
    pub watch: bool,
    /// Go on with a batch that was interrupted; without a name the newest that is not over
    #[arg(long, value_name = "BATCH", num_args = 0..=1, default_missing_value = "")]
    pub resume: Option<String>,
    /// Go on, and try the devices again that had failed, as if nothing was tried
    #[arg(long)]
    pub retry_failed: bool,
    /// Say every step and its cost for each device, look whether it could run, and stop; nothing is touched
    #[arg(long, conflicts_with_all = ["resume", "retry_failed"])]
    pub dry_run: bool,
    /// Lines that say what a person did: `done 3` for row 3. A file, a named pipe that scripts write to, or `-` for
    /// standard input; at a terminal the board has keys for it
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub orders: Option<PathBuf>,
    /// Instead of the question: erase all devices that the file names by full ECID or UDID
    #[arg(long)]
    pub yes_erase_all: bool,
    /// Instead of the question: erase whatever is at these stations, e.g. 1,2,3
    #[arg(long, value_name = "STATIONS", value_delimiter = ',')]
    pub yes_erase_stations: Vec<u32>,
}
