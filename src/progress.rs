//! What a progress line shows: plain numbers, and the rates between two of them.

use serde::Serialize;

/// Counters of all shards at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ProgressSnapshot {
    /// When, UTC microseconds.
    pub at: i64,
    /// Memory of all batches.
    pub batch_memory_bytes: u64,
    /// Shards, by name.
    pub shards: Vec<ShardProgress>,
    /// Tables whose snapshots are under way, and those that are being rebuilt.
    pub tables: Vec<TableProgress>,
}

/// A table that a snapshot reads, or that is being rebuilt.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TableProgress {
    /// The source table, `<shard>:<database>.<table>`; of a rebuild the target.
    pub origin: String,
    /// Rows read; of a rebuild those loaded from the lake.
    pub rows: u64,
    /// Rows that it has, as the source estimates; of a rebuild those that are to be loaded.
    pub rows_estimated: u64,
    /// Rows a second since this process began to read it; `None` where nobody counts, or nothing is read yet.
    pub rows_per_second: Option<f64>,
    /// Whether it is a rebuild.
    pub rebuild: bool,
}

/// Counters of one shard since the process started.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ShardProgress {
    /// The shard.
    pub shard: String,
    /// Whether its binlog stream is connected.
    pub connected: bool,
    /// Row changes read.
    pub rows_read: u64,
    /// Bytes of binlog read.
    pub bytes_read: u64,
    /// Rows stored in the lake.
    pub rows_stored: u64,
    /// Entries committed.
    pub entries: u64,
    /// Changes merged.
    pub rows_applied: u64,
    /// Entries merged.
    pub entries_applied: u64,
    /// Tables that stopped arriving.
    pub parked: u64,
    /// Source head → read; `None` before it began.
    pub lag_read_seconds: Option<f64>,
    /// Read → stored; `None` before it began.
    pub lag_stored_seconds: Option<f64>,
    /// Stored → applied; `None` before it began or where nothing applies.
    pub lag_applied_seconds: Option<f64>,
    /// Longest time between two rounds, where tables are read again and again: so late it is by its configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_every_seconds: Option<f64>,
}

impl ShardProgress {
    /// How old what has been reached is, over all stages that have begun; `None` when none has.
    pub fn lag_seconds(&self) -> Option<f64> {
        let parts = [self.lag_read_seconds, self.lag_stored_seconds, self.lag_applied_seconds];
        parts.into_iter().flatten().reduce(|a, b| a + b)
    }
}

/// What happened between two snapshots.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Progress {
    /// Shards known.
    pub shards: usize,
    /// Shards whose stream is connected.
    pub connected: usize,
    /// Row changes read a second.
    pub rows_read_per_second: f64,
    /// Bytes of binlog read a second.
    pub bytes_read_per_second: f64,
    /// Changes merged a second.
    pub rows_applied_per_second: f64,
    /// Row changes read since the start.
    pub rows_read: u64,
    /// Changes merged since the start.
    pub rows_applied: u64,
    /// Entries committed since the start.
    pub entries: u64,
    /// Tables that stopped arriving.
    pub parked: u64,
    /// The shard that is farthest behind, and by how many seconds.
    pub worst_lag: Option<(String, f64)>,
    /// Memory of all batches.
    pub batch_memory_bytes: u64,
}

impl Progress {
    /// The progress from `before` to `now`.
    pub fn between(before: &ProgressSnapshot, now: &ProgressSnapshot) -> Self {
        let seconds = (now.at - before.at).max(1) as f64 / 1e6;
        let sum = |s: &ProgressSnapshot, of: fn(&ShardProgress) -> u64| s.shards.iter().map(of).sum::<u64>();
        let rate = |of: fn(&ShardProgress) -> u64| sum(now, of).saturating_sub(sum(before, of)) as f64 / seconds;
        let worst = now.shards.iter().filter_map(|s| Some((s.shard.clone(), s.lag_seconds()?)));
        Self {
            shards: now.shards.len(),
            connected: now.shards.iter().filter(|s| s.connected).count(),
            rows_read_per_second: rate(|s| s.rows_read),
            bytes_read_per_second: rate(|s| s.bytes_read),
            rows_applied_per_second: rate(|s| s.rows_applied),
            rows_read: sum(now, |s| s.rows_read),
            rows_applied: sum(now, |s| s.rows_applied),
            entries: sum(now, |s| s.entries),
            parked: sum(now, |s| s.parked),
            worst_lag: worst.max_by(|a, b| a.1.total_cmp(&b.1)),
            batch_memory_bytes: now.batch_memory_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_differences_over_time() {
        let shard = |name: &str, rows_read, lag| ShardProgress {
            shard: name.into(),
            rows_read,
            lag_read_seconds: Some(lag),
            connected: true,
            ..ShardProgress::default()
        };
        let at = |at, shards| ProgressSnapshot { at, shards, batch_memory_bytes: 0, tables: Vec::new() };
        let before = at(0, vec![shard("a", 100, 0.0)]);
        let now = at(2_000_000, vec![shard("a", 300, 0.5), shard("b", 100, 4.0)]);
        let p = Progress::between(&before, &now);
        assert_eq!((p.rows_read_per_second, p.rows_read, p.worst_lag), (150.0, 400, Some(("b".into(), 4.0))));
    }
}
