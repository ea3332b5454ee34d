//! People: arguments, prompts, bars, tables, JSON, exit codes.
//!
//! The only room that prints, reads the environment and ends the process. Each verb has a file under
//! `cmd`; what they share is the [`context::Context`] made here once.
#![allow(clippy::disallowed_methods)]

pub mod args;
mod ask;
mod cancel;
mod cmd;
mod coached;
mod context;
mod keyboard;
mod orders;
mod password;
mod places;
mod questions;
mod show;

use crate::event::Outcome;
use crate::fault::{Code, Fault};
use crate::say::{self, Lang};
use args::{Cli, Verb};
use clap::Parser;
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// How a verb ended well.
pub type Done = Result<Outcome, Fault>;

pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(err) => {
            let _ = err.print();
            return ExitCode::from(if err.use_stderr() { 2 } else { 0 });
        }
    };
    logs(cli.common.verbose);
    let lang = language(cli.common.lang.as_deref());
    let lang = match lang {
        Ok(lang) => lang,
        Err(fault) => return finish(Lang::En, cli.common.json, false, Err(fault)),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(err) => return finish(lang, cli.common.json, false, Err(Fault::new(Code::Internal, err.to_string()))),
    };
    let json = cli.common.json;
    let quiet = matches!(cli.verb, Verb::Bench { .. } | Verb::Demo(_) | Verb::Generate { .. });
    let done = runtime.block_on(cmd::run(cli, lang));
    // A blocking read of libusb or of a terminal must not hold the end up.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    finish(lang, json && !quiet, quiet, done)
}

fn finish(lang: Lang, json: bool, quiet: bool, done: Done) -> ExitCode {
    let (outcome, fault) = match &done {
        Ok(outcome) => (*outcome, None),
        Err(fault) if fault.code == Code::Cancelled => (Outcome::Cancelled, Some(fault)),
        Err(fault) if fault.code.exit() == 3 => (Outcome::Partial, Some(fault)),
        Err(fault) => (Outcome::Failed, Some(fault)),
    };
    if let Some(fault) = fault {
        let mut err = std::io::stderr().lock();
        let columns = if err.is_terminal() { show::wrap::COLUMNS } else { usize::MAX };
        let mut lines: Vec<String> =
            say::whole_fault(lang, fault).iter().flat_map(|line| show::wrap::wrapped(line, columns)).collect();
        // Before the last line, which says where there is more.
        let end = lines.len().saturating_sub(1);
        lines.splice(end..end, show::explained::of_failure(lang, fault, columns));
        for line in lines {
            let _ = writeln!(err, "{}", say::plain(&line));
        }
    }
    if json && !quiet {
        show::print_line(&json!({ "schema": 1, "event": "finished", "outcome": outcome, "fault": fault }));
    }
    ExitCode::from(match (outcome, fault) {
        (Outcome::Ok, _) => 0,
        (Outcome::Partial, None) => 3,
        (Outcome::Cancelled, None) => 130,
        (_, Some(fault)) => fault.code.exit(),
        (Outcome::Failed, None) => 1,
    })
}

/// `--lang`, else the locale; a language without texts falls back to English, unless it was asked for.
fn language(asked: Option<&str>) -> Result<Lang, Fault> {
    if let Some(asked) = asked {
        return asked.parse().map_err(|e| Fault::new(Code::Usage, e));
    }
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(|k| std::env::var(k).ok().filter(|v| !v.is_empty()));
    Ok(locale.and_then(|l| l.parse().ok()).unwrap_or_default())
}

fn logs(verbose: u8) {
    use tracing_subscriber::EnvFilter;
    let asked = std::env::var("HERSTEL_LOG").ok();
    let filter = match (asked, verbose) {
        (Some(asked), _) => EnvFilter::new(asked),
        (None, 0) => EnvFilter::new("off"),
        // Protocol dumps of the library below would show pair records.
        (None, 1) => EnvFilter::new("herstel=info"),
        (None, _) => EnvFilter::new("herstel=debug"),
    };
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}
