//! Where a group stands in one shard's log, and what it takes from there for one tick.
//!
//! Pure: entries come in as values, so every rule here is tested without a lake or a warehouse.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    model::{ColumnDefault, Digest, Entry, FileStep, Floor, Origin, Seq, Shard, Step, Target},
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
    /// Origins with rows or floors in the tick: a later schema change of theirs waits for the next tick.
    touched: BTreeSet<Origin>,
}

impl Work {
    /// Whether there is nothing to stage, merge or change.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.schemas.is_empty()
    }
}

/// Which origins a cursor takes.
#[derive(Clone, Debug)]
pub enum Scope {
    /// All of the group but those that have an exception of their own.
    AllBut(BTreeSet<Origin>),
    /// One origin that catches up.
    Only(Origin),
}

/// A group's reading position in one shard's log, with entries that were read ahead.
#[derive(Debug)]
pub struct Cursor {
    /// The shard.
    pub shard: Shard,
    /// Identity of the log; empty until the first entry of a new one tells it.
    pub log_id: String,
    place: LogPosition,
    ahead: VecDeque<Entry>,
}

/// The log asks for something that this version cannot apply.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("entry {entry} of shard {shard} has a snapshot step, which this version cannot apply; use a newer tailwater")]
pub struct Unsupported {
    shard: Shard,
    entry: u64,
}

impl Cursor {
    /// A cursor at `place` with nothing read ahead.
    pub fn new(shard: Shard, log_id: String, place: LogPosition) -> Self {
        Self { shard, log_id, place, ahead: VecDeque::new() }
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

    /// Whether more entries may be read ahead.
    pub fn wants_more(&self) -> bool {
        self.ahead.len() < AHEAD_ENTRIES && self.bytes_ahead() < AHEAD_BYTES
    }

    /// Bytes of files in the entries that were read ahead.
    fn bytes_ahead(&self) -> u64 {
        self.ahead.iter().flat_map(|e| &e.steps).map(|s| if let Step::File(f) = s { f.bytes } else { 0 }).sum()
    }

    /// Adds the entry numbered [`next_entry`](Self::next_entry).
    pub fn push(&mut self, entry: Entry) {
        debug_assert_eq!(entry.number, self.next_entry());
        if self.log_id.is_empty() {
            self.log_id.clone_from(&entry.log_id);
        }
        self.ahead.push_back(entry);
    }

    /// Moves into `work` what may be done in this tick: whole entries until `work` has `bytes_max` of files, and never past a
    /// schema change with values for old rows while the tick holds rows of that origin.
    ///
    /// `wanted` says whether an origin belongs to the group; `scope` which of the group's origins this cursor serves.
    ///
    /// # Errors
    /// [`Unsupported`] when a step is from a newer version; nothing behind it is taken.
    pub fn take(
        &mut self,
        work: &mut Work,
        bytes_max: u64,
        scope: &Scope,
        wanted: &dyn Fn(&Origin) -> bool,
    ) -> Result<(), Unsupported> {
        while let Some(entry) = self.ahead.front() {
            if work.bytes >= bytes_max {
                return Ok(());
            }
            if let Some((_, latest)) = entry.committed_at {
                let seen = work.committed_at.entry(self.shard.clone()).or_insert(latest);
                *seen = latest.max(*seen);
            }
            for step in entry.steps.iter().skip(self.place.step as usize) {
                let origin = step.origin();
                let mine = wanted(origin)
                    && match scope {
                        Scope::AllBut(others) => !others.contains(origin),
                        Scope::Only(one) => one == origin,
                    };
                if mine && !work.accept(step, &self.shard, entry.number)? {
                    return Ok(());
                }
                self.place.step += 1;
            }
            self.place = LogPosition { entry: entry.number + 1, step: 0 };
            self.ahead.pop_front();
        }
        Ok(())
    }
}

impl Work {
    /// Takes the step, or says that it has to wait for the next tick.
    fn accept(&mut self, step: &Step, shard: &Shard, entry: u64) -> Result<bool, Unsupported> {
        match step {
            Step::File(file) => {
                self.bytes += file.bytes;
                *self.rows.entry(file.origin.shard.clone()).or_default() += file.rows;
                self.touched.insert(file.origin.clone());
                self.tables.entry(file.target.clone()).or_default().files.push(file.clone());
            }
            Step::Floor(floor) => {
                self.touched.insert(floor.origin.clone());
                let floors = &mut self.tables.entry(floor.target.clone()).or_default().floors;
                match floors.get(&floor.origin) {
                    Some(known) if known.seq >= floor.seq => {}
                    _ => {
                        floors.insert(floor.origin.clone(), floor.clone());
                    }
                }
            }
            Step::Schema { origin, target, seq, schema, added } => {
                if !added.is_empty() && self.touched.contains(origin) {
                    return Ok(false);
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
            Step::SnapshotBegin { .. } | Step::SnapshotEnd { .. } => {
                return Err(Unsupported { shard: shard.clone(), entry });
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
