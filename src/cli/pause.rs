//! `tailwater pause`: hold back tables or shards, while everything else goes on.

use super::{
    Failure,
    args::ConfigArgs,
    control::{self, SelectionArgs},
    shell::Shell,
};
use crate::{config::Role, exit::Exit, pipeline::control::command};

/// Hold back tables or shards, while everything else goes on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A paused table goes on arriving in the lake and stands still in the warehouse. A paused shard is not read: nothing is lost, but its
binlogs have to last until it is resumed. It is written in the lake, so it holds for every process of the pipeline, and for those
that start later. Running ones notice within ten seconds; what is being written is finished first.

Examples:
  tailwater pause --table shop.orders
  tailwater pause --config shop.toml --table 'shop_*.audit_*' --shard s1
  tailwater pause --shard s2")]
pub(super) struct PauseArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    what: SelectionArgs,
}

/// Runs the verb.
pub(super) async fn execute(args: PauseArgs, shell: &Shell) -> Result<Exit, Failure> {
    let config = shell.config(&args.config, Role::Look)?;
    shell.start_logging(&config)?;
    let selection = args.what.selection();
    let after = match selection.tables.is_empty() {
        true => "their binlogs have to last until `tailwater resume`; `tailwater check` says how long they are kept",
        false => "running appliers notice within ten seconds; `tailwater status` shows it",
    };
    let effects = command::pause(&config, &selection).await.map_err(control::explain)?;
    super::print(&control::report(&effects, after))?;
    Ok(Exit::Ok)
}
