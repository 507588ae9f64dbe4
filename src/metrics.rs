//! Every metric: its name, labels, unit and meaning. No other module knows a name.
//!
//! Stages hold handles ([`ShardMetrics`], [`TargetMetrics`], [`GroupMetrics`]) that they ask for once; adding to a
//! counter is then one atomic operation, done per batch and never per row. Cardinality is bounded by what is
//! configured: shards, targets, groups, and columns in which a value policy has struck.

mod columns;
mod lag;
mod snapshots;
mod verify;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{
    live::Live,
    model::{OpCounts, Origin, Shard, Target},
    progress::{ProgressSnapshot, ShardProgress},
};

use columns::CountedColumns;
use lag::Reach;
pub use snapshots::SnapshotMetrics;

/// Prefix of every name.
const PREFIX: &str = "tailwater";

/// Bounds of merge durations in seconds: from a SQLite tick of milliseconds to a backlog on a busy cluster.
const MERGE_SECONDS: [f64; 11] = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0];

/// Where something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Reading binlogs.
    Source,
    /// Decoding rows.
    Decode,
    /// Writing files and entries.
    Lake,
    /// Staging and merging.
    Warehouse,
}

/// What an error means for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Passes by itself; retried.
    Transient,
    /// Parks one table.
    Table,
    /// Needs another configuration.
    Configuration,
    /// Ends the run.
    Fatal,
}

/// What was done to a value that its target cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValuePolicy {
    /// Text was cut on a character's boundary.
    Cut,
    /// The value became NULL.
    Nulled,
    /// Invalid parts of a text were replaced.
    Replaced,
}

/// Part of a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MergePhase {
    /// Files into staging.
    Stage,
    /// The transaction that makes rows visible.
    Merge,
}

macro_rules! label_value {
    ($type:ty { $($variant:ident => $text:literal),+ }) => {
        impl EncodeLabelValue for $type {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
                EncodeLabelValue::encode(&match self { $(Self::$variant => $text),+ }, encoder)
            }
        }
    };
}
label_value!(Stage { Source => "source", Decode => "decode", Lake => "lake", Warehouse => "warehouse" });
label_value!(ErrorKind { Transient => "transient", Table => "table", Configuration => "configuration", Fatal => "fatal" });
label_value!(ValuePolicy { Cut => "cut", Nulled => "nulled", Replaced => "replaced" });
label_value!(MergePhase { Stage => "stage", Merge => "merge" });

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByShard {
    shard: String,
}
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByShardOp {
    shard: String,
    op: &'static str,
}
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByTargetOp {
    table: String,
    op: &'static str,
}
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByColumn {
    table: String,
    column: String,
    policy: ValuePolicy,
}
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByGroup {
    group: String,
}
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByPhase {
    group: String,
    phase: MergePhase,
}
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByError {
    stage: Stage,
    kind: ErrorKind,
}
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

type Seconds = Gauge<f64, AtomicU64>;

/// All families of the process. One instance, passed to whoever counts.
pub struct Metrics {
    registry: Registry,
    shards: Mutex<BTreeMap<String, ShardMetrics>>,
    groups: Mutex<BTreeMap<String, Gauge>>,
    row_changes: Family<ByShardOp, Counter>,
    binlog_bytes: Family<ByShard, Counter>,
    transactions: Family<ByShard, Counter>,
    reconnects: Family<ByShard, Counter>,
    connected: Family<ByShard, Gauge>,
    files: Family<ByShard, Counter>,
    file_bytes: Family<ByShard, Counter>,
    file_rows: Family<ByShard, Counter>,
    entries: Family<ByShard, Counter>,
    applied_entries: Family<ByShard, Counter>,
    lag_read: Family<ByShard, Seconds>,
    lag_stored: Family<ByShard, Seconds>,
    lag_applied: Family<ByShard, Seconds>,
    parked: Family<ByShard, Gauge>,
    behind: Family<ByGroup, Gauge>,
    applied_rows: Family<ByTargetOp, Counter>,
    values: Family<ByColumn, Counter>,
    counted: CountedColumns,
    ticks: Family<ByGroup, Counter>,
    merge_seconds: Family<ByPhase, Histogram, fn() -> Histogram>,
    errors: Family<ByError, Counter>,
    retries: Family<ByError, Counter>,
    batch_memory: Gauge,
    batch_memory_max: Gauge,
    snapshots: snapshots::Snapshots,
    verified: verify::Verified,
    live: Live,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Declares a family under its name and returns it. Counters get `_total` appended by the exposition.
macro_rules! register {
    ($registry:ident, $name:literal, $help:literal, $metric:expr) => {{
        let metric = $metric;
        $registry.register($name, $help, metric.clone());
        metric
    }};
}

impl Metrics {
    /// All families, at zero.
    pub fn new() -> Self {
        let mut r = Registry::with_prefix(PREFIX);
        let histogram: fn() -> Histogram = || Histogram::new(MERGE_SECONDS);
        let build: Family<Build, Gauge> =
            register!(r, "build_info", "Version of the program, always 1", Family::default());
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        Self {
            row_changes: register!(r, "extract_row_changes", "Row changes read, by operation", Family::default()),
            binlog_bytes: register!(r, "extract_binlog_bytes", "Bytes of binlog events read", Family::default()),
            transactions: register!(r, "extract_transactions", "Source transactions read", Family::default()),
            reconnects: register!(
                r,
                "extract_reconnects",
                "Connections to the source that were lost and made anew",
                Family::default()
            ),
            connected: register!(
                r,
                "extract_connected",
                "Whether the binlog stream is connected (1) or not (0)",
                Family::default()
            ),
            files: register!(r, "store_files", "Files stored in the lake", Family::default()),
            file_bytes: register!(r, "store_file_bytes", "Bytes of files stored in the lake", Family::default()),
            file_rows: register!(r, "store_file_rows", "Rows in files stored in the lake", Family::default()),
            entries: register!(r, "store_entries", "Entries committed to the shard's log", Family::default()),
            applied_entries: register!(
                r,
                "apply_entries",
                "Log entries merged, counted once by each group",
                Family::default()
            ),
            lag_read: register!(
                r,
                "lag_read_seconds",
                "Age of the source's head as far as it was read; grows while nothing arrives, not even heartbeats",
                Family::default()
            ),
            lag_stored: register!(
                r,
                "lag_stored_seconds",
                "Time between what was read and what is stored in the lake",
                Family::default()
            ),
            lag_applied: register!(
                r,
                "lag_applied_seconds",
                "Time between what is stored in the lake and what is visible in the warehouse",
                Family::default()
            ),
            parked: register!(r, "parked_tables", "Source tables that stopped arriving", Family::default()),
            behind: register!(
                r,
                "apply_parked_tables",
                "Source tables whose rows are in the lake and wait for a mend of their target",
                Family::default()
            ),
            applied_rows: register!(r, "apply_rows", "Changes merged into the target, by operation", Family::default()),
            values: register!(
                r,
                "extract_changed_values",
                "Values that a policy changed because the target cannot hold them",
                Family::default()
            ),
            counted: CountedColumns::default(),
            ticks: register!(r, "apply_ticks", "Merge transactions committed", Family::default()),
            merge_seconds: register!(
                r,
                "apply_merge_seconds",
                "Duration of the phases of a merge",
                Family::new_with_constructor(histogram)
            ),
            errors: register!(r, "errors", "Errors by stage and by what they mean for the run", Family::default()),
            retries: register!(r, "retries", "Attempts that were repeated", Family::default()),
            batch_memory: register!(r, "batch_memory_bytes", "Memory of open and sealed batches", Gauge::default()),
            batch_memory_max: register!(
                r,
                "batch_memory_max_bytes",
                "Most memory that batches may take",
                Gauge::default()
            ),
            shards: Mutex::new(BTreeMap::new()),
            groups: Mutex::new(BTreeMap::new()),
            snapshots: snapshots::Snapshots::register(&mut r),
            verified: verify::Verified::register(&mut r),
            live: Live::default(),
            registry: r,
        }
    }

    /// What is no number: phases, positions, parked tables. It travels with the figures, to the same places.
    pub fn live(&self) -> &Live {
        &self.live
    }

    fn known_shards(&self) -> MutexGuard<'_, BTreeMap<String, ShardMetrics>> {
        // The map is whole after every operation, so a panic elsewhere does not spoil it.
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_groups(&self) -> MutexGuard<'_, BTreeMap<String, Gauge>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A source table was compared with the warehouse.
    pub fn verified(&self, origin: &crate::model::Origin, found: &crate::model::VerifiedTable) {
        self.verified.count(origin, found);
        self.live.verified(origin, found);
    }

    /// Handles of one shard. The same shard always gets the same counters.
    pub fn shard(&self, shard: &Shard) -> ShardMetrics {
        let by = ByShard { shard: shard.to_string() };
        let op = |op| self.row_changes.get_or_create_owned(&ByShardOp { shard: shard.to_string(), op });
        let mut known = self.known_shards();
        let handles = known.entry(shard.to_string()).or_insert_with(|| ShardMetrics {
            ops: [op("insert"), op("update"), op("delete"), op("snapshot")],
            binlog_bytes: self.binlog_bytes.get_or_create_owned(&by),
            transactions: self.transactions.get_or_create_owned(&by),
            reconnects: self.reconnects.get_or_create_owned(&by),
            connected: self.connected.get_or_create_owned(&by),
            files: self.files.get_or_create_owned(&by),
            file_bytes: self.file_bytes.get_or_create_owned(&by),
            file_rows: self.file_rows.get_or_create_owned(&by),
            entries: self.entries.get_or_create_owned(&by),
            applied_entries: self.applied_entries.get_or_create_owned(&by),
            parked: self.parked.get_or_create_owned(&by),
            applied_rows: Counter::default(),
            reach: Arc::default(),
        });
        handles.clone()
    }

    /// Handles of one target.
    pub fn target(&self, target: &Target) -> TargetMetrics {
        let table = target.to_string();
        let op = |op| self.applied_rows.get_or_create_owned(&ByTargetOp { table: table.clone(), op });
        TargetMetrics { ops: [op("insert"), op("update"), op("delete"), op("snapshot")] }
    }

    /// Handles of one group.
    pub fn group(&self, group: &str) -> GroupMetrics {
        let phase = |phase| self.merge_seconds.get_or_create_owned(&ByPhase { group: group.to_owned(), phase });
        let by = ByGroup { group: group.to_owned() };
        let behind = self.behind.get_or_create_owned(&by);
        self.known_groups().insert(by.group.clone(), behind.clone());
        GroupMetrics {
            ticks: self.ticks.get_or_create_owned(&by),
            behind,
            stage: phase(MergePhase::Stage),
            merge: phase(MergePhase::Merge),
        }
    }

    /// Counts values of a column that a policy changed. The number of columns counted by name is bounded.
    pub fn values(&self, target: &Target, column: &str, policy: ValuePolicy, count: u64) {
        let (table, column) = self.counted.labels(target.as_str(), column);
        let by = ByColumn { table, column, policy };
        self.values.get_or_create(&by).inc_by(count);
    }

    /// A snapshot of a table begins or goes on: so many rows are read, of about so many.
    pub fn snapshot_begins(&self, origin: &Origin, rows: u64, estimated: u64) -> SnapshotMetrics {
        self.snapshots.begin(origin, rows, estimated)
    }

    /// Counts an error.
    pub fn error(&self, stage: Stage, kind: ErrorKind) {
        self.errors.get_or_create(&ByError { stage, kind }).inc();
    }

    /// Counts an attempt that is repeated.
    pub fn retry(&self, stage: Stage, kind: ErrorKind) {
        self.retries.get_or_create(&ByError { stage, kind }).inc();
    }

    /// Tables that stopped arriving, of all shards, and those that wait before their targets.
    pub fn parked_tables(&self) -> u64 {
        let count = |gauge: &Gauge| u64::try_from(gauge.get()).unwrap_or_default();
        let extracting: u64 = self.known_shards().values().map(|s| count(&s.parked)).sum();
        let applying: u64 = self.known_groups().values().map(count).sum();
        extracting + applying
    }

    /// Sets the memory of batches and its bound, in bytes.
    pub fn batch_memory(&self, used: u64, max: u64) {
        self.batch_memory.set(i64::try_from(used).unwrap_or(i64::MAX));
        self.batch_memory_max.set(i64::try_from(max).unwrap_or(i64::MAX));
    }

    /// The counters that the progress line needs. `now` in UTC microseconds.
    pub fn snapshot(&self, now: i64) -> ProgressSnapshot {
        let shards = self.known_shards();
        ProgressSnapshot {
            at: now,
            batch_memory_bytes: u64::try_from(self.batch_memory.get()).unwrap_or_default(),
            shards: shards.iter().map(|(name, m)| m.progress(name, now)).collect(),
            tables: self.snapshots.progress(),
        }
    }

    /// Everything in OpenMetrics text form, which Prometheus reads. `now` in UTC microseconds: lags are ages, and are
    /// computed at the moment they are asked for.
    pub fn exposition(&self, now: i64) -> String {
        for (name, m) in self.known_shards().iter() {
            let by = ByShard { shard: name.clone() };
            let lag = m.reach.lag(now);
            // A shard that has not begun has no lag yet; a missing series says so better than a zero.
            for (family, seconds) in
                [(&self.lag_read, lag.read), (&self.lag_stored, lag.stored), (&self.lag_applied, lag.applied)]
            {
                if let Some(seconds) = seconds {
                    family.get_or_create(&by).set(seconds);
                }
            }
        }
        self.snapshots.show();
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Handles of one shard. Cheap to clone; clones share their counters.
#[derive(Clone, Debug)]
pub struct ShardMetrics {
    ops: [Counter; 4],
    binlog_bytes: Counter,
    transactions: Counter,
    reconnects: Counter,
    connected: Gauge,
    files: Counter,
    file_bytes: Counter,
    file_rows: Counter,
    entries: Counter,
    applied_entries: Counter,
    applied_rows: Counter,
    parked: Gauge,
    reach: Arc<Reach>,
}

impl ShardMetrics {
    /// Transactions, bytes and row changes were read.
    pub fn read(&self, transactions: u64, bytes: u64, ops: OpCounts) {
        self.transactions.inc_by(transactions);
        self.binlog_bytes.inc_by(bytes);
        add(&self.ops, ops);
    }

    /// The source was read up to `at` (UTC microseconds): the commit time of an event, or the present where a heartbeat
    /// says that there is nothing newer.
    pub fn read_up_to(&self, at: i64) {
        self.reach.read.fetch_max(at, Ordering::Relaxed);
    }

    /// The source has nothing newer at `at` (UTC microseconds), and everything read before is `stored`.
    pub fn idle(&self, at: i64, stored: bool) {
        self.read_up_to(at);
        if stored {
            self.reach.stored.fetch_max(at, Ordering::Relaxed);
        }
    }

    /// Everything that this process knows to be stored is visible in the warehouse.
    pub fn caught_up(&self) {
        let stored = self.reach.stored.load(Ordering::Relaxed);
        self.reach.applied.fetch_max(stored, Ordering::Relaxed);
    }

    /// The binlog stream was connected or lost.
    pub fn connected(&self, is: bool) {
        self.connected.set(i64::from(is));
    }

    /// A lost connection was made anew.
    pub fn reconnected(&self) {
        self.reconnects.inc();
    }

    /// An entry was committed that names `files` with `rows` in `bytes`, and covers the source up to `at` (UTC
    /// microseconds, in the sense of [`ShardMetrics::read_up_to`]).
    pub fn stored(&self, files: u64, rows: u64, bytes: u64, at: i64) {
        self.entries.inc();
        self.files.inc_by(files);
        self.file_rows.inc_by(rows);
        self.file_bytes.inc_by(bytes);
        self.reach.stored.fetch_max(at, Ordering::Relaxed);
    }

    /// Entries were merged with `rows` changes; the warehouse shows the source as of `at` (UTC microseconds).
    pub fn applied(&self, entries: u64, rows: u64, at: i64) {
        self.applied_entries.inc_by(entries);
        self.applied_rows.inc_by(rows);
        self.reach.applied.fetch_max(at, Ordering::Relaxed);
    }

    /// So many tables of the shard stopped arriving.
    pub fn parked(&self, tables: u64) {
        self.parked.set(i64::try_from(tables).unwrap_or(i64::MAX));
    }

    fn progress(&self, shard: &str, now: i64) -> ShardProgress {
        let lag = self.reach.lag(now);
        ShardProgress {
            shard: shard.to_owned(),
            connected: self.connected.get() == 1,
            rows_read: self.ops.iter().map(Counter::get).sum(),
            bytes_read: self.binlog_bytes.get(),
            rows_stored: self.file_rows.get(),
            entries: self.entries.get(),
            rows_applied: self.applied_rows.get(),
            entries_applied: self.applied_entries.get(),
            parked: u64::try_from(self.parked.get()).unwrap_or_default(),
            lag_read_seconds: lag.read,
            lag_stored_seconds: lag.stored,
            lag_applied_seconds: lag.applied,
        }
    }
}

/// Handles of one target.
#[derive(Clone, Debug)]
pub struct TargetMetrics {
    ops: [Counter; 4],
}

impl TargetMetrics {
    /// Changes were merged.
    pub fn applied(&self, ops: OpCounts) {
        add(&self.ops, ops);
    }
}

/// Handles of one group.
#[derive(Clone, Debug)]
pub struct GroupMetrics {
    ticks: Counter,
    behind: Gauge,
    stage: Histogram,
    merge: Histogram,
}

impl GroupMetrics {
    /// So many tables of the group are parked before their targets.
    pub fn parked(&self, tables: u64) {
        self.behind.set(i64::try_from(tables).unwrap_or(i64::MAX));
    }

    /// A merge was committed.
    pub fn ticked(&self, staging: Duration, merging: Duration) {
        self.ticks.inc();
        self.stage.observe(staging.as_secs_f64());
        self.merge.observe(merging.as_secs_f64());
    }
}

fn add(counters: &[Counter; 4], ops: OpCounts) {
    for (counter, n) in counters.iter().zip([ops.i, ops.u, ops.d, ops.s]) {
        counter.inc_by(n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_lags_appear_in_the_exposition() {
        let metrics = Metrics::new();
        let shard = metrics.shard(&Shard::new("s1"));
        shard.read(2, 1000, OpCounts { i: 3, u: 1, d: 0, s: 0 });
        shard.read_up_to(5_000_000);
        shard.stored(1, 4, 500, 4_000_000);
        shard.applied(1, 4, 2_500_000);
        metrics.target(&Target::new("shop.orders")).applied(OpCounts { d: 2, ..OpCounts::default() });
        metrics.values(&Target::new("shop.orders"), "note", ValuePolicy::Cut, 7);
        metrics.group("main").ticked(Duration::from_millis(10), Duration::from_millis(30));
        metrics.error(Stage::Lake, ErrorKind::Transient);
        let text = metrics.exposition(6_000_000);
        for line in [
            "tailwater_extract_row_changes_total{shard=\"s1\",op=\"insert\"} 3",
            "tailwater_lag_read_seconds{shard=\"s1\"} 1.0",
            "tailwater_lag_stored_seconds{shard=\"s1\"} 1.0",
            "tailwater_lag_applied_seconds{shard=\"s1\"} 1.5",
            "tailwater_apply_rows_total{table=\"shop.orders\",op=\"delete\"} 2",
            "tailwater_extract_changed_values_total{table=\"shop.orders\",column=\"note\",policy=\"cut\"} 7",
            "tailwater_apply_ticks_total{group=\"main\"} 1",
            "tailwater_errors_total{stage=\"lake\",kind=\"transient\"} 1",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        let snapshot = metrics.snapshot(6_000_000);
        assert_eq!((snapshot.shards[0].rows_read, snapshot.shards[0].lag_seconds()), (4, Some(3.5)));
    }

    #[test]
    fn one_shard_has_one_set_of_counters_and_no_lag_before_it_begins() {
        let metrics = Metrics::new();
        metrics.shard(&Shard::new("s1")).reconnected();
        metrics.shard(&Shard::new("s1")).reconnected();
        let text = metrics.exposition(1);
        assert!(text.contains("tailwater_extract_reconnects_total{shard=\"s1\"} 2"), "{text}");
        assert!(!text.contains("tailwater_lag_read_seconds{"), "{text}");
    }
}
