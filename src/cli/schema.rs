//! `tailwater schema`: JSON Schemas of what people and other programs read and write.

use clap::Subcommand;

use super::{Failure, shell::Shell};
use crate::{config, exit::Exit, model::entry};

/// Print a JSON Schema.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tailwater schema config > tailwater.schema.json
  tailwater schema entry")]
pub(super) struct SchemaArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Of the configuration file; editors complete and check tailwater.toml with it.
    Config,
    /// Of an entry of the commit log, for programs that read the lake.
    Entry,
}

/// Runs the verb.
pub(super) fn execute(args: &SchemaArgs, _: &Shell) -> Result<Exit, Failure> {
    let schema = match args.what {
        What::Config => config::schema(),
        What::Entry => entry::schema(),
    };
    super::print(&format!("{schema:#}\n"))?;
    Ok(Exit::Ok)
}
