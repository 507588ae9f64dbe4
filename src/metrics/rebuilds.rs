//! Rebuilds that are under way: rows that were loaded from the lake, and those that are to be.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus_client::metrics::{family::Family, gauge::Gauge};

use super::{labels::ByTarget, register::Register};
use crate::{model::Target, progress::TableProgress};

/// Figures of all targets that are being rebuilt. Series come with a rebuild and go with it.
#[derive(Clone, Debug)]
pub(super) struct Rebuilds {
    /// Rows loaded and to be loaded.
    targets: Arc<Mutex<BTreeMap<Target, (u64, u64)>>>,
    rows: Family<ByTarget, Gauge>,
    expected: Family<ByTarget, Gauge>,
}

impl Rebuilds {
    pub(super) fn register(r: &mut Register) -> Self {
        Self {
            targets: Arc::default(),
            rows: r.add("rebuild_rows", "Rows that rebuilds under way have loaded from the lake", Family::default()),
            expected: r.add(
                "rebuild_expected_rows",
                "Rows that rebuilds under way load from the lake in all",
                Family::default(),
            ),
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Target, (u64, u64)>> {
        // Plain numbers: nothing can be half done behind a panic.
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, target: &Target) -> RebuildMetrics {
        let metrics = RebuildMetrics { all: self.clone(), target: target.clone() };
        metrics.change(|figures| *figures = (0, 0));
        metrics
    }

    pub(super) fn progress(&self) -> Vec<TableProgress> {
        let table = |(target, (rows, expected)): (&Target, &(u64, u64))| TableProgress {
            origin: target.to_string(),
            rows: *rows,
            rows_estimated: *expected,
            rows_per_second: None,
            rebuild: true,
        };
        self.known().iter().map(table).collect()
    }
}

/// Handles of one rebuild; its series go when this does.
#[derive(Debug)]
pub struct RebuildMetrics {
    all: Rebuilds,
    target: Target,
}

impl RebuildMetrics {
    /// So many rows are to be loaded, beside those that were.
    pub fn estimate(&self, rows: u64) {
        self.change(|(loaded, expected)| *expected = *loaded + rows);
    }

    /// So many rows more were loaded. What changed since it began grows the number of those to come.
    pub fn loaded(&self, rows: u64) {
        self.change(|(loaded, expected)| {
            *loaded += rows;
            *expected = *loaded.max(expected);
        });
    }

    fn change(&self, change: impl FnOnce(&mut (u64, u64))) {
        let mut known = self.all.known();
        let figures = known.entry(self.target.clone()).or_default();
        change(figures);
        let by = ByTarget { table: self.target.to_string() };
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.all.rows.get_or_create(&by).set(gauge(figures.0));
        self.all.expected.get_or_create(&by).set(gauge(figures.1));
    }
}

impl Drop for RebuildMetrics {
    fn drop(&mut self) {
        self.all.known().remove(&self.target);
        let by = ByTarget { table: self.target.to_string() };
        self.all.rows.remove(&by);
        self.all.expected.remove(&by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn series_come_and_go_with_their_rebuild() {
        let metrics = Metrics::new();
        let rebuild = metrics.rebuild_begins(&Target::new("shop.orders"));
        rebuild.estimate(10);
        rebuild.loaded(12);
        let text = metrics.exposition(1);
        assert!(text.contains("tailwater_rebuild_rows{table=\"shop.orders\"} 12"), "{text}");
        assert!(text.contains("tailwater_rebuild_expected_rows{table=\"shop.orders\"} 12"), "{text}");
        let table = metrics.snapshot(1).tables.remove(0);
        assert!(table.rebuild && table.rows == 12);
        drop(rebuild);
        assert!(!metrics.exposition(1).contains("shop.orders"));
    }
}
