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
mod head;
mod poll;
mod session;
mod snapshot;
mod tables;
mod xa;

use std::{sync::Arc, time::Duration};

use tokio::sync::{Notify, watch};
use tracing::Instrument as _;

pub(in crate::pipeline) use decoder::add_key;
pub use error::ExtractError;
pub use files::Encoders;
pub(in crate::pipeline) use snapshot::table::compile;
pub use snapshot::{Parts, SnapshotOptions};
pub(in crate::pipeline) use tables::policies;

use crate::{
    backoff::Backoff,
    batch::Budget,
    config::{self, TableRules},
    lake::{Clock, LogWriter, OpenOptions, Schemas, Store, WriterId, parquet::Form},
    live::Phase,
    metrics::{ErrorKind, Metrics, Stage},
    model::{Digest, Finding, Shard},
    pipeline::gc::background::Keeper,
    source::mysql::{connect::Address, preflight, start::StartPoint, stream::Identity},
    spans,
};

/// One shard's extractor.
#[derive(Clone, Debug)]
pub struct Extract {
    /// The shard.
    pub shard: Shard,
    /// Its server.
    pub address: Address,
    /// How to present ourselves to it.
    pub identity: Identity,
    /// Where a shard without a log begins.
    pub start: StartPoint,
    /// How tables are asked, where the binlog is not followed.
    pub polls: Option<config::Polls>,
    /// How tables are read by snapshots.
    pub snapshots: SnapshotOptions,
    /// Which tables are captured.
    pub rules: Arc<TableRules>,
    /// Numbers of chunk files of this process.
    pub parts: Parts,
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
    /// What removes old entries of the log; `None` keeps them for ever.
    pub keeper: Option<Keeper>,
    /// How files are written.
    pub form: Form,
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
    let shard = extract.metrics.shard(&extract.shard);
    let whereabouts = head::Whereabouts::default();
    // Who does not follow the binlog need not be able to look at it.
    let _watching = extract.polls.is_none().then(|| head::watch(&extract, whereabouts.clone()));
    let live = extract.metrics.live().shard(&extract.shard);
    let begun = extract.clock.unix_micros();
    let mut state = State { log: None, keeping: None, sessions: 0, take_over: extract.take_over, begun, whereabouts };
    loop {
        let failed = match attempt(&extract, &mut state, &mut backoff).await {
            Ok(()) => return Ok(()),
            Err(e) => e,
        };
        shard.connected(false);
        let worthwhile = failed.is_transient() && !(failed.is_suspect() && backoff.failures() >= SUSPECT_ATTEMPTS);
        let Some(pause) = backoff.next().filter(|_| worthwhile) else {
            extract.metrics.error(failed.stage(), ErrorKind::Fatal);
            return Err(failed);
        };
        extract.metrics.error(failed.stage(), ErrorKind::Transient);
        extract.metrics.retry(failed.stage(), ErrorKind::Transient);
        if matches!(failed, ExtractError::Log(_)) {
            // Opening it anew finds out where it stands.
            state.log = None;
            state.keeping = None;
            live.unclaimed();
        }
        let error = crate::errors::chain(&failed);
        live.failed(error.clone());
        tracing::warn!(shard = %extract.shard, error, ?pause, "extraction failed; resuming from the log");
        let stopped = tokio::select! {
            () = tokio::time::sleep(pause) => false,
            _ = stop.wait_for(|stop| *stop) => true,
        };
        if stopped {
            return release(state.log).await;
        }
    }
}

fn tell(shard: &Shard, warnings: &[Finding]) {
    for warning in warnings {
        tracing::warn!(%shard, mend = warning.mend, "{}", warning.what);
    }
}

/// What outlives a session.
#[derive(Debug)]
struct State {
    log: Option<LogWriter>,
    /// Removes old entries as long as the log is ours.
    keeping: Option<session::AbortOnDrop>,
    /// Sessions so far: part of file names, so that no session meets what an earlier one left behind.
    sessions: u32,
    take_over: bool,
    /// When extraction began, by our clock: with `once` tables are asked that were not asked since.
    begun: i64,
    whereabouts: head::Whereabouts,
}

/// Connects, takes the log where it is not ours yet, and runs one session. The source comes first: a log is not claimed over and
/// over while the source is away.
async fn attempt(extract: &Extract, state: &mut State, backoff: &mut Backoff) -> Result<(), ExtractError> {
    let live = extract.metrics.live().shard(&extract.shard);
    live.enter(Phase::Connecting);
    // Each time: the server behind an address may be another one after a failover. Before the log is touched: a source that
    // cannot be read must not fence a writer that can.
    match extract.polls {
        None => {
            let warnings = preflight::require(&extract.shard, &extract.address, extract.identity.server_id).await?;
            // Once is enough: a connection may break every other minute.
            if state.sessions == 0 {
                tell(&extract.shard, &warnings);
            }
        }
        Some(_) => preflight::require_readable(&extract.shard, &extract.address).await?,
    }
    let conn = extract.address.connect().await?;
    if state.log.is_none() {
        live.enter(Phase::Claiming);
        state.log = open_log(extract, state.take_over).await?;
        if state.log.is_some() {
            state.keeping = extract.keeper.clone().map(|keeper| session::AbortOnDrop::spawn(keeper.run()));
            extract.metrics.shard(&extract.shard).claimed();
        }
    }
    let Some(log) = &mut state.log else { return Ok(()) };
    // It is ours now. Whoever takes it from us later is not fenced in turn.
    state.take_over = false;
    state.sessions += 1;
    live.claimed(log.number(), log.position(), log.catalog());
    live.enter(Phase::Running);
    let number = session::Number { session: state.sessions, begun: state.begun };
    let session = session::run(extract, conn, log, number, &state.whereabouts, backoff);
    session.instrument(spans::session(number.session)).await?;
    release(state.log.take()).await
}

async fn release(log: Option<LogWriter>) -> Result<(), ExtractError> {
    match log {
        Some(log) => Ok(log.release().await?),
        None => Ok(()),
    }
}

/// Takes the log; `None` when told to stop while waiting for another writer's silence, which may take a minute and a half.
async fn open_log(extract: &Extract, take_over: bool) -> Result<Option<LogWriter>, ExtractError> {
    let options = OpenOptions {
        writer: extract.writer.clone(),
        take_over,
        config: extract.config.clone(),
        watch: OpenOptions::WATCH,
    };
    let (store, clock) = (Arc::clone(&extract.store), Arc::clone(&extract.clock));
    let mut stop = extract.stop.clone();
    let log = tokio::select! {
        opened = LogWriter::open(store, clock, extract.shard.clone(), options) => opened?,
        _ = stop.wait_for(|stop| *stop) => return Ok(None),
    };
    let (sweep, shard, metrics) = (log.orphan_sweep(), extract.shard.clone(), Arc::clone(&extract.metrics));
    // It lists the lake, which may be large, and nothing waits for it.
    let sweeping = async move {
        match sweep.run().await {
            Ok(swept) if swept.files > 0 => {
                tracing::info!(%shard, files = swept.files, bytes = swept.bytes, "removed files that an earlier run did not commit");
            }
            Ok(_) => {}
            Err(e) => {
                metrics.error(Stage::Lake, ErrorKind::Transient);
                tracing::warn!(%shard, error = crate::errors::chain(&e), "cannot remove what an earlier run left")
            }
        }
    };
    tokio::spawn(sweeping.in_current_span());
    Ok(Some(log))
}
