//! Firmware and its store.

use clap::Subcommand;
use std::path::PathBuf;

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
    Verify {
        /// An IPSW
        file: PathBuf,
    },
    /// Take a local file into the store
    Add {
        /// An IPSW; it stays where it is
        file: PathBuf,
    },
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
