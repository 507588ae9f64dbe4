//! `tailwater status`: how far each shard and table is.

use super::{Failure, args::ConfigArgs, outcome, shell::Shell, status_table};
use crate::{
    config::Role,
    exit::Exit,
    pipeline::{self, run::RunError},
};

/// Show how far each shard and table is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tailwater status --config shop.toml
  tailwater status --lake ./lake --warehouse sqlite:warehouse.db --json

Exit codes: 0 everything moves, 1 a table is parked or the state of a shard is not known.")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Print the state as one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs the verb.
pub(super) async fn execute(args: StatusArgs, shell: &Shell) -> Result<Exit, Failure> {
    let config = shell.config(&args.config, Role::Look)?;
    shell.start_logging(&config)?;
    let status = pipeline::status::look(&config).await.map_err(|e| outcome::explain(RunError::Store(e)))?;
    let text = if args.json { status_table::json(&status) } else { status_table::text(&status) };
    super::print(&text)?;
    Ok(if status_table::needs_operator(&status) { Exit::Findings } else { Exit::Ok })
}
