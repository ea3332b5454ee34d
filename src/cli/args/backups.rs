//! Backups: making, looking at, putting back, and their passwords.

use clap::{Args, Subcommand};
use std::path::PathBuf;

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
        /// Its time, or (with a slash) the path of any backup; without it the newest
        generation: Option<String>,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Copy a whole generation into a folder, as iTunes, Finder and idevicebackup2 know it
    #[command(allow_missing_positional = true)]
    Export {
        /// Its time, or (with a slash) the path of any backup; without it the newest
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
