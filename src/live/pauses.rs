//! What operators hold back, as it is known to this process.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    config::Pattern,
    model::{Origin, Shard},
};

/// Paused shards and tables, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct Pauses {
    /// Since when, UTC microseconds.
    shards: BTreeMap<Shard, i64>,
    tables: Vec<PausedTables>,
}

#[derive(Clone, Debug)]
struct PausedTables {
    pattern: Pattern,
    shard: Option<Shard>,
    since: i64,
}

impl Pauses {
    /// A shard is paused since then, UTC microseconds.
    pub fn hold_shard(&mut self, shard: Shard, since: i64) {
        self.shards.insert(shard, since);
    }

    /// Tables of a shard, or of all, are paused since then, UTC microseconds.
    pub fn hold_tables(&mut self, pattern: Pattern, shard: Option<Shard>, since: i64) {
        self.tables.push(PausedTables { pattern, shard, since });
    }

    /// All paused shards, each with since when (UTC microseconds).
    pub fn shards(&self) -> &BTreeMap<Shard, i64> {
        &self.shards
    }

    /// Whether any table may be paused.
    pub fn has_tables(&self) -> bool {
        !self.tables.is_empty()
    }

    /// Since when a shard is paused, UTC microseconds.
    pub fn shard(&self, shard: &Shard) -> Option<i64> {
        self.shards.get(shard).copied()
    }

    /// Since when a table is paused, UTC microseconds.
    pub fn origin(&self, origin: &Origin) -> Option<i64> {
        let held = |held: &&PausedTables| {
            held.shard.as_ref().is_none_or(|s| *s == origin.shard)
                && held.pattern.matches(&origin.database, &origin.table)
        };
        self.tables.iter().filter(held).map(|held| held.since).min()
    }

    /// Whether something else is held back, whatever order it was written in.
    pub fn differs(&self, other: &Self) -> bool {
        let tables = |pauses: &Self| -> BTreeSet<(String, Option<Shard>)> {
            pauses.tables.iter().map(|t| (t.pattern.to_string(), t.shard.clone())).collect()
        };
        self.shards != other.shards || tables(self) != tables(other)
    }
}
