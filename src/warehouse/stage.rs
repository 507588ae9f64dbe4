//! What is to be staged: files as the lake names them, and how their rows are read.

use std::{fmt, sync::Arc};

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::model::{ColumnType, Floor, TableSchema, Target};

use super::{
    error::{Cause, WarehouseError},
    plan::{Layout, join_types},
};

/// A file of the lake whose rows belong to a tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedFile {
    /// Path below the pipeline's root.
    pub path: String,
    /// Rows that the entry names.
    pub rows: u64,
    /// Size of the object (Redshift's manifest needs it).
    pub bytes: u64,
    /// Schema of its rows.
    pub schema: Arc<TableSchema>,
}

/// What a tick stages for one target.
#[derive(Clone, Debug)]
pub struct TableFiles {
    /// The table, made known by [`ensure_table`](super::Warehouse::ensure_table).
    pub target: Target,
    /// Its files, at least one.
    pub files: Vec<StagedFile>,
    /// The floors that the tick's merge is going to name for the table. A warehouse may apply them to staged rows at once.
    pub floors: Vec<Floor>,
}

/// The rows of one file, in batches of bounded size, with the columns of [`TableSchema::arrow`].
pub type BatchStream = BoxStream<'static, Result<RecordBatch, ReadError>>;

/// Where rows come from, for warehouses that do not read the lake themselves.
#[async_trait]
pub trait ReadFiles: Send + Sync {
    /// Opens a file.
    async fn open(&self, file: &StagedFile) -> Result<BatchStream, ReadError>;
}

/// A file could not be read.
#[derive(Debug, thiserror::Error)]
#[error("could not read {path}")]
pub struct ReadError {
    /// Path below the pipeline's root.
    pub path: String,
    /// Whether it is worth repeating; a damaged or missing file is not.
    pub transient: bool,
    /// Why.
    #[source]
    pub source: Cause,
}

impl ReadError {
    /// A damaged file parks its table; anything else is tried again.
    pub(crate) fn of_table(self, target: &Target) -> WarehouseError {
        if self.transient {
            return WarehouseError::Transient { what: format!("stage rows of {target}"), source: self.into() };
        }
        WarehouseError::table(target, format!("{self}: {}", self.source))
    }
}

/// What was staged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageReport {
    /// Rows loaded: exactly those the files are said to have.
    pub rows: u64,
    /// Texts in which U+0000 was replaced by U+FFFD because the warehouse cannot hold it.
    pub replaced_zero_bytes: u64,
}

/// What became of one table's files: an error is always a [`Table`](WarehouseError::Table) error.
pub type StageOutcome = Result<StageReport, WarehouseError>;

/// Sets a table's own error apart from those that concern all.
pub(crate) fn outcome(result: Result<StageReport, WarehouseError>) -> Result<StageOutcome, WarehouseError> {
    match result {
        Ok(report) => Ok(Ok(report)),
        Err(error @ WarehouseError::Table { .. }) => Ok(Err(error)),
        Err(error) => Err(error),
    }
}

/// Rows that lie in staging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StagedRows {
    /// Attempt that staged them.
    pub(crate) tick: super::TickId,
    pub(crate) rows: u64,
    /// Distinct column lists of the files; rows carry the index in `_tw_columns`.
    pub(crate) column_lists: Vec<Vec<String>>,
}

/// How one column of a file gets into staging.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cast {
    /// Type in the file.
    pub(crate) from: ColumnType,
    /// Type in the target, at least as wide.
    pub(crate) to: ColumnType,
    /// Key columns take no NULL and no replaced text.
    pub(crate) key: bool,
}

/// Columns of a file beside those of the target; refuses what the target does not know.
pub(crate) fn casts(layout: &Layout, file: &StagedFile) -> Result<Vec<(String, Cast)>, WarehouseError> {
    let mut casts = Vec::with_capacity(file.schema.columns.len());
    for column in &file.schema.columns {
        let refuse = |reason: String| WarehouseError::table(&layout.target, reason);
        let known = layout
            .column(&column.name)
            .ok_or_else(|| refuse(format!("{} has a column {} that the target lacks", file.path, column.name)))?;
        let to = known.column.ty;
        if join_types(column.ty, to) != Some(to) {
            return Err(refuse(format!(
                "column {} is {:?} in {} and {to:?} in the target; rebuild the table",
                column.name, column.ty, file.path
            )));
        }
        casts.push((column.name.clone(), Cast { from: column.ty, to, key: layout.is_key(&column.name) }));
    }
    if let Some(key) = layout.key.iter().find(|k| !casts.iter().any(|(name, _)| name == *k)) {
        return Err(WarehouseError::table(&layout.target, format!("{} lacks key column {key}", file.path)));
    }
    Ok(casts)
}

/// Collects the distinct column lists of a tick's files.
#[derive(Debug, Default)]
pub(crate) struct ColumnLists(pub(crate) Vec<Vec<String>>);

impl ColumnLists {
    /// Index of the list of these columns. Order does not matter: inserts name their columns.
    pub(crate) fn index(&mut self, casts: &[(String, Cast)]) -> usize {
        let mut names: Vec<String> = casts.iter().map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        self.0.iter().position(|l| *l == names).unwrap_or_else(|| {
            self.0.push(names);
            self.0.len() - 1
        })
    }
}

impl fmt::Debug for dyn ReadFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadFiles")
    }
}
