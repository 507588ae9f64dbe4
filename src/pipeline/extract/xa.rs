//! XA COMMIT: rows that waited in files get their numbers.

use std::sync::Arc;

use arrow::{
    array::{AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray},
    datatypes::Int64Type,
    error::ArrowError,
};

use super::{
    ExtractError,
    files::{FileMaker, FileOrder},
};
use crate::{
    lake::{ObjectPath, Schemas, StoreError, StoreErrorKind, parquet},
    model::{FileStep, Seq},
};

/// Places of `_tw_seq` and `_tw_committed_at` in a file, see [`TableSchema::arrow`](crate::model::TableSchema::arrow).
const SEQ: usize = 1;
const COMMITTED_AT: usize = 3;

/// Writes the file anew with numbers from `base` on and the time of the commit.
///
/// # Errors
/// When the file cannot be read, or the new one not stored.
pub(super) async fn renumber(
    files: &FileMaker,
    schemas: &Schemas,
    file: FileStep,
    base: Seq,
    committed_at: i64,
) -> Result<FileStep, ExtractError> {
    let missing = |problem: &str| {
        ExtractError::Store(StoreError {
            kind: StoreErrorKind::Refused,
            action: "read",
            url: file.path.clone(),
            problem: problem.to_owned(),
            mend: Some("restore it from a version or a copy of the lake".to_owned()),
            source: None,
        })
    };
    let path = ObjectPath::parse(&file.path).map_err(|_| missing("the log names it, but it is no path"))?;
    let content = files.store.get(&path).await?.ok_or_else(|| missing("an open XA transaction has rows in it"))?;
    let schema = schemas.load(&file.target, &file.schema).await?;
    let order = FileOrder {
        origin: file.origin.clone(),
        target: file.target.clone(),
        schema: Arc::clone(&schema),
        first_seq: Seq(base.0 + file.seqs.0.0),
        part: None,
        committed_at,
        net: file.net,
    };
    let mut rows = Vec::new();
    for batch in parquet::decode(content, &file, &schema)? {
        rows.push(shift(&batch?, base, committed_at).map_err(crate::batch::SealError::from)?);
    }
    files.rewrite(order, rows).await
}

fn shift(batch: &RecordBatch, base: Seq, committed_at: i64) -> Result<RecordBatch, ArrowError> {
    let mut columns = batch.columns().to_vec();
    let seqs = columns[SEQ].as_primitive::<Int64Type>();
    columns[SEQ] = Arc::new(Int64Array::from_iter_values(seqs.values().iter().map(|seq| base.0 + seq)));
    let times = TimestampMicrosecondArray::from_value(committed_at, batch.num_rows());
    columns[COMMITTED_AT] = Arc::new(times.with_timezone("UTC"));
    RecordBatch::try_new(batch.schema(), columns)
}
