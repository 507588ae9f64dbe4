//! Decoding files, which are outside input: whatever the bytes are, the answer is rows or an error.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::ParquetError;
use crate::model::{FileStep, TableSchema};

/// Rows per batch: what is held decoded at a time.
const BATCH_ROWS: usize = 8192;

/// The rows of a file, batch by batch. After an error it ends.
#[derive(Debug)]
pub struct Rows {
    reader: Option<ParquetRecordBatchReader>,
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
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true).with_schema(schema.arrow());
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(content, options)
            .map_err(|e| damaged(file, format!("it is no Parquet file with the columns of its schema: {e}")))?;
        let rows = builder.metadata().file_metadata().num_rows();
        if u64::try_from(rows) != Ok(file.rows) {
            return Err(damaged(file, format!("it has {rows} rows, the log says {}", file.rows)));
        }
        builder.with_batch_size(BATCH_ROWS).build().map_err(|e| damaged(file, e.to_string()))
    })?;
    Ok(Rows { reader: Some(reader), file: file.clone(), rows: 0 })
}

impl Iterator for Rows {
    type Item = Result<RecordBatch, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = self.reader.as_mut()?;
        let file = &self.file;
        let next = contained(file, || reader.next().transpose().map_err(|e| damaged(file, e.to_string())));
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
