//! How far behind the source each stage of a shard is.

use std::sync::atomic::{AtomicI64, Ordering};

/// How far along the source's time each stage is, UTC microseconds; 0 before a stage has begun.
#[derive(Debug, Default)]
pub(super) struct Reach {
    pub(super) read: AtomicI64,
    pub(super) stored: AtomicI64,
    pub(super) applied: AtomicI64,
}

/// Distances between the stages in seconds; `None` before a stage has begun.
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
