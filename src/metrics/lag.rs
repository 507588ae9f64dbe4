//! How far behind the source each stage of a shard is.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

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
    /// By group: each merges at its own pace.
    applied: Mutex<BTreeMap<String, i64>>,
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
    fn applied_by(&self) -> MutexGuard<'_, BTreeMap<String, i64>> {
        // Plain numbers: nothing can be half done behind a panic.
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A group shows the source as of `at`; nothing where that is not known.
    pub(super) fn applied(&self, group: &str, at: i64) {
        if at > 0 {
            let mut applied = self.applied_by();
            match applied.get_mut(group) {
                Some(known) => *known = at.max(*known),
                None => _ = applied.insert(group.to_owned(), at),
            }
        }
    }

    /// Time between what is stored and what a group shows, in seconds; `None` before it has begun.
    pub(super) fn applied_lag(&self, group: &str, now: i64) -> Option<f64> {
        let shown = self.applied_by().get(group).copied()?;
        let stored = Some(self.stored.load(Ordering::Relaxed)).filter(|at| *at > 0);
        Some((stored.unwrap_or(now) - shown).max(0) as f64 / 1e6)
    }

    /// This process does not apply the group any more.
    pub(super) fn forget(&self, group: &str) {
        self.applied_by().remove(group);
    }

    /// Longest time between two rounds in seconds, where tables are read again and again.
    pub(super) fn every(&self) -> Option<f64> {
        Some(self.every.load(Ordering::Relaxed) as f64 / 1e6).filter(|every| *every > 0.0)
    }

    pub(super) fn lag(&self, now: i64) -> Lag {
        let at = |stage: &AtomicI64| Some(stage.load(Ordering::Relaxed)).filter(|at| *at > 0);
        let (read, stored) = (at(&self.read), at(&self.stored));
        // What all groups show. One that has not begun is told by its session.
        let applied = self.applied_by().values().min().copied();
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
    interval: Family<ByShard, Seconds>,
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
                "Stored to applied: time between what is in the lake and what is visible in the warehouse, of the slowest group; a \
                 process that only applies counts from the present",
                Family::default(),
            ),
            total: r.add(
                "lag_seconds",
                "Source head to the last stage of this process: the sum of the lags above, and the figure to alert on",
                Family::default(),
            ),
            interval: r.add(
                "poll_interval_seconds",
                "Longest time between two rounds of a shard whose tables are read again and again: so much of its lag is by \
                 its configuration. Shards whose binlog is followed have no series",
                Family::default(),
            ),
        }
    }

    /// Brings the shard's series up to date. A shard that has not begun has no lag yet; a missing series says so better than a
    /// zero.
    pub(super) fn show(&self, shard: &str, lag: Lag, every: Option<f64>) {
        let by = ByShard { shard: shard.to_owned() };
        if let Some(every) = every {
            self.interval.get_or_create(&by).set(every);
        }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{metrics::Metrics, model::Shard};

    const SECOND: i64 = 1_000_000;

    #[test]
    fn a_shard_is_as_late_as_its_slowest_group() {
        let metrics = Metrics::new();
        let shard = metrics.shard(&Shard::new("s1"));
        shard.read_up_to(100 * SECOND);
        shard.stored(1, 1, 1, 100 * SECOND);
        shard.applied("fast", 1, 1, 99 * SECOND);
        shard.applied("slow", 1, 1, 40 * SECOND);
        shard.applied("slow", 1, 1, 0);
        let lag = || metrics.snapshot(100 * SECOND).shards[0].lag_applied_seconds;
        assert_eq!(lag(), Some(60.0));
        let of = |group: &str| metrics.group_lag(group, 100 * SECOND).map(|(_, lag)| lag);
        assert_eq!((of("fast"), of("slow"), of("other")), (Some(1.0), Some(60.0), None));
        shard.caught_up("slow", 100 * SECOND);
        assert_eq!(lag(), Some(1.0));
        // A configuration without the group must not keep the shard late for ever.
        shard.applied("gone", 1, 1, 10 * SECOND);
        metrics.group_ended("gone");
        assert_eq!(lag(), Some(1.0));
    }

    #[test]
    fn a_shard_that_is_asked_says_how_often() {
        let metrics = Metrics::new();
        metrics.shard(&Shard::new("s1")).asked_every(Duration::from_secs(3600));
        metrics.shard(&Shard::new("s2")).read_up_to(1);
        let text = metrics.exposition(2);
        assert!(text.contains("tailwater_poll_interval_seconds{shard=\"s1\"} 3600.0"), "{text}");
        assert!(!text.contains("tailwater_poll_interval_seconds{shard=\"s2\"}"), "{text}");
    }
}
