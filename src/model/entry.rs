//! Entries of the commit log: the only list of what exists in the lake.
//!
//! The JSON form is `schemas/entry.v1.json`; golden tests pin it. Row values never stand in an entry.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ColumnDefault, Digest, Op, Origin, Seq, Shard, Target};

/// Version of the entry format that this build writes.
pub const FORMAT: u32 = 1;

/// The JSON Schema of an entry, pinned as `schemas/entry.v1.json`.
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Entry);
    schema.insert("title".into(), format!("Tailwater commit log entry, format {FORMAT}").into());
    // Its own serialisation puts the keys in a fixed order. Writing a schema down cannot fail.
    serde_json::to_value(&schema).unwrap_or_default()
}

/// One commit of one shard's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// Features a reader must understand; an unknown one stops it.
    #[serde(default)]
    pub features: Vec<String>,
    /// Identity of this shard's log, made when entry 1 is. A warehouse refuses a log whose id changed.
    pub log_id: String,
    /// The writer process that made the entry.
    pub writer: String,
    /// Digest of the previous entry's bytes; `None` in entry 1.
    pub previous: Option<Digest>,
    /// Digest of the effective configuration of the writer.
    pub config: Digest,
    /// The shard whose log this is.
    pub shard: Shard,
    /// Number of the entry, from 1 without gaps. Equals the number in its path.
    pub number: u64,
    /// What the entry is for.
    pub kind: EntryKind,
    /// First [`Seq`] that this entry may use; the previous entry's `next_seq`.
    pub first_seq: Seq,
    /// First [`Seq`] that the next entry may use. Equal to `first_seq` when nothing was numbered.
    pub next_seq: Seq,
    /// Source position after this entry: where reading resumes.
    pub position: Position,
    /// Earliest and latest source commit time covered, UTC microseconds. `None` when no transaction is covered.
    pub committed_at: Option<(i64, i64)>,
    /// When the writer made the entry, UTC microseconds by its clock. Orders nothing.
    pub written_at: i64,
    /// XA transactions that are prepared and undecided at `position`, by XID text, with the files that hold their rows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub open_xa: BTreeMap<String, Vec<FileStep>>,
    /// What happened, in order.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// What the writer knows of each origin after this entry; present when it changed and in every claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog: Option<Catalog>,
    /// Number of the newest entry (this one included) that carries `catalog`; 0 when there is none.
    pub catalog_at: u64,
}

/// What an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// Carries steps.
    Changes,
    /// Only moves the position (idle source, rotation).
    Position,
    /// A writer took over the log. The first entry of every writer.
    Claim,
    /// The writer stopped cleanly. Carries no steps; the next writer need not watch whether the log still moves.
    Release,
}

/// Where reading resumes on the source. All unset in a new log, whose first writer begins where its configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Position {
    /// Executed GTID set in MySQL's text form (or MariaDB's `domain-server-seq` list); `None` without GTID.
    pub gtid_set: Option<String>,
    /// Binlog file name, when known.
    pub file: Option<String>,
    /// Offset behind the last covered event in `file`. 64 bits: files may exceed 4 GiB although event headers cannot say so.
    pub offset: u64,
    /// `server_uuid` that `file` and `offset` belong to. They mean nothing on another server.
    pub server_uuid: Option<String>,
}

/// What the writer knows of each origin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Catalog {
    /// Every origin that was seen, with its current schema.
    pub origins: BTreeMap<Origin, Known>,
}

/// One origin in the [`Catalog`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Known {
    /// Where its rows go.
    pub target: Target,
    /// Id of its newest schema; `None` when it was parked before a schema was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Digest>,
    /// Why its rows are not in the lake since some position; only a new snapshot clears it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<String>,
    /// Why values of old rows are no longer right in the warehouse (a DDL changed them without events).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs_snapshot: Option<String>,
    /// Number of a snapshot that has begun and not ended. A new writer resumes it, unless the origin was parked or needs
    /// another one meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Seq>,
    /// Its rows have no key: the target is a history of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub appends: bool,
}

impl Known {
    /// An origin of which nothing is known but where its rows go.
    pub fn of(target: Target) -> Self {
        Self { target, schema: None, parked: None, needs_snapshot: None, snapshot: None, appends: false }
    }
}

impl Catalog {
    /// Takes in one step. Returns whether anything changed.
    ///
    /// The log derives its catalog with this, so that the catalog cannot say anything the steps did not.
    pub fn apply(&mut self, step: &Step) -> bool {
        match step {
            Step::File(_) => false,
            Step::Schema { origin, target, schema, appends, .. } => self.learn(origin, target, |k| {
                k.target = target.clone();
                k.appends = *appends;
                k.schema = Some(schema.clone());
            }),
            Step::Floor(f) if f.cause == FloorCause::Drop => self.origins.remove(&f.origin).is_some(),
            // Stale rows are gone with all others.
            Step::Floor(f) if f.cause == FloorCause::Truncate => self.change(&f.origin, |k| k.needs_snapshot = None),
            Step::Floor(_) => false,
            // Its rows arrive again from here on, and the snapshot brings those that are missing.
            Step::SnapshotBegin { origin, seq, .. } => self.change(origin, |k| {
                k.snapshot = Some(*seq);
                k.parked = None;
                k.needs_snapshot = None;
            }),
            Step::SnapshotEnd { origin, .. } => self.change(origin, |k| {
                k.snapshot = None;
                k.needs_snapshot = None;
            }),
            // Also one whose schema was never understood: the reason must survive the writer.
            Step::Parked(p) => self.learn(&p.origin, &p.target, |k| k.parked = Some(p.reason.clone())),
            // Also of a table without a schema yet: one that got its rows by RENAME.
            Step::NeedsSnapshot { origin, target, reason, .. } => {
                self.learn(origin, target, |k| k.needs_snapshot = Some(reason.clone()))
            }
        }
    }

    fn learn(&mut self, origin: &Origin, target: &Target, edit: impl FnOnce(&mut Known)) -> bool {
        let new = !self.origins.contains_key(origin);
        self.origins.entry(origin.clone()).or_insert_with(|| Known::of(target.clone()));
        self.change(origin, edit) || new
    }

    fn change(&mut self, origin: &Origin, edit: impl FnOnce(&mut Known)) -> bool {
        let Some(known) = self.origins.get_mut(origin) else { return false };
        let before = known.clone();
        edit(known);
        *known != before
    }
}

/// One thing that happened, in the order of the entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// A Parquet file with rows.
    File(FileStep),
    /// The rows of an origin have a new schema from here on. Also the first schema of an origin.
    Schema {
        /// Whose schema.
        origin: Origin,
        /// Where its rows go.
        target: Target,
        /// Number of the marker.
        seq: Seq,
        /// Id of the new schema, content in `schema/<target>/<id>.json`.
        schema: Digest,
        /// Added columns with the value that rows written before have in them.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        added: BTreeMap<String, ColumnDefault>,
        /// The rows have no key: the target is a history of them.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        appends: bool,
    },
    /// Rows of an origin below a seq are void.
    Floor(Floor),
    /// A snapshot of an origin begins; entries of the origin wait for its end.
    SnapshotBegin {
        /// Whose snapshot.
        origin: Origin,
        /// Number that every row of the snapshot carries.
        seq: Seq,
        /// Its rows are to show with its end and not before, whatever the configuration says: the origin's target appends, and
        /// what is taken twice stays.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        whole: bool,
    },
    /// The snapshot is complete: a floor at `seq`.
    SnapshotEnd {
        /// Whose snapshot.
        origin: Origin,
        /// The snapshot's number.
        seq: Seq,
        /// The snapshot is the origin as it was at one moment: readers are to see its rows, the floor and what was changed
        /// since at once, unless they want rows as they come.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        swap: bool,
    },
    /// Rows of an origin are missing from here on until a new snapshot.
    Parked(Parked),
    /// Values of old rows changed without events; the warehouse shows old ones until a new snapshot.
    NeedsSnapshot {
        /// Whose rows.
        origin: Origin,
        /// Where they lie.
        target: Target,
        /// Number of the marker.
        seq: Seq,
        /// What happened, for the operator.
        reason: String,
    },
}

/// A Parquet file: rows of one origin with one schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileStep {
    /// Whose rows.
    pub origin: Origin,
    /// Target whose folder the file lies in.
    pub target: Target,
    /// Path below the pipeline's root.
    pub path: String,
    /// Rows in the file.
    pub rows: u64,
    /// Size of the object.
    pub bytes: u64,
    /// Rows by operation.
    pub ops: OpCounts,
    /// Schema of the rows.
    pub schema: Digest,
    /// Smallest and largest `_tw_seq` in the file.
    pub seqs: (Seq, Seq),
    /// Earliest and latest `_tw_committed_at` in the file, UTC microseconds.
    pub committed_at: (i64, i64),
    /// Whether only the last change per key of its batch was kept.
    pub net: bool,
    /// Least and greatest value of the partition column, where the table is partitioned by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<ColumnBounds>,
}

/// Least and greatest value of a column in a file, in neutral text form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ColumnBounds {
    /// The column.
    pub column: String,
    /// Least value.
    pub min: String,
    /// Greatest value.
    pub max: String,
}

/// Rows by [`Op`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpCounts {
    /// Inserted.
    pub i: u64,
    /// Updated.
    pub u: u64,
    /// Deleted.
    pub d: u64,
    /// Read by a snapshot.
    pub s: u64,
}

impl OpCounts {
    /// Counts one row.
    pub fn count(&mut self, op: Op) {
        match op {
            Op::Insert => self.i += 1,
            Op::Update => self.u += 1,
            Op::Delete => self.d += 1,
            Op::Snapshot => self.s += 1,
        }
    }

    /// All rows.
    pub fn total(&self) -> u64 {
        self.i + self.u + self.d + self.s
    }
}

/// Rows of `origin` with a smaller seq are void: deleted, or marked where deletes are soft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Floor {
    /// Whose rows.
    pub origin: Origin,
    /// Where they lie.
    pub target: Target,
    /// Rows below are void; the marker itself consumes this number.
    pub seq: Seq,
    /// Why.
    pub cause: FloorCause,
    /// Commit time of the statement, UTC microseconds.
    pub committed_at: i64,
}

/// What voided the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FloorCause {
    /// TRUNCATE TABLE.
    Truncate,
    /// DROP TABLE or DROP DATABASE.
    Drop,
    /// RENAME TABLE moved other content under the name.
    Rename,
    /// The end of a snapshot.
    Snapshot,
}

/// Rows of an origin stop arriving.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Parked {
    /// Whose rows.
    pub origin: Origin,
    /// Where they would go.
    pub target: Target,
    /// Number of the marker.
    pub seq: Seq,
    /// What could not be done, without row values, and the command that repairs it.
    pub reason: String,
}

impl Step {
    /// The origin that the step is about.
    pub fn origin(&self) -> &Origin {
        match self {
            Self::File(f) => &f.origin,
            Self::Floor(f) => &f.origin,
            Self::Parked(p) => &p.origin,
            Self::Schema { origin, .. }
            | Self::SnapshotBegin { origin, .. }
            | Self::SnapshotEnd { origin, .. }
            | Self::NeedsSnapshot { origin, .. } => origin,
        }
    }
}
