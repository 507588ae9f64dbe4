//! Snapshots that are under way: one set of figures per table while it is read.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{model::Origin, progress::TableProgress};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByTable {
    shard: String,
    table: String,
}

impl ByTable {
    fn of(origin: &Origin) -> Self {
        Self { shard: origin.shard.to_string(), table: format!("{}.{}", origin.database, origin.table) }
    }
}

/// Figures of all tables that are being read. Series come with a snapshot and go with it.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshots {
    tables: Arc<Mutex<BTreeMap<Origin, Arc<Figures>>>>,
    rows: Family<ByTable, Gauge>,
    estimated: Family<ByTable, Gauge>,
}

#[derive(Debug, Default)]
struct Figures {
    rows: AtomicU64,
    estimated: AtomicU64,
}

impl Snapshots {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let all = Self::default();
        let help = "Rows that snapshots under way have read, by table";
        registry.register("snapshot_rows", help, all.rows.clone());
        let help = "Rows that tables whose snapshots are under way have, as the source estimates";
        registry.register("snapshot_rows_estimated", help, all.estimated.clone());
        all
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Origin, Arc<Figures>>> {
        // Plain numbers: nothing can be half done behind a panic.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, origin: &Origin, rows: u64, estimated: u64) -> SnapshotMetrics {
        let figures = Arc::new(Figures { rows: rows.into(), estimated: estimated.max(rows).into() });
        self.known().insert(origin.clone(), Arc::clone(&figures));
        SnapshotMetrics { all: self.clone(), origin: origin.clone(), figures }
    }

    pub(super) fn progress(&self) -> Vec<TableProgress> {
        let table = |(origin, figures): (&Origin, &Arc<Figures>)| TableProgress {
            origin: origin.to_string(),
            rows: figures.rows.load(Ordering::Relaxed),
            rows_estimated: figures.estimated.load(Ordering::Relaxed),
            rebuild: false,
        };
        self.known().iter().map(table).collect()
    }

    /// Brings the series up to date; to be done before they are shown.
    pub(super) fn show(&self) {
        let gauge = |n: &AtomicU64| i64::try_from(n.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        for (origin, figures) in self.known().iter() {
            let by = ByTable::of(origin);
            self.rows.get_or_create(&by).set(gauge(&figures.rows));
            self.estimated.get_or_create(&by).set(gauge(&figures.estimated));
        }
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
            let by = ByTable::of(&self.origin);
            self.all.rows.remove(&by);
            self.all.estimated.remove(&by);
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
        assert!(text.contains("tailwater_snapshot_rows_estimated{shard=\"s1\",table=\"shop.orders\"} 120"), "{text}");
        assert_eq!(metrics.snapshot(1).tables.len(), 1);
        let again = metrics.snapshot_begins(&origin, 0, 100);
        drop(snapshot);
        assert_eq!(metrics.snapshot(1).tables[0].rows, 0);
        drop(again);
        assert!(!metrics.exposition(1).contains("table=\"shop.orders\""));
    }
}
