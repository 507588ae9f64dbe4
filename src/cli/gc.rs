//! `tailwater gc`: removes from the lake what is old and needed by nobody.

use std::fmt::Write as _;

use super::{Failure, args::ConfigArgs, outcome, shell::Shell};
use crate::{
    config::{ByteSize, Lake, Problem, Role, Span},
    exit::Exit,
    lake::{Clock as _, SystemClock},
    model::Shard,
    pipeline::gc::command::{self, Order, Report, ShardReport},
};

/// Source tables that are named for a shard; `--json` has all.
const TABLES_SHOWN_MAX: usize = 20;

/// Remove from the lake what is old and needed by nobody.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Entries that were written longer ago than the retention go, with their files, once every warehouse has applied them. Extractors do
it by themselves where `[lake] retention` is set; this is for shards that nobody extracts any more, for another retention, and to
see what is kept and why. A run deletes what an earlier one has given up a quarter of an hour ago or more, then gives up what is
old by now: run it again later, or from a timer.

Examples:
  tailwater gc --config shop.toml --dry-run
  tailwater gc --retention 30d --shard s1
  tailwater gc --forget postgres:old.example:5432/dw/public.main    # a warehouse that is gone for good")]
pub(super) struct GcArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// How long entries stay at least, such as 30d or 12h [default: the configuration's].
    #[arg(long, value_name = "TIME")]
    retention: Option<Span>,
    /// Only tell what would be removed, and what keeps the rest.
    #[arg(long)]
    dry_run: bool,
    /// A consumer that is gone for good, so that nothing is kept for it; repeat for more.
    #[arg(long, value_name = "CONSUMER")]
    forget: Vec<String>,
    /// Shards; repeat for more [default: all that have a log, configured or not].
    #[arg(long, value_name = "NAME")]
    shard: Vec<String>,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(super) async fn execute(args: GcArgs, shell: &Shell) -> Result<Exit, Failure> {
    let config = shell.config(&args.config, Role::Look)?;
    shell.start_logging(&config)?;
    let (min, max) = Lake::RETENTION;
    if args.retention.is_some_and(|span| span.get() < min || span.get() > max) {
        let mend = format!("write a duration from {} to {}", Span(min), Span(max));
        return Err(Problem::new("--retention", "out of bounds", mend).into());
    }
    let order = Order {
        retention: args.retention.map(Span::get),
        dry_run: args.dry_run,
        forget: args.forget,
        shards: args.shard.iter().map(|name| Shard::new(name.as_str())).collect(),
    };
    let report = command::run(&config, &order).await.map_err(outcome::explain_gc)?;
    // Serialising plain structs into memory cannot fail.
    let json = || serde_json::to_string_pretty(&report).unwrap_or_default() + "\n";
    super::print(&if args.json { json() } else { text(&report, SystemClock::new().unix_micros()) })?;
    Ok(Exit::Ok)
}

fn text(report: &Report, now: i64) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    for name in &report.forgotten {
        let _ = writeln!(out, "consumer {name}: {}", if report.dry_run { "would be forgotten" } else { "forgotten" });
    }
    for (shard, done) in &report.shards {
        of_shard(&mut out, shard, done, report.dry_run, now);
    }
    if report.shards.is_empty() {
        out.push_str("the lake has no log\n");
    }
    out
}

fn of_shard(out: &mut String, shard: &Shard, done: &ShardReport, dry_run: bool, now: i64) {
    let removed = &done.removed;
    let verb = if dry_run { "would remove" } else { "removed" };
    let _ = writeln!(
        out,
        "shard {shard}: {verb} {} entries and {} files, {}",
        removed.entries,
        removed.files,
        size(removed.bytes)
    );
    if done.orphans.files > 0 {
        let _ =
            writeln!(out, "  removed {} files that no entry names, {}", done.orphans.files, size(done.orphans.bytes));
    }
    let kept = done.newest_entry.saturating_sub(done.keeps_from) + 1;
    let _ = writeln!(out, "  keeps {kept} entries, from {} on", done.keeps_from);
    if let Some(at) = done.waits_until {
        let minutes = (at.saturating_sub(now) / 60_000_000).max(0) + 1;
        let _ = writeln!(
            out,
            "  entries before {} are given up: a run in {minutes} min or later deletes them",
            done.keeps_from
        );
    }
    for held in &done.held {
        let age =
            held.updated_at.map(|at| format!(", as it said {} min ago", (now.saturating_sub(at) / 60_000_000).max(0)));
        let _ = writeln!(out, "  kept from entry {} on by {}{}", held.from, held.by, age.unwrap_or_default());
    }
    if !done.need_snapshot.is_empty() {
        let shown = done.need_snapshot.iter().take(TABLES_SHOWN_MAX).cloned().collect::<Vec<_>>().join(", ");
        let more = done.need_snapshot.len().saturating_sub(TABLES_SHOWN_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let _ =
            writeln!(out, "  only a snapshot makes these anew, the lake does not have all their rows: {shown}{more}");
    }
}

/// Bytes for people, in the largest unit that leaves a number above one.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = None;
    for name in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = Some(name);
    }
    unit.map_or_else(|| ByteSize(bytes).to_string(), |unit| format!("{value:.1} {unit}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{lake::gc::Removed, pipeline::gc::command::Held};

    #[test]
    fn the_report_says_what_went_and_what_keeps_the_rest() {
        let done = ShardReport {
            newest_entry: 100,
            oldest_entry: 1,
            oldest_written_at: 0,
            keeps_from: 41,
            removed: Removed { entries: 10, files: 20, bytes: 5 << 20 },
            orphans: Removed { entries: 0, files: 1, bytes: 7 },
            waits_until: Some(120_000_000),
            held: vec![Held { from: 41, by: "consumer sqlite:w.main".into(), updated_at: Some(0) }],
            need_snapshot: vec!["s1:shop.orders".into()],
            need_snapshot_cut_short: false,
        };
        let shards = BTreeMap::from([(Shard::new("s1"), done)]);
        let report = Report { dry_run: false, forgotten: vec!["sqlite:old.main".into()], shards };
        let said = text(&report, 60_000_000);
        assert_eq!(
            said,
            "consumer sqlite:old.main: forgotten\n\
             shard s1: removed 10 entries and 20 files, 5.0 MiB\n  \
             removed 1 files that no entry names, 7 B\n  \
             keeps 60 entries, from 41 on\n  \
             entries before 41 are given up: a run in 2 min or later deletes them\n  \
             kept from entry 41 on by consumer sqlite:w.main, as it said 1 min ago\n  \
             only a snapshot makes these anew, the lake does not have all their rows: s1:shop.orders\n"
        );
    }
}
