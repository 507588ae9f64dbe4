//! `tailwater rebuild`: asks appliers to make tables anew from the lake.

use super::{Failure, Job, args::ConfigArgs, outcome, shell::Shell};
use crate::{
    config::{Pattern, Role},
    exit::Exit,
    pipeline::{
        rebuild::{self, RebuildError},
        run::RunError,
    },
};

/// Make tables of the warehouse anew from the lake, while everything else goes on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For tables whose rows were changed or lost in the warehouse, that were dropped there, or whose key or handling of deletes became
another one in the configuration. The sources are not asked for anything. A running applier begins within ten seconds; where none
runs, the next one does. The table shows its former rows until all new ones are there, and views on it stay.

Examples:
  tailwater rebuild --table shop.orders
  tailwater rebuild --config shop.toml --table 'shop_*.orders_*' --group main")]
pub(super) struct RebuildArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Tables to rebuild, by their names on the source such as shop.orders or 'shop_*.orders_[0-9]*'; repeat for more.
    #[arg(long = "table", value_name = "PATTERN", required = true)]
    patterns: Vec<Pattern>,
    /// Only tables of this group; repeat for more [default: all].
    #[arg(long = "group", value_name = "NAME", env = "TAILWATER_GROUP", value_delimiter = ' ')]
    groups: Vec<String>,
}

/// Runs the verb.
pub(super) async fn execute(args: RebuildArgs, shell: &Shell) -> Result<Exit, Failure> {
    let mut job = Job::prepare(shell, &args.config, Role::Apply)?;
    job.choose_groups(&args.groups)?;
    for asked in rebuild::ask(&job.config, &job.groups, &args.patterns).await.map_err(explain)? {
        let rebuild::Asked { target, group, origins, new } = asked;
        let said = if new { "asked for a rebuild" } else { "a rebuild was asked for before and waits for an applier" };
        tracing::info!(%target, group, origins, "{said}");
    }
    Ok(Exit::Ok)
}

fn explain(error: RebuildError) -> Failure {
    match error {
        RebuildError::Store(e) => outcome::explain(RunError::Store(e)),
        RebuildError::Head(_) => Failure::new(Exit::Unavailable, error),
        RebuildError::NoTable(_) => {
            Failure::new(Exit::Usage, error).hint("`tailwater status` lists the tables that the lake has")
        }
        RebuildError::Parked(_) => {
            Failure::new(Exit::Parked, error).hint("run `tailwater snapshot` for them: it brings all rows anew")
        }
    }
}
