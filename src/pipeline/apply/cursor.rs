//! Where a group stands in one shard's log, and what it takes from there for one tick.
//!
//! Pure: entries come in as values, so every rule here is tested without a lake or a warehouse.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use crate::{
    model::{ColumnDefault, Digest, Entry, FileStep, Floor, FloorCause, Origin, Seq, Shard, Step, Target},
    pipeline::control::Holds,
    warehouse::LogPosition,
};

/// Bytes of files in entries that are read ahead of a tick: bounds what a tick may hold, far above what it takes.
const AHEAD_BYTES: u64 = 256 << 20;

/// Entries that are read ahead of a tick: bounds the memory they take.
const AHEAD_ENTRIES: usize = 256;

/// A schema change of one origin that the warehouse has to follow before later rows are staged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaTask {
    /// Whose schema.
    pub origin: Origin,
    /// Where its rows lie.
    pub target: Target,
    /// Number of the change; older rows get the defaults of added columns.
    pub seq: Seq,
    /// Id of the new schema.
    pub schema: Digest,
    /// Added columns and what older rows have in them.
    pub added: BTreeMap<String, ColumnDefault>,
}

/// Everything one tick does with one target.
#[derive(Debug, Default)]
pub struct TableWork {
    /// Files to stage.
    pub files: Vec<FileStep>,
    /// The highest floor of each origin.
    pub floors: BTreeMap<Origin, Floor>,
}

/// One tick's work, gathered from the cursors of all shards.
#[derive(Debug, Default)]
pub struct Work {
    /// Schema changes in order, all before staging.
    pub schemas: Vec<SchemaTask>,
    /// Rows and floors by target.
    pub tables: BTreeMap<Target, TableWork>,
    /// Bytes of files.
    pub bytes: u64,
    /// Rows of files, by shard.
    pub rows: BTreeMap<Shard, u64>,
    /// Latest source commit time covered, per shard, UTC microseconds.
    pub committed_at: BTreeMap<Shard, i64>,
    /// Origins that are paused, and their first step that was not taken.
    pub paused: BTreeMap<Origin, LogPosition>,
    /// Commit times, earliest and latest, of entries whose rows the tick shows, per shard, UTC microseconds.
    pub shows: BTreeMap<Shard, Vec<(i64, i64)>>,
    /// Snapshots that begin, and where: the origin is held from there on.
    pub begun: BTreeMap<Origin, LogPosition>,
    /// Origins with an exception of whose snapshots the cursor passed an end.
    pub ended: BTreeSet<Origin>,
    /// Origins with an exception of whose snapshots the cursor passed rows.
    pub passed: BTreeSet<Origin>,
    /// Where the cursor stopped because another snapshot of its one origin begins there.
    pub held: Option<LogPosition>,
    /// Targets with steps in the tick.
    targets: BTreeSet<Target>,
    /// Most targets that the tick may have; none: as many as there are.
    targets_max: Option<usize>,
    /// Origins with rows or floors in the tick: a later schema change of theirs waits for the next tick.
    touched: BTreeSet<Origin>,
}

impl Work {
    /// Nothing yet, of at most so many targets.
    pub fn at_most(targets_max: Option<usize>) -> Self {
        Self { targets_max, ..Self::default() }
    }

    /// Whether no other target fits.
    pub fn is_full(&self) -> bool {
        self.targets_max.is_some_and(|max| self.targets.len() >= max)
    }

    /// Whether all steps of an entry fit that a tick of its own could hold.
    fn has_room(&self, entry: &Entry, wanted: &dyn Fn(&Origin) -> bool) -> bool {
        let Some(max) = self.targets_max else { return true };
        let steps = entry.steps.iter().filter(|step| wanted(step.origin()));
        let needs: BTreeSet<&Target> = steps.filter_map(target_of).collect();
        let new = needs.iter().filter(|target| !self.targets.contains(**target)).count();
        self.targets.len() + new <= max || needs.len() > max
    }

    /// Notes a target of the tick; false where it does not fit.
    fn admits(&mut self, target: &Target) -> bool {
        let fits = self.targets.contains(target) || !self.is_full();
        if fits {
            self.targets.insert(target.clone());
        }
        fits
    }

    /// Whether there is nothing to stage, merge or change.
    pub fn is_empty(&self) -> bool {
        let steps = self.tables.is_empty() && self.schemas.is_empty() && self.begun.is_empty() && self.ended.is_empty();
        steps && self.paused.is_empty()
    }
}

/// Which steps a cursor takes.
#[derive(Clone, Debug)]
pub enum Scope {
    /// Those of all of the group's origins but some.
    AllBut {
        /// These have an exception of their own.
        others: BTreeSet<Origin>,
        /// These are held back by an operator: their first step opens an exception.
        held: Arc<Holds>,
    },
    /// Those of one origin that catches up; rows of the snapshot that is loaded are in the target already.
    Only {
        /// The origin.
        origin: Origin,
        /// Where its rows lie; unknown where no rule matches it any more.
        target: Option<Target>,
        /// The newest snapshot whose rows are in the target.
        loaded: Option<Seq>,
    },
    /// The rows of one origin's snapshots alone.
    Chunks {
        /// The origin.
        origin: Origin,
        /// Of this snapshot; of every one where it is not known yet which will be complete.
        of: Option<Seq>,
        /// Where the rows lie, if the snapshot's floor is to be taken with them, and what was changed meanwhile.
        floor: Option<Target>,
    },
}

/// A group's reading position in one shard's log, with entries that were read ahead.
#[derive(Debug)]
pub struct Cursor {
    /// The shard.
    pub shard: Shard,
    /// Identity of the log; empty until the first entry of a new one tells it.
    pub log_id: String,
    place: LogPosition,
    ahead: VecDeque<Arc<Entry>>,
    /// Rows of the front entry were taken.
    shown: bool,
}

impl Cursor {
    /// A cursor at `place` with nothing read ahead.
    pub fn new(shard: Shard, log_id: String, place: LogPosition) -> Self {
        Self { shard, log_id, place, ahead: VecDeque::new(), shown: false }
    }

    /// Where the cursor stands.
    pub fn position(&self) -> LogPosition {
        self.place
    }

    /// Number of the entry to read next.
    pub fn next_entry(&self) -> u64 {
        self.place.entry + self.ahead.len() as u64
    }

    /// Whether entries are read ahead.
    pub fn has_more(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Entries that are read ahead.
    pub fn entries_ahead(&self) -> usize {
        self.ahead.len()
    }

    /// Whether more entries may be read ahead.
    pub fn wants_more(&self) -> bool {
        self.ahead.len() < AHEAD_ENTRIES && self.bytes_ahead() < AHEAD_BYTES
    }

    /// Bytes of files in the entries that were read ahead.
    fn bytes_ahead(&self) -> u64 {
        self.ahead.iter().flat_map(|e| &e.steps).map(|s| if let Step::File(f) = s { f.bytes } else { 0 }).sum()
    }

    /// Adds the entry numbered [`next_entry`](Self::next_entry).
    pub fn push(&mut self, entry: impl Into<Arc<Entry>>) {
        let entry = entry.into();
        debug_assert_eq!(entry.number, self.next_entry());
        if self.log_id.is_empty() {
            self.log_id.clone_from(&entry.log_id);
        }
        self.ahead.push_back(entry);
    }

    /// Moves into `work` what may be done in this tick: whole entries until `work` has `bytes_max` of files, and never past a
    /// schema change with values for old rows while the tick holds rows of that origin. An entry that has more targets than
    /// `work` may have is taken in parts; another one that does not fit beside what is there waits.
    ///
    /// `wanted` says whether an origin belongs to the group; `scope` which of the group's steps this cursor serves.
    pub fn take(&mut self, work: &mut Work, bytes_max: u64, scope: &Scope, wanted: &dyn Fn(&Origin) -> bool) {
        while let Some(entry) = self.ahead.front().cloned() {
            if work.bytes >= bytes_max || (self.place.step == 0 && !work.has_room(&entry, wanted)) {
                return;
            }
            if let Some((_, latest)) = entry.committed_at {
                let seen = work.committed_at.entry(self.shard.clone()).or_insert(latest);
                *seen = latest.max(*seen);
            }
            for step in entry.steps.iter().skip(self.place.step as usize) {
                let bytes_before = work.bytes;
                if wanted(step.origin()) && !work.serve(step, self.place, scope) {
                    return;
                }
                self.shown |= work.bytes > bytes_before;
                self.place.step += 1;
            }
            if std::mem::take(&mut self.shown)
                && let Some(committed_at) = entry.committed_at
            {
                work.shows.entry(self.shard.clone()).or_default().push(committed_at);
            }
            self.place = LogPosition { entry: entry.number + 1, step: 0 };
            self.ahead.pop_front();
        }
    }
}

impl Work {
    /// Adds what another cursor took for other origins.
    pub fn absorb(&mut self, other: Self) {
        self.targets.extend(other.targets);
        self.schemas.extend(other.schemas);
        for (target, table) in other.tables {
            let ours = self.tables.entry(target).or_default();
            ours.files.extend(table.files);
            ours.floors.extend(table.floors);
        }
        self.bytes += other.bytes;
        for (shard, rows) in other.rows {
            *self.rows.entry(shard).or_default() += rows;
        }
    }

    /// Makes it the work of a target's shadow; what is another target's goes.
    pub(super) fn turn_to_shadow(&mut self, target: &Target) {
        let own = self.tables.remove(target);
        self.tables = own.into_iter().map(|work| (target.shadow(), work)).collect();
        self.schemas.retain(|task| task.target == *target);
        self.schemas.iter_mut().for_each(|task| task.target = target.shadow());
    }

    /// Takes the step as far as it is the scope's, or says that it has to wait for the next tick.
    fn serve(&mut self, step: &Step, place: LogPosition, scope: &Scope) -> bool {
        match scope {
            Scope::AllBut { others, held } => {
                let origin = step.origin();
                let paused = self.paused.contains_key(origin);
                let excepted = others.contains(origin) || self.begun.contains_key(origin) || paused;
                match step {
                    // What follows from its place meets the beginning by itself.
                    Step::SnapshotBegin { .. } if paused => {}
                    Step::SnapshotBegin { .. } => _ = self.begun.entry(origin.clone()).or_insert(place),
                    Step::SnapshotEnd { .. } if excepted => _ = self.ended.insert(origin.clone()),
                    Step::File(file) if excepted && file.ops.s > 0 => _ = self.passed.insert(origin.clone()),
                    _ if excepted => {}
                    _ if held.origin(origin).is_some() => _ = self.paused.insert(origin.clone(), place),
                    _ => return self.accept(step),
                }
                true
            }
            Scope::Only { origin, .. } | Scope::Chunks { origin, .. } if origin != step.origin() => true,
            Scope::Chunks { of: Some(of), floor: Some(target), .. } => match step {
                Step::File(file) if file.ops.s > 0 && file.seqs.0 == *of => self.accept(step),
                Step::File(file) if file.ops.s == 0 && file.seqs.0 > *of => self.accept(step),
                Step::SnapshotEnd { origin, seq, .. } if seq == of => self.accept(&floor_of(origin, target, *seq)),
                _ => true,
            },
            Scope::Only { target, loaded, .. } => match step {
                Step::SnapshotBegin { seq, .. } if loaded.is_none_or(|loaded| loaded < *seq) => {
                    self.held = Some(place);
                    false
                }
                // Chunks of the snapshot that is loaded, and of those before it. What was read later is a repair.
                Step::File(file) if file.ops.s > 0 && loaded.is_some_and(|loaded| file.seqs.0 <= loaded) => true,
                Step::SnapshotEnd { origin, seq, .. } => {
                    let floor = target.as_ref().map(|target| floor_of(origin, target, *seq));
                    floor.is_none_or(|floor| self.accept(&floor))
                }
                _ => self.accept(step),
            },
            Scope::Chunks { of, .. } => match step {
                Step::File(file) if file.ops.s > 0 && of.is_none_or(|of| file.seqs.0 == of) => self.accept(step),
                _ => true,
            },
        }
    }

    /// Takes the step, or says that it has to wait for the next tick.
    fn accept(&mut self, step: &Step) -> bool {
        match step {
            Step::File(file) => {
                if !self.admits(&file.target) {
                    return false;
                }
                self.bytes += file.bytes;
                *self.rows.entry(file.origin.shard.clone()).or_default() += file.rows;
                self.touched.insert(file.origin.clone());
                self.tables.entry(file.target.clone()).or_default().files.push(file.clone());
            }
            Step::Floor(floor) => {
                if !self.admits(&floor.target) {
                    return false;
                }
                self.touched.insert(floor.origin.clone());
                let floors = &mut self.tables.entry(floor.target.clone()).or_default().floors;
                match floors.get(&floor.origin) {
                    Some(known) if known.seq >= floor.seq => {}
                    _ => {
                        floors.insert(floor.origin.clone(), floor.clone());
                    }
                }
            }
            Step::Schema { origin, target, seq, schema, added, .. } => {
                if !self.admits(target) || (!added.is_empty() && self.touched.contains(origin)) {
                    return false;
                }
                self.schemas.push(SchemaTask {
                    origin: origin.clone(),
                    target: target.clone(),
                    seq: *seq,
                    schema: schema.clone(),
                    added: added.clone(),
                });
            }
            // What is parked or stale while extracting is in the log's catalog, which `status` shows.
            Step::Parked(_) | Step::NeedsSnapshot { .. } => {}
            // Beginnings and ends are the scope's.
            Step::SnapshotBegin { .. } | Step::SnapshotEnd { .. } => {}
        }
        true
    }
}

/// The target that a step changes by itself.
fn target_of(step: &Step) -> Option<&Target> {
    match step {
        Step::File(file) => Some(&file.target),
        Step::Floor(floor) => Some(&floor.target),
        Step::Schema { target, .. } => Some(target),
        Step::Parked(_) | Step::NeedsSnapshot { .. } | Step::SnapshotBegin { .. } | Step::SnapshotEnd { .. } => None,
    }
}

/// What the end of a snapshot does.
fn floor_of(origin: &Origin, target: &Target, seq: Seq) -> Step {
    let (origin, target, cause) = (origin.clone(), target.clone(), FloorCause::Snapshot);
    Step::Floor(Floor { origin, target, seq, cause, committed_at: 0 })
}

#[cfg(test)]
pub(super) mod tests;
