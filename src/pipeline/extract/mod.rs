//! One shard's extraction: binlog → rows → files → commit log.
//!
//! ```text
//!  stream task ──batches of events──▶ decode thread ──cuts──▶ committer
//!  (async IO)     bounded by bytes     (sync, ordered)  4 at most  awaits the cut's files, then appends the entry
//!                                          │ sealed rows
//!                                          └──▶ encode (CPU pool) ──▶ upload
//! ```
//!
//! **Crash-only.** All state that a session needs is the newest entry of the shard's log. When the connection breaks, a
//! checksum fails or the store refuses for too long, the session ends, what was not committed is forgotten (its objects
//! are unlisted), and the next session resumes from the log exactly as a new process would. There is no second way to
//! continue that could differ from the first.
//!
//! **Nothing early, nothing late.** A cut happens only between transactions, seals *all* open batches, and its entry is
//! appended after all its files are durable. So the position in an entry covers exactly the rows that the log names up to
//! it.

mod commit;
mod cut;
mod decoder;
mod error;
mod files;
mod session;
mod tables;
mod xa;

use std::{sync::Arc, time::Duration};

use tokio::sync::{Notify, watch};

pub use error::ExtractError;
pub use files::Encoders;

use crate::{
    batch::Budget,
    config::TableRules,
    lake::{Clock, LogWriter, OpenOptions, Schemas, Store, WriterId, parquet::Codec},
    metrics::{ErrorKind, Metrics},
    model::{Digest, Shard},
    pipeline::backoff::Backoff,
    source::mysql::{connect::Address, preflight, start::StartPoint, stream::Identity},
};

/// One shard's extractor.
#[derive(Debug)]
pub struct Extract {
    /// The shard.
    pub shard: Shard,
    /// Its server.
    pub address: Address,
    /// How to present ourselves to it.
    pub identity: Identity,
    /// Where a shard without a log begins.
    pub start: StartPoint,
    /// Which tables are captured.
    pub rules: Arc<TableRules>,
    /// Where files and the log go.
    pub store: Arc<dyn Store>,
    /// Schema documents of the lake.
    pub schemas: Arc<Schemas>,
    /// Clock of the log.
    pub clock: Arc<dyn Clock>,
    /// This process.
    pub writer: WriterId,
    /// Fence a writer that is still at work.
    pub take_over: bool,
    /// Digest of the effective configuration.
    pub config: Digest,
    /// Compression of files.
    pub codec: Codec,
    /// Age at which uncommitted rows are cut.
    pub flush_interval: Duration,
    /// Rows at which a batch is sealed.
    pub batch_rows: usize,
    /// Bytes at which a batch is sealed.
    pub batch_bytes: usize,
    /// Memory of all batches of the process.
    pub budget: Budget,
    /// Encoders of the process.
    pub encoders: Encoders,
    /// Stop when everything that was committed on the source at the start is in the lake.
    pub once: bool,
    /// How long transient failures in a row are retried; `None` means for as long as it takes.
    pub patience: Option<Duration>,
    /// Rings when an entry was stored.
    pub stored: Arc<Notify>,
    /// Becomes true when the process shall drain.
    pub stop: watch::Receiver<bool>,
    /// Where figures go.
    pub metrics: Arc<Metrics>,
}

/// Attempts in a row at errors that time seldom mends, such as a source that lacks what was read: a replica that is being
/// promoted may need some seconds to catch up.
const SUSPECT_ATTEMPTS: u32 = 6;

/// Extracts the shard until it is told to stop, or with `once` has caught up.
///
/// # Errors
/// Anything that another session cannot mend. Transient errors are retried with back-off for as long as
/// [`Extract::patience`] says; the lag metrics show it.
pub async fn run(extract: Extract) -> Result<(), ExtractError> {
    let mut backoff = Backoff::new(extract.patience);
    let mut stop = extract.stop.clone();
    let mut take_over = extract.take_over;
    loop {
        let failed = match attempt(&extract, take_over, &mut backoff).await {
            Ok(()) => return Ok(()),
            Err(e) => e,
        };
        let worthwhile = failed.is_transient() && !(failed.is_suspect() && backoff.failures() >= SUSPECT_ATTEMPTS);
        let Some(pause) = backoff.next().filter(|_| worthwhile) else {
            extract.metrics.error(failed.stage(), ErrorKind::Fatal);
            return Err(failed);
        };
        extract.metrics.error(failed.stage(), ErrorKind::Transient);
        let error = crate::pipeline::chain(&failed);
        tracing::warn!(shard = %extract.shard, error, ?pause, "extraction failed; resuming from the log");
        // The log is ours since the first session.
        take_over = false;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        }
    }
}

/// Takes the log and runs a session on it until it ends well or fails.
async fn attempt(extract: &Extract, take_over: bool, backoff: &mut Backoff) -> Result<(), ExtractError> {
    // Each time: the server behind an address may be another one after a failover. Before the log is touched: a source that
    // cannot be read must not fence a writer that can.
    preflight::require(&extract.shard, &extract.address, extract.identity.server_id).await?;
    let options = OpenOptions {
        writer: extract.writer.clone(),
        take_over,
        config: extract.config.clone(),
        watch: OpenOptions::WATCH,
    };
    let (store, clock) = (Arc::clone(&extract.store), Arc::clone(&extract.clock));
    let opened = LogWriter::open(store, clock, extract.shard.clone(), options);
    let mut stop = extract.stop.clone();
    let mut log = tokio::select! {
        opened = opened => opened?,
        // Waiting for another writer's silence may take a minute and a half.
        _ = stop.wait_for(|stop| *stop) => return Ok(()),
    };
    let swept = log.orphan_sweep().run().await?;
    if swept.files > 0 {
        tracing::info!(shard = %extract.shard, files = swept.files, bytes = swept.bytes, "removed files that an earlier run did not commit");
    }
    session::run(extract, &mut log, backoff).await?;
    log.release().await?;
    Ok(())
}
