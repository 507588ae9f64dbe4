//! `tailwater verify`: whether the warehouse has what the sources have.

use std::{num::NonZero, sync::Mutex};

use super::{Failure, args::ConfigArgs, outcome, shell::Shell, signals, verify_report};
use crate::{
    config::{Config, Pattern, Problem, Role, Span},
    exit::Exit,
    model::{Shard, TableOutcome, Verification, VerifiedTable},
    pipeline::verify::{self, At, Request},
};

/// Compare the sources with the warehouse.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Both databases compute checksums of their rows; only rows that differ are looked at one by one. Rows that differ because the
warehouse is behind are looked at again until it is not: an extractor and an applier must be running meanwhile. The report
names keys, never other values.

Examples:
  tailwater verify --config shop.toml
  tailwater verify --table 'shop.orders*' --shard s1 --at now --json

Exit codes: 0 everything is equal (or was repaired), 1 something differs, 5 nothing differs but not everything could be compared.")]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Tables to compare, by their names on the source such as 'shop.orders*'; repeat for more [default: all].
    #[arg(long, value_name = "PATTERN")]
    pub(super) table: Vec<Pattern>,
    /// Shards to compare; repeat for more [default: all].
    #[arg(long, value_name = "NAME")]
    pub(super) shard: Vec<String>,
    /// Wait before comparing until the warehouse has reached a position: `now` for what the source has committed at the start,
    /// or a GTID set.
    #[arg(long, value_name = "POSITION")]
    pub(super) at: Option<String>,
    /// Rows to read from each source per second [default: no bound].
    #[arg(long, value_name = "ROWS")]
    pub(super) rows_per_second: Option<NonZero<u64>>,
    /// Read rows that differ anew from the source and compare again. A running extractor does it; the rows come into the warehouse as
    /// changes of their own, in order with all others.
    #[arg(long)]
    pub(super) repair: bool,
    /// How long to wait for the warehouse each time it is behind.
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub(super) patience: Span,
    /// Print the result as one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs the verb.
pub(super) async fn execute(args: VerifyArgs, shell: &Shell) -> Result<Exit, Failure> {
    let config = shell.config(&args.config, Role::Both)?;
    shell.start_logging(&config)?;
    let request = request(&args, &config)?;
    let colour = shell.colour_stdout();
    // People see each table as soon as it is through.
    let out = Mutex::new(());
    let done = |table: &VerifiedTable| {
        if !args.json {
            let _one_at_a_time = out.lock();
            // A closed pipe ends the report, not the comparison.
            let _ = super::print(&verify_report::table(table, colour));
        }
    };
    let (found, after) = match args.repair {
        true => verify::run_and_repair(&config, &request, &done).await.map_err(outcome::explain_verify)?,
        false => (verify::run(&config, &request, &done).await.map_err(outcome::explain_verify)?, None),
    };
    let text = match (args.json, &after) {
        (true, after) => verify_report::json(&found, after.as_ref()),
        (false, Some(after)) => format!("after the repair: {}", verify_report::summary(after)),
        (false, None) => verify_report::summary(&found),
    };
    super::print(&text)?;
    Ok(exit(&found, after.as_ref()))
}

fn request(args: &VerifyArgs, config: &Config) -> Result<Request, Failure> {
    let shards: Vec<Shard> = match &args.shard[..] {
        [] => config.source.iter().map(|s| s.shard()).collect(),
        names => names.iter().map(|n| Ok(config.source_named(n)?.shard())).collect::<Result<_, Problem>>()?,
    };
    let at = match args.at.as_deref() {
        None => At::Applied,
        Some("now") => At::Now,
        Some(set) => At::Gtids(set.to_owned()),
    };
    Ok(Request {
        tables: args.table.clone(),
        shards,
        at,
        rows_per_second: args.rows_per_second.map(NonZero::get),
        patience: args.patience.get(),
        stop: signals::stop_on_signal()?,
    })
}

/// What a repair mended is no difference any more.
fn exit(found: &Verification, after: Option<&Verification>) -> Exit {
    let known = |found: &Verification| {
        !found.tables.is_empty() && !found.tables.iter().any(|t| matches!(t.outcome, TableOutcome::NotCompared { .. }))
    };
    if after.unwrap_or(found).differs() {
        Exit::Findings
    } else if known(found) && after.is_none_or(known) {
        Exit::Ok
    } else {
        Exit::NotCompared
    }
}
