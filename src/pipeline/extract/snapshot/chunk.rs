//! One chunk: a SELECT whose rows become files.

use std::sync::Arc;

use tokio::{runtime::Handle, task::JoinHandle};

use super::table::Job;
use crate::{
    batch::OpenBatch,
    decode::DecodeError,
    model::FileStep,
    pipeline::extract::{ExtractError, files::FileOrder},
    source::mysql::snapshot::{Range, Session, SnapshotError},
};

/// A chunk could not be read.
#[derive(Debug)]
pub(super) enum ChunkFailure {
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
pub(super) struct ChunkRows {
    pub(super) files: Vec<FileStep>,
    pub(super) rows: u64,
}

/// Reads the range and waits until its files are durable. Cancel safe: what was begun becomes unlisted files.
pub(super) async fn read(job: &Job, session: &mut Session, range: &Range) -> Result<ChunkRows, ChunkFailure> {
    let committed_at = session.now().await?;
    let mut making: Vec<JoinHandle<Result<FileStep, ExtractError>>> = Vec::new();
    let mut open = OpenBatch::new(job.plan.schema());
    let mut rows = 0;
    // A row of megabytes must not go unnoticed among small ones; ordinary ones are looked at by the batch itself.
    let wide = job.shape.row_bytes > super::WIDE_ROW_BYTES;
    let mut stream = session.rows(&job.shape, range).await?;
    while let Some(row) = stream.next().await? {
        job.plan.append_cells(&row, open.builder(), job.seq, committed_at).map_err(ChunkFailure::Value)?;
        open.settle(wide);
        rows += 1;
        let look = wide || rows % super::LOOK_ROWS == 0;
        if look && (open.bytes() >= job.limits.batch_bytes || open.rows() >= job.limits.batch_rows) {
            making.push(file(job, std::mem::replace(&mut open, OpenBatch::new(job.plan.schema())), committed_at).await);
        } else if look && !open.reserve(&job.budget) {
            // Others wait for the same memory: what this chunk has goes first, then it waits holding nothing.
            making.push(file(job, std::mem::replace(&mut open, OpenBatch::new(job.plan.schema())), committed_at).await);
            job.budget.room().await;
        }
    }
    if !open.is_empty() {
        making.push(file(job, open, committed_at).await);
    }
    let mut files = Vec::with_capacity(making.len());
    for file in making {
        let lost =
            |e: tokio::task::JoinError| ExtractError::Panicked { what: "making a file".into(), cause: e.to_string() };
        files.push(file.await.map_err(lost).and_then(|made| made).map_err(ChunkFailure::Extract)?);
    }
    Ok(ChunkRows { files, rows })
}

/// Starts making a file of the rows.
async fn file(job: &Job, open: OpenBatch, committed_at: i64) -> JoinHandle<Result<FileStep, ExtractError>> {
    let sealed = open.seal();
    job.count_sealed(&sealed);
    let order = FileOrder {
        origin: job.origin.clone(),
        target: job.target.clone(),
        schema: Arc::clone(job.plan.schema()),
        first_seq: job.seq,
        part: Some(job.parts.next()),
        committed_at,
        // A chunk has each key once.
        net: false,
    };
    let place = job.files.place().await;
    job.files.start(&Handle::current(), order, sealed, place)
}
