//! `tailwater schema`: JSON Schemas of what people and other programs read and write.

use clap::Subcommand;

use super::{Failure, shell::Shell};
use crate::{config, exit::Exit};

/// Print a JSON Schema.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tailwater schema config > tailwater.schema.json")]
pub(super) struct SchemaArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Of the configuration file; editors complete and check tailwater.toml with it.
    Config,
}

/// Runs the verb.
pub(super) fn execute(args: &SchemaArgs, _: &Shell) -> Result<Exit, Failure> {
    let schema = match args.what {
        What::Config => config::schema(),
    };
    super::print(&format!("{schema:#}\n"))?;
    Ok(Exit::Ok)
}
