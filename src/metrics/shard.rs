//! One shard: what was read, stored and applied, and what its decode thread waits for.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram};

use super::{
    labels::{ByShard, ByShardOp, ByShardWait, Wait},
    lag::{Lag, Reach},
    register::{Register, SecondsTotal},
};
use crate::{model::OpCounts, progress::ShardProgress};

/// Bounds of rows per file and tick: one row to a full batch.
pub(super) const ROWS: [f64; 10] = [1.0, 10.0, 100.0, 1e3, 5e3, 2.5e4, 1e5, 2.5e5, 5e5, 1e6];

/// Bounds of bytes per file and tick: 4 KiB to 1 GiB by fours.
pub(super) const BYTES: [f64; 10] = [
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
    1_073_741_824.0,
];

/// Families that shards have.
#[derive(Clone, Debug)]
pub(super) struct Shards {
    row_changes: Family<ByShardOp, Counter>,
    binlog_bytes: Family<ByShard, Counter>,
    transactions: Family<ByShard, Counter>,
    schema_changes: Family<ByShard, Counter>,
    reconnects: Family<ByShard, Counter>,
    connected: Family<ByShard, Gauge>,
    claims: Family<ByShard, Counter>,
    waits: Family<ByShardWait, SecondsTotal>,
    queued_bytes: Family<ByShard, Gauge>,
    queued_cuts: Family<ByShard, Gauge>,
    parked: Family<ByShard, Gauge>,
    stale: Family<ByShard, Gauge>,
    files: Family<ByShard, Counter>,
    file_bytes: Family<ByShard, Counter>,
    file_rows: Family<ByShard, Counter>,
    batch_rows: Histogram,
    batch_bytes: Histogram,
    entries: Family<ByShard, Counter>,
    applied_entries: Family<ByShard, Counter>,
}

impl Shards {
    pub(super) fn register(r: &mut Register) -> Self {
        Self {
            row_changes: r.add("extract_row_changes", "Row changes read, by operation", Family::default()),
            binlog_bytes: r.add("extract_binlog_bytes", "Bytes of binlog events read", Family::default()),
            transactions: r.add("extract_transactions", "Source transactions read", Family::default()),
            schema_changes: r.add(
                "extract_schema_changes",
                "New schemas of source tables met, the first of each table included",
                Family::default(),
            ),
            reconnects: r.add(
                "extract_reconnects",
                "Connections to the source that were lost and made anew",
                Family::default(),
            ),
            connected: r.add(
                "extract_connected",
                "Whether the binlog stream is connected (1) or not (0)",
                Family::default(),
            ),
            claims: r.add(
                "log_claims",
                "Times that this process took the shard's commit log; more than one in a while means that processes take it from \
                 each other or die",
                Family::default(),
            ),
            waits: r.add(
                "extract_wait_seconds",
                "Time that the shard's decode thread waited, by what it waited for",
                Family::default(),
            ),
            queued_bytes: r.add(
                "extract_queue_bytes",
                "Bytes of events between the source's connection and the decode thread, of 16 MiB",
                Family::default(),
            ),
            queued_cuts: r.add(
                "extract_queue_entries",
                "Entries between the decode thread and the committer, of 4",
                Family::default(),
            ),
            parked: r.add("parked_tables", "Source tables whose rows no longer reach the lake", Family::default()),
            stale: r.add(
                "stale_tables",
                "Source tables of which older rows are wrong in the warehouse until a new snapshot",
                Family::default(),
            ),
            files: r.add("store_files", "Files stored in the lake", Family::default()),
            file_bytes: r.add("store_file_bytes", "Bytes of files stored in the lake", Family::default()),
            file_rows: r.add("store_file_rows", "Rows in files stored in the lake", Family::default()),
            batch_rows: r.add("store_batch_rows", "Rows of one stored file", Histogram::new(ROWS)),
            batch_bytes: r.add("store_batch_bytes", "Bytes of one stored file", Histogram::new(BYTES)),
            entries: r.add("store_entries", "Entries committed to the shard's log", Family::default()),
            applied_entries: r.add("apply_entries", "Log entries merged, counted once by each group", Family::default()),
        }
    }

    pub(super) fn handles(&self, shard: &str) -> ShardMetrics {
        let by = ByShard { shard: shard.to_owned() };
        let op = |op| self.row_changes.get_or_create_owned(&ByShardOp { shard: shard.to_owned(), op });
        let wait = |on| self.waits.get_or_create_owned(&ByShardWait { shard: shard.to_owned(), on });
        ShardMetrics {
            ops: [op("insert"), op("update"), op("delete"), op("snapshot")],
            binlog_bytes: self.binlog_bytes.get_or_create_owned(&by),
            transactions: self.transactions.get_or_create_owned(&by),
            schema_changes: self.schema_changes.get_or_create_owned(&by),
            reconnects: self.reconnects.get_or_create_owned(&by),
            connected: self.connected.get_or_create_owned(&by),
            claims: self.claims.get_or_create_owned(&by),
            waits: [wait(Wait::Source), wait(Wait::Encoder), wait(Wait::Memory), wait(Wait::Commit)],
            queued_bytes: self.queued_bytes.get_or_create_owned(&by),
            queued_cuts: self.queued_cuts.get_or_create_owned(&by),
            parked: self.parked.get_or_create_owned(&by),
            stale: self.stale.get_or_create_owned(&by),
            files: self.files.get_or_create_owned(&by),
            file_bytes: self.file_bytes.get_or_create_owned(&by),
            file_rows: self.file_rows.get_or_create_owned(&by),
            batch_rows: self.batch_rows.clone(),
            batch_bytes: self.batch_bytes.clone(),
            entries: self.entries.get_or_create_owned(&by),
            applied_entries: self.applied_entries.get_or_create_owned(&by),
            applied_rows: Counter::default(),
            reach: Arc::default(),
        }
    }
}

/// Handles of one shard. Cheap to clone; clones share their counters.
#[derive(Clone, Debug)]
pub struct ShardMetrics {
    ops: [Counter; 4],
    binlog_bytes: Counter,
    transactions: Counter,
    schema_changes: Counter,
    reconnects: Counter,
    connected: Gauge,
    claims: Counter,
    /// In the order of [`Wait::ALL`].
    waits: [SecondsTotal; 4],
    queued_bytes: Gauge,
    queued_cuts: Gauge,
    pub(super) parked: Gauge,
    stale: Gauge,
    files: Counter,
    file_bytes: Counter,
    file_rows: Counter,
    batch_rows: Histogram,
    batch_bytes: Histogram,
    entries: Counter,
    applied_entries: Counter,
    applied_rows: Counter,
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

    /// How far along the source's time the lake is, as this process knows; UTC microseconds.
    pub fn stored_up_to(&self) -> i64 {
        self.reach.stored.load(Ordering::Relaxed)
    }

    /// A group shows the source as of `at`: what [`stored_up_to`](Self::stored_up_to) said before the log was read to its end.
    pub fn caught_up(&self, group: &str, at: i64) {
        self.reach.applied(group, at);
    }

    /// The binlog stream was connected or lost.
    pub fn connected(&self, is: bool) {
        self.connected.set(i64::from(is));
    }

    /// A lost connection was made anew.
    pub fn reconnected(&self) {
        self.reconnects.inc();
    }

    /// The shard's log was taken.
    pub fn claimed(&self) {
        self.claims.inc();
    }

    /// A table had a schema that it did not have before.
    pub fn schema_changed(&self) {
        self.schema_changes.inc();
    }

    /// The decode thread waited.
    pub fn waited(&self, on: Wait, time: Duration) {
        if let Some(total) = self.waits.get(on as usize) {
            total.inc_by(time.as_secs_f64());
        }
    }

    /// Bytes of events that wait for the decode thread.
    pub fn queued_events(&self, bytes: usize) {
        self.queued_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Cuts that wait for the committer.
    pub fn queued_cuts(&self, cuts: usize) {
        self.queued_cuts.set(i64::try_from(cuts).unwrap_or(i64::MAX));
    }

    /// A file with so many rows and bytes was stored.
    pub fn stored_file(&self, rows: u64, bytes: u64) {
        self.batch_rows.observe(rows as f64);
        self.batch_bytes.observe(bytes as f64);
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

    /// A group merged entries with `rows` changes; it shows the source as of `at` (UTC microseconds; 0 where that is not known).
    pub fn applied(&self, group: &str, entries: u64, rows: u64, at: i64) {
        self.applied_entries.inc_by(entries);
        self.applied_rows.inc_by(rows);
        self.reach.applied(group, at);
    }

    /// So many tables of the shard stopped arriving.
    pub fn parked(&self, tables: u64) {
        self.parked.set(i64::try_from(tables).unwrap_or(i64::MAX));
    }

    /// So many tables of the shard have rows that are wrong until a snapshot.
    pub fn stale(&self, tables: u64) {
        self.stale.set(i64::try_from(tables).unwrap_or(i64::MAX));
    }

    /// The shard's tables are read again and again, with so long a time between two rounds at most.
    pub fn asked_every(&self, interval: Duration) {
        self.reach.every.store(i64::try_from(interval.as_micros()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    pub(super) fn applied_lag(&self, group: &str, now: i64) -> Option<f64> {
        self.reach.applied_lag(group, now)
    }

    pub(super) fn forget(&self, group: &str) {
        self.reach.forget(group);
    }

    pub(super) fn every(&self) -> Option<f64> {
        self.reach.every()
    }

    pub(super) fn lag(&self, now: i64) -> Lag {
        self.reach.lag(now)
    }

    pub(super) fn progress(&self, shard: &str, now: i64) -> ShardProgress {
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
            asked_every_seconds: self.reach.every(),
        }
    }
}

/// Adds counts by operation.
pub(super) fn add(counters: &[Counter; 4], ops: OpCounts) {
    for (counter, n) in counters.iter().zip([ops.i, ops.u, ops.d, ops.s]) {
        counter.inc_by(n);
    }
}
