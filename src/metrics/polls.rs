//! Tables that are read again and again: rounds, rows, and how long ago the last complete round began.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use prometheus_client::metrics::{counter::Counter, family::Family};

use super::{
    labels::{ByPollRows, ByShard},
    register::{BY_TABLE, Register},
    tables::{TableGauge, TableLabels},
};
use crate::model::Origin;

/// Labels of the tables, and when the last complete round of each began, UTC microseconds.
type Tables = BTreeMap<Origin, (TableLabels, Arc<AtomicI64>)>;

/// Figures of all tables that are asked.
#[derive(Clone, Debug)]
pub(super) struct Polls {
    tables: Arc<Mutex<Tables>>,
    rounds: Family<ByShard, Counter>,
    failures: Family<ByShard, Counter>,
    rows: Family<ByPollRows, Counter>,
    age: TableGauge,
}

impl Polls {
    pub(super) fn register(r: &mut Register) -> Self {
        Self {
            tables: Arc::default(),
            rounds: r.add("poll_rounds", "Complete rounds over tables that are read again and again", Family::default()),
            failures: r.add(
                "poll_failures",
                "Interruptions of rounds over tables that are read again and again; each is tried again",
                Family::default(),
            ),
            rows: r.add(
                "poll_rows",
                "Rows that rounds with mode = \"incremental\" have read, by whether they had to be written or the log had them",
                Family::default(),
            ),
            age: r.tables(
                "poll_age_seconds",
                "Age of what a table that is read again and again shows: time since its last complete round began, and before the \
                 first one since it was found",
                BY_TABLE,
            ),
        }
    }

    fn known(&self) -> MutexGuard<'_, Tables> {
        // Plain numbers: nothing can be half done behind a panic.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn table(&self, origin: &Origin, began: i64) -> PollMetrics {
        let shard = origin.shard.to_string();
        let rows = |outcome| self.rows.get_or_create_owned(&ByPollRows { shard: shard.clone(), outcome });
        let new = |origin: &Origin| (TableLabels::of(origin), Arc::default());
        let reached = Arc::clone(&self.known().entry(origin.clone()).or_insert_with_key(new).1);
        reached.store(began, Ordering::Relaxed);
        PollMetrics {
            rounds: self.rounds.get_or_create_owned(&ByShard { shard: shard.clone() }),
            failures: self.failures.get_or_create_owned(&ByShard { shard: shard.clone() }),
            written: rows("written"),
            known: rows("known"),
            began: reached,
        }
    }

    pub(super) fn forget(&self, origin: &Origin) {
        self.known().remove(origin);
    }

    /// Writes the ages at `now`, UTC microseconds.
    pub(super) fn write(&self, now: i64, out: &mut String) {
        let known = self.known();
        let age = |began: &AtomicI64| (now - began.load(Ordering::Relaxed)).max(0) as f64 / 1e6;
        self.age.write(out, known.values().map(|(labels, began)| (labels, age(began))), f64::max);
    }
}

/// Handles of one table. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PollMetrics {
    rounds: Counter,
    failures: Counter,
    written: Counter,
    known: Counter,
    began: Arc<AtomicI64>,
}

impl PollMetrics {
    /// A round is complete that began at this time, UTC microseconds.
    pub fn complete(&self, began: i64) {
        self.rounds.inc();
        self.began.store(began, Ordering::Relaxed);
    }

    /// A round was interrupted.
    pub fn failed(&self) {
        self.failures.inc();
    }

    /// Rows were read: so many were written, and so many the log had already.
    pub fn rows(&self, written: u64, known: u64) {
        self.written.inc_by(written);
        self.known.inc_by(known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{metrics::Metrics, model::Shard};

    #[test]
    fn a_round_that_never_completes_grows_old() {
        let metrics = Metrics::new();
        let origin = Origin::new(&Shard::new("s1"), "shop", "orders");
        let table = metrics.polled(&origin, 1_000_000);
        table.failed();
        let text = metrics.exposition(61_000_000);
        assert!(text.contains("tailwater_poll_age_seconds{shard=\"s1\",table=\"shop.orders\"} 60.0"), "{text}");
        assert!(text.contains("tailwater_poll_failures_total{shard=\"s1\"} 1"), "{text}");
        table.complete(60_000_000);
        table.rows(3, 4);
        let text = metrics.exposition(61_000_000);
        assert!(text.contains("tailwater_poll_age_seconds{shard=\"s1\",table=\"shop.orders\"} 1.0"), "{text}");
        assert!(text.contains("outcome=\"known\"} 4"), "{text}");
        metrics.polled_no_more(&origin);
        assert!(!metrics.exposition(61_000_000).contains("tailwater_poll_age_seconds{"));
    }
}
