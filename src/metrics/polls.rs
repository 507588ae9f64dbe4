//! Tables that are read again and again: rounds, rows, and how long ago the last complete round began.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::model::Origin;

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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    shard: String,
    table: String,
    /// What became of a row that a round read.
    outcome: &'static str,
}

type Age = Gauge<f64, std::sync::atomic::AtomicU64>;

/// Figures of all tables that are asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Polls {
    tables: Arc<Mutex<BTreeMap<Origin, Arc<AtomicI64>>>>,
    rounds: Family<ByTable, Counter>,
    failures: Family<ByTable, Counter>,
    rows: Family<ByOutcome, Counter>,
    age: Family<ByTable, Age>,
}

impl Polls {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let all = Self::default();
        let help = "Complete rounds over a table that is asked again and again";
        registry.register("poll_rounds", help, all.rounds.clone());
        let help = "Interruptions of rounds; each is tried again";
        registry.register("poll_failures", help, all.failures.clone());
        let help = "Rows that rounds for what is new have read, by whether they had to be written";
        registry.register("poll_rows", help, all.rows.clone());
        let help =
            "Seconds since the last complete round over a table began; before the first one since the table was found";
        registry.register("poll_age_seconds", help, all.age.clone());
        all
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Origin, Arc<AtomicI64>>> {
        // Plain numbers: nothing can be half done behind a panic.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn table(&self, origin: &Origin, began: i64) -> PollMetrics {
        let by = ByTable::of(origin);
        let rows = |outcome| {
            let (shard, table) = (by.shard.clone(), by.table.clone());
            self.rows.get_or_create_owned(&ByOutcome { shard, table, outcome })
        };
        let reached = Arc::clone(self.known().entry(origin.clone()).or_default());
        reached.store(began, Ordering::Relaxed);
        PollMetrics {
            rounds: self.rounds.get_or_create_owned(&by),
            failures: self.failures.get_or_create_owned(&by),
            written: rows("written"),
            known: rows("known"),
            began: reached,
        }
    }

    pub(super) fn forget(&self, origin: &Origin) {
        if self.known().remove(origin).is_some() {
            self.age.remove(&ByTable::of(origin));
        }
    }

    /// Brings the ages up to date; to be done before they are shown. `now` in UTC microseconds.
    pub(super) fn show(&self, now: i64) {
        for (origin, began) in self.known().iter() {
            let age = (now - began.load(Ordering::Relaxed)).max(0);
            self.age.get_or_create(&ByTable::of(origin)).set(age as f64 / 1e6);
        }
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

    /// Rows were read: so many were new, and so many the log had already.
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
        assert!(text.contains("tailwater_poll_failures_total{shard=\"s1\",table=\"shop.orders\"} 1"), "{text}");
        table.complete(60_000_000);
        table.rows(3, 4);
        let text = metrics.exposition(61_000_000);
        assert!(text.contains("tailwater_poll_age_seconds{shard=\"s1\",table=\"shop.orders\"} 1.0"), "{text}");
        assert!(text.contains("outcome=\"known\"} 4"), "{text}");
        metrics.polled_no_more(&origin);
        assert!(!metrics.exposition(61_000_000).contains("tailwater_poll_age_seconds{"));
    }
}
