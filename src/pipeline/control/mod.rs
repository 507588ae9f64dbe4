//! Control without a restart: what operators hold back, and what they want tried again.
//!
//! Wishes lie in the lake ([`crate::lake::control`]), so a command needs no process to talk to, reaches every process of the pipeline
//! wherever it runs, and outlasts all of them. Each process looks there at an interval and hands what it finds to its stages.
//!
//! **A paused shard** is not read: its session ends at a commit point, as it does when the process stops, and its log is released.
//! The position is safe; the source's binlogs are what has to last.
//!
//! **A paused table** goes on arriving in the lake. Each applier opens an exception at the table's first step that it meets from then on,
//! as it does for a snapshot: a place of the table's own, from which it catches up in order when it is let go. The
//! group's watermark passes on.

pub mod command;
mod levers;
mod shard;

use std::{sync::Arc, time::Duration};

use tokio::sync::{Notify, watch};

pub use command::{ControlError, Effect, Selection};
pub use levers::{Levers, Load, SetLevel};
pub(super) use shard::extract;

use crate::{
    lake::{
        Store, StoreError,
        control::{Paused, Retry, Wishes},
    },
    live::Pauses,
    metrics::Metrics,
    model::{Origin, Shard},
};

/// How often wishes are looked for; faster where entries are. A listing costs as much as a PUT on S3.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const LOOK_EVERY_MIN: Duration = Duration::from_secs(1);

/// What is held back and wanted now, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct Holds {
    pub(super) pauses: Pauses,
    /// Parked tables that are to be tried again.
    pub(super) retries: Vec<Retry>,
}

impl Holds {
    /// What the wishes come to. A pattern that cannot be understood holds nothing; it was checked when it was written.
    pub(super) fn of(wishes: Wishes) -> Self {
        let mut pauses = Pauses::default();
        for pause in wishes.pauses {
            match pause.what {
                Paused::Shard { shard } => pauses.hold_shard(shard, pause.since),
                Paused::Tables { tables, shard } => {
                    if let Ok(pattern) = tables.parse() {
                        pauses.hold_tables(pattern, shard, pause.since);
                    }
                }
            }
        }
        Self { pauses, retries: wishes.retries }
    }

    /// Reads the lake.
    pub(super) async fn read(store: &dyn Store) -> Result<Self, StoreError> {
        let wishes = Wishes::read(store).await?;
        for path in &wishes.unknown {
            tracing::warn!(%path, "a pause or retry that this version does not understand is left alone");
        }
        Ok(Self::of(wishes))
    }

    /// Since when a shard is paused, UTC microseconds.
    pub(super) fn shard(&self, shard: &Shard) -> Option<i64> {
        self.pauses.shard(shard)
    }

    /// Since when a table is paused, UTC microseconds.
    pub(super) fn origin(&self, origin: &Origin) -> Option<i64> {
        self.pauses.origin(origin)
    }

    fn differs(&self, other: &Self) -> bool {
        self.pauses.differs(&other.pauses) || self.retries != other.retries
    }
}

/// What the process' stages look at.
pub type Held = watch::Receiver<Arc<Holds>>;

/// Looks for wishes until nobody listens. `soon` makes it look at once; `metrics` shows what is paused.
pub(super) async fn watch(
    store: Arc<dyn Store>,
    flush: Duration,
    soon: Arc<Notify>,
    tell: watch::Sender<Arc<Holds>>,
    metrics: Arc<Metrics>,
) {
    let every = flush.clamp(LOOK_EVERY_MIN, LOOK_EVERY);
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = soon.notified() => {}
            () = tell.closed() => return,
        }
        match Holds::read(&*store).await {
            Ok(holds) => {
                tell.send_if_modified(|known| {
                    let differs = known.differs(&holds);
                    if differs {
                        metrics.live().hold(holds.pauses.clone());
                        *known = Arc::new(holds);
                    }
                    differs
                });
            }
            // What was known stays in force.
            Err(error) => tracing::debug!(error = crate::errors::chain(&error), "cannot look for what is paused"),
        }
    }
}
