//! `tailwater schema`: JSON Schemas of what people and other programs read and write, and the statements that make targets.

use clap::Subcommand;

use super::{Failure, args::ConfigArgs, ddl, shell::Shell};
use crate::{config, exit::Exit, model::entry};

/// Print a JSON Schema, or the statements that make the targets.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tailwater schema config > tailwater.schema.json
  tailwater schema entry
  tailwater schema redshift --config shop.toml
  tailwater schema postgres --lake ./lake --target shop.orders

The statements are made of the lake's newest schemas and the rules of the configuration; no warehouse is asked.")]
pub(super) struct SchemaArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// JSON Schema of the configuration file; editors complete and check tailwater.toml with it.
    Config,
    /// JSON Schema of an entry of the commit log, for programs that read the lake.
    Entry,
    /// SQL of the targets for Redshift, with distribution and sort keys, and the rights on their schemas.
    Redshift(DdlArgs),
    /// SQL of the targets for PostgreSQL.
    Postgres(DdlArgs),
    /// SQL of the targets for SQLite.
    Sqlite(DdlArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct DdlArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Only this target; repeat for more [default: all].
    #[arg(long = "target", value_name = "NAME")]
    pub(super) targets: Vec<String>,
}

/// Runs the verb.
pub(super) fn execute(args: &SchemaArgs, shell: &Shell) -> Result<Exit, Failure> {
    let schema = match &args.what {
        What::Config => config::schema(),
        What::Entry => entry::schema(),
        What::Redshift(args) => return shell.block_on(ddl::execute(args, ddl::Kind::Redshift, shell)),
        What::Postgres(args) => return shell.block_on(ddl::execute(args, ddl::Kind::Postgres, shell)),
        What::Sqlite(args) => return shell.block_on(ddl::execute(args, ddl::Kind::Sqlite, shell)),
    };
    super::print(&format!("{schema:#}\n"))?;
    Ok(Exit::Ok)
}
