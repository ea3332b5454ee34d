//! What can be typed. Help, man pages and completions all come from here.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

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
    },
    /// The intake sheet of one device
    Info,
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
    /// The report of a job
    Report {
        /// The job; without it the newest one
        job: Option<String>,
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Is this computer ready? Twenty questions, with what was seen and what helps
    Doctor(DoctorArgs),
    /// The main job on a virtual iPhone
    Demo {
        /// iphone13, iphone5s, iphone8, ipad-pro-m4, or any other model
        #[arg(long = "model", default_value = "iphone13", value_name = "MODEL")]
        model: String,
        /// Megabytes of the system image
        #[arg(long, default_value_t = 64, value_name = "MB")]
        image: u64,
        /// Keep the bench's folder (backups, firmware, journal) here
        #[arg(long, value_name = "DIR")]
        keep: Option<PathBuf>,
    },
    /// The virtual bench: phones that any program can talk to
    Bench {
        #[command(subcommand)]
        verb: BenchVerb,
        /// The bench's folder
        #[arg(long, global = true, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Man pages and completions, for packages
    #[command(hide = true)]
    Generate {
        #[arg(value_enum)]
        what: Generate,
        /// Folder to write into
        folder: PathBuf,
    },
}

#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// First watch the bus for so many seconds, and count what drops off it
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "20",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub watch: Option<u64>,
    /// Ask none of Apple's servers
    #[arg(long)]
    pub offline: bool,
}

#[derive(Args, Debug)]
pub struct GuideArgs {
    #[arg(value_enum)]
    pub way: Way,
    /// With keys, even where a command would do
    #[arg(long)]
    pub by_hand: bool,
    /// The device is off (for recovery)
    #[arg(long)]
    pub off: bool,
    /// A device that no bus shows: its model, e.g. iphone13
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Print the steps and stop
    #[arg(long)]
    pub steps: bool,
    /// Write the steps as a printable sheet (SVG) and stop
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Tries before giving up
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub tries: u32,
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// How the coach shows itself.
#[derive(Args, Debug, Clone, Default)]
pub struct ScreenArgs {
    /// Lines of text only, for screen readers
    #[arg(long)]
    pub plain: bool,
    /// No colours (NO_COLOR does the same)
    #[arg(long)]
    pub no_color: bool,
    /// No bell at each step
    #[arg(long)]
    pub no_bell: bool,
}

#[derive(Args, Debug)]
pub struct BackupArgs {
    /// Where backups are kept
    #[arg(long, value_name = "DIR")]
    pub vault: Option<PathBuf>,
    /// Send every file again
    #[arg(long)]
    pub full: bool,
    /// Afterwards keep so many of the newest backups of this device
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
    /// Afterwards keep what is not older than so many days; with --keep, what either of them keeps
    #[arg(long, value_name = "DAYS")]
    pub keep_days: Option<u32>,
}

#[derive(Subcommand, Debug)]
pub enum BackupsVerb {
    /// Every generation of every device
    List,
    /// One generation: device, system, size, what is in it
    Show {
        /// Its time, or (with a slash) the path of any backup; without it the newest
        generation: Option<String>,
    },
    /// What is wrong with a generation, if anything
    Verify {
        /// Its time, or (with a slash) the path of any backup; without it the newest
        generation: Option<String>,
        /// Read every file again and compare its digest
        #[arg(long)]
        deep: bool,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// The files in a generation
    Browse {
        /// Its time, or (with a slash) the path of any backup; without it the newest
        generation: Option<String>,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Copy one file out of a generation
    Extract {
        /// domain/path as `browse` prints it
        file: String,
        /// Where to write it
        to: PathBuf,
        /// Its time, or (with a slash) the path of any backup; without it the newest
        #[arg(long)]
        generation: Option<String>,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Restore a generation onto a virtual iPhone of its model, in this program, and compare every byte
    Prove {
        generation: Option<String>,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Copy a whole generation into a folder, as iTunes, Finder and idevicebackup2 know it
    #[command(allow_missing_positional = true)]
    Export {
        generation: Option<String>,
        /// Folder in which the copy gets the name of the UDID; nothing is replaced
        to: PathBuf,
        /// Share the files with the vault by hard links: takes no room, and nobody may write into them
        #[arg(long)]
        link: bool,
    },
    /// Remove old generations; the newest good one always stays
    Prune {
        /// Keep so many of the newest of each device
        #[arg(long, value_name = "N", required_unless_present = "keep_days", value_parser = clap::value_parser!(u32).range(1..))]
        keep: Option<u32>,
        /// Keep what is not older than so many days; with --keep, what either of them keeps
        #[arg(long, value_name = "DAYS")]
        keep_days: Option<u32>,
        /// Say what would go, and stop
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// The backup password of a device: encryption on, another password, or off
    Encrypt {
        #[command(subcommand)]
        verb: EncryptVerb,
    },
    /// Put a generation back onto a device
    Restore {
        /// Its time, or (with a slash) the path of any backup; without it the newest
        generation: Option<String>,
        /// The full ECID or UDID, instead of the question
        #[arg(long, value_name = "DEVICE")]
        yes_restore: Option<String>,
        /// Take a generation of this other device
        #[arg(long, value_name = "UDID")]
        from: Option<String>,
        #[command(flatten)]
        how: PutBackArgs,
        #[command(flatten)]
        password: PasswordArgs,
    },
}

/// How a backup is put back. Without any of these the device becomes what it was: settings and system files from the
/// backup, then a restart.
#[derive(Args, Debug, Clone, Copy, Default)]
pub struct PutBackArgs {
    /// Do not restart the device at the end; what was put back shows only after a restart
    #[arg(long)]
    pub no_reboot: bool,
    /// Keep the settings that are on the device now, instead of those in the backup
    #[arg(long)]
    pub keep_settings: bool,
    /// Leave out the system's own files; which those are, the device decides
    #[arg(long)]
    pub no_system: bool,
    /// Remove from the device what is not in the backup
    #[arg(long)]
    pub remove_others: bool,
    /// Copy the whole backup to the device before anything is changed; needs room for both
    #[arg(long)]
    pub copy_first: bool,
}

/// Where the password of an encrypted backup comes from; on a terminal it is asked for. Never an argument, which every
/// process of the computer could read.
#[derive(Args, Debug, Clone, Default)]
pub struct PasswordArgs {
    /// File that holds the backup password
    #[arg(long, value_name = "FILE", conflicts_with = "password_fd")]
    pub password_file: Option<PathBuf>,
    /// Open file descriptor that the backup password is read from
    #[arg(long, value_name = "N")]
    pub password_fd: Option<u32>,
}

/// The same for a password that is to be set; on a terminal it is asked for twice.
#[derive(Args, Debug, Clone, Default)]
pub struct NewPasswordArgs {
    /// File that holds the new backup password
    #[arg(long, value_name = "FILE", conflicts_with = "new_password_fd")]
    pub new_password_file: Option<PathBuf>,
    /// Open file descriptor that the new backup password is read from
    #[arg(long, value_name = "N")]
    pub new_password_fd: Option<u32>,
}

#[derive(Subcommand, Debug)]
pub enum EncryptVerb {
    /// Set a backup password: backups then hold saved passwords and Health data too
    On {
        #[command(flatten)]
        new: NewPasswordArgs,
    },
    /// Another backup password
    Change {
        #[command(flatten)]
        old: PasswordArgs,
        #[command(flatten)]
        new: NewPasswordArgs,
    },
    /// Take the backup password away
    Off {
        #[command(flatten)]
        old: PasswordArgs,
    },
}

#[derive(Subcommand, Debug)]
pub enum FirmwareVerb {
    /// What Apple offers for a device or a product type
    List {
        /// e.g. iPhone14,5
        #[arg(long, value_name = "TYPE")]
        product: Option<String>,
        /// Betas too
        #[arg(long)]
        prereleases: bool,
    },
    /// Fetch and verify the newest firmware
    Fetch {
        /// e.g. iPhone14,5
        #[arg(long, value_name = "TYPE")]
        product: Option<String>,
        /// A build instead of the newest, e.g. 24A446
        #[arg(long)]
        build: Option<String>,
    },
    /// Check a file's digests and its parts
    Verify { file: PathBuf },
    /// Take a local file into the store
    Add { file: PathBuf },
    /// Does Apple sign a build today? Asked without a device, for a device that does not exist
    Signed {
        /// e.g. iPhone14,5
        #[arg(long, value_name = "TYPE")]
        product: Option<String>,
        /// A build instead of the newest, e.g. 24A446
        #[arg(long)]
        build: Option<String>,
        /// Every build that the catalogues name
        #[arg(long, conflicts_with = "build")]
        all: bool,
    },
    /// What a file or a build is, for which devices, and what is inside
    Show {
        /// An IPSW, or a build such as 24A446: of the store, else read from Apple's server without the download
        #[arg(value_name = "FILE|BUILD")]
        what: String,
        /// Which of the files of that build, e.g. iPhone14,5
        #[arg(long, value_name = "TYPE")]
        product: Option<String>,
        /// Compare every part with the manifest's digests
        #[arg(long)]
        verify: bool,
    },
    /// What is in the store
    Cache {
        #[command(subcommand)]
        verb: Option<CacheVerb>,
    },
}

#[derive(Subcommand, Debug)]
pub enum CacheVerb {
    /// Every file, and whether it looks as it did when it was verified
    List,
    /// Read every file again and compare its digests
    Verify,
    /// Remove what is not among the newest builds of any of its product types
    Prune {
        /// So many of the newest builds of each product type stay
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        keep: u32,
        /// Say what would go, and stop
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
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
    /// The full ECID or UDID of the device to erase, instead of the question
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
        #[arg(value_enum)]
        stage: PutStage,
        /// Its place on the bench, from 0
        #[arg(long, default_value_t = 0)]
        phone: usize,
    },
    /// Run a program inside the emulated USB bus
    Run {
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

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Way {
    Recovery,
    Dfu,
    /// Restart; with keys it is a force restart
    Restart,
    /// Power off
    Off,
    /// Out of recovery or DFU
    Exit,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    Text,
    Json,
    Html,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Generate {
    Man,
    Completions,
}
