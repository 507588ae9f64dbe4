//! The table that a measurement ends with.

use std::fmt::Write as _;

use crate::measure::{Figures, median};

/// Extraction may take this many times what mysqlbinlog takes.
const RATIO_MAX: f64 = 2.0;
/// Peak resident set that extraction may reach.
const RSS_MAX_BYTES: u64 = 300 << 20;

/// Median, least and greatest of one figure.
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

fn spread(figures: &[Figures], figure: impl Fn(&Figures) -> f64) -> Spread {
    let mut all: Vec<f64> = figures.iter().map(figure).collect();
    all.sort_by(f64::total_cmp);
    let end = |figure: Option<&f64>| figure.copied().unwrap_or(f64::NAN);
    Spread { median: median(all.iter().copied()), min: end(all.first()), max: end(all.last()) }
}

/// Whether both targets are met, by the medians of the wall clock and the greatest peak.
pub(crate) fn is_met(baseline: &[Figures], extract: &[Figures]) -> bool {
    ratio(baseline, extract) <= RATIO_MAX && extract.iter().all(|run| run.rss_bytes <= RSS_MAX_BYTES)
}

fn ratio(baseline: &[Figures], extract: &[Figures]) -> f64 {
    spread(extract, |run| run.wall_seconds).median / spread(baseline, |run| run.wall_seconds).median
}

/// Both programs side by side, as Markdown.
pub(crate) fn table(baseline: &[Figures], extract: &[Figures], rows: u64, bytes: u64) -> String {
    let mut text = String::from(
        "\n| program | n | wall s, median [min-max] | row changes/s | MB/s | user s | system s | CPU s / M rows | peak RSS MiB |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for (name, runs) in [("mysqlbinlog --raw", baseline), ("tailwater extract", extract)] {
        if runs.is_empty() {
            continue;
        }
        let wall = spread(runs, |run| run.wall_seconds);
        let user = spread(runs, |run| run.user_seconds).median;
        let system = spread(runs, |run| run.system_seconds).median;
        let peak = runs.iter().map(|run| run.rss_bytes).max().unwrap_or(0) >> 20;
        let millions = rows as f64 / 1e6;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {name} | {} | {:.2} [{:.2}-{:.2}] | {:.2} M | {:.0} | {user:.2} | {system:.2} | {:.3} | {peak} |",
            runs.len(),
            wall.median,
            wall.min,
            wall.max,
            millions / wall.median,
            bytes as f64 / 1e6 / wall.median,
            (user + system) / millions,
        );
    }
    if !extract.is_empty() {
        let word = if is_met(baseline, extract) { "met" } else { "MISSED" };
        let _ = write!(
            text,
            "\nratio of the medians {:.2} (at most {RATIO_MAX:.1}), peak at most {} MiB: {word}",
            ratio(baseline, extract),
            RSS_MAX_BYTES >> 20
        );
    }
    text
}
