//! One session: a connection, a decode thread and a committer, from the log's head until something ends.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};
use tracing::Instrument as _;

use super::{
    Extract, ExtractError, commit,
    decoder::{self, Ended, Limits, Polling, Setup, SnapshotState, Snapshots},
    files::FileMaker,
    head::Whereabouts,
    snapshot::{NEWS, News, readers::Readers},
};
use crate::{
    backoff::Backoff,
    lake::{
        LogWriter,
        requests::{Request, Waiting},
    },
    metrics::{ErrorKind, Stage},
    model::Position,
    source::mysql::{
        assembler::Assembler,
        catalog::CatalogReader,
        channel::{self, IN_FLIGHT_BYTES},
        connect::Connection,
        event::StreamPosition,
        follow::follow,
        gtid::Executed,
        start::{self, StartPoint},
        table_map::Flavor,
    },
};

/// How often the lake is looked at for requests; faster where entries are, and never more often than once a second. A listing
/// costs as much as a PUT on S3.
const REQUESTS_EVERY: Duration = Duration::from_secs(10);
const REQUESTS_EVERY_MIN: Duration = Duration::from_secs(1);

/// Requests between the task that finds them and the decode thread.
const REQUESTS: usize = 16;

/// Cuts between decoder and committer. More than a few would only hold memory that the budget counts anyway.
const CUTS: usize = 4;

/// Which session this is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    /// Counted from 1 in this process.
    pub(super) session: u32,
    /// When the first one began, UTC microseconds.
    pub(super) begun: i64,
}

/// Reads from the log's position until the shard is told to stop or has caught up.
///
/// # Errors
/// What ended the session. Everything that was not committed is forgotten.
pub(super) async fn run(
    extract: &Extract,
    mut conn: Connection,
    log: &mut LogWriter,
    Number { session, begun }: Number,
    whereabouts: &Whereabouts,
    backoff: &mut Backoff,
) -> Result<(), ExtractError> {
    let fresh = log.position().gtid_set.is_none() && log.position().file.is_none();
    let from = if fresh { extract.start.clone() } else { StartPoint::Resume(log.position().clone()) };
    let changed = begins_anew(extract, log, fresh)?;
    let (position, until) = match extract.polls {
        Some(_) => (NOWHERE, None),
        None => {
            let position = start::resolve(&mut conn, &from).await?;
            let until = if extract.once { Some(start::present(&mut conn).await?) } else { None };
            (position, until)
        }
    };
    let flavor = start::flavor(&mut conn).await?;
    // The server may have gone away already; nothing depends on a polite goodbye.
    let _ = conn.disconnect().await;
    tracing::info!(shard = %extract.shard, entry = log.number(), next_seq = %log.next_seq(), binlog = extract.polls.is_none(), "reading the source");

    let metrics = Arc::new(extract.metrics.shard(&extract.shard));
    let live = extract.metrics.live().shard(&extract.shard);
    let files = FileMaker {
        store: Arc::clone(&extract.store),
        encoders: extract.encoders.clone(),
        budget: extract.budget.clone(),
        shard: extract.shard.clone(),
        session,
        mark: log.mark().clone(),
        form: extract.form,
        metrics: Arc::clone(&extract.metrics),
    };
    let news = mpsc::channel(NEWS);
    let (found, requests) = mpsc::channel(REQUESTS);
    let watching = watch_requests(extract, found);
    let rules = Arc::clone(&extract.rules);
    let captured = Box::new(move |database: &str, table: &str| rules.resolve(database, table).is_some());
    let setup = Setup {
        shard: extract.shard.clone(),
        rules: Arc::clone(&extract.rules),
        limits: Limits {
            flush_interval: extract.flush_interval,
            batch_rows: extract.batch_rows,
            batch_bytes: extract.batch_bytes,
        },
        assembler: Assembler::new(flavor, position.clone(), captured),
        fresh: (fresh && extract.polls.is_none()) || changed,
        changed,
        catalog: log.catalog().clone(),
        next_seq: log.next_seq(),
        xa_rows: open_xa_rows(log),
        files: files.clone(),
        schemas: Arc::clone(&extract.schemas),
        source: CatalogReader::new(extract.address.clone()),
        budget: extract.budget.clone(),
        clock: Arc::clone(&extract.clock),
        metrics: Arc::clone(&metrics),
        live: Arc::clone(&live),
        process: Arc::clone(&extract.metrics),
        whereabouts: whereabouts.clone(),
        until,
        stop: extract.stop.clone(),
        snapshots: snapshots(extract, flavor, news, requests),
        polling: extract.polls.map(|polls| Polling::new(polls, extract.once.then_some(begun), extract.patience)),
    };

    let (sender, receiver) = channel::channel(IN_FLIGHT_BYTES);
    let (cuts, queue) = mpsc::channel(CUTS);
    let shard = extract.shard.to_string();
    let (stream, silent) = match extract.polls {
        None => {
            let stream = follow(&shard, &extract.address, &extract.identity, position, sender, extract.patience);
            (stream.left_future(), None)
        }
        // Nothing ever comes, and the decode thread must not take that for an end.
        Some(_) => (std::future::ready(Ok(())).right_future(), Some(sender)),
    };
    let decoding = decode_thread(setup, receiver, cuts)?;
    let decoding = async {
        let ended = decoding.await;
        drop(silent);
        ended
    };
    let notes = commit::Notes { metrics: &metrics, live: &live };
    let committing = commit::commit_cuts(log, queue, &files, extract, notes, backoff);

    // The decoder ends first when all is well: it drops the channels, and the others follow. When another part fails, the
    // decoder learns it from its channels; the first real error is the one to tell.
    let (streamed, decoded, committed) = tokio::join!(stream, decoding, committing);
    drop(watching);
    committed?;
    match (decoded, streamed) {
        (Ok(Ended::Stopped | Ended::CaughtUp), _) => Ok(()),
        (Err(ExtractError::StreamEnded), Err(e)) => Err(e.into()),
        (Err(e), _) => Err(e),
    }
}

/// The place in the binlog of a shard that nobody follows.
const NOWHERE: StreamPosition =
    StreamPosition { executed: Executed::Untracked, file: String::new(), offset: 0, server_uuid: None };

/// Whether the log goes on from another place than it ended at: it was written in another mode, followed and now asked or the
/// other way round, or its place in the binlog was given up.
fn begins_anew(extract: &Extract, log: &LogWriter, fresh: bool) -> Result<bool, ExtractError> {
    if extract.polls.is_some() {
        return Ok(*log.position() != Position::default());
    }
    let changed = fresh && !log.catalog().origins.is_empty();
    match extract.start {
        // What was committed since the last round is in no row that was read.
        _ if !changed => Ok(false),
        StartPoint::Anchor => Ok(true),
        _ => Err(ExtractError::Unfollowed { shard: extract.shard.clone() }),
    }
}

fn snapshots(
    extract: &Extract,
    flavor: Flavor,
    (sender, news): (mpsc::Sender<News>, mpsc::Receiver<News>),
    requests: mpsc::Receiver<Waiting>,
) -> Snapshots {
    let readers = Readers::new(extract.address.clone(), extract.snapshots);
    Snapshots {
        options: extract.snapshots,
        address: extract.address.clone(),
        flavor,
        readers: Arc::new(readers),
        parts: extract.parts.clone(),
        patience: extract.patience,
        news,
        sender,
        requests,
        state: SnapshotState::default(),
    }
}

/// Looks for requests as long as the answer is kept.
fn watch_requests(extract: &Extract, found: mpsc::Sender<Waiting>) -> AbortOnDrop {
    let (store, shard) = (Arc::clone(&extract.store), extract.shard.clone());
    let every = extract.flush_interval.clamp(REQUESTS_EVERY_MIN, REQUESTS_EVERY);
    let metrics = Arc::clone(&extract.metrics);
    AbortOnDrop::spawn(async move {
        loop {
            tokio::time::sleep(every).await;
            match Request::waiting(&*store, &shard).await {
                Ok(waiting) => {
                    for request in waiting {
                        // The decode thread knows which of them it has heard of.
                        if found.send(request).await.is_err() {
                            return;
                        }
                    }
                }
                Err(error) => {
                    metrics.error(Stage::Lake, ErrorKind::Transient);
                    tracing::debug!(%shard, error = crate::errors::chain(&error), "cannot look for requests")
                }
            }
        }
    })
}

/// A task that ends with its owner.
#[derive(Debug)]
pub(super) struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl AbortOnDrop {
    pub(super) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task.in_current_span()))
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Rows of each XA transaction that was prepared and is undecided.
fn open_xa_rows(log: &LogWriter) -> HashMap<String, i64> {
    let rows = |files: &Vec<crate::model::FileStep>| files.iter().map(|f| f.seqs.1.0 + 1).max().unwrap_or_default();
    log.open_xa().iter().map(|(xid, files)| (xid.clone(), rows(files))).collect()
}

/// Starts the decode thread; the future is its outcome.
fn decode_thread(
    setup: Setup,
    events: channel::Receiver,
    cuts: mpsc::Sender<super::cut::Cut>,
) -> Result<impl Future<Output = Result<Ended, ExtractError>>, ExtractError> {
    let (outcome, ended) = oneshot::channel();
    let runtime = Handle::current();
    let name = format!("decode {}", setup.shard);
    let span = tracing::Span::current();
    let spawned = std::thread::Builder::new().name(name.clone()).spawn(move || {
        let _inside = span.entered();
        // A session that was given up does not listen any more.
        let _ = outcome.send(decoder::run(setup, events, cuts, runtime));
    });
    spawned.map_err(|e| ExtractError::Panicked { what: format!("starting thread {name:?}"), cause: e.to_string() })?;
    Ok(async move {
        let lost = |_| ExtractError::Panicked { what: name, cause: "the thread panicked, see the log".to_owned() };
        ended.await.map_err(lost)?
    })
}
