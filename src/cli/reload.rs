//! `tailwater reload`: a running process reads its configuration anew.

use serde_json::json;

use super::{Failure, args::ConfigArgs, remote, shell::Shell};
use crate::{config::Role, exit::Exit};

/// Have a running process read its configuration anew.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The process checks the file first; what does not pass changes nothing, and this command says why. Then its sessions end at a commit
point, as when it stops, and begin anew from the lake with the new configuration: sources, tables, warehouse, limits. The name of
the pipeline, the place of the lake and [http] need a restart. SIGHUP does the same.

Examples:
  tailwater reload
  tailwater reload --config shop.toml
  tailwater reload --http 127.0.0.1:40123")]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Runs the verb.
pub(super) async fn execute(args: ReloadArgs, shell: &Shell) -> Result<Exit, Failure> {
    // The process itself tells what is wrong with its file, should it be another one.
    let config = shell.config(&args.config, Role::Look)?;
    shell.start_logging(&config)?;
    let done = remote::command(&config, "reload", json!({})).await?;
    super::print(&format!("{done}\n"))?;
    Ok(Exit::Ok)
}
