//! One table group's application: commit logs → staging → one merge per tick.
//!
//! Nothing is remembered here that matters: where the group stands is in the warehouse, and every session begins by
//! reading it there. A tick gathers what all shards' logs have ([`cursor`]), follows schema changes, stages the rows and
//! merges them in one transaction that also moves the watermarks. A tick that fails leaves the warehouse as it was.
//!
//! A table that cannot go on is parked: its origins get an *exception*, a watermark of their own that stays behind while
//! the group goes on. Every session tries to catch them up, so the repair is: mend the cause, restart. An origin whose snapshot is
//! under way has one, too ([`catch_up`]).

mod catch_up;
mod collected;
pub mod cursor;
mod entries;
mod files;
mod hold;
mod plan;
mod read_back;
mod rebuild;
mod registration;
mod session;
mod tick;
mod waiting;

use std::{sync::Arc, time::Duration};

pub(in crate::pipeline) use hold::PAUSED;

use tokio::sync::{Notify, watch};

use read_back::ReadBack;

use crate::{
    backoff::Backoff,
    config::TableRules,
    lake::{LogError, SchemaError, Schemas, Store, StoreError},
    metrics::{ErrorKind, Metrics, Stage},
    pipeline::control::Held,
    warehouse::{Warehouse, WarehouseError},
};

/// How long another applier of the group must have been silent, at least, before this one takes over unasked; three ticks, or
/// the pace of idle commits and two ticks, where they are long. Several signs of life must be missing, so that two appliers do not take turns.
pub const QUIET: Duration = Duration::from_secs(15);

/// One group's applier.
#[derive(Debug)]
pub struct Apply {
    /// Name of the group.
    pub group: String,
    /// Pipeline whose lake is read; part of the group's name in the warehouse.
    pub pipeline: String,
    /// This process.
    pub writer: String,
    /// The warehouse's identity, under which the lake knows who applies it.
    pub consumer: String,
    /// Where rows go.
    pub warehouse: Arc<dyn Warehouse>,
    /// The same by another connection, by which is read back what queries see.
    pub mirror: Arc<dyn Warehouse>,
    /// Where rows come from.
    pub store: Arc<dyn Store>,
    /// Schema documents of the lake.
    pub schemas: Arc<Schemas>,
    /// Which tables belong to the group, and how they are merged.
    pub rules: Arc<TableRules>,
    /// Bytes of files in one tick. Bounds what a tick stages after a long outage, and so how long one merge takes; one entry is
    /// never split.
    pub tick_bytes: u64,
    /// Shortest time between two merges, but where more waits than one takes.
    pub tick: Duration,
    /// Longest time that watermarks lag behind entries that change nothing: each move is a commit, and nobody waits for these.
    /// Not shorter than `tick`, which [`Warehouse::idle_commit`](crate::config::Warehouse::idle_commit) sees to.
    pub idle: Duration,
    /// How long transient failures in a row are retried; `None` means for as long as it takes.
    pub patience: Option<Duration>,
    /// Take the group over from another applier.
    pub take_over: bool,
    /// Rings when an extractor of this process stored an entry.
    pub stored: Arc<Notify>,
    /// Becomes true when the process shall stop after the current tick.
    pub stop: watch::Receiver<bool>,
    /// Becomes true when nothing more will be stored: stop when all is applied.
    pub drain: watch::Receiver<bool>,
    /// Tables that operators hold back, and parked ones that they want tried again.
    pub held: Held,
    /// Where figures go.
    pub metrics: Arc<Metrics>,
}

/// Why applying a group stopped.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The warehouse.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// The commit log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The lake.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A schema document.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The state of the warehouse fits neither side of a tick whose answer was lost.
    #[error("group {group} was moved by somebody else while its merge was undecided")]
    Undecided {
        /// The group.
        group: String,
    },
}

impl ApplyError {
    /// Whether a new session may succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Warehouse(e) => matches!(e, WarehouseError::Transient { .. } | WarehouseError::Moved { .. }),
            Self::Log(e) => e.is_transient(),
            Self::Store(e) => e.is_transient(),
            Self::Schema(e) => e.is_transient(),
            Self::Undecided { .. } => true,
        }
    }

    /// Where it went wrong.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Warehouse(_) | Self::Undecided { .. } => Stage::Warehouse,
            Self::Log(_) | Self::Store(_) | Self::Schema(_) => Stage::Lake,
        }
    }
}

/// Applies the group until it is told to stop or has drained.
///
/// # Errors
/// Anything that another try cannot mend. Transient errors are retried with back-off for as long as [`Apply::patience`]
/// says: the lake keeps what the warehouse cannot take.
pub async fn run(apply: Apply) -> Result<(), ApplyError> {
    let mut backoff = Backoff::new(apply.patience);
    let (mirror, metrics) = (Arc::clone(&apply.mirror), Arc::clone(&apply.metrics));
    let read_back = ReadBack::start(mirror, apply.place(), apply.group.clone(), metrics);
    let figures = apply.metrics.group(&apply.group);
    let mut take_over = apply.take_over;
    let live = apply.metrics.live().group(&apply.group);
    let mut stop = apply.stop.clone();
    loop {
        let failed = match session::run(&apply, take_over, &read_back, &mut backoff).await {
            Ok(()) => return Ok(()),
            Err(e) => e,
        };
        figures.closed();
        let Some(pause) = backoff.next().filter(|_| failed.is_transient()) else {
            apply.metrics.error(failed.stage(), ErrorKind::Fatal);
            return Err(failed);
        };
        apply.metrics.error(failed.stage(), ErrorKind::Transient);
        apply.metrics.retry(failed.stage(), ErrorKind::Transient);
        let error = crate::errors::chain(&failed);
        live.failed(error.clone());
        tracing::warn!(group = apply.group, error, ?pause, "applying failed; trying again");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
        }
        // The group is ours since the first session; a later one that finds it taken has been fenced.
        take_over = false;
    }
}
