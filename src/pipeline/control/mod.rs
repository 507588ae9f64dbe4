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

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::sync::{Notify, watch};

pub use command::{ControlError, Effect, Selection};
pub use levers::{Levers, Load, SetLevel};
pub(super) use shard::extract;

use crate::{
    config::Pattern,
    lake::{
        Store, StoreError,
        control::{Paused, Retry, Wishes},
    },
    model::{Origin, Shard},
};

/// How often wishes are looked for; faster where entries are. A listing costs as much as a PUT on S3.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const LOOK_EVERY_MIN: Duration = Duration::from_secs(1);

/// What is held back and wanted now, ready to be asked.
#[derive(Debug, Default)]
pub struct Holds {
    /// Paused shards, and since when (UTC microseconds).
    shards: BTreeMap<Shard, i64>,
    tables: Vec<HeldTables>,
    /// Parked tables that are to be tried again.
    pub(super) retries: Vec<Retry>,
}

#[derive(Debug)]
struct HeldTables {
    pattern: Pattern,
    shard: Option<Shard>,
    since: i64,
}

impl Holds {
    /// What the wishes come to. A pattern that cannot be understood holds nothing; it was checked when it was written.
    pub(super) fn of(wishes: Wishes) -> Self {
        let mut holds = Self { retries: wishes.retries, ..Self::default() };
        for pause in wishes.pauses {
            match pause.what {
                Paused::Shard { shard } => _ = holds.shards.insert(shard, pause.since),
                Paused::Tables { tables, shard } => {
                    let pattern = tables.parse().ok();
                    holds.tables.extend(pattern.map(|pattern| HeldTables { pattern, shard, since: pause.since }));
                }
            }
        }
        holds
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
        self.shards.get(shard).copied()
    }

    /// Since when a table is paused, UTC microseconds.
    pub(super) fn origin(&self, origin: &Origin) -> Option<i64> {
        let held = |held: &&HeldTables| {
            held.shard.as_ref().is_none_or(|s| *s == origin.shard)
                && held.pattern.matches(&origin.database, &origin.table)
        };
        self.tables.iter().filter(held).map(|held| held.since).min()
    }

    fn differs(&self, other: &Self) -> bool {
        let tables = |holds: &Self| -> BTreeSet<(String, Option<Shard>)> {
            holds.tables.iter().map(|t| (t.pattern.to_string(), t.shard.clone())).collect()
        };
        self.shards != other.shards || tables(self) != tables(other) || self.retries != other.retries
    }
}

/// What the process' stages look at.
pub type Held = watch::Receiver<Arc<Holds>>;

/// Looks for wishes until nobody listens. `soon` makes it look at once.
pub(super) async fn watch(store: Arc<dyn Store>, flush: Duration, soon: Arc<Notify>, tell: watch::Sender<Arc<Holds>>) {
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
