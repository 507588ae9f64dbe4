//! What the process does at this moment, kept in memory for whoever asks.
//!
//! [`Metrics`](crate::metrics::Metrics) counts; this remembers what is no number: in which phase a shard or a group is, why it
//! failed last, where it stands, which tables are parked and why. Stages write it at their turning points, a few times a second
//! at most, and nothing here decides anything: losing it costs a page its content and the data nothing.
//!
//! Bounded by what is configured and what the sources have: an entry per shard, group, target and source table.

mod group;
mod history;
mod overview;
mod pauses;
mod recent;
mod shard;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

pub use group::{GroupState, GroupView, LiveGroup, Ticked};
pub use history::{Curve, History, LOOK_EVERY, POINT_SECONDS, POINTS, Point, Rates};
pub use overview::{Overview, TargetOverview};
pub use pauses::Pauses;
pub use recent::{Recent, RecentEvent, RecentLayer};
pub use shard::{LiveShard, ShardView, WORK_MAX, Wait, Work};

use crate::model::{Origin, Shard, Target, VerifiedTable};

/// Where a shard's extraction or a group's application is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It has not begun.
    #[default]
    Starting,
    /// It connects: to its source, or to the warehouse.
    Connecting,
    /// It takes its log or its group, and may be waiting for another process's silence.
    Claiming,
    /// It works.
    Running,
    /// It failed and waits for the next attempt.
    Retrying,
    /// An operator holds it back.
    Paused,
    /// It has ended.
    Ended,
}

/// What went wrong last, and what comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The error with its causes.
    pub error: String,
    /// When, UTC microseconds.
    pub at: i64,
    /// Failures in a row.
    pub failures: u64,
}

/// A phase, since when, and what went wrong on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// The phase.
    pub phase: Phase,
    /// Since when, UTC microseconds.
    pub since: i64,
    /// The last failure; none once it runs and has done something.
    pub trouble: Option<Trouble>,
}

impl Course {
    fn enter(&mut self, phase: Phase) {
        if self.phase != phase {
            (self.phase, self.since) = (phase, now());
        }
    }

    fn failed(&mut self, error: String) {
        let failures = self.trouble.as_ref().map_or(0, |t| t.failures) + 1;
        self.trouble = Some(Trouble { error, at: now(), failures });
        self.enter(Phase::Retrying);
    }
}

/// What was merged into a target since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetView {
    /// Changes merged.
    pub rows: u64,
    /// When the last of them became visible, UTC microseconds.
    pub applied_at: Option<i64>,
}

/// What the last comparison of a source table came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedView {
    /// Source commit time up to which it was last proven equal, UTC microseconds.
    pub through: Option<i64>,
    /// When it was compared last, UTC microseconds.
    pub at: i64,
    /// Rows that differed then; `None` where it could not be compared.
    pub different: Option<u64>,
}

/// The process at this moment.
#[derive(Default)]
pub struct Live {
    shards: Mutex<BTreeMap<Shard, Arc<LiveShard>>>,
    groups: Mutex<BTreeMap<String, Arc<LiveGroup>>>,
    targets: Mutex<BTreeMap<Target, TargetView>>,
    verified: Mutex<BTreeMap<Origin, VerifiedView>>,
    pauses: Mutex<Arc<Pauses>>,
    /// Changes of the two above.
    changes: AtomicU64,
    overview: Mutex<Option<overview::Made>>,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

impl Live {
    /// The state of a shard; the same shard always gets the same.
    pub fn shard(&self, shard: &Shard) -> Arc<LiveShard> {
        Arc::clone(held(&self.shards).entry(shard.clone()).or_default())
    }

    /// The state of a group; the same group always gets the same.
    pub fn group(&self, group: &str) -> Arc<LiveGroup> {
        Arc::clone(held(&self.groups).entry(group.to_owned()).or_default())
    }

    /// All shards that are known, by name.
    pub fn shards(&self) -> Vec<(Shard, Arc<LiveShard>)> {
        held(&self.shards).iter().map(|(name, shard)| (name.clone(), Arc::clone(shard))).collect()
    }

    /// All groups that are known, by name.
    pub fn groups(&self) -> Vec<(String, Arc<LiveGroup>)> {
        held(&self.groups).iter().map(|(name, group)| (name.clone(), Arc::clone(group))).collect()
    }

    /// Changes of a target became visible.
    pub fn applied(&self, target: &Target, rows: u64) {
        let mut targets = held(&self.targets);
        let view = targets.entry(target.clone()).or_default();
        view.rows += rows;
        view.applied_at = Some(now());
    }

    /// What was merged, by target.
    pub fn targets(&self) -> BTreeMap<Target, TargetView> {
        held(&self.targets).clone()
    }

    /// A source table was compared with the warehouse.
    pub fn verified(&self, origin: &Origin, found: &VerifiedTable) {
        use crate::model::TableOutcome::{Differs, Equal, NotCompared};
        let mut verified = held(&self.verified);
        let before = verified.get(origin).and_then(|view| view.through);
        let (through, different) = match &found.outcome {
            Equal => (found.through.as_ref().and_then(|t| t.committed_at).or(before), Some(0)),
            Differs { differences, .. } => (before, Some(differences.len() as u64)),
            NotCompared { .. } => (before, None),
        };
        verified.insert(origin.clone(), VerifiedView { through, at: now(), different });
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// This, and nothing else, is held back from now on.
    pub fn hold(&self, pauses: Pauses) {
        *held(&self.pauses) = Arc::new(pauses);
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// What is held back.
    pub fn pauses(&self) -> Arc<Pauses> {
        Arc::clone(&held(&self.pauses))
    }

    /// All source tables by target. Where there are thousands it may be some seconds old.
    pub fn overview(&self) -> Arc<Overview> {
        let shards = self.shards();
        let version = overview::version(&shards, self.changes.load(Ordering::Relaxed));
        let mut made = held(&self.overview);
        if let Some(kept) = made.as_ref().and_then(|made| made.kept(version)) {
            return kept;
        }
        let new = overview::Made::new(version, || overview::make(&shards, held(&self.verified).iter(), &self.pauses()));
        let overview = new.overview();
        *made = Some(new);
        overview
    }
}

/// What is locked is whole after every operation, so a panic elsewhere does not spoil it.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The present, UTC microseconds. For people and their pages: nothing is ordered by it.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
