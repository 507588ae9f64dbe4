//! A sealed batch: rows that become one file.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    buffer::{Buffer, OffsetBuffer, ScalarBuffer},
    compute::filter_record_batch,
    error::ArrowError,
};

use super::{Hold, net};
use crate::{
    decode::{Chunk, ValueNotes},
    model::{OpCounts, Origin, Seq, TableSchema},
};

/// Arrow refused to assemble or filter rows. Always a defect of Tailwater, never of the data.
#[derive(Debug, thiserror::Error)]
#[error("cannot assemble the rows of a batch")]
pub struct SealError(#[from] ArrowError);

/// The rows of one file-to-be. Made on the decode thread, turned into record batches on the encoding pool.
#[derive(Debug)]
pub struct Sealed {
    chunks: Vec<Chunk>,
    /// Values that a policy changed.
    pub notes: ValueNotes,
    /// Decoded changes by operation, before superfluous ones are dropped.
    pub decoded: OpCounts,
    /// Share of the memory budget that the rows hold.
    pub hold: Hold,
}

impl Sealed {
    pub(super) fn new(chunks: Vec<Chunk>, notes: ValueNotes, decoded: OpCounts, hold: Hold) -> Self {
        Self { chunks, notes, decoded, hold }
    }

    /// Number of the first row.
    pub fn first_seq(&self) -> Seq {
        Seq(self.chunks.first().and_then(|c| c.seq.first().copied()).unwrap_or_default())
    }

    /// Number of rows before superfluous ones are dropped.
    pub fn rows(&self) -> usize {
        self.chunks.iter().map(Chunk::rows).sum()
    }

    /// The rows in lake layout ([`TableSchema::arrow`]), chunk by chunk, each chunk freed when the next is asked for.
    ///
    /// With `net`, only the last change per key remains. A table without a key keeps everything.
    ///
    /// # Errors
    /// [`SealError`] when Arrow refuses, at once or for a chunk.
    pub fn into_batches(
        self,
        schema: &TableSchema,
        origin: &Origin,
        net: bool,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, ArrowError>> + use<>, SealError> {
        let key: Vec<usize> = {
            let mut key: Vec<_> = schema.columns.iter().enumerate().filter_map(|(i, c)| Some((c.key?, i))).collect();
            key.sort_unstable();
            key.into_iter().map(|(_, i)| i).collect()
        };
        let masks = if net && !key.is_empty() {
            let keys: Vec<Vec<ArrayRef>> =
                self.chunks.iter().map(|c| key.iter().map(|&i| Arc::clone(&c.columns[i])).collect()).collect();
            net::survivors(&keys)?
        } else {
            vec![None; self.chunks.len()]
        };
        let arrow = schema.arrow();
        let origin = origin.to_string();
        Ok(self.chunks.into_iter().zip(masks).map(move |(chunk, mask)| lake_batch(chunk, mask, &arrow, &origin)))
    }
}

fn lake_batch(
    chunk: Chunk,
    mask: Option<BooleanArray>,
    arrow: &Arc<arrow::datatypes::Schema>,
    origin: &str,
) -> Result<RecordBatch, ArrowError> {
    let rows = chunk.rows();
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(chunk.columns.len() + 4);
    columns.push(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(origin, rows))));
    columns.push(Arc::new(Int64Array::new(ScalarBuffer::from(chunk.seq), None)));
    // One letter a row: the letters are the value buffer as they stand.
    let letters: Vec<u8> = chunk.op.iter().map(|op| *op as u8).collect();
    columns.push(Arc::new(StringArray::try_new(
        OffsetBuffer::from_lengths(std::iter::repeat_n(1, rows)),
        Buffer::from_vec(letters),
        None,
    )?));
    let committed = TimestampMicrosecondArray::new(ScalarBuffer::from(chunk.committed_at), None).with_timezone("UTC");
    columns.push(Arc::new(committed));
    columns.extend(chunk.columns);
    let batch = RecordBatch::try_new(Arc::clone(arrow), columns)?;
    match mask {
        Some(mask) if mask.true_count() < mask.len() => filter_record_batch(&batch, &mask),
        _ => Ok(batch),
    }
}
