//! Decoding files, which are outside input: whatever the bytes are, the answer is rows or an error.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use arrow::{array::RecordBatch, datatypes::Schema};
use bytes::Bytes;
use parquet::{
    arrow::arrow_reader::{
        ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
    },
    basic::ConvertedType,
};

use super::{ParquetError, copy};
use crate::model::{FileStep, TableSchema};

/// Rows per batch: what is held decoded at a time.
const BATCH_ROWS: usize = 8192;

/// The rows of a file, batch by batch. After an error it ends.
#[derive(Debug)]
pub struct Rows {
    reader: Option<ParquetRecordBatchReader>,
    /// Layout of the batches.
    arrow: Arc<Schema>,
    file: FileStep,
    rows: u64,
}

/// Opens a file whose bytes are `content`, after proving that it is what `file` says: size, rows and columns.
///
/// # Errors
/// [`ParquetError::Damaged`] when it is not.
pub fn decode(content: Bytes, file: &FileStep, schema: &TableSchema) -> Result<Rows, ParquetError> {
    if content.len() as u64 != file.bytes {
        return Err(damaged(file, format!("it has {} bytes, the log says {}", content.len(), file.bytes)));
    }
    let reader = contained(file, || {
        let misfit = |e: parquet::errors::ParquetError| {
            damaged(file, format!("it is no Parquet file with the columns of its schema: {e}"))
        };
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let found = ArrowReaderMetadata::load(&content, options.clone()).map_err(misfit)?;
        // Bytes that are to be text are read as bytes and checked afterwards: the decoder checks only what is annotated.
        let plain: Vec<&str> = found
            .parquet_schema()
            .columns()
            .iter()
            .filter(|c| c.converted_type() == ConvertedType::NONE)
            .map(|c| c.name())
            .collect();
        let stored = copy::bytes_for_json(schema, |name| plain.contains(&name));
        let metadata =
            ArrowReaderMetadata::try_new(Arc::clone(found.metadata()), options.with_schema(stored)).map_err(misfit)?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(content, metadata);
        let rows = builder.metadata().file_metadata().num_rows();
        if u64::try_from(rows) != Ok(file.rows) {
            return Err(damaged(file, format!("it has {rows} rows, the log says {}", file.rows)));
        }
        builder.with_batch_size(BATCH_ROWS).build().map_err(|e| damaged(file, e.to_string()))
    })?;
    Ok(Rows { reader: Some(reader), arrow: schema.arrow(), file: file.clone(), rows: 0 })
}

impl Iterator for Rows {
    type Item = Result<RecordBatch, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = self.reader.as_mut()?;
        let file = &self.file;
        let next = contained(file, || {
            let batch = reader.next().transpose().map_err(|e| damaged(file, e.to_string()))?;
            let batch = batch.map(|b| copy::from_stored(b, &self.arrow)).transpose();
            batch.map_err(|e| damaged(file, e.to_string()))
        });
        match next {
            Ok(Some(batch)) => {
                self.rows += batch.num_rows() as u64;
                Some(Ok(batch))
            }
            Ok(None) => {
                self.reader = None;
                let problem = || format!("it ends after {} rows, the log says {}", self.rows, file.rows);
                (self.rows != file.rows).then(|| Err(damaged(file, problem())))
            }
            Err(error) => {
                self.reader = None;
                Some(Err(error))
            }
        }
    }
}

/// The decoder means to answer damaged input with errors, but it is large and not ours: a panic in it becomes one too.
fn contained<T>(file: &FileStep, work: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(damaged(file, "the Parquet decoder gave up".into())))
}

fn damaged(file: &FileStep, problem: String) -> ParquetError {
    ParquetError::Damaged { path: file.path.clone(), origin: file.origin.clone(), problem }
}
