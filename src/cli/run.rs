//! `tailwater run`: both halves in one process.

use super::{Failure, Job, args::ConfigArgs, shell::Shell};
use crate::{config::Role, exit::Exit};

/// Copy continuously: extract and apply in one process.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tailwater run
  tailwater run --config shop.toml
  tailwater run --source s1=mysql://cdc:secret@db-1:3306 --source s2=mysql://cdc:secret@db-2:3306 \\
    --tables 'shop.*' --lake ./lake --warehouse sqlite:warehouse.db --start earliest --once")]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Stop with exit code 0 when everything that was in the binlogs at the start has been applied.
    #[arg(long, env = "TAILWATER_ONCE")]
    pub(super) once: bool,
    /// Take over a log whose head still moves under another writer. Only after that writer was stopped.
    #[arg(long)]
    pub(super) take_over: bool,
}

/// Runs the verb.
pub(super) async fn execute(args: RunArgs, shell: &Shell) -> Result<Exit, Failure> {
    let mut job = Job::prepare(shell, &args.config, Role::Both)?;
    job.once = args.once;
    job.take_over = args.take_over;
    super::start(job).await
}
