//! `/api/status`: the process's own state as JSON. The form is documented by [`schema`], which is checked in as
//! `schemas/status.v1.json`.
//!
//! `tailwater status` looks at a pipeline from outside, at log and warehouse; this is what one process knows of itself. What is
//! the same in both has the same name. All times are UTC microseconds.

mod tables;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Serialize;
use serde_json::Value;

use super::{
    health::{self, Condition},
    route::Site,
};
use crate::{
    live::{Course, Curve, GroupView, LiveShard, POINT_SECONDS, Phase, RecentEvent},
    model::Shard,
    progress::{ShardProgress, TableProgress},
};

/// Longest source position that is shown whole; sets of servers with a long past are longer, and `tailwater status --json` has
/// them.
const POSITION_CHARS_MAX: usize = 2000;

/// State of one process.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProcessStatus {
    /// Version of this form. Fields may be added to it; none goes or changes its meaning.
    pub format: u32,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Version of the program.
    pub version: &'static str,
    /// When the process started.
    pub started_at: i64,
    /// When this was answered.
    pub at: i64,
    /// Whether everything moves: what `/readyz` says.
    pub ready: bool,
    /// Conditions that do not hold, each with what to do about it.
    pub not_ready: Vec<Condition>,
    /// Lag from which a shard or a group is not ready, seconds.
    pub ready_lag_seconds: u64,
    /// Memory of all batches, bytes.
    pub batch_memory_bytes: u64,
    /// Shards that this process extracts or applies, by name.
    pub shards: Vec<ShardState>,
    /// Groups that this process applies, by name.
    pub groups: Vec<GroupStatus>,
    /// Targets, by name.
    pub tables: Vec<TableState>,
    /// Snapshots that this process reads, by source table.
    pub snapshots: Vec<SnapshotState>,
    /// Warnings and errors since the start, each kind once, the newest first.
    pub recent: Vec<RecentEvent>,
    /// Seconds between two points of a history.
    pub history_seconds: u64,
}

/// The last failure of a shard or a group.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Failure {
    /// The error with its causes.
    pub error: String,
    /// When.
    pub at: i64,
    /// Failures in a row.
    pub failures: u64,
}

/// State of one shard.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShardState {
    /// The shard.
    pub shard: String,
    /// Whether this process extracts it.
    pub extracts: bool,
    /// Where its extraction is; `starting` for ever where this process only applies it.
    pub phase: Phase,
    /// Since when it is there.
    pub since: i64,
    /// Whether its binlog stream is connected.
    pub connected: bool,
    /// Whether its log is this process's.
    pub claimed: bool,
    /// Number of the newest entry in its log that this process wrote or read.
    pub head: u64,
    /// When that entry was written, by this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_at: Option<i64>,
    /// Where the next reader resumes, in the source's own terms.
    pub position: String,
    /// Seconds from the source's head to what was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_read_seconds: Option<f64>,
    /// Seconds from what was read to what is stored in the lake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_stored_seconds: Option<f64>,
    /// Seconds from what is stored to what is visible in the warehouse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_applied_seconds: Option<f64>,
    /// Row changes read since the start.
    pub rows_read: u64,
    /// Changes merged since the start.
    pub rows_applied: u64,
    /// Row changes read a second, over the last ten.
    pub rows_read_per_second: f64,
    /// Bytes of binlog read a second, over the last ten.
    pub bytes_read_per_second: f64,
    /// Changes merged a second, over the last ten.
    pub rows_applied_per_second: f64,
    /// Source tables that stopped arriving.
    pub parked: u64,
    /// The last failure, until something is committed again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The last hour, or what was asked for by `since`.
    pub history: ShardHistory,
}

/// Curves of one shard: lists of one length, the newest point last.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShardHistory {
    /// When the newest point was taken.
    pub until: i64,
    /// Lag over all stages in seconds; `null` where it was not known.
    pub lag_seconds: Vec<Option<f32>>,
    /// Row changes read a second.
    pub read: Vec<f32>,
    /// Changes merged a second.
    pub applied: Vec<f32>,
}

/// State of one group.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GroupStatus {
    /// The group.
    pub group: String,
    /// Where its application is.
    pub phase: Phase,
    /// Since when it is there.
    pub since: i64,
    /// Merges since the start.
    pub ticks: u64,
    /// The last merge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Tick>,
    /// Time of a usual merge with its staging: the median of the last hundred, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usual_ms: Option<u64>,
    /// Time of the longest of them, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_ms: Option<u64>,
    /// Seconds from what is stored to what it shows, of the shard that waits longest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<f64>,
    /// Source tables that wait for a mend of their targets.
    pub parked: u64,
    /// The last failure, until the group comes forward again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// One merge.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Tick {
    /// When it was committed.
    pub at: i64,
    /// Time until all files were staged, milliseconds.
    pub staging_ms: u64,
    /// Time of the transaction that made the rows visible, milliseconds.
    pub merging_ms: u64,
    /// Changes.
    pub rows: u64,
}

/// State of one target.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct TableState {
    /// The target.
    pub target: String,
    /// Source tables that feed it.
    pub origins: u64,
    /// The group that it is merged in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Changes merged since the start.
    pub rows_applied: u64,
    /// When the last of them became visible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied_at: Option<i64>,
    /// Seconds from a commit on the source to its rows in this target, for the shard that is farthest behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<f64>,
    /// Source tables whose snapshot is under way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reading: Vec<String>,
    /// Source tables that an operator holds back: their changes wait in the lake.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paused: Vec<String>,
    /// Source tables that stopped arriving.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parked: Vec<ParkedTable>,
    /// Source tables whose old rows need a new snapshot.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs_snapshot: Vec<ParkedTable>,
    /// Source commit time up to which all its source tables were proven equal by this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified_through: Option<i64>,
    /// Source tables that were compared by this process.
    pub verified: u64,
    /// Rows that differed when they were compared last.
    #[serde(skip_serializing_if = "is_zero")]
    pub different_rows: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// A source table that needs an operator.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ParkedTable {
    /// The source table, `<shard>:<database>.<table>`.
    pub origin: String,
    /// `extract`: its rows no longer reach the lake. `apply`: they are in the lake and wait for a mend of the target.
    pub stage: &'static str,
    /// What happened, without row values.
    pub reason: String,
    /// What the operator does.
    pub mend: &'static str,
    /// The command that does it, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// A snapshot that is being read.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SnapshotState {
    /// The source table, `<shard>:<database>.<table>`.
    pub origin: String,
    /// Rows read.
    pub rows: u64,
    /// Rows that it has, as the source estimates; grows with what is read.
    pub rows_estimated: u64,
    /// Rows read a second, over the last ten.
    pub rows_per_second: f64,
    /// Seconds that it will take yet at this rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining_seconds: Option<f64>,
}

/// JSON Schema (draft 2020-12) of the answer.
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<ProcessStatus>()
        .to_value();
    if let Some(map) = schema.as_object_mut() {
        map.insert("title".to_owned(), "Status of a Tailwater process, version 1".into());
    }
    schema
}

/// The state at `now`, with the curves behind `since`, both UTC microseconds.
pub(super) fn status(site: &Site, now: i64, since: i64) -> ProcessStatus {
    let live = site.metrics.live();
    let figures = site.metrics.snapshot(now);
    let (shards, groups) = (live.shards(), live.groups());
    let groups: Vec<_> = groups.iter().map(|(name, group)| (name.clone(), group.view())).collect();
    let conditions = health::ready(site, now);
    ProcessStatus {
        format: 1,
        pipeline: site.pipeline.clone(),
        version: env!("CARGO_PKG_VERSION"),
        started_at: site.started_at,
        at: now,
        ready: conditions.iter().all(|c| c.ok),
        not_ready: conditions.into_iter().filter(|c| !c.ok).collect(),
        ready_lag_seconds: site.ready_lag.as_secs(),
        batch_memory_bytes: figures.batch_memory_bytes,
        tables: tables::tables(live, &groups, &figures.shards),
        shards: shards.iter().map(|(name, shard)| of_shard(site, name, shard, &figures.shards, now, since)).collect(),
        groups: groups.into_iter().map(|(name, view)| of_group(site, name, view, now)).collect(),
        snapshots: figures.tables.iter().map(|table| of_snapshot(site, table, now)).collect(),
        recent: site.recent.list(),
        history_seconds: POINT_SECONDS,
    }
}

fn of_shard(
    site: &Site,
    name: &Shard,
    shard: &LiveShard,
    figures: &[ShardProgress],
    now: i64,
    since: i64,
) -> ShardState {
    let view = shard.view();
    let unknown = ShardProgress::default();
    let figures = figures.iter().find(|s| s.shard == name.as_str()).unwrap_or(&unknown);
    let rates = site.history.rates(figures, now);
    let position = crate::pipeline::status::place(&view.position);
    ShardState {
        shard: name.to_string(),
        extracts: view.extracts,
        phase: view.course.phase,
        since: view.course.since,
        connected: figures.connected,
        claimed: view.claimed,
        head: view.entry,
        written_at: view.written_at,
        position: shorten(position),
        lag_read_seconds: figures.lag_read_seconds,
        lag_stored_seconds: figures.lag_stored_seconds,
        lag_applied_seconds: figures.lag_applied_seconds,
        rows_read: figures.rows_read,
        rows_applied: figures.rows_applied,
        rows_read_per_second: round(rates.read),
        bytes_read_per_second: round(rates.bytes),
        rows_applied_per_second: round(rates.applied),
        parked: figures.parked,
        failure: failure(&view.course),
        history: history(site.history.curve(name.as_str(), since)),
    }
}

fn history(curve: Curve) -> ShardHistory {
    let tenth = |n: f32| (n * 10.0).round() / 10.0;
    ShardHistory {
        until: curve.until,
        lag_seconds: curve.points.iter().map(|p| p.lag.is_finite().then(|| tenth(p.lag))).collect(),
        read: curve.points.iter().map(|p| tenth(p.read)).collect(),
        applied: curve.points.iter().map(|p| tenth(p.applied)).collect(),
    }
}

fn of_group(site: &Site, group: String, view: GroupView, now: i64) -> GroupStatus {
    let mut times: Vec<u64> = view.last.iter().map(|tick| tick.staging_ms + tick.merging_ms).collect();
    times.sort_unstable();
    let last = view.last.last().map(|tick| Tick {
        at: tick.at,
        staging_ms: tick.staging_ms,
        merging_ms: tick.merging_ms,
        rows: tick.rows,
    });
    GroupStatus {
        lag_seconds: site.metrics.group_lag(&group, now).map(|(_, lag)| round(lag)),
        group,
        phase: view.course.phase,
        since: view.course.since,
        ticks: view.ticks,
        last,
        usual_ms: times.get(times.len() / 2).copied(),
        longest_ms: times.last().copied(),
        parked: view.parked.len() as u64,
        failure: failure(&view.course),
    }
}

fn of_snapshot(site: &Site, table: &TableProgress, now: i64) -> SnapshotState {
    let rate = site.history.snapshot_rate(&table.origin, table.rows, now);
    let left = table.rows_estimated.saturating_sub(table.rows) as f64;
    SnapshotState {
        origin: if table.rebuild { format!("rebuild of {}", table.origin) } else { table.origin.clone() },
        rows: table.rows,
        rows_estimated: table.rows_estimated,
        rows_per_second: round(rate),
        remaining_seconds: (rate >= 0.1).then(|| round(left / rate)),
    }
}

fn failure(course: &Course) -> Option<Failure> {
    let trouble = course.trouble.as_ref()?;
    Some(Failure { error: trouble.error.clone(), at: trouble.at, failures: trouble.failures })
}

fn shorten(position: String) -> String {
    match position.char_indices().nth(POSITION_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &position[..at]),
        None => position,
    }
}

/// One digit behind the point is what people compare.
fn round(n: f64) -> f64 {
    (n * 10.0).round() / 10.0
}
