//! Removing by itself: the extractor that writes a shard's log keeps it short.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{Pace, since};
use crate::{
    lake::{
        Clock, Store,
        consumers::Consumer,
        gc::{Gc, GcError, Outlook, PIECE_ENTRIES, Removed, Round, Wanted},
    },
    metrics::{ErrorKind, GcMetrics, Metrics, Stage},
    model::Shard,
};

/// Pieces of one turn, of 64 entries each: some seconds.
const PIECES: usize = 16;

/// Listings of a thousand files in one turn. The sweep is never urgent.
const PAGES: usize = 32;

/// What keeps a shard's log short.
#[derive(Clone, Debug)]
pub struct Keeper {
    /// Where the log is.
    pub store: Arc<dyn Store>,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
    /// Whose log.
    pub shard: Shard,
    /// How long entries stay at least.
    pub retention: Duration,
    /// Groups that must be known to apply it.
    pub groups: BTreeSet<String>,
    /// Where figures go.
    pub metrics: Arc<Metrics>,
}

impl Keeper {
    /// Turn after turn, until it is dropped. What fails is counted, told and tried again: extraction does not depend on it.
    pub async fn run(self) {
        let pace = Pace::choose();
        let gc = pace.apply(Gc::new(Arc::clone(&self.store), Arc::clone(&self.clock), self.shard.clone()));
        let figures = self.metrics.gc(&self.shard);
        let mut round = Round::default();
        let mut pause = pace.first;
        loop {
            self.clock.sleep(pause).await;
            pause = match self.turn(&gc, &figures, &mut round).await {
                Ok(true) => pace.soon,
                Ok(false) => pace.every,
                Err(error) => {
                    self.metrics.error(Stage::Lake, ErrorKind::Transient);
                    let (shard, error) = (&self.shard, crate::errors::chain(&error));
                    tracing::warn!(%shard, error, "cannot remove old entries from the lake; trying again later");
                    pace.every
                }
            };
        }
    }

    /// One turn. Answers whether there is more to delete.
    async fn turn(&self, gc: &Gc, figures: &GcMetrics, round: &mut Round) -> Result<bool, GcError> {
        let consumers = Consumer::load_all(&*self.store).await?;
        let since = Some(since(self.clock.unix_micros(), self.retention));
        let wanted = Wanted { since, consumers: &consumers, groups: &self.groups };
        let Some(outlook) = gc.look(&wanted).await? else { return Ok(false) };
        figures.looked(outlook.oldest_at, outlook.blocked());
        let mut removed = Removed::default();
        let mut more = outlook.due;
        for _ in 0..PIECES {
            if !more {
                break;
            }
            let (piece, left) = gc.remove(&outlook).await?;
            figures.removed(piece.entries, piece.files, piece.bytes);
            removed += piece;
            more = left;
        }
        if removed.entries > 0 {
            let (shard, Removed { entries, files, bytes }) = (&self.shard, removed);
            tracing::info!(%shard, below = outlook.floor, entries, files, bytes, more, "removed old entries from the lake");
        }
        if more {
            return Ok(true);
        }
        let (swept, _) = gc.sweep(&outlook, round, PAGES).await?;
        if swept.files > 0 {
            figures.removed(0, swept.files, swept.bytes);
            let (shard, files, bytes) = (&self.shard, swept.files, swept.bytes);
            tracing::info!(%shard, files, bytes, "removed files that no entry names");
        }
        if gc.raise(&outlook).await? {
            self.tell_raised(&outlook, gc.wait());
        }
        Ok(false)
    }

    fn tell_raised(&self, outlook: &Outlook, wait: Duration) {
        let (shard, from, to) = (&self.shard, outlook.floor, outlook.next);
        let held_by = outlook.blocks().next().map(|hold| hold.by.to_string());
        tracing::info!(%shard, from, to, ?wait, held_by, "old entries of the lake are given up, and deleted later");
    }
}

const _: () = assert!(PIECES * PIECE_ENTRIES <= 1024, "a turn of a shard is small");
