//! Snapshots that are under way: one set of figures per table while it is read.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};

use super::{
    labels::ByShard,
    register::{BY_TABLE, Register},
    tables::{TableGauge, TableLabels},
};
use crate::{model::Origin, progress::TableProgress};

/// Figures of all tables that are being read. Series come with a snapshot and go with it.
#[derive(Clone, Debug)]
pub(super) struct Snapshots {
    tables: Arc<Mutex<BTreeMap<Origin, Arc<Figures>>>>,
    rows: TableGauge,
    estimated: TableGauge,
    begun: Family<ByShard, Counter>,
    running: Family<ByShard, Gauge>,
}

#[derive(Debug)]
struct Figures {
    labels: TableLabels,
    /// Rows that an earlier process read: no part of the rate.
    before: u64,
    rows: AtomicU64,
    estimated: AtomicU64,
    /// Since when it is read.
    since: OnceLock<Instant>,
}

impl Figures {
    fn rows_per_second(&self) -> Option<f64> {
        let rows = self.rows.load(Ordering::Relaxed).checked_sub(self.before).filter(|rows| *rows > 0)?;
        Some(rows as f64 / self.since.get()?.elapsed().as_secs_f64().max(0.001))
    }
}

impl Snapshots {
    pub(super) fn register(r: &mut Register) -> Self {
        Self {
            tables: Arc::default(),
            rows: r.tables("snapshot_rows", "Rows that snapshots under way have read, by table", BY_TABLE),
            estimated: r.tables(
                "snapshot_estimated_rows",
                "Rows that tables whose snapshots are under way have, as the source estimates",
                BY_TABLE,
            ),
            begun: r.add("snapshots_begun", "Snapshots of tables that were begun or taken up again", Family::default()),
            running: r.add("snapshots_running", "Snapshots of tables that are under way", Family::default()),
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Origin, Arc<Figures>>> {
        // Plain numbers: nothing can be half done behind a panic.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, origin: &Origin, rows: u64, estimated: u64) -> SnapshotMetrics {
        let (labels, estimated) = (TableLabels::of(origin), estimated.max(rows).into());
        let figures = Arc::new(Figures { labels, before: rows, rows: rows.into(), estimated, since: OnceLock::new() });
        self.known().insert(origin.clone(), Arc::clone(&figures));
        self.begun.get_or_create(&ByShard { shard: origin.shard.to_string() }).inc();
        SnapshotMetrics { all: self.clone(), origin: origin.clone(), figures }
    }

    pub(super) fn progress(&self) -> Vec<TableProgress> {
        let table = |(origin, figures): (&Origin, &Arc<Figures>)| TableProgress {
            origin: origin.to_string(),
            rows: figures.rows.load(Ordering::Relaxed),
            rows_estimated: figures.estimated.load(Ordering::Relaxed),
            rows_per_second: figures.rows_per_second(),
            rebuild: false,
        };
        self.known().iter().map(table).collect()
    }

    /// Brings the series of shards up to date; to be done before they are shown.
    pub(super) fn show(&self) {
        let mut running: BTreeMap<String, i64> = BTreeMap::new();
        self.known().keys().for_each(|origin| *running.entry(origin.shard.to_string()).or_default() += 1);
        self.running.clear();
        for (shard, tables) in running {
            self.running.get_or_create(&ByShard { shard }).set(tables);
        }
    }

    /// Writes the series of source tables.
    pub(super) fn write(&self, out: &mut String) {
        let known = self.known();
        let mut write = |gauge: &TableGauge, of: fn(&Figures) -> &AtomicU64| {
            let rows = |figures: &Figures| i64::try_from(of(figures).load(Ordering::Relaxed)).unwrap_or(i64::MAX);
            gauge.write(out, known.values().map(|f| (&f.labels, rows(f))), i64::saturating_add);
        };
        write(&self.rows, |figures| &figures.rows);
        write(&self.estimated, |figures| &figures.estimated);
    }
}

/// Handles of one table's snapshot; its series go when this does.
#[derive(Debug)]
pub struct SnapshotMetrics {
    all: Snapshots,
    origin: Origin,
    figures: Arc<Figures>,
}

impl SnapshotMetrics {
    /// The table's turn has come: from now on it is read.
    pub fn reading(&self) {
        self.figures.since.get_or_init(Instant::now);
    }

    /// So many rows were read so far. An estimate that proves too low grows with them.
    pub fn read(&self, rows: u64) {
        self.figures.rows.store(rows, Ordering::Relaxed);
        self.figures.estimated.fetch_max(rows, Ordering::Relaxed);
    }
}

impl Drop for SnapshotMetrics {
    fn drop(&mut self) {
        let mut known = self.all.known();
        // One that began anew has figures of its own.
        if known.get(&self.origin).is_some_and(|figures| Arc::ptr_eq(figures, &self.figures)) {
            known.remove(&self.origin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{metrics::Metrics, model::Shard};

    #[test]
    fn series_come_and_go_with_their_snapshot() {
        let metrics = Metrics::new();
        let origin = Origin::new(&Shard::new("s1"), "shop", "orders");
        let snapshot = metrics.snapshot_begins(&origin, 5, 100);
        snapshot.read(120);
        let text = metrics.exposition(1);
        assert!(text.contains("tailwater_snapshot_rows{shard=\"s1\",table=\"shop.orders\"} 120"), "{text}");
        assert!(text.contains("tailwater_snapshot_estimated_rows{shard=\"s1\",table=\"shop.orders\"} 120"), "{text}");
        assert_eq!(metrics.snapshot(1).tables.len(), 1);
        assert_eq!(metrics.snapshot(1).tables[0].rows_per_second, None, "it waits for its turn");
        snapshot.reading();
        assert!(metrics.snapshot(1).tables[0].rows_per_second.is_some_and(|rate| rate > 0.0));
        let again = metrics.snapshot_begins(&origin, 0, 100);
        drop(snapshot);
        assert_eq!(metrics.snapshot(1).tables[0].rows, 0);
        drop(again);
        assert!(!metrics.exposition(1).contains("table=\"shop.orders\""));
    }
}
