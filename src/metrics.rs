//! Every metric: its name, labels, unit and meaning. No other module knows a name; one file per subject.
//!
//! Stages hold handles ([`ShardMetrics`], [`TargetMetrics`], [`GroupMetrics`]) that they ask for once; adding to a
//! counter is then one atomic operation, done per batch and never per row. Ages and what depends on the present are computed when
//! they are asked for. `docs/metrics.md` has the table of all families, made from this code.
//!
//! **Cardinality** is bounded by what is configured (shards, groups) and by constants where names come from sources: targets,
//! source tables and columns beyond them are told together, under `(other)`. A shard has 58 series, a target 5, a group 80;
//! source tables have series only while they are parked, being read or once they were compared.

mod apply;
mod bounded;
mod errors;
mod gc;
mod labels;
mod lag;
mod latency;
mod parked;
mod paused;
mod polls;
mod process;
mod rebuilds;
mod register;
mod shard;
mod snapshots;
mod source;
mod tables;
#[cfg(test)]
mod tests;
mod verify;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

pub use apply::{GroupMetrics, TargetMetrics, TickTimes};
pub use gc::GcMetrics;
pub use labels::{ErrorKind, Half, MergePhase, Stage, ValuePolicy, Wait};
pub use polls::PollMetrics;
pub use rebuilds::RebuildMetrics;
pub use register::Described;
pub use shard::ShardMetrics;
pub use snapshots::SnapshotMetrics;
pub use source::SourceLook;

use crate::{
    live::Live,
    model::{Origin, Shard, Target, VerifiedTable},
    progress::ProgressSnapshot,
};
use bounded::{COLUMNS_MAX, Named};
use labels::ByColumn;
use register::Register;

/// All families of the process. One instance, passed to whoever counts.
pub struct Metrics {
    registry: Registry,
    described: Vec<Described>,
    process: process::Process,
    lags: lag::Lags,
    shards: shard::Shards,
    known_shards: Mutex<BTreeMap<String, ShardMetrics>>,
    sources: source::Sources,
    groups: apply::Groups,
    latency: latency::Latency,
    parked: parked::ParkedTables,
    paused: paused::PausedParts,
    values: Family<ByColumn, Counter>,
    columns: Named,
    errors: errors::Errors,
    snapshots: snapshots::Snapshots,
    rebuilds: rebuilds::Rebuilds,
    polls: polls::Polls,
    gc: gc::Gcs,
    verified: verify::Verified,
    live: Live,
    /// Bytes of the last exposition: what the next one will need at once.
    text_bytes: AtomicUsize,
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

impl Metrics {
    /// All families, at zero.
    pub fn new() -> Self {
        let mut r = Register::default();
        Self {
            process: process::Process::register(&mut r),
            lags: lag::Lags::register(&mut r),
            latency: latency::Latency::register(&mut r),
            sources: source::Sources::register(&mut r),
            shards: shard::Shards::register(&mut r),
            known_shards: Mutex::default(),
            groups: apply::Groups::register(&mut r),
            parked: parked::ParkedTables::register(&mut r),
            paused: paused::PausedParts::register(&mut r),
            values: r.add(
                "extract_changed_values",
                "Values that a policy changed because the target cannot hold them",
                Family::default(),
            ),
            columns: Named::at_most(COLUMNS_MAX),
            errors: errors::Errors::register(&mut r),
            snapshots: snapshots::Snapshots::register(&mut r),
            rebuilds: rebuilds::Rebuilds::register(&mut r),
            polls: polls::Polls::register(&mut r),
            gc: gc::Gcs::register(&mut r),
            verified: verify::Verified::register(&mut r),
            live: Live::default(),
            text_bytes: AtomicUsize::new(0),
            described: r.described,
            registry: r.registry,
        }
    }

    /// What is no number: phases, positions, parked tables. It travels with the figures, to the same places.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// All families, in the order of the documentation.
    pub fn described(&self) -> &[Described] {
        &self.described
    }

    /// All families as a table in Markdown.
    pub fn table(&self) -> String {
        register::table(&self.described)
    }

    fn known_shards(&self) -> MutexGuard<'_, BTreeMap<String, ShardMetrics>> {
        // The map is whole after every operation, so a panic elsewhere does not spoil it.
        self.known_shards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A source table was compared with the warehouse.
    pub fn verified(&self, origin: &Origin, found: &VerifiedTable) {
        self.verified.count(origin, found);
        self.live.verified(origin, found);
    }

    /// All tables were compared; `at` in UTC microseconds.
    pub fn verify_round(&self, at: i64) {
        self.verified.round(at);
    }

    /// Handles of one shard. The same shard always gets the same counters.
    pub fn shard(&self, shard: &Shard) -> ShardMetrics {
        let mut known = self.known_shards();
        known.entry(shard.to_string()).or_insert_with_key(|name| self.shards.handles(name)).clone()
    }

    /// A shard's server told how far its binlog is; `at` in UTC microseconds.
    pub fn source_looked(&self, shard: &Shard, look: SourceLook, at: i64) {
        self.sources.looked(&shard.to_string(), look, at);
    }

    /// Handles of one target.
    pub fn target(&self, target: &Target) -> TargetMetrics {
        self.groups.target(target.as_str())
    }

    /// Handles of one group, which this process applies.
    pub fn group(&self, group: &str) -> GroupMetrics {
        self.groups.handles(group)
    }

    /// The shard that waits longest to be shown by a group, and for how many seconds at `now` (UTC microseconds).
    pub fn group_lag(&self, group: &str, now: i64) -> Option<(String, f64)> {
        let shards = self.known_shards();
        let lags = shards.iter().filter_map(|(name, shard)| Some((name, shard.applied_lag(group, now)?)));
        lags.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(name, lag)| (name.clone(), lag))
    }

    /// This process does not apply the group any more.
    pub fn group_ended(&self, group: &str) {
        self.known_shards().values().for_each(|shard| shard.forget(group));
    }

    /// Rows of a group's target were stored at `at`, UTC microseconds. Where another process applies the group, that one counts.
    pub fn target_stored(&self, group: &str, target: &Target, at: i64) {
        if self.groups.applies(group) {
            self.target(target).stored(at);
        }
    }

    /// Transactions of a shard were visible in the warehouse at `seen`; times in UTC microseconds.
    pub fn visible(&self, shard: &Shard, (earliest, latest): (i64, i64), seen: i64) {
        self.latency.visible(&shard.to_string(), earliest, latest, seen);
    }

    /// The warehouse said at `at`, UTC microseconds, what it shows of a group.
    pub fn read_back(&self, group: &str, at: i64) {
        self.latency.looked(group, at);
    }

    /// These source tables, and no others of the shard or group `name`, are parked now.
    pub fn parked(&self, half: Half, name: &str, tables: BTreeSet<Origin>) {
        self.parked.set((half, name.to_owned()), tables);
    }

    /// Counts values of a column that a policy changed. The number of columns counted by name is bounded.
    pub fn values(&self, target: &Target, column: &str, policy: ValuePolicy, count: u64) {
        let [table, column] = self.columns.labels([target.as_str(), column]);
        self.values.get_or_create(&ByColumn { table, column, policy }).inc_by(count);
    }

    /// A snapshot of a table begins or goes on: so many rows are read, of about so many.
    pub fn snapshot_begins(&self, origin: &Origin, rows: u64, estimated: u64) -> SnapshotMetrics {
        self.snapshots.begin(origin, rows, estimated)
    }

    /// A target is being rebuilt.
    pub fn rebuild_begins(&self, target: &Target) -> RebuildMetrics {
        self.rebuilds.begin(target)
    }

    /// A table is asked again and again, whose last complete round began at `began` (UTC microseconds).
    pub fn polled(&self, origin: &Origin, began: i64) -> PollMetrics {
        self.polls.table(origin, began)
    }

    /// Old entries are removed from a shard's log.
    pub fn gc(&self, shard: &Shard) -> GcMetrics {
        self.gc.shard(shard.as_str())
    }

    /// A table is not asked any more.
    pub fn polled_no_more(&self, origin: &Origin) {
        self.polls.forget(origin);
    }

    /// Counts an error.
    pub fn error(&self, stage: Stage, kind: ErrorKind) {
        self.errors.error(stage, kind);
    }

    /// Counts an attempt that is repeated.
    pub fn retry(&self, stage: Stage, kind: ErrorKind) {
        self.errors.retry(stage, kind);
    }

    /// Tables that stopped arriving, of all shards, and those that wait before their targets.
    pub fn parked_tables(&self) -> u64 {
        let count = |shard: &ShardMetrics| u64::try_from(shard.parked.get()).unwrap_or_default();
        self.known_shards().values().map(count).sum::<u64>() + self.groups.parked_tables()
    }

    /// Sets the memory of batches and its bound, in bytes.
    pub fn batch_memory(&self, used: u64, max: u64) {
        self.process.batches(used, max);
    }

    /// The counters that the progress line needs. `now` in UTC microseconds.
    pub fn snapshot(&self, now: i64) -> ProgressSnapshot {
        let shards = self.known_shards();
        ProgressSnapshot {
            at: now,
            batch_memory_bytes: self.process.batch_memory_bytes(),
            shards: shards.iter().map(|(name, m)| m.progress(name, now)).collect(),
            tables: [self.snapshots.progress(), self.rebuilds.progress()].concat(),
        }
    }

    /// Everything in OpenMetrics text form, which Prometheus reads. `now` in UTC microseconds: lags are ages, and are
    /// computed at the moment they are asked for.
    pub fn exposition(&self, now: i64) -> String {
        let mut text = self.families(now);
        self.write_tables(now, &mut text);
        // Writing to a String cannot fail.
        let _ = encode_eof(&mut text);
        text
    }

    /// The same without what [`write_tables`](Self::write_tables) adds and without the mark of the end.
    pub fn families(&self, now: i64) -> String {
        for (shard, handles) in self.known_shards().iter() {
            let lag = handles.lag(now);
            self.lags.show(shard, lag, handles.every());
            self.sources.show(shard, lag);
        }
        self.groups.show(now);
        self.paused.show(&self.live);
        self.snapshots.show();
        self.process.show();
        let mut text = String::with_capacity(self.text_bytes.load(Ordering::Relaxed));
        // Writing to a String cannot fail.
        let _ = encode_registry(&mut text, &self.registry);
        text
    }

    /// Writes the families of source tables behind the others: thousands of series, of a form that all readers share.
    pub fn write_tables(&self, now: i64, out: &mut String) {
        self.parked.write(out);
        self.paused.write(&self.live, out);
        self.snapshots.write(out);
        self.polls.write(now, out);
        self.verified.write(out);
        self.text_bytes.store(out.len() + out.len() / 8, Ordering::Relaxed);
    }
}
