//! The open batch of one table.

use std::{sync::Arc, time::Instant};

use crate::{
    batch::{Budget, Hold, Sealed},
    decode::{Chunk, ChunkBuilder, ValueNotes},
    model::{OpCounts, TableSchema},
};

/// Rows per chunk. Small enough that a chunk's builders stay in the second-level cache while they fill, large enough
/// that per-chunk work vanishes.
const CHUNK_ROWS: usize = 8192;

/// Bytes per chunk: bounds what a few rows with huge values keep in a builder that is still growing by doubling.
const CHUNK_BYTES: usize = 4 << 20;

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
    hold: Hold,
    /// When the first row came.
    pub since: Instant,
}

impl OpenBatch {
    /// An empty batch of rows with `schema`.
    pub fn new(schema: &Arc<TableSchema>, now: Instant) -> Self {
        Self { builder: ChunkBuilder::new(schema), chunks: Vec::new(), chunk_bytes: 0, rows: 0, hold: Hold::default(), since: now }
    }

    /// Where rows are decoded to. Call [`settle`](Self::settle) after each row.
    pub fn builder(&mut self) -> &mut ChunkBuilder {
        &mut self.builder
    }

    /// Freezes the growing chunk when it is full. Cheap; call it after each decoded row.
    pub fn settle(&mut self) {
        if self.builder.rows() >= CHUNK_ROWS || self.builder.bytes() >= CHUNK_BYTES {
            self.freeze();
        }
    }

    fn freeze(&mut self) {
        if self.builder.rows() > 0 {
            let chunk = self.builder.finish();
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

    /// As [`reserve`](Self::reserve), waiting for the share. Cancel safe.
    pub async fn reserve_waiting(&mut self, budget: &Budget) {
        let bytes = self.bytes().next_multiple_of(HOLD_STEP);
        budget.grow(&mut self.hold, bytes).await;
    }

    /// Ends the batch. The share of the budget goes along with the rows.
    pub fn seal(mut self, net: bool) -> Sealed {
        self.freeze();
        let mut notes = ValueNotes::default();
        let mut ops = OpCounts::default();
        for chunk in &mut self.chunks {
            notes.merge(&std::mem::take(&mut chunk.notes));
            chunk.op.iter().for_each(|op| ops.count(*op));
        }
        Sealed::new(self.chunks, net, notes, ops, self.hold)
    }
}
