//! How far behind the source each stage of a shard is.

use std::sync::atomic::{AtomicI64, Ordering};

use prometheus_client::metrics::family::Family;

use super::{
    labels::ByShard,
    register::{Register, Seconds},
};

/// How far along the source's time each stage is, UTC microseconds; 0 before a stage has begun.
#[derive(Debug, Default)]
pub(super) struct Reach {
    pub(super) read: AtomicI64,
    pub(super) stored: AtomicI64,
    pub(super) applied: AtomicI64,
    /// Longest time between two rounds where tables are read again and again, microseconds; 0 where the binlog is followed.
    pub(super) every: AtomicI64,
}

/// Distances between the stages in seconds; `None` before a stage has begun.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lag {
    pub(super) read: Option<f64>,
    pub(super) stored: Option<f64>,
    pub(super) applied: Option<f64>,
}

impl Reach {
    pub(super) fn lag(&self, now: i64) -> Lag {
        let at = |stage: &AtomicI64| Some(stage.load(Ordering::Relaxed)).filter(|at| *at > 0);
        let (read, stored, applied) = (at(&self.read), at(&self.stored), at(&self.applied));
        // Clocks differ between machines: never below zero.
        let between = |ahead: Option<i64>, behind: Option<i64>| Some((ahead? - behind?).max(0) as f64 / 1e6);
        Lag {
            read: between(Some(now), read),
            stored: between(read, stored),
            // `apply` alone does not read: what it has not seen of the lake is unknown to it, so the age counts.
            applied: between(stored.or(Some(now)), applied),
        }
    }
}

impl Lag {
    /// How old what the last stage of this process shows is; `None` when none has begun.
    pub(super) fn total(&self) -> Option<f64> {
        [self.read, self.stored, self.applied].into_iter().flatten().reduce(|a, b| a + b)
    }
}

/// The lags as series.
#[derive(Clone, Debug)]
pub(super) struct Lags {
    read: Family<ByShard, Seconds>,
    stored: Family<ByShard, Seconds>,
    applied: Family<ByShard, Seconds>,
    total: Family<ByShard, Seconds>,
}

impl Lags {
    pub(super) fn register(r: &mut Register) -> Self {
        Self {
            read: r.add(
                "lag_read_seconds",
                "Source head to read: grows while nothing arrives, not even heartbeats; near zero while heartbeats say that there is \
                 nothing new",
                Family::default(),
            ),
            stored: r.add(
                "lag_stored_seconds",
                "Read to stored: time between what was read and what is in the lake",
                Family::default(),
            ),
            applied: r.add(
                "lag_applied_seconds",
                "Stored to applied: time between what is in the lake and what is visible in the warehouse; a process that only \
                 applies counts from the present",
                Family::default(),
            ),
            total: r.add(
                "lag_seconds",
                "Source head to the last stage of this process: the sum of the lags above, and the figure to alert on",
                Family::default(),
            ),
        }
    }

    /// Brings the shard's series up to date. A shard that has not begun has no lag yet; a missing series says so better than a
    /// zero.
    pub(super) fn show(&self, shard: &str, lag: Lag) {
        let by = ByShard { shard: shard.to_owned() };
        for (family, seconds) in [
            (&self.read, lag.read),
            (&self.stored, lag.stored),
            (&self.applied, lag.applied),
            (&self.total, lag.total()),
        ] {
            if let Some(seconds) = seconds {
                family.get_or_create(&by).set(seconds);
            }
        }
    }
}
