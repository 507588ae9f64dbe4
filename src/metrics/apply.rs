//! Groups and their targets: ticks, merges, and what waits for them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram};

use super::{
    bounded::{Named, TARGETS_MAX},
    labels::{ByGroup, ByPhase, ByTarget, ByTargetOp, MergePhase},
    register::{Histograms, Register, Seconds},
    shard::{BYTES, ROWS, add},
};
use crate::model::OpCounts;

/// Bounds of merge durations in seconds: from a SQLite tick of milliseconds to a backlog on a busy cluster.
const MERGE_SECONDS: [f64; 11] = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0];

/// Durations of a tick's phases.
#[derive(Clone, Copy, Debug, Default)]
pub struct TickTimes {
    /// Targets followed schema changes.
    pub schema: Duration,
    /// Files went into staging.
    pub stage: Duration,
    /// The transaction.
    pub merge: Duration,
}

/// Families of groups and targets.
#[derive(Debug)]
pub(super) struct Groups {
    open: Family<ByGroup, Gauge>,
    claims: Family<ByGroup, Counter>,
    ticks: Family<ByGroup, Counter>,
    ticked: Family<ByGroup, Gauge>,
    idle: Family<ByGroup, Counter>,
    merge_seconds: Histograms<ByPhase>,
    tick_rows: Histograms<ByGroup>,
    tick_bytes: Histograms<ByGroup>,
    written: Family<ByGroup, Counter>,
    removed: Family<ByGroup, Counter>,
    altered: Family<ByGroup, Counter>,
    ahead: Family<ByGroup, Gauge>,
    behind: Family<ByGroup, Gauge>,
    held: Family<ByGroup, Gauge>,
    target_rows: Family<ByTargetOp, Counter>,
    target_lag: Family<ByTarget, Seconds>,
    named: Named,
    /// When the oldest row of each target was stored that is not applied, UTC microseconds; 0 when all are.
    waiting: Mutex<BTreeMap<String, Arc<AtomicI64>>>,
    /// Groups that this process applies, with their parked tables.
    applied: Mutex<BTreeMap<String, Gauge>>,
}

impl Groups {
    pub(super) fn register(r: &mut Register) -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(MERGE_SECONDS);
        let rows: fn() -> Histogram = || Histogram::new(ROWS);
        let bytes: fn() -> Histogram = || Histogram::new(BYTES);
        Self {
            open: r.add(
                "apply_session_open",
                "Whether the group is held and its warehouse answers (1) or not (0)",
                Family::default(),
            ),
            claims: r.add(
                "apply_claims",
                "Times that this process took the group; more than one in a while means that appliers take it from each other, or \
                 that sessions fail",
                Family::default(),
            ),
            ticks: r.add("apply_ticks", "Merge transactions committed", Family::default()),
            ticked: r.add(
                "apply_tick_timestamp_seconds",
                "When the last merge transaction was committed",
                Family::default(),
            ),
            idle: r.add(
                "apply_idle_commits",
                "Merge transactions that brought nothing and only moved watermarks; `warehouse.idle_commit` sets their pace",
                Family::default(),
            ),
            merge_seconds: r.add(
                "apply_merge_seconds",
                "Duration of the phases of a merge",
                Family::new_with_constructor(seconds),
            ),
            tick_rows: r.add("apply_tick_rows", "Rows of one merge", Family::new_with_constructor(rows)),
            tick_bytes: r.add("apply_tick_bytes", "Bytes of files of one merge", Family::new_with_constructor(bytes)),
            written: r.add("apply_written_rows", "Rows written to targets; an update writes and removes one", Family::default()),
            removed: r.add("apply_removed_rows", "Rows removed from targets", Family::default()),
            altered: r.add(
                "apply_schema_changes",
                "Targets that were created, got columns or were widened",
                Family::default(),
            ),
            ahead: r.add("apply_waiting_entries", "Log entries that were read and wait for their merge", Family::default()),
            behind: r.add(
                "apply_parked_tables",
                "Source tables whose rows are in the lake and wait for a mend of their target",
                Family::default(),
            ),
            held: r.add(
                "apply_held_tables",
                "Source tables whose rows wait for the end of their snapshot, or catch up behind it",
                Family::default(),
            ),
            target_rows: r.add("apply_rows", "Changes merged into the target, by operation", Family::default()),
            target_lag: r.add(
                "table_lag_seconds",
                "Stored to applied: age of the oldest file of the target that is in the lake and not in the warehouse; 0 when all are",
                Family::default(),
            ),
            named: Named::at_most(TARGETS_MAX),
            waiting: Mutex::default(),
            applied: Mutex::default(),
        }
    }

    fn applied(&self) -> MutexGuard<'_, BTreeMap<String, Gauge>> {
        // The maps are whole after every operation, so a panic elsewhere does not spoil them.
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn handles(&self, group: &str) -> GroupMetrics {
        let phase = |phase| self.merge_seconds.get_or_create_owned(&ByPhase { group: group.to_owned(), phase });
        let by = ByGroup { group: group.to_owned() };
        let behind = self.behind.get_or_create_owned(&by);
        self.applied().insert(by.group.clone(), behind.clone());
        GroupMetrics {
            open: self.open.get_or_create_owned(&by),
            claims: self.claims.get_or_create_owned(&by),
            ticks: self.ticks.get_or_create_owned(&by),
            ticked: self.ticked.get_or_create_owned(&by),
            idle: self.idle.get_or_create_owned(&by),
            phases: [phase(MergePhase::Schema), phase(MergePhase::Stage), phase(MergePhase::Merge)],
            tick_rows: self.tick_rows.get_or_create_owned(&by),
            tick_bytes: self.tick_bytes.get_or_create_owned(&by),
            written: self.written.get_or_create_owned(&by),
            removed: self.removed.get_or_create_owned(&by),
            altered: self.altered.get_or_create_owned(&by),
            ahead: self.ahead.get_or_create_owned(&by),
            behind,
            held: self.held.get_or_create_owned(&by),
        }
    }

    /// Whether this process applies the group.
    pub(super) fn applies(&self, group: &str) -> bool {
        self.applied().contains_key(group)
    }

    pub(super) fn parked_tables(&self) -> u64 {
        self.applied().values().map(|parked| u64::try_from(parked.get()).unwrap_or_default()).sum()
    }

    pub(super) fn target(&self, target: &str) -> TargetMetrics {
        let [table] = self.named.labels([target]);
        let op = |op| self.target_rows.get_or_create_owned(&ByTargetOp { table: table.clone(), op });
        TargetMetrics {
            ops: [op("insert"), op("update"), op("delete"), op("snapshot")],
            waiting: Arc::clone(self.waiting().entry(target.to_owned()).or_default()),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<String, Arc<AtomicI64>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the lags of targets up to date. Targets beyond the bound show the worst of them.
    pub(super) fn show(&self, now: i64) {
        let mut rest: BTreeMap<String, f64> = BTreeMap::new();
        for (target, since) in self.waiting().iter() {
            let since = since.load(Ordering::Relaxed);
            let age = if since > 0 { (now - since).max(0) as f64 / 1e6 } else { 0.0 };
            let [table] = self.named.labels([target]);
            let shown = rest.entry(table).or_default();
            *shown = shown.max(age);
        }
        for (table, age) in rest {
            self.target_lag.get_or_create(&ByTarget { table }).set(age);
        }
    }
}

/// Handles of one target.
#[derive(Clone, Debug)]
pub struct TargetMetrics {
    ops: [Counter; 4],
    waiting: Arc<AtomicI64>,
}

impl TargetMetrics {
    /// Changes were merged.
    pub fn applied(&self, ops: OpCounts) {
        add(&self.ops, ops);
    }

    /// Rows were stored at `at`, UTC microseconds. Says nothing where older ones wait already.
    pub fn stored(&self, at: i64) {
        let _ = self.waiting.compare_exchange(0, at, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The oldest rows that wait for the target were stored then, UTC microseconds; `None` when none waits.
    pub fn waiting_since(&self, at: Option<i64>) {
        self.waiting.store(at.unwrap_or(0), Ordering::Relaxed);
    }
}

/// Handles of one group.
#[derive(Clone, Debug)]
pub struct GroupMetrics {
    open: Gauge,
    claims: Counter,
    ticks: Counter,
    ticked: Gauge,
    idle: Counter,
    /// In the order of [`MergePhase::ALL`].
    phases: [Histogram; 3],
    tick_rows: Histogram,
    tick_bytes: Histogram,
    written: Counter,
    removed: Counter,
    altered: Counter,
    ahead: Gauge,
    behind: Gauge,
    held: Gauge,
}

impl GroupMetrics {
    /// The group was taken and is worked for.
    pub fn opened(&self) {
        self.claims.inc();
        self.open.set(1);
    }

    /// The session has ended, well or not.
    pub fn closed(&self) {
        self.open.set(0);
    }

    /// So many tables of the group are parked before their targets.
    pub fn parked(&self, tables: u64) {
        self.behind.set(i64::try_from(tables).unwrap_or(i64::MAX));
    }

    /// So many tables of the group wait for their snapshots, or catch up.
    pub fn held(&self, tables: u64) {
        self.held.set(i64::try_from(tables).unwrap_or(i64::MAX));
    }

    /// So many entries were read and wait.
    pub fn waiting(&self, entries: usize) {
        self.ahead.set(i64::try_from(entries).unwrap_or(i64::MAX));
    }

    /// A target was made or changed.
    pub fn altered(&self) {
        self.altered.inc();
    }

    /// A merge of files with `rows` in `bytes` was committed at `at`, UTC microseconds.
    pub fn ticked(&self, times: TickTimes, rows: u64, bytes: u64, at: i64) {
        self.ticks.inc();
        self.ticked.set(at / 1_000_000);
        self.tick_rows.observe(rows as f64);
        self.tick_bytes.observe(bytes as f64);
        for (phase, time) in self.phases.iter().zip([times.schema, times.stage, times.merge]) {
            phase.observe(time.as_secs_f64());
        }
    }

    /// A merge brought nothing and moved watermarks alone.
    pub fn moved_alone(&self) {
        self.idle.inc();
    }

    /// The warehouse says what a merge did to its rows.
    pub fn changed_rows(&self, written: u64, removed: u64) {
        self.written.inc_by(written);
        self.removed.inc_by(removed);
    }
}
