//! `tailwater snapshot`: asks extractors to read tables anew.

use super::{Failure, Job, args::ConfigArgs, outcome, shell::Shell};
use crate::{
    config::{Pattern, Role},
    exit::Exit,
    pipeline::{request, run::RunError},
};

/// Read tables anew, while everything else goes on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A running extractor begins within ten seconds; where none runs, the next one does. The rows of a table stay as they are in the
warehouse until the new ones are complete. This also clears tables that are parked or need a snapshot.

Examples:
  tailwater snapshot --table shop.orders
  tailwater snapshot --config shop.toml --table 'shop_*.orders_*' --shard s1 --shard s2")]
pub(super) struct SnapshotArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Tables to read, such as shop.orders or 'shop_*.orders_[0-9]*'; repeat for more.
    #[arg(long = "table", value_name = "PATTERN", required = true)]
    patterns: Vec<Pattern>,
    /// Ask only this shard of the configuration; repeat for more [default: all].
    #[arg(long = "shard", value_name = "NAME", env = "TAILWATER_SHARD", value_delimiter = ' ')]
    shards: Vec<String>,
}

/// Runs the verb.
pub(super) async fn execute(args: SnapshotArgs, shell: &Shell) -> Result<Exit, Failure> {
    let mut job = Job::prepare(shell, &args.config, Role::Extract)?;
    job.choose_shards(&args.shards)?;
    let asked = request::snapshots(&job.config, &job.shards, &args.patterns).await;
    let asked = asked.map_err(|e| outcome::explain(RunError::Store(e)))?;
    let tables = args.patterns.iter().map(Pattern::to_string).collect::<Vec<_>>().join(", ");
    tracing::info!(tables, shards = job.shards.len(), requests = asked, "asked for snapshots");
    Ok(Exit::Ok)
}
