//! The open batch of one table.

use std::sync::Arc;

use crate::{
    batch::{Budget, Hold, Sealed},
    decode::{Chunk, ChunkBuilder, ValueNotes},
    model::{OpCounts, TableSchema},
};

/// Rows per chunk. Small enough that a chunk's builders stay in the second-level cache while they fill, large enough
/// that per-chunk work vanishes.
const CHUNK_ROWS: usize = 8192;

/// Bytes per chunk: bounds what a few rows with huge values keep in a builder that is still growing by doubling.
const CHUNK_BYTES: usize = 8 << 20;

/// Rows between two looks at a chunk's bytes. Rows of ordinary events are below 64 KiB, so a chunk overshoots by 4 MiB at most.
const LOOK_ROWS: usize = 64;

/// What one open batch grows its share of the budget by.
const HOLD_STEP: usize = 1 << 20;

/// Why a batch was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealReason {
    /// It reached the limit of rows or bytes.
    Full,
    /// The memory budget was used up.
    Memory,
    /// Its entry is being cut: by age, at shutdown, or because a `--once` run reached its end.
    Cut,
    /// The table's schema changed or a DDL touched the table.
    Schema,
}

/// Rows of one origin with one schema, in `_tw_seq` order, still growing.
#[derive(Debug)]
pub struct OpenBatch {
    builder: ChunkBuilder,
    chunks: Vec<Chunk>,
    chunk_bytes: usize,
    rows: usize,
    schema: Arc<TableSchema>,
    hold: Hold,
}

impl OpenBatch {
    /// An empty batch of rows with `schema`.
    pub fn new(schema: &Arc<TableSchema>) -> Self {
        let builder = ChunkBuilder::new(schema);
        Self { builder, chunks: Vec::new(), chunk_bytes: 0, rows: 0, schema: Arc::clone(schema), hold: Hold::default() }
    }

    /// Schema of the rows.
    pub fn schema(&self) -> &Arc<TableSchema> {
        &self.schema
    }

    /// Where rows are decoded to. Call [`settle`](Self::settle) after each row.
    pub fn builder(&mut self) -> &mut ChunkBuilder {
        &mut self.builder
    }

    /// Freezes the growing chunk when it is full. Call it after each decoded row; `wide` says that rows may be so large that
    /// bytes have to be counted every time, which costs a look at every column.
    pub fn settle(&mut self, wide: bool) {
        let rows = self.builder.rows();
        let look = wide || rows.is_multiple_of(LOOK_ROWS);
        if rows >= CHUNK_ROWS || (look && self.builder.bytes() >= CHUNK_BYTES) {
            // Room for another chunk like this one counts as memory of the next: it must stay far from the limit itself.
            let more = rows >= CHUNK_ROWS && self.builder.bytes() <= CHUNK_BYTES / 2;
            let chunk = if more { self.builder.finish_for_more() } else { self.builder.finish() };
            self.keep(chunk);
        }
    }

    fn keep(&mut self, chunk: Chunk) {
        if chunk.rows() > 0 {
            self.rows += chunk.rows();
            self.chunk_bytes += chunk.bytes();
            self.chunks.push(chunk);
        }
    }

    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.rows + self.builder.rows()
    }

    /// Memory held, capacity and not only content.
    pub fn bytes(&self) -> usize {
        self.chunk_bytes + self.builder.bytes()
    }

    /// Whether no row came yet.
    pub fn is_empty(&self) -> bool {
        self.rows() == 0
    }

    /// Takes the share of `budget` that the batch's size needs; `false` when it is not there now.
    pub fn reserve(&mut self, budget: &Budget) -> bool {
        let bytes = self.bytes();
        bytes <= self.hold.bytes() || budget.try_grow(&mut self.hold, bytes.next_multiple_of(HOLD_STEP))
    }

    /// Ends the batch. The share of the budget goes along with the rows.
    pub fn seal(mut self) -> Sealed {
        let rest = self.builder.finish();
        self.keep(rest);
        let mut notes = ValueNotes::default();
        let mut ops = OpCounts::default();
        for chunk in &self.chunks {
            notes.merge(&chunk.notes);
            chunk.op.iter().for_each(|op| ops.count(*op));
        }
        Sealed::new(self.chunks, notes, ops, self.hold)
    }
}
