//! `tailwater completions`: completion scripts for shells.

use clap_complete::Shell;

use super::Failure;
use crate::exit::Exit;

/// Print a completion script for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tailwater completions bash > /etc/bash_completion.d/tailwater")]
pub(super) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Runs the verb.
pub(super) fn execute(args: &CompletionsArgs, command: &mut clap::Command) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "tailwater", &mut script);
    super::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}
