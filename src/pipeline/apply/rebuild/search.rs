//! Which origins feed a target, and from which place of its log each has to be read to make its rows anew.
//!
//! Where deletes are hard, everything in front of the beginning of the newest complete snapshot is void, and so is what lies in
//! front of a floor: the log is read backwards until each origin has met one of them, or until the catalog does not know the
//! origin yet. So a rebuild costs what the table is worth, not what its log is. Where deletes are soft or ignored, rows of the
//! very beginning may still show, and all of the log is needed.

use std::collections::{BTreeMap, BTreeSet};

use super::{Rebuild, Session};
use crate::{
    config::Deletes,
    model::{Catalog, Digest, Entry, Origin, Seq, Shard, Step, Target},
    pipeline::apply::ApplyError,
    warehouse::{Exception, ExceptionKind, LogPosition, WarehouseError},
};

/// Entries that are looked through in one turn: the group's tick waits meanwhile.
const ENTRIES_PER_TURN: u64 = 64;

/// A search under way, shard by shard.
#[derive(Debug, Default)]
pub(super) struct Search {
    target: Option<Target>,
    /// Shards that are still to be searched.
    shards: BTreeSet<Shard>,
    /// The one that is being searched.
    shard: Option<InShard>,
    /// Where each origin begins.
    pub(super) places: BTreeMap<Origin, Exception>,
    /// Up to where each shard was searched.
    pub(super) ends: BTreeMap<Shard, LogPosition>,
    /// Newest schemas of the origins.
    pub(super) schemas: BTreeSet<Digest>,
    /// Rows that are going to be loaded.
    pub(super) rows: u64,
}

/// The search in one shard's log: a pure walk over its entries.
#[derive(Debug)]
struct InShard {
    shard: Shard,
    /// Steps from here on are not the group's yet.
    end: LogPosition,
    /// Oldest entry that is kept.
    oldest: u64,
    /// The entry to look at next.
    next: u64,
    /// Origins whose beginning is not known yet; of a walk forwards those that feed the target.
    open: BTreeSet<Origin>,
    /// Number of the newest snapshot that has an end, behind the place that was reached.
    ended: BTreeMap<Origin, Seq>,
    /// All of the log is needed.
    forwards: bool,
}

impl Session<'_> {
    /// A search in all shards that the group applies.
    pub(super) fn search(&self, target: &Target) -> Search {
        Search { target: Some(target.clone()), shards: self.shards(), ..Search::default() }
    }

    /// Looks through a few entries. Answers whether the search is at its end.
    pub(super) async fn search_on(&mut self, search: &mut Search) -> Result<bool, ApplyError> {
        let Some(target) = search.target.clone() else { return Ok(true) };
        let Some(mut at) = search.shard.take() else {
            let Some(shard) = search.shards.pop_first() else { return Ok(true) };
            search.shard = self.search_in(&target, search, shard).await?;
            return Ok(false);
        };
        let mut entries = Vec::new();
        for number in at.range() {
            let Some(entry) = self.entry(&at.shard, number).await? else { break };
            entries.push(entry);
        }
        if at.forwards {
            let feeds = |origin: &Origin| self.feeds(origin, &target);
            entries.iter().for_each(|entry| at.walk_forwards(entry, search, &feeds));
        } else {
            entries.iter().rev().for_each(|entry| at.walk_backwards(entry, search));
        }
        if !at.advance() {
            search.shard = Some(at);
            return Ok(false);
        }
        for origin in std::mem::take(&mut at.open) {
            if at.oldest > 1 {
                let (database, table) = (&origin.database, &origin.table);
                let reason = format!(
                    "entries of shard {} before {} are gone from the lake, and rows of {origin} with them; run `tailwater \
                     snapshot --table {database}.{table}` instead",
                    origin.shard, at.oldest
                );
                return Err(WarehouseError::Table { target, reason }.into());
            }
            search.places.insert(origin, follows(LogPosition { entry: at.oldest, step: 0 }));
        }
        Ok(false)
    }

    /// Begins in one shard, which must be able to give its rows; `None` where it has none.
    async fn search_in(
        &mut self,
        target: &Target,
        search: &mut Search,
        shard: Shard,
    ) -> Result<Option<InShard>, ApplyError> {
        let Some(end) = self.stands(&shard) else { return Ok(None) };
        search.ends.insert(shard.clone(), end);
        let oldest = self.apply.read_log(&shard, None).await?.next_number();
        let last = if end.step > 0 { end.entry } else { end.entry.saturating_sub(1) };
        // Where the group stands at the oldest entry, that one knows what there was in front of it.
        let catalog = self.catalog(&shard, last.max(oldest)).await?;
        let known = catalog.origins.into_iter().filter(|(origin, _)| self.feeds(origin, target));
        let mut open = BTreeSet::new();
        for (origin, known) in known {
            if let Some(why) = &known.parked {
                let (database, table) = (&origin.database, &origin.table);
                let reason = format!(
                    "rows of {origin} are missing in the lake since it was parked ({why}); run `tailwater snapshot --table \
                     {database}.{table}` instead"
                );
                return Err(WarehouseError::Table { target: target.clone(), reason }.into());
            }
            if let Some(why) = &known.needs_snapshot {
                tracing::warn!(%target, %origin, why, "the rebuilt rows are going to need a snapshot as those so far do");
            }
            search.schemas.extend(known.schema);
            open.insert(origin);
        }
        let rule = open.iter().find_map(|o| self.apply.rules.resolve(&o.database, &o.table));
        // Rows of tables that were dropped may still show where deletes are not hard.
        let unknown = || self.apply.rules.keeps_deleted(&self.apply.group);
        let forwards = rule.map_or_else(unknown, |rule| rule.deletes != Deletes::Hard);
        if forwards && oldest > 1 {
            let reason = format!(
                "entries of shard {shard} before {oldest} are gone from the lake, and a table that keeps deleted rows needs \
                 all of them; run `tailwater snapshot` for its source tables instead"
            );
            return Err(WarehouseError::Table { target: target.clone(), reason }.into());
        }
        if open.is_empty() && !forwards {
            return Ok(None);
        }
        let next = if forwards { oldest } else { last };
        let open = if forwards { BTreeSet::new() } else { open };
        Ok(Some(InShard { shard, end, oldest, next, open, ended: BTreeMap::new(), forwards }))
    }

    /// What the log said of its origins behind entry `number`; nothing before the first.
    async fn catalog(&mut self, shard: &Shard, number: u64) -> Result<Catalog, ApplyError> {
        let Some(entry) = self.entry(shard, number.max(1)).await? else { return Ok(Catalog::default()) };
        let newest = match entry.catalog_at {
            0 => return Ok(Catalog::default()),
            at if at == entry.number => Some(entry),
            at => self.entry(shard, at).await?,
        };
        Ok(newest.and_then(|entry| entry.catalog.clone()).unwrap_or_default())
    }

    /// Whether an origin's rows lie in the target.
    fn feeds(&self, origin: &Origin, target: &Target) -> bool {
        self.apply.owns(origin) && self.apply.target(origin).is_some_and(|t| t == *target)
    }

    /// Looks for origins that came up since the search, up to where the group stands. Answers whether that is reached.
    pub(super) async fn look_on(&mut self, rebuild: &mut Rebuild) -> Result<bool, ApplyError> {
        let mut new = BTreeMap::new();
        let mut reached = true;
        for shard in self.shards() {
            let Some(end) = self.stands(&shard) else { continue };
            let from = match rebuild.looked.get(&shard) {
                Some(place) => *place,
                None => LogPosition { entry: self.apply.read_log(&shard, None).await?.next_number(), step: 0 },
            };
            let last = if end.step > 0 { end.entry } else { end.entry.saturating_sub(1) };
            let until = last.min(from.entry + ENTRIES_PER_TURN);
            for number in from.entry..=until {
                let Some(entry) = self.entry(&shard, number).await? else { break };
                for (place, step) in places(&entry) {
                    let origin = step.origin();
                    if place >= from && place < end && self.feeds(origin, &rebuild.target) {
                        new.entry(origin.clone()).or_insert_with(|| follows(place));
                    }
                }
            }
            let behind = LogPosition { entry: until + 1, step: 0 };
            reached &= until == last;
            rebuild.looked.insert(shard, if until == last { end } else { behind.max(from) });
        }
        self.open_places(rebuild, new).await?;
        Ok(reached)
    }
}

impl InShard {
    /// Entries of the next turn.
    fn range(&self) -> std::ops::RangeInclusive<u64> {
        if self.forwards {
            let last = if self.end.step > 0 { self.end.entry } else { self.end.entry.saturating_sub(1) };
            return self.next..=last.min(self.next + ENTRIES_PER_TURN - 1);
        }
        let first = self.next.saturating_sub(ENTRIES_PER_TURN - 1);
        first.max(self.oldest)..=self.next
    }

    /// Goes on behind what was looked through. Answers whether nothing is left to look for.
    fn advance(&mut self) -> bool {
        let range = self.range();
        if self.forwards {
            self.next = range.end() + 1;
            return self.next > self.end.entry || (self.next == self.end.entry && self.end.step == 0);
        }
        self.next = range.start().saturating_sub(1);
        self.open.is_empty() || self.next < self.oldest
    }

    /// Every origin that feeds the target begins with its first step.
    fn walk_forwards(&mut self, entry: &Entry, search: &mut Search, feeds: &dyn Fn(&Origin) -> bool) {
        for (place, step) in places(entry).filter(|(place, _)| *place < self.end) {
            let origin = step.origin();
            if !feeds(origin) {
                continue;
            }
            search.places.entry(origin.clone()).or_insert_with(|| follows(place));
            if let Step::File(file) = step {
                search.rows += file.rows;
            }
        }
    }

    /// Origins begin where what lies in front is void.
    fn walk_backwards(&mut self, entry: &Entry, search: &mut Search) {
        if let Some(catalog) = &entry.catalog
            && entry.number < self.end.entry
        {
            // It came up, or came up again, behind this entry.
            let unknown = |o: &&Origin| !catalog.origins.contains_key(*o) && !self.ended.contains_key(*o);
            let unknown: Vec<Origin> = self.open.iter().filter(unknown).cloned().collect();
            for origin in unknown {
                self.open.remove(&origin);
                search.places.insert(origin, follows(LogPosition { entry: entry.number + 1, step: 0 }));
            }
        }
        let steps: Vec<_> = places(entry).filter(|(place, _)| *place < self.end).collect();
        for (place, step) in steps.into_iter().rev() {
            let origin = step.origin();
            if !self.open.contains(origin) {
                continue;
            }
            let begins = match step {
                Step::File(file) => {
                    search.rows += file.rows;
                    None
                }
                Step::SnapshotEnd { seq, .. } => {
                    self.ended.entry(origin.clone()).or_insert(*seq);
                    None
                }
                Step::SnapshotBegin { seq, .. } if self.ended.get(origin) == Some(seq) => {
                    Some(Exception { kind: ExceptionKind::Held, position: place, reason: String::new() })
                }
                Step::Floor(_) if !self.ended.contains_key(origin) => Some(follows(place)),
                _ => None,
            };
            if let Some(begins) = begins {
                self.open.remove(origin);
                search.places.insert(origin.clone(), begins);
            }
        }
    }
}

/// The steps of an entry with their places.
fn places(entry: &Entry) -> impl Iterator<Item = (LogPosition, &Step)> {
    entry.steps.iter().zip(0..).map(|(step, place)| (LogPosition { entry: entry.number, step: place }, step))
}

/// An origin whose steps are applied from a place on.
fn follows(position: LogPosition) -> Exception {
    Exception { kind: ExceptionKind::CatchingUp, position, reason: String::new() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        model::Known,
        pipeline::apply::cursor::tests::{begin, chunk, end, entry, file, floor, origin, shard},
    };

    fn at(entry: u64, step: u64) -> LogPosition {
        LogPosition { entry, step }
    }

    fn backwards(entries: &[Entry], end: LogPosition, open: &[&str]) -> (Search, InShard) {
        let open = open.iter().map(|table| origin(table)).collect();
        let (ended, next) = (BTreeMap::new(), entries.len() as u64);
        let mut in_shard = InShard { shard: shard(), end, oldest: 1, next, open, ended, forwards: false };
        let mut search = Search::default();
        entries.iter().rev().for_each(|entry| in_shard.walk_backwards(entry, &mut search));
        (search, in_shard)
    }

    fn place(search: &Search, table: &str) -> Option<(ExceptionKind, LogPosition)> {
        search.places.get(&origin(table)).map(|e| (e.kind, e.position))
    }

    /// Two snapshots of `a`, of which the first was given up, then a third that is not complete; a floor of `b`; all of `c`.
    fn log() -> Vec<Entry> {
        vec![
            entry(1, vec![file("a", 1, 1), begin("a", 2), chunk("a", 2), file("b", 3, 1), file("c", 4, 1)]),
            entry(2, vec![begin("a", 5), chunk("a", 5), end("a", 5), file("a", 6, 1), floor("b", 7)]),
            entry(3, vec![file("b", 8, 1), begin("a", 9), chunk("a", 9), file("c", 10, 1)]),
        ]
    }

    #[test]
    fn what_is_void_is_not_read() {
        let (search, rest) = backwards(&log(), at(4, 0), &["a", "b", "c"]);
        assert_eq!(place(&search, "a"), Some((ExceptionKind::Held, at(2, 0))), "the newest that is complete");
        assert_eq!(place(&search, "b"), Some((ExceptionKind::CatchingUp, at(2, 4))));
        assert_eq!(rest.open, [origin("c")].into(), "all of it is needed");
        assert_eq!(search.rows, 3 + 1 + 2);
    }

    #[test]
    fn steps_that_the_group_has_not_applied_do_not_count() {
        let (search, rest) = backwards(&log(), at(2, 2), &["a", "b"]);
        assert!(search.places.is_empty() && rest.open.len() == 2, "{search:?}");
        let (search, _) = backwards(&log(), at(2, 3), &["a"]);
        assert_eq!(place(&search, "a"), Some((ExceptionKind::Held, at(2, 0))));
    }

    #[test]
    fn a_table_begins_where_the_catalog_does_not_know_it() {
        let mut log = log();
        let known = Known::of(crate::model::Target::new("c"));
        log[1].catalog = Some(Catalog { origins: [(origin("c"), known)].into() });
        let (search, rest) = backwards(&log, at(4, 0), &["c", "d"]);
        assert_eq!(rest.open, [origin("c")].into());
        assert_eq!(place(&search, "d"), Some((ExceptionKind::CatchingUp, at(3, 0))));
    }

    #[test]
    fn all_of_the_log_is_walked_in_turns() {
        let end = at(200, 2);
        let (open, ended) = (BTreeSet::new(), BTreeMap::new());
        let mut walk = InShard { shard: shard(), end, oldest: 1, next: 1, open, ended, forwards: true };
        let mut seen = Vec::new();
        loop {
            seen.extend(walk.range());
            if walk.advance() {
                break;
            }
        }
        assert_eq!(seen, (1..=200).collect::<Vec<_>>());
        walk.end = at(200, 0);
        walk.next = 193;
        assert_eq!(walk.range(), 193..=199);
        assert!(walk.advance());
        let mut search = Search::default();
        log().iter().for_each(|entry| walk.walk_forwards(entry, &mut search, &|o| *o == origin("b")));
        assert_eq!(place(&search, "b"), Some((ExceptionKind::CatchingUp, at(1, 3))));
        assert_eq!(search.rows, 2);
    }
}
