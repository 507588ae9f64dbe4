//! Since when rows of each target wait in the lake: figures for people, decided by nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    metrics::Metrics,
    model::{Entry, Origin, Shard, Step, Target},
};

/// Rows of one target in one entry.
#[derive(Clone, Copy, Debug)]
struct Arrived {
    entry: u64,
    /// When the entry was written, UTC microseconds.
    at: i64,
}

/// What was read of the logs and is not merged.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// In the order of entries. What is here lies in entries that a cursor has read ahead or that a tick has taken: both are
    /// bounded.
    rows: BTreeMap<Target, BTreeMap<Shard, VecDeque<Arrived>>>,
    /// Origins that have exceptions: since when, and where their rows go.
    behind: BTreeMap<Origin, (Option<Target>, i64)>,
    /// Targets that a figure was told of.
    told: BTreeSet<Target>,
}

impl Waiting {
    /// An entry was read. Counts the files of origins that are `wanted`.
    pub(super) fn arrived(&mut self, entry: &Entry, wanted: impl Fn(&Origin) -> bool) {
        for step in &entry.steps {
            let Step::File(file) = step else { continue };
            if !wanted(&file.origin) {
                continue;
            }
            let rows = self.rows.entry(file.target.clone()).or_default().entry(entry.shard.clone()).or_default();
            if rows.back().is_none_or(|last| last.entry < entry.number) {
                rows.push_back(Arrived { entry: entry.number, at: entry.written_at });
            }
        }
    }

    /// Everything in front of `entry` of the shard is merged, but for what has an exception.
    pub(super) fn merged(&mut self, shard: &Shard, entry: u64) {
        for shards in self.rows.values_mut() {
            let Some(rows) = shards.get_mut(shard) else { continue };
            while rows.front().is_some_and(|first| first.entry < entry) {
                rows.pop_front();
            }
        }
    }

    /// These origins have exceptions now, since the times given; no others have.
    pub(super) fn behind(&mut self, origins: impl Iterator<Item = (Origin, Option<Target>, i64)>) {
        let mut behind = BTreeMap::new();
        for (origin, target, now) in origins {
            let since = self.behind.get(&origin).map_or(now, |(_, since)| *since);
            behind.insert(origin, (target, since));
        }
        self.behind = behind;
    }

    /// Tells since when rows wait.
    pub(super) fn tell(&mut self, metrics: &Metrics) {
        // Those whose rows came and went since, too: an extractor may have told of them while no session was open.
        let known = self.told.iter().chain(self.rows.keys());
        let mut oldest: BTreeMap<Target, Option<i64>> = known.map(|target| (target.clone(), None)).collect();
        let mut note = |target: &Target, at: i64| {
            let known = oldest.entry(target.clone()).or_default();
            *known = Some(known.map_or(at, |known| known.min(at)));
        };
        for (target, shards) in &self.rows {
            shards.values().filter_map(VecDeque::front).for_each(|first| note(target, first.at));
        }
        for (target, since) in self.behind.values() {
            target.iter().for_each(|target| note(target, *since));
        }
        self.rows.retain(|_, shards| {
            shards.retain(|_, rows| !rows.is_empty());
            !shards.is_empty()
        });
        for (target, since) in oldest {
            metrics.target(&target).waiting_since(since);
            self.told.insert(target);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(waiting: &mut Waiting, metrics: &Metrics, now: i64) -> String {
        waiting.tell(metrics);
        let text = metrics.exposition(now);
        let line = text.lines().find(|line| line.starts_with("tailwater_table_lag_seconds{"));
        line.and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned()
    }

    #[test]
    fn rows_that_came_while_no_session_was_open_are_forgotten_with_their_merge() {
        let (metrics, shard, target) = (Metrics::new(), Shard::new("s1"), Target::new("shop.orders"));
        metrics.target(&target).stored(1_000_000);
        let mut waiting = Waiting::default();
        waiting.rows.insert(target, [(shard.clone(), [Arrived { entry: 3, at: 2_000_000 }].into())].into());
        waiting.merged(&shard, 4);
        assert_eq!(waits(&mut waiting, &metrics, 5_000_000), "0.0");
    }

    #[test]
    fn the_oldest_rows_that_wait_give_the_lag() {
        let (metrics, mut waiting) = (Metrics::new(), Waiting::default());
        let (shard, target) = (Shard::new("s1"), Target::new("shop.orders"));
        let origin = Origin::new(&shard, "shop", "orders");
        let row = |entry, at| Arrived { entry, at };
        let rows = [row(3, 1_000_000), row(4, 2_000_000)].into();
        waiting.rows.insert(target.clone(), [(shard.clone(), rows)].into());
        assert_eq!(waits(&mut waiting, &metrics, 5_000_000), "4.0");
        waiting.merged(&shard, 4);
        assert_eq!(waits(&mut waiting, &metrics, 5_000_000), "3.0");
        waiting.behind([(origin.clone(), Some(target.clone()), 1_500_000)].into_iter());
        waiting.merged(&shard, 5);
        // The time of the first mention stands.
        waiting.behind([(origin, Some(target), 4_000_000)].into_iter());
        assert_eq!(waits(&mut waiting, &metrics, 5_000_000), "3.5");
        waiting.behind(std::iter::empty());
        assert_eq!(waits(&mut waiting, &metrics, 5_000_000), "0.0");
    }
}
