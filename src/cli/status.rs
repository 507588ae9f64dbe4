//! `tailwater status`: how far each shard and table is.

use std::time::Duration;

use super::{Failure, args::ConfigArgs, outcome, shell::Shell, status_table, watch};
use crate::{
    config::{Config, Role, Span, mask_urls},
    exit::Exit,
    model::Status,
    pipeline::{self, run::RunError},
};

/// Shortest time between two looks: each connects to every source.
const INTERVAL_MIN: Duration = Duration::from_millis(500);

/// Show how far each shard and table is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tailwater status --config shop.toml
  tailwater status --lake ./lake --warehouse sqlite:warehouse.db --json
  tailwater status --watch --interval 5s

Exit codes: 0 everything moves, 1 a table or shard is parked or paused, or its state is not known. With --watch 0.")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Print the state as one JSON object; with --watch as one line each time.
    #[arg(long)]
    pub(super) json: bool,
    /// Show the state again and again, until interrupted.
    #[arg(long, short)]
    pub(super) watch: bool,
    /// Time between two looks; each asks the lake, the warehouse and every source.
    #[arg(long, value_name = "TIME", default_value = "2s", requires = "watch")]
    pub(super) interval: Span,
}

/// Runs the verb.
pub(super) async fn execute(args: StatusArgs, shell: &Shell) -> Result<Exit, Failure> {
    let config = shell.config(&args.config, Role::Look)?;
    shell.start_logging(&config)?;
    if args.watch {
        let every = args.interval.get().max(INTERVAL_MIN);
        return watch::show(every, async || {
            let looked = look(&config).await;
            match looked {
                Ok(status) if args.json => status_table::json_line(&status),
                Ok(status) => format!("{}\n", status_table::text(&status)),
                // It may answer again, which is what one waits for.
                Err(failure) => mask_urls(&failure.render(false)),
            }
        })
        .await;
    }
    let status = look(&config).await?;
    let text = if args.json { status_table::json(&status) } else { status_table::text(&status) };
    super::print(&text)?;
    Ok(if status_table::needs_operator(&status) { Exit::Findings } else { Exit::Ok })
}

async fn look(config: &Config) -> Result<Status, Failure> {
    pipeline::status::look(config).await.map_err(|e| outcome::explain(RunError::Store(e)))
}
