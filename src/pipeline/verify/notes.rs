//! What comparisons came to, kept in the lake for `status` and for the next round.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Wanted, error::VerifyError};
use crate::{
    lake::{Store, verified::Verified},
    model::{Origin, Shard, TableOutcome, VerifiedTable, VerifiedThrough},
};

/// How often what is equal is written down: a round over thousands of small tables should not be as many objects.
const WRITE_EVERY: Duration = Duration::from_secs(30);

/// Notes of one shard. They are written while a round goes on: at a bounded rate it may take days, longer than most processes live.
#[derive(Debug)]
pub(super) struct Notes {
    store: Arc<dyn Store>,
    shard: Shard,
    /// As of when each table was last found equal, UTC microseconds.
    known: BTreeMap<Origin, i64>,
    waiting: BTreeMap<Origin, VerifiedThrough>,
    written: Option<Instant>,
}

impl Notes {
    /// Reads what is noted.
    pub(super) async fn read(store: Arc<dyn Store>, shard: Shard) -> Result<Self, VerifyError> {
        let noted = Verified::read(&*store, &shard).await?;
        let known = noted.origins.into_iter().map(|(origin, through)| (origin, through.verified_at)).collect();
        Ok(Self { store, shard, known, waiting: BTreeMap::new(), written: None })
    }

    /// Puts what was never proven, then what was proven longest ago, first: a round that never comes to its end still comes to
    /// every table.
    pub(super) fn oldest_first(&self, wanted: &mut [Wanted]) {
        wanted.sort_by_key(|table| self.known.get(&table.origin).copied());
    }

    /// Notes a table, now or with the next ones.
    pub(super) async fn take(&mut self, table: &VerifiedTable) {
        if table.outcome != TableOutcome::Equal {
            return;
        }
        let Some((origin, through)) = table.origin.parse().ok().zip(table.through.clone()) else { return };
        self.waiting.insert(origin, through);
        if self.written.is_none_or(|at| at.elapsed() >= WRITE_EVERY) {
            self.write().await;
        }
    }

    /// Writes what waits.
    pub(super) async fn write(&mut self) {
        self.written = Some(Instant::now());
        let shard = &self.shard;
        if let Err(error) = Verified::add(&*self.store, shard, std::mem::take(&mut self.waiting)).await {
            tracing::warn!(%shard, error = crate::errors::chain(&error), "the result could not be noted for `tailwater status`");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        lake::Directory,
        model::{Known, Target},
    };

    fn origin(table: &str) -> Origin {
        Origin::new(&Shard::new("s1"), "shop", table)
    }

    fn through(verified_at: i64) -> VerifiedThrough {
        VerifiedThrough { verified_at, ..VerifiedThrough::default() }
    }

    #[tokio::test]
    async fn what_is_equal_is_noted_while_the_round_goes_on_and_comes_last_in_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(Directory::open(folder.path()).unwrap());
        let shard = Shard::new("s1");
        Verified::add(&*store, &shard, [(origin("b"), through(7)), (origin("c"), through(5))].into()).await.unwrap();
        let mut notes = Notes::read(Arc::clone(&store), shard.clone()).await.unwrap();
        let target = Target::new("shop.t");
        let known = Known::of(target.clone());
        let mut wanted: Vec<Wanted> =
            ["a", "b", "c", "d"].map(|t| Wanted { origin: origin(t), known: known.clone() }).into();
        notes.oldest_first(&mut wanted);
        let order: Vec<&str> = wanted.iter().map(|w| w.origin.table.as_str()).collect();
        assert_eq!(order, ["a", "d", "c", "b"]);
        for (table, outcome) in [("a", TableOutcome::Equal), ("d", TableOutcome::NotCompared { reason: String::new() })]
        {
            let mut report = VerifiedTable::new(&origin(table), &target, outcome);
            report.through = Some(through(9));
            notes.take(&report).await;
        }
        // The round has not ended.
        let noted = Verified::read(&*store, &shard).await.unwrap();
        assert_eq!(noted.origins.into_keys().collect::<Vec<_>>(), ["a", "b", "c"].map(origin));
    }
}
