//! What can be typed. Help, man pages and completions all come from here.

mod advice;
mod backups;
mod bench;
mod explain;
mod firmware;
mod sheets;
mod shop;
mod stations;

pub use advice::{CardArgs, DoctorArgs, GuideArgs, ScreenArgs, TriageArgs, Way};
pub use backups::{BackupArgs, BackupsVerb, EncryptVerb, NewPasswordArgs, PasswordArgs, PutBackArgs};
pub use bench::{BenchVerb, DemoArgs, PutStage, Situation};
pub use explain::{CodeSpace, ExplainArgs};
pub use firmware::{CacheVerb, FirmwareVerb};
pub use sheets::{InfoArgs, ReportArgs, ReportVerb};
pub use shop::BatchArgs;
pub use stations::{StationsArgs, StationsVerb};

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

const BATCH_ENDS: &str = "Exit codes: 0 all done, 4 nothing failed and what is left needs a person, 3 some done and \
                          some failed, 1 none done and some failed, 2 the file is wrong, 130 cancelled";

#[derive(Parser, Debug)]
#[command(
    name = "herstel",
    version,
    about = "Brings iPhones and iPads back: backs up, restores with verified firmware, puts the backup back",
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 partly done, 4 a person must act, 5 no such device, \
                  6 host not ready, 7 verification failed, 8 not signed by Apple, 130 cancelled",
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Args, Debug, Clone)]
pub struct Common {
    /// Which device: its ECID, UDID, serial number or name, or a beginning that fits only one
    #[arg(short, long, global = true, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Language of the texts: en or nl (default: from the locale)
    #[arg(long, global = true, value_name = "LANG")]
    pub lang: Option<String>,
    /// Print JSON lines on standard output; texts for people go to standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// Say more on standard error; twice for the protocol
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Every device in every mode
    List {
        /// Go on and print changes
        #[arg(long)]
        watch: bool,
        /// Go on, with a row for each device and station: a screen on a terminal, else a line for each change
        #[arg(long, conflicts_with = "watch")]
        board: bool,
    },
    /// Numbers for the USB ports of a bench; without a verb they are listed
    Stations(StationsArgs),
    /// The intake sheet of one device
    Info(InfoArgs),
    /// Ask a device to trust this computer
    Pair {
        /// Seconds to wait for the person: unlock, tap Trust, passcode
        #[arg(long, default_value_t = 120, value_name = "SECONDS")]
        wait: u64,
        /// Forget the old trust first, and ask anew
        #[arg(long)]
        reset: bool,
    },
    /// Give up the trust of a device; a stale one is forgotten here
    Unpair,
    /// Which keys to press, and watch that it worked
    Guide(GuideArgs),
    /// Which way out, and what is lost: questions, what the device tells, one plan
    Triage(TriageArgs),
    /// Back up a trusted device, verified, beside the previous backup
    Backup(BackupArgs),
    /// The backups that were made
    Backups {
        #[command(subcommand)]
        verb: BackupsVerb,
        /// Where backups are kept
        #[arg(long, global = true, value_name = "DIR")]
        vault: Option<PathBuf>,
    },
    /// Firmware from Apple's catalogue
    Firmware {
        #[command(subcommand)]
        verb: FirmwareVerb,
    },
    /// Restore a device with firmware that is signed and verified
    Restore(RestoreArgs),
    /// The main job: back up, fetch, restore, put the backup back
    Recover(RecoverArgs),
    /// Go on after an interruption
    Resume {
        /// The job; without it the newest unfinished one
        job: Option<String>,
        /// Coach a person's hands where no command is taken, even without a terminal
        #[arg(long)]
        by_hand: bool,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Many devices at once, as a file says
    #[command(after_help = BATCH_ENDS)]
    Batch(BatchArgs),
    /// The report of a job
    Report(ReportArgs),
    /// Advice to print: accounts, codes, locks, before a repair
    Card(CardArgs),
    /// Is this computer ready? Twenty questions, with what was seen and what helps
    Doctor(DoctorArgs),
    /// What a code of iTunes, Finder, a device, Apple's server or Herstel means, and what helps; offline
    #[command(after_help = "Exit codes: 0 at least one code is known, 1 none is, 2 usage")]
    Explain(ExplainArgs),
    /// The main job on a virtual iPhone
    Demo(DemoArgs),
    /// The virtual bench: phones that any program can talk to
    Bench {
        #[command(subcommand)]
        verb: BenchVerb,
        /// The bench's folder
        #[arg(long, global = true, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Man pages and completions, for packages; the udev rule, on standard output
    #[command(hide = true)]
    Generate {
        #[arg(value_enum)]
        what: Generate,
        /// Folder to write into
        #[arg(required_if_eq_any = [("what", "man"), ("what", "completions")])]
        folder: Option<PathBuf>,
    },
}

#[derive(Args, Debug)]
pub struct RestoreArgs {
    /// Coach a person's hands where no command is taken, even without a terminal
    #[arg(long)]
    pub by_hand: bool,
    /// Erase everything
    #[arg(long, conflicts_with = "update", required_unless_present = "update")]
    pub erase: bool,
    /// Keep the data
    #[arg(long)]
    pub update: bool,
    /// This file instead of the catalogue's newest
    #[arg(long, value_name = "FILE")]
    pub ipsw: Option<PathBuf>,
    /// A saved boot ticket (Apple's answer as a plist, .shsh2, or IM4M) instead of asking Apple; it must fit the ECID,
    /// the nonce that the device shows, and the firmware. Tickets that Apple gave are kept as such files in the folder
    /// `tickets` of the state folder
    #[arg(long, value_name = "FILE")]
    pub ticket: Option<PathBuf>,
    /// The full ECID or UDID of the device to erase, instead of the question
    #[arg(long, value_name = "DEVICE")]
    pub yes_erase: Option<String>,
    /// Say every step and its cost, look whether it could run, and stop; nothing is touched
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Args, Debug)]
pub struct RecoverArgs {
    /// Coach a person's hands where no command is taken, even without a terminal
    #[arg(long)]
    pub by_hand: bool,
    /// Answers for the questions that come first, as `triage` takes them; what they leave open is asked on a terminal
    #[arg(long, value_name = "FILE")]
    pub answers: Option<PathBuf>,
    /// The full ECID or UDID of the device to erase, instead of the question; without --answers it also says that you
    /// may decide about the device, and no question is asked
    #[arg(long, value_name = "DEVICE")]
    pub yes_erase: Option<String>,
    /// Where backups are kept
    #[arg(long, value_name = "DIR")]
    pub vault: Option<PathBuf>,
    /// Do not make a backup first, even where it is possible
    #[arg(long)]
    pub no_backup: bool,
    /// This file instead of the catalogue's newest
    #[arg(long, value_name = "FILE")]
    pub ipsw: Option<PathBuf>,
    /// A saved boot ticket (Apple's answer as a plist, .shsh2, or IM4M) instead of asking Apple; it must fit the ECID,
    /// the nonce that the device shows, and the firmware. Tickets that Apple gave are kept as such files in the folder
    /// `tickets` of the state folder
    #[arg(long, value_name = "FILE")]
    pub ticket: Option<PathBuf>,
    /// Show the plan and stop
    #[arg(long)]
    pub plan: bool,
    /// Say every step and its cost, look whether it could run, and stop; nothing is touched
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub password: PasswordArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    Text,
    Json,
    Html,
    Csv,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Generate {
    Man,
    Completions,
    Udev,
}
