//! `tailwater resume`: let go of what was paused.

use super::{
    Failure,
    args::ConfigArgs,
    control::{self, SelectionArgs},
    shell::Shell,
};
use crate::{config::Role, exit::Exit, pipeline::control::command};

/// Let go of what was paused; it catches up.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Name it in the words in which it was paused, or name nothing and resume everything. A table catches up from where it stood, in
order, beside the others.

Examples:
  tailwater resume --table shop.orders
  tailwater resume --config shop.toml --shard s2
  tailwater resume")]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    what: SelectionArgs,
}

/// Runs the verb.
pub(super) async fn execute(args: ResumeArgs, shell: &Shell) -> Result<Exit, Failure> {
    let config = shell.config(&args.config, Role::Look)?;
    shell.start_logging(&config)?;
    let effects = command::resume(&config, &args.what.selection()).await.map_err(control::explain)?;
    super::print(&control::report_or(&effects, "nothing is paused"))?;
    Ok(Exit::Ok)
}
