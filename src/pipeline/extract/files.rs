//! From sealed rows to an object in the lake: encode on the CPU pool, upload, describe.

use std::sync::Arc;

use tokio::{
    sync::Semaphore,
    task::{JoinHandle, spawn_blocking},
};

use super::ExtractError;
use crate::{
    batch::{Budget, Sealed},
    lake::{Codec, Created, Store, StoreError, paths},
    metrics::Metrics,
    model::{FileStep, Origin, Seq, Shard, TableSchema, Target},
};

/// Makes the files of one shard.
#[derive(Clone, Debug)]
pub(super) struct FileMaker {
    /// Where files go.
    pub(super) store: Arc<dyn Store>,
    /// One permit per core: encoding is the process' heaviest CPU work and gains nothing from more threads.
    pub(super) cpu: Arc<Semaphore>,
    /// Gets back the share of rows when they have become bytes, and of bytes when they are stored.
    pub(super) budget: Budget,
    pub(super) shard: Shard,
    /// Nonce of this writer, part of every file name.
    pub(super) nonce: String,
    pub(super) codec: Codec,
    pub(super) metrics: Arc<Metrics>,
}

/// What a file will be.
#[derive(Debug)]
pub(super) struct FileOrder {
    pub(super) origin: Origin,
    pub(super) target: Target,
    pub(super) schema: Arc<TableSchema>,
    /// First number in the file, for its name.
    pub(super) first_seq: Seq,
    /// Tells files of one origin and first number apart.
    pub(super) part: u32,
    /// Day of source commit, as days since 1970-01-01.
    pub(super) day: i32,
    /// Keep only the last change per key.
    pub(super) net: bool,
}

impl FileMaker {
    /// Starts making the file; the handle ends when the object is durable.
    pub(super) fn start(
        &self,
        runtime: &Handle,
        order: FileOrder,
        sealed: Sealed,
    ) -> JoinHandle<Result<FileStep, ExtractError>> {
        let maker = self.clone();
        runtime.spawn(async move { maker.make(order, sealed).await })
    }
}
