//! `tailwater log-level`: how much a running process logs.

use serde_json::json;

use super::{Failure, args::ConfigArgs, remote, shell::Shell};
use crate::{
    config::{Role, Span},
    exit::Exit,
};

/// Change how much a running process logs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tailwater log-level debug --for 10m
  tailwater log-level info,tailwater::pipeline::apply=debug --config shop.toml
  tailwater log-level info")]
pub(super) struct LogLevelArgs {
    /// error, warn, info, debug, trace, or directives such as info,tailwater::lake=debug.
    level: String,
    /// Time after which the configured level comes back, at most 7 days [default: it stays until the process ends].
    #[arg(long = "for", value_name = "TIME")]
    time: Option<Span>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Runs the verb.
pub(super) async fn execute(args: LogLevelArgs, shell: &Shell) -> Result<Exit, Failure> {
    let config = shell.config(&args.config, Role::Look)?;
    shell.start_logging(&config)?;
    let mut object = json!({ "level": args.level });
    if let (Some(time), Some(object)) = (args.time, object.as_object_mut()) {
        object.insert("for".to_owned(), time.to_string().into());
    }
    let done = remote::command(&config, "log-level", object).await?;
    super::print(&format!("{done}\n"))?;
    Ok(Exit::Ok)
}
