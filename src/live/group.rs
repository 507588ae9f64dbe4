//! One group's application, as far as it is no number.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Mutex,
    time::Duration,
};

use super::{Course, Phase, held, now};
use crate::model::{Origin, Target};

/// Ticks that are remembered: enough to tell a slow one from slow ones.
const TICKS: usize = 100;

/// One merge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    /// When it was committed, UTC microseconds.
    pub at: i64,
    /// Time until all files were staged, milliseconds.
    pub staging_ms: u64,
    /// Time of the transaction that made the rows visible, milliseconds.
    pub merging_ms: u64,
    /// Changes.
    pub rows: u64,
}

/// What a group has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupView {
    /// Where its application is.
    pub course: Course,
    /// Merges since the process started.
    pub ticks: u64,
    /// The last of them, oldest first.
    pub last: Vec<Ticked>,
    /// Source tables that wait for a mend of their targets.
    pub parked: BTreeMap<Origin, GroupState>,
}

/// Why a source table waits before its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupState {
    /// The target.
    pub target: Target,
    /// Why.
    pub reason: String,
    /// Since when this process has seen it, UTC microseconds.
    pub since: i64,
}

/// The state of one group.
#[derive(Debug, Default)]
pub struct LiveGroup(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    course: Course,
    ticks: u64,
    last: VecDeque<Ticked>,
    parked: BTreeMap<Origin, GroupState>,
}

impl LiveGroup {
    /// It enters a phase.
    pub fn enter(&self, phase: Phase) {
        held(&self.0).course.enter(phase);
    }

    /// It failed and tries again.
    pub fn failed(&self, error: String) {
        held(&self.0).course.failed(error);
    }

    /// It came forward: what failed before is over.
    pub fn came_forward(&self) {
        held(&self.0).course.trouble = None;
    }

    /// A merge was committed.
    pub fn ticked(&self, staging: Duration, merging: Duration, rows: u64) {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut state = held(&self.0);
        state.ticks += 1;
        state.course.trouble = None;
        if state.last.len() == TICKS {
            state.last.pop_front();
        }
        state.last.push_back(Ticked { at: now(), staging_ms: ms(staging), merging_ms: ms(merging), rows });
    }

    /// Source tables stay behind until their target is mended.
    pub fn parked<'a>(&self, target: &Target, reason: &str, origins: impl IntoIterator<Item = &'a Origin>) {
        let mut state = held(&self.0);
        for origin in origins {
            let view = GroupState { target: target.clone(), reason: reason.to_owned(), since: now() };
            state.parked.entry(origin.clone()).or_insert(view);
        }
    }

    /// Only these source tables are still behind.
    pub fn still_parked(&self, origins: &BTreeSet<&Origin>) {
        held(&self.0).parked.retain(|origin, _| origins.contains(origin));
    }

    /// What the group has come to.
    pub fn view(&self) -> GroupView {
        let state = held(&self.0);
        GroupView {
            course: state.course.clone(),
            ticks: state.ticks,
            last: state.last.iter().copied().collect(),
            parked: state.parked.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Shard;

    #[test]
    fn ticks_are_bounded_and_parked_tables_leave() {
        let group = LiveGroup::default();
        for rows in 0..TICKS as u64 + 5 {
            group.ticked(Duration::from_millis(3), Duration::from_millis(4), rows);
        }
        let view = group.view();
        assert_eq!((view.ticks, view.last.len(), view.last[0].rows), (TICKS as u64 + 5, TICKS, 5));
        let (a, b) = (Origin::new(&Shard::new("s"), "d", "a"), Origin::new(&Shard::new("s"), "d", "b"));
        group.parked(&Target::new("d.t"), "why", [&a, &b]);
        group.still_parked(&BTreeSet::from([&b]));
        assert_eq!(group.view().parked.into_keys().collect::<Vec<_>>(), [b]);
    }
}
