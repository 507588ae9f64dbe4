//! What `status` reports: the state of a pipeline as lake and warehouse tell it.

use serde::Serialize;

use super::VerifiedThrough;

/// State of a pipeline at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    /// Name of the pipeline.
    pub pipeline: String,
    /// When it was looked at, UTC microseconds.
    pub at: i64,
    /// Why a part of the state is not known, when it concerns no single shard.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trouble: Vec<String>,
    /// Shards, by name.
    pub shards: Vec<ShardStatus>,
    /// Targets, by name.
    pub tables: Vec<TableStatus>,
}

/// State of one shard.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ShardStatus {
    /// The shard.
    pub shard: String,
    /// Where the next reader resumes, in the source's own terms.
    pub position: String,
    /// Position of the source itself; `None` when it was not asked or did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_position: Option<String>,
    /// Number of the newest entry in the log.
    pub head: u64,
    /// Entries that each group has applied.
    pub applied: Vec<GroupPosition>,
    /// What its targets do not learn of, where its binlog is not followed, with the number of tables.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_seen: Vec<String>,
    /// Latest commit time in the log, UTC microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub committed_at: Option<i64>,
    /// When the newest entry was written, UTC microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_at: Option<i64>,
    /// Writer of the newest entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writer: Option<String>,
    /// Since when an operator has paused it, UTC microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<i64>,
    /// Why the shard's state is not known, when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// How far one group has applied a shard's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GroupPosition {
    /// The group.
    pub group: String,
    /// Number of the last applied entry.
    pub entry: u64,
}

/// State of one target.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TableStatus {
    /// The target.
    pub target: String,
    /// Source tables that feed it.
    pub origins: u64,
    /// Origins whose snapshot is under way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reading: Vec<String>,
    /// Whether it is being rebuilt from the lake.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rebuilding: bool,
    /// Origins that an operator has paused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paused: Vec<String>,
    /// Origins without a key, each with the statement that gives it one: their changes are appended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub appends: Vec<ParkedOrigin>,
    /// Origins that stopped arriving, each with its reason and the command that repairs it.
    pub parked: Vec<ParkedOrigin>,
    /// Origins whose old rows need a new snapshot, each with its reason.
    pub needs_snapshot: Vec<ParkedOrigin>,
    /// Up to where origins are known to be equal in the warehouse.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verified: Vec<VerifiedOrigin>,
}

/// A source table that was compared with the warehouse and found equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerifiedOrigin {
    /// The source table, `<shard>:<database>.<table>`.
    pub origin: String,
    /// Up to where.
    #[serde(flatten)]
    pub through: VerifiedThrough,
}

/// A source table that needs an operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ParkedOrigin {
    /// The source table, `<shard>:<database>.<table>`.
    pub origin: String,
    /// What happened, without row values.
    pub reason: String,
}
