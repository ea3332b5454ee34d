//! What is shown to a person and changes nothing by itself: plans, keys, cards.

use crate::say::cards::Topic;
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Args, Debug)]
pub struct CardArgs {
    /// Which card; without it they are listed
    #[arg(value_parser = PossibleValuesParser::new(Topic::ALL.map(Topic::as_str)))]
    pub topic: Option<String>,
    /// Write it as a printable page (HTML) and stop
    #[arg(long, value_name = "FILE", requires = "topic")]
    pub paper: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct GuideArgs {
    /// Where the device is led
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

#[derive(Args, Debug)]
pub struct TriageArgs {
    /// Answers in lines such as `find-my = "on"`; - is standard input. What they leave open is asked on a terminal
    #[arg(long, value_name = "FILE")]
    pub answers: Option<PathBuf>,
    /// Write the plan as a page to print (HTML)
    #[arg(long, value_name = "FILE")]
    pub paper: Option<PathBuf>,
    /// Where backups are kept
    #[arg(long, value_name = "DIR")]
    pub vault: Option<PathBuf>,
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
