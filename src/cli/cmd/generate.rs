//! `generate`: man pages and completions, from the same definition as the help.

use crate::cli::Done;
use crate::cli::args::{Cli, Generate};
use crate::event::Outcome;
use crate::fault::Fault;
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::Path;

pub fn run(what: Generate, folder: &Path) -> Done {
    let io = |e: std::io::Error| Fault::disk(&e);
    fs_err::create_dir_all(folder).map_err(io)?;
    match what {
        Generate::Man => clap_mangen::generate_to(Cli::command(), folder).map_err(io)?,
        Generate::Completions => {
            for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
                clap_complete::generate_to(shell, &mut Cli::command(), "herstel", folder).map_err(io)?;
            }
        }
    }
    Ok(Outcome::Ok)
}
