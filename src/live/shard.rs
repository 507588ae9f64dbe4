//! One shard's extraction, as far as it is no number.

use std::sync::{
    Mutex,
    atomic::{AtomicI64, AtomicU64, Ordering},
};
use std::time::Duration;

use super::{Course, Phase, held, now};
use crate::model::{Catalog, Position, Step};

/// Longest time that the decode thread may work on one piece without a pause. Pieces are batches of some hundred kilobytes; the
/// largest single event is a gigabyte and takes seconds. What takes this long does not end.
pub const WORK_MAX: Duration = Duration::from_secs(600);

/// What a shard has come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShardView {
    /// Where its extraction is. [`Phase::Starting`] for ever where this process only applies it.
    pub course: Course,
    /// Whether this process extracts it.
    pub extracts: bool,
    /// Whether the log is this process's.
    pub claimed: bool,
    /// Number of the newest entry that this process knows.
    pub entry: u64,
    /// When that entry was written, UTC microseconds; `None` where it was written by another process.
    pub written_at: Option<i64>,
    /// Source position of that entry.
    pub position: Position,
}

/// The state of one shard.
#[derive(Debug, Default)]
pub struct LiveShard {
    view: Mutex<ShardView>,
    catalog: Mutex<Known>,
    /// Changes of the catalog.
    version: AtomicU64,
    /// Since when the decode thread works without a pause, UTC microseconds; 0 while it waits.
    working_since: AtomicI64,
}

/// What the log says of the shard's tables.
#[derive(Debug, Default)]
struct Known {
    /// Up to which entry.
    entry: u64,
    catalog: Catalog,
}

/// The decode thread works on something as long as this is kept.
#[derive(Debug)]
pub struct Work<'a>(&'a LiveShard);

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.0.working_since.store(0, Ordering::Relaxed);
    }
}

/// The decode thread waits as long as this is kept.
#[derive(Debug)]
pub struct Wait<'a>(&'a LiveShard);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.0.working_since.store(now(), Ordering::Relaxed);
    }
}

impl LiveShard {
    /// This process is to extract the shard.
    pub fn expect(&self) {
        held(&self.view).extracts = true;
    }

    /// It enters a phase.
    pub fn enter(&self, phase: Phase) {
        let mut view = held(&self.view);
        view.course.enter(phase);
        view.claimed &= !matches!(phase, Phase::Paused | Phase::Ended);
    }

    /// It failed and tries again.
    pub fn failed(&self, error: String) {
        held(&self.view).course.failed(error);
    }

    /// The log was lost: it must be taken anew.
    pub fn unclaimed(&self) {
        held(&self.view).claimed = false;
    }

    /// The log is ours, and says this.
    pub fn claimed(&self, entry: u64, position: &Position, catalog: &Catalog) {
        {
            let mut view = held(&self.view);
            view.claimed = true;
            (view.entry, view.position) = (entry, position.clone());
        }
        self.know(&mut held(&self.catalog), entry, catalog);
    }

    /// An entry was committed.
    pub fn committed(&self, entry: u64, written_at: i64, position: &Position, steps: &[Step]) {
        {
            let mut view = held(&self.view);
            (view.entry, view.written_at, view.position) = (entry, Some(written_at), position.clone());
            view.course.trouble = None;
        }
        self.passed(entry, steps);
    }

    /// What the whole log says of the shard's tables up to an entry.
    pub fn learned(&self, entry: u64, catalog: &Catalog) {
        let mut known = held(&self.catalog);
        if entry > known.entry {
            self.know(&mut known, entry, catalog);
        }
    }

    fn know(&self, known: &mut Known, entry: u64, catalog: &Catalog) {
        known.entry = entry;
        if known.catalog != *catalog {
            known.catalog = catalog.clone();
            self.version.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The log was read, or written, up to an entry with these steps. Several read it side by side: what one knows already is
    /// no news of another.
    pub fn passed(&self, entry: u64, steps: &[Step]) {
        let mut known = held(&self.catalog);
        if entry > known.entry {
            known.entry = entry;
            let changed = steps.iter().filter(|step| known.catalog.apply(step)).count();
            self.version.fetch_add(changed as u64, Ordering::Relaxed);
        }
    }

    /// How often what the log says of tables has changed.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// What the shard has come to.
    pub fn view(&self) -> ShardView {
        held(&self.view).clone()
    }

    /// What the log says of the shard's tables.
    pub fn with_catalog<T>(&self, look: impl FnOnce(&Catalog) -> T) -> T {
        look(&held(&self.catalog).catalog)
    }

    /// The decode thread begins to work on something, and ends when the answer is dropped.
    pub fn work(&self) -> Work<'_> {
        self.working_since.store(now(), Ordering::Relaxed);
        Work(self)
    }

    /// The working thread waits for something outside of it, until the answer is dropped.
    pub fn wait(&self) -> Wait<'_> {
        self.working_since.store(0, Ordering::Relaxed);
        Wait(self)
    }

    /// For how long the decode thread has worked without a pause, where that is longer than anything sound takes.
    pub fn stuck(&self, now: i64) -> Option<Duration> {
        let since = self.working_since.load(Ordering::Relaxed);
        let working = Duration::from_micros(u64::try_from(now - since).unwrap_or_default());
        (since > 0 && working > WORK_MAX).then_some(working)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::{Origin, Parked, Seq, Shard, Target};

    fn parked(table: &str) -> Step {
        let origin = Origin::new(&Shard::new("s1"), "shop", table);
        Step::Parked(Parked { origin, target: Target::new("shop.t"), seq: Seq(1), reason: "wide decimal".to_owned() })
    }

    #[test]
    fn what_was_passed_already_is_no_news() {
        let shard = LiveShard::default();
        shard.passed(5, &[parked("a")]);
        shard.passed(4, &[parked("b")]);
        shard.learned(5, &Catalog::default());
        assert_eq!(shard.with_catalog(|c| c.origins.len()), 1);
        shard.learned(6, &Catalog::default());
        assert_eq!(shard.with_catalog(|c| c.origins.len()), 0);
    }

    #[test]
    fn failures_count_until_something_is_committed() {
        let shard = LiveShard::default();
        shard.failed("away".to_owned());
        shard.enter(Phase::Connecting);
        shard.failed("away".to_owned());
        let course = shard.view().course;
        assert_eq!((course.phase, course.trouble.unwrap().failures), (Phase::Retrying, 2));
        shard.enter(Phase::Running);
        assert!(shard.view().course.trouble.is_some());
        shard.committed(3, 1, &Position::default(), &[]);
        assert_eq!(shard.view().course.trouble, None);
    }

    #[test]
    fn work_without_a_pause_is_stuck_and_waiting_never_is() {
        let shard = LiveShard::default();
        let later = now() + 2 * i64::try_from(WORK_MAX.as_micros()).unwrap();
        assert_eq!(shard.stuck(later), None);
        let work = shard.work();
        assert_eq!(shard.stuck(now()), None);
        assert!(shard.stuck(later).is_some());
        let wait = shard.wait();
        assert_eq!(shard.stuck(later), None);
        drop(wait);
        assert!(shard.stuck(later).is_some());
        drop(work);
        assert_eq!(shard.stuck(later), None);
    }
}
