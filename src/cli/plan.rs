//! `tailwater plan`: what `run` would do.

use super::{Failure, args::ConfigArgs, plan_text, shell::Shell};
use crate::{config::Role, exit::Exit, pipeline};

/// Show what `run` would create, alter and read; change nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Asks sources, lake and warehouse, and writes nowhere: where each shard would begin, which tables would be read and how large they
are, which statements would make or change the targets, and which values a policy would change.

Examples:
  tailwater plan
  tailwater plan --config shop.toml --json
  tailwater plan --source mysql://cdc:secret@db-1 --lake ./lake --warehouse sqlite:warehouse.db

Exit codes: 0 `run` would copy everything, 1 a table would be parked or something is not known.")]
pub(super) struct PlanArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print the plan as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(super) async fn execute(args: PlanArgs, shell: &Shell) -> Result<Exit, Failure> {
    let config = shell.config(&args.config, Role::Look)?;
    shell.start_logging(&config)?;
    let forecast = pipeline::plan::forecast(&config).await;
    super::print(&if args.json { plan_text::json(&forecast) } else { plan_text::text(&forecast) })?;
    Ok(if forecast.obstacles() == 0 { Exit::Ok } else { Exit::Findings })
}
