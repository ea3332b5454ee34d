//! `generate`: man pages and completions, from the same definition as the help; and the udev rule, for whoever has the
//! program alone.

use super::list::print_out;
use crate::cli::Done;
use crate::cli::args::{Cli, Generate};
use crate::event::Outcome;
use crate::fault::Fault;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use std::path::Path;

const RULE: &str = include_str!("../../../udev/70-herstel.rules");

pub fn run(what: Generate, folder: Option<&Path>) -> Done {
    let io = |e: std::io::Error| Fault::disk(&e);
    let Some(folder) = folder.filter(|_| !matches!(what, Generate::Udev)) else {
        print_out(RULE.trim_end());
        return Ok(Outcome::Ok);
    };
    fs_err::create_dir_all(folder).map_err(io)?;
    match what {
        Generate::Udev => {}
        Generate::Man => clap_mangen::generate_to(Cli::command(), folder).map_err(io)?,
        Generate::Completions => {
            for shell in [Shell::Bash, Shell::Zsh] {
                clap_complete::generate_to(shell, &mut Cli::command(), "herstel", folder).map_err(io)?;
            }
            let mut fish = Vec::new();
            clap_complete::generate(Shell::Fish, &mut Cli::command(), "herstel", &mut fish);
            fish.extend(third_verbs(&Cli::command()).into_bytes());
            fs_err::write(folder.join("herstel.fish"), fish).map_err(io)?;
        }
    }
    Ok(Outcome::Ok)
}

/// The generator for fish stops at the second verb; these are the options of a third, as in `backups encrypt on`.
fn third_verbs(cli: &Command) -> String {
    let mut out = String::new();
    for first in cli.get_subcommands() {
        for second in first.get_subcommands() {
            for third in second.get_subcommands() {
                let place = format!(
                    "__fish_herstel_using_subcommand {}; and __fish_seen_subcommand_from {}; and \
                     __fish_seen_subcommand_from {}",
                    first.get_name(),
                    second.get_name(),
                    third.get_name()
                );
                for option in third.get_arguments() {
                    let Some(long) = option.get_long() else { continue };
                    let help =
                        option.get_help().map(|h| h.to_string().replace(['\n', '\\', '\''], " ")).unwrap_or_default();
                    let value = if option.get_action().takes_values() { " -r" } else { "" };
                    out.push_str(&format!("complete -c herstel -n \"{place}\" -l {long} -d '{help}'{value}\n"));
                }
            }
        }
    }
    out
}
