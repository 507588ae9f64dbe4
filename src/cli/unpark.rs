//! `tailwater unpark`: try parked tables again.

use super::{
    Failure,
    args::ConfigArgs,
    control::{self, SelectionArgs},
    shell::Shell,
};
use crate::{config::Role, exit::Exit, pipeline::control::command};

/// Try parked tables again, without a restart.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
After the cause is mended. A table that was parked while applying goes on from where it stood. One that was parked while extracting,
or that needs a snapshot, lacks rows in the lake: it is read anew, as by `tailwater snapshot`.

Examples:
  tailwater unpark --table shop.orders
  tailwater unpark --config shop.toml --table 'shop_*.*' --shard s1")]
pub(super) struct UnparkArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    what: SelectionArgs,
}

/// Runs the verb.
pub(super) async fn execute(args: UnparkArgs, shell: &Shell) -> Result<Exit, Failure> {
    let config = shell.config(&args.config, Role::Look)?;
    shell.start_logging(&config)?;
    let effects = command::unpark(&config, &args.what.selection()).await.map_err(control::explain)?;
    super::print(&control::report_or(&effects, "none of these tables is parked"))?;
    Ok(Exit::Ok)
}
