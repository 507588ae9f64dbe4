//! `tailwater extract`: MySQL to the lake.

use super::{Failure, Job, args::ConfigArgs, shell::Shell};
use crate::{config::Role, exit::Exit};

/// Copy binlogs into the lake only.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tailwater extract --config shop.toml
  tailwater extract --config shop.toml --shard s1 --shard s2
  tailwater extract --source s1=mysql://cdc:secret@db-1:3306 --lake s3://bucket/lake --start earliest --once")]
pub(super) struct ExtractArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Extract only this shard of the configuration; repeat for more [default: all].
    #[arg(long = "shard", value_name = "NAME", env = "TAILWATER_SHARD", value_delimiter = ' ')]
    pub(super) shards: Vec<String>,
    /// Stop with exit code 0 when everything that was in the binlogs at the start is in the lake.
    #[arg(long, env = "TAILWATER_ONCE")]
    pub(super) once: bool,
    /// Take over a log whose head still moves under another writer. Only after that writer was stopped.
    #[arg(long)]
    pub(super) take_over: bool,
}

/// Runs the verb.
pub(super) async fn execute(args: ExtractArgs, shell: &Shell) -> Result<Exit, Failure> {
    let mut job = Job::prepare(shell, &args.config, Role::Extract)?;
    job.groups.clear();
    job.choose_shards(&args.shards)?;
    job.once = args.once;
    job.take_over = args.take_over;
    super::start(job).await
}
