//! From the commit on the source to the moment that another connection sees it in the warehouse.

use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram};

use super::{
    labels::{ByGroup, ByShard},
    register::{Histograms, Register, Seconds},
};

/// Bounds in seconds: from a local SQLite to an hour behind. Close together where objectives usually lie.
const LATENCY_SECONDS: [f64; 16] =
    [0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0, 3600.0];

/// What was read back.
#[derive(Clone, Debug)]
pub(super) struct Latency {
    seconds: Histograms<ByShard>,
    last: Family<ByShard, Seconds>,
    looks: Family<ByGroup, Counter>,
    looked: Family<ByGroup, Gauge>,
}

impl Latency {
    pub(super) fn register(r: &mut Register) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(LATENCY_SECONDS);
        Self {
            seconds: r.add(
                "end_to_end_seconds",
                "Commit on the source to queryable, read back from the warehouse by another connection: of each log entry its \
                 oldest and its newest transaction. Tables that are parked or being read by a snapshot are not in it",
                Family::new_with_constructor(histogram),
            ),
            last: r.add(
                "end_to_end_last_seconds",
                "The same of the oldest transaction that became queryable last",
                Family::default(),
            ),
            looks: r.add("read_backs", "Times that the warehouse was asked what it shows", Family::default()),
            looked: r.add(
                "read_back_timestamp_seconds",
                "When the warehouse last answered what it shows",
                Family::default(),
            ),
        }
    }

    /// Transactions of a shard, committed at these UTC microseconds at the earliest and the latest, were visible at `seen`.
    pub(super) fn visible(&self, shard: &str, earliest: i64, latest: i64, seen: i64) {
        let by = ByShard { shard: shard.to_owned() };
        // Clocks differ between machines: never below zero.
        let age = |at: i64| (seen - at).max(0) as f64 / 1e6;
        let histogram = self.seconds.get_or_create(&by);
        histogram.observe(age(earliest));
        histogram.observe(age(latest));
        drop(histogram);
        self.last.get_or_create(&by).set(age(earliest));
    }

    /// The warehouse answered at `at`, UTC microseconds.
    pub(super) fn looked(&self, group: &str, at: i64) {
        let by = ByGroup { group: group.to_owned() };
        self.looks.get_or_create(&by).inc();
        self.looked.get_or_create(&by).set(at / 1_000_000);
    }
}
