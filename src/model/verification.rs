//! What comparing source and warehouse found.

use serde::{Deserialize, Serialize};

use super::{Origin, Target};

/// Result of `verify`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Verification {
    /// Name of the pipeline.
    pub pipeline: String,
    /// When it was done, UTC microseconds.
    pub at: i64,
    /// Source tables, in the order of their names.
    pub tables: Vec<VerifiedTable>,
}

/// Result for one source table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VerifiedTable {
    /// The source table, `<shard>:<database>.<table>`.
    pub origin: String,
    /// Where its rows lie.
    pub target: String,
    /// What was found.
    #[serde(flatten)]
    pub outcome: TableOutcome,
    /// Up to where the two are known to be equal, or how far the warehouse was when the comparison began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub through: Option<VerifiedThrough>,
    /// Rows that the source has, as they were counted range by range.
    pub rows: u64,
    /// Ranges of keys that were compared.
    pub ranges: u64,
    /// Rows of the source that were looked at one by one, by their digests.
    pub rows_one_by_one: u64,
    /// Rows that changed whenever they were looked at.
    pub in_flight: u64,
    /// Rows whose difference is what a policy does to their values.
    pub explained: u64,
    /// Statements that read the table on the source.
    pub statements: u64,
    /// The longest of them, milliseconds.
    pub longest_statement_ms: u64,
    /// Time it took, milliseconds.
    pub elapsed_ms: u64,
    /// What was left out of the comparison.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl VerifiedTable {
    /// The result of a table of which nothing was counted yet.
    pub fn new(origin: &Origin, target: &Target, outcome: TableOutcome) -> Self {
        Self {
            origin: origin.to_string(),
            target: target.to_string(),
            outcome,
            through: None,
            rows: 0,
            ranges: 0,
            rows_one_by_one: 0,
            in_flight: 0,
            explained: 0,
            statements: 0,
            longest_statement_ms: 0,
            elapsed_ms: 0,
            notes: Vec::new(),
        }
    }
}

/// What a comparison came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum TableOutcome {
    /// Every row is in the warehouse as it is in the source, and no other.
    Equal,
    /// Some are not.
    Differs {
        /// The rows, as far as they were looked for.
        differences: Vec<Difference>,
        /// Ranges that differ and were not searched for their rows, because enough had been found.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        open: Vec<OpenRange>,
    },
    /// It could not be told.
    NotCompared {
        /// Why, and what the operator does about it.
        reason: String,
    },
}

/// One row that differs. It names key and columns, never their values beside the key's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What is wrong with the row.
    pub kind: DifferenceKind,
    /// The key's columns and values.
    pub key: Vec<(String, String)>,
    /// Columns that differ; empty for a row that is on one side only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Range of keys in which it was found.
    pub range: String,
    /// The key in canonical form, for a repair.
    #[serde(skip)]
    pub tokens: Vec<String>,
}

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// The source has it, the warehouse does not.
    Missing,
    /// The warehouse has it, the source does not.
    Extra,
    /// Both have it, with different values.
    Changed,
}

impl DifferenceKind {
    /// As people and metrics read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Changed => "changed",
        }
    }
}

/// A range of keys that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenRange {
    /// The range, for people.
    pub range: String,
    /// Rows of the source in it.
    pub source_rows: u64,
    /// Rows of the warehouse in it.
    pub warehouse_rows: u64,
}

/// Up to where a source table is known to be in the warehouse as it was on the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedThrough {
    /// Position of the source, in its own terms.
    pub position: String,
    /// Latest commit time on the source that is covered, UTC microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed_at: Option<i64>,
    /// Entry of the shard's log that the position belongs to.
    pub entry: u64,
    /// When the comparison ended, UTC microseconds.
    pub verified_at: i64,
}

impl Verification {
    /// Whether every table was compared and is equal.
    pub fn is_equal(&self) -> bool {
        self.tables.iter().all(|t| t.outcome == TableOutcome::Equal)
    }

    /// Whether a table differs.
    pub fn differs(&self) -> bool {
        self.tables.iter().any(|t| matches!(t.outcome, TableOutcome::Differs { .. }))
    }
}
