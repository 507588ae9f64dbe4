//! One bar for each table that is read by a snapshot, above the live line.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::progress::TableProgress;

/// Bars that are shown at one time; a terminal has a few dozen lines.
const BARS_MAX: usize = 8;

/// How often a log line tells of each table, and of how many at most.
const LOGGED_MAX: usize = 20;

/// Bars by table.
#[derive(Debug)]
pub(super) struct Bars {
    terminal: MultiProgress,
    bars: BTreeMap<String, ProgressBar>,
}

impl Bars {
    pub(super) fn new(terminal: MultiProgress) -> Self {
        Self { terminal, bars: BTreeMap::new() }
    }

    /// Shows the tables as they are now.
    pub(super) fn show(&mut self, tables: &[TableProgress]) {
        self.bars.retain(|origin, bar| {
            let reading = tables.iter().any(|t| t.origin == *origin);
            if !reading {
                bar.finish_and_clear();
                self.terminal.remove(bar);
            }
            reading
        });
        // Those that have something to show, before those that wait for a connection.
        let moving = tables.iter().filter(|t| t.rows > 0);
        for table in moving.chain(tables.iter().filter(|t| t.rows == 0)) {
            if self.bars.len() >= BARS_MAX && !self.bars.contains_key(&table.origin) {
                continue;
            }
            let bar = self.bars.entry(table.origin.clone()).or_insert_with(|| new_bar(&self.terminal, table));
            bar.set_length(table.rows_estimated.max(table.rows));
            bar.set_position(table.rows);
        }
    }

    pub(super) fn clear(&mut self) {
        self.bars.values().for_each(ProgressBar::finish_and_clear);
        self.bars.clear();
    }
}

fn new_bar(terminal: &MultiProgress, table: &TableProgress) -> ProgressBar {
    let bar = terminal.insert(0, ProgressBar::new(table.rows_estimated));
    // The template is a constant; should it ever not parse, the standard one is drawn.
    let template = "{prefix:40!} {bar:24} {human_pos}/{human_len} rows, {per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(if table.rebuild { format!("rebuild of {}", table.origin) } else { table.origin.clone() });
    // What an earlier process read is no part of the rate.
    bar.with_position(table.rows)
}

/// When a table was first seen, and with how many rows: rates of those that do not tell their own.
#[derive(Debug, Default)]
pub(super) struct Seen(BTreeMap<String, (Instant, u64)>);

impl Seen {
    /// One log line a table, with the average rate since it was first seen.
    pub(super) fn log(&mut self, tables: &[TableProgress]) {
        self.0.retain(|origin, _| tables.iter().any(|t| t.origin == *origin));
        for table in tables.iter().filter(|t| t.rows > 0).take(LOGGED_MAX) {
            let (since, before) = *self.0.entry(table.origin.clone()).or_insert((Instant::now(), table.rows));
            let seen = || (table.rows - before.min(table.rows)) as f64 / since.elapsed().as_secs_f64().max(1.0);
            let rate = table.rows_per_second.unwrap_or_else(seen);
            let left = (table.rows_estimated - table.rows) as f64 / rate;
            let left = (rate > 0.0).then(|| Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX).as_secs());
            tracing::info!(
                origin = table.origin,
                rows = table.rows,
                rows_estimated = table.rows_estimated,
                rows_per_second = rate.round(),
                seconds_left = left,
                "{}",
                if table.rebuild { "rebuild" } else { "snapshot" }
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressDrawTarget;

    use super::*;

    #[test]
    fn there_are_few_bars_and_they_go_with_their_tables() {
        let mut bars = Bars::new(MultiProgress::with_draw_target(ProgressDrawTarget::hidden()));
        let table = |n: usize, rows| TableProgress {
            origin: format!("s1:shop.t{n}"),
            rows,
            rows_estimated: 10,
            ..TableProgress::default()
        };
        let all: Vec<_> = (0..20).map(|n| table(n, u64::from(n >= 15))).collect();
        bars.show(&all);
        assert_eq!(bars.bars.len(), BARS_MAX);
        assert!(bars.bars.contains_key("s1:shop.t19"), "those that move come first");
        bars.show(&[table(19, 12)]);
        assert_eq!(bars.bars.len(), 1);
        assert_eq!(bars.bars["s1:shop.t19"].length(), Some(12), "an estimate that was too low grows");
    }
}
