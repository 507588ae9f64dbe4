//! `tailwater apply`: the lake to the warehouse.

use super::{Failure, Job, args::ConfigArgs, shell::Shell};
use crate::{config::Role, exit::Exit};

/// Merge the lake into the warehouse only.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tailwater apply --config shop.toml
  tailwater apply --config shop.toml --group main
  tailwater apply --lake s3://bucket/lake --warehouse postgres://dw:secret@pg:5432/dw --once")]
pub(super) struct ApplyArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Apply only this group of tables; repeat for more [default: all].
    #[arg(long = "group", value_name = "NAME", env = "TAILWATER_GROUP", value_delimiter = ' ')]
    pub(super) groups: Vec<String>,
    /// Stop with exit code 0 when everything that was in the lake at the start has been applied.
    #[arg(long, env = "TAILWATER_ONCE")]
    pub(super) once: bool,
    /// Take over a group that another process still applies. Only after that process was stopped.
    #[arg(long)]
    pub(super) take_over: bool,
}

/// Runs the verb.
pub(super) async fn execute(args: ApplyArgs, shell: &Shell) -> Result<Exit, Failure> {
    let mut job = Job::prepare(shell, &args.config, Role::Apply)?;
    job.shards.clear();
    job.choose_groups(&args.groups)?;
    job.once = args.once;
    job.take_over = args.take_over;
    super::start(job).await
}
