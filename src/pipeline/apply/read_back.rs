//! Reads back what the warehouse shows: the only proof that a commit on a source can be queried.
//!
//! After each merge another connection than the merging one asks how far the group is. The first answer that covers the merged
//! entries gives the time from the commit on the source to the first moment that somebody was shown it, at most one answer's time
//! too much. Sources are read with rights that write nothing, so no row is planted in them: the transactions that come anyway are
//! the probes. A shard without any has none, and its lag (heartbeats) says that nothing is missing.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tracing::Instrument as _;

use crate::{
    errors::chain,
    lake::{Clock as _, SystemClock},
    metrics::{ErrorKind, Metrics, Stage},
    model::Shard,
    warehouse::{Warehouse, Watermark},
};

/// Merges that wait to be read back. When the warehouse answers this connection more slowly than it merges, some are not
/// measured.
const WAITING: usize = 256;

/// Time between two questions when the answer was not what it will be, or there was none.
const AGAIN: Duration = Duration::from_secs(1);

/// Longest time for one answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Entries of one shard that wait to be seen: bounds what an outage of this connection holds.
const ENTRIES_MAX: usize = 4096;

/// One shard's part of a merge.
#[derive(Debug)]
pub(super) struct Merged {
    pub(super) shard: Shard,
    /// Where the group stands since.
    pub(super) mark: Watermark,
    /// Earliest and latest commit time of each entry that shows since, UTC microseconds.
    pub(super) commits: Vec<(i64, i64)>,
}

/// Where merges are told.
#[derive(Clone, Debug)]
pub(super) struct ReadBack(mpsc::Sender<Merged>);

impl ReadBack {
    /// Begins to read back what merges of `place`, the name that `group` has in the warehouse, show. Ends with the handle.
    pub(super) fn start(warehouse: Arc<dyn Warehouse>, place: String, group: String, metrics: Arc<Metrics>) -> Self {
        let (sender, merges) = mpsc::channel(WAITING);
        let reader = Reader { warehouse, place, group, metrics, waiting: BTreeMap::new() };
        tokio::spawn(reader.run(merges).in_current_span());
        Self(sender)
    }

    /// A merge was committed. Never waits.
    pub(super) fn merged(&self, merged: Merged) {
        if !merged.commits.is_empty() {
            // What is not measured is no harm.
            let _ = self.0.try_send(merged);
        }
    }
}

/// An entry that was merged and not seen yet: where the group stands with it, and its commit times.
type Unseen = (Watermark, (i64, i64));

struct Reader {
    warehouse: Arc<dyn Warehouse>,
    place: String,
    group: String,
    metrics: Arc<Metrics>,
    waiting: BTreeMap<Shard, Vec<Unseen>>,
}

impl Reader {
    async fn run(mut self, mut merges: mpsc::Receiver<Merged>) {
        loop {
            let next = match self.waiting.is_empty() {
                true => merges.recv().await,
                false => match timeout(AGAIN, merges.recv()).await {
                    Ok(next) => next,
                    Err(_) => {
                        self.look().await;
                        continue;
                    }
                },
            };
            let Some(merged) = next else { return };
            self.take(merged);
            while let Ok(merged) = merges.try_recv() {
                self.take(merged);
            }
            self.look().await;
        }
    }

    fn take(&mut self, merged: Merged) {
        let waiting = self.waiting.entry(merged.shard).or_default();
        waiting.extend(merged.commits.into_iter().map(|commits| (merged.mark.clone(), commits)));
        let surplus = waiting.len().saturating_sub(ENTRIES_MAX);
        waiting.drain(..surplus);
    }

    async fn look(&mut self) {
        let state = match timeout(PATIENCE, self.warehouse.group_state(&self.place)).await {
            Ok(Ok(state)) => state.unwrap_or_default(),
            Ok(Err(error)) => return self.failed(&chain(&error)).await,
            Err(_) => return self.failed("no answer in time").await,
        };
        let now = SystemClock::new().unix_micros();
        self.metrics.read_back(&self.group, now);
        for (shard, waiting) in &mut self.waiting {
            let Some(shown) = state.watermarks.get(shard) else { continue };
            waiting.retain(|(mark, commits)| {
                if mark.log_id == shown.log_id && mark.position > shown.position {
                    return true;
                }
                // Of another log nothing more is to be expected.
                if mark.log_id == shown.log_id {
                    self.metrics.visible(shard, *commits, now);
                }
                false
            });
        }
        self.waiting.retain(|_, waiting| !waiting.is_empty());
    }

    async fn failed(&self, error: &str) {
        self.metrics.error(Stage::Watch, ErrorKind::Transient);
        tracing::debug!(group = self.group, error, "the warehouse does not say what it shows");
        sleep(AGAIN).await;
    }
}
