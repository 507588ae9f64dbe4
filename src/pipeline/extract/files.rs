//! From sealed rows to an object in the lake: encode on the CPU pool, upload, describe.

use std::sync::Arc;

use arrow::array::RecordBatch;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinHandle, spawn_blocking},
};
use tracing::Instrument as _;

use super::ExtractError;
use crate::{
    batch::{Budget, Sealed},
    lake::{
        Created, DataName, Partition, Store, WriterMark,
        parquet::{self, Encoded, Form},
        paths,
    },
    metrics::{Metrics, ValuePolicy},
    model::{FileStep, Origin, Seq, Shard, TableSchema, Target},
    spans,
};

/// The process' encoders. Encoding is its heaviest CPU work and gains nothing from more threads than cores.
#[derive(Clone, Debug)]
pub struct Encoders {
    /// One permit per core.
    cpu: Arc<Semaphore>,
    /// Sealed batches that wait or are being encoded: one more than cores, so that an encoder never waits for work and the
    /// decode threads never run far ahead of it.
    places: Arc<Semaphore>,
}

impl Encoders {
    /// Encoders for a machine with `cores`.
    pub fn new(cores: usize) -> Self {
        let cores = cores.max(1);
        Self { cpu: Arc::new(Semaphore::new(cores)), places: Arc::new(Semaphore::new(cores + 1)) }
    }
}

/// Makes the files of one shard.
#[derive(Clone, Debug)]
pub(super) struct FileMaker {
    /// Where files go.
    pub(super) store: Arc<dyn Store>,
    pub(super) encoders: Encoders,
    /// Gets back the share of rows when they have become bytes, and of bytes when they are stored.
    pub(super) budget: Budget,
    pub(super) shard: Shard,
    /// Number of the session, part of every file name: a name that exists is never another session's.
    pub(super) session: u32,
    /// This writer, part of every file name.
    pub(super) mark: WriterMark,
    pub(super) form: Form,
    /// Where changed values are counted.
    pub(super) metrics: Arc<Metrics>,
}

/// What a file will be.
#[derive(Clone, Debug)]
pub(super) struct FileOrder {
    pub(super) origin: Origin,
    pub(super) target: Target,
    pub(super) schema: Arc<TableSchema>,
    /// First number in the file, for its name.
    pub(super) first_seq: Seq,
    /// Tells apart files that begin with the same number; the session's number where there are none.
    pub(super) part: Option<u32>,
    /// A moment of the day of source commit, UTC microseconds.
    pub(super) committed_at: i64,
    /// Keep only the last change per key.
    pub(super) net: bool,
}

impl FileMaker {
    /// Waits for a place in the encoders' queue.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.encoders.places).acquire_owned().await.ok()
    }

    /// Starts making the file; the handle ends when the object is durable.
    pub(super) fn start(
        &self,
        runtime: &Handle,
        order: FileOrder,
        mut sealed: Sealed,
        place: Option<OwnedSemaphorePermit>,
    ) -> JoinHandle<Result<FileStep, ExtractError>> {
        let maker = self.clone();
        let span = spans::file(&order.origin, order.first_seq);
        let work = async move {
            let mut hold = std::mem::take(&mut sealed.hold);
            let (schema, origin, net) = (Arc::clone(&order.schema), order.origin.clone(), order.net);
            let encoded = maker
                .encode(&order, move |form| {
                    let mut failed = None;
                    let batches = sealed.into_batches(&schema, &origin, net)?;
                    let rows = batches.map_while(|b| b.map_err(|e| failed = Some(e)).ok());
                    let encoded = parquet::encode(&origin, &schema, form, rows);
                    failed.map_or(Ok(()), |e| Err(crate::batch::SealError::from(e)))?;
                    Ok(encoded?)
                })
                .await?;
            drop(place);
            maker.budget.shrink(&mut hold, encoded.content.len());
            let step = maker.store(&order, encoded).await?;
            drop(hold);
            Ok(step)
        };
        runtime.spawn(work.instrument(span))
    }

    /// Makes a file of rows that are in lake layout already.
    pub(super) async fn rewrite(&self, order: FileOrder, rows: Vec<RecordBatch>) -> Result<FileStep, ExtractError> {
        let (schema, origin) = (Arc::clone(&order.schema), order.origin.clone());
        let encoded = self.encode(&order, move |form| Ok(parquet::encode(&origin, &schema, form, rows)?)).await?;
        self.store(&order, encoded).await
    }

    async fn encode(
        &self,
        order: &FileOrder,
        work: impl FnOnce(Form) -> Result<Encoded, ExtractError> + Send + 'static,
    ) -> Result<Encoded, ExtractError> {
        let _core = Arc::clone(&self.encoders.cpu).acquire_owned().await;
        let form = self.form;
        let lost = |e: tokio::task::JoinError| ExtractError::Panicked {
            what: format!("encoding rows of {}", order.origin),
            cause: e.to_string(),
        };
        spawn_blocking(move || work(form)).await.map_err(lost)?
    }

    async fn store(&self, order: &FileOrder, encoded: Encoded) -> Result<FileStep, ExtractError> {
        for (column, count) in order.schema.columns.iter().zip(&encoded.replaced_zero_bytes).filter(|(_, n)| **n > 0) {
            self.metrics.values(&order.target, &column.name, ValuePolicy::Replaced, *count);
        }
        let name = DataName::new(&self.shard, order.first_seq, order.part.unwrap_or(self.session), self.mark.clone());
        let path = paths::data(&order.target, &Partition::day(order.committed_at), &name);
        let step = encoded.step(&order.origin, &order.target, &path, &order.schema, order.net, None);
        match self.store.create(&path, encoded.content).await? {
            // The name is this session's alone, and no two of its files begin with the same number: what exists is an earlier
            // attempt whose answer was lost.
            Created::New | Created::Exists => Ok(step),
        }
    }
}
