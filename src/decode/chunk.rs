//! Rows of one table under construction, and finished.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};

use super::column::ColumnBuilder;
use crate::model::{Op, TableSchema};

/// What was lost when a value was taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Note {
    /// `0000-00-00` became NULL.
    ZeroDate,
    /// A date with a part that is zero or not in its month became NULL.
    PartialDate,
    /// Bytes outside the character set became U+FFFD or `?`.
    InvalidText,
    /// A TINYINT(1) other than 0 and 1 became `true`.
    WideBoolean,
    /// Text that was too long was cut, in a column of its own or inside of a JSON document.
    CutText,
    /// A value that was too long became NULL.
    LongValue,
}

impl Note {
    /// All notes, in the order of [`ValueNotes`]' counters.
    pub const ALL: [Self; 6] =
        [Self::ZeroDate, Self::PartialDate, Self::InvalidText, Self::WideBoolean, Self::CutText, Self::LongValue];

    /// A label for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ZeroDate => "zero_date",
            Self::PartialDate => "partial_date",
            Self::InvalidText => "invalid_text",
            Self::WideBoolean => "wide_boolean",
            Self::CutText => "cut_text",
            Self::LongValue => "long_value",
        }
    }
}

/// How many values of each column lost something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValueNotes {
    counts: Vec<[u64; Note::ALL.len()]>,
}

impl ValueNotes {
    fn add(&mut self, column: usize, note: Note, count: u64) {
        if count == 0 {
            return;
        }
        if self.counts.len() <= column {
            self.counts.resize(column + 1, [0; Note::ALL.len()]);
        }
        if let Some(counter) = self.counts.get_mut(column).and_then(|c| c.get_mut(note as usize)) {
            *counter += count;
        }
    }

    /// Adds the counts of other rows of the same columns.
    pub fn merge(&mut self, other: &Self) {
        for (column, note, count) in other.iter() {
            self.add(column, note, count);
        }
    }

    /// Whether nothing was lost.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Values of the column with this index that lost something in this way.
    pub fn count(&self, column: usize, note: Note) -> u64 {
        self.counts.get(column).and_then(|c| c.get(note as usize)).copied().unwrap_or(0)
    }

    /// Every counter that is not zero: column index, note, values.
    pub fn iter(&self) -> impl Iterator<Item = (usize, Note, u64)> + '_ {
        self.counts
            .iter()
            .enumerate()
            .flat_map(|(column, counts)| {
                Note::ALL.into_iter().zip(counts).map(move |(note, count)| (column, note, *count))
            })
            .filter(|(_, _, count)| *count > 0)
    }
}

/// Rows of one table in columns.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Schema of the rows.
    pub schema: Arc<TableSchema>,
    /// The table's columns in the schema's order, of the types that [`ColumnType::arrow`](crate::model::ColumnType::arrow) names.
    pub columns: Vec<ArrayRef>,
    /// `_tw_seq` of every row.
    pub seq: Vec<i64>,
    /// `_tw_op` of every row.
    pub op: Vec<Op>,
    /// `_tw_committed_at` of every row, UTC microseconds.
    pub committed_at: Vec<i64>,
    /// What was lost.
    pub notes: ValueNotes,
}

impl Chunk {
    /// Rows.
    pub fn rows(&self) -> usize {
        self.seq.len()
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        let columns: usize = self.columns.iter().map(|c| c.get_array_memory_size()).sum();
        columns + system_bytes(&self.seq, &self.op, &self.committed_at)
    }
}

/// Rows of one table under construction.
#[derive(Debug)]
pub struct ChunkBuilder {
    schema: Arc<TableSchema>,
    pub(super) columns: Vec<ColumnBuilder>,
    seq: Vec<i64>,
    op: Vec<Op>,
    committed_at: Vec<i64>,
    notes: ValueNotes,
    /// Notes of the row under construction; they count when it is complete.
    pending: Vec<(usize, Note)>,
}

impl ChunkBuilder {
    /// An empty chunk for rows of `schema`.
    pub fn new(schema: &Arc<TableSchema>) -> Self {
        Self {
            schema: Arc::clone(schema),
            columns: schema.columns.iter().map(|c| ColumnBuilder::new(c.ty)).collect(),
            seq: Vec::new(),
            op: Vec::new(),
            committed_at: Vec::new(),
            notes: ValueNotes::default(),
            pending: Vec::new(),
        }
    }

    /// Schema of the rows.
    pub fn schema(&self) -> &Arc<TableSchema> {
        &self.schema
    }

    /// Complete rows.
    pub fn rows(&self) -> usize {
        self.seq.len()
    }

    /// Memory held, used or not, in bytes.
    pub fn bytes(&self) -> usize {
        let columns: usize = self.columns.iter().map(ColumnBuilder::bytes).sum();
        columns + system_bytes(&self.seq, &self.op, &self.committed_at)
    }

    /// The rows so far; the builder is empty afterwards and holds no memory.
    pub fn finish(&mut self) -> Chunk {
        self.take(false)
    }

    /// As [`finish`](Self::finish), with room for another chunk of this size.
    pub fn finish_for_more(&mut self) -> Chunk {
        self.take(true)
    }

    fn take(&mut self, more: bool) -> Chunk {
        let room = if more { self.rows() } else { 0 };
        self.truncate(self.rows());
        let mut notes = std::mem::take(&mut self.notes);
        let mut columns = Vec::with_capacity(self.columns.len());
        for (index, column) in self.columns.iter_mut().enumerate() {
            let (array, replaced) = column.finish(more);
            notes.add(index, Note::InvalidText, replaced);
            columns.push(array);
        }
        Chunk {
            schema: Arc::clone(&self.schema),
            columns,
            seq: std::mem::replace(&mut self.seq, Vec::with_capacity(room)),
            op: std::mem::replace(&mut self.op, Vec::with_capacity(room)),
            committed_at: std::mem::replace(&mut self.committed_at, Vec::with_capacity(room)),
            notes,
        }
    }

    /// Notes a loss in the row under construction.
    #[cold]
    pub(super) fn note(&mut self, column: usize, note: Note) {
        self.pending.push((column, note));
    }

    /// Completes the row under construction; every column has its value.
    #[inline]
    pub(super) fn end_row(&mut self, seq: i64, op: Op, committed_at: i64) {
        self.seq.push(seq);
        self.op.push(op);
        self.committed_at.push(committed_at);
        if !self.pending.is_empty() {
            for (column, note) in std::mem::take(&mut self.pending) {
                self.notes.add(column, note, 1);
            }
        }
    }

    /// Drops the row under construction.
    #[cold]
    pub(super) fn abandon_row(&mut self) {
        let rows = self.rows();
        self.truncate(rows);
    }

    /// Where the chunk stands, for [`rewind`](Self::rewind).
    #[cold]
    pub(super) fn mark(&self) -> (usize, ValueNotes) {
        (self.rows(), self.notes.clone())
    }

    /// Drops rows and notes behind the mark, with the row under construction.
    #[cold]
    pub(super) fn rewind(&mut self, (rows, notes): (usize, ValueNotes)) {
        self.seq.truncate(rows);
        self.op.truncate(rows);
        self.committed_at.truncate(rows);
        self.notes = notes;
        self.truncate(rows);
    }

    /// Forgets what lies behind the first `rows` rows, an incomplete row included.
    fn truncate(&mut self, rows: usize) {
        self.columns.iter_mut().for_each(|column| column.truncate(rows));
        self.pending.clear();
    }
}

fn system_bytes(seq: &Vec<i64>, op: &Vec<Op>, committed_at: &Vec<i64>) -> usize {
    seq.capacity() * 8 + op.capacity() + committed_at.capacity() * 8
}
