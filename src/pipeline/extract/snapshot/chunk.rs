//! One chunk: a SELECT whose rows become files.

use std::sync::Arc;

use tokio::{runtime::Handle, task::JoinHandle};

use super::table::Job;
use crate::{
    batch::OpenBatch,
    decode::DecodeError,
    model::{FileStep, Op, Seq},
    pipeline::extract::{ExtractError, files::FileOrder},
    source::mysql::snapshot::{Range, RowCells, Session, SnapshotError},
};

/// A chunk could not be read.
#[derive(Debug)]
pub(in crate::pipeline::extract) enum ChunkFailure {
    /// The source.
    Source(SnapshotError),
    /// A value.
    Value(DecodeError),
    /// The lake, or a defect.
    Extract(ExtractError),
}

impl From<SnapshotError> for ChunkFailure {
    fn from(error: SnapshotError) -> Self {
        Self::Source(error)
    }
}

/// Rows of a chunk that are in the lake.
#[derive(Debug, Default)]
pub(in crate::pipeline::extract) struct ChunkRows {
    pub(in crate::pipeline::extract) files: Vec<FileStep>,
    pub(in crate::pipeline::extract) rows: u64,
}

/// Reads the range. The session is free then, while the last files are still being made: [`Writing::finish`] waits for them.
/// Cancel safe: what was begun becomes unlisted files.
pub(in crate::pipeline::extract) async fn read<'a>(
    job: &'a Job,
    session: &mut Session,
    range: &Range,
) -> Result<Writing<'a>, ChunkFailure> {
    let mut writing = Writing::begin(job, Op::Snapshot, job.seq, session.now().await?);
    let mut stream = session.rows(&job.shape, range).await?;
    while let Some(row) = stream.next().await? {
        writing.push(&row).await?;
    }
    writing.end().await;
    Ok(writing)
}

/// Rows on their way into files.
pub(in crate::pipeline::extract) struct Writing<'a> {
    job: &'a Job,
    op: Op,
    /// Number of every row.
    seq: Seq,
    committed_at: i64,
    /// A row of megabytes must not go unnoticed among small ones; ordinary ones are looked at by the batch itself.
    wide: bool,
    open: OpenBatch,
    making: Vec<JoinHandle<Result<FileStep, ExtractError>>>,
    rows: u64,
}

impl<'a> Writing<'a> {
    /// Nothing is written yet.
    pub(in crate::pipeline::extract) fn begin(job: &'a Job, op: Op, seq: Seq, committed_at: i64) -> Self {
        let (open, wide) = (OpenBatch::new(job.plan.schema()), job.shape.row_bytes > super::WIDE_ROW_BYTES);
        Self { job, op, seq, committed_at, wide, open, making: Vec::new(), rows: 0 }
    }

    /// Adds a row; waits where memory is short.
    pub(in crate::pipeline::extract) async fn push(&mut self, row: &RowCells) -> Result<(), ChunkFailure> {
        let (job, open) = (self.job, &mut self.open);
        job.plan
            .append_cells(row, open.builder(), self.op, self.seq, self.committed_at)
            .map_err(ChunkFailure::Value)?;
        open.settle(self.wide);
        self.rows += 1;
        let look = self.wide || self.rows.is_multiple_of(super::LOOK_ROWS);
        if look && (open.bytes() >= job.limits.batch_bytes || open.rows() >= job.limits.batch_rows) {
            self.file().await;
        } else if look && !open.reserve(&job.budget) {
            // Others wait for the same memory: what this chunk has goes first, then it waits holding nothing.
            self.file().await;
            job.budget.room().await;
        }
        Ok(())
    }

    /// Rows so far.
    pub(in crate::pipeline::extract) fn rows(&self) -> u64 {
        self.rows
    }

    /// Starts making the last file.
    async fn end(&mut self) {
        if !self.open.is_empty() {
            self.file().await;
        }
    }

    /// Waits until all rows are durable.
    pub(in crate::pipeline::extract) async fn finish(mut self) -> Result<ChunkRows, ChunkFailure> {
        self.end().await;
        let mut files = Vec::with_capacity(self.making.len());
        for file in self.making {
            let lost = |e: tokio::task::JoinError| ExtractError::Panicked {
                what: "making a file".into(),
                cause: e.to_string(),
            };
            files.push(file.await.map_err(lost).and_then(|made| made).map_err(ChunkFailure::Extract)?);
        }
        Ok(ChunkRows { files, rows: self.rows })
    }

    /// Starts making a file of the rows so far.
    async fn file(&mut self) {
        let job = self.job;
        let sealed = std::mem::replace(&mut self.open, OpenBatch::new(job.plan.schema())).seal();
        job.count_sealed(&sealed);
        let order = FileOrder {
            origin: job.origin.clone(),
            target: job.target.clone(),
            schema: Arc::clone(job.plan.schema()),
            first_seq: self.seq,
            part: Some(job.parts.next()),
            committed_at: self.committed_at,
            // A chunk has each key once.
            net: false,
        };
        let place = job.files.place().await;
        self.making.push(job.files.start(&Handle::current(), order, sealed, place));
    }
}
